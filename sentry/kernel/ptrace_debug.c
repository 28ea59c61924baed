/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ptrace_debug.c: the debug registers that a tracer sees. Platforms give guests no real ones,
 * so they are emulated: while one is enabled the task runs by single steps, and after each the watched bytes
 * are compared and rip is looked at. What differs from hardware: a write that stores the same value is not
 * seen, and a change that another thread makes counts for whoever looks first. Watching reads (DR7's kind 3)
 * is refused. Source: Intel SDM vol. 3, 17.2; ptrace(2), PTRACE_POKEUSER.
 */
#include <errno.h>
#include <string.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"

enum { SLOTS = 4, DR6 = 6, DR7 = 7, KIND_EXECUTE = 0, KIND_WRITE = 1 };
#define DR6_STEP 0x4000ull

static bool is_enabled(uint64_t dr7, int slot) {
    return dr7 >> (2 * slot) & 3;
}

static unsigned kind_of(uint64_t dr7, int slot) {
    return (unsigned)(dr7 >> (16 + 4 * slot)) & 3;
}

static size_t length_of(uint64_t dr7, int slot) {
    static const size_t length[] = {1, 2, 8, 4};
    return length[dr7 >> (18 + 4 * slot) & 3];
}

/* Each enabled slot watches something that can be watched. */
static bool is_possible(const struct task_trace *tr, uint64_t dr7) {
    for (int i = 0; i < SLOTS; i++) {
        if (!is_enabled(dr7, i))
            continue;
        size_t length = length_of(dr7, i);
        unsigned kind = kind_of(dr7, i);
        if (tr->debugreg[i] % length || (kind != KIND_EXECUTE && kind != KIND_WRITE) ||
            (kind == KIND_EXECUTE && length != 1))
            return false;
    }
    return true;
}

int ptrace_set_debugreg(struct task *t, size_t number, uint64_t value) {
    struct task_trace *tr = &t->trace;
    uint64_t old = tr->debugreg[number];

    if (number == 4 || number == 5)
        return -EIO;
    if (number < SLOTS && value >= kernel_platform(t->kernel)->limits.max_address)
        return -EINVAL;
    tr->debugreg[number] = value;
    if (number != DR6 && !is_possible(tr, tr->debugreg[DR7])) {
        tr->debugreg[number] = old;
        return -EINVAL;
    }
    tr->watching = (tr->debugreg[DR7] & 0xff) != 0;
    tr->watch_is_fresh = false;
    if (tr->watching)
        atomic_fetch_or(&t->syscall_work, SYSCALL_WORK_WATCH);
    else
        atomic_fetch_and(&t->syscall_work, ~(uint32_t)SYSCALL_WORK_WATCH);
    return 0;
}

void ptrace_forget_debugregs_locked(struct task *t) {
    mutex_assert_held(&t->group->signal_lock);
    memset(t->trace.debugreg, 0, sizeof t->trace.debugreg);
    t->trace.watching = false;
    atomic_fetch_and(&t->syscall_work, ~(uint32_t)SYSCALL_WORK_WATCH);
}

static uint64_t read_watched(struct task *t, int slot) {
    uint64_t value = 0;
    ssize_t n = mm_read(t->mm, &value, t->trace.debugreg[slot], length_of(t->trace.debugreg[DR7], slot),
                        /* force= */ true);

    return n > 0 ? value : 0;
}

void ptrace_refresh_watched(struct task *t) {
    struct task_trace *tr = &t->trace;
    uint64_t dr7 = tr->debugreg[DR7];

    for (int i = 0; i < SLOTS; i++)
        if (is_enabled(dr7, i) && kind_of(dr7, i) == KIND_WRITE)
            tr->watched[i] = read_watched(t, i);
    tr->watch_is_fresh = true;
}

bool ptrace_watch_step(struct task *t) {
    struct task_trace *tr = &t->trace;
    uint64_t dr7 = tr->debugreg[DR7], hits = 0;

    for (int i = 0; i < SLOTS; i++) {
        if (!is_enabled(dr7, i))
            continue;
        if (kind_of(dr7, i) == KIND_EXECUTE) {
            hits |= (uint64_t)(t->regs.rip == tr->debugreg[i]) << i;
            continue;
        }
        uint64_t now = read_watched(t, i);
        hits |= (uint64_t)(now != tr->watched[i]) << i;
        tr->watched[i] = now;
    }
    if (hits == 0)
        return false;
    mutex_lock(&t->group->signal_lock);
    tr->debugreg[DR6] |= hits | (tr->step ? DR6_STEP : 0);
    mutex_unlock(&t->group->signal_lock);
    struct linux_siginfo info = {.signo = LINUX_SIGTRAP,
                                 .code = tr->step ? LINUX_TRAP_TRACE : LINUX_TRAP_HWBKPT};
    info.fault.address = t->regs.rip;
    signal_force_fault(t, &info);
    return true;
}
