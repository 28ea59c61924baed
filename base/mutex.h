/* SPDX-License-Identifier: Apache-2.0
 * base/mutex.h: the project's only mutex: a futex word and a rank, no owner, no pthread object.
 *
 * It is plain data, so it may live in the sentry's heap and be copied while free (DESIGN 4). It does not
 * recurse. In debug builds (RUNSC_DEBUG) every thread keeps the list of locks it holds; taking one out of
 * order, unlocking one that is not held, or blocking with a lock above RANK_NOBLOCK aborts with both places.
 * Condition: there is none; sleeping is task_block() (sentry) or a futex of the platform's own.
 */
#pragma once

#include "base/compiler.h"
#include "base/lock_rank.h"

struct CAPABILITY("mutex") mutex {
    _Atomic uint32_t word; /* 0 free, 1 held, 2 held and somebody may sleep */
    uint16_t rank;
    uint16_t unused;
};

#define MUTEX_INIT(r)                                                                                        \
    { .word = 0, .rank = (r) }

static inline void mutex_init(struct mutex *m, enum lock_rank rank) {
    m->word = 0;
    m->rank = (uint16_t)rank;
    m->unused = 0;
}

void mutex_lock_at(struct mutex *m, const char *file, int line) ACQUIRES(m);
bool mutex_trylock_at(struct mutex *m, const char *file, int line) TRY_ACQUIRES(true, m);
/* A second lock of a rank already held; the caller says in a comment by which order. */
void mutex_lock_nested_at(struct mutex *m, const char *file, int line) ACQUIRES(m);
void mutex_unlock(struct mutex *m) RELEASES(m);
/* Debug builds: aborts unless this thread holds `m`. Release builds: aborts unless somebody does. */
void mutex_assert_held(const struct mutex *m) ASSERTS_HELD(m);

#define mutex_lock(m)        mutex_lock_at((m), __FILE__, __LINE__)
#define mutex_trylock(m)     mutex_trylock_at((m), __FILE__, __LINE__)
#define mutex_lock_nested(m) mutex_lock_nested_at((m), __FILE__, __LINE__)

/* Head of every function that may copy guest memory, ask a gofer or wait on the host (lock_rank.h). */
void might_block_at(const char *file, int line);
#define might_block() might_block_at(__FILE__, __LINE__)
/* Aborts (debug builds) if this thread holds any lock: at the end of every system call and test. */
void mutex_assert_none_held(void);
