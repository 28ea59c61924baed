/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/wire_arp.c: ARP packets for Ethernet and IPv4. Source: RFC 826, "Packet format".
 */
#include <errno.h>

#include "netstack/wire/wire_ether.h"

int arp_parse(const uint8_t *p, size_t len, struct arp_pkt *ret) {
    if (len < ARP_LEN || get_be16(p) != 1 || get_be16(p + 2) != ETYPE_IPV4 || p[4] != MAC_LEN || p[5] != 4)
        return -EPROTO;
    ret->op = get_be16(p + 6);
    memcpy(ret->sender_mac.b, p + 8, MAC_LEN);
    ret->sender_ip = ipa_from4_wire(p + 14);
    memcpy(ret->target_mac.b, p + 18, MAC_LEN);
    ret->target_ip = ipa_from4_wire(p + 24);
    return 0;
}

void arp_put(uint8_t *p, const struct arp_pkt *a) {
    put_be16(p, 1);
    put_be16(p + 2, ETYPE_IPV4);
    p[4] = MAC_LEN;
    p[5] = 4;
    put_be16(p + 6, a->op);
    memcpy(p + 8, a->sender_mac.b, MAC_LEN);
    memcpy(p + 14, a->sender_ip.b + 12, 4);
    memcpy(p + 18, a->target_mac.b, MAC_LEN);
    memcpy(p + 24, a->target_ip.b + 12, 4);
}
