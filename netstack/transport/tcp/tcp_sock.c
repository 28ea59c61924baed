/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_sock.c: the socket operations of TCP: birth, bind, shutdown, close, readiness.
 * Sources: RFC 9293 sections 3.10.1-3.10.6, tcp(7), socket(7) SO_LINGER, poll(2), RFC 2525 section 2.17 (RST
 * on unread text).
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"
#include "netstack/wire/wire_ipv4.h"

NETSTACK_TYPE(t_tcp, struct tcp_sock);

static int tcp_bind(struct nsock *s, const struct ns_addr *a) {
    struct tcp_sock *tp = tcp_of(s);
    uint32_t ifindex;
    bool unspec4 = a->family == NS_AF_UNSPEC && s->family == NS_AF_INET && ipa_is_any(&a->ip);
    int rc = unspec4 ? 0 : nsock_check_addr(s, a);
    if (rc < 0)
        return rc;
    if (tp->state != NS_TCP_CLOSE || s->lport || s->bound_addr)
        return -EINVAL;
    rc = nsock_check_bind(s, a, &ifindex);
    if (rc < 0)
        return rc;
    s->bind.addr = a->ip;
    s->bind.ifindex = ifindex;
    if (a->port || !s->f.bind_no_port) {
        rc = port_bind(s->ns, PORTS_TCP, &s->bind, a->port, &s->lport);
        if (rc < 0)
            return rc;
    }
    s->laddr = a->ip;
    s->bound_if = ifindex;
    s->bound_addr = !ipa_is_any(&a->ip) || (s->family == NS_AF_INET6 && ipa_is_v4(&a->ip));
    return 0;
}

static bool can_send_fin(const struct tcp_sock *tp) {
    return tp->state == NS_TCP_ESTABLISHED || tp->state == NS_TCP_CLOSE_WAIT ||
           (tp->state == NS_TCP_SYN_RECV && !tp->tfo_child);
}

/* RFC 9293 section 3.10.4. */
static void send_fin(struct tcp_sock *tp) {
    if (tcp_queue_fin(tp) < 0) { /* no memory for an orderly end */
        tcp_send_rst(tp);
        tcp_fail(tp, ENOMEM);
        return;
    }
    if (tp->state == NS_TCP_ESTABLISHED)
        tcp_set_state(tp, NS_TCP_FIN_WAIT1);
    else if (tp->state == NS_TCP_CLOSE_WAIT)
        tcp_set_state(tp, NS_TCP_LAST_ACK);
    tp->cork = false;
    tcp_push(tp, true);
    tcp_rearm_rtx(tp);
}

static int tcp_shutdown(struct nsock *s, int how) {
    struct tcp_sock *tp = tcp_of(s);
    if (tp->state == NS_TCP_LISTEN) {
        if (how & 1) { /* observed on Linux: shutdown(SHUT_RD) of a listener ends listening */
            tcp_listen_stop(tp);
            s->shut |= (uint8_t)how;
            nsock_wake(s, NS_POLLIN | NS_POLLHUP);
        }
        return 0;
    }
    if (tp->state == NS_TCP_CLOSE) { /* as Linux: it fails and counts all the same */
        s->shut |= (uint8_t)how;
        nsock_wake(s, NS_POLLIN | NS_POLLOUT | NS_POLLHUP);
        return -ENOTCONN;
    }
    if (tp->state == NS_TCP_SYN_SENT) {
        tcp_fail(tp, 0);
        return 0;
    }
    s->shut |= (uint8_t)how;
    if (how & 2 && can_send_fin(tp))
        send_fin(tp);
    nsock_wake(s, NS_POLLIN | NS_POLLOUT | NS_POLLRDHUP | (s->shut == 3 ? NS_POLLHUP : 0));
    return 0;
}

static void become_orphan(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    struct netns *ns = s->ns;
    tp->orphan = true;
    ns->tcp_orphans++;
    s->weak_ns = true; /* or nobody could ever end the namespace */
    netns_put_locked(ns);
    if (ns->tcp_orphans > ns->ctl.tcp_max_orphans) {
        tcp_send_rst(tp);
        tcp_done(tp);
    }
}

/* The user has gone; s itself is kept alive by nsock_close() until this returns. */
static void close_connection(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    bool unread = tcp_rcv_unread(tp) > 0;
    bool abort = s->f.linger_on && s->linger_s == 0;
    nsock_purge_rx(s);
    s->shut = 3;
    if (tp->state == NS_TCP_SYN_SENT) {
        tcp_done(tp);
        return;
    }
    if (unread || abort) {
        tcp_send_rst(tp);
        s->ns->mib.tcp_estab_resets++;
        tp->state = NS_TCP_TIME_WAIT; /* counted already */
        tcp_done(tp);
        return;
    }
    become_orphan(tp);
    if (can_send_fin(tp)) {
        send_fin(tp);
    } else if (tp->state == NS_TCP_FIN_WAIT2) {
        if (tp->linger2_s < 0) {
            tcp_done(tp);
            return;
        }
        int64_t wait = tp->linger2_s ? tp->linger2_s : s->ns->ctl.tcp_fin_timeout_s;
        ntimer_arm(s->ns->st, &tp->keep_timer, tcp_now(tp) + SEC(wait));
    }
}

static void tcp_close(struct nsock *s) {
    struct tcp_sock *tp = tcp_of(s);
    if (tp->state == NS_TCP_LISTEN)
        tcp_listen_stop(tp);
    else if (tp->state != NS_TCP_CLOSE)
        close_connection(tp);
    if (tp->state == NS_TCP_CLOSE)
        port_release(s->ns, PORTS_TCP, &s->bind);
}

static void tcp_destroy(struct nsock *s) {
    struct tcp_sock *tp = tcp_of(s);
    ASSERT(!tp->in_table);
    ASSERT(list_empty(&tp->accept_link));
    tcp_stop_timers(tp);
    tcp_snd_purge(tp);
    pkt_queue_free(&tp->oooq);
    port_release(s->ns, PORTS_TCP, &s->bind);
    list_del(&tp->all_link);
}

static bool writable(const struct tcp_sock *tp) {
    if (tcp_write_space(tp) < tp->tx_mem / 2)
        return false;
    return !tp->notsent_lowat || tp->write_seq - tp->snd_nxt < tp->notsent_lowat;
}

/* poll(2) as Linux's tcp(7) behaves: HUP when both ways are shut or closed, RDHUP and IN at the peer's FIN.
 */
static uint32_t tcp_ready(struct nsock *s) {
    struct tcp_sock *tp = tcp_of(s);
    uint32_t ev = 0;
    if (tp->state == NS_TCP_LISTEN)
        return list_empty(&tp->acceptq) ? 0 : NS_POLLIN;
    if (s->shut == 3 || tp->state == NS_TCP_CLOSE)
        ev |= NS_POLLHUP;
    if (s->shut & 1)
        ev |= NS_POLLIN | NS_POLLRDHUP;
    if (tp->state != NS_TCP_SYN_SENT && (tp->state != NS_TCP_SYN_RECV || tp->tfo_child)) {
        int avail = tcp_rcv_unread(tp);
        if (avail > 0 && (uint32_t)avail >= MIN(s->rcvlowat, s->rcvbuf / 2))
            ev |= NS_POLLIN;
        if (s->shut & 2 || writable(tp))
            ev |= NS_POLLOUT;
        else
            tp->nospace = true;
        if (tp->urg_valid && tp->has_oob)
            ev |= NS_POLLPRI;
    }
    if (s->err || !list_empty(&s->errq))
        ev |= NS_POLLERR | (s->err ? NS_POLLIN | NS_POLLOUT : 0);
    return ev;
}

static int tcp_accept(struct nsock *s, struct nsock **ret) {
    int rc = tcp_listen_accept(s, ret);
    if (rc == 0 && tcp_of(*ret)->tfo_child && tcp_of(s)->fastopen_pending)
        tcp_of(s)->fastopen_pending--;
    return rc;
}

static int tcp_inq(struct nsock *s) {
    struct tcp_sock *tp = tcp_of(s);
    return tp->state == NS_TCP_LISTEN ? -EINVAL : tcp_rcv_unread(tp);
}

static int tcp_outq(struct nsock *s) {
    struct tcp_sock *tp = tcp_of(s);
    if (tp->state == NS_TCP_LISTEN)
        return -EINVAL;
    if (tp->state == NS_TCP_SYN_SENT || tp->state == NS_TCP_SYN_RECV || tp->state == NS_TCP_CLOSE)
        return 0;
    return (int)(tp->write_seq - tp->snd_una);
}

/* As Linux: not before the handshake, nor after a reset. */
static bool tcp_has_peer(const struct nsock *s) {
    const struct tcp_sock *tp = container_of(s, struct tcp_sock, base);
    return s->connected && tp->state != NS_TCP_CLOSE && tp->state != NS_TCP_SYN_SENT;
}

static int tcp_unsent(struct nsock *s) {
    struct tcp_sock *tp = tcp_of(s);
    if (tp->state == NS_TCP_LISTEN)
        return -EINVAL;
    return tp->state == NS_TCP_SYN_SENT || tp->state == NS_TCP_SYN_RECV ? 0
                                                                        : (int)(tp->write_seq - tp->snd_nxt);
}

static int tcp_at_mark(struct nsock *s) {
    const struct tcp_sock *tp = tcp_of(s);
    return tp->urg_valid && tp->rcv_up == tp->copied_seq;
}

static const struct nsock_ops tcp_ops = {
    .bind = tcp_bind,
    .connect = tcp_connect_start,
    .listen = tcp_listen_start,
    .accept = tcp_accept,
    .send = tcp_send_data,
    .recv = tcp_recv_data,
    .send_pkt = tcp_send_pkt,
    .recv_pkt = tcp_recv_pkt,
    .consume = tcp_consume,
    .shutdown = tcp_shutdown,
    .close = tcp_close,
    .destroy = tcp_destroy,
    .setopt = tcp_setopt,
    .getopt = tcp_getopt,
    .ready = tcp_ready,
    .inq = tcp_inq,
    .outq = tcp_outq,
    .unsent = tcp_unsent,
    .has_peer = tcp_has_peer,
    .at_mark = tcp_at_mark,
    .type = &t_tcp,
};

int tcp_new(struct netns *ns, int family, struct nsock **ret) {
    struct tcp_sock *tp = nsmem_alloc(&ns->st->mem, &t_tcp);
    if (!tp)
        return -ENOMEM;
    struct nsock *s = &tp->base;
    nsock_init(s, ns, &tcp_ops, family, NS_SOCK_STREAM, IPPROTO_NUM_TCP);
    s->rcvbuf = ns->ctl.tcp_rmem[1];
    s->sndbuf = ns->ctl.tcp_wmem[1];
    tp->ep.ops = &tcp_sock_ep_ops;
    tp->state = NS_TCP_CLOSE;
    tp->mss = TCP_DEFAULT_MSS4;
    tp->rcv_mss = TCP_DEFAULT_MSS4;
    tp->reo_mult = 1;
    tp->ssthresh = UINT32_MAX;
    tp->cwnd = TCP_INIT_CWND_SEGS * (uint32_t)tp->mss;
    tp->cc = tcp_cc_find(ns->ctl.tcp_congestion_control);
    if (!tp->cc)
        tp->cc = &tcp_cc_cubic;
    list_init(&tp->sendq);
    list_init(&tp->oooq);
    list_init(&tp->synq);
    list_init(&tp->acceptq);
    list_init(&tp->accept_link);
    ntimer_init(&tp->rtx_timer, &tcp_rtx_timer_ops);
    ntimer_init(&tp->delack_timer, &tcp_delack_timer_ops);
    ntimer_init(&tp->keep_timer, &tcp_keep_timer_ops);
    ntimer_init(&tp->pace_timer, &tcp_pace_timer_ops);
    list_add_tail(&ns->tcp_all, &tp->all_link);
    *ret = s;
    return 0;
}
