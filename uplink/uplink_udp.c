/* SPDX-License-Identifier: Apache-2.0
 * uplink/uplink_udp.c: datagrams. A port is an address and port that the guest sends to, as a socket of our
 * stack (which puts fragments together and checks sums); a flow is one sender to it, as a connected host
 * socket, so that answers come from whom was asked. Flows that are idle end.
 *
 * The guest's resolver address stands for the host's resolvers, in turn. With an egress policy, questions and
 * answers of DNS pass by it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "netstack/wire/wire_ipv4.h"
#include "uplink/egress.h"
#include "uplink/uplink_internal.h"

enum { DNS_PORT = 53, BURST = 64 };
#define IDLE_NS     (120ll * NSEC_PER_SEC)
#define IDLE_DNS_NS (15ll * NSEC_PER_SEC)

struct port {
    struct station station;
    struct list node; /* uplink.ports */
    struct nsock *s;
    struct ipa ip;
    uint16_t number;
    struct list flows;
};

struct flow {
    struct source host;
    struct list node; /* port.flows */
    struct port *port;
    struct ns_addr guest;
    int64_t last;
};

static bool is_dns(const struct uplink *u, const struct port *p) {
    return p->number == DNS_PORT && ipa_eq(&p->ip, &u->resolver4); /* the only one whose answers pin */
}

/* ---- flows ---- */

static void flow_free(struct source *s) {
    free(container_of(s, struct flow, host));
}

static void flow_end(struct uplink *u, struct flow *f) {
    list_del(&f->node);
    u->flow_count--;
    source_end(u, &f->host);
}

static void to_guest(struct flow *f, const uint8_t *bytes, size_t len) {
    struct ns_iov iov = {(void *)(uintptr_t)bytes, len};
    struct ns_msg m = {.iov = &iov, .iov_count = 1, .has_name = true, .name = f->guest};

    (void)!nsock_send(f->port->s, &m);
}

static void flow_ready(struct uplink *u, struct source *s, uint32_t events) {
    struct flow *f = container_of(s, struct flow, host);

    (void)events;
    for (int i = 0; i < BURST; i++) {
        ssize_t n = recv(s->fd, u->scratch, UPLINK_FRAME_MAX, 0);
        if (n < 0)
            return; /* an error that ICMP brought is lost, as datagrams may be */
        if (is_dns(u, f->port) && u->config->egress)
            egress_dns_answer(u->config->egress, u->scratch, (size_t)n);
        f->last = monotonic_ns();
        to_guest(f, u->scratch, (size_t)n);
    }
}

/* The one heard of longest ago makes room. */
static void end_oldest(struct uplink *u) {
    struct port *p;
    struct flow *f, *oldest = NULL;

    list_for_each_entry(p, &u->ports, node)
        list_for_each_entry(f, &p->flows, node) if (!oldest || f->last < oldest->last) oldest = f;
    if (oldest)
        flow_end(u, oldest);
}

static struct flow *flow_get(struct uplink *u, struct port *p, const struct ns_addr *guest) {
    const struct uplink_config *config = u->config;
    struct ipa to = p->ip;
    struct flow *f;
    int fd;

    list_for_each_entry(f, &p->flows,
                        node) if (f->guest.port == guest->port && ipa_eq(&f->guest.ip, &guest->ip)) return f;
    if (ipa_eq(&to, &u->resolver4)) {
        if (config->resolver_count == 0)
            return NULL;
        to = config->resolvers[guest->port % config->resolver_count];
    }
    if (u->flow_count >= UPLINK_MAX_UDP)
        end_oldest(u);
    if (uplink_host_socket(SOCK_DGRAM, 0, &to, p->number, &fd) < 0)
        return NULL;
    f = calloc(1, sizeof *f);
    if (!f) {
        close_fd(fd);
        return NULL;
    }
    *f =
        (struct flow){.host = {.ready = flow_ready, .free = flow_free, .fd = fd}, .port = p, .guest = *guest};
    if (source_add(u, &f->host, EPOLLIN) < 0) {
        close_fd(fd);
        free(f);
        return NULL;
    }
    list_add_tail(&p->flows, &f->node);
    u->flow_count++;
    return f;
}

/* ---- ports ---- */

static void port_end(struct uplink *u, struct port *p) {
    while (!list_empty(&p->flows))
        flow_end(u, list_first_entry(&p->flows, struct flow, node));
    nsock_close(p->s);
    station_done(&p->station);
    list_del(&p->node);
    free(p);
}

/* A question that the policy does not let out is answered here. True: it has been. */
static bool refused_here(struct uplink *u, struct port *p, const struct ns_addr *guest, size_t len) {
    struct flow self = {.port = p, .guest = *guest};
    size_t n;

    if (!is_dns(u, p) || !u->config->egress ||
        egress_dns_question(u->config->egress, u->scratch, len, UPLINK_SCRATCH, &n))
        return false;
    to_guest(&self, u->scratch, n);
    return true;
}

static void port_ready(struct uplink *u, struct station *s) {
    struct port *p = container_of(s, struct port, station);
    struct ns_iov iov = {u->scratch, UPLINK_FRAME_MAX};
    ssize_t n;

    for (;;) {
        struct ns_msg m = {.iov = &iov, .iov_count = 1};
        n = nsock_recv(p->s, &m);
        if (n == -EAGAIN)
            return;
        if (n < 0)
            continue; /* an ICMP error of the guest's */
        if (refused_here(u, p, &m.name, (size_t)n))
            continue;
        struct flow *f = flow_get(u, p, &m.name);
        if (!f)
            continue;
        f->last = monotonic_ns();
        (void)!send(f->host.fd, u->scratch, (size_t)n, MSG_NOSIGNAL);
    }
}

static struct port *port_get(struct uplink *u, const struct ipa *ip, uint16_t number) {
    struct port *p;

    list_for_each_entry(p, &u->ports, node) if (p->number == number && ipa_eq(&p->ip, ip)) return p;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    *p = (struct port){.ip = *ip, .number = number};
    list_init(&p->flows);
    station_init(&p->station, port_ready);
    if (uplink_socket_at(u, NS_SOCK_DGRAM, ip, number, &p->station, &p->s) < 0) {
        free(p);
        return NULL;
    }
    list_add_tail(&u->ports, &p->node);
    return p;
}

bool uplink_udp_frame(struct uplink *u, const struct frame *f) {
    uint16_t number = frame_port(f, 2);
    /* Names are asked of the resolver address only, if names decide. */
    int r = ipa_eq(&f->dst, &u->resolver4) ? 0 : uplink_may_reach(u, IPPROTO_NUM_UDP, &f->dst, number);

    if (r >= 0)
        return !port_get(u, &f->dst, number);
    uplink_unreachable(u, f, -r);
    return true;
}

void uplink_udp_sweep(struct uplink *u, int64_t now) {
    struct port *p, *next_port;
    struct flow *f, *next;

    list_for_each_entry_safe(p, next_port, &u->ports, node) {
        list_for_each_entry_safe(f, next, &p->flows, node) {
            if (now - f->last > (p->number == DNS_PORT ? IDLE_DNS_NS : IDLE_NS))
                flow_end(u, f);
        }
        if (list_empty(&p->flows))
            port_end(u, p);
    }
}

void uplink_udp_done(struct uplink *u) {
    while (!list_empty(&u->ports))
        port_end(u, list_first_entry(&u->ports, struct port, node));
}
