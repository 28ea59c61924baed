/* SPDX-License-Identifier: Apache-2.0
 * gofer/call.c: argument checks that every operation of the server needs.
 */
#include "gofer/server_internal.h"

#include <errno.h>

int call_handle(struct gofer_call *c, gofer_handle_t id, struct gofer_handle **ret) {
    struct gofer_handle *h = handle_table_get(&c->server->handles, id);
    if (!h)
        return -EBADF;
    *ret = h;
    return 0;
}

int call_dir(struct gofer_call *c, gofer_handle_t id, struct gofer_handle **ret) {
    struct gofer_handle *h = handle_table_get(&c->server->handles, id);
    if (!h)
        return -EBADF;
    if (h->type != S_IFDIR) {
        gofer_handle_unref(h);
        return -ENOTDIR;
    }
    *ret = h;
    return 0;
}

int call_writable_dir(struct gofer_call *c, gofer_handle_t id, struct gofer_handle **ret) {
    struct gofer_handle *h;
    int rc = call_dir(c, id, &h);
    if (rc < 0)
        return rc;
    if (h->root->flags & GOFER_ROOT_READ_ONLY) {
        gofer_handle_unref(h);
        return -EROFS;
    }
    *ret = h;
    return 0;
}

int call_put(struct gofer_call *c, const void *data, size_t size) {
    return gofer_put(&c->out, data, size);
}
