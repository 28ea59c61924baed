/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_fault.c: what a page fault that the host could not resolve means: a stack that grows, a file
 * that has grown, or a signal and its code. Also keys of futex words. Source: sigaction(2) (si_code of
 * SIGSEGV and SIGBUS), mmap(2) (MAP_GROWSDOWN), futex(2).
 */
#include <errno.h>

#include "base/abi/linux/resource.h"
#include "base/abi/linux/signal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm_areas.h"

/* A fault of which the tree says that it cannot be: another thread has just mended it. So many times at one
 * address it is the guest that broke its own host mappings. */
enum { MAX_SPURIOUS = 64 };

static int fail(int signo, int code, int *ret_signo, int *ret_code) {
    *ret_signo = signo;
    *ret_code = code;
    return -EFAULT;
}

/* Room between a stack that grows to `start` and what lies below it: as Linux, the guard gap counts against
 * accessible areas that are not stacks themselves. */
static bool guard_gap_kept(struct vma *v, gva_t start) {
    struct vma *below = vma_prev(v);

    if (start < STACK_GUARD_GAP + MMAP_MIN_ADDR)
        return false;
    if (!below || (below->flags & VMA_GROWSDOWN) || below->prot == 0)
        return !below || below->end <= start;
    return below->end <= start - STACK_GUARD_GAP;
}

/* `v` is the first area behind addr. 0, or -ENOMEM when it may not grow so far. */
static int grow_stack_locked(struct task *t, struct vma *v, gva_t addr) {
    struct mm *mm = v->mm;
    gva_t start = page_down(addr);
    uint64_t bytes = v->start - start;
    struct as_batch b = {0};

    if (!t || v->end - start > task_limit(t, LINUX_RLIMIT_STACK) || !guard_gap_kept(v, start))
        return -ENOMEM;
    if (mm->total_bytes + bytes > task_limit(t, LINUX_RLIMIT_AS))
        return -ENOMEM;
    if ((v->flags & VMA_LOCKED) && mm_check_lock_limit_locked(t, mm, bytes) < 0)
        return -ENOMEM;
    as_batch_add(
        &b, &(struct as_op){.kind = AS_MAP_ANON, .addr = start, .len = bytes, .prot = (int)(v->prot & 7)});
    int result = mm_apply_locked(mm, &b);
    if (result == 0)
        vma_resize_locked(v, start, v->end);
    return result;
}

/* The object may have grown since the area was mapped: maps all there is from mapped_end on. */
static int map_more_locked(struct vma *v) {
    struct as_batch b = {0};
    gva_t mapped_end;
    int result = vma_add_map_ops(v, v->mapped_end, v->end, 0, &b, &mapped_end);

    if (result < 0) {
        as_batch_done(&b);
        return result;
    }
    result = mm_apply_locked(v->mm, &b);
    if (result == 0)
        v->mapped_end = mapped_end;
    return result;
}

static bool allowed(const struct vma *v, uint32_t access) {
    if (access & LINUX_PROT_WRITE)
        return v->prot & LINUX_PROT_WRITE;
    if (access & LINUX_PROT_EXEC)
        return v->prot & LINUX_PROT_EXEC;
    return v->prot & (LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC);
}

static bool spurious_too_often(struct mm *mm, gva_t addr) {
    if (mm->spurious_addr != addr)
        mm->spurious_count = 0;
    mm->spurious_addr = addr;
    return ++mm->spurious_count > MAX_SPURIOUS;
}

static int fault_locked(struct task *t, struct mm *mm, gva_t addr, uint32_t access, int *ret_signo,
                        int *ret_code) {
    struct vma *v = vma_find_locked(mm, addr);

    if (!v)
        return fail(LINUX_SIGSEGV, LINUX_SEGV_MAPERR, ret_signo, ret_code);
    if (v->start > addr) {
        if (!(v->flags & VMA_GROWSDOWN) || grow_stack_locked(t, v, addr) < 0)
            return fail(LINUX_SIGSEGV, LINUX_SEGV_MAPERR, ret_signo, ret_code);
        return 0;
    }
    if (!allowed(v, access))
        return fail(LINUX_SIGSEGV, LINUX_SEGV_ACCERR, ret_signo, ret_code);
    if (addr >= v->mapped_end) {
        if (map_more_locked(v) < 0 || addr >= v->mapped_end)
            return fail(LINUX_SIGBUS, LINUX_BUS_ADRERR, ret_signo, ret_code);
        return 0;
    }
    if (!spurious_too_often(mm, addr))
        return 0;
    if (v->mappable)
        return fail(LINUX_SIGBUS, LINUX_BUS_ADRERR, ret_signo, ret_code);
    return fail(LINUX_SIGSEGV, LINUX_SEGV_MAPERR, ret_signo, ret_code);
}

int mm_fault(struct task *t, struct mm *mm, gva_t addr, uint32_t access, int *ret_signo, int *ret_code) {
    might_block();
    mutex_lock(&mm->lock);
    int result = fault_locked(t, mm, addr, access, ret_signo, ret_code);
    mutex_unlock(&mm->lock);
    return result;
}

int mm_futex_key(struct mm *mm, gva_t addr, bool private, struct futex_key *ret) {
    if (addr >= mm_task_size(mm))
        return -EFAULT;
    *ret = (struct futex_key){.object = (uintptr_t)mm, .offset = addr};
    if (private)
        return 0;
    mutex_lock(&mm->lock);
    struct vma *v = vma_at_locked(mm, addr);
    if (v && (v->flags & VMA_SHARED))
        *ret = (struct futex_key){.object = v->mappable->id, .offset = v->offset + (addr - v->start)};
    mutex_unlock(&mm->lock);
    return v ? 0 : -EFAULT;
}
