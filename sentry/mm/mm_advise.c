/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_advise.c: madvise, msync, mincore. Source: madvise(2), msync(2), mincore(2).
 *
 * Advice that changes what memory holds is the host's to carry out on what is mapped; advice that a fork or a
 * dump looks at is kept in the areas too; hints are passed on and what the host says of them is ignored.
 */
#include <errno.h>
#include <string.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm_areas.h"
#include "sentry/vfs/file.h"

enum { CAP_SYS_ADMIN_NR = 21 };

enum advice_kind {
    ADVICE_UNKNOWN,
    ADVICE_NOTHING,   /* checked for holes only */
    ADVICE_HINT,      /* passed on, result ignored */
    ADVICE_FLAG,      /* a flag of areas */
    ADVICE_FLAG_HOST, /* and told to the host, which acts on it at fork */
    ADVICE_DISCARD,   /* DONTNEED, FREE */
    ADVICE_POPULATE,
    ADVICE_REMOVE,
};

struct advice {
    enum advice_kind kind;
    uint32_t clear, set;
};

static struct advice describe(int advice) {
    switch (advice) {
    case LINUX_MADV_NORMAL:
    case LINUX_MADV_RANDOM:
    case LINUX_MADV_SEQUENTIAL:
    case LINUX_MADV_MERGEABLE:
    case LINUX_MADV_UNMERGEABLE:
        return (struct advice){ADVICE_NOTHING, 0, 0};
    case LINUX_MADV_WILLNEED:
    case LINUX_MADV_COLD:
    case LINUX_MADV_PAGEOUT:
    case LINUX_MADV_HUGEPAGE:
    case LINUX_MADV_NOHUGEPAGE:
    case LINUX_MADV_COLLAPSE:
        return (struct advice){ADVICE_HINT, 0, 0};
    case LINUX_MADV_DONTDUMP:
        return (struct advice){ADVICE_FLAG, 0, VMA_DONTDUMP};
    case LINUX_MADV_DODUMP:
        return (struct advice){ADVICE_FLAG, VMA_DONTDUMP, 0};
    case LINUX_MADV_DONTFORK:
        return (struct advice){ADVICE_FLAG_HOST, 0, VMA_DONTFORK};
    case LINUX_MADV_DOFORK:
        return (struct advice){ADVICE_FLAG_HOST, VMA_DONTFORK, 0};
    case LINUX_MADV_WIPEONFORK:
        return (struct advice){ADVICE_FLAG_HOST, 0, VMA_WIPEONFORK};
    case LINUX_MADV_KEEPONFORK:
        return (struct advice){ADVICE_FLAG_HOST, VMA_WIPEONFORK, 0};
    case LINUX_MADV_DONTNEED:
    case LINUX_MADV_DONTNEED_LOCKED:
    case LINUX_MADV_FREE:
        return (struct advice){ADVICE_DISCARD, 0, 0};
    case LINUX_MADV_POPULATE_READ:
    case LINUX_MADV_POPULATE_WRITE:
        return (struct advice){ADVICE_POPULATE, 0, 0};
    case LINUX_MADV_REMOVE:
        return (struct advice){ADVICE_REMOVE, 0, 0};
    default:
        return (struct advice){ADVICE_UNKNOWN, 0, 0};
    }
}

/* May this area be advised so? 0 or the errno of madvise(2). */
static int check_area(const struct vma *v, int advice) {
    bool private_anonymous = !v->mappable && !(v->flags & (VMA_SHARED | VMA_SPECIAL));

    switch (advice) {
    case LINUX_MADV_DONTNEED:
        return v->flags & VMA_LOCKED ? -EINVAL : 0;
    case LINUX_MADV_FREE:
        return !private_anonymous || (v->flags & VMA_LOCKED) ? -EINVAL : 0;
    case LINUX_MADV_WIPEONFORK:
        return private_anonymous ? 0 : -EINVAL;
    case LINUX_MADV_DODUMP:
    case LINUX_MADV_DOFORK:
        return v->flags & VMA_SPECIAL ? -EINVAL : 0;
    case LINUX_MADV_COLD:
    case LINUX_MADV_PAGEOUT:
        return v->flags & VMA_LOCKED ? -EINVAL : 0;
    default:
        return 0;
    }
}

/* mseal(2): advice that throws data away needs write permission on a sealed area. */
static bool sealed_against(const struct vma *v, enum advice_kind kind) {
    return (v->flags & VMA_SEALED) && kind == ADVICE_DISCARD && !v->mappable && !(v->prot & LINUX_PROT_WRITE);
}

static int host_advise(struct mm *mm, gva_t start, gva_t end, int advice) {
    struct as_batch b = {0};

    mm_add_range_ops_locked(mm, start, end, &(struct as_op){.kind = AS_ADVISE, .advice = advice}, &b);
    return mm_apply_locked(mm, &b);
}

static int advise_area_locked(struct vma *v, gva_t start, gva_t end, int advice, const struct advice *a,
                              struct list *dead) {
    struct mm *mm = v->mm;
    int result = sealed_against(v, a->kind) ? -EPERM : check_area(v, advice);

    if (result < 0)
        return result;
    switch (a->kind) {
    case ADVICE_HINT:
        (void)!host_advise(mm, start, end, advice);
        return 0;
    case ADVICE_DISCARD:
        return host_advise(mm, start, end,
                           advice == LINUX_MADV_DONTNEED_LOCKED ? LINUX_MADV_DONTNEED : advice);
    case ADVICE_FLAG_HOST:
        result = host_advise(mm, start, end, advice);
        if (result < 0)
            return result;
        return mm_change_flags_locked(mm, start, end, a->clear, a->set, dead);
    case ADVICE_FLAG:
        return mm_change_flags_locked(mm, start, end, a->clear, a->set, dead);
    default:
        return 0;
    }
}

/* Areas may be cut and joined on the way: the next is looked up by address. A hole gives -ENOMEM in the end,
 * after the rest has been done. */
static int advise_range_locked(struct mm *mm, gva_t start, gva_t end, int advice, const struct advice *a,
                               struct list *dead) {
    int hole = 0;

    for (gva_t at = start; at < end;) {
        struct vma *v = vma_find_locked(mm, at);
        if (!v || v->start >= end)
            return -ENOMEM;
        if (v->start > at) {
            hole = -ENOMEM;
            at = v->start;
        }
        gva_t to = MIN(v->end, end);
        int result = advise_area_locked(v, at, to, advice, a, dead);
        if (result < 0)
            return result;
        at = to;
    }
    return hole;
}

/* Advice that changes no area goes to the platform in one batch, however many areas it meets: a thread's
 * stack with its guard page are two. */
static int advise_at_once_locked(struct mm *mm, gva_t start, gva_t end, int advice, const struct advice *a,
                                 struct list *dead) {
    struct as_batch b;

    mm_batch_begin_locked(mm, &b);
    int result = advise_range_locked(mm, start, end, advice, a, dead);
    int applied = mm_batch_end_locked(mm);
    return a->kind == ADVICE_DISCARD && applied < 0 ? applied : result;
}

/* MADV_POPULATE_*: stops at the first page that cannot be had: -ENOMEM for a hole, -EFAULT for one that would
 * give SIGBUS or has not the rights (-EINVAL). */
static int populate_range_locked(struct mm *mm, gva_t start, gva_t end, int advice) {
    uint32_t want = advice == LINUX_MADV_POPULATE_WRITE ? LINUX_PROT_WRITE : LINUX_PROT_READ;

    for (gva_t at = start; at < end;) {
        struct vma *v = vma_at_locked(mm, at);
        if (!v)
            return -ENOMEM;
        if (!(v->prot & want) || (v->flags & VMA_SPECIAL))
            return -EINVAL;
        gva_t to = MIN(v->end, end);
        if (to > v->mapped_end)
            return -EFAULT;
        int result = host_advise(mm, at, to, advice);
        if (result < 0)
            return result;
        at = to;
    }
    return 0;
}

static int populate_range(struct task *t, struct mm *mm, gva_t start, gva_t end, int advice) {
    int result = 0;

    for (gva_t at = start; at < end && result == 0; at += MM_POPULATE_PIECE) {
        if (mm_populate_is_in_vain(t))
            return -EINTR;
        mutex_lock(&mm->lock);
        result = populate_range_locked(mm, at, end - at > MM_POPULATE_PIECE ? at + MM_POPULATE_PIECE : end,
                                       advice);
        mutex_unlock(&mm->lock);
    }
    return result;
}

/* MADV_REMOVE: the object's hole is punched with no lock held, as it may take the file's. One area a time. */
static int remove_range(struct mm *mm, gva_t start, gva_t end) {
    for (gva_t at = start; at < end;) {
        mutex_lock(&mm->lock);
        struct vma *v = vma_at_locked(mm, at);
        int result = !v ? -ENOMEM : 0;
        if (v && (v->flags & VMA_LOCKED || !v->mappable))
            result = -EINVAL;
        else if (v && (v->flags & VMA_SHARED) == 0)
            result = -EACCES;
        else if (v && !(v->max_prot & LINUX_PROT_WRITE))
            result = -EACCES;
        struct mappable *m = result == 0 ? mappable_ref(v->mappable) : NULL;
        gva_t to = v ? MIN(v->end, end) : end;
        uint64_t offset = v ? v->offset + (at - v->start) : 0;
        mutex_unlock(&mm->lock);
        if (result == 0)
            result = m->ops->punch ? m->ops->punch(m, offset, to - at) : -EOPNOTSUPP;
        mappable_unref(m);
        if (result < 0)
            return result;
        at = to;
    }
    return 0;
}

int mm_madvise(struct task *t, struct mm *mm, gva_t addr, uint64_t len, int advice) {
    struct advice a = describe(advice);
    struct list dead;

    might_block();
    if (advice == LINUX_MADV_HWPOISON || advice == LINUX_MADV_SOFT_OFFLINE)
        return task_capable(t, CAP_SYS_ADMIN_NR) ? -EINVAL : -EPERM;
    if (a.kind == ADVICE_UNKNOWN || addr % PAGE_SIZE != 0)
        return -EINVAL;
    gva_t end = addr + page_up(len);
    if ((len > 0 && page_up(len) == 0) || end < addr)
        return -EINVAL;
    if (end == addr)
        return 0;
    if (a.kind == ADVICE_REMOVE)
        return remove_range(mm, addr, end);
    if (a.kind == ADVICE_POPULATE)
        return populate_range(t, mm, addr, end, advice);
    list_init(&dead);
    mutex_lock(&mm->lock);
    bool at_once = a.kind == ADVICE_HINT || a.kind == ADVICE_DISCARD;
    int result = (at_once ? advise_at_once_locked : advise_range_locked)(mm, addr, end, advice, &a, &dead);
    mm_unlock(mm, &dead);
    return result;
}

/* ---- msync, mincore ---- */

/* The file to be written back for the next area from *at on: a reference or NULL; *at moves behind that area.
 */
static struct file *next_to_sync_locked(struct mm *mm, gva_t *at, gva_t end, int flags, int *ret_error) {
    struct vma *v = vma_find_locked(mm, *at);

    if (!v || v->start >= end) {
        *ret_error = -ENOMEM;
        *at = end;
        return NULL;
    }
    if (v->start > *at)
        *ret_error = -ENOMEM; /* and goes on */
    if ((flags & LINUX_MS_INVALIDATE) && (v->flags & VMA_LOCKED)) {
        *ret_error = -EBUSY;
        *at = end;
        return NULL;
    }
    *at = v->end;
    return (flags & LINUX_MS_SYNC) && v->file && (v->flags & VMA_SHARED) ? file_ref(v->file) : NULL;
}

int mm_msync(struct task *t, gva_t addr, uint64_t len, int flags) {
    struct mm *mm = t->mm;
    int error = 0;

    might_block();
    if ((flags & ~(LINUX_MS_ASYNC | LINUX_MS_INVALIDATE | LINUX_MS_SYNC)) || addr % PAGE_SIZE != 0)
        return -EINVAL;
    if ((flags & LINUX_MS_ASYNC) && (flags & LINUX_MS_SYNC))
        return -EINVAL;
    gva_t end = addr + page_up(len);
    if (end < addr || (len > 0 && page_up(len) == 0))
        return -ENOMEM;
    for (gva_t at = addr; at < end;) {
        mutex_lock(&mm->lock);
        struct file *file = next_to_sync_locked(mm, &at, end, flags, &error);
        mutex_unlock(&mm->lock);
        if (!file)
            continue;
        int result = file->ops->fsync ? file->ops->fsync(file, /* data_only= */ true) : 0;
        file_unref(file);
        if (result < 0)
            return result;
    }
    return error;
}

/* A page of the shared memory file is in core if it has data, whoever mapped it. */
static bool store_page_present(struct vma *v, gva_t at) {
    struct host_range r;
    struct mappable *m = v->mappable;

    if (m->ops->range(m, v->offset + (at - v->start), PAGE_SIZE, v->flags & VMA_SHARED, false, &r) < 0 ||
        r.fd < 0)
        return false;
    return memfile_seek(v->mm->kernel->memfile, r.offset, r.offset + PAGE_SIZE, /* data= */ true) == r.offset;
}

/* Pages [from, to) of one area; vec holds what the page tables say. Of host files all counts as present, as
   Linux says to who may not write them. */
static void judge_pages(struct vma *v, gva_t from, gva_t to, unsigned char *vec) {
    for (gva_t at = from; at < to; at += PAGE_SIZE, vec++) {
        bool present = *vec & PAGE_IS_PRESENT;
        if (at >= v->mapped_end)
            present = false;
        else if (v->mappable && !present)
            present = !v->mappable->ops->ranges_reused || store_page_present(v, at);
        *vec = present;
    }
}

int mm_mincore(struct mm *mm, gva_t addr, uint64_t len, unsigned char *vec) {
    const struct platform_ops *ops = kernel_platform(mm->kernel)->ops;
    size_t pages = len / PAGE_SIZE;
    int result = 0;

    might_block();
    mutex_lock(&mm->lock);
    if (!ops->as_pages || ops->as_pages(mm_as(mm), addr, pages, vec) < 0)
        memset(vec, PAGE_IS_PRESENT, pages); /* the host does not tell: all that is mapped counts */
    for (gva_t at = addr; at < addr + len && result == 0;) {
        struct vma *v = vma_at_locked(mm, at);
        gva_t to = v ? MIN(v->end, addr + len) : addr + len;
        if (v)
            judge_pages(v, at, to, vec + (at - addr) / PAGE_SIZE);
        else
            result = -ENOMEM;
        at = to;
    }
    mutex_unlock(&mm->lock);
    return result;
}
