/* SPDX-License-Identifier: Apache-2.0
 * platform/systrap/systrap_internal.h: a guest thread that traps by seccomp and signals into the stub's
 * handler.
 */
#pragma once

#include "platform/stub/stub.h"

/* Operands of the call at hand: checked copies of what the slot says. */
struct systrap_operands {
    uint32_t in_count, out_count, given_count;
    uint32_t used; /* bytes of the results' half of the slot's data */
    struct stub_operand in[OPERANDS_IN], out[OPERANDS_OUT], given[OPERANDS_GIVEN];
};

/* The owner's: systrap_spin_host.c */
struct systrap_spin {
    int cpu; /* index of the cpu on which the sentry thread spins; -1: it is where the guest thread is */
    uint32_t streak, need;   /* short calls, less the long ones; and how many it takes to go apart */
    uint32_t paid;           /* calls that spinning has served */
    uint32_t wakes;          /* ... and those for which the guest thread had to be woken */
    uint64_t credit;         /* cycles */
    uint64_t resumed, limit; /* tsc, and for how long to spin */
};

struct systrap_context {
    struct stub_space *space; /* holds a reference */
    struct stub_slot *slot;   /* shared with the stub: hostile */
    uint32_t number;          /* of the slot */
    uint32_t frame; /* offset in the slot of the saved frame that the thread will return to; checked */
    pid_t tid;
    struct stub_waiter waiter;
    struct list parked_link; /* space->parked, when it is nobody's; then it holds no reference */
    /* written by the owner, read by whoever interrupts: */
    _Atomic uint32_t running;     /* inside context_switch() with the thread let go */
    _Atomic uint32_t interrupted; /* by anyone; the owner takes it back when a switch returns */
    /* owner's alone: */
    uint64_t back; /* then: where in trampoline or guest code it goes on; as the slot says */
    bool in_call;  /* stopped in a patched call: its registers are in slot->regs, and there is no frame */
    bool ready;    /* the thread has come to us and is stopped */
    bool answers;  /* the thread answers some calls by itself */
    bool dead;     /* it is gone, or no longer believed */
    struct stub_pair pair;
    struct systrap_operands operands;
    struct systrap_spin spin;
};

static inline struct systrap_context *systrap_context_of(struct context *c) {
    return (struct systrap_context *)c;
}

/* The saved frame, of which each word is read once and checked. */
static inline struct stub_ucontext *systrap_frame(const struct systrap_context *c) {
    return (struct stub_ucontext *)((char *)c->slot + c->frame);
}
static inline uint64_t systrap_slot_address(const struct systrap_context *c) {
    return STUB_BASE + (uint64_t)c->number * SLOT_SIZE;
}

/* systrap_context_host.c */
int systrap_context_create(struct address_space *as, struct context **ret_context) must_check;
void systrap_context_destroy(struct context *context);
int systrap_context_cpu_time(struct context *context, int64_t *ret_ns);
void systrap_context_interrupt(struct context *context);
void systrap_context_follow_cpu(struct context *context);
bool systrap_context_await(struct context *context, const _Atomic uint32_t *word);
int systrap_context_atomic32(struct context *context, enum as_atomic_op op, gva_t address, uint32_t operand,
                             uint32_t expected, uint32_t *ret_old);
/* Adds the clone of the first guest thread to the space's first batch. */
int systrap_add_first_thread(struct stub_space *s) must_check REQUIRES(&s->lock);
/* Frees the contexts that are parked in a space whose process is gone. */
void systrap_free_parked(struct stub_space *s);
/* Lets the thread go with a request. */
void systrap_resume(struct systrap_context *c, uint32_t request);
/* Waits until it has come back. False: it is gone, or will not come: c->dead is set and its stub killed. */
bool systrap_await(struct systrap_context *c) must_check;
bool systrap_await_answer(struct systrap_context *c) must_check; /* of a thread that runs no guest code */
/* The thread is stopped and c->frame right, as before any operation. False as above. */
bool systrap_ready(struct systrap_context *c) must_check;
/* Reads where the thread has put its frame. False: nowhere that it could be; the stub is killed. */
bool systrap_take_frame(struct systrap_context *c) must_check;

/* systrap_switch.c */
/* Has the thread put all of its state into a frame, if it is stopped in a patched call. False: it is gone. */
bool systrap_need_frame(struct systrap_context *c) must_check;
void systrap_context_switch(struct context *context, struct guest_regs *regs, bool step,
                            struct platform_event *ret_event);

/* systrap_spin_host.c; own thread */
void systrap_spin_init(struct systrap_context *c);
void systrap_spin_begin(struct systrap_context *c); /* the thread is about to be let go, to run guest code */
bool systrap_spin_await(struct systrap_context *c); /* it has come back; false: sleep until it does */
void systrap_spin_end(struct systrap_context *c);   /* it has come back */
void systrap_spin_wait_in_sentry(struct systrap_context *c); /* the task is about to sleep */
void systrap_spin_leave(struct systrap_context *c);

/* systrap_operands.c */
void systrap_take_operands(struct systrap_context *c); /* with a call */
void systrap_forget_operands(struct systrap_context *c);
/* What the thread could not put in place: by the sentry. False: not all of it can be. */
bool systrap_put_given(struct systrap_context *c) must_check;
size_t systrap_context_take(struct context *context, void *to, gva_t from, size_t size);
size_t systrap_context_give(struct context *context, gva_t to, const void *from, size_t size);
void systrap_context_settle(struct context *context, bool waits);
void systrap_context_answers(struct context *context, const struct platform_answers *answers);

/* systrap_fpu.c */
ssize_t systrap_context_get_fpu(struct context *context, void *buffer, size_t size);
int systrap_context_set_fpu(struct context *context, const void *buffer, size_t size);
int systrap_context_reset_fpu(struct context *context);
