/* SPDX-License-Identifier: Apache-2.0
 * netstack/network/arp.c: ARP over Ethernet. Sources: RFC 826 ("Packet Reception"), RFC 1122 section 2.3.2,
 * RFC 5227 section 2.4 (address defence is not done: as Linux).
 */
#include "netstack/stack/stack_core.h"

static void arp_send(struct nic *nic, const struct arp_pkt *a, const struct mac *to) {
    struct pkt *p = pkt_new(&nic->st->mem, PKT_HEADROOM, ETHER_HLEN + ARP_LEN);
    if (!p)
        return;
    uint8_t *h = pkt_put(p, ETHER_HLEN + ARP_LEN);
    eth_put(h, &(struct eth_hdr){.dst = *to, .src = nic->mac, .type = ETYPE_ARP});
    arp_put(h + ETHER_HLEN, a);
    p->ethertype = ETYPE_ARP;
    p->net_off = p->l2_len = ETHER_HLEN;
    (void)nic_xmit(nic, p);
}

void arp_solicit(struct nic *nic, const struct ipa *target, const struct mac *to) {
    struct arp_pkt a = {
        .op = ARP_REQUEST, .sender_mac = nic->mac, .sender_ip = IPA_ANY4, .target_ip = *target};
    struct mac dst = to ? *to : MAC_BCAST;
    (void)ifaddr_select(nic->ns, nic, target, &a.sender_ip); /* none: 0.0.0.0, as a probe (RFC 5227) */
    arp_send(nic, &a, &dst);
}

static void arp_reply(struct nic *nic, const struct arp_pkt *q) {
    struct arp_pkt a = {.op = ARP_REPLY,
                        .sender_mac = nic->mac,
                        .sender_ip = q->target_ip,
                        .target_mac = q->sender_mac,
                        .target_ip = q->sender_ip};
    arp_send(nic, &a, &q->sender_mac);
}

void arp_input(struct nic *nic, struct pkt *p) {
    struct arp_pkt a;
    const uint8_t *h = pkt_header(p, ETHER_HLEN + ARP_LEN);
    bool ok = h && nic->arphrd == NS_ARPHRD_ETHER && !(nic->flags & NS_IFF_NOARP) &&
              arp_parse(h + ETHER_HLEN, ARP_LEN, &a) == 0 && !mac_is_group(&a.sender_mac) &&
              !ipa_is_mcast(&a.sender_ip) && !ipa_is_bcast4(&a.sender_ip);
    pkt_free(p);
    if (!ok)
        return;
    bool for_us = ifaddr_find(nic->ns, &a.target_ip, NULL) != NULL;
    bool probe = ipa_is_any(&a.sender_ip);
    if (!probe) {
        /* RFC 826: merge first; a new entry only when we are the target */
        enum neigh_event ev = a.op == ARP_REPLY && for_us ? NEIGH_SOLICITED : NEIGH_SEEN;
        neigh_learn(nic, &a.sender_ip, &a.sender_mac, ev, for_us && a.op == ARP_REQUEST);
    }
    if (a.op == ARP_REQUEST && for_us)
        arp_reply(nic, &a);
}
