/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/inet/inet_cmsg.c: ancillary data. Source: ip(7), ipv6(7), udp(7), socket(7), cmsg(3).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/time.h"
#include "base/clock.h"
#include "sentry/kernel/task.h"
#include "sentry/socket/inet/inet_internal.h"

struct in_pktinfo {
    int32_t ifindex;
    uint8_t spec_dst[4], addr[4];
};

struct in6_pktinfo {
    uint8_t addr[16];
    int32_t ifindex;
};

/* struct sock_extended_err: ip(7), IP_RECVERR */
struct extended_err {
    uint32_t err;
    uint8_t origin, type, code, pad;
    uint32_t info, data;
};

/* ---- in ---- */

static int number_in(const void *data, size_t size, int *ret) {
    int32_t v;

    if (size != sizeof v)
        return -EINVAL;
    memcpy(&v, data, sizeof v);
    *ret = v;
    return 0;
}

static int socket_in(struct inet_socket *s, struct task *t, struct ns_cmsg *c, int type, const void *data,
                     size_t size) {
    int v;

    switch (type) {
    case LINUX_SO_MARK: {
        if (!inet_capable(s, t, CAP_NET_RAW_NR) && !inet_capable(s, t, CAP_NET_ADMIN_NR))
            return -EPERM;
        int r = number_in(data, size, &v);
        if (r < 0)
            return r;
        c->have |= NS_CMSG_MARK;
        c->mark = (uint32_t)v;
        return 0;
    }
    case LINUX_SO_TIMESTAMPING_OLD:
    case LINUX_SO_TIMESTAMPING_NEW:
        return size == sizeof(uint32_t)
                   ? 0
                   : -EINVAL; /* no transmit time stamps are made: SO_TIMESTAMPING is refused */
    case LINUX_SCM_RIGHTS:
    case LINUX_SCM_CREDENTIALS:
        return 0; /* passed over: sock_cmsg_send's callers leave them to AF_UNIX */
    }
    return -EINVAL;
}

static int ip_in(struct ns_cmsg *c, int type, const void *data, size_t size) {
    struct in_pktinfo info;
    int v = 0;

    switch (type) {
    case LINUX_IP_PKTINFO:
        if (size != sizeof info)
            return -EINVAL;
        memcpy(&info, data, sizeof info);
        c->have |= NS_CMSG_PKTINFO;
        c->ifindex = (uint32_t)info.ifindex;
        c->local = ipa_from4_wire(info.spec_dst);
        return 0;
    case LINUX_IP_TTL:
        if (number_in(data, size, &v) < 0 || v < 1 || v > 255)
            return -EINVAL;
        c->have |= NS_CMSG_TTL;
        c->ttl = v;
        return 0;
    case LINUX_IP_TOS:
        if (size == 1)
            v = *(const uint8_t *)data;
        else if (number_in(data, size, &v) < 0)
            return -EINVAL;
        if (v < 0 || v > 255)
            return -EINVAL;
        c->have |= NS_CMSG_TOS;
        c->tos = v;
        return 0;
    case LINUX_IP_RETOPTS:
        return size == 0 ? 0 : -EINVAL; /* IP options are not sent */
    }
    return -EINVAL;
}

static int ip6_in(struct ns_cmsg *c, int type, const void *data, size_t size) {
    struct in6_pktinfo info;
    int v;

    switch (type) {
    case LINUX_IPV6_PKTINFO:
    case LINUX_IPV6_2292PKTINFO:
        if (size < sizeof info)
            return -EINVAL;
        memcpy(&info, data, sizeof info);
        c->have |= NS_CMSG_PKTINFO;
        c->ifindex = (uint32_t)info.ifindex;
        c->local = ipa_from6_wire(info.addr);
        return 0;
    case LINUX_IPV6_HOPLIMIT:
    case LINUX_IPV6_2292HOPLIMIT:
        if (number_in(data, size, &v) < 0 || v < -1 || v > 255)
            return -EINVAL;
        if (v >= 0) {
            c->have |= NS_CMSG_TTL;
            c->ttl = v;
        }
        return 0;
    case LINUX_IPV6_TCLASS:
        if (number_in(data, size, &v) < 0 || v < -1 || v > 255)
            return -EINVAL;
        if (v >= 0) {
            c->have |= NS_CMSG_TOS;
            c->tos = v;
        }
        return 0;
    case LINUX_IPV6_DONTFRAG:
        return number_in(data, size, &v) < 0 || v < 0 || v > 1 ? -EINVAL : 0;
    }
    return -EINVAL;
}

static int udp_in(struct ns_cmsg *c, int type, const void *data, size_t size) {
    if (type != NS_UDP_SEGMENT || size != sizeof c->gso_size)
        return -EINVAL;
    memcpy(&c->gso_size, data, sizeof c->gso_size);
    c->have |= NS_CMSG_GSO;
    return 0;
}

int inet_op_control_in(struct socket *base, struct task *t, struct socket_message *m,
                       const struct linux_cmsghdr *h, const void *data, size_t size) {
    struct inet_socket *s = inet_of(base);
    bool datagram = base->type != LINUX_SOCK_STREAM && base->family != LINUX_AF_PACKET;

    if (h->level == LINUX_SOL_SOCKET)
        return socket_in(s, t, &m->net, h->type, data, size);
    if (h->level == LINUX_SOL_IP && datagram)
        return ip_in(&m->net, h->type, data, size);
    if (h->level == LINUX_SOL_IPV6 && datagram && base->family == LINUX_AF_INET6)
        return ip6_in(&m->net, h->type, data, size);
    if (h->level == LINUX_SOL_UDP && base->protocol == LINUX_IPPROTO_UDP)
        return udp_in(&m->net, h->type, data, size);
    return 0;
}

/* ---- out ---- */

static int put_time(struct control_out *o, const struct inet_socket *s, int64_t ns) {
    int type = s->timestamp_type;

    if (type == LINUX_SO_TIMESTAMPNS_OLD || type == LINUX_SO_TIMESTAMPNS_NEW) {
        struct linux_timespec ts = {.sec = ns / NSEC_PER_SEC, .nsec = ns % NSEC_PER_SEC};
        return control_put(o, LINUX_SOL_SOCKET, type, &ts, sizeof ts);
    }
    struct linux_timeval tv = {.sec = ns / NSEC_PER_SEC, .usec = ns % NSEC_PER_SEC / 1000};
    return control_put(o, LINUX_SOL_SOCKET, type, &tv, sizeof tv);
}

static int put_pktinfo(struct control_out *o, bool v6, const struct ns_cmsg *c) {
    if (v6) {
        struct in6_pktinfo info = {.ifindex = (int32_t)c->ifindex};
        memcpy(info.addr, c->dst.b, sizeof info.addr);
        return control_put(o, LINUX_SOL_IPV6, LINUX_IPV6_PKTINFO, &info, sizeof info);
    }
    struct in_pktinfo info = {.ifindex = (int32_t)c->ifindex};
    memcpy(info.spec_dst, c->local.b + 12, sizeof info.spec_dst);
    memcpy(info.addr, c->dst.b + 12, sizeof info.addr);
    return control_put(o, LINUX_SOL_IP, LINUX_IP_PKTINFO, &info, sizeof info);
}

static int put_auxdata(struct control_out *o, const struct ns_auxdata *a) {
    struct {
        uint32_t status, len, snaplen;
        uint16_t mac, net, vlan_tci, vlan_tpid;
    } body = {.status = a->status, .len = a->len, .snaplen = a->snaplen, .net = a->net};

    return control_put(o, LINUX_SOL_PACKET, NS_PACKET_AUXDATA, &body, sizeof body);
}

static int put_error(struct control_out *o, bool v6, const struct ns_cmsg *c) {
    struct {
        struct extended_err e;
        struct linux_sockaddr_in6 from; /* or sockaddr_in: the offender, if there is one */
    } body = {.e = {.err = c->ee_errno,
                    .origin = c->ee_origin,
                    .type = c->ee_type,
                    .code = c->ee_code,
                    .info = c->ee_info,
                    .data = c->ee_data}};
    bool offender = c->ee_origin == NS_EE_ORIGIN_ICMP || c->ee_origin == NS_EE_ORIGIN_ICMP6;
    struct socket_address a = {0};
    struct ns_addr name = c->offender;

    name.family = v6 ? LINUX_AF_INET6 : LINUX_AF_INET;
    name.port = 0;
    if (offender) {
        inet_address_out(&name, &a);
        memcpy(&body.from, &a.storage, a.len);
    }
    size_t size = sizeof body.e + (v6 ? sizeof(struct linux_sockaddr_in6) : sizeof(struct linux_sockaddr_in));
    return control_put(o, v6 ? LINUX_SOL_IPV6 : LINUX_SOL_IP, v6 ? LINUX_IPV6_RECVERR : LINUX_IP_RECVERR,
                       &body, size);
}

static int put_ip(struct control_out *o, bool v6, const struct ns_cmsg *c) {
    int r = c->have & NS_CMSG_PKTINFO ? put_pktinfo(o, v6, c) : 0;

    if (r == 0 && c->have & NS_CMSG_TTL)
        r = v6 ? control_put(o, LINUX_SOL_IPV6, LINUX_IPV6_HOPLIMIT, &c->ttl, sizeof c->ttl)
               : control_put(o, LINUX_SOL_IP, LINUX_IP_TTL, &c->ttl, sizeof c->ttl);
    if (r == 0 && c->have & NS_CMSG_TOS) {
        uint8_t tos = (uint8_t)c->tos;
        r = v6 ? control_put(o, LINUX_SOL_IPV6, LINUX_IPV6_TCLASS, &c->tos, sizeof c->tos)
               : control_put(o, LINUX_SOL_IP, LINUX_IP_TOS, &tos, sizeof tos);
    }
    if (r == 0 && c->have & NS_CMSG_ORIGDST) {
        struct ns_addr name = {.family = v6 ? LINUX_AF_INET6 : LINUX_AF_INET, .ip = c->dst, .port = c->dport};
        struct socket_address a;
        inet_address_out(&name, &a);
        r = v6 ? control_put(o, LINUX_SOL_IPV6, LINUX_IPV6_ORIGDSTADDR, &a.storage, a.len)
               : control_put(o, LINUX_SOL_IP, LINUX_IP_ORIGDSTADDR, &a.storage, a.len);
    }
    return r;
}

int inet_op_control_out(struct socket *base, struct task *t, struct socket_message *m,
                        struct control_out *o) {
    struct inet_socket *s = inet_of(base);
    const struct ns_cmsg *c = &m->net;
    bool v6 = base->family == LINUX_AF_INET6;
    int r = 0;

    (void)t;
    if (c->have & NS_CMSG_TIMESTAMP)
        r = put_time(o, s, c->realtime_ns);
    if (r == 0 && c->have & NS_CMSG_RXQ_OVFL)
        r = control_put(o, LINUX_SOL_SOCKET, LINUX_SO_RXQ_OVFL, &c->rxq_ovfl, sizeof c->rxq_ovfl);
    if (r == 0 && c->have & NS_CMSG_GRO) {
        int size = c->gso_size;
        r = control_put(o, LINUX_SOL_UDP, NS_UDP_GRO, &size, sizeof size);
    }
    if (r == 0 && c->have & NS_CMSG_AUXDATA)
        r = put_auxdata(o, &c->aux);
    if (r == 0 && c->have & NS_CMSG_RECVERR)
        r = put_error(o, v6, c);
    return r < 0 ? r : put_ip(o, v6, c);
}
