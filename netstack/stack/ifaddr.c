/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/ifaddr.c: addresses of interfaces, the routes that come with them, duplicate detection and
 * lifetimes, source address selection, multicast membership.
 *
 * Sources: RFC 4862 sections 5.3-5.5, RFC 6724 section 5, RFC 5227 section 2.1 (announcement only: Linux does
 * not probe for IPv4), ip-address(8).
 */
#include <errno.h>

#include "netstack/stack/stack_core.h"

NETSTACK_TYPE(t_ifaddr, struct ifaddr);
NETSTACK_TYPE(t_group, struct nic_group);

static uint32_t addr_hash(const struct netns *ns, const struct ipa *a) {
    return stack_hash(ns->st, a, sizeof(*a));
}

struct ifaddr *ifaddr_find(struct netns *ns, const struct ipa *addr, const struct nic *nic) {
    uint32_t h = addr_hash(ns, addr);
    for (struct hnode *n = htab_first(&ns->local_addrs, h); n; n = htab_next(n, h)) {
        struct ifaddr *ia = container_of(n, struct ifaddr, hnode);
        if (ipa_eq(&ia->a.addr, addr) && (!nic || ia->nic == nic))
            return ia;
    }
    return NULL;
}

bool ifaddr_is_local(struct netns *ns, const struct ipa *addr) {
    struct ifaddr *ia = ifaddr_find(ns, addr, NULL);
    if (ia)
        return !(ia->a.flags & NS_IFA_F_TENTATIVE);
    return ipa_is_v4(addr) && ipa_is_loopback(addr);
}

bool ifaddr_is_subnet_bcast(struct nic *nic, const struct ipa *addr) {
    struct ifaddr *ia;
    list_for_each_entry(ia, &nic->addrs, link) {
        if (!ipa_is_any(&ia->a.broadcast) && ipa_eq(&ia->a.broadcast, addr))
            return true;
    }
    return false;
}

/* ---- the routes of an address ---- */

static int one_route(struct ifaddr *ia, bool add, const struct ns_route *r) {
    struct ns_route route = *r;
    route.protocol = route.protocol ? route.protocol : NS_RTPROT_KERNEL;
    route.nexthop.ifindex = ia->nic->ifindex;
    route.nexthop.gateway = ipa_is_v4(&r->dst) ? IPA_ANY4 : IPA_ANY6;
    int rc = add ? route_add_locked(ia->nic->ns, &route) : route_del_locked(ia->nic->ns, &route);
    return rc == -EEXIST || rc == -ESRCH ? 0 : rc;
}

static int routes_v4(struct ifaddr *ia, bool add) {
    const struct nic_addr *a = &ia->a;
    bool lo = ia->nic->flags & NS_IFF_LOOPBACK;
    struct ipa net = ipa_mask(&a->addr, a->prefix_len);
    int rc = one_route(ia, add,
                       &(struct ns_route){.dst = a->addr,
                                          .prefix_len = 32,
                                          .table = NS_RT_TABLE_LOCAL,
                                          .type = NS_RTN_LOCAL,
                                          .scope = NS_RT_SCOPE_HOST,
                                          .prefsrc = a->addr});
    if (rc == 0 && lo && a->prefix_len < 32)
        rc = one_route(ia, add,
                       &(struct ns_route){.dst = net,
                                          .prefix_len = a->prefix_len,
                                          .table = NS_RT_TABLE_LOCAL,
                                          .type = NS_RTN_LOCAL,
                                          .scope = NS_RT_SCOPE_HOST,
                                          .prefsrc = a->addr});
    if (rc < 0 || a->prefix_len == 32)
        return rc;
    if (a->prefix_len < 31 && !ipa_is_any(&a->broadcast))
        rc = one_route(ia, add,
                       &(struct ns_route){.dst = a->broadcast,
                                          .prefix_len = 32,
                                          .table = NS_RT_TABLE_LOCAL,
                                          .type = NS_RTN_BROADCAST,
                                          .scope = NS_RT_SCOPE_LINK,
                                          .prefsrc = a->addr});
    if (rc == 0 && !lo && !(a->flags & NS_IFA_F_NOPREFIXROUTE))
        rc = one_route(ia, add,
                       &(struct ns_route){.dst = net,
                                          .prefix_len = a->prefix_len,
                                          .table = NS_RT_TABLE_MAIN,
                                          .type = NS_RTN_UNICAST,
                                          .scope = NS_RT_SCOPE_LINK,
                                          .prefsrc = a->addr});
    return rc;
}

static int routes_v6(struct ifaddr *ia, bool add) {
    const struct nic_addr *a = &ia->a;
    struct ipa mcast = {{0xff}};
    int rc = one_route(ia, add,
                       &(struct ns_route){.dst = a->addr,
                                          .prefix_len = 128,
                                          .table = NS_RT_TABLE_LOCAL,
                                          .type = NS_RTN_LOCAL,
                                          .prefsrc = a->addr});
    if (rc == 0 && add) /* stays until the interface goes: other addresses share it */
        rc = one_route(ia, add,
                       &(struct ns_route){.dst = mcast,
                                          .prefix_len = 8,
                                          .table = NS_RT_TABLE_LOCAL,
                                          .type = NS_RTN_MULTICAST,
                                          .metric = 256});
    if (rc == 0 && a->prefix_len < 128 && !(a->flags & NS_IFA_F_NOPREFIXROUTE))
        rc = one_route(ia, add,
                       &(struct ns_route){.dst = ipa_mask(&a->addr, a->prefix_len),
                                          .prefix_len = a->prefix_len,
                                          .table = NS_RT_TABLE_MAIN,
                                          .type = NS_RTN_UNICAST,
                                          .metric = 256});
    return rc;
}

static int addr_routes(struct ifaddr *ia, bool add) {
    return ipa_is_v4(&ia->a.addr) ? routes_v4(ia, add) : routes_v6(ia, add);
}

/* ---- multicast membership ---- */

static struct ipa solicited_node(const struct ipa *a) {
    return (struct ipa){{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a->b[13], a->b[14], a->b[15]}};
}

static struct nic_group *group_find(const struct nic *nic, const struct ipa *group) {
    struct nic_group *g;
    list_for_each_entry(g, &nic->groups, link) {
        if (ipa_eq(&g->group, group))
            return g;
    }
    return NULL;
}

bool nic_in_group(const struct nic *nic, const struct ipa *group) {
    static const struct ipa all_v6 = {{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    static const struct ipa node_v6 = {{0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    struct ipa all_v4 = IPA_V4(224, 0, 0, 1);
    if (ipa_eq(group, &all_v4) || ipa_eq(group, &all_v6) || ipa_eq(group, &node_v6))
        return true; /* every host is in these (RFC 1112 section 4, RFC 4291 section 2.8) */
    return group_find(nic, group) || nic->flags & NS_IFF_ALLMULTI;
}

int nic_join(struct nic *nic, const struct ipa *group) {
    struct nic_group *g = group_find(nic, group);
    if (g) {
        g->users++;
        return 0;
    }
    g = nsmem_alloc(&nic->st->mem, &t_group);
    if (!g)
        return -ENOMEM;
    g->nic = nic;
    g->group = *group;
    g->users = 1;
    ntimer_init(&g->timer, &group_timer_ops);
    list_add_tail(&nic->groups, &g->link);
    group_joined(g);
    return 0;
}

static void group_free(struct nic_group *g) {
    ntimer_disarm(g->nic->st, &g->timer);
    list_del(&g->link);
    nsmem_free(&g->nic->st->mem, &t_group, g);
}

int nic_leave(struct nic *nic, const struct ipa *group) {
    struct nic_group *g = group_find(nic, group);
    if (!g)
        return -EADDRNOTAVAIL;
    if (--g->users == 0) {
        group_left(g);
        group_free(g);
    }
    return 0;
}

/* ---- life of an address ---- */

static void set_lifetime_timer(struct ifaddr *ia) {
    struct netstack *st = ia->nic->st;
    int64_t next = ia->valid_until;
    if (!(ia->a.flags & NS_IFA_F_DEPRECATED) && ia->preferred_until < next)
        next = ia->preferred_until;
    if (next == NETSTACK_NEVER)
        ntimer_disarm(st, &ia->timer);
    else
        ntimer_arm(st, &ia->timer, next);
}

static void free_addr(struct ifaddr *ia) {
    struct nic *nic = ia->nic;
    struct ipa sn = solicited_node(&ia->a.addr);
    ntimer_disarm(nic->st, &ia->timer);
    htab_remove(&nic->ns->local_addrs, &ia->hnode);
    list_del(&ia->link);
    (void)addr_routes(ia, false);
    if (!ipa_is_v4(&ia->a.addr))
        (void)nic_leave(nic, &sn);
    nic->ns->route_gen++;
    nsmem_free(&nic->st->mem, &t_ifaddr, ia);
}

static void dad_done(struct ifaddr *ia) {
    ia->a.flags &= ~(uint32_t)NS_IFA_F_TENTATIVE;
    ia->nic->ns->route_gen++;
    set_lifetime_timer(ia);
    ndp_announce(ia);
}

static void addr_timer(struct netstack *st, struct ntimer *t) {
    struct ifaddr *ia = container_of(t, struct ifaddr, timer);
    if (ia->a.flags & NS_IFA_F_TENTATIVE) {
        if (ia->dad_left == 0) {
            dad_done(ia);
            return;
        }
        ia->dad_left--;
        ndp_dad_probe(ia);
        ntimer_arm(st, t, st->now + MSEC(ia->nic->retrans_ms));
        return;
    }
    if (st->now >= ia->valid_until) {
        free_addr(ia);
        return;
    }
    if (st->now >= ia->preferred_until)
        ia->a.flags |= NS_IFA_F_DEPRECATED;
    set_lifetime_timer(ia);
}

static const struct ntimer_ops addr_timer_ops = {.fire = addr_timer};

/* RFC 4862 section 5.4: one probe after a random delay of up to a second, then RetransTimer of silence. */
static void dad_start(struct ifaddr *ia) {
    struct nic *nic = ia->nic;
    if (!nic_is_up(nic) || !(ia->a.flags & NS_IFA_F_TENTATIVE))
        return;
    ia->dad_left = 1;
    ntimer_arm(nic->st, &ia->timer, nic->st->now + MSEC(stack_random_below(nic->st, 1000)));
}

void ifaddr_dad_failed(struct ifaddr *ia) {
    if (!(ia->a.flags & NS_IFA_F_TENTATIVE))
        return;
    ia->a.flags |= NS_IFA_F_DADFAILED;
    ntimer_disarm(ia->nic->st, &ia->timer);
}

static bool addr_valid(const struct nic_addr *a) {
    return !ipa_is_any(&a->addr) && !ipa_is_mcast(&a->addr) && a->prefix_len <= ipa_max_prefix(&a->addr) &&
           !(ipa_is_v4(&a->addr) && ipa_is_bcast4(&a->addr)) && a->preferred_s <= a->valid_s &&
           a->valid_s > 0;
}

static struct ifaddr *addr_alloc(struct nic *nic, const struct nic_addr *a) {
    struct ifaddr *ia = nsmem_alloc(&nic->st->mem, &t_ifaddr);
    if (!ia)
        return NULL;
    int64_t now = nic->st->now;
    ia->nic = nic;
    ia->a = *a;
    ia->valid_until = a->valid_s == UINT32_MAX ? NETSTACK_NEVER : now + SEC(a->valid_s);
    ia->preferred_until = a->preferred_s == UINT32_MAX ? NETSTACK_NEVER : now + SEC(a->preferred_s);
    if (a->valid_s == UINT32_MAX)
        ia->a.flags |= NS_IFA_F_PERMANENT;
    ntimer_init(&ia->timer, &addr_timer_ops);
    bool v4 = ipa_is_v4(&a->addr);
    if (!v4 && nic->arphrd == NS_ARPHRD_ETHER && !(a->flags & NS_IFA_F_NODAD) && !(nic->offloads & NIC_QUIET))
        ia->a.flags |= NS_IFA_F_TENTATIVE;
    return ia;
}

int ifaddr_add(struct nic *nic, const struct nic_addr *a, struct ifaddr **ret) {
    if (!addr_valid(a))
        return -EINVAL;
    struct ifaddr *old = ifaddr_find(nic->ns, &a->addr, nic);
    if (old && old->a.prefix_len == a->prefix_len)
        return -EEXIST;
    struct ifaddr *ia = addr_alloc(nic, a);
    if (!ia)
        return -ENOMEM;
    list_add_tail(&nic->addrs, &ia->link);
    htab_insert(&nic->st->mem, &nic->ns->local_addrs, &ia->hnode, addr_hash(nic->ns, &a->addr));
    struct ipa sn = solicited_node(&a->addr);
    int rc = ipa_is_v4(&a->addr) ? 0 : nic_join(nic, &sn);
    if (rc == 0)
        rc = addr_routes(ia, true);
    if (rc < 0) {
        free_addr(ia);
        return rc;
    }
    nic->ns->route_gen++;
    if (ia->a.flags & NS_IFA_F_TENTATIVE)
        dad_start(ia);
    else
        set_lifetime_timer(ia);
    if (ret)
        *ret = ia;
    return 0;
}

int ifaddr_del(struct nic *nic, const struct ipa *addr, unsigned prefix_len) {
    struct ifaddr *ia;
    list_for_each_entry(ia, &nic->addrs, link) {
        if (ipa_eq(&ia->a.addr, addr) && ia->a.prefix_len == prefix_len) {
            free_addr(ia);
            return 0;
        }
    }
    return -EADDRNOTAVAIL;
}

void ifaddr_flush(struct nic *nic) {
    while (!list_empty(&nic->addrs))
        free_addr(list_first_entry(&nic->addrs, struct ifaddr, link));
    while (!list_empty(&nic->groups))
        group_free(list_first_entry(&nic->groups, struct nic_group, link));
}

/* RFC 4291 appendix A: modified EUI-64 from the MAC. */
static struct ipa link_local_of(const struct mac *m) {
    return (struct ipa){
        {0xfe, 0x80, 0, 0, 0, 0, 0, 0, m->b[0] ^ 2, m->b[1], m->b[2], 0xff, 0xfe, m->b[3], m->b[4], m->b[5]}};
}

void ifaddr_link_up(struct nic *nic) {
    if (nic->flags & NS_IFF_LOOPBACK) {
        struct nic_addr lo4 = {.addr = IPA_V4(127, 0, 0, 1),
                               .broadcast = IPA_ANY4,
                               .prefix_len = 8,
                               .scope = NS_RT_SCOPE_HOST,
                               .valid_s = UINT32_MAX,
                               .preferred_s = UINT32_MAX};
        struct nic_addr lo6 = {
            .prefix_len = 128, .scope = NS_RT_SCOPE_HOST, .valid_s = UINT32_MAX, .preferred_s = UINT32_MAX};
        lo6.addr.b[15] = 1;
        (void)ifaddr_add(nic, &lo4, NULL); /* -EEXIST when it was up before */
        (void)ifaddr_add(nic, &lo6, NULL);
        return;
    }
    if (nic->arphrd != NS_ARPHRD_ETHER || nic->port)
        return;
    struct nic_addr ll = {.addr = link_local_of(&nic->mac),
                          .prefix_len = 64,
                          .scope = NS_RT_SCOPE_LINK,
                          .valid_s = UINT32_MAX,
                          .preferred_s = UINT32_MAX};
    (void)ifaddr_add(nic, &ll, NULL);
    struct ifaddr *ia;
    list_for_each_entry(ia, &nic->addrs, link) {
        dad_start(ia);
    }
    ndp_send_rs(nic);
}

/* ---- source selection ---- */

/* Higher is better; rules 2, 3, 8 of RFC 6724 section 5 (rules 1, 5 are the callers'; no home addresses, no
 * labels). */
static int64_t score_v6(const struct ifaddr *ia, const struct nic *out, const struct ipa *dst) {
    enum ipa_scope s = ipa_scope(&ia->a.addr), d = ipa_scope(dst);
    int64_t score = 0;
    if (ipa_eq(&ia->a.addr, dst))
        return INT64_MAX;
    score += (s >= d ? 1000 + (16 - (int)s) : (int)s) * 100000ll;
    if (!(ia->a.flags & NS_IFA_F_DEPRECATED))
        score += 10000;
    if (ia->nic == out)
        score += 5000;
    return score + ipa_common_prefix(&ia->a.addr, dst);
}

static bool select_v6(struct netns *ns, struct nic *nic, const struct ipa *dst, struct ipa *ret) {
    int64_t best = -1;
    struct nic *n;
    struct ifaddr *ia;
    bool link_scope = ipa_scope(dst) == SCOPE_LINK && !ipa_is_loopback(dst);
    list_for_each_entry(n, &ns->nics, ns_link) {
        if (link_scope && n != nic)
            continue;
        list_for_each_entry(ia, &n->addrs, link) {
            if (ipa_is_v4(&ia->a.addr) || ia->a.flags & NS_IFA_F_TENTATIVE)
                continue;
            int64_t score = score_v6(ia, nic, dst);
            if (score > best) {
                best = score;
                *ret = ia->a.addr;
            }
        }
    }
    return best >= 0;
}

/* An address of the interface whose subnet holds dst, else its first of wide enough scope, else any other's.
 */
static bool select_v4(struct netns *ns, struct nic *nic, const struct ipa *dst, struct ipa *ret) {
    struct ifaddr *ia, *first = NULL;
    list_for_each_entry(ia, &nic->addrs, link) {
        if (!ipa_is_v4(&ia->a.addr))
            continue;
        if (ipa_prefix_match(dst, &ia->a.addr, ia->a.prefix_len)) {
            *ret = ia->a.addr;
            return true;
        }
        if (!first)
            first = ia;
    }
    struct nic *n;
    list_for_each_entry(n, &ns->nics, ns_link) {
        if (first)
            break;
        list_for_each_entry(ia, &n->addrs, link) {
            if (ipa_is_v4(&ia->a.addr) && ia->a.scope < NS_RT_SCOPE_LINK && !first)
                first = ia;
        }
    }
    if (first)
        *ret = first->a.addr;
    return first != NULL;
}

bool ifaddr_select(struct netns *ns, struct nic *nic, const struct ipa *dst, struct ipa *ret) {
    return ipa_is_v4(dst) ? select_v4(ns, nic, dst, ret) : select_v6(ns, nic, dst, ret);
}

/* ---- public ---- */

int nic_addr_add(struct nic *nic, const struct nic_addr *a) {
    stack_enter(nic->st);
    int rc = ifaddr_add(nic, a, NULL);
    stack_leave(nic->st);
    return rc;
}

int nic_addr_del(struct nic *nic, const struct ipa *addr, unsigned prefix_len) {
    stack_enter(nic->st);
    int rc = ifaddr_del(nic, addr, prefix_len);
    stack_leave(nic->st);
    return rc;
}

int nic_addr_at(struct nic *nic, size_t i, struct nic_addr *ret) {
    int rc = -ENOENT;
    struct ifaddr *ia;
    mutex_lock(&nic->st->lock);
    list_for_each_entry(ia, &nic->addrs, link) {
        if (i-- == 0) {
            *ret = ia->a;
            rc = 0;
            break;
        }
    }
    mutex_unlock(&nic->st->lock);
    return rc;
}
