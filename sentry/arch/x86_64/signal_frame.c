/* SPDX-License-Identifier: Apache-2.0
 * sentry/arch/x86_64/signal_frame.c: signal frames as Linux lays them out on the guest's stack, and
 * rt_sigreturn(2), whose frame is hostile.
 *
 * From the top: the 128-byte red zone, the XSAVE area (64-byte aligned, with FP_XSTATE_MAGIC2 behind it),
 * struct linux_rt_sigframe with rsp = 8 mod 16 as after a call. Sources: System V ABI for AMD64, 3.2.2
 * and 3.4.1; sigreturn(2), sigaltstack(2); Intel SDM vol. 1, 13.4 (XSAVE area); the struct definitions of
 * <asm/sigcontext.h> and <asm/ucontext.h>.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/ucontext.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"

enum {
    RED_ZONE = 128,
    XSAVE_ALIGN = 64,
    USER_CS = 0x33,
    USER_SS = 0x2b,
    FX_BYTES = sizeof(struct linux_fxsave),
    MIN_XSAVE = FX_BYTES + sizeof(struct linux_xstate_header),
    XFEATURE_FPSSE = 3,
};

#define RFLAGS_TF 0x100ull
#define RFLAGS_DF 0x400ull
#define RFLAGS_RF 0x10000ull
/* What a guest may set by sigreturn: OF DF TF SF ZF AF PF CF, RF, AC. */
#define RFLAGS_FIX (0x40000ull | 0x800 | RFLAGS_DF | RFLAGS_TF | 0x80 | 0x40 | 0x10 | 0x4 | 0x1 | RFLAGS_RF)

/* Features of the XSAVE area that this machine's user space may use. */
static uint64_t enabled_xfeatures(void) {
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

bool sigaltstack_on(const struct task *t, gva_t sp) {
    const struct sigaltstack *a = &t->altstack;

    if (a->flags & LINUX_SS_AUTODISARM) /* it is disarmed while in use: sigaltstack(2) */
        return false;
    return !(a->flags & LINUX_SS_DISABLE) && sp > a->sp && sp - a->sp <= a->size;
}

struct frame_place {
    gva_t sp; /* of the frame */
    gva_t fpu;
};

/* Where the frame goes. False: it would overflow the alternate stack. */
static bool place_frame(struct task *t, const struct linux_sigaction *action, size_t fpu_size,
                        struct frame_place *ret) {
    gva_t sp = t->regs.rsp - RED_ZONE;
    bool nested = sigaltstack_on(t, t->regs.rsp), entering = false;
    const struct sigaltstack *a = &t->altstack;

    if ((action->flags & LINUX_SA_ONSTACK) && !nested && !(a->flags & LINUX_SS_DISABLE)) {
        sp = a->sp + a->size;
        entering = true;
    }
    sp -= fpu_size + sizeof(uint32_t);
    ret->fpu = sp = sp & ~(gva_t)(XSAVE_ALIGN - 1);
    sp -= sizeof(struct linux_rt_sigframe);
    ret->sp = (sp & ~15ull) - 8;
    if (nested && !sigaltstack_on(t, ret->sp))
        return false;
    return !entering || (ret->sp >= a->sp && ret->sp < a->sp + a->size);
}

static int push_fpu(struct task *t, gva_t to, size_t size) {
    const uint32_t magic2 = LINUX_FP_XSTATE_MAGIC2;
    uint8_t *buf = heap_alloc_bytes(size + sizeof magic2);

    if (!buf)
        return -ENOMEM;
    ssize_t n = kernel_platform(t->kernel)->ops->context_get_fpu(task_context(t), buf, size);
    int r = n < 0 ? (int)n : 0;
    if (r == 0) {
        struct linux_fpx_sw_bytes *sw = &((struct linux_fxsave *)buf)->sw;
        memset(sw, 0, sizeof *sw);
        if (size > FX_BYTES) {
            *sw = (struct linux_fpx_sw_bytes){.magic1 = LINUX_FP_XSTATE_MAGIC1,
                                              .extended_size = (uint32_t)(size + sizeof magic2),
                                              .xfeatures = enabled_xfeatures(),
                                              .xstate_size = (uint32_t)size};
            memcpy(buf + size, &magic2, sizeof magic2);
        }
        r = copy_out(t, to, buf, size + sizeof magic2);
    }
    heap_free(buf);
    return r;
}

static void fill_context(struct task *t, gva_t fpu, sigset_word mask, struct linux_sigcontext *c) {
    const struct guest_regs *r = &t->regs;

    *c = (struct linux_sigcontext){
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
        .eflags = r->rflags,
        .cs = USER_CS,
        .ss = USER_SS,
        .err = t->fault.error,
        .trapno = t->fault.trap,
        .cr2 = t->fault.address,
        .oldmask = mask,
        .fpstate = fpu,
    };
}

int arch_signal_push(struct task *t, int signo, const struct linux_sigaction *action,
                     const struct linux_siginfo *info, sigset_word mask) {
    size_t fpu_size = kernel_platform(t->kernel)->fpu_size;
    struct frame_place at;
    struct linux_rt_sigframe frame = {.pretcode = action->restorer, .info = *info};

    if (!(action->flags & LINUX_SA_RESTORER) || !place_frame(t, action, fpu_size, &at))
        return -EFAULT;
    frame.uc.flags =
        LINUX_UC_SIGCONTEXT_SS | LINUX_UC_STRICT_RESTORE_SS | (fpu_size > FX_BYTES ? LINUX_UC_FP_XSTATE : 0);
    frame.uc.sigmask = mask;
    frame.uc.stack.sp = t->altstack.sp;
    frame.uc.stack.size = t->altstack.size;
    frame.uc.stack.flags =
        (int32_t)(t->altstack.flags | (sigaltstack_on(t, t->regs.rsp) ? LINUX_SS_ONSTACK : 0));
    fill_context(t, at.fpu, mask, &frame.uc.mcontext);
    if (push_fpu(t, at.fpu, fpu_size) < 0 || copy_out(t, at.sp, &frame, sizeof frame) < 0)
        return -EFAULT;
    if (t->altstack.flags & LINUX_SS_AUTODISARM)
        t->altstack = (struct sigaltstack){.flags = LINUX_SS_DISABLE};
    struct guest_regs *r = &t->regs;
    r->rdi = (uint64_t)signo;
    r->rsi = at.sp + offsetof(struct linux_rt_sigframe, info);
    r->rdx = at.sp + offsetof(struct linux_rt_sigframe, uc);
    r->rax = 0;
    r->rip = action->handler;
    r->rsp = at.sp;
    r->rflags &= ~(RFLAGS_DF | RFLAGS_RF | RFLAGS_TF);
    r->orig_rax = ~0ull;
    return 0;
}

/* ---- back ---- */

/* The size of the XSAVE area that the frame claims, 0: only the legacy part is to be believed. */
static size_t claimed_xsave_size(struct task *t, gva_t fpu, const struct linux_fpx_sw_bytes *sw,
                                 size_t fpu_size) {
    uint32_t magic2;

    if (sw->magic1 != LINUX_FP_XSTATE_MAGIC1 || sw->xstate_size < MIN_XSAVE || sw->xstate_size > fpu_size ||
        sw->xstate_size > sw->extended_size)
        return 0;
    if (copy_in(t, &magic2, fpu + sw->xstate_size, sizeof magic2) < 0 || magic2 != LINUX_FP_XSTATE_MAGIC2)
        return 0;
    return sw->xstate_size;
}

static int restore_fpu(struct task *t, gva_t fpu) {
    const struct platform_ops *ops = kernel_platform(t->kernel)->ops;
    size_t fpu_size = kernel_platform(t->kernel)->fpu_size;

    if (!fpu)
        return ops->context_reset_fpu(task_context(t));
    size_t size = MAX(fpu_size, (size_t)MIN_XSAVE);
    uint8_t *buf = heap_alloc_bytes(size);
    if (!buf)
        return -ENOMEM;
    struct linux_xstate_header *header = (struct linux_xstate_header *)(buf + FX_BYTES);
    int r = copy_in(t, buf, fpu, FX_BYTES);
    if (r == 0) {
        struct linux_fpx_sw_bytes sw = ((struct linux_fxsave *)buf)->sw;
        size_t xsave = claimed_xsave_size(t, fpu, &sw, fpu_size);
        if (xsave > 0) {
            r = copy_in(t, buf + FX_BYTES, fpu + FX_BYTES, xsave - FX_BYTES);
            header->xfeatures &= sw.xfeatures & enabled_xfeatures();
        } else {
            header->xfeatures = XFEATURE_FPSSE;
        }
        memset(&((struct linux_fxsave *)buf)->sw, 0, sizeof sw);
    }
    if (r == 0)
        r = ops->context_set_fpu(task_context(t), buf, fpu_size);
    heap_free(buf);
    return r;
}

static void restore_regs(struct guest_regs *r, const struct linux_sigcontext *c) {
    r->r8 = c->r8, r->r9 = c->r9, r->r10 = c->r10, r->r11 = c->r11;
    r->r12 = c->r12, r->r13 = c->r13, r->r14 = c->r14, r->r15 = c->r15;
    r->rdi = c->rdi, r->rsi = c->rsi, r->rbp = c->rbp, r->rbx = c->rbx;
    r->rdx = c->rdx, r->rax = c->rax, r->rcx = c->rcx, r->rsp = c->rsp, r->rip = c->rip;
    r->rflags = (r->rflags & ~RFLAGS_FIX) | (c->eflags & RFLAGS_FIX);
    r->orig_rax = ~0ull;
}

int arch_signal_return(struct task *t) {
    struct linux_ucontext uc;
    gva_t frame = t->regs.rsp - sizeof(uint64_t);

    if (copy_in(t, &uc, frame + offsetof(struct linux_rt_sigframe, uc), sizeof uc) < 0)
        return -EFAULT;
    /* a stub's address space has no more than canonical addresses: anything else faults at once, as in Linux
     */
    if (restore_fpu(t, uc.mcontext.fpstate) < 0)
        return -EFAULT;
    restore_regs(&t->regs, &uc.mcontext);
    signal_set_mask(t, uc.sigmask);
    uint32_t flags = (uint32_t)uc.stack.flags & ~(uint32_t)LINUX_SS_ONSTACK;
    if (!sigaltstack_on(t, t->regs.rsp) && (flags & ~(LINUX_SS_AUTODISARM | LINUX_SS_DISABLE)) == 0)
        t->altstack = (struct sigaltstack){.sp = uc.stack.sp, .size = uc.stack.size, .flags = flags};
    return 0;
}
