/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/epoll.c: see epoll.h. Source: epoll(7), epoll_ctl(2).
 *
 * An epoll file is a handle on a core (struct epoll), which its items keep too. An item watches one
 * (descriptor number, open file) and does not keep that file: the end of the file takes its items off
 * (epoll_file_gone). An item waits on the file's poll queue; a wake-up puts it on the core's ready list and
 * wakes who waits for the core. What is on the ready list may be ready: a collect asks the file, gives the
 * event, and puts level-triggered items back.
 *
 * Locks: vfs.epoll_graph (changes of who watches whom among epoll files) -> epoll.lock (items; over ready()
 * of what is watched, watcher before watched) -> the file's own; in wake-ups the queue of the object ->
 * epoll.ready_lock, and then the queue of the core.
 */
#include "sentry/vfs/epoll.h"

#include <bsd/sys/tree.h>
#include <errno.h>
#include <stdio.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs_internal.h"

enum { MAX_NESTING = 5, MAX_ITEMS = 1 << 20 };
#define PRIVATE_BITS (LINUX_EPOLLET | LINUX_EPOLLONESHOT | LINUX_EPOLLWAKEUP | LINUX_EPOLLEXCLUSIVE)
#define EXCLUSIVE_OK                                                                                         \
    (LINUX_EPOLLIN | LINUX_EPOLLOUT | LINUX_EPOLLERR | LINUX_EPOLLHUP | LINUX_EPOLLWAKEUP | LINUX_EPOLLET |  \
     LINUX_EPOLLEXCLUSIVE)

struct epitem {
    struct ref ref;
    RB_ENTRY(epitem) node; /* epoll.lock */
    struct epoll *ep;      /* reference */
    struct file *file;     /* not kept; epoll.lock: NULL once taken off */
    int fd;
    uint64_t data;           /* epoll.lock */
    _Atomic uint32_t events; /* written with epoll.lock; read in wake-ups */
    struct waiter waiter;
    struct list file_node;  /* in file.epoll_items: file.lock */
    struct list ready_node; /* epoll.ready_lock */
};
DECLARE_REF(epitem);
HEAP_TYPE(epitem, struct epitem, 0);

struct epoll {
    struct ref ref;
    struct file *file; /* the handle, not kept; epoll_graph: NULL once closed */
    struct mutex lock; /* RANK_EPOLL */
    RB_HEAD(epitems, epitem) items;
    size_t count;
    struct mutex ready_lock; /* RANK_EPOLL_READY */
    struct list ready;       /* of epitem.ready_node */
    struct waitq queue;
};
DECLARE_REF(epoll);
HEAP_TYPE(epoll, struct epoll, 0);

struct epoll_file {
    struct file base;
    struct epoll *core;
};
HEAP_TYPE(epoll_file, struct epoll_file, 0);

static int compare(const struct epitem *a, const struct epitem *b) {
    if (a->file != b->file)
        return a->file > b->file ? 1 : -1;
    return (a->fd > b->fd) - (a->fd < b->fd);
}
RB_GENERATE_INTERNAL(epitems, epitem, node, compare, static __attribute__((unused)))

static void epoll_destroy(struct epoll *ep) {
    ASSERT(RB_EMPTY(&ep->items));
    heap_free(ep);
}
DEFINE_REF(epoll, epoll_destroy);

static void epitem_destroy(struct epitem *i) {
    epoll_unref(i->ep);
    heap_free(i);
}
DEFINE_REF(epitem, epitem_destroy);

static const struct file_ops epoll_file_ops;

static struct epoll *core_of(const struct file *f) {
    return container_of(f, struct epoll_file, base)->core;
}

bool file_is_epoll(const struct file *f) {
    return f->ops == &epoll_file_ops;
}

/* ---- items ---- */

static void make_ready(struct epitem *i) {
    mutex_lock(&i->ep->ready_lock);
    if (list_empty(&i->ready_node))
        list_add_tail(&i->ep->ready, &i->ready_node);
    mutex_unlock(&i->ep->ready_lock);
}

static void item_notify(struct waiter *w, uint32_t events) {
    struct epitem *i = container_of(w, struct epitem, waiter);
    uint32_t wanted = atomic_load_explicit(&i->events, memory_order_relaxed);

    if (!(wanted & ~PRIVATE_BITS) || !(events & wanted))
        return;
    make_ready(i);
    waitq_wake(&i->ep->queue, LINUX_POLLIN | LINUX_POLLRDNORM);
}

static const struct waiter_ops item_waiter_ops = {.notify = item_notify};

static uint32_t item_ready_locked(struct epitem *i) {
    uint32_t wanted = atomic_load_explicit(&i->events, memory_order_relaxed) & ~PRIVATE_BITS;

    return wanted ? file_ready(i->file, wanted) & wanted : 0;
}

/* Off everything: the tree's reference goes. */
static void item_detach_locked(struct epitem *i) {
    struct epoll *ep = i->ep;
    struct file *f = i->file;

    waitq_remove(&i->waiter);
    RB_REMOVE(epitems, &ep->items, i);
    ep->count--;
    mutex_lock(&ep->ready_lock);
    list_del(&i->ready_node);
    mutex_unlock(&ep->ready_lock);
    i->file = NULL;
    mutex_lock(&f->lock);
    list_del(&i->file_node);
    mutex_unlock(&f->lock); /* from here on the file may go */
}

void epoll_file_gone(struct file *f) {
    for (;;) {
        mutex_lock(&f->lock);
        struct epitem *i = list_empty(&f->epoll_items)
                               ? NULL
                               : epitem_ref(list_first_entry(&f->epoll_items, struct epitem, file_node));
        mutex_unlock(&f->lock);
        if (!i)
            return;
        mutex_lock(&i->ep->lock);
        bool mine = i->file != NULL;
        if (mine)
            item_detach_locked(i);
        mutex_unlock(&i->ep->lock);
        if (mine)
            epitem_unref(i);
        epitem_unref(i);
    }
}

/* ---- nesting ---- */

/* Longest chain of epoll files from `ep` down; too large when `stop` is met. epoll_graph held, which keeps
 * the graph as it is. */
static int depth_below(struct epoll *ep, const struct epoll *stop, int limit) {
    int deepest = 0;
    struct epitem *i;

    if (ep == stop || limit == 0)
        return MAX_NESTING + 1;
    mutex_lock_nested(&ep->lock); /* watcher before watched */
    RB_FOREACH(i, epitems, &ep->items)
    if (file_is_epoll(i->file))
        deepest = MAX(deepest, 1 + depth_below(core_of(i->file), stop, limit - 1));
    mutex_unlock(&ep->lock);
    return deepest;
}

static int depth_above(struct epoll *ep, int limit) {
    struct epoll *up[8];
    struct epitem *i;
    size_t n = 0;
    int highest = 0;

    if (limit == 0 || !ep->file)
        return 0;
    mutex_lock(&ep->file->lock);
    list_for_each_entry(i, &ep->file->epoll_items, file_node) if (n < ARRAY_SIZE(up)) up[n++] =
        epoll_ref(i->ep);
    mutex_unlock(&ep->file->lock);
    for (size_t k = 0; k < n; k++) {
        highest = MAX(highest, 1 + depth_above(up[k], limit - 1));
        epoll_unref(up[k]);
    }
    return highest;
}

static int check_nesting(struct epoll *ep, struct epoll *target) {
    int below = depth_below(target, ep, MAX_NESTING);

    return below + depth_above(ep, MAX_NESTING) + 1 >= MAX_NESTING ? -ELOOP : 0;
}

/* ---- control ---- */

static struct epitem *find_locked(struct epoll *ep, int fd, struct file *f) {
    struct epitem key = {.fd = fd, .file = f};

    return RB_FIND(epitems, &ep->items, &key);
}

static void set_interest_locked(struct epitem *i, const struct linux_epoll_event *event) {
    i->data = event->data;
    atomic_store(&i->events, event->events | LINUX_EPOLLERR | LINUX_EPOLLHUP);
    i->waiter.events = event->events | LINUX_EPOLLERR | LINUX_EPOLLHUP;
}

static int add_locked(struct epoll *ep, int fd, struct file *f, const struct linux_epoll_event *event,
                      struct epitem *i) {
    if (find_locked(ep, fd, f))
        return -EEXIST;
    if (ep->count >= MAX_ITEMS)
        return -ENOSPC;
    i->file = f;
    i->fd = fd;
    waiter_init(&i->waiter, &item_waiter_ops, 0);
    set_interest_locked(i, event);
    i->waiter.exclusive = event->events & LINUX_EPOLLEXCLUSIVE;
    RB_INSERT(epitems, &ep->items, i);
    ep->count++;
    mutex_lock(&f->lock);
    list_add_tail(&f->epoll_items, &i->file_node);
    mutex_unlock(&f->lock);
    struct waitq *q = file_poll_queue(f);
    if (q)
        waitq_add(q, &i->waiter);
    return 0;
}

static int modify_locked(struct epitem *i, const struct linux_epoll_event *event) {
    if (atomic_load(&i->events) & LINUX_EPOLLEXCLUSIVE)
        return -EINVAL;
    struct waitq *q = i->waiter.queue;
    waitq_remove(&i->waiter); /* its mask changes */
    set_interest_locked(i, event);
    if (q)
        waitq_add(q, &i->waiter);
    return 0;
}

static struct epitem *item_new(struct epoll *ep) {
    struct epitem *i = heap_new(epitem);

    if (!i)
        return NULL;
    epitem_ref_init(i);
    i->ep = epoll_ref(ep);
    list_init(&i->file_node);
    list_init(&i->ready_node);
    return i;
}

static int control_locked(struct epoll *ep, int op, int fd, struct file *f,
                          const struct linux_epoll_event *event, struct epitem **spare) {
    struct epitem *i = find_locked(ep, fd, f);
    int r;

    if (op == LINUX_EPOLL_CTL_ADD) {
        i = *spare;
        r = add_locked(ep, fd, f, event, i);
        if (r == 0)
            *spare = NULL;
    } else if (!i) {
        return -ENOENT;
    } else if (op == LINUX_EPOLL_CTL_DEL) {
        item_detach_locked(i);
        *spare = i; /* the tree's reference, for the caller to drop */
        return 0;
    } else {
        r = modify_locked(i, event);
    }
    if (r == 0 && item_ready_locked(i)) {
        make_ready(i);
        waitq_wake(&ep->queue, LINUX_POLLIN | LINUX_POLLRDNORM);
    }
    return r;
}

static int control(struct epoll *ep, int op, int fd, struct file *target,
                   const struct linux_epoll_event *event, struct epitem **spare) {
    mutex_lock(&ep->lock);
    int r = control_locked(ep, op, fd, target, event, spare);
    mutex_unlock(&ep->lock);
    return r;
}

/* An epoll file that is to watch another: nobody else changes that graph meanwhile. */
static int add_nested(struct vfs *v, struct epoll *ep, int fd, struct file *target,
                      const struct linux_epoll_event *event, struct epitem **spare) {
    mutex_lock(&v->epoll_graph);
    int r = check_nesting(ep, core_of(target));
    if (r == 0)
        r = control(ep, LINUX_EPOLL_CTL_ADD, fd, target, event, spare);
    mutex_unlock(&v->epoll_graph);
    return r;
}

int epoll_control(struct file *epf, int op, int fd, struct file *target,
                  const struct linux_epoll_event *event) {
    if (!target->ops->poll_queue && !target->ops->ready)
        return -EPERM;
    if (!file_is_epoll(epf) || epf == target)
        return -EINVAL;
    if (op != LINUX_EPOLL_CTL_DEL && event->events & LINUX_EPOLLEXCLUSIVE) {
        if (op == LINUX_EPOLL_CTL_MOD || file_is_epoll(target) || event->events & ~EXCLUSIVE_OK)
            return -EINVAL;
    }
    if (op != LINUX_EPOLL_CTL_ADD && op != LINUX_EPOLL_CTL_MOD && op != LINUX_EPOLL_CTL_DEL)
        return -EINVAL;
    struct epoll *ep = core_of(epf);
    struct epitem *spare = op == LINUX_EPOLL_CTL_ADD ? item_new(ep) : NULL;
    int r = -ENOMEM;
    if (op == LINUX_EPOLL_CTL_ADD && spare && file_is_epoll(target))
        r = add_nested(vfs_of(epf->inode->fs), ep, fd, target, event, &spare);
    else if (op != LINUX_EPOLL_CTL_ADD || spare)
        r = control(ep, op, fd, target, event, &spare);
    epitem_unref(spare);
    return r;
}

/* ---- collecting ---- */

static struct epitem *pop_ready(struct epoll *ep, struct list *from) {
    struct epitem *i = NULL;

    mutex_lock(&ep->ready_lock);
    if (!list_empty(from)) {
        i = list_first_entry(from, struct epitem, ready_node);
        list_del(&i->ready_node);
    }
    mutex_unlock(&ep->ready_lock);
    return i;
}

/* Taken off the list before its file is asked: a wake-up in between lists it again. */
static int harvest_locked(struct epoll *ep, struct linux_epoll_event *ret, int max) {
    struct list scan = LIST_INIT(scan);
    struct epitem *i;
    int n = 0;

    mutex_lock(&ep->ready_lock);
    list_splice_tail(&scan, &ep->ready);
    mutex_unlock(&ep->ready_lock);
    while (n < max && (i = pop_ready(ep, &scan))) {
        uint32_t events = atomic_load(&i->events), now = item_ready_locked(i);
        if (!now)
            continue;
        ret[n++] = (struct linux_epoll_event){now, i->data};
        if (events & LINUX_EPOLLONESHOT)
            atomic_store(&i->events, events & PRIVATE_BITS);
        else if (!(events & LINUX_EPOLLET))
            make_ready(i);
    }
    /* What was not looked at keeps its turn. */
    mutex_lock(&ep->ready_lock);
    list_splice_tail(&scan, &ep->ready);
    list_splice_tail(&ep->ready, &scan);
    mutex_unlock(&ep->ready_lock);
    return n;
}

static int harvest(struct epoll *ep, struct linux_epoll_event *ret, int max) {
    mutex_lock(&ep->lock);
    int n = harvest_locked(ep, ret, max);
    mutex_unlock(&ep->lock);
    return n;
}

int epoll_collect(struct task *t, struct file *epf, struct linux_epoll_event *ret, int max,
                  int64_t deadline) {
    struct epoll *ep = core_of(epf);
    struct waiter w;
    int r = 0, n = harvest(ep, ret, max);

    if (n > 0 || deadline == 0)
        return n;
    waiter_init_task(&w, t, LINUX_POLLIN);
    w.exclusive = true;
    waitq_add(&ep->queue, &w);
    while ((n = harvest(ep, ret, max)) == 0) {
        r = task_block(t, deadline);
        if (r < 0)
            break;
    }
    waitq_remove(&w);
    return n > 0 ? n : r == -ETIMEDOUT ? 0 : r;
}

size_t epoll_item_count(struct file *f) {
    struct epoll *ep = core_of(f);

    mutex_lock(&ep->lock);
    size_t n = ep->count;
    mutex_unlock(&ep->lock);
    return n;
}

/* ---- as a file ---- */

static uint32_t epoll_ready(struct file *f, uint32_t events) {
    struct epoll *ep = core_of(f);
    struct list scan = LIST_INIT(scan);
    struct epitem *i;
    bool any = false;

    (void)events;
    mutex_lock_nested(&ep->lock); /* asked by an epoll file that watches this one */
    mutex_lock(&ep->ready_lock);
    list_splice_tail(&scan, &ep->ready);
    mutex_unlock(&ep->ready_lock);
    while (!any && (i = pop_ready(ep, &scan))) {
        any = item_ready_locked(i) != 0;
        if (any)
            make_ready(i);
    }
    mutex_lock(&ep->ready_lock);
    list_splice_tail(&ep->ready, &scan);
    mutex_unlock(&ep->ready_lock);
    mutex_unlock(&ep->lock);
    return any ? LINUX_POLLIN | LINUX_POLLRDNORM : 0;
}

static struct waitq *epoll_poll_queue(struct file *f) {
    return &core_of(f)->queue;
}

static size_t epoll_show(struct file *f, char *buf, size_t size) {
    struct epoll *ep = core_of(f);
    struct epitem *i;
    size_t at = 0;

    mutex_lock(&ep->lock);
    RB_FOREACH(i, epitems, &ep->items) {
        int n = snprintf(buf + at, size - at, "tfd: %8d events: %8x data: %16lx  pos:%lu ino:%lx sdev:%lx\n",
                         i->fd, i->events, (unsigned long)i->data, (unsigned long)i->file->pos,
                         (unsigned long)i->file->inode->ino, (unsigned long)i->file->inode->fs->dev);
        if (n < 0 || (size_t)n >= size - at)
            break;
        at += (size_t)n;
    }
    mutex_unlock(&ep->lock);
    return at;
}

static void epoll_release(struct file *f) {
    struct vfs *v = vfs_of(f->inode->fs);
    struct epoll *ep = core_of(f);
    struct epitem *i;

    mutex_lock(&v->epoll_graph);
    ep->file = NULL;
    mutex_unlock(&v->epoll_graph);
    for (;;) {
        mutex_lock(&ep->lock);
        i = RB_ROOT(&ep->items);
        if (i)
            item_detach_locked(i);
        mutex_unlock(&ep->lock);
        if (!i)
            break;
        epitem_unref(i);
    }
    epoll_unref(ep);
    file_done(f);
    heap_free(container_of(f, struct epoll_file, base));
}

static const struct file_ops epoll_file_ops = {
    .name = "epoll",
    .ready = epoll_ready,
    .poll_queue = epoll_poll_queue,
    .show_fdinfo = epoll_show,
    .release = epoll_release,
};

int epoll_create(struct task *t, struct file **ret) {
    struct epoll_file *f = heap_new(epoll_file);
    struct epoll *ep = heap_new(epoll);

    if (!f || !ep) {
        heap_free(f);
        heap_free(ep);
        return -ENOMEM;
    }
    int r = file_init_anon(&f->base, &epoll_file_ops, "anon_inode:[eventpoll]", 0, LINUX_O_RDWR,
                           FILE_READ | FILE_WRITE | FILE_STREAM, task_creds(t));
    if (r < 0) {
        heap_free(f);
        heap_free(ep);
        return r;
    }
    epoll_ref_init(ep);
    mutex_init(&ep->lock, RANK_EPOLL);
    mutex_init(&ep->ready_lock, RANK_EPOLL_READY);
    RB_INIT(&ep->items);
    list_init(&ep->ready);
    waitq_init(&ep->queue);
    ep->file = &f->base;
    f->core = ep;
    *ret = &f->base;
    return 0;
}
