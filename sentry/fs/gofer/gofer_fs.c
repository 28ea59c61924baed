/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/gofer/gofer_fs.c: the file system object: mounting, statfs, and whether a cached name is still
 * true.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sentry/fs/gofer/gofer_internal.h"
#include "sentry/heap/heap.h"

HEAP_TYPE(gofer_fs, struct gofer_fs, 0);

static struct gofer_fs *gfs(struct filesystem *fs) {
    return container_of(fs, struct gofer_fs, fs);
}

static int fs_statfs(struct filesystem *fs, struct kstatfs *ret) {
    struct gofer_fs *g = gfs(fs);
    struct gofer_statfs_reply s;
    int rc = gofer_conn_statfs(gfs_conn(g), g->root_handle, &s);
    if (rc < 0)
        return rc;
    *ret = (struct kstatfs){
        .type = s.type,
        .bsize = s.block_size,
        .blocks = s.blocks,
        .bfree = s.blocks_free,
        .bavail = s.blocks_available,
        .files = s.files,
        .ffree = s.files_free,
        .namelen = s.name_max,
        .frsize = s.fragment_size,
        .fsid = {(uint32_t)s.fsid, (uint32_t)(s.fsid >> 32)},
    };
    return 0;
}

static int fs_sync(struct filesystem *fs) {
    struct gofer_fs *g = gfs(fs);
    if (g->root_flags & GOFER_ROOT_READ_ONLY)
        return 0;
    return gofer_conn_fsync(gfs_conn(g), g->root_handle, GOFER_SYNC_FS);
}

static size_t fs_show_options(struct filesystem *fs, char *buf, size_t size) {
    struct gofer_fs *g = gfs(fs);
    const char *mode = gfs_exclusive(g) ? "exclusive" : gfs_shared(g) ? "shared" : "watched";
    int n = snprintf(buf, size, ",cache=%s", mode);
    return n < 0 ? 0 : MIN((size_t)n, size);
}

/* Asks the gofer what the name leads to now. */
static int look_again(struct gofer_fs *g, struct gofer_inode *dir, const char *name, size_t len,
                      struct inode *cached) {
    int tries = 0;
    struct gofer_attr attr;
    gofer_handle_t handle;
    int rc;
    uint32_t seq = cached ? gino_attr_begin(gino_of(cached)) : 0;
    do {
        rc = gino_handle_or_stale(dir, &handle);
        if (rc < 0)
            break;
        rc = gofer_conn_look(gfs_conn(g), handle, (struct gofer_name){name, len}, &attr);
    } while (rc < 0 && gino_retry(dir, handle, rc, &tries));
    if (rc == -ENOENT || rc == -ENOTDIR || rc == -ESTALE)
        return cached == NULL && rc == -ENOENT;
    if (rc < 0)
        return rc;
    if (!cached || !gino_same(gino_of(cached), &attr))
        return 0;
    gino_attr_looked(gino_of(cached), &attr, seq);
    return 1;
}

static int fs_revalidate(struct filesystem *fs, struct dentry *d) {
    struct gofer_fs *g = gfs(fs);
    char name[GOFER_NAME_MAX + 1];
    struct dentry *parent;
    int rc = 1;
    mutex_lock(&d->lock);
    parent = dentry_ref(d->parent);
    size_t len = MIN(d->name_len, (uint32_t)GOFER_NAME_MAX);
    memcpy(name, d->name, len);
    mutex_unlock(&d->lock);
    if (parent != d) {
        struct gofer_inode *dir = gino_of(parent->inode);
        gfs_drain_if_due(g);
        if (atomic_load_explicit(&dir->has_pending, memory_order_acquire))
            gfs_apply_pending(dir, parent);
        bool watched = !gfs_shared(g) && dir->watch >= 0;
        if (atomic_load(&d->stale))
            rc = 0;
        else if (!watched)
            rc = look_again(g, dir, name, len, d->inode);
    }
    dentry_unref(parent);
    return rc;
}

static void fs_release(struct filesystem *fs) {
    struct gofer_fs *g = gfs(fs);
    filesystem_done(fs);
    mutex_lock(&g->session->events_lock);
    list_del(&g->session_node);
    mutex_unlock(&g->session->events_lock);
    ASSERT(RB_EMPTY(&g->inodes));
    gofer_session_unref(g->session);
    heap_free(g);
}

#define COMMON_OPS                                                                                           \
    .statfs = fs_statfs, .sync = fs_sync, .show_options = fs_show_options, .release = fs_release

static const struct filesystem_ops exclusive_ops = {COMMON_OPS};
static const struct filesystem_ops coherent_ops = {COMMON_OPS, .revalidate = fs_revalidate};

static int make_root(struct gofer_fs *g, const struct gofer_root *root) {
    struct gofer_inode *i;
    int rc = gfs_inode_get(g, /* dir= */ NULL, "", 0, &root->node, &i);
    if (rc < 0)
        return rc;
    g->fs.root = dentry_new_root(&g->fs, &i->inode);
    if (g->fs.root)
        return 0;
    inode_unref(&i->inode);
    return -ENOMEM;
}

static void fill(struct gofer_fs *g, const struct gofer_mount *m, const struct gofer_root *root) {
    g->session = gofer_session_ref(m->session);
    g->root_flags = root->flags;
    g->root_handle = root->node.handle;
    g->root_dev = (uint64_t)root->node.attr.dev_major << 32 | root->node.attr.dev_minor;
    mutex_init(&g->tree_lock, RANK_HOSTFD_CACHE);
    RB_INIT(&g->inodes);
    RB_INIT(&g->watches);
    list_init(&g->handle_order);
    list_init(&g->watched_order);
    list_init(&g->idle_fds);
    list_init(&g->listings);
    mutex_lock(&m->session->events_lock);
    list_add_tail(&m->session->filesystems, &g->session_node);
    mutex_unlock(&m->session->events_lock);
}

static int gofer_fs_mount(struct kernel *k, const struct fs_type *type, const struct mount_options *o,
                          struct filesystem **ret) {
    const struct gofer_mount *m = o->internal;
    if (!m)
        return -EPERM; /* boot's alone */
    const struct gofer_root *root = gofer_conn_root(session_conn(m->session), m->root);
    if (!root)
        return -EINVAL;
    struct gofer_fs *g = heap_new(gofer_fs);
    if (!g)
        return -ENOMEM;
    const struct filesystem_ops *ops = root->flags & GOFER_ROOT_EXCLUSIVE ? &exclusive_ops : &coherent_ops;
    int rc = filesystem_init(&g->fs, k, ops, type, m->layer);
    if (rc < 0) {
        heap_free(g);
        return rc;
    }
    if (root->flags & GOFER_ROOT_READ_ONLY)
        g->fs.flags |= FS_READONLY;
    g->fs.magic = 0x01021997; /* V9FS: what the nearest relatives say */
    fill(g, m, root);
    rc = make_root(g, root);
    if (rc < 0) {
        filesystem_unref(&g->fs);
        return rc;
    }
    *ret = &g->fs;
    return 0;
}

const struct fs_type gofer_fs_type = {.name = "gofer", .mount = gofer_fs_mount};

__attribute__((constructor)) static void gofer_fs_register(void) {
    fs_type_register(&gofer_fs_type);
}
