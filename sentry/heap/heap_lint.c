/* SPDX-License-Identifier: Apache-2.0
 * sentry/heap/heap_lint.c: walks every live object and names the words that break the heap's rules: host
 * pointers other than into the arena or into read-only parts of the binary (tables of ops, strings). A word
 * is taken for a host pointer if a page is mapped there, so plain data that looks like an address is not
 * reported unless it happens to hit a mapping. The `host` part of a hostref is skipped: it follows a pointer
 * to a table whose first member points to a string and whose second to code, both in the binary.
 */
#include "sentry/heap/heap_lint.h"

#include <link.h>
#include <stdio.h>
#include <string.h>

#include "sentry/heap/heap_internal.h"

/* Sanitizer shadow lies below this; PIE, malloc, mmap and stacks above. */
#define POINTERS_START 0x500000000000ull
#define POINTERS_END   0x800000000000ull

enum { MAX_RANGES = 16 };
struct range {
    uint64_t start, end;
    bool code, constant;
};
struct image {
    struct range ranges[MAX_RANGES];
    size_t count;
};

static void add_range(struct image *image, uint64_t start, uint64_t len, bool code, bool constant) {
    ASSERT(image->count < MAX_RANGES);
    image->ranges[image->count++] = (struct range){start, start + len, code, constant};
}

/* Called for the binary first; a result other than 0 ends the walk there. */
static int read_headers(struct dl_phdr_info *info, size_t size, void *arg) {
    struct image *image = arg;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type == PT_GNU_RELRO)
            add_range(image, info->dlpi_addr + ph->p_vaddr, ph->p_memsz, /* code= */ false,
                      /* constant= */ true);
        else if (ph->p_type == PT_LOAD)
            add_range(image, info->dlpi_addr + ph->p_vaddr, ph->p_memsz, ph->p_flags & PF_X,
                      !(ph->p_flags & PF_W));
    }
    return 1;
}

void heap_image_range(uint64_t *ret_start, uint64_t *ret_end) {
    struct image image = {0};

    dl_iterate_phdr(read_headers, &image);
    *ret_start = UINT64_MAX;
    *ret_end = 0;
    for (size_t i = 0; i < image.count; i++) {
        *ret_start = MIN(*ret_start, image.ranges[i].start);
        *ret_end = MAX(*ret_end, image.ranges[i].end);
    }
}

struct lint {
    struct image image;
    FILE *to;
    size_t bad;
};

enum where { NOT_IN_IMAGE, IN_CODE, IN_CONSTANTS, IN_DATA };

static enum where where_in_image(const struct image *image, uint64_t p) {
    enum where result = NOT_IN_IMAGE;

    for (size_t i = 0; i < image->count; i++) {
        const struct range *r = &image->ranges[i];
        if (p < r->start || p >= r->end)
            continue;
        if (r->code || r->constant)
            return r->code ? IN_CODE : IN_CONSTANTS;
        result = IN_DATA;
    }
    return result;
}

/* Is `p`, which points into constants of the binary, a struct hostref_ops? */
NO_ASAN static bool is_hostref_ops(const struct image *image, uint64_t p) {
    const uint64_t *words = (const uint64_t *)(uintptr_t)p;

    if (p % 8 != 0 || where_in_image(image, p + 15) == NOT_IN_IMAGE)
        return false;
    return where_in_image(image, words[0]) == IN_CONSTANTS && where_in_image(image, words[1]) == IN_CODE;
}

static bool is_bad(const struct image *image, uint64_t word) {
    if (word < POINTERS_START || word >= POINTERS_END || heap_contains((void *)(uintptr_t)word))
        return false;
    enum where where = where_in_image(image, word);
    if (where == IN_DATA)
        return true;
    return where == NOT_IN_IMAGE && heap_host_mapped(word);
}

NO_ASAN NO_TSAN static void lint_words(struct lint *l, const char *name, void *object, size_t size) {
    const uint64_t *words = object;

    for (size_t i = 0; i < size / sizeof *words; i++) {
        if (!is_bad(&l->image, words[i]))
            continue;
        if (i > 0 && where_in_image(&l->image, words[i - 1]) == IN_CONSTANTS &&
            is_hostref_ops(&l->image, words[i - 1]))
            continue;
        l->bad++;
        if (l->to)
            fprintf(l->to, "heap lint: %s %p + %zu: %#llx is a host address%s\n", name, object,
                    i * sizeof *words, (unsigned long long)words[i],
                    where_in_image(&l->image, words[i]) == IN_DATA ? " (static data)" : "");
    }
}

static void lint_object(struct heap_cache *c, void *object, size_t size, void *arg) {
    if (!(c->flags & HEAP_PLAIN))
        lint_words(arg, c->name, object, size);
}

size_t heap_lint(FILE *to) {
    struct lint l = {.to = to};
    struct page_info *map = page_map();

    quarantine_flush();
    dl_iterate_phdr(read_headers, &l.image);
    for (uint32_t page = g_arena->first_page; page < g_arena->frontier; page += map[page].count) {
        if (map[page].kind == PAGE_SLAB)
            cache_for_each(page, lint_object, &l);
        else if (map[page].kind == PAGE_RUN_ARRAY)
            lint_words(&l, "array", page_address(page), map[page].size);
    }
    return l.bad;
}
