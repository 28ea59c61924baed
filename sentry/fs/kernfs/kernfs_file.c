/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/kernfs/kernfs_file.c: open files of pseudo file systems: text made at the first read, directories
 * listed by kind.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/fs/kernfs/kernfs_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/mm/uaccess.h"

enum { STORE_MAX = 65536 };

struct kernfs_file {
    struct file file; /* first */
    struct text text; /* pos_lock */
    bool made;
    struct kernfs_watch watch; /* constant; queue NULL: nothing to wait for */
    _Atomic uint64_t seen;     /* of watch.event */
};
HEAP_TYPE(kernfs_file, struct kernfs_file, 0);

static struct kernfs_file *file_of(struct file *f) {
    return container_of(f, struct kernfs_file, file);
}

static struct kernfs_inode *node_of(struct file *f) {
    return kernfs_of(f->inode);
}

static int check_gone(struct kernfs_inode *n) {
    return n->kops->gone_errno && !n->kops->valid(n) ? -n->kops->gone_errno : 0;
}

static ssize_t file_read_text(struct file *f, struct uio *to, uint64_t *offset) {
    struct kernfs_file *kf = file_of(f);
    struct kernfs_inode *n = node_of(f);

    int r = check_gone(n);
    if (r < 0)
        return r;
    if (n->kops->read)
        return n->kops->read(n, uio_reader(to), to, offset);
    if (!n->kops->show)
        return -EINVAL;
    if (!kf->made || *offset == 0) {
        text_done(&kf->text);
        if (kf->watch.queue)
            atomic_store(&kf->seen, atomic_load(kf->watch.event));
        r = n->kops->show(n, uio_reader(to), &kf->text);
        if (r < 0 || kf->text.failed) {
            text_done(&kf->text);
            kf->made = false;
            return r < 0 ? r : -ENOMEM;
        }
        kf->made = true;
    }
    if (*offset >= kf->text.len)
        return 0;
    size_t size = MIN(kf->text.len - *offset, to->remaining);
    ssize_t done = uio_write(to, kf->text.data + *offset, size);
    if (done > 0)
        *offset += (uint64_t)done;
    return done;
}

static ssize_t file_write_text(struct file *f, struct uio *from, uint64_t *offset) {
    struct kernfs_inode *n = node_of(f);

    int gone = check_gone(n);
    if (gone < 0)
        return gone;
    if (n->kops->write)
        return n->kops->write(n, uio_reader(from), from, offset);
    if (!n->kops->store)
        return -EINVAL;
    size_t size = MIN(from->remaining, (uint64_t)STORE_MAX);
    char *data = heap_alloc_bytes(size + 1);
    if (!data)
        return -ENOMEM;
    ssize_t got = uio_read(from, data, size);
    ssize_t r = got < 0 ? got : n->kops->store(n, uio_reader(from), data, (size_t)got);
    heap_free(data);
    if (r > 0)
        *offset += (uint64_t)r;
    return r;
}

/* Positions: 0 ".", 1 "..", then the fixed names, then the kind's own from 1 on (behind FIXED_BASE, so that
 * both may grow). */
enum { DYNAMIC_BASE = 0x10000 };

static int emit_dots(struct file *f, struct dir_emit *e) {
    struct dentry *d = f->path.dentry;

    if (f->pos == 0) {
        if (e->emit(e, ".", 1, f->inode->ino, 4, 1))
            return 1;
        f->pos = 1;
    }
    if (f->pos == 1) {
        struct inode *up = d->parent && d->parent->inode ? d->parent->inode : f->inode;
        if (e->emit(e, "..", 2, up->ino, 4, 2))
            return 1;
        f->pos = 2;
    }
    return 0;
}

struct dynamic_emit {
    struct dir_emit emit; /* first */
    struct dir_emit *outer;
    struct file *file;
};

static int emit_dynamic(struct dir_emit *e, const char *name, size_t len, uint64_t ino, unsigned type,
                        uint64_t next) {
    struct dynamic_emit *d = container_of(e, struct dynamic_emit, emit);

    if (d->outer->emit(d->outer, name, len, ino, type, DYNAMIC_BASE + next))
        return 1;
    d->file->pos = DYNAMIC_BASE + next;
    return 0;
}

static int dir_readdir(struct file *f, struct dir_emit *e) {
    struct kernfs_inode *n = node_of(f);

    if (emit_dots(f, e))
        return 0;
    for (size_t i = f->pos - 2; f->pos < DYNAMIC_BASE && n->kops->entries && n->kops->entries[i].name; i++) {
        const struct kernfs_entry *entry = &n->kops->entries[i];
        size_t len = strlen(entry->name);
        if (e->emit(e, entry->name, len, kernfs_child_ino(f->inode->ino, entry->name, len),
                    entry->ops->mode >> 12, f->pos + 1))
            return 0;
        f->pos++;
    }
    if (!n->kops->list)
        return 0;
    if (f->pos < DYNAMIC_BASE)
        f->pos = DYNAMIC_BASE;
    struct dynamic_emit dynamic = {.emit.emit = emit_dynamic, .outer = e, .file = f};
    return n->kops->list(n, f->pos - DYNAMIC_BASE, &dynamic.emit);
}

static int64_t file_seek_text(struct file *f, int64_t offset, int whence) {
    int64_t base = whence == LINUX_SEEK_SET ? 0 : whence == LINUX_SEEK_CUR ? (int64_t)f->pos : -1;
    int64_t to;

    if (base < 0 || __builtin_add_overflow(base, offset, &to) || to < 0)
        return -EINVAL;
    f->pos = (uint64_t)to;
    return to;
}

static uint32_t file_ready_text(struct file *f, uint32_t events) {
    struct kernfs_file *kf = file_of(f);
    uint32_t ready = LINUX_POLLIN | LINUX_POLLRDNORM | LINUX_POLLOUT | LINUX_POLLWRNORM;

    (void)events;
    if (!kf->watch.queue)
        return ready;
    uint64_t now = atomic_load(kf->watch.event);
    if (kf->watch.seen_by_poll ? atomic_exchange(&kf->seen, now) != now : atomic_load(&kf->seen) != now)
        ready |= LINUX_POLLPRI | LINUX_POLLERR;
    return kf->watch.seen_by_poll ? ready & ~(uint32_t)(LINUX_POLLOUT | LINUX_POLLWRNORM) : ready;
}

static struct waitq *file_poll_queue_text(struct file *f) {
    return file_of(f)->watch.queue;
}

static void file_release(struct file *f) {
    struct kernfs_file *kf = file_of(f);

    if (kf->watch.drop)
        kf->watch.drop(kf->watch.object);
    text_done(&kf->text);
    file_done(f);
    heap_free(kf);
}

static const struct file_ops kernfs_file_ops = {
    .name = "kernfs",
    .read = file_read_text,
    .write = file_write_text,
    .seek = file_seek_text,
    .ready = file_ready_text,
    .poll_queue = file_poll_queue_text,
    .release = file_release,
};

static const struct file_ops kernfs_dir_ops = {
    .name = "kernfs_dir",
    .readdir = dir_readdir,
    .seek = file_seek_text,
    .release = file_release,
};

int kernfs_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
                struct file **ret) {
    struct kernfs_inode *n = kernfs_of(inode);

    if (n->kops->open_check) {
        int r = n->kops->open_check(n, c, flags);
        if (r < 0)
            return r;
    }
    struct kernfs_file *kf = heap_new(kernfs_file);
    if (!kf)
        return -ENOMEM;
    int r = n->kops->watch ? n->kops->watch(n, &kf->watch) : 0;
    if (r < 0) {
        heap_free(kf);
        return r;
    }
    if (kf->watch.queue)
        kf->seen = atomic_load(kf->watch.event);
    uint32_t access = flags & LINUX_O_ACCMODE;
    uint32_t mode =
        FILE_POS | (access != LINUX_O_WRONLY ? FILE_READ : 0) | (access != LINUX_O_RDONLY ? FILE_WRITE : 0);
    file_init(&kf->file, inode_is_dir(inode) ? &kernfs_dir_ops : &kernfs_file_ops, path, flags, mode, c);
    *ret = &kf->file;
    return 0;
}
