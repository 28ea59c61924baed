/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_open.c: open, openat, openat2, creat, close, close_range. Source: open(2), openat2(2),
 * close(2), close_range(2).
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "sentry/kernel/restart.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/syscalls/sys_util.h"

enum {
    TMPFILE_BIT = LINUX_O_TMPFILE & ~LINUX_O_DIRECTORY,
    OPEN_KNOWN = LINUX_O_ACCMODE | LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_NOCTTY | LINUX_O_TRUNC |
                 LINUX_O_APPEND | LINUX_O_NONBLOCK | LINUX_O_SYNC | 020000 /* FASYNC */ | LINUX_O_DIRECT |
                 LINUX_O_LARGEFILE | LINUX_O_DIRECTORY | LINUX_O_NOFOLLOW | LINUX_O_NOATIME |
                 LINUX_O_CLOEXEC | LINUX_O_PATH | LINUX_O_TMPFILE,
    OPEN_PATH_KNOWN = LINUX_O_DIRECTORY | LINUX_O_NOFOLLOW | LINUX_O_PATH | LINUX_O_CLOEXEC,
    RESOLVE_KNOWN = LINUX_RESOLVE_NO_XDEV | LINUX_RESOLVE_NO_MAGICLINKS | LINUX_RESOLVE_NO_SYMLINKS |
                    LINUX_RESOLVE_BENEATH | LINUX_RESOLVE_IN_ROOT | LINUX_RESOLVE_CACHED,
};

static unsigned resolve_flags(uint64_t resolve) {
    static const struct {
        unsigned resolve, lookup;
    } map[] = {
        {LINUX_RESOLVE_NO_XDEV, LOOKUP_NO_XDEV},         {LINUX_RESOLVE_NO_MAGICLINKS, LOOKUP_NO_MAGICLINKS},
        {LINUX_RESOLVE_NO_SYMLINKS, LOOKUP_NO_SYMLINKS}, {LINUX_RESOLVE_BENEATH, LOOKUP_BENEATH},
        {LINUX_RESOLVE_IN_ROOT, LOOKUP_IN_ROOT},         {LINUX_RESOLVE_CACHED, LOOKUP_CACHED},
    };
    unsigned flags = 0;

    for (size_t i = 0; i < ARRAY_SIZE(map); i++)
        if (resolve & map[i].resolve)
            flags |= map[i].lookup;
    return flags;
}

/* The checks that openat2 makes of all it is given, and open(2) after it has dropped what it does not know.
 */
static int check_how(const struct linux_open_how *how) {
    if (how->flags & ~(uint64_t)OPEN_KNOWN || how->resolve & ~(uint64_t)RESOLVE_KNOWN)
        return -EINVAL;
    if ((how->resolve & (LINUX_RESOLVE_BENEATH | LINUX_RESOLVE_IN_ROOT)) ==
        (LINUX_RESOLVE_BENEATH | LINUX_RESOLVE_IN_ROOT))
        return -EINVAL;
    if (how->flags & (LINUX_O_CREAT | TMPFILE_BIT)) {
        if (how->mode & ~(uint64_t)07777)
            return -EINVAL;
    } else if (how->mode) {
        return -EINVAL;
    }
    if ((how->flags & (LINUX_O_DIRECTORY | LINUX_O_CREAT)) == (LINUX_O_DIRECTORY | LINUX_O_CREAT))
        return -EINVAL;
    if (how->flags & TMPFILE_BIT && (!(how->flags & LINUX_O_DIRECTORY) || !(how->flags & LINUX_O_ACCMODE)))
        return -EINVAL;
    if (how->flags & LINUX_O_PATH && how->flags & ~(uint64_t)OPEN_PATH_KNOWN)
        return -EINVAL;
    if (how->resolve & LINUX_RESOLVE_CACHED && how->flags & (LINUX_O_TRUNC | LINUX_O_CREAT | TMPFILE_BIT))
        return -EAGAIN;
    return 0;
}

static int64_t open_checked(struct task *t, int dirfd, gva_t name, const struct linux_open_how *how) {
    cleanup(freep) char *text = NULL;
    struct open_request o = {.dirfd = dirfd,
                             .flags =
                                 (uint32_t)how->flags | (how->flags & LINUX_O_PATH ? 0u : LINUX_O_LARGEFILE),
                             .resolve = resolve_flags(how->resolve)};
    struct vfs_view v;
    struct file *f = NULL;
    int r = copy_in_path(t, name, false, &text);

    if (r < 0)
        return r;
    if (how->flags & (LINUX_O_CREAT | TMPFILE_BIT))
        o.mode = (uint32_t)how->mode;
    int fd = fd_reserve(t, 0, how->flags & LINUX_O_CLOEXEC);
    if (fd < 0)
        return fd;
    vfs_view_of(t, &v);
    r = vfs_open(&v, text, &o, &f);
    vfs_view_done(&v);
    if (r < 0) {
        fd_unreserve(t, fd);
        return r;
    }
    fd_fill(t, fd, f);
    return fd;
}

static int64_t open_plain(struct task *t, int dirfd, gva_t name, uint32_t flags, uint32_t mode) {
    struct linux_open_how how = {.flags = flags & OPEN_KNOWN};

    if (how.flags & LINUX_O_PATH)
        how.flags &= OPEN_PATH_KNOWN;
    if (how.flags & (LINUX_O_CREAT | TMPFILE_BIT))
        how.mode = mode & 07777;
    int r = check_how(&how);
    return r < 0 ? r : open_checked(t, dirfd, name, &how);
}

int64_t sys_open(struct task *t, const struct syscall_args *a) {
    return open_plain(t, LINUX_AT_FDCWD, a->arg[0], arg_u32(a, 1), arg_u32(a, 2));
}

int64_t sys_openat(struct task *t, const struct syscall_args *a) {
    return open_plain(t, arg_int(a, 0), a->arg[1], arg_u32(a, 2), arg_u32(a, 3));
}

int64_t sys_creat(struct task *t, const struct syscall_args *a) {
    return open_plain(t, LINUX_AT_FDCWD, a->arg[0], LINUX_O_CREAT | LINUX_O_WRONLY | LINUX_O_TRUNC,
                      arg_u32(a, 1));
}

int64_t sys_openat2(struct task *t, const struct syscall_args *a) {
    struct linux_open_how how;
    int r = copy_in_struct(t, &how, sizeof how, a->arg[2], a->arg[3], sizeof how);

    if (r == 0)
        r = check_how(&how);
    return r < 0 ? r : open_checked(t, arg_int(a, 0), a->arg[1], &how);
}

int64_t sys_close(struct task *t, const struct syscall_args *a) {
    int r = fd_close(t, arg_int(a, 0));

    return r <= -ERESTARTSYS ? -EINTR : r; /* the descriptor is gone: never again */
}

int64_t sys_close_range(struct task *t, const struct syscall_args *a) {
    return fd_close_range(t, arg_u32(a, 0), arg_u32(a, 1), arg_u32(a, 2));
}
