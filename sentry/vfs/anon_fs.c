/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/anon_fs.c: the three internal file systems in which files without a name live: pipes, sockets,
 * and the rest (epoll, eventfd, ...). What fstat(2) and /proc/PID/fd show of them. Source: proc(5)
 * "/proc/PID/fd".
 */
#include <errno.h>

#include "base/abi/linux/mount.h"
#include "sentry/heap/heap.h"
#include "sentry/vfs/vfs_internal.h"

struct anon_inode {
    struct inode base;
    int64_t time_ns; /* of making */
};
HEAP_TYPE(anon_inode, struct anon_inode, 0);
HEAP_TYPE(anon_filesystem, struct filesystem, 0);

static int anon_getattr(struct inode *i, struct kstat *ret) {
    int64_t made = container_of(i, struct anon_inode, base)->time_ns;

    ret->atime_ns = ret->mtime_ns = ret->ctime_ns = made;
    return 0;
}

/* fchmod(2) and fchown(2) of a pipe or socket. */
static int anon_setattr(struct inode *i, const struct setattr *s) {
    mutex_lock(&i->lock);
    if (s->mask & SETATTR_MODE)
        i->mode = s->mode;
    if (s->mask & SETATTR_UID)
        i->uid = s->uid;
    if (s->mask & SETATTR_GID)
        i->gid = s->gid;
    mutex_unlock(&i->lock);
    return s->mask & SETATTR_SIZE ? -EINVAL : 0;
}

static void anon_release(struct inode *i) {
    inode_done(i);
    heap_free(container_of(i, struct anon_inode, base));
}

static const struct inode_ops anon_inode_ops = {
    .name = "anon",
    .getattr = anon_getattr,
    .setattr = anon_setattr,
    .release = anon_release,
};

static int anon_statfs(struct filesystem *fs, struct kstatfs *ret) {
    ret->type = fs->magic;
    ret->bsize = ret->frsize = 4096;
    ret->namelen = 255;
    return 0;
}

static void anon_fs_release(struct filesystem *fs) {
    filesystem_done(fs);
    heap_free(fs);
}

static const struct filesystem_ops anon_fs_ops = {
    .statfs = anon_statfs,
    .release = anon_fs_release,
};

static int anon_no_mount(struct kernel *k, const struct fs_type *type, const struct mount_options *o,
                         struct filesystem **ret) {
    (void)k, (void)type, (void)o, (void)ret;
    return -EINVAL;
}

static const struct fs_type g_anon_types[ANON_FS_COUNT] = {
    [ANON_INODES] = {.name = "anon_inodefs", .mount = anon_no_mount},
    [ANON_PIPES] = {.name = "pipefs", .mount = anon_no_mount},
    [ANON_SOCKETS] = {.name = "sockfs", .mount = anon_no_mount},
};

__attribute__((constructor)) static void anon_register(void) {
    fs_type_register(&g_anon_types[ANON_PIPES]);
    fs_type_register(&g_anon_types[ANON_SOCKETS]);
}

static int anon_inode_new(struct filesystem *fs, uint32_t mode, kuid_t uid, kgid_t gid, struct inode **ret) {
    struct anon_inode *i = heap_new(anon_inode);

    if (!i)
        return -ENOMEM;
    inode_init(&i->base, &anon_inode_ops, fs, kernel_new_inode(fs->kernel), mode, uid, gid);
    i->time_ns = vfs_now(fs->kernel);
    *ret = &i->base;
    return 0;
}

int anon_fs_create(struct vfs *v, enum anon_fs which, struct filesystem **ret) {
    static const uint64_t magic[ANON_FS_COUNT] = {[ANON_INODES] = LINUX_ANON_INODE_FS_MAGIC,
                                                  [ANON_PIPES] = LINUX_PIPEFS_MAGIC,
                                                  [ANON_SOCKETS] = LINUX_SOCKFS_MAGIC};
    struct filesystem *fs = heap_new(anon_filesystem);
    struct inode *root;

    if (!fs)
        return -ENOMEM;
    int r = filesystem_init(fs, v->kernel, &anon_fs_ops, &g_anon_types[which], 0);
    if (r < 0) {
        heap_free(fs);
        return r;
    }
    fs->magic = magic[which];
    r = anon_inode_new(fs, LINUX_S_IFDIR | 0555, 0, 0, &root);
    if (r == 0 && !(fs->root = dentry_new_root(fs, root))) {
        inode_unref(root);
        r = -ENOMEM;
    }
    if (r < 0) {
        filesystem_unref(fs);
        return r;
    }
    *ret = fs;
    return 0;
}

int file_init_anon(struct file *f, const struct file_ops *ops, const char *name, uint32_t type,
                   uint32_t flags, uint32_t mode, const struct creds *creds) {
    struct path path;
    int r = anon_path(heap_root(), name, type, creds, &path);

    if (r < 0)
        return r;
    file_init(f, ops, &path, flags, mode, creds);
    path_put(&path);
    return 0;
}

int anon_path(struct kernel *k, const char *name, uint32_t type, const struct creds *creds,
              struct path *ret) {
    enum anon_fs which = type == LINUX_S_IFIFO    ? ANON_PIPES
                         : type == LINUX_S_IFSOCK ? ANON_SOCKETS
                                                  : ANON_INODES;
    struct mount *m = k->vfs->anon[which];
    uint32_t perm = type == LINUX_S_IFSOCK ? 0777 : 0600;
    struct inode *inode;
    char text[64];

    int r = anon_inode_new(m->fs, type | perm, creds->fsuid, creds->fsgid, &inode);
    if (r < 0)
        return r;
    if (which != ANON_INODES) { /* "pipe:[N]", "socket:[N]" */
        snprintf(text, sizeof text, "%s:[%lu]", name, (unsigned long)inode->ino);
        name = text;
    }
    struct dentry *d = dentry_new_anon(m->fs, name, inode);
    if (!d) {
        inode_unref(inode);
        return -ENOMEM;
    }
    *ret = (struct path){mount_ref(m), d};
    return 0;
}

struct filesystem *anon_filesystem(struct kernel *k) {
    return k->vfs->anon[ANON_INODES]->fs;
}

int anon_path_of(struct kernel *k, struct inode *inode, const char *name, struct path *ret) {
    struct mount *m = k->vfs->anon[ANON_INODES];
    struct dentry *d = dentry_new_anon(m->fs, name, inode);

    if (!d) {
        inode_unref(inode);
        return -ENOMEM;
    }
    *ret = (struct path){mount_ref(m), d};
    return 0;
}
