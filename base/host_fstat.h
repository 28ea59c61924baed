/* SPDX-License-Identifier: Apache-2.0
 * base/host_fstat.h: fstat(2) as the call of that name. The C library makes newfstatat of it, which a seccomp
 * list cannot tell from a look at a name; processes behind such a list (sandbox, gofer) use this one.
 */
#pragma once

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As fstat(2): 0, or -1 and errno. struct stat is the kernel's own on x86-64. */
static inline int host_fstat(int fd, struct stat *st) {
    return (int)syscall(SYS_fstat, fd, st);
}
