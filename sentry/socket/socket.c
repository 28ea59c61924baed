/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/socket.c: families, the generic part of sockets and its SOL_SOCKET options. Source:
 * socket(7).
 */
#include "sentry/socket/socket.h"

#include <errno.h>
#include <string.h>

#include "base/abi/linux/ioctl.h"
#include "base/abi/linux/stat.h"
#include "base/abi/linux/time.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"

enum {
    BUFFER_DEFAULT = 212992,
    BUFFER_MAX = 425984,
    BUFFER_MIN = 4608,
    RECEIVE_MIN = 2304,
    CAP_NET_ADMIN_NR = 12,
    MAX_SOCKET_OPS = 16
};

static struct socket_family *g_families;
static const struct file_ops
    *g_socket_ops[MAX_SOCKET_OPS]; /* one for each family compiled in; checked at registration */
static size_t g_socket_ops_count;

void socket_family_register(struct socket_family *family) {
    family->next = g_families;
    g_families = family;
}

struct socket_family *socket_family_find(int family) {
    for (struct socket_family *f = g_families; f; f = f->next)
        if (f->family == family)
            return f;
    return NULL;
}

void socket_file_ops_register(const struct file_ops *ops) {
    ASSERT(g_socket_ops_count < MAX_SOCKET_OPS);
    g_socket_ops[g_socket_ops_count++] = ops;
}

int socket_of(struct file *f, struct socket **ret) {
    for (size_t i = 0; i < g_socket_ops_count; i++) {
        if (f->ops == g_socket_ops[i]) {
            *ret = container_of(f, struct socket, file);
            return 0;
        }
    }
    return -ENOTSOCK;
}

int socket_init(struct socket *s, const struct file_ops *file_ops, const struct socket_ops *ops,
                struct task *t, int family, int type, int protocol, uint32_t flags) {
    s->ops = ops;
    s->family = family;
    s->type = type;
    s->protocol = protocol;
    mutex_init(&s->lock, RANK_LEAF);
    s->send_buffer = s->receive_buffer = BUFFER_DEFAULT;
    s->receive_low_water = 1;
    return file_init_anon(&s->file, file_ops, "socket", LINUX_S_IFSOCK, flags | 02 /* O_RDWR */,
                          FILE_READ | FILE_WRITE | FILE_STREAM | FILE_BLOCKS, task_creds(t));
}

/* ---- options ---- */

static int timeout_from(const void *value, uint32_t len, int64_t *ret) {
    struct linux_timeval tv;

    if (len < sizeof tv)
        return -EINVAL;
    memcpy(&tv, value, sizeof tv);
    if (tv.usec < 0 || tv.usec >= 1000000)
        return -EDOM;
    if (tv.sec < 0)
        *ret = 1; /* as good as no waiting */
    else if (tv.sec > INT64_MAX / NSEC_PER_SEC - 1)
        *ret = 0;
    else
        *ret = tv.sec * NSEC_PER_SEC + tv.usec * 1000;
    return 0;
}

static int set_buffer(struct socket *s, struct task *t, int name, uint32_t value) {
    bool force = name == LINUX_SO_SNDBUFFORCE || name == LINUX_SO_RCVBUFFORCE;
    bool send = name == LINUX_SO_SNDBUF || name == LINUX_SO_SNDBUFFORCE;

    if (force && !task_capable(t, CAP_NET_ADMIN_NR))
        return -EPERM;
    uint32_t doubled = MIN(value, force ? 0x3fffffffu : BUFFER_MAX / 2u) * 2;
    mutex_lock(&s->lock);
    if (send)
        s->send_buffer = MAX(doubled, (uint32_t)BUFFER_MIN);
    else
        s->receive_buffer = MAX(doubled, (uint32_t)RECEIVE_MIN);
    mutex_unlock(&s->lock);
    return 0;
}

static bool *flag_of(struct socket *s, int name) {
    switch (name) {
    case LINUX_SO_REUSEADDR:
        return &s->reuse_address;
    case LINUX_SO_REUSEPORT:
        return &s->reuse_port;
    case LINUX_SO_KEEPALIVE:
        return &s->keep_alive;
    case LINUX_SO_BROADCAST:
        return &s->broadcast;
    case LINUX_SO_PASSCRED:
        return &s->pass_credentials;
    case LINUX_SO_TIMESTAMP:
        return &s->timestamp;
    case LINUX_SO_OOBINLINE:
        return &s->oob_inline;
    case LINUX_SO_DONTROUTE:
        return &s->dont_route;
    case LINUX_SO_NO_CHECK:
        return &s->no_check;
    }
    return NULL;
}

static int set_linger(struct socket *s, const void *value, uint32_t len) {
    int32_t linger[2];

    if (len < sizeof linger)
        return -EINVAL;
    memcpy(linger, value, sizeof linger);
    mutex_lock(&s->lock);
    s->linger_on = linger[0] != 0;
    s->linger_seconds = linger[1];
    mutex_unlock(&s->lock);
    return 0;
}

static int set_generic(struct socket *s, struct task *t, int name, const void *value, uint32_t len) {
    int32_t number;

    if (name == LINUX_SO_LINGER)
        return set_linger(s, value, len);
    if (name == LINUX_SO_RCVTIMEO || name == LINUX_SO_RCVTIMEO_NEW)
        return timeout_from(value, len, &s->receive_timeout_ns);
    if (name == LINUX_SO_SNDTIMEO || name == LINUX_SO_SNDTIMEO_NEW)
        return timeout_from(value, len, &s->send_timeout_ns);
    if (len < sizeof number)
        return -EINVAL;
    memcpy(&number, value, sizeof number);
    bool *flag = flag_of(s, name);
    if (flag) {
        *flag = number != 0;
        return 0;
    }
    switch (name) {
    case LINUX_SO_SNDBUF:
    case LINUX_SO_RCVBUF:
    case LINUX_SO_SNDBUFFORCE:
    case LINUX_SO_RCVBUFFORCE:
        return set_buffer(s, t, name, (uint32_t)number);
    case LINUX_SO_PRIORITY:
        if (number < 0 || (number > 6 && !task_capable(t, CAP_NET_ADMIN_NR)))
            return -EPERM;
        s->priority = (uint32_t)number;
        return 0;
    case LINUX_SO_MARK:
        if (!task_capable(t, CAP_NET_ADMIN_NR))
            return -EPERM;
        s->mark = (uint32_t)number;
        return 0;
    case LINUX_SO_RCVLOWAT:
        s->receive_low_water = number <= 0 ? (number == 0 ? 1 : INT32_MAX) : number;
        return 0;
    case LINUX_SO_TYPE:
    case LINUX_SO_DOMAIN:
    case LINUX_SO_PROTOCOL:
    case LINUX_SO_ERROR:
    case LINUX_SO_ACCEPTCONN:
        return -ENOPROTOOPT;
    }
    return 1;
}

int socket_set_option(struct socket *s, struct task *t, int level, int name, const void *value,
                      uint32_t len) {
    if (s->ops->options_first) {
        int own = s->ops->set_option(s, t, level, name, value, len);
        return own <= 0 ? own : set_generic(s, t, name, value, len);
    }
    int r = level == LINUX_SOL_SOCKET ? set_generic(s, t, name, value, len) : 1;

    if (r <= 0)
        return r;
    return s->ops->set_option          ? s->ops->set_option(s, t, level, name, value, len)
           : level == LINUX_SOL_SOCKET ? -ENOPROTOOPT
                                       : -EOPNOTSUPP;
}

static void put(void *value, uint32_t *len, const void *from, uint32_t size) {
    *len = MIN(*len, size);
    memcpy(value, from, *len);
}

static void put_timeout(void *value, uint32_t *len, int64_t ns) {
    struct linux_timeval tv = {.sec = ns / NSEC_PER_SEC, .usec = ns % NSEC_PER_SEC / 1000};

    put(value, len, &tv, sizeof tv);
}

static int get_generic(struct socket *s, int name, void *value, uint32_t *len) {
    int32_t number;
    bool *flag = flag_of(s, name);

    switch (name) {
    case LINUX_SO_LINGER: {
        int32_t linger[2] = {s->linger_on, s->linger_seconds};
        put(value, len, linger, sizeof linger);
        return 0;
    }
    case LINUX_SO_RCVTIMEO:
    case LINUX_SO_RCVTIMEO_NEW:
        put_timeout(value, len, s->receive_timeout_ns);
        return 0;
    case LINUX_SO_SNDTIMEO:
    case LINUX_SO_SNDTIMEO_NEW:
        put_timeout(value, len, s->send_timeout_ns);
        return 0;
    case LINUX_SO_TYPE:
        number = s->type;
        break;
    case LINUX_SO_DOMAIN:
        number = s->family;
        break;
    case LINUX_SO_PROTOCOL:
        number = s->protocol;
        break;
    case LINUX_SO_ERROR:
        number = atomic_exchange(&s->error, 0);
        break;
    case LINUX_SO_SNDBUF:
        number = (int32_t)s->send_buffer;
        break;
    case LINUX_SO_RCVBUF:
        number = (int32_t)s->receive_buffer;
        break;
    case LINUX_SO_PRIORITY:
        number = (int32_t)s->priority;
        break;
    case LINUX_SO_MARK:
        number = (int32_t)s->mark;
        break;
    case LINUX_SO_RCVLOWAT:
        number = s->receive_low_water;
        break;
    case LINUX_SO_SNDLOWAT:
        number = 1;
        break;
    default:
        if (!flag)
            return 1;
        number = *flag;
    }
    put(value, len, &number, sizeof number);
    return 0;
}

int socket_get_option(struct socket *s, struct task *t, int level, int name, void *value, uint32_t *len) {
    if (s->ops->options_first) {
        int own = s->ops->get_option(s, t, level, name, value, len);
        return own <= 0 ? own : get_generic(s, name, value, len);
    }
    int r = level == LINUX_SOL_SOCKET ? get_generic(s, name, value, len) : 1;

    if (r <= 0)
        return r;
    return s->ops->get_option          ? s->ops->get_option(s, t, level, name, value, len)
           : level == LINUX_SOL_SOCKET ? -ENOPROTOOPT
                                       : -EOPNOTSUPP;
}

int64_t socket_ioctl(struct socket *s, struct task *t, uint32_t cmd, uint64_t arg) {
    return s->ops->ioctl ? s->ops->ioctl(s, t, cmd, arg) : -ENOTTY;
}

/* ---- read and write ---- */

/* With a time-out an interrupted call is not restarted: socket(7), SO_RCVTIMEO. */
static ssize_t finish(ssize_t r, int64_t timeout_ns) {
    return r == -ERESTARTSYS && timeout_ns > 0 ? -EINTR : r;
}

ssize_t socket_file_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct socket *s = container_of(f, struct socket, file);
    struct socket_control control = {0};
    struct socket_message m = {
        .data = to, .control = &control, .deadline = socket_deadline(s->receive_timeout_ns)};

    (void)offset;
    if (to->remaining == 0) /* as the first Unix did: read(2) of nothing asks for nothing */
        return 0;
    ssize_t r = s->ops->recv(s, to->task, &m);
    socket_control_done(&control);
    return finish(r, s->receive_timeout_ns);
}

ssize_t socket_file_write(struct file *f, struct uio *from, uint64_t *offset) {
    struct socket *s = container_of(f, struct socket, file);
    struct socket_control control = {0};
    struct socket_message m = {
        .data = from, .control = &control, .deadline = socket_deadline(s->send_timeout_ns)};

    (void)offset;
    ssize_t r = s->ops->send(s, from->task, &m);
    socket_control_done(&control);
    return finish(r, s->send_timeout_ns);
}
