/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/netlink.h: AF_NETLINK: what a protocol behind it needs: requests, replies, multicast.
 * Source: netlink(7), RFC 3549.
 *
 * A request is handled in the sender's own thread before send(2) returns; its answers lie in the socket's
 * queue then. A dump is made whole, cut into datagrams of at most a page, since libc reads by the page.
 * Locks: the table of sockets is RANK_NETLINK, a socket's queue RANK_NETLINK_QUEUE; both may be taken with
 * network_config_lock() held.
 */
#pragma once

#include "base/abi/linux/netlink.h"
#include "sentry/kernel/net_ns.h"
#include "sentry/socket/socket.h"

struct netlink_socket;
struct netlink_batch;

/* ---- building messages ---- */

/* Messages one behind the other in heap memory. After a failure (no memory, too long) nothing is added any
 * more. */
struct nl_out {
    unsigned char *data;
    size_t len, cap;
    size_t start; /* of the message being made */
    uint32_t seq, pid;
    bool failed;
};
void nl_out_done(struct nl_out *o);
/* A header and its fixed part; attributes follow; nl_end() ends it. */
void nl_begin(struct nl_out *o, uint16_t type, uint16_t flags, const void *fixed, size_t size);
void nl_put(struct nl_out *o, uint16_t type, const void *data, size_t size);
void nl_put_u8(struct nl_out *o, uint16_t type, uint8_t v);
void nl_put_u16(struct nl_out *o, uint16_t type, uint16_t v);
void nl_put_u32(struct nl_out *o, uint16_t type, uint32_t v);
void nl_put_string(struct nl_out *o, uint16_t type, const char *s);
/* 4 bytes of an IPv4 address, 16 of an IPv6 one. */
void nl_put_ip(struct nl_out *o, uint16_t type, const struct ipa *ip);
size_t nl_nest(struct nl_out *o, uint16_t type);
void nl_nest_end(struct nl_out *o, size_t at);
/* Bytes as they are. */
void nl_raw(struct nl_out *o, const void *data, size_t size);
void nl_end(struct nl_out *o);

/* ---- reading attributes ---- */

struct nl_attr {
    const unsigned char *data; /* NULL: not there */
    size_t len;
};
/* Fills table[0..max] by type; those above are passed over; the last of a type counts. -EINVAL for a bad
 * length. */
int nl_parse(const unsigned char *data, size_t size, struct nl_attr *table, size_t max) must_check;
bool nl_u32(const struct nl_attr *a, uint32_t *ret); /* false: absent or too short */
/* An address of `family` (NS_AF_*): -EINVAL for another length; absent: any. */
int nl_ip(const struct nl_attr *a, int family, struct ipa *ret) must_check;
/* An interface name, NUL-terminated: -EINVAL if too long. */
int nl_name(const struct nl_attr *a, char name[NS_IFNAMSIZ]) must_check;

/* ---- protocols ---- */

struct netlink_request {
    struct netlink_socket *socket;
    struct task *task; /* OWN THREAD: for privileges and namespaces by descriptor */
    struct net_namespace *net;
    struct linux_nlmsghdr h;
    const unsigned char *payload; /* behind the header */
    size_t size;
    struct nl_out out;
    struct netlink_batch **batch; /* what the messages of one send(2) share; starts as NULL */
    bool dumped; /* the handler has made a dump: NLMSG_DONE follows instead of an acknowledgement */
};

struct netlink_protocol {
    int protocol;
    unsigned groups;      /* multicast groups: 1 .. groups */
    bool anybody_listens; /* joining a group takes no CAP_NET_ADMIN */
    /* One request (NLM_F_REQUEST): 0 or -errno, which is the acknowledgement. NULL: none is understood. May
     * block. */
    int (*handle)(struct netlink_request *r);
    /* Does: the send(2) is over and *r->batch is still there: ends it. Required where `handle` makes batches.
     */
    void (*abandon)(struct netlink_request *r);
    struct netlink_protocol *next;
};
void netlink_protocol_register(struct netlink_protocol *p); /* program start */

/* Made and ended with the kernel's network. */
int netlink_create(struct kernel *k) must_check;
void netlink_destroy(struct kernel *k);

/* Has anybody in this namespace joined one of the first 32 groups of `mask`? */
bool netlink_has_listeners(struct net_namespace *net, int protocol, uint32_t mask);
/* One datagram to every socket of the namespace that joined the group. Does not block. */
void netlink_multicast(struct net_namespace *net, int protocol, unsigned group, const void *data, size_t len);
/* For mq_notify(3): is `f` a netlink socket; and one datagram of plain bytes to it, from the kernel. Does not
 * block. */
struct file;
bool is_netlink_file(const struct file *f);
void netlink_deliver(struct file *f, const void *data, size_t len);
bool netlink_capable(struct netlink_request *r, int cap);

/* All netlink sockets of a namespace, for /proc/net/netlink and sock_diag. Called with RANK_NETLINK held. */
struct netlink_info {
    int protocol;
    uint32_t portid, groups, rqueue, drops;
    uint64_t inode;
};
void netlink_each(struct net_namespace *net, void (*fn)(void *ctx, const struct netlink_info *i), void *ctx);
