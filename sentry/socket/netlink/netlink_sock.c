/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/netlink_sock.c: netlink sockets: names, groups, queues, and the way of a request.
 * Source: netlink(7), bind(2), recvmsg(2).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/ioctl.h"
#include "base/abi/linux/poll.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/socket/inet/netdev.h"
#include "sentry/socket/netlink/netlink.h"
#include "sentry/vfs/vfs.h"

enum {
    CHUNK = 3776, /* as much as Linux puts into one datagram before it has seen a larger buffer */
    SEND_MAX = 212992 - 32,
    BUCKETS = 64,
    GROUP_WORDS = 2,
    CAP_NET_ADMIN_NR = 12,
    QUEUE_OVERHEAD = 512, /* what a datagram counts beside its bytes */
};

struct datagram {
    struct list node;
    uint32_t len, from, group;
    unsigned char data[];
};

struct netlink_socket {
    struct socket socket;      /* first */
    struct net_namespace *net; /* reference */
    const struct netlink_protocol *protocol;
    struct list table_node;       /* table.lock */
    uint32_t portid;              /* table.lock to change; 0: not bound */
    uint32_t peer;                /* connect(2)'s; table.lock */
    uint32_t groups[GROUP_WORDS]; /* table.lock */
    struct mutex lock;            /* RANK_NETLINK_QUEUE; to `overrun` */
    struct list queue;            /* datagrams */
    uint32_t queued, drops;
    bool overrun; /* ENOBUFS is due */
    bool cap_ack, ext_ack, pktinfo, no_enobufs, strict, all_nsid, broadcast_error;
    struct waitq waitq;
};
HEAP_TYPE(netlink_socket, struct netlink_socket, 0);

struct netlink_table {
    struct mutex lock; /* RANK_NETLINK */
    struct list sockets;
    uint32_t next_portid;
};
HEAP_TYPE(netlink_table, struct netlink_table, 0);

static struct netlink_protocol *g_protocols;
static const struct file_ops netlink_file_ops;
static const struct socket_ops netlink_socket_ops;

void netlink_protocol_register(struct netlink_protocol *p) {
    p->next = g_protocols;
    g_protocols = p;
}

static struct netlink_socket *netlink_of(struct socket *s) {
    return container_of(s, struct netlink_socket, socket);
}

static struct netlink_table *table_of(struct kernel *k) {
    return k->netlink;
}

int netlink_create(struct kernel *k) {
    struct netlink_table *table = heap_new(netlink_table);

    if (!table)
        return -ENOMEM;
    mutex_init(&table->lock, RANK_NETLINK);
    list_init(&table->sockets);
    table->next_portid = 0xffffefff; /* downwards, as "negative" numbers: they are nobody's pid */
    k->netlink = table;
    return 0;
}

void netlink_destroy(struct kernel *k) {
    ASSERT(!k->netlink || list_empty(&k->netlink->sockets));
    heap_free(k->netlink);
    k->netlink = NULL;
}

/* ---- queues ---- */

/* False: no room or no memory: the reader will hear of it. `bounded`: by the receive buffer. Answers to
 * requests are not, since a dump is made whole; instead no request is taken while more than a buffer lies
 * here unread. */
static bool queue(struct netlink_socket *s, const void *data, size_t len, uint32_t from, uint32_t group,
                  bool bounded) {
    struct datagram *d = heap_alloc_array(1, sizeof *d + len);

    if (d) {
        list_init(&d->node);
        d->len = (uint32_t)len;
        d->from = from;
        d->group = group;
        memcpy(d->data, data, len);
    }
    mutex_lock(&s->lock);
    bool ok = d && (!bounded || s->queued + len + QUEUE_OVERHEAD <= s->socket.receive_buffer);
    if (ok) {
        list_add_tail(&s->queue, &d->node);
        s->queued += (uint32_t)len + QUEUE_OVERHEAD;
    } else {
        s->drops++;
        s->overrun = !s->no_enobufs;
    }
    mutex_unlock(&s->lock);
    if (!ok)
        heap_free(d);
    waitq_wake(&s->waitq, ok ? LINUX_POLLIN | LINUX_POLLRDNORM : LINUX_POLLERR | LINUX_POLLIN);
    return ok;
}

bool is_netlink_file(const struct file *f) {
    return f->ops == &netlink_file_ops;
}

void netlink_deliver(struct file *f, const void *data, size_t len) {
    (void)queue(netlink_of(container_of(f, struct socket, file)), data, len, /* from= */ 0, /* group= */ 0,
                /* bounded= */ true);
}

/* Is there more than a receive buffer's worth that nobody has read? */
static bool clogged(struct netlink_socket *s) {
    mutex_lock(&s->lock);
    bool full = s->queued > s->socket.receive_buffer;
    s->overrun |= full && !s->no_enobufs;
    mutex_unlock(&s->lock);
    return full;
}

static bool in_group(const struct netlink_socket *s, unsigned group) {
    return group > 0 && group <= 32 * GROUP_WORDS && s->groups[(group - 1) / 32] >> ((group - 1) % 32) & 1;
}

bool netlink_has_listeners(struct net_namespace *net, int protocol, uint32_t mask) {
    struct netlink_table *table = table_of(net->kernel);
    struct netlink_socket *s;
    bool any = false;

    mutex_lock(&table->lock);
    list_for_each_entry(s, &table->sockets, table_node) {
        if (s->net == net && s->protocol->protocol == protocol && s->groups[0] & mask)
            any = true;
    }
    mutex_unlock(&table->lock);
    return any;
}

void netlink_multicast(struct net_namespace *net, int protocol, unsigned group, const void *data,
                       size_t len) {
    struct netlink_table *table = table_of(net->kernel);
    struct netlink_socket *s;

    mutex_lock(&table->lock);
    list_for_each_entry(s, &table->sockets, table_node) {
        if (s->net == net && s->protocol->protocol == protocol && in_group(s, group))
            queue(s, data, len, 0, group, /* bounded= */ true);
    }
    mutex_unlock(&table->lock);
}

void netlink_each(struct net_namespace *net, void (*fn)(void *ctx, const struct netlink_info *i), void *ctx) {
    struct netlink_table *table = table_of(net->kernel);
    struct netlink_socket *s;

    mutex_lock(&table->lock);
    list_for_each_entry(s, &table->sockets, table_node) {
        if (s->net != net)
            continue;
        struct netlink_info i = {.protocol = s->protocol->protocol,
                                 .portid = s->portid,
                                 .groups = s->groups[0],
                                 .rqueue = s->queued,
                                 .drops = s->drops,
                                 .inode = s->socket.file.inode->ino};
        fn(ctx, &i);
    }
    mutex_unlock(&table->lock);
}

/* ---- names ---- */

static struct netlink_socket *find_locked(struct netlink_table *table, const struct netlink_socket *like,
                                          uint32_t portid) {
    struct netlink_socket *s;

    list_for_each_entry(s, &table->sockets, table_node) {
        if (s->portid == portid && s->net == like->net && s->protocol == like->protocol)
            return s;
    }
    return NULL;
}

/* The sender's pid if that is free, as Linux. */
static int autobind_locked(struct netlink_table *table, struct netlink_socket *s, struct task *t) {
    uint32_t portid = t ? (uint32_t)task_tgid(t) : 0;

    if (s->portid)
        return 0;
    while (portid == 0 || find_locked(table, s, portid))
        portid = table->next_portid--;
    s->portid = portid;
    return 0;
}

static void autobind(struct netlink_socket *s, struct task *t) {
    struct netlink_table *table = table_of(s->net->kernel);

    mutex_lock(&table->lock);
    autobind_locked(table, s, t);
    mutex_unlock(&table->lock);
}

static int may_join(const struct netlink_socket *s, struct task *t) {
    return s->protocol->anybody_listens || task_capable_in(t, s->net->user_ns, CAP_NET_ADMIN_NR) ? 0 : -EPERM;
}

static int take_address(const struct socket_address *a, struct linux_sockaddr_nl *ret) {
    if (a->len < sizeof *ret)
        return -EINVAL;
    memcpy(ret, &a->storage, sizeof *ret);
    return ret->family == LINUX_AF_NETLINK ? 0 : -EINVAL;
}

static int op_bind(struct socket *base, struct task *t, const struct socket_address *address) {
    struct netlink_socket *s = netlink_of(base);
    struct netlink_table *table = table_of(s->net->kernel);
    struct linux_sockaddr_nl nl;
    int r = take_address(address, &nl);

    if (r == 0 && nl.groups)
        r = may_join(s, t);
    if (r < 0)
        return r;
    mutex_lock(&table->lock);
    if (s->portid && nl.pid != s->portid) {
        r = -EINVAL;
    } else if (!s->portid && nl.pid) {
        r = find_locked(table, s, nl.pid) ? -EADDRINUSE : 0;
        if (r == 0)
            s->portid = nl.pid;
    } else {
        r = autobind_locked(table, s, t);
    }
    if (r == 0)
        s->groups[0] = s->protocol->groups >= 32 ? nl.groups : nl.groups & ((1u << s->protocol->groups) - 1);
    mutex_unlock(&table->lock);
    return r;
}

static int op_connect(struct socket *base, struct task *t, const struct socket_address *address) {
    struct netlink_socket *s = netlink_of(base);
    struct linux_sockaddr_nl nl = {0};

    if (address->len < sizeof nl.family)
        return -EINVAL;
    if (address->storage.family != LINUX_AF_UNSPEC) {
        int r = take_address(address, &nl);
        if (r < 0)
            return r;
    }
    if (nl.pid && !task_capable_in(t, s->net->user_ns, CAP_NET_ADMIN_NR) && s->protocol->handle)
        return -EPERM;
    autobind(s, t);
    s->peer = nl.pid;
    return 0;
}

static void fill_name(struct socket_address *ret, uint32_t pid, uint32_t groups) {
    struct linux_sockaddr_nl nl = {.family = LINUX_AF_NETLINK, .pid = pid, .groups = groups};

    ret->len = sizeof nl;
    memcpy(&ret->storage, &nl, sizeof nl);
}

static int op_get_name(struct socket *base, bool peer, struct socket_address *ret) {
    struct netlink_socket *s = netlink_of(base);

    fill_name(ret, peer ? s->peer : s->portid, peer ? 0 : s->groups[0]);
    return 0;
}

/* ---- requests ---- */

bool netlink_capable(struct netlink_request *r, int cap) {
    return task_capable_in(r->task, r->net->user_ns, cap);
}

/* Messages go out whole, several in one datagram as they fit. */
static void deliver(struct netlink_socket *s, const struct nl_out *o) {
    size_t from = 0, at = 0;

    while (at < o->len) {
        struct linux_nlmsghdr h;
        memcpy(&h, o->data + at, sizeof h);
        size_t end = at + LINUX_NLMSG_ALIGN(h.len);
        bool multi = h.flags & LINUX_NLM_F_MULTI;
        if (at > from && (end - from > CHUNK || !multi)) {
            queue(s, o->data + from, at - from, 0, 0, /* bounded= */ false);
            from = at;
        }
        at = end;
    }
    if (at > from)
        queue(s, o->data + from, at - from, 0, 0, /* bounded= */ false);
}

static void put_ack(struct netlink_request *r, int error) {
    bool capped = error == 0 || r->socket->cap_ack;
    struct {
        int32_t error;
        struct linux_nlmsghdr h;
    } fixed = {.error = error, .h = r->h};

    nl_begin(&r->out, LINUX_NLMSG_ERROR, capped ? LINUX_NLM_F_CAPPED : 0, &fixed, sizeof fixed);
    if (!capped) /* the request comes back whole: netlink(7) */
        nl_raw(&r->out, r->payload, r->size);
    nl_end(&r->out);
}

static void put_done(struct netlink_request *r) {
    int32_t result = 0;

    nl_begin(&r->out, LINUX_NLMSG_DONE, LINUX_NLM_F_MULTI, &result, sizeof result);
    nl_end(&r->out);
}

static int handle_one(struct netlink_request *r) {
    if (!(r->h.flags & LINUX_NLM_F_REQUEST) || r->h.type < LINUX_NLMSG_MIN_TYPE)
        return 0;
    return r->socket->protocol->handle ? r->socket->protocol->handle(r) : -EOPNOTSUPP;
}

static void handle_all(struct netlink_socket *s, struct task *t, const unsigned char *data, size_t size,
                       struct netlink_batch **batch) {
    while (size >= sizeof(struct linux_nlmsghdr)) {
        struct netlink_request r = {.socket = s, .task = t, .net = s->net, .batch = batch};
        memcpy(&r.h, data, sizeof r.h);
        if (r.h.len < sizeof r.h || r.h.len > size || clogged(s))
            return;
        r.payload = data + sizeof r.h;
        r.size = r.h.len - sizeof r.h;
        r.out.seq = r.h.seq;
        r.out.pid = s->portid;
        int error = handle_one(&r);
        if (r.out.failed) {
            r.out.failed = false;
            nl_out_done(&r.out);
            error = -ENOBUFS;
        }
        if (error == 0 && r.dumped)
            put_done(&r);
        else if (error < 0 || r.h.flags & LINUX_NLM_F_ACK)
            put_ack(&r, error);
        deliver(s, &r.out);
        nl_out_done(&r.out);
        size_t step = MIN((size_t)LINUX_NLMSG_ALIGN(r.h.len), size);
        data += step;
        size -= step;
    }
}

static void handle(struct netlink_socket *s, struct task *t, const unsigned char *data, size_t size) {
    struct netlink_batch *batch = NULL;

    handle_all(s, t, data, size, &batch);
    if (batch)
        s->protocol->abandon(
            &(struct netlink_request){.socket = s, .task = t, .net = s->net, .batch = &batch});
}

/* Another program's socket, by its number. */
static int unicast(struct netlink_socket *s, uint32_t to, const void *data, size_t len) {
    struct netlink_table *table = table_of(s->net->kernel);

    mutex_lock(&table->lock);
    struct netlink_socket *target = find_locked(table, s, to);
    int r = !target                                                       ? -ECONNREFUSED
            : queue(target, data, len, s->portid, 0, /* bounded= */ true) ? 0
                                                                          : -EAGAIN;
    mutex_unlock(&table->lock);
    return r;
}

static ssize_t op_send(struct socket *base, struct task *t, struct socket_message *m) {
    struct netlink_socket *s = netlink_of(base);
    size_t size = (size_t)m->data->remaining;
    struct linux_sockaddr_nl to = {.pid = s->peer};
    int r = 0;

    if (m->flags & LINUX_MSG_OOB)
        return -EOPNOTSUPP;
    if (m->address && m->address->len > 0)
        r = take_address(m->address, &to);
    if (r == 0 && (to.groups || to.pid) && s->protocol->handle &&
        !task_capable_in(t, s->net->user_ns, CAP_NET_ADMIN_NR))
        r = -EPERM;
    if (r == 0 && size > SEND_MAX)
        r = -EMSGSIZE;
    if (r < 0 || !t)
        return r < 0 ? r : -EINVAL;
    autobind(s, t);
    unsigned char *data = heap_alloc_bytes(MAX(size, (size_t)1));
    if (!data)
        return -ENOBUFS;
    r = size == 0 || uio_read(m->data, data, size) == (ssize_t)size ? 0 : -EFAULT;
    if (r == 0 && to.groups)
        netlink_multicast(s->net, s->protocol->protocol, (unsigned)__builtin_ctz(to.groups) + 1, data, size);
    if (r == 0 && to.pid)
        r = unicast(s, to.pid, data, size);
    else if (r == 0 && s->protocol->handle)
        handle(s, t, data, size);
    else if (r == 0 && !to.groups)
        r = -ECONNREFUSED;
    heap_free(data);
    return r < 0 ? r : (ssize_t)size;
}

/* ---- receiving ---- */

static ssize_t take(struct netlink_socket *s, struct socket_message *m, struct datagram **ret) {
    mutex_lock(&s->lock);
    struct datagram *d = list_empty(&s->queue) ? NULL : list_first_entry(&s->queue, struct datagram, node);
    ssize_t r = d ? (ssize_t)d->len : -EAGAIN;
    if (s->overrun) {
        s->overrun = false;
        r = -ENOBUFS;
        d = NULL;
    }
    if (d && m->flags & LINUX_MSG_PEEK) {
        struct datagram *copy = heap_alloc_array(1, sizeof *copy + d->len);
        if (copy) {
            memcpy(copy, d, sizeof *copy + d->len);
            list_init(&copy->node);
        }
        d = copy;
        r = copy ? r : -ENOBUFS;
    } else if (d) {
        list_del(&d->node);
        s->queued -= d->len + QUEUE_OVERHEAD;
    }
    mutex_unlock(&s->lock);
    *ret = d;
    return r;
}

static ssize_t op_recv(struct socket *base, struct task *t, struct socket_message *m) {
    struct netlink_socket *s = netlink_of(base);
    bool wait = t && !(m->flags & LINUX_MSG_DONTWAIT) && !file_nonblocking(&base->file);
    struct datagram *d;
    ssize_t r;

    if (m->flags & LINUX_MSG_OOB)
        return -EOPNOTSUPP;
    while ((r = take(s, m, &d)) == -EAGAIN && wait) {
        int w = file_wait(t, &base->file, LINUX_POLLIN, m->deadline ? m->deadline : CLOCK_NEVER);
        if (w < 0)
            return w == -ETIMEDOUT ? -EAGAIN : w;
    }
    if (!d)
        return r;
    size_t size = MIN((size_t)d->len, (size_t)m->data->remaining);
    if (size > 0 && uio_write(m->data, d->data, size) < (ssize_t)size)
        r = -EFAULT;
    if (m->address)
        fill_name(m->address, d->from, d->group ? 1u << (d->group - 1) % 32 : 0);
    if (size < d->len)
        m->ret_flags |= LINUX_MSG_TRUNC;
    m->net.have = s->pktinfo ? NS_CMSG_PKTINFO : 0;
    m->net.ifindex = d->group;
    heap_free(d);
    return r < 0 || m->flags & LINUX_MSG_TRUNC ? r : (ssize_t)size;
}

static int op_control_in(struct socket *base, struct task *t, struct socket_message *m,
                         const struct linux_cmsghdr *h, const void *data, size_t size) {
    (void)base, (void)t, (void)m, (void)data, (void)size;
    return h->level != LINUX_SOL_SOCKET || h->type == LINUX_SCM_CREDENTIALS || h->type == LINUX_SCM_RIGHTS
               ? 0
               : -EINVAL;
}

static int op_control_out(struct socket *base, struct task *t, struct socket_message *m,
                          struct control_out *o) {
    (void)base, (void)t;
    if (!(m->net.have & NS_CMSG_PKTINFO))
        return 0;
    uint32_t group = m->net.ifindex; /* struct nl_pktinfo */
    return control_put(o, LINUX_SOL_NETLINK, LINUX_NETLINK_PKTINFO, &group, sizeof group);
}

/* ---- options ---- */

static bool *flag_of(struct netlink_socket *s, int name) {
    switch (name) {
    case LINUX_NETLINK_PKTINFO:
        return &s->pktinfo;
    case LINUX_NETLINK_BROADCAST_ERROR:
        return &s->broadcast_error;
    case LINUX_NETLINK_NO_ENOBUFS:
        return &s->no_enobufs;
    case LINUX_NETLINK_LISTEN_ALL_NSID:
        return &s->all_nsid;
    case LINUX_NETLINK_CAP_ACK:
        return &s->cap_ack;
    case LINUX_NETLINK_EXT_ACK:
        return &s->ext_ack;
    case LINUX_NETLINK_GET_STRICT_CHK:
        return &s->strict;
    }
    return NULL;
}

static int change_membership(struct netlink_socket *s, struct task *t, bool join, uint32_t group) {
    struct netlink_table *table = table_of(s->net->kernel);
    int r = may_join(s, t);

    if (r < 0)
        return r;
    if (group == 0 || group > s->protocol->groups)
        return -EINVAL;
    uint32_t bit = 1u << (group - 1) % 32;
    mutex_lock(&table->lock);
    uint32_t *word = &s->groups[(group - 1) / 32];
    *word = join ? *word | bit : *word & ~bit;
    mutex_unlock(&table->lock);
    return 0;
}

static int op_set_option(struct socket *base, struct task *t, int level, int name, const void *value,
                         uint32_t len) {
    struct netlink_socket *s = netlink_of(base);
    uint32_t v = 0;

    if (level != LINUX_SOL_NETLINK)
        return -ENOPROTOOPT;
    if (len >= sizeof v)
        memcpy(&v, value, sizeof v);
    bool *flag = flag_of(s, name);
    if (len < sizeof v)
        return -EINVAL;
    if (name == LINUX_NETLINK_ADD_MEMBERSHIP || name == LINUX_NETLINK_DROP_MEMBERSHIP)
        return change_membership(s, t, name == LINUX_NETLINK_ADD_MEMBERSHIP, v);
    if (!flag)
        return -ENOPROTOOPT;
    if (flag == &s->all_nsid && !task_capable(t, CAP_NET_ADMIN_NR))
        return -EPERM;
    *flag = v != 0;
    return 0;
}

static int op_get_option(struct socket *base, struct task *t, int level, int name, void *value,
                         uint32_t *len) {
    struct netlink_socket *s = netlink_of(base);
    int32_t v;

    (void)t;
    if (level == LINUX_SOL_SOCKET && name == LINUX_SO_ACCEPTCONN) {
        v = 0;
    } else if (level != LINUX_SOL_NETLINK) {
        return -ENOPROTOOPT;
    } else if (name == LINUX_NETLINK_LIST_MEMBERSHIPS) {
        uint32_t whole = (s->protocol->groups + 31) / 32 * 4;
        memcpy(value, s->groups, MIN(MIN(*len, whole) & ~3u, (uint32_t)sizeof s->groups));
        *len = whole;
        return 0;
    } else {
        const bool *flag = flag_of(s, name);
        if (!flag)
            return -ENOPROTOOPT;
        if (*len < sizeof v)
            return -EINVAL;
        v = *flag;
    }
    *len = MIN(*len, (uint32_t)sizeof v);
    memcpy(value, &v, *len);
    return 0;
}

static int64_t op_ioctl(struct socket *base, struct task *t, uint32_t cmd, uint64_t arg) {
    return netdev_ioctl(netlink_of(base)->net, t, cmd, arg);
}

/* ---- files ---- */

static uint32_t file_ready_now(struct file *f, uint32_t events) {
    struct netlink_socket *s = netlink_of(container_of(f, struct socket, file));
    uint32_t ready = LINUX_POLLOUT | LINUX_POLLWRNORM;

    mutex_lock(&s->lock);
    if (!list_empty(&s->queue))
        ready |= LINUX_POLLIN | LINUX_POLLRDNORM;
    if (s->overrun)
        ready |= LINUX_POLLERR | LINUX_POLLIN;
    mutex_unlock(&s->lock);
    return ready & (events | LINUX_POLLERR | LINUX_POLLHUP);
}

static struct waitq *file_queue(struct file *f) {
    return &netlink_of(container_of(f, struct socket, file))->waitq;
}

static int64_t file_ioctl(struct file *f, struct task *t, uint32_t cmd, uint64_t arg) {
    return socket_ioctl(container_of(f, struct socket, file), t, cmd, arg);
}

static void file_release(struct file *f) {
    struct netlink_socket *s = netlink_of(container_of(f, struct socket, file));
    struct netlink_table *table = table_of(s->net->kernel);
    struct datagram *d, *next;

    mutex_lock(&table->lock);
    list_del(&s->table_node);
    mutex_unlock(&table->lock);
    list_for_each_entry_safe(d, next, &s->queue, node) {
        list_del(&d->node);
        heap_free(d);
    }
    file_done(f);
    net_namespace_unref(s->net);
    heap_free(s);
}

static const struct file_ops netlink_file_ops = {
    .name = "netlink",
    .read = socket_file_read,
    .write = socket_file_write,
    .ready = file_ready_now,
    .poll_queue = file_queue,
    .ioctl = file_ioctl,
    .release = file_release,
};

static const struct socket_ops netlink_socket_ops = {
    .bind = op_bind,
    .connect = op_connect,
    .get_name = op_get_name,
    .send = op_send,
    .recv = op_recv,
    .control_in = op_control_in,
    .control_out = op_control_out,
    .set_option = op_set_option,
    .get_option = op_get_option,
    .ioctl = op_ioctl,
};

static int create(struct task *t, int type, int protocol, uint32_t flags, struct file **ret) {
    const struct netlink_protocol *p = g_protocols;

    if (type != LINUX_SOCK_RAW && type != LINUX_SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    while (p && p->protocol != protocol)
        p = p->next;
    if (!p)
        return -EPROTONOSUPPORT;
    struct netlink_socket *s = heap_new(netlink_socket);
    int r = s ? socket_init(&s->socket, &netlink_file_ops, &netlink_socket_ops, t, LINUX_AF_NETLINK, type,
                            protocol, flags)
              : -ENOMEM;
    if (r < 0) {
        heap_free(s);
        return r;
    }
    mutex_init(&s->lock, RANK_NETLINK_QUEUE);
    waitq_init(&s->waitq);
    list_init(&s->queue);
    list_init(&s->table_node);
    s->protocol = p;
    s->net = net_namespace_ref(task_net_namespace(t));
    struct netlink_table *table = table_of(t->kernel);
    mutex_lock(&table->lock);
    list_add_tail(&table->sockets, &s->table_node);
    mutex_unlock(&table->lock);
    *ret = &s->socket.file;
    return 0;
}

static struct socket_family g_netlink_family = {.family = LINUX_AF_NETLINK, .create = create};
/* Programs that wait for devices may listen; no device comes or goes. */
static struct netlink_protocol g_uevent = {
    .protocol = LINUX_NETLINK_KOBJECT_UEVENT, .groups = 32, .anybody_listens = true};
static struct netlink_protocol g_usersock = {
    .protocol = LINUX_NETLINK_USERSOCK, .groups = 32, .anybody_listens = true};

__attribute__((constructor)) static void register_netlink(void) {
    socket_family_register(&g_netlink_family);
    socket_file_ops_register(&netlink_file_ops);
    netlink_protocol_register(&g_uevent);
    netlink_protocol_register(&g_usersock);
}
