/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/inet_dgram.c: UDP, raw and ICMP echo sockets over loopback. Sources: udp(7), ip(7), ipv6(7),
 * raw(7), icmp(7), sendmsg(2), recvmsg(2), sendmmsg(2), cmsg(3), socket(7) SO_ATTACH_FILTER.
 */
#include "conform.h"

#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int udp(struct sockaddr_in *ret) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = OK(socket(AF_INET, SOCK_DGRAM, 0));

    OK(bind(fd, (void *)&a, sizeof a));
    OK(getsockname(fd, (void *)&a, &len));
    if (ret)
        *ret = a;
    return fd;
}

static int ready(int fd, int events) {
    struct pollfd p = {fd, (short)events, 0};

    OK(poll(&p, 1, 0));
    return p.revents;
}

CHECK(send_and_receive) {
    struct sockaddr_in a, b, from;
    socklen_t len = sizeof from;
    char text[64];
    int x = udp(&a), y = udp(&b), n;

    EQ(ready(x, POLLIN | POLLOUT), POLLOUT);
    EQ(sendto(x, "hello", 5, 0, (void *)&b, sizeof b), 5);
    EQ(sendto(x, "", 0, 0, (void *)&b, sizeof b), 0);
    EQ(ready(y, POLLIN | POLLOUT), POLLIN | POLLOUT);
    OK(ioctl(y, FIONREAD, &n));
    EQ(n, 5);
    EQ(recvfrom(y, text, 3, MSG_PEEK, (void *)&from, &len), 3);
    EQ(from.sin_port, a.sin_port);
    EQ(recv(y, text, 2, MSG_TRUNC), 5);
    EQ(recv(y, text, sizeof text, 0), 0);
    ERR(recv(y, text, sizeof text, MSG_DONTWAIT), EAGAIN);
    struct iovec v = {text, 3};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from};
    EQ(sendto(x, "longer", 6, 0, (void *)&b, sizeof b), 6);
    EQ(recvmsg(y, &m, 0), 3);
    EQ(m.msg_flags, MSG_TRUNC);
    EQ(m.msg_namelen, sizeof from);
    ERR(recv(y, text, 1, MSG_OOB | MSG_DONTWAIT), EAGAIN); /* means nothing here */
}

CHECK(refuses) {
    static char big[70000];
    struct sockaddr_in a, b;
    int x = udp(&a), y = udp(&b);

    ERR(send(x, "x", 1, 0), EDESTADDRREQ);
    ERR(sendto(x, "x", 1, 0, (void *)&b, 4), EINVAL);
    ERR(sendto(x, big, sizeof big, 0, (void *)&b, sizeof b), EMSGSIZE);
    ERR(sendto(x, big, 65508, 0, (void *)&b, sizeof b), EMSGSIZE);
    EQ(sendto(x, big, 65507, 0, (void *)&b, sizeof b), 65507);
    EQ(recv(y, big, sizeof big, 0), 65507);
    b.sin_port = 0;
    ERR(sendto(x, "x", 1, 0, (void *)&b, sizeof b), EINVAL);
    b.sin_family = 99;
    ERR(sendto(x, "x", 1, 0, (void *)&b, sizeof b), EAFNOSUPPORT);
    ERR(shutdown(x, SHUT_WR), ENOTCONN);
    a.sin_addr.s_addr = INADDR_BROADCAST;
    a.sin_port = htons(9);
    int any = OK(socket(AF_INET, SOCK_DGRAM, 0));
    TRUE(sendto(any, "x", 1, 0, (void *)&a, sizeof a) <
         0); /* EACCES, or ENETUNREACH where there is no route */
}

CHECK(connected) {
    struct sockaddr_in a, b, c, got;
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    socklen_t len = sizeof got;
    char text[16];
    int x = udp(&a), y = udp(&b), z = udp(&c);

    OK(connect(x, (void *)&b, sizeof b));
    OK(getpeername(x, (void *)&got, &len));
    EQ(got.sin_port, b.sin_port);
    EQ(send(x, "to b", 4, 0), 4);
    EQ(recv(y, text, sizeof text, 0), 4);
    EQ(sendto(z, "stranger", 8, 0, (void *)&a, sizeof a), 8);
    ERR(recv(x, text, sizeof text, MSG_DONTWAIT), EAGAIN);
    EQ(sendto(x, "to c", 4, 0, (void *)&c, sizeof c), 4);
    EQ(recv(z, text, sizeof text, 0), 4);
    OK(connect(x, &none, sizeof none));
    ERR(getpeername(x, (void *)&got, &len), ENOTCONN);
    ERR(send(x, "x", 1, 0), EDESTADDRREQ);
    OK(connect(x, (void *)&b, sizeof b));
    OK(shutdown(x, SHUT_RD));
    EQ(recv(x, text, sizeof text, 0), 0);
    OK(shutdown(x, SHUT_WR));
    ERR(send(x, "x", 1, MSG_NOSIGNAL), EPIPE);
}

CHECK(port_unreachable) {
    struct sockaddr_in a, b;
    int x = udp(&a), y = udp(&b);
    char text[16];

    close(y);
    OK(connect(x, (void *)&b, sizeof b));
    EQ(send(x, "x", 1, 0), 1);
    WAIT_UNTIL(ready(x, POLLIN) & POLLERR);
    ERR(recv(x, text, sizeof text, 0), ECONNREFUSED);
    ERR(recv(x, text, sizeof text, MSG_DONTWAIT), EAGAIN);
    EQ(send(x, "x", 1, 0), 1);
    WAIT_UNTIL(ready(x, POLLIN) & POLLERR);
    ERR(send(x, "x", 1, 0), ECONNREFUSED);
}

CHECK(error_queue) {
    struct sockaddr_in a, b, name;
    int x = udp(&a), y = udp(&b), on = 1;
    char text[16], control[256];
    struct iovec v = {text, sizeof text};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control,
                       .msg_name = &name,
                       .msg_namelen = sizeof name};

    close(y);
    OK(setsockopt(x, IPPROTO_IP, IP_RECVERR, &on, sizeof on));
    ERR(recvmsg(x, &m, MSG_ERRQUEUE), EAGAIN);
    EQ(sendto(x, "lost", 4, 0, (void *)&b, sizeof b), 4);
    WAIT_UNTIL(ready(x, POLLIN) & POLLERR);
    EQ(recvmsg(x, &m, MSG_ERRQUEUE), 4);
    MEMEQ(text, "lost", 4);
    EQ(m.msg_flags, MSG_ERRQUEUE);
    EQ(name.sin_port, b.sin_port);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    EQ(c->cmsg_level, SOL_IP);
    EQ(c->cmsg_type, IP_RECVERR);
    struct sock_extended_err *e = (void *)CMSG_DATA(c);
    EQ(e->ee_errno, ECONNREFUSED);
    EQ(e->ee_origin, SO_EE_ORIGIN_ICMP);
    EQ(e->ee_type, ICMP_DEST_UNREACH);
    EQ(e->ee_code, ICMP_PORT_UNREACH);
    EQ(((struct sockaddr_in *)SO_EE_OFFENDER(e))->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}

static void print_messages(struct msghdr *m) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        printf("message %d %d of %d\n", c->cmsg_level, c->cmsg_type, (int)(c->cmsg_len - CMSG_LEN(0)));
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_TTL)
            printf("ttl %d\n", *(int *)CMSG_DATA(c));
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_TOS)
            printf("tos %d\n", *CMSG_DATA(c));
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *i = (void *)CMSG_DATA(c);
            printf("interface %d, %s\n", i->ipi_ifindex, inet_ntoa(i->ipi_addr));
        }
    }
}

CHECK(ancillary) {
    struct sockaddr_in a, b;
    int x = udp(&a), y = udp(&b), on = 1, ttl = 17;
    char text[16], control[512];
    struct iovec v = {text, sizeof text};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

    OK(setsockopt(y, IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
    OK(setsockopt(y, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
    OK(setsockopt(y, IPPROTO_IP, IP_RECVTOS, &on, sizeof on));
    OK(setsockopt(y, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
    OK(setsockopt(y, IPPROTO_IP, IP_RECVORIGDSTADDR, &on, sizeof on));
    OK(setsockopt(x, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl));
    EQ(sendto(x, "one", 3, 0, (void *)&b, sizeof b), 3);
    EQ(recvmsg(y, &m, 0), 3);
    print_messages(&m);
    m.msg_controllen = 20;
    EQ(sendto(x, "two", 3, 0, (void *)&b, sizeof b), 3);
    EQ(recvmsg(y, &m, 0), 3);
    EQ(m.msg_flags, MSG_CTRUNC);
    char out[CMSG_SPACE(sizeof(int)) * 2] = {0};
    struct msghdr s = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_name = &b,
                       .msg_namelen = sizeof b,
                       .msg_control = out,
                       .msg_controllen = sizeof out};
    struct cmsghdr *c = CMSG_FIRSTHDR(&s);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_IP, .cmsg_type = IP_TTL};
    *(int *)CMSG_DATA(c) = 5;
    c = CMSG_NXTHDR(&s, c);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_IP, .cmsg_type = IP_TOS};
    *(int *)CMSG_DATA(c) = 0x10;
    v.iov_len = 3;
    EQ(sendmsg(x, &s, 0), 3);
    m.msg_controllen = sizeof control;
    EQ(recvmsg(y, &m, 0), 3);
    print_messages(&m);
    *(int *)CMSG_DATA(CMSG_FIRSTHDR(&s)) = 300;
    ERR(sendmsg(x, &s, 0), EINVAL);
    CMSG_FIRSTHDR(&s)->cmsg_type = 77;
    ERR(sendmsg(x, &s, 0), EINVAL);
}

CHECK(many_at_once) {
    struct sockaddr_in a, b;
    int x = udp(&a), y = udp(&b);
    char text[4][8];
    struct iovec v[4];
    struct mmsghdr m[4] = {0};

    OK(connect(x, (void *)&b, sizeof b));
    for (int i = 0; i < 4; i++) {
        snprintf(text[i], sizeof text[i], "msg%d", i);
        v[i] = (struct iovec){text[i], (size_t)(i + 1)};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
    }
    EQ(sendmmsg(x, m, 3, 0), 3);
    EQ(m[2].msg_len, 3);
    for (int i = 0; i < 4; i++)
        v[i].iov_len = 8;
    EQ(recvmmsg(y, m, 4, MSG_WAITFORONE, NULL), 3);
    EQ(m[0].msg_len, 1);
    EQ(m[2].msg_len, 3);
    ERR(recvmmsg(y, m, 4, MSG_DONTWAIT, NULL), EAGAIN);
}

CHECK(cork) {
    struct sockaddr_in a, b;
    int x = udp(&a), y = udp(&b);
    char text[16];

    EQ(sendto(x, "ab", 2, MSG_MORE, (void *)&b, sizeof b), 2);
    ERR(recv(y, text, sizeof text, MSG_DONTWAIT), EAGAIN);
    EQ(sendto(x, "cd", 2, 0, (void *)&b, sizeof b), 2);
    EQ(recv(y, text, sizeof text, 0), 4);
    MEMEQ(text, "abcd", 4);
}

CHECK(multicast) {
    struct ip_mreq group = {.imr_multiaddr.s_addr = htonl(0xef010203),
                            .imr_interface.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = group.imr_multiaddr};
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct in_addr out = {htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof any;
    char text[16];
    int x = OK(socket(AF_INET, SOCK_DGRAM, 0)), y = OK(socket(AF_INET, SOCK_DGRAM, 0));

    OK(bind(y, (void *)&any, sizeof any));
    OK(getsockname(y, (void *)&any, &len));
    OK(setsockopt(y, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
    ERR(setsockopt(y, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group), EADDRINUSE);
    OK(setsockopt(x, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof out));
    to.sin_port = any.sin_port;
    EQ(sendto(x, "all", 3, 0, (void *)&to, sizeof to), 3);
    EQ(recv(y, text, sizeof text, 0), 3);
    OK(setsockopt(y, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group));
    ERR(setsockopt(y, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group), EADDRNOTAVAIL);
}

CHECK(six) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}, from;
    socklen_t len = sizeof a;
    int x = OK(socket(AF_INET6, SOCK_DGRAM, 0)), y = OK(socket(AF_INET6, SOCK_DGRAM, 0)), on = 1;
    char text[64], control[256];
    struct iovec v = {text, sizeof text};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control,
                       .msg_name = &from,
                       .msg_namelen = sizeof from};

    OK(bind(y, (void *)&a, sizeof a));
    OK(getsockname(y, (void *)&a, &len));
    EQ(len, sizeof a);
    OK(setsockopt(y, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on));
    OK(setsockopt(y, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on));
    OK(setsockopt(y, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on));
    EQ(sendto(x, "six", 3, 0, (void *)&a, sizeof a), 3);
    EQ(recvmsg(y, &m, 0), 3);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        printf("message %d %d of %d: %d\n", c->cmsg_level, c->cmsg_type, (int)(c->cmsg_len - CMSG_LEN(0)),
               *(int *)CMSG_DATA(c));
    EQ(m.msg_namelen, sizeof from);
    STREQ(inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof text), "::1");
    ERR(sendto(x, "x", 1, 0, (void *)&a, 20), EINVAL);
}

CHECK(filters) {
    /* Linux shows the UDP header first: keep what comes for odd text, eleven bytes of it */
    struct sock_filter odd[] = {{BPF_LD | BPF_B | BPF_ABS, 0, 0, 8},
                                {BPF_ALU | BPF_AND | BPF_K, 0, 0, 1},
                                {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 1},
                                {BPF_RET | BPF_K, 0, 0, 11},
                                {BPF_RET | BPF_K, 0, 0, 0}};
    struct sock_fprog p = {5, odd}, bad = {1, (struct sock_filter[]){{BPF_LD | BPF_IMM, 0, 0, 0}}};
    struct sockaddr_in a, b;
    int x = udp(&a), y = udp(&b), on = 1, off = 0;
    char text[16];
    socklen_t len = 0;

    ERR(setsockopt(y, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on), ENOENT);
    ERR(setsockopt(y, SOL_SOCKET, SO_ATTACH_FILTER, &bad, sizeof bad), EINVAL);
    ERR(setsockopt(y, SOL_SOCKET, SO_ATTACH_FILTER, &p, 4), EINVAL);
    OK(setsockopt(y, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p));
    EQ(sendto(x, "\2even", 5, 0, (void *)&b, sizeof b), 5);
    EQ(sendto(x, "\3odd", 4, 0, (void *)&b, sizeof b), 4);
    EQ(recv(y, text, sizeof text, 0), 3);
    OK(getsockopt(y, SOL_SOCKET, SO_GET_FILTER, NULL, &len));
    EQ(len, 5);
    OK(setsockopt(y, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on));
    ERR(setsockopt(y, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on), EPERM);
    ERR(setsockopt(y, SOL_SOCKET, SO_LOCK_FILTER, &off, sizeof off), EPERM);
}

CHECK(raw) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
    struct icmphdr echo = {.type = ICMP_ECHO, .un.echo = {htons(77), htons(1)}};
    unsigned char b[128];
    socklen_t len = sizeof from;

    if (!is_root())
        check_skip("raw sockets are root's");
    int fd = OK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    unsigned sum = htons(ICMP_ECHO << 8) + htons(77) + htons(1);
    echo.checksum = (unsigned short)~sum;
    EQ(sendto(fd, &echo, sizeof echo, 0, (void *)&to, sizeof to), sizeof echo);
    do { /* loopback shows the request as well */
        len = sizeof from;
        EQ(recvfrom(fd, b, sizeof b, 0, (void *)&from, &len), 28);
    } while (b[20] != ICMP_ECHOREPLY || b[24] != 0 || b[25] != 77);
    EQ(from.sin_port, 0);
    EQ(from.sin_addr.s_addr, to.sin_addr.s_addr);
    EQ(b[0], 0x45);
    ERR(socket(AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
    become_nobody();
    ERR(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
    ERR(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
}
