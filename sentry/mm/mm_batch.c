/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_batch.c: operations on the platform's address space, gathered and carried out in one batch.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm_areas.h"

void as_batch_add(struct as_batch *b, const struct as_op *op) {
    if (b->failed)
        return;
    if (b->count == b->capacity) {
        size_t capacity = b->capacity ? 2 * b->capacity : 8;
        struct as_op *bigger = realloc(b->ops, capacity * sizeof *bigger);
        if (!bigger) {
            b->failed = true;
            return;
        }
        b->ops = bigger;
        b->capacity = capacity;
    }
    b->ops[b->count++] = *op;
}

void as_batch_done(struct as_batch *b) {
    free(b->ops);
    *b = (struct as_batch){0};
}

/* Linux's calls of the mmap family know no other error from below; a stub that is gone is seen by the task's
 * next switch. */
static int translate(int result) {
    return result == 0 || result == -ESRCH ? result : -ENOMEM;
}

static int apply_now(struct mm *mm, const struct as_batch *b) {
    if (b->failed)
        return -ENOMEM;
    if (b->count == 0)
        return 0;
    return kernel_platform(mm->kernel)->ops->as_apply(mm_as(mm), b->ops, b->count, NULL);
}

int mm_apply_locked(struct mm *mm, struct as_batch *b) {
    int result;

    if (mm->batch) {
        for (size_t i = 0; i < b->count; i++)
            as_batch_add(mm->batch, &b->ops[i]);
        result = b->failed || mm->batch->failed ? -ENOMEM : 0;
    } else {
        result = translate(apply_now(mm, b));
    }
    as_batch_done(b);
    return result;
}

void mm_batch_begin_locked(struct mm *mm, struct as_batch *b) {
    ASSERT(!mm->batch);
    *b = (struct as_batch){0};
    mm->batch = b;
}

int mm_batch_end_locked(struct mm *mm) {
    struct as_batch *b = TAKE(mm->batch);
    int result = translate(apply_now(mm, b));
    as_batch_done(b);
    return result;
}

void mm_batch_begin(struct mm *mm, struct as_batch *b) {
    mutex_lock(&mm->lock);
    mm_batch_begin_locked(mm, b);
    mutex_unlock(&mm->lock);
}

int mm_batch_end(struct mm *mm) {
    mutex_lock(&mm->lock);
    int result = mm_batch_end_locked(mm);
    mutex_unlock(&mm->lock);
    return result;
}

int vma_add_map_ops(struct vma *v, gva_t start, gva_t end, uint32_t host_flags, struct as_batch *b,
                    gva_t *ret_mapped_end) {
    bool shared = v->flags & VMA_SHARED;
    struct as_op op = {.prot = (int)(v->prot & 7), .flags = host_flags | (shared ? AS_SHARED : 0)};

    if (!v->mappable) {
        op.kind = AS_MAP_ANON;
        op.addr = start;
        op.len = end - start;
        as_batch_add(b, &op);
        *ret_mapped_end = end;
        return 0;
    }
    op.kind = AS_MAP_FILE;
    while (start < end) {
        struct host_range r;
        int result = v->mappable->ops->range(v->mappable, v->offset + (start - v->start), end - start, shared,
                                             v->max_prot & LINUX_PROT_WRITE, &r);
        if (result < 0)
            return result;
        if (r.fd < 0)
            break;
        op.addr = start;
        op.len = MIN(r.len, end - start);
        op.fd = r.fd;
        op.offset = r.offset;
        ASSERT(op.len > 0);
        as_batch_add(b, &op);
        start += op.len;
    }
    *ret_mapped_end = start;
    return 0;
}

void mm_add_range_ops_locked(struct mm *mm, gva_t start, gva_t end, const struct as_op *op,
                             struct as_batch *b) {
    struct as_op piece = *op;

    piece.len = 0;
    for (struct vma *v = vma_find_locked(mm, start); v && v->start < end; v = vma_next(v)) {
        gva_t from = MAX(v->start, start), to = MIN(v->mapped_end, end);
        if (from >= to)
            continue;
        if (piece.len > 0 && piece.addr + piece.len == from) {
            piece.len += to - from;
            continue;
        }
        if (piece.len > 0)
            as_batch_add(b, &piece);
        piece.addr = from;
        piece.len = to - from;
    }
    if (piece.len > 0)
        as_batch_add(b, &piece);
}
