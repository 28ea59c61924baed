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

static bool eligible(const struct task *child, const struct wait_request *q) {
    switch (q->id_type) {
    case LINUX_P_PID:
        if (child->group->pid != q->pid)
            return false;
        break;
    case LINUX_P_PGID:
        if (child->group->pgrp != q->pid)
            return false;
        break;
    }
    if (q->options & LINUX_WALL)
        return true;
    bool clone_child = child->exit_signal != LINUX_SIGCHLD;
    return clone_child == !!(q->options & LINUX_WCLONE);
}

static void fill_result(struct task *t, struct task *child, struct wait_result *ret) {
    struct thread_group *g = child->group;

    ret->pid = task_tgid_in(child, task_pid_ns(t));
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
    int status = process_status_locked(child);
    fill_result(t, child, ret);
    ret->wait_status = status;
    ret->code = status & 0x7f ? LINUX_CLD_KILLED : LINUX_CLD_EXITED;
    ret->status = status & 0x7f ? status & 0x7f : status >> 8;
    if (q->options & LINUX_WNOWAIT)
        return true;
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

static bool try_job_control(struct task *t, struct task *child, const struct wait_request *q,
                            struct wait_result *ret) {
    struct thread_group *g = child->group;
    int report = 0;

    mutex_lock(&g->signal_lock);
    if ((g->wait_report == LINUX_CLD_STOPPED && (q->options & LINUX_WSTOPPED)) ||
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

/* 1: *ret is filled; 0: there are such children, none has anything to tell; -ECHILD. */
static int scan(struct task *t, const struct wait_request *q, struct wait_result *ret,
                struct task **ret_dead) {
    struct task *thread, *child;
    bool any = false;

    list_for_each_entry(thread, &t->group->tasks, group_node) {
        if ((q->options & LINUX_WNOTHREAD) && thread != t)
            continue;
        list_for_each_entry(child, &thread->children, sibling) {
            if (!eligible(child, q))
                continue;
            any = true;
            if (try_zombie(t, child, q, ret, ret_dead) || try_job_control(t, child, q, ret))
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
