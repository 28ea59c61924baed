/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_aio.c: io_setup(2), io_submit(2) and their kind: decoding, and the requests that are
 * done at once. Source: their man pages, <linux/aio_abi.h>.
 */
#include <errno.h>

#include "base/abi/linux/abi.h"
#include "base/clock.h"
#include "sentry/fs/eventfd/eventfd.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/aio.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/sys_util.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

enum { AIO_PREAD, AIO_PWRITE, AIO_FSYNC, AIO_FDSYNC, AIO_POLL = 5, AIO_NOOP, AIO_PREADV, AIO_PWRITEV };
enum { AIO_FLAG_RESFD = 1, AIO_FLAG_IOPRIO = 2, AIO_KEY = 0, AIO_KEY_OFFSET = 8 };
enum { EVENTS_CHUNK = 256, SETUP_MAX = 0x10000000 };

struct linux_iocb {
    uint64_t data;
    uint32_t key;
    int32_t rw_flags;
    uint16_t opcode;
    int16_t priority;
    uint32_t fd;
    uint64_t buf, bytes;
    int64_t offset;
    uint64_t reserved;
    uint32_t flags, result_fd;
};
ABI_SIZE(linux_iocb, 64);

int64_t sys_io_setup(struct task *t, const struct syscall_args *a) {
    unsigned requests = (unsigned)a->arg[0];
    uint64_t id;

    if (copy_in(t, &id, a->arg[1], sizeof id) < 0)
        return -EFAULT;
    if (id || requests == 0 || requests > SETUP_MAX)
        return -EINVAL;
    if (requests > AIO_MAX_REQUESTS)
        return -EAGAIN;
    int r = aio_setup(t, requests, &id);
    if (r < 0)
        return r;
    if (copy_out(t, a->arg[1], &id, sizeof id) < 0) {
        (void)!aio_destroy(t, id);
        return -EFAULT;
    }
    return 0;
}

int64_t sys_io_destroy(struct task *t, const struct syscall_args *a) {
    return aio_destroy(t, a->arg[0]);
}

/* ---- submitting ---- */

/* A pipe or socket has no place; everything else has the one that the request names. */
static int64_t move(struct task *t, struct file *f, const struct linux_iocb *q, struct uio *u, bool write) {
    uint32_t flags = (uint32_t)q->rw_flags;

    if (!(f->mode & FILE_STREAM) && q->offset < 0)
        return -EINVAL;
    if (write)
        return f->mode & FILE_STREAM ? file_write(t, f, u, flags)
                                     : file_pwrite(t, f, u, (uint64_t)q->offset, flags);
    return f->mode & FILE_STREAM ? file_read(t, f, u, flags)
                                 : file_pread(t, f, u, (uint64_t)q->offset, flags);
}

static int64_t transfer(struct task *t, struct file *f, const struct linux_iocb *q) {
    bool write = q->opcode == AIO_PWRITE || q->opcode == AIO_PWRITEV;
    struct uio_segment one;
    struct uio u;

    if (q->opcode == AIO_PREAD || q->opcode == AIO_PWRITE) {
        uio_init_guest(&u, &one, t, q->buf, q->bytes);
        return move(t, f, q, &u, write);
    }
    int r = uio_init_iovec(&u, t, q->buf, q->bytes);
    if (r < 0)
        return r;
    int64_t n = move(t, f, q, &u, write);
    uio_done(&u);
    return n;
}

/* What is wrong with the request itself, told by io_submit and not by an event. */
static int check_request(const struct linux_iocb *q, struct file *f) {
    switch (q->opcode) {
    case AIO_PREAD:
    case AIO_PREADV:
        return !(f->mode & FILE_READ) ? -EBADF : f->ops->read ? 0 : -EINVAL;
    case AIO_PWRITE:
    case AIO_PWRITEV:
        return !(f->mode & FILE_WRITE) ? -EBADF : f->ops->write ? 0 : -EINVAL;
    case AIO_FSYNC:
    case AIO_FDSYNC:
        return q->buf || q->offset || q->bytes || q->rw_flags || !f->ops->fsync ? -EINVAL : 0;
    case AIO_POLL:
        return (uint16_t)q->buf != q->buf || q->offset || q->bytes || q->rw_flags ? -EINVAL : 0;
    }
    return -EINVAL;
}

/* Takes the reservation. */
static int start(struct task *t, struct aio_context *c, const struct linux_iocb *q, uint64_t object,
                 struct file *f, struct file *notify) {
    int r = check_request(q, f);

    if (r == 0 && q->opcode == AIO_POLL) {
        const struct aio_poll_request poll = {.file = file_ref(f),
                                              .notify = notify ? file_ref(notify) : NULL,
                                              .events = (uint32_t)q->buf,
                                              .data = q->data,
                                              .object = object};
        r = aio_poll_start(c, &poll);
        if (r < 0) {
            file_unref(poll.file);
            file_unref(poll.notify);
        }
    } else if (r == 0) {
        int64_t n = q->opcode == AIO_FSYNC || q->opcode == AIO_FDSYNC ? file_fsync(f, q->opcode == AIO_FDSYNC)
                                                                      : transfer(t, f, q);
        if (n <= -ERESTARTSYS) /* nothing is restarted here: io_submit has gone on */
            n = -EINTR;
        aio_complete(c, &(struct aio_event){.data = q->data, .object = object, .result = n}, notify);
    }
    if (r < 0)
        aio_unreserve(c);
    return r;
}

static int get_notify(struct task *t, const struct linux_iocb *q, struct file **ret) {
    *ret = NULL;
    if (!(q->flags & AIO_FLAG_RESFD))
        return 0;
    *ret = fd_get(t, (int)q->result_fd);
    if (!*ret)
        return -EBADF;
    if (is_eventfd(*ret))
        return 0;
    file_unref(TAKE(*ret));
    return -EINVAL;
}

static int submit_one(struct task *t, struct aio_context *c, uint64_t object) {
    const uint32_t key = AIO_KEY;
    struct linux_iocb q;
    struct file *notify;

    if (copy_in(t, &q, object, sizeof q) < 0)
        return -EFAULT;
    if (q.reserved || (int64_t)q.bytes < 0)
        return -EINVAL;
    int r = aio_reserve(c);
    if (r < 0)
        return r;
    struct file *f = fd_get(t, (int)q.fd);
    r = f ? get_notify(t, &q, &notify) : -EBADF;
    if (r == 0 && copy_out(t, object + AIO_KEY_OFFSET, &key, sizeof key) < 0) {
        file_unref(notify);
        r = -EFAULT;
    }
    if (r < 0) {
        aio_unreserve(c);
    } else {
        r = start(t, c, &q, object, f, notify);
        file_unref(notify);
    }
    file_unref(f);
    return r;
}

int64_t sys_io_submit(struct task *t, const struct syscall_args *a) {
    struct aio_context *c = aio_get(t, a->arg[0]);
    int64_t count = (int64_t)a->arg[1], done = 0;
    int r = 0;

    if (!c)
        return -EINVAL;
    if (count < 0)
        r = -EINVAL;
    while (r == 0 && done < count) {
        uint64_t object;
        if (copy_in(t, &object, a->arg[2] + (uint64_t)done * sizeof object, sizeof object) < 0)
            r = -EFAULT;
        else
            r = submit_one(t, c, object);
        if (r == 0)
            done++;
        if (atomic_load(&t->pending_work) & TASK_WORK_EXIT)
            break;
    }
    aio_put(c);
    return done > 0 ? done : r;
}

int64_t sys_io_cancel(struct task *t, const struct syscall_args *a) {
    uint32_t key;

    if (copy_in(t, &key, a->arg[1] + AIO_KEY_OFFSET, sizeof key) < 0)
        return -EFAULT;
    if (key != AIO_KEY)
        return -EINVAL;
    struct aio_context *c = aio_get(t, a->arg[0]);
    if (!c)
        return -EINVAL;
    int r = aio_cancel(c, a->arg[1]);
    aio_put(c);
    return r;
}

/* ---- collecting ---- */

static int64_t collect(struct task *t, struct aio_context *c, const struct syscall_args *a,
                       int64_t deadline) {
    int64_t min = (int64_t)a->arg[1], max = (int64_t)a->arg[2], total = 0;

    if (min > max || min < 0)
        return -EINVAL;
    unsigned chunk = (unsigned)MIN(MAX(max, (int64_t)1), (int64_t)EVENTS_CHUNK);
    struct aio_event *events = heap_alloc_bytes(chunk * sizeof *events);
    if (!events)
        return -ENOMEM;
    int64_t n = 0;
    do {
        unsigned wanted = (unsigned)MIN(max - total, (int64_t)chunk);
        unsigned needed = (unsigned)MIN(MAX(min - total, (int64_t)0), (int64_t)wanted);
        n = wanted > 0 ? aio_collect(t, c, events, needed, wanted, deadline) : 0;
        if (n > 0 &&
            copy_out(t, a->arg[3] + (uint64_t)total * sizeof *events, events, (size_t)n * sizeof *events) < 0)
            n = -EFAULT;
        total += MAX(n, (int64_t)0);
    } while (n == (int64_t)chunk);
    heap_free(events);
    return total > 0 ? total : n;
}

static int64_t get_events(struct task *t, const struct syscall_args *a) {
    int64_t deadline;
    struct linux_timespec ts;

    int r = copy_in_timeout(t, a->arg[4], &deadline);
    if (r == -EINVAL && copy_in(t, &ts, a->arg[4], sizeof ts) == 0) { /* Linux does not look: long past */
        deadline = 0;
        r = 0;
    }
    if (r < 0)
        return r;
    struct aio_context *c = aio_get(t, a->arg[0]);
    if (!c)
        return -EINVAL;
    int64_t n = collect(t, c, a, deadline);
    aio_put(c);
    return n;
}

int64_t sys_io_getevents(struct task *t, const struct syscall_args *a) {
    int64_t n = get_events(t, a);

    return n == -ERESTARTSYS ? -EINTR : n;
}

int64_t sys_io_pgetevents(struct task *t, const struct syscall_args *a) {
    uint64_t pack[2] = {0}, set;

    if (a->arg[5] && copy_in(t, pack, a->arg[5], sizeof pack) < 0)
        return -EFAULT;
    if (pack[0]) {
        if (pack[1] != sizeof set)
            return -EINVAL;
        if (copy_in(t, &set, pack[0], sizeof set) < 0)
            return -EFAULT;
        signal_set_temporary_mask(t, set);
    }
    int64_t n = get_events(t, a);
    if (pack[0] && n != -ERESTARTSYS)
        signal_restore_temporary_mask(t);
    return n == -ERESTARTSYS ? -ERESTARTNOHAND : n;
}
