/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_futex.c: futex(2), futex_waitv(2), robust lists. Priority inheritance is not there yet:
 * its operations give ENOSYS, as on a machine without compare-and-exchange of user memory, and libc falls
 * back or reports ENOTSUP.
 */
#include <errno.h>

#include "base/abi/linux/futex.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/clocks.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/sys_util.h"
#include "sentry/syscalls/syscalls.h"

enum { BLOCK_ADDR, BLOCK_VALUE, BLOCK_BITSET, BLOCK_DEADLINE, BLOCK_PRIVATE };

static int64_t wait_again(struct task *t, struct restart_block *block);

static int64_t do_wait(struct task *t, gva_t addr, bool private, uint32_t value, uint32_t bitset,
                       int64_t deadline) {
    int r = futex_wait(t, addr, private, value, bitset, deadline);

    if (r != -ERESTARTSYS || deadline == CLOCK_NEVER)
        return r;
    t->restart = (struct restart_block){.fn = wait_again};
    t->restart.arg[BLOCK_ADDR] = addr;
    t->restart.arg[BLOCK_VALUE] = value;
    t->restart.arg[BLOCK_BITSET] = bitset;
    t->restart.arg[BLOCK_DEADLINE] = (uint64_t)deadline;
    t->restart.arg[BLOCK_PRIVATE] = private;
    return -ERESTART_RESTARTBLOCK;
}

static int64_t wait_again(struct task *t, struct restart_block *b) {
    return do_wait(t, b->arg[BLOCK_ADDR], b->arg[BLOCK_PRIVATE], (uint32_t)b->arg[BLOCK_VALUE],
                   (uint32_t)b->arg[BLOCK_BITSET], (int64_t)b->arg[BLOCK_DEADLINE]);
}

/* FUTEX_WAIT's timeout is relative, WAIT_BITSET's absolute on one of two clocks. */
static int wait_deadline(struct task *t, gva_t at, int op, int64_t *ret) {
    int64_t when;

    if (!at || (op & ~(LINUX_FUTEX_PRIVATE_FLAG | LINUX_FUTEX_CLOCK_REALTIME)) == LINUX_FUTEX_WAIT)
        return copy_in_timeout(t, at, ret);
    int r = copy_in_timespec(t, at, &when);
    if (r == 0)
        *ret = clock_deadline(
            t->kernel, op & LINUX_FUTEX_CLOCK_REALTIME ? LINUX_CLOCK_REALTIME : LINUX_CLOCK_MONOTONIC, when);
    return r;
}

static int64_t requeue(struct task *t, const struct syscall_args *a, bool private, bool compare) {
    if ((int)a->arg[2] < 0 || (int)a->arg[3] < 0)
        return -EINVAL;
    struct futex_requeue q = {.from = a->arg[0],
                              .to = a->arg[4],
                              .private_from = private,
                              .private_to = private,
                              .wake = (uint32_t)a->arg[2],
                              .move = (uint32_t)a->arg[3],
                              .compare = compare,
                              .value = (uint32_t)a->arg[5]};
    return futex_requeue(t, &q);
}

int64_t sys_futex(struct task *t, const struct syscall_args *a) {
    gva_t addr = a->arg[0];
    int op = (int)a->arg[1], command = op & ~(LINUX_FUTEX_PRIVATE_FLAG | LINUX_FUTEX_CLOCK_REALTIME);
    uint32_t value = (uint32_t)a->arg[2], bitset = (uint32_t)a->arg[5];
    bool private = op & LINUX_FUTEX_PRIVATE_FLAG;
    int64_t deadline;

    if ((op & LINUX_FUTEX_CLOCK_REALTIME) && command != LINUX_FUTEX_WAIT_BITSET &&
        command != LINUX_FUTEX_WAIT)
        return -ENOSYS;
    switch (command) {
    case LINUX_FUTEX_WAIT:
        bitset = LINUX_FUTEX_BITSET_MATCH_ANY;
        /* fall through */
    case LINUX_FUTEX_WAIT_BITSET: {
        int r = wait_deadline(t, a->arg[3], op, &deadline);
        return r < 0 ? r : do_wait(t, addr, private, value, bitset, deadline);
    }
    case LINUX_FUTEX_WAKE:
        return futex_wake(t, addr, private, MAX(value, 1u), LINUX_FUTEX_BITSET_MATCH_ANY);
    case LINUX_FUTEX_WAKE_BITSET:
        return futex_wake(t, addr, private, MAX(value, 1u), bitset);
    case LINUX_FUTEX_REQUEUE:
        return requeue(t, a, private, /* compare= */ false);
    case LINUX_FUTEX_CMP_REQUEUE:
        return requeue(t, a, private, /* compare= */ true);
    case LINUX_FUTEX_WAKE_OP:
        return futex_wake_op(t, addr, a->arg[4], private, MAX(value, 1u), MAX((uint32_t)a->arg[3], 1u),
                             (uint32_t)a->arg[5]);
    default:
        return -ENOSYS;
    }
}

int64_t sys_futex_waitv(struct task *t, const struct syscall_args *a) {
    uint32_t count = (uint32_t)a->arg[1];
    struct linux_futex_waitv in[LINUX_FUTEX_WAITV_MAX];
    struct futex_wait_item items[LINUX_FUTEX_WAITV_MAX];
    int64_t deadline = CLOCK_NEVER, when;

    if (a->arg[2] || count == 0 || count > LINUX_FUTEX_WAITV_MAX || !a->arg[0])
        return -EINVAL;
    if (a->arg[3]) {
        int clock = (int)a->arg[4];
        if (clock != LINUX_CLOCK_MONOTONIC && clock != LINUX_CLOCK_REALTIME)
            return -EINVAL;
        int r = copy_in_timespec(t, a->arg[3], &when);
        if (r < 0)
            return r;
        deadline = clock_deadline(t->kernel, clock, when);
    }
    if (copy_in(t, in, a->arg[0], count * sizeof in[0]) < 0)
        return -EFAULT;
    for (uint32_t i = 0; i < count; i++) {
        if (in[i].reserved || (in[i].flags & ~(uint32_t)(LINUX_FUTEX_32 | LINUX_FUTEX_PRIVATE_FLAG)) ||
            !(in[i].flags & LINUX_FUTEX_32))
            return -EINVAL;
        items[i] = (struct futex_wait_item){.addr = in[i].uaddr,
                                            .value = (uint32_t)in[i].val,
                                            .private = in[i].flags & LINUX_FUTEX_PRIVATE_FLAG};
    }
    return futex_wait_many(t, items, count, deadline);
}

int64_t sys_set_robust_list(struct task *t, const struct syscall_args *a) {
    if (a->arg[1] != sizeof(struct linux_robust_list_head))
        return -EINVAL;
    t->robust_list = a->arg[0];
    return 0;
}

int64_t sys_get_robust_list(struct task *t, const struct syscall_args *a) {
    int tid = (int)a->arg[0];
    struct task *target = tid == 0 ? task_ref(t) : task_find(t, tid);

    if (!target)
        return -ESRCH;
    int r = task_ptrace_may_access(t, target, /* attach= */ false);
    uint64_t head = target->robust_list, size = sizeof(struct linux_robust_list_head);
    task_unref(target);
    if (r == 0)
        r = copy_out(t, a->arg[2], &size, sizeof size);
    return r == 0 ? copy_out(t, a->arg[1], &head, sizeof head) : r;
}
