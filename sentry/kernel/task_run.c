/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/task_run.c: the loop of every task: guest, event, system call or fault, pending work
 * (signal_deliver.c), and round again. Restart rules of interrupted calls are in signal_deliver.c. No lock is
 * held anywhere in the loop itself.
 */
#include <errno.h>

#include "base/abi/linux/mman.h"
#include "base/log.h"
#include "sentry/kernel/current.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"

enum { TRAP_PAGE_FAULT = 14, PF_WRITE = 2, PF_INSTRUCTION = 16 };

/* Tells the platform what the thread may answer by itself: nothing when calls are logged, traced or filtered,
 * nor in a user namespace beneath the first, whose maps, and so what getuid() says, others may yet write. */
static void tell_answers(struct task *t) {
    const struct platform_ops *ops = kernel_platform(t->kernel)->ops;
    const struct creds *c = t->creds;
    struct platform_answers answers = {
        .pid = (uint32_t)task_tgid(t),
        .tid = (uint32_t)task_tid(t),
        .uid = from_kuid(c->user_ns, c->uid),
        .euid = from_kuid(c->user_ns, c->euid),
        .gid = from_kgid(c->user_ns, c->gid),
        .egid = from_kgid(c->user_ns, c->egid),
    };

    t->answers_stale = false;
    t->answers_withheld = atomic_load(&t->syscall_work) != 0;
    bool none = g_strace_fd >= 0 || c->user_ns->level > 0 || t->answers_withheld;
    if (ops->context_answers)
        ops->context_answers(task_context(t), none ? NULL : &answers);
}

/* Runs guest code until something happens; accounts its time. */
static void enter_guest(struct task *t, struct platform_event *event) {
    atomic_store(&t->in_guest, true);
    if (atomic_load(&t->pending_work)) { /* looked at after in_guest is set: task_interrupt() does it the
                                            other way round */
        atomic_store(&t->in_guest, false);
        event->kind = EVENT_INTERRUPT;
        return;
    }
    if (unlikely(atomic_load_explicit(&t->kernel->memory_limited, memory_order_relaxed)))
        memory_guard_wake(t->kernel);
    bool watched = atomic_load_explicit(&t->syscall_work, memory_order_relaxed) != 0;
    if (unlikely(t->answers_stale || t->answers_withheld != watched))
        tell_answers(t);
    int64_t from = monotonic_ns();
    cpu_time_left_sentry(t, from);
    atomic_store_explicit(&t->guest_entered, from, memory_order_release);
    kernel_platform(t->kernel)->ops->context_switch(task_context(t), &t->regs,
                                                    t->trace.step || t->trace.watching, event);
    int64_t to = monotonic_ns();
    atomic_store(&t->in_guest, false);
    atomic_store_explicit(&t->guest_entered, 0, memory_order_release);
    cpu_time_left_guest(t, to - from);
    t->sentry_entered = to;
}

/* The call that the registers hold. True: its result is in rax. */
static bool make_call(struct task *t) {
    struct guest_regs *r = &t->regs;
    struct syscall_args args = {{r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}};

    t->syscall_number = r->orig_rax;
    r->rax = (uint64_t)-ENOSYS; /* what a handler that reads the registers sees, as Linux */
    int64_t result = syscall_dispatch(t, r->orig_rax, &args);
    mutex_assert_none_held();
    if (unlikely(result == -ENORESULT))
        return false;
    r->rax = (uint64_t)result;
    return true;
}

/* With a tracer or filters, which may change the call or not let it happen. */
static bool make_watched_call(struct task *t) {
    bool has_result = true;

    t->trace.watch_is_fresh = false;
    t->syscall_number = t->regs.orig_rax;
    t->regs.rax = (uint64_t)-ENOSYS;
    bool serve = ptrace_syscall_enter(t);
    if (serve && (atomic_load(&t->syscall_work) & SYSCALL_WORK_SECCOMP))
        serve = seccomp_enter(t);
    if (serve && (int32_t)t->regs.orig_rax >= 0)
        has_result = make_call(t);
    if (t->trace.on) {
        signal_await_vfork(t);
        ptrace_syscall_leave(t);
    }
    return has_result;
}

/* True: a call was made, and what it gives is in rax. */
static bool serve_syscall(struct task *t, const struct platform_event *event) {
    if (event->compat_call) { /* int 0x80: as a kernel without 32-bit emulation */
        signal_force_segv(t, 0, LINUX_SI_KERNEL);
        return false;
    }
    if (unlikely(atomic_load_explicit(&t->syscall_work, memory_order_relaxed)))
        return make_watched_call(t);
    return make_call(t);
}

/* A single step is done. */
static void serve_step(struct task *t) {
    if (t->trace.watching && (ptrace_watch_step(t) || !t->trace.step))
        return;
    if (!t->trace.step) /* let go of meanwhile */
        return;
    struct linux_siginfo info = {.signo = LINUX_SIGTRAP, .code = LINUX_TRAP_TRACE};

    info.fault.address = t->regs.rip;
    signal_force_fault(t, &info);
}

/* A platform may not know whether it was a write (ptrace). A page that is there and yet faults was not read,
 * unless nothing may be done with it. */
static uint32_t wanted_access(struct task *t, const struct platform_event *event) {
    if (event->error & PF_INSTRUCTION)
        return LINUX_PROT_EXEC;
    if (!(event->error & PF_WRITE) && !(event->signo == LINUX_SIGSEGV && event->code == LINUX_SEGV_ACCERR))
        return LINUX_PROT_READ;
    t->fault.error |= PF_WRITE;
    return LINUX_PROT_WRITE;
}

static void serve_fault(struct task *t, const struct platform_event *event) {
    struct linux_siginfo info = {.signo = event->signo, .code = event->code};
    int signo, code;

    t->fault = (struct task_fault){event->trap, event->error, event->address};
    if (event->trap == TRAP_PAGE_FAULT || event->signo == LINUX_SIGBUS ||
        (event->signo == LINUX_SIGSEGV && event->code != LINUX_SI_KERNEL)) {
        uint32_t access = wanted_access(t, event);
        atomic_fetch_add_explicit(&t->min_faults, 1, memory_order_relaxed);
        if (mm_fault(t, t->mm, event->address, access, &signo, &code) == 0)
            return;
        info.signo = signo;
        info.code = code;
    }
    info.fault.address = event->address;
    log_debug(LOG_SIGNAL, "tid %d: fault: signal %d code %d address %#lx rip %#lx", task_tid(t), info.signo,
              info.code, event->address, t->regs.rip);
    signal_force_fault(t, &info);
}

static void stub_is_dead(struct task *t, const struct platform_event *event) {
    log_info(LOG_KERNEL, "tid %d: its address space is gone%s", task_tid(t),
             event->oom ? " (out of memory)" : "");
    if (event->oom) {
        mutex_lock(&t->kernel->taskset_lock);
        if (!t->group->oom_killed)
            cgroup_oom_killed_locked(t->group);
        mutex_unlock(&t->kernel->taskset_lock);
    }
    thread_group_exit(t->group, status_killed(LINUX_SIGKILL));
}

static _Thread_local struct task *t_current;

struct task *task_current(void) {
    return t_current;
}

void task_run(struct task *t) {
    bool in_syscall = false;

    t_current = t;

    t->sentry_entered = monotonic_ns();
    if (t->set_child_tid) { /* a bad address is the guest's own loss: clone(2) */
        int tid = task_tid(t);
        (void)!copy_out(t, t->set_child_tid, &tid, sizeof tid);
    }
    while (signal_deliver(t, in_syscall)) {
        if (unlikely(t->trace.watching && !t->trace.watch_is_fresh))
            ptrace_refresh_watched(t);
        struct platform_event event = {0};
        enter_guest(t, &event);
        in_syscall = false;
        switch (event.kind) {
        case EVENT_SYSCALL:
            in_syscall = serve_syscall(t, &event);
            break;
        case EVENT_FAULT:
            serve_fault(t, &event);
            break;
        case EVENT_STEP:
            serve_step(t);
            break;
        case EVENT_INTERRUPT:
            break;
        case EVENT_DEAD:
            stub_is_dead(t, &event);
            break;
        }
    }
}
