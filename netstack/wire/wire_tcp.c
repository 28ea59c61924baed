/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/wire_tcp.c: reads and writes TCP headers and options.
 * Sources: RFC 9293 sections 3.1-3.2, RFC 7323 sections 2.2 and 3.2, RFC 2018 sections 2-3, RFC 7413
 * section 4.1.1.
 */
#include "netstack/wire/wire_tcp.h"

#include <errno.h>

enum {
    OPT_EOL = 0,
    OPT_NOP = 1,
    OPT_MSS = 2,
    OPT_WSCALE = 3,
    OPT_SACK_OK = 4,
    OPT_SACK = 5,
    OPT_TS = 8,
    OPT_TFO = 34
};

int tcp_hdr_parse(const uint8_t *p, size_t avail, struct tcp_hdr *ret) {
    if (avail < TCP_MIN_HLEN)
        return -EPROTO;
    *ret = (struct tcp_hdr){
        .sport = get_be16(p),
        .dport = get_be16(p + 2),
        .seq = get_be32(p + 4),
        .ack = get_be32(p + 8),
        .hlen = (uint8_t)((p[12] >> 4) * 4),
        .flags = p[13],
        .window = get_be16(p + 14),
        .urgent = get_be16(p + 18),
    };
    return ret->hlen < TCP_MIN_HLEN || ret->hlen > avail ? -EPROTO : 0;
}

void tcp_hdr_put(uint8_t *p, const struct tcp_hdr *h) {
    put_be16(p, h->sport);
    put_be16(p + 2, h->dport);
    put_be32(p + 4, h->seq);
    put_be32(p + 8, h->ack);
    p[12] = (uint8_t)(h->hlen / 4 << 4);
    p[13] = h->flags;
    put_be16(p + 14, h->window);
    put_be16(p + 16, 0);
    put_be16(p + 18, h->urgent);
}

static void parse_sack(const uint8_t *p, unsigned len, struct tcp_options *ret) {
    if (len < 10 || (len - 2) % 8 != 0)
        return;
    unsigned n = (len - 2) / 8;
    for (unsigned i = 0; i < n && i < TCP_MAX_SACK_BLOCKS; i++)
        ret->sack[ret->sack_count++] =
            (struct tcp_sack_block){get_be32(p + 2 + 8 * i), get_be32(p + 6 + 8 * i)};
}

static void parse_option(const uint8_t *p, unsigned len, struct tcp_options *ret) {
    switch (p[0]) {
    case OPT_MSS:
        if (len == 4) {
            ret->has_mss = true;
            ret->mss = get_be16(p + 2);
        }
        break;
    case OPT_WSCALE:
        if (len == 3) {
            ret->has_wscale = true; /* RFC 7323 section 2.3: more than 14 is taken as 14 */
            ret->wscale = p[2] > TCP_MAX_WSCALE ? TCP_MAX_WSCALE : p[2];
        }
        break;
    case OPT_SACK_OK:
        ret->sack_permitted |= len == 2;
        break;
    case OPT_SACK:
        if (ret->sack_count == 0)
            parse_sack(p, len, ret);
        break;
    case OPT_TS:
        if (len == 10) {
            ret->has_ts = true;
            ret->ts_val = get_be32(p + 2);
            ret->ts_ecr = get_be32(p + 6);
        }
        break;
    case OPT_TFO:
        if (len == 2 || (len >= 6 && len <= 18 && len % 2 == 0)) {
            ret->has_fastopen = true;
            ret->cookie_len = (uint8_t)(len - 2);
            memcpy(ret->cookie, p + 2, len - 2);
        }
        break;
    default:
        break;
    }
}

void tcp_options_parse(const uint8_t *p, size_t len, struct tcp_options *ret) {
    *ret = (struct tcp_options){0};
    size_t at = 0;
    while (at < len && p[at] != OPT_EOL) {
        if (p[at] == OPT_NOP) {
            at++;
            continue;
        }
        if (at + 1 >= len || p[at + 1] < 2 || p[at + 1] > len - at)
            return;
        parse_option(p + at, p[at + 1], ret);
        at += p[at + 1];
    }
}

static size_t put_sack(uint8_t *p, const struct tcp_options *o, size_t room) {
    if (o->sack_count == 0 || room < 12)
        return 0;
    size_t n = (room - 4) / 8;
    if (n > o->sack_count)
        n = o->sack_count;
    p[0] = p[1] = OPT_NOP;
    p[2] = OPT_SACK;
    p[3] = (uint8_t)(2 + 8 * n);
    for (size_t i = 0; i < n; i++) {
        put_be32(p + 4 + 8 * i, o->sack[i].start);
        put_be32(p + 8 + 8 * i, o->sack[i].end);
    }
    return 4 + 8 * n;
}

static size_t put_syn_only(uint8_t *p, const struct tcp_options *o) {
    size_t at = 0;
    if (o->has_mss) {
        p[0] = OPT_MSS;
        p[1] = 4;
        put_be16(p + 2, o->mss);
        at = 4;
    }
    if (o->sack_permitted) {
        p[at] = p[at + 1] = OPT_NOP;
        p[at + 2] = OPT_SACK_OK;
        p[at + 3] = 2;
        at += 4;
    }
    if (o->has_wscale) {
        p[at] = OPT_NOP;
        p[at + 1] = OPT_WSCALE;
        p[at + 2] = 3;
        p[at + 3] = o->wscale;
        at += 4;
    }
    return at;
}

size_t tcp_options_put(uint8_t *p, const struct tcp_options *o, bool syn) {
    size_t at = syn ? put_syn_only(p, o) : 0;
    if (o->has_ts) {
        p[at] = p[at + 1] = OPT_NOP;
        p[at + 2] = OPT_TS;
        p[at + 3] = 10;
        put_be32(p + at + 4, o->ts_val);
        put_be32(p + at + 8, o->ts_ecr);
        at += 12;
    }
    if (syn && o->has_fastopen && at + 2 + o->cookie_len <= TCP_MAX_OPTIONS) {
        p[at] = OPT_TFO;
        p[at + 1] = (uint8_t)(2 + o->cookie_len);
        memcpy(p + at + 2, o->cookie, o->cookie_len);
        at += 2 + (size_t)o->cookie_len;
        while (at % 4)
            p[at++] = OPT_NOP;
    }
    if (!syn)
        at += put_sack(p + at, o, TCP_MAX_OPTIONS - at);
    return at;
}
