/* SPDX-License-Identifier: Apache-2.0
 * gofer/ops_name_host.c: opening, making, linking, renaming and removing files.
 *
 * A file that was made is given its owner and mode before it is described; if that fails it is removed again,
 * provided that its name still leads to it.
 */
#include "gofer/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Opens what an O_PATH descriptor of type `type` refers to, if it is a regular file. */
static int donate(struct gofer_call *c, const struct server_root *root, int path_fd, uint32_t type,
                  int flags) {
    if (type == S_IFDIR)
        return -EISDIR;
    if (type != S_IFREG)
        return type == S_IFLNK ? -ELOOP : -ENXIO;
    if ((flags & O_ACCMODE) != O_RDONLY && root->flags & GOFER_ROOT_READ_ONLY)
        return -EROFS;
    cleanup(closep) int fd = reopen(c->server, path_fd, flags);
    if (fd < 0)
        return fd;
    struct gofer_attr_reply reply;
    int rc = attr_of_fd(fd, &reply.attr);
    if (rc == 0)
        rc = call_put(c, &reply, sizeof(reply));
    if (rc == 0)
        c->fd = steal_fd(&fd);
    return rc;
}

int op_open(struct gofer_call *c) {
    struct gofer_open req;
    int rc = call_request(c, &req, sizeof(req));
    if (rc < 0)
        return rc;
    if (req.access > GOFER_READ_WRITE || req.flags & ~GOFER_OPEN_TRUNCATE ||
        (req.flags && req.access == GOFER_READ))
        return -EPROTO;
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    rc = call_handle(c, req.handle, &h);
    if (rc < 0)
        return rc;
    int flags = (int)req.access | (req.flags & GOFER_OPEN_TRUNCATE ? O_TRUNC : 0);
    return donate(c, h->root, h->fd, h->type, flags);
}

int op_open_at(struct gofer_call *c) {
    struct gofer_open_at req;
    char name[GOFER_NAME_MAX + 1];
    int rc = call_request_name(c, &req, sizeof(req), name);
    if (rc < 0)
        return rc;
    if (req.access > GOFER_READ_WRITE || req.zero)
        return -EPROTO;
    cleanup(gofer_handle_unrefp) struct gofer_handle *dir = NULL;
    rc = call_dir(c, req.parent, &dir);
    if (rc < 0)
        return rc;
    cleanup(closep) int path_fd = beneath_open(c->server, dir->fd, name);
    if (path_fd < 0)
        return path_fd;
    struct gofer_attr attr;
    rc = attr_of_fd(path_fd, &attr);
    return rc < 0 ? rc : donate(c, dir->root, path_fd, attr.mode & S_IFMT, (int)req.access);
}

static bool same_file(const struct gofer_attr *a, const struct gofer_attr *b) {
    return a->ino == b->ino && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

/* Takes back what was just made at `name`, unless another file is there by now. */
static void unmake(struct gofer_call *c, int dir, const char *name, int fd, uint32_t type) {
    struct gofer_attr made, there;
    cleanup(closep) int now = beneath_open(c->server, dir, name);
    if (now >= 0 && attr_of_fd(fd, &made) == 0 && attr_of_fd(now, &there) == 0 && same_file(&made, &there))
        (void)unlinkat(dir, name, type == S_IFDIR ? AT_REMOVEDIR : 0);
}

/* Settles and describes what was made as `name` in `dir`. path_fd is taken. */
static int finish_new(struct gofer_call *c, struct gofer_handle *dir, const char *name, int path_fd,
                      const struct new_file *want) {
    struct gofer_node_reply reply;
    int rc = settle_new_file(c->server, path_fd, want);
    if (rc < 0) {
        if (name[0])
            unmake(c, dir->fd, name, path_fd, want->type);
        close(path_fd);
        return rc;
    }
    rc = node_of_fd(c->server, dir->root, path_fd, &reply.node);
    return rc < 0 ? rc : call_put(c, &reply, sizeof(reply));
}

/* The same for what was made by name alone. */
static int finish_made(struct gofer_call *c, struct gofer_handle *dir, const char *name,
                       const struct new_file *want) {
    int fd = beneath_open(c->server, dir->fd, name);
    return fd < 0 ? fd : finish_new(c, dir, name, fd, want);
}

static int get_create(struct gofer_call *c, struct gofer_create *req, char *name) {
    int rc = gofer_get(&c->in, req, sizeof(*req));
    name[0] = '\0';
    if (rc == 0 && !(req->flags & GOFER_CREATE_TMPFILE))
        rc = gofer_get_name(&c->in, name);
    if (rc == 0)
        rc = gofer_get_end(&c->in);
    if (rc < 0)
        return rc;
    if (req->mode > 07777 || req->access > GOFER_READ_WRITE || req->flags & ~GOFER_CREATE_TMPFILE ||
        req->zero)
        return -EPROTO;
    if (req->flags & GOFER_CREATE_TMPFILE && req->access == GOFER_READ)
        return -EINVAL;
    return 0;
}

int op_create(struct gofer_call *c) {
    struct gofer_create req;
    char name[GOFER_NAME_MAX + 1];
    int rc = get_create(c, &req, name);
    if (rc < 0)
        return rc;
    cleanup(gofer_handle_unrefp) struct gofer_handle *dir = NULL;
    rc = call_writable_dir(c, req.parent, &dir);
    if (rc < 0)
        return rc;
    int flags = (int)req.access | O_CLOEXEC | O_NOCTTY;
    cleanup(closep) int fd = -1;
    if (req.flags & GOFER_CREATE_TMPFILE)
        fd = openat(c->server->proc_fd, fd_name(dir->fd).text, flags | O_TMPFILE, req.mode);
    else
        fd = openat(dir->fd, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW, req.mode);
    if (fd < 0)
        return -errno;
    int path_fd = reopen(c->server, fd, O_PATH);
    if (path_fd < 0) {
        if (name[0])
            unmake(c, dir->fd, name, fd, S_IFREG);
        return path_fd;
    }
    struct new_file want = {.type = S_IFREG, .mode = req.mode, .uid = req.uid, .gid = req.gid};
    rc = finish_new(c, dir, name, path_fd, &want);
    if (rc == 0)
        c->fd = steal_fd(&fd);
    return rc;
}

static int get_make(struct gofer_call *c, struct gofer_make *req, char *name, struct gofer_handle **ret_dir) {
    int rc = call_request_name(c, req, sizeof(*req), name);
    if (rc < 0)
        return rc;
    if (req->mode > 0177777 || req->zero)
        return -EPROTO;
    return call_writable_dir(c, req->parent, ret_dir);
}

int op_mkdir(struct gofer_call *c) {
    struct gofer_make req;
    char name[GOFER_NAME_MAX + 1];
    cleanup(gofer_handle_unrefp) struct gofer_handle *dir = NULL;
    int rc = get_make(c, &req, name, &dir);
    if (rc < 0)
        return rc;
    if (mkdirat(dir->fd, name, req.mode & 07777) < 0)
        return -errno;
    struct new_file want = {.type = S_IFDIR, .mode = req.mode & 07777, .uid = req.uid, .gid = req.gid};
    return finish_made(c, dir, name, &want);
}

int op_mknod(struct gofer_call *c) {
    struct gofer_make req;
    char name[GOFER_NAME_MAX + 1];
    cleanup(gofer_handle_unrefp) struct gofer_handle *dir = NULL;
    int rc = get_make(c, &req, name, &dir);
    if (rc < 0)
        return rc;
    uint32_t type = req.mode & S_IFMT;
    if (type == S_IFBLK || (type == S_IFCHR && (req.rdev_major || req.rdev_minor)))
        return -EPERM; /* a device node of the host's, made by a guest: never */
    if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK && type != S_IFCHR)
        return -EINVAL;
    if (mknodat(dir->fd, name, req.mode, 0) < 0)
        return -errno;
    struct new_file want = {.type = type, .mode = req.mode & 07777, .uid = req.uid, .gid = req.gid};
    return finish_made(c, dir, name, &want);
}

int op_symlink(struct gofer_call *c) {
    struct gofer_symlink req;
    char name[GOFER_NAME_MAX + 1];
    char target[GOFER_TARGET_MAX + 1];
    int rc = gofer_get(&c->in, &req, sizeof(req));
    if (rc == 0)
        rc = gofer_get_name(&c->in, name);
    if (rc < 0)
        return rc;
    size_t size = c->in.left;
    if (size == 0 || size > GOFER_TARGET_MAX || memchr(c->in.data, 0, size))
        return -EPROTO;
    memcpy(target, c->in.data, size);
    target[size] = '\0';
    cleanup(gofer_handle_unrefp) struct gofer_handle *dir = NULL;
    rc = call_writable_dir(c, req.parent, &dir);
    if (rc < 0)
        return rc;
    if (symlinkat(target, dir->fd, name) < 0)
        return -errno;
    struct new_file want = {.type = S_IFLNK, .mode = 0777, .uid = req.uid, .gid = req.gid};
    return finish_made(c, dir, name, &want);
}

int op_link(struct gofer_call *c) {
    struct gofer_link req;
    char name[GOFER_NAME_MAX + 1];
    int rc = call_request_name(c, &req, sizeof(req), name);
    if (rc < 0)
        return rc;
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    cleanup(gofer_handle_unrefp) struct gofer_handle *dir = NULL;
    rc = call_handle(c, req.handle, &h);
    if (rc == 0)
        rc = call_writable_dir(c, req.parent, &dir);
    if (rc < 0)
        return rc;
    if (h->type == S_IFDIR)
        return -EPERM;
    if (h->root != dir->root)
        return -EXDEV;
    if (linkat(c->server->proc_fd, fd_name(h->fd).text, dir->fd, name, AT_SYMLINK_FOLLOW) < 0)
        return -errno;
    struct gofer_attr_reply reply;
    rc = attr_of_fd(h->fd, &reply.attr);
    return rc < 0 ? rc : call_put(c, &reply, sizeof(reply));
}

int op_unlink(struct gofer_call *c) {
    struct gofer_unlink req;
    char name[GOFER_NAME_MAX + 1];
    int rc = call_request_name(c, &req, sizeof(req), name);
    if (rc < 0)
        return rc;
    if (req.flags & ~GOFER_UNLINK_DIR || req.zero)
        return -EPROTO;
    cleanup(gofer_handle_unrefp) struct gofer_handle *dir = NULL;
    rc = call_writable_dir(c, req.parent, &dir);
    if (rc < 0)
        return rc;
    return unlinkat(dir->fd, name, req.flags & GOFER_UNLINK_DIR ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
}

int op_rename(struct gofer_call *c) {
    struct gofer_rename req;
    char from[GOFER_NAME_MAX + 1], to[GOFER_NAME_MAX + 1];
    int rc = gofer_get(&c->in, &req, sizeof(req));
    if (rc == 0)
        rc = gofer_get_name(&c->in, from);
    if (rc == 0)
        rc = gofer_get_name(&c->in, to);
    if (rc == 0)
        rc = gofer_get_end(&c->in);
    if (rc < 0)
        return rc;
    if (req.flags & ~(GOFER_RENAME_NOREPLACE | GOFER_RENAME_EXCHANGE | GOFER_RENAME_WHITEOUT) || req.zero)
        return -EPROTO;
    cleanup(gofer_handle_unrefp) struct gofer_handle *old_dir = NULL;
    cleanup(gofer_handle_unrefp) struct gofer_handle *new_dir = NULL;
    rc = call_writable_dir(c, req.old_parent, &old_dir);
    if (rc == 0)
        rc = call_writable_dir(c, req.new_parent, &new_dir);
    if (rc < 0)
        return rc;
    if (old_dir->root != new_dir->root)
        return -EXDEV;
    /* Not by the C library, which makes renameat of it when flags is 0: one call less to allow. */
    return syscall(SYS_renameat2, old_dir->fd, from, new_dir->fd, to, req.flags) < 0 ? -errno : 0;
}

int op_readlink(struct gofer_call *c) {
    struct gofer_handle_only req;
    int rc = call_request(c, &req, sizeof(req));
    if (rc < 0)
        return rc;
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    rc = call_handle(c, req.handle, &h);
    if (rc < 0)
        return rc;
    if (h->type != S_IFLNK)
        return -EINVAL;
    char target[GOFER_TARGET_MAX + 1];
    ssize_t n = readlinkat(h->fd, "", target, sizeof(target));
    if (n < 0)
        return -errno;
    return n > GOFER_TARGET_MAX ? -ENAMETOOLONG : call_put(c, target, (size_t)n);
}
