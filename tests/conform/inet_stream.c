/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/inet_stream.c: TCP sockets over loopback. Sources: tcp(7), ip(7), socket(2), connect(2),
 * accept(2), listen(2), bind(2), shutdown(2), send(2), recv(2), poll(2), epoll(7), getsockname(2),
 * getpeername(2).
 */
#include "conform.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

static struct sockaddr_in loop(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int port_of(int fd) {
    struct sockaddr_in a;
    socklen_t len = sizeof a;

    OK(getsockname(fd, (void *)&a, &len));
    EQ(len, sizeof a);
    return ntohs(a.sin_port);
}

static int listener(void) {
    struct sockaddr_in a = loop(0);
    int fd = OK(socket(AF_INET, SOCK_STREAM, 0));

    OK(bind(fd, (void *)&a, sizeof a));
    OK(listen(fd, 5));
    return fd;
}

static int client(int listening) {
    struct sockaddr_in a = loop(port_of(listening));
    int fd = OK(socket(AF_INET, SOCK_STREAM, 0));

    OK(connect(fd, (void *)&a, sizeof a));
    return fd;
}

static void tcp_pair(int s[2]) {
    int l = listener();

    s[0] = client(l);
    s[1] = OK(accept(l, NULL, NULL));
    close(l);
}

static int ready(int fd, int events) {
    struct pollfd p = {fd, (short)events, 0};

    OK(poll(&p, 1, 0));
    return p.revents;
}

static int error_of(int fd) {
    int e = -1;
    socklen_t len = sizeof e;

    OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len));
    return e;
}

CHECK(socket_refuses) {
    ERR(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    ERR(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
    ERR(socket(AF_INET, SOCK_STREAM, -1), EINVAL);
    ERR(socket(AF_INET, SOCK_STREAM, 300), EINVAL);
    ERR(socket(AF_INET, 99, 0), EINVAL);
    ERR(socket(AF_INET, SOCK_RDM, 0), ESOCKTNOSUPPORT);
    ERR(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
    OK(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
    OK(socket(AF_INET6, SOCK_STREAM, 0));
}

CHECK(names) {
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    int fd = OK(socket(AF_INET, SOCK_STREAM, 0));

    OK(getsockname(fd, (void *)&a, &len));
    EQ(len, sizeof a);
    EQ(a.sin_family, AF_INET);
    EQ(a.sin_port, 0);
    EQ(a.sin_addr.s_addr, 0);
    ERR(getpeername(fd, (void *)&a, &len), ENOTCONN);
    int l = listener(), c = client(l);
    int s = OK(accept(l, (void *)&a, &len));
    EQ(ntohs(a.sin_port), port_of(c));
    len = sizeof a;
    OK(getpeername(c, (void *)&a, &len));
    EQ(ntohs(a.sin_port), port_of(l));
    EQ(a.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    len = 4;
    OK(getpeername(s, (void *)&a, &len));
    EQ(len, sizeof a);
    close(c);
    char b;
    EQ(read(s, &b, 1), 0);
    len = sizeof a;
    OK(getpeername(s, (void *)&a, &len));
    ERR(getpeername(l, (void *)&a, &len), ENOTCONN);
}

CHECK(bind_refuses) {
    struct sockaddr_in a = loop(0);
    int fd = OK(socket(AF_INET, SOCK_STREAM, 0)), other = OK(socket(AF_INET, SOCK_STREAM, 0));

    ERR(bind(fd, (void *)&a, 4), EINVAL);
    a.sin_family = AF_INET6;
    ERR(bind(fd, (void *)&a, sizeof a), EAFNOSUPPORT);
    a = loop(0);
    a.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1: nobody's */
    ERR(bind(fd, (void *)&a, sizeof a), EADDRNOTAVAIL);
    a = loop(0);
    OK(bind(fd, (void *)&a, sizeof a));
    ERR(bind(fd, (void *)&a, sizeof a), EINVAL);
    a = loop(port_of(fd));
    ERR(bind(other, (void *)&a, sizeof a), EADDRINUSE);
    OK(listen(fd, 1));
    a.sin_addr.s_addr = 0;
    ERR(bind(other, (void *)&a, sizeof a), EADDRINUSE);
    if (is_root()) {
        become_nobody();
        a.sin_port = htons(79);
        ERR(bind(other, (void *)&a, sizeof a), EACCES);
    }
}

CHECK(reuse) {
    int one = 1, l = listener();
    struct sockaddr_in a = loop(port_of(l));

    OK(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    int c = client(l), s = OK(accept(l, NULL, NULL));
    close(s); /* this end in FIN-WAIT, with the listener's option */
    close(l);
    int again = OK(socket(AF_INET, SOCK_STREAM, 0));
    ERR(bind(again, (void *)&a, sizeof a), EADDRINUSE);
    OK(setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    OK(bind(again, (void *)&a, sizeof a));
    OK(listen(again, 1));
    close(c);
    int x = OK(socket(AF_INET, SOCK_STREAM, 0)), y = OK(socket(AF_INET, SOCK_STREAM, 0));
    a = loop(0);
    OK(setsockopt(x, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
    OK(bind(x, (void *)&a, sizeof a));
    OK(listen(x, 1));
    a = loop(port_of(x));
    ERR(bind(y, (void *)&a, sizeof a), EADDRINUSE);
    OK(setsockopt(y, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
    OK(bind(y, (void *)&a, sizeof a));
    OK(listen(y, 1));
}

CHECK(unconnected) {
    char b[4];
    int fd = OK(socket(AF_INET, SOCK_STREAM, 0));

    ERR(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
    ERR(recv(fd, b, 1, 0), ENOTCONN);
    ERR(shutdown(fd, SHUT_RD), ENOTCONN);
    ERR(shutdown(fd, 5), EINVAL);
    ERR(accept(fd, NULL, NULL), EINVAL);
    EQ(ready(fd, POLLIN | POLLOUT), POLLIN | POLLOUT | POLLHUP);
    EQ(recv(fd, b, 1, 0), 0); /* the failed shutdown has left its mark */
    ERR(listen(-1, 1), EBADF);
    int u = OK(socket(AF_INET, SOCK_DGRAM, 0));
    ERR(listen(u, 1), EOPNOTSUPP);
    ERR(accept(u, NULL, NULL), EOPNOTSUPP);
}

CHECK(connect_refused) {
    int l = listener(), port = port_of(l);
    struct sockaddr_in a = loop(port);

    close(l);
    int fd = OK(socket(AF_INET, SOCK_STREAM, 0));
    ERR(connect(fd, (void *)&a, sizeof a), ECONNREFUSED);
    ERR(connect(fd, (void *)&a, sizeof a), ECONNREFUSED);
    EQ(error_of(fd), 0);
    ERR(connect(fd, (void *)&a, 4), EINVAL);
    a.sin_family = 77;
    ERR(connect(fd, (void *)&a, sizeof a), EAFNOSUPPORT);
    a = loop(port);
    int n = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    ERR(connect(n, (void *)&a, sizeof a), EINPROGRESS);
    struct pollfd p = {n, POLLOUT, 0};
    EQ(OK(poll(&p, 1, 5000)), 1);
    EQ(p.revents, POLLOUT | POLLERR | POLLHUP);
    EQ(error_of(n), ECONNREFUSED);
    EQ(error_of(n), 0);
}

CHECK(connect_nonblocking) {
    int l = listener();
    struct sockaddr_in a = loop(port_of(l));
    int n = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

    ERR(connect(n, (void *)&a, sizeof a), EINPROGRESS);
    struct pollfd p = {n, POLLOUT, 0};
    EQ(OK(poll(&p, 1, 5000)), 1);
    EQ(p.revents, POLLOUT);
    EQ(error_of(n), 0);
    OK(connect(n, (void *)&a, sizeof a));
    ERR(connect(n, (void *)&a, sizeof a), EISCONN);
    ERR(connect(l, (void *)&a, sizeof a), EISCONN);
    OK(accept4(l, NULL, NULL, SOCK_NONBLOCK));
    OK(fcntl(l, F_SETFL, O_NONBLOCK));
    ERR(accept(l, NULL, NULL), EAGAIN);
    ERR(accept4(l, NULL, NULL, 0x40), EINVAL);
    ERR(send(l, "x", 1, MSG_NOSIGNAL), EPIPE);
    char b;
    ERR(recv(l, &b, 1, 0), ENOTCONN);
}

CHECK(transfer) {
    char b[32];
    int s[2], n;

    tcp_pair(s);
    EQ(ready(s[0], POLLIN | POLLOUT), POLLOUT);
    EQ(send(s[0], "hello", 5, 0), 5);
    WAIT_UNTIL(ready(s[1], POLLIN));
    OK(ioctl(s[1], FIONREAD, &n));
    EQ(n, 5);
    EQ(recv(s[1], b, sizeof b, MSG_PEEK), 5);
    EQ(recv(s[1], b, 2, 0), 2);
    MEMEQ(b, "he", 2);
    EQ(recv(s[1], b, 10, MSG_TRUNC), 3);
    ERR(recv(s[1], b, 1, MSG_DONTWAIT), EAGAIN);
    ERR(recv(s[1], b, 0, MSG_DONTWAIT), EAGAIN); /* waits for text all the same */
    EQ(read(s[1], b, 0), 0);
    struct iovec v[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    EQ(writev(s[0], v, 3), 5);
    WAIT_UNTIL(ready(s[1], POLLIN));
    EQ(recv(s[1], b, 5, MSG_WAITALL), 5);
    MEMEQ(b, "abcde", 5);
    EQ(write(s[1], "back", 4), 4);
    EQ(read(s[0], b, sizeof b), 4);
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    EQ(send(s[0], "x", 1, 0), 1);
    EQ(recvfrom(s[1], b, 1, 0, (void *)&from, &len), 1);
    EQ(len, 0);
    ERR(recv(s[1], b, 1, MSG_ERRQUEUE), EAGAIN);
    ERR(recv(s[1], b, 1, MSG_OOB), EINVAL);
    ERR(pread(s[1], b, 1, 0), ESPIPE);
    ERR(lseek(s[1], 0, SEEK_CUR), ESPIPE);
}

static void *send_slowly(void *arg) {
    int fd = *(int *)arg;

    for (int i = 0; i < 5; i++) {
        sleep_ms(10);
        send(fd, "0123456789", 10, 0);
    }
    return NULL;
}

CHECK(waitall) {
    char b[64];
    pthread_t t;
    int s[2], low = 30;

    tcp_pair(s);
    pthread_create(&t, NULL, send_slowly, &s[0]);
    EQ(recv(s[1], b, 50, MSG_WAITALL), 50);
    pthread_join(t, NULL);
    OK(setsockopt(s[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
    EQ(send(s[0], "0123456789", 10, 0), 10);
    sleep_ms(20);
    EQ(ready(s[1], POLLIN), 0);
    pthread_create(&t, NULL, send_slowly, &s[0]);
    TRUE(recv(s[1], b, 64, 0) >= 30);
    pthread_join(t, NULL);
    struct timeval tv = {0, 20000};
    OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    ERR(recv(s[0], b, 1, 0), EAGAIN);
}

CHECK(shutdown_rules) {
    char b[8];
    int s[2];

    tcp_pair(s);
    OK(shutdown(s[0], SHUT_WR));
    ERR(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    EQ(read(s[1], b, 8), 0);
    EQ(ready(s[1], POLLIN | POLLOUT | POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP);
    EQ(send(s[1], "still", 5, 0), 5);
    EQ(recv(s[0], b, 8, 0), 5);
    OK(shutdown(s[1], SHUT_WR));
    WAIT_UNTIL(ready(s[0], POLLIN) & POLLHUP);
    EQ(ready(s[0], POLLIN | POLLOUT | POLLRDHUP), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
    EQ(read(s[0], b, 8), 0);
    int t[2];
    tcp_pair(t);
    OK(shutdown(t[0], SHUT_RD));
    EQ(read(t[0], b, 8), 0);
    EQ(ready(t[0], POLLIN | POLLOUT | POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP);
    EQ(write(t[1], "zz", 2), 2);
    EQ(read(t[0], b, 8), 2);
    EQ(read(t[0], b, 8), 0);
    int l = listener();
    OK(shutdown(l, SHUT_RD));
    ERR(accept(l, NULL, NULL), EINVAL);
}

CHECK(reset) {
    struct linger now = {1, 0};
    char b[8];
    int s[2];

    tcp_pair(s);
    OK(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    close(s[0]);
    WAIT_UNTIL(ready(s[1], POLLIN) & POLLERR);
    EQ(ready(s[1], POLLIN | POLLOUT | POLLRDHUP), POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
    struct sockaddr_in peer;
    ERR(getpeername(s[1], (void *)&peer, &(socklen_t){sizeof peer}), ENOTCONN);
    ERR(read(s[1], b, 8), ECONNRESET);
    EQ(read(s[1], b, 8), 0);
    ERR(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
    int t[2];
    tcp_pair(t);
    EQ(write(t[0], "unread", 6), 6);
    WAIT_UNTIL(ready(t[1], POLLIN));
    close(t[1]); /* with text that nobody read: RFC 2525 section 2.17 */
    WAIT_UNTIL(ready(t[0], POLLIN) & POLLERR);
    EQ(error_of(t[0]), ECONNRESET);
}

static volatile sig_atomic_t g_pipes;

static void on_pipe(int sig) {
    (void)sig;
    g_pipes++;
}

CHECK(reset_behind_text) {
    struct linger now = {1, 0};
    char b[8];
    int s[2];

    tcp_pair(s);
    EQ(write(s[0], "text", 4), 4);
    OK(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    close(s[0]);
    WAIT_UNTIL(ready(s[1], POLLIN) & POLLERR);
    EQ(read(s[1], b, 8), 4);
    ERR(read(s[1], b, 8), ECONNRESET);
}

CHECK(lingering_close) {
    struct linger wait = {1, 5};
    char b[8];
    int s[2];

    tcp_pair(s);
    EQ(write(s[0], "all", 3), 3);
    OK(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &wait, sizeof wait));
    close(s[0]);
    EQ(recv(s[1], b, 8, 0), 3);
    EQ(recv(s[1], b, 8, 0), 0);
}

CHECK(sigpipe) {
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    int s[2];

    signal(SIGPIPE, on_pipe);
    tcp_pair(s);
    OK(shutdown(s[0], SHUT_WR));
    ERR(write(s[0], "x", 1), EPIPE);
    EQ(g_pipes, 1);
    ERR(sendmsg(s[0], &m, 0), EPIPE);
    EQ(g_pipes, 2);
    ERR(sendmsg(s[0], &m, MSG_NOSIGNAL), EPIPE);
    EQ(g_pipes, 2);
}

static void on_alarm(int sig) {
    (void)sig;
}

CHECK(interrupted) {
    struct sigaction a = {.sa_handler = on_alarm};
    struct itimerval soon = {.it_value = {0, 30000}};
    char b;
    int s[2], l = listener();

    tcp_pair(s);
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    ERR(read(s[0], &b, 1), EINTR);
    setitimer(ITIMER_REAL, &soon, NULL);
    ERR(accept(l, NULL, NULL), EINTR);
    a.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &a, NULL);
    pthread_t t;
    setitimer(ITIMER_REAL, &soon, NULL);
    int other = s[1];
    sleep_ms(1);
    pthread_create(&t, NULL, send_slowly, &other);
    EQ(recv(s[0], &b, 1, MSG_WAITALL), 1);
    pthread_join(t, NULL);
}

CHECK(urgent) {
    char b[16];
    int s[2], at = -1, one = 1;

    tcp_pair(s);
    EQ(send(s[0], "abc", 3, 0), 3);
    EQ(send(s[0], "X", 1, MSG_OOB), 1);
    EQ(send(s[0], "def", 3, 0), 3);
    WAIT_UNTIL(ready(s[1], POLLPRI) & POLLPRI);
    sleep_ms(20);
    EQ(recv(s[1], b, 1, MSG_OOB), 1);
    EQ(b[0], 'X');
    ERR(recv(s[1], b, 1, MSG_OOB), EINVAL);
    OK(ioctl(s[1], SIOCATMARK, &at));
    EQ(at, 0);
    EQ(recv(s[1], b, sizeof b, 0), 3);
    MEMEQ(b, "abc", 3);
    OK(ioctl(s[1], SIOCATMARK, &at));
    EQ(at, 1);
    EQ(recv(s[1], b, sizeof b, 0), 3);
    MEMEQ(b, "def", 3);
    OK(setsockopt(s[1], SOL_SOCKET, SO_OOBINLINE, &one, sizeof one));
    EQ(send(s[0], "12", 2, MSG_OOB), 2);
    WAIT_UNTIL(ready(s[1], POLLIN) & POLLIN);
    sleep_ms(20);
    EQ(recv(s[1], b, sizeof b, 0), 1);
    EQ(recv(s[1], b, sizeof b, 0), 1);
    EQ(b[0], '2');
}

CHECK(epoll_edges) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET}, got;
    char b[16];
    int s[2], ep = OK(epoll_create1(0));

    tcp_pair(s);
    OK(epoll_ctl(ep, EPOLL_CTL_ADD, s[1], &e));
    EQ(epoll_wait(ep, &got, 1, 1000), 1);
    EQ(got.events, EPOLLOUT);
    EQ(epoll_wait(ep, &got, 1, 0), 0);
    EQ(send(s[0], "1", 1, 0), 1);
    EQ(epoll_wait(ep, &got, 1, 1000), 1);
    EQ(got.events, EPOLLIN | EPOLLOUT);
    EQ(epoll_wait(ep, &got, 1, 0), 0);
    EQ(send(s[0], "2", 1, 0), 1);
    EQ(epoll_wait(ep, &got, 1, 1000), 1);
    EQ(recv(s[1], b, sizeof b, 0), 2);
    close(s[0]);
    EQ(epoll_wait(ep, &got, 1, 1000), 1);
    EQ(got.events, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

static void *drain(void *arg) {
    int fd = *(int *)arg;
    char b[65536];
    long total = 0, n;

    while ((n = read(fd, b, sizeof b)) > 0)
        total += n;
    return (void *)total;
}

CHECK(much) {
    static char block[1 << 20];
    pthread_t t;
    void *total;
    int s[2];

    tcp_pair(s);
    memset(block, 'm', sizeof block);
    pthread_create(&t, NULL, drain, &s[1]);
    for (int i = 0; i < 8; i++)
        EQ(send(s[0], block, sizeof block, 0), sizeof block);
    OK(shutdown(s[0], SHUT_WR));
    pthread_join(t, &total);
    EQ(total, 8 << 20);
    int u[2];
    tcp_pair(u);
    OK(fcntl(u[0], F_SETFL, O_NONBLOCK));
    long sent = 0, n;
    while ((n = send(u[0], block, sizeof block, 0)) > 0)
        sent += n;
    EQ(errno, EAGAIN);
    TRUE(sent > 100000);
    EQ(ready(u[0], POLLOUT), 0);
    pthread_create(&t, NULL, drain, &u[1]);
    struct pollfd p = {u[0], POLLOUT, 0};
    EQ(OK(poll(&p, 1, 5000)), 1);
    EQ(p.revents, POLLOUT);
    close(u[0]);
    pthread_join(t, &total);
    EQ(total, sent);
}

CHECK(file_to_socket) {
    char text[3000], b[4096];
    int s[2], p[2];

    memset(text, 'f', sizeof text);
    int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
    EQ(write(fd, text, sizeof text), sizeof text);
    tcp_pair(s);
    off_t at = 1000;
    EQ(sendfile(s[0], fd, &at, 5000), 2000);
    EQ(at, 3000);
    EQ(recv(s[1], b, 2000, MSG_WAITALL), 2000);
    OK(pipe(p));
    EQ(write(p[1], "through", 7), 7);
    EQ(splice(p[0], NULL, s[0], NULL, 100, 0), 7);
    sleep_ms(10);
    EQ(splice(s[1], NULL, p[1], NULL, 100, 0), 7);
    EQ(read(p[0], b, sizeof b), 7);
    MEMEQ(b, "through", 7);
}

CHECK(bad_pointers) {
    char b[8];
    int s[2];

    tcp_pair(s);
    ERR(send(s[0], (void *)8, 10, 0), EFAULT);
    EQ(send(s[0], "kept", 4, 0), 4);
    WAIT_UNTIL(ready(s[1], POLLIN));
    ERR(recv(s[1], (void *)8, 4, 0), EFAULT);
    EQ(recv(s[1], b, 8, 0), 4);
    ERR(connect(s[0], (void *)8, 16), EFAULT);
    ERR(bind(s[0], (void *)8, 16), EFAULT);
    ERR(getsockname(s[0], (void *)b, (void *)8), EFAULT);
}

CHECK(dissolve) {
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    int l = listener(), c = client(l), s = OK(accept(l, NULL, NULL));
    struct sockaddr_in a = loop(port_of(l));
    char b;

    OK(connect(c, &none, sizeof none));
    ERR(read(s, &b, 1), ECONNRESET);
    ERR(getpeername(c, (void *)&a, &(socklen_t){sizeof a}), ENOTCONN);
    OK(connect(c, (void *)&a, sizeof a));
    OK(accept(l, NULL, NULL));
}

CHECK(dual_stack) {
    struct sockaddr_in6 any = {.sin6_family = AF_INET6}, peer;
    socklen_t len = sizeof any;
    int l = OK(socket(AF_INET6, SOCK_STREAM, 0)), one = 1;
    char text[64];

    OK(bind(l, (void *)&any, sizeof any));
    OK(listen(l, 5));
    OK(getsockname(l, (void *)&any, &len));
    struct sockaddr_in a = loop(ntohs(any.sin6_port));
    int c = OK(socket(AF_INET, SOCK_STREAM, 0));
    OK(connect(c, (void *)&a, sizeof a));
    len = sizeof peer;
    int s = OK(accept(l, (void *)&peer, &len));
    EQ(len, sizeof peer);
    STREQ(inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text), "::ffff:127.0.0.1");
    close(s);
    struct sockaddr_in6 six = {
        .sin6_family = AF_INET6, .sin6_port = any.sin6_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int d = OK(socket(AF_INET6, SOCK_STREAM, 0));
    OK(connect(d, (void *)&six, sizeof six));
    OK(accept(l, (void *)&peer, &len));
    STREQ(inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text), "::1");
    ERR(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one), EINVAL);
    int o = OK(socket(AF_INET6, SOCK_STREAM, 0));
    OK(setsockopt(o, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one));
    any.sin6_port = 0;
    OK(bind(o, (void *)&any, sizeof any));
    OK(listen(o, 1));
    len = sizeof any;
    OK(getsockname(o, (void *)&any, &len));
    a = loop(ntohs(any.sin6_port));
    int e = OK(socket(AF_INET, SOCK_STREAM, 0));
    ERR(connect(e, (void *)&a, sizeof a), ECONNREFUSED);
}

CHECK(state_tells) {
    struct tcp_info i;
    socklen_t len = sizeof i;
    int s[2], l = listener();

    tcp_pair(s);
    OK(getsockopt(s[0], IPPROTO_TCP, TCP_INFO, &i, &len));
    EQ(i.tcpi_state, TCP_ESTABLISHED);
    len = sizeof i;
    OK(getsockopt(l, IPPROTO_TCP, TCP_INFO, &i, &len));
    EQ(i.tcpi_state, TCP_LISTEN);
    close(s[1]);
    WAIT_UNTIL((len = sizeof i, getsockopt(s[0], IPPROTO_TCP, TCP_INFO, &i, &len)) == 0 &&
               i.tcpi_state == TCP_CLOSE_WAIT);
    int v;
    len = sizeof v;
    OK(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
    EQ(v, 1);
}
