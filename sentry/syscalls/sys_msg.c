/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_msg.c: System V message queues: decoding only (sentry/kernel/ipc/msg.h). Source:
 * msgget(2), msgop(2), msgctl(2).
 */
#include <errno.h>

#include "sentry/kernel/ipc/msg.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"

/* What IPC_INFO shows of a pool that is not there, as Linux. */
enum { MSGPOOL = LINUX_MSGMNI * LINUX_MSGMNB / 1024, MSGTQL = LINUX_MSGMNB, MSGSSZ = 16, MSGSEG = 0xffff };

struct linux_msginfo {
    int32_t pool, map, max, mnb, mni, ssz, tql;
    uint16_t seg;
};

int64_t sys_msgget(struct task *t, const struct syscall_args *a) {
    return msg_get(t, (int32_t)a->arg[0], (int)a->arg[1]);
}

int64_t sys_msgsnd(struct task *t, const struct syscall_args *a) {
    struct ipc_ns *ns = task_ipc_ns(t);
    int id = (int)a->arg[0];
    uint64_t size = a->arg[2];
    int64_t type;

    if (copy_in(t, &type, a->arg[1], sizeof type) < 0)
        return -EFAULT;
    mutex_lock(&ns->lock);
    uint64_t most = ns->limits.msgmax;
    mutex_unlock(&ns->lock);
    if (size > most || (int64_t)size < 0 || id < 0 || type < 1)
        return -EINVAL;
    struct message *m = message_new(size);
    if (!m)
        return -ENOMEM;
    m->type = type;
    int64_t result = copy_in(t, m->bytes, a->arg[1] + sizeof type, size);
    if (result == 0)
        result = msg_send(t, id, m, (int)a->arg[3]);
    if (result < 0)
        message_free(m);
    return result;
}

int64_t sys_msgrcv(struct task *t, const struct syscall_args *a) {
    int id = (int)a->arg[0];
    gva_t at = a->arg[1];
    uint64_t size = a->arg[2];
    struct message *m;

    if (id < 0 || (int64_t)size < 0)
        return -EINVAL;
    int64_t result = msg_receive(t, id, size, (int64_t)a->arg[3], (int)a->arg[4], &m);
    if (result < 0)
        return result;
    size = MIN(size, m->size);
    result = (int64_t)size;
    if (copy_out(t, at, &m->type, sizeof m->type) < 0 || copy_out(t, at + sizeof m->type, m->bytes, size) < 0)
        result = -EFAULT; /* the message is lost, as on Linux */
    message_free(m);
    return result;
}

static int64_t get_limits(struct task *t, int cmd, gva_t to) {
    struct ipc_ns *ns = task_ipc_ns(t);
    bool now = cmd == LINUX_MSG_INFO;

    mutex_lock(&ns->lock);
    struct linux_msginfo info = {.pool = now ? (int32_t)ns->ids[IPC_MSG].in_use : MSGPOOL,
                                 .map = now ? (int32_t)ns->msg_count : MSGTQL,
                                 .max = (int32_t)ns->limits.msgmax,
                                 .mnb = (int32_t)ns->limits.msgmnb,
                                 .mni = (int32_t)ns->limits.msgmni,
                                 .ssz = MSGSSZ,
                                 .tql = now ? (int32_t)ns->msg_bytes : MSGTQL,
                                 .seg = MSGSEG};
    int highest = ipc_highest_index_locked(ns, IPC_MSG);
    mutex_unlock(&ns->lock);
    return copy_out(t, to, &info, sizeof info) < 0 ? -EFAULT : highest;
}

static int64_t get_stat(struct task *t, int id, enum ipc_lookup how, gva_t to) {
    struct linux_msqid_ds ds;
    int result = ipc_stat(t, IPC_MSG, id, how, &ds);

    if (result < 0)
        return result;
    if (copy_out(t, to, &ds, sizeof ds) < 0)
        return -EFAULT;
    return how == IPC_BY_ID ? 0 : result;
}

int64_t sys_msgctl(struct task *t, const struct syscall_args *a) {
    int id = (int)a->arg[0], cmd = (int)a->arg[1];
    gva_t at = a->arg[2];
    struct linux_msqid_ds ds;

    if (id < 0 || cmd < 0)
        return -EINVAL;
    switch (cmd) {
    case LINUX_IPC_INFO:
    case LINUX_MSG_INFO:
        return get_limits(t, cmd, at);
    case LINUX_IPC_STAT:
        return get_stat(t, id, IPC_BY_ID, at);
    case LINUX_MSG_STAT:
        return get_stat(t, id, IPC_BY_INDEX, at);
    case LINUX_MSG_STAT_ANY:
        return get_stat(t, id, IPC_BY_INDEX_ANY, at);
    case LINUX_IPC_SET:
        return copy_in(t, &ds, at, sizeof ds) < 0 ? -EFAULT : msg_set(t, id, &ds);
    case LINUX_IPC_RMID:
        return ipc_rmid(t, IPC_MSG, id);
    }
    return -EINVAL;
}
