/* SPDX-License-Identifier: Apache-2.0
 * tests/bench/platform_bench.c: what a platform charges for each of its steps, beside the host's own floors
 * measured in the same run: "row  us  floor-us  ratio". Least of bursts, as ../shared/probe/floors does.
 *   platform_bench [PLATFORM] [ROUNDS] [trapped]     "trapped": systrap without patched call sites
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "platform/platform.h"

enum { BURST = 128, CODE = 0x10000000, DATA = 0x20000000 };

static struct platform *g_platform;
static const struct platform_ops *g_ops;
static struct address_space *g_as;
static struct context *g_context;
static struct guest_regs g_regs;
static int g_bursts = 100;

static void need(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "platform_bench: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static double least_us(void (*op)(void), int burst) {
    double best = 1e18;
    op();
    for (int b = 0; b < g_bursts; b++) {
        int64_t start = monotonic_ns();
        for (int i = 0; i < burst; i++)
            op();
        double each = (double)(monotonic_ns() - start) / burst / 1000;
        best = each < best ? each : best;
    }
    return best;
}

static void row(const char *name, double us, const char *floor_name, double floor) {
    if (floor > 0)
        printf("%-34s %9.2f us   %.2fx %s (%.2f)\n", name, us, us / floor, floor_name, floor);
    else
        printf("%-34s %9.2f us\n", name, us);
    fflush(stdout);
}

/* ---- floors ---- */

static pid_t g_tracee;
static void op_sysemu(void) {
    uint64_t regs[27];
    int status;
    ptrace(PTRACE_SYSEMU, g_tracee, 0, 0);
    waitpid(g_tracee, &status, __WALL);
    ptrace(PTRACE_GETREGS, g_tracee, 0, regs);
    ptrace(PTRACE_SETREGS, g_tracee, 0, regs);
}

static double floor_ptrace(void) {
    int status;
    g_tracee = fork();
    if (g_tracee == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        for (;;)
            syscall(SYS_getppid);
    }
    need(waitpid(g_tracee, &status, 0) == g_tracee, "ptrace");
    double us = least_us(op_sysemu, BURST);
    kill(g_tracee, SIGKILL);
    waitpid(g_tracee, NULL, __WALL);
    return us;
}

static _Atomic uint32_t *g_word;
static void wait_while(uint32_t value) {
    while (atomic_load(g_word) == value)
        syscall(SYS_futex, g_word, FUTEX_WAIT, value, NULL, NULL, 0);
}
static void op_handoff(void) {
    atomic_store(g_word, 1);
    syscall(SYS_futex, g_word, FUTEX_WAKE, 1, NULL, NULL, 0);
    wait_while(1);
}

static double floor_handoff(void) {
    g_word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t peer = fork();
    if (peer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            wait_while(0);
            atomic_store(g_word, 0);
            syscall(SYS_futex, g_word, FUTEX_WAKE, 1, NULL, NULL, 0);
        }
    }
    double us = least_us(op_handoff, BURST);
    kill(peer, SIGKILL);
    waitpid(peer, NULL, 0);
    return us;
}

static void op_fork_native(void) {
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
}
static void op_mmap_native(void) {
    munmap(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 65536);
}
static char g_local[4096], g_remote[4096];
static pid_t g_neighbour;
static void op_readv(void) {
    struct iovec here = {g_local, 4096}, there = {g_remote, 4096};
    process_vm_readv(g_neighbour, &here, 1, &there, 1, 0);
}
static double floor_readv(void) {
    memset(g_remote, 1, sizeof(g_remote));
    g_neighbour = fork();
    if (g_neighbour == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    double us = least_us(op_readv, BURST);
    kill(g_neighbour, SIGKILL);
    waitpid(g_neighbour, NULL, 0);
    return us;
}

/* ---- the platform ---- */

static void op_call(void) {
    struct platform_event ev;
    g_regs.rax = 0;
    g_ops->context_switch(g_context, &g_regs, false, &ev);
    need(ev.kind == EVENT_SYSCALL, "switch");
}
static void op_call_all_registers(void) {
    g_regs.rbx++;
    op_call();
}
static void op_apply(void) {
    struct as_op ops[2] = {
        {.kind = AS_MAP_ANON, .addr = 0x50000000, .len = 65536, .prot = PROT_READ | PROT_WRITE},
        {.kind = AS_UNMAP, .addr = 0x50000000, .len = 65536}};
    need(g_ops->as_apply(g_as, ops, 2, NULL) == 0, "apply");
}
static void op_copy(void) {
    g_ops->as_copy_in(g_as, g_local, DATA, 4096);
}
static void op_atomic(void) {
    uint32_t old;
    g_ops->context_atomic32(g_context, ATOMIC_ADD, DATA, 1, 0, &old);
}
static void op_thread(void) {
    struct context *c;
    need(g_ops->context_create(g_as, &c) == 0, "context_create");
    g_ops->context_destroy(c);
}
static void op_fork(void) {
    struct address_space *as;
    need(g_ops->as_fork(g_as, &as) == 0, "fork");
    g_ops->as_unref(as);
}
static void op_create(void) {
    struct address_space *as;
    need(g_ops->as_create(g_platform, &as) == 0, "create");
    g_ops->as_unref(as);
}

static void start(const char *name, bool no_patches) {
    static const unsigned char code[] = {0xb8, 39,   0,    0,   0,
                                         0x0f, 0x05, 0xeb, 0xf7}; /* 1: mov $39, %eax; syscall; jmp 1b */
    struct err *err = NULL;
    struct platform_config config = {.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                     .no_patches = no_patches};
    if (platform_create(name, &config, &g_platform, &err)) {
        char *text = err_text(err);
        fprintf(stderr, "platform_bench: %s\n", text);
        exit(1);
    }
    g_ops = g_platform->ops;
    need(g_ops->as_create(g_platform, &g_as) == 0, "as_create");
    struct as_op map[2] = {
        {.kind = AS_MAP_ANON, .addr = CODE, .len = 4096, .prot = PROT_READ | PROT_WRITE | PROT_EXEC},
        {.kind = AS_MAP_ANON, .addr = DATA, .len = 4096, .prot = PROT_READ | PROT_WRITE}};
    need(g_ops->as_apply(g_as, map, 2, NULL) == 0, "map");
    need(g_ops->as_copy_out(g_as, CODE, code, sizeof(code)) == sizeof(code), "code");
    struct as_op text = {.kind = AS_PROTECT, .addr = CODE, .len = 4096, .prot = PROT_READ | PROT_EXEC};
    need(g_ops->as_apply(g_as, &text, 1, NULL) == 0, "protect");
    g_ops->as_copy_out(g_as, DATA, g_local, 4096);
    need(g_ops->context_create(g_as, &g_context) == 0, "context_create");
    g_regs = (struct guest_regs){.rip = CODE, .rflags = 0x202, .cs = 0x33, .ss = 0x2b};
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "auto";
    cpu_set_t one;
    g_bursts = argc > 2 ? atoi(argv[2]) : 100;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof(one), &one);
    double handoff = floor_handoff(), sysemu = floor_ptrace(), readv_us = floor_readv();
    double fork_us = least_us(op_fork_native, 8), mmap_us = least_us(op_mmap_native, BURST);
    bool trapped = argc > 3 && strcmp(argv[3], "trapped") == 0;
    start(name, trapped);
    printf("platform %s\n", g_ops->name);
    bool traced = strcmp(g_ops->name, "ptrace") == 0;
    const char *floor_name = traced ? "ptrace_sysemu" : "handoff_same_cpu";
    double floor = traced ? sysemu : handoff;
    row("call, only rax changes", least_us(op_call, BURST), floor_name, floor);
    row("call, other registers change", least_us(op_call_all_registers, BURST), floor_name, floor);
    row("atomic operation", least_us(op_atomic, BURST), floor_name, floor);
    row("copy in 4 KiB", least_us(op_copy, BURST), "vm_readv_4096", readv_us);
    row("map + unmap 64 KiB, one batch", least_us(op_apply, BURST), "handoff_same_cpu + mmap",
        handoff + mmap_us);
    row("thread create + destroy", least_us(op_thread, 8), "fork_exit_wait", fork_us);
    row("fork + kill", least_us(op_fork, 8), "fork_exit_wait", fork_us);
    row("create + kill", least_us(op_create, 8), "fork_exit_wait", fork_us);
    g_ops->context_destroy(g_context);
    g_ops->as_unref(g_as);
    g_ops->destroy(g_platform);
    return 0;
}
