/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/inotify.h: inotify instances and their marks on inodes. Source: inotify(7).
 */
#pragma once

#include "base/compiler.h"

struct creds;
struct file;
struct file_async;
struct filesystem;
struct inode;
struct kernel;
struct path;
struct task;

/* A new instance; limits of user (max_user_instances) apply. */
int inotify_create(struct task *t, uint32_t flags, struct file **ret) must_check;
/* Watch descriptor, or -errno. */
int inotify_add(struct file *f, const struct path *p, uint32_t mask) must_check;
int inotify_remove(struct file *f, int wd);
/* An event of inode `i` itself, or of its child `name` (NULL: itself). Any thread; no lock ranked above
 * RANK_FILE_LOCKS held. */
void inotify_event(struct inode *i, const char *name, uint32_t mask, uint32_t cookie);
/* F_NOTIFY: mask of LINUX_DN_*; 0 ends it. The directory's entries alone; the file's owner gets a signal.
 * -ENOTDIR, -ENOMEM. */
int dnotify_set(struct task *t, struct file *f, int fd, uint32_t mask) must_check;
void dnotify_end(struct file_async *a);
/* The file system is unmounted for good: IN_UNMOUNT, IN_IGNORED. */
void inotify_fs_gone(struct filesystem *fs);
