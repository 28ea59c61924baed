/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/cpu_clocks.c: cpu time is what was computed: none while asleep, no more than the machine has
 * when more run than it has cpus, and the same by every call that tells it. Sources: getrusage(2), times(2),
 * clock_getres(2), wait4(2), setitimer(2), getrlimit(2), proc(5). What is measured is compared with what was
 * measured otherwise, and never with how long something ought to take.
 */
#include "conform.h"

#include <sys/resource.h>
#include <sys/times.h>

#define MS 1000000ll

static int64_t cpu_of(const struct rusage *u) {
    return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000 * MS +
           (u->ru_utime.tv_usec + u->ru_stime.tv_usec) * 1000ll;
}

static int64_t usage(int who) {
    struct rusage u;

    OK(getrusage(who, &u));
    return cpu_of(&u);
}

static long cpus(void) {
    return sysconf(_SC_NPROCESSORS_ONLN);
}

static void burn(int64_t wall_ns) {
    int64_t end = now_ns(CLOCK_MONOTONIC) + wall_ns;

    while (now_ns(CLOCK_MONOTONIC) < end)
        for (volatile int i = 0; i < 10000; i++)
            ;
}

/* In one go: nothing that the kernel could see meanwhile. */
static void burn_silently(void) {
    for (volatile long i = 0; i < 40000000; i++)
        ;
}

CHECK(asleep_gains_none) {
    int64_t process = now_ns(CLOCK_PROCESS_CPUTIME_ID), thread = now_ns(CLOCK_THREAD_CPUTIME_ID);
    int64_t self = usage(RUSAGE_SELF);

    sleep_ms(400);
    TRUE(now_ns(CLOCK_PROCESS_CPUTIME_ID) - process < 200 * MS);
    TRUE(now_ns(CLOCK_THREAD_CPUTIME_ID) - thread < 200 * MS);
    TRUE(usage(RUSAGE_SELF) - self < 200 * MS);
}

static void *burner(void *ret) {
    burn_silently();
    *(int64_t *)ret = now_ns(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

enum { CROWD = 6 };

CHECK(a_crowd_of_threads) {
    int64_t before = now_ns(CLOCK_PROCESS_CPUTIME_ID), wall = now_ns(CLOCK_MONOTONIC), own[CROWD], sum = 0;
    pthread_t th[CROWD];

    for (int i = 0; i < CROWD; i++)
        EQ(pthread_create(&th[i], NULL, burner, &own[i]), 0);
    int64_t last = 0;
    for (int i = 0; i < 50; i++) { /* never backwards */
        int64_t now = now_ns(CLOCK_PROCESS_CPUTIME_ID);
        TRUE(now >= last);
        last = now;
        sleep_ms(3);
    }
    for (int i = 0; i < CROWD; i++) {
        EQ(pthread_join(th[i], NULL), 0);
        TRUE(own[i] > 0);
        sum += own[i];
    }
    int64_t process = now_ns(CLOCK_PROCESS_CPUTIME_ID) - before;
    wall = now_ns(CLOCK_MONOTONIC) - wall;
    TRUE(process <= wall * cpus() * 11 / 10 + 20 * MS);
    TRUE(sum <= process + 20 * MS);
    TRUE(sum >= process / 2); /* nobody else computed */
    int64_t self = usage(RUSAGE_SELF);
    TRUE(self >= now_ns(CLOCK_PROCESS_CPUTIME_ID) - 50 * MS);
    TRUE(self <= now_ns(CLOCK_PROCESS_CPUTIME_ID) + 5 * MS);
}

CHECK(two_threads_gain_twice) {
    int64_t own[2], before = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    pthread_t th[2];

    for (int i = 0; i < 2; i++)
        EQ(pthread_create(&th[i], NULL, burner, &own[i]), 0);
    for (int i = 0; i < 2; i++)
        EQ(pthread_join(th[i], NULL), 0);
    int64_t process = now_ns(CLOCK_PROCESS_CPUTIME_ID) - before;
    TRUE(process > (own[0] + own[1]) / 10 * 8);
    TRUE(own[0] > process / 5 && own[1] > process / 5);
}

static void burn_child(void *unused) {
    (void)unused;
    burn_silently();
}

CHECK(a_crowd_of_processes) {
    int64_t wall = now_ns(CLOCK_MONOTONIC), sum = 0, children = usage(RUSAGE_CHILDREN);
    struct tms before, after;

    times(&before);
    for (int i = 0; i < CROWD; i++)
        spawn(burn_child, NULL);
    for (int i = 0; i < CROWD; i++) {
        struct rusage u;
        int status;
        OK(wait4(-1, &status, 0, &u));
        EQ(status, 0);
        TRUE(cpu_of(&u) > 0);
        sum += cpu_of(&u);
    }
    wall = now_ns(CLOCK_MONOTONIC) - wall;
    TRUE(sum <= wall * cpus() * 11 / 10 + 20 * MS);
    children = usage(RUSAGE_CHILDREN) - children;
    TRUE(children - sum < 5 * MS && sum - children < 5 * MS);
    times(&after);
    int64_t ticks = after.tms_cutime + after.tms_cstime - before.tms_cutime - before.tms_cstime;
    int64_t told = ticks * (1000 * MS / sysconf(_SC_CLK_TCK));
    TRUE(told - sum < 200 * MS && sum - told < 200 * MS);
}

CHECK(computing_is_user_time) {
    struct rusage u;

    burn_silently();
    OK(getrusage(RUSAGE_SELF, &u));
    TRUE(u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec >
         2 * (u.ru_stime.tv_sec * 1000000 + u.ru_stime.tv_usec));
    int64_t all = cpu_of(&u), clock = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    TRUE(all <= clock + 5 * MS && all >= clock - 50 * MS);
}

CHECK(the_file_tells_the_same) {
    char text[1024];
    unsigned long user, system;

    burn_silently();
    get_file("/proc/self/stat", text, sizeof text);
    int64_t clock = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    EQ(sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system),
       2);
    int64_t told = (int64_t)(user + system) * (1000 * MS / sysconf(_SC_CLK_TCK));
    TRUE(told <= clock + 20 * MS && told >= clock - 100 * MS);
}

/* Another's, while it computes. */
CHECK(clock_of_another_process) {
    clockid_t clock;
    int64_t wall = now_ns(CLOCK_MONOTONIC), last = 0;
    pid_t pid = spawn(burn_child, NULL);

    EQ(clock_getcpuclockid(pid, &clock), 0);
    WAIT_UNTIL(now_ns(clock) > 10 * MS);
    for (int i = 0; i < 20; i++) {
        int64_t now = now_ns(clock);
        TRUE(now >= last);
        TRUE(now <= now_ns(CLOCK_MONOTONIC) - wall + 10 * MS);
        last = now;
        sleep_ms(1);
    }
    EQ(wait_exit(pid), 0);
}

static volatile sig_atomic_t g_signals;

static void on_signal(int signo) {
    (void)signo;
    g_signals++;
}

static void crowd_behind(void) { /* others that want the cpus too */
    for (int i = 0; i < CROWD; i++)
        if (fork() == 0) {
            burn_silently();
            _exit(0);
        }
}

static void await_crowd(void) {
    while (wait(NULL) > 0 || errno == EINTR)
        ;
}

static void profile(int which, int signo) {
    struct itimerval set = {.it_value.tv_usec = 100000};
    struct rusage u;

    signal(signo, on_signal);
    crowd_behind();
    OK(getrusage(RUSAGE_SELF, &u));
    int64_t before = cpu_of(&u);
    OK(setitimer(which, &set, NULL));
    while (!g_signals)
        burn(MS);
    int64_t used = usage(RUSAGE_SELF) - before;
    TRUE(used >= 40 * MS); /* Linux counts these in ticks; by the wall's clock it would be less still */
    await_crowd();
}

CHECK(itimer_prof) {
    profile(ITIMER_PROF, SIGPROF);
}

CHECK(itimer_virtual) {
    profile(ITIMER_VIRTUAL, SIGVTALRM);
}

CHECK(timer_on_the_process_clock) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec set = {.it_value.tv_nsec = 100 * MS};
    timer_t id;

    signal(SIGUSR1, on_signal);
    crowd_behind();
    OK(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &id));
    int64_t before = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    OK(timer_settime(id, 0, &set, NULL));
    while (!g_signals)
        burn(MS);
    TRUE(now_ns(CLOCK_PROCESS_CPUTIME_ID) - before >= 90 * MS);
    await_crowd();
}

static void over_limit(void *unused) {
    struct rlimit limit = {1, 2};

    (void)unused;
    OK(setrlimit(RLIMIT_CPU, &limit));
    for (;;)
        burn_silently();
}

CHECK(cpu_limit) {
    struct rusage u;
    int status;
    pid_t pid = spawn(over_limit, NULL);

    OK(wait4(pid, &status, 0, &u));
    TRUE(WIFSIGNALED(status));
    EQ(WTERMSIG(status), SIGXCPU);
    TRUE(cpu_of(&u) >= 500 * MS);
}
