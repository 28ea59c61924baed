/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/timer.c: see timer.h. A binary heap ordered by deadline; the thread sleeps on a futex word
 * that changes whenever the earliest deadline does.
 */
#include "sentry/kernel/timer.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/kernel_host.h"

struct timer_queue {
    struct mutex lock; /* RANK_TIMER */
    struct ktimer **heap;
    size_t count, capacity;
    struct ktimer *running; /* its fire() is being called */
    bool stopping, stopped;
    struct deferred *_Atomic deferred; /* newest first: pushed by anyone, taken whole by the thread */
    _Atomic uint32_t word;             /* changed: look again */
    _Atomic uint32_t idle_word;        /* changed: `running` or `stopped` has changed */
};
HEAP_TYPE(timer_queue, struct timer_queue, 0);

static void place(struct timer_queue *q, size_t i, struct ktimer *timer) {
    q->heap[i] = timer;
    timer->heap_index = i;
}

static void sift_up(struct timer_queue *q, size_t i) {
    struct ktimer *timer = q->heap[i];

    for (; i > 0 && q->heap[(i - 1) / 2]->deadline > timer->deadline; i = (i - 1) / 2)
        place(q, i, q->heap[(i - 1) / 2]);
    place(q, i, timer);
}

static void sift_down(struct timer_queue *q, size_t i) {
    struct ktimer *timer = q->heap[i];

    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < q->count && q->heap[child + 1]->deadline < q->heap[child]->deadline)
            child++;
        if (child >= q->count || q->heap[child]->deadline >= timer->deadline)
            break;
        place(q, i, q->heap[child]);
        i = child;
    }
    place(q, i, timer);
}

static void remove_locked(struct timer_queue *q, struct ktimer *timer) {
    size_t i = timer->heap_index;
    struct ktimer *last = q->heap[--q->count];

    ASSERT(i <= q->count);
    timer->deadline = CLOCK_NEVER;
    if (last == timer)
        return;
    place(q, i, last);
    sift_up(q, i);
    sift_down(q, last->heap_index);
}

static bool grow_locked(struct timer_queue *q) {
    if (q->count < q->capacity)
        return true;
    size_t capacity = q->capacity ? 2 * q->capacity : 64;
    struct ktimer **heap =
        q->heap ? heap_realloc(q->heap, capacity * sizeof *heap) : heap_alloc_array(capacity, sizeof *heap);
    if (!heap)
        return false;
    q->heap = heap;
    q->capacity = capacity;
    return true;
}

static void kick(struct timer_queue *q) {
    atomic_fetch_add(&q->word, 1);
    host_futex_wake(&q->word, 1);
}

void ktimer_init(struct ktimer *timer, struct kernel *k, const struct ktimer_ops *ops) {
    *timer = (struct ktimer){.ops = ops, .queue = k->timers, .deadline = CLOCK_NEVER};
}

/* False: no memory. */
static bool arm_locked(struct timer_queue *q, struct ktimer *timer, int64_t deadline) {
    if (timer->deadline != CLOCK_NEVER)
        remove_locked(q, timer);
    if (deadline != CLOCK_NEVER) {
        if (!grow_locked(q))
            return false;
        timer->deadline = deadline;
        place(q, q->count++, timer);
        sift_up(q, q->count - 1);
    }
    if (q->count > 0 && q->heap[0] == timer)
        kick(q);
    return true;
}

void ktimer_arm(struct ktimer *timer, int64_t deadline) {
    struct timer_queue *q = timer->queue;

    mutex_lock(&q->lock);
    bool ok = arm_locked(q, timer, deadline);
    mutex_unlock(&q->lock);
    if (!ok)
        timer->ops->fire(timer, monotonic_ns());
}

bool ktimer_cancel(struct ktimer *timer) {
    struct timer_queue *q = timer->queue;

    mutex_lock(&q->lock);
    bool armed = timer->deadline != CLOCK_NEVER;
    if (armed)
        remove_locked(q, timer);
    mutex_unlock(&q->lock);
    return armed;
}

void ktimer_cancel_sync(struct ktimer *timer) {
    struct timer_queue *q = timer->queue;

    mutex_lock(&q->lock);
    for (;;) {
        if (timer->deadline != CLOCK_NEVER)
            remove_locked(q, timer);
        if (q->running != timer)
            break;
        uint32_t seen = atomic_load(&q->idle_word);
        mutex_unlock(&q->lock);
        host_futex_wait(&q->idle_word, seen, CLOCK_NEVER);
        mutex_lock(&q->lock);
    }
    mutex_unlock(&q->lock);
}

int64_t ktimer_deadline(struct ktimer *timer) {
    mutex_lock(&timer->queue->lock);
    int64_t deadline = timer->deadline;
    mutex_unlock(&timer->queue->lock);
    return deadline;
}

static void idle_changed(struct timer_queue *q) {
    atomic_fetch_add(&q->idle_word, 1);
    host_futex_wake(&q->idle_word, INT_MAX);
}

/* Calls the first timer that is due; returns the deadline to sleep until. CLOCK_NEVER - and nothing fired -
 * if there is none. */
static int64_t fire_next_locked(struct timer_queue *q) REQUIRES(q->lock) {
    int64_t now = monotonic_ns();

    if (q->count == 0)
        return CLOCK_NEVER;
    struct ktimer *timer = q->heap[0];
    if (timer->deadline > now)
        return timer->deadline;
    remove_locked(q, timer);
    q->running = timer;
    mutex_unlock(&q->lock);
    timer->ops->fire(timer, now);
    mutex_lock(&q->lock);
    q->running = NULL;
    idle_changed(q);
    return 0;
}

/* Lock-free, with the thread as the only taker:
 *     whoever defers                          the thread
 *     pending false -> true (else: done)
 *     push onto q->deferred
 *     q->word++, futex wake                   reads q->word
 *                                             takes the whole list
 *                                             pending = false, then run()
 *                                             sleeps only if q->word is as it was read
 * A push before the list is taken is run now; one after it has changed q->word, so that the thread does not
 * sleep. What is deferred again once pending is false may be pushed while its run() is under way: `next` was
 * read before. */
bool kernel_defer(struct kernel *k, struct deferred *d) {
    struct timer_queue *q = k->timers;

    if (atomic_exchange(&d->pending, true))
        return false;
    d->next = atomic_load(&q->deferred);
    while (!atomic_compare_exchange_weak(&q->deferred, &d->next, d)) {
    }
    kick(q);
    return true;
}

static void run_deferred(struct timer_queue *q) {
    struct deferred *taken = atomic_exchange(&q->deferred, NULL), *oldest = NULL;

    while (taken) { /* the other way round */
        struct deferred *next = taken->next;
        taken->next = oldest;
        oldest = taken;
        taken = next;
    }
    while (oldest) {
        struct deferred *d = oldest;
        oldest = d->next;
        atomic_store(&d->pending, false);
        d->run(d);
    }
}

static void timer_thread(void *arg) {
    struct timer_queue *q = arg;

    mutex_lock(&q->lock);
    while (!q->stopping) {
        uint32_t seen = atomic_load(&q->word);
        if (atomic_load(&q->deferred)) {
            mutex_unlock(&q->lock);
            run_deferred(q);
            mutex_lock(&q->lock);
        }
        int64_t until = fire_next_locked(q);
        if (until == 0)
            continue;
        mutex_unlock(&q->lock);
        host_futex_wait(&q->word, seen, until);
        mutex_lock(&q->lock);
    }
    mutex_unlock(&q->lock);
    run_deferred(q); /* nothing stays behind */
    mutex_lock(&q->lock);
    q->stopped = true;
    idle_changed(q);
    mutex_unlock(&q->lock);
}

int timer_queue_create(struct timer_queue **ret) {
    struct timer_queue *q = heap_new(timer_queue);

    if (!q)
        return -ENOMEM;
    mutex_init(&q->lock, RANK_TIMER);
    int r = host_thread_run(timer_thread, q);
    if (r < 0) {
        heap_free(q);
        return r;
    }
    *ret = q;
    return 0;
}

void timer_queue_destroy(struct timer_queue *q) {
    if (!q)
        return;
    mutex_lock(&q->lock);
    ASSERT(q->count == 0);
    q->stopping = true;
    kick(q);
    while (!q->stopped) {
        uint32_t seen = atomic_load(&q->idle_word);
        mutex_unlock(&q->lock);
        host_futex_wait(&q->idle_word, seen, CLOCK_NEVER);
        mutex_lock(&q->lock);
    }
    mutex_unlock(&q->lock);
    host_threads_drain(); /* the thread may still be inside its last mutex_unlock() */
    heap_free(q->heap);
    heap_free(q);
}
