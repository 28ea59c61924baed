/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/inet/inet_sock.c: open sockets of the TCP/IP stack: birth and end, names, connecting and
 * accepting, readiness. Source: socket(2), ip(7), raw(7), connect(2), accept(2), listen(2), shutdown(2),
 * poll(2).
 */
#include <errno.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/poll.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/socket/inet/inet_internal.h"
#include "sentry/vfs/vfs.h"

HEAP_TYPE(inet_socket, struct inet_socket, 0);

enum { PROTOCOL_END = 263 /* IPPROTO_MAX */ };

static const struct file_ops inet_file_ops;
static const struct socket_ops inet_socket_ops;

/* ---- wake-ups ---- */

static void inet_free(struct inet_socket *s) {
    net_namespace_unref(s->net);
    heap_free(s);
}

bool inet_notify_hold(void *user) {
    struct inet_socket *s = user;

    return ref_tryget(&s->alive);
}

/* poll(2)'s bits as the library gives them, with those that Linux always raises together. */
static uint32_t poll_bits(uint32_t events) {
    return events | (events & NS_POLLIN ? LINUX_POLLRDNORM : 0) |
           (events & NS_POLLOUT ? LINUX_POLLWRNORM : 0);
}

void inet_notify(void *user, uint32_t events) {
    struct inet_socket *s = user;

    waitq_wake(&s->queue, poll_bits(events));
    if (ref_put(&s->alive))
        inet_free(s);
}

int inet_wait(struct inet_socket *s, struct task *t, struct inet_wait *w, uint32_t events, int64_t deadline) {
    if (!w->queued) { /* the next look may still find something */
        waiter_init_task(&w->w, t, events | LINUX_POLLERR | LINUX_POLLHUP);
        waitq_add(&s->queue, &w->w);
        w->queued = true;
        return 0;
    }
    int r = task_block(t, deadline);
    return r == -ETIMEDOUT ? -EAGAIN : r;
}

void inet_owner(void *user, struct user_ns *viewer, uint32_t *ret_uid, uint32_t *ret_inode) {
    const struct inet_socket *s = user;

    *ret_uid = from_kuid(viewer, s->socket.file.creds->euid);
    *ret_inode = (uint32_t)s->socket.file.inode->ino;
}

/* ---- birth and end ---- */

bool inet_capable(const struct inet_socket *s, struct task *t, int cap) {
    return task_capable_in(t, s->net->user_ns, cap);
}

int inet_socket_new(struct task *t, struct net_namespace *net, struct nsock *n, int family, int type,
                    int protocol, uint32_t flags, struct inet_socket **ret) {
    struct inet_socket *s = heap_new(inet_socket);
    int r = s ? socket_init(&s->socket, &inet_file_ops, &inet_socket_ops, t, family, type, protocol, flags)
              : -ENOMEM;

    if (r < 0) {
        heap_free(s);
        nsock_close(n);
        return r;
    }
    atomic_init(&s->alive.count, 1);
    waitq_init(&s->queue);
    mutex_init(&s->read_lock, RANK_SOCKET);
    atomic_init(&s->peek_offset, -1);
    s->timestamp_type = LINUX_SO_TIMESTAMP_OLD;
    s->net = net_namespace_ref(net);
    s->nsock = n;
    nsock_set_user(n, s);
    nsock_set_owner(n, task_creds(t)->fsuid, task_creds(t)->fsgid);
    *ret = s;
    return 0;
}

/* socket(7), SO_LINGER: the last close waits until the peer has acknowledged everything, or the time is over.
 * A signal ends the wait, not the close. */
static int file_flush(struct file *f, struct task *t) {
    struct inet_socket *s = inet_of(container_of(f, struct socket, file));
    bool last = atomic_load(&f->ref.count) == 1;

    if (!t || !last || !s->socket.linger_on || s->socket.linger_seconds <= 0 ||
        s->socket.type != LINUX_SOCK_STREAM || nsock_shutdown(s->nsock, LINUX_SHUT_WR) < 0)
        return 0;
    int64_t deadline = clock_add(monotonic_ns(), (int64_t)s->socket.linger_seconds * NSEC_PER_SEC);
    struct inet_wait w = {0};
    while (nsock_outq(s->nsock) > 0 && inet_wait(s, t, &w, LINUX_POLLOUT, deadline) == 0) {
    }
    inet_wait_done(&w);
    return 0;
}

static void file_release(struct file *f) {
    struct inet_socket *s = inet_of(container_of(f, struct socket, file));

    nsock_close(s->nsock);
    inet_packet_done(s);
    file_done(f);
    if (ref_put(&s->alive))
        inet_free(s);
}

/* ip(7): raw sockets are for CAP_NET_RAW; echo sockets for the groups of net.ipv4.ping_group_range. */
static int may_create(struct task *t, const struct net_namespace *net, int type, int protocol) {
    bool raw = task_capable_in(t, net->user_ns, CAP_NET_RAW_NR);

    if (type == LINUX_SOCK_RAW)
        return raw ? 0 : -EPERM;
    if (type == LINUX_SOCK_DGRAM && (protocol == LINUX_IPPROTO_ICMP || protocol == LINUX_IPPROTO_ICMPV6))
        return net_namespace_may_ping(net, task_creds(t)) ? 0 : -EACCES;
    return 0;
}

static int create(struct task *t, int family, int type, int protocol, uint32_t flags, struct file **ret) {
    struct net_namespace *net = task_net_namespace(t);
    struct inet_socket *s;
    struct nsock *n;

    if (type < 0 || type > LINUX_SOCK_PACKET || protocol < 0 || protocol >= PROTOCOL_END)
        return -EINVAL;
    if (type == LINUX_SOCK_RAW && protocol > 255)
        return -EPROTONOSUPPORT;
    int r = may_create(t, net, type, protocol);
    if (r == -EPERM && protocol == 0)
        r = -EPROTONOSUPPORT;
    if (r < 0)
        return r;
    r = nsock_new(net->netns, family, type, protocol, /* user= */ NULL, &n);
    if (r < 0)
        return r == -EINVAL ? -EPROTONOSUPPORT : r;
    if (protocol == 0)
        protocol = type == LINUX_SOCK_STREAM ? LINUX_IPPROTO_TCP : LINUX_IPPROTO_UDP;
    r = inet_socket_new(t, net, n, family, type, protocol, flags, &s);
    if (r == 0)
        *ret = &s->socket.file;
    return r;
}

static int create4(struct task *t, int type, int protocol, uint32_t flags, struct file **ret) {
    return create(t, LINUX_AF_INET, type, protocol, flags, ret);
}

static int create6(struct task *t, int type, int protocol, uint32_t flags, struct file **ret) {
    return create(t, LINUX_AF_INET6, type, protocol, flags, ret);
}

/* ---- names ---- */

/* ip(7): ports below net.ipv4.ip_unprivileged_port_start are for CAP_NET_BIND_SERVICE. */
static bool may_take_port(struct inet_socket *s, struct task *t, const struct ns_addr *a) {
    struct netns_sysctl knobs;

    if (a->port == 0 || s->socket.type == LINUX_SOCK_RAW || a->port >= 1024)
        return true;
    netns_sysctl_get(s->net->netns, &knobs);
    return a->port >= knobs.unprivileged_port_start || inet_capable(s, t, CAP_NET_BIND_SERVICE_NR);
}

static int op_bind(struct socket *base, struct task *t, const struct socket_address *address) {
    struct inet_socket *s = inet_of(base);
    struct ns_addr a;
    int r = inet_address_in(s, address, /* bind= */ true, &a);

    if (r == 0 && !may_take_port(s, t, &a))
        r = -EACCES;
    return r < 0 ? r : nsock_bind(s->nsock, &a);
}

static int op_get_name(struct socket *base, bool peer, struct socket_address *ret) {
    struct inet_socket *s = inet_of(base);
    struct ns_addr a;
    int r = peer ? nsock_peer(s->nsock, &a) : nsock_local(s->nsock, &a);

    if (r == 0)
        inet_address_out(&a, ret);
    return r;
}

/* ---- connecting ---- */

/* connect(2): a signal leaves the handshake going; the restarted call, or the next one, waits on. */
static int op_connect(struct socket *base, struct task *t, const struct socket_address *address) {
    struct inet_socket *s = inet_of(base);
    int64_t deadline = socket_deadline(base->send_timeout_ns);
    bool wait = !file_nonblocking(&base->file);
    struct inet_wait w = {0};
    struct ns_addr a;
    int r = inet_address_in(s, address, /* bind= */ false, &a);

    if (r < 0)
        return r;
    for (;;) {
        r = nsock_connect(s->nsock, &a);
        if ((r != -EINPROGRESS && r != -EALREADY) || !wait)
            break;
        r = inet_wait(s, t, &w, LINUX_POLLOUT, deadline);
        if (r < 0) {
            r = r == -EAGAIN ? -EINPROGRESS : base->send_timeout_ns > 0 ? -EINTR : r;
            break;
        }
    }
    inet_wait_done(&w);
    return r;
}

static int op_listen(struct socket *base, int backlog) {
    return nsock_listen(inet_of(base)->nsock, backlog);
}

/* What an accepted socket has from its listener beside what the library hands on. */
static void inherit(struct socket *to, const struct socket *from) {
    to->receive_timeout_ns = from->receive_timeout_ns;
    to->send_timeout_ns = from->send_timeout_ns;
    to->receive_low_water = from->receive_low_water;
}

static int op_accept(struct socket *base, struct task *t, uint32_t flags, struct socket_address *ret_peer,
                     struct file **ret) {
    struct inet_socket *s = inet_of(base), *child;
    int64_t deadline = socket_deadline(base->receive_timeout_ns);
    bool wait = !file_nonblocking(&base->file);
    struct inet_wait w = {0};
    struct nsock *n = NULL;
    struct ns_addr peer;
    int r;

    while ((r = nsock_accept(s->nsock, &n, &peer)) == -EAGAIN && wait) {
        r = inet_wait(s, t, &w, LINUX_POLLIN, deadline);
        if (r < 0) {
            r = r == -ERESTARTSYS && base->receive_timeout_ns > 0 ? -EINTR : r;
            break;
        }
    }
    inet_wait_done(&w);
    if (r < 0)
        return r;
    r = inet_socket_new(t, s->net, n, base->family, base->type, base->protocol, flags, &child);
    if (r < 0)
        return r;
    inherit(&child->socket, base);
    if (ret_peer)
        inet_address_out(&peer, ret_peer);
    *ret = &child->socket.file;
    return 0;
}

static int op_shutdown(struct socket *base, int how) {
    return nsock_shutdown(inet_of(base)->nsock, how);
}

/* ---- files ---- */

static uint32_t file_ready_now(struct file *f, uint32_t events) {
    struct inet_socket *s = inet_of(container_of(f, struct socket, file));

    return poll_bits(nsock_ready(s->nsock)) & (events | LINUX_POLLERR | LINUX_POLLHUP);
}

static struct waitq *file_queue(struct file *f) {
    return &inet_of(container_of(f, struct socket, file))->queue;
}

static int file_mmap(struct file *f, const struct mmap_request *request, struct mappable **ret) {
    return inet_packet_mmap(inet_of(container_of(f, struct socket, file)), request, ret);
}

static int64_t file_ioctl(struct file *f, struct task *t, uint32_t cmd, uint64_t arg) {
    return socket_ioctl(container_of(f, struct socket, file), t, cmd, arg);
}

static const struct file_ops inet_file_ops = {
    .name = "inet",
    .read = socket_file_read,
    .write = socket_file_write,
    .ready = file_ready_now,
    .poll_queue = file_queue,
    .ioctl = file_ioctl,
    .mmap = file_mmap,
    .flush = file_flush,
    .release = file_release,
};

static const struct socket_ops inet_socket_ops = {
    .bind = op_bind,
    .connect = op_connect,
    .listen = op_listen,
    .accept = op_accept,
    .get_name = op_get_name,
    .shutdown = op_shutdown,
    .send = inet_op_send,
    .recv = inet_op_recv,
    .control_in = inet_op_control_in,
    .control_out = inet_op_control_out,
    .options_first = true,
    .set_option = inet_op_set_option,
    .set_large_option = inet_op_set_large,
    .get_large_option = inet_op_get_large,
    .get_option = inet_op_get_option,
    .ioctl = inet_op_ioctl,
};

static struct socket_family g_inet_family = {.family = LINUX_AF_INET, .create = create4};
static struct socket_family g_inet6_family = {.family = LINUX_AF_INET6, .create = create6};

__attribute__((constructor)) static void register_inet(void) {
    socket_family_register(&g_inet_family);
    socket_family_register(&g_inet6_family);
    socket_file_ops_register(&inet_file_ops);
}
