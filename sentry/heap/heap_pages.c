/* SPDX-License-Identifier: Apache-2.0
 * sentry/heap/heap_pages.c: runs of pages in the arena: free runs in bins by size, joined with free
 * neighbours through the page map.
 *
 * Freed pages go back to the host in batches (DIRTY_LIMIT), large runs at once.
 */
#include "sentry/heap/heap_internal.h"

enum { GROW_PAGES = 256, DIRTY_LIMIT = 256, FIT_TRIES = 16 };

static unsigned bin_of(uint32_t count) {
    return 31u - (unsigned)__builtin_clz(count);
}

static void bin_insert(uint32_t page, uint32_t count) {
    struct page_info *map = page_map();
    uint32_t *head = &g_arena->bins[bin_of(count)];

    map[page + count - 1] = (struct page_info){.kind = PAGE_FREE, .count = count};
    map[page] = (struct page_info){.kind = PAGE_FREE, .count = count, .bin = {.next = *head}};
    if (*head)
        map[*head].bin.prev = page;
    *head = page;
}

static void bin_remove(uint32_t page) {
    struct page_info *map = page_map(), *info = &map[page];
    uint32_t last = page + info->count - 1;

    if (info->bin.prev)
        map[info->bin.prev].bin.next = info->bin.next;
    else
        g_arena->bins[bin_of(info->count)] = info->bin.next;
    if (info->bin.next)
        map[info->bin.next].bin.prev = info->bin.prev;
    map[last].kind = PAGE_NONE;
    info->kind = PAGE_NONE;
}

static void insert_joined(uint32_t page, uint32_t count) {
    struct page_info *map = page_map();

    if (page > g_arena->first_page && map[page - 1].kind == PAGE_FREE) {
        uint32_t before = map[page - 1].count;
        bin_remove(page - before);
        page -= before;
        count += before;
    }
    if (page + count < g_arena->frontier && map[page + count].kind == PAGE_FREE) {
        uint32_t after = map[page + count].count;
        bin_remove(page + count);
        count += after;
    }
    bin_insert(page, count);
}

static uint32_t find_run(uint32_t count) {
    struct page_info *map = page_map();
    unsigned bin = bin_of(count), tries = 0;

    /* In its own bin a run may be too short; in higher ones any will do. */
    for (uint32_t page = g_arena->bins[bin]; page && tries < FIT_TRIES; page = map[page].bin.next, tries++)
        if (map[page].count >= count)
            return page;
    for (bin++; bin < PAGE_BINS; bin++)
        if (g_arena->bins[bin])
            return g_arena->bins[bin];
    return 0;
}

static bool grow(uint32_t count) {
    uint32_t left = g_arena->page_count - g_arena->frontier;
    uint32_t wanted = MAX(count, (uint32_t)GROW_PAGES), step = MIN(wanted, left);

    if (step < count || heap_host_commit(page_address(g_arena->frontier), step * PAGE_SIZE) < 0)
        return false;
    uint32_t page = g_arena->frontier;
    g_arena->frontier += step;
    insert_joined(page, step);
    return true;
}

/* The map is written under the lock: whoever frees a neighbour looks at the ends of this run. */
static void mark_run(uint32_t page, uint32_t count, enum page_kind kind, uint64_t size) {
    struct page_info *map = page_map();

    if (kind == PAGE_SLAB) {
        for (uint32_t i = 0; i < count; i++)
            map[page + i] = (struct page_info){.kind = kind, .count = count, .head = page};
        return;
    }
    map[page + count - 1].kind = PAGE_NONE;
    map[page] = (struct page_info){.kind = kind, .count = count, .size = size};
}

uint32_t pages_alloc(uint32_t count, enum page_kind kind, uint64_t size) {
    struct page_info *map = page_map();

    ASSERT(count > 0);
    mutex_lock(&g_arena->lock);
    uint32_t page = 0;
    if (count <= g_arena->max_pages - g_arena->pages_used) {
        page = find_run(count);
        if (!page && grow(count))
            page = find_run(count);
    }
    if (page) {
        uint32_t left = map[page].count - count;
        bin_remove(page);
        if (left)
            bin_insert(page + count, left);
        g_arena->pages_used += count;
        mark_run(page, count, kind, size);
    }
    mutex_unlock(&g_arena->lock);
    return page;
}

static void give_back_all(void) {
    struct page_info *map = page_map();

    for (unsigned bin = 0; bin < PAGE_BINS; bin++)
        for (uint32_t page = g_arena->bins[bin]; page; page = map[page].bin.next)
            heap_host_discard(page_address(page), map[page].count * PAGE_SIZE);
    g_arena->dirty_pages = 0;
}

void pages_free(uint32_t page, uint32_t count) {
    if (count >= LARGE_PAGES)
        heap_host_discard(page_address(page), count * PAGE_SIZE);
    mutex_lock(&g_arena->lock);
    ASSERT(g_arena->pages_used >= count);
    g_arena->pages_used -= count;
    insert_joined(page, count);
    if (count < LARGE_PAGES)
        g_arena->dirty_pages += count;
    if (g_arena->dirty_pages > DIRTY_LIMIT)
        give_back_all();
    mutex_unlock(&g_arena->lock);
}
