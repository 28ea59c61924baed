/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/gofer/gofer_tree.c: the table of inodes by host key, where each was last seen, and their handles
 * in the gofer.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/stat.h"
#include "sentry/fs/gofer/gofer_internal.h"
#include "sentry/heap/heap.h"

HEAP_TYPE(gofer_inode, struct gofer_inode, 0);

enum { RECLAIM_BATCH = 256, RETRIES = 4 };

static int compare_key(uint64_t dev, uint64_t ino, const struct gofer_inode *b) {
    if (dev != b->host_dev)
        return dev < b->host_dev ? -1 : 1;
    return (ino > b->host_ino) - (ino < b->host_ino);
}

int gofer_inode_compare(const struct gofer_inode *a, const struct gofer_inode *b) {
    return compare_key(a->host_dev, a->host_ino, b);
}

int gofer_watch_compare(const struct gofer_inode *a, const struct gofer_inode *b) {
    if (a->watch != b->watch)
        return a->watch < b->watch ? -1 : 1;
    return (a > b) - (a < b);
}

RB_GENERATE(gofer_inode_tree, gofer_inode, node, gofer_inode_compare)
RB_GENERATE(gofer_watch_tree, gofer_inode, watch_node, gofer_watch_compare)

static uint64_t attr_dev(const struct gofer_attr *attr) {
    return (uint64_t)attr->dev_major << 32 | attr->dev_minor;
}

/* Files of other host file systems below the root (mounts that the gofer sees) get numbers of their own kind.
 */
uint64_t gfs_ino(const struct gofer_fs *g, const struct gofer_attr *attr) {
    uint64_t dev = attr_dev(attr);
    if (dev == g->root_dev)
        return attr->ino;
    return attr->ino ^ (dev * 0x9e3779b97f4a7c15ull & 0xffffff0000000000ull) ^ 1ull << 63;
}

bool gino_same(const struct gofer_inode *i, const struct gofer_attr *attr) {
    if (attr->ino != i->host_ino || attr_dev(attr) != i->host_dev ||
        (attr->mode & LINUX_S_IFMT) != i->inode.type)
        return false;
    if (!i->has_btime || !(attr->flags & GOFER_ATTR_BTIME))
        return true;
    return attr->btime.sec == i->btime.sec && attr->btime.nsec == i->btime.nsec;
}

/* ---- handles ---- */

/* Where the inode waits for its handle to be given back; NULL: it keeps it, since nothing else leads to the
 * file. */
static struct list *reclaim_list(struct gofer_fs *g, const struct gofer_inode *i) {
    if (!i->parent)
        return NULL;
    return inode_is_dir(&i->inode) && g->root_flags & GOFER_ROOT_WATCHED ? &g->watched_order
                                                                         : &g->handle_order;
}

static void enlist_handle_locked(struct gofer_fs *g, struct gofer_inode *i) {
    struct list *order = reclaim_list(g, i);
    if (order && i->handle && list_empty(&i->handle_node))
        list_add_tail(order, &i->handle_node);
}

/* Gives `i` the handle unless it has one; what is not used is closed. */
static void install_handle(struct gofer_inode *i, gofer_handle_t handle) {
    struct gofer_fs *g = gfs_of(&i->inode);
    if (!handle)
        return;
    mutex_lock(&g->tree_lock);
    bool taken = !i->handle;
    if (taken) {
        atomic_store_explicit(&i->handle, handle, memory_order_release);
        g->handle_count++;
        enlist_handle_locked(g, i);
    }
    mutex_unlock(&g->tree_lock);
    if (!taken)
        session_close_handle(g->session, handle, /* now= */ false);
}

static gofer_handle_t take_handle_locked(struct gofer_fs *g, struct gofer_inode *i) {
    gofer_handle_t handle = i->handle;
    if (handle)
        g->handle_count--;
    atomic_store_explicit(&i->handle, 0, memory_order_release);
    list_del(&i->handle_node);
    return handle;
}

bool gino_handle_gone(struct gofer_inode *i, gofer_handle_t handle) {
    struct gofer_fs *g = gfs_of(&i->inode);
    mutex_lock(&g->tree_lock);
    bool may = i->parent && (i->handle == handle || i->handle == 0);
    bool other = i->handle && i->handle != handle;
    if (may && i->handle == handle)
        (void)take_handle_locked(g, i);
    mutex_unlock(&g->tree_lock);
    return may || other;
}

static size_t take_oldest_locked(struct gofer_fs *g, struct list *order, gofer_handle_t *handles) {
    size_t count = 0;
    while (count < RECLAIM_BATCH && !list_empty(order)) {
        struct gofer_inode *i = list_first_entry(order, struct gofer_inode, handle_node);
        handles[count++] = take_handle_locked(g, i);
        gfs_unwatch_locked(i);
    }
    return count;
}

bool gfs_reclaim_handles(struct gofer_fs *g) {
    gofer_handle_t handles[RECLAIM_BATCH];
    mutex_lock(&g->session->events_lock);
    mutex_lock(&g->tree_lock);
    size_t count = take_oldest_locked(g, &g->handle_order, handles);
    if (count == 0)
        count = take_oldest_locked(g, &g->watched_order, handles);
    mutex_unlock(&g->tree_lock);
    mutex_unlock(&g->session->events_lock);
    bool closed = gfs_close_idle(g);
    if (count == 0)
        return closed;
    return gofer_conn_close_handles(gfs_conn(g), handles, count) != -EIO;
}

bool gino_retry(struct gofer_inode *i, gofer_handle_t handle, int rc, int *tries) {
    if ((rc != -EBADF && rc != -EMFILE) || ++*tries > RETRIES)
        return false;
    return rc == -EBADF ? gino_handle_gone(i, handle) : gfs_reclaim_handles(gfs_of(&i->inode));
}

/* The nearest of `i` and its ancestors that has no handle though its parent has one, and the way to it. */
struct to_walk {
    struct gofer_inode *inode, *dir; /* references; inode NULL: nothing to do */
    gofer_handle_t parent;
    uint32_t place_seq;
    size_t len;
    char name[GOFER_NAME_MAX + 1];
};

/* -ESTALE if there is no way. */
static int next_to_walk(struct gofer_inode *i, struct to_walk *w) {
    struct gofer_fs *g = gfs_of(&i->inode);
    int rc = 0;
    w->inode = NULL;
    mutex_lock(&g->tree_lock);
    while (!i->handle && i->parent && !i->parent->handle)
        i = i->parent;
    if (!i->handle && !i->parent)
        rc = -ESTALE;
    if (!i->handle && i->parent) {
        inode_ref(&i->inode);
        inode_ref(&i->parent->inode);
        w->inode = i;
        w->dir = i->parent;
        w->parent = i->parent->handle;
        w->place_seq = i->place_seq;
        w->len = strlen(i->name);
        memcpy(w->name, i->name, w->len + 1);
    }
    mutex_unlock(&g->tree_lock);
    return rc;
}

/* Somebody of this sandbox moved it, or made its handle, meanwhile. */
static bool has_changed(const struct to_walk *w) {
    struct gofer_fs *g = gfs_of(&w->inode->inode);
    mutex_lock(&g->tree_lock);
    bool changed = w->inode->handle || w->inode->place_seq != w->place_seq;
    mutex_unlock(&g->tree_lock);
    return changed;
}

/* Walks one name and gives the inode its handle if that is the file found there. */
static int walk_one(const struct to_walk *w) {
    struct gofer_fs *g = gfs_of(&w->inode->inode);
    struct gofer_name name = {w->name, w->len};
    struct gofer_node node;
    struct gofer_walked walked;
    int rc = gofer_conn_walk(gfs_conn(g), w->parent, &name, 1, &node, /* target= */ NULL, &walked);
    if (rc == 0 && walked.count == 0)
        rc = walked.error;
    if (rc < 0)
        return rc == -ENOENT || rc == -ENOTDIR ? -ESTALE : rc;
    if (!gino_same(w->inode, &node.attr)) {
        session_close_handle(g->session, node.handle, /* now= */ false);
        return -ESTALE;
    }
    install_handle(w->inode, node.handle);
    gfs_set_watch(w->inode, node.watch);
    return 0;
}

int gino_handle_or_stale(struct gofer_inode *i, gofer_handle_t *ret) {
    struct to_walk w;
    int tries = 0;
    for (;;) {
        gofer_handle_t handle = atomic_load_explicit(&i->handle, memory_order_acquire);
        if (handle) {
            *ret = handle;
            return 0;
        }
        int rc = next_to_walk(i, &w);
        if (rc < 0)
            return rc;
        if (!w.inode)
            continue;
        rc = walk_one(&w);
        bool again = rc == 0 || gino_retry(w.dir, w.parent, rc, &tries) || (rc == -ESTALE && has_changed(&w));
        inode_unref(&w.inode->inode);
        inode_unref(&w.dir->inode);
        if (!again)
            return rc;
    }
}

/* The file itself is not walked to: its parent's handle and its name will do. False: it has a handle, or more
 * is missing. */
static bool one_step_away(struct gofer_inode *i, struct to_walk *w) {
    if (next_to_walk(i, w) < 0 || !w->inode)
        return false;
    if (w->inode == i)
        return true;
    inode_unref(&w->inode->inode);
    inode_unref(&w->dir->inode);
    return false;
}

int gino_open_by_name(struct gofer_inode *i, uint32_t access, int *ret_fd) {
    struct to_walk w;
    struct gofer_attr attr;
    if (!one_step_away(i, &w))
        return -ESTALE;
    struct gofer_name name = {w.name, w.len};
    int rc = gofer_conn_open_at(gfs_conn(gfs_of(&i->inode)), w.parent, name, access, &attr, ret_fd);
    if (rc == 0 && !gino_same(i, &attr)) {
        gofer_host_close(*ret_fd);
        rc = -ESTALE;
    }
    inode_unref(&w.inode->inode);
    inode_unref(&w.dir->inode);
    return rc == -EACCES || rc == -EROFS ? rc : rc < 0 ? -ESTALE : 0;
}

int gino_handle(struct gofer_inode *i, gofer_handle_t *ret) {
    int rc = gino_handle_or_stale(i, ret);
    return rc == -ESTALE ? -ENOENT : rc;
}

/* ---- the table ---- */

static struct gofer_inode *find_locked(struct gofer_fs *g, const struct gofer_attr *attr) {
    struct gofer_inode *i = RB_ROOT(&g->inodes);
    while (i) {
        int order = compare_key(attr_dev(attr), attr->ino, i);
        if (order == 0)
            return i;
        i = order < 0 ? RB_LEFT(i, node) : RB_RIGHT(i, node);
    }
    return NULL;
}

static void unlist_locked(struct gofer_fs *g, struct gofer_inode *i) {
    if (i->in_table)
        RB_REMOVE(gofer_inode_tree, &g->inodes, i);
    i->in_table = false;
}

/* A living inode of that key: new reference. One that is ending, or whose number has another file now, leaves
 * the table. */
static struct gofer_inode *get_locked(struct gofer_fs *g, const struct gofer_attr *attr) {
    struct gofer_inode *i = find_locked(g, attr);
    if (!i)
        return NULL;
    if (gino_same(i, attr) && inode_tryref(&i->inode))
        return i;
    unlist_locked(g, i);
    return NULL;
}

static uint64_t linux_dev(uint32_t major, uint32_t minor) {
    return (minor & 0xff) | (uint64_t)(major & 0xfff) << 8 | (uint64_t)(minor & ~0xffu) << 12 |
           (uint64_t)(major & ~0xfffu) << 32;
}

static struct gofer_inode *inode_make(struct gofer_fs *g, const struct gofer_attr *attr) {
    struct gofer_inode *i = heap_new(gofer_inode);
    if (!i)
        return NULL;
    inode_init(&i->inode, &gofer_inode_ops, &g->fs, gfs_ino(g, attr), attr->mode, attr->uid, attr->gid);
    i->inode.rdev = linux_dev(attr->rdev_major, attr->rdev_minor);
    i->host_dev = attr_dev(attr);
    i->host_ino = attr->ino;
    i->btime = attr->btime;
    i->has_btime = attr->flags & GOFER_ATTR_BTIME;
    i->watch = -1;
    i->attr = *attr;
    i->attr_known = true;
    list_init(&i->handle_node);
    list_init(&i->idle_node);
    return i;
}

static struct gofer_inode *insert(struct gofer_fs *g, struct gofer_inode *fresh) {
    mutex_lock(&g->tree_lock);
    struct gofer_inode *i = get_locked(g, &fresh->attr);
    if (!i) {
        RB_INSERT(gofer_inode_tree, &g->inodes, fresh);
        fresh->in_table = true;
    }
    mutex_unlock(&g->tree_lock);
    if (!i)
        return fresh;
    inode_unref(&fresh->inode);
    return i;
}

static struct gofer_inode *find_or_make(struct gofer_fs *g, const struct gofer_attr *attr) {
    mutex_lock(&g->tree_lock);
    struct gofer_inode *i = get_locked(g, attr);
    mutex_unlock(&g->tree_lock);
    if (i) {
        /* What the host says is news only where somebody else changes files. */
        if (!gfs_exclusive(g))
            gino_attr_set(i, attr, gino_attr_begin(i));
        return i;
    }
    i = inode_make(g, attr);
    return i ? insert(g, i) : NULL;
}

int gfs_inode_get(struct gofer_fs *g, struct gofer_inode *dir, const char *name, size_t len,
                  const struct gofer_node *node, struct gofer_inode **ret) {
    struct gofer_inode *i = find_or_make(g, &node->attr);
    if (!i) {
        session_close_handle(g->session, node->handle, /* now= */ false);
        return -ENOMEM;
    }
    if (dir)
        gino_moved(i, dir, name, len);
    install_handle(i, node->handle);
    gfs_set_watch(i, node->watch);
    *ret = i;
    return 0;
}

/* Renames on the host, seen in parts, can make two directories look as if each were in the other. */
static bool is_above_locked(const struct gofer_inode *i, const struct gofer_inode *dir) {
    for (; dir; dir = dir->parent)
        if (dir == i)
            return true;
    return false;
}

void gino_moved(struct gofer_inode *i, struct gofer_inode *dir, const char *name, size_t len) {
    struct gofer_fs *g = gfs_of(&i->inode);
    char *copy = heap_strndup(name, len);
    if (!copy) /* it keeps the old place: at worst its handle cannot be made again */
        return;
    struct gofer_inode *drop = dir; /* the reference that is not kept, and the name */
    inode_ref(&dir->inode);
    mutex_lock(&g->tree_lock);
    if (!is_above_locked(i, dir)) {
        char *old_name = i->name;
        drop = i->parent;
        i->parent = dir;
        i->name = copy;
        i->place_seq++;
        copy = old_name;
        enlist_handle_locked(g, i);
    }
    mutex_unlock(&g->tree_lock);
    heap_free(copy);
    if (drop)
        inode_unref(&drop->inode);
}

/* Gives back what held the place, to be freed without the lock. */
static struct gofer_inode *unplace_locked(struct gofer_inode *i, char **ret_name) {
    struct gofer_inode *old = i->parent;
    *ret_name = i->name;
    list_del(&i->handle_node);
    i->parent = NULL;
    i->name = NULL;
    i->place_seq++;
    return old;
}

static void drop_place(struct gofer_inode *parent, char *name) {
    heap_free(name);
    if (parent)
        inode_unref(&parent->inode);
}

void gino_forget(struct gofer_inode *i) {
    struct gofer_fs *g = gfs_of(&i->inode);
    char *name;
    mutex_lock(&g->tree_lock);
    unlist_locked(g, i);
    struct gofer_inode *parent = unplace_locked(i, &name);
    mutex_unlock(&g->tree_lock);
    drop_place(parent, name);
}

void gino_unplace(struct gofer_inode *i, const struct gofer_inode *dir, const char *name, size_t len) {
    struct gofer_fs *g = gfs_of(&i->inode);
    struct gofer_inode *parent = NULL;
    char *old_name = NULL;
    mutex_lock(&g->tree_lock);
    if (i->parent == dir && strlen(i->name) == len && memcmp(i->name, name, len) == 0)
        parent = unplace_locked(i, &old_name);
    mutex_unlock(&g->tree_lock);
    drop_place(parent, old_name);
}

void gofer_inode_release(struct inode *inode) {
    struct gofer_inode *i = gino_of(inode);
    struct gofer_fs *g = gfs_of(inode);
    mutex_lock(&g->tree_lock);
    unlist_locked(g, i);
    gofer_handle_t handle = take_handle_locked(g, i);
    if (i->watch >= 0)
        RB_REMOVE(gofer_watch_tree, &g->watches, i);
    i->watch = -1;
    gofer_listing_drop_locked(i);
    if (!list_empty(&i->idle_node)) {
        list_del(&i->idle_node);
        g->idle_fd_count--;
    }
    struct gofer_inode *parent = i->parent;
    mutex_unlock(&g->tree_lock);
    hostref_release(&i->fd_read);
    hostref_release(&i->fd_write);
    session_close_handle(g->session, handle, /* now= */ !parent); /* of a root: the gofer keeps it */
    gfs_drop_pending(i);
    heap_free(i->name);
    heap_free(i->target);
    inode_done(inode);
    heap_free(i);
    if (parent)
        inode_unref(&parent->inode);
}
