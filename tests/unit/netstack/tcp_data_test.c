/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/netstack/tcp_data_test.c: text, acknowledgements, windows, retransmission, segment by segment.
 */
#include "tests/unit/netstack/exchange.h"

static struct xc x;
static uint8_t text[300000];

static struct ns_tcp_info info(void) {
    struct ns_tcp_info i;
    size_t n = sizeof(i);
    ASSERT_EQ(nsock_getopt(x.sock, NS_SOL_TCP, NS_TCP_INFO, &i, &n), 0);
    return i;
}

static void set_tcp(int name, int v) {
    ASSERT_EQ(nsock_setopt(x.sock, NS_SOL_TCP, name, &v, sizeof(v)), 0);
}

static struct netns_mib mib(void) {
    struct netns_mib m;
    netns_mib_get(x.h->ns, &m);
    return m;
}

/* Reads everything that the stack sends now; the number of bytes of text. */
static uint32_t drain(uint32_t *ret_segments) {
    uint32_t n = 0, bytes = 0;
    while (xc_read(&x)) {
        const uint8_t *ip = x.frame + 14, *t = ip + 20;
        bytes += get_be16(ip + 2) - 20u - (t[12] >> 4) * 4u;
        n++;
    }
    *ret_segments = n;
    return bytes;
}

/* RFC 5681 section 4.2, RFC 9293 section 3.8.6.3: every second full segment at once; else within the delay.
 */
XTEST(delayed_ack) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    set_tcp(NS_TCP_QUICKACK, 0);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000, .len = 1000);
    EXPECT_NOTHING();
    SEND(.flags = TH_ACK, .seq = 2001, .ack = 1, .window = 1000, .len = 1000);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 3001);
    SEND(.flags = TH_ACK, .seq = 3001, .ack = 1, .window = 1000, .len = 10);
    EXPECT_NOTHING();
    WAIT_MS(39);
    EXPECT_NOTHING();
    WAIT_MS(2);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 3011);
    xc_end(&x);
}

/* The ACK rides on an answer (RFC 9293 section 3.8.6.3). */
XTEST(ack_is_piggybacked) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    set_tcp(NS_TCP_QUICKACK, 0);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000, .len = 10);
    ASSERT_EQ(sim_send(x.sock, text, 5, 0), 5);
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 1, .ack = 1011, .len = 5);
    WAIT_MS(100);
    EXPECT_NOTHING();
    xc_end(&x);
}

/* RFC 2018 section 4: duplicate ACKs with the newest block first; the filled gap is acknowledged at once. */
XTEST(out_of_order_text_is_sacked) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460, .sackok = true});
    x.isn = x.isn + 0;
    SEND(.flags = TH_ACK, .seq = 1101, .ack = 1, .window = 1000, .len = 100);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .sacks = 1, .sack = {{1101, 1201}});
    SEND(.flags = TH_ACK, .seq = 1301, .ack = 1, .window = 1000, .len = 100);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .sacks = 2, .sack = {{1301, 1401}, {1101, 1201}});
    SEND(.flags = TH_ACK, .seq = 1201, .ack = 1, .window = 1000, .len = 100);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .sacks = 1, .sack = {{1101, 1401}});
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000, .len = 100);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1401);
    uint8_t b[500];
    ASSERT_EQ(sim_recv(x.sock, b, sizeof(b), 0), 400);
    for (int i = 0; i < 400; i++)
        ASSERT_EQ(b[i], (uint8_t)(1001 + i));
    xc_end(&x);
}

/* RFC 2883 section 4: what came twice is reported in front. */
XTEST(duplicate_text_is_dsacked) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460, .sackok = true});
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000, .len = 100);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1101);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000, .len = 100);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1101, .sacks = 1, .sack = {{1001, 1101}});
    SEND(.flags = TH_ACK, .seq = 1301, .ack = 1, .window = 1000, .len = 100);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1101, .sacks = 1, .sack = {{1301, 1401}});
    SEND(.flags = TH_ACK, .seq = 1301, .ack = 1, .window = 1000, .len = 100);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1101, .sacks = 2, .sack = {{1301, 1401}, {1301, 1401}});
    xc_end(&x);
}

/* Overlapping and enclosing segments give each byte once. */
XTEST(overlaps_are_trimmed) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    SEND(.flags = TH_ACK, .seq = 1051, .ack = 1, .window = 1000, .len = 100);
    SEND(.flags = TH_ACK, .seq = 1201, .ack = 1, .window = 1000, .len = 50);
    SEND(.flags = TH_ACK, .seq = 1031, .ack = 1, .window = 1000, .len = 300);
    SEND(.flags = TH_ACK, .seq = 1021, .ack = 1, .window = 1000, .len = 60);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000, .len = 40);
    uint8_t b[500];
    ASSERT_EQ(sim_recv(x.sock, b, sizeof(b), 0), 330);
    for (int i = 0; i < 330; i++)
        ASSERT_EQ(b[i], (uint8_t)(1001 + i));
    xc_end(&x);
}

/* RFC 7323 section 5: text with an old timestamp is refused, and answered. */
XTEST(paws) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460, .ts = true, .ts_val = 1000});
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000, .len = 10, .ts = true, .ts_val = 1005,
         .ts_ecr = x.last_ts_val);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1011, .ts = true, .ts_ecr = 1005);
    SEND(.flags = TH_ACK, .seq = 1011, .ack = 1, .window = 1000, .len = 10, .ts = true, .ts_val = 1004,
         .ts_ecr = x.last_ts_val);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1011, .ts = true, .ts_ecr = 1005);
    ASSERT_EQ(mib().tcp_paws_drops, 1);
    ASSERT_EQ(nsock_inq(x.sock), 10);
    /* RFC 7323 section 5.5: after 24 days of silence the clock may have wrapped */
    xc_wait(&x, SIM_S(25ll * 86400));
    SEND(.flags = TH_ACK, .seq = 1011, .ack = 1, .window = 1000, .len = 10, .ts = true, .ts_val = 3,
         .ts_ecr = x.last_ts_val);
    ASSERT_EQ(nsock_inq(x.sock), 20);
    xc_end(&x);
}

/* RFC 6298 (5.4)-(5.6): the first unacknowledged segment, with doubled time. RFC 5681: one segment after a
 * timeout. */
XTEST(retransmission_timeout) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000});
    ASSERT_EQ(sim_send(x.sock, text, 3000, 0), 3000);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .len = 1000);
    EXPECT(.flags = TH_ACK, .seq = 1001, .ack = 1001, .len = 1000);
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 2001, .ack = 1001, .len = 1000);
    uint32_t rto = info().rto;
    ASSERT_GE(rto, 200000);
    xc_wait(&x, (int64_t)rto * 1000 + SIM_MS(1));
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .len = 1000);
    EXPECT_NOTHING();
    ASSERT_EQ(info().snd_cwnd, 1);
    ASSERT_EQ(info().ca_state, 4);
    xc_wait(&x, (int64_t)rto * 2000 - SIM_MS(10));
    EXPECT_NOTHING();
    WAIT_MS(20);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .len = 1000);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1001, .window = 65535);
    EXPECT(.flags = TH_ACK, .seq = 1001, .ack = 1001, .len = 1000); /* slow start over what was lost */
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 2001, .ack = 1001, .len = 1000);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 3001, .window = 65535);
    EXPECT_NOTHING();
    ASSERT_EQ(info().ca_state, 0);
    xc_end(&x);
}

/* RFC 6582: three duplicate ACKs, then a partial ACK brings the next hole. */
XTEST(fast_retransmit_without_sack) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000});
    ASSERT_EQ(sim_send(x.sock, text, 6000, 0), 6000);
    for (uint32_t i = 0; i < 6; i++)
        EXPECT(.flags = TH_ACK | (i == 5 ? TH_PSH : 0), .seq = 1 + 1000 * i, .ack = 1001, .len = 1000);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 65535);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 65535);
    EXPECT_NOTHING();
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 65535);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .len = 1000);
    ASSERT_EQ(info().ca_state, 3);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 2001, .window = 65535);
    EXPECT(.flags = TH_ACK, .seq = 2001, .ack = 1001, .len = 1000);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 6001, .window = 65535);
    ASSERT_EQ(info().ca_state, 0);
    ASSERT_EQ(info().snd_cwnd, 7); /* CUBIC: 0.7 of 10 */
    xc_end(&x);
}

/* RFC 8985 section 6: a later segment was SACKed and the reordering window is over: lost. */
XTEST(rack_marks_the_hole_lost) {
    xc_start(&x);
    x.handshake_ms = 60;
    xc_established(&x, &(struct seg){.mss = 1000, .sackok = true});
    ASSERT_EQ(sim_send(x.sock, text, 5000, 0), 5000);
    uint32_t n;
    ASSERT_EQ(drain(&n), 5000);
    WAIT_MS(50);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1001, .window = 65535);
    WAIT_MS(1);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1001, .window = 65535, .sacks = 1, .sack = {{2001, 3001}});
    EXPECT_NOTHING(); /* may be reordering */
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1001, .window = 65535, .sacks = 1, .sack = {{2001, 5001}});
    EXPECT(.flags = TH_ACK, .seq = 1001, .ack = 1001,
           .len = 1000); /* three segments' worth: no more waiting */
    EXPECT_NOTHING();
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 5001, .window = 65535);
    ASSERT_EQ(info().total_retrans, 1);
    ASSERT_EQ(info().ca_state, 0);
    xc_end(&x);
}

/* The same by the reordering timer: two segments are not enough to be sure at once. */
XTEST(rack_reordering_timer) {
    xc_start(&x);
    x.handshake_ms = 60;
    xc_established(&x, &(struct seg){.mss = 1000, .sackok = true});
    ASSERT_EQ(sim_send(x.sock, text, 2000, 0), 2000);
    uint32_t n;
    ASSERT_EQ(drain(&n), 2000);
    WAIT_MS(40);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 65535, .sacks = 1, .sack = {{1001, 2001}});
    EXPECT_NOTHING();
    WAIT_MS(30);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .len = 1000);
    xc_end(&x);
}

/* RFC 8985 section 7: the tail is probed after two round trips, long before the timeout. */
XTEST(tail_loss_probe) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000, .sackok = true});
    ASSERT_EQ(sim_send(x.sock, text, 1000, 0), 1000);
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 1, .ack = 1001, .len = 1000);
    WAIT_MS(20);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1001, .window = 65535);
    ASSERT_EQ(sim_send(x.sock, text, 3000, 0), 3000);
    uint32_t n;
    ASSERT_EQ(drain(&n), 3000);
    WAIT_MS(120);
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 3001, .ack = 1001, .len = 1000);
    ASSERT_EQ(mib().tcp_loss_probes, 1);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1001, .window = 65535, .sacks = 1, .sack = {{3001, 4001}});
    WAIT_MS(30);
    EXPECT(.flags = TH_ACK, .seq = 1001, .ack = 1001, .len = 1000); /* it showed the loss of the others */
    xc_end(&x);
}

/* RFC 9293 section 3.8.6.1: a closed window is probed with growing pauses, for as long as the peer answers.
 */
XTEST(zero_window_probes) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000, .window = 500});
    ASSERT_EQ(sim_send(x.sock, text, 2000, 0), 2000);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .len = 500);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 501, .window = 0);
    EXPECT_NOTHING();
    int probes = 0;
    for (int i = 0; i < 600; i++) {
        WAIT_MS(100);
        if (!xc_read(&x))
            continue;
        probes++;
        SEND(.flags = TH_ACK, .seq = 1001, .ack = 501, .window = 0);
    }
    ASSERT_GE(probes, 4);
    ASSERT_LE(probes, 12);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 501, .window = 2000);
    EXPECT(.flags = TH_ACK, .seq = 501, .ack = 1001, .len = 1000);
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 1501, .ack = 1001, .len = 500);
    xc_end(&x);
}

/* Our own window closes when nobody reads, and opens with news (RFC 9293 section 3.8.6.2.2). */
XTEST(receive_window_closes_and_opens) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000});
    uint32_t seq = 1001, window = 65535;
    while (window >= 1000) {
        SEND(.flags = TH_ACK, .seq = seq, .ack = 1, .window = 1000, .len = 1000);
        seq += 1000;
        xc_wait(&x, SIM_MS(50));
        EXPECT(.flags = TH_ACK, .seq = 1, .ack = seq);
        window = x.last.window;
    }
    ASSERT_GE(seq - 1001, 60000);
    SEND(.flags = TH_ACK, .seq = seq, .ack = 1, .window = 1000,
         .len = 1000); /* beyond the window: cut or refused */
    EXPECT(.flags = TH_ACK, .seq = 1, .any_ack = true);
    ASSERT_EQ(x.last.window, 0);
    while (sim_recv(x.sock, text, 10000, 0) > 0) {
    }
    EXPECT(.flags = TH_ACK, .seq = 1, .any_ack = true);
    ASSERT_GE(x.last.window, 1000);
    xc_end(&x);
}

/* RFC 9293 section 3.7.4. */
XTEST(nagle_nodelay_and_cork) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000});
    ASSERT_EQ(sim_send(x.sock, text, 10, 0), 10);
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 1, .ack = 1001, .len = 10);
    ASSERT_EQ(sim_send(x.sock, text, 10, 0), 10);
    ASSERT_EQ(sim_send(x.sock, text, 10, 0), 10);
    EXPECT_NOTHING();
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 11, .window = 65535);
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 11, .ack = 1001, .len = 20);
    set_tcp(NS_TCP_NODELAY, 1);
    ASSERT_EQ(sim_send(x.sock, text, 10, 0), 10);
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 31, .ack = 1001, .len = 10);
    set_tcp(NS_TCP_CORK, 1);
    ASSERT_EQ(sim_send(x.sock, text, 10, 0), 10);
    EXPECT_NOTHING();
    set_tcp(NS_TCP_CORK, 0);
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 41, .ack = 1001, .len = 10);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 51, .window = 65535);
    set_tcp(NS_TCP_CORK, 1);
    ASSERT_EQ(sim_send(x.sock, text, 10, 0), 10);
    WAIT_MS(210); /* tcp(7): at most 200 ms */
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 51, .ack = 1001, .len = 10);
    xc_end(&x);
}

/* RFC 9293 section 3.8.4, tcp(7). */
XTEST(keepalive_probes_and_gives_up) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000});
    int on = 1;
    set_tcp(NS_TCP_KEEPIDLE, 10);
    set_tcp(NS_TCP_KEEPINTVL, 5);
    set_tcp(NS_TCP_KEEPCNT, 2);
    ASSERT_EQ(nsock_setopt(x.sock, NS_SOL_SOCKET, NS_SO_KEEPALIVE, &on, sizeof(on)), 0);
    xc_wait(&x, SIM_S(11));
    EXPECT(.flags = TH_ACK, .seq = 0, .ack = 1001);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000); /* alive */
    xc_wait(&x, SIM_S(11));
    EXPECT(.flags = TH_ACK, .seq = 0, .ack = 1001);
    xc_wait(&x, SIM_S(5));
    EXPECT(.flags = TH_ACK, .seq = 0, .ack = 1001);
    xc_wait(&x, SIM_S(5));
    EXPECT(.flags = TH_RST | TH_ACK, .seq = 1, .ack = 1001);
    uint8_t b;
    ASSERT_EQ(sim_recv(x.sock, &b, 1, 0), -ETIMEDOUT);
    xc_end(&x);
}

/* A keepalive of the peer is answered (seq one below). */
XTEST(peer_keepalive_is_answered) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000});
    SEND(.flags = TH_ACK, .seq = 1000, .ack = 1, .window = 1000);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001);
    xc_end(&x);
}

/* RFC 5482, tcp(7) TCP_USER_TIMEOUT. */
XTEST(user_timeout) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000});
    set_tcp(NS_TCP_USER_TIMEOUT, 3000);
    ASSERT_EQ(sim_send(x.sock, text, 10, 0), 10);
    xc_wait(&x, SIM_MS(2900));
    ASSERT_EQ(info().state, NS_TCP_ESTABLISHED);
    WAIT_MS(200);
    ASSERT_EQ(info().state, NS_TCP_CLOSE);
    uint8_t b;
    ASSERT_EQ(sim_recv(x.sock, &b, 1, 0), -ETIMEDOUT);
    xc_end(&x);
}

/* tcp(7) tcp_retries2 = 15: given up after 13 to 30 minutes. */
XTEST(retransmission_is_given_up) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000});
    ASSERT_EQ(sim_send(x.sock, text, 10, 0), 10);
    xc_wait(&x, SIM_S(12 * 60));
    ASSERT_EQ(info().state, NS_TCP_ESTABLISHED);
    xc_wait(&x, SIM_S(20 * 60));
    ASSERT_EQ(info().state, NS_TCP_CLOSE);
    xc_end(&x);
}

/* RFC 6093, tcp(7): MSG_OOB, the mark, and SO_OOBINLINE. */
XTEST(urgent_data) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000});
    SEND(.flags = TH_ACK | TH_URG, .seq = 1001, .ack = 1, .window = 65535, .len = 10, .urgent = 5);
    ASSERT_TRUE(nsock_ready(x.sock) & NS_POLLPRI);
    uint8_t b[20];
    ASSERT_EQ(sim_recv(x.sock, b, 1, NS_MSG_OOB), 1);
    ASSERT_EQ(b[0], (uint8_t)1005);
    ASSERT_EQ(sim_recv(x.sock, b, sizeof(b), 0), 4); /* stops at the mark */
    ASSERT_EQ(sim_recv(x.sock, b, sizeof(b), 0), 5); /* the urgent byte is not in the stream */
    ASSERT_EQ(b[0], (uint8_t)1006);
    ASSERT_EQ(sim_recv(x.sock, b, 1, NS_MSG_OOB), -EINVAL);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1011);
    ASSERT_EQ(sim_send(x.sock, "ab", 2, NS_MSG_OOB), 2);
    EXPECT(.flags = TH_ACK | TH_PSH | TH_URG, .seq = 1, .ack = 1011, .len = 2, .urgent = 2);
    xc_end(&x);
}

/* RFC 3168 section 6.1: negotiation, ECT on text, ECE until CWR, and the sender's reduction. */
XTEST(ecn) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000, .flags = TH_ECE | TH_CWR});
    ASSERT_TRUE(info().options & NS_TCPI_OPT_ECN);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 65535, .len = 10, .tos = 3);
    EXPECT(.flags = TH_ACK | TH_ECE, .seq = 1, .ack = 1011);
    SEND(.flags = TH_ACK, .seq = 1011, .ack = 1, .window = 65535, .len = 10, .tos = 2);
    EXPECT(.flags = TH_ACK | TH_ECE, .seq = 1, .ack = 1021);
    SEND(.flags = TH_ACK | TH_CWR, .seq = 1021, .ack = 1, .window = 65535, .len = 10, .tos = 2);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1031);
    ASSERT_EQ(sim_send(x.sock, text, 1000, 0), 1000);
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 1, .ack = 1031, .len = 1000, .tos = 2);
    SEND(.flags = TH_ACK | TH_ECE, .seq = 1031, .ack = 1001, .window = 65535);
    ASSERT_EQ(info().ca_state, 2);
    ASSERT_EQ(info().snd_ssthresh, 7);
    ASSERT_EQ(sim_send(x.sock, text, 1000, 0), 1000);
    EXPECT(.flags = TH_ACK | TH_PSH | TH_CWR, .seq = 1001, .ack = 1031, .len = 1000, .tos = 2);
    xc_end(&x);
}

/* RFC 5681, RFC 6928: ten segments, then two for each that is acknowledged. */
XTEST(slow_start) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000, .wscale = 8});
    uint32_t n;
    int size = 200000;
    ASSERT_EQ(nsock_setopt(x.sock, NS_SOL_SOCKET, NS_SO_SNDBUF, &size, sizeof(size)), 0);
    ASSERT_EQ(sim_send(x.sock, text, 100000, 0), 100000);
    ASSERT_EQ(drain(&n), 10000);
    ASSERT_EQ(n, 10);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 10001, .window = 65535);
    ASSERT_EQ(drain(&n), 20000);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 30001, .window = 65535);
    ASSERT_EQ(drain(&n), 40000);
    xc_end(&x);
}

/* RFC 3522: the ACK of the original makes the timeout spurious, and everything is as before. */
XTEST(spurious_timeout_is_undone) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000, .ts = true, .ts_val = 5});
    uint32_t n;
    ASSERT_EQ(sim_send(x.sock, text, 5000, 0), 5000);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .len = 988);
    uint32_t ts = x.last_ts_val;
    (void)drain(&n);
    xc_wait(&x, (int64_t)info().rto * 1000 + SIM_MS(5));
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .len = 988);
    ASSERT_EQ(info().snd_cwnd, 1);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 989, .window = 65535, .ts = true, .ts_val = 6, .ts_ecr = ts);
    ASSERT_EQ(info().ca_state, 0);
    ASSERT_GE(info().snd_cwnd, 10);
    ASSERT_EQ(mib().tcp_spurious_rtos, 1);
    xc_end(&x);
}

/* RFC 1191 with the checks of RFC 5927: the path MTU shrinks, the text goes out again in smaller pieces. */
XTEST(path_mtu_discovery) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    ASSERT_EQ(sim_send(x.sock, text, 1460, 0), 1460);
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 1, .ack = 1001, .len = 1460);
    uint8_t icmp[8 + 28] = {3, 4, 0, 0, 0, 0};
    put_be16(icmp + 6, 1000);
    memcpy(icmp + 8, x.frame + 14, 28);
    put_be32(icmp + 8 + 24, x.isn + 50000); /* a sequence number that is not in flight: forged */
    memset(icmp + 2, 0, 2);
    uint32_t sum = 0;
    for (size_t i = 0; i < sizeof(icmp); i += 2)
        sum += get_be16(icmp + i);
    sum = (sum & 0xffff) + (sum >> 16);
    sum += sum >> 16;
    put_be16(icmp + 2, (uint16_t)~sum);
    xc_send_ip(&x, 1, icmp, sizeof(icmp));
    EXPECT_NOTHING();
    memset(icmp + 2, 0, 2);
    put_be32(icmp + 8 + 24, x.isn + 1);
    sum = 0;
    for (size_t i = 0; i < sizeof(icmp); i += 2)
        sum += get_be16(icmp + i);
    sum = (sum & 0xffff) + (sum >> 16);
    sum += sum >> 16;
    put_be16(icmp + 2, (uint16_t)~sum);
    xc_send_ip(&x, 1, icmp, sizeof(icmp));
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .len = 960);
    EXPECT(.flags = TH_ACK | TH_PSH, .seq = 961, .ack = 1001, .len = 500);
    ASSERT_EQ(info().pmtu, 1000);
    ASSERT_GE(info().snd_cwnd, 10); /* no congestion */
    xc_end(&x);
}

/* SO_MAX_PACING_RATE: 100 kB/s over a second, whatever the windows allow. */
XTEST(pacing) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000});
    uint32_t rate = 100000, n, sent = 0;
    ASSERT_EQ(nsock_setopt(x.sock, NS_SOL_SOCKET, NS_SO_MAX_PACING_RATE, &rate, sizeof(rate)), 0);
    int size = 300000;
    ASSERT_EQ(nsock_setopt(x.sock, NS_SOL_SOCKET, NS_SO_SNDBUF, &size, sizeof(size)), 0);
    ASSERT_EQ(sim_send(x.sock, text, 200000, 0), 200000);
    for (int i = 0; i < 100; i++) {
        WAIT_MS(10);
        sent += drain(&n);
        ASSERT_LE(n, 3);
        SEND(.flags = TH_ACK, .seq = 1001, .ack = 1 + sent, .window = 65535);
    }
    ASSERT_GE(sent, 95000);
    ASSERT_LE(sent, 105000);
    ASSERT_EQ(info().total_retrans, 0);
    ASSERT_EQ(info().pacing_rate, 100000);
    xc_end(&x);
}

/* A SACK of text that was never sent, or backwards, changes nothing. */
XTEST(hostile_sack_blocks) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000, .sackok = true});
    ASSERT_EQ(sim_send(x.sock, text, 3000, 0), 3000);
    uint32_t n;
    (void)drain(&n);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 65535, .sacks = 3,
         .sack = {{2001, 9001}, {3001, 2001}, {0xfffffff0u, 0x7fffffff}});
    ASSERT_EQ(info().sacked, 0);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 65535, .sacks = 1, .sack = {{1501, 2501}});
    ASSERT_EQ(info().sacked, 1);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 3001, .window = 65535);
    ASSERT_EQ(info().unacked, 0);
    ASSERT_EQ(info().sacked, 0);
    ASSERT_EQ(info().lost, 0);
    xc_end(&x);
}

/* MSG_PEEK, MSG_TRUNC and SIOCINQ/SIOCOUTQ. */
XTEST(peek_trunc_and_queue_sizes) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1000});
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 65535, .len = 100);
    uint8_t b[100];
    ASSERT_EQ(nsock_inq(x.sock), 100);
    ASSERT_EQ(sim_recv(x.sock, b, 10, NS_MSG_PEEK), 10);
    ASSERT_EQ(sim_recv(x.sock, b, 10, NS_MSG_TRUNC), 10);
    ASSERT_EQ(sim_recv(x.sock, b, 100, 0), 90);
    ASSERT_EQ(b[0], (uint8_t)1011);
    ASSERT_EQ(sim_send(x.sock, text, 500, 0), 500);
    ASSERT_EQ(nsock_outq(x.sock), 500);
    xc_end(&x);
}
