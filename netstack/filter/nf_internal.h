/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf_internal.h: what the files of the packet filter share, and the hooks that the IP layers
 * call. All with the stack's lock held.
 */
#pragma once

#include "netstack/filter/nf.h"
#include "netstack/stack/nsock.h"

enum { NF_CT_PRIO = -200, NF_HOOK_CHAINS_MAX = 256 };

/* One base chain in force. */
struct nf_hooked {
    struct nf_table *table;
    struct nf_chain *chain;
};

struct nf {
    struct nf_ruleset *rules;
    uint32_t generation;
    bool track;                            /* some rule asks for connections */
    uint32_t hooked_count[2][NF_HOOKS];    /* [0] IPv4, [1] IPv6 */
    struct nf_hooked *hooked[2][NF_HOOKS]; /* by priority */
    struct htab conns;
    struct list conn_list; /* nf_conn.link, oldest first */
    uint32_t conn_count, conn_max, next_conn_id;
    uint64_t conn_drops;
};

/* A packet at a hook. */
struct nf_ctx {
    struct netns *ns;
    struct pkt *p;
    int family; /* NS_AF_INET, NS_AF_INET6 */
    uint8_t hook;
    struct nic *in, *out;
    const struct nsock *sk; /* whose packet, at NF_OUTPUT and NF_POSTROUTING */
    uint32_t thoff;         /* transport header */
    uint8_t proto;
    bool later_fragment; /* has no transport header */
    bool nat_done;       /* a rule of a nat chain decided */
    bool rejected;
};

/* ---- nf_eval.c: hooks. Each may change the packet ---- */

/* Takes the packet when it does not return it. */
struct pkt *nf_prerouting(struct nic *in, struct pkt *p);
bool nf_input(struct nic *in, struct pkt *p);
/* Both hooks of a forwarded packet, whose IP header is at the front. False: dropped, the packet is still the
 * caller's. */
bool nf_forward(struct nic *in, struct pkt *p, struct rt *rt);
/* Both hooks of a local one; the route may change. 0, or -EPERM: dropped, still the caller's. */
int nf_output(struct netns *ns, struct pkt *p, const struct nsock *sk, struct rt *rt);
void nf_done(struct netns *ns);
/* Finds the transport header; false: malformed. */
bool nf_parse(struct nf_ctx *c);

/* ---- nf_expr.c ---- */
/* Runs one expression: NF_CONTINUE goes on, NF_BREAK leaves the rule, others are the rule's verdict. */
struct nf_verdict nf_expr_run(struct nf_ctx *c, struct nf_table *t, struct nf_expr *e, uint8_t *regs);
/* The n bytes of transport header from `at`, or NULL. */
const uint8_t *nf_transport(struct nf_ctx *c, uint32_t at, uint32_t n);
bool nf_limit_ok(struct nf_ctx *c, struct nf_expr *e);
/* ---- nf_set.c ---- */
void nf_set_unref(struct netns *ns, struct nf_set *s);
/* Gives a set its number in a table (nf_rules.c). -ENFILE, -ENOMEM. */
int nf_set_place(struct netns *ns, struct nf_table *t, struct nf_set *s);
/* ---- nf_xt.c ---- */
bool nf_xt_match_run(struct nf_ctx *c, struct nf_expr *e, bool *ret_drop);
struct nf_verdict nf_xt_target_run(struct nf_ctx *c, struct nf_expr *e);
bool nf_xt_ip_match(struct nf_ctx *c, const struct nf_expr *e);
bool nf_xt_wants_tracking(const struct nf_xt_ext *x);
/* Bits 1 << NS_RTN_* of what an address is here; `nic` NULL: on any interface. */
uint32_t nf_addr_types(struct nf_ctx *c, const struct ipa *a, struct nic *nic);
/* ---- nf_reject.c ---- */
void nf_reject_icmp(struct nf_ctx *c, uint8_t type, uint8_t code);
void nf_reject_reset(struct nf_ctx *c);
/* ---- nf_legacy.c ---- */
void nf_legacy_ref(struct nf_legacy *l);
void nf_legacy_unref(struct netns *ns, struct nf_legacy *l);

/* ---- conntrack.c ---- */

enum ct_info {
    CT_NONE, /* not looked up, or of no connection ("invalid") */
    CT_ESTABLISHED,
    CT_RELATED,
    CT_NEW,
    CT_ESTABLISHED_REPLY,
    CT_RELATED_REPLY,
    CT_UNTRACKED,
};
/* Bits of `state` as both front ends have them. */
enum {
    CT_BIT_INVALID = 1,
    CT_BIT_ESTABLISHED = 2,
    CT_BIT_RELATED = 4,
    CT_BIT_NEW = 8,
    CT_BIT_UNTRACKED = 64
};
enum {
    CT_S_EXPECTED = 1,
    CT_S_SEEN_REPLY = 2,
    CT_S_ASSURED = 4,
    CT_S_CONFIRMED = 8,
    CT_S_SRC_NAT = 16,
    CT_S_DST_NAT = 32,
    CT_S_SRC_NAT_DONE = 128,
    CT_S_DST_NAT_DONE = 256,
    CT_S_DYING = 512,
};
enum ct_tcp_state {
    CT_TCP_NONE,
    CT_TCP_SYN_SENT,
    CT_TCP_SYN_RECV,
    CT_TCP_ESTABLISHED,
    CT_TCP_FIN_WAIT,
    CT_TCP_CLOSE_WAIT,
    CT_TCP_LAST_ACK,
    CT_TCP_TIME_WAIT,
    CT_TCP_CLOSE,
    CT_TCP_SYN_SENT2,
    CT_TCP_STATES,
};

/* ICMP: sport is the identifier, dport type << 8 | code. */
struct ct_tuple {
    struct ipa src, dst;
    uint16_t sport, dport;
    uint8_t proto;
};

struct ct_end {
    struct hnode hnode; /* nf.conns */
    struct ct_tuple t;
    uint8_t dir;
};

struct nf_conn {
    uint32_t refs; /* one is the table's, once confirmed; one each packet's */
    struct netns *ns;
    struct ct_end end[2];
    struct list link;
    struct ntimer timer;
    int64_t deadline;
    uint32_t status, mark, id;
    uint8_t tcp_state;
    uint8_t tcp_last_dir; /* which side's FIN was seen: bit per direction */
    bool masqueraded;
    uint32_t masq_ifindex;
    struct nf_counter count[2];
};

static inline int ct_dir(uint8_t info) {
    return info == CT_ESTABLISHED_REPLY || info == CT_RELATED_REPLY;
}

/* Finds or makes the packet's connection: sets p->ct and p->ct_info. False: drop (the table is full). */
bool ct_in(struct nf_ctx *c);
/* The packet leaves or is delivered: its new connection enters the table. False: drop. */
bool ct_confirm(struct nf_ctx *c);
/* The packet's CT_BIT_*. */
uint32_t ct_state_bit(const struct pkt *p);
bool ct_tuple_of(struct nf_ctx *c, struct ct_tuple *ret);
struct ct_tuple ct_invert(const struct ct_tuple *t);
/* Is this tuple another connection's? */
bool ct_taken(struct netns *ns, const struct ct_tuple *t, const struct nf_conn *but);
void ct_kill(struct nf_conn *ct);
void ct_done(struct netns *ns);
bool ct_is_icmp_error(uint8_t proto, uint8_t type);

/* ---- nat.c ---- */

enum nat_manip { NAT_SRC, NAT_DST };
enum { NAT_MAP_IPS = 1, NAT_PROTO = 2, NAT_RANDOM = 4, NAT_PERSISTENT = 8, NAT_RANDOM_FULLY = 16 };
struct nat_range {
    uint32_t flags;
    struct ipa min, max;
    uint16_t pmin, pmax; /* host order */
};
static inline enum nat_manip nat_manip_at(uint8_t hook) {
    return hook == NF_POSTROUTING || hook == NF_INPUT ? NAT_SRC : NAT_DST;
}
/* Decides what a new connection becomes. NF_ACCEPT, NF_DROP. */
int nat_setup(struct nf_ctx *c, const struct nat_range *r, enum nat_manip m);
int nat_masquerade(struct nf_ctx *c, const struct nat_range *r);
int nat_redirect(struct nf_ctx *c, const struct nat_range *r);
bool nat_initialized(const struct nf_conn *ct, enum nat_manip m);
/* Rewrites a packet as its connection says. False: drop. */
bool nat_packet(struct nf_ctx *c);
