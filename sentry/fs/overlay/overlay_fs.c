/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_fs.c: the file system object. Source: Documentation/filesystems/overlayfs.
 */
#include <errno.h>
#include <stdio.h>
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
    struct overlay_fs *o = ofs(fs);
    struct filesystem *real = o->upper ? o->upper->fs : o->lowers[0].mount->fs;
    int rc = real->ops->statfs(real, ret);
    ret->type = OVERLAYFS_MAGIC;
    return rc;
}

static int fs_sync(struct filesystem *fs) {
    struct filesystem *upper = ofs(fs)->upper ? ofs(fs)->upper->fs : NULL;
    return upper && upper->ops->sync ? upper->ops->sync(upper) : 0;
}

static int fs_remount(struct filesystem *fs, const struct mount_options *options) {
    /* Options cannot change, and mount(2) takes them all the same: as Linux. */
    return ofs(fs)->force_readonly && !(options->flags & MOUNT_READONLY) ? -EROFS : 0;
}

static size_t fs_show_options(struct filesystem *fs, char *buf, size_t size) {
    const char *options = ofs(fs)->options;
    return options ? MIN((size_t)snprintf(buf, size, "%s", options), size - 1) : 0;
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
    for (uint32_t n = 0; n < o->lower_count; n++)
        mount_unref(o->lowers[n].mount);
    heap_free(o->lowers);
    mount_unref(o->upper);
    heap_free(o->options);
    creds_unref(o->creds);
    heap_free(o->xattr_prefix);
    heap_free(o);
}

static const struct filesystem_ops overlay_ops = {
    .statfs = fs_statfs,
    .sync = fs_sync,
    .remount = fs_remount,
    .show_options = fs_show_options,
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
    struct inode *lower = o->lowers[0].mount->root->inode, *upper = o->upper->root->inode;
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
    struct overlay_parts parts = {.upper = o->upper ? inode_ref(o->upper->root->inode) : NULL,
                                  .lower = inode_ref(o->lowers[0].mount->root->inode),
                                  .lower_path = heap_strdup("")};
    struct overlay_inode *i;
    int rc = 0;
    if (o->lower_count > 1)
        parts.more = heap_alloc_array(o->lower_count - 1, sizeof(*parts.more));
    if (!parts.lower_path || (o->lower_count > 1 && !parts.more))
        rc = -ENOMEM;
    for (uint32_t n = 1; rc == 0 && n < o->lower_count; n++) {
        char *path = heap_strdup("");
        if (!path)
            rc = -ENOMEM;
        else
            parts.more[parts.more_count++] =
                (struct overlay_part){inode_ref(o->lowers[n].mount->root->inode), path, n};
    }
    if (rc < 0)
        overlay_parts_drop(&parts);
    else
        rc = overlay_inode_get(o, &parts, /* dir= */ NULL, "", 0, &i);
    if (rc < 0)
        return rc;
    o->fs.root = dentry_new_root(&o->fs, &i->inode);
    if (o->fs.root)
        return 0;
    inode_unref(&i->inode);
    return -ENOMEM;
}

/* Boot's: an upper layer over one lower one, which nobody else sees. */
static int fill_for_boot(struct overlay_fs *o, const struct overlay_mount *m) {
    o->redirect_dir = o->redirect_follow = true;
    o->upper_mark = OVERLAY_INO_UPPER;
    o->lowers = heap_alloc_array(1, sizeof(*o->lowers));
    if (!o->lowers)
        return -ENOMEM;
    int rc = vfs_layer_mount(m->lower, &o->lowers[0].mount);
    o->lower_count = rc == 0;
    if (rc == 0)
        rc = vfs_layer_mount(m->upper, &o->upper);
    if (rc == 0)
        rc = choose_prefix(o);
    return rc == 0 ? adopt_root_attributes(o) : rc;
}

static int fill_for_guest(struct overlay_fs *o, const struct mount_options *options) {
    struct overlay_request r;
    int rc = overlay_request_parse(options->data, &r);
    if (rc == -ENOENT)
        rc = -EINVAL;
    o->guest = true;
    if (rc == 0)
        rc = overlay_request_open(&r, options, o);
    overlay_request_done(&r);
    o->force_readonly = o->force_readonly || !o->upper;
    if (o->force_readonly)
        o->fs.flags |= FS_READONLY;
    return rc;
}

static int overlay_mount(struct kernel *k, const struct fs_type *type, const struct mount_options *options,
                         struct filesystem **ret) {
    const struct overlay_mount *m = options->internal;
    if (m && (!m->lower->layer || !m->upper->layer || !inode_is_dir(m->lower->root->inode) ||
              !inode_is_dir(m->upper->root->inode)))
        return -EINVAL;
    if (!m && !options->view_task)
        return -EPERM;
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
    o->rank = RANK_OVERLAY;
    rc = m ? fill_for_boot(o, m) : fill_for_guest(o, options);
    if (rc == 0)
        rc = make_root(o);
    if (rc < 0) {
        filesystem_unref(&o->fs);
        return rc;
    }
    *ret = &o->fs;
    return 0;
}

static int overlay_check_option(struct kernel *k, const struct mount_options *options) {
    struct overlay_request r;
    (void)k;
    int rc = overlay_request_parse(options->data, &r);
    overlay_request_done(&r);
    return rc;
}

const struct fs_type overlay_fs_type = {
    .name = "overlay", .user_mountable = true, .check_option = overlay_check_option, .mount = overlay_mount};

__attribute__((constructor)) static void overlay_fs_register(void) {
    fs_type_register(&overlay_fs_type);
}
