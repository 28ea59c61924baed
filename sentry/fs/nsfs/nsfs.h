/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/nsfs/nsfs.h: namespaces as files: what /proc/PID/ns/NAME leads to, for setns(2) and for keeping a
 * namespace alive. Source: namespaces(7).
 */
#pragma once

#include "base/compiler.h"

struct file;
struct ns_set;
struct path;
struct task;

/* The namespace of `target` (for_children: of its coming children; pid and time) that the CLONE_NEW* `flag`
 * names, as a path with references. `name`: "uts". -ESRCH, -ENOMEM. */
int nsfs_path(struct task *target, uint64_t flag, bool for_children, const char *name,
              struct path *ret) must_check;
/* What an open one stands for: borrowed while the file is referenced, and its flag; NULL: not such a file. */
const struct ns_set *nsfs_set(struct file *f, uint64_t *ret_flag);
