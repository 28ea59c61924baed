/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/guest/wrapped_test.c: hot call sites of the pattern `syscall; cmp $imm32, %rax`, whose
 * comparison moves away when they are patched (systrap_patch_host.c). What the sentry sees must be the same
 * as on every platform.
 */
#include "tests/unit/platform/guest/guest.h"

enum { ENOUGH = 200, CALL = 102, CARRY = 1 };
static const unsigned char g_code[8] = {0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff};

static bool is_patched(struct guest *g, uint64_t site) {
    unsigned char code[8] = {0};
    ASSERT_EQ(g->ops->as_copy_in(g->as, code, site, 8), 8);
    return memcmp(code, g_code, 8) != 0;
}

static bool systrap(const struct guest *g) {
    return strcmp(g->ops->name, "systrap") == 0;
}

static void expect_it(struct guest *g) {
    guest_expect_call(g, CALL);
    ASSERT_EQ(g->regs.rip, GUEST(guest_wrapped_after));
    ASSERT_EQ(g->regs.rcx, g->regs.rip);
    ASSERT_EQ(g->regs.r11, g->regs.rflags);
}

/* Calls whose results, good and bad, arrive where the comparison sends them. */
static void call_often(struct guest *g, int times) {
    for (int i = 1; i <= times; i++) {
        struct guest_regs before = g->regs;
        bool bad = i % 3 == 0;
        g->regs.rax = bad ? (uint64_t) - (i % 4096) : (uint64_t)i;
        expect_it(g);
        ASSERT_EQ(bad ? g->regs.rbp : g->regs.rbx, bad ? (uint64_t) - (i % 4096) : (uint64_t)i);
        ASSERT_EQ(bad ? g->regs.rbx : g->regs.rbp, bad ? before.rbx : before.rbp);
        ASSERT_EQ(g->regs.r15, before.r15);
        ASSERT_EQ(g->regs.rdi, before.rdi);
        ASSERT_EQ(g->regs.rsp, before.rsp);
        ASSERT_EQ(g->regs.rflags & CARRY, bad ? 0 : CARRY);
    }
}

static void make_hot(struct guest *g) {
    guest_enter(g, GUEST(guest_wrapped));
    expect_it(g);
    call_often(g, ENOUGH);
    ASSERT_EQ(is_patched(g, GUEST(guest_wrapped_site)), systrap(g));
}

TEST(wrapped_sites_look_the_same) {
    struct guest g;
    guest_start(&g);
    make_hot(&g);
    for (int i = 0; i < 20; i++) { /* any number */
        guest_enter(&g, GUEST(guest_wrapped_site));
        g.regs.rax = (uint64_t)i;
        guest_expect_call(&g, (uint64_t)i);
        ASSERT_EQ(g.regs.rip, GUEST(guest_wrapped_after));
    }
    guest_end(&g);
}

TEST(every_kind_of_resumption_from_a_wrapped_site) {
    struct guest g;
    guest_start(&g);
    make_hot(&g);
    g.regs.fs_base = DATA_ADDRESS + 0x100;
    expect_it(&g);
    ASSERT_EQ(g.regs.fs_base, DATA_ADDRESS + 0x100);
    /* restarted */
    g.regs.rip -= 2;
    g.regs.rax = CALL;
    expect_it(&g);
    /* a signal handler, and back: with registers that no call leaves */
    struct guest_regs saved = g.regs;
    g.regs.rip = GUEST(guest_getpid);
    guest_expect_call(&g, 39);
    g.regs = saved;
    g.regs.rax = (uint64_t)-5;
    g.regs.rcx = 0x1234;
    g.regs.rbp = 0;
    expect_it(&g);
    ASSERT_EQ(g.regs.rbp, (uint64_t)-5);
    /* one that arrives while another site's call is under way */
    guest_enter(&g, GUEST(guest_hot));
    for (int i = 0; i < ENOUGH; i++)
        guest_expect_call(&g, CALL);
    g.regs = saved;
    g.regs.rax = 99;
    expect_it(&g);
    ASSERT_EQ(g.regs.rbx, 99);
    guest_end(&g);
}

TEST(steps_through_a_wrapped_site) {
    struct guest g;
    guest_start(&g);
    make_hot(&g);
    for (int round = 0; round < 3; round++) {
        guest_enter(&g, GUEST(guest_wrapped_site));
        g.regs.rax = CALL;
        guest_step_once(&g);
        for (int steps = 0; g.event.kind == EVENT_STEP && steps < 3; steps++)
            guest_step_once(&g);
        ASSERT_EQ(g.event.kind, EVENT_SYSCALL);
        ASSERT_EQ(g.regs.orig_rax, CALL);
        ASSERT_EQ(g.regs.rip, GUEST(guest_wrapped_after));
        g.regs.rax = round == 1 ? (uint64_t)-1 : 5;
        guest_step_once(&g); /* the comparison */
        ASSERT_EQ(g.event.kind, EVENT_STEP);
        ASSERT_EQ(g.regs.rip, GUEST(guest_wrapped_behind));
        ASSERT_EQ(g.regs.rflags & CARRY, round == 1 ? 0 : CARRY);
        guest_step_once(&g);
        ASSERT_EQ(g.event.kind, EVENT_STEP);
        ASSERT_TRUE(g.regs.rip > GUEST(guest_wrapped_behind));
        expect_it(&g);
    }
    guest_end(&g);
}

TEST(children_of_a_wrapped_site) {
    struct guest g;
    guest_start(&g);
    make_hot(&g);
    struct guest child = g, thread = g;
    ASSERT_EQ(g.ops->as_fork(g.as, &child.as), 0);
    ASSERT_EQ(g.ops->context_create(child.as, &child.context), 0);
    ASSERT_EQ(g.ops->context_create(g.as, &thread.context), 0);
    call_often(&child, 50); /* both begin where their parent is in its call */
    call_often(&thread, 50);
    call_often(&g, 50);
    g.ops->context_destroy(thread.context);
    g.ops->context_destroy(g.context);
    g.ops->as_unref(g.as);
    call_often(&child, 50);
    guest_end(&child);
}

TEST(debuggers_at_a_wrapped_site) {
    struct guest g;
    unsigned char seen[16], int3 = 0xcc;
    guest_start(&g);
    make_hot(&g);
    uint64_t site = GUEST(guest_wrapped_site);
    ASSERT_EQ(g.ops->as_peek(g.as, seen, site - 3, 16), 16);
    ASSERT_MEMEQ(seen + 3, g_code, 8);
    ASSERT_EQ(g.ops->as_poke(g.as, site + 2, &int3, 1), 1);
    g.regs.rax =
        1; /* in a call made before that: the comparison that it goes back to is the moved one, or this */
    guest_run(&g);
    if (g.event.kind == EVENT_SYSCALL)
        guest_run(&g);
    ASSERT_EQ(g.event.kind, EVENT_FAULT);
    ASSERT_EQ(g.event.signo, SIGTRAP);
    ASSERT_EQ(g.regs.rip, site + 3);
    ASSERT_EQ(g.ops->as_poke(g.as, site + 2, g_code + 2, 1), 1);
    g.regs.rip = site + 2;
    expect_it(&g);
    call_often(&g, ENOUGH);
    ASSERT_EQ(is_patched(&g, site), false);
    guest_end(&g);
}

/* Other code in place of a patched site's, and a thread that goes on there. */
TEST(memory_of_a_wrapped_site_that_is_replaced) {
    struct guest g;
    guest_start(&g);
    make_hot(&g);
    struct guest_regs saved = g.regs;
    guest_apply(&g, (struct as_op){.kind = AS_UNMAP, .addr = CODE_ADDRESS, .len = 0x1000});
    guest_map(&g, CODE_ADDRESS, 0x1000, PROT_READ | PROT_WRITE);
    ASSERT_EQ(g.ops->as_copy_out(g.as, CODE_ADDRESS, guest_code, (size_t)(guest_code_end - guest_code)),
              guest_code_end - guest_code);
    unsigned char nops[6] = {0x90, 0x90, 0x90, 0x90, 0x90, 0xcc};
    ASSERT_EQ(g.ops->as_copy_out(g.as, GUEST(guest_wrapped_after), nops, 6), 6);
    guest_apply(&g,
                (struct as_op){
                    .kind = AS_PROTECT, .addr = CODE_ADDRESS, .len = 0x1000, .prot = PROT_READ | PROT_EXEC});
    guest_enter(&g, GUEST(guest_getpid));
    guest_expect_call(&g, 39);
    g.regs = saved;
    guest_run(&g);
    ASSERT_EQ(g.event.kind, EVENT_FAULT);
    ASSERT_EQ(g.event.signo, SIGTRAP);
    ASSERT_EQ(g.regs.rip, GUEST(guest_wrapped_behind));
    guest_end(&g);
}

TEST(sites_that_are_jumped_into_are_left_alone) {
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_jumped_to));
    for (int i = 0; i < ENOUGH; i++)
        guest_expect_call(&g, CALL);
    ASSERT_FALSE(is_patched(&g, GUEST(guest_jumped_to_site)));
    guest_end(&g);
}

/* ---- races ---- */

struct caller {
    struct guest g;
    pthread_t thread;
    _Atomic int failed, ready, may_end;
};

static void *call_on(void *arg) {
    struct caller *c = arg;
    struct guest *g = &c->g;
    c->failed = 1;
    int r = g->ops->context_create(g->as, &g->context);
    c->ready = 1;
    if (r)
        return NULL;
    guest_enter(g, GUEST(guest_wrapped));
    g->regs.rax = 0;
    for (int calls = 0; calls < 2000;) {
        guest_run(g);
        bool bad = calls % 3 == 0;
        if (g->event.kind == EVENT_INTERRUPT) {
            if (g->regs.rip < CODE_ADDRESS || g->regs.rip > CODE_ADDRESS + 0x1000)
                return NULL; /* seen in the middle of things */
            continue;
        }
        if (g->event.kind != EVENT_SYSCALL || g->regs.orig_rax != CALL ||
            g->regs.rip != GUEST(guest_wrapped_after) ||
            (calls && (bad ? g->regs.rbp : g->regs.rbx) != (bad ? (uint64_t)-9 : (uint64_t)calls)))
            return NULL;
        calls++;
        g->regs.rax = calls % 3 == 0 ? (uint64_t)-9 : (uint64_t)calls;
    }
    c->failed = 0;
    while (!c->may_end)
        usleep(1000);
    g->ops->context_destroy(g->context);
    return NULL;
}

TEST_TIMEOUT(threads_race_through_a_wrapped_site, 120) {
    enum { COUNT = 4, ROUNDS = 8 };
    for (int round = 0; round < ROUNDS; round++) {
        struct guest g;
        struct caller callers[COUNT];
        guest_start(&g);
        for (int i = 0; i < COUNT; i++) {
            callers[i] = (struct caller){.g = g};
            ASSERT_EQ(pthread_create(&callers[i].thread, NULL, call_on, &callers[i]), 0);
        }
        for (int i = 0; i < COUNT; i++)
            while (!callers[i].ready)
                usleep(100);
        for (int kicks = 0; kicks < 1000; kicks++) { /* at every place of it */
            usleep(20);
            g.ops->context_interrupt(callers[kicks % COUNT].g.context);
        }
        for (int i = 0; i < COUNT; i++)
            callers[i].may_end = 1;
        for (int i = 0; i < COUNT; i++) {
            pthread_join(callers[i].thread, NULL);
            ASSERT_EQ(callers[i].failed, 0);
        }
        guest_end(&g);
    }
}
