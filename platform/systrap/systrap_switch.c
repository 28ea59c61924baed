/* SPDX-License-Identifier: Apache-2.0
 * platform/systrap/systrap_switch.c: context_switch(): registers into the saved frame, hand-off, registers
 * out of it, why it stopped.
 *
 * The frame is the host's signal frame, edited in place; the stub's rt_sigreturn loads it, and the host
 * checks it as it does any program's. Another guest thread may change it at any time: that gains it what it
 * could do to its own thread anyway.
 */
#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <string.h>

#include "platform/stub/stub_thread.h"
#include "platform/systrap/systrap_internal.h"

enum { USER_CS = 0x33, USER32_CS = 0x23, USER_DS = 0x2b, FLAG_TF = 0x100 };
enum { UC_FPU = 1, UC_SS = 2, UC_STRICT_SS = 4 };
#define VSYSCALL_HIGH 0xffffffffull

/* Open while guest code runs: its own faults, traps, and our kick. */
#define GUEST_MASK                                                                                           \
    (~(1ull << (SIGSYS - 1) | 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGILL - 1) |          \
       1ull << (SIGFPE - 1) | 1ull << (SIGTRAP - 1) | 1ull << (STUB_KICK_SIGNAL - 1)))

static uint64_t sane_base(uint64_t base) {
    return base < HOST_TASK_END ? base : 0;
}

static void store_frame(struct systrap_context *c, const struct guest_regs *r, bool step) {
    struct stub_ucontext *u = systrap_frame(c);
    u->r8 = r->r8;
    u->r9 = r->r9;
    u->r10 = r->r10;
    u->r11 = r->r11;
    u->r12 = r->r12;
    u->r13 = r->r13;
    u->r14 = r->r14;
    u->r15 = r->r15;
    u->rdi = r->rdi;
    u->rsi = r->rsi;
    u->rbp = r->rbp;
    u->rbx = r->rbx;
    u->rdx = r->rdx;
    u->rax = r->rax;
    u->rcx = r->rcx;
    u->rsp = r->rsp;
    u->rip = r->rip;
    u->rflags = r->rflags | (step ? FLAG_TF : 0);
    u->cs = r->cs == USER32_CS ? USER32_CS : USER_CS;
    u->ss = USER_DS;
    u->flags = (u->flags & UC_FPU) | UC_SS | UC_STRICT_SS;
    u->stack_at = systrap_slot_address(c) + SLOT_STACK;
    u->stack_flags = 0;
    u->stack_size = SLOT_SIZE - SLOT_STACK;
    u->mask = GUEST_MASK;
    c->slot->fs_base = sane_base(r->fs_base);
    c->slot->gs_base = sane_base(r->gs_base);
}

static void load_frame(struct systrap_context *c, struct guest_regs *r) {
    struct stub_ucontext u;
    memcpy(&u, systrap_frame(c), sizeof(u));
    *r = (struct guest_regs){
        .r8 = u.r8,
        .r9 = u.r9,
        .r10 = u.r10,
        .r11 = u.r11,
        .r12 = u.r12,
        .r13 = u.r13,
        .r14 = u.r14,
        .r15 = u.r15,
        .rdi = u.rdi,
        .rsi = u.rsi,
        .rbp = u.rbp,
        .rbx = u.rbx,
        .rdx = u.rdx,
        .rax = u.rax,
        .rcx = u.rcx,
        .rsp = u.rsp,
        .rip = u.rip,
        .rflags = u.rflags,
        .cs = u.cs == USER32_CS ? USER32_CS : USER_CS,
        .ss = USER_DS,
        .orig_rax = ~0ull,
        .fs_base = sane_base(*(volatile uint64_t *)&c->slot->fs_base),
        .gs_base = sane_base(*(volatile uint64_t *)&c->slot->gs_base),
    };
}

/* ---- what has happened ---- */

static void on_call(struct systrap_context *c, struct guest_regs *regs, struct platform_event *ev) {
    ev->kind = EVENT_SYSCALL;
    ev->compat_call = *(volatile uint32_t *)&c->slot->arch != AUDIT_ARCH_X86_64;
    ev->vsyscall = *(volatile uint64_t *)&c->slot->address >> 32 == VSYSCALL_HIGH;
    regs->orig_rax = regs->rax;
    if (!ev->vsyscall)
        regs->rax = (uint64_t)-ENOSYS; /* as Linux leaves it while a call is under way */
}

static void on_fault(struct systrap_context *c, int signo, int code, struct platform_event *ev) {
    struct stub_ucontext *u = systrap_frame(c);
    ev->kind = EVENT_FAULT;
    ev->signo = signo;
    ev->code = code;
    ev->address = *(volatile uint64_t *)&c->slot->address;
    ev->trap = (uint32_t) * (volatile uint64_t *)&u->trap;
    ev->error = (uint32_t) * (volatile uint64_t *)&u->err;
}

static bool is_fault(int signo) {
    return signo == SIGSEGV || signo == SIGBUS || signo == SIGILL || signo == SIGFPE || signo == SIGTRAP;
}

/* False: nothing that concerns the guest; it goes on. */
static bool decode(struct systrap_context *c, struct guest_regs *regs, bool step, struct platform_event *ev) {
    int signo = (int)*(volatile uint32_t *)&c->slot->kind, code = *(volatile int32_t *)&c->slot->code;
    if (signo == STUB_KICK_SIGNAL) {
        if (!atomic_load(&c->interrupted))
            return false; /* meant for a switch that has returned meanwhile */
        ev->kind = EVENT_INTERRUPT;
        return true;
    }
    if (code <= 0 || (signo != SIGSYS && !is_fault(signo)))
        return false; /* sent by somebody on the host, or forged */
    if (signo == SIGSYS)
        on_call(c, regs, ev);
    else if (step && signo == SIGTRAP && code == TRAP_TRACE)
        ev->kind = EVENT_STEP;
    else
        on_fault(c, signo, code, ev);
    return true;
}

enum verdict { EVENT_THERE, GO_ON, GONE };

static enum verdict run(struct systrap_context *c, struct guest_regs *regs, bool step,
                        struct platform_event *ev) {
    bool own_tf = regs->rflags & FLAG_TF;
    atomic_store(&c->running, 1); /* then look: context_interrupt() does it the other way round */
    if (unlikely(atomic_load(&c->interrupted))) {
        atomic_store(&c->running, 0);
        ev->kind = EVENT_INTERRUPT;
        regs->orig_rax = ~0ull;
        return EVENT_THERE;
    }
    store_frame(c, regs, step);
    systrap_resume(c, REQUEST_RUN);
    bool back = systrap_await(c);
    atomic_store(&c->running, 0);
    if (!back || !systrap_take_frame(c))
        return GONE;
    load_frame(c, regs);
    if (step && !own_tf)
        regs->rflags &= ~(uint64_t)FLAG_TF;
    return decode(c, regs, step, ev) ? EVENT_THERE : GO_ON;
}

void systrap_context_switch(struct context *context, struct guest_regs *regs, bool step,
                            struct platform_event *ret_event) {
    struct systrap_context *c = systrap_context_of(context);
    enum verdict v = GONE;
    might_block();
    *ret_event = (struct platform_event){0};
    stub_pair_enter(&c->pair);
    if (systrap_ready(c)) {
        do
            v = run(c, regs, step, ret_event);
        while (v == GO_ON);
    }
    stub_pair_leave(&c->pair);
    if (v == GONE)
        *ret_event = (struct platform_event){.kind = EVENT_DEAD, .oom = stub_space_oom(c->space)};
    atomic_store(&c->interrupted, 0);
}
