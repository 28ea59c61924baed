/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/gofer/gofer_events.c: what the host's inotify says about watched directories, before anything
 * cached is used.
 *
 * The queue is read by the thread that needs to know. An event names a directory (by its watch) and an entry;
 * the entry's dentry can be reached only from the directory's dentry, which revalidate() has at hand when
 * next a name of that directory is used. So an event leaves the name with the directory's inode (pending),
 * and gfs_apply_pending() drops the dentry before its use. This sandbox's own changes come back as events too
 * and are treated like any other: one name to look up again.
 */
#include <string.h>

#include "base/abi/linux/poll.h"
#include "base/clock.h"
#include "sentry/fs/gofer/gofer_internal.h"
#include "sentry/heap/heap.h"

/* A walk of several names within this time reads the queue once: what happens in less than that before a call
 * is beside it, not before it. */
#define DRAIN_INTERVAL_NS 2000

static void drop_names_locked(struct gofer_inode *dir) {
    for (uint32_t i = 0; i < dir->pending_count; i++)
        heap_free(dir->pending[i]);
    dir->pending_count = 0;
}

static void pend_all_locked(struct gofer_inode *dir) {
    drop_names_locked(dir);
    dir->pending_all = true;
    atomic_store_explicit(&dir->has_pending, true, memory_order_release);
}

static void pend_name_locked(struct gofer_inode *dir, const char *name) {
    if (dir->pending_all)
        return;
    for (uint32_t i = 0; i < dir->pending_count; i++)
        if (strcmp(dir->pending[i], name) == 0)
            return;
    char *copy = dir->pending_count < GFS_PENDING_NAMES ? heap_strdup(name) : NULL;
    if (!copy) {
        pend_all_locked(dir);
        return;
    }
    dir->pending[dir->pending_count++] = copy;
    atomic_store_explicit(&dir->has_pending, true, memory_order_release);
}

void gfs_unwatch_locked(struct gofer_inode *dir) {
    struct gofer_fs *g = gfs_of(&dir->inode);
    if (dir->watch < 0)
        return;
    RB_REMOVE(gofer_watch_tree, &g->watches, dir);
    dir->watch = -1;
    gofer_listing_drop_locked(dir);
    pend_all_locked(dir);
}

/* events_lock and tree_lock held. */
static void dir_event_locked(struct gofer_inode *dir, const struct gofer_event *e) {
    if (e->mask & LINUX_IN_IGNORED) /* the host took the watch away */
        gfs_unwatch_locked(dir);
    if (e->name[0]) {
        pend_name_locked(dir, e->name);
        gofer_listing_drop_locked(dir);
        if (!(e->mask & (LINUX_IN_CREATE | LINUX_IN_DELETE | LINUX_IN_MOVED_FROM | LINUX_IN_MOVED_TO)))
            return;
    }
    gino_attr_changed(dir);
}

static void fs_event(struct gofer_fs *g, const struct gofer_event *e) {
    struct gofer_inode *next, *dir;
    mutex_lock(&g->tree_lock);
    dir = RB_ROOT(&g->watches);
    for (next = NULL; dir;) { /* the first of that watch */
        if (dir->watch >= e->watch) {
            next = dir;
            dir = RB_LEFT(dir, watch_node);
        } else {
            dir = RB_RIGHT(dir, watch_node);
        }
    }
    while ((dir = next) && dir->watch == e->watch) {
        next = RB_NEXT(gofer_watch_tree, &g->watches, dir);
        dir_event_locked(dir, e);
    }
    mutex_unlock(&g->tree_lock);
}

void gfs_distrust_all_locked(struct gofer_fs *g) {
    struct gofer_inode *i;
    mutex_lock(&g->tree_lock);
    RB_FOREACH(i, gofer_inode_tree, &g->inodes) {
        gino_attr_changed(i);
        if (inode_is_dir(&i->inode)) {
            gofer_listing_drop_locked(i);
            pend_all_locked(i);
        }
    }
    mutex_unlock(&g->tree_lock);
}

static void session_event_locked(struct gofer_session *s, const struct gofer_event *e) {
    struct gofer_fs *g;
    list_for_each_entry(g, &s->filesystems, session_node) {
        if (e->mask & LINUX_IN_Q_OVERFLOW)
            gfs_distrust_all_locked(g);
        else
            fs_event(g, e);
    }
}

void gofer_session_drain(struct gofer_session *s) {
    int fd = gofer_session_event_fd(s);
    char buf[4096] __attribute__((aligned(8)));
    if (fd < 0)
        return;
    might_block();
    mutex_lock(&s->events_lock);
    int64_t now = monotonic_ns();
    for (;;) {
        ssize_t n = gofer_host_read_events(fd, buf, sizeof(buf));
        struct gofer_event e;
        size_t at = 0;
        if (n <= 0)
            break;
        while (gofer_host_next_event(buf, (size_t)n, &at, &e))
            session_event_locked(s, &e);
    }
    atomic_store(&s->drained_at, now);
    mutex_unlock(&s->events_lock);
}

void gfs_drain_if_due(struct gofer_fs *g) {
    if (monotonic_ns() - atomic_load_explicit(&g->session->drained_at, memory_order_relaxed) >=
        DRAIN_INTERVAL_NS)
        gofer_session_drain(g->session);
}

void gfs_apply_pending(struct gofer_inode *dir, struct dentry *d) {
    struct gofer_session *s = gfs_of(&dir->inode)->session;
    char *names[GFS_PENDING_NAMES];
    mutex_lock(&s->events_lock);
    uint32_t count = dir->pending_count;
    bool all = dir->pending_all;
    memcpy(names, dir->pending, sizeof(names));
    dir->pending_count = 0;
    dir->pending_all = false;
    /* Marked stale before others may believe that nothing is pending. */
    for (uint32_t i = 0; i < count; i++)
        dentry_invalidate(d, names[i], strlen(names[i]));
    if (all)
        dentry_invalidate_tree(d);
    atomic_store_explicit(&dir->has_pending, false, memory_order_release);
    mutex_unlock(&s->events_lock);
    for (uint32_t i = 0; i < count; i++)
        heap_free(names[i]);
}

bool gino_watched(struct gofer_inode *i) {
    struct gofer_fs *g = gfs_of(&i->inode);
    mutex_lock(&g->tree_lock);
    const struct gofer_inode *dir = inode_is_dir(&i->inode) ? i : i->parent;
    bool watched = dir && dir->watch >= 0;
    mutex_unlock(&g->tree_lock);
    return watched;
}

void gfs_drop_pending(struct gofer_inode *dir) {
    drop_names_locked(dir);
}

void gfs_set_watch(struct gofer_inode *dir, int watch) {
    struct gofer_fs *g = gfs_of(&dir->inode);
    if (watch < 0)
        return;
    mutex_lock(&g->tree_lock);
    if (dir->watch < 0) {
        dir->watch = watch;
        RB_INSERT(gofer_watch_tree, &g->watches, dir);
    }
    mutex_unlock(&g->tree_lock);
}
