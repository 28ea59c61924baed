/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_util.c: see sys_util.h.
 */
#include "sentry/syscalls/sys_util.h"

#include <errno.h>
#include <string.h>

#include "sentry/mm/uaccess.h"

int copy_in_timespec(struct task *t, gva_t at, int64_t *ret_ns) {
    struct linux_timespec ts;

    if (copy_in(t, &ts, at, sizeof ts) < 0)
        return -EFAULT;
    return timespec_to_ns(&ts, ret_ns) ? 0 : -EINVAL;
}

int copy_in_timeout(struct task *t, gva_t at, int64_t *ret_deadline) {
    int64_t ns;

    if (!at) {
        *ret_deadline = CLOCK_NEVER;
        return 0;
    }
    int r = copy_in_timespec(t, at, &ns);
    if (r == 0)
        *ret_deadline = clock_add(monotonic_ns(), ns);
    return r;
}

int copy_out_timespec(struct task *t, gva_t at, int64_t ns) {
    struct linux_timespec ts = timespec_of(ns);

    return copy_out(t, at, &ts, sizeof ts);
}

int copy_in_struct(struct task *t, void *to, size_t size, gva_t from, uint64_t usize, size_t min) {
    unsigned char more[256];

    if (usize > PAGE_SIZE)
        return -E2BIG;
    if (usize < min)
        return -EINVAL;
    memset(to, 0, size);
    int r = copy_in(t, to, from, MIN(size, usize));
    for (uint64_t at = size; r == 0 && at < usize; at += sizeof more) {
        size_t part = MIN(sizeof more, usize - at);
        r = copy_in(t, more, from + at, part);
        for (size_t i = 0; r == 0 && i < part; i++)
            if (more[i])
                r = -E2BIG;
    }
    return r;
}
