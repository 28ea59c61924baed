/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/waitq.c: wait queues and task_block(), the one place where a task sleeps (waitq.h). Source:
 * none; the interrupt rule is ours: pending_work is raised before wake_word, and looked at after it, so that
 * neither a wake-up nor an interrupt is lost.
 */
#include "sentry/kernel/waitq.h"

#include <errno.h>

#include "base/clock.h"
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"

void waitq_init(struct waitq *q) {
    mutex_init(&q->lock, RANK_WAITQ);
    list_init(&q->waiters);
}

void waiter_init(struct waiter *w, const struct waiter_ops *ops, uint32_t events) {
    *w = (struct waiter){.ops = ops, .events = events};
    list_init(&w->node);
}

static void notify_task(struct waiter *w, uint32_t events) {
    (void)events;
    task_wake(w->task);
}

static const struct waiter_ops g_task_waiter_ops = {.notify = notify_task};

void waiter_init_task(struct waiter *w, struct task *t, uint32_t events) {
    waiter_init(w, &g_task_waiter_ops, events);
    w->task = t;
}

void waitq_add(struct waitq *q, struct waiter *w) {
    ASSERT(!w->queue);
    mutex_lock(&q->lock);
    w->queue = q;
    list_add_tail(&q->waiters, &w->node);
    mutex_unlock(&q->lock);
}

void waitq_remove(struct waiter *w) {
    struct waitq *q = w->queue;

    if (!q)
        return;
    mutex_lock(&q->lock);
    list_del(&w->node);
    w->queue = NULL;
    mutex_unlock(&q->lock);
}

int waitq_wake_some(struct waitq *q, uint32_t events, int count) {
    struct waiter *w, *next;
    int called = 0;

    mutex_lock_nested(
        &q->lock); /* an object's queue before that of an epoll file which watches it (epoll.c) */
    list_for_each_entry_safe(w, next, &q->waiters, node) {
        if (!(w->events & events))
            continue;
        if (w->exclusive && called >= count)
            continue;
        if (w->exclusive)
            called++;
        w->ops->notify(w, events);
    }
    mutex_unlock(&q->lock);
    return called;
}

void waitq_wake(struct waitq *q, uint32_t events) {
    (void)waitq_wake_some(q, events, INT32_MAX);
}

bool waitq_empty(struct waitq *q) {
    mutex_lock(&q->lock);
    bool empty = list_empty(&q->waiters);
    mutex_unlock(&q->lock);
    return empty;
}

/* ---- sleeping ---- */

enum wake_state {
    WAKE_NONE,
    WAKE_UP, /* woken or interrupted since task_block() last returned */
    WAKE_ASLEEP,
};

void task_wake(struct task *t) {
    if (atomic_exchange(&t->wake_word, WAKE_UP) == WAKE_ASLEEP)
        host_futex_wake(&t->wake_word, 1);
}

void task_leave_guest(struct task *t) {
    if (!atomic_load(&t->in_guest))
        return;
    mutex_lock(&t->wake_lock);
    struct context *c = task_context(t);
    if (c)
        kernel_platform(t->kernel)->ops->context_interrupt(c);
    mutex_unlock(&t->wake_lock);
}

void task_interrupt(struct task *t, uint32_t work) {
    atomic_fetch_or(&t->pending_work, work);
    task_wake(t);
    task_leave_guest(t);
}

static void set_state(struct task *t, enum task_state state) {
    atomic_store_explicit(&t->state, state, memory_order_relaxed);
}

/* True: the wake-up came before it was worth to sleep. */
static bool await_awake(struct task *t) {
    const struct platform_ops *ops = kernel_platform(t->kernel)->ops;
    struct context *c = task_context(t);

    return c && ops->context_await && ops->context_await(c, &t->wake_word);
}

static void sleep_for_wake(struct task *t, int64_t deadline) {
    uint32_t none = WAKE_NONE;

    if (atomic_compare_exchange_strong(&t->wake_word, &none, WAKE_ASLEEP))
        host_futex_wait(&t->wake_word, WAKE_ASLEEP, deadline);
}

/* Sleeps until the wake-up word is set, work in `breaks` is pending, or the deadline. */
static int sleep_until(struct task *t, uint32_t breaks, int64_t deadline) {
    bool looked = false;
    int r;

    might_block();
    for (;;) {
        bool woken = atomic_exchange(&t->wake_word, WAKE_NONE) == WAKE_UP;
        if (atomic_load(&t->pending_work) & breaks) {
            r = -ERESTARTSYS;
            break;
        }
        if (woken) {
            r = 0;
            break;
        }
        if (deadline != CLOCK_NEVER && monotonic_ns() >= deadline) {
            r = -ETIMEDOUT;
            break;
        }
        if (looked || !await_awake(t))
            sleep_for_wake(t, deadline);
        looked = true;
    }
    return r;
}

/* Counts the sleep out of the task's system time. */
static int timed_sleep(struct task *t, enum task_state state, uint32_t breaks, int64_t deadline) {
    int64_t from = monotonic_ns();

    uaccess_settle(t, /* waits= */ true);
    set_state(t, state);
    int r = sleep_until(t, breaks, deadline);
    set_state(t, TASK_RUNNING);
    t->sentry_entered += monotonic_ns() - from;
    atomic_fetch_add_explicit(&t->voluntary_switches, 1, memory_order_relaxed);
    if (unlikely(atomic_load(&t->group->cpu_timers_parked)))
        cpu_timers_resume(t->group);
    return r;
}

int task_block(struct task *t, int64_t deadline) {
    return timed_sleep(t, TASK_BLOCKED, ~0u, deadline);
}

int task_block_killable(struct task *t, int64_t deadline) {
    for (;;) {
        int r = timed_sleep(t, TASK_BLOCKED, TASK_WORK_EXIT | TASK_WORK_PAUSE, deadline);
        if (r == -ERESTARTSYS && !(atomic_load(&t->pending_work) & TASK_WORK_EXIT)) {
            task_park(t);
            continue;
        }
        return r;
    }
}

int task_block_served(struct task *t) {
    int r = timed_sleep(t, TASK_BLOCKED, TASK_WORK_EXIT | TASK_WORK_PAUSE, CLOCK_NEVER);

    return r < 0 && !(atomic_load(&t->pending_work) & TASK_WORK_EXIT) ? -ERESTARTNOINTR : r;
}

void task_block_uninterruptible(struct task *t) {
    (void)timed_sleep(t, TASK_BLOCKED, 0, CLOCK_NEVER);
}

void task_block_traced(struct task *t, bool exit_stop) {
    uint32_t breaks = TASK_WORK_PAUSE | (exit_stop ? 0 : TASK_WORK_EXIT);

    (void)timed_sleep(t, TASK_TRACED, breaks, CLOCK_NEVER);
    if (atomic_load(&t->pending_work) & TASK_WORK_PAUSE)
        task_park(t);
}

void task_block_stopped(struct task *t) {
    (void)timed_sleep(t, TASK_STOPPED, TASK_WORK_EXIT | TASK_WORK_PAUSE, CLOCK_NEVER);
}
