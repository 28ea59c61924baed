/* SPDX-License-Identifier: Apache-2.0
 * gofer/transport_host.c: one packet with descriptors over a socket.
 */
#include "gofer/transport_host.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int gofer_send(int sock, const struct iovec *iov, int iov_count, int fd) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)iov_count};
    if (fd >= 0) {
        memset(&control, 0, sizeof(control));
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    ssize_t n;
    do {
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* Takes the descriptor out of a received control message; closes what is more than one. */
static int take_fd(struct msghdr *msg, int *ret_fd) {
    int fd = -1;
    int rc = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            rc = -EPROTO;
            continue;
        }
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (fd < 0) {
                fd = got;
            } else {
                close(got);
                rc = -EPROTO;
            }
        }
    }
    if ((msg->msg_flags & MSG_CTRUNC) || rc < 0) {
        if (fd >= 0)
            close(fd);
        return rc < 0 || fd >= 0 ? -EPROTO : -EMFILE;
    }
    *ret_fd = fd;
    return 0;
}

int gofer_recv(int sock, struct iovec *iov, int iov_count, size_t *ret_size, int *ret_fd) {
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)iov_count};
    if (ret_fd) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
    }
    ssize_t n;
    do {
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    int fd = -1;
    if (ret_fd) {
        int rc = take_fd(&msg, &fd);
        if (rc < 0)
            return rc;
    } else if (msg.msg_flags & MSG_CTRUNC) {
        return -EPROTO;
    }
    if (n == 0 || (msg.msg_flags & MSG_TRUNC)) {
        if (fd >= 0)
            close(fd);
        return n == 0 ? -ECONNRESET : -EMSGSIZE;
    }
    *ret_size = (size_t)n;
    if (ret_fd)
        *ret_fd = fd;
    return 0;
}
