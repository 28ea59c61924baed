/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_limits.c: getrlimit, setrlimit, prlimit64. Source: getrlimit(2). Limits are the guest's
 * own: none reaches the host.
 */
#include <errno.h>

#include "sentry/kernel/itimer.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"

enum { NR_OPEN = 1048576 };

static int change_limit(struct task *t, struct thread_group *g, int resource,
                        const struct linux_rlimit64 *set, struct linux_rlimit64 *ret_old) {
    struct linux_rlimit64 *l = &g->limits[resource];
    int r = 0;

    if (set && set->cur > set->max)
        return -EINVAL;
    if (set && resource == LINUX_RLIMIT_NOFILE && set->max > NR_OPEN)
        return -EPERM;
    bool capable = task_capable_in(t, t->kernel->root_user_ns, LINUX_CAP_SYS_RESOURCE);
    mutex_lock(&g->limits_lock);
    *ret_old = *l;
    if (set && set->max > l->max && !capable)
        r = -EPERM;
    else if (set)
        *l = *set;
    mutex_unlock(&g->limits_lock);
    if (r == 0 && set && resource == LINUX_RLIMIT_CPU)
        cpu_limit_changed(g);
    return r;
}

int64_t sys_getrlimit(struct task *t, const struct syscall_args *a) {
    struct linux_rlimit64 old;

    if ((uint32_t)a->arg[0] >= LINUX_RLIM_NLIMITS)
        return -EINVAL;
    int r = change_limit(t, t->group, (int)a->arg[0], NULL, &old);
    return r < 0 ? r : copy_out(t, a->arg[1], &old, sizeof old);
}

int64_t sys_setrlimit(struct task *t, const struct syscall_args *a) {
    struct linux_rlimit64 set, old;

    if ((uint32_t)a->arg[0] >= LINUX_RLIM_NLIMITS)
        return -EINVAL;
    if (copy_in(t, &set, a->arg[1], sizeof set) < 0)
        return -EFAULT;
    return change_limit(t, t->group, (int)a->arg[0], &set, &old);
}

/* getrlimit(2), prlimit(): same ids, or CAP_SYS_RESOURCE. */
static bool may_prlimit(struct task *t, struct task *target) {
    const struct creds *c = t->creds;

    if (target->group == t->group)
        return true;
    cleanup(creds_unrefp) struct creds *tc = task_get_creds(target);
    bool same = c->uid == tc->euid && c->uid == tc->suid && c->uid == tc->uid && c->gid == tc->egid &&
                c->gid == tc->sgid && c->gid == tc->gid;
    return same || creds_has_cap_in(c, tc->user_ns, LINUX_CAP_SYS_RESOURCE);
}

int64_t sys_prlimit64(struct task *t, const struct syscall_args *a) {
    struct linux_rlimit64 set, old;
    int pid = (int)a->arg[0];

    if ((uint32_t)a->arg[1] >= LINUX_RLIM_NLIMITS)
        return -EINVAL;
    if (a->arg[2] && copy_in(t, &set, a->arg[2], sizeof set) < 0)
        return -EFAULT;
    struct task *target = pid == 0 ? task_ref(t) : task_find(t, pid);
    if (!target)
        return -ESRCH;
    int r = may_prlimit(t, target)
                ? change_limit(t, target->group, (int)a->arg[1], a->arg[2] ? &set : NULL, &old)
                : -EPERM;
    task_unref(target);
    if (r == 0 && a->arg[3])
        r = copy_out(t, a->arg[3], &old, sizeof old);
    return r;
}
