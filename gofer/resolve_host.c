/* SPDX-License-Identifier: Apache-2.0
 * gofer/resolve_host.c: from a directory handle and one name to an open file, and what is known of it.
 *
 * Why no race leads out of a root: a step opens ONE name relative to an O_PATH descriptor of its directory.
 * The name has no '/' and is not "..", so the kernel looks at exactly one entry of that one directory;
 * O_NOFOLLOW with O_PATH returns a link as itself; RESOLVE_BENEATH, NO_SYMLINKS and NO_MAGICLINKS say the
 * same to the kernel once more. What a racing process can change is which entry is found, and all that it can
 * put there lies in a directory of the root. A descriptor, once held, refers to its file whatever happens to
 * names. Files are opened for data through /proc/self/fd/N of an O_PATH descriptor whose type was read from
 * that descriptor, so nothing can be swapped between the check and the open. openat2(2), proc(5).
 */
#include "gofer/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

struct fd_name fd_name(int fd) {
    struct fd_name name;
    snprintf(name.text, sizeof(name.text), "%d", fd);
    return name;
}

int beneath_open(struct gofer_server *s, int dir, const char *name) {
    int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    if (s->has_openat2) {
        struct open_how how = {.flags = (uint64_t)flags,
                               .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
        int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
        if (fd >= 0)
            return fd;
        /* RESOLVE_BENEATH fails so if the entry was found and then moved to another directory before the call
         * was over (tests/unit/gofer: moving_directories): then it was there when looked for, and the plain
         * call is as safe. */
        if (errno != EXDEV && errno != EAGAIN)
            return -errno;
    }
    int fd = openat(dir, name, flags);
    return fd < 0 ? -errno : fd;
}

int reopen(struct gofer_server *s, int path_fd, int flags) {
    int fd = openat(s->proc_fd, fd_name(path_fd).text, flags | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

static struct gofer_time time_from_statx(const struct statx_timestamp *t) {
    return (struct gofer_time){.sec = t->tv_sec, .nsec = t->tv_nsec};
}

void attr_from_statx(const struct statx *stx, struct gofer_attr *ret) {
    *ret = (struct gofer_attr){
        .ino = stx->stx_ino,
        .size = stx->stx_size,
        .blocks = stx->stx_blocks,
        .mode = stx->stx_mode,
        .nlink = stx->stx_nlink,
        .uid = stx->stx_uid,
        .gid = stx->stx_gid,
        .dev_major = stx->stx_dev_major,
        .dev_minor = stx->stx_dev_minor,
        .rdev_major = stx->stx_rdev_major,
        .rdev_minor = stx->stx_rdev_minor,
        .blksize = stx->stx_blksize,
        .atime = time_from_statx(&stx->stx_atime),
        .mtime = time_from_statx(&stx->stx_mtime),
        .ctime = time_from_statx(&stx->stx_ctime),
    };
    if (stx->stx_mask & STATX_BTIME) {
        ret->btime = time_from_statx(&stx->stx_btime);
        ret->flags |= GOFER_ATTR_BTIME;
    }
    if (stx->stx_attributes & STATX_ATTR_IMMUTABLE)
        ret->flags |= GOFER_ATTR_IMMUTABLE;
    if (stx->stx_attributes & STATX_ATTR_APPEND)
        ret->flags |= GOFER_ATTR_APPEND;
}

int attr_of_fd(int fd, struct gofer_attr *ret) {
    struct statx stx;
    if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &stx) < 0)
        return -errno;
    attr_from_statx(&stx, ret);
    return 0;
}

/* Watches a directory of a watched root, then reads its attributes anew: what changed before is read, what
 * changes later is an event. Without room for a watch the node says so (-1), and the sentry revalidates what
 * it finds there. */
static int watch_node(struct gofer_server *s, struct gofer_handle *h, struct gofer_node *node) {
    if (h->type != S_IFDIR || !(h->root->flags & GOFER_ROOT_WATCHED))
        return 0;
    int wd = watch_get(&s->watches, h->fd, 0);
    if (wd < 0)
        return 0;
    h->watch = node->watch = wd;
    return attr_of_fd(h->fd, &node->attr);
}

int node_of_fd(struct gofer_server *s, const struct server_root *root, int fd, struct gofer_node *ret) {
    struct gofer_handle *h = gofer_handle_new(s, root, fd);
    if (!h)
        return -ENOMEM;
    struct gofer_node node = {.watch = -1};
    int rc = attr_of_fd(fd, &node.attr);
    h->type = node.attr.mode & S_IFMT;
    if (rc == 0)
        rc = watch_node(s, h, &node);
    if (rc == 0)
        rc = handle_table_add(&s->handles, h, &node.handle);
    if (rc < 0) {
        gofer_handle_unref(h);
        return rc;
    }
    *ret = node;
    return 0;
}

int chmod_fd(struct gofer_server *s, int path_fd, uint32_t mode) {
    if (s->has_fchmodat2) {
        if (syscall(SYS_fchmodat2, path_fd, "", mode & 07777, AT_EMPTY_PATH) == 0)
            return 0;
        if (errno != ENOSYS)
            return -errno;
    }
    return fchmodat(s->proc_fd, fd_name(path_fd).text, mode & 07777, 0) < 0 ? -errno : 0;
}

int settle_new_file(struct gofer_server *s, int fd, const struct new_file *want) {
    struct gofer_attr attr;
    int rc = attr_of_fd(fd, &attr);
    if (rc < 0)
        return rc;
    /* Another process that writes to the same host directory may have put its file in place of ours. */
    if ((attr.mode & S_IFMT) != want->type || attr.uid != geteuid() ||
        (want->type != S_IFDIR && attr.nlink > 1))
        return -EBUSY;
    if ((attr.uid != want->uid || attr.gid != want->gid) &&
        fchownat(fd, "", want->uid, want->gid, AT_EMPTY_PATH) < 0)
        return -errno;
    /* chown clears set-id bits, and a setgid directory gives its bit to new ones. */
    if (want->type != S_IFLNK && ((attr.mode ^ want->mode) & 07777 || want->mode & 06000))
        return chmod_fd(s, fd, want->mode);
    return 0;
}
