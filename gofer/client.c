/* SPDX-License-Identifier: Apache-2.0
 * gofer/client.c: every message, as client.h says. Building and checking only; host calls are in
 * client_host.c.
 */
#include "gofer/client.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "gofer/client_internal.h"

#define TYPE_MASK 0170000u
#define TYPE_DIR  0040000u
#define TYPE_LINK 0120000u

static bool described(const struct gofer_node *node) {
    return node->watch >= -1 && !node->zero && gofer_attr_valid(&node->attr);
}

static bool node_valid(const struct gofer_node *node) {
    return node->handle && described(node);
}

/* The whole of a reply that is one struct. */
static int read_all(struct exchange *x, void *out, size_t size) {
    if (x->reply.left != size || gofer_get(&x->reply, out, size) < 0)
        return exchange_breach(x);
    return 0;
}

static int call_empty(struct exchange *x) {
    int rc = exchange_call(x, DONATES_NOTHING);
    if (rc == 0 && gofer_get_end(&x->reply) < 0)
        rc = exchange_breach(x);
    exchange_end(x);
    return rc;
}

static int call_attr(struct exchange *x, struct gofer_attr *ret) {
    struct gofer_attr_reply reply;
    int rc = exchange_call(x, DONATES_NOTHING);
    if (rc == 0)
        rc = read_all(x, &reply, sizeof(reply));
    if (rc == 0 && !gofer_attr_valid(&reply.attr))
        rc = exchange_breach(x);
    if (rc == 0)
        *ret = reply.attr;
    exchange_end(x);
    return rc;
}

static int read_node(struct exchange *x, uint32_t type, struct gofer_node *ret) {
    struct gofer_node_reply reply;
    int rc = read_all(x, &reply, sizeof(reply));
    if (rc < 0)
        return rc;
    if (!node_valid(&reply.node) || (reply.node.attr.mode & TYPE_MASK) != type)
        return exchange_breach(x);
    *ret = reply.node;
    return 0;
}

static int call_node(struct exchange *x, uint32_t type, struct gofer_node *ret) {
    int rc = exchange_call(x, DONATES_NOTHING);
    if (rc == 0)
        rc = read_node(x, type, ret);
    exchange_end(x);
    return rc;
}

/* Checks the shape of a walk's nodes: all but the last are directories. */
static int read_nodes(struct exchange *x, uint32_t count, struct gofer_node *nodes) {
    for (uint32_t i = 0; i < count; i++) {
        if (gofer_get(&x->reply, &nodes[i], sizeof(nodes[i])) < 0 || !node_valid(&nodes[i]))
            return exchange_breach(x);
        if (i + 1 < count && (nodes[i].attr.mode & TYPE_MASK) != TYPE_DIR)
            return exchange_breach(x);
    }
    return 0;
}

static int read_target(struct exchange *x, size_t size, char *target) {
    if (size > GOFER_TARGET_MAX || size != x->reply.left || memchr(x->reply.data, 0, size))
        return exchange_breach(x);
    if (target) {
        memcpy(target, x->reply.data, size);
        target[size] = '\0';
    }
    return 0;
}

static int read_walk(struct exchange *x, uint32_t asked, struct gofer_node *nodes, char *target,
                     struct gofer_walked *ret) {
    struct gofer_walk_reply reply;
    if (gofer_get(&x->reply, &reply, sizeof(reply)) < 0 || reply.count > asked || reply.zero ||
        reply.error > 0 || reply.error < -4095 || (reply.count == asked && reply.error) ||
        (reply.count == 0 && !reply.error))
        return exchange_breach(x);
    int rc = read_nodes(x, reply.count, nodes);
    if (rc < 0)
        return rc;
    uint32_t last = reply.count ? nodes[reply.count - 1].attr.mode & TYPE_MASK : TYPE_DIR;
    /* An early end has a reason: an error in a directory, or something that is none. */
    if ((reply.target_size && last != TYPE_LINK) || (reply.error && last != TYPE_DIR) ||
        (reply.count < asked && !reply.error && last == TYPE_DIR))
        return exchange_breach(x);
    rc = read_target(x, reply.target_size, target);
    if (rc == 0)
        *ret = (struct gofer_walked){
            .count = reply.count, .error = reply.error, .target_size = reply.target_size};
    return rc;
}

int gofer_conn_walk(struct gofer_conn *conn, gofer_handle_t dir, const struct gofer_name *names,
                    uint32_t count, struct gofer_node *nodes, char *target, struct gofer_walked *ret) {
    if (count == 0 || count > GOFER_WALK_MAX)
        return -EINVAL;
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_WALK);
    if (rc < 0)
        return rc;
    struct gofer_walk req = {.handle = dir, .count = count};
    exchange_put(&x, &req, sizeof(req));
    for (uint32_t i = 0; i < count; i++)
        exchange_put_name(&x, names[i]);
    rc = exchange_call(&x, DONATES_NOTHING);
    if (rc == 0)
        rc = read_walk(&x, count, nodes, target, ret);
    exchange_end(&x);
    return rc;
}

static int read_look(struct exchange *x, struct gofer_attr *ret) {
    struct gofer_walk_reply reply;
    struct gofer_node node;
    if (gofer_get(&x->reply, &reply, sizeof(reply)) < 0 || reply.count > 1 || reply.zero ||
        reply.target_size || reply.error > 0 || reply.error < -4095 ||
        (reply.count == 1) != (reply.error == 0))
        return exchange_breach(x);
    if (reply.error)
        return reply.error;
    if (x->reply.left != sizeof(node) || gofer_get(&x->reply, &node, sizeof(node)) < 0 || node.handle ||
        !described(&node))
        return exchange_breach(x);
    *ret = node.attr;
    return 0;
}

int gofer_conn_look(struct gofer_conn *conn, gofer_handle_t dir, struct gofer_name name,
                    struct gofer_attr *ret) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_WALK);
    if (rc < 0)
        return rc;
    struct gofer_walk req = {.handle = dir, .count = 1, .flags = GOFER_WALK_NO_HANDLE};
    exchange_put(&x, &req, sizeof(req));
    exchange_put_name(&x, name);
    rc = exchange_call(&x, DONATES_NOTHING);
    if (rc == 0)
        rc = read_look(&x, ret);
    exchange_end(&x);
    return rc;
}

static int call_open(struct exchange *x, uint32_t access, struct gofer_attr *ret_attr, int *ret_fd) {
    struct gofer_attr_reply reply;
    int rc = exchange_call(x, DONATES_FD);
    if (rc == 0)
        rc = read_all(x, &reply, sizeof(reply));
    if (rc == 0 && (!gofer_attr_valid(&reply.attr) || !donated_file_valid(x->fd, access)))
        rc = exchange_breach(x);
    if (rc == 0) {
        *ret_attr = reply.attr;
        *ret_fd = exchange_take_fd(x);
    }
    exchange_end(x);
    return rc;
}

int gofer_conn_open_file(struct gofer_conn *conn, const struct gofer_open *args, struct gofer_attr *ret_attr,
                         int *ret_fd) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_OPEN);
    if (rc < 0)
        return rc;
    exchange_put(&x, args, sizeof(*args));
    return call_open(&x, args->access, ret_attr, ret_fd);
}

int gofer_conn_open_at(struct gofer_conn *conn, gofer_handle_t parent, struct gofer_name name,
                       uint32_t access, struct gofer_attr *ret_attr, int *ret_fd) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_OPEN_AT);
    if (rc < 0)
        return rc;
    struct gofer_open_at args = {.parent = parent, .access = access};
    exchange_put(&x, &args, sizeof(args));
    exchange_put_name(&x, name);
    return call_open(&x, access, ret_attr, ret_fd);
}

int gofer_conn_create(struct gofer_conn *conn, const struct gofer_create *args, struct gofer_name name,
                      struct gofer_node *ret_node, int *ret_fd) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_CREATE);
    if (rc < 0)
        return rc;
    exchange_put(&x, args, sizeof(*args));
    if (!(args->flags & GOFER_CREATE_TMPFILE))
        exchange_put_name(&x, name);
    rc = exchange_call(&x, DONATES_FD);
    if (rc == 0 && !donated_file_valid(x.fd, args->access))
        rc = exchange_breach(&x);
    if (rc == 0)
        rc = read_node(&x, 0100000, ret_node);
    if (rc == 0)
        *ret_fd = exchange_take_fd(&x);
    exchange_end(&x);
    return rc;
}

static int call_make(struct gofer_conn *conn, enum gofer_type type, const struct gofer_make *args,
                     struct gofer_name name, uint32_t file_type, struct gofer_node *ret) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, type);
    if (rc < 0)
        return rc;
    exchange_put(&x, args, sizeof(*args));
    exchange_put_name(&x, name);
    return call_node(&x, file_type, ret);
}

int gofer_conn_mkdir(struct gofer_conn *conn, const struct gofer_make *args, struct gofer_name name,
                     struct gofer_node *ret) {
    return call_make(conn, GOFER_MKDIR, args, name, TYPE_DIR, ret);
}

int gofer_conn_mknod(struct gofer_conn *conn, const struct gofer_make *args, struct gofer_name name,
                     struct gofer_node *ret) {
    return call_make(conn, GOFER_MKNOD, args, name, args->mode & TYPE_MASK, ret);
}

int gofer_conn_symlink(struct gofer_conn *conn, const struct gofer_symlink *args, struct gofer_name name,
                       const char *target, struct gofer_node *ret) {
    size_t size = strlen(target);
    if (size == 0 || size > GOFER_TARGET_MAX)
        return size ? -ENAMETOOLONG : -ENOENT;
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_SYMLINK);
    if (rc < 0)
        return rc;
    exchange_put(&x, args, sizeof(*args));
    exchange_put_name(&x, name);
    exchange_put(&x, target, size);
    return call_node(&x, TYPE_LINK, ret);
}

int gofer_conn_link(struct gofer_conn *conn, gofer_handle_t file, gofer_handle_t parent,
                    struct gofer_name name, struct gofer_attr *ret) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_LINK);
    if (rc < 0)
        return rc;
    struct gofer_link req = {.handle = file, .parent = parent};
    exchange_put(&x, &req, sizeof(req));
    exchange_put_name(&x, name);
    return call_attr(&x, ret);
}

int gofer_conn_unlink(struct gofer_conn *conn, gofer_handle_t parent, struct gofer_name name,
                      uint32_t flags) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_UNLINK);
    if (rc < 0)
        return rc;
    struct gofer_unlink req = {.parent = parent, .flags = flags};
    exchange_put(&x, &req, sizeof(req));
    exchange_put_name(&x, name);
    return call_empty(&x);
}

int gofer_conn_rename(struct gofer_conn *conn, const struct gofer_rename *args, struct gofer_name from,
                      struct gofer_name to) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_RENAME);
    if (rc < 0)
        return rc;
    exchange_put(&x, args, sizeof(*args));
    exchange_put_name(&x, from);
    exchange_put_name(&x, to);
    return call_empty(&x);
}

/* Begins a request that is a handle and nothing else. */
static int begin_handle(struct exchange *x, struct gofer_conn *conn, enum gofer_type type,
                        gofer_handle_t handle) {
    int rc = exchange_begin(x, conn, type);
    if (rc < 0)
        return rc;
    struct gofer_handle_only req = {.handle = handle};
    exchange_put(x, &req, sizeof(req));
    return 0;
}

int gofer_conn_readlink(struct gofer_conn *conn, gofer_handle_t link, char *target, uint32_t *ret_size) {
    struct exchange x;
    int rc = begin_handle(&x, conn, GOFER_READLINK, link);
    if (rc < 0)
        return rc;
    rc = exchange_call(&x, DONATES_NOTHING);
    uint32_t size = (uint32_t)x.reply.left;
    if (rc == 0)
        rc = read_target(&x, size, target);
    if (rc == 0)
        *ret_size = size;
    exchange_end(&x);
    return rc;
}

int gofer_conn_getattr(struct gofer_conn *conn, gofer_handle_t file, struct gofer_attr *ret) {
    struct exchange x;
    int rc = begin_handle(&x, conn, GOFER_GETATTR, file);
    return rc < 0 ? rc : call_attr(&x, ret);
}

int gofer_conn_setattr(struct gofer_conn *conn, const struct gofer_setattr *args, struct gofer_attr *ret) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_SETATTR);
    if (rc < 0)
        return rc;
    exchange_put(&x, args, sizeof(*args));
    return call_attr(&x, ret);
}

static bool dirent_valid(const struct gofer_dirent *e, size_t left) {
    if (e->entry_size > left || e->entry_size % 8 || e->has_attr > 1)
        return false;
    if (e->entry_size != ((sizeof(*e) + e->name_size + 7) & ~7ul))
        return false;
    if (gofer_name_check((const char *)(e + 1), e->name_size) < 0)
        return false;
    return !e->has_attr || gofer_attr_valid(&e->attr);
}

static bool page_valid(const struct gofer_page *page, uint32_t count) {
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct gofer_dirent *e = (const void *)((const char *)page->data + at);
        if (page->size - at < sizeof(*e) || !dirent_valid(e, page->size - at))
            return false;
        at += e->entry_size;
    }
    return at == page->size;
}

static int read_page(struct exchange *x, struct gofer_page *page) {
    struct gofer_listdir_reply reply;
    if (gofer_get(&x->reply, &reply, sizeof(reply)) < 0 || reply.flags & ~GOFER_LIST_END ||
        reply.cookie > INT64_MAX || x->reply.left > page->capacity)
        return exchange_breach(x);
    page->size = x->reply.left;
    memcpy(page->data, x->reply.data, page->size);
    if (!page_valid(page, reply.count))
        return exchange_breach(x);
    page->cookie = reply.cookie;
    page->end = reply.flags & GOFER_LIST_END;
    return 0;
}

int gofer_conn_listdir(struct gofer_conn *conn, gofer_handle_t dir, uint64_t cookie,
                       struct gofer_page *page) {
    ASSERT((uintptr_t)page->data % 8 == 0);
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_LISTDIR);
    if (rc < 0)
        return rc;
    struct gofer_listdir req = {.handle = dir, .cookie = cookie, .size = (uint32_t)page->capacity};
    exchange_put(&x, &req, sizeof(req));
    rc = exchange_call(&x, DONATES_NOTHING);
    if (rc == 0)
        rc = read_page(&x, page);
    if (rc < 0)
        page->size = 0;
    exchange_end(&x);
    return rc;
}

const struct gofer_dirent *gofer_dirent_next(const struct gofer_page *page, size_t *at) {
    if (*at >= page->size)
        return NULL;
    const struct gofer_dirent *e = (const void *)((const char *)page->data + *at);
    *at += e->entry_size;
    return e;
}

static int read_bytes(struct exchange *x, void *value, size_t size, size_t *ret_size) {
    struct gofer_bytes_reply reply;
    if (gofer_get(&x->reply, &reply, sizeof(reply)) < 0 || reply.zero || reply.size > GOFER_PAYLOAD_MAX ||
        x->reply.left != (size ? reply.size : 0) || (size && reply.size > size))
        return exchange_breach(x);
    if (size)
        memcpy(value, x->reply.data, reply.size);
    *ret_size = reply.size;
    return 0;
}

/* name NULL: the list. */
static int get_bytes(struct gofer_conn *conn, gofer_handle_t file, const char *name, void *value, size_t size,
                     size_t *ret_size) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, name ? GOFER_GETXATTR : GOFER_LISTXATTR);
    if (rc < 0)
        return rc;
    size = MIN(size, (size_t)GOFER_PAYLOAD_MAX);
    struct gofer_getxattr req = {.handle = file, .size = (uint32_t)size};
    exchange_put(&x, &req, sizeof(req));
    if (name)
        exchange_put_string(&x, name);
    rc = exchange_call(&x, DONATES_NOTHING);
    if (rc == 0)
        rc = read_bytes(&x, value, size, ret_size);
    exchange_end(&x);
    return rc;
}

int gofer_conn_getxattr(struct gofer_conn *conn, gofer_handle_t file, const char *name, void *value,
                        size_t size, size_t *ret_size) {
    return get_bytes(conn, file, name, value, size, ret_size);
}

int gofer_conn_listxattr(struct gofer_conn *conn, gofer_handle_t file, char *list, size_t size,
                         size_t *ret_size) {
    size_t got;
    int rc = get_bytes(conn, file, /* name= */ NULL, list, size, &got);
    if (rc < 0)
        return rc;
    if (size && got && list[got - 1] != '\0')
        return -EIO;
    *ret_size = got;
    return 0;
}

int gofer_conn_setxattr(struct gofer_conn *conn, gofer_handle_t file, const char *name, const void *value,
                        size_t size, uint32_t flags) {
    if (size > GOFER_PAYLOAD_MAX)
        return -E2BIG;
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_SETXATTR);
    if (rc < 0)
        return rc;
    struct gofer_setxattr req = {.handle = file, .flags = flags};
    exchange_put(&x, &req, sizeof(req));
    exchange_put_string(&x, name);
    exchange_put(&x, value, size);
    return call_empty(&x);
}

int gofer_conn_removexattr(struct gofer_conn *conn, gofer_handle_t file, const char *name) {
    struct exchange x;
    int rc = begin_handle(&x, conn, GOFER_REMOVEXATTR, file);
    if (rc < 0)
        return rc;
    exchange_put_string(&x, name);
    return call_empty(&x);
}

int gofer_conn_statfs(struct gofer_conn *conn, gofer_handle_t file, struct gofer_statfs_reply *ret) {
    struct exchange x;
    struct gofer_statfs_reply reply;
    int rc = begin_handle(&x, conn, GOFER_STATFS, file);
    if (rc < 0)
        return rc;
    rc = exchange_call(&x, DONATES_NOTHING);
    if (rc == 0)
        rc = read_all(&x, &reply, sizeof(reply));
    if (rc == 0)
        *ret = reply;
    exchange_end(&x);
    return rc;
}

int gofer_conn_fsync(struct gofer_conn *conn, gofer_handle_t file, uint32_t flags) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_FSYNC);
    if (rc < 0)
        return rc;
    struct gofer_fsync req = {.handle = file, .flags = flags};
    exchange_put(&x, &req, sizeof(req));
    return call_empty(&x);
}

static int close_some(struct gofer_conn *conn, const gofer_handle_t *handles, size_t count) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_CLOSE);
    if (rc < 0)
        return rc;
    struct gofer_close req = {.count = (uint32_t)count};
    exchange_put(&x, &req, sizeof(req));
    exchange_put(&x, handles, count * sizeof(*handles));
    return call_empty(&x);
}

int gofer_conn_close_handles(struct gofer_conn *conn, const gofer_handle_t *handles, size_t count) {
    int first_error = 0;
    for (size_t done = 0; done < count;) {
        size_t some = MIN(count - done, (size_t)GOFER_CLOSE_MAX);
        int rc = close_some(conn, handles + done, some);
        if (rc < 0 && first_error == 0)
            first_error = rc;
        done += some;
    }
    return first_error;
}

int gofer_conn_connect(struct gofer_conn *conn, gofer_handle_t socket, uint32_t type, int *ret_fd) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_CONNECT);
    if (rc < 0)
        return rc;
    struct gofer_connect req = {.handle = socket, .type = type};
    exchange_put(&x, &req, sizeof(req));
    rc = exchange_call(&x, DONATES_FD);
    if (rc == 0 && (gofer_get_end(&x.reply) < 0 || !donated_socket_valid(x.fd, type)))
        rc = exchange_breach(&x);
    if (rc == 0)
        *ret_fd = exchange_take_fd(&x);
    exchange_end(&x);
    return rc;
}

int gofer_conn_bind(struct gofer_conn *conn, const struct gofer_bind *args, struct gofer_name name,
                    struct gofer_node *ret_node, int *ret_fd) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_BIND);
    if (rc < 0)
        return rc;
    exchange_put(&x, args, sizeof(*args));
    exchange_put_name(&x, name);
    rc = exchange_call(&x, DONATES_FD);
    if (rc == 0 && !donated_socket_valid(x.fd, args->type))
        rc = exchange_breach(&x);
    if (rc == 0)
        rc = read_node(&x, 0140000, ret_node);
    if (rc == 0)
        *ret_fd = exchange_take_fd(&x);
    exchange_end(&x);
    return rc;
}

int gofer_conn_watch(struct gofer_conn *conn, gofer_handle_t file, uint32_t mask, int *ret_watch) {
    struct exchange x;
    struct gofer_watch_reply reply;
    int rc = exchange_begin(&x, conn, GOFER_WATCH);
    if (rc < 0)
        return rc;
    struct gofer_watch req = {.handle = file, .mask = mask};
    exchange_put(&x, &req, sizeof(req));
    rc = exchange_call(&x, DONATES_NOTHING);
    if (rc == 0)
        rc = read_all(&x, &reply, sizeof(reply));
    if (rc == 0 && (reply.watch < 0 || reply.zero))
        rc = exchange_breach(&x);
    if (rc == 0)
        *ret_watch = reply.watch;
    exchange_end(&x);
    return rc;
}
