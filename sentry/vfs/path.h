/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/path.h: a place in the tree: a mount and a dentry in it.
 */
#pragma once

#include "base/compiler.h"

struct dentry;
struct mount;

struct path {
    struct mount *mount;
    struct dentry *dentry;
};

struct path path_get(const struct path *p); /* the same with new references */
void path_put(struct path *p);              /* drops both, clears; empty is fine */
static inline bool path_equal(const struct path *a, const struct path *b) {
    return a->mount == b->mount && a->dentry == b->dentry;
}
