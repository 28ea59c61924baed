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
void usage_times(struct task *t, struct linux_tms *ret);
