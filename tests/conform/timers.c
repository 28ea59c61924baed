/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/timers.c: clocks, sleeps, interval and POSIX timers, timerfd. Sources: clock_gettime(2),
 * clock_nanosleep(2), setitimer(2), timer_create(2), timerfd_create(2), alarm(2), times(2).
 */
#include "conform.h"

#include <sys/timerfd.h>
#include <sys/times.h>

static volatile sig_atomic_t g_count;
static siginfo_t g_info;
static void count(int signo, siginfo_t *info, void *context) {
    (void)signo, (void)context;
    g_info = *info;
    g_count++;
}

static void handle(int signo) {
    struct sigaction sa = {.sa_sigaction = count, .sa_flags = SA_SIGINFO};

    OK(sigaction(signo, &sa, NULL));
}

CHECK(clocks_run) {
    static const clockid_t clocks[] = {CLOCK_REALTIME,        CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,
                                       CLOCK_BOOTTIME,        CLOCK_TAI,       CLOCK_REALTIME_COARSE,
                                       CLOCK_MONOTONIC_COARSE};

    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        int64_t a = now_ns(clocks[i]);
        sleep_ms(20);
        int64_t d = now_ns(clocks[i]) - a;
        TRUE(d >= 10000000);
        TRUE(d < 5000000000);
    }
    struct timespec t;
    ERR(clock_gettime(99, &t), EINVAL);
    ERR(syscall(SYS_clock_gettime, CLOCK_REALTIME, 8), EFAULT);
    OK(clock_getres(CLOCK_MONOTONIC, &t));
    EQ(t.tv_sec, 0);
    EQ(t.tv_nsec, 1);
    OK(clock_getres(CLOCK_MONOTONIC, NULL));
    ERR(clock_getres(99, &t), EINVAL);
}

CHECK(monotonic_never_goes_back) {
    int64_t last = now_ns(CLOCK_MONOTONIC);

    for (int i = 0; i < 100000; i++) {
        int64_t now = now_ns(CLOCK_MONOTONIC);
        TRUE(now >= last);
        last = now;
    }
}

CHECK(system_call_and_vdso_agree) {
    struct timespec a, b, c;

    for (int i = 0; i < 1000; i++) {
        OK(clock_gettime(CLOCK_MONOTONIC, &a));
        OK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &b));
        OK(clock_gettime(CLOCK_MONOTONIC, &c));
        TRUE(a.tv_sec * 1000000000ll + a.tv_nsec <= b.tv_sec * 1000000000ll + b.tv_nsec);
        TRUE(b.tv_sec * 1000000000ll + b.tv_nsec <= c.tv_sec * 1000000000ll + c.tv_nsec);
    }
    struct timeval tv;
    OK(gettimeofday(&tv, NULL));
    time_t t = time(NULL);
    TRUE(t - tv.tv_sec <= 1 && t - tv.tv_sec >= 0);
}

CHECK(cpu_clocks) {
    int64_t thread = now_ns(CLOCK_THREAD_CPUTIME_ID), process = now_ns(CLOCK_PROCESS_CPUTIME_ID);

    while (now_ns(CLOCK_PROCESS_CPUTIME_ID) - process < 20000000) {
    }
    TRUE(now_ns(CLOCK_THREAD_CPUTIME_ID) - thread >= 15000000);
    process = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    sleep_ms(50);
    TRUE(now_ns(CLOCK_PROCESS_CPUTIME_ID) - process < 40000000);
    struct tms t;
    OK(times(&t));
    TRUE(t.tms_utime + t.tms_stime >= 0);
    clockid_t id;
    EQ(clock_getcpuclockid(0, &id), 0);
    TRUE(now_ns(id) > 0);
}

CHECK(sleeps) {
    struct timespec t = {0, 30000000}, bad = {0, 1000000000};
    int64_t start = now_ns(CLOCK_MONOTONIC);

    OK(nanosleep(&t, NULL));
    TRUE(now_ns(CLOCK_MONOTONIC) - start >= 30000000);
    ERR(nanosleep(&bad, NULL), EINVAL);
    ERR(nanosleep(&(struct timespec){-1, 0}, NULL), EINVAL);
    ERR(syscall(SYS_nanosleep, 8, NULL), EFAULT);
    EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, NULL), EINVAL);
    EQ(clock_nanosleep(99, 0, &t, NULL), EINVAL);
    OK(clock_gettime(CLOCK_MONOTONIC, &t));
    EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
    t.tv_sec -= 100;
    EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
    EQ(clock_nanosleep(CLOCK_REALTIME, 0, &(struct timespec){0, 1000}, NULL), 0);
    EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL), EINVAL);
}

CHECK(real_interval_timer) {
    struct itimerval t = {{0, 10000}, {0, 10000}}, old;

    handle(SIGALRM);
    OK(setitimer(ITIMER_REAL, &t, NULL));
    WAIT_UNTIL(g_count >= 3);
    OK(getitimer(ITIMER_REAL, &old));
    EQ(old.it_interval.tv_usec, 10000);
    TRUE(old.it_value.tv_sec == 0 && old.it_value.tv_usec <= 10000);
    OK(setitimer(ITIMER_REAL, &(struct itimerval){0}, &old));
    EQ(old.it_interval.tv_usec, 10000);
    int seen = g_count;
    sleep_ms(40);
    TRUE(g_count - seen <= 1);
    EQ(g_info.si_code, SI_KERNEL);
    ERR(setitimer(9, &t, NULL), EINVAL);
    t.it_value.tv_usec = 1000000;
    ERR(setitimer(ITIMER_REAL, &t, NULL), EINVAL);
}

CHECK(virtual_timers_count_cpu_time) {
    struct itimerval t = {{0, 0}, {0, 20000}};

    handle(SIGVTALRM);
    handle(SIGPROF);
    OK(setitimer(ITIMER_VIRTUAL, &t, NULL));
    sleep_ms(60);
    EQ(g_count, 0);
    for (int64_t start = now_ns(CLOCK_MONOTONIC);
         g_count == 0 && now_ns(CLOCK_MONOTONIC) - start < 10000000000;) {
    }
    EQ(g_count, 1);
    EQ(g_info.si_signo, SIGVTALRM);
    OK(setitimer(ITIMER_PROF, &t, NULL));
    for (int64_t start = now_ns(CLOCK_MONOTONIC);
         g_count == 1 && now_ns(CLOCK_MONOTONIC) - start < 10000000000;) {
    }
    EQ(g_info.si_signo, SIGPROF);
}

CHECK(alarm_call) {
    handle(SIGALRM);
    EQ(alarm(100), 0);
    EQ(alarm(1), 100);
    TRUE(alarm(0) <= 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit((int)alarm(0)); /* not inherited */
    EQ(wait_exit(pid), 0);
}

CHECK(posix_timer_signals) {
    timer_t id;
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 99};
    struct itimerspec t = {{0, 0}, {0, 10000000}}, now;

    handle(SIGRTMIN);
    OK(timer_create(CLOCK_MONOTONIC, &ev, &id));
    OK(timer_gettime(id, &now));
    EQ(now.it_value.tv_nsec, 0);
    OK(timer_settime(id, 0, &t, NULL));
    WAIT_UNTIL(g_count == 1);
    EQ(g_info.si_code, SI_TIMER);
    EQ(g_info.si_value.sival_int, 99);
    EQ(timer_getoverrun(id), 0);
    t.it_interval.tv_nsec = 5000000;
    OK(timer_settime(id, 0, &t, NULL));
    WAIT_UNTIL(g_count >= 4);
    OK(timer_delete(id));
    ERR(syscall(SYS_timer_delete, 12345), EINVAL);
    ERR(timer_create(99, &ev, &id), EINVAL);
    ev.sigev_signo = 200;
    ERR(timer_create(CLOCK_MONOTONIC, &ev, &id), EINVAL);
}

CHECK(posix_timer_overrun_and_absolute) {
    timer_t id;
    sigset_t set;
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    struct itimerspec t = {{0, 5000000}, {0, 5000000}};

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    OK(timer_create(CLOCK_MONOTONIC, &ev, &id));
    OK(timer_settime(id, 0, &t, NULL));
    sleep_ms(60);
    siginfo_t info;
    EQ(sigwaitinfo(&set, &info), SIGRTMIN);
    TRUE(info.si_overrun >= 5);
    TRUE(timer_getoverrun(id) >= 5);
    memset(&t, 0, sizeof t);
    OK(timer_settime(id, 0, &t, NULL));
    while (sigtimedwait(&set, &info, &(struct timespec){0, 0}) > 0) {
    }
    OK(clock_gettime(CLOCK_MONOTONIC, &t.it_value)); /* already over */
    OK(timer_settime(id, TIMER_ABSTIME, &t, NULL));
    EQ(sigwaitinfo(&set, &info), SIGRTMIN);
}

static void on_thread(union sigval v) {
    __atomic_store_n((int *)v.sival_ptr, 1, __ATOMIC_SEQ_CST);
}

CHECK(posix_timer_thread) {
    timer_t id;
    int fired = 0;
    struct sigevent ev = {
        .sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_ptr = &fired};
    struct itimerspec t = {{0, 0}, {0, 5000000}};

    OK(timer_create(CLOCK_REALTIME, &ev, &id));
    OK(timer_settime(id, 0, &t, NULL));
    WAIT_UNTIL(__atomic_load_n(&fired, __ATOMIC_SEQ_CST) == 1);
}

CHECK(timerfd_counts) {
    int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    struct itimerspec t = {{0, 5000000}, {0, 5000000}}, now;
    uint64_t n;

    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ERR(read(fd, &n, 8), EAGAIN);
    OK(timerfd_settime(fd, 0, &t, NULL));
    sleep_ms(50);
    struct pollfd p = {fd, POLLIN, 0};
    EQ(poll(&p, 1, 0), 1);
    ERR(read(fd, &n, 4), EINVAL);
    EQ(read(fd, &n, 8), 8);
    TRUE(n >= 5);
    OK(timerfd_gettime(fd, &now));
    EQ(now.it_interval.tv_nsec, 5000000);
    memset(&t, 0, sizeof t);
    OK(timerfd_settime(fd, 0, &t, &now));
    sleep_ms(10);
    ERR(read(fd, &n, 8), EAGAIN);
    OK(fcntl(fd, F_SETFL, 0));
    t.it_value.tv_nsec = 20000000;
    OK(timerfd_settime(fd, 0, &t, NULL));
    EQ(read(fd, &n, 8), 8); /* waits */
    EQ(n, 1);
    OK(clock_gettime(CLOCK_MONOTONIC, &t.it_value));
    OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &t, NULL));
    EQ(read(fd, &n, 8), 8);
    EQ(n, 1);
    ERR(timerfd_create(CLOCK_THREAD_CPUTIME_ID, 0), EINVAL);
    ERR(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
    ERR(timerfd_settime(0, 0, &t, NULL), EINVAL);
    ERR(write(fd, &n, 8), EINVAL);
}
