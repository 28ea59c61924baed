/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_signal.c: signals: actions, masks, sending, waiting, the alternate stack. Source: the
 * man pages of those names, section 2.
 */
#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/clocks.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/session.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/sys_util.h"
#include "sentry/syscalls/syscalls.h"

/* ---- actions and masks ---- */

int64_t sys_rt_sigaction(struct task *t, const struct syscall_args *a) {
    struct linux_sigaction set, old;
    bool change = a->arg[1] != 0;

    if (a->arg[3] != sizeof(linux_sigset_t))
        return -EINVAL;
    if (change && copy_in(t, &set, a->arg[1], sizeof set) < 0)
        return -EFAULT;
    int r = signal_action(t, (int)a->arg[0], change ? &set : NULL, &old);
    if (r == 0 && a->arg[2])
        r = copy_out(t, a->arg[2], &old, sizeof old);
    return r;
}

int64_t sys_rt_sigprocmask(struct task *t, const struct syscall_args *a) {
    linux_sigset_t set, old = t->blocked;

    if (a->arg[3] != sizeof set)
        return -EINVAL;
    if (a->arg[1]) {
        if (copy_in(t, &set, a->arg[1], sizeof set) < 0)
            return -EFAULT;
        switch ((int)a->arg[0]) {
        case LINUX_SIG_BLOCK:
            set |= old;
            break;
        case LINUX_SIG_UNBLOCK:
            set = old & ~set;
            break;
        case LINUX_SIG_SETMASK:
            break;
        default:
            return -EINVAL;
        }
        signal_set_mask(t, set);
    }
    return a->arg[2] ? copy_out(t, a->arg[2], &old, sizeof old) : 0;
}

int64_t sys_rt_sigpending(struct task *t, const struct syscall_args *a) {
    linux_sigset_t set = signal_pending_set(t) & t->blocked;

    if (a->arg[1] > sizeof set)
        return -EINVAL;
    return copy_out(t, a->arg[0], &set, a->arg[1]);
}

int64_t sys_rt_sigreturn(struct task *t, const struct syscall_args *a) {
    (void)a;
    if (arch_signal_return(t) < 0) /* a frame that cannot be: sigreturn(2) */
        signal_force_segv(t, 0, LINUX_SI_KERNEL);
    return -ENORESULT;
}

int64_t sys_sigaltstack(struct task *t, const struct syscall_args *a) {
    struct linux_stack set, old = {.sp = t->altstack.sp, .size = t->altstack.size};
    bool on = sigaltstack_on(t, t->regs.rsp);

    old.flags = (int32_t)(t->altstack.flags | (on ? LINUX_SS_ONSTACK : 0));
    if (a->arg[0]) {
        if (copy_in(t, &set, a->arg[0], sizeof set) < 0)
            return -EFAULT;
        uint32_t mode = (uint32_t)set.flags & ~LINUX_SS_AUTODISARM;
        if (on)
            return -EPERM;
        if (mode != LINUX_SS_DISABLE && mode != LINUX_SS_ONSTACK && mode != 0)
            return -EINVAL;
        if (mode == LINUX_SS_DISABLE)
            set.sp = set.size = 0;
        else if (set.size < LINUX_MINSIGSTKSZ)
            return -ENOMEM;
        t->altstack =
            (struct sigaltstack){.sp = set.sp,
                                 .size = set.size,
                                 .flags = (uint32_t)set.flags & (LINUX_SS_AUTODISARM | LINUX_SS_DISABLE)};
    }
    return a->arg[1] ? copy_out(t, a->arg[1], &old, sizeof old) : 0;
}

/* ---- sending ---- */

static int check_and_send(struct task *t, struct task *to, const struct linux_siginfo *info,
                          enum signal_target target) {
    if (!signal_permitted(t, to, info->signo))
        return -EPERM;
    return info->signo == 0 ? 0 : signal_send(to, info, target);
}

static int kill_one(struct task *t, struct task *to, int signo) {
    struct linux_siginfo info;

    siginfo_user(&info, signo, t, to);
    return check_and_send(t, to, &info, SIGNAL_GROUP);
}

/* Everybody but oneself and init. kill(2). */
static int kill_all(struct task *t, int signo) {
    struct pid_ns *ns = task_pid_ns(t);
    struct task *to;
    int r = -ESRCH, number = 1;

    while ((to = task_next_process(ns, number + 1, &number)) != NULL) {
        if (to->group != t->group) {
            int one = kill_one(t, to, signo);
            if (one != -EPERM)
                r = one;
        }
        task_unref(to);
    }
    return r;
}

enum { SNAPSHOT_STEP = 64 };

/* The leaders of a process group, with references, so that permissions can be asked without the lock. */
static struct task **pgrp_snapshot(struct kernel *k, struct pid *pgrp, size_t *ret_count) {
    struct task **list = NULL, *to;
    size_t capacity = 0, count;

    for (;;) {
        count = 0;
        mutex_lock(&k->taskset_lock);
        list_for_each_entry(to, &pgrp->tasks[PID_PGRP], pid_node[PID_PGRP]) {
            if (count < capacity)
                list[count] = task_ref(to);
            count++;
        }
        mutex_unlock(&k->taskset_lock);
        if (count <= capacity)
            break;
        for (size_t i = 0; i < capacity; i++)
            task_unref(list[i]);
        heap_free(list);
        capacity = count + SNAPSHOT_STEP;
        list = heap_alloc_array(capacity, sizeof(struct task *));
        if (!list) {
            count = 0;
            break;
        }
    }
    *ret_count = count;
    return list;
}

int kill_pgrp(struct task *t, struct pid *pgrp, int signo) {
    size_t count;
    struct task **list = pgrp_snapshot(t->kernel, pgrp, &count);
    int r = -ESRCH;

    for (size_t i = 0; i < count; i++) {
        int one = kill_one(t, list[i], signo);
        if (r != 0)
            r = one; /* any success is a success */
        task_unref(list[i]);
    }
    heap_free(list);
    return r;
}

int64_t sys_kill(struct task *t, const struct syscall_args *a) {
    int pid = (int)a->arg[0], signo = (int)a->arg[1];

    if (signo < 0 || signo > LINUX_NSIG)
        return -EINVAL;
    if (pid > 0) {
        struct task *to = task_find(t, pid);
        int r = to ? kill_one(t, to, signo) : -ESRCH;
        task_unref(to);
        return r;
    }
    if (pid == INT32_MIN)
        return -ESRCH;
    if (pid == -1)
        return kill_all(t, signo);
    struct pid *pgrp = pid == 0 ? task_get_pgrp(t) : task_find_pid(t, -pid);
    int r = pgrp ? kill_pgrp(t, pgrp, signo) : -ESRCH;
    pid_unref(pgrp);
    return r;
}

static int64_t tgkill(struct task *t, int tgid, int tid, struct linux_siginfo *info) {
    if (info->signo < 0 || info->signo > LINUX_NSIG)
        return -EINVAL;
    struct task *to = task_find(t, tid);
    int r = -ESRCH;
    if (to && (tgid <= 0 || task_tgid_in(to, task_pid_ns(t)) == tgid))
        r = check_and_send(t, to, info, SIGNAL_TASK);
    task_unref(to);
    return r;
}

static void tkill_info(struct task *t, int signo, struct linux_siginfo *info) {
    *info = (struct linux_siginfo){.signo = signo, .code = LINUX_SI_TKILL};
    info->kill.pid = task_tgid(t);
    info->kill.uid = from_kuid(t->creds->user_ns, t->creds->uid);
}

int64_t sys_tgkill(struct task *t, const struct syscall_args *a) {
    struct linux_siginfo info;

    if ((int)a->arg[0] <= 0 || (int)a->arg[1] <= 0)
        return -EINVAL;
    tkill_info(t, (int)a->arg[2], &info);
    return tgkill(t, (int)a->arg[0], (int)a->arg[1], &info);
}

int64_t sys_tkill(struct task *t, const struct syscall_args *a) {
    struct linux_siginfo info;

    if ((int)a->arg[0] <= 0)
        return -EINVAL;
    tkill_info(t, (int)a->arg[1], &info);
    return tgkill(t, 0, (int)a->arg[0], &info);
}

/* siginfo from the guest: may not pretend to come from kill(2) or the kernel unless it goes to oneself. */
static int copy_in_siginfo(struct task *t, gva_t at, int signo, bool self, struct linux_siginfo *info) {
    if (copy_in(t, info, at, sizeof *info) < 0)
        return -EFAULT;
    info->signo = signo;
    if ((info->code >= 0 || info->code == LINUX_SI_TKILL) && !self)
        return -EPERM;
    return 0;
}

int64_t sys_rt_sigqueueinfo(struct task *t, const struct syscall_args *a) {
    struct linux_siginfo info;
    int pid = (int)a->arg[0];

    int r = copy_in_siginfo(t, a->arg[2], (int)a->arg[1], pid == task_tgid(t), &info);
    if (r < 0)
        return r;
    if (info.signo < 0 || info.signo > LINUX_NSIG)
        return -EINVAL;
    struct task *to = pid > 0 ? task_find(t, pid) : NULL;
    r = to ? check_and_send(t, to, &info, SIGNAL_GROUP) : -ESRCH;
    task_unref(to);
    return r;
}

int64_t sys_rt_tgsigqueueinfo(struct task *t, const struct syscall_args *a) {
    struct linux_siginfo info;
    int tid = (int)a->arg[1];

    if ((int)a->arg[0] <= 0 || tid <= 0)
        return -EINVAL;
    int r = copy_in_siginfo(t, a->arg[3], (int)a->arg[2], tid == task_tid(t), &info);
    return r < 0 ? r : tgkill(t, (int)a->arg[0], tid, &info);
}

/* ---- waiting ---- */

int64_t sys_pause(struct task *t, const struct syscall_args *a) {
    int r;

    (void)a;
    while ((r = task_block(t, CLOCK_NEVER)) == 0)
        ;
    return -ERESTARTNOHAND;
}

int64_t sys_rt_sigsuspend(struct task *t, const struct syscall_args *a) {
    linux_sigset_t mask;
    int r;

    if (a->arg[1] != sizeof mask)
        return -EINVAL;
    if (copy_in(t, &mask, a->arg[0], sizeof mask) < 0)
        return -EFAULT;
    signal_set_temporary_mask(t, mask);
    while ((r = task_block(t, CLOCK_NEVER)) == 0)
        ;
    return -ERESTARTNOHAND;
}

static void set_sigwait(struct task *t, sigset_word set) {
    mutex_lock(&t->group->signal_lock);
    t->sigwait = set;
    mutex_unlock(&t->group->signal_lock);
}

static int wait_signal(struct task *t, sigset_word set, int64_t deadline, struct linux_siginfo *ret) {
    int r = 0, signo;

    set_sigwait(t, set); /* before the look, so that what comes after it wakes us */
    while ((signo = signal_dequeue(t, set, ret)) == 0 && r == 0)
        r = task_block(t, deadline);
    set_sigwait(t, 0);
    if (signo == 0 && r == -ETIMEDOUT)
        return -EAGAIN;
    return signo ? signo : -EINTR;
}

int64_t sys_rt_sigtimedwait(struct task *t, const struct syscall_args *a) {
    linux_sigset_t set;
    struct linux_siginfo info;
    int64_t deadline;

    if (a->arg[3] != sizeof set)
        return -EINVAL;
    if (copy_in(t, &set, a->arg[0], sizeof set) < 0)
        return -EFAULT;
    int r = copy_in_timeout(t, a->arg[2], &deadline);
    if (r < 0)
        return r;
    r = wait_signal(t, set & ~SIG_UNBLOCKABLE, deadline, &info);
    if (r > 0 && a->arg[1] && copy_out(t, a->arg[1], &info, sizeof info) < 0)
        return -EFAULT;
    return r;
}

int64_t sys_restart_syscall(struct task *t, const struct syscall_args *a) {
    (void)a;
    if (!t->restart.fn)
        return -EINTR;
    struct restart_block block = t->restart; /* the function may set another */
    return block.fn(t, &block);
}
