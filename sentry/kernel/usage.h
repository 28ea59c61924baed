/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/usage.h: resource usage as guests see it. Source: getrusage(2), times(2), wait4(2).
 */
#pragma once

#include "base/abi/linux/resource.h"
#include "base/abi/linux/time.h"

struct task;
struct wait_result;

void usage_of_wait(const struct wait_result *w, struct linux_rusage *ret);
int usage_get(struct task *t, int who, struct linux_rusage *ret); /* -EINVAL */
/* Sums over all tasks that are and were: /proc/stat. */
struct kernel_usage {
    int64_t user_ns, system_ns;
    uint64_t switches, forks;
    unsigned tasks, running; /* that are; of them, those that do not sleep */
};
struct kernel;
void usage_of_kernel(struct kernel *k, struct kernel_usage *ret);
/* Of a process: living and dead threads, by IO_READ and IO_WRITE. /proc/PID/io. */
struct thread_group;
struct io_count;
void usage_of_io(struct thread_group *g, struct io_count *ret);
void usage_times(struct task *t, struct linux_tms *ret);
