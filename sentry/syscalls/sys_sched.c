/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_sched.c: scheduling policies, priorities, affinity. Source: sched(7),
 * sched_setscheduler(2), sched_setattr(2), sched_setaffinity(2), getpriority(2), ioprio_set(2), getcpu(2).
 *
 * The host schedules; what a guest sets is kept and given back consistently (a thread with no permission for
 * real-time gets EPERM as on Linux), but has no effect on the host. TODO(sched): pass nice on to the stub's
 * threads, so that a guest's `nice` has an effect between its processes.
 */
#include <errno.h>
#include <string.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/session.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/sys_util.h"
#include "sentry/syscalls/syscalls.h"

enum { RT_PRIORITY_MAX = 99, RR_INTERVAL_NS = 100000000, NORMAL_INTERVAL_NS = 4000000 };

static bool is_realtime(int policy) {
    return policy == LINUX_SCHED_FIFO || policy == LINUX_SCHED_RR;
}

/* 0 means oneself. New reference. */
static struct task *target_of(struct task *t, int pid) {
    return pid == 0 ? task_ref(t) : task_find(t, pid);
}

static bool same_owner(struct task *t, struct task *target) {
    cleanup(creds_unrefp) struct creds *tc = task_get_creds(target);
    return t->creds->euid == tc->uid || t->creds->euid == tc->euid;
}

/* ---- policies ---- */

struct sched_change {
    int policy, priority, nice;
    bool reset_on_fork, keep_nice;
};

static int check_change(struct task *t, struct task *target, const struct sched_change *s) {
    switch (s->policy) {
    case LINUX_SCHED_NORMAL:
    case LINUX_SCHED_BATCH:
    case LINUX_SCHED_IDLE:
        if (s->priority != 0)
            return -EINVAL;
        break;
    case LINUX_SCHED_FIFO:
    case LINUX_SCHED_RR:
        if (s->priority < 1 || s->priority > RT_PRIORITY_MAX)
            return -EINVAL;
        break;
    default:
        return -EINVAL; /* SCHED_DEADLINE included: no admission here */
    }
    if (task_capable(t, LINUX_CAP_SYS_NICE))
        return 0;
    if (!same_owner(t, target))
        return -EPERM;
    if (is_realtime(s->policy)) {
        uint64_t limit = task_limit(target, LINUX_RLIMIT_RTPRIO);
        if ((s->policy != target->sched_policy && limit == 0) ||
            (s->priority > target->sched_priority && (uint64_t)s->priority > limit))
            return -EPERM;
    } else if (!s->keep_nice && s->nice < target->nice &&
               (uint64_t)(20 - s->nice) > task_limit(target, LINUX_RLIMIT_NICE)) {
        return -EPERM;
    }
    return target->sched_reset_on_fork && !s->reset_on_fork ? -EPERM : 0;
}

static int apply_change(struct task *t, int pid, const struct sched_change *s) {
    if (pid < 0)
        return -EINVAL;
    struct task *target = target_of(t, pid);
    if (!target)
        return -ESRCH;
    int r = check_change(t, target, s);
    if (r == 0) {
        mutex_lock(&target->lock);
        target->sched_policy = s->policy;
        target->sched_priority = s->priority;
        target->sched_reset_on_fork = s->reset_on_fork;
        if (!s->keep_nice && !is_realtime(s->policy))
            target->nice = s->nice;
        mutex_unlock(&target->lock);
    }
    task_unref(target);
    return r;
}

int64_t sys_sched_setscheduler(struct task *t, const struct syscall_args *a) {
    int policy = (int)a->arg[1];
    struct linux_sched_param p;

    if (policy < 0)
        return -EINVAL;
    if (!a->arg[2] || (int)a->arg[0] < 0)
        return -EINVAL;
    if (copy_in(t, &p, a->arg[2], sizeof p) < 0)
        return -EFAULT;
    struct sched_change s = {.policy = policy & ~LINUX_SCHED_RESET_ON_FORK,
                             .priority = p.priority,
                             .reset_on_fork = policy & LINUX_SCHED_RESET_ON_FORK,
                             .keep_nice = true};
    return apply_change(t, (int)a->arg[0], &s);
}

int64_t sys_sched_setparam(struct task *t, const struct syscall_args *a) {
    struct linux_sched_param p;

    if (!a->arg[1] || (int)a->arg[0] < 0)
        return -EINVAL;
    if (copy_in(t, &p, a->arg[1], sizeof p) < 0)
        return -EFAULT;
    struct task *target = target_of(t, (int)a->arg[0]);
    if (!target)
        return -ESRCH;
    struct sched_change s = {.policy = target->sched_policy,
                             .priority = p.priority,
                             .reset_on_fork = target->sched_reset_on_fork,
                             .keep_nice = true};
    task_unref(target);
    return apply_change(t, (int)a->arg[0], &s);
}

int64_t sys_sched_getscheduler(struct task *t, const struct syscall_args *a) {
    if ((int)a->arg[0] < 0)
        return -EINVAL;
    struct task *target = target_of(t, (int)a->arg[0]);
    if (!target)
        return -ESRCH;
    int r = target->sched_policy | (target->sched_reset_on_fork ? LINUX_SCHED_RESET_ON_FORK : 0);
    task_unref(target);
    return r;
}

int64_t sys_sched_getparam(struct task *t, const struct syscall_args *a) {
    if (!a->arg[1] || (int)a->arg[0] < 0)
        return -EINVAL;
    struct task *target = target_of(t, (int)a->arg[0]);
    if (!target)
        return -ESRCH;
    struct linux_sched_param p = {is_realtime(target->sched_policy) ? target->sched_priority : 0};
    task_unref(target);
    return copy_out(t, a->arg[1], &p, sizeof p);
}

int64_t sys_sched_get_priority_max(struct task *t, const struct syscall_args *a) {
    (void)t;
    switch ((int)a->arg[0]) {
    case LINUX_SCHED_FIFO:
    case LINUX_SCHED_RR:
        return RT_PRIORITY_MAX;
    case LINUX_SCHED_NORMAL:
    case LINUX_SCHED_BATCH:
    case LINUX_SCHED_IDLE:
    case LINUX_SCHED_DEADLINE:
        return 0;
    default:
        return -EINVAL;
    }
}

int64_t sys_sched_get_priority_min(struct task *t, const struct syscall_args *a) {
    int64_t max = sys_sched_get_priority_max(t, a);
    return max > 0 ? 1 : max;
}

int64_t sys_sched_rr_get_interval(struct task *t, const struct syscall_args *a) {
    if ((int)a->arg[0] < 0)
        return -EINVAL;
    struct task *target = target_of(t, (int)a->arg[0]);
    if (!target)
        return -ESRCH;
    int64_t ns = target->sched_policy == LINUX_SCHED_RR     ? RR_INTERVAL_NS
                 : target->sched_policy == LINUX_SCHED_FIFO ? 0
                                                            : NORMAL_INTERVAL_NS;
    task_unref(target);
    return copy_out_timespec(t, a->arg[1], ns);
}

enum { ATTR_SIZE_VER0 = 48 };

int64_t sys_sched_setattr(struct task *t, const struct syscall_args *a) {
    struct linux_sched_attr attr = {0};
    uint32_t size;

    if (!a->arg[1] || (int)a->arg[0] < 0 || a->arg[2])
        return -EINVAL;
    if (copy_in(t, &size, a->arg[1], sizeof size) < 0)
        return -EFAULT;
    if (size == 0)
        size = ATTR_SIZE_VER0;
    if (size < ATTR_SIZE_VER0 || size > PAGE_SIZE) {
        uint32_t ours = sizeof attr;
        return copy_out(t, a->arg[1], &ours, sizeof ours) < 0 ? -EFAULT : -E2BIG;
    }
    if (copy_in(t, &attr, a->arg[1], MIN(size, sizeof attr)) < 0)
        return -EFAULT;
    if ((int)attr.policy < 0 ||
        (attr.flags & ~(uint64_t)(LINUX_SCHED_FLAG_RESET_ON_FORK | LINUX_SCHED_FLAG_KEEP_ALL)))
        return -EINVAL;
    struct sched_change s = {.policy = (int)attr.policy,
                             .priority = (int)attr.priority,
                             .nice = MIN(MAX(attr.nice, -20), 19),
                             .reset_on_fork = attr.flags & LINUX_SCHED_FLAG_RESET_ON_FORK};
    if (attr.flags & LINUX_SCHED_FLAG_KEEP_ALL) {
        struct task *target = target_of(t, (int)a->arg[0]);
        if (!target)
            return -ESRCH;
        if (attr.flags & LINUX_SCHED_FLAG_KEEP_POLICY)
            s.policy = target->sched_policy;
        if (attr.flags & LINUX_SCHED_FLAG_KEEP_PARAMS) {
            s.priority = target->sched_priority;
            s.keep_nice = true;
        }
        task_unref(target);
    }
    return apply_change(t, (int)a->arg[0], &s);
}

int64_t sys_sched_getattr(struct task *t, const struct syscall_args *a) {
    uint64_t size = a->arg[2];

    if (!a->arg[1] || (int)a->arg[0] < 0 || size < ATTR_SIZE_VER0 || size > PAGE_SIZE || a->arg[3])
        return -EINVAL;
    struct task *target = target_of(t, (int)a->arg[0]);
    if (!target)
        return -ESRCH;
    struct linux_sched_attr attr = {
        .size = (uint32_t)MIN(size, sizeof attr),
        .policy = (uint32_t)target->sched_policy,
        .flags = target->sched_reset_on_fork ? LINUX_SCHED_FLAG_RESET_ON_FORK : 0,
        .nice = target->nice,
        .priority = is_realtime(target->sched_policy) ? (uint32_t)target->sched_priority : 0,
        .util_max = 1024,
    };
    task_unref(target);
    return copy_out(t, a->arg[1], &attr, attr.size);
}

/* ---- affinity ---- */

int64_t sys_sched_setaffinity(struct task *t, const struct syscall_args *a) {
    uint64_t mask[ARRAY_SIZE(t->affinity)] = {0};
    size_t size = MIN((uint32_t)a->arg[1], sizeof mask);

    if (copy_in(t, mask, a->arg[2], size) < 0)
        return -EFAULT;
    bool any = false;
    for (unsigned cpu = 0; cpu < 64 * ARRAY_SIZE(mask); cpu++) {
        if (cpu >= t->kernel->cpu_count)
            mask[cpu / 64] &= ~(1ull << cpu % 64);
        any = any || (mask[cpu / 64] >> cpu % 64 & 1);
    }
    struct task *target = target_of(t, (int)a->arg[0]);
    if (!target)
        return -ESRCH;
    int r = !same_owner(t, target) && !task_capable(t, LINUX_CAP_SYS_NICE) ? -EPERM : any ? 0 : -EINVAL;
    if (r == 0) {
        mutex_lock(&target->lock);
        memcpy(target->affinity, mask, sizeof mask);
        mutex_unlock(&target->lock);
    }
    task_unref(target);
    return r;
}

int64_t sys_sched_getaffinity(struct task *t, const struct syscall_args *a) {
    uint64_t mask[ARRAY_SIZE(t->affinity)];
    uint32_t size = (uint32_t)a->arg[1];

    if ((uint64_t)size * 8 < t->kernel->cpu_count || size % sizeof mask[0])
        return -EINVAL;
    struct task *target = target_of(t, (int)a->arg[0]);
    if (!target)
        return -ESRCH;
    mutex_lock(&target->lock);
    memcpy(mask, target->affinity, sizeof mask);
    mutex_unlock(&target->lock);
    task_unref(target);
    size = (uint32_t)MIN(size, sizeof mask);
    return copy_out(t, a->arg[2], mask, size) < 0 ? -EFAULT : (int64_t)size;
}

int64_t sys_sched_yield(struct task *t, const struct syscall_args *a) {
    (void)t;
    (void)a;
    host_yield();
    return 0;
}

int64_t sys_getcpu(struct task *t, const struct syscall_args *a) {
    uint32_t cpu = host_current_cpu() % t->kernel->cpu_count, node = 0;

    if (a->arg[0] && copy_out(t, a->arg[0], &cpu, sizeof cpu) < 0)
        return -EFAULT;
    return a->arg[1] ? copy_out(t, a->arg[1], &node, sizeof node) : 0;
}

/* ---- nice ---- */

struct priority_visit {
    struct task *t;
    void (*visit)(struct priority_visit *v, struct task *target);
    kuid_t uid;
    bool set;
    int nice, result; /* get: best so far, as 20 - nice (of input and output: as ioprio); set: 0 or -errno */
};

static void visit_priority(struct priority_visit *v, struct task *target) {
    if (!v->set) {
        v->result = MAX(v->result, 20 - target->nice);
        return;
    }
    int r = 0;
    cleanup(creds_unrefp) struct creds *tc = task_get_creds(target);
    if (v->t->creds->euid != tc->uid && v->t->creds->euid != tc->euid &&
        !creds_has_cap_in(v->t->creds, tc->user_ns, LINUX_CAP_SYS_NICE))
        r = -EPERM;
    else if (v->nice < target->nice && (uint64_t)(20 - v->nice) > task_limit(target, LINUX_RLIMIT_NICE) &&
             !task_capable(v->t, LINUX_CAP_SYS_NICE))
        r = -EACCES;
    if (r == 0)
        target->nice = v->nice;
    if (v->result == -ESRCH || r < 0)
        v->result = r;
}

static bool matches(struct priority_visit *v, struct task *p, int which, struct pid *pgrp) {
    if (which == LINUX_PRIO_PGRP)
        return p->group->pgrp == pgrp;
    cleanup(creds_unrefp) struct creds *c = task_get_creds(p);
    return c->uid == v->uid;
}

static int for_priority_targets(struct task *t, int which, int who, struct priority_visit *v) {
    int number = 0;
    struct task *p;

    if (which == LINUX_PRIO_PROCESS) {
        p = target_of(t, who);
        if (p)
            v->visit(v, p);
        task_unref(p);
        return v->result;
    }
    if (which != LINUX_PRIO_PGRP && which != LINUX_PRIO_USER)
        return -EINVAL;
    struct pid *pgrp = which != LINUX_PRIO_PGRP ? NULL : who == 0 ? task_get_pgrp(t) : task_find_pid(t, who);
    v->uid = who == 0 ? t->creds->uid : make_kuid(t->creds->user_ns, (uint32_t)who);
    while ((p = task_next_process(task_pid_ns(t), number + 1, &number)) != NULL) {
        if (matches(v, p, which, pgrp))
            v->visit(v, p);
        task_unref(p);
    }
    pid_unref(pgrp);
    return v->result;
}

int64_t sys_getpriority(struct task *t, const struct syscall_args *a) {
    struct priority_visit v = {.t = t, .visit = visit_priority, .result = -ESRCH};

    return for_priority_targets(t, (int)a->arg[0], (int)a->arg[1], &v);
}

int64_t sys_setpriority(struct task *t, const struct syscall_args *a) {
    struct priority_visit v = {.t = t,
                               .visit = visit_priority,
                               .set = true,
                               .nice = MIN(MAX((int)a->arg[2], -20), 19),
                               .result = -ESRCH};

    return for_priority_targets(t, (int)a->arg[0], (int)a->arg[1], &v);
}

/* ---- priorities of input and output: ioprio_set(2); kept and given back ---- */

enum {
    IOPRIO_CLASS_SHIFT = 13,
    IOPRIO_NONE = 0,
    IOPRIO_RT = 1,
    IOPRIO_BE = 2,
    IOPRIO_IDLE = 3,
    IOPRIO_LEVELS = 8
};

/* The better of two: a lower class, then a lower level; none counts as the middle of best effort. */
static int better_ioprio(int a, int b) {
    const int middle = IOPRIO_BE << IOPRIO_CLASS_SHIFT | IOPRIO_LEVELS / 2;

    a = a ? a : middle;
    b = b ? b : middle;
    return MIN(a, b);
}

static void visit_ioprio(struct priority_visit *v, struct task *target) {
    if (!v->set) {
        v->result = v->result == -ESRCH ? target->ioprio : better_ioprio(v->result, target->ioprio);
        return;
    }
    cleanup(creds_unrefp) struct creds *tc = task_get_creds(target);
    bool allowed = v->t->creds->uid == tc->uid || v->t->creds->euid == tc->uid ||
                   creds_has_cap_in(v->t->creds, tc->user_ns, LINUX_CAP_SYS_NICE);
    if (allowed)
        target->ioprio = v->nice;
    if (v->result == -ESRCH || !allowed)
        v->result = allowed ? 0 : -EPERM;
}

/* IOPRIO_WHO_* are PRIO_* plus one. */
int64_t sys_ioprio_get(struct task *t, const struct syscall_args *a) {
    struct priority_visit v = {.t = t, .visit = visit_ioprio, .result = -ESRCH};

    return for_priority_targets(t, (int)((uint32_t)a->arg[0] - 1), (int)a->arg[1], &v);
}

static int check_ioprio(struct task *t, int ioprio) {
    switch (ioprio >> IOPRIO_CLASS_SHIFT) {
    case IOPRIO_RT:
        return task_capable(t, LINUX_CAP_SYS_ADMIN) || task_capable(t, LINUX_CAP_SYS_NICE) ? 0 : -EPERM;
    case IOPRIO_BE:
    case IOPRIO_IDLE:
        return 0;
    case IOPRIO_NONE:
        return ioprio & ((1 << IOPRIO_CLASS_SHIFT) - 1) ? -EINVAL : 0;
    }
    return -EINVAL;
}

int64_t sys_ioprio_set(struct task *t, const struct syscall_args *a) {
    struct priority_visit v = {
        .t = t, .visit = visit_ioprio, .set = true, .nice = (int)a->arg[2], .result = -ESRCH};
    int r = check_ioprio(t, v.nice);

    return r < 0 ? r : for_priority_targets(t, (int)((uint32_t)a->arg[0] - 1), (int)a->arg[1], &v);
}
