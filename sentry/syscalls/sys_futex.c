/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_futex.c: futex(2), futex_waitv(2), futex_wait(2) and its kind, robust lists: decoding
 * only.
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

    int command = op & ~(LINUX_FUTEX_PRIVATE_FLAG | LINUX_FUTEX_CLOCK_REALTIME);

    if (!at || command == LINUX_FUTEX_WAIT)
        return copy_in_timeout(t, at, ret);
    bool real = (op & LINUX_FUTEX_CLOCK_REALTIME) || command == LINUX_FUTEX_LOCK_PI;
    int r = copy_in_timespec(t, at, &when);
    int clock = real ? LINUX_CLOCK_REALTIME : LINUX_CLOCK_MONOTONIC;
    if (r == 0)
        *ret = clock_deadline(t->kernel, clock, clock_to_kernel(t, clock, when));
    return r;
}

static int64_t requeue(struct task *t, const struct syscall_args *a, int command, bool private) {
    struct futex_requeue q = {.from = a->arg[0],
                              .to = a->arg[4],
                              .private_from = private,
                              .private_to = private,
                              .wake = (uint32_t)a->arg[2],
                              .move = (uint32_t)a->arg[3],
                              .compare = command != LINUX_FUTEX_REQUEUE,
                              .value = (uint32_t)a->arg[5]};

    if ((int)a->arg[2] < 0 || (int)a->arg[3] < 0)
        return -EINVAL;
    return command == LINUX_FUTEX_CMP_REQUEUE_PI ? futex_cmp_requeue_pi(t, &q) : futex_requeue(t, &q);
}

static bool takes_clock(int command) {
    return command == LINUX_FUTEX_WAIT || command == LINUX_FUTEX_WAIT_BITSET ||
           command == LINUX_FUTEX_LOCK_PI2 || command == LINUX_FUTEX_WAIT_REQUEUE_PI;
}

/* Commands with a time-out. */
static int64_t timed(struct task *t, const struct syscall_args *a, int op, int command) {
    bool private = op & LINUX_FUTEX_PRIVATE_FLAG;
    uint32_t value = (uint32_t)a->arg[2], bitset = (uint32_t)a->arg[5];
    int64_t deadline;
    int r = wait_deadline(t, a->arg[3], op, &deadline);

    if (r < 0)
        return r;
    if (command == LINUX_FUTEX_LOCK_PI || command == LINUX_FUTEX_LOCK_PI2)
        return futex_lock_pi(t, a->arg[0], private, /* try= */ false, deadline);
    if (command == LINUX_FUTEX_WAIT_REQUEUE_PI) {
        const struct futex_wait_pi q = {.addr = a->arg[0],
                                        .lock = a->arg[4],
                                        .private = private,
                                        .value = value,
                                        .bitset = LINUX_FUTEX_BITSET_MATCH_ANY};
        return futex_wait_requeue_pi(t, &q, deadline);
    }
    return do_wait(t, a->arg[0], private, value,
                   command == LINUX_FUTEX_WAIT ? LINUX_FUTEX_BITSET_MATCH_ANY : bitset, deadline);
}

int64_t sys_futex(struct task *t, const struct syscall_args *a) {
    gva_t addr = a->arg[0];
    int op = (int)a->arg[1], command = op & ~(LINUX_FUTEX_PRIVATE_FLAG | LINUX_FUTEX_CLOCK_REALTIME);
    uint32_t value = (uint32_t)a->arg[2];
    bool private = op & LINUX_FUTEX_PRIVATE_FLAG;

    if ((op & LINUX_FUTEX_CLOCK_REALTIME) && !takes_clock(command))
        return -ENOSYS;
    switch (command) {
    case LINUX_FUTEX_WAIT:
    case LINUX_FUTEX_WAIT_BITSET:
    case LINUX_FUTEX_LOCK_PI:
    case LINUX_FUTEX_LOCK_PI2:
    case LINUX_FUTEX_WAIT_REQUEUE_PI:
        return timed(t, a, op, command);
    case LINUX_FUTEX_TRYLOCK_PI:
        return futex_lock_pi(t, addr, private, /* try= */ true, CLOCK_NEVER);
    case LINUX_FUTEX_UNLOCK_PI:
        return futex_unlock_pi(t, addr, private);
    case LINUX_FUTEX_WAKE:
        return futex_wake(t, addr, private, MAX(value, 1u), LINUX_FUTEX_BITSET_MATCH_ANY);
    case LINUX_FUTEX_WAKE_BITSET:
        return futex_wake(t, addr, private, MAX(value, 1u), (uint32_t)a->arg[5]);
    case LINUX_FUTEX_REQUEUE:
    case LINUX_FUTEX_CMP_REQUEUE:
    case LINUX_FUTEX_CMP_REQUEUE_PI:
        return requeue(t, a, command, private);
    case LINUX_FUTEX_WAKE_OP:
        return futex_wake_op(t, addr, a->arg[4], private, MAX(value, 1u), MAX((uint32_t)a->arg[3], 1u),
                             (uint32_t)a->arg[5]);
    default:
        return -ENOSYS;
    }
}

/* ---- futex_wait, futex_wake, futex_requeue, futex_waitv: <linux/futex.h>, FUTEX2_* ---- */

/* NUMA futexes (two words, one node) are not there: a table of one kind serves all. */
static bool futex2_valid(uint32_t flags) {
    return !(flags & ~(uint32_t)(LINUX_FUTEX_32 | LINUX_FUTEX_PRIVATE_FLAG)) && (flags & LINUX_FUTEX_32);
}

/* Absolute, on one of two clocks. */
static int futex2_deadline(struct task *t, gva_t at, int clock, int64_t *ret) {
    int64_t when;

    *ret = CLOCK_NEVER;
    if (!at)
        return 0;
    if (clock != LINUX_CLOCK_MONOTONIC && clock != LINUX_CLOCK_REALTIME)
        return -EINVAL;
    int r = copy_in_timespec(t, at, &when);
    if (r == 0)
        *ret = clock_deadline(t->kernel, clock, clock_to_kernel(t, clock, when));
    return r;
}

static int copy_in_waiters(struct task *t, gva_t at, struct futex_wait_item *items, uint32_t count) {
    struct linux_futex_waitv in[LINUX_FUTEX_WAITV_MAX];

    if (copy_in(t, in, at, count * sizeof in[0]) < 0)
        return -EFAULT;
    for (uint32_t i = 0; i < count; i++) {
        if (in[i].reserved || !futex2_valid(in[i].flags) || in[i].val >> 32)
            return -EINVAL;
        items[i] = (struct futex_wait_item){.addr = in[i].uaddr,
                                            .value = (uint32_t)in[i].val,
                                            .private = in[i].flags & LINUX_FUTEX_PRIVATE_FLAG};
    }
    return 0;
}

int64_t sys_futex_wake(struct task *t, const struct syscall_args *a) {
    uint32_t flags = (uint32_t)a->arg[3];

    if (!futex2_valid(flags) || a->arg[1] >> 32)
        return -EINVAL;
    int count = (int)a->arg[2];
    return futex_wake(t, a->arg[0], flags & LINUX_FUTEX_PRIVATE_FLAG, (uint32_t)MAX(count, 0),
                      (uint32_t)a->arg[1]);
}

int64_t sys_futex_wait(struct task *t, const struct syscall_args *a) {
    uint32_t flags = (uint32_t)a->arg[3];
    int64_t deadline;

    if (!futex2_valid(flags) || a->arg[1] >> 32 || a->arg[2] >> 32)
        return -EINVAL;
    int r = futex2_deadline(t, a->arg[4], (int)a->arg[5], &deadline);
    if (r < 0)
        return r;
    return futex_wait(t, a->arg[0], flags & LINUX_FUTEX_PRIVATE_FLAG, (uint32_t)a->arg[1],
                      (uint32_t)a->arg[2], deadline);
}

int64_t sys_futex_requeue(struct task *t, const struct syscall_args *a) {
    struct futex_wait_item items[2];
    int wake = (int)a->arg[2], move = (int)a->arg[3];

    if (a->arg[1] || !a->arg[0])
        return -EINVAL;
    int r = copy_in_waiters(t, a->arg[0], items, 2);
    if (r < 0)
        return r;
    if (wake < 0 || move < 0)
        return -EINVAL;
    const struct futex_requeue q = {.from = items[0].addr,
                                    .to = items[1].addr,
                                    .private_from = items[0].private,
                                    .private_to = items[1].private,
                                    .wake = (uint32_t)wake,
                                    .move = (uint32_t)move,
                                    .compare = true,
                                    .value = items[0].value};
    return futex_requeue(t, &q);
}

int64_t sys_futex_waitv(struct task *t, const struct syscall_args *a) {
    uint32_t count = (uint32_t)a->arg[1];
    struct futex_wait_item items[LINUX_FUTEX_WAITV_MAX];
    int64_t deadline;

    if (a->arg[2] || count == 0 || count > LINUX_FUTEX_WAITV_MAX || !a->arg[0])
        return -EINVAL;
    int r = futex2_deadline(t, a->arg[3], (int)a->arg[4], &deadline);
    if (r == 0)
        r = copy_in_waiters(t, a->arg[0], items, count);
    return r < 0 ? r : futex_wait_many(t, items, count, deadline);
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
