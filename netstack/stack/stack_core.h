/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/stack_core.h: what the library's own files share: stack, namespace, interface, route,
 * neighbour.
 *
 * Everything here is protected by netstack.lock. Functions without a word about locks are called with it
 * held. References: a socket holds its namespace; a namespace holds its stack's list entry; an interface
 * belongs to its namespace and is never held across calls but by index.
 */
#pragma once

#include "base/list.h"
#include "base/mutex.h"
#include "netstack/netstack.h"
#include "netstack/stack/htab.h"
#include "netstack/stack/ntimer.h"
#include "netstack/stack/siphash.h"

#define MSEC(n) ((int64_t)(n)*1000000)
#define SEC(n)  ((int64_t)(n)*1000000000)

enum { IPV4_MIN_MTU_LIMIT = 68 };

struct nf;
struct nsock;

struct netstack {
    struct mutex lock;
    struct nsmem mem;
    const struct netstack_host_ops *host;
    void *host_ctx;
    struct siphash_key secret;

    uint64_t next_cookie;
    int64_t now; /* of this entry */
    struct ntimer *timers;
    int64_t told_deadline;
    struct list backlog; /* pkt.link: packets between interfaces of this stack */
    uint32_t backlog_len;
    struct list notify; /* nsock.notify_link */
    struct list namespaces;
    struct list dead; /* netns.st_link: to be destroyed on the way out */
};

struct ratelimit {
    int64_t last;
    uint32_t tokens;
};

struct port_table {
    struct htab by_port; /* struct bind_entry */
};

struct pmtu_cache {
    struct htab tab;
    struct list lru;
    uint32_t count;
};

struct netns {
    uint32_t refs;
    struct nf *nf;       /* NULL: no chain is hooked, and packets pass at the cost of this test */
    struct nf *nf_state; /* rules and connections; NULL: never had any */
    struct netstack *st;
    struct list st_link;
    struct netns_sysctl ctl;
    struct netns_mib mib;

    struct list nics; /* nic.ns_link, by ifindex */
    uint32_t next_ifindex;
    struct nic *lo;

    struct list tables;      /* fib_table.link */
    struct list rules;       /* fib_rule.link, by priority, both families */
    uint32_t route_gen;      /* any change of routes, addresses, interfaces, path MTUs */
    struct htab local_addrs; /* ifaddr.hnode */
    struct htab neighs;
    struct list neigh_lru;
    struct pmtu_cache pmtu;
    struct htab frags; /* reassembly */
    struct list frags_age;
    uint32_t frag_bytes;
    uint16_t ip_id;
    uint32_t frag6_id;

    struct port_table ports[2]; /* TCP, UDP */
    struct htab udp_socks;      /* by local port */
    struct htab tcp_conns;      /* struct tcp_ep by 4-tuple */
    struct htab tcp_listeners;  /* by local port */
    struct list raw_socks;
    struct list ping_socks;
    struct list packet_socks;
    struct list tcp_all; /* every tcp_sock: for dumps and teardown */
    struct list tcp_tws;
    uint32_t tcp_tw_count, tcp_orphans;
    uint32_t port_hint;
    struct siphash_key tcp_secret, tfo_key;
    struct ratelimit icmp_limit, challenge_limit;
};

struct ifaddr {
    struct hnode hnode; /* netns.local_addrs */
    struct list link;   /* nic.addrs */
    struct nic *nic;
    struct nic_addr a;
    int64_t valid_until, preferred_until; /* NETSTACK_NEVER */
    struct ntimer timer;                  /* duplicate detection, then lifetimes */
    uint8_t dad_left;
    bool temporary_route; /* made by address autoconfiguration */
};

/* A multicast group that the interface is in, and its state towards routers (RFC 3376 section 5, RFC 3810).
 */
struct nic_group {
    struct list link;
    struct nic *nic;
    struct ipa group;
    uint32_t users;
    uint8_t reports_left;
    bool last_reporter;
    struct ntimer timer;
};

struct bridge;
struct bridge_port;

struct nic {
    struct netstack *st;
    struct netns *ns;
    struct list ns_link;
    const struct link_ops *ops;
    void *link;
    uint32_t ifindex;
    char name[NS_IFNAMSIZ], kind[NS_IFNAMSIZ];
    uint16_t arphrd;
    uint32_t flags, mtu, offloads, gso_max, txqlen;
    struct mac mac;
    struct nic_stats stats;
    struct list addrs;  /* ifaddr.link, in order of addition */
    struct list groups; /* nic_group.link */
    const struct nic_tap_ops *tap;
    void *tap_ctx;
    struct bridge *bridge;    /* this interface is that bridge */
    struct bridge_port *port; /* this interface is a port */
    struct nic *veth_peer;
    uint32_t promisc_users;
    /* IPv6 host state (RFC 4861 section 6.3.2) */
    struct ntimer rs_timer;
    uint8_t rs_left;
    uint8_t hop_limit; /* 0: default */
    uint32_t reachable_ms, retrans_ms;
    bool accept_ra;
    uint8_t igmp_version;
    int64_t igmp_v2_until, mld_v1_until;
};

/* ---- stack.c ---- */
static inline void stack_assert_locked(const struct netstack *st) {
    mutex_assert_held(&st->lock);
}
/* Lock, read the clock; and: work off the backlog, unlock, deliver notifications. */
void stack_enter(struct netstack *st) ACQUIRES(&st->lock);
void stack_leave(struct netstack *st) RELEASES(&st->lock);
/* Queues a packet as if received by `nic`; takes it. Drops when the backlog is full. */
void stack_backlog(struct nic *nic, struct pkt *p);
/* Removes what is queued for an interface that goes away. */
void stack_backlog_purge(struct nic *nic);
uint32_t stack_random32(struct netstack *st);
/* Uniform in [0, n), n > 0. */
uint32_t stack_random_below(struct netstack *st, uint32_t n);
uint32_t stack_hash(const struct netstack *st, const void *data, size_t len);
bool ratelimit_ok(struct netstack *st, struct ratelimit *r, int64_t interval_ns, uint32_t burst);

/* ---- netns.c ---- */
void netns_get_locked(struct netns *ns);
void netns_put_locked(struct netns *ns);
/* Destroys namespaces whose last reference went. */
void netns_reap(struct netstack *st);

/* ---- nic.c ---- */
struct nic *nic_find(struct netns *ns, uint32_t ifindex);
/* Sends a packet that has its link header; segments and sums in software what the link cannot. Takes it. */
int nic_xmit(struct nic *nic, struct pkt *p);
/* One received packet, all the way up. Takes it. */
void nic_receive(struct nic *nic, struct pkt *p);
int nic_new_locked(struct netns *ns, const struct nic_config *c, struct nic **ret);
void nic_destroy(struct nic *nic);
int nic_set_up_locked(struct nic *nic, bool up);
static inline bool nic_is_up(const struct nic *nic) {
    return nic->flags & NS_IFF_UP;
}

/* ---- gso.c ---- */
/* Cuts a super-segment (from its IP header, at p->net_off, on) into packets of gso_size on `out`. Takes p. */
int gso_segment(struct pkt *p, struct list *out);

/* ---- gro.c ---- */
struct gro_state {
    struct pkt *held;
};
/* Merges p into what is held or passes packets up to nic_receive(). Takes p. */
void gro_receive(struct nic *nic, struct gro_state *g, struct pkt *p);
void gro_flush(struct nic *nic, struct gro_state *g);

/* ---- ifaddr.c ---- */
int ifaddr_add(struct nic *nic, const struct nic_addr *a, struct ifaddr **ret);
int ifaddr_del(struct nic *nic, const struct ipa *addr, unsigned prefix_len);
void ifaddr_flush(struct nic *nic);
/* The entry of an address that is ours (tentative ones too); `nic` NULL: on any interface. */
struct ifaddr *ifaddr_find(struct netns *ns, const struct ipa *addr, const struct nic *nic);
bool ifaddr_is_local(struct netns *ns, const struct ipa *addr);
bool ifaddr_is_subnet_bcast(struct nic *nic, const struct ipa *addr);
/* Source address for `dst` leaving by `nic` (RFC 6724 section 5; first matching subnet for IPv4). */
bool ifaddr_select(struct netns *ns, struct nic *nic, const struct ipa *dst, struct ipa *ret);
int nic_join(struct nic *nic, const struct ipa *group);
int nic_leave(struct nic *nic, const struct ipa *group);
bool nic_in_group(const struct nic *nic, const struct ipa *group);
void ifaddr_dad_failed(struct ifaddr *ia);
/* Called when the interface came up: link-local address, duplicate detection, router solicitation. */
void ifaddr_link_up(struct nic *nic);

/* ---- route.c ---- */
struct flow {
    struct ipa dst, src; /* src any: choose */
    uint32_t oif, iif, mark;
    uint8_t tos;
    bool onlink; /* SO_DONTROUTE */
};
struct rt {
    uint8_t type; /* NS_RTN_UNICAST, _LOCAL, _BROADCAST, _MULTICAST */
    struct nic *nic;
    struct ipa nexthop, src;
    uint32_t mtu, advmss;
};
/* -ENETUNREACH, -EHOSTUNREACH, -EACCES (prohibit), -EINVAL (blackhole). */
int route_output(struct netns *ns, const struct flow *f, struct rt *ret);
/* For forwarding: unicast routes only, no source choice. */
int route_forward(struct netns *ns, const struct flow *f, struct rt *ret);
int route_add_locked(struct netns *ns, const struct ns_route *r);
int route_del_locked(struct netns *ns, const struct ns_route *r);
void route_flush_nic(struct nic *nic);
void route_init(struct netns *ns);
void route_done(struct netns *ns);
/* Path MTU learnt from ICMP or by probing; valid for ten minutes (RFC 1191 section 6.3). */
void pmtu_update(struct netns *ns, const struct ipa *dst, uint32_t mtu);
uint32_t pmtu_get(struct netns *ns, const struct ipa *dst, uint32_t link_mtu);

/* ---- neigh.c ---- */
/* Sends an IP packet to a next hop on a link, resolving it first. Takes the packet. */
int neigh_output(struct nic *nic, const struct ipa *nexthop, struct pkt *p);
/* Evidence from above that the next hop gets our packets (RFC 4861 section 7.3.1). */
void neigh_confirm(struct nic *nic, const struct ipa *addr);
enum neigh_event { NEIGH_SEEN, NEIGH_SOLICITED, NEIGH_UNSOLICITED_OVERRIDE, NEIGH_UNSOLICITED };
/* A mapping learnt from ARP or NDP. `create`: also if unknown so far. */
void neigh_learn(struct nic *nic, const struct ipa *addr, const struct mac *mac, enum neigh_event ev,
                 bool create);
/* Tells the origin of p (IP header at p->net_off), local or not, that its next hop cannot be reached.
 * Borrows. */
void neigh_unreachable(struct nic *nic, struct pkt *p);
void neigh_flush_nic(struct nic *nic);
void neigh_done(struct netns *ns);
/* Sends ARP requests or neighbour solicitations. `to` NULL: broadcast or solicited-node group. */
void arp_solicit(struct nic *nic, const struct ipa *target, const struct mac *to);
void ndp_solicit(struct nic *nic, const struct ipa *target, const struct mac *to, const struct ipa *src);

/* ---- network/ ---- */
struct ip_tx {
    struct rt rt;
    struct ipa src, dst;
    uint8_t proto, ttl, tos;
    bool df;       /* set DF and refuse what does not fit */
    bool may_frag; /* fragment here if need be */
    bool loop_mcast;
    uint32_t flow_label;
    const struct nsock *sk; /* the sender, for rules that ask; NULL: the stack itself */
};
/* Prepends the IP header and sends; the packet starts with its transport header. Takes it.
 * -EMSGSIZE (path MTU noted), -ENOBUFS, -ENOMEM. */
int ip_output(struct netns *ns, struct pkt *p, const struct ip_tx *tx);
/* Sends a packet that already has its IPv4 or IPv6 header at the front (raw, forwarding, NAT). Takes it. */
int ip_send_built(struct netns *ns, struct pkt *p, const struct rt *rt);

void arp_input(struct nic *nic, struct pkt *p);
void ipv4_input(struct nic *nic, struct pkt *p);
void ipv6_input(struct nic *nic, struct pkt *p);
/* Upper-layer dispatch once the headers up to p->trans_off are done; fields src, dst, proto, ttl, tos are
 * set. */
void ip_deliver(struct nic *nic, struct pkt *p);
/* Returns the whole packet when it is complete, else NULL. Takes p. */
struct pkt *ipfrag_input(struct nic *nic, struct pkt *p, uint32_t id, uint32_t offset, bool more);
void ipfrag_done(struct netns *ns);
int ipv4_fragment(struct netns *ns, struct pkt *p, const struct rt *rt);
int ipv6_fragment(struct netns *ns, struct pkt *p, const struct rt *rt);

void icmp4_input(struct nic *nic, struct pkt *p);
void icmp6_input(struct nic *nic, struct pkt *p);
void igmp_input(struct nic *nic, struct pkt *p);
void mld_input(struct nic *nic, struct pkt *p, const uint8_t *body, uint32_t len);
void group_joined(struct nic_group *g);
void group_left(struct nic_group *g);
extern const struct ntimer_ops group_timer_ops;
/* Sends an error about p (whose IP header is at p->net_off), if the rules allow one. Borrows p. */
void icmp4_error(struct nic *nic, struct pkt *p, uint8_t type, uint8_t code, uint32_t info);
void icmp6_error(struct nic *nic, struct pkt *p, uint8_t type, uint8_t code, uint32_t info);
/* The same by the packet's family: port or protocol unreachable, administratively prohibited. */
void icmp_port_unreachable(struct nic *nic, struct pkt *p);
void ndp_input(struct nic *nic, struct pkt *p, uint8_t type, const uint8_t *body, uint32_t len);
void ndp_dad_probe(struct ifaddr *ia);
void ndp_send_rs(struct nic *nic);
void ndp_announce(struct ifaddr *ia);
extern const struct ntimer_ops rs_timer_ops;
/* Checksums an ICMPv6, IGMP-less upper message in place and sends it from `src` (any: chosen) out of nic. */
int icmp6_send(struct nic *nic, const struct ipa *src, const struct ipa *dst, struct pkt *p, uint8_t hops,
               const struct mac *to);

/* An ICMP error that reached us, for the transport that it is about. */
struct icmp_err {
    int err;      /* positive errno */
    bool fatal;   /* hard error (RFC 1122 section 4.2.3.9) */
    uint32_t mtu; /* > 0: packet too big */
    uint8_t origin, type, code;
    struct ipa offender;
    struct ipa src, dst; /* of the quoted packet: ours, the peer's */
    uint8_t proto;
    const uint8_t *quoted; /* transport header as quoted */
    uint32_t quoted_len;
};
void udp_icmp_error(struct netns *ns, const struct icmp_err *e);
void tcp_icmp_error(struct netns *ns, const struct icmp_err *e);
void raw_icmp_error(struct netns *ns, const struct icmp_err *e);
void icmp_deliver_error(struct netns *ns, const struct icmp_err *e);

/* ---- transport/ ---- */
void udp_input(struct nic *nic, struct pkt *p);
void tcp_input(struct nic *nic, struct pkt *p);
/* True if some raw socket got a copy. */
bool raw_input(struct nic *nic, struct pkt *p);
bool ping_input(struct nic *nic, struct pkt *p, uint16_t id);
void packet_input(struct nic *nic, struct pkt *p, uint8_t type);
void tcp_netns_done(struct netns *ns);

/* ---- link/ ---- */
int loopback_new(struct netns *ns);
/* True if the bridge took the packet. */
bool bridge_input(struct nic *port_nic, struct pkt *p);
void bridge_detach_port(struct nic *nic);
/* Index of the bridge that `nic` is a port of; 0: none. */
uint32_t bridge_master_index(const struct nic *nic);
