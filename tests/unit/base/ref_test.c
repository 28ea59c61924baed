/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/ref_test.c: base/ref.h: counts, and the registry of live objects in debug builds.
 */
#include "base/ref.h"

#include <pthread.h>
#include <stdlib.h>

#include "tests/support/test.h"

struct thing {
    struct ref ref;
};
DECLARE_REF(thing);

static int g_destroyed;

static void thing_destroy(struct thing *t) {
    g_destroyed++;
    free(t);
}

DEFINE_REF(thing, thing_destroy);

static struct thing *thing_new(void) {
    struct thing *t = calloc(1, sizeof *t);

    ASSERT_NOT_NULL(t);
    thing_ref_init(t);
    return t;
}

TEST(ref_destroys_at_the_last_one) {
    struct thing *t = thing_new();

    ASSERT_EQ(thing_ref(t), t);
    ASSERT_NULL(thing_unref(t));
    ASSERT_EQ(g_destroyed, 0);
    ASSERT_TRUE(thing_tryref(t));
    thing_unref(t);
    thing_unrefp(&t);
    ASSERT_NULL(t);
    ASSERT_EQ(g_destroyed, 1);
    ASSERT_NULL(thing_unref(NULL));
}

TEST(ref_tryget_fails_on_an_ending_object) {
    struct ref r;

    atomic_init(&r.count, 0);
    ASSERT_FALSE(ref_tryget(&r));
    atomic_init(&r.count, 1);
    ASSERT_TRUE(ref_tryget(&r));
    ASSERT_EQ(r.count, 2);
}

static void get_dead(void *arg) {
    ref_get(arg);
}

static void put_dead(void *arg) {
    if (ref_put(arg))
        abort();
}

TEST(ref_of_a_dead_object_aborts) {
    struct ref r;

    atomic_init(&r.count, 0);
    ASSERT_ABORTS(get_dead, &r, "assertion failed");
    ASSERT_ABORTS(put_dead, &r, "assertion failed");
}

static void *ref_many(void *arg) {
    for (int i = 0; i < 50000; i++) {
        thing_ref(arg);
        thing_unref(arg);
    }
    return NULL;
}

TEST(ref_from_many_threads) {
    struct thing *t = thing_new();
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, ref_many, t), 0);
    for (int i = 0; i < 4; i++)
        ASSERT_EQ(pthread_join(threads[i], NULL), 0);
    ASSERT_EQ(t->ref.count, 1);
    thing_unref(t);
    ASSERT_EQ(g_destroyed, 1);
}

#ifdef RUNSC_DEBUG
TEST(ref_registry_counts_what_is_left) {
    struct thing *t = thing_new();

    ASSERT_EQ(ref_leaks(), 1);
    thing_unref(t);
    ASSERT_EQ(ref_leaks(), 0);
}
#endif
