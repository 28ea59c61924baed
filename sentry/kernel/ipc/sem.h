/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ipc/sem.h: System V semaphores. Source: semget(2), semop(2), semctl(2).
 *
 * A set is an array of values and a queue of operations that wait, first come, first looked at: each change
 * of the set goes through the queue and performs what has become possible, so a woken task has only to read
 * its result. Adjustments for the end of a process (SEM_UNDO) hang on a list of the process, shared by
 * CLONE_SYSVSEM. All of it is protected by ipc_ns.lock.
 */
#pragma once

#include "base/compiler.h"
#include "sentry/kernel/ipc/ipc_ns.h"

struct sem_undo_list;

/* Each: OWN THREAD of t; the errors and their order are those of the man page. */
int64_t sem_get(struct task *t, int32_t key, int count, int flags);
/* May block until `deadline` (host's monotonic ns, CLOCK_NEVER). */
int sem_operate(struct task *t, int id, const struct linux_sembuf *ops, unsigned count,
                int64_t deadline) must_check;
/* GETVAL, GETPID, GETNCNT, GETZCNT: the value or -errno. */
int sem_get_one(struct task *t, int id, int number, int cmd) must_check;
int sem_set_one(struct task *t, int id, int number, int value) must_check;
/* GETALL and SETALL: how many there are, with rights checked; then the values (-EIDRM: gone meanwhile). */
int sem_count(struct task *t, int id, bool write) must_check;
int sem_get_all(struct task *t, int id, uint16_t *values, int count) must_check;
int sem_set_all(struct task *t, int id, const uint16_t *values, int count) must_check;

/* ---- adjustments at the end of a process: task.sysvsem ---- */

/* The list that t shares from now on with a child: new reference; -ENOMEM. OWN THREAD. */
int sem_share_undo(struct task *t, struct sem_undo_list **ret) must_check;
/* t leaves its list; the last to do so has the adjustments made. OWN THREAD, or a task that never ran. */
void sem_leave_undo(struct task *t);
