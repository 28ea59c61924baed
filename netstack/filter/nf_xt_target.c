/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf_xt_target.c: iptables' targets. Verdicts and jumps are no targets here: front ends make
 * NFE_VERDICT of them. Source: iptables-extensions(8).
 */
#include <errno.h>

#include "netstack/filter/nf_xt.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"
#include "netstack/wire/wire_tcp.h"

enum { TCPMSS_CLAMP = 0xffff, CT_NOTRACK = 1 };

static struct nf_verdict go_on(void) {
    return (struct nf_verdict){.code = NF_CONTINUE};
}

/* ---- REJECT ---- */

static struct nf_verdict reject4(struct nf_ctx *c, struct nf_expr *e) {
    static const uint8_t codes[] = {UNREACH_NET,         UNREACH_HOST, UNREACH_PROTO,
                                    UNREACH_PORT,        0xff,         UNREACH_NET_PROHIB,
                                    UNREACH_HOST_PROHIB, 0xff,         UNREACH_ADMIN};
    uint32_t with;
    memcpy(&with, e->ext, sizeof(with));
    if (with == 7)
        nf_reject_reset(c);
    else if (with < ARRAY_SIZE(codes) && codes[with] != 0xff)
        nf_reject_icmp(c, ICMP_UNREACH, codes[with]);
    return (struct nf_verdict){.code = NF_DROP};
}

static struct nf_verdict reject6(struct nf_ctx *c, struct nf_expr *e) {
    static const uint8_t codes[] = {ICMP6_NO_ROUTE, ICMP6_PROHIB, 2, ICMP6_ADDR, ICMP6_PORT,
                                    0xff,           0xff,         5, 6};
    uint32_t with;
    memcpy(&with, e->ext, sizeof(with));
    if (with == 6)
        nf_reject_reset(c);
    else if (with < ARRAY_SIZE(codes) && codes[with] != 0xff)
        nf_reject_icmp(c, ICMP6_UNREACH, codes[with]);
    return (struct nf_verdict){.code = NF_DROP};
}

static int check_reject(const struct nf_xt_use *use, const uint8_t *info, uint32_t reset, uint32_t echo) {
    uint32_t with;
    memcpy(&with, info, sizeof(with));
    if (with > 8 || with == echo)
        return -EINVAL;
    return with == reset && (use->proto != IPPROTO_NUM_TCP || use->proto_inverted) ? -EINVAL : 0;
}

static int check_reject4(const struct nf_xt_use *use, const uint8_t *info) {
    return check_reject(use, info, 7, 4);
}

static int check_reject6(const struct nf_xt_use *use, const uint8_t *info) {
    return check_reject(use, info, 6, 5);
}

/* ---- translation ---- */

static struct nat_range range_of(struct nf_ctx *c, const struct nf_expr *e) {
    struct nat_range r = {0};
    bool v4 = c->family == NS_AF_INET;
    if (e->ext_len == XT_ALIGNED(sizeof(struct xt_nat4))) {
        const struct xt_nat4 *n = (const struct xt_nat4 *)e->ext;
        r = (struct nat_range){n->flags, ipa_from4_wire(n->min), ipa_from4_wire(n->max), get_be16(n->pmin),
                               get_be16(n->pmax)};
    } else {
        const struct xt_nat1 *n = (const struct xt_nat1 *)e->ext;
        r = (struct nat_range){n->flags, v4 ? ipa_from4_wire(n->min) : ipa_from6_wire(n->min),
                               v4 ? ipa_from4_wire(n->max) : ipa_from6_wire(n->max), get_be16(n->pmin),
                               get_be16(n->pmax)};
    }
    r.flags &= NAT_MAP_IPS | NAT_PROTO | NAT_RANDOM | NAT_PERSISTENT | NAT_RANDOM_FULLY;
    return r;
}

static struct nf_verdict target_snat(struct nf_ctx *c, struct nf_expr *e) {
    struct nat_range r = range_of(c, e);
    return (struct nf_verdict){.code = nat_setup(c, &r, NAT_SRC)};
}

static struct nf_verdict target_dnat(struct nf_ctx *c, struct nf_expr *e) {
    struct nat_range r = range_of(c, e);
    return (struct nf_verdict){.code = nat_setup(c, &r, NAT_DST)};
}

static struct nf_verdict target_masquerade(struct nf_ctx *c, struct nf_expr *e) {
    struct nat_range r = range_of(c, e);
    r.flags &= ~(uint32_t)NAT_MAP_IPS;
    return (struct nf_verdict){.code = nat_masquerade(c, &r)};
}

static struct nf_verdict target_redirect(struct nf_ctx *c, struct nf_expr *e) {
    struct nat_range r = range_of(c, e);
    r.flags &= ~(uint32_t)NAT_MAP_IPS;
    return (struct nf_verdict){.code = nat_redirect(c, &r)};
}

static int check_nat4(const struct nf_xt_use *use, const uint8_t *info) {
    (void)use;
    return ((const struct xt_nat4 *)info)->count == 1 ? 0 : -EINVAL;
}

static int check_masquerade4(const struct nf_xt_use *use, const uint8_t *info) {
    const struct xt_nat4 *n = (const struct xt_nat4 *)info;
    (void)use;
    return n->count == 1 && !(n->flags & NAT_MAP_IPS) ? 0 : -EINVAL;
}

static int check_masquerade6(const struct nf_xt_use *use, const uint8_t *info) {
    (void)use;
    return ((const struct xt_nat1 *)info)->flags & NAT_MAP_IPS ? -EINVAL : 0;
}

/* ---- marks, tracking, header fields ---- */

static struct nf_verdict target_mark(struct nf_ctx *c, struct nf_expr *e) {
    const struct xt_mark_target2 *t = (const struct xt_mark_target2 *)e->ext;
    c->p->mark = (c->p->mark & ~t->mask) ^ t->mark;
    return go_on();
}

static struct nf_verdict target_connmark(struct nf_ctx *c, struct nf_expr *e) {
    const struct xt_connmark_target1 *t = (const struct xt_connmark_target1 *)e->ext;
    struct nf_conn *ct = c->p->ct;
    if (!ct)
        return go_on();
    switch (t->mode) {
    case 0:
        ct->mark = (ct->mark & ~t->ctmask) ^ t->ctmark;
        break;
    case 1:
        ct->mark = (ct->mark & ~t->ctmask) ^ (c->p->mark & t->nfmask);
        break;
    default:
        c->p->mark = (c->p->mark & ~t->nfmask) ^ (ct->mark & t->ctmask);
    }
    return go_on();
}

static struct nf_verdict target_notrack(struct nf_ctx *c, struct nf_expr *e) {
    uint16_t flags = CT_NOTRACK;
    if (e->ext_len >= sizeof(struct xt_ct0))
        memcpy(&flags, e->ext, sizeof(flags));
    if (!c->p->ct && flags & CT_NOTRACK)
        c->p->ct_info = CT_UNTRACKED;
    return go_on();
}

static int check_ct(const struct nf_xt_use *use, const uint8_t *info) {
    const struct xt_ct0 *t = (const struct xt_ct0 *)info;
    (void)use;
    return t->flags & ~CT_NOTRACK || t->zone || t->helper[0] ? -EINVAL : 0;
}

static struct nf_verdict target_log(struct nf_ctx *c, struct nf_expr *e) {
    (void)c;
    (void)e;
    return go_on(); /* there is no kernel log to write to */
}

static uint16_t mss_for(struct nf_ctx *c, const struct xt_tcpmss *t) {
    if (t->mss != TCPMSS_CLAMP)
        return t->mss;
    uint32_t mtu = c->out ? pmtu_get(c->ns, &c->p->dst, c->out->mtu) : 1500;
    uint32_t hdrs = (c->family == NS_AF_INET ? IPV4_MIN_HLEN : IPV6_HLEN) + TCP_MIN_HLEN;
    return mtu > hdrs ? (uint16_t)MIN(mtu - hdrs, 65535u) : 0;
}

static struct nf_verdict target_tcpmss(struct nf_ctx *c, struct nf_expr *e) {
    const uint8_t *h = nf_transport(c, 0, TCP_MIN_HLEN);
    uint32_t len = h ? (uint32_t)(h[12] >> 4) * 4 : 0;
    uint16_t mss = mss_for(c, (const struct xt_tcpmss *)e->ext);
    if (c->proto != IPPROTO_NUM_TCP || len < TCP_MIN_HLEN || !nf_transport(c, 0, len))
        return go_on();
    uint8_t *w = pkt_writable(c->p, c->thoff + len);
    if (!w)
        return (struct nf_verdict){.code = NF_DROP};
    w += c->thoff;
    for (uint32_t at = TCP_MIN_HLEN; at + 4 <= len && w[at] != 0;) {
        if (w[at] == 2 && w[at + 1] == 4) {
            uint16_t was = get_be16(w + at + 2), sum;
            if (was <= mss)
                break;
            put_be16(w + at + 2, mss);
            if (c->p->csum == CSUM_PARTIAL)
                break;
            memcpy(&sum, w + 16, 2);
            uint16_t old_be = __builtin_bswap16(was), new_be = __builtin_bswap16(mss);
            /* the option may lie at an odd offset: its bytes count swapped then (RFC 1071 section 2) */
            uint32_t d = csum_add(csum_add((uint16_t)~sum, csum_add_at(0, (uint16_t)~old_be, at)),
                                  csum_add_at(0, new_be, at));
            csum_store(w + 16, csum_fold(d));
            break;
        }
        at += w[at] < 2 ? 1 : w[at + 1] >= 2 ? w[at + 1] : len;
    }
    return go_on();
}

#define T(n, r, fam, t, fn, ...)                                                                             \
    { .name = n, .revision = r, .family = fam, .size = sizeof(t), .target = fn, __VA_ARGS__ }
#define NAT_IN(...) .table = "nat", .tracks = true, .hooks = __VA_ARGS__
enum {
    H_SNAT = 1 << NF_POSTROUTING | 1 << NF_INPUT,
    H_DNAT = 1 << NF_PREROUTING | 1 << NF_OUTPUT,
    H_MASQ = 1 << NF_POSTROUTING,
    H_FILTER = 1 << NF_INPUT | 1 << NF_FORWARD | 1 << NF_OUTPUT,
};

static const struct nf_xt_ext targets[] = {
    T("REJECT", 0, NS_AF_INET, uint32_t, reject4, .hooks = H_FILTER, .check = check_reject4),
    T("REJECT", 0, NS_AF_INET6, uint32_t, reject6, .hooks = H_FILTER, .check = check_reject6),
    T("SNAT", 0, NS_AF_INET, struct xt_nat4, target_snat, NAT_IN(H_SNAT), .check = check_nat4),
    T("SNAT", 1, 0, struct xt_nat1, target_snat, NAT_IN(H_SNAT)),
    T("SNAT", 2, 0, struct xt_nat2, target_snat, NAT_IN(H_SNAT)),
    T("DNAT", 0, NS_AF_INET, struct xt_nat4, target_dnat, NAT_IN(H_DNAT), .check = check_nat4),
    T("DNAT", 1, 0, struct xt_nat1, target_dnat, NAT_IN(H_DNAT)),
    T("DNAT", 2, 0, struct xt_nat2, target_dnat, NAT_IN(H_DNAT)),
    T("MASQUERADE", 0, NS_AF_INET, struct xt_nat4, target_masquerade, NAT_IN(H_MASQ),
      .check = check_masquerade4),
    T("MASQUERADE", 0, NS_AF_INET6, struct xt_nat1, target_masquerade, NAT_IN(H_MASQ),
      .check = check_masquerade6),
    T("REDIRECT", 0, NS_AF_INET, struct xt_nat4, target_redirect, NAT_IN(H_DNAT), .check = check_masquerade4),
    T("REDIRECT", 0, NS_AF_INET6, struct xt_nat1, target_redirect, NAT_IN(H_DNAT),
      .check = check_masquerade6),
    T("MARK", 2, 0, struct xt_mark_target2, target_mark),
    T("CONNMARK", 1, 0, struct xt_connmark_target1, target_connmark, .tracks = true),
    T(
        "NOTRACK", 0, 0, struct { char none[0]; }, target_notrack, .table = "raw"),
    T("CT", 0, 0, struct xt_ct0, target_notrack, .table = "raw", .check = check_ct),
    T("CT", 1, 0, struct xt_ct1, target_notrack, .table = "raw", .check = check_ct),
    T("CT", 2, 0, struct xt_ct1, target_notrack, .table = "raw", .check = check_ct),
    T("LOG", 0, 0, struct xt_log, target_log),
    T("TCPMSS", 0, 0, struct xt_tcpmss, target_tcpmss, .proto = IPPROTO_NUM_TCP),
};

const struct nf_xt_ext *nf_xt_targets(size_t *ret_count) {
    *ret_count = ARRAY_SIZE(targets);
    return targets;
}
