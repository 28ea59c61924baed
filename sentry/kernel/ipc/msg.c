/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ipc/msg.c: see msg.h. Source: msgget(2), msgop(2), msgctl(2).
 *
 * Who waits, for a message or for room, hangs on a wait queue of the queue and looks again when woken; the
 * reference that it holds keeps the queue when it is removed meanwhile.
 */
#include "sentry/kernel/ipc/msg.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/ipc/ipc_ns.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"

struct msg_queue {
    struct ipc_object object;
    struct list messages; /* of message.node, oldest first */
    uint64_t bytes, count, max_bytes;
    int64_t stime, rtime;
    struct pid *sender, *receiver; /* references or NULL */
    struct waitq senders, receivers;
};
HEAP_TYPE(msg_queue, struct msg_queue, 0);
HEAP_TYPE(message, struct message, 0);

static struct msg_queue *queue_of(struct ipc_object *o) {
    return container_of(o, struct msg_queue, object);
}

/* ---- messages ---- */

struct message *message_new(uint64_t size) {
    struct message *m = heap_new(message);

    if (!m)
        return NULL;
    list_init(&m->node);
    m->size = size;
    m->bytes = heap_alloc_bytes(MAX(size, (uint64_t)1));
    if (!m->bytes) {
        heap_free(m);
        return NULL;
    }
    return m;
}

void message_free(struct message *m) {
    if (!m)
        return;
    ASSERT(list_empty(&m->node));
    heap_free(m->bytes);
    heap_free(m);
}

/* ---- life ---- */

static void destroy(struct ipc_object *o) {
    struct msg_queue *q = queue_of(o);
    struct message *m, *next;

    list_for_each_entry_safe(m, next, &q->messages, node) {
        list_del(&m->node);
        message_free(m);
    }
    pid_unref(q->sender);
    pid_unref(q->receiver);
    heap_free(q);
}

static struct msg_queue *queue_new(struct task *t) {
    struct msg_queue *q = heap_new(msg_queue);

    if (!q)
        return NULL;
    ipc_object_init(&q->object, IPC_MSG);
    list_init(&q->messages);
    waitq_init(&q->senders);
    waitq_init(&q->receivers);
    q->object.ctime = ipc_now(t->kernel);
    return q;
}

static void remove_locked(struct ipc_ns *ns, struct ipc_object *o) {
    struct msg_queue *q = queue_of(o);

    ns->msg_bytes -= q->bytes;
    ns->msg_count -= q->count;
    ipc_remove_locked(ns, &q->object);
    waitq_wake(&q->senders, WAIT_ANY);
    waitq_wake(&q->receivers, WAIT_ANY);
}

/* ---- msgget ---- */

static int64_t get_or_add_locked(struct task *t, struct ipc_ns *ns, struct msg_queue *fresh, int32_t key,
                                 int flags) {
    struct ipc_object *there = ipc_find_key_locked(ns, IPC_MSG, key);

    if (there) {
        int result = ipc_check_get(ns, there, flags, task_creds(t));
        return result < 0 ? result : there->id;
    }
    if (key != LINUX_IPC_PRIVATE && !(flags & LINUX_IPC_CREAT))
        return -ENOENT;
    if (!fresh)
        return -ENOMEM;
    fresh->max_bytes = ns->limits.msgmnb;
    return ipc_add_locked(ns, &fresh->object, key, (uint32_t)flags, task_creds(t));
}

int64_t msg_get(struct task *t, int32_t key, int flags) {
    struct ipc_ns *ns = task_ipc_ns(t);
    struct msg_queue *fresh = key == LINUX_IPC_PRIVATE || (flags & LINUX_IPC_CREAT) ? queue_new(t) : NULL;

    mutex_lock(&ns->lock);
    int64_t result = get_or_add_locked(t, ns, fresh, key, flags);
    mutex_unlock(&ns->lock);
    if (fresh)
        ipc_object_unref(&fresh->object);
    return result;
}

/* ---- msgsnd ---- */

static int find_for(struct task *t, struct ipc_ns *ns, int id, uint32_t rights, struct msg_queue **ret) {
    struct ipc_object *o;
    int result = ipc_find_locked(ns, IPC_MSG, id, &o);

    if (result == 0)
        result = ipc_check_access(ns, o, rights, task_creds(t));
    if (result == 0)
        *ret = queue_of(o);
    return result;
}

static int get_queue(struct task *t, int id, uint32_t rights, struct msg_queue **ret) {
    struct ipc_ns *ns = task_ipc_ns(t);

    mutex_lock(&ns->lock);
    int result = find_for(t, ns, id, rights, ret);
    if (result == 0)
        ipc_object_ref(&(*ret)->object);
    mutex_unlock(&ns->lock);
    return result;
}

/* -EAGAIN: no room. */
static int try_send_locked(struct task *t, struct ipc_ns *ns, struct msg_queue *q, struct message *m) {
    if (q->object.removed)
        return -EIDRM;
    int result = ipc_check_access(ns, &q->object, 0222, task_creds(t));
    if (result < 0)
        return result;
    if (q->bytes + m->size > q->max_bytes || q->count + 1 > q->max_bytes)
        return -EAGAIN;
    list_add_tail(&q->messages, &m->node);
    q->bytes += m->size;
    q->count++;
    ns->msg_bytes += m->size;
    ns->msg_count++;
    q->stime = ipc_now(t->kernel);
    ipc_note_pid(&q->sender, t);
    waitq_wake(&q->receivers, WAIT_ANY);
    return 0;
}

static int send_once(struct task *t, struct msg_queue *q, struct message *m) {
    struct ipc_ns *ns = task_ipc_ns(t);

    mutex_lock(&ns->lock);
    int result = try_send_locked(t, ns, q, m);
    mutex_unlock(&ns->lock);
    return result;
}

int msg_send(struct task *t, int id, struct message *m, int flags) {
    struct msg_queue *q;
    struct waiter w;

    might_block();
    int result = get_queue(t, id, 0222, &q);
    if (result < 0)
        return result;
    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&q->senders, &w);
    while ((result = send_once(t, q, m)) == -EAGAIN && !(flags & LINUX_IPC_NOWAIT)) {
        result = task_block(t, CLOCK_NEVER);
        if (result < 0)
            break;
    }
    waitq_remove(&w);
    ipc_object_unref(&q->object);
    return result == -ERESTARTSYS ? -ERESTARTNOHAND : result;
}

/* ---- msgrcv ---- */

static bool wanted(const struct message *m, int64_t type, int flags) {
    if (type == 0)
        return true;
    if (type < 0)
        return type == INT64_MIN || m->type <= -type;
    return flags & LINUX_MSG_EXCEPT ? m->type != type : m->type == type;
}

static struct message *choose(struct msg_queue *q, int64_t type, int flags) {
    struct message *m, *best = NULL;
    int64_t position = 0;

    list_for_each_entry(m, &q->messages, node) {
        if (flags & LINUX_MSG_COPY) {
            if (position++ == type)
                return m;
            continue;
        }
        if (!wanted(m, type, flags))
            continue;
        if (type >= 0)
            return m;
        if (!best || m->type < best->type) /* the lowest type, of these the first */
            best = m;
    }
    return best;
}

/* Into `copy`, which has room for as much as the caller wants. */
static void copy_message(const struct message *m, struct message *copy) {
    copy->type = m->type;
    copy->size = MIN(copy->size, m->size);
    memcpy(copy->bytes, m->bytes, copy->size);
}

struct receive {
    uint64_t max_size;
    int64_t type;
    int flags;
    struct message *copy; /* MSG_COPY: where to */
};

/* -ENOMSG: none. */
static int try_receive_locked(struct task *t, struct ipc_ns *ns, struct msg_queue *q, const struct receive *r,
                              struct message **ret) {
    if (q->object.removed)
        return -EIDRM;
    int result = ipc_check_access(ns, &q->object, 0444, task_creds(t));
    if (result < 0)
        return result;
    struct message *m = choose(q, r->type, r->flags);
    if (!m)
        return -ENOMSG;
    if (m->size > r->max_size && !(r->flags & LINUX_MSG_NOERROR))
        return -E2BIG;
    if (r->copy) {
        copy_message(m, r->copy);
        return 0;
    }
    list_del(&m->node);
    q->bytes -= m->size;
    q->count--;
    ns->msg_bytes -= m->size;
    ns->msg_count--;
    q->rtime = ipc_now(t->kernel);
    ipc_note_pid(&q->receiver, t);
    waitq_wake(&q->senders, WAIT_ANY);
    *ret = m;
    return 0;
}

static int receive_once(struct task *t, struct msg_queue *q, const struct receive *r, struct message **ret) {
    struct ipc_ns *ns = task_ipc_ns(t);

    mutex_lock(&ns->lock);
    int result = try_receive_locked(t, ns, q, r, ret);
    mutex_unlock(&ns->lock);
    return result;
}

static int receive(struct task *t, int id, const struct receive *r, struct message **ret) {
    struct msg_queue *q;
    struct waiter w;
    int result = get_queue(t, id, 0444, &q);

    if (result < 0)
        return result;
    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&q->receivers, &w);
    while ((result = receive_once(t, q, r, ret)) == -ENOMSG && !(r->flags & LINUX_IPC_NOWAIT)) {
        result = task_block(t, CLOCK_NEVER);
        if (result < 0)
            break;
    }
    waitq_remove(&w);
    ipc_object_unref(&q->object);
    return result == -ERESTARTSYS ? -ERESTARTNOHAND : result;
}

int msg_receive(struct task *t, int id, uint64_t max_size, int64_t type, int flags, struct message **ret) {
    struct receive r = {.max_size = max_size, .type = type, .flags = flags};
    struct ipc_ns *ns = task_ipc_ns(t);

    might_block();
    if (flags & LINUX_MSG_COPY) {
        if ((flags & LINUX_MSG_EXCEPT) || !(flags & LINUX_IPC_NOWAIT))
            return -EINVAL;
        mutex_lock(&ns->lock);
        uint64_t size = MIN(max_size, ns->limits.msgmax);
        mutex_unlock(&ns->lock);
        r.copy = message_new(size);
        if (!r.copy)
            return -ENOMEM;
    }
    int result = receive(t, id, &r, ret);
    if (r.copy && result == 0)
        *ret = r.copy;
    else
        message_free(r.copy);
    return result;
}

/* ---- msgctl ---- */

static void fill_locked(struct ipc_object *o, struct task *viewer, void *ret_ds) {
    struct msg_queue *q = queue_of(o);
    struct linux_msqid_ds *ret = ret_ds;

    *ret = (struct linux_msqid_ds){.stime = q->stime,
                                   .rtime = q->rtime,
                                   .ctime = q->object.ctime,
                                   .cbytes = q->bytes,
                                   .qnum = q->count,
                                   .qbytes = q->max_bytes,
                                   .lspid = ipc_pid_number(q->sender, viewer),
                                   .lrpid = ipc_pid_number(q->receiver, viewer)};
}

static int set_locked(struct task *t, struct ipc_ns *ns, int id, const struct linux_msqid_ds *ds) {
    struct ipc_object *o;
    int result = ipc_find_owned_locked(ns, IPC_MSG, id, task_creds(t), &o);

    if (result < 0)
        return result;
    if (ds->qbytes > ns->limits.msgmnb &&
        !creds_has_cap_in(task_creds(t), ns->user_ns, LINUX_CAP_SYS_RESOURCE))
        return -EPERM;
    result = ipc_set_perm_locked(o, &ds->perm, task_creds(t)->user_ns);
    if (result < 0)
        return result;
    struct msg_queue *q = queue_of(o);
    q->max_bytes = ds->qbytes;
    q->object.ctime = ipc_now(t->kernel);
    waitq_wake(&q->receivers, WAIT_ANY); /* rights may have changed, or there is room now */
    waitq_wake(&q->senders, WAIT_ANY);
    return 0;
}

int msg_set(struct task *t, int id, const struct linux_msqid_ds *ds) {
    struct ipc_ns *ns = task_ipc_ns(t);

    mutex_lock(&ns->lock);
    int result = set_locked(t, ns, id, ds);
    mutex_unlock(&ns->lock);
    return result;
}

const struct ipc_ops g_msg_ops = {.fill = fill_locked, .remove = remove_locked, .destroy = destroy};
