/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/fuse/fuse_conn.c: requests to a server, and waiting for their answers. Source: fuse(4);
 * docs/decisions/fuse-waits.md.
 */
#include <errno.h>
#include <string.h>

#include "sentry/fs/fuse/fuse_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/current.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"

HEAP_TYPE(fuse_conn, struct fuse_conn, 0);
HEAP_TYPE(fuse_request, struct fuse_request, 0);

static void fuse_conn_destroy(struct fuse_conn *c) {
    ASSERT(list_empty(&c->pending));
    ASSERT(list_empty(&c->sent));
    user_ns_unref(c->user_ns);
    pid_ns_unref(c->pid_ns);
    heap_free(c);
}
DEFINE_REF(fuse_conn, fuse_conn_destroy);

static void fuse_request_destroy(struct fuse_request *r) {
    fuse_conn_unref(r->conn);
    heap_free(r->in);
    heap_free(r->out);
    heap_free(r);
}
DEFINE_REF(fuse_request, fuse_request_destroy);

int fuse_conn_new(struct task *t, struct fuse_conn **ret) {
    struct fuse_conn *c = heap_new(fuse_conn);

    if (!c)
        return -ENOMEM;
    fuse_conn_ref_init(c);
    c->user_ns = user_ns_ref(task_creds(t)->user_ns);
    c->pid_ns = pid_ns_ref(task_pid_ns(t));
    waitq_init(&c->device);
    waitq_init(&c->started);
    mutex_init(&c->lock, RANK_EVENT);
    list_init(&c->pending);
    list_init(&c->sent);
    c->max_write = 4096;
    *ret = c;
    return 0;
}

/* ---- making ---- */

static void fill_header(struct fuse_conn *c, struct linux_fuse_in_header *h) {
    struct task *t = task_current();

    if (!t)
        return;
    h->uid = from_kuid(c->user_ns, task_creds(t)->fsuid);
    h->gid = from_kgid(c->user_ns, task_creds(t)->fsgid);
    h->pid = (uint32_t)pid_nr(t->pid, c->pid_ns);
}

static struct fuse_request *request_new(struct fuse_conn *c, const struct fuse_args *a) {
    struct linux_fuse_in_header h = {.opcode = a->opcode, .nodeid = a->nodeid};
    struct fuse_request *r = heap_new(fuse_request);
    size_t size = sizeof h;

    for (size_t i = 0; i < ARRAY_SIZE(a->in); i++)
        size += a->in[i].size;
    uint8_t *to = heap_alloc_bytes(size);
    if (!r || !to) {
        heap_free(r);
        heap_free(to);
        return NULL;
    }
    fuse_request_ref_init(r);
    r->in = to;
    r->in_size = h.len = (uint32_t)size;
    fill_header(c, &h);
    memcpy(to, &h, sizeof h);
    to += sizeof h;
    for (size_t i = 0; i < ARRAY_SIZE(a->in); i++) {
        if (a->in[i].size)
            memcpy(to, a->in[i].data, a->in[i].size);
        to += a->in[i].size;
    }
    r->conn = fuse_conn_ref(c);
    list_init(&r->node);
    waitq_init(&r->done);
    r->out_min = a->out_min;
    r->out_max = a->out_max;
    return r;
}

/* Takes a reference for the queue. */
static int queue_locked(struct fuse_conn *c, struct fuse_request *r) {
    struct linux_fuse_in_header h;

    if (c->aborted)
        return -ENOTCONN;
    if (!r->wants_reply && c->unanswered >= FUSE_QUEUE_MAX)
        return -ENOBUFS;
    memcpy(&h, r->in, sizeof h);
    h.unique = c->next_unique += 2; /* odd ones are interrupts' */
    memcpy(r->in, &h, sizeof h);
    c->unanswered += !r->wants_reply;
    list_add_tail(&c->pending, &fuse_request_ref(r)->node);
    return 0;
}

static int queue(struct fuse_conn *c, struct fuse_request *r) {
    mutex_lock(&c->lock);
    int rc = queue_locked(c, r);
    mutex_unlock(&c->lock);
    if (rc == 0)
        waitq_wake(&c->device, LINUX_POLLIN | LINUX_POLLRDNORM);
    return rc;
}

void fuse_tell(struct fuse_conn *c, const struct fuse_args *a) {
    struct fuse_request *r = request_new(c, a);

    if (!r)
        return; /* the server keeps what it could have dropped */
    (void)!queue(c, r);
    fuse_request_unref(r);
}

int fuse_start(struct fuse_conn *c) {
    const struct linux_fuse_init_in in = {.major = LINUX_FUSE_KERNEL_VERSION,
                                          .minor = LINUX_FUSE_KERNEL_MINOR,
                                          .max_readahead = FUSE_DATA_MAX,
                                          .flags = LINUX_FUSE_BIG_WRITES};
    const struct fuse_args a = {.opcode = LINUX_FUSE_INIT,
                                .in = {{&in, sizeof in}},
                                .out_min = 24, /* as minor 22 and before have it */
                                .out_max = sizeof(struct linux_fuse_init_out)};
    struct fuse_request *r = request_new(c, &a);

    if (!r)
        return -ENOMEM;
    r->wants_reply = true;
    int rc = queue(c, r);
    fuse_request_unref(r);
    return rc;
}

/* ---- the end ---- */

static void finish_all(struct list *all) {
    struct fuse_request *r, *next;

    list_for_each_entry_safe(r, next, all, node) {
        list_del(&r->node);
        waitq_wake(&r->done, WAIT_ANY);
        fuse_request_unref(r);
    }
}

void fuse_abort(struct fuse_conn *c, bool unmounted) {
    struct list all = LIST_INIT(all);
    struct fuse_request *r;

    mutex_lock(&c->lock);
    c->aborted = true;
    if (unmounted) {
        c->unmounted = true;
        c->fs = NULL;
    }
    list_splice_tail(&all, &c->pending);
    list_splice_tail(&all, &c->sent);
    list_for_each_entry(r, &all, node) {
        r->state = FUSE_DONE;
        r->error = -ENOTCONN;
    }
    c->unanswered = 0;
    mutex_unlock(&c->lock);
    finish_all(&all);
    waitq_wake(&c->device, WAIT_ANY);
    waitq_wake(&c->started, WAIT_ANY);
}

/* ---- waiting ---- */

/* Until `q` is woken; what may break it: task_block_served(). */
static int wait_for_start(struct fuse_conn *c, struct task *t) {
    struct waiter w;
    int rc = 0;

    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&c->started, &w);
    for (;;) {
        mutex_lock(&c->lock);
        bool go = c->init_done || c->aborted;
        mutex_unlock(&c->lock);
        if (go || (rc = task_block_served(t)) < 0)
            break;
    }
    waitq_remove(&w);
    return rc;
}

/* The server may give up what it does for `r`. The answer is still to come. */
static void tell_interrupted(struct fuse_conn *c, struct fuse_request *r) {
    struct linux_fuse_in_header h;

    mutex_lock(&c->lock);
    bool tell = r->state == FUSE_SENT && !r->interrupted;
    r->interrupted = r->interrupted || tell;
    mutex_unlock(&c->lock);
    if (!tell)
        return;
    memcpy(&h, r->in, sizeof h);
    const struct linux_fuse_interrupt_in in = {.unique = h.unique};
    const struct fuse_args a = {.opcode = LINUX_FUSE_INTERRUPT, .in = {{&in, sizeof in}}};
    fuse_tell(c, &a);
}

/* Nobody waits for it any more. */
static void give_up(struct fuse_request *r) {
    struct fuse_conn *c = r->conn;

    tell_interrupted(c, r);
    mutex_lock(&c->lock);
    bool listed = r->state != FUSE_DONE && !list_empty(&r->node);
    if (listed)
        list_del(&r->node); /* an answer that comes all the same is for nobody */
    r->state = FUSE_DONE;
    mutex_unlock(&c->lock);
    if (listed)
        fuse_request_unref(r);
}

void fuse_forget_request(struct task *t) {
    struct fuse_request *r = t->served_request;

    t->served_request = NULL;
    if (r)
        give_up(r);
    fuse_request_unref(r);
}

static bool same_call(const struct fuse_request *r, const struct fuse_request *other) {
    struct linux_fuse_in_header a, b;

    memcpy(&a, r->in, sizeof a);
    memcpy(&b, other->in, sizeof b);
    return r->conn == other->conn && a.opcode == b.opcode && a.nodeid == b.nodeid && a.len == b.len &&
           memcmp(r->in + sizeof a, other->in + sizeof b, r->in_size - sizeof a) == 0;
}

/* `r`, or the same call that a pause cut short: its answer is taken instead of asking twice. Takes `r`. */
static struct fuse_request *resume_or_queue(struct task *t, struct fuse_request *r, int *ret_error) {
    struct fuse_request *before = t->served_request;

    *ret_error = 0;
    if (before && same_call(before, r)) {
        t->served_request = NULL;
        fuse_request_unref(r);
        return before;
    }
    *ret_error = queue(r->conn, r);
    return r;
}

static int await(struct task *t, struct fuse_request *r) {
    struct fuse_conn *c = r->conn;
    struct waiter w;
    int rc = 0;

    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&r->done, &w);
    for (;;) {
        mutex_lock(&c->lock);
        bool done = r->state == FUSE_DONE;
        mutex_unlock(&c->lock);
        if (done || (rc = task_block_served(t)) < 0)
            break;
        if (atomic_load(&t->pending_work) & TASK_WORK_SIGNAL)
            tell_interrupted(c, r);
    }
    waitq_remove(&w);
    return rc;
}

static int take_answer(struct fuse_request *r, struct fuse_args *a) {
    if (r->error < 0)
        return r->error;
    a->out = r->out;
    a->out_size = r->out_size;
    r->out = NULL;
    return 0;
}

int fuse_call(struct fuse_conn *c, struct fuse_args *a) {
    struct task *t = task_current();
    int rc = t ? wait_for_start(c, t) : -EIO; /* nobody else could wait */

    a->out = NULL;
    if (rc < 0)
        return rc;
    struct fuse_request *r = request_new(c, a);
    if (!r)
        return -ENOMEM;
    r->wants_reply = true;
    r = resume_or_queue(t, r, &rc);
    if (rc == 0)
        rc = await(t, r);
    if (rc == 0) {
        rc = take_answer(r, a);
    } else if (rc == -ERESTARTNOINTR) {
        fuse_forget_request(t);
        t->served_request = r;
        return rc;
    } else if (rc == -ERESTARTSYS) {
        give_up(r);
        rc = -EINTR;
    }
    fuse_request_unref(r);
    return rc;
}
