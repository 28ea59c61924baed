/* SPDX-License-Identifier: Apache-2.0
 * gofer/client.h: the sentry's end of a connection to a gofer: one function per message of gofer/protocol.h.
 *
 * Every call is synchronous, may block on the host, and may be made from any thread; calls of several threads
 * run at once (protocol.h: channels), and a channel more is made when they meet. No lock is held across a
 * call, so that callers may hold any up to RANK_GOFER_CONN. Knows nothing of the sentry; lives outside its
 * heap (behind a hostref).
 *
 * Returns: 0, or a negative errno as Linux would give it for the same operation on the host, or
 *   -EBADF   unknown handle      -EMFILE  no room for one more handle or descriptor: close some, ask again
 *   -EIO     the gofer is gone, or broke the protocol: the connection is broken for good
 * (gofer_conn_broken()). All that comes from the gofer is checked before it is returned: sizes, counts,
 * names, types, descriptors (a donated file is a regular file and as writable as asked for, a donated socket
 * a unix socket). ret_ values are set on success only; descriptors returned are close-on-exec and the
 * caller's.
 */
#pragma once

#include "base/compiler.h"
#include "gofer/protocol.h"

struct gofer_conn;

struct gofer_name {
    const char *data;
    size_t size; /* 1..GOFER_NAME_MAX, else -ENAMETOOLONG or -EINVAL without a message */
};

/* Takes sock. Says HELLO; -EPROTONOSUPPORT if the gofer is of another version. */
int gofer_conn_open(int sock, struct gofer_conn **ret) must_check;
/* No call may be under way. */
void gofer_conn_close(struct gofer_conn *conn);
bool gofer_conn_broken(const struct gofer_conn *conn);
/* To be polled for POLLHUP alone: the gofer has ended. Borrowed. */
int gofer_conn_fd(const struct gofer_conn *conn);
/* inotify(7) events of watched and shared roots; -1 if there are none. Borrowed. */
int gofer_conn_inotify_fd(const struct gofer_conn *conn);
uint32_t gofer_conn_handle_max(const struct gofer_conn *conn); /* never 0 */
size_t gofer_conn_root_count(const struct gofer_conn *conn);
/* As HELLO described it; NULL past the end. */
const struct gofer_root *gofer_conn_root(const struct gofer_conn *conn, size_t index);

/* Walks `count` names (1..GOFER_WALK_MAX) from directory `dir`. nodes: room for `count`; target: room for
 * GOFER_TARGET_MAX + 1, may be NULL. Returns 0 if the first step succeeded or was tried: ret says how far it
 * came. */
struct gofer_walked {
    uint32_t count;       /* of nodes; each handle is the caller's to close */
    int error;            /* why there is not one more; 0: all walked, or the last node is no directory */
    uint32_t target_size; /* of the last node, a link; the target ends with a NUL */
};
int gofer_conn_walk(struct gofer_conn *conn, gofer_handle_t dir, const struct gofer_name *names,
                    uint32_t count, struct gofer_node *nodes, char *target,
                    struct gofer_walked *ret) must_check;

/* The attributes of one entry of a directory, without a handle. */
int gofer_conn_look(struct gofer_conn *conn, gofer_handle_t dir, struct gofer_name name,
                    struct gofer_attr *ret) must_check;

int gofer_conn_open_file(struct gofer_conn *conn, const struct gofer_open *args, struct gofer_attr *ret_attr,
                         int *ret_fd) must_check;
int gofer_conn_open_at(struct gofer_conn *conn, gofer_handle_t parent, struct gofer_name name,
                       uint32_t access, struct gofer_attr *ret_attr, int *ret_fd) must_check;
/* name is {NULL, 0} with GOFER_CREATE_TMPFILE. */
int gofer_conn_create(struct gofer_conn *conn, const struct gofer_create *args, struct gofer_name name,
                      struct gofer_node *ret_node, int *ret_fd) must_check;
int gofer_conn_mkdir(struct gofer_conn *conn, const struct gofer_make *args, struct gofer_name name,
                     struct gofer_node *ret) must_check;
int gofer_conn_mknod(struct gofer_conn *conn, const struct gofer_make *args, struct gofer_name name,
                     struct gofer_node *ret) must_check;
int gofer_conn_symlink(struct gofer_conn *conn, const struct gofer_symlink *args, struct gofer_name name,
                       const char *target, struct gofer_node *ret) must_check;
int gofer_conn_link(struct gofer_conn *conn, gofer_handle_t file, gofer_handle_t parent,
                    struct gofer_name name, struct gofer_attr *ret) must_check;
int gofer_conn_unlink(struct gofer_conn *conn, gofer_handle_t parent, struct gofer_name name,
                      uint32_t flags) must_check;
int gofer_conn_rename(struct gofer_conn *conn, const struct gofer_rename *args, struct gofer_name from,
                      struct gofer_name to) must_check;
/* target: room for GOFER_TARGET_MAX + 1; ends with a NUL. */
int gofer_conn_readlink(struct gofer_conn *conn, gofer_handle_t link, char *target,
                        uint32_t *ret_size) must_check;
int gofer_conn_getattr(struct gofer_conn *conn, gofer_handle_t file, struct gofer_attr *ret) must_check;
int gofer_conn_setattr(struct gofer_conn *conn, const struct gofer_setattr *args,
                       struct gofer_attr *ret) must_check;

/* One page of a directory into `page` (1024..GOFER_PAYLOAD_MAX bytes, aligned to 8), to be read by
 * gofer_dirent_next(). A page may be empty though it is not the last. */
struct gofer_page {
    void *data;
    size_t capacity;
    size_t size;     /* of what was received */
    uint64_t cookie; /* for the next page */
    bool end;        /* that was the last one */
};
int gofer_conn_listdir(struct gofer_conn *conn, gofer_handle_t dir, uint64_t cookie,
                       struct gofer_page *page) must_check;
/* Entries were checked when the page came. *at starts at 0; NULL at the end. The name follows the struct,
 * without a NUL. */
const struct gofer_dirent *gofer_dirent_next(const struct gofer_page *page, size_t *at);

/* size 0: asks for the size. *ret_size: of the value. */
int gofer_conn_getxattr(struct gofer_conn *conn, gofer_handle_t file, const char *name, void *value,
                        size_t size, size_t *ret_size) must_check;
int gofer_conn_listxattr(struct gofer_conn *conn, gofer_handle_t file, char *list, size_t size,
                         size_t *ret_size) must_check;
int gofer_conn_setxattr(struct gofer_conn *conn, gofer_handle_t file, const char *name, const void *value,
                        size_t size, uint32_t flags) must_check;
int gofer_conn_removexattr(struct gofer_conn *conn, gofer_handle_t file, const char *name) must_check;
int gofer_conn_statfs(struct gofer_conn *conn, gofer_handle_t file,
                      struct gofer_statfs_reply *ret) must_check;
int gofer_conn_fsync(struct gofer_conn *conn, gofer_handle_t file, uint32_t flags) must_check;
/* Any number of handles, in as few messages as it takes. */
int gofer_conn_close_handles(struct gofer_conn *conn, const gofer_handle_t *handles, size_t count) must_check;
/* type: SOCK_STREAM, ... of protocol.h. Sockets are non-blocking. */
int gofer_conn_connect(struct gofer_conn *conn, gofer_handle_t socket, uint32_t type, int *ret_fd) must_check;
int gofer_conn_bind(struct gofer_conn *conn, const struct gofer_bind *args, struct gofer_name name,
                    struct gofer_node *ret_node, int *ret_fd) must_check;
int gofer_conn_watch(struct gofer_conn *conn, gofer_handle_t file, uint32_t mask, int *ret_watch) must_check;
