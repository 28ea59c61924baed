/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/signal.h: pending signals, actions, delivery. Source: signal(7), sigaction(2),
 * rt_sigqueueinfo(2).
 *
 * Locks: thread_group.signal_lock (RANK_SIGHAND, inside RANK_TASKSET) protects all pending queues of a
 * process (shared and of each of its tasks), the blocked masks, and the exit and stop state. The table of
 * actions may be shared by several processes (CLONE_SIGHAND), so it has its own lock, sighand.lock
 * (RANK_SIGACTIONS), taken inside.
 */
#pragma once

#include "base/abi/linux/signal.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/ref.h"

struct task;
struct thread_group;
struct pid;
struct pid_ns;
struct posix_timer;
struct user_account;

typedef uint64_t sigset_word; /* bit n-1: signal n */
#define SIGBIT(n)       (1ull << ((n)-1))
#define SIG_UNBLOCKABLE (SIGBIT(LINUX_SIGKILL) | SIGBIT(LINUX_SIGSTOP))
#define SIG_STOPS                                                                                            \
    (SIGBIT(LINUX_SIGSTOP) | SIGBIT(LINUX_SIGTSTP) | SIGBIT(LINUX_SIGTTIN) | SIGBIT(LINUX_SIGTTOU))

/* Actions; shared by CLONE_SIGHAND. */
struct sighand {
    struct ref ref;
    struct mutex lock;                          /* RANK_SIGACTIONS */
    struct linux_sigaction actions[LINUX_NSIG]; /* [signo - 1]: handler, flags, restorer, mask */
};
DECLARE_REF(sighand);
struct sighand *sighand_new(void);
struct sighand *sighand_copy(struct sighand *from); /* NULL: no memory */
/* execve(2): caught signals go back to default; flags and masks are cleared. */
void sighand_reset(struct sighand *s, bool ignored_too);

/* One queued signal. */
struct sigqueue {
    struct list node;
    struct linux_siginfo info;
    struct user_account *account; /* reference: whose RLIMIT_SIGPENDING it counts against; NULL: nobody's */
    struct posix_timer *timer; /* borrowed, or NULL: an expiry of this timer; the entry belongs to it and is
                                  not freed at delivery */
};

struct sigpending {
    sigset_word set;
    struct list queue; /* of struct sigqueue */
};
void sigpending_init(struct sigpending *p);
void sigpending_flush(
    struct sigpending *p,
    sigset_word set); /* drops the signals in `set`. signal_lock held, or nobody else sees it */

struct sigaltstack {
    gva_t sp;
    uint64_t size;
    uint32_t flags; /* LINUX_SS_DISABLE, LINUX_SS_AUTODISARM */
};

enum signal_target { SIGNAL_TASK, SIGNAL_GROUP };

/* ---- sending: any thread ---- */

/* Queues `info` for the task or for its group, with Linux's rules: ignored ones are dropped (unless blocked),
   standard signals coalesce, SIGCONT and stop signals cancel each other and act at once, RLIMIT_SIGPENDING
   gives -EAGAIN for real-time signals sent by sigqueue. Wakes whoever can take it. 0 or -EAGAIN; a process
   that has ended takes none and gives 0. No lock of RANK_SIGHAND or above is held; RANK_TASKSET may be. */
int signal_send(struct task *t, const struct linux_siginfo *info, enum signal_target target);
/* The same with signal_lock of t's group held. */
int signal_send_locked(struct task *t, const struct linux_siginfo *info, enum signal_target target);
/* To every process of a process group (struct pid used as PGID): the kernel's own signals (terminal, orphaned
 * groups). */
void signal_send_pgrp(struct pid *pgrp, const struct linux_siginfo *info);
void signal_send_pgrp_locked(struct pid *pgrp, const struct linux_siginfo *info); /* taskset_lock held */
void siginfo_kernel(struct linux_siginfo *ret, int signo);                        /* SI_KERNEL */
void siginfo_user(struct linux_siginfo *ret, int signo, struct task *from,
                  struct task *to); /* SI_USER with ids as `to` sees them */
/* A fault of the task's own: cannot be blocked or ignored (then the default action is forced). OWN THREAD. */
void signal_force_fault(struct task *t, const struct linux_siginfo *info);
/* The same with the default action in any case: the process ends. */
void signal_force_fatal(struct task *t, const struct linux_siginfo *info);
void signal_force_segv(struct task *t, gva_t address, int code); /* SIGSEGV, SEGV_* */
/* May `from` signal `to` (kill(2), "permissions")? OWN THREAD of from. */
bool signal_permitted(struct task *from, struct task *to, int signo);
/* Tells `parent` that t has stopped or gone on (LINUX_CLD_*), unless it does not want to hear. taskset_lock
 * held. */
void signal_report_child_locked(struct task *t, struct task *parent, int code, int status);
/* Tells the parent of g (SIGCHLD, wait) that it has stopped or gone on. No locks held. */
void signal_report_job_control(struct thread_group *g, int code);

/* ---- the task's own side: own thread unless said otherwise ---- */

bool signal_pending(struct task *t); /* something deliverable, or a stop or exit to act on; lock free */
/* After a change of the mask. signal_lock held, any thread. */
void signal_recalc_locked(struct task *t);
/* Replaces the blocked mask (KILL and STOP are left out) and looks for what is now deliverable. */
void signal_set_mask(struct task *t, sigset_word mask);
/* For calls with a temporary mask (ppoll, sigsuspend): the old mask comes back after a handler is set up, or
 * at the end of the call. */
void signal_set_temporary_mask(struct task *t, sigset_word mask);
/* The call ends without a signal: the old mask is back at once. */
void signal_restore_temporary_mask(struct task *t);
/* Takes one pending signal out of `set` (own or shared): signo, or 0. For sigtimedwait and signalfd. */
int signal_dequeue(struct task *t, sigset_word set, struct linux_siginfo *ret);
int signal_dequeue_locked(struct task *t, sigset_word set, struct linux_siginfo *ret);
/* Pending signals that are in `set`, own and shared. Any thread. */
sigset_word signal_pending_set(struct task *t);
/* All of what is to be done before going back to the guest: stops, exit, handler frames, restarts.
   in_syscall: a call has just been served, and its result is in rax (internal restart codes included, to be
   settled here). False: the task has ended. Called by task_run only. */
bool signal_deliver(struct task *t, bool in_syscall);
/* Waits for a vfork child that is still at it, if there is one. OWN THREAD. */
void signal_await_vfork(struct task *t);
/* For /proc/PID/status. Any thread. */
struct signal_status {
    sigset_word pending, shared_pending, blocked, ignored, caught;
    unsigned queued;
    uint64_t queue_limit;
};
void signal_get_status(struct task *t, struct signal_status *ret);

/* ---- actions ---- */

/* sigaction(2) core: sets (if `set`) and returns the old one. -EINVAL for a bad number or KILL, STOP. */
int signal_action(struct task *t, int signo, const struct linux_sigaction *set,
                  struct linux_sigaction *ret_old);
/* Is `sp` on the task's alternate stack? */
bool sigaltstack_on(const struct task *t, gva_t sp);

/* sentry/arch/x86_64: frames on the guest's stack. 0 or -EFAULT (then SIGSEGV is forced). */
int arch_signal_push(struct task *t, int signo, const struct linux_sigaction *action,
                     const struct linux_siginfo *info, sigset_word mask) must_check;
int arch_signal_return(struct task *t)
    must_check; /* rt_sigreturn: registers, FPU, mask, altstack from the frame; hostile input */
