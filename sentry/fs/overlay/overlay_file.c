/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_file.c: open files: an open file of a layer each, and merged directories.
 *
 * A file opened for reading while it was in the lower layer goes on in the upper one after a copy-up, so that
 * it sees what others write (as Linux since 4.19); a mapping made before stays what it was (as Linux).
 */
#include <errno.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/fs/overlay/overlay_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"

struct overlay_file {
    struct file file;         /* first */
    struct mutex real_lock;   /* RANK_OVERLAY; real */
    struct file *real;        /* reference: of the layer */
    struct overlay_list list; /* of a directory; pos_lock */
    bool listed;
};
HEAP_TYPE(overlay_file, struct overlay_file, 0);

static struct overlay_file *of_file(struct file *f) {
    return container_of(f, struct overlay_file, file);
}

static int open_real(struct overlay_inode *i, uint32_t flags, const struct creds *c, struct file **ret) {
    struct overlay_fs *o = ofs_of(&i->inode);
    struct inode *upper = oino_upper(i);
    flags &= ~(uint32_t)(LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_TRUNC | LINUX_O_NOCTTY);
    return upper ? vfs_layer_open(o->upper, upper, flags, c, ret)
                 : vfs_layer_open(o->lowers[i->lower_layer].mount, i->lower, flags, c, ret);
}

/* The layer's file as of now: new reference. */
static int real_get(struct file *f, struct file **ret) {
    struct overlay_file *of = of_file(f);
    struct overlay_inode *i = oino_of(f->inode);
    int rc = 0;
    mutex_lock(&of->real_lock);
    if (of->real->inode != oino_real(i)) {
        struct file *now;
        rc = open_real(i, f->flags, f->creds, &now);
        if (rc == 0) {
            file_unref(of->real);
            of->real = now;
        }
    }
    if (rc == 0)
        *ret = file_ref(of->real);
    mutex_unlock(&of->real_lock);
    return rc;
}

static ssize_t file_read_real(struct file *f, struct uio *to, uint64_t *offset) {
    struct file *real;
    int rc = real_get(f, &real);
    if (rc < 0)
        return rc;
    ssize_t n = real->ops->read ? real->ops->read(real, to, offset) : -EINVAL;
    file_unref(real);
    return n;
}

static ssize_t file_write_real(struct file *f, struct uio *from, uint64_t *offset) {
    struct file *real;
    int rc = real_get(f, &real);
    if (rc < 0)
        return rc;
    ssize_t n = real->ops->write ? real->ops->write(real, from, offset) : -EINVAL;
    file_unref(real);
    return n;
}

static int64_t file_seek_real(struct file *f, int64_t offset, int whence) {
    struct file *real;
    struct kstat st;
    int rc = real_get(f, &real);
    if (rc < 0)
        return rc;
    int64_t at;
    if (real->ops->seek) {
        at = real->ops->seek(real, offset, whence);
    } else { /* data up to the end, as vfs says for files that know no better */
        inode_fill_stat(real->inode, &st);
        at = real->inode->ops->getattr(real->inode, &st);
        if (at == 0)
            at = offset < 0 || (uint64_t)offset >= st.size ? -ENXIO
                 : whence == LINUX_SEEK_DATA               ? offset
                                                           : (int64_t)st.size;
    }
    file_unref(real);
    return at;
}

static int file_mmap_real(struct file *f, const struct mmap_request *request, struct mappable **ret) {
    struct file *real;
    int rc = real_get(f, &real);
    if (rc < 0)
        return rc;
    rc = real->ops->mmap ? real->ops->mmap(real, request, ret) : -ENODEV;
    file_unref(real);
    return rc;
}

static int file_fsync_real(struct file *f, bool data_only) {
    struct file *real;
    int rc = real_get(f, &real);
    if (rc < 0)
        return rc;
    rc = real->ops->fsync ? real->ops->fsync(real, data_only) : 0;
    file_unref(real);
    return rc;
}

static int file_fallocate_real(struct file *f, int mode, uint64_t offset, uint64_t len) {
    struct file *real;
    int rc = real_get(f, &real);
    if (rc < 0)
        return rc;
    rc = real->ops->fallocate ? real->ops->fallocate(real, mode, offset, len) : -EOPNOTSUPP;
    file_unref(real);
    return rc;
}

static void file_release_real(struct file *f) {
    struct overlay_file *of = of_file(f);
    file_unref(of->real);
    overlay_list_done(&of->list);
    file_done(f);
    heap_free(of);
}

/* ---- directories: positions 0 ".", 1 "..", then entry n at n + 2 ---- */

static int emit_dots(struct file *f, struct dir_emit *e) {
    while (f->pos < 2) {
        struct dentry *up = dentry_parent(f->path.dentry);
        uint64_t ino = f->pos == 0 ? f->inode->ino : up->inode->ino;
        dentry_unref(up);
        if (e->emit(e, "..", f->pos == 0 ? 1 : 2, ino, LINUX_S_IFDIR >> 12, f->pos + 1))
            return 1;
        f->pos++;
    }
    return 0;
}

static int dir_readdir(struct file *f, struct dir_emit *e) {
    struct overlay_file *of = of_file(f);
    if (f->pos == 0 || !of->listed) {
        overlay_list_done(&of->list);
        int rc = overlay_list_read(oino_of(f->inode), &of->list);
        of->listed = rc == 0;
        if (rc < 0)
            return rc;
    }
    if (emit_dots(f, e))
        return 0;
    for (; f->pos - 2 < of->list.count; f->pos++) {
        const struct overlay_entry *entry = &of->list.entries[f->pos - 2];
        if (entry->whiteout)
            continue;
        if (e->emit(e, of->list.names + entry->name_offset, entry->name_len, entry->ino, entry->type,
                    f->pos + 1))
            break;
    }
    return 0;
}

static const struct file_ops overlay_file_ops = {
    .name = "overlay",
    .read = file_read_real,
    .write = file_write_real,
    .seek = file_seek_real,
    .mmap = file_mmap_real,
    .fsync = file_fsync_real,
    .fallocate = file_fallocate_real,
    .release = file_release_real,
};

static const struct file_ops overlay_dir_ops = {
    .name = "overlay_dir",
    .readdir = dir_readdir,
    .release = file_release_real,
};

/* ---- open ---- */

static int prepare_to_write(struct overlay_inode *i, uint32_t flags) {
    bool truncate = flags & LINUX_O_TRUNC;
    if (!truncate && !(file_mode_of(flags) & FILE_WRITE))
        return 0;
    int rc = overlay_copy_up(i, truncate ? OVERLAY_COPY_EMPTY : OVERLAY_COPY_ALL);
    if (rc < 0 || !truncate)
        return rc;
    struct inode *upper = oino_upper(i);
    const struct setattr s = {.mask = SETATTR_SIZE | SETATTR_MTIME_NOW | SETATTR_KILL_PRIV, .size = 0};
    rc = upper->ops->setattr ? upper->ops->setattr(upper, &s) : -EPERM;
    oino_copy_mode(i);
    return rc;
}

int overlay_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
                 struct file **ret) {
    struct overlay_inode *i = oino_of(inode);
    bool dir = inode_is_dir(inode);
    if (!dir && inode->type != LINUX_S_IFREG)
        return -ENXIO;
    struct overlay_file *of = heap_new(overlay_file);
    if (!of)
        return -ENOMEM;
    int rc = dir ? 0 : prepare_to_write(i, flags);
    if (rc == 0 && !dir)
        rc = open_real(i, flags, c, &of->real);
    if (rc < 0) {
        heap_free(of);
        return rc;
    }
    mutex_init(&of->real_lock, ofs_of(inode)->rank);
    file_init(&of->file, dir ? &overlay_dir_ops : &overlay_file_ops, path, flags,
              file_mode_of(flags) | FILE_POS, c);
    *ret = &of->file;
    return 0;
}
