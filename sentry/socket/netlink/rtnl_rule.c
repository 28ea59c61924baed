/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/rtnl_rule.c: routing rules: RTM_*RULE. Source: rtnetlink(7), ip-rule(8).
 */
#include <errno.h>
#include <string.h>

#include "sentry/socket/netlink/rtnetlink.h"

enum { LAST = LINUX_FRA_PROTOCOL, FREE_PRIORITY = 32765, RTPROT_UNSPEC = 0 };

static void put_name(struct nl_out *o, uint16_t type, struct netns *ns, uint32_t ifindex) {
    struct nic *nic = ifindex ? nic_by_index(ns, ifindex) : NULL;
    struct nic_info info;

    if (!nic)
        return;
    nic_info(nic, &info);
    nl_put_string(o, type, info.name);
}

void rtnl_fill_rule(struct nl_out *o, uint16_t type, uint16_t flags, struct netns *ns,
                    const struct ns_rule *r) {
    struct linux_fib_rule_hdr m = {.family = r->family,
                                   .dst_len = r->dst_len,
                                   .src_len = r->src_len,
                                   .table = r->table < 256 ? (uint8_t)r->table : 252,
                                   .action = r->action};

    nl_begin(o, type, flags, &m, sizeof m);
    nl_put_u32(o, LINUX_FRA_TABLE, r->table);
    nl_put_u32(o, LINUX_FRA_SUPPRESS_PREFIXLEN, ~0u);
    nl_put_u8(o, LINUX_FRA_PROTOCOL,
              r->priority == 0 || r->priority >= 32766 ? NS_RTPROT_KERNEL : NS_RTPROT_BOOT);
    if (r->priority)
        nl_put_u32(o, LINUX_FRA_PRIORITY, r->priority);
    if (r->mark || r->mark_mask)
        nl_put_u32(o, LINUX_FRA_FWMARK, r->mark);
    if (r->mark_mask)
        nl_put_u32(o, LINUX_FRA_FWMASK, r->mark_mask);
    put_name(o, LINUX_FRA_IIFNAME, ns, r->iif);
    put_name(o, LINUX_FRA_OIFNAME, ns, r->oif);
    if (r->dst_len)
        nl_put_ip(o, LINUX_FRA_DST, &r->dst);
    if (r->src_len)
        nl_put_ip(o, LINUX_FRA_SRC, &r->src);
    nl_end(o);
}

void rtnl_dump_rules(struct netns *ns, struct nl_out *o, uint16_t flags, int family) {
    struct ns_rule r;

    for (int pass = 0; pass < 2; pass++) {
        int want = pass == 0 ? LINUX_AF_INET : LINUX_AF_INET6;
        if (family && family != want)
            continue;
        for (size_t i = 0; netns_rule_at(ns, want, i, &r) == 0; i++)
            rtnl_fill_rule(o, LINUX_RTM_NEWRULE, flags, ns, &r);
    }
}

static int interface_of(struct netns *ns, const struct nl_attr *a, uint32_t *ret) {
    char name[NS_IFNAMSIZ];
    struct nic_info info;

    if (!a->data)
        return 0;
    int r = nl_name(a, name);
    struct nic *nic = r == 0 ? nic_by_name(ns, name) : NULL;
    if (!nic) /* Linux keeps a rule for an interface that may come; here it must be there */
        return r < 0 ? r : -ENODEV;
    nic_info(nic, &info);
    *ret = info.ifindex;
    return 0;
}

/* As Linux: in front of the first rule but that of the local table. */
static uint32_t free_priority(struct netns *ns, int family) {
    struct ns_rule r;

    if (netns_rule_at(ns, family, 1, &r) == 0 && r.priority > 0)
        return r.priority - 1;
    return FREE_PRIORITY;
}

int rtnl_rule(struct netlink_request *r) {
    struct nl_attr a[LAST + 1];
    struct linux_fib_rule_hdr m;
    struct netns *ns = r->net->netns;

    if (r->h.type == LINUX_RTM_GETRULE) {
        if (!rtnl_is_dump(r))
            return -EOPNOTSUPP;
        rtnl_dump_rules(ns, &r->out, LINUX_NLM_F_MULTI, r->payload[0]);
        r->dumped = true;
        return 0;
    }
    if (r->size < sizeof m)
        return -EINVAL;
    memcpy(&m, r->payload, sizeof m);
    if (m.family != LINUX_AF_INET && m.family != LINUX_AF_INET6)
        return -EAFNOSUPPORT;
    struct ns_rule rule = {
        .family = m.family, .table = m.table, .src_len = m.src_len, .dst_len = m.dst_len, .action = m.action};
    int result = nl_parse(r->payload + sizeof m, r->size - sizeof m, a, LAST);
    if (result == 0)
        result = nl_ip(&a[LINUX_FRA_DST], m.family, &rule.dst);
    if (result == 0)
        result = nl_ip(&a[LINUX_FRA_SRC], m.family, &rule.src);
    if (result == 0)
        result = interface_of(ns, &a[LINUX_FRA_IIFNAME], &rule.iif);
    if (result == 0)
        result = interface_of(ns, &a[LINUX_FRA_OIFNAME], &rule.oif);
    if (result < 0)
        return result;
    (void)nl_u32(&a[LINUX_FRA_TABLE], &rule.table);
    bool priority = nl_u32(&a[LINUX_FRA_PRIORITY], &rule.priority);
    if (nl_u32(&a[LINUX_FRA_FWMARK], &rule.mark))
        rule.mark_mask = ~0u;
    (void)nl_u32(&a[LINUX_FRA_FWMASK], &rule.mark_mask);
    if (r->h.type == LINUX_RTM_DELRULE)
        return netns_rule_del(ns, &rule);
    if (!rule.action)
        rule.action = NS_FR_ACT_TO_TBL;
    if (!priority)
        rule.priority = free_priority(ns, m.family);
    return netns_rule_add(ns, &rule);
}
