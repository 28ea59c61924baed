/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_areas.h: what the files of this folder (and the loader, which builds address spaces) share.
 * All x_locked() want mm->lock.
 *
 * How a change is made: look and check, cut areas at the ends of the range (vma_isolate_locked, which changes
 * nothing that a guest sees), have the platform do it, then change the tree, then join what can be joined.
 * Areas taken out are collected on a list and freed after the lock is dropped, since letting go of a file may
 * take locks that rank before it.
 */
#pragma once

#include "base/abi/linux/mman.h"
#include "sentry/mm/mm.h"

RB_PROTOTYPE(vma_tree, vma, node, vma_compare)

/* ---- mm_areas.c: the tree ---- */

struct vma *vma_new(struct mm *mm, gva_t start, gva_t end); /* not in the tree; NULL: no memory */
/* Takes references of what the area refers to and puts it on the mappable's list. Once, before it is mapped
 * on the host. */
void vma_attach(struct vma *vma, struct mappable *mappable, struct file *file);
void vma_insert_locked(struct vma *vma); /* with accounting */
void vma_remove_locked(struct vma *vma); /* with accounting; still attached */
void vma_resize_locked(struct vma *vma, gva_t start, gva_t end);
void vma_free(struct vma *vma);                       /* detaches; no lock held */
void vma_free_list(struct list *dead);                /* of vma.link, by vma_bury_locked() */
void vma_discard(struct vma *vma, struct list *dead); /* not in the tree: takes it off the mappable's list,
                                                         keeps its references until freed */
void vma_bury_locked(struct vma *vma, struct list *dead); /* removes from the tree, then the same */
struct vma *vma_find_locked(struct mm *mm, gva_t addr); /* covers addr, or is the first behind it, or NULL */
struct vma *vma_at_locked(struct mm *mm, gva_t addr);   /* covers addr, or NULL */
struct vma *vma_next(struct vma *vma);
struct vma *vma_prev(struct vma *vma);
bool range_free_locked(struct mm *mm, gva_t start, gva_t end); /* no area, and no stack's guard gap */
/* Makes `start` and `end` borders of areas. -ENOMEM (also past MAX_MAP_COUNT). */
int vma_isolate_locked(struct mm *mm, gva_t start, gva_t end) must_check;
/* Joins areas in and around [start, end) that Linux would show as one. */
void vma_join_locked(struct mm *mm, gva_t start, gva_t end, struct list *dead);
/* Highest / lowest free range of `len` bytes in [low, high); 0: none. */
gva_t gap_down_locked(struct mm *mm, uint64_t len, gva_t low, gva_t high);
gva_t gap_up_locked(struct mm *mm, uint64_t len, gva_t low, gva_t high);
/* Where mmap puts `len` bytes. -ENOMEM. */
int64_t mm_search_locked(struct mm *mm, gva_t hint, uint64_t len, uint32_t map_flags);
void mm_check_locked(struct mm *mm); /* asserts that the tree is what it should be: tests */

/* A reference on the struct alone, and back: after mm's end the address space is gone (mm->as is empty). */
void mm_hold_memory(struct mm *mm);
void mm_drop_memory(struct mm *mm);

/* ---- mm_batch.c: to the platform ---- */

/* Growing list of operations; `failed` after an allocation failure (checked by as_batch_apply). */
struct as_batch {
    struct as_op *ops; /* malloc'd */
    size_t count, capacity;
    bool failed;
};
void as_batch_add(struct as_batch *b, const struct as_op *op);
void as_batch_done(struct as_batch *b);
/* Applies (or, while the loader gathers, keeps) and empties the batch. */
int mm_apply_locked(struct mm *mm, struct as_batch *b) must_check;
/* Between begin and end everything waits for one batch of the platform: a new address space nobody runs in.
 * Descriptors must live until the end. */
void mm_batch_begin(struct mm *mm, struct as_batch *b);
int mm_batch_end(struct mm *mm) must_check;
void mm_batch_begin_locked(struct mm *mm, struct as_batch *b);
int mm_batch_end_locked(struct mm *mm) must_check;
/* Adds what maps [start, end) of the area; *ret_mapped_end: how far it got (the object's end). */
int vma_add_map_ops(struct vma *vma, gva_t start, gva_t end, uint32_t host_flags, struct as_batch *b,
                    gva_t *ret_mapped_end) must_check;
/* The parts of [start, end) that are mapped on the host, as operations like `op`. */
void mm_add_range_ops_locked(struct mm *mm, gva_t start, gva_t end, const struct as_op *op,
                             struct as_batch *b);

/* ---- mm_map.c ---- */

/* One new area at a fixed place, whatever was there before. */
struct map_plan {
    gva_t start, end;
    uint32_t prot, max_prot, flags; /* flags: VMA_* */
    uint32_t host_flags;            /* AS_* */
    struct mappable *mappable;      /* borrowed, as the rest */
    struct file *file;
    uint64_t offset;
    const char *name;
    bool populate; /* afterwards, piece by piece: too much for AS_POPULATE */
};
/* Limits were checked. 0, -ENOMEM. What was there goes to `dead`. */
int mm_map_locked(struct mm *mm, const struct map_plan *plan, struct list *dead) must_check;
int mm_unmap_locked(struct mm *mm, gva_t start, gva_t end, struct list *dead) must_check;
void mm_unlock(struct mm *mm, struct list *dead) RELEASES(mm->lock); /* drops the lock, then frees `dead` */

/* mm_populate.c. A task that is being killed is kept no longer than a piece takes. */
#define MM_POPULATE_PIECE (32ul << 20)
bool mm_populate_is_in_vain(struct task *t);
/* Makes pages present, as locking does; what cannot be had is not an error (it is when touched). */
void mm_populate(struct task *t, struct mm *mm, gva_t start, gva_t end) EXCLUDES(mm->lock);

/* mm_protect.c: changes flags of every area in [start, end). 0, -ENOMEM. */
int mm_change_flags_locked(struct mm *mm, gva_t start, gva_t end, uint32_t clear, uint32_t set,
                           struct list *dead);

/* ---- limits ---- */

/* May `bytes` more be mapped with these properties? 0 or -ENOMEM. `t` NULL: no limits but the area count. */
int mm_check_limits_locked(struct task *t, struct mm *mm, uint64_t bytes, bool is_data) must_check;
int mm_check_lock_limit_locked(struct task *t, struct mm *mm, uint64_t bytes) must_check; /* 0 or -EAGAIN */
bool mm_is_sealed_locked(struct mm *mm, gva_t start, gva_t end);
/* Private and writable, not a stack: what RLIMIT_DATA counts (setrlimit(2)). */
static inline bool mm_is_data(uint32_t prot, uint32_t vma_flags) {
    return (prot & LINUX_PROT_WRITE) && !(vma_flags & (VMA_SHARED | VMA_GROWSDOWN));
}
/* Adds (or takes away) an area's bytes in the mm's sums; around every change of its prot or flags. */
void vma_account_locked(struct vma *vma, bool add);
gva_t mm_task_size(const struct mm *mm);
