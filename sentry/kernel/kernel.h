/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/kernel.h: the kernel object of a sandbox, its containers, and what boot/ calls.
 *
 * One kernel a sandbox, in the sentry's heap, reached from heap_root() and from every task. It holds the taskset, the clocks, the timer queue, the
 * filesystem types, the shared memory file, the platform (by hostref).
 */
#pragma once

#include "base/err.h"
#include "base/hostref.h"
#include "base/list.h"
#include "base/mutex.h"
#include "platform/platform.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/waitq.h"

struct creds;
struct file;
struct memfile;
struct mnt_ns;
struct task;
struct timer_queue;
struct vfs;

struct kernel {
    struct hostref platform;      /* host.ptr: struct platform */
    struct hostref proc_dir;      /* the sandbox's own procfs, or empty */
    struct mutex taskset_lock;    /* RANK_TASKSET */
    struct pid_ns *root_pid_ns;
    struct user_ns *root_user_ns;
    uint64_t task_count;          /* taskset_lock; living tasks of all containers */
    uint64_t total_forks;
    struct mutex containers_lock; /* RANK_CONTAINERS */
    struct list containers;
    struct timer_queue *timers;
    struct memfile *memfile;
    struct vdso *vdso;            /* vdso_create(); NULL: programs get none */
    struct vfs *vfs;
    struct futex_table *futexes;
    struct unix_names *unix_names; /* abstract names of AF_UNIX; NULL until the first is made */
    int64_t boot_time_ns;         /* host CLOCK_MONOTONIC at start; the guest's boottime counts from it unless told otherwise */
    int64_t realtime_offset_ns;   /* guest CLOCK_REALTIME minus host's */
    int64_t monotonic_offset_ns;  /* guest CLOCK_MONOTONIC minus host's */
    unsigned cpu_count;           /* as guests see it: from the sandbox's affinity mask */
    uint64_t total_memory;        /* MemTotal as guests see it */
    _Atomic uint64_t next_inode;  /* of anonymous objects and namespaces */
    struct random_state *random;
    const char *release;          /* uname release, "6.x..." */
    const char *version;          /* uname version, "#1 SMP ..." */
    unsigned char boot_id[16];    /* random, of this sandbox */
};

struct kernel_config {
    struct platform *platform;    /* taken */
    int proc_fd;                  /* taken, or -1 */
    uint64_t total_memory;        /* 0: the host's */
    unsigned cpu_count;           /* 0: from the affinity mask */
    uint64_t heap_max_bytes;      /* 0: a default */
};

/* Heap, kernel object, root namespaces, timer thread, memfile. Single-threaded start; walls may still be down. */
int kernel_create(const struct kernel_config *config, struct kernel **ret, struct err **err) must_check;
/* All containers have ended. Stops the timer thread, checks that nothing is left (debug builds). */
void kernel_destroy(struct kernel *k);

/* A container: an init process, its root mount namespace and those of its processes that came by exec. */
struct container {
    struct list node;             /* containers_lock */
    struct kernel *kernel;
    char *id;
    struct task *init;            /* reference; NULL before start */
    struct pid_ns *pid_ns;        /* reference */
    struct mnt_ns *mnt_ns;        /* reference */
    struct creds *init_creds;
    struct nsproxy *nsproxy;
    const struct container_events *events;
    struct hostref owner;         /* boot's own object, given back in events */
    bool gofer_dead, ending;
    unsigned process_count;       /* taskset_lock */
};

struct container_events {
    /* A process that boot started (init or exec) has ended: `cookie` as given. Called without locks from the dying task's thread. */
    void (*process_exited)(struct container *c, uint64_t cookie, int wait_status);
};

/* What boot gives to start a process: init or exec. Strings are borrowed. */
struct process_spec {
    char **argv, **envp;
    const char *cwd;              /* inside; NULL: "/" */
    struct creds *creds;          /* taken */
    bool no_new_privs;
    int umask;                    /* -1: 0022 */
    const struct linux_rlimit64 *limits; /* LINUX_RLIM_NLIMITS entries or NULL */
    int oom_score_adj;
    struct file *stdio[3];        /* references taken; NULL: closed */
    struct tty *terminal;         /* becomes the controlling terminal; reference taken; NULL: none */
    uint64_t cookie;              /* for process_exited */
};

int container_create(struct kernel *k, const char *id, struct mnt_ns *mnt_ns /* taken */, const char *hostname, const struct container_events *events,
                     struct container **ret) must_check;
/* Loads the program and makes the process, stopped before its first instruction; then process_start() lets it go. New reference in *ret.
   *err tells what is wrong in OCI's words ("executable file not found in $PATH", "permission denied"). */
int container_create_process(struct container *c, const struct process_spec *spec, bool is_init, struct task **ret, struct err **err) must_check;
int container_start_process(struct task *t) must_check;
/* To one process (its thread group), or to every process of the container. -ESRCH: none. */
int container_signal(struct container *c, struct task *process, int signo);
int container_signal_all(struct container *c, int signo);
/* Kills all, waits until all have ended, drops the mount namespace. */
void container_destroy(struct container *c);
/* Stops every task between instructions (pause) and lets them go on. May block until all are parked. */
void kernel_pause(struct kernel *k);
void kernel_resume(struct kernel *k);

int kernel_random(struct kernel *k, void *to, size_t size); /* host getrandom */
uint64_t kernel_new_inode(struct kernel *k);
static inline struct platform *kernel_platform(struct kernel *k) {
    return k->platform.host.ptr;
}
