/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/signal.h: pending signals, actions, delivery. Source: signal(7), sigaction(2), rt_sigqueueinfo(2).
 *
 * Locks: everything in struct sighand and all pending queues of a thread group (shared and of each of its tasks) are protected by
 * sighand->lock (RANK_SIGHAND), taken inside RANK_TASKSET.
 */
#pragma once

#include "base/abi/linux/signal.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "sentry/kernel/waitq.h"

struct task;
struct thread_group;
struct pid;
struct guest_regs;

typedef uint64_t sigset_word; /* bit n-1: signal n */
#define SIGBIT(n) (1ull << ((n) - 1))
#define SIG_UNBLOCKABLE (SIGBIT(LINUX_SIGKILL) | SIGBIT(LINUX_SIGSTOP))

/* Actions; shared by CLONE_SIGHAND. */
struct sighand {
    struct ref ref;
    struct mutex lock; /* RANK_SIGHAND */
    struct linux_sigaction actions[LINUX_NSIG]; /* [signo - 1]: handler, flags, restorer, mask */
    struct waitq signalfd_queue; /* woken when a signal is queued: signalfd's poll and read */
};
DECLARE_REF(sighand);

/* One queued signal. */
struct sigqueue {
    struct list node;
    struct linux_siginfo info;
    struct posix_timer *timer; /* borrowed: si_overrun is filled at delivery; NULL otherwise */
};

struct sigpending {
    sigset_word set;
    struct list queue; /* of struct sigqueue */
};

struct sigaltstack {
    gva_t sp;
    uint64_t size;
    uint32_t flags; /* LINUX_SS_* */
};

enum signal_target { SIGNAL_TASK, SIGNAL_GROUP };

/* ---- sending: any thread; taskset lock not held unless _locked ---- */

/* Queues `info` for the task or for its group, with Linux's rules: ignored ones are dropped (unless blocked or traced), standard signals coalesce, SIGCONT/stop signals
   cancel each other and act at once, RLIMIT_SIGPENDING gives -EAGAIN for rt signals sent by sigqueue. Wakes whoever can take it. 0 or -EAGAIN. */
int signal_send(struct task *t, const struct linux_siginfo *info, enum signal_target target);
/* The same with SIGHAND of the target held. */
int signal_send_locked(struct task *t, const struct linux_siginfo *info, enum signal_target target);
/* To every process of a process group (struct pid used as PGID): the kernel's own signals (terminal, orphaned groups). */
void signal_send_pgrp(struct pid *pgrp, const struct linux_siginfo *info);
void siginfo_kernel(struct linux_siginfo *ret, int signo);                       /* SI_KERNEL */
void siginfo_user(struct linux_siginfo *ret, int signo, struct task *from, struct task *to); /* SI_USER with ids as `to` sees them */
/* A fault of the task's own: cannot be blocked or ignored (then the default action is forced). */
void signal_force_fault(struct task *t, const struct linux_siginfo *info);
/* May `from` signal `to` (kill(2), "permissions")? */
bool signal_permitted(struct task *from, struct task *to, int signo);

/* ---- the task's own side: own thread ---- */

bool signal_pending(struct task *t);    /* something deliverable, or a stop or exit to act on; lock free */
void signal_recalc_pending(struct task *t); /* after a change of the mask; takes the lock */
/* Replaces the blocked mask (KILL and STOP are left out) and looks for what is now deliverable. */
void signal_set_mask(struct task *t, sigset_word mask);
/* For calls with a temporary mask (ppoll, sigsuspend): the old mask comes back after a handler is set up, or at the end of the call. */
void signal_set_temporary_mask(struct task *t, sigset_word mask);
void signal_restore_temporary_mask(struct task *t);
/* Takes one pending signal out of `set` (own or shared): signo, or 0. For sigtimedwait and signalfd. */
int signal_dequeue(struct task *t, sigset_word set, struct linux_siginfo *ret);
/* All of what is to be done before going back to the guest; `result` is the system call's (internal restart codes), or 0 with in_syscall false.
   Sets up handler frames, restarts, stops, or ends the task (then returns false). Called by task_run only. */
bool signal_deliver(struct task *t, bool in_syscall, int64_t result);

/* sentry/arch/x86_64: frames on the guest's stack. 0 or -EFAULT (then SIGSEGV is forced). */
int arch_signal_push(struct task *t, const struct linux_sigaction *action, const struct linux_siginfo *info, sigset_word mask);
int arch_signal_return(struct task *t); /* rt_sigreturn: registers, FPU, mask, altstack from the frame; hostile input */
