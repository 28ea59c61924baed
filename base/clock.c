/* SPDX-License-Identifier: Apache-2.0
 * base/clock.c: clock_gettime(2) as one number.
 */
#include "base/clock.h"

#include "base/compiler.h"

int64_t clock_ns(clockid_t id) {
    struct timespec t;

    ASSERT(clock_gettime(id, &t) == 0);
    return (int64_t)t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}
