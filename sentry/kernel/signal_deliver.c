/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/signal_deliver.c: what a task does before it goes back to the guest: the wait for a vfork
 * child, pauses, stops, the end of the process, handler frames, and the restart of interrupted calls. Source:
 * signal(7), "Interruption of system calls and library functions by signal handlers"; wait(2); setpgid(2)
 * (orphaned groups).
 */
#include <errno.h>

#include "base/abi/linux/unistd.h"
#include "base/log.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/core_dump.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/session.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/uaccess.h"

#define SIG_DEFAULT_IGNORED                                                                                  \
    (SIGBIT(LINUX_SIGCHLD) | SIGBIT(LINUX_SIGCONT) | SIGBIT(LINUX_SIGURG) | SIGBIT(LINUX_SIGWINCH))

/* ---- stop and continue ---- */

static uint32_t parent_uid_view(struct task *child, struct task *parent) {
    cleanup(creds_unrefp) struct creds *pc = task_get_creds(parent), *cc = task_get_creds(child);
    return from_kuid(pc->user_ns, cc->uid);
}

void signal_report_child_locked(struct task *t, struct task *parent, int code, int status) {
    struct thread_group *pg = parent->group;
    struct cpu_times cpu = thread_group_cpu(t->group);
    struct linux_siginfo info = {.signo = LINUX_SIGCHLD, .code = code};

    info.chld.pid = task_tid_in(t, task_pid_ns(parent));
    info.chld.uid = parent_uid_view(t, parent);
    info.chld.status = status;
    info.chld.utime = cpu.user_ns / (NSEC_PER_SEC / 100);
    info.chld.stime = cpu.system_ns / (NSEC_PER_SEC / 100);
    mutex_lock(&pg->signal_lock);
    mutex_lock(&pg->sighand->lock);
    struct linux_sigaction a = pg->sighand->actions[LINUX_SIGCHLD - 1];
    mutex_unlock(&pg->sighand->lock);
    if (a.handler != LINUX_SIG_IGN && !(a.flags & LINUX_SA_NOCLDSTOP))
        (void)signal_send_locked(parent, &info, SIGNAL_GROUP);
    mutex_unlock(&pg->signal_lock);
    waitq_wake(&pg->wait_queue, WAIT_ANY);
}

void signal_report_job_control(struct thread_group *g, int code) {
    struct kernel *k = g->kernel;

    mutex_lock(&k->taskset_lock);
    struct task *leader = g->leader, *parent = leader ? leader->parent : NULL;
    if (parent)
        signal_report_child_locked(leader, parent, code,
                                   code == LINUX_CLD_STOPPED ? g->last_stop_signal : LINUX_SIGCONT);
    mutex_unlock(&k->taskset_lock);
}

/* Every task of the group that is not asleep in a group stop already (only tracees are not, once there was
 * one) is to stop. */
static void start_stop_locked(struct task *t, int signo) {
    struct thread_group *g = t->group;
    bool first = !g->stop_signal;
    struct task *other;

    if (!g->stopped)
        g->stop_signal = g->last_stop_signal = signo;
    list_for_each_entry(other, &g->tasks, group_node) {
        if (other->exiting || other->stop_counted || (!first && !other->trace.on))
            continue;
        other->stop_counted = true;
        g->stop_pending_count++;
        task_interrupt(other, TASK_WORK_STOP);
        if (other == t)
            continue;
        ptrace_trap_notify_locked(other);
    }
}

bool signal_stop_counted_off_locked(struct task *t) {
    struct thread_group *g = t->group;

    if (!t->stop_counted)
        return false;
    t->stop_counted = false;
    ASSERT(g->stop_pending_count > 0);
    if (--g->stop_pending_count > 0 || g->stopped)
        return false;
    g->stopped = true;
    g->wait_report = LINUX_CLD_STOPPED;
    return true;
}

/* Stops until SIGCONT, the end of the task, or (then to come back here) a pause. signal_lock is dropped. A
   SIGCONT and a new stop may both come before this task has woken: it counts itself off for the new one as
   well. `g` is the task's group. */
static void stop_and_unlock(struct task *t, struct thread_group *g) RELEASES(g->signal_lock) {
    while (g->stop_signal && !t->trace.on) {
        atomic_fetch_and(&t->pending_work, ~(uint32_t)TASK_WORK_STOP);
        bool report = signal_stop_counted_off_locked(t);
        atomic_store(&t->state, TASK_STOPPED); /* before the parent hears of it, and looks */
        mutex_unlock(&g->signal_lock);
        if (report)
            signal_report_job_control(g, LINUX_CLD_STOPPED);
        if (atomic_load(&t->pending_work) & (TASK_WORK_EXIT | TASK_WORK_PAUSE)) {
            atomic_store(&t->state, TASK_RUNNING);
            atomic_fetch_or(&t->pending_work, TASK_WORK_STOP);
            return;
        }
        task_block_stopped(t);
        mutex_lock(&g->signal_lock);
    }
    mutex_unlock(&g->signal_lock);
}

/* The default action of a stop signal. signal_lock is held, and dropped. */
static void stop_signal_and_unlock(struct task *t, struct thread_group *g, int signo)
    RELEASES(g->signal_lock) {
    unsigned seen = g->continue_count;

    if (signo !=
        LINUX_SIGSTOP) { /* terminal stops do nothing to an orphaned group; asking takes an outer lock */
        mutex_unlock(&g->signal_lock);
        mutex_lock(&t->kernel->taskset_lock);
        struct pid *pgrp = pid_ref(g->pgrp);
        mutex_unlock(&t->kernel->taskset_lock);
        bool orphaned = pgrp_is_orphaned(t->kernel, pgrp);
        pid_unref(pgrp);
        if (orphaned)
            return;
        mutex_lock(&g->signal_lock);
    }
    if (g->exiting || g->exec_task || seen != g->continue_count) {
        mutex_unlock(&g->signal_lock);
        return;
    }
    if (!g->stop_signal || (t->trace.on && !t->stop_counted))
        start_stop_locked(t, signo);
    stop_and_unlock(t, g);
}

/* ---- the next thing to do ---- */

enum next { NEXT_NOTHING, NEXT_HANDLER, NEXT_END };

struct delivery {
    int signo;
    struct linux_siginfo info;
    struct linux_sigaction action;
};

static struct linux_sigaction take_action_locked(struct thread_group *g, int signo) {
    mutex_lock(&g->sighand->lock);
    struct linux_sigaction *a = &g->sighand->actions[signo - 1], copy = *a;
    if (a->handler > LINUX_SIG_IGN && (a->flags & LINUX_SA_RESETHAND))
        a->handler = LINUX_SIG_DFL;
    mutex_unlock(&g->sighand->lock);
    return copy;
}

/* Takes one signal and does its default action; NEXT_HANDLER if the guest handles it. *ret_again: look again.
 */
/* A default action that ends the process: the core file first, while all is still there. */
static void end_process(struct task *t, const struct delivery *d) {
    log_info(LOG_SIGNAL, "pid %d is killed by signal %d code %d", task_tgid(t), d->signo, d->info.code);
    if (SIGBIT(d->signo) & SIG_CORE)
        core_dump_and_exit(t, &d->info);
    else
        thread_group_exit(t->group, status_killed(d->signo));
}

/* The tracer has its say. False: nothing is left to deliver. */
static bool traced_signal(struct task *t, struct delivery *d) {
    if (!t->trace.on || d->signo == LINUX_SIGKILL)
        return true;
    d->signo = ptrace_signal(t, d->signo, &d->info);
    return d->signo != 0;
}

static enum next take_one(struct task *t, struct delivery *d, bool *ret_again) {
    struct thread_group *g = t->group;

    mutex_lock(&g->signal_lock);
    *ret_again = true;
    if (g->notify_code && !g->exiting) {
        int code = g->notify_code;
        g->notify_code = 0;
        mutex_unlock(&g->signal_lock);
        signal_report_job_control(g, code);
        return NEXT_NOTHING;
    }
    if (unlikely(ptrace_trap_due_locked(t))) {
        mutex_unlock(&g->signal_lock);
        ptrace_trap(t);
        return NEXT_NOTHING;
    }
    if (g->stop_signal && !t->trace.on) {
        stop_and_unlock(t, g);
        return NEXT_NOTHING;
    }
    d->signo = signal_dequeue_locked(t, ~t->blocked, &d->info);
    if (d->signo == 0) {
        atomic_fetch_and(&t->pending_work, ~(uint32_t)TASK_WORK_STOP);
        signal_recalc_locked(t);
        *ret_again = false;
        mutex_unlock(&g->signal_lock);
        return NEXT_NOTHING;
    }
    mutex_unlock(&g->signal_lock);
    if (!traced_signal(t, d))
        return NEXT_NOTHING;
    mutex_lock(&g->signal_lock);
    d->action = take_action_locked(g, d->signo);
    sigset_word bit = SIGBIT(d->signo);
    if (d->action.handler > LINUX_SIG_IGN) {
        mutex_unlock(&g->signal_lock);
        return NEXT_HANDLER;
    }
    if (d->action.handler == LINUX_SIG_IGN || (bit & SIG_DEFAULT_IGNORED) ||
        (g->unkillable && !(bit & SIG_UNBLOCKABLE))) {
        mutex_unlock(&g->signal_lock);
        return NEXT_NOTHING;
    }
    if (bit & SIG_STOPS) {
        stop_signal_and_unlock(t, g, d->signo);
        return NEXT_NOTHING;
    }
    mutex_unlock(&g->signal_lock);
    end_process(t, d);
    return NEXT_NOTHING; /* the next look sees TASK_WORK_EXIT */
}

void signal_await_vfork(struct task *t) {
    struct task *child = t->vfork_child;
    struct waiter w;
    int r = 0;

    if (!child)
        return;
    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&child->vfork_queue, &w);
    while (atomic_load(&child->vfork_pending) && r == 0)
        r = task_block_killable(t, CLOCK_NEVER);
    waitq_remove(&w);
    if (r < 0)
        return;
    struct pid *pid = pid_ref(child->pid);
    t->vfork_child = task_unref(child);
    ptrace_event_pid(t, LINUX_PTRACE_EVENT_VFORK_DONE, pid);
    pid_unref(pid);
}

static enum next next_thing(struct task *t, struct delivery *d) {
    for (;;) {
        uint32_t work = atomic_load(&t->pending_work);
        bool again;
        if (work & TASK_WORK_EXIT)
            return NEXT_END;
        if (work & TASK_WORK_PAUSE) {
            task_park(t);
            continue;
        }
        if (work & TASK_WORK_FREEZE) {
            cgroup_freeze_here(t);
            continue;
        }
        if (t->vfork_child) { /* clone(2), CLONE_VFORK: signals wait as well */
            signal_await_vfork(t);
            continue;
        }
        if (!(work & (TASK_WORK_SIGNAL | TASK_WORK_STOP)))
            return NEXT_NOTHING;
        enum next n = take_one(t, d, &again);
        if (n != NEXT_NOTHING || !again)
            return n;
    }
}

/* ---- results and restarts ---- */

static bool is_restart(int64_t result) {
    return result == -ERESTARTSYS || result == -ERESTARTNOINTR || result == -ERESTARTNOHAND ||
           result == -ERESTART_RESTARTBLOCK;
}

enum { SYSCALL_INSN_BYTES = 2 };

static void restart_call(struct task *t, uint64_t number) {
    t->regs.rax = number;
    t->regs.rip -= SYSCALL_INSN_BYTES;
}

/* What an interrupted call gives when a handler is about to run. */
static void settle_for_handler(struct task *t, uint64_t sa_flags) {
    int64_t result = (int64_t)t->regs.rax;

    if (!is_restart(result) || t->regs.orig_rax == ~0ull)
        return;
    if (result == -ERESTARTNOINTR || (result == -ERESTARTSYS && (sa_flags & LINUX_SA_RESTART)))
        restart_call(t, t->regs.orig_rax);
    else
        t->regs.rax = (uint64_t)-EINTR;
}

static void settle_without_handler(struct task *t) {
    int64_t result = (int64_t)t->regs.rax;

    if (t->regs.orig_rax == ~0ull) /* a tracer that has other plans says so by this */
        return;
    if (result == -ERESTART_RESTARTBLOCK)
        restart_call(t, LINUX_SYS_restart_syscall);
    else if (is_restart(result))
        restart_call(t, t->regs.orig_rax);
}

static void setup_handler(struct task *t, struct delivery *d) {
    sigset_word old = t->has_saved_mask ? t->saved_mask : t->blocked;
    sigset_word mask = t->blocked | d->action.mask;

    t->has_saved_mask = false;
    t->restart.fn = NULL; /* a handler that never returns must not restart an older call */
    if (arch_signal_push(t, d->signo, &d->action, &d->info, old) < 0) {
        if (d->signo == LINUX_SIGSEGV) { /* no way to deliver it: default action */
            thread_group_exit(t->group, status_killed(LINUX_SIGSEGV));
            return;
        }
        signal_set_mask(t, old);
        signal_force_segv(t, 0, LINUX_SI_KERNEL);
        return;
    }
    if (!(d->action.flags & LINUX_SA_NODEFER))
        mask |= SIGBIT(d->signo);
    signal_set_mask(t, mask);
    ptrace_notify_step(t);
}

bool signal_deliver(struct task *t, bool in_syscall) {
    struct delivery d;

    if (likely(!(in_syscall && is_restart((int64_t)t->regs.rax)) && !atomic_load(&t->pending_work) &&
               !t->vfork_child && !t->has_saved_mask))
        return true;
    uaccess_settle(t, /* waits= */ false); /* signal frames, tracers and parents come next */
    for (;;) {
        enum next n = next_thing(t, &d);
        if (n == NEXT_END) {
            if (unlikely(atomic_load(&t->group->dump)))
                core_dump_await(t);
            task_exit(t, t->exit_request >= 0 ? t->exit_request : status_killed(LINUX_SIGKILL));
            return false;
        }
        if (n == NEXT_NOTHING)
            break;
        if (in_syscall)
            settle_for_handler(t, d.action.flags);
        in_syscall = false;
        setup_handler(t, &d);
    }
    if (in_syscall)
        settle_without_handler(t);
    if (t->has_saved_mask)
        signal_restore_temporary_mask(t);
    /* the old mask may have let something through: another round */
    return atomic_load(&t->pending_work) & TASK_WORK_SIGNAL ? signal_deliver(t, /* in_syscall= */ false)
                                                            : true;
}
