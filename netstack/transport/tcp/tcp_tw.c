/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_tw.c: TIME-WAIT in a small object of its own.
 *
 * Sources: RFC 9293 sections 3.6.1 and 3.10.7 (TIME-WAIT rows), RFC 6191 (reuse by a newer SYN), RFC 1337
 * (resets), RFC 7323 section 5. 60 s as Linux; the number of entries is bounded by
 * net.ipv4.tcp_max_tw_buckets.
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"

NETSTACK_TYPE(t_tw, struct tcp_tw);

static struct tcp_tw *tw_of(struct tcp_ep *ep) {
    return container_of(ep, struct tcp_tw, ep);
}

void tcp_tw_free(struct tcp_tw *tw) {
    struct netns *ns = tw->ns;
    ntimer_disarm(ns->st, &tw->timer);
    tcp_ep_remove(ns, &tw->ep);
    port_release(ns, PORTS_TCP, &tw->bind);
    list_del(&tw->link);
    ns->tcp_tw_count--;
    nsmem_free(&ns->st->mem, &t_tw, tw);
}

static void tw_fire(struct netstack *st, struct ntimer *t) {
    (void)st;
    tcp_tw_free(container_of(t, struct tcp_tw, timer));
}

static const struct ntimer_ops tw_timer_ops = {.fire = tw_fire};

static void tw_ack(struct tcp_tw *tw) {
    struct netstack *st = tw->ns->st;
    struct tcp_bare b = {.src = tw->ep.laddr,
                         .dst = tw->ep.raddr,
                         .sport = tw->ep.lport,
                         .dport = tw->ep.rport,
                         .seq = tw->snd_nxt,
                         .ack = tw->rcv_nxt,
                         .window = tw->rcv_wnd,
                         .flags = TH_ACK,
                         .tos = tw->tos,
                         .oif = tw->bound_if};
    if (tw->ts_ok) {
        b.opt.has_ts = true;
        b.opt.ts_val = tcp_ts_clock(st, tw->ts_offset);
        b.opt.ts_ecr = tw->ts_recent;
    }
    tcp_send_bare(tw->ns, &b);
}

/* RFC 6191 section 2: a SYN with a larger timestamp, or a larger sequence number where there are none, is
 * new. */
static bool syn_is_newer(const struct tcp_tw *tw, const struct tcp_rx *rx) {
    if (tw->ts_ok && rx->opt.has_ts && rx->opt.ts_val != tw->ts_recent)
        return seq_gt(rx->opt.ts_val, tw->ts_recent);
    return seq_gt(rx->h.seq, tw->rcv_nxt);
}

static void tw_input(struct tcp_ep *ep, struct tcp_rx *rx) {
    struct tcp_tw *tw = tw_of(ep);
    struct netns *ns = tw->ns;
    bool paws_bad = tw->ts_ok && rx->opt.has_ts && seq_lt(rx->opt.ts_val, tw->ts_recent);
    if (rx->h.flags & TH_RST) {
        /* RFC 1337 fix (F1) ignores it; by default Linux lets an exact one end the wait */
        if (!ns->ctl.tcp_rfc1337 && rx->h.seq == tw->rcv_nxt)
            tcp_tw_free(tw);
        return;
    }
    if ((rx->h.flags & (TH_SYN | TH_ACK)) == TH_SYN && !paws_bad && syn_is_newer(tw, rx)) {
        struct tcp_sock *l = tcp_listener_find(rx);
        if (l) {
            tcp_tw_free(tw);
            tcp_listen_input(l, rx);
            return;
        }
    }
    bool old = seq_lt(rx->h.seq, tw->rcv_nxt) || paws_bad || rx->payload || rx->h.flags & TH_SYN;
    if (rx->h.flags & TH_FIN) /* RFC 9293 section 3.10.7.8: a repeated FIN restarts the wait */
        ntimer_arm(ns->st, &tw->timer, ns->st->now + TCP_TIMEWAIT);
    if (rx->h.flags & TH_FIN || (old && tcp_challenge_allowed(ns)))
        tw_ack(tw);
    else if (!old && rx->opt.has_ts && tw->ts_ok)
        tw->ts_recent = rx->opt.ts_val;
}

/* net.ipv4.tcp_tw_reuse: a connection from here may follow when timestamps tell old from new (RFC 6191). */
static bool tw_give_way(struct tcp_ep *ep) {
    struct tcp_tw *tw = tw_of(ep);
    struct netstack *st = tw->ns->st;
    if (!tw->ns->ctl.tcp_tw_reuse || !tw->ts_ok || st->now - tw->ts_recent_ns < SEC(1))
        return false;
    tcp_tw_free(tw);
    return true;
}

static const struct tcp_ep_ops tw_ops = {.input = tw_input, .give_way = tw_give_way};

void tcp_time_wait(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    struct netns *ns = s->ns;
    struct tcp_tw *tw = NULL;
    if (ns->tcp_tw_count < ns->ctl.tcp_max_tw_buckets)
        tw = nsmem_alloc(&ns->st->mem, &t_tw);
    tp->state = NS_TCP_TIME_WAIT; /* an orderly end: not counted as a reset */
    if (!tw) {
        tcp_done(tp);
        return;
    }
    *tw = (struct tcp_tw){
        .ns = ns,
        .snd_nxt = tp->snd_nxt,
        .rcv_nxt = tp->rcv_nxt,
        .rcv_wnd = tp->rcv_wnd >> tp->rcv_wscale,
        .ts_recent = tp->ts_recent,
        .ts_recent_ns = ns->st->now,
        .ts_offset = tp->ts_offset,
        .ts_ok = tp->ts_ok,
        .tos = s->tos,
        .bound_if = s->bound_if ? s->bound_if : s->scope_id,
    };
    tw->ep = tp->ep;
    tw->ep.hnode = (struct hnode){0};
    tw->ep.ops = &tw_ops;
    tw->bind.addr = s->laddr;
    tw->bind.reuseaddr = s->f.reuseaddr;
    tw->bind.reuseport = s->f.reuseport;
    tw->bind.ifindex = s->bound_if;
    list_init(&tw->bind.link);
    (void)port_share(ns, PORTS_TCP, &tw->bind, tp->ep.lport); /* no memory: the port is free early */
    tw->bind.by_connect = s->bind.by_connect;
    ntimer_init(&tw->timer, &tw_timer_ops);
    ntimer_arm(ns->st, &tw->timer, ns->st->now + TCP_TIMEWAIT);
    list_add_tail(&ns->tcp_tws, &tw->link);
    ns->tcp_tw_count++;
    ns->mib.tcp_tw++;
    tcp_done(tp);
    tcp_ep_insert(ns, &tw->ep); /* after the connection has left the table */
}
