/* SPDX-License-Identifier: Apache-2.0
 * platform/fake/fake_internal.h: the fake platform's objects.
 * Locks: fake_space.lock (RANK_AS); fake_platform.lock (RANK_LEAF).
 */
#pragma once

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/mutex.h"
#include "platform/fake/fake.h"

struct fake_entry {
    struct list link;
    gva_t rip;
    fake_code_fn *fn;
    void *arg;
};

struct fake_platform {
    struct platform base; /* first */
    struct mutex lock;    /* protects: */
    struct list entries;
    int fail_error;
    unsigned fail_count;
    gva_t next_place; /* where the next call "instruction" lies */
    _Atomic unsigned live;
};

struct fake_range {
    uint64_t start, end;
    char *memory; /* of `start`: private or shared host mapping */
    int prot;
    bool shared, dont_fork, wipe_on_fork;
};

struct fake_space {
    struct fake_platform *platform;
    _Atomic unsigned refs;
    _Atomic bool dead;
    struct mutex lock; /* protects: */
    struct list guests;
    struct fake_range *ranges; /* sorted, disjoint */
    size_t count, capacity;
};

/* Where a guest function stands in a call, so that the sentry can send it back there. */
struct fake_frame {
    gva_t rip;
    struct fake_frame *outer;
    jmp_buf *back;
};

struct fake_guest { /* the context */
    struct fake_space *space;
    struct list link; /* space->guests */
    pthread_t thread;
    _Atomic uint32_t turn; /* 0 sentry, 1 guest, 2 guest must end */
    _Atomic uint32_t interrupted;
    struct guest_regs regs;
    struct platform_event event;
    struct fake_frame *frames;
    jmp_buf end;
    char fpu[576];
};

static inline struct fake_space *fake_space_of(struct address_space *as) {
    return (struct fake_space *)as;
}
static inline struct fake_guest *fake_guest_of(struct context *c) {
    return (struct fake_guest *)c;
}

/* fake_space_host.c */
int fake_as_create(struct platform *p, struct address_space **ret_as) must_check;
int fake_as_fork(struct address_space *as, struct address_space **ret_as) must_check;
int fake_as_apply(struct address_space *as, const struct as_op *ops, size_t count,
                  size_t *ret_done) must_check;
ssize_t fake_as_copy_in(struct address_space *as, void *to, gva_t from, size_t size);
ssize_t fake_as_copy_out(struct address_space *as, gva_t to, const void *from, size_t size);
ssize_t fake_as_peek(struct address_space *as, void *to, gva_t from, size_t size);
ssize_t fake_as_poke(struct address_space *as, gva_t to, const void *from, size_t size);
int fake_as_usage(struct address_space *as, struct as_usage *ret);
void fake_as_kill(struct address_space *as);
void fake_as_unref(struct address_space *as);
/* Copies with the guest's protections; stops at the first address that has none, *ret_fault. Returns bytes.
 */
size_t fake_access(struct fake_space *s, gva_t at, void *buffer, size_t size, int prot, gva_t *ret_fault);
int fake_atomic(struct fake_space *s, enum as_atomic_op op, gva_t at, uint32_t operand, uint32_t expected,
                uint32_t *ret_old);

/* fake_context_host.c */
int fake_context_create(struct address_space *as, struct context **ret_context) must_check;
void fake_context_destroy(struct context *context);
void fake_context_switch(struct context *context, struct guest_regs *regs, bool step,
                         struct platform_event *ret_event);
void fake_context_interrupt(struct context *context);
ssize_t fake_context_get_fpu(struct context *context, void *buffer, size_t size);
int fake_context_set_fpu(struct context *context, const void *buffer, size_t size);
int fake_context_reset_fpu(struct context *context);
int fake_context_atomic32(struct context *context, enum as_atomic_op op, gva_t address, uint32_t operand,
                          uint32_t expected, uint32_t *ret_old);

/* fake_platform.c: the injected error, or 0. */
int fake_take_failure(struct fake_platform *p);
/* The function at an address. */
bool fake_find(struct fake_platform *p, gva_t rip, struct fake_entry *ret);
gva_t fake_new_place(struct fake_platform *p);
