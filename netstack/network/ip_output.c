/* SPDX-License-Identifier: Apache-2.0
 * netstack/network/ip_output.c: sending for both families, dispatch of received packets to the transports,
 * and what both families' errors share.
 *
 * Sources: RFC 791, RFC 8200, RFC 6864 section 4 (atomic datagrams may use any ID: 0 with DF set), RFC 1191.
 */
#include <errno.h>

#include "netstack/filter/nf_internal.h"
#include "netstack/stack/stack_core.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"
#include "netstack/wire/wire_tcp.h"

/* Unpredictable to others, and unlikely to repeat soon for one pair of hosts (RFC 7739 section 5.3). */
static uint16_t next_id(struct netns *ns, const struct ip_tx *tx) {
    struct {
        struct ipa s, d;
    } key = {tx->src, tx->dst};
    return (uint16_t)(stack_hash(ns->st, &key, sizeof(key)) + ns->ip_id++);
}

static int push_v4(struct netns *ns, struct pkt *p, const struct ip_tx *tx) {
    /* what may be fragmented says "do not" only while it need not be: path MTU discovery as Linux does it */
    bool fits = p->gso != GSO_NONE || p->len + IPV4_MIN_HLEN <= tx->rt.mtu,
         df = tx->df && (fits || !tx->may_frag);
    uint8_t *h = pkt_push(p, IPV4_MIN_HLEN);
    if (!h)
        return -ENOMEM;
    struct ipv4_hdr ip = {
        .hlen = IPV4_MIN_HLEN,
        .tos = tx->tos,
        .total_len = (uint16_t)p->len,
        .id = df ? 0 : next_id(ns, tx),
        .df = df,
        .ttl = tx->ttl,
        .proto = tx->proto,
        .src = tx->src,
        .dst = tx->dst,
    };
    ipv4_put(h, &ip);
    p->ethertype = ETYPE_IPV4;
    p->trans_off = IPV4_MIN_HLEN;
    return 0;
}

static int push_v6(struct pkt *p, const struct ip_tx *tx) {
    struct ipv6_hdr ip = {
        .tclass = tx->tos,
        .flow = tx->flow_label,
        .payload_len = (uint16_t)p->len,
        .next = tx->proto,
        .hop_limit = tx->ttl,
        .src = tx->src,
        .dst = tx->dst,
    };
    uint8_t *h = pkt_push(p, IPV6_HLEN);
    if (!h)
        return -ENOMEM;
    ipv6_put(h, &ip);
    p->ethertype = ETYPE_IPV6;
    p->trans_off = IPV6_HLEN;
    return 0;
}

/* A copy for our own members of the group, or listeners of the broadcast, as if it came from the link. */
static void loop_copy(struct nic *nic, const struct pkt *p, const struct ipa *dst) {
    struct pkt *c = pkt_clone(p);
    if (!c)
        return;
    if (nic->arphrd == NS_ARPHRD_ETHER) {
        uint8_t *h = pkt_push(c, ETHER_HLEN);
        if (!h) {
            pkt_free(c);
            return;
        }
        struct mac to = ipa_is_mcast(dst) ? mac_of_mcast(dst) : MAC_BCAST;
        eth_put(h, &(struct eth_hdr){.dst = to, .src = nic->mac, .type = p->ethertype});
        c->csum_start += ETHER_HLEN;
    }
    stack_backlog(nic, c);
}

static bool needs_loop_copy(const struct ip_tx *tx) {
    const struct nic *nic = tx->rt.nic;
    if (nic->flags & NS_IFF_LOOPBACK)
        return false;
    if (tx->rt.type == NS_RTN_BROADCAST)
        return true;
    return ipa_is_mcast(&tx->dst) && tx->loop_mcast && nic_in_group(nic, &tx->dst);
}

/* Length on the wire of the largest packet this one becomes. */
static uint32_t wire_len(const struct pkt *p, const struct ip_tx *tx) {
    if (p->gso == GSO_NONE)
        return p->len;
    uint32_t thlen = UDP_HLEN;
    if (p->gso == GSO_TCP)
        thlen = (uint32_t)(p->first.blk->bytes[p->first.off + p->trans_off + 12] >> 4) * 4;
    (void)tx;
    return p->trans_off + thlen + p->gso_size;
}

/* Out of the interface, in pieces if need be. Takes p. */
static int transmit(struct netns *ns, struct pkt *p, const struct ip_tx *tx) {
    if (needs_loop_copy(tx))
        loop_copy(tx->rt.nic, p, &tx->dst);
    if (tx->rt.type == NS_RTN_MULTICAST && tx->ttl == 0) {
        pkt_free(p); /* TTL 0 stays on this host (RFC 1112 section 6.1) */
        return 0;
    }
    if (wire_len(p, tx) > tx->rt.mtu) {
        if (tx->may_frag && p->gso == GSO_NONE)
            return p->ethertype == ETYPE_IPV4 ? ipv4_fragment(ns, p, &tx->rt) : ipv6_fragment(ns, p, &tx->rt);
        ns->mib.ip_frag_fails++;
        pkt_free(p);
        return -EMSGSIZE;
    }
    return neigh_output(tx->rt.nic, &tx->rt.nexthop, p);
}

/* The rest of ip_output() for packets that rules look at: the route may change with the destination. */
static int output_filtered(struct netns *ns, struct pkt *p, const struct ip_tx *tx) {
    struct ip_tx now = *tx;
    int rc = nf_output(ns, p, tx->sk, &now.rt);
    if (rc < 0) {
        ns->mib.ip_out_discards++;
        pkt_free(p);
        return rc;
    }
    return transmit(ns, p, &now);
}

int ip_output(struct netns *ns, struct pkt *p, const struct ip_tx *tx) {
    bool v4 = ipa_is_v4(&tx->dst);
    uint32_t hlen = v4 ? IPV4_MIN_HLEN : IPV6_HLEN;
    ns->mib.ip_out++;
    p->net_off = 0;
    p->proto = tx->proto;
    int rc = p->len + (v4 ? hlen : 0) > IPV4_MAX_LEN ? -EMSGSIZE : v4 ? push_v4(ns, p, tx) : push_v6(p, tx);
    if (rc < 0) {
        ns->mib.ip_out_discards++;
        pkt_free(p);
        return rc;
    }
    p->csum_start += (uint16_t)hlen;
    if (unlikely(ns->nf))
        return output_filtered(ns, p, tx);
    return transmit(ns, p, tx);
}

int ip_send_built(struct netns *ns, struct pkt *p, const struct rt *rt) {
    const uint8_t *h = pkt_header(p, 1);
    bool v4 = h && h[0] >> 4 == 4;
    p->ethertype = v4 ? ETYPE_IPV4 : ETYPE_IPV6;
    p->net_off = 0;
    if (p->gso == GSO_NONE && p->len > rt->mtu) {
        h = pkt_header(p, v4 ? IPV4_MIN_HLEN : IPV6_HLEN);
        if (!h || !v4 || get_be16(h + 6) & IPV4_FLAG_DF) {
            ns->mib.ip_frag_fails++;
            pkt_free(p);
            return -EMSGSIZE;
        }
        p->trans_off = (uint16_t)((h[0] & 0xf) * 4);
        return ipv4_fragment(ns, p, rt);
    }
    return neigh_output(rt->nic, &rt->nexthop, p);
}

/* ---- up to the transports ---- */

void ip_deliver(struct nic *nic, struct pkt *p) {
    struct netns *ns = nic->ns;
    if (unlikely(ns->nf) && !nf_input(nic, p)) {
        pkt_free(p);
        return;
    }
    bool v4 = ipa_is_v4(&p->dst);
    bool taken = !list_empty(&ns->raw_socks) && raw_input(nic, p);
    ns->mib.ip_in_delivers++;
    switch (p->proto) {
    case IPPROTO_NUM_TCP:
        tcp_input(nic, p);
        return;
    case IPPROTO_NUM_UDP:
        udp_input(nic, p);
        return;
    case IPPROTO_NUM_ICMP:
        if (v4) {
            icmp4_input(nic, p);
            return;
        }
        break;
    case IPPROTO_NUM_IGMP:
        if (v4) {
            igmp_input(nic, p);
            return;
        }
        break;
    case IPPROTO_NUM_ICMPV6:
        if (!v4) {
            icmp6_input(nic, p);
            return;
        }
        break;
    default:
        break;
    }
    if (!taken) {
        ns->mib.ip_in_unknown_proto++;
        if (v4)
            icmp4_error(nic, p, ICMP_UNREACH, UNREACH_PROTO, 0);
        else
            icmp6_error(nic, p, ICMP6_PARAM_PROBLEM, ICMP6_PARAM_NEXT, 6);
    }
    pkt_free(p);
}

void icmp_port_unreachable(struct nic *nic, struct pkt *p) {
    if (ipa_is_v4(&p->dst))
        icmp4_error(nic, p, ICMP_UNREACH, UNREACH_PORT, 0);
    else
        icmp6_error(nic, p, ICMP6_UNREACH, ICMP6_PORT, 0);
}

void icmp_deliver_error(struct netns *ns, const struct icmp_err *e) {
    switch (e->proto) {
    case IPPROTO_NUM_TCP:
        tcp_icmp_error(ns, e);
        break;
    case IPPROTO_NUM_UDP:
        udp_icmp_error(ns, e);
        break;
    default:
        break;
    }
    raw_icmp_error(ns, e);
}

/* Local senders hear of it directly, others by ICMP. */
void neigh_unreachable(struct nic *nic, struct pkt *p) {
    const uint8_t *h = pkt_header(p, p->net_off + IPV4_MIN_HLEN);
    if (!h)
        return;
    bool v4 = h[p->net_off] >> 4 == 4;
    uint32_t hlen = v4 ? (uint32_t)(h[p->net_off] & 0xf) * 4 : IPV6_HLEN;
    uint32_t want = MIN(p->len, p->net_off + hlen + 8);
    h = pkt_header(p, want);
    if (!h || want < p->net_off + hlen)
        return;
    const uint8_t *ip = h + p->net_off;
    struct icmp_err e = {
        .err = EHOSTUNREACH,
        .origin = NS_EE_ORIGIN_LOCAL,
        .src = v4 ? ipa_from4_wire(ip + 12) : ipa_from6_wire(ip + 8),
        .dst = v4 ? ipa_from4_wire(ip + 16) : ipa_from6_wire(ip + 24),
        .proto = v4 ? ip[9] : ip[6],
        .quoted = ip + hlen,
        .quoted_len = want - p->net_off - hlen,
    };
    if (ifaddr_is_local(nic->ns, &e.src)) {
        icmp_deliver_error(nic->ns, &e);
        return;
    }
    p->src = e.src;
    p->dst = e.dst;
    p->proto = e.proto;
    p->type = PKT_HOST;
    if (v4)
        icmp4_error(nic, p, ICMP_UNREACH, UNREACH_HOST, 0);
    else
        icmp6_error(nic, p, ICMP6_UNREACH, ICMP6_ADDR, 0);
}
