/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/time.h: guest ABI, x86-64: clocks, timers, time structures.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* clocks */
#define LINUX_CLOCK_REALTIME           0
#define LINUX_CLOCK_MONOTONIC          1
#define LINUX_CLOCK_PROCESS_CPUTIME_ID 2
#define LINUX_CLOCK_THREAD_CPUTIME_ID  3
#define LINUX_CLOCK_MONOTONIC_RAW      4
#define LINUX_CLOCK_REALTIME_COARSE    5
#define LINUX_CLOCK_MONOTONIC_COARSE   6
#define LINUX_CLOCK_BOOTTIME           7
#define LINUX_CLOCK_REALTIME_ALARM     8
#define LINUX_CLOCK_BOOTTIME_ALARM     9
#define LINUX_CLOCK_SGI_CYCLE          10
#define LINUX_CLOCK_TAI                11

/* timers */
#define LINUX_ITIMER_REAL    0
#define LINUX_ITIMER_VIRTUAL 1
#define LINUX_ITIMER_PROF    2
#define LINUX_TIMER_ABSTIME  0x1

/* timerfd_create(2), timerfd_settime(2) */
#define LINUX_TFD_TIMER_ABSTIME       1
#define LINUX_TFD_TIMER_CANCEL_ON_SET 2
#define LINUX_TFD_CLOEXEC             02000000
#define LINUX_TFD_NONBLOCK            04000
#define LINUX_TFD_IOC_SET_TICKS       0x40085400

/* adjtimex(2) */
#define LINUX_ADJ_OFFSET            0x1
#define LINUX_ADJ_FREQUENCY         0x2
#define LINUX_ADJ_MAXERROR          0x4
#define LINUX_ADJ_ESTERROR          0x8
#define LINUX_ADJ_STATUS            0x10
#define LINUX_ADJ_TIMECONST         0x20
#define LINUX_ADJ_TAI               0x80
#define LINUX_ADJ_SETOFFSET         0x100
#define LINUX_ADJ_MICRO             0x1000
#define LINUX_ADJ_NANO              0x2000
#define LINUX_ADJ_TICK              0x4000
#define LINUX_ADJ_OFFSET_SINGLESHOT 0x8001
#define LINUX_ADJ_OFFSET_SS_READ    0xa001
#define LINUX_STA_PLL               0x1
#define LINUX_STA_FLL               0x8
#define LINUX_STA_INS               0x10
#define LINUX_STA_DEL               0x20
#define LINUX_STA_UNSYNC            0x40
#define LINUX_STA_FREQHOLD          0x80
#define LINUX_STA_CLOCKERR          0x1000
#define LINUX_STA_NANO              0x2000
#define LINUX_STA_MODE              0x4000
#define LINUX_STA_CLK               0x8000
#define LINUX_TIME_OK               0
#define LINUX_TIME_INS              1
#define LINUX_TIME_DEL              2
#define LINUX_TIME_OOP              3
#define LINUX_TIME_WAIT             4
#define LINUX_TIME_ERROR            5
#define LINUX_TIME_BAD              0x5

struct linux_timespec {
    int64_t sec, nsec;
};
ABI_SIZE(linux_timespec, 16);

struct linux_timeval {
    int64_t sec, usec;
};
ABI_SIZE(linux_timeval, 16);

struct linux_itimerspec {
    struct linux_timespec interval, value;
};
ABI_SIZE(linux_itimerspec, 32);

struct linux_itimerval {
    struct linux_timeval interval, value;
};
ABI_SIZE(linux_itimerval, 32);

struct linux_timezone {
    int32_t minuteswest, dsttime;
};
ABI_SIZE(linux_timezone, 8);

/* times(2): clock ticks of 1/LINUX_USER_HZ seconds */
#define LINUX_USER_HZ 100
struct linux_tms {
    int64_t utime, stime, cutime, cstime;
};
ABI_SIZE(linux_tms, 32);

struct linux_utimbuf {
    int64_t actime, modtime;
};
ABI_SIZE(linux_utimbuf, 16);

/* utimensat(2), in nsec */
#define LINUX_UTIME_NOW  0x3fffffff
#define LINUX_UTIME_OMIT 0x3ffffffe

struct linux_timex {
    uint32_t modes;
    int64_t offset, freq, maxerror, esterror;
    int32_t status;
    int64_t constant, precision, tolerance;
    struct linux_timeval time;
    int64_t tick, ppsfreq, jitter;
    int32_t shift;
    int64_t stabil, jitcnt, calcnt, errcnt, stbcnt;
    int32_t tai;
    int32_t unused[11];
};
ABI_SIZE(linux_timex, 208);
