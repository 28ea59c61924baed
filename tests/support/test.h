/* SPDX-License-Identifier: Apache-2.0
 * tests/support/test.h: the unit test harness: tests register themselves, each runs in a process of its own.
 *
 *     TEST(list_is_empty_at_first) { ASSERT_TRUE(list_empty(&l)); }
 *
 * An executable made by runsc_unit_test() (tests/CMakeLists.txt) runs all its tests, or those named on its
 * command line (fnmatch patterns). Options: --list, --no-fork (for a debugger), --timeout=SECONDS, --verbose.
 * Result lines, which ./dev sums up:
 *
 *     TEST <suite>.<name> pass|fail|skip|xfail|xpass <milliseconds> [reason]
 *
 * After each test the harness checks that nothing is left: references (ref_leaks), held mutexes, descriptors,
 * child processes and, in ASan builds, memory. A failed assertion prints both sides and ends the test at
 * once, from whatever thread. Standard output and error of a test are shown only if it fails (or with
 * --verbose).
 *
 * Skipping is for a facility that the host lacks, found by a probe that the reason names; nothing else. What
 * is not built yet is TEST_XFAIL(name, reason): it must fail, and once it passes the run fails until
 * TEST_XFAIL becomes TEST.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct test_case {
    const char *name;
    void (*run)(void);
    const char *file;
    int line;
    const char *xfail;      /* why it is expected to fail, or NULL */
    unsigned int timeout_s; /* 0: the default */
    struct test_case *next;
};

void test_register(struct test_case *t);

#define TEST_DEFINE(id, ...)                                                                                 \
    static void test_##id(void);                                                                             \
    static struct test_case test_case_##id = {                                                               \
        .name = #id, .run = test_##id, .file = __FILE__, .line = __LINE__, __VA_ARGS__};                     \
    __attribute__((constructor)) static void test_register_##id(void) {                                      \
        test_register(&test_case_##id);                                                                      \
    }                                                                                                        \
    static void test_##id(void)

#define TEST(name)                  TEST_DEFINE(name, .xfail = NULL)
#define TEST_XFAIL(name, reason)    TEST_DEFINE(name, .xfail = (reason))
#define TEST_TIMEOUT(name, seconds) TEST_DEFINE(name, .timeout_s = (seconds))

/* Each ends the test; may be called from any thread and from child processes that the test made by fork. */
__attribute__((noreturn, format(printf, 3, 4))) void test_fail_at(const char *file, int line, const char *fmt,
                                                                  ...);
/* "PROBE: what it said": only for a host facility that a probe found missing. */
__attribute__((noreturn, format(printf, 1, 2))) void test_skip(const char *fmt, ...);

/* Runs fn(arg) in a child and checks that it aborts and that its standard error contains `text`. */
void test_expect_abort_at(const char *file, int line, void (*fn)(void *), void *arg, const char *text);
#define ASSERT_ABORTS(fn, arg, text) test_expect_abort_at(__FILE__, __LINE__, (fn), (arg), (text))

/* Waits for `pid` and returns its wait status, failing the test on any error. */
int test_wait(int pid);

enum test_cmp { TEST_CMP_EQ, TEST_CMP_NE, TEST_CMP_LT, TEST_CMP_LE, TEST_CMP_GT, TEST_CMP_GE };
void test_cmp_at(const char *file, int line, enum test_cmp op, const char *left_text, const char *right_text,
                 long long left, long long right);
void test_str_at(const char *file, int line, bool want_equal, const char *left_text, const char *right_text,
                 const char *left, const char *right);
void test_contains_at(const char *file, int line, const char *text, const char *haystack, const char *needle);
void test_mem_at(const char *file, int line, const char *left_text, const char *right_text, const void *left,
                 const void *right, size_t size);
void test_errno_at(const char *file, int line, const char *text, long long result, int err, int want);
void test_ok_at(const char *file, int line, const char *text, long long result, int err);

/* Integers, enums and pointers; negative values in the range of errno are printed by name as well. */
#define TEST_CMP(op, a, b)                                                                                   \
    test_cmp_at(__FILE__, __LINE__, op, #a, #b, (long long)(intptr_t)(a), (long long)(intptr_t)(b))
#define ASSERT_EQ(a, b)    TEST_CMP(TEST_CMP_EQ, a, b)
#define ASSERT_NE(a, b)    TEST_CMP(TEST_CMP_NE, a, b)
#define ASSERT_LT(a, b)    TEST_CMP(TEST_CMP_LT, a, b)
#define ASSERT_LE(a, b)    TEST_CMP(TEST_CMP_LE, a, b)
#define ASSERT_GT(a, b)    TEST_CMP(TEST_CMP_GT, a, b)
#define ASSERT_GE(a, b)    TEST_CMP(TEST_CMP_GE, a, b)
#define ASSERT_TRUE(x)     ((x) ? (void)0 : test_fail_at(__FILE__, __LINE__, "%s is false", #x))
#define ASSERT_FALSE(x)    ((x) ? test_fail_at(__FILE__, __LINE__, "%s is true", #x) : (void)0)
#define ASSERT_NULL(p)     TEST_CMP(TEST_CMP_EQ, p, NULL)
#define ASSERT_NOT_NULL(p) TEST_CMP(TEST_CMP_NE, p, NULL)
#define ASSERT_STREQ(a, b) test_str_at(__FILE__, __LINE__, true, #a, #b, (a), (b))
#define ASSERT_STRNE(a, b) test_str_at(__FILE__, __LINE__, false, #a, #b, (a), (b))
#define ASSERT_CONTAINS(haystack, needle)                                                                    \
    test_contains_at(__FILE__, __LINE__, #haystack, (haystack), (needle))
#define ASSERT_MEMEQ(a, b, size) test_mem_at(__FILE__, __LINE__, #a, #b, (a), (b), (size))
/* A libc-like call that returned -1 with errno. For our own negative errno use ASSERT_EQ(f(), -EINVAL). */
#define ASSERT_ERRNO(call, want)                                                                             \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        long long test_r_ = (long long)(call);                                                               \
        test_errno_at(__FILE__, __LINE__, #call, test_r_, errno, (want));                                    \
    } while (0)
/* >= 0, whether errors come as -1 with errno or as a negative errno. */
#define ASSERT_OK(call)                                                                                      \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        long long test_r_ = (long long)(call);                                                               \
        test_ok_at(__FILE__, __LINE__, #call, test_r_, errno);                                               \
    } while (0)
#define ASSERT_FAIL(...) test_fail_at(__FILE__, __LINE__, __VA_ARGS__)
