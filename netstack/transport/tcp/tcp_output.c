/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_output.c: segments that belong to no full connection: resets, SYN-ACKs of
 * half-open ones, ACKs out of TIME-WAIT; and the limit on challenge ACKs. Sources: RFC 9293 sections 3.5.2
 * and 3.10.7.1, RFC 5961 section 7.
 */
#include <errno.h>

#include "netstack/transport/tcp/tcp_internal.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"

void tcp_send_bare(struct netns *ns, const struct tcp_bare *b) {
    uint8_t opts[TCP_MAX_OPTIONS];
    size_t olen = tcp_options_put(opts, &b->opt, b->flags & TH_SYN);
    struct flow f = {.dst = b->dst, .src = b->src, .tos = b->tos, .mark = b->mark, .oif = b->oif};
    struct ip_tx tx = {.src = b->src, .dst = b->dst, .proto = IPPROTO_NUM_TCP, .tos = b->tos, .df = true};
    if (route_output(ns, &f, &tx.rt) < 0)
        return;
    uint32_t hlen = TCP_MIN_HLEN + (uint32_t)olen;
    struct pkt *p = pkt_new(&ns->st->mem, PKT_HEADROOM, hlen);
    if (!p)
        return;
    uint8_t *h = pkt_put(p, hlen);
    struct tcp_hdr th = {.sport = b->sport,
                         .dport = b->dport,
                         .seq = b->seq,
                         .ack = b->ack,
                         .hlen = (uint8_t)hlen,
                         .flags = b->flags,
                         .window = (uint16_t)MIN(b->window, 65535u)};
    tcp_hdr_put(h, &th);
    memcpy(h + TCP_MIN_HLEN, opts, olen);
    csum_store(h + 16, csum_reduce(csum_pseudo(&b->src, &b->dst, IPPROTO_NUM_TCP, hlen)));
    p->csum = CSUM_PARTIAL;
    p->csum_start = 0;
    p->csum_offset = 16;
    p->mark = b->mark;
    bool v4 = ipa_is_v4(&b->dst);
    tx.ttl = (uint8_t)(v4 ? ns->ctl.ip_default_ttl : ns->ctl.ip6_hop_limit);
    ns->mib.tcp_out_segs++;
    if (b->flags & TH_RST)
        ns->mib.tcp_out_rsts++;
    (void)ip_output(ns, p, &tx); /* lost segments are the peer's to repeat */
}

void tcp_send_reset_for(const struct tcp_rx *rx) {
    struct tcp_bare b = {
        .src = rx->p->dst, .dst = rx->p->src, .sport = rx->h.dport, .dport = rx->h.sport, .flags = TH_RST};
    if (rx->h.flags & TH_RST)
        return;
    if (rx->p->type != PKT_HOST || ipa_is_mcast(&rx->p->dst) || ipa_is_bcast4(&rx->p->dst))
        return;
    if (!ipa_is_v4(&b.dst) && ipa_is_linklocal(&b.dst))
        b.oif = rx->nic->ifindex;
    if (rx->h.flags & TH_ACK) {
        b.seq = rx->h.ack;
    } else {
        b.flags |= TH_ACK;
        b.ack = rx->seq_end;
    }
    tcp_send_bare(rx->ns, &b);
}

/* RFC 5961 section 7: at most so many a second, over all connections of the namespace. */
bool tcp_challenge_allowed(struct netns *ns) {
    uint32_t per_s = ns->ctl.tcp_challenge_ack_limit;
    return per_s == 0 || ratelimit_ok(ns->st, &ns->challenge_limit, SEC(1) / per_s, per_s);
}
