/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/mqueues.c: POSIX message queues, by name and through the mounted file system, each check in
 * an IPC namespace of its own. Sources: mq_overview(7), mq_open(3), mq_send(3), mq_receive(3), mq_notify(3),
 * mq_getattr(3), getrlimit(2).
 */
#include "conform.h"

#include <dirent.h>
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>

static void own_namespace(void) {
    if (!is_root())
        check_skip("needs root for a namespace of its own");
    OK(unshare(CLONE_NEWIPC));
}

static mqd_t make(const char *name, long max, long size, int flags) {
    struct mq_attr a = {.mq_maxmsg = max, .mq_msgsize = size};
    return OK(mq_open(name, O_CREAT | O_RDWR | flags, 0600, &a));
}

static void expect(mqd_t q, const char *text, unsigned priority) {
    char b[128];
    unsigned p = 99;
    EQ(mq_receive(q, b, sizeof b, &p), (long)strlen(text));
    EQ(memcmp(b, text, strlen(text)), 0);
    EQ(p, priority);
}

CHECK(open_and_unlink) {
    struct mq_attr a;

    own_namespace();
    ERR(mq_open("/none", O_RDONLY), ENOENT);
    ERR(syscall(SYS_mq_open, "", O_RDONLY, 0, NULL), ENOENT);
    ERR(syscall(SYS_mq_open, "a/b", O_RDONLY, 0, NULL), EACCES);
    ERR(syscall(SYS_mq_open, ".", O_RDONLY, 0, NULL), EACCES);
    ERR(syscall(SYS_mq_open, "..", O_CREAT | O_RDWR, 0600, NULL), EACCES);
    ERR(syscall(SYS_mq_open, "x", O_CREAT | O_RDWR, 0600, 16), EFAULT);
    char longer[300] = "/";
    memset(longer + 1, 'a', 256);
    ERR(mq_open(longer, O_RDONLY), ENAMETOOLONG);
    mqd_t q = OK(mq_open("/q", O_CREAT | O_RDWR, 0600, NULL));
    OK(mq_getattr(q, &a));
    EQ(a.mq_maxmsg, 10);
    EQ(a.mq_msgsize, 8192);
    EQ(a.mq_curmsgs, 0);
    EQ(a.mq_flags, 0);
    EQ(fcntl(q, F_GETFD), FD_CLOEXEC);
    ERR(mq_open("/q", O_CREAT | O_EXCL | O_RDWR, 0600, NULL), EEXIST);
    ERR(mq_open("/q", O_RDWR | O_WRONLY), EINVAL);
    mqd_t again = OK(mq_open("/q", O_RDONLY | O_CREAT, 0600, NULL));
    OK(mq_send(q, "hi", 2, 3));
    char b[8192];
    EQ(mq_receive(again, b, sizeof b, NULL), 2);
    ERR(mq_send(again, "hi", 2, 0), EBADF);
    OK(mq_unlink("/q"));
    ERR(mq_unlink("/q"), ENOENT);
    ERR(mq_open("/q", O_RDONLY), ENOENT);
    OK(mq_send(q, "still", 5, 0));
    EQ(mq_receive(again, b, sizeof b, NULL), 5);
}

CHECK(attributes) {
    struct mq_attr a = {.mq_maxmsg = 0, .mq_msgsize = 8}, old;

    own_namespace();
    ERR(mq_open("/a", O_CREAT | O_RDWR, 0600, &a), EINVAL);
    a.mq_maxmsg = 70000;
    ERR(mq_open("/a", O_CREAT | O_RDWR, 0600, &a), EINVAL);
    a.mq_maxmsg = 5;
    a.mq_msgsize = 17 << 20;
    ERR(mq_open("/a", O_CREAT | O_RDWR, 0600, &a), EINVAL);
    mqd_t q = make("/a", 3, 16, O_NONBLOCK);
    OK(mq_getattr(q, &a));
    EQ(a.mq_flags, O_NONBLOCK);
    EQ(a.mq_maxmsg, 3);
    a.mq_flags = 0;
    a.mq_maxmsg = 9;
    OK(mq_setattr(q, &a, &old));
    EQ(old.mq_flags, O_NONBLOCK);
    OK(mq_getattr(q, &a));
    EQ(a.mq_flags, 0);
    EQ(a.mq_maxmsg, 3);
    a.mq_flags = O_APPEND;
    ERR(mq_setattr(q, &a, NULL), EINVAL);
    ERR(mq_getattr(0, &a), EBADF);
    ERR(mq_getattr(-1, &a), EBADF);
}

CHECK(priorities) {
    own_namespace();
    mqd_t q = make("/p", 8, 64, O_NONBLOCK);
    char b[64];
    unsigned p;
    ERR(mq_receive(q, b, sizeof b, &p), EAGAIN);
    OK(mq_send(q, "low", 3, 1));
    OK(mq_send(q, "high", 4, 30000));
    OK(mq_send(q, "low 2", 5, 1));
    OK(mq_send(q, "", 0, 7));
    OK(mq_send(q, "high 2", 6, 30000));
    ERR(mq_send(q, "x", 1, 32768), EINVAL);
    ERR(mq_send(q, b, 65, 0), EMSGSIZE);
    ERR(mq_receive(q, b, 63, &p), EMSGSIZE);
    struct mq_attr a;
    OK(mq_getattr(q, &a));
    EQ(a.mq_curmsgs, 5);
    expect(q, "high", 30000);
    expect(q, "high 2", 30000);
    expect(q, "", 7);
    expect(q, "low", 1);
    expect(q, "low 2", 1);
    for (int i = 0; i < 8; i++)
        OK(mq_send(q, "f", 1, 0));
    ERR(mq_send(q, "f", 1, 0), EAGAIN);
}

CHECK(time_outs) {
    struct timespec t, bad = {1, -1};
    char b[64];

    own_namespace();
    mqd_t q = make("/t", 1, 64, 0);
    OK(clock_gettime(CLOCK_REALTIME, &t));
    ERR(mq_timedreceive(q, b, 64, NULL, &t), ETIMEDOUT);
    ERR(mq_timedreceive(q, b, 64, NULL, &bad), EINVAL);
    ERR(syscall(SYS_mq_timedreceive, q, b, 64, NULL, 16), EFAULT);
    OK(mq_timedsend(q, "a", 1, 0, &t));
    ERR(mq_timedsend(q, "b", 1, 0, &t), ETIMEDOUT);
    ERR(mq_timedsend(q, "b", 1, 0, &bad), EINVAL);
    t.tv_nsec += 20000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    ERR(mq_timedsend(q, "b", 1, 0, &t), ETIMEDOUT);
}

static mqd_t g_q;

static void *receive_one(void *arg) {
    char b[64];
    unsigned p;
    (void)arg;
    EQ(mq_receive(g_q, b, sizeof b, &p), 4);
    return (void *)(uintptr_t)p;
}

static void *send_one(void *arg) {
    OK(mq_send(g_q, "sent", 4, 9));
    return arg;
}

CHECK(waiting) {
    pthread_t t;
    void *r;

    own_namespace();
    g_q = make("/w", 1, 64, 0);
    EQ(pthread_create(&t, NULL, receive_one, NULL), 0);
    sleep_ms(30);
    OK(mq_send(g_q, "abcd", 4, 5));
    EQ(pthread_join(t, &r), 0);
    EQ(r, 5);
    OK(mq_send(g_q, "one", 3, 5));
    EQ(pthread_create(&t, NULL, send_one, NULL), 0);
    sleep_ms(30);
    expect(g_q, "one", 5);
    EQ(pthread_join(t, &r), 0);
    expect(g_q, "sent", 9);
}

static void on_signal(int n) {
    (void)n;
}

CHECK(interrupted) {
    struct sigaction a = {.sa_handler = on_signal};
    struct itimerval v = {.it_value = {0, 30000}};
    char b[64];

    own_namespace();
    mqd_t q = make("/i", 1, 64, 0);
    OK(sigaction(SIGALRM, &a, NULL));
    OK(setitimer(ITIMER_REAL, &v, NULL));
    ERR(mq_receive(q, b, sizeof b, NULL), EINTR);
    a.sa_flags = SA_RESTART;
    OK(sigaction(SIGALRM, &a, NULL));
    OK(setitimer(ITIMER_REAL, &v, NULL));
    pid_t pid = fork();
    if (pid == 0) {
        sleep_ms(100);
        OK(mq_send(q, "go", 2, 0));
        _exit(0);
    }
    EQ(mq_receive(q, b, sizeof b, NULL), 2);
    EQ(wait_exit(pid), 0);
}

static volatile int g_signals, g_code, g_value;
static volatile pid_t g_sender;

static void on_message(int n, siginfo_t *i, void *c) {
    (void)n;
    (void)c;
    g_signals++;
    g_code = i->si_code;
    g_value = i->si_value.sival_int;
    g_sender = i->si_pid;
}

CHECK(notification) {
    struct sigaction a = {.sa_sigaction = on_message, .sa_flags = SA_SIGINFO};
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42},
                    bad = e;

    own_namespace();
    mqd_t q = make("/n", 4, 64, 0);
    OK(sigaction(SIGUSR1, &a, NULL));
    bad.sigev_notify = 77;
    ERR(mq_notify(q, &bad), EINVAL);
    bad = e;
    bad.sigev_signo = 65;
    ERR(mq_notify(q, &bad), EINVAL);
    OK(mq_notify(q, &e));
    ERR(mq_notify(q, &e), EBUSY);
    pid_t pid = fork();
    if (pid == 0) {
        ERR(mq_notify(q, &e), EBUSY);
        OK(mq_notify(q, NULL)); /* not its own: nothing */
        OK(mq_send(q, "x", 1, 0));
        OK(mq_send(q, "y", 1, 0));
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    WAIT_UNTIL(g_signals == 1);
    EQ(g_code, SI_MESGQ);
    EQ(g_value, 42);
    EQ(g_sender, pid);
    /* Used up; and set again it comes only when the queue was empty. */
    OK(mq_notify(q, &e));
    OK(mq_send(q, "z", 1, 0));
    EQ(g_signals, 1);
    expect(q, "x", 0);
    expect(q, "y", 0);
    expect(q, "z", 0);
    OK(mq_send(q, "1", 1, 0));
    EQ(g_signals, 2);
    expect(q, "1", 0);
    OK(mq_notify(q, &e));
    OK(mq_notify(q, NULL));
    OK(mq_send(q, "1", 1, 0));
    EQ(g_signals, 2);
    expect(q, "1", 0);
    e.sigev_notify = SIGEV_NONE;
    OK(mq_notify(q, &e));
    OK(mq_send(q, "1", 1, 0));
    OK(mq_notify(q, &e));
    EQ(g_signals, 2);
}

static void on_message_thread(union sigval v) {
    g_value = v.sival_int;
    g_signals++;
}

CHECK(notification_by_thread) {
    struct sigevent e = {
        .sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_message_thread, .sigev_value.sival_int = 7};

    own_namespace();
    mqd_t q = make("/n", 4, 64, 0);
    OK(mq_notify(q, &e));
    OK(mq_send(q, "x", 1, 0));
    WAIT_UNTIL(g_signals == 1);
    EQ(g_value, 7);
    expect(q, "x", 0);
    e.sigev_value.sival_int = 8;
    OK(mq_notify(q, &e));
    OK(mq_notify(q, NULL));
    OK(mq_send(q, "x", 1, 0));
    sleep_ms(20);
    EQ(g_signals, 1);
    /* Called directly, with what is no netlink socket. */
    char cookie[32] = {0};
    e.sigev_signo = 0;
    e.sigev_value.sival_ptr = cookie;
    ERR(syscall(SYS_mq_notify, q, &e), ENOTSOCK);
    e.sigev_signo = 99;
    ERR(syscall(SYS_mq_notify, q, &e), EBADF);
    e.sigev_signo = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
    ERR(syscall(SYS_mq_notify, q, &e), EINVAL);
    e.sigev_value.sival_ptr = (void *)16;
    ERR(syscall(SYS_mq_notify, q, &e), EFAULT);
}

CHECK(poll_and_epoll) {
    own_namespace();
    mqd_t q = make("/e", 1, 64, O_NONBLOCK);
    struct pollfd p = {.fd = q, .events = POLLIN | POLLOUT};
    EQ(poll(&p, 1, 0), 1);
    EQ(p.revents, POLLOUT);
    OK(mq_send(q, "a", 1, 0));
    EQ(poll(&p, 1, 0), 1);
    EQ(p.revents, POLLIN);
    int e = OK(epoll_create1(0));
    struct epoll_event ev = {.events = EPOLLIN};
    OK(epoll_ctl(e, EPOLL_CTL_ADD, q, &ev));
    EQ(epoll_wait(e, &ev, 1, 0), 1);
    expect(q, "a", 0);
    EQ(epoll_wait(e, &ev, 1, 0), 0);
}

CHECK(limits) {
    struct mq_attr a = {.mq_maxmsg = 11, .mq_msgsize = 8};
    struct rlimit l = {10000, 10000};

    own_namespace();
    pid_t pid = fork();
    if (pid == 0) {
        become_nobody();
        ERR(mq_open("/l", O_CREAT | O_RDWR, 0600, &a), EINVAL);
        a.mq_maxmsg = 1;
        a.mq_msgsize = 8193;
        ERR(mq_open("/l", O_CREAT | O_RDWR, 0600, &a), EINVAL);
        OK(setrlimit(RLIMIT_MSGQUEUE, &l));
        a.mq_msgsize = 8192;
        mqd_t q = OK(mq_open("/l", O_CREAT | O_RDWR, 0600, &a));
        ERR(mq_open("/l2", O_CREAT | O_RDWR, 0600, &a), EMFILE);
        OK(mq_unlink("/l"));
        ERR(mq_open("/l2", O_CREAT | O_RDWR, 0600, &a), EMFILE);
        OK(mq_close(q));
        OK(mq_open("/l2", O_CREAT | O_RDWR, 0600, &a));
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    make("/owned", 1, 8, 0);
    pid = fork();
    if (pid == 0) {
        become_nobody();
        ERR(mq_open("/owned", O_RDONLY), EACCES);
        ERR(mq_unlink("/owned"), EACCES);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
}

CHECK(mounted) {
    char text[256];
    struct stat s;

    own_namespace();
    OK(unshare(CLONE_NEWNS));
    OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    OK(mkdir("m", 0755));
    OK(mount("mqueue", "m", "mqueue", 0, NULL));
    OK(stat("m", &s));
    EQ(s.st_mode, S_IFDIR | S_ISVTX | 0777);
    mqd_t q = make("/seen", 4, 64, 0);
    OK(stat("m/seen", &s));
    EQ(s.st_mode, S_IFREG | 0600);
    EQ(s.st_size, 80);
    OK(mq_send(q, "hello", 5, 0));
    fputs(get_file("m/seen", text, sizeof text), stdout);
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    OK(mq_notify(q, &e));
    get_file("m/seen", text, sizeof text);
    const char *known = "QSIZE:5          NOTIFY:0     SIGNO:10    NOTIFY_PID:";
    MEMEQ(text, known, strlen(known));
    EQ(atoi(text + strlen(known)), getpid());
    OK(chmod("m/seen", 0644));
    int fd = OK(open("m/made", O_CREAT | O_RDWR, 0600));
    struct mq_attr a;
    OK(mq_getattr(fd, &a));
    EQ(a.mq_maxmsg, 10);
    OK(mq_send(fd, "by name", 7, 0));
    mqd_t other = OK(mq_open("/made", O_RDWR));
    OK(mq_getattr(other, &a));
    EQ(a.mq_curmsgs, 1);
    DIR *d = OKP(opendir("m"));
    int names = 0;
    for (struct dirent *n; (n = readdir(d));)
        names += strcmp(n->d_name, "seen") == 0 || strcmp(n->d_name, "made") == 0;
    EQ(names, 2);
    closedir(d);
    ERR(mkdir("m/dir", 0755), EPERM);
    ERR(link("m/made", "m/linked"), EPERM);
    ERR(rename("m/made", "m/moved"), EPERM);
    OK(unlink("m/made"));
    ERR(mq_open("/made", O_RDWR), ENOENT);
    OK(mq_unlink("/seen"));
    ERR(stat("m/seen", &s), ENOENT);
    OK(close(fd));
    OK(umount("m"));
}

CHECK(namespaces_are_apart) {
    own_namespace();
    mqd_t q = make("/x", 1, 8, 0);
    OK(unshare(CLONE_NEWIPC));
    ERR(mq_open("/x", O_RDWR), ENOENT);
    OK(mq_send(q, "a", 1, 0));
    make("/x", 2, 16, 0);
}

CHECK(proc_limits) {
    char text[64];

    own_namespace();
    put_file("/proc/sys/fs/mqueue/queues_max", "1");
    put_file("/proc/sys/fs/mqueue/msg_max", "20");
    STREQ(get_file("/proc/sys/fs/mqueue/msg_max", text, sizeof text), "20\n");
    pid_t pid = fork();
    if (pid == 0) {
        struct mq_attr a = {.mq_maxmsg = 20, .mq_msgsize = 8};
        become_nobody();
        OK(mq_open("/1", O_CREAT | O_RDWR, 0600, &a));
        ERR(mq_open("/2", O_CREAT | O_RDWR, 0600, &a), ENOSPC);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    OK(unshare(CLONE_NEWIPC));
    STREQ(get_file("/proc/sys/fs/mqueue/msg_max", text, sizeof text), "10\n");
}
