/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_shm.c: System V shared memory: decoding only (sentry/kernel/ipc/shm.h). Source:
 * shmget(2), shmop(2), shmctl(2).
 */
#include <errno.h>

#include "sentry/kernel/ipc/shm.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"

int64_t sys_shmget(struct task *t, const struct syscall_args *a) {
    return shm_get(t, (int32_t)a->arg[0], a->arg[1], (int)a->arg[2]);
}

int64_t sys_shmat(struct task *t, const struct syscall_args *a) {
    return shm_attach(t, (int)a->arg[0], a->arg[1], (int)a->arg[2]);
}

int64_t sys_shmdt(struct task *t, const struct syscall_args *a) {
    return shm_detach(t, a->arg[0]);
}

static int64_t get_limits(struct task *t, gva_t to) {
    struct ipc_ns *ns = task_ipc_ns(t);

    mutex_lock(&ns->lock);
    struct linux_shminfo info = {.shmmax = ns->limits.shmmax,
                                 .shmmin = LINUX_SHMMIN,
                                 .shmmni = ns->limits.shmmni,
                                 .shmseg = ns->limits.shmmni,
                                 .shmall = ns->limits.shmall};
    int highest = ipc_highest_index_locked(ns, IPC_SHM);
    mutex_unlock(&ns->lock);
    return copy_out(t, to, &info, sizeof info) < 0 ? -EFAULT : highest;
}

static int64_t get_stat(struct task *t, int id, enum ipc_lookup how, gva_t to) {
    struct linux_shmid_ds ds;
    int result = ipc_stat(t, IPC_SHM, id, how, &ds);

    if (result < 0)
        return result;
    if (copy_out(t, to, &ds, sizeof ds) < 0)
        return -EFAULT;
    return how == IPC_BY_ID ? 0 : result;
}

int64_t sys_shmctl(struct task *t, const struct syscall_args *a) {
    int id = (int)a->arg[0], cmd = (int)a->arg[1];
    gva_t at = a->arg[2];
    struct linux_shmid_ds ds;
    struct linux_shm_info info;

    if (cmd < 0 || id < 0)
        return -EINVAL;
    switch (cmd) {
    case LINUX_IPC_INFO:
        return get_limits(t, at);
    case LINUX_SHM_INFO: {
        int highest = shm_info(t, &info);
        return copy_out(t, at, &info, sizeof info) < 0 ? -EFAULT : highest;
    }
    case LINUX_IPC_STAT:
        return get_stat(t, id, IPC_BY_ID, at);
    case LINUX_SHM_STAT:
        return get_stat(t, id, IPC_BY_INDEX, at);
    case LINUX_SHM_STAT_ANY:
        return get_stat(t, id, IPC_BY_INDEX_ANY, at);
    case LINUX_IPC_SET:
        return copy_in(t, &ds, at, sizeof ds) < 0 ? -EFAULT : ipc_set(t, IPC_SHM, id, &ds.perm);
    case LINUX_IPC_RMID:
        return ipc_rmid(t, IPC_SHM, id);
    case LINUX_SHM_LOCK:
    case LINUX_SHM_UNLOCK:
        return shm_lock(t, id, cmd == LINUX_SHM_LOCK);
    }
    return -EINVAL;
}
