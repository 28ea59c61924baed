/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/futex_internal.h: what futex.c (waiting, waking) and futex_pi.c (locks with owners) share.
 */
#pragma once

#include "sentry/kernel/futex.h"

/* One that waits for a lock with an owner. On the waiting task's host stack; pi bucket's lock protects it. */
struct pi_waiter {
    struct list node; /* bucket; empty: not there (any more) */
    struct futex_key key;
    gva_t addr; /* of the word, in the waiter's address space */
    struct task *task;
    struct task *owner; /* reference: for whom it waits; NULL once granted */
    bool granted;       /* the lock is its */
    bool owner_died;    /* ... by the owner's death: it has yet to write the word, and is still on the list */
};

/* One that waits for a word to change. On the waiting task's host stack (waitq.h says why that is sound). */
struct futex_waiter {
    struct list node; /* bucket; empty: woken or never queued */
    struct futex_bucket
        *_Atomic bucket; /* where it is queued, changed by requeue with both buckets locked; NULL: woken */
    struct futex_key key;
    struct task *task;
    uint32_t bitset;
    struct pi_waiter
        *pi; /* FUTEX_WAIT_REQUEUE_PI: what it becomes when moved (key and addr are set); or NULL */
};

/* futex.c */
int futex_get_key(struct task *t, gva_t addr, bool private, struct futex_key *ret) must_check;
int futex_read_word(struct task *t, gva_t addr, uint32_t *ret) must_check;
static inline bool futex_same_key(const struct futex_key *a, const struct futex_key *b) {
    return a->object == b->object && a->offset == b->offset;
}
void futex_enqueue(struct futex_waiter *w, struct task *t);
/* Takes it out. True if it had been woken or moved. */
bool futex_dequeue(struct futex_waiter *w);
/* For FUTEX_CMP_REQUEUE_PI: takes the first waiter on `from` out of its bucket, if it waits to be moved to
 * `to`; it is then the caller's, who holds the pi bucket of `to`. NULL: none; -EINVAL: it waits for something
 * else. */
int futex_take_for_pi(struct kernel *k, const struct futex_key *from, const struct futex_key *to,
                      struct futex_waiter **ret) must_check;
/* Puts it back in front. */
void futex_put_back(struct kernel *k, struct futex_waiter *w);

/* futex_pi.c: t dies: whoever waits for a lock of its gets it. */
void futex_pi_owner_died(struct task *t);
