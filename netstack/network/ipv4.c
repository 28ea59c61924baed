/* SPDX-License-Identifier: Apache-2.0
 * netstack/network/ipv4.c: receiving, forwarding and fragmenting IPv4. Sending is shared in ip_output.c.
 *
 * Sources: RFC 791, RFC 1122 section 3.2, RFC 1812 sections 4.2 and 5.2-5.3, RFC 6864. Options are passed
 * over; packets with source routes are refused (RFC 7126 section 4.3), as Linux does by default.
 */
#include <errno.h>

#include "netstack/filter/nf_internal.h"
#include "netstack/stack/stack_core.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"

enum { OPT_LSRR = 131, OPT_SSRR = 137, OPT_COPIED = 0x80 };

static bool has_source_route(const uint8_t *opt, uint32_t len) {
    for (uint32_t at = 0; at < len && opt[at] != 0;) {
        if (opt[at] == 1) {
            at++;
            continue;
        }
        if (opt[at] == OPT_LSRR || opt[at] == OPT_SSRR)
            return true;
        if (at + 1 >= len || opt[at + 1] < 2)
            return false;
        at += opt[at + 1];
    }
    return false;
}

/* RFC 1812 section 5.3.7, RFC 1122 section 3.2.1.3: addresses that may not appear here. */
static bool martian(const struct nic *nic, const struct ipv4_hdr *h) {
    if (ipa_is_mcast(&h->src) || ipa_is_bcast4(&h->src))
        return true;
    if (nic->flags & NS_IFF_LOOPBACK)
        return false;
    return ipa_is_loopback(&h->src) || ipa_is_loopback(&h->dst);
}

static bool for_this_host(struct nic *nic, struct pkt *p) {
    struct netns *ns = nic->ns;
    if (ipa_is_bcast4(&p->dst))
        return true;
    if (ipa_is_mcast(&p->dst))
        return nic_in_group(nic, &p->dst);
    if (ifaddr_is_local(ns, &p->dst))
        return true;
    if (ifaddr_is_subnet_bcast(nic, &p->dst)) {
        p->type = PKT_BROADCAST;
        return true;
    }
    struct flow f = {.dst = p->dst, .src = p->src, .iif = nic->ifindex, .mark = p->mark, .tos = p->tos};
    struct rt rt;
    return route_forward(ns, &f, &rt) == 0 && rt.type == NS_RTN_LOCAL;
}

/* RFC 1812 section 5.2.1. Takes p. */
static void forward(struct nic *nic, struct pkt *p) {
    struct netns *ns = nic->ns;
    struct flow f = {.dst = p->dst, .src = p->src, .iif = nic->ifindex, .mark = p->mark, .tos = p->tos};
    struct rt rt;
    if (!ns->ctl.ip_forward || p->type != PKT_HOST || ipa_is_mcast(&p->dst)) {
        ns->mib.ip_in_addr_errors++;
        pkt_free(p);
        return;
    }
    int rc = route_forward(ns, &f, &rt);
    uint8_t *h = NULL;
    if (rc < 0) {
        ns->mib.ip_out_no_route++;
        icmp4_error(nic, p, ICMP_UNREACH,
                    rc == -EACCES        ? UNREACH_ADMIN
                    : rc == -ENETUNREACH ? UNREACH_NET
                                         : UNREACH_HOST,
                    0);
    } else if (p->ttl <= 1) {
        icmp4_error(nic, p, ICMP_TIME_EXCEEDED, TIMEX_TTL, 0);
    } else {
        uint32_t plen = p->gso ? p->gso_size + (uint32_t)p->trans_off - p->net_off : p->len - p->net_off;
        if (p->hold_df && plen > rt.mtu)
            icmp4_error(nic, p, ICMP_UNREACH, UNREACH_FRAG_NEEDED, rt.mtu);
        else
            h = pkt_writable(p, p->trans_off);
    }
    if (!h) {
        pkt_free(p);
        return;
    }
    h[p->net_off + 8]--;
    ipv4_set_csum(h + p->net_off);
    p->ttl--;
    ns->mib.ip_forwarded++;
    uint32_t cut = p->net_off;
    pkt_trim_front(p, cut);
    p->trans_off -= (uint16_t)cut;
    p->csum_start -= p->csum == CSUM_PARTIAL ? (uint16_t)cut : 0;
    p->net_off = 0;
    if (unlikely(ns->nf) && !nf_forward(nic, p, &rt)) {
        pkt_free(p);
        return;
    }
    (void)ip_send_built(ns, p, &rt); /* a router may drop */
}

static bool parse(struct nic *nic, struct pkt *p, struct ipv4_hdr *ip) {
    struct netns *ns = nic->ns;
    const uint8_t *h = pkt_header(p, p->net_off + IPV4_MIN_HLEN);
    if (h)
        h = pkt_header(p, MIN(p->len, p->net_off + (uint32_t)(h[p->net_off] & 0xf) * 4));
    if (!h ||
        ipv4_parse(h + p->net_off, MIN(p->first.len, p->len) - p->net_off, p->len - p->net_off, ip) < 0) {
        ns->mib.ip_in_hdr_errors++;
        return false;
    }
    if (martian(nic, ip) || has_source_route(h + p->net_off + IPV4_MIN_HLEN, ip->hlen - IPV4_MIN_HLEN)) {
        ns->mib.ip_in_addr_errors++;
        return false;
    }
    pkt_trim_to(p, p->net_off + ip->total_len);
    p->trans_off = p->net_off + ip->hlen;
    p->src = ip->src;
    p->dst = ip->dst;
    p->proto = ip->proto;
    p->ttl = ip->ttl;
    p->tos = ip->tos;
    p->ce = (ip->tos & ECN_MASK) == ECN_CE;
    p->hold_df = ip->df;
    return true;
}

/* What rules may have changed: fragments put together, addresses, TOS. */
static bool ipv4_again(struct pkt *p, struct ipv4_hdr *ip) {
    const uint8_t *h = pkt_header(p, p->net_off + IPV4_MIN_HLEN);
    if (!h)
        return false;
    uint16_t word = get_be16(h + p->net_off + 6);
    ip->mf = word & IPV4_FLAG_MF;
    ip->frag_offset = (word & IPV4_OFFSET_MASK) * 8u;
    p->tos = h[p->net_off + 1];
    return true;
}

void ipv4_input(struct nic *nic, struct pkt *p) {
    struct ipv4_hdr ip;
    nic->ns->mib.ip_in++;
    if (!parse(nic, p, &ip)) {
        pkt_free(p);
        return;
    }
    if (unlikely(nic->ns->nf)) {
        p = nf_prerouting(nic, p);
        if (!p)
            return;
        if (!ipv4_again(p, &ip)) {
            pkt_free(p);
            return;
        }
    }
    if (!for_this_host(nic, p)) {
        forward(nic, p);
        return;
    }
    if (ip.mf || ip.frag_offset) {
        p = ipfrag_input(nic, p, ip.id, ip.frag_offset, ip.mf);
        if (!p)
            return;
    }
    ip_deliver(nic, p);
}

/* ---- fragmentation (RFC 791 section 2.3, "Fragmentation") ---- */

/* The header of fragments after the first keeps the options with the copied flag alone. Returns its length.
 */
static uint32_t later_header(const uint8_t *h, uint32_t hlen, uint8_t *out) {
    memcpy(out, h, IPV4_MIN_HLEN);
    uint32_t n = IPV4_MIN_HLEN;
    for (uint32_t at = IPV4_MIN_HLEN; at < hlen && h[at] != 0;) {
        uint32_t len = h[at] == 1 ? 1 : at + 1 < hlen ? h[at + 1] : 0;
        if (len == 0 || at + len > hlen)
            break;
        if (h[at] & OPT_COPIED) {
            memcpy(out + n, h + at, len);
            n += len;
        }
        at += len;
    }
    while (n % 4)
        out[n++] = 0;
    return n;
}

static struct pkt *make_fragment(struct pkt *p, const uint8_t *hdr, uint32_t hlen, uint32_t data_at,
                                 uint32_t n) {
    struct pkt *f = pkt_new(p->mem, PKT_HEADROOM, hlen);
    if (!f)
        return NULL;
    memcpy(pkt_put(f, hlen), hdr, hlen);
    f->ethertype = p->ethertype;
    f->trans_off = (uint16_t)hlen;
    f->mark = p->mark;
    if (pkt_append_range(f, p, data_at, n) < 0) {
        pkt_free(f);
        return NULL;
    }
    return f;
}

int ipv4_fragment(struct netns *ns, struct pkt *p, const struct rt *rt) {
    struct ipv4_hdr ip;
    uint8_t hdr[IPV4_MAX_HLEN];
    int rc = pkt_csum_complete(p);
    const uint8_t *h = rc < 0 ? NULL : pkt_header(p, p->trans_off);
    uint32_t hlen = p->trans_off, data = p->trans_off, off = 0;
    if (!h || ipv4_parse(h, hlen, p->len, &ip) < 0) {
        pkt_free(p);
        return -EINVAL;
    }
    memcpy(hdr, h, hlen);
    uint32_t base = ip.frag_offset, total = p->len - data;
    bool base_mf = ip.mf;
    while (rc == 0 && off < total) {
        uint32_t n = MIN((rt->mtu - hlen) & ~7u, total - off);
        struct pkt *f = make_fragment(p, hdr, hlen, data + off, n);
        if (!f) {
            rc = -ENOMEM;
            break;
        }
        ip.hlen = (uint8_t)hlen;
        ip.total_len = (uint16_t)(hlen + n);
        ip.frag_offset = base + off;
        ip.mf = base_mf || off + n < total;
        ipv4_put(f->first.blk->bytes + f->first.off, &ip);
        if (off == 0)
            hlen = later_header(h, hlen, hdr);
        off += n;
        ns->mib.ip_frag_creates++;
        rc = neigh_output(rt->nic, &rt->nexthop, f);
    }
    if (rc == 0)
        ns->mib.ip_frag_oks++;
    else
        ns->mib.ip_frag_fails++;
    pkt_free(p);
    return rc;
}
