/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_pages.c: what a page table entry holds, and how it comes by it: pages of zeros, pages of
 * files, private copies. Everything here runs with space->lock.
 *
 * Which page an access needs:
 *   anonymous, shared by nobody   a frame; until it is written the common frame of zeros
 *   private of a file             the file's page, read-only; a frame with a copy once it is written
 *   shared                        the file's page, with the area's rights
 * A frame that other spaces hold too (fork) is copied by whoever writes it first.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/kvm/kvm_internal.h"

enum { AROUND = 16 }; /* pages of a file that one fault brings */

static uint32_t frame_of(uint64_t entry) {
    return (uint32_t)((entry & KVM_PTE_ADDRESS) / PAGE_SIZE);
}

char *kvm_page_memory(struct kvm_space *s, uint64_t entry) {
    uint64_t gpa = entry & KVM_PTE_ADDRESS;
    return entry & KVM_PTE_FRAME ? s->machine->frames.memory + gpa : kvm_window_memory(s->machine, gpa);
}

/* Where the page is in the machine's view of memory. */
static char *guest_view(struct kvm_space *s, uint64_t entry) {
    uint64_t gpa = entry & KVM_PTE_ADDRESS;
    return entry & KVM_PTE_FRAME ? s->machine->frames.guest_view + gpa : kvm_window_memory(s->machine, gpa);
}

static bool may_write_now(struct kvm_space *s, const struct kvm_area *a, uint64_t entry) {
    if (!(a->prot & PROT_WRITE))
        return false;
    if (entry & KVM_PTE_WINDOW)
        return a->shared;
    uint32_t frame = frame_of(entry);
    return frame != s->machine->frames.zero && atomic_load(&s->machine->frames.info[frame].refs) == 1;
}

/* The entry for that page with the rights that its area gives now. */
static uint64_t entry_for(struct kvm_space *s, const struct kvm_area *a, uint64_t page) {
    uint64_t entry = page & (KVM_PTE_ADDRESS | KVM_PTE_FRAME | KVM_PTE_WINDOW);
    entry |= KVM_PTE_USER | KVM_PTE_ACCESSED;
    if (a->prot != PROT_NONE)
        entry |= KVM_PTE_PRESENT;
    if (!(a->prot & PROT_EXEC))
        entry |= KVM_PTE_NX;
    if (may_write_now(s, a, entry))
        entry |= KVM_PTE_WRITE | KVM_PTE_DIRTY;
    return entry;
}

static void store(uint64_t *entry, uint64_t value) {
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

/* Rights in `old` that `new` no longer gives. */
static bool takes_away(uint64_t old, uint64_t new) {
    if (!(old & KVM_PTE_PRESENT))
        return false;
    return !(new &KVM_PTE_PRESENT) || (old & ~new &KVM_PTE_WRITE) || (new & ~old &KVM_PTE_NX) ||
           (old ^ new) & KVM_PTE_ADDRESS;
}

/* ---- pages for an access ---- */

static int fault_of(int error) {
    return error == -ERANGE ? SIGBUS : SIGKILL; /* SIGKILL: no memory */
}

/* Brings the file's page at `at`, and those around it that the area has and the entries lack. */
static int map_file_page(struct kvm_space *s, const struct kvm_area *a, gva_t at, uint64_t *entry) {
    char *memory;
    uint64_t gpa;
    int r = kvm_file_page(s->machine, a->file, a->offset + (at - a->start), &memory, &gpa);
    if (r)
        return r;
    store(entry, entry_for(s, a, gpa | KVM_PTE_WINDOW));
    s->pages++;
    unsigned index = at / PAGE_SIZE % AROUND;
    for (unsigned i = 0; i < AROUND; i++) { /* entries of one table: AROUND divides its size */
        gva_t near = at + ((int64_t)i - index) * (int64_t)PAGE_SIZE;
        uint64_t *other = entry + ((int64_t)i - index);
        if (*other == 0 && near >= a->start && near < a->end &&
            kvm_file_page(s->machine, a->file, a->offset + (near - a->start), &memory, &gpa) == 0) {
            store(other, entry_for(s, a, gpa | KVM_PTE_WINDOW));
            s->pages++;
        }
    }
    return 0;
}

static int map_anonymous_page(struct kvm_space *s, const struct kvm_area *a, int access, uint64_t *entry) {
    uint32_t frame = access & PROT_WRITE ? kvm_frame_alloc(s->machine, true) : s->machine->frames.zero;
    if (frame == KVM_NO_FRAME)
        return -ENOMEM;
    store(entry, entry_for(s, a, frame * PAGE_SIZE | KVM_PTE_FRAME));
    s->pages++;
    return 0;
}

/* A private copy in place of what the entry holds. */
static int copy_page(struct kvm_space *s, const struct kvm_area *a, uint64_t *entry) {
    uint64_t old = *entry;
    struct kvm_flush flush = {.space = s};
    uint32_t frame = kvm_frame_alloc(s->machine, false);
    if (frame == KVM_NO_FRAME)
        return -ENOMEM;
    uint64_t new = entry_for(s, a, frame * PAGE_SIZE | KVM_PTE_FRAME);
    if (kvm_safe_copy(kvm_page_memory(s, new), kvm_page_memory(s, old), PAGE_SIZE)) {
        kvm_frame_unref(s->machine, frame);
        return -ERANGE; /* the file has lost it meanwhile */
    }
    store(entry, new);
    if (takes_away(old, new))
        kvm_flush_add(&flush, guest_view(s, old));
    kvm_flush_run(&flush);
    if (old & KVM_PTE_FRAME)
        kvm_frame_unref(s->machine, frame_of(old));
    return 0;
}

static bool needs_copy(struct kvm_space *s, uint64_t entry) {
    if (entry & KVM_PTE_WINDOW)
        return true;
    uint32_t frame = frame_of(entry);
    return frame == s->machine->frames.zero || atomic_load(&s->machine->frames.info[frame].refs) > 1;
}

static int make_ready(struct kvm_space *s, const struct kvm_area *a, gva_t at, int access, uint64_t *entry) {
    int r = 0;
    if (*entry == 0)
        r = a->file ? map_file_page(s, a, at, entry) : map_anonymous_page(s, a, access, entry);
    if (r == 0 && access & PROT_WRITE && !a->shared && needs_copy(s, *entry))
        r = copy_page(s, a, entry);
    if (r == 0)
        store(entry, entry_for(s, a, *entry)); /* rights given are seen without a flush */
    return r;
}

static bool is_allowed(const struct kvm_area *a, int access) {
    if (access & KVM_FORCE) /* but nothing makes a descriptor writable that is not */
        return !(access & PROT_WRITE) || !a->shared || !a->file || a->file->writable;
    if (access & PROT_WRITE)
        return a->prot & PROT_WRITE;
    if (access & PROT_EXEC)
        return a->prot & PROT_EXEC;
    return a->prot != PROT_NONE; /* x86: what can be written or executed can be read */
}

uint64_t *kvm_page_touch(struct kvm_space *s, gva_t at, int access, struct kvm_fault *ret) {
    struct kvm_area *a = kvm_area_find(s, at);
    *ret = (struct kvm_fault){0};
    at = page_down(at);
    if (!a || a->start > at) {
        *ret = (struct kvm_fault){SIGSEGV, SEGV_MAPERR};
        return NULL;
    }
    if (!is_allowed(a, access)) {
        *ret = (struct kvm_fault){SIGSEGV, SEGV_ACCERR};
        return NULL;
    }
    uint64_t *entry = kvm_tables_entry(s, at, true);
    int r = entry ? make_ready(s, a, at, access, entry) : -ENOMEM;
    if (r == 0)
        return entry;
    *ret = (struct kvm_fault){fault_of(r), BUS_ADRERR};
    return NULL;
}

/* ---- whole ranges ---- */

void kvm_pages_drop(struct kvm_space *s, gva_t start, gva_t end) {
    enum { BATCH = 512 };
    gva_t at = start;
    bool more = true;
    while (more) {
        uint32_t frames[BATCH];
        unsigned count = 0, seen = 0;
        struct kvm_flush flush = {.space = s};
        uint64_t *entry;
        while ((more = (entry = kvm_tables_next(s, &at, end))) && seen < BATCH) {
            uint64_t old = *entry;
            store(entry, 0);
            s->pages--;
            seen++;
            if (old & KVM_PTE_PRESENT)
                kvm_flush_add(&flush, guest_view(s, old));
            if (old & KVM_PTE_FRAME)
                frames[count++] = frame_of(old);
            at += PAGE_SIZE;
        }
        kvm_flush_run(&flush);
        while (count > 0)
            kvm_frame_unref(s->machine, frames[--count]);
    }
    kvm_tables_shrink(s);
}

void kvm_pages_protect(struct kvm_space *s, const struct kvm_area *a) {
    struct kvm_flush flush = {.space = s};
    gva_t at = a->start;
    for (uint64_t *entry; (entry = kvm_tables_next(s, &at, a->end)); at += PAGE_SIZE) {
        uint64_t old = *entry, new = entry_for(s, a, old);
        store(entry, new);
        if (takes_away(old, new))
            kvm_flush_add(&flush, guest_view(s, old));
    }
    kvm_flush_run(&flush);
}

/* The caller has made the areas: the pages' rights stay as they are. */
int kvm_pages_move(struct kvm_space *s, gva_t from, gva_t to, uint64_t len) {
    struct kvm_flush flush = {.space = s};
    gva_t at = from;
    int r = 0;
    for (uint64_t *entry; r == 0 && (entry = kvm_tables_next(s, &at, from + len)); at += PAGE_SIZE) {
        uint64_t old = *entry, *target = kvm_tables_entry(s, to + (at - from), true);
        if (!target) {
            r = -ENOMEM;
            break;
        }
        store(entry, 0);
        if (old & KVM_PTE_PRESENT)
            kvm_flush_add(&flush, guest_view(s, old));
        store(target, old);
    }
    kvm_flush_run(&flush);
    return r;
}

/* Private pages of an area of the parent, for the child too; both may only read them from now on. What is
 * of a file comes by the child's own faults. */
int kvm_pages_share(struct kvm_space *child, struct kvm_space *parent, const struct kvm_area *a,
                    struct kvm_flush *flush) {
    gva_t at = a->start;
    for (uint64_t *entry; (entry = kvm_tables_next(parent, &at, a->end)); at += PAGE_SIZE) {
        uint64_t old = *entry;
        if (!(old & KVM_PTE_FRAME))
            continue;
        uint64_t *copy = kvm_tables_entry(child, at, true);
        if (!copy)
            return -ENOMEM;
        kvm_frame_ref(parent->machine, frame_of(old));
        uint64_t new = old & ~(KVM_PTE_WRITE | KVM_PTE_DIRTY);
        store(entry, new);
        store(copy, new);
        child->pages++;
        if (takes_away(old, new))
            kvm_flush_add(flush, guest_view(parent, old));
    }
    return 0;
}

size_t kvm_pages_drop_truncated(struct kvm_space *s) {
    struct kvm_area *a;
    size_t dropped = 0;
    RB_FOREACH(a, kvm_area_tree, &s->areas) {
        if (!a->file)
            continue;
        uint64_t size = page_up(kvm_file_size(a->file)), before = s->pages;
        if (size >= a->offset + (a->end - a->start))
            continue;
        struct kvm_flush flush = {.space = s};
        gva_t at = size > a->offset ? a->start + (size - a->offset) : a->start;
        for (uint64_t *entry; (entry = kvm_tables_next(s, &at, a->end)); at += PAGE_SIZE) {
            if (!(*entry & KVM_PTE_WINDOW))
                continue; /* a private copy stays (Linux drops it too: docs/platform.md, known differences) */
            kvm_flush_add(&flush, guest_view(s, *entry));
            store(entry, 0);
            s->pages--;
        }
        kvm_flush_run(&flush);
        dropped += before - s->pages;
    }
    return dropped;
}
