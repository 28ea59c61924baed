/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/posix_acl.c: see posix_acl.h.
 */
#include "sentry/vfs/posix_acl.h"

#include <errno.h>
#include <string.h>

#include "base/abi/linux/xattr.h"
#include "sentry/heap/heap.h"
#include "sentry/vfs/vfs_internal.h"

enum { ACL_VERSION = 2 };

/* The value of the attribute: a header, then entries. */
struct acl_xattr_entry {
    uint16_t tag, perm;
    uint32_t id;
};

HEAP_TYPE(posix_acl, struct posix_acl, 0);

static void posix_acl_destroy(struct posix_acl *a) {
    heap_free(a->entries);
    heap_free(a);
}
DEFINE_REF(posix_acl, posix_acl_destroy);

static struct posix_acl *acl_new(uint32_t count) {
    struct posix_acl *a = heap_new(posix_acl);

    if (!a)
        return NULL;
    a->entries = heap_alloc_bytes(MAX(count, 1u) * sizeof *a->entries);
    if (!a->entries) {
        heap_free(a);
        return NULL;
    }
    posix_acl_ref_init(a);
    a->count = count;
    return a;
}

static struct posix_acl *acl_clone(const struct posix_acl *from) {
    struct posix_acl *a = acl_new(from->count);

    if (a)
        memcpy(a->entries, from->entries, from->count * sizeof *a->entries);
    return a;
}

static const char *const g_names[ACL_KINDS] = {
    [ACL_ACCESS] = "system.posix_acl_access",
    [ACL_DEFAULT] = "system.posix_acl_default",
};

const char *acl_xattr_name(enum acl_kind kind) {
    return g_names[kind];
}

bool acl_kind_of_xattr(const char *name, enum acl_kind *ret) {
    for (int k = 0; k < ACL_KINDS; k++) {
        if (strcmp(name, g_names[k]) == 0) {
            *ret = (enum acl_kind)k;
            return true;
        }
    }
    return false;
}

/* ---- text ---- */

static int parse_entry(const struct acl_xattr_entry *x, struct user_ns *ns, struct acl_entry *ret) {
    *ret = (struct acl_entry){.tag = x->tag, .perm = x->perm, .id = INVALID_ID};
    switch (x->tag) {
    case ACL_USER_OBJ:
    case ACL_GROUP_OBJ:
    case ACL_MASK:
    case ACL_OTHER:
        return 0;
    case ACL_USER:
        ret->id = make_kuid(ns, x->id);
        return ret->id == INVALID_ID ? -EINVAL : 0;
    case ACL_GROUP:
        ret->id = make_kgid(ns, x->id);
        return ret->id == INVALID_ID ? -EINVAL : 0;
    default:
        return -EINVAL;
    }
}

/* acl(5) "VALID ACLs": each of the three owners once, in order, and a mask if anyone is named. */
static int check_order(const struct posix_acl *a) {
    static const uint16_t order[] = {ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER};
    unsigned at = 0, seen = 0;

    for (uint32_t i = 0; i < a->count; i++) {
        const struct acl_entry *e = &a->entries[i];
        bool named = e->tag == ACL_USER || e->tag == ACL_GROUP;
        while (at < ARRAY_SIZE(order) && order[at] != e->tag)
            at++;
        if (at == ARRAY_SIZE(order) || e->perm & ~7u || (seen & e->tag && !named))
            return -EINVAL;
        seen |= e->tag;
    }
    const unsigned owners = ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER;
    if ((seen & owners) != owners || (seen & (ACL_USER | ACL_GROUP) && !(seen & ACL_MASK)))
        return -EINVAL;
    return 0;
}

int posix_acl_parse(const void *value, size_t size, struct user_ns *ns, struct posix_acl **ret) {
    struct acl_xattr_entry x;
    uint32_t version;

    *ret = NULL;
    if (!value || size == 0)
        return 0;
    if (size < sizeof version)
        return -EINVAL;
    memcpy(&version, value, sizeof version);
    if (version != ACL_VERSION)
        return -EOPNOTSUPP;
    size -= sizeof version;
    if (size % sizeof x || size / sizeof x > ACL_MAX_ENTRIES)
        return -EINVAL;
    if (size == 0)
        return 0;
    struct posix_acl *a = acl_new((uint32_t)(size / sizeof x));
    if (!a)
        return -ENOMEM;
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < a->count; i++) {
        memcpy(&x, (const char *)value + sizeof version + i * sizeof x, sizeof x);
        r = parse_entry(&x, ns, &a->entries[i]);
    }
    if (r == 0)
        r = check_order(a);
    if (r < 0) {
        posix_acl_unref(a);
        return r;
    }
    *ret = a;
    return 0;
}

ssize_t posix_acl_format(const struct posix_acl *a, struct user_ns *ns, void *buf, size_t size) {
    uint32_t version = ACL_VERSION;
    size_t need = sizeof version + a->count * sizeof(struct acl_xattr_entry);

    if (size == 0)
        return (ssize_t)need;
    if (need > size)
        return -ERANGE;
    memcpy(buf, &version, sizeof version);
    for (uint32_t i = 0; i < a->count; i++) {
        const struct acl_entry *e = &a->entries[i];
        struct acl_xattr_entry x = {.tag = e->tag, .perm = e->perm, .id = INVALID_ID};
        if (e->tag == ACL_USER)
            x.id = from_kuid(ns, e->id);
        else if (e->tag == ACL_GROUP)
            x.id = from_kgid(ns, e->id);
        memcpy((char *)buf + sizeof version + i * sizeof x, &x, sizeof x);
    }
    return (ssize_t)need;
}

/* ---- on inodes ---- */

struct posix_acl *inode_get_acl(struct inode *i, enum acl_kind kind) {
    if (!atomic_load_explicit(&i->has_acl, memory_order_relaxed))
        return NULL;
    mutex_lock(&i->acl_lock);
    struct posix_acl *a = i->acls[kind] ? posix_acl_ref(i->acls[kind]) : NULL;
    mutex_unlock(&i->acl_lock);
    return a;
}

void inode_put_acl(struct inode *i, enum acl_kind kind, struct posix_acl *acl) {
    if (acl)
        posix_acl_ref(acl);
    mutex_lock(&i->acl_lock);
    struct posix_acl *old = i->acls[kind];
    i->acls[kind] = acl;
    atomic_store(&i->has_acl, i->acls[ACL_ACCESS] || i->acls[ACL_DEFAULT]);
    mutex_unlock(&i->acl_lock);
    posix_acl_unref(old);
}

void inode_copy_acls(struct inode *to, struct inode *from) {
    if (!atomic_load_explicit(&from->has_acl, memory_order_relaxed) &&
        !atomic_load_explicit(&to->has_acl, memory_order_relaxed))
        return;
    for (int k = 0; k < ACL_KINDS; k++) {
        struct posix_acl *a = inode_get_acl(from, (enum acl_kind)k);
        inode_put_acl(to, (enum acl_kind)k, a);
        posix_acl_unref(a);
    }
}

/* ---- what it allows: acl(5) "ACCESS CHECK ALGORITHM" ---- */

static int masked(const struct posix_acl *a, uint32_t from, unsigned want) {
    unsigned perm = a->entries[from].perm;

    for (uint32_t i = from + 1; i < a->count; i++)
        if (a->entries[i].tag == ACL_MASK)
            perm &= a->entries[i].perm;
    return (perm & want) == want ? 0 : -EACCES;
}

int posix_acl_permission(const struct posix_acl *a, const struct inode *inode, const struct creds *c,
                         unsigned want) {
    bool in_a_group = false;

    for (uint32_t i = 0; i < a->count; i++) {
        const struct acl_entry *e = &a->entries[i];
        switch (e->tag) {
        case ACL_USER:
            if (e->id == c->fsuid)
                return masked(a, i, want);
            break;
        case ACL_GROUP_OBJ:
        case ACL_GROUP:
            if (!creds_in_group(c, e->tag == ACL_GROUP ? e->id : inode->gid))
                break;
            in_a_group = true;
            if ((e->perm & want) == want)
                return masked(a, i, want);
            break;
        case ACL_OTHER:
            return !in_a_group && (e->perm & want) == want ? 0 : -EACCES;
        default: /* USER_OBJ: the mode has said so already */
            break;
        }
    }
    return -EACCES;
}

/* ---- modes ---- */

static struct acl_entry *find_entry(struct posix_acl *a, unsigned tag) {
    for (uint32_t i = 0; i < a->count; i++)
        if (a->entries[i].tag == tag)
            return &a->entries[i];
    return NULL;
}

/* The entry that the mode's group bits stand for. */
static struct acl_entry *group_class(struct posix_acl *a) {
    struct acl_entry *mask = find_entry(a, ACL_MASK);

    return mask ? mask : find_entry(a, ACL_GROUP_OBJ);
}

static uint32_t mode_of(struct posix_acl *a) {
    return (uint32_t)find_entry(a, ACL_USER_OBJ)->perm << 6 | (uint32_t)group_class(a)->perm << 3 |
           find_entry(a, ACL_OTHER)->perm;
}

static bool says_more_than_mode(const struct posix_acl *a) {
    return a->count > 3;
}

/* Neither list nor mode allows more than both do. */
static void restrict_to(struct posix_acl *a, uint32_t *mode) {
    struct acl_entry *user = find_entry(a, ACL_USER_OBJ), *group = group_class(a),
                     *other = find_entry(a, ACL_OTHER);

    user->perm &= (uint16_t)(*mode >> 6 & 7);
    group->perm &= (uint16_t)(*mode >> 3 & 7);
    other->perm &= (uint16_t)(*mode & 7);
    *mode = (*mode & ~0777u) | mode_of(a);
}

int acl_inherit(struct inode *dir, uint32_t type, uint32_t umask, uint32_t *mode,
                struct acl_inheritance *ret) {
    struct posix_acl *inherited = type == LINUX_S_IFLNK ? NULL : inode_get_acl(dir, ACL_DEFAULT);

    *ret = (struct acl_inheritance){0};
    if (!inherited) {
        if (type != LINUX_S_IFLNK)
            *mode &= ~umask;
        return 0;
    }
    struct posix_acl *own = acl_clone(inherited);
    if (!own) {
        posix_acl_unref(inherited);
        return -ENOMEM;
    }
    restrict_to(own, mode);
    if (says_more_than_mode(own))
        ret->acl[ACL_ACCESS] = own;
    else
        posix_acl_unref(own);
    if (type == LINUX_S_IFDIR)
        ret->acl[ACL_DEFAULT] = inherited;
    else
        posix_acl_unref(inherited);
    return 0;
}

int acl_inherit_apply(struct acl_inheritance *a, struct inode *made, uint32_t mode) {
    int r = 0;

    for (int k = 0; r == 0 && k < ACL_KINDS; k++)
        if (a->acl[k] && made->ops->set_acl)
            r = made->ops->set_acl(made, (enum acl_kind)k, a->acl[k], (made->mode & 07000u) | (mode & 0777u));
    acl_inherit_done(a);
    return r;
}

void acl_inherit_done(struct acl_inheritance *a) {
    for (int k = 0; k < ACL_KINDS; k++)
        a->acl[k] = posix_acl_unref(a->acl[k]);
}

int acl_chmod(struct inode *i, uint32_t mode) {
    struct posix_acl *old = inode_get_acl(i, ACL_ACCESS);

    if (!old)
        return 0;
    struct posix_acl *new = acl_clone(old);
    int r = new ? 0 : -ENOMEM;
    if (new) {
        find_entry(new, ACL_USER_OBJ)->perm = (uint16_t)(mode >> 6 & 7);
        group_class(new)->perm = (uint16_t)(mode >> 3 & 7);
        find_entry(new, ACL_OTHER)->perm = (uint16_t)(mode & 7);
        r = i->ops->set_acl(i, ACL_ACCESS, new, mode);
    }
    posix_acl_unref(new);
    posix_acl_unref(old);
    return r;
}

/* ---- the calls ---- */

ssize_t vfs_get_acl(const struct path *p, enum acl_kind kind, void *buf, size_t size, const struct creds *c) {
    struct inode *i = p->dentry->inode;

    if (!i->ops->set_acl || i->type == LINUX_S_IFLNK)
        return -EOPNOTSUPP;
    struct posix_acl *a = inode_get_acl(i, kind);
    if (!a)
        return -ENODATA;
    ssize_t n = posix_acl_format(a, c->user_ns, buf, size);
    posix_acl_unref(a);
    return n;
}

/* A list that says no more than a mode is one: acl(5) "CORRESPONDENCE". The group bit for set-id goes as by
 * chmod. */
static int set_acl(struct inode *i, enum acl_kind kind, struct posix_acl *a, const struct creds *c) {
    uint32_t mode = i->mode;

    if (kind == ACL_DEFAULT && !inode_is_dir(i))
        return a ? -EACCES : 0;
    if (kind == ACL_ACCESS && a) {
        mode = (mode & ~0777u) | mode_of(a);
        if (!creds_in_group(c, i->gid) && !inode_capable(i, c, LINUX_CAP_FSETID))
            mode &= ~(uint32_t)LINUX_S_ISGID;
        if (!says_more_than_mode(a))
            a = NULL;
    }
    return i->ops->set_acl(i, kind, a, mode);
}

int vfs_set_acl(const struct path *p, enum acl_kind kind, const void *value, size_t size,
                const struct creds *c) {
    struct inode *i = p->dentry->inode;
    struct posix_acl *a;
    int r = posix_acl_parse(value, size, c->user_ns, &a);

    if (r < 0)
        return r;
    if (!inode_owner_or_capable(i, c) || i->flags & (INODE_IMMUTABLE | INODE_APPEND))
        r = -EPERM;
    else if (!i->ops->set_acl || i->type == LINUX_S_IFLNK)
        r = -EOPNOTSUPP;
    else
        r = set_acl(i, kind, a, c);
    posix_acl_unref(a);
    if (r == 0)
        vfs_notify_path(p, LINUX_IN_ATTRIB);
    return r;
}
