/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/mount.c: mounts and the tree they form: making, finding, attaching, taking away. Source:
 * mount(2), umount2(2), mount_namespaces(7).
 *
 * References: a mount is kept by the tree (one for being in its parent's children or being a namespace's
 * root), by each child's `parent`, and by paths. What a change lets go of is put on a list and dropped by
 * mounts_put() once the lock is free, because that may end a file system.
 *
 * Lock: vfs.mounts_lock (RANK_MOUNTS) for all of it.
 */
#include "sentry/vfs/mount.h"

#include <errno.h>

#include "base/abi/linux/mount.h"
#include "sentry/heap/heap.h"
#include "sentry/vfs/fanotify.h"
#include "sentry/vfs/vfs_internal.h"

HEAP_TYPE(mount, struct mount, 0);

static void mount_destroy(struct mount *m);
DEFINE_REF(mount, mount_destroy);

struct path path_get(const struct path *p) {
    return (struct path){p->mount ? mount_ref(p->mount) : NULL, p->dentry ? dentry_ref(p->dentry) : NULL};
}

void path_put(struct path *p) {
    p->dentry = dentry_unref(p->dentry);
    p->mount = mount_unref(p->mount);
}

struct mount *mount_new(struct vfs *v, struct filesystem *fs, struct dentry *root, uint32_t flags,
                        const char *source) {
    struct mount *m = heap_new(mount);

    if (!m)
        return NULL;
    if (source && !(m->source = heap_strdup(source))) {
        heap_free(m);
        return NULL;
    }
    mount_ref_init(m);
    m->fs = filesystem_ref(fs);
    m->root = dentry_ref(root);
    m->flags = flags;
    list_init(&m->children);
    list_init(&m->child_node);
    list_init(&m->ns_node);
    list_init(&m->hash_node);
    list_init(&m->peer_node);
    mutex_lock(&v->mounts_lock);
    m->id = ++v->last_mount_id;
    mutex_unlock(&v->mounts_lock);
    return m;
}

static void mount_destroy(struct mount *m) {
    ASSERT(list_empty(&m->children));
    ASSERT(!m->parent);
    ASSERT(!m->ns);
    fanotify_mount_gone(m);
    if (!list_empty(&m->peer_node)) {
        struct vfs *v = vfs_of(m->fs);
        mutex_lock(&v->mounts_lock);
        mount_group_leave_locked(v, m);
        mutex_unlock(&v->mounts_lock);
    }
    heap_free(m->source);
    dentry_unref(m->root);
    struct filesystem *fs = m->fs;
    heap_free(m);
    filesystem_unref(fs);
}

/* ---- the tree ---- */

static struct list *bucket_of(struct vfs *v, const struct mount *m, const struct dentry *d) {
    uint64_t h = ((uint64_t)(uintptr_t)m >> 6) * 0x9e3779b97f4a7c15ull ^
                 ((uint64_t)(uintptr_t)d >> 6) * 0xc2b2ae3d27d4eb4full;

    return &v->mount_hash[(h >> 40) % MOUNT_BUCKETS];
}

struct mount *mount_on_locked(struct vfs *v, struct mount *m, struct dentry *d) {
    struct list *bucket = bucket_of(v, m, d);
    struct mount *c;

    list_for_each_entry(c, bucket, hash_node) if (c->parent == m && c->mountpoint == d) return c;
    return NULL;
}

void mnt_ns_changed_locked(struct vfs *v, struct mnt_ns *ns) {
    ns->event = ++v->last_ns_event;
    waitq_wake(&ns->changed, LINUX_POLLPRI | LINUX_POLLERR);
}

void mount_attach_locked(struct vfs *v, struct mount *m, struct mount *parent, struct dentry *at,
                         struct mnt_ns *ns) {
    ASSERT(!m->parent);
    m->parent = mount_ref(parent);
    m->mountpoint = dentry_ref(at);
    atomic_fetch_add(&at->mounts, 1);
    list_add_tail(&parent->children, &m->child_node);
    list_add(bucket_of(v, parent, at), &m->hash_node);
    if (ns)
        mount_set_ns_locked(m, ns);
}

struct mount *mount_next_locked(struct mount *m, struct mount *top) {
    if (!list_empty(&m->children))
        return list_first_entry(&m->children, struct mount, child_node);
    while (m != top) {
        if (m->child_node.next != &m->parent->children)
            return list_next_entry(m, child_node);
        m = m->parent;
    }
    return NULL;
}

/* A namespace lists its mounts by id, as Linux does. New ones are nearly always the last. */
static void list_in_ns_locked(struct mnt_ns *ns, struct mount *m) {
    struct list *after = ns->mounts.prev;

    while (after != &ns->mounts && container_of(after, struct mount, ns_node)->id > m->id)
        after = after->prev;
    list_add(after, &m->ns_node);
    ns->count++;
}

void mount_set_ns_locked(struct mount *tree, struct mnt_ns *ns) {
    for (struct mount *m = tree; m; m = mount_next_locked(m, tree)) {
        if (m->ns) {
            list_del(&m->ns_node);
            m->ns->count--;
        }
        m->ns = ns;
        if (ns)
            list_in_ns_locked(ns, m);
    }
}

size_t mount_tree_size_locked(struct mount *tree) {
    size_t n = 0;

    for (struct mount *m = tree; m; m = mount_next_locked(m, tree))
        n++;
    return n;
}

/* Out of the hash and the parent's children; parent and mount point wait in m->put. The tree's reference
 * stays with the caller. */
static void unlink_locked(struct mount *m) {
    if (!m->parent)
        return;
    ASSERT(!m->put.mount);
    m->put = (struct path){m->parent, m->mountpoint};
    atomic_fetch_sub(&m->mountpoint->mounts, 1);
    m->parent = NULL;
    m->mountpoint = NULL;
    list_del(&m->child_node);
    list_del(&m->hash_node);
}

void mount_detach_locked(struct vfs *v, struct mount *m, struct list *gone) {
    unlink_locked(m);
    if (m->ns) {
        mnt_ns_changed_locked(v, m->ns);
        list_del(&m->ns_node);
        m->ns->count--;
        m->ns = NULL;
    }
    mount_group_leave_locked(v, m);
    list_add_tail(gone, &m->child_node);
}

void mount_detach_tree_locked(struct vfs *v, struct mount *m, struct list *gone) {
    for (;;) {
        struct mount *leaf = m;
        while (!list_empty(&leaf->children))
            leaf = list_first_entry(&leaf->children, struct mount, child_node);
        mount_detach_locked(v, leaf, gone);
        if (leaf == m)
            return;
    }
}

void mounts_put(struct list *gone) {
    while (!list_empty(gone)) {
        struct mount *m = list_first_entry(gone, struct mount, child_node);
        list_del(&m->child_node);
        path_put(&m->put);
        mount_unref(m);
    }
}

static struct mount *copy_one(struct vfs *v, struct mount *m, struct dentry *root, unsigned how) {
    struct mount *c = heap_new(mount);

    if (!c)
        return NULL;
    if (m->source && !(c->source = heap_strdup(m->source))) {
        heap_free(c);
        return NULL;
    }
    mount_ref_init(c);
    c->fs = filesystem_ref(m->fs);
    c->root = dentry_ref(root);
    c->id = ++v->last_mount_id;
    c->copied_from = m->id;
    c->flags = m->flags & ~(uint32_t)(MOUNT_EXPIRY_MARK | MOUNT_EXPIRY_FRESH);
    if (how & COPY_LOCK)
        c->flags |= MOUNT_LOCK_FLAGS | (m->parent ? MOUNT_LOCKED : 0);
    list_init(&c->children);
    list_init(&c->child_node);
    list_init(&c->ns_node);
    list_init(&c->hash_node);
    list_init(&c->peer_node);
    mount_group_join_locked(v, c, m, how);
    return c;
}

/* Copies `from` with `root` shown, and, if recursive, what is mounted below that. On failure what was made
 * goes to `gone`. */
int mount_copy_tree_locked(struct vfs *v, struct mount *from, struct dentry *root, bool recursive,
                           unsigned how, struct mount **ret, struct list *gone) {
    struct mount *top = copy_one(v, from, root, how);

    if (!top)
        return -ENOMEM;
    top->flags &= ~(uint32_t)MOUNT_LOCKED;
    from->copy = top;
    struct mount *m = recursive ? mount_next_locked(from, from) : NULL;
    while (m) {
        /* Skips what is not below `root`, and unbindable mounts, with all that is on them. */
        bool skip = (m->parent == from && !dentry_is_below(m->mountpoint, root)) ||
                    (how & COPY_SKIP_UNBINDABLE && m->propagation == PROPAGATE_UNBINDABLE);
        if (skip) {
            while (m != from && m->child_node.next == &m->parent->children)
                m = m->parent;
            m = m == from ? NULL : list_next_entry(m, child_node);
            continue;
        }
        struct mount *c = copy_one(v, m, m->root, how);
        if (!c) {
            mount_detach_tree_locked(v, top, gone);
            return -ENOMEM;
        }
        m->copy = c;
        mount_attach_locked(v, c, m->parent->copy, m->mountpoint, NULL);
        m = mount_next_locked(m, from);
    }
    *ret = top;
    return 0;
}

int mount_attach_tree_locked(struct vfs *v, struct mount *tree, struct mount *parent, struct dentry *at,
                             struct mnt_ns *ns, struct list *gone) {
    if (ns->count + mount_tree_size_locked(tree) > MOUNTS_MAX)
        return -ENOSPC;
    int r = mount_propagate_attach_locked(v, tree, parent, at, gone);
    if (r < 0)
        return r;
    mount_attach_locked(v, tree, parent, at, ns);
    mnt_ns_changed_locked(v, ns);
    return 0;
}

/* ---- crossing ---- */

bool path_cross_mounts(struct path *p) {
    bool moved = false;

    while (atomic_load_explicit(&p->dentry->mounts, memory_order_acquire) > 0) {
        struct vfs *v = vfs_of(p->mount->fs);
        mutex_lock(&v->mounts_lock);
        struct mount *m = mount_on_locked(v, p->mount, p->dentry);
        struct path next = {m ? mount_ref(m) : NULL, m ? dentry_ref(m->root) : NULL};
        if (m && m->flags & MOUNT_EXPIRY_MARK)
            m->flags &=
                m->flags & MOUNT_EXPIRY_FRESH ? ~(uint32_t)MOUNT_EXPIRY_FRESH : ~(uint32_t)MOUNT_EXPIRY_MARK;
        mutex_unlock(&v->mounts_lock);
        if (!m)
            break;
        path_put(p);
        *p = next;
        moved = true;
    }
    return moved;
}

bool path_cross_up(struct path *p) {
    struct vfs *v = vfs_of(p->mount->fs);

    mutex_lock(&v->mounts_lock);
    struct mount *m = p->mount;
    struct path up = {m->parent ? mount_ref(m->parent) : NULL, m->parent ? dentry_ref(m->mountpoint) : NULL};
    mutex_unlock(&v->mounts_lock);
    if (!up.mount)
        return false;
    path_put(p);
    *p = up;
    return true;
}

/* ---- umount ---- */

static int umount_locked(struct vfs *v, struct mnt_ns *ns, struct mount *m, int flags, struct list *gone) {
    if (m->ns != ns || m->flags & MOUNT_LOCKED)
        return -EINVAL;
    if (!m->parent)
        return flags & LINUX_MNT_DETACH ? -EINVAL : -EBUSY;
    if (!(flags & LINUX_MNT_DETACH)) {
        /* The tree and the caller's path. */
        if (!list_empty(&m->children) || atomic_load(&m->ref.count) > 2)
            return -EBUSY;
    }
    if (flags & LINUX_MNT_EXPIRE && !(m->flags & MOUNT_EXPIRY_MARK)) {
        m->flags |= MOUNT_EXPIRY_MARK | MOUNT_EXPIRY_FRESH;
        return -EAGAIN;
    }
    mount_propagate_detach_locked(v, m, gone);
    mount_detach_tree_locked(v, m, gone);
    return 0;
}

int vfs_umount(struct mnt_ns *ns, const struct path *at, int flags) {
    struct vfs *v = ns->kernel->vfs;
    struct list gone = LIST_INIT(gone);

    if (flags & LINUX_MNT_EXPIRE && flags & (LINUX_MNT_FORCE | LINUX_MNT_DETACH))
        return -EINVAL;
    if (at->dentry != at->mount->root)
        return -EINVAL;
    if (!(flags & LINUX_MNT_DETACH) && at->mount->fs->ops->sync)
        (void)at->mount->fs->ops->sync(at->mount->fs);
    mutex_lock(&v->mounts_lock);
    int r = umount_locked(v, ns, at->mount, flags, &gone);
    mutex_unlock(&v->mounts_lock);
    mounts_put(&gone);
    return r;
}
