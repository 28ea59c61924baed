/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_net_filter.c: /proc/PID/net/nf_conntrack and the lists of iptables' tables, matches and
 * targets. Source: conntrack(8), iptables(8).
 */
#include <errno.h>

#include "netstack/filter/nf_legacy.h"
#include "sentry/fs/proc/proc_net.h"

static const char *protocol_name(uint8_t proto) {
    switch (proto) {
    case 1:
        return "icmp";
    case 6:
        return "tcp";
    case 17:
        return "udp";
    case 58:
        return "icmpv6";
    case 132:
        return "sctp";
    case 136:
        return "udplite";
    default:
        return "unknown";
    }
}

enum { SEEN_REPLY = 2, ASSURED = 4 };

/* Addresses of connections are written without shortening, as the kernel's %pI6 does. */
static void put_address(struct text *out, const char *key, const struct ipa *a) {
    char text[IPA_STR_LEN];
    if (ipa_is_v4(a)) {
        text_printf(out, "%s=%s ", key, ipa_str(a, text));
        return;
    }
    text_printf(out, "%s=", key);
    for (int i = 0; i < 16; i += 2)
        text_printf(out, "%02x%02x%s", a->b[i], a->b[i + 1], i < 14 ? ":" : " ");
}

static void one_connection(void *ctx, const struct nf_conn_info *i) {
    struct text *out = ctx;
    bool v4 = ipa_is_v4(&i->src[0]), icmp = i->proto == 1 || i->proto == 58;
    text_printf(out, "%-8s %u %-8s %u %u ", v4 ? "ipv4" : "ipv6", v4 ? 2 : 10, protocol_name(i->proto),
                i->proto, i->timeout_s);
    if (i->proto == 6)
        text_printf(out, "%s ", nf_tcp_state_names[i->tcp_state]);
    for (int d = 0; d < 2; d++) {
        put_address(out, "src", &i->src[d]);
        put_address(out, "dst", &i->dst[d]);
        if (icmp)
            text_printf(out, "type=%u code=%u id=%u ", i->icmp_type[d], i->icmp_code[d], i->icmp_id);
        else if (i->sport[d] || i->dport[d])
            text_printf(out, "sport=%u dport=%u ", i->sport[d], i->dport[d]);
        if (d == 0 && !(i->status & SEEN_REPLY))
            text_printf(out, "[UNREPLIED] ");
    }
    if (i->status & ASSURED)
        text_printf(out, "[ASSURED] ");
    text_printf(out, "mark=%u zone=0 use=%u\n", i->mark, i->use + 1);
}

static void show_conntrack(struct net_namespace *net, struct task *t, struct text *out) {
    (void)t;
    nf_lock(net->netns);
    nf_conn_each(net->netns, one_connection, out);
    nf_unlock(net->netns);
}

static void show_tables(struct net_namespace *net, int family, struct text *out) {
    const char *name;
    for (unsigned i = 0; (name = nf_legacy_table_name(net->netns, family, i)); i++)
        text_printf(out, "%s\n", name);
}

static void show_tables4(struct net_namespace *net, struct task *t, struct text *out) {
    (void)t;
    show_tables(net, NS_AF_INET, out);
}

static void show_tables6(struct net_namespace *net, struct task *t, struct text *out) {
    (void)t;
    show_tables(net, NS_AF_INET6, out);
}

PROC_NET_FILE(proc_net_conntrack, show_conntrack);
PROC_NET_FILE(proc_net_tables4, show_tables4);
PROC_NET_FILE(proc_net_tables6, show_tables6);
