/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_input.c: a segment arrives: checks, demultiplexing, and the steps of RFC 9293
 * section 3.10.7.4 in their order, one function per step. SYN-SENT is in tcp_connect.c, LISTEN in
 * tcp_listen.c.
 *
 * Also: PAWS (RFC 7323 section 5), blind attack defences (RFC 5961 sections 3-5), ICMP errors (RFC 5927).
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"

/* ---- first: sequence number and PAWS ---- */

/* RFC 7323 section 5.3 R1; a timestamp older than 24 days says nothing (section 5.5). */
static bool paws_reject(const struct tcp_sock *tp, const struct tcp_rx *rx) {
    if (!tp->ts_ok || !rx->opt.has_ts || rx->h.flags & TH_RST)
        return false;
    if (!seq_lt(rx->opt.ts_val, tp->ts_recent))
        return false;
    return tcp_now(tp) - tp->ts_recent_ns < SEC(24 * 86400ll);
}

/* RFC 9293 table 6, widened as on Linux at both edges: text that ends where our last ACK did is let in, so
 * that its timestamp is taken (a repeat after a lost ACK would else echo an ancient one and ruin the peer's
 * estimate); and a segment may sit on the right edge, or the ACK of a peer that has filled the window would
 * be refused. */
static bool seq_acceptable(const struct tcp_sock *tp, const struct tcp_rx *rx) {
    uint32_t right = tp->rcv_nxt + tcp_receive_window(tp);
    return seq_ge(rx->seq_end, tp->rcv_wup) && seq_le(rx->h.seq, right);
}

static void note_duplicate(struct tcp_sock *tp, const struct tcp_rx *rx) {
    if (seq_lt(rx->h.seq, tp->rcv_nxt) && rx->payload)
        tcp_duplicate_input(tp, rx->h.seq, seq_min(rx->h.seq + rx->payload, tp->rcv_nxt));
}

/* False: dropped, after the ACK that the RFC asks for. */
static bool step1_sequence(struct tcp_sock *tp, struct tcp_rx *rx) {
    bool bad_time = paws_reject(tp, rx);
    if (!bad_time && seq_acceptable(tp, rx))
        return true;
    /* An ACK alone that is a little old still tells of our text (a window probe's answer, keepalive): its ACK
     * field is taken, as Linux does, when it lies in the window. */
    if (bad_time)
        tp->base.ns->mib.tcp_paws_drops++;
    if (rx->h.flags & TH_RST)
        return false;
    if (rx->h.flags & TH_SYN) { /* RFC 5961 section 4.2 */
        tcp_send_challenge_ack(tp);
        return false;
    }
    note_duplicate(tp, rx);
    if (rx->payload || rx->h.flags & TH_FIN) {
        tcp_send_ack(tp);
        return false;
    }
    /* RFC 5961 section 5 counts this as suspicious when far off; keepalives (seq one below) need their answer
     */
    if (rx->h.seq + 1 == tp->rcv_nxt)
        tcp_send_ack(tp);
    else
        tcp_send_challenge_ack(tp);
    return false;
}

/* ---- second: RST (RFC 5961 section 3.2) ---- */

static int reset_errno(const struct tcp_sock *tp) {
    switch (tp->state) {
    case NS_TCP_SYN_SENT:
        return ECONNREFUSED;
    case NS_TCP_CLOSE_WAIT:
        return EPIPE;
    default:
        return ECONNRESET;
    }
}

static bool step2_rst(struct tcp_sock *tp, struct tcp_rx *rx) {
    if (!(rx->h.flags & TH_RST))
        return true;
    if (rx->h.seq == tp->rcv_nxt)
        tcp_fail(tp, reset_errno(tp));
    else
        tcp_send_challenge_ack(tp);
    return false;
}

/* ---- fourth: SYN (RFC 5961 section 4.2) ---- */

static bool step4_syn(struct tcp_sock *tp, struct tcp_rx *rx) {
    if (!(rx->h.flags & TH_SYN))
        return true;
    tcp_send_challenge_ack(tp);
    return false;
}

/* ---- fifth: ACK ---- */

/* SYN-RECEIVED of a simultaneous or fast open. False: drop. */
static bool ack_syn_received(struct tcp_sock *tp, struct tcp_rx *rx) {
    if (!(seq_gt(rx->h.ack, tp->snd_una) && seq_le(rx->h.ack, tp->snd_nxt))) {
        tcp_send_reset_for(rx);
        return false;
    }
    tp->snd_una = tp->iss + 1;
    tp->snd_wnd = (uint32_t)rx->h.window << tp->snd_wscale;
    tp->snd_wl1 = rx->h.seq;
    tp->snd_wl2 = rx->h.ack;
    tp->max_window = MAX(tp->max_window, tp->snd_wnd);
    ntimer_disarm(tp->base.ns->st, &tp->rtx_timer);
    tp->rtx_mode = RTX_NONE;
    if (tp->tfo_child && tp->listener)
        tp->listener->fastopen_pending--;
    tp->tfo_child = false;
    bool fin_queued = tp->fin_queued;
    tcp_enter_established(tp);
    if (tp->fin_seen)
        tcp_set_state(tp, NS_TCP_CLOSE_WAIT);
    if (fin_queued)
        tcp_set_state(tp, tp->fin_seen ? NS_TCP_LAST_ACK : NS_TCP_FIN_WAIT1);
    return true;
}

static bool fin_acked(const struct tcp_sock *tp) {
    return tp->fin_queued && tp->snd_una == tp->write_seq && tp->snd_nxt == tp->write_seq;
}

/* A closed socket that is only waiting for the peer's FIN: tcp_fin_timeout or TCP_LINGER2. */
static void enter_fin_wait2(struct tcp_sock *tp) {
    tcp_set_state(tp, NS_TCP_FIN_WAIT2);
    nsock_wake(&tp->base, NS_POLLOUT);
    if (!tp->orphan)
        return;
    if (tp->linger2_s < 0) {
        tcp_done(tp);
        return;
    }
    int64_t s = tp->linger2_s ? tp->linger2_s : tp->base.ns->ctl.tcp_fin_timeout_s;
    ntimer_arm(tp->base.ns->st, &tp->keep_timer, tcp_now(tp) + SEC(s));
}

/* False: the connection is gone or the segment is to be dropped. */
static bool step5_ack(struct tcp_sock *tp, struct tcp_rx *rx) {
    if (!(rx->h.flags & TH_ACK))
        return false;
    if (tp->state == NS_TCP_SYN_RECV && !ack_syn_received(tp, rx))
        return false;
    if (!tcp_ack_input(tp, rx))
        return false;
    if (!fin_acked(tp))
        return true;
    switch (tp->state) {
    case NS_TCP_FIN_WAIT1:
        enter_fin_wait2(tp);
        return tp->state != NS_TCP_CLOSE;
    case NS_TCP_CLOSING:
        tcp_time_wait(tp);
        return false;
    case NS_TCP_LAST_ACK:
        tp->state = NS_TCP_TIME_WAIT; /* an orderly end for the counters */
        tcp_done(tp);
        return false;
    default:
        return true;
    }
}

/* ---- seventh: text ---- */

/* False: the connection was reset because nobody will read (RFC 2525 section 2.17, RFC 9293 section 3.6.1).
 */
static bool step7_text(struct tcp_sock *tp, struct tcp_rx *rx) {
    if (rx->payload == 0)
        return true;
    bool nobody = tp->orphan && seq_gt(rx->h.seq + rx->payload, tp->rcv_nxt);
    if (nobody && (tp->state == NS_TCP_FIN_WAIT1 || tp->state == NS_TCP_FIN_WAIT2)) {
        tcp_send_reset_for(rx);
        tcp_fail(tp, ECONNRESET);
        return false;
    }
    switch (tp->state) {
    case NS_TCP_ESTABLISHED:
    case NS_TCP_FIN_WAIT1:
    case NS_TCP_FIN_WAIT2:
        tcp_data_input(tp, rx);
        break;
    default: /* after the peer's FIN: ignored */
        break;
    }
    return true;
}

/* ---- eighth: FIN ---- */

/* tcp_data_input() queued the FIN of a segment that is ahead; one that is in order is taken here. */
static void step8_fin(struct tcp_sock *tp, struct tcp_rx *rx) {
    if (!(rx->h.flags & TH_FIN))
        return;
    if (tp->fin_seen || rx->seq_end - 1 != tp->rcv_nxt) {
        tp->ack_now = true;
        return;
    }
    tcp_fin_input(tp);
}

/* RFC 7323 section 4.3 (2): Last.ACK.sent is rcv_wup here. */
static void update_ts_recent(struct tcp_sock *tp, const struct tcp_rx *rx) {
    if (!tp->ts_ok || !rx->opt.has_ts || seq_gt(rx->h.seq, tp->rcv_wup))
        return;
    if (seq_ge(rx->opt.ts_val, tp->ts_recent) || tcp_now(tp) - tp->ts_recent_ns >= SEC(24 * 86400ll)) {
        tp->ts_recent = rx->opt.ts_val;
        tp->ts_recent_ns = tcp_now(tp);
    }
}

static void note_arrival(struct tcp_sock *tp, const struct tcp_rx *rx) {
    uint32_t parts = rx->p->gso_size ? (rx->payload + rx->p->gso_size - 1) / rx->p->gso_size : 1;
    tp->segs_in += parts;
    if (rx->payload)
        tp->data_segs_in += parts;
    tp->keep_probes_sent = 0;
    tp->last_rcv_ns = tcp_now(tp);
}

static void connection_steps(struct tcp_sock *tp, struct tcp_rx *rx) {
    note_arrival(tp, rx);
    if (tp->state == NS_TCP_SYN_SENT) {
        tcp_syn_sent_input(tp, rx);
        return;
    }
    if (tp->state == NS_TCP_CLOSE)
        return;
    if (tp->state == NS_TCP_SYN_RECV && (rx->h.flags & (TH_SYN | TH_ACK)) == TH_SYN && rx->h.seq == tp->irs) {
        tcp_send_synack(tp);
        return;
    }
    if (tp->state == NS_TCP_SYN_RECV && (rx->h.flags & (TH_SYN | TH_ACK)) == (TH_SYN | TH_ACK) &&
        rx->h.seq == tp->irs) { /* the other half of a simultaneous open */
        rx->h.seq++;
        rx->h.flags &= (uint8_t)~TH_SYN;
    }
    if (!step1_sequence(tp, rx) || !step2_rst(tp, rx) || !step4_syn(tp, rx))
        return;
    update_ts_recent(tp, rx);
    if (!step5_ack(tp, rx))
        return;
    if (rx->h.flags & TH_URG) /* sixth */
        tcp_urg_input(tp, rx);
    if (!step7_text(tp, rx))
        return;
    step8_fin(tp, rx);
    if (tp->state == NS_TCP_CLOSE)
        return;
    tcp_push(tp, false);
    tcp_ack_check(tp);
}

static void sock_input(struct tcp_ep *ep, struct tcp_rx *rx) {
    struct tcp_sock *tp = container_of(ep, struct tcp_sock, ep);
    nsock_get(&tp->base);
    connection_steps(tp, rx);
    nsock_put(&tp->base);
}

/* ---- ICMP ---- */

static void too_big(struct tcp_sock *tp, const struct icmp_err *e) {
    struct nsock *s = &tp->base;
    struct rt rt;
    if (s->pmtudisc == NS_PMTUDISC_DONT || e->mtu >= tp->pmtu)
        return;
    pmtu_update(s->ns, &s->raddr, e->mtu);
    if (tcp_route(tp, &rt) < 0)
        return;
    tcp_sync_mss(tp);
    /* RFC 1191 section 6.5: what is too long now is sent again at once, without a congestion response */
    struct tcp_seg *g;
    list_for_each_entry(g, &tp->sendq, link) {
        if (!g->sent)
            break;
        tcp_mark_lost(tp, g);
    }
    tcp_retransmit_lost(tp);
    tcp_rearm_rtx(tp);
}

/* RFC 5927 sections 4-7, RFC 1122 section 4.2.3.9: errors end a connection only before it is synchronized. */
static void sock_error(struct tcp_ep *ep, const struct icmp_err *e, uint32_t seq) {
    struct tcp_sock *tp = container_of(ep, struct tcp_sock, ep);
    struct nsock *s = &tp->base;
    if (tp->state == NS_TCP_CLOSE || !(seq_ge(seq, tp->snd_una) && seq_lt(seq, tp->snd_nxt)))
        return;
    nsock_get(s);
    if (e->mtu) {
        too_big(tp, e);
    } else if (tp->state == NS_TCP_SYN_SENT || tp->state == NS_TCP_SYN_RECV) {
        tcp_fail(tp, e->err); /* soft ones too, as Linux does: a program that connects waits for this */
    } else if (ipa_is_v4(&e->dst) ? s->f.recverr : s->f.recverr6) {
        errq_add(s, e, TCP_MIN_HLEN, s->rport);
        nsock_set_error(s, e->err);
    } else {
        tp->soft_err = e->err;
    }
    nsock_put(s);
}

void tcp_icmp_error(struct netns *ns, const struct icmp_err *e) {
    if (e->quoted_len < 8)
        return;
    uint16_t lp = get_be16(e->quoted), rp = get_be16(e->quoted + 2);
    struct tcp_ep *ep = tcp_ep_find(ns, &e->src, lp, &e->dst, rp);
    if (ep && ep->ops->error)
        ep->ops->error(ep, e, get_be32(e->quoted + 4));
}

const struct tcp_ep_ops tcp_sock_ep_ops = {.input = sock_input, .error = sock_error};

/* ---- entry ---- */

static bool csum_good(const struct tcp_rx *rx, uint32_t len) {
    const struct pkt *p = rx->p;
    if (p->csum != CSUM_NONE)
        return true;
    return csum_fold(pkt_csum(p, p->trans_off, len, csum_pseudo(&p->src, &p->dst, IPPROTO_NUM_TCP, len))) ==
           0;
}

static bool parse(struct tcp_rx *rx) {
    struct pkt *p = rx->p;
    uint32_t len = p->len - p->trans_off;
    const uint8_t *h = pkt_tcp_header(p, p->trans_off);
    if (!h || tcp_hdr_parse(h + p->trans_off, len, &rx->h) < 0)
        return false;
    if (!csum_good(rx, len)) {
        rx->ns->mib.tcp_csum_errors++;
        return false;
    }
    tcp_options_parse(h + p->trans_off + TCP_MIN_HLEN, rx->h.hlen - TCP_MIN_HLEN, &rx->opt);
    rx->payload_off = p->trans_off + rx->h.hlen;
    rx->payload = p->len - rx->payload_off;
    rx->seq_end = rx->h.seq + rx->payload;
    if (rx->h.flags & TH_SYN)
        rx->seq_end++;
    if (rx->h.flags & TH_FIN)
        rx->seq_end++;
    p->sport = rx->h.sport;
    p->dport = rx->h.dport;
    return true;
}

/* A filter that drops a segment loses it; one that would shorten it lets it be, as text cannot be cut out of
 * a stream. */
static bool filtered(const struct nsock *s, const struct tcp_rx *rx) {
    return nsock_filter(s, rx->p, rx->p->trans_off) == 0;
}

static void demux(struct tcp_rx *rx) {
    struct tcp_ep *ep = tcp_ep_find(rx->ns, &rx->p->dst, rx->h.dport, &rx->p->src, rx->h.sport);
    if (ep) {
        if (ep->ops == &tcp_sock_ep_ops && filtered(&container_of(ep, struct tcp_sock, ep)->base, rx))
            return;
        ep->ops->input(ep, rx);
        return;
    }
    struct tcp_sock *l = tcp_listener_find(rx);
    if (l && !filtered(&l->base, rx))
        tcp_listen_input(l, rx);
    else if (!l)
        tcp_send_reset_for(rx);
}

void tcp_input(struct nic *nic, struct pkt *p) {
    struct tcp_rx rx = {.ns = nic->ns, .nic = nic, .p = p};
    rx.ns->mib.tcp_in_segs++;
    if (p->type != PKT_HOST || ipa_is_mcast(&p->dst) || ipa_is_bcast4(&p->dst) || ipa_is_any(&p->src) ||
        !parse(&rx))
        rx.ns->mib.tcp_in_errs++;
    else
        demux(&rx);
    pkt_free(rx.p);
}
