/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/inet/inet_io.c: sending and receiving. Source: send(2), recv(2), tcp(7), udp(7), ip(7)
 * MSG_ERRQUEUE.
 *
 * Bytes of a stream move once: out of guest memory straight into packet memory, which the send queue, the
 * packets and the receive queue share, and from there into the reader's memory; the stack's lock is not held
 * over either copy. Readers of one stream take turns (read_lock), so that what could not be copied out (a bad
 * address) is still there for the next call. A datagram is taken off the queue first, as on Linux.
 */
#include <errno.h>

#include "base/abi/linux/poll.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/socket/inet/inet_internal.h"

enum {
    SMALL = 2048, /* up to here bytes go by the stack and are packed together by the library */
    DATAGRAM_MAX = 65535,
    FRAME_MAX = 131072, /* a packet socket's: checked against the interface by the library */
};
#define SEND_FLAGS (NS_MSG_OOB | NS_MSG_DONTROUTE | NS_MSG_MORE | NS_MSG_FASTOPEN)
#define RECV_FLAGS (NS_MSG_OOB | NS_MSG_PEEK | NS_MSG_TRUNC | NS_MSG_ERRQUEUE)

static bool may_wait(const struct socket *s, const struct task *t, const struct socket_message *m) {
    return t && !(m->flags & LINUX_MSG_DONTWAIT) && !file_nonblocking((struct file *)&s->file);
}

static int64_t deadline_of(const struct socket_message *m) {
    return m->deadline ? m->deadline : CLOCK_NEVER;
}

/* ---- sending ---- */

/* Bytes on their way: in a packet, or on the caller's stack. */
struct chunk {
    struct pkt *pkt;
    struct ns_iov iov;
    size_t left;
};

static ssize_t pkt_fill(struct uio *from, struct pkt *p, size_t size) {
    struct iovec pieces[UIO_PIECES];
    size_t n = netstack_pkt_pieces(p, 0, size, pieces, UIO_PIECES);

    return uio_read_pieces(from, pieces, n);
}

static int chunk_fill(struct inet_socket *s, struct uio *from, size_t size, unsigned char *small,
                      struct chunk *ret) {
    struct pkt *p = NULL;

    if (size > SMALL) {
        p = netstack_pkt_fill(network_stack(s->net->kernel), (uint32_t)size);
        if (!p)
            return -ENOBUFS;
    }
    ssize_t n = p ? pkt_fill(from, p, size) : uio_read(from, small, size);
    if (n == (ssize_t)size) {
        *ret = (struct chunk){.pkt = p, .iov = {small, size}, .left = size};
        return 0;
    }
    if (p)
        netstack_pkt_free(network_stack(s->net->kernel), p);
    if (n > 0)
        uio_revert(from, (uint64_t)n);
    return n > 0 ? (int)n : -EFAULT; /* so many can be read: the caller asks for them alone */
}

static ssize_t chunk_send(struct inet_socket *s, struct chunk *c, struct ns_msg *msg) {
    ssize_t r;

    if (c->pkt) {
        r = nsock_send_pkt(s->nsock, msg, &c->pkt);
    } else {
        msg->iov = &c->iov;
        msg->iov_count = 1;
        r = nsock_send(s->nsock, msg);
        if (r > 0)
            c->iov = (struct ns_iov){(uint8_t *)c->iov.base + r, c->iov.len - (size_t)r};
    }
    if (r > 0)
        c->left -= (size_t)r;
    return r;
}

/* All of the chunk, waiting for room where that is allowed. 0, or -errno with c->left bytes not sent. */
static int chunk_send_all(struct inet_socket *s, struct task *t, struct socket_message *m, struct chunk *c,
                          struct ns_msg *msg) {
    struct inet_wait w = {0};
    int r = 0;

    while (r == 0 && c->left > 0) {
        ssize_t n = chunk_send(s, c, msg);
        if (n == -EAGAIN && may_wait(&s->socket, t, m))
            r = inet_wait(s, t, &w, LINUX_POLLOUT, deadline_of(m));
        else if (n < 0)
            r = (int)n;
    }
    inet_wait_done(&w);
    return r;
}

static ssize_t send_stream(struct inet_socket *s, struct task *t, struct socket_message *m,
                           struct ns_msg *msg) {
    unsigned char small[SMALL];
    uint32_t flags = msg->flags;
    ssize_t done = 0;
    int r = 0;

    if (m->data->remaining == 0)
        return nsock_send(s->nsock, msg);
    while (r == 0 && m->data->remaining > 0) {
        size_t size = (size_t)MIN(m->data->remaining, (uint64_t)NETSTACK_FILL_MAX);
        struct chunk c;
        r = chunk_fill(s, m->data, size, small, &c);
        if (r > 0) /* up to the bad page */
            r = chunk_fill(s, m->data, size = (size_t)r, small, &c);
        if (r != 0) {
            r = r > 0 ? -EFAULT : r;
            break;
        }
        bool last = m->data->remaining == 0;
        msg->flags = last ? flags : (flags & ~(uint32_t)NS_MSG_OOB) | NS_MSG_MORE;
        r = chunk_send_all(s, t, m, &c, msg);
        done += (ssize_t)(size - c.left);
        uio_revert(m->data, c.left);
        if (c.pkt)
            netstack_pkt_free(network_stack(s->net->kernel), c.pkt);
    }
    return done > 0 ? done : r;
}

static ssize_t send_datagram(struct inet_socket *s, struct task *t, struct socket_message *m,
                             struct ns_msg *msg) {
    unsigned char small[SMALL], *data = small;
    size_t size = (size_t)m->data->remaining;
    struct inet_wait w = {0};

    if (m->data->remaining > (s->socket.family == LINUX_AF_PACKET ? FRAME_MAX : DATAGRAM_MAX))
        return -EMSGSIZE;
    if (size > SMALL) {
        data = heap_alloc_bytes(size);
        if (!data)
            return -ENOBUFS;
    }
    ssize_t r = size == 0 || uio_read(m->data, data, size) == (ssize_t)size ? 0 : -EFAULT;
    msg->iov = &(struct ns_iov){data, size};
    msg->iov_count = 1;
    while (r == 0) {
        r = nsock_send(s->nsock, msg);
        if (r != -EAGAIN || !may_wait(&s->socket, t, m))
            break;
        r = inet_wait(s, t, &w, LINUX_POLLOUT, deadline_of(m));
    }
    inet_wait_done(&w);
    if (data != small)
        heap_free(data);
    return r;
}

ssize_t inet_op_send(struct socket *base, struct task *t, struct socket_message *m) {
    struct inet_socket *s = inet_of(base);
    bool stream = base->type == LINUX_SOCK_STREAM;
    struct ns_msg msg = {.flags = m->flags & SEND_FLAGS, .cmsg = m->net};

    if (m->address && (!stream || m->flags & LINUX_MSG_FASTOPEN)) {
        int r = inet_destination_in(s, m->address, &msg.name);
        if (r < 0)
            return r;
        msg.has_name = r == 0;
    }
    ssize_t r = stream ? send_stream(s, t, m, &msg) : send_datagram(s, t, m, &msg);
    if (r >= 0 && m->flags & LINUX_MSG_ZEROCOPY && s->zerocopy)
        nsock_zerocopy_done(s->nsock);
    return r;
}

/* ---- receiving ---- */

/* At most `max` bytes of p; bytes copied, -EFAULT if none could be. */
static ssize_t views_out(struct uio *to, const struct pkt *p, size_t max) {
    size_t done = 0;

    while (done < max) {
        struct iovec pieces[UIO_PIECES];
        size_t count = netstack_pkt_pieces(p, done, max - done, pieces, UIO_PIECES), want = 0;
        for (size_t i = 0; i < count; i++)
            want += pieces[i].iov_len;
        ssize_t n = uio_write_pieces(to, pieces, count);
        done += n > 0 ? (size_t)n : 0;
        if (n < (ssize_t)want)
            return done > 0 ? (ssize_t)done : -EFAULT;
        if (count == 0)
            break;
    }
    return (ssize_t)done;
}

/* One look at the stream's front. Bytes moved, 0 at its end, -EAGAIN. */
static ssize_t stream_step(struct inet_socket *s, struct socket_message *m, size_t skip) {
    bool peek = m->flags & LINUX_MSG_PEEK, discard = m->flags & LINUX_MSG_TRUNC;
    struct ns_msg msg = {.flags = m->flags & NS_MSG_PEEK};
    struct pkt *p;

    mutex_lock(&s->read_lock);
    ssize_t r = nsock_recv_pkt(s->nsock, &msg, skip, (size_t)m->data->remaining, &p);
    if (r > 0) {
        ssize_t put = discard ? r : views_out(m->data, p, (size_t)r);
        if (discard)
            m->data->remaining -= (uint64_t)r;
        nsock_recv_done(s->nsock, p, put > 0 && !peek ? (size_t)put : 0);
        r = put;
    }
    mutex_unlock(&s->read_lock);
    return r;
}

static size_t peek_base(const struct inet_socket *s, const struct socket_message *m) {
    int at = atomic_load(&((struct inet_socket *)s)->peek_offset);

    return m->flags & LINUX_MSG_PEEK && at > 0 ? (size_t)at : 0;
}

/* recv(2) of no bytes waits until there are some, and leaves them. */
static ssize_t recv_nothing(struct inet_socket *s, struct task *t, struct socket_message *m) {
    struct inet_wait w = {0};
    ssize_t r;

    for (;;) {
        struct ns_msg msg = {.flags = NS_MSG_PEEK};
        struct pkt *p;
        r = nsock_recv_pkt(s->nsock, &msg, 0, 1, &p);
        if (r > 0) {
            nsock_recv_done(s->nsock, p, 0);
            r = 0;
        }
        if (r != -EAGAIN || !may_wait(&s->socket, t, m))
            break;
        r = inet_wait(s, t, &w, LINUX_POLLIN | LINUX_POLLRDHUP, deadline_of(m));
        if (r < 0)
            break;
    }
    inet_wait_done(&w);
    return r;
}

static ssize_t recv_stream(struct inet_socket *s, struct task *t, struct socket_message *m) {
    size_t want = (size_t)m->data->remaining, base = peek_base(s, m);
    size_t target =
        m->flags & LINUX_MSG_WAITALL ? want : MIN((size_t)MAX(s->socket.receive_low_water, 1), want);
    bool peek = m->flags & LINUX_MSG_PEEK;
    struct inet_wait w = {0};
    size_t done = 0;
    ssize_t r = 0;

    if (want == 0)
        return recv_nothing(s, t, m);
    while (done < want) {
        if (done > 0 &&
            (done >= target || nsock_ready(s->nsock) & NS_POLLERR)) /* the error is the next call's */
            break;
        r = stream_step(s, m, peek ? base + done : 0);
        if (r > 0) {
            done += (size_t)r;
            continue;
        }
        if (r == -EAGAIN && may_wait(&s->socket, t, m))
            r = inet_wait(s, t, &w, LINUX_POLLIN | LINUX_POLLRDHUP, deadline_of(m));
        else
            break;
        if (r < 0)
            break;
    }
    inet_wait_done(&w);
    if (done > 0 && atomic_load(&s->peek_offset) >= 0)
        inet_peek_moved(s, peek ? (int)done : -(int)done);
    return done > 0 ? (ssize_t)done : r;
}

static void take_message(struct socket_message *m, const struct ns_msg *msg) {
    m->net = msg->cmsg;
    if (m->address && msg->has_name)
        inet_address_out(&msg->name, m->address);
}

static ssize_t datagram_step(struct inet_socket *s, struct socket_message *m) {
    struct ns_msg msg = {.flags = m->flags & NS_MSG_PEEK};
    struct pkt *p;
    ssize_t len = nsock_recv_pkt(s->nsock, &msg, 0, 0, &p);

    if (!p)
        return len;
    size_t take = MIN((size_t)len, (size_t)m->data->remaining);
    ssize_t r = views_out(m->data, p, take);
    nsock_recv_done(s->nsock, p, 0);
    if (r < (ssize_t)take)
        return -EFAULT;
    take_message(m, &msg);
    if (take < (size_t)len)
        m->ret_flags |= LINUX_MSG_TRUNC;
    return m->flags & LINUX_MSG_TRUNC ? len : r;
}

static ssize_t recv_datagram(struct inet_socket *s, struct task *t, struct socket_message *m) {
    struct inet_wait w = {0};
    ssize_t r;

    while ((r = datagram_step(s, m)) == -EAGAIN && may_wait(&s->socket, t, m)) {
        r = inet_wait(s, t, &w, LINUX_POLLIN, deadline_of(m));
        if (r < 0)
            break;
    }
    inet_wait_done(&w);
    return r;
}

/* The urgent byte, and the error queue: neither waits (tcp(7), recvmsg(2)). */
static ssize_t recv_special(struct inet_socket *s, struct socket_message *m) {
    size_t size = (size_t)MIN(m->data->remaining, (uint64_t)DATAGRAM_MAX);
    unsigned char *data = heap_alloc_bytes(MAX(size, (size_t)1));
    struct ns_iov iov = {data, size};
    struct ns_msg msg = {.iov = &iov, .iov_count = 1, .flags = m->flags & RECV_FLAGS};

    if (!data)
        return -ENOMEM;
    ssize_t r = nsock_recv(s->nsock, &msg);
    if (r > 0 && uio_write(m->data, data, MIN((size_t)r, size)) < 0)
        r = -EFAULT;
    heap_free(data);
    if (r >= 0) {
        m->ret_flags |= msg.flags & (LINUX_MSG_TRUNC | LINUX_MSG_OOB | LINUX_MSG_ERRQUEUE);
        take_message(m, &msg);
    }
    return r;
}

ssize_t inet_op_recv(struct socket *base, struct task *t, struct socket_message *m) {
    struct inet_socket *s = inet_of(base);

    if (m->address)
        m->address->len = 0;
    bool udp = base->type == LINUX_SOCK_DGRAM &&
               base->protocol == LINUX_IPPROTO_UDP; /* MSG_OOB means nothing to it */
    if (m->flags & (udp ? LINUX_MSG_ERRQUEUE : LINUX_MSG_OOB | LINUX_MSG_ERRQUEUE))
        return recv_special(s, m);
    return base->type == LINUX_SOCK_STREAM ? recv_stream(s, t, m) : recv_datagram(s, t, m);
}
