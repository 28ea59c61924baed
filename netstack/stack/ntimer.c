/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/ntimer.c: the timer heap. Equal deadlines fire in an order that depends on the sequence of
 * calls alone, so a simulation repeats exactly. Source: Fredman, Sedgewick, Sleator, Tarjan, "The pairing
 * heap", 1986 (two-pass variant).
 */
#include "netstack/stack/ntimer.h"

#include "netstack/stack/stack_core.h"

static struct ntimer *meld(struct ntimer *a, struct ntimer *b) {
    if (!a)
        return b;
    if (!b)
        return a;
    if (b->deadline < a->deadline) {
        struct ntimer *t = a;
        a = b;
        b = t;
    }
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    b->prev = a;
    a->child = b;
    a->next = NULL;
    return a;
}

/* Pairs siblings left to right, then melds the pairs right to left; no recursion. */
static struct ntimer *meld_siblings(struct ntimer *first) {
    struct ntimer *pairs = NULL;
    while (first) {
        struct ntimer *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = NULL;
        if (b)
            b->next = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    struct ntimer *root = NULL;
    while (pairs) {
        struct ntimer *next = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void set_root(struct netstack *st, struct ntimer *root) {
    st->timers = root;
    if (root) {
        root->prev = root;
        root->next = NULL;
    }
}

void ntimer_disarm(struct netstack *st, struct ntimer *t) {
    if (!ntimer_armed(t))
        return;
    struct ntimer *orphans = meld_siblings(t->child);
    if (t == st->timers) {
        set_root(st, orphans);
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next)
            t->next->prev = t->prev;
        set_root(st, meld(st->timers, orphans));
    }
    t->child = t->next = t->prev = NULL;
}

void ntimer_arm(struct netstack *st, struct ntimer *t, int64_t deadline) {
    ASSERT(t->ops);
    if (ntimer_armed(t)) {
        if (t->deadline == deadline)
            return;
        ntimer_disarm(st, t);
    }
    t->deadline = deadline;
    t->child = t->next = NULL;
    set_root(st, meld(st->timers, t));
}

void ntimer_run(struct netstack *st, int budget) {
    while (st->timers && st->timers->deadline <= st->now && budget-- > 0) {
        struct ntimer *t = st->timers;
        ntimer_disarm(st, t);
        t->ops->fire(st, t);
    }
}
