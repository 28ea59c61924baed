/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_quota.c: quotactl and quotactl_fd, as where no file system has quotas. Source:
 * quotactl(2); errors as observed (tests/conform/attributes.c).
 */
#include <errno.h>

#include "sentry/syscalls/sys_files.h"

enum { QUOTA_TYPES = 3, Q_SYNC = 0x800001 };

int64_t sys_quotactl(struct task *t, const struct syscall_args *a) {
    uint32_t cmd = arg_u32(a, 0);
    struct path p;

    if ((cmd & 0xff) >= QUOTA_TYPES)
        return -EINVAL;
    if (!a->arg[1])
        return cmd >> 8 == Q_SYNC ? 0 : -ENODEV;
    int r = lookup_user(t, LINUX_AT_FDCWD, a->arg[1], LOOKUP_FOLLOW, &p);
    if (r < 0)
        return r;
    r = p.dentry->inode->type == LINUX_S_IFBLK ? -ENODEV : -ENOTBLK;
    path_put(&p);
    return r;
}

int64_t sys_quotactl_fd(struct task *t, const struct syscall_args *a) {
    struct file *f = fd_get_any(t, arg_int(a, 0));

    if (!f)
        return -EBADF;
    file_unref(f);
    return (arg_u32(a, 1) & 0xff) >= QUOTA_TYPES ? -EINVAL : -ENOSYS;
}
