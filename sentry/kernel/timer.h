/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/timer.h: kernel timers: one queue, one host thread that sleeps until the earliest deadline,
 * no periodic wake-ups.
 *
 * A ktimer is embedded in what it serves. Its function runs on the timer thread with no lock held (RANK_TIMER
 * is dropped), may take any lock above RANK_NOBLOCK, must not block. ktimer_cancel_sync() waits until a
 * running function has returned. Clocks: deadlines are host CLOCK_MONOTONIC ns. A timer on CLOCK_REALTIME is
 * re-armed by its owner when the guest's offset steps.
 */
#pragma once

#include "base/clock.h"
#include "base/mutex.h"

struct kernel;
struct ktimer;
struct timer_queue;

struct ktimer_ops {
    void (*fire)(struct ktimer *timer, int64_t now);
};

struct ktimer {
    const struct ktimer_ops *ops;
    struct timer_queue *queue;
    int64_t deadline;  /* CLOCK_NEVER: not armed. Protected by the queue's lock, as the rest */
    size_t heap_index; /* in the queue's binary heap, when armed */
};

void ktimer_init(struct ktimer *timer, struct kernel *k, const struct ktimer_ops *ops);
/* Replaces an earlier deadline; CLOCK_NEVER: as cancel. Without memory for a larger queue the timer fires at
 * once. */
void ktimer_arm(struct ktimer *timer, int64_t deadline);
bool ktimer_cancel(struct ktimer *timer);      /* true if it was armed */
void ktimer_cancel_sync(struct ktimer *timer); /* not from its own fire() */
int64_t ktimer_deadline(struct ktimer *timer); /* CLOCK_NEVER: not armed */

/* Work that cannot be done where it turns out to be due, with a lock of too high a rank held (a wake-up that
 * must send a signal). kernel_defer() may be called with any lock and does not block; `run` comes soon after,
 * on the timer thread, under the rules of ktimer_ops.fire. While it waits to be run, further calls do
 * nothing: what happens between the call and the run is in one run. The owner keeps the object until it has
 * run. */
struct deferred {
    void (*run)(struct deferred *d);
    struct deferred *next;
    _Atomic bool pending;
};
/* True if this call made it pending: the owner then takes a reference for the run BEFORE the call, else drops
 * it. */
bool kernel_defer(struct kernel *k, struct deferred *d);

int timer_queue_create(struct timer_queue **ret) must_check; /* starts the thread: 0, -ENOMEM, -EAGAIN */
void timer_queue_destroy(struct timer_queue *q);             /* nothing is armed any more */
