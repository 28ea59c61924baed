/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/seccomp.h: guest seccomp: filters of tasks and what they decide. Source: seccomp(2),
 * seccomp_unotify(2).
 *
 * A task's filters are a chain, newest first; tasks and newer filters hold references. A chain never changes
 * but at its head, and a new head keeps the old one, so a task may read its own `seccomp_filter` without a
 * lock although TSYNC of another thread may replace it (both under group->signal_lock).
 * A listener (seccomp_notify.c) belongs to one filter: its file and the filter hold references on it.
 * Locks: group->signal_lock for mode and filter of a task; listener.lock (RANK_EVENT) for its calls.
 */
#pragma once

#include "base/abi/linux/seccomp.h"
#include "base/ref.h"

struct file;
struct seccomp_listener;
struct task;

struct seccomp_filter {
    struct ref ref;
    struct seccomp_filter *previous;   /* reference or NULL */
    struct seccomp_listener *listener; /* reference or NULL */
    _Atomic uint32_t users;            /* tasks and filters with users that have it as their first */
    bool log, wait_killable;
    uint16_t count;                    /* instructions */
    uint32_t total;                    /* of the chain, with four more a filter: its cost against the limit */
    uint64_t always[8];                /* calls below 512 that this filter and all before it allow unseen */
    struct linux_sock_filter *program; /* heap bytes, checked */
};
DECLARE_REF(seccomp_filter);

/* SECCOMP_SET_MODE_STRICT. OWN THREAD. 0 or -EINVAL. */
int seccomp_set_strict(struct task *t) must_check;
/* SECCOMP_SET_MODE_FILTER: flags (checked) are LINUX_SECCOMP_FILTER_FLAG_*; the program is copied. OWN
   THREAD. Returns 0, the listener's descriptor, the tid of a thread that cannot follow (TSYNC), or -errno.
   May block. */
int64_t seccomp_set_filter(struct task *t, const struct linux_sock_filter *program, size_t count,
                           uint32_t flags) must_check;
/* May t install one: CAP_SYS_ADMIN or no_new_privs. OWN THREAD. */
bool seccomp_may_install(struct task *t);

/* A child of t takes over mode and filters. signal_lock of t's group held; c is not visible yet. */
void seccomp_fork_locked(struct task *t, struct task *c);
/* The task ends. OWN THREAD; no locks held. */
void seccomp_exit(struct task *t);

/* Asks the filters about the call in t->regs. True: serve the call that t->regs now hold (a tracer may have
   changed it); false: it is not to be served, and regs (or a forced signal, or the task's end) say the rest.
   Only with SYSCALL_WORK_SECCOMP set. OWN THREAD. May block (tracer, listener). */
bool seccomp_enter(struct task *t);

/* Filters in force: for /proc/PID/status. */
unsigned seccomp_filter_count(struct task *t);
/* The index-th filter, oldest first as PTRACE_SECCOMP_GET_FILTER counts: new reference or NULL. Any thread.
 */
struct seccomp_filter *seccomp_get_filter(struct task *t, uint64_t index);

/* ---- user notification (seccomp_notify.c) ---- */

/* A listener and its file (not yet installed): both new references. */
int seccomp_listener_new(struct task *t, struct seccomp_listener **ret_listener,
                         struct file **ret_file) must_check;
struct seccomp_listener *seccomp_listener_unref(struct seccomp_listener *l);
/* The filter has no users any more: the listener's file hangs up. */
void seccomp_listener_orphan(struct seccomp_listener *l);
/* The filter asks its listener. 1: go on with the call; else 0, and *ret_result is what the call gives (may
 * be -ERESTARTSYS). OWN THREAD; blocks. */
int seccomp_listener_ask(struct task *t, struct seccomp_listener *l, bool wait_killable,
                         const struct linux_seccomp_data *data, int64_t *ret_result);
