/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/fdlink_host.c: the host calls of a link on a descriptor: its dispatcher thread, receiving in
 * bursts, sending (fdlink.h).
 *
 * The thread owns nothing of the stack but the packets in its slots, which it gives back before it ends.
 * Life: started -> (detach, with the stack's lock held: nic = NULL, `end` written) -> thread frees slots and
 * port.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mutex.h"
#include "netstack/link/fdlink_internal.h"

enum { STACK_BYTES = 256 << 10, BURST_FIRST = 2 };

struct fdlink_port {
    struct netstack *st;
    enum fdlink_kind kind;
    int fd, end_fd;
    bool started;
    struct nic *nic; /* stack's lock */
    struct fdlink_slot slots[FDLINK_BURST];
    struct mmsghdr msgs[FDLINK_BURST];
};

/* Dispatchers that have not ended yet, for fdlink_drain(). */
static pthread_mutex_t g_live_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_live_changed = PTHREAD_COND_INITIALIZER;
static unsigned g_live;

static void live(int change) {
    pthread_mutex_lock(&g_live_lock);
    g_live += (unsigned)change;
    pthread_cond_broadcast(&g_live_changed);
    pthread_mutex_unlock(&g_live_lock);
}

void fdlink_drain(void) {
    pthread_mutex_lock(&g_live_lock);
    while (g_live)
        pthread_cond_wait(&g_live_changed, &g_live_lock);
    pthread_mutex_unlock(&g_live_lock);
}

static void port_free(struct fdlink_port *port) {
    close_fd(port->fd);
    close_fd(port->end_fd);
    free(port);
}

int fdlink_port_new(struct netstack *st, enum fdlink_kind kind, int fd, struct fdlink_port **ret) {
    struct fdlink_port *port = calloc(1, sizeof(*port));
    int end = port ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (end < 0) {
        int rc = port ? -errno : -ENOMEM;
        free(port);
        close_fd(fd);
        return rc;
    }
    *port = (struct fdlink_port){.st = st, .kind = kind, .fd = fd, .end_fd = end};
    for (size_t i = 0; i < FDLINK_BURST; i++)
        port->msgs[i].msg_hdr =
            (struct msghdr){.msg_iov = port->slots[i].iov, .msg_iovlen = ARRAY_SIZE(port->slots[i].iov)};
    *ret = port;
    return 0;
}

/* ---- receiving ---- */

/* Frames taken into the slots; 0: none there; a negative errno: the descriptor is no use any more. */
static int receive_packets(struct fdlink_port *port, size_t room) {
    int n;
    do
        n = recvmmsg(port->fd, port->msgs, (unsigned)room, MSG_DONTWAIT, NULL);
    while (n < 0 && errno == EINTR);
    if (n < 0) /* the interface went down: that error comes once, and it may come up again */
        return errno == EAGAIN || errno == ENETDOWN ? 0 : -errno;
    for (int i = 0; i < n; i++)
        port->slots[i].len = port->msgs[i].msg_len;
    return n;
}

static int receive_tap(struct fdlink_port *port, size_t room) {
    size_t n = 0;
    while (n < room) {
        ssize_t len = readv(port->fd, port->slots[n].iov, ARRAY_SIZE(port->slots[n].iov));
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno != EAGAIN && n == 0)
            return errno == EIO ? 0 : -errno; /* EIO: the device is down */
        if (len < 0)
            break;
        port->slots[n++].len = (size_t)len;
    }
    return (int)n;
}

/* Sleeps until frames come on `fd` (-1: never) or the link ends: false. */
static bool wait_for_frames(struct fdlink_port *port, int fd) {
    struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = port->end_fd, .events = POLLIN}};
    while (poll(p, ARRAY_SIZE(p), -1) < 0 && errno == EINTR)
        ;
    return !p[1].revents;
}

/* Of the first `room` slots. */
static size_t filled(const struct fdlink_port *port, size_t room) {
    size_t n = 0;
    while (n < room && port->slots[n].p && port->slots[n].spare[FDLINK_SPARES - 1])
        n++;
    return n;
}

static void *dispatch(void *arg) {
    struct fdlink_port *port = arg;
    struct netstack *st = port->st;
    size_t burst = BURST_FIRST; /* slots in use: more once they have all been filled in one call */
    bool more = fdlink_refill(st, port->slots, burst);

    (void)prctl(PR_SET_NAME, "link");
    while (more) {
        size_t room = filled(port, burst);
        int n = room == 0 ? -ENOMEM : (port->kind == FDLINK_TAP ? receive_tap : receive_packets)(port, room);
        if (n < 0) {
            log_error(LOG_NET, "a link has failed: %s", strerror(-n));
            break;
        }
        if (n > 0)
            fdlink_deliver(st, &port->nic, port->slots, (size_t)n);
        if ((size_t)n < room) {
            more = wait_for_frames(port, port->fd);
        } else {
            burst = MIN(burst * 2, (size_t)FDLINK_BURST);
            (void)fdlink_refill(st, port->slots, burst); /* none at all: seen above */
        }
    }
    while (more) /* failed: nothing to do but to wait for the end; senders may still use the descriptor */
        more = wait_for_frames(port, -1);
    fdlink_empty(st, port->slots, FDLINK_BURST);
    port_free(port);
    live(-1);
    return NULL;
}

int fdlink_port_start(struct fdlink_port *port, struct nic *nic) {
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;

    port->nic = nic;
    port->started = true;
    live(1);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&thread, &attr, dispatch, port);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (r == 0)
        return 0;
    port->started = false;
    live(-1);
    return -r;
}

void fdlink_port_end(struct fdlink_port *port) {
    uint64_t one = 1;

    port->nic = NULL;
    if (!port->started)
        port_free(port);
    else if (write(port->end_fd, &one, sizeof(one)) < 0)
        log_error(LOG_NET, "ending a link: %s", strerror(errno)); /* cannot be full */
}

/* ---- sending ---- */

int fdlink_port_send(struct fdlink_port *port, const struct iovec *iov, int count) {
    ssize_t n;
    do
        n = writev(port->fd, iov, count);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? -ENOBUFS
           : errno == EMSGSIZE                                    ? -EMSGSIZE
                                                                  : -ENETDOWN;
}
