/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/futex.c: see futex.h. Source: futex(2), futex_waitv of <linux/futex.h>, get_robust_list(2)
 * and the kernel's robust-futex-ABI document.
 *
 * The order that loses no wake-up, without guest memory being touched under a lock:
 *     waiter: queue itself            | waker: change the word
 *             read the word           |        lock the bucket, find waiters
 * If the waiter reads the old value, it was queued before the word changed, so the waker finds it.
 */
#include "sentry/kernel/futex.h"

#include <errno.h>
#include <string.h>

#include "base/abi/linux/futex.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/futex_internal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"

HEAP_TYPE(futex_table, struct futex_table, 0);

struct futex_table *futex_table_new(void) {
    struct futex_table *f = heap_new(futex_table);

    if (!f)
        return NULL;
    for (int i = 0; i < FUTEX_BUCKETS; i++) {
        mutex_init(&f->buckets[i].lock, RANK_FUTEX_BUCKET);
        list_init(&f->buckets[i].waiters);
    }
    for (int i = 0; i < FUTEX_PI_BUCKETS; i++) {
        mutex_init(&f->pi_buckets[i].lock, RANK_FUTEX_PI);
        list_init(&f->pi_buckets[i].waiters);
    }
    mutex_init(&f->pi_chain_lock, RANK_LEAF);
    return f;
}

void futex_table_free(struct futex_table *f) {
    heap_free(f);
}

static struct futex_bucket *bucket_of(struct kernel *k, const struct futex_key *key) {
    uint64_t h = (key->object ^ key->offset >> 2) * 0x9e3779b97f4a7c15ull;
    return &k->futexes->buckets[(h >> 32) % FUTEX_BUCKETS];
}

int futex_get_key(struct task *t, gva_t addr, bool private, struct futex_key *ret) {
    if (addr % sizeof(uint32_t))
        return -EINVAL;
    return mm_futex_key(t->mm, addr, private, ret);
}

/* Two buckets by address, which is by index. (The analysis cannot follow a lock chosen at run time.) */
static void lock_two(struct futex_bucket *a, struct futex_bucket *b) NO_TSA {
    mutex_lock(&MIN(a, b)->lock);
    if (a != b)
        mutex_lock_nested(&MAX(a, b)->lock);
}

static void unlock_two(struct futex_bucket *a, struct futex_bucket *b) NO_TSA {
    mutex_unlock(&a->lock);
    if (a != b)
        mutex_unlock(&b->lock);
}

/* ---- waiting ---- */

void futex_enqueue(struct futex_waiter *w, struct task *t) {
    struct futex_bucket *b = bucket_of(t->kernel, &w->key);

    w->task = t;
    mutex_lock(&b->lock);
    list_add_tail(&b->waiters, &w->node);
    atomic_store(&w->bucket, b);
    mutex_unlock(&b->lock);
}

/* Takes it out. True if it had been woken. */
bool futex_dequeue(struct futex_waiter *w) {
    for (;;) {
        struct futex_bucket *b = atomic_load(&w->bucket);
        if (!b) { /* the waker may still hold the bucket's lock, but touches `w` no more */
            return true;
        }
        mutex_lock(&b->lock);
        bool here = atomic_load(&w->bucket) == b;
        if (here) {
            list_del(&w->node);
            atomic_store(&w->bucket, NULL);
        }
        mutex_unlock(&b->lock);
        if (here)
            return false;
    }
}

/* With the bucket locked. After the store of NULL the waiter may be gone. */
static void wake_locked(struct futex_waiter *w) {
    struct task *t = task_ref(w->task);

    list_del(&w->node);
    atomic_store(&w->bucket, NULL);
    task_wake(t);
    task_unref(t);
}

static int64_t wake_key(struct kernel *k, const struct futex_key *key, uint32_t count, uint32_t bitset) {
    struct futex_bucket *b = bucket_of(k, key);
    struct futex_waiter *w, *next;
    int64_t woken = 0;

    mutex_lock(&b->lock);
    list_for_each_entry_safe(w, next, &b->waiters, node) {
        if (woken >= count)
            break;
        if (!futex_same_key(&w->key, key) || !(w->bitset & bitset))
            continue;
        if (w->pi) { /* it wants to be moved, not woken: futex(2), FUTEX_WAIT_REQUEUE_PI */
            woken = -EINVAL;
            break;
        }
        wake_locked(w);
        woken++;
    }
    mutex_unlock(&b->lock);
    return woken;
}

int futex_read_word(struct task *t, gva_t addr, uint32_t *ret) {
    return copy_in(t, ret, addr, sizeof *ret);
}

int futex_wait(struct task *t, gva_t addr, bool private, uint32_t value, uint32_t bitset, int64_t deadline) {
    struct futex_waiter w = {.bitset = bitset};
    uint32_t seen;

    might_block();
    if (bitset == 0)
        return -EINVAL;
    int r = futex_get_key(t, addr, private, &w.key);
    if (r < 0)
        return r;
    futex_enqueue(&w, t);
    r = futex_read_word(t, addr, &seen);
    if (r < 0 || seen != value) {
        struct futex_key key = w.key;
        if (futex_dequeue(&w)) /* a wake was spent on one that does not wait: on to the next */
            (void)wake_key(t->kernel, &key, 1, bitset);
        return r < 0 ? r : -EAGAIN;
    }
    while (atomic_load(&w.bucket) && r == 0)
        r = task_block(t, deadline);
    return futex_dequeue(&w) ? 0 : r;
}

int64_t futex_wait_many(struct task *t, const struct futex_wait_item *items, size_t count, int64_t deadline) {
    struct futex_waiter *w = heap_alloc_array(count, sizeof *w);
    size_t queued = 0;
    int r = 0;

    might_block();
    if (!w)
        return -ENOMEM;
    for (; queued < count && r == 0; queued++) {
        uint32_t seen;
        w[queued].bitset = ~0u;
        r = futex_get_key(t, items[queued].addr, items[queued].private, &w[queued].key);
        if (r < 0)
            break;
        futex_enqueue(&w[queued], t);
        r = futex_read_word(t, items[queued].addr, &seen);
        if (r == 0 && seen != items[queued].value)
            r = -EAGAIN;
    }
    bool woken = false;
    while (r == 0 && !woken) {
        for (size_t i = 0; i < queued && !woken; i++)
            woken = !atomic_load(&w[i].bucket);
        if (!woken)
            r = task_block(t, deadline);
    }
    int64_t index = -1;
    for (size_t i = 0; i < queued; i++)
        if (futex_dequeue(&w[i]))
            index = (int64_t)i;
    heap_free(w);
    return index >= 0 ? index : r;
}

/* ---- waking ---- */

int64_t futex_wake(struct task *t, gva_t addr, bool private, uint32_t count, uint32_t bitset) {
    struct futex_key key;

    if (bitset == 0)
        return -EINVAL;
    int r = futex_get_key(t, addr, private, &key);
    return r < 0 ? r : wake_key(t->kernel, &key, count, bitset);
}

int64_t futex_requeue(struct task *t, const struct futex_requeue *q) {
    struct futex_key from, to;
    uint32_t seen;

    int r = futex_get_key(t, q->from, q->private_from, &from);
    if (r == 0)
        r = futex_get_key(t, q->to, q->private_to, &to);
    if (r == 0 && q->compare)
        r = futex_read_word(t, q->from, &seen);
    if (r < 0)
        return r;
    if (q->compare && seen != q->value)
        return -EAGAIN;
    struct futex_bucket *a = bucket_of(t->kernel, &from), *b = bucket_of(t->kernel, &to);
    struct futex_waiter *w, *next;
    int64_t woken = 0, moved = 0;
    lock_two(a, b);
    list_for_each_entry_safe(w, next, &a->waiters, node) {
        if (!futex_same_key(&w->key, &from))
            continue;
        if (w->pi) {
            woken = -EINVAL;
            moved = 0;
            break;
        }
        if (woken < q->wake) {
            wake_locked(w);
            woken++;
        } else if (moved < q->move) {
            w->key = to;
            moved++;
            if (a != b) {
                list_del(&w->node);
                list_add_tail(&b->waiters, &w->node);
                atomic_store(&w->bucket, b);
            }
        } else {
            break;
        }
    }
    unlock_two(a, b);
    return woken + moved;
}

static const struct {
    enum as_atomic_op op;
} g_wake_ops[] = {
    [LINUX_FUTEX_OP_SET] = {ATOMIC_XCHG}, [LINUX_FUTEX_OP_ADD] = {ATOMIC_ADD},
    [LINUX_FUTEX_OP_OR] = {ATOMIC_OR},    [LINUX_FUTEX_OP_ANDN] = {ATOMIC_AND},
    [LINUX_FUTEX_OP_XOR] = {ATOMIC_XOR},
};

static bool compare_old(uint32_t cmp, int32_t old, int32_t arg, bool *ret) {
    switch (cmp) {
    case LINUX_FUTEX_OP_CMP_EQ:
        *ret = old == arg;
        return true;
    case LINUX_FUTEX_OP_CMP_NE:
        *ret = old != arg;
        return true;
    case LINUX_FUTEX_OP_CMP_LT:
        *ret = old < arg;
        return true;
    case LINUX_FUTEX_OP_CMP_LE:
        *ret = old <= arg;
        return true;
    case LINUX_FUTEX_OP_CMP_GT:
        *ret = old > arg;
        return true;
    case LINUX_FUTEX_OP_CMP_GE:
        *ret = old >= arg;
        return true;
    }
    return false;
}

int64_t futex_wake_op(struct task *t, gva_t addr1, gva_t addr2, bool private, uint32_t wake1, uint32_t wake2,
                      uint32_t code) {
    struct futex_key key1, key2;
    uint32_t op = code >> 28 & 7, cmp = code >> 24 & 15, old;
    int32_t oparg = (int32_t)(code << 8) >> 20,
            cmparg = (int32_t)(code << 20) >> 20; /* 12 bits each, signed */
    bool also = false, known = compare_old(cmp, 0, 0, &also);

    int r = futex_get_key(t, addr1, private, &key1);
    if (r == 0)
        r = futex_get_key(t, addr2, private, &key2);
    if (r < 0)
        return r;
    if (op >= ARRAY_SIZE(g_wake_ops) || !known)
        return -ENOSYS;
    uint32_t operand =
        code & (uint32_t)LINUX_FUTEX_OP_OPARG_SHIFT << 28 ? 1u << (oparg & 31) : (uint32_t)oparg;
    if (op == LINUX_FUTEX_OP_ANDN)
        operand = ~operand;
    r = kernel_platform(t->kernel)->ops->context_atomic32(task_context(t), g_wake_ops[op].op, addr2, operand,
                                                          0, &old);
    if (r < 0)
        return r;
    int64_t woken = wake_key(t->kernel, &key1, wake1, ~0u);
    (void)compare_old(cmp, (int32_t)old, cmparg, &also);
    if (also)
        woken += wake_key(t->kernel, &key2, wake2, ~0u);
    return woken;
}

/* ---- for FUTEX_CMP_REQUEUE_PI ---- */

int futex_take_for_pi(struct kernel *k, const struct futex_key *from, const struct futex_key *to,
                      struct futex_waiter **ret) {
    struct futex_bucket *b = bucket_of(k, from);
    struct futex_waiter *w, *found = NULL;

    mutex_lock(&b->lock);
    list_for_each_entry(w, &b->waiters, node) {
        if (futex_same_key(&w->key, from)) {
            found = w;
            break;
        }
    }
    bool wrong = found && (!found->pi || !futex_same_key(&found->pi->key, to));
    if (found && !wrong) {
        list_del(&found->node);
        atomic_store(&found->bucket,
                     NULL); /* from here on it looks at the pi bucket, which the caller holds */
    }
    mutex_unlock(&b->lock);
    *ret = wrong ? NULL : found;
    return wrong ? -EINVAL : 0;
}

void futex_put_back(struct kernel *k, struct futex_waiter *w) {
    struct futex_bucket *b = bucket_of(k, &w->key);

    mutex_lock(&b->lock);
    list_add(&b->waiters, &w->node);
    atomic_store(&w->bucket, b);
    mutex_unlock(&b->lock);
}

/* ---- robust lists ---- */

/* A piece of memory around what was last read of a dead thread's list, whose entries lie beside their words.
 * It may be kept: nobody else changes the entries, no word comes to name this thread any more, and one that
 * does is compared again when it is exchanged. */
struct list_window {
    gva_t start; /* multiple of sizeof bytes */
    size_t filled;
    char bytes[512];
};

static int peek(struct task *t, struct list_window *w, gva_t addr, void *ret, size_t size) {
    size_t skip = addr % sizeof w->bytes;

    if (skip + size > sizeof w->bytes)
        return copy_in(t, ret, addr, size);
    if (w->filled == 0 || w->start != addr - skip) {
        w->start = addr - skip;
        w->filled = copy_in_partial(t, w->bytes, w->start, sizeof w->bytes);
    }
    if (skip + size > w->filled)
        return -EFAULT;
    memcpy(ret, w->bytes + skip, size);
    return 0;
}

/* Marks the owner of one lock, whose word has this value, as dead and wakes the next, if it is t's. */
static void handle_death(struct task *t, gva_t addr, uint32_t word, bool pi, bool pending_op) {
    const struct platform_ops *ops = kernel_platform(t->kernel)->ops;
    uint32_t old, tid = (uint32_t)task_tid(t);

    if (addr % sizeof word)
        return;
    for (;;) {
        if (pending_op && !pi && word == 0) { /* died between unlocking and waking */
            (void)futex_wake(t, addr, /* private= */ false, 1, ~0u);
            return;
        }
        if ((word & LINUX_FUTEX_TID_MASK) != tid)
            return;
        uint32_t dead = (word & LINUX_FUTEX_WAITERS) | LINUX_FUTEX_OWNER_DIED;
        if (ops->context_atomic32(task_context(t), ATOMIC_CMPXCHG, addr, dead, word, &old) < 0)
            return;
        if (old == word)
            break;
        word = old;
    }
    if (!pi && (word & LINUX_FUTEX_WAITERS))
        (void)futex_wake(t, addr, /* private= */ false, 1, ~0u);
}

static void walk_robust_list(struct task *t) {
    struct linux_robust_list_head head;
    struct list_window window = {.filled = 0};
    gva_t at = t->robust_list;
    uint32_t word;

    if (!at || !t->mm || copy_in(t, &head, at, sizeof head) < 0)
        return;
    gva_t entry = head.next, pending = head.pending & ~1ull;
    for (int limit = LINUX_ROBUST_LIST_LIMIT; entry != at && limit > 0; limit--) {
        gva_t next, clean = entry & ~1ull;
        gva_t lock = clean + (uint64_t)head.futex_offset;
        bool ok = peek(t, &window, clean, &next, sizeof next) == 0; /* before the lock is handed on */
        if (clean != pending && peek(t, &window, lock, &word, sizeof word) == 0)
            handle_death(t, lock, word, /* pi= */ entry & 1, /* pending_op= */ false);
        if (!ok)
            return;
        entry = next;
    }
    gva_t last = pending + (uint64_t)head.futex_offset;
    if (pending && futex_read_word(t, last, &word) == 0)
        handle_death(t, last, word, /* pi= */ head.pending & 1, /* pending_op= */ true);
}

void futex_exit_robust_list(struct task *t) {
    walk_robust_list(t);
    futex_pi_owner_died(t);
}
