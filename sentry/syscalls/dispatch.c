/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/dispatch.c: the table made from syscalls.def, dispatch, and the count of calls that are not
 * there.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"

#define SYS_NONE(nr, name_, err, note_, format_) [nr] = {#name_, NULL, SYSCALL_NONE, err, note_, format_},
#define SYS_PARTIAL(nr, name_, note_, format_)                                                               \
    [nr] = {#name_, sys_##name_, SYSCALL_PARTIAL, 0, note_, format_},
#define SYS_FULL(nr, name_, note_, format_) [nr] = {#name_, sys_##name_, SYSCALL_FULL, 0, note_, format_},
const struct syscall_entry g_syscalls[] = {
#include "sentry/syscalls/syscalls.def"
};
#undef SYS_NONE
#undef SYS_PARTIAL
#undef SYS_FULL
const unsigned g_syscall_count = ARRAY_SIZE(g_syscalls);

enum { OTHER_NUMBERS = 0 }; /* counted under read's number, which is always there */
static _Atomic uint64_t g_missing[ARRAY_SIZE(g_syscalls)];

static int64_t missing(struct task *t, uint64_t number) {
    bool known = number < g_syscall_count && g_syscalls[number].name;
    uint64_t before =
        atomic_fetch_add_explicit(&g_missing[known ? number : OTHER_NUMBERS], 1, memory_order_relaxed);

    if (before == 0)
        log_info(LOG_KERNEL, "tid %d: system call %lu (%s) is not there", task_tid(t), number,
                 known ? g_syscalls[number].name : "unknown");
    return known && g_syscalls[number].absent_errno ? -g_syscalls[number].absent_errno : -ENOSYS;
}

int64_t syscall_dispatch(struct task *t, uint64_t number, const struct syscall_args *a) {
    int64_t result;

    number = (uint32_t)number; /* Linux looks at eax; the x32 bit makes it a large number here */
    if (likely(number < g_syscall_count && g_syscalls[number].fn))
        result = g_syscalls[number].fn(t, a);
    else
        result = missing(t, number);
    if (unlikely(g_strace_fd >= 0))
        syscall_strace(t, number, a, result);
    return result;
}

static int by_count(const void *a, const void *b) {
    const struct syscall_count *x = a, *y = b;
    return x->count < y->count ? 1 : x->count > y->count ? -1 : (int)x->number - (int)y->number;
}

size_t syscall_missing(struct syscall_count *ret, size_t max) {
    size_t count = 0;

    for (unsigned i = 0; i < g_syscall_count && count < max; i++) {
        uint64_t n = atomic_load_explicit(&g_missing[i], memory_order_relaxed);
        if (n > 0)
            ret[count++] = (struct syscall_count){.number = i, .count = n};
    }
    qsort(ret, count, sizeof *ret, by_count);
    return count;
}
