/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/creds.h: credentials: ids, groups, capabilities. Source: credentials(7), capabilities(7),
 * user_namespaces(7).
 *
 * A struct creds never changes once it is shared: callers make a copy (creds_copy), change that, and install
 * it (task_set_creds), which is the whole commit. So a reader needs only a reference. All ids here are kernel
 * ids (kuid): those of the initial user namespace of the sandbox; the maps of a user namespace translate at
 * the edge of the guest.
 */
#pragma once

#include "base/abi/linux/capability.h"
#include "base/abi/linux/prctl.h"
#include "base/mutex.h"
#include "base/ref.h"

struct kernel;
struct landlock_layer;

typedef uint32_t kuid_t;
typedef uint32_t kgid_t;
#define INVALID_ID  0xffffffffu /* also -1 of setresuid: leave alone */
#define OVERFLOW_ID 65534u      /* what an unmapped id looks like inside a user namespace */

struct id_extent {
    uint32_t inside, outside, count;
};

struct creds;

struct user_ns {
    struct ref ref;
    struct user_ns *parent; /* reference; NULL for the initial one */
    unsigned level;
    kuid_t owner;
    kgid_t owner_group;
    uint64_t inode;    /* of /proc/PID/ns/user */
    struct mutex lock; /* RANK_CREDS; protects the rest */
    struct id_extent *uid_map, *gid_map;
    size_t uid_map_count, gid_map_count;
    bool setgroups_denied;
};
DECLARE_REF(user_ns);
enum { USER_NS_MAX_EXTENTS = 340, USER_NS_MAX_LEVEL = 32 };
/* parent NULL: the initial one, where every id is itself. Otherwise a new reference to parent is kept and
 * `owner` makes it. NULL: no memory. */
struct user_ns *user_ns_new(struct kernel *k, struct user_ns *parent, const struct creds *owner);
bool user_ns_within(const struct user_ns *ns, const struct user_ns *ancestor); /* the same or a descendant */
/* Writing uid_map or gid_map, once: `outside` in terms of the parent namespace. Permission to write is the
 * caller's check. -EINVAL, -EPERM. */
int user_ns_set_map(struct user_ns *ns, bool group, const struct id_extent *extents, size_t count) must_check;

/* Kernel id of an id inside `ns`, INVALID_ID if unmapped; and back, OVERFLOW_ID if unmapped. */
kuid_t make_kuid(struct user_ns *ns, uint32_t uid);
kgid_t make_kgid(struct user_ns *ns, uint32_t gid);
uint32_t from_kuid(struct user_ns *ns, kuid_t kuid);
uint32_t from_kgid(struct user_ns *ns, kgid_t kgid);

struct task;
/* What a write to /proc/PID/{uid_map,gid_map,setgroups} does, with all rules of user_namespaces(7). 0,
 * -EPERM, -EINVAL. Implemented in user_ns.c. */
enum user_ns_file { USER_NS_UID_MAP, USER_NS_GID_MAP, USER_NS_SETGROUPS };
int user_ns_store(struct user_ns *ns, struct task *writer, enum user_ns_file what, const char *data,
                  size_t len) must_check;

typedef uint64_t cap_set_t; /* bit n: capability n */
#define CAP_FULL_SET LINUX_CAP_FULL

struct creds {
    struct ref ref;
    kuid_t uid, euid, suid, fsuid;
    kgid_t gid, egid, sgid, fsgid;
    cap_set_t permitted, effective, inheritable, bounding, ambient;
    uint32_t securebits;
    struct user_ns *user_ns;         /* reference */
    struct landlock_layer *landlock; /* reference; NULL: nothing renounced (landlock.h) */
    size_t group_count;
    kgid_t *groups; /* sorted, own array */
};
DECLARE_REF(creds);

/* Root with all capabilities in `ns` (new reference). NULL: no memory. */
struct creds *creds_new_root(struct user_ns *ns);
/* A private copy, count 1. NULL: no memory. */
struct creds *creds_copy(const struct creds *c);
bool creds_in_group(const struct creds *c, kgid_t gid); /* fsgid or a supplementary group */
bool creds_in_egroup(const struct creds *c, kgid_t gid);
/* True if `c` has `cap` in `ns`: effective there, or owner of a descendant (user_namespaces(7),
 * "Capabilities"). */
bool creds_has_cap_in(const struct creds *c, struct user_ns *ns, int cap);
/* The next change `c`, which must be a private copy. */
int creds_set_groups(struct creds *c, const kgid_t *groups, size_t count) must_check; /* any order; -ENOMEM */
void creds_fill_new_user_ns(struct creds *c,
                            struct user_ns *ns); /* all capabilities in ns (new reference), none elsewhere */
/* capabilities(7), "Effect of user ID changes on capabilities". */
void creds_fix_caps_for_ids(struct creds *new, const struct creds *old);
void creds_fix_caps_for_fsuid(struct creds *new, const struct creds *old);
struct task;
/* For CLONE_NEWUSER: a copy of t's credentials that is all-powerful in a new user namespace owned by t.
   -EPERM (no mapping of its own ids), -ENOSPC (too deep), -ENOMEM. OWN THREAD. */
int creds_new_user_ns(struct task *t, struct creds **ret) must_check;
