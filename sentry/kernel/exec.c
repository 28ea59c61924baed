/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/exec.c: execve(2). The new program is loaded completely, with its address space and platform
 * context, before anything of the task changes; then the other threads end (de_thread), and from there on a
 * failure kills the process. Source: execve(2), "NOTES"; signal(7).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/system.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "sentry/kernel/exec_internal.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/vfs.h"

/* ---- the other threads end ---- */

/* True: only the caller and maybe a dead leader are left. */
static bool alone_locked(struct task *t) {
    struct thread_group *g = t->group;

    if (g->task_count == 1)
        return true;
    return g->task_count == 2 && g->leader != t && atomic_load(&g->leader->state) == TASK_ZOMBIE;
}

/* The caller takes the dead leader's place: pid, parent, groups. Returns the old leader, whose taskset
 * reference the caller drops. */
static struct task *become_leader_locked(struct task *t) {
    struct thread_group *g = t->group;
    struct task *old = g->leader;

    if (old == t)
        return NULL;
    pid_detach_locked(t->pid, PID_TASK, t);
    t->first_pid = t->pid;
    t->pid = pid_ref(g->pid);
    pid_attach_locked(g->pid, PID_TASK, t);
    pid_attach_locked(g->pid, PID_GROUP, t);
    pid_attach_locked(g->pgrp, PID_PGRP, t);
    pid_attach_locked(g->session, PID_SESSION, t);
    t->parent = old->parent;
    if (t->parent)
        list_insert_between(&t->sibling, &old->sibling, old->sibling.next);
    t->exit_signal = LINUX_SIGCHLD;
    t->start_time = old->start_time;
    g->leader = t;
    struct pid_ns *ns = pid_own_ns(g->pid);
    if (ns->init == old)
        ns->init = t;
    task_release_locked(old);
    return old;
}

static int de_thread(struct task *t) {
    struct kernel *k = t->kernel;
    struct thread_group *g = t->group;
    struct task *other;
    struct waiter w;
    int r = 0;

    mutex_lock(&g->signal_lock);
    if (g->exiting || g->exec_task)
        r = -EAGAIN;
    if (r == 0) {
        g->exec_task = t;
        list_for_each_entry(other, &g->tasks, group_node) if (other != t && !other->exiting)
            task_interrupt(other, TASK_WORK_EXIT);
    }
    mutex_unlock(&g->signal_lock);
    if (r < 0)
        return r;
    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&g->exec_queue, &w);
    struct task *old = NULL;
    for (;;) {
        mutex_lock(&k->taskset_lock);
        bool alone = alone_locked(t);
        if (alone)
            old = become_leader_locked(t);
        mutex_unlock(&k->taskset_lock);
        if (alone)
            break;
        r = task_block_killable(t, CLOCK_NEVER);
        if (r < 0)
            break;
    }
    waitq_remove(&w);
    mutex_lock(&g->signal_lock);
    g->exec_task = NULL;
    mutex_unlock(&g->signal_lock);
    task_unref(old);
    return r < 0 ? -EAGAIN : 0;
}

/* ---- the commit ---- */

struct exec_state {
    struct file *file;
    struct creds *creds;
    struct load_result loaded;
    struct context *context;
    struct sighand *sighand;
    bool secure;
};

static void replace_mm(struct task *t, struct exec_state *x) {
    struct mm *mm = x->loaded.mm;
    const struct creds *c = x->creds;

    if (!mm->exe)
        mm->exe = TAKE(x->loaded.exe);
    /* prctl(2), PR_SET_DUMPABLE */
    mm->dumpable = c->euid == c->uid && c->egid == c->gid && !x->secure;
    mm->user_ns = user_ns_ref(c->user_ns);
    mm->dump_filter = t->mm->dump_filter;
    futex_exit_robust_list(t);
    t->robust_list = 0;
    task_release_mm(t);
    mutex_lock(&t->lock);
    t->mm = TAKE(x->loaded.mm);
    mutex_unlock(&t->lock);
    task_install_context(t, TAKE(x->context));
}

static void replace_sighand(struct task *t, struct exec_state *x) {
    struct thread_group *g = t->group;

    mutex_lock(&g->signal_lock);
    struct sighand *old = g->sighand;
    g->sighand = TAKE(x->sighand);
    mutex_lock(&old->lock);
    memcpy(g->sighand->actions, old->actions, sizeof old->actions);
    mutex_unlock(&old->lock);
    mutex_unlock(&g->signal_lock);
    sighand_reset(g->sighand, /* ignored_too= */ false);
    sighand_unref(old);
}

static int unshare_files(struct task *t) {
    if (atomic_load(&t->files->ref.count) > 1) {
        struct fd_table *copy = fd_table_copy(t->files);
        if (!copy)
            return -ENOMEM;
        mutex_lock(&t->lock);
        struct fd_table *old = t->files;
        t->files = copy;
        mutex_unlock(&t->lock);
        fd_table_unref(old);
    }
    fd_table_close_on_exec(t);
    return 0;
}

static void commit(struct task *t, struct exec_state *x) {
    replace_mm(t, x);
    mutex_lock(&t->kernel->taskset_lock);
    t->group->has_execed = true; /* a parent may learn of the exec by what it closes: setpgid(2), EACCES */
    mutex_unlock(&t->kernel->taskset_lock);
    replace_sighand(t, x);
    posix_timers_delete_all(t->group);
    if (unshare_files(t) < 0 || time_ns_enter_for_children(t) < 0)
        thread_group_exit(t->group, status_killed(LINUX_SIGKILL));
    t->altstack = (struct sigaltstack){.flags = LINUX_SS_DISABLE};
    t->clear_child_tid = t->set_child_tid = 0;
    t->restart.fn = NULL;
    if (x->secure)
        t->pdeath_signal = 0;
    if (x->secure)
        t->personality &= ~(uint32_t)LINUX_ADDR_NO_RANDOMIZE;
    task_set_name(t, x->loaded.name);
    t->regs = x->loaded.regs;
    t->regs.orig_rax = ~0ull;
    int dumpable = t->mm->dumpable;
    task_set_creds(t, TAKE(x->creds));
    t->mm->dumpable =
        dumpable; /* decided above for the new program; task_set_creds() rules for a running one */
}

/* ---- execve ---- */

/* AT_EXECFN: what the guest named, or a name through the descriptor. execveat(2), "NOTES". */
static int exec_filename(const struct exec_request *q, char **ret) {
    if (q->filename[0] == '/' || q->dirfd == LINUX_AT_FDCWD)
        *ret = strdup(q->filename);
    else if (asprintf(ret, q->filename[0] ? "/dev/fd/%d/%s" : "/dev/fd/%d", q->dirfd, q->filename) < 0)
        *ret = NULL;
    return *ret ? 0 : -ENOMEM;
}

/* Set-id bits and capabilities count on the program that is run, never on a script: execve(2), "Interpreter
 * scripts". */
static int load(struct task *t, const struct exec_request *q, const char *filename, struct exec_state *x) {
    struct load_image image;
    int r = load_resolve(t, x->file, filename, q->argv, &image);

    if (r < 0)
        return r;
    r = exec_creds(t, image.file, &x->creds, &x->secure);
    if (r == 0) {
        struct load_request request = {.file = image.file,
                                       .filename = filename,
                                       .argv = image.argv,
                                       .envp = q->envp,
                                       .creds = x->creds,
                                       .secure = x->secure};
        r = load_program(t, &request, &x->loaded);
    }
    load_image_done(&image);
    return r;
}

static int prepare(struct task *t, const struct exec_request *q, const char *filename, struct exec_state *x) {
    struct vfs_view view;

    vfs_view_of(t, &view);
    int r = vfs_open_exec(&view, q->dirfd, q->filename, q->flags, &x->file);
    vfs_view_done(&view);
    if (r == 0)
        r = load(t, q, filename, x);
    if (r < 0)
        return r;
    x->sighand = sighand_new();
    if (!x->sighand)
        return -ENOMEM;
    return kernel_platform(t->kernel)->ops->context_create(mm_as(x->loaded.mm), &x->context);
}

static void exec_state_done(struct task *t, struct exec_state *x) {
    kernel_platform(t->kernel)->ops->context_destroy(x->context);
    mm_unref(x->loaded.mm);
    file_unref(x->loaded.exe);
    file_unref(x->file);
    creds_unref(x->creds);
    sighand_unref(x->sighand);
}

/* The number that the tracer knows t by: an execve of a thread changes it. */
static int tid_for_tracer(struct task *t) {
    mutex_lock(&t->kernel->taskset_lock);
    int tid = t->trace.tracer ? task_tid_in(t, task_pid_ns(t->trace.tracer)) : 0;
    mutex_unlock(&t->kernel->taskset_lock);
    return tid;
}

int64_t task_execve(struct task *t, const struct exec_request *q) {
    struct exec_state x = {0};
    cleanup(freep) char *filename = NULL;

    might_block();
    int r = exec_filename(q, &filename), tracer_tid = tid_for_tracer(t);
    if (r == 0)
        r = prepare(t, q, filename, &x);
    if (r == 0)
        r = de_thread(t);
    if (r == 0) {
        commit(t, &x);
        log_debug(LOG_KERNEL, "pid %d runs %s", task_tgid(t), filename);
    }
    exec_state_done(t, &x);
    if (r == 0)
        ptrace_exec_done(t, tracer_tid);
    return r < 0 ? r : -ENORESULT;
}
