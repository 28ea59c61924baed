/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_sem.c: System V semaphores: decoding only (sentry/kernel/ipc/sem.h). Source: semget(2),
 * semop(2), semctl(2).
 */
#include <errno.h>

#include "base/clock.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/ipc/sem.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/sys_util.h"
#include "sentry/syscalls/syscalls.h"

enum { SEMUSZ = 20, FEW_OPS = 16 };

int64_t sys_semget(struct task *t, const struct syscall_args *a) {
    return sem_get(t, (int32_t)a->arg[0], (int)a->arg[1], (int)a->arg[2]);
}

static int64_t operate(struct task *t, int id, gva_t at, unsigned count, int64_t deadline) {
    struct linux_sembuf few[FEW_OPS], *ops = few;
    struct ipc_ns *ns = task_ipc_ns(t);

    if (count < 1 || id < 0)
        return -EINVAL;
    mutex_lock(&ns->lock);
    uint64_t most = ns->limits.semopm;
    mutex_unlock(&ns->lock);
    if (count > most)
        return -E2BIG;
    if (count > FEW_OPS) {
        ops = heap_alloc_bytes(count * sizeof *ops);
        if (!ops)
            return -ENOMEM;
    }
    int64_t result = copy_in(t, ops, at, count * sizeof *ops);
    if (result == 0)
        result = sem_operate(t, id, ops, count, deadline);
    if (ops != few)
        heap_free(ops);
    return result;
}

int64_t sys_semop(struct task *t, const struct syscall_args *a) {
    return operate(t, (int)a->arg[0], a->arg[1], (unsigned)a->arg[2], CLOCK_NEVER);
}

int64_t sys_semtimedop(struct task *t, const struct syscall_args *a) {
    int64_t deadline;
    int result = copy_in_timeout(t, a->arg[3], &deadline);

    return result < 0 ? result : operate(t, (int)a->arg[0], a->arg[1], (unsigned)a->arg[2], deadline);
}

/* ---- semctl ---- */

static int64_t get_limits(struct task *t, int cmd, gva_t to) {
    struct ipc_ns *ns = task_ipc_ns(t);
    bool now = cmd == LINUX_SEM_INFO;

    mutex_lock(&ns->lock);
    struct linux_seminfo info = {.semmap = LINUX_SEMMNI * LINUX_SEMMSL,
                                 .semmni = (int32_t)ns->limits.semmni,
                                 .semmns = (int32_t)ns->limits.semmns,
                                 .semmnu = LINUX_SEMMNI * LINUX_SEMMSL,
                                 .semmsl = (int32_t)ns->limits.semmsl,
                                 .semopm = (int32_t)ns->limits.semopm,
                                 .semume = LINUX_SEMOPM,
                                 .semusz = now ? (int32_t)ns->ids[IPC_SEM].in_use : SEMUSZ,
                                 .semvmx = LINUX_SEMVMX,
                                 .semaem = now ? (int32_t)ns->sem_count : LINUX_SEMVMX};
    int highest = ipc_highest_index_locked(ns, IPC_SEM);
    mutex_unlock(&ns->lock);
    return copy_out(t, to, &info, sizeof info) < 0 ? -EFAULT : highest;
}

static int64_t get_stat(struct task *t, int id, enum ipc_lookup how, gva_t to) {
    struct linux_semid_ds ds;
    int result = ipc_stat(t, IPC_SEM, id, how, &ds);

    if (result < 0)
        return result;
    if (copy_out(t, to, &ds, sizeof ds) < 0)
        return -EFAULT;
    return how == IPC_BY_ID ? 0 : result;
}

static int64_t all_values(struct task *t, int id, gva_t at, bool write) {
    int count = sem_count(t, id, write);

    if (count < 0)
        return count;
    size_t size = (size_t)count * sizeof(uint16_t);
    uint16_t *values = heap_alloc_bytes(size);
    if (!values)
        return -ENOMEM;
    int64_t result = write ? copy_in(t, values, at, size) : sem_get_all(t, id, values, count);
    if (result == 0)
        result = write ? sem_set_all(t, id, values, count) : copy_out(t, at, values, size);
    heap_free(values);
    return result;
}

int64_t sys_semctl(struct task *t, const struct syscall_args *a) {
    int id = (int)a->arg[0], number = (int)a->arg[1], cmd = (int)a->arg[2];
    gva_t at = a->arg[3];
    struct linux_semid_ds ds;

    if (id < 0)
        return -EINVAL;
    switch (cmd) {
    case LINUX_IPC_INFO:
    case LINUX_SEM_INFO:
        return get_limits(t, cmd, at);
    case LINUX_IPC_STAT:
        return get_stat(t, id, IPC_BY_ID, at);
    case LINUX_SEM_STAT:
        return get_stat(t, id, IPC_BY_INDEX, at);
    case LINUX_SEM_STAT_ANY:
        return get_stat(t, id, IPC_BY_INDEX_ANY, at);
    case LINUX_GETALL:
    case LINUX_SETALL:
        return all_values(t, id, at, cmd == LINUX_SETALL);
    case LINUX_GETVAL:
    case LINUX_GETPID:
    case LINUX_GETNCNT:
    case LINUX_GETZCNT:
        return sem_get_one(t, id, number, cmd);
    case LINUX_SETVAL:
        return sem_set_one(t, id, number, (int)at);
    case LINUX_IPC_SET:
        return copy_in(t, &ds, at, sizeof ds) < 0 ? -EFAULT : ipc_set(t, IPC_SEM, id, &ds.perm);
    case LINUX_IPC_RMID:
        return ipc_rmid(t, IPC_SEM, id);
    }
    return -EINVAL;
}
