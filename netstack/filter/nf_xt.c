/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf_xt.c: iptables' extensions: the table of them, their checks, and the matches.
 * `info` of an expression is the private data as the program gave it; its length was checked.
 * Source: iptables-extensions(8).
 */
#include "netstack/filter/nf_xt.h"

#include <errno.h>

#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_tcp.h"

/* ---- the fixed part of a rule ---- */

static bool masked_eq(const uint8_t *a, const uint8_t *want, const uint8_t *mask, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((a[i] & mask[i]) != want[i])
            return false;
    return true;
}

/* The mask covers the NUL when the name is whole ("eth0"), and not when it is a prefix ("eth+"). */
static bool name_eq(const struct nic *nic, const char *want, const uint8_t *mask) {
    static const char none[XT_IFNAME];
    const char *name = nic ? nic->name : none;
    for (int i = 0; i < XT_IFNAME; i++)
        if (((uint8_t)name[i] ^ (uint8_t)want[i]) & mask[i])
            return false;
    return true;
}

static bool ip4_match(struct nf_ctx *c, const struct xt_ip4 *ip) {
    uint8_t inv = ip->invflags;
    if (masked_eq(c->p->src.b + 12, ip->src, ip->smsk, 4) == !!(inv & XT_INV_SRC) ||
        masked_eq(c->p->dst.b + 12, ip->dst, ip->dmsk, 4) == !!(inv & XT_INV_DST))
        return false;
    if (name_eq(c->in, ip->in, ip->in_mask) == !!(inv & XT_INV_IN) ||
        name_eq(c->out, ip->out, ip->out_mask) == !!(inv & XT_INV_OUT))
        return false;
    if (ip->proto && (c->proto == ip->proto) == !!(inv & XT_INV_PROTO))
        return false;
    return !(ip->flags & XT4_FRAG) || c->later_fragment != !!(inv & XT_INV_FRAG);
}

static bool ip6_match(struct nf_ctx *c, const struct xt_ip6 *ip) {
    uint8_t inv = ip->invflags;
    if (masked_eq(c->p->src.b, ip->src, ip->smsk, 16) == !!(inv & XT_INV_SRC) ||
        masked_eq(c->p->dst.b, ip->dst, ip->dmsk, 16) == !!(inv & XT_INV_DST))
        return false;
    if (name_eq(c->in, ip->in, ip->in_mask) == !!(inv & XT_INV_IN) ||
        name_eq(c->out, ip->out, ip->out_mask) == !!(inv & XT_INV_OUT))
        return false;
    return !(ip->flags & XT6_PROTO) || !ip->proto || (c->proto == ip->proto) != !!(inv & XT_INV_PROTO);
}

bool nf_xt_ip_match(struct nf_ctx *c, const struct nf_expr *e) {
    if (c->family == NS_AF_INET)
        return e->ext_len == sizeof(struct xt_ip4) && ip4_match(c, (const struct xt_ip4 *)e->ext);
    return e->ext_len == sizeof(struct xt_ip6) && ip6_match(c, (const struct xt_ip6 *)e->ext);
}

/* ---- matches. `*drop`: the packet is not what the rule thinks it is ---- */

static bool in_ports(const uint16_t range[2], uint16_t port, bool invert) {
    return (port >= range[0] && port <= range[1]) != invert;
}

static bool has_option(struct nf_ctx *c, uint8_t option) {
    const uint8_t *h = nf_transport(c, 0, TCP_MIN_HLEN);
    uint32_t len = h ? (uint32_t)(h[12] >> 4) * 4 : 0;
    h = len >= TCP_MIN_HLEN ? nf_transport(c, 0, len) : NULL;
    for (uint32_t at = TCP_MIN_HLEN; h && at < len;) {
        if (h[at] == option)
            return true;
        at += h[at] < 2 ? 1 : at + 1 < len && h[at + 1] >= 2 ? h[at + 1] : len;
    }
    return false;
}

static bool match_tcp(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    const struct xt_tcp *m = (const struct xt_tcp *)e->ext;
    const uint8_t *h = nf_transport(c, 0, TCP_MIN_HLEN);
    if (c->later_fragment || c->proto != IPPROTO_NUM_TCP)
        return false;
    if (!h) {
        *drop = true;
        return false;
    }
    if (!in_ports(m->sports, get_be16(h), m->inv & 1) || !in_ports(m->dports, get_be16(h + 2), m->inv & 2))
        return false;
    if (((h[13] & m->flag_mask) == m->flag_cmp) == !!(m->inv & 4))
        return false;
    return !m->option || has_option(c, m->option) != !!(m->inv & 8);
}

static bool match_udp(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    const struct xt_udp *m = (const struct xt_udp *)e->ext;
    const uint8_t *h = nf_transport(c, 0, UDP_HLEN);
    if (c->later_fragment || c->proto != IPPROTO_NUM_UDP)
        return false;
    if (!h) {
        *drop = true;
        return false;
    }
    return in_ports(m->sports, get_be16(h), m->inv & 1) && in_ports(m->dports, get_be16(h + 2), m->inv & 2);
}

static bool match_icmp(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    const struct xt_icmp *m = (const struct xt_icmp *)e->ext;
    const uint8_t *h = nf_transport(c, 0, 4);
    bool v4 = c->family == NS_AF_INET;
    if (c->later_fragment || c->proto != (v4 ? IPPROTO_NUM_ICMP : IPPROTO_NUM_ICMPV6))
        return false;
    if (!h) {
        *drop = true;
        return false;
    }
    bool any = v4 && m->type == 0xff;
    bool yes = any || (h[0] == m->type && h[1] >= m->code[0] && h[1] <= m->code[1]);
    return yes != !!(m->inv & 1);
}

static bool port_in(uint8_t flags, uint16_t sport, uint16_t dport, uint16_t from, uint16_t to) {
    bool s = sport >= from && sport <= to, d = dport >= from && dport <= to;
    return flags == 0 ? s : flags == 1 ? d : s || d;
}

static bool match_multiport(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    const struct xt_multiport1 *m = (const struct xt_multiport1 *)e->ext;
    bool rev1 = e->ext_len >= sizeof(*m), yes = false;
    const uint8_t *h = nf_transport(c, 0, 4);
    if (c->later_fragment)
        return false;
    if (!h) {
        *drop = true;
        return false;
    }
    uint16_t s = get_be16(h), d = get_be16(h + 2);
    for (uint32_t i = 0; i < MIN(m->count, 15u) && !yes; i++) {
        uint16_t from = m->ports[i], to = from;
        if (rev1 && m->pflags[i] && i + 1 < 15)
            to = m->ports[++i];
        yes = port_in(m->flags, s, d, from, to);
    }
    return yes != (rev1 && m->invert);
}

static bool match_state(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    (void)drop;
    return ct_state_bit(c->p) & ((const struct xt_state *)e->ext)->mask;
}

enum {
    CTM_STATE = 1,
    CTM_PROTO = 2,
    CTM_ADDR0 = 4, /* original source; destination, reply source, destination: the next bits */
    CTM_STATUS = 64,
    CTM_EXPIRES = 128,
    CTM_PORT0 = 256,
    CTM_DIRECTION = 4096,
    CTM_BIT_SNAT = 64,
    CTM_BIT_DNAT = 128,
    CTM_BIT_UNTRACKED = 256,
};

static bool ct_state_match(struct nf_ctx *c, uint32_t mask) {
    uint32_t have = ct_state_bit(c->p);
    struct nf_conn *ct = c->p->ct;
    if (have == CT_BIT_UNTRACKED)
        have = CTM_BIT_UNTRACKED;
    if (ct && ct->status & CT_S_SRC_NAT)
        have |= CTM_BIT_SNAT;
    if (ct && ct->status & CT_S_DST_NAT)
        have |= CTM_BIT_DNAT;
    return have & mask;
}

static bool ct_addr_match(const struct nf_conn *ct, const struct xt_conntrack3 *m, int i, int family) {
    const struct ct_tuple *t = &ct->end[i / 2].t;
    const struct ipa *a = i % 2 ? &t->dst : &t->src;
    bool v4 = family == NS_AF_INET;
    return masked_eq(v4 ? a->b + 12 : a->b, m->addr[i * 2], m->addr[i * 2 + 1], v4 ? 4 : 16);
}

static bool ct_port_match(const struct nf_conn *ct, const struct xt_conntrack3 *m, int i, bool ranges) {
    const struct ct_tuple *t = &ct->end[i / 2].t;
    uint16_t port = i % 2 ? t->dport : t->sport;
    return ranges ? port >= m->port[i] && port <= m->port_high[i] : port == get_be16(&m->port[i]);
}

static bool match_conntrack(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    struct xt_conntrack3 m = {0};
    struct nf_conn *ct = c->p->ct;
    (void)drop;
    memcpy(&m, e->ext, MIN((size_t)e->ext_len, sizeof(m)));
    if (nf_xt_revision(e->xt) == 1) {
        const struct xt_conntrack1 *one = (const struct xt_conntrack1 *)e->ext;
        m.state_mask = one->state_mask;
        m.status_mask = one->status_mask;
    }
    if (m.match_flags & CTM_STATE && ct_state_match(c, m.state_mask) == !!(m.invert_flags & CTM_STATE))
        return false;
    if (!ct)
        return m.match_flags & CTM_STATE;
    if (m.match_flags & CTM_DIRECTION && (ct_dir(c->p->ct_info) == 0) == !!(m.invert_flags & CTM_DIRECTION))
        return false;
    for (int i = 0; i < 4; i++) {
        uint32_t a = CTM_ADDR0 << i, p = CTM_PORT0 << i;
        if (m.match_flags & a && ct_addr_match(ct, &m, i, c->family) == !!(m.invert_flags & a))
            return false;
        bool ranges = nf_xt_revision(e->xt) >= 3;
        if (m.match_flags & p && ct_port_match(ct, &m, i, ranges) == !!(m.invert_flags & p))
            return false;
    }
    if (m.match_flags & CTM_PROTO && (ct->end[0].t.proto == m.l4proto) == !!(m.invert_flags & CTM_PROTO))
        return false;
    if (m.match_flags & CTM_STATUS && !(m.status_mask & ct->status) == !(m.invert_flags & CTM_STATUS))
        return false;
    int64_t left = (ct->deadline - c->ns->st->now) / SEC(1);
    return !(m.match_flags & CTM_EXPIRES) ||
           (left >= m.expires_min && left <= m.expires_max) != !!(m.invert_flags & CTM_EXPIRES);
}

static bool match_owner(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    const struct xt_owner *m = (const struct xt_owner *)e->ext;
    (void)drop;
    bool known = c->sk && c->sk->uid != UINT32_MAX;
    if (!known)
        return (m->match ^ m->invert) == 0;
    if (m->match & 4 && m->invert & 4) /* "no socket" */
        return false;
    if (m->match & 1 && (c->sk->uid >= m->uid[0] && c->sk->uid <= m->uid[1]) == !!(m->invert & 1))
        return false;
    return !(m->match & 2) || (c->sk->gid >= m->gid[0] && c->sk->gid <= m->gid[1]) != !!(m->invert & 2);
}

static bool match_comment(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    (void)c;
    (void)e;
    (void)drop;
    return true;
}

uint32_t nf_addr_types(struct nf_ctx *c, const struct ipa *a, struct nic *nic) {
    if (ipa_is_any(a))
        return 1u /* RTN_UNSPEC */ | 1u << NS_RTN_UNICAST;
    if (ipa_is_mcast(a))
        return 1u << NS_RTN_MULTICAST;
    if (ipa_is_bcast4(a))
        return 1u << NS_RTN_BROADCAST;
    struct ifaddr *ia = ifaddr_find(c->ns, a, nic);
    if (ia || (ipa_is_loopback(a) && !nic))
        return 1u << NS_RTN_LOCAL;
    struct nic *n;
    list_for_each_entry(n, &c->ns->nics, ns_link) {
        if ((!nic || n == nic) && ipa_is_v4(a) && ifaddr_is_subnet_bcast(n, a))
            return 1u << NS_RTN_BROADCAST;
    }
    struct flow f = {.dst = *a, .src = ipa_is_v4(a) ? IPA_ANY4 : IPA_ANY6, .oif = nic ? nic->ifindex : 0};
    struct rt rt;
    int rc = route_output(c->ns, &f, &rt);
    return rc == 0         ? 1u << rt.type
           : rc == -EINVAL ? 1u << NS_RTN_BLACKHOLE
           : rc == -EACCES ? 1u << NS_RTN_PROHIBIT
                           : 1u << NS_RTN_UNREACHABLE;
}

static bool match_addrtype(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    (void)drop;
    const struct xt_addrtype1 *m = (const struct xt_addrtype1 *)e->ext;
    bool inv_src = m->flags & 1, inv_dst = m->flags & 2;
    struct nic *nic = m->flags & 4 ? c->in : m->flags & 8 ? c->out : NULL;
    if (nf_xt_revision(e->xt) == 0) {
        const struct xt_addrtype0 *z = (const struct xt_addrtype0 *)e->ext;
        inv_src = z->invert_source;
        inv_dst = z->invert_dest;
        nic = NULL;
    }
    if (m->source && !!(nf_addr_types(c, &c->p->src, nic) & m->source) == inv_src)
        return false;
    return !m->dest || !!(nf_addr_types(c, &c->p->dst, nic) & m->dest) != inv_dst;
}

static bool match_mark(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    const struct xt_mark1 *m = (const struct xt_mark1 *)e->ext;
    (void)drop;
    return ((c->p->mark & m->mask) == m->mark) != m->invert;
}

static bool match_connmark(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    const struct xt_mark1 *m = (const struct xt_mark1 *)e->ext;
    (void)drop;
    return c->p->ct && ((c->p->ct->mark & m->mask) == m->mark) != m->invert;
}

/* `avg` is the time of one packet in 1/10000 s; as nft's limit from here on. */
static bool match_limit(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    const struct xt_limit *m = (const struct xt_limit *)e->ext;
    (void)drop;
    e->rate = 1;
    e->unit_ns = (uint64_t)m->avg * 100000;
    e->burst = m->burst;
    return nf_limit_ok(c, e);
}

static bool match_mac(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    const struct xt_mac *m = (const struct xt_mac *)e->ext;
    uint8_t h[ETHER_HLEN];
    (void)drop;
    if (!c->in || c->p->net_off < ETHER_HLEN ||
        pkt_copy_out(c->p, c->p->net_off - ETHER_HLEN, h, ETHER_HLEN) < ETHER_HLEN)
        return false;
    return (memcmp(h + 6, m->mac, 6) == 0) != (m->invert != 0);
}

static bool match_iprange(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    const struct xt_iprange1 *m = (const struct xt_iprange1 *)e->ext;
    bool v4 = c->family == NS_AF_INET;
    size_t n = v4 ? 4 : 16;
    const uint8_t *s = c->p->src.b + (v4 ? 12 : 0), *d = c->p->dst.b + (v4 ? 12 : 0);
    (void)drop;
    bool in_s = memcmp(s, m->src_min, n) >= 0 && memcmp(s, m->src_max, n) <= 0;
    bool in_d = memcmp(d, m->dst_min, n) >= 0 && memcmp(d, m->dst_max, n) <= 0;
    if (m->flags & 1 && in_s == !!(m->flags & 16))
        return false;
    return !(m->flags & 2) || in_d != !!(m->flags & 32);
}

static bool match_statistic(struct nf_ctx *c, struct nf_expr *e, bool *drop) {
    const struct xt_statistic *m = (const struct xt_statistic *)e->ext;
    bool yes;
    (void)drop;
    if (m->mode == 0) {
        yes = (stack_random32(c->ns->st) & 0x7fffffff) < m->every_or_probability;
    } else { /* every n-th, from `packet` on */
        uint64_t n = (uint64_t)m->every_or_probability + 1;
        yes = (e->count.packets++ + m->packet) % n == n - 1;
    }
    return yes != (m->flags & 1);
}

/* ---- checks ---- */

static int check_multiport(const struct nf_xt_use *use, const uint8_t *info) {
    const struct xt_multiport1 *m = (const struct xt_multiport1 *)info;
    bool ports = use->proto == IPPROTO_NUM_TCP || use->proto == IPPROTO_NUM_UDP || use->proto == 132 ||
                 use->proto == 136 || use->proto == 33;
    return ports && !use->proto_inverted && m->flags <= 2 && m->count <= 15 ? 0 : -EINVAL;
}

static int check_owner(const struct nf_xt_use *use, const uint8_t *info) {
    const struct xt_owner *m = (const struct xt_owner *)info;
    if (m->match & ~7)
        return -EINVAL;
    return use->hooks & ~(1u << NF_OUTPUT | 1u << NF_POSTROUTING) ? -EINVAL : 0;
}

static int check_limit(const struct nf_xt_use *use, const uint8_t *info) {
    const struct xt_limit *m = (const struct xt_limit *)info;
    (void)use;
    return m->burst == 0 || m->avg == 0 ? -ERANGE : 0;
}

static int check_statistic(const struct nf_xt_use *use, const uint8_t *info) {
    const struct xt_statistic *m = (const struct xt_statistic *)info;
    (void)use;
    return m->mode > 1 || m->flags & ~1 ? -EINVAL : 0;
}

static int check_addrtype(const struct nf_xt_use *use, const uint8_t *info) {
    const struct xt_addrtype1 *m = (const struct xt_addrtype1 *)info;
    (void)use;
    return (m->flags & 12) == 12 ? -EINVAL : 0;
}

#define M(n, r, fam, t, fn, ...)                                                                             \
    { .name = n, .revision = r, .family = fam, .size = sizeof(t), .match = fn, __VA_ARGS__ }
enum { BOTH = 0 };

static const struct nf_xt_ext matches[] = {
    M("tcp", 0, BOTH, struct xt_tcp, match_tcp, .proto = IPPROTO_NUM_TCP),
    M("udp", 0, BOTH, struct xt_udp, match_udp, .proto = IPPROTO_NUM_UDP),
    M("icmp", 0, NS_AF_INET, struct xt_icmp, match_icmp, .proto = IPPROTO_NUM_ICMP),
    M("icmp6", 0, NS_AF_INET6, struct xt_icmp, match_icmp, .proto = IPPROTO_NUM_ICMPV6),
    M("multiport", 0, BOTH, struct xt_multiport0, match_multiport, .check = check_multiport),
    M("multiport", 1, BOTH, struct xt_multiport1, match_multiport, .check = check_multiport),
    M("state", 0, BOTH, struct xt_state, match_state, .tracks = true),
    M("conntrack", 1, BOTH, struct xt_conntrack1, match_conntrack, .tracks = true),
    M("conntrack", 2, BOTH, struct xt_conntrack2, match_conntrack, .tracks = true),
    M("conntrack", 3, BOTH, struct xt_conntrack3, match_conntrack, .tracks = true),
    M("owner", 1, BOTH, struct xt_owner, match_owner, .check = check_owner),
    M("comment", 0, BOTH, struct xt_comment, match_comment),
    M("addrtype", 0, NS_AF_INET, struct xt_addrtype0, match_addrtype),
    M("addrtype", 1, BOTH, struct xt_addrtype1, match_addrtype, .check = check_addrtype),
    M("mark", 1, BOTH, struct xt_mark1, match_mark),
    M("connmark", 1, BOTH, struct xt_mark1, match_connmark, .tracks = true),
    M("limit", 0, BOTH, struct xt_limit, match_limit, .check = check_limit),
    M("mac", 0, BOTH, struct xt_mac, match_mac),
    M("iprange", 1, BOTH, struct xt_iprange1, match_iprange),
    M("statistic", 0, BOTH, struct xt_statistic, match_statistic, .check = check_statistic),
};

const struct nf_xt_ext *nf_xt_find(const char *name, uint8_t revision, int family, bool target,
                                   int *ret_best) {
    size_t count = ARRAY_SIZE(matches);
    const struct nf_xt_ext *all = target ? nf_xt_targets(&count) : matches, *hit = NULL;
    *ret_best = -1;
    for (size_t i = 0; i < count; i++) {
        const struct nf_xt_ext *x = &all[i];
        if (strcmp(x->name, name) != 0 || (x->family && x->family != family))
            continue;
        *ret_best = MAX(*ret_best, (int)x->revision);
        if (x->revision == revision)
            hit = x;
    }
    return hit;
}

const char *nf_xt_name(const struct nf_xt_ext *x) {
    return x->name;
}

uint8_t nf_xt_revision(const struct nf_xt_ext *x) {
    return x->revision;
}

bool nf_xt_wants_tracking(const struct nf_xt_ext *x) {
    return x->tracks;
}

int nf_xt_check(const struct nf_xt_ext *x, const struct nf_xt_use *use, const uint8_t *info, uint32_t len) {
    if (len != XT_ALIGNED(x->size))
        return -EINVAL;
    if (x->table && use->table && strcmp(x->table, use->table) != 0)
        return -EINVAL;
    if (x->hooks && use->hooks & ~x->hooks)
        return -EINVAL;
    if (x->proto && (use->proto != x->proto || use->proto_inverted))
        return -EINVAL;
    return x->check ? x->check(use, info) : 0;
}

bool nf_xt_match_run(struct nf_ctx *c, struct nf_expr *e, bool *ret_drop) {
    return e->xt->match(c, e, ret_drop);
}

struct nf_verdict nf_xt_target_run(struct nf_ctx *c, struct nf_expr *e) {
    return e->xt->target(c, e);
}
