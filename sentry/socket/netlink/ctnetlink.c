/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/ctnetlink.c: the table of connections as conntrack(8) lists, counts and clears it.
 * Entries cannot be made or changed, events are not sent.
 */
#include <errno.h>
#include <string.h>

#include "sentry/socket/netlink/nfnetlink.h"

enum { CT_NEW, CT_GET, CT_DELETE, CT_GET_CTRZERO, CT_GET_STATS_CPU, CT_GET_STATS };
enum {
    CTA_TUPLE_ORIG = 1,
    CTA_TUPLE_REPLY = 2,
    CTA_STATUS = 3,
    CTA_PROTOINFO = 4,
    CTA_TIMEOUT = 7,
    CTA_MARK = 8,
    CTA_COUNTERS_ORIG = 9,
    CTA_USE = 11,
    CTA_ID = 12,
    CTA_MAX = 12,
    CTA_TUPLE_IP = 1,
    CTA_TUPLE_PROTO = 2,
    CTA_IP_V4_SRC = 1,
    CTA_IP_V6_SRC = 3,
    CTA_PROTO_NUM = 1,
    CTA_PROTO_SRC_PORT = 2,
    CTA_PROTO_DST_PORT = 3,
    CTA_PROTO_ICMP_ID = 4,
    CTA_PROTO_ICMPV6_ID = 7,
    CTA_PROTO_MAX = 9,
    CTA_PROTOINFO_TCP = 1,
    CTA_PROTOINFO_TCP_STATE = 1,
    CTA_COUNTERS_PACKETS = 1,
    CTA_COUNTERS_BYTES = 2,
    STATS_GLOBAL_ENTRIES = 1,
    PROTO_ICMP = 1,
    PROTO_TCP = 6,
    PROTO_ICMPV6 = 58,
};

static void put_be16_attr(struct nl_out *o, uint16_t type, uint16_t v) {
    uint8_t be[2];
    put_be16(be, v);
    nl_put(o, type, be, sizeof be);
}

static void put_tuple(struct nl_out *o, const struct nf_conn_info *i, int d) {
    bool v4 = ipa_is_v4(&i->src[d]);
    size_t tuple = nfa_nest(o, (uint16_t)(CTA_TUPLE_ORIG + d)), ip = nfa_nest(o, CTA_TUPLE_IP);
    nl_put_ip(o, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, &i->src[d]);
    nl_put_ip(o, (v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC) + 1, &i->dst[d]);
    nl_nest_end(o, ip);
    size_t proto = nfa_nest(o, CTA_TUPLE_PROTO);
    nl_put_u8(o, CTA_PROTO_NUM, i->proto);
    if (i->proto == PROTO_ICMP || i->proto == PROTO_ICMPV6) {
        uint16_t id = i->proto == PROTO_ICMP ? CTA_PROTO_ICMP_ID : CTA_PROTO_ICMPV6_ID;
        put_be16_attr(o, id, i->icmp_id);
        nl_put_u8(o, id + 1, i->icmp_type[d]);
        nl_put_u8(o, id + 2, i->icmp_code[d]);
    } else {
        put_be16_attr(o, CTA_PROTO_SRC_PORT, i->sport[d]);
        put_be16_attr(o, CTA_PROTO_DST_PORT, i->dport[d]);
    }
    nl_nest_end(o, proto);
    nl_nest_end(o, tuple);
}

struct dump {
    struct netlink_request *r;
    uint8_t family;
};

static void one(void *ctx, const struct nf_conn_info *i) {
    struct dump *d = ctx;
    struct nl_out *o = &d->r->out;
    struct nfgenmsg g = {.family = ipa_is_v4(&i->src[0]) ? NF_FAMILY_IPV4 : NF_FAMILY_IPV6};
    if (d->family && d->family != g.family)
        return;
    nl_begin(o, NF_SUBSYS_CONNTRACK << 8 | CT_NEW, LINUX_NLM_F_MULTI, &g, sizeof g);
    put_tuple(o, i, 0);
    put_tuple(o, i, 1);
    nfa_put_u32(o, CTA_STATUS, i->status);
    nfa_put_u32(o, CTA_TIMEOUT, i->timeout_s);
    nfa_put_u32(o, CTA_MARK, i->mark);
    nfa_put_u32(o, CTA_USE, i->use);
    nfa_put_u32(o, CTA_ID, i->id);
    if (i->proto == PROTO_TCP) {
        size_t info = nfa_nest(o, CTA_PROTOINFO), tcp = nfa_nest(o, CTA_PROTOINFO_TCP);
        nl_put_u8(o, CTA_PROTOINFO_TCP_STATE, i->tcp_state);
        nl_nest_end(o, tcp);
        nl_nest_end(o, info);
    }
    nl_end(o);
}

/* A tuple as put_tuple() writes it. */
static int get_tuple(const struct nl_attr *a, uint8_t family, int d, struct nf_conn_info *ret) {
    struct nl_attr t[CTA_TUPLE_PROTO + 1], ip[5], proto[CTA_PROTO_MAX + 1];
    int af = family == NF_FAMILY_IPV4 ? NS_AF_INET : NS_AF_INET6, base = af == NS_AF_INET ? 1 : 3;
    int rc = nl_parse(a->data, a->len, t, CTA_TUPLE_PROTO);
    if (rc == 0)
        rc = nl_parse(t[CTA_TUPLE_IP].data, t[CTA_TUPLE_IP].len, ip, 4);
    if (rc == 0)
        rc = nl_parse(t[CTA_TUPLE_PROTO].data, t[CTA_TUPLE_PROTO].len, proto, CTA_PROTO_MAX);
    if (rc == 0)
        rc = nl_ip(&ip[base], af, &ret->src[d]);
    if (rc == 0)
        rc = nl_ip(&ip[base + 1], af, &ret->dst[d]);
    if (rc < 0 || !proto[CTA_PROTO_NUM].data || proto[CTA_PROTO_NUM].len < 1)
        return rc < 0 ? rc : -EINVAL;
    ret->proto = proto[CTA_PROTO_NUM].data[0];
    int id = ret->proto == PROTO_ICMP ? CTA_PROTO_ICMP_ID : CTA_PROTO_ICMPV6_ID;
    bool icmp = ret->proto == PROTO_ICMP || ret->proto == PROTO_ICMPV6;
    const struct nl_attr *s = &proto[icmp ? id : CTA_PROTO_SRC_PORT],
                         *e = &proto[icmp ? id + 1 : CTA_PROTO_DST_PORT];
    if (!s->data || !e->data || s->len < 2 || e->len < (icmp ? 1u : 2u))
        return -EINVAL;
    ret->sport[d] = get_be16(s->data);
    ret->dport[d] = icmp ? (uint16_t)(e->data[0] << 8) : get_be16(e->data);
    return 0;
}

static int delete (struct netlink_request *r, uint8_t family) {
    struct nl_attr a[CTA_MAX + 1];
    struct nf_conn_info like = {0};
    struct netns *ns = r->net->netns;
    int rc = nl_parse(r->payload + sizeof(struct nfgenmsg), r->size - sizeof(struct nfgenmsg), a, CTA_MAX);
    if (rc < 0)
        return rc;
    int d = a[CTA_TUPLE_ORIG].data ? 0 : 1;
    bool all = !a[CTA_TUPLE_ORIG].data && !a[CTA_TUPLE_REPLY].data;
    if (!all)
        rc = get_tuple(&a[CTA_TUPLE_ORIG + d], family, d, &like);
    if (rc < 0)
        return rc;
    nf_lock(ns);
    if (all)
        nf_conn_flush(ns, family == NF_FAMILY_IPV4 ? NS_AF_INET : family == NF_FAMILY_IPV6 ? NS_AF_INET6 : 0);
    else
        rc = nf_conn_del(ns, &like, d);
    nf_unlock(ns);
    return rc;
}

int ctnetlink_request(struct netlink_request *r, uint8_t family) {
    struct netns *ns = r->net->netns;
    struct dump d = {r, family};
    struct nfgenmsg g = {0};
    switch (r->h.type & 0xff) {
    case CT_GET:
        if ((r->h.flags & LINUX_NLM_F_DUMP) != LINUX_NLM_F_DUMP)
            return -EOPNOTSUPP;
        nf_lock(ns);
        nf_conn_each(ns, one, &d);
        nf_unlock(ns);
        r->dumped = true;
        return 0;
    case CT_DELETE:
        return delete (r, family);
    case CT_GET_STATS:
        nl_begin(&r->out, NF_SUBSYS_CONNTRACK << 8 | CT_GET_STATS, 0, &g, sizeof g);
        nf_lock(ns);
        nfa_put_u32(&r->out, STATS_GLOBAL_ENTRIES, nf_conn_count(ns));
        nf_unlock(ns);
        nl_end(&r->out);
        return 0;
    default:
        return -EOPNOTSUPP;
    }
}
