/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/x86_64/kvm_safe.S: accesses that may meet a page which the host does not have (a mapped file
 * got shorter). kvm_safe_host.c's SIGBUS handler sends them to the labels named kvm_safe_*_failed.
 */
.text

/* size_t kvm_safe_copy(void *to, const void *from, size_t size): rcx keeps what rep movsb has not done */
.globl kvm_safe_copy, kvm_safe_copy_access, kvm_safe_copy_failed
.type kvm_safe_copy, @function
kvm_safe_copy:
    mov %rdx, %rcx
kvm_safe_copy_access:
    rep movsb
kvm_safe_copy_failed:
    mov %rcx, %rax
    ret
.size kvm_safe_copy, . - kvm_safe_copy

/* int kvm_safe_cmpxchg(uint32_t *at, uint32_t expected, uint32_t new, uint32_t *ret_old) */
.globl kvm_safe_cmpxchg, kvm_safe_cmpxchg_access, kvm_safe_cmpxchg_failed
.type kvm_safe_cmpxchg, @function
kvm_safe_cmpxchg:
    mov %esi, %eax
kvm_safe_cmpxchg_access:
    lock cmpxchg %edx, (%rdi)
    mov %eax, (%rcx)
    xor %eax, %eax
    ret
kvm_safe_cmpxchg_failed:
    mov $-14, %eax /* -EFAULT */
    ret
.size kvm_safe_cmpxchg, . - kvm_safe_cmpxchg

.section .note.GNU-stack, "", @progbits
