/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/exit.c: the end of a task, its process and its pid namespace. Source: _exit(2),
 * exit_group(2), wait(2), prctl(2) (PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG), pid_namespaces(7),
 * set_tid_address(2), credentials(7).
 */
#include <errno.h>

#include "base/log.h"
#include "sentry/fs/fuse/fuse.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/core_dump.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/ipc/sem.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/session.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/users.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/fd_table.h"

/* ---- asking for the end ---- */

void thread_group_exit_locked(struct thread_group *g, int status) {
    struct task *t;

    mutex_assert_held(&g->signal_lock);
    if (g->live_count == 0)
        return; /* too late: what it ended with stands */
    if (!g->exiting) {
        g->exiting = true;
        g->exit_status = status;
        g->stop_signal = 0;
    }
    list_for_each_entry(t, &g->tasks, group_node) if (!t->exiting) task_interrupt(t, TASK_WORK_EXIT);
}

void thread_group_exit(struct thread_group *g, int status) {
    mutex_lock(&g->signal_lock);
    thread_group_exit_locked(g, status);
    mutex_unlock(&g->signal_lock);
}

/* ---- what a task lets go of ---- */

void task_vfork_done(struct task *t) {
    if (!atomic_load(&t->vfork_pending))
        return;
    atomic_store(&t->vfork_pending, false);
    waitq_wake(&t->vfork_queue, WAIT_ANY);
}

void task_release_mm(struct task *t) {
    struct mm *mm = t->mm;

    if (t->clear_child_tid && mm && atomic_load(&mm->ref.count) > 1) { /* somebody else may be looking */
        int zero = 0;
        if (copy_out(t, t->clear_child_tid, &zero, sizeof zero) == 0)
            (void)futex_wake(t, t->clear_child_tid, /* private= */ false, 1, ~0u);
    }
    t->clear_child_tid = 0;
    mutex_lock(&t->lock);
    t->mm = NULL;
    mutex_unlock(&t->lock);
    mm_unref(mm);
    task_vfork_done(t);
}

static void drop_resources(struct task *t) {
    mutex_lock(&t->lock);
    struct fd_table *files = TAKE(t->files);
    struct fs_context *fs = TAKE(t->fs);
    struct nsproxy *ns = TAKE(t->nsproxy);
    mutex_unlock(&t->lock);
    fd_table_unref(files);
    fs_context_unref(fs);
    nsproxy_unref(ns);
    seccomp_exit(t);
}

/* Takes no more signals; others take what was on its way to it. Returns whether it was the last of its group,
 * and the status that it ends with. */
static bool stop_taking_signals(struct task *t, int *status) {
    struct thread_group *g = t->group;

    mutex_lock(&g->signal_lock);
    if (g->exiting)
        *status = g->exit_status;
    t->exiting = true;
    if (unlikely(atomic_load(&g->dump)))
        core_dump_leaving_locked(t);
    bool last = --g->live_count == 0;
    signal_retarget_locked(t, ~t->blocked);
    bool report = signal_stop_counted_off_locked(t) && !last;
    sigpending_flush(&t->pending, ~0ull);
    mutex_unlock(&g->signal_lock);
    if (report)
        signal_report_job_control(g, LINUX_CLD_STOPPED);
    return last;
}

/* ---- the parent ---- */

int task_status_locked(struct task *t) {
    struct thread_group *g = t->group;

    mutex_lock(&g->signal_lock);
    int status = g->exiting ? g->exit_status : t->exit_status;
    mutex_unlock(&g->signal_lock);
    return status;
}

static void fill_exit_info(struct task *t, struct task *parent, int signo, struct linux_siginfo *info) {
    struct thread_group *g = t->group;
    struct cpu_times cpu = thread_group_cpu(g);
    int status = task_status_locked(t);
    cleanup(creds_unrefp) struct creds *pc = task_get_creds(parent);

    *info = (struct linux_siginfo){.signo = signo, .code = end_code_of(status)};
    info->chld.pid = task_tid_in(t, task_pid_ns(parent));
    info->chld.uid = from_kuid(pc->user_ns, t->creds->uid);
    info->chld.status = status & 0x7f ? status & 0x7f : status >> 8;
    info->chld.utime = cpu.user_ns / (NSEC_PER_SEC / 100);
    info->chld.stime = cpu.system_ns / (NSEC_PER_SEC / 100);
}

/* Who hears of the end of t, and by which signal: its tracer while there is one. */
static struct task *listener_locked(struct task *t, int *ret_signo) {
    struct thread_group *g = t->group;

    *ret_signo = t->exit_signal;
    if (!t->trace.tracer)
        return t->parent;
    if (t != g->leader || g->task_count > 1 || ptrace_is_reparented_locked(t))
        *ret_signo = LINUX_SIGCHLD;
    return t->trace.tracer;
}

bool task_notify_parent_locked(struct task *t) {
    bool autoreap = false;
    int signo;
    struct task *parent = listener_locked(t, &signo);

    mutex_assert_held(&t->kernel->taskset_lock);
    if (t == t->group->leader)
        waitq_wake(&t->group->pid->exit_queue, WAIT_ANY);
    if (!parent)
        return true;
    struct thread_group *pg = parent->group;
    struct linux_siginfo info;
    fill_exit_info(t, parent, signo, &info);
    mutex_lock(&pg->signal_lock);
    mutex_lock(&pg->sighand->lock);
    struct linux_sigaction a = pg->sighand->actions[LINUX_SIGCHLD - 1];
    mutex_unlock(&pg->sighand->lock);
    if (signo == LINUX_SIGCHLD && (a.handler == LINUX_SIG_IGN || (a.flags & LINUX_SA_NOCLDWAIT))) {
        autoreap = true; /* wait(2), "NOTES": POSIX.1-2001; no signal if it is ignored */
        if (a.handler == LINUX_SIG_IGN)
            signo = 0;
    }
    if (signo > 0 && signo <= LINUX_NSIG)
        (void)signal_send_locked(parent, &info, SIGNAL_GROUP);
    mutex_unlock(&pg->signal_lock);
    waitq_wake(&pg->wait_queue, WAIT_ANY);
    return autoreap;
}

bool task_reapable_locked(struct task *t) {
    return atomic_load(&t->state) == TASK_ZOMBIE && (t->group->task_count == 1 || t != t->group->leader);
}

/* Who gets the children of t, which ends: another thread of it, the nearest subreaper above, the init of its
 * pid namespace. */
static struct task *find_reaper_locked(struct task *t) {
    struct thread_group *g = t->group;
    struct pid_ns *ns = task_pid_ns(t);
    struct task *other;

    list_for_each_entry(other, &g->tasks, group_node) if (other != t &&
                                                          atomic_load(&other->state) < TASK_ZOMBIE &&
                                                          !other->exiting) return other;
    for (struct task *up = g->leader->parent; up && task_pid_ns(up) == ns; up = up->group->leader->parent) {
        if (up == ns->init || up->group == (ns->init ? ns->init->group : NULL))
            break;
        if (!up->group->child_subreaper)
            continue;
        list_for_each_entry(other, &up->group->tasks,
                            group_node) if (atomic_load(&other->state) < TASK_ZOMBIE &&
                                            !other->exiting) return other;
    }
    if (ns->init && ns->init->group != g) {
        list_for_each_entry(other, &ns->init->group->tasks,
                            group_node) if (atomic_load(&other->state) < TASK_ZOMBIE) return other;
    }
    return NULL; /* the kernel itself */
}

static void send_parent_death(struct task *leader) {
    struct task *t;

    list_for_each_entry(t, &leader->group->tasks, group_node) {
        struct linux_siginfo info;
        if (t->pdeath_signal == 0)
            continue;
        siginfo_kernel(&info, t->pdeath_signal);
        info.code = LINUX_SI_USER;
        (void)signal_send(t, &info, SIGNAL_GROUP);
    }
}

/* Gives the children of t to another. Those that nobody will wait for are released: put on `dead`, by
 * sibling. */
static void reparent_children_locked(struct task *t, struct list *dead) {
    struct task *child, *next, *reaper = list_empty(&t->children) ? NULL : find_reaper_locked(t);

    list_for_each_entry_safe(child, next, &t->children, sibling) {
        list_del(&child->sibling);
        send_parent_death(child);
        child->parent = reaper;
        if (reaper)
            list_add_tail(&reaper->children, &child->sibling);
        if (reaper && reaper->group == t->group)
            continue;
        child->exit_signal = LINUX_SIGCHLD;
        if (task_reapable_locked(child) && task_notify_parent_locked(child)) {
            task_release_locked(child);
            list_add_tail(dead, &child->sibling);
            continue;
        }
        pgrp_check_orphaned_locked(child->group, t->group, /* leaving= */ false);
    }
}

/* ---- out of the tables ---- */

void task_release_locked(struct task *t) {
    struct thread_group *g = t->group;
    struct cpu_times cpu = task_cpu_times(t);

    mutex_assert_held(&t->kernel->taskset_lock);
    if (t->trace.tracer)
        ptrace_unlink_locked(t);
    atomic_store(&t->state, TASK_DEAD);
    pid_detach_locked(t->pid, PID_TASK, t);
    if (!list_empty(&t->pid_node[PID_GROUP])) {
        pid_detach_locked(g->pid, PID_GROUP, t);
        pid_detach_locked(g->pgrp, PID_PGRP, t);
        pid_detach_locked(g->session, PID_SESSION, t);
    }
    list_del(&t->sibling);
    mutex_lock(&g->signal_lock);
    list_del(&t->group_node);
    g->task_count--;
    g->dead_cpu.user_ns += cpu.user_ns;
    g->dead_cpu.system_ns += cpu.system_ns;
    mutex_unlock(&g->signal_lock);
    t->kernel->gone_user_ns += cpu.user_ns;
    t->kernel->gone_system_ns += cpu.system_ns;
    t->kernel->gone_switches += t->voluntary_switches;
    for (int i = 0; i < IO_DIRECTIONS; i++) {
        g->dead_io[i].calls += t->io[i].calls;
        g->dead_io[i].bytes += t->io[i].bytes;
    }
    g->dead_min_faults += t->min_faults;
    g->dead_switches += t->voluntary_switches;
    if (g->leader == t) {
        g->leader = NULL;
        t->container->process_count--;
        container_changed(t->container);
        waitq_wake(&g->pid->exit_queue, WAIT_ANY);
    } else {
        waitq_wake(&t->pid->exit_queue, WAIT_ANY);
    }
    t->kernel->task_count--;
    cgroup_task_released_locked(t);
    atomic_fetch_sub(&t->account->processes, 1);
}

static void unref_dead(struct list *dead) {
    while (!list_empty(dead)) {
        struct task *t = list_first_entry(dead, struct task, sibling);
        list_del(&t->sibling);
        task_unref(t);
    }
}

/* A thread that its tracer has yet to see the end of. True: nobody wants to, it may go. */
static bool stays_for_tracer_locked(struct task *t) {
    return t->trace.tracer && !task_notify_parent_locked(t);
}

/* The last step: zombie, or gone at once. Returns the status of the process if this was its last task. */
static int become_zombie(struct task *t, int status) {
    struct kernel *k = t->kernel;
    struct thread_group *g = t->group;
    struct list dead = LIST_INIT(dead);
    int process_status = status;

    mutex_lock(&k->taskset_lock);
    reparent_children_locked(t, &dead);
    t->exit_status = status;
    struct task *leader = g->leader;
    bool is_leader = leader == t;
    cgroup_task_ended_locked(t);
    if (is_leader || t->trace.tracer)
        atomic_store(&t->state, TASK_ZOMBIE);
    if (is_leader) {
        if (g->task_count > 1)
            (void)stays_for_tracer_locked(t);
    } else if (!stays_for_tracer_locked(t)) {
        task_release_locked(t);
        list_add_tail(&dead, &t->sibling);
    }
    if (atomic_load(&leader->state) == TASK_ZOMBIE && g->task_count == 1) {
        pgrp_check_orphaned_locked(g, leader->parent ? leader->parent->group : NULL, /* leaving= */ true);
        process_status = task_status_locked(leader);
        if (task_notify_parent_locked(leader)) {
            task_release_locked(leader);
            list_add_tail(&dead, &leader->sibling);
        }
    }
    waitq_wake(&g->exec_queue, WAIT_ANY);
    mutex_unlock(&k->taskset_lock);
    unref_dead(&dead);
    return process_status;
}

/* ---- the end of a namespace ---- */

/* Releases init's dead children whatever their signal. True: only init's own tasks are left. */
static bool reap_rest_of_ns(struct task *t, struct pid_ns *ns) {
    struct list dead = LIST_INIT(dead);
    struct task *child, *next;

    mutex_lock(&t->kernel->taskset_lock);
    list_for_each_entry_safe(child, next, &t->children, sibling) {
        if (!task_reapable_locked(child))
            continue;
        task_release_locked(child);
        list_add_tail(&dead, &child->sibling);
    }
    bool alone = ns->count <= t->group->task_count;
    mutex_unlock(&t->kernel->taskset_lock);
    unref_dead(&dead);
    return alone;
}

/* Its init has ended: everything in it is killed, and init waits until all is gone. pid_namespaces(7). */
static void end_pid_ns(struct task *t, struct pid_ns *ns) {
    struct kernel *k = t->kernel;
    struct waiter freed, child;

    mutex_lock(&t->group->signal_lock);
    mutex_lock(&t->group->sighand->lock);
    t->group->sighand->actions[LINUX_SIGCHLD - 1].handler =
        LINUX_SIG_IGN; /* its children are reaped by themselves */
    mutex_unlock(&t->group->sighand->lock);
    mutex_unlock(&t->group->signal_lock);
    mutex_lock(&k->taskset_lock);
    ns->ending = true;
    for (struct pid *pid = pid_next_locked(ns, 1); pid; pid = pid_next_locked(ns, pid_nr(pid, ns) + 1)) {
        struct task *p = pid_task_locked(pid, PID_GROUP);
        if (p && p->group != t->group)
            thread_group_exit(p->group, status_killed(LINUX_SIGKILL));
    }
    mutex_unlock(&k->taskset_lock);
    waiter_init_task(&freed, t, WAIT_ANY);
    waiter_init_task(&child, t, WAIT_ANY);
    waitq_add(&ns->empty_queue, &freed);
    waitq_add(&t->group->wait_queue, &child);
    while (!reap_rest_of_ns(t, ns))
        task_block_uninterruptible(t);
    waitq_remove(&freed);
    waitq_remove(&child);
    mutex_lock(&k->taskset_lock);
    ns->init = NULL;
    mutex_unlock(&k->taskset_lock);
}

static void end_session_of_terminal(struct task *t) {
    if (!task_is_session_leader(t))
        return;
    struct tty *tty = task_get_tty(t);
    if (!tty)
        return;
    struct pid *session = task_get_session(t);
    tty_session_ended(tty, session);
    pid_unref(session);
    tty_unref(tty);
}

/* What ends with the last thread. */
static void end_process(struct task *t) {
    itimers_cancel(t->group);
    posix_timers_delete_all(t->group);
    end_session_of_terminal(t);
    task_set_tty(t, NULL);
}

/* What it will end with, as far as can be told now. */
static int exit_status_of(struct task *t, int status) {
    mutex_lock(&t->group->signal_lock);
    if (t->group->exiting)
        status = t->group->exit_status;
    mutex_unlock(&t->group->signal_lock);
    return status;
}

void task_exit(struct task *t, int status) {
    struct thread_group *g = t->group;
    struct container *c = t->container;

    might_block();
    ptrace_tracer_ends(t); /* first: two tasks that trace each other must not wait for each other */
    ptrace_event(t, LINUX_PTRACE_EVENT_EXIT, (uint64_t)exit_status_of(t, status));
    bool last = stop_taking_signals(t, &status);
    futex_exit_robust_list(t);
    task_release_mm(t);
    fuse_forget_request(t);
    sem_leave_undo(t);
    drop_resources(t);
    task_drop_context(t);
    ptrace_tracer_ends(t); /* whom it got meanwhile: a child's PTRACE_TRACEME */
    cpu_time_left_sentry(t, monotonic_ns());
    task_unref(TAKE(t->vfork_child));
    if (last)
        end_process(t);
    struct pid_ns *ns = task_pid_ns(t);
    if (last && ns->init && ns->init->group == g)
        end_pid_ns(t, ns);
    uint64_t cookie = g->exit_cookie;
    bool tell = last && g->from_outside;
    log_debug(LOG_KERNEL, "tid %d ends with %#x", task_tid(t), status);
    int process_status = become_zombie(t, status);
    if (tell)
        container_process_ended(c, cookie, process_status);
}
