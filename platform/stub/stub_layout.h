/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_layout.h: the fixed layout of a stub process, and what sentry and helper say to each
 * other. Read by stub.S as well as by C.
 *
 *   min_address ..   the guest's
 *   STUB_BASE        message area, read-write, shared with the sentry: the helper's bell and scratch, later
 * one slot per thread STUB_CMD         two pages, read-only (the stub's descriptor is O_RDONLY, so no
 * mprotect makes them writable): commands STUB_TEXT        the helper's code, then the seccomp programs; one
 * read-only file for all stubs STUB_VDSO        the host's [vvar]* and [vdso], moved here so that their
 * addresses are the same in every stub STUB_END ..      nothing, up to the host's own end of user addresses
 *
 * What lies in the message area is hostile: it is read once and checked. Nothing that decides anything is
 * read from it.
 */
#pragma once

/* systrap: one page of pointers, then trampolines for patched call sites; read-execute, from a descriptor
   that cannot write. Bytes 3 and 4 of an address here are 06 00: 06 is no instruction, so that a jump to an
   old `syscall` faults (patch.c). */
#define PATCH_BASE      0x60000
#define PATCH_CODE      0x61000
#define PATCH_SITES     255                    /* each has two pointers: to its trampoline, and back */
#define PATCH_ENTRY     (PATCH_BASE + 8 * 511) /* the last pointer: where trampolines go on */
#define TRAMPOLINE_SIZE 64
#define PATCH_SIZE      0x5000
#define PATCH_END       0x70000

#define STUB_BASE           0x7fff00000000
#define STUB_HIGH           0x7fff     /* upper half of every stub address */
#define STUB_MSG_SIZE       0x80000000 /* room for 32768 slots: as many as a host has thread ids by default */
#define STUB_CMD            0x7fff80000000
#define CMD_SIZE            0x2000
#define STUB_TEXT           0x7fff80010000
#define STUB_TEXT_SIZE      0x8000 /* code and seccomp programs */
#define STUB_FILTERS        0x7fff80014000
#define STUB_FILTERS_OFFSET 0x4000
#define STUB_VDSO           0x7fff80100000
#define STUB_VDSO_SIZE      0x100000
#define STUB_END            0x7fff80200000
#define HOST_TASK_END                                                                                        \
    0x7ffffffff000 /* with 4-level page tables; 5-level hosts give no more unless asked to by a hint */

/* Where the two struct sock_fprog lie at STUB_FILTERS. */
#define HELPER_PROGRAM 0
#define GUEST_PROGRAM  16
#define FILTER_CODE    32

/* Descriptors of every stub. FD_SPARE: received for a moment. */
#define FD_CMD    0
#define FD_MSG    1
#define FD_SOCKET 2
#define FD_PATCH  3
#define FD_SPARE  4

/* struct stub_command.flags */
#define DO_CHECK   1  /* a failure ends the batch */
#define DO_KEEP    2  /* report this result */
#define DO_PROCESS 4  /* a clone whose child is the helper of the space with command page number `extra` */
#define DO_THREAD  8  /* a clone whose child is a guest thread; `extra` is its slot */
#define DO_EXPECT  16 /* the result must be `extra`, or the stub ends */
#define DO_SLOT                                                                                              \
    32 /* with DO_THREAD: the thread lives in its slot (systrap); without: it parks and is taken over        \
          (ptrace) */

/* A report, as the helper's robust list head: bit 63 set | 15 bits of the batch's number | failed | value.
   Failed: commands that were not reached from bit 12 on, errno below. */
#define REPORT_BATCH_SHIFT 48
#define REPORT_BATCH_MASK  0x7fff
#define REPORT_FAILED_BIT  47
#define REPORT_LEFT_SHIFT  12

/* Offsets in the message area's first page. */
#define MSG_BELL    8
#define MSG_STRIP   64  /* zygote only, before any guest: ranges to unmap, until a length of 0 */
#define MSG_SCRATCH 512 /* where recvmsg may write what nobody reads */

/*
 * Slots (systrap): one per guest thread, SLOT_SIZE aligned, in chunks of SLOT_CHUNK; slot 0's first page is
 * the helper's. The thread's alternate signal stack is the slot's last quarter, so that every frame the host
 * makes lies where the sentry sees it.
 */
#define SLOT_SIZE      0x10000
#define SLOT_CHUNK     8
#define SLOT_FRAME     0x400 /* struct stub_ucontext that a new thread starts from */
#define SLOT_FPU       0x800 /* FPU image that the sentry has put together */
#define SLOT_FPU_SIZE  0x3400
#define SLOT_DATA      0x4000 /* bytes of operands and results (stub_operands.c) */
#define SLOT_DATA_SIZE 0x8000
#define SLOT_STACK     0xc000 /* alternate stack, to the slot's end */

/* Of calls that a thread answers by itself and that yet trap, one in so many is handed over all the same: the
   sentry counts traps to find the sites that are worth a patch. */
#define ANSWERS_UNTOLD 32

/* Operands of a call that a guest thread brings along, of results that it takes back. */
#define OPERANDS_IN    3
#define OPERANDS_OUT   3
#define OPERANDS_GIVEN 4
#define OPERAND_MAX    0x4000 /* bytes of all that is brought; the rest of SLOT_DATA is for results */

/* stub_slot.turn. The host stores 0 when the thread ends (CLONE_CHILD_CLEARTID). */
#define TURN_DEAD   0
#define TURN_GUEST  1
#define TURN_SENTRY 2

/* stub_slot.request: what the thread is to do when it is let go. */
#define REQUEST_RUN    0 /* run guest code */
#define REQUEST_ATOMIC 1 /* an atomic operation, then come back */
#define REQUEST_EXIT   2
#define REQUEST_FRAME  3 /* from a patched call: trap, so that all of the thread's state lies in a frame */

/* stub_slot.kind besides signal numbers; the guest's registers are in `regs`. */
#define KIND_CALL      0x100 /* a patched call */
#define KIND_KICK      0x101 /* a kick that came during one, told when that is done */
#define KIND_NOT_GIVEN 0x102 /* a result could not be put in place: REQUEST_RUN was not begun */

/* Offsets in struct stub_slot, for stub.S. */
#define SLOT_IN_CALL 92
#define SLOT_KICKED  96
#define SLOT_REGS    112

#define CMD_LIST_SIZE 63
#define CMD_PARK      8 /* a word that is always 0: what parked threads sleep on */

#ifndef __ASSEMBLER__
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

struct stub_command {
    uint64_t number, arg[6];
    uint32_t flags, extra;
};

/* Written by the sentry, read-only in the stub. */
struct stub_command_page {
    _Atomic uint32_t turn; /* number of the batch to run */
    uint32_t count;        /* commands in it */
    uint32_t park;
    uint32_t unused[13];
    struct stub_command list[CMD_LIST_SIZE];
    char message[256]; /* msghdr and iovec of the helper's recvmsg */
    char rest[CMD_SIZE - 4096 - 256];
};

/* First page of the message area, read-write in the stub. */
struct stub_message_page {
    uint64_t unused;
    _Atomic uint32_t bell;
    uint32_t vdso_moved; /* zygote only: written before any guest runs */
    char pad[MSG_STRIP - 16];
    struct {
        uint64_t address, size;
    } strip[8];
    char pad2[MSG_SCRATCH - MSG_STRIP - 128];
    char scratch[4096 - MSG_SCRATCH];
};

/* Bytes of guest memory and where they lie in the slot's data. */
struct stub_operand {
    uint64_t address;
    uint32_t size, at;
};

/* What a thread may answer by itself; it can only deceive itself. */
struct stub_answers {
    uint32_t on;
    uint32_t trapped; /* calls answered from a trap */
    uint32_t pid, tid, uid, euid, gid, egid;
};

/* Hostile for the sentry: any guest thread of the process can write it at any time. */
struct stub_slot {
    _Atomic uint32_t turn, go; /* what the sentry and the stub thread sleep on */
    _Atomic uint32_t sentry_asleep, stub_asleep;
    uint32_t request;
    uint32_t kind;             /* signal number; 0: a request was done, or the thread has just started */
    int32_t code;              /* si_code */
    uint32_t arch;             /* SIGSYS: audit architecture */
    uint64_t frame;            /* address of the struct stub_ucontext */
    uint64_t address;          /* si_addr; SIGSYS: si_call_addr */
    uint64_t fs_base, gs_base; /* both ways */
    /* REQUEST_ATOMIC */
    uint64_t atomic_routine, atomic_address;
    uint32_t atomic_operand, atomic_value; /* expected value in, old value out */
    int32_t atomic_failed;
    uint32_t in_call; /* a patched call is under way: `regs` are the guest's registers */
    uint32_t kicked;  /* ... and a kick came meanwhile */
    uint32_t use_gs;  /* a gs base of 0 is the slot's address in truth, for trampolines to find it */
    uint32_t spin;    /* how often to look for `go` before sleeping; 0 again: sleep now */
    uint32_t unused;
    uint64_t regs[18]; /* in the order of struct stub_ucontext, r8 to rflags */
    /* What the call at hand has brought, where it could take results (`at` is unused), and what the sentry
       has given, to be put in place before guest code runs. */
    uint32_t in_count, out_count, given_count;
    struct stub_operand in[OPERANDS_IN], out[OPERANDS_OUT], given[OPERANDS_GIVEN];
    struct stub_answers answers;
};

/* The host's struct ucontext and sigcontext for 64-bit signals (asm/ucontext.h, asm/sigcontext.h). */
struct stub_ucontext {
    uint64_t flags, link, stack_at;
    uint32_t stack_flags, pad;
    uint64_t stack_size;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trap, old_mask, cr2, fpu, reserved[8], mask;
};

static_assert(sizeof(struct stub_slot) <= SLOT_FRAME, "slot head");
static_assert(SLOT_FPU + SLOT_FPU_SIZE <= SLOT_DATA && SLOT_DATA + SLOT_DATA_SIZE <= SLOT_STACK, "slot");
static_assert(2 * OPERAND_MAX <= SLOT_DATA_SIZE, "operands");
static_assert(offsetof(struct stub_slot, in_call) == SLOT_IN_CALL, "in_call");
static_assert(offsetof(struct stub_slot, kicked) == SLOT_KICKED, "kicked");
static_assert(offsetof(struct stub_slot, regs) == SLOT_REGS, "regs");
static_assert(sizeof(struct stub_ucontext) == 304 && SLOT_FRAME + sizeof(struct stub_ucontext) <= SLOT_FPU,
              "frame");
static_assert(sizeof(struct stub_command) == 64, "command");
static_assert(sizeof(struct stub_command_page) == CMD_SIZE, "command page");
static_assert(offsetof(struct stub_command_page, park) == CMD_PARK, "park word");
static_assert(offsetof(struct stub_command_page, list) == 64, "list");
static_assert(offsetof(struct stub_command_page, message) == 4096, "message");
static_assert(sizeof(struct stub_message_page) == 4096, "message page");
static_assert(offsetof(struct stub_message_page, bell) == MSG_BELL, "bell");
static_assert(offsetof(struct stub_message_page, strip) == MSG_STRIP, "strip table");
static_assert(offsetof(struct stub_message_page, scratch) == MSG_SCRATCH, "scratch");
#endif
