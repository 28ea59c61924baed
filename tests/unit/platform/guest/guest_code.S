/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/guest/guest_code.S: what the test guests run. Copied to CODE_ADDRESS: position
 * independent, no data of its own.
 */
    .section .rodata
    .balign 16
    .globl guest_code
guest_code:

    .globl guest_getpid
guest_getpid:                       /* calls number 39 with recognizable arguments, for ever */
1:  mov     $39, %eax
    mov     $0x11, %edi
    mov     $0x22, %esi
    mov     $0x33, %edx
    mov     $0x44, %r10d
    mov     $0x55, %r8d
    mov     $0x66, %r9d
    syscall
    .globl guest_getpid_after
guest_getpid_after:
    jmp     1b

    .globl guest_hot
guest_hot:                          /* 1: a call; its result goes to %rbx; again */
    mov     $102, %eax
    syscall
    .globl guest_hot_after
guest_hot_after:
    mov     %rax, %rbx
    jmp     guest_hot

    .globl guest_any
guest_any:                          /* makes the call whose number is in %rax, again and again */
    syscall
    .globl guest_any_after
guest_any_after:
    jmp     guest_any

    .globl guest_count
guest_count:                        /* the call %r12, %r13 times; the result is left in %rbx; then call 110 */
    mov     %r12, %rax
    syscall
    mov     %rax, %rbx
    dec     %r13
    jnz     guest_count
    mov     $110, %eax
    syscall

    .globl guest_wrapped, guest_wrapped_site, guest_wrapped_after, guest_wrapped_behind
guest_wrapped:                      /* as guest_hot, by the pattern of libc's syscall(); errors go to %rbp */
    mov     $102, %eax
    nop
guest_wrapped_site:
    syscall
guest_wrapped_after:
    cmp     $-4095, %rax
guest_wrapped_behind:
    jae     1f
    mov     %rax, %rbx
    jmp     guest_wrapped
1:  mov     %rax, %rbp
    jmp     guest_wrapped

    .globl guest_jumped_to, guest_jumped_to_site
guest_jumped_to:                    /* the same, but somebody jumps behind the call */
    mov     $102, %eax
    nop
guest_jumped_to_site:
    syscall
1:  cmp     $-4095, %rax
    jae     guest_jumped_to
    test    %rax, %rax
    js      1b
    jmp     guest_jumped_to

    .globl guest_spin
guest_spin:
    incq    (%rdi)
    jmp     guest_spin

    .globl guest_load
guest_load:                         /* reads (%rdi) */
    mov     (%rdi), %rax
    mov     $1, %eax
    syscall
    .globl guest_store
guest_store:                        /* writes (%rdi) */
    mov     %rsi, (%rdi)
    mov     $1, %eax
    syscall
    .globl guest_store_two
guest_store_two:
    mov     %rsi, (%rdi)
    mov     %ecx, (%rdx)
    jmp     .
    .globl guest_jump
guest_jump:
    jmp     *%rdi
    .globl guest_call
guest_call:
    call    *%rdi
    mov     %rax, %rdi
    mov     $1, %eax
    syscall
    .globl guest_call_rbx
guest_call_rbx:
    call    *%rbx
    mov     %rax, %rdi
    mov     $1, %eax
    syscall
    .globl guest_divide
guest_divide:
    xor     %ecx, %ecx
    xor     %edx, %edx
    mov     $1, %eax
    .globl guest_divide_at
guest_divide_at:
    div     %ecx
    .globl guest_ud2
guest_ud2:
    ud2
    .globl guest_int3
guest_int3:
    int3
    .globl guest_int3_after
guest_int3_after:
    nop
    .globl guest_privileged
guest_privileged:
    hlt
    .globl guest_int80
guest_int80:
    mov     $20, %eax
    int     $0x80
    .globl guest_int80_after
guest_int80_after:
    jmp     guest_int80
    .globl guest_32bit
guest_32bit:                        /* far return to a 32-bit code segment; the stack must be low */
    pushq   $0x23
    lea     1f(%rip), %rax
    push    %rax
    lretq
    .code32
1:  mov     $20, %eax
    int     $0x80
    hlt
    .code64
    .globl guest_step
guest_step:
    nop
    mov     $7, %ecx
    mov     $60, %eax
    .globl guest_step_call
guest_step_call:
    syscall
    .globl guest_step_after
guest_step_after:
    nop
    nop
    .globl guest_fill_fpu
    /* loads xmm0..xmm3 and ymm4's upper half from (%rdi), then calls, then stores back at 256(%rdi) */
guest_fill_fpu:
    movups  (%rdi), %xmm0
    movups  16(%rdi), %xmm1
    vmovups 32(%rdi), %ymm4
    fldpi
    mov     $39, %eax
    syscall
    movups  %xmm0, 256(%rdi)
    movups  %xmm1, 272(%rdi)
    vmovups %ymm4, 288(%rdi)
    fstpl   320(%rdi)
    mov     $40, %eax
    syscall
    .globl guest_add
guest_add:                          /* 1000000 locked increments of (%rdi) */
    mov     $1000000, %ecx
1:  lock incl (%rdi)
    dec     %ecx
    jnz     1b
    mov     $60, %eax
    syscall
    .globl guest_bases
guest_bases:
    mov     %fs:0, %rax
    mov     %gs:0, %rbx
    mov     $39, %eax
    syscall
    .globl guest_scribble
guest_scribble:                     /* fills %rcx bytes at %rdi with %al, then calls; again and again */
    mov     %rdi, %r12
    mov     %rcx, %r13
1:  mov     %r12, %rdi
    mov     %r13, %rcx
    rep stosb
    jmp     1b
    .globl guest_set_tf
guest_set_tf:
    pushfq
    orq     $0x100, (%rsp)
    popfq
    nop
    nop
    .globl guest_code_end
guest_code_end:
    .section .note.GNU-stack, "", @progbits
