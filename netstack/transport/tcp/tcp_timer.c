/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_timer.c: the retransmission timer and its estimate, window probes, keepalive,
 * the limits after which a connection is given up.
 *
 * One timer serves retransmission, loss probe, reordering and window probe: only the earliest matters.
 * Sources: RFC 6298, RFC 9293 sections 3.8.3 (give up), 3.8.4 (keepalive), 3.8.6.1 (zero window probes), RFC
 * 5482, RFC 4821 (black holes), tcp(7) for retries and TCP_USER_TIMEOUT.
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"

/* RFC 6298 (2.2), (2.3); the variance term has a floor of RTO_MIN as on Linux. */
void tcp_update_rtt(struct tcp_sock *tp, int64_t rtt) {
    rtt = MAX(rtt, (int64_t)1000);
    if (tp->min_rtt_ns == 0 || rtt < tp->min_rtt_ns)
        tp->min_rtt_ns = rtt;
    if (tp->srtt_ns == 0) {
        tp->srtt_ns = rtt;
        tp->rttvar_ns = rtt / 2;
    } else {
        int64_t err = rtt > tp->srtt_ns ? rtt - tp->srtt_ns : tp->srtt_ns - rtt;
        tp->rttvar_ns += (err - tp->rttvar_ns) / 4;
        tp->srtt_ns += (rtt - tp->srtt_ns) / 8;
    }
    int64_t rto = tp->srtt_ns + MAX(4 * tp->rttvar_ns, TCP_RTO_MIN);
    tp->rto_ns = MIN(rto, TCP_RTO_MAX);
}

/* (5.5): doubled at each timeout. */
int64_t tcp_rto(const struct tcp_sock *tp) {
    int64_t rto = tp->rto_ns ? tp->rto_ns : TCP_RTO_INIT;
    for (int i = 0; i < tp->backoff && rto < TCP_RTO_MAX; i++)
        rto *= 2;
    return MIN(rto, TCP_RTO_MAX);
}

void tcp_stop_timers(struct tcp_sock *tp) {
    struct netstack *st = tp->base.ns->st;
    ntimer_disarm(st, &tp->rtx_timer);
    ntimer_disarm(st, &tp->delack_timer);
    ntimer_disarm(st, &tp->keep_timer);
    ntimer_disarm(st, &tp->pace_timer);
    tp->rtx_mode = RTX_NONE;
    tp->rto_deadline = tp->reo_deadline = 0;
}

/* TCP_USER_TIMEOUT bounds each wait as well, or a long backoff would overshoot it. */
static int64_t clamp_user_timeout(const struct tcp_sock *tp, int64_t at) {
    if (tp->user_timeout_ms == 0 || tp->first_timeout_ns == 0)
        return at;
    int64_t limit = tp->first_timeout_ns + MSEC(tp->user_timeout_ms);
    return MIN(at, MAX(limit, tcp_now(tp) + MSEC(1)));
}

static void arm(struct tcp_sock *tp, enum tcp_rtx_mode mode, int64_t at) {
    tp->rtx_mode = mode;
    ntimer_arm(tp->base.ns->st, &tp->rtx_timer, clamp_user_timeout(tp, at));
}

void tcp_rearm_rtx(struct tcp_sock *tp) {
    struct netstack *st = tp->base.ns->st;
    if (tp->state == NS_TCP_CLOSE || tp->state == NS_TCP_SYN_SENT || tp->state == NS_TCP_LISTEN)
        return;
    if (tp->state == NS_TCP_SYN_RECV) /* its SYN-ACK's timer runs */
        return;
    if (tp->snd_una == tp->snd_nxt) {
        tp->rto_deadline = tp->reo_deadline = 0;
        if (!tp->snd_head) {
            ntimer_disarm(st, &tp->rtx_timer);
            tp->rtx_mode = RTX_NONE;
        } else if (tp->rtx_mode != RTX_PROBE || !ntimer_armed(&tp->rtx_timer)) {
            arm(tp, RTX_PROBE, st->now + (tp->cork && tp->snd_wnd ? TCP_RTO_MIN : tcp_rto(tp)));
        }
        return;
    }
    if (tp->rto_deadline == 0)
        tp->rto_deadline = st->now + tcp_rto(tp);
    if (tp->reo_deadline && tp->reo_deadline < tp->rto_deadline)
        arm(tp, RTX_REO, tp->reo_deadline);
    else if (!tcp_tlp_schedule(tp))
        arm(tp, RTX_RTO, tp->rto_deadline);
}

/* ---- giving up ---- */

static void give_up(struct tcp_sock *tp) {
    tp->base.ns->mib.tcp_abort_on_timeout++;
    tcp_fail(tp, tp->soft_err ? tp->soft_err : ETIMEDOUT);
}

static bool user_timeout_passed(const struct tcp_sock *tp) {
    return tp->user_timeout_ms && tp->first_timeout_ns &&
           tcp_now(tp) - tp->first_timeout_ns >= MSEC(tp->user_timeout_ms);
}

static bool too_many(const struct tcp_sock *tp, int tries) {
    const struct netns_sysctl *ctl = &tp->base.ns->ctl;
    if (user_timeout_passed(tp))
        return true;
    if (tp->user_timeout_ms)
        return false;
    int limit = ctl->tcp_retries2;
    if (tp->orphan)
        limit = ctl->tcp_orphan_retries ? ctl->tcp_orphan_retries : 8; /* tcp(7) */
    return tries > limit;
}

/* ---- expiry ---- */

static void syn_timeout(struct tcp_sock *tp) {
    const struct netns_sysctl *ctl = &tp->base.ns->ctl;
    bool active = tp->state == NS_TCP_SYN_SENT;
    int limit = !active ? ctl->tcp_synack_retries : tp->syn_retries ? tp->syn_retries : ctl->tcp_syn_retries;
    if (tp->retries >= limit || (active && user_timeout_passed(tp))) {
        give_up(tp);
        return;
    }
    tp->retries++;
    tp->backoff++;
    tp->total_retrans++;
    tp->base.ns->mib.tcp_retrans_segs++;
    if (active)
        tcp_send_syn(tp);
    else
        tcp_send_synack(tp);
    arm(tp, RTX_RTO, tcp_now(tp) + tcp_rto(tp));
}

/* RFC 4821 section 7.6 as Linux's tcp_mtu_probing=1: after retries1 timeouts suspect a black hole. */
static void suspect_blackhole(struct tcp_sock *tp) {
    if (!tp->base.ns->ctl.tcp_mtu_probing || tp->retries < tp->base.ns->ctl.tcp_retries1 || tp->blackhole)
        return;
    tp->blackhole = true;
    tcp_sync_mss(tp);
}

static void rto_timeout(struct tcp_sock *tp) {
    int64_t now = tcp_now(tp);
    tp->base.ns->mib.tcp_timeouts++;
    if (tp->first_timeout_ns == 0) {
        struct tcp_seg *g = tcp_first_seg(tp);
        tp->first_timeout_ns = g ? g->sent_ns : now;
    }
    if (too_many(tp, tp->retries + 1)) {
        give_up(tp);
        return;
    }
    suspect_blackhole(tp);
    tcp_enter_loss(tp);
    tp->retries++;
    tp->backoff = (uint8_t)MIN(tp->backoff + 1, 63);
    tcp_retransmit_lost(tp);
    tp->rto_deadline = now + tcp_rto(tp);
    arm(tp, RTX_RTO, tp->rto_deadline);
}

/* A window that stays closed is probed for as long as the peer answers (RFC 9293 section 3.8.6.1,
 * SHLD-29..30). */
static void probe_timeout(struct tcp_sock *tp) {
    if (tp->first_timeout_ns == 0)
        tp->first_timeout_ns = tcp_now(tp);
    if (too_many(tp, tp->probes)) {
        give_up(tp);
        return;
    }
    bool cork_wait = tp->cork && tp->snd_wnd > 0;
    tcp_push(tp, true);
    if (tp->snd_nxt != tp->snd_una)
        return; /* something went: the retransmission timer runs now */
    struct tcp_seg *g = tp->snd_head;
    uint32_t wnd = tp->snd_una + tp->snd_wnd - g->seq;
    if (tp->snd_wnd && g->len && wnd && wnd <= tp->snd_wnd &&
        tcp_split_seg(tp, g, MIN(MIN(wnd, g->len), (uint32_t)tp->mss)) == 0) {
        /* a window too small for silly window avoidance, for longer than the override timeout (3.8.6.2.1 (4))
         */
        if (tcp_transmit_seg(tp, g) != -ENOMEM || g->tx_count) {
            g->sent = true;
            tp->snd_nxt = seg_end(g);
            tp->snd_head = g->link.next == &tp->sendq ? NULL : list_next_entry(g, link);
        }
        tcp_rearm_rtx(tp);
        return;
    }
    tp->base.ns->mib.tcp_zero_window_probes++;
    tcp_send_probe(tp);
    if (!cork_wait) {
        tp->probes = (uint8_t)MIN(tp->probes + 1, 255);
        tp->backoff = (uint8_t)MIN(tp->backoff + 1, 63);
    }
    arm(tp, RTX_PROBE, tcp_now(tp) + tcp_rto(tp));
}

static void reo_timeout(struct tcp_sock *tp) {
    tp->reo_deadline = 0;
    if (tcp_rack_detect(tp)) {
        tcp_enter_recovery(tp);
        if (tp->ca_state == CA_RECOVERY && tp->prr_out == 0)
            tp->cwnd = MAX(tp->cwnd, tcp_in_flight(tp) + tp->mss);
        tcp_retransmit_lost(tp);
    }
    tcp_push(tp, false);
    tcp_rearm_rtx(tp);
}

static void expire(struct tcp_sock *tp) {
    if (tp->state == NS_TCP_SYN_SENT || tp->state == NS_TCP_SYN_RECV) {
        syn_timeout(tp);
        return;
    }
    enum tcp_rtx_mode mode = tp->rtx_mode;
    tp->rtx_mode = RTX_NONE;
    switch (mode) {
    case RTX_TLP:
        tcp_tlp_fire(tp);
        if (tp->state != NS_TCP_CLOSE)
            arm(tp, RTX_RTO, MAX(tp->rto_deadline, tcp_now(tp) + tcp_rto(tp)));
        tp->rto_deadline = tp->rtx_timer.deadline;
        break;
    case RTX_REO:
        reo_timeout(tp);
        break;
    case RTX_PROBE:
        if (tp->snd_head)
            probe_timeout(tp);
        break;
    case RTX_RTO:
        rto_timeout(tp);
        break;
    default:
        break;
    }
}

static void rtx_fire(struct netstack *st, struct ntimer *t) {
    (void)st;
    struct tcp_sock *tp = container_of(t, struct tcp_sock, rtx_timer);
    nsock_get(&tp->base);
    expire(tp);
    nsock_put(&tp->base);
}

static void delack_fire(struct netstack *st, struct ntimer *t) {
    (void)st;
    struct tcp_sock *tp = container_of(t, struct tcp_sock, delack_timer);
    if (tcp_is_synchronized(tp))
        tcp_delack_fire(tp);
}

/* ---- keepalive, and the end of orphans in FIN-WAIT-2 ---- */

static int64_t keep_idle(const struct tcp_sock *tp) {
    return SEC(tp->keep_idle_s ? tp->keep_idle_s : tp->base.ns->ctl.tcp_keepalive_time_s);
}

static int64_t keep_intvl(const struct tcp_sock *tp) {
    return SEC(tp->keep_intvl_s ? tp->keep_intvl_s : tp->base.ns->ctl.tcp_keepalive_intvl_s);
}

void tcp_arm_keepalive(struct tcp_sock *tp) {
    struct netstack *st = tp->base.ns->st;
    if (tp->orphan && tp->state == NS_TCP_FIN_WAIT2) /* the timer is that state's */
        return;
    if (!tp->base.f.keepalive || !tcp_is_synchronized(tp)) {
        ntimer_disarm(st, &tp->keep_timer);
        return;
    }
    ntimer_arm(st, &tp->keep_timer, MAX(tp->last_rcv_ns + keep_idle(tp), st->now));
}

static void keepalive(struct tcp_sock *tp) {
    struct netstack *st = tp->base.ns->st;
    int64_t idle = st->now - tp->last_rcv_ns;
    int max = tp->keep_probes ? tp->keep_probes : tp->base.ns->ctl.tcp_keepalive_probes;
    /* outstanding text is its own probe (Linux) */
    if (tp->snd_una != tp->snd_nxt || tp->snd_head || idle < keep_idle(tp)) {
        int64_t at = idle < keep_idle(tp) ? tp->last_rcv_ns + keep_idle(tp) : st->now + keep_idle(tp);
        ntimer_arm(st, &tp->keep_timer, at);
        return;
    }
    bool over = tp->user_timeout_ms ? idle >= MSEC(tp->user_timeout_ms) && tp->keep_probes_sent > 0
                                    : tp->keep_probes_sent >= max;
    if (over) {
        tcp_send_rst(tp);
        give_up(tp);
        return;
    }
    tp->keep_probes_sent++;
    tp->base.ns->mib.tcp_keepalives++;
    tcp_send_probe(tp);
    ntimer_arm(st, &tp->keep_timer, st->now + keep_intvl(tp));
}

static void keep_fire(struct netstack *st, struct ntimer *t) {
    (void)st;
    struct tcp_sock *tp = container_of(t, struct tcp_sock, keep_timer);
    nsock_get(&tp->base);
    if (tp->orphan && tp->state == NS_TCP_FIN_WAIT2)
        tcp_done(tp);
    else if (tcp_is_synchronized(tp) && tp->base.f.keepalive)
        keepalive(tp);
    nsock_put(&tp->base);
}

/* ---- pacing (SO_MAX_PACING_RATE) ---- */

static void pace_fire(struct netstack *st, struct ntimer *t) {
    (void)st;
    struct tcp_sock *tp = container_of(t, struct tcp_sock, pace_timer);
    nsock_get(&tp->base);
    tcp_retransmit_lost(tp);
    tcp_push(tp, false);
    tcp_rearm_rtx(tp);
    nsock_put(&tp->base);
}

const struct ntimer_ops tcp_pace_timer_ops = {.fire = pace_fire};
const struct ntimer_ops tcp_rtx_timer_ops = {.fire = rtx_fire};
const struct ntimer_ops tcp_delack_timer_ops = {.fire = delack_fire};
const struct ntimer_ops tcp_keep_timer_ops = {.fire = keep_fire};
