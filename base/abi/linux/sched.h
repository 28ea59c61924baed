/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/sched.h: guest ABI, x86-64: clone, wait, scheduling, membarrier, kcmp, rseq.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* clone(2) and clone3(2) */
#define LINUX_CLONE_VM             0x100
#define LINUX_CLONE_FS             0x200
#define LINUX_CLONE_FILES          0x400
#define LINUX_CLONE_SIGHAND        0x800
#define LINUX_CLONE_PIDFD          0x1000
#define LINUX_CLONE_PTRACE         0x2000
#define LINUX_CLONE_VFORK          0x4000
#define LINUX_CLONE_PARENT         0x8000
#define LINUX_CLONE_THREAD         0x10000
#define LINUX_CLONE_NEWNS          0x20000
#define LINUX_CLONE_SYSVSEM        0x40000
#define LINUX_CLONE_SETTLS         0x80000
#define LINUX_CLONE_PARENT_SETTID  0x100000
#define LINUX_CLONE_CHILD_CLEARTID 0x200000
#define LINUX_CLONE_DETACHED       0x400000
#define LINUX_CLONE_UNTRACED       0x800000
#define LINUX_CLONE_CHILD_SETTID   0x1000000
#define LINUX_CLONE_NEWCGROUP      0x2000000
#define LINUX_CLONE_NEWUTS         0x4000000
#define LINUX_CLONE_NEWIPC         0x8000000
#define LINUX_CLONE_NEWUSER        0x10000000
#define LINUX_CLONE_NEWPID         0x20000000
#define LINUX_CLONE_NEWNET         0x40000000
#define LINUX_CLONE_IO             0x80000000u
#define LINUX_CLONE_CLEAR_SIGHAND  0x100000000ull
#define LINUX_CLONE_INTO_CGROUP    0x200000000ull
#define LINUX_CLONE_NEWTIME        0x80

/* scheduling policies and flags */
#define LINUX_SCHED_NORMAL              0
#define LINUX_SCHED_FIFO                1
#define LINUX_SCHED_RR                  2
#define LINUX_SCHED_BATCH               3
#define LINUX_SCHED_IDLE                5
#define LINUX_SCHED_DEADLINE            6
#define LINUX_SCHED_RESET_ON_FORK       0x40000000
#define LINUX_SCHED_FLAG_RESET_ON_FORK  0x1
#define LINUX_SCHED_FLAG_RECLAIM        0x2
#define LINUX_SCHED_FLAG_DL_OVERRUN     0x4
#define LINUX_SCHED_FLAG_KEEP_POLICY    0x8
#define LINUX_SCHED_FLAG_KEEP_PARAMS    0x10
#define LINUX_SCHED_FLAG_UTIL_CLAMP_MIN 0x20
#define LINUX_SCHED_FLAG_UTIL_CLAMP_MAX 0x40
#define LINUX_SCHED_FLAG_KEEP_ALL       0x18
#define LINUX_SCHED_FLAG_UTIL_CLAMP     0x60

/* wait4(2) and waitid(2) options */
#define LINUX_WNOHANG    0x1
#define LINUX_WUNTRACED  0x2
#define LINUX_WSTOPPED   0x2
#define LINUX_WEXITED    0x4
#define LINUX_WCONTINUED 0x8
#define LINUX_WNOWAIT    0x1000000
#define LINUX_WNOTHREAD  0x20000000
#define LINUX_WALL       0x40000000
#define LINUX_WCLONE     0x80000000u

/* waitid(2) id types */
#define LINUX_P_ALL   0
#define LINUX_P_PID   1
#define LINUX_P_PGID  2
#define LINUX_P_PIDFD 3

/* membarrier(2) */
#define LINUX_MEMBARRIER_CMD_QUERY                                0
#define LINUX_MEMBARRIER_CMD_GLOBAL                               1
#define LINUX_MEMBARRIER_CMD_GLOBAL_EXPEDITED                     2
#define LINUX_MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED            4
#define LINUX_MEMBARRIER_CMD_PRIVATE_EXPEDITED                    8
#define LINUX_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED           16
#define LINUX_MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE          32
#define LINUX_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE 64
#define LINUX_MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ               128
#define LINUX_MEMBARRIER_CMD_FLAG_CPU                             1
#define LINUX_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ      256
#define LINUX_MEMBARRIER_CMD_SHARED                               1

/* kcmp(2) */
#define LINUX_KCMP_FILE      0
#define LINUX_KCMP_VM        1
#define LINUX_KCMP_FILES     2
#define LINUX_KCMP_FS        3
#define LINUX_KCMP_SIGHAND   4
#define LINUX_KCMP_IO        5
#define LINUX_KCMP_SYSVSEM   6
#define LINUX_KCMP_EPOLL_TFD 7

/* rseq(2) */
#define LINUX_RSEQ_CPU_ID_UNINITIALIZED              (-1)
#define LINUX_RSEQ_CPU_ID_REGISTRATION_FAILED        (-2)
#define LINUX_RSEQ_FLAG_UNREGISTER                   1
#define LINUX_RSEQ_CS_FLAG_NO_RESTART_ON_PREEMPT_BIT 0
#define LINUX_RSEQ_CS_FLAG_NO_RESTART_ON_SIGNAL_BIT  1
#define LINUX_RSEQ_CS_FLAG_NO_RESTART_ON_MIGRATE_BIT 2
#define LINUX_RSEQ_CS_FLAG_NO_RESTART_ON_PREEMPT     1
#define LINUX_RSEQ_CS_FLAG_NO_RESTART_ON_SIGNAL      2
#define LINUX_RSEQ_CS_FLAG_NO_RESTART_ON_MIGRATE     4

/* clone(2): the signal sent to the parent, in the low byte of the flags */
#define LINUX_CSIGNAL     0xff
#define LINUX_SCHED_OTHER LINUX_SCHED_NORMAL

struct linux_clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    uint64_t set_tid, set_tid_size, cgroup;
};
ABI_SIZE(linux_clone_args, 88);
#define LINUX_CLONE_ARGS_SIZE_VER0 64
#define LINUX_CLONE_ARGS_SIZE_VER1 80
#define LINUX_CLONE_ARGS_SIZE_VER2 88

struct linux_sched_param {
    int32_t priority;
};
ABI_SIZE(linux_sched_param, 4);

struct linux_sched_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};
ABI_SIZE(linux_sched_attr, 56);

/* The first 32 bytes of rseq(2)'s area, aligned to 32. */
struct linux_rseq {
    uint32_t cpu_id_start, cpu_id;
    uint64_t rseq_cs;
    uint32_t flags;
    uint32_t unused[3];
};
ABI_SIZE(linux_rseq, 32);

struct linux_rseq_cs {
    uint32_t version, flags;
    uint64_t start_ip, post_commit_offset, abort_ip;
};
ABI_SIZE(linux_rseq_cs, 32);
