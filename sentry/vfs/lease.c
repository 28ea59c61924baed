/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/lease.c: see lease.h.
 */
#include "sentry/vfs/lease.h"

#include <errno.h>

#include "base/abi/linux/capability.h"
#include "base/abi/linux/fcntl.h"
#include "base/clock.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/file_async.h"
#include "sentry/vfs/vfs_internal.h"

struct lease {
    struct list node;         /* inode.leases */
    struct file *file;        /* whose end takes the lease along */
    struct file_async *async; /* reference: who is told */
    int type;                 /* LINUX_F_RDLCK, F_WRLCK */
    bool breaking;
    int target;       /* then: what it must become */
    int64_t deadline; /* ... or is made, by then */
};
HEAP_TYPE(lease, struct lease, 0);

static struct lease *find_locked(struct inode *i, const struct file *f) {
    struct lease *l;

    list_for_each_entry(l, &i->leases, node) if (l->file == f) return l;
    return NULL;
}

static void remove_locked(struct inode *i, struct lease *l) {
    list_del(&l->node);
    atomic_fetch_sub(&i->lease_count, 1);
}

static void lease_free(struct lease *l) {
    if (!l)
        return;
    file_async_unref(l->async);
    heap_free(l);
}

/* ---- holding ---- */

/* Does anybody else have it open in a way that the lease forbids? */
static bool others_conflict(struct inode *i, const struct file *f, int type) {
    int writes = f->mode & FILE_COUNTED ? 1 : 0, reads = f->mode & FILE_READ_COUNTED ? 1 : 0;

    if (type == LINUX_F_RDLCK)
        return atomic_load(&i->write_count) > 0;
    return atomic_load(&i->write_count) != writes || atomic_load(&i->read_count) != reads;
}

static int conflict_locked(struct inode *i, const struct file *f, int type) {
    struct lease *l;

    if (others_conflict(i, f, type))
        return -EAGAIN;
    list_for_each_entry(l, &i->leases, node) {
        if (l->file == f)
            continue;
        if (type == LINUX_F_WRLCK || (l->breaking && l->target == LINUX_F_UNLCK))
            return -EAGAIN;
    }
    return 0;
}

static int give_up(struct file *f) {
    struct inode *i = f->inode;

    mutex_lock(&i->locks_lock);
    struct lease *l = find_locked(i, f);
    if (l)
        remove_locked(i, l);
    mutex_unlock(&i->locks_lock);
    if (!l)
        return -EAGAIN;
    waitq_wake(&i->locks_queue, WAIT_ANY);
    lease_free(l);
    return 0;
}

/* Without an owner yet, the process that asks for the lease is it. */
static int prepare_owner(struct task *t, struct file *f, int fd, struct file_async **ret) {
    struct file_async *a = file_async_of(t, f);
    int role;

    if (!a)
        return -ENOMEM;
    mutex_lock(&a->lock);
    a->fd = fd;
    mutex_unlock(&a->lock);
    struct pid *owner = file_get_owner(f, &role);
    int r = owner ? 0 : file_set_owner(t, f, pid_ref(t->group->pid), PID_GROUP);
    pid_unref(owner);
    *ret = a;
    return r;
}

static int take(struct file *f, struct file_async *a, int type) {
    struct inode *i = f->inode;
    struct lease *made = heap_new(lease);

    if (!made)
        return -ENOMEM;
    made->file = f;
    made->async = file_async_ref(a);
    made->type = type;
    mutex_lock(&i->locks_lock);
    int r = conflict_locked(i, f, type);
    struct lease *l = find_locked(i, f);
    if (r == 0 && l) {
        l->type = type;
        l->breaking = l->breaking && l->target != type;
    } else if (r == 0) {
        list_add_tail(&i->leases, &made->node);
        atomic_fetch_add(&i->lease_count, 1);
        made = NULL;
    }
    mutex_unlock(&i->locks_lock);
    if (r == 0)
        waitq_wake(&i->locks_queue, WAIT_ANY);
    lease_free(made);
    return r;
}

int lease_set(struct task *t, struct file *f, int fd, int type) {
    const struct creds *c = task_creds(t);
    struct file_async *a;

    if (type != LINUX_F_RDLCK && type != LINUX_F_WRLCK && type != LINUX_F_UNLCK)
        return -EINVAL;
    if (type == LINUX_F_UNLCK)
        return give_up(f);
    if (c->fsuid != f->inode->uid && !inode_capable(f->inode, c, LINUX_CAP_LEASE))
        return -EACCES;
    if (f->inode->type != LINUX_S_IFREG || !vfs_setting(t->kernel, VFS_LEASES_ENABLE))
        return -EINVAL;
    int r = prepare_owner(t, f, fd, &a);
    return r < 0 ? r : take(f, a, type);
}

int lease_get(struct file *f) {
    struct inode *i = f->inode;

    mutex_lock(&i->locks_lock);
    struct lease *l = find_locked(i, f);
    int type = !l ? LINUX_F_UNLCK : l->breaking ? l->target : l->type;
    mutex_unlock(&i->locks_lock);
    return type;
}

void lease_file_gone(struct file *f) {
    if (atomic_load_explicit(&f->inode->lease_count, memory_order_relaxed) > 0)
        (void)!give_up(f);
}

/* ---- breaking ---- */

static bool conflicts(const struct lease *l, bool write) {
    return write || l->type == LINUX_F_WRLCK;
}

/* Tells holders, carries out what is overdue. The earliest deadline of those that still conflict, or 0: none.
 */
static int64_t break_locked(struct kernel *k, struct inode *i, bool write, struct list *gone) {
    int64_t now = monotonic_ns(), first = 0;
    struct lease *l, *next;

    list_for_each_entry_safe(l, next, &i->leases, node) {
        if (!conflicts(l, write))
            continue;
        int target = write ? LINUX_F_UNLCK : LINUX_F_RDLCK;
        if (!l->breaking || (l->target == LINUX_F_RDLCK && write)) {
            if (!l->breaking)
                l->deadline = clock_add(now, vfs_setting(k, VFS_LEASE_BREAK_TIME) * NSEC_PER_SEC);
            l->breaking = true;
            l->target = target;
            file_async_tell(l->async, LINUX_POLLMSG);
        }
        if (now < l->deadline) {
            first = first ? MIN(first, l->deadline) : l->deadline;
        } else if (l->target == LINUX_F_UNLCK) {
            remove_locked(i, l);
            list_add_tail(gone, &l->node);
        } else {
            l->type = LINUX_F_RDLCK;
            l->breaking = false;
        }
    }
    return first;
}

static int64_t break_all(struct kernel *k, struct inode *i, bool write) {
    struct list gone = LIST_INIT(gone);

    mutex_lock(&i->locks_lock);
    int64_t deadline = break_locked(k, i, write, &gone);
    mutex_unlock(&i->locks_lock);
    while (!list_empty(&gone)) {
        struct lease *l = list_first_entry(&gone, struct lease, node);
        list_del(&l->node);
        lease_free(l);
    }
    return deadline;
}

int lease_break(struct task *t, struct inode *i, bool write, bool nonblock) {
    struct kernel *k = i->fs->kernel;
    struct waiter w;
    int64_t deadline;
    int r = 0;

    if (likely(atomic_load_explicit(&i->lease_count, memory_order_relaxed) == 0))
        return 0;
    if (!t || nonblock)
        return break_all(k, i, write) ? -EAGAIN : 0;
    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&i->locks_queue, &w);
    while (r == 0 && (deadline = break_all(k, i, write))) {
        r = task_block(t, deadline);
        if (r == -ETIMEDOUT)
            r = 0;
    }
    waitq_remove(&w);
    return r;
}
