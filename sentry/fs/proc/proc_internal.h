/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_internal.h: what the files of procfs share. Source: proc(5).
 *
 * A mount's data is the pid namespace it shows. A node of a process or thread holds a reference to its struct
 * pid (object) and looks the task up for each use, so that it outlives the task harmlessly: then it gives
 * ESRCH.
 */
#pragma once

#include "sentry/fs/kernfs/kernfs.h"
#include "sentry/kernel/pid.h"

struct mm;
struct task;

enum { PROC_SUPER_MAGIC = 0x9fa0 };

extern const struct kernfs_ops proc_tgid_dir;           /* /proc/PID */
extern const struct kernfs_ops proc_tid_dir;            /* /proc/PID/task/TID */
extern const struct kernfs_entry proc_system_entries[]; /* fixed names of the root that tell of the system */
extern const struct kernfs_ops proc_sys_dir, proc_fd_dir, proc_fdinfo_dir, proc_ns_dir, proc_task_dir,
    proc_net_dir, proc_sys_net_dir;
extern const struct kernfs_ops proc_sysvipc_dir;
extern const struct kernfs_ops proc_sys_shmmax, proc_sys_shmall, proc_sys_shmmni, proc_sys_msgmax,
    proc_sys_msgmnb, proc_sys_msgmni, proc_sys_sem;
extern const struct kernfs_ops proc_sys_mq_queues_max, proc_sys_mq_msg_max, proc_sys_mq_msgsize_max,
    proc_sys_mq_msg_default, proc_sys_mq_msgsize_default;
extern const struct kernfs_ops proc_mounts, proc_mountinfo, proc_mountstats;
extern const struct kernfs_ops proc_stat, proc_statm, proc_status, proc_limits, proc_io, proc_oom_score,
    proc_coredump_filter, proc_oom_score_adj, proc_oom_adj, proc_sched, proc_schedstat, proc_timerslack;
extern const struct kernfs_ops proc_uid_map, proc_gid_map, proc_setgroups;
extern const struct kernfs_ops proc_self_link, proc_thread_self_link, proc_self_mounts_link,
    proc_self_net_link;

struct pid_ns *proc_ns(const struct kernfs_inode *n); /* borrowed */
/* The node's task with a new reference, or NULL if it has gone. */
struct task *proc_task(const struct kernfs_inode *n);
/* The same task's mm: new reference; NULL for zombies and the gone. */
struct mm *proc_mm(const struct kernfs_inode *n);
/* ptrace(2), PTRACE_MODE_READ with file system ids: 0 or -EACCES. */
int proc_may_access(struct task *target, const struct creds *c);

/* Members of a process node's kind. */
void proc_pid_inherit(struct kernfs_inode *n, const struct kernfs_inode *dir);
void proc_pid_drop(struct kernfs_inode *n);
bool proc_pid_valid(struct kernfs_inode *n);
void proc_pid_owner(struct kernfs_inode *n, kuid_t *uid, kgid_t *gid);
int proc_pid_open_private(struct kernfs_inode *n, const struct creds *c, uint32_t flags);
#define PROC_PID_NODE                                                                                        \
    .inherit = proc_pid_inherit, .drop = proc_pid_drop, .valid = proc_pid_valid, .owner = proc_pid_owner

/* Parses a decimal name without sign or leading zero: -1 if it is none. */
int proc_parse_number(const char *name, size_t len);
/* Parses the number that a write brought, blanks and newline around it allowed. */
int proc_parse_store(const char *data, size_t len, int64_t min, int64_t max, int64_t *ret);
/* Names 1, 2, ... listed by number: emits `number` at position number. */
int proc_emit_number(struct dir_emit *e, const struct kernfs_inode *dir, int number, unsigned type,
                     uint64_t next, bool *stop);
