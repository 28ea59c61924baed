/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/gso.c: cuts TCP and UDP super-segments into wire packets where the link does not do it.
 *
 * Called by nic_xmit(). Each packet shares the data and gets its own copy of the headers, with length,
 * identification, sequence number and flags set as a sender of single segments would have.
 * RFC 3168 section 6.1.2: CWR goes on the first segment alone.
 */
#include <errno.h>

#include "netstack/stack/stack_core.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"
#include "netstack/wire/wire_tcp.h"

struct gso {
    struct pkt *src;
    bool v4;
    uint32_t hlen;    /* link, network and transport headers */
    uint32_t thlen;   /* transport header alone */
    uint32_t payload; /* in all */
    struct ipa s, d;
};

static int gso_parse(struct gso *g) {
    struct pkt *p = g->src;
    g->thlen = UDP_HLEN;
    const uint8_t *h = pkt_header(p, p->trans_off + (p->gso == GSO_TCP ? TCP_MIN_HLEN : UDP_HLEN));
    if (!h)
        return -EINVAL;
    if (p->gso == GSO_TCP)
        g->thlen = (uint32_t)(h[p->trans_off + 12] >> 4) * 4;
    g->hlen = p->trans_off + g->thlen;
    h = pkt_header(p, g->hlen);
    if (!h || p->gso_size == 0)
        return -EINVAL;
    g->payload = p->len - g->hlen;
    g->v4 = h[p->net_off] >> 4 == 4;
    if (g->v4) {
        g->s = ipa_from4_wire(h + p->net_off + 12);
        g->d = ipa_from4_wire(h + p->net_off + 16);
    } else {
        g->s = ipa_from6_wire(h + p->net_off + 8);
        g->d = ipa_from6_wire(h + p->net_off + 24);
    }
    return 0;
}

static void fix_network(const struct gso *g, uint8_t *ip, uint32_t len, uint32_t index) {
    if (g->v4) {
        put_be16(ip + 2, (uint16_t)len);
        put_be16(ip + 4, (uint16_t)(get_be16(ip + 4) + index));
        ipv4_set_csum(ip);
    } else {
        put_be16(ip + 4, (uint16_t)(len - IPV6_HLEN));
    }
}

static void fix_transport(const struct gso *g, struct pkt *seg, uint8_t *th, uint32_t off, uint32_t n) {
    bool tcp = g->src->gso == GSO_TCP;
    if (tcp) {
        put_be32(th + 4, get_be32(th + 4) + off);
        if (off + n < g->payload)
            th[13] &= (uint8_t) ~(TH_FIN | TH_PSH);
        if (off > 0)
            th[13] &= (uint8_t)~TH_CWR;
    } else {
        put_be16(th + 4, (uint16_t)(UDP_HLEN + n));
    }
    uint8_t proto = tcp ? IPPROTO_NUM_TCP : IPPROTO_NUM_UDP;
    seg->csum = CSUM_PARTIAL;
    seg->csum_start = seg->trans_off;
    seg->csum_offset = tcp ? 16 : 6;
    csum_store(th + seg->csum_offset, csum_reduce(csum_pseudo(&g->s, &g->d, proto, g->thlen + n)));
}

static struct pkt *cut(const struct gso *g, uint32_t off, uint32_t n, uint32_t index) {
    struct pkt *p = g->src, *seg = pkt_new(p->mem, PKT_HEADROOM, g->hlen);
    if (!seg)
        return NULL;
    uint8_t *h = pkt_put(seg, g->hlen);
    pkt_copy_out(p, 0, h, g->hlen);
    seg->nic = p->nic;
    seg->ifindex = p->ifindex;
    seg->ethertype = p->ethertype;
    seg->net_off = p->net_off;
    seg->trans_off = p->trans_off;
    seg->l2_len = p->l2_len;
    seg->mark = p->mark;
    seg->proto = p->proto;
    fix_network(g, h + p->net_off, g->hlen - p->net_off + n, index);
    fix_transport(g, seg, h + p->trans_off, off, n);
    if (pkt_append_range(seg, p, g->hlen + off, n) < 0) {
        pkt_free(seg);
        return NULL;
    }
    return seg;
}

int gso_segment(struct pkt *p, struct list *out) {
    struct gso g = {.src = p};
    int rc = gso_parse(&g);
    uint32_t index = 0;
    for (uint32_t off = 0; rc == 0 && off < g.payload; off += p->gso_size) {
        struct pkt *seg = cut(&g, off, MIN((uint32_t)p->gso_size, g.payload - off), index++);
        if (!seg)
            rc = -ENOMEM;
        else
            list_add_tail(out, &seg->link);
    }
    pkt_free(p);
    return rc;
}
