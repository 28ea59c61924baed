/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_map.c: mmap and munmap: the order of checks is Linux's (mmap(2), "ERRORS"), the places are
 * chosen top down from mmap_base.
 */
#include <errno.h>

#include "base/abi/linux/resource.h"
#include "base/abi/linux/system.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm_areas.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/mount.h"

enum { CAP_IPC_LOCK_NR = 14, CAP_SYS_RAWIO_NR = 17 };
#define MAP_32BIT_LOW  0x40000000ull
#define MAP_32BIT_HIGH 0x80000000ull

/* ---- limits ---- */

int mm_check_limits_locked(struct task *t, struct mm *mm, uint64_t bytes, bool is_data) {
    if (mm->area_count >= MAX_MAP_COUNT)
        return -ENOMEM;
    if (!t)
        return 0;
    if (mm->total_bytes + bytes > task_limit(t, LINUX_RLIMIT_AS))
        return -ENOMEM;
    if (is_data && mm->data_bytes + bytes > task_limit(t, LINUX_RLIMIT_DATA))
        return -ENOMEM;
    return 0;
}

int mm_check_lock_limit_locked(struct task *t, struct mm *mm, uint64_t bytes) {
    if (!t || task_capable(t, CAP_IPC_LOCK_NR))
        return 0;
    return mm->locked_bytes + bytes > page_down(task_limit(t, LINUX_RLIMIT_MEMLOCK)) ? -EAGAIN : 0;
}

bool mm_is_sealed_locked(struct mm *mm, gva_t start, gva_t end) {
    for (struct vma *v = vma_find_locked(mm, start); v && v->start < end; v = vma_next(v))
        if (v->flags & VMA_SEALED)
            return true;
    return false;
}

static uint64_t bytes_mapped_locked(struct mm *mm, gva_t start, gva_t end) {
    uint64_t sum = 0;

    for (struct vma *v = vma_find_locked(mm, start); v && v->start < end; v = vma_next(v)) {
        gva_t from = MAX(v->start, start), to = MIN(v->end, end);
        sum += to - from;
    }
    return sum;
}

/* ---- where ---- */

int64_t mm_search_locked(struct mm *mm, gva_t hint, uint64_t len, uint32_t flags) {
    gva_t top = mm_task_size(mm), found;

    if (len > top - MMAP_MIN_ADDR)
        return -ENOMEM;
    if (flags & LINUX_MAP_32BIT) {
        found = gap_up_locked(mm, len, MAP_32BIT_LOW, MAP_32BIT_HIGH);
        return found ? (int64_t)found : -ENOMEM;
    }
    hint = page_up(hint);
    if (hint >= MMAP_MIN_ADDR && hint <= top - len && range_free_locked(mm, hint, hint + len))
        return (int64_t)hint;
    found = gap_down_locked(mm, len, MMAP_MIN_ADDR, mm->mmap_base);
    if (!found) /* as Linux: bottom up from a third of the space */
        found = gap_up_locked(mm, len, page_down(top / 3), top);
    return found ? (int64_t)found : -ENOMEM;
}

/* ---- one area in, areas out ---- */

int mm_unmap_locked(struct mm *mm, gva_t start, gva_t end, struct list *dead) {
    struct as_batch b = {0};
    struct vma *v = vma_find_locked(mm, start);

    if (!v || v->start >= end)
        return 0;
    int result = vma_isolate_locked(mm, start, end);
    if (result == 0) {
        as_batch_add(&b, &(struct as_op){.kind = AS_UNMAP, .addr = start, .len = end - start});
        result = mm_apply_locked(mm, &b);
    }
    if (result < 0) {
        vma_join_locked(mm, start, end, dead);
        return result;
    }
    while ((v = vma_find_locked(mm, start)) && v->start < end)
        vma_bury_locked(v, dead);
    return 0;
}

/* memfd seals (fcntl(2)): counted as a writable mapping first, then checked, so that F_SEAL_WRITE sees it or
 * it sees the seal. */
static int check_seal(struct vma *v) {
    struct mappable *m = v->mappable;

    if (!m || !(v->flags & VMA_SHARED) || !(v->max_prot & LINUX_PROT_WRITE))
        return 0;
    mutex_lock(&m->lock);
    bool sealed = m->write_sealed;
    if (sealed) {
        m->writable_shared--;
        v->max_prot &= ~(uint32_t)LINUX_PROT_WRITE;
    }
    mutex_unlock(&m->lock);
    return sealed && (v->prot & LINUX_PROT_WRITE) ? -EPERM : 0;
}

static struct vma *plan_area(struct mm *mm, const struct map_plan *p) {
    struct vma *v = vma_new(mm, p->start, p->end);

    if (!v)
        return NULL;
    v->prot = p->prot;
    v->max_prot = p->max_prot;
    v->flags = p->flags;
    v->offset = p->offset;
    v->name = p->name;
    vma_attach(v, p->mappable, p->file);
    return v;
}

static int apply_map(struct vma *v, uint32_t host_flags, struct list *dead) {
    struct mm *mm = v->mm;
    struct as_batch b = {0};
    gva_t start = v->start, end = v->end;
    int result = vma_add_map_ops(v, start, end, host_flags, &b, &v->mapped_end);

    if (result < 0) {
        as_batch_done(&b);
        return result;
    }
    struct vma *old = vma_find_locked(mm, start);
    if (v->mapped_end < end && old && old->start < end)
        as_batch_add(&b,
                     &(struct as_op){.kind = AS_UNMAP, .addr = v->mapped_end, .len = end - v->mapped_end});
    bool in_pieces = b.count > 1;
    result = mm_apply_locked(mm, &b);
    /* Some pieces may be there and the old areas gone: then nothing is left there, as when Linux fails late.
     */
    if (result < 0 && in_pieces && mm_unmap_locked(mm, start, end, dead) == 0) {
        struct as_batch undo = {0};
        as_batch_add(&undo, &(struct as_op){.kind = AS_UNMAP, .addr = start, .len = end - start});
        (void)!mm_apply_locked(mm, &undo);
    }
    return result;
}

int mm_map_locked(struct mm *mm, const struct map_plan *p, struct list *dead) {
    struct vma *v = plan_area(mm, p), *old;

    if (!v)
        return -ENOMEM;
    int result = check_seal(v);
    if (result == 0)
        result = vma_isolate_locked(mm, p->start, p->end);
    if (result == 0)
        result = apply_map(v, p->host_flags, dead);
    if (result < 0) {
        vma_discard(v, dead);
        vma_join_locked(mm, p->start, p->end, dead);
        return result;
    }
    while ((old = vma_find_locked(mm, p->start)) && old->start < p->end)
        vma_bury_locked(old, dead);
    vma_insert_locked(v);
    vma_join_locked(mm, p->start, p->end, dead);
    return 0;
}

/* ---- mmap(2) ---- */

static int check_shared_file(const struct mmap_request *r, struct map_plan *p) {
    p->flags |= VMA_SHARED;
    if ((r->prot & LINUX_PROT_WRITE) && !(r->file->mode & FILE_WRITE))
        return -EACCES;
    if (!(r->file->mode & FILE_WRITE))
        p->max_prot &= ~(uint32_t)LINUX_PROT_WRITE;
    return 0;
}

/* Flags that MAP_SHARED_VALIDATE lets pass; MAP_SYNC needs a file on persistent memory. */
#define KNOWN_FLAGS                                                                                          \
    (LINUX_MAP_TYPE | LINUX_MAP_FIXED | LINUX_MAP_ANONYMOUS | LINUX_MAP_DENYWRITE | LINUX_MAP_EXECUTABLE |   \
     LINUX_MAP_UNINITIALIZED | LINUX_MAP_GROWSDOWN | LINUX_MAP_LOCKED | LINUX_MAP_NORESERVE |                \
     LINUX_MAP_POPULATE | LINUX_MAP_NONBLOCK | LINUX_MAP_STACK | LINUX_MAP_HUGETLB | LINUX_MAP_32BIT |       \
     LINUX_MAP_FIXED_NOREPLACE | ((uint32_t)LINUX_MAP_HUGE_MASK << LINUX_MAP_HUGE_SHIFT))

static int check_file(const struct mmap_request *r, struct map_plan *p) {
    uint32_t type = r->flags & LINUX_MAP_TYPE;

    if (type == LINUX_MAP_SHARED_VALIDATE && (r->flags & ~(uint32_t)KNOWN_FLAGS))
        return -EOPNOTSUPP;
    if (type == LINUX_MAP_SHARED || type == LINUX_MAP_SHARED_VALIDATE) {
        int result = check_shared_file(r, p);
        if (result < 0)
            return result;
    } else if (type != LINUX_MAP_PRIVATE) {
        return -EINVAL;
    }
    if (!(r->file->mode & FILE_READ))
        return -EACCES;
    if (r->file->path.mount && (r->file->path.mount->flags & MOUNT_NOEXEC)) {
        if (r->prot & LINUX_PROT_EXEC)
            return -EPERM;
        p->max_prot &= ~(uint32_t)LINUX_PROT_EXEC;
    }
    if (!r->file->ops->mmap)
        return -ENODEV;
    return r->flags & LINUX_MAP_GROWSDOWN ? -EINVAL : 0;
}

static int check_anonymous(const struct mmap_request *r, struct map_plan *p) {
    uint32_t type = r->flags & LINUX_MAP_TYPE;

    if (type == LINUX_MAP_SHARED && !(r->flags & LINUX_MAP_GROWSDOWN)) {
        p->flags |= VMA_SHARED;
        p->offset = 0;
    } else if (type != LINUX_MAP_PRIVATE) {
        return -EINVAL;
    } else if (r->flags & LINUX_MAP_GROWSDOWN) {
        p->flags |= VMA_GROWSDOWN;
    }
    return 0;
}

/* What does not depend on the address space; fills the plan but for the place. *len becomes page aligned. */
static int check_request(const struct mmap_request *r, struct map_plan *p, uint64_t *len) {
    if (r->offset % PAGE_SIZE != 0)
        return -EINVAL;
    if (r->file && (r->flags & LINUX_MAP_HUGETLB))
        return -EINVAL;
    if (r->len == 0)
        return -EINVAL;
    *len = page_up(r->len);
    if (*len == 0)
        return -ENOMEM;
    if (r->offset / PAGE_SIZE + *len / PAGE_SIZE > UINT64_MAX / PAGE_SIZE)
        return -EOVERFLOW;
    p->prot = r->prot & (LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC);
    p->max_prot = LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC;
    p->offset = r->offset;
    p->file = r->file;
    if (r->flags & LINUX_MAP_NORESERVE) {
        p->flags |= VMA_NORESERVE;
        p->host_flags |= AS_NORESERVE;
    }
    if ((r->flags & LINUX_MAP_LOCKED) ||
        (r->flags & (LINUX_MAP_POPULATE | LINUX_MAP_NONBLOCK)) == LINUX_MAP_POPULATE)
        p->host_flags |= AS_POPULATE;
    return 0;
}

/* Gives the plan what it maps: a reference in p->mappable, or NULL for private anonymous memory. */
static int find_mappable(struct mm *mm, const struct mmap_request *r, uint64_t len, struct map_plan *p) {
    if (r->object) {
        p->flags |= VMA_SHARED;
        p->mappable = mappable_ref(r->object);
        p->name = r->object_name;
        if (r->object_readonly)
            p->max_prot &= ~(uint32_t)LINUX_PROT_WRITE;
        return 0;
    }
    if (r->file) {
        int result = check_file(r, p);
        if (result == 0)
            result = r->file->ops->mmap(r->file, r, &p->mappable);
        if (result < 0 || p->mappable || !(p->flags & VMA_SHARED))
            return result;
        p->offset = 0; /* /dev/zero, shared */
    } else {
        int result = check_anonymous(r, p);
        if (result < 0 || !(p->flags & VMA_SHARED))
            return result;
    }
    struct memstore *s;
    int result = memstore_create(mm->kernel, &s);
    if (result == 0)
        result = memstore_truncate(s, len);
    if (result < 0)
        return result;
    p->mappable = memstore_mappable(s);
    return 0;
}

static int64_t choose_place_locked(struct task *t, struct mm *mm, const struct mmap_request *r,
                                   uint64_t len) {
    gva_t top = mm_task_size(mm);

    if (!(r->flags & (LINUX_MAP_FIXED | LINUX_MAP_FIXED_NOREPLACE)))
        return mm_search_locked(mm, r->addr, len, r->flags);
    if (len > top || r->addr > top - len)
        return -ENOMEM;
    if (r->addr % PAGE_SIZE != 0)
        return -EINVAL;
    gva_t low = kernel_platform(mm->kernel)->limits.min_address;
    if (r->addr < MMAP_MIN_ADDR && !task_capable(t, CAP_SYS_RAWIO_NR))
        return -EPERM;
    if (r->addr < low)
        return -EPERM; /* not the platform's to give */
    struct vma *v = vma_find_locked(mm, r->addr);
    if ((r->flags & LINUX_MAP_FIXED_NOREPLACE) && v && v->start < r->addr + len)
        return -EEXIST;
    return (int64_t)r->addr;
}

static int check_lock_rights(struct task *t, struct mm *mm, const struct mmap_request *r, uint64_t len,
                             struct map_plan *p) {
    p->flags |= mm->default_flags;
    if (r->flags & LINUX_MAP_LOCKED)
        p->flags |= VMA_LOCKED;
    if (!(p->flags & VMA_LOCKED))
        return 0;
    if ((r->flags & LINUX_MAP_LOCKED) && task_limit(t, LINUX_RLIMIT_MEMLOCK) == 0 &&
        !task_capable(t, CAP_IPC_LOCK_NR))
        return -EPERM;
    if (!(p->flags & VMA_LOCKONFAULT))
        p->host_flags |= AS_POPULATE;
    return mm_check_lock_limit_locked(t, mm, len);
}

static int64_t mmap_locked(struct task *t, struct mm *mm, const struct mmap_request *r, uint64_t len,
                           struct map_plan *p, struct list *dead) {
    int64_t place = choose_place_locked(t, mm, r, len);

    if (place < 0)
        return place;
    p->start = (gva_t)place;
    p->end = p->start + len;
    int result = check_lock_rights(t, mm, r, len, p);
    if (result < 0)
        return result;
    uint64_t replaced = bytes_mapped_locked(mm, p->start, p->end);
    if (replaced > 0 && mm_is_sealed_locked(mm, p->start, p->end))
        return -EPERM;
    result = mm_check_limits_locked(t, mm, len - replaced, mm_is_data(p->prot, p->flags));
    if ((p->host_flags & AS_POPULATE) && len > MM_POPULATE_PIECE) {
        p->host_flags &= ~(uint32_t)AS_POPULATE;
        p->populate = true;
    }
    if (result == 0)
        result = mm_map_locked(mm, p, dead);
    return result < 0 ? result : place;
}

int64_t mm_mmap(struct task *t, struct mm *mm, const struct mmap_request *r) {
    struct map_plan p = {0};
    struct list dead;
    uint64_t len;

    might_block();
    int64_t result = check_request(r, &p, &len);
    if (result < 0)
        return result;
    if (r->flags & LINUX_MAP_HUGETLB)
        return -ENOMEM; /* no huge page pool, as where vm.nr_hugepages is 0 */
    if ((t->personality & LINUX_READ_IMPLIES_EXEC) && (p.prot & LINUX_PROT_READ))
        p.prot |= LINUX_PROT_EXEC;
    result = find_mappable(mm, r, len, &p);
    if (result < 0)
        return result;
    list_init(&dead);
    mutex_lock(&mm->lock);
    result = mmap_locked(t, mm, r, len, &p, &dead);
    mm_unlock(mm, &dead);
    mappable_unref(p.mappable);
    if (result >= 0 && p.populate)
        mm_populate(t, mm, (gva_t)result, (gva_t)result + len);
    return result;
}

int mm_munmap(struct mm *mm, gva_t addr, uint64_t len) {
    struct list dead;
    gva_t top = mm_task_size(mm);

    might_block();
    if (addr % PAGE_SIZE != 0 || addr > top || len > top - addr || len == 0)
        return -EINVAL;
    len = page_up(len);
    list_init(&dead);
    mutex_lock(&mm->lock);
    int result =
        mm_is_sealed_locked(mm, addr, addr + len) ? -EPERM : mm_unmap_locked(mm, addr, addr + len, &dead);
    mm_unlock(mm, &dead);
    return result;
}

/* What is left of the object mapped at `addr`: areas that show of it what they would if nothing had been cut
 * out. */
static int unmap_object_locked(struct mm *mm, gva_t addr, const struct mappable_ops *kind,
                               struct list *dead) {
    struct mappable *object = NULL;
    int result = 0;

    for (struct vma *v = vma_find_locked(mm, addr); v && result == 0;) {
        struct vma *after = vma_next(v);
        bool candidate = v->mappable && v->mappable->ops == kind && v->start - v->offset == addr;
        if (candidate && (!object || object == v->mappable)) {
            if (v->flags & VMA_SEALED)
                return -EPERM;
            object = v->mappable;
            result = mm_unmap_locked(mm, v->start, v->end, dead);
        }
        v = after;
    }
    return result < 0 ? result : object ? 0 : -EINVAL;
}

int mm_unmap_object(struct mm *mm, gva_t addr, const struct mappable_ops *kind) {
    struct list dead;

    might_block();
    list_init(&dead);
    mutex_lock(&mm->lock);
    int result = unmap_object_locked(mm, addr, kind, &dead);
    mm_unlock(mm, &dead);
    return result;
}

void mm_set_user(struct mm *mm, struct pid *process) {
    struct pid *fresh = pid_ref(process);

    mutex_lock(&mm->lock);
    struct pid *old = mm->user;
    mm->user = fresh;
    mutex_unlock(&mm->lock);
    pid_unref(old);
}
