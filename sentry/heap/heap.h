/* SPDX-License-Identifier: Apache-2.0
 * sentry/heap/heap.h: the typed heap in which every kernel object lives (DESIGN 4).
 *
 * One arena, mapped privately at a base chosen at random per sandbox from a window that ASan, TSan, PIE and
 * mmap leave free, and kept for its life. On it a slab allocator with one cache a type: a slab (aligned,
 * power-of-two run of pages) holds objects of one type only, and from any object's address its slab header,
 * hence its type, is found. Memory of one type is never reused for another while the kernel runs, except
 * empty slabs' pages after a quarantine in debug builds.
 *
 * What an object may hold: plain data, pointers into the arena, pointers to static const tables of the
 * binary, `struct hostref`. Nothing else: heap_lint() (debug builds) walks every slab and names any word that
 * breaks this. Types made with HEAP_PLAIN hold no pointers at all (buffers) and are skipped.
 *
 * All functions may be called from any thread and with any lock below RANK_HEAP held; they do not block.
 * Memory comes zeroed. Objects are freed with heap_free(); the type is found from the address. ASan builds
 * poison freed objects and red zones and keep a quarantine. Limits: heap_init's max_bytes; then NULL is
 * returned and the guest gets ENOMEM.
 */
#pragma once

#include <stdio.h>

#include "base/compiler.h"
#include "base/err.h"

enum { HEAP_PLAIN = 1 };

/* One static descriptor a type, registered at program start; found again by name when an image is mapped. */
struct heap_type {
    const char *name;
    uint32_t size, align, flags;
    uint32_t id; /* index into the arena's table of caches; given at registration */
    struct heap_type *next;
};

void heap_type_register(struct heap_type *type);

/* At file scope, once per type: HEAP_TYPE(task, struct task, 0); then heap_new(task). */
#define HEAP_TYPE(tag, ctype, flag)                                                                          \
    struct heap_type heap_type_##tag = {                                                                     \
        .name = #tag, .size = sizeof(ctype), .align = _Alignof(ctype), .flags = (flag)};                     \
    __attribute__((constructor)) static void heap_register_##tag(void) {                                     \
        heap_type_register(&heap_type_##tag);                                                                \
    }                                                                                                        \
    _Static_assert(sizeof(ctype) > 0, "")
#define HEAP_TYPE_DECLARE(tag) extern struct heap_type heap_type_##tag
#define heap_new(tag)          heap_alloc(&heap_type_##tag)

/* Zeroed object of the type, or NULL (no memory). */
void *heap_alloc(struct heap_type *type) must_check;
/* Zeroed run of `size` plain bytes (no pointers in it), any size up to the heap's; NULL on no memory. Size
 * classes below a page, page runs above. */
void *heap_alloc_bytes(size_t size) must_check;
/* The same, but a run of pages has whatever it held last: for what is written before it is read (packets). */
void *heap_alloc_unzeroed(size_t size) must_check;
/* Zeroed array of pointers or small structs that hold pointers into the arena: linted. */
void *heap_alloc_array(size_t count, size_t element_size) must_check;
/* Grows or shrinks what heap_alloc_bytes/array gave (kept kind), contents kept, new part zeroed; NULL:
 * unchanged original. */
void *heap_realloc(void *p, size_t size) must_check;
char *heap_strdup(const char *s) must_check;
char *heap_strndup(const char *s, size_t max) must_check;
void heap_free(void *p); /* NULL is fine */
size_t heap_usable_size(const void *p);

/* Creates the arena. Called once, before any other function here. seed: random bits for the base. */
int heap_init(uint64_t max_bytes, uint64_t seed, struct err **err) must_check;
/* Tests: unmaps everything, forgets all caches. */
void heap_destroy(void);
bool heap_contains(const void *p);
/* The pointer that an image's first reader starts from (the kernel object). */
void heap_set_root(void *root);
void *heap_root(void);

/* Dump of a quiet kernel to a descriptor, and mapping it in a fresh process at the same base: pages, caches,
   root. Type ids are matched by name; ops pointers are patched by the difference of the binary's load address
   (same binary only for now). */
int heap_dump(int fd, struct err **err) must_check;
int heap_load(int fd, struct err **err) must_check;

/* Live objects and bytes per type, one line each. */
void heap_print_objects(FILE *to);
/* How many objects of all types are live; a line for each such type. For the end of a kernel. */
uint64_t heap_leaks(FILE *to);
uint64_t heap_live_objects(const struct heap_type *type);
uint64_t heap_bytes_in_use(void);
/* Number of bad words found; each is described on `to` (may be NULL). The kernel must be quiet. */
size_t heap_lint(FILE *to);
