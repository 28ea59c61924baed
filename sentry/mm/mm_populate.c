/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_populate.c: making pages present ahead of their use, piece by piece: the host takes about a
 * quarter of a second for a gibibyte, and a task that is killed meanwhile must not wait for all of it, nor
 * must others wait for the address space's lock. Source: mmap(2) MAP_POPULATE, mlock(2).
 */
#include "sentry/kernel/task.h"
#include "sentry/mm/mm_areas.h"

bool mm_populate_is_in_vain(struct task *t) {
    return atomic_load(&t->pending_work) & TASK_WORK_EXIT;
}

/* One piece of one area from *at on; *at moves behind it. False: there is none below `end`. */
static bool populate_piece(struct mm *mm, gva_t *at, gva_t end) {
    struct as_op op = {.kind = AS_ADVISE, .advice = LINUX_MADV_POPULATE_READ};
    struct as_batch b = {0};

    mutex_lock(&mm->lock);
    struct vma *v = vma_find_locked(mm, *at);
    bool found = v && v->start < end;
    if (found) {
        gva_t from = MAX(v->start, *at), to = MIN(v->end, end);
        to = MIN(to, from + MM_POPULATE_PIECE);
        if ((v->prot & LINUX_PROT_WRITE) && !(v->flags & VMA_SHARED))
            op.advice = LINUX_MADV_POPULATE_WRITE;
        if (v->prot != 0)
            mm_add_range_ops_locked(mm, from, to, &op, &b);
        *at = to;
    }
    (void)!mm_apply_locked(mm, &b);
    mutex_unlock(&mm->lock);
    return found;
}

void mm_populate(struct task *t, struct mm *mm, gva_t start, gva_t end) {
    while (start < end && !mm_populate_is_in_vain(t) && populate_piece(mm, &start, end))
        ;
}
