/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf_expr.c: nft's expressions. Registers hold bytes as they lie in packets, or host order
 * where nft has it (marks, interfaces, users, states). Source: nft(8), "Expressions"; the numbers of keys are
 * those of netlink messages (netstack/filter/nf_abi.h).
 */
#include "netstack/filter/nf_abi.h"
#include "netstack/filter/nf_internal.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"

static const struct nf_verdict GO_ON = {.code = NF_CONTINUE}, LEAVE = {.code = NF_BREAK};

static void put_u32(uint8_t *at, uint32_t v) {
    memcpy(at, &v, sizeof(v));
}

static void put_u16(uint8_t *at, uint16_t v) {
    put_u32(at, 0);
    memcpy(at, &v, sizeof(v));
}

static void put_u8(uint8_t *at, uint8_t v) {
    put_u32(at, 0);
    *at = v;
}

static uint32_t get_u32(const uint8_t *at) {
    uint32_t v;
    memcpy(&v, at, sizeof(v));
    return v;
}

const uint8_t *nf_transport(struct nf_ctx *c, uint32_t at, uint32_t n) {
    if (c->later_fragment || c->thoff + at + n > c->p->len)
        return NULL;
    const uint8_t *h = pkt_header(c->p, c->thoff + at + n);
    return h ? h + c->thoff + at : NULL;
}

/* ---- payload ---- */

static bool payload_at(struct nf_ctx *c, const struct nf_expr *e, uint32_t *ret) {
    uint32_t base;
    switch (e->key) {
    case NFT_PAYLOAD_LL:
        if (c->p->net_off < ETHER_HLEN)
            return false;
        base = c->p->net_off - ETHER_HLEN;
        break;
    case NFT_PAYLOAD_NETWORK:
        base = c->p->net_off;
        break;
    default:
        if (c->later_fragment)
            return false;
        base = c->thoff;
    }
    *ret = base + e->offset;
    return (uint64_t)base + e->offset + e->len <= c->p->len;
}

static struct nf_verdict payload(struct nf_ctx *c, const struct nf_expr *e, uint8_t *regs) {
    uint32_t at;
    if (!payload_at(c, e, &at))
        return LEAVE;
    memset(regs + e->dreg, 0, (e->len + 3) & ~3u);
    pkt_copy_out(c->p, at, regs + e->dreg, e->len);
    return GO_ON;
}

/* The sum at `at` of a header that has changed from `was` to `is`. */
static void sum_update(uint8_t *at, const uint8_t *was, const uint8_t *is, uint32_t n, bool partial) {
    uint16_t field;
    memcpy(&field, at, sizeof(field));
    uint32_t sum = partial ? field : (uint16_t)~field;
    sum = csum_add(sum, (uint16_t)~csum_reduce(csum_partial(was, n, 0)));
    sum = csum_add(sum, csum_partial(is, n, 0));
    csum_store(at, partial ? csum_reduce(sum) : csum_fold(sum));
}

static struct nf_verdict payload_set(struct nf_ctx *c, const struct nf_expr *e, const uint8_t *regs) {
    uint32_t at, even, n;
    uint8_t was[NF_REG_BYTES + 2] = {0}, is[NF_REG_BYTES + 2] = {0};
    if (!payload_at(c, e, &at))
        return LEAVE;
    even = e->offset & 1;
    n = (e->len + even + 1) & ~1u;
    uint8_t *b = pkt_writable(c->p, MIN(c->p->len, MAX(at + e->len, c->thoff + 20)));
    if (!b)
        return LEAVE;
    memcpy(was + even, b + at, e->len);
    memcpy(is + even, regs + e->sreg, e->len);
    memcpy(b + at, regs + e->sreg, e->len);
    if (e->csum_type == 1) { /* at csum_offset of the same header */
        uint32_t sum = at - e->offset + e->csum_offset;
        if (sum + 2 <= MAX(at + e->len, c->thoff + 20))
            sum_update(b + sum, was, is, n, e->key == NFT_PAYLOAD_TRANSPORT && c->p->csum == CSUM_PARTIAL);
    }
    uint32_t l4 = c->proto == IPPROTO_NUM_TCP ? 16 : c->proto == IPPROTO_NUM_UDP ? 6 : 2;
    bool pseudo = e->csum_flags & 1 && !c->later_fragment && c->thoff + l4 + 2 <= c->p->len;
    if (pseudo && !(c->proto == IPPROTO_NUM_UDP && get_be16(b + c->thoff + l4) == 0))
        sum_update(b + c->thoff + l4, was, is, n, c->p->csum == CSUM_PARTIAL);
    return nf_parse(c) ? GO_ON : (struct nf_verdict){.code = NF_DROP};
}

/* ---- meta ---- */

static void put_name(uint8_t *at, const struct nic *nic) {
    memset(at, 0, NS_IFNAMSIZ);
    memcpy(at, nic->name, strnlen(nic->name, NS_IFNAMSIZ));
}

static struct nf_verdict meta_of_nic(const struct nf_expr *e, const struct nic *nic, uint8_t *at) {
    if (!nic) {
        if (e->key != NFT_META_IIF && e->key != NFT_META_OIF)
            return LEAVE;
        put_u32(at, 0);
        return GO_ON;
    }
    switch (e->key) {
    case NFT_META_IIF:
    case NFT_META_OIF:
        put_u32(at, nic->ifindex);
        return GO_ON;
    case NFT_META_IIFNAME:
    case NFT_META_OIFNAME:
        put_name(at, nic);
        return GO_ON;
    case NFT_META_IIFTYPE:
    case NFT_META_OIFTYPE:
        put_u16(at, nic->arphrd);
        return GO_ON;
    case NFT_META_IIFGROUP:
    case NFT_META_OIFGROUP:
        put_u32(at, 0);
        return GO_ON;
    default:
        return LEAVE;
    }
}

static struct nf_verdict meta(struct nf_ctx *c, const struct nf_expr *e, uint8_t *regs) {
    uint8_t *at = regs + e->dreg;
    bool in = e->key == NFT_META_IIF || e->key == NFT_META_IIFNAME || e->key == NFT_META_IIFTYPE ||
              e->key == NFT_META_IIFGROUP;
    switch (e->key) {
    case NFT_META_LEN:
        put_u32(at, c->p->len - c->p->net_off);
        return GO_ON;
    case NFT_META_PROTOCOL: {
        uint8_t be[2];
        put_be16(be, c->family == NS_AF_INET ? ETYPE_IPV4 : ETYPE_IPV6);
        put_u32(at, 0);
        memcpy(at, be, 2);
        return GO_ON;
    }
    case NFT_META_PRIORITY:
        put_u32(at, c->sk ? c->sk->priority : 0);
        return GO_ON;
    case NFT_META_MARK:
        put_u32(at, c->p->mark);
        return GO_ON;
    case NFT_META_SKUID:
    case NFT_META_SKGID:
        if (!c->sk || c->sk->uid == UINT32_MAX)
            return LEAVE;
        put_u32(at, e->key == NFT_META_SKUID ? c->sk->uid : c->sk->gid);
        return GO_ON;
    case NFT_META_NFPROTO:
        put_u8(at, c->family == NS_AF_INET ? NF_FAMILY_IPV4 : NF_FAMILY_IPV6);
        return GO_ON;
    case NFT_META_L4PROTO:
        put_u8(at, c->proto);
        return GO_ON;
    case NFT_META_PKTTYPE:
        put_u8(at, c->p->from_loop ? 5 /* PACKET_LOOPBACK */ : c->p->type);
        return GO_ON;
    case NFT_META_CPU:
        put_u32(at, 0);
        return GO_ON;
    case NFT_META_PRANDOM:
        put_u32(at, stack_random32(c->ns->st));
        return GO_ON;
    default:
        return meta_of_nic(e, in ? c->in : c->out, at);
    }
}

static struct nf_verdict meta_set(struct nf_ctx *c, const struct nf_expr *e, const uint8_t *regs) {
    if (e->key == NFT_META_MARK)
        c->p->mark = get_u32(regs + e->sreg);
    return GO_ON;
}

/* ---- ct ---- */

static struct nf_verdict ct_addr(const struct nf_expr *e, const struct ct_tuple *t, uint8_t *at) {
    bool src = e->key == NFT_CT_SRC || e->key == NFT_CT_SRC_IP || e->key == NFT_CT_SRC_IP6;
    const struct ipa *a = src ? &t->src : &t->dst;
    bool v4 = ipa_is_v4(a);
    if ((e->key == NFT_CT_SRC_IP || e->key == NFT_CT_DST_IP) && !v4)
        return LEAVE;
    if ((e->key == NFT_CT_SRC_IP6 || e->key == NFT_CT_DST_IP6) && v4)
        return LEAVE;
    memcpy(at, v4 ? a->b + 12 : a->b, v4 ? 4 : 16);
    return GO_ON;
}

static struct nf_verdict ct_counter(const struct nf_expr *e, const struct nf_conn *ct, uint8_t *at) {
    uint64_t v = 0;
    for (int d = 0; d < 2; d++)
        if (e->dir == 0xff || e->dir == d)
            v += e->key == NFT_CT_PKTS ? ct->count[d].packets : ct->count[d].bytes;
    memcpy(at, &v, sizeof(v));
    return GO_ON;
}

static struct nf_verdict ct_get(struct nf_ctx *c, const struct nf_expr *e, uint8_t *regs) {
    struct nf_conn *ct = c->p->ct;
    uint8_t *at = regs + e->dreg;
    if (e->key == NFT_CT_STATE) {
        put_u32(at, ct_state_bit(c->p));
        return GO_ON;
    }
    if (!ct)
        return LEAVE;
    const struct ct_tuple *t = &ct->end[e->dir == 1].t;
    switch (e->key) {
    case NFT_CT_DIRECTION:
        put_u8(at, (uint8_t)ct_dir(c->p->ct_info));
        return GO_ON;
    case NFT_CT_STATUS:
        put_u32(at, ct->status);
        return GO_ON;
    case NFT_CT_MARK:
        put_u32(at, ct->mark);
        return GO_ON;
    case NFT_CT_EXPIRATION:
        put_u32(at, (uint32_t)((ct->deadline - c->ns->st->now) / MSEC(1)));
        return GO_ON;
    case NFT_CT_L3PROTOCOL:
        put_u8(at, c->family == NS_AF_INET ? NF_FAMILY_IPV4 : NF_FAMILY_IPV6);
        return GO_ON;
    case NFT_CT_PROTOCOL:
        put_u8(at, t->proto);
        return GO_ON;
    case NFT_CT_PROTO_SRC:
    case NFT_CT_PROTO_DST:
        put_u32(at, 0);
        put_be16(at, e->key == NFT_CT_PROTO_SRC ? t->sport : t->dport);
        return GO_ON;
    case NFT_CT_ID:
        put_u32(at, ct->id);
        return GO_ON;
    case NFT_CT_ZONE:
        put_u16(at, 0);
        return GO_ON;
    case NFT_CT_PKTS:
    case NFT_CT_BYTES:
        return ct_counter(e, ct, at);
    default:
        return ct_addr(e, t, at);
    }
}

static struct nf_verdict ct_set(struct nf_ctx *c, const struct nf_expr *e, const uint8_t *regs) {
    if (c->p->ct && e->key == NFT_CT_MARK)
        c->p->ct->mark = get_u32(regs + e->sreg);
    return GO_ON;
}

/* ---- comparisons and arithmetic ---- */

static struct nf_verdict cmp(const struct nf_expr *e, const uint8_t *regs) {
    int d = memcmp(regs + e->sreg, e->data[0], e->len);
    bool yes = false;
    switch (e->op) {
    case NFT_CMP_EQ:
        yes = d == 0;
        break;
    case NFT_CMP_NEQ:
        yes = d != 0;
        break;
    case NFT_CMP_LT:
        yes = d < 0;
        break;
    case NFT_CMP_LTE:
        yes = d <= 0;
        break;
    case NFT_CMP_GT:
        yes = d > 0;
        break;
    case NFT_CMP_GTE:
        yes = d >= 0;
        break;
    }
    return yes ? GO_ON : LEAVE;
}

static struct nf_verdict range(const struct nf_expr *e, const uint8_t *regs) {
    bool in =
        memcmp(regs + e->sreg, e->data[0], e->len) >= 0 && memcmp(regs + e->sreg, e->data[1], e->len) <= 0;
    return in != e->invert ? GO_ON : LEAVE;
}

/* Shifts run over whole registers, the first being the most significant. */
static void shift(const struct nf_expr *e, uint8_t *regs) {
    uint32_t words = (e->len + 3) / 4, by = get_u32(e->data[0]) & 31, carry = 0;
    for (uint32_t i = 0; i < words; i++) {
        uint32_t at = e->op == NFT_BITWISE_LSHIFT ? words - 1 - i : i;
        uint32_t v = get_u32(regs + e->sreg + at * 4);
        uint32_t out = e->op == NFT_BITWISE_LSHIFT ? v << by | carry : v >> by | carry;
        carry = by == 0 ? 0 : e->op == NFT_BITWISE_LSHIFT ? v >> (32 - by) : v << (32 - by);
        put_u32(regs + e->dreg + at * 4, out);
    }
}

static struct nf_verdict bitwise(const struct nf_expr *e, uint8_t *regs) {
    if (e->op != NFT_BITWISE_BOOL) {
        shift(e, regs);
        return GO_ON;
    }
    for (uint32_t i = 0; i < e->len; i++)
        regs[e->dreg + i] = (regs[e->sreg + i] & e->data[0][i]) ^ e->data[1][i];
    return GO_ON;
}

static struct nf_verdict byteorder(const struct nf_expr *e, uint8_t *regs) {
    uint8_t out[NF_REG_BYTES];
    for (uint32_t i = 0; i < e->len; i++) {
        uint32_t base = i / e->size * e->size;
        out[i] = regs[e->sreg + base + (e->size - 1 - (i - base))];
    }
    memcpy(regs + e->dreg, out, e->len);
    return GO_ON;
}

static struct nf_verdict lookup(struct nf_table *t, const struct nf_expr *e, uint8_t *regs) {
    const struct nf_set *s = t->sets[e->set];
    const struct nf_elem *el = nf_set_lookup(s, regs + e->sreg);
    if ((el != NULL) == e->invert)
        return LEAVE;
    if (!e->has_dreg || !el)
        return GO_ON;
    if (s->data_type == NFT_DATA_VERDICT)
        return el->verdict;
    memcpy(regs + e->dreg, el->data, MIN(s->data_len, (uint32_t)NF_REG_BYTES - e->dreg));
    return GO_ON;
}

bool nf_limit_ok(struct nf_ctx *c, struct nf_expr *e) {
    int64_t now = c->ns->st->now;
    uint64_t cost = e->unit_ns / MAX(e->rate, 1u), units = 1, most = e->unit_ns;
    if (e->op == 1) { /* bytes */
        units = c->p->len - c->p->net_off;
        most =
            e->unit_ns + (e->rate ? (uint64_t)((double)e->unit_ns * (double)e->burst / (double)e->rate) : 0);
        cost = (uint64_t)((double)e->unit_ns * (double)units / (double)MAX(e->rate, 1u));
    } else {
        most = cost * MAX(e->burst, 1u);
    }
    if (e->last_ns == 0)
        e->tokens = (int64_t)MIN(most, (uint64_t)INT64_MAX);
    else
        e->tokens = (int64_t)MIN((uint64_t)e->tokens + (uint64_t)(now - e->last_ns), most);
    e->last_ns = MAX(now, (int64_t)1);
    if ((uint64_t)e->tokens < cost)
        return false;
    e->tokens -= (int64_t)cost;
    return true;
}

/* ---- statements ---- */

static void reg_range(struct nf_ctx *c, const struct nf_expr *e, const uint8_t *regs, struct nat_range *r) {
    bool v4 = c->family == NS_AF_INET;
    *r = (struct nat_range){.flags = e->flags & (NAT_RANDOM | NAT_PERSISTENT | NAT_RANDOM_FULLY)};
    if (e->sreg != NF_NO_REG) {
        r->min = v4 ? ipa_from4_wire(regs + e->sreg) : ipa_from6_wire(regs + e->sreg);
        r->max = v4 ? ipa_from4_wire(regs + e->sreg_max) : ipa_from6_wire(regs + e->sreg_max);
        r->flags |= NAT_MAP_IPS;
    }
    if (e->sreg2 != NF_NO_REG) {
        r->pmin = get_be16(regs + e->sreg2);
        r->pmax = get_be16(regs + e->sreg2_max);
        r->flags |= NAT_PROTO;
    }
}

static struct nf_verdict translate(struct nf_ctx *c, const struct nf_expr *e, const uint8_t *regs) {
    struct nat_range r;
    int v = NF_ACCEPT;
    reg_range(c, e, regs, &r);
    if (e->kind == NFE_MASQ)
        v = nat_masquerade(c, &r);
    else if (e->kind == NFE_REDIR)
        v = nat_redirect(c, &r);
    else if (!(e->key == NF_FAMILY_IPV4 && c->family != NS_AF_INET) &&
             !(e->key == NF_FAMILY_IPV6 && c->family == NS_AF_INET))
        v = nat_setup(c, &r, e->op == 0 ? NAT_SRC : NAT_DST);
    else
        return LEAVE;
    return (struct nf_verdict){.code = v};
}

static struct nf_verdict reject(struct nf_ctx *c, const struct nf_expr *e) {
    static const uint8_t icmpx[4][2] = {{UNREACH_NET, ICMP6_NO_ROUTE},
                                        {UNREACH_PORT, ICMP6_PORT},
                                        {UNREACH_HOST, ICMP6_ADDR},
                                        {UNREACH_ADMIN, ICMP6_PROHIB}};
    bool v4 = c->family == NS_AF_INET;
    if (e->op == NFT_REJECT_TCP_RST)
        nf_reject_reset(c);
    else
        nf_reject_icmp(c, v4 ? ICMP_UNREACH : ICMP6_UNREACH,
                       e->op == NFT_REJECT_ICMPX ? icmpx[e->key & 3][v4 ? 0 : 1] : (uint8_t)e->key);
    return (struct nf_verdict){.code = NF_DROP};
}

static uint32_t lowest_type(uint32_t types) {
    for (uint32_t i = 0; i < 12; i++)
        if (types >> i & 1)
            return i;
    return 0;
}

static struct nf_verdict fib(struct nf_ctx *c, const struct nf_expr *e, uint8_t *regs) {
    const struct ipa *a = e->flags & NFT_FIB_SADDR ? &c->p->src : &c->p->dst;
    struct nic *nic = e->flags & NFT_FIB_IIF ? c->in : e->flags & NFT_FIB_OIF_FLAG ? c->out : NULL;
    uint8_t *at = regs + e->dreg;
    if (e->key == NFT_FIB_ADDRTYPE) {
        put_u32(at, lowest_type(nf_addr_types(c, a, nic)));
        return GO_ON;
    }
    struct flow f = {.dst = *a,
                     .src = ipa_is_v4(a) ? IPA_ANY4 : IPA_ANY6,
                     .mark = e->flags & NFT_FIB_MARK ? c->p->mark : 0,
                     .oif = nic ? nic->ifindex : 0};
    struct rt rt;
    bool found = route_output(c->ns, &f, &rt) == 0;
    if (e->flags & NFT_FIB_PRESENT)
        put_u8(at, found);
    else if (e->key == NFT_FIB_OIF)
        put_u32(at, found ? rt.nic->ifindex : 0);
    else if (found)
        put_name(at, rt.nic);
    else
        memset(at, 0, NS_IFNAMSIZ);
    return GO_ON;
}

/* tidy: table */
struct nf_verdict nf_expr_run(struct nf_ctx *c, struct nf_table *t, struct nf_expr *e, uint8_t *regs) {
    bool drop = false;
    switch ((enum nf_expr_kind)e->kind) {
    case NFE_PAYLOAD:
        return payload(c, e, regs);
    case NFE_PAYLOAD_SET:
        return payload_set(c, e, regs);
    case NFE_META:
        return meta(c, e, regs);
    case NFE_META_SET:
        return meta_set(c, e, regs);
    case NFE_CT:
        return ct_get(c, e, regs);
    case NFE_CT_SET:
        return ct_set(c, e, regs);
    case NFE_CMP:
        return cmp(e, regs);
    case NFE_RANGE:
        return range(e, regs);
    case NFE_BITWISE:
        return bitwise(e, regs);
    case NFE_BYTEORDER:
        return byteorder(e, regs);
    case NFE_IMMEDIATE:
        memcpy(regs + e->dreg, e->data[0], e->len);
        return GO_ON;
    case NFE_VERDICT:
        return e->verdict;
    case NFE_LOOKUP:
        return lookup(t, e, regs);
    case NFE_COUNTER:
        e->count.packets++;
        e->count.bytes += c->p->len - c->p->net_off;
        return GO_ON;
    case NFE_LIMIT:
        return nf_limit_ok(c, e) != e->invert ? GO_ON : LEAVE;
    case NFE_LOG: /* there is no kernel log to write to */
        return GO_ON;
    case NFE_REJECT:
        return reject(c, e);
    case NFE_NAT:
    case NFE_MASQ:
    case NFE_REDIR:
        return translate(c, e, regs);
    case NFE_FIB:
        return fib(c, e, regs);
    case NFE_NOTRACK:
        if (!c->p->ct)
            c->p->ct_info = CT_UNTRACKED;
        return GO_ON;
    case NFE_IP_MATCH:
        return nf_xt_ip_match(c, e) ? GO_ON : LEAVE;
    case NFE_MATCH: {
        bool yes = nf_xt_match_run(c, e, &drop);
        return drop ? (struct nf_verdict){.code = NF_DROP} : yes ? GO_ON : LEAVE;
    }
    case NFE_TARGET:
        return nf_xt_target_run(c, e);
    }
    return LEAVE;
}
