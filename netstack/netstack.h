/* SPDX-License-Identifier: Apache-2.0
 * netstack/netstack.h: the public face of the TCP/IP stack library.
 *
 * A `struct netstack` holds network namespaces (`struct netns`), which hold interfaces, addresses, routes,
 * neighbours and sockets. The library makes no host call, has no globals and never sleeps: clock, random
 * numbers, memory and wake-ups come from its creator. Packets enter by nic_input() and leave by link_ops.
 *
 * Locking: one lock per stack (RANK_NETSTACK), taken inside every function here unless its contract says
 * "holds the lock". Callbacks marked "locked" run with it held and must not call back in; socket_notify and
 * deadline_changed run after it is released.
 *
 * Time: nanoseconds of the creator's monotonic clock. The creator calls netstack_run() no later than
 * netstack_next_deadline() says.
 *
 * Errors: negative errno, as Linux gives for the same call.
 */
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include "netstack/buffer/nsmem.h"
#include "netstack/buffer/pkt.h"
#include "netstack/netstack_abi.h"
#include "netstack/wire/ipaddr.h"
#include "netstack/wire/wire_ether.h"

struct netstack;
struct netns;
struct nic;
struct nsock;

#define NETSTACK_NEVER INT64_MAX

struct netstack_host_ops {
    /* Does: monotonic time in ns, never going back. Locked. May block: no. Required. */
    int64_t (*now_ns)(void *ctx);
    /* Does: wall clock in ns, for packet time stamps. Locked. May block: no. Required. */
    int64_t (*realtime_ns)(void *ctx);
    /* Does: fills `buf` with unpredictable bytes. Locked. May block: no. Required. */
    void (*random)(void *ctx, void *buf, size_t len);
    /* Does: takes a reference on the socket's user object, so that it outlives the coming socket_notify().
     * Locked; atomics only. Returns false if the object is already ending. Optional (absent: always true). */
    bool (*socket_hold)(void *ctx, void *user);
    /* Does: tells that readiness `events` (NS_POLL*) came up on the socket of `user`, then drops the
     * reference of socket_hold(). Caller holds: nothing of the stack. May block: no. Required. */
    void (*socket_notify)(void *ctx, void *user, uint32_t events);
    /* Does: tells that netstack_next_deadline() became earlier. Caller holds: nothing of the stack. Optional.
     */
    void (*deadline_changed)(void *ctx, int64_t deadline_ns);
};

struct netstack_config {
    const struct netstack_host_ops *host;
    void *host_ctx;
    const struct netstack_alloc_ops *alloc;
    void *alloc_ctx;
};

/* Does: makes an empty stack. Returns: -ENOMEM. The caller owns it until netstack_free(). */
must_check int netstack_new(const struct netstack_config *config, struct netstack **ret);
/* Does: frees the stack, all namespaces and interfaces. All sockets must have been closed by their users. */
void netstack_free(struct netstack *st);
/* Does: when netstack_run() must be called next; NETSTACK_NEVER if nothing is pending. */
int64_t netstack_next_deadline(struct netstack *st);
/* Does: fires due timers and works off queued packets. */
void netstack_run(struct netstack *st);

/* ---- namespaces ---- */

/* Does: makes a namespace with a loopback interface "lo" (index 1), down. Returns: -ENOMEM; a new reference.
 */
must_check int netns_new(struct netstack *st, struct netns **ret);
struct netns *netns_ref(struct netns *ns);
/* Does: drops a reference; the last one takes interfaces, routes and neighbours down. Takes NULL; returns
 * NULL. */
struct netns *netns_unref(struct netns *ns);

/* The knobs of /proc/sys/net that the library honours; names as there. Defaults are Linux's. */
struct netns_sysctl {
    bool ip_forward, ip6_forwarding;
    int ip_default_ttl, ip6_hop_limit;
    uint16_t port_min, port_max;
    uint16_t unprivileged_port_start;
    bool icmp_echo_ignore_all, icmp_echo_ignore_broadcasts;
    int icmp_ratelimit_ms;
    bool tcp_sack, tcp_timestamps, tcp_window_scaling, tcp_syncookies, tcp_slow_start_after_idle;
    bool tcp_moderate_rcvbuf, tcp_mtu_probing, tcp_dsack;
    int tcp_ecn;      /* 0 off, 1 ask and answer, 2 answer only */
    int tcp_fastopen; /* bit 0 client, bit 1 server */
    int tcp_syn_retries, tcp_synack_retries, tcp_retries1, tcp_retries2, tcp_orphan_retries;
    int tcp_fin_timeout_s, tcp_keepalive_time_s, tcp_keepalive_intvl_s, tcp_keepalive_probes;
    uint32_t tcp_max_syn_backlog, somaxconn, tcp_max_tw_buckets, tcp_max_orphans;
    uint32_t tcp_rmem[3], tcp_wmem[3];
    uint32_t rmem_default, rmem_max, wmem_default, wmem_max;
    uint32_t tcp_challenge_ack_limit;
    bool tcp_tw_reuse, tcp_abort_on_overflow, tcp_rfc1337, tcp_no_metrics_save;
    char tcp_congestion_control[16];
    uint32_t neigh_gc_thresh3;
    uint32_t ipfrag_high_thresh;
    int ipfrag_time_s;
};
/* Does: copies the knobs out, or sets them after a range check (-EINVAL). */
void netns_sysctl_get(struct netns *ns, struct netns_sysctl *ret);
must_check int netns_sysctl_set(struct netns *ns, const struct netns_sysctl *knobs);

/* Counters of /proc/net/snmp, netstat and snmp6, in host order. */
struct netns_mib {
    uint64_t ip_in, ip_in_hdr_errors, ip_in_addr_errors, ip_in_unknown_proto, ip_in_discards, ip_in_delivers;
    uint64_t ip_forwarded, ip_out, ip_out_no_route, ip_out_discards;
    uint64_t ip_reasm_reqds, ip_reasm_oks, ip_reasm_fails, ip_reasm_timeout, ip_frag_oks, ip_frag_fails,
        ip_frag_creates;
    uint64_t icmp_in, icmp_in_errors, icmp_in_csum_errors, icmp_out, icmp_ratelimited;
    uint64_t udp_in, udp_no_ports, udp_in_errors, udp_out, udp_rcvbuf_errors, udp_sndbuf_errors,
        udp_csum_errors;
    uint64_t tcp_active_opens, tcp_passive_opens, tcp_attempt_fails, tcp_estab_resets, tcp_in_segs,
        tcp_out_segs;
    uint64_t tcp_retrans_segs, tcp_in_errs, tcp_out_rsts, tcp_csum_errors;
    uint64_t tcp_listen_overflows, tcp_syncookies_sent, tcp_syncookies_recv, tcp_syncookies_failed;
    uint64_t tcp_timeouts, tcp_loss_probes, tcp_fast_retrans, tcp_slow_start_retrans, tcp_sack_reneging;
    uint64_t tcp_dsack_recv, tcp_dsack_sent, tcp_paws_drops, tcp_challenge_acks, tcp_ofo_queued,
        tcp_ofo_pruned;
    uint64_t tcp_rcv_pruned, tcp_abort_on_timeout, tcp_keepalives, tcp_delayed_acks, tcp_spurious_rtos,
        tcp_tw;
    uint64_t tcp_zero_window_probes, tcp_backlog_drops, tcp_fastopen_active, tcp_fastopen_passive;
};
void netns_mib_get(struct netns *ns, struct netns_mib *ret);

/* ---- interfaces ---- */

struct nic_stats {
    uint64_t rx_packets, rx_bytes, rx_errors, rx_dropped, tx_packets, tx_bytes, tx_errors, tx_dropped;
};

struct link_ops {
    /* Does: sends one packet, link header included. Locked. May block: no. Takes the packet on every path.
     * Returns: 0, -ENOBUFS when a queue was full, -ENETDOWN. Required. */
    int (*xmit)(struct nic *nic, struct pkt *p);
    /* Does: releases link state; the interface is going. Locked. Optional (absent: nothing to release). */
    void (*detach)(struct nic *nic);
    /* Does: the up flag changed. Locked. Optional (absent: nothing to do). */
    void (*set_up)(struct nic *nic, bool up);
};

/* What a link can do by itself. NIC_QUIET: there is one other end, which shares no addresses with us, sends
 * no router advertisements and keeps no account of groups: nothing is said to it unasked (duplicate address
 * detection, router solicitations, IGMP and MLD reports). */
enum { NIC_TX_CSUM = 1, NIC_TSO = 2, NIC_RX_CSUM_OK = 4, NIC_USO = 8, NIC_QUIET = 16 };

struct nic_config {
    const char *name; /* "" : pick "eth%d" */
    const char *kind; /* as `ip -d link` shows: "veth", "bridge", "" */
    uint16_t arphrd;  /* NS_ARPHRD_* */
    struct mac mac;
    uint32_t mtu;
    uint32_t offloads; /* NIC_* */
    uint32_t gso_max;  /* largest super-segment it takes, link header excluded; 0: none */
    uint32_t txqlen;
    const struct link_ops *ops;
    void *link; /* link state, in allocator memory or static; for ops only */
};

/* Does: adds an interface, down. Returns: -EEXIST for a taken name, -EINVAL, -ENOMEM; owned by the namespace.
 */
must_check int nic_new(struct netns *ns, const struct nic_config *config, struct nic **ret);
/* Does: removes it with its addresses, routes and neighbours. -EOPNOTSUPP for "lo". */
must_check int nic_remove(struct nic *nic);
/* Does: borrowed look-ups, valid until nic_remove(); NULL if there is none. */
struct nic *nic_by_index(struct netns *ns, uint32_t ifindex);
struct nic *nic_by_name(struct netns *ns, const char *name);
/* The interface with the smallest index above `after`; NULL at the end. */
struct nic *nic_next(struct netns *ns, uint32_t after);

struct nic_info {
    uint32_t ifindex, mtu, flags /* NS_IFF_* */, txqlen, offloads, gso_max, master;
    uint32_t peer_ifindex; /* veth */
    uint16_t arphrd;
    struct mac mac;
    char name[NS_IFNAMSIZ], kind[NS_IFNAMSIZ];
    struct nic_stats stats;
};
void nic_info(struct nic *nic, struct nic_info *ret);
must_check int nic_set_up(struct nic *nic, bool up);
must_check int nic_set_mtu(struct nic *nic, uint32_t mtu);
must_check int nic_set_mac(struct nic *nic, const struct mac *mac);
must_check int nic_set_txqlen(struct nic *nic, uint32_t len);
must_check int nic_set_name(struct nic *nic, const char *name);
/* Sets and clears NS_IFF_PROMISC, _ALLMULTI, _MULTICAST, _NOARP. */
must_check int nic_set_flags(struct nic *nic, uint32_t set, uint32_t clear);

/* Does: hands a received packet in, link header first. Takes it. Call netstack_run() is not needed. */
void nic_input(struct nic *nic, struct pkt *p);
/* The same for an array: one lock, GRO across the batch. Takes all. */
void nic_input_batch(struct nic *nic, struct pkt **pkts, size_t n);
/* Does: an empty packet for nic_input(), or NULL. Locks by itself. */
struct pkt *netstack_pkt_new(struct netstack *st, uint32_t room);
struct pkt *netstack_pkt_copy(struct netstack *st, const void *data, uint32_t len);
void netstack_pkt_free(struct netstack *st, struct pkt *p);
void *nic_link(struct nic *nic);
struct netstack *nic_stack(struct nic *nic);

struct nic_addr {
    struct ipa addr;
    struct ipa broadcast; /* any: none */
    struct ipa peer;      /* any: none */
    uint8_t prefix_len;
    uint8_t scope;                 /* NS_RT_SCOPE_* */
    uint32_t flags;                /* NS_IFA_F_* */
    uint32_t valid_s, preferred_s; /* UINT32_MAX: for ever */
};
/* Does: adds an address with its prefix and local routes; IPv6 starts duplicate detection unless NODAD.
 * Returns: -EEXIST, -EINVAL, -ENOMEM. */
must_check int nic_addr_add(struct nic *nic, const struct nic_addr *a);
/* -EADDRNOTAVAIL if it is not there. */
must_check int nic_addr_del(struct nic *nic, const struct ipa *addr, unsigned prefix_len);
/* Does: copies the `i`th address out. -ENOENT past the end. */
must_check int nic_addr_at(struct nic *nic, size_t i, struct nic_addr *ret);

/* The `i`th multicast group that the interface is in. -ENOENT past the end. */
must_check int nic_group_at(struct nic *nic, size_t i, struct ipa *ret_group, uint32_t *ret_users);

/* ---- links of the library ---- */

/* Two ends, in the same or different namespaces of one stack. Names as in nic_config. */
must_check int veth_new(struct netns *a, const char *name_a, struct netns *b, const char *name_b,
                        struct nic **ret_a, struct nic **ret_b);
must_check int bridge_new(struct netns *ns, const char *name, struct nic **ret);
/* `bridge` NULL: out of its bridge. Both in one namespace, else -EINVAL; -EBUSY if in another bridge. */
must_check int bridge_set_port(struct nic *bridge, struct nic *port);

/* An interface that swallows what it is given. */
must_check int dummy_new(struct netns *ns, const char *name, struct nic **ret);
/* Moves an interface to another namespace of its stack, down and without addresses, routes and neighbours, as
 * `ip link set netns` does. It keeps its number if that is free there. `name` NULL: keeps its name. -EEXIST,
 * -EINVAL for "lo". */
must_check int nic_move(struct nic *nic, struct netns *to, const char *name);

/* A tap on everything that an interface sends and receives, e.g. for a pcap file. Locked; borrows the packet.
 */
typedef void (*nic_tap_fn)(void *ctx, const struct pkt *p, bool outgoing);
struct nic_tap_ops {
    nic_tap_fn packet;
};
void nic_set_tap(struct nic *nic, const struct nic_tap_ops *ops, void *ctx);

/* ---- routes, rules, neighbours ---- */

struct ns_nexthop {
    struct ipa gateway; /* any: on link */
    uint32_t ifindex;
};

struct ns_route {
    struct ipa dst;
    uint8_t prefix_len;
    uint8_t tos;
    uint32_t table; /* NS_RT_TABLE_*; 0: main */
    uint8_t type;   /* NS_RTN_* */
    uint8_t scope, protocol;
    uint32_t metric;
    struct ipa prefsrc;   /* any: none */
    uint32_t mtu, advmss; /* 0: none */
    struct ns_nexthop nexthop;
};
/* Returns: -EEXIST, -ENETUNREACH for an unreachable gateway, -ENODEV, -EINVAL, -ENOMEM. */
must_check int netns_route_add(struct netns *ns, const struct ns_route *r);
/* The first route that matches dst, prefix, table and every non-zero field. -ESRCH. */
must_check int netns_route_del(struct netns *ns, const struct ns_route *r);
/* Does: copies the `i`th route of a family (NS_AF_*) out. -ENOENT past the end. */
must_check int netns_route_at(struct netns *ns, int family, size_t i, struct ns_route *ret);

/* What a packet to `dst` would do now: the route as `ip route get` shows it. */
struct ns_route_query {
    struct ipa dst, src; /* src any: choose */
    uint32_t mark, oif, iif;
    uint8_t tos;
};
struct ns_route_answer {
    uint8_t type;
    uint32_t ifindex, mtu;
    struct ipa gateway /* any: on link */, src;
};
must_check int netns_route_get(struct netns *ns, const struct ns_route_query *q, struct ns_route_answer *ret);

struct ns_rule {
    uint32_t priority, table;
    struct ipa src, dst;
    uint8_t src_len, dst_len;
    uint32_t mark, mark_mask, iif, oif;
    uint8_t family; /* NS_AF_* */
    uint8_t action; /* NS_FR_ACT_* */
};
must_check int netns_rule_add(struct netns *ns, const struct ns_rule *r);
must_check int netns_rule_del(struct netns *ns, const struct ns_rule *r);
must_check int netns_rule_at(struct netns *ns, int family, size_t i, struct ns_rule *ret);

struct ns_neigh {
    struct ipa addr;
    uint32_t ifindex;
    struct mac mac;
    uint16_t state; /* NS_NUD_* */
};
must_check int netns_neigh_set(struct netns *ns, const struct ns_neigh *n);
must_check int netns_neigh_del(struct netns *ns, uint32_t ifindex, const struct ipa *addr);
must_check int netns_neigh_at(struct netns *ns, size_t i, struct ns_neigh *ret);

/* ---- sockets ---- */

struct ns_addr {
    uint16_t family;   /* NS_AF_INET, NS_AF_INET6, NS_AF_PACKET, NS_AF_UNSPEC */
    uint16_t port;     /* host order */
    struct ipa ip;     /* IPv4 mapped */
    uint32_t scope_id; /* IPv6: interface of a link-local address */
    uint32_t flowinfo;
    /* NS_AF_PACKET */
    uint32_t ifindex;
    uint16_t ethertype, arphrd;
    uint8_t pkttype, mac_len;
    struct mac mac;
};

struct ns_iov {
    void *base;
    size_t len;
};

/* Ancillary data, decoded. `have` says which members count (NS_CMSG_*). */
struct ns_auxdata { /* PACKET_AUXDATA */
    uint32_t status, len, snaplen;
    uint16_t net; /* where the network header begins */
};

struct ns_cmsg {
    uint32_t have;
    uint32_t ifindex;      /* PKTINFO: in: of arrival; out: to leave by */
    struct ipa local, dst; /* PKTINFO: spec_dst / source to use; header destination */
    uint16_t dport;        /* ORIGDST: with `dst`, where the packet was sent to */
    int ttl, tos;
    int64_t realtime_ns;
    uint16_t gso_size;
    uint32_t mark, rxq_ovfl;
    struct ns_auxdata aux;
    /* MSG_ERRQUEUE */
    uint32_t ee_errno, ee_info, ee_data;
    uint8_t ee_origin, ee_type, ee_code;
    struct ns_addr offender;
};

struct ns_msg {
    struct ns_iov *iov; /* memory of the caller's own, never guest memory */
    size_t iov_count;
    uint32_t flags; /* in: NS_MSG_*; out: NS_MSG_TRUNC, _CTRUNC, _ERRQUEUE */
    bool has_name;  /* send: `name` is the destination; recv: it was filled in */
    struct ns_addr name;
    struct ns_cmsg cmsg;
};

/* Does: makes a socket. Returns: -EAFNOSUPPORT, -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, -ENOMEM; the caller owns
 * it until nsock_close(). Privilege for raw and packet sockets is the caller's to check. Holds a namespace
 * reference. */
must_check int nsock_new(struct netns *ns, int family, int type, int protocol, void *user,
                         struct nsock **ret);
/* Does: closes: orderly, by abort (linger 0, unread data), or with a linger time, which the caller waits for
 * itself by NS_POLLHUP before it calls this. No notification comes after it returns. */
void nsock_close(struct nsock *s);
must_check int nsock_bind(struct nsock *s, const struct ns_addr *a);
/* -EINPROGRESS when a handshake began: writable or in error later, then nsock_connect() again tells the end
 * of it. */
must_check int nsock_connect(struct nsock *s, const struct ns_addr *a);
must_check int nsock_listen(struct nsock *s, int backlog);
/* -EAGAIN when none is waiting. The new socket's user object is set by nsock_set_user(); events before that
 * are not told, so look at nsock_ready() afterwards. The caller owns it. */
must_check int nsock_accept(struct nsock *s, struct nsock **ret, struct ns_addr *ret_peer);
void nsock_set_user(struct nsock *s, void *user);
/* Who made the socket, for packet rules (iptables' owner match, nft's skuid). */
void nsock_set_owner(struct nsock *s, uint32_t uid, uint32_t gid);
/* Instead of socket_notify(): for sockets that the creator's own threads use beside those of its users. */
struct nsock_watch_ops {
    /* Does: tells that readiness came up. Caller holds: nothing of the stack. May block: no. Required. */
    void (*ready)(void *ctx, uint32_t events);
};
/* Does: has `ready` called from now on. `ctx` is no memory of the allocator's; it must outlive the stack. */
void nsock_watch(struct nsock *s, const struct nsock_watch_ops *ops, void *ctx);
/* Never waits. Bytes moved, or a negative errno; -EAGAIN when the caller would have to wait. */
must_check ssize_t nsock_send(struct nsock *s, struct ns_msg *m);
must_check ssize_t nsock_recv(struct nsock *s, struct ns_msg *m);
/* The same without a copy under the lock, for callers whose bytes are elsewhere (guest memory).
 * A packet of `len` <= NETSTACK_FILL_MAX bytes for the caller to fill, where netstack_pkt_pieces() says.
 * NULL: no memory. End: nsock_send_pkt() or netstack_pkt_free(). */
enum { NETSTACK_FILL_MAX = 131072 };
struct pkt *netstack_pkt_fill(struct netstack *st, uint32_t len);
/* A stream only. Sends from the front of *p by sharing its bytes, and cuts off what was taken; all taken:
 * freed, *p becomes NULL. Else as nsock_send(), m without iov. */
must_check ssize_t nsock_send_pkt(struct nsock *s, struct ns_msg *m, struct pkt **p);
/* What nsock_recv() would copy, handed out as a packet that shares the bytes. A stream: at most `max` bytes,
 * behind the first `skip`, nothing is consumed, 0 and NULL at the end. Others: one whole datagram, taken off
 * the queue unless NS_MSG_PEEK; its full length is returned. m as for nsock_recv(), without iov; not for
 * NS_MSG_OOB and NS_MSG_ERRQUEUE. The bytes are where netstack_pkt_pieces() says. */
must_check ssize_t nsock_recv_pkt(struct nsock *s, struct ns_msg *m, size_t skip, size_t max,
                                  struct pkt **ret);
/* Ends it: frees the packet (may be NULL); of a stream, drops `consume` bytes at the front. */
void nsock_recv_done(struct nsock *s, struct pkt *p, size_t consume);
/* Where up to `len` bytes from offset `off` lie, in at most `max` pieces; returns how many pieces. Fewer
 * bytes than asked for: call again further on. The owner may call it without the lock. */
size_t netstack_pkt_pieces(const struct pkt *p, size_t off, size_t len, struct iovec *ret, size_t max);
must_check int nsock_shutdown(struct nsock *s, int how);
/* Rings of packet sockets (packet(7), PACKET_RX_RING and PACKET_TX_RING as `name`), whose memory is the
 * creator's. check: is the request (struct tpacket_req, or tpacket_req3) fine? Its bytes in *ret_size, 0: the
 * ring is to be taken away. -EINVAL, -EBUSY (there is one), -ENOMEM, -ENOPROTOOPT (no packet socket). */
must_check int nsock_ring_check(struct nsock *s, int name, const void *val, size_t len, size_t *ret_size);
/* The same, and does it. `memory`: so many zeroed bytes, borrowed until the ring is taken away or
 * nsock_close() returns; its other users may change them at any time. */
must_check int nsock_ring_set(struct nsock *s, int name, const void *val, size_t len, void *memory);
/* -ENOPROTOOPT for unknown options. `len` in: room, out: length. */
must_check int nsock_setopt(struct nsock *s, int level, int name, const void *val, size_t len);
must_check int nsock_getopt(struct nsock *s, int level, int name, void *val, size_t *len);
/* MSG_ZEROCOPY: numbers one more call and tells on the error queue that it is done, its bytes copied (no
 * memory: not told). */
void nsock_zerocopy_done(struct nsock *s);
/* SO_ATTACH_FILTER: `count` instructions as struct sock_filter, copied; 0 instructions: SO_DETACH_FILTER
 * (-ENOENT if there is none). -EINVAL, -EPERM when locked (SO_LOCK_FILTER), -ENOMEM. */
struct bpf_insn;
must_check int nsock_set_filter(struct nsock *s, const struct bpf_insn *insns, size_t count);
/* SO_GET_FILTER: copies at most `max` instructions; how many there are. */
int nsock_lock_filter(struct nsock *s, bool on); /* SO_LOCK_FILTER: -EPERM to take it off again */
bool nsock_filter_locked(struct nsock *s);
size_t nsock_get_filter(struct nsock *s, struct bpf_insn *to, size_t max);
/* NS_POLL* that hold now. */
uint32_t nsock_ready(struct nsock *s);
must_check int nsock_local(struct nsock *s, struct ns_addr *ret);
must_check int nsock_peer(struct nsock *s, struct ns_addr *ret);
/* One socket, for listings. `user` is NULL for what has no open file (half-open, orphaned, TIME-WAIT). */
struct ns_sock_info {
    uint16_t family;
    uint8_t type, protocol, state; /* NS_TCP_*, also of datagram sockets: established when connected */
    uint8_t shut, timer /* as in /proc/net/tcp */, retrans, probes;
    bool v6only;
    struct ipa local, remote;
    uint16_t lport, rport, ethertype;
    uint32_t ifindex, mark, rqueue, wqueue, rcvbuf, sndbuf, drops, timer_ms, cwnd;
    uint64_t cookie;
    const struct nsock *sock; /* NULL: half-open, TIME-WAIT; valid while the callback runs */
};
enum ns_sock_table { NS_SOCKS_TCP, NS_SOCKS_UDP, NS_SOCKS_RAW, NS_SOCKS_PING, NS_SOCKS_PACKET };
/* Locked: may not call back in. A user object lives while it runs. */
typedef void (*ns_sock_fn)(void *ctx, const struct ns_sock_info *info, void *user);
/* TCP_INFO and the name of the congestion control of what ns_sock_fn was just told of; from within it. False:
 * it has none. */
bool ns_sock_tcp_info(const struct ns_sock_info *info, struct ns_tcp_info *ret, char name[16]);
void netns_sock_each(struct netns *ns, enum ns_sock_table table, ns_sock_fn fn, void *ctx);
/* Bytes that can be read (SIOCINQ) and that are not yet acknowledged or sent (SIOCOUTQ). -EINVAL on a
 * listener. */
must_check int nsock_inq(struct nsock *s);
must_check int nsock_outq(struct nsock *s);
/* SIOCOUTQNSD: bytes not sent yet; SIOCATMARK: is the next byte the urgent one? -EINVAL but on TCP, and on a
 * listener. */
must_check int nsock_outq_unsent(struct nsock *s);
must_check int nsock_at_mark(struct nsock *s);
/* SIOCGSTAMP: wall clock of the last datagram read, in ns; 0: none. */
int64_t nsock_last_stamp(struct nsock *s);
