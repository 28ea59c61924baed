/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/harness/harness_test.c: the verdicts of the harness (tests/support) about victim/victim.c.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"

static char g_said[65536];

/* Runs one of the victim's tests; what it printed, and its exit status in *ret_status. */
static const char *run_victim(const char *name, int *ret_status) {
    int fds[2];
    size_t size = 0;
    ssize_t n;

    ASSERT_OK(pipe(fds));
    pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        execl(VICTIM, VICTIM, name, NULL);
        _exit(127);
    }
    close(fds[1]);
    while (size < sizeof g_said - 1 && (n = read(fds[0], g_said + size, sizeof g_said - 1 - size)) > 0)
        size += (size_t)n;
    g_said[size] = '\0';
    close(fds[0]);
    *ret_status = test_wait(pid);
    return g_said;
}

static void expect(const char *name, const char *outcome, const char *text) {
    char line[128];
    int status;
    const char *said = run_victim(name, &status);

    snprintf(line, sizeof line, "TEST victim.%s %s ", name, outcome);
    ASSERT_CONTAINS(said, line);
    ASSERT_CONTAINS(said, text);
    bool bad = strcmp(outcome, "fail") == 0 || strcmp(outcome, "xpass") == 0;
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_EQ(WEXITSTATUS(status), bad);
}

TEST(harness_passes_and_marks) {
    expect("good", "pass", "1 passed, 0 failed");
    expect("skips", "skip", "probe: not there");
    expect("expected", "xfail", "not built yet");
    expect("expected_but_passes", "xpass", "0 passed, 1 failed");
}

TEST(harness_prints_both_sides) {
    expect("compares", "fail", "left:  41 (0x29)");
    expect("compares", "fail", "right: 42 (0x2a)");
    expect("compares", "fail", "victim.c:");
    expect("compares_errno", "fail", "-1 (-EPERM)");
    expect("compares_strings", "fail", "\"right side\"");
    expect("compares_memory", "fail", "differ first at byte 3");
    expect("wrong_errno", "fail", "(EBADF)");
    expect("does_not_abort", "fail", "expected an abort");
}

TEST(harness_finds_what_is_left) {
    expect("leaks_fd", "fail", "left open: /dev/null");
    expect("closes_fd", "fail", "descriptor 0 closed");
    expect("leaves_child", "fail", "left running");
    expect("leaves_zombie", "fail", "not waited for");
#ifdef RUNSC_DEBUG
    expect("leaves_ref", "fail", "leak: 1 live thing");
    expect("leaves_lock", "fail", "still held");
#endif
}

TEST(harness_outlives_crashes_and_hangs) {
    expect("exits", "fail", "exit status 3");
    expect("hangs", "fail", "did not end in time");
#if defined(__SANITIZE_THREAD__)
    expect("crashes", "fail", "ThreadSanitizer");
#elif !defined(__SANITIZE_ADDRESS__)
    expect("crashes", "fail", "killed by signal SEGV");
#endif
}

#ifdef __SANITIZE_ADDRESS__
TEST(harness_with_asan) {
    expect("crashes", "fail", "AddressSanitizer");
    expect("overflows", "fail", "heap-buffer-overflow");
    expect("leaks_memory", "fail", "memory was left");
}
#endif

TEST(harness_knows_no_such_test) {
    int status;

    ASSERT_CONTAINS(run_victim("nothing", &status), "no such test");
    ASSERT_EQ(WEXITSTATUS(status), 2);
}
