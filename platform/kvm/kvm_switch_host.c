/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_switch_host.c: context_switch(): registers into the shared page, KVM_RUN, find out why it
 * came back. Exceptions and calls end in a `hlt` of ring 0 (x86_64/kvm_ring0.h), so rip says which.
 *
 * `syscall` arrives in one of two ways. Hardware: at the `hlt` behind LSTAR. KVM without hardware below it:
 * the cpu stays in ring 3 and faults on fetching LSTAR's page (PLATFORM.md 1.2); a guest that jumps there
 * itself makes a call of its own, nothing more.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/futex.h>

#include "base/log.h"
#include "platform/kvm/kvm_internal.h"
#include "platform/kvm/x86_64/kvm_ring0.h"

#define VSYSCALL_START   0xffffffffff600000ull
#define FLAG_TF          0x100ull
#define FLAGS_FROM_GUEST 0x244dd5ull /* CF PF AF ZF SF TF DF OF NT AC ID */
#define FLAGS_FIXED      0x202ull    /* IF, and the bit that is always set */

enum { FRAME_RIP, FRAME_CS, FRAME_FLAGS, FRAME_RSP, FRAME_SS, FRAME_WORDS };

struct visit { /* one context_switch() */
    struct kvm_context *c;
    struct kvm_vcpu *v;
    struct guest_regs *regs;
    bool step;
    struct platform_event *event;
};
enum verdict { EVENT_THERE, GO_ON, GONE };

/* ---- registers in ---- */

static uint16_t sane_selector(uint64_t s) {
    return s == SEL_USER_DATA || s == SEL_USER32_CODE || s == SEL_USER_CODE ? (uint16_t)s : 0;
}

static bool set_selector(struct kvm_segment *segment, uint64_t selector) {
    uint16_t sane = sane_selector(selector);
    bool changed = segment->selector != sane;
    segment->selector = sane;
    return changed;
}

static bool set_base(struct kvm_segment *segment, uint64_t base) {
    bool changed = segment->base != base;
    segment->base = base;
    return changed;
}

/* What KVM takes only together with all of its kind: segments and cr3. */
static bool load_segments(struct visit *e) {
    struct kvm_sregs *s = &e->v->run->s.regs.sregs;
    struct kvm_space *space = e->c->space;
    bool changed = e->v->loaded != e->c;
    changed |= set_selector(&s->ds, e->regs->ds);
    changed |= set_selector(&s->es, e->regs->es);
    changed |= set_selector(&s->fs, e->regs->fs);
    changed |= set_selector(&s->gs, e->regs->gs);
    changed |= set_base(&s->fs, e->regs->fs_base);
    changed |= set_base(&s->gs, e->regs->gs_base);
    if (e->v->root_serial != space->root_serial) {
        s->cr3 = space->root * PAGE_SIZE;
        e->v->root_serial = space->root_serial;
        changed = true;
    }
    return changed;
}

/* With running set, so that a root which is replaced meanwhile is not used (kvm_space_quiesce()). */
static void load(struct visit *e) {
    struct kvm_run *run = e->v->run;
    struct kvm_regs *q = &run->s.regs.regs;
    const struct guest_regs *r = e->regs;
    uint64_t *frame = e->v->stack_top - FRAME_WORDS, flags = (r->rflags & FLAGS_FROM_GUEST) | FLAGS_FIXED;
    frame[FRAME_RIP] = r->rip;
    frame[FRAME_CS] = r->cs == SEL_USER32_CODE ? SEL_USER32_CODE : SEL_USER_CODE;
    frame[FRAME_FLAGS] = e->step ? flags | FLAG_TF : flags;
    frame[FRAME_RSP] = r->rsp;
    frame[FRAME_SS] = SEL_USER_DATA;
    *q = (struct kvm_regs){.rax = r->rax,
                           .rbx = r->rbx,
                           .rcx = r->rcx,
                           .rdx = r->rdx,
                           .rsi = r->rsi,
                           .rdi = r->rdi,
                           .rbp = r->rbp,
                           .r8 = r->r8,
                           .r9 = r->r9,
                           .r10 = r->r10,
                           .r11 = r->r11,
                           .r12 = r->r12,
                           .r13 = r->r13,
                           .r14 = r->r14,
                           .r15 = r->r15,
                           .rip = RING0_IRET_RIP,
                           .rsp =
                               RING0_ADDRESS(RING0_VCPUS + e->v->number + 1) - FRAME_WORDS * sizeof(uint64_t),
                           .rflags = 2};
    run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
    bool in_ring0 = (run->s.regs.sregs.cs.selector & 3) == 0;
    if (load_segments(e) || !in_ring0) {
        struct kvm_sregs ring0 = {0};
        kvm_ring0_sregs(&ring0, e->v->number);
        run->s.regs.sregs.cs = ring0.cs;
        run->s.regs.sregs.ss = ring0.ss;
        run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
    }
    e->v->loaded = e->c;
}

/* ---- registers out ---- */

static void store_general(struct visit *e) {
    const struct kvm_regs *q = &e->v->run->s.regs.regs;
    const struct kvm_sregs *s = &e->v->run->s.regs.sregs;
    struct guest_regs *r = e->regs;
    r->rax = q->rax, r->rbx = q->rbx, r->rcx = q->rcx, r->rdx = q->rdx, r->rsi = q->rsi, r->rdi = q->rdi;
    r->rbp = q->rbp, r->r8 = q->r8, r->r9 = q->r9, r->r10 = q->r10, r->r11 = q->r11, r->r12 = q->r12;
    r->r13 = q->r13, r->r14 = q->r14, r->r15 = q->r15;
    r->orig_rax = ~0ull;
    r->fs_base = s->fs.base, r->gs_base = s->gs.base;
    r->ds = s->ds.selector, r->es = s->es.selector, r->fs = s->fs.selector, r->gs = s->gs.selector;
    r->ss = SEL_USER_DATA;
}

static void store_place(struct visit *e, uint64_t rip, uint64_t cs, uint64_t flags, uint64_t rsp) {
    store_general(e);
    e->regs->rip = rip;
    e->regs->cs = cs;
    e->regs->rflags = e->step ? flags & ~FLAG_TF : flags;
    e->regs->rsp = rsp;
}

/* ---- what has happened ---- */

static enum verdict on_call(struct visit *e, uint64_t rsp, enum kvm_entry entry, bool compat) {
    const struct kvm_regs *q = &e->v->run->s.regs.regs;
    struct kvm_machine *m = e->c->space->machine;
    if (unlikely(atomic_load(&m->entry) == KVM_ENTRY_UNKNOWN))
        atomic_store(&m->entry, entry);
    store_place(e, q->rcx, SEL_USER_CODE, q->r11, rsp);
    e->regs->r11 = e->regs->rflags;
    e->regs->orig_rax = e->regs->rax;
    e->event->kind = EVENT_SYSCALL;
    e->event->compat_call = compat;
    return EVENT_THERE;
}

static enum verdict fault(struct visit *e, int signo, int code, uint64_t address) {
    e->event->kind = EVENT_FAULT;
    e->event->signo = signo;
    e->event->code = code;
    e->event->address = address;
    return EVENT_THERE;
}

/* Calls at the vsyscall page, which is not there: as Linux does them, return address popped. */
static enum verdict on_vsyscall(struct visit *e) {
    static const uint16_t calls[] = {SYS_gettimeofday, SYS_time, SYS_getcpu};
    uint64_t index = (e->regs->rip - VSYSCALL_START) / 0x400, back;
    struct address_space *as = (struct address_space *)e->c->space;
    if (e->regs->rip % 0x400 || index >= ARRAY_SIZE(calls) ||
        kvm_as_copy_in(as, &back, e->regs->rsp, sizeof(back)) != sizeof(back))
        return fault(e, SIGSEGV, SEGV_MAPERR, e->regs->rip);
    e->regs->rip = back;
    e->regs->rsp += sizeof(back);
    e->regs->orig_rax = calls[index];
    e->event->kind = EVENT_SYSCALL;
    e->event->vsyscall = true;
    return EVENT_THERE;
}

static enum verdict on_page_fault(struct visit *e, uint64_t at, uint32_t error) {
    enum { WRITE = 2, FETCH = 16 };
    struct kvm_space *s = e->c->space;
    struct kvm_fault f = {SIGSEGV, SEGV_MAPERR};
    if (at - VSYSCALL_START < PAGE_SIZE && at == e->regs->rip)
        return on_vsyscall(e);
    if (at < s->machine->base.limits.max_address) {
        int access = error & WRITE ? PROT_WRITE : error & FETCH ? PROT_EXEC : PROT_READ;
        mutex_lock(&s->lock);
        (void)kvm_page_touch(s, at, access, &f);
        mutex_unlock(&s->lock);
    }
    if (f.signo == 0)
        return GO_ON;
    if (f.signo == SIGKILL) { /* the host has no memory */
        atomic_store(&s->dead, true);
        e->event->oom = true;
        return GONE;
    }
    return fault(e, f.signo, f.code, at);
}

/* As Linux tells it from the status and control words: Intel SDM vol. 1 8.5, 11.5. */
static int fpu_code(uint32_t raised) {
    return raised & 1      ? FPE_FLTINV
           : raised & 4    ? FPE_FLTDIV
           : raised & 8    ? FPE_FLTOVF
           : raised & 0x12 ? FPE_FLTUND
           : raised & 0x20 ? FPE_FLTRES
                           : 0;
}

static enum verdict on_fpu_exception(struct visit *e, bool sse) {
    enum { CONTROL = 0, STATUS = 2, MXCSR = 24 };
    char area[576];
    uint16_t control, status;
    uint32_t mxcsr;
    if (kvm_context_get_fpu((struct context *)e->c, area, sizeof(area)) < 0)
        return fault(e, SIGFPE, 0, e->regs->rip);
    memcpy(&control, area + CONTROL, sizeof(control));
    memcpy(&status, area + STATUS, sizeof(status));
    memcpy(&mxcsr, area + MXCSR, sizeof(mxcsr));
    uint32_t raised = sse ? ~(mxcsr >> 7) & mxcsr & 0x3f : status & ~control & 0x3fu;
    return fault(e, SIGFPE, fpu_code(raised), e->regs->rip);
}

/* KVM without hardware below it does not deliver `int $0x80` as such. */
static enum verdict on_undefined(struct visit *e) {
    uint8_t code[2];
    struct address_space *as = (struct address_space *)e->c->space;
    if (kvm_as_copy_in(as, code, e->regs->rip, sizeof(code)) == sizeof(code) && code[0] == 0xcd &&
        code[1] == 0x80) {
        e->regs->rip += sizeof(code);
        e->regs->orig_rax = e->regs->rax;
        e->event->kind = EVENT_SYSCALL;
        e->event->compat_call = true;
        return EVENT_THERE;
    }
    return fault(e, SIGILL, ILL_ILLOPN, e->regs->rip);
}

static enum verdict on_exception(struct visit *e, unsigned vector, const uint64_t *frame, uint32_t error) {
    store_place(e, frame[FRAME_RIP], frame[FRAME_CS] & 0xffff, frame[FRAME_FLAGS], frame[FRAME_RSP]);
    e->event->trap = vector;
    e->event->error = error;
    switch (vector) {
    case VECTOR_PF:
        return on_page_fault(e, e->v->run->s.regs.sregs.cr2, error);
    case VECTOR_DE:
        return fault(e, SIGFPE, FPE_INTDIV, e->regs->rip);
    case VECTOR_DB:
        if (e->step) {
            e->event->kind = EVENT_STEP;
            return EVENT_THERE;
        }
        return fault(e, SIGTRAP, e->regs->rflags & FLAG_TF ? TRAP_TRACE : TRAP_BRKPT, e->regs->rip);
    case VECTOR_BP:
        return fault(e, SIGTRAP, SI_KERNEL, 0);
    case VECTOR_UD:
        return on_undefined(e);
    case VECTOR_SS:
        return fault(e, SIGBUS, SI_KERNEL, 0);
    case VECTOR_MF:
    case VECTOR_XM:
        return on_fpu_exception(e, vector == VECTOR_XM);
    case VECTOR_AC:
        return fault(e, SIGBUS, BUS_ADRALN, 0);
    case VECTOR_SYSCALL32:
        e->regs->orig_rax = e->regs->rax;
        e->event->kind = EVENT_SYSCALL;
        e->event->compat_call = true;
        return EVENT_THERE;
    default: /* #GP, #OF and what else there is */
        return fault(e, SIGSEGV, SI_KERNEL, 0);
    }
}

/* A fault of the `iretq`: the place that the sentry gave is none (not canonical). The guest never left. */
static enum verdict on_bad_place(struct visit *e) {
    e->regs->orig_rax = ~0ull;
    e->event->trap = VECTOR_GP;
    return fault(e, SIGSEGV, SI_KERNEL, 0);
}

static enum verdict on_halt(struct visit *e) {
    const struct kvm_regs *q = &e->v->run->s.regs.regs;
    uint64_t stub = q->rip - 1 - RING0_ADDRESS(RING0_STUBS);
    if (likely(q->rip == RING0_SYSCALL_RIP + 1))
        return on_call(e, q->rsp, KVM_ENTRY_HARDWARE, false);
    if (q->rip == RING0_SYSCALL32_RIP + 1)
        return on_call(e, q->rsp, KVM_ENTRY_HARDWARE, true);
    if (stub >= PAGE_SIZE || stub % RING0_STUB_SIZE)
        return GONE;
    unsigned vector = (unsigned)(stub / RING0_STUB_SIZE);
    uint32_t error = 0;
    const uint64_t *frame = e->v->stack_top - FRAME_WORDS;
    if (kvm_vector_has_error(vector))
        error = (uint32_t)frame[-1];
    if ((frame[FRAME_CS] & 3) == 0)
        return on_bad_place(e);
    if (vector == VECTOR_PF && frame[FRAME_RIP] == RING0_SYSCALL_RIP && error & 0x10 &&
        e->v->run->s.regs.sregs.cr2 == RING0_SYSCALL_RIP)
        return on_call(e, frame[FRAME_RSP], KVM_ENTRY_FAULT, false);
    return on_exception(e, vector, frame, error);
}

/* KVM_RUN did not get to a `hlt`. */
static enum verdict on_interrupted(struct visit *e) {
    struct kvm_run *run = e->v->run;
    const struct kvm_regs *q = &run->s.regs.regs;
    bool in_ring3 = run->s.regs.sregs.cs.selector & 3;
    __atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    if (in_ring3) {
        bool stepped = e->step && q->rip != e->regs->rip; /* its trap would come after the interrupt */
        store_place(e, q->rip, run->s.regs.sregs.cs.selector, q->rflags, q->rsp);
        if (stepped) {
            e->event->kind = EVENT_STEP;
            return EVENT_THERE;
        }
    } else {
        e->regs->orig_rax = ~0ull; /* not even begun */
    }
    e->event->kind = EVENT_INTERRUPT;
    return EVENT_THERE;
}

/* A page that a file has lost, or no memory for one: KVM does not say which. */
static enum verdict on_no_page(struct visit *e) {
    struct kvm_space *s = e->c->space;
    mutex_lock(&s->lock);
    size_t dropped = kvm_pages_drop_truncated(s);
    mutex_unlock(&s->lock);
    if (dropped)
        return GO_ON; /* the same access faults now, and the fault has an address */
    log_warning(LOG_PLATFORM, "kvm: the host has no page for a guest: out of memory?");
    e->event->oom = true;
    return GONE;
}

/* On the way into ring 0, or to its `hlt`: not a place that the guest could be sent back to, and an exception
 * that is on its way would reach whoever runs on this vCPU next. */
static bool half_way(const struct kvm_vcpu *v) {
    uint64_t rip = v->run->s.regs.regs.rip;
    struct kvm_vcpu_events events;
    if (rip >= RING0_BASE && rip != RING0_IRET_RIP && rip - VSYSCALL_START >= PAGE_SIZE)
        return true;
    return ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) == 0 &&
           (events.exception.injected || events.exception.pending);
}

static enum verdict run(struct visit *e) {
    struct kvm_context *c = e->c;
    struct kvm_run *run = e->v->run;
    atomic_store(&c->running, 1); /* then look: context_interrupt() does it the other way round */
    if (unlikely(atomic_load(&c->interrupted) || atomic_load(&c->space->dead))) {
        atomic_store(&c->running, 0);
        e->event->kind = EVENT_INTERRUPT;
        e->regs->orig_rax = ~0ull;
        return atomic_load(&c->space->dead) ? GONE : EVENT_THERE;
    }
    load(e);
    int r = ioctl(e->v->fd, KVM_RUN, 0) < 0 ? errno : 0;
    while (r == EINTR && half_way(e->v)) { /* one more step to its `hlt`, whatever else is asked of us */
        __atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        r = ioctl(e->v->fd, KVM_RUN, 0) < 0 ? errno : 0;
    }
    atomic_store(&c->running, 0);
    atomic_fetch_add(&c->exits, 1);
    if (unlikely(atomic_load(&c->space->quiescing)))
        syscall(SYS_futex, &c->exits, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    if (r == EINTR || r == EAGAIN)
        return on_interrupted(e);
    if (r == EFAULT)
        return on_no_page(e);
    if (r == 0 && run->exit_reason == KVM_EXIT_HLT)
        return on_halt(e);
    log_error(LOG_PLATFORM, "kvm: KVM_RUN: errno %d, exit %u at %#llx", r, run->exit_reason,
              (unsigned long long)run->s.regs.regs.rip);
    return GONE;
}

/* Interrupted for somebody else's sake: a flush, or a vCPU that others wait for. */
static bool for_nothing(struct visit *e) {
    return e->event->kind == EVENT_INTERRUPT && !atomic_load(&e->c->interrupted);
}

void kvm_context_switch(struct context *context, struct guest_regs *regs, bool step,
                        struct platform_event *ret_event) {
    struct kvm_context *c = kvm_context_of(context);
    struct visit e = {.c = c, .regs = regs, .step = step, .event = ret_event};
    enum verdict v = GONE;
    might_block();
    *ret_event = (struct platform_event){0};
    do {
        if (kvm_vcpu_take(c, &e.v)) {
            v = GONE;
            break;
        }
        do {
            *ret_event = (struct platform_event){0};
            v = run(&e);
        } while (v == GO_ON ||
                 (v == EVENT_THERE && for_nothing(&e) && !atomic_load(&c->space->machine->pool.waiting)));
        kvm_vcpu_give(c, e.v);
    } while (v == EVENT_THERE && for_nothing(&e));
    if (v == GONE)
        *ret_event = (struct platform_event){.kind = EVENT_DEAD, .oom = ret_event->oom};
    atomic_store(&c->interrupted, 0);
}
