/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/xattr.h: guest ABI, x86-64: extended attributes.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* flags, limits and prefixes */
#define LINUX_XATTR_CREATE   0x1
#define LINUX_XATTR_REPLACE  0x2
#define LINUX_XATTR_NAME_MAX 255
#define LINUX_XATTR_SIZE_MAX 65536
#define LINUX_XATTR_LIST_MAX 65536

#define LINUX_XATTR_USER_PREFIX     "user."
#define LINUX_XATTR_TRUSTED_PREFIX  "trusted."
#define LINUX_XATTR_SECURITY_PREFIX "security."
#define LINUX_XATTR_SYSTEM_PREFIX   "system."

/* setxattrat(2), getxattrat(2) */
struct linux_xattr_args {
    uint64_t value; /* address */
    uint32_t size, flags;
};
ABI_SIZE(linux_xattr_args, 16);
