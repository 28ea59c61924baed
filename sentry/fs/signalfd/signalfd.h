/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/signalfd/signalfd.h: signals as a file. Source: signalfd(2).
 */
#pragma once

#include "sentry/kernel/signal.h"

struct file;

/* flags: LINUX_SFD_NONBLOCK. New reference; -ENOMEM. */
int signalfd_new(struct task *t, sigset_word set, uint32_t flags, struct file **ret) must_check;
/* -EINVAL: not a signalfd. */
int signalfd_set_mask(struct file *f, sigset_word set) must_check;
