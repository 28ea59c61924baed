/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/filter/bpf_test.c: the assembler's checks and the interpreter.
 */
#include "platform/stub/bpf.h"

#include "tests/support/test.h"

static uint32_t run(const struct bpf_builder *b, struct seccomp_data d) {
    uint32_t action = 0xdead;
    ASSERT_EQ(bpf_run(b->code, b->count, &d, &action), 0);
    return action;
}

TEST(jumps_go_where_labels_are) {
    struct bpf_builder b;
    bpf_init(&b);
    bpf_load_number(&b);
    bpf_if_equal(&b, 5, 1, BPF_NEXT);
    bpf_if_at_least(&b, 10, 2, BPF_NEXT);
    bpf_return(&b, 100);
    bpf_label(&b, 1);
    bpf_return(&b, 101);
    bpf_label(&b, 2);
    bpf_return(&b, 102);
    ASSERT_EQ(bpf_finish(&b), 0);
    ASSERT_EQ(run(&b, (struct seccomp_data){.nr = 5}), 101);
    ASSERT_EQ(run(&b, (struct seccomp_data){.nr = 9}), 100);
    ASSERT_EQ(run(&b, (struct seccomp_data){.nr = 10}), 102);
    ASSERT_EQ(run(&b, (struct seccomp_data){.nr = -1}), 102); /* unsigned */
}

TEST(sums_of_arguments) {
    struct bpf_builder b;
    bpf_init(&b);
    bpf_load_arg_high(&b, 0);
    bpf_to_x(&b);
    bpf_load_arg_high(&b, 1);
    bpf_add_x(&b);
    bpf_and(&b, 0xffff);
    bpf_if_at_least(&b, 10, 1, BPF_NEXT);
    bpf_return(&b, 1);
    bpf_label(&b, 1);
    bpf_return(&b, 2);
    ASSERT_EQ(bpf_finish(&b), 0);
    ASSERT_EQ(run(&b, (struct seccomp_data){.args = {4ull << 32 | 0xffffffff, 5ull << 32}}), 1);
    ASSERT_EQ(run(&b, (struct seccomp_data){.args = {5ull << 32, 5ull << 32}}), 2);
    ASSERT_EQ(run(&b, (struct seccomp_data){.args = {0xffff0005ull << 32, 4ull << 32}}), 1);
}

static void expect_refused(struct bpf_builder *b, const char *why) {
    ASSERT_EQ(bpf_finish(b), -EINVAL);
    ASSERT_STREQ(b->error, why);
}

TEST(mistakes_are_refused) {
    struct bpf_builder b;
    bpf_init(&b);
    expect_refused(&b, "empty program");
    bpf_init(&b);
    bpf_load_number(&b);
    expect_refused(&b, "program runs off its end");
    bpf_init(&b);
    bpf_if_equal(&b, 1, 1, BPF_NEXT);
    bpf_return(&b, 0);
    expect_refused(&b, "label used but not placed");
    bpf_init(&b);
    bpf_label(&b, 1);
    bpf_return(&b, 0);
    expect_refused(&b, "label placed but not used");
    bpf_init(&b);
    bpf_label(&b, 1);
    bpf_load_number(&b);
    bpf_if_equal(&b, 1, 1, BPF_NEXT);
    bpf_return(&b, 0);
    expect_refused(&b, "jump backwards or out of the program");
    bpf_init(&b);
    bpf_return(&b, 0);
    bpf_return(&b, 1);
    expect_refused(&b, "code that nothing leads to");
    bpf_init(&b);
    bpf_if_equal(&b, 1, 1, BPF_NEXT);
    bpf_label(&b, 1);
    bpf_label(&b, 1);
    bpf_return(&b, 0);
    expect_refused(&b, "label placed twice");
    bpf_init(&b);
    bpf_load(&b, 62);
    bpf_return(&b, 0);
    expect_refused(&b, "load outside struct seccomp_data");
    bpf_init(&b);
    bpf_if_equal(&b, 1, 1, BPF_NEXT);
    for (int i = 0; i < 256; i++)
        bpf_load_number(&b);
    bpf_label(&b, 1);
    bpf_return(&b, 0);
    expect_refused(&b, "jump too far");
    bpf_init(&b);
    bpf_if_equal(&b, 1, 1, BPF_NEXT);
    for (int i = 0; i < 255; i++)
        bpf_load_number(&b);
    bpf_label(&b, 1);
    bpf_return(&b, 0);
    ASSERT_EQ(bpf_finish(&b), 0);
    ASSERT_EQ(b.code[0].jt, 255);
    bpf_init(&b);
    for (int i = 0; i < BPF_MAX_CODE + 1; i++)
        bpf_load_number(&b);
    expect_refused(&b, "program too long");
    bpf_init(&b);
    bpf_if_equal(&b, 1, BPF_MAX_LABELS, BPF_NEXT);
    bpf_return(&b, 0);
    expect_refused(&b, "label out of range");
}

TEST(the_interpreter_refuses_what_it_does_not_know) {
    struct seccomp_data d = {0};
    uint32_t action;
    struct sock_filter store[] = {{.code = BPF_ST, .k = 0}, {.code = BPF_RET | BPF_K}};
    ASSERT_EQ(bpf_run(store, 2, &d, &action), -EINVAL);
    struct sock_filter outside[] = {{.code = BPF_LD | BPF_W | BPF_ABS, .k = 64}, {.code = BPF_RET | BPF_K}};
    ASSERT_EQ(bpf_run(outside, 2, &d, &action), -EINVAL);
    struct sock_filter off[] = {{.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 9, .jf = 9},
                                {.code = BPF_RET | BPF_K}};
    ASSERT_EQ(bpf_run(off, 2, &d, &action), -EINVAL);
}
