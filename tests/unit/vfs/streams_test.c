/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/vfs/streams_test.c: pipes, FIFOs, eventfd, splice, poll, select, epoll: with threads where
 * somebody has to wait.
 */
#include <pthread.h>
#include <unistd.h>

#include "base/abi/linux/time.h"
#include "sentry/kernel/restart.h"
#include "tests/unit/vfs/vfs_fixture.h"

#define f (*fp)

static void make_pipe(struct fixture *fp, uint32_t flags, int fds[2]) {
    gva_t at = room(&f, 8);

    ASSERT_OK(CALL(pipe2, at, flags));
    get(&f, fds, at, 8);
}

/* A call made by another task on its own thread. */
struct later {
    struct task *t;
    syscall_fn fn;
    struct syscall_args args;
    int64_t result;
    pthread_t thread;
};

static void *later_main(void *arg) {
    struct later *l = arg;

    l->result = call_args(l->t, l->fn, l->args);
    return NULL;
}

static void later_start(struct later *l) {
    ASSERT_EQ(pthread_create(&l->thread, NULL, later_main, l), 0);
}

static int64_t later_join(struct later *l) {
    ASSERT_EQ(pthread_join(l->thread, NULL), 0);
    return l->result;
}

WITH_FIXTURE(pipe_moves_bytes_and_ends) {
    int p[2];

    make_pipe(&f, LINUX_O_NONBLOCK, p);
    ASSERT_STREQ(read_str(&f, p[0], 10), "<EAGAIN>");
    ASSERT_EQ(write_str(&f, p[1], "hello "), 6);
    ASSERT_EQ(write_str(&f, p[1], "world"), 5);
    ASSERT_STREQ(read_str(&f, p[0], 3), "hel");
    ASSERT_STREQ(read_str(&f, p[0], 100), "lo world");
    ASSERT_EQ(CALL(read, (uint64_t)p[1], room(&f, 8), 1), -EBADF);
    ASSERT_EQ(CALL(lseek, (uint64_t)p[0], 0, 0), -ESPIPE);
    ASSERT_EQ(CALL(pread64, (uint64_t)p[0], room(&f, 8), 1, 0), -ESPIPE);
    ASSERT_EQ(write_str(&f, p[1], "rest"), 4);
    ASSERT_OK(CALL(close, (uint64_t)p[1]));
    ASSERT_STREQ(read_str(&f, p[0], 100), "rest");
    ASSERT_STREQ(read_str(&f, p[0], 100), "");
}

WITH_FIXTURE(pipe_capacity_and_atomic_writes) {
    int p[2];
    gva_t big = room(&f, 70000);

    make_pipe(&f, LINUX_O_NONBLOCK, p);
    ASSERT_EQ(CALL(fcntl, (uint64_t)p[0], LINUX_F_GETPIPE_SZ, 0), 65536);
    ASSERT_EQ(CALL(write, (uint64_t)p[1], big, 70000), 65536);
    ASSERT_EQ(CALL(write, (uint64_t)p[1], big, 1), -EAGAIN);
    ASSERT_EQ(CALL(read, (uint64_t)p[0], big, 100), 100);
    ASSERT_EQ(CALL(write, (uint64_t)p[1], big, 4096), -EAGAIN); /* not a whole page free */
    ASSERT_EQ(CALL(read, (uint64_t)p[0], big, 3996), 3996);
    ASSERT_EQ(CALL(write, (uint64_t)p[1], big, 4096), 4096);
    ASSERT_EQ(CALL(fcntl, (uint64_t)p[1], LINUX_F_SETPIPE_SZ, 4096), -EBUSY);
    ASSERT_EQ(CALL(fcntl, (uint64_t)p[1], LINUX_F_SETPIPE_SZ, 100000), 131072);
    ASSERT_EQ(CALL(write, (uint64_t)p[1], big, 70000), 65536);
    for (int i = 0; i < 2; i++)
        ASSERT_EQ(CALL(read, (uint64_t)p[0], big, 65536), 65536);
    ASSERT_EQ(CALL(read, (uint64_t)p[0], big, 65536), -EAGAIN);
    ASSERT_EQ(CALL(fcntl, (uint64_t)p[1], LINUX_F_SETPIPE_SZ, 1), 4096);
    make_pipe(&f, LINUX_O_NONBLOCK | LINUX_O_DIRECT, p);
    ASSERT_EQ(write_str(&f, p[1], "one"), 3);
    ASSERT_EQ(write_str(&f, p[1], "two"), 3);
    ASSERT_STREQ(read_str(&f, p[0], 2), "on");
    ASSERT_STREQ(read_str(&f, p[0], 100), "two");
}

WITH_FIXTURE(pipe_blocks_and_wakes) {
    int p[2];
    gva_t big = room(&f, 300000), out = room(&f, 300000);

    make_pipe(&f, 0, p);
    struct task *t2 = fixture_task(&f, /* thread= */ true);
    struct later l = {t2, sys_write, {{(uint64_t)p[1], big, 300000}}};
    later_start(&l);
    size_t got = 0;
    while (got < 300000) {
        int64_t n = CALL(read, (uint64_t)p[0], out, 300000);
        ASSERT_GT(n, 0);
        got += (size_t)n;
    }
    ASSERT_EQ(later_join(&l), 300000);
    struct later reader = {t2, sys_read, {{(uint64_t)p[0], out, 10}}};
    later_start(&reader);
    usleep(2000);
    ASSERT_EQ(write_str(&f, p[1], "x"), 1);
    ASSERT_EQ(later_join(&reader), 1);
    /* The last writer ends a reader's wait. */
    reader.result = -1;
    later_start(&reader);
    usleep(2000);
    ASSERT_OK(CALL(close, (uint64_t)p[1]));
    ASSERT_EQ(later_join(&reader), 0);
    fixture_task_done(t2);
}

WITH_FIXTURE(interrupted_wait) {
    int p[2];

    make_pipe(&f, 0, p);
    struct task *t2 = fixture_task(&f, /* thread= */ true);
    struct later reader = {t2, sys_read, {{(uint64_t)p[0], room(&f, 8), 8}}};
    later_start(&reader);
    usleep(2000);
    task_interrupt(t2, TASK_WORK_SIGNAL);
    ASSERT_EQ(later_join(&reader), -ERESTARTSYS);
    fixture_task_done(t2);
}

WITH_FIXTURE(fifo_open_rules) {
    ASSERT_OK(CALL(mknod, S("/f"), LINUX_S_IFIFO | 0666, 0));
    ASSERT_EQ(do_open(&f, "/f", LINUX_O_WRONLY | LINUX_O_NONBLOCK, 0), -ENXIO);
    int64_t r = do_open(&f, "/f", LINUX_O_RDONLY | LINUX_O_NONBLOCK, 0);
    ASSERT_OK(r);
    ASSERT_STREQ(read_str(&f, r, 10), "");
    int64_t w = do_open(&f, "/f", LINUX_O_WRONLY | LINUX_O_NONBLOCK, 0);
    ASSERT_OK(w);
    ASSERT_STREQ(read_str(&f, r, 10), "<EAGAIN>");
    ASSERT_EQ(write_str(&f, w, "abc"), 3);
    ASSERT_OK(CALL(close, (uint64_t)w));
    ASSERT_STREQ(read_str(&f, r, 10), "abc");
    ASSERT_STREQ(read_str(&f, r, 10), "");
    ASSERT_OK(CALL(close, (uint64_t)r));
    struct task *t2 = fixture_task(&f, /* thread= */ true);
    struct later opener = {t2, sys_open, {{S("/f"), LINUX_O_WRONLY}}};
    later_start(&opener);
    usleep(2000);
    r = do_open(&f, "/f", LINUX_O_RDONLY, 0);
    ASSERT_OK(r);
    ASSERT_OK(later_join(&opener));
    int64_t both = do_open(&f, "/f", LINUX_O_RDWR, 0);
    ASSERT_OK(both);
    fixture_task_done(t2);
}

WITH_FIXTURE(eventfd_counts) {
    gva_t at = room(&f, 16);
    uint64_t v = 5;

    int64_t e = CALL(eventfd2, 3, LINUX_EFD_NONBLOCK);
    ASSERT_OK(e);
    ASSERT_EQ(CALL(read, (uint64_t)e, at, 4), -EINVAL);
    ASSERT_EQ(CALL(write, (uint64_t)e, put(&f, &v, 8), 8), 8);
    ASSERT_EQ(CALL(read, (uint64_t)e, at, 8), 8);
    get(&f, &v, at, 8);
    ASSERT_EQ(v, 8);
    ASSERT_EQ(CALL(read, (uint64_t)e, at, 8), -EAGAIN);
    v = UINT64_MAX;
    ASSERT_EQ(CALL(write, (uint64_t)e, put(&f, &v, 8), 8), -EINVAL);
    v = UINT64_MAX - 1;
    ASSERT_EQ(CALL(write, (uint64_t)e, put(&f, &v, 8), 8), 8);
    v = 1;
    ASSERT_EQ(CALL(write, (uint64_t)e, put(&f, &v, 8), 8), -EAGAIN);
    int64_t s = CALL(eventfd2, 2, LINUX_EFD_NONBLOCK | LINUX_EFD_SEMAPHORE);
    for (int i = 0; i < 2; i++) {
        ASSERT_EQ(CALL(read, (uint64_t)s, at, 8), 8);
        get(&f, &v, at, 8);
        ASSERT_EQ(v, 1);
    }
    ASSERT_EQ(CALL(read, (uint64_t)s, at, 8), -EAGAIN);
    ASSERT_EQ(CALL(eventfd2, 0, 0x1000), -EINVAL);
}

WITH_FIXTURE(splice_tee_sendfile) {
    int a[2], b[2];
    uint64_t off = 2;

    make_pipe(&f, LINUX_O_NONBLOCK, a);
    make_pipe(&f, LINUX_O_NONBLOCK, b);
    write_file(&f, "/src", "0123456789");
    int64_t src = do_open(&f, "/src", LINUX_O_RDONLY, 0),
            dst = do_open(&f, "/dst", LINUX_O_RDWR | LINUX_O_CREAT, 0644);
    gva_t at = put(&f, &off, 8);
    ASSERT_EQ(CALL(splice, (uint64_t)src, at, (uint64_t)a[1], 0, 5, 0), 5);
    get(&f, &off, at, 8);
    ASSERT_EQ(off, 7);
    ASSERT_EQ(CALL(tee, (uint64_t)a[0], (uint64_t)b[1], 100, 0), 5);
    ASSERT_STREQ(read_str(&f, b[0], 100), "23456");
    ASSERT_EQ(CALL(splice, (uint64_t)a[0], 0, (uint64_t)b[1], 0, 3, 0), 3);
    ASSERT_STREQ(read_str(&f, b[0], 100), "234");
    ASSERT_EQ(CALL(splice, (uint64_t)a[0], 0, (uint64_t)dst, 0, 100, 0), 2);
    ASSERT_STREQ(read_file(&f, "/dst"), "56");
    ASSERT_EQ(CALL(splice, (uint64_t)a[0], 0, (uint64_t)dst, 0, 100, 2), -EAGAIN);
    ASSERT_EQ(CALL(splice, (uint64_t)src, 0, (uint64_t)dst, 0, 100, 0), -EINVAL);
    ASSERT_EQ(CALL(splice, (uint64_t)a[0], at, (uint64_t)dst, 0, 100, 0), -ESPIPE);
    ASSERT_EQ(CALL(sendfile, (uint64_t)dst, (uint64_t)src, 0, 100), 10);
    ASSERT_STREQ(read_file(&f, "/dst"), "560123456789");
    off = 8;
    at = put(&f, &off, 8);
    ASSERT_EQ(CALL(sendfile, (uint64_t)a[1], (uint64_t)src, at, 100), 2);
    ASSERT_STREQ(read_str(&f, a[0], 100), "89");
    off = 0;
    ASSERT_EQ(CALL(copy_file_range, (uint64_t)src, put(&f, &off, 8), (uint64_t)dst, put(&f, &off, 8), 3, 0),
              3);
    ASSERT_STREQ(read_file(&f, "/dst"), "012123456789");
    ASSERT_EQ(CALL(copy_file_range, (uint64_t)dst, put(&f, &off, 8), (uint64_t)dst, put(&f, &off, 8), 3, 0),
              -EINVAL);
    struct linux_timespec iov[1] = {{(int64_t)S("vm"), 2}}; /* as struct iovec */
    ASSERT_EQ(CALL(vmsplice, (uint64_t)a[1], put(&f, iov, 16), 1, 0), 2);
    ASSERT_STREQ(read_str(&f, a[0], 100), "vm");
}

static int64_t poll_one(struct fixture *fp, int fd, int16_t events, int timeout, int *ret_revents) {
    struct linux_pollfd p = {fd, events, 0};
    gva_t at = put(&f, &p, sizeof p);
    int64_t r = CALL(poll, at, 1, (uint64_t)timeout);

    get(&f, &p, at, sizeof p);
    *ret_revents = p.revents;
    return r;
}

WITH_FIXTURE(poll_and_select) {
    int p[2], revents;

    make_pipe(&f, 0, p);
    ASSERT_EQ(poll_one(&f, p[0], LINUX_POLLIN, 0, &revents), 0);
    ASSERT_EQ(poll_one(&f, p[1], LINUX_POLLOUT, -1, &revents), 1);
    ASSERT_EQ(revents, LINUX_POLLOUT);
    ASSERT_EQ(poll_one(&f, 99, LINUX_POLLIN, -1, &revents), 1);
    ASSERT_EQ(revents, LINUX_POLLNVAL);
    ASSERT_EQ(poll_one(&f, -1, LINUX_POLLIN, 1, &revents), 0);
    struct task *t2 = fixture_task(&f, /* thread= */ true);
    struct later w = {t2, sys_write, {{(uint64_t)p[1], S("x"), 1}}};
    later_start(&w);
    ASSERT_EQ(poll_one(&f, p[0], LINUX_POLLIN, 10000, &revents), 1);
    ASSERT_EQ(revents, LINUX_POLLIN);
    ASSERT_EQ(later_join(&w), 1);
    uint64_t in = 1ull << p[0], out = 1ull << p[1];
    struct linux_timeval tv = {0, 0};
    gva_t in_at = put(&f, &in, 8), out_at = put(&f, &out, 8);
    ASSERT_EQ(CALL(select, 10, in_at, out_at, 0, put(&f, &tv, 16)), 2);
    ASSERT_STREQ(read_str(&f, p[0], 10), "x");
    ASSERT_EQ(CALL(select, 10, in_at, 0, 0, put(&f, &tv, 16)), 0);
    get(&f, &in, in_at, 8);
    ASSERT_EQ(in, 0);
    in = 1ull << 50;
    ASSERT_EQ(CALL(select, 64, put(&f, &in, 8), 0, 0, 0), -EBADF);
    ASSERT_OK(CALL(close, (uint64_t)p[1]));
    ASSERT_EQ(poll_one(&f, p[0], LINUX_POLLIN, 0, &revents), 1);
    ASSERT_EQ(revents, LINUX_POLLHUP);
    fixture_task_done(t2);
}

static int64_t ep_ctl(struct fixture *fp, int64_t ep, int op, int fd, uint32_t events) {
    struct linux_epoll_event e = {events, (uint64_t)fd};

    return CALL(epoll_ctl, (uint64_t)ep, (uint64_t)op, (uint64_t)fd, put(&f, &e, sizeof e));
}

static int64_t ep_wait(struct fixture *fp, int64_t ep, int timeout, struct linux_epoll_event *ret) {
    gva_t at = room(&f, 10 * sizeof *ret);
    int64_t n = CALL(epoll_wait, (uint64_t)ep, at, 10, (uint64_t)timeout);

    if (n > 0)
        get(&f, ret, at, sizeof *ret);
    return n;
}

WITH_FIXTURE(epoll_level_edge_oneshot) {
    int p[2];
    struct linux_epoll_event e;

    make_pipe(&f, LINUX_O_NONBLOCK, p);
    int64_t ep = CALL(epoll_create1, 0);
    ASSERT_OK(ep);
    ASSERT_OK(ep_ctl(&f, ep, LINUX_EPOLL_CTL_ADD, p[0], LINUX_EPOLLIN));
    ASSERT_EQ(ep_ctl(&f, ep, LINUX_EPOLL_CTL_ADD, p[0], LINUX_EPOLLIN), -EEXIST);
    ASSERT_EQ(ep_ctl(&f, ep, LINUX_EPOLL_CTL_MOD, p[1], LINUX_EPOLLIN), -ENOENT);
    ASSERT_EQ(ep_ctl(&f, ep, LINUX_EPOLL_CTL_ADD, (int)ep, LINUX_EPOLLIN), -EINVAL);
    write_file(&f, "/r", "");
    int64_t reg = do_open(&f, "/r", LINUX_O_RDONLY, 0);
    ASSERT_EQ(ep_ctl(&f, ep, LINUX_EPOLL_CTL_ADD, (int)reg, LINUX_EPOLLIN), -EPERM);
    ASSERT_EQ(ep_wait(&f, ep, 0, &e), 0);
    ASSERT_EQ(write_str(&f, p[1], "ab"), 2);
    for (int i = 0; i < 2; i++) { /* level: again and again */
        ASSERT_EQ(ep_wait(&f, ep, 0, &e), 1);
        ASSERT_EQ(e.events, LINUX_EPOLLIN);
        ASSERT_EQ(e.data, p[0]);
    }
    ASSERT_OK(ep_ctl(&f, ep, LINUX_EPOLL_CTL_MOD, p[0], LINUX_EPOLLIN | LINUX_EPOLLET));
    ASSERT_EQ(ep_wait(&f, ep, 0, &e), 1);
    ASSERT_EQ(ep_wait(&f, ep, 0, &e), 0);
    ASSERT_EQ(write_str(&f, p[1], "c"), 1);
    ASSERT_EQ(ep_wait(&f, ep, 0, &e), 1);
    ASSERT_OK(ep_ctl(&f, ep, LINUX_EPOLL_CTL_MOD, p[0], LINUX_EPOLLIN | LINUX_EPOLLONESHOT));
    ASSERT_EQ(ep_wait(&f, ep, 0, &e), 1);
    ASSERT_EQ(write_str(&f, p[1], "d"), 1);
    ASSERT_EQ(ep_wait(&f, ep, 0, &e), 0);
    ASSERT_OK(ep_ctl(&f, ep, LINUX_EPOLL_CTL_MOD, p[0], LINUX_EPOLLIN | LINUX_EPOLLONESHOT));
    ASSERT_EQ(ep_wait(&f, ep, 0, &e), 1);
    ASSERT_STREQ(read_str(&f, p[0], 10), "abcd");
    ASSERT_OK(ep_ctl(&f, ep, LINUX_EPOLL_CTL_DEL, p[0], 0));
    ASSERT_EQ(ep_ctl(&f, ep, LINUX_EPOLL_CTL_DEL, p[0], 0), -ENOENT);
    /* Closing the file takes it off. */
    ASSERT_OK(ep_ctl(&f, ep, LINUX_EPOLL_CTL_ADD, p[0], LINUX_EPOLLIN));
    ASSERT_OK(CALL(close, (uint64_t)p[0]));
    ASSERT_OK(CALL(close, (uint64_t)p[1]));
    ASSERT_EQ(ep_wait(&f, ep, 0, &e), 0);
}

WITH_FIXTURE(epoll_nested_and_waking) {
    int p[2];
    struct linux_epoll_event e;
    int64_t chain[7];

    make_pipe(&f, 0, p);
    int64_t inner = CALL(epoll_create1, 0), outer = CALL(epoll_create1, 0);
    ASSERT_OK(ep_ctl(&f, inner, LINUX_EPOLL_CTL_ADD, p[0], LINUX_EPOLLIN));
    ASSERT_OK(ep_ctl(&f, outer, LINUX_EPOLL_CTL_ADD, (int)inner, LINUX_EPOLLIN));
    ASSERT_EQ(ep_ctl(&f, inner, LINUX_EPOLL_CTL_ADD, (int)outer, LINUX_EPOLLIN), -ELOOP);
    struct task *t2 = fixture_task(&f, /* thread= */ true);
    struct later w = {t2, sys_write, {{(uint64_t)p[1], S("x"), 1}}};
    later_start(&w);
    ASSERT_EQ(ep_wait(&f, outer, 10000, &e), 1);
    ASSERT_EQ(e.data, inner);
    ASSERT_EQ(later_join(&w), 1);
    ASSERT_EQ(ep_wait(&f, inner, 0, &e), 1);
    ASSERT_STREQ(read_str(&f, p[0], 10), "x");
    ASSERT_EQ(ep_wait(&f, outer, 0, &e), 0);
    int deepest = 0;
    for (int i = 0; i < 7; i++)
        chain[i] = CALL(epoll_create1, 0);
    while (deepest < 6 &&
           ep_ctl(&f, chain[deepest + 1], LINUX_EPOLL_CTL_ADD, (int)chain[deepest], LINUX_EPOLLIN) == 0)
        deepest++;
    ASSERT_EQ(deepest, 4);
    fixture_task_done(t2);
}

WITH_FIXTURE(dup_and_limits) {
    int p[2];

    make_pipe(&f, LINUX_O_CLOEXEC, p);
    ASSERT_EQ(CALL(fcntl, (uint64_t)p[0], LINUX_F_GETFD, 0), 1);
    int64_t d = CALL(dup, (uint64_t)p[1]);
    ASSERT_EQ(d, 2);
    ASSERT_EQ(CALL(fcntl, (uint64_t)d, LINUX_F_GETFD, 0), 0);
    ASSERT_EQ(CALL(dup2, (uint64_t)d, 700), 700);
    ASSERT_EQ(CALL(dup2, 700, 700), 700);
    ASSERT_EQ(CALL(dup3, 700, 700, 0), -EINVAL);
    ASSERT_EQ(CALL(dup2, 999, 1), -EBADF);
    ASSERT_EQ(CALL(dup2, (uint64_t)d, 5000), -EBADF);
    ASSERT_EQ(CALL(fcntl, (uint64_t)d, LINUX_F_DUPFD_CLOEXEC, 600), 600);
    ASSERT_EQ(CALL(fcntl, 600, LINUX_F_GETFD, 0), 1);
    ASSERT_EQ(CALL(fcntl, (uint64_t)d, LINUX_F_DUPFD, 5000), -EINVAL);
    for (int i = 0;; i++) {
        int64_t fd = CALL(dup, (uint64_t)d);
        if (fd == -EMFILE)
            break;
        ASSERT_OK(fd);
        ASSERT_LT(i, 1024);
    }
    ASSERT_OK(CALL(close, 500));
    ASSERT_EQ(CALL(dup, (uint64_t)d), 500);
    ASSERT_EQ(CALL(close_range, 10, 5, 0), -EINVAL);
    ASSERT_OK(CALL(close_range, 10, UINT32_MAX, 0));
    ASSERT_EQ(CALL(close, 10), -EBADF);
    ASSERT_EQ(CALL(dup, (uint64_t)d), 10);
    ASSERT_OK(CALL(close_range, 10, 10, LINUX_CLOSE_RANGE_CLOEXEC));
    fd_table_close_on_exec(f.t);
    ASSERT_EQ(CALL(fcntl, 10, LINUX_F_GETFD, 0), -EBADF);
    ASSERT_EQ(CALL(fcntl, (uint64_t)p[0], LINUX_F_GETFD, 0), -EBADF);
    ASSERT_EQ(CALL(fcntl, (uint64_t)d, LINUX_F_GETFD, 0), 0);
}
