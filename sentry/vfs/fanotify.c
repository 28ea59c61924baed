/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/fanotify.c: the files of fanotify groups, and their marks. See fanotify.h.
 */
#include "sentry/vfs/fanotify.h"

#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/fanotify_internal.h"
#include "sentry/vfs/fd_table.h"

enum { MAX_MARKS = 8192, NAME_ROOM = 256, RECORD_MAX = 2 * (sizeof(struct linux_fanotify_fid) + NAME_ROOM) };

struct fan_file {
    struct file base;
    struct fan_group *group; /* reference */
};
HEAP_TYPE(fan_file, struct fan_file, 0);
HEAP_TYPE(fan_group, struct fan_group, 0);
HEAP_TYPE(fan_mark, struct fan_mark, 0);

static void fan_group_destroy(struct fan_group *g) {
    ASSERT(list_empty(&g->events));
    ASSERT(list_empty(&g->asked));
    heap_free(g);
}
DEFINE_REF(fan_group, fan_group_destroy);

static struct fan_group *group_of(struct file *f) {
    return container_of(f, struct fan_file, base)->group;
}

/* ---- reading ---- */

/* What read(2) gives for one event. */
struct record {
    struct linux_fanotify_event_metadata meta;
    char info[RECORD_MAX];
    size_t info_len;
};

static void add_fid(struct record *r, uint8_t type, const struct fan_object *o, const char *name) {
    size_t name_len = name ? strlen(name) + 1 : 0,
           len = (sizeof(struct linux_fanotify_fid) + name_len + 3) & ~3ul;
    struct linux_fanotify_fid fid = {
        .info_type = type,
        .len = (uint16_t)len,
        .fsid = {(int32_t)o->dev, (int32_t)(o->dev >> 32)},
        .handle_bytes = sizeof fid.handle,
        .handle_type = 1,
        .handle = {(uint32_t)o->dev, (uint32_t)o->ino, (uint32_t)(o->ino >> 32)}, /* as sys_handle.c */
    };

    memcpy(r->info + r->info_len, &fid, sizeof fid);
    if (name)
        memcpy(r->info + r->info_len + sizeof fid, name, name_len);
    r->info_len += len;
}

static void add_fids(const struct fan_group *g, const struct fan_event *e, struct record *r) {
    bool of_name = e->mask & FAN_NAME_EVENTS, dirs = g->flags & LINUX_FAN_REPORT_DIR_FID;

    if (dirs && e->dir.ino)
        add_fid(r, e->name ? LINUX_FAN_EVENT_INFO_TYPE_DFID_NAME : LINUX_FAN_EVENT_INFO_TYPE_DFID, &e->dir,
                e->name);
    if (!(g->flags & LINUX_FAN_REPORT_FID))
        return;
    if ((!of_name || !dirs || g->flags & LINUX_FAN_REPORT_TARGET_FID) && e->object.ino)
        add_fid(r, LINUX_FAN_EVENT_INFO_TYPE_FID, &e->object, NULL);
}

static int open_event(struct task *t, const struct fan_group *g, const struct fan_event *e) {
    struct vfs_view v;
    struct file *f;

    vfs_view_of(t, &v);
    int r = vfs_open_silent(&v, &e->path, g->event_flags & ~(uint32_t)LINUX_O_CLOEXEC, &f);
    vfs_view_done(&v);
    if (r < 0)
        return r;
    r = fd_install(t, f, 0, g->event_flags & LINUX_O_CLOEXEC);
    if (r < 0)
        file_unref(f);
    return r;
}

static void make_record(struct task *t, const struct fan_group *g, const struct fan_event *e,
                        struct record *r) {
    *r = (struct record){.meta = {.vers = LINUX_FANOTIFY_METADATA_VERSION,
                                  .metadata_len = sizeof r->meta,
                                  .mask = e->mask,
                                  .fd = LINUX_FAN_NOFD,
                                  .pid = e->pid ? pid_nr(e->pid, task_pid_ns(t)) : 0}};
    if (g->flags & FAN_FID_MODE)
        add_fids(g, e, r);
    else if (e->path.dentry)
        r->meta.fd = open_event(t, g, e);
    r->meta.event_len = (uint32_t)(sizeof r->meta + r->info_len);
}

/* An event that was read and asks for permission waits for its answer; any other ends. */
static void event_read(struct fan_group *g, struct fan_event *e, int fd) {
    bool asks = e->mask & FAN_PERMISSION_EVENTS;

    if (asks) {
        mutex_lock(&g->lock);
        e->fd = fd;
        if (fd < 0) /* could not be opened: nobody can answer */
            e->response = LINUX_FAN_DENY;
        asks = fd >= 0 && !g->closed;
        if (asks)
            list_add_tail(&g->asked, &e->node);
        mutex_unlock(&g->lock);
        waitq_wake(&g->responses, WAIT_ANY);
    }
    if (!asks)
        fan_event_unref(e);
}

static bool take_overflow(struct fan_group *g) {
    mutex_lock(&g->lock);
    bool over = g->overflowed && list_empty(&g->events);
    if (over)
        g->overflowed = false;
    mutex_unlock(&g->lock);
    return over;
}

static ssize_t fan_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct fan_group *g = group_of(f);
    struct record r;
    ssize_t done = 0;

    (void)offset;
    if (!to->task || to->remaining < sizeof r.meta)
        return -EINVAL;
    while (to->remaining >= sizeof r.meta) {
        struct fan_event overflow = {.mask = LINUX_FAN_Q_OVERFLOW};
        struct fan_event *e = fan_take_event(g);
        if (!e && !take_overflow(g))
            break;
        make_record(to->task, g, e ? e : &overflow, &r);
        size_t size = sizeof r.meta + r.info_len;
        ssize_t put = -EINVAL; /* too small */
        if (size <= to->remaining) {
            put = uio_write(to, &r.meta, sizeof r.meta);
            if (put == sizeof r.meta && r.info_len > 0)
                put = uio_write(to, r.info, r.info_len) == (ssize_t)r.info_len ? (ssize_t)size : -EFAULT;
        }
        if (e)
            event_read(g, e, put < 0 ? -1 : r.meta.fd);
        if (put < 0) {
            if (r.meta.fd >= 0)
                (void)!fd_close(to->task, r.meta.fd);
            return done > 0 ? done : put;
        }
        done += put;
    }
    return done > 0 ? done : -EAGAIN;
}

static ssize_t fan_write(struct file *f, struct uio *from, uint64_t *offset) {
    struct fan_group *g = group_of(f);
    struct linux_fanotify_response response;
    struct fan_event *e, *found = NULL;

    (void)offset;
    if (from->remaining < sizeof response)
        return -EINVAL;
    if (uio_read(from, &response, sizeof response) != sizeof response)
        return -EFAULT;
    if (response.response != LINUX_FAN_ALLOW && response.response != LINUX_FAN_DENY)
        return -EINVAL;
    mutex_lock(&g->lock);
    list_for_each_entry(e, &g->asked, node) {
        if (e->fd == response.fd) {
            found = e;
            found->response = response.response;
            list_del(&found->node);
            break;
        }
    }
    mutex_unlock(&g->lock);
    if (!found)
        return -ENOENT;
    waitq_wake(&g->responses, WAIT_ANY);
    fan_event_unref(found);
    return sizeof response;
}

static uint32_t fan_ready(struct file *f, uint32_t events) {
    struct fan_group *g = group_of(f);

    (void)events;
    mutex_lock(&g->lock);
    bool some = !list_empty(&g->events) || g->overflowed;
    mutex_unlock(&g->lock);
    return (some ? LINUX_POLLIN | LINUX_POLLRDNORM : 0) | LINUX_POLLOUT | LINUX_POLLWRNORM;
}

static struct waitq *fan_poll_queue(struct file *f) {
    return &group_of(f)->queue;
}

static bool of_group(const struct fan_mark *m, const void *arg) {
    return m->group == arg;
}

static void fan_release(struct file *f) {
    struct fan_group *g = group_of(f);

    fan_drop_marks(g->vfs, of_group, g);
    fan_flush(g);
    fan_group_unref(g);
    file_done(f);
    heap_free(container_of(f, struct fan_file, base));
}

static const struct file_ops fan_ops = {
    .name = "fanotify",
    .read = fan_read,
    .write = fan_write,
    .ready = fan_ready,
    .poll_queue = fan_poll_queue,
    .release = fan_release,
};

bool file_is_fanotify(struct file *f) {
    return f->ops == &fan_ops;
}

uint32_t fanotify_group_flags(struct file *f) {
    return group_of(f)->flags;
}

int fanotify_create(struct task *t, uint32_t flags, uint32_t event_flags, struct file **ret) {
    struct fan_file *f = heap_new(fan_file);
    struct fan_group *g = heap_new(fan_group);
    int r = f && g ? file_init_anon(&f->base, &fan_ops, "anon_inode:[fanotify]", 0,
                                    LINUX_O_RDWR | (flags & LINUX_FAN_NONBLOCK ? LINUX_O_NONBLOCK : 0),
                                    FILE_READ | FILE_WRITE | FILE_STREAM, task_creds(t))
                   : -ENOMEM;

    if (r < 0) {
        heap_free(f);
        heap_free(g);
        return r;
    }
    fan_group_ref_init(g);
    g->vfs = t->kernel->vfs;
    g->flags = flags;
    g->event_flags = event_flags;
    waitq_init(&g->queue);
    waitq_init(&g->responses);
    mutex_init(&g->lock, RANK_EVENT);
    list_init(&g->events);
    list_init(&g->asked);
    f->group = g;
    *ret = &f->base;
    return 0;
}

/* ---- marks ---- */

static void mark_free(struct fan_mark *m) {
    if (!m)
        return;
    inode_unref(m->inode);
    heap_free(m);
}

static void unlist_locked(struct vfs *v, struct fan_mark *m) {
    list_del(&m->node);
    m->group->mark_count--;
    atomic_fetch_sub(&v->fan_mark_count, 1);
    atomic_fetch_sub(&v->watches, 1);
}

void fan_drop_marks(struct vfs *v, bool (*which)(const struct fan_mark *m, const void *arg),
                    const void *arg) {
    struct fan_mark *m, *found;

    do {
        found = NULL;
        mutex_lock(&v->fan_lock);
        list_for_each_entry(m, &v->fan_marks, node) {
            if (which(m, arg)) {
                found = m;
                unlist_locked(v, m);
                break;
            }
        }
        mutex_unlock(&v->fan_lock);
        mark_free(found);
    } while (found);
}

static bool on_mount(const struct fan_mark *m, const void *arg) {
    return m->type == FAN_MOUNT && m->mount == arg;
}

static bool on_fs(const struct fan_mark *m, const void *arg) {
    return m->fs == arg;
}

static bool on_inode(const struct fan_mark *m, const void *arg) {
    return m->type == FAN_INODE && m->inode == arg;
}

static bool any_marks(const struct vfs *v) {
    return atomic_load_explicit(&v->fan_mark_count, memory_order_relaxed) > 0;
}

void fanotify_mount_gone(struct mount *m) {
    if (any_marks(vfs_of(m->fs)))
        fan_drop_marks(vfs_of(m->fs), on_mount, m);
}

void fanotify_fs_gone(struct filesystem *fs) {
    if (any_marks(vfs_of(fs)))
        fan_drop_marks(vfs_of(fs), on_fs, fs);
}

void fanotify_inode_gone(struct inode *i) {
    if (any_marks(vfs_of(i->fs)))
        fan_drop_marks(vfs_of(i->fs), on_inode, i);
}

struct flush {
    const struct fan_group *group;
    enum fan_mark_type type;
};

static bool of_flush(const struct fan_mark *m, const void *arg) {
    const struct flush *f = arg;

    return m->group == f->group && m->type == f->type;
}

static enum fan_mark_type type_of(uint32_t flags) {
    return flags & LINUX_FAN_MARK_MOUNT        ? FAN_MOUNT
           : flags & LINUX_FAN_MARK_FILESYSTEM ? FAN_FILESYSTEM
                                               : FAN_INODE;
}

static struct fan_mark *find_locked(struct fan_group *g, enum fan_mark_type type, const struct path *p) {
    struct fan_mark *m;

    list_for_each_entry(m, &g->vfs->fan_marks, node) {
        if (m->group != g || m->type != type || m->fs != p->dentry->fs)
            continue;
        if (type == FAN_FILESYSTEM ||
            (type == FAN_MOUNT ? m->mount == p->mount : m->inode == p->dentry->inode))
            return m;
    }
    return NULL;
}

static bool is_ignore(uint32_t flags) {
    return flags & (LINUX_FAN_MARK_IGNORED_MASK | LINUX_FAN_MARK_IGNORE);
}

static int add_mark(struct fan_group *g, uint32_t flags, uint64_t mask, const struct path *p) {
    struct fan_mark *made = heap_new(fan_mark);
    struct vfs *v = g->vfs;
    int r = 0;

    if (!made)
        return -ENOMEM;
    made->group = g;
    made->type = type_of(flags);
    made->fs = p->dentry->fs;
    made->mount = p->mount;
    made->inode = made->type == FAN_INODE ? inode_ref(p->dentry->inode) : NULL;
    mutex_lock(&v->fan_lock);
    struct fan_mark *m = find_locked(g, made->type, p);
    if (!m && g->mark_count >= MAX_MARKS && !(g->flags & LINUX_FAN_UNLIMITED_MARKS)) {
        r = -ENOSPC;
    } else if (!m) {
        m = made;
        made = NULL;
        list_add_tail(&v->fan_marks, &m->node);
        g->mark_count++;
        atomic_fetch_add(&v->fan_mark_count, 1);
        atomic_fetch_add(&v->watches, 1);
    }
    if (r == 0 && is_ignore(flags)) {
        m->ignored |= mask;
        m->ignored_survives |= flags & LINUX_FAN_MARK_IGNORED_SURV_MODIFY;
    } else if (r == 0) {
        m->mask |= mask;
    }
    mutex_unlock(&v->fan_lock);
    mark_free(made);
    return r;
}

static int remove_mark(struct fan_group *g, uint32_t flags, uint64_t mask, const struct path *p) {
    struct vfs *v = g->vfs;
    struct fan_mark *gone = NULL;

    mutex_lock(&v->fan_lock);
    struct fan_mark *m = find_locked(g, type_of(flags), p);
    bool found = m;
    if (m) {
        *(is_ignore(flags) ? &m->ignored : &m->mask) &= ~mask;
        if (!(m->mask & ~(uint64_t)(LINUX_FAN_ONDIR | LINUX_FAN_EVENT_ON_CHILD)) && !m->ignored) {
            unlist_locked(v, m);
            gone = m;
        }
    }
    mutex_unlock(&v->fan_lock);
    mark_free(gone);
    return found ? 0 : -ENOENT;
}

int fanotify_change(struct task *t, struct file *f, uint32_t flags, uint64_t mask, const struct path *p) {
    struct fan_group *g = group_of(f);

    (void)t;
    if (flags & LINUX_FAN_MARK_FLUSH) {
        struct flush which = {g, type_of(flags)};
        fan_drop_marks(g->vfs, of_flush, &which);
        return 0;
    }
    return flags & LINUX_FAN_MARK_ADD ? add_mark(g, flags, mask, p) : remove_mark(g, flags, mask, p);
}
