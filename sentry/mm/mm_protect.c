/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_protect.c: mprotect, mseal, and the mlock family. As on Linux a call that meets a hole or a
 * refusal has done its work up to there.
 *
 * Locking is policy here: limits and VmLck count as on Linux and pages are made present, but the host is not
 * asked to pin them (it would need the privilege; the host may swap). Source: mprotect(2), mlock(2),
 * mseal(2).
 */
#include <errno.h>

#include "base/abi/linux/resource.h"
#include "base/abi/linux/system.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm_areas.h"

enum { CAP_IPC_LOCK_NR = 14 };

/* ---- mprotect ---- */

/* How far [start, end) can be given `prot`: *ret_end, and the error that ends it there. */
static int protectable_locked(struct task *t, struct mm *mm, gva_t start, gva_t end, uint32_t prot,
                              gva_t *ret_end) {
    gva_t at = start;
    uint64_t new_data = 0;
    int result = 0;

    for (struct vma *v = vma_find_locked(mm, start); at < end; v = vma_next(v)) {
        gva_t to = v ? MIN(v->end, end) : end;
        if (!v || v->start > at)
            result = -ENOMEM;
        else if (v->flags & VMA_SEALED)
            result = -EPERM;
        else if (prot & ~v->max_prot)
            result = -EACCES;
        else if (mm_is_data(prot, v->flags) && !mm_is_data(v->prot, v->flags))
            new_data += to - at;
        if (result == 0 && new_data > 0 && mm->data_bytes + new_data > task_limit(t, LINUX_RLIMIT_DATA))
            result = -ENOMEM;
        if (result < 0)
            break;
        at = to;
    }
    *ret_end = at;
    return result;
}

static void set_prot_locked(struct mm *mm, gva_t start, gva_t end, uint32_t prot) {
    for (struct vma *v = vma_find_locked(mm, start); v && v->start < end; v = vma_next(v)) {
        vma_account_locked(v, /* add= */ false);
        v->prot = prot;
        vma_account_locked(v, /* add= */ true);
    }
}

static int protect_locked(struct task *t, struct mm *mm, gva_t start, gva_t end, uint32_t prot,
                          struct list *dead) {
    struct as_batch b = {0};
    gva_t stop;
    int refusal = protectable_locked(t, mm, start, end, prot, &stop);

    if (stop == start)
        return refusal;
    int result = vma_isolate_locked(mm, start, stop);
    if (result == 0) {
        mm_add_range_ops_locked(mm, start, stop, &(struct as_op){.kind = AS_PROTECT, .prot = (int)prot}, &b);
        result = mm_apply_locked(mm, &b);
    }
    if (result == 0)
        set_prot_locked(mm, start, stop, prot);
    vma_join_locked(mm, start, stop, dead);
    return result < 0 ? result : refusal;
}

/* PROT_GROWSDOWN, PROT_GROWSUP: from the start (to the end) of the area, which must be of that kind. There
 * are none that grow up on x86. */
static int extend_to_area_locked(struct mm *mm, uint32_t prot, gva_t *start, gva_t end) {
    struct vma *v = vma_find_locked(mm, *start);

    if (prot & LINUX_PROT_GROWSUP)
        return v && v->start <= *start ? -EINVAL : -ENOMEM;
    if (!(prot & LINUX_PROT_GROWSDOWN))
        return 0;
    if (!v || v->start >= end)
        return -ENOMEM;
    if (!(v->flags & VMA_GROWSDOWN))
        return -EINVAL;
    *start = v->start;
    return 0;
}

int mm_mprotect(struct task *t, gva_t addr, uint64_t len, uint32_t prot) {
    const uint32_t grows = LINUX_PROT_GROWSDOWN | LINUX_PROT_GROWSUP,
                   rwx = LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC;
    struct mm *mm = t->mm;
    struct list dead;

    might_block();
    if ((prot & grows) == grows || addr % PAGE_SIZE != 0)
        return -EINVAL;
    if (len == 0)
        return 0;
    len = page_up(len);
    gva_t end = addr + len;
    if (end <= addr)
        return -ENOMEM;
    if (prot & ~(rwx | LINUX_PROT_SEM | grows))
        return -EINVAL;
    if ((t->personality & LINUX_READ_IMPLIES_EXEC) && (prot & LINUX_PROT_READ))
        prot |= LINUX_PROT_EXEC;
    list_init(&dead);
    mutex_lock(&mm->lock);
    int result = extend_to_area_locked(mm, prot, &addr, end);
    if (result == 0)
        result = protect_locked(t, mm, addr, end, prot & rwx, &dead);
    mm_unlock(mm, &dead);
    return result;
}

/* ---- flags of areas ---- */

/* Where the unbroken run of areas from `start` ends, at most `end`. */
static gva_t covered_until_locked(struct mm *mm, gva_t start, gva_t end) {
    gva_t at = start;

    for (struct vma *v = vma_find_locked(mm, start); v && at < end && v->start <= at; v = vma_next(v))
        at = v->end;
    return MIN(at, end);
}

int mm_change_flags_locked(struct mm *mm, gva_t start, gva_t end, uint32_t clear, uint32_t set,
                           struct list *dead) {
    int result = vma_isolate_locked(mm, start, end);

    for (struct vma *v = vma_find_locked(mm, start); result == 0 && v && v->start < end; v = vma_next(v)) {
        vma_account_locked(v, /* add= */ false);
        v->flags = (v->flags & ~clear) | set;
        vma_account_locked(v, /* add= */ true);
    }
    vma_join_locked(mm, start, end, dead);
    return result;
}

static uint64_t locked_in_locked(struct mm *mm, gva_t start, gva_t end) {
    uint64_t sum = 0;

    for (struct vma *v = vma_find_locked(mm, start); v && v->start < end; v = vma_next(v)) {
        gva_t from = MAX(v->start, start), to = MIN(v->end, end);
        sum += v->flags & VMA_LOCKED ? to - from : 0;
    }
    return sum;
}

/* ---- mlock ---- */

/* addr and len of the family: *end, page aligned. 0, -EINVAL (wraps). */
static int lock_range(gva_t *addr, uint64_t len, gva_t *ret_end) {
    len = page_up(len + *addr % PAGE_SIZE);
    *addr = page_down(*addr);
    *ret_end = *addr + len;
    return *ret_end < *addr ? -EINVAL : 0;
}

int mm_mlock(struct task *t, gva_t addr, uint64_t len, bool on_fault) {
    struct mm *mm = t->mm;
    struct list dead;
    gva_t end;

    might_block();
    if (task_limit(t, LINUX_RLIMIT_MEMLOCK) == 0 && !task_capable(t, CAP_IPC_LOCK_NR))
        return -EPERM;
    int result = lock_range(&addr, len, &end);
    if (result < 0 || end == addr)
        return result;
    list_init(&dead);
    mutex_lock(&mm->lock);
    if (mm_check_lock_limit_locked(t, mm, end - addr - MIN(end - addr, locked_in_locked(mm, addr, end))) < 0)
        result = -ENOMEM;
    gva_t stop = covered_until_locked(mm, addr, end);
    if (result == 0 && stop > addr)
        result = mm_change_flags_locked(mm, addr, stop, VMA_LOCKONFAULT,
                                        VMA_LOCKED | (on_fault ? VMA_LOCKONFAULT : 0), &dead);
    mm_unlock(mm, &dead);
    if (result == 0 && !on_fault)
        mm_populate(t, mm, addr, stop);
    return result == 0 && stop < end ? -ENOMEM : result;
}

int mm_munlock(struct task *t, gva_t addr, uint64_t len) {
    struct mm *mm = t->mm;
    struct list dead;
    gva_t end;
    int result = lock_range(&addr, len, &end);

    might_block();
    if (result < 0 || end == addr)
        return result;
    list_init(&dead);
    mutex_lock(&mm->lock);
    gva_t stop = covered_until_locked(mm, addr, end);
    if (stop > addr)
        result = mm_change_flags_locked(mm, addr, stop, VMA_LOCKED | VMA_LOCKONFAULT, 0, &dead);
    if (result == 0 && stop < end)
        result = -ENOMEM;
    mm_unlock(mm, &dead);
    return result;
}

static int set_all_locked(struct mm *mm, uint32_t set, struct list *dead) {
    struct vma *v;

    RB_FOREACH(v, vma_tree, &mm->areas) {
        if (v->flags & VMA_SPECIAL)
            continue;
        vma_account_locked(v, /* add= */ false);
        v->flags = (v->flags & ~(uint32_t)(VMA_LOCKED | VMA_LOCKONFAULT)) | set;
        vma_account_locked(v, /* add= */ true);
    }
    vma_join_locked(mm, 0, mm_task_size(mm), dead);
    return 0;
}

int mm_mlockall(struct task *t, int flags) {
    struct mm *mm = t->mm;
    struct list dead;

    might_block();
    if (flags == 0 || (flags & ~(LINUX_MCL_CURRENT | LINUX_MCL_FUTURE | LINUX_MCL_ONFAULT)) ||
        flags == LINUX_MCL_ONFAULT)
        return -EINVAL;
    bool capable = task_capable(t, CAP_IPC_LOCK_NR);
    if (task_limit(t, LINUX_RLIMIT_MEMLOCK) == 0 && !capable)
        return -EPERM;
    uint32_t set = VMA_LOCKED | (flags & LINUX_MCL_ONFAULT ? VMA_LOCKONFAULT : 0);
    int result = 0;
    list_init(&dead);
    mutex_lock(&mm->lock);
    if ((flags & LINUX_MCL_CURRENT) && !capable && mm->total_bytes > task_limit(t, LINUX_RLIMIT_MEMLOCK))
        result = -ENOMEM;
    if (result == 0)
        mm->default_flags = flags & LINUX_MCL_FUTURE ? set : 0;
    if (result == 0 && (flags & LINUX_MCL_CURRENT))
        result = set_all_locked(mm, set, &dead);
    mm_unlock(mm, &dead);
    if (result == 0 && (flags & LINUX_MCL_CURRENT) && !(flags & LINUX_MCL_ONFAULT))
        mm_populate(t, mm, 0, mm_task_size(mm));
    return result;
}

int mm_munlockall(struct task *t) {
    struct mm *mm = t->mm;
    struct list dead;

    list_init(&dead);
    mutex_lock(&mm->lock);
    mm->default_flags = 0;
    int result = set_all_locked(mm, 0, &dead);
    mm_unlock(mm, &dead);
    return result;
}

int mm_mseal(struct mm *mm, gva_t addr, uint64_t len) {
    struct list dead;

    if (addr % PAGE_SIZE != 0)
        return -EINVAL;
    uint64_t rounded = page_up(len);
    if ((len > 0 && rounded == 0) || addr + rounded < addr)
        return -EINVAL;
    if (rounded == 0)
        return 0;
    list_init(&dead);
    mutex_lock(&mm->lock);
    int result = -ENOMEM;
    if (covered_until_locked(mm, addr, addr + rounded) == addr + rounded)
        result = mm_change_flags_locked(mm, addr, addr + rounded, 0, VMA_SEALED, &dead);
    mm_unlock(mm, &dead);
    return result;
}
