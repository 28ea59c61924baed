/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/rtnl_addr.c: addresses: RTM_*ADDR. Source: rtnetlink(7), ip-address(8).
 */
#include <errno.h>
#include <string.h>

#include "sentry/socket/netlink/rtnetlink.h"

struct cacheinfo { /* struct ifa_cacheinfo */
    uint32_t preferred, valid, cstamp, tstamp;
};

static int family_of(const struct ipa *ip) {
    return ipa_is_v4(ip) ? LINUX_AF_INET : LINUX_AF_INET6;
}

void rtnl_fill_addr(struct nl_out *o, uint16_t type, uint16_t flags, const struct nic_info *nic,
                    const struct nic_addr *a) {
    bool v4 = ipa_is_v4(&a->addr), peer = !ipa_is_any(&a->peer);
    uint32_t shown = a->flags | (a->valid_s == UINT32_MAX ? NS_IFA_F_PERMANENT : 0);
    struct linux_ifaddrmsg m = {.family = (uint8_t)family_of(&a->addr),
                                .prefix_len = a->prefix_len,
                                .flags = (uint8_t)shown,
                                .scope = a->scope,
                                .index = nic->ifindex};
    struct cacheinfo c = {.preferred = a->preferred_s, .valid = a->valid_s};

    nl_begin(o, type, flags, &m, sizeof m);
    nl_put_ip(o, LINUX_IFA_ADDRESS, peer ? &a->peer : &a->addr);
    if (v4 || peer)
        nl_put_ip(o, LINUX_IFA_LOCAL, &a->addr);
    if (v4 && !ipa_is_any(&a->broadcast))
        nl_put_ip(o, LINUX_IFA_BROADCAST, &a->broadcast);
    if (v4)
        nl_put_string(o, LINUX_IFA_LABEL, nic->name);
    nl_put_u32(o, LINUX_IFA_FLAGS, shown);
    nl_put(o, LINUX_IFA_CACHEINFO, &c, sizeof c);
    nl_end(o);
}

void rtnl_dump_addrs(struct netns *ns, struct nl_out *o, uint16_t flags, int family) {
    struct nic_info info;
    struct nic_addr a;

    for (int pass = 0; pass < 2; pass++) { /* IPv4's first, as Linux */
        int want = pass == 0 ? LINUX_AF_INET : LINUX_AF_INET6;
        if (family && family != want)
            continue;
        for (struct nic *nic = nic_next(ns, 0); nic; nic = nic_next(ns, info.ifindex)) {
            nic_info(nic, &info);
            for (size_t i = 0; nic_addr_at(nic, i, &a) == 0; i++) {
                if (family_of(&a.addr) == want)
                    rtnl_fill_addr(o, LINUX_RTM_NEWADDR, flags, &info, &a);
            }
        }
    }
}

static int parse(struct netlink_request *r, struct linux_ifaddrmsg *m, struct nic_addr *ret) {
    struct nl_attr a[LINUX_IFA_FLAGS + 1];
    struct ipa address;

    if (r->size < sizeof *m)
        return -EINVAL;
    memcpy(m, r->payload, sizeof *m);
    if (m->family != LINUX_AF_INET && m->family != LINUX_AF_INET6)
        return -EAFNOSUPPORT;
    int result = nl_parse(r->payload + sizeof *m, r->size - sizeof *m, a, LINUX_IFA_FLAGS);
    *ret = (struct nic_addr){.prefix_len = m->prefix_len,
                             .scope = m->scope,
                             .flags = m->flags,
                             .valid_s = UINT32_MAX,
                             .preferred_s = UINT32_MAX};
    if (result == 0)
        result = nl_ip(&a[LINUX_IFA_ADDRESS], m->family, &address);
    if (result == 0)
        result = nl_ip(&a[LINUX_IFA_LOCAL], m->family, &ret->addr);
    if (result == 0)
        result = nl_ip(&a[LINUX_IFA_BROADCAST], m->family, &ret->broadcast);
    if (result < 0)
        return result;
    if (!a[LINUX_IFA_LOCAL].data)
        ret->addr = address;
    else if (a[LINUX_IFA_ADDRESS].data && !ipa_eq(&address, &ret->addr))
        ret->peer = address;
    if (!a[LINUX_IFA_LOCAL].data && !a[LINUX_IFA_ADDRESS].data)
        return -EINVAL;
    if (m->prefix_len > ipa_max_prefix(&ret->addr))
        return -EINVAL;
    (void)nl_u32(&a[LINUX_IFA_FLAGS], &ret->flags);
    if (a[LINUX_IFA_CACHEINFO].data) {
        struct cacheinfo c;
        if (a[LINUX_IFA_CACHEINFO].len < sizeof c)
            return -EINVAL;
        memcpy(&c, a[LINUX_IFA_CACHEINFO].data, sizeof c);
        if (c.valid == 0 || c.preferred > c.valid)
            return -EINVAL;
        ret->valid_s = c.valid;
        ret->preferred_s = c.preferred;
    }
    return 0;
}

static int add(struct netlink_request *r, struct nic *nic, const struct nic_addr *a) {
    int result = nic_addr_add(nic, a);

    if (result != -EEXIST || !(r->h.flags & LINUX_NLM_F_REPLACE))
        return result;
    result = nic_addr_del(nic, &a->addr, a->prefix_len);
    return result < 0 ? result : nic_addr_add(nic, a);
}

int rtnl_addr(struct netlink_request *r) {
    struct linux_ifaddrmsg m;
    struct nic_addr a;

    if (r->h.type == LINUX_RTM_GETADDR) {
        if (!rtnl_is_dump(r))
            return -EOPNOTSUPP;
        rtnl_dump_addrs(r->net->netns, &r->out, LINUX_NLM_F_MULTI, r->payload[0]);
        r->dumped = true;
        return 0;
    }
    int result = parse(r, &m, &a);
    if (result < 0)
        return result;
    struct nic *nic = nic_by_index(r->net->netns, m.index);
    if (!nic)
        return -ENODEV;
    return r->h.type == LINUX_RTM_NEWADDR ? add(r, nic, &a) : nic_addr_del(nic, &a.addr, a.prefix_len);
}
