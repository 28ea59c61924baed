/* SPDX-License-Identifier: Apache-2.0
 * platform/ptrace/ptrace_switch_host.c: context_switch() under PTRACE_SYSEMU: load registers, let go, wait,
 * find out why it stopped.
 *
 * SYSEMU has one hole: calls at the vsyscall page, which the guest's seccomp filter turns into SIGSYS. `int
 * $0x80` stops like `syscall`; only GET_SYSCALL_INFO tells them apart for sure. As `syscall` leaves rip in
 * rcx and the flags in r11, a stop where they agree needs no second question; a guest that makes an int 0x80
 * look so gets its call as a 64-bit one, which is its own business. Source: ptrace(2), PLATFORM.md 2.
 */
#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#undef PAGE_SIZE
#undef PAGE_MASK
#include <sys/wait.h>

#include "base/log.h"
#include "platform/ptrace/ptrace_internal.h"
#include "platform/stub/stub_symbols.h"
#include "platform/stub/stub_thread.h"

static_assert(sizeof(struct guest_regs) == sizeof(struct user_regs_struct), "registers");
static_assert(offsetof(struct guest_regs, orig_rax) == offsetof(struct user_regs_struct, orig_rax),
              "registers");
static_assert(offsetof(struct guest_regs, fs_base) == offsetof(struct user_regs_struct, fs_base),
              "registers");
static_assert(offsetof(struct guest_regs, gs) == offsetof(struct user_regs_struct, gs), "registers");

enum { USER_CS = 0x33, USER32_CS = 0x23, USER_DS = 0x2b, FLAG_TF = 0x100 };
#define VSYSCALL_START 0xffffffffff600000ull

/* ---- registers in ---- */

static uint64_t sane_data_selector(uint64_t s) {
    return s == USER_DS || s == USER32_CS || s == USER_CS ? s : 0;
}

void ptrace_sanitize(struct guest_regs *r) {
    r->orig_rax = ~0ull; /* no call to restart */
    if (r->cs != USER32_CS)
        r->cs = USER_CS;
    r->ss = USER_DS;
    r->ds = sane_data_selector(r->ds);
    r->es = sane_data_selector(r->es);
    r->fs = sane_data_selector(r->fs);
    r->gs = sane_data_selector(r->gs);
    if (r->fs_base >= HOST_TASK_END)
        r->fs_base = 0;
    if (r->gs_base >= HOST_TASK_END)
        r->gs_base = 0;
}

static bool same_but_rax(const struct guest_regs *a, const struct guest_regs *b) {
    enum {
        BEFORE = offsetof(struct guest_regs, rax),
        AFTER = offsetof(struct guest_regs, rcx),
        NUMBER = offsetof(struct guest_regs, orig_rax),
        BEHIND = offsetof(struct guest_regs, rip)
    };
    const char *x = (const char *)a, *y = (const char *)b;
    return memcmp(x, y, BEFORE) == 0 && memcmp(x + AFTER, y + AFTER, NUMBER - AFTER) == 0 &&
           memcmp(x + BEHIND, y + BEHIND, sizeof(*a) - BEHIND) == 0;
}

/* The host's own restart codes: with a call's number still in place, it would act on them. */
static bool is_restart_code(uint64_t rax) {
    return rax >= (uint64_t)-516 && rax <= (uint64_t)-512;
}

/* Writes only what differs from what the thread has. False: it is gone. */
static bool load_registers(struct ptrace_context *c, const struct guest_regs *regs) {
    if (c->known && same_but_rax(regs, &c->last)) {
        if (regs->rax == c->last.rax)
            return true;
        if (!is_restart_code(regs->rax)) {
            if (ptrace(PTRACE_POKEUSER, c->tid, offsetof(struct user_regs_struct, rax), regs->rax) == 0) {
                c->last.rax = regs->rax;
                return true;
            }
            return !ptrace_lost(c, errno);
        }
    }
    c->last = *regs;
    ptrace_sanitize(&c->last);
    c->known = true;
    return ptrace_request(c, PTRACE_SETREGS, &c->last);
}

static bool store_registers(struct ptrace_context *c, struct guest_regs *regs, bool call) {
    if (!ptrace_request(c, PTRACE_GETREGS, &c->last))
        return false;
    c->known = true;
    *regs = c->last;
    if (!call)
        regs->orig_rax = ~0ull;
    return true;
}

/* ---- what has happened ---- */

static bool is_compat_call(struct ptrace_context *c) {
    struct __ptrace_syscall_info info = {0};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, c->tid, sizeof(info), &info) <= 0)
        return c->last.cs == USER32_CS;
    return info.arch != AUDIT_ARCH_X86_64;
}

static bool on_call(struct ptrace_context *c, struct guest_regs *regs, struct platform_event *ev) {
    if (!store_registers(c, regs, true))
        return false;
    ev->kind = EVENT_SYSCALL;
    if (unlikely(regs->rcx != regs->rip || ((regs->r11 ^ regs->rflags) & ~(uint64_t)FLAG_TF) ||
                 regs->cs != USER_CS))
        ev->compat_call = is_compat_call(c);
    return true;
}

static uint32_t fault_vector(int signo, int code) {
    switch (signo) {
    case SIGFPE:
        return code == FPE_INTDIV ? 0 : 16; /* 19 for SSE looks the same from here */
    case SIGTRAP:
        return code == TRAP_TRACE || code == TRAP_HWBKPT || code == TRAP_BRKPT ? 1 : 3;
    case SIGILL:
        return 6;
    case SIGBUS:
        return code == BUS_ADRALN ? 17 : code == SI_KERNEL ? 12 : 14;
    case SIGSEGV:
        return code == SI_KERNEL ? 13 : 14;
    default:
        return 0;
    }
}

/* What ptrace shows of the page fault's error code: user mode, whether the page was there, whether it was a
 * fetch. */
static uint32_t fault_error(int signo, int code, uint64_t address, uint64_t rip) {
    if (fault_vector(signo, code) != 14)
        return 0;
    uint32_t error = 4;
    if (signo == SIGSEGV && code != SEGV_MAPERR)
        error |= 1;
    if (address == rip)
        error |= 16;
    return error;
}

static bool on_fault(struct ptrace_context *c, struct guest_regs *regs, const siginfo_t *info,
                     struct platform_event *ev) {
    if (!store_registers(c, regs, false))
        return false;
    ev->kind = EVENT_FAULT;
    ev->signo = info->si_signo;
    ev->code = info->si_code;
    ev->address = (gva_t)info->si_addr;
    ev->trap = fault_vector(info->si_signo, info->si_code);
    ev->error = fault_error(info->si_signo, info->si_code, ev->address, regs->rip);
    return true;
}

/* SIGSYS by the guest's filter: a vsyscall, as nothing else comes so far. rip is the return address already.
 */
static bool on_vsyscall(struct ptrace_context *c, struct guest_regs *regs, const siginfo_t *info,
                        struct platform_event *ev) {
    if (!store_registers(c, regs, false))
        return false;
    ev->kind = EVENT_SYSCALL;
    ev->vsyscall = true;
    ev->compat_call = info->si_arch != AUDIT_ARCH_X86_64;
    regs->orig_rax = (uint64_t)(uint32_t)info->si_syscall;
    return true;
}

static bool is_fault_signal(int signo) {
    return signo == SIGSEGV || signo == SIGBUS || signo == SIGILL || signo == SIGFPE || signo == SIGTRAP;
}

enum verdict { EVENT_THERE, GO_ON, GONE };

static enum verdict on_signal(struct ptrace_context *c, int signo, struct guest_regs *regs, bool step,
                              struct platform_event *ev) {
    siginfo_t info;
    if (signo == STUB_KICK_SIGNAL) {
        if (!atomic_load(&c->interrupted))
            return GO_ON; /* meant for a switch that has returned meanwhile */
        ev->kind = EVENT_INTERRUPT;
        return store_registers(c, regs, false) ? EVENT_THERE : GONE;
    }
    if (!is_fault_signal(signo) && signo != SIGSYS)
        return GO_ON; /* somebody on the host sent it: not for the guest */
    if (!ptrace_request(c, PTRACE_GETSIGINFO, &info))
        return GONE;
    if (info.si_code <= 0)
        return GO_ON; /* sent, not a fault */
    if (signo == SIGSYS)
        return on_vsyscall(c, regs, &info, ev) ? EVENT_THERE : GONE;
    if (step && signo == SIGTRAP && info.si_code == TRAP_TRACE) {
        ev->kind = EVENT_STEP;
        return store_registers(c, regs, false) ? EVENT_THERE : GONE;
    }
    return on_fault(c, regs, &info, ev) ? EVENT_THERE : GONE;
}

static enum verdict decode(struct ptrace_context *c, int status, struct guest_regs *regs, bool step,
                           struct platform_event *ev) {
    int signo = WSTOPSIG(status);
    if (likely(signo == (SIGTRAP | 0x80)))
        return on_call(c, regs, ev) ? EVENT_THERE : GONE;
    if (status >> 16) /* PTRACE_EVENT_STOP: somebody sent SIGSTOP to the stub */
        return GO_ON;
    return on_signal(c, signo, regs, step, ev);
}

/* ---- the switch ---- */

static enum verdict run(struct ptrace_context *c, struct guest_regs *regs, bool step,
                        struct platform_event *ev) {
    int status;
    atomic_store(&c->running, 1); /* then look: context_interrupt() does it the other way round */
    if (unlikely(atomic_load(&c->interrupted))) {
        atomic_store(&c->running, 0);
        ev->kind = EVENT_INTERRUPT;
        regs->orig_rax = ~0ull;
        return EVENT_THERE;
    }
    bool alive = ptrace_request(c, step ? PTRACE_SYSEMU_SINGLESTEP : PTRACE_SYSEMU, NULL) &&
                 ptrace_await_stop(c, &status);
    atomic_store(&c->running, 0);
    return alive ? decode(c, status, regs, step, ev) : GONE;
}

void ptrace_context_switch(struct context *context, struct guest_regs *regs, bool step,
                           struct platform_event *ret_event) {
    struct ptrace_context *c = ptrace_context_of(context);
    enum verdict v = GONE;
    might_block();
    *ret_event = (struct platform_event){0};
    stub_pair_enter(&c->pair);
    if (!c->dead && load_registers(c, regs)) {
        do
            v = run(c, regs, step, ret_event);
        while (v == GO_ON);
    }
    stub_pair_leave(&c->pair);
    if (v == GONE) {
        *ret_event = (struct platform_event){.kind = EVENT_DEAD, .oom = c->oom};
        c->dead = true;
    }
    atomic_store(&c->interrupted, 0);
}
