/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/heap/heap_test.c: objects, bytes, arrays, limits, counters; misuse that debug builds must catch.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "sentry/heap/heap.h"
#include "tests/support/test.h"

struct small {
    struct small *next;
    uint64_t value;
};
struct wide {
    _Alignas(64) char data[6000];
};
HEAP_TYPE(test_small, struct small, 0);
HEAP_TYPE(test_wide, struct wide, HEAP_PLAIN);

static void init(uint64_t max) {
    ASSERT_OK(heap_init(max, (uint64_t)rand(), NULL));
}

TEST(objects_are_zeroed_aligned_and_typed) {
    init(64 << 20);
    struct small *last = NULL;
    for (int i = 0; i < 10000; i++) {
        struct small *s = heap_new(test_small);
        ASSERT_NOT_NULL(s);
        ASSERT_NULL(s->next);
        ASSERT_EQ(s->value, 0);
        s->next = last;
        s->value = (uint64_t)i;
        last = s;
    }
    ASSERT_EQ(heap_live_objects(&heap_type_test_small), 10000);
    for (uint64_t want = 9999; last; want--) {
        struct small *next = last->next;
        ASSERT_EQ(last->value, want);
        heap_free(last);
        last = next;
    }
    ASSERT_EQ(heap_live_objects(&heap_type_test_small), 0);
    struct wide *w = heap_new(test_wide);
    ASSERT_EQ((uintptr_t)w % 64, 0);
    ASSERT_TRUE(heap_contains(w));
    ASSERT_FALSE(heap_contains(&w));
    heap_free(w);
    heap_destroy();
}

TEST(memory_of_empty_slabs_returns) {
    init(64 << 20);
    enum { COUNT = 2000 };
    static struct wide *w[COUNT];
    uint64_t before = heap_bytes_in_use();
    for (int i = 0; i < COUNT; i++)
        w[i] = heap_new(test_wide);
    ASSERT_GE(heap_bytes_in_use(), before + COUNT * sizeof(struct wide));
    for (int i = 0; i < COUNT; i++)
        heap_free(w[i]);
    heap_lint(NULL); /* empties the quarantine */
    ASSERT_LE(heap_bytes_in_use(), before + (64 << 10));
    heap_destroy();
}

TEST(limit_gives_null) {
    init(1 << 20);
    ASSERT_NULL(heap_alloc_bytes(2 << 20));
    void *p[300], *q;
    int n = 0;
    while (n < 300 && (q = heap_alloc_bytes(8192)))
        p[n++] = q;
    ASSERT_GE(n, 100);
    ASSERT_LT(n, 129);
    while (n > 0)
        heap_free(p[--n]);
    ASSERT_NOT_NULL(q = heap_alloc_bytes(900 << 10));
    heap_free(q);
    ASSERT_NULL(heap_alloc_array(SIZE_MAX / 2, 16));
    heap_destroy();
}

static void check_bytes(const unsigned char *p, size_t from, size_t to, unsigned char want) {
    for (size_t i = from; i < to; i++)
        ASSERT_EQ(p[i], want);
}

TEST(realloc_keeps_contents_and_zeroes_the_rest) {
    static const size_t sizes[] = {1, 15, 16, 17, 100, 4000, 4096, 5000, 100000, 70000, 3000, 200, 20, 1};
    init(64 << 20);
    unsigned char *p = heap_alloc_bytes(8);
    size_t old = 8;
    for (size_t i = 0; i < 8; i++)
        p[i] = 0xaa;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        p = heap_realloc(p, sizes[i]);
        check_bytes(p, 0, MIN(old, sizes[i]), 0xaa);
        if (sizes[i] > old)
            check_bytes(p, old, sizes[i], 0);
        memset(p, 0xaa, sizes[i]);
        ASSERT_GE(heap_usable_size(p), sizes[i]);
        old = sizes[i];
    }
    heap_free(p);
    char *s = heap_strdup("text"), *cut = heap_strndup("text", 2);
    ASSERT_STREQ(s, "text");
    ASSERT_STREQ(cut, "te");
    heap_free(s);
    heap_free(cut);
    heap_destroy();
}

TEST(random_sizes_do_not_overlap) {
    enum { SLOTS = 500, STEPS = 10000 };
    static struct {
        unsigned char *p;
        size_t size;
    } slot[SLOTS];
    unsigned seed = 1;
    init(256 << 20);
    for (int step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand_r(&seed) % SLOTS;
        if (slot[i].p) {
            check_bytes(slot[i].p, 0, MIN(slot[i].size, 64ul), (unsigned char)i);
            ASSERT_EQ(slot[i].p[slot[i].size - 1], (unsigned char)i);
            heap_free(slot[i].p);
            slot[i].p = NULL;
            continue;
        }
        slot[i].size = (size_t)rand_r(&seed) % (rand_r(&seed) % 8 == 0 ? 200000 : 3000) + 1;
        slot[i].p = heap_alloc_bytes(slot[i].size);
        check_bytes(slot[i].p, 0, slot[i].size, 0);
        memset(slot[i].p, (int)i, slot[i].size);
    }
    for (int i = 0; i < SLOTS; i++)
        heap_free(slot[i].p);
    heap_destroy();
}

static void *churn(void *arg) {
    unsigned seed = (unsigned)(uintptr_t)arg;
    struct small *held[64] = {0};

    for (int i = 0; i < 20000; i++) {
        unsigned k = (unsigned)rand_r(&seed) % 64;
        if (held[k]) {
            ASSERT_EQ(held[k]->value, (uintptr_t)arg);
            heap_free(held[k]);
            held[k] = NULL;
        } else {
            held[k] = heap_new(test_small);
            held[k]->value = (uintptr_t)arg;
        }
    }
    for (int k = 0; k < 64; k++)
        heap_free(held[k]);
    return NULL;
}

TEST(threads_share_a_type) {
    pthread_t thread[4];
    init(64 << 20);
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, churn, (void *)(i + 1));
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    ASSERT_EQ(heap_live_objects(&heap_type_test_small), 0);
    heap_destroy();
}

static const struct small g_constant = {.value = 1};
static struct small g_variable;

TEST(lint_names_words_that_break_the_rules) {
    char text[4096] = "";
    init(64 << 20);
    struct small *a = heap_new(test_small), *b = heap_new(test_small);
    a->next = b;
    b->next = (struct small *)(uintptr_t)&g_constant;
    ASSERT_EQ(heap_lint(stderr), 0);
    b->next = &g_variable;
    FILE *to = fmemopen(text, sizeof text, "w");
    ASSERT_EQ(heap_lint(to), 1);
    fclose(to);
    ASSERT_CONTAINS(text, "test_small");
    struct small on_stack = {0};
    b->next = &on_stack;
    ASSERT_EQ(heap_lint(NULL), 1);
    void **array = heap_alloc_array(4, sizeof(void *));
    array[2] = stderr;
    ASSERT_EQ(heap_lint(NULL), 2);
    heap_free(array);
    heap_free(a);
    heap_free(b);
    heap_destroy();
}

/* ---- misuse that debug builds catch ---- */

static void use_after_free(void *arg) {
    (void)arg;
    init(64 << 20);
    struct small *volatile s = heap_new(test_small);
    heap_free(s);
    s->value = 1;
    heap_lint(NULL);
}

static void free_twice(void *arg) {
    (void)arg;
    init(64 << 20);
    struct small *volatile s = heap_new(test_small);
    heap_free(s);
    heap_free(s);
    heap_lint(NULL);
}

#ifdef RUNSC_DEBUG
#if defined(__SANITIZE_ADDRESS__)
#define CAUGHT "AddressSanitizer"
const char *__asan_default_options(void);
__attribute__((weak)) const char *__asan_default_options(void) {
    return "abort_on_error=1";
}
static void overflow_object(void *arg) {
    (void)arg;
    init(64 << 20);
    struct small *volatile s = heap_new(test_small);
    s[1].value = 1;
}
static void overflow_bytes(void *arg) {
    (void)arg;
    init(64 << 20);
    char *volatile p = heap_alloc_bytes(21);
    p[21] = 1;
}
static void overflow_run(void *arg) {
    (void)arg;
    init(64 << 20);
    char *volatile p = heap_alloc_bytes(5000);
    p[5001] = 1;
}
static void use_freed_run(void *arg) {
    (void)arg;
    init(64 << 20);
    char *volatile p = heap_alloc_bytes(5000);
    heap_free(p);
    p[0] = 1;
}
TEST(asan_catches_overflows) {
    ASSERT_ABORTS(overflow_object, NULL, CAUGHT);
    ASSERT_ABORTS(overflow_bytes, NULL, CAUGHT);
    ASSERT_ABORTS(overflow_run, NULL, CAUGHT);
    ASSERT_ABORTS(use_freed_run, NULL, CAUGHT);
}
#else
#define CAUGHT "use after free"
#endif
TEST(use_after_free_is_caught) {
    ASSERT_ABORTS(use_after_free, NULL, CAUGHT);
}
#else
TEST(use_after_free_goes_unseen_in_release_builds) {
    use_after_free(NULL);
    heap_destroy();
}
#endif

TEST(freeing_twice_is_caught) {
    ASSERT_ABORTS(free_twice, NULL, "");
}
