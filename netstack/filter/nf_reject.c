/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf_reject.c: what REJECT sends: an ICMP error, or a reset that looks like the target's own.
 * Sources: RFC 9293 section 3.10.7.1 (numbers of a reset), RFC 1812 section 4.3.2.7.
 */
#include "netstack/filter/nf_internal.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_tcp.h"

void nf_reject_icmp(struct nf_ctx *c, uint8_t type, uint8_t code) {
    struct nic *nic = c->in ? c->in : c->ns->lo;
    if (c->later_fragment)
        return;
    if (c->hook == NF_OUTPUT)
        c->p->type = PKT_HOST;
    if (c->family == NS_AF_INET)
        icmp4_error(nic, c->p, type, code, 0);
    else
        icmp6_error(nic, c->p, type, code, 0);
}

void nf_reject_reset(struct nf_ctx *c) {
    const uint8_t *h = nf_transport(c, 0, TCP_MIN_HLEN);
    struct tcp_hdr th = {.hlen = TCP_MIN_HLEN, .flags = TH_RST};
    if (!h || c->proto != IPPROTO_NUM_TCP || h[13] & TH_RST)
        return;
    uint32_t hlen = (uint32_t)(h[12] >> 4) * 4, len = c->p->len - c->thoff;
    uint32_t text = len > hlen ? len - hlen : 0;
    th.sport = get_be16(h + 2);
    th.dport = get_be16(h);
    if (h[13] & TH_ACK) {
        th.seq = get_be32(h + 8);
    } else {
        th.flags |= TH_ACK;
        th.ack = get_be32(h + 4) + text + !!(h[13] & TH_SYN) + !!(h[13] & TH_FIN);
    }
    struct flow f = {.dst = c->p->src, .src = c->p->dst};
    struct ip_tx tx = {.src = c->p->dst, .dst = c->p->src, .proto = IPPROTO_NUM_TCP, .ttl = 64, .df = true};
    if (!ifaddr_is_local(c->ns, &f.src))
        f.src = ipa_is_v4(&f.dst) ? IPA_ANY4 : IPA_ANY6;
    if (route_output(c->ns, &f, &tx.rt) < 0)
        return;
    struct pkt *p = pkt_new(&c->ns->st->mem, PKT_HEADROOM, TCP_MIN_HLEN);
    if (!p)
        return;
    uint8_t *out = pkt_put(p, TCP_MIN_HLEN);
    tcp_hdr_put(out, &th);
    csum_store(out + 16,
               csum_fold(csum_partial(out, TCP_MIN_HLEN,
                                      csum_pseudo(&tx.src, &tx.dst, IPPROTO_NUM_TCP, TCP_MIN_HLEN))));
    (void)ip_output(c->ns, p, &tx); /* it belongs to the connection of the packet: tracked by its tuple */
}
