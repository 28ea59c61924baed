/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/wait.c: wait4(2) and waitid(2). One scan of the children under taskset_lock; sleeping on the
 * process's own wait queue, on which every change of a child is announced. Source: wait(2), "Linux-specific"
 * options (__WALL, __WCLONE, __WNOTHREAD).
 */
#include <errno.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/restart.h"
#include "sentry/mm/mm.h"

static bool eligible(const struct task *child, const struct wait_request *q, bool traced) {
    switch (q->id_type) {
    case LINUX_P_PID:
        if (child->pid != q->pid)
            return false;
        break;
    case LINUX_P_PGID:
        if (child->group->pgrp != q->pid)
            return false;
        break;
    }
    if (traced || (q->options & LINUX_WALL))
        return true;
    bool clone_child = child->exit_signal != LINUX_SIGCHLD;
    return clone_child == !!(q->options & LINUX_WCLONE);
}

static void fill_result(struct task *t, struct task *child, struct wait_result *ret) {
    struct thread_group *g = child->group;

    ret->pid = task_tid_in(child, task_pid_ns(t));
    cleanup(creds_unrefp) struct creds *c = task_get_creds(child);
    ret->uid = c->uid;
    ret->cpu = thread_group_cpu(g);
    ret->cpu.user_ns += g->children_cpu.user_ns;
    ret->cpu.system_ns += g->children_cpu.system_ns;
    ret->maxrss = MAX(g->maxrss, g->children_maxrss);
    ret->minflt = g->dead_min_faults + child->min_faults + g->children_min_faults;
    ret->switches = g->dead_switches + child->voluntary_switches + g->children_switches;
}

/* Takes the status of a zombie. True: *ret is filled; the child is released unless WNOWAIT. */
static bool try_zombie(struct task *t, struct task *child, const struct wait_request *q,
                       struct wait_result *ret, struct task **ret_dead) {
    if (!(q->options & LINUX_WEXITED) || !task_reapable_locked(child))
        return false;
    int status = task_status_locked(child);
    fill_result(t, child, ret);
    ret->wait_status = status;
    ret->code = end_code_of(status);
    ret->status = status & 0x7f ? status & 0x7f : status >> 8;
    if (q->options & LINUX_WNOWAIT)
        return true;
    if (child->trace.tracer && ptrace_is_reparented_locked(child)) {
        ptrace_unlink_locked(child); /* now its own parent may wait for it */
        if (child == child->group->leader && !task_notify_parent_locked(child))
            return true;
        task_release_locked(child);
        *ret_dead = child;
        return true;
    }
    struct thread_group *pg = t->group;
    pg->children_cpu.user_ns += ret->cpu.user_ns;
    pg->children_cpu.system_ns += ret->cpu.system_ns;
    pg->children_maxrss = MAX(pg->children_maxrss, ret->maxrss);
    pg->children_min_faults += ret->minflt;
    pg->children_switches += ret->switches;
    task_release_locked(child);
    *ret_dead = child;
    return true;
}

/* Stops and continuations of the whole process; with continued_only, only those. */
static bool try_report(struct task *t, struct task *child, const struct wait_request *q,
                       struct wait_result *ret, bool continued_only) {
    struct thread_group *g = child->group;
    int report = 0;

    mutex_lock(&g->signal_lock);
    if ((g->wait_report == LINUX_CLD_STOPPED && (q->options & LINUX_WSTOPPED) && !continued_only) ||
        (g->wait_report == LINUX_CLD_CONTINUED && (q->options & LINUX_WCONTINUED))) {
        report = g->wait_report;
        if (!(q->options & LINUX_WNOWAIT))
            g->wait_report = 0;
    }
    mutex_unlock(&g->signal_lock);
    if (!report)
        return false;
    fill_result(t, child, ret);
    ret->code = report;
    ret->status = report == LINUX_CLD_STOPPED ? g->last_stop_signal : LINUX_SIGCONT;
    ret->wait_status = report == LINUX_CLD_STOPPED ? ret->status << 8 | 0x7f : 0xffff;
    return true;
}

static bool try_job_control(struct task *t, struct task *child, const struct wait_request *q,
                            struct wait_result *ret) {
    return try_report(t, child, q, ret, /* continued_only= */ false);
}

static bool try_continued(struct task *t, struct task *child, const struct wait_request *q,
                          struct wait_result *ret) {
    return try_report(t, child, q, ret, /* continued_only= */ true);
}

/* A stop of a tracee as such. */
static bool try_traced(struct task *t, struct task *child, const struct wait_request *q,
                       struct wait_result *ret) {
    struct task_trace *tr = &child->trace;

    mutex_lock(&child->group->signal_lock);
    int code = tr->stopped && !tr->listening ? tr->stop_code : 0;
    if (code && !(q->options & LINUX_WNOWAIT))
        tr->stop_code = 0;
    mutex_unlock(&child->group->signal_lock);
    if (!code)
        return false;
    fill_result(t, child, ret);
    ret->code = LINUX_CLD_TRAPPED;
    ret->status = code;
    ret->wait_status = code << 8 | 0x7f;
    return true;
}

/* As scan(), of one child or tracee. A process that somebody else traces shows its own parent neither its end
 * nor its stops by the tracer. */
static bool try_child(struct task *t, struct task *child, const struct wait_request *q,
                      struct wait_result *ret, struct task **ret_dead, bool traced) {
    if (child->trace.tracer && !ptrace_is_reparented_locked(child))
        traced = true;
    if (traced || !child->trace.tracer) {
        if (try_zombie(t, child, q, ret, ret_dead))
            return true;
    }
    if (traced)
        return try_traced(t, child, q, ret) ||
               (child == child->group->leader && try_continued(t, child, q, ret));
    return try_job_control(t, child, q, ret);
}

/* 1: *ret is filled; 0: there are such children, none has anything to tell; -ECHILD. */
static int scan(struct task *t, const struct wait_request *q, struct wait_result *ret,
                struct task **ret_dead) {
    struct task *thread, *child;
    bool any = false;

    list_for_each_entry(thread, &t->group->tasks, group_node) {
        if ((q->options & LINUX_WNOTHREAD) && thread != t)
            continue;
        list_for_each_entry(child, &thread->children, sibling) {
            if (!eligible(child, q, /* traced= */ false))
                continue;
            any = true;
            if (try_child(t, child, q, ret, ret_dead, /* traced= */ false))
                return 1;
        }
        list_for_each_entry(child, &thread->trace.tracees, trace.node) {
            if (!eligible(child, q, /* traced= */ true))
                continue;
            any = true;
            if (try_child(t, child, q, ret, ret_dead, /* traced= */ true))
                return 1;
        }
    }
    return any ? 0 : -ECHILD;
}

int task_wait(struct task *t, const struct wait_request *q, struct wait_result *ret) {
    struct kernel *k = t->kernel;
    struct waiter w;
    int r;

    might_block();
    *ret = (struct wait_result){0};
    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&t->group->wait_queue, &w);
    for (;;) {
        struct task *dead = NULL;
        mutex_lock(&k->taskset_lock);
        r = scan(t, q, ret, &dead);
        mutex_unlock(&k->taskset_lock);
        task_unref(dead);
        if (r != 0 || (q->options & LINUX_WNOHANG))
            break;
        r = task_block(t, CLOCK_NEVER);
        if (r < 0)
            break;
    }
    waitq_remove(&w);
    return r < 0 ? r : 0;
}
