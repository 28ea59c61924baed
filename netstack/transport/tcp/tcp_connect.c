/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_connect.c: active opens: choice of names, SYN, and the SYN-SENT state.
 * Sources: RFC 9293 sections 3.10.1 and 3.10.7.3, RFC 6056 section 3.3.3, RFC 7323 section 3.2, connect(2).
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"
#include "netstack/wire/wire_ipv4.h"

struct unique_ctx {
    struct nsock *s;
};

/* Is the 4-tuple free with this local port? TIME-WAIT may give way. */
static bool tuple_free(void *ctx, uint16_t port) {
    struct nsock *s = ((struct unique_ctx *)ctx)->s;
    struct tcp_ep *e = tcp_ep_find(s->ns, &s->laddr, port, &s->raddr, s->rport);
    return !e || (e->ops->give_way && e->ops->give_way(e));
}

static int choose_port(struct nsock *s) {
    struct unique_ctx ctx = {s};
    struct {
        struct ipa l, r;
        uint16_t rp;
    } key = {s->laddr, s->raddr, s->rport};
    if (s->lport)
        return tuple_free(&ctx, s->lport) ? 0 : -EADDRNOTAVAIL;
    s->bind.addr = s->laddr;
    s->bind.ifindex = s->bound_if;
    uint64_t offset = siphash(&s->ns->tcp_secret, &key, sizeof(key));
    return port_connect(s->ns, PORTS_TCP, &s->bind, offset, tuple_free, &ctx, &s->lport);
}

static struct ipa real_dst(const struct ipa *ip) {
    struct ipa lo6 = IPA_ANY6;
    lo6.b[15] = 1;
    if (!ipa_is_any(ip))
        return *ip;
    return ipa_is_v4(ip) ? IPA_V4(127, 0, 0, 1) : lo6;
}

/* What an earlier, failed attempt may have left. */
static void start_afresh(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    s->shut = 0;
    s->connected = false;
    s->rt_valid = false;
    nsock_purge_rx(s);
    tp->fin_queued = tp->fin_seen = tp->urg_valid = tp->has_oob = false;
    tp->ca_state = CA_OPEN;
    tp->backoff = tp->retries = tp->probes = tp->sack_count = 0;
    tp->srtt_ns = tp->rttvar_ns = tp->min_rtt_ns = 0;
    tp->ecn_ok = tp->ecn_echo = tp->ecn_send_cwr = false;
    tp->dupacks = tp->sacked_bytes = tp->lost_bytes = tp->retrans_bytes = tp->reno_sacked = 0;
    tp->tlp_active = tp->undo_valid = tp->reordering_seen = tp->dsack_pending = false;
    tp->rack_xmit_ns = 0;
    tp->soft_err = 0;
    tp->blackhole = false;
}

static void init_send(struct tcp_sock *tp, const struct rt *rt) {
    struct nsock *s = &tp->base;
    const struct netns_sysctl *ctl = &s->ns->ctl;
    tp->iss = tcp_make_isn(
        s->ns, &(struct tcp_ep){.laddr = s->laddr, .raddr = s->raddr, .lport = s->lport, .rport = s->rport});
    tp->snd_una = tp->rack_fack = tp->iss;
    tp->snd_nxt = tp->write_seq = tp->snd_sml = tp->snd_up = tp->iss + 1;
    tp->rcv_nxt = tp->rcv_wup = tp->copied_seq = 0;
    tp->snd_wnd = 0;
    tp->peer_mss = ipa_is_v4(&s->raddr) ? TCP_DEFAULT_MSS4 : TCP_DEFAULT_MSS6;
    tp->advmss = tcp_advertised_mss(tp, rt);
    tp->ts_ok = ctl->tcp_timestamps; /* offered; settled by the SYN-ACK */
    tp->sack_ok = ctl->tcp_sack;
    tp->wscale_ok = ctl->tcp_window_scaling;
    tp->ecn_asked = ctl->tcp_ecn == 1;
    tp->ts_offset = tcp_make_ts_offset(s->ns, &s->laddr, &s->raddr);
    tp->ts_recent = 0;
    tcp_init_rcv_window(tp);
}

static int check_dst(struct nsock *s, const struct ns_addr *a, struct ipa *ret) {
    int rc = nsock_check_addr(s, a);
    if (rc < 0)
        return rc;
    *ret = real_dst(&a->ip);
    if (ipa_is_mcast(ret) || ipa_is_bcast4(ret))
        return -ENETUNREACH;
    if (ipa_is_v4(ret) && !ipa_is_v4(&s->laddr) && !ipa_is_any(&s->laddr))
        return -ENETUNREACH;
    if (!ipa_is_v4(ret) && ipa_is_v4(&s->laddr) && s->bound_addr)
        return -ENETUNREACH;
    if (!ipa_is_v4(ret) && ipa_is_linklocal(ret) && !a->scope_id && !s->bound_if)
        return -EINVAL;
    return 0;
}

static int begin(struct nsock *s, const struct ns_addr *a) {
    struct tcp_sock *tp = tcp_of(s);
    struct ipa dst, old_laddr = s->laddr;
    struct rt rt;
    int rc = check_dst(s, a, &dst);
    if (rc < 0)
        return rc;
    start_afresh(tp);
    if (!s->bound_addr)
        s->laddr = ipa_is_v4(&dst) ? IPA_ANY4 : IPA_ANY6;
    rc = nsock_route(s, &dst, &s->laddr, a->scope_id, &rt);
    if (rc < 0)
        return rc;
    if (rt.type != NS_RTN_UNICAST && rt.type != NS_RTN_LOCAL)
        return -ENETUNREACH;
    s->raddr = dst;
    s->rport = a->port;
    s->scope_id = a->scope_id;
    s->laddr = rt.src;
    rc = choose_port(s);
    if (rc < 0) {
        s->laddr = old_laddr;
        return rc;
    }
    init_send(tp, &rt);
    s->connected = true;
    tp->connecting = true;
    tcp_set_state(tp, NS_TCP_SYN_SENT);
    tcp_hash(tp);
    s->ns->mib.tcp_active_opens++;
    tp->first_timeout_ns = tcp_now(tp);
    tp->rto_ns = TCP_RTO_INIT;
    tp->rtx_mode = RTX_RTO;
    ntimer_arm(s->ns->st, &tp->rtx_timer, tcp_now(tp) + TCP_RTO_INIT);
    tcp_send_syn(tp);
    return -EINPROGRESS;
}

/* connect(AF_UNSPEC): dissolve, by reset if need be (observed on Linux). */
static int dissolve(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    if (tp->state == NS_TCP_LISTEN) {
        tcp_listen_stop(tp);
    } else if (tp->state != NS_TCP_CLOSE) {
        if (tcp_is_synchronized(tp))
            tcp_send_rst(tp);
        nsock_get(s);
        tcp_done(tp);
        s->refs--; /* the user's is left */
    }
    tp->connecting = false;
    start_afresh(tp);
    s->raddr = s->family == NS_AF_INET ? IPA_ANY4 : IPA_ANY6;
    s->rport = 0;
    if (!s->bound_addr)
        s->laddr = s->raddr;
    s->err = 0;
    return 0;
}

int tcp_connect_start(struct nsock *s, const struct ns_addr *a) {
    struct tcp_sock *tp = tcp_of(s);
    if (a->family == NS_AF_UNSPEC)
        return dissolve(tp);
    if (tp->connecting) {
        switch (tp->state) {
        case NS_TCP_SYN_SENT:
        case NS_TCP_SYN_RECV:
            return -EALREADY;
        case NS_TCP_CLOSE: {
            int rc = nsock_take_error(s);
            tp->connecting = false;
            s->connected = false;
            return rc ? rc : -ECONNABORTED;
        }
        default:
            tp->connecting = false;
            return 0;
        }
    }
    if (tp->state != NS_TCP_CLOSE || (s->connected && s->shut == 0))
        return -EISCONN;
    int rc = nsock_take_error(s);
    return rc < 0 ? rc : begin(s, a);
}

/* ---- SYN-SENT (RFC 9293 section 3.10.7.3) ---- */

/* First: the ACK bit. False: drop. */
static bool check_ack(struct tcp_sock *tp, struct tcp_rx *rx) {
    if (!(rx->h.flags & TH_ACK))
        return true;
    bool ok = seq_gt(rx->h.ack, tp->iss) && seq_le(rx->h.ack, tp->snd_nxt);
    if (ok && tp->ts_ok && rx->opt.has_ts && rx->opt.ts_ecr) {
        /* RFC 7323 section 3.2: an echo that we never sent marks a stray */
        uint32_t now = tcp_ts_clock(tp->base.ns->st, tp->ts_offset);
        ok = seq_le(rx->opt.ts_ecr, now) && seq_ge(rx->opt.ts_ecr, now - 600000);
    }
    if (!ok)
        tcp_send_reset_for(rx);
    return ok;
}

/* What the peer's SYN settles. */
static void take_options(struct tcp_sock *tp, const struct tcp_rx *rx) {
    if (rx->opt.has_mss)
        tp->peer_mss = MAX(rx->opt.mss, (uint16_t)TCP_MIN_MSS);
    tp->ts_ok = tp->ts_ok && rx->opt.has_ts;
    if (tp->ts_ok) {
        tp->ts_recent = rx->opt.ts_val;
        tp->ts_recent_ns = tcp_now(tp);
    }
    tp->sack_ok = tp->sack_ok && rx->opt.sack_permitted;
    tp->wscale_ok = tp->wscale_ok && rx->opt.has_wscale;
    tp->snd_wscale = tp->wscale_ok ? rx->opt.wscale : 0;
    if (!tp->wscale_ok) {
        tp->rcv_wscale = 0;
        tp->rcv_wnd = MIN(tp->rcv_wnd, 65535u);
    }
    tp->irs = rx->h.seq;
    tp->rcv_nxt = tp->rcv_wup = tp->copied_seq = rx->h.seq + 1;
    tp->snd_wnd = rx->h.window; /* never scaled on a SYN */
    tp->max_window = tp->snd_wnd;
    tp->snd_wl1 = rx->h.seq;
    tp->snd_wl2 = rx->h.ack;
}

static void established_by_synack(struct tcp_sock *tp, struct tcp_rx *rx) {
    /* RFC 3168 section 6.1.1: ECE without CWR accepts */
    tp->ecn_ok = tp->ecn_asked && (rx->h.flags & (TH_ECE | TH_CWR)) == TH_ECE;
    tp->snd_una = rx->h.ack;
    if (tp->retries == 0)
        tcp_update_rtt(tp, tcp_now(tp) - tp->first_timeout_ns);
    ntimer_disarm(tp->base.ns->st, &tp->rtx_timer);
    tp->rtx_mode = RTX_NONE;
    tcp_enter_established(tp);
    rx->h.seq++; /* past the SYN: text and FIN may follow */
    rx->h.flags &= (uint8_t)~TH_SYN;
    if (rx->payload)
        tcp_data_input(tp, rx);
    tcp_send_ack(tp);
    tcp_push(tp, false);
    tcp_rearm_rtx(tp);
}

void tcp_syn_sent_input(struct tcp_sock *tp, struct tcp_rx *rx) {
    if (!check_ack(tp, rx)) /* first */
        return;
    if (rx->h.flags & TH_RST) { /* second */
        if (rx->h.flags & TH_ACK)
            tcp_fail(tp, ECONNREFUSED);
        return;
    }
    if (!(rx->h.flags & TH_SYN)) /* third is security, fourth: SYN */
        return;
    take_options(tp, rx);
    if (rx->h.flags & TH_ACK) {
        established_by_synack(tp, rx);
        return;
    }
    /* simultaneous open (RFC 9293 figure 8) */
    tcp_set_state(tp, NS_TCP_SYN_RECV);
    tp->snd_una = tp->iss;
    tcp_send_synack(tp);
    ntimer_arm(tp->base.ns->st, &tp->rtx_timer, tcp_now(tp) + TCP_RTO_INIT);
    tp->rtx_mode = RTX_RTO;
}
