/* SPDX-License-Identifier: Apache-2.0
 * sentry/heap/heap.c: the public face of the typed heap: the arena, objects, bytes and arrays (heap.h).
 *
 * Bytes and arrays: size classes up to 2 KiB, each a cache of its own per kind, runs of pages above.
 */
#include "sentry/heap/heap.h"

#include <errno.h>
#include <string.h>

#include "sentry/heap/heap_internal.h"

static const uint16_t CLASSES[] = {16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048};
enum { CLASS_COUNT = ARRAY_SIZE(CLASSES), MAX_CLASS = 2048, KIND_PLAIN = 0, KIND_ARRAY = 1 };

/* Where nothing else of a process lies: free of PIE, mmap, stack, and of ASan's shadow and allocator; TSan
 * knows only some ranges as program memory. */
#if defined(__SANITIZE_THREAD__)
#define WINDOW_START 0x1000000000ull
#define WINDOW_END   0x7000000000ull
#else
#define WINDOW_START 0x200000000000ull
#define WINDOW_END   0x500000000000ull
#endif
enum { BASE_TRIES = 64 };

struct arena *g_arena;

/* The size classes are the first caches of every arena: KIND_PLAIN ones, then KIND_ARRAY ones. */
static void init_classes(void) {
    for (int kind = KIND_PLAIN; kind <= KIND_ARRAY; kind++) {
        for (size_t i = 0; i < CLASS_COUNT; i++) {
            char name[HEAP_NAME];
            snprintf(name, sizeof name, "%s-%u", kind == KIND_PLAIN ? "bytes" : "array", CLASSES[i]);
            cache_init(&g_arena->caches[g_arena->cache_count++], name, CLASSES[i], 16,
                       kind == KIND_PLAIN ? HEAP_PLAIN : 0);
        }
    }
}

static void *reserve_somewhere(uint64_t size, uint64_t seed) {
    uint64_t choices = (WINDOW_END - WINDOW_START - size) / HEAP_BASE_ALIGN;

    for (int i = 0; i < BASE_TRIES; i++) {
        uint64_t base = WINDOW_START + seed % choices * HEAP_BASE_ALIGN;
        void *p = heap_host_reserve(base, size);
        if (p || errno != EEXIST)
            return p;
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    }
    errno = EEXIST;
    return NULL;
}

int heap_init(uint64_t max_bytes, uint64_t seed, struct err **err) {
    ASSERT(!g_arena);
    if (max_bytes < PAGE_SIZE || max_bytes > HEAP_MAX_BYTES)
        return err_set(err, EINVAL, "heap.size", "sentry heap of %llu bytes", (unsigned long long)max_bytes);
    uint64_t data_pages = page_up(max_bytes) / PAGE_SIZE;
    uint64_t head_bytes = page_up(sizeof(struct arena)),
             spare = data_pages / 4 + 1024; /* spare: for fragmentation */
    uint64_t map_bytes = page_up((data_pages + spare) * 2 * sizeof(struct page_info));
    uint64_t reserved = head_bytes + map_bytes + (data_pages + spare) * PAGE_SIZE;
    struct arena *arena = reserve_somewhere(reserved, seed);
    if (!arena)
        return err_set(err, errno, "heap.reserve", "reserving %llu bytes of addresses for the sentry's heap",
                       (unsigned long long)reserved);
    int result = heap_host_commit(arena, head_bytes + map_bytes);
    if (result < 0) {
        heap_host_release(arena, reserved);
        return err_set(err, -result, "heap.commit", "committing the sentry heap's page map");
    }
    arena->magic = HEAP_MAGIC;
    arena->reserved_bytes = reserved;
    arena->max_pages = data_pages;
    arena->page_count = (uint32_t)(reserved / PAGE_SIZE);
    arena->first_page = arena->frontier = (uint32_t)((head_bytes + map_bytes) / PAGE_SIZE);
    mutex_init(&arena->lock, RANK_HEAP_ARENA);
    g_arena = arena;
    arena_is_root(arena, reserved);
    init_classes();
    result = heap_bind_types(err);
    if (result < 0)
        heap_destroy();
    return result;
}

void heap_destroy(void) {
    quarantine_flush();
    unpoison(g_arena, g_arena->reserved_bytes);
    arena_is_no_root(g_arena, g_arena->reserved_bytes);
    heap_host_release(g_arena, g_arena->reserved_bytes);
    g_arena = NULL;
}

void *heap_alloc(struct heap_type *type) {
    struct heap_cache *c = &g_arena->caches[type->id];

    return cache_alloc(c, c->size);
}

/* Not zeroed. */
static void *run_take(size_t size, int kind, uint32_t *ret_count) {
    if (size > HEAP_MAX_BYTES)
        return NULL;
    uint32_t count = (uint32_t)(page_up(size) / PAGE_SIZE);
    uint32_t page = pages_alloc(count, kind == KIND_PLAIN ? PAGE_RUN_PLAIN : PAGE_RUN_ARRAY, size);
    if (!page)
        return NULL;
    void *p = page_address(page);
    unpoison(p, count * PAGE_SIZE);
    *ret_count = count;
    return p;
}

static void *run_alloc(size_t size, int kind) {
    uint32_t count;
    void *p = run_take(size, kind, &count);
    if (!p)
        return NULL;
    if (count >= LARGE_PAGES)
        heap_host_discard(p, count * PAGE_SIZE);
    else
        memset(p, 0, count * PAGE_SIZE);
    poison((char *)p + size, count * PAGE_SIZE - size);
    return p;
}

static void *alloc_kind(size_t size, int kind) {
    if (size > MAX_CLASS)
        return run_alloc(size, kind);
    size_t i = 0;
    while (CLASSES[i] < size)
        i++;
    return cache_alloc(&g_arena->caches[(size_t)kind * CLASS_COUNT + i], size);
}

void *heap_alloc_bytes(size_t size) {
    return alloc_kind(size, KIND_PLAIN);
}

void *heap_alloc_unzeroed(size_t size) {
    uint32_t count;

    if (size <= MAX_CLASS)
        return alloc_kind(size, KIND_PLAIN);
    void *p = run_take(size, KIND_PLAIN, &count);
    if (p)
        poison((char *)p + size, count * PAGE_SIZE - size);
    return p;
}

void *heap_alloc_array(size_t count, size_t element_size) {
    size_t size;

    if (__builtin_mul_overflow(count, element_size, &size))
        return NULL;
    return alloc_kind(size, KIND_ARRAY);
}

static struct page_info *info_of(const void *p) {
    ASSERT(heap_contains(p));
    struct page_info *info = &page_map()[page_number(p)];
    ASSERT(info->kind >= PAGE_SLAB);
    return info;
}

static struct slab *slab_of(const struct page_info *info) {
    return page_address(info->head);
}

size_t heap_usable_size(const void *p) {
    const struct page_info *info = info_of(p);

    if (info->kind != PAGE_SLAB)
        return info->size;
    return object_size(&g_arena->caches[slab_of(info)->cache], p);
}

/* Changes the size where the block lies, if it fits there. */
static bool resize_in_place(void *p, size_t old, size_t size) {
    struct page_info *info = info_of(p);

    if (info->kind == PAGE_SLAB) {
        struct heap_cache *c = &g_arena->caches[slab_of(info)->cache];
        if (size > c->size || (size < c->size / 4 && c->size > 64))
            return false;
        object_set_size(c, p, HEAP_REDZONE ? MAX(old, size) : size);
        if (size > old)
            memset((char *)p + old, 0, size - old);
        else
            memset((char *)p + size, 0, old - size);
        object_set_size(c, p, size);
        return true;
    }
    if (size <= MAX_CLASS || page_up(size) / PAGE_SIZE != info->count)
        return false;
    unpoison(p, info->count * PAGE_SIZE);
    if (size < old)
        memset((char *)p + size, 0, old - size);
    poison((char *)p + size, info->count * PAGE_SIZE - size);
    info->size = size;
    return true;
}

void *heap_realloc(void *p, size_t size) {
    if (!p)
        return heap_alloc_bytes(size);
    struct page_info *info = info_of(p);
    size_t old = heap_usable_size(p);
    if (resize_in_place(p, old, size))
        return p;
    bool plain = info->kind == PAGE_RUN_PLAIN;
    if (info->kind == PAGE_SLAB) {
        ASSERT(slab_of(info)->cache < 2 * CLASS_COUNT); /* not a typed object */
        plain = slab_of(info)->cache < CLASS_COUNT;
    }
    void *to = alloc_kind(size, plain ? KIND_PLAIN : KIND_ARRAY);
    if (!to)
        return NULL;
    memcpy(to, p, MIN(old, size));
    heap_free(p);
    return to;
}

static char *copy_string(const char *s, size_t len) {
    char *copy = heap_alloc_bytes(len + 1);

    if (copy)
        memcpy(copy, s, len);
    return copy;
}

char *heap_strndup(const char *s, size_t max) {
    return copy_string(s, strnlen(s, max));
}

char *heap_strdup(const char *s) {
    return copy_string(s, strlen(s));
}

void heap_free(void *p) {
    if (!p)
        return;
    struct page_info *info = info_of(p);
    if (info->kind == PAGE_SLAB) {
        struct heap_cache *c = &g_arena->caches[slab_of(info)->cache];
        uint64_t old = atomic_fetch_sub_explicit(&c->live, 1, memory_order_relaxed);
        ASSERT(old > 0);
        quarantine_put(p, HEAP_REDZONE ? object_size(c, p) : c->size);
        return;
    }
    uint32_t count = info->count;
    ASSERT(page_address(page_number(p)) == p);
    unpoison(p, count * PAGE_SIZE);
    poison(p, count * PAGE_SIZE); /* until it is handed out again */
    pages_free(page_number(p), count);
}

bool heap_contains(const void *p) {
    uintptr_t offset = (uintptr_t)p - (uintptr_t)g_arena;

    return g_arena && offset / PAGE_SIZE >= g_arena->first_page && offset < g_arena->reserved_bytes;
}

void heap_set_root(void *root) {
    ASSERT(!root || heap_contains(root));
    g_arena->root = root;
}

void *heap_root(void) {
    return g_arena->root;
}

uint64_t heap_live_objects(const struct heap_type *type) {
    return atomic_load_explicit(&g_arena->caches[type->id].live, memory_order_relaxed);
}

uint64_t heap_bytes_in_use(void) {
    mutex_lock(&g_arena->lock);
    uint64_t bytes = g_arena->pages_used * PAGE_SIZE;
    mutex_unlock(&g_arena->lock);
    return bytes;
}

uint64_t heap_leaks(FILE *to) {
    uint64_t total = 0;

    for (uint32_t i = 0; i < g_arena->cache_count; i++) {
        uint64_t live = atomic_load_explicit(&g_arena->caches[i].live, memory_order_relaxed);
        if (live > 0)
            fprintf(to, "leak: %llu live heap objects of type %s\n", (unsigned long long)live,
                    g_arena->caches[i].name);
        total += live;
    }
    return total;
}

void heap_print_objects(FILE *to) {
    for (uint32_t i = 0; i < g_arena->cache_count; i++) {
        struct heap_cache *c = &g_arena->caches[i];
        uint64_t live = atomic_load_explicit(&c->live, memory_order_relaxed);
        if (live > 0)
            fprintf(to, "%-32s %10llu objects %12llu bytes\n", c->name, (unsigned long long)live,
                    (unsigned long long)live * c->size);
    }
    fprintf(to, "%-32s %23s %12llu bytes\n", "pages in use", "", (unsigned long long)heap_bytes_in_use());
}
