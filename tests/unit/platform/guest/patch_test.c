/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/guest/patch_test.c: hot call sites. On systrap they are patched (systrap_patch_host.c);
 * what the sentry sees must be the same as on every platform.
 */
#include "tests/unit/platform/guest/guest.h"

enum { ENOUGH = 200 };

static bool is_patched(struct guest *g, uint64_t site) {
    unsigned char code[7] = {0};
    ASSERT_EQ(g->ops->as_copy_in(g->as, code, site, 7), 7);
    return code[0] == 0xff && code[1] == 0x24 && code[2] == 0x25;
}

static bool systrap(const struct guest *g) {
    return strcmp(g->ops->name, "systrap") == 0;
}

/* guest_hot: the site is at its start; rbx counts the calls. */
static void make_hot(struct guest *g) {
    guest_enter(g, GUEST(guest_hot));
    for (int i = 1; i <= ENOUGH; i++) {
        guest_expect_call(g, 102);
        ASSERT_EQ(g->regs.rip, GUEST(guest_hot_after));
        ASSERT_EQ(g->regs.rcx, g->regs.rip);
        ASSERT_EQ(g->regs.r11, g->regs.rflags);
        ASSERT_EQ(g->regs.rsp, STACK_TOP - 16);
        ASSERT_EQ(g->regs.rbx, i - 1);
        ASSERT_EQ(g->regs.gs_base, 0);
        g->regs.rax = (uint64_t)i;
    }
    ASSERT_EQ(is_patched(g, GUEST(guest_hot)), systrap(g));
}

TEST(hot_sites_look_the_same) {
    struct guest g;
    guest_start(&g);
    make_hot(&g);
    guest_end(&g);
}

TEST(all_registers_and_flags_pass_through_a_hot_site) {
    struct guest g;
    guest_start(&g);
    make_hot(&g);
    for (int round = 0; round < 50; round++) {
        guest_enter(&g, GUEST(guest_hot));
        uint64_t *all = &g.regs.r15;
        for (int i = 0; i < 15; i++)
            all[i] = 0x1122334455667788ull * (unsigned)(i + round + 1);
        g.regs.rflags =
            round & 1 ? 0xad7 : 0x202; /* carry, parity, adjust, zero, sign, direction?, overflow */
        struct guest_regs before = g.regs;
        guest_expect_call(&g, 102);
        ASSERT_MEMEQ(&g.regs, &before, offsetof(struct guest_regs, r11));
        ASSERT_EQ(g.regs.r10, before.r10);
        ASSERT_EQ(g.regs.r9, before.r9);
        ASSERT_EQ(g.regs.r8, before.r8);
        ASSERT_EQ(g.regs.rdx, before.rdx);
        ASSERT_EQ(g.regs.rsi, before.rsi);
        ASSERT_EQ(g.regs.rdi, before.rdi);
        ASSERT_EQ(g.regs.rsp, before.rsp);
        ASSERT_EQ(g.regs.rflags & 0xcd5, before.rflags & 0xcd5);
        g.regs.rax = 7;
        before = g.regs;
        guest_expect_call(&g, 102); /* rax -> rbx, then again */
        ASSERT_EQ(g.regs.rbx, 7);
        ASSERT_EQ(g.regs.r15, before.r15);
        ASSERT_EQ(g.regs.rflags & 0xcd5, before.rflags & 0xcd5);
    }
    guest_end(&g);
}

/* What only a full frame can bring about: other segment bases, registers that `syscall` would have changed, a
 * step. */
TEST(every_kind_of_resumption_from_a_hot_site) {
    struct guest g;
    guest_start(&g);
    make_hot(&g);
    g.regs.fs_base = DATA_ADDRESS + 0x100;
    guest_expect_call(&g, 102);
    ASSERT_EQ(g.regs.fs_base, DATA_ADDRESS + 0x100);
    g.regs.rcx = 0x1234; /* as rt_sigreturn may */
    g.regs.r11 = 0x5678;
    g.regs.rip = GUEST(guest_step);
    guest_expect_call(&g, 60);
    guest_enter(&g, GUEST(guest_hot));
    guest_expect_call(&g, 102);
    guest_step_once(&g); /* the instruction behind */
    ASSERT_EQ(g.event.kind, EVENT_STEP);
    ASSERT_EQ(g.regs.rip, GUEST(guest_hot_after) + 3);
    g.regs.rip = GUEST(guest_hot);
    for (int steps = 0; g.event.kind == EVENT_STEP; steps++) {
        guest_step_once(&g); /* through the site: one step or two, then the call */
        ASSERT_LT(steps, 2);
    }
    ASSERT_EQ(g.event.kind, EVENT_SYSCALL);
    ASSERT_EQ(g.regs.orig_rax, 102);
    ASSERT_EQ(g.regs.rip, GUEST(guest_hot_after));
    guest_expect_call(&g, 102);
    guest_end(&g);
}

/* The old `syscall` alone: a jump to it, and a call that the sentry restarts. */
TEST(the_middle_of_a_hot_site) {
    struct guest g;
    guest_start(&g);
    make_hot(&g);
    guest_enter(&g, GUEST(guest_hot) + 5);
    g.regs.rax = 77;
    guest_expect_call(&g, 77);
    ASSERT_EQ(g.regs.rip, GUEST(guest_hot_after));
    g.regs.rip -= 2;
    g.regs.rax = 102;
    guest_expect_call(&g, 102);
    ASSERT_EQ(g.regs.rip, GUEST(guest_hot_after));
    guest_expect_call(&g, 102);
    guest_end(&g);
}

TEST(the_guests_own_gs_base_at_a_hot_site) {
    struct guest g;
    guest_start(&g);
    make_hot(&g);
    static const uint64_t bases[] = {DATA_ADDRESS, 0x123456789000, 0x10, 0x7ffe00000000};
    for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
        g.regs.gs_base = bases[i];
        for (int n = 0; n < 5; n++) {
            guest_expect_call(&g, 102);
            ASSERT_EQ(g.regs.gs_base, bases[i]);
            ASSERT_EQ(g.regs.rip, GUEST(guest_hot_after));
        }
    }
    g.regs.gs_base = 0;
    guest_expect_call(&g, 102);
    ASSERT_EQ(g.regs.gs_base, 0);
    guest_end(&g);
}

TEST(forked_children_keep_their_hot_sites) {
    struct guest g;
    guest_start(&g);
    make_hot(&g);
    struct guest child = g;
    ASSERT_EQ(g.ops->as_fork(g.as, &child.as), 0);
    ASSERT_EQ(g.ops->context_create(child.as, &child.context), 0);
    child.regs.rax = 0;
    g.ops->context_destroy(g.context); /* the parent ends first */
    g.ops->as_unref(g.as);
    for (int i = 0; i < 50; i++) {
        guest_expect_call(&child, 102);
        ASSERT_EQ(child.regs.rip, GUEST(guest_hot_after));
    }
    guest_enter(&child, GUEST(guest_getpid)); /* and make new ones */
    for (int i = 0; i < 50; i++)
        guest_expect_call(&child, 39);
    guest_end(&child);
}

TEST(fpu_state_at_a_hot_site) {
    struct guest g;
    guest_start(&g);
    make_hot(&g);
    size_t size = g.platform->fpu_size;
    unsigned char *one = calloc(1, size), *two = calloc(1, size);
    ssize_t n = g.ops->context_get_fpu(g.context, one, size);
    ASSERT_GE(n, 576);
    for (int i = 160; i < 416; i++)
        one[i] = (unsigned char)i;
    one[512] |= 3;
    ASSERT_EQ(g.ops->context_set_fpu(g.context, one, (size_t)n), 0);
    for (int i = 0; i < 10; i++)
        guest_expect_call(&g, 102);
    ASSERT_EQ(g.ops->context_get_fpu(g.context, two, size), n);
    ASSERT_MEMEQ(one + 160, two + 160, 256);
    ASSERT_EQ(g.ops->context_reset_fpu(g.context), 0);
    guest_expect_call(&g, 102);
    ASSERT_EQ(g.ops->context_get_fpu(g.context, two, size), n);
    ASSERT_EQ(two[200], 0);
    uint32_t old;
    guest_expect_call(&g, 102);
    ASSERT_EQ(g.ops->context_atomic32(g.context, ATOMIC_ADD, DATA_ADDRESS, 1, 0, &old), 0);
    guest_expect_call(&g, 102);
    free(one);
    free(two);
    guest_end(&g);
}

/* A debugger sees the program's own code, and a breakpoint on a hot site works and can be taken away. */
TEST(breakpoints_on_a_hot_site) {
    static const unsigned char code[7] = {0xb8, 102, 0, 0, 0, 0x0f, 0x05};
    struct guest g;
    unsigned char seen[16], int3 = 0xcc;
    guest_start(&g);
    make_hot(&g);
    uint64_t site = GUEST(guest_hot);
    ASSERT_EQ(g.ops->as_peek(g.as, seen, site - 3, 16), 16);
    ASSERT_MEMEQ(seen + 3, code, 7);
    ASSERT_EQ(g.ops->as_peek(g.as, seen, site + 4, 2), 2);
    ASSERT_MEMEQ(seen, code + 4, 2);
    ASSERT_EQ(g.ops->as_poke(g.as, site, &int3, 1), 1);
    ASSERT_EQ(g.ops->as_peek(g.as, seen, site, 7), 7);
    ASSERT_EQ(seen[0], 0xcc);
    ASSERT_MEMEQ(seen + 1, code + 1, 6);
    g.regs.rip = site;
    guest_run(&g);
    ASSERT_EQ(g.event.kind, EVENT_FAULT);
    ASSERT_EQ(g.event.signo, SIGTRAP);
    ASSERT_EQ(g.regs.rip, site + 1);
    ASSERT_EQ(g.ops->as_poke(g.as, site, code, 1), 1);
    g.regs.rip = site;
    for (int i = 0; i < ENOUGH; i++)
        guest_expect_call(&g, 102);
    ASSERT_EQ(is_patched(&g, site), false);
    guest_end(&g);
}

/* ---- races ---- */

struct caller {
    struct guest g;
    pthread_t thread;
    _Atomic int failed, ready, may_end;
    int calls;
};

static void *call_on(void *arg) {
    struct caller *c = arg;
    struct guest *g = &c->g;
    c->failed = 1;
    int r = g->ops->context_create(g->as, &g->context);
    c->ready = 1;
    if (r)
        return NULL;
    guest_enter(g, GUEST(guest_hot));
    g->regs.rax = 0;
    for (int calls = 0; calls < c->calls;) {
        guest_run(g);
        if (g->event.kind == EVENT_INTERRUPT) {
            if (g->regs.rip < CODE_ADDRESS || g->regs.rip > CODE_ADDRESS + 0x1000)
                return NULL; /* seen in the middle of things */
            continue;
        }
        if (g->event.kind != EVENT_SYSCALL || g->regs.orig_rax != 102 ||
            g->regs.rip != GUEST(guest_hot_after) || (calls && g->regs.rbx != (uint64_t)calls))
            return NULL;
        g->regs.rax = (uint64_t)++calls;
    }
    c->failed = 0;
    while (!c->may_end)
        usleep(1000);
    g->ops->context_destroy(g->context);
    return NULL;
}

/* Threads run through a site while it is patched, and are interrupted at every place of it. */
TEST_TIMEOUT(threads_race_through_a_site_that_becomes_hot, 120) {
    enum { COUNT = 4, ROUNDS = 10 };
    for (int round = 0; round < ROUNDS; round++) {
        struct guest g;
        static struct caller c[COUNT];
        guest_start(&g);
        memset(c, 0, sizeof(c));
        for (int i = 0; i < COUNT; i++) {
            c[i].g = g;
            c[i].calls = 3000;
            ASSERT_EQ(pthread_create(&c[i].thread, NULL, call_on, &c[i]), 0);
        }
        for (int i = 0; i < COUNT; i++)
            while (!c[i].ready)
                usleep(100);
        for (int n = 0; n < 400; n++) {
            usleep(50);
            if (c[n % COUNT].g.context)
                g.ops->context_interrupt(c[n % COUNT].g.context);
        }
        for (int i = 0; i < COUNT; i++)
            c[i].may_end = 1;
        for (int i = 0; i < COUNT; i++) {
            pthread_join(c[i].thread, NULL);
            ASSERT_EQ(c[i].failed, 0);
        }
        guest_end(&g);
    }
}
