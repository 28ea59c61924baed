/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/netstack/tcp_open_test.c: opening and closing connections, segment by segment.
 */
#include "tests/unit/netstack/exchange.h"

static struct xc x;

static uint8_t tcp_state(struct nsock *s) {
    struct ns_tcp_info i;
    size_t n = sizeof(i);
    ASSERT_EQ(nsock_getopt(s, NS_SOL_TCP, NS_TCP_INFO, &i, &n), 0);
    return i.state;
}

/* RFC 9293 figure 6; RFC 7323 sections 2 and 3; RFC 2018 section 2: only what was offered is answered. */
XTEST(passive_open_with_all_options) {
    xc_start(&x);
    xc_listen(&x);
    SEND(.flags = TH_SYN, .seq = 1000, .window = 1000, .mss = 1460, .wscale = 8, .sackok = true, .ts = true,
         .ts_val = 77);
    EXPECT(.flags = TH_SYN | TH_ACK, .ack = 1001, .mss = 1460, .sackok = true, .ts = true, .ts_ecr = 77);
    ASSERT_NE(x.last.wscale, 0);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000, .ts = true, .ts_val = 78,
         .ts_ecr = x.last_ts_val);
    ASSERT_EQ(nsock_accept(x.listener, &x.sock, NULL), 0);
    ASSERT_EQ(tcp_state(x.sock), NS_TCP_ESTABLISHED);
    xc_end(&x);
}

XTEST(passive_open_without_options) {
    xc_start(&x);
    xc_listen(&x);
    SEND(.flags = TH_SYN, .seq = 1000, .window = 1000);
    EXPECT(.flags = TH_SYN | TH_ACK, .ack = 1001, .mss = 1460);
    ASSERT_EQ(x.last.wscale, 0);
    ASSERT_FALSE(x.last.sackok);
    ASSERT_FALSE(x.last.ts);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000);
    ASSERT_EQ(nsock_accept(x.listener, &x.sock, NULL), 0);
    /* RFC 9293 section 3.7.1: without the option, 536 bytes at most */
    uint8_t buf[2000] = {0};
    ASSERT_EQ(sim_send(x.sock, buf, 1000, 0), 1000);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001, .len = 536);
    xc_end(&x);
}

XTEST(active_open) {
    xc_start(&x);
    xc_connect(&x);
    EXPECT(.flags = TH_SYN, .mss = 1460, .sackok = true);
    SEND(.flags = TH_SYN | TH_ACK, .seq = 5000, .ack = 1, .window = 1000, .mss = 1000);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 5001);
    struct ns_addr a = sim_addr("10.0.0.9", PEER_PORT);
    ASSERT_EQ(nsock_connect(x.sock, &a), 0);
    ASSERT_EQ(nsock_connect(x.sock, &a), -EISCONN);
    xc_end(&x);
}

/* RFC 9293 section 3.10.7.3, second: RST with an acceptable ACK; connect(2): ECONNREFUSED. */
XTEST(active_open_refused) {
    xc_start(&x);
    xc_connect(&x);
    EXPECT(.flags = TH_SYN);
    SEND(.flags = TH_RST | TH_ACK, .seq = 0, .ack = 2);
    ASSERT_EQ(tcp_state(x.sock), NS_TCP_SYN_SENT); /* that ACK was not acceptable */
    SEND(.flags = TH_RST | TH_ACK, .seq = 0, .ack = 1);
    struct ns_addr a = sim_addr("10.0.0.9", PEER_PORT);
    ASSERT_EQ(nsock_ready(x.sock) & (NS_POLLERR | NS_POLLHUP), NS_POLLERR | NS_POLLHUP);
    ASSERT_EQ(nsock_connect(x.sock, &a), -ECONNREFUSED);
    ASSERT_EQ(nsock_connect(x.sock, &a), -EINPROGRESS); /* the socket may try again */
    xc_end(&x);
}

/* RFC 6298 section 5, Linux's tcp_syn_retries = 6: 1, 2, 4, ... s; ETIMEDOUT after 127 s. */
XTEST(active_open_times_out) {
    xc_start(&x);
    xc_connect(&x);
    EXPECT(.flags = TH_SYN);
    for (int i = 0, s = 1; i < 6; i++, s *= 2) {
        xc_wait(&x, SIM_S(s) - SIM_MS(10));
        EXPECT_NOTHING();
        WAIT_MS(10);
        EXPECT(.flags = TH_SYN);
    }
    xc_wait(&x, SIM_S(65));
    int err;
    size_t n = sizeof(err);
    ASSERT_EQ(nsock_getopt(x.sock, NS_SOL_SOCKET, NS_SO_ERROR, &err, &n), 0);
    ASSERT_EQ(err, ETIMEDOUT);
    xc_end(&x);
}

/* RFC 9293 figure 8. */
XTEST(simultaneous_open) {
    xc_start(&x);
    xc_connect(&x);
    EXPECT(.flags = TH_SYN);
    SEND(.flags = TH_SYN, .seq = 5000, .window = 1000);
    EXPECT(.flags = TH_SYN | TH_ACK, .ack = 5001);
    SEND(.flags = TH_SYN | TH_ACK, .seq = 5000, .ack = 1, .window = 1000);
    ASSERT_EQ(tcp_state(x.sock), NS_TCP_ESTABLISHED);
    xc_end(&x);
}

/* RFC 9293 section 3.10.7.1: CLOSED answers with a reset that the sender will believe. */
XTEST(closed_port_resets) {
    xc_start(&x);
    x.isn = 0;
    SEND(.flags = TH_SYN, .seq = 1000);
    EXPECT(.flags = TH_RST | TH_ACK, .seq = 0, .ack = 1001);
    SEND(.flags = TH_ACK, .seq = 1000, .ack = 555);
    EXPECT(.flags = TH_RST, .seq = 555);
    SEND(.flags = TH_RST, .seq = 1000);
    EXPECT_NOTHING();
    xc_end(&x);
}

/* RFC 9293 figure 12, the active side; TIME-WAIT answers a repeated FIN (section 3.10.7.8). */
XTEST(close_active_side_and_time_wait) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    nsock_close(x.sock);
    x.sock = NULL;
    EXPECT(.flags = TH_FIN | TH_PSH | TH_ACK, .seq = 1, .ack = 1001);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 2, .window = 1000);
    SEND(.flags = TH_FIN | TH_ACK, .seq = 1001, .ack = 2, .window = 1000);
    EXPECT(.flags = TH_ACK, .seq = 2, .ack = 1002);
    SEND(.flags = TH_FIN | TH_ACK, .seq = 1001, .ack = 2, .window = 1000);
    EXPECT(.flags = TH_ACK, .seq = 2, .ack = 1002);
    xc_wait(&x, SIM_S(59));
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 2, .len = 5); /* old text: acknowledged, nothing more */
    EXPECT(.flags = TH_ACK, .seq = 2, .ack = 1002);
    xc_wait(&x, SIM_S(62));
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 2);
    EXPECT(.flags = TH_RST, .seq = 2);
    xc_end(&x);
}

/* RFC 6191 / RFC 1122 section 4.2.2.13: a SYN above the old sequence takes TIME-WAIT's place. */
XTEST(time_wait_gives_way_to_a_newer_syn) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    nsock_close(x.sock);
    x.sock = NULL;
    EXPECT(.flags = TH_FIN | TH_PSH | TH_ACK, .seq = 1, .ack = 1001);
    SEND(.flags = TH_FIN | TH_ACK, .seq = 1001, .ack = 2, .window = 1000);
    EXPECT(.flags = TH_ACK, .seq = 2, .ack = 1002);
    SEND(.flags = TH_SYN, .seq = 900, .window = 1000);
    EXPECT(.flags = TH_ACK, .seq = 2, .ack = 1002);
    SEND(.flags = TH_SYN, .seq = 9000, .window = 1000);
    EXPECT(.flags = TH_SYN | TH_ACK, .ack = 9001);
    xc_end(&x);
}

/* RFC 9293 figure 13. */
XTEST(simultaneous_close) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    ASSERT_EQ(nsock_shutdown(x.sock, NS_SHUT_WR), 0);
    EXPECT(.flags = TH_FIN | TH_PSH | TH_ACK, .seq = 1, .ack = 1001);
    SEND(.flags = TH_FIN | TH_ACK, .seq = 1001, .ack = 1, .window = 1000);
    EXPECT(.flags = TH_ACK, .seq = 2, .ack = 1002);
    ASSERT_EQ(tcp_state(x.sock), NS_TCP_CLOSING);
    SEND(.flags = TH_ACK, .seq = 1002, .ack = 2, .window = 1000);
    ASSERT_EQ(tcp_state(x.sock), NS_TCP_CLOSE); /* TIME-WAIT lives on without the socket */
    xc_end(&x);
}

XTEST(half_close_still_receives) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    ASSERT_EQ(nsock_shutdown(x.sock, NS_SHUT_WR), 0);
    EXPECT(.flags = TH_FIN | TH_PSH | TH_ACK, .seq = 1, .ack = 1001);
    ASSERT_EQ(sim_send(x.sock, "x", 1, 0), -EPIPE);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 2, .window = 1000, .len = 4);
    uint8_t buf[10];
    ASSERT_EQ(sim_recv(x.sock, buf, sizeof(buf), 0), 4);
    ASSERT_EQ(sim_recv(x.sock, buf, sizeof(buf), 0), -EAGAIN);
    ASSERT_EQ(tcp_state(x.sock), NS_TCP_FIN_WAIT2);
    xc_end(&x);
}

/* RFC 2525 section 2.17: closing with unread text resets. */
XTEST(close_with_unread_text_resets) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000, .len = 4);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1005);
    nsock_close(x.sock);
    x.sock = NULL;
    EXPECT(.flags = TH_RST | TH_ACK, .seq = 1, .ack = 1005);
    xc_end(&x);
}

/* socket(7) SO_LINGER with time 0. */
XTEST(linger_zero_resets) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    int linger[2] = {1, 0};
    ASSERT_EQ(nsock_setopt(x.sock, NS_SOL_SOCKET, NS_SO_LINGER, linger, sizeof(linger)), 0);
    nsock_close(x.sock);
    x.sock = NULL;
    EXPECT(.flags = TH_RST | TH_ACK, .seq = 1, .ack = 1001);
    xc_end(&x);
}

/* tcp(7) tcp_fin_timeout: an orphan does not wait for the peer's FIN for ever. */
XTEST(orphan_in_fin_wait_2_times_out) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    nsock_close(x.sock);
    x.sock = NULL;
    EXPECT(.flags = TH_FIN | TH_PSH | TH_ACK, .seq = 1, .ack = 1001);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 2, .window = 1000);
    xc_wait(&x, SIM_S(61));
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 2, .window = 1000);
    EXPECT(.flags = TH_RST, .seq = 2);
    xc_end(&x);
}

/* RFC 9293 section 3.6.1: text for an orphan is refused. */
XTEST(text_for_an_orphan_is_reset) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    nsock_close(x.sock);
    x.sock = NULL;
    EXPECT(.flags = TH_FIN | TH_PSH | TH_ACK, .seq = 1, .ack = 1001);
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 2, .window = 1000, .len = 10);
    EXPECT(.flags = TH_RST, .seq = 2);
    xc_end(&x);
}

/* RFC 5961 section 3.2: only an exact RST kills; one in the window gets a challenge ACK. */
XTEST(reset_must_be_exact) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    SEND(.flags = TH_RST, .seq = 1100);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001);
    SEND(.flags = TH_RST, .seq = 900);
    EXPECT_NOTHING();
    ASSERT_EQ(tcp_state(x.sock), NS_TCP_ESTABLISHED);
    SEND(.flags = TH_RST, .seq = 1001);
    ASSERT_EQ(tcp_state(x.sock), NS_TCP_CLOSE);
    uint8_t b;
    ASSERT_EQ(sim_recv(x.sock, &b, 1, 0), -ECONNRESET);
    ASSERT_EQ(sim_recv(x.sock, &b, 1, 0), 0);
    xc_end(&x);
}

/* RFC 5961 section 4.2. */
XTEST(syn_on_a_connection_is_challenged) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    SEND(.flags = TH_SYN, .seq = 1001);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001);
    SEND(.flags = TH_SYN, .seq = 777777);
    EXPECT_NOTHING(); /* twice a second at most */
    WAIT_MS(600);
    SEND(.flags = TH_SYN, .seq = 777777);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001);
    xc_end(&x);
}

/* RFC 5961 section 5.2. */
XTEST(ack_of_unsent_text_is_challenged) {
    xc_start(&x);
    xc_established(&x, &(struct seg){.mss = 1460});
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 500, .len = 5);
    EXPECT(.flags = TH_ACK, .seq = 1, .ack = 1001);
    uint8_t b[8];
    ASSERT_EQ(sim_recv(x.sock, b, sizeof(b), 0), -EAGAIN);
    xc_end(&x);
}

/* RFC 9293 section 3.10.7.4: SYN-RECEIVED repeats its SYN-ACK, and gives up: tcp_synack_retries = 5. */
XTEST(syn_ack_is_repeated_and_given_up) {
    xc_start(&x);
    xc_listen(&x);
    SEND(.flags = TH_SYN, .seq = 1000, .window = 1000);
    EXPECT(.flags = TH_SYN | TH_ACK, .ack = 1001);
    SEND(.flags = TH_SYN, .seq = 1000, .window = 1000);
    EXPECT(.flags = TH_SYN | TH_ACK, .ack = 1001);
    for (int i = 0; i < 5; i++) {
        xc_wait(&x, SIM_S(1) << i);
        EXPECT(.flags = TH_SYN | TH_ACK, .ack = 1001);
    }
    xc_wait(&x, SIM_S(64));
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1);
    EXPECT(.flags = TH_RST, .seq = 1);
    xc_end(&x);
}

/* A flood of SYNs: beyond the queue cookies are sent, and a cookie's ACK makes a connection (RFC 4987 3.6).
 */
XTEST(syn_cookies) {
    xc_start(&x);
    xc_listen(&x);
    for (uint16_t i = 0; i < 8; i++) {
        x.peer_port = (uint16_t)(5000 + i);
        SEND(.flags = TH_SYN, .seq = 1, .window = 1000);
        EXPECT(.flags = TH_SYN | TH_ACK, .ack = 2);
    }
    x.peer_port = 6000;
    SEND(.flags = TH_SYN, .seq = 1000, .window = 1000, .mss = 1460, .wscale = 4, .sackok = true, .ts = true,
         .ts_val = 9);
    EXPECT(.flags = TH_SYN | TH_ACK, .ack = 1001, .ts = true, .ts_ecr = 9);
    struct netns_mib m;
    netns_mib_get(x.h->ns, &m);
    ASSERT_EQ(m.tcp_syncookies_sent, 1);
    uint32_t ts = x.last_ts_val;
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 2, .window = 1000, .ts = true, .ts_val = 10, .ts_ecr = ts);
    EXPECT(.flags = TH_RST, .seq = 2); /* not the cookie */
    SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000, .ts = true, .ts_val = 10, .ts_ecr = ts,
         .len = 3);
    ASSERT_EQ(nsock_accept(x.listener, &x.sock, NULL), 0);
    struct ns_tcp_info i;
    size_t n = sizeof(i);
    ASSERT_EQ(nsock_getopt(x.sock, NS_SOL_TCP, NS_TCP_INFO, &i, &n), 0);
    ASSERT_EQ(i.options & (NS_TCPI_OPT_SACK | NS_TCPI_OPT_TIMESTAMPS | NS_TCPI_OPT_WSCALE),
              NS_TCPI_OPT_SACK | NS_TCPI_OPT_TIMESTAMPS | NS_TCPI_OPT_WSCALE);
    ASSERT_EQ(i.snd_wscale, 3);
    uint8_t b[8];
    ASSERT_EQ(sim_recv(x.sock, b, sizeof(b), 0), 3);
    xc_end(&x);
}

/* listen(2): a full accept queue drops the last ACK; the connection completes once there is room. */
XTEST(full_accept_queue_drops_the_ack) {
    xc_start(&x);
    xc_listen(&x);
    ASSERT_EQ(nsock_listen(x.listener, 0), 0);
    for (uint16_t i = 0; i < 2; i++) {
        x.peer_port = (uint16_t)(5000 + i);
        SEND(.flags = TH_SYN, .seq = 1000, .window = 1000);
        if (i == 1) {
            EXPECT_NOTHING(); /* one waits already: backlog 0 means one */
            break;
        }
        EXPECT(.flags = TH_SYN | TH_ACK, .ack = 1001);
        SEND(.flags = TH_ACK, .seq = 1001, .ack = 1, .window = 1000);
    }
    struct netns_mib m;
    netns_mib_get(x.h->ns, &m);
    ASSERT_EQ(m.tcp_listen_overflows, 1);
    ASSERT_EQ(nsock_accept(x.listener, &x.sock, NULL), 0);
    x.peer_port = 5001;
    SEND(.flags = TH_SYN, .seq = 1000, .window = 1000);
    EXPECT(.flags = TH_SYN | TH_ACK, .ack = 1001);
    xc_end(&x);
}

/* RFC 7413 section 4.2: a cookie is given on request, and a SYN with it brings its text at once. */
XTEST(fast_open_passive) {
    xc_start(&x);
    struct netns_sysctl k;
    netns_sysctl_get(x.h->ns, &k);
    k.tcp_fastopen = 3;
    ASSERT_EQ(netns_sysctl_set(x.h->ns, &k), 0);
    xc_listen(&x);
    int qlen = 5;
    ASSERT_EQ(nsock_setopt(x.listener, NS_SOL_TCP, NS_TCP_FASTOPEN, &qlen, sizeof(qlen)), 0);
    SEND(.flags = TH_SYN, .seq = 1000, .window = 1000, .mss = 1460, .tfo = true);
    EXPECT(.flags = TH_SYN | TH_ACK, .ack = 1001);
    ASSERT_EQ(x.last.cookie_len, 8);
    struct seg syn = {
        .flags = TH_SYN, .seq = 1000, .window = 1000, .mss = 1460, .tfo = true, .cookie_len = 8, .len = 5};
    memcpy(syn.cookie, x.last.cookie, 8);
    SEND(.flags = TH_RST, .seq = 1001);
    x.peer_port = 6000;
    xc_send(&x, &syn);
    EXPECT(.flags = TH_SYN | TH_ACK, .ack = 1006);
    ASSERT_EQ(nsock_accept(x.listener, &x.sock, NULL), 0);
    uint8_t b[8];
    ASSERT_EQ(sim_recv(x.sock, b, sizeof(b), 0), 5);
    SEND(.flags = TH_ACK, .seq = 1006, .ack = 1, .window = 1000);
    ASSERT_EQ(tcp_state(x.sock), NS_TCP_ESTABLISHED);
    xc_end(&x);
}
