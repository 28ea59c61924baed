/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/aio.c: asynchronous input and output by the kernel's own calls. Sources: io_setup(2),
 * io_submit(2), io_getevents(2), io_cancel(2), io_destroy(2), <linux/aio_abi.h>.
 */
#include "conform.h"

#include <linux/aio_abi.h>
#include <sys/eventfd.h>

static aio_context_t g_ctx;

static void setup(unsigned n) {
    OK(syscall(SYS_io_setup, n, &g_ctx));
}

static long submit(struct iocb *q) {
    struct iocb *list[1] = {q};
    return syscall(SYS_io_submit, g_ctx, 1, list);
}

static long get(struct io_event *e, long min, long max, struct timespec *t) {
    return syscall(SYS_io_getevents, g_ctx, min, max, e, t);
}

CHECK(setup_and_destroy) {
    aio_context_t c = 0;

    ERR(syscall(SYS_io_setup, 0, &c), EINVAL);
    ERR(syscall(SYS_io_setup, 1, NULL), EFAULT);
    ERR(syscall(SYS_io_setup, 0x7fffffff, &c), EINVAL);
    c = 5;
    ERR(syscall(SYS_io_setup, 1, &c), EINVAL);
    c = 0;
    OK(syscall(SYS_io_setup, 8, &c));
    TRUE(c != 0);
    OK(syscall(SYS_io_destroy, c));
    ERR(syscall(SYS_io_destroy, c), EINVAL);
    ERR(syscall(SYS_io_submit, c, 0, NULL), EINVAL);
    ERR(syscall(SYS_io_getevents, c, 0, 1, NULL, NULL), EINVAL);
}

CHECK(read_and_write) {
    char in[16] = {0};
    struct io_event e[4];
    int fd = make_file("f", "");
    struct iocb w = {.aio_data = 11,
                     .aio_lio_opcode = IOCB_CMD_PWRITE,
                     .aio_fildes = fd,
                     .aio_buf = (uintptr_t) "hello",
                     .aio_nbytes = 5,
                     .aio_offset = 2};
    struct iocb r = {.aio_data = 12,
                     .aio_lio_opcode = IOCB_CMD_PREAD,
                     .aio_fildes = fd,
                     .aio_buf = (uintptr_t)in,
                     .aio_nbytes = 16};

    setup(4);
    EQ(submit(&w), 1);
    EQ(get(e, 1, 4, NULL), 1);
    EQ(e[0].data, 11);
    EQ(e[0].obj, (uintptr_t)&w);
    EQ(e[0].res, 5);
    EQ(e[0].res2, 0);
    EQ(submit(&r), 1);
    EQ(get(e, 1, 4, NULL), 1);
    EQ(e[0].res, 7);
    MEMEQ(in, "\0\0hello", 7);
    struct iovec v[2] = {{in, 3}, {in + 8, 8}};
    struct iocb rv = {.aio_lio_opcode = IOCB_CMD_PREADV,
                      .aio_fildes = fd,
                      .aio_buf = (uintptr_t)v,
                      .aio_nbytes = 2,
                      .aio_offset = 1};
    struct iocb sync = {.aio_lio_opcode = IOCB_CMD_FSYNC, .aio_fildes = fd};
    struct iocb *two[2] = {&rv, &sync};
    EQ(syscall(SYS_io_submit, g_ctx, 2, two), 2);
    EQ(get(e, 2, 4, NULL), 2);
    EQ(e[0].res + e[1].res, 6);
    MEMEQ(in, "\0he", 3);
    MEMEQ(in + 8, "llo", 3);
}

CHECK(refusals) {
    char in[16];
    int fd = make_file("f", "abc"), ro = OK(open("f", O_RDONLY));
    struct iocb q = {.aio_lio_opcode = IOCB_CMD_PREAD,
                     .aio_fildes = 99,
                     .aio_buf = (uintptr_t)in,
                     .aio_nbytes = 4},
                good = q;
    struct io_event e;
    struct timespec none = {0, 0};

    setup(1);
    ERR(submit(&q), EBADF);
    q.aio_fildes = fd;
    q.aio_lio_opcode = 77;
    ERR(submit(&q), EINVAL);
    q.aio_lio_opcode = IOCB_CMD_NOOP;
    ERR(submit(&q), EINVAL);
    q.aio_lio_opcode = IOCB_CMD_PWRITE;
    q.aio_fildes = ro;
    ERR(submit(&q), EBADF);
    q.aio_reserved2 = 1;
    ERR(submit(&q), EINVAL);
    q.aio_reserved2 = 0;
    q.aio_nbytes = -1;
    ERR(submit(&q), EINVAL);
    ERR(submit((void *)16), EFAULT);
    ERR(syscall(SYS_io_submit, g_ctx, 1, 16), EFAULT);
    ERR(syscall(SYS_io_submit, g_ctx, -1l, &q), EINVAL);
    EQ(syscall(SYS_io_submit, g_ctx, 0, NULL), 0);
    good.aio_fildes = fd;
    struct iocb *list[2] = {&good, &q};
    EQ(syscall(SYS_io_submit, g_ctx, 2, list), 1); /* the second is refused, the first is on its way */
    EQ(get(&e, 1, 1, NULL), 1);
    EQ(e.res, 3);
    good.aio_buf = 16;
    EQ(submit(&good), 1);
    EQ(get(&e, 1, 1, NULL), 1);
    EQ(e.res, -EFAULT);
    EQ(get(&e, 1, 1, &none), 0);
    ERR(get(&e, 2, 1, NULL), EINVAL);
    ERR(get(&e, -1, 1, NULL), EINVAL);
}

CHECK(eventfd_is_told) {
    int fd = make_file("f", "abc"), tell = OK(eventfd(0, 0));
    char in[16];
    uint64_t count;
    struct iocb q = {.aio_lio_opcode = IOCB_CMD_PREAD,
                     .aio_fildes = fd,
                     .aio_buf = (uintptr_t)in,
                     .aio_nbytes = 4,
                     .aio_flags = IOCB_FLAG_RESFD,
                     .aio_resfd = tell};
    struct io_event e[2];

    setup(4);
    EQ(submit(&q), 1);
    EQ(submit(&q), 1);
    EQ(get(e, 2, 2, NULL), 2);
    EQ(read(tell, &count, 8), 8);
    EQ(count, 2);
    q.aio_resfd = fd;
    ERR(submit(&q), EINVAL);
    q.aio_resfd = 99;
    ERR(submit(&q), EBADF);
}

CHECK(poll_waits) {
    int p[2];
    struct io_event e;
    struct timespec soon = {0, 20000000};

    OK(pipe(p));
    setup(4);
    struct iocb q = {.aio_data = 3, .aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = p[0], .aio_buf = POLLIN};
    EQ(submit(&q), 1);
    EQ(get(&e, 1, 1, &soon), 0);
    pid_t pid = fork();
    if (pid == 0) {
        sleep_ms(30);
        OK(write(p[1], "x", 1));
        _exit(0);
    }
    EQ(get(&e, 1, 1, NULL), 1);
    EQ(e.data, 3);
    EQ(e.res, POLLIN | 0x40 /* POLLRDNORM: as the pipe said it */);
    EQ(wait_exit(pid), 0);
    EQ(submit(&q), 1); /* it is there already */
    EQ(get(&e, 1, 1, NULL), 1);
    EQ(e.res, POLLIN);
    q.aio_buf = POLLIN | (1ul << 32);
    ERR(submit(&q), EINVAL);
}

static void on_signal(int n) {
    (void)n;
}

CHECK(interrupted) {
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct itimerval v = {.it_value = {0, 30000}};
    struct io_event e;

    setup(1);
    OK(sigaction(SIGALRM, &a, NULL));
    OK(setitimer(ITIMER_REAL, &v, NULL));
    ERR(get(&e, 1, 1, NULL), EINTR);
}

CHECK(forked_child_has_no_contexts) {
    setup(1);
    pid_t pid = fork();
    if (pid == 0) {
        ERR(syscall(SYS_io_destroy, g_ctx), EINVAL);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    OK(syscall(SYS_io_destroy, g_ctx));
}
