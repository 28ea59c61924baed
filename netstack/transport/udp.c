/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/udp.c: UDP sockets for both families, with cork and segmentation offload.
 *
 * Checksums are always sent. UDP-Lite does not exist here (as Linux built without it). GRO towards the socket
 * is not done. Sources: RFC 768, RFC 1122 section 4.1, RFC 8085, RFC 8200 section 8.1, udp(7).
 */
#include <errno.h>

#include "netstack/stack/nsock.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"
#include "netstack/wire/wire_tcp.h"

enum { UDP_MAX_PAYLOAD = 65507, UDP_MAX_SEGMENTS = 64 };

struct udp_sock {
    struct nsock base; /* first */
    struct pkt *corked;
    struct ipa cork_dst, cork_src;
    uint16_t cork_dport;
    uint32_t cork_oif;
    bool cork_on;
    uint16_t gso_size;
};

NETSTACK_TYPE(t_udp, struct udp_sock);

static struct udp_sock *udp_of(struct nsock *s) {
    return container_of(s, struct udp_sock, base);
}

static uint32_t port_key(uint16_t port) {
    return (uint32_t)port * 2654435761u;
}

/* ---- names ---- */

static int take_port(struct nsock *s, uint16_t port) {
    s->bind.addr = s->laddr;
    s->bind.ifindex = s->bound_if;
    int rc = port_bind(s->ns, PORTS_UDP, &s->bind, port, &s->lport);
    if (rc < 0)
        return port ? rc : -EAGAIN; /* as Linux when the range is used up */
    htab_insert(&s->ns->st->mem, &s->ns->udp_socks, &s->hnode, port_key(s->lport));
    return 0;
}

static void drop_port(struct nsock *s) {
    htab_remove(&s->ns->udp_socks, &s->hnode);
    port_release(s->ns, PORTS_UDP, &s->bind);
    s->lport = 0;
}

static int udp_bind(struct nsock *s, const struct ns_addr *a) {
    uint32_t ifindex;
    if (a->family == NS_AF_UNSPEC && s->family == NS_AF_INET && !ipa_is_any(&a->ip))
        return -EAFNOSUPPORT;
    int rc = a->family == NS_AF_UNSPEC && s->family == NS_AF_INET ? 0 : nsock_check_addr(s, a);
    if (rc < 0)
        return rc;
    if (s->lport)
        return -EINVAL;
    rc = nsock_check_bind(s, a, &ifindex);
    if (rc < 0)
        return rc;
    uint32_t old_if = s->bound_if;
    s->laddr = a->ip;
    s->bound_if = ifindex;
    rc = take_port(s, a->port);
    if (rc < 0) {
        s->laddr = s->family == NS_AF_INET ? IPA_ANY4 : IPA_ANY6;
        s->bound_if = old_if;
        return rc == -EAGAIN ? -EADDRINUSE : rc;
    }
    s->bound_addr = !ipa_is_any(&a->ip) || (s->family == NS_AF_INET6 && ipa_is_v4(&a->ip));
    return 0;
}

static void udp_disconnect(struct nsock *s) {
    s->connected = false;
    s->raddr = s->family == NS_AF_INET ? IPA_ANY4 : IPA_ANY6;
    s->rport = 0;
    s->rt_valid = false;
    if (!s->bound_addr)
        s->laddr = s->raddr;
}

/* connect() to ANY means this host: ip(7), observed. */
static struct ipa real_dst(const struct nsock *s, const struct ipa *ip) {
    if (!ipa_is_any(ip))
        return *ip;
    if (ipa_is_v4(ip))
        return IPA_V4(127, 0, 0, 1);
    struct ipa lo6 = IPA_ANY6;
    lo6.b[15] = 1;
    return s->family == NS_AF_INET6 && ipa_is_v4(&s->laddr) ? IPA_V4(127, 0, 0, 1) : lo6;
}

static int udp_connect(struct nsock *s, const struct ns_addr *a) {
    struct rt rt;
    if (a->family == NS_AF_UNSPEC) {
        udp_disconnect(s);
        return 0;
    }
    int rc = nsock_check_addr(s, a);
    if (rc < 0)
        return rc;
    struct ipa dst = real_dst(s, &a->ip);
    if (ipa_is_v4(&dst) && !ipa_is_v4(&s->laddr) && !ipa_is_any(&s->laddr))
        return -EAFNOSUPPORT;
    if (!ipa_is_v4(&dst) && ipa_is_linklocal(&dst) && !a->scope_id && !s->bound_if)
        return -EINVAL;
    rc = nsock_route(s, &dst, &s->laddr, a->scope_id, &rt);
    if (rc < 0)
        return rc;
    if (rt.type == NS_RTN_BROADCAST && !s->f.broadcast)
        return -EACCES;
    if (!s->lport) {
        rc = take_port(s, 0);
        if (rc < 0)
            return rc;
    }
    s->raddr = dst;
    s->rport = a->port;
    s->scope_id = a->scope_id;
    s->connected = true;
    if (ipa_is_any(&s->laddr) || !s->bound_addr)
        s->laddr = rt.src;
    s->rt_valid = false;
    return 0;
}

/* ---- sending ---- */

struct udp_dest {
    struct ipa dst, src;
    uint16_t dport;
    uint32_t oif;
    int ttl, tos; /* -1: the socket's */
    uint16_t gso_size;
};

static int resolve_dest(struct nsock *s, const struct ns_msg *m, struct udp_dest *d) {
    *d = (struct udp_dest){.src = s->laddr, .ttl = -1, .tos = -1, .gso_size = udp_of(s)->gso_size};
    if (m->has_name && m->name.family != NS_AF_UNSPEC) {
        int rc = nsock_check_addr(s, &m->name);
        if (rc < 0)
            return rc;
        if (m->name.port == 0)
            return -EINVAL;
        d->dst = real_dst(s, &m->name.ip);
        d->dport = m->name.port;
        d->oif = m->name.scope_id;
        if (!s->bound_addr)
            d->src = s->family == NS_AF_INET ? IPA_ANY4 : IPA_ANY6;
    } else {
        if (!s->connected)
            return -EDESTADDRREQ;
        d->dst = s->raddr;
        d->dport = s->rport;
        d->oif = s->scope_id;
    }
    const struct ns_cmsg *c = &m->cmsg;
    if (c->have & NS_CMSG_PKTINFO) {
        if (c->ifindex)
            d->oif = c->ifindex;
        if (!ipa_is_any(&c->local))
            d->src = c->local;
    }
    if (c->have & NS_CMSG_TTL)
        d->ttl = c->ttl;
    if (c->have & NS_CMSG_TOS)
        d->tos = c->tos;
    if (c->have & NS_CMSG_GSO)
        d->gso_size = c->gso_size;
    if (d->dport == 0)
        return -EINVAL;
    return 0;
}

static int route_dest(struct nsock *s, struct udp_dest *d, struct rt *rt) {
    bool own =
        s->connected && ipa_eq(&d->dst, &s->raddr) && ipa_eq(&d->src, &s->laddr) && d->oif == s->scope_id;
    if (own && s->rt_valid && s->rt_gen == s->ns->route_gen) {
        *rt = s->rt;
        return 0;
    }
    int rc = nsock_route(s, &d->dst, &d->src, d->oif, rt);
    if (rc == 0 && own) {
        s->rt = *rt;
        s->rt_gen = s->ns->route_gen;
        s->rt_valid = true;
    }
    return rc;
}

/* Header and checksum in front of the payload, then out. Takes p. */
static int transmit(struct nsock *s, struct pkt *p, struct udp_dest *d, const struct rt *rt) {
    uint32_t payload = p->len;
    struct ip_tx tx = {.rt = *rt, .src = rt->src, .dst = d->dst, .proto = IPPROTO_NUM_UDP};
    nsock_fill_tx(s, &tx);
    if (d->ttl >= 0)
        tx.ttl = (uint8_t)d->ttl;
    if (d->tos >= 0)
        tx.tos = (uint8_t)d->tos;
    uint32_t hdrs = UDP_HLEN + (ipa_is_v4(&d->dst) ? IPV4_MIN_HLEN : IPV6_HLEN);
    if (d->gso_size && payload > d->gso_size) {
        if (d->gso_size + hdrs > tx.rt.mtu || payload > (uint32_t)d->gso_size * UDP_MAX_SEGMENTS) {
            pkt_free(p);
            return -EINVAL;
        }
        p->gso = GSO_UDP;
        p->gso_size = d->gso_size;
    }
    uint8_t *h = pkt_push(p, UDP_HLEN);
    if (!h) {
        pkt_free(p);
        return -ENOMEM;
    }
    udp_hdr_put(h, &(struct udp_hdr){s->lport, d->dport, (uint16_t)p->len, 0});
    csum_store(h + 6, csum_reduce(csum_pseudo(&tx.src, &tx.dst, IPPROTO_NUM_UDP, p->len)));
    p->csum = CSUM_PARTIAL;
    p->csum_start = 0;
    p->csum_offset = 6;
    p->mark = s->mark;
    s->ns->mib.udp_out++;
    int rc = ip_output(s->ns, p, &tx);
    if (rc == -EMSGSIZE && (s->f.recverr || s->f.recverr6))
        errq_add_local(s, EMSGSIZE, tx.rt.mtu, &d->dst, d->dport);
    if (rc == -ENOBUFS && !s->f.recverr) {
        s->ns->mib.udp_sndbuf_errors++;
        rc = 0; /* a full queue loses datagrams silently: send(2), ENOBUFS */
    }
    return rc;
}

static int push_corked(struct nsock *s) {
    struct udp_sock *u = udp_of(s);
    struct udp_dest d = {.dst = u->cork_dst,
                         .src = u->cork_src,
                         .dport = u->cork_dport,
                         .oif = u->cork_oif,
                         .ttl = -1,
                         .tos = -1,
                         .gso_size = u->gso_size};
    struct rt rt;
    struct pkt *p = TAKE(u->corked);
    int rc = route_dest(s, &d, &rt);
    if (rc < 0) {
        pkt_free(p);
        return rc;
    }
    return transmit(s, p, &d, &rt);
}

static int send_checks(struct nsock *s, struct udp_dest *d, struct rt *rt) {
    int rc = route_dest(s, d, rt);
    if (rc < 0)
        return rc;
    if (rt->type == NS_RTN_BROADCAST && !s->f.broadcast)
        return -EACCES;
    if (!s->lport)
        return take_port(s, 0);
    return 0;
}

static ssize_t udp_send(struct nsock *s, struct ns_msg *m) {
    struct udp_sock *u = udp_of(s);
    size_t len = ns_iov_len(m);
    bool more = u->cork_on || m->flags & NS_MSG_MORE;
    struct udp_dest d;
    struct rt rt;
    if (m->flags & NS_MSG_OOB)
        return -EOPNOTSUPP;
    if (len > 0xffff)
        return -EMSGSIZE;
    if (s->err)
        return nsock_take_error(s);
    if (s->shut & 2)
        return -EPIPE;
    if (!u->corked) {
        int rc = resolve_dest(s, m, &d);
        if (rc == 0)
            rc = send_checks(s, &d, &rt);
        if (rc < 0)
            return rc;
    }
    uint32_t have = u->corked ? u->corked->len : 0;
    uint32_t max = ipa_is_v4(u->corked ? &u->cork_dst : &d.dst) ? UDP_MAX_PAYLOAD : 65527;
    if (have + len > max)
        return -EMSGSIZE;
    struct pkt *p = u->corked;
    if (!p)
        p = pkt_new(&s->ns->st->mem, PKT_HEADROOM, (uint32_t)MIN(len, (size_t)PKT_BLOCK_MAX));
    if (!p)
        return -ENOBUFS;
    if (ns_iov_to_pkt(m, 0, (uint32_t)len, p) < 0) {
        u->corked = NULL;
        pkt_free(p);
        return -ENOBUFS;
    }
    int rc = 0;
    if (u->corked) {
        rc = more ? 0 : push_corked(s);
    } else if (more) {
        u->corked = p;
        u->cork_dst = d.dst;
        u->cork_src = d.src;
        u->cork_dport = d.dport;
        u->cork_oif = d.oif;
    } else {
        rc = transmit(s, p, &d, &rt);
    }
    return rc < 0 ? rc : (ssize_t)len;
}

/* ---- receiving ---- */

static uint32_t flow_hash(const struct nic *nic, const struct pkt *p) {
    struct {
        struct ipa s, d;
        uint16_t sp, dp;
    } key = {p->src, p->dst, p->sport, p->dport};
    return stack_hash(nic->st, &key, sizeof(key));
}

/* Among the best matches of a reuseport group the flow's hash decides (each flow keeps its socket). */
static struct nsock *lookup(struct nic *nic, const struct pkt *p) {
    struct netns *ns = nic->ns;
    uint32_t h = port_key(p->dport), group = 0, hash = 0;
    struct nsock *best = NULL;
    int best_score = -1;
    for (struct hnode *n = htab_first(&ns->udp_socks, h); n; n = htab_next(n, h)) {
        struct nsock *s = container_of(n, struct nsock, hnode);
        if (s->lport != p->dport)
            continue;
        int score = nsock_match(s, &p->dst, &p->src, p->sport, nic->ifindex);
        if (score < 0 || score < best_score)
            continue;
        if (score > best_score) {
            best = s;
            best_score = score;
            group = 1;
            if (s->f.reuseport)
                hash = flow_hash(nic, p);
        } else if (s->f.reuseport && best->f.reuseport) {
            group++;
            if ((uint32_t)(((uint64_t)hash * group) >> 32) == group - 1)
                best = s;
            hash = hash * 1664525u + 1013904223u;
        }
    }
    return best;
}

static void deliver(struct nsock *s, struct pkt *p) {
    if (nsock_queue(s, p))
        s->ns->mib.udp_in++;
    else
        s->ns->mib.udp_rcvbuf_errors++;
}

/* Every socket that wants the group or broadcast gets a copy (RFC 1122 section 4.1.3.3 and socket(7)). */
static bool deliver_group(struct nic *nic, struct pkt *p) {
    struct netns *ns = nic->ns;
    uint32_t h = port_key(p->dport);
    bool any = false;
    for (struct hnode *n = htab_first(&ns->udp_socks, h); n; n = htab_next(n, h)) {
        struct nsock *s = container_of(n, struct nsock, hnode);
        if (s->lport != p->dport || nsock_match(s, &p->dst, &p->src, p->sport, nic->ifindex) < 0)
            continue;
        if (ipa_is_mcast(&p->dst) && !mcast_wanted(s, &p->dst, nic->ifindex))
            continue;
        if (nsock_filter(s, p, p->trans_off) == 0) /* what a filter would cut off stays: rare for groups */
            continue;
        struct pkt *c = pkt_clone(p);
        if (c)
            deliver(s, c);
        any = true;
    }
    return any;
}

/* RFC 768, RFC 8200 section 8.1: zero means no checksum, for IPv4 alone. */
static bool csum_good(const struct pkt *p, const struct udp_hdr *u, uint32_t len) {
    if (u->csum == 0)
        return ipa_is_v4(&p->src);
    if (p->csum != CSUM_NONE)
        return true;
    return csum_fold(pkt_csum(p, p->trans_off, len, csum_pseudo(&p->src, &p->dst, IPPROTO_NUM_UDP, len))) ==
           0;
}

/* A super-segment from a local sender is cut back into its datagrams. Takes p, headers gone. */
static void deliver_gso(struct nsock *s, struct pkt *p) {
    for (uint32_t off = 0; off < p->len; off += p->gso_size) {
        struct pkt *c = pkt_new(p->mem, 0, 1);
        if (!c)
            break;
        c->src = p->src;
        c->dst = p->dst;
        c->sport = p->sport;
        c->dport = p->dport;
        c->ttl = p->ttl;
        c->tos = p->tos;
        c->ifindex = p->ifindex;
        c->realtime_ns = p->realtime_ns;
        if (pkt_append_range(c, p, off, MIN((uint32_t)p->gso_size, p->len - off)) < 0) {
            pkt_free(c);
            break;
        }
        deliver(s, c);
    }
    pkt_free(p);
}

static bool udp_parse(struct nic *nic, struct pkt *p) {
    struct udp_hdr u;
    uint32_t len = p->len - p->trans_off;
    const uint8_t *h = pkt_header(p, p->trans_off + UDP_HLEN);
    if (!h)
        return false;
    udp_hdr_get(h + p->trans_off, &u);
    if (u.len < UDP_HLEN || u.len > len)
        return false;
    len = u.len;
    pkt_trim_to(p, p->trans_off + len);
    if (!csum_good(p, &u, len)) {
        nic->ns->mib.udp_csum_errors++;
        return false;
    }
    p->sport = u.sport;
    p->dport = u.dport;
    return true;
}

/* A filter sees the UDP header first, and may shorten the text. */
static bool filter_passes(struct nsock *s, struct pkt *p) {
    uint32_t keep = nsock_filter(s, p, p->trans_off);
    if (keep == 0)
        return false;
    pkt_trim_to(p, MIN(p->len, p->trans_off + MAX(MIN(keep, p->len), (uint32_t)UDP_HLEN)));
    return true;
}

void udp_input(struct nic *nic, struct pkt *p) {
    if (!udp_parse(nic, p)) {
        nic->ns->mib.udp_in_errors++;
        pkt_free(p);
        return;
    }
    bool group = ipa_is_mcast(&p->dst) || ipa_is_bcast4(&p->dst) || ifaddr_is_subnet_bcast(nic, &p->dst);
    struct nsock *s = group ? NULL : lookup(nic, p);
    if (!group && !s) {
        nic->ns->mib.udp_no_ports++;
        icmp_port_unreachable(nic, p);
        pkt_free(p);
        return;
    }
    if (s && s->filter && !filter_passes(s, p)) {
        pkt_free(p);
        return;
    }
    pkt_trim_front(p, p->trans_off + UDP_HLEN);
    p->net_off = p->trans_off = 0;
    if (group) {
        if (!deliver_group(nic, p))
            nic->ns->mib.udp_no_ports++;
        pkt_free(p);
    } else if (p->gso == GSO_UDP) {
        deliver_gso(s, p);
    } else {
        deliver(s, p);
    }
}

/* ip(7): connected sockets hear of hard errors, IP_RECVERR ones of all. */
void udp_icmp_error(struct netns *ns, const struct icmp_err *e) {
    if (e->quoted_len < UDP_HLEN)
        return;
    uint16_t sport = get_be16(e->quoted), dport = get_be16(e->quoted + 2);
    uint32_t h = port_key(sport);
    for (struct hnode *n = htab_first(&ns->udp_socks, h); n; n = htab_next(n, h)) {
        struct nsock *s = container_of(n, struct nsock, hnode);
        bool peer = s->connected && ipa_eq(&s->raddr, &e->dst) && s->rport == dport;
        bool mine = s->lport == sport && (ipa_is_any(&s->laddr) || ipa_eq(&s->laddr, &e->src));
        if (!mine || (s->connected && !peer))
            continue;
        bool recverr = ipa_is_v4(&e->dst) ? s->f.recverr : s->f.recverr6;
        if (recverr)
            errq_add(s, e, UDP_HLEN, dport);
        if (e->mtu && s->pmtudisc == NS_PMTUDISC_DONT)
            return;
        if (recverr || (s->connected && e->fatal))
            nsock_set_error(s, e->err);
        return;
    }
}

/* ---- the rest ---- */

static int udp_shutdown(struct nsock *s, int how) {
    if (!s->connected)
        return -ENOTCONN;
    s->shut |= (uint8_t)how;
    nsock_wake(s, NS_POLLIN | NS_POLLOUT | NS_POLLRDHUP | (s->shut == 3 ? NS_POLLHUP : 0));
    return 0;
}

static void udp_close(struct nsock *s) {
    if (s->lport)
        drop_port(s);
}

static void udp_destroy(struct nsock *s) {
    pkt_free(TAKE(udp_of(s)->corked));
}

static int udp_setopt(struct nsock *s, int level, int name, const void *val, size_t len) {
    struct udp_sock *u = udp_of(s);
    int v;
    if (level == NS_SOL_SOCKET)
        return 0;
    if (level != NS_SOL_UDP)
        return -ENOPROTOOPT;
    int rc = opt_get_int(val, len, &v);
    if (rc < 0)
        return rc;
    switch (name) {
    case NS_UDP_CORK:
        u->cork_on = v != 0;
        return !v && u->corked ? push_corked(s) : 0;
    case NS_UDP_SEGMENT:
        if (v < 0 || v > 0xffff)
            return -EINVAL;
        u->gso_size = (uint16_t)v;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static int udp_getopt(struct nsock *s, int level, int name, void *val, size_t *len) {
    struct udp_sock *u = udp_of(s);
    if (level != NS_SOL_UDP)
        return -ENOPROTOOPT;
    switch (name) {
    case NS_UDP_CORK:
        return opt_put_int(val, len, u->cork_on);
    case NS_UDP_SEGMENT:
        return opt_put_int(val, len, u->gso_size);
    default:
        return -ENOPROTOOPT;
    }
}

/* SIOCINQ on UDP: the size of the next datagram. */
static int udp_inq(struct nsock *s) {
    return list_empty(&s->rxq) ? 0 : (int)list_first_entry(&s->rxq, struct pkt, link)->len;
}

static int udp_outq(struct nsock *s) {
    (void)s;
    return 0; /* datagrams are handed to the link at once */
}

static const struct nsock_ops udp_ops = {
    .bind = udp_bind,
    .connect = udp_connect,
    .send = udp_send,
    .recv = nsock_recv_dgram,
    .shutdown = udp_shutdown,
    .close = udp_close,
    .destroy = udp_destroy,
    .setopt = udp_setopt,
    .getopt = udp_getopt,
    .ready = nsock_ready_dgram,
    .inq = udp_inq,
    .outq = udp_outq,
    .type = &t_udp,
};

int udp_new(struct netns *ns, int family, struct nsock **ret) {
    struct udp_sock *u = nsmem_alloc(&ns->st->mem, &t_udp);
    if (!u)
        return -ENOMEM;
    nsock_init(&u->base, ns, &udp_ops, family, NS_SOCK_DGRAM, IPPROTO_NUM_UDP);
    *ret = &u->base;
    return 0;
}
