/* SPDX-License-Identifier: Apache-2.0
 * sentry/heap/heap_internal.h: the arena's layout, shared by the files of this folder.
 *
 * From the base upward: struct arena (with the table of caches), the page map (one struct page_info a page of
 * the arena), then pages. Pages up to `frontier` are committed; beyond it nothing is accessible. All of it is
 * plain memory at a fixed base, so that it can be dumped and mapped again.
 *
 * Locks: cache->lock (RANK_HEAP), then arena->lock (RANK_HEAP_ARENA: page map, bins, frontier); the
 * quarantine's lock (RANK_HEAP_ARENA) alone.
 */
#pragma once

#include <stdatomic.h>

#include "base/list.h"
#include "base/mutex.h"
#include "sentry/heap/heap.h"

#if defined(__SANITIZE_ADDRESS__)
#define HEAP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEAP_ASAN 1
#endif
#endif
#ifdef HEAP_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
/* So that malloc'd things behind hostrefs do not look lost. */
#define arena_is_root(p, n)    __lsan_register_root_region(p, n)
#define arena_is_no_root(p, n) __lsan_unregister_root_region(p, n)
#define poison(p, n)           __asan_poison_memory_region(p, n)
#define unpoison(p, n)         __asan_unpoison_memory_region(p, n)
#define NO_ASAN                __attribute__((no_sanitize_address))
enum { HEAP_REDZONE = 16 }; /* behind every object; its last 8 bytes hold the size asked for */
#else
#define arena_is_root(p, n)    ((void)(p), (void)(n))
#define arena_is_no_root(p, n) ((void)(p), (void)(n))
#define poison(p, n)           ((void)(p), (void)(n))
#define unpoison(p, n)         ((void)(p), (void)(n))
#define NO_ASAN
enum { HEAP_REDZONE = 0 };
#endif

/* For what reads objects whole, whatever their words are: locks' and counters' too, which are atomic. */
#define NO_TSAN __attribute__((no_sanitize("thread")))

/* Number of types is fixed by the build, not by a guest: a build with more fails at heap_init(). */
enum {
    HEAP_MAX_TYPES = 1024,
    HEAP_NAME = 32,
    SLAB_MAX_SLOTS = 256,
    SLAB_WORDS = SLAB_MAX_SLOTS / 64,
    PAGE_BINS = 32,
    LARGE_PAGES = 16, /* runs of at least this many pages are zeroed and given back by the host */
};
#define HEAP_MAGIC      0x3170616568636e72ull
#define HEAP_MAX_BYTES  (1ull << 40)
#define HEAP_BASE_ALIGN (2ull << 20)

struct heap_cache {
    struct mutex lock; /* RANK_HEAP; the lists and the slabs on them */
    char name[HEAP_NAME];
    uint32_t size, flags;
    uint32_t stride, first, slots, slab_pages;
    uint32_t empty_slabs; /* lock; at most one is kept */
    struct list partial;  /* of slab.node: with free slots, empty ones last */
    _Atomic uint64_t live;
};

struct slab {
    struct list node; /* in cache->partial; empty when full */
    uint32_t cache;   /* index of its cache */
    uint32_t used;
    uint64_t taken[SLAB_WORDS];
};

enum page_kind { PAGE_NONE, PAGE_FREE, PAGE_SLAB, PAGE_RUN_PLAIN, PAGE_RUN_ARRAY };

/* Valid for the first and last page of a run, and for every page of a slab. */
struct page_info {
    uint32_t kind;
    uint32_t count; /* pages of the run */
    union {
        struct {
            uint32_t next, prev;
        } bin;         /* PAGE_FREE, first page: page numbers, 0 ends */
        uint32_t head; /* PAGE_SLAB */
        uint64_t size; /* PAGE_RUN_*, first page: bytes asked for */
    };
};

struct arena {
    uint64_t magic;
    uint64_t reserved_bytes;         /* of address space, from the base */
    uint64_t image_start, image_end; /* of the binary, when dumped */
    void *root;
    struct mutex lock;                           /* RANK_HEAP_ARENA; up to the caches */
    uint32_t first_page, frontier, page_count;   /* in pages from the base */
    uint64_t max_pages, pages_used, dirty_pages; /* dirty: freed but not yet given back to the host */
    uint32_t bins[PAGE_BINS];
    uint32_t cache_count;
    struct heap_cache caches[HEAP_MAX_TYPES];
};

extern struct arena *g_arena;

static inline struct page_info *page_map(void) {
    return (struct page_info *)page_up((uintptr_t)(g_arena + 1));
}
static inline void *page_address(uint32_t page) {
    return (char *)g_arena + (uint64_t)page * PAGE_SIZE;
}
static inline uint32_t page_number(const void *p) {
    return (uint32_t)(((uintptr_t)p - (uintptr_t)g_arena) / PAGE_SIZE);
}
static inline char *slab_object(const struct heap_cache *c, struct slab *s, uint32_t slot) {
    return (char *)s + c->first + (uint64_t)slot * c->stride;
}

/* heap_pages.c: runs of pages. Contents are not zeroed. 0: none. size: bytes asked for, of PAGE_RUN_*. */
uint32_t pages_alloc(uint32_t count, enum page_kind kind, uint64_t size);
void pages_free(uint32_t page, uint32_t count);

/* heap_slab.c */
void cache_init(struct heap_cache *c, const char *name, uint32_t size, uint32_t align, uint32_t flags);
void *cache_alloc(struct heap_cache *c, size_t size);
void cache_free(struct heap_cache *c, struct slab *s, void *p); /* past the quarantine */
void cache_for_each(uint32_t page, void (*fn)(struct heap_cache *c, void *object, size_t size, void *arg),
                    void *arg);
size_t object_size(const struct heap_cache *c, const void *p); /* asked for (ASan), or the class's */
void object_set_size(const struct heap_cache *c, void *p, size_t size);

/* heap_quarantine.c */
void quarantine_put(void *p, size_t size);
void quarantine_flush(void);

/* heap_image.c */
int heap_bind_types(struct err **err) must_check; /* gives every registered type its cache */

/* heap_host.c */
void *heap_host_reserve(uint64_t base, uint64_t size); /* NULL and errno */
int heap_host_commit(void *p, size_t size);
void heap_host_discard(void *p, size_t size); /* pages read as zero again */
void heap_host_release(void *p, size_t size);
int heap_host_write(int fd, const void *p, size_t size, uint64_t offset);
int heap_host_read(int fd, void *p, size_t size, uint64_t offset);
int heap_host_map(int fd, void *p, size_t size, uint64_t offset);
bool heap_host_mapped(uint64_t address);
