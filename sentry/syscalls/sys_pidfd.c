/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_pidfd.c: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).
 */
#include <errno.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/fs/pidfd/pidfd.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/session.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

int64_t sys_pidfd_open(struct task *t, const struct syscall_args *a) {
    uint32_t flags = (uint32_t)a->arg[1];
    struct file *f;

    if ((flags & ~(uint32_t)LINUX_O_NONBLOCK) || (int)a->arg[0] <= 0)
        return -EINVAL;
    struct task *target = task_find(t, (int)a->arg[0]);
    if (!target)
        return -ESRCH;
    struct pid *pid = target->group->leader == target ? pid_ref(target->group->pid) : NULL;
    task_unref(target);
    if (!pid)
        return -EINVAL; /* a thread that does not lead */
    int r = pidfd_new(t, pid, flags, &f);
    pid_unref(pid);
    if (r < 0)
        return r;
    r = fd_install(t, f, 0, /* cloexec= */ true);
    if (r < 0)
        file_unref(f);
    return r;
}

int64_t sys_pidfd_send_signal(struct task *t, const struct syscall_args *a) {
    int signo = (int)a->arg[1];
    struct linux_siginfo info;
    struct task *target;

    if (a->arg[3])
        return -EINVAL;
    int r = pidfd_task(t, (int)a->arg[0], &target);
    if (r < 0)
        return r;
    if (!pid_ns_within(task_pid_ns(target), task_pid_ns(t)) || signo < 0 || signo > LINUX_NSIG) {
        r = -EINVAL;
    } else if (a->arg[2]) {
        r = copy_in(t, &info, a->arg[2], sizeof info);
        if (r == 0 && info.signo != signo)
            r = -EINVAL;
        if (r == 0 && target->group != t->group && (info.code >= 0 || info.code == LINUX_SI_TKILL))
            r = -EPERM;
    } else {
        siginfo_user(&info, signo, t, target);
    }
    if (r == 0 && !signal_permitted(t, target, signo))
        r = -EPERM;
    if (r == 0 && signo > 0)
        r = signal_send(target, &info, SIGNAL_GROUP);
    task_unref(target);
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
