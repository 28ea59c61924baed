/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_util.h: decoding that several families of calls share.
 */
#pragma once

#include "base/abi/linux/time.h"
#include "base/clock.h"
#include "base/compiler.h"

struct pid;
struct task;

/* kill(2) of a process group: -ESRCH, -EPERM if none could be told. In sys_signal.c. OWN THREAD. */
int kill_pgrp(struct task *t, struct pid *pgrp, int signo);
/* struct timespec at `at`: 0 and ns (cut at the top), -EFAULT, -EINVAL (negative or not normal). */
int copy_in_timespec(struct task *t, gva_t at, int64_t *ret_ns) must_check;
/* A relative timeout: the host's monotonic deadline. A zero `at`: CLOCK_NEVER. */
int copy_in_timeout(struct task *t, gva_t at, int64_t *ret_deadline) must_check;
/* A structure that grows from version to version: `usize` bytes at `from` into `to` of `size` bytes, the rest
 * zero; at least `min` bytes. -EINVAL (shorter), -E2BIG (over a page, or nonzero bytes that are not known),
 * -EFAULT. */
int copy_in_struct(struct task *t, void *to, size_t size, gva_t from, uint64_t usize, size_t min) must_check;
int copy_out_timespec(struct task *t, gva_t at, int64_t ns) must_check;
static inline struct linux_timespec timespec_of(int64_t ns) {
    return (struct linux_timespec){ns / NSEC_PER_SEC, ns % NSEC_PER_SEC};
}
/* ns of sec and nsec, both checked: false if invalid. */
static inline bool timespec_to_ns(const struct linux_timespec *ts, int64_t *ret) {
    if (ts->sec < 0 || ts->nsec < 0 || ts->nsec >= NSEC_PER_SEC)
        return false;
    *ret = ts->sec >= INT64_MAX / NSEC_PER_SEC ? CLOCK_NEVER - 1 : ts->sec * NSEC_PER_SEC + ts->nsec;
    return true;
}
