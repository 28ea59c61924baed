/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/sock_mcast.c: group memberships of sockets (any source). Source: ip(7), ipv6(7), RFC
 * 1112 7.1. Bound: net.ipv4.igmp_max_memberships (20), as Linux.
 */
#include <errno.h>

#include "netstack/stack/nsock.h"

enum { MEMBERSHIPS_MAX = 20 };

NETSTACK_TYPE(t_membership, struct membership);

static int choose_nic(struct nsock *s, const struct ipa *group, uint32_t ifindex, const struct ipa *by_addr,
                      struct nic **ret) {
    struct netns *ns = s->ns;
    struct rt rt;
    if (ifindex) {
        *ret = nic_find(ns, ifindex);
        return *ret ? 0 : -ENODEV;
    }
    if (by_addr && !ipa_is_any(by_addr)) {
        struct ifaddr *ia = ifaddr_find(ns, by_addr, NULL);
        *ret = ia ? ia->nic : NULL;
        return ia ? 0 : -ENODEV;
    }
    struct flow f = {.dst = *group, .src = ipa_is_v4(group) ? IPA_ANY4 : IPA_ANY6};
    if (route_output(ns, &f, &rt) < 0)
        return -ENODEV;
    *ret = rt.nic;
    return 0;
}

static struct membership *find(const struct nsock *s, const struct ipa *group, uint32_t ifindex) {
    struct membership *mb;
    list_for_each_entry(mb, &s->memberships, link) {
        if (ipa_eq(&mb->group, group) && (!ifindex || mb->ifindex == ifindex))
            return mb;
    }
    return NULL;
}

int mcast_join(struct nsock *s, const struct ipa *group, uint32_t ifindex, const struct ipa *by_addr) {
    struct nic *nic;
    int count = 0;
    if (!ipa_is_mcast(group))
        return -EINVAL;
    int rc = choose_nic(s, group, ifindex, by_addr, &nic);
    if (rc < 0)
        return rc;
    if (find(s, group, nic->ifindex))
        return -EADDRINUSE;
    for (struct list *l = s->memberships.next; l != &s->memberships; l = l->next)
        count++;
    if (count >= MEMBERSHIPS_MAX)
        return -ENOBUFS;
    struct membership *mb = nsmem_alloc(&s->ns->st->mem, &t_membership);
    if (!mb)
        return -ENOMEM;
    rc = nic_join(nic, group);
    if (rc < 0) {
        nsmem_free(&s->ns->st->mem, &t_membership, mb);
        return rc;
    }
    mb->group = *group;
    mb->ifindex = nic->ifindex;
    list_add_tail(&s->memberships, &mb->link);
    return 0;
}

static void drop(struct nsock *s, struct membership *mb) {
    struct nic *nic = nic_find(s->ns, mb->ifindex);
    if (nic)
        (void)nic_leave(nic, &mb->group);
    list_del(&mb->link);
    nsmem_free(&s->ns->st->mem, &t_membership, mb);
}

int mcast_leave(struct nsock *s, const struct ipa *group, uint32_t ifindex, const struct ipa *by_addr) {
    struct nic *nic;
    if (!ifindex && by_addr && !ipa_is_any(by_addr)) {
        int rc = choose_nic(s, group, 0, by_addr, &nic);
        if (rc < 0)
            return rc;
        ifindex = nic->ifindex;
    }
    struct membership *mb = find(s, group, ifindex);
    if (!mb)
        return -EADDRNOTAVAIL;
    drop(s, mb);
    return 0;
}

void mcast_drop_all(struct nsock *s) {
    while (!list_empty(&s->memberships))
        drop(s, list_first_entry(&s->memberships, struct membership, link));
}

/* IP_MULTICAST_ALL: a socket that joined nothing itself still hears what the host joined. */
bool mcast_wanted(const struct nsock *s, const struct ipa *group, uint32_t ifindex) {
    return find(s, group, ifindex) || (s->f.mcast_all && !find(s, group, 0));
}
