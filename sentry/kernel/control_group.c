/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/control_group.c: the tree of control groups and who is in it. See control_group.h. Freezing,
 * killing, moving: control_group_move.c.
 */
#include "sentry/kernel/control_group.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/poll.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/control_group_internal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

HEAP_TYPE(cgroup, struct cgroup, 0);
HEAP_TYPE(cgroup_ns, struct cgroup_ns, 0);

static void cgroup_destroy(struct cgroup *c) {
    struct cgroup *parent = c->parent;

    ASSERT(list_empty(&c->groups));
    ASSERT(list_empty(&c->children));
    heap_free(c->name);
    heap_free(c);
    cgroup_unref(parent);
}
DEFINE_REF(cgroup, cgroup_destroy);

static void cgroup_ns_destroy(struct cgroup_ns *ns) {
    user_ns_unref(ns->user_ns);
    cgroup_unref(ns->root);
    heap_free(ns);
}
DEFINE_REF(cgroup_ns, cgroup_ns_destroy);

struct cgroup_ns *cgroup_ns_new(struct kernel *k, struct user_ns *user_ns, struct cgroup *root) {
    struct cgroup_ns *ns = heap_new(cgroup_ns);

    if (!ns)
        return NULL;
    cgroup_ns_ref_init(ns);
    ns->user_ns = user_ns_ref(user_ns);
    ns->inode = kernel_new_inode(k);
    ns->root = cgroup_ref(root);
    return ns;
}

/* ---- the tree ---- */

static struct cgroup *cgroup_alloc(struct kernel *k, struct cgroup *parent, const char *name, size_t len) {
    struct cgroup *c = heap_new(cgroup);

    if (!c)
        return NULL;
    c->name = heap_strndup(name, len);
    if (!c->name) {
        heap_free(c);
        return NULL;
    }
    cgroup_ref_init(c);
    c->kernel = k;
    c->parent = parent ? cgroup_ref(parent) : NULL;
    c->level = parent ? parent->level + 1 : 0;
    c->inode = kernel_new_inode(k);
    c->mode = 0755;
    c->max_depth = c->max_descendants = CGROUP_MAX;
    c->limits = (struct cgroup_limits){.memory_high = CGROUP_MAX,
                                       .memory_max = CGROUP_MAX,
                                       .swap_high = CGROUP_MAX,
                                       .swap_max = CGROUP_MAX,
                                       .pids_max = CGROUP_MAX,
                                       .cpu_quota_us = CGROUP_MAX,
                                       .cpu_period_us = 100000,
                                       .cpu_weight = 100};
    list_init(&c->children);
    list_init(&c->sibling);
    list_init(&c->groups);
    waitq_init(&c->freezer);
    waitq_init(&c->changed);
    return c;
}

/* The tree has a reference of its own to each live group, the root's creator one to that. */
static void link_child_locked(struct cgroup *c) {
    list_add_tail(&c->parent->children, &cgroup_ref(c)->sibling);
    for (struct cgroup *up = c->parent; up; up = up->parent)
        up->descendants++;
}

/* The tree's reference is the caller's to drop, without the lock. */
static void unlink_child_locked(struct cgroup *c) {
    c->dead = true;
    list_del(&c->sibling);
    for (struct cgroup *up = c->parent; up; up = up->parent)
        up->descendants--;
    cgroup_changed_locked(c);
}

struct cgroup *cgroup_new_root(struct kernel *k) {
    struct cgroup *c = cgroup_alloc(k, NULL, "", 0);

    if (c)
        c->subtree_control = CGROUP_ALL;
    return c;
}

struct cgroup *cgroup_new_container(struct kernel *k, const char *id) {
    struct cgroup *c = cgroup_alloc(k, k->root_cgroup, id, strlen(id));

    if (!c)
        return NULL;
    mutex_lock(&k->taskset_lock);
    link_child_locked(c);
    mutex_unlock(&k->taskset_lock);
    return c;
}

void cgroup_remove_container(struct cgroup *c) {
    struct kernel *k = c->kernel;
    struct cgroup *leaf;

    do { /* the guest may have left some: innermost first */
        mutex_lock(&k->taskset_lock);
        for (leaf = c; !list_empty(&leaf->children);)
            leaf = list_first_entry(&leaf->children, struct cgroup, sibling);
        unlink_child_locked(leaf);
        mutex_unlock(&k->taskset_lock);
        cgroup_unref(leaf);
    } while (leaf != c);
}

enum { LEVELS_MAX = 64 /* walks of the tree recurse */, GROUPS_MAX = 65536 };

static int room_for_child_locked(const struct cgroup *parent) {
    unsigned depth = 1;

    if (parent->dead)
        return -ENODEV;
    if (parent->level >= LEVELS_MAX || parent->kernel->root_cgroup->descendants >= GROUPS_MAX)
        return -EAGAIN;
    for (const struct cgroup *up = parent; up; up = up->parent, depth++)
        if (up->descendants >= up->max_descendants || depth > up->max_depth)
            return -EAGAIN;
    return 0;
}

int cgroup_make(struct cgroup *parent, const char *name, size_t len, const struct creds *creds,
                struct cgroup **ret) {
    struct kernel *k = parent->kernel;
    struct cgroup *c = cgroup_alloc(k, parent, name, len);

    if (!c)
        return -ENOMEM;
    c->uid = c->files_uid = creds->fsuid;
    c->gid = c->files_gid = creds->fsgid;
    mutex_lock(&k->taskset_lock);
    int r = room_for_child_locked(parent);
    if (r == 0)
        link_child_locked(c);
    mutex_unlock(&k->taskset_lock);
    if (r < 0)
        cgroup_unref(c);
    else
        *ret = c;
    return r;
}

int cgroup_rmdir(struct cgroup *c) {
    struct kernel *k = c->kernel;
    int r = 0;

    mutex_lock(&k->taskset_lock);
    if (c->dead)
        r = -ENODEV;
    else if (c->populated || !list_empty(&c->children))
        r = -EBUSY;
    else
        unlink_child_locked(c);
    mutex_unlock(&k->taskset_lock);
    if (r == 0)
        cgroup_unref(c);
    return r;
}

struct cgroup *cgroup_child(struct cgroup *c, const char *name, size_t len) {
    struct cgroup *child, *found = NULL;

    mutex_lock(&c->kernel->taskset_lock);
    list_for_each_entry(child, &c->children, sibling) {
        if (strlen(child->name) == len && memcmp(child->name, name, len) == 0) {
            found = cgroup_ref(child);
            break;
        }
    }
    mutex_unlock(&c->kernel->taskset_lock);
    return found;
}

struct cgroup *cgroup_child_at(struct cgroup *c, uint64_t n) {
    struct cgroup *child, *found = NULL;

    mutex_lock(&c->kernel->taskset_lock);
    list_for_each_entry(child, &c->children, sibling) {
        if (--n == 0) {
            found = cgroup_ref(child);
            break;
        }
    }
    mutex_unlock(&c->kernel->taskset_lock);
    return found;
}

bool cgroup_is_below(const struct cgroup *c, const struct cgroup *ancestor) {
    while (c && c != ancestor)
        c = c->parent;
    return c != NULL;
}

/* cgroup_namespaces(7): "/.." for each step from the root up to what both are in, then the names down. */
char *cgroup_path(struct cgroup *c, struct cgroup *root) {
    char text[4096];
    size_t at = sizeof text, len;
    struct cgroup *common = root;
    bool dead = c->dead;

    while (!cgroup_is_below(c, common))
        common = common->parent;
    for (; c != common; c = c->parent) {
        len = strlen(c->name);
        if (len + 1 > at)
            return NULL;
        at -= len + 1;
        text[at] = '/';
        memcpy(text + at + 1, c->name, len);
    }
    for (; root != common && at >= 3; root = root->parent) {
        at -= 3;
        memcpy(text + at, "/..", 3);
    }
    if (at == sizeof text)
        text[--at] = '/';
    len = sizeof text - at;
    char *path = heap_alloc_bytes(len + sizeof " (deleted)");
    if (path)
        snprintf(path, len + sizeof " (deleted)", "%.*s%s", (int)len, text + at, dead ? " (deleted)" : "");
    return path;
}

unsigned cgroup_controllers(const struct cgroup *c) {
    return c->parent ? c->parent->subtree_control : CGROUP_ALL;
}

/* A namespace's root may have both processes and controllers below, as the real root may. */
static bool may_hold_both(const struct cgroup *c) {
    return c->level <= 1;
}

int cgroup_set_control(struct cgroup *c, unsigned enable, unsigned disable) {
    struct cgroup *child;
    int r = 0;

    mutex_lock(&c->kernel->taskset_lock);
    if (c->dead)
        r = -ENODEV;
    else if (enable & ~cgroup_controllers(c))
        r = -ENOENT;
    else if (enable & ~c->subtree_control && !list_empty(&c->groups) && !may_hold_both(c))
        r = -EBUSY;
    list_for_each_entry(child, &c->children, sibling) if (r == 0 && child->subtree_control & disable) r =
        -EBUSY;
    if (r == 0)
        c->subtree_control = (c->subtree_control | enable) & ~disable;
    mutex_unlock(&c->kernel->taskset_lock);
    return r;
}

void cgroup_changed_locked(struct cgroup *c) {
    atomic_fetch_add(&c->event, 1);
    waitq_wake(&c->changed, LINUX_POLLPRI | LINUX_POLLERR);
}

/* ---- who is in it ---- */

struct cgroup *task_get_cgroup(struct task *t) {
    mutex_lock(&t->kernel->taskset_lock);
    struct cgroup *c = t->group->cgroup ? cgroup_ref(t->group->cgroup) : NULL;
    mutex_unlock(&t->kernel->taskset_lock);
    return c;
}

static void tell_changes_locked(struct cgroup *c) {
    for (; c; c = c->parent) {
        bool frozen = cgroup_frozen_locked(c), populated = c->populated > 0;
        if (frozen == c->shown_frozen && populated == c->shown_populated)
            continue;
        c->shown_frozen = frozen;
        c->shown_populated = populated;
        cgroup_changed_locked(c);
    }
}

static void count_process_locked(struct cgroup *c, int by) {
    for (; c; c = c->parent) {
        bool before = c->populated > 0;
        c->populated = (unsigned)((int)c->populated + by);
        if ((c->populated > 0) == before) /* the parent counts it once */
            break;
    }
}

void cgroup_put_group_locked(struct thread_group *g, struct cgroup *c, unsigned live, unsigned all) {
    g->cgroup = cgroup_ref(c);
    if (live > 0) {
        bool first = list_empty(&c->groups);
        list_add_tail(&c->groups, &g->cgroup_node);
        count_process_locked(c, 1);
        if (first)
            cgroup_memory_in_use_locked(c);
    }
    for (struct cgroup *up = c; up; up = up->parent) {
        up->live_tasks += live;
        up->pids += all;
        up->pids_peak = MAX(up->pids_peak, up->pids);
    }
    tell_changes_locked(c);
}

/* The reference of the group goes to the caller. */
struct cgroup *cgroup_take_group_locked(struct thread_group *g, unsigned live, unsigned all) {
    struct cgroup *c = g->cgroup;

    g->cgroup = NULL;
    if (live > 0) {
        list_del(&g->cgroup_node);
        count_process_locked(c, -1);
    }
    for (struct cgroup *up = c; up; up = up->parent) {
        up->live_tasks -= live;
        up->pids -= all;
    }
    tell_changes_locked(c);
    return c;
}

int cgroup_can_fork_locked(struct cgroup *c) {
    if (c->dead)
        return -ENODEV;
    for (struct cgroup *up = c; up; up = up->parent) {
        if (up->pids < up->limits.pids_max)
            continue;
        up->pids_events_local++;
        for (struct cgroup *told = up; told; told = told->parent) {
            told->pids_events++;
            cgroup_changed_locked(told);
        }
        return -EAGAIN;
    }
    return 0;
}

void cgroup_task_linked_locked(struct task *t, struct cgroup *into) {
    struct thread_group *g = t->group;

    if (!into)
        return; /* a task of a unit test */
    if (!g->cgroup) {
        cgroup_put_group_locked(g, into, 1, 1);
    } else {
        for (struct cgroup *up = g->cgroup; up; up = up->parent) {
            up->live_tasks++;
            up->pids++;
            up->pids_peak = MAX(up->pids_peak, up->pids);
        }
    }
    g->cgroup_live++;
    for (struct cgroup *up = g->cgroup; up; up = up->parent)
        if (up->freeze)
            task_interrupt(t, TASK_WORK_FREEZE);
}

void cgroup_task_ended_locked(struct task *t) {
    struct thread_group *g = t->group;

    if (!g->cgroup)
        return;
    bool last = --g->cgroup_live == 0;
    struct cpu_times cpu = last ? thread_group_cpu(g) : (struct cpu_times){0};
    for (struct cgroup *up = g->cgroup; up; up = up->parent) {
        up->live_tasks--;
        up->dead_user_ns += (uint64_t)cpu.user_ns;
        up->dead_system_ns += (uint64_t)cpu.system_ns;
    }
    if (last) {
        list_del(&g->cgroup_node);
        count_process_locked(g->cgroup, -1);
    }
    tell_changes_locked(g->cgroup);
}

void cgroup_task_released_locked(struct task *t) {
    for (struct cgroup *up = t->group->cgroup; up; up = up->parent)
        up->pids--;
}

/* ---- what it uses ---- */

static struct task *process_at_locked(struct cgroup *c, size_t *n) {
    struct thread_group *g;
    struct cgroup *child;

    list_for_each_entry(g, &c->groups, cgroup_node) if (g->leader && --*n == 0) return task_ref(g->leader);
    list_for_each_entry(child, &c->children, sibling) {
        struct task *t = process_at_locked(child, n);
        if (t)
            return t;
    }
    return NULL;
}

struct task *cgroup_process_at_locked(struct cgroup *c, size_t n) {
    return process_at_locked(c, &n);
}

static uint64_t memory_of(struct task *t) {
    struct as_usage usage = {0};
    struct mm *mm = task_get_mm(t);

    if (mm)
        (void)kernel_platform(t->kernel)->ops->as_usage(mm_as(mm), &usage);
    mm_unref(mm);
    return usage.rss_bytes;
}

void cgroup_usage(struct cgroup *c, struct cgroup_usage *ret) {
    struct kernel *k = c->kernel;

    might_block();
    mutex_lock(&k->taskset_lock);
    *ret = (struct cgroup_usage){.user_ns = c->dead_user_ns, .system_ns = c->dead_system_ns};
    mutex_unlock(&k->taskset_lock);
    for (size_t i = 1;; i++) {
        mutex_lock(&k->taskset_lock);
        struct task *t = cgroup_process_at_locked(c, i);
        struct cpu_times cpu = t ? thread_group_cpu(t->group) : (struct cpu_times){0};
        mutex_unlock(&k->taskset_lock);
        if (!t)
            break;
        ret->user_ns += (uint64_t)cpu.user_ns;
        ret->system_ns += (uint64_t)cpu.system_ns;
        ret->memory_bytes += memory_of(t);
        task_unref(t);
    }
    mutex_lock(&k->taskset_lock);
    c->memory_peak = MAX(c->memory_peak, ret->memory_bytes);
    mutex_unlock(&k->taskset_lock);
}
