/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_apply.c: the batch of memory operations. They change areas; pages come by faults.
 */
#include <errno.h>
#include <sys/mman.h>

#include "platform/kvm/kvm_internal.h"

static int unmap_locked(struct kvm_space *s, gva_t start, gva_t end) {
    int r = kvm_areas_cut(s, start, end);
    if (r)
        return r;
    kvm_pages_drop(s, start, end); /* before the areas, which keep the pages' files */
    for (struct kvm_area *a; (a = kvm_area_find(s, start)) && a->start < end;)
        kvm_area_remove(s, a);
    return 0;
}

/* Brings pages in; stops without complaint where there are none to be had, as MAP_POPULATE does. */
static int populate_locked(struct kvm_space *s, gva_t start, gva_t end, int access) {
    struct kvm_fault fault = {0};
    for (gva_t at = start; at < end; at += PAGE_SIZE)
        if (!kvm_page_touch(s, at, access, &fault))
            return fault.signo == SIGKILL ? -ENOMEM : fault.signo == SIGBUS ? -EFAULT : -EINVAL;
    return 0;
}

static int map_locked(struct kvm_space *s, const struct as_op *op) {
    struct kvm_area area = {.start = op->addr,
                            .end = op->addr + op->len,
                            .prot = op->prot,
                            .shared = op->flags & AS_SHARED,
                            .offset = op->offset};
    int r = 0;
    if (op->kind == AS_MAP_ANON && area.shared)
        return -EINVAL; /* shared memory comes from the shared memory file */
    if (op->kind == AS_MAP_FILE)
        r = kvm_file_get(s->machine, op->fd, &area.file);
    if (r == 0 && area.shared && op->prot & PROT_WRITE && !area.file->writable)
        r = -EACCES;
    if (r == 0)
        r = unmap_locked(s, area.start, area.end);
    if (r == 0)
        r = kvm_area_add(s, &area);
    if (r)
        kvm_file_unref(s->machine, area.file);
    else if (op->flags & AS_POPULATE)
        (void)populate_locked(s, area.start, area.end, op->prot & PROT_WRITE ? PROT_WRITE : PROT_READ);
    return r;
}

static int protect_locked(struct kvm_space *s, const struct as_op *op) {
    gva_t end = op->addr + op->len;
    if (!kvm_areas_cover(s, op->addr, end))
        return -ENOMEM;
    int r = kvm_areas_cut(s, op->addr, end);
    if (r)
        return r;
    for (struct kvm_area *a = kvm_area_find(s, op->addr); a && a->start < end;
         a = RB_NEXT(kvm_area_tree, &s->areas, a)) {
        if (a->shared && a->file && op->prot & PROT_WRITE && !a->file->writable)
            return -EACCES;
        a->prot = op->prot;
        kvm_pages_protect(s, a);
    }
    return 0;
}

static int advise_locked(struct kvm_space *s, const struct as_op *op) {
    gva_t end = op->addr + op->len;
    if (!kvm_areas_cover(s, op->addr, end))
        return -ENOMEM;
    switch (op->advice) {
    case MADV_DONTNEED:
    case 24: /* MADV_DONTNEED_LOCKED */
        kvm_pages_drop(s, op->addr, end);
        return 0;
    case MADV_POPULATE_READ:
        return populate_locked(s, op->addr, end, PROT_READ);
    case MADV_POPULATE_WRITE:
        return populate_locked(s, op->addr, end, PROT_WRITE);
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
        break;
    default: /* hints about pages that we keep as they are */
        return 0;
    }
    int r = kvm_areas_cut(s, op->addr, end);
    for (struct kvm_area *a = kvm_area_find(s, op->addr); r == 0 && a && a->start < end;
         a = RB_NEXT(kvm_area_tree, &s->areas, a)) {
        if (op->advice == MADV_DONTFORK || op->advice == MADV_DOFORK)
            a->dont_fork = op->advice == MADV_DONTFORK;
        else
            a->wipe_on_fork = op->advice == MADV_WIPEONFORK;
    }
    return r;
}

static int remap_locked(struct kvm_space *s, const struct as_op *op) {
    gva_t old_end = op->addr + op->old_len, new_end = op->new_addr + op->len;
    if (op->old_len == 0)
        return -EINVAL;
    if (!kvm_areas_cover(s, op->addr, old_end))
        return -EFAULT;
    int r = kvm_areas_cut(s, op->addr, old_end);
    struct kvm_area *a = kvm_area_find(s, op->addr);
    if (r)
        return r;
    if (a->end != old_end)
        return -EFAULT; /* more than one area, as the host has it */
    struct kvm_area moved = *a;
    moved.start = op->new_addr;
    moved.end = new_end;
    if (op->new_addr == op->addr && op->len > op->old_len) { /* grows where it is */
        if ((r = unmap_locked(s, old_end, new_end)) == 0)
            a->end = new_end;
        return r;
    }
    if (op->new_addr == op->addr)
        return unmap_locked(s, new_end, old_end);
    if (op->len < op->old_len && (r = unmap_locked(s, op->addr + op->len, old_end)))
        return r;
    if ((r = unmap_locked(s, moved.start, moved.end)) || (r = kvm_area_add(s, &moved)))
        return r;
    if (moved.file)
        kvm_file_ref(s->machine, moved.file);
    r = kvm_pages_move(s, op->addr, op->new_addr, MIN(op->len, op->old_len));
    if (r == 0 && !(op->flags & AS_DONTUNMAP))
        r = unmap_locked(s, op->addr, op->addr + MIN(op->len, op->old_len));
    return r;
}

static bool in_range(const struct kvm_space *s, gva_t addr, uint64_t len) {
    const struct platform_limits *l = &s->machine->base.limits;
    return len && (addr | len) % PAGE_SIZE == 0 && addr >= l->min_address && addr < l->max_address &&
           len <= l->max_address - addr;
}

static bool is_advice(int advice) {
    static const int known[] = {MADV_NORMAL,
                                MADV_RANDOM,
                                MADV_SEQUENTIAL,
                                MADV_WILLNEED,
                                MADV_DONTNEED,
                                MADV_FREE,
                                MADV_DONTFORK,
                                MADV_DOFORK,
                                MADV_MERGEABLE,
                                MADV_UNMERGEABLE,
                                MADV_HUGEPAGE,
                                MADV_NOHUGEPAGE,
                                MADV_DONTDUMP,
                                MADV_DODUMP,
                                MADV_WIPEONFORK,
                                MADV_KEEPONFORK,
                                MADV_COLD,
                                MADV_PAGEOUT,
                                MADV_POPULATE_READ,
                                MADV_POPULATE_WRITE,
                                24 /* DONTNEED_LOCKED */,
                                25 /* COLLAPSE */};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i] == advice)
            return true;
    return false;
}

static bool is_valid(const struct kvm_space *s, const struct as_op *op) {
    if (!in_range(s, op->addr, op->kind == AS_REMAP ? op->old_len : op->len))
        return false;
    if (op->kind == AS_REMAP)
        return in_range(s, op->new_addr, op->len);
    if (op->kind == AS_MAP_FILE)
        return op->offset % PAGE_SIZE == 0 && op->offset + op->len >= op->len;
    return op->kind != AS_ADVISE || is_advice(op->advice);
}

static int apply_locked(struct kvm_space *s, const struct as_op *op) {
    if (!is_valid(s, op))
        return -EINVAL;
    switch (op->kind) {
    case AS_MAP_ANON:
    case AS_MAP_FILE:
        return map_locked(s, op);
    case AS_UNMAP:
        return unmap_locked(s, op->addr, op->addr + op->len);
    case AS_PROTECT:
        return protect_locked(s, op);
    case AS_REMAP:
        return remap_locked(s, op);
    case AS_ADVISE:
        return advise_locked(s, op);
    case AS_LOCK: /* frames and page cache are the host's to keep */
        return kvm_areas_cover(s, op->addr, op->addr + op->len) ? 0 : -ENOMEM;
    }
    return -EINVAL;
}

int kvm_as_apply(struct address_space *as, const struct as_op *ops, size_t count, size_t *ret_done) {
    struct kvm_space *s = kvm_space_of(as);
    size_t done = 0;
    int r = 0;
    might_block();
    mutex_lock(&s->lock);
    for (; done < count; done++) {
        r = atomic_load(&s->dead) ? -ESRCH : apply_locked(s, &ops[done]);
        if (r)
            break;
    }
    mutex_unlock(&s->lock);
    if (ret_done)
        *ret_done = done;
    return r;
}
