/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ptrace_stop.c: a tracee's stops: signal delivery, system calls, events, group stops, and what
 * the tracer's answer means. All of it runs on the tracee's own thread. Source: ptrace(2), "Stopped states"
 * to "Single-stepping".
 */
#include <errno.h>
#include <string.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/task_internal.h"

struct stop {
    int code; /* signal | event << 8 */
    int why;  /* LINUX_CLD_TRAPPED or CLD_STOPPED, for SIGCHLD */
    bool has_info, exit_stop;
    struct linux_siginfo info;
    uint64_t message;
    uint8_t call_op;
    int if_gone; /* result without a tracer */
};

/* ---- telling ---- */

static void tell_tracer_locked(struct task *t, int why) {
    struct task *tracer = t->trace.tracer;
    int status = why == LINUX_CLD_STOPPED ? t->group->last_stop_signal : t->trace.stop_code;

    signal_report_child_locked(t, tracer, why, status & 0x7f);
}

void ptrace_save_fpu(struct task *t) {
    const struct platform *p = kernel_platform(t->kernel);

    t->trace.fpu_dirty = false;
    if (!task_context(t))
        return;
    if (!t->trace.fpu)
        t->trace.fpu = heap_alloc_bytes(p->fpu_size);
    if (!t->trace.fpu)
        return;
    memset(t->trace.fpu, 0, p->fpu_size);
    if (p->ops->context_get_fpu(task_context(t), t->trace.fpu, p->fpu_size) < 0)
        heap_free(TAKE(t->trace.fpu));
}

static void restore_fpu(struct task *t) {
    const struct platform *p = kernel_platform(t->kernel);

    if (!t->trace.fpu_dirty || !task_context(t))
        return;
    t->trace.fpu_dirty = false;
    (void)p->ops->context_set_fpu(task_context(t), t->trace.fpu,
                                  p->fpu_size); /* checked when it was stored */
}

/* ---- the stop ---- */

/* A kill ends every stop but that of the exit event, which the tracer alone ends. */
static bool is_killed(const struct task *t, bool exit_stop) {
    return !exit_stop && (atomic_load(&t->pending_work) & TASK_WORK_EXIT);
}

static bool stays_locked(const struct task *t) {
    const struct task_trace *tr = &t->trace;

    if (!tr->stopped || is_killed(t, tr->exit_stop))
        return false;
    return !(tr->listening && (tr->trap_notify || tr->trap_stop));
}

/* Enters the stop. False: there is no tracer, or no time. */
static bool begin_locked(struct task *t, const struct stop *s) {
    struct task_trace *tr = &t->trace;

    if (!tr->on || is_killed(t, s->exit_stop))
        return false;
    tr->stop_code = s->code;
    tr->has_info = s->has_info;
    tr->info = s->info;
    tr->message = s->message;
    tr->call_op = s->call_op;
    tr->exit_stop = s->exit_stop;
    tr->resume_signal = 0;
    tr->trap_stop = false;
    if (s->has_info && s->info.code >> 8 == LINUX_PTRACE_EVENT_STOP)
        tr->trap_notify = false;
    tr->listening = false;
    tr->stopped = true;
    return true;
}

static void sleep_in_stop(struct task *t, bool exit_stop) {
    for (;;) {
        mutex_lock(&t->group->signal_lock);
        bool stays = stays_locked(t);
        mutex_unlock(&t->group->signal_lock);
        if (!stays)
            return;
        task_block_traced(t, exit_stop);
    }
}

static int finish(struct task *t, struct linux_siginfo *ret_info) {
    struct task_trace *tr = &t->trace;

    mutex_lock(&t->group->signal_lock);
    tr->stopped = tr->listening = tr->has_info = tr->exit_stop = false;
    tr->stop_code = 0;
    tr->call_op = LINUX_PTRACE_SYSCALL_INFO_NONE;
    int signo = tr->resume_signal;
    tr->resume_signal = 0;
    if (ret_info)
        *ret_info = tr->info; /* PTRACE_SETSIGINFO may have changed it */
    mutex_unlock(&t->group->signal_lock);
    return signo;
}

/* Stops until the tracer resumes; the signal that it injects. */
static int stop(struct task *t, const struct stop *s, struct linux_siginfo *ret_info) {
    struct kernel *k = t->kernel;
    struct thread_group *g = t->group;

    might_block();
    ptrace_save_fpu(t);
    mutex_lock(&k->taskset_lock);
    mutex_lock(&g->signal_lock);
    bool begun = begin_locked(t, s), group_stop_done = false;
    if (begun && s->why == LINUX_CLD_STOPPED)
        group_stop_done = signal_stop_counted_off_locked(t);
    mutex_unlock(&g->signal_lock);
    if (begun)
        tell_tracer_locked(t, s->why);
    bool tell_parent = group_stop_done && ptrace_is_reparented_locked(t);
    mutex_unlock(&k->taskset_lock);
    if (!begun)
        return s->if_gone;
    if (tell_parent)
        signal_report_job_control(g, LINUX_CLD_STOPPED);
    sleep_in_stop(t, s->exit_stop);
    int signo = finish(t, ret_info);
    restore_fpu(t);
    return signo;
}

static struct stop notification(struct task *t, int code, uint64_t message) {
    struct stop s = {.code = code, .why = LINUX_CLD_TRAPPED, .has_info = true, .message = message};

    s.info = (struct linux_siginfo){.signo = LINUX_SIGTRAP, .code = code};
    s.info.kill.pid = task_tid(t);
    s.info.kill.uid = from_kuid(t->creds->user_ns, t->creds->uid);
    return s;
}

/* A signal from the tracer at a stop where none was on its way: an ordinary one then. */
static void inject(struct task *t, int signo) {
    struct linux_siginfo info;

    if (signo <= 0)
        return;
    siginfo_kernel(&info, signo);
    (void)signal_send(t, &info, SIGNAL_TASK);
}

/* ---- events ---- */

static uint32_t option_of(int event) {
    return 1u << event;
}

bool ptrace_wants_event(struct task *t, int event) {
    return t->trace.on && (t->trace.options & option_of(event));
}

void ptrace_event(struct task *t, int event, uint64_t message) {
    if (!ptrace_wants_event(t, event))
        return;
    struct stop s = notification(t, LINUX_SIGTRAP | event << 8, message);
    s.exit_stop = event == LINUX_PTRACE_EVENT_EXIT;
    if (event == LINUX_PTRACE_EVENT_SECCOMP)
        s.call_op = LINUX_PTRACE_SYSCALL_INFO_SECCOMP;
    (void)stop(t, &s, NULL);
}

void ptrace_event_pid(struct task *t, int event, struct pid *pid) {
    uint64_t number = 0;

    mutex_lock(&t->kernel->taskset_lock);
    if (t->trace.tracer)
        number = (uint64_t)pid_nr(pid, task_pid_ns(t->trace.tracer));
    mutex_unlock(&t->kernel->taskset_lock);
    ptrace_event(t, event, number);
}

void ptrace_exec_done(struct task *t, int old_tid_of_tracer) {
    if (!t->trace.on)
        return;
    mutex_lock(&t->group->signal_lock);
    ptrace_forget_debugregs_locked(t);
    mutex_unlock(&t->group->signal_lock);
    if (ptrace_wants_event(t, LINUX_PTRACE_EVENT_EXEC)) {
        ptrace_event(t, LINUX_PTRACE_EVENT_EXEC, (uint64_t)old_tid_of_tracer);
    } else if (!t->trace.seized) {
        struct linux_siginfo info;
        siginfo_user(&info, LINUX_SIGTRAP, t, t);
        (void)signal_send(t, &info, SIGNAL_TASK);
    }
}

bool ptrace_tracer_is_capable(struct task *t, struct user_ns *ns) {
    mutex_lock(&t->kernel->taskset_lock);
    struct creds *c = t->trace.on ? creds_ref(t->trace.tracer_creds) : NULL;
    mutex_unlock(&t->kernel->taskset_lock);
    bool capable = !c || creds_has_cap_in(c, ns, LINUX_CAP_SYS_PTRACE);
    creds_unref(c);
    return capable;
}

bool ptrace_suspends_seccomp(struct task *t) {
    return t->trace.options & LINUX_PTRACE_O_SUSPEND_SECCOMP;
}

/* ---- system calls ---- */

static void call_stop(struct task *t, uint8_t op) {
    int code = LINUX_SIGTRAP | (t->trace.options & LINUX_PTRACE_O_TRACESYSGOOD ? 0x80 : 0);
    bool entry = op == LINUX_PTRACE_SYSCALL_INFO_ENTRY;
    struct stop s = notification(
        t, code, entry ? LINUX_PTRACE_EVENTMSG_SYSCALL_ENTRY : LINUX_PTRACE_EVENTMSG_SYSCALL_EXIT);

    s.call_op = op;
    inject(t, stop(t, &s, NULL));
}

bool ptrace_syscall_enter(struct task *t) {
    uint32_t work = atomic_load(&t->syscall_work);

    if (!(work & (SYSCALL_WORK_TRACE | SYSCALL_WORK_EMU)))
        return true;
    call_stop(t, LINUX_PTRACE_SYSCALL_INFO_ENTRY);
    return !(work & SYSCALL_WORK_EMU) && !(atomic_load(&t->pending_work) & TASK_WORK_EXIT);
}

void ptrace_syscall_leave(struct task *t) {
    uint32_t work = atomic_load(&t->syscall_work);

    if ((work & SYSCALL_WORK_STEP) && !(work & SYSCALL_WORK_EMU)) {
        struct linux_siginfo info = {.signo = LINUX_SIGTRAP, .code = LINUX_TRAP_BRKPT};
        info.fault.address = t->regs.rip;
        signal_force_fault(t, &info);
    } else if (work & SYSCALL_WORK_TRACE) {
        call_stop(t, LINUX_PTRACE_SYSCALL_INFO_EXIT);
    }
}

/* ---- signals, steps ---- */

int ptrace_signal(struct task *t, int signo, struct linux_siginfo *info) {
    struct stop s = {
        .code = signo, .why = LINUX_CLD_TRAPPED, .has_info = true, .info = *info, .if_gone = signo};

    int chosen = stop(t, &s, info);
    if (chosen == 0)
        return 0;
    if (chosen != info->signo) {
        *info = (struct linux_siginfo){.signo = chosen, .code = LINUX_SI_USER};
        mutex_lock(&t->kernel->taskset_lock);
        struct task *tracer = t->trace.tracer;
        if (tracer)
            info->kill.pid = task_tgid_in(tracer, task_pid_ns(t));
        mutex_unlock(&t->kernel->taskset_lock);
    }
    if (t->blocked & SIGBIT(chosen)) { /* it waits like any other */
        (void)signal_send(t, info, SIGNAL_TASK);
        return 0;
    }
    return chosen;
}

void ptrace_notify_step(struct task *t) {
    if (!t->trace.on || !t->trace.step)
        return;
    struct stop s = notification(t, LINUX_SIGTRAP, 0);
    (void)stop(t, &s, NULL);
}

/* ---- group stops ---- */

bool ptrace_trap_due_locked(struct task *t) {
    return t->trace.on && (t->stop_counted || t->trace.trap_stop || t->trace.trap_notify);
}

void ptrace_trap(struct task *t) {
    struct task_trace *tr = &t->trace;

    mutex_lock(&t->group->signal_lock);
    int signo = t->group->stop_signal;
    bool seized = tr->seized, due = ptrace_trap_due_locked(t);
    if (!seized && !signo) { /* continued meanwhile */
        tr->trap_stop = tr->trap_notify = false;
        due = false;
    }
    mutex_unlock(&t->group->signal_lock);
    if (!due)
        return;
    struct stop s = {.code = signo, .why = LINUX_CLD_STOPPED};
    if (seized) {
        signo = signo ? signo : LINUX_SIGTRAP;
        s = notification(t, signo | LINUX_PTRACE_EVENT_STOP << 8, 0);
        s.info.signo = signo;
        s.why = LINUX_CLD_STOPPED;
    }
    (void)stop(t, &s, NULL);
}

void ptrace_trap_notify_locked(struct task *t) {
    if (!ptrace_is_seized(&t->trace))
        return;
    t->trace.trap_notify = true;
    task_interrupt(t, TASK_WORK_STOP);
}
