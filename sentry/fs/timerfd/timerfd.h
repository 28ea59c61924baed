/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/timerfd/timerfd.h: timers as files. Source: timerfd_create(2).
 */
#pragma once

#include "base/compiler.h"
#include "sentry/kernel/itimer.h"

struct file;
struct task;

/* flags: LINUX_TFD_NONBLOCK. -EINVAL (clock), -EPERM (alarm clocks), -ENOMEM; new reference. */
int timerfd_new(struct task *t, int clock, uint32_t flags, struct file **ret) must_check;
/* -EINVAL: not a timerfd. flags: LINUX_TFD_TIMER_*. */
int timerfd_set(struct file *f, struct task *t, uint32_t flags, const struct itimer_value *set,
                struct itimer_value *ret_old) must_check;
int timerfd_get(struct file *f, struct itimer_value *ret) must_check;
