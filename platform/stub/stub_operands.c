/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_operands.c: part of the stub's text. Which arguments of which call point at memory, so
 * that the guest thread copies it into its slot before it hands over, and results back before it goes on: the
 * sentry then needs no process_vm_readv or writev, which cost thirty times such a copy.
 *
 * All of this is a hint. What is not here, too large, or not readable is copied by the sentry; a range that
 * is brought but not asked for costs a few ns. So the table holds only arguments that are pointers in every
 * use of the call. What the guest makes of it (this runs as guest code, on memory that it can write) is its
 * own affair: the bytes are those of its memory as far as the sentry cares.
 */
#include "platform/stub/stub_operands.h"

#include <stddef.h>

#include "platform/stub/stub_layout.h"

enum kind { NOTHING, IN_FIXED, IN_PATH, IN_COUNTED, IN_FRAME, OUT_FIXED, OUT_COUNTED, OUT_FRAME };
enum unit { BYTES, OF_8, OF_16, OF_12 };
enum { RULES = 3, CALLS = 440, PATH_BYTES = 256, FRAME_BYTES = 3584, RED_ZONE = 128, LOWEST = 0x1000 };

struct rule {
    uint8_t kind : 4, arg : 4; /* enum kind; which argument is the pointer */
    uint8_t size;              /* FIXED: bytes / 8; COUNTED: which argument is the count, and the unit */
};

#define IN(arg_, size_)                                                                                      \
    { IN_FIXED, arg_, (size_ + 7) / 8 }
#define OUT(arg_, size_)                                                                                     \
    { OUT_FIXED, arg_, (size_ + 7) / 8 }
#define PATH(arg_)                                                                                           \
    { IN_PATH, arg_, 0 }
#define INS(arg_, count_, unit_)                                                                             \
    { IN_COUNTED, arg_, count_ | unit_ << 4 }
#define OUTS(arg_, count_, unit_)                                                                            \
    { OUT_COUNTED, arg_, count_ | unit_ << 4 }
/* Of a signal handler that returns, and of one that the call is likely to start, on the stack at hand. */
#define OLD_FRAME                                                                                            \
    { IN_FRAME, 0, 0 }
#define NEW_FRAME                                                                                            \
    { OUT_FRAME, 0, 0 }
enum { STAT = 144, SIGNAL_ACTION = 32, TIME = 16, INFO = 128 };

static const struct rule g_rules[CALLS][RULES] = {
    [0] = {OUTS(1, 2, BYTES)},                                /* read */
    [1] = {INS(1, 2, BYTES)},                                 /* write */
    [2] = {PATH(0)},                                          /* open */
    [4] = {PATH(0), OUT(1, STAT)},                            /* stat */
    [5] = {OUT(1, STAT)},                                     /* fstat */
    [6] = {PATH(0), OUT(1, STAT)},                            /* lstat */
    [7] = {INS(0, 1, OF_8), OUTS(0, 1, OF_8)},                /* poll */
    [13] = {IN(1, SIGNAL_ACTION), OUT(2, SIGNAL_ACTION)},     /* rt_sigaction */
    [14] = {IN(1, 8), OUT(2, 8)},                             /* rt_sigprocmask */
    [15] = {OLD_FRAME},                                       /* rt_sigreturn */
    [17] = {OUTS(1, 2, BYTES)},                               /* pread64 */
    [18] = {INS(1, 2, BYTES)},                                /* pwrite64 */
    [19] = {INS(1, 2, OF_16)},                                /* readv */
    [20] = {INS(1, 2, OF_16)},                                /* writev */
    [21] = {PATH(0)},                                         /* access */
    [22] = {OUT(0, 8)},                                       /* pipe */
    [35] = {IN(0, TIME)},                                     /* nanosleep */
    [38] = {IN(1, 32), OUT(2, 32)},                           /* setitimer */
    [42] = {INS(1, 2, BYTES)},                                /* connect */
    [44] = {INS(1, 2, BYTES), INS(4, 5, BYTES)},              /* sendto */
    [45] = {OUTS(1, 2, BYTES)},                               /* recvfrom */
    [46] = {IN(1, 56)},                                       /* sendmsg */
    [47] = {IN(1, 56)},                                       /* recvmsg */
    [49] = {INS(1, 2, BYTES)},                                /* bind */
    [53] = {OUT(3, 8)},                                       /* socketpair */
    [61] = {OUT(1, 4)},                                       /* wait4 */
    [62] = {NEW_FRAME},                                       /* kill */
    [63] = {OUT(0, 390)},                                     /* uname */
    [79] = {OUTS(0, 1, BYTES)},                               /* getcwd */
    [80] = {PATH(0)},                                         /* chdir */
    [82] = {PATH(0), PATH(1)},                                /* rename */
    [83] = {PATH(0)},                                         /* mkdir */
    [84] = {PATH(0)},                                         /* rmdir */
    [86] = {PATH(0), PATH(1)},                                /* link */
    [87] = {PATH(0)},                                         /* unlink */
    [88] = {PATH(0), PATH(1)},                                /* symlink */
    [89] = {PATH(0), OUTS(1, 2, BYTES)},                      /* readlink */
    [90] = {PATH(0)},                                         /* chmod */
    [92] = {PATH(0)},                                         /* chown */
    [94] = {PATH(0)},                                         /* lchown */
    [96] = {OUT(0, TIME)},                                    /* gettimeofday */
    [97] = {OUT(1, 16)},                                      /* getrlimit */
    [98] = {OUT(1, 144)},                                     /* getrusage */
    [99] = {OUT(0, 112)},                                     /* sysinfo */
    [100] = {OUT(0, 32)},                                     /* times */
    [128] = {IN(0, 8), IN(2, TIME), OUT(1, INFO)},            /* rt_sigtimedwait */
    [131] = {IN(0, 24), OUT(1, 24)},                          /* sigaltstack */
    [137] = {PATH(0), OUT(1, 120)},                           /* statfs */
    [138] = {OUT(1, 120)},                                    /* fstatfs */
    [200] = {NEW_FRAME},                                      /* tkill */
    [204] = {OUTS(2, 1, BYTES)},                              /* sched_getaffinity */
    [217] = {OUTS(1, 2, BYTES)},                              /* getdents64 */
    [228] = {OUT(1, TIME)},                                   /* clock_gettime */
    [230] = {IN(2, TIME)},                                    /* clock_nanosleep */
    [232] = {OUTS(1, 2, OF_12)},                              /* epoll_wait */
    [233] = {IN(3, 12)},                                      /* epoll_ctl */
    [234] = {NEW_FRAME},                                      /* tgkill */
    [247] = {OUT(2, INFO)},                                   /* waitid */
    [257] = {PATH(1)},                                        /* openat */
    [258] = {PATH(1)},                                        /* mkdirat */
    [262] = {PATH(1), OUT(2, STAT)},                          /* newfstatat */
    [263] = {PATH(1)},                                        /* unlinkat */
    [264] = {PATH(1), PATH(3)},                               /* renameat */
    [265] = {PATH(1), PATH(3)},                               /* linkat */
    [266] = {PATH(0), PATH(2)},                               /* symlinkat */
    [267] = {PATH(1), OUTS(2, 3, BYTES)},                     /* readlinkat */
    [268] = {PATH(1)},                                        /* fchmodat */
    [269] = {PATH(1)},                                        /* faccessat */
    [271] = {INS(0, 1, OF_8), OUTS(0, 1, OF_8), IN(2, TIME)}, /* ppoll */
    [280] = {PATH(1), IN(2, 32)},                             /* utimensat */
    [281] = {OUTS(1, 2, OF_12)},                              /* epoll_pwait */
    [293] = {OUT(0, 8)},                                      /* pipe2 */
    [302] = {IN(2, 16), OUT(3, 16)},                          /* prlimit64 */
    [316] = {PATH(1), PATH(3)},                               /* renameat2 */
    [318] = {OUTS(0, 1, BYTES)},                              /* getrandom */
    [332] = {PATH(1), OUT(4, 256)},                           /* statx */
    [437] = {PATH(1), IN(2, 24)},                             /* openat2 */
    [439] = {PATH(1)},                                        /* faccessat2 */
};

/* Where the arguments lie in `regs`: rdi, rsi, rdx, r10, r8, r9. */
static uint64_t argument(const uint64_t *regs, unsigned n) {
    static const uint8_t place[] = {8, 9, 12, 2, 0, 1};
    return regs[place[n]];
}
enum { REG_RAX = 13, REG_RSP = 15 };

static uint64_t address_of(const struct rule *r, const uint64_t *regs) {
    if (r->kind == IN_FRAME)
        return regs[REG_RSP] - 8;
    if (r->kind == OUT_FRAME)
        return regs[REG_RSP] - RED_ZONE - FRAME_BYTES;
    return argument(regs, r->arg);
}

/* Bytes that the rule means. */
static uint64_t size_of(const struct rule *r, const uint64_t *regs, uint64_t address) {
    static const uint8_t unit[] = {1, 8, 16, 12};
    if (r->kind == IN_PATH) {
        uint64_t to_page_end = 4096 - address % 4096;
        return to_page_end < PATH_BYTES ? to_page_end : PATH_BYTES;
    }
    if (r->kind == IN_FRAME || r->kind == OUT_FRAME)
        return FRAME_BYTES;
    if (r->kind == IN_FIXED || r->kind == OUT_FIXED)
        return 8ull * r->size;
    uint64_t count = argument(regs, r->size & 15);
    return count > STUB_MSG_SIZE ? STUB_MSG_SIZE : count * unit[r->size >> 4];
}

static void bring_in(struct stub_slot *s, uint64_t address, uint64_t size, uint64_t *used) {
    if (size > OPERAND_MAX - *used)
        return;
    size -= stub_copy((char *)s + SLOT_DATA + *used, (const void *)address, size);
    s->in[s->in_count++] = (struct stub_operand){address, (uint32_t)size, (uint32_t)*used};
    *used += size;
}

void stub_bring(struct stub_slot *s, const uint64_t *regs) {
    uint64_t number = regs[REG_RAX], used = 0;
    s->in_count = s->out_count = 0;
    if (number >= CALLS)
        return;
    for (unsigned i = 0; i < RULES && g_rules[number][i].kind; i++) {
        const struct rule *r = &g_rules[number][i];
        uint64_t address = address_of(r, regs), size = size_of(r, regs, address);
        if (address < LOWEST || address >= STUB_BASE || size == 0 || size > STUB_BASE - address)
            continue;
        if (r->kind < OUT_FIXED) {
            bring_in(s, address, size, &used);
            continue;
        }
        size = stub_touch(address, size < OPERAND_MAX ? size : OPERAND_MAX);
        s->out[s->out_count++] = (struct stub_operand){address, (uint32_t)size, 0};
    }
}

bool stub_put_given(struct stub_slot *s) {
    uint32_t count = s->given_count;
    for (uint32_t i = 0; i < count && i < OPERANDS_GIVEN; i++) {
        const struct stub_operand *g = &s->given[i];
        if (stub_copy((void *)g->address, (char *)s + SLOT_DATA + g->at, g->size))
            return false;
    }
    s->given_count = 0;
    return true;
}
