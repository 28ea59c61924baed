/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_ns.c: setns(2).
 */
#include <errno.h>

#include "sentry/fs/nsfs/nsfs.h"
#include "sentry/fs/pidfd/pidfd.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

#define ALL_NAMESPACES                                                                                       \
    (LINUX_CLONE_NEWNS | LINUX_CLONE_NEWUTS | LINUX_CLONE_NEWIPC | LINUX_CLONE_NEWUSER |                     \
     LINUX_CLONE_NEWPID | LINUX_CLONE_NEWNET | LINUX_CLONE_NEWCGROUP | LINUX_CLONE_NEWTIME)

/* Several namespaces of a process, by pidfd. */
static int join_process(struct task *t, struct pid *pid, uint64_t flags) {
    struct ns_set set;

    if (flags == 0 || (flags & ~(uint64_t)ALL_NAMESPACES))
        return -EINVAL;
    mutex_lock(&t->kernel->taskset_lock);
    struct task *target = pid_task_locked(pid, PID_GROUP);
    if (target)
        task_ref(target);
    mutex_unlock(&t->kernel->taskset_lock);
    if (!target)
        return -ESRCH;
    int r = task_ptrace_may_access(t, target, /* attach= */ false);
    if (r == 0)
        r = ns_set_of_task(target, flags, &set);
    task_unref(target);
    if (r < 0)
        return r;
    if (set.user == t->creds->user_ns) /* with others: nothing to do for this one */
        set.user = user_ns_unref(set.user);
    r = task_setns(t, &set);
    ns_set_done(&set);
    return r;
}

int64_t sys_setns(struct task *t, const struct syscall_args *a) {
    struct file *f = fd_get(t, (int)a->arg[0]);
    uint64_t wanted = (uint32_t)a->arg[1], flag;
    int r = -EINVAL;

    if (!f)
        return -EBADF;
    struct pid *pid = pidfd_pid(f);
    const struct ns_set *set = nsfs_set(f, &flag);
    if (pid)
        r = join_process(t, pid, wanted);
    else if (set && (wanted == 0 || wanted == flag))
        r = task_setns(t, set);
    file_unref(f);
    return r;
}
