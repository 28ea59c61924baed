/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/tmpfs/tmpfs_file.c: regular files of tmpfs, and memfds: bytes in a memstore. Source: tmpfs(5),
 * fallocate(2), lseek(2), memfd_create(2), fcntl(2) "File Sealing".
 *
 * Writes, truncation and allocation hold base.lock; reads do not. Copies from guest memory happen under
 * base.lock, which ranks before RANK_MM.
 */
#include <errno.h>

#include "base/abi/linux/capability.h"
#include "sentry/fs/tmpfs/tmpfs_internal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/mount.h"

HEAP_TYPE(tmpfs_file, struct file, 0);

enum {
    ALL_SEALS = LINUX_F_SEAL_SEAL | LINUX_F_SEAL_SHRINK | LINUX_F_SEAL_GROW | LINUX_F_SEAL_WRITE |
                LINUX_F_SEAL_FUTURE_WRITE
};
#define TMPFS_MAX_SIZE ((uint64_t)INT64_MAX - PAGE_SIZE) /* what a memstore can hold */

/* The store, made now if there is none. base.lock held. */
static int store_locked(struct tmpfs_inode *i, struct memstore **ret) {
    if (!i->store) {
        int r = memstore_create(i->base.fs->kernel, &i->store);
        if (r < 0)
            return r;
    }
    *ret = i->store;
    return 0;
}

static struct memstore *store_of(struct tmpfs_inode *i) {
    mutex_lock(&i->base.lock);
    struct memstore *s = i->store;
    mutex_unlock(&i->base.lock);
    return s;
}

/* ---- charging ---- */

/* Bytes of pages in [from, to) (page aligned) that are holes: what a write there costs. */
static uint64_t holes_locked(struct tmpfs_inode *i, uint64_t from, uint64_t to) {
    uint64_t size_end = i->store ? page_up(memstore_size(i->store)) : 0, cost = 0;

    if (to > size_end) {
        uint64_t beyond = MAX(from, size_end);
        cost = to - beyond;
        to = beyond;
    }
    if (!i->sparse)
        return cost;
    while (from < to) {
        int64_t data = memstore_seek(i->store, from, /* data= */ true);
        uint64_t next = data < 0 ? to : MIN(page_down(data), to);
        if (next > from)
            cost += next - from;
        if (next >= to)
            break;
        int64_t hole = memstore_seek(i->store, next, /* data= */ false);
        from = hole < 0 ? to : page_up(hole);
    }
    return cost;
}

static int charge_locked(struct tmpfs_inode *i, uint64_t from, uint64_t to) {
    uint64_t cost = holes_locked(i, page_down(from), page_up(to));

    if (!tmpfs_charge(tmpfs_of(&i->base), cost))
        return -ENOSPC;
    i->charged += cost;
    return 0;
}

/* After pages went: what is charged is what there is. */
static void recharge_locked(struct tmpfs_inode *i) {
    uint64_t now = i->store ? memstore_blocks(i->store) * 512 : 0;

    if (now < i->charged) {
        tmpfs_uncharge(tmpfs_of(&i->base), i->charged - now);
        i->charged = now;
    }
}

/* ---- size ---- */

int tmpfs_file_set_size_locked(struct tmpfs_inode *i, uint64_t size) {
    struct memstore *s;
    uint64_t old = i->store ? memstore_size(i->store) : 0;

    if (size > TMPFS_MAX_SIZE)
        return -EFBIG;
    if ((size < old && i->seals & LINUX_F_SEAL_SHRINK) || (size > old && i->seals & LINUX_F_SEAL_GROW))
        return -EPERM;
    if (size == old)
        return 0;
    int r = store_locked(i, &s);
    if (r == 0)
        r = memstore_truncate(s, size);
    if (r < 0)
        return r;
    if (size > old)
        i->sparse = true;
    else
        recharge_locked(i);
    return 0;
}

/* ---- reading and writing ---- */

bool tmpfs_atime_due(struct file *f, const struct tmpfs_inode *i, int64_t now) {
    const int64_t day = 24 * 3600 * 1000000000ll;
    uint32_t flags = f->path.mount->flags;

    if (atomic_load(&f->flags) & LINUX_O_NOATIME || flags & MOUNT_NOATIME ||
        (flags & MOUNT_NODIRATIME && inode_is_dir(f->inode)) || flags & MOUNT_READONLY)
        return false;
    if (!(flags & MOUNT_RELATIME))
        return true;
    return i->atime_ns <= i->mtime_ns || i->atime_ns <= i->ctime_ns || now - i->atime_ns >= day;
}

static ssize_t tmpfs_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct tmpfs_inode *i = tmpfs_inode_of(f->inode);
    struct memstore *s = store_of(i);
    ssize_t n = s ? memstore_read(s, to, *offset, to->remaining) : 0;

    if (n > 0)
        *offset += (uint64_t)n;
    if (n >= 0) {
        int64_t now = vfs_now(f->inode->fs->kernel);
        mutex_lock(&f->inode->lock);
        if (tmpfs_atime_due(f, i, now))
            i->atime_ns = now;
        mutex_unlock(&f->inode->lock);
    }
    return n;
}

static int write_check_locked(struct tmpfs_inode *i, uint64_t at, uint64_t size, uint64_t *len) {
    if (i->seals & (LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE))
        return -EPERM;
    if (at >= TMPFS_MAX_SIZE)
        return -EFBIG;
    *len = MIN(*len, TMPFS_MAX_SIZE - at);
    if (i->seals & LINUX_F_SEAL_GROW && at + *len > size) {
        if (at >= size)
            return -EPERM;
        *len = size - at;
    }
    return 0;
}

/* Charges what is to be written; when the file system is full, as many whole pages as there is room for. */
static int make_room_locked(struct tmpfs_inode *i, uint64_t at, uint64_t *len) {
    int r = charge_locked(i, at, at + *len);

    while (r == -ENOSPC && at + *len > page_down(at) + PAGE_SIZE) {
        uint64_t half = page_down(at + *len / 2); /* ends with a page, or is the first page alone */
        *len = MAX(half, page_down(at) + PAGE_SIZE) - at;
        r = charge_locked(i, at, at + *len);
    }
    return r;
}

static ssize_t write_locked(struct tmpfs_inode *i, struct uio *from, uint64_t *offset) {
    struct memstore *s = NULL;
    uint64_t size = i->store ? memstore_size(i->store) : 0;
    uint64_t at = *offset == FILE_APPEND ? size : *offset, len = from->remaining;
    ssize_t done = 0;
    int r = write_check_locked(i, at, size, &len);

    if (r == 0)
        r = store_locked(i, &s);
    while (r == 0 && len > 0) {
        uint64_t part = len;
        r = make_room_locked(i, at, &part);
        if (r < 0)
            break;
        if (at > page_up(memstore_size(s)))
            i->sparse = true;
        ssize_t n = memstore_write(s, from, at, part);
        if (n < 0) {
            r = (int)n;
            break;
        }
        at += (uint64_t)n;
        len -= (uint64_t)n;
        done += n;
        if ((uint64_t)n < part)
            break;
    }
    if (done > 0)
        *offset = at;
    return done > 0 ? done : r;
}

static ssize_t tmpfs_write(struct file *f, struct uio *from, uint64_t *offset) {
    struct inode *base = f->inode;
    struct tmpfs_inode *i = tmpfs_inode_of(base);
    int64_t now = vfs_now(base->fs->kernel);

    if (from->remaining == 0)
        return 0;
    mutex_lock(&base->lock);
    ssize_t n = write_locked(i, from, offset);
    if (n > 0) {
        i->mtime_ns = i->ctime_ns = now;
        if (base->mode & (LINUX_S_ISUID | LINUX_S_ISGID) &&
            !inode_capable(base, f->creds, LINUX_CAP_FSETID)) {
            uint32_t mode = base->mode & ~(uint32_t)LINUX_S_ISUID;
            base->mode = mode & LINUX_S_IXGRP ? mode & ~(uint32_t)LINUX_S_ISGID : mode;
        }
        if (i->xattr_bytes > 0)
            tmpfs_xattr_drop_locked(i, "security.capability");
    }
    mutex_unlock(&base->lock);
    return n;
}

static int64_t tmpfs_seek(struct file *f, int64_t offset, int whence) {
    struct memstore *s = store_of(tmpfs_inode_of(f->inode));

    if (whence == LINUX_SEEK_END) {
        int64_t to;
        return __builtin_add_overflow(s ? (int64_t)memstore_size(s) : 0, offset, &to) || to < 0 ? -EINVAL
                                                                                                : to;
    }
    if (offset < 0 || !s)
        return -ENXIO;
    return memstore_seek(s, (uint64_t)offset, whence == LINUX_SEEK_DATA);
}

/* ---- fallocate ---- */

static int allocate_locked(struct tmpfs_inode *i, int mode, uint64_t offset, uint64_t len) {
    struct memstore *s;
    uint64_t end = offset + len;
    int r = store_locked(i, &s);

    if (r < 0)
        return r;
    uint64_t size = memstore_size(s);
    if (mode & (LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_ZERO_RANGE) &&
        i->seals & (LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE))
        return -EPERM;
    if (mode & LINUX_FALLOC_FL_PUNCH_HOLE) {
        if (offset < page_up(size))
            memstore_punch(s, offset, MIN(end, page_up(size)) - offset);
        i->sparse = true;
        recharge_locked(i);
        return 0;
    }
    if (!(mode & LINUX_FALLOC_FL_KEEP_SIZE) && end > size && i->seals & LINUX_F_SEAL_GROW)
        return -EPERM;
    r = charge_locked(i, offset, end);
    if (r < 0)
        return r;
    i->sparse = true;
    return memstore_allocate(s, offset, len, mode & LINUX_FALLOC_FL_KEEP_SIZE);
}

static int tmpfs_fallocate(struct file *f, int mode, uint64_t offset, uint64_t len) {
    struct tmpfs_inode *i = tmpfs_inode_of(f->inode);

    if (mode & ~(LINUX_FALLOC_FL_KEEP_SIZE | LINUX_FALLOC_FL_PUNCH_HOLE))
        return -EOPNOTSUPP;
    if (offset + len > TMPFS_MAX_SIZE)
        return -EFBIG;
    mutex_lock(&f->inode->lock);
    int r = allocate_locked(i, mode, offset, len);
    if (r == 0)
        i->mtime_ns = i->ctime_ns = vfs_now(f->inode->fs->kernel);
    mutex_unlock(&f->inode->lock);
    return r;
}

/* ---- mapping, seals ---- */

/* Seals against writing are mm's to check: mappable.write_sealed. */
static int tmpfs_mmap(struct file *f, const struct mmap_request *request, struct mappable **ret) {
    struct memstore *s;

    (void)request;
    mutex_lock(&f->inode->lock);
    int r = store_locked(tmpfs_inode_of(f->inode), &s);
    mutex_unlock(&f->inode->lock);
    if (r < 0)
        return r;
    *ret = mappable_ref(memstore_mappable(s));
    return 0;
}

/* F_SEAL_WRITE is refused while a writable shared mapping exists; either seal keeps new ones away. */
static int seal_mappings_locked(struct tmpfs_inode *i, uint32_t seals) {
    struct memstore *s;
    int r = store_locked(i, &s);

    return r < 0 ? r : mappable_seal_write(memstore_mappable(s), !(seals & LINUX_F_SEAL_WRITE));
}

static int add_seals_locked(struct file *f, struct tmpfs_inode *i, uint32_t seals) {
    int r = 0;

    if (!(f->mode & FILE_WRITE))
        return -EPERM;
    if (seals & ~(uint32_t)ALL_SEALS)
        return -EINVAL;
    if (i->seals & LINUX_F_SEAL_SEAL)
        return -EPERM;
    if (seals & (LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE))
        r = seal_mappings_locked(i, seals);
    if (r == 0)
        i->seals |= seals;
    return r;
}

static int tmpfs_seals(struct file *f, int cmd, uint32_t arg) {
    struct tmpfs_inode *i = tmpfs_inode_of(f->inode);

    mutex_lock(&f->inode->lock);
    int r = cmd == LINUX_F_GET_SEALS ? (int)i->seals : add_seals_locked(f, i, arg);
    mutex_unlock(&f->inode->lock);
    return r;
}

static void tmpfs_file_release(struct file *f) {
    file_done(f);
    heap_free(f);
}

static const struct file_ops tmpfs_file_ops = {
    .name = "tmpfs-file",
    .read = tmpfs_read,
    .write = tmpfs_write,
    .seek = tmpfs_seek,
    .mmap = tmpfs_mmap,
    .fallocate = tmpfs_fallocate,
    .seals = tmpfs_seals,
    .release = tmpfs_file_release,
};

int tmpfs_file_open(struct inode *i, const struct path *path, uint32_t flags, const struct creds *c,
                    struct file **ret) {
    struct file *f = heap_new(tmpfs_file);

    (void)i;
    if (!f)
        return -ENOMEM;
    file_init(f, &tmpfs_file_ops, path, flags, file_mode_of(flags) | FILE_POS, c);
    *ret = f;
    return 0;
}
