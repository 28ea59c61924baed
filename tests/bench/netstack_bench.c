/* SPDX-License-Identifier: Apache-2.0
 * tests/bench/netstack_bench.c: netstack's loopback beside the host's: one stream, round trips, connections.
 * One thread plays both ends on either side, so that the stacks' own work is compared. Prints figures and
 * ratios; not a test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "netstack/netstack.h"

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
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)(lrand48() >> 8);
}
static void op_notify(void *ctx, void *user, uint32_t events) {
    (void)ctx, (void)user, (void)events;
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
static const struct netstack_host_ops host_ops = {
    .now_ns = op_now, .realtime_ns = op_realtime, .random = op_random, .socket_notify = op_notify};
static const struct netstack_alloc_ops alloc_ops = {op_alloc, op_free, op_bytes, op_free_bytes};

static struct netstack *g_st;
static struct netns *g_ns;
static struct nsock *g_listener;
static const struct ns_addr g_at = {.family = NS_AF_INET, .port = 80, .ip = IPA_V4(127, 0, 0, 1)};
static uint8_t g_buf[1 << 17];

static void must(int rc) {
    if (rc < 0 && rc != -EINPROGRESS) {
        fprintf(stderr, "failed: %d\n", rc);
        exit(1);
    }
}

static void ours_pair(struct nsock **c, struct nsock **s) {
    must(nsock_new(g_ns, NS_AF_INET, NS_SOCK_STREAM, 0, NULL, c));
    must(nsock_connect(*c, &g_at));
    must(nsock_accept(g_listener, s, NULL));
}

static ssize_t ours_io(struct nsock *s, bool send, size_t n) {
    struct ns_iov iov = {g_buf, n};
    struct ns_msg m = {.iov = &iov, .iov_count = 1};
    return send ? nsock_send(s, &m) : nsock_recv(s, &m);
}

static int g_host_listener;
static struct sockaddr_in g_host_at;

static void host_pair(int *c, int *s) {
    int on = 1;
    *c = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(*c, (struct sockaddr *)&g_host_at, sizeof(g_host_at)) < 0)
        exit(1);
    *s = accept(g_host_listener, NULL, NULL);
    setsockopt(*c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(*s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static double seconds_since(int64_t t) {
    return (double)(monotonic_ns() - t) / 1e9;
}

static double stream_ours(uint64_t bytes) {
    struct nsock *c, *s;
    ours_pair(&c, &s);
    uint64_t got = 0, sent = 0;
    int64_t t = monotonic_ns();
    while (got < bytes) {
        ssize_t n = sent < bytes ? ours_io(c, true, sizeof(g_buf)) : 0;
        sent += n > 0 ? (uint64_t)n : 0;
        while ((n = ours_io(s, false, sizeof(g_buf))) > 0)
            got += (uint64_t)n;
        netstack_run(g_st);
    }
    double d = seconds_since(t);
    nsock_close(c);
    nsock_close(s);
    return (double)bytes / d / 1e9;
}

static double stream_host(uint64_t bytes) {
    int c, s;
    host_pair(&c, &s);
    uint64_t got = 0, sent = 0;
    int64_t t = monotonic_ns();
    while (got < bytes) {
        ssize_t n = sent < bytes ? send(c, g_buf, sizeof(g_buf), MSG_DONTWAIT) : 0;
        sent += n > 0 ? (uint64_t)n : 0;
        while ((n = recv(s, g_buf, sizeof(g_buf), MSG_DONTWAIT)) > 0)
            got += (uint64_t)n;
    }
    double d = seconds_since(t);
    close(c);
    close(s);
    return (double)bytes / d / 1e9;
}

static double rr_ours(int n) {
    struct nsock *c, *s;
    int on = 1;
    ours_pair(&c, &s);
    must(nsock_setopt(c, NS_SOL_TCP, NS_TCP_NODELAY, &on, sizeof(on)));
    must(nsock_setopt(s, NS_SOL_TCP, NS_TCP_NODELAY, &on, sizeof(on)));
    int64_t t = monotonic_ns();
    for (int i = 0; i < n; i++)
        if (ours_io(c, true, 1) != 1 || ours_io(s, false, 1) != 1 || ours_io(s, true, 1) != 1 ||
            ours_io(c, false, 1) != 1)
            exit(1);
    double d = seconds_since(t);
    nsock_close(c);
    nsock_close(s);
    return d / n * 1e6;
}

static double rr_host(int n) {
    int c, s;
    host_pair(&c, &s);
    int64_t t = monotonic_ns();
    for (int i = 0; i < n; i++)
        if (send(c, g_buf, 1, 0) != 1 || recv(s, g_buf, 1, 0) != 1 || send(s, g_buf, 1, 0) != 1 ||
            recv(c, g_buf, 1, 0) != 1)
            exit(1);
    double d = seconds_since(t);
    close(c);
    close(s);
    return d / n * 1e6;
}

static double conn_ours(int n) {
    int64_t t = monotonic_ns();
    for (int i = 0; i < n; i++) {
        struct nsock *c, *s;
        ours_pair(&c, &s);
        nsock_close(s);
        nsock_close(c);
    }
    return n / seconds_since(t);
}

static double conn_host(int n) {
    int64_t t = monotonic_ns();
    for (int i = 0; i < n; i++) {
        int c, s;
        host_pair(&c, &s);
        close(s);
        close(c);
    }
    return n / seconds_since(t);
}

int main(void) {
    struct netstack_config cfg = {.host = &host_ops, .alloc = &alloc_ops};
    socklen_t len = sizeof(g_host_at);
    must(netstack_new(&cfg, &g_st));
    must(netns_new(g_st, &g_ns));
    must(nic_set_up(nic_by_name(g_ns, "lo"), true));
    must(nsock_new(g_ns, NS_AF_INET, NS_SOCK_STREAM, 0, NULL, &g_listener));
    must(nsock_bind(g_listener, &g_at));
    must(nsock_listen(g_listener, 100));
    g_host_listener = socket(AF_INET, SOCK_STREAM, 0);
    g_host_at.sin_family = AF_INET;
    g_host_at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(g_host_listener, (struct sockaddr *)&g_host_at, len) < 0 || listen(g_host_listener, 100) < 0 ||
        getsockname(g_host_listener, (struct sockaddr *)&g_host_at, &len) < 0)
        return 1;
    double a = stream_ours((uint64_t)256 << 20), b = stream_host((uint64_t)256 << 20);
    printf("stream        ours %6.2f GB/s   host %6.2f GB/s   ratio %.2f\n", a, b, a / b);
    a = rr_ours(200000), b = rr_host(200000);
    printf("round trip    ours %6.2f us     host %6.2f us     ratio %.2f\n", a, b, a / b);
    a = conn_ours(20000), b = conn_host(20000);
    printf("connections   ours %6.0f /s     host %6.0f /s     ratio %.2f\n", a, b, a / b);
    nsock_close(g_listener);
    netns_unref(g_ns);
    netstack_free(g_st);
    return 0;
}
