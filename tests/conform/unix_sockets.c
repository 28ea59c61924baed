/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/unix_sockets.c: unix sockets of all types. Sources: unix(7), socket(2), sendmsg(2),
 * recvmsg(2), shutdown(2), cmsg(3), accept(2), connect(2), socketpair(2).
 */
#include "conform.h"

#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un address(const char *path, socklen_t *size) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(path);

    memcpy(a.sun_path, path, n);
    if (path[0] == '@')
        a.sun_path[0] = '\0';
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] != '@'));
    return a;
}

static int bind_to(int fd, const char *path) {
    socklen_t size;
    struct sockaddr_un a = address(path, &size);

    return bind(fd, (void *)&a, size);
}

static int connect_to(int fd, const char *path) {
    socklen_t size;
    struct sockaddr_un a = address(path, &size);

    return connect(fd, (void *)&a, size);
}

static int listener(const char *path, int type) {
    int fd = OK(socket(AF_UNIX, type, 0));

    OK(bind_to(fd, path));
    OK(listen(fd, 5));
    return fd;
}

static int client(const char *path, int type) {
    int fd = OK(socket(AF_UNIX, type, 0));

    OK(connect_to(fd, path));
    return fd;
}

static short ready(int fd, short events) {
    struct pollfd p = {fd, events, 0};

    OK(poll(&p, 1, 0));
    return p.revents;
}

CHECK(socket_refuses) {
    int s[2];

    ERR(socket(AF_UNIX, 99, 0), EINVAL);
    ERR(socket(AF_UNIX, SOCK_STREAM, 5), EPROTONOSUPPORT);
    ERR(socket(99, SOCK_STREAM, 0), EAFNOSUPPORT);
    ERR(socketpair(AF_INET, SOCK_STREAM, 0, s), EOPNOTSUPP);
    int fd = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    ERR(accept(fd, NULL, NULL), EINVAL);
    ERR(send(fd, "x", 1, 0), ENOTCONN);
    char c;
    ERR(recv(fd, &c, 1, 0), EINVAL);
    ERR(listen(fd, 1), EINVAL);
    ERR(send(0, "x", 1, 0), ENOTSOCK);
    ERR(getsockname(0, NULL, NULL), ENOTSOCK);
}

CHECK(stream_pair) {
    int s[2];
    char b[16];

    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    EQ(write(s[0], "abc", 3), 3);
    EQ(write(s[0], "def", 3), 3);
    EQ(read(s[1], b, 4), 4);
    MEMEQ(b, "abcd", 4);
    EQ(recv(s[1], b, 16, MSG_PEEK), 2);
    EQ(recv(s[1], b, 16, 0), 2);
    ERR(recv(s[1], b, 16, MSG_DONTWAIT), EAGAIN);
    EQ(write(s[1], "back", 4), 4);
    EQ(recv(s[0], b, 4, MSG_WAITALL), 4);
    int n;
    EQ(write(s[0], "12345", 5), 5);
    OK(ioctl(s[1], FIONREAD, &n));
    EQ(n, 5);
    close(s[0]);
    EQ(read(s[1], b, 16), 5);
    EQ(read(s[1], b, 16), 0);
    signal(SIGPIPE, SIG_IGN);
    ERR(write(s[1], "x", 1), EPIPE);
    ERR(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
}

CHECK(close_with_unread_data_resets) {
    int s[2];
    char b[8];

    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    EQ(write(s[0], "never read", 10), 10);
    close(s[1]);
    ERR(read(s[0], b, 8), ECONNRESET);
    EQ(read(s[0], b, 8), 0);
}

CHECK(listen_connect_accept) {
    struct sockaddr_un a;
    socklen_t size = sizeof a;
    char b[8];
    int l = listener("sock", SOCK_STREAM);

    EQ(ready(l, POLLIN), 0);
    int c = client("sock", SOCK_STREAM);
    EQ(ready(l, POLLIN), POLLIN);
    int s = OK(accept4(l, (void *)&a, &size, SOCK_CLOEXEC));
    EQ(size, 2); /* an unnamed client */
    EQ(a.sun_family, AF_UNIX);
    EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
    size = sizeof a;
    OK(getpeername(c, (void *)&a, &size));
    STREQ(a.sun_path, "sock");
    EQ(size, 2 + 5);
    size = sizeof a;
    OK(getsockname(s, (void *)&a, &size));
    STREQ(a.sun_path, "sock");
    EQ(write(c, "hi", 2), 2);
    EQ(read(s, b, 8), 2);
    ERR(connect_to(c, "sock"), EISCONN);
    struct stat st;
    OK(stat("sock", &st));
    TRUE(S_ISSOCK(st.st_mode));
    ERR(bind_to(OK(socket(AF_UNIX, SOCK_STREAM, 0)), "sock"), EADDRINUSE);
    close(l);
    ERR(connect_to(OK(socket(AF_UNIX, SOCK_STREAM, 0)), "sock"), ECONNREFUSED);
    ERR(connect_to(OK(socket(AF_UNIX, SOCK_STREAM, 0)), "nothing"), ENOENT);
    put_file("file", "");
    ERR(connect_to(OK(socket(AF_UNIX, SOCK_STREAM, 0)), "file"), ECONNREFUSED);
    OK(unlink("sock"));
    EQ(write(s, "yo", 2), 2);
    EQ(read(c, b, 8), 2);
}

CHECK(abstract_names) {
    char name[64], b[8];
    struct sockaddr_un a;
    socklen_t size = sizeof a;

    snprintf(name, sizeof name, "@conform-%d", getpid());
    int l = listener(name, SOCK_STREAM), c = client(name, SOCK_STREAM), s = OK(accept(l, NULL, NULL));
    OK(getsockname(l, (void *)&a, &size));
    EQ(size, 2 + strlen(name));
    EQ(a.sun_path[0], 0);
    EQ(write(c, "x", 1), 1);
    EQ(read(s, b, 8), 1);
    ERR(bind_to(OK(socket(AF_UNIX, SOCK_STREAM, 0)), name), EADDRINUSE);
    close(l);
    ERR(connect_to(OK(socket(AF_UNIX, SOCK_STREAM, 0)), name), ECONNREFUSED);
    /* Autobind: five hexadecimal digits. */
    int u = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
    a = (struct sockaddr_un){.sun_family = AF_UNIX};
    OK(bind(u, (void *)&a, 2));
    size = sizeof a;
    OK(getsockname(u, (void *)&a, &size));
    EQ(size, 2 + 6);
}

CHECK(backlog_and_nonblocking_connect) {
    int l = OK(socket(AF_UNIX, SOCK_STREAM, 0)), connected = 0;

    OK(bind_to(l, "s"));
    OK(listen(l, 1));
    for (int i = 0; i < 10; i++) {
        int c = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
        if (connect_to(c, "s") == 0)
            connected++;
        else
            EQ(errno, EAGAIN);
    }
    EQ(connected, 2);
    ERR(accept(OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)), NULL, NULL), EINVAL);
    OK(fcntl(l, F_SETFL, O_NONBLOCK));
    OK(accept(l, NULL, NULL));
    OK(accept(l, NULL, NULL));
    ERR(accept(l, NULL, NULL), EAGAIN);
}

CHECK(shutdown_halves) {
    int s[2];
    char b[8];

    signal(SIGPIPE, SIG_IGN);
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    OK(shutdown(s[0], SHUT_WR));
    EQ(read(s[1], b, 8), 0);
    ERR(write(s[0], "x", 1), EPIPE);
    EQ(ready(s[1], POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
    EQ(write(s[1], "y", 1), 1);
    EQ(read(s[0], b, 8), 1);
    OK(shutdown(s[1], SHUT_RDWR));
    EQ(read(s[0], b, 8), 0);
    EQ(ready(s[0], POLLIN) & POLLHUP, POLLHUP);
    ERR(shutdown(s[0], 9), EINVAL);
    OK(shutdown(OK(socket(AF_UNIX, SOCK_STREAM, 0)), SHUT_RD)); /* no connection needed, unlike with TCP */
}

CHECK(datagrams) {
    int a = OK(socket(AF_UNIX, SOCK_DGRAM, 0)), b = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
    struct sockaddr_un from;
    socklen_t size = sizeof from;
    char buf[16];

    OK(bind_to(a, "a"));
    OK(bind_to(b, "b"));
    OK(connect_to(b, "a"));
    EQ(send(b, "one", 3, 0), 3);
    EQ(send(b, "", 0, 0), 0);
    EQ(send(b, "three", 5, 0), 5);
    EQ(recvfrom(a, buf, sizeof buf, 0, (void *)&from, &size), 3);
    STREQ(from.sun_path, "b");
    EQ(recv(a, buf, sizeof buf, 0), 0);
    EQ(recv(a, buf, 2, MSG_TRUNC), 5);
    MEMEQ(buf, "th", 2);
    ERR(recv(a, buf, 1, MSG_DONTWAIT), EAGAIN);
    struct sockaddr_un to = address("b", &size);
    EQ(sendto(a, "back", 4, 0, (void *)&to, size), 4);
    EQ(recv(b, buf, sizeof buf, 0), 4);
    to = address("none", &size);
    ERR(sendto(a, "x", 1, 0, (void *)&to, size), ENOENT);
    ERR(send(a, "x", 1, 0), ENOTCONN);
    close(a);
    ERR(send(b, "x", 1, 0), ECONNREFUSED);
    ERR(listen(b, 1), EOPNOTSUPP);
    char *big = malloc(1 << 20);
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    ERR(send(s[0], big, 1 << 20, 0), EMSGSIZE);
    EQ(send(s[0], big, 60000, 0), 60000);
    EQ(recv(s[1], big, 1 << 20, 0), 60000);
}

CHECK(seqpacket) {
    int s[2];
    char b[16];
    struct iovec v = {b, 2};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

    OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
    EQ(write(s[0], "abc", 3), 3);
    EQ(write(s[0], "defgh", 5), 5);
    EQ(read(s[1], b, 16), 3);
    EQ(recvmsg(s[1], &m, 0), 2);
    EQ(m.msg_flags & MSG_TRUNC, MSG_TRUNC);
    close(s[0]);
    EQ(read(s[1], b, 16), 0);
    int l = listener("seq", SOCK_SEQPACKET), c = client("seq", SOCK_SEQPACKET), a = OK(accept(l, NULL, NULL));
    EQ(send(c, "m", 1, 0), 1);
    EQ(recv(a, b, 16, 0), 1);
    ERR(connect_to(OK(socket(AF_UNIX, SOCK_STREAM, 0)), "seq"), EPROTOTYPE);
}

static ssize_t send_fds(int s, const int *fds, int n, const char *text) {
    char control[CMSG_SPACE(300 * sizeof(int))] = {0};
    struct iovec v = {(void *)(uintptr_t)text, strlen(text)};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = CMSG_SPACE((size_t)n * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
    memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
    return sendmsg(s, &m, 0);
}

/* Number of descriptors received; *ret_flags are msg_flags. */
static int receive_fds(int s, int *fds, int room, int flags, int *ret_flags, ssize_t *ret_n) {
    char control[CMSG_SPACE(300 * sizeof(int))], b[64];
    struct iovec v = {b, sizeof b};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = CMSG_LEN((size_t)room * sizeof(int))};

    *ret_n = OK(recvmsg(s, &m, flags));
    *ret_flags = m.msg_flags;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (!c || c->cmsg_type != SCM_RIGHTS)
        return 0;
    int n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(c), (size_t)n * sizeof(int));
    return n;
}

CHECK(descriptors_travel) {
    int s[2], fds[4], flags;
    ssize_t n;
    char b[8];

    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    int f = make_file("f", "content");
    OK(lseek(f, 3, SEEK_SET));
    EQ(send_fds(s[0], (int[]){f, f}, 2, "x"), 1);
    close(f);
    EQ(receive_fds(s[1], fds, 4, 0, &flags, &n), 2);
    EQ(n, 1);
    EQ(read(fds[0], b, 8), 4); /* the open file, with its position */
    EQ(read(fds[1], b, 8), 0);
    EQ(fcntl(fds[0], F_GETFD), 0);
    EQ(send_fds(s[0], fds, 2, "y"), 1);
    EQ(receive_fds(s[1], fds, 1, MSG_CMSG_CLOEXEC, &flags, &n), 1); /* no room for the second */
    EQ(flags & MSG_CTRUNC, MSG_CTRUNC);
    EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    ERR(send_fds(s[0], (int[]){99}, 1, "z"), EBADF);
    int many[254];
    for (int i = 0; i < 254; i++)
        many[i] = 0;
    EQ(send_fds(s[0], many, 253, "m"), 1);
    EQ(read(s[1], b, 8), 1); /* read drops them */
    ERR(send_fds(s[0], many, 254, "m"), EINVAL);
}

CHECK(descriptors_bound_the_read_of_a_stream) {
    int s[2], fds[4], flags;
    ssize_t n;

    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    EQ(write(s[0], "before", 6), 6);
    EQ(send_fds(s[0], (int[]){0}, 1, "with"), 4);
    EQ(write(s[0], "after", 5), 5);
    int got = receive_fds(s[1], fds, 4, 0, &flags, &n);
    printf("first read: %zd bytes, %d descriptors\n", n, got);
    got = receive_fds(s[1], fds, 4, MSG_DONTWAIT, &flags, &n);
    printf("second read: %zd bytes, %d descriptors\n", n, got);
}

CHECK(socket_sent_through_itself) {
    int s[2], fds[4], flags;
    ssize_t n;

    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    EQ(send_fds(s[0], s, 2, "self"), 4);
    close(s[0]);
    EQ(receive_fds(s[1], fds, 4, 0, &flags, &n), 2);
    EQ(write(fds[0], "hello", 5), 5);
    char b[8];
    EQ(read(fds[1], b, 8), 5);
}

CHECK(credentials) {
    int s[2], one = 1;
    char control[CMSG_SPACE(sizeof(struct ucred))], b[8];
    struct iovec v = {b, sizeof b};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct ucred u;
    socklen_t size = sizeof u;

    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &u, &size));
    EQ(u.pid, getpid());
    EQ(u.uid, getuid());
    OK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
    EQ(write(s[0], "x", 1), 1);
    EQ(recvmsg(s[1], &m, 0), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    TRUE(c != NULL);
    EQ(c->cmsg_type, SCM_CREDENTIALS);
    memcpy(&u, CMSG_DATA(c), sizeof u);
    EQ(u.pid, getpid());
    EQ(u.uid, getuid());
    EQ(u.gid, getgid());
    if (!is_root())
        return;
    /* Root may name others, anybody else only himself. */
    v.iov_len = 1;
    m.msg_controllen = sizeof control;
    c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    c->cmsg_len = CMSG_LEN(sizeof u);
    u = (struct ucred){getpid(), 7, 8};
    memcpy(CMSG_DATA(c), &u, sizeof u);
    EQ(sendmsg(s[0], &m, 0), 1);
    pid_t pid = fork();
    if (pid == 0) {
        become_nobody();
        ERR(sendmsg(s[0], &m, 0), EPERM);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    EQ(recvmsg(s[1], &m, 0), 1);
    memcpy(&u, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof u);
    EQ(u.uid, 7);
    EQ(u.gid, 8);
}

static int option(int fd, int name) {
    int value = -1;
    socklen_t size = sizeof value;

    OK(getsockopt(fd, SOL_SOCKET, name, &value, &size));
    EQ(size, sizeof value);
    return value;
}

CHECK(options) {
    int fd = OK(socket(AF_UNIX, SOCK_STREAM, 0)), value = 8192, s[2];

    EQ(option(fd, SO_TYPE), SOCK_STREAM);
    EQ(option(fd, SO_DOMAIN), AF_UNIX);
    EQ(option(fd, SO_PROTOCOL), 0);
    EQ(option(fd, SO_ERROR), 0);
    EQ(option(fd, SO_ACCEPTCONN), 0);
    OK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    EQ(option(fd, SO_SNDBUF), 16384);
    OK(bind_to(fd, "s"));
    OK(listen(fd, 1));
    EQ(option(fd, SO_ACCEPTCONN), 1);
    ERR(setsockopt(fd, SOL_SOCKET, 9999, &value, sizeof value), ENOPROTOOPT);
    ERR(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, 2), EINVAL);
    struct timeval t = {0, 20000};
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    char c;
    int64_t start = now_ns(CLOCK_MONOTONIC);
    ERR(read(s[0], &c, 1), EAGAIN);
    TRUE(now_ns(CLOCK_MONOTONIC) - start >= 19000000);
    OK(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
    static char big[1 << 20];
    ssize_t sent;
    while ((sent = write(s[0], big, sizeof big)) == (ssize_t)sizeof big) {
    }
    TRUE(sent > 0 || errno == EAGAIN);
}

CHECK(stream_flow_control) {
    static char b[65536];
    int s[2];
    size_t sent = 0, received = 0;
    ssize_t n;

    OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
    while ((n = write(s[0], b, sizeof b)) > 0)
        sent += (size_t)n;
    EQ(errno, EAGAIN);
    EQ(ready(s[0], POLLOUT), 0);
    while ((n = read(s[1], b, sizeof b)) > 0)
        received += (size_t)n;
    EQ(received, sent);
    EQ(ready(s[0], POLLOUT), POLLOUT);
}

CHECK(sendmmsg_recvmmsg) {
    int s[2];
    char a[8], b[8];
    struct iovec in[2] = {{a, 8}, {b, 8}}, out[2] = {{(void *)"one", 3}, {(void *)"two!", 4}};
    struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &out[0], .msg_iovlen = 1}},
                           {.msg_hdr = {.msg_iov = &out[1], .msg_iovlen = 1}}};

    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    EQ(sendmmsg(s[0], m, 2, 0), 2);
    EQ(m[1].msg_len, 4);
    m[0].msg_hdr.msg_iov = &in[0];
    m[1].msg_hdr.msg_iov = &in[1];
    EQ(recvmmsg(s[1], m, 2, MSG_DONTWAIT, NULL), 2);
    EQ(m[0].msg_len, 3);
    MEMEQ(b, "two!", 4);
    ERR(recvmmsg(s[1], m, 2, MSG_DONTWAIT, NULL), EAGAIN);
}

CHECK(permissions_of_the_name) {
    if (!is_root())
        check_skip("geteuid: not root");
    int l = listener("s", SOCK_STREAM);

    OK(chmod("s", 0600));
    pid_t pid = fork();
    if (pid == 0) {
        become_nobody();
        ERR(connect_to(OK(socket(AF_UNIX, SOCK_STREAM, 0)), "s"), EACCES);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    (void)l;
}

CHECK(echo_between_processes) {
    int s[2];
    char b[4096];

    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    pid_t pid = fork();
    if (pid == 0) {
        ssize_t n;
        close(s[0]);
        while ((n = read(s[1], b, sizeof b)) > 0)
            if (write(s[1], b, (size_t)n) != n)
                _exit(1);
        _exit(0);
    }
    close(s[1]);
    for (int i = 0; i < 500; i++) {
        memset(b, i, 100);
        EQ(write(s[0], b, 100), 100);
        memset(b, 255, 100);
        EQ(recv(s[0], b, 100, MSG_WAITALL), 100);
        EQ((unsigned char)b[99], i & 255);
    }
    OK(shutdown(s[0], SHUT_WR));
    EQ(wait_exit(pid), 0);
}

/* Each waits in the queue of the next: the end of the last ends all of them. */
CHECK(a_long_chain_in_flight_ends) {
    struct rlimit many = {8192, 8192};
    int previous = -1;

    if (setrlimit(RLIMIT_NOFILE, &many) < 0)
        OK(getrlimit(RLIMIT_NOFILE, &many));
    for (int i = 0; i < 1500; i++) {
        char c = 0, control[CMSG_SPACE(sizeof(int))] = {0};
        struct iovec v = {&c, 1};
        struct msghdr m = {
            .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        int p[2];
        OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
        if (previous >= 0) {
            struct cmsghdr *h = CMSG_FIRSTHDR(&m);
            h->cmsg_level = SOL_SOCKET;
            h->cmsg_type = SCM_RIGHTS;
            h->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(h), &previous, sizeof(int));
            OK(sendmsg(p[1], &m, 0));
            close(previous);
        }
        close(p[1]);
        previous = p[0];
    }
    close(previous);
}
