/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_fd.c: descriptors: dup, ioctl's generic part. fcntl: sys_fcntl.c. Source: dup(2),
 * ioctl(2), ioctl_tty(2), ioctl_fionread.
 */
#include <errno.h>

#include "base/abi/linux/ioctl.h"
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

/* ---- ioctl ---- */

static int64_t set_flag(struct task *t, struct file *f, uint32_t flag, gva_t arg) {
    int32_t on;
    int r = copy_in(t, &on, arg, sizeof on);

    if (r < 0)
        return r;
    uint32_t old = atomic_load(&f->flags), new = on ? old | flag : old & ~flag;
    if (f->ops->set_flags && new != old)
        r = f->ops->set_flags(f, new);
    if (r == 0)
        atomic_store(&f->flags, new);
    return r;
}

/* What the kind of file does not know of regular files and directories. */
static int64_t ioctl_plain(struct task *t, struct file *f, uint32_t cmd, gva_t arg) {
    struct kstat st;
    int32_t n;
    int r;

    if (f->inode->type != LINUX_S_IFREG && f->inode->type != LINUX_S_IFDIR)
        return -ENOTTY;
    switch (cmd) {
    case LINUX_FIONREAD:
        if (f->inode->type != LINUX_S_IFREG)
            return -ENOTTY;
        r = vfs_getattr(&f->path, &st);
        if (r < 0)
            return r;
        n = (int32_t)(st.size - f->pos);
        return copy_out(t, arg, &n, sizeof n);
    case LINUX_FIGETBSZ:
        n = 4096;
        return copy_out(t, arg, &n, sizeof n);
    case LINUX_FIOQSIZE:
        r = vfs_getattr(&f->path, &st);
        return r < 0 ? r : copy_out(t, arg, &st.size, sizeof st.size);
    default:
        return -ENOTTY;
    }
}

static int64_t do_ioctl(struct task *t, struct file *f, int fd, uint32_t cmd, gva_t arg) {
    switch (cmd) {
    case LINUX_FIOCLEX:
        return fd_set_cloexec(t, fd, true);
    case LINUX_FIONCLEX:
        return fd_set_cloexec(t, fd, false);
    case LINUX_FIONBIO:
        return set_flag(t, f, LINUX_O_NONBLOCK, arg);
    case LINUX_FIOASYNC:
        return set_flag(t, f, 020000 /* O_ASYNC */, arg);
    default:
        break;
    }
    int64_t r = f->ops->ioctl ? f->ops->ioctl(f, t, cmd, arg) : -ENOTTY;
    return r == -ENOTTY ? ioctl_plain(t, f, cmd, arg) : r;
}

int64_t sys_ioctl(struct task *t, const struct syscall_args *a) {
    int fd = arg_int(a, 0);
    struct file *f = fd_get(t, fd);

    if (!f)
        return -EBADF;
    int64_t r = do_ioctl(t, f, fd, arg_u32(a, 1), a->arg[2]);
    file_unref(f);
    return r;
}
