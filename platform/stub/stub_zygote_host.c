/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_zygote_host.c: makes the zygote, the stub from which every address space is cloned.
 *
 * The keeper thread clones itself; the child keeps three descriptors, maps the stub's pages, moves the host's
 * vDSO next to them, and lets the stub's code unmap everything else, the stack that it stands on included. It
 * runs on a copy of a process that may have other threads (sanitizers do), so it calls nothing that takes a
 * lock. What goes wrong ends it with a step's number as its exit status, which stub_platform_init() turns
 * into a sentence.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/stub/stub.h"
#include "platform/stub/stub_thread.h"
#include "platform/stub/stub_zygote.h"
#include "platform/stub/stub_symbols.h"

#define IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

static IN_CHILD noreturn_fn void child_fail(enum zygote_step step) {
    syscall(SYS_exit_group, (int)step);
    __builtin_unreachable();
}

static IN_CHILD void need(long result, enum zygote_step step) {
    if (result < 0)
        child_fail(step);
}

/* Descriptors 0 to 2, whatever numbers the sources have, and no others. */
static IN_CHILD void take_descriptors(const struct zygote_plan *plan, int *ret_text) {
    int cmd = (int)syscall(SYS_fcntl, plan->command_fd, F_DUPFD, 16),
        msg = (int)syscall(SYS_fcntl, plan->message_fd, F_DUPFD, 16);
    int sock = (int)syscall(SYS_fcntl, plan->socket_fd, F_DUPFD, 16),
        text = (int)syscall(SYS_fcntl, plan->text_fd, F_DUPFD, 16),
        patch = (int)syscall(SYS_fcntl, plan->patch_fd, F_DUPFD, 16);
    need(cmd < 0 || msg < 0 || sock < 0 || text < 0 || patch < 0 ? -1 : 0, ZYGOTE_DESCRIPTORS);
    need(syscall(SYS_dup3, cmd, FD_CMD, 0), ZYGOTE_DESCRIPTORS);
    need(syscall(SYS_dup3, msg, FD_MSG, 0), ZYGOTE_DESCRIPTORS);
    need(syscall(SYS_dup3, sock, FD_SOCKET, 0), ZYGOTE_DESCRIPTORS);
    need(syscall(SYS_dup3, patch, FD_PATCH, 0), ZYGOTE_DESCRIPTORS);
    need(syscall(SYS_dup3, text, FD_SPARE, 0), ZYGOTE_DESCRIPTORS);
    need(syscall(SYS_close_range, FD_SPARE + 1, ~0u, 0), ZYGOTE_DESCRIPTORS);
    *ret_text = FD_SPARE;
}

static IN_CHILD long raw_mmap(uint64_t at, uint64_t size, int prot, int flags, int fd, uint64_t offset) {
    return syscall(SYS_mmap, at, size, prot, flags, fd, offset);
}

static IN_CHILD bool move_parts(const struct stub_vdso *v, uint64_t from, uint64_t to) {
    for (unsigned i = 0; i < v->parts; i++) {
        uint64_t offset = v->part[i].start - v->start, size = v->part[i].end - v->part[i].start;
        long at = syscall(SYS_mremap, from + offset, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to + offset);
        if (at != (long)(to + offset))
            return false;
    }
    return true;
}

/* By way of a free place, as the vDSO may lie where it, or another stub page, is to go. */
static IN_CHILD bool move_vdso(const struct stub_vdso *v) {
    if (!v->parts)
        return false;
    long way = raw_mmap(0, v->end - v->start, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (way < 0 && way > -4096)
        return false;
    return move_parts(v, v->start, (uint64_t)way) && move_parts(v, (uint64_t)way, STUB_VDSO);
}

static IN_CHILD void map_stub(const struct zygote_plan *plan, int text) {
    bool moved = move_vdso(&plan->vdso);
    if (plan->vdso.parts && !moved && plan->vdso.end > STUB_BASE && plan->vdso.start < STUB_END)
        child_fail(ZYGOTE_VDSO); /* sealed, and where the stub must be */
    need(raw_mmap(STUB_TEXT, STUB_TEXT_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, text, 0),
         ZYGOTE_MAP);
    need(raw_mmap(STUB_CMD, CMD_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, FD_CMD, plan->command_offset),
         ZYGOTE_MAP);
    need(raw_mmap(STUB_BASE, plan->message_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, FD_MSG,
                  plan->message_offset),
         ZYGOTE_MAP);
    need(syscall(SYS_close, text), ZYGOTE_DESCRIPTORS);
    struct stub_message_page *m = (struct stub_message_page *)STUB_BASE;
    m->vdso_moved = moved;
}

/* The ranges to unmap: all but the stub's pages, and but a vDSO that could not be moved. */
static IN_CHILD void plan_strip(const struct zygote_plan *plan) {
    struct stub_message_page *m = (struct stub_message_page *)STUB_BASE;
    struct {
        uint64_t start, end;
    } keep[5];
    unsigned keeps = 0, n = 0;
    const struct stub_vdso *v = &plan->vdso;
    bool stays = v->parts && !m->vdso_moved;
    if (stays && v->start < STUB_BASE)
        keep[keeps].start = v->start, keep[keeps++].end = v->end;
    keep[keeps].start = STUB_BASE, keep[keeps++].end = STUB_BASE + plan->message_size;
    keep[keeps].start = STUB_CMD, keep[keeps++].end = STUB_TEXT + STUB_TEXT_SIZE;
    if (m->vdso_moved)
        keep[keeps].start = STUB_VDSO, keep[keeps++].end = STUB_VDSO + (v->end - v->start);
    if (stays && v->start >= STUB_END)
        keep[keeps].start = v->start, keep[keeps++].end = v->end;
    uint64_t at = 0;
    for (unsigned i = 0; i < keeps; i++) {
        m->strip[n].address = at;
        m->strip[n++].size = keep[i].start - at;
        at = keep[i].end;
    }
    m->strip[n].address = at;
    m->strip[n++].size = HOST_TASK_END - at;
    m->strip[n].size = 0;
}

static IN_CHILD void become_harmless(void) {
    struct rlimit core = {1, 1}; /* 0 would still start a core_pattern program */
    need(syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), ZYGOTE_PROCESS);
    need(syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ZYGOTE_PROCESS);
    need(syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0), ZYGOTE_PROCESS);
    need(syscall(SYS_prctl, PR_SET_NAME, "runsc-stub", 0, 0, 0), ZYGOTE_PROCESS);
    syscall(SYS_prctl, PR_SET_TIMERSLACK, 1, 0, 0, 0);
    need(syscall(SYS_setrlimit, RLIMIT_CORE, &core), ZYGOTE_PROCESS);
    need(syscall(SYS_setsid), ZYGOTE_PROCESS); /* no signal of a terminal reaches a stub */
    /* the C library's leftovers: a registered rseq area that is unmapped kills the thread at its next
     * migration */
    if (__rseq_size)
        syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, 32, RSEQ_FLAG_UNREGISTER,
                0x53053053);
    syscall(SYS_set_robust_list, NULL, 24);
    syscall(SYS_set_tid_address, NULL);
    struct {
        void *sp;
        int flags;
        size_t size;
    } no_stack = {NULL, SS_DISABLE, 0};
    syscall(SYS_sigaltstack, &no_stack, NULL);
}

struct host_sigaction {
    uint64_t handler, flags, restorer, mask;
};

/* The handler's own accesses to guest memory may fault while it runs: SIGSEGV and SIGBUS nest, nothing else
 * does. */
static IN_CHILD void install_handlers(void) {
    static const int signals[] = {SIGSYS, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, STUB_KICK_SIGNAL};
    uint64_t memory = 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        bool nests = memory >> (signals[i] - 1) & 1;
        struct host_sigaction a = {SYM_stub_handler,
                                   SA_SIGINFO | SA_ONSTACK | 0x04000000 /* SA_RESTORER */ |
                                       (nests ? SA_NODEFER : 0),
                                   SYM_restorer, ~memory};
        need(syscall(SYS_rt_sigaction, signals[i], &a, NULL, 8), ZYGOTE_PROCESS);
    }
}

/* All signals to their defaults, all blocked: faults kill, nothing else can be sent but by the sentry. */
static IN_CHILD void reset_signals(void) {
    struct host_sigaction standard = {0, 0, 0, 0};
    uint64_t all = ~0ul;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
    for (int i = 1; i <= 64; i++)
        syscall(SYS_rt_sigaction, i, &standard, NULL, 8);
}

/* What every guest thread starts with: the FPU as at execve. Neither this code nor the helper's uses it
 * afterwards. */
static IN_CHILD void reset_fpu(void) {
    static const struct {
        uint16_t control, status, tag, opcode;
        uint64_t rip, rdp;
        uint32_t mxcsr, mask;
        char rest[4096 - 32];
    } __attribute__((aligned(64))) image = {.control = 0x37f, .mxcsr = 0x1f80};
    uint32_t low, high;
    __asm__ volatile("cpuid" : "=a"(low), "=c"(high) : "a"(1), "c"(0) : "rbx", "rdx");
    if (high & 1u << 27) { /* OSXSAVE */
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        low &= ~(1u << 9); /* not PKRU: Linux has its own start value */
        __asm__ volatile("xrstor %0" : : "m"(image), "a"(low), "d"(0));
    } else {
        __asm__ volatile("fxrstor %0" : : "m"(image));
    }
}

static IN_CHILD noreturn_fn void zygote_main(const struct zygote_plan *plan) {
    int text;
    reset_signals();
    take_descriptors(plan, &text);
    map_stub(plan, text);
    plan_strip(plan);
    become_harmless();
    if (plan->handlers)
        install_handlers();
    reset_fpu();
    ((void (*)(void))SYM_strip)();
    __builtin_unreachable();
}

int stub_zygote_clone(const struct zygote_plan *plan, pid_t *ret_pid) {
    /* no exit signal, as nobody wants one: waiting needs __WALL. Not fork(): it runs handlers. */
    long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0)
        zygote_main(plan);
    if (pid < 0)
        return -errno;
    *ret_pid = (pid_t)pid;
    return 0;
}

const char *stub_zygote_step(int status) {
    switch ((enum zygote_step)status) {
    case ZYGOTE_DESCRIPTORS:
        return "taking its descriptors";
    case ZYGOTE_MAP:
        return "mapping the stub's pages";
    case ZYGOTE_VDSO:
        return "moving the host's vDSO, which is sealed where the stub must be";
    case ZYGOTE_PROCESS:
        return "giving up signals, privileges and session";
    case ZYGOTE_STUB:
        return "unmapping the sandbox's memory or installing its seccomp filter";
    }
    return "an unknown step";
}
