/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_tables.c: a space's page tables: four levels, made as entries are asked for. Source: Intel
 * SDM vol. 3 ch. 4 (4-level paging).
 */
#include <errno.h>
#include <string.h>

#include "platform/kvm/kvm_internal.h"

enum { LEVELS = 4, ENTRIES = 512, KERNEL_ENTRY = 511 };
#define TABLE_BITS (KVM_PTE_PRESENT | KVM_PTE_WRITE | KVM_PTE_USER | KVM_PTE_ACCESSED)

static uint64_t *table_at(struct kvm_machine *m, uint64_t gpa) {
    return (uint64_t *)(m->frames.memory + (gpa & KVM_PTE_ADDRESS));
}

static unsigned index_at(gva_t at, int level) { /* level 0: pages */
    return at >> (12 + 9 * level) & (ENTRIES - 1);
}

static uint64_t span_of(int level) { /* bytes under one entry */
    return PAGE_SIZE << (9 * level);
}

static uint32_t new_root(struct kvm_machine *m) {
    uint32_t root = kvm_frame_alloc(m, true);
    if (root != KVM_NO_FRAME)
        table_at(m, root * PAGE_SIZE)[KERNEL_ENTRY] = m->ring0_table * PAGE_SIZE | TABLE_BITS;
    return root;
}

int kvm_tables_init(struct kvm_space *s) {
    s->root = new_root(s->machine);
    if (s->root == KVM_NO_FRAME)
        return -ENOMEM;
    s->root_serial = atomic_fetch_add(&s->machine->next_serial, 1) + 1;
    s->tables = 1;
    return 0;
}

/* Gives up the tables beneath `table`. Their entries are emptied first: a vCPU that still walks them faults.
 */
static void retire(struct kvm_machine *m, uint64_t gpa, int level) {
    uint64_t *table = table_at(m, gpa);
    for (unsigned i = 0; level > 0 && i < (level == LEVELS - 1 ? KERNEL_ENTRY : ENTRIES); i++)
        if (table[i] & KVM_PTE_PRESENT)
            retire(m, table[i] & KVM_PTE_ADDRESS, level - 1);
    memset(table, 0, PAGE_SIZE);
    kvm_frame_retire(m, (uint32_t)(gpa / PAGE_SIZE));
}

void kvm_tables_done(struct kvm_space *s) {
    if (s->root != KVM_NO_FRAME)
        retire(s->machine, s->root * PAGE_SIZE, LEVELS - 1);
    s->root = KVM_NO_FRAME;
}

uint64_t *kvm_tables_entry(struct kvm_space *s, gva_t at, bool create) {
    uint64_t *table = table_at(s->machine, s->root * PAGE_SIZE);
    for (int level = LEVELS - 1; level > 0; level--) {
        uint64_t *entry = &table[index_at(at, level)];
        if (!(*entry & KVM_PTE_PRESENT)) {
            uint32_t frame = create ? kvm_frame_alloc(s->machine, true) : KVM_NO_FRAME;
            if (frame == KVM_NO_FRAME)
                return NULL;
            *(volatile uint64_t *)entry = frame * PAGE_SIZE | TABLE_BITS;
            s->tables++;
        }
        table = table_at(s->machine, *entry);
    }
    return &table[index_at(at, 0)];
}

uint64_t *kvm_tables_next(struct kvm_space *s, gva_t *at, gva_t end) {
    while (*at < end) {
        uint64_t *table = table_at(s->machine, s->root * PAGE_SIZE);
        int level = LEVELS - 1;
        while (level > 0 && table[index_at(*at, level)] & KVM_PTE_PRESENT)
            table = table_at(s->machine, table[index_at(*at, level--)]);
        if (level == 0 && table[index_at(*at, 0)])
            return &table[index_at(*at, 0)];
        *at = (*at | (span_of(level) - 1)) + 1; /* nothing under this entry */
    }
    return NULL;
}

/* The same entries in fresh tables; the old ones are nobody's when everybody has left the guest. */
static bool rebuild(struct kvm_space *s) {
    uint32_t old = s->root;
    uint64_t old_tables = s->tables;
    gva_t at = 0;
    struct kvm_space fresh = {.machine = s->machine};
    if (kvm_tables_init(&fresh) < 0)
        return false;
    for (uint64_t *from; (from = kvm_tables_next(s, &at, s->machine->base.limits.max_address));
         at += PAGE_SIZE) {
        uint64_t *to = kvm_tables_entry(&fresh, at, true);
        if (!to) {
            kvm_tables_done(&fresh);
            return false;
        }
        *to = *from;
    }
    s->root = fresh.root;
    s->root_serial = fresh.root_serial;
    s->tables = fresh.tables;
    kvm_space_quiesce(s); /* who enters after this uses the new root */
    retire(s->machine, old * PAGE_SIZE, LEVELS - 1);
    return s->tables < old_tables;
}

void kvm_tables_shrink(struct kvm_space *s) {
    enum { ALWAYS_FINE = 256 };
    if (s->tables > ALWAYS_FINE && s->tables > 2 * s->shrunk_to && s->tables > 4 * (s->pages / ENTRIES + 1)) {
        (void)rebuild(s);
        s->shrunk_to = s->tables; /* not again before they have doubled: sparse use is the guest's right */
    }
}
