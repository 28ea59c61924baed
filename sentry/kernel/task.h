/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/task.h: tasks (threads), thread groups (processes), and how they run. Source: clone(2),
 * credentials(7), wait(2).
 *
 * One host thread runs each task: task_run() switches to the guest, serves the system call or fault, does
 * pending work, and goes round again, until the task ends. Functions that say OWN THREAD may be called by
 * that thread only; they read the task's own fields without a lock.
 *
 * References: a task is kept by the taskset (from creation until it is reaped) and by whoever looked it up. A
 * thread group is kept by its tasks. A task holds mm, fd_table, fs_context, creds, nsproxy; all but creds are
 * dropped when it exits, before it becomes a zombie.
 *
 * Locks: kernel.taskset_lock (RANK_TASKSET): the tree of parents and children, pid tables, membership of
 * groups and sessions, exit states as others see them. thread_group.signal_lock (RANK_SIGHAND): signals,
 * stops and group exit. task.lock (RANK_TASK): pointers that other threads follow (mm, files, fs, creds,
 * nsproxy). task.wake_lock (RANK_WAITER): the platform's context, for interrupts. Making and ending
 * processes: process.h.
 */
#pragma once

#include "base/abi/linux/prctl.h"
#include "base/abi/linux/resource.h"
#include "base/abi/linux/sched.h"
#include "base/hostref.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "platform/platform.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/waitq.h"

struct container;
struct core_dump;
struct fd_table;
struct fs_context;
struct fuse_request;
struct kernel;
struct mm;
struct nsproxy;
struct seccomp_filter;
struct sem_undo_list;
struct tty;

enum task_state {
    TASK_RUNNING, /* in the guest or in the sentry */
    TASK_BLOCKED, /* in task_block(): /proc shows S */
    TASK_STOPPED, /* by a stop signal: T */
    TASK_TRACED,  /* by its tracer: t */
    TASK_ZOMBIE,  /* Z: exit status waits for the parent */
    TASK_DEAD,    /* reaped */
};

struct restart_block {
    int64_t (*fn)(struct task *t,
                  struct restart_block *block); /* static function; NULL: restart_syscall gives EINTR */
    uint64_t arg[6];
};

struct cpu_times {
    int64_t user_ns, system_ns;
};

/* The last fault of the guest, for signal frames. */
struct task_fault {
    uint64_t trap, error;
    gva_t address;
};

enum task_work {
    TASK_WORK_SIGNAL = 1,  /* a signal may be deliverable */
    TASK_WORK_STOP = 2,    /* group stop: stop at the next look */
    TASK_WORK_EXIT = 4,    /* the task ends at the next look */
    TASK_WORK_PAUSE = 8,   /* the kernel is paused: park */
    TASK_WORK_FREEZE = 16, /* its control group may be frozen: look, and wait */
};

enum { IO_READ, IO_WRITE, IO_DIRECTIONS };
/* Reads or writes that system calls have made: /proc/PID/io. */
struct io_count {
    uint64_t calls, bytes;
};

struct task {
    struct ref ref;
    struct kernel *kernel;
    struct container *container; /* borrowed: outlives its tasks */
    struct thread_group *group;  /* reference */
    struct pid *pid; /* reference: the tid. Changes under taskset_lock only, once, when a thread that execs
                        becomes the leader */
    struct pid
        *first_pid; /* then: the one before, kept since readers of `pid` take no lock. Reference or NULL */
    int64_t start_time; /* monotonic ns */

    /* Own thread only. */
    struct guest_regs regs; /* valid whenever the guest is not running */
    struct restart_block restart;
    sigset_word saved_mask; /* comes back after a temporary mask */
    bool has_saved_mask;
    struct sigaltstack altstack;
    struct task_fault fault;
    bool answers_stale;    /* what the platform may answer for it is to be told anew */
    bool answers_withheld; /* it may answer nothing, as syscall_work wants to see every call */
    gva_t clear_child_tid; /* CLONE_CHILD_CLEARTID, set_tid_address */
    gva_t set_child_tid;   /* CLONE_CHILD_SETTID, until the first instruction */
    gva_t robust_list;
    uint64_t syscall_number; /* of the call being served */
    int exit_request;        /* wait status of an exit(2) of its own that is under way */
    void *initial_fpu;       /* heap bytes: what the context starts with; NULL: as at execve */
    size_t initial_fpu_size;
    struct sem_undo_list
        *sysvsem; /* SEM_UNDO adjustments, shared by CLONE_SYSVSEM: sem_leave_undo(); or NULL */
    struct fuse_request *served_request; /* reference or NULL: asked when a pause came; OWN THREAD */
    struct task *vfork_child;            /* reference: does not go on until this one has exec'd or ended */
    _Atomic uint32_t start_state;        /* task_start.c */
    int start_error;

    /* Waking (waitq.h). */
    struct mutex wake_lock; /* RANK_WAITER */
    struct hostref
        context; /* wake_lock to change or for other threads; host.ptr: struct context of the platform */
    _Atomic uint32_t wake_word; /* futex: enum wake_state (waitq.c) */
    _Atomic uint32_t
        pending_work; /* enum task_work: looked at before every return to the guest and in task_block() */
    _Atomic bool in_guest; /* own thread writes: pending_work was looked at and context_switch() is coming or
                              running */
    struct task *pi_waits_for; /* futex_table.pi_chain_lock; borrowed: owner of the lock that it waits for */
    _Atomic uint32_t pi_waiters; /* tasks that wait for a lock of its: changed under their pi bucket's lock */
    _Atomic uint32_t state; /* enum task_state: own thread writes, from TASK_ZOMBIE on under taskset_lock */

    /* group->signal_lock */
    sigset_word blocked; /* own thread may read it without the lock */
    sigset_word sigwait; /* sigtimedwait: wakes for these although they are blocked */
    struct sigpending pending;
    bool exiting;                                  /* takes no more signals */
    bool dump_halted;                              /* has come to a halt for a core dump of its process */
    bool stop_counted;                             /* has yet to be counted off group->stop_pending_count */
    _Atomic uint8_t seccomp_mode;                  /* LINUX_SECCOMP_MODE_*; own thread may read */
    struct seccomp_filter *_Atomic seccomp_filter; /* reference or NULL; own thread may read: seccomp.h */
    _Atomic uint32_t syscall_work;                 /* enum syscall_work; anybody may read */
    struct task_trace trace;                       /* ptrace.h: locks of its own rules */

    /* lock */
    struct mutex lock; /* RANK_TASK */
    struct mm *mm;     /* reference; NULL after exit. Own thread may read these without the lock */
    struct fd_table *files;
    struct fs_context *fs;
    const struct creds *creds;
    struct nsproxy *nsproxy;
    struct user_account *account;   /* reference: where it counts as a process, and its signals */
    char name[LINUX_TASK_COMM_LEN]; /* PR_SET_NAME */

    /* taskset_lock */
    struct task *parent; /* of a leader; NULL: the kernel itself (init, exec from outside). Threads:
                            group->leader->parent */
    struct list children,
        sibling; /* processes that this thread made or inherited; node in parent->children, of leaders */
    struct list group_node; /* in group->tasks; also signal_lock: both to change, either to read */
    struct list pid_node[PID_ROLES];
    int exit_signal;          /* what the parent gets; -1: a thread that is not the leader */
    int exit_status;          /* wait status, valid from TASK_ZOMBIE */
    struct waitq vfork_queue; /* the parent waits here until the child has exec'd or ended */
    _Atomic bool vfork_pending;

    /* Written by the own thread or under task.lock, read by anybody (relaxed). */
    _Atomic int64_t user_ns, system_ns; /* cpu_time.c; task_cpu_times() adds what is still running */
    _Atomic int64_t guest_entered; /* monotonic ns of the running context_switch(), 0: not in the guest */
    int64_t sentry_entered;        /* own thread: since when system time counts */
    /* What the host had counted for the guest's thread and for ours at the last look, less user_ns and
     * system_ns of then: cpu_time.c. */
    _Atomic int64_t guest_surplus, sentry_surplus;
    _Atomic int64_t user_told; /* user time that was said while the guest ran: there is no way back */
    _Atomic uint64_t voluntary_switches;
    _Atomic uint64_t min_faults;
    struct io_count io[IO_DIRECTIONS]; /* own thread; others read what may be a little old */
    int nice;
    int ioprio;          /* ioprio_set(2): class and level; 0: none */
    int mempolicy;       /* set_mempolicy(2): mode with its flags */
    bool mempolicy_node; /* ... names node 0, the only one */
    int sched_policy, sched_priority;
    bool sched_reset_on_fork;
    uint64_t affinity[16]; /* cpu mask */
    int oom_score_adj;
    uint32_t personality;
    int pdeath_signal;
    _Atomic bool no_new_privs; /* TSYNC sets it from another thread */
    int mce_kill;              /* PR_MCE_KILL: LINUX_PR_MCE_KILL_LATE or EARLY plus one; 0: as the machine */
    uint64_t timer_slack_ns, default_timer_slack_ns;
};
DECLARE_REF(task);

/* A setitimer(2) on cpu time: all in ns of cpu time of the process. */
struct cpu_itimer {
    int64_t expires; /* CLOCK_NEVER: off */
    int64_t interval;
};

struct cgroup;
struct thread_group {
    struct ref ref;
    struct kernel *kernel;
    struct pid *pid;          /* reference; the process id */
    struct mutex limits_lock; /* RANK_LIMITS */
    struct linux_rlimit64 limits[LINUX_RLIM_NLIMITS];

    /* taskset_lock */
    struct task *leader;
    struct list tasks;   /* of task.group_node; also signal_lock: both to change, either to read */
    unsigned task_count; /* in `tasks`: all but threads that have ended; a zombie leader counts until it is
                            reaped */
    struct pid *pgrp, *session; /* references; task_get_pgrp(), task_get_session() */
    bool has_execed, child_subreaper;
    struct tty *tty;               /* controlling terminal: reference, or NULL (session.h) */
    struct waitq wait_queue;       /* the process's own threads wait here for children to change: WAIT_ANY */
    struct waitq exec_queue;       /* execve waits here for the other threads to end */
    struct cpu_times dead_cpu;     /* of threads that ended; also signal_lock, as `tasks` */
    struct cpu_times children_cpu; /* of children waited for */
    struct io_count dead_io[IO_DIRECTIONS];
    uint64_t dead_min_faults, children_min_faults;
    uint64_t dead_switches, children_switches;
    uint64_t maxrss, children_maxrss; /* KiB */
    uint64_t exit_cookie;             /* for container_events.process_exited */
    bool from_outside;                /* started by container_create_process() */
    struct cgroup *cgroup;            /* reference; NULL until linked (control_group.h) */
    struct list cgroup_node;          /* in cgroup.groups while a task of it runs ... */
    unsigned cgroup_live;             /* ... of which there are so many */
    bool oom_killed;                  /* why it ends */

    /* signal_lock */
    struct mutex signal_lock; /* RANK_SIGHAND */
    struct sighand *sighand;  /* reference; replaced at execve */
    struct sigpending shared_pending;
    struct waitq signalfd_queue;    /* woken when a signal is queued: signalfd's poll and read */
    struct core_dump *_Atomic dump; /* under way: core_dump.h. Written under the lock */
    bool exiting;                   /* exit_group or a fatal signal: all tasks are on their way out */
    bool unkillable; /* init of a pid namespace: signals without a handler do nothing to it from inside */
    int exit_status; /* then: wait status of the whole group */
    struct task *exec_task;  /* execve waits for the others to end */
    unsigned live_count;     /* tasks that are not exiting */
    int stop_signal;         /* a group stop is under way or complete; 0: none */
    int last_stop_signal;    /* for wait */
    unsigned continue_count; /* SIGCONTs so far: a stop that was on its way is void */
    bool stopped;            /* ... complete: every task has stopped */
    unsigned stop_pending_count;
    int wait_report;          /* LINUX_CLD_STOPPED or CONTINUED not yet waited for; 0: none */
    int notify_code;          /* the same, yet to be told to the parent by a thread that goes on */
    struct list posix_timers; /* of posix_timer.node */
    int next_timer_id;
    int64_t real_expires, real_interval; /* ITIMER_REAL: monotonic ns, 0: never set */
    _Atomic bool cpu_timers_parked;      /* timers on cpu time wait for a task to run: itimer.h */
    uint64_t cpu_limit_told;             /* RLIMIT_CPU: the second at which SIGXCPU is next due */
    struct cpu_itimer virtual_timer, prof_timer;
    struct ktimer real_timer;
    struct ktimer cpu_timer; /* next look at virtual_timer, prof_timer and RLIMIT_CPU */
};
DECLARE_REF(thread_group);

/* ---- running ---- */

/* Raises `work` bits, and interrupts the guest or task_block(). Any thread; any lock ranked below RANK_WAITER
 * may be held. */
void task_interrupt(struct task *t, uint32_t work);
/* Has the task come out of the guest once, if it is in there: something that it looks at on its way in has
 * changed. Does not disturb a wait. Threads and locks as above. */
void task_leave_guest(struct task *t);
/* Parks the task while the kernel is paused. OWN THREAD. */
void task_park(struct task *t);
/* As task_block(), but only the end of the task breaks it (then -ERESTARTSYS); parks by itself when the
 * kernel is paused. */
int task_block_killable(struct task *t, int64_t deadline) must_check;
/* For the answer of a server that is itself a guest, with locks of vfs held (docs/decisions/fuse-waits.md):
 * 0: woken; -ERESTARTSYS: the task ends; -ERESTARTNOINTR: the kernel is paused, and the call is to unwind. */
int task_block_served(struct task *t) must_check;
/* Nothing breaks it; for the last steps of an exit. */
void task_block_uninterruptible(struct task *t);
/* As task_block_killable() without a deadline, in TASK_STOPPED; a pause of the kernel also ends it. */
void task_block_stopped(struct task *t);
/* In a stop of its tracer: until woken, or the end of the task (not for the stop at its exit); parks. */
void task_block_traced(struct task *t, bool exit_stop);

/* ---- looking at others ---- */

struct task *task_find(struct task *viewer,
                       int tid); /* by number in viewer's pid namespace; new reference or NULL */
struct task *task_find_process(struct task *viewer, int pid); /* only thread group leaders (zombies too) */
/* Every living process that `viewer` sees, in order of pid: the next with a number >= pid; new reference to
   its leader, or NULL. For /proc and kill(-1). */
struct task *task_next_process(struct pid_ns *ns, int pid, int *ret_pid);
/* The threads of g in order of tid: the next with a number >= tid in `ns`. New reference or NULL. */
struct task *task_next_thread(struct thread_group *g, struct pid_ns *ns, int tid, int *ret_tid);
int task_tid_in(struct task *t, struct pid_ns *ns); /* 0: not visible */
int task_tgid_in(struct task *t, struct pid_ns *ns);
int task_ppid_in(struct task *t, struct pid_ns *ns);
int task_pgrp_in(struct task *t, struct pid_ns *ns);
int task_session_in(struct task *t, struct pid_ns *ns);
int task_tid(struct task *t); /* in its own namespace */
int task_tgid(struct task *t);
struct pid_ns *task_pid_ns(struct task *t);   /* borrowed: that of its pid */
struct creds *task_get_creds(struct task *t); /* new reference; any thread */
/* Takes the reference; OWN THREAD. Dumpability and parent death signal rules as Linux. */
void task_set_creds(struct task *t, struct creds *c);
bool task_capable(struct task *t, int cap); /* in its own user namespace; OWN THREAD */
bool task_capable_in(struct task *t, struct user_ns *ns, int cap);
struct mm *task_get_mm(struct task *t); /* new reference or NULL; any thread */
struct fd_table *task_get_files(struct task *t);
struct fs_context *task_get_fs(struct task *t);
struct nsproxy *task_get_nsproxy(struct task *t);
struct task *task_get_parent(struct task *t); /* new reference or NULL */
void task_get_name(struct task *t, char name[LINUX_TASK_COMM_LEN]);
void task_set_name(struct task *t, const char *name);
char task_state_letter(struct task *t); /* as in /proc/PID/stat */
/* ptrace(2) "Ptrace access mode checking": 0 or -EPERM. attach: PTRACE_MODE_ATTACH rather than READ. OWN
 * THREAD of t. */
int task_ptrace_may_access(struct task *t, struct task *target, bool attach);
uint64_t task_limit(struct task *t, int resource); /* soft limit: LINUX_RLIMIT_* */
struct cpu_times task_cpu_times(struct task *t);   /* any lock before RANK_WAITER may be held */
struct cpu_times thread_group_cpu(
    struct thread_group *g); /* living and dead threads. No locks of RANK_TASKSET and above held */
struct cpu_times thread_group_cpu_locked(struct thread_group *g); /* signal_lock held */

static inline struct context *task_context(struct task *t) {
    return t->context.host.ptr;
}
static inline const struct creds *task_creds(struct task *t) {
    return t->creds; /* OWN THREAD */
}
