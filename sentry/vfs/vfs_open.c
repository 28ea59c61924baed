/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/vfs_open.c: from a name to an open file. Source: open(2), openat2(2), execve(2) (ETXTBSY),
 * inotify(7).
 *
 * Flags come checked by the system call (sys_open.c). The last component is walked here, because O_CREAT may
 * make it, under its directory's lock, and a symlink there may lead on. Order of checks as Linux: existence,
 * EEXIST, EISDIR, ENOTDIR, ELOOP, type, permission and EROFS, ETXTBSY, the node's own.
 */
#include <errno.h>
#include <stdio.h>

#include "base/abi/linux/fanotify.h"
#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/vfs/fanotify.h"
#include "sentry/vfs/landlock.h"
#include "sentry/vfs/lease.h"
#include "sentry/vfs/pipe.h"
#include "sentry/vfs/vfs_internal.h"

/* ---- O_PATH ---- */

HEAP_TYPE(path_file, struct file, 0);

static void path_file_release(struct file *f) {
    file_done(f);
    heap_free(f);
}

static const struct file_ops path_file_ops = {
    .name = "path",
    .release = path_file_release,
};

static int open_path_only(const struct path *p, uint32_t flags, const struct creds *c, struct file **ret) {
    struct file *f = heap_new(path_file);

    if (!f)
        return -ENOMEM;
    file_init(f, &path_file_ops, p, flags & (LINUX_O_PATH | LINUX_O_DIRECTORY | LINUX_O_NOFOLLOW), FILE_PATH,
              c);
    *ret = f;
    return 0;
}

/* ---- the open itself ---- */

static unsigned access_mask(uint32_t flags) {
    static const unsigned mask[4] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE};
    unsigned m = mask[flags & LINUX_O_ACCMODE];

    return flags & LINUX_O_TRUNC ? m | MAY_WRITE : m;
}

static int may_open(const struct path *p, uint32_t flags, bool created, const struct creds *c) {
    struct inode *i = p->dentry->inode;

    switch (i->type) {
    case LINUX_S_IFLNK:
        return -ELOOP;
    case LINUX_S_IFDIR:
        if (access_mask(flags) & MAY_WRITE)
            return -EISDIR;
        break;
    case LINUX_S_IFCHR:
    case LINUX_S_IFBLK:
        if (p->mount->flags & MOUNT_NODEV || p->mount->fs->flags & FS_NODEV)
            return -EACCES;
        break;
    default:
        break;
    }
    int r = created ? 0 : path_permission(p, c, access_mask(flags));
    if (r < 0)
        return r;
    if (i->flags & INODE_APPEND &&
        ((access_mask(flags) & MAY_WRITE && !(flags & LINUX_O_APPEND)) || flags & LINUX_O_TRUNC))
        return -EPERM;
    if (flags & LINUX_O_NOATIME && !inode_owner_or_capable(i, c))
        return -EPERM;
    return 0;
}

int inode_get_write(struct inode *i) {
    int32_t n = atomic_load(&i->write_count);

    do {
        if (n < 0)
            return -ETXTBSY;
    } while (!atomic_compare_exchange_weak(&i->write_count, &n, n + 1));
    return 0;
}

static int inode_deny_write(struct inode *i) {
    int32_t n = atomic_load(&i->write_count);

    do {
        if (n > 0)
            return -ETXTBSY;
    } while (!atomic_compare_exchange_weak(&i->write_count, &n, n - 1));
    return 0;
}

static int open_node(const struct vfs_view *v, const struct path *p, uint32_t flags, struct file **ret) {
    struct inode *i = p->dentry->inode;
    struct device_driver *driver;

    switch (i->type) {
    case LINUX_S_IFIFO:
        return fifo_open(v->task, i, p, flags, v->creds, ret);
    case LINUX_S_IFSOCK:
        return -ENXIO;
    case LINUX_S_IFCHR:
    case LINUX_S_IFBLK:
        driver = device_driver_find(i->type, i->rdev);
        return driver ? driver->open(i, p, flags, v->creds, v->task, ret) : -ENXIO;
    default:
        return i->ops->open ? i->ops->open(i, p, flags, v->creds, ret) : -ENXIO;
    }
}

static int truncate_at_open(const struct path *p) {
    struct inode *i = p->dentry->inode;
    const struct setattr s = {.mask = SETATTR_SIZE | SETATTR_MTIME_NOW | SETATTR_KILL_PRIV, .size = 0};

    if (p->mount->fs->flags & FS_TRUNC_IN_OPEN)
        return 0;
    return i->ops->setattr ? i->ops->setattr(i, &s) : -EPERM;
}

/* What opening so needs; what the file may not do later is noted in its mode: *ret_mode. */
static int check_landlock(const struct path *p, uint32_t flags, uint32_t how, const struct creds *c,
                          uint32_t *ret_mode) {
    bool device = p->dentry->inode->type == LINUX_S_IFCHR || p->dentry->inode->type == LINUX_S_IFBLK;
    uint64_t needs = how & FILE_DENY_WRITE ? LINUX_LANDLOCK_FS_EXECUTE : 0;
    unsigned mode = file_mode_of(flags);

    if (inode_is_dir(p->dentry->inode)) {
        needs = LINUX_LANDLOCK_FS_READ_DIR;
    } else {
        needs |= mode & FILE_READ ? LINUX_LANDLOCK_FS_READ_FILE : 0;
        needs |= mode & FILE_WRITE ? LINUX_LANDLOCK_FS_WRITE_FILE : 0;
        needs |= flags & LINUX_O_TRUNC ? LINUX_LANDLOCK_FS_TRUNCATE : 0;
    }
    uint64_t denied =
        landlock_denied(c->landlock, p, needs | LINUX_LANDLOCK_FS_TRUNCATE | LINUX_LANDLOCK_FS_IOCTL_DEV);
    if (denied & LINUX_LANDLOCK_FS_TRUNCATE)
        *ret_mode |= FILE_NO_TRUNCATE;
    if (device && denied & LINUX_LANDLOCK_FS_IOCTL_DEV)
        *ret_mode |= FILE_NO_IOCTL;
    return denied & needs ? -EACCES : 0;
}

/* Everything after the checks. `how`: FILE_DENY_WRITE, FILE_SILENT or 0. */
static int open_checked(const struct vfs_view *v, const struct path *p, uint32_t flags, bool created,
                        uint32_t how, struct file **ret) {
    struct inode *i = p->dentry->inode;
    bool regular = i->type == LINUX_S_IFREG;
    bool counted = regular && file_mode_of(flags) & FILE_WRITE;
    struct file *f = NULL;
    int r = 0;

    if (unlikely(v->creds->landlock) && !(how & FILE_SILENT))
        r = check_landlock(p, created ? flags & ~(uint32_t)LINUX_O_TRUNC : flags, how, v->creds, &how);
    if (r < 0)
        return r;
    if (!created && !(how & FILE_SILENT))
        r = fanotify_permission(v->task, p,
                                how & FILE_DENY_WRITE ? LINUX_FAN_OPEN_PERM | LINUX_FAN_OPEN_EXEC_PERM
                                                      : LINUX_FAN_OPEN_PERM);
    if (r < 0)
        return r;
    if (regular && !created && !(how & FILE_SILENT)) {
        r = lease_break(v->task, i, access_mask(flags) & MAY_WRITE, flags & LINUX_O_NONBLOCK);
        if (r < 0)
            return r;
    }
    if (how & FILE_DENY_WRITE)
        r = inode_deny_write(i);
    else if (counted || (regular && flags & LINUX_O_TRUNC))
        r = inode_get_write(i);
    if (r < 0)
        return r;
    r = open_node(v, p, created || !regular ? flags & ~(uint32_t)LINUX_O_TRUNC : flags, &f);
    if (r == 0 && regular && flags & LINUX_O_TRUNC && !created)
        r = truncate_at_open(p);
    if (how & FILE_DENY_WRITE) {
        if (r < 0)
            atomic_fetch_add(&i->write_count, 1);
    } else if (regular && (counted || flags & LINUX_O_TRUNC) && (r < 0 || !counted)) {
        atomic_fetch_sub(&i->write_count, 1);
    }
    if (r < 0) {
        file_unref(f);
        return r;
    }
    f->mode |= how | (how & FILE_SILENT ? 0 : FILE_OPENED);
    if (regular && f->mode & FILE_READ && !counted) {
        f->mode |= FILE_READ_COUNTED;
        atomic_fetch_add(&i->read_count, 1);
    }
    if (counted) {
        f->mode |= FILE_COUNTED;
        atomic_fetch_add(&p->mount->writers, 1);
    }
    if (!(how & FILE_SILENT))
        vfs_notify_path(p, LINUX_IN_OPEN);
    if (how & FILE_DENY_WRITE)
        fanotify_path_event(p, LINUX_FAN_OPEN_EXEC);
    *ret = f;
    return 0;
}

int vfs_open_path(const struct vfs_view *v, const struct path *p, uint32_t flags, struct file **ret) {
    if (flags & LINUX_O_PATH)
        return open_path_only(p, flags, v->creds, ret);
    int r = may_open(p, flags, /* created= */ false, v->creds);
    return r < 0 ? r : open_checked(v, p, flags, /* created= */ false, 0, ret);
}

int vfs_open_silent(const struct vfs_view *v, const struct path *p, uint32_t flags, struct file **ret) {
    int r = may_open(p, flags, /* created= */ false, v->creds);

    return r < 0 ? r : open_checked(v, p, flags, /* created= */ false, FILE_SILENT, ret);
}

/* ---- creating ---- */

static int create_locked(struct walk *w, const struct open_request *o, struct dentry *negative,
                         struct dentry **ret) {
    struct dentry *parent = w->at.dentry;
    struct inode *dir = parent->inode, *inode;
    int r = path_want_write(&w->at);

    if (r == 0)
        r = landlock_check_path(w->view->creds, &w->at, LINUX_LANDLOCK_FS_MAKE_REG);
    if (r == 0)
        r = inode_dir_may_create(dir, w->view->creds);
    if (r < 0)
        return r;
    if (!dir->ops->create)
        return -EPERM;
    struct acl_inheritance acl;
    uint32_t mode = o->mode & 07777;
    r = acl_inherit(dir, LINUX_S_IFREG, w->view->umask, &mode, &acl);
    if (r < 0)
        return r;
    r = dir->ops->create(dir, w->last.name, w->last.len, mode, w->view->creds, &inode);
    if (r < 0) {
        acl_inherit_done(&acl);
        return r;
    }
    r = acl_inherit_apply(&acl, inode, mode);
    if (r < 0) {
        inode_unref(inode);
        return r;
    }
    dentry_drop(negative);
    r = dentry_add(parent, w->last.name, w->last.len, inode, ret);
    if (r < 0)
        inode_unref(inode);
    return r;
}

/* protected_regular and protected_fifos (proc(5), "/proc/sys/fs"): in a sticky directory that others can
 * write, O_CREAT does not open what somebody planted there. */
static int check_planted(const struct inode *dir, const struct inode *i, const struct creds *c) {
    bool fifo = i->type == LINUX_S_IFIFO;
    int level = vfs_setting(i->fs->kernel, fifo ? VFS_PROTECTED_FIFOS : VFS_PROTECTED_REGULAR);

    if (!level || !(dir->mode & LINUX_S_ISVTX) || (!fifo && i->type != LINUX_S_IFREG) || i->uid == dir->uid ||
        i->uid == c->fsuid)
        return 0;
    if (dir->mode & LINUX_S_IWOTH || (level >= 2 && dir->mode & LINUX_S_IWGRP))
        return -EACCES;
    return 0;
}

/* The last component with O_CREAT. 0: w->at is it; 1: goes on through a link. */
static int last_or_create(struct walk *w, const struct open_request *o, bool follow, bool *ret_created) {
    struct dentry *d, *made = NULL;

    if (w->last.type != LAST_NORMAL)
        return walk_last(w, false);
    if (w->last.trailing_slash)
        return -EISDIR;
    struct dentry *parent = w->at.dentry;
    /* Found without the directory's lock in the common case of an existing file. */
    int r = dentry_lookup(parent, w->last.name, w->last.len, &d);
    if (r < 0)
        return r;
    if (!d->inode) {
        dentry_unref(d);
        mutex_lock(&parent->inode->dir_lock);
        r = dentry_lookup_locked(parent, w->last.name, w->last.len, &d);
        if (r == 0 && !d->inode) {
            r = create_locked(w, o, d, &made);
            dentry_unref(d);
            d = made;
        }
        mutex_unlock(&parent->inode->dir_lock);
        if (r < 0)
            return r;
    }
    *ret_created = made != NULL;
    if (!made && (r = check_planted(parent->inode, d->inode, w->view->creds)) < 0 &&
        !(o->flags & LINUX_O_EXCL)) {
        dentry_unref(d);
        return r;
    }
    if (made) {
        vfs_notify(made, LINUX_IN_CREATE, 0);
        return walk_into(w, d, false);
    }
    if (o->flags & LINUX_O_EXCL) {
        dentry_unref(d);
        return -EEXIST;
    }
    return walk_into(w, d, follow);
}

static int check_found(const struct walk *w, const struct open_request *o, bool created) {
    bool is_dir = inode_is_dir(w->at.dentry->inode);

    if (o->flags & LINUX_O_CREAT && !created) {
        if (o->flags & LINUX_O_EXCL)
            return -EEXIST;
        if (is_dir)
            return -EISDIR;
    }
    if ((o->flags & LINUX_O_DIRECTORY || w->last.trailing_slash) && !is_dir)
        return -ENOTDIR;
    return 0;
}

static int open_tmpfile(const struct vfs_view *v, const char *name, const struct open_request *o,
                        struct file **ret) {
    struct path dir, p;
    struct inode *inode;
    char text[32];
    int r = path_lookup(v, o->dirfd, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY | o->resolve, &dir);

    if (r < 0)
        return r;
    struct inode *d = dir.dentry->inode;
    r = path_want_write(&dir);
    if (r == 0)
        r = inode_permission(d, v->creds, MAY_WRITE | MAY_EXEC);
    if (r == 0 && !d->ops->tmpfile)
        r = -EOPNOTSUPP;
    uint32_t mode = o->mode & 07777;
    struct acl_inheritance acl = {0};
    if (r == 0)
        r = acl_inherit(d, LINUX_S_IFREG, v->umask, &mode, &acl);
    if (r == 0) {
        mutex_lock(&d->dir_lock);
        r = d->ops->tmpfile(d, mode, v->creds, &inode);
        mutex_unlock(&d->dir_lock);
    }
    if (r == 0)
        r = acl_inherit_apply(&acl, inode, mode);
    acl_inherit_done(&acl);
    if (r == 0) {
        snprintf(text, sizeof text, "#%lu", (unsigned long)inode->ino);
        p = (struct path){mount_ref(dir.mount), dentry_new_unlinked(dir.dentry, text, inode)};
        if (!p.dentry) {
            inode_unref(inode);
            r = -ENOMEM;
        } else {
            r = open_checked(v, &p, o->flags & ~(uint32_t)(LINUX_O_TMPFILE | LINUX_O_TRUNC),
                             /* created= */ true, 0, ret);
        }
        path_put(&p);
    }
    path_put(&dir);
    return r;
}

static int open_walk(const struct vfs_view *v, const char *name, const struct open_request *o,
                     struct file **ret) {
    bool create = o->flags & LINUX_O_CREAT, created = false;
    bool follow = !(o->flags & LINUX_O_NOFOLLOW) &&
                  (o->flags & (LINUX_O_CREAT | LINUX_O_EXCL)) != (LINUX_O_CREAT | LINUX_O_EXCL);
    struct walk w;
    int r = walk_start(&w, v, o->dirfd, name, o->resolve);

    while (r >= 0) {
        r = walk_to_parent(&w);
        if (r == 0)
            r = create ? last_or_create(&w, o, follow, &created) : walk_last(&w, follow);
        if (r <= 0)
            break;
    }
    if (r == 0)
        r = check_found(&w, o, created);
    if (r == 0)
        r = may_open(&w.at, o->flags, created, v->creds);
    if (r == 0)
        r = open_checked(v, &w.at, o->flags, created, 0, ret);
    walk_done(&w);
    return r;
}

int vfs_open(const struct vfs_view *v, const char *name, const struct open_request *o, struct file **ret) {
    if ((o->flags & LINUX_O_TMPFILE) == LINUX_O_TMPFILE)
        return open_tmpfile(v, name, o, ret);
    if (!(o->flags & LINUX_O_PATH))
        return open_walk(v, name, o, ret);
    struct path p;
    unsigned flags = o->resolve | (o->flags & LINUX_O_NOFOLLOW ? 0u : LOOKUP_FOLLOW) |
                     (o->flags & LINUX_O_DIRECTORY ? LOOKUP_DIRECTORY : 0u);
    int r = path_lookup(v, o->dirfd, name, flags, &p);
    if (r < 0)
        return r;
    r = open_path_only(&p, o->flags, v->creds, ret);
    path_put(&p);
    return r;
}

int vfs_open_exec(const struct vfs_view *v, int dirfd, const char *name, int at_flags, struct file **ret) {
    struct path p;
    unsigned flags = (at_flags & LINUX_AT_SYMLINK_NOFOLLOW ? 0u : LOOKUP_FOLLOW) |
                     (at_flags & LINUX_AT_EMPTY_PATH ? LOOKUP_EMPTY : 0u);
    int r = path_lookup(v, dirfd, name, flags, &p);

    if (r < 0)
        return r;
    uint32_t type = p.dentry->inode->type;
    if (type == LINUX_S_IFLNK)
        r = -ELOOP;
    else if (type != LINUX_S_IFREG)
        r = -EACCES;
    if (r == 0)
        r = path_permission(&p, v->creds, MAY_EXEC);
    if (r == 0)
        r = open_checked(v, &p, LINUX_O_RDONLY | LINUX_O_LARGEFILE, /* created= */ false, FILE_DENY_WRITE,
                         ret);
    path_put(&p);
    return r;
}
