/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/file_rw.c: reading and writing open files: modes, limits, positions, and waiting, around the
 * operations of each kind of file. Source: read(2), write(2), preadv2(2), signal(7) "Interruption of system
 * calls", getrlimit(2) RLIMIT_FSIZE.
 *
 * The position is read and advanced with pos_lock held, but no wait happens under it: a blocking read of a
 * file that has a position and nothing to give (a tty has none, so these are few) drops the lock and starts
 * again.
 */
#include <errno.h>

#include "base/abi/linux/fanotify.h"
#include "base/abi/linux/fcntl.h"
#include "base/clock.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/fanotify.h"
#include "sentry/vfs/vfs_internal.h"

enum direction { DIR_READ, DIR_WRITE };

/* One transfer. */
struct io {
    struct task *task;
    struct file *file;
    struct uio *uio;
    enum direction direction;
    uint64_t *offset; /* NULL: the file's own position, or none */
    uint32_t rw_flags;
};

static ssize_t do_once(struct io *io, uint64_t *offset) {
    if (io->direction == DIR_READ)
        return io->file->ops->read(io->file, io->uio, offset);
    return io->file->ops->write(io->file, io->uio, offset);
}

static bool appends(const struct io *io) {
    return io->direction == DIR_WRITE &&
           (io->rw_flags & LINUX_RWF_APPEND ||
            (atomic_load_explicit(&io->file->flags, memory_order_relaxed) & LINUX_O_APPEND &&
             !(io->rw_flags & LINUX_RWF_NOAPPEND)));
}

/* RLIMIT_FSIZE: cuts the transfer, or -EFBIG. `at` is where it begins. */
static int limit_size(struct io *io, uint64_t at, uint64_t *ret_cut) {
    *ret_cut = 0;
    if (io->direction != DIR_WRITE || !io->task || io->file->inode->type != LINUX_S_IFREG)
        return 0;
    uint64_t limit = task_limit(io->task, LINUX_RLIMIT_FSIZE);
    if (limit == LINUX_RLIM_INFINITY)
        return 0;
    if (at == FILE_APPEND) {
        struct kstat st;
        int r = vfs_getattr(&io->file->path, &st);
        if (r < 0)
            return r;
        at = st.size;
    }
    if (at >= limit)
        return -EFBIG;
    if (io->uio->remaining > limit - at) {
        *ret_cut = io->uio->remaining - (limit - at);
        io->uio->remaining = limit - at;
    }
    return 0;
}

static ssize_t do_limited(struct io *io, uint64_t *offset) {
    uint64_t cut = 0;
    if (offset && *offset != FILE_APPEND && *offset + io->uio->remaining > INT64_MAX)
        return -EINVAL;
    int r = offset ? limit_size(io, *offset, &cut) : 0;

    if (r < 0)
        return r;
    ssize_t done = do_once(io, offset);
    io->uio->remaining += cut;
    return done;
}

static ssize_t do_at(struct io *io) {
    struct file *f = io->file;

    if (!(f->mode & FILE_POS))
        return do_limited(io, io->offset);
    if (io->offset) {
        uint64_t at = appends(io) ? FILE_APPEND : *io->offset;
        return do_limited(io, &at);
    }
    mutex_lock(&f->pos_lock);
    uint64_t at = appends(io) ? FILE_APPEND : f->pos;
    ssize_t r = do_limited(io, &at);
    if (r >= 0 && at != FILE_APPEND)
        f->pos = at;
    mutex_unlock(&f->pos_lock);
    return r;
}

static bool may_wait(const struct io *io) {
    return io->task && !(io->file->mode & FILE_BLOCKS) && !(io->rw_flags & LINUX_RWF_NOWAIT) &&
           !file_nonblocking(io->file);
}

/* A blocking write to a stream goes on until all is written; everything else is one successful step. */
static bool wants_more(const struct io *io, ssize_t r) {
    return io->direction == DIR_WRITE && io->file->mode & FILE_STREAM && r > 0 && io->uio->remaining > 0;
}

static ssize_t transfer_blocking(struct io *io, ssize_t done) {
    struct waitq *q = file_poll_queue(io->file);
    const uint32_t events =
        (io->direction == DIR_READ ? LINUX_POLLIN | LINUX_POLLRDNORM : LINUX_POLLOUT | LINUX_POLLWRNORM) |
        LINUX_POLLERR | LINUX_POLLHUP;
    struct waiter w;
    ssize_t r;

    if (!q)
        return done > 0 ? done : -EAGAIN;
    waiter_init_task(&w, io->task, events);
    w.exclusive = true;
    waitq_add(q, &w);
    for (;;) {
        r = do_at(io);
        if (r > 0)
            done += r;
        if (r != -EAGAIN && !wants_more(io, r))
            break;
        if (r == -EAGAIN)
            r = task_block(io->task, CLOCK_NEVER);
        if (r < 0)
            break;
    }
    waitq_remove(&w);
    return done > 0 ? done : r;
}

static void count_for(struct task *t, enum direction direction, ssize_t done) {
    struct io_count *c = &t->io[direction == DIR_READ ? IO_READ : IO_WRITE];

    c->calls++;
    if (done > 0)
        c->bytes += (uint64_t)done;
}

static ssize_t transfer(struct io *io) {
    ssize_t done = 0, r = 0;

    if (io->direction == DIR_READ && io->file->inode->type == LINUX_S_IFREG &&
        !(io->file->mode & FILE_SILENT))
        r = fanotify_permission(io->task, &io->file->path, LINUX_FAN_ACCESS_PERM);
    if (r == 0)
        r = do_at(io);
    if (r > 0)
        done = r;
    if ((r == -EAGAIN || wants_more(io, r)) && may_wait(io))
        r = transfer_blocking(io, done);
    else if (done > 0)
        r = done;
    if (io->task)
        count_for(io->task, io->direction, r);
    if (r > 0 && !(io->file->mode & FILE_SILENT))
        vfs_notify_path(&io->file->path, io->direction == DIR_READ ? LINUX_IN_ACCESS : LINUX_IN_MODIFY);
    if (r >= 0 && io->direction == DIR_WRITE && io->rw_flags & (LINUX_RWF_SYNC | LINUX_RWF_DSYNC) &&
        io->file->ops->fsync) {
        int synced = file_fsync(io->file, /* data_only= */ !(io->rw_flags & LINUX_RWF_SYNC));
        if (synced < 0)
            return synced;
    }
    return r;
}

static int check(const struct io *io, bool positioned) {
    const struct file *f = io->file;

    if (!(f->mode & (io->direction == DIR_READ ? FILE_READ : FILE_WRITE)))
        return -EBADF;
    if (positioned && !(f->mode & (FILE_POS | FILE_PREAD)))
        return -ESPIPE;
    if (inode_is_dir(f->inode))
        return -EISDIR;
    if (!(io->direction == DIR_READ ? (void *)(uintptr_t)f->ops->read : (void *)(uintptr_t)f->ops->write))
        return -EINVAL;
    return 0;
}

ssize_t file_read(struct task *t, struct file *f, struct uio *to, uint32_t rw_flags) {
    struct io io = {t, f, to, DIR_READ, NULL, rw_flags};
    int r = check(&io, false);

    return r < 0 ? r : transfer(&io);
}

ssize_t file_write(struct task *t, struct file *f, struct uio *from, uint32_t rw_flags) {
    struct io io = {t, f, from, DIR_WRITE, NULL, rw_flags};
    int r = check(&io, false);

    return r < 0 ? r : transfer(&io);
}

ssize_t file_pread(struct task *t, struct file *f, struct uio *to, uint64_t offset, uint32_t rw_flags) {
    struct io io = {t, f, to, DIR_READ, &offset, rw_flags};
    int r = check(&io, true);

    return r < 0 ? r : transfer(&io);
}

ssize_t file_pwrite(struct task *t, struct file *f, struct uio *from, uint64_t offset, uint32_t rw_flags) {
    struct io io = {t, f, from, DIR_WRITE, &offset, rw_flags};
    int r = check(&io, true);

    return r < 0 ? r : transfer(&io);
}

ssize_t file_read_kernel(struct task *t, struct file *f, void *to, size_t size, uint64_t offset) {
    size_t done = 0;

    while (done < size) {
        struct uio_segment one;
        struct uio u;
        uio_init_kernel(&u, &one, (char *)to + done, size - done);
        ssize_t r = file_pread(t, f, &u, offset + done, 0);
        if (r < 0)
            return done > 0 ? (ssize_t)done : r;
        if (r == 0)
            break;
        done += (size_t)r;
    }
    return (ssize_t)done;
}
