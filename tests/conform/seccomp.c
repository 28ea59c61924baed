/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/seccomp.c: strict mode, filters, their actions, limits, threads, inheritance. User
 * notification is in seccomp_notify.c, the tracer's side in ptrace_calls.c. Sources: seccomp(2), prctl(2).
 */
#include "conform.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <ucontext.h>

#define LOAD(field)             BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(value)           BPF_STMT(BPF_RET | BPF_K, value)
#define IF_EQUAL(value, jt, jf) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, jt, jf)

static long seccomp_call(unsigned op, unsigned flags, void *args) {
    return syscall(SYS_seccomp, op, flags, args);
}

static long install_flags(const struct sock_filter *f, unsigned count, unsigned flags) {
    struct sock_fprog prog = {(unsigned short)count, (struct sock_filter *)f};
    return seccomp_call(SECCOMP_SET_MODE_FILTER, flags, &prog);
}

static long install(const struct sock_filter *f, unsigned count) {
    return install_flags(f, count, 0);
}
#define INSTALL(...)                                                                                         \
    ({                                                                                                       \
        struct sock_filter f_[] = {__VA_ARGS__};                                                             \
        install(f_, sizeof f_ / sizeof f_[0]);                                                               \
    })

static void no_new_privs(void) {
    OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* A filter that does `action` for getppid and lets all else through. */
static void forbid_getppid(uint32_t action) {
    no_new_privs();
    OK(INSTALL(LOAD(nr), IF_EQUAL(SYS_getppid, 0, 1), RETURN(action), RETURN(SECCOMP_RET_ALLOW)));
}

static void call_getppid(void *arg) {
    forbid_getppid((uint32_t)(uintptr_t)arg);
    syscall(SYS_getppid);
    _exit(7);
}

static int status_under(uint32_t action) {
    return wait_status(spawn(call_getppid, (void *)(uintptr_t)action));
}

CHECK(arguments_are_checked) {
    struct sock_filter allow = RETURN(SECCOMP_RET_ALLOW);
    uint32_t action = SECCOMP_RET_ALLOW, unknown = 0x1230000;
    struct sock_fprog none = {0, &allow}, nowhere = {1, (void *)16}, null = {1, NULL},
                      long_one = {BPF_MAXINSNS + 1, &allow};

    ERR(seccomp_call(99, 0, NULL), EINVAL);
    ERR(seccomp_call(SECCOMP_SET_MODE_STRICT, 1, NULL), EINVAL);
    ERR(seccomp_call(SECCOMP_SET_MODE_STRICT, 0, &allow), EINVAL);
    ERR(seccomp_call(SECCOMP_SET_MODE_FILTER, 0x8000, &none), EINVAL);
    ERR(seccomp_call(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_NEW_LISTENER,
                     &none),
        EINVAL);
    ERR(seccomp_call(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &none), EINVAL);
    ERR(seccomp_call(SECCOMP_SET_MODE_FILTER, 0, NULL), EFAULT);
    ERR(seccomp_call(SECCOMP_SET_MODE_FILTER, 0, &none), EINVAL);
    ERR(seccomp_call(SECCOMP_SET_MODE_FILTER, 0, &long_one), EINVAL);
    no_new_privs();
    ERR(seccomp_call(SECCOMP_SET_MODE_FILTER, 0, &nowhere), EFAULT);
    ERR(seccomp_call(SECCOMP_SET_MODE_FILTER, 0, &null), EINVAL);
    OK(seccomp_call(SECCOMP_GET_ACTION_AVAIL, 0, &action));
    ERR(seccomp_call(SECCOMP_GET_ACTION_AVAIL, 0, &unknown), EOPNOTSUPP);
    ERR(seccomp_call(SECCOMP_GET_ACTION_AVAIL, 1, &action), EINVAL);
    ERR(seccomp_call(SECCOMP_GET_ACTION_AVAIL, 0, NULL), EFAULT);
    ERR(prctl(PR_SET_SECCOMP, 99, 0, 0, 0), EINVAL);
    EQ(prctl(PR_GET_SECCOMP), 0);
}

CHECK(sizes_of_notifications) {
    struct seccomp_notif_sizes sizes;

    OK(seccomp_call(SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
    EQ(sizes.seccomp_notif, 80);
    EQ(sizes.seccomp_notif_resp, 24);
    EQ(sizes.seccomp_data, 64);
    ERR(seccomp_call(SECCOMP_GET_NOTIF_SIZES, 1, &sizes), EINVAL);
    ERR(seccomp_call(SECCOMP_GET_NOTIF_SIZES, 0, NULL), EFAULT);
}

CHECK(without_privilege_no_new_privs_is_needed) {
    become_nobody();
    ERR(INSTALL(RETURN(SECCOMP_RET_ALLOW)), EACCES);
    no_new_privs();
    OK(INSTALL(RETURN(SECCOMP_RET_ALLOW)));
    EQ(prctl(PR_GET_SECCOMP), 2);
}

static void bad(struct sock_filter f) {
    ERR(INSTALL(f, RETURN(SECCOMP_RET_ALLOW)), EINVAL);
}

static void good(struct sock_filter f) {
    OK(INSTALL(f, RETURN(SECCOMP_RET_ALLOW)));
}
#define STMT(code, k)         (struct sock_filter) BPF_STMT(code, k)
#define JUMP(code, k, jt, jf) (struct sock_filter) BPF_JUMP(code, k, jt, jf)

CHECK(programs_are_checked) {
    no_new_privs();
    bad(STMT(BPF_LD | BPF_W | BPF_ABS, 64));
    bad(STMT(BPF_LD | BPF_W | BPF_ABS, 62));
    bad(STMT(BPF_LD | BPF_W | BPF_ABS, 0xfffffffc));
    bad(STMT(BPF_LD | BPF_H | BPF_ABS, 0));
    bad(STMT(BPF_LD | BPF_B | BPF_ABS, 0));
    bad(STMT(BPF_LD | BPF_W | BPF_IND, 0));
    bad(STMT(BPF_LDX | BPF_B | BPF_MSH, 0));
    bad(STMT(BPF_LD | BPF_MEM, 0)); /* not written */
    bad(STMT(BPF_ST, 16));
    bad(STMT(BPF_ALU | BPF_DIV | BPF_K, 0));
    bad(STMT(BPF_ALU | BPF_MOD | BPF_K, 3));
    bad(STMT(BPF_ALU | BPF_LSH | BPF_K, 32));
    bad(STMT(BPF_ALU | BPF_RSH | BPF_K, 32));
    bad(STMT(BPF_RET | BPF_X, 0));
    bad(STMT(0xffff, 0));
    bad(STMT(BPF_JMP | BPF_JA, 1));
    bad(STMT(BPF_JMP | BPF_JA, 0xffffffff));
    bad(JUMP(BPF_JMP | BPF_JEQ, 0, 1, 0));
    bad(JUMP(BPF_JMP | BPF_JEQ, 0, 0, 1));
    bad(JUMP(BPF_JMP | 0x50, 0, 0, 0));
    ERR(INSTALL(STMT(BPF_LD | BPF_IMM, 1)), EINVAL);
    good(STMT(BPF_LD | BPF_W | BPF_ABS, 60));
    good(STMT(BPF_LD | BPF_W | BPF_LEN, 0));
    good(STMT(BPF_LDX | BPF_W | BPF_LEN, 0));
    good(STMT(BPF_LDX | BPF_IMM, 9));
    good(STMT(BPF_ST, 15));
    good(STMT(BPF_ALU | BPF_NEG, 0));
    good(STMT(BPF_ALU | BPF_XOR | BPF_X, 0));
    good(STMT(BPF_ALU | BPF_LSH | BPF_K, 31));
    good(STMT(BPF_MISC | BPF_TAX, 0));
    good(JUMP(BPF_JMP | BPF_JSET | BPF_X, 0, 0, 0));
}

CHECK(memory_words_must_be_written_on_every_way) {
    no_new_privs();
    ERR(INSTALL(LOAD(nr), IF_EQUAL(1, 0, 1), STMT(BPF_ST, 3), STMT(BPF_LD | BPF_MEM, 3),
                RETURN(SECCOMP_RET_ALLOW)),
        EINVAL);
    OK(INSTALL(LOAD(nr), IF_EQUAL(1, 0, 2), STMT(BPF_ST, 3), STMT(BPF_JMP | BPF_JA, 1), STMT(BPF_STX, 3),
               STMT(BPF_LD | BPF_MEM, 3), RETURN(SECCOMP_RET_ALLOW)));
}

static void die_strictly(void *arg) {
    if (arg)
        OK(seccomp_call(SECCOMP_SET_MODE_STRICT, 0, NULL));
    else
        OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
    syscall(SYS_getpid);
    syscall(SYS_exit, 3);
}

static void live_strictly(void *arg) {
    (void)arg;
    OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
    syscall(SYS_write, 1, "still writing\n", 14);
    syscall(SYS_exit, 3);
}

CHECK(strict_mode) {
    fflush(stdout);
    EQ(wait_status(spawn(live_strictly, NULL)), 3 << 8);
    EQ(wait_status(spawn(die_strictly, NULL)), SIGKILL);
    EQ(wait_status(spawn(die_strictly, "by seccomp")), SIGKILL);
}

CHECK(strict_mode_is_not_for_the_filtered) {
    no_new_privs();
    OK(INSTALL(RETURN(SECCOMP_RET_ALLOW)));
    ERR(seccomp_call(SECCOMP_SET_MODE_STRICT, 0, NULL), EINVAL);
    ERR(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), EINVAL);
}

CHECK(actions_that_end) {
    struct rlimit {
        unsigned long a, b;
    } none = {0, 0};

    OK(syscall(SYS_setrlimit, 4, &none)); /* no core file */
    EQ(status_under(SECCOMP_RET_KILL_PROCESS), SIGSYS);
    EQ(status_under(SECCOMP_RET_KILL_THREAD), SIGSYS);
    EQ(status_under(0x12340000), SIGSYS); /* unknown: as kill process */
    EQ(status_under(SECCOMP_RET_ALLOW), 7 << 8);
    EQ(status_under(SECCOMP_RET_LOG), 7 << 8);
}

static void *thread_calls(void *arg) {
    syscall(SYS_getppid);
    return arg;
}

static void kill_thread_only(void *arg) {
    pthread_t t;
    (void)arg;
    forbid_getppid(SECCOMP_RET_KILL_THREAD);
    EQ(pthread_create(&t, NULL, thread_calls, NULL), 0);
    sleep_ms(50);
    _exit(5); /* joining would wait for a thread that never said good-bye */
}

CHECK(kill_thread_leaves_the_others) {
    EQ(wait_status(spawn(kill_thread_only, NULL)), 5 << 8);
}

CHECK(errno_action) {
    forbid_getppid(SECCOMP_RET_ERRNO | 77);
    ERR(syscall(SYS_getppid), 77);
    OK(INSTALL(LOAD(nr), IF_EQUAL(SYS_getuid, 0, 1), RETURN(SECCOMP_RET_ERRNO | 0xffff),
               RETURN(SECCOMP_RET_ALLOW)));
    ERR(syscall(SYS_getuid), 4095);
    OK(INSTALL(LOAD(nr), IF_EQUAL(SYS_geteuid, 0, 1), RETURN(SECCOMP_RET_ERRNO), RETURN(SECCOMP_RET_ALLOW)));
    EQ(syscall(SYS_geteuid), 0);
}

CHECK(trace_action_without_a_tracer) {
    forbid_getppid(SECCOMP_RET_TRACE | 5);
    ERR(syscall(SYS_getppid), ENOSYS);
}

CHECK(notification_action_without_a_listener) {
    forbid_getppid(SECCOMP_RET_USER_NOTIF);
    ERR(syscall(SYS_getppid), ENOSYS);
}

static siginfo_t g_info;
static greg_t g_rax, g_rip;
static _Atomic int g_traps;

static void on_sigsys(int signo, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    (void)signo;
    g_info = *info;
    g_rax = u->uc_mcontext.gregs[REG_RAX];
    g_rip = u->uc_mcontext.gregs[REG_RIP];
    g_traps++;
    u->uc_mcontext.gregs[REG_RAX] = 4711;
}

CHECK(trap_action) {
    struct sigaction sa = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGSYS, &sa, NULL));
    forbid_getppid(SECCOMP_RET_TRAP | 99);
    EQ(syscall(SYS_getppid), 4711);
    EQ(g_traps, 1);
    EQ(g_info.si_signo, SIGSYS);
    EQ(g_info.si_code, 1);
    EQ(g_info.si_errno, 99);
    EQ(g_info.si_syscall, SYS_getppid);
    EQ(g_info.si_arch, AUDIT_ARCH_X86_64);
    EQ((uintptr_t)g_info.si_call_addr, g_rip);
    EQ(g_rax, SYS_getppid);
    EQ(((unsigned char *)g_rip)[-2], 0x0f);
    EQ(((unsigned char *)g_rip)[-1], 0x05);
}

CHECK(trap_action_blocked_or_without_handler_ends) {
    EQ(status_under(SECCOMP_RET_TRAP), SIGSYS | 0x80 * !!WCOREDUMP(status_under(SECCOMP_RET_TRAP)));
}

CHECK(a_hot_call_is_filtered_too) {
    for (int i = 0; i < 100; i++) /* a platform may have taken short cuts by now */
        TRUE(syscall(SYS_getppid) >= 0);
    forbid_getppid(SECCOMP_RET_ERRNO | 77);
    for (int i = 0; i < 100; i++)
        ERR(syscall(SYS_getppid), 77);
}

CHECK(getpid_after_a_filter) {
    for (int i = 0; i < 100; i++)
        TRUE(syscall(SYS_getpid) > 0 && getpid() > 0);
    no_new_privs();
    OK(INSTALL(LOAD(nr), IF_EQUAL(SYS_getpid, 0, 1), RETURN(SECCOMP_RET_ERRNO | 78),
               RETURN(SECCOMP_RET_ALLOW)));
    for (int i = 0; i < 100; i++) {
        ERR(syscall(SYS_getpid), 78);
        EQ(getpid(), -78);
    }
}

CHECK(data_of_the_call) {
    no_new_privs();
    OK(INSTALL(LOAD(arch), IF_EQUAL(AUDIT_ARCH_X86_64, 1, 0), RETURN(SECCOMP_RET_KILL_PROCESS), LOAD(nr),
               IF_EQUAL(SYS_prctl, 0, 5), STMT(BPF_LD | BPF_W | BPF_ABS, 16), IF_EQUAL(0x01234567, 0, 3),
               STMT(BPF_LD | BPF_W | BPF_ABS, 20), IF_EQUAL(0x89abcdef, 0, 1), RETURN(SECCOMP_RET_ERRNO | 55),
               RETURN(SECCOMP_RET_ALLOW)));
    ERR(syscall(SYS_prctl, 0x89abcdef01234567, 0, 0, 0, 0), 55);
    ERR(syscall(SYS_prctl, 0x89abcdee01234567, 0, 0, 0, 0), EINVAL);
}

CHECK(all_six_arguments) {
    for (int i = 0; i < 6; i++) {
        int fds[2];
        OK(pipe(fds));
        if (fork() == 0) {
            unsigned long args[6] = {0};
            args[i] = 0x1234;
            no_new_privs();
            OK(INSTALL(LOAD(nr), IF_EQUAL(SYS_getppid, 0, 3),
                       STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(16 + 8 * i)), IF_EQUAL(0x1234, 0, 1),
                       RETURN(SECCOMP_RET_ERRNO | 44), RETURN(SECCOMP_RET_ALLOW)));
            long r = syscall(SYS_getppid, args[0], args[1], args[2], args[3], args[4], args[5]);
            _exit(r == -1 && errno == 44 ? 9 : 1);
        }
        int status;
        OK(wait(&status));
        EQ(status, 9 << 8);
    }
}

CHECK(arithmetic) {
    /* ((nr * 3 + 7) << 2 ^ 0x55) / 5 - 1 == what getppid's number makes, by both kinds of operands */
    uint32_t want = (((SYS_getppid * 3u + 7) << 2) ^ 0x55) / 5 - 1;
    no_new_privs();
    OK(INSTALL(STMT(BPF_LDX | BPF_IMM, 3), LOAD(nr), STMT(BPF_ALU | BPF_MUL | BPF_X, 0),
               STMT(BPF_ALU | BPF_ADD | BPF_K, 7), STMT(BPF_ALU | BPF_LSH | BPF_K, 2),
               STMT(BPF_ALU | BPF_XOR | BPF_K, 0x55), STMT(BPF_LDX | BPF_IMM, 5),
               STMT(BPF_ALU | BPF_DIV | BPF_X, 0), STMT(BPF_ALU | BPF_SUB | BPF_K, 1), IF_EQUAL(want, 0, 1),
               RETURN(SECCOMP_RET_ERRNO | 33), RETURN(SECCOMP_RET_ALLOW)));
    ERR(syscall(SYS_getppid), 33);
    TRUE(syscall(SYS_getuid) >= 0);
}

static void divide_by_zero(void *arg) {
    (void)arg;
    no_new_privs();
    OK(INSTALL(LOAD(nr), IF_EQUAL(SYS_getppid, 0, 2), STMT(BPF_LDX | BPF_IMM, 0),
               STMT(BPF_ALU | BPF_DIV | BPF_X, 0), RETURN(SECCOMP_RET_ALLOW)));
    syscall(SYS_getppid);
    _exit(1);
}

CHECK(a_division_by_zero_kills) {
    struct rlimit {
        unsigned long a, b;
    } none = {0, 0};
    OK(syscall(SYS_setrlimit, 4, &none));
    EQ(wait_status(spawn(divide_by_zero, NULL)), SIGSYS);
}

CHECK(shifts_take_five_bits) {
    no_new_privs();
    OK(INSTALL(LOAD(nr), IF_EQUAL(SYS_getppid, 0, 5), STMT(BPF_LDX | BPF_IMM, 33), STMT(BPF_LD | BPF_IMM, 1),
               STMT(BPF_ALU | BPF_LSH | BPF_X, 0), IF_EQUAL(2, 0, 1), RETURN(SECCOMP_RET_ERRNO | 22),
               RETURN(SECCOMP_RET_ALLOW)));
    ERR(syscall(SYS_getppid), 22);
}

CHECK(the_strictest_filter_wins) {
    no_new_privs();
    OK(INSTALL(LOAD(nr), IF_EQUAL(SYS_getppid, 0, 1), RETURN(SECCOMP_RET_ERRNO | 11),
               RETURN(SECCOMP_RET_ALLOW)));
    OK(INSTALL(LOAD(nr), IF_EQUAL(SYS_getppid, 0, 1), RETURN(SECCOMP_RET_LOG), RETURN(SECCOMP_RET_ALLOW)));
    ERR(syscall(SYS_getppid), 11);
    OK(INSTALL(LOAD(nr), IF_EQUAL(SYS_getppid, 0, 1), RETURN(SECCOMP_RET_ERRNO | 12),
               RETURN(SECCOMP_RET_ALLOW)));
    ERR(syscall(SYS_getppid), 12); /* of equals the newest */
}

CHECK(unknown_calls_are_filtered) {
    no_new_privs();
    OK(INSTALL(LOAD(nr), IF_EQUAL(9999, 0, 1), RETURN(SECCOMP_RET_ERRNO | 21), RETURN(SECCOMP_RET_ALLOW)));
    ERR(syscall(9999), 21);
    ERR(syscall(9998), ENOSYS);
}

static void inherited(void *arg) {
    (void)arg;
    ERR(syscall(SYS_getppid), 13);
    EQ(prctl(PR_GET_SECCOMP), 2);
    EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
}

CHECK(a_child_inherits) {
    forbid_getppid(SECCOMP_RET_ERRNO | 13);
    EQ(wait_exit(spawn(inherited, NULL)), 0);
}

CHECK(execve_keeps_it) {
    if (fork() == 0) {
        no_new_privs();
        OK(INSTALL(LOAD(nr), IF_EQUAL(SYS_uname, 0, 1), RETURN(SECCOMP_RET_ERRNO | EXDEV),
                   RETURN(SECCOMP_RET_ALLOW)));
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 2);
        execl("/bin/uname", "uname", (char *)0);
        _exit(99);
    }
    int status;
    OK(wait(&status));
    EQ(status, 1 << 8);
}

CHECK(the_limit_of_all_programs) {
    struct sock_filter *f = calloc(4096, sizeof *f);
    for (int i = 0; i < 4096; i++)
        f[i] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    no_new_privs();
    /* counted in Linux's own instructions: a return is two, a program has three more, and each but the newest
     * costs four */
    for (int i = 0; i < 3; i++)
        OK(install(f, 4096));
    ERR(install(f, 4096), ENOMEM);
    unsigned left = 32768 - 3 * (2 * 4096 + 3 + 4);
    ERR(install(f, (left - 3) / 2 + 1), ENOMEM);
    OK(install(f, (left - 3) / 2 - 8));
    OK(install(f, 2));
    ERR(install(f, 4), ENOMEM);
}

/* ---- threads ---- */

static _Atomic int g_go, g_ready, g_result;

static void *waits_then_calls(void *arg) {
    (void)arg;
    g_ready = 1;
    while (!g_go)
        sleep_ms(1);
    g_result = (int)syscall(SYS_getppid) < 0 ? errno : 0;
    return NULL;
}

CHECK(a_filter_is_a_threads_own) {
    pthread_t t;
    EQ(pthread_create(&t, NULL, waits_then_calls, NULL), 0);
    WAIT_UNTIL(g_ready);
    forbid_getppid(SECCOMP_RET_ERRNO | 14);
    g_go = 1;
    EQ(pthread_join(t, NULL), 0);
    EQ(g_result, 0);
}

CHECK(tsync_takes_all_threads) {
    pthread_t t;
    struct sock_filter f[] = {LOAD(nr), IF_EQUAL(SYS_getppid, 0, 1), RETURN(SECCOMP_RET_ERRNO | 15),
                              RETURN(SECCOMP_RET_ALLOW)};
    EQ(pthread_create(&t, NULL, waits_then_calls, NULL), 0);
    WAIT_UNTIL(g_ready);
    no_new_privs();
    EQ(install_flags(f, 4, SECCOMP_FILTER_FLAG_TSYNC), 0);
    g_go = 1;
    EQ(pthread_join(t, NULL), 0);
    EQ(g_result, 15);
}

static _Atomic int g_tid;

static void *has_its_own_filter(void *arg) {
    (void)arg;
    no_new_privs();
    OK(INSTALL(RETURN(SECCOMP_RET_ALLOW)));
    g_tid = (int)syscall(SYS_gettid);
    while (!g_go)
        sleep_ms(1);
    return NULL;
}

CHECK(tsync_names_the_thread_that_diverged) {
    pthread_t t;
    struct sock_filter f = RETURN(SECCOMP_RET_ALLOW);
    EQ(pthread_create(&t, NULL, has_its_own_filter, NULL), 0);
    WAIT_UNTIL(g_tid);
    no_new_privs();
    EQ(install_flags(&f, 1, SECCOMP_FILTER_FLAG_TSYNC), g_tid);
    ERR(install_flags(&f, 1, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH), ESRCH);
    EQ(prctl(PR_GET_SECCOMP), 0);
    g_go = 1;
    EQ(pthread_join(t, NULL), 0);
    EQ(install_flags(&f, 1, SECCOMP_FILTER_FLAG_TSYNC), 0);
}

static void *sees_no_new_privs(void *arg) {
    (void)arg;
    g_ready = 1;
    while (!g_go)
        sleep_ms(1);
    g_result = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    return NULL;
}

CHECK(tsync_spreads_no_new_privs) {
    pthread_t t;
    struct sock_filter f = RETURN(SECCOMP_RET_ALLOW);
    EQ(pthread_create(&t, NULL, sees_no_new_privs, NULL), 0);
    WAIT_UNTIL(g_ready);
    no_new_privs();
    OK(install_flags(&f, 1, SECCOMP_FILTER_FLAG_TSYNC));
    g_go = 1;
    EQ(pthread_join(t, NULL), 0);
    EQ(g_result, 1);
}

/* ---- as others see it ---- */

static void status_field(const char *name, char *value) {
    char text[8192], *at;
    get_file("/proc/self/status", text, sizeof text);
    at = strstr(text, name);
    if (!at)
        check_fail(__FILE__, __LINE__, "no %s", name);
    sscanf(at + strlen(name), " %31s", value);
}

CHECK(proc_status_tells) {
    char value[32];
    status_field("\nSeccomp:", value);
    STREQ(value, "0");
    status_field("\nSeccomp_filters:", value);
    STREQ(value, "0");
    no_new_privs();
    OK(INSTALL(RETURN(SECCOMP_RET_ALLOW)));
    OK(INSTALL(RETURN(SECCOMP_RET_ALLOW)));
    status_field("\nSeccomp:", value);
    STREQ(value, "2");
    status_field("\nSeccomp_filters:", value);
    STREQ(value, "2");
    status_field("\nNoNewPrivs:", value);
    STREQ(value, "1");
}

CHECK(proc_sys_tells_the_actions) {
    char text[256];
    printf("%s", get_file("/proc/sys/kernel/seccomp/actions_avail", text, sizeof text));
}

CHECK(a_filtered_call_in_a_loop_with_signals) {
    struct itimerval every = {{0, 1000}, {0, 1000}};
    signal(SIGALRM, SIG_IGN);
    OK(setitimer(ITIMER_REAL, &every, NULL));
    forbid_getppid(SECCOMP_RET_ERRNO | 16);
    for (int i = 0; i < 5000; i++)
        ERR(syscall(SYS_getppid), 16);
}
