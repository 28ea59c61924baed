/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ptrace.h: tracing of guest tasks by guest tasks. Source: ptrace(2).
 *
 * A tracee stops on its own thread, in ptrace_stop(): it saves its FPU state, tells its tracer (SIGCHLD,
 * wait) and sleeps until the tracer resumes it, lets go of it, or it is killed. While `stopped` is set the
 * tracer reads and writes its registers, FPU copy and signal information under the tracee's signal_lock; the
 * tracee takes that lock to go on, so a kill never races with a request. Locks: taskset_lock: who traces
 * whom, the lists; with the tracee's signal_lock inside also `on`. The tracee's signal_lock: all the rest. A
 * tracer's end detaches its tracees before it is a zombie, so `tracer` needs no reference.
 */
#pragma once

#include "base/abi/linux/ptrace.h"
#include "base/abi/linux/signal.h"
#include "base/compiler.h"
#include "base/list.h"
#include "platform/platform.h"

struct creds;
struct task;
struct user_ns;

/* What is to be done around a task's system calls: bits of task.syscall_work. 0 is the fast path. */
enum syscall_work {
    SYSCALL_WORK_SECCOMP = 1,
    SYSCALL_WORK_TRACE = 2,  /* PTRACE_SYSCALL */
    SYSCALL_WORK_EMU = 4,    /* PTRACE_SYSEMU */
    SYSCALL_WORK_STEP = 8,   /* single step: a call's end is a step's end */
    SYSCALL_WORK_WATCH = 16, /* debug registers: calls change memory too */
};

struct task_trace {
    /* taskset_lock */
    struct task *tracer;        /* borrowed; NULL: not traced */
    struct list tracees, node;  /* those that it traces; node in tracer's list */
    struct creds *tracer_creds; /* reference: the tracer's when it attached, for execve and options */

    /* signal_lock of the tracee's group; what is atomic its own thread reads without */
    _Atomic bool on;
    bool seized;
    _Atomic uint32_t options;    /* LINUX_PTRACE_O_* */
    bool stopped;                /* in ptrace_stop() */
    bool listening;              /* ... by PTRACE_LISTEN: no request but INTERRUPT */
    bool exit_stop;              /* ... the PTRACE_EVENT_EXIT one: a kill does not break it */
    bool trap_stop, trap_notify; /* wanted: a stop; a stop that tells of a change of the group stop */
    bool group_stopped;          /* the current stop takes part in a group stop */
    int stop_code;               /* what wait shows, signal | event << 8; 0 once it was waited for */
    int resume_signal;           /* what the tracer injects */
    bool has_info;               /* PTRACE_GETSIGINFO gives something */
    struct linux_siginfo info;
    uint64_t message;  /* PTRACE_GETEVENTMSG */
    uint8_t call_op;   /* LINUX_PTRACE_SYSCALL_INFO_* of the current stop */
    _Atomic bool step; /* PTRACE_SINGLESTEP and its like */
    bool fpu_dirty;
    void *fpu;             /* heap bytes of the platform's fpu_size, or NULL; valid while stopped */
    uint64_t debugreg[8];  /* ptrace_debug.c: guest's DR0-3, 6, 7 */
    _Atomic bool watching; /* one is enabled: the task runs by steps */
    bool watch_is_fresh;   /* own thread, as the next: `watched` holds what is there now */
    uint64_t watched[4];
};

void ptrace_init(struct task *t);

/* ---- the tracer's side: OWN THREAD of t ---- */

int ptrace_traceme(struct task *t) must_check;
/* PTRACE_ATTACH, or PTRACE_SEIZE with options. Waits for a tracee in a group stop to become traced. */
int ptrace_attach(struct task *t, struct task *target, bool seize, uint64_t options) must_check;
int ptrace_check_options(struct task *t, uint64_t options) must_check;
/* 0 if t traces target and it is stopped for requests, else -ESRCH; with `any`, in whatever state. */
int ptrace_check_attached(struct task *t, struct task *target, bool any) must_check;
/* PTRACE_CONT, SYSCALL, SYSEMU, SINGLESTEP...: `work` the bits of syscall_work, step. -EIO for a bad signal.
 */
int ptrace_resume(struct task *t, struct task *target, uint32_t work, bool step, uint64_t signo) must_check;
int ptrace_detach(struct task *t, struct task *target, uint64_t signo) must_check;
int ptrace_interrupt(struct task *t, struct task *target) must_check;
int ptrace_listen(struct task *t, struct task *target) must_check;
/* The tracer ends. No locks held. */
void ptrace_tracer_ends(struct task *t);
/* Takes a dead tracee from its tracer, when its status was taken; taskset_lock held. */
void ptrace_unlink_locked(struct task *target);

/* ---- the tracee's side: OWN THREAD, no locks held, unless said otherwise; may block ---- */

static inline bool ptrace_is_seized(const struct task_trace *tr) {
    return tr->on && tr->seized;
}
/* May the tracer let it gain privileges by execve? */
bool ptrace_tracer_is_capable(struct task *t, struct user_ns *ns);
bool ptrace_wants_event(struct task *t, int event);
/* A PTRACE_EVENT_* stop, if wanted. */
void ptrace_event(struct task *t, int event, uint64_t message);
/* The same with the number that `pid` has for the tracer. */
struct pid;
void ptrace_event_pid(struct task *t, int event, struct pid *pid);
/* Around a system call with SYSCALL_WORK_TRACE, EMU or STEP. enter: false: the call is not to be served. */
bool ptrace_syscall_enter(struct task *t);
void ptrace_syscall_leave(struct task *t);
/* execve is done: event or SIGTRAP. */
void ptrace_exec_done(struct task *t, int old_tid_of_tracer);
/* A signal is about to be delivered: what the tracer makes of it; 0: nothing. *info is what goes with it. */
int ptrace_signal(struct task *t, int signo, struct linux_siginfo *info);
/* A single step has ended with the set-up of a handler. */
void ptrace_notify_step(struct task *t);
/* Fills trace.fpu with what the task has now; NULL if there is none to be had. */
void ptrace_save_fpu(struct task *t);
bool ptrace_suspends_seccomp(struct task *t);
/* Is a trap (group stop, interrupt, notification) due? signal_lock held. Then ptrace_trap() without it. */
bool ptrace_trap_due_locked(struct task *t);
void ptrace_trap(struct task *t);
/* The group of t is continued or stopped anew: what a seized tracee hears of it. signal_lock held. */
void ptrace_trap_notify_locked(struct task *t);
/* What the event of this clone is, 0: none wanted. */
int ptrace_clone_event(struct task *t, uint64_t flags, int exit_signal);
/* A child of t is entered in the taskset: it is traced as t is. taskset_lock held. */
void ptrace_link_child_locked(struct task *t, struct task *child);
/* Does the tracer belong to another process than the real parent? taskset_lock held. */
bool ptrace_is_reparented_locked(struct task *t);

/* ---- registers of a stopped task (ptrace_regs.c); signal_lock held, or own thread ---- */

struct linux_user_regs;
void ptrace_get_regs(const struct guest_regs *r, struct linux_user_regs *ret);
/* Word at byte `offset` of struct user. -EIO: not a register or a value that it cannot hold. */
int ptrace_set_reg(struct task *t, size_t offset, uint64_t value) must_check;
uint64_t ptrace_get_user(struct task *t, size_t offset);
/* DR0-3, 6, 7: -EINVAL for what cannot be watched, -EIO for registers that are not there. */
int ptrace_set_debugreg(struct task *t, size_t number, uint64_t value) must_check;
/* A new program, or no tracer: nothing is watched. signal_lock held. */
void ptrace_forget_debugregs_locked(struct task *t);
/* A task that watches memory is about to run; a call may have changed what it watches. OWN THREAD. */
void ptrace_refresh_watched(struct task *t);
/* ... has made a step. True: it has met a breakpoint, and a signal says so. OWN THREAD. */
bool ptrace_watch_step(struct task *t);
/* Fills the software-reserved bytes as a debugger expects them. */
void ptrace_fix_xsave(void *fpu, size_t size);
