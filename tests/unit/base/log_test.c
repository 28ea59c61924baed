/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/log_test.c: base/log.h: levels by category, one line a message, bounded.
 */
#include "base/log.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/test.h"

static char g_text[8192];

static const char *written(int fd) {
    ssize_t n = pread(fd, g_text, sizeof g_text - 1, 0);

    ASSERT_GE(n, 0);
    g_text[n] = '\0';
    return g_text;
}

TEST(log_levels_by_category) {
    int fd = memfd_create("log", MFD_CLOEXEC);

    ASSERT_EQ(log_init("boot", fd, "info,vfs=trace,mm=none"), 0);
    log_info(LOG_KERNEL, "kernel %d", 1);
    log_debug(LOG_KERNEL, "not this");
    log_trace(LOG_VFS, "vfs");
    log_error(LOG_MM, "nor this");
    const char *text = written(fd);
    ASSERT_CONTAINS(text, " kernel info: kernel 1\n");
    ASSERT_CONTAINS(text, " boot[");
    ASSERT_CONTAINS(text, " vfs trace: vfs\n");
    ASSERT_NULL(strstr(text, "this"));
    close(fd);
}

TEST(log_refuses_unknown_words) {
    int fd = memfd_create("log", MFD_CLOEXEC);

    ASSERT_EQ(log_init("x", fd, "loud"), -EINVAL);
    ASSERT_EQ(log_init("x", fd, "vfs=loud"), -EINVAL);
    ASSERT_EQ(log_init("x", fd, "nothing=debug"), -EINVAL);
    ASSERT_EQ(log_init("x", fd, ""), 0);
    ASSERT_EQ(log_init("x", fd, "error,trace"), 0);
    close(fd);
}

TEST(log_is_silent_by_default) {
    ASSERT_EQ(log_init("x", -1, "trace"), 0);
    ASSERT_FALSE(log_on(LOG_GENERAL, LOG_ERROR));
    log_write(LOG_GENERAL, LOG_ERROR, "nowhere to go");
}

TEST(log_cuts_long_lines) {
    int fd = memfd_create("log", MFD_CLOEXEC);
    char *long_text = malloc(10000);

    ASSERT_NOT_NULL(long_text);
    memset(long_text, 'x', 9999);
    long_text[9999] = '\0';
    ASSERT_EQ(log_init("x", fd, "trace"), 0);
    log_info(LOG_GENERAL, "%s", long_text);
    log_info(LOG_GENERAL, "next");
    const char *text = written(fd);
    const char *end = strchr(text, '\n');
    ASSERT_NOT_NULL(end);
    ASSERT_LT(end - text, 2048);
    ASSERT_CONTAINS(end, "next\n");
    free(long_text);
    close(fd);
}

TEST(log_keeps_errno) {
    int fd = memfd_create("log", MFD_CLOEXEC);

    ASSERT_EQ(log_init("x", fd, "trace"), 0);
    errno = 77;
    log_info(LOG_GENERAL, "text");
    ASSERT_EQ(errno, 77);
    close(fd);
}
