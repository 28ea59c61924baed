/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/gofer_roots.h: what a container's gofer may see: one tree for the rootfs and one for each
 * bind mount of the spec.
 *
 * Made in the gofer's own mount namespace, before it executes itself: each tree is a private copy of the
 * mounts (open_tree), with nosuid and nodev, read-only where the container may never write; they hang on
 * numbered places of a tmpfs, which then becomes the gofer's root. The host's pseudo file systems (proc,
 * sysfs, cgroup, ...) within a recursive tree are covered: no guest sees them.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "boot/spec/spec.h"

struct root_tree {
    const char *path; /* of the host, absolute; borrowed */
    bool recursive, read_only;
    unsigned flags; /* GOFER_ROOT_* (gofer/protocol.h) */
    int fd;         /* out: the root, O_PATH */
};
/* The directory of the tmpfs in *ret_place (static string). In a private mount namespace only. */
int gofer_roots_make(struct root_tree *roots, size_t count, const char **ret_place,
                     struct err **err) must_check;
/* --zero-privilege where the host gives no mount namespace: the directories themselves. Only the gofer's own
   rules then keep names beneath them and read-only ones unwritten. */
int gofer_roots_open(struct root_tree *roots, size_t count, struct err **err) must_check;
