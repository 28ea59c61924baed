/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_root.c: the procfs type, its root, the directories of numbers, self and thread-self.
 * Source: proc(5).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/dirent.h"
#include "base/abi/linux/stat.h"
#include "sentry/fs/proc/proc_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/landlock.h"

/* ---- nodes of processes ---- */

struct pid_ns *proc_ns(const struct kernfs_inode *n) {
    return kernfs_data(n);
}

struct task *proc_task(const struct kernfs_inode *n) {
    struct kernel *k = n->inode.fs->kernel;
    struct pid *pid = n->object;

    mutex_lock(&k->taskset_lock);
    struct task *t = pid_task_locked(pid, PID_TASK);
    if (t && !task_tryref(t))
        t = NULL;
    mutex_unlock(&k->taskset_lock);
    return t;
}

struct mm *proc_mm(const struct kernfs_inode *n) {
    struct task *t = proc_task(n);
    struct mm *mm = t ? task_get_mm(t) : NULL;

    task_unref(t);
    return mm;
}

void proc_pid_inherit(struct kernfs_inode *n, const struct kernfs_inode *dir) {
    n->object = pid_ref(dir->object);
}

void proc_pid_drop(struct kernfs_inode *n) {
    pid_unref(n->object);
}

bool proc_pid_valid(struct kernfs_inode *n) {
    struct task *t = proc_task(n);

    task_unref(t);
    return t != NULL;
}

static int dumpable_of(struct task *t) {
    struct mm *mm = task_get_mm(t);
    int dumpable = mm ? mm->dumpable : 1;

    mm_unref(mm);
    return dumpable;
}

void proc_pid_owner(struct kernfs_inode *n, kuid_t *uid, kgid_t *gid) {
    struct task *t = proc_task(n);

    *uid = 0;
    *gid = 0;
    if (!t)
        return;
    if (dumpable_of(t) == 1) {
        struct creds *c = task_get_creds(t);
        *uid = c->euid;
        *gid = c->egid;
        creds_unref(c);
    }
    task_unref(t);
}

enum { CAP_SYS_PTRACE_NR = 19 };

int proc_may_access(struct task *target, const struct creds *c) {
    struct creds *theirs = task_get_creds(target);
    bool same = c->fsuid == theirs->euid && c->fsuid == theirs->suid && c->fsuid == theirs->uid &&
                c->fsgid == theirs->egid && c->fsgid == theirs->sgid && c->fsgid == theirs->gid;
    bool covers = (theirs->permitted & ~c->permitted) == 0;
    bool allowed = (same && covers && dumpable_of(target) == 1) || c == theirs ||
                   creds_has_cap_in(c, theirs->user_ns, CAP_SYS_PTRACE_NR);

    allowed = allowed && landlock_contains(c->landlock, theirs->landlock);
    creds_unref(theirs);
    return allowed ? 0 : -EACCES;
}

int proc_pid_open_private(struct kernfs_inode *n, const struct creds *c, uint32_t flags) {
    struct task *t = proc_task(n);

    (void)flags;
    if (!t)
        return -ESRCH;
    int r = proc_may_access(t, c);
    task_unref(t);
    return r;
}

/* ---- numbers ---- */

int proc_parse_number(const char *name, size_t len) {
    int value = 0;

    if (len == 0 || len > 9 || (len > 1 && name[0] == '0'))
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9')
            return -1;
        value = value * 10 + (name[i] - '0');
    }
    return value;
}

int proc_parse_store(const char *data, size_t len, int64_t min, int64_t max, int64_t *ret) {
    size_t i = 0;
    bool negative = false, digits = false;
    int64_t value = 0;

    while (i < len && strchr(" \t\n", data[i]))
        i++;
    if (i < len && data[i] == '-') {
        negative = true;
        i++;
    }
    for (; i < len && data[i] >= '0' && data[i] <= '9'; i++, digits = true)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, data[i] - '0', &value))
            return -EINVAL;
    while (i < len && strchr(" \t\n", data[i]) && data[i])
        i++;
    if (!digits || (i < len && data[i] != '\0'))
        return -EINVAL;
    value = negative ? -value : value;
    if (value < min || value > max)
        return -EINVAL;
    *ret = value;
    return 0;
}

int proc_emit_number(struct dir_emit *e, const struct kernfs_inode *dir, int number, unsigned type,
                     uint64_t next, bool *stop) {
    char name[12];
    int len = snprintf(name, sizeof name, "%d", number);

    *stop =
        e->emit(e, name, (size_t)len, kernfs_child_ino(dir->inode.ino, name, (size_t)len), type, next) != 0;
    return 0;
}

/* ---- the root ---- */

static int root_lookup(struct kernfs_inode *dir, const char *name, size_t len, struct inode **ret) {
    struct kernel *k = dir->inode.fs->kernel;
    int number = proc_parse_number(name, len);

    if (number <= 0)
        return -ENOENT;
    mutex_lock(&k->taskset_lock);
    struct pid *pid = pid_find_locked(proc_ns(dir), number);
    /* Threads that do not lead are not listed but can be named. */
    pid = pid && pid_task_locked(pid, PID_TASK) ? pid_ref(pid) : NULL;
    mutex_unlock(&k->taskset_lock);
    if (!pid)
        return -ENOENT;
    int r = kernfs_new(dir->inode.fs, &proc_tgid_dir, kernfs_child_ino(dir->inode.ino, name, len), 0, 0, pid,
                       NULL, 0, ret);
    if (r < 0)
        pid_unref(pid);
    return r;
}

static int root_list(struct kernfs_inode *dir, uint64_t from, struct dir_emit *e) {
    bool stop = false;

    while (!stop) {
        int number;
        struct task *t = task_next_process(proc_ns(dir), (int)from, &number);
        if (!t)
            break;
        task_unref(t);
        proc_emit_number(e, dir, number, LINUX_DT_DIR, (uint64_t)number + 1, &stop);
        from = (uint64_t)number + 1;
    }
    return 0;
}

static uint64_t root_nlink(struct kernfs_inode *n) {
    return 2 + n->inode.fs->kernel->task_count;
}

static int print_link(char **ret, const char *fmt, int a, int b) {
    char text[64];

    snprintf(text, sizeof text, fmt, a, b);
    *ret = heap_strdup(text);
    return *ret ? 0 : -ENOMEM;
}

static int self_link(struct kernfs_inode *n, struct task *t, char **ret) {
    int tgid = t ? task_tgid_in(t, proc_ns(n)) : 0;

    return tgid > 0 ? print_link(ret, "%d", tgid, 0) : -ENOENT;
}

static int thread_self_link(struct kernfs_inode *n, struct task *t, char **ret) {
    int tgid = t ? task_tgid_in(t, proc_ns(n)) : 0;

    return tgid > 0 ? print_link(ret, "%d/task/%d", tgid, task_tid_in(t, proc_ns(n))) : -ENOENT;
}

static int self_mounts_link(struct kernfs_inode *n, struct task *t, char **ret) {
    (void)n, (void)t;
    *ret = heap_strdup("self/mounts");
    return *ret ? 0 : -ENOMEM;
}

static int self_net_link(struct kernfs_inode *n, struct task *t, char **ret) {
    (void)n, (void)t;
    *ret = heap_strdup("self/net");
    return *ret ? 0 : -ENOMEM;
}

const struct kernfs_ops proc_self_link = {.mode = LINUX_S_IFLNK | 0777, .link = self_link};
const struct kernfs_ops proc_thread_self_link = {.mode = LINUX_S_IFLNK | 0777, .link = thread_self_link};
const struct kernfs_ops proc_self_mounts_link = {.mode = LINUX_S_IFLNK | 0777, .link = self_mounts_link};
const struct kernfs_ops proc_self_net_link = {.mode = LINUX_S_IFLNK | 0777, .link = self_net_link};

static const struct kernfs_ops proc_root = {
    .mode = LINUX_S_IFDIR | 0555,
    .entries = proc_system_entries,
    .lookup = root_lookup,
    .list = root_list,
    .nlink = root_nlink,
};

static void drop_ns(void *data) {
    pid_ns_unref(data);
}

static int proc_mount(struct kernel *k, const struct fs_type *type, const struct mount_options *o,
                      struct filesystem **ret) {
    struct pid_ns *ns = o->pid_ns ? o->pid_ns : k->root_pid_ns;
    struct kernfs_mount_request request = {.type = type,
                                           .root = &proc_root,
                                           .magic = PROC_SUPER_MAGIC,
                                           .data = pid_ns_ref(ns),
                                           .drop_data = drop_ns,
                                           .create_errno = ENOENT};
    int r = kernfs_mount(k, &request, ret);

    if (r < 0)
        pid_ns_unref(ns);
    return r;
}

/* Known, and without effect: every process shows, as with hidepid=0. */
static int proc_check_option(struct kernel *k, const struct mount_options *o) {
    static const char *const known[] = {"hidepid=", "gid=", "subset=pid"};

    (void)k;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (strncmp(o->data, known[i], strlen(known[i])) == 0)
            return 0;
    return -ENOENT;
}

static const struct fs_type g_proc_type = {
    .name = "proc", .user_mountable = true, .check_option = proc_check_option, .mount = proc_mount};

__attribute__((constructor)) static void register_proc(void) {
    fs_type_register(&g_proc_type);
}
