/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_net.h: what the files of /proc/PID/net share. Each shows the network namespace of that
 * process. Source: proc(5).
 */
#pragma once

#include "sentry/fs/proc/proc_internal.h"
#include "sentry/kernel/net_ns.h"

extern const struct kernfs_entry proc_net_entries[];
extern const struct kernfs_ops proc_net_tcp, proc_net_tcp6, proc_net_udp, proc_net_udp6, proc_net_udplite,
    proc_net_raw, proc_net_raw6, proc_net_icmp, proc_net_icmp6, proc_net_unix, proc_net_packet,
    proc_net_netlink, proc_net_protocols;
extern const struct kernfs_ops proc_net_snmp, proc_net_snmp6, proc_net_netstat, proc_net_sockstat,
    proc_net_sockstat6;
extern const struct kernfs_ops proc_net_conntrack, proc_net_tables4, proc_net_tables6;

/* The namespace of the node's process: new reference, or NULL if it has gone. */
struct net_namespace *proc_net_of(const struct kernfs_inode *n);

#define PROC_NET_FILE(name, function)                                                                        \
    static int name##_show(struct kernfs_inode *n, struct task *t, struct text *out) {                       \
        struct net_namespace *net = proc_net_of(n);                                                          \
        if (!net)                                                                                            \
            return -EINVAL;                                                                                  \
        function(net, t, out);                                                                               \
        net_namespace_unref(net);                                                                            \
        return 0;                                                                                            \
    }                                                                                                        \
    const struct kernfs_ops name = {.mode = LINUX_S_IFREG | 0444, .show = name##_show, PROC_PID_NODE}
