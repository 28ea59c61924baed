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
