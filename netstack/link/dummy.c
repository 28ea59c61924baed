/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/dummy.c: an Ethernet interface that swallows what it is given, as Linux's dummy driver: a
 * place for addresses.
 */
#include "netstack/stack/stack_core.h"

static int dummy_xmit(struct nic *nic, struct pkt *p) {
    (void)nic;
    pkt_free(p);
    return 0;
}

static const struct link_ops dummy_ops = {.xmit = dummy_xmit};

int dummy_new(struct netns *ns, const char *name, struct nic **ret) {
    struct nic_config c = {
        .name = name,
        .kind = "dummy",
        .arphrd = NS_ARPHRD_ETHER,
        .mtu = 1500,
        .offloads = NIC_TX_CSUM | NIC_TSO | NIC_USO | NIC_RX_CSUM_OK,
        .gso_max = 65536,
        .txqlen = 1000,
        .ops = &dummy_ops,
    };
    stack_enter(ns->st);
    ns->st->host->random(ns->st->host_ctx, c.mac.b, MAC_LEN);
    c.mac.b[0] = (uint8_t)((c.mac.b[0] & ~1) | 2); /* locally administered */
    int rc = nic_new_locked(ns, &c, ret);
    if (rc == 0)
        (*ret)->flags |= NS_IFF_NOARP;
    stack_leave(ns->st);
    return rc;
}
