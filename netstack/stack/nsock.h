/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/nsock.h: what all sockets share, and the operations that a protocol implements.
 *
 * A protocol embeds struct nsock first. The user's handle is one reference; the protocol takes more for a
 * connection that outlives close(). All of it is protected by netstack.lock.
 */
#pragma once

#include "base/hostref.h"
#include "netstack/stack/sock_filter.h"
#include "netstack/stack/stack_core.h"

struct nsock;

/* Every member: caller holds the stack's lock; may not block. "sock" is borrowed. */
struct nsock_ops {
    /* Does: gives a local address, checked by nsock_check_bind() and port allocation. Required. */
    int (*bind)(struct nsock *s, const struct ns_addr *a);
    /* Required. `a` may be NS_AF_UNSPEC to dissolve, where the protocol allows it. */
    int (*connect)(struct nsock *s, const struct ns_addr *a);
    /* Optional (absent: -EOPNOTSUPP). */
    int (*listen)(struct nsock *s, int backlog);
    int (*accept)(struct nsock *s, struct nsock **ret);
    /* Required. */
    ssize_t (*send)(struct nsock *s, struct ns_msg *m);
    ssize_t (*recv)(struct nsock *s, struct ns_msg *m);
    /* Does: is there a peer to name now? Optional (absent: when connected). */
    bool (*has_peer)(const struct nsock *s);
    /* Streams: nsock_send_pkt() and nsock_recv_pkt(); `consume` of what was read. Optional (absent: a
     * datagram protocol). */
    ssize_t (*send_pkt)(struct nsock *s, struct ns_msg *m, struct pkt *p);
    ssize_t (*recv_pkt)(struct nsock *s, struct ns_msg *m, size_t skip, size_t max, struct pkt **ret);
    void (*consume)(struct nsock *s, size_t n);
    /* Optional (absent: -EOPNOTSUPP). `how`: bit 0 receive, bit 1 send. */
    int (*shutdown)(struct nsock *s, int how);
    /* Does: the user let go: leave tables or start an orderly end. Required. */
    void (*close)(struct nsock *s);
    /* Does: the last reference went: release what the protocol holds; the base is freed by the caller.
     * Required. */
    void (*destroy)(struct nsock *s);
    /* Options of the protocol's own level. Optional (absent: -ENOPROTOOPT). */
    int (*setopt)(struct nsock *s, int level, int name, const void *val, size_t len);
    int (*getopt)(struct nsock *s, int level, int name, void *val, size_t *len);
    /* Does: adds protocol-made bits to what the generic part found. Required. */
    uint32_t (*ready)(struct nsock *s);
    /* Optional (absent: -EINVAL). */
    int (*inq)(struct nsock *s);
    int (*outq)(struct nsock *s);
    int (*unsent)(struct nsock *s);
    int (*at_mark)(struct nsock *s);
    const struct netstack_type *type;
};

struct nsock_flags {
    bool reuseaddr, reuseport, broadcast, keepalive, oobinline, dontroute, timestamp, timestampns, rxq_ovfl;
    bool v6only, recverr, recverr6, pktinfo, recvttl, recvtos, freebind, hdrincl, mcast_loop, mcast_all,
        bind_no_port;
    bool linger_on;
};

/* One holder of a local port. */
struct bind_node {
    struct list link;         /* bind_entry.nodes */
    struct bind_entry *entry; /* NULL: not bound */
    struct ipa addr;
    uint32_t ifindex;
    bool v6only, reuseaddr, reuseport, listening, by_connect;
};

/* A multicast membership made by a socket. */
struct membership {
    struct list link;
    struct ipa group;
    uint32_t ifindex;
};

struct err_entry {
    struct list link;
    struct pkt *payload;
    struct ns_cmsg info;
    struct ns_addr name; /* where the failed packet went */
};

struct nsock {
    const struct nsock_ops *ops;
    struct netns *ns;
    void *user;
    const struct nsock_watch_ops *watch; /* instead of `user` */
    struct hostref watcher;              /* host.ptr: its ctx */
    uint32_t refs;
    bool weak_ns; /* an orphan: it does not keep the namespace */
    uint16_t family;
    uint8_t type, protocol;

    struct ipa laddr, raddr;
    uint16_t lport, rport;
    uint32_t scope_id; /* of a link-local peer */
    uint32_t bound_if;
    bool bound_addr; /* laddr was asked for */
    bool connected;
    struct bind_node bind;
    struct nsock_flags f;
    uint8_t shut; /* bit 0: receive, bit 1: send */
    int err;      /* SO_ERROR, positive */
    uint32_t rcvbuf, sndbuf, rcvlowat;
    bool rcvbuf_locked, sndbuf_locked; /* set by the user: no auto-tuning */
    uint32_t linger_s;
    int ttl, mcast_ttl; /* -1: default */
    uint8_t tos;
    uint8_t pmtudisc;
    uint32_t priority, mark, mcast_if;
    uint32_t uid, gid; /* who made it (nsock_set_owner); UINT32_MAX: nobody */
    struct ipa mcast_src;

    struct list rxq; /* pkt.link */
    uint32_t rx_mem;
    uint32_t rx_dropped;
    struct bpf_insn *filter; /* SO_ATTACH_FILTER: filter_count instructions, or NULL */
    uint16_t filter_count;
    bool filter_locked;
    uint32_t kept; /* options without effect here: sockopt_kept.c */
    uint32_t busy_poll;
    int incoming_cpu; /* plus one */
    bool txrehash_off, origdst;
    uint64_t cookie; /* SO_COOKIE: a number of its own */
    uint32_t zerocopy_next;
    int64_t last_stamp; /* realtime ns of the last datagram read */
    struct list errq;   /* err_entry.link */
    uint32_t err_mem;
    struct list memberships;

    struct list notify_link;
    uint32_t notify_events;
    struct hnode hnode; /* UDP: netns.udp_socks */
    struct list link;   /* raw, ping, packet: the namespace's list */

    struct rt rt; /* cached route of a connected socket */
    uint32_t rt_gen;
    bool rt_valid;
};

/* ---- sock.c ---- */
void nsock_init(struct nsock *s, struct netns *ns, const struct nsock_ops *ops, int family, int type,
                int protocol);
void nsock_get(struct nsock *s);
void nsock_put(struct nsock *s);
/* Marks readiness for delivery after unlock. */
void nsock_wake(struct nsock *s, uint32_t events);
void nsock_set_error(struct nsock *s, int err);
/* SO_ERROR's value as a negative errno, and clears it. */
int nsock_take_error(struct nsock *s);
/* Family, scope and address checks that bind() and connect() share. Normalises any-addresses of the family.
 */
int nsock_check_addr(const struct nsock *s, const struct ns_addr *a);
int nsock_check_bind(const struct nsock *s, const struct ns_addr *a, uint32_t *ret_ifindex);
void nsock_fill_addr(const struct nsock *s, struct ns_addr *ret, const struct ipa *ip, uint16_t port,
                     uint32_t scope);
/* Does this socket accept packets to/from these (its addresses, interface and family)? -1: no; else a score.
 */
int nsock_match(const struct nsock *s, const struct ipa *local, const struct ipa *remote, uint16_t rport,
                uint32_t ifindex);
/* Route for a datagram or connection to dst with this socket's options. */
int nsock_route(struct nsock *s, const struct ipa *dst, const struct ipa *src, uint32_t oif, struct rt *ret);
/* TTL, TOS, DF and the like from the options. */
void nsock_fill_tx(const struct nsock *s, struct ip_tx *tx);
/* SO_ATTACH_FILTER: how much of a packet it wants, from `start` on; 0: nothing. */
static inline uint32_t nsock_filter(const struct nsock *s, const struct pkt *p, uint32_t start) {
    return likely(!s->filter) ? UINT32_MAX : filter_run(s->filter, s->filter_count, p, start);
}
/* Queues a received packet; false (and freed) if the buffer is full. Takes p. */
bool nsock_queue(struct nsock *s, struct pkt *p);
/* recv() of datagrams: copies out, fills name and ancillary data. */
ssize_t nsock_recv_dgram(struct nsock *s, struct ns_msg *m);
uint32_t nsock_ready_dgram(struct nsock *s);
size_t ns_iov_len(const struct ns_msg *m);
/* Copies from the caller's vector at `skip` into a packet's end. -ENOMEM. */
int ns_iov_to_pkt(const struct ns_msg *m, size_t skip, uint32_t len, struct pkt *p);
/* Copies `len` bytes of p from `off` to the vector at `skip`. */
uint32_t pkt_to_iov(const struct pkt *p, uint32_t off, struct ns_msg *m, size_t skip, uint32_t len);
void nsock_purge_rx(struct nsock *s);

/* ---- sock_errq.c ---- */
void errq_add(struct nsock *s, const struct icmp_err *e, uint32_t skip, uint16_t dport);
void errq_add_local(struct nsock *s, int err, uint32_t info, const struct ipa *dst, uint16_t dport);
ssize_t errq_recv(struct nsock *s, struct ns_msg *m);
void errq_purge(struct nsock *s);

/* ---- sock_mcast.c ---- */
int mcast_join(struct nsock *s, const struct ipa *group, uint32_t ifindex, const struct ipa *by_addr);
int mcast_leave(struct nsock *s, const struct ipa *group, uint32_t ifindex, const struct ipa *by_addr);
void mcast_drop_all(struct nsock *s);
bool mcast_wanted(const struct nsock *s, const struct ipa *group, uint32_t ifindex);

/* ---- sockopt.c ---- */
int sockopt_set(struct nsock *s, int level, int name, const void *val, size_t len);
int sockopt_get(struct nsock *s, int level, int name, void *val, size_t *len);
/* sockopt_kept.c: -ENOPROTOOPT for what is not theirs. */
enum { KEPT_TRANSPARENT = 11 };
int kept_set(struct nsock *s, int level, int name, const void *val, size_t len);
int kept_set_socket(struct nsock *s, int name, int v);
int kept_get(struct nsock *s, int level, int name, void *val, size_t *len);
int opt_get_int(const void *val, size_t len, int *ret);
int opt_put(void *val, size_t *len, const void *data, size_t n);
int opt_put_int(void *val, size_t *len, int v);

/* ---- ports.c ---- */
enum port_proto { PORTS_TCP = 0, PORTS_UDP = 1 };
/* Binds to a port, or to a free one if 0. -EADDRINUSE, -ENOMEM. */
int port_bind(struct netns *ns, enum port_proto proto, struct bind_node *n, uint16_t port,
              uint16_t *ret_port);
/* A port for an outgoing connection: free, or shared with other connections for which `unique` says yes. */
int port_connect(struct netns *ns, enum port_proto proto, struct bind_node *n, uint64_t offset,
                 bool (*unique)(void *ctx, uint16_t port), void *ctx, uint16_t *ret_port);
/* Joins the port of another holder without a conflict check: accepted connections. */
int port_share(struct netns *ns, enum port_proto proto, struct bind_node *n, uint16_t port);
void port_release(struct netns *ns, enum port_proto proto, struct bind_node *n);
bool port_conflict(const struct bind_node *a, const struct bind_node *b, enum port_proto proto);
uint16_t port_of(const struct bind_node *n);
/* May a listener start now? Re-checks conflicts with `listening` set. */
bool port_may_listen(const struct bind_node *n, enum port_proto proto);

/* ---- constructors ---- */
int udp_new(struct netns *ns, int family, struct nsock **ret);
int tcp_new(struct netns *ns, int family, struct nsock **ret);
int raw_new(struct netns *ns, int family, int protocol, struct nsock **ret);
int ping_new(struct netns *ns, int family, struct nsock **ret);
struct ns_sock_info;
void packet_fill_info(const struct nsock *s, struct ns_sock_info *i);
int packet_new(struct netns *ns, int type, int protocol, struct nsock **ret);
