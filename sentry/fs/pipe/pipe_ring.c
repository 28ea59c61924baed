/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/pipe/pipe_ring.c: the ring of pages of a pipe (pipe_internal.h), and its size. Source: pipe(7),
 * fcntl(2) F_SETPIPE_SZ.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/capability.h"
#include "sentry/fs/pipe/pipe_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"

enum { PIPE_MAX_BYTES = 1 << 20 /* /proc/sys/fs/pipe-max-size */ };

static struct pipe_slot *slot_at(struct pipe *p, size_t n) {
    return &p->ring[(p->head + n) & (p->slots - 1)];
}

size_t pipe_peek(struct pipe *p, char **ret, bool *ret_packet) {
    size_t n = 0;

    mutex_assert_held(&p->read_lock);
    mutex_lock(&p->lock);
    if (p->count > 0) {
        struct pipe_slot *s = slot_at(p, 0);
        *ret = s->page + s->offset;
        *ret_packet = s->packet;
        n = s->len;
    }
    mutex_unlock(&p->lock);
    return n;
}

void pipe_page_put(struct pipe *p, char *page) {
    mutex_lock(&p->lock);
    if (!p->spare) {
        p->spare = page;
        page = NULL;
    }
    mutex_unlock(&p->lock);
    heap_free(page);
}

void pipe_consume(struct pipe *p, size_t n, bool drop_rest) {
    char *page = NULL;

    mutex_lock(&p->lock);
    struct pipe_slot *s = slot_at(p, 0);
    ASSERT(p->count > 0 && n <= s->len);
    bool was_full = p->count == p->slots;
    s->offset += (uint32_t)n;
    s->len -= (uint32_t)n;
    if (s->len == 0 || drop_rest) {
        page = s->page;
        *s = (struct pipe_slot){0};
        p->head = (p->head + 1) & (p->slots - 1);
        p->count--;
    }
    mutex_unlock(&p->lock);
    if (!page)
        return;
    pipe_page_put(p, page);
    if (was_full)
        waitq_wake(&p->queue, LINUX_POLLOUT | LINUX_POLLWRNORM);
}

/* The last slot, if n more bytes fit behind its own. lock held. */
static struct pipe_slot *mergeable_locked(struct pipe *p, size_t n, bool packet) {
    struct pipe_slot *s = p->count > 0 ? slot_at(p, p->count - 1) : NULL;

    return s && !packet && !s->packet && s->offset + s->len + n <= PAGE_SIZE ? s : NULL;
}

int pipe_room(struct pipe *p, size_t n) {
    int r = 0;

    mutex_lock(&p->lock);
    if (p->readers == 0)
        r = -EPIPE;
    else if (p->count == p->slots && !mergeable_locked(p, n, false))
        r = -EAGAIN;
    mutex_unlock(&p->lock);
    return r;
}

char *pipe_page(struct pipe *p) {
    mutex_lock(&p->lock);
    char *page = p->spare;
    p->spare = NULL;
    mutex_unlock(&p->lock);
    return page ? page : heap_alloc_bytes(PAGE_SIZE);
}

/* Merging is a copy under the lock: small writes fill a page before they take the next. A full ring after
   pipe_room() said yes can only mean that the slot to be merged with was there; a reader that has emptied it
   meanwhile has made room. */
void pipe_push(struct pipe *p, char *page, uint32_t offset, size_t n, bool packet) {
    mutex_lock(&p->lock);
    struct pipe_slot *tail = mergeable_locked(p, n, packet);
    if (tail) {
        memcpy(tail->page + tail->offset + tail->len, page + offset, n);
        tail->len += (uint32_t)n;
    } else {
        ASSERT(p->count < p->slots);
        *slot_at(p, p->count) = (struct pipe_slot){page, offset, (uint32_t)n, packet};
        p->count++;
        page = NULL;
    }
    mutex_unlock(&p->lock);
    if (page)
        pipe_page_put(p, page);
    waitq_wake(&p->queue, LINUX_POLLIN | LINUX_POLLRDNORM);
}

/* ---- size ---- */

int64_t pipe_get_size(struct file *f) {
    struct pipe *p = pipe_of(f);

    if (!p)
        return -EBADF;
    mutex_lock(&p->lock);
    int64_t size = (int64_t)(p->slots * PAGE_SIZE);
    mutex_unlock(&p->lock);
    return size;
}

static int resize(struct pipe *p, size_t slots) {
    struct pipe_slot *ring = heap_alloc_array(slots, sizeof *ring);
    int r = 0;

    if (!ring)
        return -ENOMEM;
    mutex_lock(&p->lock);
    bool was_full = p->count == p->slots;
    if (p->count > slots) {
        r = -EBUSY;
    } else {
        for (size_t i = 0; i < p->count; i++)
            ring[i] = *slot_at(p, i);
        struct pipe_slot *old = p->ring;
        p->ring = ring;
        p->slots = slots;
        p->head = 0;
        ring = old;
    }
    mutex_unlock(&p->lock);
    heap_free(ring);
    if (r == 0 && was_full)
        waitq_wake(&p->queue, LINUX_POLLOUT | LINUX_POLLWRNORM);
    return r;
}

int64_t pipe_set_size(struct task *t, struct file *f, uint64_t size) {
    struct pipe *p = pipe_of(f);
    uint64_t bytes = PAGE_SIZE;

    if (!p)
        return -EBADF;
    if (size > 1u << 31)
        return -EINVAL;
    while (bytes < size)
        bytes *= 2;
    if (bytes > PIPE_MAX_BYTES && !task_capable_in(t, t->kernel->root_user_ns, LINUX_CAP_SYS_RESOURCE))
        return -EPERM;
    /* A writer between pipe_room() and pipe_push() counts on the room it saw. */
    mutex_lock(&p->write_lock);
    int r = resize(p, bytes / PAGE_SIZE);
    mutex_unlock(&p->write_lock);
    return r < 0 ? r : (int64_t)bytes;
}
