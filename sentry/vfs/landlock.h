/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/landlock.h: Landlock: what a task has renounced. Source: landlock(7),
 * landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2).
 *
 * A ruleset says which rights it handles, and what of them is granted beneath which files or at which ports.
 * landlock_restrict_self() makes a layer of it, which never changes; credentials hold the newest, each layer
 * the one before. A right must be granted by every layer that handles it: for a file, by a rule on it or on a
 * directory above it, over mount points, as it is reached. REFER (into another directory) is refused by any
 * layer that does not grant it.
 *
 * Rules hold a name of their file, so that the next look-up finds the same inode. What has no place in the
 * tree (pipes, sockets, memfds) is not restricted.
 */
#pragma once

#include "base/abi/linux/landlock.h"
#include "base/mutex.h"
#include "base/ref.h"

struct creds;
struct dentry;
struct file;
struct inode;
struct path;
struct task;

enum { LANDLOCK_ABI = 5, LANDLOCK_LAYERS_MAX = 16, LANDLOCK_RULES_MAX = 16384 };

struct landlock_rule {
    struct dentry *dentry; /* reference; NULL: of a port */
    struct inode *inode;   /* its; NULL */
    uint64_t port;
    uint64_t access;
};

struct landlock_rules {
    struct landlock_rule *rules; /* heap array, sorted: inodes by address, then ports */
    size_t count, room;
};

struct landlock_layer {
    struct ref ref;
    struct landlock_layer *below; /* reference; NULL: the first */
    unsigned depth;               /* 1: the first */
    uint64_t handled_fs, handled_net;
    struct landlock_rules rules;
};
DECLARE_REF(landlock_layer);

/* A ruleset's open file. 0, -ENOMEM. */
int landlock_ruleset_new(struct task *t, uint64_t handled_fs, uint64_t handled_net,
                         struct file **ret) must_check;
bool file_is_landlock_ruleset(const struct file *f);
/* Does the rule name rights that the ruleset does not handle? */
bool landlock_rule_unhandled(const struct file *ruleset, bool port, uint64_t access);
/* -EINVAL (rights that are not of a file), -E2BIG (LANDLOCK_RULES_MAX), -ENOMEM. */
int landlock_add_path(struct file *ruleset, const struct path *p, uint64_t access) must_check;
int landlock_add_port(struct file *ruleset, uint64_t port, uint64_t access) must_check;
/* A layer of it above those that the task has becomes the task's. OWN THREAD. -E2BIG, -ENOMEM. */
int landlock_restrict(struct task *t, struct file *ruleset) must_check;

/* ---- judging. All cost one test where nothing was renounced ---- */

int landlock_check_denied(const struct landlock_layer *l, const struct path *p, uint64_t access) must_check;
/* Rights (LINUX_LANDLOCK_FS_*) on what p leads to: 0 or -EACCES. */
#define landlock_check_path(creds, path, access)                                                             \
    (likely(!(creds)->landlock) ? 0 : landlock_check_denied((creds)->landlock, path, access))
/* Those of `access` that would be refused. */
uint64_t landlock_denied(const struct landlock_layer *l, const struct path *p, uint64_t access);
/* The right that making a node of this type (LINUX_S_IF*) needs. */
uint64_t landlock_make_right(uint32_t type);
/* A link or rename: `moved` from its directory to another (or the same), where it replaces or is exchanged
 * with `replaced` (NULL or negative: nothing). keeps: it stays where it was too (link). -EACCES, -EXDEV. */
int landlock_check_refer(const struct creds *c, const struct path *from_dir, struct dentry *moved,
                         const struct path *to_dir, struct dentry *replaced, bool keeps,
                         bool exchange) must_check;
/* Mounts, unmounts, pivot_root: -EPERM if any layer handles files. */
int landlock_check_mount(const struct creds *c) must_check;
int landlock_check_port(const struct creds *c, uint16_t port, uint64_t access) must_check; /* -EACCES */
/* May one of `a` look into, or trace, one of `b`? Only what has renounced as much. */
bool landlock_contains(const struct landlock_layer *a, const struct landlock_layer *b);
