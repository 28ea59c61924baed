/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_pid.c: the directory of a process or thread: links, memory views, names, identifiers,
 * namespaces, its threads. The numbers of stat, status and the like are in proc_status.c, descriptors in
 * proc_fd.c, mounts in proc_mounts.c. Source: proc(5).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/dirent.h"
#include "base/abi/linux/stat.h"
#include "sentry/fs/proc/proc_directory.h"
#include "sentry/fs/proc/proc_machine.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/mm_proc.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/mount.h"

/* ---- exe, cwd, root ---- */

static int link_of_fs(struct kernfs_inode *n, struct path *ret, bool want_root) {
    struct task *t = proc_task(n);
    struct fs_context *fs = t ? task_get_fs(t) : NULL;

    task_unref(t);
    if (!fs)
        return t ? -ENOENT : -ESRCH;
    fs_context_get(fs, want_root ? ret : NULL, want_root ? NULL : ret);
    fs_context_unref(fs);
    return 0;
}

static int check_access(struct kernfs_inode *n, struct task *viewer) {
    struct task *t = proc_task(n);
    int r = !t ? -ESRCH : viewer && t->group != viewer->group ? proc_may_access(t, task_creds(viewer)) : 0;

    task_unref(t);
    return r;
}

static int cwd_link(struct kernfs_inode *n, struct task *t, struct path *ret) {
    int r = check_access(n, t);

    return r < 0 ? r : link_of_fs(n, ret, /* want_root= */ false);
}

static int root_link(struct kernfs_inode *n, struct task *t, struct path *ret) {
    int r = check_access(n, t);

    return r < 0 ? r : link_of_fs(n, ret, /* want_root= */ true);
}

static int exe_link(struct kernfs_inode *n, struct task *t, struct path *ret) {
    int r = check_access(n, t);

    if (r < 0)
        return r;
    struct mm *mm = proc_mm(n);
    if (!mm)
        return -ENOENT;
    mutex_lock(&mm->lock);
    struct file *exe = mm->exe ? file_ref(mm->exe) : NULL;
    mutex_unlock(&mm->lock);
    mm_unref(mm);
    if (!exe)
        return -ENOENT;
    *ret = path_get(&exe->path);
    file_unref(exe);
    return 0;
}

/* ---- memory ---- */

enum { READ_CHUNK = 4096, ARGUMENTS_MAX = 4 << 20 };

/* Appends guest memory [start, end), as much as is there. */
static void append_memory(struct mm *mm, gva_t start, gva_t end, struct text *out) {
    char chunk[READ_CHUNK];

    if (end - start > ARGUMENTS_MAX)
        end = start + ARGUMENTS_MAX;
    while (start < end) {
        size_t want = MIN(end - start, (uint64_t)sizeof chunk);
        ssize_t got = mm_read(mm, chunk, start, want, /* force= */ true);
        if (got <= 0)
            return;
        text_append(out, chunk, (size_t)got);
        start += (uint64_t)got;
    }
}

static int cmdline_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct mm *mm = proc_mm(n);

    (void)t;
    if (!mm)
        return 0;
    append_memory(mm, mm->arg_start, mm->arg_end, out);
    /* setproctitle: a program that has overwritten the last NUL goes on in its environment, up to the first
     * NUL. */
    if (out->len > 0 && !out->failed && out->data[out->len - 1] != '\0' && mm->env_start == mm->arg_end) {
        append_memory(mm, mm->env_start, mm->env_end, out);
        if (!out->failed)
            out->len = strnlen(out->data, out->len);
    }
    mm_unref(mm);
    return 0;
}

static int environ_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct mm *mm = proc_mm(n);

    (void)t;
    if (!mm)
        return 0;
    append_memory(mm, mm->env_start, mm->env_end, out);
    mm_unref(mm);
    return 0;
}

static int auxv_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct mm *mm = proc_mm(n);

    (void)t;
    if (!mm)
        return 0;
    text_append(out, (const char *)mm->auxv, mm->auxv_words * sizeof mm->auxv[0]);
    mm_unref(mm);
    return 0;
}

static int maps_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct mm *mm = proc_mm(n);

    if (!mm)
        return 0;
    mm_proc_maps(mm, t, out);
    mm_unref(mm);
    return 0;
}

static int smaps_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct mm *mm = proc_mm(n);

    if (!mm)
        return 0;
    mm_proc_smaps(mm, t, out);
    mm_unref(mm);
    return 0;
}

static int smaps_rollup_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct mm *mm = proc_mm(n);

    if (!mm)
        return -ESRCH;
    mm_proc_smaps_rollup(mm, t, out);
    mm_unref(mm);
    return 0;
}

static ssize_t mem_read(struct kernfs_inode *n, struct task *t, struct uio *to, uint64_t *offset) {
    struct mm *mm = proc_mm(n);
    ssize_t done = 0;

    (void)t;
    if (!mm)
        return 0;
    while (to->remaining > 0) {
        char chunk[READ_CHUNK];
        ssize_t got =
            mm_read(mm, chunk, *offset, MIN(to->remaining, (uint64_t)sizeof chunk), /* force= */ true);
        ssize_t put = got > 0 ? uio_write(to, chunk, (size_t)got) : got;
        if (put <= 0) {
            done = done > 0 ? done : -EIO;
            break;
        }
        done += put;
        *offset += (uint64_t)put;
    }
    mm_unref(mm);
    return done;
}

static ssize_t mem_write(struct kernfs_inode *n, struct task *t, struct uio *from, uint64_t *offset) {
    struct mm *mm = proc_mm(n);
    ssize_t done = 0;

    (void)t;
    if (!mm)
        return 0;
    while (from->remaining > 0) {
        char chunk[READ_CHUNK];
        ssize_t got = uio_read(from, chunk, MIN(from->remaining, (uint64_t)sizeof chunk));
        ssize_t put = got > 0 ? mm_write(mm, *offset, chunk, (size_t)got, /* force= */ true) : got;
        if (put <= 0) {
            done = done > 0 ? done : -EIO;
            break;
        }
        done += put;
        *offset += (uint64_t)put;
    }
    mm_unref(mm);
    return done;
}

/* ---- comm ---- */

static int comm_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);

    (void)viewer;
    if (!t)
        return -ESRCH;
    char name[LINUX_TASK_COMM_LEN];
    task_get_name(t, name);
    text_printf(out, "%s\n", name);
    task_unref(t);
    return 0;
}

static ssize_t comm_store(struct kernfs_inode *n, struct task *viewer, const char *data, size_t len) {
    struct task *t = proc_task(n);

    if (!t)
        return -ESRCH;
    if (!viewer || viewer->group != t->group) {
        task_unref(t);
        return -EINVAL;
    }
    char name[LINUX_TASK_COMM_LEN] = "";
    size_t size = len > 0 && data[len - 1] == '\n' ? len - 1 : len;
    memcpy(name, data, MIN(size, sizeof name - 1));
    task_set_name(t, name);
    task_unref(t);
    return (ssize_t)len;
}

/* ---- threads ---- */

static int task_dir_lookup(struct kernfs_inode *dir, const char *name, size_t len, struct inode **ret) {
    struct kernel *k = dir->inode.fs->kernel;
    int number = proc_parse_number(name, len);

    if (number <= 0)
        return -ENOENT;
    mutex_lock(&k->taskset_lock);
    struct task *leader = pid_task_locked(dir->object, PID_TASK);
    struct pid *pid = pid_find_locked(proc_ns(dir), number);
    struct task *t = pid ? pid_task_locked(pid, PID_TASK) : NULL;
    pid = leader && t && t->group == leader->group ? pid_ref(pid) : NULL;
    mutex_unlock(&k->taskset_lock);
    if (!pid)
        return -ENOENT;
    int r = kernfs_new(dir->inode.fs, &proc_tid_dir, kernfs_child_ino(dir->inode.ino, name, len), 0, 0, pid,
                       NULL, 0, ret);
    if (r < 0)
        pid_unref(pid);
    return r;
}

static int task_dir_list(struct kernfs_inode *dir, uint64_t from, struct dir_emit *e) {
    struct task *process = proc_task(dir);
    bool stop = false;

    while (process && !stop) {
        int number;
        struct task *t = task_next_thread(process->group, proc_ns(dir), (int)from, &number);
        if (!t)
            break;
        task_unref(t);
        proc_emit_number(e, dir, number, LINUX_DT_DIR, (uint64_t)number + 1, &stop);
        from = (uint64_t)number + 1;
    }
    task_unref(process);
    return 0;
}

static uint64_t task_dir_nlink(struct kernfs_inode *n) {
    struct kernel *k = n->inode.fs->kernel;

    mutex_lock(&k->taskset_lock);
    struct task *leader = pid_task_locked(n->object, PID_TASK);
    uint64_t count = leader ? leader->group->task_count : 0;
    mutex_unlock(&k->taskset_lock);
    return 2 + count;
}

const struct kernfs_ops proc_task_dir = {.mode = LINUX_S_IFDIR | 0555,
                                         .lookup = task_dir_lookup,
                                         .list = task_dir_list,
                                         .nlink = task_dir_nlink,
                                         PROC_PID_NODE};

/* ---- small ones ---- */

static int wchan_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n, (void)t;
    text_printf(out, "0");
    return 0;
}

static int personality_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);

    (void)viewer;
    if (!t)
        return -ESRCH;
    text_printf(out, "%08x\n", t->personality);
    task_unref(t);
    return 0;
}

/* As the reader's cgroup namespace has it. */
static int cgroup_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);
    struct cgroup *c = t ? task_get_cgroup(t) : NULL;
    struct nsproxy *ns = viewer ? task_get_nsproxy(viewer) : NULL;
    char *path = c && ns ? cgroup_path(c, ns->cgroup->root) : NULL;
    int r = path ? 0 : -ESRCH;

    if (path)
        text_printf(out, "0::%s\n", path);
    heap_free(path);
    nsproxy_unref(ns);
    cgroup_unref(c);
    task_unref(t);
    return r;
}

static int loginuid_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n, (void)t;
    text_printf(out, "4294967295");
    return 0;
}

#define FILE_NODE(perm, ...)                                                                                 \
    { .mode = LINUX_S_IFREG | (perm), __VA_ARGS__, PROC_PID_NODE }
static const struct kernfs_ops proc_cmdline = FILE_NODE(0444, .show = cmdline_show);
static const struct kernfs_ops proc_environ =
    FILE_NODE(0400, .show = environ_show, .open_check = proc_pid_open_private);
static const struct kernfs_ops proc_auxv =
    FILE_NODE(0400, .show = auxv_show, .open_check = proc_pid_open_private);
static const struct kernfs_ops proc_maps =
    FILE_NODE(0444, .show = maps_show, .open_check = proc_pid_open_private);
static const struct kernfs_ops proc_smaps =
    FILE_NODE(0444, .show = smaps_show, .open_check = proc_pid_open_private);
static const struct kernfs_ops proc_smaps_rollup =
    FILE_NODE(0444, .show = smaps_rollup_show, .open_check = proc_pid_open_private);
static const struct kernfs_ops proc_mem =
    FILE_NODE(0600, .read = mem_read, .write = mem_write, .open_check = proc_pid_open_private);
static const struct kernfs_ops proc_comm = FILE_NODE(0644, .show = comm_show, .store = comm_store);
static const struct kernfs_ops proc_wchan = FILE_NODE(0444, .show = wchan_show);
static const struct kernfs_ops proc_personality =
    FILE_NODE(0400, .show = personality_show, .open_check = proc_pid_open_private);
static const struct kernfs_ops proc_cgroup = FILE_NODE(0444, .show = cgroup_show);
static const struct kernfs_ops proc_loginuid = FILE_NODE(0644, .show = loginuid_show);
static const struct kernfs_ops proc_sessionid = FILE_NODE(0444, .show = loginuid_show);
static const struct kernfs_ops proc_cwd = {
    .mode = LINUX_S_IFLNK | 0777, .magic_link = cwd_link, PROC_PID_NODE};
static const struct kernfs_ops proc_rootlink = {
    .mode = LINUX_S_IFLNK | 0777, .magic_link = root_link, PROC_PID_NODE};
static const struct kernfs_ops proc_exe = {
    .mode = LINUX_S_IFLNK | 0777, .magic_link = exe_link, PROC_PID_NODE};

#define COMMON_ENTRIES                                                                                       \
    {"arch_status", &proc_arch_status}, {"attr", &proc_attr_dir}, {"clear_refs", &proc_clear_refs},          \
        {"cpuset", &proc_cpuset}, {"ksm_merging_pages", &proc_ksm_merging_pages},                            \
        {"ksm_stat", &proc_ksm_stat}, {"numa_maps", &proc_numa_maps}, {"pagemap", &proc_pagemap},            \
        {"projid_map", &proc_projid_map}, {"stack", &proc_stack}, {"syscall", &proc_syscall},                \
        {"auxv", &proc_auxv}, {"cgroup", &proc_cgroup}, {"cmdline", &proc_cmdline}, {"comm", &proc_comm},    \
        {"coredump_filter", &proc_coredump_filter}, {"cwd", &proc_cwd}, {"environ", &proc_environ},          \
        {"exe", &proc_exe}, {"fd", &proc_fd_dir}, {"fdinfo", &proc_fdinfo_dir}, {"gid_map", &proc_gid_map},  \
        {"io", &proc_io}, {"limits", &proc_limits}, {"loginuid", &proc_loginuid}, {"maps", &proc_maps},      \
        {"mem", &proc_mem}, {"mountinfo", &proc_mountinfo}, {"mounts", &proc_mounts},                        \
        {"net", &proc_net_dir}, {"ns", &proc_ns_dir}, {"oom_adj", &proc_oom_adj},                            \
        {"oom_score", &proc_oom_score}, {"oom_score_adj", &proc_oom_score_adj},                              \
        {"personality", &proc_personality}, {"root", &proc_rootlink}, {"sched", &proc_sched},                \
        {"schedstat", &proc_schedstat}, {"sessionid", &proc_sessionid}, {"setgroups", &proc_setgroups},      \
        {"smaps", &proc_smaps}, {"smaps_rollup", &proc_smaps_rollup}, {"stat", &proc_stat},                  \
        {"statm", &proc_statm}, {"status", &proc_status}, {"uid_map", &proc_uid_map}, {                      \
        "wchan", &proc_wchan                                                                                 \
    }

static const struct kernfs_entry tgid_entries[] = {COMMON_ENTRIES,
                                                   {"mountstats", &proc_mountstats},
                                                   {"autogroup", &proc_autogroup},
                                                   {"timens_offsets", &proc_timens_offsets},
                                                   {"timers", &proc_timers},
                                                   {"task", &proc_task_dir},
                                                   {"timerslack_ns", &proc_timerslack},
                                                   {NULL, NULL}};
static const struct kernfs_entry tid_entries[] = {COMMON_ENTRIES, {NULL, NULL}};

const struct kernfs_ops proc_tgid_dir = {
    .mode = LINUX_S_IFDIR | 0555, .entries = tgid_entries, PROC_PID_NODE};
const struct kernfs_ops proc_tid_dir = {.mode = LINUX_S_IFDIR | 0555, .entries = tid_entries, PROC_PID_NODE};

struct pid *proc_directory_pid(struct file *f) {
    struct inode *i = f->inode;
    bool own = i->fs->magic == PROC_SUPER_MAGIC && inode_is_dir(i);

    return own && kernfs_of(i)->kops == &proc_tgid_dir ? kernfs_of(i)->object : NULL;
}
