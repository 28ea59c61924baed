/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/neigh.c: the neighbour cache: link addresses of next hops, with the states of RFC 4861
 * section 7.3.2, used for IPv4 over ARP alike (as Linux does). Packets wait here, up to a bound in bytes
 * (RFC 1122 section 2.3.2.2 asks for at least one packet), while an address is being resolved.
 */
#include <errno.h>

#include "netstack/stack/stack_core.h"

enum { QUEUE_MAX_BYTES = 212992, MAX_SOLICITS = 3 }; /* Linux: neigh/default/unres_qlen_bytes */

struct neigh {
    struct hnode hnode;
    struct list lru;
    struct nic *nic;
    struct ipa addr;
    struct mac mac;
    uint16_t state; /* NS_NUD_* */
    uint8_t probes;
    uint32_t queued;   /* bytes of memory in the queue */
    struct list queue; /* pkt.link, oldest first */
    struct ntimer timer;
    int64_t confirmed;
};

NETSTACK_TYPE(t_neigh, struct neigh);
enum {
    HAS_MAC = NS_NUD_REACHABLE | NS_NUD_STALE | NS_NUD_DELAY | NS_NUD_PROBE | NS_NUD_PERMANENT | NS_NUD_NOARP
};

static uint32_t neigh_hash(const struct nic *nic, const struct ipa *addr) {
    struct {
        struct ipa a;
        uint32_t ifindex;
    } key = {*addr, nic->ifindex};
    return stack_hash(nic->st, &key, sizeof(key));
}

static struct neigh *neigh_find(struct nic *nic, const struct ipa *addr) {
    uint32_t h = neigh_hash(nic, addr);
    for (struct hnode *n = htab_first(&nic->ns->neighs, h); n; n = htab_next(n, h)) {
        struct neigh *e = container_of(n, struct neigh, hnode);
        if (e->nic == nic && ipa_eq(&e->addr, addr))
            return e;
    }
    return NULL;
}

static void neigh_free(struct neigh *e) {
    struct netns *ns = e->nic->ns;
    pkt_queue_free(&e->queue);
    ntimer_disarm(ns->st, &e->timer);
    htab_remove(&ns->neighs, &e->hnode);
    list_del(&e->lru);
    nsmem_free(&ns->st->mem, &t_neigh, e);
}

/* The bound: the least recently used entry that nobody set by hand goes first. */
static bool make_room(struct netns *ns) {
    if (ns->neighs.count < ns->ctl.neigh_gc_thresh3)
        return true;
    struct neigh *e;
    for (struct list *l = ns->neigh_lru.prev; l != &ns->neigh_lru; l = l->prev) {
        e = container_of(l, struct neigh, lru);
        if (!(e->state & (NS_NUD_PERMANENT | NS_NUD_NOARP))) {
            neigh_free(e);
            return true;
        }
    }
    return false;
}

static void neigh_timer(struct netstack *st, struct ntimer *t);
static const struct ntimer_ops neigh_timer_ops = {.fire = neigh_timer};

static struct neigh *neigh_get(struct nic *nic, const struct ipa *addr) {
    struct neigh *e = neigh_find(nic, addr);
    if (e || !make_room(nic->ns))
        return e;
    e = nsmem_alloc(&nic->st->mem, &t_neigh);
    if (!e)
        return NULL;
    e->nic = nic;
    e->addr = *addr;
    list_init(&e->queue);
    ntimer_init(&e->timer, &neigh_timer_ops);
    htab_insert(&nic->st->mem, &nic->ns->neighs, &e->hnode, neigh_hash(nic, addr));
    list_add(&nic->ns->neigh_lru, &e->lru);
    return e;
}

static void solicit(struct neigh *e) {
    const struct mac *to = e->state == NS_NUD_PROBE ? &e->mac : NULL;
    e->probes++;
    if (ipa_is_v4(&e->addr))
        arp_solicit(e->nic, &e->addr, to);
    else
        ndp_solicit(e->nic, &e->addr, to, NULL);
    ntimer_arm(e->nic->st, &e->timer, e->nic->st->now + MSEC(e->nic->retrans_ms));
}

/* RFC 4861 section 6.3.2: uniform between half and one and a half of BaseReachableTime. */
static int64_t reachable_time(struct nic *nic) {
    uint32_t base = MAX(nic->reachable_ms, 2u);
    return MSEC(base / 2 + stack_random_below(nic->st, base));
}

static void set_reachable(struct neigh *e) {
    e->state = NS_NUD_REACHABLE;
    e->probes = 0;
    e->confirmed = e->nic->st->now;
    ntimer_arm(e->nic->st, &e->timer, e->nic->st->now + reachable_time(e->nic));
}

static void set_stale(struct neigh *e) {
    e->state = NS_NUD_STALE;
    e->probes = 0;
    ntimer_disarm(e->nic->st, &e->timer);
}

/* Resolution failed: what waited is answered by host unreachable (RFC 4861 section 7.2.2). */
static void set_failed(struct neigh *e) {
    e->state = NS_NUD_FAILED;
    struct list waiting;
    list_init(&waiting);
    list_splice_tail(&waiting, &e->queue);
    e->queued = 0;
    ntimer_arm(e->nic->st, &e->timer, e->nic->st->now + SEC(5));
    struct nic *nic = e->nic; /* e may go while errors are sent */
    while (!list_empty(&waiting)) {
        struct pkt *p = list_first_entry(&waiting, struct pkt, link);
        list_del(&p->link);
        neigh_unreachable(nic, p);
        pkt_free(p);
    }
}

static void neigh_timer(struct netstack *st, struct ntimer *t) {
    struct neigh *e = container_of(t, struct neigh, timer);
    switch (e->state) {
    case NS_NUD_INCOMPLETE:
    case NS_NUD_PROBE:
        if (e->probes < MAX_SOLICITS)
            solicit(e);
        else
            set_failed(e);
        break;
    case NS_NUD_REACHABLE: {
        int64_t until = e->confirmed + MSEC(e->nic->reachable_ms);
        if (st->now < until) /* confirmed from above meanwhile */
            ntimer_arm(st, t, until);
        else
            set_stale(e);
        break;
    }
    case NS_NUD_DELAY:
        e->state = NS_NUD_PROBE;
        e->probes = 0;
        solicit(e);
        break;
    case NS_NUD_FAILED:
        neigh_free(e);
        break;
    default:
        break;
    }
}

static int send_to(struct nic *nic, const struct mac *dst, struct pkt *p) {
    uint16_t type = p->ethertype;
    uint8_t *h = pkt_push(p, ETHER_HLEN);
    if (!h) {
        pkt_free(p);
        return -ENOMEM;
    }
    eth_put(h, &(struct eth_hdr){.dst = *dst, .src = nic->mac, .type = type});
    p->net_off += ETHER_HLEN;
    p->trans_off += ETHER_HLEN;
    p->csum_start += ETHER_HLEN;
    p->l2_len = ETHER_HLEN;
    return nic_xmit(nic, p);
}

/* Queues behind resolution; the oldest gives way. */
static void enqueue(struct neigh *e, struct pkt *p) {
    while (!list_empty(&e->queue) && e->queued + p->truesize > QUEUE_MAX_BYTES) {
        struct pkt *old = list_first_entry(&e->queue, struct pkt, link);
        list_del(&old->link);
        e->nic->stats.tx_dropped++;
        e->queued -= old->truesize;
        pkt_free(old);
    }
    list_add_tail(&e->queue, &p->link);
    e->queued += p->truesize;
}

static int resolve_and_send(struct nic *nic, const struct ipa *nexthop, struct pkt *p) {
    struct neigh *e = neigh_get(nic, nexthop);
    if (!e) {
        pkt_free(p);
        return -ENOBUFS;
    }
    list_del(&e->lru);
    list_add(&nic->ns->neigh_lru, &e->lru);
    if (e->state & HAS_MAC) {
        if (e->state == NS_NUD_STALE) {
            e->state = NS_NUD_DELAY;
            ntimer_arm(nic->st, &e->timer, nic->st->now + SEC(5)); /* DELAY_FIRST_PROBE_TIME */
        }
        struct mac dst = e->mac;
        return send_to(nic, &dst, p);
    }
    enqueue(e, p);
    if (e->state != NS_NUD_INCOMPLETE) {
        e->state = NS_NUD_INCOMPLETE;
        e->probes = 0;
        solicit(e);
    }
    return 0;
}

int neigh_output(struct nic *nic, const struct ipa *nexthop, struct pkt *p) {
    if (nic->arphrd != NS_ARPHRD_ETHER)
        return nic_xmit(nic, p);
    if (ipa_is_mcast(nexthop)) {
        struct mac group = mac_of_mcast(nexthop);
        return send_to(nic, &group, p);
    }
    if (ipa_is_bcast4(nexthop) || ifaddr_is_subnet_bcast(nic, nexthop)) {
        struct mac bcast = MAC_BCAST;
        return send_to(nic, &bcast, p);
    }
    return resolve_and_send(nic, nexthop, p);
}

void neigh_confirm(struct nic *nic, const struct ipa *addr) {
    struct neigh *e = neigh_find(nic, addr);
    if (!e || !(e->state & (NS_NUD_REACHABLE | NS_NUD_STALE | NS_NUD_DELAY | NS_NUD_PROBE)))
        return;
    if (e->state == NS_NUD_REACHABLE)
        e->confirmed = nic->st->now;
    else
        set_reachable(e);
}

static void flush_queue(struct neigh *e) {
    struct list waiting;
    list_init(&waiting);
    list_splice_tail(&waiting, &e->queue);
    e->queued = 0;
    struct nic *nic = e->nic;
    struct mac dst = e->mac;
    while (!list_empty(&waiting)) {
        struct pkt *p = list_first_entry(&waiting, struct pkt, link);
        list_del(&p->link);
        (void)send_to(nic, &dst, p); /* a datagram may be lost */
    }
}

void neigh_learn(struct nic *nic, const struct ipa *addr, const struct mac *mac, enum neigh_event ev,
                 bool create) {
    struct neigh *e = neigh_find(nic, addr);
    if (mac_is_group(mac) || (!e && !create))
        return;
    if (!e) {
        e = neigh_get(nic, addr);
        if (!e)
            return;
        e->state = NS_NUD_FAILED;
    }
    if (e->state & (NS_NUD_PERMANENT | NS_NUD_NOARP))
        return;
    bool known = e->state & HAS_MAC;
    bool changed = !known || !mac_eq(&e->mac, mac);
    /* RFC 4861 section 7.2.5: without Override a different address only makes a reachable entry stale */
    if (known && changed && ev == NEIGH_UNSOLICITED) {
        if (e->state == NS_NUD_REACHABLE)
            set_stale(e);
        return;
    }
    e->mac = *mac;
    if (ev == NEIGH_SOLICITED)
        set_reachable(e);
    else if (changed)
        set_stale(e);
    flush_queue(e);
}

void neigh_flush_nic(struct nic *nic) {
    struct neigh *e, *tmp;
    list_for_each_entry_safe(e, tmp, &nic->ns->neigh_lru, lru) {
        if (e->nic == nic)
            neigh_free(e);
    }
}

void neigh_done(struct netns *ns) {
    while (!list_empty(&ns->neigh_lru))
        neigh_free(list_first_entry(&ns->neigh_lru, struct neigh, lru));
    htab_done(&ns->st->mem, &ns->neighs);
}

/* ---- public ---- */

static int neigh_set_locked(struct netns *ns, const struct ns_neigh *n) {
    struct nic *nic = nic_find(ns, n->ifindex);
    if (!nic)
        return -ENODEV;
    if (!(n->state & HAS_MAC))
        return -EINVAL;
    struct neigh *e = neigh_get(nic, &n->addr);
    if (!e)
        return -ENOBUFS;
    ntimer_disarm(ns->st, &e->timer);
    e->mac = n->mac;
    e->state = n->state;
    if (e->state & (NS_NUD_DELAY | NS_NUD_PROBE))
        e->state = NS_NUD_STALE;
    if (e->state == NS_NUD_REACHABLE)
        set_reachable(e);
    flush_queue(e);
    return 0;
}

int netns_neigh_set(struct netns *ns, const struct ns_neigh *n) {
    stack_enter(ns->st);
    int rc = neigh_set_locked(ns, n);
    stack_leave(ns->st);
    return rc;
}

int netns_neigh_del(struct netns *ns, uint32_t ifindex, const struct ipa *addr) {
    stack_enter(ns->st);
    struct nic *nic = nic_find(ns, ifindex);
    struct neigh *e = nic ? neigh_find(nic, addr) : NULL;
    if (e)
        neigh_free(e);
    stack_leave(ns->st);
    return !nic ? -ENODEV : e ? 0 : -ENOENT;
}

int netns_neigh_at(struct netns *ns, size_t i, struct ns_neigh *ret) {
    int rc = -ENOENT;
    struct neigh *e;
    mutex_lock(&ns->st->lock);
    list_for_each_entry(e, &ns->neigh_lru, lru) {
        if (rc < 0 && i-- == 0) {
            *ret = (struct ns_neigh){
                .addr = e->addr, .ifindex = e->nic->ifindex, .mac = e->mac, .state = e->state};
            rc = 0;
        }
    }
    mutex_unlock(&ns->st->lock);
    return rc;
}
