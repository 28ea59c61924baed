/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_mappable.c: what can be mapped, and taking truncated pages out of every mapping.
 *
 * mm->lock ranks before mappable.lock, so the mappings are found under the latter, their address spaces kept
 * by a reference, and each is then worked on under its own lock. An address space that came meanwhile by fork
 * from one not yet done is found in a further round: rounds end when one finds none that is new. One that
 * came by fork from one already done is clean.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm_areas.h"

static void mappable_destroy(struct mappable *m) {
    ASSERT(list_empty(&m->vmas));
    m->ops->release(m);
}
DEFINE_REF(mappable, mappable_destroy);

void mappable_init(struct mappable *m, const struct mappable_ops *ops, struct kernel *k) {
    mappable_ref_init(m);
    m->ops = ops;
    m->id = atomic_fetch_add_explicit(&k->next_inode, 1, memory_order_relaxed);
    mutex_init(&m->lock, RANK_MAPPABLE);
    list_init(&m->vmas);
    m->writable_shared = 0;
    m->write_sealed = false;
}

int mappable_seal_write(struct mappable *m, bool future_only) {
    mutex_lock(&m->lock);
    int result = !future_only && m->writable_shared > 0 ? -EBUSY : 0;
    if (result == 0)
        m->write_sealed = true;
    mutex_unlock(&m->lock);
    return result;
}

/* Maps [start, end) of the area anew: what still exists is there again (without private copies), the rest is
 * unmapped. */
static void remap_locked(struct vma *v, gva_t start, gva_t end, struct as_batch *b) {
    gva_t mapped_end = start;

    if (vma_add_map_ops(v, start, end, 0, b, &mapped_end) < 0)
        mapped_end = start;
    if (mapped_end < end) {
        as_batch_add(b, &(struct as_op){.kind = AS_UNMAP, .addr = mapped_end, .len = end - mapped_end});
        v->mapped_end = MIN(v->mapped_end, mapped_end);
    }
}

static void invalidate_in(struct mm *mm, struct mappable *m, uint64_t offset, uint64_t len) {
    struct as_batch b = {0};
    struct vma *v;

    mutex_lock(&mm->lock);
    if (!mm->as.ops) { /* it is ending: what may be reused has been unmapped */
        mutex_unlock(&mm->lock);
        return;
    }
    RB_FOREACH(v, vma_tree, &mm->areas) {
        if (v->mappable != m || v->offset >= offset + len || offset >= v->offset + (v->mapped_end - v->start))
            continue;
        uint64_t from = MAX(v->offset, offset),
                 to = MIN(v->offset + (v->mapped_end - v->start), offset + len);
        remap_locked(v, v->start + (from - v->offset), v->start + (to - v->offset), &b);
    }
    int result = mm_apply_locked(mm, &b);
    if (result < 0 && result != -ESRCH) {
        /* Its pages are about to belong to another file. */
        log_error(LOG_MM, "truncated pages cannot be unmapped (%d): the process is killed", result);
        kernel_platform(mm->kernel)->ops->as_kill(mm_as(mm));
    }
    mutex_unlock(&mm->lock);
}

struct mm_set {
    struct mm **items; /* malloc'd; references */
    size_t count, capacity;
};

static bool set_has(const struct mm_set *s, const struct mm *mm) {
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i] == mm)
            return true;
    return false;
}

/* One address space that maps some of `m` and is not in the set: with a reference, or NULL. Which part it
 * maps is not looked at: borders are the mm's lock's. */
static struct mm *find_new(struct mappable *m, const struct mm_set *done) {
    struct mm *found = NULL;
    struct vma *v;

    mutex_lock(&m->lock);
    list_for_each_entry(v, &m->vmas, link) {
        if (set_has(done, v->mm))
            continue;
        mm_hold_memory(v->mm);
        found = v->mm;
        break;
    }
    mutex_unlock(&m->lock);
    return found;
}

static void set_add(struct mm_set *s, struct mm *mm) {
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 8;
        s->items = realloc(s->items, s->capacity * sizeof(struct mm *));
        ASSERT(s->items);
    }
    s->items[s->count++] = mm;
}

void mappable_invalidate(struct mappable *m, uint64_t offset, uint64_t len) {
    struct mm_set done = {0};
    struct mm *mm;

    might_block();
    if (len == 0)
        return;
    while ((mm = find_new(m, &done))) {
        set_add(&done, mm);
        invalidate_in(mm, m, offset, len);
    }
    for (size_t i = 0; i < done.count; i++)
        mm_drop_memory(done.items[i]);
    free(done.items);
}
