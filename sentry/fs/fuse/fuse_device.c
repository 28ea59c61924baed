/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/fuse/fuse_device.c: /dev/fuse, where a server reads requests and writes answers and notices.
 * Source: fuse(4).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/limits.h"
#include "base/abi/linux/stat.h"
#include "sentry/fs/fuse/fuse_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"

enum { MISC_MAJOR = 10, FUSE_MINOR = 229, ERRNO_MAX = 512 };

struct fuse_device {
    struct file file;       /* first */
    struct fuse_conn *conn; /* reference; constant */
};
HEAP_TYPE(fuse_device, struct fuse_device, 0);

static struct fuse_device *device_of(struct file *f) {
    return container_of(f, struct fuse_device, file);
}

static struct fuse_conn *conn_of(struct file *f) {
    return device_of(f)->conn;
}

static bool is_mounted(struct fuse_conn *c) {
    mutex_lock(&c->lock);
    bool mounted = c->mounted;
    mutex_unlock(&c->lock);
    return mounted;
}

/* ---- requests ---- */

static bool readable_locked(const struct fuse_conn *c) {
    return !list_empty(&c->pending) && (c->init_done || !c->init_sent);
}

/* The next one, with a reference; it is now the server's. */
static int take_next(struct fuse_conn *c, struct fuse_request **ret) {
    int rc = 0;

    mutex_lock(&c->lock);
    if (c->aborted) {
        rc = c->unmounted ? -ENODEV : -ECONNABORTED;
    } else if (!readable_locked(c)) {
        rc = -EAGAIN;
    } else {
        struct fuse_request *r = list_first_entry(&c->pending, struct fuse_request, node);
        c->init_sent = true;
        list_del(&r->node);
        r->state = FUSE_SENT;
        c->unanswered -= !r->wants_reply;
        *ret = r->wants_reply ? fuse_request_ref(r) : r;
        if (r->wants_reply)
            list_add_tail(&c->sent, &r->node);
    }
    mutex_unlock(&c->lock);
    return rc;
}

/* The end of one that is on the list of those sent; takes its answer's bytes. False: it is on it no more. */
static bool finish(struct fuse_conn *c, struct fuse_request *r, int error, uint8_t *out, uint32_t size) {
    mutex_lock(&c->lock);
    bool there = r->state == FUSE_SENT && !list_empty(&r->node);
    if (there) {
        list_del(&r->node);
        r->state = FUSE_DONE;
        r->error = error;
        r->out = out;
        r->out_size = size;
    }
    mutex_unlock(&c->lock);
    if (!there)
        return false;
    waitq_wake(&r->done, WAIT_ANY);
    fuse_request_unref(r);
    return true;
}

static ssize_t device_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct fuse_conn *c = conn_of(f);
    struct fuse_request *r;

    (void)offset;
    if (!is_mounted(c))
        return -EPERM;
    if (to->remaining < LINUX_FUSE_MIN_READ_BUFFER)
        return -EINVAL;
    int rc = take_next(c, &r);
    if (rc < 0)
        return rc;
    ssize_t n = -EIO;
    if (r->in_size <= to->remaining) {
        n = uio_write(to, r->in, r->in_size);
        n = n == (ssize_t)r->in_size ? n : -EFAULT;
    }
    if (n < 0 && r->wants_reply)
        (void)finish(c, r, -EIO, NULL, 0);
    fuse_request_unref(r);
    return n;
}

/* ---- answers ---- */

/* One that was sent: new reference, or NULL. */
static struct fuse_request *find_sent(struct fuse_conn *c, uint64_t unique) {
    struct fuse_request *r, *found = NULL;

    mutex_lock(&c->lock);
    list_for_each_entry(r, &c->sent, node) {
        struct linux_fuse_in_header h;
        memcpy(&h, r->in, sizeof h);
        if (h.unique == unique) {
            found = fuse_request_ref(r);
            break;
        }
    }
    mutex_unlock(&c->lock);
    return found;
}

static bool is_init(const struct fuse_request *r) {
    struct linux_fuse_in_header h;

    memcpy(&h, r->in, sizeof h);
    return h.opcode == LINUX_FUSE_INIT;
}

/* What the server is: other requests may go now; or it is not for us. */
static void start(struct fuse_conn *c, int error, const uint8_t *out, uint32_t size) {
    struct linux_fuse_init_out o = {0};

    if (out)
        memcpy(&o, out, MIN(size, (uint32_t)sizeof o));
    if (error < 0 || o.major != LINUX_FUSE_KERNEL_VERSION || o.minor < LINUX_FUSE_MINOR_LEAST) {
        fuse_abort(c, /* unmounted= */ false);
        return;
    }
    mutex_lock(&c->lock);
    c->init_done = true;
    c->max_write = MIN(MAX(o.max_write, 4096u), (uint32_t)FUSE_DATA_MAX);
    mutex_unlock(&c->lock);
    waitq_wake(&c->started, WAIT_ANY);
    waitq_wake(&c->device, LINUX_POLLIN | LINUX_POLLRDNORM);
}

static ssize_t answer(struct fuse_conn *c, const struct linux_fuse_out_header *h, struct uio *from) {
    struct fuse_request *r = find_sent(c, h->unique);
    uint32_t size = h->len - (uint32_t)sizeof *h;
    uint8_t *out = NULL;
    int rc = 0, error = h->error;

    if (!r)
        return -ENOENT;
    if (error == 0 ? size < r->out_min || size > r->out_max : size != 0)
        rc = -EINVAL;
    if (rc == 0 && size > 0) {
        out = heap_alloc_bytes(size);
        rc = !out ? -ENOMEM : uio_read(from, out, size) == (ssize_t)size ? 0 : -EFAULT;
    }
    if (rc < 0) {
        heap_free(out);
        out = NULL;
        error = -EIO;
    }
    if (is_init(r))
        start(c, error, out, size);
    if (!finish(c, r, error, out, rc == 0 ? size : 0)) {
        heap_free(out);
        rc = rc < 0 ? rc : -ENOENT;
    }
    fuse_request_unref(r);
    return rc < 0 ? rc : (ssize_t)h->len;
}

/* ---- notices ---- */

/* The file system, with a reference: its root may not be gone while we look for inodes. */
static struct fuse_fs *fs_get(struct fuse_conn *c) {
    mutex_lock(&c->lock);
    struct fuse_fs *fs = c->fs && filesystem_tryref(&c->fs->base) ? c->fs : NULL;
    mutex_unlock(&c->lock);
    return fs;
}

static int notice_inode(struct fuse_fs *fs, struct uio *from) {
    struct linux_fuse_notify_inval_inode_out o;

    if (from->remaining != sizeof o)
        return -EINVAL;
    if (uio_read(from, &o, sizeof o) != sizeof o)
        return -EFAULT;
    struct fuse_inode *i = fuse_inode_find(fs, o.ino);
    if (!i)
        return -ENOENT;
    fuse_attr_expire(&i->base);
    inode_unref(&i->base);
    return 0;
}

/* Some name of a directory is not what it was: all of them are looked up again. */
static int notice_entry(struct fuse_fs *fs, struct uio *from) {
    struct linux_fuse_notify_inval_entry_out o;

    if (from->remaining < sizeof o)
        return -EINVAL;
    if (uio_read(from, &o, sizeof o) != sizeof o)
        return -EFAULT;
    if (o.namelen > LINUX_NAME_MAX)
        return -ENAMETOOLONG;
    if (from->remaining != o.namelen + 1ull)
        return -EINVAL;
    from->remaining = 0;
    struct fuse_inode *i = fuse_inode_find(fs, o.parent);
    if (!i)
        return -ENOENT;
    atomic_fetch_add(&i->base.names_changed, 1);
    fuse_attr_expire(&i->base);
    inode_unref(&i->base);
    return 0;
}

static ssize_t notice(struct fuse_conn *c, const struct linux_fuse_out_header *h, struct uio *from) {
    struct fuse_fs *fs = fs_get(c);
    int rc;

    if (!fs)
        return -ENOTCONN;
    switch (h->error) {
    case LINUX_FUSE_NOTIFY_INVAL_INODE:
        rc = notice_inode(fs, from);
        break;
    case LINUX_FUSE_NOTIFY_INVAL_ENTRY:
        rc = notice_entry(fs, from);
        break;
    default:
        rc = -EINVAL;
    }
    filesystem_unref(&fs->base);
    return rc < 0 ? rc : (ssize_t)h->len;
}

static ssize_t device_write(struct file *f, struct uio *from, uint64_t *offset) {
    struct fuse_conn *c = conn_of(f);
    struct linux_fuse_out_header h;
    uint64_t size = from->remaining;

    (void)offset;
    if (!is_mounted(c))
        return -EPERM;
    if (size < sizeof h)
        return -EINVAL;
    if (uio_read(from, &h, sizeof h) != sizeof h)
        return -EFAULT;
    if (h.len != size)
        return -EINVAL;
    if (h.unique == 0)
        return notice(c, &h, from);
    if (h.error > 0 || h.error <= -ERRNO_MAX)
        return -EINVAL;
    return answer(c, &h, from);
}

/* ---- the file ---- */

static uint32_t device_ready(struct file *f, uint32_t events) {
    struct fuse_conn *c = conn_of(f);
    uint32_t now = LINUX_POLLOUT | LINUX_POLLWRNORM;

    (void)events;
    mutex_lock(&c->lock);
    if (c->aborted || !c->mounted)
        now = LINUX_POLLERR;
    else if (readable_locked(c))
        now |= LINUX_POLLIN | LINUX_POLLRDNORM;
    mutex_unlock(&c->lock);
    return now;
}

static struct waitq *device_queue(struct file *f) {
    return &conn_of(f)->device;
}

static void device_release(struct file *f) {
    struct fuse_conn *c = conn_of(f);

    fuse_abort(c, /* unmounted= */ false);
    fuse_conn_unref(c);
    file_done(f);
    heap_free(device_of(f));
}

static const struct file_ops device_ops = {
    .name = "fuse",
    .read = device_read,
    .write = device_write,
    .ready = device_ready,
    .poll_queue = device_queue,
    .release = device_release,
};

int fuse_device_connect(struct file *f, struct fuse_fs *fs, struct user_ns *ns, struct fuse_conn **ret) {
    struct fuse_conn *c = f->ops == &device_ops ? conn_of(f) : NULL;

    if (!c || c->user_ns != ns)
        return -EINVAL;
    mutex_lock(&c->lock);
    bool first = !c->mounted;
    if (first) {
        c->mounted = true;
        c->fs = fs;
    }
    mutex_unlock(&c->lock);
    if (!first)
        return -EINVAL;
    *ret = fuse_conn_ref(c);
    return 0;
}

static int device_open(struct inode *node, const struct path *path, uint32_t flags, const struct creds *c,
                       struct task *t, struct file **ret) {
    struct fuse_device *d;

    (void)node;
    if (!t)
        return -ENXIO;
    d = heap_new(fuse_device);
    if (!d)
        return -ENOMEM;
    int rc = fuse_conn_new(t, &d->conn);
    if (rc < 0) {
        heap_free(d);
        return rc;
    }
    file_init(&d->file, &device_ops, path, flags, file_mode_of(flags) | FILE_STREAM, c);
    *ret = &d->file;
    return 0;
}

static struct device_driver g_fuse_driver = {.name = "fuse",
                                             .type = LINUX_S_IFCHR,
                                             .major = MISC_MAJOR,
                                             .minor_first = FUSE_MINOR,
                                             .minor_count = 1,
                                             .open = device_open};

__attribute__((constructor)) static void register_device(void) {
    device_driver_register(&g_fuse_driver);
}
