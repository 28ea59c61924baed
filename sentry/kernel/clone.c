/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/clone.c: clone(2) and unshare(2). Everything that can fail comes first, on a child that
 * nobody sees; then one commit under taskset_lock. The child's address space and context exist before the
 * commit, so that a host at its limits gives EAGAIN and leaves nothing behind.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/fs/pidfd/pidfd.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/ipc/sem.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/session.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/users.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/mount.h"

#define CLONE_NEW_SIMPLE                                                                                     \
    (LINUX_CLONE_NEWNS | LINUX_CLONE_NEWUTS | LINUX_CLONE_NEWIPC | LINUX_CLONE_NEWPID | LINUX_CLONE_NEWNET | \
     LINUX_CLONE_NEWCGROUP | LINUX_CLONE_NEWTIME)

static int check_flags(struct task *t, uint64_t f) {
    if ((f & LINUX_CLONE_FS) && (f & (LINUX_CLONE_NEWNS | LINUX_CLONE_NEWUSER)))
        return -EINVAL;
    if ((f & LINUX_CLONE_THREAD) && !(f & LINUX_CLONE_SIGHAND))
        return -EINVAL;
    if ((f & LINUX_CLONE_SIGHAND) && !(f & LINUX_CLONE_VM))
        return -EINVAL;
    if ((f & LINUX_CLONE_SIGHAND) && (f & LINUX_CLONE_CLEAR_SIGHAND))
        return -EINVAL;
    if ((f & LINUX_CLONE_PARENT) && t->group->unkillable)
        return -EINVAL;
    if (f & LINUX_CLONE_THREAD) {
        if ((f & (LINUX_CLONE_NEWUSER | LINUX_CLONE_NEWPID)) ||
            t->nsproxy->pid_for_children != task_pid_ns(t))
            return -EINVAL;
    }
    if ((f & LINUX_CLONE_NEWIPC) && (f & LINUX_CLONE_SYSVSEM))
        return -EINVAL; /* adjustments belong to one namespace */
    if ((f & LINUX_CLONE_PIDFD) && (f & LINUX_CLONE_DETACHED))
        return -EINVAL;
    return 0;
}

static int check_limits(struct task *t) {
    if ((uint64_t)atomic_load(&t->account->processes) >= task_limit(t, LINUX_RLIMIT_NPROC) &&
        t->creds->uid != 0 && !task_capable(t, LINUX_CAP_SYS_RESOURCE) &&
        !task_capable(t, LINUX_CAP_SYS_ADMIN))
        return -EAGAIN;
    return 0;
}

/* Only one who could change any id may choose numbers: clone(2), set_tid. */
static int check_set_tid(struct task *t, const struct clone_request *q, struct pid_ns *ns) {
    if (q->set_tid_count == 0)
        return 0;
    if (q->set_tid_count > ns->level + 1)
        return -EINVAL;
    for (size_t i = 0; i < q->set_tid_count; i++, ns = ns->parent)
        if (!task_capable_in(t, ns->user_ns, LINUX_CAP_CHECKPOINT_RESTORE) &&
            !task_capable_in(t, ns->user_ns, LINUX_CAP_SYS_ADMIN))
            return -EPERM;
    return 0;
}

/* ---- the parts of the child ---- */

static struct thread_group *new_group(struct task *t, uint64_t flags) {
    struct thread_group *from = t->group;
    struct sighand *sighand;

    if (flags & LINUX_CLONE_SIGHAND)
        sighand = sighand_ref(from->sighand);
    else
        sighand = sighand_copy(from->sighand);
    if (!sighand)
        return NULL;
    if (flags & LINUX_CLONE_CLEAR_SIGHAND)
        sighand_reset(sighand, /* ignored_too= */ false);
    struct thread_group *g = thread_group_new(t->kernel, sighand);
    if (!g) {
        sighand_unref(sighand);
        return NULL;
    }
    mutex_lock(&from->limits_lock);
    memcpy(g->limits, from->limits, sizeof g->limits);
    mutex_unlock(&from->limits_lock);
    return g;
}

static void copy_own_state(struct task *t, struct task *c, const struct clone_request *q) {
    c->regs = t->regs;
    c->regs.rax = 0;
    c->regs.orig_rax = ~0ull;
    if (q->stack)
        c->regs.rsp = q->stack;
    if (q->flags & LINUX_CLONE_SETTLS)
        c->regs.fs_base = q->tls;
    c->blocked = t->blocked;
    if ((q->flags & (LINUX_CLONE_VM | LINUX_CLONE_VFORK)) != LINUX_CLONE_VM)
        c->altstack = t->altstack;
    c->clear_child_tid = q->flags & LINUX_CLONE_CHILD_CLEARTID ? q->child_tid : 0;
    c->set_child_tid = q->flags & LINUX_CLONE_CHILD_SETTID ? q->child_tid : 0;
    c->exit_signal = q->flags & LINUX_CLONE_THREAD ? -1 : q->exit_signal;
    memcpy(c->name, t->name, sizeof c->name);
    c->nice = t->nice;
    c->ioprio = t->ioprio;
    c->mempolicy = t->mempolicy;
    c->mempolicy_node = t->mempolicy_node;
    c->mce_kill = t->mce_kill;
    c->sched_policy = t->sched_policy;
    c->sched_priority = t->sched_priority;
    if (t->sched_reset_on_fork) {
        c->nice = MAX(c->nice, 0);
        if (c->sched_policy == LINUX_SCHED_FIFO || c->sched_policy == LINUX_SCHED_RR)
            c->sched_policy = c->sched_priority = 0;
    }
    memcpy(c->affinity, t->affinity, sizeof c->affinity);
    c->oom_score_adj = t->oom_score_adj;
    c->personality = t->personality;
    c->no_new_privs = t->no_new_privs;
    c->timer_slack_ns = c->default_timer_slack_ns = t->timer_slack_ns;
}

static int copy_creds(struct task *t, struct task *c, uint64_t flags) {
    if (!(flags & LINUX_CLONE_NEWUSER)) {
        c->creds = creds_ref((struct creds *)(uintptr_t)t->creds);
        return 0;
    }
    struct creds *fresh;
    int r = creds_new_user_ns(t, &fresh);
    if (r == 0)
        c->creds = fresh;
    return r;
}

/* A mount namespace that was just copied: root and cwd move to the copies of where they are. */
static int translate_fs(struct fs_context *fs, struct mnt_ns *mnt) {
    struct path root, cwd, new_root = {0}, new_cwd = {0};

    fs_context_get(fs, &root, &cwd);
    int r = mnt_ns_translate(mnt, &root, &new_root);
    if (r == 0)
        r = mnt_ns_translate(mnt, &cwd, &new_cwd);
    if (r == 0) {
        fs_context_set_root(fs, &new_root);
        fs_context_set_cwd(fs, &new_cwd);
    }
    path_put(&root);
    path_put(&cwd);
    path_put(&new_root);
    path_put(&new_cwd);
    return r;
}

static int copy_files(struct task *t, struct task *c, uint64_t flags) {
    c->files = flags & LINUX_CLONE_FILES ? fd_table_ref(t->files) : fd_table_copy(t->files);
    c->fs = flags & LINUX_CLONE_FS ? fs_context_ref(t->fs) : fs_context_copy(t->fs);
    if (!c->files || !c->fs)
        return -ENOMEM;
    bool enter = !(flags & LINUX_CLONE_VM) && t->nsproxy->time != t->nsproxy->time_for_children;
    if (!(flags & CLONE_NEW_SIMPLE) && !enter) {
        c->nsproxy = nsproxy_ref(t->nsproxy);
        return 0;
    }
    int r = 0;
    if (flags & CLONE_NEW_SIMPLE)
        r = nsproxy_unshare(t, flags & CLONE_NEW_SIMPLE, c->creds->user_ns, &c->nsproxy);
    else if (!(c->nsproxy = nsproxy_copy(t->nsproxy)))
        r = -ENOMEM;
    if (r == 0 && !(flags & LINUX_CLONE_VM)) /* else execve will: time_namespaces(7) */
        nsproxy_enter_time(c->nsproxy);
    if (r == 0 && (flags & LINUX_CLONE_NEWNS))
        r = translate_fs(c->fs, c->nsproxy->mnt);
    return r;
}

static int copy_mm(struct task *t, struct task *c, uint64_t flags) {
    const struct platform_ops *ops = kernel_platform(t->kernel)->ops;

    c->initial_fpu_size = kernel_platform(t->kernel)->fpu_size;
    c->initial_fpu = heap_alloc_bytes(c->initial_fpu_size);
    if (!c->initial_fpu)
        return -ENOMEM;
    ssize_t n = ops->context_get_fpu(task_context(t), c->initial_fpu, c->initial_fpu_size);
    if (n < 0)
        return (int)n;
    c->initial_fpu_size = (size_t)n;
    if (flags & LINUX_CLONE_VM) {
        c->mm = mm_ref(t->mm);
        return 0;
    }
    int r = mm_fork(t->mm, &c->mm);
    if (r == 0 && c->nsproxy->time != t->nsproxy->time)
        vdso_shift(c->mm, time_ns_shifts(c->nsproxy->time));
    return r;
}

static int make_child(struct task *t, const struct clone_request *q, struct task **ret) {
    struct thread_group *g =
        q->flags & LINUX_CLONE_THREAD ? thread_group_ref(t->group) : new_group(t, q->flags);

    if (!g)
        return -ENOMEM;
    struct task *c = task_new(t->kernel, t->container, g);
    thread_group_unref(g); /* the task's own keeps it */
    if (!c)
        return -ENOMEM;
    c->account = user_account_ref(t->kernel->users, t->account);
    copy_own_state(t, c, q);
    int r = copy_creds(t, c, q->flags);
    if (r == 0)
        r = copy_files(t, c, q->flags);
    if (r == 0 && (q->flags & LINUX_CLONE_SYSVSEM))
        r = sem_share_undo(t, &c->sysvsem);
    if (r == 0)
        r = copy_mm(t, c, q->flags);
    if (r == 0)
        r = task_start(c);
    if (r < 0) {
        sem_leave_undo(c);
        task_unref(c);
        return r;
    }
    *ret = c;
    return 0;
}

/* ---- the commit ---- */

static int commit(struct task *t, struct task *c, struct pid *pid, const struct clone_request *q, int event) {
    struct kernel *k = t->kernel;
    struct thread_group *g = t->group;
    int r = 0;

    mutex_lock(&k->taskset_lock);
    mutex_lock(&g->signal_lock);
    if (g->exiting || g->exec_task || (g->stop_signal && !t->trace.on) || t->stop_counted)
        r = -ERESTARTNOINTR; /* a child born now would miss it */
    else
        seccomp_fork_locked(t, c);
    mutex_unlock(&g->signal_lock);
    if (r == 0 && pid_own_ns(pid)->ending)
        r = -ENOMEM;
    struct cgroup *into = q->cgroup && !(q->flags & LINUX_CLONE_THREAD) ? q->cgroup : g->cgroup;
    if (r == 0 && into)
        r = cgroup_can_fork_locked(into);
    if (r == 0) {
        struct task *parent = t;
        if (!(q->flags & LINUX_CLONE_THREAD)) {
            c->group->pgrp = pid_ref(g->pgrp);
            c->group->session = pid_ref(g->session);
            c->group->tty = g->tty ? tty_ref(g->tty) : NULL;
            if (q->flags & LINUX_CLONE_PARENT) {
                parent = g->leader->parent;
                c->exit_signal = g->leader->exit_signal;
            }
        }
        if (q->flags & LINUX_CLONE_VFORK) {
            atomic_store(&c->vfork_pending, true);
            t->vfork_child = task_ref(c);
        }
        task_link_locked(c, pid_ref(pid), parent);
        cgroup_task_linked_locked(c, into);
        if (event || (q->flags & LINUX_CLONE_PTRACE))
            ptrace_link_child_locked(t, c);
        k->total_forks++;
    }
    mutex_unlock(&k->taskset_lock);
    return r;
}

static int alloc_pid(struct task *t, struct task *c, const struct clone_request *q, struct pid **ret) {
    struct pid_ns *ns = q->flags & LINUX_CLONE_THREAD ? task_pid_ns(t) : c->nsproxy->pid_for_children;

    int r = check_set_tid(t, q, ns);
    if (r < 0)
        return r;
    mutex_lock(&t->kernel->taskset_lock);
    r = pid_alloc_locked(ns, q->set_tid, q->set_tid_count, ret);
    mutex_unlock(&t->kernel->taskset_lock);
    return r;
}

static void free_pid(struct task *t, struct pid *pid) {
    if (!pid)
        return;
    mutex_lock(&t->kernel->taskset_lock);
    bool unused = true;
    for (int i = 0; i < PID_ROLES; i++)
        unused = unused && list_empty(&pid->tasks[i]);
    if (unused)
        pid_free_numbers_locked(pid);
    mutex_unlock(&t->kernel->taskset_lock);
    pid_unref(pid);
}

/* Descriptor and tid for the parent, written before the child runs. */
static int tell_parent(struct task *t, struct pid *pid, const struct clone_request *q,
                       struct file **ret_pidfd, int *ret_fd) {
    int number = pid_nr(pid, task_pid_ns(t));

    if (q->flags & LINUX_CLONE_PIDFD) {
        int r = pidfd_new(t, pid, q->flags & LINUX_CLONE_THREAD ? LINUX_O_EXCL : 0, ret_pidfd);
        if (r < 0)
            return r;
        *ret_fd = fd_reserve(t, 0, /* cloexec= */ true);
        if (*ret_fd < 0)
            return *ret_fd;
        if (copy_out(t, q->pidfd, ret_fd, sizeof *ret_fd) < 0)
            return -EFAULT;
    }
    if (q->flags & LINUX_CLONE_PARENT_SETTID) /* a bad address is ignored: clone(2) */
        (void)!copy_out(t, q->parent_tid, &number, sizeof number);
    return 0;
}

int64_t task_clone(struct task *t, const struct clone_request *q) {
    struct task *c = NULL;
    struct pid *pid = NULL;
    struct file *pidfd = NULL;
    int fd = -1, event = ptrace_clone_event(t, q->flags, q->exit_signal);

    might_block();
    int r = check_flags(t, q->flags);
    if (r == 0)
        r = check_limits(t);
    if (r == 0 && q->cgroup)
        r = cgroup_may_enter(q->cgroup, t);
    if (r < 0)
        return r;
    if (atomic_load(&t->pending_work))
        return -ERESTARTNOINTR;
    r = make_child(t, q, &c);
    if (r < 0)
        return r;
    r = alloc_pid(t, c, q, &pid);
    if (r == 0)
        r = tell_parent(t, pid, q, &pidfd, &fd);
    if (r == 0)
        r = commit(t, c, pid, q, event);
    int64_t number = 0;
    if (r == 0) {
        if (c->mm != t->mm && c->mm->user) /* it has attached what its parent had */
            mm_set_user(c->mm, pid);
        number = pid_nr(pid, task_pid_ns(t));
        if (pidfd)
            fd_fill(t, fd, TAKE(pidfd));
        task_go(c);
    } else {
        if (fd >= 0)
            fd_unreserve(t, fd);
        sem_leave_undo(c);
        task_abort(c);
    }
    file_unref(pidfd);
    if (r == 0 && event)
        ptrace_event_pid(t, event, pid);
    free_pid(t, pid);
    task_unref(c);
    return r < 0 ? r : number;
}

/* ---- unshare ---- */

static int unshare_tables(struct task *t, uint64_t flags) {
    if ((flags & LINUX_CLONE_FS) && atomic_load(&t->fs->ref.count) > 1) {
        struct fs_context *copy = fs_context_copy(t->fs);
        if (!copy)
            return -ENOMEM;
        mutex_lock(&t->lock);
        struct fs_context *old = t->fs;
        t->fs = copy;
        mutex_unlock(&t->lock);
        fs_context_unref(old);
    }
    if ((flags & LINUX_CLONE_FILES) && atomic_load(&t->files->ref.count) > 1) {
        struct fd_table *copy = fd_table_copy(t->files);
        if (!copy)
            return -ENOMEM;
        mutex_lock(&t->lock);
        struct fd_table *old = t->files;
        t->files = copy;
        mutex_unlock(&t->lock);
        fd_table_unref(old);
    }
    return 0;
}

static bool single_threaded(struct task *t) {
    mutex_lock(&t->group->signal_lock);
    bool single = t->group->task_count == 1;
    mutex_unlock(&t->group->signal_lock);
    return single;
}

int task_unshare(struct task *t, uint64_t flags) {
    const uint64_t known = CLONE_NEW_SIMPLE | LINUX_CLONE_NEWUSER | LINUX_CLONE_FS | LINUX_CLONE_FILES |
                           LINUX_CLONE_SYSVSEM | LINUX_CLONE_THREAD | LINUX_CLONE_SIGHAND | LINUX_CLONE_VM;
    struct creds *creds = NULL;

    might_block();
    if (flags & ~known)
        return -EINVAL;
    if (flags & LINUX_CLONE_NEWUSER)
        flags |= LINUX_CLONE_THREAD | LINUX_CLONE_FS;
    if ((flags & (LINUX_CLONE_THREAD | LINUX_CLONE_SIGHAND | LINUX_CLONE_VM)) && !single_threaded(t))
        return -EINVAL;
    if (flags & LINUX_CLONE_NEWNS)
        flags |= LINUX_CLONE_FS;
    if ((flags & LINUX_CLONE_VM) && atomic_load(&t->mm->ref.count) > 1)
        return -EINVAL;
    int r = flags & LINUX_CLONE_NEWUSER ? creds_new_user_ns(t, &creds) : 0;
    if (r == 0)
        r = unshare_tables(t, flags);
    struct nsproxy *ns = NULL;
    if (r == 0 && (flags & CLONE_NEW_SIMPLE))
        r = nsproxy_unshare(t, flags & CLONE_NEW_SIMPLE, creds ? creds->user_ns : t->creds->user_ns, &ns);
    if (r == 0 && (flags & LINUX_CLONE_NEWNS))
        r = translate_fs(t->fs, ns->mnt);
    if (r < 0) {
        creds_unref(creds);
        nsproxy_unref(ns);
        return r;
    }
    if (flags & (LINUX_CLONE_SYSVSEM | LINUX_CLONE_NEWIPC))
        sem_leave_undo(t);
    if (creds)
        task_set_creds(t, creds);
    if (ns)
        task_set_nsproxy(t, ns);
    return 0;
}
