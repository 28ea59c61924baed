/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_prctl.c: prctl(2). Options that need hardware, modules or features that are not built
 * give EINVAL, as from a kernel without them.
 */
#include <errno.h>
#include <string.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/sys_seccomp.h"
#include "sentry/syscalls/syscalls.h"

enum { PR_GET_MDWE = 66 };

/* ---- capabilities ---- */

static int64_t bounding_drop(struct task *t, uint64_t cap) {
    if (!task_capable(t, LINUX_CAP_SETPCAP))
        return -EPERM;
    if (cap > LINUX_CAP_LAST_CAP)
        return -EINVAL;
    struct creds *c = creds_copy(t->creds);
    if (!c)
        return -ENOMEM;
    c->bounding &= ~(1ull << cap);
    task_set_creds(t, c);
    return 0;
}

static int64_t set_securebits(struct task *t, uint64_t bits) {
    const struct creds *old = t->creds;
    const uint32_t locks = LINUX_SECBIT_NOROOT_LOCKED | LINUX_SECBIT_NO_SETUID_FIXUP_LOCKED |
                           LINUX_SECBIT_KEEP_CAPS_LOCKED | LINUX_SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

    uint32_t locked = old->securebits & locks;
    if ((bits >> 8) || (locked & ~bits) || (((locked >> 1) & (old->securebits ^ (uint32_t)bits)) != 0) ||
        !task_capable(t, LINUX_CAP_SETPCAP))
        return -EPERM;
    struct creds *c = creds_copy(old);
    if (!c)
        return -ENOMEM;
    c->securebits = (uint32_t)bits;
    task_set_creds(t, c);
    return 0;
}

static int64_t set_keepcaps(struct task *t, uint64_t on) {
    if (on > 1)
        return -EINVAL;
    if (t->creds->securebits & LINUX_SECBIT_KEEP_CAPS_LOCKED)
        return -EPERM;
    struct creds *c = creds_copy(t->creds);
    if (!c)
        return -ENOMEM;
    c->securebits = (c->securebits & ~(uint32_t)LINUX_SECBIT_KEEP_CAPS) | (on ? LINUX_SECBIT_KEEP_CAPS : 0);
    task_set_creds(t, c);
    return 0;
}

static int64_t ambient(struct task *t, uint64_t op, uint64_t cap, const struct syscall_args *a) {
    const struct creds *old = t->creds;

    if (op == LINUX_PR_CAP_AMBIENT_CLEAR_ALL ? cap || a->arg[3] || a->arg[4]
                                             : cap > LINUX_CAP_LAST_CAP || a->arg[3] || a->arg[4])
        return -EINVAL;
    if (op == LINUX_PR_CAP_AMBIENT_IS_SET)
        return old->ambient >> cap & 1;
    if (op != LINUX_PR_CAP_AMBIENT_RAISE && op != LINUX_PR_CAP_AMBIENT_LOWER &&
        op != LINUX_PR_CAP_AMBIENT_CLEAR_ALL)
        return -EINVAL;
    if (op == LINUX_PR_CAP_AMBIENT_RAISE && (!(old->permitted >> cap & old->inheritable >> cap & 1) ||
                                             (old->securebits & LINUX_SECBIT_NO_CAP_AMBIENT_RAISE)))
        return -EPERM;
    struct creds *c = creds_copy(old);
    if (!c)
        return -ENOMEM;
    if (op == LINUX_PR_CAP_AMBIENT_RAISE)
        c->ambient |= 1ull << cap;
    else if (op == LINUX_PR_CAP_AMBIENT_LOWER)
        c->ambient &= ~(1ull << cap);
    else
        c->ambient = 0;
    task_set_creds(t, c);
    return 0;
}

static int64_t prctl_creds(struct task *t, int option, const struct syscall_args *a) {
    switch (option) {
    case LINUX_PR_CAPBSET_READ:
        return a->arg[1] > LINUX_CAP_LAST_CAP ? -EINVAL : (int64_t)(t->creds->bounding >> a->arg[1] & 1);
    case LINUX_PR_CAPBSET_DROP:
        return bounding_drop(t, a->arg[1]);
    case LINUX_PR_GET_SECUREBITS:
        return t->creds->securebits;
    case LINUX_PR_SET_SECUREBITS:
        return set_securebits(t, a->arg[1]);
    case LINUX_PR_GET_KEEPCAPS:
        return !!(t->creds->securebits & LINUX_SECBIT_KEEP_CAPS);
    case LINUX_PR_SET_KEEPCAPS:
        return set_keepcaps(t, a->arg[1]);
    case LINUX_PR_CAP_AMBIENT:
        return ambient(t, a->arg[1], a->arg[2], a);
    case LINUX_PR_SET_NO_NEW_PRIVS:
        if (a->arg[1] != 1 || a->arg[2] || a->arg[3] || a->arg[4])
            return -EINVAL;
        t->no_new_privs = true;
        return 0;
    case LINUX_PR_GET_NO_NEW_PRIVS:
        return a->arg[1] || a->arg[2] || a->arg[3] || a->arg[4] ? -EINVAL : t->no_new_privs;
    default:
        return -EINVAL;
    }
}

/* ---- the task and its process ---- */

static int64_t set_name(struct task *t, gva_t at) {
    char name[LINUX_TASK_COMM_LEN] = "";

    size_t n = copy_in_partial(t, name, at, sizeof name - 1);
    if (n < sizeof name - 1 && strnlen(name, n) == n)
        return -EFAULT;
    name[sizeof name - 1] = '\0';
    task_set_name(t, name);
    return 0;
}

static int64_t get_name(struct task *t, gva_t at) {
    char name[LINUX_TASK_COMM_LEN];

    task_get_name(t, name);
    return copy_out(t, at, name, sizeof name);
}

static int64_t subreaper(struct task *t, int option, uint64_t arg) {
    struct thread_group *g = t->group;

    mutex_lock(&t->kernel->taskset_lock);
    if (option == LINUX_PR_SET_CHILD_SUBREAPER)
        g->child_subreaper = arg != 0;
    int on = g->child_subreaper;
    mutex_unlock(&t->kernel->taskset_lock);
    return option == LINUX_PR_SET_CHILD_SUBREAPER ? 0 : copy_out(t, arg, &on, sizeof on);
}

static int64_t prctl_process(struct task *t, int option, const struct syscall_args *a) {
    uint64_t arg = a->arg[1];

    switch (option) {
    case LINUX_PR_SET_PDEATHSIG:
        if (arg > LINUX_NSIG)
            return -EINVAL;
        t->pdeath_signal = (int)arg;
        return 0;
    case LINUX_PR_GET_PDEATHSIG:
        return copy_out(t, arg, &t->pdeath_signal, sizeof t->pdeath_signal);
    case LINUX_PR_SET_DUMPABLE:
        if (arg > 1)
            return -EINVAL;
        t->mm->dumpable = (int)arg;
        return 0;
    case LINUX_PR_GET_DUMPABLE:
        return t->mm->dumpable;
    case LINUX_PR_SET_NAME:
        return set_name(t, arg);
    case LINUX_PR_GET_NAME:
        return get_name(t, arg);
    case LINUX_PR_SET_CHILD_SUBREAPER:
    case LINUX_PR_GET_CHILD_SUBREAPER:
        return subreaper(t, option, arg);
    case LINUX_PR_SET_TIMERSLACK:
        t->timer_slack_ns = arg ? arg : t->default_timer_slack_ns;
        return 0;
    case LINUX_PR_GET_TIMERSLACK:
        return (int64_t)t->timer_slack_ns;
    case LINUX_PR_GET_TID_ADDRESS:
        return copy_out(t, arg, &t->clear_child_tid, sizeof t->clear_child_tid);
    default:
        return -EINVAL;
    }
}

/* What is kept and given back, without effect. */
static int64_t mce_kill(struct task *t, const struct syscall_args *a) {
    if (a->arg[3] || a->arg[4])
        return -EINVAL;
    if (a->arg[1] == LINUX_PR_MCE_KILL_CLEAR) {
        t->mce_kill = a->arg[2] ? t->mce_kill : 0;
        return a->arg[2] ? -EINVAL : 0;
    }
    if (a->arg[1] != LINUX_PR_MCE_KILL_SET || a->arg[2] > LINUX_PR_MCE_KILL_DEFAULT)
        return -EINVAL;
    t->mce_kill = a->arg[2] == LINUX_PR_MCE_KILL_DEFAULT ? 0 : (int)a->arg[2] + 1;
    return 0;
}

static int64_t prctl_kept(struct task *t, int option, const struct syscall_args *a) {
    bool rest = a->arg[2] || a->arg[3] || a->arg[4];

    switch (option) {
    case LINUX_PR_GET_THP_DISABLE:
        return a->arg[1] || rest ? -EINVAL : t->mm->thp_disabled;
    case LINUX_PR_SET_THP_DISABLE:
        if (rest)
            return -EINVAL;
        t->mm->thp_disabled = a->arg[1] != 0;
        return 0;
    case LINUX_PR_MCE_KILL:
        return mce_kill(t, a);
    case LINUX_PR_MCE_KILL_GET:
        return a->arg[1] || rest ? -EINVAL : t->mce_kill ? t->mce_kill - 1 : LINUX_PR_MCE_KILL_DEFAULT;
    case LINUX_PR_SET_SYSCALL_USER_DISPATCH:
        return a->arg[1] == LINUX_PR_SYS_DISPATCH_OFF && !rest ? 0 : -EINVAL;
    case PR_GET_MDWE:
        return a->arg[1] || rest ? -EINVAL : 0;
    }
    return -EINVAL;
}

/* Fixed answers. */
static int64_t prctl_constant(struct task *t, int option, const struct syscall_args *a) {
    int value = LINUX_PR_TSC_ENABLE;

    switch (option) {
    case LINUX_PR_GET_TIMING:
        return LINUX_PR_TIMING_STATISTICAL;
    case LINUX_PR_SET_TIMING:
        return a->arg[1] == LINUX_PR_TIMING_STATISTICAL ? 0 : -EINVAL;
    case LINUX_PR_GET_TSC:
        return copy_out(t, a->arg[1], &value, sizeof value);
    case LINUX_PR_SET_TSC:
        return a->arg[1] == LINUX_PR_TSC_ENABLE ? 0 : -EINVAL;
    case LINUX_PR_GET_SECCOMP:
        return t->seccomp_mode;
    case LINUX_PR_SET_PTRACER: /* Yama is not there */
    default:
        return -EINVAL;
    }
}

int64_t sys_prctl(struct task *t, const struct syscall_args *a) {
    int option = (int)a->arg[0];

    switch (option) {
    case LINUX_PR_SET_SECCOMP:
        return prctl_set_seccomp(t, a->arg[1], a->arg[2]);
    case LINUX_PR_CAPBSET_READ:
    case LINUX_PR_CAPBSET_DROP:
    case LINUX_PR_GET_SECUREBITS:
    case LINUX_PR_SET_SECUREBITS:
    case LINUX_PR_GET_KEEPCAPS:
    case LINUX_PR_SET_KEEPCAPS:
    case LINUX_PR_CAP_AMBIENT:
    case LINUX_PR_SET_NO_NEW_PRIVS:
    case LINUX_PR_GET_NO_NEW_PRIVS:
        return prctl_creds(t, option, a);
    case LINUX_PR_GET_TIMING:
    case LINUX_PR_SET_TIMING:
    case LINUX_PR_GET_TSC:
    case LINUX_PR_SET_TSC:
    case LINUX_PR_GET_SECCOMP:
    case LINUX_PR_SET_PTRACER:
        return prctl_constant(t, option, a);
    case LINUX_PR_GET_THP_DISABLE:
    case LINUX_PR_SET_THP_DISABLE:
    case LINUX_PR_MCE_KILL:
    case LINUX_PR_MCE_KILL_GET:
    case LINUX_PR_SET_SYSCALL_USER_DISPATCH:
    case PR_GET_MDWE:
        return prctl_kept(t, option, a);
    default:
        return prctl_process(t, option, a);
    }
}
