/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/net_ns.h: the sandbox's network: one TCP/IP stack (netstack/netstack.h) for the whole kernel,
 * and network namespaces as guests see them. Source: network_namespaces(7).
 *
 * The stack has ONE lock (RANK_NETSTACK), which the library takes inside each of its public functions; nobody
 * locks it from outside. The thread that reads a link just calls nic_input_batch(). Whoever looks up, adds,
 * changes or removes interfaces (nic_by_index(), nic_new(), nic_addr_add(), netns_route_add(), ...) holds
 * network_config_lock() over all of it, so that no nic it has found goes away meanwhile: Linux's RTNL.
 * Everything of the stack lies in the sentry's heap: one cache a type.
 *
 * Time: the stack's earliest deadline is armed as one ktimer; while nothing is pending none is armed, so an
 * idle sandbox does not wake up. A link's own thread needs no call to netstack_run(): input arms what it
 * needs.
 *
 * What happens on loopback and veth pairs happens in the sender's own thread, before its call returns.
 *
 * References: tasks (by nsproxy), files of nsfs, and inet, packet and netlink sockets hold a net_namespace;
 * it holds one reference on its library object. Locks: network.config_lock (RANK_NETWORK_CONFIG);
 * network.lock (RANK_NETWORK) protects the armed deadline alone.
 */
#pragma once

#include "base/mutex.h"
#include "base/ref.h"
#include "netstack/netstack.h"

struct creds;
struct kernel;
struct network;
struct task;
struct user_ns;

struct net_namespace {
    struct ref ref;
    struct user_ns *user_ns; /* reference: who may administrate it */
    uint64_t inode;
    struct kernel *kernel;
    struct netns *netns;                  /* the library's: one reference */
    _Atomic uint32_t ping_low, ping_high; /* net.ipv4.ping_group_range, as kernel gids; low > high: nobody */
};
DECLARE_REF(net_namespace);

/* A new one: "lo" (index 1), down, without addresses, as unshare(CLONE_NEWNET) gives. NULL: no memory. */
struct net_namespace *net_namespace_new(struct kernel *k, struct user_ns *user_ns);
/* Brings "lo" up with 127.0.0.1/8 and ::1/128, as `ip link set lo up` does. */
int net_namespace_loopback_up(struct net_namespace *ns) must_check;

/* The one in which every container of the sandbox starts (an OCI pod shares its network), made with the
 * kernel, its loopback up. Boot adds links, addresses and routes to it before the first process runs, or
 * later. Borrowed: lives as long as the kernel. */
struct net_namespace *net_namespace_initial(struct kernel *k);
/* May these credentials make ICMP echo sockets here? (icmp(7), ping_group_range) */
bool net_namespace_may_ping(const struct net_namespace *ns, const struct creds *c);
/* The task's own: borrowed, OWN THREAD. */
struct net_namespace *task_net_namespace(struct task *t);

static inline struct netns *net_namespace_netns(const struct net_namespace *ns) {
    return ns->netns;
}

/* ---- the stack ---- */

/* Made by kernel_create(), after the timer queue and the root user namespace. 0 or -ENOMEM. */
int network_create(struct kernel *k) must_check;
/* All namespaces but the initial one, and all sockets, have gone. */
void network_destroy(struct kernel *k);
struct netstack *network_stack(struct kernel *k);
/* RANK_NETWORK_CONFIG: over one change or one dump of the configuration. */
void network_config_lock(struct kernel *k);
void network_config_unlock(struct kernel *k);
