/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/pid.h: process ids in nested pid namespaces. Source: pid_namespaces(7).
 *
 * A struct pid is one identity with a number in its own namespace and in each ancestor. It outlives the task
 * (zombies, pidfds, process groups and sessions named after it). Lists of tasks by role hang off it.
 * Protected by kernel.taskset_lock (RANK_TASKSET), except the count and the numbers, which never change.
 */
#pragma once

#include "base/list.h"
#include "base/ref.h"
#include "sentry/kernel/waitq.h"

struct kernel;
struct task;
struct user_ns;

/* PID_GROUP, PID_PGRP and PID_SESSION list thread group leaders only. */
enum pid_role { PID_TASK, PID_GROUP, PID_PGRP, PID_SESSION, PID_ROLES };

enum { PID_MAX_LEVEL = 32, PID_MAX_DEFAULT = 4194304 };

struct pid_ns {
    struct ref ref;
    struct pid_ns *parent;   /* reference; NULL for the sandbox's root namespace */
    struct user_ns *user_ns; /* reference */
    unsigned level;
    uint64_t inode; /* of /proc/PID/ns/pid */
    /* taskset_lock: */
    struct pid **table;       /* chained hash by number; grows */
    size_t table_size, count; /* count: of pids in the table */
    int last_number;          /* next-fit, wraps at pid_max */
    int pid_max;
    struct task *init;        /* child reaper, borrowed; NULL before the first task and once it has ended */
    bool ending;              /* init has ended: no new pids */
    struct waitq empty_queue; /* init's end waits here for `count` to fall */
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
    struct waitq exit_queue;      /* pidfd poll, WAIT_ANY: the process has become a zombie or was reaped */
    bool hashed;                  /* in the tables; taskset_lock */
    struct pid_number *numbers;   /* [0] the root namespace ... [level] its own; that one is referenced */
    struct pid_number few[2];
};
DECLARE_REF(pid);

/* Takes new references to parent (may be NULL) and user_ns. NULL: no memory. */
struct pid_ns *pid_ns_new(struct kernel *k, struct pid_ns *parent, struct user_ns *user_ns);
/* Is `ns` the same as or a descendant of `ancestor`? */
bool pid_ns_within(const struct pid_ns *ns, const struct pid_ns *ancestor);
/* taskset_lock held. set: numbers wanted, innermost first (clone3 set_tid), count may be 0. A new reference,
   or -EAGAIN (pid_max), -ENOMEM (also: the namespace has ended), -EEXIST, -EINVAL (set). */
int pid_alloc_locked(struct pid_ns *ns, const int *set, size_t set_count, struct pid **ret) must_check;
/* Puts a task in one of the pid's lists, and takes it out; the numbers are free again when the last is gone.
 * taskset_lock held. */
void pid_attach_locked(struct pid *pid, enum pid_role role, struct task *t);
void pid_detach_locked(struct pid *pid, enum pid_role role, struct task *t);
/* Frees the numbers of a pid that no task has. taskset_lock held. */
void pid_free_numbers_locked(struct pid *pid);
static inline struct pid_ns *pid_own_ns(const struct pid *pid) {
    return pid->numbers[pid->level].ns;
}
/* Number of `pid` as seen from `ns`; 0 if it is not visible there. */
int pid_nr(const struct pid *pid, const struct pid_ns *ns);
/* taskset_lock held; borrowed or NULL. */
struct pid *pid_find_locked(struct pid_ns *ns, int number);
struct pid *pid_next_locked(struct pid_ns *ns, int number); /* lowest number >= number */
/* taskset_lock held; borrowed or NULL: the first task in that role. */
struct task *pid_task_locked(const struct pid *pid, enum pid_role role);
