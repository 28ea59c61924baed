/* SPDX-License-Identifier: Apache-2.0
 * netstack/network/icmp4.c: ICMP for IPv4: echo, errors in both directions, redirects, timestamps.
 *
 * Sources: RFC 792, RFC 1122 section 3.2.2 (when no error may be sent), RFC 1812 section 4.3 (quoted length,
 * rate limits), RFC 1191 (path MTU). Errno of each error: icmp(7), ip(7), observed with tests of UDP sockets.
 */
#include <errno.h>

#include "netstack/stack/stack_core.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"

enum { QUOTE_MAX = 576 - IPV4_MIN_HLEN - ICMP_HLEN }; /* RFC 1812 section 4.3.2.3 */

static void icmp_send(struct netns *ns, struct pkt *p, const struct ipa *src, const struct ipa *dst,
                      uint8_t tos, uint32_t oif) {
    struct flow f = {.dst = *dst, .src = *src, .tos = tos, .oif = oif, .mark = p->mark};
    struct ip_tx tx = {.dst = *dst,
                       .proto = IPPROTO_NUM_ICMP,
                       .ttl = (uint8_t)ns->ctl.ip_default_ttl,
                       .tos = tos,
                       .may_frag = true};
    if (route_output(ns, &f, &tx.rt) < 0) {
        pkt_free(p);
        return;
    }
    tx.src = tx.rt.src;
    ns->mib.icmp_out++;
    (void)ip_output(ns, p, &tx); /* ICMP is best effort */
}

static bool is_icmp_error(uint8_t type) {
    return type == ICMP_UNREACH || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
           type == ICMP_TIME_EXCEEDED || type == ICMP_PARAM_PROBLEM;
}

/* RFC 1122 section 3.2.2: never about an ICMP error, a group or broadcast, a later fragment, a nameless
 * source. */
static bool may_send_error(struct nic *nic, struct pkt *p, const uint8_t *ip, uint32_t avail) {
    struct ipa src = ipa_from4_wire(ip + 12), dst = ipa_from4_wire(ip + 16);
    if (p->type != PKT_HOST || ipa_is_mcast(&dst) || ipa_is_bcast4(&dst) || ifaddr_is_subnet_bcast(nic, &dst))
        return false;
    if (ipa_is_any(&src) || ipa_is_mcast(&src) || ipa_is_bcast4(&src) || ifaddr_is_subnet_bcast(nic, &src))
        return false;
    if (get_be16(ip + 6) & IPV4_OFFSET_MASK)
        return false;
    uint32_t hlen = (uint32_t)(ip[0] & 0xf) * 4;
    return ip[9] != IPPROTO_NUM_ICMP || (avail > hlen && !is_icmp_error(ip[hlen]));
}

void icmp4_error(struct nic *nic, struct pkt *orig, uint8_t type, uint8_t code, uint32_t info) {
    struct netns *ns = nic->ns;
    uint32_t quote = MIN(orig->len - orig->net_off, (uint32_t)QUOTE_MAX);
    const uint8_t *h = pkt_header(orig, orig->net_off + quote);
    if (!h || quote < IPV4_MIN_HLEN || !may_send_error(nic, orig, h + orig->net_off, quote))
        return;
    int64_t interval =
        ns->ctl.icmp_ratelimit_ms ? MSEC(1) : 0; /* 1000 a second, bursts of 50: icmp_msgs_per_sec */
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
    memcpy(m + ICMP_HLEN, h + orig->net_off, quote);
    csum_store(m + 2, csum_fold(csum_partial(m, ICMP_HLEN + quote, 0)));
    struct ipa to = ipa_from4_wire(h + orig->net_off + 12), from = ipa_from4_wire(h + orig->net_off + 16);
    if (!ifaddr_is_local(ns, &from))
        from = IPA_ANY4;
    /* RFC 1812 section 4.3.2.5: precedence 6 on errors */
    icmp_send(ns, p, &from, &to, (uint8_t)((orig->tos & 0x1e) | 0xc0), 0);
}

/* ---- receiving ---- */

/* Takes p, which starts with its ICMP header. */
static void echo_reply(struct nic *nic, struct pkt *p) {
    struct netns *ns = nic->ns;
    bool group = p->type != PKT_HOST || ipa_is_mcast(&p->dst) || ipa_is_bcast4(&p->dst);
    uint8_t *m = NULL;
    if (!ns->ctl.icmp_echo_ignore_all && !(group && ns->ctl.icmp_echo_ignore_broadcasts))
        m = pkt_writable(p, ICMP_HLEN);
    if (!m) {
        pkt_free(p);
        return;
    }
    struct ipa src = group ? IPA_ANY4 : p->dst, dst = p->src;
    m[0] = ICMP_ECHO_REPLY;
    m[2] = m[3] = 0;
    csum_store(m + 2, csum_fold(pkt_csum(p, 0, p->len, 0)));
    p->csum = CSUM_NONE;
    icmp_send(ns, p, &src, &dst, p->tos, 0);
}

static void timestamp_reply(struct nic *nic, struct pkt *p) {
    struct netns *ns = nic->ns;
    uint8_t *m = p->type == PKT_HOST ? pkt_writable(p, 20) : NULL;
    if (!m) {
        pkt_free(p);
        return;
    }
    /* milliseconds since midnight UT (RFC 792) */
    uint32_t ms = (uint32_t)((ns->st->host->realtime_ns(ns->st->host_ctx) / 1000000) % 86400000);
    struct ipa src = p->dst, dst = p->src;
    m[0] = ICMP_TIMESTAMP_REPLY;
    put_be32(m + 12, ms);
    put_be32(m + 16, ms);
    m[2] = m[3] = 0;
    csum_store(m + 2, csum_fold(pkt_csum(p, 0, p->len, 0)));
    p->csum = CSUM_NONE;
    icmp_send(ns, p, &src, &dst, p->tos, 0);
}

static void classify_unreach(uint8_t code, struct icmp_err *e) {
    static const struct {
        uint8_t err;
        bool fatal;
    } table[16] = {
        {ENETUNREACH, false},  {EHOSTUNREACH, false}, {ENOPROTOOPT, true},  {ECONNREFUSED, true},
        {EMSGSIZE, false},     {EOPNOTSUPP, false},   {ENETUNREACH, true},  {EHOSTDOWN, true},
        {ENONET, true},        {ENETUNREACH, true},   {EHOSTUNREACH, true}, {ENETUNREACH, false},
        {EHOSTUNREACH, false}, {EHOSTUNREACH, true},  {EHOSTUNREACH, true}, {EHOSTUNREACH, true},
    };
    if (code < ARRAY_SIZE(table)) {
        e->err = table[code].err;
        e->fatal = table[code].fatal;
    }
}

/* RFC 1191 section 7.1: routers that do not tell the next hop's MTU get the next lower plateau. */
static uint32_t plateau_below(uint32_t len) {
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68};
    for (size_t i = 0; i < ARRAY_SIZE(plateaus); i++)
        if (plateaus[i] < len)
            return plateaus[i];
    return 68;
}

static bool classify(const uint8_t *m, const struct ipv4_hdr *inner, struct icmp_err *e) {
    switch (m[0]) {
    case ICMP_UNREACH:
        classify_unreach(m[1], e);
        if (m[1] == UNREACH_FRAG_NEEDED) {
            e->mtu = get_be16(m + 6);
            if (e->mtu == 0)
                e->mtu = plateau_below(inner->total_len);
            e->mtu = MAX(e->mtu, 68u);
        }
        return e->err != 0;
    case ICMP_TIME_EXCEEDED:
        e->err = EHOSTUNREACH;
        return true;
    case ICMP_PARAM_PROBLEM:
        e->err = EPROTO;
        e->fatal = true;
        return true;
    default:
        return false;
    }
}

/* The quoted header's checksum may be off (routers change TTL), so it is read by hand. Borrows p. */
static void error_input(struct nic *nic, struct pkt *p) {
    uint32_t want = MIN(p->len, (uint32_t)(ICMP_HLEN + IPV4_MAX_HLEN + 64));
    const uint8_t *m = pkt_header(p, want);
    if (!m || want < ICMP_HLEN + IPV4_MIN_HLEN) {
        nic->ns->mib.icmp_in_errors++;
        return;
    }
    const uint8_t *ip = m + ICMP_HLEN;
    uint32_t hlen = (uint32_t)(ip[0] & 0xf) * 4;
    if (ip[0] >> 4 != 4 || hlen < IPV4_MIN_HLEN || ICMP_HLEN + hlen > want)
        return;
    struct ipv4_hdr inner = {.total_len = get_be16(ip + 2),
                             .proto = ip[9],
                             .src = ipa_from4_wire(ip + 12),
                             .dst = ipa_from4_wire(ip + 16)};
    struct icmp_err e = {.origin = NS_EE_ORIGIN_ICMP,
                         .type = m[0],
                         .code = m[1],
                         .offender = p->src,
                         .src = inner.src,
                         .dst = inner.dst,
                         .proto = inner.proto,
                         .quoted = ip + hlen,
                         .quoted_len = want - ICMP_HLEN - hlen};
    if (!ifaddr_is_local(nic->ns, &e.src) || !classify(m, &inner, &e))
        return;
    if (e.mtu && e.mtu < inner.total_len && inner.proto != IPPROTO_NUM_TCP)
        pmtu_update(nic->ns, &e.dst, e.mtu); /* TCP checks the sequence number first (RFC 5927 section 7) */
    icmp_deliver_error(nic->ns, &e);
}

void icmp4_input(struct nic *nic, struct pkt *p) {
    struct netns *ns = nic->ns;
    ns->mib.icmp_in++;
    uint32_t len = p->len - p->trans_off;
    const uint8_t *h = pkt_header(p, p->trans_off + ICMP_HLEN);
    if (!h || (p->csum == CSUM_NONE && csum_fold(pkt_csum(p, p->trans_off, len, 0)) != 0)) {
        ns->mib.icmp_in_errors++;
        ns->mib.icmp_in_csum_errors += h != NULL;
        pkt_free(p);
        return;
    }
    uint8_t type = h[p->trans_off];
    uint16_t id = get_be16(h + p->trans_off + 4);
    if (type == ICMP_ECHO_REPLY) {
        (void)ping_input(nic, p, id); /* takes a copy; nobody may want it */
        pkt_free(p);
        return;
    }
    pkt_trim_front(p, p->trans_off);
    p->net_off = p->trans_off = 0;
    switch (type) {
    case ICMP_ECHO:
        echo_reply(nic, p);
        return;
    case ICMP_TIMESTAMP:
        timestamp_reply(nic, p);
        return;
    default:
        if (is_icmp_error(type))
            error_input(nic, p);
        pkt_free(p);
    }
}
