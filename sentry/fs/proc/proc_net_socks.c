/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_net_socks.c: /proc/PID/net: lists of sockets, in the columns that ss(8), netstat(8) and
 * libraries parse. Source: proc(5), and Linux's own output (tests/conform/inet_proc.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/stat.h"
#include "sentry/fs/proc/proc_net.h"
#include "sentry/kernel/task.h"
#include "sentry/socket/inet/inet.h"
#include "sentry/socket/netlink/netlink.h"
#include "sentry/socket/unix/unix.h"

struct list_ctx {
    struct text *out;
    struct user_ns *viewer;
    uint16_t family;
    int number;
};

/* Each 32-bit word of an address as the kernel's %08X of a __be32. */
static void put_address(const struct ipa *ip, uint16_t family, uint16_t port, char *to, size_t size) {
    uint32_t w[4];

    memcpy(w, ip->b, sizeof w);
    if (family == LINUX_AF_INET)
        snprintf(to, size, "%08X:%04X", w[3], port);
    else if (ipa_is_v4(ip) && ipa_is_any(ip))
        snprintf(to, size, "%08X%08X%08X%08X:%04X", 0, 0, 0, 0, port);
    else
        snprintf(to, size, "%08X%08X%08X%08X:%04X", w[0], w[1], w[2], w[3], port);
}

/* The columns that all have; returns the owner. The stack's lock is held. */
static void put_common(struct list_ctx *c, const struct ns_sock_info *i, void *user, char *line, size_t size,
                       int width) {
    char local[48], remote[48];
    uint32_t uid = 0, inode = 0;

    put_address(&i->local, c->family, i->lport, local, sizeof local);
    put_address(&i->remote, c->family, i->rport, remote, sizeof remote);
    if (user)
        inet_owner(user, c->viewer, &uid, &inode);
    snprintf(line, size, "%*d: %s %s %02X %08X:%08X %02X:%08X %08X %5u %8d %u", width, c->number++, local,
             remote, i->state, i->wqueue, i->rqueue, i->timer, i->timer_ms / 10, i->retrans, uid, i->probes,
             inode);
}

static void put_tcp(void *ctx, const struct ns_sock_info *i, void *user) {
    struct list_ctx *c = ctx;
    char line[320];

    if (i->family != c->family || i->state == NS_TCP_CLOSE)
        return;
    struct ns_sock_info shown = *i;
    if (i->state == NS_TCP_LISTEN) /* the backlog is for sock_diag alone */
        shown.wqueue = 0;
    put_common(c, &shown, user, line, sizeof line, 4);
    if (i->sock)
        text_printf(c->out,
                    c->family == LINUX_AF_INET ? "%s %d %016d %d %d %d %-*d %d\n"
                                               : "%s %d %016d %d %d %d %*d %d\n",
                    line, 1, 0, 20, 4, 0, 0, (int)i->cwnd, -1);
    else
        text_printf(c->out, "%s %d %016d\n", line, 1, 0);
}

static void put_dgram(void *ctx, const struct ns_sock_info *i, void *user) {
    struct list_ctx *c = ctx;
    char line[320], whole[352];

    if (i->family != c->family)
        return;
    put_common(c, i, user, line, sizeof line, 5);
    snprintf(whole, sizeof whole, "%s %d %016d %u", line, 2, 0, i->drops);
    text_printf(c->out, c->family == LINUX_AF_INET ? "%-127s\n" : "%s\n", whole);
}

static void list(struct net_namespace *net, struct task *t, struct text *out, enum ns_sock_table table,
                 uint16_t family) {
    struct list_ctx c = {.out = out, .viewer = t ? task_creds(t)->user_ns : net->user_ns, .family = family};
    const char *end = table == NS_SOCKS_TCP ? "inode" : "inode ref pointer drops";
    bool v4 = family == LINUX_AF_INET;
    char head[192];

    snprintf(head, sizeof head,
             "  sl  local_address %s st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout %s",
             v4 ? "rem_address  " : "                        remote_address                       ", end);
    text_printf(out, v4 ? "%-*s\n" : "%.*s%s\n", v4 ? (table == NS_SOCKS_TCP ? 149 : 127) : 0, v4 ? head : "",
                head);
    netns_sock_each(net->netns, table, table == NS_SOCKS_TCP ? put_tcp : put_dgram, &c);
}

#define LISTING(name, table, family)                                                                         \
    static void show_##name(struct net_namespace *net, struct task *t, struct text *out) {                   \
        list(net, t, out, table, family);                                                                    \
    }                                                                                                        \
    PROC_NET_FILE(proc_net_##name, show_##name)
LISTING(tcp, NS_SOCKS_TCP, LINUX_AF_INET);
LISTING(tcp6, NS_SOCKS_TCP, LINUX_AF_INET6);
LISTING(udp, NS_SOCKS_UDP, LINUX_AF_INET);
LISTING(udp6, NS_SOCKS_UDP, LINUX_AF_INET6);
LISTING(raw, NS_SOCKS_RAW, LINUX_AF_INET);
LISTING(raw6, NS_SOCKS_RAW, LINUX_AF_INET6);
LISTING(icmp, NS_SOCKS_PING, LINUX_AF_INET);
LISTING(icmp6, NS_SOCKS_PING, LINUX_AF_INET6);

static void show_udplite(struct net_namespace *net, struct task *t, struct text *out) {
    (void)net, (void)t;
    text_printf(out, "%-127s\n",
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
                "inode ref pointer drops");
}
PROC_NET_FILE(proc_net_udplite, show_udplite);

/* ---- other families ---- */

static void put_packet(void *ctx, const struct ns_sock_info *i, void *user) {
    struct list_ctx *c = ctx;
    uint32_t uid = 0, inode = 0;

    if (user)
        inet_owner(user, c->viewer, &uid, &inode);
    text_printf(c->out, "%016d %-6d %-4d %04x   %-5d %1d %-6u %-6u %-6u\n", 0, 3, i->type, i->ethertype,
                (int)i->ifindex, 1, i->rqueue, uid, inode);
}

static void show_packet(struct net_namespace *net, struct task *t, struct text *out) {
    struct list_ctx c = {.out = out, .viewer = t ? task_creds(t)->user_ns : net->user_ns};

    text_printf(out, "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n");
    netns_sock_each(net->netns, NS_SOCKS_PACKET, put_packet, &c);
}
PROC_NET_FILE(proc_net_packet, show_packet);

static void put_netlink(void *ctx, const struct netlink_info *i) {
    text_printf(ctx, "%016d %-3d %-10u %08x %-8d %-8d %-5d %-8d %-8u %-8lu\n", 0, i->protocol, i->portid,
                i->groups, (int)i->rqueue, 0, 0, 2, i->drops, (unsigned long)i->inode);
}

static void show_netlink(struct net_namespace *net, struct task *t, struct text *out) {
    (void)t;
    text_printf(out,
                "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n");
    netlink_each(net, put_netlink, out);
}
PROC_NET_FILE(proc_net_netlink, show_netlink);

static void put_unix(void *ctx, const struct unix_info *i) {
    struct text *out = ctx;

    text_printf(out, "%016d: %08X %08X %08X %04X %02X %5lu", 0, i->refs, 0, i->listening ? 0x10000 : 0,
                i->type, i->connected ? 3 : 1, (unsigned long)i->inode);
    if (i->name[0])
        text_printf(out, " %s", i->name);
    text_printf(out, "\n");
}

static void show_unix(struct net_namespace *net, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "Num       RefCount Protocol Flags    Type St Inode Path\n");
    unix_each(net->kernel, put_unix, out);
}
PROC_NET_FILE(proc_net_unix, show_unix);

static void show_protocols(struct net_namespace *net, struct task *t, struct text *out) {
    static const char *const names[] = {"PACKET",      "PINGv6", "RAWv6", "UDPv6", "TCPv6", "UNIX",
                                        "UNIX-STREAM", "PING",   "RAW",   "UDP",   "TCP",   "NETLINK"};

    (void)net, (void)t;
    text_printf(out, "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh "
                     "ss gs se re sp bi br ha uh gp em\n");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        text_printf(out,
                    "%-9s %4u %6d  %6d   %-3s %6u   %-3s  %-10s  n  n  n  n  n  n  n  n  n  n  n  n  n  n  n "
                    " n  n  n  n\n",
                    names[i], 1024, 0, -1, "NI", 0, "yes", "kernel");
}
PROC_NET_FILE(proc_net_protocols, show_protocols);
