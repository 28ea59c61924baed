/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/mount_ops.c: what mount(2) and pivot_root(2) do once their arguments are known. Source:
 * mount(2), pivot_root(2), mount_namespaces(7). The checks of capability are the system calls'. Lock:
 * vfs.mounts_lock.
 */
#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/vfs/vfs_internal.h"

/* Attaches `tree` (one reference, given to the tree) on `at`, or gives it up. */
static int attach_at(struct mnt_ns *ns, struct mount *tree, const struct path *at) {
    struct vfs *v = ns->kernel->vfs;
    struct list gone = LIST_INIT(gone);
    int r = 0;

    if (inode_is_dir(tree->root->inode) != inode_is_dir(at->dentry->inode))
        r = -ENOTDIR;
    struct path place = path_get(at);
    (void)path_cross_mounts(&place); /* somebody may have mounted there since */
    mutex_lock(&v->mounts_lock);
    if (r == 0 && !mount_is_ours_locked(place.mount, ns))
        r = -EINVAL;
    if (r == 0 && atomic_load(&place.dentry->unhashed))
        r = -ENOENT;
    if (r == 0)
        r = mount_attach_tree_locked(v, tree, place.mount, place.dentry, place.mount->ns, &gone);
    if (r < 0)
        mount_detach_tree_locked(v, tree, &gone);
    mutex_unlock(&v->mounts_lock);
    mounts_put(&gone);
    path_put(&place);
    return r;
}

int vfs_mount_fs(struct mnt_ns *ns, struct filesystem *fs, const struct path *at, uint32_t flags,
                 const char *source) {
    struct vfs *v = ns->kernel->vfs;

    /* The same file system twice on the same place: mount(2), EBUSY. */
    if (at->mount->fs == fs && at->mount->root == at->dentry)
        return -EBUSY;
    struct mount *m = mount_new(v, fs, fs->root, flags, source);
    return m ? attach_at(ns, m, at) : -ENOMEM;
}

bool mount_is_ours_locked(const struct mount *m, const struct mnt_ns *ns) {
    return m->ns == ns || (m->ns && m->ns->anonymous && m->ns->user_ns == ns->user_ns);
}

bool mount_may_bind_locked(const struct mnt_ns *ns, const struct path *from, bool recursive) {
    struct mount *c;

    if (from->mount->propagation == PROPAGATE_UNBINDABLE ||
        (!mount_is_ours_locked(from->mount, ns) && !(from->mount->flags & MOUNT_INTERNAL)))
        return false;
    if (!recursive)
        list_for_each_entry(c, &from->mount->children,
                            child_node) if (c->flags & MOUNT_LOCKED &&
                                            dentry_is_below(c->mountpoint, from->dentry)) return false;
    return true;
}

int mount_bind_tree(struct mnt_ns *ns, const struct path *from, bool recursive, struct mount **ret) {
    struct vfs *v = ns->kernel->vfs;
    struct list gone = LIST_INIT(gone);
    struct mount *tree = NULL;
    int r = 0;

    mutex_lock(&v->mounts_lock);
    if (!mount_may_bind_locked(ns, from, recursive))
        r = -EINVAL;
    if (r == 0)
        r = mount_copy_tree_locked(v, from->mount, from->dentry, recursive, COPY_SKIP_UNBINDABLE, &tree,
                                   &gone);
    if (r == 0) {
        tree->flags &= ~(uint32_t)MOUNT_INTERNAL;
        *ret = tree;
    }
    mutex_unlock(&v->mounts_lock);
    mounts_put(&gone);
    return r;
}

int vfs_mount_bind(struct mnt_ns *ns, const struct path *from, const struct path *at, bool recursive) {
    struct mount *tree;
    int r = mount_bind_tree(ns, from, recursive, &tree);

    return r < 0 ? r : attach_at(ns, tree, at);
}

static bool is_ancestor_locked(const struct mount *a, const struct mount *m) {
    while (m && m != a)
        m = m->parent;
    return m != NULL;
}

static int move_check_locked(struct mnt_ns *ns, const struct path *from, const struct path *at) {
    struct mount *m = from->mount;
    bool detached = m->ns && m->ns->anonymous && m->ns->root == m;

    if (from->dentry != m->root || !mount_is_ours_locked(m, ns) || !mount_is_ours_locked(at->mount, ns) ||
        (!m->parent && !detached) || (m->ns != ns && !detached) || m->flags & MOUNT_LOCKED)
        return -EINVAL;
    if (detached && at->mount->ns == m->ns)
        return -EINVAL;
    if (inode_is_dir(m->root->inode) != inode_is_dir(at->dentry->inode))
        return -EINVAL;
    if (m->parent && m->parent->peer_group)
        return -EINVAL;
    for (struct mount *c = m; at->mount->peer_group && c; c = mount_next_locked(c, m))
        if (c->propagation == PROPAGATE_UNBINDABLE)
            return -EINVAL;
    return is_ancestor_locked(m, at->mount) ? -ELOOP : 0;
}

/* Takes `m` out of where it hangs without letting it go; its old place's references go to *ret. */
static void lift_locked(struct mount *m, struct path *ret) {
    *ret = (struct path){m->parent, m->mountpoint};
    if (!m->parent)
        return;
    atomic_fetch_sub(&m->mountpoint->mounts, 1);
    list_del(&m->child_node);
    list_del(&m->hash_node);
    m->parent = NULL;
    m->mountpoint = NULL;
}

/* The place of the mount on whose root `at` is, which the moved one takes; `top` is then put on that one. */
static int beneath_locked(struct mnt_ns *ns, const struct path *from, const struct path *at,
                          struct path *ret_place) {
    struct mount *top = at->mount;

    if (at->dentry != top->root || top->ns != ns || !top->parent || top->flags & MOUNT_LOCKED ||
        top->parent->peer_group || top->propagation != PROPAGATE_PRIVATE)
        return -EINVAL;
    if (from->mount->ns == ns && is_ancestor_locked(from->mount, top))
        return -ELOOP;
    if (mount_on_locked(ns->kernel->vfs, from->mount, from->mount->root))
        return -EINVAL;
    *ret_place = (struct path){top->parent, top->mountpoint};
    return 0;
}

/* Moves a checked tree to `place` (borrowed). What is let go of comes back in *ret. */
static void move_locked(struct vfs *v, struct mount *m, const struct path *place, struct path *ret) {
    struct mnt_ns *to = place->mount->ns, *from = m->ns;

    lift_locked(m, ret);
    if (from != to) { /* a detached tree: its namespace's reference becomes the tree's */
        from->root = NULL;
        mount_set_ns_locked(m, to);
    }
    mount_attach_locked(v, m, place->mount, place->dentry, NULL);
    mnt_ns_changed_locked(v, to);
}

int vfs_mount_move(struct mnt_ns *ns, const struct path *from, const struct path *at, bool beneath) {
    struct vfs *v = ns->kernel->vfs;
    struct list gone = LIST_INIT(gone);
    struct path old_place = {0}, top_place = {0}, place = *at;
    struct mount *m = from->mount;

    mutex_lock(&v->mounts_lock);
    int r = beneath ? beneath_locked(ns, from, at, &place) : 0;
    if (r == 0)
        r = move_check_locked(ns, from, &place);
    if (r == 0 && m->ns != place.mount->ns && place.mount->ns->count + mount_tree_size_locked(m) > MOUNTS_MAX)
        r = -ENOSPC;
    if (r == 0)
        r = mount_propagate_attach_locked(v, m, place.mount, place.dentry, &gone);
    if (r == 0 && beneath)
        lift_locked(at->mount, &top_place);
    if (r == 0) {
        move_locked(v, m, &place, &old_place);
        if (beneath)
            mount_attach_locked(v, at->mount, m, m->root, NULL);
    }
    mutex_unlock(&v->mounts_lock);
    mounts_put(&gone);
    path_put(&old_place);
    path_put(&top_place);
    return r;
}

int vfs_mount_set_group(struct mnt_ns *ns, const struct path *from, const struct path *to) {
    struct vfs *v = ns->kernel->vfs;
    struct mount *f = from->mount, *m = to->mount;
    int r = 0;

    mutex_lock(&v->mounts_lock);
    if (from->dentry != f->root || to->dentry != m->root || !f->ns || m->ns != ns || f->fs != m->fs ||
        !(f->peer_group || f->master_group) || m->peer_group || m->master_group ||
        !dentry_is_below(m->root, f->root))
        r = -EINVAL;
    if (r == 0) {
        mount_group_join_locked(v, m, f, 0);
        mnt_ns_changed_locked(v, ns);
    }
    mutex_unlock(&v->mounts_lock);
    return r;
}

int vfs_set_propagation(struct mnt_ns *ns, const struct path *at, enum propagation p, bool recursive) {
    struct vfs *v = ns->kernel->vfs;

    if (at->dentry != at->mount->root)
        return -EINVAL;
    mutex_lock(&v->mounts_lock);
    int r = at->mount->ns == ns ? 0 : -EINVAL;
    for (struct mount *m = r == 0 ? at->mount : NULL; m;
         m = recursive ? mount_next_locked(m, at->mount) : NULL)
        mount_set_propagation_locked(v, m, p);
    if (r == 0)
        mnt_ns_changed_locked(v, ns);
    mutex_unlock(&v->mounts_lock);
    return r;
}

/* ---- remount ---- */

/* Flags that a less privileged namespace may not clear: mount_namespaces(7), "Restrictions". */
static bool clears_locked_flags(uint32_t old, uint32_t new) {
    const uint32_t kept = MOUNT_READONLY | MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC;
    const uint32_t atime = MOUNT_NOATIME | MOUNT_NODIRATIME | MOUNT_RELATIME;

    return old & MOUNT_LOCK_FLAGS && ((old & kept & ~new) || (old & atime) != (new &atime));
}

static int flags_check_locked(const struct mount *m, uint32_t flags) {
    if (clears_locked_flags(m->flags, flags))
        return -EPERM;
    if (flags & MOUNT_READONLY && !(m->flags & MOUNT_READONLY) && atomic_load(&m->writers) > 0)
        return -EBUSY;
    return 0;
}

static void set_flags_locked(struct mount *m, uint32_t flags) {
    m->flags = (m->flags & ~(uint32_t)MOUNT_USER_FLAGS) | (flags & MOUNT_USER_FLAGS);
}

static uint32_t changed_flags(const struct mount *m, const struct mount_change *c) {
    return (m->flags & ~c->clear) | c->set;
}

int vfs_mount_setattr(struct mnt_ns *ns, const struct path *at, const struct mount_change *c,
                      bool recursive) {
    struct vfs *v = ns->kernel->vfs;
    struct mount *top = at->mount, *m;

    if (at->dentry != top->root)
        return -EINVAL;
    mutex_lock(&v->mounts_lock);
    int r = mount_is_ours_locked(top, ns) ? 0 : -EINVAL;
    for (m = top; r == 0 && m; m = recursive ? mount_next_locked(m, top) : NULL)
        r = flags_check_locked(m, changed_flags(m, c));
    for (m = r == 0 ? top : NULL; m; m = recursive ? mount_next_locked(m, top) : NULL) {
        set_flags_locked(m, changed_flags(m, c));
        if (c->propagate)
            mount_set_propagation_locked(v, m, c->propagation);
    }
    if (r == 0)
        mnt_ns_changed_locked(v, top->ns);
    mutex_unlock(&v->mounts_lock);
    return r;
}

int vfs_remount(struct mnt_ns *ns, const struct path *at, uint32_t flags) {
    struct vfs *v = ns->kernel->vfs;

    if (at->dentry != at->mount->root)
        return -EINVAL;
    mutex_lock(&v->mounts_lock);
    int r = at->mount->ns == ns ? flags_check_locked(at->mount, flags) : -EINVAL;
    if (r == 0) {
        set_flags_locked(at->mount, flags);
        mnt_ns_changed_locked(v, ns);
    }
    mutex_unlock(&v->mounts_lock);
    return r;
}

int vfs_remount_fs(struct mnt_ns *ns, const struct path *at, uint32_t flags, const struct mount_options *o) {
    if (at->dentry != at->mount->root)
        return -EINVAL;
    int r = filesystem_reconfigure(at->mount->fs, o);
    return r < 0 ? r : vfs_remount(ns, at, flags);
}

/* ---- pivot_root ---- */

static bool reachable_locked(const struct path *p, const struct path *root) {
    struct mount *m = p->mount;
    struct dentry *d = p->dentry;

    while (m != root->mount && m->parent) {
        d = m->mountpoint;
        m = m->parent;
    }
    return m == root->mount && dentry_is_below(d, root->dentry);
}

static int pivot_check_locked(struct mnt_ns *ns, const struct path *root, const struct path *new,
                              const struct path *put) {
    struct mount *new_mount = new->mount, *root_mount = root->mount;

    if (new_mount->ns != ns || root_mount->ns != ns || put->mount->ns != ns ||
        new_mount->flags & MOUNT_LOCKED)
        return -EINVAL;
    if (put->mount->peer_group || (new_mount->parent && new_mount->parent->peer_group) ||
        (root_mount->parent && root_mount->parent->peer_group))
        return -EINVAL;
    if (atomic_load(&new->dentry->unhashed))
        return -ENOENT;
    if (new_mount == root_mount || put->mount == root_mount)
        return -EBUSY;
    if (root->dentry != root_mount->root || new->dentry != new_mount->root || !new_mount->parent)
        return -EINVAL;
    if (!reachable_locked(put, new) || !reachable_locked(new, root))
        return -EINVAL;
    return 0;
}

int vfs_pivot_root(const struct vfs_view *view, struct mnt_ns *ns, const struct path *new,
                   const struct path *put) {
    struct vfs *v = ns->kernel->vfs;
    struct path old_new_place = {0}, old_root_place = {0};

    mutex_lock(&v->mounts_lock);
    int r = pivot_check_locked(ns, &view->root, new, put);
    if (r == 0) {
        struct mount *root = view->root.mount;
        lift_locked(new->mount, &old_new_place);
        lift_locked(root, &old_root_place);
        if (root->flags & MOUNT_LOCKED) {
            new->mount->flags |= MOUNT_LOCKED;
            root->flags &= ~(uint32_t)MOUNT_LOCKED;
        }
        mount_attach_locked(v, root, put->mount, put->dentry, NULL);
        if (old_root_place.mount)
            mount_attach_locked(v, new->mount, old_root_place.mount, old_root_place.dentry, NULL);
        else
            ns->root = new->mount; /* the tree's reference moves from the namespace to the list of children
                                      and back */
        mnt_ns_changed_locked(v, ns);
    }
    mutex_unlock(&v->mounts_lock);
    path_put(&old_new_place);
    path_put(&old_root_place);
    return r;
}
