/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/task_internal.h: what the files of this folder share about tasks and signals.
 */
#pragma once

#include "sentry/kernel/process.h"

/* Replaces the context (the old one ends; OWN THREAD). */
void task_install_context(struct task *t, struct context *c);

/* cpu_time.c. OWN THREAD. A stretch in the guest, or since t->sentry_entered in the sentry, is over. */
void cpu_time_left_guest(struct task *t, int64_t wall_ns);
void cpu_time_left_sentry(struct task *t, int64_t now);
int64_t cpu_time_of_call(struct task *t);    /* system time since then, in ns, not yet counted */
void cpu_time_new_thread(struct task *t);    /* the host counts for another guest thread */
void cpu_time_thread_starts(struct task *t); /* by its own host thread, which may have served another task */
void task_drop_context(struct task *t);

/* container.c: a host thread counts as active between these, except while parked, so that a pause knows when
   all is quiet. enter waits while the container is paused. */
void container_task_enter(struct container *c);
void container_task_leave(struct container *c);
/* A process that came from outside has ended; its files are closed. No locks held. */
void container_process_ended(struct container *c, uint64_t cookie, int wait_status);
/* A task was released: whoever waits for the last one looks again. */
void container_changed(struct container *c);

/* signal.c; signal_lock held unless said otherwise. */
void signal_wake_one_locked(struct task *t, int signo); /* a signal was queued for t */
void signal_retarget_locked(struct task *t,
                            sigset_word set); /* t no longer takes these: others of its group should */
bool signal_ignored_locked(struct task *t, int signo, bool force);
/* Counts t off a group stop that is under way. True: that completed it, the caller reports CLD_STOPPED
 * without the lock. */
bool signal_stop_counted_off_locked(struct task *t);
/* The signal was queued by this timer and is being taken: fills si_overrun and re-arms. */
void posix_timer_delivered_locked(struct posix_timer *timer, struct linux_siginfo *info);
void itimer_real_delivered_locked(struct thread_group *g);
/* Queues a timer's own entry, which is on no queue; dropped if ignored. */
void signal_send_timer_locked(struct task *t, struct sigqueue *q, enum signal_target target);
