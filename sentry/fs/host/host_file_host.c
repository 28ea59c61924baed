/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/host/host_file_host.c: descriptors of the host as guest files (host.h): pipes, sockets, terminals
 * as plain streams, regular files, devices such as /dev/null. Source: read(2), preadv2(2) RWF_NOWAIT,
 * poll(2).
 *
 * The sentry never blocks in a read or write here: it asks with RWF_NOWAIT, or where the kind of file does
 * not know that, only after poll(2) has said that the call will not wait. O_NONBLOCK is never set: the host's
 * other users of the description would see it.
 */
#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/ioctl.h"
#include "base/cleanup.h"
#include "base/host_fstat.h"
#include "base/hostref.h"
#include "sentry/fs/host/host_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/vfs.h"

enum {
    CHUNK = 65536,
    SURE_WRITE = 4096 /* PIPE_BUF: a pipe that polls writable takes so much without waiting */
};

struct host_file {
    struct file file; /* first */
    struct kernel *kernel;
    struct hostref fd;
    struct hostref watch; /* host.ptr: struct watch */
    struct waitq queue;
    bool regular;
};
HEAP_TYPE(host_file, struct host_file, 0);

/* Host memory: the poller must not reach into the heap by itself. */
struct watch {
    struct host_watch base; /* first */
    struct host_file *file;
};

static struct host_file *of(struct file *f) {
    return container_of(f, struct host_file, file);
}

static int fd_of(struct file *f) {
    return hostref_get_fd(&of(f)->fd);
}

static void watch_ready(struct host_watch *w, uint32_t events) {
    waitq_wake(&((struct watch *)w)->file->queue, events);
}

static bool ready_now(int fd, short events) {
    struct pollfd p = {.fd = fd, .events = events};

    return poll(&p, 1, 0) > 0 && p.revents;
}

/* ---- reading and writing ---- */

static ssize_t read_some(struct host_file *h, void *to, size_t size, const uint64_t *offset) {
    int fd = h->fd.host.fd;
    struct iovec v = {to, size};
    ssize_t n;

    if (offset)
        n = pread(fd, to, size, (off_t)*offset);
    else if (h->regular)
        n = read(fd, to, size);
    else {
        n = preadv2(fd, &v, 1, -1, RWF_NOWAIT);
        if (n < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS || errno == ESPIPE)) {
            if (!ready_now(fd, POLLIN | POLLHUP))
                return -EAGAIN;
            n = read(fd, to, size);
        }
    }
    return n < 0 ? -errno : n;
}

static ssize_t host_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct host_file *h = of(f);
    ssize_t done = 0;

    if (offset && !h->regular)
        return -ESPIPE;
    unsigned char *chunk = heap_alloc_bytes(MIN(to->remaining + 1, (uint64_t)CHUNK));
    if (!chunk)
        return -ENOMEM;
    while (to->remaining > 0) {
        ssize_t got = read_some(h, chunk, MIN(to->remaining, (uint64_t)CHUNK), offset);
        ssize_t put = got > 0 ? uio_write(to, chunk, (size_t)got) : got;
        if (put <= 0) {
            done = done > 0 ? done : put;
            break;
        }
        done += put;
        if (offset)
            *offset += (uint64_t)put;
        if (got < CHUNK || !h->regular) /* a stream gives what is there */
            break;
    }
    heap_free(chunk);
    return done;
}

static ssize_t write_some(struct host_file *h, const void *from, size_t size, const uint64_t *offset) {
    int fd = h->fd.host.fd;
    struct iovec v = {(void *)(uintptr_t)from, size};
    ssize_t n;

    if (offset)
        n = pwrite(fd, from, size, (off_t)*offset);
    else if (h->regular)
        n = write(fd, from, size);
    else {
        n = pwritev2(fd, &v, 1, -1, RWF_NOWAIT);
        if (n < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS || errno == ESPIPE)) {
            if (!ready_now(fd, POLLOUT | POLLERR))
                return -EAGAIN;
            n = write(fd, from, MIN(size, (size_t)SURE_WRITE));
        }
    }
    return n < 0 ? -errno : n;
}

static ssize_t host_write(struct file *f, struct uio *from, uint64_t *offset) {
    struct host_file *h = of(f);
    ssize_t done = 0;

    if (offset && !h->regular)
        return -ESPIPE;
    unsigned char *chunk = heap_alloc_bytes(MIN(from->remaining + 1, (uint64_t)CHUNK));
    if (!chunk)
        return -ENOMEM;
    while (from->remaining > 0) {
        ssize_t got = uio_read(from, chunk, MIN(from->remaining, (uint64_t)CHUNK));
        ssize_t put = got;
        for (ssize_t at = 0; got > 0 && at < got; at += put) {
            put = write_some(h, chunk + at, (size_t)(got - at), offset);
            if (put <= 0) {
                uio_revert(from, (size_t)(got - at));
                break;
            }
            done += put;
            if (offset)
                *offset += (uint64_t)put;
        }
        if (put <= 0) {
            done = done > 0 ? done : put;
            break;
        }
    }
    heap_free(chunk);
    return done;
}

/* ---- the rest ---- */

static uint32_t host_ready(struct file *f, uint32_t events) {
    struct pollfd p = {.fd = fd_of(f), .events = (short)(events & 0x7fff)};

    return poll(&p, 1, 0) > 0 ? (uint32_t)(uint16_t)p.revents & (events | LINUX_POLLHUP | LINUX_POLLERR) : 0;
}

static struct waitq *host_queue(struct file *f) {
    return of(f)->watch.ops ? &of(f)->queue : NULL;
}

static int64_t host_seek(struct file *f, int64_t offset, int whence) {
    off_t to = lseek(fd_of(f), offset, whence);

    return to < 0 ? -errno : to;
}

static int64_t host_ioctl(struct file *f, struct task *t, uint32_t cmd, uint64_t arg) {
    int32_t count;

    if (cmd != LINUX_FIONREAD)
        return -ENOTTY;
    if (ioctl(fd_of(f), FIONREAD, &count) < 0)
        return -errno;
    return copy_out(t, arg, &count, sizeof count);
}

static int host_fsync(struct file *f, bool data_only) {
    return (data_only ? fdatasync(fd_of(f)) : fsync(fd_of(f))) < 0 ? -errno : 0;
}

static int host_truncate(struct file *f, uint64_t size) {
    return ftruncate(fd_of(f), (off_t)size) < 0 ? -errno : 0;
}

static void host_release(struct file *f) {
    struct host_file *h = of(f);

    hostref_release(&h->watch);
    hostref_release(&h->fd);
    file_done(f);
    heap_free(h);
}

static const struct file_ops host_file_ops = {
    .name = "host",
    .read = host_read,
    .write = host_write,
    .ready = host_ready,
    .poll_queue = host_queue,
    .seek = host_seek,
    .ioctl = host_ioctl,
    .fsync = host_fsync,
    .truncate = host_truncate,
    .release = host_release,
};

static void watch_release(struct hostref *ref) {
    struct watch *w = ref->host.ptr;

    host_unwatch(w->file->kernel, &w->base);
    free(w);
}

static const struct hostref_ops watch_ops = {.name = "host watch", .release = watch_release};

static int start_watching(struct host_file *h) {
    struct watch *w = calloc(1, sizeof *w);

    if (!w)
        return -ENOMEM;
    w->base.ready = watch_ready;
    w->base.fd = h->fd.host.fd;
    w->file = h;
    int r = host_watch(h->kernel, &w->base);
    if (r == 0 && w->base.watched) {
        h->watch = (struct hostref){.ops = &watch_ops, .host.ptr = w};
        return 0;
    }
    free(w);
    return r;
}

static int open_mode(int fd, uint32_t *ret_flags, uint32_t *ret_mode) {
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -errno;
    if (flags & O_PATH)
        return -EINVAL;
    /* O_NONBLOCK is the host's: a guest that finds it set would get EAGAIN where natively its own descriptor
     * would be the same. */
    *ret_flags = (uint32_t)flags & (O_ACCMODE | O_APPEND | O_NONBLOCK);
    *ret_mode = file_mode_of(*ret_flags);
    return 0;
}

int host_file_new(struct kernel *k, int fd, const struct creds *c, struct file **ret) {
    struct host_file *h = heap_new(host_file);
    struct stat st;
    uint32_t flags = 0, mode = 0;

    int r = h ? open_mode(fd, &flags, &mode) : -ENOMEM;
    if (r == 0 && host_fstat(fd, &st) < 0)
        r = -errno;
    if (r == 0)
        r = file_init_anon(&h->file, &host_file_ops,
                           S_ISFIFO(st.st_mode)   ? "pipe"
                           : S_ISSOCK(st.st_mode) ? "socket"
                                                  : "host",
                           st.st_mode & S_IFMT, flags,
                           mode | (S_ISREG(st.st_mode) ? FILE_PREAD : FILE_STREAM), c);
    if (r < 0) {
        heap_free(h);
        close_fd(fd);
        return r;
    }
    h->kernel = k;
    h->fd = hostref_fd(fd);
    h->regular = S_ISREG(st.st_mode);
    waitq_init(&h->queue);
    r = start_watching(h);
    if (r < 0) {
        file_unref(&h->file);
        return r;
    }
    *ret = &h->file;
    return 0;
}
