/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/control_group_internal.h: what control_group.c and control_group_move.c share. taskset_lock
 * held.
 */
#pragma once

#include "sentry/kernel/control_group.h"

/* A process enters: `live` tasks that run, `all` with zombies. */
void cgroup_put_group_locked(struct thread_group *g, struct cgroup *c, unsigned live, unsigned all);
/* ... and leaves: the reference of its group goes to the caller. */
struct cgroup *cgroup_take_group_locked(struct thread_group *g, unsigned live, unsigned all);
