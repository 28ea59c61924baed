/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/netstack/exchange.h: segment-by-segment exchanges with one stack. The test plays the peer, byte
 * by byte; time moves only by xc_wait().
 *
 *     SEND(.flags = TH_SYN, .seq = 1000, .mss = 1460);
 *     EXPECT(.flags = TH_SYN | TH_ACK, .seq = ANY, .ack = 1001);
 *
 * Sequence numbers of the stack are relative to its ISN, learnt from its SYN; the peer's are as written.
 */
#pragma once

#include "netstack/wire/wire_tcp.h"
#include "tests/sim/sim.h"

enum { PEER_PORT = 4000, OUR_PORT = 80 };

/* A segment as the test writes it. Fields left zero are not checked in EXPECT() unless noted. */
struct seg {
    uint32_t flags, seq, ack, window, len;
    bool any_seq, any_ack, any_window; /* EXPECT: do not check */
    bool check_window;
    uint16_t mss, urgent;
    int wscale; /* option value + 1; 0: none */
    bool sackok, ts;
    uint32_t ts_val, ts_ecr;
    uint8_t sacks; /* number of blocks in sack[] */
    struct tcp_sack_block sack[4];
    uint8_t tos;
    bool tfo;
    uint8_t cookie_len;
    uint8_t cookie[16];
};

struct xc {
    struct sim s;
    struct sim_host *h;
    struct nic *nic;
    uint32_t isn; /* the stack's */
    bool isn_known;
    struct seg last; /* last segment seen by EXPECT, with absolute numbers; options filled in */
    uint16_t peer_port, our_port;
    int handshake_ms; /* round trip of xc_established(): the stack's first sample */
    struct nsock *listener, *sock;
    uint32_t last_ts_val;
    uint8_t frame[70000]; /* last frame read */
    uint32_t frame_len;
};

void xc_start(struct xc *x);
void xc_end(struct xc *x);
void xc_listen(struct xc *x);
/* Handshake with the stack as the passive side; the peer's ISN is 1000, so its text starts at 1001. */
void xc_established(struct xc *x, const struct seg *syn);
/* The stack connects to us; ends before the SYN-ACK. */
void xc_connect(struct xc *x);
void xc_send(struct xc *x, const struct seg *g);
void xc_expect(struct xc *x, const struct seg *g, const char *file, int line);
void xc_expect_nothing(struct xc *x, const char *file, int line);
void xc_wait(struct xc *x, int64_t ns);
/* Reads the next frame of the stack, answering ARP. False: none. */
bool xc_read(struct xc *x);
/* Sends an IPv4 packet from the peer with this payload. */
void xc_send_ip(struct xc *x, uint8_t proto, const void *data, uint32_t len);

#define SEND(...)        xc_send(&x, &(struct seg){__VA_ARGS__})
#define EXPECT(...)      xc_expect(&x, &(struct seg){__VA_ARGS__}, __FILE__, __LINE__)
#define EXPECT_NOTHING() xc_expect_nothing(&x, __FILE__, __LINE__)
#define WAIT_MS(n)       xc_wait(&x, SIM_MS(n))
#define XTEST(name)                                                                                          \
    static void exchange_##name(void);                                                                       \
    TEST(name) {                                                                                             \
        exchange_##name();                                                                                   \
    }                                                                                                        \
    static void exchange_##name(void)
