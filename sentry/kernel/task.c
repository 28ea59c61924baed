/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/task.c: tasks and thread groups as objects: making, freeing, looking at others. How they run:
 * task_run.c.
 */
#include "sentry/kernel/task.h"

#include <errno.h>
#include <string.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/session.h"
#include "sentry/kernel/users.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/landlock.h"

HEAP_TYPE(task, struct task, 0);
HEAP_TYPE(thread_group, struct thread_group, 0);

/* ---- thread groups ---- */

static void thread_group_destroy(struct thread_group *g) {
    ASSERT(list_empty(&g->tasks));
    ASSERT(list_empty(&g->posix_timers));
    ktimer_cancel_sync(&g->real_timer);
    ktimer_cancel_sync(&g->cpu_timer);
    sigpending_flush(&g->shared_pending, ~0ull);
    sighand_unref(g->sighand);
    pid_unref(g->pid);
    pid_unref(g->pgrp);
    pid_unref(g->session);
    if (g->tty)
        tty_unref(g->tty);
    cgroup_unref(g->cgroup);
    heap_free(g);
}
DEFINE_REF(thread_group, thread_group_destroy);

struct thread_group *thread_group_new(struct kernel *k, struct sighand *sighand) {
    struct thread_group *g = heap_new(thread_group);

    if (!g)
        return NULL;
    thread_group_ref_init(g);
    g->kernel = k;
    g->sighand = sighand;
    mutex_init(&g->limits_lock, RANK_LIMITS);
    mutex_init(&g->signal_lock, RANK_SIGHAND);
    list_init(&g->tasks);
    list_init(&g->posix_timers);
    list_init(&g->cgroup_node);
    waitq_init(&g->wait_queue);
    waitq_init(&g->exec_queue);
    waitq_init(&g->signalfd_queue);
    sigpending_init(&g->shared_pending);
    itimers_init(g);
    for (int i = 0; i < LINUX_RLIM_NLIMITS; i++)
        g->limits[i] = (struct linux_rlimit64){LINUX_RLIM_INFINITY, LINUX_RLIM_INFINITY};
    return g;
}

/* ---- tasks ---- */

static void task_destroy(struct task *t) {
    ASSERT(!task_context(t));
    ASSERT(list_empty(&t->children));
    ASSERT(list_empty(&t->trace.tracees));
    if (t->seccomp_filter) /* a child that was not to be */
        seccomp_exit(t);
    sigpending_flush(&t->pending, ~0ull);
    mm_unref(t->mm);
    fd_table_unref(t->files);
    fs_context_unref(t->fs);
    nsproxy_unref(t->nsproxy);
    creds_unref((struct creds *)(uintptr_t)t->creds);
    task_unref(t->vfork_child);
    user_account_put(t->kernel->users, t->account);
    pid_unref(t->pid);
    pid_unref(t->first_pid);
    creds_unref(t->trace.tracer_creds);
    heap_free(t->trace.fpu);
    heap_free(t->initial_fpu);
    thread_group_unref(t->group);
    heap_free(t);
}
DEFINE_REF(task, task_destroy);

struct task *task_new(struct kernel *k, struct container *c, struct thread_group *group) {
    struct task *t = heap_new(task);

    if (!t)
        return NULL;
    task_ref_init(t);
    t->kernel = k;
    t->container = c;
    t->group = thread_group_ref(group);
    t->start_time = monotonic_ns();
    mutex_init(&t->wake_lock, RANK_WAITER);
    mutex_init(&t->lock, RANK_TASK);
    sigpending_init(&t->pending);
    list_init(&t->children);
    list_init(&t->sibling);
    list_init(&t->group_node);
    for (int i = 0; i < PID_ROLES; i++)
        list_init(&t->pid_node[i]);
    waitq_init(&t->vfork_queue);
    ptrace_init(t);
    t->altstack.flags = LINUX_SS_DISABLE;
    t->exit_request = -1;
    t->timer_slack_ns = t->default_timer_slack_ns = 50000;
    for (unsigned i = 0; i < k->cpu_count && i < 64 * ARRAY_SIZE(t->affinity); i++)
        t->affinity[i / 64] |= 1ull << (i % 64);
    return t;
}

void task_link_locked(struct task *t, struct pid *pid, struct task *parent) {
    struct kernel *k = t->kernel;
    struct thread_group *g = t->group;
    bool leader = list_empty(&g->tasks);

    mutex_assert_held(&k->taskset_lock);
    t->pid = pid;
    pid_attach_locked(pid, PID_TASK, t);
    if (leader) {
        g->leader = t;
        g->pid = pid_ref(pid);
        pid_attach_locked(pid, PID_GROUP, t);
        pid_attach_locked(g->pgrp, PID_PGRP, t);
        pid_attach_locked(g->session, PID_SESSION, t);
        t->parent = parent;
        if (parent)
            list_add_tail(&parent->children, &t->sibling);
        t->container->process_count++;
        struct pid_ns *ns = pid_own_ns(pid);
        if (pid_nr(pid, ns) == 1) {
            ns->init = t;
            g->unkillable = true;
        }
    }
    mutex_lock(&g->signal_lock);
    list_add_tail(&g->tasks, &t->group_node);
    g->task_count++;
    g->live_count++;
    mutex_unlock(&g->signal_lock);
    k->task_count++;
    atomic_fetch_add(&t->account->processes, 1);
    task_ref(t); /* the taskset's */
    if (atomic_load(&t->container->paused))
        task_interrupt(t, TASK_WORK_PAUSE);
}

/* ---- looking at others ---- */

static struct task *find_in_role(struct task *viewer, int number, enum pid_role role) {
    struct kernel *k = viewer->kernel;

    mutex_lock(&k->taskset_lock);
    struct pid *pid = pid_find_locked(task_pid_ns(viewer), number);
    struct task *t = pid_task_locked(pid, role);
    if (t)
        task_ref(t);
    mutex_unlock(&k->taskset_lock);
    return t;
}

struct task *task_find(struct task *viewer, int tid) {
    return find_in_role(viewer, tid, PID_TASK);
}

struct task *task_find_process(struct task *viewer, int pid) {
    return find_in_role(viewer, pid, PID_GROUP);
}

struct task *task_next_process(struct pid_ns *ns, int number, int *ret_pid) {
    struct kernel *k = heap_root();
    struct task *t = NULL;

    mutex_lock(&k->taskset_lock);
    for (struct pid *pid = pid_next_locked(ns, number); pid; pid = pid_next_locked(ns, pid_nr(pid, ns) + 1)) {
        t = pid_task_locked(pid, PID_GROUP);
        if (t) {
            task_ref(t);
            *ret_pid = pid_nr(pid, ns);
            break;
        }
    }
    mutex_unlock(&k->taskset_lock);
    return t;
}

struct task *task_next_thread(struct thread_group *g, struct pid_ns *ns, int tid, int *ret_tid) {
    struct task *t, *best = NULL;

    mutex_lock(&g->kernel->taskset_lock);
    list_for_each_entry(t, &g->tasks, group_node) {
        int number = pid_nr(t->pid, ns);
        if (number < tid || number == 0 || (best && number > *ret_tid))
            continue;
        best = t;
        *ret_tid = number;
    }
    if (best)
        task_ref(best);
    mutex_unlock(&g->kernel->taskset_lock);
    return best;
}

int task_tid_in(struct task *t, struct pid_ns *ns) {
    return pid_nr(t->pid, ns);
}

int task_tgid_in(struct task *t, struct pid_ns *ns) {
    return pid_nr(t->group->pid, ns);
}

struct task *task_get_parent(struct task *t) {
    struct kernel *k = t->kernel;

    mutex_lock(&k->taskset_lock);
    struct task *leader = t->group->leader, *parent = leader ? leader->parent : NULL;
    if (parent)
        task_ref(parent);
    mutex_unlock(&k->taskset_lock);
    return parent;
}

int task_ppid_in(struct task *t, struct pid_ns *ns) {
    struct kernel *k = t->kernel;

    mutex_lock(&k->taskset_lock);
    struct task *leader = t->group->leader, *parent = leader ? leader->parent : NULL;
    int number = parent ? pid_nr(parent->group->pid, ns) : 0;
    mutex_unlock(&k->taskset_lock);
    return number;
}

int task_pgrp_in(struct task *t, struct pid_ns *ns) {
    mutex_lock(&t->kernel->taskset_lock);
    int number = pid_nr(t->group->pgrp, ns);
    mutex_unlock(&t->kernel->taskset_lock);
    return number;
}

int task_session_in(struct task *t, struct pid_ns *ns) {
    mutex_lock(&t->kernel->taskset_lock);
    int number = pid_nr(t->group->session, ns);
    mutex_unlock(&t->kernel->taskset_lock);
    return number;
}

struct pid_ns *task_pid_ns(struct task *t) {
    return pid_own_ns(t->pid);
}

int task_tid(struct task *t) {
    return task_tid_in(t, task_pid_ns(t));
}

int task_tgid(struct task *t) {
    return task_tgid_in(t, task_pid_ns(t));
}

struct creds *task_get_creds(struct task *t) {
    mutex_lock(&t->lock);
    struct creds *c = creds_ref((struct creds *)(uintptr_t)t->creds);
    mutex_unlock(&t->lock);
    return c;
}

/* The account that counts t's process and signals follows the real user id. */
static void move_account(struct task *t, kuid_t uid) {
    struct user_table *users = t->kernel->users;
    struct user_account *fresh = user_account_get(users, uid);

    if (!fresh)
        return; /* no memory: goes on counting where it was */
    mutex_lock(&t->lock);
    struct user_account *old = t->account;
    t->account = fresh;
    mutex_unlock(&t->lock);
    atomic_fetch_add(&fresh->processes, 1);
    atomic_fetch_sub(&old->processes, 1);
    user_account_put(users, old);
}

/* Are these rights that the old ones did not give? All of them are there for who owns the namespace already:
   user_namespaces(7), "Capabilities". */
static bool gains_capabilities(const struct creds *old, const struct creds *c) {
    if (c->user_ns == old->user_ns)
        return c->permitted & ~old->permitted;
    for (const struct user_ns *ns = c->user_ns; ns; ns = ns->parent)
        if (ns->parent == old->user_ns && ns->owner == old->euid)
            return false;
    return true;
}

void task_set_creds(struct task *t, struct creds *c) {
    const struct creds *old = t->creds;

    /* credentials that change what others may do to it: prctl(2), PR_SET_DUMPABLE and PR_SET_PDEATHSIG */
    if (old->euid != c->euid || old->egid != c->egid || old->fsuid != c->fsuid || old->fsgid != c->fsgid ||
        gains_capabilities(old, c)) {
        if (t->mm)
            t->mm->dumpable = 0;
        t->pdeath_signal = 0;
    }
    if (old->uid != c->uid)
        move_account(t, c->uid);
    mutex_lock(&t->lock);
    t->creds = c;
    t->answers_stale = true;
    mutex_unlock(&t->lock);
    creds_unref((struct creds *)(uintptr_t)old);
}

bool task_capable(struct task *t, int cap) {
    return task_capable_in(t, t->creds->user_ns, cap);
}

bool task_capable_in(struct task *t, struct user_ns *ns, int cap) {
    return creds_has_cap_in(t->creds, ns, cap);
}

#define DEFINE_TASK_GETTER(type, member)                                                                     \
    struct type *task_get_##member(struct task *t) {                                                         \
        mutex_lock(&t->lock);                                                                                \
        struct type *p = t->member ? type##_ref(t->member) : NULL;                                           \
        mutex_unlock(&t->lock);                                                                              \
        return p;                                                                                            \
    }
DEFINE_TASK_GETTER(mm, mm)
DEFINE_TASK_GETTER(fd_table, files)
DEFINE_TASK_GETTER(fs_context, fs)
DEFINE_TASK_GETTER(nsproxy, nsproxy)

void task_get_name(struct task *t, char name[LINUX_TASK_COMM_LEN]) {
    mutex_lock(&t->lock);
    memcpy(name, t->name, LINUX_TASK_COMM_LEN);
    mutex_unlock(&t->lock);
}

void task_set_name(struct task *t, const char *name) {
    mutex_lock(&t->lock);
    memset(t->name, 0, sizeof t->name);
    strncpy(t->name, name, sizeof t->name - 1);
    mutex_unlock(&t->lock);
}

char task_state_letter(struct task *t) {
    switch ((enum task_state)atomic_load_explicit(&t->state, memory_order_relaxed)) {
    case TASK_RUNNING:
        return 'R';
    case TASK_BLOCKED:
        return 'S';
    case TASK_STOPPED:
        return 'T';
    case TASK_TRACED:
        return 't';
    case TASK_ZOMBIE:
        return 'Z';
    case TASK_DEAD:
        return 'X';
    }
    return '?';
}

/* ptrace(2), "Ptrace access mode checking", with real ids (REALCREDS) as /proc and kcmp ask. */
int task_ptrace_may_access(struct task *t, struct task *target, bool attach) {
    const struct creds *c = t->creds;

    (void)attach; /* READ and ATTACH differ for Linux security modules only */
    if (t->group == target->group)
        return 0;
    cleanup(creds_unrefp) struct creds *tc = task_get_creds(target);
    bool same = c->uid == tc->euid && c->uid == tc->suid && c->uid == tc->uid && c->gid == tc->egid &&
                c->gid == tc->sgid && c->gid == tc->gid;
    bool capable = creds_has_cap_in(c, tc->user_ns, LINUX_CAP_SYS_PTRACE);
    if (!same && !capable)
        return -EPERM;
    cleanup(mm_unrefp) struct mm *mm = task_get_mm(target);
    if (mm && mm->dumpable != 1 && !creds_has_cap_in(c, mm->user_ns, LINUX_CAP_SYS_PTRACE))
        return -EPERM;
    if (!capable && (tc->user_ns != c->user_ns || (tc->permitted & ~c->permitted)))
        return -EPERM;
    return landlock_contains(c->landlock, tc->landlock) ? 0 : -EPERM;
}

uint64_t task_limit(struct task *t, int resource) {
    mutex_lock(&t->group->limits_lock);
    uint64_t limit = t->group->limits[resource].cur;
    mutex_unlock(&t->group->limits_lock);
    return limit;
}
