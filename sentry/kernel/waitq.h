/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/waitq.h: wait queues, and the one way in which a task sleeps.
 *
 * A waitq belongs to an object (pipe, tty, child list, ...). A waiter is queued on it with a mask of events;
 * waitq_wake() calls the notify function of every waiter whose mask intersects, with the queue's lock held:
 * notify may only set flags, wake a task, or take locks ranked above RANK_WAITQ.
 *
 * How a task waits:
 *
 *     struct waiter w;
 *     waiter_init_task(&w, t, EVENTS);
 *     waitq_add(&obj->waitq, &w);
 *     for (;;) {
 *         r = try_it(obj);                    // takes and drops the object's own lock
 *         if (r != -EAGAIN) break;
 *         r = task_block(t, deadline);        // 0: woken (maybe for nothing), -ETIMEDOUT, -ERESTARTSYS
 *         if (r < 0) break;
 *     }
 *     waitq_remove(&w);
 *
 * A waiter may be on the host stack: a pause interrupts every blocked task, whose call unwinds and takes its
 * waiters out before the kernel is copied. No lock is held across task_block().
 *
 * Event bits are those of poll(2) (LINUX_POLLIN ...); queues that are not for files use WAIT_ANY.
 */
#pragma once

#include "base/list.h"
#include "base/mutex.h"

struct task;
struct waiter;

enum { WAIT_ANY = ~0u };

struct waitq {
    struct mutex lock; /* RANK_WAITQ */
    struct list waiters;
};

struct waiter_ops {
    /* events: those that happened. Called with the queue's lock held. */
    void (*notify)(struct waiter *w, uint32_t events);
};

struct waiter {
    struct list node;    /* in queue->waiters; empty when not queued */
    struct waitq *queue; /* NULL when not queued */
    const struct waiter_ops *ops;
    struct task *task; /* waiter_init_task() */
    uint32_t events;
    bool exclusive; /* waitq_wake_one() stops after one of these that matched */
};

void waitq_init(struct waitq *q);
void waiter_init(struct waiter *w, const struct waiter_ops *ops, uint32_t events);
/* Wakes `t` (borrowed) from task_block(). */
void waiter_init_task(struct waiter *w, struct task *t, uint32_t events);
void waitq_add(struct waitq *q, struct waiter *w);
/* Harmless if it is not queued. When this returns, no notify of `w` runs or will run. */
void waitq_remove(struct waiter *w);
/* Calls every waiter that asked for one of `events`. Any lock ranked below RANK_WAITQ may be held. */
void waitq_wake(struct waitq *q, uint32_t events);
/* All non-exclusive waiters and at most `count` exclusive ones; returns how many exclusive ones were called.
 */
int waitq_wake_some(struct waitq *q, uint32_t events, int count);
bool waitq_empty(struct waitq *q);

/* Sleeps until a waiter of `t` is notified since the last return, `deadline` (monotonic ns or CLOCK_NEVER)
   passes, or `t` is interrupted: a deliverable signal, a stop, group exit, ptrace, or a pause of the kernel.
   Returns 0 (possibly spurious), -ETIMEDOUT, or -ERESTARTSYS; the caller turns the last into the code its
   call wants (errno.h in this folder). Own thread only; no lock held. Sleep time counts on the host's clock.
 */
int task_block(struct task *t, int64_t deadline) must_check;
/* Wakes a task from task_block() as a waiter would. Any thread; lock ranks below RANK_WAITER may be held. */
void task_wake(struct task *t);
