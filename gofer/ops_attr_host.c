/* SPDX-License-Identifier: Apache-2.0
 * gofer/ops_attr_host.c: WALK, and what is asked or changed of one file by its handle.
 */
#include "gofer/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statfs.h>
#include <unistd.h>

struct walk_state {
    const struct server_root *root;
    int dir; /* of the next step; borrowed from the handle table's file or from `last` */
    struct gofer_handle *last;
    struct gofer_walk_reply *reply;
};

/* One step: opens, registers, describes. The node's handle pins the directory for the next step. */
static int walk_step(struct gofer_call *c, struct walk_state *w, const char *name) {
    int fd = beneath_open(c->server, w->dir, name);
    if (fd < 0)
        return fd;
    struct gofer_node node;
    int rc = node_of_fd(c->server, w->root, fd, &node);
    if (rc < 0)
        return rc;
    struct gofer_handle *h = handle_table_get(&c->server->handles, node.handle);
    if (!h) /* the sandbox closed it meanwhile, by guessing its number */
        return -EBADF;
    rc = call_put(c, &node, sizeof(node));
    if (rc < 0) { /* cannot happen: GOFER_WALK_MAX nodes fit */
        gofer_handle_unref(h);
        return rc;
    }
    gofer_handle_unref(w->last);
    w->last = h;
    w->dir = h->fd;
    w->reply->count++;
    return 0;
}

static void walk_target(struct gofer_call *c, struct walk_state *w) {
    char target[GOFER_TARGET_MAX + 1];
    ssize_t n = readlinkat(w->last->fd, "", target, sizeof(target));
    if (n > 0 && n <= GOFER_TARGET_MAX && call_put(c, target, (size_t)n) == 0)
        w->reply->target_size = (uint32_t)n;
}

/* Names are all checked before the first step, so that a bad request has no effect. */
static int check_names(struct gofer_reader in, uint32_t count) {
    char name[GOFER_NAME_MAX + 1];
    for (uint32_t i = 0; i < count; i++) {
        int rc = gofer_get_name(&in, name);
        if (rc < 0)
            return rc;
    }
    return gofer_get_end(&in);
}

static int get_walk(struct gofer_call *c, struct gofer_walk *req, struct gofer_handle **ret_start) {
    int rc = gofer_get(&c->in, req, sizeof(*req));
    if (rc < 0)
        return rc;
    if (req->count == 0 || req->count > GOFER_WALK_MAX || req->flags & ~GOFER_WALK_NO_HANDLE ||
        (req->flags && req->count != 1))
        return -EPROTO;
    rc = check_names(c->in, req->count);
    return rc < 0 ? rc : call_dir(c, req->handle, ret_start);
}

/* The one step of a walk that wants no handle. */
static int look_only(struct gofer_call *c, int dir, struct gofer_walk_reply *reply) {
    char name[GOFER_NAME_MAX + 1];
    struct statx stx;
    struct gofer_node node = {.watch = -1};
    int rc = gofer_get_name(&c->in, name);
    if (rc < 0)
        return rc;
    if (statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &stx) < 0) {
        reply->error = -errno;
        return 0;
    }
    attr_from_statx(&stx, &node.attr);
    reply->count = 1;
    return call_put(c, &node, sizeof(node));
}

int op_walk(struct gofer_call *c) {
    struct gofer_walk req;
    cleanup(gofer_handle_unrefp) struct gofer_handle *start = NULL;
    int rc = get_walk(c, &req, &start);
    if (rc < 0)
        return rc;
    struct walk_state w = {.root = start->root, .dir = start->fd};
    w.reply = gofer_put_space(&c->out, sizeof(*w.reply));
    if (!w.reply)
        return -EMSGSIZE;
    if (req.flags & GOFER_WALK_NO_HANDLE)
        return look_only(c, start->fd, w.reply);
    for (uint32_t i = 0; i < req.count; i++) {
        char name[GOFER_NAME_MAX + 1];
        if (w.last && w.last->type != S_IFDIR)
            break;
        rc = gofer_get_name(&c->in, name);
        if (rc == 0)
            rc = walk_step(c, &w, name);
        if (rc < 0) {
            w.reply->error = rc;
            break;
        }
    }
    if (w.last && w.last->type == S_IFLNK)
        walk_target(c, &w);
    gofer_handle_unref(w.last);
    return 0;
}

static int get_handle_only(struct gofer_call *c, struct gofer_handle **ret) {
    struct gofer_handle_only req;
    int rc = call_request(c, &req, sizeof(req));
    return rc < 0 ? rc : call_handle(c, req.handle, ret);
}

static int put_attr(struct gofer_call *c, int fd) {
    struct gofer_attr_reply reply;
    int rc = attr_of_fd(fd, &reply.attr);
    return rc < 0 ? rc : call_put(c, &reply, sizeof(reply));
}

int op_getattr(struct gofer_call *c) {
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    int rc = get_handle_only(c, &h);
    return rc < 0 ? rc : put_attr(c, h->fd);
}

static int set_times(struct gofer_call *c, const struct gofer_handle *h, const struct gofer_setattr *req) {
    struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
    if (req->mask & GOFER_SET_ATIME_NOW)
        ts[0].tv_nsec = UTIME_NOW;
    else if (req->mask & GOFER_SET_ATIME)
        ts[0] = (struct timespec){.tv_sec = req->atime.sec, .tv_nsec = req->atime.nsec};
    if (req->mask & GOFER_SET_MTIME_NOW)
        ts[1].tv_nsec = UTIME_NOW;
    else if (req->mask & GOFER_SET_MTIME)
        ts[1] = (struct timespec){.tv_sec = req->mtime.sec, .tv_nsec = req->mtime.nsec};
    if (utimensat(h->fd, "", ts, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOENT) /* a host whose utimensat has no AT_EMPTY_PATH */
        return -errno;
    return utimensat(c->server->proc_fd, fd_name(h->fd).text, ts, 0) < 0 ? -errno : 0;
}

static int set_attributes(struct gofer_call *c, const struct gofer_handle *h,
                          const struct gofer_setattr *req) {
    if (req->mask & GOFER_SET_SIZE) {
        if (h->type != S_IFREG)
            return h->type == S_IFDIR ? -EISDIR : -EINVAL;
        if (truncate(fd_name(h->fd).text, (off_t)req->size) < 0)
            return -errno;
    }
    if (req->mask & (GOFER_SET_UID | GOFER_SET_GID)) {
        uid_t uid = req->mask & GOFER_SET_UID ? req->uid : (uid_t)-1;
        gid_t gid = req->mask & GOFER_SET_GID ? req->gid : (gid_t)-1;
        if (fchownat(h->fd, "", uid, gid, AT_EMPTY_PATH) < 0)
            return -errno;
    }
    if (req->mask & GOFER_SET_MODE) {
        int rc = h->type == S_IFLNK ? -EOPNOTSUPP : chmod_fd(c->server, h->fd, req->mode);
        if (rc < 0)
            return rc;
    }
    if (req->mask & (GOFER_SET_ATIME | GOFER_SET_MTIME | GOFER_SET_ATIME_NOW | GOFER_SET_MTIME_NOW))
        return set_times(c, h, req);
    return 0;
}

int op_setattr(struct gofer_call *c) {
    struct gofer_setattr req;
    int rc = call_request(c, &req, sizeof(req));
    if (rc < 0)
        return rc;
    if (req.mask & ~GOFER_SET_ALL || req.mode > 07777 || req.size > INT64_MAX || req.atime.zero ||
        req.mtime.zero || req.atime.nsec >= 1000000000 || req.mtime.nsec >= 1000000000)
        return -EPROTO;
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    rc = call_handle(c, req.handle, &h);
    if (rc < 0)
        return rc;
    if (h->root->flags & GOFER_ROOT_READ_ONLY)
        return -EROFS;
    rc = set_attributes(c, h, &req);
    return rc < 0 ? rc : put_attr(c, h->fd);
}

int op_statfs(struct gofer_call *c) {
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    int rc = get_handle_only(c, &h);
    if (rc < 0)
        return rc;
    struct statfs sfs;
    if (fstatfs(h->fd, &sfs) < 0)
        return -errno;
    struct gofer_statfs_reply reply = {
        .type = (uint64_t)sfs.f_type,
        .block_size = (uint64_t)sfs.f_bsize,
        .blocks = sfs.f_blocks,
        .blocks_free = sfs.f_bfree,
        .blocks_available = sfs.f_bavail,
        .files = sfs.f_files,
        .files_free = sfs.f_ffree,
        .fsid = (uint64_t)(uint32_t)sfs.f_fsid.__val[1] << 32 | (uint32_t)sfs.f_fsid.__val[0],
        .name_max = (uint64_t)sfs.f_namelen,
        .fragment_size = (uint64_t)sfs.f_frsize,
        .flags = (uint64_t)sfs.f_flags,
    };
    return call_put(c, &reply, sizeof(reply));
}

int op_fsync(struct gofer_call *c) {
    struct gofer_fsync req;
    int rc = call_request(c, &req, sizeof(req));
    if (rc < 0)
        return rc;
    if (req.flags & ~(GOFER_SYNC_DATA | GOFER_SYNC_FS) || req.zero)
        return -EPROTO;
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    rc = call_handle(c, req.handle, &h);
    if (rc < 0)
        return rc;
    if (h->type != S_IFREG && h->type != S_IFDIR)
        return -EINVAL;
    int fd = reopen(c->server, h->fd, O_RDONLY);
    if (fd < 0)
        return fd;
    if (req.flags & GOFER_SYNC_FS)
        rc = syncfs(fd);
    else
        rc = req.flags & GOFER_SYNC_DATA ? fdatasync(fd) : fsync(fd);
    rc = rc < 0 ? -errno : 0;
    close(fd);
    return rc;
}

int op_close(struct gofer_call *c) {
    struct gofer_close req;
    int rc = gofer_get(&c->in, &req, sizeof(req));
    if (rc < 0)
        return rc;
    if (req.count > GOFER_CLOSE_MAX || req.zero || c->in.left != req.count * sizeof(gofer_handle_t))
        return -EPROTO;
    for (uint32_t i = 0; i < req.count; i++) {
        gofer_handle_t id;
        bool pinned = false;
        if (gofer_get(&c->in, &id, sizeof(id)) < 0)
            return -EPROTO;
        struct gofer_handle *h = handle_table_remove(&c->server->handles, id, &pinned);
        if (!h && !pinned)
            rc = -EBADF;
        gofer_handle_unref(h);
    }
    return rc;
}

#define WATCH_EVENTS 0xfffu /* IN_ACCESS .. IN_MOVE_SELF */

int op_watch(struct gofer_call *c) {
    struct gofer_watch req;
    int rc = call_request(c, &req, sizeof(req));
    if (rc < 0)
        return rc;
    if (!req.mask || req.mask & ~WATCH_EVENTS || req.zero)
        return -EPROTO;
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    rc = call_handle(c, req.handle, &h);
    if (rc < 0)
        return rc;
    int wd = watch_get(&c->server->watches, h->fd, req.mask);
    if (wd < 0)
        return wd;
    struct gofer_watch_reply reply = {.watch = wd};
    int none = -1;
    /* The handle counts its inode's watch once, however often it is asked for. */
    if (!__atomic_compare_exchange_n(&h->watch_held, &none, wd, /* weak= */ false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
        watch_put(&c->server->watches, wd);
    return call_put(c, &reply, sizeof(reply));
}
