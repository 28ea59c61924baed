/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/unix/unix.h: the sockets of AF_UNIX as listings show them. Source: unix(7), proc(5)
 * "/proc/net/unix".
 */
#pragma once

#include "sentry/kernel/net_ns.h"

struct unix_info {
    uint64_t inode; /* 0: no open file (waits to be accepted) */
    int type;
    bool listening, connected;
    uint32_t refs;
    char name[110]; /* "": none; abstract ones begin with '@' */
};
/* Every socket with a file, in no order. No lock may be held; fn runs without one. */
void unix_each(struct kernel *k, void (*fn)(void *ctx, const struct unix_info *i), void *ctx);
