/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/rtnetlink.c: NETLINK_ROUTE: which request goes where, and notifications
 * (rtnetlink.h).
 */
#include "sentry/socket/netlink/rtnetlink.h"

#include <errno.h>
#include <string.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"

enum { CAP_NET_ADMIN_NR = 12, GROUPS = 36 };

/* ---- notifications ---- */

#define BIT(group) (1u << ((group)-1))
#define WATCHED                                                                                              \
    (BIT(LINUX_RTNLGRP_LINK) | BIT(LINUX_RTNLGRP_NEIGH) | BIT(LINUX_RTNLGRP_IPV4_IFADDR) |                   \
     BIT(LINUX_RTNLGRP_IPV4_ROUTE) | BIT(LINUX_RTNLGRP_IPV4_RULE) | BIT(LINUX_RTNLGRP_IPV6_IFADDR) |         \
     BIT(LINUX_RTNLGRP_IPV6_ROUTE) | BIT(LINUX_RTNLGRP_IPV6_RULE))

static void snapshot(struct net_namespace *net, struct nl_out *o) {
    rtnl_dump_links(net->netns, o, 0, /* with_counters= */ false);
    rtnl_dump_addrs(net->netns, o, 0, 0);
    rtnl_dump_neighs(net->netns, o, 0, 0);
    rtnl_dump_routes(net->netns, o, 0, 0);
    rtnl_dump_rules(net->netns, o, 0, 0);
}

/* The next message at *at, or false at the end. */
static bool next_message(const struct nl_out *o, size_t *at, struct linux_nlmsghdr *h,
                         const unsigned char **ret) {
    if (*at >= o->len)
        return false;
    *ret = o->data + *at;
    memcpy(h, *ret, sizeof *h);
    *at += LINUX_NLMSG_ALIGN(h->len);
    return true;
}

/* How much of a message, from its start, tells one object from another. */
static size_t key_size(const struct linux_nlmsghdr *h) {
    if (h->type == LINUX_RTM_NEWLINK)
        return sizeof *h + offsetof(struct linux_ifinfomsg, flags);
    if (h->type == LINUX_RTM_NEWNEIGH)
        return sizeof *h + offsetof(struct linux_ndmsg, state);
    return h->len;
}

static bool contains(const struct nl_out *o, const struct linux_nlmsghdr *h, const unsigned char *m,
                     size_t size) {
    struct linux_nlmsghdr other;
    const unsigned char *at;
    size_t pos = 0, head = offsetof(struct linux_nlmsghdr, flags);

    while (next_message(o, &pos, &other, &at)) {
        if (other.type == h->type && (size < h->len || other.len == h->len) &&
            memcmp(at + head, m + head, MIN(size, (size_t)other.len) - head) == 0)
            return true;
    }
    return false;
}

static unsigned group_of(uint16_t type, int family) {
    bool v4 = family == LINUX_AF_INET;

    switch (type) {
    case LINUX_RTM_NEWLINK:
        return LINUX_RTNLGRP_LINK;
    case LINUX_RTM_NEWADDR:
        return v4 ? LINUX_RTNLGRP_IPV4_IFADDR : LINUX_RTNLGRP_IPV6_IFADDR;
    case LINUX_RTM_NEWROUTE:
        return v4 ? LINUX_RTNLGRP_IPV4_ROUTE : LINUX_RTNLGRP_IPV6_ROUTE;
    case LINUX_RTM_NEWRULE:
        return v4 ? LINUX_RTNLGRP_IPV4_RULE : LINUX_RTNLGRP_IPV6_RULE;
    }
    return LINUX_RTNLGRP_NEIGH;
}

static void tell(struct net_namespace *net, unsigned char *m, const struct linux_nlmsghdr *h, bool gone) {
    uint16_t type = gone ? h->type + 1 : h->type;

    memcpy(m + offsetof(struct linux_nlmsghdr, type), &type, sizeof type);
    netlink_multicast(net, LINUX_NETLINK_ROUTE, group_of(h->type, m[sizeof *h]), m, h->len);
}

/* Objects of `a` that are not in `b`. */
static void tell_difference(struct net_namespace *net, const struct nl_out *a, const struct nl_out *b,
                            bool gone) {
    struct linux_nlmsghdr h;
    const unsigned char *m;
    size_t pos = 0;

    while (next_message(a, &pos, &h, &m)) {
        if (!contains(b, &h, m, gone ? key_size(&h) : h.len))
            tell(net, (unsigned char *)m, &h, gone);
    }
}

void rtnl_watch_begin(struct rtnl_watch *w, struct net_namespace *net) {
    *w = (struct rtnl_watch){.net = net, .active = netlink_has_listeners(net, LINUX_NETLINK_ROUTE, WATCHED)};
    if (w->active)
        snapshot(net, &w->before);
}

void rtnl_watch_end(struct rtnl_watch *w) {
    struct nl_out after = {0};

    if (!w->active)
        return;
    snapshot(w->net, &after);
    if (!after.failed && !w->before.failed) {
        tell_difference(w->net, &after, &w->before, /* gone= */ false);
        /* what is new has RTM_NEW* types still; what has gone is told by its old message */
        tell_difference(w->net, &w->before, &after, /* gone= */ true);
    }
    nl_out_done(&after);
    nl_out_done(&w->before);
}

/* ---- requests ---- */

static bool is_get(uint16_t type) {
    return type % 4 == LINUX_RTM_GETLINK % 4;
}

/* Kinds that have no objects here: their dumps are empty, as on a machine without any. */
static int empty(struct netlink_request *r) {
    switch (r->h.type) {
    case LINUX_RTM_GETQDISC:
    case LINUX_RTM_GETTCLASS:
    case LINUX_RTM_GETTFILTER:
    case LINUX_RTM_GETMULTICAST:
    case LINUX_RTM_GETANYCAST:
    case LINUX_RTM_GETNEIGHTBL:
    case LINUX_RTM_GETADDRLABEL:
    case LINUX_RTM_GETNETCONF:
    case LINUX_RTM_GETNEXTHOP:
        r->dumped = rtnl_is_dump(r);
        return r->dumped ? 0 : -EOPNOTSUPP;
    }
    return -EOPNOTSUPP;
}

/* No namespace has a number for another: what `ip netns` asks first. */
static int get_nsid(struct netlink_request *r) {
    const uint32_t family = 0, none = ~0u;

    r->dumped = rtnl_is_dump(r);
    if (r->dumped)
        return 0;
    nl_begin(&r->out, LINUX_RTM_NEWNSID, 0, &family, sizeof family);
    nl_put_u32(&r->out, LINUX_NETNSA_NSID, none);
    nl_end(&r->out);
    return 0;
}

static int dispatch(struct netlink_request *r) {
    if (r->h.type == LINUX_RTM_GETNSID)
        return get_nsid(r);

    switch (r->h.type & ~3) {
    case LINUX_RTM_NEWLINK:
        return rtnl_link(r);
    case LINUX_RTM_NEWADDR:
        return rtnl_addr(r);
    case LINUX_RTM_NEWROUTE:
        return rtnl_route(r);
    case LINUX_RTM_NEWNEIGH:
        return rtnl_neigh(r);
    case LINUX_RTM_NEWRULE:
        return rtnl_rule(r);
    }
    return empty(r);
}

static int rtnl_handle(struct netlink_request *r) {
    struct rtnl_watch watch = {0};
    bool get = is_get(r->h.type);

    if (!get && !netlink_capable(r, CAP_NET_ADMIN_NR))
        return -EPERM;
    if (r->size < 1)
        return -EINVAL;
    network_config_lock(r->net->kernel);
    if (!get)
        rtnl_watch_begin(&watch, r->net);
    int result = dispatch(r);
    if (!get)
        rtnl_watch_end(&watch);
    network_config_unlock(r->net->kernel);
    return result;
}

static struct netlink_protocol g_route = {
    .protocol = LINUX_NETLINK_ROUTE, .groups = GROUPS, .anybody_listens = true, .handle = rtnl_handle};

__attribute__((constructor)) static void register_route(void) {
    netlink_protocol_register(&g_route);
}
