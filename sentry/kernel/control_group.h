/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/control_group.h: control groups, version 2: a tree of sets of processes, with limits. What a
 * guest sees of it is sentry/fs/cgroup. Source: cgroups(7), Documentation/admin-guide/cgroup-v2.
 *
 * One tree a kernel. Its root is nobody's to see; each container has a child of it, which its cgroup
 * namespace shows as "/". Processes belong to a group as a whole (there are no threaded groups). Enforced
 * here: pids, freezer, kill, memory.max (control_group_memory.c). cpu limits are kept and given back; what
 * bounds a sandbox is the host's cgroup.
 *
 * References: a group keeps its parent; processes, namespaces, open files and mounts keep their group. A
 * group that was removed lives on, without a name, until they let go of it.
 *
 * Lock: kernel.taskset_lock for all of it but what is marked constant.
 */
#pragma once

#include "base/list.h"
#include "base/ref.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/waitq.h"

struct kernel;
struct task;
struct thread_group;

enum cgroup_controller {
    CGROUP_CPUSET = 1,
    CGROUP_CPU = 2,
    CGROUP_MEMORY = 4,
    CGROUP_PIDS = 8,
    CGROUP_ALL = 15
};
#define CGROUP_MAX UINT64_MAX /* "max" */

struct cgroup_limits {
    uint64_t memory_min, memory_low, memory_high, memory_max, swap_high, swap_max,
        pids_max; /* bytes; count */
    uint64_t cpu_quota_us, cpu_period_us, cpu_burst_us;
    unsigned cpu_weight;
    bool cpu_idle, oom_group;
};

struct cgroup {
    struct ref ref;
    struct kernel *kernel;
    struct cgroup *parent; /* reference; NULL: the root. Constant */
    char *name;            /* heap; constant */
    uint64_t inode;        /* constant */
    unsigned level;        /* of the root: 0. Constant */

    struct list children, sibling; /* of the live ones */
    struct list groups;            /* thread_group.cgroup_node: processes that have not ended */
    bool dead;                     /* removed */
    unsigned subtree_control;      /* enum cgroup_controller: what the children have */
    unsigned descendants;          /* live groups below */
    unsigned populated;            /* processes in it, and populated children */
    uint64_t max_depth, max_descendants;
    uint64_t pids, pids_peak;                /* tasks, zombies too, in it and below */
    uint64_t pids_events, pids_events_local; /* forks that a limit forbade: below, here */
    uint64_t dead_user_ns, dead_system_ns;   /* cpu time of processes that ended, here and below */
    uint64_t memory_peak;
    uint64_t oom_kills, oom_events; /* processes in it and below that were killed; its own limit overrun */
    struct cgroup_limits limits;
    _Atomic bool freeze;                /* asked for here */
    unsigned frozen_tasks;              /* that wait in cgroup_freeze_here(), in it and below */
    unsigned live_tasks;                /* in it and below */
    struct waitq freezer;               /* who waits to be let go */
    bool shown_frozen, shown_populated; /* by cgroup.events at the last change */
    struct waitq changed;               /* cgroup.events, pids.events */
    _Atomic uint64_t event;             /* counts changes */
    kuid_t uid;                         /* owner of the directory ... */
    kgid_t gid;
    uint32_t mode;
    kuid_t files_uid; /* ... and of the files that delegation gives away: cgroups(7) "Delegation" */
    kgid_t files_gid;
};
DECLARE_REF(cgroup);

struct cgroup_ns {
    struct ref ref;
    struct user_ns *user_ns; /* reference */
    uint64_t inode;
    struct cgroup *root; /* reference */
};
DECLARE_REF(cgroup_ns);
struct cgroup_ns *cgroup_ns_new(struct kernel *k, struct user_ns *user_ns, struct cgroup *root);

/* The tree's root, or a container's group below it. NULL: no memory. */
struct cgroup *cgroup_new_root(struct kernel *k);
struct cgroup *cgroup_new_container(struct kernel *k, const char *id);
/* The container's ends with it. */
void cgroup_remove_container(struct cgroup *c);

/* mkdir(2): new reference. -EAGAIN (limits of the tree), -ENODEV (parent removed), -ENOMEM. */
int cgroup_make(struct cgroup *parent, const char *name, size_t len, const struct creds *c,
                struct cgroup **ret) must_check;
/* rmdir(2): -EBUSY, -ENODEV. */
int cgroup_rmdir(struct cgroup *c) must_check;
/* New reference, or NULL. */
struct cgroup *cgroup_child(struct cgroup *c, const char *name, size_t len);
/* The child at position `n` (1, 2, ...): new reference, or NULL at the end. */
struct cgroup *cgroup_child_at(struct cgroup *c, uint64_t n);
bool cgroup_is_below(const struct cgroup *c, const struct cgroup *ancestor); /* or the same */
/* Name from `root`, which need not be above it, in heap memory; " (deleted)" if it is. NULL: no memory. */
char *cgroup_path(struct cgroup *c, struct cgroup *root) must_check;
/* Controllers whose files it has. */
unsigned cgroup_controllers(const struct cgroup *c);
/* cgroup.subtree_control: -ENOENT (not available), -EBUSY. */
int cgroup_set_control(struct cgroup *c, unsigned enable, unsigned disable) must_check;

/* Moves the process of `t`; the writer's rights are checked. -EBUSY, -EACCES, -ENODEV, -EOPNOTSUPP. */
int cgroup_move(struct cgroup *to, struct task *t, const struct creds *c) must_check;
void cgroup_kill(struct cgroup *c);
void cgroup_set_freeze(struct cgroup *c, bool freeze);
/* Is it, or what it is in, frozen altogether? taskset_lock held. */
bool cgroup_frozen_locked(const struct cgroup *c);
/* What the processes in it and below have used; memory is the host's word. May block. */
struct cgroup_usage {
    uint64_t user_ns, system_ns, memory_bytes;
};
void cgroup_usage(struct cgroup *c, struct cgroup_usage *ret);
void cgroup_changed_locked(struct cgroup *c);
void cgroup_set_limits(struct cgroup *c, const struct cgroup_limits *limits);
/* memory.max alone. */
void cgroup_limit_memory(struct cgroup *c, uint64_t bytes);
/* It was killed for want of memory, by the host or by us. taskset_lock held. */
void cgroup_oom_killed_locked(struct thread_group *g);
/* A task is about to run guest code (task.in_guest is set) and some group has a memory.max. */
void memory_guard_wake(struct kernel *k);
void memory_guard_end(struct kernel *k); /* before the kernel goes */
/* Group of a task: new reference. */
struct cgroup *task_get_cgroup(struct task *t);

/* ---- for the making and ending of tasks; taskset_lock held ---- */

/* May the group take another task? -EAGAIN (pids.max), -ENODEV (removed). */
int cgroup_can_fork_locked(struct cgroup *c) must_check;
/* A new task of a process that has a group already, or (a leader) gets `into`. */
void cgroup_task_linked_locked(struct task *t, struct cgroup *into);
/* The task runs no more. */
void cgroup_task_ended_locked(struct task *t);
/* ... and leaves the tables. */
void cgroup_task_released_locked(struct task *t);
/* May clone(2) put a child there: CLONE_INTO_CGROUP? */
int cgroup_may_enter(struct cgroup *to, struct task *parent) must_check;

/* TASK_WORK_FREEZE: waits while the group is frozen. OWN THREAD, no locks. */
void cgroup_freeze_here(struct task *t);
