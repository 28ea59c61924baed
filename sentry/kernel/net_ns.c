/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/net_ns.c: network namespaces (net_ns.h).
 */
#include "sentry/kernel/net_ns.h"

#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"

HEAP_TYPE(net_namespace, struct net_namespace, 0);

static void net_namespace_destroy(struct net_namespace *ns) {
    netns_unref(ns->netns);
    user_ns_unref(ns->user_ns);
    heap_free(ns);
}
DEFINE_REF(net_namespace, net_namespace_destroy);

struct net_namespace *net_namespace_new(struct kernel *k, struct user_ns *user_ns) {
    struct net_namespace *ns = heap_new(net_namespace);

    if (!ns)
        return NULL;
    if (netns_new(network_stack(k), &ns->netns) < 0) {
        heap_free(ns);
        return NULL;
    }
    net_namespace_ref_init(ns);
    ns->kernel = k;
    ns->user_ns = user_ns_ref(user_ns);
    ns->inode = kernel_new_inode(k);
    atomic_init(&ns->ping_low, 1); /* Linux's default: nobody */
    atomic_init(&ns->ping_high, 0);
    return ns;
}

int net_namespace_loopback_up(struct net_namespace *ns) {
    network_config_lock(ns->kernel);
    struct nic *lo = nic_by_name(ns->netns, "lo");
    int r = lo ? nic_set_up(lo, true) : -ENODEV;
    network_config_unlock(ns->kernel);
    return r;
}

bool net_namespace_may_ping(const struct net_namespace *ns, const struct creds *c) {
    uint32_t low = atomic_load(&ns->ping_low), high = atomic_load(&ns->ping_high);
    bool in = c->egid >= low && c->egid <= high;

    for (size_t i = 0; !in && i < c->group_count; i++)
        in = c->groups[i] >= low && c->groups[i] <= high;
    return in;
}

struct net_namespace *task_net_namespace(struct task *t) {
    return t->nsproxy->net;
}
