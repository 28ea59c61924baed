/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/task_start.c: a task's host thread and platform context: made before the task is seen by
 * anyone, so that a clone can fail cleanly (process.h), and replaced at execve.
 */
#include <errno.h>
#include <limits.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"

enum { START_NEW, START_READY, START_FAILED, START_GO, START_ABORT, START_GONE };

static const struct platform_ops *platform_ops(struct task *t) {
    return kernel_platform(t->kernel)->ops;
}

/* A context ends on its own thread (task_drop_context()), never through its hostref. */
static void context_release(struct hostref *h) {
    (void)h;
}
static const struct hostref_ops g_context_ops = {.name = "context", .release = context_release};

void task_install_context(struct task *t, struct context *c) {
    mutex_lock(&t->wake_lock);
    struct context *old = task_context(t);
    t->context = c ? (struct hostref){.ops = &g_context_ops, .host.ptr = c} : (struct hostref){0};
    mutex_unlock(&t->wake_lock);
    t->answers_stale = true;
    cpu_time_new_thread(t);
    platform_ops(t)->context_destroy(old);
}

void task_drop_context(struct task *t) {
    task_install_context(t, NULL);
}

static int make_context(struct task *t) {
    const struct platform_ops *ops = platform_ops(t);
    struct context *c;

    int r = ops->context_create(mm_as(t->mm), &c);
    if (r < 0)
        return r;
    if (t->initial_fpu) {
        r = ops->context_set_fpu(c, t->initial_fpu, t->initial_fpu_size);
        heap_free(TAKE(t->initial_fpu));
    }
    if (r < 0) {
        ops->context_destroy(c);
        return r;
    }
    task_install_context(t, c);
    return 0;
}

static void set_start_state(struct task *t, uint32_t state) {
    atomic_store(&t->start_state, state);
    host_futex_wake(&t->start_state, INT_MAX);
}

static uint32_t wait_start_state(struct task *t, uint32_t while_state) {
    uint32_t state;

    while ((state = atomic_load(&t->start_state)) == while_state)
        host_futex_wait(&t->start_state, while_state, CLOCK_NEVER);
    return state;
}

/* The whole life of a task's host thread. */
static void task_thread(void *arg) {
    struct task *t = arg;

    cpu_time_thread_starts(t);
    t->start_error = make_context(t);
    bool ready = t->start_error == 0;
    set_start_state(t, ready ? START_READY : START_FAILED);
    if (ready && wait_start_state(t, START_READY) == START_GO) {
        struct container *c = t->container;
        container_task_enter(c);
        task_run(t);
        task_unref(t);
        container_task_leave(c);
        return;
    }
    if (ready) {
        task_drop_context(t);
        set_start_state(t, START_GONE);
    }
    task_unref(t);
}

int task_start(struct task *t) {
    might_block();
    task_ref(t); /* the thread's */
    int r = host_thread_run(task_thread, t);
    if (r < 0) {
        task_unref(t);
        return r;
    }
    if (wait_start_state(t, START_NEW) == START_FAILED)
        return t->start_error;
    return 0;
}

void task_go(struct task *t) {
    uint32_t ready = START_READY;

    if (atomic_compare_exchange_strong(&t->start_state, &ready, START_GO))
        host_futex_wake(&t->start_state, INT_MAX);
}

void task_abort(struct task *t) {
    set_start_state(t, START_ABORT);
    (void)wait_start_state(t, START_ABORT);
}
