/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/fanotify_event.c: from what happens to groups' queues, and permission. The files that read them:
 * fanotify.c.
 */
#include <errno.h>
#include <string.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/current.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fanotify_internal.h"

enum { MAX_QUEUED = 16384, GROUPS_AT_ONCE = 16, MERGE_DEPTH = 16 };

HEAP_TYPE(fan_event, struct fan_event, 0);

static void fan_event_destroy(struct fan_event *e) {
    path_put(&e->path);
    pid_unref(e->pid);
    heap_free(e->name);
    heap_free(e);
}
DEFINE_REF(fan_event, fan_event_destroy);

/* ---- what happened ---- */

struct happening {
    uint64_t mask;                 /* of events, without ONDIR */
    const struct path *path;       /* NULL: a name alone */
    struct inode *object, *parent; /* either may be NULL */
    const char *name;              /* of object in parent */
    size_t name_len;
    bool on_dir, of_name; /* the object is a directory; a name came or went */
};

/* Groups to tell, with references, and what of. */
struct audience {
    struct {
        struct fan_group *group;
        uint64_t mask, ignored;
    } to[GROUPS_AT_ONCE];
    size_t count;
};

/* Does the mark see it; as one of the parent's children? */
static bool mark_sees(const struct fan_mark *m, const struct happening *h, bool *ret_as_child) {
    *ret_as_child = false;
    switch (m->type) {
    case FAN_MOUNT:
        return h->path && h->path->mount == m->mount;
    case FAN_FILESYSTEM:
        return m->fs == (h->object ? h->object->fs : h->parent->fs);
    default:
        if (m->inode == h->object && !h->of_name)
            return true;
        *ret_as_child = true;
        return m->inode == h->parent && h->parent;
    }
}

static void add_to(struct audience *a, struct fan_group *g, uint64_t mask, uint64_t ignored) {
    size_t i = 0;

    while (i < a->count && a->to[i].group != g)
        i++;
    if (i == GROUPS_AT_ONCE)
        return;
    if (i == a->count) {
        a->to[i].group = fan_group_ref(g);
        a->to[i].mask = a->to[i].ignored = 0;
        a->count++;
    }
    a->to[i].mask |= mask;
    a->to[i].ignored |= ignored;
}

static void find_audience(struct vfs *v, const struct happening *h, struct audience *ret) {
    struct fan_mark *m;

    ret->count = 0;
    mutex_lock(&v->fan_lock);
    list_for_each_entry(m, &v->fan_marks, node) {
        bool as_child;
        if (!mark_sees(m, h, &as_child))
            continue;
        if (h->mask & LINUX_IN_MODIFY && !m->ignored_survives && !as_child)
            m->ignored = 0;
        uint64_t mask = m->mask;
        if ((as_child && !h->of_name && !(mask & LINUX_FAN_EVENT_ON_CHILD)) ||
            (h->on_dir && !(mask & LINUX_FAN_ONDIR)))
            mask = 0;
        if (mask & h->mask || m->ignored & h->mask)
            add_to(ret, m->group, mask & h->mask, m->ignored & h->mask);
    }
    mutex_unlock(&v->fan_lock);
}

static struct fan_event *event_new(const struct fan_group *g, const struct happening *h, uint64_t mask) {
    struct fan_event *e = heap_new(fan_event);
    struct task *t = task_current();

    if (!e)
        return NULL;
    fan_event_ref_init(e);
    list_init(&e->node);
    e->mask = mask | (h->on_dir && g->flags & FAN_FID_MODE ? LINUX_FAN_ONDIR : 0);
    if (t)
        e->pid = pid_ref(g->flags & LINUX_FAN_REPORT_TID ? t->pid : t->group->pid);
    if (!(g->flags & FAN_FID_MODE)) {
        e->path = h->path ? path_get(h->path) : (struct path){0};
        return e;
    }
    /* Without directories of their own, names that come and go are events of their directory. */
    struct inode *object = h->of_name && !(g->flags & LINUX_FAN_REPORT_DIR_FID) ? h->parent : h->object;
    if (object)
        e->object = (struct fan_object){object->fs->dev, object->ino};
    bool self = h->on_dir && !h->of_name; /* an event of a directory itself: its own "." */
    struct inode *dir = self ? h->object : h->parent;
    if (dir)
        e->dir = (struct fan_object){dir->fs->dev, dir->ino};
    if (g->flags & LINUX_FAN_REPORT_NAME && dir)
        e->name = self ? heap_strdup(".") : heap_strndup(h->name, h->name_len);
    return e;
}

/* ---- queues ---- */

static bool same_name(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Into an event of the same object and process that waits already? */
static bool merge_locked(struct fan_group *g, const struct fan_event *e) {
    struct list *at = g->events.prev;

    for (int i = 0; at != &g->events && i < MERGE_DEPTH; i++, at = at->prev) {
        struct fan_event *old = container_of(at, struct fan_event, node);
        if (old->pid == e->pid && path_equal(&old->path, &e->path) && old->object.ino == e->object.ino &&
            old->dir.ino == e->dir.ino && same_name(old->name, e->name) &&
            !(old->mask & FAN_PERMISSION_EVENTS)) {
            old->mask |= e->mask;
            return true;
        }
    }
    return false;
}

/* Takes the event's reference. False: nobody will answer. */
static bool queue_event(struct fan_group *g, struct fan_event *e, bool merge) {
    mutex_lock(&g->lock);
    bool full = g->event_count >= MAX_QUEUED && !(g->flags & LINUX_FAN_UNLIMITED_QUEUE);
    bool drop = g->closed || full || (merge && merge_locked(g, e));
    g->overflowed |= full && !g->closed;
    if (!drop) {
        list_add_tail(&g->events, &e->node);
        g->event_count++;
    }
    mutex_unlock(&g->lock);
    if (drop)
        fan_event_unref(e);
    waitq_wake(&g->queue, LINUX_POLLIN | LINUX_POLLRDNORM);
    return !drop;
}

struct fan_event *fan_take_event(struct fan_group *g) {
    struct fan_event *e = NULL;

    mutex_lock(&g->lock);
    if (!list_empty(&g->events)) {
        e = list_first_entry(&g->events, struct fan_event, node);
        list_del(&e->node);
        g->event_count--;
    }
    mutex_unlock(&g->lock);
    return e;
}

/* The group ends: what waits for it may go on. */
void fan_flush(struct fan_group *g) {
    struct fan_event *e;

    mutex_lock(&g->lock);
    g->closed = true;
    mutex_unlock(&g->lock);
    while ((e = fan_take_event(g)))
        fan_event_unref(e);
    for (;;) {
        mutex_lock(&g->lock);
        e = list_empty(&g->asked) ? NULL : list_first_entry(&g->asked, struct fan_event, node);
        if (e)
            list_del(&e->node);
        mutex_unlock(&g->lock);
        if (!e)
            break;
        fan_event_unref(e);
    }
    waitq_wake(&g->responses, WAIT_ANY);
}

static void tell(struct vfs *v, const struct happening *h) {
    struct audience a;

    find_audience(v, h, &a);
    for (size_t i = 0; i < a.count; i++) {
        struct fan_group *g = a.to[i].group;
        uint64_t mask = a.to[i].mask & ~a.to[i].ignored & ~(uint64_t)FAN_PERMISSION_EVENTS;
        struct fan_event *e = mask ? event_new(g, h, mask) : NULL;
        if (e)
            (void)queue_event(g, e, /* merge= */ true);
        fan_group_unref(g);
    }
}

static bool nobody_marks(const struct vfs *v) {
    return atomic_load_explicit(&v->fan_mark_count, memory_order_relaxed) == 0;
}

void fanotify_path_event(const struct path *p, uint64_t mask) {
    struct vfs *v = vfs_of(p->dentry->fs);
    char name[256];
    size_t len = 0;

    if (likely(nobody_marks(v)) || !p->dentry->inode)
        return;
    struct dentry *parent = dentry_parent_and_name(p->dentry, name, &len);
    struct happening h = {.mask = mask,
                          .path = p,
                          .object = p->dentry->inode,
                          .parent = parent != p->dentry ? parent->inode : NULL,
                          .name = name,
                          .name_len = len,
                          .on_dir = inode_is_dir(p->dentry->inode)};
    tell(v, &h);
    dentry_unref(parent);
}

void fanotify_name_event(struct inode *dir, const char *name, size_t len, struct inode *child,
                         uint64_t mask) {
    struct vfs *v = vfs_of(dir->fs);
    bool of_name = mask & FAN_NAME_EVENTS;

    if (likely(nobody_marks(v)))
        return;
    struct happening h = {.mask = mask,
                          .object = child,
                          .parent = dir,
                          .name = name,
                          .name_len = len,
                          .on_dir = child && inode_is_dir(child),
                          .of_name = of_name};
    tell(v, &h);
}

void fanotify_self_event(struct inode *i, uint64_t mask) {
    struct vfs *v = vfs_of(i->fs);
    struct happening h = {.mask = mask, .object = i, .on_dir = inode_is_dir(i)};

    if (unlikely(!nobody_marks(v)))
        tell(v, &h);
}

/* ---- permission ---- */

static uint32_t response_of(struct fan_group *g, struct fan_event *e) {
    mutex_lock(&g->lock);
    uint32_t r = e->response ? e->response : g->closed ? LINUX_FAN_ALLOW : 0;
    mutex_unlock(&g->lock);
    return r;
}

static int ask(struct task *t, struct fan_group *g, struct fan_event *e) {
    struct waiter w;
    uint32_t response;
    int r = 0;

    if (!queue_event(g, fan_event_ref(e), /* merge= */ false))
        return 0;
    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&g->responses, &w);
    while (!(response = response_of(g, e)) && r == 0)
        r = task_block_killable(t, CLOCK_NEVER);
    waitq_remove(&w);
    if (r < 0)
        return r;
    return response == LINUX_FAN_ALLOW ? 0 : -EPERM;
}

int fanotify_permission(struct task *t, const struct path *p, uint64_t mask) {
    struct vfs *v = vfs_of(p->dentry->fs);
    struct audience a;
    int r = 0;

    if (likely(nobody_marks(v)) || !t)
        return 0;
    struct dentry *parent = dentry_parent(p->dentry);
    struct happening h = {.mask = mask,
                          .path = p,
                          .object = p->dentry->inode,
                          .parent = parent != p->dentry ? parent->inode : NULL,
                          .on_dir = inode_is_dir(p->dentry->inode)};
    find_audience(v, &h, &a);
    dentry_unref(parent);
    for (size_t i = 0; i < a.count; i++) {
        uint64_t wanted = a.to[i].mask & ~a.to[i].ignored;
        struct fan_event *e = r == 0 && wanted ? event_new(a.to[i].group, &h, wanted) : NULL;
        if (e)
            r = ask(t, a.to[i].group, e);
        fan_event_unref(e);
        fan_group_unref(a.to[i].group);
    }
    return r;
}
