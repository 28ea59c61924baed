/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/itimer.c: setitimer(2) and RLIMIT_CPU (getrlimit(2)): see itimer.h.
 */
#include "sentry/kernel/itimer.h"

#include <errno.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/task_internal.h"

static void send_kernel_locked(struct thread_group *g, int signo) {
    struct linux_siginfo info;

    if (list_empty(&g->tasks))
        return;
    siginfo_kernel(&info, signo);
    (void)signal_send_locked(list_first_entry(&g->tasks, struct task, group_node), &info, SIGNAL_GROUP);
}

/* ---- ITIMER_REAL ---- */

static void real_fire(struct ktimer *timer, int64_t now) {
    struct thread_group *g = container_of(timer, struct thread_group, real_timer);

    (void)now;
    mutex_lock(&g->signal_lock);
    send_kernel_locked(g, LINUX_SIGALRM);
    mutex_unlock(&g->signal_lock);
}
static const struct ktimer_ops g_real_ops = {.fire = real_fire};

/* An interval starts anew when its signal is taken, so that a process that takes none costs nothing. */
void itimer_real_delivered_locked(struct thread_group *g) {
    if (g->real_interval == 0 || g->exiting || ktimer_deadline(&g->real_timer) != CLOCK_NEVER)
        return;
    int64_t now = monotonic_ns();
    g->real_expires += g->real_interval;
    if (g->real_expires <= now)
        g->real_expires += ((now - g->real_expires) / g->real_interval + 1) * g->real_interval;
    ktimer_arm(&g->real_timer, g->real_expires);
}

static void real_set(struct thread_group *g, const struct itimer_value *set, struct itimer_value *ret_old) {
    int64_t now = monotonic_ns();

    if (set)
        ktimer_cancel_sync(&g->real_timer);
    mutex_lock(&g->signal_lock);
    int64_t left = g->real_expires
                       ? MAX(g->real_expires - now, g->real_interval || g->real_expires > now ? 1000 : 0)
                       : 0;
    *ret_old = (struct itimer_value){left, g->real_interval};
    if (set) {
        g->real_interval = set->value ? set->interval : 0;
        g->real_expires = set->value ? clock_add(now, set->value) : 0;
        if (set->value)
            ktimer_arm(&g->real_timer, g->real_expires);
    }
    mutex_unlock(&g->signal_lock);
}

/* ---- cpu time ---- */

static void check_one_locked(struct thread_group *g, struct cpu_itimer *timer, int64_t used, int signo) {
    if (timer->expires == CLOCK_NEVER || used < timer->expires)
        return;
    send_kernel_locked(g, signo);
    timer->expires = timer->interval ? used + timer->interval : CLOCK_NEVER;
}

static void check_limit_locked(struct thread_group *g, int64_t used) {
    mutex_lock(&g->limits_lock);
    struct linux_rlimit64 limit = g->limits[LINUX_RLIMIT_CPU];
    mutex_unlock(&g->limits_lock);
    uint64_t seconds = (uint64_t)(used / NSEC_PER_SEC);
    if (limit.max != LINUX_RLIM_INFINITY && seconds >= limit.max) {
        thread_group_exit_locked(g, status_killed(LINUX_SIGKILL));
    } else if (limit.cur != LINUX_RLIM_INFINITY && seconds >= MAX(limit.cur, g->cpu_limit_told)) {
        send_kernel_locked(g, LINUX_SIGXCPU); /* and again every second */
        g->cpu_limit_told = seconds + 1;
    }
}

/* ns of cpu time to the next thing to do; CLOCK_NEVER: nothing is set. */
static int64_t next_cpu_event_locked(struct thread_group *g, struct cpu_times c) {
    int64_t total = c.user_ns + c.system_ns, next = CLOCK_NEVER;

    if (g->virtual_timer.expires != CLOCK_NEVER)
        next = g->virtual_timer.expires - c.user_ns;
    if (g->prof_timer.expires != CLOCK_NEVER)
        next = MIN(next, g->prof_timer.expires - total);
    mutex_lock(&g->limits_lock);
    struct linux_rlimit64 limit = g->limits[LINUX_RLIMIT_CPU];
    mutex_unlock(&g->limits_lock);
    uint64_t soft = MAX(limit.cur, g->cpu_limit_told);
    uint64_t seconds = limit.cur == LINUX_RLIM_INFINITY ? limit.max : MIN(limit.max, soft);
    if (seconds < INT64_MAX / NSEC_PER_SEC)
        next = MIN(next, (int64_t)seconds * NSEC_PER_SEC - total);
    next = MAX(next, 1);
    return next;
}

static bool any_running_locked(struct thread_group *g, int64_t *ret_count) {
    struct task *t;

    *ret_count = 0;
    list_for_each_entry(t, &g->tasks, group_node) if (atomic_load_explicit(&t->state, memory_order_relaxed) ==
                                                      TASK_RUNNING)++ *ret_count;
    return *ret_count > 0;
}

enum { CPU_TIMER_MIN_NS = 1000000 };

int64_t cpu_deadline_locked(struct thread_group *g, int64_t left) {
    int64_t running;

    atomic_store(&g->cpu_timers_parked, true); /* before the look: a task that wakes later sees it */
    if (!any_running_locked(g, &running))
        return CLOCK_NEVER;
    atomic_store(&g->cpu_timers_parked, false);
    return clock_add(monotonic_ns(), MAX(left / running, CPU_TIMER_MIN_NS));
}

static void cpu_timer_rearm_locked(struct thread_group *g) {
    int64_t next = next_cpu_event_locked(g, thread_group_cpu_locked(g));

    ktimer_arm(&g->cpu_timer, next == CLOCK_NEVER || g->exiting ? CLOCK_NEVER : cpu_deadline_locked(g, next));
}

void cpu_timers_resume(struct thread_group *g) {
    mutex_lock(&g->signal_lock);
    if (atomic_exchange(&g->cpu_timers_parked, false)) {
        cpu_timer_rearm_locked(g);
        posix_timers_resume_locked(g);
    }
    mutex_unlock(&g->signal_lock);
}

static void cpu_fire(struct ktimer *timer, int64_t now) {
    struct thread_group *g = container_of(timer, struct thread_group, cpu_timer);

    (void)now;
    mutex_lock(&g->signal_lock);
    if (!g->exiting) {
        struct cpu_times c = thread_group_cpu_locked(g);
        check_one_locked(g, &g->virtual_timer, c.user_ns, LINUX_SIGVTALRM);
        check_one_locked(g, &g->prof_timer, c.user_ns + c.system_ns, LINUX_SIGPROF);
        check_limit_locked(g, c.user_ns + c.system_ns);
        cpu_timer_rearm_locked(g);
    }
    mutex_unlock(&g->signal_lock);
}
static const struct ktimer_ops g_cpu_ops = {.fire = cpu_fire};

static void cpu_set(struct thread_group *g, bool virtual, const struct itimer_value *set,
                    struct itimer_value *ret_old) {
    struct cpu_itimer *timer = virtual ? &g->virtual_timer : &g->prof_timer;

    mutex_lock(&g->signal_lock);
    struct cpu_times c = thread_group_cpu_locked(g);
    int64_t used = virtual ? c.user_ns : c.user_ns + c.system_ns;
    ret_old->value = timer->expires == CLOCK_NEVER ? 0 : MAX(timer->expires - used, 1000);
    ret_old->interval = timer->interval;
    if (set) {
        timer->expires = set->value ? clock_add(used, set->value) : CLOCK_NEVER;
        timer->interval = set->value ? set->interval : 0;
        cpu_timer_rearm_locked(g);
    }
    mutex_unlock(&g->signal_lock);
}

void cpu_limit_changed(struct thread_group *g) {
    mutex_lock(&g->signal_lock);
    g->cpu_limit_told = 0;
    cpu_timer_rearm_locked(g);
    mutex_unlock(&g->signal_lock);
}

/* ---- common ---- */

int itimer_set(struct task *t, int which, const struct itimer_value *set, struct itimer_value *ret_old) {
    switch (which) {
    case LINUX_ITIMER_REAL:
        real_set(t->group, set, ret_old);
        return 0;
    case LINUX_ITIMER_VIRTUAL:
    case LINUX_ITIMER_PROF:
        cpu_set(t->group, which == LINUX_ITIMER_VIRTUAL, set, ret_old);
        return 0;
    default:
        return -EINVAL;
    }
}

void itimers_init(struct thread_group *g) {
    ktimer_init(&g->real_timer, g->kernel, &g_real_ops);
    ktimer_init(&g->cpu_timer, g->kernel, &g_cpu_ops);
    g->virtual_timer.expires = g->prof_timer.expires = CLOCK_NEVER;
}

void itimers_cancel(struct thread_group *g) {
    ktimer_cancel_sync(&g->real_timer);
    ktimer_cancel_sync(&g->cpu_timer);
}
