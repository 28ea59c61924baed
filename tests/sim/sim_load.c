/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/sim_load.c: a stack under load: a SYN flood beside a stream, many idle connections, GRO of
 * batches.
 */
#include <stdlib.h>

#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_tcp.h"
#include "tests/sim/stream.h"

static struct sim s;
static struct sim_host *a, *b;
static struct sim_link *l;

static void two_hosts(void) {
    sim_init(&s, 77);
    a = sim_add_host(&s);
    b = sim_add_host(&s);
    l = sim_add_link(&s, a, b, 1500, 0);
    sim_host_addr(a, l->nic[0], "10.0.0.1", 24);
    sim_host_addr(b, l->nic[1], "10.0.0.2", 24);
}

/* One TCP frame from `src` to host b. */
static struct pkt *tcp_frame(struct ipa src, uint16_t sport, uint32_t seq, uint32_t ack, uint8_t flags,
                             uint32_t len) {
    uint8_t d[1600] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0};
    struct ipa dst = sim_ip("10.0.0.2");
    struct ipv4_hdr ip = {.hlen = 20,
                          .total_len = (uint16_t)(40 + len),
                          .df = true,
                          .ttl = 64,
                          .proto = 6,
                          .src = src,
                          .dst = dst};
    ipv4_put(d + 14, &ip);
    struct tcp_hdr h = {
        .sport = sport, .dport = 80, .seq = seq, .ack = ack, .hlen = 20, .flags = flags, .window = 65535};
    tcp_hdr_put(d + 34, &h);
    for (uint32_t i = 0; i < len; i++)
        d[54 + i] = (uint8_t)(seq + i);
    uint32_t sum = csum_pseudo(&src, &dst, 6, 20 + len);
    csum_store(d + 50, csum_fold(csum_partial(d + 34, 20 + len, sum)));
    return netstack_pkt_copy(b->st, d, 54 + len);
}

/* 10,000 SYNs a second from everywhere to the port of a stream: it goes on, memory stays bounded, and a new
 * client still gets in (by a cookie). */
TEST(syn_flood_beside_a_stream) {
    two_hosts();
    struct stream x = {
        .end = {{.to_send = 3000000, .max_write = 20000, .max_read = 60000}, {.to_send = 1000}}};
    stream_start(&x, &s, a, b, "10.0.0.2", 80);
    while (!x.end[1].sock) {
        ASSERT_TRUE(stream_act(&x));
        (void)sim_step(&s, s.now + SIM_MS(1));
    }
    int64_t next = s.now, begin = s.now;
    uint64_t syns = 0;
    while (stream_act(&x)) {
        while (next <= s.now) {
            struct ipa src =
                ipa_from4(0xc6120000u | (uint32_t)sim_below(&s, 65536)); /* 198.18.0.0/15, RFC 2544 */
            nic_input(l->nic[1], tcp_frame(src, (uint16_t)(1024 + sim_below(&s, 60000)),
                                           (uint32_t)sim_random(&s), 0, TH_SYN, 0));
            syns++;
            next += SIM_MS(1) / 10;
        }
        (void)sim_step(&s, next);
    }
    double seconds = (double)(s.now - begin) / 1e9;
    ASSERT_LT(seconds, 2.0); /* 3 MB at a window per 2 ms */
    ASSERT_GT(syns, 500);
    ASSERT_LT(b->peak_bytes, 8u << 20);
    ASSERT_EQ(x.end[1].received, 3000000);
    struct nsock *c;
    struct ns_addr at = sim_addr("10.0.0.2", 80);
    ASSERT_EQ(nsock_new(a->ns, NS_AF_INET, NS_SOCK_STREAM, 0, NULL, &c), 0);
    ASSERT_EQ(nsock_connect(c, &at), -EINPROGRESS);
    sim_run_for(&s, SIM_MS(100));
    ASSERT_EQ(nsock_connect(c, &at), 0);
    struct netns_mib m;
    netns_mib_get(b->ns, &m);
    ASSERT_GT(m.tcp_syncookies_sent, 100);
    ASSERT_EQ(m.tcp_syncookies_recv, 1);
    nsock_close(c);
    stream_close(&x);
    sim_run_for(&s, SIM_S(200));
    sim_done(&s);
}

/* Issue 6: memory per idle TCP connection <= 4 KiB, and no timer runs for it. */
TEST(idle_connections_are_small_and_silent) {
    enum { N = 5000 };
    static struct nsock *client[N], *server[N];
    sim_init(&s, 78);
    a = sim_add_host(&s);
    struct ns_addr at = sim_addr("127.0.0.1", 80);
    struct nsock *lis;
    ASSERT_EQ(nsock_new(a->ns, NS_AF_INET, NS_SOCK_STREAM, 0, NULL, &lis), 0);
    ASSERT_EQ(nsock_bind(lis, &at), 0);
    ASSERT_EQ(nsock_listen(lis, 100), 0);
    size_t before = a->live_bytes;
    for (int i = 0; i < N; i++) {
        ASSERT_EQ(nsock_new(a->ns, NS_AF_INET, NS_SOCK_STREAM, 0, NULL, &client[i]), 0);
        ASSERT_EQ(nsock_connect(client[i], &at), -EINPROGRESS);
        ASSERT_EQ(nsock_accept(lis, &server[i], NULL), 0);
    }
    ASSERT_LE((a->live_bytes - before) / (2 * N), 4096);
    sim_run_for(&s, SIM_S(1));
    ASSERT_EQ(netstack_next_deadline(a->st), NETSTACK_NEVER);
    for (int i = 0; i < N; i++) {
        nsock_close(client[i]);
        nsock_close(server[i]);
    }
    nsock_close(lis);
    sim_run_for(&s, SIM_S(61));
    ASSERT_EQ(netstack_next_deadline(a->st), NETSTACK_NEVER);
    sim_done(&s);
}

/* A batch of in-order segments goes up as one and is acknowledged as such; a gap or a bad sum ends the
 * merging. */
TEST(gro_merges_a_batch) {
    two_hosts();
    struct ipa peer = sim_ip("10.0.0.1");
    struct ns_addr at = sim_addr("10.0.0.2", 80);
    struct nsock *lis, *c;
    ASSERT_EQ(nsock_new(b->ns, NS_AF_INET, NS_SOCK_STREAM, 0, NULL, &lis), 0);
    ASSERT_EQ(nsock_bind(lis, &at), 0);
    ASSERT_EQ(nsock_listen(lis, 10), 0);
    struct ns_neigh n = {.addr = peer, .ifindex = 2, .mac = {{2, 0, 0, 0, 0, 1}}, .state = NS_NUD_PERMANENT};
    ASSERT_EQ(netns_neigh_set(b->ns, &n), 0);
    nic_input(l->nic[1], tcp_frame(peer, 999, 1000, 0, TH_SYN, 0));
    static uint8_t buf[131072];
    struct channel_frame m;
    uint32_t isn = 0;
    while (channel_link_read(l->nic[1], buf, sizeof(buf), &m) >= 0)
        if (buf[12] == 8 && buf[13] == 0 && buf[23] == 6)
            isn = get_be32(buf + 38);
    nic_input(l->nic[1], tcp_frame(peer, 999, 1001, isn + 1, TH_ACK, 0));
    ASSERT_EQ(nsock_accept(lis, &c, NULL), 0);
    struct netns_mib before, after;
    netns_mib_get(b->ns, &before);
    struct pkt *batch[40];
    for (uint32_t i = 0; i < 40; i++)
        batch[i] = tcp_frame(peer, 999, 1001 + i * 1000, isn + 1, TH_ACK | (i == 39 ? TH_PSH : 0), 1000);
    nic_input_batch(l->nic[1], batch, 40);
    netns_mib_get(b->ns, &after);
    ASSERT_EQ(after.tcp_in_segs - before.tcp_in_segs, 1);
    ASSERT_EQ(nsock_inq(c), 40000);
    ASSERT_EQ(sim_recv(c, buf, sizeof(buf), 0), 40000);
    for (uint32_t i = 0; i < 40000; i++)
        ASSERT_EQ(buf[i], (uint8_t)(1001 + i));
    before = after;
    for (uint32_t i = 0; i < 10; i++)
        batch[i] = tcp_frame(peer, 999, 41001 + i * 1000 + (i > 4 ? 500 : 0), isn + 1, TH_ACK, 1000);
    uint8_t *bad = pkt_writable(batch[8], 100);
    bad[80] ^= 1; /* its sum is wrong: dropped, the rest stays */
    nic_input_batch(l->nic[1], batch, 10);
    netns_mib_get(b->ns, &after);
    ASSERT_EQ(after.tcp_csum_errors - before.tcp_csum_errors, 1);
    ASSERT_EQ(nsock_inq(c), 5000);
    nsock_close(c);
    nsock_close(lis);
    sim_done(&s);
}
