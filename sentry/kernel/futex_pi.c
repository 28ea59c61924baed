/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/futex_pi.c: futexes with owners: the word holds the owner's thread id, and the kernel hands
 * the lock to the most urgent waiter. Source: futex(2), "Priority-inheritance futexes"; set_robust_list(2).
 *
 * Unlike other futexes these are decided by the kernel, word and queue together. So each operation holds the
 * lock of its pi bucket (RANK_FUTEX_PI, before RANK_MM) over the reading and the compare-and-exchange of the
 * word. A copy that blocks stops the other locks of that bucket for so long, no more.
 *
 * Nobody's priority is raised: guest priorities have no effect on the host (docs/kernel.md). What is kept is
 * the order of waiters: real-time priority, niceness, age.
 *
 * When an owner dies, its lock is granted to a waiter, which alone knows the word's address in a living
 * address space: it stays on the list as the owner until it has written the word by itself.
 */
#include <errno.h>

#include "base/abi/linux/futex.h"
#include "sentry/kernel/futex_internal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"

enum {
    CHAIN_MAX = 1024, /* links of a deadlock that are followed, as Linux's max_lock_depth */
    PUT_BACK = 1
};

static struct pi_bucket *bucket_of(struct kernel *k, const struct futex_key *key) {
    uint64_t h = (key->object ^ key->offset >> 2) * 0x9e3779b97f4a7c15ull;
    return &k->futexes->pi_buckets[(h >> 32) % FUTEX_PI_BUCKETS];
}

/* ---- the word ---- */

/* *word becomes `to` if it is *seen; else *seen is what it is and -EAGAIN. */
static int change_word(struct task *t, gva_t addr, uint32_t *seen, uint32_t to) {
    uint32_t old;
    int r = kernel_platform(t->kernel)->ops->context_atomic32(task_context(t), ATOMIC_CMPXCHG, addr, to,
                                                              *seen, &old);

    if (r < 0)
        return r;
    if (old == *seen)
        return 0;
    *seen = old;
    return -EAGAIN;
}

/* ---- who waits for whom ---- */

static struct pi_waiter *first_waiter(struct pi_bucket *b, const struct futex_key *key) {
    struct pi_waiter *w;

    list_for_each_entry(w, &b->waiters, node) {
        if (futex_same_key(&w->key, key))
            return w;
    }
    return NULL;
}

static bool more_urgent(const struct task *a, const struct task *b) {
    if (a->sched_priority != b->sched_priority)
        return a->sched_priority > b->sched_priority;
    return a->nice < b->nice;
}

static struct pi_waiter *most_urgent(struct pi_bucket *b, const struct futex_key *key) {
    struct pi_waiter *w, *best = NULL;

    list_for_each_entry(w, &b->waiters, node) {
        if (futex_same_key(&w->key, key) && (!best || more_urgent(w->task, best->task)))
            best = w;
    }
    return best;
}

/* A new reference to the task that t waits for, or NULL. */
static struct task *waits_for(struct kernel *k, struct task *t) {
    mutex_lock(&k->futexes->pi_chain_lock);
    struct task *owner = t->pi_waits_for ? task_ref(t->pi_waits_for) : NULL;
    mutex_unlock(&k->futexes->pi_chain_lock);
    return owner;
}

static void set_waits_for(struct kernel *k, struct task *t, struct task *owner) {
    mutex_lock(&k->futexes->pi_chain_lock);
    t->pi_waits_for = owner; /* the waiter holds the reference */
    mutex_unlock(&k->futexes->pi_chain_lock);
}

/* Would t wait for itself? */
static bool would_deadlock(struct task *t, struct task *owner) {
    struct task *at = task_ref(owner);

    for (int i = 0; at && at != t && i < CHAIN_MAX; i++) {
        struct task *next = waits_for(t->kernel, at);
        task_unref(at);
        at = next;
    }
    bool found = at == t;
    task_unref(at);
    return found;
}

/* w starts to wait for `owner` (reference taken), or for another one than before. */
static void set_owner(struct kernel *k, struct pi_waiter *w, struct task *owner) {
    struct task *old = w->owner;

    if (owner)
        atomic_fetch_add(&owner->pi_waiters, 1);
    w->owner = owner;
    set_waits_for(k, w->task, owner);
    if (old)
        atomic_fetch_sub(&old->pi_waiters, 1);
    task_unref(old);
}

static void enqueue(struct kernel *k, struct pi_bucket *b, struct pi_waiter *w, struct task *owner) {
    list_add_tail(&b->waiters, &w->node);
    set_owner(k, w, owner);
}

static void grant(struct kernel *k, struct pi_bucket *b, struct pi_waiter *w, bool owner_died) {
    struct pi_waiter *other;

    w->granted = true;
    w->owner_died = owner_died;
    if (!owner_died)
        list_del(&w->node);
    set_owner(k, w, NULL);
    list_for_each_entry(other, &b->waiters, node) {
        if (other != w && futex_same_key(&other->key, &w->key))
            set_owner(k, other, task_ref(w->task));
    }
    task_wake(w->task);
}

/* ---- taking ---- */

/* The task whose id the word holds, as t sees it: new reference. -ESRCH: there is none, and the word still
 * says so. */
static int find_owner(struct task *t, gva_t addr, uint32_t word, struct task **ret) {
    uint32_t now;
    struct task *owner = task_find(t, (int)(word & LINUX_FUTEX_TID_MASK));

    if (owner && atomic_load(&owner->state) < TASK_ZOMBIE) {
        *ret = owner;
        return 0;
    }
    task_unref(owner);
    int r = futex_read_word(t, addr, &now);
    return r < 0 ? r : now != word ? -EAGAIN : -ESRCH;
}

/* One look with the bucket locked: `who` gets the lock (0), or is to wait for *ret_owner (a reference; 1), or
 * -EAGAIN: look again. `addr` is in t's address space. */
static int try_lock(struct task *t, struct pi_bucket *b, const struct futex_key *key, gva_t addr,
                    struct task *who, struct task **ret_owner) {
    uint32_t word, keep;
    struct pi_waiter *other = first_waiter(b, key);

    int r = futex_read_word(t, addr, &word);
    if (r < 0)
        return r;
    if ((word & LINUX_FUTEX_TID_MASK) == (uint32_t)task_tid(who))
        return -EDEADLK;
    if (other) {
        *ret_owner = task_ref(other->granted ? other->task : other->owner);
        return 1;
    }
    keep = word & LINUX_FUTEX_OWNER_DIED;
    if ((word & LINUX_FUTEX_TID_MASK) == 0)
        return change_word(t, addr, &word, (uint32_t)task_tid(who) | keep);
    r = find_owner(t, addr, word, ret_owner);
    if (r < 0)
        return r;
    if (!(word & LINUX_FUTEX_WAITERS))
        r = change_word(t, addr, &word, word | LINUX_FUTEX_WAITERS);
    if (r == 0)
        return 1;
    task_unref(TAKE(*ret_owner));
    return r;
}

static int try_lock_again(struct task *t, struct pi_bucket *b, const struct futex_key *key, gva_t addr,
                          struct task *who, struct task **ret_owner) {
    int r;

    do {
        r = try_lock(t, b, key, addr, who, ret_owner);
    } while (r == -EAGAIN && !(atomic_load(&t->pending_work) & TASK_WORK_EXIT));
    return r;
}

/* The owner died before it could hand over: the word is the new owner's to write. */
static void write_after_death(struct task *t, struct pi_bucket *b, struct pi_waiter *w) {
    uint32_t word;

    list_del(&w->node);
    w->owner_died = false;
    if (futex_read_word(t, w->addr, &word) < 0)
        return;
    uint32_t waiters = first_waiter(b, &w->key) ? LINUX_FUTEX_WAITERS : word & LINUX_FUTEX_WAITERS;
    while (change_word(t, w->addr, &word, (uint32_t)task_tid(t) | waiters | LINUX_FUTEX_OWNER_DIED) ==
           -EAGAIN)
        ;
}

/* Sleeps until w is granted. -ETIMEDOUT, -ERESTARTSYS: it is off the list. PUT_BACK: it never was on it. */
static int wait_granted(struct task *t, struct pi_bucket *b, struct pi_waiter *w, int64_t deadline) {
    int r = 0;
    bool granted;

    for (;;) {
        mutex_lock(&b->lock);
        granted = w->granted;
        bool put_back = !granted && list_empty(&w->node);
        if (granted && w->owner_died)
            write_after_death(t, b, w);
        if (!granted && !put_back && r < 0) {
            list_del(&w->node);
            set_owner(t->kernel, w, NULL);
        }
        mutex_unlock(&b->lock);
        if (put_back)
            return PUT_BACK;
        if (granted || r < 0)
            return granted ? 0 : r;
        r = task_block(t, deadline);
    }
}

int futex_lock_pi(struct task *t, gva_t addr, bool private, bool try, int64_t deadline) {
    struct pi_waiter w = {.addr = addr, .task = t};
    struct task *owner = NULL;

    might_block();
    list_init(&w.node);
    int r = futex_get_key(t, addr, private, &w.key);
    if (r < 0)
        return r;
    struct pi_bucket *b = bucket_of(t->kernel, &w.key);
    mutex_lock(&b->lock);
    r = try_lock_again(t, b, &w.key, addr, t, &owner);
    if (r == 1 && try)
        r = -EWOULDBLOCK;
    if (r == 1 && would_deadlock(t, owner))
        r = -EDEADLK;
    if (r == 1)
        enqueue(t->kernel, b, &w, TAKE(owner));
    mutex_unlock(&b->lock);
    task_unref(owner);
    if (r != 1)
        return r;
    r = wait_granted(t, b, &w, deadline);
    return r == -ERESTARTSYS ? -ERESTARTNOINTR : r;
}

/* ---- giving ---- */

static int unlock_locked(struct task *t, struct pi_bucket *b, const struct futex_key *key, gva_t addr) {
    uint32_t word;
    int r = futex_read_word(t, addr, &word);

    while (r == 0) {
        if ((word & LINUX_FUTEX_TID_MASK) != (uint32_t)task_tid(t))
            return -EPERM;
        struct pi_waiter *next = most_urgent(b, key);
        if (next && next->owner != t)
            return -EINVAL; /* the word names another owner than the kernel knows */
        r = change_word(t, addr, &word, next ? (uint32_t)task_tid(next->task) | LINUX_FUTEX_WAITERS : 0);
        if (r == 0 && next)
            grant(t->kernel, b, next, /* owner_died= */ false);
        if (r != -EAGAIN)
            break;
        r = 0;
    }
    return r;
}

int futex_unlock_pi(struct task *t, gva_t addr, bool private) {
    struct futex_key key;
    uint32_t word;

    might_block();
    int r = futex_read_word(t, addr, &word);
    if (r < 0)
        return r;
    if ((word & LINUX_FUTEX_TID_MASK) != (uint32_t)task_tid(t))
        return -EPERM;
    r = futex_get_key(t, addr, private, &key);
    if (r < 0)
        return r;
    struct pi_bucket *b = bucket_of(t->kernel, &key);
    mutex_lock(&b->lock);
    r = unlock_locked(t, b, &key, addr);
    mutex_unlock(&b->lock);
    return r;
}

static struct pi_waiter *waiter_of(struct pi_bucket *b, struct task *owner) {
    struct pi_waiter *w;

    list_for_each_entry(w, &b->waiters, node) {
        if (w->owner == owner)
            return w;
    }
    return NULL;
}

void futex_pi_owner_died(struct task *t) {
    struct futex_table *f = t->kernel->futexes;
    struct pi_waiter *w;

    for (int i = 0; i < FUTEX_PI_BUCKETS && atomic_load(&t->pi_waiters) > 0; i++) {
        struct pi_bucket *b = &f->pi_buckets[i];
        mutex_lock(&b->lock);
        while ((w = waiter_of(b, t)))
            grant(t->kernel, b, most_urgent(b, &w->key), /* owner_died= */ true);
        mutex_unlock(&b->lock);
    }
}

/* ---- condition variables: wait on one word, be moved to a lock ---- */

int futex_wait_requeue_pi(struct task *t, const struct futex_wait_pi *q, int64_t deadline) {
    struct pi_waiter pi = {.addr = q->lock, .task = t};
    struct futex_waiter w = {.bitset = q->bitset, .pi = &pi};
    uint32_t seen;

    might_block();
    list_init(&pi.node);
    if (q->addr == q->lock || q->bitset == 0)
        return -EINVAL;
    int r = futex_get_key(t, q->lock, q->private, &pi.key);
    if (r == 0)
        r = futex_get_key(t, q->addr, q->private, &w.key);
    if (r < 0)
        return r;
    if (futex_same_key(&pi.key, &w.key))
        return -EINVAL;
    futex_enqueue(&w, t);
    r = futex_read_word(t, q->addr, &seen);
    if (r == 0 && seen != q->value)
        r = -EWOULDBLOCK;
    for (;;) {
        while (atomic_load(&w.bucket) && r == 0)
            r = task_block(t, deadline);
        if (!futex_dequeue(&w)) /* nobody has moved it */
            return r == -ERESTARTSYS ? -ERESTARTNOINTR : r;
        r = wait_granted(t, bucket_of(t->kernel, &pi.key), &pi, deadline);
        if (r != PUT_BACK)
            return r == -ERESTARTSYS ? -EWOULDBLOCK : r; /* the word has changed: a restart would say so */
        r = 0;
    }
}

/* Moves one waiter to the lock at q->to, which it may get at once. 0: none is left, 1: done. */
static int move_one(struct task *t, struct pi_bucket *b, const struct futex_requeue *q,
                    const struct futex_key *from, const struct futex_key *to) {
    struct futex_waiter *w;
    struct task *owner = NULL;
    int r = futex_take_for_pi(t->kernel, from, to, &w);

    if (r < 0 || !w)
        return r;
    r = try_lock_again(t, b, to, q->to, w->task, &owner);
    if (r == 1 && would_deadlock(w->task, owner)) {
        task_unref(owner);
        r = -EDEADLK;
    }
    if (r < 0) {
        futex_put_back(t->kernel, w);
        return r;
    }
    if (r == 1)
        enqueue(t->kernel, b, w->pi, owner);
    else
        grant(t->kernel, b, w->pi, /* owner_died= */ false);
    return 1;
}

static int64_t requeue_locked(struct task *t, struct pi_bucket *b, const struct futex_requeue *q,
                              const struct futex_key *from, const struct futex_key *to) {
    uint32_t seen;
    int64_t moved = 0;
    int r = futex_read_word(t, q->from, &seen);

    if (r < 0)
        return r;
    if (seen != q->value)
        return -EAGAIN;
    while (moved < (int64_t)q->move + 1) {
        r = move_one(t, b, q, from, to);
        if (r <= 0)
            break;
        moved++;
    }
    return r < 0 && moved == 0 ? r : moved;
}

int64_t futex_cmp_requeue_pi(struct task *t, const struct futex_requeue *q) {
    struct futex_key from, to;

    might_block();
    if (q->from == q->to || q->wake != 1)
        return -EINVAL;
    int r = futex_get_key(t, q->from, q->private_from, &from);
    if (r == 0)
        r = futex_get_key(t, q->to, q->private_to, &to);
    if (r < 0)
        return r;
    if (futex_same_key(&from, &to))
        return -EINVAL;
    struct pi_bucket *b = bucket_of(t->kernel, &to);
    mutex_lock(&b->lock);
    int64_t moved = requeue_locked(t, b, q, &from, &to);
    mutex_unlock(&b->lock);
    return moved;
}
