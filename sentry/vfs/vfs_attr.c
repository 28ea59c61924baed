/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/vfs_attr.c: attributes of files: reading them, changing them by chmod, chown, utimes and
 * truncate, and statfs. Source: stat(2), chmod(2), chown(2), utimensat(2), truncate(2), statfs(2), inode(7).
 */
#include <errno.h>

#include "base/abi/linux/capability.h"
#include "base/abi/linux/mount.h"
#include "base/abi/linux/stat.h"
#include "base/abi/linux/xattr.h"
#include "sentry/vfs/landlock.h"
#include "sentry/vfs/vfs_internal.h"

int vfs_getattr(const struct path *p, struct kstat *ret) {
    struct inode *i = p->dentry->inode;

    inode_fill_stat(i, ret);
    int r = i->ops->getattr(i, ret);
    if (i->ops->set_flags) {
        const uint64_t shown = LINUX_STATX_ATTR_IMMUTABLE | LINUX_STATX_ATTR_APPEND | LINUX_STATX_ATTR_NODUMP;
        ret->attributes |= i->flags & shown; /* the same bits */
        ret->attributes_mask |= shown;
    }
    return r;
}

/* May `c` give the file to these ids? chown(2). */
static int chown_check(const struct inode *i, const struct setattr *s, const struct creds *c) {
    bool owner = c->fsuid == i->uid;

    if (s->mask & SETATTR_UID && !(owner && s->uid == i->uid) && !inode_capable(i, c, LINUX_CAP_CHOWN))
        return -EPERM;
    if (s->mask & SETATTR_GID && !(owner && (s->gid == i->gid || creds_in_group(c, s->gid))) &&
        !inode_capable(i, c, LINUX_CAP_CHOWN))
        return -EPERM;
    return 0;
}

static int times_check(struct inode *i, const struct setattr *s, const struct creds *c) {
    const uint32_t both_now = SETATTR_ATIME_NOW | SETATTR_MTIME_NOW;
    const uint32_t times = SETATTR_ATIME | SETATTR_MTIME | both_now;

    if (!(s->mask & times) || inode_owner_or_capable(i, c))
        return 0;
    if ((s->mask & times) != both_now)
        return -EPERM;
    return inode_permission(i, c, MAY_WRITE);
}

/* Immutable and append-only files keep what they have; times may become "now" on the latter. */
static int flags_check(const struct inode *i, const struct setattr *s) {
    const uint32_t kept = SETATTR_MODE | SETATTR_UID | SETATTR_GID | SETATTR_ATIME | SETATTR_MTIME;

    if (s->mask & kept && i->flags & (INODE_IMMUTABLE | INODE_APPEND))
        return -EPERM;
    return i->flags & INODE_IMMUTABLE ? -EPERM : 0;
}

static int setattr_check(struct inode *i, struct setattr *s, const struct creds *c) {
    int r = flags_check(i, s);

    if (r == 0)
        r = chown_check(i, s, c);

    if (r == 0 && s->mask & SETATTR_MODE) {
        if (!inode_owner_or_capable(i, c))
            return -EPERM;
        kgid_t group = s->mask & SETATTR_GID ? s->gid : i->gid;
        if (!creds_in_group(c, group) && !inode_capable(i, c, LINUX_CAP_FSETID))
            s->mode &= ~(uint32_t)LINUX_S_ISGID;
        s->mode &= 07777;
    }
    return r < 0 ? r : times_check(i, s, c);
}

int vfs_setattr(const struct path *p, const struct setattr *s, const struct creds *c) {
    struct inode *i = p->dentry->inode;
    struct setattr checked = *s;
    int r = path_want_write(p);

    if (r < 0)
        return r;
    if (s->mask & SETATTR_MODE && i->type == LINUX_S_IFLNK)
        return -EOPNOTSUPP;
    r = setattr_check(i, &checked, c);
    if (r < 0)
        return r;
    if (s->mask & (SETATTR_UID | SETATTR_GID) && !inode_is_dir(i))
        checked.mask |= SETATTR_KILL_PRIV;
    if (!i->ops->setattr)
        return -EPERM;
    r = i->ops->setattr(i, &checked);
    if (r == 0 && checked.mask & SETATTR_MODE)
        r = acl_chmod(i, checked.mode);
    if (r == 0)
        vfs_notify_path(p, LINUX_IN_ATTRIB);
    return r;
}

int vfs_truncate(const struct path *p, uint64_t size, bool opened, const struct creds *c) {
    struct inode *i = p->dentry->inode;
    struct setattr s = {.mask = SETATTR_SIZE | SETATTR_MTIME_NOW | SETATTR_KILL_PRIV, .size = size};
    int r = 0;

    if (inode_is_dir(i))
        return -EISDIR;
    if (i->type != LINUX_S_IFREG)
        return -EINVAL;
    if (!opened)
        r = path_permission(p, c, MAY_WRITE);
    if (r < 0)
        return r;
    if (!i->ops->setattr || i->flags & INODE_APPEND)
        return -EPERM;
    if (opened) {
        r = i->ops->setattr(i, &s);
    } else {
        r = inode_get_write(i);
        if (r < 0)
            return r;
        r = landlock_check_path(c, p, LINUX_LANDLOCK_FS_TRUNCATE);
        if (r == 0)
            r = i->ops->setattr(i, &s);
        atomic_fetch_sub(&i->write_count, 1);
    }
    if (r == 0)
        vfs_notify_path(p, LINUX_IN_MODIFY);
    return r;
}

int vfs_statfs(const struct path *p, struct kstatfs *ret) {
    static const struct {
        uint32_t mount, st;
    } flags[] = {
        {MOUNT_READONLY, LINUX_ST_RDONLY},   {MOUNT_NOSUID, LINUX_ST_NOSUID},
        {MOUNT_NODEV, LINUX_ST_NODEV},       {MOUNT_NOEXEC, LINUX_ST_NOEXEC},
        {MOUNT_NOATIME, LINUX_ST_NOATIME},   {MOUNT_NODIRATIME, LINUX_ST_NODIRATIME},
        {MOUNT_RELATIME, LINUX_ST_RELATIME}, {MOUNT_NOSYMFOLLOW, LINUX_ST_NOSYMFOLLOW},
    };
    struct filesystem *fs = p->mount->fs;

    *ret = (struct kstatfs){.type = fs->magic,
                            .bsize = 4096,
                            .frsize = 4096,
                            .namelen = 255,
                            .fsid = {(uint32_t)fs->dev, (uint32_t)(fs->dev >> 32)}};
    int r = fs->ops->statfs(fs, ret);
    if (r < 0)
        return r;
    ret->flags |= LINUX_ST_VALID;
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (p->mount->flags & flags[i].mount)
            ret->flags |= flags[i].st;
    if (fs->flags & FS_READONLY)
        ret->flags |= LINUX_ST_RDONLY;
    return 0;
}
