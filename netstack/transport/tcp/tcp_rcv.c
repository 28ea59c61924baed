/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_rcv.c: the receiving side: text in and out of order, window, ACK policy, urgent
 * data, the peer's FIN, reading, and growth of the receive buffer.
 *
 * Sources: RFC 9293 sections 3.8.6 (window, silly window), 3.10.7.4 (seventh, eighth), RFC 5681 section 4.2
 * (ACKs), RFC 2883 (DSACK), RFC 3168 section 6.1.3, RFC 6093 (urgent), Fisk and Feng 2001 (dynamic
 * right-sizing), tcp(7).
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"
#include "netstack/wire/wire_ipv4.h"

enum { COALESCE_MAX = 512 };

/* ---- window ---- */

uint32_t tcp_receive_window(const struct tcp_sock *tp) {
    uint32_t right = tp->rcv_wup + tp->rcv_wnd;
    return seq_gt(right, tp->rcv_nxt) ? right - tp->rcv_nxt : 0;
}

/* Half of the buffer is for the cost of keeping text, as Linux's tcp_adv_win_scale=1. */
static uint32_t window_from_space(uint32_t space) {
    return space / 2;
}

static uint32_t full_space(const struct tcp_sock *tp) {
    uint32_t full = window_from_space(tp->base.rcvbuf);
    return tp->window_clamp ? MIN(full, tp->window_clamp) : full;
}

static uint32_t free_space(const struct tcp_sock *tp) {
    uint32_t full = full_space(tp), used = tp->rcv_nxt - tp->copied_seq;
    if (tp->base.rx_mem + tp->ooo_mem >= tp->base.rcvbuf)
        return 0;
    return full > used ? full - used : 0;
}

/* Opening the window in small steps is what RFC 9293 section 3.8.6.2.2 forbids; shrinking it, section 3.8.6.
 */
static uint32_t offer(const struct tcp_sock *tp) {
    uint32_t cur = tcp_receive_window(tp), room = free_space(tp);
    uint32_t step = MIN(full_space(tp) / 2, (uint32_t)MAX(tp->rcv_mss, (uint16_t)TCP_MIN_MSS));
    uint32_t unit = 1u << tp->rcv_wscale;
    uint32_t max = 65535u << tp->rcv_wscale;
    room = MIN(room, max) & ~(unit - 1);
    if (room <= cur || room - cur < step)
        return MIN((cur + unit - 1) & ~(unit - 1), max);
    return room;
}

uint32_t tcp_select_window(struct tcp_sock *tp) {
    tp->rcv_wnd = offer(tp);
    tp->rcv_wup = tp->rcv_nxt;
    return tp->rcv_wnd;
}

void tcp_init_rcv_window(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    const struct netns_sysctl *ctl = &s->ns->ctl;
    uint32_t max = MAX(MAX(ctl->tcp_rmem[2], ctl->rmem_max), s->rcvbuf);
    if (tp->window_clamp)
        max = MIN(max, tp->window_clamp);
    tp->rcv_wscale = 0;
    while (tp->wscale_ok && max > 65535 && tp->rcv_wscale < TCP_MAX_WSCALE) {
        max >>= 1;
        tp->rcv_wscale++;
    }
    tp->rcv_wnd = MIN(full_space(tp), 65535u); /* a SYN's window is never scaled */
}

/* ---- queues ---- */

static void take_urgent_byte(struct tcp_sock *tp, const struct pkt *p) {
    if (!tp->urg_valid || tp->has_oob || seq_lt(tp->rcv_up, p->seq) || seq_ge(tp->rcv_up, p->seq_end))
        return;
    pkt_copy_out(p, tp->rcv_up - p->seq, &tp->oob_byte, 1);
    tp->has_oob = true;
    nsock_wake(&tp->base, NS_POLLPRI);
}

/* Small pieces are copied behind the packet before them, or a peer could pin a block for every byte. The
 * memory that `last` gained is returned; 0: not done. Takes p if done. */
static uint32_t coalesce(struct pkt *last, struct pkt *p) {
    uint8_t buf[COALESCE_MAX];
    if (p->len > COALESCE_MAX || last->seq_end != p->seq || last->len > PKT_BLOCK_MAX ||
        last->tcp_flags & TH_FIN)
        return 0;
    uint32_t n = pkt_copy_out(p, 0, buf, p->len), before = last->truesize, done;
    if (pkt_append_copy(last, buf, n, &done) < 0) {
        pkt_trim_to(last, last->len - done);
        return 0;
    }
    last->seq_end += n;
    last->tcp_flags |= p->tcp_flags;
    last->truesize = MAX(last->truesize, before + 1);
    pkt_free(p);
    return last->truesize - before;
}

/* Takes p: text at rcv_nxt. */
static void queue_in_order(struct tcp_sock *tp, struct pkt *p) {
    struct nsock *s = &tp->base;
    take_urgent_byte(tp, p);
    tp->rcv_nxt = p->seq_end;
    tp->bytes_received += p->len;
    p->tcp_flags = 0;
    if (!list_empty(&s->rxq)) {
        uint32_t gained = coalesce(list_last_entry(&s->rxq, struct pkt, link), p);
        s->rx_mem += gained;
        if (gained)
            return;
    }
    s->rx_mem += p->truesize;
    list_add_tail(&s->rxq, &p->link);
}

static void ooo_remove(struct tcp_sock *tp, struct pkt *p) {
    list_del(&p->link);
    tp->ooo_mem -= p->truesize;
    tp->ooo_bytes -= p->len;
}

/* Text that has become the next in order. True if a FIN did, too. */
static bool drain_ooo(struct tcp_sock *tp) {
    bool fin = false;
    while (!list_empty(&tp->oooq) && !fin) {
        struct pkt *p = list_first_entry(&tp->oooq, struct pkt, link);
        if (seq_gt(p->seq, tp->rcv_nxt))
            break;
        ooo_remove(tp, p);
        fin = p->tcp_flags & TH_FIN && seq_ge(p->seq_end, tp->rcv_nxt);
        if (seq_le(p->seq_end, tp->rcv_nxt)) {
            pkt_free(p);
            continue;
        }
        uint32_t old = tp->rcv_nxt - p->seq;
        pkt_trim_front(p, old);
        p->seq += old;
        queue_in_order(tp, p);
    }
    tcp_sack_advance(tp);
    return fin;
}

/* Drops the newest out-of-order text first: it is the furthest from use (and was only SACKed). */
static void prune_ooo(struct tcp_sock *tp) {
    tp->base.ns->mib.tcp_ofo_pruned++;
    while (!list_empty(&tp->oooq) && tp->base.rx_mem + tp->ooo_mem > tp->base.rcvbuf) {
        struct pkt *p = list_last_entry(&tp->oooq, struct pkt, link);
        ooo_remove(tp, p);
        pkt_free(p);
    }
    /* RFC 2018 section 8 allows reneging; we stop reporting what is gone */
    tp->sack_count = 0;
    struct pkt *p;
    list_for_each_entry(p, &tp->oooq, link) {
        tcp_sack_update(tp, p->seq, p->seq_end);
    }
}

/* Overlap with what is there is cut from the new packet; what it covers whole goes. Takes p. */
static void queue_ooo(struct tcp_sock *tp, struct pkt *p) {
    struct list *at = &tp->oooq;
    tp->base.ns->mib.tcp_ofo_queued++;
    tp->rcv_ooopack++;
    while (at->prev != &tp->oooq) {
        struct pkt *o = container_of(at->prev, struct pkt, link);
        if (seq_le(o->seq_end, p->seq) && !(o->seq == p->seq && o->seq_end == p->seq_end))
            break;
        if (seq_le(o->seq, p->seq) && seq_ge(o->seq_end, p->seq_end)) {
            o->tcp_flags |= o->seq_end == p->seq_end ? p->tcp_flags & TH_FIN : 0;
            tcp_duplicate_input(tp, p->seq, p->seq_end);
            pkt_free(p);
            return;
        }
        if (seq_ge(o->seq, p->seq) && seq_le(o->seq_end, p->seq_end)) {
            p->tcp_flags |= o->seq_end == p->seq_end ? o->tcp_flags & TH_FIN : 0;
            ooo_remove(tp, o);
            pkt_free(o);
            continue;
        }
        if (seq_lt(o->seq, p->seq)) { /* our front overlaps its tail */
            uint32_t n = o->seq_end - p->seq;
            pkt_trim_front(p, n);
            p->seq += n;
            break;
        }
        if (seq_lt(o->seq, p->seq_end)) { /* our tail overlaps its front */
            pkt_trim_to(p, o->seq - p->seq);
            p->seq_end = o->seq;
            p->tcp_flags &= (uint8_t)~TH_FIN;
        }
        at = &o->link;
    }
    tcp_sack_update(tp, p->seq, p->seq_end);
    tp->ooo_bytes += p->len;
    if (at->prev != &tp->oooq) {
        uint32_t gained = coalesce(container_of(at->prev, struct pkt, link), p);
        tp->ooo_mem += gained;
        if (gained)
            return;
    }
    tp->ooo_mem += p->truesize;
    list_add_tail(at, &p->link);
}

/* RFC 2883: tell the sender what came twice. */
void tcp_duplicate_input(struct tcp_sock *tp, uint32_t start, uint32_t end) {
    if (!tp->sack_ok || !tp->base.ns->ctl.tcp_dsack || start == end)
        return;
    tp->dsack_pending = true;
    tp->dsack = (struct tcp_sack_block){start, end};
}

/* ---- arrival ---- */

static void note_size(struct tcp_sock *tp, const struct tcp_rx *rx) {
    uint32_t n = rx->p->gso_size ? rx->p->gso_size : rx->payload;
    if (n > tp->rcv_mss)
        tp->rcv_mss = (uint16_t)MIN(n, 65535u);
    if (rx->p->ce && tp->ecn_ok) {
        if (!tp->ecn_echo)
            tp->ack_now = true;
        tp->ecn_echo = true;
        tp->quickack_left = TCP_QUICKACK_SEGS;
    }
    if (rx->h.flags & TH_CWR)
        tp->ecn_echo = rx->p->ce && tp->ecn_ok;
}

/* The receiver's own estimate of the round trip, for auto-tuning: by timestamps, else by windows. */
static void measure_rcv_rtt(struct tcp_sock *tp, const struct tcp_rx *rx) {
    int64_t now = tcp_now(tp), sample = 0;
    if (tp->ts_ok && rx->opt.has_ts && rx->opt.ts_ecr) {
        uint32_t delta = tcp_ts_clock(tp->base.ns->st, tp->ts_offset) - rx->opt.ts_ecr;
        if (delta < 1000000)
            sample = MAX(MSEC(delta), MSEC(1));
    } else if (tp->rcv_rtt_start_ns == 0 || seq_ge(tp->rcv_nxt, tp->rcv_rtt_seq)) {
        sample = tp->rcv_rtt_start_ns ? now - tp->rcv_rtt_start_ns : 0;
        tp->rcv_rtt_seq = tp->rcv_nxt + tp->rcv_wnd;
        tp->rcv_rtt_start_ns = now;
    }
    if (sample)
        tp->rcv_rtt_ns =
            tp->rcv_rtt_ns ? MIN(tp->rcv_rtt_ns + (sample - tp->rcv_rtt_ns) / 8, MAX(sample, tp->rcv_rtt_ns))
                           : sample;
}

/* Cuts the segment to what is new and fits the window. NULL: nothing is left. */
static struct pkt *trim_text(struct tcp_sock *tp, struct tcp_rx *rx) {
    uint32_t seq = rx->h.seq, end = seq + rx->payload;
    uint32_t right = tp->rcv_nxt + tcp_receive_window(tp);
    bool fin = rx->h.flags & TH_FIN;
    if (seq_lt(seq, tp->rcv_nxt)) {
        tcp_duplicate_input(tp, seq, seq_min(end, tp->rcv_nxt));
        tp->ack_now = true;
        if (seq_le(end, tp->rcv_nxt))
            return NULL;
        rx->payload_off += tp->rcv_nxt - seq;
        seq = tp->rcv_nxt;
    }
    if (seq_gt(end, right)) {
        end = right;
        fin = false;
        tp->ack_now = true; /* the peer has outrun the window: tell it */
        rx->h.flags &= (uint8_t)~TH_FIN;
        if (seq_le(end, seq))
            return NULL;
    }
    struct pkt *p = TAKE(rx->p);
    pkt_trim_front(p, rx->payload_off);
    pkt_trim_to(p, end - seq);
    p->net_off = p->trans_off = 0;
    p->seq = seq;
    p->seq_end = end;
    p->tcp_flags = fin ? TH_FIN : 0;
    return p;
}

/* In-order text is what we asked for: room is made for it at the cost of what came early. */
static bool have_room(struct tcp_sock *tp, const struct pkt *p) {
    struct nsock *s = &tp->base;
    if (s->rx_mem + tp->ooo_mem + p->truesize <= s->rcvbuf)
        return true;
    if (p->seq == tp->rcv_nxt) {
        prune_ooo(tp);
        /* an advertised window is a promise; small packets may make it cost more than planned, up to twice */
        return s->rx_mem <= 2 * s->rcvbuf;
    }
    return false;
}

void tcp_data_input(struct tcp_sock *tp, struct tcp_rx *rx) {
    struct nsock *s = &tp->base;
    note_size(tp, rx);
    measure_rcv_rtt(tp, rx);
    struct pkt *p = trim_text(tp, rx);
    if (!p) {
        tp->ack_now = true;
        return;
    }
    if (!have_room(tp, p)) {
        s->ns->mib.tcp_rcv_pruned++;
        rx->h.flags &= (uint8_t)~TH_FIN;
        tp->ack_now = true;
        pkt_free(p);
        return;
    }
    if (p->seq != tp->rcv_nxt) {
        rx->h.flags &= (uint8_t)~TH_FIN; /* it is in the queue now */
        tp->ack_now = true;              /* RFC 5681 section 4.2: at once, to start fast retransmit */
        queue_ooo(tp, p);
        return;
    }
    tp->ack_pending = true;
    queue_in_order(tp, p);
    if (!list_empty(&tp->oooq)) {
        tp->ack_now = true; /* RFC 5681 section 4.2: a gap was filled, all or part */
        if (drain_ooo(tp)) {
            tcp_fin_input(tp);
            rx->h.flags &= (uint8_t)~TH_FIN;
        }
    }
    uint32_t avail = tp->rcv_nxt - tp->copied_seq;
    if (avail >= MIN(s->rcvlowat, s->rcvbuf / 2))
        nsock_wake(s, NS_POLLIN);
}

/* RFC 9293 section 3.10.7.4, eighth. */
void tcp_fin_input(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    tp->rcv_nxt++;
    tp->fin_seen = true;
    tp->ack_now = true;
    s->shut |= 1;
    pkt_queue_free(&tp->oooq);
    tp->ooo_mem = tp->ooo_bytes = tp->sack_count = 0;
    nsock_wake(s, NS_POLLIN | NS_POLLRDHUP);
    switch (tp->state) {
    case NS_TCP_SYN_RECV: /* fast open: remembered by fin_seen */
        break;
    case NS_TCP_ESTABLISHED:
        tcp_set_state(tp, NS_TCP_CLOSE_WAIT);
        break;
    case NS_TCP_FIN_WAIT1: /* our FIN is not acknowledged: else it would be FIN-WAIT-2 */
        tcp_set_state(tp, NS_TCP_CLOSING);
        break;
    case NS_TCP_FIN_WAIT2:
        tcp_send_ack(tp);
        tcp_time_wait(tp);
        break;
    default:
        break;
    }
}

/* Sixth step. The pointer is taken as Linux and BSD do: to the byte after the urgent one (RFC 6093
 * section 3.1). */
void tcp_urg_input(struct tcp_sock *tp, struct tcp_rx *rx) {
    if (tp->state != NS_TCP_ESTABLISHED && tp->state != NS_TCP_FIN_WAIT1 && tp->state != NS_TCP_FIN_WAIT2)
        return;
    if (rx->h.urgent == 0)
        return;
    uint32_t at = rx->h.seq + rx->h.urgent - 1;
    if (seq_lt(at, tp->copied_seq) || seq_lt(at, tp->rcv_nxt) || (tp->urg_valid && seq_le(at, tp->rcv_up)))
        return;
    tp->rcv_up = at;
    tp->urg_valid = true;
    tp->has_oob = tp->oob_read = false;
    nsock_wake(&tp->base, NS_POLLPRI);
}

/* ---- ACK policy ---- */

void tcp_ack_check(struct tcp_sock *tp) {
    if (tp->ack_now) {
        tcp_send_ack(tp);
        return;
    }
    if (!tp->ack_pending)
        return;
    bool quick = tp->quickack_mode && tp->quickack_left > 0 && !tp->pingpong;
    uint32_t unacked = tp->rcv_nxt - tp->rcv_wup;
    /* RFC 9293 section 3.8.6.3: at least every second full-sized segment */
    if (quick || unacked >= 2u * tp->rcv_mss || !list_empty(&tp->oooq)) {
        tcp_send_ack(tp);
        return;
    }
    if (!ntimer_armed(&tp->delack_timer))
        ntimer_arm(tp->base.ns->st, &tp->delack_timer, tcp_now(tp) + TCP_DELACK_MIN);
}

void tcp_delack_fire(struct tcp_sock *tp) {
    if (!tp->ack_pending)
        return;
    tp->pingpong = false; /* the user did not answer in time: no interactive pattern */
    tp->base.ns->mib.tcp_delayed_acks++;
    tcp_send_ack(tp);
}

/* ---- reading ---- */

/* After a read: does the peer need to hear of the room? */
static void window_update(struct tcp_sock *tp) {
    if (!tcp_is_synchronized(tp) || tp->fin_seen)
        return;
    uint32_t cur = tcp_receive_window(tp), next = offer(tp);
    bool doubles =
        next >= 2 * cur && next > cur && next - cur >= MIN(full_space(tp) / 2, (uint32_t)tp->rcv_mss);
    bool idle_ack = tp->ack_pending && tp->rcv_nxt == tp->copied_seq && !tp->pingpong &&
                    tp->rcv_nxt - tp->rcv_wup > tp->rcv_mss;
    if (doubles || idle_ack)
        tcp_send_ack(tp);
}

/* Dynamic right-sizing: the buffer follows what was read in one round trip, twice over. */
static void autotune(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    const struct netns_sysctl *ctl = &s->ns->ctl;
    int64_t now = tcp_now(tp), rtt = tp->rcv_rtt_ns;
    if (rtt == 0 || now - tp->drs_start_ns < rtt)
        return;
    uint32_t copied = tp->copied_seq - tp->drs_copied_seq;
    if (copied > tp->drs_space) {
        if (ctl->tcp_moderate_rcvbuf && !s->rcvbuf_locked) {
            uint64_t want = 2 * (2ull * copied + 16u * tp->rcv_mss); /* window_from_space() halves */
            if (want > s->rcvbuf)
                s->rcvbuf = (uint32_t)MIN(want, (uint64_t)ctl->tcp_rmem[2]);
        }
        tp->drs_space = copied;
    }
    tp->drs_copied_seq = tp->copied_seq;
    tp->drs_start_ns = now;
}

static ssize_t recv_oob(struct tcp_sock *tp, struct ns_msg *m) {
    struct nsock *s = &tp->base;
    if (s->f.oobinline || !tp->urg_valid || !tp->has_oob)
        return tp->urg_valid && !tp->has_oob && !tp->oob_read && !s->f.oobinline ? -EAGAIN : -EINVAL;
    bool peek = m->flags & NS_MSG_PEEK;
    m->flags = NS_MSG_OOB;
    if (ns_iov_len(m) == 0)
        return 0;
    for (size_t i = 0; i < m->iov_count; i++) {
        if (m->iov[i].len) {
            *(uint8_t *)m->iov[i].base = tp->oob_byte;
            break;
        }
    }
    if (!peek) {
        tp->oob_read = true;
        tp->has_oob = false; /* the mark itself stays until reading passes it */
    }
    return 1;
}

/* How far one call may read from `seq`: not across the urgent mark (tcp(7), SIOCATMARK). */
static uint32_t limit_by_mark(struct tcp_sock *tp, uint32_t seq, uint32_t len, bool started, bool *ret_skip) {
    *ret_skip = false;
    if (!tp->urg_valid || seq_lt(tp->rcv_up, seq) || seq_ge(tp->rcv_up, seq + len))
        return len;
    if (tp->rcv_up != seq)
        return tp->rcv_up - seq;
    if (started)
        return 0;
    *ret_skip = !tp->base.f.oobinline;
    return len;
}

static void drop_read(struct tcp_sock *tp, struct pkt *p) {
    list_del(&p->link);
    tp->base.rx_mem -= p->truesize;
    pkt_free(p);
}

/* Copies from the queue. Without `peek` it consumes. */
static size_t read_queue(struct tcp_sock *tp, struct ns_msg *m, size_t want, bool peek, bool discard) {
    struct nsock *s = &tp->base;
    struct pkt *p, *tmp;
    uint32_t seq = tp->copied_seq;
    size_t done = 0;
    list_for_each_entry_safe(p, tmp, &s->rxq, link) {
        while (done < want && seq_lt(seq, p->seq_end)) {
            bool skip;
            uint32_t n = (uint32_t)MIN(want - done, (size_t)(p->seq_end - seq));
            n = limit_by_mark(tp, seq, n, done > 0, &skip);
            if (skip) {
                seq++;
                continue;
            }
            if (n == 0)
                goto out;
            if (!discard)
                n = pkt_to_iov(p, seq - p->seq, m, done, n);
            done += n;
            seq += n;
        }
        if (seq_lt(seq, p->seq_end))
            break;
        if (!peek)
            drop_read(tp, p);
    }
out:
    if (!peek) {
        tp->copied_seq = seq;
        if (tp->urg_valid && seq_gt(seq, tp->rcv_up))
            tp->urg_valid = tp->has_oob = false;
    }
    return done;
}

static ssize_t nothing_to_read(struct tcp_sock *tp) {
    struct nsock *s = &tp->base;
    if (s->err)
        return nsock_take_error(s);
    if (s->shut & 1 || tp->fin_seen)
        return 0;
    if (tp->state == NS_TCP_CLOSE)
        return s->connected ? 0 : -ENOTCONN;
    return -EAGAIN;
}

ssize_t tcp_recv_data(struct nsock *s, struct ns_msg *m) {
    struct tcp_sock *tp = tcp_of(s);
    bool peek = m->flags & NS_MSG_PEEK, discard = m->flags & NS_MSG_TRUNC;
    if (tp->state == NS_TCP_LISTEN)
        return -ENOTCONN;
    if (m->flags & NS_MSG_ERRQUEUE)
        return errq_recv(s, m);
    if (m->flags & NS_MSG_OOB)
        return recv_oob(tp, m);
    m->flags = 0;
    size_t want = ns_iov_len(m);
    size_t done = want ? read_queue(tp, m, want, peek, discard) : 0;
    if (done == 0 && want)
        return nothing_to_read(tp);
    if (!peek && done) {
        autotune(tp);
        window_update(tp);
    }
    return (ssize_t)done;
}

/* Adds up to `max` bytes behind the first `skip` unread ones to `out`, by sharing. */
static int share_queue(struct tcp_sock *tp, struct pkt *out, size_t skip, size_t max) {
    uint32_t seq = tp->copied_seq + (uint32_t)skip;
    struct pkt *p;
    list_for_each_entry(p, &tp->base.rxq, link) {
        while (out->len < max && seq_lt(seq, p->seq_end)) {
            bool over;
            uint32_t n = (uint32_t)MIN(max - out->len, (size_t)(p->seq_end - seq));
            n = limit_by_mark(tp, seq, n, out->len > 0, &over);
            if (over) { /* the urgent byte itself is read by MSG_OOB alone */
                seq++;
                continue;
            }
            if (n == 0)
                return 0;
            if (pkt_append_range(out, p, seq - p->seq, n) < 0)
                return -ENOMEM;
            seq += n;
        }
        if (out->len == max)
            break;
    }
    return 0;
}

ssize_t tcp_recv_pkt(struct nsock *s, struct ns_msg *m, size_t skip, size_t max, struct pkt **ret) {
    struct tcp_sock *tp = tcp_of(s);
    if (tp->state == NS_TCP_LISTEN)
        return -ENOTCONN;
    m->flags = 0;
    if (skip >= INT32_MAX || (int)skip > tcp_rcv_unread(tp))
        return -EAGAIN;
    struct pkt *p = list_empty(&s->rxq) ? NULL : pkt_new(&s->ns->st->mem, 0, 1);
    if (!p && !list_empty(&s->rxq))
        return -ENOMEM;
    int rc = p ? share_queue(tp, p, skip, MIN(max, (size_t)NETSTACK_FILL_MAX)) : 0;
    if (rc == 0 && p && p->len > 0) {
        *ret = p;
        return p->len;
    }
    pkt_free(p);
    return rc < 0 ? rc : skip ? -EAGAIN : nothing_to_read(tp);
}

void tcp_consume(struct nsock *s, size_t n) {
    struct tcp_sock *tp = tcp_of(s);
    struct ns_msg none = {0};
    if (read_queue(tp, &none, n, /* peek= */ false, /* discard= */ true) == 0)
        return;
    autotune(tp);
    window_update(tp);
}

int tcp_rcv_unread(const struct tcp_sock *tp) {
    uint32_t n = tp->rcv_nxt - tp->copied_seq;
    if (n && tp->fin_seen)
        n--;
    if (tp->urg_valid && !tp->base.f.oobinline && seq_ge(tp->rcv_up, tp->copied_seq) &&
        seq_lt(tp->rcv_up, tp->rcv_nxt))
        n = tp->rcv_up - tp->copied_seq; /* up to the mark: tcp(7) SIOCINQ */
    return (int)n;
}
