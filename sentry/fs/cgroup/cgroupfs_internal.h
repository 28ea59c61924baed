/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/cgroup/cgroupfs_internal.h: what the files of this folder share.
 */
#pragma once

#include <errno.h>

#include "sentry/fs/kernfs/kernfs.h"
#include "sentry/kernel/control_group.h"

/* A file of every group that has `controllers` (0: all groups). */
struct cgroup_file {
    const char *name;
    unsigned controller;
    const struct kernfs_ops *ops;
};
extern const struct cgroup_file cgroupfs_core_files[], cgroupfs_controller_files[]; /* ended by a NULL name */

static inline struct cgroup *group_of(const struct kernfs_inode *n) {
    return n->object;
}
/* Members of every file's kind. */
bool cgroupfs_valid(struct kernfs_inode *n);
void cgroupfs_drop(struct kernfs_inode *n);
void cgroupfs_file_owner(struct kernfs_inode *n, kuid_t *uid, kgid_t *gid);
int cgroupfs_file_setattr(struct kernfs_inode *n, const struct setattr *s);
#define CGROUP_NODE                                                                                          \
    .gone_errno = ENODEV, .valid = cgroupfs_valid, .drop = cgroupfs_drop, .owner = cgroupfs_file_owner,      \
    .setattr = cgroupfs_file_setattr
/* A number, or "max" where that is allowed: CGROUP_MAX. -EINVAL. */
int cgroupfs_parse(const char *data, size_t len, uint64_t max, bool allow_max, uint64_t *ret) must_check;
void cgroupfs_show_max(struct text *out, uint64_t value);
