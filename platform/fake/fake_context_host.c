/* SPDX-License-Identifier: Apache-2.0
 * platform/fake/fake_context_host.c: guest functions as coroutines. `turn` says which of the two threads
 * runs; the other sleeps on it.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/fake/fake_internal.h"

enum { TURN_SENTRY, TURN_GUEST, TURN_END };

static void set_turn(struct fake_guest *g, uint32_t turn) {
    atomic_store(&g->turn, turn);
    syscall(SYS_futex, &g->turn, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void wait_while(struct fake_guest *g, uint32_t turn) {
    while (atomic_load(&g->turn) == turn)
        syscall(SYS_futex, &g->turn, FUTEX_WAIT_PRIVATE, turn, NULL, NULL, 0);
}

/* ---- the guest's side ---- */

/* Hands the event over and sleeps until the sentry resumes this guest. */
static void raise_event(struct fake_guest *g, struct platform_event event) {
    g->event = event;
    set_turn(g, TURN_SENTRY);
    wait_while(g, TURN_SENTRY);
    if (atomic_load(&g->turn) == TURN_END)
        longjmp(g->end, 1);
}

static void segv_at(struct fake_guest *g, gva_t address, int code) {
    g->regs.orig_rax = ~0ull;
    raise_event(
        g,
        (struct platform_event){
            .kind = EVENT_FAULT, .signo = SIGSEGV, .code = code, .address = address, .trap = 14, .error = 4});
}

/* Goes where regs.rip says: returns if that is `here`, else runs what lies there, or leaves for an outer
 * call. */
static void follow_rip(struct fake_guest *g, gva_t here) {
    while (g->regs.rip != here) {
        struct fake_entry e;
        for (struct fake_frame *f = g->frames; f; f = f->outer)
            if (f->rip == g->regs.rip) {
                g->frames = f;
                longjmp(*f->back, 1);
            }
        if (!fake_find(g->space->platform, g->regs.rip, &e)) {
            segv_at(g, g->regs.rip, SEGV_MAPERR);
            continue;
        }
        gva_t at = g->regs.rip;
        e.fn(g, e.arg);
        g->regs.rip = at;
        g->regs.orig_rax = ~0ull; /* it has returned to nowhere */
        raise_event(g,
                    (struct platform_event){
                        .kind = EVENT_FAULT, .signo = SIGILL, .code = ILL_ILLOPN, .address = at, .trap = 6});
    }
}

static uint64_t call_at(struct fake_guest *g, gva_t place, uint64_t number, const uint64_t args[6]) {
    jmp_buf back;
    struct fake_frame frame = {.rip = place + 2, .outer = g->frames, .back = &back};
    g->regs.orig_rax = number;
    g->regs.rax = (uint64_t)-ENOSYS;
    g->regs.rdi = args[0];
    g->regs.rsi = args[1];
    g->regs.rdx = args[2];
    g->regs.r10 = args[3];
    g->regs.r8 = args[4];
    g->regs.r9 = args[5];
    g->regs.rip = g->regs.rcx = place + 2;
    g->regs.r11 = g->regs.rflags;
    g->frames = &frame;
    if (setjmp(back) == 0) {
        raise_event(g, (struct platform_event){.kind = EVENT_SYSCALL});
        while (g->regs.rip == place) { /* the sentry restarts the call */
            g->regs.orig_rax = g->regs.rax;
            g->regs.rip = place + 2;
            raise_event(g, (struct platform_event){.kind = EVENT_SYSCALL});
        }
        follow_rip(g, place + 2);
    }
    g->frames = frame.outer;
    return g->regs.rax;
}

uint64_t fake_call(struct fake_guest *g, uint64_t number, const uint64_t args[6]) {
    return call_at(g, fake_new_place(g->space->platform), number, args);
}

uint64_t fake_call_forking(struct fake_guest *g, uint64_t number, const uint64_t args[6], fake_code_fn *child,
                           void *arg) {
    gva_t place = fake_new_place(g->space->platform);
    fake_at(&g->space->platform->base, place + 2, child, arg);
    return call_at(g, place, number, args);
}

static void touch(struct fake_guest *g, gva_t at, void *buffer, size_t size, int prot) {
    gva_t here = g->regs.rip, fault;
    jmp_buf back;
    struct fake_frame frame = {.rip = here, .outer = g->frames, .back = &back};
    volatile size_t done = 0;
    g->frames = &frame;
    (void)setjmp(back);
    for (;;) {
        done += fake_access(g->space, at + done, (char *)buffer + done, size - done, prot, &fault);
        if (done == size)
            break;
        segv_at(g, fault, SEGV_MAPERR);
        follow_rip(g, here);
    }
    g->frames = frame.outer;
}

void fake_load(struct fake_guest *g, void *to, gva_t from, size_t size) {
    touch(g, from, to, size, PROT_READ);
}

void fake_store(struct fake_guest *g, gva_t to, const void *from, size_t size) {
    touch(g, to, (void *)from, size, PROT_WRITE);
}

/* Raises and comes back when the sentry resumes here, directly or by way of a handler. */
static void raise_here(struct fake_guest *g, struct platform_event event) {
    gva_t here = g->regs.rip;
    jmp_buf back;
    struct fake_frame frame = {.rip = here, .outer = g->frames, .back = &back};
    g->frames = &frame;
    if (setjmp(back) == 0) {
        g->regs.orig_rax = ~0ull;
        raise_event(g, event);
        follow_rip(g, here);
    }
    g->frames = frame.outer;
}

void fake_fault(struct fake_guest *g, int signo, int code, gva_t address) {
    raise_here(
        g, (struct platform_event){.kind = EVENT_FAULT, .signo = signo, .code = code, .address = address});
}

void fake_spin(struct fake_guest *g, const _Atomic uint32_t *until) {
    while (!until || !atomic_load(until)) {
        if (!atomic_exchange(&g->interrupted, 0) && !atomic_load(&g->space->dead))
            syscall(SYS_futex, &g->interrupted, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
        else
            raise_here(g, (struct platform_event){.kind = EVENT_INTERRUPT});
    }
}

struct guest_regs *fake_regs(struct fake_guest *g) {
    return &g->regs;
}

static void *guest_main(void *arg) {
    struct fake_guest *g = arg;
    if (setjmp(g->end) == 0) {
        wait_while(g, TURN_SENTRY);
        if (atomic_load(&g->turn) == TURN_GUEST)
            follow_rip(g, 0);
    }
    return NULL;
}

/* ---- the sentry's side ---- */

int fake_context_create(struct address_space *as, struct context **ret_context) {
    struct fake_space *s = fake_space_of(as);
    int error = atomic_load(&s->dead) ? -ESRCH : fake_take_failure(s->platform);
    if (error)
        return error;
    struct fake_guest *g = calloc(1, sizeof(*g));
    if (!g)
        return -ENOMEM;
    g->space = s;
    (void)fake_context_reset_fpu((struct context *)g);
    if (pthread_create(&g->thread, NULL, guest_main, g)) {
        free(g);
        return -EAGAIN;
    }
    atomic_fetch_add(&s->refs, 1);
    atomic_fetch_add(&s->platform->live, 1);
    mutex_lock(&s->lock);
    list_add(&s->guests, &g->link);
    mutex_unlock(&s->lock);
    *ret_context = (struct context *)g;
    return 0;
}

void fake_context_destroy(struct context *context) {
    struct fake_guest *g = fake_guest_of(context);
    if (!g)
        return;
    set_turn(g, TURN_END);
    pthread_join(g->thread, NULL);
    mutex_lock(&g->space->lock);
    list_del(&g->link);
    mutex_unlock(&g->space->lock);
    atomic_fetch_sub(&g->space->platform->live, 1);
    fake_as_unref((struct address_space *)g->space);
    free(g);
}

void fake_context_switch(struct context *context, struct guest_regs *regs, bool step,
                         struct platform_event *ret_event) {
    struct fake_guest *g = fake_guest_of(context);
    might_block();
    *ret_event = (struct platform_event){.kind = EVENT_DEAD};
    if (atomic_load(&g->space->dead))
        return;
    if (step || atomic_exchange(&g->interrupted,
                                0)) { /* an "instruction" of a C function cannot be told from the next */
        ret_event->kind = step ? EVENT_STEP : EVENT_INTERRUPT;
        return;
    }
    g->regs = *regs;
    set_turn(g, TURN_GUEST);
    wait_while(g, TURN_GUEST);
    *regs = g->regs;
    *ret_event = g->event;
    if (atomic_load(&g->space->dead))
        *ret_event = (struct platform_event){.kind = EVENT_DEAD};
}

void fake_context_interrupt(struct context *context) {
    struct fake_guest *g = fake_guest_of(context);
    atomic_store(&g->interrupted, 1);
    syscall(SYS_futex, &g->interrupted, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

ssize_t fake_context_get_fpu(struct context *context, void *buffer, size_t size) {
    struct fake_guest *g = fake_guest_of(context);
    memcpy(buffer, g->fpu, MIN(size, sizeof(g->fpu)));
    return (ssize_t)MIN(size, sizeof(g->fpu));
}

int fake_context_set_fpu(struct context *context, const void *buffer, size_t size) {
    struct fake_guest *g = fake_guest_of(context);
    static const char zero[48];
    if (size != sizeof(g->fpu) || memcmp((const char *)buffer + 528, zero, sizeof(zero)))
        return -EINVAL;
    memcpy(g->fpu, buffer, size);
    return 0;
}

int fake_context_reset_fpu(struct context *context) {
    struct fake_guest *g = fake_guest_of(context);
    uint16_t control = 0x37f;
    uint32_t mxcsr = 0x1f80;
    memset(g->fpu, 0, sizeof(g->fpu));
    memcpy(g->fpu, &control, sizeof(control));
    memcpy(g->fpu + 24, &mxcsr, sizeof(mxcsr));
    return 0;
}

int fake_context_atomic32(struct context *context, enum as_atomic_op op, gva_t address, uint32_t operand,
                          uint32_t expected, uint32_t *ret_old) {
    struct fake_space *s = fake_guest_of(context)->space;
    return atomic_load(&s->dead) ? -ESRCH : fake_atomic(s, op, address, operand, expected, ret_old);
}
