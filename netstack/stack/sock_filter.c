/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/sock_filter.c: the interpreter (sock_filter.h). Programs are a guest's: checked once when
 * they are attached, and again in no step but the loads.
 */
#include "netstack/stack/sock_filter.h"

#include <stdbool.h>

#include "base/compiler.h"
#include "netstack/stack/stack_core.h"

enum {
    LD = 0,
    LDX = 1,
    ST = 2,
    STX = 3,
    ALU = 4,
    JMP = 5,
    RET = 6,
    MISC = 7, /* class */
    W = 0x00,
    H = 0x08,
    B = 0x10, /* size */
    IMM = 0x00,
    ABS = 0x20,
    IND = 0x40,
    MEM = 0x60,
    LEN = 0x80,
    MSH = 0xa0, /* mode */
    ADD = 0x00,
    SUB = 0x10,
    MUL = 0x20,
    DIV = 0x30,
    OR = 0x40,
    AND = 0x50,
    LSH = 0x60,
    RSH = 0x70,
    NEG = 0x80,
    MOD = 0x90,
    XOR = 0xa0,
    JA = 0x00,
    JEQ = 0x10,
    JGT = 0x20,
    JGE = 0x30,
    JSET = 0x40,
    X = 0x08,
    A = 0x10,
    TXA = 0x80,
    MEMWORDS = 16,
};

/* Loads that ask about the packet rather than of it: offsets from SKF_AD_OFF. */
enum {
    AD_PROTOCOL = 0,
    AD_PKTTYPE = 4,
    AD_IFINDEX = 8,
    AD_MARK = 20,
    AD_QUEUE = 24,
    AD_HATYPE = 28,
    AD_RXHASH = 32,
    AD_CPU = 36,
    AD_ALU_XOR_X = 40,
    AD_VLAN_TAG = 44,
    AD_VLAN_PRESENT = 48,
    AD_PAY_OFFSET = 52,
    AD_RANDOM = 56,
    AD_VLAN_TPID = 60,
    AD_MAX = 64,
};
#define AD_OFF  ((uint32_t)-0x1000)
#define NET_OFF ((uint32_t)-0x100000)
#define LL_OFF  ((uint32_t)-0x200000)

static bool valid_alu(const struct bpf_insn *f) {
    switch (f->code & 0xf0) {
    case DIV:
    case MOD:
        return f->code & X || f->k != 0;
    case LSH:
    case RSH:
        return f->code & X || f->k < 32;
    }
    return (f->code & 0xf0) <= XOR;
}

static bool valid_load(const struct bpf_insn *f) {
    uint16_t mode = f->code & 0xe0, size = f->code & 0x18;
    bool x = (f->code & 7) == LDX;

    if (mode == ABS && !x && f->k >= AD_OFF && f->k - AD_OFF >= AD_MAX)
        return false;
    if (mode == MEM)
        return size == W && f->k < MEMWORDS;
    if (mode == IMM || mode == LEN)
        return size == W;
    return x ? mode == MSH && size == B : (mode == ABS || mode == IND) && size <= B;
}

static bool valid_jump(const struct bpf_insn *f, size_t left) {
    if ((f->code & 0xf0) == JA)
        return f->code == (JMP | JA) && f->k < left;
    return (f->code & 0xf0) <= JSET && f->jt < left && f->jf < left;
}

/* `left`: instructions behind this one. */
static bool valid_one(const struct bpf_insn *f, size_t left) {
    if (f->code & 0xff00)
        return false;
    switch (f->code & 7) {
    case LD:
    case LDX:
        return valid_load(f);
    case ST:
    case STX:
        return (f->code & 0xf8) == 0 && f->k < MEMWORDS;
    case ALU:
        return valid_alu(f);
    case JMP:
        return valid_jump(f, left);
    case RET:
        return f->code == RET || f->code == (RET | A);
    }
    return f->code == MISC || f->code == (MISC | TXA);
}

/* Scratch words are read only where every path has written them: the set of written words meets at each
 * target. */
static bool scratch_written(const struct bpf_insn *f, size_t count) {
    uint16_t seen[BPF_MAX_INSNS + 1], now = 0;

    memset(seen, 0xff, sizeof(seen[0]) * (count + 1));
    for (size_t i = 0; i < count; i++) {
        now &= seen[i];
        switch (f[i].code) {
        case ST:
        case STX:
            now |= (uint16_t)(1u << f[i].k);
            break;
        case LD | MEM:
        case LDX | MEM:
            if (!(now >> f[i].k & 1))
                return false;
            break;
        case JMP | JA:
            seen[i + 1 + f[i].k] &= now;
            now = 0xffff;
            break;
        default:
            if ((f[i].code & 7) == JMP) {
                seen[i + 1 + f[i].jt] &= now;
                seen[i + 1 + f[i].jf] &= now;
                now = 0xffff;
            }
        }
    }
    return true;
}

bool filter_valid(const struct bpf_insn *f, size_t count) {
    if (count == 0 || count > BPF_MAX_INSNS)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!valid_one(&f[i], count - i - 1))
            return false;
    }
    return (f[count - 1].code & 7) == RET && scratch_written(f, count);
}

static bool ancillary(const struct pkt *p, uint32_t what, uint32_t a, uint32_t x, uint32_t *ret) {
    switch (what) {
    case AD_PROTOCOL:
        *ret = p->ethertype;
        return true;
    case AD_PKTTYPE:
        *ret = p->type;
        return true;
    case AD_IFINDEX:
        *ret = p->ifindex;
        return true;
    case AD_MARK:
        *ret = p->mark;
        return true;
    case AD_HATYPE:
        *ret = p->nic ? p->nic->arphrd : NS_ARPHRD_ETHER;
        return true;
    case AD_RANDOM:
        if (p->nic)
            *ret = stack_random32(p->nic->st);
        return p->nic != NULL;
    case AD_PAY_OFFSET:
        *ret = p->trans_off;
        return true;
    case AD_ALU_XOR_X:
        *ret = a ^ x;
        return true;
    case AD_QUEUE:
    case AD_RXHASH:
    case AD_CPU:
    case AD_VLAN_TAG:
    case AD_VLAN_PRESENT:
    case AD_VLAN_TPID:
        *ret = 0;
        return true;
    }
    return false;
}

static bool load(const struct pkt *p, uint32_t start, uint32_t at, uint32_t size, uint32_t *ret) {
    uint8_t b[4];
    uint32_t base = start;

    if (at >= LL_OFF && at < NET_OFF) {
        base = 0;
        at -= LL_OFF;
    } else if (at >= NET_OFF && at < AD_OFF) {
        base = p->net_off;
        at -= NET_OFF;
    }
    if (at > PKT_MAX_LEN || base + at + size > p->len || pkt_copy_out(p, base + at, b, size) != size)
        return false;
    *ret = size == 4 ? get_be32(b) : size == 2 ? get_be16(b) : b[0];
    return true;
}

static bool compute(uint16_t op, uint32_t v, uint32_t *a) {
    switch (op) {
    case ADD:
        *a += v;
        break;
    case SUB:
        *a -= v;
        break;
    case MUL:
        *a *= v;
        break;
    case OR:
        *a |= v;
        break;
    case AND:
        *a &= v;
        break;
    case LSH:
        *a = v < 32 ? *a << v : 0;
        break;
    case RSH:
        *a = v < 32 ? *a >> v : 0;
        break;
    case NEG:
        *a = -*a;
        break;
    case XOR:
        *a ^= v;
        break;
    default: /* DIV, MOD: by zero the packet is dropped */
        if (v == 0)
            return false;
        *a = op == DIV ? *a / v : *a % v;
    }
    return true;
}

static bool test(uint16_t op, uint32_t a, uint32_t v) {
    return op == JEQ ? a == v : op == JGT ? a > v : op == JGE ? a >= v : a & v;
}

struct machine {
    const struct pkt *p;
    uint32_t start, a, x, mem[MEMWORDS];
};

static bool do_load(struct machine *m, const struct bpf_insn *f) {
    uint32_t size = (f->code & 0x18) == W ? 4 : (f->code & 0x18) == H ? 2 : 1, v = 0;
    bool to_x = (f->code & 7) == LDX;

    switch (f->code & 0xe0) {
    case IMM:
        v = f->k;
        break;
    case LEN:
        v = m->p->len - m->start;
        break;
    case MEM:
        v = m->mem[f->k];
        break;
    case MSH:
        if (!load(m->p, m->start, f->k, 1, &v))
            return false;
        v = (v & 0xf) << 2;
        break;
    case ABS:
        if (f->k >= AD_OFF ? !ancillary(m->p, f->k - AD_OFF, m->a, m->x, &v)
                           : !load(m->p, m->start, f->k, size, &v))
            return false;
        break;
    default:                                     /* IND */
        if (m->x + f->k < m->x && f->k < LL_OFF) /* wrapped */
            return false;
        if (!load(m->p, m->start, m->x + f->k, size, &v))
            return false;
    }
    *(to_x ? &m->x : &m->a) = v;
    return true;
}

uint32_t filter_run(const struct bpf_insn *insns, size_t count, const struct pkt *p, uint32_t start) {
    struct machine m = {.p = p, .start = start};

    for (size_t i = 0; i < count; i++) {
        const struct bpf_insn *f = &insns[i];
        uint32_t operand = f->code & X ? m.x : f->k;
        switch (f->code & 7) {
        case LD:
        case LDX:
            if (!do_load(&m, f))
                return 0;
            break;
        case ST:
            m.mem[f->k] = m.a;
            break;
        case STX:
            m.mem[f->k] = m.x;
            break;
        case ALU:
            if (!compute(f->code & 0xf0, operand, &m.a))
                return 0;
            break;
        case JMP:
            i += (f->code & 0xf0) == JA ? f->k : test(f->code & 0xf0, m.a, operand) ? f->jt : f->jf;
            break;
        case RET:
            return f->code & A ? m.a : f->k;
        default:
            if (f->code & TXA)
                m.a = m.x;
            else
                m.x = m.a;
        }
    }
    return 0;
}
