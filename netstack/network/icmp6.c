/* SPDX-License-Identifier: Apache-2.0
 * netstack/network/icmp6.c: ICMPv6: echo, errors in both directions, hand-over to NDP and MLD.
 * Sources: RFC 4443 (section 2.4 for when to send and rate limits), RFC 8201 (path MTU), RFC 4861, RFC 2710.
 */
#include <errno.h>

#include "netstack/stack/stack_core.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"

enum { QUOTE_MAX = IPV6_MIN_MTU - IPV6_HLEN - ICMP_HLEN };

static int send_routed(struct netns *ns, struct pkt *p, struct ip_tx *tx) {
    tx->proto = IPPROTO_NUM_ICMPV6;
    uint8_t *m = pkt_writable(p, 4);
    if (!m) {
        pkt_free(p);
        return -ENOMEM;
    }
    m[2] = m[3] = 0;
    uint32_t sum = csum_pseudo(&tx->src, &tx->dst, IPPROTO_NUM_ICMPV6, p->len);
    csum_store(m + 2, csum_fold(pkt_csum(p, 0, p->len, sum)));
    p->csum = CSUM_NONE;
    ns->mib.icmp_out++;
    return ip_output(ns, p, tx);
}

int icmp6_send(struct nic *nic, const struct ipa *src, const struct ipa *dst, struct pkt *p, uint8_t hops,
               const struct mac *to) {
    struct flow f = {.dst = *dst, .src = *src, .oif = nic->ifindex, .onlink = true};
    struct ip_tx tx = {.dst = *dst, .ttl = hops, .may_frag = true};
    int rc = route_output(nic->ns, &f, &tx.rt);
    if (rc < 0) {
        pkt_free(p);
        return rc;
    }
    tx.src = *src; /* may be the unspecified address on purpose (RFC 4862 section 5.4.2) */
    if (!to || nic->arphrd != NS_ARPHRD_ETHER)
        return send_routed(nic->ns, p, &tx);
    /* to a known link address, past the cache: enter it as a hint, then send */
    neigh_learn(nic, dst, to, NEIGH_SEEN, true);
    return send_routed(nic->ns, p, &tx);
}

static bool is_error(uint8_t type) {
    return type < 128;
}

/* RFC 4443 section 2.4 (e). */
static bool may_send_error(struct pkt *p, uint8_t type, uint8_t code) {
    if (ipa_is_any(&p->src) || ipa_is_mcast(&p->src))
        return false;
    bool group = ipa_is_mcast(&p->dst) || p->type != PKT_HOST;
    bool excepted = type == ICMP6_TOO_BIG || (type == ICMP6_PARAM_PROBLEM && code == ICMP6_PARAM_OPTION);
    if (group && !excepted)
        return false;
    if (p->proto != IPPROTO_NUM_ICMPV6)
        return true;
    const uint8_t *h = pkt_header(p, p->trans_off + 1);
    return h && !is_error(h[p->trans_off]) && h[p->trans_off] != ICMP6_REDIRECT;
}

void icmp6_error(struct nic *nic, struct pkt *orig, uint8_t type, uint8_t code, uint32_t info) {
    struct netns *ns = nic->ns;
    uint32_t quote = MIN(orig->len - orig->net_off, (uint32_t)QUOTE_MAX);
    if (quote < IPV6_HLEN || !may_send_error(orig, type, code))
        return;
    int64_t interval = ns->ctl.icmp_ratelimit_ms ? MSEC(1) : 0;
    if (!(nic->flags & NS_IFF_LOOPBACK) && !ratelimit_ok(ns->st, &ns->icmp_limit, interval, 50)) {
        ns->mib.icmp_ratelimited++;
        return;
    }
    struct pkt *p = pkt_new(&ns->st->mem, PKT_HEADROOM, ICMP_HLEN + quote);
    if (!p)
        return;
    uint8_t *m = pkt_put(p, ICMP_HLEN + quote);
    memset(m, 0, ICMP_HLEN);
    m[0] = type;
    m[1] = code;
    put_be32(m + 4, info);
    pkt_copy_out(orig, orig->net_off, m + ICMP_HLEN, quote);
    struct flow f = {.dst = orig->src, .src = IPA_ANY6};
    if (ipa_is_linklocal(&orig->src))
        f.oif = nic->ifindex;
    if (ifaddr_is_local(ns, &orig->dst))
        f.src = orig->dst;
    struct ip_tx tx = {.dst = orig->src, .ttl = (uint8_t)ns->ctl.ip6_hop_limit, .may_frag = true};
    if (route_output(ns, &f, &tx.rt) < 0) {
        pkt_free(p);
        return;
    }
    tx.src = tx.rt.src;
    (void)send_routed(ns, p, &tx);
}

static void echo_reply(struct nic *nic, struct pkt *p) {
    struct netns *ns = nic->ns;
    uint8_t *m = ns->ctl.icmp_echo_ignore_all ? NULL : pkt_writable(p, ICMP_HLEN);
    struct flow f = {.dst = p->src, .src = ipa_is_mcast(&p->dst) ? IPA_ANY6 : p->dst};
    struct ip_tx tx = {.dst = p->src, .ttl = (uint8_t)ns->ctl.ip6_hop_limit, .tos = p->tos, .may_frag = true};
    if (ipa_is_linklocal(&p->src))
        f.oif = nic->ifindex;
    if (!m || route_output(ns, &f, &tx.rt) < 0) {
        pkt_free(p);
        return;
    }
    tx.src = tx.rt.src;
    m[0] = ICMP6_ECHO_REPLY;
    (void)send_routed(ns, p, &tx);
}

static void classify(const uint8_t *m, struct icmp_err *e) {
    static const struct {
        uint8_t err;
        bool fatal;
    } unreach[7] = {{ENETUNREACH, false}, {EACCES, true}, {EHOSTUNREACH, true}, {EHOSTUNREACH, false},
                    {ECONNREFUSED, true}, {EACCES, true}, {EACCES, true}};
    switch (m[0]) {
    case ICMP6_UNREACH:
        e->err = m[1] < ARRAY_SIZE(unreach) ? unreach[m[1]].err : EPROTO;
        e->fatal = m[1] < ARRAY_SIZE(unreach) && unreach[m[1]].fatal;
        break;
    case ICMP6_TOO_BIG:
        e->err = EMSGSIZE;
        e->mtu = MAX(get_be32(m + 4), (uint32_t)IPV6_MIN_MTU); /* RFC 8201 section 4 */
        break;
    case ICMP6_TIME_EXCEEDED:
        e->err = EHOSTUNREACH;
        break;
    default:
        e->err = EPROTO;
        e->fatal = true;
    }
}

/* Finds the upper layer of a quoted packet; fragments after the first have none. */
static bool skip_quoted(const uint8_t *ip, uint32_t len, uint8_t *ret_proto, uint32_t *ret_at) {
    uint32_t at = IPV6_HLEN;
    uint8_t next = ip[6];
    for (int i = 0; i < 8; i++) {
        bool ext = next == IPPROTO_NUM_HOPOPTS || next == IPPROTO_NUM_DSTOPTS || next == IPPROTO_NUM_ROUTING;
        if (!ext && next != IPPROTO_NUM_FRAGMENT) {
            *ret_proto = next;
            *ret_at = at;
            return at <= len;
        }
        if (at + 8 > len || (!ext && (get_be16(ip + at + 2) & 0xfff8) != 0))
            return false;
        next = ip[at];
        at += ext ? ((uint32_t)ip[at + 1] + 1) * 8 : (uint32_t)IPV6_FRAG_HLEN;
    }
    return false;
}

static void error_input(struct nic *nic, struct pkt *p, uint32_t len) {
    uint32_t want = MIN(len, (uint32_t)(ICMP_HLEN + IPV6_HLEN + 256));
    const uint8_t *m = pkt_header(p, p->trans_off + want);
    uint32_t at;
    struct icmp_err e = {.origin = NS_EE_ORIGIN_ICMP6, .offender = p->src};
    if (!m || want < ICMP_HLEN + IPV6_HLEN)
        return;
    m += p->trans_off;
    const uint8_t *ip = m + ICMP_HLEN;
    uint32_t avail = want - ICMP_HLEN;
    if (ip[0] >> 4 != 6 || !skip_quoted(ip, avail, &e.proto, &at))
        return;
    e.type = m[0];
    e.code = m[1];
    e.src = ipa_from6_wire(ip + 8);
    e.dst = ipa_from6_wire(ip + 24);
    e.quoted = ip + at;
    e.quoted_len = avail - at;
    if (!ifaddr_is_local(nic->ns, &e.src))
        return;
    classify(m, &e);
    if (e.mtu && e.proto != IPPROTO_NUM_TCP)
        pmtu_update(nic->ns, &e.dst, e.mtu);
    icmp_deliver_error(nic->ns, &e);
}

static bool csum_good(struct pkt *p, uint32_t len) {
    uint32_t sum = csum_pseudo(&p->src, &p->dst, IPPROTO_NUM_ICMPV6, len);
    return p->csum != CSUM_NONE || csum_fold(pkt_csum(p, p->trans_off, len, sum)) == 0;
}

void icmp6_input(struct nic *nic, struct pkt *p) {
    struct netns *ns = nic->ns;
    uint32_t len = p->len - p->trans_off;
    const uint8_t *m = pkt_header(p, p->trans_off + MIN(len, 1280u));
    ns->mib.icmp_in++;
    if (!m || len < ICMP_HLEN || !csum_good(p, len)) {
        ns->mib.icmp_in_errors++;
        pkt_free(p);
        return;
    }
    m += p->trans_off;
    uint8_t type = m[0];
    struct ifaddr *ia = ifaddr_find(ns, &p->dst, nic);
    bool tentative = ia && ia->a.flags & NS_IFA_F_TENTATIVE;
    if (type >= ICMP6_RS && type <= ICMP6_REDIRECT) {
        ndp_input(nic, p, type, m, MIN(len, 1280u));
    } else if (tentative) {
        /* RFC 4862 section 5.4: everything else is dropped */
    } else if ((type >= ICMP6_MLD_QUERY && type <= ICMP6_MLD_DONE) || type == ICMP6_MLD2_REPORT) {
        mld_input(nic, p, m, MIN(len, 1280u));
    } else if (is_error(type)) {
        error_input(nic, p, len);
    } else if (type == ICMP6_ECHO_REPLY) {
        (void)ping_input(nic, p, get_be16(m + 4));
    } else if (type == ICMP6_ECHO) {
        pkt_trim_front(p, p->trans_off);
        p->net_off = p->trans_off = 0;
        echo_reply(nic, p);
        return;
    }
    pkt_free(p);
}
