/* SPDX-License-Identifier: Apache-2.0
 * tests/support/fault.c: see fault.h.
 */
#include "tests/support/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include "tests/support/test.h"

enum { MOST_ALLOCATIONS = 100000 };

static _Thread_local unsigned int t_countdown;
static _Thread_local bool t_fired;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_vasprintf(char **ret, const char *fmt, va_list args);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_vasprintf(char **ret, const char *fmt, va_list args);
int __wrap_asprintf(char **ret, const char *fmt, ...);

static bool fails_now(void) {
    if (t_countdown == 0 || --t_countdown > 0)
        return false;
    t_fired = true;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size) {
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size) {
    return fails_now() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s) {
    return fails_now() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n) {
    return fails_now() ? NULL : __real_strndup(s, n);
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list args) {
    if (!fails_now())
        return __real_vasprintf(ret, fmt, args);
    *ret = (char *)1; /* undefined after a failure (asprintf(3)): whoever frees it crashes */
    return -1;
}

int __wrap_asprintf(char **ret, const char *fmt, ...) {
    va_list args;

    va_start(args, fmt);
    int n = __wrap_vasprintf(ret, fmt, args);
    va_end(args);
    return n;
}

void fault_fail_nth(unsigned int n) {
    t_countdown = n;
    t_fired = false;
}

bool fault_fired(void) {
    return t_fired;
}

unsigned int fault_sweep(void (*scenario)(void)) {
    for (unsigned int n = 1; n < MOST_ALLOCATIONS; n++) {
        fault_fail_nth(n);
        scenario();
        bool fired = t_fired;
        fault_fail_nth(0);
        if (!fired)
            return n - 1;
    }
    ASSERT_FAIL("the scenario allocates without end");
}
