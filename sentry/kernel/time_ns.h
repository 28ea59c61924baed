/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/time_ns.h: time namespaces: what is added to the kernel's CLOCK_MONOTONIC and CLOCK_BOOTTIME
 * for the tasks inside. Source: time_namespaces(7).
 *
 * unshare(2) makes one for the children; offsets are set by /proc/PID/timens_offsets until the first task
 * enters (by fork, execve or setns) and never change after. So tasks inside read theirs without a lock.
 */
#pragma once

#include <sys/types.h>

#include "base/abi/linux/time.h"
#include "base/mutex.h"
#include "base/ref.h"

struct kernel;
struct task;
struct text;
struct user_ns;

struct time_ns {
    struct ref ref;
    struct user_ns *user_ns; /* reference */
    uint64_t inode;
    struct mutex lock;                 /* RANK_LEAF; the rest */
    bool frozen;                       /* a task has entered */
    int64_t monotonic_ns, boottime_ns; /* constant once frozen */
};
DECLARE_REF(time_ns);

/* With the offsets of `like`; NULL: none, and frozen (a container's first). NULL: no memory. */
struct time_ns *time_ns_new(struct kernel *k, struct user_ns *user_ns, struct time_ns *like);
void time_ns_freeze(struct time_ns *ns);
/* Shows its own time: the vDSO leaves every clock to the sentry. Of a frozen one. NULL: false. */
bool time_ns_shifts(const struct time_ns *ns);
/* The task moves to its namespace for children, if that is another (execve). OWN THREAD. 0, -ENOMEM. */
int time_ns_enter_for_children(struct task *t) must_check;
/* Offset of a LINUX_CLOCK_* for a task inside, in ns; 0 for what namespaces do not touch. */
int64_t time_ns_offset(const struct time_ns *ns, int clock);

/* /proc/PID/timens_offsets. store: of `writer`; `len`, -EINVAL, -EPERM, -ERANGE, -EACCES (frozen). */
void time_ns_show(struct time_ns *ns, struct text *out);
ssize_t time_ns_store(struct time_ns *ns, struct task *writer, const char *data, size_t len);
