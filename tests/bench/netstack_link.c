/* SPDX-License-Identifier: Apache-2.0
 * tests/bench/netstack_link.c: the stack on a link of the host, for interop and speed against the host's
 * kernel by hand: on a new TAP device, or on an existing interface (one end of a veth pair) by a packet
 * socket.
 *
 *     unshare -Urn sh -c 'netstack_link tap0 10.9.0.2 & sleep 1; ip link set tap0 up; ip addr add 10.9.0.1/24
 * dev tap0; ...'
 *
 * TCP and UDP port 7 echo, TCP 9 discards, TCP 19 sends without end; with a fourth argument IP:PORT it
 * connects there, and sends for three seconds. Prints nothing but errors and, at the end of a connection of
 * its own, the rate.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "netstack/link/fdlink.h"

enum { MAX_SOCKS = 512, BUF = 65536 };

static int g_wake;
static struct netstack *g_st;
static struct netns *g_ns;
static uint8_t g_buf[BUF];

static int64_t op_now(void *ctx) {
    (void)ctx;
    return monotonic_ns();
}
static int64_t op_realtime(void *ctx) {
    (void)ctx;
    return realtime_ns();
}
static void op_random(void *ctx, void *buf, size_t len) {
    (void)ctx;
    if (getrandom(buf, len, 0) != (ssize_t)len)
        abort();
}
static void wake(void) {
    uint64_t one = 1;
    if (write(g_wake, &one, sizeof(one)) < 0)
        return; /* full: it will wake anyway */
}
static void op_notify(void *ctx, void *user, uint32_t events) {
    (void)ctx, (void)user, (void)events;
    wake();
}
static void op_deadline(void *ctx, int64_t deadline) {
    (void)ctx, (void)deadline;
    wake();
}
static void *op_alloc(void *ctx, const struct netstack_type *t) {
    (void)ctx;
    return calloc(1, t->size);
}
static void op_free(void *ctx, const struct netstack_type *t, void *p) {
    (void)ctx, (void)t;
    free(p);
}
static void *op_bytes(void *ctx, size_t n) {
    (void)ctx;
    return malloc(n);
}
static void op_free_bytes(void *ctx, void *p, size_t n) {
    (void)ctx, (void)n;
    free(p);
}
static const struct netstack_host_ops host_ops = {.now_ns = op_now,
                                                  .realtime_ns = op_realtime,
                                                  .random = op_random,
                                                  .socket_notify = op_notify,
                                                  .deadline_changed = op_deadline};
static const struct netstack_alloc_ops alloc_ops = {op_alloc, op_free, op_bytes, op_free_bytes};

static void must(int rc, const char *what) {
    if (rc < 0 && rc != -EINPROGRESS) {
        fprintf(stderr, "%s: %d\n", what, rc);
        exit(1);
    }
}

struct conn {
    struct nsock *s;
    uint16_t port;
    size_t held; /* echo: bytes in buf */
    uint8_t *buf;
};
static struct conn g_conns[MAX_SOCKS];
static struct nsock *g_listen[3], *g_udp;
static const uint16_t g_ports[3] = {7, 9, 19};

static ssize_t io(struct nsock *s, bool send, void *buf, size_t n) {
    struct ns_iov iov = {buf, n};
    struct ns_msg m = {.iov = &iov, .iov_count = 1};
    return send ? nsock_send(s, &m) : nsock_recv(s, &m);
}

static void drop(struct conn *c) {
    nsock_close(c->s);
    free(c->buf);
    *c = (struct conn){0};
}

static bool echo(struct conn *c) {
    if (c->held == 0) {
        ssize_t n = io(c->s, false, c->buf, BUF);
        if (n == 0 || (n < 0 && n != -EAGAIN))
            drop(c);
        if (n <= 0)
            return false;
        c->held = (size_t)n;
    }
    ssize_t n = io(c->s, true, c->buf, c->held);
    if (n < 0 && n != -EAGAIN)
        drop(c);
    if (n <= 0)
        return false;
    memmove(c->buf, c->buf + n, c->held - (size_t)n);
    c->held -= (size_t)n;
    return true;
}

static bool serve(struct conn *c) {
    if (c->port == 7)
        return echo(c);
    ssize_t n = io(c->s, c->port == 19, g_buf, BUF);
    if (n == 0 || (n < 0 && n != -EAGAIN))
        drop(c);
    return n > 0;
}

static void act(void) {
    for (int i = 0; i < 3; i++) {
        struct nsock *s;
        while (nsock_accept(g_listen[i], &s, NULL) == 0) {
            int k = 0;
            nsock_set_user(s, &g_wake);
            while (k < MAX_SOCKS && g_conns[k].s)
                k++;
            if (k == MAX_SOCKS) {
                nsock_close(s);
                continue;
            }
            g_conns[k] = (struct conn){.s = s, .port = g_ports[i], .buf = malloc(BUF)};
        }
    }
    for (int k = 0; k < MAX_SOCKS; k++)
        while (g_conns[k].s && serve(&g_conns[k])) {
        }
    struct ns_iov iov = {g_buf, BUF};
    struct ns_msg m = {.iov = &iov, .iov_count = 1};
    ssize_t n;
    while ((n = nsock_recv(g_udp, &m)) >= 0) {
        struct ns_iov out = {g_buf, (size_t)n};
        struct ns_msg r = {.iov = &out, .iov_count = 1, .has_name = true, .name = m.name};
        (void)!nsock_send(g_udp, &r);
        m = (struct ns_msg){.iov = &iov, .iov_count = 1};
    }
}

/* What fdlink needs: a TAP device of that name is made if there is no such interface. */
static void open_link(const char *dev, struct fdlink_config *c) {
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int on = 1, size = 4 << 20, any = socket(AF_INET, SOCK_DGRAM, 0);
    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", dev);
    *c = (struct fdlink_config){.name = "eth0", .mac = {{2, 0, 0, 9, 0, 2}}, .mtu = 1500, .gso_max = 65535};
    if (ioctl(any, SIOCGIFMTU, &r) == 0) {
        c->mtu = (uint32_t)r.ifr_mtu;
        (void)ioctl(any, SIOCGIFHWADDR, &r);
        memcpy(&c->mac, r.ifr_hwaddr.sa_data, 6);
        (void)ioctl(any, SIOCGIFINDEX, &r);
        struct sockaddr_ll a = {
            .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = r.ifr_ifindex};
        c->kind = FDLINK_PACKET;
        c->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (setsockopt(c->fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0 ||
            setsockopt(c->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 ||
            setsockopt(c->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
            setsockopt(c->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0 ||
            bind(c->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
            must(-errno, "packet socket");
    } else {
        c->kind = FDLINK_TAP;
        c->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
        r.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
        if (c->fd < 0 || ioctl(c->fd, TUNSETIFF, &r) < 0 ||
            ioctl(c->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
            must(-errno, "tap");
    }
    close(any);
}

static void set_up(const char *dev, const char *ip) {
    struct netstack_config cfg = {.host = &host_ops, .alloc = &alloc_ops};
    struct fdlink_config link;
    struct nic *nic;
    g_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    open_link(dev, &link);
    must(netstack_new(&cfg, &g_st), "stack");
    must(netns_new(g_st, &g_ns), "namespace");
    must(fdlink_new(g_ns, &link, &nic), "interface");
    must(nic_set_up(nic_by_name(g_ns, "lo"), true), "lo");
    must(nic_set_up(nic, true), "up");
    struct nic_addr a = {
        .prefix_len = 24, .valid_s = UINT32_MAX, .preferred_s = UINT32_MAX, .broadcast = IPA_ANY4};
    if (!ipa_parse(ip, &a.addr))
        must(-EINVAL, ip);
    a.prefix_len = ipa_is_v4(&a.addr) ? 24 : 64;
    must(nic_addr_add(nic, &a), "address");
    for (int i = 0; i < 3; i++) {
        struct ns_addr at = {.family = NS_AF_INET6, .port = g_ports[i]};
        must(nsock_new(g_ns, NS_AF_INET6, NS_SOCK_STREAM, 0, &g_wake, &g_listen[i]), "socket");
        must(nsock_bind(g_listen[i], &at), "bind");
        must(nsock_listen(g_listen[i], 128), "listen");
    }
    struct ns_addr at = {.family = NS_AF_INET6, .port = 7};
    must(nsock_new(g_ns, NS_AF_INET6, NS_SOCK_DGRAM, 0, &g_wake, &g_udp), "udp");
    must(nsock_bind(g_udp, &at), "udp bind");
}

static void pump(void) {
    int64_t wait = netstack_next_deadline(g_st);
    int64_t now = monotonic_ns();
    int ms = wait == NETSTACK_NEVER ? 1000 : wait <= now ? 0 : (int)((wait - now) / 1000000) + 1;
    struct pollfd p = {.fd = g_wake, .events = POLLIN};
    uint64_t count;
    if (poll(&p, 1, ms > 1000 ? 1000 : ms) > 0 && read(g_wake, &count, sizeof(count)) < 0)
        return;
    netstack_run(g_st);
    act();
}

static void client(const char *to) {
    char ip[64];
    struct nsock *s;
    snprintf(ip, sizeof(ip), "%s", to);
    char *colon = strrchr(ip, ':');
    if (!colon)
        return;
    *colon = 0;
    struct ns_addr a = {.port = (uint16_t)atoi(colon + 1)};
    if (!ipa_parse(ip, &a.ip))
        must(-EINVAL, ip);
    a.family = ipa_is_v4(&a.ip) ? NS_AF_INET : NS_AF_INET6;
    must(nsock_new(g_ns, a.family, NS_SOCK_STREAM, 0, &g_wake, &s), "socket");
    must(nsock_connect(s, &a), "connect");
    int64_t begin = monotonic_ns();
    uint64_t sent = 0;
    while (monotonic_ns() - begin < 3 * NSEC_PER_SEC) {
        ssize_t n;
        while (nsock_ready(s) & NS_POLLOUT && (n = io(s, true, g_buf, BUF)) > 0)
            sent += (uint64_t)n;
        if (nsock_ready(s) & NS_POLLERR)
            break;
        pump();
    }
    fprintf(stderr, "sent %.1f MB/s\n", (double)sent / 3e6);
    nsock_close(s);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: netstack_link DEVICE ADDRESS [IP:PORT]\n");
        return 2;
    }
    set_up(argv[1], argv[2]);
    if (argc > 3) {
        sleep(2); /* the host's side is being configured */
        client(argv[3]);
    }
    for (;;)
        pump();
}
