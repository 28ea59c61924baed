/* SPDX-License-Identifier: Apache-2.0
 * sentry/loader/vdso/vdso_guest.c: the code of the guest's vDSO, run by guests. The host's vDSO, which is
 * mapped in every stub, reads the clocks; what is added comes from the parameter page. Where that cannot be:
 * a system call. No libc, no data of its own. Source: vdso(7), clock_gettime(2).
 */
#include <stddef.h>

#include "sentry/loader/vdso/vdso_params.h"

struct timespec_64 {
    int64_t sec, nsec;
};
struct timeval_64 {
    int64_t sec, usec;
};
struct zone {
    int32_t minutes_west, dst;
};

enum {
    SYS_GETTIMEOFDAY = 96,
    SYS_TIME = 201,
    SYS_CLOCK_GETTIME = 228,
    SYS_CLOCK_GETRES = 229,
    SYS_GETCPU = 309
};
enum {
    REALTIME = 0,
    MONOTONIC = 1,
    MONOTONIC_RAW = 4,
    REALTIME_COARSE = 5,
    MONOTONIC_COARSE = 6,
    BOOTTIME = 7,
    TAI = 11
};
#define NSEC 1000000000ll

extern const volatile struct vdso_params vdso_params __attribute__((visibility("hidden")));

int __vdso_clock_gettime(int clock, struct timespec_64 *ts);
int __vdso_clock_getres(int clock, struct timespec_64 *ts);
int __vdso_gettimeofday(struct timeval_64 *tv, struct zone *zone);
int64_t __vdso_time(int64_t *t);
long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused);

static long call(long number, long a, long b, long c) {
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

/* Which offset a clock has: 1 real, 2 monotonic, 0: the system call knows. */
static int kind_of(int clock) {
    if (clock == REALTIME || clock == REALTIME_COARSE || clock == TAI)
        return 1;
    return clock == MONOTONIC || clock == MONOTONIC_RAW || clock == MONOTONIC_COARSE || clock == BOOTTIME ? 2
                                                                                                          : 0;
}

static int host_clock(int clock, struct timespec_64 *ts) {
    const volatile struct vdso_params *p = &vdso_params;
    int kind = kind_of(clock);
    uint32_t sequence;
    int64_t offset;

    if (kind == 0 || !p->use_host || !p->clock_gettime)
        return -1;
    do {
        sequence = p->sequence & ~1u;
        __asm__ volatile("" ::: "memory");
        offset = kind == 1 ? p->realtime_offset_ns : p->monotonic_offset_ns;
        int (*host)(int, struct timespec_64 *) = (int (*)(int, struct timespec_64 *))p->clock_gettime;
        if (host(clock, ts) != 0)
            return -1;
        __asm__ volatile("" ::: "memory");
    } while (p->sequence != sequence);
    if (offset != 0) {
        int64_t nsec = ts->nsec + offset % NSEC;
        ts->sec += offset / NSEC;
        if (nsec >= NSEC) {
            nsec -= NSEC;
            ts->sec++;
        } else if (nsec < 0) {
            nsec += NSEC;
            ts->sec--;
        }
        ts->nsec = nsec;
    }
    return 0;
}

int __vdso_clock_gettime(int clock, struct timespec_64 *ts) {
    if (host_clock(clock, ts) == 0)
        return 0;
    return (int)call(SYS_CLOCK_GETTIME, clock, (long)ts, 0);
}

int __vdso_gettimeofday(struct timeval_64 *tv, struct zone *zone) {
    struct timespec_64 ts;

    if (zone || host_clock(REALTIME, &ts) != 0)
        return (int)call(SYS_GETTIMEOFDAY, (long)tv, (long)zone, 0);
    if (tv) {
        tv->sec = ts.sec;
        tv->usec = ts.nsec / 1000;
    }
    return 0;
}

int64_t __vdso_time(int64_t *t) {
    struct timespec_64 ts;

    if (host_clock(REALTIME_COARSE, &ts) != 0)
        return call(SYS_TIME, (long)t, 0, 0);
    if (t)
        *t = ts.sec;
    return ts.sec;
}

int __vdso_clock_getres(int clock, struct timespec_64 *ts) {
    return (int)call(SYS_CLOCK_GETRES, clock, (long)ts, 0);
}

long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused) {
    uint64_t address = vdso_params.getcpu;

    if (!vdso_params.use_host || !address)
        return call(SYS_GETCPU, (long)cpu, (long)node, (long)unused);
    return ((long (*)(unsigned *, unsigned *, void *))address)(cpu, node, unused);
}

#define ALIAS(name) extern __typeof__(__vdso_##name) name __attribute__((weak, alias("__vdso_" #name)))
ALIAS(clock_gettime);
ALIAS(clock_getres);
ALIAS(gettimeofday);
ALIAS(time);
ALIAS(getcpu);
