/* SPDX-License-Identifier: Apache-2.0
 * sentry/heap/heap_quarantine.c: freed objects wait here before their slot is used again, so that a use after
 * free hits poison (ASan builds) or a changed pattern (other debug builds). Release builds free at once.
 *
 * The ring is bounded in entries; it is static memory, not part of the arena: it is emptied before the heap
 * is dumped or linted.
 */
#include "sentry/heap/heap_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void really_free(void *p) {
    struct slab *s = page_address(page_map()[page_number(p)].head);

    cache_free(&g_arena->caches[s->cache], s, p);
}

#ifdef RUNSC_DEBUG
enum { RING = 2048, PATTERN = 0xdb };

static struct mutex g_ring_lock = MUTEX_INIT(RANK_HEAP_ARENA);
static struct {
    void *p;
    size_t size;
} g_ring[RING];
static unsigned g_ring_next;

static void let_go(void *p, size_t size) {
#ifndef HEAP_ASAN
    for (size_t i = 0; i < size; i++) {
        if (((unsigned char *)p)[i] == PATTERN)
            continue;
        fprintf(stderr, "heap: use after free: %p changed at byte %zu of %zu while it was free\n", p, i,
                size);
        abort();
    }
#endif
    (void)size;
    really_free(p);
}

void quarantine_put(void *p, size_t size) {
#ifdef HEAP_ASAN
    ASSERT(!__asan_address_is_poisoned(p)); /* else: freed twice */
    __asan_poison_memory_region(p, size);
#else
    memset(p, PATTERN, size);
#endif
    mutex_lock(&g_ring_lock);
    void *oldest = g_ring[g_ring_next].p;
    size_t oldest_size = g_ring[g_ring_next].size;
    g_ring[g_ring_next].p = p;
    g_ring[g_ring_next].size = size;
    g_ring_next = (g_ring_next + 1) % RING;
    mutex_unlock(&g_ring_lock);
    if (oldest)
        let_go(oldest, oldest_size);
}

void quarantine_flush(void) {
    for (unsigned i = 0; i < RING; i++) {
        mutex_lock(&g_ring_lock);
        void *p = TAKE(g_ring[i].p);
        size_t size = g_ring[i].size;
        mutex_unlock(&g_ring_lock);
        if (p)
            let_go(p, size);
    }
}
#else
void quarantine_put(void *p, size_t size) {
    (void)size;
    really_free(p);
}

void quarantine_flush(void) {
}
#endif
