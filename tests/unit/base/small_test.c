/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/small_test.c: base/{cleanup,clock,hostref,compiler,version}.h.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hostref.h"
#include "base/version.h"
#include "tests/support/test.h"

static bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

TEST(cleanup_runs_at_the_end_of_the_scope) {
    int number;

    {
        cleanup(closep) int fd = open("/dev/null", O_RDONLY);
        cleanup(freep) char *p = malloc(10);
        ASSERT_NOT_NULL(p);
        ASSERT_GE(fd, 0);
        number = fd;
    }
    ASSERT_FALSE(is_open(number));
}

TEST(cleanup_handing_over) {
    int kept;

    {
        cleanup(closep) int fd = open("/dev/null", O_RDONLY);
        kept = steal_fd(&fd);
        ASSERT_EQ(fd, -1);
        char *p = malloc(1), *q = TAKE(p);
        ASSERT_NULL(p);
        free(q);
    }
    ASSERT_TRUE(is_open(kept));
    errno = 5;
    ASSERT_EQ(close_fd(kept), -1);
    ASSERT_EQ(errno, 5);
    ASSERT_EQ(close_fd(-1), -1);
}

TEST(clock_adds_without_overflow) {
    ASSERT_EQ(clock_add(1, 2), 3);
    ASSERT_EQ(clock_add(CLOCK_NEVER, 1), CLOCK_NEVER);
    ASSERT_EQ(clock_add(CLOCK_NEVER - 1, 5), CLOCK_NEVER);
    int64_t a = monotonic_ns();
    ASSERT_GE(monotonic_ns(), a);
    ASSERT_GT(realtime_ns(), 1600000000ll * NSEC_PER_SEC);
}

static int g_released;
static void note_release(struct hostref *h) {
    g_released += (int)h->host.word;
}

TEST(hostref_is_released_once) {
    static const struct hostref_ops ops = {.name = "note", .release = note_release};
    struct hostref h = {.ops = &ops, .host.word = 3};

    hostref_release(&h);
    hostref_release(&h);
    ASSERT_EQ(g_released, 3);
    ASSERT_EQ(hostref_get_fd(&h), -1);
    struct hostref f = hostref_fd(open("/dev/null", O_RDONLY));
    int fd = hostref_get_fd(&f);
    ASSERT_TRUE(is_open(fd));
    hostref_release(&f);
    ASSERT_FALSE(is_open(fd));
}

TEST(pages_and_extremes) {
    ASSERT_EQ(page_down(4097), 4096);
    ASSERT_EQ(page_up(4097), 8192);
    ASSERT_EQ(page_up(4096), 4096);
    ASSERT_EQ(page_up(UINT64_MAX), 0);
    ASSERT_EQ(MIN(2, 1) + MAX(2, 1), 3);
}

static void fail_an_assertion(void *arg) {
    ASSERT(arg != NULL);
}

TEST(assertions_name_their_place) {
    ASSERT_ABORTS(fail_an_assertion, NULL, "assertion failed: arg != NULL");
    ASSERT_ABORTS(fail_an_assertion, NULL, "small_test.c");
}

TEST(version_is_known) {
    ASSERT_GT(strlen(runsc_version), 2);
    ASSERT_GT(strlen(runsc_commit), 2);
}
