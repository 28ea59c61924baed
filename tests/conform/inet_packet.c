/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/inet_packet.c: packet sockets on loopback, in a network namespace of their own, so as root.
 * Source: packet(7).
 */
#include "conform.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static void own_namespace(void) {
    struct ifreq q = {.ifr_name = "lo"};

    if (!is_root())
        check_skip("packet sockets are root's");
    OK(unshare(CLONE_NEWNET));
    int u = OK(socket(AF_INET, SOCK_DGRAM, 0));
    q.ifr_flags = IFF_UP;
    OK(ioctl(u, SIOCSIFFLAGS, &q));
    close(u);
}

static int udp_to_itself(struct sockaddr_in *ret) {
    *ret = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(5555), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = OK(socket(AF_INET, SOCK_DGRAM, 0));
    OK(bind(fd, (void *)ret, sizeof *ret));
    return fd;
}

/* One frame's name and bytes, without what differs from one packet to the next (identification, checksums).
 */
static void show(int fd) {
    struct sockaddr_ll from;
    socklen_t len = sizeof from;
    unsigned char b[256];
    ssize_t n = OK(recvfrom(fd, b, sizeof b, 0, (void *)&from, &len));

    printf("%d bytes, protocol %x, interface %d, type %d, hardware %d, address of %d:", (int)n,
           ntohs(from.sll_protocol), from.sll_ifindex, from.sll_pkttype, from.sll_hatype, from.sll_halen);
    int ip = n > 14 && b[12] == 8 && b[13] == 0 ? 14 : 0;
    for (int i = 0; i < n; i++)
        if (i < ip + 4 || (i >= ip + 6 && i < ip + 10) || (i >= ip + 12 && i < ip + 26) || i >= ip + 28)
            printf(" %02x", b[i]);
    printf("\n");
}

CHECK(raw_frames) {
    struct sockaddr_in a;
    own_namespace();
    int p = OK(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))), u = udp_to_itself(&a);

    EQ(sendto(u, "hello", 5, 0, (void *)&a, sizeof a), 5);
    show(p); /* going out */
    show(p); /* coming in */
    char b;
    ERR(recv(p, &b, 1, MSG_DONTWAIT), EAGAIN);
}

CHECK(cooked) {
    struct sockaddr_in a;
    own_namespace();
    int p = OK(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP))), u = udp_to_itself(&a);

    EQ(sendto(u, "hello", 5, 0, (void *)&a, sizeof a), 5);
    show(p);
}

CHECK(filtered) {
    struct sock_filter six[] = {{BPF_LD | BPF_H | BPF_ABS, 0, 0, 12},
                                {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, ETH_P_IPV6},
                                {BPF_RET | BPF_K, 0, 0, 20},
                                {BPF_RET | BPF_K, 0, 0, 0}};
    struct sock_fprog f = {4, six};
    struct sockaddr_in6 to = {
        .sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in a;
    unsigned char b[128];
    own_namespace();
    int p = OK(socket(AF_PACKET, SOCK_RAW, 0)), u = udp_to_itself(&a),
        v = OK(socket(AF_INET6, SOCK_DGRAM, 0));

    OK(setsockopt(p, SOL_SOCKET, SO_ATTACH_FILTER, &f, sizeof f));
    struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = 1};
    OK(bind(p, (void *)&all, sizeof all));
    EQ(sendto(u, "four", 4, 0, (void *)&a, sizeof a), 4);
    EQ(sendto(v, "six", 3, 0, (void *)&to, sizeof to), 3);
    EQ(recv(p, b, sizeof b, 0), 20);
    EQ(b[12], 0x86);
    EQ(recv(p, b, sizeof b, MSG_TRUNC), 20);
}

CHECK(sending) {
    unsigned char frame[60] = {[12] = 0x88, [13] = 0xb5, [14] = 'o', [15] = 'k'}, b[128];
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = 1, .sll_halen = 6};
    own_namespace();
    int p = OK(socket(AF_PACKET, SOCK_RAW, 0)), q = OK(socket(AF_PACKET, SOCK_RAW, htons(0x88b5)));

    EQ(sendto(p, frame, sizeof frame, 0, (void *)&to, sizeof to), sizeof frame);
    EQ(recv(q, b, sizeof b, 0), sizeof frame);
    MEMEQ(b, frame, sizeof frame);
    to.sll_ifindex = 99;
    ERR(sendto(p, frame, sizeof frame, 0, (void *)&to, sizeof to), ENXIO);
    ERR(sendto(p, frame, sizeof frame, 0, (void *)&to, 4), EINVAL);
    ERR(bind(p, (void *)&to, sizeof to), ENODEV);
    ERR(socket(AF_PACKET, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
    ERR(listen(p, 1), EOPNOTSUPP);
}

CHECK(statistics) {
    struct tpacket_stats s;
    struct sockaddr_in a;
    socklen_t len = sizeof s;
    own_namespace();
    int p = OK(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP))), u = udp_to_itself(&a);

    for (int i = 0; i < 3; i++)
        EQ(sendto(u, "x", 1, 0, (void *)&a, sizeof a), 1);
    OK(getsockopt(p, SOL_PACKET, PACKET_STATISTICS, &s, &len));
    EQ(s.tp_packets, 3);
    OK(getsockopt(p, SOL_PACKET, PACKET_STATISTICS, &s, &len));
    EQ(s.tp_packets, 0);
}
