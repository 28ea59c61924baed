/* SPDX-License-Identifier: Apache-2.0
 * base/list.h: an intrusive circular doubly linked list.
 *
 * A list head and its nodes are the same type; an unlinked node points at itself, so list_del() may be
 * called twice. Nodes hold plain pointers and so may live in the sentry's heap. Not locked: the owner's
 * lock protects head and nodes alike.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define container_of(ptr, type, member)                                                                      \
    ((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(name)                                                                                      \
    { &(name), &(name) }

static inline void list_init(struct list *l) {
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l) {
    return l->next == l;
}

static inline void list_insert_between(struct list *n, struct list *prev, struct list *next) {
    n->prev = prev;
    n->next = next;
    prev->next = n;
    next->prev = n;
}

/* At the front: the next list_first(). `n` must be unlinked. */
static inline void list_add(struct list *head, struct list *n) {
    list_insert_between(n, head, head->next);
}

/* At the end. `n` must be unlinked. */
static inline void list_add_tail(struct list *head, struct list *n) {
    list_insert_between(n, head->prev, head);
}

/* Unlinks `n` and leaves it empty; harmless on an unlinked node. */
static inline void list_del(struct list *n) {
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

/* Moves all nodes of `from` to the end of `to`. */
static inline void list_splice_tail(struct list *to, struct list *from) {
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define list_first_entry(head, type, member) container_of((head)->next, type, member)
#define list_last_entry(head, type, member)  container_of((head)->prev, type, member)
#define list_next_entry(pos, member)         container_of((pos)->member.next, __typeof__(*(pos)), member)

#define list_for_each_entry(pos, head, member)                                                               \
    for (pos = container_of((head)->next, __typeof__(*(pos)), member); &pos->member != (head);               \
         pos = list_next_entry(pos, member))

/* The loop's body may unlink and free `pos`, but no other node. */
#define list_for_each_entry_safe(pos, tmp, head, member)                                                     \
    for (pos = container_of((head)->next, __typeof__(*(pos)), member), tmp = list_next_entry(pos, member);   \
         &pos->member != (head); pos = tmp, tmp = list_next_entry(tmp, member))
