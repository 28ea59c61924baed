/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/inet/inet_opt.c: socket options. The library knows most; here are privileges, and what
 * belongs to the open file rather than to the protocol. Source: socket(7), ip(7), ipv6(7), tcp(7),
 * capabilities(7).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/seccomp.h"
#include "netstack/stack/sock_filter.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/socket/inet/inet_internal.h"

static int number_of(const void *value, uint32_t len, int32_t *ret) {
    if (len < sizeof *ret)
        return -EINVAL;
    memcpy(ret, value, sizeof *ret);
    return 0;
}

static int put_number(void *value, uint32_t *len, int32_t v) {
    *len = MIN(*len, (uint32_t)sizeof v);
    memcpy(value, &v, *len);
    return 0;
}

void inet_peek_moved(struct inet_socket *s, int by) {
    int old = atomic_load(&s->peek_offset);

    while (old >= 0 && !atomic_compare_exchange_weak(&s->peek_offset, &old, MAX(old + by, 0))) {
    }
}

/* ---- setting ---- */

static int check_privilege(struct inet_socket *s, struct task *t, int name, int32_t v) {
    switch (name) {
    case LINUX_SO_PRIORITY:
        return v >= 0 && v <= 6                                                             ? 0
               : inet_capable(s, t, CAP_NET_RAW_NR) || inet_capable(s, t, CAP_NET_ADMIN_NR) ? 0
                                                                                            : -EPERM;
    case LINUX_SO_MARK:
    case LINUX_SO_RCVMARK:
        return inet_capable(s, t, CAP_NET_RAW_NR) || inet_capable(s, t, CAP_NET_ADMIN_NR) ? 0 : -EPERM;
    case LINUX_SO_DEBUG:
        return v == 0 || inet_capable(s, t, CAP_NET_ADMIN_NR) ? 0 : -EACCES;
    case LINUX_SO_SNDBUFFORCE:
    case LINUX_SO_RCVBUFFORCE:
        return inet_capable(s, t, CAP_NET_ADMIN_NR) ? 0 : -EPERM;
    }
    return 0;
}

/* Linux 5.7 on: a socket that is not bound to an interface may be by anybody; changing that takes
 * CAP_NET_RAW. */
static int may_bind_device(struct inet_socket *s, struct task *t) {
    int32_t now = 0;
    size_t len = sizeof now;

    if (nsock_getopt(s->nsock, LINUX_SOL_SOCKET, LINUX_SO_BINDTOIFINDEX, &now, &len) == 0 && now == 0)
        return 0;
    return inet_capable(s, t, CAP_NET_RAW_NR) ? 0 : -EPERM;
}

static bool is_timestamp(int name) {
    return name == LINUX_SO_TIMESTAMP_OLD || name == LINUX_SO_TIMESTAMP_NEW ||
           name == LINUX_SO_TIMESTAMPNS_OLD || name == LINUX_SO_TIMESTAMPNS_NEW;
}

/* The library knows two: with micro- and with nanoseconds. */
static int timestamp_name(int name) {
    return name == LINUX_SO_TIMESTAMP_OLD || name == LINUX_SO_TIMESTAMP_NEW ? NS_SO_TIMESTAMP
                                                                            : NS_SO_TIMESTAMPNS;
}

static int attach_filter(struct inet_socket *s, struct task *t, const void *value, uint32_t len) {
    struct linux_sock_fprog prog;

    if (len != sizeof prog)
        return -EINVAL;
    memcpy(&prog, value, sizeof prog);
    if (prog.len == 0 || prog.len > BPF_MAX_INSNS || !prog.filter)
        return -EINVAL;
    struct bpf_insn *insns = heap_alloc_bytes(prog.len * sizeof *insns);
    if (!insns)
        return -ENOMEM;
    int r = copy_in(t, insns, prog.filter, prog.len * sizeof *insns);
    if (r == 0)
        r = nsock_set_filter(s->nsock, insns, prog.len);
    heap_free(insns);
    return r;
}

static int set_socket(struct inet_socket *s, struct task *t, int name, const void *value, uint32_t len) {
    int32_t v = 0;

    if (name == LINUX_SO_RCVTIMEO_OLD || name == LINUX_SO_SNDTIMEO_OLD || name == LINUX_SO_RCVTIMEO_NEW ||
        name == LINUX_SO_SNDTIMEO_NEW)
        return 1;
    if (name == LINUX_SO_ATTACH_FILTER)
        return attach_filter(s, t, value, len);
    if (name == LINUX_SO_BINDTODEVICE) {
        int r = may_bind_device(s, t);
        return r < 0 ? r : nsock_setopt(s->nsock, LINUX_SOL_SOCKET, name, value, len);
    }
    int r = number_of(value, len, &v);
    if (r == 0)
        r = check_privilege(s, t, name, v);
    if (r == 0 && name == LINUX_SO_BINDTOIFINDEX)
        r = may_bind_device(s, t);
    if (r < 0)
        return r;
    switch (name) {
    case LINUX_SO_DETACH_FILTER:
        return nsock_set_filter(s->nsock, NULL, 0);
    case LINUX_SO_LOCK_FILTER:
        return nsock_lock_filter(s->nsock, v != 0);
    case LINUX_SO_ATTACH_BPF: /* there are no such programs: bpf(2) is not built */
    case LINUX_SO_ATTACH_REUSEPORT_EBPF:
        return v < 0 ? -EBADF : -EINVAL;
    case LINUX_SO_PEEK_OFF:
        if (s->socket.type == LINUX_SOCK_RAW || s->socket.family == LINUX_AF_PACKET)
            return -EOPNOTSUPP;
        atomic_store(&s->peek_offset, v);
        return 0;
    case LINUX_SO_ZEROCOPY:
        if (s->socket.family == LINUX_AF_PACKET ||
            (s->socket.protocol != LINUX_IPPROTO_TCP && s->socket.protocol != LINUX_IPPROTO_UDP))
            return -EOPNOTSUPP;
        if (v < 0 || v > 1)
            return -EINVAL;
        s->zerocopy = v;
        return 0;
    case LINUX_SO_LINGER:
        if (len < 2 * sizeof v)
            return -EINVAL;
        s->socket.linger_on = v != 0;
        memcpy(&s->socket.linger_seconds, (const char *)value + sizeof v, sizeof v);
        break;
    case LINUX_SO_RCVLOWAT:
        s->socket.receive_low_water = v > 0 ? v : v < 0 ? INT32_MAX : 1;
        break;
    }
    if (is_timestamp(name)) {
        s->timestamp_type = name;
        const int32_t off = 0;
        int other = timestamp_name(name) == NS_SO_TIMESTAMP ? NS_SO_TIMESTAMPNS : NS_SO_TIMESTAMP;
        if (nsock_setopt(s->nsock, LINUX_SOL_SOCKET, other, &off, sizeof off) < 0)
            return -EINVAL;
        name = timestamp_name(name);
    }
    return nsock_setopt(s->nsock, LINUX_SOL_SOCKET, name, value, len);
}

int inet_op_set_option(struct socket *base, struct task *t, int level, int name, const void *value,
                       uint32_t len) {
    struct inet_socket *s = inet_of(base);

    if (level == LINUX_SOL_SOCKET)
        return set_socket(s, t, name, value, len);
    if ((level == LINUX_SOL_IP && name == LINUX_IP_TRANSPARENT) ||
        (level == LINUX_SOL_IPV6 && name == LINUX_IPV6_TRANSPARENT))
        if (!inet_capable(s, t, CAP_NET_RAW_NR) && !inet_capable(s, t, CAP_NET_ADMIN_NR))
            return -EPERM;
    if (level == LINUX_SOL_PACKET && (name == NS_PACKET_RX_RING || name == NS_PACKET_TX_RING))
        return inet_packet_set_ring(s, name, value, len);
    return nsock_setopt(s->nsock, level, name, value, len);
}

/* ---- getting ---- */

static int get_peer_name(struct inet_socket *s, void *value, uint32_t *len) {
    struct socket_address a;
    struct ns_addr peer;
    int r = nsock_peer(s->nsock, &peer);

    if (r < 0)
        return r;
    inet_address_out(&peer, &a);
    if (*len > a.len)
        return -EINVAL;
    memcpy(value, &a.storage, *len);
    return 0;
}

enum { GET_FILTER_MAX = 4096 / sizeof(struct bpf_insn) }; /* sys_getsockopt's buffer */

static int get_socket(struct inet_socket *s, int name, void *value, uint32_t *len) {
    size_t room = *len;

    switch (name) {
    case LINUX_SO_GET_FILTER: { /* in and out in instructions, not bytes; `value` has room for 512 */
        size_t count = nsock_get_filter(s->nsock, NULL, 0);
        if (*len != 0 && (*len < count || count > GET_FILTER_MAX))
            return -EINVAL;
        if (*len != 0 && count > 0)
            count = MIN(nsock_get_filter(s->nsock, value, count), count);
        *len = (uint32_t)count;
        return 0;
    }
    case LINUX_SO_LOCK_FILTER:
        return put_number(value, len, nsock_filter_locked(s->nsock));
    case LINUX_SO_PEERNAME:
        return get_peer_name(s, value, len);
    case LINUX_SO_PASSCRED:
    case LINUX_SO_PASSSEC:
        return -EOPNOTSUPP;
    case LINUX_SO_NETNS_COOKIE:
        return -EINVAL;
    case LINUX_SO_RCVTIMEO_OLD:
    case LINUX_SO_SNDTIMEO_OLD:
    case LINUX_SO_RCVTIMEO_NEW:
    case LINUX_SO_SNDTIMEO_NEW:
        return 1;
    case LINUX_SO_PEEK_OFF:
        return put_number(value, len, atomic_load(&s->peek_offset));
    case LINUX_SO_ZEROCOPY:
        return put_number(value, len, s->zerocopy);
    }
    if (is_timestamp(name)) {
        int32_t on = 0;
        size_t size = sizeof on;
        int r = nsock_getopt(s->nsock, LINUX_SOL_SOCKET, timestamp_name(name), &on, &size);
        return r < 0 ? r : put_number(value, len, on && s->timestamp_type == name);
    }
    int r = nsock_getopt(s->nsock, LINUX_SOL_SOCKET, name, value, &room);
    *len = (uint32_t)room;
    return r;
}

int inet_op_get_option(struct socket *base, struct task *t, int level, int name, void *value, uint32_t *len) {
    struct inet_socket *s = inet_of(base);
    size_t room = *len;

    (void)t;
    if (level == LINUX_SOL_SOCKET)
        return get_socket(s, name, value, len);
    int r = nsock_getopt(s->nsock, level, name, value, &room);
    *len = (uint32_t)room;
    return r;
}
