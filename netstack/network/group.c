/* SPDX-License-Identifier: Apache-2.0
 * netstack/network/group.c: group membership towards routers: IGMPv2 and v3, MLDv1 and v2, as a host.
 *
 * Any-source membership only: v3/v2 reports carry EXCLUDE{} and INCLUDE{} records, no source lists.
 * Sources: RFC 2236 sections 3 and 6, RFC 3376 sections 4.2, 5 and 7.2, RFC 2710, RFC 3810 sections 5.2 and
 * 6, RFC 9777 (groups of scope 0 and 1 and ff02::1 are not reported).
 */
#include "netstack/stack/stack_core.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"

enum { RECORD_IS_EXCLUDE = 2, RECORD_TO_INCLUDE = 3, RECORD_TO_EXCLUDE = 4, ROBUSTNESS = 2 };

static bool reported(const struct nic_group *g) {
    if (g->nic->arphrd != NS_ARPHRD_ETHER || g->nic->offloads & NIC_QUIET || !nic_is_up(g->nic))
        return false;
    struct ipa all4 = IPA_V4(224, 0, 0, 1);
    if (ipa_is_v4(&g->group))
        return !ipa_eq(&g->group, &all4);
    return ipa_scope(&g->group) >= SCOPE_LINK;
}

static bool old_querier(const struct nic *nic, bool v4) {
    return nic->st->now < (v4 ? nic->igmp_v2_until : nic->mld_v1_until);
}

/* IGMP and MLD messages leave with TTL 1 and, for IPv4, without the router alert that Linux adds. */
static void send_igmp(struct nic *nic, struct pkt *p, const struct ipa *dst) {
    struct flow f = {.dst = *dst, .src = IPA_ANY4, .oif = nic->ifindex};
    struct ip_tx tx = {.dst = *dst, .proto = IPPROTO_NUM_IGMP, .ttl = 1, .tos = 0xc0, .may_frag = true};
    uint8_t *m = pkt_writable(p, 8);
    if (!m || route_output(nic->ns, &f, &tx.rt) < 0) {
        pkt_free(p);
        return;
    }
    tx.src = tx.rt.src;
    csum_store(m + 2, csum_fold(pkt_csum(p, 0, p->len, 0)));
    (void)ip_output(nic->ns, p, &tx);
}

static void send_mld(struct nic *nic, struct pkt *p, const struct ipa *dst) {
    struct ipa src = IPA_ANY6;
    (void)ifaddr_select(nic->ns, nic, dst, &src); /* none yet: unspecified (RFC 3590) */
    (void)icmp6_send(nic, &src, dst, p, 1, NULL);
}

static struct pkt *zeroed(struct nic *nic, uint32_t len) {
    struct pkt *p = pkt_new(&nic->st->mem, PKT_HEADROOM, len);
    if (p)
        memset(pkt_put(p, len), 0, len);
    return p;
}

static uint8_t *bytes_of(struct pkt *p) {
    return p->first.blk->bytes + p->first.off;
}

static void send_v4(struct nic_group *g, uint8_t record) {
    struct ipa routers = IPA_V4(224, 0, 0, 2), v3_routers = IPA_V4(224, 0, 0, 22);
    bool old = old_querier(g->nic, true), leave = record == RECORD_TO_INCLUDE;
    struct pkt *p = zeroed(g->nic, old ? 8 : 16);
    if (!p)
        return;
    uint8_t *m = bytes_of(p);
    if (old) {
        m[0] = leave ? IGMP_LEAVE : IGMP_V2_REPORT;
        memcpy(m + 4, g->group.b + 12, 4);
        send_igmp(g->nic, p, leave ? &routers : &g->group);
        return;
    }
    m[0] = IGMP_V3_REPORT;
    put_be16(m + 6, 1);
    m[8] = record;
    memcpy(m + 12, g->group.b + 12, 4);
    send_igmp(g->nic, p, &v3_routers);
}

static void send_v6(struct nic_group *g, uint8_t record) {
    struct ipa routers = {{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
    struct ipa v2_routers = {{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16}};
    bool old = old_querier(g->nic, false), leave = record == RECORD_TO_INCLUDE;
    struct pkt *p = zeroed(g->nic, old ? 24 : 28);
    if (!p)
        return;
    uint8_t *m = bytes_of(p);
    if (old) {
        m[0] = leave ? ICMP6_MLD_DONE : ICMP6_MLD_REPORT;
        memcpy(m + 8, g->group.b, 16);
        send_mld(g->nic, p, leave ? &routers : &g->group);
        return;
    }
    m[0] = ICMP6_MLD2_REPORT;
    put_be16(m + 6, 1);
    m[8] = record;
    memcpy(m + 12, g->group.b, 16);
    send_mld(g->nic, p, &v2_routers);
}

static void send_record(struct nic_group *g, uint8_t record) {
    if (!reported(g))
        return;
    if (ipa_is_v4(&g->group))
        send_v4(g, record);
    else
        send_v6(g, record);
}

static void group_fire(struct netstack *st, struct ntimer *t) {
    struct nic_group *g = container_of(t, struct nic_group, timer);
    bool joining = g->reports_left > 0;
    send_record(g, joining ? RECORD_TO_EXCLUDE : RECORD_IS_EXCLUDE);
    g->last_reporter = true;
    if (joining && --g->reports_left > 0)
        ntimer_arm(st, t, st->now + MSEC(1 + stack_random_below(st, 1000)));
}

const struct ntimer_ops group_timer_ops = {.fire = group_fire};

/* RFC 3376 section 5.1: the change is reported at once and [Robustness] - 1 times more. */
void group_joined(struct nic_group *g) {
    g->reports_left = ROBUSTNESS - 1;
    send_record(g, RECORD_TO_EXCLUDE);
    g->last_reporter = true;
    if (reported(g))
        ntimer_arm(g->nic->st, &g->timer, g->nic->st->now + MSEC(1 + stack_random_below(g->nic->st, 1000)));
}

void group_left(struct nic_group *g) {
    if (g->last_reporter)
        send_record(g, RECORD_TO_INCLUDE);
}

/* RFC 3376 section 5.2: answer within the time that the query allows. `about` any: all groups. */
static void answer_query(struct nic *nic, const struct ipa *about, uint32_t max_ms) {
    struct netstack *st = nic->st;
    struct nic_group *g;
    list_for_each_entry(g, &nic->groups, link) {
        if (ipa_is_v4(&g->group) != ipa_is_v4(about) || !reported(g))
            continue;
        if (!ipa_is_any(about) && !ipa_eq(about, &g->group))
            continue;
        int64_t due = st->now + MSEC(1 + stack_random_below(st, MAX(max_ms, 1u)));
        if (!ntimer_armed(&g->timer) || g->timer.deadline > due)
            ntimer_arm(st, &g->timer, due);
    }
}

/* RFC 3376 section 4.1.1, RFC 3810 section 5.1.3: small floating point above 128 (32768). */
static uint32_t code8(uint8_t c) {
    return c < 128 ? c : (uint32_t)((c & 0xf) | 0x10) << (((c >> 4) & 7) + 3);
}

static uint32_t code16(uint16_t c) {
    return c < 32768 ? c : (uint32_t)((c & 0xfff) | 0x1000) << (((c >> 12) & 7) + 3);
}

void igmp_input(struct nic *nic, struct pkt *p) {
    uint32_t len = p->len - p->trans_off;
    const uint8_t *m = pkt_header(p, p->trans_off + 8);
    if (m && csum_fold(pkt_csum(p, p->trans_off, len, 0)) == 0) {
        m += p->trans_off;
        struct ipa group = ipa_from4_wire(m + 4);
        if (m[0] == IGMP_QUERY) {
            if (len == 8) /* version 2, or 1 with code 0 */
                nic->igmp_v2_until = nic->st->now + SEC(260);
            answer_query(nic, &group, m[1] ? code8(m[1]) * 100 : 10000);
        } else if (m[0] == IGMP_V2_REPORT) { /* RFC 2236 section 3: another member reported, be silent */
            struct nic_group *g;
            list_for_each_entry(g, &nic->groups, link) {
                if (ipa_eq(&g->group, &group) && old_querier(nic, true) && g->reports_left == 0) {
                    ntimer_disarm(nic->st, &g->timer);
                    g->last_reporter = false;
                }
            }
        }
    }
    pkt_free(p);
}

void mld_input(struct nic *nic, struct pkt *p, const uint8_t *m, uint32_t len) {
    if (!ipa_is_linklocal(&p->src) || p->ttl != 1 || len < 24 || m[0] != ICMP6_MLD_QUERY)
        return;
    struct ipa group = ipa_from6_wire(m + 8);
    uint16_t code = get_be16(m + 4);
    if (len == 24)
        nic->mld_v1_until = nic->st->now + SEC(260);
    answer_query(nic, &group, len == 24 ? code : code16(code));
}
