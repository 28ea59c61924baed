/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_ioctl.c: ioctl: what every file knows, and what regular files and directories know. The
 * rest is each kind's own (file_ops.ioctl). Source: ioctl(2), ioctl_fionread, ioctl_iflags(2),
 * ioctl_ficlone(2), ioctl_fideduperange(2), ioctl_xfs_fsgetxattr(2).
 */
#include <errno.h>

#include "base/abi/linux/ioctl.h"
#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/vfs/file_async.h"

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

static int64_t set_async(struct task *t, struct file *f, int fd, gva_t arg) {
    int32_t on;
    int r = copy_in(t, &on, arg, sizeof on);

    if (r < 0)
        return r;
    return file_can_async(f) ? file_set_async(t, f, fd, on) : on ? -ENOTTY : 0;
}

/* ---- flags of inodes ---- */

static const struct {
    uint32_t flag, xflag;
} g_xflags[] = {
    {INODE_SYNC, LINUX_FS_XFLAG_SYNC},       {INODE_IMMUTABLE, LINUX_FS_XFLAG_IMMUTABLE},
    {INODE_APPEND, LINUX_FS_XFLAG_APPEND},   {INODE_NODUMP, LINUX_FS_XFLAG_NODUMP},
    {INODE_NOATIME, LINUX_FS_XFLAG_NOATIME},
};

static int change_inode_flags(struct task *t, struct file *f, uint32_t flags) {
    const uint32_t privileged = INODE_IMMUTABLE | INODE_APPEND;
    const struct creds *c = task_creds(t);
    struct inode *i = f->inode;
    int r = path_want_write(&f->path);

    if (r < 0)
        return r;
    if (!inode_owner_or_capable(i, c))
        return -EPERM;
    if ((i->flags ^ flags) & privileged &&
        !creds_has_cap_in(c, t->kernel->root_user_ns, LINUX_CAP_LINUX_IMMUTABLE))
        return -EPERM;
    r = i->ops->set_flags(i, flags);
    if (r == 0)
        vfs_notify(f->path.dentry, LINUX_IN_ATTRIB, 0);
    return r;
}

static int64_t get_xflags(struct task *t, struct file *f, gva_t arg) {
    struct linux_fsxattr x = {0};

    for (size_t i = 0; i < ARRAY_SIZE(g_xflags); i++)
        if (f->inode->flags & g_xflags[i].flag)
            x.xflags |= g_xflags[i].xflag;
    return copy_out(t, arg, &x, sizeof x);
}

/* No file system here has projects or extent sizes: what goes beyond flags is refused. */
static int64_t set_xflags(struct task *t, struct file *f, gva_t arg) {
    struct linux_fsxattr x;
    uint32_t flags = 0;
    int r = copy_in(t, &x, arg, sizeof x);

    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(g_xflags); i++) {
        if (x.xflags & g_xflags[i].xflag)
            flags |= g_xflags[i].flag;
        x.xflags &= ~g_xflags[i].xflag;
    }
    if (x.xflags || x.extsize || x.projid || x.cowextsize)
        return -EOPNOTSUPP;
    return change_inode_flags(t, f, flags);
}

static int64_t inode_flags_call(struct task *t, struct file *f, uint32_t cmd, gva_t arg) {
    uint32_t flags = f->inode->flags;
    int r;

    if (!f->inode->ops->set_flags)
        return -ENOTTY;
    switch (cmd) {
    case LINUX_FS_IOC_GETFLAGS:
        return copy_out(t, arg, &flags, sizeof flags);
    case LINUX_FS_IOC_SETFLAGS:
        r = copy_in(t, &flags, arg, sizeof flags);
        return r < 0 ? r : change_inode_flags(t, f, flags);
    case LINUX_FS_IOC_FSGETXATTR:
        return get_xflags(t, f, arg);
    default:
        return set_xflags(t, f, arg);
    }
}

/* ---- sharing of extents, which no file system here can ---- */

static int clone_check(struct task *t, struct file *to, int from_fd) {
    struct file *from = fd_get(t, from_fd);
    int r = -EOPNOTSUPP;

    if (!from)
        return -EBADF;
    if (from->path.mount != to->path.mount)
        r = -EXDEV;
    else if (inode_is_dir(from->inode) || inode_is_dir(to->inode))
        r = -EISDIR;
    else if (from->inode->type != LINUX_S_IFREG || to->inode->type != LINUX_S_IFREG)
        r = -EINVAL;
    else if (!(from->mode & FILE_READ) || !(to->mode & FILE_WRITE) ||
             atomic_load(&to->flags) & LINUX_O_APPEND)
        r = -EBADF;
    file_unref(from);
    return r;
}

static int64_t clone_range(struct task *t, struct file *f, gva_t arg) {
    struct linux_file_clone_range range;
    int r = copy_in(t, &range, arg, sizeof range);

    return r < 0 ? r : clone_check(t, f, (int)range.src_fd);
}

static int64_t dedupe(struct task *t, struct file *f, gva_t arg) {
    struct linux_file_dedupe_range head;
    int r = copy_in(t, &head, arg, sizeof head);

    if (r < 0)
        return r;
    if (sizeof head + head.dest_count * sizeof(struct linux_file_dedupe_range_info) > PAGE_SIZE)
        return -ENOMEM;
    if (!(f->mode & FILE_READ) || head.reserved1 || head.reserved2)
        return -EINVAL;
    if (inode_is_dir(f->inode))
        return -EISDIR;
    return f->inode->type == LINUX_S_IFREG ? -EOPNOTSUPP : -EINVAL;
}

/* ---- the rest ---- */

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
        n = (int32_t)(st.size - file_position(f));
        return copy_out(t, arg, &n, sizeof n);
    case LINUX_FIGETBSZ:
        n = 4096;
        return copy_out(t, arg, &n, sizeof n);
    case LINUX_FIOQSIZE:
        r = vfs_getattr(&f->path, &st);
        return r < 0 ? r : copy_out(t, arg, &st.size, sizeof st.size);
    case LINUX_FS_IOC_GETFLAGS:
    case LINUX_FS_IOC_SETFLAGS:
    case LINUX_FS_IOC_FSGETXATTR:
    case LINUX_FS_IOC_FSSETXATTR:
        return inode_flags_call(t, f, cmd, arg);
    case LINUX_FICLONE:
        return clone_check(t, f, (int)arg);
    case LINUX_FICLONERANGE:
        return clone_range(t, f, arg);
    case LINUX_FIDEDUPERANGE:
        return dedupe(t, f, arg);
    case LINUX_FS_IOC_FIEMAP:
        return -EOPNOTSUPP;
    case LINUX_FIFREEZE:
    case LINUX_FITHAW:
        return task_capable_in(t, t->kernel->root_user_ns, LINUX_CAP_SYS_ADMIN) ? -EOPNOTSUPP : -EPERM;
    default:
        return -ENOTTY;
    }
}

/* Of a device, what is not the device's own business: LANDLOCK_ACCESS_FS_IOCTL_DEV in landlock(7). */
static bool allowed_by_landlock(const struct file *f, uint32_t cmd) {
    if (likely(!(f->mode & FILE_NO_IOCTL)))
        return true;
    switch (cmd) {
    case LINUX_FIOQSIZE:
    case LINUX_FIFREEZE:
    case LINUX_FITHAW:
    case LINUX_FIGETBSZ:
    case LINUX_FS_IOC_FIEMAP:
    case LINUX_FICLONE:
    case LINUX_FICLONERANGE:
    case LINUX_FIDEDUPERANGE:
        return true;
    default:
        return false;
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
        return set_async(t, f, fd, arg);
    default:
        break;
    }
    if (!allowed_by_landlock(f, cmd))
        return -EACCES;
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
