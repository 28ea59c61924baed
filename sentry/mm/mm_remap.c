/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_remap.c: mremap(2). The order of checks is Linux's.
 *
 * Growing in place maps the new part only. Moving moves private pages by the host's mremap, piece by piece
 * where the object's bytes lie in several; shared mappings are moved in the same way.
 */
#include <errno.h>

#include "base/abi/linux/resource.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm_areas.h"

struct move {
    gva_t old, new_addr;
    uint64_t old_len, new_len; /* page aligned */
    uint32_t flags;
};

/* The area that `m` is about: it must hold [old, old+old_len) whole. */
static int source_area_locked(struct task *t, struct mm *mm, const struct move *m, struct vma **ret) {
    struct vma *v = vma_at_locked(mm, m->old);

    if (!v)
        return -EFAULT;
    if (m->old_len == 0 && !(v->flags & VMA_SHARED))
        return -EINVAL; /* only a shared mapping can be had twice */
    if ((m->flags & LINUX_MREMAP_DONTUNMAP) && (v->flags & VMA_SPECIAL))
        return -EINVAL;
    if (m->old_len > v->end - m->old)
        return -EFAULT;
    *ret = v;
    if (m->new_len <= m->old_len)
        return 0;
    if (v->mappable && v->offset + (m->old - v->start) + m->new_len < m->new_len)
        return -EINVAL;
    if ((v->flags & VMA_LOCKED) && mm_check_lock_limit_locked(t, mm, m->new_len - m->old_len) < 0)
        return -EAGAIN;
    return mm_check_limits_locked(t, mm, m->new_len - m->old_len, mm_is_data(v->prot, v->flags));
}

static int shrink_locked(struct mm *mm, const struct move *m, struct list *dead) {
    return mm_unmap_locked(mm, m->old + m->new_len, m->old + m->old_len, dead);
}

static int grow_in_place_locked(struct vma *v, uint64_t more, struct list *dead) {
    struct map_plan p = {.start = v->end,
                         .end = v->end + more,
                         .prot = v->prot,
                         .max_prot = v->max_prot,
                         .flags = v->flags,
                         .mappable = v->mappable,
                         .file = v->file,
                         .name = v->name,
                         .offset = v->mappable ? v->offset + (v->end - v->start) : 0};

    p.host_flags = v->flags & VMA_LOCKED ? AS_POPULATE : 0;
    return mm_map_locked(v->mm, &p, dead);
}

/* The host's moves of [from, to) of the area, which are one operation where its bytes lie side by side. */
static int add_move_ops(struct vma *v, gva_t from, gva_t to, const struct move *m, struct as_batch *b) {
    struct as_op op = {.kind = AS_REMAP, .flags = m->flags & LINUX_MREMAP_DONTUNMAP ? AS_DONTUNMAP : 0};

    while (from < to) {
        uint64_t len = to - from;
        if (v->mappable) {
            struct host_range r;
            int result = v->mappable->ops->range(v->mappable, v->offset + (from - v->start), len,
                                                 v->flags & VMA_SHARED, v->max_prot & LINUX_PROT_WRITE, &r);
            if (result < 0)
                return result;
            len = r.fd < 0 ? len : MIN(len, r.len);
        }
        op.addr = from;
        op.old_len = op.len = len;
        op.new_addr = m->new_addr + (from - m->old);
        as_batch_add(b, &op);
        from += len;
    }
    return 0;
}

/* What the moved area shall be, not yet in the tree. */
static struct vma *moved_area(struct vma *v, const struct move *m) {
    struct vma *to = vma_new(v->mm, m->new_addr, m->new_addr + m->new_len);

    if (!to)
        return NULL;
    to->prot = v->prot;
    to->max_prot = v->max_prot;
    to->flags = v->flags;
    to->name = v->name;
    to->offset = v->mappable ? v->offset + (m->old - v->start) : 0;
    vma_attach(to, v->mappable, v->file);
    return to;
}

/* Moves what is mapped, and maps what is new behind it. */
static int move_on_host(struct vma *v, struct vma *to, const struct move *m) {
    struct as_batch b = {0};
    gva_t moved_end = MIN(v->mapped_end, m->old + m->old_len);
    gva_t moved = moved_end > m->old && m->old_len > 0 ? moved_end - m->old : 0,
          mapped_end = to->start + moved;
    int result = moved > 0 ? add_move_ops(v, m->old, m->old + moved, m, &b) : 0;

    if (result == 0 && mapped_end < to->end && (moved == m->old_len || m->old_len == 0))
        result = vma_add_map_ops(to, mapped_end, to->end, v->flags & VMA_LOCKED ? AS_POPULATE : 0, &b,
                                 &mapped_end);
    to->mapped_end = mapped_end;
    if (result < 0) {
        as_batch_done(&b);
        return result;
    }
    return mm_apply_locked(v->mm, &b);
}

/* Takes the old area away (or leaves it, its pages gone), puts the new one in. */
static void move_in_tree(struct vma *v, struct vma *to, const struct move *m, struct list *dead) {
    struct mm *mm = v->mm;

    if (m->old_len > 0 && !(m->flags & LINUX_MREMAP_DONTUNMAP)) {
        ASSERT(v->start == m->old);
        ASSERT(v->end == m->old + m->old_len);
        vma_bury_locked(v, dead);
    } else if (m->flags & LINUX_MREMAP_DONTUNMAP) {
        mm_change_flags_locked(mm, m->old, m->old + m->old_len, VMA_LOCKED | VMA_LOCKONFAULT, 0, dead);
    }
    vma_insert_locked(to);
    vma_join_locked(mm, to->start, to->end, dead);
}

/* [new_addr, +new_len) is free. */
static int move_locked(struct mm *mm, const struct move *m, struct list *dead) {
    int result = mm->area_count >= MAX_MAP_COUNT - 3 ? -ENOMEM : 0;

    if (result == 0 && m->old_len > 0)
        result = vma_isolate_locked(mm, m->old, m->old + m->old_len);
    if (result < 0)
        return result;
    struct vma *v = vma_at_locked(mm, m->old), *to = moved_area(v, m);
    if (!to)
        return -ENOMEM;
    result = move_on_host(v, to, m);
    if (result < 0) {
        vma_discard(to, dead);
        vma_join_locked(mm, m->old, m->old + m->old_len, dead);
        return result;
    }
    move_in_tree(v, to, m, dead);
    return 0;
}

/* What Linux checks of new_addr with MREMAP_FIXED, and with MREMAP_DONTUNMAP, where it is a hint. */
static bool new_place_ok(const struct mm *mm, const struct move *m) {
    gva_t top = mm_task_size(mm);

    if (m->new_addr % PAGE_SIZE != 0 || m->new_len > top || m->new_addr > top - m->new_len)
        return false;
    return m->old + m->old_len <= m->new_addr || m->new_addr + m->new_len <= m->old;
}

static int64_t remap_to_locked(struct task *t, struct mm *mm, struct move *m, struct list *dead) {
    struct vma *v;

    if (!new_place_ok(mm, m))
        return -EINVAL;
    if (mm->area_count + 2 >= MAX_MAP_COUNT - 3)
        return -ENOMEM;
    if (m->new_addr < kernel_platform(mm->kernel)->limits.min_address)
        return -EPERM;
    if (mm_is_sealed_locked(mm, m->new_addr, m->new_addr + m->new_len) ||
        mm_is_sealed_locked(mm, m->old, m->old + m->old_len))
        return -EPERM;
    int result = mm_unmap_locked(mm, m->new_addr, m->new_addr + m->new_len, dead);
    if (result == 0 && m->old_len > m->new_len) {
        result = shrink_locked(mm, m, dead);
        m->old_len = m->new_len;
    }
    if (result == 0)
        result = source_area_locked(t, mm, m, &v);
    if (result == 0)
        result = move_locked(mm, m, dead);
    return result < 0 ? result : (int64_t)m->new_addr;
}

static int64_t remap_anywhere_locked(struct task *t, struct mm *mm, struct move *m, struct list *dead) {
    struct vma *v;

    if (mm_is_sealed_locked(mm, m->old, m->old + MAX(m->old_len, PAGE_SIZE)))
        return -EPERM;
    if ((m->flags & LINUX_MREMAP_DONTUNMAP) && !new_place_ok(mm, m))
        return -EINVAL;
    if (m->old_len >= m->new_len && !(m->flags & LINUX_MREMAP_DONTUNMAP)) {
        if (!vma_at_locked(mm, m->old))
            return -EFAULT;
        int result = m->old_len > m->new_len ? shrink_locked(mm, m, dead) : 0;
        return result < 0 ? result : (int64_t)m->old;
    }
    int result = source_area_locked(t, mm, m, &v);
    if (result < 0)
        return result;
    uint64_t more = m->new_len - m->old_len;
    bool dontunmap = m->flags & LINUX_MREMAP_DONTUNMAP;
    if (!dontunmap && m->old_len == v->end - m->old && m->new_len <= mm_task_size(mm) - m->old &&
        range_free_locked(mm, v->end, v->end + more)) {
        result = grow_in_place_locked(v, more, dead);
        return result < 0 ? result : (int64_t)m->old;
    }
    if (!(m->flags & LINUX_MREMAP_MAYMOVE))
        return -ENOMEM;
    int64_t place = mm_search_locked(mm, m->new_addr, m->new_len, 0);
    if (place < 0)
        return place;
    m->new_addr = (gva_t)place;
    result = move_locked(mm, m, dead);
    return result < 0 ? result : place;
}

int64_t mm_mremap(struct task *t, const struct mremap_request *r) {
    struct mm *mm = t->mm;
    struct move m = {.old = r->old,
                     .new_addr = r->flags & (LINUX_MREMAP_FIXED | LINUX_MREMAP_DONTUNMAP) ? r->new_addr : 0,
                     .old_len = page_up(r->old_len),
                     .new_len = page_up(r->new_len),
                     .flags = r->flags};
    struct list dead;

    might_block();
    if (r->flags & ~(uint32_t)(LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_FIXED | LINUX_MREMAP_DONTUNMAP))
        return -EINVAL;
    if ((r->flags & LINUX_MREMAP_FIXED) && !(r->flags & LINUX_MREMAP_MAYMOVE))
        return -EINVAL;
    if ((r->flags & LINUX_MREMAP_DONTUNMAP) &&
        (!(r->flags & LINUX_MREMAP_MAYMOVE) || r->old_len != r->new_len))
        return -EINVAL;
    if (r->old % PAGE_SIZE != 0 || m.new_len == 0)
        return -EINVAL;
    if (m.old > mm_task_size(mm) || m.old_len > mm_task_size(mm) - m.old)
        return -EFAULT;
    if (m.new_len > mm_task_size(mm))
        return r->flags & LINUX_MREMAP_FIXED ? -EINVAL : -ENOMEM;
    list_init(&dead);
    mutex_lock(&mm->lock);
    int64_t result = r->flags & LINUX_MREMAP_FIXED ? remap_to_locked(t, mm, &m, &dead)
                                                   : remap_anywhere_locked(t, mm, &m, &dead);
    mm_unlock(mm, &dead);
    return result;
}

/* ---- remap_file_pages ---- */

/* The areas of [start, end), when they are one shared mapping's, without holes; or NULL. */
static struct vma *shared_run_locked(struct mm *mm, gva_t start, gva_t end) {
    struct vma *first = vma_at_locked(mm, start), *v = first;

    if (!first || !(first->flags & VMA_SHARED) || (first->flags & VMA_SPECIAL))
        return NULL;
    for (; v->end < end; v = vma_next(v)) {
        struct vma *after = vma_next(v);
        if (!after || after->start != v->end || after->mappable != first->mappable ||
            after->flags != first->flags)
            return NULL;
    }
    return first;
}

static int remap_pages_locked(struct task *t, gva_t addr, uint64_t len, uint64_t offset, struct list *dead) {
    struct mm *mm = t->mm;
    struct vma *v = shared_run_locked(mm, addr, addr + len);

    if (!v)
        return -EINVAL;
    if (mm_is_sealed_locked(mm, addr, addr + len))
        return -EPERM;
    struct map_plan p = {.start = addr,
                         .end = addr + len,
                         .prot = v->prot,
                         .max_prot = v->max_prot,
                         .flags = v->flags,
                         .host_flags = AS_POPULATE,
                         .mappable = v->mappable,
                         .file = v->file,
                         .offset = offset};
    int result = mm_check_limits_locked(t, mm, 0, /* is_data= */ false);
    return result < 0 ? result : mm_map_locked(mm, &p, dead);
}

int mm_remap_file_pages(struct task *t, gva_t addr, uint64_t len, uint64_t offset) {
    struct mm *mm = t->mm;
    struct list dead;

    might_block();
    addr = page_down(addr);
    len = page_down(len);
    if (addr + len <= addr || addr + len > mm_task_size(mm) || offset + len < offset)
        return -EINVAL;
    list_init(&dead);
    mutex_lock(&mm->lock);
    int result = remap_pages_locked(t, addr, len, offset, &dead);
    mm_unlock(mm, &dead);
    return result;
}
