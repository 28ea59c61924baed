/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/file_async.c: see file_async.h.
 */
#include "sentry/vfs/file_async.h"

#include <errno.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/poll.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/vfs_internal.h"

HEAP_TYPE(file_async, struct file_async, 0);

static void file_async_destroy(struct file_async *a) {
    pid_unref(a->owner);
    heap_free(a);
}
DEFINE_REF(file_async, file_async_destroy);

/* ---- sending ---- */

/* What a signal says of events: fcntl(2), F_SETSIG; sigaction(2), "SIGIO/SIGPOLL fills in". */
static int code_of(uint32_t events, uint32_t *ret_band) {
    static const struct {
        uint32_t when;
        int code;
        uint32_t band;
    } codes[] = {
        {LINUX_POLLMSG, LINUX_POLL_MSG, LINUX_POLLIN | LINUX_POLLRDNORM | LINUX_POLLMSG},
        {LINUX_POLLHUP, LINUX_POLL_HUP, LINUX_POLLHUP | LINUX_POLLERR},
        {LINUX_POLLERR, LINUX_POLL_ERR, LINUX_POLLERR},
        {LINUX_POLLPRI, LINUX_POLL_PRI, LINUX_POLLPRI | LINUX_POLLRDBAND},
        {LINUX_POLLIN | LINUX_POLLRDNORM, LINUX_POLL_IN, LINUX_POLLIN | LINUX_POLLRDNORM},
        {LINUX_POLLOUT | LINUX_POLLWRNORM, LINUX_POLL_OUT,
         LINUX_POLLOUT | LINUX_POLLWRNORM | LINUX_POLLWRBAND},
    };

    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        if (events & codes[i].when) {
            *ret_band = codes[i].band;
            return codes[i].code;
        }
    }
    *ret_band = 0;
    return LINUX_POLL_IN;
}

/* What a signal is sent with: a copy of the object. */
struct message {
    int role, signal, fd;
    kuid_t uid, euid;
    uint32_t events;
};

static bool permitted(const struct message *m, struct task *t) {
    struct creds *c = task_get_creds(t);
    bool yes =
        m->euid == 0 || m->euid == c->suid || m->euid == c->uid || m->uid == c->suid || m->uid == c->uid;

    creds_unref(c);
    return yes;
}

static void send_to(const struct message *m, struct task *t) {
    enum signal_target target = m->role == PID_TASK ? SIGNAL_TASK : SIGNAL_GROUP;
    struct linux_siginfo info;
    uint32_t band;

    if (!permitted(m, t))
        return;
    if (m->signal) {
        info = (struct linux_siginfo){.signo = m->signal, .code = code_of(m->events, &band)};
        info.poll.band = band;
        info.poll.fd = m->fd;
        if (signal_send(t, &info, target) == 0)
            return;
    }
    siginfo_kernel(&info, LINUX_SIGIO); /* also when there is no room for another: fcntl(2) */
    (void)signal_send(t, &info, target);
}

/* The processes of a group, one after the other, with a reference each and no lock while it is told. */
static void send_to_group(const struct message *m, struct pid *pid) {
    struct kernel *k = heap_root();
    struct task *members[64], *t;
    size_t n = 0;

    mutex_lock(&k->taskset_lock);
    list_for_each_entry(t, &pid->tasks[PID_PGRP], pid_node[PID_PGRP]) if (n < ARRAY_SIZE(members))
        members[n++] = task_ref(t);
    mutex_unlock(&k->taskset_lock);
    for (size_t i = 0; i < n; i++) {
        send_to(m, members[i]);
        task_unref(members[i]);
    }
}

static void async_run(struct deferred *d) {
    struct file_async *a = container_of(d, struct file_async, deferred);
    struct message m = {.events = atomic_exchange(&a->events, 0)};

    mutex_lock(&a->lock);
    struct pid *pid = a->owner ? pid_ref(a->owner) : NULL;
    m.role = a->role;
    m.signal = a->signal;
    m.fd = a->fd;
    m.uid = a->uid;
    m.euid = a->euid;
    mutex_unlock(&a->lock);
    if (pid && m.role == PID_PGRP) {
        send_to_group(&m, pid);
    } else if (pid) {
        mutex_lock(&a->kernel->taskset_lock);
        struct task *t = pid_task_locked(pid, (enum pid_role)m.role);
        t = t ? task_ref(t) : NULL;
        mutex_unlock(&a->kernel->taskset_lock);
        if (t)
            send_to(&m, t);
        task_unref(t);
    }
    pid_unref(pid);
    file_async_unref(a);
}

void file_async_tell(struct file_async *a, uint32_t events) {
    atomic_fetch_or(&a->events, events);
    (void)file_async_ref(a);
    if (!kernel_defer(a->kernel, &a->deferred))
        (void)file_async_unref(a); /* the run that waits has one: never the last */
}

static void async_notify(struct waiter *w, uint32_t events) {
    file_async_tell(container_of(w, struct file_async, waiter), events & w->events);
}

static const struct waiter_ops g_async_waiter = {.notify = async_notify};

/* ---- owners ---- */

struct file_async *file_async_of(struct task *t, struct file *f) {
    mutex_lock(&f->lock);
    struct file_async *a = f->async;
    mutex_unlock(&f->lock);
    if (a)
        return a;
    struct file_async *made = heap_new(file_async);
    if (!made)
        return NULL;
    file_async_ref_init(made);
    made->kernel = t->kernel;
    made->deferred.run = async_run;
    made->role = PID_GROUP;
    made->fd = -1;
    mutex_init(&made->lock, RANK_LEAF);
    waiter_init(&made->waiter, &g_async_waiter, 0);
    mutex_lock(&f->lock);
    if (!f->async) {
        f->async = made;
        made = NULL;
    }
    a = f->async;
    mutex_unlock(&f->lock);
    file_async_unref(made);
    return a;
}

void file_async_done(struct file *f) {
    if (!f->async)
        return;
    waitq_remove(&f->async->waiter);
    dnotify_end(f->async);
    f->async = file_async_unref(f->async);
}

int file_set_owner(struct task *t, struct file *f, struct pid *pid, int role) {
    struct file_async *a = file_async_of(t, f);

    if (!a) {
        pid_unref(pid);
        return -ENOMEM;
    }
    mutex_lock(&a->lock);
    struct pid *old = a->owner;
    a->owner = pid;
    a->role = role;
    a->uid = task_creds(t)->uid;
    a->euid = task_creds(t)->euid;
    mutex_unlock(&a->lock);
    pid_unref(old);
    return 0;
}

struct pid *file_get_owner(struct file *f, int *ret_role) {
    struct pid *pid = NULL;

    *ret_role = PID_GROUP;
    mutex_lock(&f->lock);
    struct file_async *a = f->async;
    mutex_unlock(&f->lock);
    if (!a)
        return NULL;
    mutex_lock(&a->lock);
    pid = a->owner ? pid_ref(a->owner) : NULL;
    *ret_role = a->role;
    mutex_unlock(&a->lock);
    return pid;
}

int file_set_owner_signal(struct task *t, struct file *f, int signo) {
    struct file_async *a = file_async_of(t, f);

    if (!a)
        return -ENOMEM;
    mutex_lock(&a->lock);
    a->signal = signo;
    mutex_unlock(&a->lock);
    return 0;
}

int file_get_owner_signal(struct file *f) {
    mutex_lock(&f->lock);
    struct file_async *a = f->async;
    mutex_unlock(&f->lock);
    return a ? a->signal : 0;
}

/* ---- O_ASYNC ---- */

bool file_can_async(struct file *f) {
    uint32_t type = f->inode->type;

    return (type == LINUX_S_IFIFO || type == LINUX_S_IFSOCK || type == LINUX_S_IFCHR) && file_poll_queue(f);
}

int file_set_async(struct task *t, struct file *f, int fd, bool on) {
    struct file_async *a = file_async_of(t, f);
    uint32_t events = LINUX_POLLERR | LINUX_POLLHUP | LINUX_POLLPRI;

    if (!a)
        return -ENOMEM;
    if (f->mode & FILE_READ)
        events |= LINUX_POLLIN | LINUX_POLLRDNORM;
    if (f->mode & FILE_WRITE)
        events |= LINUX_POLLOUT | LINUX_POLLWRNORM;
    mutex_lock(&a->lock);
    a->fd = fd;
    mutex_unlock(&a->lock);
    waitq_remove(&a->waiter);
    if (on) {
        a->waiter.events = events;
        waitq_add(file_poll_queue(f), &a->waiter);
        atomic_fetch_or(&f->flags, LINUX_O_ASYNC);
    } else {
        atomic_fetch_and(&f->flags, ~(uint32_t)LINUX_O_ASYNC);
    }
    return 0;
}
