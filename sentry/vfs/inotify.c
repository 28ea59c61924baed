/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/inotify.c: see inotify.h. Source: inotify(7), inotify_add_watch(2).
 *
 * An instance is an open file on a core (struct inotify), which marks keep too, so that an event may be on
 * its way while the file ends. A mark ties an instance to an inode: it is on the inode's list
 * (inode.locks_lock) and in the instance's list (inotify.lock), one reference each; it keeps the instance's
 * core and the inode, which so stays the same object for whoever looks it up. The end of the last name, or of
 * the file system, takes it off. An event walks the inode's list, takes references, and queues without the
 * inode's lock.
 *
 * Locks: inode.locks_lock -> inotify.lock (RANK_EVENT) -> vfs.marks_lock (RANK_LEAF). Queues hold MAX_QUEUED
 * events, then IN_Q_OVERFLOW; an event equal to the newest queued one is not repeated.
 */
#include "sentry/vfs/inotify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/ioctl.h"
#include "base/abi/linux/limits.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pid.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/fanotify.h"
#include "sentry/vfs/file_async.h"
#include "sentry/vfs/vfs_internal.h"

enum {
    MAX_QUEUED = 16384,
    MAX_MARKS = 65536 /* fs.inotify.max_queued_events, max_user_watches (here: per instance) */
};

struct event {
    struct list node;
    int wd;
    uint32_t mask, cookie;
    uint32_t name_len; /* without NUL; 0: none */
    char *name;        /* heap, or NULL */
};
HEAP_TYPE(inotify_event, struct event, 0);

struct inotify {
    struct ref ref;
    struct vfs *vfs;
    struct waitq queue;
    struct mutex lock; /* RANK_EVENT; the rest */
    struct list events;
    size_t event_count, event_bytes; /* bytes: as read(2) gives them */
    struct list marks;               /* of mark.instance_node */
    size_t mark_count;
    int last_wd;
    bool closed;
    struct file_async *teller; /* dnotify: reference of the one who is told of events, which are not queued.
                                  Constant */
};
DECLARE_REF(inotify);
HEAP_TYPE(inotify, struct inotify, 0);

struct inotify_file {
    struct file base;
    struct inotify *core;
};
HEAP_TYPE(inotify_file, struct inotify_file, 0);

struct mark {
    struct ref ref;
    struct list inode_node;      /* inode.locks_lock */
    struct list instance_node;   /* inotify.lock */
    struct inotify *core;        /* reference */
    struct inode *inode;         /* reference; NULL once taken off: both locks to change, either to read */
    struct list vfs_node;        /* vfs.marks_lock */
    const struct filesystem *fs; /* of the inode: compared only */
    int wd;
    uint32_t mask; /* inotify.lock */
};
DECLARE_REF(mark);
HEAP_TYPE(inotify_mark, struct mark, 0);

static void event_free(struct event *e) {
    heap_free(e->name);
    heap_free(e);
}

static void inotify_destroy(struct inotify *n) {
    while (!list_empty(&n->events)) {
        struct event *e = list_first_entry(&n->events, struct event, node);
        list_del(&e->node);
        event_free(e);
    }
    ASSERT(list_empty(&n->marks));
    file_async_unref(n->teller);
    heap_free(n);
}
DEFINE_REF(inotify, inotify_destroy);

static void mark_destroy(struct mark *m) {
    inotify_unref(m->core);
    heap_free(m);
}
DEFINE_REF(mark, mark_destroy);

/* ---- queueing ---- */

static size_t event_size(const struct event *e) {
    size_t name = e->name_len ? (e->name_len + 1 + 15) & ~(size_t)15 : 0; /* padded to the structure's size */

    return sizeof(struct linux_inotify_event) + name;
}

static struct event *event_new(int wd, uint32_t mask, uint32_t cookie, const char *name, size_t len) {
    struct event *e = heap_new(inotify_event);

    if (!e)
        return NULL;
    if (name && !(e->name = heap_strndup(name, len))) {
        heap_free(e);
        return NULL;
    }
    list_init(&e->node);
    e->wd = wd;
    e->mask = mask;
    e->cookie = cookie;
    e->name_len = name ? (uint32_t)len : 0;
    return e;
}

static bool same_event(const struct event *a, const struct event *b) {
    return a->wd == b->wd && a->mask == b->mask && a->cookie == b->cookie && a->name_len == b->name_len &&
           (a->name_len == 0 || memcmp(a->name, b->name, a->name_len) == 0);
}

/* Queues one; no memory counts as an overflow that nobody hears of. */
static void queue_event(struct inotify *n, int wd, uint32_t mask, uint32_t cookie, const char *name,
                        size_t len) {
    if (n->teller) {
        if (name)
            file_async_tell(n->teller, LINUX_POLLMSG);
        return;
    }
    struct event *e = event_new(wd, mask, cookie, name, len);

    if (!e)
        return;
    mutex_lock(&n->lock);
    struct event *newest = list_empty(&n->events) ? NULL : list_last_entry(&n->events, struct event, node);
    bool drop = n->closed || (newest && same_event(newest, e)) || n->event_count > MAX_QUEUED;
    if (!drop && n->event_count == MAX_QUEUED) {
        e->wd = -1;
        e->mask = LINUX_IN_Q_OVERFLOW;
        e->cookie = 0;
        e->name_len = 0;
    }
    if (!drop) {
        list_add_tail(&n->events, &e->node);
        n->event_count++;
        n->event_bytes += event_size(e);
    }
    mutex_unlock(&n->lock);
    if (drop)
        event_free(e);
    else
        waitq_wake(&n->queue, LINUX_POLLIN | LINUX_POLLRDNORM);
}

/* ---- marks ---- */

/* Takes the mark off both lists; true for the one caller that did. The lists' references are the caller's to
 * drop (two). */
static bool mark_detach(struct mark *m, struct inode *i) {
    bool mine = false;

    mutex_lock(&i->locks_lock);
    mutex_lock(&m->core->lock);
    if (m->inode == i) {
        mutex_lock(&m->core->vfs->marks_lock);
        m->inode = NULL;
        list_del(&m->vfs_node);
        mutex_unlock(&m->core->vfs->marks_lock);
        list_del(&m->inode_node);
        list_del(&m->instance_node);
        m->core->mark_count--;
        atomic_fetch_sub(&i->watch_count, 1);
        atomic_fetch_sub(&m->core->vfs->watches, 1);
        mine = true;
    }
    mutex_unlock(&m->core->lock);
    mutex_unlock(&i->locks_lock);
    if (mine)
        inode_unref(i); /* the mark's: the caller has another */
    return mine;
}

static void mark_put_detached(struct mark *m, bool ignored) {
    if (ignored)
        queue_event(m->core, m->wd, LINUX_IN_IGNORED, 0, NULL, 0);
    mark_unref(m);
    mark_unref(m);
}

/* The first `max` marks of the inode, with references. */
static size_t collect_marks(struct inode *i, struct mark **ret, size_t max) {
    struct mark *m;
    size_t n = 0;

    mutex_lock(&i->locks_lock);
    list_for_each_entry(m, &i->watches, inode_node) {
        if (n == max)
            break;
        ret[n++] = mark_ref(m);
    }
    mutex_unlock(&i->locks_lock);
    return n;
}

void inode_drop_watches(struct inode *i) {
    struct mark *m;

    fanotify_inode_gone(i);
    while (atomic_load(&i->watch_count) > 0 && collect_marks(i, &m, 1) == 1) {
        if (mark_detach(m, i))
            mark_put_detached(m, /* ignored= */ true);
        mark_unref(m);
    }
}

/* A mark on the file system, with references of it and its inode. */
static struct mark *mark_on(struct vfs *v, const struct filesystem *fs, struct inode **ret) {
    struct mark *m, *found = NULL;

    mutex_lock(&v->marks_lock);
    list_for_each_entry(m, &v->marks, vfs_node) {
        if (m->fs == fs) {
            found = mark_ref(m);
            *ret = inode_ref(m->inode); /* on this list it has one */
            break;
        }
    }
    mutex_unlock(&v->marks_lock);
    return found;
}

void inotify_fs_gone(struct filesystem *fs) {
    struct vfs *v = vfs_of(fs);
    struct inode *i;
    struct mark *m;

    while (atomic_load(&v->watches) > 0 && (m = mark_on(v, fs, &i))) {
        queue_event(m->core, m->wd, LINUX_IN_UNMOUNT, 0, NULL, 0);
        if (mark_detach(m, i))
            mark_put_detached(m, /* ignored= */ true);
        mark_unref(m);
        inode_unref(i);
    }
}

static void send_to_marks(struct inode *i, uint32_t mask, uint32_t cookie, const char *name, size_t len) {
    uint32_t count = atomic_load_explicit(&i->watch_count, memory_order_relaxed);
    struct mark *few[8], **marks = few;

    if (count == 0)
        return;
    if (count > ARRAY_SIZE(few) && !(marks = heap_alloc_array(count, sizeof *marks)))
        return;
    size_t n = collect_marks(i, marks, count > ARRAY_SIZE(few) ? count : ARRAY_SIZE(few));
    for (size_t k = 0; k < n; k++) {
        struct mark *m = marks[k];
        mutex_lock(&m->core->lock);
        uint32_t wanted = m->mask;
        mutex_unlock(&m->core->lock);
        if (wanted & mask & LINUX_IN_ALL_EVENTS && (name || !m->core->teller)) {
            queue_event(m->core, m->wd, mask, cookie, name, len);
            if (wanted & LINUX_IN_ONESHOT && mark_detach(m, i))
                mark_put_detached(m, /* ignored= */ true);
        }
        mark_unref(m);
    }
    if (marks != few)
        heap_free(marks);
}

void inotify_event(struct inode *i, const char *name, uint32_t mask, uint32_t cookie) {
    send_to_marks(i, mask, cookie, name, name ? strlen(name) : 0);
}

/* ---- where events come from ---- */

static bool nobody_watches(struct dentry *d) {
    return atomic_load_explicit(&vfs_of(d->fs)->watches, memory_order_relaxed) == 0;
}

void vfs_notify_parent(struct dentry *d, uint32_t mask, uint32_t cookie) {
    char name[LINUX_NAME_MAX + 1];
    size_t len;

    if (nobody_watches(d))
        return;
    struct dentry *parent = dentry_parent_and_name(d, name, &len);
    if (parent != d && parent->inode) {
        send_to_marks(parent->inode, mask, cookie, name, len);
        if (mask & (LINUX_IN_CREATE | LINUX_IN_DELETE))
            fanotify_name_event(parent->inode, name, len, d->inode,
                                mask & (LINUX_IN_CREATE | LINUX_IN_DELETE));
    }
    dentry_unref(parent);
}

void vfs_notify_self(struct dentry *d, uint32_t mask) {
    if (nobody_watches(d) || !d->inode)
        return;
    send_to_marks(d->inode, mask, 0, NULL, 0);
    if (mask & LINUX_IN_DELETE_SELF)
        fanotify_self_event(d->inode, LINUX_IN_DELETE_SELF);
}

void vfs_notify(struct dentry *d, uint32_t mask, uint32_t cookie) {
    if (nobody_watches(d) || !d->inode)
        return;
    if (inode_is_dir(d->inode) &&
        !(mask & (LINUX_IN_CREATE | LINUX_IN_DELETE | LINUX_IN_MOVE | LINUX_IN_DELETE_SELF)))
        mask |= LINUX_IN_ISDIR;
    vfs_notify_parent(d, mask, cookie);
    if (!(mask & (LINUX_IN_CREATE | LINUX_IN_DELETE)))
        send_to_marks(d->inode, mask, cookie, NULL, 0);
}

void vfs_notify_path(const struct path *p, uint32_t mask) {
    if (nobody_watches(p->dentry))
        return;
    fanotify_path_event(p, mask);
    vfs_notify(p->dentry, mask, 0);
}

void vfs_notify_rename(struct inode *from_dir, const char *from, size_t from_len, struct inode *to_dir,
                       const char *to, size_t to_len, struct dentry *moved, uint32_t cookie) {
    uint32_t dir_bit = inode_is_dir(moved->inode) ? LINUX_IN_ISDIR : 0u;

    send_to_marks(from_dir, LINUX_IN_MOVED_FROM | dir_bit, cookie, from, from_len);
    send_to_marks(to_dir, LINUX_IN_MOVED_TO | dir_bit, cookie, to, to_len);
    fanotify_name_event(from_dir, from, from_len, moved->inode, LINUX_IN_MOVED_FROM);
    fanotify_name_event(to_dir, to, to_len, moved->inode, LINUX_IN_MOVED_TO);
    send_to_marks(moved->inode, LINUX_IN_MOVE_SELF, 0, NULL, 0); /* events of oneself never say ISDIR */
    fanotify_self_event(moved->inode, LINUX_IN_MOVE_SELF);
}

/* ---- the file ---- */

static struct inotify *core_of(struct file *f) {
    return container_of(f, struct inotify_file, base)->core;
}

static struct event *take_event(struct inotify *n, size_t room, bool *ret_too_small) {
    struct event *e = NULL;

    mutex_lock(&n->lock);
    if (!list_empty(&n->events)) {
        e = list_first_entry(&n->events, struct event, node);
        *ret_too_small = event_size(e) > room;
        if (*ret_too_small) {
            e = NULL;
        } else {
            list_del(&e->node);
            n->event_count--;
            n->event_bytes -= event_size(e);
        }
    }
    mutex_unlock(&n->lock);
    return e;
}

static ssize_t inotify_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct inotify *n = core_of(f);
    union {
        struct linux_inotify_event header;
        char bytes[sizeof(struct linux_inotify_event) + LINUX_NAME_MAX + 17];
    } out;
    ssize_t done = 0;

    (void)offset;
    for (;;) {
        bool too_small = false;
        struct event *e = take_event(n, to->remaining, &too_small);
        if (!e)
            return done > 0 ? done : too_small ? -EINVAL : -EAGAIN;
        size_t size = event_size(e);
        memset(&out, 0, sizeof out);
        out.header =
            (struct linux_inotify_event){e->wd, e->mask, e->cookie, (uint32_t)(size - sizeof out.header)};
        if (e->name_len)
            memcpy(out.bytes + sizeof out.header, e->name, e->name_len);
        event_free(e);
        ssize_t copied = uio_write(to, &out, size);
        if (copied != (ssize_t)size)
            return done > 0 ? done : -EFAULT;
        done += copied;
    }
}

static uint32_t inotify_ready(struct file *f, uint32_t events) {
    struct inotify *n = core_of(f);

    (void)events;
    mutex_lock(&n->lock);
    uint32_t now = list_empty(&n->events) ? 0 : LINUX_POLLIN | LINUX_POLLRDNORM;
    mutex_unlock(&n->lock);
    return now;
}

static struct waitq *inotify_poll_queue(struct file *f) {
    return &core_of(f)->queue;
}

static int64_t inotify_ioctl(struct file *f, struct task *t, uint32_t cmd, uint64_t arg) {
    struct inotify *n = core_of(f);

    if (cmd != LINUX_FIONREAD)
        return -ENOTTY;
    mutex_lock(&n->lock);
    int32_t bytes = (int32_t)n->event_bytes;
    mutex_unlock(&n->lock);
    return copy_out(t, arg, &bytes, sizeof bytes);
}

/* A mark of the instance, with references of it and its inode; NULL when there is none (any more). */
static struct mark *next_mark(struct inotify *n, int wd, struct inode **ret_inode) {
    struct mark *m, *found = NULL;

    mutex_lock(&n->lock);
    list_for_each_entry(m, &n->marks, instance_node) {
        if (wd < 0 || m->wd == wd) {
            found = mark_ref(m);
            *ret_inode = inode_ref(m->inode);
            break;
        }
    }
    mutex_unlock(&n->lock);
    return found;
}

/* No more events: all marks go. */
static void inotify_close(struct inotify *n) {
    struct inode *i;
    struct mark *m;

    mutex_lock(&n->lock);
    n->closed = true;
    mutex_unlock(&n->lock);
    while ((m = next_mark(n, -1, &i))) {
        if (mark_detach(m, i))
            mark_put_detached(m, /* ignored= */ false);
        mark_unref(m);
        inode_unref(i);
    }
    inotify_unref(n);
}

static void inotify_release(struct file *f) {
    inotify_close(core_of(f));
    file_done(f);
    heap_free(container_of(f, struct inotify_file, base));
}

static const struct file_ops inotify_file_ops = {
    .name = "inotify",
    .read = inotify_read,
    .ready = inotify_ready,
    .poll_queue = inotify_poll_queue,
    .ioctl = inotify_ioctl,
    .release = inotify_release,
};

static void core_init(struct inotify *n, struct vfs *v) {
    inotify_ref_init(n);
    n->vfs = v;
    waitq_init(&n->queue);
    mutex_init(&n->lock, RANK_EVENT);
    list_init(&n->events);
    list_init(&n->marks);
}

int inotify_create(struct task *t, uint32_t flags, struct file **ret) {
    struct inotify_file *f = heap_new(inotify_file);
    struct inotify *n = heap_new(inotify);

    if (!f || !n) {
        heap_free(f);
        heap_free(n);
        return -ENOMEM;
    }
    int r =
        file_init_anon(&f->base, &inotify_file_ops, "anon_inode:inotify", 0,
                       LINUX_O_RDONLY | (flags & LINUX_O_NONBLOCK), FILE_READ | FILE_STREAM, task_creds(t));
    if (r < 0) {
        heap_free(f);
        heap_free(n);
        return r;
    }
    core_init(n, t->kernel->vfs);
    f->core = n;
    *ret = &f->base;
    return 0;
}

/* Changes an existing mark of (instance, inode): wd, -EEXIST, or 0: there is none. Both locks held. */
static int update_locked(struct inotify *n, struct inode *i, uint32_t mask) {
    struct mark *m;

    list_for_each_entry(m, &i->watches, inode_node) {
        if (m->core != n)
            continue;
        if (mask & LINUX_IN_MASK_CREATE)
            return -EEXIST;
        m->mask = (mask & LINUX_IN_MASK_ADD ? m->mask : 0) | mask;
        return m->wd;
    }
    return 0;
}

static int mark_add(struct inotify *n, struct inode *i, uint32_t mask) {
    struct mark *m = heap_new(inotify_mark);

    if (!m)
        return -ENOMEM;
    mark_ref_init(m);
    m->core = inotify_ref(n);
    mutex_lock(&i->locks_lock);
    mutex_lock(&n->lock);
    int wd = update_locked(n, i, mask);
    if (wd == 0 && n->mark_count >= MAX_MARKS)
        wd = -ENOSPC;
    if (wd == 0) {
        m->inode = inode_ref(i);
        m->fs = i->fs;
        m->mask = mask;
        wd = m->wd = ++n->last_wd;
        list_add_tail(&i->watches, &m->inode_node);
        list_add_tail(&n->marks, &mark_ref(m)->instance_node);
        n->mark_count++;
        atomic_fetch_add(&i->watch_count, 1);
        atomic_fetch_add(&n->vfs->watches, 1);
        mutex_lock(&n->vfs->marks_lock);
        list_add_tail(&n->vfs->marks, &m->vfs_node);
        mutex_unlock(&n->vfs->marks_lock);
        m = NULL;
    }
    mutex_unlock(&n->lock);
    mutex_unlock(&i->locks_lock);
    mark_unref(m);
    return wd;
}

int inotify_add(struct file *f, const struct path *p, uint32_t mask) {
    return f->ops == &inotify_file_ops ? mark_add(core_of(f), p->dentry->inode, mask) : -EINVAL;
}

int inotify_remove(struct file *f, int wd) {
    struct inode *i;

    if (f->ops != &inotify_file_ops)
        return -EINVAL;
    struct mark *m = wd > 0 ? next_mark(core_of(f), wd, &i) : NULL;
    if (!m)
        return -EINVAL;
    int r = -EINVAL;
    if (mark_detach(m, i)) {
        mark_put_detached(m, /* ignored= */ true);
        r = 0;
    }
    mark_unref(m);
    inode_unref(i);
    return r;
}

/* ---- dnotify: an instance with one mark, which tells the owner of the directory's file ---- */

static uint32_t mask_of_dn(uint32_t dn) {
    static const struct {
        uint32_t dn, in;
    } map[] = {
        {LINUX_DN_ACCESS, LINUX_IN_ACCESS},
        {LINUX_DN_MODIFY, LINUX_IN_MODIFY},
        {LINUX_DN_CREATE, LINUX_IN_CREATE | LINUX_IN_MOVED_TO},
        {LINUX_DN_DELETE, LINUX_IN_DELETE | LINUX_IN_MOVED_FROM},
        {LINUX_DN_RENAME, LINUX_IN_MOVED_FROM},
        {LINUX_DN_ATTRIB, LINUX_IN_ATTRIB},
    };
    uint32_t mask = dn & LINUX_DN_MULTISHOT ? LINUX_IN_MASK_ADD : LINUX_IN_MASK_ADD | LINUX_IN_ONESHOT;

    for (size_t i = 0; i < ARRAY_SIZE(map); i++)
        if (dn & map[i].dn)
            mask |= map[i].in;
    return mask;
}

void dnotify_end(struct file_async *a) {
    mutex_lock(&a->lock);
    struct inotify *n = a->dnotify;
    a->dnotify = NULL;
    mutex_unlock(&a->lock);
    if (n)
        inotify_close(n);
}

/* Without an owner yet, the calling process is it. */
static int dnotify_owner(struct task *t, struct file *f, int fd, struct file_async **ret) {
    struct file_async *a = file_async_of(t, f);
    int role;

    if (!a)
        return -ENOMEM;
    struct pid *owner = file_get_owner(f, &role);
    int r = owner ? 0 : file_set_owner(t, f, pid_ref(t->group->pid), PID_GROUP);
    pid_unref(owner);
    mutex_lock(&a->lock);
    a->fd = fd;
    mutex_unlock(&a->lock);
    *ret = a;
    return r;
}

int dnotify_set(struct task *t, struct file *f, int fd, uint32_t dn) {
    struct file_async *a;

    if (!inode_is_dir(f->inode))
        return -ENOTDIR;
    int r = dnotify_owner(t, f, fd, &a);
    if (r < 0)
        return r;
    if (!(dn & ~LINUX_DN_MULTISHOT)) {
        dnotify_end(a);
        return 0;
    }
    if (!a->dnotify) {
        struct inotify *n = heap_new(inotify);
        if (!n)
            return -ENOMEM;
        core_init(n, t->kernel->vfs);
        n->teller = file_async_ref(a);
        mutex_lock(&a->lock);
        struct inotify *old = a->dnotify;
        a->dnotify = n;
        mutex_unlock(&a->lock);
        if (old)
            inotify_close(old);
    }
    r = mark_add(a->dnotify, f->inode, mask_of_dn(dn));
    return r < 0 ? r : 0;
}
