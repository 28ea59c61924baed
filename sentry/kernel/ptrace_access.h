/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ptrace_access.h: how a tracer's request gets at its tracee's state (ptrace.h is part of
 * struct task, so this is apart).
 */
#pragma once

#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/task.h"

/* True if t traces target and it is stopped for requests: it stays so, as its signal_lock is now held. OWN
 * THREAD of t. */
bool ptrace_lock_stopped(struct task *t, struct task *target) TRY_ACQUIRES(true, &target->group->signal_lock);
