/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/ptrace.h: guest ABI, x86-64: ptrace(2).
 */
#pragma once

#include "base/abi/linux/abi.h"

/* requests */
#define LINUX_PTRACE_TRACEME                0
#define LINUX_PTRACE_PEEKTEXT               1
#define LINUX_PTRACE_PEEKDATA               2
#define LINUX_PTRACE_PEEKUSR                3
#define LINUX_PTRACE_POKETEXT               4
#define LINUX_PTRACE_POKEDATA               5
#define LINUX_PTRACE_POKEUSR                6
#define LINUX_PTRACE_CONT                   7
#define LINUX_PTRACE_KILL                   8
#define LINUX_PTRACE_SINGLESTEP             9
#define LINUX_PTRACE_ATTACH                 16
#define LINUX_PTRACE_DETACH                 17
#define LINUX_PTRACE_SYSCALL                24
#define LINUX_PTRACE_SETOPTIONS             0x4200
#define LINUX_PTRACE_GETEVENTMSG            0x4201
#define LINUX_PTRACE_GETSIGINFO             0x4202
#define LINUX_PTRACE_SETSIGINFO             0x4203
#define LINUX_PTRACE_GETREGSET              0x4204
#define LINUX_PTRACE_SETREGSET              0x4205
#define LINUX_PTRACE_SEIZE                  0x4206
#define LINUX_PTRACE_INTERRUPT              0x4207
#define LINUX_PTRACE_LISTEN                 0x4208
#define LINUX_PTRACE_PEEKSIGINFO            0x4209
#define LINUX_PTRACE_GETSIGMASK             0x420a
#define LINUX_PTRACE_SETSIGMASK             0x420b
#define LINUX_PTRACE_SECCOMP_GET_FILTER     0x420c
#define LINUX_PTRACE_SECCOMP_GET_METADATA   0x420d
#define LINUX_PTRACE_GET_SYSCALL_INFO       0x420e
#define LINUX_PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#define LINUX_PTRACE_PEEKSIGINFO_SHARED     0x1
#define LINUX_PTRACE_GETREGS                12
#define LINUX_PTRACE_SETREGS                13
#define LINUX_PTRACE_GETFPREGS              14
#define LINUX_PTRACE_SETFPREGS              15
#define LINUX_PTRACE_GETFPXREGS             18
#define LINUX_PTRACE_SETFPXREGS             19
#define LINUX_PTRACE_GET_THREAD_AREA        25
#define LINUX_PTRACE_SET_THREAD_AREA        26
#define LINUX_PTRACE_ARCH_PRCTL             30
#define LINUX_PTRACE_SYSEMU                 31
#define LINUX_PTRACE_SYSEMU_SINGLESTEP      32
#define LINUX_PTRACE_SINGLEBLOCK            33

/* events */
#define LINUX_PTRACE_EVENTMSG_SYSCALL_ENTRY 1
#define LINUX_PTRACE_EVENTMSG_SYSCALL_EXIT  2
#define LINUX_PTRACE_EVENT_FORK             1
#define LINUX_PTRACE_EVENT_VFORK            2
#define LINUX_PTRACE_EVENT_CLONE            3
#define LINUX_PTRACE_EVENT_EXEC             4
#define LINUX_PTRACE_EVENT_VFORK_DONE       5
#define LINUX_PTRACE_EVENT_EXIT             6
#define LINUX_PTRACE_EVENT_SECCOMP          7
#define LINUX_PTRACE_EVENT_STOP             128

/* options */
#define LINUX_PTRACE_O_TRACESYSGOOD    1
#define LINUX_PTRACE_O_TRACEFORK       0x2
#define LINUX_PTRACE_O_TRACEVFORK      0x4
#define LINUX_PTRACE_O_TRACECLONE      0x8
#define LINUX_PTRACE_O_TRACEEXEC       0x10
#define LINUX_PTRACE_O_TRACEVFORKDONE  0x20
#define LINUX_PTRACE_O_TRACEEXIT       0x40
#define LINUX_PTRACE_O_TRACESECCOMP    0x80
#define LINUX_PTRACE_O_EXITKILL        0x100000
#define LINUX_PTRACE_O_SUSPEND_SECCOMP 0x200000
#define LINUX_PTRACE_O_MASK            0x3000ff

/* PTRACE_GET_SYSCALL_INFO */
#define LINUX_PTRACE_SYSCALL_INFO_NONE    0
#define LINUX_PTRACE_SYSCALL_INFO_ENTRY   1
#define LINUX_PTRACE_SYSCALL_INFO_EXIT    2
#define LINUX_PTRACE_SYSCALL_INFO_SECCOMP 3

/* register sets */
#define LINUX_NT_PRSTATUS   1
#define LINUX_NT_PRFPREG    2
#define LINUX_NT_X86_XSTATE 0x202
#define LINUX_NT_386_TLS    0x200

/* PTRACE_GETREGS, NT_PRSTATUS */
struct linux_user_regs {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
    uint64_t rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};
ABI_SIZE(linux_user_regs, 216);
ABI_OFFSET(linux_user_regs, orig_rax, 120);
ABI_OFFSET(linux_user_regs, fs_base, 168);

/* PEEKUSER's area: user_regs first; only what debuggers use is named. */
struct linux_user {
    struct linux_user_regs regs;
    uint8_t unused[632];
    uint64_t debugreg[8];
    uint64_t error_code, fault_address; /* libc's has them not */
};
ABI_SIZE(linux_user, 928);
ABI_OFFSET(linux_user, debugreg, 848);

struct linux_ptrace_peeksiginfo_args {
    uint64_t off;
    uint32_t flags;
    int32_t nr;
};
ABI_SIZE(linux_ptrace_peeksiginfo_args, 16);

struct linux_ptrace_syscall_info {
    uint8_t op, pad[3];
    uint32_t arch;
    uint64_t instruction_pointer, stack_pointer;
    union {
        struct {
            uint64_t nr, args[6];
        } entry;
        struct {
            int64_t rval;
            uint8_t is_error;
        } exit;
        struct {
            uint64_t nr, args[6];
            uint32_t ret_data;
        } seccomp;
    };
};
ABI_SIZE(linux_ptrace_syscall_info, 88);
ABI_OFFSET(linux_ptrace_syscall_info, entry.nr, 24);
