/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ipc/sem_undo.c: SEM_UNDO: adjustments that are made when a process ends. Source: semop(2),
 * clone(2) "CLONE_SYSVSEM", unshare(2).
 *
 * A list belongs to one IPC namespace: whoever changes namespace leaves it first.
 */
#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/ipc/sem.h"
#include "sentry/kernel/ipc/sem_internal.h"
#include "sentry/kernel/task.h"

HEAP_TYPE(sem_undo, struct sem_undo, 0);
HEAP_TYPE(sem_undo_list, struct sem_undo_list, 0);

int sem_need_undo_list(struct task *t) {
    if (t->sysvsem)
        return 0;
    struct sem_undo_list *l = heap_new(sem_undo_list);
    if (!l)
        return -ENOMEM;
    l->users = 1;
    l->ns = ipc_ns_ref(task_ipc_ns(t));
    list_init(&l->undos);
    t->sysvsem = l;
    return 0;
}

int sem_share_undo(struct task *t, struct sem_undo_list **ret) {
    int result = sem_need_undo_list(t);

    if (result < 0)
        return result;
    mutex_lock(&t->sysvsem->ns->lock);
    t->sysvsem->users++;
    mutex_unlock(&t->sysvsem->ns->lock);
    *ret = t->sysvsem;
    return 0;
}

struct sem_undo *sem_undo_new(int count) {
    struct sem_undo *u = heap_new(sem_undo);

    if (!u)
        return NULL;
    list_init(&u->list_node);
    list_init(&u->array_node);
    u->count = count;
    u->adjust = heap_alloc_bytes((size_t)count * sizeof *u->adjust);
    if (!u->adjust) {
        heap_free(u);
        return NULL;
    }
    return u;
}

void sem_undo_free(struct sem_undo *u) {
    if (!u)
        return;
    list_del(&u->list_node);
    list_del(&u->array_node);
    heap_free(u->adjust);
    heap_free(u);
}

struct sem_undo *sem_find_undo_locked(struct task *t, struct sem_array *s, struct sem_undo **fresh) {
    struct sem_undo_list *l = t->sysvsem;
    struct sem_undo *u;

    list_for_each_entry(u, &l->undos, list_node) {
        if (u->array == s)
            return u;
    }
    u = TAKE(*fresh);
    if (!u)
        return NULL;
    u->array = s;
    list_add_tail(&l->undos, &u->list_node);
    list_add_tail(&s->undos, &u->array_node);
    return u;
}

void sem_clear_undos_locked(struct sem_array *s, int number) {
    struct sem_undo *u;

    list_for_each_entry(u, &s->undos, array_node) {
        for (int i = 0; i < s->count; i++)
            if (number < 0 || i == number)
                u->adjust[i] = 0;
    }
}

void sem_drop_undos_locked(struct sem_array *s) {
    struct sem_undo *u, *next;

    list_for_each_entry_safe(u, next, &s->undos, array_node) {
        sem_undo_free(u);
    }
}

/* semop(2): a value that would go below zero becomes zero, and likewise at the top. */
static void apply_locked(struct task *t, struct sem_undo *u) {
    struct sem_array *s = u->array;

    for (int i = 0; i < s->count; i++) {
        if (u->adjust[i] == 0)
            continue;
        int value = s->semaphores[i].value + u->adjust[i];
        value = MAX(value, 0);
        s->semaphores[i].value = (uint16_t)MIN(value, LINUX_SEMVMX);
        ipc_note_pid(&s->semaphores[i].last, t);
    }
    s->otime = ipc_now(t->kernel);
    sem_wake_waiters_locked(s);
}

void sem_leave_undo(struct task *t) {
    struct sem_undo_list *l = TAKE(t->sysvsem);
    struct sem_undo *u, *next;

    if (!l)
        return;
    mutex_lock(&l->ns->lock);
    bool last = --l->users == 0;
    if (last) {
        list_for_each_entry_safe(u, next, &l->undos, list_node) {
            apply_locked(t, u);
            sem_undo_free(u);
        }
    }
    mutex_unlock(&l->ns->lock);
    if (!last)
        return;
    ipc_ns_unref(l->ns);
    heap_free(l);
}
