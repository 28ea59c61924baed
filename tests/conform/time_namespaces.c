/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/time_namespaces.c: CLONE_NEWTIME and what it shifts. Sources: time_namespaces(7), unshare(2),
 * setns(2), clock_gettime(2), timer_settime(2), timerfd_create(2), futex(2).
 */
#include "conform.h"

#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

enum { DAY = 86400, LEEWAY = 600 };

/* In a user namespace of its own, whose time namespaces it may set. */
static void begin(void) {
    if (!is_root())
        check_skip("needs root");
    OK(unshare(CLONE_NEWUSER));
    if (access("/proc/self/ns/time", F_OK) != 0)
        check_skip("the kernel has no time namespaces");
}

static int write_offsets(const char *text) {
    int fd = OK(open("/proc/self/timens_offsets", O_WRONLY));
    ssize_t n = write(fd, text, strlen(text));
    int err = errno;

    close(fd);
    errno = err;
    return n < 0 ? -1 : (int)n;
}

static bool same_ns(const char *a, const char *b) {
    struct stat x, y;

    OK(stat(a, &x));
    OK(stat(b, &y));
    return x.st_ino == y.st_ino;
}

static int64_t by_call(clockid_t id) {
    struct timespec ts;

    OK(syscall(SYS_clock_gettime, id, &ts));
    return ts.tv_sec;
}

static int64_t by_libc(clockid_t id) {
    struct timespec ts;

    OK(clock_gettime(id, &ts));
    return ts.tv_sec;
}

static bool near(int64_t a, int64_t b) {
    return a - b < LEEWAY && b - a < LEEWAY;
}

struct outside {
    int64_t monotonic, boottime, realtime, start;
};

static int64_t start_ticks(void) {
    char text[1024], *p = strrchr(get_file("/proc/self/stat", text, sizeof text), ')');
    unsigned long long start;

    EQ(sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
              &start),
       1);
    return (int64_t)start / sysconf(_SC_CLK_TCK);
}

static double uptime(void) {
    char text[128];

    return atof(get_file("/proc/uptime", text, sizeof text));
}

static void enter(const char *offsets) {
    OK(unshare(CLONE_NEWTIME));
    EQ(OK(write_offsets(offsets)), (int)strlen(offsets));
}

CHECK(offsets_file) {
    char text[256];

    begin();
    STREQ(get_file("/proc/self/timens_offsets", text, sizeof text),
          "monotonic           0         0\nboottime            0         0\n");
    EQ(write_offsets("monotonic 1 0\n"), -1); /* the first namespace's never change */
    TRUE(same_ns("/proc/self/ns/time", "/proc/self/ns/time_for_children"));
    OK(unshare(CLONE_NEWTIME));
    TRUE(!same_ns("/proc/self/ns/time", "/proc/self/ns/time_for_children"));
    EQ(OK(write_offsets("monotonic 86400 5\nboottime 172800 7\n")), 36);
    STREQ(get_file("/proc/self/timens_offsets", text, sizeof text),
          "monotonic       86400         5\nboottime       172800         7\n");
    EQ(OK(write_offsets("7 -1 500000000")), 14);
    EQ(OK(write_offsets("1 3 0\n")), 6);
    STREQ(get_file("/proc/self/timens_offsets", text, sizeof text),
          "monotonic           3         0\nboottime           -1 500000000\n");
    ERR(write_offsets("realtime 1 0\n"), EINVAL);
    ERR(write_offsets("0 1 0\n"), EINVAL);
    ERR(write_offsets("monotonic 1\n"), EINVAL);
    ERR(write_offsets("monotonic 1 1000000000\n"), EINVAL);
    ERR(write_offsets("monotonic 1 0\nboottime x 0\n"), EINVAL);
    ERR(write_offsets("monotonic -4000000000 0\n"), ERANGE);
    ERR(write_offsets("boottime 9223372036 0\n"), ERANGE);
    EQ(OK(write_offsets("monotonic 4 0\nboottime 5 0\nmonotonic 6 0\n")), 27); /* two are taken */
    STREQ(get_file("/proc/self/timens_offsets", text, sizeof text),
          "monotonic           4         0\nboottime            5         0\n");
}

static void nothing(void *unused) {
    (void)unused;
}

CHECK(frozen_by_the_first_child) {
    begin();
    enter("monotonic 10 0\n");
    EQ(wait_exit(spawn(nothing, NULL)), 0);
    ERR(write_offsets("monotonic 11 0\n"), EACCES);
}

CHECK(needs_capabilities) {
    begin();
    OK(unshare(CLONE_NEWTIME));
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}};
    OK(syscall(SYS_capset, &head, none));
    ERR(unshare(CLONE_NEWTIME), EPERM);
    ERR(setns(OK(open("/proc/self/ns/time_for_children", O_RDONLY)), CLONE_NEWTIME), EPERM);
    ERR(write_offsets("monotonic 1 0\n"), EPERM);
}

static void see_clocks(void *p) {
    const struct outside *o = p;
    struct sysinfo info;

    TRUE(same_ns("/proc/self/ns/time", "/proc/self/ns/time_for_children"));
    TRUE(near(by_call(CLOCK_MONOTONIC), o->monotonic + 10 * DAY));
    TRUE(near(by_libc(CLOCK_MONOTONIC), o->monotonic + 10 * DAY));
    TRUE(near(by_libc(CLOCK_MONOTONIC_RAW), o->monotonic + 10 * DAY));
    TRUE(near(by_libc(CLOCK_MONOTONIC_COARSE), o->monotonic + 10 * DAY));
    TRUE(near(by_call(CLOCK_BOOTTIME), o->boottime + 20 * DAY));
    TRUE(near(by_libc(CLOCK_BOOTTIME), o->boottime + 20 * DAY));
    TRUE(near(by_libc(CLOCK_REALTIME), o->realtime));
    TRUE(near(time(NULL), o->realtime));
    TRUE(near((int64_t)uptime(), o->boottime + 20 * DAY));
    OK(sysinfo(&info));
    TRUE(near(info.uptime, o->boottime + 20 * DAY));
    TRUE(near(start_ticks(), o->start + 20 * DAY));
}

static struct outside look(void) {
    return (struct outside){by_libc(CLOCK_MONOTONIC), by_libc(CLOCK_BOOTTIME), by_libc(CLOCK_REALTIME),
                            start_ticks()};
}

CHECK(a_forked_child_is_inside) {
    begin();
    struct outside o = look();
    enter("monotonic 864000 0\nboottime 1728000 0\n");
    TRUE(near(by_libc(CLOCK_MONOTONIC), o.monotonic)); /* not so the caller itself */
    EQ(wait_exit(spawn(see_clocks, &o)), 0);
    TRUE(near(by_libc(CLOCK_MONOTONIC), o.monotonic));
}

static void *thread_sees(void *p) {
    const struct outside *o = p;

    TRUE(near(by_libc(CLOCK_MONOTONIC), o->monotonic));
    TRUE(!same_ns("/proc/thread-self/ns/time", "/proc/thread-self/ns/time_for_children"));
    return NULL;
}

CHECK(a_thread_is_not) {
    pthread_t th;

    begin();
    struct outside o = look();
    enter("monotonic 864000 0\n");
    EQ(pthread_create(&th, NULL, thread_sees, &o), 0);
    EQ(pthread_join(th, NULL), 0);
}

static void exec_and_look(void *unused) {
    (void)unused;
    execl("/bin/sh", "sh", "-c",
          "read up rest < /proc/uptime; a=$(readlink /proc/self/ns/time); b=$(readlink "
          "/proc/self/ns/time_for_children); [ ${up%.*} -gt 1728000 ] && [ $a = $b ]",
          NULL);
}

CHECK(execve_enters) {
    begin();
    enter("monotonic 864000 0\nboottime 1728000 0\n");
    /* vfork: the child shares memory, and so is outside until it execs */
    pid_t pid = vfork();
    if (pid == 0) {
        exec_and_look(NULL);
        _exit(3);
    }
    EQ(wait_exit(pid), 0);
    EQ(wait_exit(spawn(exec_and_look, NULL)), 0);
    exec_and_look(NULL);
}

static void in_new_one(void *unused) {
    struct clone_args a = {.flags = CLONE_NEWTIME, .exit_signal = SIGCHLD};

    (void)unused;
    int64_t before = by_libc(CLOCK_MONOTONIC);
    pid_t pid = (pid_t)OK(syscall(SYS_clone3, &a, sizeof a));
    if (pid == 0) {
        bool good = same_ns("/proc/self/ns/time", "/proc/self/ns/time_for_children") &&
                    near(by_libc(CLOCK_MONOTONIC), before);
        _exit(good ? 0 : 9);
    }
    EQ(wait_exit(pid), 0);
}

CHECK(clone3_makes_one) {
    begin();
    in_new_one(NULL);
    enter("monotonic 864000 0\n"); /* one inside has the same offsets */
    EQ(wait_exit(spawn(in_new_one, NULL)), 0);
}

static void enter_and_leave(void *unused) {
    (void)unused;
    struct outside o = look();
    int own = OK(open("/proc/self/ns/time", O_RDONLY));
    enter("monotonic 864000 0\nboottime 1728000 0\n");
    int other = OK(open("/proc/self/ns/time_for_children", O_RDONLY));
    ERR(setns(other, CLONE_NEWUTS), EINVAL);
    OK(setns(other, CLONE_NEWTIME));
    see_clocks(&o);
    OK(setns(own, 0));
    TRUE(near(by_libc(CLOCK_MONOTONIC), o.monotonic));
    TRUE(near(by_call(CLOCK_BOOTTIME), o.boottime));
    EQ(wait_exit(spawn(nothing, NULL)), 0);
}

CHECK(setns_enters_at_once) {
    begin();
    OK(unshare(CLONE_NEWTIME)); /* the child may come back to this one */
    EQ(wait_exit(spawn(enter_and_leave, NULL)), 0);
}

static void *joins(void *fd) {
    ERR(setns(*(int *)fd, CLONE_NEWTIME), EUSERS);
    return NULL;
}

CHECK(setns_of_one_of_several_threads) {
    pthread_t th;

    begin();
    OK(unshare(CLONE_NEWTIME));
    int other = OK(open("/proc/self/ns/time_for_children", O_RDONLY));
    EQ(pthread_create(&th, NULL, joins, &other), 0);
    EQ(pthread_join(th, NULL), 0);
}

static void absolute_times(void *unused) {
    struct timespec past, now, soon, left;
    int word = 0;

    (void)unused;
    /* An hour ago inside is days ahead outside. */
    OK(clock_gettime(CLOCK_MONOTONIC, &now));
    past = now;
    past.tv_sec -= 3600;
    EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL), 0);
    soon = now;
    soon.tv_nsec += 20000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &soon, NULL), 0);
    OK(clock_gettime(CLOCK_MONOTONIC, &now));
    TRUE(now.tv_sec > soon.tv_sec || (now.tv_sec == soon.tv_sec && now.tv_nsec >= soon.tv_nsec));

    ERR(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &past, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);

    int fd = OK(timerfd_create(CLOCK_BOOTTIME, 0));
    struct itimerspec set = {.it_value.tv_sec = by_libc(CLOCK_BOOTTIME) - 1}, got;
    OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &set, NULL));
    uint64_t ticks;
    EQ(read(fd, &ticks, sizeof ticks), sizeof ticks);
    EQ(ticks, 1);
    set.it_value.tv_sec = by_libc(CLOCK_BOOTTIME) + 5000;
    OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &set, NULL));
    OK(timerfd_gettime(fd, &got));
    TRUE(near(got.it_value.tv_sec, 5000));

    timer_t id;
    struct sigevent none = {.sigev_notify = SIGEV_NONE};
    OK(timer_create(CLOCK_MONOTONIC, &none, &id));
    set.it_value.tv_sec = by_libc(CLOCK_MONOTONIC) + 5000;
    OK(timer_settime(id, TIMER_ABSTIME, &set, NULL));
    OK(timer_gettime(id, &got));
    TRUE(near(got.it_value.tv_sec, 5000));
    left = got.it_value;
    TRUE(left.tv_sec > 0);
}

CHECK(absolute_deadlines) {
    begin();
    enter("monotonic 864000 0\nboottime 1728000 0\n");
    EQ(wait_exit(spawn(absolute_times, NULL)), 0);
}

CHECK(behind_the_first_one) {
    char text[64];

    begin();
    /* A clock may be put back, not before its start. */
    snprintf(text, sizeof text, "monotonic -%lld 0\n", (long long)by_libc(CLOCK_MONOTONIC) - 5);
    enter(text);
    pid_t pid = fork();
    if (pid == 0)
        _exit(by_libc(CLOCK_MONOTONIC) < LEEWAY ? 0 : 9);
    EQ(wait_exit(pid), 0);
}
