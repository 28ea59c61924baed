/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/raw.c: raw IP sockets. Each matching one gets a copy of every packet of its protocol,
 * the IPv4 header included (raw(7)), the IPv6 headers not (ipv6(7)). Privilege is the caller's to check.
 */
#include <errno.h>

#include "netstack/filter/nf_internal.h"
#include "netstack/stack/nsock.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"

struct raw_sock {
    struct nsock base;       /* first */
    uint32_t icmp_filter[8]; /* ICMP_FILTER (one word) or ICMP6_FILTER: bit set: blocked */
    int csum_at;             /* IPV6_CHECKSUM: offset, -1 none */
};

NETSTACK_TYPE(t_raw, struct raw_sock);

static struct raw_sock *raw_of(struct nsock *s) {
    return container_of(s, struct raw_sock, base);
}

static int raw_bind(struct nsock *s, const struct ns_addr *a) {
    uint32_t ifindex;
    int rc = nsock_check_addr(s, a);
    if (rc == 0)
        rc = nsock_check_bind(s, a, &ifindex);
    if (rc < 0)
        return rc;
    s->laddr = a->ip;
    s->bound_if = ifindex;
    s->bound_addr = !ipa_is_any(&a->ip);
    return 0;
}

static int raw_connect(struct nsock *s, const struct ns_addr *a) {
    struct rt rt;
    if (a->family == NS_AF_UNSPEC) {
        s->connected = false;
        s->raddr = s->family == NS_AF_INET ? IPA_ANY4 : IPA_ANY6;
        if (!s->bound_addr)
            s->laddr = s->raddr;
        return 0;
    }
    int rc = nsock_check_addr(s, a);
    if (rc == 0)
        rc = nsock_route(s, &a->ip, &s->laddr, a->scope_id, &rt);
    if (rc < 0)
        return rc;
    if (rt.type == NS_RTN_BROADCAST && !s->f.broadcast)
        return -EACCES;
    s->raddr = a->ip;
    s->scope_id = a->scope_id;
    s->connected = true;
    if (ipa_is_any(&s->laddr))
        s->laddr = rt.src;
    return 0;
}

static bool filtered(struct raw_sock *r, struct pkt *p) {
    bool v4 = r->base.family == NS_AF_INET;
    if (r->base.protocol != (v4 ? IPPROTO_NUM_ICMP : IPPROTO_NUM_ICMPV6))
        return false;
    const uint8_t *h = pkt_header(p, p->trans_off + 1u);
    if (!h)
        return true;
    uint8_t type = h[p->trans_off];
    if (v4)
        return type < 32 && r->icmp_filter[0] >> type & 1;
    return r->icmp_filter[type / 32] >> (type % 32) & 1;
}

bool raw_input(struct nic *nic, struct pkt *p) {
    bool v4 = ipa_is_v4(&p->dst), any = false;
    struct nsock *s;
    list_for_each_entry(s, &nic->ns->raw_socks, link) {
        if ((s->family == NS_AF_INET) != v4 || s->protocol != p->proto)
            continue;
        if (nsock_match(s, &p->dst, &p->src, 0, nic->ifindex) < 0)
            continue;
        any = true;
        if (filtered(raw_of(s), p) || (ipa_is_mcast(&p->dst) && !mcast_wanted(s, &p->dst, nic->ifindex)))
            continue;
        struct pkt *c = pkt_clone(p);
        if (!c)
            continue;
        if (pkt_csum_complete(c) < 0) {
            pkt_free(c);
            continue;
        }
        pkt_trim_front(c, v4 ? c->net_off : c->trans_off);
        c->sport = c->dport = 0;
        uint32_t keep = nsock_filter(s, c, 0);
        if (keep == 0) {
            pkt_free(c);
            continue;
        }
        pkt_trim_to(c, MIN(c->len, keep));
        (void)nsock_queue(s, c); /* full: dropped and counted */
    }
    return any;
}

void raw_icmp_error(struct netns *ns, const struct icmp_err *e) {
    struct nsock *s;
    list_for_each_entry(s, &ns->raw_socks, link) {
        if ((s->family == NS_AF_INET) != ipa_is_v4(&e->dst) || s->protocol != e->proto)
            continue;
        if (s->connected && !ipa_eq(&s->raddr, &e->dst))
            continue;
        bool recverr = ipa_is_v4(&e->dst) ? s->f.recverr : s->f.recverr6;
        if (recverr)
            errq_add(s, e, 0, 0);
        if (recverr || (s->connected && e->fatal))
            nsock_set_error(s, e->err);
    }
}

/* IP_HDRINCL, raw(7): checksum and total length are always filled in, id and source when zero. Takes p. */
static int send_hdrincl(struct nsock *s, struct pkt *p, const struct rt *rt) {
    uint8_t *h = pkt_writable(p, IPV4_MIN_HLEN);
    uint32_t hlen = h ? (uint32_t)(h[0] & 0xf) * 4 : 0;
    if (!h || hlen < IPV4_MIN_HLEN || hlen > p->len || p->len > rt->mtu) {
        int rc = p->len > rt->mtu ? -EMSGSIZE : -EINVAL;
        pkt_free(p);
        return rc;
    }
    h = pkt_writable(p, hlen);
    if (!h) {
        pkt_free(p);
        return -ENOMEM;
    }
    put_be16(h + 2, (uint16_t)p->len);
    if (get_be16(h + 4) == 0)
        put_be16(h + 4, s->ns->ip_id++);
    if (get_be32(h + 12) == 0)
        memcpy(h + 12, rt->src.b + 12, 4);
    ipv4_set_csum(h);
    p->trans_off = (uint16_t)hlen;
    struct rt now = *rt;
    p->net_off = 0;
    if (unlikely(s->ns->nf) && nf_output(s->ns, p, s, &now) < 0) {
        pkt_free(p);
        return -EPERM;
    }
    return ip_send_built(s->ns, p, &now);
}

static int fill_csum6(struct raw_sock *r, struct pkt *p, const struct ip_tx *tx) {
    if (r->csum_at < 0)
        return 0;
    uint32_t at = (uint32_t)r->csum_at;
    uint8_t *h = p->len >= at + 2 ? pkt_writable(p, at + 2) : NULL;
    if (!h)
        return -EINVAL;
    h[at] = h[at + 1] = 0;
    csum_store(h + at, csum_fold(pkt_csum(p, 0, p->len, csum_pseudo(&tx->src, &tx->dst, tx->proto, p->len))));
    return 0;
}

static ssize_t raw_send(struct nsock *s, struct ns_msg *m) {
    size_t len = ns_iov_len(m);
    struct ipa dst = s->raddr, src = s->laddr;
    uint32_t oif = s->scope_id;
    struct rt rt;
    if (len > 0xffff)
        return -EMSGSIZE;
    if (m->flags & NS_MSG_OOB)
        return -EOPNOTSUPP;
    if (s->err)
        return nsock_take_error(s);
    if (m->has_name) {
        int rc = nsock_check_addr(s, &m->name);
        if (rc < 0)
            return rc;
        dst = m->name.ip;
        oif = m->name.scope_id;
    } else if (!s->connected) {
        return -EDESTADDRREQ;
    }
    if (m->cmsg.have & NS_CMSG_PKTINFO) {
        oif = m->cmsg.ifindex ? m->cmsg.ifindex : oif;
        src = ipa_is_any(&m->cmsg.local) ? src : m->cmsg.local;
    }
    int rc = nsock_route(s, &dst, &src, oif, &rt);
    if (rc < 0)
        return rc;
    if (rt.type == NS_RTN_BROADCAST && !s->f.broadcast)
        return -EACCES;
    struct pkt *p = pkt_new(&s->ns->st->mem, PKT_HEADROOM, (uint32_t)MIN(len, (size_t)PKT_BLOCK_MAX));
    if (!p || ns_iov_to_pkt(m, 0, (uint32_t)len, p) < 0) {
        pkt_free(p);
        return -ENOBUFS;
    }
    p->mark = s->mark;
    if (s->f.hdrincl) {
        rc = send_hdrincl(s, p, &rt);
        return rc < 0 ? rc : (ssize_t)len;
    }
    struct ip_tx tx = {.rt = rt, .src = rt.src, .dst = dst, .proto = s->protocol};
    nsock_fill_tx(s, &tx);
    if (m->cmsg.have & NS_CMSG_TTL)
        tx.ttl = (uint8_t)m->cmsg.ttl;
    if (m->cmsg.have & NS_CMSG_TOS)
        tx.tos = (uint8_t)m->cmsg.tos;
    rc = fill_csum6(raw_of(s), p, &tx);
    if (rc < 0) {
        pkt_free(p);
        return rc;
    }
    rc = ip_output(s->ns, p, &tx);
    return rc < 0 ? rc : (ssize_t)len;
}

static int raw_shutdown(struct nsock *s, int how) {
    if (!s->connected)
        return -ENOTCONN;
    s->shut |= (uint8_t)how;
    return 0;
}

static void raw_close(struct nsock *s) {
    list_del(&s->link);
}

static void raw_destroy(struct nsock *s) {
    (void)s;
}

static int raw_setopt(struct nsock *s, int level, int name, const void *val, size_t len) {
    struct raw_sock *r = raw_of(s);
    int v;
    if (level == NS_SOL_SOCKET)
        return 0;
    if (level == NS_SOL_RAW && name == NS_ICMP_FILTER && s->protocol == IPPROTO_NUM_ICMP) {
        memcpy(r->icmp_filter, val, MIN(len, sizeof(r->icmp_filter[0])));
        return 0;
    }
    if (level == IPPROTO_NUM_ICMPV6 && name == NS_ICMP6_FILTER && s->protocol == IPPROTO_NUM_ICMPV6) {
        memcpy(r->icmp_filter, val, MIN(len, sizeof(r->icmp_filter)));
        return 0;
    }
    if (name != NS_IPV6_CHECKSUM || s->family != NS_AF_INET6 || (level != NS_SOL_RAW && level != NS_SOL_IPV6))
        return -ENOPROTOOPT;
    int rc = opt_get_int(val, len, &v);
    if (rc < 0)
        return rc;
    if ((v > 0 && v & 1) ||
        (s->protocol == IPPROTO_NUM_ICMPV6 && level == NS_SOL_IPV6)) /* RFC 3542 section 3.1 */
        return -EINVAL;
    r->csum_at = v < 0 ? -1 : v;
    return 0;
}

static int raw_getopt(struct nsock *s, int level, int name, void *val, size_t *len) {
    struct raw_sock *r = raw_of(s);
    if (level == NS_SOL_RAW && name == NS_ICMP_FILTER && s->protocol == IPPROTO_NUM_ICMP)
        return opt_put(val, len, r->icmp_filter, sizeof(r->icmp_filter[0]));
    if (name == NS_IPV6_CHECKSUM && s->family == NS_AF_INET6 && (level == NS_SOL_RAW || level == NS_SOL_IPV6))
        return opt_put_int(val, len, r->csum_at);
    if (level == IPPROTO_NUM_ICMPV6 && name == NS_ICMP6_FILTER && s->protocol == IPPROTO_NUM_ICMPV6)
        return opt_put(val, len, r->icmp_filter, sizeof(r->icmp_filter));
    return -ENOPROTOOPT;
}

static const struct nsock_ops raw_ops = {
    .bind = raw_bind,
    .connect = raw_connect,
    .send = raw_send,
    .recv = nsock_recv_dgram,
    .shutdown = raw_shutdown,
    .close = raw_close,
    .destroy = raw_destroy,
    .setopt = raw_setopt,
    .getopt = raw_getopt,
    .ready = nsock_ready_dgram,
    .type = &t_raw,
};

int raw_new(struct netns *ns, int family, int protocol, struct nsock **ret) {
    if (protocol == 0)
        return -EPROTONOSUPPORT;
    struct raw_sock *r = nsmem_alloc(&ns->st->mem, &t_raw);
    if (!r)
        return -ENOMEM;
    nsock_init(&r->base, ns, &raw_ops, family, NS_SOCK_RAW, protocol);
    r->csum_at = family == NS_AF_INET6 && protocol == IPPROTO_NUM_ICMPV6 ? 2 : -1;
    r->base.f.hdrincl = protocol == IPPROTO_NUM_RAW;
    list_add_tail(&ns->raw_socks, &r->base.link);
    *ret = &r->base;
    return 0;
}
