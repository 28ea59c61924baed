/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_mq.c: POSIX message queues: decoding only (sentry/fs/mqueue). Source: mq_open(3),
 * mq_send(3), mq_receive(3), mq_notify(3), mq_getattr(3).
 */
#include <errno.h>
#include <stdlib.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/ipc.h"
#include "base/abi/linux/signal.h"
#include "base/cleanup.h"
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/kernel/clocks.h"
#include "sentry/kernel/ipc/msg.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/sys_util.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

enum { PRIORITY_MAX = 32768 };

int64_t sys_mq_open(struct task *t, const struct syscall_args *a) {
    uint32_t flags = (uint32_t)a->arg[1], mode = (uint32_t)a->arg[2];
    cleanup(freep) char *name = NULL;
    struct linux_mq_attr attr;
    struct file *f;

    if (a->arg[3] && copy_in(t, &attr, a->arg[3], sizeof attr) < 0)
        return -EFAULT;
    int result = copy_in_path(t, a->arg[0], /* allow_empty= */ false, &name);
    if (result < 0)
        return result;
    int fd = fd_reserve(t, 0, /* cloexec= */ true);
    if (fd < 0)
        return fd;
    mode &= 07777 & ~fs_context_umask(t->fs);
    result = mqueue_open(t, name, flags, mode, a->arg[3] ? &attr : NULL, &f);
    if (result < 0) {
        fd_unreserve(t, fd);
        return result;
    }
    fd_fill(t, fd, f);
    return fd;
}

int64_t sys_mq_unlink(struct task *t, const struct syscall_args *a) {
    cleanup(freep) char *name = NULL;
    int result = copy_in_path(t, a->arg[0], /* allow_empty= */ false, &name);

    return result < 0 ? result : mqueue_unlink(t, name);
}

static int copy_in_deadline(struct task *t, gva_t at, int64_t *ret) {
    int64_t when;

    *ret = CLOCK_NEVER;
    if (!at)
        return 0;
    int result = copy_in_timespec(t, at, &when);
    if (result == 0)
        *ret = clock_deadline(t->kernel, LINUX_CLOCK_REALTIME, when);
    return result;
}

/* New reference to an open queue: -EBADF. */
static int get_queue(struct task *t, uint64_t fd, uint32_t mode, struct file **ret) {
    struct file *f = fd_get(t, (int)fd);

    if (!f || !is_mqueue_file(f) || (f->mode & mode) != mode) {
        file_unref(f);
        return -EBADF;
    }
    *ret = f;
    return 0;
}

static int64_t send_copy(struct task *t, struct file *f, gva_t at, uint64_t size, unsigned priority,
                         int64_t deadline) {
    if (size > mqueue_message_size(f))
        return -EMSGSIZE;
    struct message *m = message_new(size);
    if (!m)
        return -ENOMEM;
    m->type = priority;
    int64_t result = copy_in(t, m->bytes, at, size);
    if (result == 0)
        result = mqueue_send(t, f, m, deadline);
    if (result < 0)
        message_free(m);
    return result;
}

int64_t sys_mq_timedsend(struct task *t, const struct syscall_args *a) {
    int64_t deadline;
    struct file *f = NULL;

    int64_t result = copy_in_deadline(t, a->arg[4], &deadline);
    if (result == 0 && (unsigned)a->arg[3] >= PRIORITY_MAX)
        result = -EINVAL;
    if (result == 0)
        result = get_queue(t, a->arg[0], FILE_WRITE, &f);
    if (result < 0)
        return result;
    result = send_copy(t, f, a->arg[1], a->arg[2], (unsigned)a->arg[3], deadline);
    file_unref(f);
    return result;
}

static int64_t receive_copy(struct task *t, struct file *f, const struct syscall_args *a, int64_t deadline) {
    struct message *m;

    if (a->arg[2] < mqueue_message_size(f))
        return -EMSGSIZE;
    int64_t result = mqueue_receive(t, f, deadline, &m);
    if (result < 0)
        return result;
    uint32_t priority = (uint32_t)m->type;
    result = (int64_t)m->size;
    if ((a->arg[3] && copy_out(t, a->arg[3], &priority, sizeof priority) < 0) ||
        copy_out(t, a->arg[1], m->bytes, m->size) < 0)
        result = -EFAULT;
    message_free(m);
    return result;
}

int64_t sys_mq_timedreceive(struct task *t, const struct syscall_args *a) {
    int64_t deadline;
    struct file *f = NULL;

    int64_t result = copy_in_deadline(t, a->arg[4], &deadline);
    if (result == 0)
        result = get_queue(t, a->arg[0], FILE_READ, &f);
    if (result < 0)
        return result;
    result = receive_copy(t, f, a, deadline);
    file_unref(f);
    return result;
}

int64_t sys_mq_notify(struct task *t, const struct syscall_args *a) {
    struct linux_sigevent event;
    struct file *f;

    if (a->arg[1] && copy_in(t, &event, a->arg[1], sizeof event) < 0)
        return -EFAULT;
    int result = get_queue(t, a->arg[0], 0, &f);
    if (result < 0)
        return result;
    result = mqueue_notify(t, f, a->arg[1] ? &event : NULL);
    file_unref(f);
    return result;
}

int64_t sys_mq_getsetattr(struct task *t, const struct syscall_args *a) {
    struct linux_mq_attr set, old;
    struct file *f;

    if (a->arg[1] && copy_in(t, &set, a->arg[1], sizeof set) < 0)
        return -EFAULT;
    if (a->arg[1] && (set.flags & ~(int64_t)LINUX_O_NONBLOCK))
        return -EINVAL;
    int result = get_queue(t, a->arg[0], 0, &f);
    if (result < 0)
        return result;
    mqueue_get_attr(f, &old);
    if (a->arg[1] && set.flags)
        atomic_fetch_or(&f->flags, (uint32_t)LINUX_O_NONBLOCK);
    else if (a->arg[1])
        atomic_fetch_and(&f->flags, ~(uint32_t)LINUX_O_NONBLOCK);
    file_unref(f);
    return a->arg[2] ? copy_out(t, a->arg[2], &old, sizeof old) : 0;
}
