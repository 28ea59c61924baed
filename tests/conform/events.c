/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/events.c: poll, select, epoll, eventfd, signalfd, inotify. Sources: poll(2), select(2),
 * epoll(7), epoll_ctl(2), eventfd(2), signalfd(2), inotify(7).
 */
#include "conform.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>

static void on_signal(int signo) {
    (void)signo;
}

static void alarm_in(int ms) {
    struct sigaction sa = {.sa_handler = on_signal};
    struct itimerval t = {.it_value.tv_usec = ms * 1000};

    OK(sigaction(SIGALRM, &sa, NULL));
    OK(setitimer(ITIMER_REAL, &t, NULL));
}

CHECK(poll_rules) {
    int p[2];
    struct pollfd f[3] = {{.fd = -1, .events = POLLIN, .revents = 7}, {.fd = 99, .events = POLLIN}};

    OK(pipe(p));
    f[2] = (struct pollfd){p[0], POLLIN, 7};
    EQ(poll(f, 3, 0), 1);
    EQ(f[0].revents, 0);
    EQ(f[1].revents, POLLNVAL);
    EQ(f[2].revents, 0);
    int64_t start = now_ns(CLOCK_MONOTONIC);
    EQ(poll(&f[2], 1, 30), 0);
    TRUE(now_ns(CLOCK_MONOTONIC) - start >= 29000000);
    alarm_in(20);
    ERR(poll(&f[2], 1, -1), EINTR);
    EQ(write(p[1], "x", 1), 1);
    EQ(poll(&f[2], 1, -1), 1);
    int fd = make_file("f", "");
    struct pollfd file = {fd, POLLIN | POLLOUT, 0};
    EQ(poll(&file, 1, 0), 1);
    EQ(file.revents, POLLIN | POLLOUT);
    struct rlimit r = {10, 10};
    OK(setrlimit(RLIMIT_NOFILE, &r));
    struct pollfd many[20] = {0};
    ERR(poll(many, 20, 0), EINVAL);
    ERR(syscall(SYS_poll, 8, 1, 0), EFAULT);
}

static void write_later(void *arg) {
    sleep_ms(30);
    EQ(write(*(int *)arg, "x", 1), 1);
}

CHECK(poll_wakes) {
    int p[2];

    OK(pipe(p));
    struct pollfd f = {p[0], POLLIN, 0};
    pid_t pid = spawn(write_later, &p[1]);
    EQ(poll(&f, 1, 10000), 1);
    EQ(f.revents, POLLIN);
    EQ(wait_exit(pid), 0);
}

CHECK(ppoll_swaps_the_mask) {
    sigset_t set, none;
    struct timespec t = {5, 0};

    alarm_in(1);
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    sleep_ms(20);
    ERR(ppoll(NULL, 0, &t, &none), EINTR);
    OK(sigpending(&set));
    TRUE(!sigismember(&set, SIGALRM));
    t.tv_nsec = -1;
    ERR(ppoll(NULL, 0, &t, &none), EINVAL);
}

CHECK(select_rules) {
    int p[2], q[2];
    fd_set in, out;

    OK(pipe(p));
    OK(pipe(q));
    EQ(write(p[1], "x", 1), 1);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(p[0], &in);
    FD_SET(q[0], &in);
    FD_SET(p[1], &out);
    struct timeval t = {1, 0};
    EQ(select(q[1] + 1, &in, &out, NULL, &t), 2);
    TRUE(FD_ISSET(p[0], &in));
    TRUE(!FD_ISSET(q[0], &in));
    TRUE(FD_ISSET(p[1], &out));
    TRUE(t.tv_sec == 0 || (t.tv_sec == 1 && t.tv_usec == 0)); /* what is left of it */
    FD_ZERO(&in);
    FD_SET(q[0], &in);
    t = (struct timeval){0, 20000};
    EQ(select(q[0] + 1, &in, NULL, NULL, &t), 0);
    TRUE(!FD_ISSET(q[0], &in));
    EQ(t.tv_sec, 0);
    EQ(t.tv_usec, 0);
    FD_SET(60, &in); /* not open, and within the smallest table, past which bits are not looked at */
    ERR(select(61, &in, NULL, NULL, &t), EBADF);
    ERR(select(-1, NULL, NULL, NULL, &t), EINVAL);
    t.tv_sec = -1;
    ERR(select(0, NULL, NULL, NULL, &t), EINVAL);
    alarm_in(20);
    ERR(select(0, NULL, NULL, NULL, NULL), EINTR);
    sigset_t none;
    sigemptyset(&none);
    struct timespec ts = {0, 0};
    EQ(pselect(0, NULL, NULL, NULL, &ts, &none), 0);
}

static int add(int ep, int fd, uint32_t events, uint64_t data) {
    struct epoll_event e = {events, {.u64 = data}};

    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

CHECK(epoll_control) {
    int ep = OK(epoll_create1(EPOLL_CLOEXEC)), p[2];
    struct epoll_event e = {EPOLLIN, {.u64 = 1}};

    OK(pipe(p));
    OK(add(ep, p[0], EPOLLIN, 5));
    ERR(add(ep, p[0], EPOLLIN, 5), EEXIST);
    OK(add(ep, OK(dup(p[0])), EPOLLIN, 5));
    ERR(epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &e), ENOENT);
    ERR(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL), ENOENT);
    ERR(epoll_ctl(ep, 9, p[1], &e), EINVAL);
    ERR(add(ep, ep, EPOLLIN, 0), EINVAL);
    ERR(add(ep, 99, EPOLLIN, 0), EBADF);
    ERR(add(99, p[0], EPOLLIN, 0), EBADF);
    ERR(add(p[0], p[1], EPOLLIN, 0), EINVAL);
    ERR(add(ep, make_file("f", ""), EPOLLIN, 0), EPERM);
    ERR(add(ep, OK(open(".", O_RDONLY)), EPOLLIN, 0), EPERM);
    ERR(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], NULL), EFAULT);
    ERR(epoll_create(0), EINVAL);
    ERR(epoll_create1(1), EINVAL);
    ERR(epoll_wait(ep, &e, 0, 0), EINVAL);
    ERR(epoll_wait(p[0], &e, 1, 0), EINVAL);
}

CHECK(epoll_level_and_edge) {
    int ep = OK(epoll_create1(0)), p[2], q[2];
    struct epoll_event e[4];
    char b[8];

    OK(pipe(p));
    OK(pipe(q));
    OK(add(ep, p[0], EPOLLIN, 1));
    OK(add(ep, q[0], EPOLLIN | EPOLLET, 2));
    EQ(epoll_wait(ep, e, 4, 0), 0);
    EQ(write(p[1], "aa", 2), 2);
    EQ(epoll_wait(ep, e, 4, 0), 1);
    EQ(e[0].data.u64, 1);
    EQ(e[0].events, EPOLLIN);
    EQ(epoll_wait(ep, e, 4, 0), 1); /* level: again */
    EQ(read(p[0], b, 8), 2);
    EQ(epoll_wait(ep, e, 4, 0), 0);
    EQ(write(q[1], "a", 1), 1);
    EQ(epoll_wait(ep, e, 4, 0), 1);
    EQ(e[0].data.u64, 2);
    EQ(epoll_wait(ep, e, 4, 0), 0); /* edge: once */
    EQ(write(q[1], "b", 1), 1);
    EQ(epoll_wait(ep, e, 4, 0), 1); /* another arrival */
    EQ(read(q[0], b, 1), 1);
    EQ(epoll_wait(ep, e, 4, 0), 0);
    close(q[1]);
    EQ(epoll_wait(ep, e, 4, 0), 1);
    EQ(e[0].events & EPOLLHUP, EPOLLHUP);
}

CHECK(epoll_oneshot_and_modify) {
    int ep = OK(epoll_create1(0)), p[2];
    struct epoll_event e[2];

    OK(pipe(p));
    OK(add(ep, p[0], EPOLLIN | EPOLLONESHOT, 7));
    EQ(write(p[1], "a", 1), 1);
    EQ(epoll_wait(ep, e, 2, 0), 1);
    EQ(epoll_wait(ep, e, 2, 0), 0);
    EQ(write(p[1], "a", 1), 1);
    EQ(epoll_wait(ep, e, 2, 0), 0);
    e[0] = (struct epoll_event){EPOLLIN | EPOLLONESHOT, {.u64 = 8}};
    OK(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], e));
    EQ(epoll_wait(ep, e, 2, 0), 1);
    EQ(e[0].data.u64, 8);
    OK(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
    OK(add(ep, p[0], 0, 9));
    EQ(epoll_wait(ep, e, 2, 0), 0);
    close(p[1]);
    EQ(epoll_wait(ep, e, 2, 0), 1); /* HUP and ERR are always reported */
    EQ(e[0].events, EPOLLHUP);
}

CHECK(epoll_follows_the_open_file) {
    int ep = OK(epoll_create1(0)), p[2];
    struct epoll_event e[2];

    OK(pipe(p));
    OK(add(ep, p[0], EPOLLIN, 1));
    int d = OK(dup(p[0]));
    EQ(write(p[1], "a", 1), 1);
    close(p[0]);
    EQ(epoll_wait(ep, e, 2, 0), 1); /* the duplicate keeps it open */
    close(d);
    EQ(epoll_wait(ep, e, 2, 0), 0);
}

CHECK(epoll_of_epoll) {
    int a = OK(epoll_create1(0)), b = OK(epoll_create1(0)), p[2];
    struct epoll_event e;

    OK(pipe(p));
    OK(add(a, b, EPOLLIN, 1));
    ERR(add(b, a, EPOLLIN, 1), ELOOP);
    OK(add(b, p[0], EPOLLIN, 2));
    EQ(epoll_wait(a, &e, 1, 0), 0);
    EQ(write(p[1], "x", 1), 1);
    EQ(epoll_wait(a, &e, 1, 1000), 1);
    EQ(e.data.u64, 1);
    struct pollfd f = {a, POLLIN, 0};
    EQ(poll(&f, 1, 0), 1);
    int chain = a;
    for (int i = 0; i < 3; i++) {
        int next = OK(epoll_create1(0));
        OK(add(next, chain, EPOLLIN, 0));
        chain = next;
    }
    int last = OK(epoll_create1(0));
    ERR(add(last, chain, EPOLLIN, 0), ELOOP);
}

static void *wait_epoll(void *arg) {
    struct epoll_event e;

    return (void *)(intptr_t)epoll_wait(*(int *)arg, &e, 1, 10000);
}

CHECK(epoll_wakes_a_waiter) {
    int ep = OK(epoll_create1(0)), p[2];
    pthread_t t;
    void *result;

    OK(pipe(p));
    EQ(pthread_create(&t, NULL, wait_epoll, &ep), 0);
    sleep_ms(20);
    OK(add(ep, p[0], EPOLLIN, 0)); /* added while one waits */
    EQ(write(p[1], "x", 1), 1);
    EQ(pthread_join(t, &result), 0);
    EQ(result, 1);
    alarm_in(20);
    struct epoll_event e;
    int empty = OK(epoll_create1(0));
    ERR(epoll_wait(empty, &e, 1, -1), EINTR);
    EQ(epoll_wait(empty, &e, 1, 10), 0);
}

CHECK(epoll_gives_turns) {
    enum { N = 10 };
    int ep = OK(epoll_create1(0)), seen = 0;
    struct epoll_event e;

    for (int i = 0; i < N; i++)
        OK(add(ep, OK(eventfd(1, 0)), EPOLLIN, 1u << i));
    for (int i = 0; i < N; i++) {
        EQ(epoll_wait(ep, &e, 1, 0), 1);
        seen |= (int)e.data.u64;
    }
    EQ(seen, (1 << N) - 1); /* round robin among the ready */
}

CHECK(eventfd_rules) {
    int fd = OK(eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC));
    uint64_t n;

    EQ(read(fd, &n, 8), 8);
    EQ(n, 3);
    ERR(read(fd, &n, 8), EAGAIN);
    n = 5;
    EQ(write(fd, &n, 8), 8);
    EQ(write(fd, &n, 8), 8);
    EQ(read(fd, &n, 8), 8);
    EQ(n, 10);
    n = UINT64_MAX;
    ERR(write(fd, &n, 8), EINVAL);
    n = UINT64_MAX - 1;
    EQ(write(fd, &n, 8), 8);
    n = 1;
    ERR(write(fd, &n, 8), EAGAIN);
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    EQ(poll(&p, 1, 0), 1);
    EQ(p.revents, POLLIN);
    ERR(read(fd, &n, 7), EINVAL);
    ERR(write(fd, &n, 4), EINVAL);
    int s = OK(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
    EQ(read(s, &n, 8), 8);
    EQ(n, 1);
    EQ(read(s, &n, 8), 8);
    ERR(read(s, &n, 8), EAGAIN);
    ERR(eventfd(0, 2), EINVAL);
}

CHECK(eventfd_blocks) {
    int fd = OK(eventfd(0, 0));
    uint64_t n;
    pid_t pid = fork();

    if (pid == 0) {
        sleep_ms(30);
        n = 4;
        write(fd, &n, 8);
        _exit(0);
    }
    EQ(read(fd, &n, 8), 8);
    EQ(n, 4);
    EQ(wait_exit(pid), 0);
}

CHECK(signalfd_reads_signals) {
    sigset_t set;
    struct signalfd_siginfo info[2];

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    int fd = OK(signalfd(-1, &set, SFD_NONBLOCK));
    ERR(read(fd, info, sizeof info), EAGAIN);
    OK(raise(SIGUSR1));
    struct pollfd p = {fd, POLLIN, 0};
    EQ(poll(&p, 1, 0), 1);
    OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 12}));
    EQ(read(fd, info, sizeof info), sizeof info);
    EQ(info[0].ssi_signo, SIGUSR1);
    EQ(info[0].ssi_pid, getpid());
    EQ(info[1].ssi_signo, SIGRTMIN);
    EQ(info[1].ssi_int, 12);
    EQ(info[1].ssi_code, SI_QUEUE);
    EQ(poll(&p, 1, 0), 0);
    ERR(read(fd, info, 100), EINVAL);
    sigaddset(&set, SIGUSR2);
    EQ(signalfd(fd, &set, 0), fd);
    ERR(signalfd(0, &set, 0), EINVAL);
    ERR(signalfd(-1, &set, 1), EINVAL);
}

CHECK(inotify_events) {
    char buffer[4096] __attribute__((aligned(8)));
    int fd = OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));

    OK(mkdir("d", 0755));
    int wd = OK(inotify_add_watch(
        fd, "d", IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE | IN_MODIFY | IN_DELETE_SELF));
    put_file("d/a", "x");
    OK(rename("d/a", "d/b"));
    OK(unlink("d/b"));
    OK(mkdir("d/sub", 0755));
    OK(rmdir("d/sub"));
    OK(rmdir("d"));
    ssize_t n = OK(read(fd, buffer, sizeof buffer));
    uint32_t cookie = 0;
    for (char *p = buffer; p < buffer + n;) {
        struct inotify_event *e = (void *)p;
        EQ(e->wd, wd);
        printf("event %x %s\n", e->mask, e->len ? e->name : "");
        if (e->mask & IN_MOVED_FROM)
            cookie = e->cookie;
        if (e->mask & IN_MOVED_TO)
            EQ(e->cookie, cookie);
        p += sizeof *e + e->len;
    }
    ERR(read(fd, buffer, sizeof buffer), EAGAIN);
    ERR(inotify_rm_watch(fd, wd), EINVAL);
    ERR(inotify_add_watch(fd, "no", IN_CREATE), ENOENT);
    ERR(inotify_add_watch(fd, ".", 0), EINVAL);
}
