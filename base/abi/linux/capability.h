/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/capability.h: guest ABI, x86-64: capabilities.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* capabilities */
#define LINUX_CAP_CHOWN              0
#define LINUX_CAP_DAC_OVERRIDE       1
#define LINUX_CAP_DAC_READ_SEARCH    2
#define LINUX_CAP_FOWNER             3
#define LINUX_CAP_FSETID             4
#define LINUX_CAP_KILL               5
#define LINUX_CAP_SETGID             6
#define LINUX_CAP_SETUID             7
#define LINUX_CAP_SETPCAP            8
#define LINUX_CAP_LINUX_IMMUTABLE    9
#define LINUX_CAP_NET_BIND_SERVICE   10
#define LINUX_CAP_NET_BROADCAST      11
#define LINUX_CAP_NET_ADMIN          12
#define LINUX_CAP_NET_RAW            13
#define LINUX_CAP_IPC_LOCK           14
#define LINUX_CAP_IPC_OWNER          15
#define LINUX_CAP_SYS_MODULE         16
#define LINUX_CAP_SYS_RAWIO          17
#define LINUX_CAP_SYS_CHROOT         18
#define LINUX_CAP_SYS_PTRACE         19
#define LINUX_CAP_SYS_PACCT          20
#define LINUX_CAP_SYS_ADMIN          21
#define LINUX_CAP_SYS_BOOT           22
#define LINUX_CAP_SYS_NICE           23
#define LINUX_CAP_SYS_RESOURCE       24
#define LINUX_CAP_SYS_TIME           25
#define LINUX_CAP_SYS_TTY_CONFIG     26
#define LINUX_CAP_MKNOD              27
#define LINUX_CAP_LEASE              28
#define LINUX_CAP_AUDIT_WRITE        29
#define LINUX_CAP_AUDIT_CONTROL      30
#define LINUX_CAP_SETFCAP            31
#define LINUX_CAP_MAC_OVERRIDE       32
#define LINUX_CAP_MAC_ADMIN          33
#define LINUX_CAP_SYSLOG             34
#define LINUX_CAP_WAKE_ALARM         35
#define LINUX_CAP_BLOCK_SUSPEND      36
#define LINUX_CAP_AUDIT_READ         37
#define LINUX_CAP_PERFMON            38
#define LINUX_CAP_BPF                39
#define LINUX_CAP_CHECKPOINT_RESTORE 40

/* limits */
#define LINUX_CAP_LAST_CAP 40

/* capget(2) */
#define LINUX_CAPABILITY_VERSION_1    0x19980330
#define LINUX_CAPABILITY_VERSION_2    0x20071026
#define LINUX_CAPABILITY_VERSION_3    0x20080522
#define LINUX_CAPABILITY_U32S_1       1
#define LINUX_CAPABILITY_U32S_2       2
#define LINUX_CAPABILITY_U32S_3       2
#define LINUX_VFS_CAP_REVISION_MASK   0xff000000u
#define LINUX_VFS_CAP_REVISION_SHIFT  24
#define LINUX_VFS_CAP_FLAGS_MASK      0xffffff
#define LINUX_VFS_CAP_FLAGS_EFFECTIVE 0x1
#define LINUX_VFS_CAP_REVISION_1      0x1000000
#define LINUX_VFS_CAP_REVISION_2      0x2000000
#define LINUX_VFS_CAP_REVISION_3      0x3000000
#define LINUX_VFS_CAP_REVISION        0x3000000

#define LINUX_CAP_FULL ((1ull << (LINUX_CAP_LAST_CAP + 1)) - 1)

struct linux_cap_header {
    uint32_t version;
    int32_t pid;
};
ABI_SIZE(linux_cap_header, 8);

struct linux_cap_data {
    uint32_t effective, permitted, inheritable;
};
ABI_SIZE(linux_cap_data, 12);

/* The attribute security.capability; revision 2 lacks rootid. */
struct linux_vfs_cap_data {
    uint32_t magic_etc;
    struct {
        uint32_t permitted, inheritable;
    } data[2];
    uint32_t rootid;
};
ABI_SIZE(linux_vfs_cap_data, 24);
