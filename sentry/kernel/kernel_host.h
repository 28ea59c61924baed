/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/kernel_host.h: the host calls of sentry/kernel (STYLE 4: host access only in *_host.c):
 * futexes, threads, random numbers, facts.
 */
#pragma once

#include "base/compiler.h"

/* Sleeps while *word == value, until `deadline` (monotonic ns, CLOCK_NEVER: none). Returns for whatever
 * reason; the caller looks again. */
void host_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline);
void host_futex_wake(_Atomic uint32_t *word, int count);

/* Runs fn(arg) on a host thread from a small cache of idle ones. 0, -EAGAIN, -ENOMEM. */
int host_thread_run(void (*fn)(void *), void *arg) must_check;
/* Ends the idle threads and waits for all to be gone; for kernel_destroy(). */
void host_threads_drain(void);

int host_random(void *to, size_t size) must_check; /* getrandom(2): 0 or -errno */
unsigned host_cpu_count(void);                     /* of this process's affinity mask */
unsigned host_highest_cpu(void);                   /* number of the last cpu in it; UINT32_MAX: unknown */
unsigned host_current_cpu(void);
uint64_t host_total_memory(void);
uint64_t host_free_memory(void);
void host_load_average(uint64_t loads[3]); /* times 65536, as sysinfo(2) */
void host_yield(void);
void host_memory_barrier(void); /* membarrier(2) of this process where there is one */
