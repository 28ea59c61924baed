/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/mqueue/mqueue_queue.c: a POSIX message queue once it is open: sending, receiving, notification,
 * poll, and the text that read(2) gives. Source: mq_send(3), mq_receive(3), mq_notify(3), mq_overview(7).
 *
 * SIGEV_THREAD is made by libc of a netlink socket that it hands in and at which a thread of its own reads.
 */
#include <errno.h>
#include <stdio.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/signal.h"
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/fs/mqueue/mqueue_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/ipc/msg.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/socket/netlink/netlink.h"
#include "sentry/vfs/fd_table.h"

HEAP_TYPE(mqueue_file, struct file, 0);

enum { STATUS_SIZE = 128 };

static const struct file_ops g_mqueue_file_ops;

bool is_mqueue_file(const struct file *f) {
    return f->ops == &g_mqueue_file_ops;
}

static struct mqueue_inode *queue_of(struct file *f) {
    return mqueue_inode_of(f->inode);
}

static void notice_done(struct mqueue_notice *n) {
    pid_unref(n->process);
    file_unref(n->socket);
}

void mqueue_init(struct mqueue_inode *q) {
    mutex_init(&q->lock, RANK_EVENT);
    waitq_init(&q->queue);
    list_init(&q->messages);
    q->notice.kind = LINUX_SIGEV_NONE;
}

void mqueue_done(struct mqueue_inode *q) {
    struct message *m, *next;

    list_for_each_entry_safe(m, next, &q->messages, node) {
        list_del(&m->node);
        message_free(m);
    }
    notice_done(&q->notice);
}

uint64_t mqueue_message_size(struct file *f) {
    return (uint64_t)queue_of(f)->message_size;
}

void mqueue_get_attr(struct file *f, struct linux_mq_attr *ret) {
    struct mqueue_inode *q = queue_of(f);

    mutex_lock(&q->lock);
    *ret = (struct linux_mq_attr){.flags = atomic_load(&f->flags) & LINUX_O_NONBLOCK,
                                  .maxmsg = q->max_messages,
                                  .msgsize = q->message_size,
                                  .curmsgs = (int64_t)q->count};
    mutex_unlock(&q->lock);
}

static void touch(struct mqueue_inode *q) {
    int64_t now = vfs_now(q->base.fs->kernel);

    mutex_lock(&q->base.lock);
    q->atime_ns = q->mtime_ns = q->ctime_ns = now;
    mutex_unlock(&q->base.lock);
}

/* ---- notification ---- */

/* A message has come to an empty queue at which nobody waits, or it is wanted no more: the registration is
 * used up. */
static void take_notice_locked(struct mqueue_inode *q, struct mqueue_notice *ret) {
    *ret = q->notice;
    q->notice = (struct mqueue_notice){.kind = LINUX_SIGEV_NONE};
}

static void tell_thread(struct mqueue_notice *n, int why) {
    if (!n->socket)
        return;
    n->cookie[NOTIFY_COOKIE - 1] = (unsigned char)why;
    netlink_deliver(n->socket, n->cookie, sizeof n->cookie);
}

static void send_signal(struct task *sender, const struct mqueue_notice *n) {
    struct kernel *k = sender->kernel;

    mutex_lock(&k->taskset_lock);
    struct task *target = pid_task_locked(n->process, PID_GROUP);
    if (target)
        task_ref(target);
    mutex_unlock(&k->taskset_lock);
    if (target) {
        struct linux_siginfo info;
        siginfo_user(&info, n->signal, sender, target);
        info.code = LINUX_SI_MESGQ;
        info.kill.value = n->value;
        (void)!signal_send(target, &info, SIGNAL_GROUP);
    }
    task_unref(target);
}

static void deliver(struct task *sender, struct mqueue_notice *n) {
    if (n->process && n->kind == LINUX_SIGEV_SIGNAL && n->signal != 0)
        send_signal(sender, n);
    tell_thread(n, NOTIFY_WOKEN);
    notice_done(n);
}

/* What an event asks for, with references: -EINVAL, -EFAULT, -EBADF, -ENOTSOCK. */
static int make_notice(struct task *t, struct file *f, const struct linux_sigevent *e,
                       struct mqueue_notice *ret) {
    if (e->notify != LINUX_SIGEV_NONE && e->notify != LINUX_SIGEV_SIGNAL && e->notify != LINUX_SIGEV_THREAD)
        return -EINVAL;
    if (e->notify == LINUX_SIGEV_SIGNAL && (e->signo < 0 || e->signo > LINUX_NSIG))
        return -EINVAL;
    *ret = (struct mqueue_notice){.file = f, .kind = e->notify, .signal = e->signo, .value = e->value};
    if (e->notify == LINUX_SIGEV_THREAD) {
        if (copy_in(t, ret->cookie, e->value, sizeof ret->cookie) < 0)
            return -EFAULT;
        ret->socket = fd_get(t, e->signo);
        int result = !ret->socket                                 ? -EBADF
                     : ret->socket->inode->type != LINUX_S_IFSOCK ? -ENOTSOCK
                     : !is_netlink_file(ret->socket)              ? -EINVAL
                                                                  : 0;
        if (result < 0) {
            file_unref(ret->socket);
            return result;
        }
    }
    ret->process = pid_ref(t->group->pid);
    return 0;
}

int mqueue_notify(struct task *t, struct file *f, const struct linux_sigevent *event) {
    struct mqueue_inode *q = queue_of(f);
    struct mqueue_notice fresh = {0}, old = {0};
    int result = event ? make_notice(t, f, event, &fresh) : 0;

    if (result < 0)
        return result;
    mutex_lock(&q->lock);
    if (!event && q->notice.process == t->group->pid) {
        take_notice_locked(q, &old);
    } else if (event && q->notice.process) {
        result = -EBUSY;
    } else if (event) {
        q->notice = fresh;
        fresh = (struct mqueue_notice){0};
    }
    mutex_unlock(&q->lock);
    tell_thread(&old, NOTIFY_REMOVED);
    notice_done(&old);
    notice_done(&fresh);
    if (result == 0)
        touch(q);
    return result;
}

/* ---- sending and receiving ---- */

static void insert_locked(struct mqueue_inode *q, struct message *m) {
    struct list *at = q->messages.prev; /* behind the last that is not less urgent */

    while (at != &q->messages && container_of(at, struct message, node)->type < m->type)
        at = at->prev;
    list_add(at, &m->node);
    q->count++;
    q->bytes += m->size;
}

static int send_once(struct mqueue_inode *q, struct message *m, struct mqueue_notice *n) {
    mutex_lock(&q->lock);
    int result = q->count < (uint64_t)q->max_messages ? 0 : -EAGAIN;
    if (result == 0) {
        if (q->count == 0 && q->receivers == 0)
            take_notice_locked(q, n);
        insert_locked(q, m);
    }
    mutex_unlock(&q->lock);
    if (result == 0)
        waitq_wake(&q->queue, LINUX_POLLIN | LINUX_POLLRDNORM);
    return result;
}

int mqueue_send(struct task *t, struct file *f, struct message *m, int64_t deadline) {
    struct mqueue_inode *q = queue_of(f);
    struct mqueue_notice n = {0};
    struct waiter w;
    int result = send_once(q, m, &n);

    might_block();
    if (result == -EAGAIN && !file_nonblocking(f)) {
        waiter_init_task(&w, t, LINUX_POLLOUT);
        waitq_add(&q->queue, &w);
        while ((result = send_once(q, m, &n)) == -EAGAIN) {
            result = task_block(t, deadline);
            if (result < 0)
                break;
        }
        waitq_remove(&w);
    }
    if (result < 0)
        return result;
    deliver(t, &n);
    touch(q);
    return 0;
}

static int receive_once(struct mqueue_inode *q, struct message **ret) {
    mutex_lock(&q->lock);
    bool empty = list_empty(&q->messages);
    if (!empty) {
        struct message *m = list_first_entry(&q->messages, struct message, node);
        list_del(&m->node);
        q->count--;
        q->bytes -= m->size;
        *ret = m;
    }
    mutex_unlock(&q->lock);
    if (!empty)
        waitq_wake(&q->queue, LINUX_POLLOUT | LINUX_POLLWRNORM);
    return empty ? -EAGAIN : 0;
}

static void count_receiver(struct mqueue_inode *q, int by) {
    mutex_lock(&q->lock);
    q->receivers = (unsigned)((int)q->receivers + by);
    mutex_unlock(&q->lock);
}

int mqueue_receive(struct task *t, struct file *f, int64_t deadline, struct message **ret) {
    struct mqueue_inode *q = queue_of(f);
    struct waiter w;
    int result = receive_once(q, ret);

    might_block();
    if (result == -EAGAIN && !file_nonblocking(f)) {
        waiter_init_task(&w, t, LINUX_POLLIN);
        waitq_add(&q->queue, &w);
        count_receiver(q, 1);
        while ((result = receive_once(q, ret)) == -EAGAIN) {
            result = task_block(t, deadline);
            if (result < 0)
                break;
        }
        count_receiver(q, -1);
        waitq_remove(&w);
    }
    if (result == 0)
        touch(q);
    return result;
}

/* ---- as a file ---- */

static int notify_pid_locked(struct mqueue_inode *q, struct pid_ns *ns) {
    return q->notice.process && ns ? pid_nr(q->notice.process, ns) : 0;
}

/* mq_overview(7), "Mounting the message queue filesystem". */
static ssize_t mqueue_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct mqueue_inode *q = queue_of(f);
    struct pid_ns *ns = to->task ? task_pid_ns(to->task) : NULL;
    char text[STATUS_SIZE];

    mutex_lock(&q->lock);
    bool told = q->notice.process;
    int n = snprintf(text, sizeof text, "QSIZE:%-10lu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n",
                     (unsigned long)q->bytes, told ? q->notice.kind : 0,
                     told && q->notice.kind == LINUX_SIGEV_SIGNAL ? q->notice.signal : 0,
                     notify_pid_locked(q, ns));
    mutex_unlock(&q->lock);
    if (*offset >= (uint64_t)n)
        return 0;
    ssize_t done = uio_write(to, text + *offset, (size_t)n - *offset);
    if (done > 0)
        *offset += (uint64_t)done;
    return done;
}

static uint32_t mqueue_ready(struct file *f, uint32_t events) {
    struct mqueue_inode *q = queue_of(f);
    uint32_t now = 0;

    (void)events;
    mutex_lock(&q->lock);
    if (q->count > 0)
        now |= LINUX_POLLIN | LINUX_POLLRDNORM;
    if (q->count < (uint64_t)q->max_messages)
        now |= LINUX_POLLOUT | LINUX_POLLWRNORM;
    mutex_unlock(&q->lock);
    return now;
}

static struct waitq *mqueue_poll_queue(struct file *f) {
    return &queue_of(f)->queue;
}

/* mq_close(3): a registration made through this description ends with it. */
static void mqueue_file_release(struct file *f) {
    struct mqueue_inode *q = queue_of(f);
    struct mqueue_notice old = {0};

    mutex_lock(&q->lock);
    if (q->notice.file == f)
        take_notice_locked(q, &old);
    mutex_unlock(&q->lock);
    tell_thread(&old, NOTIFY_REMOVED);
    notice_done(&old);
    file_done(f);
    heap_free(f);
}

static const struct file_ops g_mqueue_file_ops = {.name = "mqueue",
                                                  .read = mqueue_read,
                                                  .ready = mqueue_ready,
                                                  .poll_queue = mqueue_poll_queue,
                                                  .release = mqueue_file_release};

int mqueue_file_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
                     struct file **ret) {
    struct file *f = heap_new(mqueue_file);

    (void)inode;
    if (!f)
        return -ENOMEM;
    file_init(f, &g_mqueue_file_ops, path, flags, file_mode_of(flags) | FILE_POS, c);
    *ret = f;
    return 0;
}
