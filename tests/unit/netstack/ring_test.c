/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/netstack/ring_test.c: rings of packet sockets in memory that somebody else writes to, and what
 * a stream over loopback costs in pieces and wake-ups. What rings look like to a guest:
 * tests/conform/inet_packet.c.
 */
#include <stdlib.h>

#include "tests/sim/sim.h"

static struct sim s;
static struct sim_host *a;

static void one_host(void) {
    sim_init(&s, 11);
    a = sim_add_host(&s);
    sim_run_for(&s, SIM_S(5));
}

static struct nsock *sock(int family, int type, int protocol) {
    struct nsock *x;
    ASSERT_EQ(nsock_new(a->ns, family, type, protocol, a, &x), 0);
    return x;
}

static void send_datagram(struct nsock *x, const void *bytes, size_t len) {
    struct ns_iov iov = {(void *)(uintptr_t)bytes, len};
    struct ns_msg m = {.iov = &iov, .iov_count = 1, .has_name = true, .name = sim_addr("127.0.0.1", 9)};
    (void)!nsock_send(x, &m); /* refusals of the ones before come back here */
}

/* ---- rings ---- */

enum { BLOCK = 4096, BLOCKS = 4, FRAME = 1024, RING = BLOCK * BLOCKS };

static void set_int(struct nsock *k, int name, int v) {
    ASSERT_EQ(nsock_setopt(k, NS_SOL_PACKET, name, &v, sizeof(v)), 0);
}

/* On the heap, so that ASan sees a byte too far. */
static uint8_t *ring_of(struct nsock *k, int version, int name) {
    uint32_t request[7] = {BLOCK, BLOCKS, FRAME, BLOCKS * (BLOCK / FRAME), version == 2 ? 0 : 5, 0, 0};
    uint8_t *memory = calloc(1, RING);
    size_t size;
    if (name == NS_PACKET_RX_RING)
        request[4] = 5;
    set_int(k, NS_PACKET_VERSION, version);
    ASSERT_EQ(nsock_ring_check(k, name, request, sizeof(request), &size), 0);
    ASSERT_EQ(size, RING);
    ASSERT_EQ(nsock_ring_set(k, name, request, sizeof(request), memory), 0);
    return memory;
}

static void scribble(uint8_t *memory) {
    for (size_t i = 0; i < RING; i += 8) {
        uint64_t v = sim_random(&s);
        memcpy(memory + i, &v, sizeof(v));
    }
    for (int i = 0; i < 6; i++) /* and some places look free, or asked for */
        memset(memory + sim_below(&s, RING / FRAME) * FRAME, (int)sim_below(&s, 2), FRAME / 2);
}

TEST(receive_rings_survive_their_readers) {
    static uint8_t bytes[3000];
    for (int version = 0; version <= 2; version++) {
        one_host();
        struct nsock *k = sock(NS_AF_PACKET, version == 1 ? NS_SOCK_DGRAM : NS_SOCK_RAW, 3),
                     *u = sock(NS_AF_INET, NS_SOCK_DGRAM, 0);
        uint8_t *memory = ring_of(k, version, NS_PACKET_RX_RING);
        for (int round = 0; round < 300; round++) {
            send_datagram(u, bytes, sim_below(&s, sizeof(bytes)));
            (void)nsock_ready(k);
            if (round % 3 == 0)
                scribble(memory);
            if (round % 7 == 0)
                memset(memory, 0, RING);
            if (round % 5 == 0)
                sim_run_for(&s, SIM_MS(10));
        }
        nsock_close(k);
        nsock_close(u);
        free(memory);
        sim_done(&s);
    }
}

TEST(send_rings_survive_their_writers) {
    for (int version = 0; version <= 2; version++) {
        one_host();
        struct nsock *k = sock(NS_AF_PACKET, NS_SOCK_RAW, 0);
        struct ns_addr at = {.family = NS_AF_PACKET, .ifindex = 1};
        ASSERT_EQ(nsock_bind(k, &at), 0);
        uint8_t *memory = ring_of(k, version, NS_PACKET_TX_RING);
        for (int round = 0; round < 300; round++) {
            struct ns_msg m = {0};
            scribble(memory);
            if (round % 2) { /* one that asks, of some length */
                uint32_t one = 1, len = (uint32_t)sim_below(&s, 2 * FRAME);
                memcpy(memory + (version == 2 ? 20 : 0), &one, sizeof(one));
                memcpy(memory + (version == 0 ? 8 : version == 1 ? 4 : 16), &len, sizeof(len));
            }
            (void)!nsock_send(k, &m);
        }
        nsock_close(k);
        free(memory);
        sim_done(&s);
    }
}

/* A reader that does not hand a frame back loses the next ones, and is told how many. */
TEST(a_full_ring_counts_what_it_loses) {
    one_host();
    struct nsock *k = sock(NS_AF_PACKET, NS_SOCK_RAW, 0x0800), *u = sock(NS_AF_INET, NS_SOCK_DGRAM, 0);
    uint8_t *memory = ring_of(k, 1, NS_PACKET_RX_RING);
    set_int(k, NS_PACKET_IGNORE_OUTGOING, 1);
    uint32_t frames = RING / FRAME, stats[2];
    size_t len = sizeof(stats);
    struct ns_addr here = sim_addr("127.0.0.1", 9);
    struct nsock *sink = sock(NS_AF_INET, NS_SOCK_DGRAM, 0);
    ASSERT_EQ(nsock_bind(sink, &here), 0);
    for (uint32_t i = 0; i < frames + 3; i++)
        send_datagram(u, "x", 1);
    ASSERT_TRUE(nsock_ready(k) & NS_POLLIN);
    ASSERT_EQ(nsock_getopt(k, NS_SOL_PACKET, NS_PACKET_STATISTICS, stats, &len), 0);
    ASSERT_EQ(stats[0], frames + 3);
    ASSERT_EQ(stats[1], 3);
    nsock_close(k);
    nsock_close(u);
    nsock_close(sink);
    free(memory);
    sim_done(&s);
}

/* ---- what a stream costs ---- */

static void send_whole(struct nsock *from, uint32_t len) {
    struct ns_msg m = {0};
    struct pkt *p = netstack_pkt_fill(a->st, len);
    ASSERT_TRUE(p);
    ASSERT_EQ(nsock_send_pkt(from, &m, &p), len);
    ASSERT_TRUE(!p);
}

/* Bytes that wait at `to`, up to `max`, taken; in how many pieces. */
static size_t take(struct nsock *to, size_t max, ssize_t *ret_len) {
    struct iovec pieces[64];
    struct ns_msg m = {0};
    struct pkt *p;
    *ret_len = nsock_recv_pkt(to, &m, 0, max, &p);
    size_t n = *ret_len > 0 ? netstack_pkt_pieces(p, 0, (size_t)*ret_len, pieces, 64) : 0;
    nsock_recv_done(to, p, *ret_len > 0 ? (size_t)*ret_len : 0);
    return n;
}

/* Once the windows are open, 128 KiB cross loopback by one wake-up of the reader, and reach it in as many
 * pieces as they were sent from: what was cut into segments on the way is joined again. */
TEST(a_stream_over_loopback_is_not_cut_up) {
    one_host();
    struct nsock *l = sock(NS_AF_INET, NS_SOCK_STREAM, 0), *x = sock(NS_AF_INET, NS_SOCK_STREAM, 0), *y;
    struct ns_addr at = sim_addr("127.0.0.1", 80), peer;
    ssize_t len;
    int size = 4 << 20;
    ASSERT_EQ(nsock_setopt(l, NS_SOL_SOCKET, NS_SO_RCVBUFFORCE, &size, sizeof(size)), 0);
    ASSERT_EQ(nsock_setopt(x, NS_SOL_SOCKET, NS_SO_SNDBUFFORCE, &size, sizeof(size)), 0);
    ASSERT_EQ(nsock_bind(l, &at), 0);
    ASSERT_EQ(nsock_listen(l, 1), 0);
    ASSERT_EQ(nsock_connect(x, &at), -EINPROGRESS);
    ASSERT_EQ(nsock_accept(l, &y, &peer), 0);
    for (int i = 0; i < 50; i++) { /* slow start */
        send_whole(x, 65536);
        sim_run_for(&s, SIM_MS(50));
        while (take(y, NETSTACK_FILL_MAX, &len) && len > 0) {
        }
    }
    nsock_set_user(y, a);
    nsock_set_user(x, NULL);
    s.notified = 0;
    send_whole(x, NETSTACK_FILL_MAX);
    ASSERT_EQ(s.notified, 1);
    ASSERT_EQ(take(y, NETSTACK_FILL_MAX, &len), NETSTACK_FILL_MAX / PKT_BLOCK_MAX); /* its blocks */
    ASSERT_EQ(len, NETSTACK_FILL_MAX);
    nsock_close(x);
    nsock_close(y);
    nsock_close(l);
    sim_done(&s);
}
