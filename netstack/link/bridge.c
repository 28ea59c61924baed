/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/bridge.c: a learning Ethernet bridge over interfaces of one namespace.
 *
 * Addresses age out after 300 s and their number is bounded. No spanning tree, no VLANs, no multicast
 * snooping: groups are flooded. Source: IEEE 802.1D-2004 sections 7.7-7.9 (filtering database), ip-link(8).
 */
#include <errno.h>

#include "netstack/stack/stack_core.h"

enum { FDB_MAX = 4096 };

struct fdb_entry {
    struct hnode hnode;
    struct list lru; /* bridge.fdb_lru, most recently seen first */
    struct mac mac;
    struct bridge_port *port;
    int64_t seen;
};

struct bridge_port {
    struct list link; /* bridge.ports */
    struct bridge *bridge;
    struct nic *nic;
};

struct bridge {
    struct nic *nic;
    struct list ports;
    struct htab fdb;
    struct list fdb_lru;
};

NETSTACK_TYPE(t_bridge, struct bridge);
NETSTACK_TYPE(t_port, struct bridge_port);
NETSTACK_TYPE(t_fdb, struct fdb_entry);

static struct fdb_entry *fdb_find(struct bridge *br, const struct mac *mac) {
    uint32_t h = stack_hash(br->nic->st, mac, sizeof(*mac));
    for (struct hnode *n = htab_first(&br->fdb, h); n; n = htab_next(n, h)) {
        struct fdb_entry *e = container_of(n, struct fdb_entry, hnode);
        if (mac_eq(&e->mac, mac))
            return e;
    }
    return NULL;
}

static void fdb_free(struct bridge *br, struct fdb_entry *e) {
    htab_remove(&br->fdb, &e->hnode);
    list_del(&e->lru);
    nsmem_free(&br->nic->st->mem, &t_fdb, e);
}

static void fdb_learn(struct bridge *br, struct bridge_port *port, const struct mac *mac) {
    struct netstack *st = br->nic->st;
    if (mac_is_group(mac))
        return;
    struct fdb_entry *e = fdb_find(br, mac);
    if (!e) {
        if (br->fdb.count >= FDB_MAX)
            fdb_free(br, list_last_entry(&br->fdb_lru, struct fdb_entry, lru));
        e = nsmem_alloc(&st->mem, &t_fdb);
        if (!e)
            return;
        e->mac = *mac;
        list_init(&e->lru);
        htab_insert(&st->mem, &br->fdb, &e->hnode, stack_hash(st, mac, sizeof(*mac)));
    }
    e->port = port;
    e->seen = st->now;
    list_del(&e->lru);
    list_add(&br->fdb_lru, &e->lru);
}

/* Sends to one port, or to all but `from`. Takes p. */
static void forward(struct bridge *br, struct bridge_port *from, const struct mac *dst, struct pkt *p) {
    struct fdb_entry *e = mac_is_group(dst) ? NULL : fdb_find(br, dst);
    if (e && br->nic->st->now - e->seen > SEC(300)) {
        fdb_free(br, e);
        e = NULL;
    }
    if (e) {
        if (e->port == from)
            pkt_free(p);
        else
            (void)nic_xmit(e->port->nic, p); /* a full port drops */
        return;
    }
    struct bridge_port *port;
    list_for_each_entry(port, &br->ports, link) {
        if (port == from || !nic_is_up(port->nic))
            continue;
        struct pkt *c = pkt_clone(p);
        if (c)
            (void)nic_xmit(port->nic, c);
    }
    pkt_free(p);
}

bool bridge_input(struct nic *nic, struct pkt *p) {
    struct bridge_port *port = nic->port;
    struct bridge *br = port->bridge;
    struct eth_hdr eth;
    if (!nic_is_up(br->nic)) {
        pkt_free(p);
        return true;
    }
    eth_get(pkt_header(p, ETHER_HLEN), &eth); /* nic_receive() has seen the header */
    fdb_learn(br, port, &eth.src);
    if (mac_eq(&eth.dst, &br->nic->mac)) {
        stack_backlog(br->nic, p);
        return true;
    }
    if (mac_is_group(&eth.dst) || br->nic->flags & NS_IFF_PROMISC) {
        struct pkt *c = pkt_clone(p);
        if (c)
            stack_backlog(br->nic, c);
    }
    forward(br, port, &eth.dst, p);
    return true;
}

static int bridge_xmit(struct nic *nic, struct pkt *p) {
    struct eth_hdr eth;
    const uint8_t *h = pkt_header(p, ETHER_HLEN);
    if (!h) {
        pkt_free(p);
        return -EINVAL;
    }
    eth_get(h, &eth);
    forward(nic->bridge, NULL, &eth.dst, p);
    return 0;
}

static void port_free(struct bridge_port *port) {
    struct bridge *br = port->bridge;
    struct fdb_entry *e, *tmp;
    list_for_each_entry_safe(e, tmp, &br->fdb_lru, lru) {
        if (e->port == port)
            fdb_free(br, e);
    }
    port->nic->port = NULL;
    port->nic->flags &= ~(uint32_t)NS_IFF_PROMISC;
    list_del(&port->link);
    nsmem_free(&br->nic->st->mem, &t_port, port);
}

void bridge_detach_port(struct nic *nic) {
    if (nic->port)
        port_free(nic->port);
}

uint32_t bridge_master_index(const struct nic *nic) {
    return nic->port ? nic->port->bridge->nic->ifindex : 0;
}

static void bridge_detach(struct nic *nic) {
    struct bridge *br = nic->bridge;
    while (!list_empty(&br->ports))
        port_free(list_first_entry(&br->ports, struct bridge_port, link));
    while (!list_empty(&br->fdb_lru))
        fdb_free(br, list_first_entry(&br->fdb_lru, struct fdb_entry, lru));
    htab_done(&nic->st->mem, &br->fdb);
    nsmem_free(&nic->st->mem, &t_bridge, br);
    nic->bridge = NULL;
}

static const struct link_ops bridge_ops = {.xmit = bridge_xmit, .detach = bridge_detach};

static int bridge_new_locked(struct netns *ns, const char *name, struct nic **ret) {
    struct nic_config c = {
        .name = name,
        .kind = "bridge",
        .arphrd = NS_ARPHRD_ETHER,
        .mtu = 1500,
        .offloads = NIC_TX_CSUM | NIC_TSO | NIC_USO | NIC_RX_CSUM_OK,
        .gso_max = 65536,
        .txqlen = 1000,
        .ops = &bridge_ops,
    };
    struct bridge *br = nsmem_alloc(&ns->st->mem, &t_bridge);
    if (!br)
        return -ENOMEM;
    list_init(&br->ports);
    list_init(&br->fdb_lru);
    ns->st->host->random(ns->st->host_ctx, c.mac.b, MAC_LEN);
    c.mac.b[0] = (uint8_t)((c.mac.b[0] & ~1) | 2);
    int rc = nic_new_locked(ns, &c, ret);
    if (rc < 0) {
        nsmem_free(&ns->st->mem, &t_bridge, br);
        return rc;
    }
    br->nic = *ret;
    (*ret)->bridge = br;
    return 0;
}

int bridge_new(struct netns *ns, const char *name, struct nic **ret) {
    stack_enter(ns->st);
    int rc = bridge_new_locked(ns, name, ret);
    stack_leave(ns->st);
    return rc;
}

static int set_port(struct nic *bridge, struct nic *port) {
    if (!bridge) {
        if (!port->port)
            return -EINVAL;
        port_free(port->port);
        return 0;
    }
    if (!bridge->bridge || bridge->ns != port->ns || port->bridge)
        return port->bridge ? -ELOOP : -EINVAL;
    if (port->arphrd != NS_ARPHRD_ETHER)
        return -EINVAL;
    if (port->port)
        return port->port->bridge == bridge->bridge ? 0 : -EBUSY;
    struct bridge_port *bp = nsmem_alloc(&port->st->mem, &t_port);
    if (!bp)
        return -ENOMEM;
    bp->bridge = bridge->bridge;
    bp->nic = port;
    list_add_tail(&bridge->bridge->ports, &bp->link);
    port->port = bp;
    port->flags |= NS_IFF_PROMISC;
    return 0;
}

int bridge_set_port(struct nic *bridge, struct nic *port) {
    stack_enter(port->st);
    int rc = set_port(bridge, port);
    stack_leave(port->st);
    return rc;
}
