/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_cc_reno.c: Reno congestion control, and slow start for all. Source: RFC 5681
 * section 3.1, RFC 3465 (appropriate byte counting).
 */
#include <string.h>

#include "netstack/transport/tcp/tcp_internal.h"

uint32_t tcp_slow_start(struct tcp_sock *tp, uint32_t acked) {
    if (tp->cwnd >= tp->ssthresh)
        return acked;
    uint32_t step = MIN(acked, tp->ssthresh - tp->cwnd);
    tp->cwnd += step;
    return acked - step;
}

static void reno_init(struct tcp_sock *tp) {
    tp->cwnd_acked = 0;
}

static void reno_grow(struct tcp_sock *tp, uint32_t acked) {
    acked = tcp_slow_start(tp, acked);
    tp->cwnd_acked += acked;
    if (tp->cwnd_acked >= tp->cwnd) { /* one segment per window */
        tp->cwnd_acked -= tp->cwnd;
        tp->cwnd += tp->mss;
    }
}

static uint32_t reno_ssthresh(struct tcp_sock *tp) {
    return MAX(tp->cwnd / 2, 2u * tp->mss); /* equation (4), with cwnd for FlightSize as Linux */
}

const struct tcp_cc_ops tcp_cc_reno = {
    .name = "reno",
    .init = reno_init,
    .grow = reno_grow,
    .ssthresh = reno_ssthresh,
};

const struct tcp_cc_ops *tcp_cc_find(const char *name) {
    static const struct tcp_cc_ops *const all[] = {&tcp_cc_cubic, &tcp_cc_reno};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
