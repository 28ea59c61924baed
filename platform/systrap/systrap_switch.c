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
#include <sys/syscall.h>

#include "platform/stub/stub_symbols.h"
#include "platform/stub/stub_thread.h"
#include "platform/systrap/systrap_internal.h"
#include "platform/systrap/systrap_patch.h"

enum { USER_CS = 0x33, USER32_CS = 0x23, USER_DS = 0x2b, FLAG_TF = 0x100 };
enum { SLOT_REG_RAX = 13 };
enum { SITE_SIZE = 7, OLD_CALL = 5 /* of its `syscall` in a plain site */ };
enum { UC_FPU = 1, UC_SS = 2, UC_STRICT_SS = 4 };
#define VSYSCALL_HIGH 0xffffffffull

/* Open while guest code runs: its own faults, traps, and our kick. */
#define GUEST_MASK                                                                                           \
    (~(1ull << (SIGSYS - 1) | 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGILL - 1) |          \
       1ull << (SIGFPE - 1) | 1ull << (SIGTRAP - 1) | 1ull << (STUB_KICK_SIGNAL - 1)))

static uint64_t sane_base(uint64_t base) {
    return base < HOST_TASK_END ? base : 0;
}

/* The registers that a frame and a patched call have in common, in the order of both. */
struct common_regs {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
};
static_assert(sizeof(struct common_regs) == sizeof(((struct stub_slot *)0)->regs), "registers of a call");
static_assert(offsetof(struct stub_ucontext, rflags) - offsetof(struct stub_ucontext, r8) ==
                  offsetof(struct common_regs, rflags),
              "registers of a frame");

static void common_from(struct common_regs *to, const struct guest_regs *r, bool step) {
    *to = (struct common_regs){
        .r8 = r->r8,
        .r9 = r->r9,
        .r10 = r->r10,
        .r11 = r->r11,
        .r12 = r->r12,
        .r13 = r->r13,
        .r14 = r->r14,
        .r15 = r->r15,
        .rdi = r->rdi,
        .rsi = r->rsi,
        .rbp = r->rbp,
        .rbx = r->rbx,
        .rdx = r->rdx,
        .rax = r->rax,
        .rcx = r->rcx,
        .rsp = r->rsp,
        .rip = r->rip,
        .rflags = r->rflags | (step ? FLAG_TF : 0),
    };
}

/* `from` is a copy: what it was copied from may change. */
static void common_to(struct systrap_context *c, struct guest_regs *r, const struct common_regs *from,
                      uint16_t cs) {
    *r = (struct guest_regs){
        .r8 = from->r8,
        .r9 = from->r9,
        .r10 = from->r10,
        .r11 = from->r11,
        .r12 = from->r12,
        .r13 = from->r13,
        .r14 = from->r14,
        .r15 = from->r15,
        .rdi = from->rdi,
        .rsi = from->rsi,
        .rbp = from->rbp,
        .rbx = from->rbx,
        .rdx = from->rdx,
        .rax = from->rax,
        .rcx = from->rcx,
        .rsp = from->rsp,
        .rip = from->rip,
        .rflags = from->rflags,
        .cs = cs == USER32_CS ? USER32_CS : USER_CS,
        .ss = USER_DS,
        .orig_rax = ~0ull,
        .fs_base = sane_base(*(volatile uint64_t *)&c->slot->fs_base),
        .gs_base = sane_base(*(volatile uint64_t *)&c->slot->gs_base),
    };
}

static void store_bases(struct systrap_context *c, const struct guest_regs *r) {
    c->slot->fs_base = sane_base(r->fs_base);
    c->slot->gs_base = sane_base(r->gs_base);
    c->slot->use_gs = atomic_load_explicit(&c->space->patches, memory_order_relaxed) != NULL;
}

static void store_frame(struct systrap_context *c, const struct guest_regs *r, bool step) {
    struct stub_ucontext *u = systrap_frame(c);
    common_from((struct common_regs *)&u->r8, r, step);
    u->cs = r->cs == USER32_CS ? USER32_CS : USER_CS;
    u->ss = USER_DS;
    u->flags = (u->flags & UC_FPU) | UC_SS | UC_STRICT_SS;
    u->stack_at = systrap_slot_address(c) + SLOT_STACK;
    u->stack_flags = 0;
    u->stack_size = SLOT_SIZE - SLOT_STACK;
    u->mask = GUEST_MASK;
    store_bases(c, r);
}

static void load_frame(struct systrap_context *c, struct guest_regs *r) {
    struct stub_ucontext u;
    memcpy(&u, systrap_frame(c), sizeof(u));
    common_to(c, r, (const struct common_regs *)&u.r8, u.cs);
}

/* ---- patched calls ---- */

static void load_call(struct systrap_context *c, struct guest_regs *r) {
    struct common_regs copy;
    struct systrap_place place;
    memcpy(&copy, c->slot->regs, sizeof(copy));
    c->back = copy.rip;
    if (systrap_patch_at_trampoline(c->space, copy.rip, &place))
        copy.rip = place.rip;
    copy.rcx = copy.rip; /* as `syscall` leaves them */
    copy.r11 = copy.rflags;
    common_to(c, r, &copy, USER_CS);
}

/* The return from a patched call loads all registers but rcx, which holds rip then, and neither cs nor the
 * trap flag. */
static bool fits_call(const struct guest_regs *r, bool step) {
    return r->rcx == r->rip && r->cs == USER_CS && r->gs_base == 0 && !step && !(r->rflags & FLAG_TF);
}

bool systrap_need_frame(struct systrap_context *c) {
    if (!c->in_call)
        return true;
    systrap_resume(c, REQUEST_FRAME);
    if (!systrap_await_answer(c) || !systrap_take_frame(c))
        return false;
    /* until the next switch gives it registers, the frame has those of the stub's own code: they do not
     * matter */
    c->in_call = false;
    c->slot->in_call = 0;
    return true;
}

/* False: it is gone. */
static bool store_registers(struct systrap_context *c, const struct guest_regs *r, bool step) {
    uint64_t rip = systrap_patch_resume(c->space, r->rip, c->in_call ? c->back : 0);
    if (c->in_call && fits_call(r, step)) {
        struct common_regs *to = (struct common_regs *)c->slot->regs;
        common_from(to, r, /* step= */ false);
        to->rip = rip;
        store_bases(c, r);
        return true;
    }
    if (!systrap_need_frame(c))
        return false;
    store_frame(c, r, step);
    systrap_frame(c)->rip = rip;
    return true;
}

/*
 * A kick that found the thread on its way into a patched call or out of it. Out: the registers in the slot
 * are the guest's. In: they are still in place but for rsp, rcx and r11, and the call has not begun: back to
 * the site. A guest that jumps to these places with registers of its choice gets others of its choice.
 */
static void leave_stub_text(struct systrap_context *c, struct guest_regs *r) {
    struct systrap_site site;
    struct systrap_place place;
    if (r->rip >= SYM_patched_back && r->rip < SYM_patched_end) {
        load_call(c, r);
    } else if (r->rip >= SYM_patched_entry && r->rip < SYM_patched_entered) {
        if (!systrap_patch_find(c->space, r->rcx, &site))
            return;
        if (r->rip >= SYM_patched_switched)
            r->rsp = *(volatile uint64_t *)&c->slot->regs[15];
        r->rip = systrap_site_start(&site);
        c->slot->in_call = 0;
    } else if (systrap_patch_at_trampoline(c->space, r->rip, &place)) {
        r->rip = place.is_return ? place.rip : systrap_site_start(&place.site);
    }
}

/* ---- what has happened ---- */

static void as_call(struct systrap_context *c, struct guest_regs *regs, struct platform_event *ev,
                    uint64_t number) {
    ev->kind = EVENT_SYSCALL;
    regs->orig_rax = number;
    regs->rax = (uint64_t)-ENOSYS; /* as Linux leaves it while a call is under way */
    systrap_take_operands(c);
}

static void on_trap(struct systrap_context *c, struct guest_regs *regs, struct platform_event *ev) {
    struct systrap_place place;
    uint64_t number = regs->rax;
    bool vsyscall = *(volatile uint64_t *)&c->slot->address >> 32 == VSYSCALL_HIGH;
    as_call(c, regs, ev, number);
    ev->compat_call = *(volatile uint32_t *)&c->slot->arch != AUDIT_ARCH_X86_64;
    ev->vsyscall = vsyscall;
    if (vsyscall || ev->compat_call)
        return;
    if (unlikely(systrap_patch_at_trampoline(c->space, regs->rip, &place)))
        regs->rip = regs->rcx = place.site.rip;
    else
        systrap_patch_count(c->space, number, regs->rip,
                            c->answers &&
                                (number == SYS_getpid || number == SYS_gettid || number == SYS_getuid ||
                                 number == SYS_geteuid || number == SYS_getgid || number == SYS_getegid));
}

/* Two ways to meet a patched site other than by its start: the middle, where the `syscall` was, and a step
 * into its trampoline. */
static bool on_patched_site(struct systrap_context *c, int signo, struct guest_regs *regs, bool step,
                            struct platform_event *ev) {
    struct systrap_place place;
    if (signo == SIGILL && systrap_patch_is_middle(c->space, regs->rip)) {
        regs->rip += SITE_SIZE - OLD_CALL;
        as_call(c, regs, ev, regs->rax);
    } else if (step && signo == SIGTRAP && systrap_patch_at_trampoline(c->space, regs->rip, &place)) {
        regs->rip = place.rip;
        if (place.is_return) {
            ev->kind = EVENT_STEP;
            return true;
        }
        as_call(c, regs, ev, place.site.wrapped ? (uint32_t)regs->rax : place.site.number);
    } else {
        return false;
    }
    regs->rcx = regs->rip;
    regs->r11 = regs->rflags;
    return true;
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

enum verdict { EVENT_THERE, GO_ON, GONE };

/* GO_ON if it is stale: meant for a switch that has returned meanwhile. */
static enum verdict on_kick(struct systrap_context *c, struct platform_event *ev) {
    if (!atomic_load(&c->interrupted))
        return GO_ON;
    ev->kind = EVENT_INTERRUPT;
    return EVENT_THERE;
}

static enum verdict on_signal(struct systrap_context *c, int signo, struct guest_regs *regs, bool step,
                              struct platform_event *ev) {
    int code = *(volatile int32_t *)&c->slot->code;
    if (signo == STUB_KICK_SIGNAL) {
        leave_stub_text(c, regs);
        return on_kick(c, ev);
    }
    if (code <= 0 || (signo != SIGSYS && !is_fault(signo)))
        return GO_ON; /* sent by somebody on the host, or forged */
    if (signo == SIGSYS)
        on_trap(c, regs, ev);
    else if (on_patched_site(c, signo, regs, step, ev))
        return EVENT_THERE;
    else if (step && signo == SIGTRAP && code == TRAP_TRACE)
        ev->kind = EVENT_STEP;
    else
        on_fault(c, signo, code, ev);
    return EVENT_THERE;
}

static enum verdict decode(struct systrap_context *c, struct guest_regs *regs, bool step,
                           struct platform_event *ev) {
    uint32_t kind = *(volatile uint32_t *)&c->slot->kind;
    bool own_tf = regs->rflags & FLAG_TF;
    c->in_call = kind == KIND_CALL || kind == KIND_KICK;
    if (c->in_call) {
        load_call(c, regs);
        if (kind == KIND_KICK)
            return on_kick(c, ev);
        as_call(c, regs, ev, regs->rax);
        return EVENT_THERE;
    }
    if (!systrap_take_frame(c))
        return GONE;
    load_frame(c, regs);
    if (step && !own_tf)
        regs->rflags &= ~(uint64_t)FLAG_TF;
    return on_signal(c, (int)kind, regs, step, ev);
}

/* Lets the thread go, and waits until it has come back. What it could not put in place is copied by us; if
 * that fails as well, memory has changed since it made the call. */
static bool go(struct systrap_context *c) {
    systrap_spin_begin(c);
    systrap_resume(c, REQUEST_RUN);
    bool back = systrap_await(c);
    systrap_spin_end(c);
    while (back && unlikely(c->operands.given_count) &&
           *(volatile uint32_t *)&c->slot->kind == KIND_NOT_GIVEN) {
        if (!systrap_put_given(c))
            *(c->in_call ? &c->slot->regs[SLOT_REG_RAX] : &systrap_frame(c)->rax) = (uint64_t)-EFAULT;
        systrap_resume(c, REQUEST_RUN);
        back = systrap_await(c);
    }
    systrap_forget_operands(c);
    return back;
}

static enum verdict run(struct systrap_context *c, struct guest_regs *regs, bool step,
                        struct platform_event *ev) {
    atomic_store(&c->running, 1); /* then look: context_interrupt() does it the other way round */
    if (unlikely(atomic_load(&c->interrupted))) {
        atomic_store(&c->running, 0);
        ev->kind = EVENT_INTERRUPT;
        regs->orig_rax = ~0ull;
        return EVENT_THERE;
    }
    systrap_gate_enter(c->space); /* first: where a thread goes on depends on what is patched */
    bool back = store_registers(c, regs, step) && go(c);
    systrap_gate_leave(c->space);
    atomic_store(&c->running, 0);
    return back ? decode(c, regs, step, ev) : GONE;
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
