/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/vfs_names.c: making and removing names: mkdir, mknod, symlink, link, unlink, rmdir. Rename:
 * vfs_rename.c. Source: mkdir(2), mknod(2), symlink(2), link(2), unlink(2), rmdir(2), proc(5)
 * "protected_hardlinks".
 *
 * Each takes the directory's lock, looks the name up, checks in Linux's order, calls the file system, and
 * puts the dentry cache right, all under that lock.
 */
#include <errno.h>

#include "base/abi/linux/capability.h"
#include "base/abi/linux/fcntl.h"
#include "sentry/vfs/landlock.h"
#include "sentry/vfs/vfs_internal.h"

/* ---- making ---- */

/* A name that is to be made. */
struct creation {
    struct path dir; /* reference */
    struct last_component last;
    struct dentry *negative; /* reference; its directory is locked */
    uint32_t mode;           /* that the new file gets */
    struct acl_inheritance acl;
};

/* `right`: what Landlock asks for in the directory; 0: the caller asks.
 * Order of filename_create(): EEXIST for "." and the like, EEXIST, ENOENT for "new/", EROFS, then permission.
 * With 0 the directory stays locked, for create_end(): the analysis cannot follow that. */
static int create_begin(const struct vfs_view *v, int dirfd, const char *name, bool directory, uint64_t right,
                        struct creation *c) NO_TSA {
    c->acl = (struct acl_inheritance){0};
    int r = path_lookup_parent(v, dirfd, name, 0, &c->dir, &c->last);

    if (r < 0)
        return r;
    if (c->last.type != LAST_NORMAL) {
        path_put(&c->dir);
        return -EEXIST;
    }
    struct inode *dir = c->dir.dentry->inode;
    mutex_lock(&dir->dir_lock);
    r = dentry_lookup_locked(c->dir.dentry, c->last.name, c->last.len, &c->negative);
    if (r == 0) {
        if (c->negative->inode)
            r = -EEXIST;
        else if (c->last.trailing_slash && !directory)
            r = -ENOENT;
        else
            r = path_want_write(&c->dir);
        if (r == 0)
            r = landlock_check_path(v->creds, &c->dir, right);
        if (r == 0)
            r = inode_dir_may_create(dir, v->creds);
        if (r < 0)
            dentry_unref(c->negative);
    }
    if (r < 0) {
        mutex_unlock(&dir->dir_lock);
        path_put(&c->dir);
    }
    return r;
}

/* `r` is the file system's answer; a new inode (reference) comes with 0. *ret: the new dentry, or NULL if not
 * wanted. */
static int create_end(struct creation *c, int r, struct inode *inode, struct path *ret) NO_TSA {
    struct dentry *made = NULL;

    if (r == 0 && (r = acl_inherit_apply(&c->acl, inode, c->mode)) < 0)
        inode_unref(inode);
    acl_inherit_done(&c->acl);
    if (r == 0) {
        dentry_drop(c->negative);
        r = dentry_add(c->dir.dentry, c->last.name, c->last.len, inode, &made);
        if (r < 0)
            inode_unref(inode);
    }
    mutex_unlock(&c->dir.dentry->inode->dir_lock);
    dentry_unref(c->negative);
    if (made) {
        vfs_notify(made, LINUX_IN_CREATE | (inode_is_dir(inode) ? LINUX_IN_ISDIR : 0u), 0);
        if (ret)
            *ret = (struct path){mount_ref(c->dir.mount), dentry_ref(made)};
        dentry_unref(made);
    }
    path_put(&c->dir);
    return r;
}

int vfs_mkdir(const struct vfs_view *v, int dirfd, const char *name, uint32_t mode) {
    struct creation c;
    struct inode *inode = NULL;
    int r = create_begin(v, dirfd, name, /* directory= */ true, LINUX_LANDLOCK_FS_MAKE_DIR, &c);

    if (r < 0)
        return r;
    struct inode *dir = c.dir.dentry->inode;
    c.mode = mode & 01777;
    r = acl_inherit(dir, LINUX_S_IFDIR, v->umask, &c.mode, &c.acl);
    if (r == 0)
        r = dir->ops->mkdir ? dir->ops->mkdir(dir, c.last.name, c.last.len, c.mode, v->creds, &inode)
                            : -EPERM;
    return create_end(&c, r, inode, NULL);
}

static int make_node(const struct vfs_view *v, int dirfd, const char *name, uint32_t mode, uint64_t rdev,
                     struct path *ret) {
    struct creation c;
    struct inode *inode = NULL;
    uint32_t type = mode & LINUX_S_IFMT;
    bool device =
        type == LINUX_S_IFBLK || (type == LINUX_S_IFCHR && rdev != 0); /* 0:0 is a whiteout: no privilege */
    int r = create_begin(v, dirfd, name, /* directory= */ false, landlock_make_right(type), &c);

    if (r < 0)
        return r;
    struct inode *dir = c.dir.dentry->inode;
    c.mode = mode & 07777;
    if (device && !creds_has_cap_in(v->creds, dir->fs->kernel->root_user_ns, LINUX_CAP_MKNOD))
        r = -EPERM;
    else
        r = acl_inherit(dir, type, v->umask, &c.mode, &c.acl);
    if (r == 0 && type == LINUX_S_IFREG)
        r = dir->ops->create ? dir->ops->create(dir, c.last.name, c.last.len, c.mode, v->creds, &inode)
                             : -EPERM;
    else if (r == 0)
        r = dir->ops->mknod
                ? dir->ops->mknod(dir, c.last.name, c.last.len, type | c.mode, rdev, v->creds, &inode)
                : -EPERM;
    return create_end(&c, r, inode, ret);
}

int vfs_mknod(const struct vfs_view *v, int dirfd, const char *name, uint32_t mode, uint64_t rdev) {
    return make_node(v, dirfd, name, mode, rdev, NULL);
}

int vfs_bind_socket(const struct vfs_view *v, const char *name, uint32_t mode, struct path *ret) {
    return make_node(v, LINUX_AT_FDCWD, name, LINUX_S_IFSOCK | (mode & 0777), 0, ret);
}

int vfs_symlink(const struct vfs_view *v, const char *target, int dirfd, const char *name) {
    struct creation c;
    struct inode *inode = NULL;
    int r = create_begin(v, dirfd, name, /* directory= */ false, LINUX_LANDLOCK_FS_MAKE_SYM, &c);

    if (r < 0)
        return r;
    struct inode *dir = c.dir.dentry->inode;
    r = dir->ops->symlink ? dir->ops->symlink(dir, c.last.name, c.last.len, target, v->creds, &inode)
                          : -EPERM;
    return create_end(&c, r, inode, NULL);
}

/* protected_hardlinks: only to what one owns, or could read and write and is not set-id. */
static int may_link(struct inode *i, const struct creds *c) {
    if (!vfs_setting(i->fs->kernel, VFS_PROTECTED_HARDLINKS) || inode_owner_or_capable(i, c))
        return 0;
    if (i->type != LINUX_S_IFREG || i->mode & LINUX_S_ISUID ||
        (i->mode & (LINUX_S_ISGID | LINUX_S_IXGRP)) == (LINUX_S_ISGID | LINUX_S_IXGRP) ||
        inode_permission(i, c, MAY_READ | MAY_WRITE) < 0)
        return -EPERM;
    return 0;
}

static int link_checked(const struct vfs_view *v, const struct path *old, struct creation *c) {
    struct inode *i = old->dentry->inode, *dir = c->dir.dentry->inode;

    if (old->mount != c->dir.mount)
        return -EXDEV;
    int r = may_link(i, v->creds);
    if (r == 0 && v->creds->landlock) {
        struct path from = {old->mount, dentry_parent(old->dentry)};
        r = landlock_check_refer(v->creds, &from, old->dentry, &c->dir, NULL, /* keeps= */ true,
                                 /* exchange= */ false);
        dentry_unref(from.dentry);
    }
    if (r < 0)
        return r;
    if (i->flags & (INODE_IMMUTABLE | INODE_APPEND))
        return -EPERM;
    if (inode_is_dir(i) || !dir->ops->link)
        return -EPERM;
    return dir->ops->link(dir, c->last.name, c->last.len, i);
}

int vfs_link(const struct vfs_view *v, int old_dirfd, const char *old_name, int new_dirfd,
             const char *new_name, unsigned flags) {
    struct path old;
    struct creation c;
    int r = path_lookup(v, old_dirfd, old_name, flags, &old);

    if (r < 0)
        return r;
    r = create_begin(v, new_dirfd, new_name, /* directory= */ false, 0, &c);
    if (r == 0) {
        struct inode *i = old.dentry->inode;
        r = link_checked(v, &old, &c);
        r = create_end(&c, r, r == 0 ? inode_ref(i) : NULL, NULL);
        if (r == 0)
            vfs_notify(old.dentry, LINUX_IN_ATTRIB, 0);
    }
    path_put(&old);
    return r;
}

/* ---- removing ---- */

static bool sticky_denies(const struct inode *dir, const struct inode *victim, const struct creds *c) {
    return dir->mode & LINUX_S_ISVTX && victim->uid != c->fsuid && dir->uid != c->fsuid &&
           !inode_capable(victim, c, LINUX_CAP_FOWNER);
}

int name_may_delete(struct inode *dir, const struct dentry *victim, bool want_directory,
                    const struct creds *c) {
    int r = inode_permission(dir, c, MAY_WRITE | MAY_EXEC);

    if (r < 0)
        return r;
    if (sticky_denies(dir, victim->inode, c) || dir->flags & INODE_APPEND ||
        victim->inode->flags & (INODE_IMMUTABLE | INODE_APPEND))
        return -EPERM;
    if (want_directory && !inode_is_dir(victim->inode))
        return -ENOTDIR;
    if (!want_directory && inode_is_dir(victim->inode))
        return -EISDIR;
    return dir->dead_dir ? -ENOENT : 0;
}

static int rmdir_locked(struct inode *dir, const struct last_component *last, struct dentry *d) {
    struct inode *victim = d->inode;

    mutex_lock_nested(&victim->dir_lock); /* parent before child */
    int r = atomic_load(&d->mounts) > 0 ? -EBUSY : dir->ops->rmdir(dir, last->name, last->len, victim);
    if (r == 0)
        victim->dead_dir = true;
    mutex_unlock(&victim->dir_lock);
    return r;
}

static int remove_locked(const struct vfs_view *v, const struct path *at, const struct last_component *last,
                         bool directory, struct dentry *d) {
    struct inode *dir = at->dentry->inode, *i = d->inode;

    if (!i)
        return -ENOENT;
    if (last->trailing_slash && !directory)
        return inode_is_dir(i) ? -EISDIR : -ENOTDIR;
    int r = path_want_write(at);
    if (r == 0)
        r = landlock_check_path(v->creds, at,
                                directory ? LINUX_LANDLOCK_FS_REMOVE_DIR : LINUX_LANDLOCK_FS_REMOVE_FILE);
    if (r == 0)
        r = name_may_delete(dir, d, directory, v->creds);
    if (r < 0)
        return r;
    if (!(directory ? (bool)dir->ops->rmdir : (bool)dir->ops->unlink))
        return -EPERM;
    if (directory)
        return rmdir_locked(dir, last, d);
    return atomic_load(&d->mounts) > 0 ? -EBUSY : dir->ops->unlink(dir, last->name, last->len, i);
}

static int remove_name(const struct vfs_view *v, int dirfd, const char *name, bool directory) {
    static const int odd[2][4] = {
        [false] = {[LAST_DOT] = -EISDIR, [LAST_DOTDOT] = -EISDIR, [LAST_ROOT] = -EISDIR},
        [true] = {[LAST_DOT] = -EINVAL, [LAST_DOTDOT] = -ENOTEMPTY, [LAST_ROOT] = -EBUSY},
    };
    struct path at;
    struct last_component last;
    struct dentry *d;
    int r = path_lookup_parent(v, dirfd, name, 0, &at, &last);

    if (r < 0)
        return r;
    struct inode *dir = at.dentry->inode;
    r = odd[directory][last.type];
    if (r == 0) {
        mutex_lock(&dir->dir_lock);
        r = dentry_lookup_locked(at.dentry, last.name, last.len, &d);
        if (r == 0) {
            r = remove_locked(v, &at, &last, directory, d);
            if (r == 0)
                dentry_drop(d);
        } else {
            d = NULL;
        }
        mutex_unlock(&dir->dir_lock);
        if (r == 0)
            names_notify_removed(d);
        dentry_unref(d);
    }
    path_put(&at);
    return r;
}

/* IN_DELETE for the directory's watchers; IN_ATTRIB, or IN_DELETE_SELF after the last name, for the file's
 * own. */
void names_notify_removed(struct dentry *d) {
    uint32_t dir_bit = inode_is_dir(d->inode) ? LINUX_IN_ISDIR : 0u;

    if (atomic_load_explicit(&vfs_of(d->fs)->watches, memory_order_relaxed) == 0)
        return;
    vfs_notify_parent(d, LINUX_IN_DELETE | dir_bit, 0);
    struct kstat st;
    inode_fill_stat(d->inode, &st);
    if (dir_bit || (d->inode->ops->getattr(d->inode, &st) == 0 && st.nlink == 0)) {
        vfs_notify_self(d, LINUX_IN_DELETE_SELF);
        inode_drop_watches(d->inode);
    } else {
        vfs_notify_self(d, LINUX_IN_ATTRIB);
    }
}

int vfs_unlink(const struct vfs_view *v, int dirfd, const char *name) {
    return remove_name(v, dirfd, name, /* directory= */ false);
}

int vfs_rmdir(const struct vfs_view *v, int dirfd, const char *name) {
    return remove_name(v, dirfd, name, /* directory= */ true);
}
