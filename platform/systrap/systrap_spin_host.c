/* SPDX-License-Identifier: Apache-2.0
 * platform/systrap/systrap_spin_host.c: hand-off by spinning, while a cpu would idle otherwise.
 *
 * As a rule sentry thread and guest thread share a cpu and sleep in turn: two switches a call, about 5 us. If
 * the guest makes call upon call, and the sandbox has a cpu on which no pair runs, the sentry thread goes
 * there and both spin for each other: a tenth of that. The bet is lost, and the sentry thread comes home,
 * when
 *  - the guest does not come back within LIMIT and the credit, or falls asleep too often since the sentry
 * takes long, or the task waits in the sentry (it would be woken on the wrong cpu: 20 to 100 us);
 *  - any cpu of the sandbox gets two pairs, so that the one spun away is wanted.
 * Each call served by spinning adds to the credit a fiftieth of what it saved. So ticks of the host, or cpus
 * that it takes away from a virtual machine for a moment, do not end what goes well; but a cpu on which
 * others work (which shows as lateness too, on either side) soon does. A lost bet makes the next one dearer:
 * so many more short calls than long ones must come first, twice as many each time, until one has paid.
 * Nothing is ever spun away on one cpu, nor for more than LIMIT at a time, by either side. Times are in
 * cycles of the time stamp counter: what matters is their order of magnitude.
 */
#include <sched.h>
#include <x86intrin.h>

#include "base/log.h"
#include "platform/systrap/systrap_internal.h"

#define LIMIT      200000ull /* 50 to 100 us: what the guest may compute between two calls */
#define CREDIT     250ull
#define CREDIT_MAX 4000000ull /* 1 to 2 ms */
#define SHORT      60000ull   /* a call soon enough after the last one, hand-off by sleeping included */
#define WAKE_LIMIT 1500000ull /* with waking the guest thread, which has fallen asleep on an idle cpu */
enum { WAKES_ALLOWED = 4, CALLS_PER_WAKE = 16 };
enum { LONG_COSTS = 25 };
enum { NEED_FIRST = 100, NEED_MAX = 12800, PAID_OFF = 500, STUB_SPINS = 2000 /* pauses: as LIMIT */ };

void systrap_spin_init(struct systrap_context *c) {
    c->spin = (struct systrap_spin){.cpu = -1, .need = NEED_FIRST};
    c->slot->spin = 0;
}

/* Home to the guest's cpu. */
void systrap_spin_leave(struct systrap_context *c) {
    struct systrap_spin *s = &c->spin;
    if (s->cpu < 0)
        return;
    log_debug(LOG_PLATFORM, "guest thread %d: together again after %u calls, %u with a wake-up", (int)c->tid,
              s->paid, s->wakes);
    s->need = s->paid < PAID_OFF ? MIN(s->need * 2, (uint32_t)NEED_MAX) : NEED_FIRST;
    s->streak = s->paid = s->wakes = 0;
    s->credit = 0;
    c->slot->spin = 0;
    stub_pair_rejoin(&c->pair, s->cpu);
    s->cpu = -1;
}

void systrap_spin_wait_in_sentry(struct systrap_context *c) {
    c->spin.streak = 0;
    systrap_spin_leave(c);
}

void systrap_spin_begin(struct systrap_context *c) {
    struct systrap_spin *s = &c->spin;
    bool asleep = atomic_load_explicit(&c->slot->stub_asleep, memory_order_relaxed);
    if (s->cpu >= 0 && asleep && ++s->wakes > WAKES_ALLOWED + s->paid / CALLS_PER_WAKE)
        systrap_spin_leave(c);
    if (likely(s->cpu < 0) && unlikely(s->streak >= s->need)) {
        s->cpu = stub_pair_part(&c->pair);
        log_debug(LOG_PLATFORM, "guest thread %d: apart after %u calls: %d", (int)c->tid, s->need, s->cpu);
        s->streak = 0; /* if there was none: not before as many calls again */
        c->slot->spin = s->cpu < 0 ? 0 : STUB_SPINS;
    } else if (s->cpu >= 0) {
        c->slot->spin = STUB_SPINS; /* the guest may have changed it, which costs it its own time */
    }
    s->limit = (asleep ? WAKE_LIMIT : LIMIT) + s->credit;
    s->resumed = __rdtsc();
}

bool systrap_spin_await(struct systrap_context *c) {
    struct systrap_spin *s = &c->spin;
    if (s->cpu < 0)
        return false;
    if (!stub_pair_is_apart(&c->pair)) { /* somebody has moved us meanwhile */
        systrap_spin_leave(c);
        return false;
    }
    uint64_t took = 0;
    while (atomic_load_explicit(&c->slot->turn, memory_order_acquire) == TURN_GUEST) {
        took = __rdtsc() - s->resumed;
        if (took > s->limit || stub_cpus_crowded(c->pair.cpus)) {
            systrap_spin_leave(c);
            return false;
        }
        _mm_pause();
    }
    s->paid++;
    s->credit = took > LIMIT ? s->credit - MIN(s->credit, took - LIMIT) : MIN(s->credit + CREDIT, CREDIT_MAX);
    return true;
}

void systrap_spin_end(struct systrap_context *c) {
    struct systrap_spin *s = &c->spin;
    if (__rdtsc() - s->resumed < SHORT)
        s->streak++;
    else
        s->streak -= MIN(s->streak, (uint32_t)LONG_COSTS); /* not all: a tick is no change of habits */
}
