/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/system.h: guest ABI, x86-64: uname, sysinfo, reboot, personality, getrandom.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* getrandom(2) */
#define LINUX_GRND_NONBLOCK 0x1
#define LINUX_GRND_RANDOM   0x2
#define LINUX_GRND_INSECURE 0x4

/* reboot(2) */
#define LINUX_REBOOT_MAGIC1         0xfee1deadu
#define LINUX_REBOOT_MAGIC2         672274793
#define LINUX_REBOOT_MAGIC2A        85072278
#define LINUX_REBOOT_MAGIC2B        369367448
#define LINUX_REBOOT_MAGIC2C        537993216
#define LINUX_REBOOT_CMD_RESTART    0x1234567
#define LINUX_REBOOT_CMD_HALT       0xcdef0123u
#define LINUX_REBOOT_CMD_CAD_ON     0x89abcdefu
#define LINUX_REBOOT_CMD_CAD_OFF    0x0
#define LINUX_REBOOT_CMD_POWER_OFF  0x4321fedc
#define LINUX_REBOOT_CMD_RESTART2   0xa1b2c3d4u
#define LINUX_REBOOT_CMD_SW_SUSPEND 0xd000fce2u
#define LINUX_REBOOT_CMD_KEXEC      0x45584543

/* personality(2) */
#define LINUX_UNAME26            0x20000
#define LINUX_ADDR_NO_RANDOMIZE  0x40000
#define LINUX_FDPIC_FUNCPTRS     0x80000
#define LINUX_MMAP_PAGE_ZERO     0x100000
#define LINUX_ADDR_COMPAT_LAYOUT 0x200000
#define LINUX_READ_IMPLIES_EXEC  0x400000
#define LINUX_ADDR_LIMIT_32BIT   0x800000
#define LINUX_SHORT_INODE        0x1000000
#define LINUX_WHOLE_SECONDS      0x2000000
#define LINUX_STICKY_TIMEOUTS    0x4000000
#define LINUX_PER_LINUX          0x0
#define LINUX_PER_LINUX32        0x8

#define LINUX_UTS_LEN 65
struct linux_utsname {
    char sysname[LINUX_UTS_LEN], nodename[LINUX_UTS_LEN], release[LINUX_UTS_LEN], version[LINUX_UTS_LEN];
    char machine[LINUX_UTS_LEN], domainname[LINUX_UTS_LEN];
};
ABI_SIZE(linux_utsname, 390);

struct linux_sysinfo {
    int64_t uptime;
    uint64_t loads[3]; /* 1, 5 and 15 minutes, times 65536 */
    uint64_t totalram, freeram, sharedram, bufferram, totalswap, freeswap;
    uint16_t procs, pad;
    uint64_t totalhigh, freehigh;
    uint32_t mem_unit;
};
ABI_SIZE(linux_sysinfo, 112);
