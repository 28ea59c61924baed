/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_pidfd.c: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).
 */
#include <errno.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/fs/pidfd/pidfd.h"
#include "sentry/fs/proc/proc_directory.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/session.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/sys_util.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

int64_t sys_pidfd_open(struct task *t, const struct syscall_args *a) {
    uint32_t flags = (uint32_t)a->arg[1];
    struct file *f;

    if ((flags & ~(uint32_t)(LINUX_O_NONBLOCK | LINUX_O_EXCL)) || (int)a->arg[0] <= 0)
        return -EINVAL;
    struct task *target = task_find(t, (int)a->arg[0]);
    if (!target)
        return -ESRCH;
    bool thread = flags & LINUX_O_EXCL;
    struct pid *pid = target->group->leader == target ? pid_ref(target->group->pid)
                      : thread                        ? pid_ref(target->pid)
                                                      : NULL;
    task_unref(target);
    if (!pid)
        return -ENOENT; /* a thread that does not lead */
    int r = pidfd_new(t, pid, flags, &f);
    pid_unref(pid);
    if (r < 0)
        return r;
    r = fd_install(t, f, 0, /* cloexec= */ true);
    if (r < 0)
        file_unref(f);
    return r;
}

/* ---- pidfd_send_signal ---- */

enum { TO_THREAD = 1, TO_PROCESS = 2, TO_GROUP = 4, TO_ANY = TO_THREAD | TO_PROCESS | TO_GROUP };

/* The process or thread that is meant: new reference. An open directory /proc/PID serves as well as a pidfd.
 */
static int get_target(struct task *t, int fd, struct pid **ret, bool *ret_thread) {
    struct file *f = fd_get(t, fd);
    struct pid *pid = f ? pidfd_pid(f) : NULL;

    *ret_thread = pid && pidfd_is_thread(f);
    if (f && !pid)
        pid = proc_directory_pid(f);
    if (pid)
        *ret = pid_ref(pid);
    file_unref(f);
    return pid ? 0 : -EBADF;
}

static int get_info(struct task *t, gva_t at, int signo, struct task *target, struct linux_siginfo *ret) {
    if (!at) {
        siginfo_user(ret, signo, t, target);
        return 0;
    }
    if (copy_in(t, ret, at, sizeof *ret) < 0)
        return -EFAULT;
    if (ret->signo != signo)
        return -EINVAL;
    return target->group != t->group && (ret->code >= 0 || ret->code == LINUX_SI_TKILL) ? -EPERM : 0;
}

static int send_to(struct task *t, struct task *target, int signo, gva_t at, enum signal_target whom) {
    struct linux_siginfo info;
    int r = pid_ns_within(task_pid_ns(target), task_pid_ns(t)) ? 0 : -EINVAL;

    if (r == 0)
        r = get_info(t, at, signo, target, &info);
    if (r == 0 && !signal_permitted(t, target, signo))
        r = -EPERM;
    return r == 0 && signo > 0 ? signal_send(target, &info, whom) : r;
}

int64_t sys_pidfd_send_signal(struct task *t, const struct syscall_args *a) {
    int signo = (int)a->arg[1];
    uint32_t flags = (uint32_t)a->arg[3];
    struct pid *pid;
    bool thread;

    if ((flags & ~(uint32_t)TO_ANY) || (flags & (flags - 1)) || signo < 0 || signo > LINUX_NSIG)
        return -EINVAL;
    int r = get_target(t, (int)a->arg[0], &pid, &thread);
    if (r < 0)
        return r;
    if (flags == TO_GROUP) {
        r = kill_pgrp(t, pid, signo);
        pid_unref(pid);
        return r;
    }
    mutex_lock(&t->kernel->taskset_lock);
    struct task *target = pid_task_locked(pid, thread || flags == TO_THREAD ? PID_TASK : PID_GROUP);
    if (target)
        task_ref(target);
    mutex_unlock(&t->kernel->taskset_lock);
    bool one = flags ? flags == TO_THREAD : thread;
    r = target ? send_to(t, target, signo, a->arg[2], one ? SIGNAL_TASK : SIGNAL_GROUP) : -ESRCH;
    task_unref(target);
    pid_unref(pid);
    return r;
}

int64_t sys_pidfd_getfd(struct task *t, const struct syscall_args *a) {
    struct task *target;
    struct file *f = NULL;
    int fd = (int)a->arg[1];

    if (a->arg[2])
        return -EINVAL;
    int r = pidfd_task(t, (int)a->arg[0], &target);
    if (r < 0)
        return r;
    r = task_ptrace_may_access(t, target, /* attach= */ true);
    struct fd_table *table = r == 0 ? task_get_files(target) : NULL;
    if (r == 0 && !table)
        r = -ESRCH;
    if (r == 0 && (fd < 0 || fd_table_next(table, fd, &f) != fd))
        r = -EBADF;
    fd_table_unref(table);
    task_unref(target);
    if (r == 0)
        r = fd_install(t, f, 0, /* cloexec= */ true);
    if (r < 0)
        file_unref(f);
    return r;
}
