/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/nic.c: interfaces: their life, flags, and the way of a packet through one in each direction.
 *
 * Does not know any protocol above Ethernet. Addresses are in ifaddr.c. Source of flag semantics:
 * netdevice(7).
 */
#include <errno.h>
#include <stdio.h>

#include "netstack/stack/stack_core.h"

NETSTACK_TYPE(t_nic, struct nic);

struct nic *nic_find(struct netns *ns, uint32_t ifindex) {
    struct nic *n;
    list_for_each_entry(n, &ns->nics, ns_link) {
        if (n->ifindex == ifindex)
            return n;
    }
    return NULL;
}

static struct nic *find_name(struct netns *ns, const char *name) {
    struct nic *n;
    list_for_each_entry(n, &ns->nics, ns_link) {
        if (strncmp(n->name, name, NS_IFNAMSIZ) == 0)
            return n;
    }
    return NULL;
}

/* As Linux: not empty, not "." or "..", no slash, no colon, no white space. */
static bool name_valid(const char *name) {
    size_t len = strnlen(name, NS_IFNAMSIZ);
    if (len == 0 || len == NS_IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (; *name; name++)
        if (*name == '/' || *name == ':' || *name == ' ' || (*name >= '\t' && *name <= '\r'))
            return false;
    return true;
}

/* A pattern ends in "%d": the first free number, as Linux. */
static int choose_name(struct netns *ns, const char *asked, char *ret) {
    const char *stem = asked[0] ? asked : "eth%d";
    size_t len = strlen(stem);
    bool pattern = len > 2 && len < NS_IFNAMSIZ - 8 && strcmp(stem + len - 2, "%d") == 0;
    if (!pattern) {
        if (!name_valid(asked))
            return -EINVAL;
        if (find_name(ns, asked))
            return -EEXIST;
        snprintf(ret, NS_IFNAMSIZ, "%s", asked);
        return 0;
    }
    for (unsigned i = 0;; i++) {
        snprintf(ret, NS_IFNAMSIZ, "%.*s%u", (int)len - 2, stem, i);
        if (!find_name(ns, ret))
            return 0;
    }
}

static void init_lists(struct nic *n) {
    list_init(&n->ns_link);
    list_init(&n->addrs);
    list_init(&n->groups);
    ntimer_init(&n->rs_timer, &rs_timer_ops);
    n->accept_ra = true;
    n->igmp_version = 3;
    n->reachable_ms = 30000; /* RFC 4861 section 10 */
    n->retrans_ms = 1000;
}

int nic_new_locked(struct netns *ns, const struct nic_config *c, struct nic **ret) {
    char name[NS_IFNAMSIZ];
    int rc = choose_name(ns, c->name ? c->name : "", name);
    if (rc < 0)
        return rc;
    if (!c->ops || c->mtu < IPV4_MIN_MTU_LIMIT || c->mtu > 65536)
        return -EINVAL;
    struct nic *n = nsmem_alloc(&ns->st->mem, &t_nic);
    if (!n)
        return -ENOMEM;
    init_lists(n);
    n->st = ns->st;
    n->ns = ns;
    n->ops = c->ops;
    n->link = c->link;
    n->ifindex = ns->next_ifindex++;
    memcpy(n->name, name, sizeof(name));
    snprintf(n->kind, sizeof(n->kind), "%s", c->kind ? c->kind : "");
    n->arphrd = c->arphrd;
    n->mtu = c->mtu;
    n->mac = c->mac;
    n->offloads = c->offloads;
    n->gso_max = c->gso_max;
    n->txqlen = c->txqlen;
    if (c->arphrd == NS_ARPHRD_LOOPBACK)
        n->flags = NS_IFF_LOOPBACK;
    else if (c->arphrd == NS_ARPHRD_ETHER)
        n->flags = NS_IFF_BROADCAST | NS_IFF_MULTICAST;
    else
        n->flags = NS_IFF_NOARP | NS_IFF_MULTICAST;
    list_add_tail(&ns->nics, &n->ns_link);
    ns->route_gen++;
    *ret = n;
    return 0;
}

int nic_new(struct netns *ns, const struct nic_config *config, struct nic **ret) {
    stack_enter(ns->st);
    int rc = nic_new_locked(ns, config, ret);
    stack_leave(ns->st);
    return rc;
}

void nic_destroy(struct nic *n) {
    struct netns *ns = n->ns;
    struct netstack *st = n->st;
    (void)nic_set_up_locked(n, false);
    bridge_detach_port(n);
    if (n->ops->detach)
        n->ops->detach(n);
    ifaddr_flush(n);
    route_flush_nic(n);
    neigh_flush_nic(n);
    stack_backlog_purge(n);
    ntimer_disarm(st, &n->rs_timer);
    list_del(&n->ns_link);
    ns->route_gen++;
    nsmem_free(&st->mem, &t_nic, n);
}

int nic_remove(struct nic *n) {
    struct netstack *st = n->st;
    stack_enter(st);
    int rc = -EOPNOTSUPP;
    if (!(n->flags & NS_IFF_LOOPBACK)) {
        struct nic *peer = n->veth_peer;
        nic_destroy(n);
        if (peer) /* a veth pair lives and dies together, veth(4) */
            nic_destroy(peer);
        rc = 0;
    }
    stack_leave(st);
    return rc;
}

static int move(struct nic *n, struct netns *to, const char *name) {
    struct nic *taken = find_name(to, name);
    if (n->flags & NS_IFF_LOOPBACK || n->st != to->st || n->bridge)
        return -EINVAL;
    if (taken && taken != n)
        return -EEXIST;
    if (n->ns == to)
        return 0;
    (void)nic_set_up_locked(n, false);
    bridge_detach_port(n);
    ifaddr_flush(n);
    route_flush_nic(n);
    neigh_flush_nic(n);
    stack_backlog_purge(n);
    list_del(&n->ns_link);
    n->ns->route_gen++;
    n->ns = to;
    if (nic_find(to, n->ifindex))
        n->ifindex = to->next_ifindex++;
    else
        to->next_ifindex = MAX(to->next_ifindex, n->ifindex + 1);
    snprintf(n->name, sizeof(n->name), "%s", name);
    list_add_tail(&to->nics, &n->ns_link);
    to->route_gen++;
    return 0;
}

int nic_move(struct nic *n, struct netns *to, const char *name) {
    char same[NS_IFNAMSIZ];
    memcpy(same, n->name, sizeof(same));
    if (name && !name_valid(name))
        return -EINVAL;
    stack_enter(n->st);
    int rc = move(n, to, name ? name : same);
    stack_leave(n->st);
    return rc;
}

struct nic *nic_by_index(struct netns *ns, uint32_t ifindex) {
    mutex_lock(&ns->st->lock);
    struct nic *n = nic_find(ns, ifindex);
    mutex_unlock(&ns->st->lock);
    return n;
}

struct nic *nic_by_name(struct netns *ns, const char *name) {
    mutex_lock(&ns->st->lock);
    struct nic *n = find_name(ns, name);
    mutex_unlock(&ns->st->lock);
    return n;
}

struct nic *nic_next(struct netns *ns, uint32_t after) {
    struct nic *n, *best = NULL;
    mutex_lock(&ns->st->lock);
    list_for_each_entry(n, &ns->nics, ns_link) {
        if (n->ifindex > after && (!best || n->ifindex < best->ifindex))
            best = n;
    }
    mutex_unlock(&ns->st->lock);
    return best;
}

void nic_info(struct nic *n, struct nic_info *ret) {
    mutex_lock(&n->st->lock);
    *ret = (struct nic_info){
        .ifindex = n->ifindex,
        .mtu = n->mtu,
        .flags = n->flags | (nic_is_up(n) ? NS_IFF_RUNNING | NS_IFF_LOWER_UP : 0),
        .txqlen = n->txqlen,
        .offloads = n->offloads,
        .gso_max = n->gso_max,
        .peer_ifindex = n->veth_peer ? n->veth_peer->ifindex : 0,
        .arphrd = n->arphrd,
        .mac = n->mac,
        .stats = n->stats,
    };
    memcpy(ret->name, n->name, sizeof(ret->name));
    memcpy(ret->kind, n->kind, sizeof(ret->kind));
    ret->master = bridge_master_index(n);
    mutex_unlock(&n->st->lock);
}

int nic_set_up_locked(struct nic *n, bool up) {
    if (nic_is_up(n) == up)
        return 0;
    n->flags ^= NS_IFF_UP;
    n->ns->route_gen++;
    if (n->ops->set_up)
        n->ops->set_up(n, up);
    if (up) {
        ifaddr_link_up(n);
    } else {
        neigh_flush_nic(n);
        ntimer_disarm(n->st, &n->rs_timer);
    }
    return 0;
}

int nic_set_up(struct nic *n, bool up) {
    struct netstack *st = n->st;
    stack_enter(st);
    int rc = nic_set_up_locked(n, up);
    stack_leave(st);
    return rc;
}

int nic_set_mtu(struct nic *n, uint32_t mtu) {
    if (mtu < IPV4_MIN_MTU_LIMIT || mtu > 65536)
        return -EINVAL;
    stack_enter(n->st);
    n->mtu = mtu;
    n->ns->route_gen++;
    stack_leave(n->st);
    return 0;
}

int nic_set_mac(struct nic *n, const struct mac *mac) {
    if (n->arphrd != NS_ARPHRD_ETHER)
        return -EOPNOTSUPP;
    if (mac_is_group(mac))
        return -EADDRNOTAVAIL;
    stack_enter(n->st);
    n->mac = *mac;
    neigh_flush_nic(n);
    stack_leave(n->st);
    return 0;
}

int nic_set_txqlen(struct nic *n, uint32_t len) {
    stack_enter(n->st);
    n->txqlen = len;
    stack_leave(n->st);
    return 0;
}

int nic_set_name(struct nic *n, const char *name) {
    if (!name_valid(name))
        return -EINVAL;
    stack_enter(n->st);
    int rc = 0;
    if (nic_is_up(n))
        rc = -EBUSY;
    else if (find_name(n->ns, name) && find_name(n->ns, name) != n)
        rc = -EEXIST;
    else
        snprintf(n->name, sizeof(n->name), "%s", name);
    stack_leave(n->st);
    return rc;
}

int nic_set_flags(struct nic *n, uint32_t set, uint32_t clear) {
    const uint32_t ours = NS_IFF_PROMISC | NS_IFF_ALLMULTI | NS_IFF_MULTICAST | NS_IFF_NOARP;
    if ((set | clear) & ~ours)
        return -EINVAL;
    stack_enter(n->st);
    n->flags = (n->flags | set) & ~clear;
    n->ns->route_gen++;
    stack_leave(n->st);
    return 0;
}

void nic_set_tap(struct nic *n, const struct nic_tap_ops *ops, void *ctx) {
    mutex_lock(&n->st->lock);
    n->tap = ops;
    n->tap_ctx = ctx;
    mutex_unlock(&n->st->lock);
}

void *nic_link(struct nic *n) {
    return n->link;
}

struct netstack *nic_stack(struct nic *n) {
    return n->st;
}

/* ---- sending ---- */

static int xmit_one(struct nic *n, struct pkt *p) {
    if (p->csum == CSUM_PARTIAL && !(n->offloads & NIC_TX_CSUM) && pkt_csum_complete(p) < 0) {
        n->stats.tx_dropped++;
        pkt_free(p);
        return -ENOMEM;
    }
    n->stats.tx_packets++;
    n->stats.tx_bytes += p->len;
    int rc = n->ops->xmit(n, p);
    if (rc < 0)
        n->stats.tx_dropped++;
    return rc;
}

int nic_xmit(struct nic *n, struct pkt *p) {
    if (!nic_is_up(n)) {
        pkt_free(p);
        return -ENETDOWN;
    }
    p->nic = n;
    p->ifindex = n->ifindex;
    if (n->tap)
        n->tap->packet(n->tap_ctx, p, true);
    if (!list_empty(&n->ns->packet_socks))
        packet_input(n, p, PKT_OUTGOING);
    bool whole = p->gso == GSO_NONE || (p->gso == GSO_TCP && n->offloads & NIC_TSO) ||
                 (p->gso == GSO_UDP && n->offloads & NIC_USO);
    if (whole && (p->gso == GSO_NONE || p->len - p->net_off <= n->gso_max))
        return xmit_one(n, p);

    struct list out;
    list_init(&out);
    int rc = gso_segment(p, &out);
    while (!list_empty(&out)) {
        struct pkt *seg = list_first_entry(&out, struct pkt, link);
        list_del(&seg->link);
        int one = xmit_one(n, seg);
        if (rc == 0)
            rc = one;
    }
    return rc;
}

/* ---- receiving ---- */

static uint8_t classify(const struct nic *n, const struct mac *dst) {
    if (mac_is_bcast(dst))
        return PKT_BROADCAST;
    if (mac_is_group(dst))
        return PKT_MULTICAST;
    return mac_eq(dst, &n->mac) ? PKT_HOST : PKT_OTHERHOST;
}

/* Finds type and address class of the packet; its network header starts at p->net_off. */
static bool parse_link(struct nic *n, struct pkt *p) {
    if (n->arphrd == NS_ARPHRD_ETHER) {
        struct eth_hdr eth;
        const uint8_t *h = pkt_header(p, ETHER_HLEN);
        if (!h)
            return false;
        eth_get(h, &eth);
        p->ethertype = eth.type;
        p->type = classify(n, &eth.dst);
        p->net_off = p->l2_len = ETHER_HLEN;
        return true;
    }
    const uint8_t *h = pkt_header(p, 1);
    if (!h)
        return false;
    if (!p->from_loop || p->ethertype == 0) /* what loopback carries is known, and need not be IP */
        p->ethertype = h[0] >> 4 == 6 ? ETYPE_IPV6 : ETYPE_IPV4;
    p->net_off = p->l2_len = 0;
    p->type = PKT_HOST;
    return true;
}

static void receive_network(struct nic *n, struct pkt *p) {
    switch (p->ethertype) {
    case ETYPE_IPV4:
        ipv4_input(n, p);
        return;
    case ETYPE_IPV6:
        ipv6_input(n, p);
        return;
    case ETYPE_ARP:
        arp_input(n, p);
        return;
    default:
        n->stats.rx_dropped++;
        pkt_free(p);
    }
}

void nic_receive(struct nic *n, struct pkt *p) {
    stack_assert_locked(n->st);
    p->nic = n;
    p->ifindex = n->ifindex;
    p->from_loop = n->flags & NS_IFF_LOOPBACK;
    if (!nic_is_up(n) || !parse_link(n, p)) {
        n->stats.rx_dropped++;
        pkt_free(p);
        return;
    }
    n->stats.rx_packets++;
    n->stats.rx_bytes += p->len;
    if (p->realtime_ns == 0)
        p->realtime_ns = n->st->host->realtime_ns(n->st->host_ctx);
    if (n->tap)
        n->tap->packet(n->tap_ctx, p, false);
    if (!list_empty(&n->ns->packet_socks))
        packet_input(n, p, p->type);
    if (n->port && bridge_input(n, p))
        return;
    if (p->type == PKT_OTHERHOST) {
        pkt_free(p);
        return;
    }
    receive_network(n, p);
}

void nic_input(struct nic *n, struct pkt *p) {
    struct netstack *st = n->st;
    stack_enter(st);
    nic_receive(n, p);
    stack_leave(st);
}

void nic_input_batch(struct nic *n, struct pkt **pkts, size_t count) {
    struct netstack *st = n->st;
    struct gro_state gro = {0};
    stack_enter(st);
    for (size_t i = 0; i < count; i++)
        gro_receive(n, &gro, pkts[i]);
    gro_flush(n, &gro);
    stack_leave(st);
}

int nic_group_at(struct nic *n, size_t i, struct ipa *ret_group, uint32_t *ret_users) {
    struct nic_group *g;
    int rc = -ENOENT;
    mutex_lock(&n->st->lock);
    list_for_each_entry(g, &n->groups, link) {
        if (rc < 0 && i-- == 0) {
            *ret_group = g->group;
            *ret_users = g->users;
            rc = 0;
        }
    }
    mutex_unlock(&n->st->lock);
    return rc;
}
