/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/futex.h: waiting on and waking guest words. Source: futex(2), get_robust_list(2), futex_waitv
 * (Documentation of the ABI).
 *
 * Waiters hang in buckets by key (mm_futex_key). A waiter is queued first and then reads the word, with no
 * lock held: whoever changes the word and then wakes finds it in the queue. If the word has another value and
 * a wake has already been spent on the waiter, the wake is passed on.
 */
#pragma once

#include "base/list.h"
#include "base/mutex.h"
#include "sentry/mm/mm.h"

struct futex_bucket {
    struct mutex lock; /* RANK_FUTEX_BUCKET; two by index */
    struct list waiters;
};

/* Priority-inheriting ones (futex_pi.c). */
struct pi_bucket {
    struct mutex lock; /* RANK_FUTEX_PI: held over copies of the guest's words */
    struct list waiters;
};

enum { FUTEX_BUCKETS = 1024, FUTEX_PI_BUCKETS = 64 };
struct futex_table {
    struct futex_bucket buckets[FUTEX_BUCKETS];
    struct pi_bucket pi_buckets[FUTEX_PI_BUCKETS];
    struct mutex pi_chain_lock; /* RANK_LEAF: task.pi_waits_for of all tasks */
};

struct futex_table *futex_table_new(void); /* NULL: no memory */
void futex_table_free(struct futex_table *f);

/* Each: OWN THREAD, may block, `private`: FUTEX_PRIVATE_FLAG. */
/* 0 woken; -EAGAIN another value; -ETIMEDOUT; -ERESTARTSYS (the caller makes of it what it needs); -EFAULT;
 * -EINVAL. */
int futex_wait(struct task *t, gva_t addr, bool private, uint32_t value, uint32_t bitset,
               int64_t deadline) must_check;
int64_t futex_wake(struct task *t, gva_t addr, bool private, uint32_t count,
                   uint32_t bitset); /* how many, or -errno */
struct futex_requeue {
    gva_t from, to;
    bool private_from, private_to;
    uint32_t wake, move;
    bool compare;
    uint32_t value;
};
int64_t futex_requeue(struct task *t, const struct futex_requeue *r);
int64_t futex_wake_op(struct task *t, gva_t addr1, gva_t addr2, bool private, uint32_t wake1, uint32_t wake2,
                      uint32_t op);

struct futex_wait_item {
    gva_t addr;
    uint32_t value;
    bool private;
};
/* Waits for any; the index of one that was woken, or as futex_wait(). */
int64_t futex_wait_many(struct task *t, const struct futex_wait_item *items, size_t count, int64_t deadline);

/* ---- priority-inheriting locks ---- */

/* -EDEADLK (its own already, or a circle), -ESRCH (the word names nobody), -EWOULDBLOCK (try), -ETIMEDOUT,
 * -ERESTARTNOINTR, -EFAULT. */
int futex_lock_pi(struct task *t, gva_t addr, bool private, bool try, int64_t deadline) must_check;
int futex_unlock_pi(struct task *t, gva_t addr, bool private) must_check; /* -EPERM: not its own */
struct futex_wait_pi {
    gva_t addr, lock;
    bool private;
    uint32_t value, bitset;
};
/* Waits on a word until moved to a lock and given that. */
int futex_wait_requeue_pi(struct task *t, const struct futex_wait_pi *q, int64_t deadline) must_check;
/* Gives the lock at q->to to the first waiter or makes it and q->move more wait for it: how many. */
int64_t futex_cmp_requeue_pi(struct task *t, const struct futex_requeue *q);

/* At the end of a task: marks what it held and wakes the next. The address space and context are still there.
 * OWN THREAD. */
void futex_exit_robust_list(struct task *t);
