/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_sockopt.c: options of level IPPROTO_TCP, and TCP_INFO with true numbers. Source:
 * tcp(7).
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"

static int set_congestion(struct tcp_sock *tp, const void *val, size_t len) {
    char name[17] = {0};
    memcpy(name, val, MIN(len, sizeof(name) - 1));
    const struct tcp_cc_ops *cc = tcp_cc_find(name);
    if (!cc)
        return -ENOENT;
    if (cc != tp->cc) {
        tp->cc = cc;
        cc->init(tp);
    }
    return 0;
}

/* socket(7): 32 or 64 bits; all ones is no limit. */
static int set_pacing(struct tcp_sock *tp, const void *val, size_t len) {
    uint64_t rate = 0;
    if (len < 4)
        return -EINVAL;
    memcpy(&rate, val, len >= 8 ? 8 : 4);
    bool none = len >= 8 ? rate == UINT64_MAX : rate == UINT32_MAX;
    if (rate == 0)
        return -EINVAL;
    tp->pacing_rate = none ? 0 : rate;
    return 0;
}

static int set_range(int *field, int v, int low, int high) {
    if (v < low || v > high)
        return -EINVAL;
    *field = v;
    return 0;
}

static int set_nodelay(struct tcp_sock *tp, int v) {
    tp->nodelay = v != 0;
    if (v)
        tcp_push(tp, true); /* pushes what Nagle held */
    return 0;
}

static int set_cork(struct tcp_sock *tp, int v) {
    bool was = tp->cork;
    tp->cork = v != 0;
    if (was && !v)
        tcp_push(tp, true);
    return 0;
}

static int set_quickack(struct tcp_sock *tp, int v) {
    tp->quickack_mode = v != 0;
    tp->pingpong = v == 0;
    if (v) {
        tp->quickack_left = TCP_QUICKACK_SEGS;
        if (tp->ack_pending && tcp_is_synchronized(tp))
            tcp_send_ack(tp);
    }
    return 0;
}

static int set_keepalive(struct tcp_sock *tp, int name, int v) {
    int rc;
    switch (name) {
    case NS_TCP_KEEPIDLE:
        rc = set_range(&tp->keep_idle_s, v, 1, 32767);
        break;
    case NS_TCP_KEEPINTVL:
        rc = set_range(&tp->keep_intvl_s, v, 1, 32767);
        break;
    default:
        rc = set_range(&tp->keep_probes, v, 1, 127);
        break;
    }
    if (rc == 0)
        tcp_arm_keepalive(tp);
    return rc;
}

static int set_maxseg(struct tcp_sock *tp, int v) {
    if (v && (v < 88 || v > 32767)) /* TCP_MIN_MSS and MAX_TCP_WINDOW of tcp(7) */
        return -EINVAL;
    tp->user_mss = (uint16_t)v;
    return 0;
}

static int set_linger2(struct tcp_sock *tp, int v) {
    tp->linger2_s = v < 0 ? -1 : MIN(v, 120);
    return 0;
}

static int set_window_clamp(struct tcp_sock *tp, int v) {
    if (v < 0 || (v == 0 && tp->state != NS_TCP_CLOSE))
        return -EINVAL;
    tp->window_clamp = v ? MAX((uint32_t)v, 1152u) : 0;
    return 0;
}

static int set_int(struct tcp_sock *tp, int name, int v) {
    switch (name) {
    case NS_TCP_NODELAY:
        return set_nodelay(tp, v);
    case NS_TCP_CORK:
        return set_cork(tp, v);
    case NS_TCP_QUICKACK:
        return set_quickack(tp, v);
    case NS_TCP_MAXSEG:
        return set_maxseg(tp, v);
    case NS_TCP_KEEPIDLE:
    case NS_TCP_KEEPINTVL:
    case NS_TCP_KEEPCNT:
        return set_keepalive(tp, name, v);
    case NS_TCP_SYNCNT:
        if (v < 1 || v > 127)
            return -EINVAL;
        tp->syn_retries = (uint8_t)v;
        return 0;
    case NS_TCP_LINGER2:
        return set_linger2(tp, v);
    case NS_TCP_DEFER_ACCEPT:
        tp->defer_accept_s = v < 0 ? 0 : v;
        return 0;
    case NS_TCP_WINDOW_CLAMP:
        return set_window_clamp(tp, v);
    case NS_TCP_USER_TIMEOUT:
        if (v < 0)
            return -EINVAL;
        tp->user_timeout_ms = (uint32_t)v;
        return 0;
    case 17: /* TCP_THIN_DUPACK */
        return v < 0 || v > 1 ? -EINVAL : 0;
    case NS_TCP_NOTSENT_LOWAT:
        tp->notsent_lowat = (uint32_t)v;
        return 0;
    case NS_TCP_FASTOPEN:
        if (v < 0 || (tp->state != NS_TCP_CLOSE && tp->state != NS_TCP_LISTEN))
            return -EINVAL;
        tp->fastopen_max = MIN((uint32_t)v, tp->base.ns->ctl.somaxconn);
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int tcp_setopt(struct nsock *s, int level, int name, const void *val, size_t len) {
    struct tcp_sock *tp = tcp_of(s);
    int v;
    if (level == NS_SOL_SOCKET) {
        if (name == NS_SO_KEEPALIVE)
            tcp_arm_keepalive(tp);
        return name == NS_SO_MAX_PACING_RATE ? set_pacing(tp, val, len) : 0;
    }
    if (level != NS_SOL_TCP)
        return -ENOPROTOOPT;
    if (name == NS_TCP_CONGESTION)
        return len < 1 ? -EINVAL : set_congestion(tp, val, len);
    if (name == 31 /* TCP_ULP: there is no such protocol */)
        return len < 1 ? -EINVAL : -ENOENT;
    int rc = opt_get_int(val, len, &v);
    return rc < 0 ? rc : set_int(tp, name, v);
}

static unsigned us(int64_t ns) {
    return (unsigned)(ns / 1000);
}

static unsigned ms_since(const struct tcp_sock *tp, int64_t then) {
    return then ? (unsigned)((tcp_now(tp) - then) / 1000000) : 0;
}

static void info_flight(const struct tcp_sock *tp, struct ns_tcp_info *i) {
    unsigned mss = MAX(tp->mss, (uint16_t)1);
    i->unacked = (tp->snd_nxt - tp->snd_una + mss - 1) / mss;
    i->sacked = (tp->sacked_bytes + tp->reno_sacked + mss - 1) / mss;
    i->lost = (tp->lost_bytes + mss - 1) / mss;
    i->retrans = (tp->retrans_bytes + mss - 1) / mss;
    i->snd_cwnd = MAX(tp->cwnd / mss, 1u);
    i->snd_ssthresh = tp->ssthresh == UINT32_MAX ? 0x7fffffff : tp->ssthresh / mss;
    i->notsent_bytes = tp->write_seq - tp->snd_nxt;
    i->delivered = (unsigned)(tp->delivered / mss);
    i->delivered_ce = (unsigned)(tp->delivered_ce / mss);
}

void tcp_info_fill(const struct tcp_sock *tp, struct ns_tcp_info *i) {
    *i = (struct ns_tcp_info){
        .state = tp->state,
        .ca_state = tp->ca_state,
        .retransmits = tp->retries,
        .probes = tp->probes,
        .backoff = tp->backoff,
        .options =
            (unsigned char)((tp->ts_ok ? NS_TCPI_OPT_TIMESTAMPS : 0) | (tp->sack_ok ? NS_TCPI_OPT_SACK : 0) |
                            (tp->wscale_ok ? NS_TCPI_OPT_WSCALE : 0) | (tp->ecn_ok ? NS_TCPI_OPT_ECN : 0)),
        .snd_wscale = tp->snd_wscale,
        .rcv_wscale = tp->rcv_wscale,
        .delivery_rate_app_limited = tp->app_limited_until != 0,
        .rto = us(tcp_rto(tp)),
        .ato = us(TCP_DELACK_MIN),
        .snd_mss = tp->mss,
        .rcv_mss = tp->rcv_mss,
        .last_data_sent = ms_since(tp, tp->last_send_ns),
        .last_data_recv = ms_since(tp, tp->last_rcv_ns),
        .last_ack_recv = ms_since(tp, tp->last_rcv_ns),
        .pmtu = tp->pmtu,
        .rcv_ssthresh = tp->rcv_wnd,
        .rtt = us(tp->srtt_ns),
        .rttvar = us(tp->rttvar_ns),
        .advmss = tp->advmss,
        .reordering = TCP_DUPTHRESH,
        .rcv_rtt = us(tp->rcv_rtt_ns),
        .rcv_space = tp->drs_space,
        .total_retrans = tp->total_retrans,
        .pacing_rate = tp->pacing_rate ? tp->pacing_rate : ~0ull, /* no other pacing is done */
        .max_pacing_rate = tp->pacing_rate ? tp->pacing_rate : ~0ull,
        .bytes_acked = tp->bytes_acked,
        .bytes_received = tp->bytes_received,
        .segs_out = tp->segs_out,
        .segs_in = tp->segs_in,
        .min_rtt = us(tp->min_rtt_ns),
        .data_segs_in = tp->data_segs_in,
        .data_segs_out = tp->data_segs_out,
        .delivery_rate = tp->rate_bytes_per_s,
        .bytes_sent = tp->bytes_sent,
        .bytes_retrans = tp->bytes_retrans,
        .dsack_dups = tp->dsack_dups,
        .reord_seen = tp->reord_seen,
        .rcv_ooopack = tp->rcv_ooopack,
        .snd_wnd = tp->snd_wnd,
    };
    info_flight(tp, i);
    if (tp->state == NS_TCP_LISTEN) { /* tcp(7): backlog in these two */
        i->unacked = tp->accept_count;
        i->sacked = tp->backlog;
    }
}

static int keep_value(const struct tcp_sock *tp, int name) {
    const struct netns_sysctl *ctl = &tp->base.ns->ctl;
    switch (name) {
    case NS_TCP_KEEPIDLE:
        return tp->keep_idle_s ? tp->keep_idle_s : ctl->tcp_keepalive_time_s;
    case NS_TCP_KEEPINTVL:
        return tp->keep_intvl_s ? tp->keep_intvl_s : ctl->tcp_keepalive_intvl_s;
    default:
        return tp->keep_probes ? tp->keep_probes : ctl->tcp_keepalive_probes;
    }
}

static int get_congestion(const struct tcp_sock *tp, void *val, size_t *len) {
    char name[16] = {0};
    memcpy(name, tp->cc->name, MIN(strlen(tp->cc->name), sizeof(name) - 1));
    return opt_put(val, len, name, sizeof(name));
}

int tcp_getopt(struct nsock *s, int level, int name, void *val, size_t *len) {
    struct tcp_sock *tp = tcp_of(s);
    const struct netns_sysctl *ctl = &s->ns->ctl;
    struct ns_tcp_info info;
    if (level == NS_SOL_SOCKET && name == NS_SO_MAX_PACING_RATE) {
        uint64_t rate = tp->pacing_rate ? tp->pacing_rate : UINT64_MAX;
        uint32_t narrow = (uint32_t)MIN(rate, (uint64_t)UINT32_MAX);
        return *len >= sizeof(rate) ? opt_put(val, len, &rate, sizeof(rate))
                                    : opt_put(val, len, &narrow, sizeof(narrow));
    }
    if (level != NS_SOL_TCP)
        return -ENOPROTOOPT;
    switch (name) {
    case NS_TCP_TIMESTAMP:
        return opt_put_int(val, len, (int)tcp_ts_clock(s->ns->st, tp->ts_offset));
    case 17: /* TCP_THIN_DUPACK: gone since Linux 4.19, reads as zero */
        return opt_put_int(val, len, 0);
    case 26: /* TCP_CC_INFO: cubic and reno have none */
    case 31: /* TCP_ULP: none */
        *len = 0;
        return 0;
    case NS_TCP_NODELAY:
        return opt_put_int(val, len, tp->nodelay);
    case NS_TCP_CORK:
        return opt_put_int(val, len, tp->cork);
    case NS_TCP_QUICKACK:
        return opt_put_int(val, len, !tp->pingpong);
    case NS_TCP_MAXSEG: /* Linux: what was asked for while closed, what is in use else */
        return opt_put_int(val, len, tp->user_mss && tp->state == NS_TCP_CLOSE ? tp->user_mss : tp->mss);
    case NS_TCP_KEEPIDLE:
    case NS_TCP_KEEPINTVL:
    case NS_TCP_KEEPCNT:
        return opt_put_int(val, len, keep_value(tp, name));
    case NS_TCP_SYNCNT:
        return opt_put_int(val, len, tp->syn_retries ? tp->syn_retries : ctl->tcp_syn_retries);
    case NS_TCP_LINGER2:
        return opt_put_int(val, len, tp->linger2_s ? tp->linger2_s : ctl->tcp_fin_timeout_s);
    case NS_TCP_DEFER_ACCEPT:
        return opt_put_int(val, len, tp->defer_accept_s);
    case NS_TCP_WINDOW_CLAMP:
        return opt_put_int(val, len, (int)tp->window_clamp);
    case NS_TCP_USER_TIMEOUT:
        return opt_put_int(val, len, (int)tp->user_timeout_ms);
    case NS_TCP_NOTSENT_LOWAT:
        return opt_put_int(val, len, (int)tp->notsent_lowat);
    case NS_TCP_FASTOPEN:
        return opt_put_int(val, len, (int)tp->fastopen_max);
    case NS_TCP_CONGESTION:
        return get_congestion(tp, val, len);
    case NS_TCP_INFO:
        tcp_info_fill(tp, &info);
        return opt_put(val, len, &info, sizeof(info));
    default:
        return -ENOPROTOOPT;
    }
}
