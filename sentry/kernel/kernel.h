/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/kernel.h: the kernel object of a sandbox, its containers, and what boot/ calls.
 *
 * One kernel a sandbox, in the sentry's heap, reached from heap_root() and from every task. It holds the
 * taskset, the clocks, the timer queue, the filesystem types, the shared memory file, the platform (by
 * hostref).
 */
#pragma once

#include "base/err.h"
#include "base/hostref.h"
#include "base/list.h"
#include "base/mutex.h"
#include "platform/platform.h"
#include "sentry/kernel/core_pattern.h"
#include "sentry/kernel/pid.h"

struct cgroup;
struct creds;
struct linux_rlimit64;
struct linux_sock_filter;
struct file;
struct memfile;
struct mnt_ns;
struct network;
struct task;
struct timer_queue;
struct tty;
struct user_table;
struct vfs;

struct kernel {
    struct hostref platform;                      /* host.ptr: struct platform */
    struct hostref proc_dir;                      /* the sandbox's own procfs, or empty */
    struct mutex taskset_lock;                    /* RANK_TASKSET */
    struct pid_ns *root_pid_ns;                   /* reference */
    struct user_ns *root_user_ns;                 /* reference */
    struct cgroup *root_cgroup;                   /* reference */
    _Atomic bool memory_limited;                  /* some group with processes has a memory.max */
    _Atomic uint32_t memory_guard, memory_guards; /* control_group_memory.c: its thread's state, how many */
    uint64_t task_count;                  /* taskset_lock; tasks of all containers that are not reaped */
    uint64_t total_forks;                 /* taskset_lock */
    int64_t gone_user_ns, gone_system_ns; /* taskset_lock: of tasks that are no more */
    uint64_t gone_switches;               /* likewise */
    struct mutex containers_lock;         /* RANK_CONTAINERS */
    struct list containers;               /* of container.node */
    struct timer_queue *timers;
    struct user_table *users;
    struct memfile *memfile;
    struct vdso *vdso; /* vdso_create(); NULL: programs get none */
    struct vfs *vfs;
    struct futex_table *futexes;
    struct hostref
        host_poller; /* containers_lock; sentry/fs/host: waits for host descriptors; empty until the first */
    struct network *network;       /* net_ns.h */
    struct netlink_table *netlink; /* netlink_sock.c */
    struct unix_names *unix_names; /* abstract names of AF_UNIX; NULL until the first is made */
    int64_t boot_time_ns; /* host CLOCK_MONOTONIC when the guest's machine was started: 0 as on the host's,
                             until a restore moves it */
    int64_t realtime_offset_ns;  /* guest CLOCK_REALTIME minus host's */
    int64_t monotonic_offset_ns; /* guest CLOCK_MONOTONIC (and BOOTTIME) minus host's */
    unsigned cpu_count;          /* as guests see it: from the sandbox's affinity mask */
    uint64_t total_memory;       /* MemTotal as guests see it */
    _Atomic uint64_t next_inode; /* of anonymous objects and namespaces */
    const char *release;         /* uname release, "6.x..." */
    const char *version;         /* uname version, "#1 SMP ..." */
    struct core_settings core;
    unsigned char boot_id[16]; /* random, of this sandbox */
};

struct kernel_config {
    struct platform *platform; /* taken */
    int proc_fd;               /* taken, or -1 */
    uint64_t total_memory;     /* 0: the host's */
    unsigned cpu_count;        /* 0: from the affinity mask */
    uint64_t heap_max_bytes;   /* 0: a default */
};

/* Heap, kernel object, root namespaces, timer thread, memfile. Single-threaded start; walls may still be
 * down. */
int kernel_create(const struct kernel_config *config, struct kernel **ret, struct err **err) must_check;
/* All containers have ended. Stops the timer thread, checks that nothing is left (debug builds). */
void kernel_destroy(struct kernel *k);

/* A container: an init process, its root mount namespace and the processes that came by exec. */
struct container {
    struct list node; /* containers_lock */
    struct kernel *kernel;
    char *id;
    struct task *init;       /* reference; NULL before it is made */
    struct pid_ns *pid_ns;   /* reference */
    bool shares_pid_ns;      /* it is another container's: its init is not process 1 there */
    struct mnt_ns *mnt_ns;   /* reference */
    struct nsproxy *nsproxy; /* reference: what init and exec start with */
    struct cgroup *cgroup;   /* reference: its own, below the kernel's root */
    const struct container_events *events;
    struct hostref owner;          /* boot's own object, for its use in events: container_set_owner() */
    unsigned process_count;        /* taskset_lock; not reaped */
    _Atomic uint32_t active_tasks; /* host threads of tasks that are not parked */
    _Atomic uint32_t changed;      /* futex: process_count, active_tasks or paused has changed */
    _Atomic bool paused;
};

struct container_events {
    /* A process that boot started (init or exec) has ended: `cookie` as given. For init all processes of the
       container are gone. Called without locks from the dying task's thread. */
    void (*process_exited)(struct container *c, uint64_t cookie, int wait_status);
};

/* What boot gives to start a process: init or exec. Strings are borrowed. */
struct process_spec {
    char **argv, **envp;
    const char *cwd;     /* inside; NULL: "/" */
    struct creds *creds; /* taken, also on failure */
    bool no_new_privs;
    int umask; /* -1: 0022 */
    const struct linux_rlimit64
        *limits; /* LINUX_RLIM_NLIMITS entries, or NULL: Linux's defaults for a first process */
    int oom_score_adj;
    struct file **files; /* for descriptors 0, 1, 2 ...: references taken, also on failure; NULL: closed */
    size_t file_count;
    struct tty *terminal; /* becomes the controlling terminal; reference taken; NULL: none */
    const struct linux_sock_filter
        *seccomp; /* a filter that is in force from the first instruction; NULL: none */
    size_t seccomp_count;
    bool seccomp_log;
    uint64_t cookie; /* for process_exited */
    bool internal;   /* the kernel's own helper: nobody outside hears of its end */
};

/* mnt_ns: reference taken; its user namespace becomes the owner of the others. hostname may be NULL. Its pid
 * namespace exists from here on (for mounting proc); init is the first process made. 0 or -ENOMEM. */
int container_create(struct kernel *k, const char *id, struct mnt_ns *mnt_ns /* taken */,
                     const char *hostname, const struct container_events *events,
                     struct container **ret) must_check;
/* Before the first process and before its procfs is mounted: the namespaces that CLONE_NEW* flags name are
 * those that `other` was made with. Of a pid namespace the first init must live: -ESRCH. */
int container_share(struct container *c, struct container *other, uint64_t flags) must_check;
/* Loads the program and makes the process, stopped before its first instruction; then process_start() lets it
 *go. New reference in *ret. err tells what is wrong in OCI's words ("executable file not found in $PATH",
 *"permission denied"). */
int container_create_process(struct container *c, const struct process_spec *spec, bool is_init,
                             struct task **ret, struct err **err) must_check;
int container_start_process(struct task *t) must_check;
/* What a first process has if nothing else is said: LINUX_RLIM_NLIMITS entries. */
void container_default_limits(struct kernel *k, struct linux_rlimit64 *limits);
/* To one process (its thread group), or to every process of the container. -ESRCH: none. */
int container_signal(struct container *c, struct task *process, int signo);
int container_signal_all(struct container *c, int signo);
/* A pointer of boot's own, which is not looked at here. */
void container_set_owner(struct container *c, void *owner);
static inline void *container_owner(struct container *c) {
    return c->owner.host.ptr;
}
/* Processes by number in the sandbox's root pid namespace; at most max; how many there are. */
size_t container_pids(struct container *c, int *ret_pids, size_t max);
/* New reference to the leader of a process of this container, or NULL. */
struct task *container_find_process(struct container *c, int root_pid);
/* Kills all, waits until all have ended, drops the namespaces, frees. */
void container_destroy(struct container *c);
/* Stops every task between instructions (pause) and lets them go on. May block until all are parked. */
void container_pause(struct container *c);
void container_resume(struct container *c);
void kernel_pause(struct kernel *k);
void kernel_resume(struct kernel *k);

int kernel_random(struct kernel *k, void *to, size_t size); /* host getrandom */
/* CLOCK_REALTIME is set: adjusts the offset and tells timers and the vDSO. */
void kernel_set_realtime(struct kernel *k, int64_t realtime_ns_wanted);
uint64_t kernel_new_inode(struct kernel *k);
static inline struct platform *kernel_platform(struct kernel *k) {
    return k->platform.host.ptr;
}
