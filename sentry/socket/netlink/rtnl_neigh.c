/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/rtnl_neigh.c: neighbours: RTM_*NEIGH. Source: rtnetlink(7), ip-neighbour(8).
 */
#include <errno.h>
#include <string.h>

#include "sentry/socket/netlink/rtnetlink.h"

struct cacheinfo { /* struct nda_cacheinfo */
    uint32_t confirmed, used, updated, refcount;
};

void rtnl_fill_neigh(struct nl_out *o, uint16_t type, uint16_t flags, const struct ns_neigh *n) {
    struct linux_ndmsg m = {.family = ipa_is_v4(&n->addr) ? LINUX_AF_INET : LINUX_AF_INET6,
                            .ifindex = (int32_t)n->ifindex,
                            .state = n->state,
                            .type = NS_RTN_UNICAST};
    struct cacheinfo c = {0};

    nl_begin(o, type, flags, &m, sizeof m);
    nl_put_ip(o, LINUX_NDA_DST, &n->addr);
    if (n->state &
        (NS_NUD_REACHABLE | NS_NUD_STALE | NS_NUD_DELAY | NS_NUD_PROBE | NS_NUD_PERMANENT | NS_NUD_NOARP))
        nl_put(o, LINUX_NDA_LLADDR, n->mac.b, sizeof n->mac.b);
    nl_put(o, LINUX_NDA_CACHEINFO, &c, sizeof c);
    nl_put_u32(o, LINUX_NDA_PROBES, 0);
    nl_end(o);
}

void rtnl_dump_neighs(struct netns *ns, struct nl_out *o, uint16_t flags, int family) {
    struct ns_neigh n;

    for (size_t i = 0; netns_neigh_at(ns, i, &n) == 0; i++) {
        if (!family || (family == LINUX_AF_INET) == ipa_is_v4(&n.addr))
            rtnl_fill_neigh(o, LINUX_RTM_NEWNEIGH, flags, &n);
    }
}

int rtnl_neigh(struct netlink_request *r) {
    struct nl_attr a[LINUX_NDA_PROBES + 1];
    struct linux_ndmsg m;
    struct ns_neigh n = {0};

    if (r->h.type == LINUX_RTM_GETNEIGH && rtnl_is_dump(r)) {
        rtnl_dump_neighs(r->net->netns, &r->out, LINUX_NLM_F_MULTI, r->payload[0]);
        r->dumped = true;
        return 0;
    }
    if (r->size < sizeof m)
        return -EINVAL;
    memcpy(&m, r->payload, sizeof m);
    if (m.family != LINUX_AF_INET && m.family != LINUX_AF_INET6)
        return m.family == 7 /* AF_BRIDGE: forwarding tables are learnt only */ ? -EOPNOTSUPP : -EAFNOSUPPORT;
    int result = nl_parse(r->payload + sizeof m, r->size - sizeof m, a, LINUX_NDA_PROBES);
    if (result == 0)
        result = nl_ip(&a[LINUX_NDA_DST], m.family, &n.addr);
    if (result < 0 || !a[LINUX_NDA_DST].data)
        return result < 0 ? result : -EINVAL;
    n.ifindex = (uint32_t)m.ifindex;
    if (!nic_by_index(r->net->netns, n.ifindex))
        return -ENODEV;
    if (r->h.type == LINUX_RTM_DELNEIGH)
        return netns_neigh_del(r->net->netns, n.ifindex, &n.addr);
    if (r->h.type == LINUX_RTM_GETNEIGH) {
        struct ns_neigh found;
        for (size_t i = 0; netns_neigh_at(r->net->netns, i, &found) == 0; i++) {
            if (found.ifindex == n.ifindex && ipa_eq(&found.addr, &n.addr)) {
                rtnl_fill_neigh(&r->out, LINUX_RTM_NEWNEIGH, 0, &found);
                return 0;
            }
        }
        return -ENOENT;
    }
    n.state = m.state ? m.state : NS_NUD_PERMANENT;
    if (a[LINUX_NDA_LLADDR].data) {
        if (a[LINUX_NDA_LLADDR].len < sizeof n.mac.b)
            return -EINVAL;
        memcpy(n.mac.b, a[LINUX_NDA_LLADDR].data, sizeof n.mac.b);
    } else if (n.state & ~(NS_NUD_NOARP | NS_NUD_FAILED | NS_NUD_INCOMPLETE)) {
        return -EINVAL;
    }
    return netns_neigh_set(r->net->netns, &n);
}
