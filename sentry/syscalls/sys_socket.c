/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_socket.c: the socket calls: they decode addresses, vectors and control messages and
 * call the family (sentry/socket/socket.h). Source: socket(2), bind(2), connect(2), accept(2), send(2),
 * recv(2), sendmmsg(2), recvmmsg(2), getsockopt(2).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/signal.h"
#include "base/abi/linux/time.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/socket/socket.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/landlock.h"

enum { OPTION_MAX = 4096, MMSG_MAX = 1024, TYPE_MASK = 0xf };

/* ---- helpers ---- */

/* The socket of a descriptor with a reference to its file in *ret_file. */
static int get_socket(struct task *t, uint64_t fd, struct file **ret_file, struct socket **ret) {
    struct file *f = fd_get(t, (int)fd);

    if (!f)
        return -EBADF;
    int r = socket_of(f, ret);
    if (r < 0) {
        file_unref(f);
        return r;
    }
    *ret_file = f;
    return 0;
}

static int address_in(struct task *t, gva_t from, uint64_t len, struct socket_address *ret) {
    if ((int)len < 0 || len > sizeof ret->storage)
        return -EINVAL;
    memset(&ret->storage, 0, sizeof ret->storage);
    ret->len = (uint32_t)len;
    return len ? copy_in(t, &ret->storage, from, len) : 0;
}

/* move_addr_to_user: value-result length; the full length is told even when the name was cut. */
static int address_out(struct task *t, const struct socket_address *a, gva_t to, gva_t len_at) {
    int32_t room;
    int r = copy_in(t, &room, len_at, sizeof room);

    if (r < 0)
        return r;
    if (room < 0)
        return -EINVAL;
    int32_t full = (int32_t)a->len;
    r = copy_out(t, to, &a->storage, (size_t)MIN(room, full));
    return r < 0 ? r : copy_out(t, len_at, &full, sizeof full);
}

static int64_t flags_of_type(uint64_t type, uint32_t *ret_flags) {
    if (type & ~(uint64_t)(TYPE_MASK | LINUX_SOCK_CLOEXEC | LINUX_SOCK_NONBLOCK))
        return -EINVAL;
    *ret_flags = (type & LINUX_SOCK_CLOEXEC ? LINUX_O_CLOEXEC : 0) |
                 (type & LINUX_SOCK_NONBLOCK ? LINUX_O_NONBLOCK : 0);
    return 0;
}

static int family_of(uint64_t family, struct socket_family **ret) {
    *ret = (int)family < 0 ? NULL : socket_family_find((int)family);
    return *ret ? 0 : -EAFNOSUPPORT;
}

/* ---- making ---- */

int64_t sys_socket(struct task *t, const struct syscall_args *a) {
    struct socket_family *family;
    struct file *f;
    uint32_t flags;
    int r = (int)flags_of_type(a->arg[1], &flags);

    if (r == 0)
        r = family_of(a->arg[0], &family);
    if (r == 0)
        r = family->create(t, (int)(a->arg[1] & TYPE_MASK), (int)a->arg[2], flags & LINUX_O_NONBLOCK, &f);
    if (r < 0)
        return r;
    r = fd_install(t, f, 0, flags & LINUX_O_CLOEXEC);
    if (r < 0)
        file_unref(f);
    return r;
}

int64_t sys_socketpair(struct task *t, const struct syscall_args *a) {
    struct socket_family *family;
    struct file *f[2];
    uint32_t flags;
    int32_t fds[2];
    int r = (int)flags_of_type(a->arg[1], &flags);

    if (r == 0)
        r = family_of(a->arg[0], &family);
    if (r == 0)
        r = family->create_pair ? family->create_pair(t, (int)(a->arg[1] & TYPE_MASK), (int)a->arg[2],
                                                      flags & LINUX_O_NONBLOCK, f)
                                : -EOPNOTSUPP;
    if (r < 0)
        return r;
    bool cloexec = flags & LINUX_O_CLOEXEC;
    fds[0] = fd_reserve(t, 0, cloexec);
    fds[1] = fds[0] < 0 ? fds[0] : fd_reserve(t, 0, cloexec);
    r = fds[1] < 0 ? fds[1] : copy_out(t, a->arg[3], fds, sizeof fds);
    for (int i = 0; i < 2; i++) {
        if (r == 0) {
            fd_fill(t, fds[i], f[i]);
            continue;
        }
        if (fds[i] >= 0)
            fd_unreserve(t, fds[i]);
        file_unref(f[i]);
    }
    return r;
}

/* ---- names ---- */

/* Ports of TCP that the task has renounced: landlock(7). */
static int check_renounced(struct task *t, const struct socket *s, const struct socket_address *a,
                           bool bind) {
    bool inet = s->family == LINUX_AF_INET || s->family == LINUX_AF_INET6;
    uint16_t family = a->storage.family;
    struct linux_sockaddr_in in;

    if (likely(!task_creds(t)->landlock) || !inet || s->type != LINUX_SOCK_STREAM ||
        (s->protocol != 0 && s->protocol != LINUX_IPPROTO_TCP))
        return 0;
    if (a->len < sizeof family)
        return -EINVAL;
    if (family != LINUX_AF_UNSPEC && family != LINUX_AF_INET && family != LINUX_AF_INET6)
        return 0;
    if (family == LINUX_AF_UNSPEC && !bind) /* to dissolve a connection */
        return 0;
    if (a->len < sizeof in || (family != LINUX_AF_UNSPEC && family != s->family))
        return -EINVAL;
    memcpy(&in, &a->storage, sizeof in); /* the port lies at one place in both families */
    return landlock_check_port(task_creds(t), __builtin_bswap16(in.port),
                               bind ? LINUX_LANDLOCK_NET_BIND_TCP : LINUX_LANDLOCK_NET_CONNECT_TCP);
}

int64_t sys_bind(struct task *t, const struct syscall_args *a) {
    struct socket_address address;
    struct file *f;
    struct socket *s;
    int r = get_socket(t, a->arg[0], &f, &s);

    if (r < 0)
        return r;
    r = address_in(t, a->arg[1], a->arg[2], &address);
    if (r == 0)
        r = check_renounced(t, s, &address, /* bind= */ true);
    if (r == 0)
        r = s->ops->bind ? s->ops->bind(s, t, &address) : -EOPNOTSUPP;
    file_unref(f);
    return r;
}

int64_t sys_connect(struct task *t, const struct syscall_args *a) {
    struct socket_address address;
    struct file *f;
    struct socket *s;
    int r = get_socket(t, a->arg[0], &f, &s);

    if (r < 0)
        return r;
    r = address_in(t, a->arg[1], a->arg[2], &address);
    if (r == 0)
        r = check_renounced(t, s, &address, /* bind= */ false);
    if (r == 0)
        r = s->ops->connect ? s->ops->connect(s, t, &address) : -EOPNOTSUPP;
    file_unref(f);
    return r;
}

int64_t sys_listen(struct task *t, const struct syscall_args *a) {
    struct file *f;
    struct socket *s;
    int r = get_socket(t, a->arg[0], &f, &s);

    if (r < 0)
        return r;
    r = s->ops->listen ? s->ops->listen(s, (int)a->arg[1]) : -EOPNOTSUPP;
    file_unref(f);
    return r;
}

static int64_t do_accept(struct task *t, uint64_t fd, gva_t addr, gva_t len_at, uint64_t how) {
    struct socket_address address;
    struct file *f, *new;
    struct socket *s;

    if (how & ~(uint64_t)(LINUX_SOCK_CLOEXEC | LINUX_SOCK_NONBLOCK))
        return -EINVAL;
    int r = get_socket(t, fd, &f, &s);
    if (r < 0)
        return r;
    r = fd_reserve(t, 0, how & LINUX_SOCK_CLOEXEC);
    if (r < 0) {
        file_unref(f);
        return r;
    }
    int number = r;
    r = s->ops->accept ? s->ops->accept(s, t, how & LINUX_SOCK_NONBLOCK ? LINUX_O_NONBLOCK : 0,
                                        addr ? &address : NULL, &new)
                       : -EOPNOTSUPP;
    file_unref(f);
    if (r == 0 && addr) {
        r = address_out(t, &address, addr, len_at);
        if (r < 0)
            file_unref(new);
    }
    if (r < 0) {
        fd_unreserve(t, number);
        return r;
    }
    fd_fill(t, number, new);
    return number;
}

int64_t sys_accept(struct task *t, const struct syscall_args *a) {
    return do_accept(t, a->arg[0], a->arg[1], a->arg[2], 0);
}

int64_t sys_accept4(struct task *t, const struct syscall_args *a) {
    return do_accept(t, a->arg[0], a->arg[1], a->arg[2], a->arg[3]);
}

static int64_t get_name(struct task *t, const struct syscall_args *a, bool peer) {
    struct socket_address address;
    struct file *f;
    struct socket *s;
    int r = get_socket(t, a->arg[0], &f, &s);

    if (r < 0)
        return r;
    r = s->ops->get_name ? s->ops->get_name(s, peer, &address) : -EOPNOTSUPP;
    if (r == 0)
        r = address_out(t, &address, a->arg[1], a->arg[2]);
    file_unref(f);
    return r;
}

int64_t sys_getsockname(struct task *t, const struct syscall_args *a) {
    return get_name(t, a, /* peer= */ false);
}

int64_t sys_getpeername(struct task *t, const struct syscall_args *a) {
    return get_name(t, a, /* peer= */ true);
}

int64_t sys_shutdown(struct task *t, const struct syscall_args *a) {
    struct file *f;
    struct socket *s;
    int r = get_socket(t, a->arg[0], &f, &s);

    if (r < 0)
        return r;
    r = s->ops->shutdown ? s->ops->shutdown(s, (int)a->arg[1]) : -EOPNOTSUPP;
    file_unref(f);
    return r;
}

/* ---- options ---- */

int64_t sys_setsockopt(struct task *t, const struct syscall_args *a) {
    unsigned char value[OPTION_MAX];
    struct file *f;
    struct socket *s;

    if ((int)a->arg[4] < 0)
        return -EINVAL;
    int r = get_socket(t, a->arg[0], &f, &s);
    if (r < 0)
        return r;
    uint32_t len = (uint32_t)MIN(a->arg[4], (uint64_t)sizeof value);
    r = 1;
    if (s->ops->set_large_option)
        r = s->ops->set_large_option(s, t, (int)a->arg[1], (int)a->arg[2], a->arg[3], (uint32_t)a->arg[4]);
    if (r <= 0) {
        file_unref(f);
        return r;
    }
    r = copy_in(t, value, a->arg[3], len);
    if (r == 0)
        r = socket_set_option(s, t, (int)a->arg[1], (int)a->arg[2], value, len);
    file_unref(f);
    return r;
}

int64_t sys_getsockopt(struct task *t, const struct syscall_args *a) {
    unsigned char value[OPTION_MAX];
    struct file *f;
    struct socket *s;
    int32_t given;
    int r = get_socket(t, a->arg[0], &f, &s);

    if (r < 0)
        return r;
    r = 1;
    if (s->ops->get_large_option)
        r = s->ops->get_large_option(s, t, (int)a->arg[1], (int)a->arg[2], a->arg[3], a->arg[4]);
    if (r <= 0) {
        file_unref(f);
        return r;
    }
    r = copy_in(t, &given, a->arg[4], sizeof given);
    if (r == 0 && given < 0)
        r = -EINVAL;
    uint32_t len = r == 0 ? (uint32_t)MIN(given, (int32_t)sizeof value) : 0;
    if (r == 0 && a->arg[1] == LINUX_SOL_PACKET && len > 0) /* PACKET_HDRLEN is asked about a version */
        r = copy_in(t, value, a->arg[3], MIN(len, (uint32_t)sizeof given));
    if (r == 0)
        r = socket_get_option(s, t, (int)a->arg[1], (int)a->arg[2], value, &len);
    /* SO_GET_FILTER counts instructions, in and out */
    bool filter = a->arg[1] == LINUX_SOL_SOCKET && a->arg[2] == LINUX_SO_GET_FILTER;
    if (r == 0)
        r = copy_out(t, a->arg[3], value, (size_t)MIN(len, (uint32_t)given) * (filter ? 8 : 1));
    if (r == 0 || r == -ERANGE) {
        int w = copy_out(t, a->arg[4], &len, sizeof len);
        r = r == 0 ? w : r;
    }
    file_unref(f);
    return r;
}

/* ---- sending ---- */

static void send_sigpipe(struct task *t) {
    struct linux_siginfo info;

    siginfo_user(&info, LINUX_SIGPIPE, t, t);
    signal_send(t, &info, SIGNAL_TASK);
}

static ssize_t do_send(struct task *t, struct socket *s, struct socket_message *m) {
    m->deadline = socket_deadline(s->send_timeout_ns);
    ssize_t r = s->ops->send ? s->ops->send(s, t, m) : -EOPNOTSUPP;
    if (r == -EPIPE && s->type == LINUX_SOCK_STREAM && !(m->flags & LINUX_MSG_NOSIGNAL))
        send_sigpipe(t);
    if (r == -ERESTARTSYS && s->send_timeout_ns > 0) /* socket(7), SO_SNDTIMEO: no restart with a time-out */
        r = -EINTR;
    return r;
}

int64_t sys_sendto(struct task *t, const struct syscall_args *a) {
    struct socket_address address;
    struct socket_control control = {0};
    struct uio_segment segment;
    struct uio data;
    struct file *f;
    struct socket *s;
    int r = get_socket(t, a->arg[0], &f, &s);

    if (r < 0)
        return r;
    uio_init_guest(&data, &segment, t, a->arg[1], MIN(a->arg[2], 0x7ffff000ull));
    struct socket_message m = {.data = &data, .control = &control, .flags = (uint32_t)a->arg[3]};
    if (a->arg[4]) {
        r = address_in(t, a->arg[4], a->arg[5], &address);
        m.address = &address;
    }
    ssize_t done = r < 0 ? r : do_send(t, s, &m);
    socket_control_done(&control);
    file_unref(f);
    return done;
}

static ssize_t send_one(struct task *t, struct socket *s, const struct linux_msghdr *h, uint32_t flags) {
    struct socket_address address;
    struct socket_control control = {0};
    struct uio data;

    int r = uio_init_iovec(&data, t, h->iov, h->iovlen);
    if (r < 0)
        return r == -EINVAL && h->iovlen > 1024 ? -EMSGSIZE : r;
    struct socket_message m = {.data = &data, .control = &control, .flags = flags};
    if (h->name && h->namelen) {
        r = h->namelen < 0
                ? -EINVAL
                : address_in(t, h->name, MIN((uint64_t)h->namelen, sizeof address.storage), &address);
        m.address = &address;
    }
    if (r == 0 && h->controllen > 0)
        r = h->controllen > INT32_MAX ? -ENOBUFS
                                      : socket_control_copy_in(t, s, &m, h->control, h->controllen);
    ssize_t done = r < 0 ? r : do_send(t, s, &m);
    socket_control_done(&control);
    uio_done(&data);
    return done;
}

int64_t sys_sendmsg(struct task *t, const struct syscall_args *a) {
    struct linux_msghdr h;
    struct file *f;
    struct socket *s;
    int r = get_socket(t, a->arg[0], &f, &s);

    if (r < 0)
        return r;
    r = copy_in(t, &h, a->arg[1], sizeof h);
    ssize_t done = r < 0 ? r : send_one(t, s, &h, (uint32_t)a->arg[2]);
    file_unref(f);
    return done;
}

int64_t sys_sendmmsg(struct task *t, const struct syscall_args *a) {
    uint64_t count = MIN((uint64_t)(uint32_t)a->arg[2], (uint64_t)MMSG_MAX), sent = 0;
    struct file *f;
    struct socket *s;
    ssize_t r = get_socket(t, a->arg[0], &f, &s);

    if (r < 0)
        return r;
    for (; sent < count; sent++) {
        struct linux_mmsghdr h;
        gva_t at = a->arg[1] + sent * sizeof h;
        r = copy_in(t, &h, at, sizeof h);
        if (r == 0)
            r = send_one(t, s, &h.hdr, (uint32_t)a->arg[3]);
        if (r < 0)
            break;
        uint32_t len = (uint32_t)r;
        r = copy_out(t, at + offsetof(struct linux_mmsghdr, len), &len, sizeof len);
        if (r < 0)
            break;
    }
    file_unref(f);
    return sent > 0 ? (int64_t)sent : r;
}

/* ---- receiving ---- */

static ssize_t do_recv(struct task *t, struct socket *s, struct socket_message *m) {
    m->deadline = socket_deadline(s->receive_timeout_ns);
    ssize_t r = s->ops->recv ? s->ops->recv(s, t, m) : -EOPNOTSUPP;
    if (r == -ERESTARTSYS && s->receive_timeout_ns > 0)
        r = -EINTR;
    return r;
}

int64_t sys_recvfrom(struct task *t, const struct syscall_args *a) {
    struct socket_address address;
    struct socket_control control = {0};
    struct uio_segment segment;
    struct uio data;
    struct file *f;
    struct socket *s;
    int r = get_socket(t, a->arg[0], &f, &s);

    if (r < 0)
        return r;
    uio_init_guest(&data, &segment, t, a->arg[1], MIN(a->arg[2], 0x7ffff000ull));
    struct socket_message m = {.data = &data,
                               .control = &control,
                               .flags = (uint32_t)a->arg[3],
                               .address = a->arg[4] ? &address : NULL};
    ssize_t done = do_recv(t, s, &m);
    if (done >= 0 && a->arg[4]) {
        r = address_out(t, &address, a->arg[4], a->arg[5]);
        done = r < 0 ? r : done;
    }
    socket_control_done(&control);
    file_unref(f);
    return done;
}

/* The header at `at` gets the lengths and flags that the call has found. */
static int header_out(struct task *t, gva_t at, int32_t namelen, uint64_t controllen, uint32_t flags) {
    int r = copy_out(t, at + offsetof(struct linux_msghdr, namelen), &namelen, sizeof namelen);

    if (r == 0)
        r = copy_out(t, at + offsetof(struct linux_msghdr, controllen), &controllen, sizeof controllen);
    return r < 0 ? r : copy_out(t, at + offsetof(struct linux_msghdr, flags), &flags, sizeof flags);
}

static ssize_t recv_one(struct task *t, struct socket *s, const struct linux_msghdr *h, gva_t at,
                        uint32_t flags) {
    struct socket_address address = {.len = 0};
    struct socket_control control = {0};
    struct uio data;

    int r = uio_init_iovec(&data, t, h->iov, h->iovlen);
    if (r < 0)
        return r == -EINVAL && h->iovlen > 1024 ? -EMSGSIZE : r;
    struct socket_message m = {
        .data = &data, .control = &control, .flags = flags, .address = h->name ? &address : NULL};
    ssize_t done = h->namelen < 0 ? -EINVAL : do_recv(t, s, &m);
    uio_done(&data);
    if (done < 0) {
        socket_control_done(&control);
        return done;
    }
    bool cloexec = flags & LINUX_MSG_CMSG_CLOEXEC;
    m.ret_flags |= flags & LINUX_MSG_CMSG_CLOEXEC;
    int64_t used = socket_control_copy_out(t, s, &m, h->control, h->controllen, cloexec);
    if (used < 0)
        return used;
    if (h->name) {
        r = copy_out(t, h->name, &address.storage, (size_t)MIN(h->namelen, (int32_t)address.len));
        if (r < 0)
            return r;
    }
    r = header_out(t, at, h->name ? (int32_t)address.len : 0, (uint64_t)used, m.ret_flags);
    return r < 0 ? r : done;
}

int64_t sys_recvmsg(struct task *t, const struct syscall_args *a) {
    struct linux_msghdr h;
    struct file *f;
    struct socket *s;
    int r = get_socket(t, a->arg[0], &f, &s);

    if (r < 0)
        return r;
    r = copy_in(t, &h, a->arg[1], sizeof h);
    ssize_t done = r < 0 ? r : recv_one(t, s, &h, a->arg[1], (uint32_t)a->arg[2]);
    file_unref(f);
    return done;
}

static int timeout_in(struct task *t, gva_t from, int64_t *ret) {
    struct linux_timespec ts;
    int r = copy_in(t, &ts, from, sizeof ts);

    if (r < 0)
        return r;
    if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= NSEC_PER_SEC)
        return -EINVAL;
    *ret = ts.sec > INT64_MAX / NSEC_PER_SEC - 1 ? CLOCK_NEVER
                                                 : clock_add(monotonic_ns(), ts.sec * NSEC_PER_SEC + ts.nsec);
    return 0;
}

static int timeout_out(struct task *t, gva_t to, int64_t deadline) {
    int64_t left = MAX(deadline - monotonic_ns(), (int64_t)0);
    struct linux_timespec ts = {.sec = left / NSEC_PER_SEC, .nsec = left % NSEC_PER_SEC};

    return copy_out(t, to, &ts, sizeof ts);
}

/* recvmmsg(2), "BUGS": the time-out is looked at only after each message. */
int64_t sys_recvmmsg(struct task *t, const struct syscall_args *a) {
    uint64_t count = MIN((uint64_t)(uint32_t)a->arg[2], (uint64_t)MMSG_MAX), got = 0;
    int64_t deadline = CLOCK_NEVER;
    uint32_t flags = (uint32_t)a->arg[3];
    struct file *f;
    struct socket *s;
    ssize_t r = a->arg[4] ? timeout_in(t, a->arg[4], &deadline) : 0;

    if (r == 0)
        r = get_socket(t, a->arg[0], &f, &s);
    if (r < 0)
        return r;
    while (got < count) {
        struct linux_mmsghdr h;
        gva_t at = a->arg[1] + got * sizeof h;
        r = copy_in(t, &h, at, sizeof h);
        if (r == 0)
            r = recv_one(t, s, &h.hdr, at, flags & ~(uint32_t)LINUX_MSG_WAITFORONE);
        if (r < 0)
            break;
        uint32_t len = (uint32_t)r;
        r = copy_out(t, at + offsetof(struct linux_mmsghdr, len), &len, sizeof len);
        if (r < 0)
            break;
        got++;
        if (flags & LINUX_MSG_WAITFORONE)
            flags |= LINUX_MSG_DONTWAIT;
        if (monotonic_ns() >= deadline)
            break;
    }
    file_unref(f);
    if (got > 0 && a->arg[4] && timeout_out(t, a->arg[4], deadline) < 0)
        return -EFAULT;
    return got > 0 ? (int64_t)got : r;
}
