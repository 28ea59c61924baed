/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/vfs_rename.c: rename(2) and renameat2(2).
 *
 * Locks: filesystem.rename_lock when two directories take part (no directory then changes its ancestors),
 * both directories' locks (ancestor first, else by address), and a replaced directory's own.
 */
#include <errno.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/vfs/landlock.h"
#include "sentry/vfs/vfs_internal.h"

struct side {
    struct path dir; /* reference */
    struct last_component last;
    struct dentry *d; /* reference, or NULL */
};

/* Locks both directories; *ret_trap is the child of one through which the other lies below it, if any: a
 * reference. */
static void lock_directories(struct side *from, struct side *to) NO_TSA {
    struct dentry *a = from->dir.dentry, *b = to->dir.dentry;

    if (a == b) {
        mutex_lock(&a->inode->dir_lock);
        return;
    }
    mutex_lock(&a->fs->rename_lock);
    bool a_first = dentry_is_below(b, a) || (!dentry_is_below(a, b) && a->inode < b->inode);
    mutex_lock(a_first ? &a->inode->dir_lock : &b->inode->dir_lock);
    mutex_lock_nested(a_first ? &b->inode->dir_lock
                              : &a->inode->dir_lock); /* ancestor first, else by address */
}

static void unlock_directories(struct side *from, struct side *to) NO_TSA {
    struct dentry *a = from->dir.dentry, *b = to->dir.dentry;

    mutex_unlock(&a->inode->dir_lock);
    if (a == b)
        return;
    mutex_unlock(&b->inode->dir_lock);
    mutex_unlock(&a->fs->rename_lock);
}

static int check_names(const struct side *from, const struct side *to, uint32_t flags) {
    if (!from->d->inode)
        return -ENOENT;
    if (flags & LINUX_RENAME_NOREPLACE && to->d->inode)
        return -EEXIST;
    if (flags & LINUX_RENAME_EXCHANGE) {
        if (!to->d->inode)
            return -ENOENT;
        if (!inode_is_dir(to->d->inode) && to->last.trailing_slash)
            return -ENOTDIR;
    }
    if (!inode_is_dir(from->d->inode)) {
        if (from->last.trailing_slash || (!(flags & LINUX_RENAME_EXCHANGE) && to->last.trailing_slash))
            return -ENOTDIR;
    }
    /* A directory into itself; an ancestor replaced by what lies in it. */
    if (dentry_is_below(to->dir.dentry, from->d))
        return -EINVAL;
    if (to->d->inode && dentry_is_below(from->dir.dentry, to->d))
        return flags & LINUX_RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
    return 0;
}

static int check_rights(const struct side *from, const struct side *to, uint32_t flags,
                        const struct creds *c) {
    struct inode *from_dir = from->dir.dentry->inode, *to_dir = to->dir.dentry->inode;
    bool is_dir = inode_is_dir(from->d->inode);
    int r = name_may_delete(from_dir, from->d, is_dir, c);

    if (r < 0)
        return r;
    if (!to->d->inode)
        r = inode_dir_may_create(to_dir, c);
    else
        r = name_may_delete(to_dir, to->d,
                            flags & LINUX_RENAME_EXCHANGE ? inode_is_dir(to->d->inode) : is_dir, c);
    if (r < 0)
        return r;
    if (from_dir == to_dir)
        return 0;
    if (is_dir)
        r = inode_permission(from->d->inode, c, MAY_WRITE);
    if (r == 0 && flags & LINUX_RENAME_EXCHANGE && inode_is_dir(to->d->inode))
        r = inode_permission(to->d->inode, c, MAY_WRITE);
    return r;
}

static int rename_in_fs(struct side *from, struct side *to, uint32_t flags) {
    struct inode *dir = from->dir.dentry->inode;

    return dir->ops->rename(dir, from->last.name, from->last.len, from->d->inode, to->dir.dentry->inode,
                            to->last.name, to->last.len, to->d->inode, flags);
}

/* `replaced` is a directory, below both. */
static int rename_over_directory(struct side *from, struct side *to, uint32_t flags, struct inode *replaced) {
    mutex_lock_nested(&replaced->dir_lock);
    int r = rename_in_fs(from, to, flags);
    if (r == 0)
        replaced->dead_dir = true;
    mutex_unlock(&replaced->dir_lock);
    return r;
}

static int do_rename(struct side *from, struct side *to, uint32_t flags) {
    struct inode *dir = from->dir.dentry->inode, *replaced = to->d->inode;
    bool exchange = flags & LINUX_RENAME_EXCHANGE;
    bool kills_dir = replaced && !exchange && inode_is_dir(replaced);
    struct dentry_name to_name, from_name;

    if (!dir->ops->rename)
        return -EPERM;
    if (atomic_load(&from->d->mounts) > 0 || atomic_load(&to->d->mounts) > 0)
        return -EBUSY;
    int r = dentry_name_prepare(&to_name, to->last.name, to->last.len);
    if (r < 0)
        return r;
    r = dentry_name_prepare(&from_name, from->last.name, from->last.len);
    if (r == 0) {
        r = kills_dir ? rename_over_directory(from, to, flags, replaced) : rename_in_fs(from, to, flags);
        if (r == 0 && exchange) {
            dentry_exchange(from->d, to->d, &to_name, &from_name);
        } else if (r == 0) {
            dentry_drop(to->d);
            dentry_move(from->d, to->dir.dentry, &to_name);
        }
        dentry_name_done(&from_name);
    }
    dentry_name_done(&to_name);
    return r;
}

static void notify(struct side *from, struct side *to, uint32_t flags) {
    struct vfs *v = vfs_of(from->d->fs);

    if (atomic_load_explicit(&v->watches, memory_order_relaxed) == 0)
        return;
    uint32_t cookie = atomic_fetch_add(&v->next_cookie, 1) + 1;
    vfs_notify_rename(from->dir.dentry->inode, from->last.name, from->last.len, to->dir.dentry->inode,
                      to->last.name, to->last.len, from->d, cookie);
    if (flags & LINUX_RENAME_EXCHANGE) {
        cookie = atomic_fetch_add(&v->next_cookie, 1) + 1;
        vfs_notify_rename(to->dir.dentry->inode, to->last.name, to->last.len, from->dir.dentry->inode,
                          from->last.name, from->last.len, to->d, cookie);
    } else if (to->d->inode) {
        struct kstat st;
        inode_fill_stat(to->d->inode, &st);
        if (inode_is_dir(to->d->inode) ||
            (to->d->inode->ops->getattr(to->d->inode, &st) == 0 && st.nlink == 0)) {
            vfs_notify_self(to->d, LINUX_IN_DELETE_SELF);
            inode_drop_watches(to->d->inode);
        }
    }
}

static int rename_sides(struct side *from, struct side *to, uint32_t flags, const struct creds *c) {
    bool same = false;

    if (from->dir.mount != to->dir.mount)
        return -EXDEV;
    if (from->last.type != LAST_NORMAL)
        return -EBUSY;
    if (to->last.type != LAST_NORMAL)
        return flags & LINUX_RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    int r = path_want_write(&from->dir);
    if (r < 0)
        return r;
    lock_directories(from, to);
    r = dentry_lookup_locked(from->dir.dentry, from->last.name, from->last.len, &from->d);
    if (r == 0)
        r = dentry_lookup_locked(to->dir.dentry, to->last.name, to->last.len, &to->d);
    if (r == 0)
        r = check_names(from, to, flags);
    same = r == 0 && from->d->inode == to->d->inode;
    if (r == 0)
        r = landlock_check_refer(c, &from->dir, from->d, &to->dir, to->d, /* keeps= */ false,
                                 flags & LINUX_RENAME_EXCHANGE);
    if (r == 0 && !same)
        r = check_rights(from, to, flags, c);
    if (r == 0 && !same)
        r = do_rename(from, to, flags);
    unlock_directories(from, to);
    if (r == 0 && !same)
        notify(from, to, flags);
    return r;
}

int vfs_rename(const struct vfs_view *v, int old_dirfd, const char *old_name, int new_dirfd,
               const char *new_name, uint32_t flags) {
    struct side from = {0}, to = {0};
    int r = path_lookup_parent(v, old_dirfd, old_name, 0, &from.dir, &from.last);

    if (r < 0)
        return r;
    r = path_lookup_parent(v, new_dirfd, new_name, 0, &to.dir, &to.last);
    if (r == 0) {
        r = rename_sides(&from, &to, flags, v->creds);
        dentry_unref(from.d);
        dentry_unref(to.d);
        path_put(&to.dir);
    }
    path_put(&from.dir);
    return r;
}
