/* SPDX-License-Identifier: Apache-2.0
 * boot/walls.h: the walls of DESIGN 2, one by one: put up, recorded, reported. docs/security.md says what
 * each is good for.
 *
 * Used by the sandbox process and, for those that apply, by the gofer. Which are up is never silent: a wall
 * that cannot go up is an error unless the caller allows it (--zero-privilege), and then is recorded as down,
 * with the reason.
 */
#pragma once

#include <jansson.h>

#include "base/compiler.h"
#include "base/err.h"

enum wall {
    WALL_USER_NS,
    WALL_MOUNT_NS,
    WALL_PID_NS,
    WALL_NET_NS,
    WALL_IPC_NS,
    WALL_UTS_NS,
    WALL_OWN_PROCFS,
    WALL_EMPTY_ROOT,
    WALL_NO_CAPS,
    WALL_NO_NEW_PRIVS,
    WALL_LIMITS,
    WALL_SECCOMP,
    WALLS,
};

struct walls {
    bool up[WALLS];
    char *why[WALLS];    /* why it is down; owned */
    bool zero_privilege; /* missing walls are allowed */
};

const char *wall_name(enum wall w);
/* The step failed with errnum: an error that names wall, cause and --zero-privilege; or 0 and recorded, if
 * that is allowed. */
int wall_failed(struct walls *walls, enum wall w, int errnum, const char *step, struct err **err) must_check;
void wall_is_up(struct walls *walls, enum wall w);
/* Records which of the CLONE_NEW* namespaces in `created` this process was born into; the others fail as
 * above. */
int walls_namespaces(struct walls *walls, int created, struct err **err) must_check;
/* A procfs of this pid namespace, mounted nowhere: a directory descriptor in *ret, or -1 if that is allowed.
   *ret_linkless: the same, but following no links (PID/fd/N, root, cwd, exe lead nowhere), so that what is
   held for reading cannot be opened again for writing. */
int walls_own_procfs(struct walls *walls, int *ret, int *ret_linkless, struct err **err) must_check;
/* An empty, read-only tmpfs becomes the root; nothing of the host's tree stays mounted. Needs a mount
 * namespace of our own. `hanger` (-1: none) is a mount that hangs nowhere: it goes the way of the host's
 * tree, so that closing its descriptor later does not unmount it, which would wait for a grace period of the
 * host's kernel once more. */
int walls_empty_root(struct walls *walls, int hanger, struct err **err) must_check;
/* The directory `path` (a mount point of our mount namespace) becomes the root, and the old one goes away. */
int walls_pivot_into(const char *path, struct err **err) must_check;
/* Without a user namespace of our own, root becomes the host's nobody: losing capabilities is not enough, as
 * root owns the host's files. */
int walls_become_nobody(struct walls *walls, struct err **err) must_check;
/* Only the capabilities in `keep` (bits) stay, in the permitted, effective and bounding sets; none
   inheritable or ambient; secure bits locked, so that no exec as root brings any back. Then no_new_privs. */
int walls_drop_privileges(struct walls *walls, uint64_t keep, struct err **err) must_check;
/* No core dumps; as many descriptors as the host allows. */
int walls_limits(struct walls *walls, struct err **err) must_check;
/* [{"wall":"user-ns","up":true},{"wall":"seccomp","up":false,"why":"..."}]; caller frees. */
char *walls_json(const struct walls *walls);
void walls_done(struct walls *walls);
