/* SPDX-License-Identifier: Apache-2.0
 * platform/ptrace/ptrace_internal.h: a guest thread under ptrace. The host thread that made the context is
 * its tracer, and the only one that ptrace lets touch it.
 */
#pragma once

#include "platform/stub/stub.h"

struct ptrace_context {
    struct stub_space *space; /* holds a reference */
    pid_t tid;
    /* written by the owner, read by whoever interrupts: */
    _Atomic uint32_t running;     /* inside context_switch() with the thread let go */
    _Atomic uint32_t interrupted; /* by anyone; the owner takes it back when a switch returns */
    /* owner's alone: */
    bool dead;  /* the thread is gone and reaped */
    bool oom;   /* ... and not by us */
    bool known; /* `last` is what the thread's registers are */
    struct guest_regs last;
    struct stub_pair pair;
};

static inline struct ptrace_context *ptrace_context_of(struct context *c) {
    return (struct ptrace_context *)c;
}

/* ptrace_context_host.c */
/* For stub_hooks. */
int ptrace_add_first_thread(struct stub_space *parent, struct stub_space *child) must_check;
int ptrace_context_create(struct address_space *as, struct context **ret_context) must_check;
void ptrace_context_destroy(struct context *context);
int ptrace_context_cpu_time(struct context *context, int64_t *ret_ns);
void ptrace_context_interrupt(struct context *context);
void ptrace_context_follow_cpu(struct context *context);
bool ptrace_context_await(struct context *context, const _Atomic uint32_t *word);

/* ptrace_switch_host.c */
void ptrace_context_switch(struct context *context, struct guest_regs *regs, bool step,
                           struct platform_event *ret_event);

/* ptrace_state_host.c */
ssize_t ptrace_context_get_fpu(struct context *context, void *buffer, size_t size);
int ptrace_context_set_fpu(struct context *context, const void *buffer, size_t size);
int ptrace_context_reset_fpu(struct context *context);
int ptrace_context_atomic32(struct context *context, enum as_atomic_op op, gva_t address, uint32_t operand,
                            uint32_t expected, uint32_t *ret_old);

/* Waits for the thread's next stop. False: it is gone, and c->dead is set. */
bool ptrace_await_stop(struct ptrace_context *c, int *ret_status) must_check;
/* ptrace(request) on a stopped thread. False: it is gone (killed meanwhile); the death is collected. */
bool ptrace_request(struct ptrace_context *c, int request, void *data) must_check;
/* A request failed with errno `error`: true if the thread was killed, which is then collected. */
bool ptrace_lost(struct ptrace_context *c, int error) must_check;
/* Makes every value one that the host accepts and that gains a guest nothing. */
void ptrace_sanitize(struct guest_regs *regs);
