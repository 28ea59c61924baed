/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/process.h: making, changing and ending tasks: clone, execve, exit, wait. Source: clone(2),
 * execve(2), exit_group(2), wait(2).
 */
#pragma once

#include "sentry/kernel/task.h"

struct cgroup;
struct linux_rusage;

/* ---- host threads ---- */

/* Starting is in two steps, so that a task for which the host has no thread or stub is never seen by anyone.
   task_start(): makes the host thread and, on it, the platform's context; the task then waits. 0, -EAGAIN or
   -ENOMEM (nothing is left behind). May block. task_go(): the task is in the taskset and runs; once, later
   calls do nothing. task_abort(): ends the thread again. */
int task_start(struct task *t) must_check;
void task_go(struct task *t);
void task_abort(struct task *t);
/* Body of the task's host thread; returns when the task is dead. */
void task_run(struct task *t);

/* ---- making ---- */

struct thread_group *thread_group_new(struct kernel *k, struct sighand *sighand /* taken */);
/* A task without identity: no pid, not in the taskset. Takes nothing but its own reference to `group`. NULL:
 * no memory. */
struct task *task_new(struct kernel *k, struct container *c, struct thread_group *group);
/* Gives it a pid (reference taken) and enters it in the tables. taskset_lock held; signal_lock of its group
 * not held. */
void task_link_locked(struct task *t, struct pid *pid, struct task *parent);

struct clone_request {
    uint64_t flags; /* LINUX_CLONE_* */
    int exit_signal;
    gva_t stack, tls, child_tid, parent_tid, pidfd;
    const int *set_tid; /* innermost namespace first */
    size_t set_tid_count;
    struct cgroup *cgroup; /* CLONE_INTO_CGROUP: borrowed */
};
/* clone(2). OWN THREAD. Returns the child's pid as the caller sees it, or -errno. With CLONE_VFORK task_run()
 * waits before the caller goes on. */
int64_t task_clone(struct task *t, const struct clone_request *request);
/* unshare(2). OWN THREAD. */
int task_unshare(struct task *t, uint64_t flags) must_check;

struct exec_request {
    int dirfd;
    const char *filename; /* as given: becomes AT_EXECFN and comm */
    int flags;            /* LINUX_AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW */
    char **argv, **envp;  /* malloc'd strings, NULL-terminated; borrowed */
};
/* execve(2). OWN THREAD. -ENORESULT on success. */
int64_t task_execve(struct task *t, const struct exec_request *request);

/* ---- ending ---- */

/* Wait status of a normal end with `code`, and of death by a signal. */
static inline int status_exited(int code) {
    return (code & 0xff) << 8;
}
static inline int status_killed(int signo) {
    return signo & 0x7f;
}
/* LINUX_CLD_* of a wait status. */
static inline int end_code_of(int status) {
    return !(status & 0x7f) ? LINUX_CLD_EXITED : status & 0x80 ? LINUX_CLD_DUMPED : LINUX_CLD_KILLED;
}
/* Ends the calling task; its wait status is `status` unless its group is exiting with another. OWN THREAD;
 * task_run then leaves. */
void task_exit(struct task *t, int status);
/* Marks the whole group as ending and interrupts every task. Any thread; no lock of RANK_SIGHAND or above
 * held. First caller's status wins. */
void thread_group_exit(struct thread_group *g, int status);
void thread_group_exit_locked(struct thread_group *g, int status); /* signal_lock held */
/* The address space goes: the vfork parent, and whoever waits for clear_child_tid. OWN THREAD. */
void task_release_mm(struct task *t);
/* Wakes the vfork parent. */
void task_vfork_done(struct task *t);
/* Removes a dead leader whose status was taken, or a thread: pids, tables, accounts. taskset_lock held. The
   caller then drops the taskset's reference with task_unref() outside the lock. */
void task_release_locked(struct task *t);
/* Tells t's parent of the end of its process (SIGCHLD and wait). taskset_lock held. True: nobody will wait,
 * the caller releases it. */
bool task_notify_parent_locked(struct task *t);
/* What this zombie, or its process, ended with. taskset_lock held. */
int task_status_locked(struct task *t);
/* Would its end be reported by waiting for it now? taskset_lock held. */
bool task_reapable_locked(struct task *t);

/* ---- waiting ---- */

struct wait_request {
    int id_type;      /* LINUX_P_* except PIDFD */
    struct pid *pid;  /* P_PID, P_PGID: reference held by the caller; NULL: nobody has that number */
    uint32_t options; /* LINUX_W* */
};
struct wait_result {
    int pid; /* in the caller's namespace; 0: nothing (WNOHANG) */
    kuid_t uid;
    int code;        /* LINUX_CLD_* */
    int status;      /* as in siginfo: exit code or signal */
    int wait_status; /* as in wait4 */
    struct cpu_times cpu;
    uint64_t maxrss, minflt, switches;
};
/* wait4/waitid core. OWN THREAD. 0 or -ECHILD, -ERESTARTSYS. */
int task_wait(struct task *t, const struct wait_request *request, struct wait_result *ret) must_check;
