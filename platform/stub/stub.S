/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub.S: the code that every stub process holds at STUB_TEXT: the helper thread, the start of
 * guest threads, and
 * the little routines that guest threads run on the sentry's behalf. Linked on its own (stub.ld) and embedded
 * in the platform.
 *
 * The helper touches no memory that a guest can write, and has no stack. Its state: %rbp command page, %r15d
 * number of the last
 * batch, %rbx command, %r12d commands left, %r13 value to report, %r14 flags (low half) and extra (high half)
 * of the command.
 *
 * Guest code may jump to any byte of this page with any registers. What that can do is decided by the seccomp
 * programs
 * (stub_filter.c), which know each `syscall` by the address behind it: the site_ labels. docs/security-
 * stub.md argues each.
 */
#include <asm/unistd.h>

#include "platform/stub/stub_layout.h"

    .section .text.entry, "ax"
    .globl text_start
text_start:

/* The zygote's last act before it becomes a helper: unmap all that is not stub, by the table that it has left
   behind. */
    .globl strip
strip:
    movabs  $(STUB_BASE + MSG_STRIP), %rbx
1:  mov     (%rbx), %rdi
    mov     8(%rbx), %rsi
    test    %rsi, %rsi
    jz      2f
    mov     $__NR_munmap, %eax
    syscall
    test    %rax, %rax
    jnz     die
    add     $16, %rbx
    jmp     1b
2:  mov     $__NR_seccomp, %eax
    mov     $1, %edi                    /* SECCOMP_SET_MODE_FILTER */
    xor     %esi, %esi
    movabs  $(STUB_FILTERS + HELPER_PROGRAM), %rdx
    syscall
    test    %rax, %rax
    jnz     die
    movabs  $STUB_CMD, %rbp
    xor     %r15d, %r15d

    .globl helper
helper:
    mov     (%rbp), %eax
    cmp     %eax, %r15d
    jne     1f
    mov     $__NR_futex, %eax
    mov     %rbp, %rdi
    xor     %esi, %esi                  /* FUTEX_WAIT */
    mov     %r15d, %edx
    xor     %r10d, %r10d
    syscall
    .globl site_helper_wait
site_helper_wait:
    jmp     helper
1:  mov     %eax, %r15d
    mov     4(%rbp), %r12d
    lea     64(%rbp), %rbx
    xor     %r13d, %r13d
next:
    sub     $1, %r12d
    jb      report
    /* before the call: the child of a clone must not look at this page again */
    mov     56(%rbx), %r14
    mov     (%rbx), %rax
    mov     8(%rbx), %rdi
    mov     16(%rbx), %rsi
    mov     24(%rbx), %rdx
    mov     32(%rbx), %r10
    mov     40(%rbx), %r8
    mov     48(%rbx), %r9
    add     $64, %rbx
    syscall
    .globl site_helper_any
site_helper_any:
    test    %rax, %rax
    jnz     2f
    test    $DO_PROCESS, %r14b
    jnz     child_process
    test    $DO_THREAD, %r14b
    jnz     child_thread
2:  test    $DO_EXPECT, %r14b
    jz      3f
    mov     %r14, %rcx
    shr     $32, %rcx
    cmp     %rcx, %rax
    jne     die
3:  test    $DO_CHECK, %r14b
    jz      4f
    cmp     $-4095, %rax
    jae     failed
4:  test    $DO_KEEP, %r14b
    jz      next
    mov     %rax, %r13
    shl     $17, %r13
    shr     $17, %r13
    jmp     next
failed:
    neg     %rax
    mov     %r12d, %r12d
    shl     $REPORT_LEFT_SHIFT, %r12
    or      %r12, %rax
    bts     $REPORT_FAILED_BIT, %rax
    mov     %rax, %r13
/*
 * The way back that no guest can forge: a word of the helper's task that the kernel keeps, set from registers
 * and read by the
 * sentry with get_robust_list. Bit 63 makes it no user address, so the kernel follows it nowhere when the
 * helper ends.
 */
report:
    mov     %r15, %rdi
    and     $REPORT_BATCH_MASK, %edi
    shl     $REPORT_BATCH_SHIFT, %rdi
    or      %r13, %rdi
    bts     $63, %rdi
    mov     $24, %esi
    mov     $__NR_set_robust_list, %eax
    syscall
    .globl site_helper_report
site_helper_report:
    movabs  $(STUB_BASE + MSG_BELL), %rdi   /* only a bell: a guest may ring it too, or spoil it */
    mov     %r15d, (%rdi)
    mov     $__NR_futex, %eax
    mov     $1, %esi                    /* FUTEX_WAKE */
    mov     $1, %edx
    syscall
    .globl site_helper_wake
site_helper_wake:
    jmp     helper

/* A new address space: from registers alone, put its own command page in place of its parent's. */
child_process:
    mov     $__NR_mmap, %eax
    mov     %rbp, %rdi
    mov     $CMD_SIZE, %esi
    mov     $1, %edx                    /* PROT_READ */
    mov     $0x11, %r10d                /* MAP_SHARED|MAP_FIXED */
    mov     $FD_CMD, %r8d
    mov     %r14, %r9
    shr     $32, %r9
    imul    $CMD_SIZE, %r9, %r9
    syscall
    .globl site_child_map
site_child_map:
    cmp     %rbp, %rax
    jne     die
    xor     %r15d, %r15d
    jmp     helper
die:
    mov     $__NR_exit_group, %eax
    mov     $99, %edi
    syscall
    .globl site_die
site_die:
    hlt

/* A guest thread: puts on its own filter, then waits to be taken over. */
child_thread:
    mov     $__NR_seccomp, %eax
    mov     $1, %edi
    xor     %esi, %esi
    movabs  $(STUB_FILTERS + GUEST_PROGRAM), %rdx
    syscall
    .globl site_thread_filter
site_thread_filter:
    test    %rax, %rax
    jnz     die
    test    $DO_SLOT, %r14b
    jnz     thread_in_slot
park:
    lea     CMD_PARK(%rbp), %rdi
    xor     %esi, %esi
    xor     %edx, %edx
    xor     %r10d, %r10d
    mov     $__NR_futex, %eax
    syscall
    .globl site_park
site_park:
    jmp     park

/* In its own slot from now on, all of which guests can write: so nothing here decides what the thread may do,
   its filter does. */
thread_in_slot:
    shr     $32, %r14
    imul    $SLOT_SIZE, %r14, %rdi
    movabs  $STUB_BASE, %rax
    add     %rax, %rdi
    lea     SLOT_SIZE(%rdi), %rsp
    xor     %ebp, %ebp
    call    stub_thread_start           /* gives the address of the frame to start from */
    mov     %rax, %rsp
    .globl restorer
restorer:
    mov     $__NR_rt_sigreturn, %eax
    syscall
    .globl site_sigreturn
site_sigreturn:
    hlt

/*
 * From a trampoline: %r11 the slot (the thread's gs base), %eax the call's number, %rcx where to go on. The
 * guest's stack and red zone are not touched. A kick that arrives
 *   - before patched_entered is told with the registers as they are, and the sentry goes back to the site;
 *   - in the C code is noted in the slot, and told at patched_back;
 *   - from patched_back on is told with the registers in the slot: the return is complete in all but name.
 */
#define REG(i) (SLOT_REGS + 8 * i)
    .globl patched_entry
patched_entry:
    mov     %r8, REG(0)(%r11)
    mov     %r9, REG(1)(%r11)
    mov     %r10, REG(2)(%r11)
    mov     %r12, REG(4)(%r11)
    mov     %r13, REG(5)(%r11)
    mov     %r14, REG(6)(%r11)
    mov     %r15, REG(7)(%r11)
    mov     %rdi, REG(8)(%r11)
    mov     %rsi, REG(9)(%r11)
    mov     %rbp, REG(10)(%r11)
    mov     %rbx, REG(11)(%r11)
    mov     %rdx, REG(12)(%r11)
    mov     %rax, REG(13)(%r11)
    mov     %rsp, REG(15)(%r11)
    mov     %rcx, REG(16)(%r11)
    lea     SLOT_SIZE(%r11), %rsp
    .globl patched_switched
patched_switched:
    pushfq
    pop     REG(17)(%r11)
    movl    $1, SLOT_IN_CALL(%r11)
    .globl patched_entered
patched_entered:
    cld
    mov     %r11, %rbx
    mov     %r11, %rdi
    call    stub_patched_call
    .globl patched_back
patched_back:
    cmpl    $0, SLOT_KICKED(%rbx)
    jne     patched_kicked
    movl    $0, SLOT_IN_CALL(%rbx)
    mov     %rbx, %rcx
    push    REG(17)(%rcx)
    popfq
    mov     REG(0)(%rcx), %r8
    mov     REG(1)(%rcx), %r9
    mov     REG(2)(%rcx), %r10
    mov     REG(3)(%rcx), %r11
    mov     REG(4)(%rcx), %r12
    mov     REG(5)(%rcx), %r13
    mov     REG(6)(%rcx), %r14
    mov     REG(7)(%rcx), %r15
    mov     REG(8)(%rcx), %rdi
    mov     REG(9)(%rcx), %rsi
    mov     REG(10)(%rcx), %rbp
    mov     REG(11)(%rcx), %rbx
    mov     REG(12)(%rcx), %rdx
    mov     REG(13)(%rcx), %rax
    mov     REG(15)(%rcx), %rsp
    mov     REG(16)(%rcx), %rcx
    jmp     *%rcx
    .globl patched_end
patched_end:
patched_kicked:
    movl    $0, SLOT_KICKED(%rbx)
    mov     %rbx, %rdi
    call    stub_patched_kick
    jmp     patched_back

/* void stub_make_frame(void): a call that the guest filter traps, for the sake of the frame */
    .globl stub_make_frame
stub_make_frame:
    mov     $-1, %eax
    syscall
    .globl site_frame
site_frame:
    ret

/* long stub_futex(word, op, value) */
    .globl stub_futex
stub_futex:
    xor     %r10d, %r10d
    mov     $__NR_futex, %eax
    syscall
    .globl site_futex
site_futex:
    ret

/* int stub_atomic(routine, address, operand, &value): 0, or 1 if the word is not there */
    .globl stub_atomic
stub_atomic:
    push    %rcx
    mov     (%rcx), %eax
    mov     %rdi, %r8
    mov     %rsi, %rdi
    mov     %edx, %esi
    lea     1f(%rip), %r9
    jmp     *%r8
1:  pop     %rcx
    mov     %eax, (%rcx)
    xor     %eax, %eax
    ret
    .globl stub_atomic_fault
stub_atomic_fault:
    pop     %rcx
    mov     $1, %eax
    ret

/*
 * Copies between guest memory and the slot, by the guest thread itself. A fault in [copy_start, copy_end)
 * goes on at stub_copy_stop with what is left in %rcx, one in [touch_start, touch_end) at stub_touch_stop.
 *
 * size_t stub_copy(to, from, size): bytes that were not copied
 */
    .globl stub_copy, copy_start, copy_end, stub_copy_stop
stub_copy:
    mov     %rdx, %rcx
copy_start:
    rep movsb
copy_end:
stub_copy_stop:
    mov     %rcx, %rax
    ret

/* size_t stub_touch(address, size): of how many bytes the pages can be written; nothing is changed by that */
    .globl stub_touch, touch_start, touch_end, stub_touch_stop
stub_touch:
    lea     (%rdi,%rsi), %rcx
    mov     %rdi, %rax
touch_start:
    lock orb $0, (%rax)
touch_end:
    and     $-4096, %rax
    add     $4096, %rax
    cmp     %rcx, %rax
    jb      touch_start
    mov     %rcx, %rax
stub_touch_stop:
    sub     %rdi, %rax
    ret

    .globl stub_exit
stub_exit:
    mov     $__NR_exit, %eax
    xor     %edi, %edi
    syscall
    .globl site_exit
site_exit:
    hlt

/*
 * Atomic operations on a guest word, by the guest thread itself: %rdi address, %esi operand, %eax expected
 * value (compare and
 * exchange). The old value comes back in %eax. A fault anywhere in [atomic_start, atomic_done) means that the
 * word is not there.
 */
    .globl atomic_start
atomic_start:
    .globl atomic_xchg
atomic_xchg:
    mov     %esi, %eax
    xchg    %eax, (%rdi)
    jmp     atomic_done
    .globl atomic_cmpxchg
atomic_cmpxchg:
    lock cmpxchg %esi, (%rdi)
    jmp     atomic_done
    .globl atomic_add
atomic_add:
    mov     %esi, %eax
    lock xadd %eax, (%rdi)
    jmp     atomic_done
    .globl atomic_or
atomic_or:
    mov     (%rdi), %eax
1:  mov     %eax, %ecx
    or      %esi, %ecx
    lock cmpxchg %ecx, (%rdi)
    jnz     1b
    jmp     atomic_done
    .globl atomic_and
atomic_and:
    mov     (%rdi), %eax
1:  mov     %eax, %ecx
    and     %esi, %ecx
    lock cmpxchg %ecx, (%rdi)
    jnz     1b
    jmp     atomic_done
    .globl atomic_xor
atomic_xor:
    mov     (%rdi), %eax
1:  mov     %eax, %ecx
    xor     %esi, %ecx
    lock cmpxchg %ecx, (%rdi)
    jnz     1b
    .globl atomic_done
atomic_done:
    jmp     *%r9                        /* of systrap's stub_atomic, or atomic_trap */
    .globl atomic_trap
atomic_trap:
    int3                                /* under ptrace: back to the sentry */
    .globl atomic_end
atomic_end:
    hlt
    .section .note.GNU-stack, "", @progbits
