/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/control_group_internal.h: what control_group.c and control_group_move.c share. taskset_lock
 * held.
 */
#pragma once

#include "sentry/kernel/control_group.h"

/* A process enters: `live` tasks that run, `all` with zombies. */
void cgroup_put_group_locked(struct thread_group *g, struct cgroup *c, unsigned live, unsigned all);
/* The group has got a process, its first, or a limit. */
void cgroup_memory_in_use_locked(struct cgroup *c);
/* The process at position `n` (1, 2, ...) of the group and those below: new reference, or NULL at the end. */
struct task *cgroup_process_at_locked(struct cgroup *c, size_t n);
/* Of all processes in it and below. */
void cgroup_for_each_group_locked(struct cgroup *c, void (*fn)(struct thread_group *g));
/* ... and leaves: the reference of its group goes to the caller. */
struct cgroup *cgroup_take_group_locked(struct thread_group *g, unsigned live, unsigned all);
