/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/fdlink.c: packets to and from frames with virtio-net headers (fdlink.h). No host calls here.
 */
#include "netstack/link/fdlink.h"

#include <errno.h>

#include "netstack/link/fdlink_internal.h"
#include "netstack/stack/stack_core.h"

struct fdlink {
    struct hostref port; /* host.ptr: struct fdlink_port */
};

NETSTACK_TYPE(t_fdlink, struct fdlink);

static void release_port(struct hostref *h) {
    fdlink_port_end(h->host.ptr);
}

static const struct hostref_ops port_ref_ops = {.name = "fdlink", .release = release_port};

/* ---- receiving ---- */

static bool fill_slot(struct netstack *st, struct fdlink_slot *s) {
    if (!s->p) {
        s->p = pkt_new(&st->mem, PKT_HEADROOM, FDLINK_ROOM);
        if (!s->p)
            return false;
        (void)pkt_put(s->p, FDLINK_ROOM); /* it has the room */
    }
    const struct view *a = &s->p->first;
    s->iov[0] = (struct iovec){&s->hdr, sizeof(s->hdr)};
    s->iov[1] = (struct iovec){a->blk->bytes + a->off, FDLINK_ROOM};
    for (size_t i = 0; i < FDLINK_SPARES; i++) {
        if (!s->spare[i]) {
            s->spare[i] = pkt_new(&st->mem, 0, PKT_BLOCK_MAX);
            if (!s->spare[i])
                return false;
            (void)pkt_put(s->spare[i], PKT_BLOCK_MAX);
        }
        a = &s->spare[i]->first;
        s->iov[2 + i] = (struct iovec){a->blk->bytes + a->off, PKT_BLOCK_MAX};
    }
    return true;
}

static bool refill_locked(struct netstack *st, struct fdlink_slot *slots, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!fill_slot(st, &slots[i]))
            return i > 0;
    return true;
}

bool fdlink_refill(struct netstack *st, struct fdlink_slot *slots, size_t count) {
    mutex_lock(&st->lock);
    bool ok = refill_locked(st, slots, count);
    mutex_unlock(&st->lock);
    return ok;
}

void fdlink_empty(struct netstack *st, struct fdlink_slot *slots, size_t count) {
    mutex_lock(&st->lock);
    for (size_t i = 0; i < count; i++) {
        pkt_free(TAKE(slots[i].p));
        for (size_t k = 0; k < FDLINK_SPARES; k++)
            pkt_free(TAKE(slots[i].spare[k]));
    }
    mutex_unlock(&st->lock);
}

/* The part of a frame that lies in spare `i`: moves with its block if it is long. */
static bool take_rest(struct fdlink_slot *s, size_t i, uint32_t rest) {
    uint32_t done;
    if (rest < FDLINK_COPY)
        return pkt_append_copy(s->p, s->iov[2 + i].iov_base, rest, &done) == 0;
    struct pkt *spare = TAKE(s->spare[i]);
    pkt_trim_to(spare, rest);
    if (pkt_absorb(s->p, spare) == 0)
        return true;
    pkt_free(spare);
    return false;
}

/* The frame of a slot as a packet; NULL if it is none. */
static struct pkt *take_frame(struct fdlink_slot *s) {
    size_t len = s->len;
    if (!s->p || len < sizeof(s->hdr) || len > sizeof(s->hdr) + FDLINK_ROOM + FDLINK_SPARES * PKT_BLOCK_MAX)
        return NULL;
    len -= sizeof(s->hdr);
    pkt_trim_to(s->p, (uint32_t)MIN(len, (size_t)FDLINK_ROOM));
    len -= s->p->len;
    bool ok = true;
    for (size_t i = 0; ok && len > 0; i++) {
        uint32_t rest = (uint32_t)MIN(len, (size_t)PKT_BLOCK_MAX);
        ok = take_rest(s, i, rest);
        len -= rest;
    }
    struct pkt *p = TAKE(s->p);
    if (ok && vnet_parse(&s->hdr, p))
        return p;
    pkt_free(p);
    return NULL;
}

void fdlink_deliver(struct netstack *st, struct nic *const *nic, struct fdlink_slot *slots, size_t count) {
    struct gro_state gro = {0};
    stack_enter(st);
    for (size_t i = 0; i < count; i++) {
        struct pkt *p = take_frame(&slots[i]);
        if (p && *nic)
            gro_receive(*nic, &gro, p);
        else if (*nic)
            (*nic)->stats.rx_errors++;
        else
            pkt_free(p);
    }
    if (*nic)
        gro_flush(*nic, &gro);
    (void)refill_locked(st, slots, count);
    stack_leave(st);
}

/* ---- sending ---- */

static int gather(const struct pkt *p, struct iovec *iov) {
    int n = 0;
    for (const struct view *v = &p->first; v; v = v->next) {
        if (v->len == 0)
            continue;
        if (n == FDLINK_IOV)
            return -EMSGSIZE;
        iov[n++] = (struct iovec){v->blk->bytes + v->off, v->len};
    }
    return n;
}

/* A chain of very many small pieces is copied together. */
static struct pkt *flatten(struct pkt *p) {
    struct pkt *flat = pkt_new(p->mem, PKT_HEADROOM, p->len);
    if (flat)
        pkt_copy_out(p, 0, pkt_put(flat, p->len), p->len);
    return flat;
}

static int fdlink_xmit(struct nic *nic, struct pkt *p) {
    struct fdlink *l = nic->link;
    struct vnet_hdr hdr;
    struct iovec iov[FDLINK_IOV + 1];

    vnet_build(p, &hdr);
    iov[0] = (struct iovec){&hdr, sizeof(hdr)};
    int n = gather(p, iov + 1);
    if (n < 0) {
        struct pkt *flat = flatten(p);
        pkt_free(p);
        p = flat;
        n = p ? gather(p, iov + 1) : -ENOBUFS;
    }
    int rc = n < 0 ? n : fdlink_port_send(l->port.host.ptr, iov, n + 1);
    pkt_free(p);
    return rc;
}

static void fdlink_detach(struct nic *nic) {
    struct fdlink *l = nic->link;
    hostref_release(&l->port);
    nsmem_free(&nic->st->mem, &t_fdlink, l);
    nic->link = NULL;
}

static const struct link_ops fdlink_ops = {.xmit = fdlink_xmit, .detach = fdlink_detach};

static int make_nic(struct netns *ns, const struct fdlink_config *c, struct fdlink_port *port,
                    struct nic **ret) {
    struct fdlink *l = nsmem_alloc(&ns->st->mem, &t_fdlink);
    if (!l)
        return -ENOMEM;
    struct nic_config nc = {.name = c->name,
                            .arphrd = NS_ARPHRD_ETHER,
                            .mac = c->mac,
                            .mtu = c->mtu,
                            .txqlen = c->txqlen,
                            .gso_max = c->gso_max,
                            .offloads = (c->gso_max ? NIC_TX_CSUM | NIC_TSO | NIC_USO : 0u) |
                                        (c->quiet ? NIC_QUIET : 0u),
                            .ops = &fdlink_ops,
                            .link = l};
    int rc = nic_new_locked(ns, &nc, ret);
    if (rc < 0) {
        nsmem_free(&ns->st->mem, &t_fdlink, l);
        return rc;
    }
    l->port = (struct hostref){.ops = &port_ref_ops, .host.ptr = port};
    return 0;
}

int fdlink_new(struct netns *ns, const struct fdlink_config *c, struct nic **ret) {
    struct netstack *st = ns->st;
    struct fdlink_port *port;
    struct nic *nic;
    int rc = fdlink_port_new(st, c->kind, c->fd, &port);
    if (rc < 0)
        return rc;
    stack_enter(st);
    rc = make_nic(ns, c, port, &nic);
    if (rc < 0)
        fdlink_port_end(port);
    else if ((rc = fdlink_port_start(port, nic)) < 0)
        nic_destroy(nic);
    stack_leave(st);
    if (rc == 0)
        *ret = nic;
    return rc;
}
