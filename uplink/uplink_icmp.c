/* SPDX-License-Identifier: Apache-2.0
 * uplink/uplink_icmp.c: echo requests go on by the host's ICMP echo sockets (icmp(7):
 * net.ipv4.ping_group_range says who may have them); and errors that tell the guest why its packet went
 * nowhere, with the errno that the host gave translated to the code that becomes the same errno there (RFC
 * 792, RFC 4443 section 3.1).
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"
#include "uplink/uplink_internal.h"

enum { ICMP_HLEN = 8, ECHO_REPLY4 = 0, ECHO_REQUEST4 = 8, ECHO_REQUEST6 = 128, ECHO_REPLY6 = 129 };
enum { UNREACHABLE4 = 3, UNREACHABLE6 = 1, QUOTE4 = 28, QUOTE6 = 600, HOPS = 64 };
#define IDLE_NS (30ll * NSEC_PER_SEC)

struct echo {
    struct source host;
    struct list node; /* uplink.echoes */
    struct ipa guest, to;
    uint16_t id;
    int64_t last;
};

/* An ICMP message `body` (its checksum not done yet) as a frame to the guest. */
static void emit(struct uplink *u, const struct ipa *src, const struct ipa *dst, uint8_t *body, size_t len) {
    static const struct vnet_hdr plain;
    uint8_t frame[UPLINK_MTU + 64];
    struct eth_hdr eth = {.dst = {{2, 0, 10, 0, 2, 0x64}}, .src = {{2, 0, 10, 0, 2, 2}}};
    bool v4 = ipa_is_v4(src);
    size_t header = v4 ? (size_t)IPV4_MIN_HLEN : (size_t)IPV6_HLEN;

    if (len > sizeof frame - ETHER_HLEN - header)
        return;
    eth.type = v4 ? ETYPE_IPV4 : ETYPE_IPV6;
    eth_put(frame, &eth);
    struct ipv4_hdr h4 = {.hlen = IPV4_MIN_HLEN,
                          .total_len = (uint16_t)(IPV4_MIN_HLEN + len),
                          .ttl = HOPS,
                          .proto = IPPROTO_ICMP,
                          .src = *src,
                          .dst = *dst};
    struct ipv6_hdr h6 = {.payload_len = (uint16_t)len,
                          .next = IPPROTO_NUM_ICMPV6,
                          .hop_limit = HOPS,
                          .src = *src,
                          .dst = *dst};
    uint32_t pseudo = v4 ? 0 : csum_pseudo(src, dst, IPPROTO_NUM_ICMPV6, (uint32_t)len);
    put_be16(body + 2, 0);
    csum_store(body + 2, csum_fold(csum_partial(body, len, pseudo)));
    if (v4)
        ipv4_put(frame + ETHER_HLEN, &h4);
    else
        ipv6_put(frame + ETHER_HLEN, &h6);
    memcpy(frame + ETHER_HLEN + header, body, len);
    uplink_emit(u, &plain, frame, ETHER_HLEN + header + len);
}

/* ---- errors ---- */

static uint8_t code_of(int errnum, bool v4) {
    switch (errnum) {
    case ENETUNREACH:
        return 0; /* net unreachable; no route */
    case EACCES:
    case EPERM:
        return v4 ? 13 : 1; /* administratively prohibited */
    case ECONNREFUSED:
        return v4 ? 3 : 4; /* port */
    default:
        return v4 ? 1 : 3; /* host; address */
    }
}

void uplink_unreachable(struct uplink *u, const struct frame *f, int errnum) {
    uint8_t body[ICMP_HLEN + QUOTE6] = {0};
    bool v4 = ipa_is_v4(&f->src);
    size_t quote = MIN((size_t)(f->len - f->net), v4 ? (size_t)QUOTE4 : (size_t)QUOTE6);

    body[0] = v4 ? UNREACHABLE4 : UNREACHABLE6;
    body[1] = code_of(errnum, v4);
    memcpy(body + ICMP_HLEN, f->bytes + f->net, quote);
    emit(u, v4 ? &u->gateway4 : &u->gateway6, &f->src, body, ICMP_HLEN + quote);
}

/* ---- echo ---- */

static void echo_free(struct source *s) {
    free(container_of(s, struct echo, host));
}

static void echo_end(struct uplink *u, struct echo *e) {
    list_del(&e->node);
    u->echo_count--;
    source_end(u, &e->host);
}

static void echo_ready(struct uplink *u, struct source *s, uint32_t events) {
    struct echo *e = container_of(s, struct echo, host);
    uint8_t buf[UPLINK_MTU];
    ssize_t n;

    (void)events;
    while ((n = recv(s->fd, buf, sizeof buf, 0)) >= ICMP_HLEN) {
        put_be16(buf + 4, e->id); /* the host's socket has one of its own */
        e->last = monotonic_ns();
        emit(u, &e->to, &e->guest, buf, (size_t)n);
    }
}

static struct echo *echo_get(struct uplink *u, const struct frame *f, uint16_t id) {
    struct echo *e;
    int fd;

    list_for_each_entry(e, &u->echoes, node) if (e->id == id && ipa_eq(&e->to, &f->dst) &&
                                                 ipa_eq(&e->guest, &f->src)) return e;
    if (u->echo_count >= UPLINK_MAX_ECHO)
        echo_end(u, list_first_entry(&u->echoes, struct echo, node));
    if (uplink_host_socket(SOCK_DGRAM, ipa_is_v4(&f->dst) ? IPPROTO_ICMP : IPPROTO_ICMPV6, &f->dst, 0, &fd) <
        0)
        return NULL;
    e = calloc(1, sizeof *e);
    if (!e) {
        close_fd(fd);
        return NULL;
    }
    *e = (struct echo){
        .host = {.ready = echo_ready, .free = echo_free, .fd = fd}, .guest = f->src, .to = f->dst, .id = id};
    if (source_add(u, &e->host, EPOLLIN) < 0) {
        close_fd(fd);
        free(e);
        return NULL;
    }
    list_add_tail(&u->echoes, &e->node);
    u->echo_count++;
    return e;
}

bool uplink_icmp_frame(struct uplink *u, const struct frame *f) {
    uint8_t request = ipa_is_v4(&f->dst) ? ECHO_REQUEST4 : ECHO_REQUEST6;

    if (f->bytes[f->trans] != request)
        return false;
    int r = uplink_may_reach(u, f->proto, &f->dst, 0);
    if (r < 0) {
        uplink_unreachable(u, f, -r);
        return true;
    }
    struct echo *e = echo_get(u, f, get_be16(f->bytes + f->trans + 4));
    if (!e)
        return true;
    e->last = monotonic_ns();
    (void)!send(e->host.fd, f->bytes + f->trans, f->len - f->trans, MSG_NOSIGNAL);
    return true;
}

void uplink_echo_sweep(struct uplink *u, int64_t now) {
    struct echo *e, *next;

    list_for_each_entry_safe(e, next, &u->echoes, node) if (now - e->last > IDLE_NS) echo_end(u, e);
}

void uplink_icmp_done(struct uplink *u) {
    while (!list_empty(&u->echoes))
        echo_end(u, list_first_entry(&u->echoes, struct echo, node));
}
