/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/clocks.c: see clocks.h.
 */
#include "sentry/kernel/clocks.h"

#include <errno.h>

#include "base/abi/linux/time.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/time_ns.h"

/* Dynamic cpu clocks: ~pid << 3 | 4 if per thread | which (0 prof, 1 virt, 2 sched); 3 is a descriptor's
 * clock. clock_getcpuclockid(3). */
enum { CPUCLOCK_WHICH = 3, CPUCLOCK_THREAD = 4, CPUCLOCK_FD = 3 };

int64_t clock_guest_monotonic(struct kernel *k) {
    return monotonic_ns() + k->monotonic_offset_ns;
}

int64_t clock_guest_realtime(struct kernel *k) {
    return realtime_ns() + k->realtime_offset_ns;
}

int64_t clock_guest_boottime(struct kernel *k) {
    return clock_guest_monotonic(k);
}

bool clock_is_cpu(int clock) {
    return clock < 0 || clock == LINUX_CLOCK_PROCESS_CPUTIME_ID || clock == LINUX_CLOCK_THREAD_CPUTIME_ID;
}

bool clock_is_realtime(int clock) {
    return clock == LINUX_CLOCK_REALTIME || clock == LINUX_CLOCK_REALTIME_COARSE ||
           clock == LINUX_CLOCK_REALTIME_ALARM || clock == LINUX_CLOCK_TAI;
}

struct task *clock_cpu_task(struct task *t, int clock, bool *ret_thread) {
    if (clock == LINUX_CLOCK_PROCESS_CPUTIME_ID || clock == LINUX_CLOCK_THREAD_CPUTIME_ID) {
        *ret_thread = clock == LINUX_CLOCK_THREAD_CPUTIME_ID;
        return task_ref(t);
    }
    if (clock >= 0 || (clock & CPUCLOCK_WHICH) == CPUCLOCK_FD)
        return NULL;
    int number = ~(clock >> 3);
    *ret_thread = clock & CPUCLOCK_THREAD;
    if (number == 0)
        return task_ref(t);
    struct task *found = *ret_thread ? task_find(t, number) : task_find_process(t, number);
    if (found && *ret_thread && found->group != t->group)
        found = task_unref(found);
    return found;
}

static int cpu_clock_read(struct task *t, int clock, int64_t *ret) {
    bool thread;
    struct task *target = clock_cpu_task(t, clock, &thread);

    if (!target)
        return -EINVAL;
    struct cpu_times c = thread ? task_cpu_times(target) : thread_group_cpu(target->group);
    if (target == t) /* what this very call has used so far */
        c.system_ns += cpu_time_of_call(t);
    int which = clock < 0 ? clock & CPUCLOCK_WHICH : 2;
    *ret = which == 1 ? c.user_ns : c.user_ns + c.system_ns;
    task_unref(target);
    return 0;
}

static int kernel_clock_read(struct task *t, int clock, int64_t *ret) {
    if (clock_is_cpu(clock))
        return cpu_clock_read(t, clock, ret);
    switch (clock) {
    case LINUX_CLOCK_REALTIME:
    case LINUX_CLOCK_REALTIME_COARSE:
    case LINUX_CLOCK_REALTIME_ALARM:
    case LINUX_CLOCK_TAI:
        *ret = clock_guest_realtime(t->kernel);
        return 0;
    case LINUX_CLOCK_MONOTONIC:
    case LINUX_CLOCK_MONOTONIC_RAW:
    case LINUX_CLOCK_MONOTONIC_COARSE:
        *ret = clock_guest_monotonic(t->kernel);
        return 0;
    case LINUX_CLOCK_BOOTTIME:
    case LINUX_CLOCK_BOOTTIME_ALARM:
        *ret = clock_guest_boottime(t->kernel);
        return 0;
    default:
        return -EINVAL;
    }
}

/* In the task's time namespace. */
int clock_read(struct task *t, int clock, int64_t *ret) {
    int r = kernel_clock_read(t, clock, ret);

    if (r == 0)
        *ret += time_ns_offset(t->nsproxy->time, clock);
    return r;
}

int64_t clock_to_kernel(struct task *t, int clock, int64_t when) {
    return MAX(clock_add(when, -time_ns_offset(t->nsproxy->time, clock)), 0);
}

static bool host_vdso_calls(struct task *t) {
    const struct platform_limits *l = &kernel_platform(t->kernel)->limits;

    return t->regs.rip > l->host_vdso_start && t->regs.rip <= l->host_vdso_end;
}

int clock_read_for_call(struct task *t, int clock, int64_t *ret) {
    int r = clock_read(t, clock, ret);

    if (r < 0 || clock_is_cpu(clock) || !host_vdso_calls(t))
        return r;
    *ret -= clock_is_realtime(clock) ? t->kernel->realtime_offset_ns : t->kernel->monotonic_offset_ns;
    return 0;
}

int64_t clock_deadline(struct kernel *k, int clock, int64_t when) {
    int64_t now = clock_is_realtime(clock) ? clock_guest_realtime(k) : clock_guest_monotonic(k);

    if (when <= now)
        return monotonic_ns();
    return clock_add(monotonic_ns(), when - now);
}
