/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_fd.c: descriptors: dup. fcntl: sys_fcntl.c, ioctl: sys_ioctl.c. Source: dup(2).
 */
#include <errno.h>

#include "sentry/syscalls/sys_files.h"

int64_t sys_dup(struct task *t, const struct syscall_args *a) {
    struct file *f = fd_get_any(t, arg_int(a, 0));

    if (!f)
        return -EBADF;
    int fd = fd_install(t, f, 0, /* cloexec= */ false);
    if (fd < 0)
        file_unref(f);
    return fd;
}

int64_t sys_dup2(struct task *t, const struct syscall_args *a) {
    int from = arg_int(a, 0), to = arg_int(a, 1);

    if (from == to)
        return fd_get_cloexec(t, from) < 0 ? -EBADF : to;
    return fd_dup2(t, from, to, /* cloexec= */ false);
}

int64_t sys_dup3(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 2);

    if (flags & ~(uint32_t)LINUX_O_CLOEXEC || arg_int(a, 0) == arg_int(a, 1))
        return -EINVAL;
    return fd_dup2(t, arg_int(a, 0), arg_int(a, 1), flags & LINUX_O_CLOEXEC);
}
