/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_task.c: clone, execve, exit, wait, ids of processes, sessions and groups. Source: the
 * man pages of those names, section 2.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/unistd.h"
#include "base/cleanup.h"
#include "sentry/fs/pidfd/pidfd.h"
#include "sentry/fs/cgroup/cgroupfs.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/session.h"
#include "sentry/kernel/usage.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

/* ---- making ---- */

int64_t sys_clone(struct task *t, const struct syscall_args *a) {
    uint64_t flags = (uint32_t)a->arg[0];
    struct clone_request q = {
        .flags = flags & ~(uint64_t)LINUX_CSIGNAL,
        .exit_signal = (int)(flags & LINUX_CSIGNAL),
        .stack = a->arg[1],
        .parent_tid = a->arg[2],
        .pidfd = a->arg[2], /* the same argument: clone(2), CLONE_PIDFD */
        .child_tid = a->arg[3],
        .tls = a->arg[4],
    };

    if ((flags & LINUX_CLONE_PIDFD) && (flags & LINUX_CLONE_PARENT_SETTID))
        return -EINVAL;
    q.flags &= ~(uint64_t)LINUX_CLONE_DETACHED;
    if ((flags & LINUX_CLONE_PIDFD) && (flags & LINUX_CLONE_DETACHED))
        return -EINVAL;
    if ((flags & LINUX_CLONE_SETTLS) && q.tls >= kernel_platform(t->kernel)->limits.max_address)
        return -EPERM;
    return task_clone(t, &q);
}

int64_t sys_fork(struct task *t, const struct syscall_args *a) {
    struct clone_request q = {.exit_signal = LINUX_SIGCHLD};

    (void)a;
    return task_clone(t, &q);
}

int64_t sys_vfork(struct task *t, const struct syscall_args *a) {
    struct clone_request q = {.flags = LINUX_CLONE_VFORK | LINUX_CLONE_VM, .exit_signal = LINUX_SIGCHLD};

    (void)a;
    return task_clone(t, &q);
}

/* A structure that may grow: `size` bytes from the guest, the rest of ours zero, what is beyond ours must be
 * zero. clone3(2). */
static int copy_in_growing(struct task *t, void *to, size_t known, gva_t from, size_t size) {
    memset(to, 0, known);
    int r = copy_in(t, to, from, MIN(size, known));
    for (size_t at = known; at < size && r == 0; at++) {
        char byte;
        r = copy_in(t, &byte, from + at, 1);
        if (r == 0 && byte)
            r = -E2BIG;
    }
    return r;
}

static int clone3_check(struct task *t, const struct linux_clone_args *c) {
    const uint64_t known =
        LINUX_CLONE_VM | LINUX_CLONE_FS | LINUX_CLONE_FILES | LINUX_CLONE_SIGHAND | LINUX_CLONE_PIDFD |
        LINUX_CLONE_PTRACE | LINUX_CLONE_VFORK | LINUX_CLONE_PARENT | LINUX_CLONE_THREAD | LINUX_CLONE_NEWNS |
        LINUX_CLONE_SYSVSEM | LINUX_CLONE_SETTLS | LINUX_CLONE_PARENT_SETTID | LINUX_CLONE_CHILD_CLEARTID |
        LINUX_CLONE_UNTRACED | LINUX_CLONE_CHILD_SETTID | LINUX_CLONE_NEWCGROUP | LINUX_CLONE_NEWUTS |
        LINUX_CLONE_NEWIPC | LINUX_CLONE_NEWUSER | LINUX_CLONE_NEWPID | LINUX_CLONE_NEWNET | LINUX_CLONE_IO |
        LINUX_CLONE_CLEAR_SIGHAND | LINUX_CLONE_INTO_CGROUP | LINUX_CLONE_NEWTIME;
    gva_t top = kernel_platform(t->kernel)->limits.max_address;

    if ((c->flags & ~known) || c->exit_signal > LINUX_NSIG)
        return -EINVAL;
    if ((c->flags & (LINUX_CLONE_THREAD | LINUX_CLONE_PARENT)) && c->exit_signal)
        return -EINVAL;
    if (!!c->stack != !!c->stack_size ||
        (c->stack && (c->stack_size > top || c->stack > top - c->stack_size)))
        return -EINVAL;
    if (!!c->set_tid != !!c->set_tid_size || c->set_tid_size > PID_MAX_LEVEL)
        return -EINVAL;
    if ((c->flags & LINUX_CLONE_SETTLS) && c->tls >= top)
        return -EPERM;
    return 0;
}

int64_t sys_clone3(struct task *t, const struct syscall_args *a) {
    struct linux_clone_args c;
    int set_tid[PID_MAX_LEVEL];
    uint64_t size = a->arg[1];

    if (size > PAGE_SIZE)
        return -E2BIG;
    if (size < LINUX_CLONE_ARGS_SIZE_VER0)
        return -EINVAL;
    int r = copy_in_growing(t, &c, sizeof c, a->arg[0], size);
    if (r == 0)
        r = clone3_check(t, &c);
    if (r == 0 && c.set_tid_size)
        r = copy_in(t, set_tid, c.set_tid, c.set_tid_size * sizeof set_tid[0]);
    if (r < 0)
        return r;
    struct file *group = NULL;
    if (c.flags & LINUX_CLONE_INTO_CGROUP) {
        group = c.cgroup > INT32_MAX ? NULL : fd_get_any(t, (int)c.cgroup);
        if (!group || !cgroupfs_group_of(group)) {
            file_unref(group);
            return -EBADF;
        }
    }
    struct clone_request q = {
        .cgroup = group ? cgroupfs_group_of(group) : NULL,
        .flags = c.flags,
        .exit_signal = (int)c.exit_signal,
        .stack = c.stack + c.stack_size,
        .tls = c.tls,
        .child_tid = c.child_tid,
        .parent_tid = c.parent_tid,
        .pidfd = c.pidfd,
        .set_tid = set_tid,
        .set_tid_count = c.set_tid_size,
    };
    int64_t pid = task_clone(t, &q);
    file_unref(group);
    return pid;
}

int64_t sys_unshare(struct task *t, const struct syscall_args *a) {
    return task_unshare(t, a->arg[0]);
}

/* ---- execve ---- */

enum { MAX_ARG_STRLEN = 32 * 4096 };

static int64_t do_execve(struct task *t, int dirfd, gva_t name, gva_t argv, gva_t envp, int flags) {
    cleanup(freep) char *filename = NULL;
    char **args = NULL, **env = NULL;
    /* a quarter of the stack limit, at least 32 pages: execve(2), "Limits on size of arguments and
     * environment" */
    uint64_t max = MIN(MAX(task_limit(t, LINUX_RLIMIT_STACK) / 4, (uint64_t)MAX_ARG_STRLEN), 6ull << 20);

    if (flags & ~(LINUX_AT_EMPTY_PATH | LINUX_AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    int64_t r = copy_in_path(t, name, flags & LINUX_AT_EMPTY_PATH, &filename);
    if (r == 0)
        r = copy_in_strings(t, argv, max, &args);
    if (r == 0)
        r = copy_in_strings(t, envp, max, &env);
    if (r == 0) {
        struct exec_request q = {
            .dirfd = dirfd, .filename = filename, .flags = flags, .argv = args, .envp = env};
        r = task_execve(t, &q);
    }
    free_strings(args);
    free_strings(env);
    return r;
}

int64_t sys_execve(struct task *t, const struct syscall_args *a) {
    return do_execve(t, LINUX_AT_FDCWD, a->arg[0], a->arg[1], a->arg[2], 0);
}

int64_t sys_execveat(struct task *t, const struct syscall_args *a) {
    return do_execve(t, (int)a->arg[0], a->arg[1], a->arg[2], a->arg[3], (int)a->arg[4]);
}

/* ---- the end ---- */

int64_t sys_exit(struct task *t, const struct syscall_args *a) {
    t->exit_request = status_exited((int)a->arg[0]);
    task_interrupt(t, TASK_WORK_EXIT);
    return -ENORESULT;
}

int64_t sys_exit_group(struct task *t, const struct syscall_args *a) {
    t->exit_request = status_exited((int)a->arg[0]);
    thread_group_exit(t->group, status_exited((int)a->arg[0]));
    task_interrupt(t, TASK_WORK_EXIT);
    return -ENORESULT;
}

/* ---- waiting ---- */

int64_t sys_wait4(struct task *t, const struct syscall_args *a) {
    int pid = (int)a->arg[0];
    uint32_t options = (uint32_t)a->arg[2];
    struct wait_result result;
    struct pid *named = NULL;

    if (options &
        ~(LINUX_WNOHANG | LINUX_WUNTRACED | LINUX_WCONTINUED | LINUX_WNOTHREAD | LINUX_WCLONE | LINUX_WALL))
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    struct wait_request q = {.id_type = LINUX_P_ALL, .options = options | LINUX_WEXITED};
    if (pid != -1) {
        q.id_type = pid > 0 ? LINUX_P_PID : LINUX_P_PGID;
        named = pid == 0 ? task_get_pgrp(t) : task_find_pid(t, pid > 0 ? pid : -pid);
        q.pid = named;
    }
    int r = task_wait(t, &q, &result);
    pid_unref(named);
    if (r < 0 || result.pid == 0)
        return r;
    /* the status is taken: a bad address loses it, as on Linux */
    if (a->arg[1] && copy_out(t, a->arg[1], &result.wait_status, sizeof result.wait_status) < 0)
        return -EFAULT;
    if (a->arg[3]) {
        struct linux_rusage usage;
        usage_of_wait(&result, &usage);
        if (copy_out(t, a->arg[3], &usage, sizeof usage) < 0)
            return -EFAULT;
    }
    return result.pid;
}

/* The pid that waitid(2) names: new reference in q->pid. */
static int waitid_target(struct task *t, int type, int id, struct wait_request *q, bool *ret_nonblock) {
    *ret_nonblock = false;
    switch (type) {
    case LINUX_P_ALL:
        q->id_type = LINUX_P_ALL;
        return 0;
    case LINUX_P_PID:
        if (id <= 0)
            return -EINVAL;
        q->id_type = LINUX_P_PID;
        q->pid = task_find_pid(t, id);
        return 0;
    case LINUX_P_PGID:
        if (id < 0)
            return -EINVAL;
        q->id_type = LINUX_P_PGID;
        q->pid = id == 0 ? task_get_pgrp(t) : task_find_pid(t, id);
        return 0;
    case LINUX_P_PIDFD: {
        if (id < 0)
            return -EINVAL;
        struct file *f = fd_get(t, id);
        if (!f)
            return -EBADF;
        struct pid *pid = pidfd_pid(f);
        q->id_type = LINUX_P_PID;
        q->pid = pid ? pid_ref(pid) : NULL;
        *ret_nonblock = file_nonblocking(f);
        file_unref(f);
        return pid ? 0 : -EBADF;
    }
    default:
        return -EINVAL;
    }
}

int64_t sys_waitid(struct task *t, const struct syscall_args *a) {
    uint32_t options = (uint32_t)a->arg[3];
    struct wait_request q = {.options = options};
    struct wait_result result;
    bool nonblock;

    if ((options & ~(LINUX_WNOHANG | LINUX_WNOWAIT | LINUX_WEXITED | LINUX_WSTOPPED | LINUX_WCONTINUED |
                     LINUX_WNOTHREAD | LINUX_WCLONE | LINUX_WALL)) ||
        !(options & (LINUX_WEXITED | LINUX_WSTOPPED | LINUX_WCONTINUED)))
        return -EINVAL;
    int r = waitid_target(t, (int)a->arg[0], (int)a->arg[1], &q, &nonblock);
    if (r < 0)
        return r;
    if (nonblock)
        q.options |= LINUX_WNOHANG;
    r = task_wait(t, &q, &result);
    pid_unref(q.pid);
    if (r == 0 && nonblock && result.pid == 0 && !(options & LINUX_WNOHANG))
        return -EAGAIN;
    if (r < 0)
        return r;
    if (result.pid && a->arg[4]) {
        struct linux_rusage usage;
        usage_of_wait(&result, &usage);
        if (copy_out(t, a->arg[4], &usage, sizeof usage) < 0)
            return -EFAULT;
    }
    if (!a->arg[2])
        return 0;
    struct linux_siginfo info = {0};
    if (result.pid) {
        info.signo = LINUX_SIGCHLD;
        info.code = result.code;
        info.chld.pid = result.pid;
        info.chld.uid = from_kuid(t->creds->user_ns, result.uid);
        info.chld.status = result.status;
    }
    return copy_out(t, a->arg[2], &info, sizeof info);
}

/* ---- names ---- */

int64_t sys_getpid(struct task *t, const struct syscall_args *a) {
    (void)a;
    return task_tgid(t);
}

int64_t sys_gettid(struct task *t, const struct syscall_args *a) {
    (void)a;
    return task_tid(t);
}

int64_t sys_getppid(struct task *t, const struct syscall_args *a) {
    (void)a;
    return task_ppid_in(t, task_pid_ns(t));
}

int64_t sys_set_tid_address(struct task *t, const struct syscall_args *a) {
    t->clear_child_tid = a->arg[0];
    return task_tid(t);
}

int64_t sys_setpgid(struct task *t, const struct syscall_args *a) {
    return task_setpgid(t, (int)a->arg[0], (int)a->arg[1]);
}

static int64_t id_of(struct task *t, int pid, int (*id)(struct task *, struct pid_ns *)) {
    if (pid == 0)
        return id(t, task_pid_ns(t));
    struct task *other = task_find(t, pid);
    if (!other)
        return -ESRCH;
    int r = id(other, task_pid_ns(t));
    task_unref(other);
    return r;
}

int64_t sys_getpgid(struct task *t, const struct syscall_args *a) {
    return id_of(t, (int)a->arg[0], task_pgrp_in);
}

int64_t sys_getpgrp(struct task *t, const struct syscall_args *a) {
    (void)a;
    return task_pgrp_in(t, task_pid_ns(t));
}

int64_t sys_getsid(struct task *t, const struct syscall_args *a) {
    return id_of(t, (int)a->arg[0], task_session_in);
}

int64_t sys_setsid(struct task *t, const struct syscall_args *a) {
    (void)a;
    return task_setsid(t);
}
