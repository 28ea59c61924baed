/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/rtnl_link.c: interfaces: RTM_*LINK. Kinds that can be made: veth, bridge, dummy.
 * Source: rtnetlink(7), ip-link(8).
 */
#include <errno.h>
#include <string.h>

#include "sentry/fs/nsfs/nsfs.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/socket/netlink/rtnetlink.h"
#include "sentry/vfs/fd_table.h"

enum {
    CAP_NET_ADMIN_NR = 12,
    CHANGEABLE = NS_IFF_UP | NS_IFF_PROMISC | NS_IFF_ALLMULTI | NS_IFF_MULTICAST | NS_IFF_NOARP,
};

/* ---- dumping ---- */

/* struct rtnl_link_stats64, of which the library counts these */
static void put_counters(struct nl_out *o, const struct nic_stats *s) {
    uint64_t wide[25] = {s->rx_packets, s->tx_packets, s->rx_bytes,   s->tx_bytes,
                         s->rx_errors,  s->tx_errors,  s->rx_dropped, s->tx_dropped};
    uint32_t narrow[24];

    nl_put(o, LINUX_IFLA_STATS64, wide, sizeof wide);
    for (size_t i = 0; i < ARRAY_SIZE(narrow); i++)
        narrow[i] = (uint32_t)wide[i];
    nl_put(o, LINUX_IFLA_STATS, narrow, sizeof narrow);
}

static uint8_t operstate(const struct nic_info *info) {
    if (info->flags & NS_IFF_LOOPBACK)
        return LINUX_IF_OPER_UNKNOWN;
    if (!(info->flags & NS_IFF_UP))
        return LINUX_IF_OPER_DOWN;
    if (!(info->flags & NS_IFF_LOWER_UP))
        return LINUX_IF_OPER_LOWERLAYERDOWN;
    return strcmp(info->kind, "dummy") == 0 ? LINUX_IF_OPER_UNKNOWN : LINUX_IF_OPER_UP;
}

void rtnl_fill_link(struct nl_out *o, uint16_t type, uint16_t flags, struct nic *nic, bool with_counters) {
    static const uint8_t ones[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, zeros[6];
    struct nic_info info;

    nic_info(nic, &info);
    struct linux_ifinfomsg m = {.type = info.arphrd, .index = (int32_t)info.ifindex, .flags = info.flags};
    nl_begin(o, type, flags, &m, sizeof m);
    nl_put_string(o, LINUX_IFLA_IFNAME, info.name);
    nl_put_u32(o, LINUX_IFLA_TXQLEN, info.txqlen);
    nl_put_u8(o, LINUX_IFLA_OPERSTATE, operstate(&info));
    nl_put_u8(o, LINUX_IFLA_LINKMODE, 0);
    nl_put_u32(o, LINUX_IFLA_MTU, info.mtu);
    nl_put_u32(o, LINUX_IFLA_GROUP, 0);
    nl_put_u32(o, LINUX_IFLA_PROMISCUITY, info.flags & NS_IFF_PROMISC ? 1 : 0);
    nl_put_u32(o, LINUX_IFLA_NUM_TX_QUEUES, 1);
    nl_put_u32(o, LINUX_IFLA_NUM_RX_QUEUES, 1);
    nl_put_u8(o, LINUX_IFLA_CARRIER, info.flags & NS_IFF_LOWER_UP ? 1 : 0);
    nl_put_string(o, LINUX_IFLA_QDISC, info.flags & NS_IFF_UP ? "noqueue" : "noop");
    if (info.master)
        nl_put_u32(o, LINUX_IFLA_MASTER, info.master);
    if (info.peer_ifindex)
        nl_put_u32(o, LINUX_IFLA_LINK, info.peer_ifindex);
    if (info.arphrd == NS_ARPHRD_ETHER || info.arphrd == NS_ARPHRD_LOOPBACK) {
        nl_put(o, LINUX_IFLA_ADDRESS, info.mac.b, sizeof info.mac.b);
        nl_put(o, LINUX_IFLA_BROADCAST, info.arphrd == NS_ARPHRD_ETHER ? ones : zeros, sizeof ones);
    }
    if (with_counters)
        put_counters(o, &info.stats);
    if (info.kind[0]) {
        size_t at = nl_nest(o, LINUX_IFLA_LINKINFO);
        nl_put_string(o, LINUX_IFLA_INFO_KIND, info.kind);
        nl_nest_end(o, at);
    }
    nl_end(o);
}

void rtnl_dump_links(struct netns *ns, struct nl_out *o, uint16_t flags, bool with_counters) {
    struct nic_info info;

    for (struct nic *nic = nic_next(ns, 0); nic; nic = nic_next(ns, info.ifindex)) {
        nic_info(nic, &info);
        rtnl_fill_link(o, LINUX_RTM_NEWLINK, flags, nic, with_counters);
    }
}

/* ---- requests ---- */

struct link_request {
    struct linux_ifinfomsg m;
    struct nl_attr a[LINUX_IFLA_ALT_IFNAME + 1];
    char name[NS_IFNAMSIZ]; /* "": none given */
};

static int parse(const unsigned char *data, size_t size, struct link_request *ret) {
    if (size < sizeof ret->m)
        return -EINVAL;
    memcpy(&ret->m, data, sizeof ret->m);
    int r = nl_parse(data + sizeof ret->m, size - sizeof ret->m, ret->a, LINUX_IFLA_ALT_IFNAME);
    memset(ret->name, 0, sizeof ret->name);
    const struct nl_attr *name =
        ret->a[LINUX_IFLA_IFNAME].data ? &ret->a[LINUX_IFLA_IFNAME] : &ret->a[LINUX_IFLA_ALT_IFNAME];
    if (r == 0 && name->data)
        r = nl_name(name, ret->name);
    return r;
}

static struct nic *find(struct netns *ns, const struct link_request *q) {
    if (q->m.index > 0)
        return nic_by_index(ns, (uint32_t)q->m.index);
    return q->name[0] ? nic_by_name(ns, q->name) : NULL;
}

/* The namespace that IFLA_NET_NS_PID or _FD names: new reference in *ret, or NULL if none is named. */
static int other_namespace(struct netlink_request *r, const struct link_request *q,
                           struct net_namespace **ret) {
    uint32_t number;

    *ret = NULL;
    if (nl_u32(&q->a[LINUX_IFLA_NET_NS_FD], &number)) {
        struct file *f = fd_get(r->task, (int)number);
        uint64_t flag;
        const struct ns_set *set = f ? nsfs_set(f, &flag) : NULL;
        if (set && set->net)
            *ret = net_namespace_ref(set->net);
        int result = !f ? -EBADF : *ret ? 0 : -EINVAL;
        file_unref(f);
        if (result < 0)
            return result;
    } else if (nl_u32(&q->a[LINUX_IFLA_NET_NS_PID], &number)) {
        struct task *target = task_find(r->task, (int)number);
        struct nsproxy *n = target ? task_get_nsproxy(target) : NULL;
        if (n)
            *ret = net_namespace_ref(n->net);
        nsproxy_unref(n);
        task_unref(target);
        if (!*ret)
            return -ESRCH;
    }
    if (*ret && !task_capable_in(r->task, (*ret)->user_ns, CAP_NET_ADMIN_NR)) {
        *ret = net_namespace_unref(*ret);
        return -EPERM;
    }
    return 0;
}

static int set_mac(struct nic *nic, const struct nl_attr *a) {
    struct mac mac;

    if (!a->data)
        return 0;
    if (a->len < sizeof mac.b)
        return -EINVAL;
    memcpy(mac.b, a->data, sizeof mac.b);
    return nic_set_mac(nic, &mac);
}

static int set_master(struct netns *ns, struct nic *nic, const struct nl_attr *a) {
    uint32_t index;

    if (!nl_u32(a, &index))
        return 0;
    struct nic *bridge = index ? nic_by_index(ns, index) : NULL;
    if (index && !bridge)
        return -EINVAL;
    struct nic_info info;
    nic_info(nic, &info);
    if (!bridge && !info.master)
        return 0;
    return bridge_set_port(bridge, nic);
}

static int set_flags(struct nic *nic, const struct linux_ifinfomsg *m) {
    struct nic_info info;

    nic_info(nic, &info);
    uint32_t mask = m->change ? m->change : ~0u;
    if (!m->flags && !m->change)
        return 0;
    uint32_t change = (info.flags ^ m->flags) & mask & CHANGEABLE, others = change & ~(uint32_t)NS_IFF_UP;
    int r = others ? nic_set_flags(nic, m->flags & others, others & ~m->flags) : 0;
    return r == 0 && change & NS_IFF_UP ? nic_set_up(nic, m->flags & NS_IFF_UP) : r;
}

/* Everything that a request says about an interface that is there. */
static int apply(struct netns *ns, struct nic *nic, const struct link_request *q, bool rename) {
    struct nic_info info;
    uint32_t v;

    nic_info(nic, &info);
    int r = rename && q->a[LINUX_IFLA_IFNAME].data && q->name[0] && strcmp(q->name, info.name) != 0
                ? nic_set_name(nic, q->name)
                : 0;
    if (r == 0)
        r = set_mac(nic, &q->a[LINUX_IFLA_ADDRESS]);
    if (r == 0 && nl_u32(&q->a[LINUX_IFLA_MTU], &v))
        r = nic_set_mtu(nic, v);
    if (r == 0 && nl_u32(&q->a[LINUX_IFLA_TXQLEN], &v))
        r = nic_set_txqlen(nic, v);
    if (r == 0)
        r = set_master(ns, nic, &q->a[LINUX_IFLA_MASTER]);
    return r < 0 ? r : set_flags(nic, &q->m);
}

static int move_away(struct netlink_request *r, struct nic *nic, const struct link_request *q,
                     struct net_namespace *to) {
    struct rtnl_watch watch;

    if (to == r->net)
        return 0;
    rtnl_watch_begin(&watch, to);
    int result = nic_move(nic, to->netns, q->a[LINUX_IFLA_IFNAME].data && q->name[0] ? q->name : NULL);
    if (result == 0) {
        struct link_request rest = *q;
        rest.a[LINUX_IFLA_MASTER].data = NULL;
        result = apply(to->netns, nic, &rest, /* rename= */ false);
    }
    rtnl_watch_end(&watch);
    return result;
}

static int change(struct netlink_request *r, struct nic *nic, const struct link_request *q) {
    struct net_namespace *to;
    int result = other_namespace(r, q, &to);

    if (result < 0)
        return result;
    result = to ? move_away(r, nic, q, to) : apply(r->net->netns, nic, q, q->m.index > 0);
    net_namespace_unref(to);
    return result;
}

/* The other end of a veth pair: IFLA_INFO_DATA { VETH_INFO_PEER { ifinfomsg, attributes } }. */
static int make_veth(struct netlink_request *r, const struct link_request *q, struct net_namespace *net,
                     const struct nl_attr *data, struct nic **ret) {
    struct nl_attr inner[LINUX_VETH_INFO_PEER + 1] = {{0}};
    struct link_request peer = {.name = ""};
    struct net_namespace *peer_net = NULL;
    struct rtnl_watch watch = {0};
    struct nic *other;
    int result = data->data ? nl_parse(data->data, data->len, inner, LINUX_VETH_INFO_PEER) : 0;

    if (result == 0 && inner[LINUX_VETH_INFO_PEER].data)
        result = parse(inner[LINUX_VETH_INFO_PEER].data, inner[LINUX_VETH_INFO_PEER].len, &peer);
    if (result == 0)
        result = other_namespace(r, &peer, &peer_net);
    if (result < 0)
        return result;
    if (peer_net)
        rtnl_watch_begin(&watch, peer_net);
    struct netns *theirs = peer_net ? peer_net->netns : net->netns;
    /* the peer first, as Linux: it gets the lower number */
    result = veth_new(theirs, peer.name[0] ? peer.name : "veth%d", net->netns,
                      q->name[0] ? q->name : "veth%d", &other, ret);
    if (result == 0)
        result = apply(theirs, other, &peer, /* rename= */ false);
    if (peer_net)
        rtnl_watch_end(&watch);
    net_namespace_unref(peer_net);
    return result;
}

static int make(struct netlink_request *r, const struct link_request *q) {
    struct nl_attr info[LINUX_IFLA_INFO_DATA + 1];
    struct net_namespace *to;
    char kind[NS_IFNAMSIZ];
    struct nic *nic = NULL;

    if (!q->a[LINUX_IFLA_LINKINFO].data)
        return -EOPNOTSUPP;
    int result =
        nl_parse(q->a[LINUX_IFLA_LINKINFO].data, q->a[LINUX_IFLA_LINKINFO].len, info, LINUX_IFLA_INFO_DATA);
    if (result == 0)
        result = info[LINUX_IFLA_INFO_KIND].data ? nl_name(&info[LINUX_IFLA_INFO_KIND], kind) : -EOPNOTSUPP;
    if (result == 0)
        result = other_namespace(r, q, &to);
    if (result < 0)
        return result;
    struct net_namespace *net = to ? to : r->net;
    if (strcmp(kind, "veth") == 0)
        result = make_veth(r, q, net, &info[LINUX_IFLA_INFO_DATA], &nic);
    else if (strcmp(kind, "bridge") == 0)
        result = bridge_new(net->netns, q->name[0] ? q->name : "bridge%d", &nic);
    else if (strcmp(kind, "dummy") == 0)
        result = dummy_new(net->netns, q->name[0] ? q->name : "dummy%d", &nic);
    else
        result = -EOPNOTSUPP; /* as without that driver */
    if (result == 0)
        result = apply(net->netns, nic, q, /* rename= */ false);
    net_namespace_unref(to);
    return result;
}

static int new_link(struct netlink_request *r, const struct link_request *q) {
    struct nic *nic = find(r->net->netns, q);

    if (nic) {
        if (r->h.flags & LINUX_NLM_F_EXCL)
            return -EEXIST;
        return change(r, nic, q);
    }
    if (r->h.type == LINUX_RTM_SETLINK || !(r->h.flags & LINUX_NLM_F_CREATE) || q->m.index < 0)
        return q->m.index < 0 ? -EINVAL : -ENODEV;
    return make(r, q);
}

static int get_link(struct netlink_request *r, const struct link_request *q) {
    struct nic *nic = find(r->net->netns, q);

    if (q->m.index <= 0 && !q->name[0])
        return -EINVAL;
    if (!nic)
        return -ENODEV;
    rtnl_fill_link(&r->out, LINUX_RTM_NEWLINK, 0, nic, /* with_counters= */ true);
    return 0;
}

static int delete_link(struct netlink_request *r, const struct link_request *q) {
    struct nic *nic = find(r->net->netns, q);
    struct nic_info info;

    if (q->m.index <= 0 && !q->name[0])
        return -EINVAL;
    if (!nic)
        return -ENODEV;
    nic_info(nic, &info);
    /* What boot has put here is as a machine's own cards: not to be removed from inside. */
    return info.kind[0] ? nic_remove(nic) : -EOPNOTSUPP;
}

int rtnl_link(struct netlink_request *r) {
    struct link_request q;

    if (r->h.type == LINUX_RTM_GETLINK && rtnl_is_dump(r)) {
        rtnl_dump_links(r->net->netns, &r->out, LINUX_NLM_F_MULTI, /* with_counters= */ true);
        r->dumped = true;
        return 0;
    }
    int result = parse(r->payload, r->size, &q);
    if (result < 0)
        return result;
    return r->h.type == LINUX_RTM_GETLINK   ? get_link(r, &q)
           : r->h.type == LINUX_RTM_DELLINK ? delete_link(r, &q)
                                            : new_link(r, &q);
}
