/* SPDX-License-Identifier: Apache-2.0
 * gofer/call.c: reading a request, and argument checks that every operation of the server needs.
 */
#include "gofer/server_internal.h"

#include <errno.h>

int call_request(struct gofer_call *c, void *req, size_t size) {
    int rc = gofer_get(&c->in, req, size);
    return rc < 0 ? rc : gofer_get_end(&c->in);
}

int call_request_name(struct gofer_call *c, void *req, size_t size, char *ret_name) {
    int rc = gofer_get(&c->in, req, size);
    if (rc == 0)
        rc = gofer_get_name(&c->in, ret_name);
    return rc < 0 ? rc : gofer_get_end(&c->in);
}

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
