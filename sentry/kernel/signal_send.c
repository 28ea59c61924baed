/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/signal_send.c: who may signal whom, siginfo of each origin, process groups, faults. Source:
 * kill(2), "NOTES"; signal(7).
 */
#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"

void siginfo_kernel(struct linux_siginfo *ret, int signo) {
    *ret = (struct linux_siginfo){.signo = signo, .code = LINUX_SI_KERNEL};
}

void siginfo_user(struct linux_siginfo *ret, int signo, struct task *from, struct task *to) {
    cleanup(creds_unrefp) struct creds *tc = task_get_creds(to);

    *ret = (struct linux_siginfo){.signo = signo, .code = LINUX_SI_USER};
    ret->kill.pid = task_tgid_in(from, task_pid_ns(to));
    ret->kill.uid = from_kuid(tc->user_ns, from->creds->uid);
}

bool signal_permitted(struct task *from, struct task *to, int signo) {
    const struct creds *c = from->creds;

    if (from->group == to->group)
        return true;
    cleanup(creds_unrefp) struct creds *tc = task_get_creds(to);
    if (c->euid == tc->suid || c->euid == tc->uid || c->uid == tc->suid || c->uid == tc->uid ||
        creds_has_cap_in(c, tc->user_ns, LINUX_CAP_KILL))
        return true;
    if (signo != LINUX_SIGCONT)
        return false;
    mutex_lock(&from->kernel->taskset_lock);
    bool same_session = from->group->session == to->group->session;
    mutex_unlock(&from->kernel->taskset_lock);
    return same_session;
}

void signal_send_pgrp_locked(struct pid *pgrp, const struct linux_siginfo *info) {
    struct task *t;

    list_for_each_entry(t, &pgrp->tasks[PID_PGRP], pid_node[PID_PGRP])(void)
        signal_send(t, info, SIGNAL_GROUP);
}

void signal_send_pgrp(struct pid *pgrp, const struct linux_siginfo *info) {
    struct kernel *k = heap_root();

    mutex_lock(&k->taskset_lock);
    signal_send_pgrp_locked(pgrp, info);
    mutex_unlock(&k->taskset_lock);
}

static void force(struct task *t, const struct linux_siginfo *info, bool default_action) {
    struct thread_group *g = t->group;
    sigset_word bit = SIGBIT(info->signo);

    mutex_lock(&g->signal_lock);
    mutex_lock(&g->sighand->lock);
    struct linux_sigaction *a = &g->sighand->actions[info->signo - 1];
    bool blocked = t->blocked & bit;
    if (blocked || default_action || a->handler == LINUX_SIG_IGN)
        a->handler = LINUX_SIG_DFL;
    bool fatal = a->handler == LINUX_SIG_DFL;
    mutex_unlock(&g->sighand->lock);
    if (blocked) {
        t->blocked &= ~bit;
        signal_recalc_locked(t);
    }
    if (fatal)
        g->unkillable = false; /* not even init survives its own fault */
    (void)signal_send_locked(t, info, SIGNAL_TASK);
    mutex_unlock(&g->signal_lock);
}

void signal_force_fault(struct task *t, const struct linux_siginfo *info) {
    force(t, info, /* default_action= */ false);
}

void signal_force_fatal(struct task *t, const struct linux_siginfo *info) {
    force(t, info, /* default_action= */ true);
}

void signal_force_segv(struct task *t, gva_t address, int code) {
    struct linux_siginfo info = {.signo = LINUX_SIGSEGV, .code = code};

    info.fault.address = address;
    signal_force_fault(t, &info);
}
