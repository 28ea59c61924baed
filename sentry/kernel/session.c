/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/session.c: see session.h. Source: setpgid(2), setsid(2), credentials(7), POSIX XBD 3
 * "Orphaned Process Group".
 */
#include "sentry/kernel/session.h"

#include <errno.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"

static void move_to_locked(struct thread_group *g, struct pid **slot, enum pid_role role, struct pid *to) {
    struct pid *old = *slot;

    if (old == to)
        return;
    pid_detach_locked(old, role, g->leader);
    pid_attach_locked(to, role, g->leader);
    *slot = pid_ref(to);
    pid_unref(old);
}

/* Linux's order of checks. */
static int setpgid_locked(struct task *t, struct task *p, int pgid) {
    struct pid_ns *ns = task_pid_ns(t);
    struct thread_group *g = p->group;
    struct pid *to = g->pid;

    if (p->parent && p->parent->group == t->group) {
        if (g->session != t->group->session)
            return -EPERM;
        if (g->has_execed)
            return -EACCES;
    } else if (g != t->group) {
        return -ESRCH;
    }
    if (g->session == g->pid)
        return -EPERM;
    if (pgid != pid_nr(g->pid, ns)) {
        to = pid_find_locked(ns, pgid);
        struct task *member = pid_task_locked(to, PID_PGRP);
        if (!member || member->group->session != t->group->session)
            return -EPERM;
    }
    move_to_locked(g, &g->pgrp, PID_PGRP, to);
    return 0;
}

int task_setpgid(struct task *t, int pid, int pgid) {
    struct kernel *k = t->kernel;
    struct pid_ns *ns = task_pid_ns(t);

    if (pgid < 0)
        return -EINVAL;
    mutex_lock(&k->taskset_lock);
    int r = -ESRCH;
    if (pid == 0)
        pid = task_tgid_in(t, ns);
    struct task *p = pid_task_locked(pid_find_locked(ns, pid), PID_TASK);
    if (p && p != p->group->leader)
        r = -EINVAL;
    else if (p)
        r = setpgid_locked(t, p, pgid ? pgid : pid);
    mutex_unlock(&k->taskset_lock);
    return r;
}

int64_t task_setsid(struct task *t) {
    struct kernel *k = t->kernel;
    struct thread_group *g = t->group;
    struct tty *tty = NULL;
    int64_t r = -EPERM;

    mutex_lock(&k->taskset_lock);
    if (g->session != g->pid && !pid_task_locked(g->pid, PID_PGRP)) {
        move_to_locked(g, &g->session, PID_SESSION, g->pid);
        move_to_locked(g, &g->pgrp, PID_PGRP, g->pid);
        tty = g->tty;
        g->tty = NULL;
        r = pid_nr(g->pid, task_pid_ns(t));
    }
    mutex_unlock(&k->taskset_lock);
    if (tty)
        tty_unref(tty);
    return r;
}

static struct pid *get_pid(struct task *t, struct pid **slot) {
    mutex_lock(&t->kernel->taskset_lock);
    struct pid *pid = pid_ref(*slot);
    mutex_unlock(&t->kernel->taskset_lock);
    return pid;
}

struct pid *task_get_pgrp(struct task *t) {
    return get_pid(t, &t->group->pgrp);
}

struct pid *task_get_session(struct task *t) {
    return get_pid(t, &t->group->session);
}

bool task_is_session_leader(struct task *t) {
    mutex_lock(&t->kernel->taskset_lock);
    bool leader = t->group->session == t->group->pid;
    mutex_unlock(&t->kernel->taskset_lock);
    return leader;
}

struct tty *task_get_tty(struct task *t) {
    mutex_lock(&t->kernel->taskset_lock);
    struct tty *tty = t->group->tty ? tty_ref(t->group->tty) : NULL;
    mutex_unlock(&t->kernel->taskset_lock);
    return tty;
}

void task_set_tty(struct task *t, struct tty *tty) {
    mutex_lock(&t->kernel->taskset_lock);
    struct tty *old = t->group->tty;
    t->group->tty = tty;
    mutex_unlock(&t->kernel->taskset_lock);
    if (old)
        tty_unref(old);
}

void session_clear_tty(struct kernel *k, struct pid *session) {
    for (bool more = true; more;) { /* one a turn: the last reference may not go under the lock */
        struct tty *tty = NULL;
        struct task *t;
        mutex_lock(&k->taskset_lock);
        list_for_each_entry(t, &session->tasks[PID_SESSION], pid_node[PID_SESSION]) {
            if (!t->group->tty)
                continue;
            tty = t->group->tty;
            t->group->tty = NULL;
            break;
        }
        mutex_unlock(&k->taskset_lock);
        more = tty != NULL;
        if (tty)
            tty_unref(tty);
    }
}

/* Ignoring `leaving`, which is about to go. */
static bool is_orphaned_locked(struct pid *pgrp, struct thread_group *leaving) {
    struct task *t;

    list_for_each_entry(t, &pgrp->tasks[PID_PGRP], pid_node[PID_PGRP]) {
        struct task *parent = t->parent;
        if (t->group == leaving || atomic_load(&t->state) >= TASK_ZOMBIE || !parent)
            continue;
        if (parent->group->pgrp != pgrp && parent->group->session == t->group->session)
            return false;
    }
    return true;
}

bool pgrp_is_orphaned(struct kernel *k, struct pid *pgrp) {
    mutex_lock(&k->taskset_lock);
    bool orphaned = is_orphaned_locked(pgrp, NULL);
    mutex_unlock(&k->taskset_lock);
    return orphaned;
}

static bool has_stopped_locked(struct pid *pgrp) {
    struct task *t;

    list_for_each_entry(t, &pgrp->tasks[PID_PGRP], pid_node[PID_PGRP]) {
        mutex_lock(&t->group->signal_lock);
        bool stopped = t->group->stopped;
        mutex_unlock(&t->group->signal_lock);
        if (stopped)
            return true;
    }
    return false;
}

void pgrp_check_orphaned_locked(struct thread_group *g, struct thread_group *parent, bool leaving) {
    struct linux_siginfo info;

    mutex_assert_held(&g->kernel->taskset_lock);
    /* only a parent in another group of the same session can have kept the group from being orphaned */
    if (!parent || parent->pgrp == g->pgrp || parent->session != g->session)
        return;
    struct pid *pgrp = g->pgrp;
    if (!is_orphaned_locked(pgrp, leaving ? g : NULL) || !has_stopped_locked(pgrp))
        return;
    siginfo_kernel(&info, LINUX_SIGHUP);
    signal_send_pgrp_locked(pgrp, &info);
    siginfo_kernel(&info, LINUX_SIGCONT);
    signal_send_pgrp_locked(pgrp, &info);
}

bool pgrp_in_session(struct kernel *k, struct pid *pgrp, struct pid *session) {
    mutex_lock(&k->taskset_lock);
    struct task *t = pid_task_locked(pgrp, PID_PGRP);
    bool in = t && t->group->session == session;
    mutex_unlock(&k->taskset_lock);
    return in;
}

struct pid *task_find_pid(struct task *t, int number) {
    mutex_lock(&t->kernel->taskset_lock);
    struct pid *pid = pid_find_locked(task_pid_ns(t), number);
    if (pid)
        pid_ref(pid);
    mutex_unlock(&t->kernel->taskset_lock);
    return pid;
}
