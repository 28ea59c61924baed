/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_cc_cubic.c: CUBIC congestion control. Source: RFC 9438; section numbers in
 * comments. HyStart++ (RFC 9406) is not done. Arithmetic is in segments and seconds.
 */
#include "netstack/transport/tcp/tcp_internal.h"

static const double CUBIC_C = 0.4;    /* section 5 */
static const double CUBIC_BETA = 0.7; /* section 4.6 */

/* Newton's method; x >= 0. */
static double cube_root(double x) {
    if (x <= 0)
        return 0;
    double r = x > 1 ? x : 1;
    for (int i = 0; i < 60; i++) {
        double next = (2 * r + x / (r * r)) / 3;
        if (r - next < 1e-9 * r && next - r < 1e-9 * r)
            return next;
        r = next;
    }
    return r;
}

static void cubic_init(struct tcp_sock *tp) {
    tp->cubic = (struct tcp_cubic){0};
}

/* Section 4.2: K = cubic_root((W_max - cwnd_epoch) / C). */
static void start_epoch(struct tcp_sock *tp, double cwnd) {
    struct tcp_cubic *c = &tp->cubic;
    c->epoch_ns = MAX(tcp_now(tp), (int64_t)1);
    if (c->w_max > cwnd) {
        c->k = cube_root((c->w_max - cwnd) / CUBIC_C);
        c->origin = c->w_max;
    } else {
        c->k = 0;
        c->origin = cwnd;
    }
    c->w_est = cwnd;
    c->cwnd_cnt = 0;
}

static void cubic_grow(struct tcp_sock *tp, uint32_t acked) {
    struct tcp_cubic *c = &tp->cubic;
    acked = tcp_slow_start(tp, acked);
    if (acked == 0)
        return;
    double mss = tp->mss, cwnd = tp->cwnd / mss, segs = acked / mss;
    if (c->epoch_ns == 0)
        start_epoch(tp, cwnd);
    double t = (double)(tcp_now(tp) - c->epoch_ns + tp->srtt_ns) / 1e9, d = t - c->k;
    double target = c->origin + CUBIC_C * d * d * d; /* W_cubic(t + RTT), section 4.2 */
    target = MIN(MAX(target, cwnd), 1.5 * cwnd);
    /* section 4.3: at least as fast as Reno with the same decrease; alpha is 1 beyond the old maximum */
    double alpha = c->w_est >= c->w_max && c->w_max > 0 ? 1.0 : 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA);
    c->w_est += alpha * segs / cwnd;
    target = MAX(target, c->w_est);
    c->cwnd_cnt += (target - cwnd) / cwnd * segs;
    if (c->cwnd_cnt >= 1) {
        uint32_t whole = (uint32_t)MIN(c->cwnd_cnt, 65536.0);
        c->cwnd_cnt -= whole;
        tp->cwnd += whole * tp->mss;
    }
}

/* Sections 4.6 and 4.7 (fast convergence). */
static uint32_t cubic_ssthresh(struct tcp_sock *tp) {
    struct tcp_cubic *c = &tp->cubic;
    double cwnd = (double)tp->cwnd / tp->mss;
    c->w_max = cwnd < c->w_max ? cwnd * (1 + CUBIC_BETA) / 2 : cwnd;
    c->epoch_ns = 0;
    uint32_t reduced = (uint32_t)(tp->cwnd * CUBIC_BETA);
    return MAX(reduced, 2u * tp->mss);
}

/* Section 4.8: after a timeout a new epoch begins where congestion avoidance does. */
static void cubic_timeout(struct tcp_sock *tp) {
    tp->cubic.epoch_ns = 0;
}

const struct tcp_cc_ops tcp_cc_cubic = {
    .name = "cubic",
    .init = cubic_init,
    .grow = cubic_grow,
    .ssthresh = cubic_ssthresh,
    .timeout = cubic_timeout,
};
