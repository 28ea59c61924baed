/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/dirent.h: guest ABI, x86-64: getdents(2), getdents64(2).
 */
#pragma once

#include "base/abi/linux/abi.h"

/* d_type */
#define LINUX_DT_UNKNOWN 0
#define LINUX_DT_FIFO    1
#define LINUX_DT_CHR     2
#define LINUX_DT_DIR     4
#define LINUX_DT_BLK     6
#define LINUX_DT_REG     8
#define LINUX_DT_LNK     10
#define LINUX_DT_SOCK    12
#define LINUX_DT_WHT     14

/* The type stands in the record's last byte. */
struct linux_dirent {
    uint64_t ino, off;
    uint16_t reclen;
    char name[];
};
ABI_OFFSET(linux_dirent, name, 18);

struct linux_dirent64 {
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};
ABI_OFFSET(linux_dirent64, reclen, 16);
ABI_OFFSET(linux_dirent64, type, 18);
ABI_OFFSET(linux_dirent64, name, 19);
