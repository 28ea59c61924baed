/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/vnet.c: see vnet.h.
 */
#include "netstack/link/vnet.h"

#include "netstack/wire/wire_tcp.h"

bool vnet_parse(const struct vnet_hdr *h, struct pkt *p) {
    if (h->flags & VNET_NEEDS_CSUM) {
        if ((uint32_t)h->csum_start + h->csum_offset + 2 > p->len)
            return false;
        p->csum = CSUM_PARTIAL;
        p->csum_start = h->csum_start;
        p->csum_offset = h->csum_offset;
    } else if (h->flags & VNET_DATA_VALID) {
        p->csum = CSUM_VERIFIED;
    }
    switch (h->gso_type & ~VNET_GSO_ECN) {
    case VNET_GSO_NONE:
        return true;
    case VNET_GSO_TCPV4:
    case VNET_GSO_TCPV6:
        p->gso = GSO_TCP;
        break;
    case VNET_GSO_UDP_L4:
        p->gso = GSO_UDP;
        break;
    default:
        return false;
    }
    p->gso_size = h->gso_size;
    if (p->csum == CSUM_NONE) /* merged by the host, which summed every part */
        p->csum = CSUM_VERIFIED;
    return h->gso_size > 0;
}

static uint8_t gso_type(struct pkt *p, uint16_t *ret_hdr_len) {
    const uint8_t *h = pkt_header(p, MIN(p->len, (uint32_t)p->trans_off + TCP_MIN_HLEN));
    if (!h)
        return VNET_GSO_NONE;
    if (p->gso == GSO_UDP) {
        *ret_hdr_len = (uint16_t)(p->trans_off + UDP_HLEN);
        return VNET_GSO_UDP_L4;
    }
    const uint8_t *th = h + p->trans_off;
    *ret_hdr_len = (uint16_t)(p->trans_off + (th[12] >> 4) * 4);
    uint8_t type = h[p->net_off] >> 4 == 4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6;
    return th[13] & TH_CWR ? type | VNET_GSO_ECN : type;
}

void vnet_build(struct pkt *p, struct vnet_hdr *ret) {
    *ret = (struct vnet_hdr){.hdr_len = 0};
    if (p->csum == CSUM_PARTIAL) {
        ret->flags = VNET_NEEDS_CSUM;
        ret->csum_start = p->csum_start;
        ret->csum_offset = p->csum_offset;
    }
    if (p->gso != GSO_NONE) {
        ret->gso_size = p->gso_size;
        ret->gso_type = gso_type(p, &ret->hdr_len);
    }
}
