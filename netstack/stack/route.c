/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/route.c: routing tables, rules, longest-prefix match, and the path MTU cache.
 *
 * A table holds one hash of (prefix, length) and a count per length, so a look-up probes the lengths in use,
 * longest first. Routes of interfaces that are down are kept but not used. One next hop per route: multipath
 * is not done. Sources: RFC 1812 section 5.2.4, ip-route(8), ip-rule(8), RFC 1191, RFC 8201.
 */
#include <errno.h>

#include "netstack/stack/stack_core.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"

struct fib_route {
    struct hnode hnode;
    struct list link; /* fib_table.all, in order of addition */
    struct ns_route r;
};

struct fib_table {
    struct list link;
    uint32_t id;
    bool v4;
    uint32_t count[129];
    struct htab routes;
    struct list all;
};

struct fib_rule {
    struct list link;
    struct ns_rule r;
};

struct pmtu_entry {
    struct hnode hnode;
    struct list lru;
    struct ipa dst;
    uint32_t mtu;
    int64_t expires;
};

NETSTACK_TYPE(t_route, struct fib_route);
NETSTACK_TYPE(t_table, struct fib_table);
NETSTACK_TYPE(t_rule, struct fib_rule);
NETSTACK_TYPE(t_pmtu, struct pmtu_entry);

enum { PMTU_MAX_ENTRIES = 4096 };

static uint32_t prefix_hash(const struct netns *ns, const struct ipa *net, unsigned len) {
    struct {
        struct ipa net;
        uint32_t len;
    } key = {*net, len};
    return stack_hash(ns->st, &key, sizeof(key));
}

static struct fib_table *table_find(struct netns *ns, uint32_t id, bool v4) {
    struct fib_table *t;
    list_for_each_entry(t, &ns->tables, link) {
        if (t->id == id && t->v4 == v4)
            return t;
    }
    return NULL;
}

static struct fib_table *table_get(struct netns *ns, uint32_t id, bool v4) {
    struct fib_table *t = table_find(ns, id, v4);
    if (t)
        return t;
    t = nsmem_alloc(&ns->st->mem, &t_table);
    if (!t)
        return NULL;
    t->id = id;
    t->v4 = v4;
    list_init(&t->all);
    list_add_tail(&ns->tables, &t->link);
    return t;
}

/* ---- look-up ---- */

static bool route_fits(struct netns *ns, const struct fib_route *fr, const struct flow *f, struct nic **ret) {
    const struct ns_route *r = &fr->r;
    if (r->tos && r->tos != (f->tos & 0x1c))
        return false;
    if (r->type >= NS_RTN_BLACKHOLE) {
        *ret = ns->lo;
        return true;
    }
    struct nic *nic = nic_find(ns, r->nexthop.ifindex);
    if (!nic || !nic_is_up(nic))
        return false;
    if (f->oif && r->type != NS_RTN_LOCAL && f->oif != nic->ifindex)
        return false;
    *ret = nic;
    return true;
}

/* The best route of the longest matching prefix; ties go to the lowest metric, then the oldest. */
static struct fib_route *table_lookup(struct netns *ns, struct fib_table *t, const struct flow *f,
                                      struct nic **ret) {
    for (int len = t->v4 ? 32 : 128; len >= 0; len--) {
        if (t->count[len] == 0)
            continue;
        struct ipa net = ipa_mask(&f->dst, (unsigned)len);
        uint32_t h = prefix_hash(ns, &net, (unsigned)len);
        struct fib_route *best = NULL;
        for (struct hnode *n = htab_first(&t->routes, h); n; n = htab_next(n, h)) {
            struct fib_route *fr = container_of(n, struct fib_route, hnode);
            struct nic *nic;
            if (fr->r.prefix_len != len || !ipa_eq(&fr->r.dst, &net) || !route_fits(ns, fr, f, &nic))
                continue;
            if (!best || fr->r.metric <= best->r.metric) { /* chains hold the newest first */
                best = fr;
                *ret = nic;
            }
        }
        if (best)
            return best;
    }
    return NULL;
}

static bool rule_matches(const struct ns_rule *r, const struct flow *f) {
    if ((r->family == NS_AF_INET) != ipa_is_v4(&f->dst))
        return false;
    if (r->dst_len && !ipa_prefix_match(&f->dst, &r->dst, r->dst_len))
        return false;
    if (r->src_len && !ipa_prefix_match(&f->src, &r->src, r->src_len))
        return false;
    if (r->mark_mask && (f->mark & r->mark_mask) != r->mark)
        return false;
    return (!r->iif || r->iif == f->iif) && (!r->oif || r->oif == f->oif);
}

static int rule_error(uint8_t action) {
    switch (action) {
    case NS_FR_ACT_BLACKHOLE:
        return -EINVAL;
    case NS_FR_ACT_PROHIBIT:
        return -EACCES;
    default:
        return -ENETUNREACH;
    }
}

static int type_error(uint8_t type) {
    switch (type) {
    case NS_RTN_BLACKHOLE:
        return -EINVAL;
    case NS_RTN_PROHIBIT:
        return -EACCES;
    default:
        return -EHOSTUNREACH;
    }
}

static int fib_lookup(struct netns *ns, const struct flow *f, struct fib_route **ret, struct nic **ret_nic) {
    struct fib_rule *rule;
    list_for_each_entry(rule, &ns->rules, link) {
        if (!rule_matches(&rule->r, f))
            continue;
        if (rule->r.action != NS_FR_ACT_TO_TBL)
            return rule_error(rule->r.action);
        struct fib_table *t = table_find(ns, rule->r.table, ipa_is_v4(&f->dst));
        struct fib_route *fr = t ? table_lookup(ns, t, f, ret_nic) : NULL;
        if (!fr || fr->r.type == NS_RTN_THROW)
            continue;
        if (fr->r.type >= NS_RTN_BLACKHOLE)
            return type_error(fr->r.type);
        *ret = fr;
        return 0;
    }
    return -ENETUNREACH;
}

static void fill_mtu(struct netns *ns, const struct ns_route *r, const struct ipa *dst, struct rt *ret) {
    uint32_t mtu = ret->nic->mtu;
    if (r && r->mtu && r->mtu < mtu)
        mtu = r->mtu;
    ret->mtu = pmtu_get(ns, dst, mtu);
    uint32_t hdrs = ipa_is_v4(dst) ? 40 : 60;
    ret->advmss = r && r->advmss ? r->advmss : (mtu > hdrs + 8 ? mtu - hdrs : 8);
}

/* Destinations that need an interface rather than a route: limited broadcast, groups, SO_DONTROUTE. */
static int on_interface(struct netns *ns, const struct flow *f, struct nic *nic, struct rt *ret) {
    if (!nic_is_up(nic))
        return -ENETUNREACH;
    ret->nic = nic;
    ret->nexthop = f->dst;
    ret->type = ipa_is_mcast(&f->dst)    ? NS_RTN_MULTICAST
                : ipa_is_bcast4(&f->dst) ? NS_RTN_BROADCAST
                                         : NS_RTN_UNICAST;
    ret->src = f->src;
    if (ipa_is_any(&f->src) && !ifaddr_select(ns, nic, &f->dst, &ret->src))
        ret->src = ipa_is_v4(&f->dst) ? IPA_ANY4 : IPA_ANY6;
    fill_mtu(ns, NULL, &f->dst, ret);
    return 0;
}

static int output_special(struct netns *ns, const struct flow *f, struct rt *ret, bool *ret_done) {
    *ret_done = true;
    bool group = ipa_is_mcast(&f->dst) || ipa_is_bcast4(&f->dst);
    bool link_local6 = !ipa_is_v4(&f->dst) && ipa_is_linklocal(&f->dst);
    if (group || f->onlink || link_local6) {
        if (f->oif && !(link_local6 && ifaddr_is_local(ns, &f->dst))) {
            struct nic *nic = nic_find(ns, f->oif);
            return nic ? on_interface(ns, f, nic, ret) : -ENODEV;
        }
        struct ifaddr *ia = group && !ipa_is_any(&f->src) ? ifaddr_find(ns, &f->src, NULL) : NULL;
        if (ia)
            return on_interface(ns, f, ia->nic, ret);
    }
    *ret_done = false;
    return 0;
}

int route_output(struct netns *ns, const struct flow *f, struct rt *ret) {
    bool done;
    *ret = (struct rt){0};
    int rc = output_special(ns, f, ret, &done);
    if (done)
        return rc;
    struct fib_route *fr;
    struct nic *nic;
    rc = fib_lookup(ns, f, &fr, &nic);
    if (rc < 0)
        return rc;
    if (f->onlink && !ipa_is_any(&fr->r.nexthop.gateway))
        return -ENETUNREACH;
    if (ipa_is_mcast(&f->dst) || ipa_is_bcast4(&f->dst))
        return on_interface(ns, f, nic, ret);
    ret->type = fr->r.type;
    ret->nic = fr->r.type == NS_RTN_LOCAL ? ns->lo : nic;
    ret->nexthop = ipa_is_any(&fr->r.nexthop.gateway) ? f->dst : fr->r.nexthop.gateway;
    ret->src = f->src;
    if (ipa_is_any(&f->src)) {
        if (fr->r.type == NS_RTN_LOCAL && !ipa_is_any(&f->dst) && ifaddr_is_local(ns, &f->dst))
            ret->src = f->dst;
        else if (!ipa_is_any(&fr->r.prefsrc))
            ret->src = fr->r.prefsrc;
        else if (!ifaddr_select(ns, nic, &f->dst, &ret->src) && !ipa_is_v4(&f->dst))
            return -EADDRNOTAVAIL;
    }
    if (!nic_is_up(ret->nic))
        return -ENETUNREACH;
    fill_mtu(ns, &fr->r, &f->dst, ret);
    return 0;
}

int route_forward(struct netns *ns, const struct flow *f, struct rt *ret) {
    struct fib_route *fr;
    *ret = (struct rt){0};
    int rc = fib_lookup(ns, f, &fr, &ret->nic);
    if (rc < 0)
        return rc;
    ret->type = fr->r.type;
    ret->nexthop = ipa_is_any(&fr->r.nexthop.gateway) ? f->dst : fr->r.nexthop.gateway;
    ret->src = f->src;
    fill_mtu(ns, &fr->r, &f->dst, ret);
    return 0;
}

/* ---- changes ---- */

static bool same_route(const struct ns_route *have, const struct ns_route *want) {
    bool any_gw = ipa_is_any(&want->nexthop.gateway);
    return have->prefix_len == want->prefix_len && ipa_eq(&have->dst, &want->dst) &&
           (!want->metric || have->metric == want->metric) && (!want->type || have->type == want->type) &&
           (!want->tos || have->tos == want->tos) && (!want->protocol || have->protocol == want->protocol) &&
           (!want->nexthop.ifindex || have->nexthop.ifindex == want->nexthop.ifindex) &&
           (any_gw || ipa_eq(&have->nexthop.gateway, &want->nexthop.gateway)) &&
           (ipa_is_any(&want->prefsrc) || ipa_eq(&have->prefsrc, &want->prefsrc));
}

static struct fib_route *route_find(struct netns *ns, struct fib_table *t, const struct ns_route *r,
                                    bool exact) {
    uint32_t h = prefix_hash(ns, &r->dst, r->prefix_len);
    for (struct hnode *n = htab_first(&t->routes, h); n; n = htab_next(n, h)) {
        struct fib_route *fr = container_of(n, struct fib_route, hnode);
        if (exact ? (fr->r.metric == r->metric && fr->r.tos == r->tos && fr->r.prefix_len == r->prefix_len &&
                     ipa_eq(&fr->r.dst, &r->dst) &&
                     (t->v4 ? true : fr->r.nexthop.ifindex == r->nexthop.ifindex) && fr->r.type == r->type)
                  : same_route(&fr->r, r))
            return fr;
    }
    return NULL;
}

/* Fills in what the caller left open and checks the rest. */
static int route_check(struct netns *ns, struct ns_route *r) {
    if (r->prefix_len > ipa_max_prefix(&r->dst))
        return -EINVAL;
    struct ipa net = ipa_mask(&r->dst, r->prefix_len);
    if (!ipa_eq(&net, &r->dst))
        return -EINVAL;
    r->table = r->table ? r->table : NS_RT_TABLE_MAIN;
    r->type = r->type ? r->type : NS_RTN_UNICAST;
    if (r->type >= NS_RTN_BLACKHOLE)
        return 0;
    if (!ipa_is_any(&r->nexthop.gateway)) {
        struct flow f = {.dst = r->nexthop.gateway,
                         .src = ipa_is_v4(&r->dst) ? IPA_ANY4 : IPA_ANY6,
                         .oif = r->nexthop.ifindex};
        struct rt via;
        int rc = route_output(ns, &f, &via);
        if (rc < 0 || via.type != NS_RTN_UNICAST || !ipa_eq(&via.nexthop, &r->nexthop.gateway))
            return rc == -ENODEV ? rc : -ENETUNREACH;
        if (!r->nexthop.ifindex)
            r->nexthop.ifindex = via.nic->ifindex;
    }
    if (!nic_find(ns, r->nexthop.ifindex))
        return -ENODEV;
    if (!ipa_is_any(&r->prefsrc) && !ifaddr_find(ns, &r->prefsrc, NULL))
        return -EINVAL;
    return 0;
}

int route_add_locked(struct netns *ns, const struct ns_route *route) {
    struct ns_route r = *route;
    int rc = route_check(ns, &r);
    if (rc < 0)
        return rc;
    struct fib_table *t = table_get(ns, r.table, ipa_is_v4(&r.dst));
    if (!t)
        return -ENOMEM;
    if (route_find(ns, t, &r, true))
        return -EEXIST;
    struct fib_route *fr = nsmem_alloc(&ns->st->mem, &t_route);
    if (!fr)
        return -ENOMEM;
    fr->r = r;
    htab_insert(&ns->st->mem, &t->routes, &fr->hnode, prefix_hash(ns, &r.dst, r.prefix_len));
    list_add_tail(&t->all, &fr->link);
    t->count[r.prefix_len]++;
    ns->route_gen++;
    return 0;
}

static void route_remove(struct netns *ns, struct fib_table *t, struct fib_route *fr) {
    htab_remove(&t->routes, &fr->hnode);
    list_del(&fr->link);
    t->count[fr->r.prefix_len]--;
    ns->route_gen++;
    nsmem_free(&ns->st->mem, &t_route, fr);
}

int route_del_locked(struct netns *ns, const struct ns_route *r) {
    struct fib_table *t = table_find(ns, r->table ? r->table : NS_RT_TABLE_MAIN, ipa_is_v4(&r->dst));
    struct fib_route *fr = t ? route_find(ns, t, r, false) : NULL;
    if (!fr)
        return -ESRCH;
    route_remove(ns, t, fr);
    return 0;
}

void route_flush_nic(struct nic *nic) {
    struct fib_table *t;
    struct fib_route *fr, *tmp;
    list_for_each_entry(t, &nic->ns->tables, link) {
        list_for_each_entry_safe(fr, tmp, &t->all, link) {
            if (fr->r.nexthop.ifindex == nic->ifindex)
                route_remove(nic->ns, t, fr);
        }
    }
}

static bool rule_valid(const struct ns_rule *r) {
    bool v4 = r->family == NS_AF_INET;
    unsigned max = v4 ? 32 : 128;
    return (v4 || r->family == NS_AF_INET6) && r->src_len <= max && r->dst_len <= max && r->action;
}

static int rule_add(struct netns *ns, const struct ns_rule *r) {
    if (!rule_valid(r))
        return -EINVAL;
    struct fib_rule *fr = nsmem_alloc(&ns->st->mem, &t_rule), *pos;
    if (!fr)
        return -ENOMEM;
    fr->r = *r;
    struct list *at = &ns->rules;
    list_for_each_entry(pos, &ns->rules, link) {
        if (pos->r.priority > r->priority) {
            at = &pos->link;
            break;
        }
    }
    list_add_tail(at, &fr->link); /* in front of `at` */
    ns->route_gen++;
    return 0;
}

static int rule_del(struct netns *ns, const struct ns_rule *r) {
    struct fib_rule *fr;
    list_for_each_entry(fr, &ns->rules, link) {
        const struct ns_rule *h = &fr->r;
        if (h->family != r->family || (r->priority && h->priority != r->priority) ||
            (r->table && h->table != r->table))
            continue;
        if (r->src_len != h->src_len || r->dst_len != h->dst_len || r->mark != h->mark || r->iif != h->iif ||
            r->oif != h->oif || (r->src_len && !ipa_eq(&r->src, &h->src)) ||
            (r->dst_len && !ipa_eq(&r->dst, &h->dst)))
            continue;
        list_del(&fr->link);
        nsmem_free(&ns->st->mem, &t_rule, fr);
        ns->route_gen++;
        return 0;
    }
    return -ENOENT;
}

void route_init(struct netns *ns) {
    static const struct {
        uint32_t priority, table;
    } standard[] = {{0, NS_RT_TABLE_LOCAL}, {32766, NS_RT_TABLE_MAIN}, {32767, NS_RT_TABLE_DEFAULT}};
    for (size_t i = 0; i < ARRAY_SIZE(standard); i++) {
        struct ns_rule r = {
            .priority = standard[i].priority, .table = standard[i].table, .action = NS_FR_ACT_TO_TBL};
        r.family = NS_AF_INET;
        (void)rule_add(ns, &r);
        r.family = NS_AF_INET6;
        if (r.table != NS_RT_TABLE_DEFAULT)
            (void)rule_add(ns, &r);
    }
}

static void pmtu_free(struct netns *ns, struct pmtu_entry *e) {
    htab_remove(&ns->pmtu.tab, &e->hnode);
    list_del(&e->lru);
    ns->pmtu.count--;
    nsmem_free(&ns->st->mem, &t_pmtu, e);
}

void route_done(struct netns *ns) {
    while (!list_empty(&ns->pmtu.lru))
        pmtu_free(ns, list_first_entry(&ns->pmtu.lru, struct pmtu_entry, lru));
    htab_done(&ns->st->mem, &ns->pmtu.tab);
    while (!list_empty(&ns->rules)) {
        struct fib_rule *r = list_first_entry(&ns->rules, struct fib_rule, link);
        list_del(&r->link);
        nsmem_free(&ns->st->mem, &t_rule, r);
    }
    while (!list_empty(&ns->tables)) {
        struct fib_table *t = list_first_entry(&ns->tables, struct fib_table, link);
        while (!list_empty(&t->all))
            route_remove(ns, t, list_first_entry(&t->all, struct fib_route, link));
        htab_done(&ns->st->mem, &t->routes);
        list_del(&t->link);
        nsmem_free(&ns->st->mem, &t_table, t);
    }
}

/* ---- path MTU ---- */

static struct pmtu_entry *pmtu_find(struct netns *ns, const struct ipa *dst, uint32_t h) {
    for (struct hnode *n = htab_first(&ns->pmtu.tab, h); n; n = htab_next(n, h)) {
        struct pmtu_entry *e = container_of(n, struct pmtu_entry, hnode);
        if (ipa_eq(&e->dst, dst))
            return e;
    }
    return NULL;
}

void pmtu_update(struct netns *ns, const struct ipa *dst, uint32_t mtu) {
    uint32_t floor = ipa_is_v4(dst) ? 552 : (uint32_t)IPV6_MIN_MTU; /* Linux: net.ipv4.route.min_pmtu */
    uint32_t h = stack_hash(ns->st, dst, sizeof(*dst));
    struct pmtu_entry *e = pmtu_find(ns, dst, h);
    mtu = MAX(mtu, floor);
    if (!e) {
        if (ns->pmtu.count >= PMTU_MAX_ENTRIES)
            pmtu_free(ns, list_last_entry(&ns->pmtu.lru, struct pmtu_entry, lru));
        e = nsmem_alloc(&ns->st->mem, &t_pmtu);
        if (!e)
            return;
        e->dst = *dst;
        list_init(&e->lru);
        htab_insert(&ns->st->mem, &ns->pmtu.tab, &e->hnode, h);
        ns->pmtu.count++;
    }
    list_del(&e->lru);
    list_add(&ns->pmtu.lru, &e->lru);
    e->mtu = mtu;
    e->expires = ns->st->now + SEC(600);
    ns->route_gen++;
}

uint32_t pmtu_get(struct netns *ns, const struct ipa *dst, uint32_t link_mtu) {
    if (ns->pmtu.count == 0)
        return link_mtu;
    struct pmtu_entry *e = pmtu_find(ns, dst, stack_hash(ns->st, dst, sizeof(*dst)));
    if (!e)
        return link_mtu;
    if (ns->st->now >= e->expires) {
        pmtu_free(ns, e);
        return link_mtu;
    }
    return MIN(e->mtu, link_mtu);
}

/* ---- public ---- */

int netns_route_add(struct netns *ns, const struct ns_route *r) {
    stack_enter(ns->st);
    int rc = route_add_locked(ns, r);
    stack_leave(ns->st);
    return rc;
}

int netns_route_del(struct netns *ns, const struct ns_route *r) {
    stack_enter(ns->st);
    int rc = route_del_locked(ns, r);
    stack_leave(ns->st);
    return rc;
}

int netns_route_at(struct netns *ns, int family, size_t i, struct ns_route *ret) {
    int rc = -ENOENT;
    struct fib_table *t;
    struct fib_route *fr;
    mutex_lock(&ns->st->lock);
    list_for_each_entry(t, &ns->tables, link) {
        if (t->v4 != (family == NS_AF_INET))
            continue;
        list_for_each_entry(fr, &t->all, link) {
            if (rc < 0 && i-- == 0) {
                *ret = fr->r;
                rc = 0;
            }
        }
    }
    mutex_unlock(&ns->st->lock);
    return rc;
}

int netns_route_get(struct netns *ns, const struct ns_route_query *q, struct ns_route_answer *ret) {
    struct flow f = {.dst = q->dst, .src = q->src, .oif = q->oif, .mark = q->mark, .tos = q->tos};
    struct rt rt;
    stack_enter(ns->st);
    if (ipa_is_v4(&q->dst) && ipa_is_any(&f.src))
        f.src = IPA_ANY4;
    int rc = route_output(ns, &f, &rt);
    if (rc == 0) {
        *ret = (struct ns_route_answer){
            .type = rt.type, .ifindex = rt.nic->ifindex, .mtu = rt.mtu, .src = rt.src};
        ret->gateway = ipa_eq(&rt.nexthop, &q->dst) ? IPA_ANY6 : rt.nexthop;
    }
    stack_leave(ns->st);
    return rc;
}

int netns_rule_add(struct netns *ns, const struct ns_rule *r) {
    stack_enter(ns->st);
    int rc = rule_add(ns, r);
    stack_leave(ns->st);
    return rc;
}

int netns_rule_del(struct netns *ns, const struct ns_rule *r) {
    stack_enter(ns->st);
    int rc = rule_del(ns, r);
    stack_leave(ns->st);
    return rc;
}

int netns_rule_at(struct netns *ns, int family, size_t i, struct ns_rule *ret) {
    int rc = -ENOENT;
    struct fib_rule *r;
    mutex_lock(&ns->st->lock);
    list_for_each_entry(r, &ns->rules, link) {
        if (r->r.family == family && rc < 0 && i-- == 0) {
            *ret = r->r;
            rc = 0;
        }
    }
    mutex_unlock(&ns->st->lock);
    return rc;
}
