/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/netstack/fdlink_test.c: links on descriptors: two stacks over a pair of datagram sockets on the
 * host's loopback, which to the link are packet sockets, with virtio-net headers between them. Real clock and
 * threads; no time is asserted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "netstack/link/fdlink_internal.h"
#include "netstack/stack/stack_core.h"
#include "tests/support/test.h"

enum { MESSAGE = 3000000, TIMEOUT_S = 60, WINDOW = 65536, LARGEST = 60000 };

struct side {
    struct netstack *st;
    struct netns *ns;
    struct nic *nic;
};
static struct side sides[2];
static int wake_fd;

static int64_t now(void *ctx) {
    (void)ctx;
    return monotonic_ns();
}
static void chance(void *ctx, void *buf, size_t len) {
    (void)ctx;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)(monotonic_ns() >> (i % 8));
}
static void notify(void *ctx, void *user, uint32_t events) {
    uint64_t one = 1;
    (void)ctx, (void)user, (void)events;
    ASSERT_EQ(write(wake_fd, &one, sizeof(one)), (ssize_t)sizeof(one));
}
static void earlier(void *ctx, int64_t deadline) {
    (void)deadline;
    notify(ctx, NULL, 0);
}
static void *object(void *ctx, const struct netstack_type *t) {
    (void)ctx;
    return calloc(1, t->size);
}
static void object_free(void *ctx, const struct netstack_type *t, void *p) {
    (void)ctx, (void)t;
    free(p);
}
static void *bytes(void *ctx, size_t n) {
    (void)ctx;
    return malloc(n);
}
static void bytes_free(void *ctx, void *p, size_t n) {
    (void)ctx, (void)n;
    free(p);
}
static const struct netstack_host_ops host = {.now_ns = now,
                                              .realtime_ns = now,
                                              .random = chance,
                                              .socket_notify = notify,
                                              .deadline_changed = earlier};
static const struct netstack_alloc_ops alloc = {object, object_free, bytes, bytes_free};

static void side_make(struct side *s, int fd, uint8_t number, uint32_t gso_max) {
    struct netstack_config config = {.host = &host, .alloc = &alloc};
    ASSERT_EQ(netstack_new(&config, &s->st), 0);
    ASSERT_EQ(netns_new(s->st, &s->ns), 0);
    struct fdlink_config link = {.name = "eth0",
                                 .kind = FDLINK_PACKET,
                                 .fd = fd,
                                 .mac = {{2, 0, 0, 0, 0, number}},
                                 .mtu = 1500,
                                 .gso_max = gso_max};
    ASSERT_EQ(fdlink_new(s->ns, &link, &s->nic), 0);
    ASSERT_EQ(nic_set_up(s->nic, true), 0);
    struct nic_addr a = {.addr = IPA_V4(10, 0, 0, number),
                         .broadcast = IPA_ANY4,
                         .peer = IPA_ANY4,
                         .prefix_len = 24,
                         .valid_s = UINT32_MAX,
                         .preferred_s = UINT32_MAX};
    ASSERT_EQ(nic_addr_add(s->nic, &a), 0);
}

static void make(uint32_t gso_max, int ret_fds[2]) {
    struct sockaddr_in at[2] = {{.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at[0]);

    at[1] = at[0];
    for (int i = 0; i < 2; i++) {
        ret_fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ASSERT_EQ(bind(ret_fds[i], (struct sockaddr *)&at[i], len), 0);
        ASSERT_EQ(getsockname(ret_fds[i], (struct sockaddr *)&at[i], &len), 0);
    }
    for (int i = 0; i < 2; i++)
        ASSERT_EQ(connect(ret_fds[i], (struct sockaddr *)&at[1 - i], len), 0);
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ASSERT_TRUE(wake_fd >= 0);
    side_make(&sides[0], ret_fds[0], 1, gso_max);
    side_make(&sides[1], ret_fds[1], 2, gso_max);
}

static void end(void) {
    for (int i = 0; i < 2; i++)
        ASSERT_EQ(nic_remove(sides[i].nic), 0);
    fdlink_drain();
    for (int i = 0; i < 2; i++) {
        netns_unref(sides[i].ns);
        netstack_run(sides[i].st);
        netstack_free(sides[i].st);
    }
    close(wake_fd);
}

/* Sleeps until something has happened, and lets timers fire. */
static void turn(int64_t give_up) {
    struct pollfd p = {.fd = wake_fd, .events = POLLIN};
    int64_t next = MIN(netstack_next_deadline(sides[0].st), netstack_next_deadline(sides[1].st));
    int64_t left = next == NETSTACK_NEVER ? NSEC_PER_SEC : MAX(next - monotonic_ns(), (int64_t)0);
    uint64_t count;
    ASSERT_TRUE(monotonic_ns() < give_up);
    (void)poll(&p, 1, (int)(MIN(left, (int64_t)NSEC_PER_SEC) / 1000000) + 1);
    (void)!read(wake_fd, &count, sizeof(count));
    netstack_run(sides[0].st);
    netstack_run(sides[1].st);
}

static ssize_t io(struct nsock *s, bool sending, void *buf, size_t len) {
    struct ns_iov iov = {buf, len};
    struct ns_msg m = {.iov = &iov, .iov_count = 1};
    return sending ? nsock_send(s, &m) : nsock_recv(s, &m);
}

static void carry(uint32_t gso_max) {
    int fds[2];
    int64_t give_up = monotonic_ns() + TIMEOUT_S * (int64_t)NSEC_PER_SEC;
    struct nsock *listener, *client, *server = NULL;
    struct ns_addr at = {.family = NS_AF_INET, .port = 9, .ip = IPA_V4(10, 0, 0, 2)};
    uint8_t *out = malloc(MESSAGE), *in = malloc(MESSAGE);
    size_t sent = 0, got = 0;

    make(gso_max, fds);
    for (size_t i = 0; i < MESSAGE; i++)
        out[i] = (uint8_t)(i * 7 + i / 1000);
    ASSERT_EQ(nsock_new(sides[1].ns, NS_AF_INET, NS_SOCK_STREAM, 0, &sides[1], &listener), 0);
    int window = WINDOW; /* what the host's socket can hold */
    ASSERT_EQ(nsock_setopt(listener, NS_SOL_SOCKET, NS_SO_RCVBUF, &window, sizeof(window)), 0);
    ASSERT_EQ(nsock_bind(listener, &at), 0);
    ASSERT_EQ(nsock_listen(listener, 1), 0);
    ASSERT_EQ(nsock_new(sides[0].ns, NS_AF_INET, NS_SOCK_STREAM, 0, &sides[0], &client), 0);
    ASSERT_EQ(nsock_connect(client, &at), -EINPROGRESS);
    while (nsock_accept(listener, &server, NULL) < 0)
        turn(give_up);
    nsock_set_user(server, &sides[1]);
    while (got < MESSAGE) {
        ssize_t n = sent < MESSAGE ? io(client, true, out + sent, MESSAGE - sent) : 0;
        sent += n > 0 ? (size_t)n : 0;
        ssize_t m = io(server, false, in + got, MESSAGE - got);
        got += m > 0 ? (size_t)m : 0;
        if (m < 0)
            turn(give_up);
    }
    ASSERT_EQ(memcmp(in, out, MESSAGE), 0);
    nsock_close(client);
    nsock_close(server);
    nsock_close(listener);
    free(out);
    free(in);
    end();
}

TEST(fdlink_carries_super_segments) {
    carry(LARGEST);
}

TEST(fdlink_carries_plain_frames) {
    carry(0);
}

/* Whatever comes in, it is counted and dropped, and the link goes on. */
TEST(fdlink_survives_senseless_frames) {
    static const struct vnet_hdr bad[] = {
        {.flags = VNET_NEEDS_CSUM, .csum_start = 60, .csum_offset = 0xffff},
        {.flags = VNET_NEEDS_CSUM, .csum_start = 0xffff, .csum_offset = 0xffff},
        {.gso_type = VNET_GSO_TCPV4},
        {.gso_type = VNET_GSO_UDP, .gso_size = 100},
        {.gso_type = 99, .gso_size = 1},
    };
    uint8_t frame[sizeof(struct vnet_hdr) + 60] = {0};
    struct nic_info info;
    int fds[2];

    make(LARGEST, fds);
    int64_t give_up = monotonic_ns() + TIMEOUT_S * (int64_t)NSEC_PER_SEC;
    ASSERT_EQ(write(fds[0], frame, 3), 3);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        memcpy(frame, &bad[i], sizeof(bad[i]));
        ASSERT_EQ(write(fds[0], frame, sizeof(frame)), (ssize_t)sizeof(frame));
    }
    do {
        turn(give_up);
        nic_info(sides[1].nic, &info);
    } while (info.stats.rx_errors < ARRAY_SIZE(bad) + 1);
    ASSERT_EQ(info.stats.rx_errors, ARRAY_SIZE(bad) + 1);
    end();
}
