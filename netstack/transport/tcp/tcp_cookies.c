/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_cookies.c: SYN cookies and fast open cookies.
 *
 * A SYN cookie is 24 bits of a keyed hash over the connection, the peer's sequence number and a slow clock,
 * then 5 bits of that clock and 3 of an MSS index; options ride in the low six bits of our timestamp.
 * Sources: RFC 4987 section 3.6, RFC 7413 sections 4.1.2 and 5.
 */
#include "netstack/transport/tcp/tcp_internal.h"

enum {
    COOKIE_PERIOD_S = 64,
    COOKIE_MAX_AGE = 2,
    TS_BITS = 6,
    TS_MASK = (1 << TS_BITS) - 1,
    TS_NO_WSCALE = 15
};

static const uint16_t mss_table[8] = {216, 536, 1024, 1220, 1300, 1440, 1460, 8960};

struct cookie_key {
    struct ipa l, r;
    uint16_t lp, rp;
    uint32_t irs, time, mss;
};

static uint32_t cookie_hash(struct netns *ns, const struct tcp_rx *rx, uint32_t irs, uint32_t time,
                            uint32_t mss) {
    struct cookie_key k = {rx->p->dst, rx->p->src, rx->h.dport, rx->h.sport, irs, time, mss};
    return (uint32_t)siphash(&ns->tcp_secret, &k, sizeof(k)) & 0xffffff;
}

static uint32_t cookie_time(const struct netns *ns) {
    return (uint32_t)(ns->st->now / SEC(COOKIE_PERIOD_S));
}

uint32_t tcp_cookie_make(struct netns *ns, const struct tcp_rx *rx, uint16_t *ret_mss) {
    uint16_t mss = rx->opt.has_mss ? rx->opt.mss : TCP_DEFAULT_MSS4;
    uint32_t i = ARRAY_SIZE(mss_table) - 1, t = cookie_time(ns);
    while (i > 0 && mss_table[i] > mss)
        i--;
    *ret_mss = mss_table[i];
    return cookie_hash(ns, rx, rx->h.seq, t, i) << 8 | (t & 0x1f) << 3 | i;
}

bool tcp_cookie_check(struct netns *ns, const struct tcp_rx *rx, uint16_t *ret_mss) {
    uint32_t cookie = rx->h.ack - 1, irs = rx->h.seq - 1, now = cookie_time(ns);
    uint32_t i = cookie & 7, age = (now - (cookie >> 3)) & 0x1f;
    if (age > COOKIE_MAX_AGE || cookie_hash(ns, rx, irs, now - age, i) != cookie >> 8)
        return false;
    *ret_mss = mss_table[i];
    return true;
}

uint32_t tcp_cookie_ts(struct netns *ns, const struct tcp_rx *rx, bool ecn) {
    uint32_t bits = rx->opt.has_wscale ? rx->opt.wscale : (uint32_t)TS_NO_WSCALE;
    bits |= rx->opt.sack_permitted ? 1 << 4 : 0;
    bits |= ecn ? 1 << 5 : 0;
    uint32_t ts = tcp_ts_clock(ns->st, tcp_make_ts_offset(ns, &rx->p->dst, &rx->p->src));
    uint32_t marked = (ts & ~(uint32_t)TS_MASK) | bits;
    return seq_gt(marked, ts) ? marked - (TS_MASK + 1) : marked; /* never from the future */
}

/* False if the peer claims what we do not allow: then the segment is no answer to ours. */
bool tcp_cookie_ts_decode(struct netns *ns, const struct tcp_rx *rx, struct tcp_req *r) {
    if (!rx->opt.has_ts)
        return true;
    uint32_t bits = rx->opt.ts_ecr & TS_MASK;
    r->ts_ok = true;
    r->ts_recent = rx->opt.ts_val;
    r->ts_offset = tcp_make_ts_offset(ns, &rx->p->dst, &rx->p->src);
    r->sack_ok = bits & 1 << 4;
    r->ecn_ok = bits & 1 << 5;
    r->wscale_ok = (bits & 15) != TS_NO_WSCALE;
    r->snd_wscale = r->wscale_ok ? bits & 15 : 0;
    return ns->ctl.tcp_timestamps && (!r->sack_ok || ns->ctl.tcp_sack) &&
           (!r->wscale_ok || ns->ctl.tcp_window_scaling);
}

uint8_t tcp_tfo_cookie(struct netns *ns, const struct ipa *l, const struct ipa *r, uint8_t *out) {
    struct {
        struct ipa l, r;
    } k = {*l, *r};
    uint64_t c = siphash(&ns->tfo_key, &k, sizeof(k));
    memcpy(out, &c, sizeof(c));
    return sizeof(c);
}
