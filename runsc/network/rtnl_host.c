/* SPDX-License-Identifier: Apache-2.0
 * runsc/network/rtnl_host.c: see rtnl.h.
 */
#include "runsc/network/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

int rtnl_open(int family) {
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    struct timeval patience = {.tv_sec = 10};
    cleanup(closep) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
        return -errno;
    return steal_fd(&fd);
}

/* ---- building ---- */

static void *reserve(struct rtnl_buffer *b, size_t len) {
    size_t room = NLMSG_ALIGN(len);

    if (b->overflow || room > sizeof b->bytes - b->len) {
        b->overflow = true;
        return NULL;
    }
    void *at = b->bytes + b->len;
    memset(at, 0, room);
    b->len += room;
    ((struct nlmsghdr *)(void *)(b->bytes + b->last))->nlmsg_len = (uint32_t)(b->len - b->last);
    return at;
}

void rtnl_begin(struct rtnl_buffer *b, uint16_t type, uint16_t flags, const void *head, size_t head_len) {
    b->last = b->len;
    if (sizeof b->bytes - b->len < sizeof(struct nlmsghdr)) {
        b->overflow = true;
        return;
    }
    struct nlmsghdr *h = reserve(b, sizeof *h);
    void *body = reserve(b, head_len);
    if (!h || !body)
        return;
    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST | flags;
    h->nlmsg_seq = ++b->seq;
    if (flags & NLM_F_ACK)
        b->awaited = b->seq;
    memcpy(body, head, head_len);
}

void rtnl_put(struct rtnl_buffer *b, uint16_t type, const void *data, size_t len) {
    struct rtattr *a = reserve(b, RTA_LENGTH(len));

    if (!a)
        return;
    a->rta_type = type;
    a->rta_len = (unsigned short)RTA_LENGTH(len);
    if (len > 0) /* a nest has none yet */
        memcpy(RTA_DATA(a), data, len);
}

void rtnl_put_string(struct rtnl_buffer *b, uint16_t type, const char *s) {
    rtnl_put(b, type, s, strlen(s) + 1);
}

void rtnl_put_be32(struct rtnl_buffer *b, uint16_t type, uint32_t value) {
    uint32_t be = htonl(value);

    rtnl_put(b, type, &be, sizeof be);
}

size_t rtnl_nest(struct rtnl_buffer *b, uint16_t type) {
    size_t at = b->len;

    rtnl_put(b, type | NLA_F_NESTED, NULL, 0);
    return at;
}

void rtnl_nest_end(struct rtnl_buffer *b, size_t at) {
    if (!b->overflow)
        ((struct rtattr *)(void *)(b->bytes + at))->rta_len = (unsigned short)(b->len - at);
}

/* ---- sending and receiving ---- */

static ssize_t receive(int fd, void *buf, size_t size) {
    ssize_t n;

    do
        n = recv(fd, buf, size, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int rtnl_transact(int fd, struct rtnl_buffer *b) {
    _Alignas(8) uint8_t answer[16384];

    if (b->overflow)
        return -EMSGSIZE;
    if (send(fd, b->bytes, b->len, 0) < 0)
        return -errno;
    for (;;) {
        ssize_t n = receive(fd, answer, sizeof answer);
        if (n < 0)
            return (int)n;
        const struct nlmsghdr *m = (const void *)answer;
        for (size_t left = (size_t)n; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
            const struct nlmsgerr *e = NLMSG_DATA(m);
            if (m->nlmsg_type != NLMSG_ERROR)
                continue;
            if (e->error || m->nlmsg_seq == b->awaited)
                return e->error;
        }
    }
}

int rtnl_dump(int fd, uint16_t type, uint8_t family, rtnl_each_fn each, void *arg) {
    struct rtgenmsg general = {.rtgen_family = family};
    struct ifinfomsg link = {.ifi_family = family};
    _Alignas(8) uint8_t answer[65536];
    struct rtnl_buffer b = {.len = 0};

    if (type == RTM_GETLINK)
        rtnl_begin(&b, type, NLM_F_DUMP, &link, sizeof link);
    else
        rtnl_begin(&b, type, NLM_F_DUMP, &general, sizeof general);
    if (send(fd, b.bytes, b.len, 0) < 0)
        return -errno;
    int r =
        0; /* the first error of `each`; the rest is read all the same, so that the socket can be used on */
    for (;;) {
        ssize_t n = receive(fd, answer, sizeof answer);
        if (n < 0)
            return (int)n;
        const struct nlmsghdr *m = (const void *)answer;
        for (size_t left = (size_t)n; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
            if (m->nlmsg_type == NLMSG_DONE)
                return r;
            if (m->nlmsg_type == NLMSG_ERROR)
                return ((const struct nlmsgerr *)NLMSG_DATA(m))->error;
            if (r >= 0)
                r = each(arg, m);
        }
    }
}

void rtnl_attributes(const struct nlmsghdr *m, size_t head_len, const struct rtattr **ret, size_t count) {
    memset(ret, 0, count * sizeof *ret);
    if (m->nlmsg_len < NLMSG_LENGTH(head_len))
        return;
    size_t left = m->nlmsg_len - NLMSG_LENGTH(head_len);
    const struct rtattr *a = (const void *)((const uint8_t *)NLMSG_DATA(m) + NLMSG_ALIGN(head_len));
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        unsigned type = a->rta_type & NLA_TYPE_MASK;
        if (type < count)
            ret[type] = a;
    }
}

uint32_t rtnl_u32(const struct rtattr *a, uint32_t otherwise) {
    uint32_t v = otherwise;

    if (a && RTA_PAYLOAD(a) >= sizeof v)
        memcpy(&v, RTA_DATA(a), sizeof v);
    return v;
}
