/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/inet/inet.h: open sockets that are served by the TCP/IP stack: AF_INET, AF_INET6 and
 * AF_PACKET. Source: ip(7), ipv6(7), tcp(7), udp(7), raw(7), packet(7).
 *
 * An inet_socket is the file; the library's nsock is the socket. The stack's lock protects the latter; the
 * former has nothing of its own that changes but the generic options (socket.h). Wake-ups come through
 * inet_notify(), after the stack's lock is dropped, in whatever thread made them happen: a sender, the timer
 * thread, a link's reader.
 */
#pragma once

#include "sentry/kernel/net_ns.h"
#include "sentry/kernel/waitq.h"
#include "sentry/socket/socket.h"

struct inet_socket {
    struct socket socket;      /* first */
    struct ref alive;          /* the open file, and notifications on their way to it */
    struct nsock *nsock;       /* owned; set before the file is visible */
    struct net_namespace *net; /* reference */
    struct waitq queue;        /* poll(2)'s events */
    struct mutex read_lock; /* RANK_SOCKET: one reader of a stream at a time, over its copy to guest memory */
    _Atomic int peek_offset;      /* SO_PEEK_OFF; -1: none */
    int timestamp_type;           /* which of the SO_TIMESTAMP options was set: the type of its messages */
    struct ring_memory *rings[2]; /* read_lock; a packet socket's, receiving and sending, or NULL */
    bool zerocopy;                /* SO_ZEROCOPY: MSG_ZEROCOPY sends are told done (by copy) */
};

static inline struct inet_socket *inet_of(struct socket *s) {
    return container_of(s, struct inet_socket, socket);
}

/* Whose it is, for listings: uid as `viewer` sees it, inode number. May be called with the stack's lock held.
 */
void inet_owner(void *user, struct user_ns *viewer, uint32_t *ret_uid, uint32_t *ret_inode);
/* The stack's socket_hold() and socket_notify(): `user` is an inet_socket. The first may be called with the
 * stack's lock held. */
bool inet_notify_hold(void *user);
void inet_notify(void *user, uint32_t events);
