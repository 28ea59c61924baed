/* SPDX-License-Identifier: Apache-2.0
 * netstack/network/ipv6.c: receiving, forwarding and fragmenting IPv6.
 *
 * Sources: RFC 8200 sections 4 and 5, RFC 5095 (routing header type 0 refused), RFC 5722, RFC 6946 (atomic
 * fragments), RFC 8504. Extension headers are walked in order with a bound on their number.
 */
#include <errno.h>

#include "netstack/filter/nf_internal.h"
#include "netstack/stack/stack_core.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"

enum { EXT_HEADERS_MAX = 16 };

static bool martian(const struct nic *nic, const struct ipv6_hdr *h) {
    if (ipa_is_mcast(&h->src) || ipa_is_any(&h->dst))
        return true;
    if (ipa_is_v4(&h->src) || ipa_is_v4(&h->dst)) /* mapped addresses never travel (RFC 4942 section 2.2) */
        return true;
    if (ipa_is_mcast(&h->dst) && ipa_scope(&h->dst) == SCOPE_NODE && !(nic->flags & NS_IFF_LOOPBACK))
        return true;
    return !(nic->flags & NS_IFF_LOOPBACK) && (ipa_is_loopback(&h->src) || ipa_is_loopback(&h->dst));
}

static bool for_this_host(struct nic *nic, struct pkt *p) {
    if (ipa_is_mcast(&p->dst))
        return nic_in_group(nic, &p->dst);
    struct ifaddr *ia =
        ifaddr_find(nic->ns, &p->dst, ipa_is_linklocal(&p->dst) && !p->from_loop ? nic : NULL);
    if (ia) /* tentative: neighbour discovery alone may use it (RFC 4862 section 5.4) */
        return !(ia->a.flags & NS_IFA_F_TENTATIVE) || p->proto == IPPROTO_NUM_ICMPV6;
    struct flow f = {.dst = p->dst, .src = p->src, .iif = nic->ifindex, .mark = p->mark};
    struct rt rt;
    return route_forward(nic->ns, &f, &rt) == 0 && rt.type == NS_RTN_LOCAL;
}

static void forward(struct nic *nic, struct pkt *p) {
    struct netns *ns = nic->ns;
    struct flow f = {.dst = p->dst, .src = p->src, .iif = nic->ifindex, .mark = p->mark, .tos = p->tos};
    struct rt rt;
    uint8_t *h = NULL;
    bool may = ns->ctl.ip6_forwarding && p->type == PKT_HOST && !ipa_is_mcast(&p->dst) &&
               !ipa_is_linklocal(&p->dst) && !ipa_is_linklocal(&p->src) && !ipa_is_any(&p->src);
    if (!may) {
        ns->mib.ip_in_addr_errors++;
        pkt_free(p);
        return;
    }
    uint32_t len = p->gso ? p->gso_size + 100u : p->len - p->net_off;
    if (p->ttl <= 1)
        icmp6_error(nic, p, ICMP6_TIME_EXCEEDED, TIMEX_TTL, 0);
    else if (route_forward(ns, &f, &rt) < 0)
        icmp6_error(nic, p, ICMP6_UNREACH, ICMP6_NO_ROUTE, 0);
    else if (len > rt.mtu)
        icmp6_error(nic, p, ICMP6_TOO_BIG, 0, rt.mtu);
    else
        h = pkt_writable(p, p->net_off + IPV6_HLEN);
    if (!h) {
        pkt_free(p);
        return;
    }
    h[p->net_off + 7]--;
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
    (void)ip_send_built(ns, p, &rt);
}

/* State of the walk over extension headers. */
struct walk {
    uint32_t at;        /* offset of the header that `next` names */
    uint32_t next_byte; /* offset of the byte that named it */
    uint8_t next;
    bool first;
};

enum walk_result { WALK_MORE, WALK_DONE, WALK_DROP, WALK_FRAGMENT };

static enum walk_result options_header(struct nic *nic, struct pkt *p, struct walk *w, uint32_t len) {
    uint32_t bad = 0;
    const uint8_t *h = pkt_header(p, w->at + len);
    if (!h)
        return WALK_DROP;
    switch (ipv6_walk_options(h + w->at, len, &bad)) {
    case OPT_CONTINUE:
        return WALK_MORE;
    case OPT_ICMP_UNICAST:
        if (ipa_is_mcast(&p->dst))
            return WALK_DROP;
        /* fall through */
    case OPT_ICMP:
        icmp6_error(nic, p, ICMP6_PARAM_PROBLEM, ICMP6_PARAM_OPTION, w->at - p->net_off + bad);
        return WALK_DROP;
    default:
        return WALK_DROP;
    }
}

static enum walk_result one_header(struct nic *nic, struct pkt *p, struct walk *w) {
    bool hop = w->next == IPPROTO_NUM_HOPOPTS;
    if (!hop && w->next != IPPROTO_NUM_DSTOPTS && w->next != IPPROTO_NUM_ROUTING &&
        w->next != IPPROTO_NUM_FRAGMENT)
        return WALK_DONE;
    if (hop && !w->first) { /* RFC 8200 section 4.1 */
        icmp6_error(nic, p, ICMP6_PARAM_PROBLEM, ICMP6_PARAM_NEXT, w->next_byte - p->net_off);
        return WALK_DROP;
    }
    if (w->next == IPPROTO_NUM_FRAGMENT)
        return WALK_FRAGMENT;
    const uint8_t *h = pkt_header(p, w->at + 8);
    if (!h)
        return WALK_DROP;
    uint32_t len = ((uint32_t)h[w->at + 1] + 1) * 8;
    uint8_t next = h[w->at];
    if (w->next == IPPROTO_NUM_ROUTING) {
        if (h[w->at + 3] != 0) { /* segments left: no type is supported (RFC 8200 section 4.4, RFC 5095) */
            icmp6_error(nic, p, ICMP6_PARAM_PROBLEM, ICMP6_PARAM_FIELD, w->at + 2 - p->net_off);
            return WALK_DROP;
        }
    } else {
        enum walk_result r = options_header(nic, p, w, len);
        if (r != WALK_MORE)
            return r;
    }
    if (w->at + len > p->len)
        return WALK_DROP;
    *w = (struct walk){.at = w->at + len, .next_byte = w->at, .next = next};
    return WALK_MORE;
}

/* Cuts the fragment header out of the first fragment, so that the result looks as it was sent. */
static bool cut_fragment_header(struct pkt *p, struct walk *w, uint8_t next) {
    uint8_t *h = pkt_writable(p, w->at + IPV6_FRAG_HLEN);
    if (!h)
        return false;
    h[w->next_byte] = next;
    memmove(h + IPV6_FRAG_HLEN, h, w->at);
    pkt_trim_front(p, IPV6_FRAG_HLEN);
    w->next = next;
    return true;
}

/* Takes p; returns the packet when it is whole. */
static struct pkt *fragment_input(struct nic *nic, struct pkt *p, struct walk *w) {
    struct ipv6_frag f;
    const uint8_t *h = pkt_header(p, w->at + IPV6_FRAG_HLEN);
    if (!h) {
        pkt_free(p);
        return NULL;
    }
    ipv6_frag_get(h + w->at, &f);
    uint32_t data = p->len - w->at - IPV6_FRAG_HLEN;
    if (f.more && data % 8 != 0) {
        icmp6_error(nic, p, ICMP6_PARAM_PROBLEM, ICMP6_PARAM_FIELD, 4);
        pkt_free(p);
        return NULL;
    }
    if (f.offset + data > IPV4_MAX_LEN) {
        icmp6_error(nic, p, ICMP6_PARAM_PROBLEM, ICMP6_PARAM_FIELD, w->at + 2 - p->net_off);
        pkt_free(p);
        return NULL;
    }
    bool atomic = f.offset == 0 && !f.more; /* RFC 6946 */
    if (f.offset == 0) {
        if (!cut_fragment_header(p, w, f.next)) {
            pkt_free(p);
            return NULL;
        }
        p->trans_off = (uint16_t)w->at;
    } else {
        p->trans_off = (uint16_t)(w->at + IPV6_FRAG_HLEN);
    }
    p->proto = f.next;
    return atomic ? p : ipfrag_input(nic, p, f.id, f.offset, f.more);
}

/* Walks to the upper layer and delivers. Takes p. */
static void deliver(struct nic *nic, struct pkt *p) {
    struct walk w = {
        .at = p->net_off + IPV6_HLEN, .next_byte = p->net_off + 6u, .next = p->proto, .first = true};
    for (int i = 0; i < EXT_HEADERS_MAX; i++) {
        enum walk_result r = one_header(nic, p, &w);
        if (r == WALK_FRAGMENT) {
            p = fragment_input(nic, p, &w);
            if (!p)
                return;
            w = (struct walk){.at = p->trans_off, .next_byte = p->net_off + 6u, .next = p->proto};
            const uint8_t *h = pkt_header(p, p->trans_off);
            if (h && p->trans_off == p->net_off + IPV6_HLEN)
                w.next = h[w.next_byte]; /* the first fragment's word counts */
            continue;
        }
        if (r == WALK_MORE)
            continue;
        if (r == WALK_DROP)
            break;
        p->trans_off = (uint16_t)w.at;
        p->proto = w.next;
        if (w.next == IPPROTO_NUM_NONE)
            break;
        ip_deliver(nic, p);
        return;
    }
    pkt_free(p);
}

void ipv6_input(struct nic *nic, struct pkt *p) {
    struct netns *ns = nic->ns;
    struct ipv6_hdr ip;
    const uint8_t *h = pkt_header(p, p->net_off + IPV6_HLEN);
    ns->mib.ip_in++;
    if (!h || ipv6_parse(h + p->net_off, IPV6_HLEN, p->len - p->net_off, &ip) < 0) {
        ns->mib.ip_in_hdr_errors++;
        pkt_free(p);
        return;
    }
    if (martian(nic, &ip)) {
        ns->mib.ip_in_addr_errors++;
        pkt_free(p);
        return;
    }
    pkt_trim_to(p, p->net_off + IPV6_HLEN + ip.payload_len);
    p->src = ip.src;
    p->dst = ip.dst;
    p->proto = ip.next;
    p->ttl = ip.hop_limit;
    p->tos = ip.tclass;
    p->ce = (ip.tclass & ECN_MASK) == ECN_CE;
    p->hold_df = true;
    p->trans_off = p->net_off + IPV6_HLEN;
    if (unlikely(ns->nf)) {
        p = nf_prerouting(nic, p);
        if (!p)
            return;
    }
    if (for_this_host(nic, p))
        deliver(nic, p);
    else
        forward(nic, p);
}

/* ---- fragmentation by the source (RFC 8200 section 4.5); p has no extension headers of ours ---- */

int ipv6_fragment(struct netns *ns, struct pkt *p, const struct rt *rt) {
    struct ipv6_hdr ip;
    int rc = pkt_csum_complete(p);
    const uint8_t *h = rc < 0 ? NULL : pkt_header(p, IPV6_HLEN);
    if (!h || ipv6_parse(h, IPV6_HLEN, p->len, &ip) < 0) {
        pkt_free(p);
        return -EINVAL;
    }
    const uint32_t hlen = IPV6_HLEN + IPV6_FRAG_HLEN;
    struct ipv6_frag fh = {.next = ip.next, .id = ns->frag6_id++};
    uint32_t total = p->len - IPV6_HLEN;
    for (uint32_t off = 0; rc == 0 && off < total;) {
        uint32_t n = MIN((rt->mtu - hlen) & ~7u, total - off);
        struct pkt *f = pkt_new(p->mem, PKT_HEADROOM, hlen);
        if (!f) {
            rc = -ENOMEM;
            break;
        }
        uint8_t *out = pkt_put(f, hlen);
        ip.payload_len = (uint16_t)(IPV6_FRAG_HLEN + n);
        ip.next = IPPROTO_NUM_FRAGMENT;
        fh.offset = off;
        fh.more = off + n < total;
        ipv6_put(out, &ip);
        ipv6_frag_put(out + IPV6_HLEN, &fh);
        f->ethertype = p->ethertype;
        f->trans_off = (uint16_t)hlen;
        f->mark = p->mark;
        if (pkt_append_range(f, p, IPV6_HLEN + off, n) < 0) {
            pkt_free(f);
            rc = -ENOMEM;
            break;
        }
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
