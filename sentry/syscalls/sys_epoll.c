/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_epoll.c: epoll. Source: epoll_create(2), epoll_ctl(2), epoll_wait(2).
 */
#include <errno.h>

#include "base/abi/linux/time.h"
#include "base/clock.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/signal.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/vfs/epoll.h"

enum { FEW_EVENTS = 64, MAX_EVENTS = INT32_MAX / (int)sizeof(struct linux_epoll_event) };

static int64_t create(struct task *t, uint32_t flags) {
    struct file *f;

    if (flags & ~(uint32_t)LINUX_EPOLL_CLOEXEC)
        return -EINVAL;
    int r = epoll_create(t, &f);
    if (r < 0)
        return r;
    int fd = fd_install(t, f, 0, flags & LINUX_EPOLL_CLOEXEC);
    if (fd < 0)
        file_unref(f);
    return fd;
}

int64_t sys_epoll_create(struct task *t, const struct syscall_args *a) {
    return arg_int(a, 0) <= 0 ? -EINVAL : create(t, 0);
}

int64_t sys_epoll_create1(struct task *t, const struct syscall_args *a) {
    return create(t, arg_u32(a, 0));
}

int64_t sys_epoll_ctl(struct task *t, const struct syscall_args *a) {
    int op = arg_int(a, 1), fd = arg_int(a, 2);
    struct linux_epoll_event event = {0};

    if (op != LINUX_EPOLL_CTL_DEL) {
        int r = copy_in(t, &event, a->arg[3], sizeof event);
        if (r < 0)
            return r;
    }
    struct file *ep = fd_get(t, arg_int(a, 0));
    struct file *target = ep ? fd_get(t, fd) : NULL;
    int64_t r = target ? epoll_control(ep, op, fd, target, &event) : -EBADF;
    file_unref(target);
    file_unref(ep);
    return r;
}

static int64_t wait_events(struct task *t, int fd, gva_t to, int max, int64_t deadline) {
    if (max <= 0 || max > MAX_EVENTS)
        return -EINVAL;
    struct file *ep = fd_get(t, fd);
    if (!ep)
        return -EBADF;
    if (!file_is_epoll(ep)) {
        file_unref(ep);
        return -EINVAL;
    }
    max = MIN(max, (int)MAX(epoll_item_count(ep), (size_t)FEW_EVENTS));
    struct linux_epoll_event *events = heap_alloc_bytes((size_t)max * sizeof *events);
    int64_t n = events ? epoll_collect(t, ep, events, max, deadline) : -ENOMEM;
    if (n > 0 && copy_out(t, to, events, (size_t)n * sizeof *events) < 0)
        n = -EFAULT;
    heap_free(events);
    file_unref(ep);
    return n == -ERESTARTSYS ? -EINTR : n;
}

static int64_t deadline_of_ms(int ms) {
    return ms < 0 ? CLOCK_NEVER : ms == 0 ? 0 : clock_add(monotonic_ns(), ms * 1000000ll);
}

/* With a signal mask for the time of the wait. After an interruption it stays until the handler's frame is
 * made. */
static int64_t wait_masked(struct task *t, const struct syscall_args *a, int64_t deadline, gva_t mask,
                           uint64_t mask_size) {
    uint64_t set;

    if (mask) {
        if (mask_size != sizeof set)
            return -EINVAL;
        int r = copy_in(t, &set, mask, sizeof set);
        if (r < 0)
            return r;
        signal_set_temporary_mask(t, set);
    }
    int64_t n = wait_events(t, arg_int(a, 0), a->arg[1], arg_int(a, 2), deadline);
    if (mask && n != -EINTR)
        signal_restore_temporary_mask(t);
    return n;
}

int64_t sys_epoll_wait(struct task *t, const struct syscall_args *a) {
    return wait_events(t, arg_int(a, 0), a->arg[1], arg_int(a, 2), deadline_of_ms(arg_int(a, 3)));
}

int64_t sys_epoll_pwait(struct task *t, const struct syscall_args *a) {
    return wait_masked(t, a, deadline_of_ms(arg_int(a, 3)), a->arg[4], a->arg[5]);
}

int64_t sys_epoll_pwait2(struct task *t, const struct syscall_args *a) {
    struct linux_timespec ts;
    int64_t deadline = CLOCK_NEVER;

    if (a->arg[3]) {
        int r = copy_in(t, &ts, a->arg[3], sizeof ts);
        if (r < 0)
            return r;
        if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= NSEC_PER_SEC)
            return -EINVAL;
        if (ts.sec == 0 && ts.nsec == 0)
            deadline = 0;
        else if (ts.sec < INT64_MAX / NSEC_PER_SEC - 1)
            deadline = clock_add(monotonic_ns(), ts.sec * NSEC_PER_SEC + ts.nsec);
    }
    return wait_masked(t, a, deadline, a->arg[4], a->arg[5]);
}
