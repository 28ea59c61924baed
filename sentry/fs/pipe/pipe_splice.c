/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/pipe/pipe_splice.c: splice(2) and tee(2): bytes between pipes and other files without a trip
 * through the guest.
 *
 * A step moves at most a page with the pipe's read_lock or write_lock held, never waiting: the other file is
 * asked with RWF_NOWAIT, and when either side has nothing or no room the locks are dropped, the task waits
 * for that side, and the step is tried again. Once something has moved, what there is comes back.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/clock.h"
#include "sentry/fs/pipe/pipe_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"

enum { READ_EVENTS = LINUX_POLLIN | LINUX_POLLRDNORM, WRITE_EVENTS = LINUX_POLLOUT | LINUX_POLLWRNORM };

/* Reads (or writes) kernel memory from (to) a file, at *offset or its position, without waiting. */
static ssize_t file_io(struct task *t, struct file *f, bool write, char *bytes, size_t n, uint64_t *offset) {
    struct uio_segment one;
    struct uio u;
    ssize_t r;

    uio_init_kernel(&u, &one, bytes, n);
    if (offset)
        r = write ? file_pwrite(t, f, &u, *offset, LINUX_RWF_NOWAIT)
                  : file_pread(t, f, &u, *offset, LINUX_RWF_NOWAIT);
    else
        r = write ? file_write(t, f, &u, LINUX_RWF_NOWAIT) : file_read(t, f, &u, LINUX_RWF_NOWAIT);
    if (r > 0 && offset)
        *offset += (uint64_t)r;
    return r;
}

static int wait_side(struct task *t, struct file *f, uint32_t events, unsigned flags) {
    struct waitq *q = file_poll_queue(f);
    struct waiter w;
    int r = 0;

    if (flags & SPLICE_NONBLOCK || file_nonblocking(f) || !q)
        return -EAGAIN;
    waiter_init_task(&w, t, events | LINUX_POLLERR | LINUX_POLLHUP);
    waitq_add(q, &w);
    while (r == 0 && !file_ready(f, events))
        r = task_block(t, CLOCK_NEVER);
    waitq_remove(&w);
    return r;
}

/* -EAGAIN with *ret_in_wait: which side to wait for. */
static ssize_t step_from_file(struct task *t, struct pipe *p, struct file *in, uint64_t *offset, size_t len,
                              bool *ret_wait_in) {
    *ret_wait_in = false;
    int room = pipe_room(p, MIN(len, PAGE_SIZE));
    if (room < 0)
        return room;
    char *page = pipe_page(p);
    if (!page)
        return -ENOMEM;
    ssize_t n = file_io(t, in, /* write= */ false, page, MIN(len, PAGE_SIZE), offset);
    *ret_wait_in = n == -EAGAIN;
    if (n > 0)
        pipe_push(p, page, 0, (size_t)n, false);
    else
        pipe_page_put(p, page);
    return n;
}

ssize_t pipe_from_file(struct task *t, struct file *pipe, struct file *in, uint64_t *offset, size_t len,
                       unsigned flags) {
    struct pipe *p = pipe_of(pipe);
    ssize_t done = 0, n;

    while (len > 0) {
        bool wait_in;
        mutex_lock(&p->write_lock);
        n = step_from_file(t, p, in, offset, len, &wait_in);
        mutex_unlock(&p->write_lock);
        if (n > 0) {
            done += n;
            len -= (size_t)n;
            continue;
        }
        if (n != -EAGAIN || done > 0)
            return done > 0 ? done : n;
        n = wait_in ? wait_side(t, in, READ_EVENTS, 0) : wait_side(t, pipe, WRITE_EVENTS, flags);
        if (n < 0)
            return n;
    }
    return done;
}

static ssize_t step_to_file(struct task *t, struct pipe *p, struct file *out, uint64_t *offset, size_t len,
                            bool *ret_wait_out) {
    char *bytes;
    bool packet;

    *ret_wait_out = false;
    mutex_lock(&p->lock);
    bool writers = p->writers > 0;
    mutex_unlock(&p->lock);
    size_t have = pipe_peek(p, &bytes, &packet);
    if (have == 0)
        return writers ? -EAGAIN : 0;
    ssize_t n = file_io(t, out, /* write= */ true, bytes, MIN(have, len), offset);
    *ret_wait_out = n == -EAGAIN;
    if (n > 0)
        pipe_consume(p, (size_t)n, false);
    return n;
}

ssize_t pipe_to_file(struct task *t, struct file *pipe, struct file *out, uint64_t *offset, size_t len,
                     unsigned flags) {
    struct pipe *p = pipe_of(pipe);
    ssize_t done = 0, n;

    while (len > 0) {
        bool wait_out;
        mutex_lock(&p->read_lock);
        n = step_to_file(t, p, out, offset, len, &wait_out);
        mutex_unlock(&p->read_lock);
        if (n > 0) {
            done += n;
            len -= (size_t)n;
            continue;
        }
        if (n != -EAGAIN || (done > 0 && !wait_out))
            return done > 0 ? done : n;
        n = wait_out ? wait_side(t, out, WRITE_EVENTS, 0) : wait_side(t, pipe, READ_EVENTS, flags);
        if (n < 0)
            return done > 0 ? done : n;
    }
    return done;
}

/* Moves the first page's worth of `from` behind what `to` has. */
static ssize_t step_pipes(struct pipe *from, struct pipe *to, size_t len, bool *ret_wait_to) {
    char *bytes;
    bool packet;

    *ret_wait_to = false;
    mutex_lock(&from->lock);
    bool writers = from->writers > 0;
    mutex_unlock(&from->lock);
    size_t n = MIN(pipe_peek(from, &bytes, &packet), len);
    if (n == 0)
        return writers ? -EAGAIN : 0;
    int r = pipe_room(to, n);
    *ret_wait_to = r == -EAGAIN;
    char *page = r == 0 ? pipe_page(to) : NULL;
    if (r == 0 && !page)
        r = -ENOMEM;
    if (r < 0)
        return r;
    memcpy(page, bytes, n);
    pipe_push(to, page, 0, n, packet);
    pipe_consume(from, n, false);
    return (ssize_t)n;
}

ssize_t pipe_to_pipe(struct task *t, struct file *from, struct file *to, size_t len, unsigned flags) {
    struct pipe *in = pipe_of(from), *out = pipe_of(to);
    ssize_t done = 0, n;

    if (in == out)
        return -EINVAL;
    while (len > 0) {
        bool wait_to;
        mutex_lock(&in->read_lock);
        mutex_lock(&out->write_lock);
        n = step_pipes(in, out, len, &wait_to);
        mutex_unlock(&out->write_lock);
        mutex_unlock(&in->read_lock);
        if (n > 0) {
            done += n;
            len -= (size_t)n;
            continue;
        }
        if (n != -EAGAIN || done > 0)
            return done > 0 ? done : n;
        n = wait_to ? wait_side(t, to, WRITE_EVENTS, flags) : wait_side(t, from, READ_EVENTS, flags);
        if (n < 0)
            return n;
    }
    return done;
}

/* What is in `from` now, as far as `to` has room: both pipes' locks held. */
static ssize_t tee_locked(struct pipe *from, struct pipe *to, size_t len, bool *ret_wait_to) {
    ssize_t done = 0;

    *ret_wait_to = false;
    mutex_lock(&from->lock);
    size_t count = from->count;
    bool writers = from->writers > 0;
    mutex_unlock(&from->lock);
    if (count == 0)
        return writers ? -EAGAIN : 0;
    for (size_t i = 0; i < count && len > 0; i++) {
        mutex_lock(&from->lock);
        struct pipe_slot s = from->ring[(from->head + i) & (from->slots - 1)]; /* read_lock: it stays */
        mutex_unlock(&from->lock);
        size_t n = MIN(s.len, len);
        int r = pipe_room(to, n);
        char *page = r == 0 ? pipe_page(to) : NULL;
        if (r == 0 && !page)
            r = -ENOMEM;
        *ret_wait_to = r == -EAGAIN;
        if (r < 0)
            return done > 0 ? done : r;
        memcpy(page, s.page + s.offset, n);
        pipe_push(to, page, 0, n, s.packet);
        done += (ssize_t)n;
        len -= n;
    }
    return done;
}

ssize_t pipe_tee(struct task *t, struct file *from, struct file *to, size_t len, unsigned flags) {
    struct pipe *in = pipe_of(from), *out = pipe_of(to);

    if (in == out)
        return -EINVAL;
    for (;;) {
        bool wait_to;
        mutex_lock(&in->read_lock);
        mutex_lock(&out->write_lock);
        ssize_t n = len > 0 ? tee_locked(in, out, len, &wait_to) : 0;
        mutex_unlock(&out->write_lock);
        mutex_unlock(&in->read_lock);
        if (n != -EAGAIN)
            return n;
        int r = wait_to ? wait_side(t, to, WRITE_EVENTS, flags) : wait_side(t, from, READ_EVENTS, flags);
        if (r < 0)
            return r;
    }
}
