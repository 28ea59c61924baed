/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/packet.c: packet sockets, SOCK_RAW and SOCK_DGRAM ("cooked"). packet(7).
 *
 * Not done: rings (PACKET_RX_RING), fanout. A packet is copied by sharing blocks.
 */
#include <errno.h>

#include "netstack/stack/nsock.h"

enum { ETH_P_ALL = 3 };

struct packet_sock {
    struct nsock base;      /* first */
    uint16_t ethertype;     /* 0: receives nothing yet */
    uint32_t ifindex;       /* 0: all */
    uint32_t seen, dropped; /* PACKET_STATISTICS */
    struct list promisc;    /* promisc_ref.link */
};

/* PACKET_ADD_MEMBERSHIP of type promiscuous. */
struct promisc_ref {
    struct list link;
    uint32_t ifindex;
};

NETSTACK_TYPE(t_packet, struct packet_sock);
NETSTACK_TYPE(t_promisc, struct promisc_ref);

static struct packet_sock *packet_of(struct nsock *s) {
    return container_of(s, struct packet_sock, base);
}

/* Linux's loopback has an Ethernet header of zeros, which programs expect from its type of interface. */
static bool loopback_header(struct pkt *c) {
    uint8_t *h = pkt_push(c, ETHER_HLEN);
    if (!h)
        return false;
    eth_put(h, &(struct eth_hdr){.type = c->ethertype});
    c->l2_len = ETHER_HLEN;
    return true;
}

void packet_input(struct nic *nic, struct pkt *p, uint8_t type) {
    struct nsock *s;
    list_for_each_entry(s, &nic->ns->packet_socks, link) {
        struct packet_sock *k = packet_of(s);
        if (k->ethertype == 0 || (k->ethertype != ETH_P_ALL && k->ethertype != p->ethertype))
            continue;
        if (k->ifindex && k->ifindex != nic->ifindex)
            continue;
        if (type == PKT_OUTGOING && k->ethertype != ETH_P_ALL)
            continue;
        struct pkt *c = pkt_clone(p);
        if (!c)
            continue;
        c->type = type;
        if (s->type == NS_SOCK_DGRAM)
            pkt_trim_front(c, p->l2_len);
        else if (nic->arphrd == NS_ARPHRD_LOOPBACK && !loopback_header(c)) {
            pkt_free(c);
            continue;
        }
        uint32_t keep = nsock_filter(s, c, 0);
        if (keep == 0) {
            pkt_free(c);
            continue;
        }
        pkt_trim_to(c, MIN(c->len, keep));
        k->seen++;
        if (!nsock_queue(s, c))
            k->dropped++;
    }
}

static int packet_bind(struct nsock *s, const struct ns_addr *a) {
    struct packet_sock *k = packet_of(s);
    if (a->family != NS_AF_PACKET)
        return -EINVAL;
    struct nic *nic = a->ifindex ? nic_find(s->ns, a->ifindex) : NULL;
    if (a->ifindex && !nic)
        return -ENODEV;
    k->ifindex = a->ifindex;
    if (a->ethertype)
        k->ethertype = a->ethertype;
    if (nic && !nic_is_up(nic))
        nsock_set_error(s, ENETDOWN);
    return 0;
}

static int packet_connect(struct nsock *s, const struct ns_addr *a) {
    (void)s, (void)a;
    return -EOPNOTSUPP;
}

static ssize_t packet_send(struct nsock *s, struct ns_msg *m) {
    struct packet_sock *k = packet_of(s);
    size_t len = ns_iov_len(m);
    struct nic *nic = nic_find(s->ns, m->has_name ? m->name.ifindex : k->ifindex);
    bool cooked = s->type == NS_SOCK_DGRAM;
    if (!nic)
        return -ENXIO;
    if (!nic_is_up(nic))
        return -ENETDOWN;
    bool loop = nic->arphrd == NS_ARPHRD_LOOPBACK && !cooked;
    uint32_t l2 = nic->arphrd == NS_ARPHRD_ETHER || loop ? ETHER_HLEN : 0;
    if (len > nic->mtu + (cooked ? 0 : l2))
        return -EMSGSIZE;
    if (!cooked && len < l2)
        return -EINVAL;
    struct pkt *p = pkt_new(&s->ns->st->mem, PKT_HEADROOM, (uint32_t)len);
    if (!p || ns_iov_to_pkt(m, 0, (uint32_t)len, p) < 0) {
        pkt_free(p);
        return -ENOBUFS;
    }
    p->ethertype = m->has_name && m->name.ethertype ? m->name.ethertype : k->ethertype;
    if (cooked && l2) {
        uint8_t *h = pkt_push(p, l2);
        if (!h || !m->has_name) {
            pkt_free(p);
            return h ? -EINVAL : -ENOBUFS;
        }
        eth_put(h, &(struct eth_hdr){.dst = m->name.mac, .src = nic->mac, .type = p->ethertype});
    } else if (l2) {
        p->ethertype = get_be16(pkt_header(p, ETHER_HLEN) + 12);
    }
    if (loop) {
        pkt_trim_front(p, l2);
        l2 = 0;
    }
    p->net_off = (uint16_t)l2;
    p->l2_len = (uint8_t)l2;
    int rc = nic_xmit(nic, p);
    return rc < 0 ? rc : (ssize_t)len;
}

static ssize_t packet_recv(struct nsock *s, struct ns_msg *m) {
    if (m->flags & NS_MSG_OOB)
        return -EINVAL;
    if (s->err)
        return nsock_take_error(s);
    if (list_empty(&s->rxq))
        return -EAGAIN;
    struct pkt *p = list_first_entry(&s->rxq, struct pkt, link);
    struct nic *nic = nic_find(s->ns, p->ifindex);
    struct ns_addr name = {.family = NS_AF_PACKET,
                           .ifindex = p->ifindex,
                           .ethertype = p->ethertype,
                           .pkttype = p->type,
                           .arphrd = nic ? nic->arphrd : 0,
                           .mac_len = p->l2_len || (nic && nic->arphrd == NS_ARPHRD_LOOPBACK) ? MAC_LEN : 0};
    if (s->type == NS_SOCK_RAW && p->l2_len == ETHER_HLEN && p->len >= ETHER_HLEN)
        pkt_copy_out(p, MAC_LEN, name.mac.b, MAC_LEN);
    else if (p->l2_len == ETHER_HLEN) /* the header lies in front of the cooked packet's first block */
        memcpy(name.mac.b, p->first.blk->bytes + p->first.off - ETHER_HLEN + MAC_LEN, MAC_LEN);
    ssize_t n = nsock_recv_dgram(s, m);
    if (n >= 0)
        m->name = name;
    return n;
}

static void drop_promisc(struct packet_sock *k, struct promisc_ref *r) {
    struct nic *nic = nic_find(k->base.ns, r->ifindex);
    if (nic && nic->promisc_users > 0 && --nic->promisc_users == 0)
        nic->flags &= ~(uint32_t)NS_IFF_PROMISC;
    list_del(&r->link);
    nsmem_free(&k->base.ns->st->mem, &t_promisc, r);
}

/* struct packet_mreq: int ifindex, u16 type, u16 alen, u8 address[8] */
static int membership(struct packet_sock *k, bool add, const uint8_t *val, size_t len) {
    int ifindex;
    uint16_t type;
    if (len < 16)
        return -EINVAL;
    memcpy(&ifindex, val, sizeof(ifindex));
    memcpy(&type, val + 4, sizeof(type));
    struct nic *nic = nic_find(k->base.ns, (uint32_t)ifindex);
    if (!nic)
        return -ENODEV;
    if (type > 3)
        return -EINVAL;
    if (type != 1) /* groups: every multicast frame reaches packet sockets already */
        return 0;
    struct promisc_ref *r;
    if (!add) {
        list_for_each_entry(r, &k->promisc, link) {
            if (r->ifindex == (uint32_t)ifindex) {
                drop_promisc(k, r);
                return 0;
            }
        }
        return -EADDRNOTAVAIL;
    }
    r = nsmem_alloc(&k->base.ns->st->mem, &t_promisc);
    if (!r)
        return -ENOMEM;
    r->ifindex = (uint32_t)ifindex;
    list_add_tail(&k->promisc, &r->link);
    nic->promisc_users++;
    nic->flags |= NS_IFF_PROMISC;
    return 0;
}

static int packet_setopt(struct nsock *s, int level, int name, const void *val, size_t len) {
    if (level == NS_SOL_SOCKET)
        return 0;
    if (level != NS_SOL_PACKET)
        return -ENOPROTOOPT;
    if (name == NS_PACKET_ADD_MEMBERSHIP || name == NS_PACKET_DROP_MEMBERSHIP)
        return membership(packet_of(s), name == NS_PACKET_ADD_MEMBERSHIP, val, len);
    return -ENOPROTOOPT;
}

static int packet_getopt(struct nsock *s, int level, int name, void *val, size_t *len) {
    struct packet_sock *k = packet_of(s);
    if (level != NS_SOL_PACKET || name != NS_PACKET_STATISTICS)
        return -ENOPROTOOPT;
    uint32_t stats[2] = {k->seen, k->dropped};
    k->seen = k->dropped = 0; /* reading clears: packet(7) */
    return opt_put(val, len, stats, sizeof(stats));
}

static void packet_close(struct nsock *s) {
    struct packet_sock *k = packet_of(s);
    while (!list_empty(&k->promisc))
        drop_promisc(k, list_first_entry(&k->promisc, struct promisc_ref, link));
    list_del(&s->link);
}

static void packet_destroy(struct nsock *s) {
    (void)s;
}

void packet_fill_info(const struct nsock *s, struct ns_sock_info *i) {
    const struct packet_sock *k = container_of(s, struct packet_sock, base);
    i->ethertype = k->ethertype;
}

static const struct nsock_ops packet_ops = {
    .bind = packet_bind,
    .connect = packet_connect,
    .send = packet_send,
    .recv = packet_recv,
    .close = packet_close,
    .destroy = packet_destroy,
    .setopt = packet_setopt,
    .getopt = packet_getopt,
    .ready = nsock_ready_dgram,
    .type = &t_packet,
};

/* `protocol` is an ethertype in host order; the glue swaps. */
int packet_new(struct netns *ns, int type, int protocol, struct nsock **ret) {
    if (type != NS_SOCK_RAW && type != NS_SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    struct packet_sock *k = nsmem_alloc(&ns->st->mem, &t_packet);
    if (!k)
        return -ENOMEM;
    nsock_init(&k->base, ns, &packet_ops, NS_AF_PACKET, type, 0);
    k->ethertype = (uint16_t)protocol;
    list_init(&k->promisc);
    list_add_tail(&ns->packet_socks, &k->base.link);
    *ret = &k->base;
    return 0;
}
