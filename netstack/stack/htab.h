/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/htab.h: an intrusive chained hash table in allocator memory, growing and never failing to
 * insert. The caller computes hashes (keyed, for anything a peer chooses) and compares keys.
 */
#pragma once

#include <stdint.h>

#include "netstack/buffer/nsmem.h"

struct hnode {
    struct hnode *next;
    struct hnode **pprev; /* NULL: not in a table */
    uint32_t hash;
};

struct htab {
    struct hnode **buckets; /* NULL until a first growth: then one chain */
    struct hnode *chain0;
    uint32_t mask;
    uint32_t count;
};

/* If there is no memory to grow, chains get longer. */
void htab_insert(struct nsmem *mem, struct htab *t, struct hnode *n, uint32_t hash);
void htab_remove(struct htab *t, struct hnode *n);
/* Frees the buckets; the table must be empty. */
void htab_done(struct nsmem *mem, struct htab *t);
/* First node of the chain; walk by htab_next() and compare. */
struct hnode *htab_first(const struct htab *t, uint32_t hash);
struct hnode *htab_next(const struct hnode *n, uint32_t hash);
/* Walk over all, in table order; the node may not be removed between calls but after the next was taken. */
struct hnode *htab_walk(const struct htab *t, const struct hnode *after);

static inline bool htab_linked(const struct hnode *n) {
    return n->pprev != NULL;
}
