/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/inet/inet_internal.h: what the files of this folder share.
 */
#pragma once

#include "sentry/socket/inet/inet.h"

enum {
    CAP_NET_BIND_SERVICE_NR = 10,
    CAP_NET_ADMIN_NR = 12,
    CAP_NET_RAW_NR = 13,
};

/* A new file for a library socket, which it takes (also on failure). 0, -ENOMEM. */
int inet_socket_new(struct task *t, struct net_namespace *net, struct nsock *n, int family, int type,
                    int protocol, uint32_t flags, struct inet_socket **ret) must_check;
/* Does t have `cap` over the socket's namespace? OWN THREAD. */
void inet_peek_moved(struct inet_socket *s, int by);
bool inet_capable(const struct inet_socket *s, struct task *t, int cap);

/* ---- inet_addr.c ---- */

/* Guest form to the library's, checked as bind(2) and connect(2) of Linux do for this socket. `bind` differs
 * from connect in what AF_UNSPEC means. */
int inet_address_in(const struct inet_socket *s, const struct socket_address *a, bool bind,
                    struct ns_addr *ret) must_check;
/* The same for sendto(2) on datagram and raw sockets: 1 if there is no destination in it (AF_UNSPEC). */
int inet_destination_in(const struct inet_socket *s, const struct socket_address *a,
                        struct ns_addr *ret) must_check;
void inet_address_out(const struct ns_addr *a, struct socket_address *ret);

/* ---- inet_io.c, inet_cmsg.c, inet_opt.c, inet_ioctl.c: socket_ops ---- */

ssize_t inet_op_send(struct socket *s, struct task *t, struct socket_message *m);
ssize_t inet_op_recv(struct socket *s, struct task *t, struct socket_message *m);
int inet_op_control_in(struct socket *s, struct task *t, struct socket_message *m,
                       const struct linux_cmsghdr *h, const void *data, size_t size);
int inet_op_control_out(struct socket *s, struct task *t, struct socket_message *m, struct control_out *o);
int inet_op_set_option(struct socket *s, struct task *t, int level, int name, const void *value,
                       uint32_t len);
int inet_op_get_option(struct socket *s, struct task *t, int level, int name, void *value, uint32_t *len);
int inet_op_set_large(struct socket *s, struct task *t, int level, int name, gva_t value, uint32_t len);
int inet_op_get_large(struct socket *s, struct task *t, int level, int name, gva_t value, gva_t len_at);
int64_t inet_op_ioctl(struct socket *s, struct task *t, uint32_t cmd, uint64_t arg);

/* ---- inet_packet.c ---- */

struct mmap_request;
struct mappable;
/* mmap(2) of a socket: -ENODEV unless it is a packet socket. */
int inet_packet_mmap(struct inet_socket *s, const struct mmap_request *request, struct mappable **ret);
/* PACKET_RX_RING and PACKET_TX_RING. */
int inet_packet_set_ring(struct inet_socket *s, int name, const void *value, uint32_t len);
/* After nsock_close(): lets go of the rings. */
void inet_packet_done(struct inet_socket *s);

/* Waits on the socket's queue for any of `events`, once: 0 (look again), -EAGAIN (time-out), -ERESTARTSYS.
 * Used as waitq.h says: queued before the look that found nothing. */
struct inet_wait {
    struct waiter w;
    bool queued;
};
int inet_wait(struct inet_socket *s, struct task *t, struct inet_wait *w, uint32_t events,
              int64_t deadline) must_check;
static inline void inet_wait_done(struct inet_wait *w) {
    if (w->queued)
        waitq_remove(&w->w);
}
