/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/pid.h: process ids in nested pid namespaces. Source: pid_namespaces(7).
 *
 * A struct pid is one identity with a number in its own namespace and in each ancestor. It outlives the task (zombies, pidfds, process
 * groups and sessions named after it). Lists of tasks by role hang off it. Protected by kernel.taskset_lock (RANK_TASKSET), except
 * the count and the numbers, which never change.
 */
#pragma once

#include "base/list.h"
#include "base/ref.h"
#include "sentry/kernel/waitq.h"

struct kernel;
struct task;
struct user_ns;

enum pid_role { PID_TASK, PID_GROUP, PID_PGRP, PID_SESSION, PID_ROLES };

struct pid_ns {
    struct ref ref;
    struct pid_ns *parent;   /* reference; NULL for the sandbox's root namespace */
    struct user_ns *user_ns; /* reference */
    unsigned level;
    uint64_t inode;          /* of /proc/PID/ns/pid */
    /* taskset_lock: */
    struct pid **table;      /* open hash by number; grows */
    size_t table_size, count;
    int last_number;         /* next-fit, wraps at pid_max */
    int pid_max;
    struct task *init;       /* child reaper; NULL once it has ended: no new pids */
    bool ending;
};
DECLARE_REF(pid_ns);

struct pid_number {
    int number;
    struct pid_ns *ns;
    struct pid *hash_next;
};

struct pid {
    struct ref ref;
    unsigned level;
    struct list tasks[PID_ROLES]; /* taskset_lock; nodes: task.pid_node[role] */
    struct waitq exit_queue;      /* pidfd poll, WAIT_ANY */
    bool dead;                    /* the process it was made for has been reaped */
    struct pid_number numbers[];  /* [0] the root namespace ... [level] its own */
};
DECLARE_REF(pid);

struct pid_ns *pid_ns_new(struct pid_ns *parent, struct user_ns *user_ns);
/* taskset_lock held. -EAGAIN (pid_max), -ENOMEM (namespace ended), or 0 and a new reference. set: numbers wanted, innermost first (clone3 set_tid), count may be 0. */
int pid_alloc(struct pid_ns *ns, const int *set, size_t set_count, struct pid **ret) must_check;
/* Number of `pid` as seen from `ns`; 0 if it is not visible there. */
int pid_nr(const struct pid *pid, const struct pid_ns *ns);
/* taskset_lock held; borrowed or NULL. */
struct pid *pid_find(struct pid_ns *ns, int number);
struct task *pid_task(const struct pid *pid, enum pid_role role);
