/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/ucontext.h: guest ABI, x86-64: the signal frame on the stack.
 */
#pragma once

#include "base/abi/linux/abi.h"
#include "base/abi/linux/signal.h"

#define LINUX_FP_XSTATE_MAGIC1     0x46505853
#define LINUX_FP_XSTATE_MAGIC2     0x46505845
#define LINUX_UC_FP_XSTATE         1
#define LINUX_UC_SIGCONTEXT_SS     2
#define LINUX_UC_STRICT_RESTORE_SS 4

struct linux_sigcontext {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2, fpstate;
    uint64_t reserved[8];
};
ABI_SIZE(linux_sigcontext, 256);
ABI_OFFSET(linux_sigcontext, cs, 144);
ABI_OFFSET(linux_sigcontext, fpstate, 184);

struct linux_ucontext {
    uint64_t flags, link;
    struct linux_stack stack;
    struct linux_sigcontext mcontext;
    linux_sigset_t sigmask;
};
ABI_SIZE(linux_ucontext, 304);
ABI_OFFSET(linux_ucontext, mcontext, 40);
ABI_OFFSET(linux_ucontext, sigmask, 296);

/* The last 48 bytes of the FXSAVE area that fpstate points at. */
struct linux_fpx_sw_bytes {
    uint32_t magic1, extended_size;
    uint64_t xfeatures;
    uint32_t xstate_size, padding[7];
};
ABI_SIZE(linux_fpx_sw_bytes, 48);

struct linux_fxsave {
    uint16_t cwd, swd, twd, fop;
    uint64_t rip, rdp;
    uint32_t mxcsr, mxcsr_mask, st[32], xmm[64], reserved[12];
    struct linux_fpx_sw_bytes sw;
};
ABI_SIZE(linux_fxsave, 512);
ABI_OFFSET(linux_fxsave, sw, 464);

struct linux_xstate_header {
    uint64_t xfeatures, xcomp_bv, reserved[6];
};
ABI_SIZE(linux_xstate_header, 64);

/* What rt_sigreturn(2) finds at rsp - 8: pretcode stands where the handler's return address is. */
struct linux_rt_sigframe {
    uint64_t pretcode;
    struct linux_ucontext uc;
    struct linux_siginfo info;
};
ABI_SIZE(linux_rt_sigframe, 440);
