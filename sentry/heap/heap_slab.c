/* SPDX-License-Identifier: Apache-2.0
 * sentry/heap/heap_slab.c: caches and their slabs: a run of pages with a header and equal slots of one type;
 * a bitmap tells which are taken, so that nothing of the heap lies in freed objects.
 *
 * In ASan builds every slot has a red zone behind it, whose last word keeps the size asked for.
 */
#include "sentry/heap/heap_internal.h"

#include <string.h>

enum { MAX_SLAB_ORDER = 4, WANTED_SLOTS = 8 };

static uint32_t round_up(uint32_t n, uint32_t align) {
    return (n + align - 1) / align * align;
}

void cache_init(struct heap_cache *c, const char *name, uint32_t size, uint32_t align, uint32_t flags) {
    ASSERT(strlen(name) < HEAP_NAME);
    memset(c, 0, sizeof *c);
    mutex_init(&c->lock, RANK_HEAP);
    list_init(&c->partial);
    memcpy(c->name, name, strlen(name));
    align = MAX(align, 8u);
    c->size = size;
    c->flags = flags;
    c->stride = round_up(size + HEAP_REDZONE, align);
    c->first = round_up((uint32_t)sizeof(struct slab) + HEAP_REDZONE, align);
    for (unsigned order = 0; order <= MAX_SLAB_ORDER; order++) {
        uint32_t bytes = (uint32_t)PAGE_SIZE << order;
        c->slab_pages = 1u << order;
        c->slots = bytes > c->first ? (bytes - c->first) / c->stride : 0;
        if (c->slots >= WANTED_SLOTS && (bytes - c->slots * c->stride) * 8 <= bytes)
            break;
    }
    if (c->slots == 0) {
        c->slots = 1;
        c->slab_pages = (uint32_t)(page_up(c->first + c->stride) / PAGE_SIZE);
    }
    c->slots = MIN(c->slots, (uint32_t)SLAB_MAX_SLOTS);
}

static struct slab *slab_new(struct heap_cache *c) {
    uint32_t page = pages_alloc(c->slab_pages, PAGE_SLAB, 0);

    if (!page)
        return NULL;
    struct slab *s = page_address(page);
    unpoison(s, sizeof *s);
    memset(s, 0, sizeof *s);
    poison((char *)s + sizeof *s, c->slab_pages * PAGE_SIZE - sizeof *s);
    s->cache = (uint32_t)(c - g_arena->caches);
    c->empty_slabs++;
    list_add(&c->partial, &s->node);
    return s;
}

static void slab_free(struct heap_cache *c, struct slab *s) {
    list_del(&s->node);
    unpoison(s, c->slab_pages * PAGE_SIZE);
    pages_free(page_number(s), c->slab_pages);
}

/* The lowest free slot, now taken; there is one. */
static uint32_t take_slot(struct slab *s) {
    for (uint32_t word = 0; word < SLAB_WORDS; word++) {
        if (s->taken[word] == UINT64_MAX)
            continue;
        uint32_t bit = (uint32_t)__builtin_ctzll(~s->taken[word]);
        s->taken[word] |= 1ull << bit;
        return word * 64 + bit;
    }
    ASSERT(!"a slab on the partial list is full");
    return 0;
}

NO_ASAN void object_set_size(const struct heap_cache *c, void *p, size_t size) {
#ifdef HEAP_ASAN
    uint64_t *word = (uint64_t *)((char *)p + c->stride - sizeof *word);

    *word = size;
    unpoison(p, size);
    poison((char *)p + size, c->stride - size);
#else
    (void)c, (void)p, (void)size;
#endif
}

NO_ASAN size_t object_size(const struct heap_cache *c, const void *p) {
#ifdef HEAP_ASAN
    return *(const uint64_t *)((const char *)p + c->stride - sizeof(uint64_t));
#else
    (void)p;
    return c->size;
#endif
}

void *cache_alloc(struct heap_cache *c, size_t size) {
    ASSERT(size <= c->size);
    mutex_lock(&c->lock);
    struct slab *s = list_empty(&c->partial) ? slab_new(c) : list_first_entry(&c->partial, struct slab, node);
    void *p = NULL;
    if (s) {
        if (s->used == 0)
            c->empty_slabs--;
        p = slab_object(c, s, take_slot(s));
        if (++s->used == c->slots)
            list_del(&s->node);
    }
    mutex_unlock(&c->lock);
    if (!p)
        return NULL;
    object_set_size(c, p, size);
    memset(p, 0, HEAP_REDZONE ? size : c->size);
    atomic_fetch_add_explicit(&c->live, 1, memory_order_relaxed);
    return p;
}

void cache_free(struct heap_cache *c, struct slab *s, void *p) {
    uint64_t offset = (uint64_t)((char *)p - (char *)s) - c->first;
    uint32_t slot = (uint32_t)(offset / c->stride);

    ASSERT(slot < c->slots);
    ASSERT(offset % c->stride == 0);
    mutex_lock(&c->lock);
    ASSERT(s->taken[slot / 64] >> (slot % 64) & 1); /* else: freed twice */
    s->taken[slot / 64] &= ~(1ull << (slot % 64));
    if (s->used-- == c->slots)
        list_add(&c->partial, &s->node);
    if (s->used == 0 && c->empty_slabs > 0) {
        slab_free(c, s);
    } else if (s->used == 0) {
        c->empty_slabs++;
        list_del(&s->node);
        list_add_tail(&c->partial, &s->node);
    }
    mutex_unlock(&c->lock);
}

void cache_for_each(uint32_t page, void (*fn)(struct heap_cache *c, void *object, size_t size, void *arg),
                    void *arg) {
    struct slab *s = page_address(page);
    struct heap_cache *c = &g_arena->caches[s->cache];

    for (uint32_t slot = 0; slot < c->slots; slot++)
        if (s->taken[slot / 64] >> (slot % 64) & 1)
            fn(c, slab_object(c, s, slot), object_size(c, slab_object(c, s, slot)), arg);
}
