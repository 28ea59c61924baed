/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_files.c: see sys_files.h.
 */
#include "sentry/syscalls/sys_files.h"

#include <errno.h>

#include "base/abi/linux/signal.h"
#include "base/cleanup.h"
#include "sentry/kernel/signal.h"

int lookup_user(struct task *t, int dirfd, gva_t name, unsigned flags, struct path *ret) {
    cleanup(freep) char *text = NULL;
    struct vfs_view v;
    int r = copy_in_path(t, name, flags & LOOKUP_EMPTY, &text);

    if (r < 0)
        return r;
    vfs_view_of(t, &v);
    r = path_lookup(&v, dirfd, text, flags, ret);
    vfs_view_done(&v);
    return r;
}

unsigned lookup_flags_of_at(uint32_t at_flags) {
    return (at_flags & LINUX_AT_SYMLINK_NOFOLLOW ? 0u : LOOKUP_FOLLOW) |
           (at_flags & LINUX_AT_EMPTY_PATH ? LOOKUP_EMPTY : 0u);
}

static void send_own(struct task *t, int signo) {
    struct linux_siginfo info;

    siginfo_user(&info, signo, t, t);
    (void)signal_send(t, &info, SIGNAL_TASK);
}

ssize_t write_result(struct task *t, struct file *f, ssize_t r) {
    if (r == -EPIPE && f->mode & FILE_STREAM)
        send_own(t, LINUX_SIGPIPE);
    if (r == -EFBIG && f->inode->type == LINUX_S_IFREG &&
        task_limit(t, LINUX_RLIMIT_FSIZE) != LINUX_RLIM_INFINITY)
        send_own(t, LINUX_SIGXFSZ);
    return r;
}
