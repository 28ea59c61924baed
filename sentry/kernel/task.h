/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/task.h: tasks (threads), thread groups (processes), and how they run. Source: clone(2), credentials(7), wait(2).
 *
 * One host thread runs each task: task_run() switches to the guest, serves the system call or fault, does pending work, and goes round
 * again, until the task ends. Functions that say OWN THREAD may be called by that thread only; they read the task's own fields without a lock.
 *
 * References: a task is kept by the taskset (from creation until it is reaped) and by whoever looked it up. A thread group is kept by its tasks. A task
 * holds mm, fd_table, fs_context, sighand, creds, nsproxy; all but creds and sighand are dropped when it exits, before it becomes a zombie.
 *
 * Locks: kernel.taskset_lock (RANK_TASKSET): the tree of parents and children, pid tables, membership of groups and sessions, exit and stop states as others see
 * them. sighand->lock: signals. task.lock (RANK_TASK): pointers that other threads follow (mm, files, fs, creds, context).
 */
#pragma once

#include "base/abi/linux/resource.h"
#include "base/hostref.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "platform/platform.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/waitq.h"

struct container;
struct fd_table;
struct fs_context;
struct futex_waiter;
struct kernel;
struct mm;
struct mnt_ns;
struct nsproxy;
struct path;
struct session;
struct syscall_args;
struct tty;

enum task_state {
    TASK_RUNNING,  /* in the guest or in the sentry */
    TASK_BLOCKED,  /* in task_block(): /proc shows S */
    TASK_STOPPED,  /* by a stop signal: T */
    TASK_TRACED,   /* by a tracer: t */
    TASK_ZOMBIE,   /* Z: exit status waits for the parent */
    TASK_DEAD,     /* reaped */
};

struct restart_block {
    int64_t (*fn)(struct task *t, struct restart_block *block); /* static function; NULL: restart_syscall gives EINTR */
    uint64_t arg[6];
};

struct cpu_times {
    int64_t user_ns, system_ns;
};

struct task {
    struct ref ref;
    struct kernel *kernel;
    struct container *container;  /* borrowed: outlives its tasks */
    struct thread_group *group;   /* reference */
    struct pid *pid;              /* reference; the task's own identity (tid) */

    /* Own thread only. */
    struct guest_regs regs;       /* valid whenever the guest is not running */
    struct hostref context;       /* host.ptr: struct context of the platform. Others use it under `lock` for interrupts only */
    struct restart_block restart;
    sigset_word saved_mask;       /* comes back after a temporary mask */
    bool has_saved_mask;
    struct sigaltstack altstack;
    gva_t clear_child_tid;        /* CLONE_CHILD_CLEARTID, set_tid_address */
    gva_t robust_list;
    gva_t rseq_area;
    uint32_t rseq_signature, rseq_size;
    uint64_t syscall_number;      /* of the call being served */
    bool in_execve;
    struct linux_siginfo *ptrace_siginfo;

    /* Blocking (waitq.h). */
    _Atomic uint32_t wake_word;   /* futex: 1 when woken or interrupted since task_block() last returned */
    _Atomic uint32_t pending_work; /* TASK_WORK_*: looked at before every return to the guest and in task_block() */

    /* sighand->lock */
    struct sighand *sighand;      /* reference; changed at execve and exit only, under taskset and its own lock */
    sigset_word blocked;          /* own thread may read it without the lock */
    struct sigpending pending;

    /* lock */
    struct mutex lock;            /* RANK_TASK */
    struct mm *mm;                /* reference; NULL after exit. Own thread may read it without the lock */
    struct fd_table *files;       /* reference */
    struct fs_context *fs;        /* reference */
    const struct creds *creds;    /* reference: read by others with task_get_creds() */
    struct nsproxy *nsproxy;      /* reference */
    char name[16];                /* PR_SET_NAME */
    struct hostref host_thread;   /* the sentry thread that runs this task */

    /* taskset_lock */
    enum task_state state;
    struct task *parent;          /* reports exits to it: real parent or tracer */
    struct task *real_parent;
    struct list children, sibling; /* real children */
    struct list group_node;       /* in group->tasks */
    struct list pid_node[PID_ROLES];
    int exit_signal;              /* what the parent gets; -1: thread */
    int exit_status;              /* wait status, valid from TASK_ZOMBIE */
    struct waitq vfork_queue;     /* the parent waits here until the child has exec'd or ended */
    bool vfork_pending;
    struct task *tracer;
    struct list tracees, tracee_node;
    uint32_t ptrace_options;

    /* Written by the own thread, read by anybody (relaxed atomics). */
    int64_t start_time;           /* monotonic ns */
    struct cpu_times cpu;
    uint64_t voluntary_switches, involuntary_switches;
    uint64_t min_faults, maj_faults;
    int nice;
    int sched_policy, sched_priority;
    int oom_score_adj;
    uint32_t personality;
    int pdeath_signal;
    bool no_new_privs;
    uint64_t timer_slack_ns;
    void *seccomp;                /* guest filters; own issue */
};
DECLARE_REF(task);

enum task_work {
    TASK_WORK_SIGNAL = 1,    /* a signal may be deliverable */
    TASK_WORK_STOP = 2,      /* group stop or ptrace stop */
    TASK_WORK_EXIT = 4,      /* group exit: end at the next look */
    TASK_WORK_PAUSE = 8,     /* the kernel is paused: park */
    TASK_WORK_CALLBACK = 16, /* deferred callbacks (fput and the like) */
};

struct thread_group {
    struct ref ref;
    struct kernel *kernel;
    struct pid *pid;              /* reference; the process id */
    struct mutex exec_lock;       /* RANK_EXEC: execve and credential changes against ptrace attach */
    struct mutex limits_lock;     /* RANK_LIMITS */
    struct linux_rlimit64 limits[LINUX_RLIM_NLIMITS];

    /* taskset_lock */
    struct task *leader;
    struct list tasks;            /* of task.group_node */
    unsigned task_count;          /* not yet dead */
    struct pid *pgrp, *session;   /* references */
    struct tty *tty;              /* controlling terminal: reference, or NULL */
    bool has_execed, child_subreaper, is_session_leader;
    struct waitq wait_queue;      /* parents wait here for children to change: WAIT_ANY */
    struct cpu_times dead_cpu, children_cpu; /* of threads that ended; of children waited for */
    uint64_t children_maxrss, maxrss, dead_min_faults, dead_maj_faults, children_min_faults, children_maj_faults;
    int parent_exit_signal;

    /* sighand->lock */
    struct sigpending shared_pending;
    bool exiting;                 /* exit_group or a fatal signal: all tasks are on their way out */
    int exit_status;              /* then: wait status of the whole group */
    struct task *exec_task;       /* execve waits for the others to end */
    bool stopped;                 /* group stop complete or going on */
    int stop_signal;
    unsigned stop_pending_count;
    bool stop_report, continue_report; /* for waitid WSTOPPED, WCONTINUED */

    struct ktimer real_timer;     /* ITIMER_REAL */
    int64_t real_interval;
    struct list posix_timers;     /* sighand->lock */
    int next_timer_id;
    int64_t virtual_timer[2], prof_timer[2]; /* value, interval (ns of cpu time) */
};
DECLARE_REF(thread_group);

/* cwd, root and umask; shared by CLONE_FS. Implemented in sentry/vfs. */

/* UTS, IPC, mount, network, cgroup, time namespaces; pid_for_children. Shared until unshare. */
struct uts_ns {
    struct ref ref;
    struct user_ns *user_ns;
    uint64_t inode;
    struct mutex lock; /* RANK_LEAF */
    char nodename[65], domainname[65];
};
DECLARE_REF(uts_ns);

struct nsproxy {
    struct ref ref;
    struct uts_ns *uts;
    struct mnt_ns *mnt;
    struct pid_ns *pid_for_children;
    struct simple_ns *ipc, *net, *cgroup, *time, *time_for_children; /* identities only until their own issues */
};
DECLARE_REF(nsproxy);

struct simple_ns {
    struct ref ref;
    struct user_ns *user_ns;
    uint64_t inode;
};
DECLARE_REF(simple_ns);

/* ---- running ---- */

/* Body of the task's host thread; returns when the task is dead. */
void task_run(struct task *t);
/* Starts the host thread. The task is complete and in the taskset. 0 or -EAGAIN. */
int task_start(struct task *t) must_check;
/* Raises `work` bits, and interrupts the guest or task_block(). Any thread; RANK_WAITER and below may be held. */
void task_interrupt(struct task *t, uint32_t work);

/* ---- making and ending ---- */

struct clone_request {
    uint64_t flags;            /* LINUX_CLONE_* */
    int exit_signal;
    gva_t stack, tls, child_tid, parent_tid, pidfd;
    const int *set_tid;
    size_t set_tid_count;
    int cgroup_fd;
};
/* clone(2). OWN THREAD. Returns the child's pid as the caller sees it, or -errno; with CLONE_VFORK returns after the child lets go. */
int64_t task_clone(struct task *t, const struct clone_request *request);
struct exec_request {
    int dirfd;
    const char *filename;      /* as given: becomes AT_EXECFN and comm */
    int flags;                 /* LINUX_AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW */
    char **argv, **envp;       /* malloc'd or heap strings, NULL-terminated; borrowed */
};
/* execve(2). OWN THREAD. -ENORESULT on success. */
int64_t task_execve(struct task *t, const struct exec_request *request);
/* Ends one thread with wait status `status` (W_EXITCODE form). OWN THREAD; task_run then leaves. */
void task_exit(struct task *t, int status);
/* Marks the whole group as ending and interrupts every task. Any thread. First caller's status wins. */
void thread_group_exit(struct thread_group *g, int status);
/* wait4/waitid core: see wait.c. */

/* ---- looking at others ---- */

struct task *task_find(struct task *viewer, int tid);       /* by number in viewer's pid namespace; new reference or NULL */
int task_tid_in(struct task *t, struct pid_ns *ns);          /* 0: not visible */
int task_tgid_in(struct task *t, struct pid_ns *ns);
int task_tid(struct task *t);                                /* in its own namespace */
int task_tgid(struct task *t);
struct creds *task_get_creds(struct task *t);                /* new reference; any thread */
void task_set_creds(struct task *t, struct creds *c);        /* takes the reference; OWN THREAD. Dumpability and pdeath rules as Linux */
bool task_capable(struct task *t, int cap);                  /* in its own user namespace; OWN THREAD */
struct mm *task_get_mm(struct task *t);                      /* new reference or NULL; any thread */
struct fd_table *task_get_files(struct task *t);
struct fs_context *task_get_fs(struct task *t);
struct nsproxy *task_get_nsproxy(struct task *t);
/* ptrace(2) "Ptrace access mode checking": 0 or -EPERM. attach: PTRACE_MODE_ATTACH rather than READ. */
int task_ptrace_may_access(struct task *t, struct task *target, bool attach);
uint64_t task_limit(struct task *t, int resource);           /* soft limit: LINUX_RLIMIT_* */
struct cpu_times thread_group_cpu(struct thread_group *g);   /* living and dead threads */

static inline struct context *task_context(struct task *t) {
    return t->context.host.ptr;
}
static inline const struct creds *task_creds(struct task *t) {
    return t->creds; /* OWN THREAD */
}
