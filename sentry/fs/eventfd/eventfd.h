/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/eventfd/eventfd.h: event counters as files. Source: eventfd(2).
 */
#pragma once

#include "base/compiler.h"

struct file;
struct task;

/* flags: LINUX_EFD_*. */
bool is_eventfd(const struct file *f);
int eventfd_create(struct task *t, uint32_t count, uint32_t flags, struct file **ret) must_check;
