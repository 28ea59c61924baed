/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_fdevents.c: timerfd_create(2) family, signalfd(2).
 */
#include <errno.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/fs/signalfd/signalfd.h"
#include "sentry/fs/timerfd/timerfd.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/sys_util.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

static int64_t install(struct task *t, struct file *f, bool cloexec) {
    int fd = fd_install(t, f, 0, cloexec);

    if (fd < 0)
        file_unref(f);
    return fd;
}

/* ---- timerfd ---- */

int64_t sys_timerfd_create(struct task *t, const struct syscall_args *a) {
    uint32_t flags = (uint32_t)a->arg[1];
    struct file *f;

    if (flags & ~(uint32_t)(LINUX_TFD_CLOEXEC | LINUX_TFD_NONBLOCK))
        return -EINVAL;
    int r = timerfd_new(t, (int)a->arg[0], flags & LINUX_TFD_NONBLOCK, &f);
    return r < 0 ? r : install(t, f, flags & LINUX_TFD_CLOEXEC);
}

static int put_itimerspec(struct task *t, gva_t at, const struct itimer_value *v) {
    struct linux_itimerspec out = {.interval = timespec_of(v->interval), .value = timespec_of(v->value)};

    return copy_out(t, at, &out, sizeof out);
}

int64_t sys_timerfd_settime(struct task *t, const struct syscall_args *a) {
    uint32_t flags = (uint32_t)a->arg[1];
    struct linux_itimerspec in;
    struct itimer_value set, old;

    if (copy_in(t, &in, a->arg[2], sizeof in) < 0)
        return -EFAULT;
    if ((flags & ~(uint32_t)(LINUX_TFD_TIMER_ABSTIME | LINUX_TFD_TIMER_CANCEL_ON_SET)) ||
        !timespec_to_ns(&in.value, &set.value) || !timespec_to_ns(&in.interval, &set.interval))
        return -EINVAL;
    struct file *f = fd_get(t, (int)a->arg[0]);
    if (!f)
        return -EBADF;
    int r = timerfd_set(f, t, flags, &set, &old);
    file_unref(f);
    return r < 0 || !a->arg[3] ? r : put_itimerspec(t, a->arg[3], &old);
}

int64_t sys_timerfd_gettime(struct task *t, const struct syscall_args *a) {
    struct itimer_value now;
    struct file *f = fd_get(t, (int)a->arg[0]);

    if (!f)
        return -EBADF;
    int r = timerfd_get(f, &now);
    file_unref(f);
    return r < 0 ? r : put_itimerspec(t, a->arg[1], &now);
}

/* ---- signalfd ---- */

static int64_t do_signalfd(struct task *t, const struct syscall_args *a, uint32_t flags) {
    linux_sigset_t set;
    struct file *f;
    int fd = (int)a->arg[0];

    if ((flags & ~(uint32_t)(LINUX_SFD_CLOEXEC | LINUX_SFD_NONBLOCK)) || a->arg[2] != sizeof set)
        return -EINVAL;
    if (copy_in(t, &set, a->arg[1], sizeof set) < 0)
        return -EFAULT;
    if (fd == -1) {
        int r = signalfd_new(t, set, flags & LINUX_SFD_NONBLOCK, &f);
        return r < 0 ? r : install(t, f, flags & LINUX_SFD_CLOEXEC);
    }
    f = fd_get(t, fd);
    if (!f)
        return -EBADF;
    int r = signalfd_set_mask(f, set);
    file_unref(f);
    return r < 0 ? r : fd;
}

int64_t sys_signalfd(struct task *t, const struct syscall_args *a) {
    return do_signalfd(t, a, 0);
}

int64_t sys_signalfd4(struct task *t, const struct syscall_args *a) {
    return do_signalfd(t, a, (uint32_t)a->arg[3]);
}
