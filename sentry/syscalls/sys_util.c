/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_util.c: see sys_util.h.
 */
#include "sentry/syscalls/sys_util.h"

#include <errno.h>

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
