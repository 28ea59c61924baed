/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/layer.h: what a file system made of others (overlay) needs of them.
 */
#pragma once

#include "sentry/vfs/vfs.h"

/* A mount of `fs` that no namespace shows; and an open file of one of its inodes, not by a name and without
 * any check. New references. */
int vfs_layer_mount(struct filesystem *fs, struct mount **ret) must_check;
/* One of what `p` shows, for a task of namespace `ns`; -EINVAL if a bind mount of it would be refused. */
int vfs_layer_mount_path(struct mnt_ns *ns, const struct path *p, struct mount **ret) must_check;
int vfs_layer_open(struct mount *m, struct inode *inode, uint32_t flags, const struct creds *c,
                   struct file **ret) must_check;
