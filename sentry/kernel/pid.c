/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/pid.c: see pid.h. Source: pid_namespaces(7), clone(2) (set_tid).
 */
#include "sentry/kernel/pid.h"

#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"

HEAP_TYPE(pid, struct pid, 0);
HEAP_TYPE(pid_ns, struct pid_ns, 0);

enum { FIRST_AFTER_WRAP = 300, FIRST_TABLE = 64 };

static void pid_ns_destroy(struct pid_ns *ns) {
    ASSERT(ns->count == 0);
    user_ns_unref(ns->user_ns);
    pid_ns_unref(ns->parent);
    heap_free(ns->table);
    heap_free(ns);
}
DEFINE_REF(pid_ns, pid_ns_destroy);

static void pid_destroy(struct pid *pid) {
    ASSERT(!pid->hashed);
    pid_ns_unref(pid_own_ns(pid));
    if (pid->numbers != pid->few)
        heap_free(pid->numbers);
    heap_free(pid);
}
DEFINE_REF(pid, pid_destroy);

struct pid_ns *pid_ns_new(struct kernel *k, struct pid_ns *parent, struct user_ns *user_ns) {
    struct pid_ns *ns = heap_new(pid_ns);

    if (!ns)
        return NULL;
    ns->table = heap_alloc_array(FIRST_TABLE, sizeof *ns->table);
    if (!ns->table) {
        heap_free(ns);
        return NULL;
    }
    pid_ns_ref_init(ns);
    ns->table_size = FIRST_TABLE;
    ns->parent = parent ? pid_ns_ref(parent) : NULL;
    ns->user_ns = user_ns_ref(user_ns);
    ns->level = parent ? parent->level + 1 : 0;
    ns->inode = kernel_new_inode(k);
    ns->pid_max = PID_MAX_DEFAULT;
    waitq_init(&ns->empty_queue);
    return ns;
}

bool pid_ns_within(const struct pid_ns *ns, const struct pid_ns *ancestor) {
    while (ns && ns != ancestor)
        ns = ns->parent;
    return ns != NULL;
}

static struct pid **bucket(const struct pid_ns *ns, int number) {
    return &ns->table[(unsigned)number & (ns->table_size - 1)];
}

struct pid *pid_find_locked(struct pid_ns *ns, int number) {
    if (number <= 0)
        return NULL;
    for (struct pid *p = *bucket(ns, number); p; p = p->numbers[ns->level].hash_next)
        if (p->numbers[ns->level].number == number)
            return p;
    return NULL;
}

struct pid *pid_next_locked(struct pid_ns *ns, int number) {
    struct pid *best = NULL;

    /* Dense numbers are found by probing; sparse ones by one walk over the table. */
    for (int n = MAX(number, 1), tries = 0; tries < 32; n++, tries++) {
        best = pid_find_locked(ns, n);
        if (best)
            return best;
    }
    for (size_t i = 0; i < ns->table_size; i++)
        for (struct pid *p = ns->table[i]; p; p = p->numbers[ns->level].hash_next)
            if (p->numbers[ns->level].number >= number &&
                (!best || p->numbers[ns->level].number < best->numbers[ns->level].number))
                best = p;
    return best;
}

static void table_grow_locked(struct pid_ns *ns) {
    size_t size = 2 * ns->table_size;
    struct pid **table = heap_alloc_array(size, sizeof *table);

    if (!table)
        return; /* longer chains */
    for (size_t i = 0; i < ns->table_size; i++) {
        for (struct pid *p = ns->table[i], *next; p; p = next) {
            struct pid_number *n = &p->numbers[ns->level];
            next = n->hash_next;
            n->hash_next = table[(unsigned)n->number & (size - 1)];
            table[(unsigned)n->number & (size - 1)] = p;
        }
    }
    heap_free(ns->table);
    ns->table = table;
    ns->table_size = size;
}

/* A free number, or that which was asked for. */
static int pick_number_locked(struct pid_ns *ns, const int *wanted) {
    if (wanted) {
        if (*wanted < 1 || *wanted >= ns->pid_max || (!ns->init && *wanted != 1))
            return -EINVAL;
        return pid_find_locked(ns, *wanted) ? -EEXIST : *wanted;
    }
    int number = ns->last_number;
    for (int tries = 0; tries < ns->pid_max; tries++) {
        if (++number >= ns->pid_max)
            number = FIRST_AFTER_WRAP;
        if (!pid_find_locked(ns, number)) {
            ns->last_number = number;
            return number;
        }
    }
    return -EAGAIN;
}

static struct pid *pid_new(struct pid_ns *ns) {
    struct pid *pid = heap_new(pid);

    if (!pid)
        return NULL;
    pid->level = ns->level;
    pid->numbers = pid->few;
    if (ns->level + 1 > ARRAY_SIZE(pid->few))
        pid->numbers = heap_alloc_array(ns->level + 1, sizeof *pid->numbers);
    if (!pid->numbers) {
        heap_free(pid);
        return NULL;
    }
    pid_ref_init(pid);
    pid->numbers[pid->level].ns = pid_ns_ref(ns);
    waitq_init(&pid->exit_queue);
    for (int i = 0; i < PID_ROLES; i++)
        list_init(&pid->tasks[i]);
    return pid;
}

int pid_alloc_locked(struct pid_ns *ns, const int *set, size_t set_count, struct pid **ret) {
    if (ns->ending)
        return -ENOMEM;
    struct pid *pid = pid_new(ns);
    if (!pid)
        return -ENOMEM;
    /* All numbers first, then the commit that cannot fail. */
    size_t depth = 0;
    for (struct pid_ns *at = ns; at; at = at->parent, depth++) {
        int number = pick_number_locked(at, depth < set_count ? &set[depth] : NULL);
        if (number < 0) {
            pid_unref(pid);
            return number;
        }
        pid->numbers[at->level] = (struct pid_number){.number = number, .ns = at};
    }
    for (struct pid_ns *at = ns; at; at = at->parent) {
        struct pid_number *n = &pid->numbers[at->level];
        if (at->count >= at->table_size)
            table_grow_locked(at);
        n->hash_next = *bucket(at, n->number);
        *bucket(at, n->number) = pid;
        at->count++;
    }
    pid->hashed = true;
    *ret = pid;
    return 0;
}

void pid_free_numbers_locked(struct pid *pid) {
    if (!pid->hashed)
        return;
    for (unsigned level = 0; level <= pid->level; level++) {
        struct pid_number *n = &pid->numbers[level];
        struct pid **at = bucket(n->ns, n->number);
        while (*at != pid)
            at = &(*at)->numbers[level].hash_next;
        *at = n->hash_next;
        n->hash_next = NULL;
        n->ns->count--;
        waitq_wake(&n->ns->empty_queue, WAIT_ANY);
    }
    pid->hashed = false;
}

void pid_attach_locked(struct pid *pid, enum pid_role role, struct task *t) {
    list_add_tail(&pid->tasks[role], &t->pid_node[role]);
}

void pid_detach_locked(struct pid *pid, enum pid_role role, struct task *t) {
    list_del(&t->pid_node[role]);
    for (int i = 0; i < PID_ROLES; i++)
        if (!list_empty(&pid->tasks[i]))
            return;
    pid_free_numbers_locked(pid);
}

int pid_nr(const struct pid *pid, const struct pid_ns *ns) {
    if (!pid || ns->level > pid->level || pid->numbers[ns->level].ns != ns)
        return 0;
    return pid->numbers[ns->level].number;
}

struct task *pid_task_locked(const struct pid *pid, enum pid_role role) {
    if (!pid || list_empty(&pid->tasks[role]))
        return NULL;
    return container_of(pid->tasks[role].next, struct task, pid_node[role]);
}
