/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_areas.c: the tree of areas: finding, cutting, joining, sums, and free ranges by the largest
 * gap in each subtree.
 */
#include "sentry/mm/mm_areas.h"

#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/vfs/file.h"

HEAP_TYPE(vma, struct vma, 0);

static int vma_compare(const struct vma *a, const struct vma *b) {
    return (a->start > b->start) - (a->start < b->start);
}

static uint64_t max_gap_of(const struct vma *v) {
    return v ? v->max_gap : 0;
}

static void update(struct vma *v) {
    uint64_t left = max_gap_of(RB_LEFT(v, node)), right = max_gap_of(RB_RIGHT(v, node)),
             below = MAX(left, right);

    v->max_gap = MAX(below, v->gap);
}

#undef RB_AUGMENT
#define RB_AUGMENT(v) update(v)
RB_GENERATE(vma_tree, vma, node, vma_compare)
#undef RB_AUGMENT

struct vma *vma_next(struct vma *vma) {
    return RB_NEXT(vma_tree, NULL, vma);
}

struct vma *vma_prev(struct vma *vma) {
    return RB_PREV(vma_tree, NULL, vma);
}

struct vma *vma_find_locked(struct mm *mm, gva_t addr) {
    struct vma *v = RB_ROOT(&mm->areas), *best = NULL;

    while (v) {
        if (v->end > addr) {
            best = v;
            v = v->start <= addr ? NULL : RB_LEFT(v, node);
        } else {
            v = RB_RIGHT(v, node);
        }
    }
    return best;
}

struct vma *vma_at_locked(struct mm *mm, gva_t addr) {
    struct vma *v = vma_find_locked(mm, addr);

    return v && v->start <= addr ? v : NULL;
}

/* Where the area begins for those who look for room: a stack keeps its guard gap. */
static gva_t room_end(const struct vma *v) {
    if (!(v->flags & VMA_GROWSDOWN))
        return v->start;
    return v->start > STACK_GUARD_GAP ? v->start - STACK_GUARD_GAP : 0;
}

static void recompute_gap(struct vma *v) {
    struct vma *before = vma_prev(v);
    gva_t from = before ? before->end : 0, to = room_end(v);

    v->gap = to > from ? to - from : 0;
    for (; v; v = RB_PARENT(v, node))
        update(v);
}

/* ---- sums ---- */

static void add_to(uint64_t *sum, uint64_t bytes, bool add) {
    ASSERT(add || *sum >= bytes);
    *sum = add ? *sum + bytes : *sum - bytes;
}

void vma_account_locked(struct vma *v, bool add) {
    struct mm *mm = v->mm;
    uint64_t bytes = v->end - v->start;

    add_to(&mm->total_bytes, bytes, add);
    if (mm_is_data(v->prot, v->flags))
        add_to(&mm->data_bytes, bytes, add);
    if (v->flags & VMA_GROWSDOWN)
        add_to(&mm->stack_bytes, bytes, add);
    if ((v->prot & (LINUX_PROT_EXEC | LINUX_PROT_WRITE)) == LINUX_PROT_EXEC && !(v->flags & VMA_GROWSDOWN))
        add_to(&mm->exec_bytes, bytes, add);
    if (v->flags & VMA_LOCKED)
        add_to(&mm->locked_bytes, bytes, add);
    mm->peak_bytes = MAX(mm->peak_bytes, mm->total_bytes);
}

/* ---- making and ending ---- */

struct vma *vma_new(struct mm *mm, gva_t start, gva_t end) {
    struct vma *v = heap_new(vma);

    ASSERT(start < end);
    if (!v)
        return NULL;
    v->mm = mm;
    v->start = start;
    v->end = v->mapped_end = end;
    list_init(&v->link);
    return v;
}

static bool is_writable_shared(const struct vma *v) {
    return (v->flags & VMA_SHARED) && (v->max_prot & LINUX_PROT_WRITE);
}

void vma_attach(struct vma *v, struct mappable *m, struct file *file) {
    v->file = file ? file_ref(file) : NULL;
    if (!m)
        return;
    v->mappable = mappable_ref(m);
    mutex_lock(&m->lock);
    list_add(&m->vmas, &v->link);
    m->writable_shared += is_writable_shared(v);
    if (m->ops->areas_changed)
        m->ops->areas_changed(m, v, 1);
    mutex_unlock(&m->lock);
}

static void detach_from_list(struct vma *v) {
    struct mappable *m = v->mappable;

    if (!m)
        return;
    mutex_lock(&m->lock);
    if (!list_empty(&v->link)) { /* its neighbours' ends change it: not to be read without the lock */
        list_del(&v->link);
        m->writable_shared -= is_writable_shared(v);
        if (m->ops->areas_changed)
            m->ops->areas_changed(m, v, -1);
    }
    mutex_unlock(&m->lock);
}

void vma_free(struct vma *v) {
    detach_from_list(v);
    mappable_unref(v->mappable);
    file_unref(v->file);
    heap_free(v);
}

void vma_free_list(struct list *dead) {
    struct vma *v, *next;

    list_for_each_entry_safe(v, next, dead, link) {
        list_del(&v->link);
        vma_free(v);
    }
}

void vma_insert_locked(struct vma *v) {
    struct mm *mm = v->mm;
    struct vma *clash = RB_INSERT(vma_tree, &mm->areas, v);

    ASSERT(!clash);
    mm->area_count++;
    recompute_gap(v);
    struct vma *after = vma_next(v);
    ASSERT(!after || v->end <= after->start);
    if (after)
        recompute_gap(after);
    vma_account_locked(v, /* add= */ true);
}

void vma_remove_locked(struct vma *v) {
    struct vma *after = vma_next(v), *parent = RB_PARENT(v, node);

    vma_account_locked(v, /* add= */ false);
    RB_REMOVE(vma_tree, &v->mm->areas, v);
    /* RB_REMOVE looks only at the parent when there were not two children. */
    for (; parent; parent = RB_PARENT(parent, node))
        update(parent);
    v->mm->area_count--;
    if (after)
        recompute_gap(after);
}

void vma_discard(struct vma *v, struct list *dead) {
    detach_from_list(v);
    list_add_tail(dead, &v->link);
}

void vma_bury_locked(struct vma *v, struct list *dead) {
    vma_remove_locked(v);
    vma_discard(v, dead);
}

/* Moves borders; order in the tree stays. The caller sees to offset and mapped_end. */
void vma_resize_locked(struct vma *v, gva_t start, gva_t end) {
    struct vma *after = vma_next(v);

    ASSERT(start < end);
    ASSERT(!after || end <= after->start);
    vma_account_locked(v, /* add= */ false);
    v->start = start;
    v->end = end;
    vma_account_locked(v, /* add= */ true);
    recompute_gap(v);
    if (after)
        recompute_gap(after);
}

/* ---- cutting and joining ---- */

static int split_locked(struct vma *v, gva_t at) {
    struct mm *mm = v->mm;

    ASSERT(at > v->start);
    ASSERT(at < v->end);
    if (mm->area_count >= MAX_MAP_COUNT)
        return -ENOMEM;
    struct vma *right = vma_new(mm, at, v->end);
    if (!right)
        return -ENOMEM;
    right->prot = v->prot;
    right->max_prot = v->max_prot;
    right->flags = v->flags;
    right->name = v->name;
    right->offset = v->mappable ? v->offset + (at - v->start) : 0;
    right->mapped_end = MAX(v->mapped_end, at);
    vma_attach(right, v->mappable, v->file);
    v->mapped_end = MIN(v->mapped_end, at);
    vma_resize_locked(v, v->start, at);
    vma_insert_locked(right);
    return 0;
}

static int cut_at(struct mm *mm, gva_t at) {
    struct vma *v = vma_at_locked(mm, at);

    return v && v->start < at ? split_locked(v, at) : 0;
}

int vma_isolate_locked(struct mm *mm, gva_t start, gva_t end) {
    int result = cut_at(mm, start);

    return result < 0 ? result : cut_at(mm, end);
}

static bool can_join(const struct vma *a, const struct vma *b) {
    if (a->end != b->start || a->prot != b->prot || a->max_prot != b->max_prot || a->flags != b->flags)
        return false;
    if (a->mappable != b->mappable || a->file != b->file || a->name != b->name || (a->flags & VMA_SPECIAL))
        return false;
    if (a->mapped_end != a->end && b->mapped_end != b->start)
        return false;
    return !a->mappable || a->offset + (a->end - a->start) == b->offset;
}

void vma_join_locked(struct mm *mm, gva_t start, gva_t end, struct list *dead) {
    struct vma *v = vma_find_locked(mm, start > 0 ? start - 1 : 0);

    while (v && v->start < end) {
        struct vma *after = vma_next(v);
        if (!after || !can_join(v, after)) {
            v = after;
            continue;
        }
        gva_t joined_end = after->end,
              mapped_end = v->mapped_end == v->end ? after->mapped_end : v->mapped_end;
        vma_bury_locked(after, dead);
        vma_resize_locked(v, v->start, joined_end);
        v->mapped_end = mapped_end;
        end = MAX(end, v->start + 1);
    }
}

/* ---- free ranges ---- */

bool range_free_locked(struct mm *mm, gva_t start, gva_t end) {
    struct vma *v = vma_find_locked(mm, start);

    return !v || end <= room_end(v);
}

/* Highest start of `len` free bytes below areas of this subtree, inside [low, high); 0: none. Descends at
 * most twice per level. */
static gva_t down(struct vma *v, uint64_t len, gva_t low, gva_t high) {
    if (!v || v->max_gap < len)
        return 0;
    if (v->end < high) {
        gva_t found = down(RB_RIGHT(v, node), len, low, high);
        if (found)
            return found;
    }
    if (v->gap >= len) {
        gva_t end = room_end(v), from = end - v->gap;
        end = MIN(end, high);
        from = MAX(from, low);
        if (end > from && end - from >= len)
            return end - len;
    }
    return v->start > low ? down(RB_LEFT(v, node), len, low, high) : 0;
}

gva_t gap_down_locked(struct mm *mm, uint64_t len, gva_t low, gva_t high) {
    struct vma *last = RB_MAX(vma_tree, &mm->areas);
    gva_t from = last ? MAX(last->end, low) : low;

    if (high > from && high - from >= len)
        return high - len;
    return down(RB_ROOT(&mm->areas), len, low, high);
}

static gva_t up(struct vma *v, uint64_t len, gva_t low, gva_t high) {
    if (!v || v->max_gap < len)
        return 0;
    if (v->start > low) {
        gva_t found = up(RB_LEFT(v, node), len, low, high);
        if (found)
            return found;
    }
    if (v->gap >= len) {
        gva_t end = room_end(v), from = end - v->gap;
        end = MIN(end, high);
        from = MAX(from, low);
        if (end > from && end - from >= len)
            return from;
    }
    return v->end < high ? up(RB_RIGHT(v, node), len, low, high) : 0;
}

gva_t gap_up_locked(struct mm *mm, uint64_t len, gva_t low, gva_t high) {
    gva_t found = up(RB_ROOT(&mm->areas), len, low, high);

    if (found)
        return found;
    struct vma *last = RB_MAX(vma_tree, &mm->areas);
    gva_t from = last ? MAX(last->end, low) : low;
    return high > from && high - from >= len ? from : 0;
}

/* ---- checks ---- */

void mm_check_locked(struct mm *mm) {
    struct vma *v, *before = NULL;
    uint64_t total = 0;
    size_t count = 0;

    RB_FOREACH(v, vma_tree, &mm->areas) {
        gva_t from = before ? before->end : 0, to = room_end(v);
        ASSERT(v->mm == mm);
        ASSERT(v->start < v->end);
        ASSERT(v->start >= from);
        ASSERT(v->mapped_end >= v->start);
        ASSERT(v->mapped_end <= v->end);
        ASSERT(v->gap == (to > from ? to - from : 0));
        uint64_t left = max_gap_of(RB_LEFT(v, node)), right = max_gap_of(RB_RIGHT(v, node)),
                 below = MAX(left, right);
        ASSERT(v->max_gap == MAX(below, v->gap));
        total += v->end - v->start;
        count++;
        before = v;
    }
    ASSERT(count == mm->area_count);
    ASSERT(total == mm->total_bytes);
}
