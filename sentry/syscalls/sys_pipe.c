/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_pipe.c: calls that make files without a name: pipe, eventfd, memfd_create, inotify.
 * Source: pipe(2), eventfd(2), memfd_create(2), inotify(7).
 */
#include <errno.h>

#include "base/abi/linux/poll.h"
#include "base/cleanup.h"
#include "sentry/fs/eventfd/eventfd.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/pipe.h"

/* Gives `f` (taken) a descriptor. */
static int64_t install(struct task *t, struct file *f, bool cloexec) {
    int fd = fd_install(t, f, 0, cloexec);

    if (fd < 0)
        file_unref(f);
    return fd;
}

/* ---- pipes ---- */

static int reserve_two(struct task *t, bool cloexec, int32_t fds[2]) {
    fds[0] = fd_reserve(t, 0, cloexec);
    if (fds[0] < 0)
        return fds[0];
    fds[1] = fd_reserve(t, 0, cloexec);
    if (fds[1] >= 0)
        return 0;
    fd_unreserve(t, fds[0]);
    return fds[1];
}

static int64_t make_pipe(struct task *t, gva_t to, uint32_t flags) {
    struct file *reader, *writer;
    int32_t fds[2];

    if (flags & ~(uint32_t)(LINUX_O_CLOEXEC | LINUX_O_NONBLOCK | LINUX_O_DIRECT))
        return -EINVAL;
    int r = pipe_create(t, flags & (LINUX_O_NONBLOCK | LINUX_O_DIRECT), &reader, &writer);
    if (r < 0)
        return r;
    r = reserve_two(t, flags & LINUX_O_CLOEXEC, fds);
    if (r == 0) {
        r = copy_out(t, to, fds, sizeof fds);
        if (r == 0) {
            fd_fill(t, fds[0], reader);
            fd_fill(t, fds[1], writer);
            return 0;
        }
        fd_unreserve(t, fds[0]);
        fd_unreserve(t, fds[1]);
    }
    file_unref(reader);
    file_unref(writer);
    return r;
}

int64_t sys_pipe(struct task *t, const struct syscall_args *a) {
    return make_pipe(t, a->arg[0], 0);
}

int64_t sys_pipe2(struct task *t, const struct syscall_args *a) {
    return make_pipe(t, a->arg[0], arg_u32(a, 1));
}

/* ---- eventfd ---- */

static int64_t make_eventfd(struct task *t, uint32_t count, uint32_t flags) {
    struct file *f;

    if (flags & ~(uint32_t)(LINUX_EFD_SEMAPHORE | LINUX_EFD_CLOEXEC | LINUX_EFD_NONBLOCK))
        return -EINVAL;
    int r = eventfd_create(t, count, flags, &f);
    return r < 0 ? r : install(t, f, flags & LINUX_EFD_CLOEXEC);
}

int64_t sys_eventfd(struct task *t, const struct syscall_args *a) {
    return make_eventfd(t, arg_u32(a, 0), 0);
}

int64_t sys_eventfd2(struct task *t, const struct syscall_args *a) {
    return make_eventfd(t, arg_u32(a, 0), arg_u32(a, 1));
}

/* ---- memfd ---- */

int64_t sys_memfd_create(struct task *t, const struct syscall_args *a) {
    enum { NAME_MAX_MEMFD = 249, NOEXEC_SEAL = 8, EXEC = 16 };
    cleanup(freep) char *name = NULL;
    uint32_t flags = arg_u32(a, 1);
    struct file *f;

    if (flags & ~(uint32_t)(LINUX_MFD_CLOEXEC | LINUX_MFD_ALLOW_SEALING | NOEXEC_SEAL | EXEC) ||
        (flags & (NOEXEC_SEAL | EXEC)) == (NOEXEC_SEAL | EXEC))
        return -EINVAL;
    int r = copy_in_string(t, a->arg[0], NAME_MAX_MEMFD + 1, &name);
    if (r < 0)
        return r == -ENAMETOOLONG ? -EINVAL : r;
    if (flags & NOEXEC_SEAL)
        flags |= LINUX_MFD_ALLOW_SEALING;
    r = tmpfs_memfd_create(t, name, flags, &f);
    return r < 0 ? r : install(t, f, flags & LINUX_MFD_CLOEXEC);
}

/* ---- inotify ---- */

static int64_t make_inotify(struct task *t, uint32_t flags) {
    struct file *f;

    if (flags & ~(uint32_t)(LINUX_IN_CLOEXEC | LINUX_IN_NONBLOCK))
        return -EINVAL;
    int r = inotify_create(t, flags & LINUX_IN_NONBLOCK, &f);
    return r < 0 ? r : install(t, f, flags & LINUX_IN_CLOEXEC);
}

int64_t sys_inotify_init(struct task *t, const struct syscall_args *a) {
    (void)a;
    return make_inotify(t, 0);
}

int64_t sys_inotify_init1(struct task *t, const struct syscall_args *a) {
    return make_inotify(t, arg_u32(a, 0));
}

int64_t sys_inotify_add_watch(struct task *t, const struct syscall_args *a) {
    const uint32_t known = LINUX_IN_ALL_EVENTS | LINUX_IN_ONLYDIR | LINUX_IN_DONT_FOLLOW |
                           LINUX_IN_EXCL_UNLINK | LINUX_IN_MASK_CREATE | LINUX_IN_MASK_ADD | LINUX_IN_ISDIR |
                           LINUX_IN_ONESHOT;
    uint32_t mask = arg_u32(a, 2);
    struct path p;

    if (!(mask & known))
        return -EINVAL;
    struct file *f = fd_get(t, arg_int(a, 0));
    if (!f)
        return -EBADF;
    int64_t r = (mask & LINUX_IN_MASK_ADD && mask & LINUX_IN_MASK_CREATE) ? -EINVAL : 0;
    if (r == 0)
        r = lookup_user(t, LINUX_AT_FDCWD, a->arg[1],
                        (mask & LINUX_IN_DONT_FOLLOW ? 0u : LOOKUP_FOLLOW) |
                            (mask & LINUX_IN_ONLYDIR ? LOOKUP_DIRECTORY : 0u),
                        &p);
    if (r == 0) {
        r = inode_permission(p.dentry->inode, task_creds(t), MAY_READ);
        if (r == 0)
            r = inotify_add(f, &p, mask & known);
        path_put(&p);
    }
    file_unref(f);
    return r;
}

int64_t sys_inotify_rm_watch(struct task *t, const struct syscall_args *a) {
    struct file *f = fd_get(t, arg_int(a, 0));

    if (!f)
        return -EBADF;
    int64_t r = inotify_remove(f, arg_int(a, 1));
    file_unref(f);
    return r;
}
