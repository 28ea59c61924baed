/* SPDX-License-Identifier: Apache-2.0
 * platform/ptrace/ptrace_state_host.c: a stopped guest thread's FPU, and atomic operations that it performs
 * on guest words. Source: ptrace(2) PTRACE_GETREGSET; Intel SDM vol. 1 13.4 (XSAVE area).
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "platform/ptrace/ptrace_internal.h"
#include "platform/stub/stub_symbols.h"

enum { XSAVE_MIN = 576, XSAVE_BV_OFFSET = 512, FPU_MAX = 1 << 20 };

ssize_t ptrace_context_get_fpu(struct context *context, void *buffer, size_t size) {
    struct ptrace_context *c = ptrace_context_of(context);
    struct iovec area = {buffer, MIN(size, c->space->platform->base.fpu_size)};
    if (c->dead)
        return -ESRCH;
    if (ptrace(PTRACE_GETREGSET, c->tid, NT_X86_XSTATE, &area) == 0)
        return (ssize_t)area.iov_len;
    int error = errno;
    return ptrace_lost(c, error) ? -ESRCH : -error;
}

/* The host takes the whole area or nothing: what a short buffer lacks is marked absent in its header or in
 * its initial state. */
int ptrace_context_set_fpu(struct context *context, const void *buffer, size_t size) {
    struct ptrace_context *c = ptrace_context_of(context);
    size_t whole = c->space->platform->regset_size;
    if (c->dead)
        return -ESRCH;
    if (size < XSAVE_MIN || size > whole)
        return -EINVAL;
    cleanup(freep) char *area = calloc(1, whole);
    if (!area)
        return -ENOMEM;
    memcpy(area, buffer, size);
    struct iovec part = {area, whole};
    if (ptrace(PTRACE_SETREGSET, c->tid, NT_X86_XSTATE, &part) == 0)
        return 0;
    int error = errno;
    return ptrace_lost(c, error) ? -ESRCH : -EINVAL;
}

int ptrace_context_reset_fpu(struct context *context) {
    char area[XSAVE_MIN] = {0};
    uint64_t present = 3; /* x87 and SSE, with their values as at execve; all else initial */
    uint16_t control = 0x37f;
    uint32_t mxcsr = 0x1f80;
    memcpy(area, &control, sizeof(control));
    memcpy(area + 24, &mxcsr, sizeof(mxcsr));
    memcpy(area + XSAVE_BV_OFFSET, &present, sizeof(present));
    return ptrace_context_set_fpu(context, area, sizeof(area));
}

static uint64_t routine(enum as_atomic_op op) {
    switch (op) {
    case ATOMIC_XCHG:
        return SYM_atomic_xchg;
    case ATOMIC_CMPXCHG:
        return SYM_atomic_cmpxchg;
    case ATOMIC_ADD:
        return SYM_atomic_add;
    case ATOMIC_OR:
        return SYM_atomic_or;
    case ATOMIC_AND:
        return SYM_atomic_and;
    case ATOMIC_XOR:
        return SYM_atomic_xor;
    }
    ASSERT(!"unknown operation");
    return 0;
}

/* Runs the routine to its end. 0 and *ret_regs, -EFAULT, -ESRCH. Kicks that come meanwhile stay noted in
 * c->interrupted. */
static int run_routine(struct ptrace_context *c, struct guest_regs *ret_regs) {
    for (;;) {
        int status;
        siginfo_t info;
        if (!ptrace_request(c, PTRACE_SYSEMU, NULL) || !ptrace_await_stop(c, &status))
            return -ESRCH;
        int signo = WSTOPSIG(status);
        if (status >> 16 || (signo != SIGSEGV && signo != SIGBUS && signo != SIGTRAP))
            continue;
        if (!ptrace_request(c, PTRACE_GETSIGINFO, &info))
            return -ESRCH;
        if (info.si_code <= 0)
            continue;
        if (!ptrace_request(c, PTRACE_GETREGS, ret_regs))
            return -ESRCH;
        return signo == SIGTRAP ? 0 : -EFAULT;
    }
}

int ptrace_context_atomic32(struct context *context, enum as_atomic_op op, gva_t address, uint32_t operand,
                            uint32_t expected, uint32_t *ret_old) {
    struct ptrace_context *c = ptrace_context_of(context);
    might_block();
    if (c->dead)
        return -ESRCH;
    if (address % 4 || address >= c->space->platform->base.limits.max_address)
        return -EFAULT;
    struct guest_regs r = {.orig_rax = ~0ull,
                           .rip = routine(op),
                           .rflags = 0x202,
                           .rdi = address,
                           .rsi = operand,
                           .rax = expected,
                           .r9 = SYM_atomic_trap};
    ptrace_sanitize(&r);
    c->known = false; /* the next switch loads all registers */
    if (!ptrace_request(c, PTRACE_SETREGS, &r))
        return -ESRCH;
    int result = run_routine(c, &r);
    if (result == 0)
        *ret_old = (uint32_t)r.rax;
    return result;
}
