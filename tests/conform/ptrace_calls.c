/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/ptrace_calls.c: a tracee's system calls, registers, memory and steps. States are in ptrace.c.
 * Source: ptrace(2).
 */
#include "conform.h"

#include <elf.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

static long trace(int request, pid_t pid, unsigned long addr, unsigned long data) {
    return syscall(SYS_ptrace, (long)request, pid, addr, data);
}

static int wait_any(pid_t pid) {
    int status;
    EQ(waitpid(pid, &status, __WALL), pid);
    return status;
}
#define STOPPED(sig)      ((sig) << 8 | 0x7f)
#define EVENT(sig, event) ((event) << 16 | STOPPED(sig))
#define CALL_STOP         STOPPED(SIGTRAP | 0x80)

static void end(pid_t pid) {
    OK(kill(pid, SIGKILL));
    int status;
    do
        EQ(waitpid(pid, &status, __WALL), pid);
    while (WIFSTOPPED(status));
    EQ(status, SIGKILL);
}

static void traceme_and_stop(void *arg) {
    OK(ptrace(PTRACE_TRACEME, 0, 0, 0));
    raise(SIGSTOP);
    if (arg)
        ((void (*)(void))arg)();
}

static pid_t tracee(void (*fn)(void)) {
    fflush(stdout);
    pid_t pid = spawn(traceme_and_stop, (void *)fn);
    EQ(wait_any(pid), STOPPED(SIGSTOP));
    OK(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
    return pid;
}

static struct user_regs_struct regs_of(pid_t pid) {
    struct user_regs_struct r;
    OK(ptrace(PTRACE_GETREGS, pid, 0, &r));
    return r;
}

static void set_regs(pid_t pid, struct user_regs_struct r) {
    OK(ptrace(PTRACE_SETREGS, pid, 0, &r));
}

/* ---- system calls ---- */

static void calls(void) {
    long r = syscall(SYS_getppid, 11, 12, 13, 14, 15, 16);
    _exit(r == 4242 ? 42 : r < 0 ? 44 : 43);
}

/* Lets it run to the entry of that call. */
static void to_entry(pid_t pid, long number) {
    for (int i = 0; i < 50; i++) {
        OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
        EQ(wait_any(pid), CALL_STOP);
        if ((long)regs_of(pid).orig_rax == number)
            return;
        OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
        EQ(wait_any(pid), CALL_STOP);
    }
    check_fail(__FILE__, __LINE__, "call %ld does not come", number);
}

CHECK(a_call_stops_twice) {
    pid_t pid = tracee(calls);
    to_entry(pid, SYS_getppid);
    struct user_regs_struct r = regs_of(pid);
    EQ((long)r.rax, -ENOSYS);
    EQ(r.rdi, 11);
    EQ(r.rsi, 12);
    EQ(r.rdx, 13);
    EQ(r.r10, 14);
    EQ(r.r8, 15);
    EQ(r.r9, 16);
    EQ(r.cs, 0x33);
    EQ(r.ss, 0x2b);
    OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
    EQ(wait_any(pid), CALL_STOP);
    r = regs_of(pid);
    EQ(r.orig_rax, SYS_getppid);
    EQ(r.rax, getpid());
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 43 << 8);
}

CHECK(a_result_can_be_changed) {
    pid_t pid = tracee(calls);
    to_entry(pid, SYS_getppid);
    OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
    EQ(wait_any(pid), CALL_STOP);
    struct user_regs_struct r = regs_of(pid);
    r.rax = 4242;
    set_regs(pid, r);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 42 << 8);
}

CHECK(a_call_can_be_skipped) {
    pid_t pid = tracee(calls);
    to_entry(pid, SYS_getppid);
    struct user_regs_struct r = regs_of(pid);
    r.orig_rax = (unsigned long)-1;
    r.rax = 4242;
    set_regs(pid, r);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 42 << 8);
}

CHECK(a_call_can_be_another) {
    pid_t pid = tracee(calls);
    to_entry(pid, SYS_getppid);
    OK(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), SYS_exit));
    OK(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rdi), 77));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 77 << 8);
}

CHECK(sysemu_lets_the_tracer_answer) {
    pid_t pid = tracee(calls);
    for (int i = 0;; i++) {
        TRUE(i < 50);
        OK(trace(31 /* PTRACE_SYSEMU */, pid, 0, 0));
        EQ(wait_any(pid), CALL_STOP);
        struct user_regs_struct r = regs_of(pid);
        if (r.orig_rax == SYS_exit_group) {
            EQ(r.rdi, 42);
            break;
        }
        r.rax = r.orig_rax == SYS_getppid ? 4242 : 0;
        set_regs(pid, r);
    }
    end(pid);
}

CHECK(without_sysgood_the_stop_is_a_plain_sigtrap) {
    siginfo_t info;
    unsigned long message;
    pid_t pid = tracee(calls);
    OK(trace(PTRACE_SETOPTIONS, pid, 0, 0));
    OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGTRAP));
    OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
    EQ(info.si_signo, SIGTRAP);
    EQ(info.si_code, SIGTRAP);
    EQ(info.si_pid, pid);
    OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
    printf("message %lu\n", message);
    end(pid);
}

struct call_info {
    uint8_t op, pad[3];
    uint32_t arch;
    uint64_t ip, sp;
    union {
        struct {
            uint64_t nr, args[6];
        } entry;
        struct {
            int64_t rval;
            uint8_t is_error;
        } exit;
        struct {
            uint64_t nr, args[6];
            uint32_t ret_data;
        } seccomp;
    };
};

static struct call_info info_of(pid_t pid, long want) {
    struct call_info info;
    memset(&info, 0, sizeof info);
    long r = trace(0x420e, pid, sizeof info, (unsigned long)&info);
    EQ(r, want);
    return info;
}

CHECK(syscall_info) {
    pid_t pid = tracee(calls);
    EQ(info_of(pid, 24).op, 0);
    to_entry(pid, SYS_getppid);
    struct call_info i = info_of(pid, 80);
    EQ(i.op, 1);
    EQ(i.arch, AUDIT_ARCH_X86_64);
    EQ(i.ip, regs_of(pid).rip);
    EQ(i.sp, regs_of(pid).rsp);
    EQ(i.entry.nr, SYS_getppid);
    for (int k = 0; k < 6; k++)
        EQ(i.entry.args[k], 11 + k);
    OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
    EQ(wait_any(pid), CALL_STOP);
    i = info_of(pid, 33);
    EQ(i.op, 2);
    EQ(i.exit.rval, getpid());
    EQ(i.exit.is_error, 0);
    struct call_info little;
    memset(&little, 0xee, sizeof little);
    EQ(trace(0x420e, pid, 8, (unsigned long)&little), 33);
    EQ(((unsigned char *)&little)[8], 0xee);
    end(pid);
}

static volatile sig_atomic_t g_caught;

static void on_usr1(int signo) {
    g_caught = signo;
}

static void sleeps_once(void) {
    struct sigaction sa = {.sa_handler = on_usr1};
    OK(sigaction(SIGUSR1, &sa, NULL));
    int fds[2];
    char c;
    OK(pipe(fds));
    long r = read(fds[0], &c, 1);
    _exit(r < 0 && errno == EINTR ? 5 : 6);
}

CHECK(an_interrupted_call_shows_its_restart_code) {
    pid_t pid = tracee(sleeps_once);
    to_entry(pid, SYS_read);
    OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
    WAIT_UNTIL(process_state(pid) == 'S');
    OK(kill(pid, SIGUSR1));
    EQ(wait_any(pid), CALL_STOP);
    struct user_regs_struct r = regs_of(pid);
    EQ((long)r.rax, -512);
    OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGUSR1));
    /* swallowed: the call begins anew */
    OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
    EQ(wait_any(pid), CALL_STOP);
    EQ(regs_of(pid).orig_rax, SYS_read);
    EQ((long)regs_of(pid).rax, -ENOSYS);
    OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
    WAIT_UNTIL(process_state(pid) == 'S');
    OK(kill(pid, SIGUSR1));
    EQ(wait_any(pid), CALL_STOP);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGUSR1));
    OK(trace(PTRACE_CONT, pid, 0, SIGUSR1));
    EQ(wait_any(pid), 5 << 8);
}

CHECK(many_traced_calls) {
    pid_t pid = tracee(calls);
    for (int i = 0;; i++) {
        int status;
        OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
        EQ(waitpid(pid, &status, __WALL), pid);
        if (WIFEXITED(status))
            break;
        EQ(status, CALL_STOP);
    }
}

/* ---- registers ---- */

CHECK(user_area_bounds) {
    pid_t pid = tracee(calls);
    unsigned long word;
    ERR(trace(PTRACE_PEEKUSER, pid, 1, (unsigned long)&word), EIO);
    OK(trace(PTRACE_PEEKUSER, pid, sizeof(struct user),
             (unsigned long)&word)); /* the kernel knows two words more */
    EQ(word, 0);
    ERR(trace(PTRACE_PEEKUSER, pid, sizeof(struct user) + 16, (unsigned long)&word), EIO);
    ERR(trace(PTRACE_POKEUSER, pid, 3, 0), EIO);
    ERR(trace(PTRACE_POKEUSER, pid, sizeof(struct user), 0), EIO);
    OK(trace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rip), (unsigned long)&word));
    EQ(word, regs_of(pid).rip);
    ERR(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.cs), 0), EIO);
    ERR(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.fs_base), 1ul << 63), EIO);
    ERR(trace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rip), 8), EFAULT);
    ERR(trace(PTRACE_GETREGS, pid, 0, 8), EFAULT);
    ERR(trace(PTRACE_SETREGS, pid, 0, 8), EFAULT);
    ERR(trace(99, pid, 0, 0), EIO);
    end(pid);
}

CHECK(flags_are_filtered) {
    pid_t pid = tracee(calls);
    unsigned long word;
    OK(trace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.eflags), ~0ul & ~0x100ul));
    OK(trace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.eflags), (unsigned long)&word));
    EQ(word, 0x54ed7);
    end(pid);
}

CHECK(all_registers_can_be_set) {
    pid_t pid = tracee(calls);
    struct user_regs_struct r = regs_of(pid), back;
    r.r15 = 15, r.r14 = 14, r.r13 = 13, r.r12 = 12, r.rbp = 5, r.rbx = 3, r.r11 = 11, r.r10 = 10, r.r9 = 9,
    r.r8 = 8;
    r.rax = 1, r.rcx = 2, r.rdx = 4, r.rsi = 6, r.rdi = 7, r.rip = 0x1234, r.rsp = 0x5678;
    set_regs(pid, r);
    back = regs_of(pid);
    MEMEQ(&r, &back, sizeof r);
    end(pid);
}

static long regset(int request, pid_t pid, int type, void *buffer, size_t *size) {
    struct iovec v = {buffer, *size};
    long r = trace(request, pid, (unsigned long)type, (unsigned long)&v);
    *size = v.iov_len;
    return r;
}

CHECK(register_sets) {
    struct user_regs_struct r, g;
    struct user_fpregs_struct fp, fp2;
    static char xstate[65536];
    size_t size = sizeof r + 80;
    pid_t pid = tracee(calls);
    char big[sizeof r + 80];
    OK(regset(PTRACE_GETREGSET, pid, NT_PRSTATUS, big, &size));
    EQ(size, sizeof r);
    g = regs_of(pid);
    MEMEQ(big, &g, sizeof g);
    size = 16;
    OK(regset(PTRACE_GETREGSET, pid, NT_PRSTATUS, &r, &size));
    EQ(size, 16);
    size = 3;
    ERR(regset(PTRACE_GETREGSET, pid, NT_PRSTATUS, &r, &size), EINVAL);
    size = sizeof r;
    ERR(regset(PTRACE_GETREGSET, pid, 0x12345, &r, &size), EINVAL);
    size = sizeof fp;
    OK(regset(PTRACE_GETREGSET, pid, NT_PRFPREG, &fp, &size));
    EQ(size, sizeof fp);
    OK(ptrace(PTRACE_GETFPREGS, pid, 0, &fp2));
    EQ(fp.cwd, fp2.cwd);
    EQ(fp.mxcsr, 0x1f80);
    EQ(fp.cwd, 0x37f);
    size = sizeof xstate;
    OK(regset(PTRACE_GETREGSET, pid, NT_X86_XSTATE, xstate, &size));
    TRUE(size >= 576);
    uint64_t xcr0;
    memcpy(&xcr0, xstate + 464, 8);
    EQ(xcr0 & 3, 3);
    size_t less = size - 8;
    ERR(regset(PTRACE_SETREGSET, pid, NT_X86_XSTATE, xstate, &less), EFAULT);
    OK(regset(PTRACE_SETREGSET, pid, NT_X86_XSTATE, xstate, &size));
    end(pid);
}

static void uses_xmm(void) {
    double d = 1.5;
    __asm__ volatile("movq %0, %%xmm7\n\tint3\n\tmovq %%xmm7, %0" : "+r"(d) : : "xmm7");
    _exit(d == 2.5 ? 9 : 10);
}

CHECK(fpu_registers_can_be_changed) {
    struct user_fpregs_struct fp;
    double d;
    pid_t pid = tracee(uses_xmm);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGTRAP));
    OK(ptrace(PTRACE_GETFPREGS, pid, 0, &fp));
    memcpy(&d, (char *)fp.xmm_space + 16 * 7, sizeof d);
    TRUE(d == 1.5);
    d = 2.5;
    memcpy((char *)fp.xmm_space + 16 * 7, &d, sizeof d);
    OK(ptrace(PTRACE_SETFPREGS, pid, 0, &fp));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 9 << 8);
}

CHECK(breakpoint_siginfo) {
    siginfo_t info;
    pid_t pid = tracee(uses_xmm);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGTRAP));
    OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
    EQ(info.si_code, SI_KERNEL);
    unsigned char code;
    struct user_regs_struct r = regs_of(pid);
    long word = ptrace(PTRACE_PEEKTEXT, pid, r.rip - 1, 0);
    memcpy(&code, &word, 1);
    EQ(code, 0xcc);
    EQ((long)r.orig_rax, -1);
    end(pid);
}

/* ---- memory ---- */

static volatile long g_word = 0x1122334455667788;
static const long g_constant = 0x1000;

static void shows_words(void) {
    raise(SIGUSR1);
    _exit(g_word == 5 && *(volatile const long *)&g_constant == 6 ? 11 : 12);
}

CHECK(peek_and_poke) {
    unsigned long word;
    pid_t pid = tracee(shows_words);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGUSR1));
    OK(trace(PTRACE_PEEKDATA, pid, (unsigned long)&g_word, (unsigned long)&word));
    EQ(word, 0x1122334455667788);
    ERR(trace(PTRACE_PEEKDATA, pid, 8, (unsigned long)&word), EIO);
    ERR(trace(PTRACE_PEEKDATA, pid, (unsigned long)&g_word, 8), EFAULT);
    ERR(trace(PTRACE_POKEDATA, pid, 8, 1), EIO);
    OK(trace(PTRACE_POKEDATA, pid, (unsigned long)&g_word, 5));
    OK(trace(PTRACE_POKETEXT, pid, (unsigned long)&g_constant, 6)); /* although it is read-only */
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 11 << 8);
    EQ(g_word, 0x1122334455667788);
    EQ(*(volatile const long *)&g_constant, 0x1000);
}

CHECK(proc_mem_and_process_vm) {
    char name[64];
    long word = 0;
    pid_t pid = tracee(shows_words);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGUSR1));
    snprintf(name, sizeof name, "/proc/%d/mem", pid);
    int fd = OK(open(name, O_RDWR));
    EQ(pread(fd, &word, sizeof word, (off_t)(uintptr_t)&g_word), sizeof word);
    EQ(word, 0x1122334455667788);
    word = 6;
    EQ(pwrite(fd, &word, sizeof word, (off_t)(uintptr_t)&g_constant), sizeof word);
    ERR(pread(fd, &word, sizeof word, 8), EIO);
    word = 5;
    struct iovec local = {&word, sizeof word}, remote = {(void *)&g_word, sizeof word};
    EQ(process_vm_writev(pid, &local, 1, &remote, 1, 0), sizeof word);
    remote.iov_base = (void *)&g_constant;
    ERR(process_vm_writev(pid, &local, 1, &remote, 1, 0), EFAULT);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 11 << 8);
}

/* A breakpoint in its text, taken out again. */
__attribute__((noinline)) static int is_broken_into(int x) {
    __asm__ volatile("");
    return x + 1;
}

static void calls_the_broken(void) {
    _exit(is_broken_into(20));
}

CHECK(a_breakpoint_by_poketext) {
    pid_t pid = tracee(calls_the_broken);
    unsigned long at = (unsigned long)&is_broken_into;
    long old = ptrace(PTRACE_PEEKTEXT, pid, at, 0);
    OK(trace(PTRACE_POKETEXT, pid, at, ((unsigned long)old & ~0xfful) | 0xcc));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGTRAP));
    struct user_regs_struct r = regs_of(pid);
    EQ(r.rip, at + 1);
    OK(trace(PTRACE_POKETEXT, pid, at, (unsigned long)old));
    r.rip = at;
    set_regs(pid, r);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 21 << 8);
}

/* ---- single steps ---- */

static void steps(void) {
    __asm__ volatile("int3\n\tnop\n\tnop\n\tmov $39, %%eax\n\tsyscall\n\tnop" : : : "rax", "rcx", "r11");
    _exit(8);
}

CHECK(steps_go_one_instruction) {
    siginfo_t info;
    pid_t pid = tracee(steps);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGTRAP));
    unsigned long at = regs_of(pid).rip;
    int length[] = {1, 1, 5, 2, 1};
    for (int i = 0; i < 5; i++) {
        OK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
        EQ(wait_any(pid), STOPPED(SIGTRAP));
        at += (unsigned long)length[i];
        EQ(regs_of(pid).rip, at);
        EQ(regs_of(pid).eflags & 0x100, 0);
        OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
        printf("step %d: code %d\n", i, info.si_code);
        if (i == 3)
            EQ(regs_of(pid).rax, pid);
    }
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 8 << 8);
}

static void steps_into_a_handler(void) {
    struct sigaction sa = {.sa_handler = on_usr1};
    OK(sigaction(SIGUSR1, &sa, NULL));
    raise(SIGUSR1);
    _exit(g_caught == SIGUSR1 ? 13 : 14);
}

CHECK(a_step_with_a_signal_goes_into_the_handler) {
    pid_t pid = tracee(steps_into_a_handler);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGUSR1));
    OK(trace(PTRACE_SINGLESTEP, pid, 0, SIGUSR1));
    EQ(wait_any(pid), STOPPED(SIGTRAP));
    EQ(regs_of(pid).rip, (unsigned long)&on_usr1);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 13 << 8);
}

CHECK(a_long_walk) {
    pid_t pid = tracee(calls);
    int status;
    for (int i = 0; i < 3000; i++) {
        OK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
        EQ(waitpid(pid, &status, __WALL), pid);
        if (WIFEXITED(status))
            break;
        EQ(status, STOPPED(SIGTRAP));
    }
    TRUE(WIFEXITED(status));
    EQ(WEXITSTATUS(status), 43);
}

/* ---- debug registers ---- */

static volatile long g_watched;

static void writes_watched(void) {
    g_caught = 1;
    g_watched = 77;
    g_caught = 2;
    _exit(g_watched == 77 ? 15 : 16);
}

CHECK(a_watchpoint_by_debug_registers) {
    siginfo_t info;
    pid_t pid = tracee(writes_watched);
    size_t dr = offsetof(struct user, u_debugreg);
    OK(trace(PTRACE_POKEUSER, pid, dr, (unsigned long)&g_watched));
    if (trace(PTRACE_POKEUSER, pid, dr + 7 * 8, 1 | 1ul << 16 | 2ul << 18) < 0)
        check_skip("no debug registers here: %s", strerror(errno));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGTRAP));
    OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
    EQ(info.si_code, 4); /* TRAP_HWBKPT */
    EQ(ptrace(PTRACE_PEEKDATA, pid, &g_watched, 0), 77);
    EQ(ptrace(PTRACE_PEEKUSER, pid, dr + 6 * 8, 0) & 15, 1);
    OK(trace(PTRACE_POKEUSER, pid, dr + 7 * 8, 0));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 15 << 8);
}

CHECK(a_breakpoint_by_debug_registers) {
    pid_t pid = tracee(calls_the_broken);
    size_t dr = offsetof(struct user, u_debugreg);
    OK(trace(PTRACE_POKEUSER, pid, dr + 8, (unsigned long)&is_broken_into));
    if (trace(PTRACE_POKEUSER, pid, dr + 7 * 8, 4) < 0)
        check_skip("no debug registers here: %s", strerror(errno));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGTRAP));
    EQ(regs_of(pid).rip, (unsigned long)&is_broken_into);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 21 << 8);
}

CHECK(debug_registers_are_checked) {
    pid_t pid = tracee(calls);
    size_t dr = offsetof(struct user, u_debugreg);
    ERR(trace(PTRACE_POKEUSER, pid, dr + 4 * 8, 0), EIO);
    ERR(trace(PTRACE_POKEUSER, pid, dr, 1ul << 63), EINVAL);
    EQ(ptrace(PTRACE_PEEKUSER, pid, dr + 7 * 8, 0), 0);
    end(pid);
}

/* ---- seccomp ---- */

static void filtered_calls(void) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 55), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog prog = {4, f};
    OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
    calls();
}

static pid_t at_seccomp_stop(void) {
    pid_t pid = tracee(filtered_calls);
    OK(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), EVENT(SIGTRAP, PTRACE_EVENT_SECCOMP));
    return pid;
}

CHECK(event_seccomp) {
    unsigned long message;
    pid_t pid = at_seccomp_stop();
    OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
    EQ(message, 55);
    struct call_info i = info_of(pid, 84);
    EQ(i.op, 3);
    EQ(i.seccomp.nr, SYS_getppid);
    EQ(i.seccomp.ret_data, 55);
    EQ(i.seccomp.args[5], 16);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 43 << 8);
}

CHECK(event_seccomp_skips) {
    pid_t pid = at_seccomp_stop();
    struct user_regs_struct r = regs_of(pid);
    r.orig_rax = (unsigned long)-1;
    r.rax = 4242;
    set_regs(pid, r);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 42 << 8);
}

CHECK(event_seccomp_then_syscall_exit) {
    pid_t pid = at_seccomp_stop();
    OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
    EQ(wait_any(pid), CALL_STOP);
    EQ(info_of(pid, 33).op, 2);
    end(pid);
}

CHECK(filters_can_be_read) {
    struct sock_filter f[16];
    if (!is_root())
        check_skip("needs root");
    pid_t pid = at_seccomp_stop();
    EQ(trace(0x420c, pid, 0, 0), 4);
    EQ(trace(0x420c, pid, 0, (unsigned long)f), 4);
    EQ(f[2].k, SECCOMP_RET_TRACE | 55);
    ERR(trace(0x420c, pid, 1, 0), ENOENT);
    end(pid);
}
