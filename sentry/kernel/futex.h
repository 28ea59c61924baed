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

enum { FUTEX_BUCKETS = 1024 };
struct futex_table {
    struct futex_bucket buckets[FUTEX_BUCKETS];
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

/* At the end of a task: marks what it held and wakes the next. The address space and context are still there.
 * OWN THREAD. */
void futex_exit_robust_list(struct task *t);
