/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/limits.h: guest ABI, x86-64: limits that are part of the ABI.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* limits of the ABI */
#define LINUX_NR_OPEN     1024
#define LINUX_NGROUPS_MAX 65536
#define LINUX_ARG_MAX     131072
#define LINUX_LINK_MAX    127
#define LINUX_MAX_CANON   255
#define LINUX_MAX_INPUT   255
#define LINUX_NAME_MAX    255
#define LINUX_PATH_MAX    4096
#define LINUX_PIPE_BUF    4096
#define LINUX_UIO_MAXIOV  1024

#define LINUX_SYMLOOP_MAX 40 /* links followed in one path walk */
