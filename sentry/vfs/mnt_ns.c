/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/mnt_ns.c: mount namespaces: making, copying, listing; and the VFS of a kernel as a whole.
 * Source: mount_namespaces(7), proc(5) "mountinfo".
 *
 * A namespace is kept by the nsproxies in it. Its mounts are kept by its tree (mount.c); ns->root is the
 * tree's reference of the topmost.
 */
#include <errno.h>

#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/heap/heap.h"
#include "sentry/vfs/vfs_internal.h"

HEAP_TYPE(mnt_ns, struct mnt_ns, 0);
HEAP_TYPE(vfs, struct vfs, 0);

static void mnt_ns_destroy(struct mnt_ns *ns);
DEFINE_REF(mnt_ns, mnt_ns_destroy);

struct mnt_ns *mnt_ns_alloc(struct kernel *k, struct user_ns *user_ns) {
    struct mnt_ns *ns = heap_new(mnt_ns);

    if (!ns)
        return NULL;
    mnt_ns_ref_init(ns);
    ns->kernel = k;
    ns->user_ns = user_ns_ref(user_ns);
    ns->inode = kernel_new_inode(k);
    list_init(&ns->mounts);
    waitq_init(&ns->changed);
    return ns;
}

static void mnt_ns_destroy(struct mnt_ns *ns) {
    struct vfs *v = ns->kernel->vfs;
    struct list gone = LIST_INIT(gone);

    mutex_lock(&v->mounts_lock);
    if (ns->root)
        mount_detach_tree_locked(v, ns->root, &gone);
    mutex_unlock(&v->mounts_lock);
    ns->root = NULL;
    mounts_put(&gone);
    ASSERT(list_empty(&ns->mounts));
    user_ns_unref(ns->user_ns);
    heap_free(ns);
}

int mnt_ns_new(struct kernel *k, struct filesystem *fs, uint32_t flags, struct user_ns *user_ns,
               struct mnt_ns **ret) {
    struct mnt_ns *ns = mnt_ns_alloc(k, user_ns);

    if (!ns)
        return -ENOMEM;
    ns->root = mount_new(k->vfs, fs, fs->root, flags, fs->type->name);
    if (!ns->root) {
        mnt_ns_unref(ns);
        return -ENOMEM;
    }
    mutex_lock(&k->vfs->mounts_lock);
    mount_set_ns_locked(ns->root, ns);
    mutex_unlock(&k->vfs->mounts_lock);
    *ret = ns;
    return 0;
}

int mnt_ns_copy(struct mnt_ns *from, struct user_ns *user_ns, struct mnt_ns **ret) {
    struct vfs *v = from->kernel->vfs;
    struct mnt_ns *ns = mnt_ns_alloc(from->kernel, user_ns);
    struct list gone = LIST_INIT(gone);
    unsigned how = 0;

    if (!ns)
        return -ENOMEM;
    if (user_ns != from->user_ns)
        how |= COPY_AS_SLAVE | COPY_LOCK;
    mutex_lock(&v->mounts_lock);
    int r =
        mount_copy_tree_locked(v, from->root, from->root->root, /* recursive= */ true, how, &ns->root, &gone);
    if (r == 0)
        mount_set_ns_locked(ns->root, ns);
    mutex_unlock(&v->mounts_lock);
    mounts_put(&gone);
    if (r < 0) {
        mnt_ns_unref(ns);
        return r;
    }
    *ret = ns;
    return 0;
}

int mnt_ns_translate(struct mnt_ns *copy, const struct path *p, struct path *ret) {
    struct vfs *v = copy->kernel->vfs;
    struct mount *m, *found = NULL;

    mutex_lock(&v->mounts_lock);
    list_for_each_entry(m, &copy->mounts, ns_node) {
        if (m->copied_from == p->mount->id) {
            found = mount_ref(m);
            break;
        }
    }
    mutex_unlock(&v->mounts_lock);
    if (!found)
        return -ENOENT;
    *ret = (struct path){found, dentry_ref(p->dentry)};
    return 0;
}

struct path mnt_ns_root(struct mnt_ns *ns) {
    struct vfs *v = ns->kernel->vfs;

    mutex_lock(&v->mounts_lock);
    struct path p = {mount_ref(ns->root), dentry_ref(ns->root->root)};
    mutex_unlock(&v->mounts_lock);
    (void)path_cross_mounts(&p);
    return p;
}

/* ---- listing ---- */

struct ns_entry {
    struct mount *mount; /* reference */
    int parent_id;
};

/* In mount order. NULL with *ret_count 0 never happens: a namespace has a root. */
static struct ns_entry *snapshot(struct mnt_ns *ns, size_t *ret_count) {
    struct vfs *v = ns->kernel->vfs;
    struct mount *m;
    size_t n = 0;

    mutex_lock(&v->mounts_lock);
    struct ns_entry *all = heap_alloc_array(ns->count, sizeof *all);
    if (all) {
        list_for_each_entry(m, &ns->mounts, ns_node) all[n++] =
            (struct ns_entry){mount_ref(m), m->parent ? m->parent->id : m->id};
    }
    mutex_unlock(&v->mounts_lock);
    *ret_count = n;
    return all;
}

int mnt_ns_for_each(struct mnt_ns *ns, const struct path *root,
                    void (*fn)(const struct mount *m, int parent_id, const char *mountpoint, void *arg),
                    void *arg) {
    size_t count;
    struct ns_entry *all = snapshot(ns, &count);
    int r = 0;

    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct path p = {all[i].mount, all[i].mount->root};
        char *text;
        int got = r == 0 ? path_text(&p, root, &text) : -ENOMEM;
        if (got == 0) {
            if (text[0] == '/')
                fn(all[i].mount, all[i].parent_id, text, arg);
            heap_free(text);
        } else {
            r = got;
        }
        mount_unref(all[i].mount);
    }
    heap_free(all);
    return r;
}

struct mount *mnt_ns_find(struct mnt_ns *ns, uint64_t unique_id, int *ret_parent_id) {
    struct vfs *v = ns->kernel->vfs;
    struct mount *m, *found = NULL;

    mutex_lock(&v->mounts_lock);
    list_for_each_entry(m, &ns->mounts, ns_node) {
        if (mount_unique_id(m) == unique_id) {
            found = mount_ref(m);
            *ret_parent_id = m->parent ? m->parent->id : m->id;
            break;
        }
    }
    mutex_unlock(&v->mounts_lock);
    return found;
}

/* ---- the whole ---- */

static int anon_create(struct vfs *v);

int vfs_create(struct kernel *k) {
    struct vfs *v = heap_new(vfs);

    if (!v)
        return -ENOMEM;
    k->vfs = v;
    v->kernel = k;
    mutex_init(&v->mounts_lock, RANK_MOUNTS);
    mutex_init(&v->epoll_graph, RANK_EPOLL_GRAPH);
    mutex_init(&v->lock_graph, RANK_FILE_LOCK_GRAPH);
    mutex_init(&v->marks_lock, RANK_LEAF);
    list_init(&v->marks);
    list_init(&v->grouped);
    list_init(&v->blocked_locks);
    list_init(&v->all_locks);
    vfs_settings_init(v);
    list_init(&v->fan_marks);
    mutex_init(&v->fan_lock, RANK_LEAF);
    v->mount_hash = heap_alloc_array(MOUNT_BUCKETS, sizeof *v->mount_hash);
    int r = v->mount_hash ? dcache_create(v) : -ENOMEM;
    for (size_t i = 0; r == 0 && i < MOUNT_BUCKETS; i++)
        list_init(&v->mount_hash[i]);
    if (r == 0)
        r = anon_create(v);
    if (r < 0)
        vfs_destroy(k);
    return r;
}

void vfs_destroy(struct kernel *k) {
    struct vfs *v = k->vfs;

    for (int i = 0; i < ANON_FS_COUNT; i++)
        v->anon[i] = mount_unref(v->anon[i]);
    v->memfds = mount_unref(v->memfds);
    dcache_destroy(v);
    heap_free(v->mount_hash);
    heap_free(v);
    k->vfs = NULL;
}

static int anon_create(struct vfs *v) {
    for (int i = 0; i < ANON_FS_COUNT; i++) {
        struct filesystem *fs;
        int r = anon_fs_create(v, (enum anon_fs)i, &fs);
        if (r < 0)
            return r;
        v->anon[i] = mount_new(v, fs, fs->root, MOUNT_INTERNAL, fs->type->name);
        filesystem_unref(fs);
        if (!v->anon[i])
            return -ENOMEM;
    }
    return 0;
}

int vfs_internal_tmpfs(struct kernel *k, struct mount **ret) {
    struct vfs *v = k->vfs;
    struct filesystem *fs;
    struct mount *made = NULL;

    mutex_lock(&v->mounts_lock);
    bool there = v->memfds != NULL;
    mutex_unlock(&v->mounts_lock);
    if (!there) {
        int r = tmpfs_create(k, 0, 01777, &fs);
        if (r < 0)
            return r;
        made = mount_new(v, fs, fs->root, MOUNT_INTERNAL, "tmpfs");
        filesystem_unref(fs);
        if (!made)
            return -ENOMEM;
    }
    mutex_lock(&v->mounts_lock);
    if (!v->memfds)
        v->memfds = made ? mount_ref(made) : NULL;
    *ret = mount_ref(v->memfds);
    mutex_unlock(&v->mounts_lock);
    mount_unref(made);
    return 0;
}
