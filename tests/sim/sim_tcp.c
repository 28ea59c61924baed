/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/sim_tcp.c: thousands of seeded connections over bad links. In each, every byte arrives once and
 * in order both ways, the connection ends, no timer and no memory is left, memory stays bounded, and counters
 * make sense.
 *
 * RUNSC_SIM_SEED=N runs one seed of each family alone; RUNSC_TEST_FULL=1 runs 20,000 seeds instead of 1,200.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/stream.h"

enum { MEMORY_BOUND = 40 << 20, QUICK_SEEDS = 1200, FULL_SEEDS = 20000, FAMILIES = 8 };

static void choose_faults(struct sim *s, struct fault_config *f) {
    f->delay_ns = (int64_t)sim_below(s, (uint64_t)SIM_MS(60)) + 10000;
    if (sim_below(s, 2))
        f->jitter_ns = (int64_t)sim_below(s, (uint64_t)f->delay_ns);
    if (sim_below(s, 2))
        f->loss_ppm = (uint32_t)sim_below(s, 60000);
    if (sim_below(s, 3) == 0) {
        f->burst_start_ppm = (uint32_t)sim_below(s, 3000);
        f->burst_end_ppm = 100000 + (uint32_t)sim_below(s, 500000);
    }
    if (sim_below(s, 3) == 0)
        f->dup_ppm = (uint32_t)sim_below(s, 50000);
    if (sim_below(s, 3) == 0) {
        f->reorder_ppm = (uint32_t)sim_below(s, 100000);
        f->reorder_ns = (int64_t)sim_below(s, (uint64_t)SIM_MS(30));
    }
    if (sim_below(s, 4) == 0)
        f->corrupt_ppm = (uint32_t)sim_below(s, 20000);
    if (sim_below(s, 4) == 0) {
        f->rate_bytes_per_s = 50000 + sim_below(s, 2000000);
        f->queue_bytes = 8000 + (uint32_t)sim_below(s, 200000);
        f->mark_ce = sim_below(s, 2);
    }
    if (sim_below(s, 8) == 0) {
        f->pause_every_ns = SIM_S(3) + (int64_t)sim_below(s, (uint64_t)SIM_S(5));
        f->pause_ns = (int64_t)sim_below(s, (uint64_t)SIM_S(2));
    }
}

static void choose_knobs(struct sim *s, struct sim_host *h) {
    struct netns_sysctl k;
    netns_sysctl_get(h->ns, &k);
    k.tcp_sack = sim_below(s, 5) != 0;
    k.tcp_timestamps = sim_below(s, 4) != 0;
    k.tcp_window_scaling = sim_below(s, 4) != 0;
    k.tcp_ecn = (int)sim_below(s, 3);
    k.tcp_dsack = sim_below(s, 4) != 0;
    k.tcp_moderate_rcvbuf = sim_below(s, 3) != 0;
    k.tcp_retries2 = 30;
    k.tcp_syn_retries = 15;
    k.tcp_synack_retries = 15;
    k.tcp_orphan_retries = 30;
    if (sim_below(s, 3) == 0)
        snprintf(k.tcp_congestion_control, sizeof(k.tcp_congestion_control), "reno");
    ASSERT_EQ(netns_sysctl_set(h->ns, &k), 0);
}

static void choose_user(struct sim *s, struct stream_end *e) {
    static const uint32_t sizes[] = {0, 100, 5000, 100000, 400000, 1500000};
    uint32_t max = sizes[sim_below(s, sizeof(sizes) / sizeof(sizes[0]))];
    e->to_send = sim_below(s, max + 1);
    e->max_write = 1 + (uint32_t)sim_below(s, sim_below(s, 2) ? 300 : 60000);
    e->max_read = 1 + (uint32_t)sim_below(s, sim_below(s, 2) ? 300 : 60000);
    if (e->to_send > 2000ull * e->max_write) /* keeps the number of steps in hand */
        e->to_send = 2000ull * e->max_write;
    if (sim_below(s, 4) == 0)
        e->pause_ns = (int64_t)sim_below(s, (uint64_t)SIM_MS(20));
}

static void choose_options(struct sim *s, struct nsock *sock) {
    int on = 1, size = 2000 + (int)sim_below(s, 60000);
    if (sim_below(s, 3) == 0)
        ASSERT_EQ(nsock_setopt(sock, NS_SOL_TCP, NS_TCP_NODELAY, &on, sizeof(on)), 0);
    if (sim_below(s, 4) == 0)
        ASSERT_EQ(nsock_setopt(sock, NS_SOL_SOCKET, NS_SO_RCVBUF, &size, sizeof(size)), 0);
    if (sim_below(s, 4) == 0)
        ASSERT_EQ(nsock_setopt(sock, NS_SOL_SOCKET, NS_SO_SNDBUF, &size, sizeof(size)), 0);
}

/* When both have closed, connections and TIME-WAIT must vanish by themselves. */
static void check_quiet(struct sim *s, struct sim_host *a, struct sim_host *b) {
    for (int i = 0; i < 60; i++)
        sim_run_for(s, SIM_S(100));
    ASSERT_EQ(netstack_next_deadline(a->st), NETSTACK_NEVER);
    ASSERT_EQ(netstack_next_deadline(b->st), NETSTACK_NEVER);
    ASSERT_LT(a->peak_bytes, MEMORY_BOUND);
    ASSERT_LT(b->peak_bytes, MEMORY_BOUND);
}

static void check_counters(const struct stream *x, struct sim_host *a) {
    struct netns_mib m;
    netns_mib_get(a->ns, &m);
    ASSERT_EQ(m.tcp_active_opens, x->attempts);
    ASSERT_LE(m.tcp_retrans_segs, m.tcp_out_segs);
}

/* Two hosts on one link, or with a router between links of different MTUs, one of which changes on the way.
 */
struct world {
    struct sim s;
    struct sim_host *a, *b, *r;
    struct sim_link *near, *far;
    bool six;
    int64_t mtu_change_at; /* 0: none */
    uint32_t mtu_after;
};

static uint32_t choose_mtu(struct world *w) {
    return w->six ? 1280 + (uint32_t)sim_below(&w->s, 8000) : 576 + (uint32_t)sim_below(&w->s, 9000);
}

static void default_route(struct sim_host *h, const char *gw) {
    struct ns_route r = {.nexthop = {.gateway = sim_ip(gw)}};
    r.dst = ipa_is_v4(&r.nexthop.gateway) ? IPA_ANY4 : IPA_ANY6;
    ASSERT_EQ(netns_route_add(h->ns, &r), 0);
}

static void make_direct(struct world *w, uint32_t offloads) {
    w->near = w->far = sim_add_link(&w->s, w->a, w->b, choose_mtu(w), offloads);
    sim_host_addr(w->a, w->near->nic[0], w->six ? "fd00::1" : "10.0.0.1", w->six ? 64 : 24);
    sim_host_addr(w->b, w->near->nic[1], w->six ? "fd00::2" : "10.0.0.2", w->six ? 64 : 24);
}

static void make_routed(struct world *w, uint32_t offloads) {
    struct netns_sysctl k;
    w->r = sim_add_host(&w->s);
    netns_sysctl_get(w->r->ns, &k);
    k.ip_forward = k.ip6_forwarding = true;
    ASSERT_EQ(netns_sysctl_set(w->r->ns, &k), 0);
    w->near = sim_add_link(&w->s, w->a, w->r, choose_mtu(w), offloads);
    w->far = sim_add_link(&w->s, w->r, w->b, choose_mtu(w), offloads);
    bool six = w->six;
    unsigned plen = six ? 64 : 24;
    sim_host_addr(w->a, w->near->nic[0], six ? "fd01::1" : "10.0.1.1", plen);
    sim_host_addr(w->r, w->near->nic[1], six ? "fd01::ff" : "10.0.1.254", plen);
    sim_host_addr(w->r, w->far->nic[0], six ? "fd00::ff" : "10.0.0.254", plen);
    sim_host_addr(w->b, w->far->nic[1], six ? "fd00::2" : "10.0.0.2", plen);
    default_route(w->a, six ? "fd01::ff" : "10.0.1.254");
    default_route(w->b, six ? "fd00::ff" : "10.0.0.254");
    if (w->s.seed % 2) /* the way back is the translation's to find */
        ASSERT_EQ(sim_masquerade(w->r), 0);
    choose_faults(&w->s, &w->near->fault);
    if (sim_below(&w->s, 2)) {
        w->mtu_change_at = w->s.now + (int64_t)sim_below(&w->s, (uint64_t)SIM_S(2));
        w->mtu_after = choose_mtu(w);
    }
}

static void change_mtu(struct world *w) {
    if (!w->mtu_change_at || w->s.now < w->mtu_change_at)
        return;
    w->mtu_change_at = 0;
    ASSERT_EQ(nic_set_mtu(w->far->nic[0], w->mtu_after), 0);
    ASSERT_EQ(nic_set_mtu(w->far->nic[1], w->mtu_after), 0);
}

static void run_streams(struct world *w, struct stream *x) {
    if (w->mtu_change_at) {
        while (w->mtu_change_at && stream_act(x)) {
            int64_t user = stream_next(x);
            (void)sim_step(&w->s, user < w->mtu_change_at ? user : w->mtu_change_at);
            change_mtu(w);
        }
    }
    stream_run(x, SIM_S(40000));
}

/* What all seeds of a family did together: a simulation that provokes nothing proves nothing. */
static struct netns_mib g_total;

static void add_up(struct sim_host *h) {
    struct netns_mib m;
    netns_mib_get(h->ns, &m);
    const uint64_t *from = (const uint64_t *)&m;
    uint64_t *to = (uint64_t *)&g_total;
    for (size_t i = 0; i < sizeof(m) / sizeof(*from); i++)
        to[i] += from[i];
}

static void say_seed(struct world *w, const struct stream *x) {
    double sec = (double)(x->finished - x->started) / 1e9;
    const struct fault_config *f = &w->far->fault;
    struct netns_mib m;
    netns_mib_get(w->a->ns, &m);
    fprintf(stderr,
            "seed %llu: %llu + %llu bytes in %.3f s, loss %u ppm burst %u delay %.1f ms rate %llu pause %lld "
            "mtu %u "
            "timeouts %llu retrans %llu routed %d upause %lld %lld\n",
            (unsigned long long)w->s.seed, (unsigned long long)x->end[0].to_send,
            (unsigned long long)x->end[1].to_send, sec, f->loss_ppm, f->burst_start_ppm,
            (double)f->delay_ns / 1e6, (unsigned long long)f->rate_bytes_per_s,
            (long long)f->pause_ns / 1000000, w->mtu_after, (unsigned long long)m.tcp_timeouts,
            (unsigned long long)m.tcp_retrans_segs, w->r != NULL, (long long)x->end[0].pause_ns / 1000000,
            (long long)x->end[1].pause_ns / 1000000);
}

static void run_seed(uint64_t seed) {
    static struct world w;
    memset(&w, 0, sizeof(w));
    sim_init(&w.s, seed);
    w.six = sim_below(&w.s, 4) == 0;
    uint32_t offloads = sim_below(&w.s, 2) ? NIC_TX_CSUM | NIC_TSO : 0;
    w.a = sim_add_host(&w.s);
    w.b = sim_add_host(&w.s);
    choose_knobs(&w.s, w.a);
    choose_knobs(&w.s, w.b);
    if (sim_below(&w.s, 3) == 0)
        make_routed(&w, offloads);
    else
        make_direct(&w, offloads);
    choose_faults(&w.s, &w.far->fault);
    if (offloads) /* nobody sums these frames */
        w.near->fault.corrupt_ppm = w.far->fault.corrupt_ppm = 0;
    struct stream x = {.configure = choose_options};
    choose_user(&w.s, &x.end[0]);
    choose_user(&w.s, &x.end[1]);
    stream_start(&x, &w.s, w.a, w.b, w.six ? "fd00::2" : "10.0.0.2", 80);
    run_streams(&w, &x);
    for (int i = 0; i < 2; i++) {
        if (x.end[i].error)
            ASSERT_FAIL("seed %llu: end %d got error %d", (unsigned long long)seed, i, x.end[i].error);
        ASSERT_EQ(x.end[i].received, x.end[i].to_recv);
    }
    check_counters(&x, w.a);
    add_up(w.a);
    add_up(w.b);
    if (getenv("RUNSC_SIM_VERBOSE"))
        say_seed(&w, &x);
    stream_close(&x);
    check_quiet(&w.s, w.a, w.b);
    sim_done(&w.s);
}

static void check_provoked(void) {
    ASSERT_GT(g_total.tcp_fast_retrans, 500);
    ASSERT_GT(g_total.tcp_slow_start_retrans, 150);
    ASSERT_GT(g_total.tcp_timeouts, 150);
    ASSERT_GT(g_total.tcp_loss_probes, 3);
    ASSERT_GT(g_total.tcp_dsack_recv, 100);
    ASSERT_GT(g_total.tcp_ofo_queued, 5000);
    ASSERT_GT(g_total.tcp_spurious_rtos, 0);
    ASSERT_GT(g_total.tcp_csum_errors, 10);
    ASSERT_GT(g_total.tcp_delayed_acks, 500);
    ASSERT_GT(g_total.tcp_tw, 100);
}

static void run_family(unsigned family) {
    const char *one = getenv("RUNSC_SIM_SEED");
    uint64_t count = getenv("RUNSC_TEST_FULL") ? FULL_SEEDS : QUICK_SEEDS;
    if (one) {
        if (strtoull(one, NULL, 10) % FAMILIES == family)
            run_seed(strtoull(one, NULL, 10));
        return;
    }
    for (uint64_t seed = family; seed < count; seed += FAMILIES) {
        run_seed(seed);
    }
    check_provoked();
}

#define FAMILY(n)                                                                                            \
    TEST_TIMEOUT(tcp_seeds_family_##n, 3600) {                                                               \
        run_family(n);                                                                                       \
    }
FAMILY(0)
FAMILY(1)
FAMILY(2)
FAMILY(3)
FAMILY(4)
FAMILY(5)
FAMILY(6)
FAMILY(7)
