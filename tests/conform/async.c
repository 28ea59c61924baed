/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/async.c: being told by a signal: O_ASYNC, F_SETOWN, F_SETSIG, dnotify, leases; write hints
 * and F_DUPFD_QUERY.
 */
#include "conform.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY 1027
#endif

static volatile sig_atomic_t g_count, g_signo, g_code, g_fd;

static void on_signal(int signo, siginfo_t *info, void *context) {
    (void)context;
    g_count++;
    g_signo = signo;
    g_code = info->si_code;
    g_fd = info->si_fd;
}

static void catch (int signo) {
    struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};

    OK(sigaction(signo, &a, NULL));
}

CHECK(sigio_of_pipes) {
    int p[2];

    catch (SIGIO);
    OK(pipe(p));
    OK(fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK));
    EQ(fcntl(p[0], F_GETFL) & O_ASYNC, O_ASYNC);
    EQ(OK(write(p[1], "a", 1)), 1);
    sleep_ms(20);
    EQ(g_count, 0); /* nobody owns it */
    OK(fcntl(p[0], F_SETOWN, getpid()));
    EQ(fcntl(p[0], F_GETOWN), getpid());
    char c;
    OK(read(p[0], &c, 1));
    OK(write(p[1], "a", 1));
    WAIT_UNTIL(g_count == 1);
    EQ(g_signo, SIGIO);
    OK(fcntl(p[0], F_SETFL, 0));
    OK(read(p[0], &c, 1));
    OK(write(p[1], "a", 1));
    sleep_ms(20);
    EQ(g_count, 1);
}

CHECK(signal_of_ones_own) {
    int p[2];

    catch (SIGRTMIN + 3);
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
    OK(fcntl(p[0], F_SETSIG, SIGRTMIN + 3));
    EQ(fcntl(p[0], F_GETSIG), SIGRTMIN + 3);
    OK(fcntl(p[0], F_SETOWN, getpid()));
    int on = 1;
    OK(ioctl(p[0], FIOASYNC, &on));
    OK(write(p[1], "a", 1));
    WAIT_UNTIL(g_count >= 1);
    EQ(g_signo, SIGRTMIN + 3);
    EQ(g_fd, p[0]);
    EQ(g_code == POLL_IN || g_code == POLL_OUT, 1);
    ERR(fcntl(p[0], F_SETSIG, 65), EINVAL);
    ERR(fcntl(p[0], F_SETSIG, -1), EINVAL);
}

CHECK(owners) {
    struct f_owner_ex ex = {F_OWNER_TID, 0};
    int p[2];

    OK(pipe(p));
    EQ(fcntl(p[0], F_GETOWN), 0);
    ERR(fcntl(p[0], F_SETOWN, 99999999), ESRCH);
    ex.pid = (int)syscall(SYS_gettid);
    OK(fcntl(p[0], F_SETOWN_EX, &ex));
    ex = (struct f_owner_ex){9, 9};
    OK(fcntl(p[0], F_GETOWN_EX, &ex));
    EQ(ex.type, F_OWNER_TID);
    EQ(ex.pid, (int)syscall(SYS_gettid));
    ex.type = 7;
    ERR(fcntl(p[0], F_SETOWN_EX, &ex), EINVAL);
    OK(fcntl(p[0], F_SETOWN, -getpgrp()));
    OK(fcntl(p[0], F_GETOWN_EX, &ex));
    EQ(ex.type, F_OWNER_PGRP);
    unsigned ids[2] = {7, 7};
    OK(fcntl(p[0], 17 /* F_GETOWNER_UIDS */, ids));
    EQ(ids[0], getuid());
    EQ(ids[1], geteuid());
}

CHECK(regular_files_send_nothing) {
    int fd = OK(open("f", O_CREAT | O_RDWR, 0600)), on = 1;

    OK(fcntl(fd, F_SETFL, O_ASYNC));
    EQ(fcntl(fd, F_GETFL) & O_ASYNC, 0);
    ERR(ioctl(fd, FIOASYNC, &on), ENOTTY);
}

CHECK(dnotify) {
    catch (SIGRTMIN + 1);
    OK(mkdir("d", 0755));
    int fd = OK(open("d", O_RDONLY));
    OK(fcntl(fd, F_SETSIG, SIGRTMIN + 1));
    OK(fcntl(fd, F_NOTIFY, DN_CREATE | DN_DELETE | DN_MULTISHOT));
    put_file("d/f", "");
    WAIT_UNTIL(g_count == 1);
    EQ(g_fd, fd);
    OK(chmod("d/f", 0600));
    sleep_ms(20);
    EQ(g_count, 1);
    OK(unlink("d/f"));
    WAIT_UNTIL(g_count == 2);
    OK(fcntl(fd, F_NOTIFY, 0));
    put_file("d/g", "");
    sleep_ms(20);
    EQ(g_count, 2);
    OK(fcntl(fd, F_NOTIFY, DN_CREATE)); /* once */
    put_file("d/h", "");
    WAIT_UNTIL(g_count == 3);
    put_file("d/i", "");
    sleep_ms(20);
    EQ(g_count, 3);
    int f = OK(open("d/f", O_CREAT | O_RDWR, 0600));
    ERR(fcntl(f, F_NOTIFY, DN_CREATE), ENOTDIR);
}

CHECK(leases) {
    catch (SIGIO);
    put_file("f", "x");
    int fd = OK(open("f", O_RDONLY)), p[2];
    EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
    ERR(fcntl(fd, F_SETLEASE, F_UNLCK), EAGAIN);
    ERR(fcntl(fd, F_SETLEASE, 5), EINVAL);
    OK(fcntl(fd, F_SETLEASE, F_RDLCK));
    EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
    int other = OK(open("f", O_RDONLY)); /* no conflict */
    ERR(fcntl(fd, F_SETLEASE, F_WRLCK), EAGAIN);
    close(other);
    ERR(open("f", O_RDWR | O_NONBLOCK), EAGAIN);
    WAIT_UNTIL(g_count == 1);
    EQ(g_signo, SIGIO);
    EQ(fcntl(fd, F_GETLEASE), F_UNLCK); /* what it must become */
    OK(fcntl(fd, F_SETLEASE, F_UNLCK));
    other = OK(open("f", O_RDWR | O_NONBLOCK));
    ERR(fcntl(fd, F_SETLEASE, F_RDLCK), EAGAIN);
    close(other);
    OK(fcntl(fd, F_SETLEASE, F_WRLCK));
    OK(pipe(p));
    pid_t pid = OK(fork());
    if (pid == 0) {
        int opened = OK(open("f", O_RDONLY)); /* waits for the holder */
        OK(write(p[1], "x", 1));
        close(opened);
        _exit(0);
    }
    WAIT_UNTIL(g_count == 2);
    EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
    struct pollfd poller = {.fd = p[0], .events = POLLIN};
    EQ(OK(poll(&poller, 1, 20)), 0);
    OK(fcntl(fd, F_SETLEASE, F_RDLCK));
    EQ(OK(poll(&poller, 1, 5000)), 1);
    EQ(wait_exit(pid), 0);
    OK(pipe(p));
    ERR(fcntl(p[0], F_SETLEASE, F_RDLCK), EINVAL);
    become_nobody();
    ERR(fcntl(fd, F_SETLEASE, F_RDLCK), EACCES);
}

CHECK(hints_and_queries) {
    int fd = OK(open("f", O_CREAT | O_RDWR, 0600)), same = OK(dup(fd)), other = OK(open("f", O_RDWR));
    uint64_t hint = 9;

    OK(fcntl(fd, F_GET_RW_HINT, &hint));
    EQ(hint, 0);
    hint = 3;
    OK(fcntl(fd, F_SET_RW_HINT, &hint));
    hint = 0;
    OK(fcntl(other, F_GET_RW_HINT, &hint));
    EQ(hint, 3);
    hint = 77;
    ERR(fcntl(fd, F_SET_RW_HINT, &hint), EINVAL);
    errno = 0;
    if (fcntl(fd, F_DUPFD_QUERY, fd) < 0)
        check_skip("no F_DUPFD_QUERY");
    EQ(fcntl(fd, F_DUPFD_QUERY, same), 1);
    EQ(fcntl(fd, F_DUPFD_QUERY, other), 0);
    ERR(fcntl(fd, F_DUPFD_QUERY, 99), EBADF);
}
