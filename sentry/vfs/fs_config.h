/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/fs_config.h: file systems in the making: what fsopen(2) and fspick(2) give, fsconfig(2) changes
 * and fsmount(2) mounts.
 *
 * Options are kept as text, as mount(2) would give them, at most a page of it; a type with `check_option`
 * says at once what it does not know. A file of this kind is a struct file; its lock is RANK_FS_CONFIG, taken
 * by all functions here, since making a file system may block.
 */
#pragma once

#include "base/compiler.h"

struct file;
struct filesystem;
struct fs_type;
struct mount;
struct task;

/* To make a new file system of `type`. */
int fs_config_new(struct task *t, const struct fs_type *type, struct file **ret) must_check;
/* To change that of `m`. */
int fs_config_pick(struct task *t, struct mount *m, struct file **ret) must_check;
/* Is `f` one? */
bool file_is_fs_config(struct file *f);

/* key or key=value. -EBUSY (not the time), -EINVAL (unknown, or too much). A value of NULL is a flag. */
int fs_config_set(struct task *t, struct file *f, const char *key, const char *value) must_check;
/* A parameter whose kind no file system here takes. -EBUSY or -EINVAL. */
int fs_config_refuse(struct file *f, const char *key) must_check;
int fs_config_create(struct task *t, struct file *f) must_check;
int fs_config_reconfigure(struct task *t, struct file *f) must_check;
/* The file system made, once (new reference), and its source (heap text, or NULL). -EINVAL: none yet; -EBUSY:
 * taken. */
int fs_config_take(struct file *f, struct filesystem **ret, char **ret_source) must_check;
