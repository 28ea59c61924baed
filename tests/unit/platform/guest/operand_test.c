/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/guest/operand_test.c: operands that the guest thread brings along, and results that it
 * puts in place itself (platform.h, context_take and the like; systrap_operands.c).
 */
#include "tests/unit/platform/guest/guest.h"

enum { READ = 0, WRITE = 1, STAT = 4, POLL = 7, READV = 19, GETPPID = 110 };
#define UNMAPPED  0x21000000ull
#define READ_ONLY 0x22000000ull

static bool can_take(const struct guest *g) {
    return g->ops->context_take != NULL;
}

static size_t take(struct guest *g, void *to, gva_t from, size_t size) {
    return g->ops->context_take(g->context, to, from, size);
}

static size_t give(struct guest *g, gva_t to, const void *from, size_t size) {
    return g->ops->context_give(g->context, to, from, size);
}

/* The guest makes that call. */
static void make_call(struct guest *g, uint64_t number, uint64_t a, uint64_t b, uint64_t c) {
    guest_enter(g, GUEST(guest_any));
    g->regs.rax = number;
    g->regs.rdi = a;
    g->regs.rsi = b;
    g->regs.rdx = c;
    guest_expect_call(g, number);
}

/* ... and another, which says nothing of memory; so what was given to the first is in place. */
static void go_on(struct guest *g) {
    g->regs.rax = GETPPID;
    guest_expect_call(g, GETPPID);
}

TEST(operands_come_along) {
    struct guest g;
    char got[64], text[64] = "/some/where";
    guest_start(&g);
    if (can_take(&g)) {
        ASSERT_EQ(g.ops->as_copy_out(g.as, DATA_ADDRESS, text, sizeof(text)), sizeof(text));
        make_call(&g, WRITE, 1, DATA_ADDRESS + 1, 10);
        ASSERT_EQ(take(&g, got, DATA_ADDRESS + 1, 10), 10);
        ASSERT_MEMEQ(got, text + 1, 10);
        ASSERT_EQ(take(&g, got, DATA_ADDRESS + 3, 20), 8); /* what there is */
        ASSERT_MEMEQ(got, text + 3, 8);
        ASSERT_EQ(take(&g, got, DATA_ADDRESS, 1), 0);
        ASSERT_EQ(take(&g, got, DATA_ADDRESS + 11, 1), 0);
        make_call(&g, STAT, DATA_ADDRESS, DATA_ADDRESS + 512, 0);
        ASSERT_EQ(take(&g, got, DATA_ADDRESS, 64), 64);
        ASSERT_STREQ(got, text);
        /* up to the end of what is mapped */
        make_call(&g, STAT, DATA_ADDRESS + DATA_SIZE - 8, DATA_ADDRESS, 0);
        ASSERT_EQ(take(&g, got, DATA_ADDRESS + DATA_SIZE - 8, 64), 8);
        go_on(&g);
        ASSERT_EQ(take(&g, got, DATA_ADDRESS, 1), 0); /* nothing of an older call */
    }
    guest_end(&g);
}

TEST(operands_that_are_not_there) {
    struct guest g;
    char got[64];
    guest_start(&g);
    if (can_take(&g)) {
        static const uint64_t bad[] = {0,          8,          UNMAPPED, 0x7fff00000000, 0x7fff80000000,
                                       1ull << 63, ~0ull - 63, ~0ull};
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
            make_call(&g, WRITE, 1, bad[i], 16);
            ASSERT_EQ(take(&g, got, bad[i], 16), 0);
            make_call(&g, STAT, bad[i], bad[i], 0);
            ASSERT_EQ(take(&g, got, bad[i], 16), 0);
            ASSERT_EQ(give(&g, bad[i], got, 16), 0);
            make_call(&g, READ, 1, bad[i], ~0ull);
            ASSERT_EQ(give(&g, bad[i], got, 16), 0);
            make_call(&g, POLL, bad[i], ~0ull, 0);
            make_call(&g, READV, 1, bad[i], 1ull << 61);
        }
        make_call(&g, WRITE, 1, DATA_ADDRESS, 1ull << 40); /* too large: by the sentry */
        ASSERT_EQ(take(&g, got, DATA_ADDRESS, 16), 0);
        go_on(&g);
    }
    guest_end(&g);
}

TEST(results_are_put_in_place) {
    struct guest g;
    char big[0x3000];
    guest_start(&g);
    if (can_take(&g)) {
        memset(big, 'x', sizeof(big));
        make_call(&g, READ, 1, DATA_ADDRESS + 100, sizeof(big));
        ASSERT_EQ(give(&g, DATA_ADDRESS + 100, "abcdefgh", 8), 8);
        ASSERT_EQ(guest_word(&g, DATA_ADDRESS + 100), 0); /* not yet */
        go_on(&g);
        ASSERT_EQ(guest_word(&g, DATA_ADDRESS + 100), 0x6867666564636261);
        /* pieces that follow each other, all of it, and what lies beside it */
        make_call(&g, READ, 1, DATA_ADDRESS, sizeof(big));
        for (size_t at = 0; at < sizeof(big); at += 16)
            ASSERT_EQ(give(&g, DATA_ADDRESS + at, big + at, 16), 16);
        ASSERT_EQ(give(&g, DATA_ADDRESS + sizeof(big), "y", 1), 0);
        go_on(&g);
        ASSERT_EQ(guest_word(&g, DATA_ADDRESS + sizeof(big) - 8), 0x7878787878787878);
        ASSERT_EQ(guest_word(&g, DATA_ADDRESS + sizeof(big)), 0);
        /* at once if the sentry wants it */
        make_call(&g, READ, 1, DATA_ADDRESS, 64);
        ASSERT_EQ(give(&g, DATA_ADDRESS + 8, "12345678", 8), 8);
        g.ops->context_settle(g.context, /* waits= */ false);
        ASSERT_EQ(guest_word(&g, DATA_ADDRESS + 8), 0x3837363534333231);
        go_on(&g);
    }
    guest_end(&g);
}

TEST(results_and_operands_keep_their_order) {
    struct guest g;
    char got[8];
    guest_start(&g);
    if (can_take(&g)) {
        guest_set_word(&g, DATA_ADDRESS, 1);
        make_call(&g, POLL, DATA_ADDRESS, 1, 0); /* both ways */
        ASSERT_EQ(take(&g, got, DATA_ADDRESS, 8), 8);
        ASSERT_EQ(give(&g, DATA_ADDRESS, "ABCDEFGH", 8), 8);
        /* what was written is what is read, here or by the sentry's own copy */
        if (take(&g, got, DATA_ADDRESS, 8) == 0)
            ASSERT_EQ(g.ops->as_copy_in(g.as, got, DATA_ADDRESS, 8), 8);
        ASSERT_MEMEQ(got, "ABCDEFGH", 8);
        go_on(&g);
        ASSERT_EQ(guest_word(&g, DATA_ADDRESS), 0x4847464544434241);
    }
    guest_end(&g);
}

TEST(results_for_memory_that_is_not_writable) {
    struct guest g;
    guest_start(&g);
    if (can_take(&g)) {
        guest_map(&g, READ_ONLY, 0x2000, PROT_READ | PROT_WRITE);
        guest_apply(
            &g,
            (struct as_op){.kind = AS_PROTECT, .addr = READ_ONLY + 0x1000, .len = 0x1000, .prot = PROT_READ});
        make_call(&g, READ, 1, READ_ONLY + 0xff8, 16);
        ASSERT_EQ(give(&g, READ_ONLY + 0xff8, "abcdefghijklmnop", 16), 0);
        ASSERT_EQ(give(&g, READ_ONLY + 0xff8, "abcdefgh", 8), 8);
        go_on(&g);
        ASSERT_EQ(guest_word(&g, READ_ONLY + 0xff8), 0x6867666564636261);
        /* it was when the call was made, and is not any more: the guest is told */
        make_call(&g, READ, 1, READ_ONLY, 16);
        ASSERT_EQ(give(&g, READ_ONLY, "12345678", 8), 8);
        guest_apply(&g, (struct as_op){.kind = AS_UNMAP, .addr = READ_ONLY, .len = 0x1000});
        g.regs.rax = GETPPID;
        guest_expect_call(&g, (uint64_t)-14);
        go_on(&g);
    }
    guest_end(&g);
}

/* How often the guest calls before the sentry hears of it, up to `max` times: rbx counts, as in guest_hot. */
static uint64_t unheard(struct guest *g, uint64_t number, uint32_t *ret_result) {
    guest_enter(g, GUEST(guest_count));
    g->regs.r12 = number;
    g->regs.r13 = 1000;
    guest_run(g);
    ASSERT_EQ(g->event.kind, EVENT_SYSCALL);
    uint64_t first = g->regs.orig_rax;
    ASSERT_TRUE(first == number || first == GETPPID);
    *ret_result = (uint32_t)g->regs.rbx;
    return 1000 - g->regs.r13;
}

TEST(answers) {
    struct guest g;
    guest_start(&g);
    if (g.ops->context_answers) {
        static const struct platform_answers answers = {1001, 1002, 1003, 1004, 1005, 1006};
        static const uint64_t numbers[] = {39, 186, 102, 107, 104, 108};
        uint32_t result;
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
            ASSERT_EQ(unheard(&g, numbers[i], &result), 0); /* not before it is allowed */
            g.ops->context_answers(g.context, &answers);
            uint64_t most = 0; /* by traps, some are told; once the site is patched, none */
            for (int round = 0; round < 100 && most < 1000; round++) {
                uint64_t n = unheard(&g, numbers[i], &result);
                most = MAX(n, most);
                ASSERT_TRUE(n == 0 || result == 1001 + i);
            }
            ASSERT_TRUE(most > 1);
            ASSERT_EQ(unheard(&g, 63, &result), 0);
            g.ops->context_answers(g.context, NULL);
            ASSERT_EQ(unheard(&g, numbers[i], &result), 0);
        }
    }
    guest_end(&g);
}
