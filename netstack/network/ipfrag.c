/* SPDX-License-Identifier: Apache-2.0
 * netstack/network/ipfrag.c: reassembly for both families.
 *
 * Bounds: bytes per namespace (net.ipv4.ipfrag_high_thresh; the oldest datagram is dropped), time (30 s), and
 * 64 KiB per datagram. Overlaps drop the whole datagram (RFC 5722 section 4; Linux does so for IPv4 too);
 * exact duplicates are ignored. Sources: RFC 791, RFC 815, RFC 8200 section 4.5, RFC 3168 section 5.3 (ECN).
 */
#include "netstack/stack/stack_core.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"

struct fragq {
    struct hnode hnode;
    struct list age;
    struct netns *ns;
    struct ipa src, dst;
    uint32_t id, ifindex;
    uint8_t proto;
    struct list parts;    /* pkt.link, by pkt.seq (first byte) to pkt.seq_end */
    uint32_t have, total; /* bytes; total 0: not known yet */
    uint32_t bytes;       /* memory held */
    uint8_t ecn_seen;     /* bit per codepoint */
    struct ntimer timer;
};

NETSTACK_TYPE(t_fragq, struct fragq);

static uint32_t frag_hash(const struct netns *ns, const struct pkt *p, uint32_t id) {
    struct {
        struct ipa s, d;
        uint32_t id, proto;
    } key = {p->src, p->dst, id, ipa_is_v4(&p->src) ? p->proto : 0};
    return stack_hash(ns->st, &key, sizeof(key));
}

static void fragq_free(struct fragq *q) {
    struct netns *ns = q->ns;
    pkt_queue_free(&q->parts);
    ns->frag_bytes -= q->bytes;
    ntimer_disarm(ns->st, &q->timer);
    htab_remove(&ns->frags, &q->hnode);
    list_del(&q->age);
    nsmem_free(&ns->st->mem, &t_fragq, q);
}

/* RFC 1122 section 3.3.2, RFC 8200 section 4.5: time exceeded only if the first fragment is there. */
static void frag_timeout(struct netstack *st, struct ntimer *t) {
    (void)st;
    struct fragq *q = container_of(t, struct fragq, timer);
    struct netns *ns = q->ns;
    struct nic *nic = nic_find(ns, q->ifindex);
    ns->mib.ip_reasm_timeout++;
    ns->mib.ip_reasm_fails++;
    if (nic && !list_empty(&q->parts)) {
        struct pkt *first = list_first_entry(&q->parts, struct pkt, link);
        if (first->seq == 0) {
            if (ipa_is_v4(&q->src))
                icmp4_error(nic, first, ICMP_TIME_EXCEEDED, TIMEX_REASS, 0);
            else
                icmp6_error(nic, first, ICMP6_TIME_EXCEEDED, TIMEX_REASS, 0);
        }
    }
    fragq_free(q);
}

static const struct ntimer_ops frag_timer_ops = {.fire = frag_timeout};

static struct fragq *fragq_get(struct nic *nic, const struct pkt *p, uint32_t id) {
    struct netns *ns = nic->ns;
    uint32_t h = frag_hash(ns, p, id);
    bool v4 = ipa_is_v4(&p->src);
    for (struct hnode *n = htab_first(&ns->frags, h); n; n = htab_next(n, h)) {
        struct fragq *q = container_of(n, struct fragq, hnode);
        if (q->id == id && (!v4 || q->proto == p->proto) && ipa_eq(&q->src, &p->src) &&
            ipa_eq(&q->dst, &p->dst))
            return q;
    }
    struct fragq *q = nsmem_alloc(&ns->st->mem, &t_fragq);
    if (!q)
        return NULL;
    q->ns = ns;
    q->src = p->src;
    q->dst = p->dst;
    q->id = id;
    q->proto = p->proto;
    q->ifindex = nic->ifindex;
    list_init(&q->parts);
    ntimer_init(&q->timer, &frag_timer_ops);
    ntimer_arm(ns->st, &q->timer, ns->st->now + SEC(ns->ctl.ipfrag_time_s));
    htab_insert(&ns->st->mem, &ns->frags, &q->hnode, h);
    list_add_tail(&ns->frags_age, &q->age);
    return q;
}

enum place { PLACED, DUPLICATE, OVERLAP };

static enum place place_part(struct fragq *q, struct pkt *p) {
    struct list *at = &q->parts; /* insert before this */
    for (struct list *l = q->parts.prev; l != &q->parts; l = l->prev) {
        struct pkt *o = container_of(l, struct pkt, link);
        if (o->seq == p->seq && o->seq_end == p->seq_end)
            return DUPLICATE;
        if (o->seq_end <= p->seq)
            break;
        if (o->seq < p->seq_end)
            return OVERLAP;
        at = l;
    }
    list_add_tail(at, &p->link);
    return PLACED;
}

/* RFC 3168 section 5.3: CE if any part has it; Not-ECT mixed with ECT is dropped by the caller. */
static bool merge_ecn(const struct fragq *q, uint8_t *tos) {
    if (q->ecn_seen & 1 << ECN_CE)
        *tos |= ECN_CE;
    return !(q->ecn_seen & 1 << ECN_NOT_ECT && q->ecn_seen & 1 << ECN_CE);
}

static bool rewrite_header(struct pkt *p, uint8_t tos) {
    uint8_t *h = pkt_writable(p, p->trans_off);
    if (!h)
        return false;
    uint8_t *ip = h + p->net_off;
    if (ipa_is_v4(&p->src)) {
        ip[1] = tos;
        put_be16(ip + 2, (uint16_t)(p->len - p->net_off));
        put_be16(ip + 6, 0);
        ipv4_set_csum(ip);
        return true;
    }
    /* the fragment header was cut out by the caller of ipfrag_input() */
    put_be16(ip + 4, (uint16_t)(p->len - p->net_off - IPV6_HLEN));
    ip[1] = (uint8_t)((ip[1] & 0x0f) | tos << 4);
    return true;
}

static struct pkt *assemble(struct fragq *q) {
    struct netns *ns = q->ns;
    struct pkt *whole = list_first_entry(&q->parts, struct pkt, link);
    uint8_t tos = whole->tos;
    bool ok = merge_ecn(q, &tos);
    list_del(&whole->link);
    while (!list_empty(&q->parts)) {
        struct pkt *p = list_first_entry(&q->parts, struct pkt, link);
        list_del(&p->link);
        if (ok && pkt_absorb(whole, p) == 0)
            continue;
        pkt_free(p);
        ok = false;
    }
    uint32_t uncounted = whole->net_off + (ipa_is_v4(&whole->src) ? 0 : IPV6_HLEN);
    ok = ok && whole->len - uncounted <= IPV4_MAX_LEN && rewrite_header(whole, tos);
    fragq_free(q);
    if (!ok) {
        ns->mib.ip_reasm_fails++;
        pkt_free(whole);
        return NULL;
    }
    whole->tos = tos;
    whole->ce = (tos & ECN_MASK) == ECN_CE;
    whole->csum = CSUM_NONE;
    ns->mib.ip_reasm_oks++;
    return whole;
}

/* RFC 8200 section 4.5: a last fragment fixes the length; no part may lie beyond; others are multiples of 8.
 */
static bool length_ok(struct fragq *q, uint32_t end, bool more) {
    if (more)
        return end % 8 == 0 && (q->total == 0 || end < q->total);
    if (q->total && q->total != end)
        return false;
    if (!list_empty(&q->parts) && list_last_entry(&q->parts, struct pkt, link)->seq_end > end)
        return false;
    q->total = end;
    return true;
}

struct pkt *ipfrag_input(struct nic *nic, struct pkt *p, uint32_t id, uint32_t offset, bool more) {
    struct netns *ns = nic->ns;
    uint32_t n = p->len - p->trans_off;
    struct fragq *q = NULL;
    ns->mib.ip_reasm_reqds++;
    if (n > 0 && offset + n <= IPV4_MAX_LEN)
        q = fragq_get(nic, p, id);
    if (!q) {
        ns->mib.ip_reasm_fails++;
        pkt_free(p);
        return NULL;
    }
    p->seq = offset;
    p->seq_end = offset + n;
    if (offset > 0)
        pkt_trim_front(p, p->trans_off);
    enum place where = length_ok(q, offset + n, more) ? place_part(q, p) : OVERLAP;
    if (where != PLACED) {
        pkt_free(p);
        if (where == OVERLAP) {
            ns->mib.ip_reasm_fails++;
            fragq_free(q);
        }
        return NULL;
    }
    q->ecn_seen |= (uint8_t)(1 << (p->tos & ECN_MASK));
    q->have += n;
    q->bytes += p->truesize;
    ns->frag_bytes += p->truesize;
    if (q->total && q->have == q->total)
        return assemble(q);
    while (ns->frag_bytes > ns->ctl.ipfrag_high_thresh) {
        ns->mib.ip_reasm_fails++;
        fragq_free(list_first_entry(&ns->frags_age, struct fragq, age));
    }
    return NULL;
}

void ipfrag_done(struct netns *ns) {
    while (!list_empty(&ns->frags_age))
        fragq_free(list_first_entry(&ns->frags_age, struct fragq, age));
    htab_done(&ns->st->mem, &ns->frags);
}
