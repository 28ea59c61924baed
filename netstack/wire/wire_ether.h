/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/wire_ether.h: Ethernet II framing (RFC 894, RFC 2464) and ARP for it (RFC 826).
 */
#pragma once

#include "netstack/wire/ipaddr.h"

enum { MAC_LEN = 6, ETHER_HLEN = 14, ARP_LEN = 28 };
enum { ETYPE_IPV4 = 0x0800, ETYPE_ARP = 0x0806, ETYPE_VLAN = 0x8100, ETYPE_IPV6 = 0x86dd };
enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct mac {
    uint8_t b[MAC_LEN];
};

#define MAC_BCAST ((struct mac){{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}})

static inline bool mac_eq(const struct mac *a, const struct mac *b) {
    return memcmp(a->b, b->b, MAC_LEN) == 0;
}

static inline bool mac_is_group(const struct mac *m) {
    return m->b[0] & 1;
}

static inline bool mac_is_bcast(const struct mac *m) {
    struct mac bcast = MAC_BCAST;
    return mac_eq(m, &bcast);
}

struct eth_hdr {
    struct mac dst, src;
    uint16_t type;
};

static inline void eth_get(const uint8_t *p, struct eth_hdr *ret) {
    memcpy(ret->dst.b, p, MAC_LEN);
    memcpy(ret->src.b, p + MAC_LEN, MAC_LEN);
    ret->type = get_be16(p + 12);
}

static inline void eth_put(uint8_t *p, const struct eth_hdr *h) {
    memcpy(p, h->dst.b, MAC_LEN);
    memcpy(p + MAC_LEN, h->src.b, MAC_LEN);
    put_be16(p + 12, h->type);
}

/* The link-layer group address of an IP group: RFC 1112 section 6.4, RFC 2464 section 7. */
static inline struct mac mac_of_mcast(const struct ipa *group) {
    struct mac m;
    if (ipa_is_v4(group))
        m = (struct mac){{0x01, 0x00, 0x5e, group->b[13] & 0x7f, group->b[14], group->b[15]}};
    else
        m = (struct mac){{0x33, 0x33, group->b[12], group->b[13], group->b[14], group->b[15]}};
    return m;
}

struct arp_pkt {
    uint16_t op;
    struct mac sender_mac, target_mac;
    struct ipa sender_ip, target_ip;
};

/* Only Ethernet/IPv4 ARP is known; -EPROTO for anything else or short input. */
int arp_parse(const uint8_t *p, size_t len, struct arp_pkt *ret);
void arp_put(uint8_t *p, const struct arp_pkt *a);
