/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/rtnl_route.c: routes: RTM_*ROUTE, and `ip route get`. One next hop a route. Source:
 * rtnetlink(7), ip-route(8).
 */
#include <errno.h>
#include <string.h>

#include "sentry/kernel/task.h"
#include "sentry/socket/netlink/rtnetlink.h"

struct cacheinfo { /* struct rta_cacheinfo */
    uint32_t clntref, lastuse, expires, error, used, id, ts, tsage;
};

static int family_of(const struct ipa *ip) {
    return ipa_is_v4(ip) ? LINUX_AF_INET : LINUX_AF_INET6;
}

static void put_metrics(struct nl_out *o, const struct ns_route *r) {
    if (!r->mtu && !r->advmss)
        return;
    size_t at = nl_nest(o, LINUX_RTA_METRICS);
    if (r->mtu)
        nl_put_u32(o, LINUX_RTAX_MTU, r->mtu);
    if (r->advmss)
        nl_put_u32(o, LINUX_RTAX_ADVMSS, r->advmss);
    nl_nest_end(o, at);
}

void rtnl_fill_route(struct nl_out *o, uint16_t type, uint16_t flags, const struct ns_route *r) {
    bool v6 = !ipa_is_v4(&r->dst);
    uint32_t table = r->table ? r->table : NS_RT_TABLE_MAIN;
    struct linux_rtmsg m = {.family = (uint8_t)family_of(&r->dst),
                            .dst_len = r->prefix_len,
                            .tos = r->tos,
                            .table = table < 256 ? (uint8_t)table : 252 /* RT_TABLE_COMPAT */,
                            .protocol = r->protocol,
                            .scope = v6 ? 0 : r->scope,
                            .type = r->type};

    nl_begin(o, type, flags, &m, sizeof m);
    nl_put_u32(o, LINUX_RTA_TABLE, table);
    if (r->prefix_len)
        nl_put_ip(o, LINUX_RTA_DST, &r->dst);
    if (r->metric)
        nl_put_u32(o, LINUX_RTA_PRIORITY, r->metric);
    if (!v6 && !ipa_is_any(&r->prefsrc))
        nl_put_ip(o, LINUX_RTA_PREFSRC, &r->prefsrc);
    put_metrics(o, r);
    if (!ipa_is_any(&r->nexthop.gateway))
        nl_put_ip(o, LINUX_RTA_GATEWAY, &r->nexthop.gateway);
    if (r->nexthop.ifindex)
        nl_put_u32(o, LINUX_RTA_OIF, r->nexthop.ifindex);
    if (v6) {
        struct cacheinfo c = {0};
        nl_put(o, LINUX_RTA_CACHEINFO, &c, sizeof c);
        nl_put_u8(o, LINUX_RTA_PREF, 0);
    }
    nl_end(o);
}

void rtnl_dump_routes(struct netns *ns, struct nl_out *o, uint16_t flags, int family) {
    struct ns_route r;

    for (int pass = 0; pass < 2; pass++) {
        int want = pass == 0 ? LINUX_AF_INET : LINUX_AF_INET6;
        if (family && family != want)
            continue;
        for (size_t i = 0; netns_route_at(ns, want, i, &r) == 0; i++)
            rtnl_fill_route(o, LINUX_RTM_NEWROUTE, flags, &r);
    }
}

static int parse_metrics(const struct nl_attr *a, struct ns_route *ret) {
    struct nl_attr m[LINUX_RTAX_ADVMSS + 1];

    if (!a->data)
        return 0;
    int r = nl_parse(a->data, a->len, m, LINUX_RTAX_ADVMSS);
    if (r < 0)
        return r;
    (void)nl_u32(&m[LINUX_RTAX_MTU], &ret->mtu);
    (void)nl_u32(&m[LINUX_RTAX_ADVMSS], &ret->advmss);
    return 0;
}

/* RTA_MULTIPATH with one hop is a route like any other. */
static int parse_one_hop(const struct nl_attr *a, int family, struct ns_route *ret) {
    struct {
        uint16_t len;
        uint8_t flags, hops;
        int32_t ifindex;
    } hop;
    struct nl_attr attrs[LINUX_RTA_GATEWAY + 1];

    if (!a->data)
        return 0;
    if (a->len < sizeof hop)
        return -EINVAL;
    memcpy(&hop, a->data, sizeof hop);
    if (hop.len < sizeof hop || hop.len > a->len)
        return -EINVAL;
    if (a->len > LINUX_NLMSG_ALIGN(hop.len))
        return -EOPNOTSUPP;
    int r = nl_parse(a->data + sizeof hop, hop.len - sizeof hop, attrs, LINUX_RTA_GATEWAY);
    if (r < 0)
        return r;
    ret->nexthop.ifindex = (uint32_t)hop.ifindex;
    return nl_ip(&attrs[LINUX_RTA_GATEWAY], family, &ret->nexthop.gateway);
}

static int parse(struct netlink_request *r, struct linux_rtmsg *m, struct nl_attr *a, struct ns_route *ret) {
    if (r->size < sizeof *m)
        return -EINVAL;
    memcpy(m, r->payload, sizeof *m);
    if (m->family != LINUX_AF_INET && m->family != LINUX_AF_INET6)
        return -EOPNOTSUPP;
    int result = nl_parse(r->payload + sizeof *m, r->size - sizeof *m, a, LINUX_RTA_UID);
    if (result < 0)
        return result;
    *ret = (struct ns_route){.prefix_len = m->dst_len,
                             .tos = m->tos,
                             .table = m->table,
                             .type = m->type,
                             .scope = m->scope,
                             .protocol = m->protocol};
    (void)nl_u32(&a[LINUX_RTA_TABLE], &ret->table);
    (void)nl_u32(&a[LINUX_RTA_PRIORITY], &ret->metric);
    (void)nl_u32(&a[LINUX_RTA_OIF], &ret->nexthop.ifindex);
    result = nl_ip(&a[LINUX_RTA_DST], m->family, &ret->dst);
    if (result == 0)
        result = nl_ip(&a[LINUX_RTA_GATEWAY], m->family, &ret->nexthop.gateway);
    if (result == 0)
        result = nl_ip(&a[LINUX_RTA_PREFSRC], m->family, &ret->prefsrc);
    if (result == 0)
        result = parse_metrics(&a[LINUX_RTA_METRICS], ret);
    if (result == 0)
        result = parse_one_hop(&a[LINUX_RTA_MULTIPATH], m->family, ret);
    if (result == 0 && m->dst_len > ipa_max_prefix(&ret->dst))
        result = -EINVAL;
    return result;
}

static bool same_key(const struct ns_route *a, const struct ns_route *b) {
    return a->prefix_len == b->prefix_len && ipa_eq(&a->dst, &b->dst) && a->tos == b->tos &&
           a->metric == b->metric &&
           (a->table ? a->table : NS_RT_TABLE_MAIN) == (b->table ? b->table : NS_RT_TABLE_MAIN);
}

static int add(struct netlink_request *r, struct ns_route *want, int family) {
    struct netns *ns = r->net->netns;
    struct ns_route old;
    bool found = false;

    if (family == LINUX_AF_INET6 && want->metric == 0)
        want->metric = 1024; /* IP6_RT_PRIO_USER */
    if (!want->type)
        want->type = NS_RTN_UNICAST;
    for (size_t i = 0; !found && netns_route_at(ns, family, i, &old) == 0; i++)
        found = same_key(&old, want);
    if (found && r->h.flags & LINUX_NLM_F_EXCL)
        return -EEXIST;
    if (!found && !(r->h.flags & LINUX_NLM_F_CREATE))
        return -ENOENT;
    if (found && r->h.flags & LINUX_NLM_F_REPLACE) {
        int result = netns_route_del(ns, &old);
        if (result < 0)
            return result;
        result = netns_route_add(ns, want);
        if (result < 0 && netns_route_add(ns, &old) < 0)
            return -ENOMEM;
        return result;
    }
    return netns_route_add(ns, want);
}

/* `ip route get`: what would be done with a packet. */
static int get(struct netlink_request *r, const struct linux_rtmsg *m, const struct nl_attr *a,
               const struct ns_route *asked) {
    struct ns_route_query q = {.dst = asked->dst, .oif = asked->nexthop.ifindex, .tos = m->tos};
    struct ns_route_answer answer;

    int result = nl_ip(&a[LINUX_RTA_SRC], m->family, &q.src);
    (void)nl_u32(&a[LINUX_RTA_MARK], &q.mark);
    (void)nl_u32(&a[LINUX_RTA_IIF], &q.iif);
    if (result == 0)
        result = netns_route_get(r->net->netns, &q, &answer);
    if (result < 0)
        return result;
    struct linux_rtmsg out = {.family = m->family,
                              .dst_len = (uint8_t)ipa_max_prefix(&q.dst),
                              .table = answer.type == NS_RTN_LOCAL ? NS_RT_TABLE_LOCAL : NS_RT_TABLE_MAIN,
                              .type = answer.type,
                              .flags = LINUX_RTM_F_CLONED};
    struct cacheinfo c = {0};
    nl_begin(&r->out, LINUX_RTM_NEWROUTE, 0, &out, sizeof out);
    nl_put_u32(&r->out, LINUX_RTA_TABLE, out.table);
    nl_put_ip(&r->out, LINUX_RTA_DST, &q.dst);
    if (!ipa_is_any(&answer.gateway))
        nl_put_ip(&r->out, LINUX_RTA_GATEWAY, &answer.gateway);
    nl_put_u32(&r->out, LINUX_RTA_OIF, answer.ifindex);
    nl_put_ip(&r->out, LINUX_RTA_PREFSRC, &answer.src);
    if (m->family == LINUX_AF_INET)
        nl_put_u32(&r->out, LINUX_RTA_UID,
                   from_kuid(task_creds(r->task)->user_ns, task_creds(r->task)->euid));
    nl_put(&r->out, LINUX_RTA_CACHEINFO, &c, sizeof c);
    nl_end(&r->out);
    return 0;
}

int rtnl_route(struct netlink_request *r) {
    struct nl_attr a[LINUX_RTA_UID + 1];
    struct linux_rtmsg m;
    struct ns_route route;

    if (r->h.type == LINUX_RTM_GETROUTE && rtnl_is_dump(r)) {
        rtnl_dump_routes(r->net->netns, &r->out, LINUX_NLM_F_MULTI, r->payload[0]);
        r->dumped = true;
        return 0;
    }
    int result = parse(r, &m, a, &route);
    if (result < 0)
        return result;
    if (r->h.type == LINUX_RTM_GETROUTE)
        return get(r, &m, a, &route);
    if (r->h.type == LINUX_RTM_NEWROUTE)
        return add(r, &route, m.family);
    return netns_route_del(r->net->netns, &route);
}
