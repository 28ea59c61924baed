/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nat.c: address and port translation. What a connection becomes is decided once, at the
 * hooks that its first packet passes, and is kept as its reply tuple; every packet is then rewritten from the
 * tuples alone, headers quoted in ICMP errors included. Checksums are updated, not made anew (RFC 1624), so
 * that damage stays visible. Sources: RFC 3022, RFC 4787, RFC 5382, RFC 5508, iptables-extensions(8).
 */
#include <errno.h>

#include "netstack/filter/nf_internal.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"
#include "netstack/wire/wire_tcp.h"

enum { PORT_TRIES = 128 };

bool nat_initialized(const struct nf_conn *ct, enum nat_manip m) {
    return ct->status & (m == NAT_SRC ? CT_S_SRC_NAT_DONE : CT_S_DST_NAT_DONE);
}

/* ---- choice ---- */

static bool has_ports(uint8_t proto) {
    return proto == IPPROTO_NUM_TCP || proto == IPPROTO_NUM_UDP || proto == 132 || proto == 136;
}

static bool taken(struct netns *ns, const struct ct_tuple *t, const struct nf_conn *ct) {
    struct ct_tuple reply = ct_invert(t);
    return ct_taken(ns, &reply, ct);
}

/* One address of the range, the same for one source (persistence is the default here). */
static struct ipa choose_ip(struct netns *ns, const struct nat_range *r, const struct ipa *client) {
    struct ipa a = r->min;
    uint64_t lo = 0, hi = 0;
    if (ipa_eq(&r->min, &r->max))
        return a;
    for (int i = 8; i < 16; i++) {
        lo = lo << 8 | r->min.b[i];
        hi = hi << 8 | r->max.b[i];
    }
    uint64_t n = hi - lo + 1;
    uint64_t at = lo + (n ? stack_hash(ns->st, client, sizeof(*client)) % n : 0);
    for (int i = 15; i >= 8; i--, at >>= 8)
        a.b[i] = (uint8_t)at;
    return a;
}

static bool in_range(const struct ipa *a, const struct nat_range *r) {
    return memcmp(a, &r->min, sizeof(*a)) >= 0 && memcmp(a, &r->max, sizeof(*a)) <= 0;
}

/* Where ports are looked for when no rule names them: privileged ones stay privileged. */
static void default_ports(uint16_t now, uint16_t *min, uint16_t *max) {
    *min = now < 512 ? 1 : now < 1024 ? 600 : 1024;
    *max = now < 512 ? 511 : now < 1024 ? 1023 : 65535;
}

/* A port (or echo identifier) that makes the tuple nobody else's; if there is none, the last one tried. */
static void choose_port(struct nf_ctx *c, struct ct_tuple *t, const struct nat_range *r, enum nat_manip m) {
    uint16_t *port = m == NAT_SRC ? &t->sport : &t->dport, min = 0, max = 65535;
    bool icmp = t->proto == IPPROTO_NUM_ICMP || t->proto == IPPROTO_NUM_ICMPV6;
    if (icmp)
        port = &t->sport;
    else if (!has_ports(t->proto))
        return;
    if (r->flags & NAT_PROTO) {
        min = MIN(r->pmin, r->pmax);
        max = MAX(r->pmin, r->pmax);
    } else if (m == NAT_DST && !icmp) {
        return; /* the port that was asked for is all that makes sense */
    } else if (!icmp) {
        default_ports(*port, &min, &max);
    }
    uint32_t n = (uint32_t)max - min + 1;
    bool random = r->flags & (NAT_RANDOM | NAT_RANDOM_FULLY);
    if (!random && *port >= min && *port <= max && !taken(c->ns, t, c->p->ct))
        return;
    uint32_t at = random || m == NAT_SRC ? stack_random_below(c->ns->st, n) : 0;
    for (uint32_t i = 0; i < MIN(n, (uint32_t)PORT_TRIES); i++) {
        *port = (uint16_t)(min + (at + i) % n);
        if (!taken(c->ns, t, c->p->ct))
            return;
    }
}

static struct ct_tuple choose(struct nf_ctx *c, const struct ct_tuple *now, const struct nat_range *r,
                              enum nat_manip m) {
    struct ct_tuple t = *now;
    struct ipa *a = m == NAT_SRC ? &t.src : &t.dst;
    if (r->flags & NAT_MAP_IPS && !in_range(a, r))
        *a = choose_ip(c->ns, r, &now->src);
    bool keep = !(r->flags & (NAT_RANDOM | NAT_RANDOM_FULLY));
    if (keep && !(r->flags & NAT_PROTO) && !taken(c->ns, &t, c->p->ct))
        return t;
    choose_port(c, &t, r, m);
    return t;
}

static bool tuple_same(const struct ct_tuple *a, const struct ct_tuple *b) {
    return ipa_eq(&a->src, &b->src) && ipa_eq(&a->dst, &b->dst) && a->sport == b->sport &&
           a->dport == b->dport;
}

int nat_setup(struct nf_ctx *c, const struct nat_range *r, enum nat_manip m) {
    struct nf_conn *ct = c->p->ct;
    if (!ct || ct->status & CT_S_CONFIRMED || nat_initialized(ct, m))
        return NF_ACCEPT;
    struct ct_tuple now = ct_invert(&ct->end[1].t), t = choose(c, &now, r, m);
    if (!tuple_same(&now, &t)) {
        ct->end[1].t = ct_invert(&t);
        ct->status |= m == NAT_SRC ? CT_S_SRC_NAT : CT_S_DST_NAT;
    }
    ct->status |= m == NAT_SRC ? CT_S_SRC_NAT_DONE : CT_S_DST_NAT_DONE;
    c->nat_done = true;
    return NF_ACCEPT;
}

static bool own_address(struct nf_ctx *c, struct nic *nic, struct ipa *ret) {
    return nic && ifaddr_select(c->ns, nic, c->hook == NF_POSTROUTING ? &c->p->dst : &c->p->src, ret);
}

int nat_masquerade(struct nf_ctx *c, const struct nat_range *r) {
    struct nat_range own = *r;
    struct nf_conn *ct = c->p->ct;
    if (!ct || (ct->end[0].t.proto != IPPROTO_NUM_ICMPV6 && ipa_is_any(&ct->end[0].t.src)))
        return NF_ACCEPT;
    if (!own_address(c, c->out, &own.min))
        return NF_DROP;
    own.max = own.min;
    own.flags |= NAT_MAP_IPS;
    ct->masqueraded = true;
    ct->masq_ifindex = c->out->ifindex;
    return nat_setup(c, &own, NAT_SRC);
}

int nat_redirect(struct nf_ctx *c, const struct nat_range *r) {
    struct nat_range own = *r;
    if (c->hook == NF_OUTPUT) {
        own.min = c->family == NS_AF_INET ? IPA_V4(127, 0, 0, 1) : IPA_ANY6;
        own.min.b[15] = 1;
    } else if (!own_address(c, c->in, &own.min)) {
        return NF_DROP;
    }
    own.max = own.min;
    own.flags |= NAT_MAP_IPS;
    return nat_setup(c, &own, NAT_DST);
}

/* ---- rewriting ---- */

/* Replaces `n` (even) bytes in a running complement at `sum_at`. `partial`: the field holds a plain sum. */
static void csum_swap(uint8_t *sum_at, const uint8_t *was, const uint8_t *is, size_t n, bool partial) {
    uint16_t field;
    memcpy(&field, sum_at, sizeof(field));
    uint32_t sum = partial ? field : (uint16_t)~field;
    sum = csum_add(sum, (uint16_t)~csum_reduce(csum_partial(was, n, 0)));
    sum = csum_reduce(csum_partial(is, n, csum_reduce(sum)));
    csum_store(sum_at, partial ? (uint16_t)sum : (uint16_t)~sum);
}

/* A header to rewrite: the packet's own, or one that an ICMP error quotes. */
struct hdrs {
    uint8_t *ip, *l4;
    uint32_t l4_len; /* bytes there are of it */
    bool v4, partial;
    uint8_t proto;
};

/* Offset of the transport's checksum; -1: none, or not within reach. */
static int csum_at(const struct hdrs *h) {
    int at = h->proto == IPPROTO_NUM_TCP                                      ? 16
             : h->proto == IPPROTO_NUM_UDP || h->proto == 136                 ? 6
             : h->proto == IPPROTO_NUM_ICMP || h->proto == IPPROTO_NUM_ICMPV6 ? 2
                                                                              : -1;
    if (at < 0 || (uint32_t)at + 2 > h->l4_len)
        return -1;
    if (h->proto == IPPROTO_NUM_UDP && h->l4[at] == 0 && h->l4[at + 1] == 0 && !h->partial)
        return -1; /* no checksum */
    return at;
}

static void set_addr(struct hdrs *h, bool src, const struct ipa *to) {
    size_t n = h->v4 ? 4 : 16;
    uint8_t *at = h->ip + (h->v4 ? (src ? 12 : 16) : (src ? 8 : 24));
    const uint8_t *is = h->v4 ? to->b + 12 : to->b;
    int sum = csum_at(h);
    if (sum >= 0 && h->proto != IPPROTO_NUM_ICMP)
        csum_swap(h->l4 + sum, at, is, n, h->partial);
    if (h->v4)
        csum_swap(h->ip + 10, at, is, n, /* partial= */ false);
    memcpy(at, is, n);
}

static void set_port(struct hdrs *h, uint32_t at, uint16_t port) {
    uint8_t is[2];
    int sum = csum_at(h);
    if (at + 2 > h->l4_len)
        return;
    put_be16(is, port);
    if (sum >= 0 && !h->partial)
        csum_swap(h->l4 + sum, h->l4 + at, is, 2, /* partial= */ false);
    memcpy(h->l4 + at, is, 2);
}

static void rewrite(struct hdrs *h, const struct ct_tuple *t, enum nat_manip m) {
    bool src = m == NAT_SRC;
    set_addr(h, src, src ? &t->src : &t->dst);
    if (has_ports(h->proto))
        set_port(h, src ? 0 : 2, src ? t->sport : t->dport);
    else if (h->proto == IPPROTO_NUM_ICMP || h->proto == IPPROTO_NUM_ICMPV6)
        if (h->l4_len >= ICMP_HLEN && !ct_is_icmp_error(h->proto, h->l4[0]))
            set_port(h, 4, t->sport);
    int sum = csum_at(h);
    if (h->proto == IPPROTO_NUM_UDP && sum >= 0 && !h->partial && h->l4[sum] == 0 && h->l4[sum + 1] == 0)
        memset(h->l4 + sum, 0xff, 2); /* zero would say that there is none (RFC 768) */
}

static bool own_headers(struct nf_ctx *c, uint32_t n, struct hdrs *h) {
    struct pkt *p = c->p;
    uint32_t len = MIN(p->len - c->thoff, n);
    uint8_t *b = pkt_writable(p, c->thoff + len);
    if (!b)
        return false;
    *h = (struct hdrs){.ip = b + p->net_off,
                       .l4 = b + c->thoff,
                       .l4_len = len,
                       .v4 = c->family == NS_AF_INET,
                       .partial = p->csum == CSUM_PARTIAL,
                       .proto = c->proto};
    return true;
}

/* The packet that an error quotes went the other way: its other end is rewritten (RFC 5508 section 4.2). */
static bool rewrite_quoted(struct nf_ctx *c, const struct ct_tuple *t, enum nat_manip m) {
    struct hdrs outer;
    if (!own_headers(c, ICMP_HLEN + 128, &outer) || outer.l4_len < ICMP_HLEN + IPV4_MIN_HLEN)
        return false;
    uint8_t *ip = outer.l4 + ICMP_HLEN;
    uint32_t avail = outer.l4_len - ICMP_HLEN, hlen = outer.v4 ? (uint32_t)(ip[0] & 0xf) * 4 : IPV6_HLEN;
    if (hlen > avail || (outer.v4 && hlen < IPV4_MIN_HLEN))
        return false;
    struct hdrs inner = {
        .ip = ip, .l4 = ip + hlen, .l4_len = avail - hlen, .v4 = outer.v4, .proto = outer.v4 ? ip[9] : ip[6]};
    rewrite(&inner, t, m);
    struct pkt *p = c->p;
    uint32_t len = p->len - c->thoff;
    uint32_t sum = c->proto == IPPROTO_NUM_ICMP ? 0 : csum_pseudo(&p->src, &p->dst, c->proto, len);
    outer.l4[2] = outer.l4[3] = 0;
    csum_store(outer.l4 + 2, csum_fold(pkt_csum(p, c->thoff, len, sum)));
    return true;
}

bool nat_packet(struct nf_ctx *c) {
    struct pkt *p = c->p;
    struct nf_conn *ct = p->ct;
    struct hdrs h;
    if (!ct || !(ct->status & (CT_S_SRC_NAT | CT_S_DST_NAT)))
        return true;
    enum nat_manip m = nat_manip_at(c->hook);
    int dir = ct_dir(p->ct_info);
    uint32_t bit = (m == NAT_SRC) != (dir == 1) ? CT_S_SRC_NAT : CT_S_DST_NAT;
    if (!(ct->status & bit))
        return true;
    bool error = p->ct_info == CT_RELATED || p->ct_info == CT_RELATED_REPLY;
    struct ct_tuple target = ct_invert(&ct->end[!dir].t);
    if (error && !rewrite_quoted(c, &ct->end[!dir].t, m == NAT_SRC ? NAT_DST : NAT_SRC))
        return false;
    if (!own_headers(c, 32, &h))
        return false;
    if (error)
        set_addr(&h, m == NAT_SRC, m == NAT_SRC ? &target.src : &target.dst);
    else
        rewrite(&h, &target, m);
    p->src = h.v4 ? ipa_from4_wire(h.ip + 12) : ipa_from6_wire(h.ip + 8);
    p->dst = h.v4 ? ipa_from4_wire(h.ip + 16) : ipa_from6_wire(h.ip + 24);
    return true;
}
