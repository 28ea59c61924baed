/* SPDX-License-Identifier: Apache-2.0
 * tests/bench/guest/net_bench.c: TCP and UDP over loopback: nanoseconds per operation, "name ns" a line, the
 * least of three bursts; for a stream, per MiB. A program of libc alone, which tests/bench/run runs natively
 * and in the sandbox. The other side is a process of its own.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 128 << 10, BURSTS = 3 };

static char g_block[BLOCK];

static int64_t now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int must(int r, const char *what) {
    if (r < 0) {
        perror(what);
        exit(1);
    }
    return r;
}

static int bound(int type, struct sockaddr_in *ret) {
    socklen_t len = sizeof *ret;
    int fd = must(socket(AF_INET, type, 0), "socket");

    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    must(bind(fd, (void *)ret, sizeof *ret), "bind");
    must(getsockname(fd, (void *)ret, &len), "getsockname");
    return fd;
}

static int connected(const struct sockaddr_in *to, int type) {
    int fd = must(socket(AF_INET, type, 0), "socket"), one = 1;

    must(connect(fd, (const void *)to, sizeof *to), "connect");
    if (type == SOCK_STREAM)
        must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "nodelay");
    return fd;
}

/* Answers each byte on a connection, swallows what comes on one that begins with 's'; one connection after
 * the other. */
static void serve(int listener) {
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        char kind = 0;
        ssize_t n;
        if (fd < 0)
            exit(0);
        while (read(fd, &kind, 1) == 1 && kind != 's')
            must((int)write(fd, &kind, 1), "answer");
        while (kind == 's' && (n = read(fd, g_block, sizeof g_block)) > 0) {
        }
        close(fd);
    }
}

static void echo_datagrams(int fd) {
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t n;

    while ((n = recvfrom(fd, g_block, sizeof g_block, 0, (void *)&from, &len)) >= 0)
        sendto(fd, g_block, (size_t)n, 0, (void *)&from, len);
}

static void side(void (*run)(int), int fd) {
    pid_t parent = getpid();

    if (must(fork(), "fork"))
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        run(fd);
    _exit(0);
}

static int64_t round_trips(int fd, int count) {
    char c = 'x';
    int64_t start = now();

    for (int i = 0; i < count; i++)
        if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
            must(-1, "round trip");
    return (now() - start) / count;
}

static int64_t connects(const struct sockaddr_in *to, int count) {
    int64_t start = now();

    for (int i = 0; i < count; i++)
        close(connected(to, SOCK_STREAM));
    return (now() - start) / count;
}

static int64_t stream(const struct sockaddr_in *to, int mib) {
    int fd = connected(to, SOCK_STREAM);
    int64_t start;

    must((int)write(fd, "s", 1), "kind");
    start = now();
    for (int i = 0; i < mib * ((1 << 20) / BLOCK); i++)
        must((int)write(fd, g_block, BLOCK), "write");
    shutdown(fd, SHUT_WR);
    while (read(fd, g_block, 1) > 0) { /* until the other side has read it all */
    }
    int64_t took = now() - start;
    close(fd);
    return took / mib;
}

#define LEAST(name, expression)                                                                              \
    do {                                                                                                     \
        int64_t least_ = INT64_MAX;                                                                          \
        for (int burst_ = 0; burst_ < BURSTS; burst_++) {                                                    \
            int64_t one_ = (expression);                                                                     \
            least_ = one_ < least_ ? one_ : least_;                                                          \
        }                                                                                                    \
        printf("%s %lld\n", name, (long long)least_);                                                        \
        fflush(stdout);                                                                                      \
    } while (0)

int main(void) {
    struct sockaddr_in tcp, udp;
    int l = bound(SOCK_STREAM, &tcp), d = bound(SOCK_DGRAM, &udp);

    must(listen(l, 1000), "listen");
    side(serve, l);
    side(echo_datagrams, d);
    int fd = connected(&tcp, SOCK_STREAM);
    LEAST("tcp_round_trip", round_trips(fd, 3000));
    close(fd);
    fd = connected(&udp, SOCK_DGRAM);
    LEAST("udp_round_trip", round_trips(fd, 3000));
    close(fd);
    LEAST("tcp_connect_close", connects(&tcp, 1500));
    LEAST("tcp_stream_mib", stream(&tcp, 256));
    return 0;
}
