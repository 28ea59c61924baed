/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/pidfds.c: pidfds of threads, and what pidfd_send_signal takes. Sources: pidfd_open(2),
 * pidfd_send_signal(2).
 */
#include "conform.h"

enum { THREAD = O_EXCL, TO_THREAD = 1, TO_PROCESS = 2, TO_GROUP = 4 };

static _Atomic int g_tid, g_leave, g_handled_by;

static void *stay(void *arg) {
    g_tid = gettid();
    while (!g_leave)
        sleep_ms(1);
    return arg;
}

static long send_signal(int fd, int signo, unsigned flags) {
    return syscall(SYS_pidfd_send_signal, fd, signo, NULL, flags);
}

static void on_signal(int n) {
    (void)n;
    g_handled_by = gettid();
}

CHECK(of_a_thread) {
    pthread_t t;

    EQ(pthread_create(&t, NULL, stay, NULL), 0);
    WAIT_UNTIL(g_tid != 0);
    if (syscall(SYS_pidfd_open, getpid(), THREAD) < 0 && errno == EINVAL)
        check_skip("PIDFD_THREAD: EINVAL");
    ERR((int)syscall(SYS_pidfd_open, g_tid, 0), ENOENT);
    ERR((int)syscall(SYS_pidfd_open, g_tid, THREAD | 1), EINVAL);
    int fd = OK(syscall(SYS_pidfd_open, g_tid, THREAD));
    EQ(fcntl(fd, F_GETFL) & THREAD, THREAD);
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    OK(signal(SIGUSR1, on_signal) == SIG_ERR ? -1 : 0);
    OK(send_signal(fd, SIGUSR1, 0));
    WAIT_UNTIL(g_handled_by == g_tid);
    OK(send_signal(fd, 0, TO_PROCESS));
    ERR(send_signal(fd, 0, TO_GROUP), ESRCH);
    ERR(send_signal(fd, 0, TO_THREAD | TO_PROCESS), EINVAL);
    ERR(send_signal(fd, 0, 8), EINVAL);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    EQ(poll(&p, 1, 0), 0);
    g_leave = 1;
    EQ(poll(&p, 1, 5000), 1);
    EQ(pthread_join(t, NULL), 0);
    WAIT_UNTIL(send_signal(fd, 0, 0) < 0);
    EQ(errno, ESRCH);
    EQ(poll(&p, 1, 0), 1);
    EQ(p.revents, POLLIN | POLLHUP);
}

CHECK(of_a_process) {
    int fd = OK(syscall(SYS_pidfd_open, getpid(), 0));

    OK(send_signal(fd, 0, TO_PROCESS));
    OK(signal(SIGUSR1, on_signal) == SIG_ERR ? -1 : 0);
    OK(send_signal(fd, SIGUSR1, TO_THREAD));
    EQ(g_handled_by, gettid());
    OK(setpgid(0, 0));
    g_handled_by = 0;
    OK(send_signal(fd, SIGUSR1, TO_GROUP));
    EQ(g_handled_by, gettid());
}

CHECK(a_directory_of_proc_serves) {
    char name[64];
    int fd = OK(open("/proc/self", O_RDONLY | O_DIRECTORY));

    OK(signal(SIGUSR1, on_signal) == SIG_ERR ? -1 : 0);
    OK(send_signal(fd, SIGUSR1, 0));
    EQ(g_handled_by, gettid());
    ERR(syscall(SYS_pidfd_getfd, fd, 0, 0), EBADF);
    ERR(send_signal(OK(open("/proc/self/task", O_RDONLY)), 0, 0), EBADF);
    snprintf(name, sizeof name, "/proc/self/task/%d", getpid());
    ERR(send_signal(OK(open(name, O_RDONLY)), 0, 0), EBADF);
    ERR(send_signal(OK(open("/proc", O_RDONLY)), 0, 0), EBADF);
    ERR(send_signal(0, 0, 0), EBADF);
    ERR(send_signal(99, 0, 0), EBADF);
}
