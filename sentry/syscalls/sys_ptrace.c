/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_ptrace.c: ptrace(2): requests decoded, tracees looked up, results encoded. What a
 * request does to a tracee's state is in sentry/kernel/ptrace*.c. Source: ptrace(2).
 *
 * Register requests copy in first, then hold the tracee still (ptrace_lock_stopped()), then copy out: guest
 * memory is never touched under its lock.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/system.h"
#include "base/abi/linux/ucontext.h"
#include "base/abi/linux/uio.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/ptrace_access.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"

enum { FX_BYTES = sizeof(struct linux_fxsave) };

/* ---- memory ---- */

static int64_t peek(struct task *t, struct task *target, gva_t addr, gva_t data) {
    uint64_t word;
    struct mm *mm = task_get_mm(target);

    if (!mm)
        return -EIO;
    ssize_t n = mm_read(mm, &word, addr, sizeof word, /* force= */ true);
    mm_unref(mm);
    return n == (ssize_t)sizeof word ? copy_out(t, data, &word, sizeof word) : -EIO;
}

static int64_t poke(struct task *target, gva_t addr, uint64_t word) {
    struct mm *mm = task_get_mm(target);

    if (!mm)
        return -EIO;
    ssize_t n = mm_write(mm, addr, &word, sizeof word, /* force= */ true);
    mm_unref(mm);
    return n == (ssize_t)sizeof word ? 0 : -EIO;
}

/* ---- registers ---- */

static int64_t peek_user(struct task *t, struct task *target, uint64_t offset, gva_t data) {
    if (offset % sizeof(uint64_t) || offset >= sizeof(struct linux_user))
        return -EIO;
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    uint64_t value = ptrace_get_user(target, offset);
    mutex_unlock(&target->group->signal_lock);
    return copy_out(t, data, &value, sizeof value);
}

static int64_t poke_user(struct task *t, struct task *target, uint64_t offset, uint64_t value) {
    if (offset % sizeof(uint64_t) || offset >= sizeof(struct linux_user))
        return -EIO;
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    int r = -EIO;
    if (offset < sizeof(struct linux_user_regs))
        r = ptrace_set_reg(target, offset, value);
    else if (offset >= offsetof(struct linux_user, debugreg) &&
             offset < offsetof(struct linux_user, error_code))
        r = ptrace_set_debugreg(target, (offset - offsetof(struct linux_user, debugreg)) / 8, value);
    mutex_unlock(&target->group->signal_lock);
    return r;
}

/* The general registers: `size` bytes of struct user_regs. */
static int64_t get_regs(struct task *t, struct task *target, gva_t data, size_t size) {
    struct linux_user_regs regs;
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    ptrace_get_regs(&target->regs, &regs);
    mutex_unlock(&target->group->signal_lock);
    return copy_out(t, data, &regs, size);
}

static int64_t set_regs(struct task *t, struct task *target, gva_t data, size_t size) {
    uint64_t words[sizeof(struct linux_user_regs) / sizeof(uint64_t)];
    int r = copy_in(t, words, data, size);

    if (r < 0)
        return r;
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    for (size_t at = 0; at < size && r == 0; at += sizeof words[0])
        r = ptrace_set_reg(target, at, words[at / sizeof words[0]]);
    mutex_unlock(&target->group->signal_lock);
    return r;
}

/* A copy of the FPU state, heap bytes of *ret_size; NULL: none to be had (-EIO) or not stopped. */
static int take_fpu(struct task *t, struct task *target, uint8_t **ret, size_t *ret_size) {
    size_t size = kernel_platform(t->kernel)->fpu_size;
    uint8_t *copy = heap_alloc_bytes(size);

    if (!copy)
        return -ENOMEM;
    int r = -ESRCH;
    if (ptrace_lock_stopped(t, target)) {
        r = target->trace.fpu ? 0 : -EIO;
        if (r == 0)
            memcpy(copy, target->trace.fpu, size);
        mutex_unlock(&target->group->signal_lock);
    }
    if (r < 0) {
        heap_free(copy);
        return r;
    }
    ptrace_fix_xsave(copy, size);
    *ret = copy;
    *ret_size = size;
    return 0;
}

static int64_t get_fpu(struct task *t, struct task *target, gva_t data, size_t size) {
    uint8_t *copy;
    size_t have;
    int r = take_fpu(t, target, &copy, &have);

    if (r < 0)
        return r;
    if (size <= FX_BYTES) /* the legacy form alone has no word of the rest */
        memset(copy + offsetof(struct linux_fxsave, sw), 0, sizeof(struct linux_fpx_sw_bytes));
    r = copy_out(t, data, copy, MIN(size, have));
    heap_free(copy);
    return r;
}

/* mxcsr bits that the processor does not know make its load fault. */
static bool mxcsr_is_bad(const uint8_t *fpu) {
    return ((const struct linux_fxsave *)fpu)->mxcsr & ~0xffffu;
}

static int store_fpu(struct task *t, struct task *target, const uint8_t *fpu, size_t size) {
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    if (target->trace.fpu) {
        memcpy(target->trace.fpu, fpu, size);
        target->trace.fpu_dirty = true;
    }
    mutex_unlock(&target->group->signal_lock);
    return 0;
}

/* The first `size` bytes: the legacy area, or all of it. */
static int64_t set_fpu(struct task *t, struct task *target, gva_t data, size_t size) {
    uint8_t *copy;
    size_t have;
    int r = take_fpu(t, target, &copy, &have);

    if (r < 0)
        return r;
    r = copy_in(t, copy, data, MIN(size, have));
    struct linux_xstate_header *header = (struct linux_xstate_header *)(copy + FX_BYTES);
    if (r == 0 && mxcsr_is_bad(copy))
        r = -EINVAL;
    if (r == 0 && have > FX_BYTES) {
        uint32_t low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        if (header->xfeatures & ~((uint64_t)high << 32 | low))
            r = -EINVAL;
        if (size <= FX_BYTES)
            header->xfeatures |= 3; /* x87 and SSE are there now, whatever they were */
    }
    if (r == 0) {
        memset(copy + offsetof(struct linux_fxsave, sw), 0, sizeof(struct linux_fpx_sw_bytes));
        r = store_fpu(t, target, copy, have);
    }
    heap_free(copy);
    return r;
}

static size_t regset_size(struct task *t, uint64_t type) {
    switch (type) {
    case LINUX_NT_PRSTATUS:
        return sizeof(struct linux_user_regs);
    case LINUX_NT_PRFPREG:
        return FX_BYTES;
    case LINUX_NT_X86_XSTATE:
        return kernel_platform(t->kernel)->fpu_size;
    default:
        return 0;
    }
}

static int64_t regset(struct task *t, struct task *target, uint64_t type, gva_t at, bool set) {
    struct linux_iovec v;
    int64_t r = copy_in(t, &v, at, sizeof v);
    size_t size = regset_size(t, (uint32_t)type);

    if (r < 0)
        return r;
    if (size == 0 || v.len % sizeof(uint64_t))
        return -EINVAL;
    v.len = MIN(v.len, (uint64_t)size);
    if (set && type != LINUX_NT_PRSTATUS && v.len != size)
        return type == LINUX_NT_X86_XSTATE ? -EFAULT : -EINVAL;
    if (type == LINUX_NT_PRSTATUS)
        r = set ? set_regs(t, target, v.base, v.len) : get_regs(t, target, v.base, v.len);
    else
        r = set ? set_fpu(t, target, v.base, v.len) : get_fpu(t, target, v.base, v.len);
    if (r < 0)
        return r;
    return copy_out(t, at + offsetof(struct linux_iovec, len), &v.len, sizeof v.len);
}

static int64_t arch_prctl(struct task *t, struct task *target, uint64_t code, uint64_t addr) {
    const size_t fs = offsetof(struct linux_user_regs, fs_base),
                 gs = offsetof(struct linux_user_regs, gs_base);

    switch (code) { /* data is the code, addr its argument */
    case LINUX_ARCH_SET_FS:
    case LINUX_ARCH_SET_GS: {
        int64_t r = poke_user(t, target, code == LINUX_ARCH_SET_FS ? fs : gs, addr);
        return r == -EIO ? -EPERM : r;
    }
    case LINUX_ARCH_GET_FS:
        return peek_user(t, target, fs, addr);
    case LINUX_ARCH_GET_GS:
        return peek_user(t, target, gs, addr);
    default:
        return -EINVAL;
    }
}

/* ---- signals ---- */

static int64_t get_siginfo(struct task *t, struct task *target, gva_t data) {
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    bool has_info = target->trace.has_info;
    struct linux_siginfo info = target->trace.info;
    mutex_unlock(&target->group->signal_lock);
    return has_info ? copy_out(t, data, &info, sizeof info) : -EINVAL;
}

static int64_t set_siginfo(struct task *t, struct task *target, gva_t data) {
    struct linux_siginfo info;
    int r = copy_in(t, &info, data, sizeof info);

    if (r < 0)
        return r;
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    bool has_info = target->trace.has_info;
    if (has_info)
        target->trace.info = info;
    mutex_unlock(&target->group->signal_lock);
    return has_info ? 0 : -EINVAL;
}

/* The index-th entry of the queue. */
static bool pending_info(struct task *target, bool shared, uint64_t index, struct linux_siginfo *ret) {
    struct sigqueue *q;
    bool found = false;

    mutex_lock(&target->group->signal_lock);
    struct sigpending *p = shared ? &target->group->shared_pending : &target->pending;
    list_for_each_entry(q, &p->queue, node) {
        if (index-- > 0)
            continue;
        *ret = q->info;
        found = true;
        break;
    }
    mutex_unlock(&target->group->signal_lock);
    return found;
}

static int64_t peek_siginfo(struct task *t, struct task *target, gva_t addr, gva_t data) {
    struct linux_ptrace_peeksiginfo_args q;
    int r = copy_in(t, &q, addr, sizeof q);

    if (r < 0)
        return r;
    if ((q.flags & ~(uint32_t)LINUX_PTRACE_PEEKSIGINFO_SHARED) || q.nr < 0)
        return -EINVAL;
    int64_t done = 0;
    for (; done < q.nr; done++) {
        struct linux_siginfo info;
        if (q.off > UINT64_MAX - (uint64_t)done ||
            !pending_info(target, q.flags & LINUX_PTRACE_PEEKSIGINFO_SHARED, q.off + (uint64_t)done, &info))
            break;
        if (copy_out(t, data + (uint64_t)done * sizeof info, &info, sizeof info) < 0)
            return done > 0 ? done : -EFAULT;
        if (atomic_load(&t->pending_work))
            return done + 1;
    }
    return done;
}

static int64_t sigmask(struct task *t, struct task *target, uint64_t size, gva_t data, bool set) {
    sigset_word mask = 0;

    if (size != sizeof mask)
        return -EINVAL;
    int r = set ? copy_in(t, &mask, data, sizeof mask) : 0;
    if (r < 0)
        return r;
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    if (set) {
        target->blocked = mask & ~SIG_UNBLOCKABLE;
        signal_recalc_locked(target);
    } else {
        mask = target->has_saved_mask ? target->saved_mask : target->blocked;
    }
    mutex_unlock(&target->group->signal_lock);
    return set ? 0 : copy_out(t, data, &mask, sizeof mask);
}

/* ---- what it stopped for ---- */

static int64_t event_message(struct task *t, struct task *target, gva_t data) {
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    uint64_t message = target->trace.message;
    mutex_unlock(&target->group->signal_lock);
    return copy_out(t, data, &message, sizeof message);
}

/* Fills what belongs to the kind of stop; returns how many bytes of *ret count. */
static size_t describe_call(const struct task *target, struct linux_ptrace_syscall_info *ret) {
    const struct guest_regs *r = &target->regs;
    const uint64_t args[] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};

    switch (ret->op) {
    case LINUX_PTRACE_SYSCALL_INFO_ENTRY:
        ret->entry.nr = r->orig_rax;
        memcpy(ret->entry.args, args, sizeof args);
        return offsetof(struct linux_ptrace_syscall_info, entry) + sizeof ret->entry;
    case LINUX_PTRACE_SYSCALL_INFO_EXIT:
        ret->exit.rval = (int64_t)r->rax;
        ret->exit.is_error = r->rax >= (uint64_t)-4095;
        return offsetof(struct linux_ptrace_syscall_info, exit.is_error) + sizeof ret->exit.is_error;
    case LINUX_PTRACE_SYSCALL_INFO_SECCOMP:
        ret->seccomp.nr = r->orig_rax;
        memcpy(ret->seccomp.args, args, sizeof args);
        ret->seccomp.ret_data = (uint32_t)target->trace.message;
        return offsetof(struct linux_ptrace_syscall_info, seccomp.ret_data) + sizeof ret->seccomp.ret_data;
    default:
        return offsetof(struct linux_ptrace_syscall_info, entry);
    }
}

static int64_t syscall_info(struct task *t, struct task *target, uint64_t user_size, gva_t data) {
    struct linux_ptrace_syscall_info info = {.arch = LINUX_AUDIT_ARCH_X86_64};
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    info.op = target->trace.call_op;
    info.instruction_pointer = target->regs.rip;
    info.stack_pointer = target->regs.rsp;
    size_t size = describe_call(target, &info);
    mutex_unlock(&target->group->signal_lock);
    int r = copy_out(t, data, &info, MIN(size, user_size));
    return r < 0 ? r : (int64_t)size;
}

static int64_t set_options(struct task *t, struct task *target, uint64_t options) {
    int r = ptrace_check_options(t, options);

    if (r < 0)
        return r;
    if (!ptrace_lock_stopped(t, target))
        return -ESRCH;
    target->trace.options = (uint32_t)options;
    mutex_unlock(&target->group->signal_lock);
    return 0;
}

/* ---- seccomp filters ---- */

static int filter_of(struct task *t, struct task *target, uint64_t index, struct seccomp_filter **ret) {
    if (!task_capable_in(t, t->kernel->root_user_ns, LINUX_CAP_SYS_ADMIN) ||
        t->seccomp_mode != LINUX_SECCOMP_MODE_DISABLED)
        return -EACCES;
    if (target->seccomp_mode != LINUX_SECCOMP_MODE_FILTER)
        return -EINVAL;
    *ret = seccomp_get_filter(target, index);
    return *ret ? 0 : -ENOENT;
}

static int64_t seccomp_program(struct task *t, struct task *target, uint64_t index, gva_t data) {
    struct seccomp_filter *f;
    int64_t r = filter_of(t, target, index, &f);

    if (r < 0)
        return r;
    if (data)
        r = copy_out(t, data, f->program, f->count * sizeof *f->program);
    r = r < 0 ? r : f->count;
    seccomp_filter_unref(f);
    return r;
}

static int64_t seccomp_metadata(struct task *t, struct task *target, uint64_t size, gva_t data) {
    struct {
        uint64_t index, flags;
    } metadata = {0};
    struct seccomp_filter *f = NULL;

    size = MIN(size, (uint64_t)sizeof metadata);
    if (size < sizeof metadata.index)
        return -EINVAL;
    int r = copy_in(t, &metadata.index, data, sizeof metadata.index);
    if (r == 0)
        r = filter_of(t, target, metadata.index, &f);
    if (r < 0)
        return r;
    metadata.flags = f->log ? LINUX_SECCOMP_FILTER_FLAG_LOG : 0;
    seccomp_filter_unref(f);
    r = copy_out(t, data, &metadata, size);
    return r < 0 ? r : (int64_t)size;
}

/* ---- dispatch ---- */

static int64_t kill_tracee(struct task *target) {
    struct linux_siginfo info;

    siginfo_kernel(&info, LINUX_SIGKILL);
    return signal_send(target, &info, SIGNAL_GROUP);
}

/* Requests that make a stopped tracee go on. */
static int64_t resume(struct task *t, struct task *target, int request, uint64_t data) {
    switch (request) {
    case LINUX_PTRACE_SYSCALL:
        return ptrace_resume(t, target, SYSCALL_WORK_TRACE, /* step= */ false, data);
    case LINUX_PTRACE_SYSEMU:
        return ptrace_resume(t, target, SYSCALL_WORK_EMU, /* step= */ false, data);
    case LINUX_PTRACE_SYSEMU_SINGLESTEP:
        return ptrace_resume(t, target, SYSCALL_WORK_EMU, /* step= */ true, data);
    case LINUX_PTRACE_SINGLESTEP:
        return ptrace_resume(t, target, 0, /* step= */ true, data);
    default:
        return ptrace_resume(t, target, 0, /* step= */ false, data);
    }
}

/* tidy: table */
static int64_t request_stopped(struct task *t, struct task *target, int request, uint64_t addr,
                               uint64_t data) {
    switch (request) {
    case LINUX_PTRACE_PEEKTEXT:
    case LINUX_PTRACE_PEEKDATA:
        return peek(t, target, addr, data);
    case LINUX_PTRACE_POKETEXT:
    case LINUX_PTRACE_POKEDATA:
        return poke(target, addr, data);
    case LINUX_PTRACE_PEEKUSR:
        return peek_user(t, target, addr, data);
    case LINUX_PTRACE_POKEUSR:
        return poke_user(t, target, addr, data);
    case LINUX_PTRACE_GETREGS:
        return get_regs(t, target, data, sizeof(struct linux_user_regs));
    case LINUX_PTRACE_SETREGS:
        return set_regs(t, target, data, sizeof(struct linux_user_regs));
    case LINUX_PTRACE_GETFPREGS:
        return get_fpu(t, target, data, FX_BYTES);
    case LINUX_PTRACE_SETFPREGS:
        return set_fpu(t, target, data, FX_BYTES);
    case LINUX_PTRACE_GETREGSET:
    case LINUX_PTRACE_SETREGSET:
        return regset(t, target, addr, data, request == LINUX_PTRACE_SETREGSET);
    case LINUX_PTRACE_ARCH_PRCTL:
        return arch_prctl(t, target, data, addr);
    case LINUX_PTRACE_GETSIGINFO:
        return get_siginfo(t, target, data);
    case LINUX_PTRACE_SETSIGINFO:
        return set_siginfo(t, target, data);
    case LINUX_PTRACE_PEEKSIGINFO:
        return peek_siginfo(t, target, addr, data);
    case LINUX_PTRACE_GETSIGMASK:
    case LINUX_PTRACE_SETSIGMASK:
        return sigmask(t, target, addr, data, request == LINUX_PTRACE_SETSIGMASK);
    case LINUX_PTRACE_SETOPTIONS:
        return set_options(t, target, data);
    case LINUX_PTRACE_GETEVENTMSG:
        return event_message(t, target, data);
    case LINUX_PTRACE_GET_SYSCALL_INFO:
        return syscall_info(t, target, addr, data);
    case LINUX_PTRACE_SECCOMP_GET_FILTER:
        return seccomp_program(t, target, addr, data);
    case LINUX_PTRACE_SECCOMP_GET_METADATA:
        return seccomp_metadata(t, target, addr, data);
    case LINUX_PTRACE_LISTEN:
        return ptrace_listen(t, target);
    case LINUX_PTRACE_DETACH:
        return ptrace_detach(t, target, data);
    case LINUX_PTRACE_CONT:
    case LINUX_PTRACE_SYSCALL:
    case LINUX_PTRACE_SYSEMU:
    case LINUX_PTRACE_SYSEMU_SINGLESTEP:
    case LINUX_PTRACE_SINGLESTEP:
        return resume(t, target, request, data);
    default:
        return -EIO;
    }
}

static int64_t attach(struct task *t, struct task *target, bool seize, uint64_t addr, uint64_t options) {
    if (!seize)
        return ptrace_attach(t, target, seize, 0);
    if (addr != 0 || (options & ~(uint64_t)LINUX_PTRACE_O_MASK))
        return -EIO;
    int r = ptrace_check_options(t, options);
    return r < 0 ? r : ptrace_attach(t, target, seize, options);
}

int64_t sys_ptrace(struct task *t, const struct syscall_args *a) {
    int request = a->arg[0] > INT32_MAX ? -1 : (int)a->arg[0];
    uint64_t addr = a->arg[2], data = a->arg[3];

    if (request == LINUX_PTRACE_TRACEME)
        return ptrace_traceme(t);
    struct task *target = task_find(t, (int)a->arg[1]);
    if (!target)
        return -ESRCH;
    int64_t r;
    if (request == LINUX_PTRACE_ATTACH || request == LINUX_PTRACE_SEIZE) {
        r = attach(t, target, request == LINUX_PTRACE_SEIZE, addr, data);
    } else {
        bool any = request == LINUX_PTRACE_KILL || request == LINUX_PTRACE_INTERRUPT;
        r = ptrace_check_attached(t, target, any);
        if (r == 0 && request == LINUX_PTRACE_KILL)
            r = kill_tracee(target);
        else if (r == 0 && request == LINUX_PTRACE_INTERRUPT)
            r = ptrace_interrupt(t, target);
        else if (r == 0)
            r = request_stopped(t, target, request, addr, data);
    }
    task_unref(target);
    return r;
}
