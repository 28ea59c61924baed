/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ipc/sem_internal.h: what sem.c and sem_undo.c share. Everything: ipc_ns.lock.
 */
#pragma once

#include "sentry/kernel/ipc/ipc_ns.h"

struct semaphore {
    uint16_t value;
    struct pid *last; /* reference or NULL: who changed it last */
};

struct sem_array {
    struct ipc_object object;
    int count;
    struct semaphore *semaphores; /* heap array */
    int64_t otime;
    struct list waiters; /* of sem_waiter.node, first come first */
    struct list undos;   /* of sem_undo.array_node */
};

/* What one process (list) has to give back to one set. */
struct sem_undo {
    struct list list_node, array_node;
    struct sem_array *array; /* borrowed: goes with the array */
    int count;
    int16_t *adjust; /* heap bytes, one a semaphore */
};

struct sem_undo_list {
    struct ipc_ns *ns; /* reference: whose sets they are */
    unsigned users;    /* tasks that share it */
    struct list undos; /* of sem_undo.list_node */
};

static inline struct sem_array *sem_array_of(struct ipc_object *o) {
    return container_of(o, struct sem_array, object);
}

/* sem.c: performs what waits on the set and has become possible. */
void sem_wake_waiters_locked(struct sem_array *s);

/* The record of t's list for this set; made if `fresh` (taken then; set to NULL) is given and there is none;
 * or NULL. */
struct sem_undo *sem_find_undo_locked(struct task *t, struct sem_array *s, struct sem_undo **fresh);
/* Not yet on any list. NULL: no memory. */
struct sem_undo *sem_undo_new(int count);
void sem_undo_free(struct sem_undo *u); /* takes NULL */
/* t has a list, made now if need be. -ENOMEM. */
int sem_need_undo_list(struct task *t) must_check;
/* Adjustments are void: of one semaphore, or of all (number -1). */
void sem_clear_undos_locked(struct sem_array *s, int number);
/* The set goes. */
void sem_drop_undos_locked(struct sem_array *s);
