/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_link.c: names: link, unlink, rename, mkdir, rmdir, mknod, symlink. Source: link(2),
 * unlink(2), rename(2), mkdir(2), mknod(2), symlink(2).
 */
#include <errno.h>

#include "base/abi/linux/capability.h"
#include "base/cleanup.h"
#include "sentry/syscalls/sys_files.h"

/* ---- making ---- */

static int64_t do_mkdir(struct task *t, int dirfd, gva_t name, uint32_t mode) {
    cleanup(freep) char *text = NULL;
    struct vfs_view v;
    int r = copy_in_path(t, name, false, &text);

    if (r < 0)
        return r;
    vfs_view_of(t, &v);
    r = vfs_mkdir(&v, dirfd, text, mode);
    vfs_view_done(&v);
    return r;
}

int64_t sys_mkdir(struct task *t, const struct syscall_args *a) {
    return do_mkdir(t, LINUX_AT_FDCWD, a->arg[0], arg_u32(a, 1));
}

int64_t sys_mkdirat(struct task *t, const struct syscall_args *a) {
    return do_mkdir(t, arg_int(a, 0), a->arg[1], arg_u32(a, 2));
}

/* The encoding of mknod(2)'s argument, 12 + 20 bits in 32, is that of the low word of ours. */
static int64_t do_mknod(struct task *t, int dirfd, gva_t name, uint32_t mode, uint32_t dev) {
    cleanup(freep) char *text = NULL;
    struct vfs_view v;
    uint32_t type = mode & LINUX_S_IFMT;

    if (type == LINUX_S_IFDIR)
        return -EPERM;
    if (type == 0)
        type = LINUX_S_IFREG;
    if (type != LINUX_S_IFREG && type != LINUX_S_IFCHR && type != LINUX_S_IFBLK && type != LINUX_S_IFIFO &&
        type != LINUX_S_IFSOCK)
        return -EINVAL;
    int r = copy_in_path(t, name, false, &text);
    if (r < 0)
        return r;
    vfs_view_of(t, &v);
    r = vfs_mknod(&v, dirfd, text, type | (mode & 07777),
                  type == LINUX_S_IFCHR || type == LINUX_S_IFBLK ? dev : 0);
    vfs_view_done(&v);
    return r;
}

int64_t sys_mknod(struct task *t, const struct syscall_args *a) {
    return do_mknod(t, LINUX_AT_FDCWD, a->arg[0], arg_u32(a, 1), arg_u32(a, 2));
}

int64_t sys_mknodat(struct task *t, const struct syscall_args *a) {
    return do_mknod(t, arg_int(a, 0), a->arg[1], arg_u32(a, 2), arg_u32(a, 3));
}

static int64_t do_symlink(struct task *t, gva_t target, int dirfd, gva_t name) {
    cleanup(freep) char *to = NULL, *text = NULL;
    struct vfs_view v;
    int r = copy_in_path(t, target, false, &to);

    if (r == 0)
        r = copy_in_path(t, name, false, &text);
    if (r < 0)
        return r;
    vfs_view_of(t, &v);
    r = vfs_symlink(&v, to, dirfd, text);
    vfs_view_done(&v);
    return r;
}

int64_t sys_symlink(struct task *t, const struct syscall_args *a) {
    return do_symlink(t, a->arg[0], LINUX_AT_FDCWD, a->arg[1]);
}

int64_t sys_symlinkat(struct task *t, const struct syscall_args *a) {
    return do_symlink(t, a->arg[0], arg_int(a, 1), a->arg[2]);
}

static int64_t do_link(struct task *t, int old_dirfd, gva_t old, int new_dirfd, gva_t new, uint32_t flags) {
    cleanup(freep) char *from = NULL, *to = NULL;
    struct vfs_view v;

    if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_FOLLOW | LINUX_AT_EMPTY_PATH))
        return -EINVAL;
    if (flags & LINUX_AT_EMPTY_PATH && !task_capable(t, LINUX_CAP_DAC_READ_SEARCH))
        return -ENOENT;
    int r = copy_in_path(t, old, flags & LINUX_AT_EMPTY_PATH, &from);
    if (r == 0)
        r = copy_in_path(t, new, false, &to);
    if (r < 0)
        return r;
    vfs_view_of(t, &v);
    r = vfs_link(&v, old_dirfd, from, new_dirfd, to,
                 (flags & LINUX_AT_SYMLINK_FOLLOW ? LOOKUP_FOLLOW : 0u) |
                     (flags & LINUX_AT_EMPTY_PATH ? LOOKUP_EMPTY : 0u));
    vfs_view_done(&v);
    return r;
}

int64_t sys_link(struct task *t, const struct syscall_args *a) {
    return do_link(t, LINUX_AT_FDCWD, a->arg[0], LINUX_AT_FDCWD, a->arg[1], 0);
}

int64_t sys_linkat(struct task *t, const struct syscall_args *a) {
    return do_link(t, arg_int(a, 0), a->arg[1], arg_int(a, 2), a->arg[3], arg_u32(a, 4));
}

/* ---- removing ---- */

static int64_t do_remove(struct task *t, int dirfd, gva_t name, bool directory) {
    cleanup(freep) char *text = NULL;
    struct vfs_view v;
    int r = copy_in_path(t, name, false, &text);

    if (r < 0)
        return r;
    vfs_view_of(t, &v);
    r = directory ? vfs_rmdir(&v, dirfd, text) : vfs_unlink(&v, dirfd, text);
    vfs_view_done(&v);
    return r;
}

int64_t sys_unlink(struct task *t, const struct syscall_args *a) {
    return do_remove(t, LINUX_AT_FDCWD, a->arg[0], false);
}

int64_t sys_rmdir(struct task *t, const struct syscall_args *a) {
    return do_remove(t, LINUX_AT_FDCWD, a->arg[0], true);
}

int64_t sys_unlinkat(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 2);

    if (flags & ~(uint32_t)LINUX_AT_REMOVEDIR)
        return -EINVAL;
    return do_remove(t, arg_int(a, 0), a->arg[1], flags & LINUX_AT_REMOVEDIR);
}

/* ---- rename ---- */

static int64_t do_rename(struct task *t, int old_dirfd, gva_t old, int new_dirfd, gva_t new, uint32_t flags) {
    cleanup(freep) char *from = NULL, *to = NULL;
    struct vfs_view v;

    if (flags & ~(uint32_t)(LINUX_RENAME_NOREPLACE | LINUX_RENAME_EXCHANGE | LINUX_RENAME_WHITEOUT))
        return -EINVAL;
    if (flags & (LINUX_RENAME_NOREPLACE | LINUX_RENAME_WHITEOUT) && flags & LINUX_RENAME_EXCHANGE)
        return -EINVAL;
    if (flags & LINUX_RENAME_WHITEOUT && !task_capable(t, LINUX_CAP_MKNOD))
        return -EPERM;
    int r = copy_in_path(t, old, false, &from);
    if (r == 0)
        r = copy_in_path(t, new, false, &to);
    if (r < 0)
        return r;
    vfs_view_of(t, &v);
    r = vfs_rename(&v, old_dirfd, from, new_dirfd, to, flags);
    vfs_view_done(&v);
    return r;
}

int64_t sys_rename(struct task *t, const struct syscall_args *a) {
    return do_rename(t, LINUX_AT_FDCWD, a->arg[0], LINUX_AT_FDCWD, a->arg[1], 0);
}

int64_t sys_renameat(struct task *t, const struct syscall_args *a) {
    return do_rename(t, arg_int(a, 0), a->arg[1], arg_int(a, 2), a->arg[3], 0);
}

int64_t sys_renameat2(struct task *t, const struct syscall_args *a) {
    return do_rename(t, arg_int(a, 0), a->arg[1], arg_int(a, 2), a->arg[3], arg_u32(a, 4));
}
