/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/pidfd/pidfd.c: see pidfd.h. Readable once the process has ended (is a zombie or reaped).
 */
#include "sentry/fs/pidfd/pidfd.h"

#include <errno.h>
#include <stdio.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/poll.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/process.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

struct pidfd {
    struct file file;
    struct pid *pid; /* reference */
};
HEAP_TYPE(pidfd, struct pidfd, 0);

static const struct file_ops g_pidfd_ops;

static struct pidfd *pidfd_of(struct file *f) {
    return container_of(f, struct pidfd, file);
}

struct pid *pidfd_pid(struct file *f) {
    return f->ops == &g_pidfd_ops ? pidfd_of(f)->pid : NULL;
}

bool pidfd_is_thread(struct file *f) {
    return atomic_load(&f->flags) & LINUX_O_EXCL;
}

static enum pid_role role_of(struct file *f) {
    return pidfd_is_thread(f) ? PID_TASK : PID_GROUP;
}

int pidfd_new(struct task *t, struct pid *pid, uint32_t flags, struct file **ret) {
    struct pidfd *p = heap_new(pidfd);

    if (!p)
        return -ENOMEM;
    int r = file_init_anon(&p->file, &g_pidfd_ops, "anon_inode:[pidfd]", 0, LINUX_O_RDWR | flags,
                           FILE_READ | FILE_WRITE | FILE_STREAM, t->creds);
    if (r < 0) {
        heap_free(p);
        return r;
    }
    atomic_fetch_or(&p->file.flags, flags & LINUX_O_EXCL); /* file_init() takes it for a flag of opening */
    p->pid = pid_ref(pid);
    *ret = &p->file;
    return 0;
}

static uint32_t pidfd_ready(struct file *f, uint32_t events) {
    struct pid *pid = pidfd_of(f)->pid;
    struct kernel *k = heap_root();

    mutex_lock(&k->taskset_lock);
    struct task *t = pid_task_locked(pid, role_of(f));
    bool ended = t && atomic_load(&t->state) >= TASK_ZOMBIE;
    bool alive = t && !(ended && (pidfd_is_thread(f) || t->group->task_count <= 1));
    bool gone = !t;
    mutex_unlock(&k->taskset_lock);
    uint32_t now = alive ? 0 : LINUX_POLLIN | LINUX_POLLRDNORM | (gone ? LINUX_POLLHUP : 0);
    return now & (events | LINUX_POLLHUP);
}

static struct waitq *pidfd_poll_queue(struct file *f) {
    return &pidfd_of(f)->pid->exit_queue;
}

static size_t pidfd_show_fdinfo(struct file *f, char *buf, size_t size) {
    struct pid *pid = pidfd_of(f)->pid;
    struct kernel *k = heap_root();

    mutex_lock(&k->taskset_lock);
    bool gone = !pid_task_locked(pid, role_of(f));
    mutex_unlock(&k->taskset_lock);
    int n = snprintf(buf, size, "Pid:\t%d\nNSpid:\t%d\n", gone ? -1 : pid->numbers[pid->level].number,
                     gone ? -1 : pid->numbers[pid->level].number);
    return n < 0 ? 0 : (size_t)n;
}

static void pidfd_release(struct file *f) {
    struct pidfd *p = pidfd_of(f);

    pid_unref(p->pid);
    file_done(f);
    heap_free(p);
}

static const struct file_ops g_pidfd_ops = {
    .name = "pidfd",
    .ready = pidfd_ready,
    .poll_queue = pidfd_poll_queue,
    .show_fdinfo = pidfd_show_fdinfo,
    .release = pidfd_release,
};

int pidfd_task(struct task *t, int fd, struct task **ret) {
    struct file *f = fd_get(t, fd);
    struct pid *pid = f ? pidfd_pid(f) : NULL;
    int r = pid ? -ESRCH : -EBADF;

    if (pid) {
        mutex_lock(&t->kernel->taskset_lock);
        struct task *target = pid_task_locked(pid, role_of(f));
        if (target) {
            *ret = task_ref(target);
            r = 0;
        }
        mutex_unlock(&t->kernel->taskset_lock);
    }
    file_unref(f);
    return r;
}
