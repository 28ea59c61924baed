/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/clocks.h: the guest's clocks. Source: clock_getres(2), clock_nanosleep(2).
 */
#pragma once

#include "base/clock.h"
#include "base/compiler.h"

struct kernel;
struct task;
struct thread_group;

/* Time of a LINUX_CLOCK_* (the static ones, and cpu clocks of processes and threads by number) in ns: 0 or
 * -EINVAL. t: whose cpu clocks. */
int clock_read(struct task *t, int clock, int64_t *ret) must_check;
/* As clock_read(), for clock_gettime(2) made by the task. Where the host's vDSO cannot read its clock source
 * it makes the call itself, and our vDSO adds the guest's offset to what that gives: so it gets the host's
 * time. */
int clock_read_for_call(struct task *t, int clock, int64_t *ret) must_check;
bool clock_is_cpu(int clock);
bool clock_is_realtime(int clock);
/* What the kernel's own clock (that of the first time namespace) shows when the task's shows `when`: what
 * timers keep. At least 0. OWN THREAD. */
int64_t clock_to_kernel(struct task *t, int clock, int64_t when);
/* The host's monotonic deadline at which the kernel's `clock` (not a cpu clock) shows `when`. */
int64_t clock_deadline(struct kernel *k, int clock, int64_t when);
/* What clocks that run (all but cpu clocks) show at the host's monotonic time `host`. */
int64_t clock_guest_monotonic(struct kernel *k);
int64_t clock_guest_realtime(struct kernel *k);
int64_t clock_guest_boottime(struct kernel *k);
/* A cpu clock's process or thread: new reference, by CPUCLOCK number (negative clock ids) or the fixed two.
 * *ret_thread: per thread. NULL: no such. */
struct task *clock_cpu_task(struct task *t, int clock, bool *ret_thread);
