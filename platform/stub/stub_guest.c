/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_guest.c: systrap's signal handler, part of the stub's text. It runs in guest threads, on
 * the alternate stack in the thread's slot, under the guest filter: whatever a guest does to this code's
 * stack, or jumps into, gains it nothing that the filter does not grant. It hands the saved frame to the
 * sentry, sleeps, does what the sentry asks for, and returns into the frame.
 *
 * Compiled for general registers only: the FPU state is in the frame, and stays there.
 */
#include <stdatomic.h>
#include <stdbool.h>

#include "platform/stub/stub_layout.h"
#include "platform/stub/stub_operands.h"

enum { TRAPPED_CALL = 1 /* SYS_SECCOMP */, FLAG_TF = 0x100 };
#define ARCH_X86_64 0xc000003e
enum { STUB_SIGSEGV = 11, STUB_SIGBUS = 7, STUB_SIGSYS = 31, STUB_KICK = 10 };

/* The host's siginfo_t, as far as it is needed (sigaction(2)). */
struct stub_siginfo {
    int32_t signo, error, code, pad;
    uint64_t address; /* si_addr, si_call_addr */
    int32_t syscall;
    uint32_t arch;
};

long stub_futex(_Atomic uint32_t *word, int op, uint32_t value);
int stub_atomic(uint64_t routine, uint64_t address, uint32_t operand, uint32_t *value);
void stub_make_frame(void);
_Noreturn void stub_exit(void);
extern const char text_start[], text_end[], patched_back[], patched_end[];
extern const char atomic_start[], atomic_end[], stub_atomic_fault[];
extern const char copy_start[], copy_end[], stub_copy_stop[], touch_start[], touch_end[], stub_touch_stop[];

/* The place in `regs` where a call's number is found and its result left. */
enum { REG_RAX = 13 };

static bool answer(const struct stub_answers *a, uint64_t *rax) {
    if (!a->on)
        return false;
    switch (*rax) {
    case 39: /* getpid */
        *rax = a->pid;
        return true;
    case 102: /* getuid */
        *rax = a->uid;
        return true;
    case 104: /* getgid */
        *rax = a->gid;
        return true;
    case 107: /* geteuid */
        *rax = a->euid;
        return true;
    case 108: /* getegid */
        *rax = a->egid;
        return true;
    case 186: /* gettid */
        *rax = a->tid;
        return true;
    default:
        return false;
    }
}

/* An ordinary call, not stepped, from where the guest is (a trampoline has no way back from here). */
static bool answer_trap(struct stub_slot *s, const struct stub_siginfo *info, struct stub_ucontext *frame) {
    if (!s->answers.on || info->code != TRAPPED_CALL || info->arch != ARCH_X86_64 ||
        frame->rflags & FLAG_TF || frame->rip < PATCH_END || info->address >= STUB_BASE)
        return false;
    return s->answers.trapped++ % ANSWERS_UNTOLD && answer(&s->answers, &frame->rax);
}

void stub_handler(int signo, const struct stub_siginfo *info, struct stub_ucontext *frame);
uint64_t stub_thread_start(struct stub_slot *s);
void stub_patched_call(struct stub_slot *s);
void stub_patched_kick(struct stub_slot *s);

static void hand_over(struct stub_slot *s) {
    atomic_store_explicit(&s->go, 0, memory_order_relaxed);
    atomic_store(&s->turn, TURN_SENTRY); /* ordered before the look at sentry_asleep */
    if (atomic_load(&s->sentry_asleep))
        stub_futex(&s->turn, 1, 1);
    for (uint32_t i = 0; i < *(volatile uint32_t *)&s->spin && !atomic_load(&s->go); i++)
        __builtin_ia32_pause();
    while (!atomic_load(&s->go)) {
        atomic_store(&s->stub_asleep, 1);
        stub_futex(&s->go, 0, 0);
        atomic_store(&s->stub_asleep, 0);
    }
}

/* Hands over until the sentry wants guest code to run. */
static void serve(struct stub_slot *s) {
    for (;;) {
        hand_over(s);
        if (s->request == REQUEST_RUN) {
            if (stub_put_given(s))
                return;
            s->kind = KIND_NOT_GIVEN;
            continue;
        }
        if (s->request == REQUEST_EXIT)
            stub_exit();
        if (s->request == REQUEST_FRAME) {
            stub_make_frame(); /* the handler hands over, and leaves into the guest */
            continue;
        }
        s->atomic_failed =
            stub_atomic(s->atomic_routine, s->atomic_address, s->atomic_operand, &s->atomic_value);
        s->kind = 0;
    }
}

static void load_bases(const struct stub_slot *s) {
    uint64_t gs = s->gs_base ? s->gs_base : s->use_gs ? (uint64_t)s : 0;
    __asm__ volatile("wrfsbase %0" : : "r"(s->fs_base));
    __asm__ volatile("wrgsbase %0" : : "r"(gs));
}

static void save_bases(struct stub_slot *s) {
    uint64_t fs, gs;
    __asm__ volatile("rdfsbase %0" : "=r"(fs));
    __asm__ volatile("rdgsbase %0" : "=r"(gs));
    s->fs_base = fs;
    s->gs_base = gs == (uint64_t)s ? 0 : gs;
}

static bool within(uint64_t rip, const char *start, const char *end) {
    return rip >= (uint64_t)start && rip < (uint64_t)end;
}

/* Of the stub's own accesses to guest memory. */
static bool mend_fault(struct stub_ucontext *frame) {
    const char *to = NULL;
    if (within(frame->rip, atomic_start, atomic_end))
        to = stub_atomic_fault;
    else if (within(frame->rip, copy_start, copy_end))
        to = stub_copy_stop;
    else if (within(frame->rip, touch_start, touch_end))
        to = stub_touch_stop;
    if (to)
        frame->rip = (uint64_t)to;
    return to != NULL;
}

/* True if a kick is to wait until the patched call that it came in has come to its end. */
static bool postpone_kick(struct stub_slot *s, uint64_t rip) {
    if (within(rip, patched_back, patched_end)) {
        s->in_call = 0;
        return false;
    }
    if (!s->in_call || !within(rip, text_start, text_end))
        return false;
    s->kicked = 1;
    return true;
}

void stub_handler(int signo, const struct stub_siginfo *info, struct stub_ucontext *frame) {
    struct stub_slot *s =
        (struct stub_slot *)((uint64_t)__builtin_frame_address(0) & ~(uint64_t)(SLOT_SIZE - 1));
    if ((signo == STUB_SIGSEGV || signo == STUB_SIGBUS) && mend_fault(frame))
        return;
    if (signo == STUB_KICK && postpone_kick(s, frame->rip))
        return;
    if (signo == STUB_SIGSYS && answer_trap(s, info, frame))
        return;
    s->kind = (uint32_t)signo;
    s->code = info->code;
    s->arch = signo == STUB_SIGSYS ? info->arch : 0;
    s->address = info->address;
    s->frame = (uint64_t)frame;
    if (signo == STUB_SIGSYS)
        stub_bring(s, &frame->r8);
    save_bases(s);
    serve(s);
    load_bases(s);
}

static void serve_call(struct stub_slot *s, uint32_t kind) {
    s->kind = kind;
    save_bases(s);
    serve(s);
    load_bases(s);
}

void stub_patched_call(struct stub_slot *s) {
    if (answer(&s->answers, &s->regs[REG_RAX]))
        return;
    stub_bring(s, s->regs);
    serve_call(s, KIND_CALL);
}

void stub_patched_kick(struct stub_slot *s) {
    serve_call(s, KIND_KICK);
}

uint64_t stub_thread_start(struct stub_slot *s) {
    s->kind = 0;
    s->frame = (uint64_t)s + SLOT_FRAME;
    serve(s);
    load_bases(s);
    return s->frame;
}
