/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_fs.c: the file system object. Source: Documentation/filesystems/overlayfs.
 */
#include <errno.h>
#include <string.h>

#include "sentry/fs/overlay/overlay_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"

HEAP_TYPE(overlay_fs, struct overlay_fs, 0);

#define OVERLAYFS_MAGIC 0x794c7630

static struct overlay_fs *ofs(struct filesystem *fs) {
    return container_of(fs, struct overlay_fs, fs);
}

static int fs_statfs(struct filesystem *fs, struct kstatfs *ret) {
    struct filesystem *upper = ofs(fs)->upper->fs;
    int rc = upper->ops->statfs(upper, ret);
    ret->type = OVERLAYFS_MAGIC;
    return rc;
}

static int fs_sync(struct filesystem *fs) {
    struct filesystem *upper = ofs(fs)->upper->fs;
    return upper->ops->sync ? upper->ops->sync(upper) : 0;
}

static void fs_release(struct filesystem *fs) {
    struct overlay_fs *o = ofs(fs);
    struct overlay_link *l;
    filesystem_done(fs);
    ASSERT(RB_EMPTY(&o->by_upper));
    ASSERT(RB_EMPTY(&o->by_lower));
    while ((l = RB_ROOT(&o->links))) {
        RB_REMOVE(overlay_link_tree, &o->links, l);
        if (l->upper)
            inode_unref(l->upper);
        heap_free(l);
    }
    if (o->lower)
        mount_unref(o->lower);
    if (o->upper)
        mount_unref(o->upper);
    creds_unref(o->creds);
    heap_free(o->xattr_prefix);
    heap_free(o);
}

static const struct filesystem_ops overlay_ops = {
    .statfs = fs_statfs,
    .sync = fs_sync,
    .release = fs_release,
};

/* Which namespace the upper layer keeps: host files behind a gofer have user.* alone. */
static int choose_prefix(struct overlay_fs *o) {
    struct inode *root = o->upper->root->inode;
    const char *prefix = "user.overlay.";
    if (root->ops->setxattr && root->ops->setxattr(root, "trusted.overlay.probe", "y", 1, 0) == 0) {
        prefix = "trusted.overlay.";
        (void)!root->ops->removexattr(root, "trusted.overlay.probe");
    }
    o->xattr_prefix = heap_strdup(prefix);
    return o->xattr_prefix ? 0 : -ENOMEM;
}

/* The upper root shows the lower root's mode and owner, if nothing was ever written to it. */
static int adopt_root_attributes(struct overlay_fs *o) {
    struct inode *lower = o->lower->root->inode, *upper = o->upper->root->inode;
    char seen;
    struct kstat st;
    if (upper->ops->getxattr && upper->ops->getxattr(upper, "trusted.overlay.root", &seen, 1) == 1)
        return 0;
    inode_fill_stat(lower, &st);
    int rc = lower->ops->getattr(lower, &st);
    if (rc < 0)
        return rc;
    const struct setattr s = {.mask =
                                  SETATTR_MODE | SETATTR_UID | SETATTR_GID | SETATTR_ATIME | SETATTR_MTIME,
                              .mode = st.mode & 07777,
                              .uid = st.uid,
                              .gid = st.gid,
                              .atime_ns = st.atime_ns,
                              .mtime_ns = st.mtime_ns};
    rc = upper->ops->setattr(upper, &s);
    if (rc == 0 && upper->ops->setxattr)
        (void)!upper->ops->setxattr(upper, "trusted.overlay.root", "y", 1, 0);
    return rc;
}

static int make_root(struct overlay_fs *o) {
    struct overlay_parts parts = {.upper = inode_ref(o->upper->root->inode),
                                  .lower = inode_ref(o->lower->root->inode),
                                  .lower_path = ""};
    struct overlay_inode *i;
    int rc = overlay_inode_get(o, &parts, /* dir= */ NULL, "", 0, &i);
    if (rc < 0)
        return rc;
    o->fs.root = dentry_new_root(&o->fs, &i->inode);
    if (o->fs.root)
        return 0;
    inode_unref(&i->inode);
    return -ENOMEM;
}

static int fill(struct overlay_fs *o, const struct overlay_mount *m) {
    int rc = vfs_layer_mount(m->lower, &o->lower);
    if (rc == 0)
        rc = vfs_layer_mount(m->upper, &o->upper);
    if (rc == 0)
        rc = choose_prefix(o);
    if (rc == 0)
        rc = adopt_root_attributes(o);
    return rc == 0 ? make_root(o) : rc;
}

static int overlay_mount(struct kernel *k, const struct fs_type *type, const struct mount_options *options,
                         struct filesystem **ret) {
    const struct overlay_mount *m = options->internal;
    if (!m)
        return -EPERM; /* boot's alone, so far */
    if (!m->lower->layer || !m->upper->layer || !inode_is_dir(m->lower->root->inode) ||
        !inode_is_dir(m->upper->root->inode))
        return -EINVAL;
    struct overlay_fs *o = heap_new(overlay_fs);
    if (!o)
        return -ENOMEM;
    o->creds = creds_new_root(k->root_user_ns);
    int rc = o->creds ? filesystem_init(&o->fs, k, &overlay_ops, type, /* layer= */ 0) : -ENOMEM;
    if (rc < 0) {
        creds_unref(o->creds);
        heap_free(o);
        return rc;
    }
    o->fs.magic = OVERLAYFS_MAGIC;
    o->fs.flags = FS_TRUNC_IN_OPEN;
    mutex_init(&o->table_lock, RANK_HOSTFD_CACHE);
    RB_INIT(&o->by_upper);
    RB_INIT(&o->by_lower);
    RB_INIT(&o->links);
    rc = fill(o, m);
    if (rc < 0) {
        filesystem_unref(&o->fs);
        return rc;
    }
    *ret = &o->fs;
    return 0;
}

const struct fs_type overlay_fs_type = {.name = "overlay", .mount = overlay_mount};

__attribute__((constructor)) static void overlay_fs_register(void) {
    fs_type_register(&overlay_fs_type);
}
