/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/descriptors.c: descriptor tables, fcntl, locks. Sources: dup(2), fcntl(2), flock(2),
 * close_range(2), ioctl(2).
 */
#include "conform.h"

#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

CHECK(lowest_number_first) {
    int a = OK(open("/dev/null", O_RDONLY)), b = OK(open("/dev/null", O_RDONLY)),
        c = OK(open("/dev/null", O_RDONLY));

    EQ(b, a + 1);
    EQ(c, a + 2);
    close(b);
    EQ(dup(0), b);
    ERR(close(100), EBADF);
    ERR(close(-1), EBADF);
}

CHECK(dup_family) {
    int a = OK(open("/dev/null", O_RDWR | O_CLOEXEC));

    EQ(dup2(a, 50), 50);
    EQ(fcntl(50, F_GETFD), 0);
    EQ(fcntl(a, F_GETFD), FD_CLOEXEC);
    EQ(dup2(a, a), a);
    EQ(fcntl(a, F_GETFD), FD_CLOEXEC);
    EQ(dup3(a, 51, O_CLOEXEC), 51);
    EQ(fcntl(51, F_GETFD), FD_CLOEXEC);
    ERR(dup3(a, a, 0), EINVAL);
    ERR(dup3(a, 52, 1), EINVAL);
    ERR(dup2(99, 53), EBADF);
    ERR(dup2(99, 99), EBADF);
    ERR(dup2(a, -1), EBADF);
    EQ(fcntl(a, F_DUPFD, 60), 60);
    EQ(fcntl(a, F_DUPFD, 60), 61);
    EQ(fcntl(a, F_DUPFD_CLOEXEC, 70), 70);
    EQ(fcntl(70, F_GETFD), FD_CLOEXEC);
    ERR(fcntl(a, F_DUPFD, 1 << 30), EINVAL);
    ERR(fcntl(a, F_DUPFD, -1), EINVAL);
}

CHECK(status_flags) {
    int p[2], d;

    OK(pipe(p));
    EQ(fcntl(p[0], F_GETFL), O_RDONLY);
    EQ(fcntl(p[1], F_GETFL), O_WRONLY);
    OK(fcntl(p[0], F_SETFL, O_NONBLOCK | O_RDWR | O_CREAT));
    EQ(fcntl(p[0], F_GETFL), O_NONBLOCK);
    d = OK(dup(p[0]));
    EQ(fcntl(d, F_GETFL), O_NONBLOCK);
    OK(fcntl(d, F_SETFL, 0));
    EQ(fcntl(p[0], F_GETFL), 0);
    int fd = make_file("f", "");
    EQ(fcntl(fd, F_GETFL) & ~O_CLOEXEC, O_RDWR | 0100000);
    OK(fcntl(fd, F_SETFL, O_APPEND));
    EQ(fcntl(fd, F_GETFL) & (O_APPEND | O_ACCMODE), O_APPEND | O_RDWR);
    int one = 1;
    OK(ioctl(p[0], FIONBIO, &one));
    EQ(fcntl(p[0], F_GETFL), O_NONBLOCK);
    OK(ioctl(fd, FIOCLEX));
    EQ(fcntl(fd, F_GETFD), 1);
    OK(ioctl(fd, FIONCLEX));
    EQ(fcntl(fd, F_GETFD), 0);
    ERR(ioctl(fd, 0x5401, NULL), ENOTTY);
    ERR(fcntl(fd, 9999), EINVAL);
    ERR(fcntl(200, F_GETFD), EBADF);
    int left;
    EQ(write(fd, "abc", 3), 3);
    OK(lseek(fd, 1, SEEK_SET));
    OK(ioctl(fd, FIONREAD, &left));
    EQ(left, 2);
}

CHECK(rlimit_nofile) {
    struct rlimit r;

    OK(getrlimit(RLIMIT_NOFILE, &r));
    r.rlim_cur = 20;
    OK(setrlimit(RLIMIT_NOFILE, &r));
    int n = 0;
    while (dup(0) >= 0)
        n++;
    EQ(errno, EMFILE);
    TRUE(n > 0);
    ERR(open("/dev/null", O_RDONLY), EMFILE);
    ERR(dup2(0, 20), EBADF);
    ERR(fcntl(0, F_DUPFD, 20), EINVAL);
    int p[2];
    ERR(pipe(p), EMFILE);
    close(19);
    ERR(pipe(p), EMFILE);
    EQ(dup(0), 19);
}

CHECK(close_range_call) {
    for (int i = 40; i < 50; i++)
        OK(dup2(0, i));
    OK(syscall(SYS_close_range, 42u, 44u, 0));
    ERR(fcntl(42, F_GETFD), EBADF);
    OK(fcntl(41, F_GETFD));
    OK(fcntl(45, F_GETFD));
    OK(syscall(SYS_close_range, 45u, 46u, 4 /* CLOEXEC */));
    EQ(fcntl(45, F_GETFD), FD_CLOEXEC);
    EQ(fcntl(47, F_GETFD), 0);
    ERR(syscall(SYS_close_range, 5u, 4u, 0), EINVAL);
    ERR(syscall(SYS_close_range, 50u, 60u, 8), EINVAL);
    OK(syscall(SYS_close_range, 47u, ~0u, 0));
    ERR(fcntl(49, F_GETFD), EBADF);
}

static int lock(int fd, int command, short type, off_t start, off_t len) {
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

    return fcntl(fd, command, &l);
}

static void hold_lock(void *arg) {
    int *p = arg;
    int fd = OK(open("f", O_RDWR));
    char c;

    OK(lock(fd, F_SETLK, F_WRLCK, 10, 10));
    EQ(write(p[1], "x", 1), 1);
    EQ(read(p[2], &c, 1), 1);
}

CHECK(posix_locks_between_processes) {
    int p[4], fd = make_file("f", "0123456789012345678901234567890");
    char c;

    OK(pipe(p));
    OK(pipe(p + 2));
    pid_t pid = spawn(hold_lock, p);
    EQ(read(p[0], &c, 1), 1);
    ERR(lock(fd, F_SETLK, F_RDLCK, 15, 1), EAGAIN);
    OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
    OK(lock(fd, F_SETLK, F_WRLCK, 20, 0));
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
    OK(fcntl(fd, F_GETLK, &l));
    EQ(l.l_type, F_WRLCK);
    EQ(l.l_start, 10);
    EQ(l.l_len, 10);
    EQ(l.l_pid, pid);
    /* Waits until the holder ends. */
    EQ(write(p[3], "x", 1), 1);
    OK(lock(fd, F_SETLKW, F_WRLCK, 10, 10));
    EQ(wait_exit(pid), 0);
}

static void try_lock(void *arg) {
    int fd = OK(open("f", O_RDWR));

    _exit(lock(fd, F_SETLK, F_WRLCK, *(int *)arg, 1) == 0 ? 0 : errno == EAGAIN ? 1 : 2);
}

static int other_may_lock(int at) {
    return wait_exit(spawn(try_lock, &at)) == 0;
}

CHECK(posix_locks_merge_and_split) {
    int fd = make_file("f", "x");

    OK(lock(fd, F_SETLK, F_WRLCK, 0, 30));
    OK(lock(fd, F_SETLK, F_UNLCK, 10, 10));
    TRUE(!other_may_lock(9));
    TRUE(other_may_lock(10));
    TRUE(other_may_lock(19));
    TRUE(!other_may_lock(20));
    OK(lock(fd, F_SETLK, F_RDLCK, 25, 5));
    TRUE(!other_may_lock(27));
    /* Closing any descriptor of the file drops the process's locks. */
    close(OK(open("f", O_RDONLY)));
    TRUE(other_may_lock(5));
    int r = OK(open("f", O_RDONLY));
    ERR(lock(r, F_SETLK, F_WRLCK, 0, 1), EBADF);
    int w = OK(open("f", O_WRONLY));
    ERR(lock(w, F_SETLK, F_RDLCK, 0, 1), EBADF);
    ERR(lock(fd, F_SETLK, F_WRLCK, -1, 1), EINVAL);
    ERR(lock(fd, F_SETLK, 9, 0, 1), EINVAL);
    OK(lock(fd, F_SETLK, F_WRLCK, 10, -5));
    TRUE(!other_may_lock(5));
    TRUE(other_may_lock(4));
    TRUE(other_may_lock(10));
}

static void wait_for_b(void *arg) {
    int *p = arg;
    int fd = OK(open("f", O_RDWR));

    OK(lock(fd, F_SETLK, F_WRLCK, 1, 1));
    EQ(write(p[1], "x", 1), 1);
    OK(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
}

CHECK(posix_locks_deadlock) {
    int p[2], fd = make_file("f", "x");
    char c;

    OK(pipe(p));
    OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
    pid_t pid = spawn(wait_for_b, p);
    EQ(read(p[0], &c, 1), 1);
    WAIT_UNTIL(process_state(pid) == 'S');
    sleep_ms(50);
    ERR(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
    OK(lock(fd, F_SETLK, F_UNLCK, 0, 1));
    EQ(wait_exit(pid), 0);
}

static void on_alarm(int signo) {
    (void)signo;
}

CHECK(lock_wait_is_interrupted) {
    int p[4], fd = make_file("f", "x");
    char c;

    OK(pipe(p));
    OK(pipe(p + 2));
    pid_t pid = spawn(hold_lock, p);
    EQ(read(p[0], &c, 1), 1);
    struct sigaction sa = {.sa_handler = on_alarm};
    OK(sigaction(SIGALRM, &sa, NULL));
    struct itimerval t = {.it_value.tv_usec = 50000};
    OK(setitimer(ITIMER_REAL, &t, NULL));
    ERR(lock(fd, F_SETLKW, F_WRLCK, 10, 1), EINTR);
    EQ(write(p[3], "x", 1), 1);
    EQ(wait_exit(pid), 0);
}

CHECK(ofd_locks_belong_to_the_open_file) {
    int a = make_file("f", "x"), b = OK(open("f", O_RDWR)), d = OK(dup(a));

    OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
    ERR(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
    OK(lock(d, F_OFD_SETLK, F_WRLCK, 5, 1));
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    OK(fcntl(b, F_OFD_GETLK, &l));
    EQ(l.l_type, F_WRLCK);
    EQ(l.l_pid, -1);
    close(a);
    ERR(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
    close(d);
    OK(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1));
    /* OFD and POSIX locks conflict with each other, even within a process. */
    ERR(lock(OK(open("f", O_RDWR)), F_SETLK, F_WRLCK, 5, 1), EAGAIN);
    struct flock bad = {.l_type = F_WRLCK, .l_pid = 1};
    ERR(fcntl(b, F_OFD_SETLK, &bad), EINVAL);
}

CHECK(flock_rules) {
    int a = make_file("f", "x"), b = OK(open("f", O_RDONLY)), d = OK(dup(a));

    OK(flock(a, LOCK_EX));
    ERR(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    OK(flock(d, LOCK_SH));
    OK(flock(b, LOCK_SH | LOCK_NB));
    ERR(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    OK(flock(b, LOCK_UN));
    OK(flock(a, LOCK_EX | LOCK_NB));
    pid_t pid = fork();
    if (pid == 0) {
        /* The child's descriptors name the same open file: unlocking there unlocks here. */
        OK(flock(a, LOCK_UN));
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    OK(flock(b, LOCK_EX | LOCK_NB));
    ERR(flock(a, 0), EINVAL);
    ERR(flock(-1, LOCK_SH), EBADF);
    /* flock and fcntl locks do not see each other. */
    OK(lock(a, F_SETLK, F_WRLCK, 0, 0));
}

/* What /proc/locks says of a file: without numbers, owners' as "me", those of one kind (lines come in no
 * order). */
static void show_locks(int fd, const char *which) {
    FILE *f = OKP(fopen("/proc/locks", "r"));
    char line[256], kind[16], mode[16], type[16], start[32], end[32];
    unsigned major, minor;
    unsigned long ino;
    struct stat st;
    int pid;

    OK(fstat(fd, &st));
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%*d: %15s %15s %15s %d %x:%x:%lu %31s %31s", kind, mode, type, &pid, &major, &minor,
                   &ino, start, end) == 9 &&
            ino == st.st_ino && strcmp(kind, which) == 0)
            printf("%s %s %s %s %s %s\n", kind, mode, type,
                   pid == getpid() ? "me"
                   : pid == -1     ? "-1"
                                   : "?",
                   start, end);
    }
    fclose(f);
}

CHECK(locks_are_listed) {
    int fd = make_file("f", "0123456789"), other = OK(open("f", O_RDWR));
    struct flock l = {.l_type = F_WRLCK, .l_start = 2, .l_len = 3};

    OK(fcntl(fd, F_SETLK, &l));
    show_locks(fd, "POSIX");
    l = (struct flock){.l_type = F_RDLCK, .l_start = 7};
    OK(fcntl(other, F_OFD_SETLK, &l));
    show_locks(fd, "OFDLCK");
    l = (struct flock){.l_type = F_UNLCK};
    OK(fcntl(fd, F_SETLK, &l));
    OK(flock(fd, LOCK_SH));
    show_locks(fd, "POSIX");
    show_locks(fd, "FLOCK");
    show_locks(fd, "OFDLCK");
    close(other);
    OK(flock(fd, LOCK_UN));
    show_locks(fd, "OFDLCK");
    show_locks(fd, "FLOCK");
}

CHECK(owner_and_signal_of_a_descriptor) {
    int p[2];

    OK(pipe(p));
    EQ(fcntl(p[0], F_GETOWN), 0);
    OK(fcntl(p[0], F_SETOWN, getpid()));
    EQ(fcntl(p[0], F_GETOWN), getpid());
    OK(fcntl(p[0], F_SETOWN, -getpgrp()));
    EQ(fcntl(p[0], F_GETOWN), -getpgrp());
    EQ(fcntl(p[0], F_GETSIG), 0);
    OK(fcntl(p[0], F_SETSIG, SIGUSR1));
    EQ(fcntl(p[0], F_GETSIG), SIGUSR1);
    ERR(fcntl(p[0], F_SETSIG, 100), EINVAL);
}
