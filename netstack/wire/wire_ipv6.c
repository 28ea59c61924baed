/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/wire_ipv6.c: reads and writes IPv6 headers, fragment headers and options.
 * Source: RFC 8200 sections 3, 4.2, 4.5.
 */
#include "netstack/wire/wire_ipv6.h"

#include <errno.h>

int ipv6_parse(const uint8_t *p, size_t avail, size_t packet_len, struct ipv6_hdr *ret) {
    if (avail < IPV6_HLEN || p[0] >> 4 != 6)
        return -EPROTO;
    uint32_t word = get_be32(p);
    ret->tclass = (uint8_t)(word >> 20);
    ret->flow = word & 0xfffff;
    ret->payload_len = get_be16(p + 4);
    ret->next = p[6];
    ret->hop_limit = p[7];
    ret->src = ipa_from6_wire(p + 8);
    ret->dst = ipa_from6_wire(p + 24);
    if ((size_t)ret->payload_len + IPV6_HLEN > packet_len)
        return -EPROTO;
    return 0;
}

void ipv6_put(uint8_t *p, const struct ipv6_hdr *h) {
    put_be32(p, 6u << 28 | (uint32_t)h->tclass << 20 | (h->flow & 0xfffff));
    put_be16(p + 4, h->payload_len);
    p[6] = h->next;
    p[7] = h->hop_limit;
    memcpy(p + 8, h->src.b, 16);
    memcpy(p + 24, h->dst.b, 16);
}

void ipv6_frag_get(const uint8_t *p, struct ipv6_frag *ret) {
    uint16_t w = get_be16(p + 2);
    ret->next = p[0];
    ret->offset = w & 0xfff8;
    ret->more = w & 1;
    ret->id = get_be32(p + 4);
}

void ipv6_frag_put(uint8_t *p, const struct ipv6_frag *f) {
    p[0] = f->next;
    p[1] = 0;
    put_be16(p + 2, (uint16_t)(f->offset | (f->more ? 1 : 0)));
    put_be32(p + 4, f->id);
}

enum ipv6_opt_verdict ipv6_walk_options(const uint8_t *p, size_t len, uint32_t *ret_at) {
    size_t at = 2;
    while (at < len) {
        uint8_t type = p[at];
        if (type == 0) { /* Pad1 */
            at++;
            continue;
        }
        if (at + 2 > len || at + 2 + p[at + 1] > len)
            return OPT_DISCARD;
        bool known = type == 1 /* PadN */ || type == 5 /* router alert, RFC 2711 */;
        if (!known && type >> 6 != 0) {
            *ret_at = (uint32_t)at;
            static const enum ipv6_opt_verdict verdict[4] = {OPT_CONTINUE, OPT_DISCARD, OPT_ICMP,
                                                             OPT_ICMP_UNICAST};
            return verdict[type >> 6];
        }
        at += 2 + (size_t)p[at + 1];
    }
    return OPT_CONTINUE;
}
