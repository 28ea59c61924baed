/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/host/host_poll_host.c: the thread that waits for host descriptors (host_internal.h). Source:
 * epoll(7).
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hostref.h"
#include "sentry/fs/host/host_internal.h"
#include "sentry/kernel/kernel.h"

enum { EVENTS_AT_ONCE = 32, STACK_BYTES = 256 << 10 };

/* Host memory: behind kernel.host_poller. */
struct poller {
    int epoll_fd, stop_fd;
    pthread_t thread;
    struct mutex lock; /* RANK_GOFER_CONN: held while ready() runs, so that host_unwatch() can wait for it;
                          the slots */
    struct slot {
        struct host_watch *watch; /* NULL: free */
        uint32_t generation; /* an event that was on its way for an earlier user of the slot is told by it */
    } * slots;
    uint32_t slot_count;
};

static uint64_t slot_key(const struct poller *p, uint32_t slot) {
    return (uint64_t)p->slots[slot].generation << 32 | slot;
}
#define STOP_KEY UINT64_MAX

static void dispatch(struct poller *p, const struct epoll_event *e) {
    uint32_t slot = (uint32_t)e->data.u64;

    mutex_lock(&p->lock);
    struct host_watch *w =
        slot < p->slot_count && slot_key(p, slot) == e->data.u64 ? p->slots[slot].watch : NULL;
    if (w)
        w->ready(w, e->events & 0xffffu);
    mutex_unlock(&p->lock);
}

static void *poller_main(void *arg) {
    struct poller *p = arg;
    struct epoll_event events[EVENTS_AT_ONCE];

    for (;;) {
        int n = epoll_wait(p->epoll_fd, events, EVENTS_AT_ONCE, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == STOP_KEY)
                return NULL;
            dispatch(p, &events[i]);
        }
    }
}

static void poller_release(struct hostref *h) {
    struct poller *p = h->host.ptr;
    uint64_t one = 1;

    if (write(p->stop_fd, &one, sizeof one) == sizeof one)
        pthread_join(p->thread, NULL);
    close_fd(p->epoll_fd);
    close_fd(p->stop_fd);
    free(p->slots);
    free(p);
}

static const struct hostref_ops poller_ops = {.name = "host poller", .release = poller_release};

static int start_thread(struct poller *p) {
    struct epoll_event stop = {.events = EPOLLIN, .data.u64 = STOP_KEY};
    pthread_attr_t attr;

    p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    p->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (p->epoll_fd < 0 || p->stop_fd < 0 || epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, p->stop_fd, &stop) < 0)
        return -errno;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int r = -pthread_create(&p->thread, &attr, poller_main, p);
    pthread_attr_destroy(&attr);
    return r;
}

static int poller_get(struct kernel *k, struct poller **ret) {
    int r = 0;

    mutex_lock(&k->containers_lock);
    if (!k->host_poller.ops) {
        struct poller *p = calloc(1, sizeof *p);
        r = p ? 0 : -ENOMEM;
        if (r == 0) {
            p->epoll_fd = p->stop_fd = -1;
            mutex_init(&p->lock, RANK_GOFER_CONN);
            r = start_thread(p);
        }
        if (r == 0) {
            k->host_poller = (struct hostref){.ops = &poller_ops, .host.ptr = p};
        } else if (p) {
            close_fd(p->epoll_fd);
            close_fd(p->stop_fd);
            free(p);
        }
    }
    *ret = k->host_poller.host.ptr;
    mutex_unlock(&k->containers_lock);
    return r;
}

/* A free slot for `w`; lock held. */
static int take_slot_locked(struct poller *p, struct host_watch *w) {
    uint32_t slot = 0;

    while (slot < p->slot_count && p->slots[slot].watch)
        slot++;
    if (slot == p->slot_count) {
        uint32_t count = p->slot_count ? p->slot_count * 2 : 8;
        struct slot *slots = realloc(p->slots, count * sizeof *slots);
        if (!slots)
            return -ENOMEM;
        for (uint32_t i = p->slot_count; i < count; i++)
            slots[i] = (struct slot){0};
        p->slots = slots;
        p->slot_count = count;
    }
    p->slots[slot].watch = w;
    p->slots[slot].generation++;
    w->slot = slot;
    return 0;
}

int host_watch(struct kernel *k, struct host_watch *w) {
    struct poller *p;
    int r = poller_get(k, &p);

    if (r < 0)
        return r;
    mutex_lock(&p->lock);
    r = take_slot_locked(p, w);
    if (r == 0) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET,
                                .data.u64 = slot_key(p, w->slot)};
        w->watched = epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, w->fd, &e) == 0;
        if (!w->watched) {
            p->slots[w->slot].watch = NULL;
            r = errno == EPERM ? 0 : -errno;
        }
    }
    mutex_unlock(&p->lock);
    return r;
}

void host_unwatch(struct kernel *k, struct host_watch *w) {
    struct poller *p = k->host_poller.host.ptr;

    if (!w->watched)
        return;
    mutex_lock(&p->lock);
    epoll_ctl(p->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    p->slots[w->slot].watch = NULL;
    w->watched = false;
    mutex_unlock(&p->lock);
}

void host_poll_destroy(struct kernel *k) {
    hostref_release(&k->host_poller);
}
