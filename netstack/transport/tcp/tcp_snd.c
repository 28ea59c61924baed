/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_snd.c: the sending side: queueing text, when to send it, building segments.
 *
 * The queue holds tcp_seg's of up to a super-segment each; what is sent is shared with the packets, not
 * copied. Sources: RFC 9293 sections 3.8.6.2.1 (silly window), 3.7.4 (Nagle; Minshall's variant as
 * Linux), 3.8.4 (keepalive), 3.8.5 (urgent), RFC 5681 section 4.1 (restart after idle), RFC 3168 section 6.1,
 * RFC 5961 section 7, tcp(7).
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"

NETSTACK_TYPE(t_seg, struct tcp_seg);

/* ---- building one segment ---- */

static void fill_options(struct tcp_sock *tp, uint8_t flags, struct tcp_options *o) {
    if (flags & TH_SYN) {
        o->has_mss = true;
        o->mss = tp->advmss;
        o->sack_permitted = tp->sack_ok;
        o->has_wscale = tp->wscale_ok;
        o->wscale = tp->rcv_wscale;
    }
    if (tp->ts_ok) {
        o->has_ts = true;
        o->ts_val = tcp_ts_clock(tp->base.ns->st, tp->ts_offset);
        o->ts_ecr = tp->ts_recent;
    }
    if (flags & TH_ACK && !(flags & TH_SYN))
        tcp_sack_fill(tp, o);
}

static uint16_t window_field(struct tcp_sock *tp, uint8_t flags) {
    if (flags & TH_RST)
        return 0;
    if (flags & TH_SYN) {
        tp->rcv_wup = tp->rcv_nxt;
        return (uint16_t)MIN(tp->rcv_wnd, 65535u);
    }
    return (uint16_t)(tcp_select_window(tp) >> tp->rcv_wscale);
}

static void fill_urgent(const struct tcp_sock *tp, uint32_t seq, struct tcp_hdr *h) {
    if (seq_le(tp->snd_up, tp->snd_una) || !seq_lt(seq, tp->snd_up) || h->flags & TH_SYN)
        return;
    h->flags |= TH_URG;
    h->urgent = (uint16_t)MIN(tp->snd_up - seq, 65535u);
}

/* RFC 3168 section 6.1: ECT on new text alone, ECE until CWR, CWR once after a reduction. */
static uint8_t fill_ecn(struct tcp_sock *tp, uint32_t seq, uint32_t len, struct tcp_hdr *h) {
    if (!tp->ecn_ok || h->flags & (TH_SYN | TH_RST))
        return ECN_NOT_ECT;
    if (tp->ecn_echo)
        h->flags |= TH_ECE;
    if (len == 0 || seq_lt(seq, tp->snd_nxt))
        return ECN_NOT_ECT;
    if (tp->ecn_send_cwr) {
        h->flags |= TH_CWR;
        tp->ecn_send_cwr = false;
    }
    return ECN_ECT0;
}

static void note_sent(struct tcp_sock *tp, uint8_t flags, uint32_t len, uint32_t parts) {
    struct netns *ns = tp->base.ns;
    tp->segs_out += parts;
    ns->mib.tcp_out_segs += parts;
    if (flags & TH_RST)
        ns->mib.tcp_out_rsts++;
    if (flags & TH_ACK) {
        tp->ack_pending = tp->ack_now = tp->dsack_pending = false;
        tp->last_ack_sent_ns = tcp_now(tp);
        ntimer_disarm(ns->st, &tp->delack_timer);
        if (tp->quickack_left)
            tp->quickack_left--;
    }
    if (len == 0)
        return;
    tp->data_segs_out += parts;
    if (tcp_now(tp) - tp->last_rcv_ns < TCP_DELACK_MIN) /* an answer: an interactive pattern */
        tp->pingpong = true;
    tp->last_send_ns = tcp_now(tp);
}

static int hand_to_ip(struct tcp_sock *tp, struct pkt *p, uint8_t ecn) {
    struct nsock *s = &tp->base;
    struct ip_tx tx = {.src = s->laddr, .dst = s->raddr, .proto = IPPROTO_NUM_TCP};
    int rc = tcp_route(tp, &tx.rt);
    if (rc < 0) {
        pkt_free(p);
        return rc;
    }
    nsock_fill_tx(s, &tx);
    tx.tos = (uint8_t)((s->tos & ~ECN_MASK) | ecn);
    tx.df = ipa_is_v4(&s->raddr) && s->pmtudisc != NS_PMTUDISC_DONT;
    tx.may_frag = !tx.df;
    return ip_output(s->ns, p, &tx);
}

int tcp_xmit(struct tcp_sock *tp, struct pkt *p, uint32_t seq, uint8_t flags) {
    struct nsock *s = &tp->base;
    struct tcp_options o = {0};
    uint8_t opts[TCP_MAX_OPTIONS];
    uint32_t len = p ? p->len : 0, mss = tcp_eff_mss(tp);
    if (!p)
        p = pkt_new(&s->ns->st->mem, PKT_HEADROOM, 0);
    if (!p)
        return -ENOMEM;
    fill_options(tp, flags, &o);
    uint32_t olen = (uint32_t)tcp_options_put(opts, &o, flags & TH_SYN), hlen = TCP_MIN_HLEN + olen;
    struct tcp_hdr h = {
        .sport = s->lport, .dport = s->rport, .seq = seq, .hlen = (uint8_t)hlen, .flags = flags};
    if (flags & TH_ACK)
        h.ack = tp->rcv_nxt;
    h.window = window_field(tp, flags);
    fill_urgent(tp, seq, &h);
    uint8_t ecn = fill_ecn(tp, seq, len, &h);
    if (flags == TH_SYN && tp->ecn_asked && tp->retries == 0)
        h.flags |=
            TH_ECE | TH_CWR; /* RFC 3168 section 6.1.1; not on repeats, which may be a middlebox's fault */
    if (flags == (TH_SYN | TH_ACK) && tp->ecn_ok)
        h.flags |= TH_ECE;
    uint8_t *at = pkt_push(p, hlen);
    if (!at) {
        pkt_free(p);
        return -ENOMEM;
    }
    tcp_hdr_put(at, &h);
    memcpy(at + TCP_MIN_HLEN, opts, olen);
    csum_store(at + 16, csum_reduce(csum_pseudo(&s->laddr, &s->raddr, IPPROTO_NUM_TCP, hlen + len)));
    p->csum = CSUM_PARTIAL;
    p->csum_start = 0;
    p->csum_offset = 16;
    p->mark = s->mark;
    if (len > mss) {
        p->gso = GSO_TCP;
        p->gso_size = (uint16_t)mss;
    }
    note_sent(tp, flags, len, len > mss ? (len + mss - 1) / mss : 1);
    return hand_to_ip(tp, p, ecn);
}

void tcp_send_ack(struct tcp_sock *tp) {
    if (tcp_xmit(tp, NULL, tp->snd_nxt, TH_ACK) == -ENOMEM && !ntimer_armed(&tp->delack_timer)) {
        tp->ack_pending = true; /* the delayed-ACK timer tries again */
        ntimer_arm(tp->base.ns->st, &tp->delack_timer, tcp_now(tp) + TCP_DELACK_MAX);
    }
}

void tcp_send_challenge_ack(struct tcp_sock *tp) {
    struct netns *ns = tp->base.ns;
    /* twice a second per connection, or two peers that disagree would answer each other for ever (Linux:
     * tcp_invalid_ratelimit) */
    if (tp->last_challenge_ns && tcp_now(tp) - tp->last_challenge_ns < MSEC(500))
        return;
    if (!tcp_challenge_allowed(ns))
        return;
    tp->last_challenge_ns = tcp_now(tp);
    ns->mib.tcp_challenge_acks++;
    tcp_send_ack(tp);
}

void tcp_send_syn(struct tcp_sock *tp) {
    (void)tcp_xmit(tp, NULL, tp->iss, TH_SYN); /* lost: repeated by the timer */
}

void tcp_send_synack(struct tcp_sock *tp) {
    (void)tcp_xmit(tp, NULL, tp->iss, TH_SYN | TH_ACK);
}

void tcp_send_rst(struct tcp_sock *tp) {
    (void)tcp_xmit(tp, NULL, tp->snd_nxt, TH_RST | TH_ACK);
}

void tcp_send_probe(struct tcp_sock *tp) {
    (void)tcp_xmit(tp, NULL, tp->snd_una - 1, TH_ACK);
}

/* ---- the queue ---- */

void tcp_seg_free(struct tcp_sock *tp, struct tcp_seg *g) {
    struct nsmem *mem = &tp->base.ns->st->mem;
    tp->tx_mem -= (uint32_t)sizeof(*g) + (g->data ? g->data->truesize : 0);
    list_del(&g->link);
    pkt_free(g->data);
    nsmem_free(mem, &t_seg, g);
}

void tcp_snd_purge(struct tcp_sock *tp) {
    while (!list_empty(&tp->sendq))
        tcp_seg_free(tp, list_first_entry(&tp->sendq, struct tcp_seg, link));
    tp->snd_head = NULL;
    tp->sacked_bytes = tp->lost_bytes = tp->retrans_bytes = tp->reno_sacked = 0;
}

/* room: of text that will be copied into it; 0: shared views will come. */
static struct tcp_seg *seg_new(struct tcp_sock *tp, bool with_data, uint32_t room) {
    struct nsmem *mem = &tp->base.ns->st->mem;
    struct tcp_seg *g = nsmem_alloc(mem, &t_seg);
    if (!g)
        return NULL;
    if (with_data) {
        if (room)
            room = MIN(MAX(room, (uint32_t)PKT_TAIL_BLOCK), (uint32_t)PKT_BLOCK_MAX);
        g->data = pkt_new(mem, 0, room);
        if (!g->data) {
            nsmem_free(mem, &t_seg, g);
            return NULL;
        }
    }
    list_init(&g->link);
    g->seq = tp->write_seq;
    tp->tx_mem += (uint32_t)sizeof(*g) + (g->data ? g->data->truesize : 0);
    return g;
}

static void seg_append(struct tcp_sock *tp, struct tcp_seg *g) {
    list_add_tail(&tp->sendq, &g->link);
    if (!tp->snd_head)
        tp->snd_head = g;
}

/* Cuts g so that it keeps `len` bytes of text; the rest, FIN included, follows in a new entry. -ENOMEM. */
int tcp_split_seg(struct tcp_sock *tp, struct tcp_seg *g, uint32_t len) {
    ASSERT(len <= g->len);
    struct nsmem *mem = &tp->base.ns->st->mem;
    struct tcp_seg *r = nsmem_alloc(mem, &t_seg);
    if (!r)
        return -ENOMEM;
    *r = *g;
    r->data = NULL;
    if (len < g->len) {
        r->data = pkt_new(mem, 0, 1);
        if (!r->data || pkt_append_range(r->data, g->data, len, g->len - len) < 0) {
            pkt_free(r->data);
            nsmem_free(mem, &t_seg, r);
            return -ENOMEM;
        }
        pkt_trim_to(g->data, len);
    }
    r->seq = g->seq + len;
    r->len = g->len - len;
    g->len = len;
    g->flags = 0;
    list_init(&r->link);
    list_add(&g->link, &r->link); /* behind g */
    tp->tx_mem += (uint32_t)sizeof(*r) + (r->data ? r->data->truesize : 0);
    return 0;
}

/* Appends the next entry to g; both unsent or both lost. -ENOMEM: nothing happened. */
int tcp_merge_seg(struct tcp_sock *tp, struct tcp_seg *g, struct tcp_seg *next) {
    ASSERT(next->seq == g->seq + g->len);
    uint32_t before = g->data->truesize;
    if (next->data && pkt_append_range(g->data, next->data, 0, next->len) < 0)
        return -ENOMEM;
    tp->tx_mem += g->data->truesize - before;
    g->len += next->len;
    g->flags |= next->flags;
    tcp_seg_free(tp, next);
    return 0;
}

uint32_t tcp_write_space(const struct tcp_sock *tp) {
    return tp->base.sndbuf > tp->tx_mem ? tp->base.sndbuf - tp->tx_mem : 0;
}

static uint32_t seg_capacity(const struct tcp_sock *tp) {
    uint32_t mss = MAX(tp->mss, (uint16_t)1);
    return MAX(TCP_MAX_SEG / mss * mss, mss);
}

/* Adds up to `len` bytes of m's vector (copied) or of `p` (shared) to the queue's tail; returns how many, or
 * -ENOMEM if none. */
static ssize_t append_text(struct tcp_sock *tp, const struct ns_msg *m, const struct pkt *p, size_t skip,
                           uint32_t len) {
    struct tcp_seg *g = list_empty(&tp->sendq) ? NULL : list_last_entry(&tp->sendq, struct tcp_seg, link);
    uint32_t cap = seg_capacity(tp);
    if (!g || g->sent || !g->data || g->len >= cap) {
        g = seg_new(tp, true, p ? 0 : MIN(len, cap));
        if (!g)
            return -ENOMEM;
        seg_append(tp, g);
    }
    uint32_t n = MIN(len, cap - g->len), before = g->data->truesize, had = g->data->len;
    int rc = p ? pkt_append_range(g->data, p, (uint32_t)skip, n) : ns_iov_to_pkt(m, skip, n, g->data);
    n = g->data->len - had;
    tp->tx_mem += g->data->truesize - before;
    g->len += n;
    tp->write_seq += n;
    if (n == 0 && g->len == 0) {
        if (tp->snd_head == g)
            tp->snd_head = NULL;
        tcp_seg_free(tp, g);
    }
    return n ? (ssize_t)n : rc;
}

static int may_send(struct tcp_sock *tp, const struct ns_msg *m) {
    struct nsock *s = &tp->base;
    if (m->flags & NS_MSG_FASTOPEN && tp->state == NS_TCP_CLOSE && m->has_name) {
        /* without a cookie fast open is an ordinary connect (RFC 7413 section 4.1.3); we keep no cookies */
        return tcp_connect_start(s, &m->name);
    }
    if (s->err)
        return nsock_take_error(s);
    if (s->shut & 2)
        return -EPIPE;
    switch (tp->state) {
    case NS_TCP_ESTABLISHED:
    case NS_TCP_CLOSE_WAIT:
        return 0;
    case NS_TCP_SYN_RECV: /* fast open: the child may answer at once */
        return tp->tfo_child ? 0 : -EAGAIN;
    case NS_TCP_SYN_SENT:
        return -EAGAIN;
    default:
        return -EPIPE;
    }
}

/* RFC 5681 section 4.1: after an idle time of more than an RTO start with the initial window again. */
static void restart_after_idle(struct tcp_sock *tp) {
    uint32_t iw = TCP_INIT_CWND_SEGS * (uint32_t)tp->mss;
    if (!tp->base.ns->ctl.tcp_slow_start_after_idle || tp->snd_nxt != tp->snd_una || tp->cwnd <= iw)
        return;
    if (tcp_now(tp) - tp->last_send_ns <= tcp_rto(tp))
        return;
    tp->ssthresh = MAX(tp->ssthresh, tp->cwnd * 3 / 4);
    tp->cwnd = iw;
    tp->cwnd_acked = 0;
    tp->cubic.epoch_ns = 0;
}

/* What send() and send_pkt() share: the text is in m's vector, or in `p`. */
static ssize_t send_text(struct tcp_sock *tp, struct ns_msg *m, const struct pkt *p, size_t want) {
    size_t done = 0;
    int rc = may_send(tp, m);
    if (rc < 0)
        return rc;
    restart_after_idle(tp);
    while (done < want) {
        uint32_t room = tcp_write_space(tp);
        if (room == 0)
            break;
        uint32_t chunk = (uint32_t)MIN(want - done, (size_t)MIN(room, (uint32_t)PKT_BLOCK_MAX));
        ssize_t n = append_text(tp, m, p, done, chunk);
        if (n <= 0) {
            rc = -ENOBUFS;
            break;
        }
        done += (size_t)n;
        if (tp->write_seq - tp->snd_nxt > tp->max_window / 2)
            tcp_push(tp, false); /* enough for the peer to start on */
    }
    if (done < want) {
        tp->nospace = true;
        if (done == 0)
            return rc < 0 ? rc : -EAGAIN;
    } else if (m->flags & NS_MSG_OOB && done) {
        tp->snd_up = tp->write_seq;
    }
    if (done && !list_empty(&tp->sendq))
        list_last_entry(&tp->sendq, struct tcp_seg, link)->flags |= TH_PSH;
    if (!(m->flags & NS_MSG_MORE) || tp->write_seq - tp->snd_nxt >= tp->mss)
        tcp_push(tp, m->flags & NS_MSG_OOB);
    tcp_rearm_rtx(tp);
    return (ssize_t)done;
}

ssize_t tcp_send_data(struct nsock *s, struct ns_msg *m) {
    return send_text(tcp_of(s), m, NULL, ns_iov_len(m));
}

ssize_t tcp_send_pkt(struct nsock *s, struct ns_msg *m, struct pkt *p) {
    return send_text(tcp_of(s), m, p, p->len);
}

/* Our FIN goes behind the text. */
int tcp_queue_fin(struct tcp_sock *tp) {
    struct tcp_seg *g = list_empty(&tp->sendq) ? NULL : list_last_entry(&tp->sendq, struct tcp_seg, link);
    if (tp->fin_queued)
        return 0;
    if (!g || g->sent) {
        g = seg_new(tp, false, 0);
        if (!g)
            return -ENOMEM;
        seg_append(tp, g);
    }
    g->flags |= TH_FIN | TH_PSH;
    tp->fin_queued = true;
    tp->write_seq++;
    return 0;
}

/* ---- when to send ---- */

uint32_t tcp_eff_mss(const struct tcp_sock *tp) {
    uint32_t opt = tcp_sack_option_len(tp);
    return tp->mss > opt + 8 ? tp->mss - opt : 8;
}

/* RFC 9293 section 3.7.4 with Minshall's change: only an outstanding small segment holds another one back. */
static bool nagle_holds(const struct tcp_sock *tp, const struct tcp_seg *g, bool force) {
    if (g->flags & TH_FIN || force || (seq_gt(tp->snd_up, tp->snd_una) && seq_lt(g->seq, tp->snd_up)))
        return false;
    if (tp->cork)
        return true;
    return !tp->nodelay && tp->snd_nxt != tp->snd_una && seq_gt(tp->snd_sml, tp->snd_una);
}

/* SO_MAX_PACING_RATE: may a segment go now? If not, the pacing timer will ask again. */
bool tcp_pace_ok(struct tcp_sock *tp) {
    if (tp->pacing_rate == 0 || tcp_now(tp) >= tp->pace_next_ns)
        return true;
    if (!ntimer_armed(&tp->pace_timer))
        ntimer_arm(tp->base.ns->st, &tp->pace_timer, tp->pace_next_ns);
    return false;
}

/* A burst is at most what the rate allows in a millisecond, but two segments (as Linux's tcp_tso_autosize).
 */
static uint32_t pace_burst(const struct tcp_sock *tp) {
    uint64_t ms = tp->pacing_rate / 1000;
    return (uint32_t)MIN(MAX(ms, 2ull * tp->mss), (uint64_t)TCP_MAX_SEG);
}

static void pace_account(struct tcp_sock *tp, uint32_t len) {
    if (tp->pacing_rate == 0)
        return;
    int64_t start = MAX(tp->pace_next_ns, tcp_now(tp));
    tp->pace_next_ns = start + (int64_t)((double)len * 1e9 / (double)tp->pacing_rate);
}

/* Bytes of text of g that may go now; -1: nothing. A FIN alone is 0. */
static int64_t allowed(struct tcp_sock *tp, const struct tcp_seg *g, bool force) {
    uint32_t mss = tcp_eff_mss(tp), flight = tcp_in_flight(tp);
    uint32_t right = tp->snd_una + tp->snd_wnd;
    if (g->len == 0)
        return seq_lt(g->seq, right) || flight == 0 ? 0 : -1;
    if (seq_ge(g->seq, right))
        return -1;
    uint32_t wnd = right - g->seq;
    uint32_t cwnd = tp->cwnd > flight ? tp->cwnd - flight : 0;
    if (cwnd < mss && flight > 0 && cwnd < g->len) {
        tp->cwnd_limited = true;
        return -1;
    }
    cwnd = MAX(cwnd, mss);
    uint32_t most = tp->pacing_rate ? pace_burst(tp) : (uint32_t)TCP_MAX_SEG;
    uint32_t n = MIN(MIN(g->len, wnd), MIN(cwnd, most));
    if (n == cwnd && n < g->len)
        tp->cwnd_limited = true;
    bool whole = n == g->len, last = g->link.next == &tp->sendq;
    uint32_t part = n % mss;
    if (part == 0)
        return n;
    if (!whole) { /* cut by a window: full segments only, or half of the largest window seen (SWS avoidance)
                   */
        if (n > mss)
            return n - part;
        return n >= tp->max_window / 2 || n == cwnd ? (int64_t)n : -1;
    }
    if (last && nagle_holds(tp, g, force))
        return n > mss ? (int64_t)(n - part) : -1;
    return n;
}

/* Notes for the delivery rate sample (draft-cheng-iccrg-delivery-rate-estimation). */
static void stamp_for_rate(struct tcp_sock *tp, struct tcp_seg *g) {
    if (tp->snd_nxt == tp->snd_una)
        tp->first_tx_ns = tp->delivered_ns = tcp_now(tp);
    g->first_ns = tp->first_tx_ns;
    g->delivered = tp->delivered;
    g->delivered_ns = tp->delivered_ns;
    g->app_limited = tp->app_limited_until != 0;
}

int tcp_transmit_seg(struct tcp_sock *tp, struct tcp_seg *g) {
    struct nsmem *mem = &tp->base.ns->st->mem;
    struct pkt *p = pkt_new(mem, PKT_HEADROOM, 0);
    if (!p)
        return -ENOMEM;
    if (g->len && pkt_append_range(p, g->data, 0, g->len) < 0) {
        pkt_free(p);
        return -ENOMEM;
    }
    stamp_for_rate(tp, g);
    g->sent_ns = tcp_now(tp);
    g->tx_count++;
    tp->bytes_sent += g->len;
    pace_account(tp, g->len);
    uint8_t flags = TH_ACK | (g->flags & (TH_FIN | TH_PSH));
    return tcp_xmit(tp, p, g->seq, flags);
}

static void mark_sent(struct tcp_sock *tp, struct tcp_seg *g) {
    g->sent = true;
    tp->snd_nxt = seg_end(g);
    tp->snd_head = g->link.next == &tp->sendq ? NULL : list_next_entry(g, link);
    if (g->len % tcp_eff_mss(tp))
        tp->snd_sml = tp->snd_nxt;
    if (tp->ca_state == CA_RECOVERY || tp->ca_state == CA_CWR)
        tp->prr_out += g->len;
}

static bool sends_data(const struct tcp_sock *tp) {
    switch (tp->state) {
    case NS_TCP_ESTABLISHED:
    case NS_TCP_CLOSE_WAIT:
    case NS_TCP_FIN_WAIT1:
    case NS_TCP_CLOSING:
    case NS_TCP_LAST_ACK:
        return true;
    default:
        return tp->state == NS_TCP_SYN_RECV && tp->tfo_child;
    }
}

void tcp_push(struct tcp_sock *tp, bool force) {
    if (!tp->snd_head || !sends_data(tp))
        return;
    bool any = false;
    while (tp->snd_head) {
        struct tcp_seg *g = tp->snd_head;
        int64_t n = tcp_pace_ok(tp) ? allowed(tp, g, force) : -1;
        if (n < 0)
            break;
        bool fin_outside =
            g->flags & TH_FIN && n == g->len && g->len && seq_ge(g->seq + g->len, tp->snd_una + tp->snd_wnd);
        if ((n < g->len || fin_outside) && tcp_split_seg(tp, g, (uint32_t)n) < 0)
            break;
        int rc = tcp_transmit_seg(tp, g);
        if (rc == -ENOMEM && g->tx_count == 0)
            break; /* nothing went out: the timer or the next ACK tries again */
        mark_sent(tp, g);
        any = true;
    }
    if (!tp->snd_head && tcp_in_flight(tp) < tp->cwnd)
        tp->app_limited_until = MAX(tp->delivered + tcp_in_flight(tp), 1u);
    bool paced = ntimer_armed(&tp->pace_timer);
    if (any || (tp->snd_nxt == tp->snd_una && tp->rtx_mode == RTX_NONE && !paced))
        tcp_rearm_rtx(tp);
}
