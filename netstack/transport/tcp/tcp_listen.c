/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_listen.c: listeners, half-open connections, SYN floods, fast open on the passive
 * side.
 *
 * Sources: RFC 9293 sections 3.10.7.2 (LISTEN) and 3.10.7.4 (SYN-RECEIVED rows), RFC 4987, RFC 7413
 * section 4.2, RFC 7323 section 2.2, listen(2), tcp(7).
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"
#include "netstack/wire/wire_ipv4.h"

NETSTACK_TYPE(t_req, struct tcp_req);

static const struct tcp_ep_ops req_ops;

/* ---- the listener ---- */

static uint32_t port_key(uint16_t port) {
    return (uint32_t)port * 2654435761u;
}

int tcp_listen_start(struct nsock *s, int backlog) {
    struct tcp_sock *tp = tcp_of(s);
    uint32_t max = s->ns->ctl.somaxconn;
    uint32_t asked = backlog < 0 ? max : MIN((uint32_t)backlog, max); /* listen(2): silently cut */
    if (tp->state == NS_TCP_LISTEN) {
        tp->backlog = asked;
        return 0;
    }
    if (tp->state != NS_TCP_CLOSE || s->connected)
        return -EINVAL;
    if (!s->lport) {
        s->bind.addr = s->laddr;
        s->bind.ifindex = s->bound_if;
        int rc = port_bind(s->ns, PORTS_TCP, &s->bind, 0, &s->lport);
        if (rc < 0)
            return rc;
    } else if (!port_may_listen(&s->bind, PORTS_TCP)) {
        return -EADDRINUSE;
    }
    s->bind.listening = true;
    s->shut = 0;
    tp->backlog = asked;
    tp->state = NS_TCP_LISTEN;
    htab_insert(&s->ns->st->mem, &s->ns->tcp_listeners, &s->hnode, port_key(s->lport));
    return 0;
}

int tcp_listen_accept(struct nsock *s, struct nsock **ret) {
    struct tcp_sock *tp = tcp_of(s);
    if (tp->state != NS_TCP_LISTEN)
        return -EINVAL;
    if (list_empty(&tp->acceptq))
        return -EAGAIN;
    struct tcp_sock *c = list_first_entry(&tp->acceptq, struct tcp_sock, accept_link);
    list_del(&c->accept_link);
    tp->accept_count--;
    c->listener = NULL;
    *ret = &c->base; /* the queue's reference is the user's now */
    return 0;
}

void tcp_accept_enqueue(struct tcp_sock *l, struct tcp_sock *c) {
    c->listener = l;
    list_add_tail(&l->acceptq, &c->accept_link);
    l->accept_count++;
    l->base.ns->mib.tcp_passive_opens++;
    nsock_wake(&l->base, NS_POLLIN);
}

void tcp_listen_stop(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    while (!list_empty(&tp->synq))
        tcp_req_free(list_first_entry(&tp->synq, struct tcp_req, link));
    while (!list_empty(&tp->acceptq)) {
        struct tcp_sock *c = list_first_entry(&tp->acceptq, struct tcp_sock, accept_link);
        list_del(&c->accept_link);
        tp->accept_count--;
        c->listener = NULL;
        if (c->state != NS_TCP_CLOSE) {
            tcp_send_rst(c);
            tcp_done(c);
        }
        port_release(s->ns, PORTS_TCP, &c->base.bind);
        nsock_put(&c->base);
    }
    htab_remove(&s->ns->tcp_listeners, &s->hnode);
    s->bind.listening = false;
    tp->state = NS_TCP_CLOSE;
}

static uint32_t flow_hash(const struct tcp_rx *rx) {
    struct {
        struct ipa s, d;
        uint16_t sp, dp;
    } key = {rx->p->src, rx->p->dst, rx->h.sport, rx->h.dport};
    return stack_hash(rx->ns->st, &key, sizeof(key));
}

struct tcp_sock *tcp_listener_find(struct tcp_rx *rx) {
    struct netns *ns = rx->ns;
    uint32_t h = port_key(rx->h.dport), group = 0, hash = 0;
    struct nsock *best = NULL;
    int best_score = -1;
    for (struct hnode *n = htab_first(&ns->tcp_listeners, h); n; n = htab_next(n, h)) {
        struct nsock *s = container_of(n, struct nsock, hnode);
        if (s->lport != rx->h.dport)
            continue;
        int score = nsock_match(s, &rx->p->dst, &rx->p->src, rx->h.sport, rx->nic->ifindex);
        if (score < 0 || score < best_score)
            continue;
        if (score > best_score) {
            best = s;
            best_score = score;
            group = 1;
            hash = s->f.reuseport ? flow_hash(rx) : 0;
        } else if (s->f.reuseport && best->f.reuseport) { /* SO_REUSEPORT: each flow keeps its listener */
            group++;
            if ((uint32_t)(((uint64_t)hash * group) >> 32) == group - 1)
                best = s;
            hash = hash * 1664525u + 1013904223u;
        }
    }
    return best ? tcp_of(best) : NULL;
}

/* ---- half-open connections ---- */

void tcp_req_free(struct tcp_req *r) {
    struct tcp_sock *l = r->listener;
    struct netns *ns = l->base.ns;
    ntimer_disarm(ns->st, &r->timer);
    tcp_ep_remove(ns, &r->ep);
    list_del(&r->link);
    l->syn_count--;
    nsmem_free(&ns->st->mem, &t_req, r);
}

static void req_fill_options(const struct tcp_req *r, struct tcp_options *o, uint16_t advmss) {
    struct netstack *st = r->listener->base.ns->st;
    o->has_mss = true;
    o->mss = advmss;
    o->has_wscale = r->wscale_ok;
    o->wscale = r->rcv_wscale;
    o->sack_permitted = r->sack_ok;
    o->has_ts = r->ts_ok;
    o->ts_val = tcp_ts_clock(st, r->ts_offset);
    o->ts_ecr = r->ts_recent;
}

static uint16_t req_advmss(struct tcp_sock *l, const struct ipa *src, const struct ipa *dst, uint32_t oif) {
    struct flow f = {.dst = *dst, .src = *src, .mark = l->base.mark, .oif = oif};
    struct rt rt;
    if (route_output(l->base.ns, &f, &rt) < 0)
        return ipa_is_v4(dst) ? TCP_DEFAULT_MSS4 : TCP_DEFAULT_MSS6;
    return tcp_advertised_mss(l, &rt);
}

static uint32_t req_oif(const struct tcp_sock *l, const struct ipa *peer, uint32_t ifindex) {
    if (l->base.bound_if)
        return l->base.bound_if;
    return !ipa_is_v4(peer) && ipa_is_linklocal(peer) ? ifindex : 0;
}

static void req_send_synack(struct tcp_req *r) {
    struct tcp_sock *l = r->listener;
    struct tcp_bare b = {.src = r->ep.laddr,
                         .dst = r->ep.raddr,
                         .sport = r->ep.lport,
                         .dport = r->ep.rport,
                         .seq = r->iss,
                         .ack = r->irs + 1,
                         .window = r->rcv_wnd,
                         .flags = TH_SYN | TH_ACK,
                         .tos = l->base.tos,
                         .mark = l->base.mark};
    b.oif = req_oif(l, &b.dst, r->ifindex);
    if (r->ecn_ok)
        b.flags |= TH_ECE; /* RFC 3168 section 6.1.1 */
    req_fill_options(r, &b.opt, req_advmss(l, &b.src, &b.dst, b.oif));
    r->sent_ns = l->base.ns->st->now;
    tcp_send_bare(l->base.ns, &b);
}

static void req_fire(struct netstack *st, struct ntimer *t) {
    struct tcp_req *r = container_of(t, struct tcp_req, timer);
    struct netns *ns = r->listener->base.ns;
    if (r->retries >= ns->ctl.tcp_synack_retries) {
        ns->mib.tcp_attempt_fails++;
        tcp_req_free(r);
        return;
    }
    r->retries++;
    ns->mib.tcp_retrans_segs++;
    ntimer_arm(st, t, st->now + MIN(TCP_RTO_INIT << r->retries, TCP_RTO_MAX));
    req_send_synack(r);
}

static const struct ntimer_ops req_timer_ops = {.fire = req_fire};

/* What the SYN offers, met by what we allow. */
static void req_take_options(struct tcp_req *r, const struct tcp_rx *rx) {
    const struct netns_sysctl *ctl = &rx->ns->ctl;
    r->peer_mss = rx->opt.has_mss          ? MAX(rx->opt.mss, (uint16_t)TCP_MIN_MSS)
                  : ipa_is_v4(&rx->p->src) ? TCP_DEFAULT_MSS4
                                           : TCP_DEFAULT_MSS6;
    r->ts_ok = rx->opt.has_ts && ctl->tcp_timestamps;
    r->ts_recent = rx->opt.ts_val;
    r->sack_ok = rx->opt.sack_permitted && ctl->tcp_sack;
    r->wscale_ok = rx->opt.has_wscale && ctl->tcp_window_scaling;
    r->snd_wscale = r->wscale_ok ? rx->opt.wscale : 0;
    r->ecn_ok = ctl->tcp_ecn != 0 && (rx->h.flags & (TH_ECE | TH_CWR)) == (TH_ECE | TH_CWR);
    r->ts_offset = tcp_make_ts_offset(rx->ns, &rx->p->dst, &rx->p->src);
}

/* The receive window that the child will start with. */
static void req_take_window(struct tcp_req *r, struct tcp_sock *l) {
    struct tcp_sock shape = {
        .base = {.ns = l->base.ns, .rcvbuf = l->base.rcvbuf, .rcvbuf_locked = l->base.rcvbuf_locked}};
    shape.window_clamp = l->window_clamp;
    shape.wscale_ok = r->wscale_ok;
    tcp_init_rcv_window(&shape);
    r->rcv_wnd = shape.rcv_wnd;
    r->rcv_wscale = shape.rcv_wscale;
}

static struct tcp_req *req_new(struct tcp_sock *l, struct tcp_rx *rx) {
    struct tcp_req *r = nsmem_alloc(&rx->ns->st->mem, &t_req);
    if (!r)
        return NULL;
    r->ep.ops = &req_ops;
    r->ep.laddr = rx->p->dst;
    r->ep.raddr = rx->p->src;
    r->ep.lport = rx->h.dport;
    r->ep.rport = rx->h.sport;
    r->listener = l;
    r->ifindex = rx->nic->ifindex;
    r->irs = rx->h.seq;
    list_init(&r->link);
    ntimer_init(&r->timer, &req_timer_ops);
    return r;
}

static void req_enter(struct tcp_req *r) {
    tcp_ep_insert(r->listener->base.ns, &r->ep);
    list_add_tail(&r->listener->synq, &r->link);
    r->listener->syn_count++;
}

static bool acceptq_full(const struct tcp_sock *l) {
    return l->accept_count > l->backlog; /* one more than asked for, as Linux */
}

/* RFC 4987 section 3.6: answer without keeping anything. */
static void send_cookie(struct tcp_sock *l, struct tcp_rx *rx) {
    struct netns *ns = rx->ns;
    struct tcp_req shape = {.listener = l};
    uint16_t mss;
    req_take_options(&shape, rx);
    req_take_window(&shape, l);
    if (!shape.ts_ok) { /* nowhere to keep these */
        shape.wscale_ok = shape.sack_ok = shape.ecn_ok = false;
        shape.rcv_wscale = 0;
    }
    struct tcp_bare b = {.src = rx->p->dst,
                         .dst = rx->p->src,
                         .sport = rx->h.dport,
                         .dport = rx->h.sport,
                         .seq = tcp_cookie_make(ns, rx, &mss),
                         .ack = rx->h.seq + 1,
                         .window = shape.rcv_wnd,
                         .flags = TH_SYN | TH_ACK,
                         .tos = l->base.tos,
                         .mark = l->base.mark};
    b.oif = req_oif(l, &b.dst, rx->nic->ifindex);
    if (shape.ecn_ok)
        b.flags |= TH_ECE;
    req_fill_options(&shape, &b.opt, req_advmss(l, &b.src, &b.dst, b.oif));
    b.opt.ts_val = tcp_cookie_ts(ns, rx, shape.ecn_ok);
    ns->mib.tcp_syncookies_sent++;
    l->cookie_until = ns->st->now + SEC(128);
    tcp_send_bare(ns, &b);
}

/* ---- the third segment ---- */

static bool complete(struct tcp_req *r, struct tcp_rx *rx);

/* An ACK that matches no half-open connection may carry a cookie. */
static bool try_cookie(struct tcp_sock *l, struct tcp_rx *rx) {
    struct netns *ns = rx->ns;
    uint16_t mss;
    if (!ns->ctl.tcp_syncookies || ns->st->now > l->cookie_until)
        return false;
    if (!tcp_cookie_check(ns, rx, &mss)) {
        ns->mib.tcp_syncookies_failed++;
        return false;
    }
    struct tcp_req *r = acceptq_full(l) ? NULL : req_new(l, rx);
    if (!r)
        return true; /* dropped: the peer repeats it with its data */
    r->irs = rx->h.seq - 1;
    r->iss = rx->h.ack - 1;
    r->peer_mss = mss;
    if (!tcp_cookie_ts_decode(ns, rx, r)) {
        nsmem_free(&ns->st->mem, &t_req, r);
        return false;
    }
    req_take_window(r, l);
    req_enter(r);
    ns->mib.tcp_syncookies_recv++;
    (void)complete(r, rx);
    return true;
}

/* Makes the connection and lets it handle the rest of the segment. False: no room, r stays. */
static bool complete(struct tcp_req *r, struct tcp_rx *rx) {
    struct tcp_sock *l = r->listener;
    struct netns *ns = rx->ns;
    int64_t rtt = r->retries == 0 && r->sent_ns ? ns->st->now - r->sent_ns : -1;
    if (acceptq_full(l)) {
        ns->mib.tcp_listen_overflows++;
        if (ns->ctl.tcp_abort_on_overflow) {
            tcp_send_reset_for(rx);
            tcp_req_free(r);
        } else {
            r->acked = true;
        }
        return false;
    }
    struct tcp_sock *c = tcp_child_new(r, rx);
    if (!c)
        return false;
    tcp_req_free(r);
    tcp_hash(c);
    c->snd_wnd = (uint32_t)rx->h.window << c->snd_wscale;
    c->max_window = c->snd_wnd;
    if (rtt >= 0)
        tcp_update_rtt(c, rtt);
    tcp_enter_established(c);
    tcp_accept_enqueue(l, c);
    c->ep.ops->input(&c->ep, rx); /* text, FIN, window */
    return true;
}

static void req_input(struct tcp_ep *ep, struct tcp_rx *rx) {
    struct tcp_req *r = container_of(ep, struct tcp_req, ep);
    struct netns *ns = rx->ns;
    uint8_t flags = rx->h.flags;
    uint32_t rcv_nxt = r->irs + 1;
    /* RFC 7323 section 5.3 */
    if (r->ts_ok && rx->opt.has_ts && seq_lt(rx->opt.ts_val, r->ts_recent) && !(flags & TH_RST)) {
        ns->mib.tcp_paws_drops++;
        if (!(flags & TH_SYN))
            req_send_synack(r);
        return;
    }
    if ((flags & (TH_SYN | TH_ACK | TH_RST)) == TH_SYN && rx->h.seq == r->irs) {
        req_send_synack(r); /* the peer repeated its SYN */
        return;
    }
    bool in_window = seq_ge(rx->h.seq, rcv_nxt) && seq_lt(rx->h.seq, rcv_nxt + MAX(r->rcv_wnd, 1u));
    if (!in_window) { /* first: sequence (RFC 9293 section 3.10.7.4) */
        if (!(flags & TH_RST) && tcp_challenge_allowed(ns))
            req_send_synack(r);
        return;
    }
    if (flags & TH_RST) { /* second: RFC 5961 section 3.2; back to LISTEN */
        if (rx->h.seq == rcv_nxt) {
            ns->mib.tcp_attempt_fails++;
            tcp_req_free(r);
        }
        return;
    }
    if (flags & TH_SYN) { /* fourth: passive OPEN: back to LISTEN */
        tcp_send_reset_for(rx);
        tcp_req_free(r);
        return;
    }
    if (!(flags & TH_ACK))
        return;
    if (rx->h.ack != r->iss + 1) { /* fifth */
        tcp_send_reset_for(rx);
        return;
    }
    if (r->listener->defer_accept_s && rx->payload == 0 && !(flags & TH_FIN) &&
        (TCP_RTO_INIT << r->retries) < SEC(r->listener->defer_accept_s)) {
        r->acked = true; /* TCP_DEFER_ACCEPT: only text counts */
        return;
    }
    if (rx->opt.has_ts && r->ts_ok)
        r->ts_recent = rx->opt.ts_val;
    (void)complete(r, rx);
}

static void req_error(struct tcp_ep *ep, const struct icmp_err *e, uint32_t seq) {
    struct tcp_req *r = container_of(ep, struct tcp_req, ep);
    if (seq == r->iss && e->fatal && !e->mtu)
        tcp_req_free(r);
}

static const struct tcp_ep_ops req_ops = {.input = req_input, .error = req_error};

/* ---- fast open (RFC 7413 section 4.2) ---- */

/* True if the SYN was taken care of: a child exists and has its text. */
static bool fastopen_syn(struct tcp_sock *l, struct tcp_rx *rx, struct tcp_req *r) {
    struct netns *ns = rx->ns;
    uint8_t want[TCP_FASTOPEN_COOKIE_MAX];
    bool on = ns->ctl.tcp_fastopen & 2 && l->fastopen_max > 0;
    if (!on || !rx->opt.has_fastopen || l->fastopen_pending >= l->fastopen_max || acceptq_full(l))
        return false;
    uint8_t n = tcp_tfo_cookie(ns, &rx->p->dst, &rx->p->src, want);
    if (rx->opt.cookie_len != n || memcmp(want, rx->opt.cookie, n) != 0)
        return false;
    struct tcp_sock *c = tcp_child_new(r, rx);
    if (!c)
        return false;
    c->tfo_child = true;
    c->snd_una = c->iss;
    c->snd_wnd = rx->h.window;
    tcp_hash(c);
    tcp_sync_mss(c);
    c->cwnd = TCP_INIT_CWND_SEGS * (uint32_t)c->mss;
    c->ssthresh = UINT32_MAX;
    c->cc->init(c);
    l->fastopen_pending++;
    ns->mib.tcp_fastopen_passive++;
    tcp_accept_enqueue(l, c);
    rx->h.seq++; /* past the SYN */
    if (rx->payload)
        tcp_data_input(c, rx);
    c->ack_now = c->ack_pending = false; /* the SYN-ACK acknowledges it */
    tcp_send_synack(c);
    ntimer_arm(ns->st, &c->rtx_timer, ns->st->now + TCP_RTO_INIT);
    c->rtx_mode = RTX_RTO;
    return true;
}

static void send_first_synack(struct tcp_req *r, struct tcp_rx *rx) {
    struct netns *ns = rx->ns;
    struct tcp_sock *l = r->listener;
    bool asks = rx->opt.has_fastopen && ns->ctl.tcp_fastopen & 2 && l->fastopen_max > 0;
    if (!asks) {
        req_send_synack(r);
        return;
    }
    struct tcp_bare b = {.src = r->ep.laddr,
                         .dst = r->ep.raddr,
                         .sport = r->ep.lport,
                         .dport = r->ep.rport,
                         .seq = r->iss,
                         .ack = r->irs + 1,
                         .window = r->rcv_wnd,
                         .flags = TH_SYN | TH_ACK,
                         .tos = l->base.tos,
                         .mark = l->base.mark};
    req_fill_options(r, &b.opt, req_advmss(l, &b.src, &b.dst, 0));
    b.opt.has_fastopen = true;
    b.opt.cookie_len = tcp_tfo_cookie(ns, &rx->p->dst, &rx->p->src, b.opt.cookie);
    r->sent_ns = ns->st->now;
    tcp_send_bare(ns, &b);
}

/* ---- LISTEN state (RFC 9293 section 3.10.7.2) ---- */

static void syn_input(struct tcp_sock *l, struct tcp_rx *rx) {
    struct netns *ns = rx->ns;
    if (rx->h.flags & TH_FIN || rx->p->type != PKT_HOST)
        return;
    if (acceptq_full(l)) {
        ns->mib.tcp_listen_overflows++;
        return;
    }
    if (l->syn_count >= MIN(MAX(l->backlog, 1u), ns->ctl.tcp_max_syn_backlog)) {
        if (ns->ctl.tcp_syncookies)
            send_cookie(l, rx);
        else
            ns->mib.tcp_backlog_drops++;
        return;
    }
    struct tcp_req *r = req_new(l, rx);
    if (!r)
        return;
    req_take_options(r, rx);
    req_take_window(r, l);
    r->iss = tcp_make_isn(ns, &r->ep);
    if (fastopen_syn(l, rx, r)) {
        nsmem_free(&ns->st->mem, &t_req, r);
        return;
    }
    req_enter(r);
    ntimer_arm(ns->st, &r->timer, ns->st->now + TCP_RTO_INIT);
    send_first_synack(r, rx);
}

void tcp_listen_input(struct tcp_sock *l, struct tcp_rx *rx) {
    if (rx->h.flags & TH_RST) /* first */
        return;
    if (rx->h.flags & TH_ACK) { /* second */
        if (rx->h.flags & TH_SYN || !try_cookie(l, rx))
            tcp_send_reset_for(rx);
        return;
    }
    if (rx->h.flags & TH_SYN) /* third */
        syn_input(l, rx);
}
