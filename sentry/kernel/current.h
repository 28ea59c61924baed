/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/current.h: the task whose own thread this is.
 */
#pragma once

struct task;

/* NULL on threads that are not a task's. Borrowed: good until the task's thread ends. */
struct task *task_current(void);
