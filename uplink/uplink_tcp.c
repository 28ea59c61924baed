/* SPDX-License-Identifier: Apache-2.0
 * uplink/uplink_tcp.c: TCP in both directions: a guest's connection (a socket of our stack) beside a host
 * connection, bytes carried over.
 *
 * From the guest: its SYN is kept while the host connects (CONNECTING); then a listener stands at the address
 * it wants and the SYN goes in (ANSWERED); what the listener accepts is joined to it (OPEN). A refused
 * connection's SYN goes in without a listener, which makes our stack refuse it.
 *
 * Bytes that one side does not take at once are kept in the connection, at most one read of them in each
 * direction; nothing more is read until they are gone. So each side's own flow control works through.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_tcp.h"
#include "uplink/uplink_internal.h"

enum { CHUNK = 131072, SYN_MAX = 256, BACKLOG = 1024 };

enum conn_state { CONN_CONNECTING, CONN_ANSWERED, CONN_OPEN };

/* What one side sent and the other has not taken. */
struct rest {
    uint8_t *bytes; /* owned; NULL: nothing */
    size_t len, done;
    bool ended; /* no more will come; told to the other side once `bytes` is empty */
    bool told;
};

struct conn {
    struct source host;
    struct station guest;
    struct list node; /* uplink.connections */
    enum conn_state state;
    bool outward; /* the guest opened it */
    struct nsock *s;
    struct listener *listener; /* ANSWERED */
    struct ipa src, dst;       /* outward: the guest's end, and what it wants */
    uint16_t sport, dport;
    struct frame syn; /* CONNECTING, outward: bytes owned */
    struct rest to_host, to_guest;
};

struct listener {
    struct station station;
    struct list node; /* uplink.listeners */
    struct uplink *u;
    struct ipa ip;
    uint16_t port;
    unsigned users; /* connections in ANSWERED */
    struct nsock *s;
};

/* ---- life ---- */

static void conn_free(struct source *s) {
    struct conn *c = container_of(s, struct conn, host);

    free((void *)(uintptr_t)c->syn.bytes);
    free(c->to_host.bytes);
    free(c->to_guest.bytes);
    free(c);
}

static void listener_put(struct listener *l) {
    if (!l || --l->users > 0)
        return;
    nsock_close(l->s);
    station_done(&l->station);
    list_del(&l->node);
    free(l);
}

/* `abort`: the guest gets a reset. */
static void conn_end(struct uplink *u, struct conn *c, bool abort) {
    struct {
        int on, seconds;
    } linger = {1, 0};

    if (c->host.dead)
        return;
    if (c->s) {
        if (abort)
            (void)!nsock_setopt(c->s, NS_SOL_SOCKET, NS_SO_LINGER, &linger, sizeof linger);
        nsock_close(c->s);
        c->s = NULL;
    }
    listener_put(TAKE(c->listener));
    station_done(&c->guest);
    list_del(&c->node);
    u->connection_count--;
    source_end(u, &c->host);
}

static void conn_host_ready(struct uplink *u, struct source *s, uint32_t events);
static void conn_guest_ready(struct uplink *u, struct station *s);

static struct conn *conn_new(struct uplink *u, int fd /* taken */) {
    struct conn *c = u->connection_count < UPLINK_MAX_CONNECTIONS ? calloc(1, sizeof *c) : NULL;
    int on = 1;

    if (!c) {
        close_fd(fd);
        return NULL;
    }
    c->host = (struct source){.ready = conn_host_ready, .free = conn_free, .fd = fd};
    station_init(&c->guest, conn_guest_ready);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (source_add(u, &c->host, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0) {
        close_fd(fd);
        free(c);
        return NULL;
    }
    list_add_tail(&u->connections, &c->node);
    u->connection_count++;
    return c;
}

/* ---- carrying bytes ---- */

static bool keep(struct rest *r, const uint8_t *bytes, size_t len) {
    r->bytes = malloc(len);
    r->len = len;
    r->done = 0;
    if (r->bytes)
        memcpy(r->bytes, bytes, len);
    return r->bytes != NULL;
}

static ssize_t guest_io(struct nsock *s, bool sending, const void *buf, size_t len) {
    struct ns_iov iov = {(void *)(uintptr_t)buf, len};
    struct ns_msg m = {.iov = &iov, .iov_count = 1};

    return sending ? nsock_send(s, &m) : nsock_recv(s, &m);
}

static ssize_t host_io(int fd, bool sending, void *buf, size_t len) {
    ssize_t n;

    do
        n = sending ? send(fd, buf, len, MSG_NOSIGNAL) : recv(fd, buf, len, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t give(struct conn *c, bool host, const uint8_t *bytes, size_t len) {
    return host ? host_io(c->host.fd, /* sending= */ true, (void *)(uintptr_t)bytes, len)
                : guest_io(c->s, /* sending= */ true, bytes, len);
}

/* What is left over first. 1: all gone, 0: not yet, < 0: the connection has failed. */
static int drain(struct conn *c, bool host, struct rest *r) {
    while (r->bytes) {
        ssize_t n = give(c, host, r->bytes + r->done, r->len - r->done);
        if (n == -EAGAIN)
            return 0;
        if (n < 0)
            return (int)n;
        r->done += (size_t)n;
        if (r->done == r->len) {
            free(r->bytes);
            r->bytes = NULL;
        }
    }
    if (r->ended && !r->told) {
        r->told = true;
        int rc = host ? shutdown(c->host.fd, SHUT_WR) : nsock_shutdown(c->s, NS_SHUT_WR);
        (void)rc; /* the other side may have gone already, which reading will tell */
    }
    return 1;
}

/* From one side to the other until either has enough. */
static int carry(struct uplink *u, struct conn *c, bool to_host) {
    struct rest *r = to_host ? &c->to_host : &c->to_guest;
    int rc;

    while ((rc = drain(c, to_host, r)) == 1 && !r->ended) {
        ssize_t n = to_host ? guest_io(c->s, /* sending= */ false, u->scratch, CHUNK)
                            : host_io(c->host.fd, /* sending= */ false, u->scratch, CHUNK);
        if (n == -EAGAIN)
            return 0;
        if (n < 0)
            return (int)n;
        r->ended = n == 0;
        size_t done = 0;
        while (done < (size_t)n) {
            ssize_t m = give(c, to_host, u->scratch + done, (size_t)n - done);
            if (m == -EAGAIN)
                break;
            if (m < 0)
                return (int)m;
            done += (size_t)m;
        }
        if (done < (size_t)n && !keep(r, u->scratch + done, (size_t)n - done))
            return -ENOMEM;
    }
    return MIN(rc, 0);
}

static void pump(struct uplink *u, struct conn *c) {
    int r = carry(u, c, /* to_host= */ true);

    if (r >= 0)
        r = carry(u, c, /* to_host= */ false);
    if (r < 0)
        conn_end(u, c, /* abort= */ true);
    else if (c->to_host.told && c->to_guest.told)
        conn_end(u, c, /* abort= */ false);
}

/* ---- the guest opens ---- */

static void listener_ready(struct uplink *u, struct station *s);

static struct listener *listener_get(struct uplink *u, const struct ipa *ip, uint16_t port) {
    struct listener *l;

    list_for_each_entry(l, &u->listeners, node) if (l->port == port && ipa_eq(&l->ip, ip)) {
        l->users++;
        return l;
    }
    l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    *l = (struct listener){.u = u, .ip = *ip, .port = port, .users = 1};
    station_init(&l->station, listener_ready);
    if (uplink_socket_at(u, NS_SOCK_STREAM, ip, port, &l->station, &l->s) < 0) {
        free(l);
        return NULL;
    }
    list_add_tail(&u->listeners, &l->node);
    if (nsock_listen(l->s, BACKLOG) == 0)
        return l;
    listener_put(l);
    return NULL;
}

static struct conn *conn_find(struct uplink *u, const struct ipa *src, uint16_t sport, const struct ipa *dst,
                              uint16_t dport) {
    struct conn *c;

    list_for_each_entry(c, &u->connections, node) if (c->outward && c->sport == sport && c->dport == dport &&
                                                      ipa_eq(&c->src, src) && ipa_eq(&c->dst, dst)) return c;
    return NULL;
}

static void listener_ready(struct uplink *u, struct station *s) {
    struct listener *l = container_of(s, struct listener, station);
    struct nsock *accepted;
    struct ns_addr peer;

    l->users++; /* over the loop, which may put the last connection's */
    while (nsock_accept(l->s, &accepted, &peer) == 0) {
        struct conn *c = conn_find(u, &peer.ip, peer.port, &l->ip, l->port);
        if (!c || c->state != CONN_ANSWERED) {
            nsock_close(accepted);
            continue;
        }
        c->s = accepted;
        c->state = CONN_OPEN;
        nsock_set_user(accepted, &c->guest);
        listener_put(TAKE(c->listener));
        station_wake(u, &c->guest);
    }
    listener_put(l);
}

/* The host's connect has ended with errnum (0: well). */
static void answer_guest(struct uplink *u, struct conn *c, int errnum) {
    if (errnum == 0) {
        c->listener = listener_get(u, &c->dst, c->dport);
        if (!c->listener) {
            conn_end(u, c, /* abort= */ false);
            return;
        }
        c->state = CONN_ANSWERED;
        uplink_inject(u, &c->syn);
        return;
    }
    if (errnum == ECONNREFUSED || errnum == ECONNRESET)
        uplink_inject(u, &c->syn); /* nobody listens there */
    else if (errnum != ETIMEDOUT)
        uplink_unreachable(u, &c->syn, errnum);
    conn_end(u, c, /* abort= */ false);
}

static void conn_host_ready(struct uplink *u, struct source *s, uint32_t events) {
    struct conn *c = container_of(s, struct conn, host);
    int errnum = 0;
    socklen_t len = sizeof errnum;

    if (c->state == CONN_CONNECTING && c->outward && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        (void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &errnum, &len);
        answer_guest(u, c, errnum);
    } else if (c->state == CONN_OPEN) {
        pump(u, c);
    }
}

static void conn_guest_ready(struct uplink *u, struct station *s) {
    struct conn *c = container_of(s, struct conn, guest);

    if (c->state == CONN_CONNECTING && !c->outward) {
        uint32_t ready = nsock_ready(c->s);
        if (ready & (NS_POLLERR | NS_POLLHUP)) {
            conn_end(u, c, /* abort= */ true);
            return;
        }
        if (!(ready & NS_POLLOUT))
            return;
        c->state = CONN_OPEN;
    }
    if (c->state == CONN_OPEN)
        pump(u, c);
}

static bool keep_syn(struct conn *c, const struct frame *f) {
    uint8_t *bytes = malloc(f->len);

    if (!bytes)
        return false;
    memcpy(bytes, f->bytes, f->len);
    c->syn = *f;
    c->syn.bytes = bytes;
    return true;
}

bool uplink_tcp_frame(struct uplink *u, const struct frame *f) {
    int fd = -1;

    if (f->len < f->trans + TCP_MIN_HLEN || (f->bytes[f->trans + 13] & (TH_SYN | TH_ACK | TH_RST)) != TH_SYN)
        return false;
    uint16_t sport = frame_port(f, 0), dport = frame_port(f, 2);
    struct conn *c = conn_find(u, &f->src, sport, &f->dst, dport);
    if (c)
        return c->state == CONN_CONNECTING; /* a repeated SYN: it is known already */
    if (f->len > SYN_MAX)
        return true;
    int r = uplink_may_reach(u, IPPROTO_NUM_TCP, &f->dst, dport);
    if (r >= 0)
        r = uplink_host_socket(SOCK_STREAM, 0, &f->dst, dport, &fd);
    if (r == -ECONNREFUSED)
        return false;
    if (r < 0) {
        uplink_unreachable(u, f, -r);
        return true;
    }
    c = conn_new(u, fd);
    if (!c)
        return true; /* too many: as if the SYN had been lost */
    c->outward = true;
    c->src = f->src;
    c->dst = f->dst;
    c->sport = sport;
    c->dport = dport;
    if (!keep_syn(c, f))
        conn_end(u, c, /* abort= */ false);
    return true;
}

/* ---- from outside ---- */

void uplink_tcp_from_outside(struct uplink *u, int fd, const struct ipa *peer, uint16_t guest_port) {
    bool v4 = ipa_is_v4(peer);
    struct ns_addr to = {
        .family = v4 ? NS_AF_INET : NS_AF_INET6, .port = guest_port, .ip = v4 ? u->guest4 : u->guest6};
    /* The host itself is the gateway to the guest. */
    const struct ipa *from = ipa_is_loopback(peer) ? (v4 ? &u->gateway4 : &u->gateway6) : peer;
    struct conn *c = conn_new(u, fd);

    if (!c)
        return;
    int r = uplink_socket_at(u, NS_SOCK_STREAM, from, 0, &c->guest, &c->s);
    if (r >= 0)
        r = nsock_connect(c->s, &to);
    if (r < 0 && r != -EINPROGRESS)
        conn_end(u, c, /* abort= */ true);
}

void uplink_tcp_done(struct uplink *u) {
    struct conn *c, *next;

    list_for_each_entry_safe(c, next, &u->connections, node) conn_end(u, c, /* abort= */ true);
}
