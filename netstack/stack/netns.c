/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/netns.c: network namespaces: creation, teardown, knobs and counters.
 * Defaults are those of Linux 6.1's documentation of /proc/sys/net (ip-sysctl).
 */
#include <errno.h>
#include <stdio.h>

#include "netstack/filter/nf_internal.h"
#include "netstack/stack/nsock.h"
#include "netstack/stack/stack_core.h"

NETSTACK_TYPE(t_netns, struct netns);

static const struct netns_sysctl defaults = {
    .ip_default_ttl = 64,
    .ip6_hop_limit = 64,
    .port_min = 32768,
    .port_max = 60999,
    .unprivileged_port_start = 1024,
    .icmp_echo_ignore_broadcasts = true,
    .icmp_ratelimit_ms = 1000,
    .tcp_sack = true,
    .tcp_timestamps = true,
    .tcp_window_scaling = true,
    .tcp_syncookies = true,
    .tcp_slow_start_after_idle = true,
    .tcp_moderate_rcvbuf = true,
    .tcp_dsack = true,
    .tcp_ecn = 2,
    .tcp_fastopen = 1,
    .tcp_syn_retries = 6,
    .tcp_synack_retries = 5,
    .tcp_retries1 = 3,
    .tcp_retries2 = 15,
    .tcp_fin_timeout_s = 60,
    .tcp_keepalive_time_s = 7200,
    .tcp_keepalive_intvl_s = 75,
    .tcp_keepalive_probes = 9,
    .tcp_max_syn_backlog = 4096,
    .somaxconn = 4096,
    .tcp_max_tw_buckets = 65536,
    .tcp_max_orphans = 65536,
    .tcp_rmem = {4096, 131072, 6291456},
    .tcp_wmem = {4096, 16384, 4194304},
    .rmem_default = 212992,
    .rmem_max = 212992,
    .wmem_default = 212992,
    .wmem_max = 212992,
    .tcp_challenge_ack_limit = 1000,
    .tcp_congestion_control = "cubic",
    .neigh_gc_thresh3 = 1024,
    .ipfrag_high_thresh = 4 << 20,
    .ipfrag_time_s = 30,
};

static void init_lists(struct netns *ns) {
    list_init(&ns->nics);
    list_init(&ns->tables);
    list_init(&ns->rules);
    list_init(&ns->neigh_lru);
    list_init(&ns->pmtu.lru);
    list_init(&ns->frags_age);
    list_init(&ns->raw_socks);
    list_init(&ns->ping_socks);
    list_init(&ns->packet_socks);
    list_init(&ns->tcp_all);
    list_init(&ns->tcp_tws);
}

static void netns_destroy(struct netns *ns) {
    struct netstack *st = ns->st;
    tcp_netns_done(ns);
    while (!list_empty(&ns->nics)) {
        struct nic *n = list_last_entry(&ns->nics, struct nic, ns_link);
        struct nic *peer = n->veth_peer;
        nic_destroy(n);
        if (peer)
            nic_destroy(peer);
    }
    nf_done(ns);
    ipfrag_done(ns);
    neigh_done(ns);
    route_done(ns);
    htab_done(&st->mem, &ns->local_addrs);
    for (int i = 0; i < 2; i++)
        htab_done(&st->mem, &ns->ports[i].by_port);
    htab_done(&st->mem, &ns->udp_socks);
    htab_done(&st->mem, &ns->tcp_conns);
    htab_done(&st->mem, &ns->tcp_listeners);
    list_del(&ns->st_link);
    nsmem_free(&st->mem, &t_netns, ns);
}

int netns_new(struct netstack *st, struct netns **ret) {
    stack_enter(st);
    struct netns *ns = nsmem_alloc(&st->mem, &t_netns);
    int rc = -ENOMEM;
    if (ns) {
        ns->refs = 1;
        ns->st = st;
        ns->ctl = defaults;
        ns->next_ifindex = 1;
        init_lists(ns);
        list_add_tail(&st->namespaces, &ns->st_link);
        st->host->random(st->host_ctx, &ns->tcp_secret, sizeof(ns->tcp_secret));
        st->host->random(st->host_ctx, &ns->tfo_key, sizeof(ns->tfo_key));
        ns->ip_id = (uint16_t)stack_random32(st);
        ns->frag6_id = stack_random32(st);
        route_init(ns);
        rc = loopback_new(ns);
        if (rc < 0)
            netns_destroy(ns);
        else
            *ret = ns;
    }
    stack_leave(st);
    return rc;
}

struct netns *netns_ref(struct netns *ns) {
    stack_enter(ns->st);
    netns_get_locked(ns);
    stack_leave(ns->st);
    return ns;
}

void netns_get_locked(struct netns *ns) {
    ASSERT(ns->refs > 0);
    ns->refs++;
}

void netns_put_locked(struct netns *ns) {
    ASSERT(ns->refs > 0);
    if (--ns->refs > 0)
        return;
    list_del(&ns->st_link);
    list_add_tail(&ns->st->dead, &ns->st_link); /* callers up the stack may still look at it */
}

void netns_reap(struct netstack *st) {
    while (!list_empty(&st->dead))
        netns_destroy(list_first_entry(&st->dead, struct netns, st_link));
}

struct netns *netns_unref(struct netns *ns) {
    if (ns) {
        struct netstack *st = ns->st;
        stack_enter(st);
        netns_put_locked(ns);
        stack_leave(st);
    }
    return NULL;
}

void netns_sysctl_get(struct netns *ns, struct netns_sysctl *ret) {
    mutex_lock(&ns->st->lock);
    *ret = ns->ctl;
    mutex_unlock(&ns->st->lock);
}

static bool mem_triple_ok(const uint32_t m[3]) {
    return m[0] > 0 && m[1] > 0 && m[2] > 0 && m[0] <= 1u << 30 && m[1] <= 1u << 30 && m[2] <= 1u << 30;
}

static bool sysctl_ok(const struct netns_sysctl *k) {
    return k->ip_default_ttl >= 1 && k->ip_default_ttl <= 255 && k->ip6_hop_limit >= 0 &&
           k->ip6_hop_limit <= 255 && k->port_min >= 1 && k->port_min <= k->port_max &&
           k->icmp_ratelimit_ms >= 0 && k->tcp_ecn >= 0 && k->tcp_ecn <= 2 && k->tcp_syn_retries >= 1 &&
           k->tcp_syn_retries <= 127 && k->tcp_synack_retries >= 0 && k->tcp_synack_retries <= 127 &&
           k->tcp_retries2 >= 0 && k->tcp_retries2 <= 255 && k->tcp_fin_timeout_s >= 0 &&
           k->tcp_keepalive_time_s > 0 && k->tcp_keepalive_time_s <= 32767 && k->tcp_keepalive_intvl_s > 0 &&
           k->tcp_keepalive_intvl_s <= 32767 && k->tcp_keepalive_probes > 0 &&
           k->tcp_keepalive_probes <= 127 && mem_triple_ok(k->tcp_rmem) && mem_triple_ok(k->tcp_wmem);
}

int netns_sysctl_set(struct netns *ns, const struct netns_sysctl *knobs) {
    if (!sysctl_ok(knobs))
        return -EINVAL;
    mutex_lock(&ns->st->lock);
    ns->ctl = *knobs;
    mutex_unlock(&ns->st->lock);
    return 0;
}

void netns_mib_get(struct netns *ns, struct netns_mib *ret) {
    mutex_lock(&ns->st->lock);
    *ret = ns->mib;
    mutex_unlock(&ns->st->lock);
}
