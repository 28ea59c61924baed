/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/fuse/fuse_file.c: open files and directories. Reads and writes are the server's, with no cache.
 * Mappings are private or for reading, of pages filled when the mapping is made and again when the file has
 * changed; a shared writable one is refused, as Linux does for FOPEN_DIRECT_IO.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/limits.h"
#include "base/abi/linux/mman.h"
#include "sentry/fs/fuse/fuse_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"

enum { LISTING_SIZE = 32 << 10, MAPPED_MAX = 1 << 30 };

struct fuse_file {
    struct file file; /* first */
    uint64_t fh;
    bool opened; /* there is something to release */
};
HEAP_TYPE(fuse_file, struct fuse_file, 0);

static struct fuse_file *ff_of(struct file *f) {
    return container_of(f, struct fuse_file, file);
}

static uint32_t server_flags(const struct file *f) {
    return f->flags & ~(uint32_t)(LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_NOCTTY | LINUX_O_TRUNC);
}

static struct fuse_args args_of(struct file *f, uint32_t opcode, const void *in, size_t size) {
    return (struct fuse_args){.opcode = opcode, .nodeid = fuse_inode_of(f->inode)->node, .in = {{in, size}}};
}

/* ---- data ---- */

/* One READ into heap memory: bytes, at most `size`. */
static ssize_t read_piece(struct file *f, uint64_t offset, size_t size, void **ret) {
    const struct linux_fuse_read_in in = {
        .fh = ff_of(f)->fh, .offset = offset, .size = (uint32_t)size, .flags = server_flags(f)};
    struct fuse_args a = args_of(f, LINUX_FUSE_READ, &in, sizeof in);

    a.out_max = (uint32_t)size;
    int rc = fuse_call(fuse_conn_of(f->inode), &a);
    if (rc < 0)
        return rc;
    *ret = a.out;
    return (ssize_t)a.out_size;
}

static ssize_t fuse_read(struct file *f, struct uio *to, uint64_t *offset) {
    size_t piece = MIN(fuse_fs_of(f->inode)->max_read, (uint32_t)FUSE_DATA_MAX);
    ssize_t done = 0;

    while (to->remaining > 0) {
        void *data = NULL;
        size_t want = MIN(to->remaining, piece);
        ssize_t n = read_piece(f, *offset, want, &data);
        if (n > 0) {
            size_t got = (size_t)n;
            n = uio_write(to, data, got);
            if (n > 0) {
                *offset += (uint64_t)n;
                done += n;
            }
            want = n == (ssize_t)got && got == want ? want : SIZE_MAX; /* short: the end */
        }
        heap_free(data);
        if (n < 0)
            return done ? done : n;
        if (n == 0 || want == SIZE_MAX)
            break;
    }
    return done;
}

static ssize_t write_piece(struct file *f, const void *data, size_t size, uint64_t offset) {
    const struct linux_fuse_read_in in = {
        .fh = ff_of(f)->fh, .offset = offset, .size = (uint32_t)size, .flags = server_flags(f)};
    struct linux_fuse_write_out o;
    struct fuse_args a = args_of(f, LINUX_FUSE_WRITE, &in, sizeof in);

    a.in[1].data = data;
    a.in[1].size = size;
    a.out_min = a.out_max = sizeof o;
    int rc = fuse_call(fuse_conn_of(f->inode), &a);
    if (rc < 0)
        return rc;
    memcpy(&o, a.out, sizeof o);
    heap_free(a.out);
    return o.size <= size ? (ssize_t)o.size : -EIO;
}

static int end_of(struct file *f, uint64_t *ret) {
    struct kstat st;

    fuse_attr_expire(f->inode);
    inode_fill_stat(f->inode, &st);
    int rc = fuse_getattr(f->inode, &st);
    *ret = st.size;
    return rc;
}

static ssize_t write_locked(struct file *f, struct uio *from, uint64_t *offset, void *data, size_t piece) {
    uint64_t at = *offset;
    ssize_t done = 0;
    int rc = at == FILE_APPEND ? end_of(f, &at) : 0;

    while (rc == 0 && from->remaining > 0) {
        size_t want = MIN(from->remaining, piece);
        ssize_t n = uio_read(from, data, want);
        if (n > 0) {
            size_t got = (size_t)n;
            n = write_piece(f, data, got, at);
            uio_revert(from, n < 0 ? got : got - (size_t)n);
            want = n == (ssize_t)got && got == want ? want : SIZE_MAX;
        }
        if (n < 0)
            rc = (int)n;
        if (n <= 0)
            break;
        at += (uint64_t)n;
        done += n;
        if (want == SIZE_MAX)
            break;
    }
    if (done > 0)
        *offset = at;
    return done ? done : rc;
}

/* Writes to one file are one after the other: the inode's lock, over the server's answer. */
static ssize_t fuse_write(struct file *f, struct uio *from, uint64_t *offset) {
    size_t piece = MIN(fuse_conn_of(f->inode)->max_write, (uint32_t)FUSE_DATA_MAX);
    void *data = heap_alloc_bytes(MIN(piece, MAX(from->remaining, 1ull)));

    if (!data)
        return -ENOMEM;
    mutex_lock(&f->inode->lock);
    ssize_t done = write_locked(f, from, offset, data, piece);
    mutex_unlock(&f->inode->lock);
    fuse_attr_expire(f->inode);
    heap_free(data);
    return done;
}

/* ---- mappings ---- */

static int fill_pages(struct file *f, struct memstore *pages, uint64_t size) {
    size_t piece = MIN(fuse_fs_of(f->inode)->max_read, (uint32_t)FUSE_DATA_MAX);
    int rc = memstore_truncate(pages, size);

    for (uint64_t at = 0; rc == 0 && at < size;) {
        struct uio_segment seg;
        struct uio u;
        void *data = NULL;
        ssize_t n = read_piece(f, at, MIN(size - at, (uint64_t)piece), &data);
        if (n > 0) {
            uio_init_kernel(&u, &seg, data, (size_t)n);
            n = memstore_write(pages, &u, at, (uint64_t)n);
        }
        heap_free(data);
        if (n <= 0) {
            rc = (int)n;
            break;
        }
        at += (uint64_t)n;
    }
    return rc;
}

static int pages_locked(struct file *f, const struct kstat *st) {
    struct fuse_inode *i = fuse_inode_of(f->inode);
    int rc = 0;

    if (i->pages && i->pages_size == st->size && i->pages_mtime == st->mtime_ns)
        return 0;
    if (!i->pages)
        rc = memstore_create(f->inode->fs->kernel, &i->pages);
    if (rc == 0)
        rc = fill_pages(f, i->pages, st->size);
    i->pages_size = rc == 0 ? st->size : UINT64_MAX;
    i->pages_mtime = st->mtime_ns;
    return rc;
}

static int fuse_mmap(struct file *f, const struct mmap_request *request, struct mappable **ret) {
    struct fuse_inode *i = fuse_inode_of(f->inode);
    struct kstat st;

    if (request->flags & LINUX_MAP_SHARED && f->mode & FILE_WRITE)
        return -ENODEV;
    inode_fill_stat(f->inode, &st);
    int rc = fuse_getattr(f->inode, &st);
    if (rc < 0)
        return rc;
    if (st.size > MAPPED_MAX)
        return -ENODEV;
    mutex_lock(&f->inode->lock);
    rc = pages_locked(f, &st);
    if (rc == 0)
        *ret = mappable_ref(memstore_mappable(i->pages));
    mutex_unlock(&f->inode->lock);
    return rc;
}

/* ---- the rest ---- */

static int call_once(struct file *f, struct fuse_args *a, _Atomic bool *absent) {
    if (*absent)
        return 0;
    int rc = fuse_call(fuse_conn_of(f->inode), a);
    if (rc != -ENOSYS)
        return rc;
    *absent = true;
    return 0;
}

static int fuse_fsync(struct file *f, bool data_only) {
    const struct linux_fuse_fsync_in in = {.fh = ff_of(f)->fh, .fsync_flags = data_only};
    struct fuse_args a =
        args_of(f, inode_is_dir(f->inode) ? LINUX_FUSE_FSYNCDIR : LINUX_FUSE_FSYNC, &in, sizeof in);

    return call_once(f, &a, &fuse_fs_of(f->inode)->no_fsync);
}

static int fuse_flush(struct file *f, struct task *t) {
    const struct linux_fuse_flush_in in = {.fh = ff_of(f)->fh};
    struct fuse_args a = args_of(f, LINUX_FUSE_FLUSH, &in, sizeof in);

    if (t)
        return call_once(f, &a, &fuse_fs_of(f->inode)->no_flush);
    return 0;
}

static int fuse_fallocate(struct file *f, int mode, uint64_t offset, uint64_t len) {
    const struct linux_fuse_fallocate_in in = {
        .fh = ff_of(f)->fh, .offset = offset, .length = len, .mode = (uint32_t)mode};
    struct fuse_args a = args_of(f, LINUX_FUSE_FALLOCATE, &in, sizeof in);
    int rc = fuse_call(fuse_conn_of(f->inode), &a);

    fuse_attr_expire(f->inode);
    return rc == -ENOSYS ? -EOPNOTSUPP : rc;
}

static void fuse_release(struct file *f) {
    struct fuse_file *ff = ff_of(f);
    const struct linux_fuse_release_in in = {.fh = ff->fh, .flags = server_flags(f)};
    const struct fuse_args a =
        args_of(f, inode_is_dir(f->inode) ? LINUX_FUSE_RELEASEDIR : LINUX_FUSE_RELEASE, &in, sizeof in);

    if (ff->opened)
        fuse_tell(fuse_conn_of(f->inode), &a);
    file_done(f);
    heap_free(ff);
}

/* ---- directories ---- */

/* One entry at `at`; *ret_size: what it takes. False: nonsense. */
static bool parse_entry(const uint8_t *at, size_t left, struct linux_fuse_dirent *ret, size_t *ret_size) {
    if (left < sizeof *ret)
        return false;
    memcpy(ret, at, sizeof *ret);
    if (ret->namelen == 0 || ret->namelen > LINUX_NAME_MAX)
        return false;
    *ret_size = (sizeof *ret + ret->namelen + 7) & ~(size_t)7;
    const uint8_t *name = at + sizeof *ret;
    return left >= sizeof *ret + ret->namelen && !memchr(name, '/', ret->namelen) &&
           !memchr(name, '\0', ret->namelen);
}

/* 1: the guest has had enough. */
static int emit_all(struct file *f, struct dir_emit *e, const uint8_t *data, size_t size) {
    struct linux_fuse_dirent d;
    size_t step;

    for (size_t at = 0; at + sizeof d <= size; at += step) {
        if (!parse_entry(data + at, size - at, &d, &step))
            return -EIO;
        if (e->emit(e, (const char *)data + at + sizeof d, d.namelen, d.ino, d.type & 15, d.off))
            return 1;
        f->pos = d.off;
    }
    return 0;
}

static int fuse_readdir(struct file *f, struct dir_emit *e) {
    for (;;) {
        const struct linux_fuse_read_in in = {.fh = ff_of(f)->fh, .offset = f->pos, .size = LISTING_SIZE};
        struct fuse_args a = args_of(f, LINUX_FUSE_READDIR, &in, sizeof in);
        uint64_t before = f->pos;

        a.out_max = LISTING_SIZE;
        int rc = fuse_call(fuse_conn_of(f->inode), &a);
        if (rc < 0)
            return rc;
        rc = a.out_size ? emit_all(f, e, a.out, a.out_size) : 1;
        heap_free(a.out);
        if (rc != 0)
            return MIN(rc, 0);
        if (f->pos == before) /* it would never end */
            return -EIO;
    }
}

/* ---- open ---- */

static const struct file_ops fuse_file_ops = {
    .name = "fuse_file",
    .read = fuse_read,
    .write = fuse_write,
    .mmap = fuse_mmap,
    .fsync = fuse_fsync,
    .flush = fuse_flush,
    .fallocate = fuse_fallocate,
    .release = fuse_release,
};

static const struct file_ops fuse_dir_ops = {
    .name = "fuse_dir",
    .readdir = fuse_readdir,
    .fsync = fuse_fsync,
    .release = fuse_release,
};

static int open_at_server(struct fuse_file *ff, struct inode *inode) {
    struct fuse_fs *fs = fuse_fs_of(inode);
    bool dir = inode_is_dir(inode);
    _Atomic bool *absent = dir ? &fs->no_opendir : &fs->no_open;
    const struct linux_fuse_open_in in = {.flags = server_flags(&ff->file)};
    struct linux_fuse_open_out o;
    struct fuse_args a = args_of(&ff->file, dir ? LINUX_FUSE_OPENDIR : LINUX_FUSE_OPEN, &in, sizeof in);

    a.out_min = a.out_max = sizeof o;
    int rc = call_once(&ff->file, &a, absent);
    if (rc < 0 || !a.out)
        return rc;
    memcpy(&o, a.out, sizeof o);
    heap_free(a.out);
    ff->fh = o.fh;
    ff->opened = true;
    return 0;
}

int fuse_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
              struct file **ret) {
    bool dir = inode_is_dir(inode);

    if (!dir && inode->type != LINUX_S_IFREG)
        return -ENXIO;
    struct fuse_file *ff = heap_new(fuse_file);
    if (!ff)
        return -ENOMEM;
    file_init(&ff->file, dir ? &fuse_dir_ops : &fuse_file_ops, path, flags, file_mode_of(flags) | FILE_POS,
              c);
    int rc = open_at_server(ff, inode);
    if (rc < 0) {
        file_unref(&ff->file);
        return rc;
    }
    *ret = &ff->file;
    return 0;
}
