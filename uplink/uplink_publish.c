/* SPDX-License-Identifier: Apache-2.0
 * uplink/uplink_publish.c: published ports: host sockets that were bound before this process lost the right
 * to, whose connections and datagrams go to the guest. The guest sees its peers' addresses; the host itself
 * appears as the gateway.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "uplink/uplink_internal.h"

enum { BURST = 64, PEERS = 256 };

/* Of a datagram port: who has written to it, each with a socket of our stack that stands for it. */
struct peer {
    struct station station;
    struct list node; /* gate.peers, least recent first */
    struct gate *gate;
    struct nsock *s;
    struct sockaddr_storage host;
    socklen_t host_len;
};

struct gate {
    struct source host;
    struct list peers;
    unsigned peer_count;
    bool udp;
    uint16_t guest_port;
    struct list node;
};

static struct ipa ipa_of(const struct sockaddr_storage *a) {
    const struct sockaddr_in *a4 = (const void *)a;
    const struct sockaddr_in6 *a6 = (const void *)a;

    if (a->ss_family == AF_INET)
        return ipa_from4_wire((const uint8_t *)&a4->sin_addr);
    return ipa_from6_wire(a6->sin6_addr.s6_addr); /* a mapped one is IPv4, as it should be */
}

static void gate_free(struct source *s) {
    free(container_of(s, struct gate, host));
}

/* ---- datagrams ---- */

static void peer_end(struct peer *p) {
    nsock_close(p->s);
    station_done(&p->station);
    list_del(&p->node);
    p->gate->peer_count--;
    free(p);
}

static void peer_ready(struct uplink *u, struct station *s) {
    struct peer *p = container_of(s, struct peer, station);
    struct ns_iov iov = {u->scratch, UPLINK_FRAME_MAX};

    for (;;) {
        struct ns_msg m = {.iov = &iov, .iov_count = 1};
        ssize_t n = nsock_recv(p->s, &m);
        if (n == -EAGAIN)
            return;
        if (n >= 0)
            (void)!sendto(p->gate->host.fd, u->scratch, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&p->host,
                          p->host_len);
    }
}

static struct peer *peer_get(struct uplink *u, struct gate *g, const struct sockaddr_storage *host,
                             socklen_t len) {
    struct peer *p;

    list_for_each_entry(p, &g->peers, node) if (p->host_len == len && memcmp(&p->host, host, len) == 0) {
        list_del(&p->node);
        list_add_tail(&g->peers, &p->node);
        return p;
    }
    if (g->peer_count >= PEERS)
        peer_end(list_first_entry(&g->peers, struct peer, node));
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    *p = (struct peer){.gate = g, .host = *host, .host_len = len};
    station_init(&p->station, peer_ready);
    struct ipa ip = ipa_of(host);
    bool v4 = ipa_is_v4(&ip);
    struct ns_addr to = {
        .family = v4 ? NS_AF_INET : NS_AF_INET6, .port = g->guest_port, .ip = v4 ? u->guest4 : u->guest6};
    const struct ipa *from = ipa_is_loopback(&ip) ? (v4 ? &u->gateway4 : &u->gateway6) : &ip;
    if (uplink_socket_at(u, NS_SOCK_DGRAM, from, 0, &p->station, &p->s) < 0) {
        free(p);
        return NULL;
    }
    list_add_tail(&g->peers, &p->node);
    g->peer_count++;
    if (nsock_connect(p->s, &to) == 0)
        return p;
    peer_end(p);
    return NULL;
}

static void take_datagrams(struct uplink *u, struct gate *g) {
    for (int i = 0; i < BURST; i++) {
        struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
        socklen_t len = sizeof a;
        ssize_t n = recvfrom(g->host.fd, u->scratch, UPLINK_FRAME_MAX, 0, (struct sockaddr *)&a, &len);
        if (n < 0)
            return;
        struct peer *p = peer_get(u, g, &a, len);
        struct ns_iov iov = {u->scratch, (size_t)n};
        struct ns_msg m = {.iov = &iov, .iov_count = 1};
        if (p)
            (void)!nsock_send(p->s, &m);
    }
}

/* ---- connections ---- */

static void take_connections(struct uplink *u, struct gate *g) {
    for (int i = 0; i < BURST; i++) {
        struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
        socklen_t len = sizeof a;
        int fd = accept4(g->host.fd, (struct sockaddr *)&a, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        struct ipa peer = ipa_of(&a);
        uplink_tcp_from_outside(u, fd, &peer, g->guest_port);
    }
}

static void gate_ready(struct uplink *u, struct source *s, uint32_t events) {
    struct gate *g = container_of(s, struct gate, host);

    (void)events;
    if (g->udp)
        take_datagrams(u, g);
    else
        take_connections(u, g);
}

int uplink_publish(struct uplink *u) {
    for (size_t i = 0; i < u->config->published_count; i++) {
        const struct uplink_published *p = &u->config->published[i];
        struct gate *g = calloc(1, sizeof *g);
        if (!g)
            return -ENOMEM;
        *g = (struct gate){.host = {.ready = gate_ready, .free = gate_free, .fd = p->fd},
                           .udp = p->udp,
                           .guest_port = p->guest_port};
        list_init(&g->peers);
        int r = source_add(u, &g->host, EPOLLIN);
        if (r < 0) {
            free(g);
            return r;
        }
        list_add_tail(&u->gates, &g->node);
    }
    return 0;
}

void uplink_publish_done(struct uplink *u) {
    while (!list_empty(&u->gates)) {
        struct gate *g = list_first_entry(&u->gates, struct gate, node);
        while (!list_empty(&g->peers))
            peer_end(list_first_entry(&g->peers, struct peer, node));
        list_del(&g->node);
        source_end(u, &g->host);
    }
}
