/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/elfcore.h: guest ABI, x86-64: notes of core files. Source: core(5), <sys/procfs.h>.
 */
#pragma once

#include "base/abi/linux/ptrace.h"

#define LINUX_NT_PRPSINFO 3
#define LINUX_NT_AUXV     6
#define LINUX_NT_SIGINFO  0x53494749
#define LINUX_NT_FILE     0x46494c45

struct linux_prstatus {
    int32_t signo, code, errnum;
    int16_t cursig;
    uint64_t pending, held;
    int32_t pid, ppid, pgrp, sid;
    int64_t utime[2], stime[2], cutime[2], cstime[2]; /* seconds, microseconds */
    struct linux_user_regs reg;
    int32_t fpvalid;
};
ABI_SIZE(linux_prstatus, 336);
ABI_OFFSET(linux_prstatus, reg, 112);

struct linux_prpsinfo {
    char state, sname, zomb, nice;
    uint64_t flag;
    uint32_t uid, gid;
    int32_t pid, ppid, pgrp, sid;
    char fname[16], psargs[80];
};
ABI_SIZE(linux_prpsinfo, 136);
ABI_OFFSET(linux_prpsinfo, fname, 40);
