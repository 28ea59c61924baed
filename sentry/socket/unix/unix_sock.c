/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/unix/unix_sock.c: the objects of AF_UNIX, their files and options. Source: unix(7),
 * socketpair(2).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/ioctl.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/socket/inet/netdev.h"
#include "sentry/socket/unix/unix_internal.h"
#include "sentry/vfs/vfs.h"

HEAP_TYPE(unix_sock, struct unix_sock, 0);
HEAP_TYPE(unix_socket, struct unix_socket, 0);

/* ---- credentials ---- */

void unix_credentials_done(struct unix_credentials *c) {
    pid_unref(c->pid);
    heap_free(c->groups);
    *c = (struct unix_credentials){.uid = INVALID_ID, .gid = INVALID_ID};
}

void unix_credentials_take(struct unix_credentials *c, struct task *t) {
    const struct creds *own = task_creds(t);

    unix_credentials_done(c);
    c->pid = pid_ref(t->group->pid);
    c->uid = own->euid;
    c->gid = own->egid;
    c->groups = own->group_count ? heap_alloc_bytes(own->group_count * sizeof *c->groups) : NULL;
    c->group_count = c->groups ? own->group_count : 0;
    if (c->groups)
        memcpy(c->groups, own->groups, c->group_count * sizeof *c->groups);
}

void unix_credentials_copy(struct unix_credentials *to, const struct unix_credentials *from) {
    unix_credentials_done(to);
    *to = *from;
    if (to->pid)
        pid_ref(to->pid);
    to->groups = from->group_count ? heap_alloc_bytes(from->group_count * sizeof *to->groups) : NULL;
    to->group_count = to->groups ? from->group_count : 0;
    if (to->groups)
        memcpy(to->groups, from->groups, to->group_count * sizeof *to->groups);
}

/* ---- socks ---- */

/* A message may hold the last reference of a socket with a message that holds the last of another, and so on:
 * a guest chooses the depth. What ends while a message is being freed waits on a list of the outermost call.
 */
void unix_message_free(struct unix_message *m) {
    static _Thread_local struct list t_waiting; /* empty but during the outermost call */
    static _Thread_local bool t_freeing;

    if (t_freeing) {
        list_add_tail(&t_waiting, &m->node);
        return;
    }
    t_freeing = true;
    list_init(&t_waiting);
    list_add_tail(&t_waiting, &m->node);
    while (!list_empty(&t_waiting)) {
        m = list_first_entry(&t_waiting, struct unix_message, node);
        list_del(&m->node);
        unix_flight_end(&m->control);
        socket_control_done(&m->control);
        unix_name_unref(m->from);
        heap_free(m);
    }
    t_freeing = false;
}

static void sock_destroy(struct unix_sock *s) {
    struct unix_message *m, *next;

    list_for_each_entry_safe(m, next, &s->messages, node) {
        list_del(&m->node);
        unix_message_free(m);
    }
    ASSERT(list_empty(&s->accept_queue));
    ASSERT(!s->peer);
    unix_name_unref(s->name);
    unix_credentials_done(&s->own);
    unix_credentials_done(&s->peer_credentials);
    heap_free(s);
}
DEFINE_REF(unix_sock, sock_destroy);

struct unix_sock *unix_sock_new(int type) {
    struct unix_sock *s = heap_new(unix_sock);

    if (!s)
        return NULL;
    unix_sock_ref_init(s);
    s->type = type;
    mutex_init(&s->lock, RANK_SOCKET);
    list_init(&s->all_node);
    list_init(&s->messages);
    list_init(&s->connectors);
    list_init(&s->connector_node);
    list_init(&s->accept_queue);
    list_init(&s->accept_node);
    list_init(&s->flight_node);
    s->send_limit = 212992;
    s->own.uid = s->own.gid = s->peer_credentials.uid = s->peer_credentials.gid = INVALID_ID;
    waitq_init(&s->queue);
    waitq_init(&s->space_queue);
    return s;
}

/* Address order. */
void unix_lock_two(struct unix_sock *a, struct unix_sock *b) {
    if (a == b) {
        mutex_lock(&a->lock);
        return;
    }
    mutex_lock(a < b ? &a->lock : &b->lock);
    mutex_lock_nested(a < b ? &b->lock : &a->lock);
}

void unix_unlock_two(struct unix_sock *a, struct unix_sock *b) {
    if (a != b)
        mutex_unlock(&b->lock);
    mutex_unlock(&a->lock);
}

struct unix_sock *unix_peer(struct unix_sock *s) {
    mutex_lock(&s->lock);
    struct unix_sock *peer = s->peer ? unix_sock_ref(s->peer) : NULL;
    mutex_unlock(&s->lock);
    return peer;
}

/* ---- options ---- */

static int set_option(struct socket *s, struct task *t, int level, int name, const void *value,
                      uint32_t len) {
    (void)t;
    if (level != LINUX_SOL_SOCKET)
        return -EOPNOTSUPP;
    if (name == LINUX_SO_PEEK_OFF && len >= 4) {
        memcpy(&unix_of(s)->peek_offset, value, 4);
        return 0;
    }
    return -ENOPROTOOPT;
}

static int get_peer_credentials(struct unix_sock *sock, struct task *t, void *value, uint32_t *len) {
    struct user_ns *ns = task_creds(t)->user_ns;
    struct linux_ucred u = {.pid = 0, .uid = INVALID_ID, .gid = INVALID_ID};

    mutex_lock(&sock->lock);
    const struct unix_credentials *c = &sock->peer_credentials;
    if (c->pid) {
        u.pid = pid_nr(c->pid, task_pid_ns(t));
        u.uid = from_kuid(ns, c->uid);
        u.gid = from_kgid(ns, c->gid);
    }
    mutex_unlock(&sock->lock);
    *len = MIN(*len, (uint32_t)sizeof u);
    memcpy(value, &u, *len);
    return 0;
}

static int get_peer_groups(struct unix_sock *sock, struct task *t, void *value, uint32_t *len) {
    struct user_ns *ns = task_creds(t)->user_ns;
    int r = 0;

    mutex_lock(&sock->lock);
    const struct unix_credentials *c = &sock->peer_credentials;
    uint32_t size = (uint32_t)(c->group_count * sizeof(uint32_t));
    if (!c->pid)
        r = -ENODATA;
    else if (*len < size)
        r = -ERANGE;
    for (size_t i = 0; r == 0 && i < c->group_count; i++) {
        uint32_t gid = from_kgid(ns, c->groups[i]);
        memcpy((char *)value + i * sizeof gid, &gid, sizeof gid);
    }
    mutex_unlock(&sock->lock);
    if (r != -ENODATA)
        *len = size;
    return r;
}

static int get_option(struct socket *s, struct task *t, int level, int name, void *value, uint32_t *len) {
    struct unix_sock *sock = unix_of(s)->sock;
    int32_t number;

    if (level != LINUX_SOL_SOCKET)
        return -EOPNOTSUPP;
    switch (name) {
    case LINUX_SO_PEERCRED:
        return get_peer_credentials(sock, t, value, len);
    case LINUX_SO_PEERGROUPS:
        return get_peer_groups(sock, t, value, len);
    case LINUX_SO_ACCEPTCONN:
        number = sock->state == UNIX_LISTENING;
        break;
    case LINUX_SO_PEEK_OFF:
        number = unix_of(s)->peek_offset;
        break;
    default:
        return -ENOPROTOOPT;
    }
    *len = MIN(*len, (uint32_t)sizeof number);
    memcpy(value, &number, *len);
    return 0;
}

static int64_t op_ioctl(struct socket *s, struct task *t, uint32_t cmd, uint64_t arg) {
    struct unix_sock *sock = unix_of(s)->sock;
    int32_t number;

    if (cmd == LINUX_FIONREAD) {
        if (sock->state == UNIX_LISTENING)
            return -EINVAL;
        number = (int32_t)unix_bytes_queued(sock, /* first_only= */ sock->type != LINUX_SOCK_STREAM);
    } else if (cmd == LINUX_TIOCOUTQ) {
        struct unix_sock *peer = unix_peer(sock);
        number = peer ? (int32_t)unix_bytes_queued(peer, /* first_only= */ false) : 0;
        unix_sock_unref(peer);
    } else {
        return netdev_ioctl(task_net_namespace(t), t, cmd, arg);
    }
    return copy_out(t, arg, &number, sizeof number);
}

/* ---- files ---- */

static struct waitq *file_queue(struct file *f) {
    return &unix_of(container_of(f, struct socket, file))->sock->queue;
}

static int64_t file_ioctl(struct file *f, struct task *t, uint32_t cmd, uint64_t arg) {
    return socket_ioctl(container_of(f, struct socket, file), t, cmd, arg);
}

static void file_release(struct file *f) {
    struct unix_socket *u = unix_of(container_of(f, struct socket, file));

    unix_list_remove(u->sock);
    unix_sock_close(u->sock);
    unix_sock_unref(u->sock);
    file_done(f);
    heap_free(u);
    unix_flight_collect();
}

static const struct file_ops unix_file_ops = {
    .name = "unix",
    .read = socket_file_read,
    .write = socket_file_write,
    .ready = unix_file_ready,
    .poll_queue = file_queue,
    .ioctl = file_ioctl,
    .release = file_release,
};

static const struct socket_ops unix_socket_ops = {
    .bind = unix_op_bind,
    .connect = unix_op_connect,
    .listen = unix_op_listen,
    .accept = unix_op_accept,
    .get_name = unix_op_get_name,
    .shutdown = unix_op_shutdown,
    .send = unix_op_send,
    .recv = unix_op_recv,
    .set_option = set_option,
    .get_option = get_option,
    .ioctl = op_ioctl,
};

struct unix_sock *unix_sock_of_file(struct file *f) {
    return f->ops == &unix_file_ops ? unix_of(container_of(f, struct socket, file))->sock : NULL;
}

int unix_socket_new(struct task *t, struct unix_sock *sock, int protocol, uint32_t flags, struct file **ret) {
    struct unix_socket *u = heap_new(unix_socket);

    if (!u)
        return -ENOMEM;
    int r = socket_init(&u->socket, &unix_file_ops, &unix_socket_ops, t, LINUX_AF_UNIX, sock->type, protocol,
                        flags);
    if (r < 0) {
        heap_free(u);
        return r;
    }
    u->sock = sock;
    sock->inode = u->socket.file.inode->ino;
    unix_list_add(t->kernel, sock);
    u->peek_offset = -1;
    *ret = &u->socket.file;
    return 0;
}

static int check_type(int *type, int protocol) {
    if (protocol != 0 && protocol != LINUX_AF_UNIX)
        return -EPROTONOSUPPORT;
    if (*type == LINUX_SOCK_RAW) /* unix(7): as datagrams */
        *type = LINUX_SOCK_DGRAM;
    return *type == LINUX_SOCK_STREAM || *type == LINUX_SOCK_DGRAM || *type == LINUX_SOCK_SEQPACKET
               ? 0
               : -ESOCKTNOSUPPORT;
}

static int family_create(struct task *t, int type, int protocol, uint32_t flags, struct file **ret) {
    int r = check_type(&type, protocol);

    if (r < 0)
        return r;
    struct unix_sock *sock = unix_sock_new(type);
    if (!sock)
        return -ENOMEM;
    r = unix_socket_new(t, sock, protocol, flags, ret);
    if (r < 0)
        unix_sock_unref(sock);
    return r;
}

static int family_create_pair(struct task *t, int type, int protocol, uint32_t flags, struct file *ret[2]) {
    int r = check_type(&type, protocol);

    return r < 0 ? r : unix_pair(t, type, protocol, flags, ret);
}

static struct socket_family g_unix_family = {
    .family = LINUX_AF_UNIX, .create = family_create, .create_pair = family_create_pair};

__attribute__((constructor)) static void register_unix(void) {
    socket_family_register(&g_unix_family);
    socket_file_ops_register(&unix_file_ops);
}
