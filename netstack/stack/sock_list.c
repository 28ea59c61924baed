/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/sock_list.c: all sockets of a namespace, for /proc/net and sock_diag(7).
 */
#include <stdio.h>

#include "netstack/stack/nsock.h"
#include "netstack/transport/tcp/tcp_internal.h"
#include "netstack/wire/wire_ipv4.h"

static void fill_common(const struct nsock *s, struct ns_sock_info *i) {
    *i = (struct ns_sock_info){
        .family = s->family,
        .type = s->type,
        .protocol = s->protocol,
        .state = s->connected ? NS_TCP_ESTABLISHED : NS_TCP_CLOSE,
        .shut = s->shut,
        .v6only = s->f.v6only,
        .local = s->laddr,
        .remote = s->raddr,
        .lport = s->lport,
        .rport = s->rport,
        .ifindex = s->bound_if,
        .mark = s->mark,
        .rqueue = s->rx_mem,
        .rcvbuf = s->rcvbuf,
        .sndbuf = s->sndbuf,
        .drops = s->rx_dropped,
        .cookie = s->cookie,
        .sock = s,
    };
}

enum { TIMER_NONE = 0, TIMER_RTX = 1, TIMER_KEEP = 2, TIMER_WAIT = 3, TIMER_PROBE = 4 };

static void fill_timer(const struct netstack *st, const struct ntimer *t, uint8_t kind,
                       struct ns_sock_info *i) {
    if (i->timer || !ntimer_armed(t))
        return;
    i->timer = kind;
    i->timer_ms = t->deadline > st->now ? (uint32_t)((t->deadline - st->now) / 1000000) : 0;
}

static void fill_tcp(const struct tcp_sock *tp, struct ns_sock_info *i) {
    const struct netstack *st = tp->base.ns->st;
    i->state = tp->state;
    i->retrans = tp->retries;
    i->probes = tp->probes;
    i->cwnd = tp->mss ? tp->cwnd / tp->mss : 0;
    if (tp->state == NS_TCP_LISTEN) {
        i->rqueue = tp->accept_count;
        i->wqueue = (uint32_t)tp->backlog;
        return;
    }
    i->rqueue = tp->state == NS_TCP_SYN_SENT ? 0 : (uint32_t)tcp_rcv_unread(tp);
    i->wqueue = tp->write_seq - tp->snd_una;
    fill_timer(st, &tp->rtx_timer, tp->probes ? TIMER_PROBE : TIMER_RTX, i);
    fill_timer(st, &tp->keep_timer, tp->orphan ? TIMER_WAIT : TIMER_KEEP, i);
}

static void each_req(const struct tcp_sock *listener, ns_sock_fn fn, void *ctx) {
    struct tcp_req *r;
    list_for_each_entry(r, &listener->synq, link) {
        struct ns_sock_info i;
        fill_common(&listener->base, &i);
        i.state = NS_TCP_SYN_RECV;
        i.local = r->ep.laddr;
        i.remote = r->ep.raddr;
        i.lport = r->ep.lport;
        i.rport = r->ep.rport;
        i.rqueue = i.wqueue = 0;
        i.retrans = r->retries;
        i.cookie = 0;
        i.sock = NULL;
        fill_timer(listener->base.ns->st, &r->timer, TIMER_RTX, &i);
        fn(ctx, &i, NULL);
    }
}

static void each_tcp(struct netns *ns, ns_sock_fn fn, void *ctx) {
    struct tcp_sock *tp;
    struct tcp_tw *tw;
    list_for_each_entry(tp, &ns->tcp_all, all_link) {
        struct ns_sock_info i;
        fill_common(&tp->base, &i);
        fill_tcp(tp, &i);
        fn(ctx, &i, tp->base.user);
        if (tp->state == NS_TCP_LISTEN)
            each_req(tp, fn, ctx);
    }
    list_for_each_entry(tw, &ns->tcp_tws, link) {
        struct ns_sock_info i = {.family = ipa_is_v4(&tw->ep.laddr) ? NS_AF_INET : NS_AF_INET6,
                                 .type = NS_SOCK_STREAM,
                                 .protocol = IPPROTO_NUM_TCP,
                                 .state = NS_TCP_TIME_WAIT,
                                 .local = tw->ep.laddr,
                                 .remote = tw->ep.raddr,
                                 .lport = tw->ep.lport,
                                 .rport = tw->ep.rport,
                                 .ifindex = tw->bound_if};
        fill_timer(ns->st, &tw->timer, TIMER_WAIT, &i);
        fn(ctx, &i, NULL);
    }
}

static void each_listed(struct list *socks, ns_sock_fn fn, void *ctx) {
    struct nsock *s;
    list_for_each_entry(s, socks, link) {
        struct ns_sock_info i;
        fill_common(s, &i);
        if (s->family == NS_AF_PACKET)
            packet_fill_info(s, &i);
        else if (s->type == NS_SOCK_RAW)
            i.lport = s->protocol; /* as Linux shows raw sockets */
        fn(ctx, &i, s->user);
    }
}

void netns_sock_each(struct netns *ns, enum ns_sock_table table, ns_sock_fn fn, void *ctx) {
    stack_enter(ns->st);
    switch (table) {
    case NS_SOCKS_TCP:
        each_tcp(ns, fn, ctx);
        break;
    case NS_SOCKS_UDP:
        for (struct hnode *n = htab_walk(&ns->udp_socks, NULL); n; n = htab_walk(&ns->udp_socks, n)) {
            struct nsock *s = container_of(n, struct nsock, hnode);
            struct ns_sock_info i;
            fill_common(s, &i);
            fn(ctx, &i, s->user);
        }
        break;
    case NS_SOCKS_RAW:
        each_listed(&ns->raw_socks, fn, ctx);
        break;
    case NS_SOCKS_PING:
        each_listed(&ns->ping_socks, fn, ctx);
        break;
    case NS_SOCKS_PACKET:
        each_listed(&ns->packet_socks, fn, ctx);
        break;
    }
    stack_leave(ns->st);
}

bool ns_sock_tcp_info(const struct ns_sock_info *info, struct ns_tcp_info *ret, char name[16]) {
    if (!info->sock || info->type != NS_SOCK_STREAM)
        return false;
    tcp_info_fill(container_of(info->sock, struct tcp_sock, base), ret);
    snprintf(name, 16, "%s", container_of(info->sock, struct tcp_sock, base)->cc->name);
    return true;
}
