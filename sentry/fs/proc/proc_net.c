/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_net.c: /proc/PID/net: the directory, and its files about interfaces, routes and
 * neighbours. Source: proc(5).
 */
#include "sentry/fs/proc/proc_net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/stat.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"

struct net_namespace *proc_net_of(const struct kernfs_inode *n) {
    struct task *t = proc_task(n);
    struct nsproxy *ns = t ? task_get_nsproxy(t) : NULL;
    struct net_namespace *net = ns ? net_namespace_ref(ns->net) : NULL;

    nsproxy_unref(ns);
    task_unref(t);
    return net;
}

/* ---- interfaces ---- */

static void show_dev(struct net_namespace *net, struct task *t, struct text *out) {
    struct nic_info i;

    (void)t;
    text_printf(out, "Inter-|   Receive                                                |  Transmit\n"
                     " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets "
                     "errs drop fifo colls carrier compressed\n");
    network_config_lock(net->kernel);
    for (struct nic *nic = nic_next(net->netns, 0); nic; nic = nic_next(net->netns, i.ifindex)) {
        nic_info(nic, &i);
        const struct nic_stats *s = &i.stats;
        text_printf(out, "%6s: %7lu %7lu %4lu %4lu %4u %5u %10u %9u %8lu %7lu %4lu %4lu %4u %5u %7u %10u\n",
                    i.name, s->rx_bytes, s->rx_packets, s->rx_errors, s->rx_dropped, 0, 0, 0, 0, s->tx_bytes,
                    s->tx_packets, s->tx_errors, s->tx_dropped, 0, 0, 0, 0);
    }
    network_config_unlock(net->kernel);
}

static void name_of(struct net_namespace *net, uint32_t ifindex, char name[NS_IFNAMSIZ]) {
    struct nic *nic = ifindex ? nic_by_index(net->netns, ifindex) : NULL;
    struct nic_info i;

    memcpy(name, "*", 2);
    if (!nic)
        return;
    nic_info(nic, &i);
    memcpy(name, i.name, NS_IFNAMSIZ);
}

static void hex6(const struct ipa *ip, struct text *out) {
    for (size_t i = 0; i < sizeof ip->b; i++)
        text_printf(out, "%02x", ip->b[i]);
}

/* In memory order, as the kernel prints a __be32 by %08X. */
static uint32_t raw4(const struct ipa *ip) {
    uint32_t v;

    memcpy(&v, ip->b + 12, sizeof v);
    return v;
}

static void show_if_inet6(struct net_namespace *net, struct task *t, struct text *out) {
    struct nic_info i;
    struct nic_addr a;

    (void)t;
    network_config_lock(net->kernel);
    for (struct nic *nic = nic_next(net->netns, 0); nic; nic = nic_next(net->netns, i.ifindex)) {
        nic_info(nic, &i);
        for (size_t at = 0; nic_addr_at(nic, at, &a) == 0; at++) {
            if (ipa_is_v4(&a.addr))
                continue;
            unsigned scope = a.scope == NS_RT_SCOPE_HOST ? 0x10 : a.scope == NS_RT_SCOPE_LINK ? 0x20 : 0;
            uint32_t flags = a.flags | (a.valid_s == UINT32_MAX ? NS_IFA_F_PERMANENT : 0);
            hex6(&a.addr, out);
            text_printf(out, " %02x %02x %02x %02x %8s\n", i.ifindex, a.prefix_len, scope, flags & 0xff,
                        i.name);
        }
    }
    network_config_unlock(net->kernel);
}

static void show_groups(struct net_namespace *net, bool v4, struct text *out) {
    struct nic_info i;
    struct ipa group;
    uint32_t users;

    network_config_lock(net->kernel);
    for (struct nic *nic = nic_next(net->netns, 0); nic; nic = nic_next(net->netns, i.ifindex)) {
        unsigned count = 0;
        nic_info(nic, &i);
        for (size_t at = 0; nic_group_at(nic, at, &group, &users) == 0; at++)
            count += ipa_is_v4(&group);
        if (v4)
            text_printf(out, "%d\t%-10s: %5d %7s\n", i.ifindex, i.name, (int)count, "V3");
        for (size_t at = 0; nic_group_at(nic, at, &group, &users) == 0; at++) {
            if (ipa_is_v4(&group) != v4)
                continue;
            if (v4) {
                text_printf(out, "\t\t\t\t%08X %5d %d:%08X\t\t%d\n", raw4(&group), (int)users, 0, 0, 0);
            } else {
                text_printf(out, "%-4d %-15s ", i.ifindex, i.name);
                hex6(&group, out);
                text_printf(out, " %5d %08X %d\n", (int)users, 0xcu, 0);
            }
        }
    }
    network_config_unlock(net->kernel);
}

static void show_igmp(struct net_namespace *net, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n");
    show_groups(net, /* v4= */ true, out);
}

static void show_igmp6(struct net_namespace *net, struct task *t, struct text *out) {
    (void)t;
    show_groups(net, /* v4= */ false, out);
}

/* ---- routes ---- */

enum { RTF_UP = 1, RTF_GATEWAY = 2, RTF_HOST = 4, RTF_REJECT = 0x200 };

static unsigned flags_of(const struct ns_route *r, unsigned host_len) {
    unsigned flags = RTF_UP | (!ipa_is_any(&r->nexthop.gateway) ? RTF_GATEWAY : 0) |
                     (r->prefix_len == host_len ? RTF_HOST : 0);

    return r->type == NS_RTN_UNREACHABLE || r->type == NS_RTN_PROHIBIT ? flags | RTF_REJECT : flags;
}

static void show_route(struct net_namespace *net, struct task *t, struct text *out) {
    struct ns_route r;
    char name[NS_IFNAMSIZ];

    (void)t;
    text_printf(out, "%-127s\n",
                "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
    network_config_lock(net->kernel);
    for (size_t i = 0; netns_route_at(net->netns, NS_AF_INET, i, &r) == 0; i++) {
        if (r.table != NS_RT_TABLE_MAIN && r.table != 0)
            continue;
        if (r.type == NS_RTN_BROADCAST || r.type == NS_RTN_MULTICAST)
            continue;
        struct ipa mask = ipa_from4(r.prefix_len ? ~0u << (32 - r.prefix_len) : 0);
        char line[160];
        name_of(net, r.nexthop.ifindex, name);
        snprintf(line, sizeof line, "%s\t%08X\t%08X\t%04X\t%d\t%u\t%d\t%08X\t%d\t%u\t%u", name, raw4(&r.dst),
                 raw4(&r.nexthop.gateway), flags_of(&r, 32), 0, 0, (int)r.metric, raw4(&mask), (int)r.mtu, 0,
                 0);
        text_printf(out, "%-127s\n", line);
    }
    network_config_unlock(net->kernel);
}

static void show_ipv6_route(struct net_namespace *net, struct task *t, struct text *out) {
    struct ns_route r;
    char name[NS_IFNAMSIZ];
    const struct ipa any = IPA_ANY6;

    (void)t;
    network_config_lock(net->kernel);
    for (size_t i = 0; netns_route_at(net->netns, NS_AF_INET6, i, &r) == 0; i++) {
        name_of(net, r.nexthop.ifindex, name);
        hex6(&r.dst, out);
        text_printf(out, " %02x ", r.prefix_len);
        hex6(&any, out);
        text_printf(out, " 00 ");
        hex6(&r.nexthop.gateway, out);
        unsigned local = r.table == NS_RT_TABLE_LOCAL && r.type == NS_RTN_LOCAL ? 0x80200000u : 0;
        text_printf(out, " %08x %08x %08x %08x %8s\n", r.metric, 1, 0, flags_of(&r, 128) | local, name);
    }
    network_config_unlock(net->kernel);
}

static void show_arp(struct net_namespace *net, struct task *t, struct text *out) {
    struct ns_neigh e;
    char name[NS_IFNAMSIZ], text[IPA_STR_LEN];

    (void)t;
    text_printf(out, "IP address       HW type     Flags       HW address            Mask     Device\n");
    network_config_lock(net->kernel);
    for (size_t i = 0; netns_neigh_at(net->netns, i, &e) == 0; i++) {
        if (!ipa_is_v4(&e.addr))
            continue;
        const uint8_t *b = e.mac.b;
        unsigned flags = e.state & NS_NUD_PERMANENT                      ? 6
                         : e.state & (NS_NUD_FAILED | NS_NUD_INCOMPLETE) ? 0
                                                                         : 2;
        name_of(net, e.ifindex, name);
        text_printf(out, "%-16s 0x%-10x0x%-10x%02x:%02x:%02x:%02x:%02x:%02x     *        %s\n",
                    ipa_str(&e.addr, text), 1, flags, b[0], b[1], b[2], b[3], b[4], b[5], name);
    }
    network_config_unlock(net->kernel);
}

PROC_NET_FILE(net_dev, show_dev);
PROC_NET_FILE(net_if_inet6, show_if_inet6);
PROC_NET_FILE(net_igmp, show_igmp);
PROC_NET_FILE(net_igmp6, show_igmp6);
PROC_NET_FILE(net_route, show_route);
PROC_NET_FILE(net_ipv6_route, show_ipv6_route);
PROC_NET_FILE(net_arp, show_arp);

const struct kernfs_entry proc_net_entries[] = {{"arp", &net_arp},
                                                {"dev", &net_dev},
                                                {"icmp", &proc_net_icmp},
                                                {"icmp6", &proc_net_icmp6},
                                                {"if_inet6", &net_if_inet6},
                                                {"igmp", &net_igmp},
                                                {"igmp6", &net_igmp6},
                                                {"ip6_tables_names", &proc_net_tables6},
                                                {"ip_tables_names", &proc_net_tables4},
                                                {"ipv6_route", &net_ipv6_route},
                                                {"netlink", &proc_net_netlink},
                                                {"netstat", &proc_net_netstat},
                                                {"nf_conntrack", &proc_net_conntrack},
                                                {"packet", &proc_net_packet},
                                                {"protocols", &proc_net_protocols},
                                                {"raw", &proc_net_raw},
                                                {"raw6", &proc_net_raw6},
                                                {"route", &net_route},
                                                {"snmp", &proc_net_snmp},
                                                {"snmp6", &proc_net_snmp6},
                                                {"sockstat", &proc_net_sockstat},
                                                {"sockstat6", &proc_net_sockstat6},
                                                {"tcp", &proc_net_tcp},
                                                {"tcp6", &proc_net_tcp6},
                                                {"udp", &proc_net_udp},
                                                {"udp6", &proc_net_udp6},
                                                {"udplite", &proc_net_udplite},
                                                {"unix", &proc_net_unix},
                                                {NULL, NULL}};
const struct kernfs_ops proc_net_dir = {
    .mode = LINUX_S_IFDIR | 0555, .entries = proc_net_entries, PROC_PID_NODE};
