/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_wait_host.c: what a task does first that waits in the sentry for another one.
 *
 * To sleep and be woken on an idle cpu takes 20 to 50 us: more than all the rest of what two tasks say to
 * each other through a pipe or a futex. So who has waited shortly a number of times in a row, and is on a cpu
 * of the sandbox where no other pair runs, looks for the wake-up for a while before it sleeps. The bet is
 * lost when the wake-up does not come within LIMIT, when another pair comes to this cpu, or when the cpu was
 * taken away meanwhile (somebody else wants it: two looks are GAP apart). A lost bet is paid from the credit
 * that won ones have earned; without credit, twice as many short waits must come before the next, until one
 * has paid again. Nobody spins where there is one cpu, or while two pairs share any. Times are cycles of the
 * time stamp counter: what matters is their order of magnitude.
 */
#include <x86intrin.h>

#include "platform/stub/stub.h"

#define LIMIT 100000ull /* 25 to 50 us */
#define SHORT 400000ull /* a wait that would have been worth a bet, the wake-up included */
#define GAP   20000ull
enum { NEED_FIRST = 16, NEED_MAX = 4096, PAID_OFF = 256, CREDIT_MAX = 64, LOSS = 8 };

void stub_wait_init(struct stub_wait *w) {
    *w = (struct stub_wait){.need = NEED_FIRST};
}

static void won(struct stub_wait *w) {
    w->credit = MIN(w->credit + 1, (uint32_t)CREDIT_MAX);
    if (++w->paid >= PAID_OFF)
        w->need = NEED_FIRST;
}

static void lost(struct stub_wait *w) {
    if (w->credit >= LOSS) {
        w->credit -= LOSS;
        return;
    }
    w->need = MIN(w->need * 2, (uint32_t)NEED_MAX);
    w->credit = w->paid = w->streak = 0;
}

bool stub_pair_await(struct stub_pair *pair, const _Atomic uint32_t *word) {
    struct stub_wait *w = &pair->wait;
    uint64_t now = __rdtsc(), last;
    bool came;
    w->began = now;
    if (w->streak < w->need || !stub_pair_hold(pair))
        return false;
    do {
        _mm_pause();
        last = now;
        now = __rdtsc();
        came = atomic_load_explicit(word, memory_order_acquire) != 0;
    } while (!came && now - w->began < LIMIT && now - last < GAP && stub_pair_is_alone(pair));
    stub_pair_release(pair);
    if (came)
        won(w);
    else
        lost(w);
    return came;
}

void stub_wait_over(struct stub_wait *w, uint64_t now) {
    if (now - w->began < SHORT)
        w->streak = MIN(w->streak + 1, (uint32_t)NEED_MAX);
    else
        w->streak = 0;
    w->began = 0;
}
