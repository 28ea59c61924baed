/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/gofer/gofer_file_host.c: host calls on donated descriptors and on the inotify descriptor. No
 * names are opened here.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sentry/fs/gofer/gofer_internal.h"

void gofer_host_close(int fd) {
    close(fd);
}

ssize_t gofer_host_pread(int fd, void *buf, size_t size, uint64_t offset) {
    ssize_t n;
    do {
        n = pread(fd, buf, size, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t gofer_host_pwrite(int fd, const void *buf, size_t size, uint64_t offset, bool append) {
    struct iovec iov = {.iov_base = (void *)buf, .iov_len = size};
    ssize_t n;
    do {
        n = append ? pwritev2(fd, &iov, 1, 0, RWF_APPEND) : pwrite(fd, buf, size, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static struct gofer_time time_of(const struct statx_timestamp *t) {
    return (struct gofer_time){.sec = t->tv_sec, .nsec = t->tv_nsec};
}

int gofer_host_stat(int fd, struct gofer_attr *ret) {
    struct statx stx;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &stx) < 0)
        return -errno;
    *ret = (struct gofer_attr){
        .ino = stx.stx_ino,
        .size = stx.stx_size,
        .blocks = stx.stx_blocks,
        .mode = stx.stx_mode,
        .nlink = stx.stx_nlink,
        .uid = stx.stx_uid,
        .gid = stx.stx_gid,
        .dev_major = stx.stx_dev_major,
        .dev_minor = stx.stx_dev_minor,
        .blksize = stx.stx_blksize,
        .flags = (stx.stx_mask & STATX_BTIME ? GOFER_ATTR_BTIME : 0) |
                 (stx.stx_attributes & STATX_ATTR_IMMUTABLE ? GOFER_ATTR_IMMUTABLE : 0) |
                 (stx.stx_attributes & STATX_ATTR_APPEND ? GOFER_ATTR_APPEND : 0),
        .atime = time_of(&stx.stx_atime),
        .mtime = time_of(&stx.stx_mtime),
        .ctime = time_of(&stx.stx_ctime),
        .btime = time_of(&stx.stx_btime),
    };
    return 0;
}

int64_t gofer_host_seek(int fd, int64_t offset, int whence) {
    off_t at = lseek(fd, offset, whence); /* SEEK_DATA, SEEK_HOLE: the guest's values are the host's */
    return at < 0 ? -errno : at;
}

int gofer_host_truncate(int fd, uint64_t size) {
    return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

int gofer_host_fallocate(int fd, int mode, uint64_t offset, uint64_t len) {
    int rc;
    do {
        rc = fallocate(fd, mode, (off_t)offset, (off_t)len);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

int gofer_host_fsync(int fd, bool data_only) {
    return (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
}

ssize_t gofer_host_read_events(int fd, void *buf, size_t size) {
    ssize_t n;
    do {
        n = read(fd, buf, size);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    return n;
}

bool gofer_host_next_event(const void *buf, size_t size, size_t *at, struct gofer_event *ret) {
    const struct inotify_event *e = (const void *)((const char *)buf + *at);
    if (size - *at < sizeof(*e) || size - *at - sizeof(*e) < e->len)
        return false;
    *at += sizeof(*e) + e->len;
    *ret = (struct gofer_event){.watch = e->wd, .mask = e->mask, .name = e->len ? e->name : ""};
    return true;
}
