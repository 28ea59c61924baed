/* SPDX-License-Identifier: Apache-2.0
 * tests/escape/resources.c: a guest that takes all it can get: processes, threads, descriptors, memory,
 * mappings, signals, locks.
 */
#include "attack.h"

#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

static void bomb(uint64_t unused) {
    (void)unused;
    setrlimit(RLIMIT_NPROC, &(struct rlimit){200, 200});
    setresuid(54321, 54321, 54321);
    for (;;)
        fork();
}

CHECK(fork_bomb) {
    if (!is_root())
        check_skip("geteuid: not root");
    attack_in_child(bomb, 0, 1500);
    /* Its children are in its group no longer than it takes to kill them. */
    for (int i = 0; i < 200; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            setresuid(54321, 54321, 54321);
            kill(-1, SIGKILL);
            _exit(0);
        }
        if (pid > 0)
            waitpid(pid, NULL, 0);
        if (setrlimit(RLIMIT_NPROC, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0 && i > 20)
            break;
    }
    still_alive();
}

static void threads(uint64_t unused) {
    pthread_attr_t a;
    pthread_t t;
    int n = 0;

    (void)unused;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 65536);
    while (n < 3000 && pthread_create(&t, &a, (void *(*)(void *))(uintptr_t)pause, NULL) == 0)
        n++;
}

CHECK(thousands_of_threads) {
    attack_in_child(threads, 0, 25000);
    still_alive();
}

CHECK(ten_thousand_descriptors) {
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){12000, 12000});
    int ep = OK(epoll_create1(0)), n = 0;

    for (; n < 10000; n++) {
        int fd = n % 3 == 0 ? eventfd(0, 0) : n % 3 == 1 ? dup(0) : open("/dev/null", O_RDONLY);
        if (fd < 0)
            break;
        struct epoll_event e = {EPOLLIN, {.fd = fd}};
        if (n % 3 == 0)
            OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    }
    TRUE(n > 1000);
    static struct pollfd all[12000];
    for (int i = 0; i < 10000; i++)
        all[i] = (struct pollfd){i, POLLIN, 0};
    OK(poll(all, 10000, 0));
    OK(syscall(SYS_close_range, 20u, ~0u, 0));
    still_alive();
}

static void eat(uint64_t unused) {
    (void)unused;
    syscall(SYS_prlimit64, 0, RLIMIT_AS, (uint64_t[]){1ull << 30, 1ull << 30}, NULL);
    for (;;) {
        char *p =
            mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (p == MAP_FAILED)
            _exit(3);
    }
}

CHECK(address_space_limit_holds) {
    int status = attack_in_child(eat, 0, 20000);

    TRUE(WIFEXITED(status));
    EQ(WEXITSTATUS(status), 3);
    still_alive();
}

static void map_much(uint64_t unused) {
    (void)unused;
    for (int i = 0; i < 200000; i++)
        if (mmap(NULL, 4096, i & 1 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                 0) == MAP_FAILED)
            break;
}

CHECK(mappings_without_number) {
    attack_in_child(map_much, 0, 20000);
    still_alive();
}

CHECK(huge_vectors) {
    static struct iovec v[1024];
    static char b[64];
    int fd = OK(open("f", O_RDWR | O_CREAT, 0600));

    for (int i = 0; i < 1024; i++)
        v[i] = (struct iovec){b, i % 2 ? 0x7ffff000 : 64};
    TRUE(writev(fd, v, 1024) != 0);
    for (int i = 0; i < 1024; i++)
        v[i] = (struct iovec){b, SIZE_MAX};
    ERR(readv(fd, v, 1024), EINVAL);
    TRUE(process_vm_readv(getpid(), v, 1024, v, 1024, 0) < 0);
    struct msghdr m = {.msg_iov = v, .msg_iovlen = SIZE_MAX, .msg_control = b, .msg_controllen = SIZE_MAX};
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    TRUE(sendmsg(s[0], &m, 0) < 0);
    TRUE(recvmsg(s[0], &m, MSG_DONTWAIT) < 0);
    still_alive();
}

CHECK(sockets_in_sockets) {
    int s[2], previous = -1;

    for (int i = 0; i < 300; i++) {
        OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
        char control[CMSG_SPACE(2 * sizeof(int))] = {0};
        struct iovec v = {(void *)"x", 1};
        struct msghdr m = {
            .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(2 * sizeof(int));
        memcpy(CMSG_DATA(c), (int[]){s[1], previous >= 0 ? previous : s[0]}, 2 * sizeof(int));
        sendmsg(s[0], &m, MSG_DONTWAIT);
        if (previous >= 0)
            close(previous);
        close(s[1]);
        previous = s[0];
    }
    close(previous);
    still_alive();
}

CHECK(queued_signals_are_bounded) {
    sigset_t all;
    int n = 0;

    sigfillset(&all);
    OK(sigprocmask(SIG_BLOCK, &all, NULL));
    while (n < 2000000 && sigqueue(getpid(), SIGRTMIN + n % 20, (union sigval){.sival_int = n}) == 0)
        n++;
    TRUE(n < 2000000);
    EQ(errno, EAGAIN);
    still_alive();
}

CHECK(futex_waiters_killed) {
    static uint32_t word;
    pid_t pids[50];

    for (int i = 0; i < 50; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            for (int k = 0; k < 10; k++)
                pthread_create(&(pthread_t){0}, NULL, (void *(*)(void *))(uintptr_t)pause, NULL);
            syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
            _exit(0);
        }
    }
    for (int i = 0; i < 50; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    still_alive();
}

CHECK(sparse_and_big_files) {
    int fd = OK(open("sparse", O_RDWR | O_CREAT, 0600));

    ftruncate(fd, 1ll << 50);
    pwrite(fd, "x", 1, (1ll << 50) - 1);
    ftruncate(fd, 0);
    char name[64];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "n%d", i);
        close(open(name, O_WRONLY | O_CREAT, 0600));
    }
    still_alive();
}
