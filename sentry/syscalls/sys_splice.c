/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_splice.c: sendfile, splice, tee, vmsplice, copy_file_range. Source: sendfile(2),
 * splice(2), tee(2), vmsplice(2), copy_file_range(2).
 */
#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/signal.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/vfs/pipe.h"

enum { SPLICE_F_MOVE = 1, SPLICE_F_NONBLOCK = 2, SPLICE_F_MORE = 4, SPLICE_F_GIFT = 8, SPLICE_F_ALL = 15 };

/* Two files of a call, both or none. */
struct pair {
    struct file *in, *out;
};

static int pair_get(struct task *t, int in, int out, struct pair *ret) {
    ret->in = fd_get(t, in);
    ret->out = ret->in ? fd_get(t, out) : NULL;
    if (ret->in && ret->out && ret->in->mode & FILE_READ && ret->out->mode & FILE_WRITE)
        return 0;
    file_unref(ret->in);
    file_unref(ret->out);
    return -EBADF;
}

static void pair_put(struct pair *p) {
    file_unref(p->in);
    file_unref(p->out);
}

/* An optional position of the caller's. */
static int offset_in(struct task *t, gva_t at, uint64_t *value, uint64_t **ret) {
    *ret = NULL;
    if (!at)
        return 0;
    int r = copy_in(t, value, at, sizeof *value);
    if (r < 0)
        return r;
    if ((int64_t)*value < 0)
        return -EINVAL;
    *ret = value;
    return 0;
}

static int offset_out(struct task *t, gva_t at, const uint64_t *value) {
    return at ? copy_out(t, at, value, sizeof *value) : 0;
}

static ssize_t io_kernel(struct task *t, struct file *f, bool write, char *buf, size_t n, uint64_t *offset) {
    struct uio_segment one;
    struct uio u;
    ssize_t r;

    uio_init_kernel(&u, &one, buf, n);
    if (offset)
        r = write ? file_pwrite(t, f, &u, *offset, 0) : file_pread(t, f, &u, *offset, 0);
    else
        r = write ? file_write(t, f, &u, 0) : file_read(t, f, &u, 0);
    if (r > 0 && offset)
        *offset += (uint64_t)r;
    return r;
}

/* Copies through a buffer; `in_at` is advanced by what was written only. Bytes, or -errno if nothing was
 * done. */
static ssize_t copy_files(struct task *t, const struct pair *p, uint64_t *in_at, uint64_t *out_at,
                          size_t len) {
    char *buf = heap_alloc_bytes(BOUNCE_SIZE);
    ssize_t done = 0, n = 0;

    if (!buf)
        return -ENOMEM;
    while (len > 0 && (done == 0 || !signal_pending(t))) { /* gigabytes take a while */
        uint64_t from = *in_at;
        n = io_kernel(t, p->in, /* write= */ false, buf, MIN(len, (size_t)BOUNCE_SIZE), &from);
        if (n <= 0)
            break;
        ssize_t wrote = io_kernel(t, p->out, /* write= */ true, buf, (size_t)n, out_at);
        if (wrote > 0) {
            *in_at += (uint64_t)wrote;
            done += wrote;
            len -= (size_t)wrote;
        }
        if (wrote != n) {
            n = wrote < 0 ? wrote : 0;
            break;
        }
    }
    heap_free(buf);
    return done > 0 ? done : n;
}

/* ---- sendfile ---- */

static int64_t sendfile_pair(struct task *t, const struct pair *p, uint64_t *offset, size_t count) {
    if (p->in->inode->type != LINUX_S_IFREG && p->in->inode->type != LINUX_S_IFBLK)
        return p->in->mode & FILE_POS ? -EINVAL : offset ? -ESPIPE : -EINVAL;
    if (atomic_load(&p->out->flags) & LINUX_O_APPEND)
        return -EINVAL;
    uint64_t at = offset ? *offset : file_position(p->in);
    ssize_t n = file_is_pipe(p->out) ? pipe_from_file(t, p->out, p->in, &at, count, 0)
                                     : copy_files(t, p, &at, NULL, count);
    if (n > 0) {
        if (offset)
            *offset = at;
        else
            (void)file_seek(p->in, (int64_t)at, LINUX_SEEK_SET);
    }
    return write_result(t, p->out, n);
}

int64_t sys_sendfile(struct task *t, const struct syscall_args *a) {
    uint64_t value, *offset;
    struct pair p;
    int r = offset_in(t, a->arg[2], &value, &offset);

    if (r < 0)
        return r;
    r = pair_get(t, arg_int(a, 1), arg_int(a, 0), &p);
    if (r < 0)
        return r;
    int64_t n = sendfile_pair(t, &p, offset, MIN(a->arg[3], (uint64_t)MAX_RW_COUNT));
    pair_put(&p);
    if (n >= 0 && offset && offset_out(t, a->arg[2], offset) < 0)
        return -EFAULT;
    return n;
}

/* ---- splice, tee, vmsplice ---- */

static int64_t splice_pair(struct task *t, const struct pair *p, uint64_t *in_at, uint64_t *out_at,
                           size_t len, unsigned flags) {
    bool in_pipe = file_is_pipe(p->in), out_pipe = file_is_pipe(p->out);

    if ((in_pipe && in_at) || (out_pipe && out_at))
        return -ESPIPE;
    if (in_pipe && out_pipe)
        return pipe_to_pipe(t, p->in, p->out, len, flags);
    if (in_pipe) {
        if (out_at && !(p->out->mode & FILE_POS))
            return -EINVAL;
        if (atomic_load(&p->out->flags) & LINUX_O_APPEND)
            return -EINVAL;
        return pipe_to_file(t, p->in, p->out, out_at, len, flags);
    }
    if (out_pipe) {
        if (in_at && !(p->in->mode & FILE_POS))
            return -EINVAL;
        return pipe_from_file(t, p->out, p->in, in_at, len, flags);
    }
    return -EINVAL;
}

int64_t sys_splice(struct task *t, const struct syscall_args *a) {
    uint64_t in_value, out_value, *in_at = NULL, *out_at = NULL;
    uint32_t flags = arg_u32(a, 5);
    struct pair p;

    if (flags & ~(uint32_t)SPLICE_F_ALL)
        return -EINVAL;
    if (a->arg[4] == 0)
        return 0;
    int r = pair_get(t, arg_int(a, 0), arg_int(a, 2), &p);
    if (r < 0)
        return r;
    if ((file_is_pipe(p.in) && a->arg[1]) || (file_is_pipe(p.out) && a->arg[3]))
        r = -ESPIPE;
    if (r == 0)
        r = offset_in(t, a->arg[1], &in_value, &in_at);
    if (r == 0)
        r = offset_in(t, a->arg[3], &out_value, &out_at);
    int64_t n = r;
    if (r == 0)
        n = write_result(t, p.out,
                         splice_pair(t, &p, in_at, out_at, MIN(a->arg[4], (uint64_t)MAX_RW_COUNT),
                                     flags & SPLICE_F_NONBLOCK ? SPLICE_NONBLOCK : 0u));
    pair_put(&p);
    if (n >= 0 &&
        ((in_at && offset_out(t, a->arg[1], in_at) < 0) || (out_at && offset_out(t, a->arg[3], out_at) < 0)))
        return -EFAULT;
    return n;
}

int64_t sys_tee(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 3);
    struct pair p;

    if (flags & ~(uint32_t)SPLICE_F_ALL)
        return -EINVAL;
    if (a->arg[2] == 0)
        return 0;
    int r = pair_get(t, arg_int(a, 0), arg_int(a, 1), &p);
    if (r < 0)
        return r;
    int64_t n = -EINVAL;
    if (file_is_pipe(p.in) && file_is_pipe(p.out))
        n = write_result(t, p.out,
                         pipe_tee(t, p.in, p.out, MIN(a->arg[2], (uint64_t)MAX_RW_COUNT),
                                  flags & SPLICE_F_NONBLOCK ? SPLICE_NONBLOCK : 0u));
    pair_put(&p);
    return n;
}

int64_t sys_vmsplice(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 3);
    struct uio u;

    if (flags & ~(uint32_t)SPLICE_F_ALL)
        return -EINVAL;
    struct file *f = fd_get(t, arg_int(a, 0));
    int64_t r = f && file_is_pipe(f) ? uio_init_iovec(&u, t, a->arg[1], a->arg[2]) : -EBADF;
    if (r == 0) {
        uint32_t rw = flags & SPLICE_F_NONBLOCK ? LINUX_RWF_NOWAIT : 0;
        r = f->mode & FILE_WRITE ? write_result(t, f, file_write(t, f, &u, rw)) : file_read(t, f, &u, rw);
        uio_done(&u);
    }
    file_unref(f);
    return r;
}

/* ---- copy_file_range ---- */

static int64_t copy_range(struct task *t, const struct pair *p, uint64_t *in_at, uint64_t *out_at,
                          uint64_t len) {
    uint64_t from = in_at ? *in_at : file_position(p->in);
    uint64_t to = out_at ? *out_at : file_position(p->out);

    if (inode_is_dir(p->in->inode) || inode_is_dir(p->out->inode))
        return -EISDIR;
    if (p->in->inode->type != LINUX_S_IFREG || p->out->inode->type != LINUX_S_IFREG ||
        !(p->in->mode & p->out->mode & FILE_POS))
        return -EINVAL;
    if (p->in->inode->fs->type != p->out->inode->fs->type)
        return -EXDEV;
    if (atomic_load(&p->out->flags) & LINUX_O_APPEND)
        return -EBADF;
    if (from + len < from || to + len < to || from + len > INT64_MAX || to + len > INT64_MAX)
        return -EOVERFLOW;
    if (p->in->inode == p->out->inode && from < to + len && to < from + len)
        return -EINVAL;
    ssize_t n = copy_files(t, p, &from, &to, MIN(len, (uint64_t)MAX_RW_COUNT));
    if (n <= 0)
        return write_result(t, p->out, n);
    if (in_at)
        *in_at = from;
    else
        (void)file_seek(p->in, (int64_t)from, LINUX_SEEK_SET);
    if (out_at)
        *out_at = to;
    else
        (void)file_seek(p->out, (int64_t)to, LINUX_SEEK_SET);
    return n;
}

int64_t sys_copy_file_range(struct task *t, const struct syscall_args *a) {
    uint64_t in_value, out_value, *in_at = NULL, *out_at = NULL;
    struct pair p;
    int r = pair_get(t, arg_int(a, 0), arg_int(a, 2), &p);

    if (r < 0)
        return r;
    r = offset_in(t, a->arg[1], &in_value, &in_at);
    if (r == 0)
        r = offset_in(t, a->arg[3], &out_value, &out_at);
    if (r == 0 && arg_u32(a, 5) != 0)
        r = -EINVAL;
    int64_t n = r < 0 ? r : copy_range(t, &p, in_at, out_at, a->arg[4]);
    pair_put(&p);
    if (n > 0 &&
        ((in_at && offset_out(t, a->arg[1], in_at) < 0) || (out_at && offset_out(t, a->arg[3], out_at) < 0)))
        return -EFAULT;
    return n;
}
