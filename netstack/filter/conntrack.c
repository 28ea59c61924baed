/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/conntrack.c: which connection a packet belongs to. TCP, UDP, ICMP echo, others by address;
 * errors of ICMP belong to the connection that they quote.
 *
 * A connection enters the table when its first packet has passed all hooks (ct_confirm), so that dropped ones
 * leave nothing. The table is bounded; when it is full, an old connection that was never answered goes. TCP's
 * windows are not checked: as Linux with nf_conntrack_tcp_be_liberal=1 (ct_tcp.c has its states).
 * Time-outs are Linux' defaults (nf_conntrack-sysctl of its documentation). Sources: RFC 792, RFC 4443,
 * RFC 5382, conntrack(8).
 */
#include <errno.h>

#include "netstack/filter/ct_tcp.h"
#include "netstack/filter/nf_internal.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"
#include "netstack/wire/wire_tcp.h"

NETSTACK_TYPE(t_conn, struct nf_conn);

enum {
    TIMEOUT_UDP = 30,
    TIMEOUT_UDP_STREAM = 120,
    TIMEOUT_ICMP = 30,
    TIMEOUT_GENERIC = 600,
    EVICT_LOOK = 64
};

void nf_conn_ref(struct nf_conn *ct) {
    ct->refs++;
}

void nf_conn_put(struct nsmem *mem, struct nf_conn *ct) {
    ASSERT(ct->refs > 0);
    if (--ct->refs == 0)
        nsmem_free(mem, &t_conn, ct);
}

/* ---- tuples ---- */

bool ct_is_icmp_error(uint8_t proto, uint8_t type) {
    if (proto == IPPROTO_NUM_ICMPV6)
        return type < 128;
    return type == ICMP_UNREACH || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
           type == ICMP_TIME_EXCEEDED || type == ICMP_PARAM_PROBLEM;
}

/* The type that answers a request, and the request that is answered; 0xff: none. */
static uint8_t icmp_opposite(uint8_t proto, uint8_t type) {
    static const uint8_t v4[19] = {[ICMP_ECHO_REPLY] = ICMP_ECHO + 1,
                                   [ICMP_ECHO] = ICMP_ECHO_REPLY + 1,
                                   [ICMP_TIMESTAMP] = ICMP_TIMESTAMP_REPLY + 1,
                                   [ICMP_TIMESTAMP_REPLY] = ICMP_TIMESTAMP + 1,
                                   [15] = 17,
                                   [16] = 16,
                                   [17] = 19,
                                   [18] = 18};
    if (proto == IPPROTO_NUM_ICMPV6)
        return type == ICMP6_ECHO ? ICMP6_ECHO_REPLY : type == ICMP6_ECHO_REPLY ? ICMP6_ECHO : 0xff;
    return type < sizeof v4 && v4[type] ? v4[type] - 1 : 0xff;
}

static bool is_icmp(uint8_t proto) {
    return proto == IPPROTO_NUM_ICMP || proto == IPPROTO_NUM_ICMPV6;
}

struct ct_tuple ct_invert(const struct ct_tuple *t) {
    struct ct_tuple r = {
        .src = t->dst, .dst = t->src, .sport = t->dport, .dport = t->sport, .proto = t->proto};
    if (is_icmp(t->proto)) {
        r.sport = t->sport;
        r.dport = (uint16_t)(icmp_opposite(t->proto, (uint8_t)(t->dport >> 8)) << 8 | (t->dport & 0xff));
    }
    return r;
}

/* Ports, or what stands for them, of the transport header `h` of `len` bytes. */
static bool fill_ports(struct ct_tuple *t, const uint8_t *h, uint32_t len) {
    switch (t->proto) {
    case IPPROTO_NUM_TCP:
    case IPPROTO_NUM_UDP:
    case 132: /* SCTP */
    case 136: /* UDP-Lite */
        if (len < 4)
            return false;
        t->sport = get_be16(h);
        t->dport = get_be16(h + 2);
        return true;
    case IPPROTO_NUM_ICMP:
    case IPPROTO_NUM_ICMPV6:
        if (len < ICMP_HLEN)
            return false;
        t->sport = get_be16(h + 4);
        t->dport = get_be16(h);
        return true;
    default:
        return true;
    }
}

bool ct_tuple_of(struct nf_ctx *c, struct ct_tuple *ret) {
    uint32_t len = c->p->len - c->thoff, want = MIN(len, 8u);
    const uint8_t *h = pkt_header(c->p, c->thoff + want);
    struct ct_tuple t = {.src = c->p->src, .dst = c->p->dst, .proto = c->proto};
    if (!h || c->later_fragment || !fill_ports(&t, h + c->thoff, want))
        return false;
    *ret = t;
    return true;
}

static uint32_t tuple_hash(const struct netns *ns, const struct ct_tuple *t) {
    struct {
        struct ipa src, dst;
        uint16_t sport, dport;
        uint32_t proto;
    } key = {t->src, t->dst, t->sport, t->dport, t->proto};
    return stack_hash(ns->st, &key, sizeof(key));
}

static bool tuple_eq(const struct ct_tuple *a, const struct ct_tuple *b) {
    return a->proto == b->proto && a->sport == b->sport && a->dport == b->dport && ipa_eq(&a->src, &b->src) &&
           ipa_eq(&a->dst, &b->dst);
}

static struct ct_end *find(struct netns *ns, const struct ct_tuple *t) {
    uint32_t hash = tuple_hash(ns, t);
    for (struct hnode *n = htab_first(&ns->nf_state->conns, hash); n; n = htab_next(n, hash)) {
        struct ct_end *e = container_of(n, struct ct_end, hnode);
        if (tuple_eq(&e->t, t))
            return e;
    }
    return NULL;
}

static struct nf_conn *conn_of(struct ct_end *e) {
    return container_of(e - e->dir, struct nf_conn, end[0]);
}

bool ct_taken(struct netns *ns, const struct ct_tuple *t, const struct nf_conn *but) {
    struct ct_end *e = find(ns, t);
    return e && conn_of(e) != but;
}

/* ---- life ---- */

void ct_kill(struct nf_conn *ct) {
    if (!(ct->status & CT_S_CONFIRMED) || ct->status & CT_S_DYING)
        return;
    struct netns *ns = ct->ns;
    ct->status |= CT_S_DYING;
    for (int d = 0; d < 2; d++)
        htab_remove(&ns->nf_state->conns, &ct->end[d].hnode);
    list_del(&ct->link);
    ns->nf_state->conn_count--;
    ntimer_disarm(ns->st, &ct->timer);
    nf_conn_put(&ns->st->mem, ct);
}

static void expire(struct netstack *st, struct ntimer *t) {
    struct nf_conn *ct = container_of(t, struct nf_conn, timer);
    if (ct->deadline > st->now)
        ntimer_arm(st, t, ct->deadline); /* it was used since */
    else
        ct_kill(ct);
}
static const struct ntimer_ops timer_ops = {.fire = expire};

/* The timer itself moves only when it would come too late. */
static void refresh(struct nf_conn *ct, uint32_t seconds) {
    struct netstack *st = ct->ns->st;
    ct->deadline = st->now + SEC(seconds);
    if (ntimer_armed(&ct->timer) && ct->timer.deadline > ct->deadline)
        ntimer_arm(st, &ct->timer, ct->deadline);
}

/* Room for one more: drops the oldest of the first few that nobody answered. */
static bool make_room(struct netns *ns) {
    struct nf *nf = ns->nf_state;
    if (nf->conn_count < nf->conn_max)
        return true;
    struct nf_conn *ct;
    int look = EVICT_LOOK;
    list_for_each_entry(ct, &nf->conn_list, link) {
        if (!(ct->status & CT_S_ASSURED)) {
            ct_kill(ct);
            return true;
        }
        if (--look == 0)
            break;
    }
    nf->conn_drops++;
    return false;
}

/* Without a reference yet: attach() comes next. */
static struct nf_conn *conn_new(struct netns *ns, const struct ct_tuple *t) {
    struct nf_conn *ct = nsmem_alloc(&ns->st->mem, &t_conn);
    if (!ct)
        return NULL;
    ct->ns = ns;
    ct->id = ++ns->nf_state->next_conn_id;
    ct->end[0].t = *t;
    ct->end[1].t = ct_invert(t);
    ct->end[1].dir = 1;
    list_init(&ct->link);
    ntimer_init(&ct->timer, &timer_ops);
    return ct;
}

bool ct_confirm(struct nf_ctx *c) {
    struct nf_conn *ct = c->p->ct;
    if (!ct || ct->status & (CT_S_CONFIRMED | CT_S_DYING))
        return true;
    struct netns *ns = c->ns;
    if (ct->ns != ns)
        return true;
    for (int d = 0; d < 2; d++)
        if (find(ns, &ct->end[d].t))
            return false; /* another one took the place meanwhile */
    if (!make_room(ns))
        return false;
    for (int d = 0; d < 2; d++)
        htab_insert(&ns->st->mem, &ns->nf_state->conns, &ct->end[d].hnode, tuple_hash(ns, &ct->end[d].t));
    list_add_tail(&ns->nf_state->conn_list, &ct->link);
    ns->nf_state->conn_count++;
    ct->status |= CT_S_CONFIRMED;
    ct->refs++;
    ntimer_arm(ns->st, &ct->timer, ct->deadline);
    return true;
}

/* ---- packets ---- */

static void attach(struct pkt *p, struct nf_conn *ct, uint8_t info) {
    p->ct = ct;
    p->ct_info = info;
    nf_conn_ref(ct);
}

/* The connection that an ICMP error is about: the quoted packet went the other way. */
static void error_in(struct nf_ctx *c, const uint8_t *m, uint32_t len) {
    bool v4 = c->family == NS_AF_INET;
    const uint8_t *ip = m + ICMP_HLEN;
    uint32_t avail = len - ICMP_HLEN, hlen = v4 ? (uint32_t)(ip[0] & 0xf) * 4 : IPV6_HLEN;
    if (ip[0] >> 4 != (v4 ? 4 : 6) || hlen > avail || (v4 && hlen < IPV4_MIN_HLEN))
        return;
    struct ct_tuple t = {.src = v4 ? ipa_from4_wire(ip + 12) : ipa_from6_wire(ip + 8),
                         .dst = v4 ? ipa_from4_wire(ip + 16) : ipa_from6_wire(ip + 24),
                         .proto = v4 ? ip[9] : ip[6]};
    if ((v4 && get_be16(ip + 6) & IPV4_OFFSET_MASK) || !fill_ports(&t, ip + hlen, avail - hlen))
        return;
    struct ct_tuple back = ct_invert(&t);
    struct ct_end *e = find(c->ns, &back);
    if (e)
        attach(c->p, conn_of(e), e->dir ? CT_RELATED_REPLY : CT_RELATED);
}

static bool csum_bad(struct nf_ctx *c) {
    struct pkt *p = c->p;
    uint32_t len = p->len - c->thoff;
    if (c->hook != NF_PREROUTING || p->csum != CSUM_NONE || p->gso != GSO_NONE)
        return false;
    uint32_t sum = c->proto == IPPROTO_NUM_ICMP ? 0 : csum_pseudo(&p->src, &p->dst, c->proto, len);
    return csum_fold(pkt_csum(p, c->thoff, len, sum)) != 0;
}

/* NDP and MLD are no business of connections (as in Linux: untracked). */
static bool is_control6(const uint8_t *m) {
    return (m[0] >= ICMP6_MLD_QUERY && m[0] <= ICMP6_REDIRECT) || m[0] == ICMP6_MLD2_REPORT;
}

/* Is the packet about one, or no part of any? True: the answer is given already. */
static bool icmp_special(struct nf_ctx *c) {
    uint32_t len = MIN(c->p->len - c->thoff, (uint32_t)(ICMP_HLEN + IPV4_MAX_HLEN + 64));
    const uint8_t *m = pkt_header(c->p, c->thoff + len);
    if (!m || len < ICMP_HLEN || csum_bad(c))
        return true;
    m += c->thoff;
    if (c->proto == IPPROTO_NUM_ICMPV6 && is_control6(m)) {
        c->p->ct_info = CT_UNTRACKED;
        return true;
    }
    if (!ct_is_icmp_error(c->proto, m[0]))
        return false;
    if (len >= ICMP_HLEN + IPV4_MIN_HLEN)
        error_in(c, m, len);
    return true;
}

static uint32_t other_timeout(struct nf_conn *ct) {
    switch (ct->end[0].t.proto) {
    case IPPROTO_NUM_UDP:
    case 136:
        return ct->status & CT_S_ASSURED ? TIMEOUT_UDP_STREAM : TIMEOUT_UDP;
    case IPPROTO_NUM_ICMP:
    case IPPROTO_NUM_ICMPV6:
        return TIMEOUT_ICMP;
    default:
        return TIMEOUT_GENERIC;
    }
}

/* Only requests start something. */
static bool may_begin(const struct ct_tuple *t) {
    uint8_t type = (uint8_t)(t->dport >> 8);
    if (t->proto == IPPROTO_NUM_ICMP)
        return type == ICMP_ECHO || type == ICMP_TIMESTAMP || type == 15 || type == 17;
    return t->proto != IPPROTO_NUM_ICMPV6 || type == ICMP6_ECHO;
}

/* NULL with *ret_full: no room; without: the packet belongs to nothing. */
static struct nf_conn *begin(struct nf_ctx *c, const struct ct_tuple *t, const uint8_t *tcp, bool *ret_full) {
    if (!may_begin(t) || (tcp && !ct_tcp_may_begin(tcp)))
        return NULL;
    struct nf_conn *ct = conn_new(c->ns, t);
    *ret_full = !ct;
    return ct;
}

/* Advances the connection's own state. False: the packet does not fit it. */
static bool advance(struct nf_ctx *c, struct nf_conn *ct, int dir, const uint8_t *tcp) {
    if (dir == 1) {
        if (ct->status & CT_S_SEEN_REPLY && ct->end[0].t.proto == IPPROTO_NUM_UDP)
            ct->status |= CT_S_ASSURED;
        ct->status |= CT_S_SEEN_REPLY;
    } else if (ct->status & CT_S_SEEN_REPLY && !tcp && !is_icmp(ct->end[0].t.proto)) {
        ct->status |= CT_S_ASSURED;
    }
    if (tcp && !ct_tcp_packet(ct, dir, tcp))
        return false;
    refresh(ct, tcp ? ct_tcp_timeout(ct) : other_timeout(ct));
    ct->count[dir].packets++;
    ct->count[dir].bytes += c->p->len - c->p->net_off;
    return true;
}

uint32_t ct_state_bit(const struct pkt *p) {
    if (p->ct_info == CT_UNTRACKED)
        return CT_BIT_UNTRACKED;
    if (!p->ct)
        return CT_BIT_INVALID;
    switch (p->ct_info) {
    case CT_NEW:
        return CT_BIT_NEW;
    case CT_RELATED:
    case CT_RELATED_REPLY:
        return CT_BIT_RELATED;
    default:
        return CT_BIT_ESTABLISHED;
    }
}

static const uint8_t *tcp_header(struct nf_ctx *c) {
    const uint8_t *h = pkt_header(c->p, c->thoff + TCP_MIN_HLEN);
    uint32_t hlen = h ? (uint32_t)(h[c->thoff + 12] >> 4) * 4 : 0;
    if (hlen < TCP_MIN_HLEN || hlen > c->p->len - c->thoff)
        return NULL;
    return h + c->thoff;
}

bool ct_in(struct nf_ctx *c) {
    struct pkt *p = c->p;
    struct ct_tuple t;
    const uint8_t *tcp = NULL;
    bool full = false;
    if (p->ct || p->ct_info == CT_UNTRACKED)
        return true; /* loopback brought it along */
    p->ct_info = CT_NONE;
    if (c->later_fragment || (is_icmp(c->proto) && icmp_special(c)) || !ct_tuple_of(c, &t))
        return true;
    if (c->proto == IPPROTO_NUM_TCP) {
        tcp = csum_bad(c) ? NULL : tcp_header(c);
        if (!tcp)
            return true;
    }
    struct ct_end *e = find(c->ns, &t);
    if (e && tcp && ct_tcp_reopens(conn_of(e), e->dir, tcp)) {
        ct_kill(conn_of(e));
        e = NULL;
    }
    int dir = e ? e->dir : 0;
    struct nf_conn *ct = e ? conn_of(e) : begin(c, &t, tcp, &full);
    if (!ct)
        return !full;
    attach(p, ct, CT_NONE);
    if (!advance(c, ct, dir, tcp)) {
        p->ct = NULL;
        nf_conn_put(&c->ns->st->mem, ct);
        return true;
    }
    p->ct_info = dir == 1 ? CT_ESTABLISHED_REPLY : ct->status & CT_S_SEEN_REPLY ? CT_ESTABLISHED : CT_NEW;
    return true;
}

/* ---- listings ---- */

static void fill_info(const struct nf_conn *ct, struct nf_conn_info *i) {
    const struct netstack *st = ct->ns->st;
    *i = (struct nf_conn_info){.proto = ct->end[0].t.proto,
                               .tcp_state = ct->tcp_state,
                               .status = ct->status & 0x1ff,
                               .mark = ct->mark,
                               .use = ct->refs,
                               .id = ct->id};
    i->timeout_s = ct->deadline > st->now ? (uint32_t)((ct->deadline - st->now) / SEC(1)) : 0;
    for (int d = 0; d < 2; d++) {
        const struct ct_tuple *t = &ct->end[d].t;
        i->src[d] = t->src;
        i->dst[d] = t->dst;
        i->sport[d] = t->sport;
        i->dport[d] = t->dport;
        i->count[d] = ct->count[d];
        if (is_icmp(t->proto)) {
            i->icmp_type[d] = (uint8_t)(t->dport >> 8);
            i->icmp_code[d] = (uint8_t)t->dport;
            i->icmp_id = t->sport;
        }
    }
}

void nf_conn_each(struct netns *ns, nf_conn_fn fn, void *ctx) {
    struct nf_conn *ct;
    if (!ns->nf_state)
        return;
    list_for_each_entry(ct, &ns->nf_state->conn_list, link) {
        struct nf_conn_info i;
        fill_info(ct, &i);
        fn(ctx, &i);
    }
}

int nf_conn_del(struct netns *ns, const struct nf_conn_info *like, int dir) {
    struct ct_tuple t = {.src = like->src[dir],
                         .dst = like->dst[dir],
                         .sport = like->sport[dir],
                         .dport = like->dport[dir],
                         .proto = like->proto};
    struct ct_end *e = ns->nf_state ? find(ns, &t) : NULL;
    if (!e || (like->id && like->id != conn_of(e)->id))
        return -ENOENT;
    ct_kill(conn_of(e));
    return 0;
}

void nf_conn_flush(struct netns *ns, int family) {
    struct nf_conn *ct, *next;
    if (!ns->nf_state)
        return;
    list_for_each_entry_safe(ct, next, &ns->nf_state->conn_list, link) {
        if (family == 0 || (family == NS_AF_INET) == ipa_is_v4(&ct->end[0].t.src))
            ct_kill(ct);
    }
}

uint32_t nf_conn_count(struct netns *ns) {
    return ns->nf_state ? ns->nf_state->conn_count : 0;
}

void ct_done(struct netns *ns) {
    nf_conn_flush(ns, 0);
    htab_done(&ns->st->mem, &ns->nf_state->conns);
}
