/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/abi.h: what the headers of the guest ABI share.
 *
 * Every structure is struct linux_x, every constant LINUX_X, so that no libc header can be meant by mistake:
 * libc's own sigset_t, sigaction, siginfo, epoll_event, termios and others differ from the kernel's. Guest
 * pointers are uint64_t. The headers include nothing of libc but <stdint.h> and <stddef.h>. Errno values are
 * the host's (same machine) and travel negative. tests/unit/base/abi_check.sh compares the constants with the
 * build machine's headers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ABI_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)
#define ABI_OFFSET(type, member, offset)                                                                     \
    _Static_assert(offsetof(struct type, member) == (offset), #type "." #member)
