/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/bpf.c: see bpf.h. Source: linux/filter.h, seccomp(2).
 */
#include "platform/stub/bpf.h"

#include <errno.h>
#include <string.h>

void bpf_init(struct bpf_builder *b) {
    memset(b, 0, sizeof(*b));
}

static void mistake(struct bpf_builder *b, const char *what) {
    if (!b->error)
        b->error = what;
}

static void use(struct bpf_builder *b, uint16_t label) {
    if (label >= BPF_MAX_LABELS)
        mistake(b, "label out of range");
    else
        b->used[label] = true;
}

static void emit(struct bpf_builder *b, uint16_t code, uint32_t k, uint16_t yes, uint16_t no) {
    if (b->count == BPF_MAX_CODE) {
        mistake(b, "program too long");
        return;
    }
    use(b, yes);
    use(b, no);
    b->code[b->count] = (struct sock_filter){.code = code, .k = k};
    b->target[b->count].yes = yes;
    b->target[b->count].no = no;
    b->count++;
}

void bpf_label(struct bpf_builder *b, uint16_t label) {
    if (label == BPF_NEXT || label >= BPF_MAX_LABELS)
        mistake(b, "label out of range");
    else if (b->placed[label])
        mistake(b, "label placed twice");
    else
        b->placed[label] = (uint16_t)(b->count + 1);
}

void bpf_load(struct bpf_builder *b, uint32_t offset) {
    if (offset % 4 || offset > sizeof(struct seccomp_data) - 4)
        mistake(b, "load outside struct seccomp_data");
    emit(b, BPF_LD | BPF_W | BPF_ABS, offset, BPF_NEXT, BPF_NEXT);
}

void bpf_load_number(struct bpf_builder *b) {
    bpf_load(b, offsetof(struct seccomp_data, nr));
}

void bpf_load_arch(struct bpf_builder *b) {
    bpf_load(b, offsetof(struct seccomp_data, arch));
}

void bpf_load_ip_low(struct bpf_builder *b) {
    bpf_load(b, offsetof(struct seccomp_data, instruction_pointer));
}

void bpf_load_ip_high(struct bpf_builder *b) {
    bpf_load(b, offsetof(struct seccomp_data, instruction_pointer) + 4);
}

void bpf_load_arg_low(struct bpf_builder *b, unsigned arg) {
    bpf_load(b, (uint32_t)offsetof(struct seccomp_data, args) + 8 * arg);
}

void bpf_load_arg_high(struct bpf_builder *b, unsigned arg) {
    bpf_load(b, (uint32_t)offsetof(struct seccomp_data, args) + 8 * arg + 4);
}

void bpf_and(struct bpf_builder *b, uint32_t value) {
    emit(b, BPF_ALU | BPF_AND | BPF_K, value, BPF_NEXT, BPF_NEXT);
}

void bpf_to_x(struct bpf_builder *b) {
    emit(b, BPF_MISC | BPF_TAX, 0, BPF_NEXT, BPF_NEXT);
}

void bpf_add_x(struct bpf_builder *b) {
    emit(b, BPF_ALU | BPF_ADD | BPF_X, 0, BPF_NEXT, BPF_NEXT);
}

void bpf_if_equal(struct bpf_builder *b, uint32_t value, uint16_t yes, uint16_t no) {
    emit(b, BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
}

void bpf_if_at_least(struct bpf_builder *b, uint32_t value, uint16_t yes, uint16_t no) {
    emit(b, BPF_JMP | BPF_JGE | BPF_K, value, yes, no);
}

void bpf_return(struct bpf_builder *b, uint32_t action) {
    emit(b, BPF_RET | BPF_K, action, BPF_NEXT, BPF_NEXT);
}

/* Distance of a jump from the instruction behind `at`; UINT8_MAX + 1 and a mistake if it cannot be made. */
static unsigned distance(struct bpf_builder *b, unsigned at, uint16_t label) {
    if (label == BPF_NEXT)
        return 0;
    if (!b->placed[label]) {
        mistake(b, "label used but not placed");
        return 0;
    }
    unsigned to = b->placed[label] - 1u;
    if (to <= at || to >= b->count) {
        mistake(b, "jump backwards or out of the program");
        return 0;
    }
    if (to - at - 1 > UINT8_MAX)
        mistake(b, "jump too far");
    return to - at - 1;
}

static bool is_jump(const struct sock_filter *f) {
    return BPF_CLASS(f->code) == BPF_JMP;
}

static void check_flow(struct bpf_builder *b) {
    bool reached[BPF_MAX_CODE + 1] = {true};
    for (unsigned i = 0; i < b->count; i++) {
        const struct sock_filter *f = &b->code[i];
        if (!reached[i])
            mistake(b, "code that nothing leads to");
        if (is_jump(f)) {
            reached[i + 1 + f->jt] = true;
            reached[i + 1 + f->jf] = true;
        } else if (BPF_CLASS(f->code) != BPF_RET) {
            reached[i + 1] = true;
        }
    }
    if (reached[b->count])
        mistake(b, "program runs off its end");
}

int bpf_finish(struct bpf_builder *b) {
    if (b->count == 0)
        mistake(b, "empty program");
    for (unsigned i = 1; i < BPF_MAX_LABELS; i++)
        if (b->placed[i] && !b->used[i])
            mistake(b, "label placed but not used");
    for (unsigned i = 0; i < b->count && !b->error; i++) {
        if (!is_jump(&b->code[i]))
            continue;
        b->code[i].jt = (uint8_t)distance(b, i, b->target[i].yes);
        b->code[i].jf = (uint8_t)distance(b, i, b->target[i].no);
        if (i + 1u + MAX(b->code[i].jt, b->code[i].jf) >= b->count)
            mistake(b, "program runs off its end");
    }
    if (!b->error)
        check_flow(b);
    return b->error ? -EINVAL : 0;
}

int bpf_run(const struct sock_filter *code, size_t count, const struct seccomp_data *data,
            uint32_t *ret_action) {
    uint32_t a = 0, x = 0;
    for (size_t i = 0; i < count; i++) {
        const struct sock_filter *f = &code[i];
        switch (f->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (f->k % 4 || f->k > sizeof(*data) - 4)
                return -EINVAL;
            memcpy(&a, (const char *)data + f->k, sizeof(a));
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= f->k;
            break;
        case BPF_ALU | BPF_ADD | BPF_X:
            a += x;
            break;
        case BPF_MISC | BPF_TAX:
            x = a;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            i += a == f->k ? f->jt : f->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            i += a >= f->k ? f->jt : f->jf;
            break;
        case BPF_RET | BPF_K:
            *ret_action = f->k;
            return 0;
        default:
            return -EINVAL;
        }
    }
    return -EINVAL;
}
