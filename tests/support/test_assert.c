/* SPDX-License-Identifier: Apache-2.0
 * tests/support/test_assert.c: the comparisons of test.h: on a mismatch they print both sides and end the
 * test.
 */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const g_cmp_text[] = {"==", "!=", "<", "<=", ">", ">="};

static bool cmp_holds(enum test_cmp op, long long a, long long b) {
    switch (op) {
    case TEST_CMP_EQ:
        return a == b;
    case TEST_CMP_NE:
        return a != b;
    case TEST_CMP_LT:
        return a < b;
    case TEST_CMP_LE:
        return a <= b;
    case TEST_CMP_GT:
        return a > b;
    case TEST_CMP_GE:
        return a >= b;
    }
    return false;
}

static const char *number_text(long long n, char *buffer, size_t size) {
    const char *name = n < 0 && n > -4096 ? strerrorname_np((int)-n) : NULL;

    if (name)
        snprintf(buffer, size, "%lld (-%s)", n, name);
    else if (n >= -9 && n <= 9)
        snprintf(buffer, size, "%lld", n);
    else
        snprintf(buffer, size, "%lld (0x%llx)", n, (unsigned long long)n);
    return buffer;
}

void test_cmp_at(const char *file, int line, enum test_cmp op, const char *left_text, const char *right_text,
                 long long left, long long right) {
    char a[64], b[64];

    if (!cmp_holds(op, left, right))
        test_fail_at(file, line, "%s %s %s does not hold:\n  left:  %s\n  right: %s", left_text,
                     g_cmp_text[op], right_text, number_text(left, a, sizeof a),
                     number_text(right, b, sizeof b));
}

void test_str_at(const char *file, int line, bool want_equal, const char *left_text, const char *right_text,
                 const char *left, const char *right) {
    bool equal = left && right ? strcmp(left, right) == 0 : left == right;

    if (equal != want_equal)
        test_fail_at(file, line, "%s and %s %s:\n  left:  \"%s\"\n  right: \"%s\"", left_text, right_text,
                     want_equal ? "differ" : "are equal", left ? left : "(null)", right ? right : "(null)");
}

void test_contains_at(const char *file, int line, const char *text, const char *haystack,
                      const char *needle) {
    if (!haystack || !strstr(haystack, needle))
        test_fail_at(file, line, "%s does not contain the text:\n  text:   \"%s\"\n  needle: \"%s\"", text,
                     haystack ? haystack : "(null)", needle);
}

static void print_bytes(const char *side, const unsigned char *p, size_t from, size_t to) {
    fprintf(stderr, "  %s at %zu:", side, from);
    for (size_t i = from; i < to; i++)
        fprintf(stderr, " %02x", p[i]);
    fprintf(stderr, "\n");
}

void test_mem_at(const char *file, int line, const char *left_text, const char *right_text, const void *left,
                 const void *right, size_t size) {
    const unsigned char *a = left, *b = right;
    size_t at = 0;

    while (at < size && a[at] == b[at])
        at++;
    if (at == size)
        return;
    size_t from = at & ~(size_t)15, to = from + 32 < size ? from + 32 : size;
    print_bytes("left ", a, from, to);
    print_bytes("right", b, from, to);
    test_fail_at(file, line, "%s and %s differ first at byte %zu of %zu", left_text, right_text, at, size);
}

static const char *errno_text(int e) {
    const char *name = strerrorname_np(e);
    return name ? name : "?";
}

void test_errno_at(const char *file, int line, const char *text, long long result, int err, int want) {
    if (result != -1 || err != want)
        test_fail_at(file, line, "%s:\n  got:    %lld, errno %d (%s)\n  wanted: -1, errno %d (%s)", text,
                     result, err, errno_text(err), want, errno_text(want));
}

void test_ok_at(const char *file, int line, const char *text, long long result, int err) {
    char number[64];

    if (result < 0)
        test_fail_at(file, line, "%s failed: %s, errno %d (%s)", text,
                     number_text(result, number, sizeof number), err, errno_text(err));
}

int test_wait(int pid) {
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            test_fail_at(__FILE__, __LINE__, "waitpid(%d): %s", pid, errno_text(errno));
    return status;
}

void test_expect_abort_at(const char *file, int line, void (*fn)(void *), void *arg, const char *text) {
    char said[8192];
    size_t size = 0;
    ssize_t n;
    int fds[2];

    if (pipe(fds) < 0)
        test_fail_at(file, line, "pipe: %s", errno_text(errno));
    pid_t pid = fork();
    if (pid < 0)
        test_fail_at(file, line, "fork: %s", errno_text(errno));
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        fn(arg);
        _exit(0);
    }
    close(fds[1]);
    while (size < sizeof said - 1 && (n = read(fds[0], said + size, sizeof said - 1 - size)) > 0)
        size += (size_t)n;
    said[size] = '\0';
    close(fds[0]);
    int status = test_wait(pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != 6)
        test_fail_at(file, line, "expected an abort that says \"%s\"; wait status 0x%x; it said:\n%s", text,
                     status, said);
    test_contains_at(file, line, "the abort's message", said, text);
}
