/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/dev/dev_mem.c: the memory devices: null, zero, full, random, urandom. Source: null(4), full(4),
 * random(4). The nodes themselves are made by boot in a tmpfs (OCI "default devices"), or by the guest with
 * mknod.
 */
#include <errno.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/ioctl.h"
#include "base/abi/linux/mman.h"
#include "base/abi/linux/stat.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/vfs.h"

enum {
    MINOR_NULL = 3,
    MINOR_ZERO = 5,
    MINOR_FULL = 7,
    MINOR_RANDOM = 8,
    MINOR_URANDOM = 9,
    RANDOM_CHUNK = 256,
    RANDOM_MAX = 32 << 20
};

struct dev_file {
    struct file file; /* first */
    struct kernel *kernel;
};
HEAP_TYPE(dev_file, struct dev_file, 0);

static ssize_t null_read(struct file *f, struct uio *to, uint64_t *offset) {
    (void)f, (void)to, (void)offset;
    return 0;
}

/* Nothing of what is written is looked at: a bad address is no error (null(4)). */
static ssize_t null_write(struct file *f, struct uio *from, uint64_t *offset) {
    (void)f, (void)offset;
    ssize_t size = (ssize_t)from->remaining;
    from->remaining = 0;
    return size;
}

static ssize_t zero_read(struct file *f, struct uio *to, uint64_t *offset) {
    (void)f, (void)offset;
    return uio_zero(to, to->remaining);
}

static ssize_t full_write(struct file *f, struct uio *from, uint64_t *offset) {
    (void)f, (void)offset;
    return from->remaining > 0 ? -ENOSPC : 0;
}

static ssize_t random_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct kernel *k = container_of(f, struct dev_file, file)->kernel;
    unsigned char chunk[RANDOM_CHUNK];
    ssize_t done = 0;

    (void)offset;
    while (to->remaining > 0 && done < RANDOM_MAX) {
        size_t want = MIN(to->remaining, (uint64_t)sizeof chunk);
        int r = kernel_random(k, chunk, want);
        ssize_t put = r < 0 ? r : uio_write(to, chunk, want);
        if (put <= 0)
            return done > 0 ? done : put;
        done += put;
        if (to->task && signal_pending(to->task))
            break;
    }
    return done;
}

static int64_t random_ioctl(struct file *f, struct task *t, uint32_t cmd, uint64_t arg) {
    int32_t bits = 256;

    (void)f;
    if (cmd == 0x80045200u) /* RNDGETENTCNT */
        return copy_out(t, arg, &bits, sizeof bits);
    return -ENOTTY;
}

/* mmap(2) of /dev/zero: shared mappings are shared anonymous memory; private ones need no object, which mm
 * sees from an empty store. */
static int zero_mmap(struct file *f, const struct mmap_request *request, struct mappable **ret) {
    struct memstore *store;

    int r = memstore_create(container_of(f, struct dev_file, file)->kernel, &store);
    if (r < 0)
        return r;
    r = memstore_truncate(store, request->offset + page_up(request->len));
    if (r == 0)
        *ret = mappable_ref(memstore_mappable(store));
    memstore_unref(store);
    return r;
}

static int64_t dev_seek(struct file *f, int64_t offset, int whence) {
    (void)offset, (void)whence;
    f->pos = 0;
    return 0;
}

static void dev_release(struct file *f) {
    file_done(f);
    heap_free(container_of(f, struct dev_file, file));
}

static const struct file_ops null_ops = {
    .name = "null", .read = null_read, .write = null_write, .seek = dev_seek, .release = dev_release};
static const struct file_ops zero_ops = {.name = "zero",
                                         .read = zero_read,
                                         .write = null_write,
                                         .mmap = zero_mmap,
                                         .seek = dev_seek,
                                         .release = dev_release};
static const struct file_ops full_ops = {.name = "full",
                                         .read = zero_read,
                                         .write = full_write,
                                         .mmap = zero_mmap,
                                         .seek = dev_seek,
                                         .release = dev_release};
static const struct file_ops random_ops = {.name = "random",
                                           .read = random_read,
                                           .write = null_write,
                                           .ioctl = random_ioctl,
                                           .seek = dev_seek,
                                           .release = dev_release};

static int mem_open(struct inode *node, const struct path *path, uint32_t flags, const struct creds *c,
                    struct task *t, struct file **ret) {
    const struct file_ops *ops;

    (void)t;
    switch (node->rdev & 0xff) {
    case MINOR_NULL:
        ops = &null_ops;
        break;
    case MINOR_ZERO:
        ops = &zero_ops;
        break;
    case MINOR_FULL:
        ops = &full_ops;
        break;
    case MINOR_RANDOM:
    case MINOR_URANDOM:
        ops = &random_ops;
        break;
    default:
        return -ENXIO;
    }
    struct dev_file *df = heap_new(dev_file);
    if (!df)
        return -ENOMEM;
    file_init(&df->file, ops, path, flags, file_mode_of(flags) | FILE_POS, c);
    df->kernel = node->fs->kernel;
    *ret = &df->file;
    return 0;
}

static struct device_driver g_mem_driver = {
    .name = "mem", .type = LINUX_S_IFCHR, .major = 1, .minor_first = 0, .minor_count = 256, .open = mem_open};

__attribute__((constructor)) static void register_mem(void) {
    device_driver_register(&g_mem_driver);
}
