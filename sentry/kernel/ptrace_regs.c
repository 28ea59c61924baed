/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ptrace_regs.c: a stopped task's registers as struct user shows them, and which values a
 * tracer may store. The platform makes segment registers and flags harmless at the next switch; what is
 * refused here is what Linux refuses. Source: ptrace(2), <sys/user.h>.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/ucontext.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/task.h"

enum { XCR0_OFFSET = 464, SOFTWARE_BYTES = 48, USER_RPL = 3 };
/* CF PF AF ZF SF TF DF OF NT RF AC: what a tracer may change of the flags */
#define FLAGS_SETTABLE 0x54dd5ull

void ptrace_get_regs(const struct guest_regs *r, struct linux_user_regs *ret) {
    *ret = (struct linux_user_regs){
        .r15 = r->r15,
        .r14 = r->r14,
        .r13 = r->r13,
        .r12 = r->r12,
        .rbp = r->rbp,
        .rbx = r->rbx,
        .r11 = r->r11,
        .r10 = r->r10,
        .r9 = r->r9,
        .r8 = r->r8,
        .rax = r->rax,
        .rcx = r->rcx,
        .rdx = r->rdx,
        .rsi = r->rsi,
        .rdi = r->rdi,
        .orig_rax = r->orig_rax,
        .rip = r->rip,
        .cs = r->cs,
        .eflags = r->rflags | 0x202, /* the fixed bit, and interrupts, which a program always has on */
        .rsp = r->rsp,
        .ss = r->ss,
        .fs_base = r->fs_base,
        .gs_base = r->gs_base,
        .ds = r->ds,
        .es = r->es,
        .fs = r->fs,
        .gs = r->gs,
    };
}

/* Where each word of struct user_regs lies in struct guest_regs: the general ones have the same order. */
#define REG(name) [offsetof(struct linux_user_regs, name) / 8] = offsetof(struct guest_regs, name)
static const uint16_t g_reg_offset[sizeof(struct linux_user_regs) / 8] = {
    REG(r15), REG(r14), REG(r13),     REG(r12),     REG(rbp), REG(rbx), REG(r11),      REG(r10), REG(r9),
    REG(r8),  REG(rax), REG(rcx),     REG(rdx),     REG(rsi), REG(rdi), REG(orig_rax), REG(rip), REG(cs),
    REG(rsp), REG(ss),  REG(fs_base), REG(gs_base), REG(ds),  REG(es),  REG(fs),       REG(gs),
};
#undef REG

static bool selector_is_bad(uint16_t value) {
    return value != 0 && (value & USER_RPL) != USER_RPL;
}

int ptrace_set_reg(struct task *t, size_t offset, uint64_t value) {
    struct guest_regs *r = &t->regs;
    gva_t top = kernel_platform(t->kernel)->limits.max_address;

    switch (offset) {
    case offsetof(struct linux_user_regs, eflags):
        r->rflags = (r->rflags & ~FLAGS_SETTABLE) | (value & FLAGS_SETTABLE);
        return 0;
    case offsetof(struct linux_user_regs, cs):
    case offsetof(struct linux_user_regs, ss):
        if ((uint16_t)value == 0)
            return -EIO;
        __attribute__((fallthrough));
    case offsetof(struct linux_user_regs, ds):
    case offsetof(struct linux_user_regs, es):
    case offsetof(struct linux_user_regs, fs):
    case offsetof(struct linux_user_regs, gs):
        if (selector_is_bad((uint16_t)value))
            return -EIO;
        value = (uint16_t)value;
        break;
    case offsetof(struct linux_user_regs, fs_base):
    case offsetof(struct linux_user_regs, gs_base):
        if (value >= top)
            return -EIO;
        break;
    }
    memcpy((char *)r + g_reg_offset[offset / 8], &value, sizeof value);
    return 0;
}

uint64_t ptrace_get_user(struct task *t, size_t offset) {
    struct linux_user user = {0};
    uint64_t value;

    ptrace_get_regs(&t->regs, &user.regs);
    memcpy(user.debugreg, t->trace.debugreg, sizeof user.debugreg);
    memcpy(&value, (char *)&user + offset, sizeof value);
    return value;
}

void ptrace_fix_xsave(void *fpu, size_t size) {
    uint32_t low, high;

    if (size < sizeof(struct linux_fxsave))
        return;
    memset((char *)fpu + XCR0_OFFSET, 0, SOFTWARE_BYTES);
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    uint64_t xcr0 = (uint64_t)high << 32 | low;
    memcpy((char *)fpu + XCR0_OFFSET, &xcr0, sizeof xcr0);
}
