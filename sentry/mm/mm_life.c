/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_life.c: making, copying (fork) and ending address spaces.
 */
#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/aio.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pid.h"
#include "sentry/mm/mm_areas.h"
#include "sentry/vfs/file.h"

HEAP_TYPE(mm, struct mm, 0);

static void mm_destroy(struct mm *mm);
DEFINE_REF(mm, mm_destroy);

/* Never called: mm_destroy() lets the address space go itself, as it knows the platform. */
static void release_as(struct hostref *h) {
    (void)h;
    ASSERT(!"an mm's address space is let go by mm_destroy()");
}

static const struct hostref_ops g_as_hostref_ops = {.name = "address_space", .release = release_as};

static void set_as(struct mm *mm, struct address_space *as) {
    mm->as = (struct hostref){.ops = &g_as_hostref_ops, .host.ptr = as};
}

gva_t mm_task_size(const struct mm *mm) {
    return kernel_platform(mm->kernel)->limits.max_address;
}

static struct mm *mm_alloc(struct kernel *k) {
    struct mm *mm = heap_new(mm);

    if (!mm)
        return NULL;
    mm_ref_init(mm);
    atomic_init(&mm->memory.count, 1);
    mm->kernel = k;
    mutex_init(&mm->lock, RANK_MM);
    RB_INIT(&mm->areas);
    mm->dumpable = 1;
    mm->dump_filter = 0x33;
    return mm;
}

void mm_hold_memory(struct mm *mm) {
    ref_get(&mm->memory);
}

void mm_drop_memory(struct mm *mm) {
    if (ref_put(&mm->memory))
        heap_free(mm);
}

/* Contexts that are still there keep the stub, and guest code may run in it until they go: so what may be
   reused is unmapped by itself. */
static void unmap_reused_locked(struct mm *mm) {
    struct as_batch b = {0};
    struct vma *v;

    RB_FOREACH(v, vma_tree, &mm->areas)
    if (v->mappable && v->mappable->ops->ranges_reused && !(v->flags & VMA_SPECIAL))
        as_batch_add(&b, &(struct as_op){.kind = AS_UNMAP, .addr = v->start, .len = v->end - v->start});
    if (b.count > 0 && mm_apply_locked(mm, &b) < 0)
        kernel_platform(mm->kernel)->ops->as_kill(mm_as(mm));
}

/* The address space goes first: what areas refer to may be reused only when nothing maps it. A truncation
   that finds it gone has nothing to do. */
static void mm_destroy(struct mm *mm) {
    struct list dead;
    struct vma *v;

    might_block();
    list_init(&dead);
    aio_table_free(mm->aio);
    mutex_lock(&mm->lock);
    if (mm->as.ops)
        unmap_reused_locked(mm);
    struct address_space *as = mm_as(mm);
    mm->as = (struct hostref){0};
    mutex_unlock(&mm->lock);
    kernel_platform(mm->kernel)->ops->as_unref(as); /* takes NULL */
    mutex_lock(&mm->lock);
    while ((v = RB_ROOT(&mm->areas)))
        vma_bury_locked(v, &dead);
    mm_unlock(mm, &dead);
    file_unref(mm->exe);
    user_ns_unref(mm->user_ns);
    pid_unref(mm->user);
    mm_drop_memory(mm);
}

void mm_unlock(struct mm *mm, struct list *dead) {
    mutex_unlock(&mm->lock);
    vma_free_list(dead);
}

int mm_create(struct kernel *k, struct mm **ret) {
    struct address_space *as;
    struct mm *mm = mm_alloc(k);

    might_block();
    if (!mm)
        return -ENOMEM;
    int result = kernel_platform(k)->ops->as_create(kernel_platform(k), &as);
    if (result < 0) {
        mm_unref(mm);
        return result;
    }
    set_as(mm, as);
    *ret = mm;
    return 0;
}

static int copy_area(struct mm *to, const struct vma *from) {
    if (from->flags & VMA_DONTFORK)
        return 0;
    struct vma *v = vma_new(to, from->start, from->end);
    if (!v)
        return -ENOMEM;
    v->prot = from->prot;
    v->max_prot = from->max_prot;
    v->flags = from->flags & ~(uint32_t)(VMA_LOCKED | VMA_LOCKONFAULT);
    v->offset = from->offset;
    v->mapped_end = from->mapped_end;
    v->name = from->name;
    vma_attach(v, from->mappable, from->file);
    vma_insert_locked(v);
    return 0;
}

static void copy_layout(struct mm *to, const struct mm *from) {
    to->mmap_base = from->mmap_base;
    to->brk_start = from->brk_start;
    to->brk = from->brk;
    to->stack_start = from->stack_start;
    to->code_start = from->code_start;
    to->code_end = from->code_end;
    to->data_start = from->data_start;
    to->data_end = from->data_end;
    to->arg_start = from->arg_start;
    to->arg_end = from->arg_end;
    to->env_start = from->env_start;
    to->env_end = from->env_end;
    to->vdso = from->vdso;
    to->exe = from->exe ? file_ref(from->exe) : NULL;
    for (size_t i = 0; i < from->auxv_words; i++)
        to->auxv[i] = from->auxv[i];
    to->auxv_words = from->auxv_words;
    to->dumpable = from->dumpable;
    to->dump_filter = from->dump_filter;
    to->user_ns = from->user_ns ? user_ns_ref(from->user_ns) : NULL;
    to->membarrier_state = from->membarrier_state;
    to->thp_disabled = from->thp_disabled;
    to->user = from->user ? pid_ref(from->user) : NULL;
}

/* Areas first, then the host's fork: an area on a mappable's list is found by mappable_invalidate(), which
 * then waits for the child's lock. */
static int fork_locked(struct mm *parent, struct mm *child) {
    struct vma *v;
    struct address_space *as;

    copy_layout(child, parent);
    RB_FOREACH(v, vma_tree, &parent->areas) {
        int result = copy_area(child, v);
        if (result < 0)
            return result;
    }
    int result = kernel_platform(parent->kernel)->ops->as_fork(mm_as(parent), &as);
    if (result == 0)
        set_as(child, as);
    return result;
}

int mm_fork(struct mm *parent, struct mm **ret) {
    struct mm *child = mm_alloc(parent->kernel);

    might_block();
    if (!child)
        return -ENOMEM;
    mutex_lock(&parent->lock);
    mutex_lock_nested(&child->lock); /* new: nobody holds it and wants the parent's */
    int result = fork_locked(parent, child);
    mutex_unlock(&child->lock);
    mutex_unlock(&parent->lock);
    if (result < 0) {
        mm_unref(child);
        return result;
    }
    *ret = child;
    return 0;
}

void mm_for_each_vma(struct mm *mm, void (*fn)(const struct vma *vma, void *arg), void *arg) {
    struct vma *v;

    mutex_lock(&mm->lock);
    RB_FOREACH(v, vma_tree, &mm->areas)
    fn(v, arg);
    mutex_unlock(&mm->lock);
}
