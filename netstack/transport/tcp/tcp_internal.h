/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_internal.h: TCP's state and what its files call of one another.
 *
 * Reading list: RFC 9293 (the protocol; section 3.10.7 gives tcp_input.c its order), RFC 5681, 6582, 6675,
 * 6937, 8985, 9438 (congestion and recovery), RFC 6298 (timer), RFC 7323, 2018, 2883 (options), RFC 5961,
 * 6528 (attacks), RFC 3168 (ECN), RFC 4987 (SYN floods), RFC 6191 (TIME-WAIT), tcp(7) (what sockets see).
 *
 * Who holds whom: the connection table holds one reference on a tcp_sock from connect/accept until CLOSED;
 * the user holds one; a listener's accept queue holds one per child until accept(). A tcp_req and a tcp_tw
 * belong to the table alone. Sequence numbers are uint32_t and compared by seq_*(). Times are ns; windows and
 * cwnd are bytes.
 */
#pragma once

#include "netstack/stack/nsock.h"
#include "netstack/wire/wire_tcp.h"

enum {
    TCP_INIT_CWND_SEGS = 10, /* RFC 6928 */
    TCP_DUPTHRESH = 3,       /* RFC 5681 section 3.2 */
    TCP_MIN_MSS = 48,
    TCP_DEFAULT_MSS4 = 536, /* RFC 9293 section 3.7.1, MUST-15 */
    TCP_DEFAULT_MSS6 = 1220,
    TCP_MAX_SEG = 65535 - 60 - 60, /* payload of a super-segment with its headers in one IP packet */
    TCP_QUICKACK_SEGS = 16,
};
#define TCP_RTO_INIT   SEC(1)    /* RFC 6298 section 2.1 */
#define TCP_RTO_MIN    MSEC(200) /* as Linux; RFC 6298 (2.4) says 1 s SHOULD */
#define TCP_RTO_MAX    SEC(120)
#define TCP_DELACK_MIN MSEC(40)
#define TCP_DELACK_MAX MSEC(200) /* RFC 9293 section 3.8.6.3 allows 500 ms */
#define TCP_TIMEWAIT   SEC(60)

/* The segment under work: a parameter, never a global. */
struct tcp_rx {
    struct netns *ns;
    struct nic *nic;
    struct pkt *p; /* freed by tcp_input() unless taken */
    struct tcp_hdr h;
    struct tcp_options opt;
    uint32_t payload; /* bytes of text */
    uint32_t payload_off;
    uint32_t seq_end; /* after text, SYN and FIN */
};

struct tcp_ep;
struct tcp_ep_ops {
    /* Does: handles a segment of this connection. Takes rx->p by TAKE() if it keeps it. Required. */
    void (*input)(struct tcp_ep *ep, struct tcp_rx *rx);
    /* Does: an ICMP error about a segment we sent; `seq` is the quoted one. Optional (absent: ignored). */
    void (*error)(struct tcp_ep *ep, const struct icmp_err *e, uint32_t seq);
    /* Does: may a new connection take this one's place? Then it has made way. Optional (absent: no). */
    bool (*give_way)(struct tcp_ep *ep);
};

/* What the connection table holds: a connection, a half-open one, or one in TIME-WAIT. */
struct tcp_ep {
    struct hnode hnode;
    const struct tcp_ep_ops *ops;
    struct ipa laddr, raddr;
    uint16_t lport, rport;
};

/* A piece of the send queue: text or a FIN, sent or not. */
struct tcp_seg {
    struct list link;
    struct pkt *data; /* NULL: FIN alone */
    uint32_t seq, len;
    uint8_t flags; /* TH_PSH, TH_FIN */
    bool sent, sacked, lost, retrans /* a retransmission is in flight */, ever_retrans, app_limited;
    uint16_t tx_count;
    int64_t sent_ns;    /* last transmission */
    int64_t first_ns;   /* first transmission */
    uint64_t delivered; /* tcp_sock.delivered at last transmission (rate sampling) */
    int64_t delivered_ns;
};

enum tcp_ca_state { CA_OPEN, CA_DISORDER, CA_CWR, CA_RECOVERY, CA_LOSS }; /* values of tcpi_ca_state */
enum tcp_rtx_mode { RTX_NONE, RTX_RTO, RTX_TLP, RTX_REO, RTX_PROBE };

struct tcp_sock;

/* One congestion control; windows in bytes. */
struct tcp_cc_ops {
    const char *name;
    /* Does: starts its state. Required. */
    void (*init)(struct tcp_sock *tp);
    /* Does: grows cwnd after `acked` bytes were acknowledged while cwnd was the limit. Required. */
    void (*grow)(struct tcp_sock *tp, uint32_t acked);
    /* Does: the new ssthresh after a congestion signal. Required. */
    uint32_t (*ssthresh)(struct tcp_sock *tp);
    /* Does: a timeout happened: forget what only holds for a running ACK clock. Optional. */
    void (*timeout)(struct tcp_sock *tp);
};

struct tcp_cubic {
    double w_max, k, origin; /* segments, seconds */
    double w_est;
    int64_t epoch_ns; /* 0: none */
    double cwnd_cnt;
};

struct tcp_sock {
    struct nsock base; /* first */
    struct tcp_ep ep;
    struct list all_link; /* netns.tcp_all */
    uint8_t state;        /* NS_TCP_* */
    bool orphan;          /* the user has closed */
    bool in_table, connecting;

    /* ---- send: RFC 9293 section 3.3.1 ---- */
    uint32_t iss, snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2, snd_up, snd_sml;
    uint32_t max_window;
    uint32_t write_seq;       /* after everything queued, FIN included */
    struct list sendq;        /* tcp_seg.link, snd_una .. write_seq */
    struct tcp_seg *snd_head; /* first not sent */
    uint32_t tx_mem, notsent_lowat;
    bool fin_queued;
    bool nospace; /* somebody waits for room */
    uint16_t mss; /* text per segment with the options we always send */
    uint16_t peer_mss, user_mss;
    uint16_t advmss;
    uint8_t snd_wscale, rcv_wscale;
    bool sack_ok, ts_ok, wscale_ok, nodelay, cork;
    int64_t last_send_ns, last_ack_sent_ns, last_challenge_ns;

    /* ---- receive ---- */
    uint32_t irs, rcv_nxt, rcv_wup, rcv_wnd, copied_seq, rcv_up;
    struct list oooq; /* pkt.link, by pkt.seq, disjoint */
    uint32_t ooo_mem, ooo_bytes;
    bool fin_seen;
    bool urg_valid; /* rcv_up is the urgent byte's sequence number, not yet passed */
    bool has_oob;   /* oob_byte waits for MSG_OOB */
    bool oob_read;  /* it was fetched already */
    uint8_t oob_byte;
    struct tcp_sack_block sacks[TCP_MAX_SACK_BLOCKS]; /* most recent first */
    uint8_t sack_count;
    bool dsack_pending;
    struct tcp_sack_block dsack;
    uint32_t window_clamp; /* 0: none */
    uint16_t rcv_mss;
    uint8_t quickack_left;
    bool quickack_mode, pingpong, ack_pending, ack_now;
    int64_t last_rcv_ns;
    uint32_t ts_recent;
    int64_t ts_recent_ns;
    uint32_t ts_offset;
    /* receive buffer auto-tuning: one measurement per round trip */
    uint32_t drs_copied_seq, drs_space;
    int64_t drs_start_ns;
    int64_t rcv_rtt_ns, rcv_rtt_start_ns;
    uint32_t rcv_rtt_seq;

    /* ---- round trip and timers: RFC 6298 ---- */
    int64_t srtt_ns, rttvar_ns, min_rtt_ns, rto_ns;
    struct ntimer rtx_timer, delack_timer, keep_timer, pace_timer;
    uint64_t pacing_rate; /* bytes per second, SO_MAX_PACING_RATE; 0: no limit */
    int64_t pace_next_ns; /* the wire is ours again then */
    uint8_t rtx_mode;     /* enum tcp_rtx_mode */
    uint8_t backoff, retries, probes, keep_probes_sent;
    int64_t first_timeout_ns; /* when the current run of timeouts began */
    uint32_t user_timeout_ms;
    int keep_idle_s, keep_intvl_s, keep_probes; /* 0: the namespace's */
    uint8_t syn_retries;                        /* 0: the namespace's */
    int linger2_s;
    int defer_accept_s;

    /* ---- congestion and recovery ---- */
    const struct tcp_cc_ops *cc;
    struct tcp_cubic cubic;
    uint8_t ca_state; /* enum tcp_ca_state */
    uint32_t cwnd, ssthresh, cwnd_acked, high_seq, prior_cwnd, prior_ssthresh, prr_delivered, prr_out;
    uint32_t undo_marker;
    bool undo_valid, cwnd_limited;
    uint32_t retrans_ts; /* timestamp clock at the first retransmission of this episode */
    bool retrans_ts_valid;
    uint32_t sacked_bytes, lost_bytes, retrans_bytes, reno_sacked;
    uint32_t dupacks;
    /* RACK, TLP: RFC 8985 */
    int64_t rack_xmit_ns, rack_rtt_ns;
    uint32_t rack_end_seq, rack_fack;
    bool reordering_seen, dsack_seen;
    uint8_t reo_mult, reo_persist;
    uint32_t rack_dsack_round;
    bool rack_round_valid;
    uint32_t tlp_end_seq;
    bool tlp_is_retrans, tlp_active;
    int64_t reo_deadline; /* 0: no reordering timer */
    int64_t rto_deadline; /* 0: not running */
    /* ECN: RFC 3168 */
    bool ecn_ok, ecn_echo, ecn_send_cwr;
    uint8_t ecn_asked;
    /* path MTU */
    uint32_t pmtu;
    bool blackhole;

    /* ---- listener ---- */
    struct list synq;    /* tcp_req.link */
    struct list acceptq; /* tcp_sock.accept_link */
    struct list accept_link;
    struct tcp_sock *listener; /* of a child not yet accepted */
    uint32_t syn_count, accept_count, backlog;
    uint32_t fastopen_max, fastopen_pending;
    int64_t cookie_until;
    bool tfo_child; /* made by a SYN with a cookie; counted in the listener's fastopen_pending */

    int soft_err;
    /* ---- numbers for TCP_INFO ---- */
    uint64_t delivered, delivered_ce, bytes_acked, bytes_received, bytes_sent, bytes_retrans;
    uint64_t rate_bytes_per_s;
    int64_t delivered_ns, first_tx_ns;
    uint64_t app_limited_until;
    uint32_t segs_out, segs_in, data_segs_out, data_segs_in, total_retrans, dsack_dups, reord_seen,
        rcv_ooopack;
};

/* A connection that awaits the third segment of its handshake. */
struct tcp_req {
    struct tcp_ep ep;
    struct list link; /* listener's synq */
    struct tcp_sock *listener;
    struct ntimer timer;
    uint32_t iss, irs, rcv_wnd, ts_recent, ts_offset;
    uint16_t peer_mss;
    uint8_t snd_wscale, rcv_wscale, retries;
    bool ts_ok, sack_ok, wscale_ok, ecn_ok, acked;
    uint32_t ifindex;
    int64_t sent_ns;
};

/* A connection in TIME-WAIT. */
struct tcp_tw {
    struct tcp_ep ep;
    struct netns *ns;
    struct list link;
    struct bind_node bind;
    struct ntimer timer;
    uint32_t snd_nxt, rcv_nxt, rcv_wnd, ts_recent, ts_offset;
    int64_t ts_recent_ns;
    uint8_t tos;
    bool ts_ok;
    uint32_t bound_if;
};

static inline struct tcp_sock *tcp_of(struct nsock *s) {
    return container_of(s, struct tcp_sock, base);
}

static inline int64_t tcp_now(const struct tcp_sock *tp) {
    return tp->base.ns->st->now;
}

/* The timestamp clock: milliseconds (RFC 7323 section 5.4), with a secret offset per pair of hosts. */
static inline uint32_t tcp_ts_clock(const struct netstack *st, uint32_t offset) {
    return (uint32_t)(st->now / 1000000) + offset;
}

static inline uint32_t seg_space(const struct tcp_seg *g) {
    return g->len + (g->flags & TH_FIN ? 1 : 0);
}

static inline uint32_t seg_end(const struct tcp_seg *g) {
    return g->seq + seg_space(g);
}

/* Bytes believed to be in the network: RFC 6675 section 4, "pipe". */
static inline uint32_t tcp_in_flight(const struct tcp_sock *tp) {
    uint32_t out = tp->snd_nxt - tp->snd_una;
    uint32_t gone = tp->sacked_bytes + tp->reno_sacked + tp->lost_bytes;
    return (out > gone ? out - gone : 0) + tp->retrans_bytes;
}

/* The earlier of two sequence numbers. */
static inline uint32_t seq_min(uint32_t a, uint32_t b) {
    return seq_lt(a, b) ? a : b;
}

/* ---- tcp_input.c ---- */
extern const struct tcp_ep_ops tcp_sock_ep_ops;

/* ---- tcp_conn.c: table, names, creation ---- */
struct tcp_ep *tcp_ep_find(struct netns *ns, const struct ipa *l, uint16_t lp, const struct ipa *r,
                           uint16_t rp);
void tcp_ep_insert(struct netns *ns, struct tcp_ep *ep);
void tcp_ep_remove(struct netns *ns, struct tcp_ep *ep);
/* RFC 6528: time plus a keyed hash of the connection. */
uint32_t tcp_make_isn(struct netns *ns, const struct tcp_ep *ep);
uint32_t tcp_make_ts_offset(struct netns *ns, const struct ipa *l, const struct ipa *r);
struct tcp_sock *tcp_alloc(struct netns *ns, int family);
/* Enters the table, takes its reference. */
void tcp_hash(struct tcp_sock *tp);
/* CLOSED: leaves the table, stops timers, drops queues and that reference; may free tp. */
void tcp_done(struct tcp_sock *tp);
/* The same with an error for the user. */
void tcp_fail(struct tcp_sock *tp, int err);
void tcp_set_state(struct tcp_sock *tp, uint8_t state);
struct tcp_sock *tcp_child_new(struct tcp_req *r, struct tcp_rx *rx);
/* Route for a connection, cached; and the MSS that follows from it. */
int tcp_route(struct tcp_sock *tp, struct rt *ret);
void tcp_sync_mss(struct tcp_sock *tp);
uint16_t tcp_advertised_mss(struct tcp_sock *tp, const struct rt *rt);
void tcp_enter_established(struct tcp_sock *tp);
bool tcp_is_synchronized(const struct tcp_sock *tp);

/* ---- tcp_listen.c ---- */
int tcp_listen_start(struct nsock *s, int backlog);
int tcp_listen_accept(struct nsock *s, struct nsock **ret);
void tcp_listen_stop(struct tcp_sock *tp);
void tcp_listen_input(struct tcp_sock *tp, struct tcp_rx *rx);
struct tcp_sock *tcp_listener_find(struct tcp_rx *rx);
void tcp_req_free(struct tcp_req *r);
void tcp_accept_enqueue(struct tcp_sock *listener, struct tcp_sock *child);

/* ---- tcp_cookies.c ---- */
uint32_t tcp_cookie_make(struct netns *ns, const struct tcp_rx *rx, uint16_t *ret_mss);
bool tcp_cookie_check(struct netns *ns, const struct tcp_rx *rx, uint16_t *ret_mss);
/* Options hidden in the low bits of our timestamp. */
uint32_t tcp_cookie_ts(struct netns *ns, const struct tcp_rx *rx, bool ecn);
bool tcp_cookie_ts_decode(struct netns *ns, const struct tcp_rx *rx, struct tcp_req *r);
uint8_t tcp_tfo_cookie(struct netns *ns, const struct ipa *l, const struct ipa *r, uint8_t *out);

/* ---- tcp_connect.c ---- */
int tcp_connect_start(struct nsock *s, const struct ns_addr *a);
void tcp_syn_sent_input(struct tcp_sock *tp, struct tcp_rx *rx);

/* ---- tcp_tw.c ---- */
/* Replaces tp by a TIME-WAIT entry; tp is done afterwards. */
void tcp_time_wait(struct tcp_sock *tp);
void tcp_tw_free(struct tcp_tw *tw);

/* ---- tcp_rcv.c ---- */
void tcp_data_input(struct tcp_sock *tp, struct tcp_rx *rx);
void tcp_fin_input(struct tcp_sock *tp);
void tcp_urg_input(struct tcp_sock *tp, struct tcp_rx *rx);
uint32_t tcp_select_window(struct tcp_sock *tp);
uint32_t tcp_receive_window(const struct tcp_sock *tp);
void tcp_init_rcv_window(struct tcp_sock *tp);
void tcp_info_fill(const struct tcp_sock *tp, struct ns_tcp_info *ret);
ssize_t tcp_recv_data(struct nsock *s, struct ns_msg *m);
ssize_t tcp_recv_pkt(struct nsock *s, struct ns_msg *m, size_t skip, size_t max, struct pkt **ret);
void tcp_consume(struct nsock *s, size_t n);
void tcp_ack_check(struct tcp_sock *tp);
void tcp_delack_fire(struct tcp_sock *tp);
void tcp_duplicate_input(struct tcp_sock *tp, uint32_t start, uint32_t end);
int tcp_rcv_unread(const struct tcp_sock *tp);

/* ---- tcp_snd.c ---- */
ssize_t tcp_send_data(struct nsock *s, struct ns_msg *m);
ssize_t tcp_send_pkt(struct nsock *s, struct ns_msg *m, struct pkt *p);
int tcp_queue_fin(struct tcp_sock *tp);
bool tcp_pace_ok(struct tcp_sock *tp);
/* Sends what the windows allow. */
void tcp_push(struct tcp_sock *tp, bool force);
void tcp_send_ack(struct tcp_sock *tp);
void tcp_send_challenge_ack(struct tcp_sock *tp);
void tcp_send_syn(struct tcp_sock *tp);
void tcp_send_synack(struct tcp_sock *tp);
/* One segment of this connection with `p` (text, or NULL) behind the header. Takes p. */
int tcp_xmit(struct tcp_sock *tp, struct pkt *p, uint32_t seq, uint8_t flags);
/* A RST for our own connection. */
void tcp_send_rst(struct tcp_sock *tp);
/* An ACK with an old sequence number: keepalive and window probes (RFC 9293 sections 3.8.4, 3.8.6.1). */
void tcp_send_probe(struct tcp_sock *tp);
/* (Re)transmits one queue entry, at most `limit` bytes of it (splitting it). */
int tcp_transmit_seg(struct tcp_sock *tp, struct tcp_seg *g);
int tcp_split_seg(struct tcp_sock *tp, struct tcp_seg *g, uint32_t len);
int tcp_merge_seg(struct tcp_sock *tp, struct tcp_seg *g, struct tcp_seg *next);
void tcp_seg_free(struct tcp_sock *tp, struct tcp_seg *g);
void tcp_snd_purge(struct tcp_sock *tp);
uint32_t tcp_write_space(const struct tcp_sock *tp);
/* Text per packet, counted with the SACK blocks that it would carry. */
uint32_t tcp_eff_mss(const struct tcp_sock *tp);

/* ---- tcp_output.c: segments without a connection, and the common tail ---- */
struct tcp_bare {
    struct ipa src, dst;
    uint16_t sport, dport;
    uint32_t seq, ack, window;
    uint8_t flags, tos;
    struct tcp_options opt;
    uint32_t mark, oif;
};
void tcp_send_bare(struct netns *ns, const struct tcp_bare *b);
/* RFC 9293 section 3.5.2 group 1 and 3.10.7.1: the answer to a segment that belongs to nothing. */
void tcp_send_reset_for(const struct tcp_rx *rx);
bool tcp_challenge_allowed(struct netns *ns);

/* ---- tcp_rtx.c: acknowledgements, recovery ---- */
/* False: the segment is to be dropped (unacceptable ACK). */
bool tcp_ack_input(struct tcp_sock *tp, struct tcp_rx *rx);
void tcp_enter_loss(struct tcp_sock *tp);
void tcp_retransmit_lost(struct tcp_sock *tp);
int tcp_retransmit_one(struct tcp_sock *tp, struct tcp_seg *g);
void tcp_mark_lost(struct tcp_sock *tp, struct tcp_seg *g);
void tcp_enter_recovery(struct tcp_sock *tp);
void tcp_enter_cwr(struct tcp_sock *tp);
struct tcp_seg *tcp_first_seg(struct tcp_sock *tp);

/* ---- tcp_sack.c ---- */
struct tcp_ack_state {
    uint32_t prior_una, prior_flight;
    uint64_t delivered_before;
    uint32_t acked;  /* bytes newly acknowledged in order */
    uint32_t sacked; /* bytes newly SACKed */
    bool dsack;
    bool una_advanced;
    bool retrans_acked; /* something that had been retransmitted was acknowledged */
    int64_t rtt_ns;     /* -1: no sample */
    /* rate sample: of the packet sent last among those delivered now */
    uint64_t prior_delivered;
    int64_t prior_ns, send_elapsed_ns;
    bool has_rate, app_limited;
};
void tcp_sack_input(struct tcp_sock *tp, const struct tcp_rx *rx, struct tcp_ack_state *a);
/* The blocks that we report. */
void tcp_sack_update(struct tcp_sock *tp, uint32_t start, uint32_t end);
void tcp_sack_advance(struct tcp_sock *tp);
void tcp_sack_fill(struct tcp_sock *tp, struct tcp_options *o);
uint32_t tcp_sack_option_len(const struct tcp_sock *tp);

/* ---- tcp_rack.c ---- */
void tcp_rack_delivered(struct tcp_sock *tp, const struct tcp_seg *g, const struct tcp_rx *rx);
/* Notes of one entry that was acknowledged or SACKed just now: samples of round trip and rate. */
void tcp_note_delivered(struct tcp_sock *tp, const struct tcp_seg *g, const struct tcp_rx *rx,
                        struct tcp_ack_state *a);
void tcp_rack_update_reo(struct tcp_sock *tp, const struct tcp_ack_state *a);
/* Marks losses; returns true if there were new ones. Arms the reordering timer. */
bool tcp_rack_detect(struct tcp_sock *tp);
bool tcp_tlp_schedule(struct tcp_sock *tp);
void tcp_tlp_fire(struct tcp_sock *tp);
void tcp_tlp_ack(struct tcp_sock *tp, const struct tcp_rx *rx, const struct tcp_ack_state *a);

/* ---- tcp_cc_*.c ---- */
extern const struct tcp_cc_ops tcp_cc_reno, tcp_cc_cubic;
const struct tcp_cc_ops *tcp_cc_find(const char *name);
/* Slow start up to ssthresh; returns the bytes left over (RFC 5681 section 3.1, RFC 3465 with L unlimited).
 */
uint32_t tcp_slow_start(struct tcp_sock *tp, uint32_t acked);

/* ---- tcp_timer.c ---- */
extern const struct ntimer_ops tcp_rtx_timer_ops, tcp_delack_timer_ops, tcp_keep_timer_ops,
    tcp_pace_timer_ops;
/* Chooses and arms the timer of what is outstanding: reordering, loss probe, retransmission or window probe.
 */
void tcp_rearm_rtx(struct tcp_sock *tp);
void tcp_arm_keepalive(struct tcp_sock *tp);
void tcp_stop_timers(struct tcp_sock *tp);
void tcp_update_rtt(struct tcp_sock *tp, int64_t rtt_ns);
int64_t tcp_rto(const struct tcp_sock *tp);

/* ---- tcp_sockopt.c ---- */
int tcp_setopt(struct nsock *s, int level, int name, const void *val, size_t len);
int tcp_getopt(struct nsock *s, int level, int name, void *val, size_t *len);
