/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_files.h: what the handlers of file calls share: arguments to files and paths, results
 * to guest structures, signals of writes.
 */
#pragma once

#include <sys/types.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/limits.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

enum { MAX_RW_COUNT = 0x7ffff000, BOUNCE_SIZE = 64 << 10 };

static inline int arg_int(const struct syscall_args *a, unsigned n) {
    return (int)(uint32_t)a->arg[n];
}
static inline uint32_t arg_u32(const struct syscall_args *a, unsigned n) {
    return (uint32_t)a->arg[n];
}

/* Looks up the path at guest address `name` as seen by `t`; LOOKUP_EMPTY allows "". New references. */
int lookup_user(struct task *t, int dirfd, gva_t name, unsigned flags, struct path *ret) must_check;
/* LOOKUP_* of AT_SYMLINK_NOFOLLOW (follow by default), AT_SYMLINK_FOLLOW is the caller's, AT_EMPTY_PATH. */
unsigned lookup_flags_of_at(uint32_t at_flags);
/* What write(2) and the like return: sends SIGPIPE and SIGXFSZ as they are due. */
ssize_t write_result(struct task *t, struct file *f, ssize_t r);
/* Result of a call that waits and cannot be restarted: internal codes become -EINTR. */
static inline int64_t no_restart(int64_t r) {
    return r <= -512 && r > -600 ? -4 /* EINTR */ : r;
}
