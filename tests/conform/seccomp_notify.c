/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/seccomp_notify.c: calls that a supervisor answers. Source: seccomp_unotify(2).
 */
#include "conform.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)
#endif

/* A listener for getppid, with these further flags. */
static int listen_for(int nr, unsigned flags) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog prog = {4, f};
    OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags,
                        &prog);
}

static int g_socket[2];

static void send_fd(int fd) {
    char c = 'x', control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec v = {&c, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(h), &fd, sizeof fd);
    OK(sendmsg(g_socket[1], &m, 0));
}

static int receive_fd(void) {
    char c, control[CMSG_SPACE(sizeof(int))];
    struct iovec v = {&c, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd;
    OK(recvmsg(g_socket[0], &m, 0));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

/* A child that installs the filter, sends its listener and then runs fn. */
static pid_t supervised(unsigned flags, int (*fn)(void), int *listener) {
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, g_socket));
    fflush(stdout);
    pid_t pid = OK(fork());
    if (pid == 0) {
        int fd = OK(listen_for(SYS_getppid, flags));
        send_fd(fd);
        close(fd);
        _exit(fn());
    }
    *listener = receive_fd();
    return pid;
}

static struct seccomp_notif receive(int listener) {
    struct seccomp_notif n;
    memset(&n, 0, sizeof n);
    OK(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n));
    return n;
}

static void reply(int listener, uint64_t id, int64_t val, int32_t error, uint32_t flags) {
    struct seccomp_notif_resp r = {id, val, error, flags};
    OK(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r));
}

static int calls_once(void) {
    long r = syscall(SYS_getppid, 1, 2, 3, 4, 5, 6);
    return r == 123 ? 10 : r < 0 && errno == 44 ? 11 : r > 0 ? 12 : 13;
}

CHECK(an_answer_is_the_result) {
    int l;
    pid_t pid = supervised(0, calls_once, &l);
    struct seccomp_notif n = receive(l);
    EQ(n.pid, pid);
    EQ(n.flags, 0);
    EQ(n.data.nr, SYS_getppid);
    EQ(n.data.arch, AUDIT_ARCH_X86_64);
    for (int i = 0; i < 6; i++)
        EQ(n.data.args[i], i + 1);
    OK(ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
    reply(l, n.id, 123, 0, 0);
    EQ(wait_exit(pid), 10);
}

CHECK(an_answer_is_an_error) {
    int l;
    pid_t pid = supervised(0, calls_once, &l);
    reply(l, receive(l).id, 0, -44, 0);
    EQ(wait_exit(pid), 11);
}

CHECK(an_answer_is_to_continue) {
    int l;
    pid_t pid = supervised(0, calls_once, &l);
    reply(l, receive(l).id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
    EQ(wait_exit(pid), 12);
}

CHECK(answers_are_checked) {
    int l;
    pid_t pid = supervised(0, calls_once, &l);
    struct seccomp_notif n = receive(l), dirty = {.id = 1};
    struct seccomp_notif_resp r = {n.id, 0, 0, 2};
    ERR(ioctl(l, SECCOMP_IOCTL_NOTIF_RECV, &dirty), EINVAL);
    ERR(ioctl(l, SECCOMP_IOCTL_NOTIF_RECV, NULL), EFAULT);
    ERR(ioctl(l, SECCOMP_IOCTL_NOTIF_SEND, &r), EINVAL);
    r = (struct seccomp_notif_resp){n.id, 1, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    ERR(ioctl(l, SECCOMP_IOCTL_NOTIF_SEND, &r), EINVAL);
    r = (struct seccomp_notif_resp){n.id + 1, 0, 0, 0};
    ERR(ioctl(l, SECCOMP_IOCTL_NOTIF_SEND, &r), ENOENT);
    uint64_t other = n.id + 1;
    ERR(ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &other), ENOENT);
    ERR(ioctl(l, 0xc0042177, &other), EINVAL);
    r = (struct seccomp_notif_resp){n.id, 123, 0, 0};
    OK(ioctl(l, SECCOMP_IOCTL_NOTIF_SEND, &r));
    int64_t again = ioctl(l, SECCOMP_IOCTL_NOTIF_SEND, &r);
    TRUE(again == -1 && (errno == EINPROGRESS || errno == ENOENT));
    EQ(wait_exit(pid), 10);
}

CHECK(a_second_listener_is_refused) {
    OK(listen_for(SYS_getppid, 0));
    ERR(listen_for(SYS_getppid, 0), EBUSY);
}

CHECK(without_a_supervisor_there_is_no_call) {
    close(OK(listen_for(SYS_getppid, 0)));
    ERR(syscall(SYS_getppid), ENOSYS);
}

static int calls_and_lives(void) {
    long r = syscall(SYS_getppid);
    return r < 0 && errno == ENOSYS ? 14 : 15;
}

CHECK(a_supervisor_that_goes_away_wakes_the_caller) {
    int l;
    pid_t pid = supervised(0, calls_and_lives, &l);
    (void)receive(l);
    close(l);
    EQ(wait_exit(pid), 14);
}

CHECK(poll_tells) {
    int l;
    pid_t pid = supervised(0, calls_once, &l);
    struct pollfd p = {l, POLLIN | POLLOUT, 0};
    WAIT_UNTIL(poll(&p, 1, 0) == 1);
    EQ(p.revents, POLLIN);
    struct seccomp_notif n = receive(l);
    EQ(poll(&p, 1, 0), 1);
    EQ(p.revents, POLLOUT);
    reply(l, n.id, 123, 0, 0);
    EQ(wait_exit(pid), 10);
    WAIT_UNTIL(poll(&p, 1, 0) == 1 && p.revents == POLLHUP);
}

static int installs_nothing(void) {
    long r = syscall(SYS_getppid);
    char c;
    if (r < 0)
        return 100;
    struct stat st;
    if (fstat((int)r, &st) < 0)
        return 101;
    return pread((int)r, &c, 1, 0) == 1 && c == 'f' ? (int)r : 102;
}

static void add(int l, uint64_t id, uint32_t flags, int srcfd, int newfd, uint32_t newfd_flags, int want,
                int error) {
    struct seccomp_notif_addfd a = {.id = id,
                                    .flags = flags,
                                    .srcfd = (uint32_t)srcfd,
                                    .newfd = (uint32_t)newfd,
                                    .newfd_flags = newfd_flags};
    int r = ioctl(l, SECCOMP_IOCTL_NOTIF_ADDFD, &a);
    if (error) {
        EQ(r, -1);
        EQ(errno, error);
    } else {
        EQ(r, want);
    }
}

CHECK(descriptors_can_be_added) {
    int l, file = make_file("f", "file");
    pid_t pid = supervised(0, installs_nothing, &l);
    struct seccomp_notif n = receive(l);
    add(l, n.id, 4, file, 0, 0, 0, EINVAL);
    add(l, n.id, 0, file, 7, 0, 0, EINVAL);
    add(l, n.id, 0, file, 0, 1, 0, EINVAL);
    add(l, n.id, 0, 999, 0, 0, 0, EBADF);
    add(l, n.id + 1, 0, file, 0, 0, 0, ENOENT);
    struct seccomp_notif_addfd a = {.id = n.id, .srcfd = (uint32_t)file};
    int fd = OK(ioctl(l, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
    add(l, n.id, SECCOMP_ADDFD_FLAG_SETFD, file, 50, O_CLOEXEC, 50, 0);
    reply(l, n.id, 50, 0, 0);
    EQ(wait_exit(pid), 50);
    TRUE(fd > 2 && fd < 50);
}

CHECK(a_descriptor_can_be_the_answer) {
    int l, file = make_file("f", "file");
    pid_t pid = supervised(0, installs_nothing, &l);
    struct seccomp_notif n = receive(l);
    add(l, n.id, SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND, file, 60, 0, 60, 0);
    EQ(wait_exit(pid), 60);
}

static void on_signal(int signo) {
    (void)signo;
}

static int calls_with_a_handler(void) {
    struct sigaction sa = {.sa_handler = on_signal};
    OK(sigaction(SIGUSR1, &sa, NULL));
    long r = syscall(SYS_getppid);
    return r < 0 && errno == EINTR ? 20 : r == 123 ? 21 : 22;
}

CHECK(a_signal_interrupts_the_wait) {
    int l;
    pid_t pid = supervised(0, calls_with_a_handler, &l);
    struct seccomp_notif n = receive(l);
    OK(kill(pid, SIGUSR1));
    EQ(wait_exit(pid), 20);
    ERR(ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id), ENOENT);
}

CHECK(once_received_a_killable_wait_is_not_interrupted) {
    int l;
    pid_t pid = supervised(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, calls_with_a_handler, &l);
    struct seccomp_notif n = receive(l);
    OK(kill(pid, SIGUSR1));
    sleep_ms(50);
    OK(ioctl(l, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
    reply(l, n.id, 123, 0, 0);
    EQ(wait_exit(pid), 21);
}

CHECK(a_caller_can_be_killed) {
    int l;
    pid_t pid = supervised(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, calls_once, &l);
    struct seccomp_notif n = receive(l);
    OK(kill(pid, SIGKILL));
    EQ(wait_status(pid), SIGKILL);
    struct seccomp_notif_resp r = {n.id, 0, 0, 0};
    ERR(ioctl(l, SECCOMP_IOCTL_NOTIF_SEND, &r), ENOENT);
}

static int calls_many(void) {
    for (int i = 0; i < 200; i++)
        if (syscall(SYS_getppid, i) != i + 1000)
            return 1;
    return 30;
}

CHECK(many_calls_and_callers) {
    int l;
    pid_t pid = supervised(0, calls_many, &l);
    for (int i = 0; i < 200; i++) {
        struct seccomp_notif n = receive(l);
        reply(l, n.id, (int64_t)n.data.args[0] + 1000, 0, 0);
    }
    EQ(wait_exit(pid), 30);
}
