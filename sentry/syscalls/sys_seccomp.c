/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_seccomp.c: seccomp(2) and its older form in prctl(2). Source: seccomp(2).
 */
#include "sentry/syscalls/sys_seccomp.h"

#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"

enum {
    FLAGS = LINUX_SECCOMP_FILTER_FLAG_TSYNC | LINUX_SECCOMP_FILTER_FLAG_LOG |
            LINUX_SECCOMP_FILTER_FLAG_SPEC_ALLOW | LINUX_SECCOMP_FILTER_FLAG_NEW_LISTENER |
            LINUX_SECCOMP_FILTER_FLAG_TSYNC_ESRCH | LINUX_SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
};

/* Copies the program in: heap bytes. Order of checks as Linux: length, privilege, contents. */
static int copy_in_program(struct task *t, gva_t at, struct linux_sock_filter **ret, size_t *ret_count) {
    struct linux_sock_fprog fprog;
    int r = copy_in(t, &fprog, at, sizeof fprog);

    if (r < 0)
        return r;
    if (fprog.filter == 0 || fprog.len == 0 || fprog.len > LINUX_BPF_MAXINSNS)
        return -EINVAL;
    if (!seccomp_may_install(t))
        return -EACCES;
    size_t size = fprog.len * sizeof **ret;
    *ret = heap_alloc_bytes(size);
    if (!*ret)
        return -ENOMEM;
    *ret_count = fprog.len;
    r = copy_in(t, *ret, fprog.filter, size);
    if (r < 0)
        heap_free(*ret);
    return r;
}

static int64_t set_filter(struct task *t, uint32_t flags, gva_t at) {
    struct linux_sock_filter *program = NULL;
    size_t count = 0;

    if (flags & ~(uint32_t)FLAGS)
        return -EINVAL;
    if ((flags & LINUX_SECCOMP_FILTER_FLAG_TSYNC) && (flags & LINUX_SECCOMP_FILTER_FLAG_NEW_LISTENER) &&
        !(flags & LINUX_SECCOMP_FILTER_FLAG_TSYNC_ESRCH))
        return -EINVAL; /* the result would be a descriptor or a tid */
    if ((flags & LINUX_SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) &&
        !(flags & LINUX_SECCOMP_FILTER_FLAG_NEW_LISTENER))
        return -EINVAL;
    int64_t r = copy_in_program(t, at, &program, &count);
    if (r < 0)
        return r;
    r = seccomp_set_filter(t, program, count, flags);
    heap_free(program);
    return r;
}

static bool is_known_action(uint32_t action) {
    switch (action) {
    case LINUX_SECCOMP_RET_KILL_PROCESS:
    case LINUX_SECCOMP_RET_KILL_THREAD:
    case LINUX_SECCOMP_RET_TRAP:
    case LINUX_SECCOMP_RET_ERRNO:
    case LINUX_SECCOMP_RET_USER_NOTIF:
    case LINUX_SECCOMP_RET_TRACE:
    case LINUX_SECCOMP_RET_LOG:
    case LINUX_SECCOMP_RET_ALLOW:
        return true;
    default:
        return false;
    }
}

static int64_t action_available(struct task *t, uint32_t flags, gva_t at) {
    uint32_t action;

    if (flags)
        return -EINVAL;
    int r = copy_in(t, &action, at, sizeof action);
    if (r < 0)
        return r;
    return is_known_action(action) ? 0 : -EOPNOTSUPP;
}

static int64_t notif_sizes(struct task *t, uint32_t flags, gva_t at) {
    const struct linux_seccomp_notif_sizes sizes = {.notif = sizeof(struct linux_seccomp_notif),
                                                    .resp = sizeof(struct linux_seccomp_notif_resp),
                                                    .data = sizeof(struct linux_seccomp_data)};

    return flags ? -EINVAL : copy_out(t, at, &sizes, sizeof sizes);
}

static int64_t do_seccomp(struct task *t, uint32_t operation, uint32_t flags, gva_t at) {
    switch (operation) {
    case LINUX_SECCOMP_SET_MODE_STRICT:
        return flags || at ? -EINVAL : seccomp_set_strict(t);
    case LINUX_SECCOMP_SET_MODE_FILTER:
        return set_filter(t, flags, at);
    case LINUX_SECCOMP_GET_ACTION_AVAIL:
        return action_available(t, flags, at);
    case LINUX_SECCOMP_GET_NOTIF_SIZES:
        return notif_sizes(t, flags, at);
    default:
        return -EINVAL;
    }
}

int64_t sys_seccomp(struct task *t, const struct syscall_args *a) {
    return do_seccomp(t, (uint32_t)a->arg[0], (uint32_t)a->arg[1], a->arg[2]);
}

int64_t prctl_set_seccomp(struct task *t, uint64_t mode, gva_t filter) {
    switch (mode) {
    case LINUX_SECCOMP_MODE_STRICT:
        return do_seccomp(t, LINUX_SECCOMP_SET_MODE_STRICT, 0, 0);
    case LINUX_SECCOMP_MODE_FILTER:
        return do_seccomp(t, LINUX_SECCOMP_SET_MODE_FILTER, 0, filter);
    default:
        return -EINVAL;
    }
}
