/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/htab.c: the hash table (htab.h).
 */
#include "netstack/stack/htab.h"

#include <string.h>

static struct hnode **bucket_of(const struct htab *t, uint32_t hash) {
    struct htab *w = (struct htab *)t;
    return t->buckets ? &w->buckets[hash & t->mask] : &w->chain0;
}

static void link_in(struct hnode **b, struct hnode *n) {
    n->next = *b;
    n->pprev = b;
    if (n->next)
        n->next->pprev = &n->next;
    *b = n;
}

static void move_chain(struct htab *t, struct hnode *n) {
    for (struct hnode *next; n; n = next) {
        next = n->next;
        link_in(bucket_of(t, n->hash), n);
    }
}

static void grow(struct nsmem *mem, struct htab *t) {
    uint32_t n = t->buckets ? (t->mask + 1) * 2 : 16;
    struct hnode **fresh = nsmem_bytes(mem, n * sizeof(*fresh));
    if (!fresh)
        return;
    memset(fresh, 0, n * sizeof(*fresh));
    struct hnode **old = t->buckets;
    uint32_t old_n = t->mask + 1;
    t->buckets = fresh;
    t->mask = n - 1;
    if (!old) {
        move_chain(t, t->chain0);
        t->chain0 = NULL;
        return;
    }
    for (uint32_t i = 0; i < old_n; i++)
        move_chain(t, old[i]);
    nsmem_free_bytes(mem, old, old_n * sizeof(*old));
}

void htab_insert(struct nsmem *mem, struct htab *t, struct hnode *n, uint32_t hash) {
    ASSERT(!n->pprev);
    uint32_t size = t->buckets ? t->mask + 1 : 4;
    if (t->count >= size && t->mask < (1u << 24))
        grow(mem, t);
    n->hash = hash;
    link_in(bucket_of(t, hash), n);
    t->count++;
}

void htab_remove(struct htab *t, struct hnode *n) {
    if (!n->pprev)
        return;
    *n->pprev = n->next;
    if (n->next)
        n->next->pprev = n->pprev;
    n->next = NULL;
    n->pprev = NULL;
    ASSERT(t->count > 0);
    t->count--;
}

void htab_done(struct nsmem *mem, struct htab *t) {
    ASSERT(t->count == 0);
    nsmem_free_bytes(mem, t->buckets, ((size_t)t->mask + 1) * sizeof(*t->buckets));
    *t = (struct htab){0};
}

static struct hnode *match(struct hnode *n, uint32_t hash) {
    while (n && n->hash != hash)
        n = n->next;
    return n;
}

struct hnode *htab_first(const struct htab *t, uint32_t hash) {
    return match(*bucket_of(t, hash), hash);
}

struct hnode *htab_next(const struct hnode *n, uint32_t hash) {
    return match(n->next, hash);
}

struct hnode *htab_walk(const struct htab *t, const struct hnode *after) {
    if (after && after->next)
        return after->next;
    if (!t->buckets)
        return after ? NULL : t->chain0;
    for (uint32_t i = after ? (after->hash & t->mask) + 1 : 0; i <= t->mask; i++)
        if (t->buckets[i])
            return t->buckets[i];
    return NULL;
}
