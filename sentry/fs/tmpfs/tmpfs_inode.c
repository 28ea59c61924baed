/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/tmpfs/tmpfs_inode.c: inodes of tmpfs: making, attributes, links, ending. Source: inode(7),
 * tmpfs(5).
 *
 * An inode is kept by its directory entries (one reference each, nlink counts them) besides dentries and open
 * files. Locks: base.lock for attributes.
 */
#include <errno.h>
#include <string.h>

#include "sentry/fs/tmpfs/tmpfs_internal.h"
#include "sentry/kernel/kernel.h"

HEAP_TYPE(tmpfs_inode, struct tmpfs_inode, 0);

static const struct inode_ops *ops_of(uint32_t type) {
    switch (type) {
    case LINUX_S_IFDIR:
        return &tmpfs_dir_inode_ops;
    case LINUX_S_IFREG:
        return &tmpfs_file_inode_ops;
    case LINUX_S_IFLNK:
        return &tmpfs_link_inode_ops;
    default:
        return &tmpfs_node_inode_ops;
    }
}

/* ---- by number ---- */

static int compare_ino(const struct tmpfs_inode *a, const struct tmpfs_inode *b) {
    return (a->base.ino > b->base.ino) - (a->base.ino < b->base.ino);
}
RB_GENERATE_INTERNAL(tmpfs_by_ino, tmpfs_inode, by_ino, compare_ino, static __attribute__((unused)))

static void list_inode(struct tmpfs *fs, struct tmpfs_inode *i) {
    mutex_lock(&fs->by_ino_lock);
    RB_INSERT(tmpfs_by_ino, &fs->by_ino, i);
    mutex_unlock(&fs->by_ino_lock);
}

static void unlist_inode(struct tmpfs *fs, struct tmpfs_inode *i) {
    mutex_lock(&fs->by_ino_lock);
    RB_REMOVE(tmpfs_by_ino, &fs->by_ino, i);
    mutex_unlock(&fs->by_ino_lock);
}

int tmpfs_find_inode(struct filesystem *base, uint64_t ino, struct inode **ret) {
    struct tmpfs *fs = container_of(base, struct tmpfs, base);

    mutex_lock(&fs->by_ino_lock);
    struct tmpfs_inode *i = RB_ROOT(&fs->by_ino);
    while (i && i->base.ino != ino)
        i = ino < i->base.ino ? RB_LEFT(i, by_ino) : RB_RIGHT(i, by_ino);
    bool found = i && inode_tryref(&i->base);
    mutex_unlock(&fs->by_ino_lock);
    if (!found)
        return -ESTALE;
    mutex_lock(&i->base.lock);
    bool named = i->nlink > 0;
    mutex_unlock(&i->base.lock);
    if (!named) {
        inode_unref(&i->base);
        return -ESTALE;
    }
    *ret = &i->base;
    return 0;
}

static bool count_inode(struct tmpfs *fs) {
    uint64_t used = atomic_load(&fs->used_inodes), max = atomic_load(&fs->max_inodes);

    do {
        if (max > 0 && used >= max)
            return false;
    } while (!atomic_compare_exchange_weak(&fs->used_inodes, &used, used + 1));
    return true;
}

int tmpfs_inode_new(struct tmpfs *fs, const struct inode *dir, uint32_t mode, uint64_t rdev,
                    const struct creds *c, struct tmpfs_inode **ret) {
    uint32_t type = mode & LINUX_S_IFMT;
    kuid_t uid = c ? c->fsuid : 0;
    kgid_t gid = c ? c->fsgid : 0;

    if (!count_inode(fs))
        return -ENOSPC;
    struct tmpfs_inode *i = heap_new(tmpfs_inode);
    if (i && type == LINUX_S_IFDIR && !(i->dir = tmpfs_dir_new())) {
        heap_free(i);
        i = NULL;
    }
    if (!i) {
        atomic_fetch_sub(&fs->used_inodes, 1);
        return -ENOMEM;
    }
    if (dir)
        inode_init_owner(dir, c, type, &mode, &uid, &gid);
    inode_init(&i->base, ops_of(type), &fs->base, atomic_fetch_add(&fs->next_ino, 1) + 1, mode, uid, gid);
    i->base.rdev = rdev;
    list_init(&i->xattrs);
    i->atime_ns = i->mtime_ns = i->ctime_ns = i->btime_ns = vfs_now(fs->base.kernel);
    list_inode(fs, i);
    *ret = i;
    return 0;
}

/* ---- ending ---- */

static void free_one(struct tmpfs_inode *i) {
    struct tmpfs *fs = tmpfs_of(&i->base);

    unlist_inode(fs, i);
    if (i->dir)
        tmpfs_dir_free(i->dir);
    i->dir = NULL;
    memstore_unref(i->store);
    tmpfs_uncharge(fs, i->charged);
    heap_free(i->target);
    tmpfs_xattrs_free(i);
    atomic_fetch_sub(&fs->used_inodes, 1);
    inode_done(&i->base);
    heap_free(i);
}

/* A directory that ends with entries (its file system ends) ends what they hold, and so on: by a list, since
 * a guest chooses the depth. */
void tmpfs_release(struct inode *base) {
    static _Thread_local struct list t_waiting; /* base.watches of inodes that wait for the outermost call */
    static _Thread_local bool t_running;

    if (t_running) {
        list_add_tail(&t_waiting, &base->watches);
        return;
    }
    list_init(&t_waiting);
    t_running = true;
    list_add(&t_waiting, &base->watches);
    while (!list_empty(&t_waiting)) {
        struct inode *i = list_first_entry(&t_waiting, struct inode, watches);
        list_del(&i->watches);
        free_one(tmpfs_inode_of(i));
    }
    t_running = false;
}

/* ---- attributes ---- */

int tmpfs_getattr(struct inode *base, struct kstat *ret) {
    struct tmpfs_inode *i = tmpfs_inode_of(base);

    mutex_lock(&base->lock);
    ret->mode = base->type | base->mode;
    ret->nlink = i->nlink;
    ret->atime_ns = i->atime_ns;
    ret->mtime_ns = i->mtime_ns;
    ret->ctime_ns = i->ctime_ns;
    ret->btime_ns = i->btime_ns;
    if (i->store) {
        ret->size = memstore_size(i->store);
        ret->blocks = memstore_blocks(i->store);
    } else if (i->target) {
        ret->size = strlen(i->target);
    } else if (i->dir) {
        ret->size = 40 + 20 * (uint64_t)i->dir->count; /* as Linux: BOGO_DIRENT_SIZE */
    }
    mutex_unlock(&base->lock);
    return 0;
}

static void kill_priv_locked(struct tmpfs_inode *i) {
    uint32_t mode = i->base.mode;

    mode &= ~(uint32_t)LINUX_S_ISUID;
    if (mode & LINUX_S_IXGRP)
        mode &= ~(uint32_t)LINUX_S_ISGID;
    i->base.mode = mode;
    tmpfs_xattr_drop_locked(i, "security.capability");
}

static int setattr_locked(struct tmpfs_inode *i, const struct setattr *s, int64_t now) {
    if (s->mask & SETATTR_SIZE) {
        int r = tmpfs_file_set_size_locked(i, s->size);
        if (r < 0)
            return r;
    }
    if (s->mask & SETATTR_KILL_PRIV)
        kill_priv_locked(i);
    if (s->mask & SETATTR_MODE)
        i->base.mode = s->mode;
    if (s->mask & SETATTR_UID)
        i->base.uid = s->uid;
    if (s->mask & SETATTR_GID)
        i->base.gid = s->gid;
    if (s->mask & SETATTR_ATIME)
        i->atime_ns = s->atime_ns;
    if (s->mask & SETATTR_MTIME)
        i->mtime_ns = s->mtime_ns;
    if (s->mask & SETATTR_ATIME_NOW)
        i->atime_ns = now;
    if (s->mask & SETATTR_MTIME_NOW)
        i->mtime_ns = now;
    i->ctime_ns = now;
    return 0;
}

int tmpfs_setattr(struct inode *base, const struct setattr *s) {
    int64_t now = vfs_now(base->fs->kernel);

    if (s->mask & SETATTR_SIZE && base->type != LINUX_S_IFREG)
        return -EINVAL;
    mutex_lock(&base->lock);
    int r = setattr_locked(tmpfs_inode_of(base), s, now);
    mutex_unlock(&base->lock);
    return r;
}

int tmpfs_set_acl(struct inode *base, enum acl_kind kind, struct posix_acl *acl, uint32_t mode) {
    int64_t now = vfs_now(base->fs->kernel);

    mutex_lock(&base->lock);
    inode_put_acl(base, kind, acl);
    if (kind == ACL_ACCESS)
        base->mode = mode & 07777;
    tmpfs_inode_of(base)->ctime_ns = now;
    mutex_unlock(&base->lock);
    return 0;
}

int tmpfs_set_flags(struct inode *base, uint32_t flags) {
    int64_t now = vfs_now(base->fs->kernel);

    if (flags & ~(uint32_t)(INODE_IMMUTABLE | INODE_APPEND | INODE_NODUMP | INODE_NOATIME))
        return -EOPNOTSUPP;
    mutex_lock(&base->lock);
    base->flags = flags;
    tmpfs_inode_of(base)->ctime_ns = now;
    mutex_unlock(&base->lock);
    return 0;
}

void tmpfs_dir_changed(struct inode *dir, int subdirs) {
    struct tmpfs_inode *i = tmpfs_inode_of(dir);
    int64_t now = vfs_now(dir->fs->kernel);

    mutex_lock(&dir->lock);
    i->mtime_ns = i->ctime_ns = now;
    i->nlink = (uint32_t)((int)i->nlink + subdirs);
    mutex_unlock(&dir->lock);
}

void tmpfs_link_change(struct inode *base, int by) {
    struct tmpfs_inode *i = tmpfs_inode_of(base);
    int64_t now = vfs_now(base->fs->kernel);

    mutex_lock(&base->lock);
    ASSERT((int)i->nlink + by >= 0);
    i->nlink = (uint32_t)((int)i->nlink + by);
    i->ctime_ns = now;
    mutex_unlock(&base->lock);
}

/* ---- symlinks and nodes ---- */

static int tmpfs_readlink(struct inode *base, struct task *t, char **ret) {
    (void)t;
    *ret = heap_strdup(tmpfs_inode_of(base)->target);
    return *ret ? 0 : -ENOMEM;
}

#define TMPFS_COMMON_OPS                                                                                     \
    .getattr = tmpfs_getattr, .setattr = tmpfs_setattr, .getxattr = tmpfs_getxattr,                          \
    .setxattr = tmpfs_setxattr, .listxattr = tmpfs_listxattr, .removexattr = tmpfs_removexattr,              \
    .set_acl = tmpfs_set_acl, .set_flags = tmpfs_set_flags, .release = tmpfs_release

const struct inode_ops tmpfs_file_inode_ops = {
    .name = "tmpfs-file", .open = tmpfs_file_open, TMPFS_COMMON_OPS};
const struct inode_ops tmpfs_link_inode_ops = {
    .name = "tmpfs-link", .readlink = tmpfs_readlink, TMPFS_COMMON_OPS};
const struct inode_ops tmpfs_node_inode_ops = {.name = "tmpfs-node", TMPFS_COMMON_OPS};
