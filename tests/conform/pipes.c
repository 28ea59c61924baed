/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/pipes.c: pipes and FIFOs: blocking, end of file, SIGPIPE, atomicity, splice, tee. Sources:
 * pipe(7), fifo(7), splice(2), tee(2), fcntl(2) F_SETPIPE_SZ.
 */
#include "conform.h"

#include <sys/ioctl.h>

static short ready(int fd, short events) {
    struct pollfd p = {fd, events, 0};

    OK(poll(&p, 1, 0));
    return p.revents;
}

CHECK(bytes_in_order_and_end_of_file) {
    int p[2];
    char b[16];

    OK(pipe(p));
    EQ(write(p[1], "abc", 3), 3);
    EQ(write(p[1], "def", 3), 3);
    EQ(read(p[0], b, 4), 4);
    MEMEQ(b, "abcd", 4);
    close(p[1]);
    EQ(read(p[0], b, 16), 2);
    EQ(read(p[0], b, 16), 0);
    EQ(read(p[0], b, 16), 0);
    ERR(write(p[0], b, 1), EBADF);
}

static volatile sig_atomic_t g_pipes;
static void on_pipe(int signo) {
    (void)signo;
    g_pipes++;
}

CHECK(broken_pipe) {
    int p[2];

    OK(pipe(p));
    signal(SIGPIPE, on_pipe);
    close(p[0]);
    ERR(write(p[1], "x", 1), EPIPE);
    EQ(g_pipes, 1);
    signal(SIGPIPE, SIG_IGN);
    ERR(write(p[1], "x", 1), EPIPE);
    EQ(write(p[1], "x", 0), 0);
    signal(SIGPIPE, SIG_DFL);
    pid_t pid = fork();
    if (pid == 0) {
        write(p[1], "x", 1);
        _exit(0);
    }
    int status = wait_status(pid);
    TRUE(WIFSIGNALED(status));
    EQ(WTERMSIG(status), SIGPIPE);
}

CHECK(nonblocking_capacity) {
    static char b[65536];
    int p[2];
    size_t total = 0;
    ssize_t n;

    OK(pipe2(p, O_NONBLOCK | O_CLOEXEC));
    EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
    ERR(read(p[0], b, 1), EAGAIN);
    while ((n = write(p[1], b, 4096)) > 0)
        total += (size_t)n;
    EQ(errno, EAGAIN);
    EQ(total, 65536);
    ERR(write(p[1], b, 1), EAGAIN);
    EQ(read(p[0], b, 100), 100);
    ERR(write(p[1], b, 4096), EAGAIN); /* PIPE_BUF is all or nothing */
    int queued;
    OK(ioctl(p[0], FIONREAD, &queued));
    EQ(queued, 65436);
    EQ(read(p[0], b, 3996), 3996);
    EQ(write(p[1], b, 4096), 4096);
    ERR(pipe2(p, 1), EINVAL);
}

CHECK(partial_nonblocking_write) {
    static char b[100000];
    int p[2];

    OK(pipe2(p, O_NONBLOCK));
    EQ(write(p[1], b, sizeof b), 65536);
    ERR(write(p[1], b, sizeof b), EAGAIN);
    EQ(read(p[0], b, 8192), 8192);
    EQ(write(p[1], b, sizeof b), 8192);
}

CHECK(poll_states) {
    static char b[65536];
    int p[2];

    OK(pipe2(p, O_NONBLOCK));
    EQ(ready(p[0], POLLIN), 0);
    EQ(ready(p[1], POLLOUT), POLLOUT);
    EQ(write(p[1], b, 65536), 65536);
    EQ(ready(p[1], POLLOUT), 0);
    EQ(ready(p[0], POLLIN), POLLIN);
    EQ(read(p[0], b, 1), 1);
    EQ(ready(p[1], POLLOUT), 0);
    EQ(read(p[0], b, 4096), 4096);
    EQ(ready(p[1], POLLOUT), POLLOUT);
    close(p[1]);
    EQ(ready(p[0], POLLIN), POLLIN | POLLHUP);
    EQ(read(p[0], b, 65536), 61439);
    EQ(ready(p[0], POLLIN), POLLHUP);
    OK(pipe(p));
    close(p[0]);
    EQ(ready(p[1], POLLOUT), POLLOUT | POLLERR);
}

static void write_later(void *arg) {
    sleep_ms(50);
    EQ(write(*(int *)arg, "late", 4), 4);
}

CHECK(blocking_read_waits) {
    int p[2];
    char b[8];

    OK(pipe(p));
    pid_t pid = spawn(write_later, &p[1]);
    EQ(read(p[0], b, sizeof b), 4);
    EQ(wait_exit(pid), 0);
}

static void drain(void *arg) {
    int *p = arg;
    char b[5000];
    size_t total = 0;
    ssize_t n;

    close(p[1]);
    while ((n = read(p[0], b, sizeof b)) > 0)
        for (ssize_t i = 0; i < n; i++, total++)
            EQ((unsigned char)b[i], total % 251);
    EQ(total, 1000000);
}

CHECK(blocking_write_of_much) {
    static char b[1000000];
    int p[2];

    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (char)(i % 251);
    OK(pipe(p));
    pid_t pid = spawn(drain, p);
    close(p[0]);
    EQ(write(p[1], b, sizeof b), sizeof b);
    close(p[1]);
    EQ(wait_exit(pid), 0);
}

static void write_lines(void *arg) {
    char line[512];
    int *p = arg;

    memset(line, 'a' + p[2], sizeof line);
    for (int i = 0; i < 200; i++)
        EQ(write(p[1], line, sizeof line), sizeof line);
}

CHECK(small_writes_are_atomic) {
    int p[3];
    char line[512];
    pid_t pids[4];

    OK(pipe(p));
    for (p[2] = 0; p[2] < 4; p[2]++)
        pids[p[2]] = spawn(write_lines, p);
    close(p[1]);
    for (int i = 0; i < 800; i++) {
        for (size_t n = 0; n < sizeof line;)
            n += (size_t)OK(read(p[0], line + n, sizeof line - n));
        for (size_t n = 1; n < sizeof line; n++)
            EQ(line[n], line[0]);
    }
    EQ(read(p[0], line, 1), 0);
    for (int i = 0; i < 4; i++)
        EQ(wait_exit(pids[i]), 0);
}

static void on_alarm(int signo) {
    (void)signo;
}

CHECK(interrupted_read_and_write) {
    static char b[100000];
    int p[2];
    struct sigaction sa = {.sa_handler = on_alarm};
    struct itimerval t = {.it_value.tv_usec = 50000};

    OK(pipe(p));
    OK(sigaction(SIGALRM, &sa, NULL));
    OK(setitimer(ITIMER_REAL, &t, NULL));
    ERR(read(p[0], b, 1), EINTR);
    OK(setitimer(ITIMER_REAL, &t, NULL));
    EQ(write(p[1], b, sizeof b), 65536); /* what went in before the signal */
    OK(setitimer(ITIMER_REAL, &t, NULL));
    ERR(write(p[1], b, 1), EINTR);
}

CHECK(pipe_size) {
    int p[2];

    OK(pipe2(p, O_NONBLOCK));
    EQ(fcntl(p[0], F_GETPIPE_SZ), 65536);
    EQ(fcntl(p[0], F_SETPIPE_SZ, 5000), 8192);
    static char b[8192];
    EQ(write(p[1], b, 8192), 8192);
    ERR(write(p[1], b, 1), EAGAIN);
    ERR(fcntl(p[0], F_SETPIPE_SZ, 4096), EBUSY);
    EQ(fcntl(p[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
    EQ(write(p[1], b, 8192), 8192);
    ERR(fcntl(p[0], F_SETPIPE_SZ, 0x80000001u), EINVAL);
    int fd = make_file("f", "");
    ERR(fcntl(fd, F_GETPIPE_SZ), EBADF);
}

static void open_writer(void *arg) {
    (void)arg;
    sleep_ms(30);
    int fd = OK(open("fifo", O_WRONLY));
    EQ(write(fd, "hi", 2), 2);
}

CHECK(fifo_open_waits_for_the_other_end) {
    char b[8];

    OK(mkfifo("fifo", 0600));
    ERR(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
    pid_t pid = spawn(open_writer, NULL);
    int fd = OK(open("fifo", O_RDONLY));
    EQ(read(fd, b, sizeof b), 2);
    EQ(wait_exit(pid), 0);
    EQ(read(fd, b, sizeof b), 0);
    int w = OK(open("fifo", O_WRONLY | O_NONBLOCK));
    EQ(write(w, "x", 1), 1);
    close(w);
    EQ(read(fd, b, sizeof b), 1);
    EQ(read(fd, b, sizeof b), 0);
    int rw = OK(open("fifo", O_RDWR));
    EQ(write(rw, "self", 4), 4);
    EQ(read(rw, b, 4), 4);
    close(rw);
    close(fd);
    fd = OK(open("fifo", O_RDONLY | O_NONBLOCK));
    EQ(read(fd, b, 1), 0);
    EQ(ready(fd, POLLIN), 0); /* no writer has been there yet: no hang-up */
}

CHECK(splice_and_tee) {
    int p[2], q[2], in = make_file("in", "0123456789"), out = make_file("out", "");
    char b[16];
    loff_t at = 2;

    OK(pipe(p));
    OK(pipe(q));
    EQ(splice(in, &at, p[1], NULL, 5, 0), 5);
    EQ(at, 7);
    EQ(tee(p[0], q[1], 3, 0), 3);
    EQ(read(q[0], b, sizeof b), 3);
    MEMEQ(b, "234", 3);
    EQ(splice(p[0], NULL, out, NULL, 100, 0), 5);
    STREQ(get_file("out", b, sizeof b), "23456");
    struct iovec v = {(void *)"vm", 2};
    EQ(vmsplice(p[1], &v, 1, 0), 2);
    EQ(splice(p[0], NULL, q[1], NULL, 10, 0), 2);
    EQ(read(q[0], b, sizeof b), 2);
    ERR(splice(in, NULL, out, NULL, 1, 0), EINVAL);
    ERR(splice(p[0], NULL, q[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
    ERR(splice(p[0], &at, out, NULL, 1, 0), ESPIPE);
}

CHECK(packet_mode) {
    int p[2];
    char b[8];

    OK(pipe2(p, O_DIRECT));
    EQ(write(p[1], "abc", 3), 3);
    EQ(write(p[1], "de", 2), 2);
    EQ(read(p[0], b, 2), 2);
    MEMEQ(b, "ab", 2);
    EQ(read(p[0], b, 8), 2);
    MEMEQ(b, "de", 2);
}
