/* SPDX-License-Identifier: Apache-2.0
 * gofer/ops_socket_host.c: unix sockets that the guest shares with host processes, where the root allows
 * them.
 */
#include "gofer/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

static int unix_socket(uint32_t type) {
    if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
        return -EPROTO;
    int fd = socket(AF_UNIX, (int)type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

int op_connect(struct gofer_call *c) {
    struct gofer_connect req;
    int rc = call_request(c, &req, sizeof(req));
    if (rc < 0)
        return rc;
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    rc = req.zero ? -EPROTO : call_handle(c, req.handle, &h);
    if (rc < 0)
        return rc;
    if (h->type != S_IFSOCK || !(h->root->flags & GOFER_ROOT_SOCKETS))
        return -ECONNREFUSED;
    cleanup(closep) int fd = unix_socket(req.type);
    if (fd < 0)
        return fd;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", fd_name(h->fd).text);
    /* Non-blocking: -EAGAIN from a listener with a full queue, and the sentry decides how to wait. */
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return -errno;
    c->fd = steal_fd(&fd);
    return 0;
}

static int bind_name(int fd, const struct gofer_handle *dir, const char *name) {
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", fd_name(dir->fd).text, name);
    if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
        return -ENAMETOOLONG;
    return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
}

int op_bind(struct gofer_call *c) {
    struct gofer_bind req;
    char name[GOFER_NAME_MAX + 1];
    int rc = call_request_name(c, &req, sizeof(req), name);
    if (rc < 0)
        return rc;
    if (req.mode > 07777)
        return -EPROTO;
    cleanup(gofer_handle_unrefp) struct gofer_handle *dir = NULL;
    rc = call_writable_dir(c, req.parent, &dir);
    if (rc < 0)
        return rc;
    if (!(dir->root->flags & GOFER_ROOT_SOCKETS))
        return -EPERM;
    cleanup(closep) int fd = unix_socket(req.type);
    if (fd < 0)
        return fd;
    rc = bind_name(fd, dir, name);
    if (rc < 0)
        return rc;
    int path_fd = beneath_open(c->server, dir->fd, name);
    if (path_fd < 0)
        return path_fd;
    struct new_file want = {.type = S_IFSOCK, .mode = req.mode, .uid = req.uid, .gid = req.gid};
    rc = settle_new_file(c->server, path_fd, &want);
    if (rc < 0) {
        close(path_fd);
        return rc;
    }
    struct gofer_node_reply reply;
    rc = node_of_fd(c->server, dir->root, path_fd, &reply.node);
    if (rc == 0)
        rc = call_put(c, &reply, sizeof(reply));
    if (rc == 0)
        c->fd = steal_fd(&fd);
    return rc;
}
