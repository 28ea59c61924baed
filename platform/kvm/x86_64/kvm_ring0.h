/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/x86_64/kvm_ring0.h: the guest's ring 0: tables of the cpu and one-byte stubs, no code that
 * decides anything. It lies in the last 2 GiB of every address space, for the supervisor only.
 *
 *   page 0          GDT, as Linux's
 *   page 1          IDT: 256 gates to the stubs, on the vCPU's own stack (IST 1)
 *   page 2          the stubs: `hlt` every 16 bytes; vector = (rip - 1 - stubs) / 16
 *   page 3          where `syscall` goes: `hlt`; for 32-bit code: `hlt`; the way back: `iretq`
 *   page 16 + n     vCPU n: its TSS at the start, its stack down from the end
 *
 * Source: Intel SDM vol. 3 ch. 6 (interrupts), 7 (TSS), 5.8.8 (fast system calls).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct kvm_sregs;

#define RING0_BASE 0xffffffff80000000ull
enum {
    RING0_GDT = 0,
    RING0_IDT = 1,
    RING0_STUBS = 2,
    RING0_CODE = 3,
    RING0_VCPUS = 16,
    RING0_VCPUS_MAX = 1024,
    RING0_PAGES = RING0_VCPUS + RING0_VCPUS_MAX,
    RING0_STUB_SIZE = 16,
    RING0_SYSCALL = 0, /* offsets in RING0_CODE */
    RING0_SYSCALL32 = 64,
    RING0_IRET = 128,
};
#define RING0_ADDRESS(page) (RING0_BASE + (uint64_t)(page)*4096)
#define RING0_SYSCALL_RIP   (RING0_ADDRESS(RING0_CODE) + RING0_SYSCALL)
#define RING0_SYSCALL32_RIP (RING0_ADDRESS(RING0_CODE) + RING0_SYSCALL32)
#define RING0_IRET_RIP      (RING0_ADDRESS(RING0_CODE) + RING0_IRET)

enum {
    SEL_KERNEL_CODE = 0x10,
    SEL_KERNEL_DATA = 0x18,
    SEL_USER32_CODE = 0x23,
    SEL_USER_DATA = 0x2b,
    SEL_USER_CODE = 0x33,
    SEL_TSS = 0x40
};
enum {
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_BP = 3,
    VECTOR_OF = 4,
    VECTOR_UD = 6,
    VECTOR_DF = 8,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_MF = 16,
    VECTOR_AC = 17,
    VECTOR_XM = 19,
    VECTOR_SYSCALL32 = 0x80,
};

/* Fills `pages` (RING0_PAGES of them, zero) as above. */
void kvm_ring0_fill(char *pages);
/* Registers of a vCPU in ring 0 with those tables. */
void kvm_ring0_sregs(struct kvm_sregs *s, unsigned vcpu);
/* Whether the cpu pushes an error code for it. */
static inline bool kvm_vector_has_error(unsigned vector) {
    return vector < 32 && 0x60227d00u >> vector & 1;
}
