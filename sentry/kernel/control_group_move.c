/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/control_group_move.c: what is done to the processes of a control group: moving, killing,
 * freezing. Source: cgroups(7), Documentation/admin-guide/cgroup-v2 "Core Interface Files".
 */
#include <errno.h>

#include "base/abi/linux/signal.h"
#include "sentry/kernel/control_group_internal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"

/* ---- moving ---- */

static struct cgroup *common_of(struct cgroup *a, struct cgroup *b) {
    while (!cgroup_is_below(b, a))
        a = a->parent;
    return a;
}

/* Delegation: one who may not write the common ancestor's cgroup.procs moves nothing across it. */
static int check_writer(struct cgroup *from, struct cgroup *to, const struct creds *c) {
    struct cgroup *common = common_of(from, to);

    if (c->fsuid == common->files_uid || creds_has_cap_in(c, c->user_ns, LINUX_CAP_DAC_OVERRIDE))
        return 0;
    return -EACCES;
}

static int check_target_locked(const struct cgroup *to) {
    if (to->dead)
        return -ENODEV;
    return to->subtree_control && to->level > 1 ? -EBUSY : 0; /* no processes in inner groups */
}

int cgroup_may_enter(struct cgroup *to, struct task *parent) {
    struct kernel *k = to->kernel;

    mutex_lock(&k->taskset_lock);
    int r = check_target_locked(to);
    if (r == 0)
        r = check_writer(parent->group->cgroup, to, parent->creds);
    mutex_unlock(&k->taskset_lock);
    return r;
}

static bool frozen_above(const struct cgroup *c) {
    for (; c; c = c->parent)
        if (c->freeze)
            return true;
    return false;
}

/* Every thread looks again: one that must stop goes to wait, one that waits sees whether it still must. */
static void poke_group_locked(struct thread_group *g) {
    struct task *t;

    list_for_each_entry(t, &g->tasks, group_node) task_interrupt(t, TASK_WORK_FREEZE);
}

int cgroup_move(struct cgroup *to, struct task *t, const struct creds *c) {
    struct kernel *k = to->kernel;
    struct cgroup *old = NULL;

    mutex_lock(&k->taskset_lock);
    struct thread_group *g = t->group;
    int r = g->cgroup ? check_target_locked(to) : -ESRCH;
    if (r == 0)
        r = check_writer(g->cgroup, to, c);
    if (r == 0 && g->cgroup != to) {
        bool touched = frozen_above(g->cgroup) || frozen_above(to);
        unsigned live = g->cgroup_live;
        if (live > 0) {
            old = cgroup_take_group_locked(g, live, g->task_count);
            cgroup_put_group_locked(g, to, live, g->task_count);
            if (touched)
                poke_group_locked(g);
        } else {
            r = -ESRCH;
        }
    }
    mutex_unlock(&k->taskset_lock);
    cgroup_unref(old);
    return r;
}

/* ---- all of them ---- */

void cgroup_for_each_group_locked(struct cgroup *c, void (*fn)(struct thread_group *g)) {
    struct thread_group *g;
    struct cgroup *child;

    list_for_each_entry(g, &c->groups, cgroup_node) fn(g);
    list_for_each_entry(child, &c->children, sibling) cgroup_for_each_group_locked(child, fn);
}

static void kill_group_locked(struct thread_group *g) {
    thread_group_exit(g, status_killed(LINUX_SIGKILL));
}

void cgroup_kill(struct cgroup *c) {
    mutex_lock(&c->kernel->taskset_lock);
    cgroup_for_each_group_locked(c, kill_group_locked);
    mutex_unlock(&c->kernel->taskset_lock);
}

/* ---- freezing ---- */

bool cgroup_frozen_locked(const struct cgroup *c) {
    return frozen_above(c) && c->frozen_tasks == c->live_tasks;
}

static void wake_below_locked(struct cgroup *c) {
    struct cgroup *child;

    waitq_wake(&c->freezer, WAIT_ANY);
    list_for_each_entry(child, &c->children, sibling) wake_below_locked(child);
}

static void tell_frozen_locked(struct cgroup *c) {
    struct cgroup *child;
    bool frozen = cgroup_frozen_locked(c);

    if (frozen != c->shown_frozen) {
        c->shown_frozen = frozen;
        cgroup_changed_locked(c);
    }
    list_for_each_entry(child, &c->children, sibling) tell_frozen_locked(child);
}

void cgroup_set_freeze(struct cgroup *c, bool freeze) {
    mutex_lock(&c->kernel->taskset_lock);
    c->freeze = freeze;
    if (freeze)
        cgroup_for_each_group_locked(c, poke_group_locked);
    else
        wake_below_locked(c);
    tell_frozen_locked(c);
    mutex_unlock(&c->kernel->taskset_lock);
}

/* The group that holds the task now, with the counts of frozen tasks above it changed; NULL: it need not
 * wait. New reference. */
static struct cgroup *enter_frozen(struct task *t) {
    struct cgroup *c, *up;

    mutex_lock(&t->kernel->taskset_lock);
    c = t->group->cgroup;
    c = c && frozen_above(c) ? cgroup_ref(c) : NULL;
    for (up = c; up; up = up->parent) {
        up->frozen_tasks++;
        if (cgroup_frozen_locked(up) != up->shown_frozen) {
            up->shown_frozen = !up->shown_frozen;
            cgroup_changed_locked(up);
        }
    }
    mutex_unlock(&t->kernel->taskset_lock);
    return c;
}

static void leave_frozen(struct task *t, struct cgroup *c) {
    mutex_lock(&t->kernel->taskset_lock);
    for (struct cgroup *up = c; up; up = up->parent) {
        up->frozen_tasks--;
        if (cgroup_frozen_locked(up) != up->shown_frozen) {
            up->shown_frozen = !up->shown_frozen;
            cgroup_changed_locked(up);
        }
    }
    mutex_unlock(&t->kernel->taskset_lock);
    cgroup_unref(c);
}

void cgroup_freeze_here(struct task *t) {
    struct cgroup *c;
    int r = 0;

    atomic_fetch_and(&t->pending_work, ~(uint32_t)TASK_WORK_FREEZE);
    while (r == 0 && (c = enter_frozen(t))) {
        struct waiter w;
        waiter_init_task(&w, t, WAIT_ANY);
        waitq_add(&c->freezer, &w);
        while (r == 0 && frozen_above(c) && t->group->cgroup == c)
            r = task_block_killable(t, CLOCK_NEVER);
        waitq_remove(&w);
        leave_frozen(t, c);
    }
}
