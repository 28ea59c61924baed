/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_rack.c: loss detection by time (RACK) and the tail loss probe. Used with SACK
 * only. Source: RFC 8985, sections 6 and 7; step numbers in the comments are its.
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"

/* "RACK_sent_after" */
static bool sent_after(int64_t t1, uint32_t seq1, int64_t t2, uint32_t seq2) {
    return t1 > t2 || (t1 == t2 && seq_gt(seq1, seq2));
}

/* Section 6.2 step 2. */
void tcp_rack_delivered(struct tcp_sock *tp, const struct tcp_seg *g, const struct tcp_rx *rx) {
    int64_t rtt = tcp_now(tp) - g->sent_ns;
    if (g->ever_retrans) {
        /* may be the ACK of an earlier transmission */
        if (tp->ts_ok && rx->opt.has_ts) {
            uint32_t sent_ts = (uint32_t)(g->sent_ns / 1000000) + tp->ts_offset;
            if (seq_lt(rx->opt.ts_ecr, sent_ts))
                return;
        }
        if (tp->min_rtt_ns && rtt < tp->min_rtt_ns)
            return;
    }
    tp->rack_rtt_ns = rtt;
    if (tp->rack_xmit_ns == 0 || sent_after(g->sent_ns, seg_end(g), tp->rack_xmit_ns, tp->rack_end_seq)) {
        tp->rack_xmit_ns = g->sent_ns;
        tp->rack_end_seq = seg_end(g);
    }
}

/* Section 6.2 step 4: the reordering window widens with DSACKs, once per round trip, and shrinks after 16
 * recoveries. */
void tcp_rack_update_reo(struct tcp_sock *tp, const struct tcp_ack_state *a) {
    if (tp->reo_mult == 0)
        tp->reo_mult = 1;
    if (tp->rack_round_valid && seq_ge(tp->snd_una, tp->rack_dsack_round))
        tp->rack_round_valid = false;
    if (a->dsack && !tp->rack_round_valid) {
        tp->rack_round_valid = true;
        tp->rack_dsack_round = tp->snd_nxt;
        tp->reo_mult = (uint8_t)MIN(tp->reo_mult + 1, 255);
        tp->reo_persist = 16;
    } else if (a->una_advanced && tp->ca_state == CA_RECOVERY && seq_ge(tp->snd_una, tp->high_seq)) {
        if (tp->reo_persist && --tp->reo_persist == 0)
            tp->reo_mult = 1;
    }
}

static int64_t reo_window(const struct tcp_sock *tp) {
    if (!tp->reordering_seen &&
        (tp->ca_state >= CA_RECOVERY || tp->sacked_bytes >= TCP_DUPTHRESH * (uint32_t)tp->mss))
        return 0;
    int64_t wnd = tp->min_rtt_ns / 4 * tp->reo_mult;
    return MIN(wnd, tp->srtt_ns);
}

/* Section 6.2 step 5. */
bool tcp_rack_detect(struct tcp_sock *tp) {
    struct tcp_seg *g;
    int64_t now = tcp_now(tp), reo = reo_window(tp), wait = 0;
    uint32_t before = tp->lost_bytes;
    tp->reo_deadline = 0;
    if (tp->rack_xmit_ns == 0)
        return false;
    list_for_each_entry(g, &tp->sendq, link) {
        if (!g->sent)
            break;
        if (g->sacked || (g->lost && !g->retrans))
            continue;
        if (!sent_after(tp->rack_xmit_ns, tp->rack_end_seq, g->sent_ns, seg_end(g)))
            continue;
        int64_t left = g->sent_ns + tp->rack_rtt_ns + reo - now;
        if (left <= 0)
            tcp_mark_lost(tp, g);
        else
            wait = MAX(wait, left);
    }
    if (wait)
        tp->reo_deadline = now + wait;
    return tp->lost_bytes != before;
}

/* ---- tail loss probe, section 7 ---- */

/* Section 7.2; sets the deadline in the shared timer by its caller. */
static int64_t probe_timeout(const struct tcp_sock *tp) {
    int64_t pto = tp->srtt_ns ? 2 * tp->srtt_ns : TCP_RTO_INIT;
    if (tp->srtt_ns && tp->snd_nxt - tp->snd_una <= tp->mss)
        pto += TCP_DELACK_MAX; /* the peer may hold its ACK back */
    else
        pto += MSEC(2);
    return tcp_now(tp) + pto;
}

bool tcp_tlp_schedule(struct tcp_sock *tp) {
    if (!tp->sack_ok || tp->ca_state >= CA_CWR || tp->tlp_active || tp->retries || tp->sacked_bytes)
        return false;
    if (tp->state != NS_TCP_ESTABLISHED && tp->state != NS_TCP_CLOSE_WAIT && tp->state != NS_TCP_FIN_WAIT1)
        return false;
    int64_t at = probe_timeout(tp);
    if (at >= tp->rto_deadline)
        return false;
    tp->rtx_mode = RTX_TLP;
    ntimer_arm(tp->base.ns->st, &tp->rtx_timer, at);
    return true;
}

static struct tcp_seg *last_sent(struct tcp_sock *tp) {
    struct tcp_seg *g, *last = NULL;
    if (!tp->snd_head)
        return list_empty(&tp->sendq) ? NULL : list_last_entry(&tp->sendq, struct tcp_seg, link);
    g = tp->snd_head;
    if (g->link.prev != &tp->sendq)
        last = container_of(g->link.prev, struct tcp_seg, link);
    return last;
}

/* Section 7.3: new text if there is some, else the last segment again. */
void tcp_tlp_fire(struct tcp_sock *tp) {
    uint32_t before = tp->snd_nxt;
    struct tcp_seg *g;
    tp->base.ns->mib.tcp_loss_probes++;
    if (tp->snd_head && seq_lt(tp->snd_head->seq, tp->snd_una + tp->snd_wnd)) {
        uint32_t cwnd = tp->cwnd;
        tp->cwnd = MAX(cwnd, tcp_in_flight(tp) + tp->mss); /* one segment beyond the window is allowed */
        tcp_push(tp, true);
        tp->cwnd = cwnd;
    }
    tp->tlp_is_retrans = tp->snd_nxt == before;
    if (tp->tlp_is_retrans) {
        g = last_sent(tp);
        if (g && g->len > tp->mss && tcp_split_seg(tp, g, g->len - tp->mss) == 0)
            g = list_next_entry(g, link);
        if (!g || tcp_retransmit_one(tp, g) == -ENOMEM)
            return;
    }
    tp->tlp_active = true;
    tp->tlp_end_seq = tp->snd_nxt;
}

/* Section 7.4.2. */
void tcp_tlp_ack(struct tcp_sock *tp, const struct tcp_rx *rx, const struct tcp_ack_state *a) {
    if (!tp->tlp_active || seq_lt(rx->h.ack, tp->tlp_end_seq))
        return;
    tp->tlp_active = false;
    if (!tp->tlp_is_retrans || a->dsack)
        return; /* the original arrived */
    /* the probe repaired a loss: the congestion response that fast recovery would have made */
    if (a->una_advanced && a->sacked == 0) {
        bool echo_old =
            tp->ts_ok && rx->opt.has_ts && tp->retrans_ts_valid && seq_lt(rx->opt.ts_ecr, tp->retrans_ts);
        if (!echo_old)
            tcp_enter_cwr(tp);
    }
}
