/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/seccomp_notify.c: user notification: calls that wait for a supervisor's answer, and the
 * supervisor's descriptor. Descriptors that a supervisor adds are installed by the waiting task itself, in
 * its own table. Source: seccomp_unotify(2).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

enum call_state { CALL_NEW, CALL_RECEIVED, CALL_ANSWERED };

/* A descriptor on its way to the caller. References: the supervisor's call and, while queued, call.additions.
 */
struct addition {
    struct ref ref;
    struct list node;  /* in call.additions; listener.lock, as the rest */
    struct task *from; /* reference: waits for the outcome */
    struct file *file; /* reference, until installed */
    int fd;            /* where to: with LINUX_SECCOMP_ADDFD_FLAG_SETFD */
    uint32_t flags;
    bool cloexec, done;
    int result;
};
DECLARE_REF(addition);
HEAP_TYPE(seccomp_addition, struct addition, 0);

/* A task that waits; lives as long as its wait. */
struct notified_call {
    struct list node; /* in listener.calls; listener.lock, as the rest */
    uint64_t id;
    struct task *task; /* borrowed: it waits */
    struct linux_seccomp_data data;
    enum call_state state;
    int64_t value;
    int32_t error;
    uint32_t flags;
    struct list additions;
};
HEAP_TYPE(notified_call, struct notified_call, 0);

struct seccomp_listener {
    struct ref ref;
    struct waitq queue; /* supervisors and polls */
    struct mutex lock;  /* RANK_EVENT */
    struct list calls;
    uint64_t next_id;
    bool closed;   /* no file: calls give ENOSYS */
    bool orphaned; /* no filter in force: the file hangs up */
};
DECLARE_REF(seccomp_listener);
HEAP_TYPE(seccomp_listener, struct seccomp_listener, 0);

struct listener_file {
    struct file base;
    struct seccomp_listener *listener; /* reference */
};
HEAP_TYPE(seccomp_listener_file, struct listener_file, 0);

static void addition_destroy(struct addition *a) {
    file_unref(a->file);
    task_unref(a->from);
    heap_free(a);
}
DEFINE_REF(addition, addition_destroy);

static void seccomp_listener_destroy(struct seccomp_listener *l) {
    ASSERT(list_empty(&l->calls));
    heap_free(l);
}
DEFINE_REF(seccomp_listener, seccomp_listener_destroy);

static struct seccomp_listener *listener_of(struct file *f) {
    return container_of(f, struct listener_file, base)->listener;
}

void seccomp_listener_orphan(struct seccomp_listener *l) {
    mutex_lock(&l->lock);
    l->orphaned = true;
    mutex_unlock(&l->lock);
    waitq_wake(&l->queue, LINUX_POLLHUP);
}

/* ---- the caller's side ---- */

static int install(struct task *t, struct addition *a, struct file **file) {
    if (!(a->flags & LINUX_SECCOMP_ADDFD_FLAG_SETFD)) {
        int fd = fd_install(t, *file, 0, a->cloexec);
        if (fd >= 0)
            *file = NULL;
        return fd;
    }
    int fd = fd_install(t, *file, 0, a->cloexec);
    if (fd < 0)
        return fd;
    *file = NULL;
    if (fd == a->fd)
        return fd;
    int r = fd_dup2(t, fd, a->fd, a->cloexec);
    (void)fd_close(t, fd);
    return r;
}

/* Installs what the supervisor has queued. listener.lock is held, and dropped meanwhile. */
static void take_additions_locked(struct task *t, struct seccomp_listener *l, struct notified_call *c)
    REQUIRES(&l->lock) {
    while (!list_empty(&c->additions)) {
        struct addition *a = list_first_entry(&c->additions, struct addition, node);
        list_del(&a->node);
        struct file *file = TAKE(a->file);
        mutex_unlock(&l->lock);
        int result = install(t, a, &file);
        file_unref(file);
        mutex_lock(&l->lock);
        a->result = result;
        if (a->flags & LINUX_SECCOMP_ADDFD_FLAG_SEND) {
            if (result >= 0) {
                c->value = result;
                c->error = 0;
                c->flags = 0;
            } else {
                c->state = CALL_RECEIVED; /* the supervisor may still answer */
            }
        }
        a->done = true;
        task_wake(a->from);
        mutex_unlock(&l->lock);
        addition_unref(a);
        mutex_lock(&l->lock);
    }
}

/* True: there is an answer. listener.lock held. */
static bool look_locked(struct task *t, struct seccomp_listener *l, struct notified_call *c)
    REQUIRES(&l->lock) {
    take_additions_locked(t, l, c);
    return c->state == CALL_ANSWERED || l->closed;
}

/* Those that nobody will install. */
static void drop_additions(struct seccomp_listener *l, struct notified_call *c) {
    mutex_lock(&l->lock);
    while (!list_empty(&c->additions)) {
        struct addition *a = list_first_entry(&c->additions, struct addition, node);
        list_del(&a->node);
        a->result = -ESRCH;
        a->done = true;
        task_wake(a->from);
        mutex_unlock(&l->lock);
        addition_unref(a);
        mutex_lock(&l->lock);
    }
    mutex_unlock(&l->lock);
}

/* Off the list for good; returns what the call gives, and 1 if it goes on. */
static int settle(struct seccomp_listener *l, struct notified_call *c, int error, int64_t *ret_result) {
    int r = 0;

    mutex_lock(&l->lock);
    list_del(&c->node);
    if (c->state == CALL_ANSWERED) {
        r = (c->flags & LINUX_SECCOMP_USER_NOTIF_FLAG_CONTINUE) != 0;
        *ret_result = c->error ? c->error : c->value;
    } else if (l->closed) {
        *ret_result = -ENOSYS;
    } else {
        *ret_result = error;
    }
    mutex_unlock(&l->lock);
    waitq_wake(&l->queue, LINUX_POLLIN | LINUX_POLLOUT); /* a receiver may wait for a call that is gone */
    return r;
}

static int await_answer(struct task *t, struct seccomp_listener *l, struct notified_call *c,
                        bool wait_killable) {
    int r = 0;

    while (r == 0) {
        mutex_lock(&l->lock);
        bool done = look_locked(t, l, c), received = c->state == CALL_RECEIVED;
        mutex_unlock(&l->lock);
        if (done)
            return 0;
        r = wait_killable && received ? task_block_killable(t, CLOCK_NEVER) : task_block(t, CLOCK_NEVER);
        if (r < 0 && wait_killable && !(atomic_load(&t->pending_work) & TASK_WORK_EXIT)) {
            mutex_lock(&l->lock);
            received = c->state == CALL_RECEIVED;
            mutex_unlock(&l->lock);
            if (received) /* it was received just now: from here on only death ends the wait */
                r = 0;
        }
    }
    return r;
}

int seccomp_listener_ask(struct task *t, struct seccomp_listener *l, bool wait_killable,
                         const struct linux_seccomp_data *data, int64_t *ret_result) {
    might_block();
    *ret_result = -ENOSYS;
    struct notified_call *c = heap_new(notified_call);
    if (!c) {
        *ret_result = -ENOMEM;
        return 0;
    }
    c->task = t;
    c->data = *data;
    list_init(&c->additions);
    mutex_lock(&l->lock);
    bool closed = l->closed;
    if (!closed) {
        c->id = l->next_id++;
        list_add_tail(&l->calls, &c->node);
    }
    mutex_unlock(&l->lock);
    if (closed) {
        heap_free(c);
        return 0;
    }
    waitq_wake(&l->queue, LINUX_POLLIN | LINUX_POLLRDNORM);
    int error = await_answer(t, l, c, wait_killable);
    int r = settle(l, c, error, ret_result);
    drop_additions(l, c);
    heap_free(c);
    return r;
}

/* ---- the supervisor's side ---- */

static struct notified_call *find_locked(struct seccomp_listener *l, uint64_t id) {
    struct notified_call *c;

    list_for_each_entry(c, &l->calls, node) if (c->id == id) return c;
    return NULL;
}

static struct notified_call *first_new_locked(struct seccomp_listener *l) {
    struct notified_call *c;

    list_for_each_entry(c, &l->calls, node) if (c->state == CALL_NEW) return c;
    return NULL;
}

static bool take_new(struct task *t, struct seccomp_listener *l, struct linux_seccomp_notif *ret) {
    mutex_lock(&l->lock);
    struct notified_call *c = first_new_locked(l);
    if (c) {
        c->state = CALL_RECEIVED;
        *ret = (struct linux_seccomp_notif){
            .id = c->id, .pid = (uint32_t)task_tid_in(c->task, task_pid_ns(t)), .data = c->data};
        task_wake(c->task); /* with WAIT_KILLABLE_RECV it now waits otherwise */
    }
    mutex_unlock(&l->lock);
    return c != NULL;
}

static int64_t receive(struct task *t, struct seccomp_listener *l, gva_t at) {
    struct linux_seccomp_notif notif, zero = {0};
    struct waiter w;
    int r = copy_in(t, &notif, at, sizeof notif);

    if (r < 0)
        return r;
    if (memcmp(&notif, &zero, sizeof zero) != 0)
        return -EINVAL;
    waiter_init_task(&w, t, LINUX_POLLIN | LINUX_POLLHUP);
    waitq_add(&l->queue, &w);
    while (!take_new(t, l, &notif)) {
        mutex_lock(&l->lock);
        bool orphaned = l->orphaned;
        mutex_unlock(&l->lock);
        r = orphaned ? -ENOENT : task_block(t, CLOCK_NEVER);
        if (r < 0)
            break;
    }
    waitq_remove(&w);
    if (r < 0)
        return r;
    r = copy_out(t, at, &notif, sizeof notif);
    if (r < 0) { /* as if nobody had looked */
        mutex_lock(&l->lock);
        struct notified_call *c = find_locked(l, notif.id);
        if (c && c->state == CALL_RECEIVED)
            c->state = CALL_NEW;
        mutex_unlock(&l->lock);
        waitq_wake(&l->queue, LINUX_POLLIN | LINUX_POLLRDNORM);
    } else {
        waitq_wake(&l->queue, LINUX_POLLOUT | LINUX_POLLWRNORM);
    }
    return r;
}

static int64_t answer(struct task *t, struct seccomp_listener *l, gva_t at) {
    struct linux_seccomp_notif_resp resp;
    int r = copy_in(t, &resp, at, sizeof resp);

    if (r < 0)
        return r;
    if ((resp.flags & ~(uint32_t)LINUX_SECCOMP_USER_NOTIF_FLAG_CONTINUE) ||
        ((resp.flags & LINUX_SECCOMP_USER_NOTIF_FLAG_CONTINUE) && (resp.error || resp.val)))
        return -EINVAL;
    mutex_lock(&l->lock);
    struct notified_call *c = find_locked(l, resp.id);
    if (!c) {
        r = -ENOENT;
    } else if (c->state != CALL_RECEIVED) {
        r = -EINPROGRESS;
    } else {
        c->state = CALL_ANSWERED;
        c->value = resp.val;
        c->error = resp.error;
        c->flags = resp.flags;
        task_wake(c->task);
    }
    mutex_unlock(&l->lock);
    return r;
}

static int64_t is_valid(struct task *t, struct seccomp_listener *l, gva_t at) {
    uint64_t id;
    int r = copy_in(t, &id, at, sizeof id);

    if (r < 0)
        return r;
    mutex_lock(&l->lock);
    struct notified_call *c = find_locked(l, id);
    r = c && c->state == CALL_RECEIVED ? 0 : -ENOENT;
    mutex_unlock(&l->lock);
    return r;
}

static int64_t set_flags(uint64_t flags) {
    return flags & ~(uint64_t)LINUX_SECCOMP_FD_SYNC_WAKE_UP ? -EINVAL : 0; /* a hint to a scheduler */
}

static int copy_in_addfd(struct task *t, gva_t at, size_t size, struct linux_seccomp_notif_addfd *ret) {
    if (size < sizeof *ret || size >= PAGE_SIZE)
        return -EINVAL;
    int r = copy_in(t, ret, at, sizeof *ret);
    for (size_t i = sizeof *ret; i < size && r == 0; i++) {
        char byte;
        r = copy_in(t, &byte, at + i, 1);
        if (r == 0 && byte)
            r = -E2BIG;
    }
    if (r < 0)
        return r;
    if (ret->newfd_flags & ~(uint32_t)LINUX_O_CLOEXEC)
        return -EINVAL;
    if (ret->flags & ~(uint32_t)(LINUX_SECCOMP_ADDFD_FLAG_SETFD | LINUX_SECCOMP_ADDFD_FLAG_SEND))
        return -EINVAL;
    return ret->newfd && !(ret->flags & LINUX_SECCOMP_ADDFD_FLAG_SETFD) ? -EINVAL : 0;
}

static int queue_addition(struct seccomp_listener *l, const struct linux_seccomp_notif_addfd *q,
                          struct addition *a) {
    int r = 0;

    mutex_lock(&l->lock);
    struct notified_call *c = find_locked(l, q->id);
    if (!c) {
        r = -ENOENT;
    } else if (c->state != CALL_RECEIVED) {
        r = -EINPROGRESS;
    } else if ((q->flags & LINUX_SECCOMP_ADDFD_FLAG_SEND) && !list_empty(&c->additions)) {
        r = -EBUSY;
    } else {
        if (q->flags & LINUX_SECCOMP_ADDFD_FLAG_SEND)
            c->state = CALL_ANSWERED;
        list_add_tail(&c->additions, &addition_ref(a)->node);
        task_wake(c->task);
    }
    mutex_unlock(&l->lock);
    return r;
}

/* Waits until the caller has installed it; an interrupted supervisor takes it back if it still can. */
static int await_addition(struct task *t, struct seccomp_listener *l, uint64_t id, struct addition *a) {
    for (;;) {
        mutex_lock(&l->lock);
        bool done = a->done;
        int result = a->result;
        mutex_unlock(&l->lock);
        if (done)
            return result;
        int r = task_block(t, CLOCK_NEVER);
        if (r == 0)
            continue;
        mutex_lock(&l->lock);
        bool taken_back = !a->done && !list_empty(&a->node);
        if (taken_back) {
            list_del(&a->node);
            struct notified_call *c = find_locked(l, id);
            if (c && (a->flags & LINUX_SECCOMP_ADDFD_FLAG_SEND))
                c->state = CALL_RECEIVED;
        }
        mutex_unlock(&l->lock);
        if (taken_back) {
            addition_unref(a); /* the queue's */
            return r;
        }
        task_block_uninterruptible(t); /* it is being installed: a moment */
    }
}

static int64_t add_fd(struct task *t, struct seccomp_listener *l, gva_t at, size_t size) {
    struct linux_seccomp_notif_addfd q;
    int r = copy_in_addfd(t, at, size, &q);

    if (r < 0)
        return r;
    struct addition *a = heap_new(seccomp_addition);
    if (!a)
        return -ENOMEM;
    addition_ref_init(a);
    list_init(&a->node);
    a->from = task_ref(t);
    a->flags = q.flags;
    a->fd = (int)q.newfd;
    a->cloexec = q.newfd_flags & LINUX_O_CLOEXEC;
    a->file = fd_get(t, (int)q.srcfd);
    r = a->file ? queue_addition(l, &q, a) : -EBADF;
    if (r == 0)
        r = await_addition(t, l, q.id, a);
    addition_unref(a);
    return r;
}

static int64_t listener_ioctl(struct file *f, struct task *t, uint32_t cmd, uint64_t arg) {
    struct seccomp_listener *l = listener_of(f);
    const uint32_t size_mask = 0x3fff0000;

    switch (cmd) {
    case LINUX_SECCOMP_IOCTL_NOTIF_RECV:
        return receive(t, l, arg);
    case LINUX_SECCOMP_IOCTL_NOTIF_SEND:
        return answer(t, l, arg);
    case LINUX_SECCOMP_IOCTL_NOTIF_ID_VALID:
    case LINUX_SECCOMP_IOCTL_NOTIF_ID_VALID_OLD:
        return is_valid(t, l, arg);
    case LINUX_SECCOMP_IOCTL_NOTIF_SET_FLAGS:
        return set_flags(arg);
    }
    if ((cmd & ~size_mask) == (LINUX_SECCOMP_IOCTL_NOTIF_ADDFD & ~size_mask))
        return add_fd(t, l, arg, (cmd & size_mask) >> 16);
    return -EINVAL;
}

static uint32_t listener_ready(struct file *f, uint32_t events) {
    struct seccomp_listener *l = listener_of(f);
    struct notified_call *c;
    uint32_t now = 0;

    (void)events;
    mutex_lock(&l->lock);
    list_for_each_entry(c, &l->calls, node) {
        if (c->state == CALL_NEW)
            now |= LINUX_POLLIN | LINUX_POLLRDNORM;
        else if (c->state == CALL_RECEIVED)
            now |= LINUX_POLLOUT | LINUX_POLLWRNORM;
    }
    if (l->orphaned)
        now |= LINUX_POLLHUP;
    mutex_unlock(&l->lock);
    return now;
}

static struct waitq *listener_poll_queue(struct file *f) {
    return &listener_of(f)->queue;
}

static void listener_release(struct file *f) {
    struct seccomp_listener *l = listener_of(f);
    struct notified_call *c;

    mutex_lock(&l->lock);
    l->closed = true;
    list_for_each_entry(c, &l->calls, node) task_wake(c->task);
    mutex_unlock(&l->lock);
    seccomp_listener_unref(l);
    file_done(f);
    heap_free(container_of(f, struct listener_file, base));
}

static const struct file_ops listener_file_ops = {
    .name = "seccomp listener",
    .ready = listener_ready,
    .poll_queue = listener_poll_queue,
    .ioctl = listener_ioctl,
    .release = listener_release,
};

int seccomp_listener_new(struct task *t, struct seccomp_listener **ret_listener, struct file **ret_file) {
    struct listener_file *f = heap_new(seccomp_listener_file);
    struct seccomp_listener *l = heap_new(seccomp_listener);
    int r = f && l ? 0 : -ENOMEM;

    if (r == 0)
        r = file_init_anon(&f->base, &listener_file_ops, "anon_inode:seccomp notify", 0, LINUX_O_RDWR,
                           FILE_STREAM, task_creds(t));
    if (r < 0) {
        heap_free(f);
        heap_free(l);
        return r;
    }
    seccomp_listener_ref_init(l);
    waitq_init(&l->queue);
    mutex_init(&l->lock, RANK_EVENT);
    list_init(&l->calls);
    uint64_t seed = 0;
    kernel_random(t->kernel, &seed, sizeof seed);
    l->next_id = seed;
    f->listener = seccomp_listener_ref(l);
    *ret_listener = l;
    *ret_file = &f->base;
    return 0;
}
