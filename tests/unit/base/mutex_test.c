/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/mutex_test.c: base/mutex.h: exclusion, and the order checker of debug builds.
 */
#include "base/mutex.h"

#include <pthread.h>

#include "tests/support/test.h"

enum { THREADS = 4, ROUNDS = 20000 };

static struct mutex g_mutex = MUTEX_INIT(RANK_LEAF);
static long g_value;

static void *add(void *arg) {
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        mutex_lock(&g_mutex);
        g_value++;
        mutex_unlock(&g_mutex);
    }
    return NULL;
}

TEST(mutex_excludes) {
    pthread_t t[THREADS];

    for (int i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_create(&t[i], NULL, add, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_join(t[i], NULL), 0);
    ASSERT_EQ(g_value, THREADS * ROUNDS);
}

TEST(mutex_trylock) {
    struct mutex m = MUTEX_INIT(RANK_TASK);

    ASSERT_TRUE(mutex_trylock(&m));
    ASSERT_FALSE(mutex_trylock(&m));
    mutex_assert_held(&m);
    mutex_unlock(&m);
    ASSERT_EQ(m.word, 0);
}

TEST(mutex_in_order_and_nested) {
    struct mutex outer = MUTEX_INIT(RANK_MM), inner = MUTEX_INIT(RANK_TASK), twin = MUTEX_INIT(RANK_MM);

    mutex_lock(&outer);
    mutex_lock_nested(&twin); /* address order does not matter to this test */
    mutex_lock(&inner);
    mutex_unlock(&outer); /* any order of release */
    mutex_unlock(&inner);
    mutex_unlock(&twin);
    mutex_assert_none_held();
}

static void unlock_free(void *arg) {
    mutex_unlock(arg);
}

#ifdef RUNSC_DEBUG
static void lock_backwards(void *arg) {
    struct mutex *m = arg;

    mutex_lock(&m[1]);
    mutex_lock(&m[0]);
}

static void lock_same_rank(void *arg) {
    struct mutex *m = arg;

    mutex_lock(&m[0]);
    mutex_lock(&m[2]);
}

static void lock_twice(void *arg) {
    mutex_lock(arg);
    mutex_lock_nested(arg);
}

static void block_with_inner(void *arg) {
    struct mutex *m = arg;

    mutex_lock(&m[1]);
    might_block();
}

static void leave_held(void *arg) {
    mutex_lock(arg);
    mutex_assert_none_held();
}

static void not_held(void *arg) {
    mutex_assert_held(arg);
}

TEST(mutex_order_checker_aborts) {
    struct mutex m[3] = {MUTEX_INIT(RANK_MM), MUTEX_INIT(RANK_TASK), MUTEX_INIT(RANK_MM)};

    ASSERT_ABORTS(lock_backwards, m, "out of order");
    ASSERT_ABORTS(lock_same_rank, m, "out of order");
    ASSERT_ABORTS(lock_twice, m, "taken twice");
    ASSERT_ABORTS(block_with_inner, m, "may block");
    ASSERT_ABORTS(leave_held, m, "still held");
    ASSERT_ABORTS(not_held, m, "not held");
    ASSERT_ABORTS(unlock_free, m, "released but not held");
}

TEST(mutex_order_message_names_both_places) {
    struct mutex m[2] = {MUTEX_INIT(RANK_MM), MUTEX_INIT(RANK_TASK)};

    ASSERT_ABORTS(lock_backwards, m, "mutex_test.c");
}

TEST(mutex_blocking_is_allowed_with_outer_locks) {
    struct mutex m = MUTEX_INIT(RANK_MM);

    mutex_lock(&m);
    might_block();
    mutex_unlock(&m);
    might_block();
}

static void no_rank(void *arg) {
    struct mutex m = {0};

    (void)arg;
    mutex_lock(&m);
}

TEST(mutex_needs_a_rank) {
    ASSERT_ABORTS(no_rank, NULL, "RANK_NONE");
}
#else
TEST(mutex_unlock_of_a_free_one_aborts) {
    struct mutex m = MUTEX_INIT(RANK_MM);

    ASSERT_ABORTS(unlock_free, &m, "assertion failed");
}
#endif
