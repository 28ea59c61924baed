/* SPDX-License-Identifier: Apache-2.0
 * gofer/server_internal.h: what the server's files share.
 *
 * Locks: handle_table.lock and channels.lock are leaves; watch_table.lock is held over inotify calls. None
 * nests in another. Host names: the working directory of the process is /proc/self/fd, so "17" names the open
 * file 17 for the calls that take no descriptor (truncate, setxattr, connect, inotify_add_watch, ...). No
 * other relative name is ever used.
 */
#pragma once

#include <pthread.h>
#include <sys/stat.h>

#include "base/list.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "gofer/codec.h"
#include "gofer/protocol.h"
#include "gofer/server.h"

struct gofer_server;
struct gofer_batch;

struct server_root {
    uint32_t flags;
    gofer_handle_t handle;
};

/* One O_PATH descriptor. Immutable once in the table, except watch_held (watch_table.lock). */
struct gofer_handle {
    struct ref ref;
    struct gofer_server *server;
    const struct server_root *root;
    int fd;
    uint32_t type;  /* S_IFMT bits: an inode never changes them */
    int watch;      /* added when the handle was made; -1 if none */
    int watch_held; /* added by WATCH; -1 if none */
    bool pinned;    /* a root: CLOSE leaves it */
};
DECLARE_REF(gofer_handle);

struct handle_slot {
    struct gofer_handle *handle; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* index + 1; 0 ends the list */
};

struct handle_table {
    struct mutex lock;
    struct handle_slot *slots;
    uint32_t capacity, first_free, count, limit; /* limit: from RLIMIT_NOFILE */
};

struct watch_table {
    struct mutex lock;
    void *tree;     /* tsearch(3) tree of struct watch by wd */
    int inotify_fd; /* -1: none */
    int grave[2];   /* a pair of sockets for its end; -1: none */
};

struct channel {
    struct list node;
    struct gofer_server *server;
    pthread_t thread;
    int sock;
    uint32_t cpu;      /* + 1: that its thread is bound to; 0: none */
    bool ended;        /* thread is about to return: to be joined */
    uint8_t *in, *out; /* GOFER_MESSAGE_MAX each */
};

struct gofer_server {
    struct server_root *roots;
    size_t root_count;
    int proc_fd;
    bool has_openat2, has_fchmodat2;
    struct handle_table handles;
    struct watch_table watches;
    struct gofer_batch *batch;
    struct mutex channels_lock;
    struct list channels; /* all but the first */
    uint32_t channel_count;
};

/* One request being served. */
struct gofer_call {
    struct gofer_server *server;
    struct gofer_reader in;  /* the body */
    struct gofer_writer out; /* the reply's body */
    int fd;                  /* to be donated, then closed; -1 if none */
};

/* Operations: each reads all of call->in before it acts, and fills call->out and call->fd only on success. */
typedef int gofer_op(struct gofer_call *call);
gofer_op op_walk, op_getattr, op_setattr, op_statfs, op_fsync, op_close, op_watch;
gofer_op op_open, op_open_at, op_create, op_mkdir, op_mknod, op_symlink, op_link, op_unlink, op_rename,
    op_readlink;
gofer_op op_listdir, op_getxattr, op_setxattr, op_listxattr, op_removexattr, op_connect, op_bind;

/* handles.c */
void handle_table_init(struct handle_table *t, uint32_t limit);
void handle_table_done(struct handle_table *t);
/* Takes the reference on success; -EMFILE at the limit, -ENOMEM. */
int handle_table_add(struct handle_table *t, struct gofer_handle *h, gofer_handle_t *ret_id) must_check;
/* New reference, or NULL. */
struct gofer_handle *handle_table_get(struct handle_table *t, gofer_handle_t id) must_check;
/* Removes it and returns the table's reference; NULL if unknown, or pinned (then *pinned is set). */
struct gofer_handle *handle_table_remove(struct handle_table *t, gofer_handle_t id, bool *pinned) must_check;
/* Takes fd. Type and watches are filled in by the caller. NULL without memory (fd is closed). */
struct gofer_handle *gofer_handle_new(struct gofer_server *s, const struct server_root *root,
                                      int fd) must_check;

/* call.c: reading a request, and argument checks that every operation needs. */
/* The whole request: a struct, behind it at most a name (GOFER_NAME_MAX + 1 bytes), and nothing more.
 * -EPROTO. */
int call_request(struct gofer_call *c, void *req, size_t size) must_check;
int call_request_name(struct gofer_call *c, void *req, size_t size, char *ret_name) must_check;
int call_handle(struct gofer_call *c, gofer_handle_t id, struct gofer_handle **ret) must_check;
int call_dir(struct gofer_call *c, gofer_handle_t id, struct gofer_handle **ret) must_check;
/* A directory under a root that may be written; -EROFS. */
int call_writable_dir(struct gofer_call *c, gofer_handle_t id, struct gofer_handle **ret) must_check;
int call_put(struct gofer_call *c, const void *data, size_t size) must_check;

/* resolve_host.c */
struct fd_name {
    char text[12];
};
struct fd_name fd_name(int fd);
/* O_PATH descriptor of the entry `name` of `dir`, which is not followed if it is a link. */
int beneath_open(struct gofer_server *s, int dir, const char *name) must_check;
/* A new open file of what `path_fd` refers to. Only for regular files and directories. */
int reopen(struct gofer_server *s, int path_fd, int flags) must_check;
int attr_of_fd(int fd, struct gofer_attr *ret) must_check;
void attr_from_statx(const struct statx *stx, struct gofer_attr *ret);
/* Registers an O_PATH descriptor (taken, also on failure) under `root` and describes it. */
int node_of_fd(struct gofer_server *s, const struct server_root *root, int fd,
               struct gofer_node *ret) must_check;
/* Gives a file just made the owner and mode that were asked for. created_fd: of any kind. -EBUSY if the file
 * is not one that this process can just have made (somebody put another in its place). */
struct new_file {
    uint32_t type, mode, uid, gid;
};
int settle_new_file(struct gofer_server *s, int fd, const struct new_file *want) must_check;
int chmod_fd(struct gofer_server *s, int path_fd, uint32_t mode) must_check;

/* watch_host.c */
int watch_table_init(struct watch_table *t, bool wanted) must_check;
void watch_table_done(struct watch_table *t);
/* -EOPNOTSUPP without inotify; else the watch, to be given back by watch_put(). */
int watch_get(struct watch_table *t, int fd, uint32_t mask) must_check;
void watch_put(struct watch_table *t, int wd); /* -1 is fine */

/* batch_host.c */
struct statx_job {
    const char *name; /* in the directory; not followed */
    struct statx stx;
    int result;
};
int batch_new(enum gofer_uring mode, struct gofer_batch **ret) must_check;
void batch_free(struct gofer_batch *b);
/* Fills every job's stx and result. */
void batch_statx(struct gofer_batch *b, int dir, struct statx_job *jobs, size_t count);

/* channel_host.c */
/* A new channel with its thread; returns the sandbox's end. */
int channel_open(struct gofer_server *s, int *ret_fd) must_check;
/* Takes sock, also on failure. NULL without memory. Not in the list, without a thread. */
struct channel *channel_new(struct gofer_server *s, int sock) must_check;
void channel_end(struct channel *ch);
/* Serves on this thread until the peer closes. */
void channel_serve(struct channel *ch);
/* Ends and joins every channel in the list. */
void channels_end(struct gofer_server *s);
/* One request of any bytes to one reply of at most GOFER_MESSAGE_MAX in `out`; returns the reply's size, and
 * in *ret_fd the descriptor to be sent with it (-1: none; caller closes). */
size_t gofer_dispatch(struct gofer_server *s, const uint8_t *in, size_t in_size, uint8_t *out, int *ret_fd);

/* server_host.c: everything but serving; for gofer_main, the fuzzer and tests. Takes the config's root and
 * proc descriptors. */
int gofer_server_new(const struct gofer_config *config, struct gofer_server **ret) must_check;
void gofer_server_free(struct gofer_server *s);

/* gofer_filter.c: -errno if the kernel refuses it. */
int gofer_filter_install(int log_fd) must_check;
