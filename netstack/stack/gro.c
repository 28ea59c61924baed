/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/gro.c: merges in-order TCP segments of one flow, received in one batch, into a
 * super-segment.
 *
 * Only what gso_segment() could cut back into the same packets is merged: equal headers but for length, id,
 * sequence number, PSH; equal timestamps and acknowledgement; no option but timestamps; same ECN field;
 * verified checksums; all parts of one size but the last. Not done for UDP or across batches.
 */
#include "netstack/stack/stack_core.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"
#include "netstack/wire/wire_tcp.h"

enum { GRO_MAX = 65535 };

struct gro_view {
    const uint8_t *h;
    uint32_t net_off, ip_hlen, hlen, payload;
    bool v4;
    struct tcp_hdr tcp;
};

static bool parse_ip(struct pkt *p, struct gro_view *v) {
    const uint8_t *ip = v->h + v->net_off;
    uint32_t total;
    v->v4 = ip[0] >> 4 == 4;
    if (v->v4) {
        /* no options, DF set, no fragment */
        if (ip[0] != 0x45 || ip[9] != IPPROTO_NUM_TCP || (get_be16(ip + 6) & ~IPV4_FLAG_DF) != 0)
            return false;
        v->ip_hlen = IPV4_MIN_HLEN;
        total = get_be16(ip + 2);
        if (csum_fold(csum_partial(ip, IPV4_MIN_HLEN, 0)) != 0)
            return false;
    } else {
        v->h = pkt_header(p, v->net_off + IPV6_HLEN);
        if (!v->h)
            return false;
        ip = v->h + v->net_off;
        if (ip[0] >> 4 != 6 || ip[6] != IPPROTO_NUM_TCP)
            return false;
        v->ip_hlen = IPV6_HLEN;
        total = get_be16(ip + 4) + (uint32_t)IPV6_HLEN;
    }
    if (total + v->net_off > p->len || total < v->ip_hlen + TCP_MIN_HLEN)
        return false;
    pkt_trim_to(p, v->net_off + total); /* Ethernet padding */
    return true;
}

static bool csum_good(struct pkt *p, const struct gro_view *v) {
    if (p->csum != CSUM_NONE)
        return true;
    const uint8_t *ip = v->h + v->net_off;
    struct ipa s = v->v4 ? ipa_from4_wire(ip + 12) : ipa_from6_wire(ip + 8);
    struct ipa d = v->v4 ? ipa_from4_wire(ip + 16) : ipa_from6_wire(ip + 24);
    uint32_t off = v->net_off + v->ip_hlen, len = p->len - off;
    if (csum_fold(pkt_csum(p, off, len, csum_pseudo(&s, &d, IPPROTO_NUM_TCP, len))) != 0)
        return false;
    p->csum = CSUM_VERIFIED;
    return true;
}

/* False: not a candidate for merging, in either role. */
static bool gro_parse(struct pkt *p, struct gro_view *v) {
    v->net_off = p->nic->arphrd == NS_ARPHRD_ETHER ? ETHER_HLEN : 0;
    v->h = pkt_header(p, v->net_off + IPV4_MIN_HLEN);
    if (!v->h)
        return false;
    if (v->net_off) {
        uint16_t type = get_be16(v->h + 12);
        if (type != ETYPE_IPV4 && type != ETYPE_IPV6)
            return false;
    }
    if (!parse_ip(p, v))
        return false;
    uint32_t th = v->net_off + v->ip_hlen;
    v->h = pkt_tcp_header(p, th);
    if (!v->h || tcp_hdr_parse(v->h + th, p->len - th, &v->tcp) < 0)
        return false;
    if ((v->tcp.flags & ~TH_PSH) != TH_ACK)
        return false;
    v->hlen = th + v->tcp.hlen;
    v->payload = p->len - v->hlen;
    bool only_ts =
        v->tcp.hlen == TCP_MIN_HLEN || (v->tcp.hlen == 32 && get_be32(v->h + th + 20) == 0x0101080a);
    return only_ts && v->payload > 0 && csum_good(p, v);
}

static bool same_flow(const struct gro_view *a, const struct gro_view *b) {
    if (a->v4 != b->v4 || a->hlen != b->hlen || memcmp(a->h, b->h, a->net_off) != 0)
        return false;
    const uint8_t *x = a->h + a->net_off, *y = b->h + b->net_off;
    if (a->v4 ? (x[1] != y[1] || x[8] != y[8] || x[6] != y[6] || memcmp(x + 12, y + 12, 8) != 0)
              : (memcmp(x, y, 4) != 0 || memcmp(x + 6, y + 6, 34) != 0))
        return false;
    const uint8_t *t = x + a->ip_hlen, *u = y + b->ip_hlen;
    return memcmp(t, u, 4) == 0 && a->tcp.ack == b->tcp.ack && a->tcp.window == b->tcp.window &&
           memcmp(t + 20, u + 20, a->tcp.hlen - TCP_MIN_HLEN) == 0;
}

/* Appends b's payload to a. Both parsed. */
static bool merge(struct pkt *a, const struct gro_view *va, struct pkt *b, const struct gro_view *vb) {
    uint32_t size = a->gso_size ? a->gso_size : va->payload;
    uint32_t ip_len = a->len - va->net_off + vb->payload;
    bool fits = va->payload % size == 0 && vb->payload <= size && ip_len <= GRO_MAX;
    if (!fits || a->gso == GSO_UDP || b->gso != GSO_NONE || va->tcp.seq + va->payload != vb->tcp.seq)
        return false;
    uint8_t psh = vb->tcp.flags & TH_PSH;
    uint8_t *h = pkt_writable(a, va->hlen);
    if (!h)
        return false;
    pkt_trim_front(b, vb->hlen);
    if (pkt_absorb(a, b) < 0) {
        pkt_free(b); /* no memory: as if the link had lost it */
        return true;
    }
    a->gso = GSO_TCP;
    a->gso_size = (uint16_t)size;
    uint8_t *ip = h + va->net_off;
    if (va->v4) {
        put_be16(ip + 2, (uint16_t)ip_len);
        ipv4_set_csum(ip);
    } else {
        put_be16(ip + 4, (uint16_t)(ip_len - IPV6_HLEN));
    }
    ip[va->ip_hlen + 13] |= psh;
    return true;
}

void gro_flush(struct nic *nic, struct gro_state *g) {
    if (g->held)
        nic_receive(nic, TAKE(g->held));
}

void gro_receive(struct nic *nic, struct gro_state *g, struct pkt *p) {
    struct gro_view vp, vh;
    p->nic = nic;
    if (nic->port || !gro_parse(p, &vp)) {
        gro_flush(nic, g);
        nic_receive(nic, p);
        return;
    }
    if (g->held && gro_parse(g->held, &vh) && same_flow(&vh, &vp) && merge(g->held, &vh, p, &vp))
        return;
    gro_flush(nic, g);
    g->held = p;
}
