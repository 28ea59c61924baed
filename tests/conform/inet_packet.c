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

/* ---- rings ---- */

static void *ring(int fd, int version, int which, void *request, size_t request_size, size_t size) {
    OK(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version));
    OK(setsockopt(fd, SOL_PACKET, which, request, request_size));
    return OKP(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
}

static bool readable(int fd, int ms) {
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return OK(poll(&p, 1, ms)) == 1 && p.revents & POLLIN;
}

static void show_name(const void *at) {
    const struct sockaddr_ll *a = at;

    printf("family %d, protocol %x, interface %d, type %d, hardware %d, address of %d\n", a->sll_family,
           ntohs(a->sll_protocol), a->sll_ifindex, a->sll_pkttype, a->sll_hatype, a->sll_halen);
}

/* What does not depend on how checksums are offloaded. */
enum { STATUS_BITS = TP_STATUS_USER | TP_STATUS_LOSING | TP_STATUS_COPY };

CHECK(ring_version_1) {
    struct tpacket_req q = {.tp_block_size = 4096, .tp_block_nr = 2, .tp_frame_size = 2048, .tp_frame_nr = 4};
    struct sockaddr_in a;
    own_namespace();
    int p = OK(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP))), u = udp_to_itself(&a);
    char *at = ring(p, TPACKET_V1, PACKET_RX_RING, &q, sizeof q, 8192);

    EQ(readable(p, 0), false);
    EQ(sendto(u, "hello", 5, 0, (void *)&a, sizeof a), 5);
    EQ(readable(p, -1), true);
    struct tpacket_hdr *h = (void *)at;
    printf("status %lx, len %u of %u, mac %u, net %u\n", h->tp_status & STATUS_BITS, h->tp_snaplen, h->tp_len,
           h->tp_mac, h->tp_net);
    show_name(at + TPACKET_ALIGN(sizeof *h));
    MEMEQ(at + h->tp_net + 28, "hello", 5);
    char b;
    ERR(recv(p, &b, 1, MSG_DONTWAIT), EAGAIN);
}

CHECK(ring_version_2_wraps_and_loses) {
    struct tpacket_req q = {.tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 2048, .tp_frame_nr = 2};
    struct tpacket_stats s;
    socklen_t len = sizeof s;
    struct sockaddr_in a;
    own_namespace();
    int p = OK(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP))), u = udp_to_itself(&a);
    char *at = ring(p, TPACKET_V2, PACKET_RX_RING, &q, sizeof q, 4096), big[3000] = "";

    for (int i = 0; i < 3; i++)
        EQ(sendto(u, "one", 3, 0, (void *)&a, sizeof a), 3);
    for (int i = 0; i < 2; i++) {
        struct tpacket2_hdr *h = (void *)(at + i * 2048);
        printf("status %x, len %u of %u, mac %u, net %u\n", h->tp_status & STATUS_BITS, h->tp_snaplen,
               h->tp_len, h->tp_mac, h->tp_net);
        show_name(at + i * 2048 + TPACKET_ALIGN(sizeof *h));
        MEMEQ((char *)h + h->tp_net + 28, "one", 3);
        EQ(h->tp_sec != 0, true);
        __atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    }
    EQ(sendto(u, big, sizeof big, 0, (void *)&a, sizeof a), sizeof big); /* longer than a frame */
    struct tpacket2_hdr *h = (void *)at;
    printf("status %x, len %u of %u\n", h->tp_status & STATUS_BITS, h->tp_snaplen, h->tp_len);
    OK(getsockopt(p, SOL_PACKET, PACKET_STATISTICS, &s, &len));
    printf("%u packets, %u lost\n", s.tp_packets, s.tp_drops);
    __atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    EQ(readable(p, 0), false);
}

CHECK(ring_version_3) {
    struct tpacket_req3 q = {.tp_block_size = 8192,
                             .tp_block_nr = 2,
                             .tp_frame_size = 2048,
                             .tp_frame_nr = 8,
                             .tp_retire_blk_tov = 20};
    struct sockaddr_in a;
    own_namespace();
    int p = OK(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP))), u = udp_to_itself(&a);
    char *at = ring(p, TPACKET_V3, PACKET_RX_RING, &q, sizeof q, 16384), big[1400] = "";

    EQ(sendto(u, "a", 1, 0, (void *)&a, sizeof a), 1);
    EQ(sendto(u, "bcd", 3, 0, (void *)&a, sizeof a), 3);
    EQ(readable(p, -1), true); /* by time */
    struct tpacket_block_desc *b = (void *)at;
    printf("version %u, private at %u, status %x, %u packets from %u, %u bytes, number %llu\n", b->version,
           b->offset_to_priv, b->hdr.bh1.block_status, b->hdr.bh1.num_pkts, b->hdr.bh1.offset_to_first_pkt,
           b->hdr.bh1.blk_len, (unsigned long long)b->hdr.bh1.seq_num);
    char *frame = at + b->hdr.bh1.offset_to_first_pkt;
    for (int i = 0; i < 2; i++) {
        struct tpacket3_hdr *h = (void *)frame;
        printf("next %u, status %x, len %u of %u, mac %u, net %u\n", h->tp_next_offset,
               h->tp_status & STATUS_BITS, h->tp_snaplen, h->tp_len, h->tp_mac, h->tp_net);
        show_name(frame + TPACKET_ALIGN(sizeof *h));
        frame += h->tp_next_offset;
    }
    for (int i = 0; i < 20; i++) /* both blocks are full: the rest is lost */
        EQ(sendto(u, big, sizeof big, 0, (void *)&a, sizeof a), sizeof big);
    struct tpacket_stats_v3 s;
    socklen_t len = sizeof s;
    OK(getsockopt(p, SOL_PACKET, PACKET_STATISTICS, &s, &len));
    printf("%u packets, %u lost, frozen %u times, %d bytes\n", s.tp_packets, s.tp_drops, s.tp_freeze_q_cnt,
           (int)len);
    b = (void *)(at + 8192);
    printf("status %x, %u packets, %u bytes, number %llu\n", b->hdr.bh1.block_status, b->hdr.bh1.num_pkts,
           b->hdr.bh1.blk_len, (unsigned long long)b->hdr.bh1.seq_num);
}

CHECK(ring_sends) {
    struct tpacket_req q = {.tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 2048, .tp_frame_nr = 2};
    unsigned char frame[60] = {[12] = 0x88, [13] = 0xb5, [14] = 'o', [15] = 'k'}, b[128];
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = 1};
    own_namespace();
    int p = OK(socket(AF_PACKET, SOCK_RAW, 0)), r = OK(socket(AF_PACKET, SOCK_RAW, htons(0x88b5)));
    char *at = ring(p, TPACKET_V2, PACKET_TX_RING, &q, sizeof q, 4096);

    OK(bind(p, (void *)&to, sizeof to));
    for (int i = 0; i < 2; i++) {
        struct tpacket2_hdr *h = (void *)(at + i * 2048);
        memcpy(at + i * 2048 + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll), frame, sizeof frame);
        h->tp_len = i == 0 ? sizeof frame : 5000;
        __atomic_store_n(&h->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
    }
    ERR(send(p, NULL, 0, 0), EMSGSIZE); /* the second */
    EQ(recv(r, b, sizeof b, 0), sizeof frame);
    MEMEQ(b, frame, sizeof frame);
    printf("status %x, then %x\n", ((struct tpacket2_hdr *)at)->tp_status,
           ((struct tpacket2_hdr *)(at + 2048))->tp_status);
}

static void refused(int fd, struct tpacket_req q, int error) {
    ERR(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &q, sizeof q), error);
}

CHECK(ring_requests) {
    struct tpacket_req q = {.tp_block_size = 4096, .tp_block_nr = 2, .tp_frame_size = 2048, .tp_frame_nr = 4},
                       none = {0};
    int two = TPACKET_V2, nine = 9, v = 0;
    socklen_t len = sizeof v;
    own_namespace();
    int p = OK(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));

    ERR(setsockopt(p, SOL_PACKET, PACKET_VERSION, &nine, sizeof nine), EINVAL);
    refused(p, (struct tpacket_req){4095, 2, 2048, 4}, EINVAL);
    refused(p, (struct tpacket_req){4096, 2, 2048, 5}, EINVAL);
    refused(p, (struct tpacket_req){4096, 2, 2040, 4}, EINVAL);
    refused(p, (struct tpacket_req){4096, 2, 32, 256}, EINVAL);
    refused(p, (struct tpacket_req){4096, 2, 8192, 0}, EINVAL);
    refused(p, (struct tpacket_req){0, 0, 0, 1}, EINVAL);
    ERRP(mmap(NULL, 4096, PROT_READ, MAP_SHARED, p, 0), EINVAL);
    OK(setsockopt(p, SOL_PACKET, PACKET_RX_RING, &q, sizeof q));
    refused(p, q, EBUSY);
    ERR(setsockopt(p, SOL_PACKET, PACKET_VERSION, &two, sizeof two), EBUSY);
    ERRP(mmap(NULL, 4096, PROT_READ, MAP_SHARED, p, 0), EINVAL);
    void *at = mmap(NULL, 8192, PROT_READ, MAP_SHARED, p, 0);
    refused(p, none, EBUSY);
    OK(munmap(at, 8192));
    OK(setsockopt(p, SOL_PACKET, PACKET_RX_RING, &none, sizeof none));
    OK(setsockopt(p, SOL_PACKET, PACKET_VERSION, &two, sizeof two));
    for (int version = TPACKET_V1; version <= TPACKET_V3 + 1; version++) {
        v = version;
        int r = getsockopt(p, SOL_PACKET, PACKET_HDRLEN, &v, &len);
        printf("header of version %d: %d, %d\n", version, r, r == 0 ? v : errno);
    }
    int u = OK(socket(AF_INET, SOCK_DGRAM, 0));
    ERR(setsockopt(u, SOL_PACKET, PACKET_RX_RING, &q, sizeof q), ENOPROTOOPT);
    ERRP(mmap(NULL, 4096, PROT_READ, MAP_SHARED, u, 0), ENODEV);
}

/* A mapping outlives its socket. */
CHECK(ring_mapping_stays) {
    struct tpacket_req q = {.tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 2048, .tp_frame_nr = 2};
    own_namespace();
    int p = OK(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
    char *at = ring(p, TPACKET_V2, PACKET_RX_RING, &q, sizeof q, 4096);

    close(p);
    at[100] = 'x';
    pid_t child = OK(fork());
    if (child == 0) {
        at[101] = 'y';
        _exit(0);
    }
    EQ(wait_exit(child), 0);
    EQ(at[101], 'y');
    OK(munmap(at, 4096));
}

CHECK(auxiliary_data) {
    struct sock_filter cut[] = {{BPF_RET | BPF_K, 0, 0, 30}};
    struct sock_fprog f = {1, cut};
    struct sockaddr_in a;
    int one = 1;
    own_namespace();
    int p = OK(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP))), u = udp_to_itself(&a);
    char b[200], control[100];
    struct iovec v = {b, sizeof b};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

    OK(setsockopt(p, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one));
    OK(setsockopt(p, SOL_SOCKET, SO_ATTACH_FILTER, &f, sizeof f));
    EQ(sendto(u, "hello", 5, 0, (void *)&a, sizeof a), 5);
    EQ(recvmsg(p, &m, 0), 30);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct tpacket_auxdata *x = (void *)CMSG_DATA(c);
    printf("level %d, type %d, %d bytes: status %x, len %u of %u, mac %u, net %u\n", c->cmsg_level,
           c->cmsg_type, (int)c->cmsg_len, x->tp_status & STATUS_BITS, x->tp_snaplen, x->tp_len, x->tp_mac,
           x->tp_net);
}
