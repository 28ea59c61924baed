/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/resource.h: guest ABI, x86-64: limits, usage, priorities.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* limits */
#define LINUX_RLIMIT_CPU        0
#define LINUX_RLIMIT_FSIZE      1
#define LINUX_RLIMIT_DATA       2
#define LINUX_RLIMIT_STACK      3
#define LINUX_RLIMIT_CORE       4
#define LINUX_RLIMIT_RSS        5
#define LINUX_RLIMIT_NPROC      6
#define LINUX_RLIMIT_NOFILE     7
#define LINUX_RLIMIT_MEMLOCK    8
#define LINUX_RLIMIT_AS         9
#define LINUX_RLIMIT_LOCKS      10
#define LINUX_RLIMIT_SIGPENDING 11
#define LINUX_RLIMIT_MSGQUEUE   12
#define LINUX_RLIMIT_NICE       13
#define LINUX_RLIMIT_RTPRIO     14
#define LINUX_RLIMIT_RTTIME     15

/* getrusage(2) */
#define LINUX_RUSAGE_SELF     0
#define LINUX_RUSAGE_CHILDREN (-1)
#define LINUX_RUSAGE_BOTH     (-2)
#define LINUX_RUSAGE_THREAD   1

/* getpriority(2) */
#define LINUX_PRIO_MIN     (-20)
#define LINUX_PRIO_MAX     20
#define LINUX_PRIO_PROCESS 0
#define LINUX_PRIO_PGRP    1
#define LINUX_PRIO_USER    2

#define LINUX_RLIM_NLIMITS  16
#define LINUX_RLIM_INFINITY (~0ull)

struct linux_rlimit64 {
    uint64_t cur, max;
};
ABI_SIZE(linux_rlimit64, 16);

struct linux_rusage {
    int64_t utime_sec, utime_usec, stime_sec, stime_usec;
    int64_t maxrss; /* KiB */
    int64_t ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock;
    int64_t msgsnd, msgrcv, nsignals, nvcsw, nivcsw;
};
ABI_SIZE(linux_rusage, 144);
