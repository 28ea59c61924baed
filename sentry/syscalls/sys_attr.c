/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_attr.c: chmod, chown, utime and truncate families, fallocate. Source: chmod(2),
 * chown(2), utimensat(2), utime(2), truncate(2), fallocate(2).
 */
#include <errno.h>

#include "base/abi/linux/time.h"
#include "base/clock.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/vfs/lease.h"

/* Applies `s` to the path at guest address `name`. */
static int64_t setattr_path(struct task *t, int dirfd, gva_t name, unsigned flags, const struct setattr *s) {
    struct path p;
    int r = lookup_user(t, dirfd, name, flags, &p);

    if (r < 0)
        return r;
    r = vfs_setattr(&p, s, task_creds(t));
    path_put(&p);
    return r;
}

static int64_t setattr_fd(struct task *t, int fd, bool path_too, const struct setattr *s) {
    struct file *f = path_too ? fd_get_any(t, fd) : fd_get(t, fd);

    if (!f)
        return -EBADF;
    int r = vfs_setattr(&f->path, s, task_creds(t));
    file_unref(f);
    return r;
}

/* ---- chmod ---- */

static struct setattr mode_attr(uint32_t mode) {
    return (struct setattr){.mask = SETATTR_MODE, .mode = mode & 07777};
}

int64_t sys_chmod(struct task *t, const struct syscall_args *a) {
    struct setattr s = mode_attr(arg_u32(a, 1));

    return setattr_path(t, LINUX_AT_FDCWD, a->arg[0], LOOKUP_FOLLOW, &s);
}

int64_t sys_fchmod(struct task *t, const struct syscall_args *a) {
    struct setattr s = mode_attr(arg_u32(a, 1));

    return setattr_fd(t, arg_int(a, 0), false, &s);
}

int64_t sys_fchmodat(struct task *t, const struct syscall_args *a) {
    struct setattr s = mode_attr(arg_u32(a, 2));

    return setattr_path(t, arg_int(a, 0), a->arg[1], LOOKUP_FOLLOW, &s);
}

int64_t sys_fchmodat2(struct task *t, const struct syscall_args *a) {
    struct setattr s = mode_attr(arg_u32(a, 2));
    uint32_t flags = arg_u32(a, 3);

    if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
        return -EINVAL;
    return setattr_path(t, arg_int(a, 0), a->arg[1], lookup_flags_of_at(flags), &s);
}

/* ---- chown ---- */

static int owner_attr(struct task *t, uint32_t uid, uint32_t gid, struct setattr *ret) {
    struct user_ns *ns = task_creds(t)->user_ns;

    *ret = (struct setattr){0};
    if (uid != INVALID_ID) {
        ret->mask |= SETATTR_UID;
        ret->uid = make_kuid(ns, uid);
        if (ret->uid == INVALID_ID)
            return -EINVAL;
    }
    if (gid != INVALID_ID) {
        ret->mask |= SETATTR_GID;
        ret->gid = make_kgid(ns, gid);
        if (ret->gid == INVALID_ID)
            return -EINVAL;
    }
    return 0;
}

static int64_t do_chown(struct task *t, int dirfd, gva_t name, uint32_t uid, uint32_t gid, unsigned flags) {
    struct setattr s;
    int r = owner_attr(t, uid, gid, &s);

    return r < 0 ? r : setattr_path(t, dirfd, name, flags, &s);
}

int64_t sys_chown(struct task *t, const struct syscall_args *a) {
    return do_chown(t, LINUX_AT_FDCWD, a->arg[0], arg_u32(a, 1), arg_u32(a, 2), LOOKUP_FOLLOW);
}

int64_t sys_lchown(struct task *t, const struct syscall_args *a) {
    return do_chown(t, LINUX_AT_FDCWD, a->arg[0], arg_u32(a, 1), arg_u32(a, 2), 0);
}

int64_t sys_fchown(struct task *t, const struct syscall_args *a) {
    struct setattr s;
    int r = owner_attr(t, arg_u32(a, 1), arg_u32(a, 2), &s);

    return r < 0 ? r : setattr_fd(t, arg_int(a, 0), false, &s);
}

int64_t sys_fchownat(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 4);

    if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
        return -EINVAL;
    return do_chown(t, arg_int(a, 0), a->arg[1], arg_u32(a, 2), arg_u32(a, 3), lookup_flags_of_at(flags));
}

/* ---- times ---- */

/* A time outside what the file system can say is clamped, as Linux does. */
static int64_t time_ns(int64_t sec, int64_t nsec) {
    int64_t ns;

    if (__builtin_mul_overflow(sec, NSEC_PER_SEC, &ns) || __builtin_add_overflow(ns, nsec, &ns))
        return sec < 0 ? INT64_MIN + 1 : INT64_MAX;
    return ns;
}

static const struct setattr g_both_now = {.mask = SETATTR_ATIME_NOW | SETATTR_MTIME_NOW};

static int64_t set_times(struct task *t, int dirfd, gva_t name, uint32_t flags, const struct setattr *s) {
    if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
        return -EINVAL;
    if (!name && dirfd != LINUX_AT_FDCWD)
        return flags ? -EINVAL : setattr_fd(t, dirfd, false, s);
    return setattr_path(t, dirfd, name, lookup_flags_of_at(flags), s);
}

static int one_time(const struct linux_timespec *ts, uint32_t set, uint32_t set_now, uint32_t *mask,
                    int64_t *ret) {
    if (ts->nsec == LINUX_UTIME_OMIT)
        return 0;
    if (ts->nsec == LINUX_UTIME_NOW) {
        *mask |= set_now;
        return 0;
    }
    if (ts->nsec < 0 || ts->nsec >= NSEC_PER_SEC)
        return -EINVAL;
    *mask |= set;
    *ret = time_ns(ts->sec, ts->nsec);
    return 0;
}

int64_t sys_utimensat(struct task *t, const struct syscall_args *a) {
    struct linux_timespec ts[2];
    struct setattr s = g_both_now;

    if (a->arg[2]) {
        int r = copy_in(t, ts, a->arg[2], sizeof ts);
        if (r < 0)
            return r;
        if (ts[0].nsec == LINUX_UTIME_OMIT && ts[1].nsec == LINUX_UTIME_OMIT)
            return 0;
        s.mask = 0;
        r = one_time(&ts[0], SETATTR_ATIME, SETATTR_ATIME_NOW, &s.mask, &s.atime_ns);
        if (r == 0)
            r = one_time(&ts[1], SETATTR_MTIME, SETATTR_MTIME_NOW, &s.mask, &s.mtime_ns);
        if (r < 0)
            return r;
    }
    return set_times(t, arg_int(a, 0), a->arg[1], arg_u32(a, 3), &s);
}

static int64_t do_utimes(struct task *t, int dirfd, gva_t name, gva_t times) {
    struct linux_timeval tv[2];
    struct setattr s = g_both_now;

    if (times) {
        int r = copy_in(t, tv, times, sizeof tv);
        if (r < 0)
            return r;
        if (tv[0].usec < 0 || tv[0].usec >= 1000000 || tv[1].usec < 0 || tv[1].usec >= 1000000)
            return -EINVAL;
        s.mask = SETATTR_ATIME | SETATTR_MTIME;
        s.atime_ns = time_ns(tv[0].sec, tv[0].usec * 1000);
        s.mtime_ns = time_ns(tv[1].sec, tv[1].usec * 1000);
    }
    return set_times(t, dirfd, name, 0, &s);
}

int64_t sys_utimes(struct task *t, const struct syscall_args *a) {
    return do_utimes(t, LINUX_AT_FDCWD, a->arg[0], a->arg[1]);
}

int64_t sys_futimesat(struct task *t, const struct syscall_args *a) {
    return do_utimes(t, arg_int(a, 0), a->arg[1], a->arg[2]);
}

int64_t sys_utime(struct task *t, const struct syscall_args *a) {
    struct linux_utimbuf b;
    struct setattr s = g_both_now;

    if (a->arg[1]) {
        int r = copy_in(t, &b, a->arg[1], sizeof b);
        if (r < 0)
            return r;
        s = (struct setattr){.mask = SETATTR_ATIME | SETATTR_MTIME,
                             .atime_ns = time_ns(b.actime, 0),
                             .mtime_ns = time_ns(b.modtime, 0)};
    }
    return set_times(t, LINUX_AT_FDCWD, a->arg[0], 0, &s);
}

/* ---- size ---- */

static int check_size_limit(struct task *t, struct file *f, int64_t size) {
    if (size < 0)
        return -EINVAL;
    if ((uint64_t)size > task_limit(t, LINUX_RLIMIT_FSIZE))
        return f ? (int)write_result(t, f, -EFBIG) : -EFBIG;
    return 0;
}

int64_t sys_truncate(struct task *t, const struct syscall_args *a) {
    struct path p;

    if ((int64_t)a->arg[1] < 0)
        return -EINVAL;
    int r = lookup_user(t, LINUX_AT_FDCWD, a->arg[0], LOOKUP_FOLLOW, &p);
    if (r < 0)
        return r;
    r = check_size_limit(t, NULL, (int64_t)a->arg[1]);
    if (r == 0 && path_permission(&p, task_creds(t), MAY_WRITE) == 0)
        r = lease_break(t, p.dentry->inode, /* write= */ true, /* nonblock= */ false);
    if (r == 0)
        r = vfs_truncate(&p, a->arg[1], /* opened= */ false, task_creds(t));
    path_put(&p);
    return r;
}

static int64_t truncate_file(struct task *t, struct file *f, int64_t size) {
    if (!(f->mode & FILE_WRITE))
        return -EINVAL;
    int r = check_size_limit(t, f, size);
    if (r < 0)
        return r;
    if (f->mode & FILE_NO_TRUNCATE)
        return -EACCES;
    if (f->ops->truncate)
        return f->ops->truncate(f, (uint64_t)size);
    if (f->inode->type != LINUX_S_IFREG)
        return -EINVAL;
    return vfs_truncate(&f->path, (uint64_t)size, /* opened= */ true, task_creds(t));
}

int64_t sys_ftruncate(struct task *t, const struct syscall_args *a) {
    if ((int64_t)a->arg[1] < 0)
        return -EINVAL;
    struct file *f = fd_get(t, arg_int(a, 0));
    if (!f)
        return -EBADF;
    int64_t r = truncate_file(t, f, (int64_t)a->arg[1]);
    file_unref(f);
    return r;
}

static int64_t allocate(struct task *t, struct file *f, uint32_t mode, int64_t offset, int64_t len) {
    const uint32_t known = LINUX_FALLOC_FL_KEEP_SIZE | LINUX_FALLOC_FL_PUNCH_HOLE |
                           LINUX_FALLOC_FL_COLLAPSE_RANGE | LINUX_FALLOC_FL_ZERO_RANGE |
                           LINUX_FALLOC_FL_INSERT_RANGE | LINUX_FALLOC_FL_UNSHARE_RANGE;
    int64_t end;

    if (offset < 0 || len <= 0)
        return -EINVAL;
    if (mode & ~known)
        return -EOPNOTSUPP;
    if ((mode & (LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_ZERO_RANGE)) ==
        (LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_ZERO_RANGE))
        return -EOPNOTSUPP;
    if (mode & LINUX_FALLOC_FL_PUNCH_HOLE && !(mode & LINUX_FALLOC_FL_KEEP_SIZE))
        return -EOPNOTSUPP;
    if (mode & LINUX_FALLOC_FL_COLLAPSE_RANGE && mode & ~(uint32_t)LINUX_FALLOC_FL_COLLAPSE_RANGE)
        return -EINVAL;
    if (mode & LINUX_FALLOC_FL_INSERT_RANGE && mode & ~(uint32_t)LINUX_FALLOC_FL_INSERT_RANGE)
        return -EINVAL;
    if (!(f->mode & FILE_WRITE))
        return -EBADF;
    if (f->inode->type == LINUX_S_IFIFO)
        return -ESPIPE;
    if (inode_is_dir(f->inode))
        return -EISDIR;
    if (f->inode->type != LINUX_S_IFREG && f->inode->type != LINUX_S_IFBLK)
        return -ENODEV;
    if (__builtin_add_overflow(offset, len, &end))
        return -EFBIG;
    if (!f->ops->fallocate)
        return -EOPNOTSUPP;
    if (!(mode & LINUX_FALLOC_FL_KEEP_SIZE)) {
        int r = check_size_limit(t, f, end);
        if (r < 0)
            return r;
    }
    int r = f->ops->fallocate(f, (int)mode, (uint64_t)offset, (uint64_t)len);
    if (r == 0)
        vfs_notify(f->path.dentry, LINUX_IN_MODIFY, 0);
    return r;
}

int64_t sys_fallocate(struct task *t, const struct syscall_args *a) {
    struct file *f = fd_get(t, arg_int(a, 0));

    if (!f)
        return -EBADF;
    int64_t r = allocate(t, f, arg_u32(a, 1), (int64_t)a->arg[2], (int64_t)a->arg[3]);
    file_unref(f);
    return r;
}
