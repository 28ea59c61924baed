/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/netstack/net_test.c: datagrams, ICMP, fragments, routes, neighbours, raw and packet sockets,
 * veth, bridge, IPv6 autoconfiguration, groups: between stacks of ours, on a driven clock.
 */
#include "netstack/link/sniffer.h"
#include "tests/sim/stream.h"

static struct sim s;
static struct sim_host *a, *b;
static struct sim_link *l;

static void two_hosts(uint32_t mtu) {
    sim_init(&s, 5);
    a = sim_add_host(&s);
    b = sim_add_host(&s);
    l = sim_add_link(&s, a, b, mtu, 0);
    sim_host_addr(a, l->nic[0], "10.0.0.1", 24);
    sim_host_addr(b, l->nic[1], "10.0.0.2", 24);
    sim_host_addr(a, l->nic[0], "fd00::1", 64);
    sim_host_addr(b, l->nic[1], "fd00::2", 64);
    sim_run_for(&s, SIM_S(20)); /* duplicate detection, reports and solicitations are over */
}

static struct nsock *sock(struct sim_host *h, int family, int type, int proto, const char *ip,
                          uint16_t port) {
    struct nsock *x;
    ASSERT_EQ(nsock_new(h->ns, family, type, proto, NULL, &x), 0);
    if (ip) {
        struct ns_addr addr = sim_addr(ip, port);
        ASSERT_EQ(nsock_bind(x, &addr), 0);
    }
    return x;
}

static ssize_t send_to(struct nsock *x, const char *ip, uint16_t port, const void *buf, size_t n) {
    struct ns_iov iov = {(void *)(uintptr_t)buf, n};
    struct ns_msg m = {.iov = &iov, .iov_count = 1, .has_name = true, .name = sim_addr(ip, port)};
    return nsock_send(x, &m);
}

static uint8_t big[65536], in[65536];

static void fill_big(void) {
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (uint8_t)(i * 7 + i / 256);
}

static void udp_both_ways(const char *ip_b, int family) {
    struct nsock *y = sock(b, family, NS_SOCK_DGRAM, 0, ip_b, 53),
                 *x = sock(a, family, NS_SOCK_DGRAM, 0, NULL, 0);
    ASSERT_EQ(send_to(x, ip_b, 53, "ask", 3), 3);
    sim_run_for(&s, SIM_MS(50));
    struct ns_iov iov = {in, sizeof(in)};
    struct ns_msg m = {.iov = &iov, .iov_count = 1};
    ASSERT_EQ(nsock_recv(y, &m), 3);
    ASSERT_TRUE(m.has_name);
    m.has_name = true;
    struct ns_iov back = {"answer", 6};
    struct ns_msg reply = {.iov = &back, .iov_count = 1, .has_name = true, .name = m.name};
    ASSERT_EQ(nsock_send(y, &reply), 6);
    sim_run_for(&s, SIM_MS(50));
    ASSERT_EQ(sim_recv(x, in, sizeof(in), 0), 6);
    ASSERT_EQ(sim_recv(x, in, sizeof(in), 0), -EAGAIN);
    nsock_close(x);
    nsock_close(y);
}

TEST(udp_over_ipv4_and_ipv6) {
    two_hosts(1500);
    udp_both_ways("10.0.0.2", NS_AF_INET);
    udp_both_ways("fd00::2", NS_AF_INET6);
    sim_done(&s);
}

/* RFC 1122 section 4.1.3.1, udp(7): a connected socket hears of the closed port. */
TEST(udp_closed_port_is_refused) {
    two_hosts(1500);
    struct nsock *x = sock(a, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, 0);
    struct ns_addr to = sim_addr("10.0.0.2", 9);
    ASSERT_EQ(nsock_connect(x, &to), 0);
    ASSERT_EQ(sim_send(x, "x", 1, 0), 1);
    sim_run_for(&s, SIM_MS(50));
    ASSERT_TRUE(nsock_ready(x) & NS_POLLERR);
    ASSERT_EQ(sim_send(x, "x", 1, 0), -ECONNREFUSED);
    ASSERT_EQ(sim_send(x, "x", 1, 0), 1);
    sim_run_for(&s, SIM_MS(50));
    ASSERT_EQ(sim_recv(x, in, 1, 0), -ECONNREFUSED);
    int on = 1;
    ASSERT_EQ(nsock_setopt(x, NS_SOL_IP, NS_IP_RECVERR, &on, sizeof(on)), 0);
    ASSERT_EQ(sim_send(x, "quoted", 6, 0), 6);
    sim_run_for(&s, SIM_MS(50));
    struct ns_iov iov = {in, sizeof(in)};
    struct ns_msg m = {.iov = &iov, .iov_count = 1, .flags = NS_MSG_ERRQUEUE};
    ASSERT_EQ(nsock_recv(x, &m), 6);
    ASSERT_EQ(m.cmsg.ee_errno, ECONNREFUSED);
    ASSERT_EQ(m.cmsg.ee_origin, NS_EE_ORIGIN_ICMP);
    nsock_close(x);
    sim_done(&s);
}

/* RFC 791 and 8200 fragmentation, there and back together, also out of order and twice. */
TEST(large_datagrams_are_fragmented) {
    fill_big();
    two_hosts(1500);
    l->fault.jitter_ns = SIM_MS(5);
    l->fault.dup_ppm = 300000;
    static const struct {
        const char *ip;
        int family;
    } to[] = {{"10.0.0.2", NS_AF_INET}, {"fd00::2", NS_AF_INET6}};
    for (int i = 0; i < 2; i++) {
        struct nsock *y = sock(b, to[i].family, NS_SOCK_DGRAM, 0, to[i].ip, 53);
        struct nsock *x = sock(a, to[i].family, NS_SOCK_DGRAM, 0, NULL, 0);
        ASSERT_EQ(send_to(x, to[i].ip, 53, big, 65000), 65000);
        sim_run_for(&s, SIM_MS(100));
        ASSERT_EQ(sim_recv(y, in, sizeof(in), 0), 65000);
        ASSERT_MEMEQ(in, big, 65000);
        ASSERT_EQ(send_to(x, to[i].ip, 53, big, 65508), i == 0 ? -EMSGSIZE : 65508);
        sim_run_for(&s, SIM_MS(100));
        ASSERT_EQ(sim_recv(y, in, sizeof(in), 0), i == 0 ? -EAGAIN : 65508);
        nsock_close(x);
        nsock_close(y);
    }
    sim_run_for(&s, SIM_S(40)); /* stray duplicates time out */
    struct netns_mib m;
    netns_mib_get(b->ns, &m);
    ASSERT_GE(m.ip_reasm_oks, 3);
    sim_done(&s);
}

/* A flood of first fragments is bounded (FragmentSmack), and all of it goes. */
TEST(reassembly_memory_is_bounded) {
    two_hosts(1500);
    struct netns_sysctl k;
    netns_sysctl_get(b->ns, &k);
    k.ipfrag_high_thresh = 100000;
    ASSERT_EQ(netns_sysctl_set(b->ns, &k), 0);
    l->fault.loss_ppm = 500000;
    struct nsock *x = sock(a, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, 0);
    for (int i = 0; i < 500; i++) {
        (void)!send_to(x, "10.0.0.2", 53, big, 4000);
        sim_run_for(&s, SIM_MS(2));
    }
    ASSERT_LT(b->live_bytes, 400000);
    sim_run_for(&s, SIM_S(40));
    nsock_close(x);
    sim_done(&s);
}

static void ping(int family, const char *ip) {
    bool v4 = family == NS_AF_INET;
    struct nsock *x = sock(a, family, NS_SOCK_DGRAM, v4 ? 1 : 58, NULL, 0);
    uint8_t m[64] = {v4 ? 8 : 128, 0, 0, 0, 0, 0, 0, 9, 'h', 'i'};
    ASSERT_EQ(send_to(x, ip, 0, m, sizeof(m)), (ssize_t)sizeof(m));
    sim_run_for(&s, SIM_MS(50));
    ASSERT_EQ(sim_recv(x, in, sizeof(in), 0), (ssize_t)sizeof(m));
    ASSERT_EQ(in[0], v4 ? 0 : 129);
    ASSERT_EQ(in[7], 9);
    ASSERT_EQ(in[8], 'h');
    m[0] = 13;
    ASSERT_EQ(send_to(x, ip, 0, m, sizeof(m)), -EINVAL); /* echo requests alone */
    nsock_close(x);
}

TEST(echo) {
    two_hosts(1500);
    ping(NS_AF_INET, "10.0.0.2");
    ping(NS_AF_INET6, "fd00::2");
    ping(NS_AF_INET, "127.0.0.1");
    ping(NS_AF_INET6, "::1");
    ping(NS_AF_INET, "10.0.0.1"); /* our own address is local */
    sim_done(&s);
}

/* RFC 4861 section 7.2.2: three solicitations, a second apart, then unreachable. */
TEST(unresolved_neighbour_is_unreachable) {
    two_hosts(1500);
    struct nsock *x = sock(a, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, 0);
    struct ns_addr to = sim_addr("10.0.0.77", 9);
    int on = 1;
    ASSERT_EQ(nsock_setopt(x, NS_SOL_IP, NS_IP_RECVERR, &on, sizeof(on)), 0);
    ASSERT_EQ(nsock_connect(x, &to), 0);
    ASSERT_EQ(sim_send(x, "x", 1, 0), 1);
    uint64_t before = l->frames[0];
    sim_run_for(&s, SIM_MS(3500));
    ASSERT_EQ(l->frames[0] - before, 3);
    ASSERT_EQ(sim_recv(x, in, 1, 0), -EHOSTUNREACH);
    nsock_close(x);
    sim_done(&s);
}

TEST(neighbour_states) {
    two_hosts(1500);
    ping(NS_AF_INET, "10.0.0.2");
    struct ns_neigh n;
    ASSERT_EQ(netns_neigh_at(a->ns, 0, &n), 0);
    ASSERT_EQ(n.state, NS_NUD_REACHABLE);
    sim_run_for(&s, SIM_S(60));
    ASSERT_EQ(netns_neigh_at(a->ns, 0, &n), 0);
    ASSERT_EQ(n.state, NS_NUD_STALE);
    struct nsock *x = sock(a, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, 0);
    ASSERT_EQ(send_to(x, "10.0.0.2", 9, "x", 1), 1);
    ASSERT_EQ(netns_neigh_at(a->ns, 0, &n), 0);
    ASSERT_EQ(n.state, NS_NUD_DELAY);
    sim_run_for(&s, SIM_S(7));
    ASSERT_EQ(netns_neigh_at(a->ns, 0, &n), 0);
    ASSERT_EQ(n.state, NS_NUD_REACHABLE); /* by a unicast probe */
    nsock_close(x);
    sim_done(&s);
}

TEST(routes_longest_prefix_metric_and_rules) {
    two_hosts(1500);
    struct ns_route r = {.dst = IPA_ANY4, .nexthop = {.gateway = sim_ip("10.0.0.2")}};
    ASSERT_EQ(netns_route_add(a->ns, &r), 0);
    ASSERT_EQ(netns_route_add(a->ns, &r), -EEXIST);
    r.nexthop.gateway = sim_ip("172.16.0.1");
    r.metric = 5;
    ASSERT_EQ(netns_route_add(a->ns, &r), -ENETUNREACH);
    r = (struct ns_route){.dst = sim_ip("192.168.0.1"), .prefix_len = 24, .nexthop = {.ifindex = 2}};
    ASSERT_EQ(netns_route_add(a->ns, &r), -EINVAL); /* host bits */
    r = (struct ns_route){.dst = sim_ip("192.168.7.0"), .prefix_len = 24, .type = NS_RTN_PROHIBIT};
    ASSERT_EQ(netns_route_add(a->ns, &r), 0);
    r = (struct ns_route){.dst = sim_ip("192.168.8.0"), .prefix_len = 24, .type = NS_RTN_UNREACHABLE};
    ASSERT_EQ(netns_route_add(a->ns, &r), 0);
    r = (struct ns_route){.dst = sim_ip("192.168.9.0"), .prefix_len = 24, .type = NS_RTN_BLACKHOLE};
    ASSERT_EQ(netns_route_add(a->ns, &r), 0);
    struct nsock *x = sock(a, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, 0);
    struct ns_addr to = sim_addr("192.168.7.1", 9);
    ASSERT_EQ(nsock_connect(x, &to), -EACCES);
    to = sim_addr("192.168.8.1", 9);
    ASSERT_EQ(nsock_connect(x, &to), -EHOSTUNREACH);
    to = sim_addr("192.168.9.1", 9);
    ASSERT_EQ(nsock_connect(x, &to), -EINVAL);
    to = sim_addr("8.8.8.8", 9);
    ASSERT_EQ(nsock_connect(x, &to), 0);
    struct ns_addr local;
    ASSERT_EQ(nsock_local(x, &local), 0);
    struct ipa want = sim_ip("10.0.0.1");
    ASSERT_TRUE(ipa_eq(&local.ip, &want));
    struct ns_rule rule = {.priority = 100,
                           .family = NS_AF_INET,
                           .dst = sim_ip("8.8.8.8"),
                           .dst_len = 32,
                           .action = NS_FR_ACT_UNREACHABLE};
    ASSERT_EQ(netns_rule_add(a->ns, &rule), 0);
    to.family = NS_AF_UNSPEC;
    ASSERT_EQ(nsock_connect(x, &to), 0);
    to = sim_addr("8.8.8.8", 9);
    ASSERT_EQ(nsock_connect(x, &to), -ENETUNREACH);
    ASSERT_EQ(netns_rule_del(a->ns, &rule), 0);
    ASSERT_EQ(nsock_connect(x, &to), 0);
    ASSERT_EQ(nic_set_up(l->nic[0], false), 0);
    ASSERT_EQ(nsock_connect(x, &to), -ENETUNREACH);
    nsock_close(x);
    sim_done(&s);
}

/* socket(7), bind(2): who may share a port. */
TEST(port_conflicts) {
    two_hosts(1500);
    int on = 1;
    struct ns_addr any = sim_addr("0.0.0.0", 80), mine = sim_addr("10.0.0.1", 80), any6 = sim_addr("::", 80);
    struct nsock *x = sock(a, NS_AF_INET, NS_SOCK_STREAM, 0, "0.0.0.0", 80), *y;
    ASSERT_EQ(nsock_new(a->ns, NS_AF_INET, NS_SOCK_STREAM, 0, NULL, &y), 0);
    ASSERT_EQ(nsock_bind(y, &mine), -EADDRINUSE);
    ASSERT_EQ(nsock_setopt(y, NS_SOL_SOCKET, NS_SO_REUSEADDR, &on, sizeof(on)), 0);
    ASSERT_EQ(nsock_bind(y, &mine), -EADDRINUSE);
    ASSERT_EQ(nsock_setopt(x, NS_SOL_SOCKET, NS_SO_REUSEADDR, &on, sizeof(on)), 0);
    ASSERT_EQ(nsock_bind(y, &mine), 0); /* both willing, neither listening */
    ASSERT_EQ(nsock_listen(x, 1), 0);
    ASSERT_EQ(nsock_listen(y, 1), -EADDRINUSE);
    nsock_close(y);
    ASSERT_EQ(nsock_new(a->ns, NS_AF_INET6, NS_SOCK_STREAM, 0, NULL, &y), 0);
    ASSERT_EQ(nsock_bind(y, &any6), -EADDRINUSE); /* dual stack covers IPv4 */
    ASSERT_EQ(nsock_setopt(y, NS_SOL_IPV6, NS_IPV6_V6ONLY, &on, sizeof(on)), 0);
    ASSERT_EQ(nsock_bind(y, &any6), 0);
    nsock_close(y);
    nsock_close(x);
    x = sock(a, NS_AF_INET, NS_SOCK_STREAM, 0, "0.0.0.0", 80); /* free again */
    ASSERT_EQ(nsock_bind(x, &any), -EINVAL);
    nsock_close(x);
    struct ns_addr foreign = sim_addr("10.9.9.9", 80);
    ASSERT_EQ(nsock_new(a->ns, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, &x), 0);
    ASSERT_EQ(nsock_bind(x, &foreign), -EADDRNOTAVAIL);
    ASSERT_EQ(nsock_setopt(x, NS_SOL_IP, NS_IP_FREEBIND, &on, sizeof(on)), 0);
    ASSERT_EQ(nsock_bind(x, &foreign), 0);
    nsock_close(x);
    sim_done(&s);
}

/* SO_REUSEPORT: flows are spread, each stays with its socket. */
TEST(reuseport_spreads_flows) {
    two_hosts(1500);
    struct nsock *y[4], *x[64];
    int on = 1, got[4] = {0};
    struct ns_addr at = sim_addr("10.0.0.2", 53);
    for (int i = 0; i < 4; i++) {
        ASSERT_EQ(nsock_new(b->ns, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, &y[i]), 0);
        ASSERT_EQ(nsock_setopt(y[i], NS_SOL_SOCKET, NS_SO_REUSEPORT, &on, sizeof(on)), 0);
        ASSERT_EQ(nsock_bind(y[i], &at), 0);
    }
    for (int i = 0; i < 64; i++) {
        x[i] = sock(a, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, 0);
        for (int k = 0; k < 3; k++) {
            ASSERT_EQ(send_to(x[i], "10.0.0.2", 53, "x", 1), 1);
            sim_run_for(&s, SIM_MS(3));
        }
    }
    for (int i = 0; i < 4; i++) {
        while (sim_recv(y[i], in, 1, 0) == 1)
            got[i]++;
        ASSERT_EQ(got[i] % 3, 0);
        ASSERT_GT(got[i], 12);
        nsock_close(y[i]);
    }
    ASSERT_EQ(got[0] + got[1] + got[2] + got[3], 192);
    for (int i = 0; i < 64; i++)
        nsock_close(x[i]);
    sim_done(&s);
}

/* A dual-stack socket hears IPv4 as mapped addresses: ipv6(7), RFC 3493 section 3.7. */
TEST(dual_stack_socket) {
    two_hosts(1500);
    struct nsock *y = sock(b, NS_AF_INET6, NS_SOCK_DGRAM, 0, "::", 53),
                 *x = sock(a, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, 0);
    ASSERT_EQ(send_to(x, "10.0.0.2", 53, "x", 1), 1);
    sim_run_for(&s, SIM_MS(20));
    struct ns_iov iov = {in, 10};
    struct ns_msg m = {.iov = &iov, .iov_count = 1};
    ASSERT_EQ(nsock_recv(y, &m), 1);
    ASSERT_EQ(m.name.family, NS_AF_INET6);
    ASSERT_TRUE(ipa_is_v4(&m.name.ip));
    nsock_close(x);
    nsock_close(y);
    sim_done(&s);
}

/* ip(7): groups reach members only, loop back to the sender, and need IGMP reports. */
TEST(multicast) {
    two_hosts(1500);
    struct nsock *y = sock(b, NS_AF_INET, NS_SOCK_DGRAM, 0, "0.0.0.0", 5000),
                 *x = sock(a, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, 0);
    uint8_t mreqn[12] = {239, 1, 2, 3, 0, 0, 0, 0, 2, 0, 0, 0},
            wif[12] = {0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0};
    ASSERT_EQ(nsock_setopt(x, NS_SOL_IP, NS_IP_MULTICAST_IF, wif, sizeof(wif)), 0);
    ASSERT_EQ(send_to(x, "239.1.2.3", 5000, "x", 1), 1);
    sim_run_for(&s, SIM_MS(20));
    ASSERT_EQ(sim_recv(y, in, 1, 0), -EAGAIN);
    uint64_t before = l->frames[1];
    ASSERT_EQ(nsock_setopt(y, NS_SOL_IP, NS_IP_ADD_MEMBERSHIP, mreqn, sizeof(mreqn)), 0);
    ASSERT_EQ(nsock_setopt(y, NS_SOL_IP, NS_IP_ADD_MEMBERSHIP, mreqn, sizeof(mreqn)), -EADDRINUSE);
    sim_run_for(&s, SIM_S(3));
    ASSERT_EQ(l->frames[1] - before, 2); /* RFC 3376 section 5.1: the report and one repeat */
    ASSERT_EQ(send_to(x, "239.1.2.3", 5000, "x", 1), 1);
    sim_run_for(&s, SIM_MS(20));
    ASSERT_EQ(sim_recv(y, in, 1, 0), 1);
    ASSERT_EQ(nsock_setopt(y, NS_SOL_IP, NS_IP_DROP_MEMBERSHIP, mreqn, sizeof(mreqn)), 0);
    ASSERT_EQ(nsock_setopt(y, NS_SOL_IP, NS_IP_DROP_MEMBERSHIP, mreqn, sizeof(mreqn)), -EADDRNOTAVAIL);
    struct ns_addr bc = sim_addr("10.0.0.255", 5000);
    ASSERT_EQ(nsock_connect(x, &bc), -EACCES);
    int on = 1;
    ASSERT_EQ(nsock_setopt(x, NS_SOL_SOCKET, NS_SO_BROADCAST, &on, sizeof(on)), 0);
    ASSERT_EQ(send_to(x, "10.0.0.255", 5000, "b", 1), 1);
    sim_run_for(&s, SIM_MS(20));
    ASSERT_EQ(sim_recv(y, in, 1, 0), 1);
    nsock_close(x);
    nsock_close(y);
    sim_done(&s);
}

TEST(udp_cork_and_segmentation) {
    fill_big();
    two_hosts(1500);
    struct nsock *y = sock(b, NS_AF_INET, NS_SOCK_DGRAM, 0, "10.0.0.2", 53),
                 *x = sock(a, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, 0);
    struct ns_addr to = sim_addr("10.0.0.2", 53);
    ASSERT_EQ(nsock_connect(x, &to), 0);
    ASSERT_EQ(sim_send(x, "ab", 2, NS_MSG_MORE), 2);
    ASSERT_EQ(sim_send(x, "cd", 2, 0), 2);
    sim_run_for(&s, SIM_MS(20));
    ASSERT_EQ(sim_recv(y, in, 10, 0), 4);
    int size = 1000;
    ASSERT_EQ(nsock_setopt(x, NS_SOL_UDP, NS_UDP_SEGMENT, &size, sizeof(size)), 0);
    ASSERT_EQ(sim_send(x, big, 2500, 0), 2500);
    sim_run_for(&s, SIM_MS(20));
    ASSERT_EQ(sim_recv(y, in, 5000, 0), 1000);
    ASSERT_EQ(sim_recv(y, in, 5000, 0), 1000);
    ASSERT_EQ(sim_recv(y, in, 5000, 0), 500);
    ASSERT_MEMEQ(in, big + 2000, 500);
    size = 1490;
    ASSERT_EQ(nsock_setopt(x, NS_SOL_UDP, NS_UDP_SEGMENT, &size, sizeof(size)), 0);
    ASSERT_EQ(sim_send(x, big, 2500, 0), -EINVAL);
    nsock_close(x);
    nsock_close(y);
    sim_done(&s);
}

/* raw(7): a raw socket sees IP headers, and may write them. */
TEST(raw_sockets) {
    two_hosts(1500);
    struct nsock *x = sock(a, NS_AF_INET, NS_SOCK_RAW, 200, NULL, 0),
                 *y = sock(b, NS_AF_INET, NS_SOCK_RAW, 200, NULL, 0);
    ASSERT_EQ(send_to(x, "10.0.0.2", 0, "raw", 3), 3);
    sim_run_for(&s, SIM_MS(20));
    ASSERT_EQ(sim_recv(y, in, sizeof(in), 0), 23);
    ASSERT_EQ(in[9], 200);
    ASSERT_MEMEQ(in + 20, "raw", 3);
    nsock_close(y);
    struct ns_addr to = sim_addr("10.0.0.2", 0);
    ASSERT_EQ(nsock_connect(x, &to), 0);
    ASSERT_EQ(sim_send(x, "raw", 3, 0), 3); /* nobody there: protocol unreachable, a hard error */
    sim_run_for(&s, SIM_MS(20));
    ASSERT_EQ(sim_recv(x, in, 10, 0), -ENOPROTOOPT);
    nsock_close(x);
    sim_done(&s);
}

/* packet(7). */
TEST(packet_sockets) {
    two_hosts(1500);
    struct nsock *k, *c;
    ASSERT_EQ(nsock_new(b->ns, NS_AF_PACKET, NS_SOCK_RAW, 3, NULL, &k), 0);
    ASSERT_EQ(nsock_new(b->ns, NS_AF_PACKET, NS_SOCK_DGRAM, 0x0800, NULL, &c), 0);
    ping(NS_AF_INET, "10.0.0.2");
    struct ns_iov iov = {in, sizeof(in)};
    struct ns_msg m = {.iov = &iov, .iov_count = 1};
    int frames = 0, outgoing = 0;
    ssize_t n;
    while ((n = nsock_recv(k, &m)) >= 0) {
        frames++;
        outgoing += m.name.pkttype == PKT_OUTGOING;
        ASSERT_GE(n, 42);
        m = (struct ns_msg){.iov = &iov, .iov_count = 1};
    }
    ASSERT_EQ(frames, 4); /* ARP and echo, each with its answer */
    ASSERT_EQ(outgoing, 2);
    ASSERT_EQ(nsock_recv(c, &m), 84);
    ASSERT_EQ(m.name.ethertype, 0x0800);
    ASSERT_EQ(m.name.mac.b[5], 1);
    uint32_t stats[2];
    size_t len = sizeof(stats);
    ASSERT_EQ(nsock_getopt(k, NS_SOL_PACKET, NS_PACKET_STATISTICS, stats, &len), 0);
    ASSERT_EQ(stats[0], 4);
    nsock_close(k);
    nsock_close(c);
    sim_done(&s);
}

/* Two namespaces of one stack, a bridge between them with three ports: learning, flooding, TCP at full size.
 */
TEST(veth_and_bridge) {
    sim_init(&s, 9);
    a = sim_add_host(&s);
    struct netns *ns[3];
    struct nic *br, *inner[3], *outer[3];
    static const char *const ip[3] = {"10.1.0.1", "10.1.0.2", "10.1.0.3"};
    ASSERT_EQ(bridge_new(a->ns, "br0", &br), 0);
    ASSERT_EQ(nic_set_up(br, true), 0);
    sim_host_addr(a, br, "10.1.0.254", 24);
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(netns_new(a->st, &ns[i]), 0);
        ASSERT_EQ(veth_new(ns[i], "eth0", a->ns, "", &inner[i], &outer[i]), 0);
        ASSERT_EQ(bridge_set_port(br, outer[i]), 0);
        ASSERT_EQ(nic_set_up(inner[i], true), 0);
        ASSERT_EQ(nic_set_up(outer[i], true), 0);
        sim_host_addr(a, inner[i], ip[i], 24);
    }
    struct sim_host h[2] = {*a, *a};
    h[0].ns = ns[0];
    h[1].ns = ns[1];
    struct stream x = {.end = {{.to_send = 3000000}, {.to_send = 1000}}};
    stream_start(&x, &s, &h[0], &h[1], "10.1.0.2", 80);
    stream_run(&x, SIM_S(60));
    ASSERT_EQ(x.end[1].received, 3000000);
    struct nic_info info;
    nic_info(inner[2], &info);
    ASSERT_LT(info.stats.rx_packets, 40); /* the third port saw broadcasts and groups alone */
    nic_info(outer[0], &info);
    struct nic_info bi;
    nic_info(br, &bi);
    ASSERT_EQ(info.master, bi.ifindex);
    stream_close(&x);
    struct stream y = {.end = {{.to_send = 100000}, {.to_send = 0}}};
    stream_start(&y, &s, &h[0], a, "10.1.0.254", 81); /* the bridge's own address */
    stream_run(&y, SIM_S(60));
    stream_close(&y);
    ASSERT_EQ(nic_remove(inner[2]), 0);
    sim_run_for(&s, SIM_S(70));
    for (int i = 0; i < 3; i++)
        netns_unref(ns[i]);
    sim_done(&s);
}

/* RFC 4862: link-local address, duplicate detection, router advertisement with a prefix; and failure of DAD.
 */
TEST(ipv6_autoconfiguration) {
    sim_init(&s, 11);
    a = sim_add_host(&s);
    b = sim_add_host(&s);
    l = sim_add_link(&s, a, b, 1500, 0);
    struct nic_addr ad;
    ASSERT_EQ(nic_addr_at(l->nic[0], 0, &ad), 0);
    ASSERT_TRUE(ad.flags & NS_IFA_F_TENTATIVE);
    sim_run_for(&s, SIM_S(4));
    ASSERT_EQ(nic_addr_at(l->nic[0], 0, &ad), 0);
    ASSERT_FALSE(ad.flags & NS_IFA_F_TENTATIVE);
    char text[IPA_STR_LEN];
    ASSERT_STREQ(ipa_str(&ad.addr, text), "fe80::ff:fe00:1");
    struct nic_addr dup = {
        .addr = ad.addr, .prefix_len = 64, .valid_s = UINT32_MAX, .preferred_s = UINT32_MAX};
    ASSERT_EQ(nic_addr_add(l->nic[1], &dup), 0);
    sim_run_for(&s, SIM_S(4));
    bool failed = false;
    for (size_t i = 0; nic_addr_at(l->nic[1], i, &ad) == 0; i++)
        failed |= ipa_eq(&ad.addr, &dup.addr) && ad.flags & NS_IFA_F_DADFAILED;
    ASSERT_TRUE(failed);
    /* a router advertisement from b, by a raw socket */
    struct nsock *r = sock(b, NS_AF_INET6, NS_SOCK_RAW, 58, NULL, 0);
    uint8_t ra[48] = {134, 0, 0, 0, 64, 0, 7, 8, [16] = 3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x07, 0x08};
    ra[32] = 0x20;
    ra[33] = 0x01;
    ra[34] = 0x0d;
    ra[35] = 0xb8;
    int hops = 255;
    ASSERT_EQ(nsock_setopt(r, NS_SOL_IPV6, NS_IPV6_MULTICAST_HOPS, &hops, sizeof(hops)), 0);
    struct ns_iov iov = {ra, sizeof(ra)};
    struct ns_msg m = {.iov = &iov, .iov_count = 1, .has_name = true, .name = sim_addr("ff02::1", 0)};
    m.name.scope_id = 2;
    ASSERT_EQ(nsock_send(r, &m), (ssize_t)sizeof(ra));
    sim_run_for(&s, SIM_S(4));
    ASSERT_EQ(nic_addr_at(l->nic[0], 1, &ad), 0);
    ASSERT_STREQ(ipa_str(&ad.addr, text), "2001:db8::ff:fe00:1");
    struct ns_route route;
    bool have_default = false;
    for (size_t i = 0; netns_route_at(a->ns, NS_AF_INET6, i, &route) == 0; i++)
        have_default |= route.prefix_len == 0 && route.protocol == NS_RTPROT_RA;
    ASSERT_TRUE(have_default);
    sim_run_for(&s, SIM_S(3700)); /* valid for an hour */
    ASSERT_EQ(nic_addr_at(l->nic[0], 1, &ad), -ENOENT);
    nsock_close(r);
    sim_done(&s);
}

static uint8_t pcap[100000];
static size_t pcap_len;

static void pcap_write(void *ctx, const void *data, size_t len) {
    (void)ctx;
    ASSERT_LT(pcap_len + len, sizeof(pcap));
    memcpy(pcap + pcap_len, data, len);
    pcap_len += len;
}

TEST(sniffer_writes_pcap) {
    static const struct sniffer_sink_ops ops = {.write = pcap_write};
    two_hosts(1500);
    struct sniffer sn = {.ops = &ops, .snaplen = 60};
    sniffer_start(&sn, l->nic[0]);
    ping(NS_AF_INET, "10.0.0.2");
    sniffer_stop(l->nic[0]);
    uint32_t magic, link, records = 0;
    memcpy(&magic, pcap, 4);
    memcpy(&link, pcap + 20, 4);
    ASSERT_EQ(magic, 0xa1b23c4d);
    ASSERT_EQ(link, 1);
    for (size_t at = 24; at < pcap_len; records++) {
        uint32_t kept, len;
        memcpy(&kept, pcap + at + 8, 4);
        memcpy(&len, pcap + at + 12, 4);
        ASSERT_LE(kept, 60);
        ASSERT_LE(kept, len);
        at += 16 + kept;
    }
    ASSERT_EQ(records, 4);
    sim_done(&s);
}

/* Every allocation of a scenario fails once, one run after the other: no crash, no leak. */
static void scenario(int64_t fail_at, bool *ret_reached) {
    two_hosts(1500);
    a->fail_after = fail_at;
    struct nsock *lis = NULL, *x = NULL, *acc = NULL, *u = NULL;
    struct ns_addr at = sim_addr("10.0.0.1", 80), to = sim_addr("10.0.0.1", 80);
    int rc = nsock_new(a->ns, NS_AF_INET, NS_SOCK_STREAM, 0, NULL, &lis);
    if (rc == 0 && nsock_bind(lis, &at) == 0 && nsock_listen(lis, 4) == 0 &&
        nsock_new(b->ns, NS_AF_INET, NS_SOCK_STREAM, 0, NULL, &x) == 0 &&
        nsock_connect(x, &to) == -EINPROGRESS) {
        sim_run_for(&s, SIM_S(1));
        (void)!sim_send(x, big, 20000, 0);
        sim_run_for(&s, SIM_S(1));
        if (nsock_accept(lis, &acc, NULL) == 0) {
            (void)!sim_send(acc, big, 20000, 0);
            (void)!sim_recv(acc, in, sizeof(in), 0);
        }
        sim_run_for(&s, SIM_S(2));
    }
    if (nsock_new(a->ns, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, &u) == 0) {
        (void)!send_to(u, "10.0.0.2", 9, big, 4000);
        (void)!send_to(u, "127.0.0.1", 9, big, 100);
        sim_run_for(&s, SIM_S(1));
    }
    *ret_reached = a->failed > 0;
    nsock_close(u);
    nsock_close(acc);
    nsock_close(x);
    nsock_close(lis);
    sim_run_for(&s, SIM_S(200));
    sim_done(&s);
}

TEST_TIMEOUT(every_allocation_may_fail, 120) {
    bool reached = true;
    int64_t i = 0;
    for (; reached; i++)
        scenario(i, &reached);
    ASSERT_GT(i, 100);
}
