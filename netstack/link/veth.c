/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/veth.c: a pair of Ethernet interfaces, each end's output the other's input, in one or two
 * namespaces of one stack. Super-segments and unsummed packets pass as they are. Source: veth(4).
 */
#include <errno.h>

#include "netstack/stack/stack_core.h"

static int veth_xmit(struct nic *nic, struct pkt *p) {
    struct nic *peer = nic->veth_peer;
    if (!peer || !nic_is_up(peer)) {
        pkt_free(p);
        return -ENETDOWN;
    }
    if (p->csum == CSUM_NONE)
        p->csum = CSUM_VERIFIED;
    p->mark = 0; /* marks and connections do not cross namespaces */
    pkt_forget_ct(p);
    stack_backlog(peer, p);
    return 0;
}

static void veth_detach(struct nic *nic) {
    if (nic->veth_peer)
        nic->veth_peer->veth_peer = NULL;
    nic->veth_peer = NULL;
}

static const struct link_ops veth_ops = {.xmit = veth_xmit, .detach = veth_detach};

static int veth_end(struct netns *ns, const char *name, struct nic **ret) {
    struct nic_config c = {
        .name = name,
        .kind = "veth",
        .arphrd = NS_ARPHRD_ETHER,
        .mtu = 1500,
        .offloads = NIC_TX_CSUM | NIC_TSO | NIC_USO | NIC_RX_CSUM_OK,
        .gso_max = 65536,
        .txqlen = 1000,
        .ops = &veth_ops,
    };
    ns->st->host->random(ns->st->host_ctx, c.mac.b, MAC_LEN);
    c.mac.b[0] = (uint8_t)((c.mac.b[0] & ~1) | 2); /* locally administered */
    return nic_new_locked(ns, &c, ret);
}

int veth_new(struct netns *a, const char *name_a, struct netns *b, const char *name_b, struct nic **ret_a,
             struct nic **ret_b) {
    if (a->st != b->st)
        return -EINVAL;
    struct nic *na, *nb;
    stack_enter(a->st);
    int rc = veth_end(a, name_a, &na);
    if (rc == 0) {
        rc = veth_end(b, name_b, &nb);
        if (rc < 0)
            nic_destroy(na);
    }
    if (rc == 0) {
        na->veth_peer = nb;
        nb->veth_peer = na;
        *ret_a = na;
        *ret_b = nb;
    }
    stack_leave(a->st);
    return rc;
}
