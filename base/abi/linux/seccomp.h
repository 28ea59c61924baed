/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/seccomp.h: guest ABI, x86-64: seccomp(2) and classic BPF.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* seccomp(2) */
#define LINUX_SECCOMP_MODE_DISABLED                  0
#define LINUX_SECCOMP_MODE_STRICT                    1
#define LINUX_SECCOMP_MODE_FILTER                    2
#define LINUX_SECCOMP_SET_MODE_STRICT                0
#define LINUX_SECCOMP_SET_MODE_FILTER                1
#define LINUX_SECCOMP_GET_ACTION_AVAIL               2
#define LINUX_SECCOMP_GET_NOTIF_SIZES                3
#define LINUX_SECCOMP_FILTER_FLAG_TSYNC              0x1
#define LINUX_SECCOMP_FILTER_FLAG_LOG                0x2
#define LINUX_SECCOMP_FILTER_FLAG_SPEC_ALLOW         0x4
#define LINUX_SECCOMP_FILTER_FLAG_NEW_LISTENER       0x8
#define LINUX_SECCOMP_FILTER_FLAG_TSYNC_ESRCH        0x10
#define LINUX_SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV 0x20
#define LINUX_SECCOMP_RET_KILL_PROCESS               0x80000000u
#define LINUX_SECCOMP_RET_KILL_THREAD                0x0
#define LINUX_SECCOMP_RET_KILL                       0x0
#define LINUX_SECCOMP_RET_TRAP                       0x30000
#define LINUX_SECCOMP_RET_ERRNO                      0x50000
#define LINUX_SECCOMP_RET_USER_NOTIF                 0x7fc00000
#define LINUX_SECCOMP_RET_TRACE                      0x7ff00000
#define LINUX_SECCOMP_RET_LOG                        0x7ffc0000
#define LINUX_SECCOMP_RET_ALLOW                      0x7fff0000
#define LINUX_SECCOMP_RET_ACTION_FULL                0xffff0000u
#define LINUX_SECCOMP_RET_ACTION                     0x7fff0000
#define LINUX_SECCOMP_RET_DATA                       0xffff
#define LINUX_SECCOMP_USER_NOTIF_FLAG_CONTINUE       0x1
#define LINUX_SECCOMP_ADDFD_FLAG_SETFD               0x1
#define LINUX_SECCOMP_ADDFD_FLAG_SEND                0x2
#define LINUX_SECCOMP_FD_SYNC_WAKE_UP                0x1
#define LINUX_SECCOMP_IOCTL_NOTIF_RECV               0xc0502100u
#define LINUX_SECCOMP_IOCTL_NOTIF_SEND               0xc0182101u
#define LINUX_SECCOMP_IOCTL_NOTIF_ID_VALID           0x40082102u
#define LINUX_SECCOMP_IOCTL_NOTIF_ID_VALID_OLD       0x80082102u /* with the wrong direction: before 5.17 */
#define LINUX_SECCOMP_IOCTL_NOTIF_ADDFD              0x40182103u /* any size */
#define LINUX_SECCOMP_IOCTL_NOTIF_SET_FLAGS          0x40082104u

/* architecture */
#define LINUX_AUDIT_ARCH_X86_64 0xc000003eu
#define LINUX_AUDIT_ARCH_I386   0x40000003

/* BPF */
#define LINUX_BPF_LD       0x0
#define LINUX_BPF_LDX      0x1
#define LINUX_BPF_ST       0x2
#define LINUX_BPF_STX      0x3
#define LINUX_BPF_ALU      0x4
#define LINUX_BPF_JMP      0x5
#define LINUX_BPF_RET      0x6
#define LINUX_BPF_MISC     0x7
#define LINUX_BPF_W        0x0
#define LINUX_BPF_H        0x8
#define LINUX_BPF_B        0x10
#define LINUX_BPF_IMM      0x0
#define LINUX_BPF_ABS      0x20
#define LINUX_BPF_IND      0x40
#define LINUX_BPF_MEM      0x60
#define LINUX_BPF_LEN      0x80
#define LINUX_BPF_MSH      0xa0
#define LINUX_BPF_ADD      0x0
#define LINUX_BPF_SUB      0x10
#define LINUX_BPF_MUL      0x20
#define LINUX_BPF_DIV      0x30
#define LINUX_BPF_OR       0x40
#define LINUX_BPF_AND      0x50
#define LINUX_BPF_LSH      0x60
#define LINUX_BPF_RSH      0x70
#define LINUX_BPF_NEG      0x80
#define LINUX_BPF_MOD      0x90
#define LINUX_BPF_XOR      0xa0
#define LINUX_BPF_JA       0x0
#define LINUX_BPF_JEQ      0x10
#define LINUX_BPF_JGT      0x20
#define LINUX_BPF_JGE      0x30
#define LINUX_BPF_JSET     0x40
#define LINUX_BPF_K        0x0
#define LINUX_BPF_X        0x8
#define LINUX_BPF_MAXINSNS 4096
#define LINUX_BPF_A        0x10
#define LINUX_BPF_TAX      0x0
#define LINUX_BPF_TXA      0x80
#define LINUX_BPF_MEMWORDS 16
#define LINUX_BPF_NET_OFF  (-1048576)
#define LINUX_BPF_LL_OFF   (-2097152)

struct linux_seccomp_data {
    int32_t nr;
    uint32_t arch;
    uint64_t instruction_pointer, args[6];
};
ABI_SIZE(linux_seccomp_data, 64);

struct linux_sock_filter {
    uint16_t code;
    uint8_t jt, jf;
    uint32_t k;
};
ABI_SIZE(linux_sock_filter, 8);

struct linux_sock_fprog {
    uint16_t len;
    uint64_t filter;
};
ABI_SIZE(linux_sock_fprog, 16);

struct linux_seccomp_notif {
    uint64_t id;
    uint32_t pid, flags;
    struct linux_seccomp_data data;
};
ABI_SIZE(linux_seccomp_notif, 80);

struct linux_seccomp_notif_resp {
    uint64_t id;
    int64_t val;
    int32_t error;
    uint32_t flags;
};
ABI_SIZE(linux_seccomp_notif_resp, 24);

struct linux_seccomp_notif_sizes {
    uint16_t notif, resp, data;
};
ABI_SIZE(linux_seccomp_notif_sizes, 6);

struct linux_seccomp_notif_addfd {
    uint64_t id;
    uint32_t flags, srcfd, newfd, newfd_flags;
};
ABI_SIZE(linux_seccomp_notif_addfd, 24);
