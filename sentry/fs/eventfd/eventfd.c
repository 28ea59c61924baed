/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/eventfd/eventfd.c: see eventfd.h. The counter: `lock` (RANK_EVENT).
 */
#include "sentry/fs/eventfd/eventfd.h"

#include <errno.h>
#include <stdio.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/file.h"

struct eventfd {
    struct file base;
    bool semaphore;
    struct waitq queue;
    struct mutex lock; /* RANK_EVENT */
    uint64_t count;
};
HEAP_TYPE(eventfd, struct eventfd, 0);

static struct eventfd *eventfd_of(struct file *f) {
    return container_of(f, struct eventfd, base);
}

static ssize_t eventfd_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct eventfd *e = eventfd_of(f);

    (void)offset;
    if (to->remaining < sizeof e->count)
        return -EINVAL;
    mutex_lock(&e->lock);
    uint64_t value = e->semaphore && e->count > 0 ? 1 : e->count;
    e->count -= value;
    mutex_unlock(&e->lock);
    if (value == 0)
        return -EAGAIN;
    waitq_wake(&e->queue, LINUX_POLLOUT | LINUX_POLLWRNORM);
    ssize_t n = uio_write(to, &value, sizeof value);
    return n == sizeof value ? n : -EFAULT;
}

static ssize_t eventfd_write(struct file *f, struct uio *from, uint64_t *offset) {
    struct eventfd *e = eventfd_of(f);
    uint64_t value;

    (void)offset;
    if (from->remaining < sizeof value)
        return -EINVAL;
    if (uio_read(from, &value, sizeof value) != sizeof value)
        return -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    mutex_lock(&e->lock);
    bool fits = value < UINT64_MAX - e->count;
    if (fits)
        e->count += value;
    mutex_unlock(&e->lock);
    if (!fits) {
        uio_revert(from, sizeof value); /* the caller waits and comes again */
        return -EAGAIN;
    }
    waitq_wake(&e->queue, LINUX_POLLIN | LINUX_POLLRDNORM);
    from->remaining = 0; /* what is longer than the counter is left alone */
    return sizeof value;
}

static uint32_t eventfd_ready(struct file *f, uint32_t events) {
    struct eventfd *e = eventfd_of(f);
    uint32_t now = 0;

    (void)events;
    mutex_lock(&e->lock);
    if (e->count > 0)
        now |= LINUX_POLLIN | LINUX_POLLRDNORM;
    if (e->count == UINT64_MAX)
        now |= LINUX_POLLERR;
    if (e->count < UINT64_MAX - 1)
        now |= LINUX_POLLOUT | LINUX_POLLWRNORM;
    mutex_unlock(&e->lock);
    return now;
}

static struct waitq *eventfd_poll_queue(struct file *f) {
    return &eventfd_of(f)->queue;
}

static size_t eventfd_show(struct file *f, char *buf, size_t size) {
    struct eventfd *e = eventfd_of(f);

    mutex_lock(&e->lock);
    uint64_t count = e->count;
    mutex_unlock(&e->lock);
    int n = snprintf(buf, size, "eventfd-count: %16lx\n", (unsigned long)count);
    return n > 0 ? MIN((size_t)n, size) : 0;
}

static void eventfd_release(struct file *f) {
    file_done(f);
    heap_free(eventfd_of(f));
}

static const struct file_ops eventfd_ops = {
    .name = "eventfd",
    .read = eventfd_read,
    .write = eventfd_write,
    .ready = eventfd_ready,
    .poll_queue = eventfd_poll_queue,
    .show_fdinfo = eventfd_show,
    .release = eventfd_release,
};

bool is_eventfd(const struct file *f) {
    return f->ops == &eventfd_ops;
}

int eventfd_create(struct task *t, uint32_t count, uint32_t flags, struct file **ret) {
    struct eventfd *e = heap_new(eventfd);

    if (!e)
        return -ENOMEM;
    int r = file_init_anon(&e->base, &eventfd_ops, "anon_inode:[eventfd]", 0,
                           LINUX_O_RDWR | (flags & LINUX_EFD_NONBLOCK), FILE_READ | FILE_WRITE | FILE_STREAM,
                           task_creds(t));
    if (r < 0) {
        heap_free(e);
        return r;
    }
    mutex_init(&e->lock, RANK_EVENT);
    waitq_init(&e->queue);
    e->semaphore = flags & LINUX_EFD_SEMAPHORE;
    e->count = count;
    *ret = &e->base;
    return 0;
}
