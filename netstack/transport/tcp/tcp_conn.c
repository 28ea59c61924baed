/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_conn.c: the connection table, initial sequence numbers, birth and death of
 * connections, their route and MSS. Sources: RFC 9293 sections 3.4.1, 3.7.1, RFC 6528, RFC 6928, RFC 7323
 * section 5.4 and RFC 1191 section 3.1.
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"

/* ---- table ---- */

struct tuple {
    struct ipa l, r;
    uint16_t lp, rp;
};

static uint32_t ep_hash(struct netns *ns, const struct ipa *l, uint16_t lp, const struct ipa *r,
                        uint16_t rp) {
    struct tuple t = {*l, *r, lp, rp};
    return stack_hash(ns->st, &t, sizeof(t));
}

struct tcp_ep *tcp_ep_find(struct netns *ns, const struct ipa *l, uint16_t lp, const struct ipa *r,
                           uint16_t rp) {
    uint32_t h = ep_hash(ns, l, lp, r, rp);
    for (struct hnode *n = htab_first(&ns->tcp_conns, h); n; n = htab_next(n, h)) {
        struct tcp_ep *e = container_of(n, struct tcp_ep, hnode);
        if (e->lport == lp && e->rport == rp && ipa_eq(&e->laddr, l) && ipa_eq(&e->raddr, r))
            return e;
    }
    return NULL;
}

void tcp_ep_insert(struct netns *ns, struct tcp_ep *ep) {
    uint32_t h = ep_hash(ns, &ep->laddr, ep->lport, &ep->raddr, ep->rport);
    htab_insert(&ns->st->mem, &ns->tcp_conns, &ep->hnode, h);
}

void tcp_ep_remove(struct netns *ns, struct tcp_ep *ep) {
    htab_remove(&ns->tcp_conns, &ep->hnode);
}

uint32_t tcp_make_isn(struct netns *ns, const struct tcp_ep *ep) {
    struct tuple t = {ep->laddr, ep->raddr, ep->lport, ep->rport};
    uint32_t clock = (uint32_t)(ns->st->now / 4000); /* RFC 9293 section 3.4.1: 4 us */
    return clock + (uint32_t)siphash(&ns->tcp_secret, &t, sizeof(t));
}

uint32_t tcp_make_ts_offset(struct netns *ns, const struct ipa *l, const struct ipa *r) {
    struct tuple t = {*l, *r, 0, 0};
    return (uint32_t)(siphash(&ns->tcp_secret, &t, sizeof(t)) >> 32);
}

/* ---- life ---- */

struct tcp_sock *tcp_alloc(struct netns *ns, int family) {
    struct nsock *s;
    return tcp_new(ns, family, &s) < 0 ? NULL : tcp_of(s);
}

void tcp_hash(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    tp->ep.laddr = s->laddr;
    tp->ep.raddr = s->raddr;
    tp->ep.lport = s->lport;
    tp->ep.rport = s->rport;
    ASSERT(!tp->in_table);
    tcp_ep_insert(s->ns, &tp->ep);
    tp->in_table = true;
    nsock_get(s);
}

void tcp_set_state(struct tcp_sock *tp, uint8_t state) {
    struct netns_mib *mib = &tp->base.ns->mib;
    if (state == NS_TCP_CLOSE && (tp->state == NS_TCP_ESTABLISHED || tp->state == NS_TCP_CLOSE_WAIT))
        mib->tcp_estab_resets++;
    tp->state = state;
}

bool tcp_is_synchronized(const struct tcp_sock *tp) {
    return tp->state != NS_TCP_CLOSE && tp->state != NS_TCP_LISTEN && tp->state != NS_TCP_SYN_SENT &&
           tp->state != NS_TCP_SYN_RECV;
}

/* Received text stays readable after the end, as on Linux; only what was waiting to be sent goes. */
void tcp_done(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    tcp_set_state(tp, NS_TCP_CLOSE);
    tcp_stop_timers(tp);
    tcp_snd_purge(tp);
    pkt_queue_free(&tp->oooq);
    tp->ooo_mem = tp->ooo_bytes = 0;
    s->shut = 3;
    if (s->bind.by_connect || tp->orphan) {
        port_release(s->ns, PORTS_TCP, &s->bind);
        if (!tp->orphan)
            s->lport = 0;
    }
    nsock_wake(s, NS_POLLIN | NS_POLLOUT | NS_POLLHUP | NS_POLLRDHUP | (s->err ? NS_POLLERR : 0));
    if (!tp->in_table)
        return;
    tcp_ep_remove(s->ns, &tp->ep);
    tp->in_table = false;
    if (tp->orphan) {
        ASSERT(s->ns->tcp_orphans > 0);
        s->ns->tcp_orphans--;
        tp->orphan = false;
    }
    nsock_put(s);
}

void tcp_fail(struct tcp_sock *tp, int err) {
    if (tp->state == NS_TCP_SYN_SENT || tp->state == NS_TCP_SYN_RECV)
        tp->base.ns->mib.tcp_attempt_fails++;
    tp->base.err = err;
    tcp_done(tp);
}

/* ---- route and MSS ---- */

int tcp_route(struct tcp_sock *tp, struct rt *ret) {
    struct nsock *s = &tp->base;
    if (!s->rt_valid || s->rt_gen != s->ns->route_gen) {
        int rc = nsock_route(s, &s->raddr, &s->laddr, s->scope_id, &s->rt);
        s->rt_valid = rc == 0;
        if (rc < 0)
            return rc;
        s->rt_gen = s->ns->route_gen;
        if (tp->pmtu != s->rt.mtu && tcp_is_synchronized(tp)) {
            *ret = s->rt;
            tcp_sync_mss(tp);
        }
    }
    *ret = s->rt;
    return 0;
}

static uint32_t ip_hlen(const struct tcp_sock *tp) {
    return ipa_is_v4(&tp->base.raddr) ? IPV4_MIN_HLEN : IPV6_HLEN;
}

uint16_t tcp_advertised_mss(struct tcp_sock *tp, const struct rt *rt) {
    uint32_t mss = rt->advmss;
    if (tp->user_mss && tp->user_mss < mss)
        mss = tp->user_mss;
    return (uint16_t)MIN(mss, 65535u);
}

/* RFC 9293 section 3.7.1: min(peer's MSS, path) less the options that every segment carries (RFC 6691). */
void tcp_sync_mss(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    uint32_t mtu = s->rt_valid ? s->rt.mtu : 576;
    uint32_t hdrs = ip_hlen(tp) + TCP_MIN_HLEN;
    uint32_t mss = mtu > hdrs + TCP_MIN_MSS ? mtu - hdrs : TCP_MIN_MSS;
    mss = MIN(mss, (uint32_t)tp->peer_mss);
    if (tp->blackhole)
        mss = MIN(mss, ipa_is_v4(&s->raddr) ? 1024u : (uint32_t)TCP_DEFAULT_MSS6);
    mss = MAX(mss, (uint32_t)TCP_MIN_MSS);
    if (tp->ts_ok)
        mss -= 12;
    tp->pmtu = mtu;
    tp->mss = (uint16_t)MIN(mss, (uint32_t)TCP_MAX_SEG); /* with headers and options within 65,535 bytes */
    /* windows are in bytes: after a path with larger packets was found they must still hold some */
    tp->cwnd = MAX(tp->cwnd, (uint32_t)tp->mss);
    tp->ssthresh = MAX(tp->ssthresh, 2u * tp->mss);
}

/* ---- becoming established ---- */

static void init_buffers(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    /* room for a first flight in each direction, grown later by use */
    uint32_t need = 2 * TCP_INIT_CWND_SEGS * (tp->mss + 512u);
    if (!s->sndbuf_locked && s->sndbuf < need)
        s->sndbuf = MIN(need, s->ns->ctl.tcp_wmem[2]);
    tp->drs_copied_seq = tp->copied_seq;
    tp->drs_space = tp->rcv_wnd;
    tp->drs_start_ns = tcp_now(tp);
}

void tcp_enter_established(struct tcp_sock *tp) {
    struct rt rt;
    (void)tcp_route(tp, &rt); /* without a route the defaults hold until one comes */
    tcp_set_state(tp, NS_TCP_ESTABLISHED);
    tcp_sync_mss(tp);
    tp->rcv_mss = MIN(tp->mss, (uint16_t)TCP_DEFAULT_MSS4);
    tp->cwnd = TCP_INIT_CWND_SEGS * (uint32_t)tp->mss;
    if (tp->retries > 1) /* RFC 5681 section 3.1: a lost SYN halves confidence to one segment */
        tp->cwnd = tp->mss;
    tp->ssthresh = UINT32_MAX;
    tp->cc->init(tp);
    tp->retries = tp->backoff = 0;
    tp->first_timeout_ns = 0;
    tp->quickack_mode = true;
    tp->quickack_left = TCP_QUICKACK_SEGS;
    tp->last_rcv_ns = tp->last_send_ns = tcp_now(tp);
    tp->delivered_ns = tp->first_tx_ns = tcp_now(tp);
    init_buffers(tp);
    tcp_arm_keepalive(tp);
    nsock_wake(&tp->base, NS_POLLOUT);
}

/* What a child takes from its listener: tcp(7), socket(7). */
static void inherit(struct tcp_sock *c, const struct tcp_sock *l) {
    struct nsock *s = &c->base;
    const struct nsock *from = &l->base;
    s->f = from->f;
    s->rcvbuf = from->rcvbuf;
    s->sndbuf = from->sndbuf;
    s->rcvbuf_locked = from->rcvbuf_locked;
    s->sndbuf_locked = from->sndbuf_locked;
    s->rcvlowat = from->rcvlowat;
    s->linger_s = from->linger_s;
    s->ttl = from->ttl;
    s->tos = from->tos;
    s->mark = from->mark;
    s->priority = from->priority;
    s->bound_if = from->bound_if;
    s->pmtudisc = from->pmtudisc;
    c->nodelay = l->nodelay;
    c->cork = l->cork;
    c->user_mss = l->user_mss;
    c->user_timeout_ms = l->user_timeout_ms;
    c->keep_idle_s = l->keep_idle_s;
    c->keep_intvl_s = l->keep_intvl_s;
    c->keep_probes = l->keep_probes;
    c->linger2_s = l->linger2_s;
    c->window_clamp = l->window_clamp;
    c->notsent_lowat = l->notsent_lowat;
    c->cc = l->cc;
}

static void take_handshake(struct tcp_sock *c, const struct tcp_req *r) {
    c->iss = r->iss;
    c->irs = r->irs;
    c->snd_una = c->snd_nxt = c->write_seq = c->snd_sml = r->iss + 1;
    c->snd_up = c->rack_fack = c->snd_una;
    c->rcv_nxt = c->rcv_wup = c->copied_seq = r->irs + 1;
    c->rcv_wnd = r->rcv_wnd;
    c->peer_mss = r->peer_mss;
    c->ts_ok = r->ts_ok;
    c->ts_recent = r->ts_recent;
    c->ts_recent_ns = tcp_now(c);
    c->ts_offset = r->ts_offset;
    c->sack_ok = r->sack_ok;
    c->wscale_ok = r->wscale_ok;
    c->snd_wscale = r->snd_wscale;
    c->rcv_wscale = r->rcv_wscale;
    c->ecn_ok = r->ecn_ok;
    c->retries = r->retries;
}

struct tcp_sock *tcp_child_new(struct tcp_req *r, struct tcp_rx *rx) {
    struct tcp_sock *l = r->listener;
    struct nsock *ls = &l->base;
    struct tcp_sock *c = tcp_alloc(ls->ns, ls->family);
    if (!c)
        return NULL;
    struct nsock *s = &c->base;
    inherit(c, l);
    take_handshake(c, r);
    s->laddr = r->ep.laddr;
    s->raddr = r->ep.raddr;
    s->lport = r->ep.lport;
    s->rport = r->ep.rport;
    s->bound_addr = true;
    s->connected = true;
    if (!ipa_is_v4(&s->raddr) && ipa_is_linklocal(&s->raddr))
        s->scope_id = rx->nic->ifindex;
    s->bind.addr = s->laddr;
    s->bind.reuseaddr = s->f.reuseaddr;
    s->bind.reuseport = s->f.reuseport;
    s->bind.ifindex = s->bound_if;
    if (port_share(s->ns, PORTS_TCP, &s->bind, s->lport) < 0) {
        nsock_put(s);
        return NULL;
    }
    c->state = NS_TCP_SYN_RECV;
    c->snd_wnd = rx->h.window;
    c->max_window = c->snd_wnd;
    c->snd_wl1 = rx->h.seq;
    c->snd_wl2 = rx->h.ack;
    struct rt rt;
    if (tcp_route(c, &rt) == 0)
        c->advmss = tcp_advertised_mss(c, &rt);
    return c;
}

/* Called when the namespace goes: only orphans and TIME-WAIT entries are left. */
void tcp_netns_done(struct netns *ns) {
    while (!list_empty(&ns->tcp_all)) {
        struct tcp_sock *tp = list_first_entry(&ns->tcp_all, struct tcp_sock, all_link);
        ASSERT(tp->orphan);
        tcp_done(tp);
    }
    while (!list_empty(&ns->tcp_tws))
        tcp_tw_free(list_first_entry(&ns->tcp_tws, struct tcp_tw, link));
}
