/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/seccomp_bpf.c: the checker and interpreter of seccomp's classic BPF. Programs are a guest's:
 * whatever passes the checker must be safe to run. Source: seccomp(2), "Filters"; the paper by McCanne and
 * Jacobson (1993) for the machine; tests/conform/seccomp.c for what Linux refuses.
 */
#include "sentry/kernel/seccomp_bpf.h"

#include <errno.h>
#include <string.h>

enum { CLASS = 7, ALL_WRITTEN = 0xffff };

static bool is_load_allowed(const struct linux_sock_filter *f) {
    switch (f->code) {
    case LINUX_BPF_LD | LINUX_BPF_W | LINUX_BPF_ABS:
        return f->k < sizeof(struct linux_seccomp_data) && f->k % 4 == 0;
    case LINUX_BPF_LD | LINUX_BPF_W | LINUX_BPF_LEN:
    case LINUX_BPF_LDX | LINUX_BPF_W | LINUX_BPF_LEN:
    case LINUX_BPF_LD | LINUX_BPF_IMM:
    case LINUX_BPF_LDX | LINUX_BPF_IMM:
        return true;
    case LINUX_BPF_LD | LINUX_BPF_MEM:
    case LINUX_BPF_LDX | LINUX_BPF_MEM:
    case LINUX_BPF_ST:
    case LINUX_BPF_STX:
        return f->k < LINUX_BPF_MEMWORDS;
    default:
        return false;
    }
}

static bool is_alu_allowed(const struct linux_sock_filter *f) {
    switch (f->code & ~(CLASS | LINUX_BPF_X)) {
    case LINUX_BPF_ADD:
    case LINUX_BPF_SUB:
    case LINUX_BPF_MUL:
    case LINUX_BPF_AND:
    case LINUX_BPF_OR:
    case LINUX_BPF_XOR:
        return true;
    case LINUX_BPF_DIV:
        return (f->code & LINUX_BPF_X) || f->k != 0;
    case LINUX_BPF_LSH:
    case LINUX_BPF_RSH:
        return (f->code & LINUX_BPF_X) || f->k < 32;
    case LINUX_BPF_NEG:
        return !(f->code & LINUX_BPF_X);
    default: /* MOD is not among what seccomp takes */
        return false;
    }
}

static bool is_jump_allowed(const struct linux_sock_filter *f, size_t left) {
    switch (f->code & ~CLASS) {
    case LINUX_BPF_JA:
        return f->k < left;
    case LINUX_BPF_JEQ:
    case LINUX_BPF_JGT:
    case LINUX_BPF_JGE:
    case LINUX_BPF_JSET:
    case LINUX_BPF_JEQ | LINUX_BPF_X:
    case LINUX_BPF_JGT | LINUX_BPF_X:
    case LINUX_BPF_JGE | LINUX_BPF_X:
    case LINUX_BPF_JSET | LINUX_BPF_X:
        return f->jt < left && f->jf < left;
    default:
        return false;
    }
}

/* `left`: instructions behind this one. */
static bool is_allowed(const struct linux_sock_filter *f, size_t left) {
    switch (f->code & CLASS) {
    case LINUX_BPF_LD:
    case LINUX_BPF_LDX:
    case LINUX_BPF_ST:
    case LINUX_BPF_STX:
        return is_load_allowed(f);
    case LINUX_BPF_ALU:
        return is_alu_allowed(f);
    case LINUX_BPF_JMP:
        return is_jump_allowed(f, left);
    case LINUX_BPF_RET:
        return f->code == (LINUX_BPF_RET | LINUX_BPF_K) || f->code == (LINUX_BPF_RET | LINUX_BPF_A);
    default:
        return f->code == (LINUX_BPF_MISC | LINUX_BPF_TAX) || f->code == (LINUX_BPF_MISC | LINUX_BPF_TXA);
    }
}

/* No memory word is read that was not written on every way there. Jumps go forward only, so one pass is
 * enough: written[i] holds the words that are written on all ways to i seen so far. */
static bool reads_only_written(const struct linux_sock_filter *program, size_t count) {
    uint16_t written[LINUX_BPF_MAXINSNS + 1], valid = 0;

    memset(written, 0xff, sizeof written);
    for (size_t i = 0; i < count; i++) {
        const struct linux_sock_filter *f = &program[i];
        valid &= written[i];
        switch (f->code) {
        case LINUX_BPF_ST:
        case LINUX_BPF_STX:
            valid |= (uint16_t)(1u << f->k);
            break;
        case LINUX_BPF_LD | LINUX_BPF_MEM:
        case LINUX_BPF_LDX | LINUX_BPF_MEM:
            if (!(valid & 1u << f->k))
                return false;
            break;
        case LINUX_BPF_JMP | LINUX_BPF_JA:
            written[i + 1 + f->k] &= valid;
            valid = ALL_WRITTEN; /* what follows is reached by other jumps only */
            break;
        default:
            if ((f->code & CLASS) == LINUX_BPF_JMP) {
                written[i + 1 + f->jt] &= valid;
                written[i + 1 + f->jf] &= valid;
                valid = ALL_WRITTEN;
            }
        }
    }
    return true;
}

int seccomp_bpf_check(const struct linux_sock_filter *program, size_t count) {
    if (count == 0 || count > LINUX_BPF_MAXINSNS)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (!is_allowed(&program[i], count - 1 - i))
            return -EINVAL;
    if ((program[count - 1].code & CLASS) != LINUX_BPF_RET)
        return -EINVAL;
    return reads_only_written(program, count) ? 0 : -EINVAL;
}

/* ---- cost ---- */

enum { PROLOGUE = 3, DIVIDE = 5, RETURN_CONSTANT = 2 };

static uint32_t jump_cost(const struct linux_sock_filter *f) {
    uint16_t op = f->code & 0xf0;

    if (op == LINUX_BPF_JA)
        return 1;
    uint32_t constant = !(f->code & LINUX_BPF_X) && (int32_t)f->k < 0;
    bool one = f->jf == 0 || (f->jt == 0 && op != LINUX_BPF_JSET);
    return (one ? 1 : 2) + constant;
}

uint32_t seccomp_bpf_cost(const struct linux_sock_filter *program, size_t count) {
    uint32_t cost = PROLOGUE;

    for (size_t i = 0; i < count; i++) {
        const struct linux_sock_filter *f = &program[i];
        if ((f->code & CLASS) == LINUX_BPF_JMP)
            cost += jump_cost(f);
        else if (f->code == (LINUX_BPF_ALU | LINUX_BPF_DIV | LINUX_BPF_X))
            cost += DIVIDE;
        else if (f->code == (LINUX_BPF_RET | LINUX_BPF_K))
            cost += RETURN_CONSTANT;
        else
            cost++;
    }
    return cost;
}

/* ---- running ---- */

static bool alu(uint16_t op, uint32_t *a, uint32_t b) {
    switch (op) {
    case LINUX_BPF_ADD:
        *a += b;
        return true;
    case LINUX_BPF_SUB:
        *a -= b;
        return true;
    case LINUX_BPF_MUL:
        *a *= b;
        return true;
    case LINUX_BPF_DIV:
        if (b == 0)
            return false;
        *a /= b;
        return true;
    case LINUX_BPF_AND:
        *a &= b;
        return true;
    case LINUX_BPF_OR:
        *a |= b;
        return true;
    case LINUX_BPF_XOR:
        *a ^= b;
        return true;
    case LINUX_BPF_LSH:
        *a <<= b & 31;
        return true;
    case LINUX_BPF_RSH:
        *a >>= b & 31;
        return true;
    default: /* NEG */
        *a = -*a;
        return true;
    }
}

static bool condition(uint16_t op, uint32_t a, uint32_t b) {
    switch (op) {
    case LINUX_BPF_JEQ:
        return a == b;
    case LINUX_BPF_JGT:
        return a > b;
    case LINUX_BPF_JGE:
        return a >= b;
    default: /* JSET */
        return a & b;
    }
}

struct machine {
    uint32_t a, x, memory[LINUX_BPF_MEMWORDS];
};

/* LD, LDX, ST, STX, MISC: all but ABS, which only the callers can do. */
static void move(struct machine *m, const struct linux_sock_filter *f) {
    switch (f->code) {
    case LINUX_BPF_LD | LINUX_BPF_IMM:
        m->a = f->k;
        break;
    case LINUX_BPF_LDX | LINUX_BPF_IMM:
        m->x = f->k;
        break;
    case LINUX_BPF_LD | LINUX_BPF_W | LINUX_BPF_LEN:
        m->a = sizeof(struct linux_seccomp_data);
        break;
    case LINUX_BPF_LDX | LINUX_BPF_W | LINUX_BPF_LEN:
        m->x = sizeof(struct linux_seccomp_data);
        break;
    case LINUX_BPF_LD | LINUX_BPF_MEM:
        m->a = m->memory[f->k % LINUX_BPF_MEMWORDS];
        break;
    case LINUX_BPF_LDX | LINUX_BPF_MEM:
        m->x = m->memory[f->k % LINUX_BPF_MEMWORDS];
        break;
    case LINUX_BPF_ST:
        m->memory[f->k % LINUX_BPF_MEMWORDS] = m->a;
        break;
    case LINUX_BPF_STX:
        m->memory[f->k % LINUX_BPF_MEMWORDS] = m->x;
        break;
    case LINUX_BPF_MISC | LINUX_BPF_TAX:
        m->x = m->a;
        break;
    case LINUX_BPF_MISC | LINUX_BPF_TXA:
        m->a = m->x;
        break;
    }
}

enum { KNOWN_BYTES = 8 /* number and architecture */ };

/* Runs; a load beyond the first `known` bytes of the data ends it with false. */
static bool run(const struct linux_sock_filter *program, size_t count, const struct linux_seccomp_data *data,
                size_t known, uint32_t *ret) {
    struct machine m = {0};

    for (size_t i = 0; i < count; i++) {
        const struct linux_sock_filter *f = &program[i];
        uint32_t operand = f->code & LINUX_BPF_X ? m.x : f->k;
        switch (f->code & CLASS) {
        case LINUX_BPF_RET:
            *ret = f->code & LINUX_BPF_A ? m.a : f->k;
            return true;
        case LINUX_BPF_ALU:
            if (!alu(f->code & 0xf0, &m.a, operand)) {
                *ret = LINUX_SECCOMP_RET_KILL_THREAD;
                return true;
            }
            break;
        case LINUX_BPF_JMP:
            if ((f->code & 0xf0) == LINUX_BPF_JA)
                i += f->k;
            else
                i += condition(f->code & 0xf0, m.a, operand) ? f->jt : f->jf;
            break;
        default:
            if (f->code != (LINUX_BPF_LD | LINUX_BPF_W | LINUX_BPF_ABS)) {
                move(&m, f);
                break;
            }
            if (f->k > known - sizeof m.a)
                return false;
            memcpy(&m.a, (const char *)data + f->k, sizeof m.a);
        }
    }
    ASSERT(!"a checked program ends by a return");
    return false;
}

uint32_t seccomp_bpf_run(const struct linux_sock_filter *program, size_t count,
                         const struct linux_seccomp_data *data) {
    uint32_t result = LINUX_SECCOMP_RET_KILL_PROCESS;

    (void)run(program, count, data, sizeof *data, &result);
    return result;
}

bool seccomp_bpf_always_allows(const struct linux_sock_filter *program, size_t count, uint32_t number) {
    const struct linux_seccomp_data data = {.nr = (int32_t)number, .arch = LINUX_AUDIT_ARCH_X86_64};
    uint32_t result;

    return run(program, count, &data, KNOWN_BYTES, &result) && result == LINUX_SECCOMP_RET_ALLOW;
}
