/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/nsproxy.h: the namespaces of a task besides its pid and user namespace. Source:
 * namespaces(7), unshare(2), setns(2). An nsproxy never changes once tasks share it: unshare and setns make
 * another.
 */
#pragma once

#include "base/mutex.h"
#include "base/ref.h"

struct ipc_ns;
struct cgroup;
struct cgroup_ns;
struct kernel;
struct mnt_ns;
struct net_namespace;
struct pid_ns;
struct task;
struct time_ns;
struct user_ns;

struct uts_ns {
    struct ref ref;
    struct user_ns *user_ns; /* reference */
    uint64_t inode;
    struct mutex lock; /* RANK_LEAF; the names */
    char nodename[65], domainname[65];
};
DECLARE_REF(uts_ns);
struct uts_ns *uts_ns_new(struct kernel *k, struct user_ns *user_ns,
                          const struct uts_ns *like /* NULL: (none) */);

struct nsproxy {
    struct ref ref;
    struct uts_ns *uts; /* references, all of them */
    struct mnt_ns *mnt;
    struct pid_ns *pid_for_children;
    struct ipc_ns *ipc;
    struct net_namespace *net;
    struct cgroup_ns *cgroup;                 /* control_group.h */
    struct time_ns *time, *time_for_children; /* time_ns.h */
};
DECLARE_REF(nsproxy);

/* The first of a container. References are taken anew; NULL: no memory. */
struct nsproxy *nsproxy_new(struct kernel *k, struct user_ns *user_ns, struct pid_ns *pid_ns,
                            struct mnt_ns *mnt, struct cgroup *cgroup, const char *hostname);
/* A private copy. NULL: no memory. */
struct nsproxy *nsproxy_copy(struct nsproxy *from);
/* `n`, which no task has yet, names those namespaces of `other` that CLONE_NEW* flags tell (not the pid
 * namespace). */
void nsproxy_share(struct nsproxy *n, struct nsproxy *other, uint64_t flags);
/* A copy of t's with the namespaces of CLONE_NEW* `flags` made new in `user_ns`. The mount namespace's copy
   may block. OWN THREAD. -EPERM without CAP_SYS_ADMIN there, -ENOMEM, -ENOSPC. */
int nsproxy_unshare(struct task *t, uint64_t flags, struct user_ns *user_ns, struct nsproxy **ret) must_check;
/* `n`, which no task has yet, is for one that enters the time namespace for children. */
void nsproxy_enter_time(struct nsproxy *n);
/* Installs (reference taken). OWN THREAD. */
void task_set_nsproxy(struct task *t, struct nsproxy *ns);

/* One or several namespaces to join: setns(2). Members that are NULL stay as they are; references are the
 * caller's. */
struct ns_set {
    struct user_ns *user;
    struct uts_ns *uts;
    struct mnt_ns *mnt;
    struct pid_ns *pid; /* becomes pid_for_children */
    struct ipc_ns *ipc;
    struct net_namespace *net;
    struct cgroup_ns *cgroup; /* control_group.h */
    struct time_ns *time;     /* for the task itself too */
};
/* References to those of `target` that CLONE_NEW* `flags` name; -ESRCH if it has ended. End with
 * ns_set_done(), on failure too. */
int ns_set_of_task(struct task *target, uint64_t flags, struct ns_set *ret) must_check;
void ns_set_done(struct ns_set *s);
/* OWN THREAD. -EPERM, -EINVAL (threads, shared cwd, a pid namespace that is not below), -ENOMEM. May block.
 */
int task_setns(struct task *t, const struct ns_set *s) must_check;
