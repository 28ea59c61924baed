/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/ntimer.h: the stack's timers: an intrusive pairing heap, so that arming one never fails.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netstack;
struct ntimer;

struct ntimer_ops {
    /* Does: handles expiry; the timer is disarmed and may be armed again. Locked. Required. */
    void (*fire)(struct netstack *st, struct ntimer *t);
};

struct ntimer {
    const struct ntimer_ops *ops;
    int64_t deadline; /* valid while armed */
    struct ntimer *child, *next;
    struct ntimer *prev; /* left sibling, or parent for a leftmost child; self: root; NULL: not armed */
};

static inline void ntimer_init(struct ntimer *t, const struct ntimer_ops *ops) {
    *t = (struct ntimer){.ops = ops};
}

static inline bool ntimer_armed(const struct ntimer *t) {
    return t->prev != NULL;
}

/* (Re)arms for an absolute time. */
void ntimer_arm(struct netstack *st, struct ntimer *t, int64_t deadline);
void ntimer_disarm(struct netstack *st, struct ntimer *t);
/* Fires what is due at st->now; at most `budget` timers. */
void ntimer_run(struct netstack *st, int budget);
