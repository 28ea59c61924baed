/* SPDX-License-Identifier: Apache-2.0
 * gofer/ops_xattr_host.c: extended attributes, of the namespaces that mean something to a guest. trusted.* is
 * the host administrator's, and so is what security modules keep in security.*.
 */
#include "gofer/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/cleanup.h"

static bool xattr_allowed(const char *name) {
    if (strncmp(name, "user.", 5) == 0)
        return name[5] != '\0';
    return strcmp(name, "security.capability") == 0 || strcmp(name, "system.posix_acl_access") == 0 ||
           strcmp(name, "system.posix_acl_default") == 0;
}

/* The end of every request here: the handle, whether its root may be written, and whether the name (NULL:
 * none) exists for the guest. */
static int xattr_handle(struct gofer_call *c, gofer_handle_t id, bool write, const char *name,
                        struct gofer_handle **ret) {
    int rc = call_handle(c, id, ret);
    if (rc < 0)
        return rc;
    if (write && (*ret)->root->flags & GOFER_ROOT_READ_ONLY)
        return -EROFS;
    return name && !xattr_allowed(name) ? -EOPNOTSUPP : 0;
}

static int get_request(struct gofer_call *c, void *req, size_t size, char *name) {
    int rc = gofer_get(&c->in, req, size);
    if (rc == 0)
        rc = gofer_get_string(&c->in, name);
    return rc < 0 ? rc : gofer_get_end(&c->in);
}

/* Reads by `size` bytes into the reply, 0 for the size alone. */
static int put_value(struct gofer_call *c, ssize_t size, bool with_bytes, const void *bytes) {
    struct gofer_bytes_reply reply = {.size = (uint32_t)size};
    int rc = call_put(c, &reply, sizeof(reply));
    if (rc == 0 && with_bytes)
        rc = call_put(c, bytes, (size_t)size);
    return rc;
}

int op_getxattr(struct gofer_call *c) {
    struct gofer_getxattr req;
    char name[GOFER_NAME_MAX + 1];
    int rc = get_request(c, &req, sizeof(req), name);
    if (rc < 0)
        return rc;
    if (req.size > GOFER_PAYLOAD_MAX || req.zero)
        return -EPROTO;
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    rc = xattr_handle(c, req.handle, /* write= */ false, name, &h);
    if (rc < 0)
        return rc;
    cleanup(freep) char *value = malloc(req.size + 1);
    if (!value)
        return -ENOMEM;
    ssize_t n = getxattr(fd_name(h->fd).text, name, value, req.size);
    return n < 0 ? -errno : put_value(c, n, req.size > 0, value);
}

int op_setxattr(struct gofer_call *c) {
    struct gofer_setxattr req;
    char name[GOFER_NAME_MAX + 1];
    int rc = gofer_get(&c->in, &req, sizeof(req));
    if (rc == 0)
        rc = gofer_get_string(&c->in, name);
    if (rc < 0)
        return rc;
    if (req.flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE) || req.zero || c->in.left > GOFER_PAYLOAD_MAX)
        return -EPROTO;
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    rc = xattr_handle(c, req.handle, /* write= */ true, name, &h);
    if (rc < 0)
        return rc;
    return setxattr(fd_name(h->fd).text, name, c->in.data, c->in.left, (int)req.flags) < 0 ? -errno : 0;
}

int op_removexattr(struct gofer_call *c) {
    struct gofer_removexattr req;
    char name[GOFER_NAME_MAX + 1];
    int rc = get_request(c, &req, sizeof(req), name);
    if (rc < 0)
        return rc;
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    rc = xattr_handle(c, req.handle, /* write= */ true, name, &h);
    if (rc < 0)
        return rc;
    return removexattr(fd_name(h->fd).text, name) < 0 ? -errno : 0;
}

/* Drops the names that do not exist for the guest; returns the new size. */
static size_t filter_list(char *list, size_t size) {
    size_t kept = 0;
    for (size_t at = 0; at < size;) {
        size_t length = strnlen(list + at, size - at);
        if (at + length == size) /* no NUL: not what Linux gives */
            break;
        if (xattr_allowed(list + at)) {
            memmove(list + kept, list + at, length + 1);
            kept += length + 1;
        }
        at += length + 1;
    }
    return kept;
}

int op_listxattr(struct gofer_call *c) {
    struct gofer_getxattr req;
    int rc = call_request(c, &req, sizeof(req));
    if (rc < 0)
        return rc;
    if (req.size > GOFER_PAYLOAD_MAX || req.zero)
        return -EPROTO;
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    rc = xattr_handle(c, req.handle, /* write= */ false, /* name= */ NULL, &h);
    if (rc < 0)
        return rc;
    cleanup(freep) char *list = malloc(GOFER_PAYLOAD_MAX);
    if (!list)
        return -ENOMEM;
    ssize_t n = listxattr(fd_name(h->fd).text, list, GOFER_PAYLOAD_MAX);
    if (n < 0)
        return -errno;
    size_t size = filter_list(list, (size_t)n);
    if (req.size && size > req.size)
        return -ERANGE;
    return put_value(c, (ssize_t)size, req.size > 0, list);
}
