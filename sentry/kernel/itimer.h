/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/itimer.h: timers of a process: setitimer(2), timer_create(2), RLIMIT_CPU.
 *
 * Timers on cpu time have no periodic tick: a ktimer is set for the earliest moment at which the time could
 * be used up, looks, and is set again. While no task of the process runs nothing is set; the first that wakes
 * up sets it (cpu_timers_parked).
 */
#pragma once

#include "base/abi/linux/signal.h"
#include "base/abi/linux/time.h"
#include "sentry/kernel/task.h"

void itimers_init(struct thread_group *g);
void itimers_cancel(struct thread_group *g); /* the process ends. No locks held */

struct itimer_value {
    int64_t value, interval; /* ns; value 0: off */
};
/* which: LINUX_ITIMER_*. set may be NULL; the old value in *ret_old. -EINVAL. OWN THREAD. */
int itimer_set(struct task *t, int which, const struct itimer_value *set,
               struct itimer_value *ret_old) must_check;
/* The process has used its RLIMIT_CPU, maybe: after a change of the limit. */
void cpu_limit_changed(struct thread_group *g);

/* A task of the group runs again after all had slept: timers on cpu time are set again. Any thread, no locks
 * held. */
void cpu_timers_resume(struct thread_group *g);
/* Host deadline of the earliest moment at which `left` ns of cpu time can be used up; CLOCK_NEVER: nobody
 * runs, cpu_timers_resume() comes. signal_lock held. */
int64_t cpu_deadline_locked(struct thread_group *g, int64_t left);

/* ---- POSIX timers ---- */

int posix_timer_create(struct task *t, int clock, const struct linux_sigevent *event /* NULL: SIGALRM */,
                       int *ret_id) must_check;
/* flags: LINUX_TIMER_ABSTIME. */
int posix_timer_set(struct task *t, int id, int flags, const struct itimer_value *set,
                    struct itimer_value *ret_old) must_check;
int posix_timer_get(struct task *t, int id, struct itimer_value *ret) must_check;
int posix_timer_overrun(struct task *t, int id) must_check;
int posix_timer_delete(struct task *t, int id) must_check;
void posix_timers_resume_locked(struct thread_group *g); /* those on cpu time */
void posix_timers_delete_all(struct thread_group *g);    /* execve and exit. No locks held */
