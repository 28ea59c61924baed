/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/inet_options.c: what each option of TCP and UDP sockets is at first, and what it makes of
 * some values. Only options that are built are asked for; docs/netstack.md lists those that fail here and not
 * on Linux. Sources: socket(7), ip(7), ipv6(7), tcp(7), udp(7).
 */
#include "conform.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static void show(int fd, int level, int name) {
    unsigned char b[64] = {0};
    socklen_t len = sizeof b;

    if (getsockopt(fd, level, name, b, &len) < 0) {
        printf("%d/%d: errno %d\n", level, name, errno);
        return;
    }
    printf("%d/%d:", level, name);
    for (socklen_t i = 0; i < len && i < 16; i++)
        printf(" %02x", b[i]);
    printf("\n");
}

static void try(int fd, int level, int name) {
    for (int v = -1; v <= 2; v++) {
        int r = setsockopt(fd, level, name, &v, sizeof v);
        printf("%d/%d = %d: errno %d\n", level, name, v, r < 0 ? errno : 0);
        show(fd, level, name);
    }
    printf("%d/%d short: errno %d\n", level, name,
           setsockopt(fd, level, name, &(char){1}, 1) < 0 ? errno : 0);
    printf("%d/%d empty: errno %d\n", level, name,
           setsockopt(fd, level, name, &(char){1}, 0) < 0 ? errno : 0);
}

static void all(int family, int type, int level, const int *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int fd = OK(socket(family, type, 0));
        show(fd, level, names[i]);
        try(fd, level, names[i]);
        close(fd);
    }
}
#define ALL(family, type, level, ...)                                                                        \
    all(family, type, level, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

#define SOCKET_FLAGS                                                                                         \
    SO_REUSEADDR, SO_DONTROUTE, SO_BROADCAST, SO_KEEPALIVE, SO_OOBINLINE, SO_LINGER, SO_REUSEPORT,           \
        SO_RCVTIMEO, SO_SNDTIMEO, SO_TIMESTAMP, SO_TIMESTAMPNS, SO_RXQ_OVFL, SO_PEEK_OFF, SO_PRIORITY,       \
        SO_NO_CHECK, SO_BUSY_POLL, SO_BUF_LOCK, SO_SELECT_ERR_QUEUE, SO_INCOMING_CPU

CHECK(tcp_socket_level) {
    ALL(AF_INET, SOCK_STREAM, SOL_SOCKET, SOCKET_FLAGS);
}

CHECK(udp_socket_level) {
    ALL(AF_INET, SOCK_DGRAM, SOL_SOCKET, SOCKET_FLAGS);
}

CHECK(socket_level_tells) {
    static const int names[] = {SO_TYPE,     SO_ERROR,    SO_ACCEPTCONN,     SO_PROTOCOL, SO_DOMAIN,
                                SO_SNDLOWAT, SO_PEERCRED, SO_BPF_EXTENSIONS, SO_PEERSEC,  200};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int t = OK(socket(AF_INET, SOCK_STREAM, 0)), u = OK(socket(AF_INET6, SOCK_DGRAM, 0));
        show(t, SOL_SOCKET, names[i]);
        show(u, SOL_SOCKET, names[i]);
        ERR(setsockopt(t, SOL_SOCKET, names[i], &(int){1}, sizeof(int)), ENOPROTOOPT);
        close(t);
        close(u);
    }
}

CHECK(ip_level) {
    ALL(AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_TTL, IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVERR, IP_FREEBIND,
        IP_MTU_DISCOVER, IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MULTICAST_ALL, IP_BIND_ADDRESS_NO_PORT,
        IP_RECVOPTS, IP_RECVORIGDSTADDR, IP_TRANSPARENT);
    ALL(AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TTL, IP_MTU_DISCOVER, IP_RECVERR, IP_FREEBIND, IP_MTU);
}

CHECK(ipv6_level) {
    ALL(AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP,
        IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVERR, IPV6_V6ONLY, IPV6_MTU_DISCOVER,
        IPV6_TCLASS);
}

CHECK(tcp_level) {
    ALL(AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT,
        TCP_SYNCNT, TCP_LINGER2, TCP_USER_TIMEOUT, TCP_NOTSENT_LOWAT, TCP_FASTOPEN, TCP_MAXSEG, TCP_QUICKACK);
    ERR(setsockopt(OK(socket(AF_INET, SOCK_STREAM, 0)), IPPROTO_TCP, TCP_CONGESTION, "none-such", 9), ENOENT);
    int fd = OK(socket(AF_INET, SOCK_STREAM, 0));
    char name[16];
    socklen_t len = sizeof name;
    OK(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5));
    OK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
    EQ(len, 16);
    STREQ(name, "cubic");
}

CHECK(other_levels) {
    int t = OK(socket(AF_INET, SOCK_STREAM, 0)), u = OK(socket(AF_INET, SOCK_DGRAM, 0)), v = 1;
    socklen_t len = sizeof v;

    ERR(getsockopt(t, IPPROTO_UDP, 1, &v, &len), EOPNOTSUPP);
    ERR(setsockopt(t, IPPROTO_UDP, 1, &v, sizeof v), ENOPROTOOPT);
    ERR(getsockopt(u, IPPROTO_TCP, TCP_NODELAY, &v, &len), EOPNOTSUPP);
    ERR(setsockopt(u, IPPROTO_TCP, TCP_NODELAY, &v, sizeof v), ENOPROTOOPT);
    ERR(getsockopt(t, IPPROTO_IPV6, IPV6_V6ONLY, &v, &len), EOPNOTSUPP);
    ERR(setsockopt(t, 12345, 1, &v, sizeof v), ENOPROTOOPT);
    ERR(getsockopt(t, SOL_SOCKET, SO_TYPE, &v, (socklen_t *)8), EFAULT);
    len = (socklen_t)-1;
    ERR(getsockopt(t, SOL_SOCKET, SO_TYPE, &v, &len), EINVAL);
    ERR(setsockopt(t, SOL_SOCKET, SO_REUSEADDR, &v, (socklen_t)-1), EINVAL);
    ERR(setsockopt(t, SOL_SOCKET, SO_REUSEADDR, (void *)8, sizeof v), EFAULT);
}

CHECK(privileged) {
    int v = 1, fd = OK(socket(AF_INET, SOCK_STREAM, 0));

    if (!is_root())
        check_skip("the other half needs root");
    OK(setsockopt(fd, SOL_SOCKET, SO_MARK, &v, sizeof v));
    OK(setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &(int){7}, sizeof v));
    become_nobody();
    ERR(setsockopt(fd, SOL_SOCKET, SO_MARK, &v, sizeof v), EPERM);
    ERR(setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &(int){7}, sizeof v), EPERM);
    ERR(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &v, sizeof v), EPERM);
    ERR(setsockopt(fd, SOL_SOCKET, SO_DEBUG, &v, sizeof v), EACCES);
}
