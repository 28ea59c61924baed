/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/signals.c: sending, blocking, handling, frames, restarts. Sources: signal(7), sigaction(2),
 * sigaltstack(2), sigprocmask(2), sigqueue(3), sigtimedwait(2), sigsuspend(2), kill(2), tgkill(2).
 */
#include "conform.h"

#include <immintrin.h>
#include <setjmp.h>
#include <ucontext.h>

static volatile sig_atomic_t g_count, g_last, g_order[16];
static siginfo_t g_info;

static void count(int signo) {
    if (g_count < 16)
        g_order[g_count] = signo;
    g_count++;
    g_last = signo;
}

static void with_info(int signo, siginfo_t *info, void *context) {
    (void)context;
    g_info = *info;
    count(signo);
}

static void handle(int signo, void (*fn)(int), int flags) {
    struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};

    OK(sigaction(signo, &sa, NULL));
}

static void handle_info(int signo, void (*fn)(int, siginfo_t *, void *), int flags) {
    struct sigaction sa = {.sa_sigaction = fn, .sa_flags = flags | SA_SIGINFO};

    OK(sigaction(signo, &sa, NULL));
}

static void block(int how, int signo) {
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, signo);
    OK(sigprocmask(how, &set, NULL));
}

static bool pending(int signo) {
    sigset_t set;

    OK(sigpending(&set));
    return sigismember(&set, signo);
}

CHECK(handler_runs_at_once_for_oneself) {
    handle(SIGUSR1, count, 0);
    OK(raise(SIGUSR1));
    EQ(g_count, 1);
    OK(kill(getpid(), SIGUSR1));
    EQ(g_count, 2);
}

CHECK(sigaction_reports_and_refuses) {
    struct sigaction old;

    handle(SIGUSR1, count, SA_RESTART | SA_NODEFER);
    OK(sigaction(SIGUSR1, NULL, &old));
    TRUE(old.sa_handler == count);
    EQ(old.sa_flags & (SA_RESTART | SA_NODEFER | SA_RESETHAND), SA_RESTART | SA_NODEFER);
    struct sigaction sa = {.sa_handler = SIG_IGN};
    ERR(sigaction(SIGKILL, &sa, NULL), EINVAL);
    ERR(sigaction(SIGSTOP, &sa, NULL), EINVAL);
    OK(sigaction(SIGKILL, NULL, &old));
    ERR(syscall(SYS_rt_sigaction, 65, NULL, &old, 8), EINVAL);
    ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 4), EINVAL);
    ERR(syscall(SYS_rt_sigaction, SIGUSR1, 8, NULL, 8), EFAULT);
}

CHECK(blocked_signals_wait) {
    handle(SIGUSR1, count, 0);
    block(SIG_BLOCK, SIGUSR1);
    OK(raise(SIGUSR1));
    OK(raise(SIGUSR1));
    EQ(g_count, 0);
    TRUE(pending(SIGUSR1));
    block(SIG_UNBLOCK, SIGUSR1);
    EQ(g_count, 1); /* standard signals do not queue */
    TRUE(!pending(SIGUSR1));
}

CHECK(real_time_signals_queue_in_order) {
    handle(SIGRTMIN + 1, count, 0);
    handle(SIGRTMIN + 2, count, 0);
    block(SIG_BLOCK, SIGRTMIN + 1);
    block(SIG_BLOCK, SIGRTMIN + 2);
    OK(raise(SIGRTMIN + 2));
    OK(raise(SIGRTMIN + 1));
    OK(raise(SIGRTMIN + 1));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigaddset(&set, SIGRTMIN + 2);
    OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
    EQ(g_count, 3);
    /* Frames are pushed lowest number first, so the highest number's handler runs first. */
    printf("order: %d %d %d\n", g_order[0] - SIGRTMIN, g_order[1] - SIGRTMIN, g_order[2] - SIGRTMIN);
}

CHECK(ignored_signals_are_dropped) {
    signal(SIGUSR1, SIG_IGN);
    block(SIG_BLOCK, SIGUSR1);
    OK(raise(SIGUSR1));
    TRUE(pending(SIGUSR1));
    /* Setting SIG_IGN drops what is pending. */
    signal(SIGUSR1, SIG_IGN);
    TRUE(!pending(SIGUSR1));
    OK(raise(SIGCHLD)); /* ignored by default */
    OK(raise(SIGURG));
    OK(raise(SIGWINCH));
    OK(raise(SIGCONT));
}

CHECK(kill_and_stop_cannot_be_blocked) {
    sigset_t set, got;

    sigfillset(&set);
    OK(sigprocmask(SIG_SETMASK, &set, NULL));
    OK(sigprocmask(SIG_BLOCK, NULL, &got));
    TRUE(!sigismember(&got, SIGKILL));
    TRUE(!sigismember(&got, SIGSTOP));
    TRUE(sigismember(&got, SIGTERM));
    ERR(sigprocmask(99, &set, NULL), EINVAL);
}

static volatile sig_atomic_t g_depth, g_deepest;
static void nest(int signo) {
    if (++g_depth > g_deepest)
        g_deepest = g_depth;
    if (g_count++ == 0)
        raise(signo);
    g_depth--;
}

CHECK(own_signal_is_blocked_in_the_handler) {
    handle(SIGUSR1, nest, 0);
    OK(raise(SIGUSR1));
    EQ(g_count, 2);
    EQ(g_deepest, 1);
}

CHECK(nodefer_nests) {
    handle(SIGUSR1, nest, SA_NODEFER);
    OK(raise(SIGUSR1));
    EQ(g_count, 2);
    EQ(g_deepest, 2);
}

CHECK(mask_of_the_action_applies) {
    struct sigaction sa = {.sa_handler = nest};

    sigaddset(&sa.sa_mask, SIGUSR2);
    OK(sigaction(SIGUSR1, &sa, NULL));
    handle(SIGUSR2, count, 0);
    OK(raise(SIGUSR1));
    OK(raise(SIGUSR2));
    EQ(g_last, SIGUSR2);
}

CHECK(resethand) {
    struct sigaction now;

    handle(SIGUSR1, count, SA_RESETHAND);
    OK(raise(SIGUSR1));
    OK(sigaction(SIGUSR1, NULL, &now));
    TRUE(now.sa_handler == SIG_DFL);
}

CHECK(siginfo_of_kill_queue_tgkill) {
    handle_info(SIGUSR1, with_info, 0);
    OK(kill(getpid(), SIGUSR1));
    EQ(g_info.si_signo, SIGUSR1);
    EQ(g_info.si_code, SI_USER);
    EQ(g_info.si_pid, getpid());
    EQ(g_info.si_uid, getuid());
    OK(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 4711}));
    EQ(g_info.si_code, SI_QUEUE);
    EQ(g_info.si_value.sival_int, 4711);
    OK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
    EQ(g_info.si_code, SI_TKILL);
    siginfo_t forged = {.si_code = SI_USER};
    pid_t pid = fork();
    if (pid == 0) {
        ERR(syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR2, &forged), EPERM);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    ERR(syscall(SYS_tgkill, getpid(), 0, SIGUSR1), EINVAL);
    ERR(syscall(SYS_tgkill, getpid(), 99999999, SIGUSR1), ESRCH);
}

CHECK(kill_targets) {
    OK(kill(getpid(), 0));
    ERR(kill(99999999, 0), ESRCH);
    ERR(kill(getpid(), 65), EINVAL);
    ERR(kill(getpid(), -1), EINVAL);
    ERR(kill(-99999999, SIGTERM), ESRCH);
    handle(SIGUSR1, count, 0);
    OK(kill(0, SIGUSR1)); /* the process group: this process alone */
    EQ(g_count, 1);
    OK(kill(-getpgrp(), SIGUSR1));
    EQ(g_count, 2);
}

CHECK(kill_permission) {
    if (!is_root())
        check_skip("geteuid: not root");
    pid_t pid = fork();
    if (pid == 0) {
        become_nobody();
        ERR(kill(getppid(), SIGTERM), EPERM);
        ERR(kill(getppid(), 0), EPERM);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
}

static int end_of(int signo) {
    pid_t pid = fork();

    if (pid == 0) {
        struct sigaction sa = {.sa_handler = SIG_DFL};
        sigaction(signo, &sa, NULL);
        syscall(SYS_prlimit64, 0, 4 /* CORE */, (uint64_t[]){0, 0}, NULL);
        raise(signo);
        _exit(0);
    }
    return wait_status(pid);
}

CHECK(default_actions) {
    static const int fatal[] = {SIGHUP,  SIGINT,    SIGQUIT, SIGILL,  SIGTRAP,   SIGABRT, SIGBUS,
                                SIGFPE,  SIGKILL,   SIGUSR1, SIGSEGV, SIGUSR2,   SIGPIPE, SIGALRM,
                                SIGTERM, SIGSTKFLT, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO,
                                SIGPWR,  SIGSYS,    34,      64};
    static const int harmless[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH};

    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) {
        int status = end_of(fatal[i]);
        TRUE(WIFSIGNALED(status));
        EQ(WTERMSIG(status), fatal[i]);
        EQ(WCOREDUMP(status), 0);
    }
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        EQ(end_of(harmless[i]), 0);
}

/* ---- frames ---- */

CHECK(registers_survive_a_handler) {
    handle(SIGUSR1, count, 0);
    uint64_t ok = 1;
    __asm__ volatile(
        "mov $0x1111, %%rbx\n\tmov $0x2222, %%r12\n\tmov $0x3333, %%r13\n\tmov $0x4444, %%r14\n\tmov "
        "$0x5555, %%r15\n\t"
        "mov $39, %%eax\n\tsyscall\n\tmov %%eax, %%edi\n\tmov $10, %%esi\n\tmov $62, %%eax\n\tsyscall\n\t"
        "xor %%ecx, %%ecx\n\tcmp $0x1111, %%rbx\n\tsetne %%cl\n\tcmp $0x2222, %%r12\n\tsetne %%ch\n\tor "
        "%%ch, %%cl\n\t"
        "cmp $0x3333, %%r13\n\tsetne %%ch\n\tor %%ch, %%cl\n\tcmp $0x4444, %%r14\n\tsetne %%ch\n\tor %%ch, "
        "%%cl\n\t"
        "cmp $0x5555, %%r15\n\tsetne %%ch\n\tor %%ch, %%cl\n\tmovzbl %%cl, %%ecx\n\tmov %%rcx, %0"
        : "=r"(ok)
        :
        : "rax", "rbx", "rcx", "rdi", "rsi", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    EQ(ok, 0);
    EQ(g_count, 1);
}

static void clobber_fpu(int signo) {
    double d[8] = {1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5};

    (void)signo;
    __asm__ volatile("movupd %0, %%xmm0\n\tmovupd %0, %%xmm7\n\tmovupd %0, %%xmm15\n\tfninit"
                     :
                     : "m"(d)
                     : "xmm0", "xmm7", "xmm15");
    g_count++;
}

CHECK(sse_and_x87_survive_a_handler) {
    uint64_t in[2] = {0x0123456789abcdef, 0xfedcba9876543210}, out0[2], out15[2];
    double pi = 3.14159, back = 0;
    uint32_t mxcsr = 0x1f80 | 0x6000, mxcsr_out = 0;
    pid_t pid = getpid();

    handle(SIGUSR1, clobber_fpu, 0);
    __asm__ volatile("ldmxcsr %[mx]\n\tfldl %[pi]\n\tmovupd %[in], %%xmm0\n\tmovupd %[in], %%xmm15\n\t"
                     "mov $62, %%eax\n\tmov %[pid], %%edi\n\tmov $10, %%esi\n\tsyscall\n\t"
                     "movupd %%xmm0, %[o0]\n\tmovupd %%xmm15, %[o15]\n\tfstpl %[back]\n\tstmxcsr %[mxo]"
                     : [o0] "=m"(out0), [o15] "=m"(out15), [back] "=m"(back), [mxo] "=m"(mxcsr_out)
                     : [mx] "m"(mxcsr), [pi] "m"(pi), [in] "m"(in), [pid] "r"(pid)
                     : "rax", "rdi", "rsi", "rcx", "r11", "xmm0", "xmm15", "memory");
    EQ(g_count, 1);
    MEMEQ(in, out0, 16);
    MEMEQ(in, out15, 16);
    TRUE(back == pi);
    EQ(mxcsr_out & 0x6000, 0x6000);
}

__attribute__((target("avx"))) static void clobber_avx(int signo) {
    (void)signo;
    __asm__ volatile("vzeroall" : : : "xmm0", "xmm1", "xmm14");
    g_count++;
}

__attribute__((target("avx"))) static void avx_body(void) {
    uint64_t in[4] = {1, 2, 3, 4}, out[4] = {0};
    pid_t pid = getpid();

    __asm__ volatile(
        "vmovupd %[in], %%ymm14\n\tmov $62, %%eax\n\tmov %[pid], %%edi\n\tmov $10, %%esi\n\tsyscall\n\t"
        "vmovupd %%ymm14, %[out]"
        : [out] "=m"(out)
        : [in] "m"(in), [pid] "r"(pid)
        : "rax", "rdi", "rsi", "rcx", "r11", "xmm14", "memory");
    MEMEQ(in, out, 32);
}

CHECK(avx_survives_a_handler) {
    if (!__builtin_cpu_supports("avx"))
        check_skip("cpuid: no AVX");
    handle(SIGUSR1, clobber_avx, 0);
    avx_body();
    EQ(g_count, 1);
}

static void change_context(int signo, siginfo_t *info, void *context) {
    ucontext_t *uc = context;

    (void)signo, (void)info;
    g_count++;
    uc->uc_mcontext.gregs[REG_RAX] = 4242;
    sigaddset(&uc->uc_sigmask, SIGUSR2);
}

CHECK(handler_may_change_the_context) {
    long r;
    pid_t pid = getpid();
    sigset_t set;

    handle_info(SIGUSR1, change_context, 0);
    __asm__ volatile("syscall" : "=a"(r) : "a"(62), "D"(pid), "S"(SIGUSR1) : "rcx", "r11", "memory");
    EQ(r, 4242);
    OK(sigprocmask(SIG_BLOCK, NULL, &set));
    TRUE(sigismember(&set, SIGUSR2));
}

static char g_altstack[65536];
static volatile sig_atomic_t g_on_altstack, g_ss_flags;

static void where(int signo) {
    char here;
    stack_t now;

    (void)signo;
    sigaltstack(NULL, &now);
    g_ss_flags = now.ss_flags;
    g_on_altstack = &here >= g_altstack && &here < g_altstack + sizeof g_altstack;
    stack_t other = {.ss_sp = g_altstack, .ss_size = sizeof g_altstack};
    g_count = sigaltstack(&other, NULL) < 0 ? errno : 0;
}

CHECK(alternate_stack) {
    stack_t ss = {.ss_sp = g_altstack, .ss_size = sizeof g_altstack}, old;

    OK(sigaltstack(&ss, NULL));
    handle(SIGUSR1, where, SA_ONSTACK);
    OK(raise(SIGUSR1));
    TRUE(g_on_altstack);
    EQ(g_ss_flags, SS_ONSTACK);
    EQ(g_count, EPERM); /* in use */
    handle(SIGUSR1, where, 0);
    OK(raise(SIGUSR1));
    TRUE(!g_on_altstack);
    OK(sigaltstack(NULL, &old));
    EQ(old.ss_flags, 0);
    EQ(old.ss_size, sizeof g_altstack);
    ss.ss_size = 100;
    ERR(sigaltstack(&ss, NULL), ENOMEM);
    ss.ss_flags = 0x1000;
    ERR(sigaltstack(&ss, NULL), EINVAL);
    ss.ss_flags = SS_DISABLE;
    OK(sigaltstack(&ss, NULL));
    OK(sigaltstack(NULL, &old));
    EQ(old.ss_flags, SS_DISABLE);
}

static sigjmp_buf g_jump;

static void jump_out(int signo, siginfo_t *info, void *context) {
    ucontext_t *uc = context;

    g_info = *info;
    g_last = signo;
    g_order[0] = (int)uc->uc_mcontext.gregs[REG_TRAPNO];
    g_order[1] = (int)uc->uc_mcontext.gregs[REG_ERR];
    siglongjmp(g_jump, 1);
}

#define FAULT(statement)                                                                                     \
    do {                                                                                                     \
        if (sigsetjmp(g_jump, 1) == 0) {                                                                     \
            statement;                                                                                       \
            check_fail(__FILE__, __LINE__, "no fault: %s", #statement);                                      \
        }                                                                                                    \
    } while (0)

static void catch_faults(void) {
    handle_info(SIGSEGV, jump_out, 0);
    handle_info(SIGBUS, jump_out, 0);
    handle_info(SIGILL, jump_out, 0);
    handle_info(SIGFPE, jump_out, 0);
    handle_info(SIGTRAP, jump_out, 0);
}

CHECK(segv_codes_and_addresses) {
    char *p = OKP(mmap(NULL, 3 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

    catch_faults();
    OK(munmap(p + 8192, 4096));
    FAULT(*(volatile char *)(p + 8200));
    EQ(g_last, SIGSEGV);
    EQ(g_info.si_code, SEGV_MAPERR);
    EQ(g_info.si_addr, p + 8200);
    EQ(g_order[0], 14);
    EQ(g_order[1] & 7, 4);
    FAULT(*(volatile char *)(p + 5) = 1);
    EQ(g_info.si_code, SEGV_ACCERR);
    EQ(g_info.si_addr, p + 5);
    EQ(g_order[1] & 2, 2);
    OK(mprotect(p, 4096, PROT_NONE));
    FAULT(*(volatile char *)p);
    EQ(g_info.si_code, SEGV_ACCERR);
    FAULT(((void (*)(void))(uintptr_t)(p + 4096))());
    EQ(g_last, SIGSEGV);
    EQ(g_info.si_code, SEGV_ACCERR);
    EQ(g_info.si_addr, p + 4096);
    FAULT(*(volatile char *)0x8000000000000000ull);
    EQ(g_last, SIGSEGV);
    EQ(g_info.si_code, SI_KERNEL);
    EQ(g_info.si_addr, 0);
    FAULT(*(volatile char *)16);
    EQ(g_info.si_code, SEGV_MAPERR);
    EQ(g_info.si_addr, 16);
}

CHECK(bus_error_past_the_end_of_a_file) {
    int fd = make_file("f", "short");
    char *p = OKP(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));

    catch_faults();
    EQ(p[0], 's');
    EQ(p[4095], 0);
    FAULT(*(volatile char *)(p + 4096));
    EQ(g_last, SIGBUS);
    EQ(g_info.si_code, BUS_ADRERR);
    EQ(g_info.si_addr, p + 4096);
    OK(ftruncate(fd, 0));
    FAULT(*(volatile char *)p);
    EQ(g_last, SIGBUS);
    OK(ftruncate(fd, 8192));
    EQ(p[4096], 0);
}

CHECK(instruction_faults) {
    volatile int zero = 0;

    catch_faults();
    FAULT(__asm__ volatile("ud2"));
    EQ(g_last, SIGILL);
    EQ(g_info.si_code, ILL_ILLOPN);
    FAULT(__asm__ volatile("idivl %0" : : "m"(zero), "a"(1), "d"(0)));
    EQ(g_last, SIGFPE);
    EQ(g_info.si_code, FPE_INTDIV);
    FAULT(__asm__ volatile("int3"));
    EQ(g_last, SIGTRAP);
    EQ(g_info.si_code, SI_KERNEL);
    FAULT(__asm__ volatile("hlt"));
    EQ(g_last, SIGSEGV);
    EQ(g_info.si_code, SI_KERNEL);
    FAULT(__asm__ volatile("cli"));
    EQ(g_last, SIGSEGV);
    FAULT(__asm__ volatile(
        "mov $0x1f80, %%eax\n\tand $~0x200, %%eax\n\tpush %%rax\n\tldmxcsr (%%rsp)\n\tpop %%rax\n\t"
        "xorps %%xmm0, %%xmm0\n\tmov $0x3f800000, %%eax\n\tmovd %%eax, %%xmm1\n\tdivss %%xmm0, %%xmm1"
        :
        :
        : "rax", "xmm0", "xmm1"));
    EQ(g_last, SIGFPE);
    EQ(g_info.si_code, FPE_FLTDIV);
}

CHECK(fault_with_the_signal_blocked_kills) {
    pid_t pid = fork();

    if (pid == 0) {
        handle(SIGSEGV, count, 0);
        block(SIG_BLOCK, SIGSEGV);
        syscall(SYS_prlimit64, 0, 4, (uint64_t[]){0, 0}, NULL);
        *(volatile char *)16 = 1;
        _exit(0);
    }
    int status = wait_status(pid);
    TRUE(WIFSIGNALED(status));
    EQ(WTERMSIG(status), SIGSEGV);
}

static void overflow(int n) {
    volatile char page[4096];

    page[0] = (char)n;
    if (n > 0)
        overflow(n - 1);
    page[1] = page[0];
}

static void on_overflow(int signo) {
    (void)signo;
    _exit(7);
}

CHECK(stack_overflow_is_caught_on_the_alternate_stack) {
    pid_t pid = fork();

    if (pid == 0) {
        stack_t ss = {.ss_sp = g_altstack, .ss_size = sizeof g_altstack};
        sigaltstack(&ss, NULL);
        handle(SIGSEGV, on_overflow, SA_ONSTACK);
        overflow(100000);
        _exit(0);
    }
    EQ(wait_exit(pid), 7);
    pid = fork();
    if (pid == 0) {
        syscall(SYS_prlimit64, 0, 4, (uint64_t[]){0, 0}, NULL);
        handle(SIGSEGV, on_overflow, 0); /* no stack for the frame: killed */
        overflow(100000);
        _exit(0);
    }
    int status = wait_status(pid);
    TRUE(WIFSIGNALED(status));
    EQ(WTERMSIG(status), SIGSEGV);
}

/* ---- waiting ---- */

static void signal_parent(void *arg) {
    sleep_ms(50);
    OK(kill(getppid(), *(int *)arg));
}

CHECK(restart_of_a_read) {
    int p[2], signo = SIGUSR1;
    char c;

    OK(pipe(p));
    handle(SIGUSR1, count, SA_RESTART);
    pid_t pid = fork();
    if (pid == 0) {
        sleep_ms(50);
        kill(getppid(), signo);
        sleep_ms(50);
        write(p[1], "x", 1);
        _exit(0);
    }
    EQ(read(p[0], &c, 1), 1);
    EQ(g_count, 1);
    EQ(wait_exit(pid), 0);
    handle(SIGUSR1, count, 0);
    pid = spawn(signal_parent, &signo);
    ERR(read(p[0], &c, 1), EINTR);
    EQ(wait_exit(pid), 0);
}

CHECK(restart_of_wait) {
    int signo = SIGUSR1;

    handle(SIGUSR1, count, SA_RESTART);
    pid_t sleeper = fork();
    if (sleeper == 0) {
        sleep_ms(200);
        _exit(3);
    }
    pid_t pid = spawn(signal_parent, &signo);
    int status;
    EQ(waitpid(sleeper, &status, 0), sleeper);
    EQ(WEXITSTATUS(status), 3);
    EQ(g_count, 1);
    EQ(wait_exit(pid), 0);
}

CHECK(never_restarted) {
    int signo = SIGUSR1;
    struct pollfd none;
    struct timespec t = {5, 0}, left;

    handle(SIGUSR1, count, SA_RESTART);
    pid_t pid = spawn(signal_parent, &signo);
    ERR(poll(&none, 0, 5000), EINTR);
    EQ(wait_exit(pid), 0);
    pid = spawn(signal_parent, &signo);
    ERR(nanosleep(&t, &left), EINTR);
    TRUE(left.tv_sec == 4);
    EQ(wait_exit(pid), 0);
    pid = spawn(signal_parent, &signo);
    ERR(pause(), EINTR);
    EQ(wait_exit(pid), 0);
}

CHECK(a_stop_does_not_interrupt_a_sleep) {
    pid_t pid = fork();
    if (pid == 0) {
        int64_t start = now_ns(CLOCK_MONOTONIC);
        struct timespec t = {0, 300000000};
        OK(nanosleep(&t, NULL));
        TRUE(now_ns(CLOCK_MONOTONIC) - start >= 300000000);
        _exit(0);
    }
    sleep_ms(50);
    OK(kill(pid, SIGSTOP));
    int status;
    EQ(waitpid(pid, &status, WUNTRACED), pid);
    TRUE(WIFSTOPPED(status));
    sleep_ms(50);
    OK(kill(pid, SIGCONT));
    EQ(wait_exit(pid), 0);
}

CHECK(sigsuspend_swaps_the_mask) {
    sigset_t all, none, now;
    int signo = SIGUSR1;

    handle(SIGUSR1, count, SA_RESTART);
    sigfillset(&all);
    sigemptyset(&none);
    OK(sigprocmask(SIG_SETMASK, &all, NULL));
    OK(raise(SIGUSR1));
    ERR(sigsuspend(&none), EINTR);
    EQ(g_count, 1);
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    TRUE(sigismember(&now, SIGUSR1));
    pid_t pid = spawn(signal_parent, &signo);
    ERR(sigsuspend(&none), EINTR);
    EQ(g_count, 2);
    EQ(wait_exit(pid), 0);
}

CHECK(sigtimedwait_takes_without_handler) {
    sigset_t set;
    siginfo_t info;
    struct timespec zero = {0, 0}, some = {0, 20000000}, bad = {0, -1};

    handle(SIGUSR1, count, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    ERR(sigtimedwait(&set, &info, &zero), EAGAIN);
    int64_t start = now_ns(CLOCK_MONOTONIC);
    ERR(sigtimedwait(&set, &info, &some), EAGAIN);
    TRUE(now_ns(CLOCK_MONOTONIC) - start >= 20000000);
    OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1}));
    OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 2}));
    OK(raise(SIGUSR1));
    EQ(sigtimedwait(&set, &info, &zero), SIGUSR1);
    EQ(sigtimedwait(&set, &info, &zero), SIGRTMIN);
    EQ(info.si_value.sival_int, 1);
    EQ(sigwaitinfo(&set, &info), SIGRTMIN);
    EQ(info.si_value.sival_int, 2);
    ERR(sigtimedwait(&set, &info, &bad), EINVAL);
    EQ(g_count, 0);
    int signo = SIGUSR1;
    pid_t pid = spawn(signal_parent, &signo);
    EQ(sigwaitinfo(&set, &info), SIGUSR1);
    EQ(info.si_pid, pid);
    EQ(wait_exit(pid), 0);
    /* Another signal's handler ends the wait. */
    handle(SIGUSR2, count, SA_RESTART);
    signo = SIGUSR2;
    pid = spawn(signal_parent, &signo);
    ERR(sigwaitinfo(&set, &info), EINTR);
    EQ(wait_exit(pid), 0);
}

CHECK(sigchld_info) {
    handle_info(SIGCHLD, with_info, 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(9);
    WAIT_UNTIL(g_count == 1);
    EQ(g_info.si_code, CLD_EXITED);
    EQ(g_info.si_pid, pid);
    EQ(g_info.si_status, 9);
    wait_status(pid);
    pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    OK(kill(pid, SIGTERM));
    WAIT_UNTIL(g_count == 2);
    EQ(g_info.si_code, CLD_KILLED);
    EQ(g_info.si_status, SIGTERM);
    wait_status(pid);
}

CHECK(sigchld_of_stop_and_continue) {
    handle_info(SIGCHLD, with_info, 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            pause();
    }
    OK(kill(pid, SIGSTOP));
    WAIT_UNTIL(g_count == 1);
    EQ(g_info.si_code, CLD_STOPPED);
    EQ(g_info.si_status, SIGSTOP);
    OK(kill(pid, SIGCONT));
    WAIT_UNTIL(g_count == 2);
    EQ(g_info.si_code, CLD_CONTINUED);
    EQ(g_info.si_status, SIGCONT);
    handle_info(SIGCHLD, with_info, SA_NOCLDSTOP);
    OK(kill(pid, SIGSTOP));
    int status;
    EQ(waitpid(pid, &status, WUNTRACED), pid);
    sleep_ms(20);
    EQ(g_count, 2);
    OK(kill(pid, SIGKILL));
    wait_status(pid);
    EQ(g_count, 3);
}

CHECK(stop_and_continue) {
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        for (;;)
            pause();
    }
    OK(kill(pid, SIGSTOP));
    EQ(waitpid(pid, &status, WUNTRACED), pid);
    TRUE(WIFSTOPPED(status));
    EQ(WSTOPSIG(status), SIGSTOP);
    EQ(process_state(pid), 'T');
    EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
    OK(kill(pid, SIGCONT));
    EQ(waitpid(pid, &status, WCONTINUED), pid);
    TRUE(WIFCONTINUED(status));
    OK(kill(pid, SIGTSTP));
    EQ(waitpid(pid, &status, WUNTRACED), pid);
    EQ(WSTOPSIG(status), SIGTSTP);
    /* A signal to a stopped process waits; SIGKILL does not. */
    OK(kill(pid, SIGTERM));
    sleep_ms(30);
    EQ(process_state(pid), 'T');
    OK(kill(pid, SIGKILL));
    status = wait_status(pid);
    EQ(WTERMSIG(status), SIGKILL);
}

CHECK(signals_while_stopped_are_delivered_on_continue) {
    int p[2], status;
    char c;

    OK(pipe(p));
    pid_t pid = fork();
    if (pid == 0) {
        handle(SIGUSR1, count, 0);
        write(p[1], "r", 1);
        while (g_count == 0)
            pause();
        _exit(5);
    }
    EQ(read(p[0], &c, 1), 1);
    OK(kill(pid, SIGSTOP));
    EQ(waitpid(pid, &status, WUNTRACED), pid);
    OK(kill(pid, SIGUSR1));
    OK(kill(pid, SIGCONT));
    EQ(wait_exit(pid), 5);
}

CHECK(mask_and_pending_over_fork_and_exec) {
    sigset_t set;

    handle(SIGUSR1, count, 0);
    block(SIG_BLOCK, SIGUSR1);
    OK(raise(SIGUSR1));
    pid_t pid = fork();
    if (pid == 0) {
        sigpending(&set);
        TRUE(!sigismember(&set, SIGUSR1)); /* pending signals are not inherited */
        sigprocmask(SIG_BLOCK, NULL, &set);
        TRUE(sigismember(&set, SIGUSR1));
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
}

CHECK(signal_storm) {
    handle(SIGUSR1, count, 0);
    pid_t parent = getpid(), pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            for (int n = 0; n < 500; n++)
                kill(parent, SIGUSR1);
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++)
        EQ(wait_exit(pids[i]), 0);
    TRUE(g_count > 0);
    TRUE(g_count <= 2000);
}

CHECK(system_calls_in_handlers_keep_errno_apart) {
    handle(SIGUSR1, count, 0);
    errno = 77;
    raise(SIGUSR1);
    EQ(errno, 77);
}
