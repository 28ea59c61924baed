/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/unix/unix_connect.c: bind, listen, connect, accept, shutdown, close of AF_UNIX. Source:
 * unix(7), connect(2), listen(2), accept(2), shutdown(2).
 */
#include <errno.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/poll.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/socket/unix/unix_internal.h"

enum { SOMAXCONN = 4096 };

static bool is_stream_like(const struct unix_sock *s) {
    return s->type != LINUX_SOCK_DGRAM;
}

int unix_op_bind(struct socket *s, struct task *t, const struct socket_address *a) {
    return unix_bind_name(unix_of(s)->sock, t, a);
}

int unix_op_listen(struct socket *s, int backlog) {
    struct unix_sock *sock = unix_of(s)->sock;
    int r = 0;

    if (!is_stream_like(sock))
        return -EOPNOTSUPP;
    mutex_lock(&sock->lock);
    if (!sock->name || sock->state == UNIX_CONNECTED) {
        r = -EINVAL;
    } else {
        sock->state = UNIX_LISTENING;
        sock->backlog = (size_t)(backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : backlog);
    }
    mutex_unlock(&sock->lock);
    if (r == 0)
        waitq_wake(&sock->space_queue, WAIT_ANY);
    return r;
}

/* ---- connect ---- */

/* Datagrams: the peer is where sends go and whence alone receives come. AF_UNSPEC dissolves. */
static void set_datagram_peer(struct unix_sock *s, struct unix_sock *peer) {
    mutex_lock(&s->lock);
    struct unix_sock *old = s->peer;
    s->peer = NULL;
    mutex_unlock(&s->lock);
    if (old) {
        mutex_lock(&old->lock);
        list_del(&s->connector_node);
        mutex_unlock(&old->lock);
        unix_sock_unref(old);
    }
    if (!peer)
        return;
    unix_lock_two(s, peer);
    s->peer = unix_sock_ref(peer);
    s->state = UNIX_CONNECTED;
    list_add_tail(&peer->connectors, &s->connector_node);
    unix_unlock_two(s, peer);
}

static int connect_datagram(struct unix_sock *s, struct task *t, const struct socket_address *a) {
    struct unix_sock *peer;

    if (a->storage.family == LINUX_AF_UNSPEC) {
        set_datagram_peer(s, NULL);
        return 0;
    }
    int r = unix_find(t, a, s->type, &peer);
    if (r < 0)
        return r;
    mutex_lock(&peer->lock);
    bool gone = peer->dead, foreign = peer->peer && peer->peer != s;
    mutex_unlock(&peer->lock);
    r = gone ? -ECONNREFUSED : foreign ? -EPERM : 0;
    if (r == 0)
        set_datagram_peer(s, peer);
    unix_sock_unref(peer);
    return r;
}

/* One try to queue `embryo` (the accepting end, connected to s) at the listener: -EAGAIN while the backlog is
 * full. Takes the reference of embryo on success. */
static int enqueue(struct unix_sock *s, struct unix_sock *listener, struct unix_sock *embryo) {
    int r = 0;

    unix_lock_two(s, listener);
    if (s->state == UNIX_CONNECTED)
        r = -EISCONN;
    else if (s->state == UNIX_LISTENING)
        r = -EINVAL;
    else if (listener->dead || listener->state != UNIX_LISTENING || listener->shutdown & UNIX_SHUT_READ)
        r = -ECONNREFUSED;
    else if (listener->accept_count > listener->backlog)
        r = -EAGAIN;
    if (r == 0) {
        s->state = embryo->state = UNIX_CONNECTED;
        s->peer = unix_sock_ref(embryo);
        embryo->peer = unix_sock_ref(s);
        embryo->name = listener->name ? unix_name_ref(listener->name) : NULL;
        unix_credentials_copy(&s->peer_credentials, &listener->own);
        list_add_tail(&listener->accept_queue, &embryo->accept_node);
        listener->accept_count++;
    }
    unix_unlock_two(s, listener);
    if (r == 0) {
        waitq_wake(&listener->queue, LINUX_POLLIN | LINUX_POLLRDNORM);
        waitq_wake(&s->queue, LINUX_POLLOUT | LINUX_POLLWRNORM);
    }
    return r;
}

/* Waits for room in the backlog. */
static int enqueue_blocking(struct socket *s, struct task *t, struct unix_sock *listener,
                            struct unix_sock *embryo) {
    struct unix_sock *sock = unix_of(s)->sock;
    int64_t deadline = socket_deadline(s->send_timeout_ns);
    struct waiter w;
    int r;

    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&listener->space_queue, &w);
    for (;;) {
        r = enqueue(sock, listener, embryo);
        if (r != -EAGAIN || file_nonblocking(&s->file))
            break;
        r = task_block(t, deadline);
        if (r < 0) {
            r = r == -ETIMEDOUT ? -EAGAIN : r;
            break;
        }
    }
    waitq_remove(&w);
    return r;
}

static int connect_stream(struct socket *s, struct task *t, const struct socket_address *a) {
    struct unix_sock *sock = unix_of(s)->sock, *listener;

    int r = unix_find(t, a, sock->type, &listener);
    if (r < 0)
        return r;
    struct unix_sock *embryo = unix_sock_new(sock->type);
    if (!embryo) {
        unix_sock_unref(listener);
        return -ENOMEM;
    }
    unix_credentials_take(&embryo->peer_credentials, t);
    r = enqueue_blocking(s, t, listener, embryo);
    if (r < 0)
        unix_sock_unref(embryo);
    unix_sock_unref(listener);
    return r;
}

int unix_op_connect(struct socket *s, struct task *t, const struct socket_address *a) {
    struct unix_sock *sock = unix_of(s)->sock;

    if (a->len < sizeof a->storage.family)
        return -EINVAL;
    return is_stream_like(sock) ? connect_stream(s, t, a) : connect_datagram(sock, t, a);
}

/* ---- accept ---- */

static int dequeue(struct unix_sock *s, struct unix_sock **ret) {
    int r = 0;

    mutex_lock(&s->lock);
    if (s->state != UNIX_LISTENING)
        r = -EINVAL;
    else if (list_empty(&s->accept_queue))
        r = s->shutdown & UNIX_SHUT_READ ? -EINVAL : -EAGAIN;
    else {
        struct unix_sock *embryo = list_first_entry(&s->accept_queue, struct unix_sock, accept_node);
        list_del(&embryo->accept_node);
        s->accept_count--;
        *ret = embryo;
    }
    mutex_unlock(&s->lock);
    if (r == 0)
        waitq_wake(&s->space_queue, WAIT_ANY);
    return r;
}

static void fill_name_of(struct unix_sock *of, struct socket_address *ret) {
    mutex_lock(&of->lock);
    unix_name_fill(of->name, ret);
    mutex_unlock(&of->lock);
}

int unix_op_accept(struct socket *s, struct task *t, uint32_t flags, struct socket_address *ret_peer,
                   struct file **ret) {
    struct unix_sock *sock = unix_of(s)->sock, *embryo = NULL;
    int64_t deadline = socket_deadline(s->receive_timeout_ns);
    int r;

    if (!is_stream_like(sock))
        return -EOPNOTSUPP;
    while ((r = dequeue(sock, &embryo)) == -EAGAIN) {
        r = file_wait(t, &s->file, LINUX_POLLIN, deadline);
        if (r < 0)
            return r == -ETIMEDOUT ? -EAGAIN : r;
    }
    if (r < 0)
        return r;
    r = unix_socket_new(t, embryo, s->protocol, flags, ret);
    if (r < 0) {
        unix_sock_close(embryo);
        unix_sock_unref(embryo);
        return r;
    }
    if (ret_peer) {
        struct unix_sock *peer = unix_peer(embryo);
        if (peer)
            fill_name_of(peer, ret_peer);
        else
            unix_name_fill(NULL, ret_peer);
        unix_sock_unref(peer);
    }
    return 0;
}

int unix_op_get_name(struct socket *s, bool peer, struct socket_address *ret) {
    struct unix_sock *sock = unix_of(s)->sock;
    struct unix_sock *of = peer ? unix_peer(sock) : unix_sock_ref(sock);

    if (!of)
        return -ENOTCONN;
    fill_name_of(of, ret);
    unix_sock_unref(of);
    return 0;
}

/* ---- shutdown and close ---- */

static void wake_all(struct unix_sock *s) {
    waitq_wake(&s->queue, WAIT_ANY);
    waitq_wake(&s->space_queue, WAIT_ANY);
}

int unix_op_shutdown(struct socket *s, int how) {
    struct unix_sock *sock = unix_of(s)->sock;

    if (how < 0 || how > 2)
        return -EINVAL;
    unsigned mask = how == 0 ? UNIX_SHUT_READ : how == 1 ? UNIX_SHUT_WRITE : UNIX_SHUT_READ | UNIX_SHUT_WRITE;
    struct unix_sock *peer = unix_peer(sock);
    if (is_stream_like(sock) && !peer && sock->state != UNIX_LISTENING) {
        mutex_lock(&sock->lock);
        sock->shutdown |= mask;
        mutex_unlock(&sock->lock);
        wake_all(sock);
        return 0;
    }
    mutex_lock(&sock->lock);
    sock->shutdown |= mask;
    mutex_unlock(&sock->lock);
    if (peer && is_stream_like(sock)) {
        mutex_lock(&peer->lock);
        peer->shutdown |=
            (mask & UNIX_SHUT_READ ? UNIX_SHUT_WRITE : 0) | (mask & UNIX_SHUT_WRITE ? UNIX_SHUT_READ : 0);
        mutex_unlock(&peer->lock);
        wake_all(peer);
    }
    unix_sock_unref(peer);
    wake_all(sock);
    return 0;
}

/* The connected peer learns that this end is gone. */
static void leave_peer(struct unix_sock *s, struct unix_sock *peer, bool unread) {
    mutex_lock(&peer->lock);
    struct unix_sock *back = NULL;
    if (is_stream_like(s)) {
        peer->shutdown |= UNIX_SHUT_READ | UNIX_SHUT_WRITE;
        peer->reset = peer->reset || unread;
        if (peer->peer == s) {
            back = peer->peer;
            peer->peer = NULL;
        }
    } else {
        list_del(&s->connector_node);
    }
    mutex_unlock(&peer->lock);
    wake_all(peer);
    unix_sock_unref(back);
    unix_sock_unref(peer);
}

/* Datagram socks connected to this one keep it as a dead peer until they notice. */
static void wake_connectors(struct unix_sock *s) {
    struct unix_sock *c;

    mutex_lock(&s->lock);
    list_for_each_entry(c, &s->connectors, connector_node) waitq_wake(&c->queue, WAIT_ANY);
    mutex_unlock(&s->lock);
}

void unix_sock_close(struct unix_sock *s) {
    struct list messages, embryos;
    struct unix_message *m, *next_message;
    struct unix_sock *embryo, *next_embryo;

    unix_unbind(s);
    list_init(&messages);
    list_init(&embryos);
    mutex_lock(&s->lock);
    s->dead = true;
    struct unix_sock *peer = s->peer;
    s->peer = NULL;
    bool unread = !list_empty(&s->messages);
    list_splice_tail(&messages, &s->messages);
    list_splice_tail(&embryos, &s->accept_queue);
    s->queued_bytes = s->queued_messages = s->accept_count = 0;
    mutex_unlock(&s->lock);
    if (peer)
        leave_peer(s, peer, unread);
    wake_connectors(s);
    wake_all(s);
    list_for_each_entry_safe(embryo, next_embryo, &embryos, accept_node) {
        list_del(&embryo->accept_node);
        mutex_lock(&embryo->lock);
        embryo->reset = true;
        mutex_unlock(&embryo->lock);
        unix_sock_close(embryo);
        unix_sock_unref(embryo);
    }
    list_for_each_entry_safe(m, next_message, &messages, node) {
        list_del(&m->node);
        unix_message_free(m);
    }
}

int unix_pair(struct task *t, int type, int protocol, uint32_t flags, struct file *ret[2]) {
    struct unix_sock *a = unix_sock_new(type), *b = unix_sock_new(type);
    int r = a && b ? unix_socket_new(t, a, protocol, flags, &ret[0]) : -ENOMEM;

    if (r < 0) {
        unix_sock_unref(a);
        unix_sock_unref(b);
        return r;
    }
    r = unix_socket_new(t, b, protocol, flags, &ret[1]);
    if (r < 0) {
        unix_sock_unref(b);
        file_unref(ret[0]);
        return r;
    }
    unix_credentials_take(&a->peer_credentials, t);
    unix_credentials_take(&b->peer_credentials, t);
    if (type == LINUX_SOCK_DGRAM) {
        set_datagram_peer(a, b);
        set_datagram_peer(b, a);
        return 0;
    }
    unix_lock_two(a, b);
    a->state = b->state = UNIX_CONNECTED;
    a->peer = unix_sock_ref(b);
    b->peer = unix_sock_ref(a);
    unix_unlock_two(a, b);
    return 0;
}
