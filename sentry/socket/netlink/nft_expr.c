/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/nft_expr.c: nf_tables' expressions, to and from messages. One table says which
 * attribute is which member of struct nf_expr; what a table cannot say is beside it. Everything here is what
 * some program sent: lengths and registers are checked before the engine sees them.
 * Source: libnftnl, nft(8) with --debug=netlink.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "netstack/filter/nf_abi.h"
#include "sentry/heap/heap.h"
#include "sentry/socket/netlink/nfnetlink.h"

enum { EXPR_NAME = 1, EXPR_DATA = 2, DATA_VALUE = 1, DATA_VERDICT = 2, VERDICT_CODE = 1, VERDICT_CHAIN = 2 };
enum { LOOKUP_SET = 1, LOOKUP_SET_ID = 4, ATTR_MAX = 8, FIELDS_MAX = 8, LOG_WARNING = 4 };
enum { RULE_COMPAT = 5, COMPAT_PROTO = 1, COMPAT_FLAGS = 2, COMPAT_INVERTED = 2 };
enum { XT_EXT_NAME = 1, XT_EXT_REV = 2, XT_EXT_INFO = 3 };

enum format {
    F_END,
    F_REG,     /* a register: member holds its byte offset */
    F_REG_OPT, /* likewise; absent: NF_NO_REG */
    F_U32,
    F_U8,       /* a 32-bit number in the message, 8 bits here */
    F_BYTE,     /* 8 bits in both */
    F_BYTE_U32, /* 8 bits in the message, 32 here */
    F_U64,
    F_BURST, /* 32 bits in the message, 64 here */
    F_DATA,
    F_COUNT, /* written, and read if it is there */
    F_INVERT,
};

struct field {
    uint8_t attr, format;
    bool required;
    uint16_t at;
};
#define AT(m) offsetof(struct nf_expr, m)

struct codec {
    const char *name;
    uint8_t kind;
    uint8_t when; /* this attribute is there; 0: always */
    struct field f[FIELDS_MAX];
};

/* The first row of a name whose `when` holds counts. tidy: table */
static const struct codec codecs[] = {
    {"payload",
     NFE_PAYLOAD_SET,
     5,
     {{5, F_REG, true, AT(sreg)},
      {2, F_U32, true, AT(key)},
      {3, F_U32, true, AT(offset)},
      {4, F_U32, true, AT(len)},
      {6, F_U8, false, AT(csum_type)},
      {7, F_U32, false, AT(csum_offset)},
      {8, F_U8, false, AT(csum_flags)}}},
    {"payload",
     NFE_PAYLOAD,
     0,
     {{1, F_REG, true, AT(dreg)},
      {2, F_U32, true, AT(key)},
      {3, F_U32, true, AT(offset)},
      {4, F_U32, true, AT(len)}}},
    {"meta", NFE_META_SET, 3, {{2, F_U32, true, AT(key)}, {3, F_REG, true, AT(sreg)}}},
    {"meta", NFE_META, 0, {{2, F_U32, true, AT(key)}, {1, F_REG, true, AT(dreg)}}},
    {"ct", NFE_CT_SET, 4, {{2, F_U32, true, AT(key)}, {4, F_REG, true, AT(sreg)}}},
    {"ct", NFE_CT, 0, {{1, F_REG, true, AT(dreg)}, {2, F_U32, true, AT(key)}, {3, F_BYTE, false, AT(dir)}}},
    {"cmp",
     NFE_CMP,
     0,
     {{1, F_REG, true, AT(sreg)}, {2, F_U8, true, AT(op)}, {3, F_DATA, true, AT(data[0])}}},
    {"range",
     NFE_RANGE,
     0,
     {{1, F_REG, true, AT(sreg)},
      {2, F_INVERT, true, AT(invert)},
      {3, F_DATA, true, AT(data[0])},
      {4, F_DATA, true, AT(data[1])}}},
    {"bitwise",
     NFE_BITWISE,
     0,
     {{1, F_REG, true, AT(sreg)},
      {2, F_REG, true, AT(dreg)},
      {3, F_U32, true, AT(len)},
      {6, F_U8, false, AT(op)}}},
    {"byteorder",
     NFE_BYTEORDER,
     0,
     {{1, F_REG, true, AT(sreg)},
      {2, F_REG, true, AT(dreg)},
      {3, F_U8, true, AT(op)},
      {4, F_U32, true, AT(len)},
      {5, F_U8, true, AT(size)}}},
    {"lookup", NFE_LOOKUP, 0, {{2, F_REG, true, AT(sreg)}, {5, F_INVERT, false, AT(invert)}}},
    {"counter",
     NFE_COUNTER,
     0,
     {{1, F_COUNT, false, AT(count.bytes)}, {2, F_COUNT, false, AT(count.packets)}}},
    {"limit",
     NFE_LIMIT,
     0,
     {{1, F_U64, true, AT(rate)},
      {2, F_U64, true, AT(unit_ns)},
      {3, F_BURST, false, AT(burst)},
      {4, F_U8, false, AT(op)},
      {5, F_INVERT, false, AT(invert)}}},
    {"reject", NFE_REJECT, 0, {{1, F_U8, true, AT(op)}, {2, F_BYTE_U32, false, AT(key)}}},
    {"nat",
     NFE_NAT,
     0,
     {{1, F_U8, true, AT(op)},
      {2, F_U32, true, AT(key)},
      {3, F_REG_OPT, false, AT(sreg)},
      {4, F_REG_OPT, false, AT(sreg_max)},
      {5, F_REG_OPT, false, AT(sreg2)},
      {6, F_REG_OPT, false, AT(sreg2_max)},
      {7, F_U32, false, AT(flags)}}},
    {"masq",
     NFE_MASQ,
     0,
     {{1, F_U32, false, AT(flags)}, {2, F_REG_OPT, false, AT(sreg2)}, {3, F_REG_OPT, false, AT(sreg2_max)}}},
    {"redir",
     NFE_REDIR,
     0,
     {{1, F_REG_OPT, false, AT(sreg2)}, {2, F_REG_OPT, false, AT(sreg2_max)}, {3, F_U32, false, AT(flags)}}},
    {"fib", NFE_FIB, 0, {{1, F_REG, true, AT(dreg)}, {2, F_U32, true, AT(key)}, {3, F_U32, true, AT(flags)}}},
    {"notrack", NFE_NOTRACK, 0, {{0}}},
    {"log", NFE_LOG, 0, {{5, F_U8, false, AT(op)}, {6, F_U32, false, AT(flags)}}},
    {"immediate", NFE_IMMEDIATE, 0, {{0}}},
    {"match", NFE_MATCH, 0, {{0}}},
    {"target", NFE_TARGET, 0, {{0}}},
};

/* ---- registers and data ---- */

/* Registers 1-4 have 16 bytes each, 8-23 have 4: the same 64 bytes. */
static int reg_offset(uint32_t reg, uint8_t *ret) {
    if (reg >= 1 && reg <= 4)
        *ret = (uint8_t)((reg - 1) * 16);
    else if (reg >= 8 && reg <= 23)
        *ret = (uint8_t)((reg - 8) * 4);
    else
        return -EINVAL;
    return 0;
}

static uint32_t reg_number(uint8_t offset) {
    return offset % 16 == 0 ? offset / 16u + 1 : offset / 4u + 8;
}

int nft_decode_data(struct nf_table *t, const struct nl_attr *a, uint8_t value[NF_REG_BYTES],
                    uint32_t *ret_len, struct nf_verdict *ret) {
    struct nl_attr d[DATA_VERDICT + 1], v[VERDICT_CHAIN + 1];
    char name[NF_LONG_NAME];
    uint32_t code;
    int rc = nl_parse(a->data, a->len, d, DATA_VERDICT);
    if (rc < 0)
        return rc;
    if (d[DATA_VALUE].data) {
        if (d[DATA_VALUE].len == 0 || d[DATA_VALUE].len > NF_REG_BYTES)
            return -EINVAL;
        memset(value, 0, NF_REG_BYTES);
        memcpy(value, d[DATA_VALUE].data, d[DATA_VALUE].len);
        *ret_len = (uint32_t)d[DATA_VALUE].len;
        return 0;
    }
    if (!d[DATA_VERDICT].data)
        return -EINVAL;
    rc = nl_parse(d[DATA_VERDICT].data, d[DATA_VERDICT].len, v, VERDICT_CHAIN);
    if (rc < 0 || !nfa_u32(&v[VERDICT_CODE], &code))
        return rc < 0 ? rc : -EINVAL;
    *ret_len = UINT32_MAX;
    *ret = (struct nf_verdict){.code = (int)code};
    if (ret->code == NF_JUMP || ret->code == NF_GOTO) {
        rc = nfa_name(&v[VERDICT_CHAIN], name);
        struct nf_chain *c = rc == 0 ? nf_chain_find(t, name) : NULL;
        if (!c)
            return rc < 0 ? rc : -ENOENT;
        if (c->base)
            return -EOPNOTSUPP;
        ret->chain = c->id;
        return 0;
    }
    return ret->code == NF_DROP || ret->code == NF_ACCEPT || ret->code == NF_CONTINUE ||
                   ret->code == NF_BREAK || ret->code == NF_RETURN
               ? 0
               : -EINVAL;
}

void nft_put_data(struct nl_out *o, uint16_t type, const uint8_t *value, uint32_t len) {
    size_t nest = nfa_nest(o, type);
    nl_put(o, DATA_VALUE, value, len);
    nl_nest_end(o, nest);
}

void nft_put_verdict(struct nl_out *o, uint16_t type, const struct nf_table *t, const struct nf_verdict *v) {
    size_t nest = nfa_nest(o, type), inner = nfa_nest(o, DATA_VERDICT);
    nfa_put_u32(o, VERDICT_CODE, (uint32_t)v->code);
    if ((v->code == NF_JUMP || v->code == NF_GOTO) && t->chains[v->chain])
        nl_put_string(o, VERDICT_CHAIN, t->chains[v->chain]->name);
    nl_nest_end(o, inner);
    nl_nest_end(o, nest);
}

/* ---- fields ---- */

static int decode_data_field(struct nf_table *t, const struct nl_attr *a, const struct field *f,
                             struct nf_expr *e) {
    struct nf_verdict v;
    uint32_t len, old = e->len;
    int rc = nft_decode_data(t, a, (uint8_t *)e + f->at, &len, &v);
    if (rc < 0 || len == UINT32_MAX || (old && old != len))
        return rc < 0 ? rc : -EINVAL;
    e->len = len;
    return 0;
}

static int decode_field(struct nf_table *t, const struct nl_attr *a, const struct field *f,
                        struct nf_expr *e) {
    uint8_t *at = (uint8_t *)e + f->at;
    uint32_t v = 0;
    uint64_t wide;
    if (f->format == F_DATA)
        return decode_data_field(t, a, f, e);
    if (f->format == F_BYTE || f->format == F_BYTE_U32) {
        if (a->len < 1)
            return -EINVAL;
        v = a->data[0];
        memcpy(at, &v, f->format == F_BYTE ? 1 : 4);
        return 0;
    }
    if (f->format == F_U64 || f->format == F_COUNT) {
        if (!nfa_u64(a, &wide))
            return -EINVAL;
        memcpy(at, &wide, sizeof wide);
        return 0;
    }
    if (!nfa_u32(a, &v))
        return -EINVAL;
    switch (f->format) {
    case F_REG:
    case F_REG_OPT:
        return reg_offset(v, at);
    case F_U8:
        *at = (uint8_t)v;
        return v > 255 ? -ERANGE : 0;
    case F_INVERT:
        *at = (uint8_t)(v & 1);
        return v > 1 ? -EINVAL : 0;
    case F_BURST:
        wide = v;
        memcpy(at, &wide, sizeof wide);
        return 0;
    default:
        memcpy(at, &v, sizeof v);
        return 0;
    }
}

static void put_field(struct nl_out *o, const struct field *f, const struct nf_expr *e) {
    const uint8_t *at = (const uint8_t *)e + f->at;
    uint32_t v;
    uint64_t wide;
    switch (f->format) {
    case F_REG:
    case F_REG_OPT:
        if (*at != NF_NO_REG)
            nfa_put_u32(o, f->attr, reg_number(*at));
        return;
    case F_U8:
    case F_INVERT:
        nfa_put_u32(o, f->attr, *at);
        return;
    case F_BYTE:
        if (*at != 0xff)
            nl_put_u8(o, f->attr, *at);
        return;
    case F_BYTE_U32:
        nl_put_u8(o, f->attr, *at);
        return;
    case F_U64:
    case F_COUNT:
        memcpy(&wide, at, sizeof wide);
        nfa_put_u64(o, f->attr, wide);
        return;
    case F_BURST:
        memcpy(&wide, at, sizeof wide);
        nfa_put_u32(o, f->attr, (uint32_t)wide);
        return;
    case F_DATA:
        nft_put_data(o, f->attr, at, e->len);
        return;
    default:
        memcpy(&v, at, sizeof v);
        nfa_put_u32(o, f->attr, v);
    }
}

/* ---- what the table does not say ---- */

/* Bytes that an expression writes at its destination register. */
static uint32_t result_width(const struct nf_expr *e) {
    switch (e->kind) {
    case NFE_META:
        return e->key == NFT_META_IIFNAME || e->key == NFT_META_OIFNAME ? 16 : 4;
    case NFE_CT:
        return e->key == NFT_CT_PKTS || e->key == NFT_CT_BYTES ? 8
               : e->key == NFT_CT_SRC || e->key == NFT_CT_DST || e->key == NFT_CT_SRC_IP6 ||
                       e->key == NFT_CT_DST_IP6
                   ? 16
                   : 4;
    case NFE_FIB:
        return e->key == NFT_FIB_OIFNAME ? 16 : 4;
    default:
        return (e->len + 3) & ~3u;
    }
}

static bool reg_fits(uint32_t offset, uint32_t len) {
    return len > 0 && len <= NF_REG_BYTES && offset + len <= NF_REG_BYTES;
}

static bool ct_key_known(const struct nf_expr *e) {
    switch (e->key) {
    case NFT_CT_STATE:
    case NFT_CT_DIRECTION:
    case NFT_CT_STATUS:
    case NFT_CT_MARK:
    case NFT_CT_EXPIRATION:
    case NFT_CT_L3PROTOCOL:
    case NFT_CT_PKTS:
    case NFT_CT_BYTES:
    case NFT_CT_ZONE:
    case NFT_CT_ID:
        return true;
    case NFT_CT_SRC:
    case NFT_CT_DST:
    case NFT_CT_PROTOCOL:
    case NFT_CT_PROTO_SRC:
    case NFT_CT_PROTO_DST:
    case NFT_CT_SRC_IP:
    case NFT_CT_DST_IP:
    case NFT_CT_SRC_IP6:
    case NFT_CT_DST_IP6:
        return e->dir <= 1;
    default:
        return false;
    }
}

static bool meta_key_known(uint32_t key) {
    return key <= NFT_META_SKGID || key == NFT_META_NFPROTO || key == NFT_META_L4PROTO ||
           key == NFT_META_PKTTYPE || key == NFT_META_CPU || key == NFT_META_IIFGROUP ||
           key == NFT_META_OIFGROUP || key == NFT_META_PRANDOM;
}

/* Addresses and ports that translation takes from registers. */
static int check_nat(struct nf_expr *e, const struct nf_chain *c) {
    if (c->base && c->type != NF_CHAIN_NAT)
        return -EOPNOTSUPP;
    if (e->sreg_max == NF_NO_REG)
        e->sreg_max = e->sreg;
    if (e->sreg2_max == NF_NO_REG)
        e->sreg2_max = e->sreg2;
    uint32_t n = e->key == NF_FAMILY_IPV4 ? 4 : 16;
    if (e->kind == NFE_NAT && e->op > 1)
        return -EINVAL;
    if (e->kind == NFE_NAT && e->key != NF_FAMILY_IPV4 && e->key != NF_FAMILY_IPV6)
        return -EAFNOSUPPORT;
    if (e->sreg != NF_NO_REG && (!reg_fits(e->sreg, n) || !reg_fits(e->sreg_max, n)))
        return -EINVAL;
    if (e->sreg2 != NF_NO_REG && (!reg_fits(e->sreg2, 2) || !reg_fits(e->sreg2_max, 2)))
        return -EINVAL;
    return e->flags & ~0x1fu ? -EOPNOTSUPP : 0;
}

/* tidy: table */
static int check(struct nf_expr *e, const struct nf_chain *c) {
    switch (e->kind) {
    case NFE_PAYLOAD:
    case NFE_PAYLOAD_SET:
        if (e->key > NFT_PAYLOAD_TRANSPORT)
            return -EOPNOTSUPP;
        if (e->offset > 65535 || e->csum_type > 1 || e->csum_offset > 255)
            return -EINVAL;
        return reg_fits(e->kind == NFE_PAYLOAD ? e->dreg : e->sreg, e->len) &&
                       reg_fits(e->dreg, (e->len + 3) & ~3u)
                   ? 0
                   : -EINVAL;
    case NFE_META:
        return !meta_key_known(e->key) ? -EOPNOTSUPP : reg_fits(e->dreg, result_width(e)) ? 0 : -EINVAL;
    case NFE_META_SET:
        return e->key != NFT_META_MARK && e->key != NFT_META_NFTRACE && e->key != NFT_META_PRIORITY
                   ? -EOPNOTSUPP
                   : 0;
    case NFE_CT:
        return !ct_key_known(e) ? -EOPNOTSUPP : reg_fits(e->dreg, result_width(e)) ? 0 : -EINVAL;
    case NFE_CT_SET:
        return e->key == NFT_CT_MARK ? 0 : -EOPNOTSUPP;
    case NFE_CMP:
        return e->op > NFT_CMP_GTE || !reg_fits(e->sreg, e->len) ? -EINVAL : 0;
    case NFE_RANGE:
        return !reg_fits(e->sreg, e->len) ? -EINVAL : 0;
    case NFE_BITWISE:
        return !reg_fits(e->sreg, (e->len + 3) & ~3u) || !reg_fits(e->dreg, (e->len + 3) & ~3u) ? -EINVAL : 0;
    case NFE_BYTEORDER:
        if ((e->size != 2 && e->size != 4 && e->size != 8) || e->op > 1)
            return -EINVAL;
        return !reg_fits(e->sreg, e->len) || !reg_fits(e->dreg, e->len) || e->len % e->size ? -EINVAL : 0;
    case NFE_LIMIT:
        if (e->rate == 0 || e->op > 1 || e->unit_ns == 0 || e->unit_ns > 7 * 86400u)
            return -EINVAL;
        e->unit_ns *= 1000000000u;
        if (e->op == 0 && e->burst == 0)
            e->burst = 5;
        return 0;
    case NFE_REJECT:
        return e->op > NFT_REJECT_ICMPX || (e->op == NFT_REJECT_ICMPX && e->key > 3) || e->key > 255 ? -EINVAL
                                                                                                     : 0;
    case NFE_NAT:
    case NFE_MASQ:
    case NFE_REDIR:
        return check_nat(e, c);
    case NFE_FIB:
        if (e->key < NFT_FIB_OIF || e->key > NFT_FIB_ADDRTYPE || e->flags & ~63u)
            return -EINVAL;
        return reg_fits(e->dreg, result_width(e)) ? 0 : -EINVAL;
    default:
        return 0;
    }
}

static int decode_bitwise(struct nf_table *t, const struct nl_attr *a, struct nf_expr *e) {
    struct nf_verdict v;
    uint32_t len;
    if (e->op == NFT_BITWISE_BOOL) {
        if (!a[4].data || !a[5].data)
            return -EINVAL;
        for (int i = 0; i < 2; i++) {
            int rc = nft_decode_data(t, &a[4 + i], e->data[i], &len, &v);
            if (rc < 0 || len != e->len)
                return rc < 0 ? rc : -EINVAL;
        }
        return 0;
    }
    if (e->op > NFT_BITWISE_RSHIFT || !a[7].data)
        return -EINVAL;
    int rc = nft_decode_data(t, &a[7], e->data[0], &len, &v);
    return rc < 0 ? rc : len == 4 ? 0 : -EINVAL;
}

static int decode_immediate(struct nf_table *t, const struct nl_attr *a, struct nf_expr *e) {
    uint32_t reg, len;
    if (!nfa_u32(&a[1], &reg) || !a[2].data)
        return -EINVAL;
    int rc = nft_decode_data(t, &a[2], e->data[0], &len, &e->verdict);
    if (rc < 0)
        return rc;
    if (len == UINT32_MAX) {
        e->kind = NFE_VERDICT;
        return reg == 0 ? 0 : -EINVAL;
    }
    e->len = len;
    rc = reg_offset(reg, &e->dreg);
    return rc < 0 ? rc : reg_fits(e->dreg, len) ? 0 : -EINVAL;
}

static int decode_lookup(struct nf_table *t, const struct nl_attr *a, struct nf_expr *e) {
    struct nf_set *s = nft_find_set(t, &a[LOOKUP_SET], &a[LOOKUP_SET_ID]);
    uint32_t reg;
    if (!s)
        return -ENOENT;
    for (e->set = 0; t->sets[e->set] != s;)
        e->set++;
    if (!reg_fits(e->sreg, s->key_len))
        return -EINVAL;
    e->has_dreg = nfa_u32(&a[3], &reg);
    if (!e->has_dreg)
        return s->flags & NF_SET_MAP ? -EINVAL : 0;
    if (!(s->flags & NF_SET_MAP) || e->invert)
        return -EINVAL;
    e->dreg = 0;
    if (s->data_type == NFT_DATA_VERDICT)
        return reg == 0 ? 0 : -EINVAL;
    int rc = reg_offset(reg, &e->dreg);
    return rc < 0 ? rc : reg_fits(e->dreg, s->data_len) ? 0 : -EINVAL;
}

/* The protocol that an iptables rule asks for, which its extensions are checked against. */
static int decode_compat(struct nft_request *q, struct nf_xt_use *use) {
    struct nl_attr a[COMPAT_FLAGS + 1];
    uint32_t proto, flags;
    if (!q->a[RULE_COMPAT].data)
        return 0;
    int rc = nl_parse(q->a[RULE_COMPAT].data, q->a[RULE_COMPAT].len, a, COMPAT_FLAGS);
    if (rc < 0 || !nfa_u32(&a[COMPAT_PROTO], &proto) || !nfa_u32(&a[COMPAT_FLAGS], &flags))
        return rc < 0 ? rc : -EINVAL;
    use->proto = (uint8_t)proto;
    use->proto_inverted = flags & COMPAT_INVERTED;
    return 0;
}

static int decode_xt(struct nft_request *q, const struct nf_chain *c, const struct nl_attr *a,
                     struct nf_expr *e) {
    static const char *const tables[] = {"filter", "nat", NULL};
    char name[NF_LONG_NAME];
    uint32_t rev;
    int best, family = q->family == NF_FAMILY_IPV6 ? NS_AF_INET6 : NS_AF_INET,
              rc = nfa_name(&a[XT_EXT_NAME], name);
    if (rc < 0 || !nfa_u32(&a[XT_EXT_REV], &rev) || !a[XT_EXT_INFO].data || a[XT_EXT_INFO].len > NF_EXT_MAX)
        return rc < 0 ? rc : -EINVAL;
    if (q->family == NF_FAMILY_INET)
        return -EOPNOTSUPP;
    e->xt = nf_xt_find(name, (uint8_t)rev, family, e->kind == NFE_TARGET, &best);
    if (!e->xt)
        return -ENOENT;
    e->ext = (uint8_t *)(uintptr_t)a[XT_EXT_INFO].data; /* copied by nf_rule_new() */
    e->ext_len = (uint32_t)a[XT_EXT_INFO].len;
    struct nf_xt_use use = {.family = family, .hooks = c->base ? 1u << c->hook : 0};
    use.table = c->base ? tables[c->type] : NULL;
    rc = decode_compat(q, &use);
    if (rc < 0)
        return rc;
    _Alignas(8) uint8_t aligned[NF_EXT_MAX]; /* messages align to 4 */
    memcpy(aligned, e->ext, e->ext_len);
    return nf_xt_check(e->xt, &use, aligned, e->ext_len);
}

static int decode_special(struct nft_request *q, struct nf_table *t, const struct nf_chain *c,
                          const struct nl_attr *a, struct nf_expr *e) {
    switch (e->kind) {
    case NFE_BITWISE:
        return decode_bitwise(t, a, e);
    case NFE_IMMEDIATE:
        return decode_immediate(t, a, e);
    case NFE_LOOKUP:
        return decode_lookup(t, a, e);
    case NFE_MATCH:
    case NFE_TARGET:
        return decode_xt(q, c, a, e);
    case NFE_LOG:
        if (a[2].data && a[2].len <= 128) {
            e->ext = (uint8_t *)(uintptr_t)a[2].data;
            e->ext_len = (uint32_t)a[2].len;
        }
        return a[1].data ? -EOPNOTSUPP : 0; /* to a netlink group: nobody would hear */
    default:
        return 0;
    }
}

static const struct codec *codec_of(const char *name, const struct nl_attr *a) {
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++)
        if (strcmp(codecs[i].name, name) == 0 && (codecs[i].when == 0 || a[codecs[i].when].data))
            return &codecs[i];
    return NULL;
}

static int decode_expr(struct nft_request *q, struct nf_table *t, const struct nf_chain *c,
                       const struct nl_attr *elem, struct nf_expr *e) {
    struct nl_attr x[EXPR_DATA + 1], a[ATTR_MAX + 1] = {{0}};
    char name[NF_LONG_NAME];
    int rc = nl_parse(elem->data, elem->len, x, EXPR_DATA);
    if (rc == 0)
        rc = nfa_name(&x[EXPR_NAME], name);
    if (rc == 0 && x[EXPR_DATA].data)
        rc = nl_parse(x[EXPR_DATA].data, x[EXPR_DATA].len, a, ATTR_MAX);
    if (rc < 0)
        return rc;
    const struct codec *k = codec_of(name, a);
    if (!k)
        return -ENOENT;
    *e = (struct nf_expr){.kind = k->kind, .dir = 0xff};
    if (k->kind == NFE_LOG)
        e->op = LOG_WARNING;
    if (k->kind == NFE_NAT || k->kind == NFE_MASQ || k->kind == NFE_REDIR)
        e->sreg = e->sreg_max = e->sreg2 = e->sreg2_max = NF_NO_REG;
    for (const struct field *f = k->f; f < k->f + FIELDS_MAX && f->format != F_END && rc == 0; f++) {
        if (a[f->attr].data)
            rc = decode_field(t, &a[f->attr], f, e);
        else if (f->required)
            rc = -EINVAL;
    }
    if (rc == 0)
        rc = decode_special(q, t, c, a, e);
    return rc < 0 ? rc : check(e, c);
}

int nft_decode_exprs(struct nft_request *q, struct nf_table *t, const struct nf_chain *c,
                     const struct nl_attr *list, struct nf_expr **ret) {
    const unsigned char *at = list->data;
    size_t left = list->data ? list->len : 0;
    uint16_t type;
    struct nl_attr elem;
    int n = 0, rc = 0;
    struct nf_expr *e = heap_alloc_bytes(NF_EXPRS_MAX * sizeof *e);
    *ret = e;
    if (!e)
        return -ENOMEM;
    while (rc == 0 && nfa_next(&at, &left, &type, &elem)) {
        if (type != NFA_LIST_ELEM || n == NF_EXPRS_MAX)
            return -EINVAL;
        rc = decode_expr(q, t, c, &elem, &e[n++]);
    }
    return rc < 0 ? rc : n;
}

/* ---- writing ---- */

static void put_special(struct nl_out *o, const struct nf_table *t, const struct nf_expr *e) {
    switch (e->kind) {
    case NFE_BITWISE:
        if (e->op == NFT_BITWISE_BOOL) {
            nft_put_data(o, 4, e->data[0], e->len);
            nft_put_data(o, 5, e->data[1], e->len);
        } else {
            nft_put_data(o, 7, e->data[0], 4);
        }
        break;
    case NFE_IMMEDIATE:
        nfa_put_u32(o, 1, reg_number(e->dreg));
        nft_put_data(o, 2, e->data[0], e->len);
        break;
    case NFE_VERDICT:
        nfa_put_u32(o, 1, 0);
        nft_put_verdict(o, 2, t, &e->verdict);
        break;
    case NFE_LOOKUP:
        nl_put_string(o, LOOKUP_SET, t->sets[e->set]->name);
        if (e->has_dreg)
            nfa_put_u32(o, 3, t->sets[e->set]->data_type == NFT_DATA_VERDICT ? 0 : reg_number(e->dreg));
        break;
    case NFE_MATCH:
    case NFE_TARGET:
        nl_put_string(o, XT_EXT_NAME, nf_xt_name(e->xt));
        nfa_put_u32(o, XT_EXT_REV, nf_xt_revision(e->xt));
        nl_put(o, XT_EXT_INFO, e->ext, e->ext_len);
        break;
    case NFE_LOG:
        if (e->ext_len)
            nl_put(o, 2, e->ext, e->ext_len);
        break;
    }
}

static const struct codec *codec_by_kind(uint8_t kind) {
    if (kind == NFE_VERDICT)
        kind = NFE_IMMEDIATE;
    for (size_t i = 0; i < ARRAY_SIZE(codecs); i++)
        if (codecs[i].kind == kind)
            return &codecs[i];
    return NULL;
}

void nft_put_exprs(struct nl_out *o, const struct nf_table *t, const struct nf_rule *rule) {
    for (uint32_t i = 0; i < rule->expr_count; i++) {
        struct nf_expr e = rule->exprs[i];
        const struct codec *k = codec_by_kind(e.kind);
        if (!k)
            continue;
        if (e.kind == NFE_LIMIT)
            e.unit_ns /= 1000000000u;
        size_t elem = nfa_nest(o, NFA_LIST_ELEM);
        nl_put_string(o, EXPR_NAME, k->name);
        size_t data = nfa_nest(o, EXPR_DATA);
        for (const struct field *f = k->f; f < k->f + FIELDS_MAX && f->format != F_END; f++)
            put_field(o, f, &e);
        put_special(o, t, &e);
        nl_nest_end(o, data);
        nl_nest_end(o, elem);
    }
}
