/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/file.c: open files: life, readiness, positions, directories. Reading and writing: file_rw.c.
 * Source: open(2), close(2), lseek(2), poll(2).
 */
#include "sentry/vfs/file.h"

#include <errno.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/vfs/epoll.h"
#include "sentry/vfs/file_async.h"
#include "sentry/vfs/file_lock.h"
#include "sentry/vfs/lease.h"
#include "sentry/vfs/vfs_internal.h"

static void file_destroy(struct file *f);
DEFINE_REF(file, file_destroy);

uint32_t file_mode_of(uint32_t flags) {
    switch (flags & LINUX_O_ACCMODE) {
    case LINUX_O_RDONLY:
        return FILE_READ;
    case LINUX_O_WRONLY:
        return FILE_WRITE;
    case LINUX_O_RDWR:
        return FILE_READ | FILE_WRITE;
    default: /* 3: for ioctl only */
        return 0;
    }
}

void file_init(struct file *f, const struct file_ops *ops, const struct path *path, uint32_t flags,
               uint32_t mode, const struct creds *creds) {
    file_ref_init(f);
    f->ops = ops;
    f->path = path_get(path);
    f->inode = path->dentry->inode;
    f->mode = mode;
    f->flags =
        flags & ~(uint32_t)(LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_NOCTTY | LINUX_O_TRUNC | LINUX_O_CLOEXEC);
    mutex_init(&f->pos_lock, RANK_FILE_POS);
    mutex_init(&f->lock, RANK_LEAF);
    f->creds = creds_ref((struct creds *)(uintptr_t)creds);
    list_init(&f->epoll_items);
}

static void file_destroy(struct file *f) {
    if (f->mode & FILE_OPENED)
        vfs_notify_path(&f->path, f->mode & FILE_WRITE ? LINUX_IN_CLOSE_WRITE : LINUX_IN_CLOSE_NOWRITE);
    file_async_done(f);
    lease_file_gone(f);
    epoll_file_gone(f);
    file_lock_release(f);
    if (f->mode & FILE_COUNTED) {
        atomic_fetch_sub(&f->inode->write_count, 1);
        atomic_fetch_sub(&f->path.mount->writers, 1);
    }
    if (f->mode & FILE_READ_COUNTED)
        atomic_fetch_sub(&f->inode->read_count, 1);
    if (f->mode & FILE_DENY_WRITE)
        atomic_fetch_add(&f->inode->write_count, 1);
    f->ops->release(f);
}

void file_done(struct file *f) {
    ASSERT(list_empty(&f->epoll_items));
    path_put(&f->path);
    f->inode = NULL;
    creds_unref((struct creds *)(uintptr_t)f->creds);
}

/* ---- readiness ---- */

uint32_t file_ready(struct file *f, uint32_t events) {
    const uint32_t always = LINUX_POLLIN | LINUX_POLLOUT | LINUX_POLLRDNORM | LINUX_POLLWRNORM;
    uint32_t now = f->ops->ready ? f->ops->ready(f, events | LINUX_POLLERR | LINUX_POLLHUP) : always;

    return now & (events | LINUX_POLLERR | LINUX_POLLHUP);
}

struct waitq *file_poll_queue(struct file *f) {
    return f->ops->poll_queue ? f->ops->poll_queue(f) : NULL;
}

int file_wait(struct task *t, struct file *f, uint32_t events, int64_t deadline) {
    struct waitq *q = file_poll_queue(f);
    struct waiter w;
    int r = 0;

    if (file_ready(f, events))
        return 0;
    if (!q || file_nonblocking(f))
        return -EAGAIN;
    waiter_init_task(&w, t, events | LINUX_POLLERR | LINUX_POLLHUP);
    waitq_add(q, &w);
    while (r == 0 && !file_ready(f, events))
        r = task_block(t, deadline);
    waitq_remove(&w);
    return r;
}

/* ---- positions ---- */

static int64_t seek_file_locked(struct file *f, int64_t offset, int whence) {
    struct kstat st;
    int64_t base = 0;

    if (f->ops->seek && (f->inode->type != LINUX_S_IFREG || whence > LINUX_SEEK_CUR))
        return f->ops->seek(f, offset, whence);
    if (whence == LINUX_SEEK_CUR)
        base = (int64_t)f->pos;
    if (whence != LINUX_SEEK_SET && whence != LINUX_SEEK_CUR) {
        int r = vfs_getattr(&f->path, &st);
        if (r < 0)
            return r;
        base = (int64_t)st.size;
    }
    if (whence == LINUX_SEEK_DATA || whence == LINUX_SEEK_HOLE) {
        if (offset < 0 || offset >= base)
            return -ENXIO;
        return whence == LINUX_SEEK_DATA ? offset : base;
    }
    int64_t to;
    return __builtin_add_overflow(base, offset, &to) || to < 0 ? -EINVAL : to;
}

int64_t file_seek(struct file *f, int64_t offset, int whence) {
    if (whence < 0 || whence > LINUX_SEEK_MAX)
        return -EINVAL;
    if (f->mode & FILE_PREAD)
        return f->ops->seek(f, offset, whence);
    if (!(f->mode & FILE_POS))
        return -ESPIPE;
    mutex_lock(&f->pos_lock);
    bool plain_dir = inode_is_dir(f->inode) && !f->ops->seek;
    int64_t to = plain_dir && whence > LINUX_SEEK_CUR ? -EINVAL : seek_file_locked(f, offset, whence);
    if (to >= 0)
        f->pos = (uint64_t)to;
    mutex_unlock(&f->pos_lock);
    return to;
}

uint64_t file_position(struct file *f) {
    int64_t at = file_seek(f, 0, LINUX_SEEK_CUR);

    return at < 0 ? 0 : (uint64_t)at;
}

int file_readdir(struct file *f, struct dir_emit *e) {
    if (!inode_is_dir(f->inode) || !f->ops->readdir)
        return -ENOTDIR;
    mutex_lock(&f->pos_lock);
    int r = f->inode->dead_dir ? -ENOENT : f->ops->readdir(f, e);
    mutex_unlock(&f->pos_lock);
    if (r == 0)
        vfs_notify_path(&f->path, LINUX_IN_ACCESS);
    return r;
}

int file_fsync(struct file *f, bool data_only) {
    if (f->ops->fsync)
        return f->ops->fsync(f, data_only);
    return f->inode->type == LINUX_S_IFREG || f->inode->type == LINUX_S_IFDIR ? 0 : -EINVAL;
}
