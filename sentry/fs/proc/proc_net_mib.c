/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_net_mib.c: /proc/PID/net: counters. Those that the stack does not keep are zero.
 * Source: proc(5), RFC 1213, RFC 4293.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/stat.h"
#include "sentry/fs/proc/proc_net.h"

struct counter {
    const char *name;
    uint64_t value;
};

/* "Ip: names" and "Ip: values", as Linux. */
static void two_lines(struct text *out, const char *group, const struct counter *c, size_t count) {
    text_printf(out, "%s:", group);
    for (size_t i = 0; i < count; i++)
        text_printf(out, " %s", c[i].name);
    text_printf(out, "\n%s:", group);
    for (size_t i = 0; i < count; i++)
        text_printf(out, " %ld", (long)c[i].value);
    text_printf(out, "\n");
}

struct states {
    uint64_t inuse, established, orphans, time_wait, all;
    uint16_t family;
};

static void count_one(void *ctx, const struct ns_sock_info *i, void *user) {
    struct states *s = ctx;

    if (s->family && i->family != s->family)
        return;
    s->all++;
    s->time_wait += i->state == NS_TCP_TIME_WAIT;
    s->inuse += i->state != NS_TCP_TIME_WAIT && i->state != NS_TCP_CLOSE;
    s->established += i->state == NS_TCP_ESTABLISHED || i->state == NS_TCP_CLOSE_WAIT;
    s->orphans += i->sock && !user;
}

static struct states count(struct net_namespace *net, enum ns_sock_table table, uint16_t family) {
    struct states s = {.family = family};

    netns_sock_each(net->netns, table, count_one, &s);
    return s;
}

/* tidy: table */
static void show_snmp(struct net_namespace *net, struct task *t, struct text *out) {
    struct netns_sysctl k;
    struct netns_mib m;

    (void)t;
    netns_sysctl_get(net->netns, &k);
    netns_mib_get(net->netns, &m);
    struct states tcp = count(net, NS_SOCKS_TCP, 0);
    const struct counter ip[] = {{"Forwarding", k.ip_forward ? 1 : 2},
                                 {"DefaultTTL", (uint64_t)k.ip_default_ttl},
                                 {"InReceives", m.ip_in},
                                 {"InHdrErrors", m.ip_in_hdr_errors},
                                 {"InAddrErrors", m.ip_in_addr_errors},
                                 {"ForwDatagrams", m.ip_forwarded},
                                 {"InUnknownProtos", m.ip_in_unknown_proto},
                                 {"InDiscards", m.ip_in_discards},
                                 {"InDelivers", m.ip_in_delivers},
                                 {"OutRequests", m.ip_out},
                                 {"OutDiscards", m.ip_out_discards},
                                 {"OutNoRoutes", m.ip_out_no_route},
                                 {"ReasmTimeout", m.ip_reasm_timeout},
                                 {"ReasmReqds", m.ip_reasm_reqds},
                                 {"ReasmOKs", m.ip_reasm_oks},
                                 {"ReasmFails", m.ip_reasm_fails},
                                 {"FragOKs", m.ip_frag_oks},
                                 {"FragFails", m.ip_frag_fails},
                                 {"FragCreates", m.ip_frag_creates},
                                 {"OutTransmits", m.ip_out}};
    static const char *const icmp_in[] = {"InDestUnreachs",  "InTimeExcds", "InParmProbs",   "InSrcQuenchs",
                                          "InRedirects",     "InEchos",     "InEchoReps",    "InTimestamps",
                                          "InTimestampReps", "InAddrMasks", "InAddrMaskReps"};
    static const char *const icmp_out[] = {
        "OutDestUnreachs", "OutTimeExcds",  "OutParmProbs",     "OutSrcQuenchs", "OutRedirects",   "OutEchos",
        "OutEchoReps",     "OutTimestamps", "OutTimestampReps", "OutAddrMasks",  "OutAddrMaskReps"};
    struct counter icmp[3 + 11 + 4 + 11] = {
        {"InMsgs", m.icmp_in}, {"InErrors", m.icmp_in_errors}, {"InCsumErrors", m.icmp_in_csum_errors}};
    size_t n = 3;
    for (size_t i = 0; i < ARRAY_SIZE(icmp_in); i++)
        icmp[n++].name = icmp_in[i];
    icmp[n++] = (struct counter){"OutMsgs", m.icmp_out};
    icmp[n++] = (struct counter){"OutErrors", 0};
    icmp[n++] = (struct counter){"OutRateLimitGlobal", m.icmp_ratelimited};
    icmp[n++] = (struct counter){"OutRateLimitHost", 0};
    for (size_t i = 0; i < ARRAY_SIZE(icmp_out); i++)
        icmp[n++].name = icmp_out[i];
    const struct counter tcps[] = {{"RtoAlgorithm", 1},
                                   {"RtoMin", 200},
                                   {"RtoMax", 120000},
                                   {"MaxConn", UINT64_MAX},
                                   {"ActiveOpens", m.tcp_active_opens},
                                   {"PassiveOpens", m.tcp_passive_opens},
                                   {"AttemptFails", m.tcp_attempt_fails},
                                   {"EstabResets", m.tcp_estab_resets},
                                   {"CurrEstab", tcp.established},
                                   {"InSegs", m.tcp_in_segs},
                                   {"OutSegs", m.tcp_out_segs},
                                   {"RetransSegs", m.tcp_retrans_segs},
                                   {"InErrs", m.tcp_in_errs},
                                   {"OutRsts", m.tcp_out_rsts},
                                   {"InCsumErrors", m.tcp_csum_errors}};
    const struct counter udp[] = {{"InDatagrams", m.udp_in},
                                  {"NoPorts", m.udp_no_ports},
                                  {"InErrors", m.udp_in_errors},
                                  {"OutDatagrams", m.udp_out},
                                  {"RcvbufErrors", m.udp_rcvbuf_errors},
                                  {"SndbufErrors", m.udp_sndbuf_errors},
                                  {"InCsumErrors", m.udp_csum_errors},
                                  {"IgnoredMulti", 0},
                                  {"MemErrors", 0}};
    struct counter udplite[ARRAY_SIZE(udp)];
    for (size_t i = 0; i < ARRAY_SIZE(udp); i++)
        udplite[i] = (struct counter){udp[i].name, 0};
    two_lines(out, "Ip", ip, ARRAY_SIZE(ip));
    two_lines(out, "Icmp", icmp, n);
    two_lines(out, "Tcp", tcps, ARRAY_SIZE(tcps));
    two_lines(out, "Udp", udp, ARRAY_SIZE(udp));
    two_lines(out, "UdpLite", udplite, ARRAY_SIZE(udplite));
}
PROC_NET_FILE(proc_net_snmp, show_snmp);

static void show_netstat(struct net_namespace *net, struct task *t, struct text *out) {
    struct netns_mib m;

    (void)t;
    netns_mib_get(net->netns, &m);
    const struct counter ext[] = {{"SyncookiesSent", m.tcp_syncookies_sent},
                                  {"SyncookiesRecv", m.tcp_syncookies_recv},
                                  {"SyncookiesFailed", m.tcp_syncookies_failed},
                                  {"TW", m.tcp_tw},
                                  {"PAWSEstab", m.tcp_paws_drops},
                                  {"DelayedACKs", m.tcp_delayed_acks},
                                  {"ListenOverflows", m.tcp_listen_overflows},
                                  {"ListenDrops", m.tcp_listen_overflows},
                                  {"TCPSACKReneging", m.tcp_sack_reneging},
                                  {"TCPLostRetransmit", 0},
                                  {"TCPFastRetrans", m.tcp_fast_retrans},
                                  {"TCPSlowStartRetrans", m.tcp_slow_start_retrans},
                                  {"TCPTimeouts", m.tcp_timeouts},
                                  {"TCPLossProbes", m.tcp_loss_probes},
                                  {"RcvPruned", m.tcp_rcv_pruned},
                                  {"OfoPruned", m.tcp_ofo_pruned},
                                  {"TCPDSACKOldSent", m.tcp_dsack_sent},
                                  {"TCPDSACKRecv", m.tcp_dsack_recv},
                                  {"TCPAbortOnTimeout", m.tcp_abort_on_timeout},
                                  {"TCPBacklogDrop", m.tcp_backlog_drops},
                                  {"TCPChallengeACK", m.tcp_challenge_acks},
                                  {"TCPSpuriousRTOs", m.tcp_spurious_rtos},
                                  {"TCPOFOQueue", m.tcp_ofo_queued},
                                  {"TCPFastOpenActive", m.tcp_fastopen_active},
                                  {"TCPFastOpenPassive", m.tcp_fastopen_passive},
                                  {"TCPKeepAlive", m.tcp_keepalives},
                                  {"TCPWinProbe", m.tcp_zero_window_probes}};
    const struct counter ip[] = {{"InNoRoutes", 0},   {"InTruncatedPkts", 0}, {"InMcastPkts", 0},
                                 {"OutMcastPkts", 0}, {"InBcastPkts", 0},     {"OutBcastPkts", 0},
                                 {"InOctets", 0},     {"OutOctets", 0}};
    two_lines(out, "TcpExt", ext, ARRAY_SIZE(ext));
    two_lines(out, "IpExt", ip, ARRAY_SIZE(ip));
}
PROC_NET_FILE(proc_net_netstat, show_netstat);

static void show_snmp6(struct net_namespace *net, struct task *t, struct text *out) {
    struct netns_mib m;

    (void)t;
    netns_mib_get(net->netns, &m); /* the stack counts both families together */
    const struct counter c[] = {{"Ip6InReceives", 0}, {"Ip6InHdrErrors", 0}, {"Ip6InNoRoutes", 0},
                                {"Ip6InDelivers", 0}, {"Ip6OutRequests", 0}, {"Ip6OutNoRoutes", 0},
                                {"Icmp6InMsgs", 0},   {"Icmp6OutMsgs", 0},   {"Udp6InDatagrams", 0},
                                {"Udp6NoPorts", 0},   {"Udp6InErrors", 0},   {"Udp6OutDatagrams", 0}};
    for (size_t i = 0; i < ARRAY_SIZE(c); i++)
        text_printf(out, "%-32s\t%lu\n", c[i].name, (unsigned long)c[i].value);
}
PROC_NET_FILE(proc_net_snmp6, show_snmp6);

static void show_sockstat(struct net_namespace *net, struct task *t, struct text *out) {
    struct states tcp = count(net, NS_SOCKS_TCP, NS_AF_INET), udp = count(net, NS_SOCKS_UDP, NS_AF_INET),
                  raw = count(net, NS_SOCKS_RAW, NS_AF_INET);
    struct states any = count(net, NS_SOCKS_TCP, 0);

    (void)t;
    text_printf(out, "sockets: used %lu\n",
                (unsigned long)(any.all - any.time_wait + count(net, NS_SOCKS_UDP, 0).all +
                                count(net, NS_SOCKS_RAW, 0).all));
    text_printf(out, "TCP: inuse %lu orphan %lu tw %lu alloc %lu mem 0\n", (unsigned long)tcp.inuse,
                (unsigned long)any.orphans, (unsigned long)any.time_wait,
                (unsigned long)(any.all - any.time_wait));
    text_printf(out, "UDP: inuse %lu mem 0\nUDPLITE: inuse 0\nRAW: inuse %lu\nFRAG: inuse 0 memory 0\n",
                (unsigned long)udp.all, (unsigned long)raw.all);
}
PROC_NET_FILE(proc_net_sockstat, show_sockstat);

static void show_sockstat6(struct net_namespace *net, struct task *t, struct text *out) {
    (void)t;
    text_printf(
        out,
        "TCP6: inuse %lu\nUDP6: inuse %lu\nUDPLITE6: inuse 0\nRAW6: inuse %lu\nFRAG6: inuse 0 memory 0\n",
        (unsigned long)count(net, NS_SOCKS_TCP, NS_AF_INET6).inuse,
        (unsigned long)count(net, NS_SOCKS_UDP, NS_AF_INET6).all,
        (unsigned long)count(net, NS_SOCKS_RAW, NS_AF_INET6).all);
}
PROC_NET_FILE(proc_net_sockstat6, show_sockstat6);
