/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_flush_host.c: making vCPUs forget translations, the same way for shadow page tables and
 * for nested ones: what is unmapped from the machine's view of memory is dropped from both (the host's MMU
 * notifiers), and fetched again at the next access. Nothing is lost, as all of it is shared file memory.
 * Measured and argued in PLATFORM.md 1.4.
 */
#include <errno.h>
#include <sys/mman.h>

#include "platform/kvm/kvm_internal.h"

void kvm_flush_add(struct kvm_flush *f, char *page) {
    if (f->everything)
        return;
    for (unsigned i = f->count; i-- > 0;) { /* the last is the likeliest neighbour */
        if (f->spans[i].end == page) {
            f->spans[i].end += PAGE_SIZE;
            return;
        }
        if (f->spans[i].start == page + PAGE_SIZE) {
            f->spans[i].start = page;
            return;
        }
    }
    if (f->count == KVM_FLUSH_SPANS) {
        f->everything = true;
        return;
    }
    f->spans[f->count].start = page;
    f->spans[f->count++].end = page + PAGE_SIZE;
}

void kvm_flush_run(struct kvm_flush *f) {
    if (f->count == 0)
        return;
    kvm_space_quiesce(f->space);
    for (unsigned i = 0; i < f->count && !f->everything; i++) {
        char *start = f->spans[i].start;
        f->everything = madvise(start, (size_t)(f->spans[i].end - start), MADV_DONTNEED) < 0;
    }
    if (f->everything)
        kvm_flush_machine(f->space->machine);
    f->count = 0;
    f->everything = false;
}

/* A slot that goes away takes every translation of the machine with it. */
void kvm_flush_machine(struct kvm_machine *m) {
    enum { TOGGLE_SLOT = KVM_WINDOWS_BASE / KVM_FRAME_SLOT_SIZE - 1 };
    uint64_t gpa = KVM_WINDOWS_BASE - KVM_FRAME_SLOT_SIZE;
    uint32_t retired = kvm_frames_take_retired(m);
    mutex_lock(&m->toggle_lock);
    int r = kvm_slot_set(m, TOGGLE_SLOT, gpa, PAGE_SIZE, m->toggle);
    kvm_slot_clear(m, TOGGLE_SLOT, gpa); /* only what is there can go */
    mutex_unlock(&m->toggle_lock);
    ASSERT(r == 0); /* a guest whose stale translations cannot be dropped must not go on */
    kvm_frames_recycle(m, retired);
}
