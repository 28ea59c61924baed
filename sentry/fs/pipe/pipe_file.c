/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/pipe/pipe_file.c: pipes and FIFOs as open files. Source: pipe(2), pipe(7), fifo(7), poll(2).
 *
 * A pipe is kept by its open files, counted in `users` under the inode's locks_lock, where inode.node leads
 * others that open the same FIFO (or /proc/PID/fd/N) to it. A write of at most PIPE_BUF (one page) bytes goes
 * in whole. SIGPIPE is the system call's to send.
 */
#include <errno.h>

#include "base/abi/linux/mount.h"
#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/ioctl.h"
#include "base/clock.h"
#include "sentry/fs/pipe/pipe_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"

enum { PIPE_DEFAULT_SLOTS = 16 };

HEAP_TYPE(pipe, struct pipe, 0);
HEAP_TYPE(pipe_file, struct pipe_file, 0);

static const struct file_ops pipe_file_ops;
static const struct inode_node_ops pipe_node_ops;

struct pipe *pipe_of(const struct file *f) {
    return f->ops == &pipe_file_ops ? container_of(f, struct pipe_file, base)->pipe : NULL;
}

bool file_is_pipe(const struct file *f) {
    return pipe_of(f) != NULL;
}

/* ---- life ---- */

static struct pipe *pipe_new(void) {
    struct pipe *p = heap_new(pipe);

    if (!p)
        return NULL;
    p->ring = heap_alloc_array(PIPE_DEFAULT_SLOTS, sizeof *p->ring);
    if (!p->ring) {
        heap_free(p);
        return NULL;
    }
    p->node.ops = &pipe_node_ops;
    p->slots = PIPE_DEFAULT_SLOTS;
    mutex_init(&p->read_lock, RANK_PIPE_READ);
    mutex_init(&p->write_lock, RANK_PIPE_WRITE);
    mutex_init(&p->lock, RANK_PIPE);
    waitq_init(&p->queue);
    return p;
}

static void pipe_free(struct pipe *p) {
    for (size_t i = 0; i < p->slots; i++)
        heap_free(p->ring[i].page);
    heap_free(p->ring);
    heap_free(p->spare);
    heap_free(p);
}

static void pipe_node_release(struct inode_node *node) {
    (void)node; /* open files keep the inode, and the last one takes the node off */
    ASSERT(false);
}

static const struct inode_node_ops pipe_node_ops = {.name = "pipe", .release = pipe_node_release};

/* The inode's pipe, made now if there is none; one user more. */
static int pipe_of_inode(struct inode *i, struct pipe **ret) {
    struct pipe *fresh = pipe_new();

    if (!fresh)
        return -ENOMEM;
    mutex_lock(&i->locks_lock);
    if (!i->node) {
        i->node = &fresh->node;
        fresh = NULL;
    }
    ASSERT(i->node->ops == &pipe_node_ops);
    struct pipe *p = container_of(i->node, struct pipe, node);
    p->users++;
    mutex_unlock(&i->locks_lock);
    if (fresh)
        pipe_free(fresh);
    *ret = p;
    return 0;
}

static void pipe_put(struct inode *i, struct pipe *p) {
    mutex_lock(&i->locks_lock);
    bool last = --p->users == 0;
    if (last)
        i->node = NULL;
    mutex_unlock(&i->locks_lock);
    if (last)
        pipe_free(p);
}

/* Counts an end in (by 1) or out (-1). What the other end was like as it came in is seen in the same moment:
 * a partner that waits for it may go on, end and be gone at once. */
static void count_ends(struct pipe_file *pf, uint32_t mode, int by) {
    struct pipe *p = pf->pipe;

    mutex_lock(&p->lock);
    pf->met = (mode & FILE_READ ? p->writers : p->readers) > 0;
    pf->other_opens = mode & FILE_READ ? p->writer_opens : p->reader_opens;
    if (mode & FILE_READ) {
        p->readers = (unsigned)((int)p->readers + by);
        p->reader_opens += by > 0;
    }
    if (mode & FILE_WRITE) {
        p->writers = (unsigned)((int)p->writers + by);
        p->writer_opens += by > 0;
    }
    mutex_unlock(&p->lock);
    waitq_wake(&p->queue, LINUX_POLLIN | LINUX_POLLOUT | LINUX_POLLRDNORM | LINUX_POLLWRNORM | LINUX_POLLERR |
                              LINUX_POLLHUP);
}

static void pipe_release(struct file *f) {
    struct pipe_file *pf = container_of(f, struct pipe_file, base);

    count_ends(pf, f->mode, -1);
    pipe_put(f->inode, pf->pipe);
    file_done(f);
    heap_free(pf);
}

/* Takes over one user of `p`, also on failure. */
static int open_end(struct pipe *p, const struct path *path, uint32_t flags, const struct creds *c,
                    struct pipe_file **ret) {
    struct pipe_file *pf = heap_new(pipe_file);

    if (!pf) {
        pipe_put(path->dentry->inode, p);
        return -ENOMEM;
    }
    file_init(&pf->base, &pipe_file_ops, path, flags, file_mode_of(flags) | FILE_STREAM, c);
    pf->pipe = p;
    count_ends(pf, pf->base.mode, 1);
    *ret = pf;
    return 0;
}

int pipe_create(struct task *t, uint32_t flags, struct file **ret_read, struct file **ret_write) {
    const struct creds *c = task_creds(t);
    struct pipe_file *reader = NULL, *writer = NULL;
    struct pipe *p;
    struct path path;
    int r = anon_path(t->kernel, "pipe", LINUX_S_IFIFO, c, &path);

    if (r < 0)
        return r;
    r = pipe_of_inode(path.dentry->inode, &p);
    if (r == 0)
        r = open_end(p, &path, flags | LINUX_O_RDONLY, c, &reader);
    if (r == 0) {
        r = pipe_of_inode(path.dentry->inode, &p);
        if (r == 0)
            r = open_end(p, &path, flags | LINUX_O_WRONLY, c, &writer);
        if (r < 0)
            file_unref(&reader->base);
    }
    path_put(&path);
    if (r < 0)
        return r;
    *ret_read = &reader->base;
    *ret_write = &writer->base;
    return 0;
}

/* ---- FIFOs ---- */

static bool other_end_came(struct pipe_file *pf) {
    struct pipe *p = pf->pipe;

    mutex_lock(&p->lock);
    bool came = pf->met || (pf->base.mode & FILE_READ ? p->writer_opens : p->reader_opens) != pf->other_opens;
    mutex_unlock(&p->lock);
    return came;
}

static int wait_for_other_end(struct task *t, struct pipe_file *pf) {
    struct pipe *p = pf->pipe;
    struct waiter w;
    int r = 0;

    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&p->queue, &w);
    while (r == 0 && !other_end_came(pf))
        r = task_block(t, CLOCK_NEVER);
    waitq_remove(&w);
    return r;
}

int fifo_open(struct task *t, struct inode *node, const struct path *path, uint32_t flags,
              const struct creds *c, struct file **ret) {
    uint32_t mode = file_mode_of(flags) & (FILE_READ | FILE_WRITE);
    struct pipe_file *pf;
    struct pipe *p;

    if (mode == 0)
        return -EINVAL;
    int r = pipe_of_inode(node, &p);
    if (r < 0)
        return r;
    mutex_lock(&p->lock);
    bool no_reader = p->readers == 0;
    mutex_unlock(&p->lock);
    /* A pipe without a name, opened again through /proc/PID/fd, waits for nobody. */
    bool named = node->fs->magic != LINUX_PIPEFS_MAGIC;
    if (named && mode == FILE_WRITE && flags & LINUX_O_NONBLOCK && no_reader) {
        pipe_put(node, p);
        return -ENXIO;
    }
    r = open_end(p, path, flags, c, &pf);
    if (r < 0)
        return r;
    if (named && mode != (FILE_READ | FILE_WRITE) && !(flags & LINUX_O_NONBLOCK) && t)
        r = wait_for_other_end(t, pf);
    else
        pf->early_reader = named && mode == FILE_READ && !pf->met;
    if (r < 0) {
        file_unref(&pf->base);
        return r;
    }
    *ret = &pf->base;
    return 0;
}

/* ---- operations ---- */

static bool has_writers(struct pipe *p) {
    mutex_lock(&p->lock);
    bool any = p->writers > 0;
    mutex_unlock(&p->lock);
    return any;
}

static ssize_t read_locked(struct pipe *p, struct uio *to) {
    ssize_t done = 0;

    while (to->remaining > 0) {
        char *bytes;
        bool packet;
        /* Writers first: bytes that came before the last one left are seen. */
        bool writers = has_writers(p);
        size_t n = pipe_peek(p, &bytes, &packet);
        if (n == 0)
            return done > 0 ? done : writers ? -EAGAIN : 0;
        ssize_t copied = uio_write(to, bytes, MIN(n, to->remaining));
        if (copied <= 0)
            return done > 0 ? done : copied;
        bool short_copy = (size_t)copied < n && to->remaining > 0;
        pipe_consume(p, (size_t)copied, packet && !short_copy);
        done += copied;
        if (packet || short_copy)
            break;
    }
    return done;
}

static ssize_t pipe_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct pipe *p = container_of(f, struct pipe_file, base)->pipe;

    (void)offset;
    mutex_lock(&p->read_lock);
    ssize_t r = read_locked(p, to);
    mutex_unlock(&p->read_lock);
    return r;
}

static ssize_t write_locked(struct pipe *p, struct uio *from, bool packet) {
    ssize_t done = 0;

    while (from->remaining > 0) {
        size_t n = MIN(from->remaining, PAGE_SIZE);
        int r = pipe_room(p, packet ? PAGE_SIZE : n);
        char *page = r == 0 ? pipe_page(p) : NULL;
        if (r == 0 && !page)
            r = -ENOMEM;
        if (r < 0)
            return done > 0 ? done : r;
        ssize_t copied = uio_read(from, page, n);
        if (copied <= 0) {
            pipe_page_put(p, page);
            return done > 0 ? done : copied;
        }
        pipe_push(p, page, 0, (size_t)copied, packet);
        done += copied;
        if ((size_t)copied < n)
            break;
    }
    return done;
}

static ssize_t pipe_write(struct file *f, struct uio *from, uint64_t *offset) {
    struct pipe *p = container_of(f, struct pipe_file, base)->pipe;

    (void)offset;
    if (from->remaining == 0)
        return 0;
    mutex_lock(&p->write_lock);
    ssize_t r = write_locked(p, from, atomic_load(&f->flags) & LINUX_O_DIRECT);
    mutex_unlock(&p->write_lock);
    return r;
}

static uint32_t pipe_ready(struct file *f, uint32_t events) {
    struct pipe_file *pf = container_of(f, struct pipe_file, base);
    struct pipe *p = pf->pipe;
    uint32_t now = 0;

    (void)events;
    mutex_lock(&p->lock);
    if (f->mode & FILE_READ) {
        if (p->count > 0)
            now |= LINUX_POLLIN | LINUX_POLLRDNORM;
        if (p->writers == 0 && !(pf->early_reader && p->writer_opens == pf->other_opens))
            now |= LINUX_POLLHUP;
    }
    if (f->mode & FILE_WRITE) {
        if (p->count < p->slots)
            now |= LINUX_POLLOUT | LINUX_POLLWRNORM;
        if (p->readers == 0)
            now |= LINUX_POLLERR;
    }
    mutex_unlock(&p->lock);
    return now;
}

static struct waitq *pipe_poll_queue(struct file *f) {
    return &container_of(f, struct pipe_file, base)->pipe->queue;
}

static int64_t pipe_ioctl(struct file *f, struct task *t, uint32_t cmd, uint64_t arg) {
    struct pipe *p = container_of(f, struct pipe_file, base)->pipe;
    int32_t bytes = 0;

    if (cmd != LINUX_FIONREAD)
        return -ENOTTY;
    mutex_lock(&p->lock);
    for (size_t i = 0; i < p->slots; i++)
        bytes += (int32_t)p->ring[i].len;
    mutex_unlock(&p->lock);
    return copy_out(t, arg, &bytes, sizeof bytes);
}

static const struct file_ops pipe_file_ops = {
    .name = "pipe",
    .read = pipe_read,
    .write = pipe_write,
    .ready = pipe_ready,
    .poll_queue = pipe_poll_queue,
    .ioctl = pipe_ioctl,
    .release = pipe_release,
};
