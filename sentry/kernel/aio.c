/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/aio.c: see aio.h. Lock order: mm.lock finds the table; context.lock (RANK_EVENT) protects a
 * context; neither is held over a call of a file's operations.
 */
#include "sentry/kernel/aio.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/abi/linux/mman.h"
#include "base/ref.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/file.h"

struct aio_poll {
    struct list node; /* context.polls */
    struct waiter waiter;
    struct aio_context *context; /* borrowed: it takes its polls off before it ends */
    struct aio_poll_request request;
    _Atomic bool marked;   /* the file's queue has called since it was last asked */
    _Atomic uint32_t said; /* ... and with what events: Linux gives those as the result */
};
HEAP_TYPE(aio_poll, struct aio_poll, 0);

struct aio_done {
    struct list node; /* context.done */
    struct aio_event event;
};
HEAP_TYPE(aio_done, struct aio_done, 0);

struct aio_context {
    struct ref ref;
    struct list node;   /* table.contexts */
    uint64_t id;        /* address of its page */
    unsigned requests;  /* how many may be under way or waiting */
    struct waitq queue; /* collectors */
    struct mutex lock;  /* RANK_EVENT; the rest */
    struct list polls;  /* of aio_poll.node */
    struct list done;   /* of aio_done.node, oldest first */
    unsigned used;      /* reserved, under way or waiting */
    bool dead;
};
HEAP_TYPE(aio_context, struct aio_context, 0);
DECLARE_REF(aio_context);

struct aio_table {
    struct mutex lock; /* RANK_LEAF */
    struct list contexts;
    uint64_t requests;
};
HEAP_TYPE(aio_table, struct aio_table, 0);

static void context_destroy(struct aio_context *c) {
    struct aio_done *d, *next;

    ASSERT(list_empty(&c->polls));
    list_for_each_entry_safe(d, next, &c->done, node) {
        heap_free(d);
    }
    heap_free(c);
}
DEFINE_REF(aio_context, context_destroy);

void aio_put(struct aio_context *c) {
    aio_context_unref(c);
}

/* ---- contexts ---- */

static struct aio_table *table_of(struct mm *mm, bool make) {
    struct aio_table *fresh = NULL;

    mutex_lock(&mm->lock);
    struct aio_table *table = mm->aio;
    mutex_unlock(&mm->lock);
    if (table || !make)
        return table;
    fresh = heap_new(aio_table);
    if (!fresh)
        return NULL;
    mutex_init(&fresh->lock, RANK_LEAF);
    list_init(&fresh->contexts);
    mutex_lock(&mm->lock);
    if (!mm->aio)
        mm->aio = TAKE(fresh);
    table = mm->aio;
    mutex_unlock(&mm->lock);
    heap_free(fresh);
    return table;
}

static struct aio_context *context_new(unsigned requests) {
    struct aio_context *c = heap_new(aio_context);

    if (!c)
        return NULL;
    aio_context_ref_init(c);
    c->requests = requests;
    waitq_init(&c->queue);
    mutex_init(&c->lock, RANK_EVENT);
    list_init(&c->node);
    list_init(&c->polls);
    list_init(&c->done);
    return c;
}

static int enter_in_table(struct aio_table *table, struct aio_context *c) {
    mutex_lock(&table->lock);
    bool fits = table->requests + c->requests <= AIO_MAX_REQUESTS;
    if (fits) {
        table->requests += c->requests;
        list_add_tail(&table->contexts, &c->node);
    }
    mutex_unlock(&table->lock);
    return fits ? 0 : -EAGAIN;
}

int aio_setup(struct task *t, unsigned requests, uint64_t *ret) {
    struct aio_table *table = table_of(t->mm, /* make= */ true);
    struct aio_context *c = table ? context_new(requests) : NULL;
    const struct mmap_request page = {.len = PAGE_SIZE,
                                      .prot = LINUX_PROT_READ | LINUX_PROT_WRITE,
                                      .flags = LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS};

    might_block();
    if (!c)
        return -ENOMEM;
    int64_t at = mm_mmap(t, t->mm, &page);
    if (at < 0) {
        aio_put(c);
        return (int)at;
    }
    c->id = (uint64_t)at;
    int r = enter_in_table(table, c);
    if (r < 0) {
        (void)!mm_munmap(t->mm, c->id, PAGE_SIZE);
        aio_put(c);
        return r;
    }
    *ret = c->id;
    return 0;
}

static struct aio_context *find_locked(struct aio_table *table, uint64_t id) {
    struct aio_context *c;

    list_for_each_entry(c, &table->contexts, node) {
        if (c->id == id)
            return c;
    }
    return NULL;
}

struct aio_context *aio_get(struct task *t, uint64_t id) {
    struct aio_table *table = table_of(t->mm, /* make= */ false);

    if (!table)
        return NULL;
    mutex_lock(&table->lock);
    struct aio_context *c = find_locked(table, id);
    if (c)
        aio_context_ref(c);
    mutex_unlock(&table->lock);
    return c;
}

static void poll_free(struct aio_poll *p) {
    waitq_remove(&p->waiter);
    file_unref(p->request.file);
    file_unref(p->request.notify);
    heap_free(p);
}

/* A poll of the context that `wanted` names (NULL: any), taken off the list; or NULL. */
static struct aio_poll *take_poll(struct aio_context *c, const uint64_t *wanted) {
    struct aio_poll *p, *found = NULL;

    mutex_lock(&c->lock);
    list_for_each_entry(p, &c->polls, node) {
        if (!wanted || p->request.object == *wanted) {
            found = p;
            list_del(&p->node);
            break;
        }
    }
    mutex_unlock(&c->lock);
    return found;
}

/* Off the table already. */
static void end_context(struct aio_context *c) {
    struct aio_poll *p;

    mutex_lock(&c->lock);
    c->dead = true;
    mutex_unlock(&c->lock);
    while ((p = take_poll(c, NULL)))
        poll_free(p);
    waitq_wake(&c->queue, WAIT_ANY);
    aio_put(c);
}

int aio_destroy(struct task *t, uint64_t id) {
    struct aio_table *table = table_of(t->mm, /* make= */ false);

    might_block();
    if (!table)
        return -EINVAL;
    mutex_lock(&table->lock);
    struct aio_context *c = find_locked(table, id);
    if (c) {
        list_del(&c->node);
        table->requests -= c->requests;
    }
    mutex_unlock(&table->lock);
    if (!c)
        return -EINVAL;
    end_context(c);
    (void)!mm_munmap(t->mm, id, PAGE_SIZE);
    return 0;
}

void aio_table_free(struct aio_table *table) {
    struct aio_context *c, *next;

    if (!table)
        return;
    list_for_each_entry_safe(c, next, &table->contexts, node) {
        list_del(&c->node);
        end_context(c);
    }
    heap_free(table);
}

/* ---- requests ---- */

int aio_reserve(struct aio_context *c) {
    mutex_lock(&c->lock);
    int r = c->dead ? -EINVAL : c->used < c->requests ? 0 : -EAGAIN;
    if (r == 0)
        c->used++;
    mutex_unlock(&c->lock);
    return r;
}

void aio_unreserve(struct aio_context *c) {
    mutex_lock(&c->lock);
    c->used--;
    mutex_unlock(&c->lock);
}

static void count_up(struct file *notify) {
    uint64_t one = 1, offset = 0;
    struct uio_segment s;
    struct uio u;

    if (!notify)
        return;
    uio_init_kernel(&u, &s, &one, sizeof one);
    (void)!notify->ops->write(notify, &u, &offset);
}

void aio_complete(struct aio_context *c, const struct aio_event *event, struct file *notify) {
    struct aio_done *d = heap_new(aio_done);

    if (!d) { /* the event is lost, the slot is not */
        aio_unreserve(c);
        return;
    }
    list_init(&d->node);
    d->event = *event;
    mutex_lock(&c->lock);
    list_add_tail(&c->done, &d->node);
    mutex_unlock(&c->lock);
    waitq_wake(&c->queue, WAIT_ANY);
    count_up(notify);
}

/* ---- polls ---- */

static void notify_poll(struct waiter *w, uint32_t events) {
    struct aio_poll *p = container_of(w, struct aio_poll, waiter);

    atomic_store(&p->said, events);
    atomic_store(&p->marked, true);
    waitq_wake(&p->context->queue, WAIT_ANY);
}

static const struct waiter_ops g_poll_waiter_ops = {.notify = notify_poll};

int aio_poll_start(struct aio_context *c, const struct aio_poll_request *r) {
    struct aio_poll *p = heap_new(aio_poll);
    struct waitq *queue = file_poll_queue(r->file);

    if (!p)
        return -ENOMEM;
    list_init(&p->node);
    p->context = c;
    p->request = *r;
    p->request.events |= LINUX_POLLERR | LINUX_POLLHUP;
    atomic_init(&p->marked, true);
    waiter_init(&p->waiter, &g_poll_waiter_ops, p->request.events);
    if (queue)
        waitq_add(queue, &p->waiter);
    mutex_lock(&c->lock);
    list_add_tail(&c->polls, &p->node);
    mutex_unlock(&c->lock);
    waitq_wake(&c->queue, WAIT_ANY);
    return 0;
}

/* The first marked poll, off the list. */
static struct aio_poll *take_marked(struct aio_context *c) {
    struct aio_poll *p, *found = NULL;

    mutex_lock(&c->lock);
    list_for_each_entry(p, &c->polls, node) {
        if (atomic_exchange(&p->marked, false)) {
            found = p;
            list_del(&p->node);
            break;
        }
    }
    mutex_unlock(&c->lock);
    return found;
}

/* Asks the files of marked polls. */
static void check_polls(struct aio_context *c) {
    struct list again = LIST_INIT(again);
    struct aio_poll *p;

    while ((p = take_marked(c))) {
        uint32_t now = file_ready(p->request.file, p->request.events) & p->request.events;
        if (!now) {
            list_add_tail(&again, &p->node);
            continue;
        }
        const struct aio_event e = {
            .data = p->request.data, .object = p->request.object, .result = now | atomic_load(&p->said)};
        aio_complete(c, &e, p->request.notify);
        poll_free(p);
    }
    mutex_lock(&c->lock);
    list_splice_tail(&c->polls, &again);
    mutex_unlock(&c->lock);
}

int aio_cancel(struct aio_context *c, uint64_t object) {
    struct aio_poll *p = take_poll(c, &object);

    if (!p)
        return -EINVAL;
    const struct aio_event e = {.data = p->request.data, .object = p->request.object};
    aio_complete(c, &e, p->request.notify);
    poll_free(p);
    return -EINPROGRESS;
}

/* ---- collecting ---- */

static unsigned take_done(struct aio_context *c, struct aio_event *ret, unsigned max) {
    unsigned n = 0;

    mutex_lock(&c->lock);
    while (n < max && !list_empty(&c->done)) {
        struct aio_done *d = list_first_entry(&c->done, struct aio_done, node);
        list_del(&d->node);
        ret[n++] = d->event;
        c->used--;
        heap_free(d);
    }
    mutex_unlock(&c->lock);
    return n;
}

int aio_collect(struct task *t, struct aio_context *c, struct aio_event *ret, unsigned min, unsigned max,
                int64_t deadline) {
    struct waiter w;
    unsigned n = 0;
    int r = 0;

    might_block();
    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&c->queue, &w);
    for (;;) {
        check_polls(c);
        n += take_done(c, ret + n, max - n);
        mutex_lock(&c->lock);
        bool dead = c->dead;
        mutex_unlock(&c->lock);
        if (n >= min || r < 0 || dead)
            break;
        r = task_block(t, deadline);
    }
    waitq_remove(&w);
    return n == 0 && r == -ERESTARTSYS ? r : (int)n;
}
