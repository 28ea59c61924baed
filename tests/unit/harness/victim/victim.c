/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/harness/victim/victim.c: tests that fail in each way there is; harness_test.c runs them and
 * checks the verdicts.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mutex.h"
#include "base/ref.h"
#include "tests/support/test.h"

struct thing {
    struct ref ref;
};
DECLARE_REF(thing);
static void thing_destroy(struct thing *t) {
    (void)t;
}
DEFINE_REF(thing, thing_destroy);

TEST(good) {
    ASSERT_TRUE(getpid() > 0);
}

TEST(leaks_fd) {
    ASSERT_GE(open("/dev/null", O_RDONLY), 0);
}

TEST(closes_fd) {
    close(0);
}

TEST(leaves_child) {
    if (fork() == 0) {
        pause();
        _exit(0);
    }
}

TEST(leaves_zombie) {
    if (fork() == 0)
        _exit(0);
    usleep(50000);
}

TEST(leaves_ref) {
    static struct thing t;
    thing_ref_init(&t);
}

TEST(leaves_lock) {
    static struct mutex m = MUTEX_INIT(RANK_LEAF);
    mutex_lock(&m);
}

TEST(leaks_memory) {
    *(char *volatile *)malloc(8) = malloc(100);
}

TEST(overflows) {
    volatile char *volatile p = malloc(8);
    p[8] = 1;
    free((void *)p);
}

TEST_TIMEOUT(hangs, 1) {
    for (;;)
        pause();
}

TEST(crashes) {
    volatile int *volatile nowhere = (int *)8;
    *nowhere = 1;
}

TEST(exits) {
    _exit(3);
}

TEST(compares) {
    int answer = 41;
    ASSERT_EQ(answer, 42);
}

TEST(compares_errno) {
    ASSERT_EQ(-EPERM, -ENOENT);
}

TEST(compares_strings) {
    ASSERT_STREQ("left side", "right side");
}

TEST(compares_memory) {
    ASSERT_MEMEQ("abcdef", "abcxef", 6);
}

TEST(wrong_errno) {
    ASSERT_ERRNO(close(-1), EINVAL);
}

TEST(does_not_abort) {
    ASSERT_ABORTS(free, NULL, "text");
}

TEST(skips) {
    test_skip("probe: %s", "not there");
}

TEST_XFAIL(expected, "not built yet") {
    ASSERT_TRUE(getpid() == 0);
}

TEST_XFAIL(expected_but_passes, "not built yet") {
}
