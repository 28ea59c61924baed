/* SPDX-License-Identifier: Apache-2.0
 * boot/port_forward_host.c: see port_forward.h.
 */
#include "boot/port_forward.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { CHUNK = 65536, STACK_BYTES = 256 << 10 };

/* One direction: what was read and not yet written. */
struct way {
    uint8_t bytes[CHUNK];
    size_t len, done;
    bool ended, told; /* the source has said all; the other side knows */
};

struct forward {
    struct port_forwards *owner;
    pthread_t thread;
    struct nsock *s;
    int fd, wake_fd;
    _Atomic bool finished;
    struct way in, out; /* to the guest, to the client */
};

struct port_forwards {
    _Atomic bool over;
    struct forward *all[PORT_FORWARDS_MAX]; /* the control server's thread alone */
};

static void wake(void *ctx, uint32_t events) {
    struct forward *f = ctx;
    uint64_t one = 1;

    (void)events;
    if (write(f->wake_fd, &one, sizeof one) < 0) {
        /* full: a wake-up is pending */
    }
}

static const struct nsock_watch_ops g_watch_ops = {.ready = wake};

/* ---- carrying bytes ---- */

static ssize_t move(struct forward *f, bool guest, bool sending, void *buf, size_t len) {
    struct ns_iov iov = {buf, len};
    struct ns_msg m = {.iov = &iov, .iov_count = 1};
    ssize_t n;

    if (guest)
        return sending ? nsock_send(f->s, &m) : nsock_recv(f->s, &m);
    do
        n = sending ? send(f->fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT)
                    : recv(f->fd, buf, len, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* Until the source has nothing more or the sink takes no more. 0, or the error that ends the connection. */
static int carry(struct forward *f, struct way *w, bool to_guest) {
    while (!w->told) {
        if (w->done < w->len) {
            ssize_t n = move(f, to_guest, /* sending= */ true, w->bytes + w->done, w->len - w->done);
            if (n < 0)
                return n == -EAGAIN ? 0 : (int)n;
            w->done += (size_t)n;
            continue;
        }
        if (w->ended) {
            w->told = true;
            return to_guest ? nsock_shutdown(f->s, NS_SHUT_WR) : shutdown(f->fd, SHUT_WR);
        }
        ssize_t n = move(f, !to_guest, /* sending= */ false, w->bytes, CHUNK);
        if (n < 0)
            return n == -EAGAIN ? 0 : (int)n;
        w->ended = n == 0;
        w->len = (size_t)n;
        w->done = 0;
    }
    return 0;
}

static void *serve(void *arg) {
    struct forward *f = arg;
    uint64_t count;

    while (!atomic_load(&f->owner->over)) {
        if (carry(f, &f->in, /* to_guest= */ true) < 0 || carry(f, &f->out, /* to_guest= */ false) < 0 ||
            (f->in.told && f->out.told))
            break;
        bool blocked = f->out.done < f->out.len, hungry = !f->in.ended && f->in.done == f->in.len;
        struct pollfd p[] = {
            {.fd = f->fd, .events = (short)((blocked ? POLLOUT : 0) | (hungry ? POLLIN : 0))},
            {.fd = f->wake_fd, .events = POLLIN}};
        if (!p[0].events)
            p[0].fd = -1; /* a client that has gone would wake us for nothing */
        if (poll(p, ARRAY_SIZE(p), -1) > 0 && p[1].revents && read(f->wake_fd, &count, sizeof count) < 0)
            continue;
    }
    nsock_close(TAKE(f->s)); /* both ends see it now, not when the place is needed */
    f->fd = close_fd(f->fd);
    atomic_store(&f->finished, true);
    return NULL;
}

/* ---- life ---- */

static void forward_free(struct forward *f) {
    if (f->s)
        nsock_close(f->s);
    close_fd(f->fd);
    close_fd(f->wake_fd);
    free(f);
}

static int connect_guest(struct forward *f, struct netns *ns, uint16_t port) {
    struct ns_addr to = {.family = NS_AF_INET, .port = port, .ip = IPA_V4(127, 0, 0, 1)};
    int r = nsock_new(ns, NS_AF_INET, NS_SOCK_STREAM, 0, NULL, &f->s), errnum = 0;
    size_t len = sizeof errnum;

    if (r < 0)
        return r;
    nsock_watch(f->s, &g_watch_ops, f);
    r = nsock_connect(f->s, &to);
    if (r < 0 && r != -EINPROGRESS)
        return r;
    /* The handshake on loopback is over by now: it ran in this thread. */
    if (nsock_ready(f->s) & NS_POLLERR) {
        r = nsock_getopt(f->s, NS_SOL_SOCKET, NS_SO_ERROR, &errnum, &len);
        return r < 0 ? r : -errnum;
    }
    return 0;
}

static int start_thread(struct forward *f) {
    pthread_attr_t attr;
    sigset_t all, old;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = -pthread_create(&f->thread, &attr, serve, f);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return r;
}

/* A free place; those that have finished make room. NULL: all are busy. */
static struct forward **find_place(struct port_forwards *f) {
    struct forward **place = NULL;

    for (size_t i = 0; i < PORT_FORWARDS_MAX; i++) {
        if (f->all[i] && atomic_load(&f->all[i]->finished)) {
            pthread_join(f->all[i]->thread, NULL);
            forward_free(TAKE(f->all[i]));
        }
        if (!f->all[i])
            place = &f->all[i];
    }
    return place;
}

int port_forwards_new(struct port_forwards **ret) {
    *ret = calloc(1, sizeof **ret);
    return *ret ? 0 : -ENOMEM;
}

int port_forward_start(struct port_forwards *owner, struct netns *ns, int fd, uint16_t port) {
    struct forward **place = find_place(owner);
    struct forward *f = place ? calloc(1, sizeof *f) : NULL;

    if (!f) {
        close_fd(fd);
        return place ? -ENOMEM : -EMFILE;
    }
    f->owner = owner;
    f->fd = fd;
    f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = f->wake_fd < 0 ? -errno : connect_guest(f, ns, port);
    if (r >= 0)
        r = start_thread(f);
    if (r < 0)
        forward_free(f);
    else
        *place = f;
    return r;
}

void port_forwards_free(struct port_forwards *f) {
    if (!f)
        return;
    atomic_store(&f->over, true);
    for (size_t i = 0; i < PORT_FORWARDS_MAX; i++) {
        if (!f->all[i])
            continue;
        wake(f->all[i], 0);
        pthread_join(f->all[i]->thread, NULL);
        forward_free(f->all[i]);
    }
    free(f);
}
