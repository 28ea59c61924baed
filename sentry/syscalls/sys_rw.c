/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_rw.c: the read and write families, lseek. Source: read(2), write(2), readv(2),
 * pread(2), preadv2(2), lseek(2).
 */
#include <errno.h>

#include "base/abi/linux/mount.h"
#include "sentry/syscalls/sys_files.h"

enum {
    RWF_KNOWN = LINUX_RWF_HIPRI | LINUX_RWF_DSYNC | LINUX_RWF_SYNC | LINUX_RWF_NOWAIT | LINUX_RWF_APPEND |
                LINUX_RWF_NOAPPEND | LINUX_RWF_NOSIGNAL /* ATOMIC and DONTCACHE: no file here has them */
};

/* One transfer: `pos` NULL means the file's own position. */
struct rw {
    int fd;
    bool write;
    bool positioned;
    uint64_t pos;
    uint32_t flags;
};

static int64_t do_rw(struct task *t, const struct rw *rw, struct uio *u) {
    struct file *f = fd_get(t, rw->fd);
    ssize_t r;

    if (!f)
        return -EBADF;
    if (rw->write) {
        r = rw->positioned ? file_pwrite(t, f, u, rw->pos, rw->flags) : file_write(t, f, u, rw->flags);
        if (!(rw->flags & LINUX_RWF_NOSIGNAL))
            r = write_result(t, f, r);
    } else {
        r = rw->positioned ? file_pread(t, f, u, rw->pos, rw->flags) : file_read(t, f, u, rw->flags);
    }
    file_unref(f);
    return r;
}

static int64_t rw_one(struct task *t, const struct rw *rw, gva_t base, uint64_t count) {
    struct uio_segment one;
    struct uio u;

    if (rw->positioned && (int64_t)rw->pos < 0)
        return -EINVAL;
    if ((int64_t)count < 0) {
        struct file *f = fd_get(t, rw->fd);
        bool good = f && f->mode & (rw->write ? FILE_WRITE : FILE_READ);
        file_unref(f);
        return good ? -EINVAL : -EBADF;
    }
    uio_init_guest(&u, &one, t, base, MIN(count, (uint64_t)MAX_RW_COUNT));
    return do_rw(t, rw, &u);
}

/* What preadv2(2) and pwritev2(2) may ask of which file, as observed (tests/conform/rw_flags.c). */
static int check_flags(const struct file *f, const struct rw *rw) {
    bool regular = f->inode->type == LINUX_S_IFREG;

    if (rw->flags & ~(uint32_t)RWF_KNOWN)
        return -EOPNOTSUPP;
    if (rw->write && !f->inode->type && rw->flags & ~(uint32_t)LINUX_RWF_HIPRI)
        return -EOPNOTSUPP; /* files without a type, as of eventfd(2) */
    if (rw->flags & LINUX_RWF_NOWAIT && regular && (rw->write || f->inode->fs->magic == LINUX_TMPFS_MAGIC))
        return -EOPNOTSUPP;
    if ((rw->flags & (LINUX_RWF_APPEND | LINUX_RWF_NOAPPEND)) == (LINUX_RWF_APPEND | LINUX_RWF_NOAPPEND))
        return -EINVAL;
    if (rw->flags & LINUX_RWF_NOAPPEND && f->inode->flags & INODE_APPEND)
        return -EPERM;
    return 0;
}

static int64_t rw_vector(struct task *t, const struct rw *rw, gva_t iov, uint64_t count) {
    struct uio u;

    if (rw->positioned && (int64_t)rw->pos < 0)
        return -EINVAL;
    struct file *f = fd_get(t, rw->fd);
    if (!f)
        return -EBADF;
    int r = check_flags(f, rw);
    file_unref(f);
    if (r < 0)
        return r;
    r = uio_init_iovec(&u, t, iov, count);
    if (r < 0)
        return r;
    int64_t n = do_rw(t, rw, &u);
    uio_done(&u);
    return n;
}

int64_t sys_read(struct task *t, const struct syscall_args *a) {
    return rw_one(t, &(struct rw){.fd = arg_int(a, 0)}, a->arg[1], a->arg[2]);
}

int64_t sys_write(struct task *t, const struct syscall_args *a) {
    return rw_one(t, &(struct rw){.fd = arg_int(a, 0), .write = true}, a->arg[1], a->arg[2]);
}

int64_t sys_pread64(struct task *t, const struct syscall_args *a) {
    return rw_one(t, &(struct rw){.fd = arg_int(a, 0), .positioned = true, .pos = a->arg[3]}, a->arg[1],
                  a->arg[2]);
}

int64_t sys_pwrite64(struct task *t, const struct syscall_args *a) {
    return rw_one(t, &(struct rw){.fd = arg_int(a, 0), .write = true, .positioned = true, .pos = a->arg[3]},
                  a->arg[1], a->arg[2]);
}

int64_t sys_readv(struct task *t, const struct syscall_args *a) {
    return rw_vector(t, &(struct rw){.fd = arg_int(a, 0)}, a->arg[1], a->arg[2]);
}

int64_t sys_writev(struct task *t, const struct syscall_args *a) {
    return rw_vector(t, &(struct rw){.fd = arg_int(a, 0), .write = true}, a->arg[1], a->arg[2]);
}

/* On x86-64 the fourth argument holds the whole position. */
int64_t sys_preadv(struct task *t, const struct syscall_args *a) {
    return rw_vector(t, &(struct rw){.fd = arg_int(a, 0), .positioned = true, .pos = a->arg[3]}, a->arg[1],
                     a->arg[2]);
}

int64_t sys_pwritev(struct task *t, const struct syscall_args *a) {
    return rw_vector(t,
                     &(struct rw){.fd = arg_int(a, 0), .write = true, .positioned = true, .pos = a->arg[3]},
                     a->arg[1], a->arg[2]);
}

int64_t sys_preadv2(struct task *t, const struct syscall_args *a) {
    return rw_vector(t,
                     &(struct rw){.fd = arg_int(a, 0),
                                  .positioned = a->arg[3] != UINT64_MAX,
                                  .pos = a->arg[3],
                                  .flags = arg_u32(a, 5)},
                     a->arg[1], a->arg[2]);
}

int64_t sys_pwritev2(struct task *t, const struct syscall_args *a) {
    return rw_vector(t,
                     &(struct rw){.fd = arg_int(a, 0),
                                  .write = true,
                                  .positioned = a->arg[3] != UINT64_MAX,
                                  .pos = a->arg[3],
                                  .flags = arg_u32(a, 5)},
                     a->arg[1], a->arg[2]);
}

int64_t sys_lseek(struct task *t, const struct syscall_args *a) {
    struct file *f = fd_get(t, arg_int(a, 0));

    if (!f)
        return -EBADF;
    int64_t r = arg_u32(a, 2) > LINUX_SEEK_MAX ? -EINVAL : file_seek(f, (int64_t)a->arg[1], arg_int(a, 2));
    file_unref(f);
    return r;
}
