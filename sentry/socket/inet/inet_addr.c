/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/inet/inet_addr.c: addresses between their guest form and the library's. Source: ip(7),
 * ipv6(7), packet(7), bind(2), connect(2), sendto(2).
 */
#include <errno.h>
#include <string.h>

#include "netstack/wire/bytes.h"
#include "sentry/socket/inet/inet_internal.h"

enum { SIN6_MIN = 24 /* RFC 2133's, without scope */, SLL_MIN = 12 };

static void take_in(const struct socket_address *a, struct ns_addr *ret) {
    struct linux_sockaddr_in in;

    memcpy(&in, &a->storage, sizeof in);
    *ret = (struct ns_addr){.family = in.family,
                            .port = get_be16((const uint8_t *)&in.port),
                            .ip = ipa_from4_wire((const uint8_t *)&in.addr)};
}

static void take_in6(const struct socket_address *a, struct ns_addr *ret) {
    struct linux_sockaddr_in6 in;

    memcpy(&in, &a->storage, sizeof in); /* what the guest left out reads as zero */
    *ret = (struct ns_addr){.family = LINUX_AF_INET6,
                            .port = get_be16((const uint8_t *)&in.port),
                            .ip = ipa_from6_wire(in.addr),
                            .flowinfo = in.flowinfo,
                            .scope_id = in.scope_id};
}

static int take_ll(const struct socket_address *a, struct ns_addr *ret) {
    struct linux_sockaddr_ll ll;

    if (a->len < SLL_MIN)
        return -EINVAL;
    memcpy(&ll, &a->storage, sizeof ll);
    if (ll.family != LINUX_AF_PACKET)
        return -EINVAL;
    *ret = (struct ns_addr){.family = LINUX_AF_PACKET,
                            .ifindex = (uint32_t)ll.ifindex,
                            .ethertype = get_be16((const uint8_t *)&ll.protocol),
                            .arphrd = ll.hatype,
                            .pkttype = ll.pkttype,
                            .mac_len = ll.halen};
    memcpy(ret->mac.b, ll.addr, sizeof ret->mac.b);
    return 0;
}

int inet_address_in(const struct inet_socket *s, const struct socket_address *a, bool bind,
                    struct ns_addr *ret) {
    uint16_t family = a->storage.family;
    bool v6 = s->socket.family == LINUX_AF_INET6;

    if (s->socket.family == LINUX_AF_PACKET)
        return bind ? take_ll(a, ret) : -EOPNOTSUPP;
    if (a->len < sizeof family)
        return -EINVAL;
    if (!bind && family == LINUX_AF_UNSPEC) {
        *ret = (struct ns_addr){.family = LINUX_AF_UNSPEC};
        return 0;
    }
    if (v6 && family == LINUX_AF_INET && !bind &&
        s->socket.type == LINUX_SOCK_DGRAM) { /* udp: a dual-stack socket takes these as well */
        if (a->len < sizeof(struct linux_sockaddr_in))
            return -EINVAL;
        take_in(a, ret);
        ret->family = LINUX_AF_INET6;
        return 0;
    }
    if (a->len < (v6 ? (size_t)SIN6_MIN : sizeof(struct linux_sockaddr_in)))
        return -EINVAL;
    if (v6) {
        if (family != LINUX_AF_INET6)
            return -EAFNOSUPPORT;
        take_in6(a, ret);
        return 0;
    }
    take_in(a, ret);
    if (bind && family == LINUX_AF_UNSPEC &&
        ipa_is_any(&ret->ip)) /* Linux lets these be: bind(2) of old programs */
        ret->family = LINUX_AF_INET;
    return ret->family == LINUX_AF_INET ? 0 : -EAFNOSUPPORT;
}

int inet_destination_in(const struct inet_socket *s, const struct socket_address *a, struct ns_addr *ret) {
    uint16_t family = a->storage.family;

    if (s->socket.family == LINUX_AF_PACKET)
        return take_ll(a, ret);
    if (s->socket.family == LINUX_AF_INET6) {
        if (a->len < sizeof family)
            return -EINVAL;
        if (family == LINUX_AF_UNSPEC)
            return 1;
        if (family == LINUX_AF_INET) {
            if (a->len < sizeof(struct linux_sockaddr_in))
                return -EINVAL;
            take_in(a, ret);
            ret->family = LINUX_AF_INET6;
        } else if (family != LINUX_AF_INET6 || a->len < SIN6_MIN) {
            return family == LINUX_AF_INET6 || s->socket.type == LINUX_SOCK_DGRAM ? -EINVAL : -EAFNOSUPPORT;
        } else {
            take_in6(a, ret);
        }
    } else {
        if (a->len < sizeof(struct linux_sockaddr_in))
            return -EINVAL;
        take_in(a, ret);
        if (family != LINUX_AF_INET && family != LINUX_AF_UNSPEC)
            return -EAFNOSUPPORT;
        ret->family = LINUX_AF_INET;
    }
    return ret->port == 0 && s->socket.type == LINUX_SOCK_DGRAM && s->socket.protocol == LINUX_IPPROTO_UDP
               ? -EINVAL
               : 0;
}

static void put_in(const struct ns_addr *a, struct socket_address *ret) {
    struct linux_sockaddr_in in = {.family = LINUX_AF_INET};

    put_be16((uint8_t *)&in.port, a->port);
    memcpy(&in.addr, a->ip.b + 12, sizeof in.addr);
    ret->len = sizeof in;
    memcpy(&ret->storage, &in, sizeof in);
}

static void put_in6(const struct ns_addr *a, struct socket_address *ret) {
    struct linux_sockaddr_in6 in = {
        .family = LINUX_AF_INET6, .flowinfo = a->flowinfo, .scope_id = a->scope_id};

    put_be16((uint8_t *)&in.port, a->port);
    memcpy(in.addr, a->ip.b, sizeof in.addr);
    ret->len = sizeof in;
    memcpy(&ret->storage, &in, sizeof in);
}

static void put_ll(const struct ns_addr *a, struct socket_address *ret) {
    struct linux_sockaddr_ll ll = {.family = LINUX_AF_PACKET,
                                   .ifindex = (int32_t)a->ifindex,
                                   .hatype = a->arphrd,
                                   .pkttype = a->pkttype,
                                   .halen = a->mac_len};

    put_be16((uint8_t *)&ll.protocol, a->ethertype);
    memcpy(ll.addr, a->mac.b, sizeof a->mac.b);
    ret->len = sizeof ll;
    memcpy(&ret->storage, &ll, sizeof ll);
}

void inet_address_out(const struct ns_addr *a, struct socket_address *ret) {
    if (a->family == LINUX_AF_PACKET)
        put_ll(a, ret);
    else if (a->family == LINUX_AF_INET6)
        put_in6(a, ret);
    else
        put_in(a, ret);
}
