/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/host/host_console_host.c: moves bytes between a guest terminal and the host side of one (host.h).
 * Source: pty(7).
 *
 * One thread a console: it waits for the host's descriptor and for an eventfd that the terminal's master
 * queue rings.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hostref.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "sentry/fs/devpts/tty.h"
#include "sentry/fs/host/host_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"

enum { CHUNK = 4096, STACK_BYTES = 128 << 10 };

struct host_console {
    struct waiter waiter; /* first: in tty->master_queue */
    struct tty *tty;      /* reference */
    struct hostref fd, bell;
    struct ref ref;   /* the thread's, and one for each flush under way */
    struct mutex out; /* RANK_CONSOLE: what is taken from the terminal is written before more is taken */
};
HEAP_TYPE(host_console, struct host_console, 0);

static void ring(struct waiter *w, uint32_t events) {
    struct host_console *c = container_of(w, struct host_console, waiter);
    uint64_t one = 1;

    (void)events;
    if (write(c->bell.host.fd, &one, sizeof one) < 0) {
        /* full: it rings already */
    }
}

static const struct waiter_ops bell_ops = {.notify = ring};

static void console_unref(struct host_console *c) {
    if (!ref_put(&c->ref))
        return;
    hostref_release(&c->fd);
    hostref_release(&c->bell);
    tty_unref(c->tty);
    heap_free(c);
}

/* Guest to host: all that is there now. False: the host's end is gone. */
static bool pump_out_locked(struct host_console *c) {
    unsigned char chunk[CHUNK];

    for (;;) {
        ssize_t got = tty_master_read(c->tty, chunk, sizeof chunk);
        if (got <= 0)
            return true;
        for (ssize_t at = 0, n; at < got; at += n) {
            n = write(c->fd.host.fd, chunk + at, (size_t)(got - at));
            if (n < 0 && errno == EAGAIN) {
                struct pollfd p = {.fd = c->fd.host.fd, .events = POLLOUT};
                poll(&p, 1, -1);
                n = 0;
            } else if (n < 0 && errno == EINTR) {
                n = 0;
            } else if (n < 0) {
                return false;
            }
        }
    }
}

static bool pump_out(struct host_console *c) {
    mutex_lock(&c->out);
    bool alive = pump_out_locked(c);
    mutex_unlock(&c->out);
    return alive;
}

void host_console_flush(struct tty *tty) {
    mutex_lock(&tty->lock);
    struct host_console *c = tty->console;
    if (c)
        ref_get(&c->ref);
    mutex_unlock(&tty->lock);
    if (!c)
        return;
    (void)pump_out(c);
    console_unref(c);
}

/* Host to guest; what the guest's input queue does not take now waits in `held`. False: end of the host's
 * side. */
struct held {
    unsigned char data[CHUNK];
    size_t len;
};

static bool deliver(struct host_console *c, struct held *h) {
    ssize_t n = tty_master_write(c->tty, h->data, h->len);

    if (n < 0)
        return n == -EAGAIN;
    for (size_t i = (size_t)n; i < h->len; i++)
        h->data[i - (size_t)n] = h->data[i];
    h->len -= (size_t)n;
    return true;
}

static bool pump_in(struct host_console *c, struct held *h) {
    ssize_t n = read(c->fd.host.fd, h->data + h->len, sizeof h->data - h->len);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    h->len += (size_t)n;
    return deliver(c, h);
}

static void *console_main(void *arg) {
    struct host_console *c = arg;
    struct held held = {.len = 0};
    bool alive = true;

    while (alive) {
        struct pollfd p[2] = {{.fd = c->bell.host.fd, .events = POLLIN},
                              {.fd = c->fd.host.fd, .events = held.len == 0 ? POLLIN : 0}};
        uint64_t count;
        if (poll(p, 2, -1) < 0)
            continue;
        if ((p[0].revents & POLLIN) && read(c->bell.host.fd, &count, sizeof count) == sizeof count) {
            if (held.len > 0)
                alive = deliver(c, &held);
            alive = alive && pump_out(c) && !c->tty->hung_up;
        }
        if (alive && p[1].revents)
            alive = held.len == 0 ? pump_in(c, &held) : !(p[1].revents & (POLLHUP | POLLERR));
    }
    waitq_remove(&c->waiter);
    mutex_lock(&c->tty->lock);
    c->tty->console = NULL;
    mutex_unlock(&c->tty->lock);
    tty_hangup(c->tty);
    console_unref(c);
    return NULL;
}

int host_console_attach(struct kernel *k, struct tty *tty, int fd) {
    struct host_console *c = heap_new(host_console);
    int bell = c ? eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    pthread_attr_t attr;
    pthread_t thread;

    (void)k;
    if (bell < 0) {
        int r = c ? -errno : -ENOMEM;
        heap_free(c);
        close_fd(fd);
        return r;
    }
    c->tty = tty_ref(tty);
    c->fd = hostref_fd(fd);
    c->bell = hostref_fd(bell);
    waiter_init(&c->waiter, &bell_ops, WAIT_ANY);
    atomic_init(&c->ref.count, 1);
    mutex_init(&c->out, RANK_CONSOLE);
    waitq_add(&tty->master_queue, &c->waiter);
    mutex_lock(&tty->lock);
    tty->console = c;
    mutex_unlock(&tty->lock);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int r = -pthread_create(&thread, &attr, console_main, c);
    pthread_attr_destroy(&attr);
    if (r < 0) {
        waitq_remove(&c->waiter);
        mutex_lock(&tty->lock);
        tty->console = NULL;
        mutex_unlock(&tty->lock);
        console_unref(c);
    }
    return r;
}
