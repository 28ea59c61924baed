/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/bpf.h: a small checked assembler for classic BPF, for seccomp programs that test the
 * instruction pointer and sums of arguments, which libseccomp cannot express; and an interpreter, with which
 * unit tests put every case to a program.
 *
 * Jumps name labels; bpf_finish() resolves them and refuses a program that the kernel would refuse or that is
 * not what was meant: a label used but not placed, placed twice or never used, a jump backwards or too far,
 * code after a return or a jump that nothing leads to, a program that runs off its end.
 */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "base/compiler.h"

enum { BPF_NEXT = 0, BPF_MAX_CODE = 512, BPF_MAX_LABELS = 128 };

struct bpf_builder {
    struct sock_filter code[BPF_MAX_CODE];
    struct {
        uint16_t yes, no; /* labels; BPF_NEXT: the following instruction */
    } target[BPF_MAX_CODE];
    uint16_t count;
    uint16_t placed[BPF_MAX_LABELS]; /* instruction + 1; 0: not yet */
    bool used[BPF_MAX_LABELS];
    const char *error; /* first mistake, NULL: none */
};

void bpf_init(struct bpf_builder *b);
void bpf_label(struct bpf_builder *b, uint16_t label); /* 1 .. BPF_MAX_LABELS - 1 */
void bpf_load(struct bpf_builder *b, uint32_t offset); /* A = 32 bits of struct seccomp_data */
void bpf_load_number(struct bpf_builder *b);
void bpf_load_arch(struct bpf_builder *b);
void bpf_load_ip_low(struct bpf_builder *b);
void bpf_load_ip_high(struct bpf_builder *b);
void bpf_load_arg_low(struct bpf_builder *b, unsigned arg);
void bpf_load_arg_high(struct bpf_builder *b, unsigned arg);
void bpf_and(struct bpf_builder *b, uint32_t value);
void bpf_to_x(struct bpf_builder *b);  /* X = A */
void bpf_add_x(struct bpf_builder *b); /* A += X */
void bpf_if_equal(struct bpf_builder *b, uint32_t value, uint16_t yes, uint16_t no);
void bpf_if_at_least(struct bpf_builder *b, uint32_t value, uint16_t yes, uint16_t no);
void bpf_return(struct bpf_builder *b, uint32_t action);

/* Returns 0, or -EINVAL and b->error says what is wrong. The program is b->code[0 .. b->count). */
int bpf_finish(struct bpf_builder *b) must_check;

/* Runs a program as the kernel would. Returns 0 and the action, -EINVAL if it is not one that this assembler
 * could have made. */
int bpf_run(const struct sock_filter *code, size_t count, const struct seccomp_data *data,
            uint32_t *ret_action) must_check;
