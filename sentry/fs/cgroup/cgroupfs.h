/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/cgroup/cgroupfs.h: the cgroup2 file system. Each mount shows the tree from the mounter's cgroup
 * namespace's root down. Source: cgroups(7), Documentation/admin-guide/cgroup-v2.
 */
#pragma once

#include "base/compiler.h"

struct cgroup;
struct file;

/* The group that an open directory of this file system stands for (borrowed while the file is referenced), or
 * NULL. */
struct cgroup *cgroupfs_group_of(struct file *f);
