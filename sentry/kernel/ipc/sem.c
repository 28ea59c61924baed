/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ipc/sem.c: see sem.h. Source: semget(2), semop(2), semctl(2).
 */
#include "sentry/kernel/ipc/sem.h"

#include <errno.h>

#include "base/clock.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/ipc/sem_internal.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"

HEAP_TYPE(sem_array, struct sem_array, 0);

enum { ADJUST_MAX = 32767, WOULD_BLOCK = 1 };

/* On the waiting task's host stack (waitq.h says why that is sound). */
struct sem_waiter {
    struct list node; /* array->waiters; empty: not queued */
    struct task *task;
    const struct linux_sembuf *ops;
    unsigned count;
    bool undo;
    const struct linux_sembuf *blocking; /* the operation that cannot be done yet */
    bool done;                           /* `result` is there */
    int result;
};

/* ---- life ---- */

static void destroy(struct ipc_object *o) {
    struct sem_array *s = sem_array_of(o);

    for (int i = 0; i < s->count; i++)
        pid_unref(s->semaphores[i].last);
    heap_free(s->semaphores);
    heap_free(s);
}

static struct sem_array *array_new(struct task *t, int count) {
    struct sem_array *s = heap_new(sem_array);

    if (!s)
        return NULL;
    s->semaphores = heap_alloc_array((size_t)count, sizeof *s->semaphores);
    if (!s->semaphores) {
        heap_free(s);
        return NULL;
    }
    ipc_object_init(&s->object, IPC_SEM);
    s->count = count;
    s->object.ctime = ipc_now(t->kernel);
    list_init(&s->waiters);
    list_init(&s->undos);
    return s;
}

static void finish_locked(struct sem_waiter *w, int result) {
    struct task *t = task_ref(w->task);

    list_del(&w->node);
    w->result = result;
    w->done = true;
    task_wake(t); /* it looks under the lock: `w` stays until then */
    task_unref(t);
}

static void remove_locked(struct ipc_ns *ns, struct ipc_object *o) {
    struct sem_array *s = sem_array_of(o);
    struct sem_waiter *w, *next;

    sem_drop_undos_locked(s);
    list_for_each_entry_safe(w, next, &s->waiters, node) {
        finish_locked(w, -EIDRM);
    }
    ns->sem_count -= (uint64_t)s->count;
    ipc_remove_locked(ns, &s->object);
}

/* ---- semget ---- */

static int64_t check_existing(struct task *t, struct ipc_ns *ns, struct sem_array *s, int count, int flags) {
    if ((flags & LINUX_IPC_CREAT) && (flags & LINUX_IPC_EXCL))
        return -EEXIST;
    if (count > s->count)
        return -EINVAL;
    int result = ipc_check_get(ns, &s->object, flags, task_creds(t));
    return result < 0 ? result : s->object.id;
}

static int64_t add_locked(struct task *t, struct ipc_ns *ns, struct sem_array *fresh, int32_t key,
                          int flags) {
    struct ipc_object *there = ipc_find_key_locked(ns, IPC_SEM, key);

    if (there)
        return check_existing(t, ns, sem_array_of(there), fresh->count, flags);
    if (ns->sem_count + (uint64_t)fresh->count > ns->limits.semmns)
        return -ENOSPC;
    int id = ipc_add_locked(ns, &fresh->object, key, (uint32_t)flags, task_creds(t));
    if (id >= 0)
        ns->sem_count += (uint64_t)fresh->count;
    return id;
}

int64_t sem_get(struct task *t, int32_t key, int count, int flags) {
    struct ipc_ns *ns = task_ipc_ns(t);

    mutex_lock(&ns->lock);
    bool valid = count >= 0 && (uint64_t)count <= ns->limits.semmsl;
    struct ipc_object *there = valid ? ipc_find_key_locked(ns, IPC_SEM, key) : NULL;
    int64_t result = there ? check_existing(t, ns, sem_array_of(there), count, flags) : -EINVAL;
    mutex_unlock(&ns->lock);
    if (there || !valid)
        return result;
    if (key != LINUX_IPC_PRIVATE && !(flags & LINUX_IPC_CREAT))
        return -ENOENT;
    if (count == 0)
        return -EINVAL;
    struct sem_array *fresh = array_new(t, count);
    if (!fresh)
        return -ENOMEM;
    mutex_lock(&ns->lock);
    result = add_locked(t, ns, fresh, key, flags);
    mutex_unlock(&ns->lock);
    ipc_object_unref(&fresh->object);
    return result;
}

/* ---- semop ---- */

/* One operation on `s`: 0, WOULD_BLOCK, -ERANGE. */
static int perform_one(struct sem_array *s, const struct linux_sembuf *op, struct sem_undo *undo) {
    struct semaphore *sem = &s->semaphores[op->num];

    if (op->op == 0)
        return sem->value == 0 ? 0 : WOULD_BLOCK;
    int value = sem->value + op->op;
    if (value < 0)
        return WOULD_BLOCK;
    if (value > LINUX_SEMVMX)
        return -ERANGE;
    if (op->flags & LINUX_SEM_UNDO) {
        int adjust = undo->adjust[op->num] - op->op;
        if (adjust < -ADJUST_MAX - 1 || adjust > ADJUST_MAX)
            return -ERANGE;
        undo->adjust[op->num] = (int16_t)adjust;
    }
    sem->value = (uint16_t)value;
    return 0;
}

static void take_back(struct sem_array *s, const struct linux_sembuf *ops, unsigned done,
                      struct sem_undo *undo) {
    while (done-- > 0) {
        const struct linux_sembuf *op = &ops[done];
        s->semaphores[op->num].value = (uint16_t)(s->semaphores[op->num].value - op->op);
        if (op->op != 0 && (op->flags & LINUX_SEM_UNDO))
            undo->adjust[op->num] = (int16_t)(undo->adjust[op->num] + op->op);
    }
}

/* All or nothing: 0, WOULD_BLOCK (then w->blocking says on what), -EAGAIN, -ERANGE. */
static int perform_locked(struct sem_array *s, struct sem_waiter *w) {
    struct sem_undo *none = NULL, *undo = w->undo ? sem_find_undo_locked(w->task, s, &none) : NULL;

    for (unsigned i = 0; i < w->count; i++) {
        int result = perform_one(s, &w->ops[i], undo);
        if (result == 0)
            continue;
        take_back(s, w->ops, i, undo);
        w->blocking = &w->ops[i];
        return result == WOULD_BLOCK && (w->ops[i].flags & LINUX_IPC_NOWAIT) ? -EAGAIN : result;
    }
    for (unsigned i = 0; i < w->count; i++)
        ipc_note_pid(&s->semaphores[w->ops[i].num].last, w->task);
    s->otime = ipc_now(w->task->kernel);
    return 0;
}

static bool alters(const struct sem_waiter *w) {
    for (unsigned i = 0; i < w->count; i++)
        if (w->ops[i].op != 0)
            return true;
    return false;
}

/* Each success may make others possible, also those before it. */
void sem_wake_waiters_locked(struct sem_array *s) {
    struct sem_waiter *w, *next;
    bool again;

    do {
        again = false;
        list_for_each_entry_safe(w, next, &s->waiters, node) {
            int result = perform_locked(s, w);
            if (result == WOULD_BLOCK)
                continue;
            again = result == 0 && alters(w);
            finish_locked(w, result);
            if (again)
                break;
        }
    } while (again);
}

/* Checks and tries once. WOULD_BLOCK: w is queued and *ret (with a reference) is what it waits for. */
static int start_locked(struct task *t, struct ipc_ns *ns, int id, struct sem_waiter *w,
                        struct sem_undo **fresh, struct sem_array **ret) {
    struct ipc_object *o;
    int result = ipc_find_locked(ns, IPC_SEM, id, &o);

    if (result < 0)
        return result;
    struct sem_array *s = sem_array_of(o);
    for (unsigned i = 0; i < w->count; i++)
        if (w->ops[i].num >= s->count)
            return -EFBIG;
    result = ipc_check_access(ns, o, alters(w) ? 0222 : 0444, task_creds(t));
    if (result < 0)
        return result;
    if (w->undo && (*fresh)->count != s->count)
        return -EIDRM; /* another set since the record was made */
    if (w->undo)
        (void)sem_find_undo_locked(t, s, fresh);
    result = perform_locked(s, w);
    if (result == 0 && alters(w))
        sem_wake_waiters_locked(s);
    if (result != WOULD_BLOCK)
        return result;
    list_add_tail(&s->waiters, &w->node);
    *ret = sem_array_of(ipc_object_ref(o));
    return result;
}

/* Sleeps until another task has done it for w, or the set goes, or something breaks the sleep. */
static int wait_for(struct task *t, struct ipc_ns *ns, struct sem_array *s, struct sem_waiter *w,
                    int64_t deadline) {
    int result = 0;
    bool done = false;

    while (!done && result == 0) {
        result = task_block(t, deadline);
        mutex_lock(&ns->lock);
        done = w->done;
        if (!done && result < 0)
            list_del(&w->node);
        mutex_unlock(&ns->lock);
    }
    ipc_object_unref(&s->object);
    if (done)
        return w->result;
    return result == -ETIMEDOUT ? -EAGAIN : ipc_interrupted(t);
}

/* Before the lock: a record that the operation may need. */
static int prepare_undo(struct task *t, struct ipc_ns *ns, int id, struct sem_undo **ret) {
    struct ipc_object *o;

    int result = sem_need_undo_list(t);
    if (result < 0)
        return result;
    mutex_lock(&ns->lock);
    result = ipc_find_locked(ns, IPC_SEM, id, &o);
    int count = result == 0 ? sem_array_of(o)->count : 0;
    mutex_unlock(&ns->lock);
    if (result < 0)
        return result;
    *ret = sem_undo_new(count);
    return *ret ? 0 : -ENOMEM;
}

int sem_operate(struct task *t, int id, const struct linux_sembuf *ops, unsigned count, int64_t deadline) {
    struct ipc_ns *ns = task_ipc_ns(t);
    struct sem_waiter w = {.task = t, .ops = ops, .count = count};
    struct sem_undo *fresh = NULL;
    struct sem_array *s = NULL;
    int result = 0;

    might_block();
    list_init(&w.node);
    for (unsigned i = 0; i < count; i++)
        w.undo = w.undo || (ops[i].flags & LINUX_SEM_UNDO);
    if (w.undo)
        result = prepare_undo(t, ns, id, &fresh);
    if (result < 0)
        return result;
    mutex_lock(&ns->lock);
    result = start_locked(t, ns, id, &w, &fresh, &s);
    mutex_unlock(&ns->lock);
    sem_undo_free(fresh);
    return result == WOULD_BLOCK ? wait_for(t, ns, s, &w, deadline) : result;
}

/* ---- semctl ---- */

static int find_for(struct task *t, struct ipc_ns *ns, int id, uint32_t rights, struct sem_array **ret) {
    struct ipc_object *o;
    int result = ipc_find_locked(ns, IPC_SEM, id, &o);

    if (result == 0)
        result = ipc_check_access(ns, o, rights, task_creds(t));
    if (result == 0)
        *ret = sem_array_of(o);
    return result;
}

static void fill_locked(struct ipc_object *o, struct task *viewer, void *ret_ds) {
    (void)viewer;
    struct sem_array *s = sem_array_of(o);
    struct linux_semid_ds *ret = ret_ds;

    *ret = (struct linux_semid_ds){.otime = s->otime, .ctime = s->object.ctime, .nsems = (uint64_t)s->count};
}

/* How many wait for this semaphore to become zero, or to grow. */
static int count_waiters(struct sem_array *s, int number, bool zero) {
    struct sem_waiter *w;
    int n = 0;

    list_for_each_entry(w, &s->waiters, node) {
        if (w->blocking->num == number && (w->blocking->op == 0) == zero)
            n++;
    }
    return n;
}

static int get_one_locked(struct task *t, struct sem_array *s, int number, int cmd) {
    if (number < 0 || number >= s->count)
        return -EINVAL;
    switch (cmd) {
    case LINUX_GETVAL:
        return s->semaphores[number].value;
    case LINUX_GETPID:
        return ipc_pid_number(s->semaphores[number].last, t);
    case LINUX_GETNCNT:
        return count_waiters(s, number, /* zero= */ false);
    case LINUX_GETZCNT:
        return count_waiters(s, number, /* zero= */ true);
    }
    return -EINVAL;
}

int sem_get_one(struct task *t, int id, int number, int cmd) {
    struct ipc_ns *ns = task_ipc_ns(t);
    struct sem_array *s;

    mutex_lock(&ns->lock);
    int result = find_for(t, ns, id, 0444, &s);
    if (result == 0)
        result = get_one_locked(t, s, number, cmd);
    mutex_unlock(&ns->lock);
    return result;
}

static int set_one_locked(struct task *t, struct ipc_ns *ns, int id, int number, int value) {
    struct ipc_object *o;
    int result = ipc_find_locked(ns, IPC_SEM, id, &o);

    if (result == 0 && (number < 0 || number >= sem_array_of(o)->count))
        result = -EINVAL;
    if (result == 0)
        result = ipc_check_access(ns, o, 0222, task_creds(t));
    if (result < 0)
        return result;
    struct sem_array *s = sem_array_of(o);
    sem_clear_undos_locked(s, number);
    s->semaphores[number].value = (uint16_t)value;
    ipc_note_pid(&s->semaphores[number].last, t);
    s->object.ctime = ipc_now(t->kernel);
    sem_wake_waiters_locked(s);
    return 0;
}

int sem_set_one(struct task *t, int id, int number, int value) {
    struct ipc_ns *ns = task_ipc_ns(t);

    if (value < 0 || value > LINUX_SEMVMX)
        return -ERANGE;
    mutex_lock(&ns->lock);
    int result = set_one_locked(t, ns, id, number, value);
    mutex_unlock(&ns->lock);
    return result;
}

int sem_count(struct task *t, int id, bool write) {
    struct ipc_ns *ns = task_ipc_ns(t);
    struct sem_array *s;

    mutex_lock(&ns->lock);
    int result = find_for(t, ns, id, write ? 0222 : 0444, &s);
    if (result == 0)
        result = s->count;
    mutex_unlock(&ns->lock);
    return result;
}

/* The set that sem_count() saw; another one since: -EIDRM. */
static int find_again(struct ipc_ns *ns, int id, int count, struct sem_array **ret) {
    struct ipc_object *o;

    if (ipc_find_locked(ns, IPC_SEM, id, &o) < 0 || sem_array_of(o)->count != count)
        return -EIDRM;
    *ret = sem_array_of(o);
    return 0;
}

int sem_get_all(struct task *t, int id, uint16_t *values, int count) {
    struct ipc_ns *ns = task_ipc_ns(t);
    struct sem_array *s;

    mutex_lock(&ns->lock);
    int result = find_again(ns, id, count, &s);
    for (int i = 0; result == 0 && i < count; i++)
        values[i] = s->semaphores[i].value;
    mutex_unlock(&ns->lock);
    return result;
}

int sem_set_all(struct task *t, int id, const uint16_t *values, int count) {
    struct ipc_ns *ns = task_ipc_ns(t);
    struct sem_array *s;

    for (int i = 0; i < count; i++)
        if (values[i] > LINUX_SEMVMX)
            return -ERANGE;
    mutex_lock(&ns->lock);
    int result = find_again(ns, id, count, &s);
    if (result == 0) {
        for (int i = 0; i < count; i++) {
            s->semaphores[i].value = values[i];
            ipc_note_pid(&s->semaphores[i].last, t);
        }
        sem_clear_undos_locked(s, -1);
        s->object.ctime = ipc_now(t->kernel);
        sem_wake_waiters_locked(s);
    }
    mutex_unlock(&ns->lock);
    return result;
}

const struct ipc_ops g_sem_ops = {.fill = fill_locked, .remove = remove_locked, .destroy = destroy};
