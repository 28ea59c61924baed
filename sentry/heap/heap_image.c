/* SPDX-License-Identifier: Apache-2.0
 * sentry/heap/heap_image.c: registration of types, and the heap as an image: dumped to a file, mapped again
 * at the same base.
 *
 * File: one page of header, then the arena as it lies in memory from its base to the frontier; what is free
 * is a hole. Mapping is private, so it costs nothing until pages are touched. Pointers into the binary are
 * moved by the difference of load addresses. The image is trusted (our own, sealed by its owner): a
 * checkpoint from elsewhere is checked above.
 */
#include "sentry/heap/heap_internal.h"

#include <errno.h>
#include <link.h>
#include <string.h>

#include "sentry/heap/heap_lint.h"

static struct heap_type *g_types;

void heap_type_register(struct heap_type *type) {
    type->next = g_types;
    g_types = type;
}

static struct heap_cache *find_cache(const char *name) {
    for (uint32_t i = 0; i < g_arena->cache_count; i++)
        if (strcmp(g_arena->caches[i].name, name) == 0)
            return &g_arena->caches[i];
    return NULL;
}

int heap_bind_types(struct err **err) {
    for (struct heap_type *type = g_types; type; type = type->next) {
        struct heap_cache *c = find_cache(type->name);
        if (!c && g_arena->cache_count == HEAP_MAX_TYPES)
            return err_set(err, ENOSPC, "heap.types", "the heap's table of types is full");
        if (!c) {
            c = &g_arena->caches[g_arena->cache_count++];
            cache_init(c, type->name, type->size, type->align, type->flags);
        }
        if (c->size != type->size) /* two types of one name, or an image of another build */
            return err_set(err, EINVAL, "heap.type-size",
                           "heap type %s has %u bytes here and %u in the image", type->name, type->size,
                           c->size);
        type->id = (uint32_t)(c - g_arena->caches);
    }
    return 0;
}

static int dump_pages(int fd) {
    struct page_info *map = page_map();
    uint64_t map_bytes = g_arena->frontier * sizeof *map;
    uint64_t head = (uint64_t)((char *)map - (char *)g_arena) + map_bytes;
    int result = heap_host_write(fd, g_arena, head, PAGE_SIZE);

    for (uint32_t page = g_arena->first_page; result == 0 && page < g_arena->frontier;
         page += map[page].count)
        if (map[page].kind != PAGE_FREE)
            result = heap_host_write(fd, page_address(page), map[page].count * PAGE_SIZE,
                                     PAGE_SIZE + (uint64_t)page * PAGE_SIZE);
    return result;
}

struct image_header {
    uint64_t magic, base, reserved_bytes, frontier;
};

int heap_dump(int fd, struct err **err) {
    quarantine_flush();
    heap_image_range(&g_arena->image_start, &g_arena->image_end);
    struct image_header header = {HEAP_MAGIC, (uintptr_t)g_arena, g_arena->reserved_bytes, g_arena->frontier};
    int result = heap_host_write(fd, &header, sizeof header, 0);
    if (result == 0)
        result = dump_pages(fd);
    /* The file must reach the frontier, or mapping its end would give SIGBUS. */
    if (result == 0)
        result = heap_host_write(fd, "", 1, (1 + (uint64_t)g_arena->frontier) * PAGE_SIZE);
    return result < 0 ? err_set(err, -result, "heap.dump", "writing the sentry heap's image") : 0;
}

struct patch {
    uint64_t old_start, old_end, delta;
};

NO_ASAN static void patch_words(void *object, size_t size, const struct patch *patch) {
    uint64_t *word = object;

    for (size_t i = 0; i < size / sizeof *word; i++)
        if (word[i] >= patch->old_start && word[i] < patch->old_end)
            word[i] += patch->delta;
}

static void patch_object(struct heap_cache *c, void *object, size_t size, void *arg) {
    object_set_size(c, object, size);
    if (!(c->flags & HEAP_PLAIN))
        patch_words(object, size, arg);
}

/* Slabs of a mapped image are poisoned as they were; then pointers into the binary are moved. */
static void patch_all(const struct patch *patch) {
    struct page_info *map = page_map();

    for (uint32_t page = g_arena->first_page; page < g_arena->frontier; page += map[page].count) {
        if (map[page].kind == PAGE_SLAB) {
            poison((char *)page_address(page) + sizeof(struct slab),
                   map[page].count * PAGE_SIZE - sizeof(struct slab));
            cache_for_each(page, patch_object, (void *)(uintptr_t)patch);
        } else if (map[page].kind == PAGE_RUN_ARRAY) {
            patch_words(page_address(page), map[page].size, patch);
        }
    }
}

int heap_load(int fd, struct err **err) {
    struct image_header h;

    ASSERT(!g_arena);
    int result = heap_host_read(fd, &h, sizeof h, 0);
    if (result < 0 || h.magic != HEAP_MAGIC || h.frontier > h.reserved_bytes / PAGE_SIZE)
        return err_set(err, EINVAL, "heap.image", "not an image of a sentry heap");
    void *p = heap_host_reserve(h.base, h.reserved_bytes);
    if (!p)
        return err_set(err, errno, "heap.reserve", "reserving the sentry heap's addresses at %llx",
                       (unsigned long long)h.base);
    uint64_t committed = h.frontier * PAGE_SIZE;
    result = heap_host_map(fd, p, committed, PAGE_SIZE);
    if (result < 0) {
        heap_host_release(p, h.reserved_bytes);
        return err_set(err, -result, "heap.map", "mapping the sentry heap's image");
    }
    g_arena = p;
    arena_is_root(p, h.reserved_bytes);
    struct patch patch = {g_arena->image_start, g_arena->image_end, 0};
    uint64_t start, end;
    heap_image_range(&start, &end);
    patch.delta = start - patch.old_start;
    patch_all(&patch);
    result = heap_bind_types(err);
    if (result < 0)
        heap_destroy();
    return result;
}
