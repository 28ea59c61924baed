/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/cpu_time.c: the cpu time of tasks: what was spent in the guest (user) and in the sentry
 * (system). Source: getrusage(2), times(2), clock_getres(2).
 *
 * A stretch in the guest or in the sentry is as long as it took, if it was short: to ask the host costs more
 * than the calls that are being counted. A long one may have waited for a cpu, or for the host: of that the
 * host's count is taken, if it is less. The host counts a thread's whole life, with what we do not call the
 * task's (spinning, signal frames, the sentry's part where one thread does both): so what it had counted more
 * than we had at the last look, the surplus, is taken off. Where there was no look before, or much surplus
 * came since, a stretch counts as long as it took.
 */
#include <errno.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_internal.h"

enum { LONG_NS = 2000000 }; /* longer than a scheduler's turn is short, and a hundred times the look's cost */

/* Readers look at guest_entered, the counts and guest_entered again; the owner leaves the guest in that order
 * too. */
static int64_t get(const _Atomic int64_t *value) {
    return atomic_load_explicit(value, memory_order_acquire);
}

static void set(_Atomic int64_t *value, int64_t to) {
    atomic_store_explicit(value, to, memory_order_release);
}

static void raise_to(_Atomic int64_t *value, int64_t to) {
    int64_t old = get(value);

    while (old < to && !atomic_compare_exchange_weak(value, &old, to)) {
    }
}

/* Of a stretch that took `wall`, if `before` were counted till then and the host has `host` now. */
static int64_t share(int64_t wall, int64_t host, int64_t surplus, int64_t before) {
    return MAX(MIN(wall, host - surplus - before), 0);
}

/* 0, or -errno: the host does not tell. */
static int guest_thread_ns(struct task *t, int64_t *ret) {
    const struct platform_ops *ops = kernel_platform(t->kernel)->ops;
    int r = -ENOENT;

    mutex_lock(&t->wake_lock);
    struct context *c = task_context(t);
    if (c && ops->context_cpu_time)
        r = ops->context_cpu_time(c, ret);
    mutex_unlock(&t->wake_lock);
    return r;
}

void cpu_time_left_guest(struct task *t, int64_t wall) {
    int64_t before = get(&t->user_ns), host;

    if (unlikely(wall > LONG_NS) && guest_thread_ns(t, &host) == 0) {
        wall = share(wall, host, get(&t->guest_surplus), before);
        set(&t->guest_surplus, host - before - wall);
    }
    set(&t->user_ns, MAX(before + wall, get(&t->user_told)));
}

static int64_t sentry_stretch(struct task *t, int64_t now, int64_t *ret_surplus) {
    int64_t wall = MAX(now - t->sentry_entered, 0), before = get(&t->system_ns);

    if (likely(wall <= LONG_NS))
        return wall;
    int64_t host = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    wall = share(wall, host, *ret_surplus, before);
    *ret_surplus = host - before - wall;
    return wall;
}

void cpu_time_left_sentry(struct task *t, int64_t now) {
    int64_t surplus = get(&t->sentry_surplus), took = sentry_stretch(t, now, &surplus);

    set(&t->sentry_surplus, surplus);
    atomic_fetch_add_explicit(&t->system_ns, took, memory_order_relaxed);
    t->sentry_entered = now;
}

int64_t cpu_time_of_call(struct task *t) {
    int64_t surplus = get(&t->sentry_surplus);

    return sentry_stretch(t, monotonic_ns(), &surplus);
}

void cpu_time_new_thread(struct task *t) {
    set(&t->guest_surplus, -get(&t->user_ns));
}

void cpu_time_thread_starts(struct task *t) {
    set(&t->sentry_surplus, clock_ns(CLOCK_THREAD_CPUTIME_ID) - get(&t->system_ns));
}

/* In the guest since `since`, or not if that is 0; user_ns was `before`. */
static int64_t user_time(struct task *t, int64_t since, int64_t before) {
    int64_t wall = since ? MAX(monotonic_ns() - since, 0) : 0, host;

    if (wall > LONG_NS && guest_thread_ns(t, &host) == 0)
        wall = share(wall, host, get(&t->guest_surplus), before);
    return before + wall;
}

struct cpu_times task_cpu_times(struct task *t) {
    int64_t since, user;

    do {
        since = get(&t->guest_entered);
        user = user_time(t, since, get(&t->user_ns));
    } while (get(&t->guest_entered) != since); /* it came out meanwhile, and has counted itself, or will */
    raise_to(&t->user_told, user);
    return (struct cpu_times){get(&t->user_told), get(&t->system_ns)};
}

struct cpu_times thread_group_cpu_locked(struct thread_group *g) {
    struct cpu_times sum = g->dead_cpu;
    struct task *t;

    list_for_each_entry(t, &g->tasks, group_node) {
        struct cpu_times c = task_cpu_times(t);
        sum.user_ns += c.user_ns;
        sum.system_ns += c.system_ns;
    }
    return sum;
}

struct cpu_times thread_group_cpu(struct thread_group *g) {
    mutex_lock(&g->signal_lock);
    struct cpu_times sum = thread_group_cpu_locked(g);
    mutex_unlock(&g->signal_lock);
    return sum;
}
