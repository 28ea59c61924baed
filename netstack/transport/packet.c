/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/packet.c: packet sockets, SOCK_RAW and SOCK_DGRAM ("cooked"). packet(7).
 *
 * Not done: fanout, virtio-net headers. A packet is queued by sharing blocks, and copied into a ring.
 */
#include <errno.h>

#include "netstack/transport/packet_internal.h"

enum { ETH_P_ALL = 3 };

/* PACKET_ADD_MEMBERSHIP of type promiscuous. */
struct promisc_ref {
    struct list link;
    uint32_t ifindex;
};

NETSTACK_TYPE(t_packet, struct packet_sock);
NETSTACK_TYPE(t_promisc, struct promisc_ref);

/* Linux's loopback has an Ethernet header of zeros, which programs expect from its type of interface. */
static bool loopback_header(struct pkt *c) {
    uint8_t *h = pkt_push(c, ETHER_HLEN);
    if (!h)
        return false;
    eth_put(h, &(struct eth_hdr){.type = c->ethertype});
    c->l2_len = ETHER_HLEN;
    return true;
}

static bool wants(const struct packet_sock *k, const struct nic *nic, const struct pkt *p, uint8_t type) {
    if (k->ethertype == 0 || (k->ethertype != ETH_P_ALL && k->ethertype != p->ethertype))
        return false;
    if (k->ifindex && k->ifindex != nic->ifindex)
        return false;
    return type != PKT_OUTGOING || (k->ethertype == ETH_P_ALL && !k->ignore_outgoing);
}

uint32_t packet_status(const struct pkt *p) {
    return p->csum == CSUM_PARTIAL                               ? TP_CSUM_NOT_READY
           : p->type != PKT_OUTGOING && p->csum == CSUM_VERIFIED ? TP_CSUM_VALID
                                                                 : 0;
}

/* Takes c. */
static void deliver(struct packet_sock *k, struct pkt *c) {
    bool took = false;
    if (packet_has_ring(&k->rx)) {
        took = packet_ring_put(k, c, c->wire_len);
        pkt_free(c);
    } else {
        took = nsock_queue(&k->base, c);
    }
    if (took)
        k->seen++;
    else
        k->dropped++;
}

void packet_input(struct nic *nic, struct pkt *p, uint8_t type) {
    struct nsock *s;
    list_for_each_entry(s, &nic->ns->packet_socks, link) {
        struct packet_sock *k = packet_of(s);
        if (!wants(k, nic, p, type))
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
        c->ifindex = nic->ifindex;
        c->wire_len = c->len;
        if (c->realtime_ns == 0)
            c->realtime_ns = s->ns->st->host->realtime_ns(s->ns->st->host_ctx);
        pkt_trim_to(c, MIN(c->len, keep));
        deliver(k, c);
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

int packet_out_nic(struct packet_sock *k, const struct ns_msg *m, struct nic **ret) {
    struct nic *nic = nic_find(k->base.ns, m->has_name ? m->name.ifindex : k->ifindex);
    if (!nic)
        return -ENXIO;
    if (!nic_is_up(nic))
        return -ENETDOWN;
    *ret = nic;
    return 0;
}

/* Of the header that a frame of SOCK_RAW begins with. */
static uint32_t header_of(const struct nsock *s, const struct nic *nic) {
    bool loop = nic->arphrd == NS_ARPHRD_LOOPBACK && s->type != NS_SOCK_DGRAM;
    return nic->arphrd == NS_ARPHRD_ETHER || loop ? ETHER_HLEN : 0;
}

int packet_send_pkt(struct packet_sock *k, const struct ns_msg *m, struct pkt *p) {
    struct nsock *s = &k->base;
    struct nic *nic;
    bool cooked = s->type == NS_SOCK_DGRAM;
    int rc = packet_out_nic(k, m, &nic);
    uint32_t l2 = rc < 0 ? 0 : header_of(s, nic);
    if (rc == 0 && p->len > nic->mtu + (cooked ? 0 : l2))
        rc = -EMSGSIZE;
    else if (rc == 0 && !cooked && p->len < l2)
        rc = -EINVAL;
    if (rc < 0) {
        pkt_free(p);
        return rc;
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
    if (nic->arphrd == NS_ARPHRD_LOOPBACK && !cooked) {
        pkt_trim_front(p, l2);
        l2 = 0;
    }
    p->net_off = (uint16_t)l2;
    p->l2_len = (uint8_t)l2;
    return nic_xmit(nic, p);
}

static ssize_t packet_send(struct nsock *s, struct ns_msg *m) {
    struct packet_sock *k = packet_of(s);
    size_t len = ns_iov_len(m);
    struct nic *nic;
    if (packet_has_ring(&k->tx))
        return packet_ring_send(k, m);
    int rc = packet_out_nic(k, m, &nic);
    if (rc < 0)
        return rc;
    if (len > nic->mtu + header_of(s, nic)) /* before memory is asked for */
        return -EMSGSIZE;
    struct pkt *p = pkt_new(&s->ns->st->mem, PKT_HEADROOM, (uint32_t)len);
    if (!p || ns_iov_to_pkt(m, 0, (uint32_t)len, p) < 0) {
        pkt_free(p);
        return -ENOBUFS;
    }
    rc = packet_send_pkt(k, m, p);
    return rc < 0 ? rc : (ssize_t)len;
}

void packet_name(const struct nsock *s, const struct pkt *p, struct ns_addr *ret) {
    struct nic *nic = nic_find(s->ns, p->ifindex);
    *ret = (struct ns_addr){.family = NS_AF_PACKET,
                            .ifindex = p->ifindex,
                            .ethertype = p->ethertype,
                            .pkttype = p->type,
                            .arphrd = nic ? nic->arphrd : 0,
                            .mac_len = p->l2_len || (nic && nic->arphrd == NS_ARPHRD_LOOPBACK) ? MAC_LEN : 0};
    if (s->type == NS_SOCK_RAW && p->l2_len == ETHER_HLEN && p->len >= ETHER_HLEN)
        pkt_copy_out(p, MAC_LEN, ret->mac.b, MAC_LEN);
    else if (p->l2_len == ETHER_HLEN) /* the header lies in front of the cooked packet's first block */
        memcpy(ret->mac.b, p->first.blk->bytes + p->first.off - ETHER_HLEN + MAC_LEN, MAC_LEN);
}

static ssize_t packet_recv(struct nsock *s, struct ns_msg *m) {
    if (m->flags & NS_MSG_OOB)
        return -EINVAL;
    if (s->err)
        return nsock_take_error(s);
    if (list_empty(&s->rxq))
        return -EAGAIN;
    struct pkt *p = list_first_entry(&s->rxq, struct pkt, link);
    struct ns_addr name;
    packet_name(s, p, &name);
    struct ns_auxdata aux = {.status = TP_USER | packet_status(p),
                             .len = p->wire_len,
                             .snaplen = p->len,
                             .net = s->type == NS_SOCK_RAW ? p->l2_len : 0};
    ssize_t n = nsock_recv_dgram(s, m);
    if (n < 0)
        return n;
    m->name = name;
    if (packet_of(s)->auxdata) {
        m->cmsg.have |= NS_CMSG_AUXDATA;
        m->cmsg.aux = aux;
    }
    return n;
}

static uint32_t packet_ready(struct nsock *s) {
    const struct packet_sock *k = packet_of(s);
    uint32_t ready = nsock_ready_dgram(s);
    return ready | (packet_has_ring(&k->rx) && packet_ring_readable(k) ? NS_POLLIN : 0);
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

/* Options that may not change under a ring: packet(7). */
static int set_layout(struct packet_sock *k, int name, int v) {
    if (name == NS_PACKET_VERSION && (v < PACKET_V1 || v > PACKET_V3))
        return -EINVAL;
    if (name == NS_PACKET_RESERVE && v < 0)
        return -EINVAL;
    if (packet_has_ring(&k->rx) || packet_has_ring(&k->tx))
        return -EBUSY;
    if (name == NS_PACKET_VERSION)
        k->version = (uint8_t)v;
    else if (name == NS_PACKET_RESERVE)
        k->reserve = v;
    else
        k->loss = v != 0;
    return 0;
}

static int set_number(struct packet_sock *k, int name, int v) {
    switch (name) {
    case NS_PACKET_VERSION:
    case NS_PACKET_RESERVE:
    case NS_PACKET_LOSS:
        return set_layout(k, name, v);
    case NS_PACKET_AUXDATA:
        k->auxdata = v != 0;
        return 0;
    case NS_PACKET_ORIGDEV: /* there are no bonds: a packet's device is the one it came by */
        k->origdev = v != 0;
        return 0;
    case NS_PACKET_COPY_THRESH: /* what a frame cuts off is not kept elsewhere */
        k->copy_threshold = v;
        return 0;
    case NS_PACKET_TIMESTAMP: /* software's is the only one */
        k->timestamp = v;
        return 0;
    case NS_PACKET_IGNORE_OUTGOING:
        if (v < 0 || v > 1)
            return -EINVAL;
        k->ignore_outgoing = v;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static int packet_setopt(struct nsock *s, int level, int name, const void *val, size_t len) {
    int v;
    if (level == NS_SOL_SOCKET)
        return 0;
    if (level != NS_SOL_PACKET)
        return -ENOPROTOOPT;
    if (name == NS_PACKET_ADD_MEMBERSHIP || name == NS_PACKET_DROP_MEMBERSHIP)
        return membership(packet_of(s), name == NS_PACKET_ADD_MEMBERSHIP, val, len);
    int rc = opt_get_int(val, len, &v);
    return rc < 0 ? rc : set_number(packet_of(s), name, v);
}

/* Reading clears: packet(7). */
static int get_statistics(struct packet_sock *k, void *val, size_t *len) {
    uint32_t stats[3] = {k->seen + k->dropped, k->dropped, k->freezes};
    k->seen = k->dropped = k->freezes = 0;
    return opt_put(val, len, stats, k->version == PACKET_V3 ? 3 * sizeof(stats[0]) : 2 * sizeof(stats[0]));
}

static int packet_getopt(struct nsock *s, int level, int name, void *val, size_t *len) {
    struct packet_sock *k = packet_of(s);
    int v;
    if (level != NS_SOL_PACKET)
        return -ENOPROTOOPT;
    switch (name) {
    case NS_PACKET_STATISTICS:
        return get_statistics(k, val, len);
    case NS_PACKET_HDRLEN: /* of the version in `val` */
        v = opt_get_int(val, *len, &v) < 0 ? -EINVAL : packet_header_len(v);
        return v < 0 ? v : opt_put_int(val, len, v);
    case NS_PACKET_VERSION:
        return opt_put_int(val, len, k->version);
    case NS_PACKET_RESERVE:
        return opt_put_int(val, len, k->reserve);
    case NS_PACKET_LOSS:
        return opt_put_int(val, len, k->loss);
    case NS_PACKET_AUXDATA:
        return opt_put_int(val, len, k->auxdata);
    case NS_PACKET_ORIGDEV:
        return opt_put_int(val, len, k->origdev);
    case NS_PACKET_TIMESTAMP:
        return opt_put_int(val, len, k->timestamp);
    case NS_PACKET_IGNORE_OUTGOING:
        return opt_put_int(val, len, k->ignore_outgoing);
    default:
        return -ENOPROTOOPT;
    }
}

static void packet_close(struct nsock *s) {
    struct packet_sock *k = packet_of(s);
    while (!list_empty(&k->promisc))
        drop_promisc(k, list_first_entry(&k->promisc, struct promisc_ref, link));
    packet_ring_end(k);
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
    .ready = packet_ready,
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
    packet_ring_init(k);
    list_add_tail(&ns->packet_socks, &k->base.link);
    *ret = &k->base;
    return 0;
}
