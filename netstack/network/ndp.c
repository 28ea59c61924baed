/* SPDX-License-Identifier: Apache-2.0
 * netstack/network/ndp.c: neighbour discovery and stateless address autoconfiguration, as a host.
 *
 * Sources: RFC 4861 (7.1 validation, 7.2 resolution, 6.3 host behaviour), RFC 4862 (5.4 duplicates, 5.5
 * addresses), RFC 4191 is not done (one preference), RFC 4941 temporary addresses are not done, RFC 8106
 * (DNS) is the resolver's business and is passed over. Redirects are ignored: Linux as a forwarding host does
 * the same.
 */
#include <errno.h>

#include "netstack/stack/stack_core.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv6.h"

static const struct ipa all_routers = {{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
static const struct ipa all_nodes = {{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

enum { NS_LEN = 24, RS_LEN = 8, RA_LEN = 16, OPT_LLA_LEN = 8, MAX_RS = 3 };

static struct ipa solicited_node(const struct ipa *a) {
    return (struct ipa){{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a->b[13], a->b[14], a->b[15]}};
}

static void put_lla(uint8_t *at, uint8_t type, const struct nic *nic) {
    at[0] = type;
    at[1] = 1;
    memcpy(at + 2, nic->mac.b, MAC_LEN);
}

/* A zeroed message of `len` bytes and, if `lla` is not 0, a link-address option behind it. */
static struct pkt *message(struct nic *nic, uint8_t type, uint32_t len, uint8_t lla) {
    uint32_t all = len + (lla ? OPT_LLA_LEN : 0);
    struct pkt *p = pkt_new(&nic->st->mem, PKT_HEADROOM, all);
    if (!p)
        return NULL;
    uint8_t *m = pkt_put(p, all);
    memset(m, 0, all);
    m[0] = type;
    if (lla)
        put_lla(m + len, lla, nic);
    return p;
}

void ndp_solicit(struct nic *nic, const struct ipa *target, const struct mac *to, const struct ipa *src) {
    struct ipa from = IPA_ANY6;
    if (src)
        from = *src;
    else if (!ifaddr_select(nic->ns, nic, target, &from))
        return;
    struct pkt *p = message(nic, ICMP6_NS, NS_LEN, ipa_is_any(&from) ? 0 : NDP_OPT_SLLA);
    if (!p)
        return;
    memcpy(p->first.blk->bytes + p->first.off + 8, target->b, 16);
    struct ipa group = solicited_node(target);
    (void)icmp6_send(nic, &from, to ? target : &group, p, 255, NULL);
}

void ndp_dad_probe(struct ifaddr *ia) {
    struct ipa any = IPA_ANY6;
    ndp_solicit(ia->nic, &ia->a.addr, NULL, &any);
}

static void advertise(struct nic *nic, const struct ipa *target, const struct ipa *dst, uint8_t flags) {
    struct pkt *p = message(nic, ICMP6_NA, NS_LEN, NDP_OPT_TLLA);
    if (!p)
        return;
    uint8_t *m = p->first.blk->bytes + p->first.off;
    m[4] = flags | (nic->ns->ctl.ip6_forwarding ? NDP_NA_ROUTER : 0);
    memcpy(m + 8, target->b, 16);
    (void)icmp6_send(nic, target, dst, p, 255, NULL);
}

void ndp_announce(struct ifaddr *ia) {
    if (!ipa_is_v4(&ia->a.addr) && nic_is_up(ia->nic))
        advertise(ia->nic, &ia->a.addr, &all_nodes, NDP_NA_OVERRIDE);
}

/* ---- router solicitation (RFC 4861 section 6.3.7) ---- */

static void rs_fire(struct netstack *st, struct ntimer *t) {
    struct nic *nic = container_of(t, struct nic, rs_timer);
    struct ipa src;
    if (nic->rs_left == 0)
        return;
    nic->rs_left--;
    if (ifaddr_select(nic->ns, nic, &all_routers, &src)) {
        struct pkt *p = message(nic, ICMP6_RS, RS_LEN, NDP_OPT_SLLA);
        if (p)
            (void)icmp6_send(nic, &src, &all_routers, p, 255, NULL);
    }
    ntimer_arm(st, t, st->now + SEC(4));
}

const struct ntimer_ops rs_timer_ops = {.fire = rs_fire};

void ndp_send_rs(struct nic *nic) {
    if (nic->ns->ctl.ip6_forwarding || !nic->accept_ra || nic->offloads & NIC_QUIET)
        return;
    nic->rs_left = MAX_RS;
    ntimer_arm(nic->st, &nic->rs_timer, nic->st->now + SEC(2) + MSEC(stack_random_below(nic->st, 1000)));
}

/* ---- options ---- */

struct ndp_options {
    bool has_slla, has_tlla;
    struct mac slla, tlla;
    uint32_t mtu;
};

/* RFC 4861 section 4.6: an option of length 0 invalidates the message. */
static bool parse_options(const uint8_t *p, uint32_t len, struct ndp_options *ret) {
    *ret = (struct ndp_options){0};
    for (uint32_t at = 0; at < len;) {
        if (len - at < 8)
            return false;
        uint32_t n = (uint32_t)p[at + 1] * 8;
        if (n == 0 || n > len - at)
            return false;
        if (p[at] == NDP_OPT_SLLA) {
            ret->has_slla = true;
            memcpy(ret->slla.b, p + at + 2, MAC_LEN);
        } else if (p[at] == NDP_OPT_TLLA) {
            ret->has_tlla = true;
            memcpy(ret->tlla.b, p + at + 2, MAC_LEN);
        } else if (p[at] == NDP_OPT_MTU) {
            ret->mtu = get_be32(p + at + 4);
        }
        at += n;
    }
    return true;
}

/* ---- neighbour solicitation and advertisement ---- */

static void ns_input(struct nic *nic, struct pkt *p, const uint8_t *m, uint32_t len) {
    struct ndp_options opt;
    struct ipa target = ipa_from6_wire(m + 8);
    bool dad = ipa_is_any(&p->src);
    struct ipa sn = solicited_node(&target);
    if (ipa_is_mcast(&target) || !parse_options(m + NS_LEN, len - NS_LEN, &opt))
        return;
    if (dad && (opt.has_slla || !ipa_eq(&p->dst, &sn))) /* RFC 4861 section 7.1.1 */
        return;
    struct ifaddr *ia = ifaddr_find(nic->ns, &target, nic);
    if (!ia)
        return;
    if (ia->a.flags & NS_IFA_F_TENTATIVE) {
        if (dad) /* RFC 4862 section 5.4.3: somebody else tries for it */
            ifaddr_dad_failed(ia);
        return;
    }
    if (dad) {
        advertise(nic, &target, &all_nodes, NDP_NA_OVERRIDE);
        return;
    }
    if (opt.has_slla)
        neigh_learn(nic, &p->src, &opt.slla, NEIGH_SEEN, true);
    advertise(nic, &target, &p->src, NDP_NA_SOLICITED | NDP_NA_OVERRIDE);
}

static void na_input(struct nic *nic, struct pkt *p, const uint8_t *m, uint32_t len) {
    struct ndp_options opt;
    struct ipa target = ipa_from6_wire(m + 8);
    uint8_t flags = m[4];
    if (ipa_is_mcast(&target) || (ipa_is_mcast(&p->dst) && flags & NDP_NA_SOLICITED) ||
        !parse_options(m + NS_LEN, len - NS_LEN, &opt))
        return;
    struct ifaddr *ia = ifaddr_find(nic->ns, &target, nic);
    if (ia) {
        ifaddr_dad_failed(ia);
        return;
    }
    if (!opt.has_tlla)
        return;
    enum neigh_event ev = flags & NDP_NA_SOLICITED  ? NEIGH_SOLICITED
                          : flags & NDP_NA_OVERRIDE ? NEIGH_UNSOLICITED_OVERRIDE
                                                    : NEIGH_UNSOLICITED;
    neigh_learn(nic, &target, &opt.tlla, ev, false);
}

/* ---- router advertisement ---- */

static void default_route(struct nic *nic, const struct ipa *router, uint16_t lifetime_s) {
    struct ns_route r = {.prefix_len = 0,
                         .protocol = NS_RTPROT_RA,
                         .metric = 1024,
                         .type = NS_RTN_UNICAST,
                         .nexthop = {.gateway = *router, .ifindex = nic->ifindex}};
    /* Lifetimes are honoured as zero or not zero: routers that fall silent are found by unreachability. */
    if (lifetime_s == 0)
        (void)route_del_locked(nic->ns, &r);
    else
        (void)route_add_locked(nic->ns, &r);
}

/* RFC 4862 section 5.5.3 (d) and (e). */
static void autoconf_address(struct nic *nic, const struct ipa *prefix, uint32_t valid_s,
                             uint32_t preferred_s) {
    struct nic_addr a = {.addr = *prefix, .prefix_len = 64, .valid_s = valid_s, .preferred_s = preferred_s};
    const struct mac *m = &nic->mac;
    const uint8_t iid[8] = {m->b[0] ^ 2, m->b[1], m->b[2], 0xff, 0xfe, m->b[3], m->b[4], m->b[5]};
    memcpy(a.addr.b + 8, iid, sizeof(iid));
    struct ifaddr *ia = ifaddr_find(nic->ns, &a.addr, nic);
    int64_t now = nic->st->now;
    if (!ia) {
        if (valid_s > 0)
            (void)ifaddr_add(nic, &a, NULL);
        return;
    }
    if (ia->a.flags & NS_IFA_F_PERMANENT)
        return;
    int64_t left = ia->valid_until == NETSTACK_NEVER ? NETSTACK_NEVER : ia->valid_until - now;
    int64_t asked = valid_s == UINT32_MAX ? NETSTACK_NEVER : SEC(valid_s);
    if (asked > SEC(7200) || asked > left)
        ia->valid_until = asked == NETSTACK_NEVER ? NETSTACK_NEVER : now + asked;
    else if (left > SEC(7200)) /* an attacker may not shorten it below two hours */
        ia->valid_until = now + SEC(7200);
    ia->preferred_until = preferred_s == UINT32_MAX ? NETSTACK_NEVER : now + SEC(preferred_s);
    if (preferred_s > 0)
        ia->a.flags &= ~(uint32_t)NS_IFA_F_DEPRECATED;
    if (!(ia->a.flags & NS_IFA_F_TENTATIVE))
        ntimer_arm(nic->st, &ia->timer, MIN(ia->valid_until, ia->preferred_until));
}

static void prefix_option(struct nic *nic, const uint8_t *o) {
    uint8_t prefix_len = o[2], flags = o[3];
    uint32_t valid_s = get_be32(o + 4), preferred_s = get_be32(o + 8);
    struct ipa prefix = ipa_from6_wire(o + 16);
    /* A mapped IPv4 prefix means nothing on a link (RFC 4291 2.5.5.2); here it would be taken for IPv4. */
    if (prefix_len > 128 || ipa_is_v4(&prefix) || ipa_is_linklocal(&prefix) || ipa_is_mcast(&prefix) ||
        preferred_s > valid_s)
        return;
    prefix = ipa_mask(&prefix, prefix_len);
    if (flags & 0x80) { /* on-link */
        struct ns_route r = {.dst = prefix,
                             .prefix_len = prefix_len,
                             .protocol = NS_RTPROT_KERNEL,
                             .metric = 256,
                             .type = NS_RTN_UNICAST,
                             .nexthop = {.ifindex = nic->ifindex}};
        if (valid_s)
            (void)route_add_locked(nic->ns, &r);
        else
            (void)route_del_locked(nic->ns, &r);
    }
    if (flags & 0x40 && prefix_len == 64)
        autoconf_address(nic, &prefix, valid_s, preferred_s);
}

static void ra_input(struct nic *nic, struct pkt *p, const uint8_t *m, uint32_t len) {
    struct ndp_options opt;
    if (!ipa_is_linklocal(&p->src) || nic->ns->ctl.ip6_forwarding || !nic->accept_ra ||
        !parse_options(m + RA_LEN, len - RA_LEN, &opt))
        return;
    nic->rs_left = 0;
    ntimer_disarm(nic->st, &nic->rs_timer);
    if (m[4])
        nic->hop_limit = m[4];
    uint32_t reachable = get_be32(m + 8), retrans = get_be32(m + 12);
    if (reachable && reachable <= 3600000)
        nic->reachable_ms = reachable;
    if (retrans >= 10 && retrans <= 60000)
        nic->retrans_ms = retrans;
    if (opt.has_slla)
        neigh_learn(nic, &p->src, &opt.slla, NEIGH_SEEN, true);
    if (opt.mtu >= IPV6_MIN_MTU && opt.mtu < nic->mtu) {
        nic->mtu = opt.mtu;
        nic->ns->route_gen++;
    }
    default_route(nic, &p->src, get_be16(m + 6));
    for (uint32_t at = RA_LEN; at + 8 <= len; at += (uint32_t)m[at + 1] * 8) /* lengths were checked */
        if (m[at] == NDP_OPT_PREFIX && m[at + 1] == 4)
            prefix_option(nic, m + at);
}

void ndp_input(struct nic *nic, struct pkt *p, uint8_t type, const uint8_t *m, uint32_t len) {
    if (p->ttl != 255 || m[1] != 0) /* from this link alone: RFC 4861 section 7.1 */
        return;
    switch (type) {
    case ICMP6_NS:
        if (len >= NS_LEN)
            ns_input(nic, p, m, len);
        break;
    case ICMP6_NA:
        if (len >= NS_LEN)
            na_input(nic, p, m, len);
        break;
    case ICMP6_RA:
        if (len >= RA_LEN)
            ra_input(nic, p, m, len);
        break;
    default:
        break;
    }
}
