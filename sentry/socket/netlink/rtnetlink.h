/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/rtnetlink.h: NETLINK_ROUTE: one file per kind of object. Source: rtnetlink(7),
 * ip-link(8), ip-address(8), ip-route(8), ip-neighbour(8), ip-rule(8).
 *
 * All of these run with network_config_lock() held.
 */
#pragma once

#include "sentry/socket/netlink/netlink.h"

/* One message about one object. `type`: RTM_NEW* or RTM_DEL*. */
void rtnl_fill_link(struct nl_out *o, uint16_t type, uint16_t flags, struct nic *nic, bool with_counters);
void rtnl_fill_addr(struct nl_out *o, uint16_t type, uint16_t flags, const struct nic_info *nic,
                    const struct nic_addr *a);
void rtnl_fill_route(struct nl_out *o, uint16_t type, uint16_t flags, const struct ns_route *r);
void rtnl_fill_neigh(struct nl_out *o, uint16_t type, uint16_t flags, const struct ns_neigh *n);
void rtnl_fill_rule(struct nl_out *o, uint16_t type, uint16_t flags, struct netns *ns,
                    const struct ns_rule *r);

/* All objects of a namespace; family 0: both. */
void rtnl_dump_links(struct netns *ns, struct nl_out *o, uint16_t flags, bool with_counters);
void rtnl_dump_addrs(struct netns *ns, struct nl_out *o, uint16_t flags, int family);
void rtnl_dump_routes(struct netns *ns, struct nl_out *o, uint16_t flags, int family);
void rtnl_dump_neighs(struct netns *ns, struct nl_out *o, uint16_t flags, int family);
void rtnl_dump_rules(struct netns *ns, struct nl_out *o, uint16_t flags, int family);

/* Requests: 0 or -errno. */
int rtnl_link(struct netlink_request *r);
int rtnl_addr(struct netlink_request *r);
int rtnl_route(struct netlink_request *r);
int rtnl_neigh(struct netlink_request *r);
int rtnl_rule(struct netlink_request *r);

static inline bool rtnl_is_dump(const struct netlink_request *r) {
    return (r->h.flags & LINUX_NLM_F_DUMP) == LINUX_NLM_F_DUMP;
}

/* What a change did is found by comparing the namespace before and after, since one request has many
 * consequences (an interface that comes up gets addresses, and these routes). Nothing is looked at unless
 * somebody listens. */
struct rtnl_watch {
    struct net_namespace *net;
    struct nl_out before;
    bool active;
};
void rtnl_watch_begin(struct rtnl_watch *w, struct net_namespace *net);
void rtnl_watch_end(struct rtnl_watch *w);
