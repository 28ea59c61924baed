/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/wire_tcp.h: the TCP header and its options on the wire, and UDP's header.
 * Sources: RFC 9293 sections 3.1 and 3.2, RFC 7323, RFC 2018, RFC 7413, RFC 768.
 */
#pragma once

#include "netstack/wire/ipaddr.h"

enum { TCP_MIN_HLEN = 20, TCP_MAX_HLEN = 60, TCP_MAX_OPTIONS = 40, UDP_HLEN = 8 };
enum {
    TH_FIN = 0x01,
    TH_SYN = 0x02,
    TH_RST = 0x04,
    TH_PSH = 0x08,
    TH_ACK = 0x10,
    TH_URG = 0x20,
    TH_ECE = 0x40,
    TH_CWR = 0x80,
};
enum { TCP_MAX_SACK_BLOCKS = 4, TCP_FASTOPEN_COOKIE_MAX = 16, TCP_MAX_WSCALE = 14 };

struct tcp_hdr {
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint8_t hlen; /* bytes */
    uint8_t flags;
    uint16_t window;
    uint16_t urgent;
};

struct tcp_sack_block {
    uint32_t start, end;
};

struct tcp_options {
    bool has_mss, has_wscale, sack_permitted, has_ts, has_fastopen;
    uint16_t mss;
    uint8_t wscale;
    uint32_t ts_val, ts_ecr;
    uint8_t sack_count;
    struct tcp_sack_block sack[TCP_MAX_SACK_BLOCKS];
    uint8_t cookie_len; /* 0 with has_fastopen: a request */
    uint8_t cookie[TCP_FASTOPEN_COOKIE_MAX];
};

/* -EPROTO if the header does not fit `avail`. */
int tcp_hdr_parse(const uint8_t *p, size_t avail, struct tcp_hdr *ret);
/* Leaves the checksum field zero. */
void tcp_hdr_put(uint8_t *p, const struct tcp_hdr *h);
/* Never fails: unknown options are skipped, a malformed one ends the walk (RFC 9293 section 3.1, MUST-6,
 * MUST-7). */
void tcp_options_parse(const uint8_t *p, size_t len, struct tcp_options *ret);
/* Returns the padded length, at most TCP_MAX_OPTIONS; SACK blocks that do not fit are left out. */
size_t tcp_options_put(uint8_t *p, const struct tcp_options *o, bool syn);

struct udp_hdr {
    uint16_t sport, dport, len, csum;
};

static inline void udp_hdr_get(const uint8_t *p, struct udp_hdr *ret) {
    *ret = (struct udp_hdr){get_be16(p), get_be16(p + 2), get_be16(p + 4), get_be16(p + 6)};
}

static inline void udp_hdr_put(uint8_t *p, const struct udp_hdr *h) {
    put_be16(p, h->sport);
    put_be16(p + 2, h->dport);
    put_be16(p + 4, h->len);
    put_be16(p + 6, h->csum);
}

/* Sequence arithmetic modulo 2^32 (RFC 9293 section 3.4). */
static inline bool seq_lt(uint32_t a, uint32_t b) {
    return (int32_t)(a - b) < 0;
}
static inline bool seq_le(uint32_t a, uint32_t b) {
    return (int32_t)(a - b) <= 0;
}
static inline bool seq_gt(uint32_t a, uint32_t b) {
    return seq_lt(b, a);
}
static inline bool seq_ge(uint32_t a, uint32_t b) {
    return seq_le(b, a);
}
