/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/fault.c: the fault model (fault.h). Bursts follow Gilbert's two-state model.
 * Random numbers: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators",
 * 2016).
 */
#include "netstack/link/fault.h"

#include "base/compiler.h"

void fault_init(struct fault_state *f, uint64_t seed) {
    *f = (struct fault_state){.rng = seed * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull};
    if (f->rng == 0)
        f->rng = 1;
    for (int i = 0; i < 4; i++)
        (void)fault_random(f);
}

uint64_t fault_random(struct fault_state *f) {
    f->rng ^= f->rng >> 12;
    f->rng ^= f->rng << 25;
    f->rng ^= f->rng >> 27;
    return f->rng * 0x2545f4914f6cdd1dull;
}

static bool chance(struct fault_state *f, uint32_t ppm) {
    return ppm && (fault_random(f) >> 32) % 1000000 < ppm;
}

static int64_t below(struct fault_state *f, int64_t n) {
    return n > 0 ? (int64_t)((fault_random(f) >> 1) % (uint64_t)n) : 0;
}

/* Time at which the frame leaves the sender's line; -1: its queue was full. */
static int64_t leave_line(struct fault_state *f, const struct fault_config *c, int64_t now, uint32_t len,
                          bool *ret_ce) {
    if (c->pause_every_ns && now % c->pause_every_ns < c->pause_ns)
        now += c->pause_ns - now % c->pause_every_ns;
    if (!c->rate_bytes_per_s)
        return now;
    int64_t start = MAX(now, f->line_free_ns);
    int64_t backlog = (int64_t)((double)(start - now) * (double)c->rate_bytes_per_s / 1e9);
    if (backlog > 0 && backlog + len > c->queue_bytes)
        return -1;
    *ret_ce = c->mark_ce && backlog > c->queue_bytes / 4;
    f->line_free_ns = start + (int64_t)((double)len * 1e9 / (double)c->rate_bytes_per_s);
    return f->line_free_ns;
}

void fault_decide(struct fault_state *f, const struct fault_config *c, int64_t now, uint32_t len,
                  struct fault_verdict *ret) {
    *ret = (struct fault_verdict){0};
    int64_t sent = leave_line(f, c, now, len, &ret->ce);
    if (f->in_burst ? chance(f, c->burst_end_ppm) : chance(f, c->burst_start_ppm))
        f->in_burst = !f->in_burst;
    if (sent < 0 || f->in_burst || chance(f, c->loss_ppm))
        return;
    ret->copies = chance(f, c->dup_ppm) ? 2 : 1;
    for (int i = 0; i < ret->copies; i++) {
        ret->arrive_ns[i] = sent + c->delay_ns + below(f, c->jitter_ns);
        if (chance(f, c->reorder_ppm))
            ret->arrive_ns[i] += below(f, c->reorder_ns);
    }
    ret->corrupt = chance(f, c->corrupt_ppm);
    ret->corrupt_bit = (uint32_t)below(f, (int64_t)len * 8);
}
