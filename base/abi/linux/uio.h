/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/uio.h: guest ABI, x86-64: vectors of buffers.
 */
#pragma once

#include "base/abi/linux/abi.h"

struct linux_iovec {
    uint64_t base, len;
};
ABI_SIZE(linux_iovec, 16);
