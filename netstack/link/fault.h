/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/fault.h: what a bad link does to a frame, decided from a seed: loss (single and in bursts),
 * duplication, delay with jitter (and so reordering), corruption, pauses, a rate limit with a bounded queue.
 *
 * It only decides; whoever moves the frames (the simulation, a relay between TAP devices) obeys. Plain data,
 * no clock of its own. Not used by the stack itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fault_config {
    /* chances in parts per million */
    uint32_t loss_ppm, burst_start_ppm, burst_end_ppm, dup_ppm, corrupt_ppm, reorder_ppm;
    int64_t delay_ns, jitter_ns, reorder_ns;
    uint64_t rate_bytes_per_s;        /* 0: no limit */
    uint32_t queue_bytes;             /* with a rate: longest backlog before drops */
    int64_t pause_every_ns, pause_ns; /* 0: never: the link is silent for pause_ns in each period */
    bool mark_ce; /* instead of queue drops beyond half of queue_bytes, tell that CE should be set */
};

struct fault_state {
    uint64_t rng;
    bool in_burst;
    int64_t line_free_ns; /* when the last frame has left the rate limiter */
};

struct fault_verdict {
    int copies;           /* 0: lost */
    int64_t arrive_ns[2]; /* of each copy */
    bool corrupt;         /* flip a bit of the first copy */
    uint32_t corrupt_bit;
    bool ce;
};

void fault_init(struct fault_state *f, uint64_t seed);
uint64_t fault_random(struct fault_state *f);
/* The fate of a frame of `len` bytes that is sent at `now`. */
void fault_decide(struct fault_state *f, const struct fault_config *c, int64_t now, uint32_t len,
                  struct fault_verdict *ret);
