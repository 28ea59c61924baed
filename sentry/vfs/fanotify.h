/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/fanotify.h: fanotify groups, their marks and events. Source: fanotify(7), fanotify_init(2),
 * fanotify_mark(2).
 *
 * Marks of all groups are on one list (vfs.fan_marks), which an event walks: the cost is theirs who mark, and
 * nobody's while nobody does (vfs.fan_mark_count). Locks: vfs.fan_lock (RANK_LEAF) for that list and the
 * masks; group.lock (RANK_EVENT) for a group's queue.
 */
#pragma once

#include "base/compiler.h"

struct dentry;
struct file;
struct filesystem;
struct inode;
struct mount;
struct path;
struct task;

int fanotify_create(struct task *t, uint32_t flags, uint32_t event_flags, struct file **ret) must_check;
/* action and flags as fanotify_mark(2); `p` NULL: flush. */
int fanotify_change(struct task *t, struct file *f, uint32_t flags, uint64_t mask,
                    const struct path *p) must_check;
bool file_is_fanotify(struct file *f);
/* May marks of this group watch names coming and going? FAN_REPORT_*FID. */
uint32_t fanotify_group_flags(struct file *f);

/* Events of an open file or a path (IN_* bits and FAN_OPEN_EXEC); of a name in a directory. Any thread, no
 * lock ranked above RANK_EVENT held. */
void fanotify_path_event(const struct path *p, uint64_t mask);
void fanotify_name_event(struct inode *dir, const char *name, size_t len, struct inode *child, uint64_t mask);
void fanotify_self_event(struct inode *i, uint64_t mask); /* IN_DELETE_SELF, IN_MOVE_SELF */
/* Asks who must be asked: FAN_OPEN_PERM, ACCESS_PERM, OPEN_EXEC_PERM. 0, -EPERM, -ERESTARTSYS. OWN THREAD. */
int fanotify_permission(struct task *t, const struct path *p, uint64_t mask) must_check;
/* What is marked ends. */
void fanotify_mount_gone(struct mount *m);
void fanotify_fs_gone(struct filesystem *fs);
void fanotify_inode_gone(struct inode *i);
