/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_rtx.c: what an acknowledgement does: the queue, the send window, samples, and
 * the states of loss recovery with proportional rate reduction.
 *
 * Sources: RFC 9293 section 3.10.7.4 (fifth), RFC 5681, RFC 6582 (without SACK), RFC 6675, RFC 6937 (PRR with
 * slow start reduction bound), RFC 3522 (Eifel detection), RFC 5961 section 5, RFC 3168 section 6.1.2.
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"

struct tcp_seg *tcp_first_seg(struct tcp_sock *tp) {
    if (list_empty(&tp->sendq))
        return NULL;
    struct tcp_seg *g = list_first_entry(&tp->sendq, struct tcp_seg, link);
    return g->sent ? g : NULL;
}

/* ---- marks ---- */

static void clear_retrans(struct tcp_sock *tp, struct tcp_seg *g) {
    if (!g->retrans)
        return;
    g->retrans = false;
    ASSERT(tp->retrans_bytes >= seg_space(g));
    tp->retrans_bytes -= seg_space(g);
}

static void clear_lost(struct tcp_sock *tp, struct tcp_seg *g) {
    if (!g->lost)
        return;
    g->lost = false;
    ASSERT(tp->lost_bytes >= seg_space(g));
    tp->lost_bytes -= seg_space(g);
}

void tcp_mark_lost(struct tcp_sock *tp, struct tcp_seg *g) {
    if (g->sacked || !g->sent)
        return;
    clear_retrans(tp, g);
    if (g->lost)
        return;
    g->lost = true;
    tp->lost_bytes += seg_space(g);
}

/* ---- retransmission ---- */

static void note_retransmit(struct tcp_sock *tp, struct tcp_seg *g) {
    struct netns *ns = tp->base.ns;
    uint32_t mss = tcp_eff_mss(tp), parts = g->len > mss ? (g->len + mss - 1) / mss : 1;
    if (!g->retrans) {
        g->retrans = true;
        tp->retrans_bytes += seg_space(g);
    }
    g->ever_retrans = true;
    tp->total_retrans += parts;
    ns->mib.tcp_retrans_segs += parts;
    tp->bytes_retrans += g->len;
    if (!tp->retrans_ts_valid) {
        tp->retrans_ts = tcp_ts_clock(ns->st, tp->ts_offset);
        tp->retrans_ts_valid = true;
    }
    if (tp->ca_state == CA_RECOVERY || tp->ca_state == CA_CWR)
        tp->prr_out += g->len;
    if (tp->ca_state == CA_LOSS)
        ns->mib.tcp_slow_start_retrans++;
    else if (tp->ca_state == CA_RECOVERY)
        ns->mib.tcp_fast_retrans++;
}

int tcp_retransmit_one(struct tcp_sock *tp, struct tcp_seg *g) {
    int rc = tcp_transmit_seg(tp, g);
    if (rc != -ENOMEM)
        note_retransmit(tp, g);
    return rc;
}

/* What the receiver has withdrawn the window from is not sent but for the first segment (RFC 9293
 * section 3.8.6). */
static bool inside_window(const struct tcp_sock *tp, const struct tcp_seg *g) {
    return g->seq == tp->snd_una || seq_lt(g->seq, tp->snd_una + MAX(tp->snd_wnd, 1u));
}

static bool wants_retransmit(const struct tcp_seg *g) {
    return g->sent && g->lost && !g->retrans && !g->sacked;
}

/* Lost small pieces go out together again, as far as they fill a segment. */
static void gather_small(struct tcp_sock *tp, struct tcp_seg *g, uint32_t mss) {
    while (g->data && g->len < mss && g->link.next != &tp->sendq) {
        struct tcp_seg *next = list_next_entry(g, link);
        if (!wants_retransmit(next) || g->len + next->len > mss || tcp_merge_seg(tp, g, next) < 0)
            return;
    }
}

void tcp_retransmit_lost(struct tcp_sock *tp) {
    struct tcp_seg *g;
    if (tp->lost_bytes == 0)
        return;
    list_for_each_entry(g, &tp->sendq, link) {
        if (!g->sent)
            return;
        if (!wants_retransmit(g))
            continue;
        uint32_t flight = tcp_in_flight(tp), mss = tcp_eff_mss(tp);
        gather_small(tp, g, mss);
        uint32_t room = tp->cwnd > flight ? tp->cwnd - flight : 0;
        if ((room < MIN(mss, g->len) && flight > 0) || !inside_window(tp, g))
            return;
        if (!tcp_pace_ok(tp))
            return;
        room = MAX(room / mss * mss, mss);
        if (g->len > room && tcp_split_seg(tp, g, room) < 0)
            return;
        if (tcp_retransmit_one(tp, g) == -ENOMEM)
            return;
    }
}

/* ---- congestion episodes ---- */

static void begin_episode(struct tcp_sock *tp, bool undoable) {
    tp->prior_cwnd = tp->cwnd;
    tp->prior_ssthresh = tp->ssthresh;
    tp->ssthresh = tp->cc->ssthresh(tp);
    tp->high_seq = tp->snd_nxt;
    tp->prr_delivered = tp->prr_out = 0;
    tp->undo_marker = tp->snd_una;
    tp->undo_valid = undoable;
    tp->retrans_ts_valid = false;
    tp->cwnd_acked = 0;
    tp->ecn_send_cwr = tp->ecn_ok;
}

void tcp_enter_recovery(struct tcp_sock *tp) {
    if (tp->ca_state >= CA_RECOVERY)
        return;
    if (tp->ca_state == CA_CWR) { /* the reduction has been made already */
        tp->high_seq = tp->snd_nxt;
        tp->undo_valid = false;
        tp->retrans_ts_valid = false;
    } else {
        begin_episode(tp, true);
    }
    tp->ca_state = CA_RECOVERY;
}

void tcp_enter_cwr(struct tcp_sock *tp) {
    if (tp->ca_state >= CA_CWR)
        return;
    begin_episode(tp, false);
    tp->ca_state = CA_CWR;
}

static void clear_sacked(struct tcp_sock *tp) {
    struct tcp_seg *g;
    list_for_each_entry(g, &tp->sendq, link) {
        g->sacked = false;
    }
    tp->sacked_bytes = 0;
}

/* RFC 5681 section 3.1 on a timeout: ssthresh once per flight, cwnd of one segment, everything outstanding is
 * lost. */
void tcp_enter_loss(struct tcp_sock *tp) {
    struct tcp_seg *first = tcp_first_seg(tp), *g;
    if (tp->ca_state <= CA_DISORDER || seq_ge(tp->snd_una, tp->high_seq) ||
        (tp->ca_state == CA_LOSS && tp->retries == 0))
        begin_episode(tp, true);
    if (first && first->sacked) { /* RFC 2018 section 8: the receiver reneged */
        tp->base.ns->mib.tcp_sack_reneging++;
        clear_sacked(tp);
    }
    tp->reno_sacked = tp->dupacks = 0;
    list_for_each_entry(g, &tp->sendq, link) {
        if (!g->sent)
            break;
        tcp_mark_lost(tp, g);
    }
    tp->high_seq = tp->snd_nxt;
    tp->cwnd = tp->mss;
    tp->cwnd_acked = 0;
    tp->ca_state = CA_LOSS;
    tp->tlp_active = false;
    tp->reo_deadline = 0;
    if (tp->cc->timeout)
        tp->cc->timeout(tp);
}

/* RFC 3522: the ACK echoes a timestamp from before the retransmission, so the original had arrived. */
static bool spurious(const struct tcp_sock *tp, const struct tcp_rx *rx, const struct tcp_ack_state *a) {
    return tp->undo_valid && tp->retrans_ts_valid && a->una_advanced && a->retrans_acked && tp->ts_ok &&
           rx->opt.has_ts && rx->opt.ts_ecr && seq_lt(rx->opt.ts_ecr, tp->retrans_ts);
}

static void undo(struct tcp_sock *tp) {
    struct tcp_seg *g;
    list_for_each_entry(g, &tp->sendq, link) {
        if (!g->sent)
            break;
        clear_lost(tp, g);
    }
    if (tp->ca_state == CA_LOSS)
        tp->base.ns->mib.tcp_spurious_rtos++;
    tp->cwnd = MAX(tp->cwnd, tp->prior_cwnd);
    tp->ssthresh = MAX(tp->ssthresh, tp->prior_ssthresh);
    tp->undo_valid = false;
    tp->ca_state = CA_OPEN;
}

static void end_episode(struct tcp_sock *tp) {
    if (tp->ca_state != CA_LOSS)
        tp->cwnd = MAX(tp->ssthresh, 2u * tp->mss);
    tp->ca_state = CA_OPEN;
    tp->undo_valid = false;
    tp->dupacks = tp->reno_sacked = 0;
}

/* RFC 6937 section 3.1. */
static void prr(struct tcp_sock *tp, uint32_t delivered) {
    uint32_t pipe = tcp_in_flight(tp);
    int64_t sndcnt;
    tp->prr_delivered += delivered;
    if (pipe > tp->ssthresh) {
        uint64_t prior = MAX(tp->prior_cwnd, 1u);
        sndcnt = (int64_t)(((uint64_t)tp->prr_delivered * tp->ssthresh + prior - 1) / prior) - tp->prr_out;
    } else {
        int64_t limit = MAX((int64_t)tp->prr_delivered - tp->prr_out, (int64_t)delivered) + tp->mss;
        sndcnt = MIN((int64_t)tp->ssthresh - pipe, limit);
    }
    if (tp->prr_out == 0) /* the first retransmission always goes */
        sndcnt = MAX(sndcnt, (int64_t)tp->mss);
    tp->cwnd = pipe + (uint32_t)MAX(sndcnt, (int64_t)0);
    tp->cwnd = MAX(tp->cwnd, (uint32_t)tp->mss);
}

/* ---- without SACK: RFC 6582 ---- */

static void reno_dupack(struct tcp_sock *tp) {
    uint32_t out = tp->snd_nxt - tp->snd_una;
    tp->dupacks++;
    if (tp->reno_sacked + tp->mss < out)
        tp->reno_sacked += tp->mss;
    if (tp->dupacks == TCP_DUPTHRESH && tp->ca_state < CA_RECOVERY) {
        struct tcp_seg *g = tcp_first_seg(tp);
        if (!g)
            return;
        if (g->len > tp->mss && tcp_split_seg(tp, g, tp->mss) < 0)
            return;
        tcp_mark_lost(tp, g);
    }
}

static void reno_new_ack(struct tcp_sock *tp, uint32_t acked) {
    struct tcp_seg *g = tcp_first_seg(tp);
    uint32_t less = acked > tp->mss ? acked - tp->mss : 0;
    tp->dupacks = 0;
    tp->reno_sacked = tp->reno_sacked > less ? tp->reno_sacked - less : 0;
    if (tp->ca_state != CA_RECOVERY) {
        tp->reno_sacked = 0;
        return;
    }
    /* a partial ACK: the next segment is lost as well (section 3.2, step 3) */
    if (g && seq_lt(tp->snd_una, tp->high_seq)) {
        if (g->len > tp->mss && tcp_split_seg(tp, g, tp->mss) < 0)
            return;
        tcp_mark_lost(tp, g);
    }
    uint32_t out = tp->snd_nxt - tp->snd_una;
    uint32_t bound = out > tp->lost_bytes ? out - tp->lost_bytes : 0;
    tp->reno_sacked = MIN(tp->reno_sacked, bound);
}

/* RFC 5681 section 2, "DUPLICATE ACKNOWLEDGMENT". */
static bool is_dupack(const struct tcp_sock *tp, const struct tcp_rx *rx, bool window_changed) {
    return rx->h.ack == tp->snd_una && rx->payload == 0 && !(rx->h.flags & (TH_SYN | TH_FIN)) &&
           !window_changed && tp->snd_nxt != tp->snd_una;
}

/* ---- the queue ---- */

void tcp_note_delivered(struct tcp_sock *tp, const struct tcp_seg *g, const struct tcp_rx *rx,
                        struct tcp_ack_state *a) {
    int64_t now = tcp_now(tp);
    tp->delivered += seg_space(g);
    tcp_rack_delivered(tp, g, rx);
    if (g->ever_retrans)
        a->retrans_acked = true;
    else if (a->rtt_ns < 0 || now - g->sent_ns > a->rtt_ns) /* Karn; the oldest of those acknowledged */
        a->rtt_ns = now - g->sent_ns;
    if (!a->has_rate || g->delivered >= a->prior_delivered) {
        a->has_rate = true;
        a->prior_delivered = g->delivered;
        a->prior_ns = g->delivered_ns;
        a->send_elapsed_ns = g->sent_ns - g->first_ns;
        a->app_limited = g->app_limited;
        tp->first_tx_ns = g->sent_ns;
    }
}

static void drop_acked(struct tcp_sock *tp, struct tcp_seg *g, const struct tcp_rx *rx,
                       struct tcp_ack_state *a) {
    uint32_t space = seg_space(g);
    clear_lost(tp, g);
    clear_retrans(tp, g);
    if (g->sacked) {
        ASSERT(tp->sacked_bytes >= space);
        tp->sacked_bytes -= space;
        if (g->ever_retrans)
            a->retrans_acked = true;
    } else {
        tcp_note_delivered(tp, g, rx, a);
    }
    a->acked += space;
    tp->bytes_acked += g->len;
    tcp_seg_free(tp, g);
}

/* Removes what `ack` covers. -ENOMEM only delays: a partly acknowledged entry stays whole for now. */
static void clean_queue(struct tcp_sock *tp, uint32_t ack, const struct tcp_rx *rx, struct tcp_ack_state *a) {
    struct tcp_seg *g;
    while ((g = tcp_first_seg(tp)) && seq_lt(g->seq, ack)) {
        if (seq_gt(seg_end(g), ack) && tcp_split_seg(tp, g, ack - g->seq) < 0)
            break;
        drop_acked(tp, g, rx, a);
    }
}

static bool update_window(struct tcp_sock *tp, const struct tcp_rx *rx) {
    uint32_t wnd = (uint32_t)rx->h.window << tp->snd_wscale;
    bool newer =
        seq_lt(tp->snd_wl1, rx->h.seq) || (tp->snd_wl1 == rx->h.seq && seq_le(tp->snd_wl2, rx->h.ack));
    if (!newer)
        return false;
    bool changed = wnd != tp->snd_wnd;
    tp->snd_wnd = wnd;
    tp->snd_wl1 = rx->h.seq;
    tp->snd_wl2 = rx->h.ack;
    tp->max_window = MAX(tp->max_window, wnd);
    return changed;
}

/* ---- samples ---- */

static void take_rtt(struct tcp_sock *tp, const struct tcp_rx *rx, const struct tcp_ack_state *a) {
    if (a->rtt_ns >= 0) {
        tcp_update_rtt(tp, a->rtt_ns);
    } else if (a->una_advanced && tp->ts_ok && rx->opt.has_ts && rx->opt.ts_ecr) {
        /* retransmitted text: the timestamp tells which transmission it was (RFC 7323 section 4.1) */
        uint32_t ms = tcp_ts_clock(tp->base.ns->st, tp->ts_offset) - rx->opt.ts_ecr;
        if (ms < 600000)
            tcp_update_rtt(tp, MAX(MSEC(ms), MSEC(1)));
    }
}

static void take_rate(struct tcp_sock *tp, const struct tcp_ack_state *a) {
    int64_t now = tcp_now(tp);
    if (!a->has_rate)
        return;
    tp->delivered_ns = now;
    int64_t interval = MAX(a->send_elapsed_ns, now - a->prior_ns);
    if (tp->app_limited_until && tp->delivered > tp->app_limited_until)
        tp->app_limited_until = 0;
    if (interval <= 0 || (tp->min_rtt_ns && interval < tp->min_rtt_ns))
        return;
    uint64_t rate = (uint64_t)((double)(tp->delivered - a->prior_delivered) * 1e9 / (double)interval);
    if (!a->app_limited || rate > tp->rate_bytes_per_s)
        tp->rate_bytes_per_s = rate;
}

/* ---- the state machine ---- */

static void detect_losses(struct tcp_sock *tp) {
    if (tp->sack_ok)
        (void)tcp_rack_detect(tp);
    if (tp->lost_bytes && tp->ca_state < CA_RECOVERY)
        tcp_enter_recovery(tp);
    else if (tp->ca_state == CA_OPEN && (tp->sacked_bytes || tp->dupacks))
        tp->ca_state = CA_DISORDER;
    else if (tp->ca_state == CA_DISORDER && !tp->sacked_bytes && !tp->dupacks)
        tp->ca_state = CA_OPEN;
}

static void grow(struct tcp_sock *tp, const struct tcp_ack_state *a) {
    bool slow_start = tp->cwnd < tp->ssthresh;
    bool limited = tp->cwnd_limited || (slow_start && a->prior_flight >= tp->cwnd / 2);
    if (a->acked && limited && (tp->ca_state <= CA_DISORDER || tp->ca_state == CA_LOSS))
        tp->cc->grow(tp, a->acked);
    tp->cwnd = MIN(tp->cwnd, 1u << 30);
    tp->cwnd_limited = false;
}

static void recovery(struct tcp_sock *tp, const struct tcp_rx *rx, struct tcp_ack_state *a) {
    if (spurious(tp, rx, a))
        undo(tp);
    bool over = tp->ca_state >= CA_CWR && seq_ge(tp->snd_una, tp->high_seq) && a->una_advanced;
    if (over)
        end_episode(tp);
    if (rx->h.flags & TH_ECE && tp->ecn_ok && a->una_advanced) {
        tp->delivered_ce += a->acked;
        tcp_enter_cwr(tp);
    }
    detect_losses(tp);
    uint32_t delivered = (uint32_t)(tp->delivered - a->delivered_before);
    if (tp->ca_state == CA_RECOVERY || tp->ca_state == CA_CWR) {
        if (!tp->sack_ok && a->acked == 0 && tp->dupacks)
            delivered = MAX(delivered, (uint32_t)tp->mss);
        prr(tp, delivered);
        tp->cwnd_limited = false;
    } else {
        grow(tp, a);
    }
}

/* Auto-tuning of the send buffer: two windows' worth with the cost of keeping them (tcp(7), tcp_wmem). */
static void grow_sndbuf(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    if (s->sndbuf_locked)
        return;
    uint64_t want = 5ull * tp->cwnd / 2 + 65536;
    if (want > s->sndbuf)
        s->sndbuf = (uint32_t)MIN(want, (uint64_t)MAX(s->ns->ctl.tcp_wmem[2], s->sndbuf));
}

static void wake_writer(struct tcp_sock *tp) {
    if (!tp->nospace || tcp_write_space(tp) < tp->tx_mem / 2)
        return;
    tp->nospace = false;
    nsock_wake(&tp->base, NS_POLLOUT);
}

/* False: answered and to be dropped. */
static bool ack_in_range(struct tcp_sock *tp, const struct tcp_rx *rx) {
    uint32_t oldest = tp->snd_una - tp->max_window;
    if (seq_gt(rx->h.ack, tp->snd_nxt) || seq_lt(rx->h.ack, oldest)) { /* RFC 5961 section 5.2 */
        tcp_send_challenge_ack(tp);
        return false;
    }
    return true;
}

static void una_advanced(struct tcp_sock *tp, struct tcp_ack_state *a) {
    a->una_advanced = true;
    tp->backoff = tp->retries = 0;
    tp->first_timeout_ns = 0;
    tp->soft_err = 0;
    tp->rto_deadline = 0; /* RFC 6298 (5.3): restarted by tcp_rearm_rtx() */
    if (seq_lt(tp->snd_up, tp->snd_una))
        tp->snd_up = tp->snd_una;
    if (tp->base.rt_valid && !(tp->base.rt.nic->flags & NS_IFF_LOOPBACK))
        neigh_confirm(tp->base.rt.nic, &tp->base.rt.nexthop); /* RFC 4861 section 7.3.1 */
}

bool tcp_ack_input(struct tcp_sock *tp, struct tcp_rx *rx) {
    if (!ack_in_range(tp, rx))
        return false;
    struct tcp_ack_state a = {.prior_una = tp->snd_una,
                              .prior_flight = tcp_in_flight(tp),
                              .rtt_ns = -1,
                              .delivered_before = tp->delivered};
    bool old = seq_lt(rx->h.ack, tp->snd_una);
    bool window_changed = !old && update_window(tp, rx);
    tp->probes = 0;
    if (tp->sack_ok)
        tcp_sack_input(tp, rx, &a);
    bool dup = !old && is_dupack(tp, rx, window_changed);
    if (seq_gt(rx->h.ack, tp->snd_una)) {
        tp->snd_una = rx->h.ack;
        clean_queue(tp, rx->h.ack, rx, &a);
        una_advanced(tp, &a);
        if (!tp->sack_ok)
            reno_new_ack(tp, a.acked);
        else
            tp->dupacks = 0;
    } else if (dup && !tp->sack_ok) {
        reno_dupack(tp);
    } else if (dup) {
        tp->dupacks++;
    }
    take_rtt(tp, rx, &a);
    take_rate(tp, &a);
    tcp_rack_update_reo(tp, &a);
    tcp_tlp_ack(tp, rx, &a);
    recovery(tp, rx, &a);
    struct tcp_seg *first = tcp_first_seg(tp);
    if (first && first->sacked && a.una_advanced)
        tcp_enter_loss(tp); /* reneging, seen without waiting for the timer */
    tcp_retransmit_lost(tp);
    grow_sndbuf(tp);
    wake_writer(tp);
    tcp_rearm_rtx(tp);
    return true;
}
