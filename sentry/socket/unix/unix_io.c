/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/unix/unix_io.c: sending and receiving on AF_UNIX sockets. Source: unix(7), send(2), recv(2).
 *
 * A sender copies the bytes before it takes any lock, then appends them to the receiver's queue if there is
 * room: a stream's room is the sender's SO_SNDBUF, a datagram receiver also bounds the number of messages. A
 * receiver takes the first message off (or, for a stream, bytes of several) and copies after unlocking.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/poll.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/socket/unix/unix_internal.h"

enum { MESSAGE_MAX = 212992 - 32 };

static bool is_stream(const struct unix_sock *s) {
    return s->type == LINUX_SOCK_STREAM;
}

static bool is_datagram(const struct unix_sock *s) {
    return s->type == LINUX_SOCK_DGRAM;
}

/* ---- sending ---- */

static struct unix_message *message_new(struct unix_sock *from, struct task *t, struct uio *data,
                                        size_t size) {
    struct unix_message *m = heap_alloc_array(1, sizeof *m + size);

    if (!m)
        return NULL;
    list_init(&m->node);
    m->size = size;
    mutex_lock(&from->lock);
    m->from = from->name ? unix_name_ref(from->name) : NULL;
    mutex_unlock(&from->lock);
    (void)t;
    if (size > 0 && uio_read(data, m->data, size) != (ssize_t)size) {
        unix_message_free(m);
        return NULL;
    }
    return m;
}

/* Moves the control data into the first message; the sender's identity goes with every one. */
static int attach_control(struct unix_message *m, struct socket_control *c, struct task *t) {
    int r = c->file_count > 0 ? unix_flight_begin(t, c) : 0;

    if (r < 0)
        return r;
    m->control = *c;
    *c = (struct socket_control){0};
    if (!m->control.has_creds && t) {
        const struct creds *own = task_creds(t);
        m->control.has_creds = true;
        m->control.pid = pid_ref(t->group->pid);
        m->control.uid = own->uid;
        m->control.gid = own->gid;
    }
    return 0;
}

static int check_receiver(const struct unix_sock *from, const struct unix_sock *to) {
    if (to->dead)
        return is_datagram(to) ? -ECONNREFUSED : -EPIPE;
    if (to->shutdown & UNIX_SHUT_READ)
        return -EPIPE;
    if (is_datagram(to) && to->peer && to->peer != from)
        return -EPERM;
    return 0;
}

/* 0: appended (m is the receiver's now), -EAGAIN: no room. */
static int append(struct unix_sock *from, struct unix_sock *to, struct unix_message *m, size_t limit) {
    mutex_lock(&to->lock);
    int r = check_receiver(from, to);
    bool full = to->queued_bytes > 0 && to->queued_bytes + m->size > limit;
    if (is_datagram(to) && from != to && to->queued_messages >= UNIX_DGRAM_QUEUE_MAX)
        full = true;
    if (r == 0 && full)
        r = -EAGAIN;
    if (r == 0) {
        list_add_tail(&to->messages, &m->node);
        to->queued_bytes += m->size;
        to->queued_messages++;
    }
    mutex_unlock(&to->lock);
    if (r == 0)
        waitq_wake(&to->queue, LINUX_POLLIN | LINUX_POLLRDNORM);
    return r;
}

static int append_blocking(struct socket *s, struct task *t, struct unix_sock *to, struct unix_message *m,
                           bool wait, int64_t deadline) {
    struct unix_sock *from = unix_of(s)->sock;
    int r = append(from, to, m, s->send_buffer);
    struct waiter w;

    if (r != -EAGAIN || !wait || !t)
        return r;
    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&to->space_queue, &w);
    while ((r = append(from, to, m, s->send_buffer)) == -EAGAIN) {
        mutex_lock(&from->lock);
        bool shut = from->shutdown & UNIX_SHUT_WRITE;
        mutex_unlock(&from->lock);
        r = shut ? -EPIPE : task_block(t, deadline);
        if (r < 0) {
            r = r == -ETIMEDOUT ? -EAGAIN : r;
            break;
        }
    }
    waitq_remove(&w);
    return r;
}

static int destination(struct socket *s, struct task *t, const struct socket_message *m,
                       struct unix_sock **ret) {
    struct unix_sock *sock = unix_of(s)->sock;

    mutex_lock(&sock->lock);
    bool shut = sock->shutdown & UNIX_SHUT_WRITE, connected = sock->state == UNIX_CONNECTED;
    struct unix_sock *peer = sock->peer ? unix_sock_ref(sock->peer) : NULL;
    mutex_unlock(&sock->lock);
    int r = 0;
    if (m->address && m->address->len > 0 && is_datagram(sock)) {
        unix_sock_unref(peer);
        return shut ? -EPIPE : unix_find(t, m->address, sock->type, ret);
    }
    if (m->address && m->address->len > 0)
        r = connected ? -EISCONN : -EOPNOTSUPP;
    else if (shut)
        r = -EPIPE;
    else if (!peer)
        r = is_stream(sock) && connected ? -EPIPE : -ENOTCONN;
    if (r < 0) {
        unix_sock_unref(peer);
        return r;
    }
    *ret = peer;
    return 0;
}

static ssize_t send_stream(struct socket *s, struct task *t, struct socket_message *m, struct unix_sock *to,
                           bool wait) {
    size_t total = m->data->remaining, done = 0, most = s->send_buffer / 2;
    int r = 0;

    if (most > UNIX_CHUNK)
        most = UNIX_CHUNK;

    while (done < total) {
        size_t size = MIN(total - done, most);
        struct unix_message *part = message_new(unix_of(s)->sock, t, m->data, size);
        if (!part) {
            r = -EFAULT;
            break;
        }
        r = attach_control(part, m->control, t);
        if (r == 0)
            r = append_blocking(s, t, to, part, wait, m->deadline ? m->deadline : CLOCK_NEVER);
        if (r < 0) {
            uio_revert(m->data, size);
            if (done == 0 && part->control.has_creds) { /* the caller drops the control data */
                unix_flight_end(&part->control);
                *m->control = part->control;
                part->control = (struct socket_control){0};
            }
            unix_message_free(part);
            break;
        }
        done += size;
    }
    return done > 0 || r == 0 ? (ssize_t)done : r;
}

static ssize_t send_message(struct socket *s, struct task *t, struct socket_message *m, struct unix_sock *to,
                            bool wait) {
    size_t size = m->data->remaining;

    if (size > MESSAGE_MAX || size > s->send_buffer - 32)
        return -EMSGSIZE;
    struct unix_message *part = message_new(unix_of(s)->sock, t, m->data, size);
    if (!part)
        return -EFAULT;
    int r = attach_control(part, m->control, t);
    if (r == 0)
        r = append_blocking(s, t, to, part, wait, m->deadline ? m->deadline : CLOCK_NEVER);
    if (r < 0) {
        uio_revert(m->data, size);
        unix_message_free(part);
        return r;
    }
    return (ssize_t)size;
}

ssize_t unix_op_send(struct socket *s, struct task *t, struct socket_message *m) {
    struct unix_sock *to = NULL;
    bool wait = !(m->flags & LINUX_MSG_DONTWAIT) && !file_nonblocking(&s->file);

    if (m->flags & LINUX_MSG_OOB)
        return -EOPNOTSUPP;
    int r = destination(s, t, m, &to);
    if (r < 0)
        return r;
    ssize_t done = is_stream(to) ? send_stream(s, t, m, to, wait) : send_message(s, t, m, to, wait);
    /* A connected datagram peer that has gone is forgotten: unix(7), ECONNREFUSED. */
    if (done == -ECONNREFUSED && is_datagram(to) && !m->address)
        unix_op_connect(s, t,
                        &(struct socket_address){.len = sizeof(uint16_t), .storage.family = LINUX_AF_UNSPEC});
    unix_sock_unref(to);
    return done;
}

/* ---- receiving ---- */

/* Room was made: senders wait on space_queue; pollers for POLLOUT on their own queues. */
static void wake_senders(struct unix_sock *s) {
    struct unix_sock *c, *peer = NULL;

    waitq_wake(&s->space_queue, WAIT_ANY);
    mutex_lock(&s->lock);
    list_for_each_entry(c, &s->connectors, connector_node)
        waitq_wake(&c->queue, LINUX_POLLOUT | LINUX_POLLWRNORM);
    if (!is_datagram(s) && s->peer)
        peer = unix_sock_ref(s->peer);
    mutex_unlock(&s->lock);
    if (peer)
        waitq_wake(&peer->queue, LINUX_POLLOUT | LINUX_POLLWRNORM);
    unix_sock_unref(peer);
}

static int nothing_there(struct unix_sock *s) {
    if (s->reset) {
        s->reset = false;
        return -ECONNRESET;
    }
    if (s->state == UNIX_LISTENING || (!is_datagram(s) && s->state != UNIX_CONNECTED))
        return is_stream(s) ? -EINVAL : -ENOTCONN;
    if (s->shutdown & UNIX_SHUT_READ)
        return 0;
    return -EAGAIN;
}

static int copy_control(struct socket_control *to, const struct socket_control *from) {
    *to = *from;
    to->payer = NULL;
    if (to->pid)
        pid_ref(to->pid);
    to->files = NULL;
    to->file_count = 0;
    if (from->file_count == 0)
        return 0;
    to->files = heap_alloc_array(from->file_count, sizeof *to->files);
    if (!to->files)
        return -ENOMEM;
    for (; to->file_count < from->file_count; to->file_count++)
        to->files[to->file_count] = file_ref(from->files[to->file_count]);
    return 0;
}

/* One message (datagram, seqpacket): taken off the queue, or with MSG_PEEK looked at while it cannot go: it
 * is copied under the lock to heap memory. */
static ssize_t receive_message(struct unix_sock *s, struct socket_message *m) {
    bool peek = m->flags & LINUX_MSG_PEEK;
    struct unix_message *msg = NULL;
    int r = 0;

    mutex_lock(&s->lock);
    if (list_empty(&s->messages)) {
        r = nothing_there(s);
        mutex_unlock(&s->lock);
        return r;
    }
    msg = list_first_entry(&s->messages, struct unix_message, node);
    if (peek) {
        struct unix_message *copy = heap_alloc_array(1, sizeof *copy + msg->size);
        if (copy) {
            copy->size = msg->size;
            copy->from = msg->from ? unix_name_ref(msg->from) : NULL;
            memcpy(copy->data, msg->data, msg->size);
            list_init(&copy->node);
            r = copy_control(&copy->control, &msg->control);
        }
        msg = copy;
    } else {
        list_del(&msg->node);
        s->queued_bytes -= msg->size;
        s->queued_messages--;
    }
    mutex_unlock(&s->lock);
    if (!msg)
        return -ENOMEM;
    if (peek) {
        unix_flight_looked(&msg->control);
    } else {
        unix_flight_end(&msg->control);
        wake_senders(s);
    }
    size_t take = MIN(msg->size, m->data->remaining);
    ssize_t done = r < 0 ? r : take > 0 ? uio_write(m->data, msg->data, take) : 0;
    if (done >= 0) {
        *m->control = msg->control;
        msg->control = (struct socket_control){0};
        if (m->address)
            unix_name_fill(msg->from, m->address);
        if (m->address && !msg->from)
            m->address->len = 0;
        if (take < msg->size)
            m->ret_flags |= LINUX_MSG_TRUNC;
        if (m->flags & LINUX_MSG_TRUNC)
            done = (ssize_t)msg->size;
        if (s->type == LINUX_SOCK_SEQPACKET)
            m->ret_flags |= LINUX_MSG_EOR;
    }
    unix_message_free(msg);
    return done;
}

/* May bytes of `msg` follow those of another sender in one read? Not behind those that came with descriptors,
 * nor (with SO_PASSCRED) where identities differ: unix(7). */
static bool same_source(const struct unix_message *msg, const struct socket_control *got,
                        bool pass_credentials) {
    if (got->file_count > 0)
        return false;
    return !pass_credentials ||
           (msg->control.pid == got->pid && msg->control.uid == got->uid && msg->control.gid == got->gid);
}

/* What came with the first byte of a message goes to the reader; behind the first message of a read, its
 * descriptors only. */
static int hand_over_control(struct socket_control *to, struct socket_control *from, bool first, bool peek) {
    if (peek)
        return first || from->file_count > 0 ? copy_control(to, from) : 0;
    if (first) {
        *to = *from;
        *from = (struct socket_control){0};
    } else {
        to->files = from->files;
        to->file_count = from->file_count;
        to->payer = from->payer;
        from->files = NULL;
        from->file_count = 0;
        from->payer = NULL;
    }
    return 0;
}

/* Bytes of the stream's front for one step: copied to `chunk` and, without peek, taken. -EAGAIN: nothing
 * (more) fits. */
static ssize_t take_stream(struct unix_sock *s, struct socket_message *m, bool pass_credentials, size_t skip,
                           unsigned char *chunk, size_t want, bool first) {
    bool peek = m->flags & LINUX_MSG_PEEK;
    struct unix_message *msg;
    ssize_t got = -EAGAIN;

    mutex_lock(&s->lock);
    list_for_each_entry(msg, &s->messages, node) {
        size_t left = msg->size - msg->offset;
        if (skip >= left && left > 0) {
            skip -= left;
            continue;
        }
        if (!first && !same_source(msg, m->control, pass_credentials))
            break;
        got = (ssize_t)MIN(want, left - skip);
        memcpy(chunk, msg->data + msg->offset + skip, (size_t)got);
        if (peek && !first)
            socket_control_done(m->control); /* looked at again with this message's descriptors */
        if (hand_over_control(m->control, &msg->control, first, peek) < 0)
            got = -ENOMEM;
        if (peek)
            break;
        msg->offset += (size_t)got;
        s->queued_bytes -= (size_t)got;
        break;
    }
    struct unix_message *done = NULL;
    if (got >= 0 && !peek && msg->offset == msg->size) {
        done = msg;
        list_del(&done->node);
        s->queued_messages--;
    }
    if (got == -EAGAIN && first)
        got = nothing_there(s);
    mutex_unlock(&s->lock);
    if (peek)
        unix_flight_looked(m->control);
    else
        unix_flight_end(m->control);
    if (done)
        unix_message_free(done);
    return got;
}

/* Takes what is there, up to what is asked for; -EAGAIN or 0 (end) if nothing. */
static ssize_t receive_stream(struct socket *s, struct socket_message *m, size_t already) {
    struct unix_sock *sock = unix_of(s)->sock;
    unsigned char *chunk = heap_alloc_bytes(UNIX_CHUNK);
    bool peek = m->flags & LINUX_MSG_PEEK;
    size_t skip = peek && unix_of(s)->peek_offset >= 0 ? (size_t)unix_of(s)->peek_offset : 0;
    ssize_t done = 0, got = -EAGAIN;

    if (!chunk)
        return -ENOMEM;
    while (m->data->remaining > 0) {
        size_t want = MIN(m->data->remaining, (uint64_t)UNIX_CHUNK);
        bool first = already == 0 && done == 0;
        got = take_stream(sock, m, s->pass_credentials, skip + (peek ? (size_t)done : 0), chunk, want, first);
        if (got <= 0)
            break;
        ssize_t put = m->flags & LINUX_MSG_TRUNC ? got : uio_write(m->data, chunk, (size_t)got);
        if (m->flags & LINUX_MSG_TRUNC)
            m->data->remaining -= (uint64_t)got;
        if (put <= 0) {
            got = put;
            break;
        }
        done += put;
    }
    heap_free(chunk);
    if (done > 0 && !peek)
        wake_senders(sock);
    if (done > 0 && peek && unix_of(s)->peek_offset >= 0)
        unix_of(s)->peek_offset += (int)done;
    return done > 0 ? done : got;
}

ssize_t unix_op_recv(struct socket *s, struct task *t, struct socket_message *m) {
    struct unix_sock *sock = unix_of(s)->sock;
    bool wait = !(m->flags & LINUX_MSG_DONTWAIT) && !file_nonblocking(&s->file), stream = is_stream(sock);
    bool all = stream && (m->flags & LINUX_MSG_WAITALL) && !(m->flags & LINUX_MSG_PEEK);
    size_t done = 0;

    if (m->flags & LINUX_MSG_OOB)
        return -EOPNOTSUPP;
    if (m->address)
        m->address->len = 0;
    for (;;) {
        ssize_t got = stream ? receive_stream(s, m, done) : receive_message(sock, m);
        if (got > 0)
            done += (size_t)got;
        if (got >= 0 && (!all || got == 0 || m->data->remaining == 0))
            return (ssize_t)done;
        if (got < 0 && got != -EAGAIN)
            return done > 0 ? (ssize_t)done : got;
        if (got > 0)
            continue;
        if (!wait || !t)
            return done > 0 ? (ssize_t)done : -EAGAIN;
        int r = file_wait(t, &s->file, LINUX_POLLIN, m->deadline ? m->deadline : CLOCK_NEVER);
        if (r < 0)
            return done > 0 ? (ssize_t)done : r == -ETIMEDOUT ? -EAGAIN : r;
    }
}

/* ---- readiness ---- */

size_t unix_bytes_queued(struct unix_sock *s, bool first_only) {
    mutex_lock(&s->lock);
    size_t bytes = s->queued_bytes;
    if (first_only)
        bytes =
            list_empty(&s->messages) ? 0 : list_first_entry(&s->messages, struct unix_message, node)->size;
    mutex_unlock(&s->lock);
    return bytes;
}

/* Would a send of one byte find room at the peer? */
static bool has_room(struct unix_sock *s, size_t limit) {
    struct unix_sock *peer = unix_peer(s);
    bool room = true;

    if (peer) {
        mutex_lock(&peer->lock);
        room = peer->dead || (peer->queued_bytes <= limit / 2 &&
                              (!is_datagram(peer) || peer->queued_messages < UNIX_DGRAM_QUEUE_MAX));
        mutex_unlock(&peer->lock);
    }
    unix_sock_unref(peer);
    return room;
}

uint32_t unix_file_ready(struct file *f, uint32_t events) {
    struct socket *s = container_of(f, struct socket, file);
    struct unix_sock *sock = unix_of(s)->sock;
    uint32_t ready = 0;

    mutex_lock(&sock->lock);
    bool listening = sock->state == UNIX_LISTENING, connected = sock->state == UNIX_CONNECTED;
    if (listening ? !list_empty(&sock->accept_queue) : !list_empty(&sock->messages))
        ready |= LINUX_POLLIN | LINUX_POLLRDNORM;
    if (sock->shutdown & UNIX_SHUT_READ)
        ready |= LINUX_POLLIN | LINUX_POLLRDNORM | LINUX_POLLRDHUP;
    if (sock->shutdown == (UNIX_SHUT_READ | UNIX_SHUT_WRITE) ||
        (!is_datagram(sock) && !connected && !listening))
        ready |= LINUX_POLLHUP;
    if (sock->reset || s->error)
        ready |= LINUX_POLLERR;
    mutex_unlock(&sock->lock);
    if (!listening && has_room(sock, s->send_buffer))
        ready |= LINUX_POLLOUT | LINUX_POLLWRNORM;
    return ready & (events | LINUX_POLLHUP | LINUX_POLLERR);
}
