/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/creds.c: see creds.h. Source: credentials(7), capabilities(7), user_namespaces(7).
 */
#include "sentry/kernel/creds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/landlock.h"

HEAP_TYPE(creds, struct creds, 0);
HEAP_TYPE(user_ns, struct user_ns, 0);

/* ---- user namespaces ---- */

static void user_ns_destroy(struct user_ns *ns) {
    user_ns_unref(ns->parent);
    heap_free(ns->uid_map);
    heap_free(ns->gid_map);
    heap_free(ns);
}
DEFINE_REF(user_ns, user_ns_destroy);

struct user_ns *user_ns_new(struct kernel *k, struct user_ns *parent, const struct creds *owner) {
    struct user_ns *ns = heap_new(user_ns);

    if (!ns)
        return NULL;
    user_ns_ref_init(ns);
    mutex_init(&ns->lock, RANK_CREDS);
    ns->inode = kernel_new_inode(k);
    if (!parent)
        return ns;
    ns->parent = user_ns_ref(parent);
    ns->level = parent->level + 1;
    ns->owner = owner->euid;
    ns->owner_group = owner->egid;
    ns->setgroups_denied = parent->setgroups_denied;
    return ns;
}

bool user_ns_within(const struct user_ns *ns, const struct user_ns *ancestor) {
    while (ns && ns != ancestor)
        ns = ns->parent;
    return ns != NULL;
}

/* Through the map; from inside to outside or back. */
static uint32_t map_id(const struct id_extent *map, size_t count, uint32_t id, bool to_outside,
                       uint32_t otherwise) {
    for (size_t i = 0; i < count; i++) {
        uint32_t from = to_outside ? map[i].inside : map[i].outside;
        if (id >= from && id - from < map[i].count)
            return (to_outside ? map[i].outside : map[i].inside) + (id - from);
    }
    return otherwise;
}

static uint32_t translate(struct user_ns *ns, uint32_t id, bool group, bool to_outside, uint32_t otherwise) {
    if (!ns->parent) /* the initial one: every id is itself */
        return id;
    mutex_lock(&ns->lock);
    uint32_t r = group ? map_id(ns->gid_map, ns->gid_map_count, id, to_outside, otherwise)
                       : map_id(ns->uid_map, ns->uid_map_count, id, to_outside, otherwise);
    mutex_unlock(&ns->lock);
    return r;
}

kuid_t make_kuid(struct user_ns *ns, uint32_t uid) {
    return uid == INVALID_ID ? INVALID_ID : translate(ns, uid, false, true, INVALID_ID);
}

kgid_t make_kgid(struct user_ns *ns, uint32_t gid) {
    return gid == INVALID_ID ? INVALID_ID : translate(ns, gid, true, true, INVALID_ID);
}

uint32_t from_kuid(struct user_ns *ns, kuid_t kuid) {
    return translate(ns, kuid, false, false, OVERFLOW_ID);
}

uint32_t from_kgid(struct user_ns *ns, kgid_t kgid) {
    return translate(ns, kgid, true, false, OVERFLOW_ID);
}

static bool extents_overlap(const struct id_extent *a, const struct id_extent *b) {
    return (a->inside < (uint64_t)b->inside + b->count && b->inside < (uint64_t)a->inside + a->count) ||
           (a->outside < (uint64_t)b->outside + b->count && b->outside < (uint64_t)a->outside + a->count);
}

int user_ns_set_map(struct user_ns *ns, bool group, const struct id_extent *extents, size_t count) {
    if (count == 0 || count > USER_NS_MAX_EXTENTS)
        return -EINVAL;
    struct id_extent *copy = heap_alloc_bytes(count * sizeof *copy);
    if (!copy)
        return -ENOMEM;
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        const struct id_extent *e = &extents[i];
        copy[i] = *e;
        if (e->count == 0 || (uint64_t)e->inside + e->count > INVALID_ID ||
            (uint64_t)e->outside + e->count > INVALID_ID)
            r = -EINVAL;
        for (size_t j = 0; j < i && r == 0; j++)
            if (extents_overlap(e, &extents[j]))
                r = -EINVAL;
        /* `outside` comes in terms of the parent: kept as kernel ids. */
        if (r == 0) {
            copy[i].outside = group ? make_kgid(ns->parent, e->outside) : make_kuid(ns->parent, e->outside);
            uint32_t last = e->outside + e->count - 1;
            uint32_t klast = group ? make_kgid(ns->parent, last) : make_kuid(ns->parent, last);
            if (copy[i].outside == INVALID_ID || klast != copy[i].outside + e->count - 1)
                r = -EPERM;
        }
    }
    mutex_lock(&ns->lock);
    struct id_extent **map = group ? &ns->gid_map : &ns->uid_map;
    if (r == 0 && *map)
        r = -EPERM; /* once only */
    if (r == 0) {
        *map = TAKE(copy);
        *(group ? &ns->gid_map_count : &ns->uid_map_count) = count;
    }
    mutex_unlock(&ns->lock);
    heap_free(copy);
    return r;
}

/* ---- credentials ---- */

static void creds_destroy(struct creds *c) {
    user_ns_unref(c->user_ns);
    landlock_layer_unref(c->landlock);
    heap_free(c->groups);
    heap_free(c);
}
DEFINE_REF(creds, creds_destroy);
_Static_assert(offsetof(struct creds, ref) == 0, "creds_copy() copies what follows");

struct creds *creds_new_root(struct user_ns *ns) {
    struct creds *c = heap_new(creds);

    if (!c)
        return NULL;
    creds_ref_init(c);
    c->permitted = c->effective = c->bounding = CAP_FULL_SET;
    c->user_ns = user_ns_ref(ns);
    return c;
}

struct creds *creds_copy(const struct creds *from) {
    struct creds *c = heap_new(creds);

    if (!c)
        return NULL;
    /* all but the count, which others change meanwhile */
    memcpy((char *)c + sizeof c->ref, (const char *)from + sizeof from->ref, sizeof *c - sizeof c->ref);
    c->groups = NULL;
    if (from->group_count > 0) {
        c->groups = heap_alloc_bytes(from->group_count * sizeof *c->groups);
        if (!c->groups) {
            heap_free(c);
            return NULL;
        }
        memcpy(c->groups, from->groups, from->group_count * sizeof *c->groups);
    }
    creds_ref_init(c);
    user_ns_ref(c->user_ns);
    if (c->landlock)
        landlock_layer_ref(c->landlock);
    return c;
}

static int compare_gids(const void *a, const void *b) {
    kgid_t x = *(const kgid_t *)a, y = *(const kgid_t *)b;
    return x < y ? -1 : x > y;
}

int creds_set_groups(struct creds *c, const kgid_t *groups, size_t count) {
    kgid_t *copy = NULL;

    if (count > 0) {
        copy = heap_alloc_bytes(count * sizeof *copy);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, groups, count * sizeof *copy);
        qsort(copy, count, sizeof *copy, compare_gids);
    }
    heap_free(c->groups);
    c->groups = copy;
    c->group_count = count;
    return 0;
}

static bool in_groups(const struct creds *c, kgid_t gid) {
    return c->group_count > 0 && bsearch(&gid, c->groups, c->group_count, sizeof gid, compare_gids);
}

bool creds_in_group(const struct creds *c, kgid_t gid) {
    return gid == c->fsgid || in_groups(c, gid);
}

bool creds_in_egroup(const struct creds *c, kgid_t gid) {
    return gid == c->egid || in_groups(c, gid);
}

bool creds_has_cap_in(const struct creds *c, struct user_ns *ns, int cap) {
    for (;; ns = ns->parent) {
        if (ns == c->user_ns)
            return (c->effective >> cap) & 1;
        if (ns->level <= c->user_ns->level || !ns->parent)
            return false;
        /* The owner of a namespace has all capabilities in it when looking from its parent. */
        if (ns->parent == c->user_ns && ns->owner == c->euid)
            return true;
    }
}

void creds_fill_new_user_ns(struct creds *c, struct user_ns *ns) {
    user_ns_unref(c->user_ns);
    c->user_ns = user_ns_ref(ns);
    c->permitted = c->effective = c->bounding = CAP_FULL_SET;
    c->inheritable = c->ambient = 0;
    c->securebits = 0;
}

void creds_fix_caps_for_ids(struct creds *new, const struct creds *old) {
    uint32_t root = make_kuid(old->user_ns, 0);
    bool fixup = !(old->securebits & LINUX_SECBIT_NO_SETUID_FIXUP);

    if (!fixup)
        return;
    bool had_root = old->uid == root || old->euid == root || old->suid == root;
    bool has_root = new->uid == root || new->euid == root || new->suid == root;
    if (had_root && !has_root) {
        if (!(old->securebits & LINUX_SECBIT_KEEP_CAPS))
            new->permitted = new->effective = 0;
        new->ambient = 0;
    }
    if (old->euid == root && new->euid != root)
        new->effective = 0;
    if (old->euid != root && new->euid == root)
        new->effective = new->permitted;
}

/* Capabilities that follow the file system id. capabilities(7), "Effect of user ID changes on capabilities".
 */
#define FS_CAPS                                                                                              \
    ((1ull << LINUX_CAP_CHOWN) | (1ull << LINUX_CAP_DAC_OVERRIDE) | (1ull << LINUX_CAP_DAC_READ_SEARCH) |    \
     (1ull << LINUX_CAP_FOWNER) | (1ull << LINUX_CAP_FSETID) | (1ull << LINUX_CAP_LINUX_IMMUTABLE) |         \
     (1ull << LINUX_CAP_MAC_OVERRIDE) | (1ull << LINUX_CAP_MKNOD))

void creds_fix_caps_for_fsuid(struct creds *new, const struct creds *old) {
    uint32_t root = make_kuid(old->user_ns, 0);

    if (old->securebits & LINUX_SECBIT_NO_SETUID_FIXUP)
        return;
    if (old->fsuid == root && new->fsuid != root)
        new->effective &= ~FS_CAPS;
    if (old->fsuid != root && new->fsuid == root)
        new->effective |= new->permitted &FS_CAPS;
}

int creds_new_user_ns(struct task *t, struct creds **ret) {
    const struct creds *old = t->creds;

    if (old->user_ns->level + 1 > USER_NS_MAX_LEVEL)
        return -ENOSPC;
    /* who has no name in its own namespace cannot own another: user_namespaces(7) */
    if (from_kuid(old->user_ns, old->euid) == OVERFLOW_ID ||
        from_kgid(old->user_ns, old->egid) == OVERFLOW_ID)
        return -EPERM;
    cleanup(user_ns_unrefp) struct user_ns *ns = user_ns_new(t->kernel, old->user_ns, old);
    struct creds *c = ns ? creds_copy(old) : NULL;
    if (!c)
        return -ENOMEM;
    creds_fill_new_user_ns(c, ns);
    *ret = c;
    return 0;
}
