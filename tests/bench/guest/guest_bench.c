/* SPDX-License-Identifier: Apache-2.0
 * tests/bench/guest/guest_bench.c: nanoseconds per operation of what programs do most; prints "name ns", the
 * least of bursts. A static program of libc alone, which tests/bench/run runs natively and in the sandbox.
 * Usage: guest_bench [DIRECTORY] [NAME...]
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BIG = 1 << 20, FIGURE_NS = 200000000 };

static char g_buffer[BIG], g_file[4096], g_new[4096 + 8];
static int g_zero, g_open, g_pipe[2], g_socket[2];
static char *g_self;

static int64_t now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void must(bool ok, const char *what) {
    if (ok)
        return;
    fprintf(stderr, "guest_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void do_getppid(void) {
    syscall(SYS_getppid);
}

static void do_getpid(void) {
    syscall(SYS_getpid);
}

static void do_clock(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
}

static void do_read_1(void) {
    must(read(g_zero, g_buffer, 1) == 1, "read");
}

static void do_pread_4k(void) {
    must(pread(g_open, g_buffer, 4096, 0) == 4096, "pread");
}

static void do_pwrite_4k(void) {
    must(pwrite(g_open, g_buffer, 4096, 0) == 4096, "pwrite");
}

static void do_pread_1m(void) {
    must(pread(g_open, g_buffer, BIG, 0) == BIG, "pread");
}

static void do_stat(void) {
    struct stat st;

    must(stat(g_file, &st) == 0, "stat");
}

static void do_open_close(void) {
    int fd = open(g_file, O_RDONLY);

    must(fd >= 0, "open");
    close(fd);
}

static void do_create_unlink(void) {
    int fd = open(g_new, O_CREAT | O_WRONLY, 0600);

    must(fd >= 0, "create");
    close(fd);
    must(unlink(g_new) == 0, "unlink");
}

static void do_pipe(void) {
    must(write(g_pipe[1], g_buffer, 1) == 1 && read(g_pipe[0], g_buffer, 1) == 1, "pipe");
}

static void do_unix_socket(void) {
    must(send(g_socket[0], g_buffer, 64, 0) == 64 && recv(g_socket[1], g_buffer, 64, 0) == 64, "socket");
}

static void do_poll(void) {
    struct pollfd p = {g_pipe[1], POLLOUT, 0};

    must(poll(&p, 1, 0) == 1, "poll");
}

static void do_fork_exit_wait(void) {
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    must(pid > 0 && waitpid(pid, NULL, 0) == pid, "fork");
}

static void do_fork_exec(void) {
    pid_t pid = vfork();

    if (pid == 0) {
        execl(g_self, g_self, "--exit", NULL);
        _exit(1);
    }
    int status;
    must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "exec");
}

static void *no_thread(void *arg) {
    return arg;
}

static void do_thread_create_join(void) {
    pthread_t t;

    must(pthread_create(&t, NULL, no_thread, NULL) == 0, "pthread_create");
    pthread_join(t, NULL);
}

static void do_map_touch_16(void) {
    char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    must(p != MAP_FAILED, "mmap");
    for (int i = 0; i < 65536; i += 4096)
        p[i] = 1;
    munmap(p, 65536);
}

static void do_touch_4m(void) {
    static char *p;

    if (!p)
        p = mmap(NULL, 4 * BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(p != MAP_FAILED, "mmap");
    for (int i = 0; i < 4 * BIG; i += 4096)
        p[i] = 1;
    madvise(p, 4 * BIG, MADV_DONTNEED);
}

static void on_signal(int signo) {
    (void)signo;
}

static void do_signal(void) {
    raise(SIGUSR1);
}

/* Two processes hand one byte to and fro. */
static void do_ping_pong(void) {
    static int to[2], from[2];
    static pid_t peer;
    char c = 0;

    if (!peer) {
        must(pipe(to) == 0 && pipe(from) == 0, "pipe");
        peer = fork();
        if (peer == 0) {
            close(to[1]);
            while (read(to[0], &c, 1) == 1 && write(from[1], &c, 1) == 1) {
            }
            _exit(0);
        }
        close(to[0]);
    }
    must(write(to[1], &c, 1) == 1 && read(from[0], &c, 1) == 1, "ping-pong");
}

static _Atomic int g_turn;

static void pass_turn(int from, int to) {
    int now;

    while ((now = g_turn) != from)
        syscall(SYS_futex, &g_turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
    g_turn = to;
    syscall(SYS_futex, &g_turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *answer_turns(void *arg) {
    for (;;)
        pass_turn(1, 0);
    return arg;
}

/* Two threads hand a word to and fro. */
static void do_futex_pong(void) {
    static bool started;
    pthread_t t;

    if (!started)
        must(pthread_create(&t, NULL, answer_turns, NULL) == 0, "pthread_create");
    started = true;
    pass_turn(0, 1);
    for (int now; (now = g_turn) != 0;)
        syscall(SYS_futex, &g_turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static const struct {
    const char *name;
    void (*run)(void);
} g_figures[] = {
    {"getppid", do_getppid},
    {"getpid", do_getpid},
    {"clock_gettime", do_clock},
    {"read_1", do_read_1},
    {"pread_4k", do_pread_4k},
    {"pwrite_4k", do_pwrite_4k},
    {"pread_1m", do_pread_1m},
    {"stat", do_stat},
    {"open_close", do_open_close},
    {"create_unlink", do_create_unlink},
    {"pipe_byte", do_pipe},
    {"unix_64", do_unix_socket},
    {"poll", do_poll},
    {"signal", do_signal},
    {"ping_pong", do_ping_pong},
    {"futex_pong", do_futex_pong},
    {"map_touch_16", do_map_touch_16},
    {"touch_4m", do_touch_4m},
    {"thread", do_thread_create_join},
    {"fork_exit_wait", do_fork_exit_wait},
    {"fork_exec", do_fork_exec},
};

static void measure(const char *name, void (*run)(void)) {
    int64_t best = INT64_MAX, start;
    int burst = 1;

    run();
    for (;;) {
        int64_t a = now();
        for (int i = 0; i < burst; i++)
            run();
        if (now() - a > 1000000 || burst >= 1 << 20)
            break;
        burst *= 2;
    }
    for (start = now(); now() - start < FIGURE_NS;) {
        int64_t a = now();
        for (int i = 0; i < burst; i++)
            run();
        int64_t each = (now() - a) / burst;
        best = each < best ? each : best;
    }
    printf("%s %lld\n", name, (long long)best);
    fflush(stdout);
}

static bool wanted(const char *name, char **names) {
    if (!*names)
        return true;
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv) {
    const char *dir = argc > 1 ? argv[1] : "/tmp";

    if (strcmp(dir, "--exit") == 0)
        return 0;
    g_self = argv[0];
    signal(SIGUSR1, on_signal);
    snprintf(g_file, sizeof g_file, "%s/guest-bench-file", dir);
    snprintf(g_new, sizeof g_new, "%s.new", g_file);
    g_zero = open("/dev/zero", O_RDONLY);
    g_open = open(g_file, O_RDWR | O_CREAT | O_TRUNC, 0600);
    must(g_zero >= 0 && g_open >= 0, g_file);
    must(write(g_open, g_buffer, BIG) == BIG, "write");
    must(pipe(g_pipe) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, g_socket) == 0, "pipe");
    for (size_t i = 0; i < sizeof g_figures / sizeof *g_figures; i++)
        if (wanted(g_figures[i].name, argv + (argc > 1 ? 2 : 1)))
            measure(g_figures[i].name, g_figures[i].run);
    unlink(g_file);
    return 0;
}
