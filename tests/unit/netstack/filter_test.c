/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/netstack/filter_test.c: classic BPF: which programs are let in, and what they do with a packet.
 */
#include "netstack/stack/sock_filter.h"
#include "tests/sim/stream.h"

#define PROGRAM(...) ((const struct bpf_insn[]){__VA_ARGS__})
#define VALID(...) filter_valid(PROGRAM(__VA_ARGS__), sizeof(PROGRAM(__VA_ARGS__)) / sizeof(struct bpf_insn))

/* Opcodes, as in linux/bpf_common.h. */
enum {
    LD_W_ABS = 0x20,
    LD_H_ABS = 0x28,
    LD_B_ABS = 0x30,
    LD_B_IND = 0x50,
    LD_IMM = 0x00,
    LD_MEM = 0x60,
    LDX_IMM = 0x01,
    LDX_MSH = 0xb1,
    ST_A = 0x02,
    ALU_ADD_K = 0x04,
    ALU_DIV_K = 0x34,
    ALU_DIV_X = 0x3c,
    ALU_LSH_K = 0x64,
    JMP_JA = 0x05,
    JMP_JEQ_K = 0x15,
    RET_K = 0x06,
    RET_A = 0x16,
};

TEST(only_programs_that_end_are_let_in) {
    ASSERT_TRUE(VALID({RET_K, 0, 0, 1}));
    ASSERT_TRUE(!filter_valid(NULL, 0));
    ASSERT_TRUE(!VALID({LD_IMM, 0, 0, 1}));                            /* no return */
    ASSERT_TRUE(!VALID({JMP_JA, 0, 0, 1}, {RET_K, 0, 0, 1}));          /* beyond the end */
    ASSERT_TRUE(!VALID({JMP_JA, 0, 0, 0xffffffff}, {RET_K, 0, 0, 1})); /* backwards */
    ASSERT_TRUE(!VALID({JMP_JEQ_K, 0, 1, 0}, {RET_K, 0, 0, 1}));       /* beyond the end, on one side */
    ASSERT_TRUE(!VALID({ALU_DIV_K, 0, 0, 0}, {RET_A, 0, 0, 0}));       /* by zero */
    ASSERT_TRUE(!VALID({ALU_LSH_K, 0, 0, 32}, {RET_A, 0, 0, 0}));      /* too far */
    ASSERT_TRUE(!VALID({ST_A, 0, 0, 16}, {RET_A, 0, 0, 0}));           /* no such word */
    ASSERT_TRUE(!VALID({LD_MEM, 0, 0, 3}, {RET_A, 0, 0, 0}));          /* never written */
    ASSERT_TRUE(VALID({ST_A, 0, 0, 3}, {LD_MEM, 0, 0, 3}, {RET_A, 0, 0, 0}));
    /* written on one path alone */
    ASSERT_TRUE(!VALID({JMP_JEQ_K, 1, 0, 0}, {ST_A, 0, 0, 3}, {LD_MEM, 0, 0, 3}, {RET_A, 0, 0, 0}));
    ASSERT_TRUE(!VALID({0xff, 0, 0, 0}, {RET_K, 0, 0, 0}));
    ASSERT_TRUE(!VALID({0x100, 0, 0, 0}, {RET_K, 0, 0, 0}));
}

static uint32_t run(const struct bpf_insn *program, size_t count, const char *text, uint32_t start) {
    struct sim s;
    sim_init(&s, 1);
    struct sim_host *h = sim_add_host(&s);
    struct pkt *p = netstack_pkt_copy(h->st, text, (uint32_t)strlen(text));
    uint32_t keep = filter_run(program, count, p, start);
    netstack_pkt_free(h->st, p);
    sim_done(&s);
    return keep;
}
#define RUN(text, start, ...)                                                                                \
    run(PROGRAM(__VA_ARGS__), sizeof(PROGRAM(__VA_ARGS__)) / sizeof(struct bpf_insn), text, start)

TEST(programs_see_the_packet) {
    ASSERT_EQ(RUN("abcd", 0, {LD_W_ABS, 0, 0, 0}, {RET_A, 0, 0, 0}), 0x61626364u);
    ASSERT_EQ(RUN("abcd", 1, {LD_H_ABS, 0, 0, 0}, {RET_A, 0, 0, 0}), 0x6263u);
    ASSERT_EQ(RUN("abcd", 0, {LDX_IMM, 0, 0, 2}, {LD_B_IND, 0, 0, 1}, {RET_A, 0, 0, 0}), 'd');
    ASSERT_EQ(RUN("E", 0, {LDX_MSH, 0, 0, 0}, {0x87, 0, 0, 0}, {RET_A, 0, 0, 0}), 20u); /* IP header length */
    /* loads past the end drop the packet */
    ASSERT_EQ(RUN("abcd", 0, {LD_B_ABS, 0, 0, 4}, {RET_K, 0, 0, 9}), 0u);
    ASSERT_EQ(RUN("abcd", 0, {LD_W_ABS, 0, 0, 1}, {RET_K, 0, 0, 9}), 0u);
    ASSERT_EQ(RUN("abcd", 0, {LDX_IMM, 0, 0, 0xffffffff}, {LD_B_IND, 0, 0, 2}, {RET_K, 0, 0, 9}), 0u);
    ASSERT_EQ(RUN("abcd", 0, {ALU_DIV_X, 0, 0, 0}, {RET_K, 0, 0, 9}), 0u); /* X is zero at first */
    ASSERT_EQ(RUN("a", 0, {LD_IMM, 0, 0, 5}, {ALU_ADD_K, 0, 0, 2}, {RET_A, 0, 0, 0}), 7u);
    ASSERT_EQ(RUN("b", 0, {LD_B_ABS, 0, 0, 0}, {JMP_JEQ_K, 0, 1, 'b'}, {RET_K, 0, 0, 1}, {RET_K, 0, 0, 2}),
              1u);
}

static ssize_t send_to(struct nsock *s, const char *text, const struct ns_addr *to) {
    struct ns_iov v = {(void *)(uintptr_t)text, strlen(text)};
    struct ns_msg m = {.iov = &v, .iov_count = 1, .has_name = true, .name = *to};
    return nsock_send(s, &m);
}

static ssize_t receive(struct nsock *s, char *to, size_t size) {
    struct ns_iov v = {to, size};
    struct ns_msg m = {.iov = &v, .iov_count = 1};
    return nsock_recv(s, &m);
}

/* The first byte of the text, behind the UDP header, decides; two bytes of it are kept. */
TEST(a_socket_takes_what_its_filter_wants) {
    const struct bpf_insn wants_y[] = {
        {LD_B_ABS, 0, 0, 8}, {JMP_JEQ_K, 0, 1, 'y'}, {RET_K, 0, 0, 10}, {RET_K, 0, 0, 0}};
    struct sim s;
    struct nsock *x;
    char text[16];
    sim_init(&s, 1);
    struct sim_host *h = sim_add_host(&s);
    struct ns_addr a = sim_addr("127.0.0.1", 7);
    ASSERT_EQ(nsock_new(h->ns, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, &x), 0);
    ASSERT_EQ(nsock_bind(x, &a), 0);
    ASSERT_EQ(nsock_set_filter(x, NULL, 0), -ENOENT);
    ASSERT_EQ(nsock_set_filter(x, wants_y, 1), -EINVAL);
    ASSERT_EQ(nsock_set_filter(x, wants_y, 4), 0);
    ASSERT_EQ(send_to(x, "no", &a), 2);
    ASSERT_EQ(send_to(x, "yes", &a), 3);
    ASSERT_EQ(receive(x, text, sizeof(text)), 2);
    ASSERT_EQ(receive(x, text, sizeof(text)), -EAGAIN);
    ASSERT_EQ(nsock_lock_filter(x, true), 0);
    ASSERT_EQ(nsock_set_filter(x, NULL, 0), -EPERM);
    nsock_close(x);
    sim_done(&s);
}
