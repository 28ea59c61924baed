/* SPDX-License-Identifier: Apache-2.0
 * base/mutex.c: a three-state futex mutex and the run-time lock order checker (mutex.h, lock_rank.h).
 * Source: futex(2); the three states are Drepper, "Futexes are tricky", section 6.
 */
#include "base/mutex.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef RUNSC_DEBUG
enum { MAX_HELD = 16 };
struct held {
    const struct mutex *lock;
    const char *file;
    int line;
};
static _Thread_local struct held t_held[MAX_HELD];
static _Thread_local int t_held_count;

static void lock_abort(const char *what, const struct mutex *m, const char *file, int line) {
    fprintf(stderr, "lock order: %s: rank %u at %s:%d; held:\n", what, m ? m->rank : 0, file, line);
    for (int i = 0; i < t_held_count; i++)
        fprintf(stderr, "  rank %u taken at %s:%d\n", t_held[i].lock->rank, t_held[i].file, t_held[i].line);
    abort();
}

static void note_acquire(const struct mutex *m, const char *file, int line, bool nested, bool tried) {
    ASSERT(m->rank != RANK_NONE);
    for (int i = 0; i < t_held_count; i++) {
        const struct mutex *h = t_held[i].lock;
        if (h == m)
            lock_abort("taken twice", m, file, line);
        if (!tried && (h->rank > m->rank || (h->rank == m->rank && !nested)))
            lock_abort("out of order", m, file, line);
    }
    if (t_held_count == MAX_HELD)
        lock_abort("too many locks", m, file, line);
    t_held[t_held_count++] = (struct held){m, file, line};
}

static void note_release(const struct mutex *m) {
    for (int i = t_held_count - 1; i >= 0; i--) {
        if (t_held[i].lock != m)
            continue;
        for (; i < t_held_count - 1; i++)
            t_held[i] = t_held[i + 1];
        t_held_count--;
        return;
    }
    lock_abort("released but not held", m, "?", 0);
}

void mutex_assert_held(const struct mutex *m) {
    for (int i = 0; i < t_held_count; i++)
        if (t_held[i].lock == m)
            return;
    lock_abort("not held", m, "?", 0);
}

void might_block_at(const char *file, int line) {
    for (int i = 0; i < t_held_count; i++)
        if (t_held[i].lock->rank > RANK_NOBLOCK)
            lock_abort("may block with a lock held above RANK_NOBLOCK", t_held[i].lock, file, line);
}

void mutex_assert_none_held(void) {
    if (t_held_count > 0)
        lock_abort("still held", t_held[0].lock, "?", 0);
}
#else
static inline void note_acquire(const struct mutex *m, const char *f, int l, bool nested, bool tried) {
    (void)m, (void)f, (void)l, (void)nested, (void)tried;
}
static inline void note_release(const struct mutex *m) {
    (void)m;
}
void mutex_assert_held(const struct mutex *m) {
    ASSERT(atomic_load_explicit(&m->word, memory_order_relaxed) != 0);
}
void might_block_at(const char *file, int line) {
    (void)file, (void)line;
}
void mutex_assert_none_held(void) {
}
#endif

static void lock_word(struct mutex *m) {
    uint32_t seen = 0;
    if (atomic_compare_exchange_strong_explicit(&m->word, &seen, 1, memory_order_acquire,
                                                memory_order_relaxed))
        return;
    for (int spins = 0; spins < 40 && seen != 2; spins++) {
        __builtin_ia32_pause();
        seen = 0;
        if (atomic_compare_exchange_weak_explicit(&m->word, &seen, 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return;
    }
    while (atomic_exchange_explicit(&m->word, 2, memory_order_acquire) != 0)
        syscall(SYS_futex, &m->word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

void mutex_lock_at(struct mutex *m, const char *file, int line) NO_TSA {
    note_acquire(m, file, line, /* nested= */ false, /* tried= */ false);
    lock_word(m);
}

void mutex_lock_nested_at(struct mutex *m, const char *file, int line) NO_TSA {
    note_acquire(m, file, line, /* nested= */ true, /* tried= */ false);
    lock_word(m);
}

bool mutex_trylock_at(struct mutex *m, const char *file, int line) NO_TSA {
    uint32_t seen = 0;
    if (!atomic_compare_exchange_strong_explicit(&m->word, &seen, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        return false;
    note_acquire(m, file, line, /* nested= */ true, /* tried= */ true);
    return true;
}

void mutex_unlock(struct mutex *m) NO_TSA {
    note_release(m);
    uint32_t old = atomic_exchange_explicit(&m->word, 0, memory_order_release);
    ASSERT(old != 0);
    if (old == 2)
        syscall(SYS_futex, &m->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
