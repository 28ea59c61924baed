/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_sync.c: sync family and advice. Source: sync(2), fsync(2), sync_file_range(2),
 * posix_fadvise(2), readahead(2), cachestat(2).
 */
#include <errno.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/syscalls/sys_files.h"

static void sync_mount(const struct mount *m, int parent_id, const char *mountpoint, void *arg) {
    (void)parent_id, (void)mountpoint, (void)arg;
    if (m->fs->ops->sync)
        (void)m->fs->ops->sync(m->fs);
}

int64_t sys_sync(struct task *t, const struct syscall_args *a) {
    struct path root = mnt_ns_root(t->nsproxy->mnt);

    (void)a;
    int r = mnt_ns_for_each(t->nsproxy->mnt, &root, sync_mount, NULL);
    path_put(&root);
    return r == -ENOMEM ? 0 : r; /* sync(2) never fails */
}

int64_t sys_syncfs(struct task *t, const struct syscall_args *a) {
    struct file *f = fd_get(t, arg_int(a, 0));

    if (!f)
        return -EBADF;
    struct filesystem *fs = f->path.mount->fs;
    int r = fs->ops->sync ? fs->ops->sync(fs) : 0;
    file_unref(f);
    return r;
}

static int64_t do_fsync(struct task *t, int fd, bool data_only) {
    struct file *f = fd_get(t, fd);

    if (!f)
        return -EBADF;
    int r = file_fsync(f, data_only);
    file_unref(f);
    return r;
}

int64_t sys_fsync(struct task *t, const struct syscall_args *a) {
    return do_fsync(t, arg_int(a, 0), false);
}

int64_t sys_fdatasync(struct task *t, const struct syscall_args *a) {
    return do_fsync(t, arg_int(a, 0), true);
}

int64_t sys_sync_file_range(struct task *t, const struct syscall_args *a) {
    int64_t offset = (int64_t)a->arg[1], len = (int64_t)a->arg[2], end;
    struct file *f = fd_get(t, arg_int(a, 0));
    int64_t r;

    if (!f)
        return -EBADF;
    if (arg_u32(a, 3) & ~7u || offset < 0 || len < 0 || __builtin_add_overflow(offset, len, &end))
        r = -EINVAL;
    else if (f->inode->type != LINUX_S_IFREG && f->inode->type != LINUX_S_IFBLK && !inode_is_dir(f->inode) &&
             f->inode->type != LINUX_S_IFLNK)
        r = -ESPIPE;
    else
        r = file_fsync(f, /* data_only= */ true);
    file_unref(f);
    return r;
}

int64_t sys_fadvise64(struct task *t, const struct syscall_args *a) {
    struct file *f = fd_get(t, arg_int(a, 0));
    int64_t r = 0;

    if (!f)
        return -EBADF;
    if (f->inode->type == LINUX_S_IFIFO)
        r = -ESPIPE;
    else if ((int64_t)a->arg[2] < 0 || arg_u32(a, 3) > LINUX_POSIX_FADV_NOREUSE)
        r = -EINVAL;
    file_unref(f);
    return r;
}

int64_t sys_readahead(struct task *t, const struct syscall_args *a) {
    struct file *f = fd_get(t, arg_int(a, 0));
    int64_t r = 0;

    if (!f)
        return -EBADF;
    if (!(f->mode & FILE_READ))
        r = -EBADF;
    else if (f->inode->type != LINUX_S_IFREG && f->inode->type != LINUX_S_IFBLK)
        r = -EINVAL;
    file_unref(f);
    return r;
}

/* The page cache is the host's: what there is of a range counts as cached, and nothing as dirty. */
int64_t sys_cachestat(struct task *t, const struct syscall_args *a) {
    struct linux_cachestat_range range;
    struct linux_cachestat cs = {0};
    struct kstat st;
    struct file *f = fd_get(t, arg_int(a, 0));

    if (!f)
        return -EBADF;
    int r = copy_in(t, &range, a->arg[1], sizeof range);
    if (r == 0 && arg_u32(a, 3))
        r = -EINVAL;
    if (r == 0)
        r = vfs_getattr(&f->path, &st);
    file_unref(f);
    if (r < 0)
        return r;
    uint64_t pages = (st.size + PAGE_SIZE - 1) / PAGE_SIZE, first = range.off / PAGE_SIZE;
    uint64_t last =
        range.len == 0 || range.off + range.len < range.off ? UINT64_MAX : range.off + range.len - 1;
    if (pages > first)
        cs.nr_cache = MIN(pages - 1, last / PAGE_SIZE) - first + 1;
    return copy_out(t, a->arg[2], &cs, sizeof cs);
}
