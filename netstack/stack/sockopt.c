/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/sockopt.c: options of the levels SOL_SOCKET, IPPROTO_IP and IPPROTO_IPV6.
 *
 * Unknown names fail with -ENOPROTOOPT. Privileges (SO_MARK, SO_PRIORITY above 6, *BUFFORCE) are the caller's
 * to check. Sources: socket(7), ip(7), ipv6(7).
 */
#include <errno.h>
#include <stdio.h>

#include "netstack/stack/nsock.h"
#include "netstack/wire/wire_ipv4.h"

enum { MIN_RCVBUF = 2304, MIN_SNDBUF = 4608 };

int opt_get_int(const void *val, size_t len, int *ret) {
    if (len < sizeof(int))
        return -EINVAL;
    memcpy(ret, val, sizeof(int));
    return 0;
}

/* Copies what fits and tells the length written, as getsockopt(2) does. */
int opt_put(void *val, size_t *len, const void *data, size_t n) {
    n = MIN(n, *len);
    memcpy(val, data, n);
    *len = n;
    return 0;
}

int opt_put_int(void *val, size_t *len, int v) {
    return opt_put(val, len, &v, sizeof(v));
}

static int set_flag(bool *flag, int v) {
    *flag = v != 0;
    return 0;
}

/* The kernel doubles what is asked, for its own overhead: socket(7). */
static uint32_t buffer_size(int v, uint32_t max, uint32_t min) {
    uint32_t asked = v < 0 ? max : MIN((uint32_t)v, max);
    return MAX(asked * 2, min);
}

static int set_linger(struct nsock *s, const void *val, size_t len) {
    int v[2];
    if (len < sizeof(v))
        return -EINVAL;
    memcpy(v, val, sizeof(v));
    s->f.linger_on = v[0] != 0;
    if (v[0])
        s->linger_s = v[1] < 0 ? 0 : (uint32_t)v[1];
    return 0;
}

static int set_device(struct nsock *s, const void *val, size_t len) {
    char name[NS_IFNAMSIZ] = {0};
    memcpy(name, val, MIN(len, sizeof(name) - 1));
    uint32_t ifindex = 0;
    if (name[0]) {
        struct nic *n, *found = NULL;
        list_for_each_entry(n, &s->ns->nics, ns_link) {
            if (strcmp(n->name, name) == 0)
                found = n;
        }
        if (!found)
            return -ENODEV;
        ifindex = found->ifindex;
    }
    s->bound_if = s->bind.ifindex = ifindex;
    s->rt_valid = false;
    return 0;
}

static int set_buffers(struct nsock *s, int name, int v) {
    const struct netns_sysctl *ctl = &s->ns->ctl;
    bool force = name == NS_SO_SNDBUFFORCE || name == NS_SO_RCVBUFFORCE;
    if (name == NS_SO_SNDBUF || name == NS_SO_SNDBUFFORCE) {
        s->sndbuf = buffer_size(v, force ? 1u << 30 : ctl->wmem_max, MIN_SNDBUF);
        s->sndbuf_locked = true;
        nsock_wake(s, NS_POLLOUT);
    } else {
        s->rcvbuf = buffer_size(v, force ? 1u << 30 : ctl->rmem_max, MIN_RCVBUF);
        s->rcvbuf_locked = true;
    }
    return 0;
}

static int set_socket_int(struct nsock *s, int name, int v) {
    switch (name) {
    case NS_SO_REUSEADDR:
        s->bind.reuseaddr = v != 0;
        return set_flag(&s->f.reuseaddr, v);
    case NS_SO_REUSEPORT:
        s->bind.reuseport = v != 0;
        return set_flag(&s->f.reuseport, v);
    case NS_SO_BROADCAST:
        return set_flag(&s->f.broadcast, v);
    case NS_SO_KEEPALIVE:
        return set_flag(&s->f.keepalive, v);
    case NS_SO_OOBINLINE:
        return set_flag(&s->f.oobinline, v);
    case NS_SO_DONTROUTE:
        s->rt_valid = false;
        return set_flag(&s->f.dontroute, v);
    case NS_SO_TIMESTAMP:
        return set_flag(&s->f.timestamp, v);
    case NS_SO_TIMESTAMPNS:
        return set_flag(&s->f.timestampns, v);
    case NS_SO_RXQ_OVFL:
        return set_flag(&s->f.rxq_ovfl, v);
    case NS_SO_PRIORITY:
        s->priority = (uint32_t)v;
        return 0;
    case NS_SO_MARK:
        s->mark = (uint32_t)v;
        s->rt_valid = false;
        return 0;
    case NS_SO_RCVLOWAT:
        s->rcvlowat = v <= 0 ? (v < 0 ? INT32_MAX : 1) : (uint32_t)v;
        return 0;
    case NS_SO_BINDTOIFINDEX:
        if (v < 0 || (v && !nic_find(s->ns, (uint32_t)v)))
            return v < 0 ? -EINVAL : -ENODEV;
        s->bound_if = s->bind.ifindex = (uint32_t)v;
        return 0;
    case NS_SO_SNDBUF:
    case NS_SO_SNDBUFFORCE:
    case NS_SO_RCVBUF:
    case NS_SO_RCVBUFFORCE:
        return set_buffers(s, name, v);
    default:
        return -ENOPROTOOPT;
    }
}

static int set_socket(struct nsock *s, int name, const void *val, size_t len) {
    int v;
    if (name == NS_SO_BINDTODEVICE)
        return set_device(s, val, len);
    if (name == NS_SO_LINGER)
        return set_linger(s, val, len);
    if (name == NS_SO_MAX_PACING_RATE) /* only TCP paces: others fail rather than pretend */
        return s->type == NS_SOCK_STREAM ? s->ops->setopt(s, NS_SOL_SOCKET, name, val, len) : -ENOPROTOOPT;
    int rc = opt_get_int(val, len, &v);
    if (rc < 0)
        return rc;
    rc = set_socket_int(s, name, v);
    if (rc == -ENOPROTOOPT)
        rc = kept_set_socket(s, name, v);
    if (rc == -ENOPROTOOPT)
        rc = kept_set(s, NS_SOL_SOCKET, name, val, len);
    if (rc == 0 && s->ops->setopt && (name == NS_SO_KEEPALIVE || name == NS_SO_OOBINLINE))
        rc = s->ops->setopt(s, NS_SOL_SOCKET, name, val, len); /* the protocol acts on these at once */
    return rc;
}

static int get_device(struct nsock *s, void *val, size_t *len) {
    struct nic *nic = s->bound_if ? nic_find(s->ns, s->bound_if) : NULL;
    if (!nic) {
        *len = 0;
        return 0;
    }
    if (*len < NS_IFNAMSIZ)
        return -EINVAL;
    return opt_put(val, len, nic->name, strlen(nic->name) + 1);
}

static int get_socket(struct nsock *s, int name, void *val, size_t *len) {
    int linger[2] = {s->f.linger_on, (int)s->linger_s};
    switch (name) {
    case NS_SO_TYPE:
        return opt_put_int(val, len, s->type);
    case NS_SO_PROTOCOL:
        return opt_put_int(val, len, s->protocol);
    case NS_SO_DOMAIN:
        return opt_put_int(val, len, s->family);
    case NS_SO_ERROR:
        return opt_put_int(val, len, -nsock_take_error(s));
    case NS_SO_LINGER:
        return opt_put(val, len, linger, sizeof(linger));
    case NS_SO_BINDTODEVICE:
        return get_device(s, val, len);
    case NS_SO_REUSEADDR:
        return opt_put_int(val, len, s->f.reuseaddr);
    case NS_SO_REUSEPORT:
        return opt_put_int(val, len, s->f.reuseport);
    case NS_SO_BROADCAST:
        return opt_put_int(val, len, s->f.broadcast);
    case NS_SO_KEEPALIVE:
        return opt_put_int(val, len, s->f.keepalive);
    case NS_SO_OOBINLINE:
        return opt_put_int(val, len, s->f.oobinline);
    case NS_SO_DONTROUTE:
        return opt_put_int(val, len, s->f.dontroute);
    case NS_SO_TIMESTAMP:
        return opt_put_int(val, len, s->f.timestamp);
    case NS_SO_TIMESTAMPNS:
        return opt_put_int(val, len, s->f.timestampns);
    case NS_SO_RXQ_OVFL:
        return opt_put_int(val, len, s->f.rxq_ovfl);
    case NS_SO_PRIORITY:
        return opt_put_int(val, len, (int)s->priority);
    case NS_SO_MARK:
        return opt_put_int(val, len, (int)s->mark);
    case NS_SO_RCVLOWAT:
        return opt_put_int(val, len, (int)s->rcvlowat);
    case NS_SO_SNDLOWAT:
        return opt_put_int(val, len, 1);
    case NS_SO_SNDBUF:
        return opt_put_int(val, len, (int)s->sndbuf);
    case NS_SO_RCVBUF:
        return opt_put_int(val, len, (int)s->rcvbuf);
    case NS_SO_BINDTOIFINDEX:
        return opt_put_int(val, len, (int)s->bound_if);
    case NS_SO_ACCEPTCONN:
        return opt_put_int(val, len, s->bind.listening);
    default:
        return -ENOPROTOOPT;
    }
}

/* ip_mreq {group, address} or ip_mreqn {group, address, ifindex}. */
static int ip_membership(struct nsock *s, bool join, const uint8_t *val, size_t len) {
    int ifindex = 0;
    if (len < 8)
        return -EINVAL;
    struct ipa group = ipa_from4_wire(val), addr = ipa_from4_wire(val + 4);
    if (len >= 12)
        memcpy(&ifindex, val + 8, sizeof(ifindex));
    return join ? mcast_join(s, &group, (uint32_t)ifindex, &addr)
                : mcast_leave(s, &group, (uint32_t)ifindex, &addr);
}

/* in_addr, ip_mreq or ip_mreqn. */
static int ip_multicast_if(struct nsock *s, const uint8_t *val, size_t len) {
    int ifindex = 0;
    struct ipa addr = IPA_ANY4;
    if (len < 4)
        return -EINVAL;
    addr = ipa_from4_wire(len >= 8 ? val + 4 : val);
    if (len >= 12)
        memcpy(&ifindex, val + 8, sizeof(ifindex));
    if (ifindex == 0 && !ipa_is_any(&addr)) {
        struct ifaddr *ia = ifaddr_find(s->ns, &addr, NULL);
        if (!ia)
            return -EADDRNOTAVAIL;
        ifindex = (int)ia->nic->ifindex;
    } else if (ifindex && !nic_find(s->ns, (uint32_t)ifindex)) {
        return -EADDRNOTAVAIL;
    }
    s->mcast_if = (uint32_t)ifindex;
    s->mcast_src = addr;
    return 0;
}

static int set_ttl(int *ttl, int v, int low) {
    if (v != -1 && (v < low || v > 255))
        return -EINVAL;
    *ttl = v;
    return 0;
}

static int set_pmtudisc(struct nsock *s, int v) {
    if (v < NS_PMTUDISC_DONT || v > 5)
        return -EINVAL;
    s->pmtudisc = (uint8_t)v;
    return 0;
}

static int set_ip_int(struct nsock *s, int name, int v) {
    switch (name) {
    case NS_IP_TOS: /* TCP keeps the ECN bits to itself */
        s->tos = (uint8_t)(s->type == NS_SOCK_STREAM ? (v & ~ECN_MASK) | (s->tos & ECN_MASK) : v);
        return 0;
    case NS_IP_TTL:
        return set_ttl(&s->ttl, v, 1);
    case NS_IP_MULTICAST_TTL:
        return s->type == NS_SOCK_STREAM ? -EINVAL : set_ttl(&s->mcast_ttl, v, 0);
    case NS_IP_MULTICAST_LOOP:
        return set_flag(&s->f.mcast_loop, v);
    case NS_IP_MULTICAST_ALL:
        return v != 0 && v != 1 ? -EINVAL : set_flag(&s->f.mcast_all, v);
    case NS_IP_HDRINCL:
        return s->type != NS_SOCK_RAW ? -ENOPROTOOPT : set_flag(&s->f.hdrincl, v);
    case NS_IP_PKTINFO:
        return set_flag(&s->f.pktinfo, v);
    case NS_IP_RECVTTL:
        return set_flag(&s->f.recvttl, v);
    case NS_IP_RECVTOS:
        return set_flag(&s->f.recvtos, v);
    case NS_IP_RECVERR:
        if (!v)
            errq_purge(s);
        return set_flag(&s->f.recverr, v);
    case NS_IP_FREEBIND:
        return set_flag(&s->f.freebind, v);
    case NS_IP_BIND_ADDRESS_NO_PORT:
        return set_flag(&s->f.bind_no_port, v);
    case NS_IP_MTU_DISCOVER:
        return set_pmtudisc(s, v);
    case NS_IP_RECVORIGDSTADDR:
        s->origdst = v != 0;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static int set_ip(struct nsock *s, int name, const void *val, size_t len) {
    int v = 0;
    if (name == NS_IP_ADD_MEMBERSHIP || name == NS_IP_DROP_MEMBERSHIP)
        return s->type == NS_SOCK_STREAM ? -EPROTO : ip_membership(s, name == NS_IP_ADD_MEMBERSHIP, val, len);
    if (name == NS_IP_MULTICAST_IF)
        return s->type == NS_SOCK_STREAM ? -EINVAL : ip_multicast_if(s, val, len);
    bool empty_ok = name != NS_IP_TTL && name != NS_IP_FREEBIND && name != NS_IP_MULTICAST_TTL &&
                    name != NS_IP_MULTICAST_LOOP && name != NS_IP_MULTICAST_ALL;
    if (len == 0 && !empty_ok)
        return -EINVAL;
    if (len >= sizeof(int))
        memcpy(&v, val, sizeof(int));
    else if (len > 0)
        v = *(const uint8_t *)val; /* Linux takes a char for these, and nothing as zero */
    int rc = set_ip_int(s, name, v);
    if (rc == -ENOPROTOOPT && name == 4 /* IP_OPTIONS */)
        return len == 0 ? 0 : -EINVAL;
    return rc == -ENOPROTOOPT ? kept_set(s, NS_SOL_IP, name, val, len) : rc;
}

/* IP_MTU and IPV6_MTU: the path MTU of a connected socket. */
static int get_mtu(struct nsock *s, void *val, size_t *len) {
    struct rt rt;
    if (!s->connected)
        return -ENOTCONN;
    int rc = nsock_route(s, &s->raddr, &s->laddr, 0, &rt);
    return rc < 0 ? rc : opt_put_int(val, len, (int)rt.mtu);
}

static int get_ip(struct nsock *s, int name, void *val, size_t *len) {
    switch (name) {
    case NS_IP_TOS:
        return opt_put_int(val, len, s->tos);
    case NS_IP_TTL:
        return opt_put_int(val, len, s->ttl < 0 ? s->ns->ctl.ip_default_ttl : s->ttl);
    case NS_IP_MULTICAST_TTL:
        return opt_put_int(val, len, s->mcast_ttl < 0 ? 1 : s->mcast_ttl);
    case NS_IP_MULTICAST_LOOP:
        return opt_put_int(val, len, s->f.mcast_loop);
    case NS_IP_MULTICAST_ALL:
        return opt_put_int(val, len, s->f.mcast_all);
    case NS_IP_MULTICAST_IF:
        return opt_put(val, len, s->mcast_src.b + 12, 4);
    case NS_IP_HDRINCL:
        return s->type != NS_SOCK_RAW ? -ENOPROTOOPT : opt_put_int(val, len, s->f.hdrincl);
    case NS_IP_PKTINFO:
        return opt_put_int(val, len, s->f.pktinfo);
    case NS_IP_RECVTTL:
        return opt_put_int(val, len, s->f.recvttl);
    case NS_IP_RECVTOS:
        return opt_put_int(val, len, s->f.recvtos);
    case NS_IP_RECVERR:
        return opt_put_int(val, len, s->f.recverr);
    case NS_IP_FREEBIND:
        return opt_put_int(val, len, s->f.freebind);
    case NS_IP_BIND_ADDRESS_NO_PORT:
        return opt_put_int(val, len, s->f.bind_no_port);
    case NS_IP_MTU_DISCOVER:
        return opt_put_int(val, len, s->pmtudisc);
    case NS_IP_MTU:
        return get_mtu(s, val, len);
    case NS_IP_RECVORIGDSTADDR:
        return opt_put_int(val, len, s->origdst);
    default:
        return -ENOPROTOOPT;
    }
}

static int ip6_membership(struct nsock *s, bool join, const uint8_t *val, size_t len) {
    int ifindex;
    if (len < 20)
        return -EINVAL;
    struct ipa group = ipa_from6_wire(val);
    memcpy(&ifindex, val + 16, sizeof(ifindex));
    return join ? mcast_join(s, &group, (uint32_t)ifindex, NULL)
                : mcast_leave(s, &group, (uint32_t)ifindex, NULL);
}

static int set_ip6(struct nsock *s, int name, const void *val, size_t len) {
    int v;
    if (name == NS_IPV6_ADD_MEMBERSHIP || name == NS_IPV6_DROP_MEMBERSHIP)
        return s->type == NS_SOCK_STREAM ? -EPROTO
                                         : ip6_membership(s, name == NS_IPV6_ADD_MEMBERSHIP, val, len);
    int rc = opt_get_int(val, len, &v);
    if (rc < 0)
        return rc;
    switch (name) {
    case NS_IPV6_V6ONLY:
        if (s->lport)
            return -EINVAL;
        s->bind.v6only = v != 0;
        return set_flag(&s->f.v6only, v);
    case NS_IPV6_UNICAST_HOPS:
        return set_ttl(&s->ttl, v, 0);
    case NS_IPV6_MULTICAST_HOPS:
        return set_ttl(&s->mcast_ttl, v, 0);
    case NS_IPV6_MULTICAST_LOOP:
        return v != 0 && v != 1 ? -EINVAL : set_flag(&s->f.mcast_loop, v);
    case NS_IPV6_MULTICAST_IF:
        if (v && !nic_find(s->ns, (uint32_t)v))
            return -ENODEV;
        s->mcast_if = (uint32_t)v;
        return 0;
    case NS_IPV6_MTU_DISCOVER:
        return set_pmtudisc(s, v);
    case NS_IPV6_RECVERR:
        if (!v)
            errq_purge(s);
        return set_flag(&s->f.recverr6, v);
    case NS_IPV6_RECVPKTINFO:
        return set_flag(&s->f.pktinfo, v);
    case NS_IPV6_RECVHOPLIMIT:
        return set_flag(&s->f.recvttl, v);
    case NS_IPV6_RECVTCLASS:
        return set_flag(&s->f.recvtos, v);
    case NS_IPV6_TCLASS:
        if (v < -1 || v > 255)
            return -EINVAL;
        s->tos = (uint8_t)(v < 0 ? 0 : s->type == NS_SOCK_STREAM ? v & ~ECN_MASK : v);
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static int get_ip6(struct nsock *s, int name, void *val, size_t *len) {
    switch (name) {
    case NS_IPV6_V6ONLY:
        return opt_put_int(val, len, s->f.v6only);
    case NS_IPV6_UNICAST_HOPS:
        return opt_put_int(val, len, s->ttl < 0 ? s->ns->ctl.ip6_hop_limit : s->ttl);
    case NS_IPV6_MULTICAST_HOPS:
        return opt_put_int(val, len, s->mcast_ttl < 0 ? 1 : s->mcast_ttl);
    case NS_IPV6_MULTICAST_LOOP:
        return opt_put_int(val, len, s->f.mcast_loop);
    case NS_IPV6_MULTICAST_IF:
        return opt_put_int(val, len, (int)s->mcast_if);
    case NS_IPV6_MTU_DISCOVER:
        return opt_put_int(val, len, s->pmtudisc);
    case NS_IPV6_RECVERR:
        return opt_put_int(val, len, s->f.recverr6);
    case NS_IPV6_RECVPKTINFO:
        return opt_put_int(val, len, s->f.pktinfo);
    case NS_IPV6_RECVHOPLIMIT:
        return opt_put_int(val, len, s->f.recvttl);
    case NS_IPV6_RECVTCLASS:
        return opt_put_int(val, len, s->f.recvtos);
    case NS_IPV6_TCLASS:
        return opt_put_int(val, len, s->tos);
    case NS_IPV6_MTU:
        return get_mtu(s, val, len);
    default:
        return -ENOPROTOOPT;
    }
}

/* IPv6's rows that mean what an IPv4 option means. */
static int shared_ip_option(int name) {
    switch (name) {
    case 29: /* IPV6_MULTICAST_ALL */
        return NS_IP_MULTICAST_ALL;
    case 74: /* IPV6_RECVORIGDSTADDR */
        return NS_IP_RECVORIGDSTADDR;
    case 78: /* IPV6_FREEBIND */
        return NS_IP_FREEBIND;
    }
    return -1;
}

int sockopt_set(struct nsock *s, int level, int name, const void *val, size_t len) {
    if (level == NS_SOL_SOCKET)
        return set_socket(s, name, val, len);
    if (level == NS_SOL_IP && s->family != NS_AF_PACKET)
        return set_ip(s, name, val, len);
    int rc = -ENOPROTOOPT;
    if (level == NS_SOL_IPV6 && s->family == NS_AF_INET6) {
        int shared = shared_ip_option(name), v;
        rc = set_ip6(s, name, val, len);
        if (rc == -ENOPROTOOPT && shared >= 0)
            return opt_get_int(val, len, &v) < 0 ? -EINVAL : set_ip_int(s, shared, v);
    }
    if (rc == -ENOPROTOOPT && s->ops->setopt)
        rc = s->ops->setopt(s, level, name, val, len);
    return rc == -ENOPROTOOPT && s->family != NS_AF_PACKET ? kept_set(s, level, name, val, len) : rc;
}

int sockopt_get(struct nsock *s, int level, int name, void *val, size_t *len) {
    int rc = -ENOPROTOOPT;
    if (level == NS_SOL_SOCKET) {
        rc = get_socket(s, name, val, len);
        if (rc == -ENOPROTOOPT && name == NS_SO_MAX_PACING_RATE && s->ops->getopt)
            rc = s->ops->getopt(s, level, name, val, len);
    } else if (level == NS_SOL_IP && s->family != NS_AF_PACKET) {
        rc = get_ip(s, name, val, len);
    } else if (level == NS_SOL_IPV6 && s->family == NS_AF_INET6) {
        int shared = shared_ip_option(name);
        rc = get_ip6(s, name, val, len);
        if (rc == -ENOPROTOOPT && shared >= 0)
            return get_ip(s, shared, val, len);
    }
    if (rc == -ENOPROTOOPT && s->ops->getopt && level != NS_SOL_SOCKET)
        rc = s->ops->getopt(s, level, name, val, len);
    if (rc == -ENOPROTOOPT)
        rc = kept_get(s, level, name, val, len);
    /* Linux: an IPv4 socket's answer for a level that is not its own */
    bool own = level == NS_SOL_SOCKET || level == NS_SOL_IP || level == s->protocol ||
               (level == NS_SOL_RAW && s->type == NS_SOCK_RAW);
    return rc == -ENOPROTOOPT && !own && s->family == NS_AF_INET ? -EOPNOTSUPP : rc;
}
