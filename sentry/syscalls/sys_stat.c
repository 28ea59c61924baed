/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_stat.c: stat family, statx, access family, readlink, statfs. Source: stat(2), statx(2),
 * access(2), readlink(2), statfs(2), ustat(2).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/mount.h"
#include "base/clock.h"
#include "base/cleanup.h"
#include "sentry/heap/heap.h"
#include "sentry/syscalls/sys_files.h"

/* Seconds and nanoseconds of a time that may lie before the epoch. */
static int64_t sec_of(int64_t ns) {
    int64_t sec = ns / NSEC_PER_SEC;

    return ns % NSEC_PER_SEC < 0 ? sec - 1 : sec;
}

static uint32_t nsec_of(int64_t ns) {
    return (uint32_t)(ns - sec_of(ns) * NSEC_PER_SEC);
}

static int put_stat(struct task *t, gva_t to, const struct kstat *k) {
    struct user_ns *ns = task_creds(t)->user_ns;
    struct linux_stat s = {
        .dev = k->dev,
        .ino = k->ino,
        .nlink = k->nlink,
        .mode = k->mode,
        .uid = from_kuid(ns, k->uid),
        .gid = from_kgid(ns, k->gid),
        .rdev = k->rdev,
        .size = (int64_t)k->size,
        .blksize = k->blksize,
        .blocks = (int64_t)k->blocks,
        .atime_sec = sec_of(k->atime_ns),
        .atime_nsec = nsec_of(k->atime_ns),
        .mtime_sec = sec_of(k->mtime_ns),
        .mtime_nsec = nsec_of(k->mtime_ns),
        .ctime_sec = sec_of(k->ctime_ns),
        .ctime_nsec = nsec_of(k->ctime_ns),
    };

    return copy_out(t, to, &s, sizeof s);
}

static int64_t stat_path(struct task *t, int dirfd, gva_t name, unsigned flags, gva_t to) {
    struct kstat k;
    struct path p;
    int r = lookup_user(t, dirfd, name, flags, &p);

    if (r < 0)
        return r;
    r = vfs_getattr(&p, &k);
    path_put(&p);
    return r < 0 ? r : put_stat(t, to, &k);
}

int64_t sys_stat(struct task *t, const struct syscall_args *a) {
    return stat_path(t, LINUX_AT_FDCWD, a->arg[0], LOOKUP_FOLLOW, a->arg[1]);
}

int64_t sys_lstat(struct task *t, const struct syscall_args *a) {
    return stat_path(t, LINUX_AT_FDCWD, a->arg[0], 0, a->arg[1]);
}

int64_t sys_fstat(struct task *t, const struct syscall_args *a) {
    struct file *f = fd_get_any(t, arg_int(a, 0));
    struct kstat k;

    if (!f)
        return -EBADF;
    int r = vfs_getattr(&f->path, &k);
    file_unref(f);
    return r < 0 ? r : put_stat(t, a->arg[1], &k);
}

int64_t sys_newfstatat(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 3);

    if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_NO_AUTOMOUNT | LINUX_AT_EMPTY_PATH |
                            LINUX_AT_STATX_SYNC_TYPE))
        return -EINVAL;
    return stat_path(t, arg_int(a, 0), a->arg[1], lookup_flags_of_at(flags), a->arg[2]);
}

/* ---- statx ---- */

static struct linux_statx_timestamp statx_time(int64_t ns) {
    return (struct linux_statx_timestamp){.sec = sec_of(ns), .nsec = nsec_of(ns)};
}

static uint32_t major_of(uint64_t dev) {
    return (uint32_t)(dev >> 8 & 0xfff) | (uint32_t)(dev >> 32 & 0xfffff000);
}

static uint32_t minor_of(uint64_t dev) {
    return (uint32_t)(dev & 0xff) | (uint32_t)(dev >> 12 & 0xffffff00);
}

static int put_statx(struct task *t, gva_t to, uint32_t wanted, const struct kstat *k, const struct path *p) {
    struct user_ns *ns = task_creds(t)->user_ns;
    struct linux_statx s = {
        .mask = LINUX_STATX_BASIC_STATS | LINUX_STATX_MNT_ID,
        .blksize = k->blksize,
        .attributes = k->attributes,
        .attributes_mask = k->attributes_mask | LINUX_STATX_ATTR_MOUNT_ROOT,
        .nlink = (uint32_t)k->nlink,
        .uid = from_kuid(ns, k->uid),
        .gid = from_kgid(ns, k->gid),
        .mode = (uint16_t)k->mode,
        .ino = k->ino,
        .size = k->size,
        .blocks = k->blocks,
        .atime = statx_time(k->atime_ns),
        .mtime = statx_time(k->mtime_ns),
        .ctime = statx_time(k->ctime_ns),
        .rdev_major = major_of(k->rdev),
        .rdev_minor = minor_of(k->rdev),
        .dev_major = major_of(k->dev),
        .dev_minor = minor_of(k->dev),
        .mnt_id = (uint64_t)p->mount->id,
    };

    if (k->btime_ns != INT64_MIN) {
        s.mask |= LINUX_STATX_BTIME;
        s.btime = statx_time(k->btime_ns);
    }
    if (wanted & LINUX_STATX_MNT_ID_UNIQUE) {
        s.mask ^= LINUX_STATX_MNT_ID | LINUX_STATX_MNT_ID_UNIQUE;
        s.mnt_id = mount_unique_id(p->mount);
    }
    if (p->dentry == p->mount->root)
        s.attributes |= LINUX_STATX_ATTR_MOUNT_ROOT;
    return copy_out(t, to, &s, sizeof s);
}

int64_t sys_statx(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 2), mask = arg_u32(a, 3);
    struct kstat k;
    struct path p;

    if (mask & LINUX_STATX__RESERVED || (flags & LINUX_AT_STATX_SYNC_TYPE) == LINUX_AT_STATX_SYNC_TYPE ||
        flags & ~(uint32_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_NO_AUTOMOUNT | LINUX_AT_EMPTY_PATH |
                            LINUX_AT_STATX_SYNC_TYPE))
        return -EINVAL;
    int r = lookup_user(t, arg_int(a, 0), a->arg[1], lookup_flags_of_at(flags), &p);
    if (r < 0)
        return r;
    r = vfs_getattr(&p, &k);
    if (r == 0)
        r = put_statx(t, a->arg[4], mask, &k, &p);
    path_put(&p);
    return r;
}

/* ---- access ---- */

/* access(2) asks with the real ids, and with the capabilities that they would have. */
static struct creds *real_creds(const struct creds *c) {
    struct creds *real = creds_copy(c);
    const uint32_t no_setuid_fixup = 1u << 2;

    if (!real)
        return NULL;
    real->fsuid = c->uid;
    real->fsgid = c->gid;
    if (!(c->securebits & no_setuid_fixup))
        real->effective = c->uid == make_kuid(c->user_ns, 0) ? c->permitted : 0;
    return real;
}

static int64_t do_access(struct task *t, int dirfd, gva_t name, uint32_t mode, uint32_t flags) {
    cleanup(freep) char *text = NULL;
    const struct creds *c = task_creds(t);
    struct creds *real = NULL;
    struct vfs_view v;
    struct path p;

    if (mode & ~7u || flags & ~(uint32_t)(LINUX_AT_EACCESS | LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
        return -EINVAL;
    if (!(flags & LINUX_AT_EACCESS) && !(c = real = real_creds(c)))
        return -ENOMEM;
    int r = copy_in_path(t, name, flags & LINUX_AT_EMPTY_PATH, &text);
    if (r == 0) {
        vfs_view_of(t, &v);
        v.creds = c;
        r = path_lookup(&v, dirfd, text, lookup_flags_of_at(flags), &p);
        vfs_view_done(&v);
    }
    if (r == 0) {
        r = path_permission(&p, c, mode);
        path_put(&p);
    }
    creds_unref(real);
    return r;
}

int64_t sys_access(struct task *t, const struct syscall_args *a) {
    return do_access(t, LINUX_AT_FDCWD, a->arg[0], arg_u32(a, 1), 0);
}

int64_t sys_faccessat(struct task *t, const struct syscall_args *a) {
    return do_access(t, arg_int(a, 0), a->arg[1], arg_u32(a, 2), 0);
}

int64_t sys_faccessat2(struct task *t, const struct syscall_args *a) {
    return do_access(t, arg_int(a, 0), a->arg[1], arg_u32(a, 2), arg_u32(a, 3));
}

/* ---- readlink ---- */

static int64_t readlink_path(struct task *t, const struct path *p, bool empty_name, gva_t buf, int size) {
    struct inode *i = p->dentry->inode;
    char *text;

    if (i->type != LINUX_S_IFLNK || !i->ops->readlink)
        return empty_name ? -ENOENT : -EINVAL;
    int r = i->ops->readlink(i, t, &text);
    if (r < 0)
        return r;
    size_t len = MIN(strlen(text), (size_t)size);
    r = copy_out(t, buf, text, len);
    heap_free(text);
    return r < 0 ? r : (int64_t)len;
}

static int64_t do_readlink(struct task *t, int dirfd, gva_t name, gva_t buf, int size) {
    cleanup(freep) char *text = NULL;
    struct vfs_view v;
    struct path p;

    if (size <= 0)
        return -EINVAL;
    int r = copy_in_path(t, name, /* allow_empty= */ true, &text);
    if (r < 0)
        return r;
    vfs_view_of(t, &v);
    r = path_lookup(&v, dirfd, text, LOOKUP_EMPTY, &p);
    vfs_view_done(&v);
    if (r < 0)
        return r;
    int64_t n = readlink_path(t, &p, !*text, buf, size);
    path_put(&p);
    return n;
}

int64_t sys_readlink(struct task *t, const struct syscall_args *a) {
    return do_readlink(t, LINUX_AT_FDCWD, a->arg[0], a->arg[1], arg_int(a, 2));
}

int64_t sys_readlinkat(struct task *t, const struct syscall_args *a) {
    return do_readlink(t, arg_int(a, 0), a->arg[1], a->arg[2], arg_int(a, 3));
}

/* ---- statfs ---- */

static int put_statfs(struct task *t, gva_t to, const struct kstatfs *k) {
    struct linux_statfs s = {
        .type = (int64_t)k->type,
        .bsize = (int64_t)k->bsize,
        .blocks = k->blocks,
        .bfree = k->bfree,
        .bavail = k->bavail,
        .files = k->files,
        .ffree = k->ffree,
        .fsid = {(int32_t)k->fsid[0], (int32_t)k->fsid[1]},
        .namelen = (int64_t)k->namelen,
        .frsize = (int64_t)k->frsize,
        .flags = (int64_t)k->flags,
    };

    return copy_out(t, to, &s, sizeof s);
}

int64_t sys_statfs(struct task *t, const struct syscall_args *a) {
    struct kstatfs k;
    struct path p;
    int r = lookup_user(t, LINUX_AT_FDCWD, a->arg[0], LOOKUP_FOLLOW, &p);

    if (r < 0)
        return r;
    r = vfs_statfs(&p, &k);
    path_put(&p);
    return r < 0 ? r : put_statfs(t, a->arg[1], &k);
}

int64_t sys_fstatfs(struct task *t, const struct syscall_args *a) {
    struct file *f = fd_get_any(t, arg_int(a, 0));
    struct kstatfs k;

    if (!f)
        return -EBADF;
    int r = vfs_statfs(&f->path, &k);
    file_unref(f);
    return r < 0 ? r : put_statfs(t, a->arg[1], &k);
}
