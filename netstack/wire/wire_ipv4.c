/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/wire_ipv4.c: reads and writes IPv4 headers. Sources: RFC 791, RFC 1122 section 3.2.1.
 */
#include "netstack/wire/wire_ipv4.h"

#include <errno.h>

#include "netstack/wire/checksum.h"

int ipv4_parse(const uint8_t *p, size_t avail, size_t packet_len, struct ipv4_hdr *ret) {
    if (avail < IPV4_MIN_HLEN || p[0] >> 4 != 4)
        return -EPROTO;
    ret->hlen = (uint8_t)((p[0] & 0xf) * 4);
    if (ret->hlen < IPV4_MIN_HLEN || ret->hlen > avail)
        return -EPROTO;
    ret->total_len = get_be16(p + 2);
    if (ret->total_len < ret->hlen || ret->total_len > packet_len)
        return -EPROTO;
    if (csum_fold(csum_partial(p, ret->hlen, 0)) != 0)
        return -EBADMSG;
    uint16_t frag = get_be16(p + 6);
    ret->tos = p[1];
    ret->id = get_be16(p + 4);
    ret->df = frag & IPV4_FLAG_DF;
    ret->mf = frag & IPV4_FLAG_MF;
    ret->frag_offset = (uint32_t)(frag & IPV4_OFFSET_MASK) * 8;
    ret->ttl = p[8];
    ret->proto = p[9];
    ret->src = ipa_from4_wire(p + 12);
    ret->dst = ipa_from4_wire(p + 16);
    return 0;
}

void ipv4_set_csum(uint8_t *p) {
    put_be16(p + 10, 0);
    csum_store(p + 10, csum_fold(csum_partial(p, (size_t)(p[0] & 0xf) * 4, 0)));
}

void ipv4_put(uint8_t *p, const struct ipv4_hdr *h) {
    p[0] = (uint8_t)(0x40 | h->hlen / 4);
    p[1] = h->tos;
    put_be16(p + 2, h->total_len);
    put_be16(p + 4, h->id);
    uint16_t frag = (uint16_t)(h->frag_offset / 8);
    if (h->df)
        frag |= IPV4_FLAG_DF;
    if (h->mf)
        frag |= IPV4_FLAG_MF;
    put_be16(p + 6, frag);
    p[8] = h->ttl;
    p[9] = h->proto;
    memcpy(p + 12, h->src.b + 12, 4);
    memcpy(p + 16, h->dst.b + 12, 4);
    ipv4_set_csum(p);
}

uint32_t csum_pseudo(const struct ipa *src, const struct ipa *dst, uint8_t proto, uint32_t len) {
    uint8_t tail[8] = {0};
    uint32_t sum;
    if (ipa_is_v4(src)) {
        tail[1] = proto;
        put_be16(tail + 2, (uint16_t)len);
        sum = csum_partial(src->b + 12, 4, 0);
        sum = csum_partial(dst->b + 12, 4, sum);
        return csum_partial(tail, 4, sum);
    }
    put_be32(tail, len);
    tail[7] = proto;
    sum = csum_partial(src->b, 16, 0);
    sum = csum_partial(dst->b, 16, sum);
    return csum_partial(tail, 8, sum);
}
