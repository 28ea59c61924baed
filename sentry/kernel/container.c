/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/container.c: containers as sets of processes: making, signalling, pausing, ending. Their
 * first processes: container_process.c.
 */
#include <errno.h>
#include <limits.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/vfs/mount.h"

HEAP_TYPE(container, struct container, 0);

static void container_free(struct container *c) {
    if (c->cgroup)
        cgroup_remove_container(c->cgroup);
    cgroup_unref(c->cgroup);
    nsproxy_unref(c->nsproxy);
    mnt_ns_unref(c->mnt_ns);
    pid_ns_unref(c->pid_ns);
    heap_free(c->id);
    heap_free(c);
}

int container_create(struct kernel *k, const char *id, struct mnt_ns *mnt_ns, const char *hostname,
                     const struct container_events *events, struct container **ret) {
    struct container *c = heap_new(container);

    if (!c) {
        mnt_ns_unref(mnt_ns);
        return -ENOMEM;
    }
    list_init(&c->node);
    c->kernel = k;
    c->mnt_ns = mnt_ns;
    c->events = events;
    c->id = heap_strdup(id);
    c->pid_ns = pid_ns_new(k, k->root_pid_ns, mnt_ns->user_ns);
    c->cgroup = cgroup_new_container(k, id);
    c->nsproxy = c->pid_ns && c->cgroup
                     ? nsproxy_new(k, mnt_ns->user_ns, c->pid_ns, mnt_ns, c->cgroup, hostname)
                     : NULL;
    if (!c->id || !c->nsproxy) {
        container_free(c);
        return -ENOMEM;
    }
    mutex_lock(&k->containers_lock);
    list_add_tail(&k->containers, &c->node);
    mutex_unlock(&k->containers_lock);
    *ret = c;
    return 0;
}

int container_share(struct container *c, struct container *other, uint64_t flags) {
    nsproxy_share(c->nsproxy, other->nsproxy, flags & ~(uint64_t)LINUX_CLONE_NEWPID);
    if (!(flags & LINUX_CLONE_NEWPID))
        return 0;
    mutex_lock(&c->kernel->taskset_lock);
    bool lives = other->pid_ns->init != NULL;
    mutex_unlock(&c->kernel->taskset_lock);
    if (!lives)
        return -ESRCH;
    pid_ns_unref(c->nsproxy->pid_for_children);
    c->nsproxy->pid_for_children = pid_ns_ref(other->pid_ns);
    pid_ns_unref(c->pid_ns);
    c->pid_ns = pid_ns_ref(other->pid_ns);
    c->shares_pid_ns = true;
    return 0;
}

static void owner_release(struct hostref *h) {
    (void)h; /* boot's own affair */
}
static const struct hostref_ops g_owner_ops = {.name = "container owner", .release = owner_release};

void container_set_owner(struct container *c, void *owner) {
    c->owner = (struct hostref){.ops = &g_owner_ops, .host.ptr = owner};
}

/* ---- who is in it ---- */

/* The next process with a number >= `number` in the container's namespace, which sees all of them (and maybe
 * those of other containers). taskset_lock held; borrowed. */
static struct task *next_process_locked(struct container *c, int number, int *ret_number) {
    struct pid *pid;

    while ((pid = pid_next_locked(c->pid_ns, number)) != NULL) {
        struct task *t = pid_task_locked(pid, PID_GROUP);
        number = pid_nr(pid, c->pid_ns) + 1;
        if (!t || t->container != c)
            continue;
        *ret_number = number;
        return t;
    }
    return NULL;
}

size_t container_pids(struct container *c, int *ret_pids, size_t max) {
    struct kernel *k = c->kernel;
    struct task *t;
    size_t count = 0;

    mutex_lock(&k->taskset_lock);
    for (int number = 1; (t = next_process_locked(c, number, &number)) != NULL; count++)
        if (count < max)
            ret_pids[count] = task_tgid_in(t, k->root_pid_ns);
    mutex_unlock(&k->taskset_lock);
    return count;
}

struct task *container_find_process(struct container *c, int root_pid) {
    struct kernel *k = c->kernel;

    mutex_lock(&k->taskset_lock);
    struct task *t = pid_task_locked(pid_find_locked(k->root_pid_ns, root_pid), PID_GROUP);
    t = t && t->container == c ? task_ref(t) : NULL;
    mutex_unlock(&k->taskset_lock);
    return t;
}

/* ---- signals ---- */

/* As from a process outside its pid namespace. */
static struct linux_siginfo outside_info(int signo) {
    return (struct linux_siginfo){.signo = signo, .code = LINUX_SI_USER};
}

int container_signal(struct container *c, struct task *process, int signo) {
    struct linux_siginfo info = outside_info(signo);

    (void)c;
    if (signo < 0 || signo > LINUX_NSIG)
        return -EINVAL;
    if (atomic_load(&process->state) >= TASK_ZOMBIE && process->group->task_count <= 1)
        return -ESRCH;
    return signo == 0 ? 0 : signal_send(process, &info, SIGNAL_GROUP);
}

int container_signal_all(struct container *c, int signo) {
    struct linux_siginfo info = outside_info(signo);
    struct task *t;
    int r = -ESRCH;

    if (signo < 0 || signo > LINUX_NSIG)
        return -EINVAL;
    mutex_lock(&c->kernel->taskset_lock);
    for (int number = 1; (t = next_process_locked(c, number, &number)) != NULL;) {
        r = 0;
        if (signo > 0)
            (void)signal_send(t, &info, SIGNAL_GROUP);
    }
    mutex_unlock(&c->kernel->taskset_lock);
    return r;
}

/* A pid namespace's first process takes all others along by itself; where the namespace is shared, this is
 * what does. */
static void end_with_init(struct container *c, uint64_t cookie) {
    if (c->shares_pid_ns && c->init && c->init->group->exit_cookie == cookie)
        (void)!container_signal_all(c, LINUX_SIGKILL);
}

void container_process_ended(struct container *c, uint64_t cookie, int wait_status) {
    end_with_init(c, cookie);
    if (c->events && c->events->process_exited)
        c->events->process_exited(c, cookie, wait_status);
}

/* ---- pause ---- */

void container_changed(struct container *c) {
    atomic_fetch_add(&c->changed, 1);
    host_futex_wake(&c->changed, INT_MAX);
}

void container_task_enter(struct container *c) {
    for (;;) {
        atomic_fetch_add(&c->active_tasks, 1);
        if (!atomic_load(&c->paused))
            return;
        container_task_leave(c);
        uint32_t seen = atomic_load(&c->changed);
        if (atomic_load(&c->paused))
            host_futex_wait(&c->changed, seen, CLOCK_NEVER);
    }
}

/* Whoever destroys the container looks under taskset_lock: after the unlock it may be gone, and only its
 * address is used. */
void container_task_leave(struct container *c) {
    struct kernel *k = c->kernel;

    mutex_lock(&k->taskset_lock);
    bool last = atomic_fetch_sub(&c->active_tasks, 1) == 1;
    atomic_fetch_add(&c->changed, 1);
    mutex_unlock(&k->taskset_lock);
    if (last)
        host_futex_wake(&c->changed, INT_MAX);
}

void task_park(struct task *t) {
    int64_t from = monotonic_ns();

    atomic_fetch_and(&t->pending_work, ~(uint32_t)TASK_WORK_PAUSE);
    container_task_leave(t->container);
    container_task_enter(t->container);
    t->sentry_entered += monotonic_ns() - from;
}

void container_pause(struct container *c) {
    struct task *t, *thread;

    mutex_lock(&c->kernel->taskset_lock);
    atomic_store(&c->paused, true);
    for (int number = 1; (t = next_process_locked(c, number, &number)) != NULL;)
        list_for_each_entry(thread, &t->group->tasks, group_node) task_interrupt(thread, TASK_WORK_PAUSE);
    mutex_unlock(&c->kernel->taskset_lock);
    for (;;) {
        uint32_t seen = atomic_load(&c->changed);
        if (atomic_load(&c->active_tasks) == 0)
            return;
        host_futex_wait(&c->changed, seen, CLOCK_NEVER);
    }
}

void container_resume(struct container *c) {
    atomic_store(&c->paused, false);
    container_changed(c);
}

/* ---- the end ---- */

static void kill_all(struct container *c) {
    struct task *t, *thread;

    mutex_lock(&c->kernel->taskset_lock);
    for (int number = 1; (t = next_process_locked(c, number, &number)) != NULL;) {
        thread_group_exit(t->group, status_killed(LINUX_SIGKILL));
        list_for_each_entry(thread, &t->group->tasks, group_node)
            task_go(thread); /* one that was created but never started */
    }
    mutex_unlock(&c->kernel->taskset_lock);
}

void container_destroy(struct container *c) {
    struct kernel *k = c->kernel;

    might_block();
    container_resume(c);
    kill_all(c);
    for (;;) {
        uint32_t seen = atomic_load(&c->changed);
        mutex_lock(&k->taskset_lock);
        bool gone = c->process_count == 0 && atomic_load(&c->active_tasks) == 0;
        mutex_unlock(&k->taskset_lock);
        if (gone)
            break;
        host_futex_wait(&c->changed, seen, CLOCK_NEVER);
    }
    mutex_lock(&k->containers_lock);
    list_del(&c->node);
    mutex_unlock(&k->containers_lock);
    task_unref(c->init);
    container_free(c);
}
