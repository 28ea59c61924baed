/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/kernfs/kernfs.c: nodes, directories and the file system object of pseudo file systems (kernfs.h).
 * Files: kernfs_file.c.
 */
#include "sentry/fs/kernfs/kernfs.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "sentry/fs/kernfs/kernfs_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"

HEAP_TYPE(kernfs_inode, struct kernfs_inode, 0);

struct kernfs_filesystem {
    struct filesystem fs; /* first */
    void *data;
    void (*drop_data)(void *data);
    size_t (*show_options)(struct filesystem *fs, char *buf, size_t size);
    int create_errno;
};
HEAP_TYPE(kernfs_filesystem, struct kernfs_filesystem, 0);

/* ---- nodes ---- */

static const struct inode_ops kernfs_inode_ops, kernfs_magic_inode_ops;

int kernfs_new(struct filesystem *fs, const struct kernfs_ops *kops, uint64_t ino, kuid_t uid, kgid_t gid,
               void *object, void *object2, uint64_t number, struct inode **ret) {
    struct kernfs_inode *n = heap_new(kernfs_inode);

    if (!n)
        return -ENOMEM;
    inode_init(&n->inode, kops->magic_link ? &kernfs_magic_inode_ops : &kernfs_inode_ops, fs,
               ino ? ino : kernel_new_inode(fs->kernel), kops->mode, uid, gid);
    n->kops = kops;
    n->object = object;
    n->object2 = object2;
    n->number = number;
    n->time_ns = realtime_ns() + fs->kernel->realtime_offset_ns;
    *ret = &n->inode;
    return 0;
}

/* FNV-1a, so that one name under one parent has one inode number. */
uint64_t kernfs_child_ino(uint64_t dir_ino, const char *name, size_t len) {
    uint64_t h = 0xcbf29ce484222325ull ^ dir_ino;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)name[i]) * 0x100000001b3ull;
    return (h & 0x7fffffffffull) | 0x8000000000ull;
}

int kernfs_child(struct kernfs_inode *dir, const struct kernfs_ops *kops, const char *name, size_t len,
                 struct inode **ret) {
    struct inode *inode;
    int r = kernfs_new(dir->inode.fs, kops, kernfs_child_ino(dir->inode.ino, name, len), dir->inode.uid,
                       dir->inode.gid, NULL, NULL, dir->number, &inode);

    if (r < 0)
        return r;
    if (kops->inherit)
        kops->inherit(kernfs_of(inode), dir);
    *ret = inode;
    return 0;
}

static const struct kernfs_entry *find_entry(const struct kernfs_ops *kops, const char *name, size_t len) {
    for (const struct kernfs_entry *e = kops->entries; e && e->name; e++)
        if (strlen(e->name) == len && memcmp(e->name, name, len) == 0)
            return e;
    return NULL;
}

static int node_lookup(struct inode *dir, const char *name, size_t len, struct inode **ret) {
    struct kernfs_inode *n = kernfs_of(dir);
    const struct kernfs_entry *e = find_entry(n->kops, name, len);

    if (e)
        return kernfs_child(n, e->ops, name, len, ret);
    if (!n->kops->lookup)
        return -ENOENT;
    return n->kops->lookup(n, name, len, ret);
}

static int node_readlink(struct inode *inode, struct task *t, char **ret) {
    struct kernfs_inode *n = kernfs_of(inode);
    struct path p;

    if (n->kops->link)
        return n->kops->link(n, t, ret);
    if (!n->kops->magic_link)
        return -EINVAL;
    int r = n->kops->magic_link(n, t, &p);
    if (r < 0)
        return r;
    struct vfs_view view;
    vfs_view_of(t, &view);
    r = path_text(&p, &view.root, ret);
    vfs_view_done(&view);
    path_put(&p);
    return r;
}

static int node_magic_link(struct inode *inode, struct task *t, struct path *ret) {
    struct kernfs_inode *n = kernfs_of(inode);

    return n->kops->magic_link(n, t, ret);
}

static void refresh_owner(struct kernfs_inode *n) {
    kuid_t uid = n->inode.uid;
    kgid_t gid = n->inode.gid;

    if (n->kops->permissions)
        n->inode.mode = n->kops->permissions(n);
    if (!n->kops->owner)
        return;
    n->kops->owner(n, &uid, &gid);
    n->inode.uid = uid;
    n->inode.gid = gid;
}

static int node_getattr(struct inode *inode, struct kstat *ret) {
    struct kernfs_inode *n = kernfs_of(inode);

    refresh_owner(n);
    ret->mode = inode->type | inode->mode;
    ret->uid = inode->uid;
    ret->gid = inode->gid;
    ret->nlink = n->kops->nlink ? n->kops->nlink(n) : inode_is_dir(inode) ? 2 : 1;
    ret->blksize = 1024;
    ret->atime_ns = ret->mtime_ns = ret->ctime_ns = n->time_ns;
    ret->btime_ns = INT64_MIN;
    return 0;
}

static int node_setattr(struct inode *inode, const struct setattr *s) {
    struct kernfs_inode *n = kernfs_of(inode);

    if (n->kops->setattr)
        return n->kops->setattr(n, s);
    /* O_TRUNC of a file that is written to is common; there is nothing to cut. */
    return s->mask & ~(uint32_t)(SETATTR_SIZE | SETATTR_MTIME | SETATTR_MTIME_NOW | SETATTR_CTIME |
                                 SETATTR_KILL_PRIV)
               ? -EPERM
               : 0;
}

/* Names come and go by themselves alone. */
static int no_entry(struct inode *dir) {
    return -container_of(dir->fs, struct kernfs_filesystem, fs)->create_errno;
}

static int node_make(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c,
                     struct inode **ret) {
    (void)name, (void)len, (void)mode, (void)c, (void)ret;
    return no_entry(dir);
}

static int node_mkdir(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c,
                      struct inode **ret) {
    struct kernfs_inode *n = kernfs_of(dir);

    return n->kops->mkdir ? n->kops->mkdir(n, name, len, c, ret) : node_make(dir, name, len, mode, c, ret);
}

static int node_rmdir(struct inode *dir, const char *name, size_t len, struct inode *target) {
    struct kernfs_inode *n = kernfs_of(dir);

    (void)name, (void)len;
    return n->kops->rmdir ? n->kops->rmdir(n, kernfs_of(target)) : -EPERM;
}

static int node_mknod(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
                      const struct creds *c, struct inode **ret) {
    (void)name, (void)len, (void)mode, (void)rdev, (void)c, (void)ret;
    return no_entry(dir);
}

static int node_symlink(struct inode *dir, const char *name, size_t len, const char *target,
                        const struct creds *c, struct inode **ret) {
    (void)name, (void)len, (void)target, (void)c, (void)ret;
    return no_entry(dir);
}

static int node_permission(struct inode *inode, const struct creds *c, unsigned mask) {
    struct kernfs_inode *n = kernfs_of(inode);

    refresh_owner(n);
    if (n->kops->permission)
        return n->kops->permission(n, c, mask);
    return inode_permission_generic(inode, c, mask);
}

static void node_release(struct inode *inode) {
    struct kernfs_inode *n = kernfs_of(inode);

    if (n->kops->drop)
        n->kops->drop(n);
    inode_done(inode);
    heap_free(n);
}

#define NODE_OPS                                                                                             \
    .name = "kernfs", .lookup = node_lookup, .readlink = node_readlink, .getattr = node_getattr,             \
    .setattr = node_setattr, .permission = node_permission, .open = kernfs_open, .create = node_make,        \
    .mkdir = node_mkdir, .rmdir = node_rmdir, .mknod = node_mknod, .symlink = node_symlink,                  \
    .release = node_release
static const struct inode_ops kernfs_inode_ops = {NODE_OPS};
static const struct inode_ops kernfs_magic_inode_ops = {NODE_OPS, .magic_link = node_magic_link};

/* ---- the file system ---- */

static int fs_statfs(struct filesystem *fs, struct kstatfs *ret) {
    *ret = (struct kstatfs){.type = fs->magic, .bsize = PAGE_SIZE, .frsize = PAGE_SIZE, .namelen = 255};
    return 0;
}

static int fs_revalidate(struct filesystem *fs, struct dentry *d) {
    (void)fs;
    if (!d->inode)
        return 0;
    struct kernfs_inode *n = kernfs_of(d->inode);
    return !n->kops->valid || n->kops->valid(n);
}

static void fs_release(struct filesystem *fs) {
    struct kernfs_filesystem *k = container_of(fs, struct kernfs_filesystem, fs);

    filesystem_done(fs);
    if (k->drop_data)
        k->drop_data(k->data);
    heap_free(k);
}

static size_t fs_show_options(struct filesystem *fs, char *buf, size_t size) {
    struct kernfs_filesystem *k = container_of(fs, struct kernfs_filesystem, fs);

    return k->show_options ? k->show_options(fs, buf, size) : 0;
}

static const struct filesystem_ops kernfs_filesystem_ops = {
    .statfs = fs_statfs,
    .show_options = fs_show_options,
    .revalidate = fs_revalidate,
    .release = fs_release,
};

void *kernfs_fs_data(const struct filesystem *fs) {
    ASSERT(fs->ops == &kernfs_filesystem_ops);
    return container_of(fs, struct kernfs_filesystem, fs)->data;
}

int kernfs_mount(struct kernel *k, const struct kernfs_mount_request *request, struct filesystem **ret) {
    struct kernfs_filesystem *kfs = heap_new(kernfs_filesystem);
    struct inode *inode;

    if (!kfs)
        return -ENOMEM;
    struct filesystem *fs = &kfs->fs;
    int r = filesystem_init(fs, k, &kernfs_filesystem_ops, request->type, /* layer= */ 0);
    if (r < 0) {
        heap_free(kfs);
        return r;
    }
    fs->magic = request->magic;
    fs->flags = FS_NO_CACHE;
    r = kernfs_new(fs, request->root, /* ino= */ 1, 0, 0, NULL, NULL, 0, &inode);
    if (r == 0) {
        fs->root = dentry_new_root(fs, inode);
        r = fs->root ? 0 : -ENOMEM;
    }
    if (r < 0) {
        filesystem_unref(fs);
        return r;
    }
    kfs->data = request->data;
    kfs->drop_data = request->drop_data;
    kfs->show_options = request->show_options;
    kfs->create_errno = request->create_errno ? request->create_errno : EPERM;
    *ret = fs;
    return 0;
}
