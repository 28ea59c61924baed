/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/layer.c: how a file system made of others (overlay) opens files of those others: by a mount that
 * no namespace shows and paths that are no names.
 */
#include "sentry/vfs/layer.h"

#include <errno.h>

#include "sentry/vfs/vfs_internal.h"

int vfs_layer_mount(struct filesystem *fs, struct mount **ret) {
    struct mount *m = mount_new(vfs_of(fs), fs, fs->root, MOUNT_INTERNAL, fs->type->name);

    if (!m)
        return -ENOMEM;
    *ret = m;
    return 0;
}

int vfs_layer_mount_path(struct mnt_ns *ns, const struct path *p, struct mount **ret) {
    struct vfs *v = vfs_of(p->mount->fs);

    mutex_lock(&v->mounts_lock);
    bool may = mount_may_bind_locked(ns, p, /* recursive= */ false);
    mutex_unlock(&v->mounts_lock);
    if (!may)
        return -EINVAL;
    *ret = mount_new(v, p->mount->fs, p->dentry, MOUNT_INTERNAL, p->mount->fs->type->name);
    return *ret ? 0 : -ENOMEM;
}

int vfs_layer_open(struct mount *m, struct inode *inode, uint32_t flags, const struct creds *c,
                   struct file **ret) {
    ASSERT(inode->fs == m->fs);
    if (!inode->ops->open)
        return -ENXIO;
    struct dentry *d = dentry_new_anon(m->fs, "", inode_ref(inode));
    if (!d) {
        inode_unref(inode);
        return -ENOMEM;
    }
    struct path path = {m, d};
    int r = inode->ops->open(inode, &path, flags, c, ret);
    dentry_unref(d);
    return r;
}

int path_of_inode(struct mount *m, struct inode *inode, struct path *ret) {
    bool root = inode == m->fs->root->inode;
    struct dentry *d = NULL;
    int r = 0;

    if (inode_is_dir(inode) && !root)
        r = -ESTALE;
    else if (!root && !(d = dentry_new_anon(m->fs, "", inode)))
        r = -ENOMEM;
    if (root)
        d = dentry_ref(m->fs->root);
    if (r < 0 || root)
        inode_unref(inode);
    if (r < 0)
        return r;
    *ret = (struct path){mount_ref(m), d};
    return 0;
}
