/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_ipc.c: /proc/sysvipc, and the limits of IPC objects below /proc/sys: those of the
 * reader's IPC namespace. Source: proc(5), ipc_namespaces(7), mq_overview(7).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/stat.h"
#include "sentry/fs/proc/proc_internal.h"
#include "sentry/kernel/ipc/ipc_ns.h"
#include "sentry/kernel/ipc/msg.h"
#include "sentry/kernel/ipc/sem.h"
#include "sentry/kernel/ipc/shm.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"

/* ---- /proc/sysvipc ---- */

struct listing {
    struct ipc_ns *ns;
    struct task *viewer;
    struct text *out;
};

static void add_perm(struct text *out, int id, const struct linux_ipc_perm *p) {
    text_printf(out, "%10d %10d  %4o ", p->key, id, p->mode);
}

static void add_shm(struct ipc_object *o, void *arg) {
    const struct listing *l = arg;
    struct linux_shmid_ds d;
    uint64_t rss = shm_resident_bytes(o);

    ipc_describe(o, l->ns, l->viewer, &d);
    add_perm(l->out, o->id, &d.perm);
    text_printf(l->out, "%21lu %5d %5d  %5lu %5u %5u %5u %5u %10llu %10llu %10llu %21lu %21u\n", d.segsz,
                d.cpid, d.lpid, d.nattch, d.perm.uid, d.perm.gid, d.perm.cuid, d.perm.cgid,
                (unsigned long long)d.atime, (unsigned long long)d.dtime, (unsigned long long)d.ctime, rss,
                0u);
}

static void add_sem(struct ipc_object *o, void *arg) {
    const struct listing *l = arg;
    struct linux_semid_ds d;

    ipc_describe(o, l->ns, l->viewer, &d);
    add_perm(l->out, o->id, &d.perm);
    text_printf(l->out, "%10lu %5u %5u %5u %5u %10llu %10llu\n", d.nsems, d.perm.uid, d.perm.gid, d.perm.cuid,
                d.perm.cgid, (unsigned long long)d.otime, (unsigned long long)d.ctime);
}

static void add_msg(struct ipc_object *o, void *arg) {
    const struct listing *l = arg;
    struct linux_msqid_ds d;

    ipc_describe(o, l->ns, l->viewer, &d);
    add_perm(l->out, o->id, &d.perm);
    text_printf(l->out, " %10lu %10lu %5d %5d %5u %5u %5u %5u %10llu %10llu %10llu\n", d.cbytes, d.qnum,
                d.lspid, d.lrpid, d.perm.uid, d.perm.gid, d.perm.cuid, d.perm.cgid,
                (unsigned long long)d.stime, (unsigned long long)d.rtime, (unsigned long long)d.ctime);
}

static int list_objects(struct task *t, struct text *out, enum ipc_kind kind,
                        void (*add)(struct ipc_object *, void *)) {
    struct nsproxy *ns = t ? task_get_nsproxy(t) : NULL;

    if (!ns)
        return -ESRCH;
    struct listing l = {.ns = ns->ipc, .viewer = t, .out = out};
    ipc_for_each(ns->ipc, kind, add, &l);
    nsproxy_unref(ns);
    return 0;
}

static int shm_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n;
    text_printf(out, "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid "
                     " cgid      atime      dtime      ctime"
                     "                   rss                  swap\n");
    return list_objects(t, out, IPC_SHM, add_shm);
}

static int sem_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n;
    text_printf(out,
                "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
    return list_objects(t, out, IPC_SEM, add_sem);
}

static int msg_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n;
    text_printf(out, "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid "
                     "     stime      rtime      ctime\n");
    return list_objects(t, out, IPC_MSG, add_msg);
}

static const struct kernfs_ops shm_file = {.mode = LINUX_S_IFREG | 0444, .show = shm_show};
static const struct kernfs_ops sem_file = {.mode = LINUX_S_IFREG | 0444, .show = sem_show};
static const struct kernfs_ops msg_file = {.mode = LINUX_S_IFREG | 0444, .show = msg_show};
static const struct kernfs_entry sysvipc_entries[] = {
    {"msg", &msg_file}, {"sem", &sem_file}, {"shm", &shm_file}, {NULL, NULL}};
const struct kernfs_ops proc_sysvipc_dir = {.mode = LINUX_S_IFDIR | 0555, .entries = sysvipc_entries};

/* ---- limits ---- */

enum { MAX_FIELDS = 4 };

/* A file of one to four numbers, members of struct ipc_limits. */
struct limit_file {
    size_t field[MAX_FIELDS];
    unsigned count;
    uint64_t min, max;
};

static uint64_t *field_of(struct ipc_ns *ns, const struct limit_file *f, unsigned i) {
    return (uint64_t *)(void *)((char *)&ns->limits + f->field[i]);
}

static int show_limits(struct task *t, const struct limit_file *f, struct text *out) {
    struct nsproxy *ns = t ? task_get_nsproxy(t) : NULL;

    if (!ns)
        return -ESRCH;
    mutex_lock(&ns->ipc->lock);
    for (unsigned i = 0; i < f->count; i++)
        text_printf(out, "%s%lu", i > 0 ? "\t" : "", *field_of(ns->ipc, f, i));
    mutex_unlock(&ns->ipc->lock);
    text_printf(out, "\n");
    nsproxy_unref(ns);
    return 0;
}

/* Decimal numbers with blanks between them; fewer than there are fields leave the rest. How many, or -EINVAL.
 */
static int parse_numbers(const char *data, size_t len, const struct limit_file *f, uint64_t *ret) {
    unsigned n = 0;

    for (size_t i = 0; i < len;) {
        uint64_t value = 0;
        if (strchr(" \t\n", data[i])) {
            i++;
            continue;
        }
        size_t start = i;
        for (; i < len && data[i] >= '0' && data[i] <= '9'; i++)
            if (__builtin_mul_overflow(value, 10, &value) ||
                __builtin_add_overflow(value, (uint64_t)(data[i] - '0'), &value))
                return -EINVAL;
        if (i == start || n == f->count || value < f->min || value > f->max)
            return -EINVAL;
        ret[n++] = value;
    }
    return (int)n;
}

static ssize_t store_limits(struct task *t, const struct limit_file *f, const char *data, size_t len) {
    uint64_t values[MAX_FIELDS];
    int n = parse_numbers(data, len, f, values);
    struct nsproxy *ns = t ? task_get_nsproxy(t) : NULL;

    if (n < 0 || !ns) {
        nsproxy_unref(ns);
        return n < 0 ? n : -ESRCH;
    }
    bool allowed = creds_has_cap_in(task_creds(t), ns->ipc->user_ns, LINUX_CAP_SYS_RESOURCE);
    mutex_lock(&ns->ipc->lock);
    for (int i = 0; allowed && i < n; i++)
        *field_of(ns->ipc, f, (unsigned)i) = values[i];
    mutex_unlock(&ns->ipc->lock);
    nsproxy_unref(ns);
    return allowed ? (ssize_t)len : -EPERM;
}

#define FIELD(name) offsetof(struct ipc_limits, name)
#define LIMIT_FILE(name, low, high, ...)                                                                     \
    static const struct limit_file name##_limit = {.field = {__VA_ARGS__},                                   \
                                                   .count =                                                  \
                                                       sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t),     \
                                                   .min = low,                                               \
                                                   .max = high};                                             \
    static int name##_limit_show(struct kernfs_inode *n, struct task *t, struct text *out) {                 \
        (void)n;                                                                                             \
        return show_limits(t, &name##_limit, out);                                                           \
    }                                                                                                        \
    static ssize_t name##_limit_store(struct kernfs_inode *n, struct task *t, const char *data,              \
                                      size_t len) {                                                          \
        (void)n;                                                                                             \
        return store_limits(t, &name##_limit, data, len);                                                    \
    }                                                                                                        \
    const struct kernfs_ops proc_sys_##name = {                                                              \
        .mode = LINUX_S_IFREG | 0644, .show = name##_limit_show, .store = name##_limit_store}

LIMIT_FILE(shmmax, 0, UINT64_MAX, FIELD(shmmax));
LIMIT_FILE(shmall, 0, UINT64_MAX, FIELD(shmall));
LIMIT_FILE(shmmni, 0, IPC_MAX_OBJECTS, FIELD(shmmni));
LIMIT_FILE(msgmax, 0, INT32_MAX, FIELD(msgmax));
LIMIT_FILE(msgmnb, 0, INT32_MAX, FIELD(msgmnb));
LIMIT_FILE(msgmni, 0, IPC_MAX_OBJECTS, FIELD(msgmni));
LIMIT_FILE(sem, 0, INT32_MAX, FIELD(semmsl), FIELD(semmns), FIELD(semopm), FIELD(semmni));
LIMIT_FILE(mq_queues_max, 0, INT32_MAX, FIELD(mq_queues));
LIMIT_FILE(mq_msg_max, 1, 65536, FIELD(mq_msg));
LIMIT_FILE(mq_msgsize_max, 128, 16 * 1024 * 1024, FIELD(mq_msgsize));
LIMIT_FILE(mq_msg_default, 1, 65536, FIELD(mq_msg_default));
LIMIT_FILE(mq_msgsize_default, 128, 16 * 1024 * 1024, FIELD(mq_msgsize_default));
