/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/netstack/basic_test.c: first life signs: UDP, ping and TCP over loopback and over a clean link.
 */
#include "tests/sim/stream.h"

TEST(tcp_over_a_clean_link) {
    struct sim s;
    sim_init(&s, 1);
    struct sim_host *a = sim_add_host(&s), *b = sim_add_host(&s);
    struct sim_link *l = sim_add_link(&s, a, b, 1500, 0);
    sim_host_addr(a, l->nic[0], "10.0.0.1", 24);
    sim_host_addr(b, l->nic[1], "10.0.0.2", 24);
    struct stream x = {.end = {{.to_send = 1000000}, {.to_send = 300000}}};
    stream_start(&x, &s, a, b, "10.0.0.2", 80);
    stream_run(&x, SIM_S(60));
    for (int i = 0; i < 2; i++) {
        ASSERT_EQ(x.end[i].error, 0);
        ASSERT_EQ(x.end[i].received, x.end[i].to_recv);
    }
    stream_close(&x);
    sim_run_for(&s, SIM_S(61)); /* TIME-WAIT */
    sim_done(&s);
}

TEST(tcp_over_loopback) {
    struct sim s;
    sim_init(&s, 2);
    struct sim_host *a = sim_add_host(&s);
    struct stream x = {.end = {{.to_send = 5000000}, {.to_send = 100000}}};
    stream_start(&x, &s, a, a, "127.0.0.1", 80);
    stream_run(&x, SIM_S(60));
    for (int i = 0; i < 2; i++) {
        ASSERT_EQ(x.end[i].error, 0);
        ASSERT_EQ(x.end[i].received, x.end[i].to_recv);
    }
    stream_close(&x);
    sim_run_for(&s, SIM_S(61));
    sim_done(&s);
}

/* The loopback MTU is larger than an IPv4 packet may be: full-sized segments must still fit one. */
TEST(tcp_full_segments_over_loopback) {
    struct sim s;
    sim_init(&s, 2);
    struct sim_host *a = sim_add_host(&s);
    struct stream x = {.end = {{.to_send = 30000000, .max_write = 65000, .max_read = 65000}, {.to_send = 0}}};
    stream_start(&x, &s, a, a, "127.0.0.1", 80);
    stream_run(&x, SIM_S(1));
    ASSERT_EQ(x.end[1].received, 30000000);
    struct netns_mib m;
    netns_mib_get(a->ns, &m);
    ASSERT_EQ(m.tcp_retrans_segs, 0);
    ASSERT_EQ(m.ip_frag_fails + m.ip_out_discards, 0);
    stream_close(&x);
    sim_run_for(&s, SIM_S(61));
    sim_done(&s);
}

TEST(tcp_over_ipv6) {
    struct sim s;
    sim_init(&s, 3);
    struct sim_host *a = sim_add_host(&s), *b = sim_add_host(&s);
    struct sim_link *l = sim_add_link(&s, a, b, 1500, 0);
    sim_host_addr(a, l->nic[0], "fd00::1", 64);
    sim_host_addr(b, l->nic[1], "fd00::2", 64);
    struct stream x = {.end = {{.to_send = 1000000}, {.to_send = 300000}}};
    stream_start(&x, &s, a, b, "fd00::2", 80);
    stream_run(&x, SIM_S(60));
    for (int i = 0; i < 2; i++) {
        ASSERT_EQ(x.end[i].error, 0);
        ASSERT_EQ(x.end[i].received, x.end[i].to_recv);
    }
    stream_close(&x);
    sim_run_for(&s, SIM_S(61));
    sim_done(&s);
}
