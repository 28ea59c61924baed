/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/unix_flight.c: descriptors in flight over unix sockets: rings that nobody can reach end by
 * themselves, others do not; how many there may be. Sources: unix(7) "SCM_RIGHTS", getrlimit(2)
 * "RLIMIT_NOFILE".
 *
 * A ring carries the writing end of a pipe: its reader sees the end when the ring is gone.
 */
#include "conform.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static ssize_t send_fds(int s, const int *fds, int n) {
    char control[CMSG_SPACE(8 * sizeof(int))] = {0}, c = 'x';
    struct iovec v = {&c, 1};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = CMSG_SPACE((size_t)n * sizeof(int))};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);

    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
    memcpy(CMSG_DATA(h), fds, (size_t)n * sizeof(int));
    return sendmsg(s, &m, MSG_DONTWAIT);
}

static int receive_fd(int s, int flags) {
    char control[CMSG_SPACE(sizeof(int))] = {0}, c;
    struct iovec v = {&c, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd = -1;

    EQ(OK(recvmsg(s, &m, flags)), 1);
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (h)
        memcpy(&fd, CMSG_DATA(h), sizeof fd);
    return fd;
}

/* What makes the kernel look for rings: a unix socket that was in flight for nobody ends. */
static void close_a_socket(void) {
    int s[2];

    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    close(s[0]);
    close(s[1]);
}

static bool has_ended(int reader) {
    struct pollfd p = {reader, POLLIN, 0};

    close_a_socket();
    OK(poll(&p, 1, 0));
    return p.revents & POLLHUP;
}

static void stays(int reader) {
    for (int i = 0; i < 20; i++) {
        TRUE(!has_ended(reader));
        sleep_ms(2);
    }
}

static void ring_of_pair(int type) {
    int s[2], p[2];

    OK(pipe(p));
    OK(socketpair(AF_UNIX, type, 0, s));
    OK(send_fds(s[0], (int[]){s[0]}, 1)); /* lies in the queue of s[1], which lies in that of s[0] */
    OK(send_fds(s[1], (int[]){s[1], p[1]}, 2));
    close(p[1]);
    stays(p[0]);
    close(s[0]);
    stays(p[0]); /* s[1] is still ours, and leads to s[0] */
    close(s[1]);
    WAIT_UNTIL(has_ended(p[0]));
}

CHECK(stream_ring) {
    ring_of_pair(SOCK_STREAM);
}

CHECK(datagram_ring) {
    ring_of_pair(SOCK_DGRAM);
}

CHECK(seqpacket_ring) {
    ring_of_pair(SOCK_SEQPACKET);
}

CHECK(long_ring) {
    enum { N = 40 };
    int s[N][2], p[2];

    OK(pipe(p));
    for (int i = 0; i < N; i++)
        OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s[i]));
    for (int i = 0; i < N; i++)
        OK(send_fds(s[i][1], (int[]){s[(i + 1) % N][0]}, 1));
    OK(send_fds(s[N / 2][1], (int[]){p[1]}, 1));
    close(p[1]);
    for (int i = 0; i < N; i++) {
        close(s[i][1]);
        if (i != 7)
            close(s[i][0]);
    }
    stays(p[0]);
    for (int i = 7; i != 6; i = (i + 1) % N) { /* all of it can still be walked */
        int next = receive_fd(s[i][0], 0);
        TRUE(next >= 0);
        if ((i + 1) % N == 7) {
            close(next);
            break;
        }
        s[(i + 1) % N][0] = next;
    }
}

CHECK(listener_in_its_own_backlog) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t size = sizeof a;
    int p[2];

    OK(pipe(p));
    int listener = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(bind(listener, (void *)&a, sizeof a.sun_family));
    OK(getsockname(listener, (void *)&a, &size));
    OK(listen(listener, 5));
    int client = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(connect(client, (void *)&a, size));
    OK(send_fds(client, (int[]){listener, p[1]}, 2));
    close(p[1]);
    close(client);
    stays(p[0]);
    close(listener);
    WAIT_UNTIL(has_ended(p[0]));
}

/* A socket that can be reached leads to one that can not but through it. */
CHECK(held_from_outside) {
    int outer[2], inner[2], p[2];

    OK(pipe(p));
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, outer));
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, inner));
    OK(send_fds(inner[1], (int[]){inner[0]}, 1)); /* inner[0] in its own queue */
    OK(send_fds(inner[1], (int[]){p[1]}, 1));
    OK(send_fds(outer[1], (int[]){inner[0]}, 1));
    close(p[1]);
    close(inner[0]);
    close(inner[1]);
    stays(p[0]);
    int looked = receive_fd(outer[0], MSG_PEEK);
    close(looked);
    stays(p[0]);
    int got = receive_fd(outer[0], 0);
    TRUE(got >= 0);
    stays(p[0]);
    close(got);
    WAIT_UNTIL(has_ended(p[0]));
}

/* Far more rings than the user may have in flight. */
static void many_rings(void *unused) {
    (void)unused;
    struct rlimit few = {64, 64};

    OK(setrlimit(RLIMIT_NOFILE, &few));
    OK(setresuid(54321, 54321, 54321));
    for (int i = 0; i < 16000; i++) {
        int s[2];
        OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
        WAIT_UNTIL(send_fds(s[1], s, 1) == 1 || errno != ETOOMANYREFS);
        close(s[0]);
        close(s[1]);
    }
}

CHECK(rings_do_not_pile_up) {
    if (!is_root())
        check_skip("needs root to change its user");
    EQ(wait_exit(spawn(many_rings, NULL)), 0);
}

static void too_many(void *unused) {
    struct rlimit few = {16, 16};
    int s[2], sent = 0;

    (void)unused;
    OK(setrlimit(RLIMIT_NOFILE, &few));
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    OK(setresuid(54322, 54322, 54322));
    while (send_fds(s[1], (int[]){0}, 1) == 1) {
        sent++;
        TRUE(sent < 100);
    }
    EQ(errno, ETOOMANYREFS);
    EQ(sent, 17); /* refused once more than the limit are in flight */
    ERR(send_fds(s[1], (int[]){0, 1, 2}, 3), ETOOMANYREFS);
    EQ(OK(send(s[1], "y", 1, 0)), 1); /* without descriptors: no matter */
    int looked = receive_fd(s[0], MSG_PEEK);
    close(looked);
    ERR(send_fds(s[1], (int[]){0}, 1), ETOOMANYREFS);
    for (int i = 0; i < 2; i++)
        close(receive_fd(s[0], 0));
    EQ(OK(send_fds(s[1], (int[]){0, 1, 2}, 3)), 1); /* 15 and 3: looked at before */
    ERR(send_fds(s[1], (int[]){0}, 1), ETOOMANYREFS);
    close(s[0]); /* drops them all */
    close(s[1]);
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    EQ(OK(send_fds(s[1], (int[]){0}, 1)), 1);
}

CHECK(limit_per_user) {
    if (!is_root())
        check_skip("needs root to change its user");
    EQ(wait_exit(spawn(too_many, NULL)), 0);
}

CHECK(no_limit_for_the_capable) {
    struct rlimit few = {16, 16};
    int s[2];

    if (!is_root())
        check_skip("needs root");
    OK(setrlimit(RLIMIT_NOFILE, &few));
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    for (int i = 0; i < 40; i++)
        EQ(OK(send_fds(s[1], (int[]){0}, 1)), 1);
}
