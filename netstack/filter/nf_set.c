/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf_set.c: sets and maps of nft: elements sorted by key, so that exact ones and intervals
 * are found by bisection. Intervals are pairs of elements (a start, and an end that no longer belongs to it);
 * concatenations with ranges carry both ends in one element and are looked through in turn. Source: nft(8).
 */
#include <errno.h>

#include "netstack/filter/nf_internal.h"

NETSTACK_TYPE(t_set, struct nf_set);
NETSTACK_TYPE(t_elem, struct nf_elem);

struct nf_set *nf_set_find(struct nf_table *t, const char *name) {
    for (uint32_t i = 0; i < t->set_cap; i++)
        if (t->sets[i] && strcmp(t->sets[i]->name, name) == 0)
            return t->sets[i];
    return NULL;
}

void nf_set_flush(struct netns *ns, struct nf_set *s) {
    for (uint32_t i = 0; i < s->elem_count; i++)
        nsmem_free(&ns->st->mem, &t_elem, s->elems[i]);
    s->elem_count = 0;
}

void nf_set_unref(struct netns *ns, struct nf_set *s) {
    if (!s || --s->refs > 0)
        return;
    nf_set_flush(ns, s);
    nsmem_free_bytes(&ns->st->mem, s->elems, s->elem_cap * sizeof(*s->elems));
    nsmem_free(&ns->st->mem, &t_set, s);
}

static struct nf_set *set_alloc(struct netns *ns, const struct nf_set *like) {
    struct nf_set *s = nsmem_alloc(&ns->st->mem, &t_set);
    if (!s)
        return NULL;
    *s = *like;
    s->refs = 1;
    s->elems = NULL;
    s->elem_count = s->elem_cap = 0;
    return s;
}

int nf_set_new(struct netns *ns, struct nf_table *t, const struct nf_set *like, struct nf_set **ret) {
    struct nf_set *s = set_alloc(ns, like);
    if (!s)
        return -ENOMEM;
    int rc = nf_set_place(ns, t, s);
    if (rc < 0)
        nf_set_unref(ns, s);
    else
        *ret = s;
    return rc;
}

static uint32_t index_of(const struct nf_table *t, const struct nf_set *s) {
    uint32_t i = 0;
    while (t->sets[i] != s)
        i++;
    return i;
}

int nf_set_del(struct netns *ns, struct nf_table *t, struct nf_set *s) {
    if (nf_set_users(t, s) > 0)
        return -EBUSY;
    t->sets[index_of(t, s)] = NULL;
    nf_set_unref(ns, s);
    return 0;
}

static int reserve(struct netns *ns, struct nf_set *s, uint32_t want) {
    if (want <= s->elem_cap)
        return 0;
    uint32_t cap = MAX(s->elem_cap * 2, MAX(want, 8u));
    struct nf_elem **a = nsmem_bytes(&ns->st->mem, cap * sizeof(*a));
    if (!a)
        return -ENOMEM;
    if (s->elem_count)
        memcpy(a, s->elems, s->elem_count * sizeof(*a));
    nsmem_free_bytes(&ns->st->mem, s->elems, s->elem_cap * sizeof(*a));
    s->elems = a;
    s->elem_cap = cap;
    return 0;
}

struct nf_set *nf_set_own(struct netns *ns, struct nf_table *t, struct nf_set *s) {
    if (s->refs == 1)
        return s;
    struct nf_set *n = set_alloc(ns, s);
    if (!n || reserve(ns, n, s->elem_count) < 0) {
        nf_set_unref(ns, n);
        return NULL;
    }
    for (uint32_t i = 0; i < s->elem_count; i++) {
        struct nf_elem *e = nsmem_alloc(&ns->st->mem, &t_elem);
        if (!e) {
            nf_set_unref(ns, n);
            return NULL;
        }
        *e = *s->elems[i];
        n->elems[n->elem_count++] = e;
    }
    t->sets[index_of(t, s)] = n;
    nf_set_unref(ns, s);
    return n;
}

/* Order: by key, an interval's end before the start of the next; the catch-all element last. */
static int compare(const struct nf_set *s, const struct nf_elem *a, const struct nf_elem *b) {
    if (a->catchall != b->catchall)
        return a->catchall ? 1 : -1;
    int d = memcmp(a->key, b->key, s->key_len);
    if (d == 0 && a->has_end && b->has_end)
        d = memcmp(a->key_end, b->key_end, s->key_len);
    return d != 0 ? d : (int)b->interval_end - (int)a->interval_end;
}

/* Where `e` is, or would be. */
static uint32_t position(const struct nf_set *s, const struct nf_elem *e, bool *ret_found) {
    uint32_t lo = 0, hi = s->elem_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (compare(s, s->elems[mid], e) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_found = lo < s->elem_count && compare(s, s->elems[lo], e) == 0;
    return lo;
}

int nf_elem_add(struct netns *ns, struct nf_set *s, const struct nf_elem *e) {
    bool found;
    uint32_t at = position(s, e, &found);
    if (found)
        return -EEXIST;
    if (s->elem_count >= NF_ELEMS_MAX)
        return -ENFILE;
    struct nf_elem *n = reserve(ns, s, s->elem_count + 1) == 0 ? nsmem_alloc(&ns->st->mem, &t_elem) : NULL;
    if (!n)
        return -ENOMEM;
    *n = *e;
    memmove(s->elems + at + 1, s->elems + at, (s->elem_count - at) * sizeof(*s->elems));
    s->elems[at] = n;
    s->elem_count++;
    return 0;
}

int nf_elem_del(struct netns *ns, struct nf_set *s, const struct nf_elem *like) {
    bool found;
    uint32_t at = position(s, like, &found);
    if (!found)
        return -ENOENT;
    nsmem_free(&ns->st->mem, &t_elem, s->elems[at]);
    memmove(s->elems + at, s->elems + at + 1, (s->elem_count - at - 1) * sizeof(*s->elems));
    s->elem_count--;
    return 0;
}

/* Each field of a concatenation lies within its own range. */
static bool in_ranges(const struct nf_set *s, const struct nf_elem *e, const uint8_t *key) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < MAX(s->field_count, 1u); i++) {
        uint32_t n = s->field_count ? s->field_len[i] : s->key_len;
        if (memcmp(key + at, e->key + at, n) < 0 || memcmp(key + at, e->key_end + at, n) > 0)
            return false;
        at += (n + 3) & ~3u;
    }
    return true;
}

static const struct nf_elem *catchall(const struct nf_set *s) {
    const struct nf_elem *last = s->elem_count ? s->elems[s->elem_count - 1] : NULL;
    return last && last->catchall ? last : NULL;
}

const struct nf_elem *nf_set_lookup(const struct nf_set *s, const uint8_t *key) {
    struct nf_elem like = {0};
    bool found;
    if (s->flags & NF_SET_INTERVAL && s->flags & NF_SET_CONCAT) {
        for (uint32_t i = 0; i < s->elem_count; i++) {
            const struct nf_elem *e = s->elems[i];
            if (!e->catchall && (e->has_end ? in_ranges(s, e, key) : memcmp(e->key, key, s->key_len) == 0))
                return e;
        }
        return catchall(s);
    }
    memcpy(like.key, key, s->key_len);
    uint32_t at = position(s, &like, &found);
    if (found)
        return s->elems[at];
    if (s->flags & NF_SET_INTERVAL && at > 0 && !s->elems[at - 1]->interval_end &&
        !s->elems[at - 1]->catchall)
        return s->elems[at - 1];
    return catchall(s);
}
