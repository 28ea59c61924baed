/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/gofer/gofer_file.c: open files: regular files on their donated descriptors, directories on
 * listings, mappings.
 *
 * An inode has at most two descriptors: one truly O_RDONLY (what read-only mappings use, so that no mprotect
 * can make them writable) and one for writing. They are opened when first needed (under inode.lock), stay put
 * while the inode is pinned (open_count: open files, mappings, calls under way), and afterwards are kept for
 * the next open until GFS_IDLE_FDS of the file system are idle.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/mman.h"
#include "base/abi/linux/stat.h"
#include "sentry/fs/gofer/gofer_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/mm/uaccess.h"

struct gofer_file {
    struct file file;              /* first */
    struct gofer_listing *listing; /* of a directory; pos_lock */
};
HEAP_TYPE(gofer_file, struct gofer_file, 0);

struct gofer_map {
    struct mappable mappable;  /* first */
    struct gofer_inode *inode; /* reference, and one of its open_count */
};
HEAP_TYPE(gofer_map, struct gofer_map, 0);

enum { SMALL_IO = 4096, LARGE_IO = 1 << 17 };

/* ---- descriptors ---- */

static int ask_fd(struct gofer_inode *i, uint32_t access, int *ret_fd) {
    struct gofer_attr attr;
    int tries = 0;
    struct gofer_open args = {.access = access};
    int rc = gino_open_by_name(i, access, ret_fd);
    if (rc != -ESTALE)
        return rc;
    do {
        rc = gino_handle(i, &args.handle);
        if (rc < 0)
            return rc;
        rc = gofer_conn_open_file(gfs_conn(gfs_of(&i->inode)), &args, &attr, ret_fd);
    } while (rc < 0 && gino_retry(i, args.handle, rc, &tries));
    return rc == -EMFILE ? -ENFILE : rc;
}

static int open_write_fd_locked(struct gofer_inode *i, int *ret_fd) REQUIRES(&i->inode.lock) {
    int rc = ask_fd(i, GOFER_READ_WRITE, ret_fd);
    i->write_only = rc == -EACCES; /* a gofer without privileges, a file of mode 0200 */
    return rc == -EACCES ? ask_fd(i, GOFER_WRITE, ret_fd) : rc;
}

/* Slots are set once while the file is pinned, beside readers that look without a lock. */
static void slot_set(struct hostref *slot, int fd) {
    slot->host.fd = fd;
    __atomic_store_n(&slot->ops, &hostref_fd_ops, __ATOMIC_RELEASE);
}

static int slot_fd(const struct hostref *slot) {
    return __atomic_load_n(&slot->ops, __ATOMIC_ACQUIRE) ? slot->host.fd : -1;
}

int gino_fd_locked(struct gofer_inode *i, bool write, int *ret_fd) {
    struct hostref *slot = write ? &i->fd_write : &i->fd_read;
    int fd = slot_fd(slot);
    if (fd < 0) {
        int rc = write ? open_write_fd_locked(i, &fd) : ask_fd(i, GOFER_READ, &fd);
        if (rc < 0)
            return rc;
        slot_set(slot, fd);
    }
    *ret_fd = fd;
    return 0;
}

static void pin_locked(struct gofer_fs *g, struct gofer_inode *i) {
    if (i->open_count++ == 0 && !list_empty(&i->idle_node)) {
        list_del(&i->idle_node);
        g->idle_fd_count--;
    }
}

void gino_pin(struct gofer_inode *i) {
    struct gofer_fs *g = gfs_of(&i->inode);
    mutex_lock(&g->tree_lock);
    pin_locked(g, i);
    mutex_unlock(&g->tree_lock);
}

int gino_pin_fd(struct gofer_inode *i) {
    struct gofer_fs *g = gfs_of(&i->inode);
    mutex_lock(&g->tree_lock);
    int fd = slot_fd(&i->fd_write);
    if (fd < 0)
        fd = slot_fd(&i->fd_read);
    if (fd >= 0)
        pin_locked(g, i);
    mutex_unlock(&g->tree_lock);
    return fd;
}

int gino_pin_write_fd(struct gofer_inode *i) {
    struct gofer_fs *g = gfs_of(&i->inode);
    mutex_lock(&g->tree_lock);
    int fd = slot_fd(&i->fd_write);
    if (fd >= 0)
        pin_locked(g, i);
    mutex_unlock(&g->tree_lock);
    return fd;
}

struct fd_pair {
    struct hostref fds[2];
};

static struct fd_pair take_fds_locked(struct gofer_inode *i) {
    struct fd_pair taken = {{i->fd_read, i->fd_write}};
    ASSERT(i->open_count == 0);
    i->fd_read = i->fd_write = (struct hostref){0};
    i->write_only = false;
    return taken;
}

/* The last user has gone: the descriptors wait for the next one, and the file that has waited longest gives
 * its own up. */
static struct fd_pair make_idle_locked(struct gofer_fs *g, struct gofer_inode *i) {
    struct fd_pair none = {0};
    if (slot_fd(&i->fd_read) < 0 && slot_fd(&i->fd_write) < 0)
        return none;
    /* A file without a name is not opened again, and kept open it would keep its blocks on the host's disk.
     */
    if (!i->parent)
        return take_fds_locked(i);
    list_add_tail(&g->idle_fds, &i->idle_node);
    if (++g->idle_fd_count <= GFS_IDLE_FDS)
        return none;
    struct gofer_inode *oldest = list_first_entry(&g->idle_fds, struct gofer_inode, idle_node);
    list_del(&oldest->idle_node);
    g->idle_fd_count--;
    return take_fds_locked(oldest);
}

void gino_unpin(struct gofer_inode *i) {
    struct gofer_fs *g = gfs_of(&i->inode);
    struct fd_pair close = {0};
    mutex_lock(&g->tree_lock);
    ASSERT(i->open_count > 0);
    if (--i->open_count == 0)
        close = make_idle_locked(g, i);
    mutex_unlock(&g->tree_lock);
    hostref_release(&close.fds[0]);
    hostref_release(&close.fds[1]);
}

bool gfs_close_idle(struct gofer_fs *g) {
    bool any = false;
    for (;;) {
        struct fd_pair close = {0};
        mutex_lock(&g->tree_lock);
        bool more = !list_empty(&g->idle_fds);
        if (more) {
            struct gofer_inode *i = list_first_entry(&g->idle_fds, struct gofer_inode, idle_node);
            list_del(&i->idle_node);
            g->idle_fd_count--;
            close = take_fds_locked(i);
        }
        mutex_unlock(&g->tree_lock);
        hostref_release(&close.fds[0]);
        hostref_release(&close.fds[1]);
        if (!more)
            return any;
        any = true;
    }
}

void gino_adopt_fd(struct gofer_inode *i, int fd) {
    gino_pin(i);
    mutex_lock(&i->inode.lock);
    bool kept = slot_fd(&i->fd_write) < 0;
    if (kept)
        slot_set(&i->fd_write, fd);
    mutex_unlock(&i->inode.lock);
    gino_unpin(i);
    if (!kept)
        gofer_host_close(fd);
}

/* ---- reading and writing ---- */

/* Constant while the file is open: gofer_open() saw to it. */
static int read_fd(struct gofer_inode *i) {
    int fd = slot_fd(&i->fd_read);
    return fd >= 0 ? fd : slot_fd(&i->fd_write);
}

/* A buffer of its own for what comes from or goes to guest memory; kernel buffers are used in place. */
struct bounce {
    char small[SMALL_IO];
    char *data;
    size_t size;
};

static int bounce_get(struct bounce *b, uint64_t want) {
    b->data = b->small;
    b->size = SMALL_IO;
    if (want <= SMALL_IO)
        return 0;
    b->size = MIN(want, (uint64_t)LARGE_IO);
    b->data = heap_alloc_bytes(b->size);
    return b->data ? 0 : -ENOMEM;
}

static void bounce_put(struct bounce *b) {
    if (b->data != b->small)
        heap_free(b->data);
}

static ssize_t file_read_host(struct file *f, struct uio *to, uint64_t *offset) {
    int fd = read_fd(gino_of(f->inode));
    struct bounce b;
    ssize_t done = 0, n = bounce_get(&b, to->remaining);
    if (n < 0)
        return n;
    might_block();
    while (to->remaining > 0) {
        size_t want = MIN(to->remaining, (uint64_t)b.size);
        n = gofer_host_pread(fd, b.data, want, *offset);
        if (n <= 0)
            break;
        ssize_t moved = uio_write(to, b.data, (size_t)n);
        if (moved <= 0) {
            n = moved;
            break;
        }
        done += moved;
        *offset += (uint64_t)moved;
        if ((size_t)moved < want) /* end of the file, or a bad page */
            break;
    }
    bounce_put(&b);
    return done > 0 ? done : n;
}

static ssize_t write_some(struct gofer_inode *i, const char *data, size_t size, uint64_t *offset,
                          bool append) {
    int fd = slot_fd(&i->fd_write);
    struct gofer_attr attr;
    if (!append) {
        ssize_t n = gofer_host_pwrite(fd, data, size, *offset, false);
        if (n > 0)
            *offset += (uint64_t)n;
        return n;
    }
    mutex_lock(&i->inode.lock);
    ssize_t n = gofer_host_pwrite(fd, data, size, 0, true);
    if (n > 0 && gofer_host_stat(fd, &attr) == 0)
        *offset = attr.size;
    mutex_unlock(&i->inode.lock);
    return n;
}

static ssize_t file_write_host(struct file *f, struct uio *from, uint64_t *offset) {
    struct gofer_inode *i = gino_of(f->inode);
    bool append = *offset == FILE_APPEND;
    struct bounce b;
    ssize_t done = 0, n = bounce_get(&b, from->remaining);
    if (n < 0)
        return n;
    might_block();
    while (from->remaining > 0) {
        size_t want = MIN(from->remaining, (uint64_t)b.size);
        ssize_t got = uio_read(from, b.data, want);
        n = got <= 0 ? got : write_some(i, b.data, (size_t)got, offset, append);
        if (n <= 0)
            break;
        if (n < got)
            uio_revert(from, (size_t)(got - n));
        done += n;
        if (n < got || (size_t)got < want)
            break;
    }
    bounce_put(&b);
    if (done > 0)
        gino_attr_changed(i);
    return done > 0 ? done : n;
}

static int64_t file_seek_host(struct file *f, int64_t offset, int whence) {
    return gofer_host_seek(read_fd(gino_of(f->inode)), offset, whence);
}

static int file_fsync_host(struct file *f, bool data_only) {
    return gofer_host_fsync(read_fd(gino_of(f->inode)), data_only);
}

static int file_fallocate_host(struct file *f, int mode, uint64_t offset, uint64_t len) {
    struct gofer_inode *i = gino_of(f->inode);
    int rc = gofer_host_fallocate(slot_fd(&i->fd_write), mode, offset, len);
    gino_attr_changed(i);
    return rc;
}

static void file_release_host(struct file *f) {
    struct gofer_file *gf = container_of(f, struct gofer_file, file);
    gino_unpin(gino_of(f->inode));
    file_done(f);
    heap_free(gf);
}

/* ---- mappings ---- */

static int map_fd_locked(struct gofer_inode *i, bool writable, int *ret_fd) REQUIRES(&i->inode.lock) {
    int rc = gino_fd_locked(i, writable, ret_fd);
    return rc == 0 && writable && i->write_only ? -EACCES : rc;
}

static int map_range(struct mappable *m, uint64_t offset, uint64_t len, bool shared, bool writable,
                     struct host_range *ret) {
    struct gofer_inode *i = container_of(m, struct gofer_map, mappable)->inode;
    bool write = shared && writable;
    struct gofer_attr attr;
    /* The descriptor is there since mmap; only a mapping made writable later needs one that may not be. No
     * inode.lock here: RANK_MM is held. */
    int fd = slot_fd(write ? &i->fd_write : &i->fd_read);
    if (fd < 0)
        return -EIO;
    int rc = gofer_host_stat(fd, &attr);
    if (rc < 0)
        return rc;
    uint64_t end = page_up(attr.size);
    if (offset >= end)
        *ret = (struct host_range){.fd = -1, .len = len};
    else
        *ret = (struct host_range){.fd = fd, .offset = offset, .len = MIN(len, end - offset)};
    return 0;
}

/* Under RANK_MM at times. */
static void map_release(struct mappable *m) {
    struct gofer_map *map = container_of(m, struct gofer_map, mappable);
    struct gofer_inode *i = map->inode;
    struct gofer_fs *g = gfs_of(&i->inode);
    mutex_lock(&g->tree_lock);
    if (i->map == map)
        i->map = NULL;
    mutex_unlock(&g->tree_lock);
    gino_unpin(i);
    inode_unref(&i->inode);
    heap_free(map);
}

static const struct mappable_ops map_ops = {.range = map_range, .release = map_release};

/* New reference to the mappable that lives, or NULL. */
static struct gofer_map *map_find(struct gofer_inode *i) {
    struct gofer_fs *g = gfs_of(&i->inode);
    mutex_lock(&g->tree_lock);
    struct gofer_map *map = i->map && ref_tryget(&i->map->mappable.ref) ? i->map : NULL;
    mutex_unlock(&g->tree_lock);
    return map;
}

/* New reference to the inode's one mappable. inode.lock: nobody else makes one. */
static struct gofer_map *map_get_locked(struct gofer_inode *i) REQUIRES(&i->inode.lock) {
    struct gofer_fs *g = gfs_of(&i->inode);
    struct gofer_map *map = map_find(i);
    if (map)
        return map;
    map = heap_new(gofer_map);
    if (!map)
        return NULL;
    mappable_init(&map->mappable, &map_ops, i->inode.fs->kernel);
    inode_ref(&i->inode);
    map->inode = i;
    mutex_lock(&g->tree_lock);
    pin_locked(g, i);
    i->map = map;
    mutex_unlock(&g->tree_lock);
    return map;
}

static int file_mmap_host(struct file *f, const struct mmap_request *request, struct mappable **ret) {
    struct gofer_inode *i = gino_of(f->inode);
    /* A shared mapping of a file opened for writing may be made writable at any time. */
    bool write = request->flags & LINUX_MAP_SHARED && f->mode & FILE_WRITE;
    int fd;
    mutex_lock(&i->inode.lock);
    int rc = map_fd_locked(i, /* writable= */ false, &fd);
    if (rc == 0 && write)
        rc = map_fd_locked(i, /* writable= */ true, &fd);
    struct gofer_map *map = rc == 0 ? map_get_locked(i) : NULL;
    mutex_unlock(&i->inode.lock);
    if (rc < 0)
        return rc;
    if (!map)
        return -ENOMEM;
    if (write) /* what the guest writes there passes us by */
        gino_attr_changed(i);
    *ret = &map->mappable;
    return 0;
}

void gofer_map_truncated(struct gofer_inode *i, uint64_t size) {
    struct gofer_map *map = map_find(i);
    if (!map)
        return;
    uint64_t from = page_up(size);
    mappable_invalidate(&map->mappable, from, INT64_MAX - from);
    mappable_unref(&map->mappable);
}

/* ---- directories ---- */

/* Positions: 0 ".", 1 "..", then entry n at n + 2. */
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
    struct gofer_file *gf = container_of(f, struct gofer_file, file);
    if (f->pos == 0 && gf->listing) /* rewound: to be read anew if it has changed */
        gf->listing = gofer_listing_unref(gf->listing);
    if (!gf->listing) {
        struct gofer_inode *dir = gino_of(f->inode);
        int rc = gofer_listing_get(dir, gfs_shared(gfs_of(f->inode)), &gf->listing);
        if (rc < 0)
            return rc;
    }
    if (emit_dots(f, e))
        return 0;
    for (; f->pos - 2 < gf->listing->count; f->pos++) {
        const struct gofer_entry *entry = &gf->listing->entries[f->pos - 2];
        if (entry->state == ENTRY_GONE)
            continue;
        if (e->emit(e, gf->listing->names + entry->name_offset, entry->name_len, entry->ino, entry->type,
                    f->pos + 1))
            break;
    }
    return 0;
}

static int dir_fsync(struct file *f, bool data_only) {
    struct gofer_inode *dir = gino_of(f->inode);
    gofer_handle_t handle;
    int tries = 0, rc;
    do {
        rc = gino_handle(dir, &handle);
        if (rc < 0)
            return rc;
        rc = gofer_conn_fsync(gfs_conn(gfs_of(f->inode)), handle, data_only ? GOFER_SYNC_DATA : 0);
    } while (rc < 0 && gino_retry(dir, handle, rc, &tries));
    return rc;
}

static void dir_release(struct file *f) {
    struct gofer_file *gf = container_of(f, struct gofer_file, file);
    gofer_listing_unref(gf->listing);
    file_done(f);
    heap_free(gf);
}

static const struct file_ops gofer_file_ops = {
    .name = "gofer",
    .read = file_read_host,
    .write = file_write_host,
    .seek = file_seek_host,
    .mmap = file_mmap_host,
    .fsync = file_fsync_host,
    .fallocate = file_fallocate_host,
    .release = file_release_host,
};

static const struct file_ops gofer_dir_ops = {
    .name = "gofer_dir",
    .readdir = dir_readdir,
    .fsync = dir_fsync,
    .release = dir_release,
};

/* ---- open ---- */

static int need_fds_locked(struct gofer_inode *i, uint32_t mode) REQUIRES(&i->inode.lock) {
    int fd, rc = 0;
    if (mode & FILE_WRITE)
        rc = gino_fd_locked(i, /* write= */ true, &fd);
    if (rc < 0)
        return rc;
    bool reads = mode & FILE_WRITE && !i->write_only; /* O_RDWR */
    if (!reads)
        rc = gino_fd_locked(i, /* write= */ false, &fd);
    /* Written to only, by a gofer that may not read it: nothing else was asked for. */
    return rc == -EACCES && !(mode & FILE_READ) && mode & FILE_WRITE ? 0 : rc;
}

static int pin_for(struct gofer_inode *i, uint32_t mode) {
    gino_pin(i);
    mutex_lock(&i->inode.lock);
    int rc = need_fds_locked(i, mode);
    mutex_unlock(&i->inode.lock);
    if (rc < 0)
        gino_unpin(i);
    return rc;
}

int gofer_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
               struct file **ret) {
    struct gofer_inode *i = gino_of(inode);
    uint32_t mode = file_mode_of(flags) | FILE_POS;
    bool dir = inode_is_dir(inode);
    if (!dir && inode->type != LINUX_S_IFREG)
        return -ENXIO;
    struct gofer_file *gf = heap_new(gofer_file);
    if (!gf)
        return -ENOMEM;
    int rc = dir ? 0 : pin_for(i, mode);
    if (rc < 0) {
        heap_free(gf);
        return rc;
    }
    file_init(&gf->file, dir ? &gofer_dir_ops : &gofer_file_ops, path, flags, mode, c);
    *ret = &gf->file;
    return 0;
}
