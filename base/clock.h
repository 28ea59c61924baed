/* SPDX-License-Identifier: Apache-2.0
 * base/clock.h: host time as nanoseconds. All internal times are int64_t nanoseconds; a deadline is absolute
 * on CLOCK_MONOTONIC; CLOCK_NEVER means none.
 */
#pragma once

#include <stdint.h>
#include <time.h>

#define NSEC_PER_SEC 1000000000ll
#define CLOCK_NEVER  INT64_MAX

int64_t clock_ns(clockid_t id);
static inline int64_t monotonic_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}
static inline int64_t realtime_ns(void) {
    return clock_ns(CLOCK_REALTIME);
}
/* a + b without overflow: CLOCK_NEVER at the top. Both >= 0. */
static inline int64_t clock_add(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? CLOCK_NEVER : sum;
}
