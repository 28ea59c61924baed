/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ptrace.c: who traces whom: attaching, resuming, letting go; the tracer's side. What a tracee
 * does is in ptrace_stop.c, registers in ptrace_regs.c, the calls in sentry/syscalls/sys_ptrace.c. Source:
 * ptrace(2); the order of errors by tests/conform/ptrace.c.
 */
#include "sentry/kernel/ptrace.h"

#include <errno.h>
#include <string.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/ptrace_access.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/vfs/landlock.h"

void ptrace_init(struct task *t) {
    list_init(&t->trace.tracees);
    list_init(&t->trace.node);
}

/* ---- links ---- */

/* taskset_lock held. `creds` is taken; the ones from before come back. */
static struct creds *link_locked(struct task *tracer, struct task *target, struct creds *creds, bool seize,
                                 uint32_t options) {
    struct task_trace *tr = &target->trace;
    struct creds *old = tr->tracer_creds;

    mutex_assert_held(&target->kernel->taskset_lock);
    mutex_lock(&target->group->signal_lock);
    tr->tracer = tracer;
    tr->tracer_creds = creds;
    tr->options = options;
    tr->seized = seize;
    tr->on = true;
    list_add_tail(&tracer->trace.tracees, &tr->node);
    mutex_unlock(&target->group->signal_lock);
    return old;
}

/* tracer_creds stay until the next tracer's replace them: they are dropped with no lock held only. */
void ptrace_unlink_locked(struct task *target) {
    struct task_trace *tr = &target->trace;

    mutex_assert_held(&target->kernel->taskset_lock);
    mutex_lock(&target->group->signal_lock);
    list_del(&tr->node);
    tr->tracer = NULL;
    tr->on = false;
    tr->step = false;
    tr->seized = tr->trap_stop = tr->trap_notify = tr->listening = false;
    tr->options = 0;
    ptrace_forget_debugregs_locked(target);
    atomic_fetch_and(&target->syscall_work, SYSCALL_WORK_SECCOMP);
    if (tr->stopped) {
        tr->stopped = false;
        tr->stop_code = 0;
        task_wake(target);
    }
    if (target->group->stop_signal && !target->exiting) /* back to the group stop, as an ordinary task */
        task_interrupt(target, TASK_WORK_STOP);
    mutex_unlock(&target->group->signal_lock);
}

bool ptrace_is_reparented_locked(struct task *t) {
    struct task *leader = t->group->leader, *parent = leader ? leader->parent : NULL;

    return t->trace.tracer && (!parent || parent->group != t->trace.tracer->group);
}

/* A zombie has lost its tracer: is it to be released now? Tells the real parent what it could not see before.
 */
static bool is_finished_locked(struct task *target, struct task *tracer, bool reparented) {
    if (target != target->group->leader)
        return true;
    if (!task_reapable_locked(target))
        return false;
    if (reparented)
        return task_notify_parent_locked(target);
    mutex_lock(&tracer->group->sighand->lock);
    struct linux_sigaction a = tracer->group->sighand->actions[LINUX_SIGCHLD - 1];
    mutex_unlock(&tracer->group->sighand->lock);
    return a.handler == LINUX_SIG_IGN || (a.flags & LINUX_SA_NOCLDWAIT);
}

/* True: it was a zombie that nobody else waits for; it is released, the caller drops the taskset's reference.
 */
static bool let_go_locked(struct task *target, struct task *tracer) {
    bool reparented = ptrace_is_reparented_locked(target);

    ptrace_unlink_locked(target);
    if (atomic_load(&target->state) != TASK_ZOMBIE || !is_finished_locked(target, tracer, reparented))
        return false;
    task_release_locked(target);
    return true;
}

void ptrace_tracer_ends(struct task *t) {
    for (;;) {
        mutex_lock(&t->kernel->taskset_lock);
        bool none = list_empty(&t->trace.tracees);
        struct task *dead = NULL;
        if (!none) {
            struct task *target = list_first_entry(&t->trace.tracees, struct task, trace.node);
            if (target->trace.options & LINUX_PTRACE_O_EXITKILL) {
                struct linux_siginfo info;
                siginfo_kernel(&info, LINUX_SIGKILL);
                (void)signal_send(target, &info, SIGNAL_GROUP);
            }
            if (let_go_locked(target, t))
                dead = target;
        }
        mutex_unlock(&t->kernel->taskset_lock);
        task_unref(dead);
        if (none)
            return;
    }
}

/* ---- attaching ---- */

int ptrace_check_options(struct task *t, uint64_t options) {
    if (options & ~(uint64_t)LINUX_PTRACE_O_MASK)
        return -EINVAL;
    if (options & LINUX_PTRACE_O_SUSPEND_SECCOMP) {
        if (!task_capable_in(t, t->kernel->root_user_ns, LINUX_CAP_SYS_ADMIN))
            return -EPERM;
        if (t->seccomp_mode != 0 || (t->trace.options & LINUX_PTRACE_O_SUSPEND_SECCOMP))
            return -EPERM;
    }
    return 0;
}

int ptrace_traceme(struct task *t) {
    struct task *parent = task_get_parent(t);
    struct creds *creds = parent ? task_get_creds(parent) : NULL, *old = creds;
    bool may = !creds || landlock_contains(creds->landlock, t->creds->landlock);
    int r = -EPERM;

    mutex_lock(&t->kernel->taskset_lock);
    if (!t->trace.on && may) {
        r = 0;
        struct task *now = t->group->leader->parent;
        if (parent && now == parent && !parent->exiting)
            old = link_locked(parent, t, creds, /* seize= */ false, 0);
    }
    mutex_unlock(&t->kernel->taskset_lock);
    creds_unref(old);
    task_unref(parent);
    return r;
}

/* It is asleep in a group stop: it becomes a traced stop, which the tracer can rely on once this returns. */
static void await_trap(struct task *t, struct task *target) {
    struct waiter w;

    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&t->group->wait_queue, &w);
    for (;;) {
        mutex_lock(&target->group->signal_lock);
        bool done = target->trace.stopped || !target->trace.on || target->exiting || target->group->exiting ||
                    !target->trace.trap_stop;
        mutex_unlock(&target->group->signal_lock);
        if (done || task_block_killable(t, CLOCK_NEVER) < 0)
            break;
    }
    waitq_remove(&w);
}

/* The target's first stop. True: it was in a group stop. */
static bool start_locked(struct task *target, bool seize) {
    struct thread_group *g = target->group;
    bool was_stopped;

    mutex_lock(&g->signal_lock);
    if (!seize) {
        struct linux_siginfo info;
        siginfo_kernel(&info, LINUX_SIGSTOP);
        (void)signal_send_locked(target, &info, SIGNAL_TASK);
    }
    was_stopped = g->stop_signal && !target->stop_counted && !target->exiting;
    if (was_stopped) {
        target->trace.trap_stop = true;
        task_interrupt(target, TASK_WORK_STOP);
    }
    mutex_unlock(&g->signal_lock);
    return was_stopped;
}

int ptrace_attach(struct task *t, struct task *target, bool seize, uint64_t options) {
    might_block();
    if (target->group == t->group)
        return -EPERM;
    int r = task_ptrace_may_access(t, target, /* attach= */ true);
    if (r < 0)
        return r;
    struct creds *creds = creds_ref((struct creds *)(uintptr_t)t->creds), *old = creds;
    bool was_stopped = false;
    mutex_lock(&t->kernel->taskset_lock);
    if (target->trace.on || atomic_load(&target->state) >= TASK_ZOMBIE) {
        r = -EPERM;
    } else {
        old = link_locked(t, target, creds, seize, (uint32_t)options);
        was_stopped = start_locked(target, seize);
    }
    mutex_unlock(&t->kernel->taskset_lock);
    creds_unref(old);
    if (r == 0 && was_stopped)
        await_trap(t, target);
    return r;
}

int ptrace_clone_event(struct task *t, uint64_t flags, int exit_signal) {
    int event = LINUX_PTRACE_EVENT_FORK;

    if (!t->trace.on || (flags & LINUX_CLONE_UNTRACED))
        return 0;
    if (flags & LINUX_CLONE_VFORK)
        event = LINUX_PTRACE_EVENT_VFORK;
    else if ((flags & LINUX_CLONE_THREAD) || exit_signal != LINUX_SIGCHLD)
        event = LINUX_PTRACE_EVENT_CLONE;
    return ptrace_wants_event(t, event) ? event : 0;
}

void ptrace_link_child_locked(struct task *t, struct task *child) {
    struct task_trace *tr = &t->trace;

    if (!tr->tracer)
        return;
    struct creds *old = link_locked(tr->tracer, child, creds_ref(tr->tracer_creds), tr->seized, tr->options);
    ASSERT(!old);
    mutex_lock(&child->group->signal_lock);
    if (tr->seized) {
        child->trace.trap_stop = true;
        task_interrupt(child, TASK_WORK_STOP);
    } else {
        child->pending.set |= SIGBIT(LINUX_SIGSTOP);
        task_interrupt(child, TASK_WORK_SIGNAL);
    }
    mutex_unlock(&child->group->signal_lock);
}

/* ---- requests ---- */

bool ptrace_lock_stopped(struct task *t, struct task *target) {
    mutex_lock(&t->kernel->taskset_lock);
    bool mine = target->trace.tracer == t;
    mutex_lock(&target->group->signal_lock);
    mutex_unlock(&t->kernel->taskset_lock);
    if (mine && target->trace.stopped && !target->trace.listening)
        return true;
    mutex_unlock(&target->group->signal_lock);
    return false;
}

int ptrace_check_attached(struct task *t, struct task *target, bool any) {
    if (any) {
        mutex_lock(&t->kernel->taskset_lock);
        bool mine = target->trace.tracer == t;
        mutex_unlock(&t->kernel->taskset_lock);
        return mine ? 0 : -ESRCH;
    }
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    mutex_unlock(&target->group->signal_lock);
    return 0;
}

int ptrace_resume(struct task *t, struct task *target, uint32_t work, bool step, uint64_t signo) {
    struct task_trace *tr = &target->trace;

    if (signo > LINUX_NSIG)
        return -EIO;
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    atomic_fetch_and(&target->syscall_work, SYSCALL_WORK_SECCOMP | SYSCALL_WORK_WATCH);
    atomic_fetch_or(&target->syscall_work, work | (step ? SYSCALL_WORK_STEP : 0));
    tr->step = step;
    tr->resume_signal = (int)signo;
    tr->stop_code = 0;
    tr->stopped = false;
    task_wake(target);
    mutex_unlock(&target->group->signal_lock);
    return 0;
}

int ptrace_detach(struct task *t, struct task *target, uint64_t signo) {
    struct task *dead = NULL;

    if (signo > LINUX_NSIG)
        return -EIO;
    mutex_lock(&t->kernel->taskset_lock);
    bool mine = target->trace.tracer == t;
    if (mine) {
        mutex_lock(&target->group->signal_lock);
        target->trace.resume_signal = (int)signo;
        mutex_unlock(&target->group->signal_lock);
        if (let_go_locked(target, t))
            dead = target;
    }
    mutex_unlock(&t->kernel->taskset_lock);
    task_unref(dead);
    return mine ? 0 : -ESRCH;
}

int ptrace_interrupt(struct task *t, struct task *target) {
    (void)t;
    mutex_lock(&target->group->signal_lock);
    int r = ptrace_is_seized(&target->trace) ? 0 : -EIO;
    if (r == 0 && !target->exiting) {
        target->trace.trap_stop = true;
        task_interrupt(target, TASK_WORK_STOP); /* wakes a listener too */
    }
    mutex_unlock(&target->group->signal_lock);
    return r;
}

int ptrace_listen(struct task *t, struct task *target) {
    struct task_trace *tr = &target->trace;

    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    int r = -EIO;
    if (tr->seized && tr->has_info && tr->info.code >> 8 == LINUX_PTRACE_EVENT_STOP) {
        tr->listening = true;
        if (tr->trap_notify)
            task_wake(target);
        r = 0;
    }
    mutex_unlock(&target->group->signal_lock);
    return r;
}
