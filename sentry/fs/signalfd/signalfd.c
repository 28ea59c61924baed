/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/signalfd/signalfd.c: see signalfd.h. A read takes the reader's own signals; readiness is told for
 * the process that made the descriptor (a descriptor that was inherited over fork is readable by the child,
 * but poll() of it follows the parent's signals).
 */
#include "sentry/fs/signalfd/signalfd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/poll.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/file.h"

struct signalfd {
    struct file file;
    struct thread_group *group; /* reference */
    _Atomic uint64_t set;
};
HEAP_TYPE(signalfd, struct signalfd, 0);

static const struct file_ops g_signalfd_ops;

static struct signalfd *signalfd_of(struct file *f) {
    return container_of(f, struct signalfd, file);
}

static void convert(const struct linux_siginfo *info, struct linux_signalfd_siginfo *s) {
    *s = (struct linux_signalfd_siginfo){
        .signo = (uint32_t)info->signo, .errnum = info->errnum, .code = info->code};
    if (info->code == LINUX_SI_TIMER) {
        s->tid = (uint32_t)info->timer.id;
        s->overrun = (uint32_t)info->timer.overrun;
        s->value_ptr = info->timer.value;
        s->value_int = (int32_t)info->timer.value;
    } else if (info->code > 0 && info->code != LINUX_SI_KERNEL && info->signo == LINUX_SIGCHLD) {
        s->pid = (uint32_t)info->chld.pid;
        s->uid = info->chld.uid;
        s->status = info->chld.status;
        s->utime = (uint64_t)info->chld.utime;
        s->stime = (uint64_t)info->chld.stime;
    } else if (info->code > 0 && info->code != LINUX_SI_KERNEL && info->signo == LINUX_SIGIO) {
        s->band = (uint32_t)info->poll.band;
        s->fd = info->poll.fd;
    } else if (info->code > 0 && info->code != LINUX_SI_KERNEL) {
        s->address = info->fault.address;
    } else {
        s->pid = (uint32_t)info->kill.pid;
        s->uid = info->kill.uid;
        s->value_ptr = info->kill.value;
        s->value_int = (int32_t)info->kill.value;
    }
}

static ssize_t signalfd_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct signalfd *s = signalfd_of(f);
    struct linux_signalfd_siginfo out;
    struct linux_siginfo info;
    ssize_t total = 0;

    (void)offset;
    if (to->remaining < sizeof out || !to->task)
        return -EINVAL;
    while (to->remaining >= sizeof out && signal_dequeue(to->task, atomic_load(&s->set), &info)) {
        convert(&info, &out);
        if (uio_write(to, &out, sizeof out) != sizeof out)
            return total ? total : -EFAULT;
        total += sizeof out;
    }
    return total ? total : -EAGAIN;
}

static uint32_t signalfd_ready(struct file *f, uint32_t events) {
    struct signalfd *s = signalfd_of(f);
    struct task *t;

    (void)events;
    mutex_lock(&s->group->signal_lock);
    sigset_word pending = s->group->shared_pending.set;
    list_for_each_entry(t, &s->group->tasks, group_node) pending |= t->pending.set;
    mutex_unlock(&s->group->signal_lock);
    return pending & atomic_load(&s->set) ? LINUX_POLLIN | LINUX_POLLRDNORM : 0;
}

static struct waitq *signalfd_poll_queue(struct file *f) {
    return &signalfd_of(f)->group->signalfd_queue;
}

static size_t signalfd_show(struct file *f, char *buf, size_t size) {
    int n = snprintf(buf, size, "sigmask:\t%016lx\n", (unsigned long)atomic_load(&signalfd_of(f)->set));

    return n > 0 ? MIN((size_t)n, size) : 0;
}

static void signalfd_release(struct file *f) {
    struct signalfd *s = signalfd_of(f);

    thread_group_unref(s->group);
    file_done(f);
    heap_free(s);
}

static const struct file_ops g_signalfd_ops = {
    .name = "signalfd",
    .read = signalfd_read,
    .ready = signalfd_ready,
    .poll_queue = signalfd_poll_queue,
    .show_fdinfo = signalfd_show,
    .release = signalfd_release,
};

int signalfd_new(struct task *t, sigset_word set, uint32_t flags, struct file **ret) {
    struct signalfd *s = heap_new(signalfd);

    if (!s)
        return -ENOMEM;
    int r = file_init_anon(&s->file, &g_signalfd_ops, "anon_inode:[signalfd]", 0, LINUX_O_RDWR | flags,
                           FILE_READ | FILE_WRITE | FILE_STREAM, t->creds);
    if (r < 0) {
        heap_free(s);
        return r;
    }
    s->group = thread_group_ref(t->group);
    atomic_store(&s->set, set & ~SIG_UNBLOCKABLE);
    *ret = &s->file;
    return 0;
}

int signalfd_set_mask(struct file *f, sigset_word set) {
    if (f->ops != &g_signalfd_ops)
        return -EINVAL;
    struct signalfd *s = signalfd_of(f);
    atomic_store(&s->set, set & ~SIG_UNBLOCKABLE);
    waitq_wake(&s->group->signalfd_queue, LINUX_POLLIN);
    return 0;
}
