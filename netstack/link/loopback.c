/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/loopback.c: the loopback interface: everything sent comes back, super-segments and unsummed
 * packets as they are. There is no link header (packet sockets on it see the IP packet). Source: RFC
 * 1122 3.2.1.3.
 */
#include "netstack/stack/stack_core.h"

static int loopback_xmit(struct nic *nic, struct pkt *p) {
    if (p->csum == CSUM_NONE)
        p->csum = CSUM_VERIFIED; /* it never left memory */
    stack_backlog(nic, p);
    return 0;
}

static const struct link_ops loopback_ops = {.xmit = loopback_xmit};

int loopback_new(struct netns *ns) {
    struct nic_config c = {
        .name = "lo",
        .arphrd = NS_ARPHRD_LOOPBACK,
        .mtu = 65536,
        .offloads = NIC_TX_CSUM | NIC_TSO | NIC_USO | NIC_RX_CSUM_OK,
        .gso_max = 65536,
        .txqlen = 1000,
        .ops = &loopback_ops,
    };
    return nic_new_locked(ns, &c, &ns->lo);
}
