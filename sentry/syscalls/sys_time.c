/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_time.c: clocks and sleeping. Source: clock_getres(2), clock_nanosleep(2),
 * gettimeofday(2), time(2), adjtimex(2).
 */
#include <errno.h>

#include "sentry/kernel/clocks.h"
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/usage.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/sys_util.h"
#include "sentry/syscalls/syscalls.h"

enum { NSEC_PER_USEC = 1000, COARSE_RESOLUTION_NS = 4000000 };

/* ---- reading ---- */

int64_t sys_clock_gettime(struct task *t, const struct syscall_args *a) {
    int64_t now;

    int r = clock_read_for_call(t, (int)a->arg[0], &now);
    return r < 0 ? r : copy_out_timespec(t, a->arg[1], now);
}

int64_t sys_clock_getres(struct task *t, const struct syscall_args *a) {
    int clock = (int)a->arg[0];
    int64_t now;

    int r = clock_read(t, clock, &now);
    if (r < 0 || !a->arg[1])
        return r;
    bool coarse = clock == LINUX_CLOCK_REALTIME_COARSE || clock == LINUX_CLOCK_MONOTONIC_COARSE;
    return copy_out_timespec(t, a->arg[1], coarse ? COARSE_RESOLUTION_NS : 1);
}

int64_t sys_gettimeofday(struct task *t, const struct syscall_args *a) {
    int64_t now = clock_guest_realtime(t->kernel);
    struct linux_timeval tv = {now / NSEC_PER_SEC, now % NSEC_PER_SEC / NSEC_PER_USEC};
    struct linux_timezone tz = {0};

    if (a->arg[0] && copy_out(t, a->arg[0], &tv, sizeof tv) < 0)
        return -EFAULT;
    return a->arg[1] ? copy_out(t, a->arg[1], &tz, sizeof tz) : 0;
}

int64_t sys_time(struct task *t, const struct syscall_args *a) {
    int64_t now = clock_guest_realtime(t->kernel) / NSEC_PER_SEC;

    if (a->arg[0] && copy_out(t, a->arg[0], &now, sizeof now) < 0)
        return -EFAULT;
    return now;
}

/* ---- setting: a container may not (CAP_SYS_TIME in the initial user namespace is never given to one) unless
 * it is root there ---- */

static int set_realtime(struct task *t, int64_t wanted) {
    if (!task_capable_in(t, t->kernel->root_user_ns, LINUX_CAP_SYS_TIME))
        return -EPERM;
    kernel_set_realtime(t->kernel, wanted);
    return 0;
}

int64_t sys_clock_settime(struct task *t, const struct syscall_args *a) {
    int64_t wanted;

    if ((int)a->arg[0] != LINUX_CLOCK_REALTIME) {
        int r = clock_read(t, (int)a->arg[0], &wanted);
        return r < 0 ? r : clock_is_cpu((int)a->arg[0]) ? -EPERM : -EINVAL;
    }
    int r = copy_in_timespec(t, a->arg[1], &wanted);
    return r < 0 ? r : set_realtime(t, wanted);
}

int64_t sys_settimeofday(struct task *t, const struct syscall_args *a) {
    struct linux_timeval tv;

    if (a->arg[0]) {
        if (copy_in(t, &tv, a->arg[0], sizeof tv) < 0)
            return -EFAULT;
        if (tv.sec < 0 || tv.usec < 0 || tv.usec >= 1000000 || tv.sec > INT64_MAX / NSEC_PER_SEC - 1)
            return -EINVAL;
    }
    if (!task_capable_in(t, t->kernel->root_user_ns, LINUX_CAP_SYS_TIME))
        return -EPERM;
    return a->arg[0] ? set_realtime(t, tv.sec * NSEC_PER_SEC + tv.usec * NSEC_PER_USEC) : 0;
}

static int64_t adjtimex(struct task *t, gva_t at) {
    struct linux_timex tx;

    if (copy_in(t, &tx, at, sizeof tx) < 0)
        return -EFAULT;
    if (tx.modes != 0 && tx.modes != LINUX_ADJ_OFFSET_SS_READ)
        return -EPERM;
    int64_t now = clock_guest_realtime(t->kernel);
    uint32_t modes = tx.modes;
    tx = (struct linux_timex){.modes = modes,
                              .status = LINUX_STA_UNSYNC,
                              .maxerror = 16000000,
                              .esterror = 16000000,
                              .constant = 2,
                              .precision = 1,
                              .tolerance = 32768000,
                              .tick = 10000};
    tx.time = (struct linux_timeval){now / NSEC_PER_SEC, now % NSEC_PER_SEC / NSEC_PER_USEC};
    return copy_out(t, at, &tx, sizeof tx) < 0 ? -EFAULT : LINUX_TIME_ERROR;
}

int64_t sys_adjtimex(struct task *t, const struct syscall_args *a) {
    return adjtimex(t, a->arg[0]);
}

int64_t sys_clock_adjtime(struct task *t, const struct syscall_args *a) {
    if ((int)a->arg[0] != LINUX_CLOCK_REALTIME)
        return clock_is_cpu((int)a->arg[0]) ? -EINVAL : -EOPNOTSUPP;
    return adjtimex(t, a->arg[1]);
}

/* ---- sleeping ---- */

enum { SLEEP_DEADLINE, SLEEP_REMAINING };

static int64_t sleep_again(struct task *t, struct restart_block *block);

/* Until a host deadline; what is left goes to `remaining` if a signal comes. */
static int64_t sleep_until(struct task *t, int64_t deadline, gva_t remaining) {
    int r;

    while ((r = task_block(t, deadline)) == 0)
        ;
    if (r == -ETIMEDOUT)
        return 0;
    if (remaining && copy_out_timespec(t, remaining, MAX(deadline - monotonic_ns(), 0)) < 0)
        return -EFAULT;
    t->restart = (struct restart_block){.fn = sleep_again};
    t->restart.arg[SLEEP_DEADLINE] = (uint64_t)deadline;
    t->restart.arg[SLEEP_REMAINING] = remaining;
    return -ERESTART_RESTARTBLOCK;
}

static int64_t sleep_again(struct task *t, struct restart_block *b) {
    return sleep_until(t, (int64_t)b->arg[SLEEP_DEADLINE], b->arg[SLEEP_REMAINING]);
}

int64_t sys_nanosleep(struct task *t, const struct syscall_args *a) {
    int64_t ns;

    int r = copy_in_timespec(t, a->arg[0], &ns);
    return r < 0 ? r : sleep_until(t, clock_add(monotonic_ns(), ns), a->arg[1]);
}

/* A cpu clock: sleeps as long as the time could last at least, and looks again. */
static int64_t sleep_cpu(struct task *t, int clock, int64_t when) {
    for (;;) {
        int64_t now;
        int r = clock_read(t, clock, &now);
        if (r < 0)
            return r;
        if (now >= when)
            return 0;
        r = task_block(t, clock_add(monotonic_ns(), when - now));
        if (r < 0 && r != -ETIMEDOUT)
            return -ERESTARTNOHAND;
    }
}

int64_t sys_clock_nanosleep(struct task *t, const struct syscall_args *a) {
    int clock = (int)a->arg[0];
    bool absolute = a->arg[1] & LINUX_TIMER_ABSTIME;
    int64_t ns, now;

    int r = clock_read(t, clock, &now);
    if (r < 0)
        return r;
    if (clock == LINUX_CLOCK_THREAD_CPUTIME_ID)
        return -EINVAL;
    if (clock == LINUX_CLOCK_MONOTONIC_RAW || clock == LINUX_CLOCK_REALTIME_COARSE ||
        clock == LINUX_CLOCK_MONOTONIC_COARSE)
        return -EOPNOTSUPP;
    r = copy_in_timespec(t, a->arg[2], &ns);
    if (r < 0)
        return r;
    if (clock_is_cpu(clock))
        return sleep_cpu(t, clock, absolute ? ns : clock_add(now, ns));
    if (!absolute)
        return sleep_until(t, clock_add(monotonic_ns(), ns), a->arg[3]);
    int64_t deadline = clock_deadline(t->kernel, clock, clock_to_kernel(t, clock, ns));
    while ((r = task_block(t, deadline)) == 0)
        ;
    return r == -ETIMEDOUT ? 0 : -ERESTARTNOHAND; /* restarted with the same absolute time */
}

/* ---- interval timers ---- */

static int64_t usec_of(const struct linux_timeval *tv) {
    return tv->sec > INT64_MAX / NSEC_PER_SEC / 2 ? INT64_MAX / 2
                                                  : tv->sec * NSEC_PER_SEC + tv->usec * NSEC_PER_USEC;
}

static struct linux_itimerval itimerval_of(const struct itimer_value *v) {
    return (struct linux_itimerval){
        .interval = {v->interval / NSEC_PER_SEC, v->interval % NSEC_PER_SEC / NSEC_PER_USEC},
        .value = {v->value / NSEC_PER_SEC, v->value % NSEC_PER_SEC / NSEC_PER_USEC},
    };
}

int64_t sys_getitimer(struct task *t, const struct syscall_args *a) {
    struct itimer_value now;

    int r = itimer_set(t, (int)a->arg[0], NULL, &now);
    struct linux_itimerval out = itimerval_of(&now);
    return r < 0 ? r : copy_out(t, a->arg[1], &out, sizeof out);
}

static bool timeval_ok(const struct linux_timeval *tv) {
    return tv->sec >= 0 && tv->usec >= 0 && tv->usec < 1000000;
}

int64_t sys_setitimer(struct task *t, const struct syscall_args *a) {
    struct linux_itimerval in = {0}, out;
    struct itimer_value set, old;

    if (a->arg[1] && copy_in(t, &in, a->arg[1], sizeof in) < 0)
        return -EFAULT;
    if (!timeval_ok(&in.value) || !timeval_ok(&in.interval))
        return -EINVAL;
    set = (struct itimer_value){usec_of(&in.value), usec_of(&in.interval)};
    int r = itimer_set(t, (int)a->arg[0], &set, &old);
    if (r < 0 || !a->arg[2])
        return r;
    out = itimerval_of(&old);
    return copy_out(t, a->arg[2], &out, sizeof out);
}

int64_t sys_alarm(struct task *t, const struct syscall_args *a) {
    struct itimer_value set = {.value = (int64_t)(uint32_t)a->arg[0] * NSEC_PER_SEC}, old;

    int r = itimer_set(t, LINUX_ITIMER_REAL, &set, &old);
    if (r < 0)
        return r;
    /* rounded, but an alarm that is set is never 0: alarm(2) */
    return old.value == 0 ? 0 : MAX((old.value + NSEC_PER_SEC / 2) / NSEC_PER_SEC, 1);
}

/* ---- POSIX timers ---- */

int64_t sys_timer_create(struct task *t, const struct syscall_args *a) {
    struct linux_sigevent event;
    int id;

    if (a->arg[1] && copy_in(t, &event, a->arg[1], sizeof event) < 0)
        return -EFAULT;
    int r = posix_timer_create(t, (int)a->arg[0], a->arg[1] ? &event : NULL, &id);
    if (r == 0 && copy_out(t, a->arg[2], &id, sizeof id) < 0) {
        (void)!posix_timer_delete(t, id);
        r = -EFAULT;
    }
    return r;
}

static struct linux_itimerspec itimerspec_of(const struct itimer_value *v) {
    return (struct linux_itimerspec){.interval = timespec_of(v->interval), .value = timespec_of(v->value)};
}

int64_t sys_timer_settime(struct task *t, const struct syscall_args *a) {
    struct linux_itimerspec in, out;
    struct itimer_value set, old;

    if (!a->arg[2])
        return -EINVAL;
    if (copy_in(t, &in, a->arg[2], sizeof in) < 0)
        return -EFAULT;
    if (!timespec_to_ns(&in.value, &set.value) || !timespec_to_ns(&in.interval, &set.interval))
        return -EINVAL;
    int r = posix_timer_set(t, (int)a->arg[0], (int)a->arg[1], &set, &old);
    if (r < 0 || !a->arg[3])
        return r;
    out = itimerspec_of(&old);
    return copy_out(t, a->arg[3], &out, sizeof out);
}

int64_t sys_timer_gettime(struct task *t, const struct syscall_args *a) {
    struct itimer_value now;

    int r = posix_timer_get(t, (int)a->arg[0], &now);
    if (r < 0)
        return r;
    struct linux_itimerspec out = itimerspec_of(&now);
    return copy_out(t, a->arg[1], &out, sizeof out);
}

int64_t sys_timer_getoverrun(struct task *t, const struct syscall_args *a) {
    return posix_timer_overrun(t, (int)a->arg[0]);
}

int64_t sys_timer_delete(struct task *t, const struct syscall_args *a) {
    return posix_timer_delete(t, (int)a->arg[0]);
}

/* ---- usage ---- */

int64_t sys_times(struct task *t, const struct syscall_args *a) {
    struct linux_tms tms;

    usage_times(t, &tms);
    if (a->arg[0] && copy_out(t, a->arg[0], &tms, sizeof tms) < 0)
        return -EFAULT;
    return clock_guest_monotonic(t->kernel) / (NSEC_PER_SEC / LINUX_USER_HZ);
}

int64_t sys_getrusage(struct task *t, const struct syscall_args *a) {
    struct linux_rusage usage;

    int r = usage_get(t, (int)a->arg[0], &usage);
    return r < 0 ? r : copy_out(t, a->arg[1], &usage, sizeof usage);
}
