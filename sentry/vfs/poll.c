/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/poll.c: see poll.h. Nothing is queued when something is ready at the first look.
 */
#include "sentry/vfs/poll.h"

#include <errno.h>

#include "sentry/vfs/file.h"

static int look(struct poll_item *items, size_t count) {
    int ready = 0;

    for (size_t i = 0; i < count; i++) {
        items[i].revents = items[i].file ? file_ready(items[i].file, items[i].events) : 0;
        ready += items[i].revents != 0;
    }
    return ready;
}

static void enqueue(struct task *t, struct poll_item *items, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct waitq *q = items[i].file ? file_poll_queue(items[i].file) : NULL;
        waiter_init_task(&items[i].waiter, t, items[i].events | LINUX_POLLERR | LINUX_POLLHUP);
        if (q)
            waitq_add(q, &items[i].waiter);
    }
}

int poll_wait(struct task *t, struct poll_item *items, size_t count, int64_t deadline) {
    int ready = look(items, count), r = 0;

    if (ready > 0 || deadline == 0)
        return ready;
    enqueue(t, items, count);
    while ((ready = look(items, count)) == 0) {
        r = task_block(t, deadline);
        if (r < 0)
            break;
    }
    for (size_t i = 0; i < count; i++)
        waitq_remove(&items[i].waiter);
    return ready > 0 ? ready : r == -ETIMEDOUT ? 0 : r;
}
