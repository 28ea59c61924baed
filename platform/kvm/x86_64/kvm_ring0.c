/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/x86_64/kvm_ring0.c: see kvm_ring0.h.
 */
#include "platform/kvm/x86_64/kvm_ring0.h"

#include <linux/kvm.h>
#include <string.h>

#include "base/compiler.h"

enum { OP_HLT = 0xf4, VECTORS = 256, TSS_LIMIT = 103, TSS_RSP0 = 4, TSS_IST1 = 36, TSS_IO_MAP = 102 };

struct packed_gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
} __attribute__((packed));

static void fill_gdt(char *page) {
    static const uint64_t segments[] = {
        [1] = 0x00cf9b000000ffff,
        [SEL_KERNEL_CODE / 8] = 0x00af9b000000ffff,
        [SEL_KERNEL_DATA / 8] = 0x00cf93000000ffff,
        [SEL_USER32_CODE / 8] = 0x00cffb000000ffff,
        [SEL_USER_DATA / 8] = 0x00cff3000000ffff,
        [SEL_USER_CODE / 8] = 0x00affb000000ffff,
    };
    memcpy(page, segments, sizeof(segments));
}

/* Ring 3 may raise int3, into, and `int $0x80` (a call of 32-bit programs, which the sentry refuses). */
static void fill_idt(char *page) {
    enum { GATE_RING0 = 0x8e, GATE_RING3 = 0xee };
    struct packed_gate *gates = (struct packed_gate *)page;
    for (unsigned v = 0; v < VECTORS; v++) {
        uint64_t stub = RING0_ADDRESS(RING0_STUBS) + v * RING0_STUB_SIZE;
        bool open = v == VECTOR_BP || v == VECTOR_OF || v == VECTOR_SYSCALL32;
        gates[v] = (struct packed_gate){.offset_low = (uint16_t)stub,
                                        .selector = SEL_KERNEL_CODE,
                                        .ist = 1,
                                        .type = open ? GATE_RING3 : GATE_RING0,
                                        .offset_middle = (uint16_t)(stub >> 16),
                                        .offset_high = (uint32_t)(stub >> 32)};
    }
}

static void fill_tss(char *page, unsigned vcpu) {
    uint64_t stack = RING0_ADDRESS(RING0_VCPUS + vcpu + 1);
    uint16_t no_io_map = TSS_LIMIT + 1;
    memcpy(page + TSS_RSP0, &stack, sizeof(stack));
    memcpy(page + TSS_IST1, &stack, sizeof(stack));
    memcpy(page + TSS_IO_MAP, &no_io_map, sizeof(no_io_map));
}

void kvm_ring0_fill(char *pages) {
    static const uint8_t iretq[] = {0x48, 0xcf};
    char *code = pages + RING0_CODE * PAGE_SIZE;
    fill_gdt(pages + RING0_GDT * PAGE_SIZE);
    fill_idt(pages + RING0_IDT * PAGE_SIZE);
    memset(pages + RING0_STUBS * PAGE_SIZE, OP_HLT, PAGE_SIZE);
    memset(code, OP_HLT, PAGE_SIZE);
    memcpy(code + RING0_IRET, iretq, sizeof(iretq));
    for (unsigned i = 0; i < RING0_VCPUS_MAX; i++)
        fill_tss(pages + (RING0_VCPUS + i) * PAGE_SIZE, i);
}

void kvm_ring0_sregs(struct kvm_sregs *s, unsigned vcpu) {
    enum { CODE = 11, DATA = 3, BUSY_TSS = 11 };
    struct kvm_segment code = {
        .limit = ~0u, .selector = SEL_KERNEL_CODE, .present = 1, .type = CODE, .s = 1, .l = 1, .g = 1};
    struct kvm_segment data = {
        .limit = ~0u, .selector = SEL_KERNEL_DATA, .present = 1, .type = DATA, .s = 1, .db = 1, .g = 1};
    struct kvm_segment user = data;
    user.selector = SEL_USER_DATA;
    user.dpl = 3;
    s->cr0 = 0x80050033; /* PG AM WP NE ET MP PE */
    s->cr4 = 1u << 5 | 1u << 7 | 1u << 9 | 1u << 10 | 1u << 16 |
             1u << 18; /* PAE PGE OSFXSR OSXMMEXCPT FSGSBASE OSXSAVE */
    s->efer = 0xd01;   /* NXE LMA LME SCE */
    s->cs = code;
    s->ss = data;
    s->ds = s->es = s->fs = s->gs = user;
    s->gdt.base = RING0_ADDRESS(RING0_GDT);
    s->gdt.limit = SEL_TSS + 15;
    s->idt.base = RING0_ADDRESS(RING0_IDT);
    s->idt.limit = VECTORS * sizeof(struct packed_gate) - 1;
    s->tr = (struct kvm_segment){.base = RING0_ADDRESS(RING0_VCPUS + vcpu),
                                 .limit = TSS_LIMIT,
                                 .selector = SEL_TSS,
                                 .present = 1,
                                 .type = BUSY_TSS};
}
