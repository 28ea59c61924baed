/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/session.h: sessions, process groups and what terminals need of them. Source: credentials(7),
 * setpgid(2), setsid(2), tty_ioctl(4).
 *
 * Sessions and process groups are a struct pid in a role. RANK_TTY comes before RANK_TASKSET: a terminal may
 * call everything here with its lock held.
 */
#pragma once

#include "base/compiler.h"

struct kernel;
struct pid;
struct task;
struct thread_group;
struct tty;

int task_setpgid(struct task *t, int pid, int pgid) must_check; /* OWN THREAD */
int64_t task_setsid(struct task *t);                            /* OWN THREAD: the new session's number */

/* New references. */
struct pid *task_get_pgrp(struct task *t);
struct pid *task_get_session(struct task *t);
bool task_is_session_leader(struct task *t);

/* The controlling terminal of t's process: new reference or NULL; and setting it (reference taken, NULL:
 * none). */
struct tty *task_get_tty(struct task *t);
void task_set_tty(struct task *t, struct tty *tty);
/* No process of the session keeps a controlling terminal (hang-up, TIOCNOTTY of the leader, TIOCSCTTY
 * stealing). */
void session_clear_tty(struct kernel *k, struct pid *session);

/* Is there a process of the group whose parent is in another group of the same session? If not: orphaned. */
bool pgrp_is_orphaned(struct kernel *k, struct pid *pgrp);
/* Is any process in this group, and is it in that session (TIOCSPGRP)? */
bool pgrp_in_session(struct kernel *k, struct pid *pgrp, struct pid *session);
/* The process group or session of that number as t sees it: new reference or NULL. */
struct pid *task_find_pid(struct task *t, int number);

/* taskset_lock held: g ends (leaving), or has lost `parent` as its parent: if that orphans its group while a
 * member is stopped: SIGHUP, SIGCONT to all of it. */
void pgrp_check_orphaned_locked(struct thread_group *g, struct thread_group *parent, bool leaving);

/* Implemented by sentry/fs/devpts. A session leader with this terminal has ended: SIGHUP and SIGCONT to the
   foreground group, the session loses the terminal. Borrows. No locks held. */
void tty_session_ended(struct tty *tty, struct pid *session);
/* t, which leads its session and has no terminal, gets this one if no other session has it. */
void tty_maybe_become_controlling(struct tty *tty, struct task *t);
struct tty *tty_ref(struct tty *tty);
struct tty *tty_unref(struct tty *tty);
