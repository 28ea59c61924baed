/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_fd.c: /proc/PID/fd, fdinfo and ns. Source: proc(5), namespaces(7).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/dirent.h"
#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/stat.h"
#include "sentry/fs/proc/proc_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/ipc/ipc_ns.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/kernel.h"
#include "sentry/fs/nsfs/nsfs.h"
#include "sentry/kernel/net_ns.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/mount.h"

/* The open file behind a node's number: new reference or NULL. */
static struct file *node_file(struct kernfs_inode *n, int fd, int *ret_cloexec) {
    struct task *t = proc_task(n);
    struct fd_table *files = t ? task_get_files(t) : NULL;
    struct file *f = NULL;

    task_unref(t);
    if (!files)
        return NULL;
    if (fd_table_next(files, fd, &f) != fd) {
        file_unref(f);
        f = NULL;
    }
    if (f && ret_cloexec)
        *ret_cloexec = (files->cloexec[fd / 64] >> (fd % 64)) & 1;
    fd_table_unref(files);
    return f;
}

static int fd_magic_link(struct kernfs_inode *n, struct task *t, struct path *ret) {
    struct file *f = node_file(n, (int)n->number, NULL);

    (void)t;
    if (!f)
        return -ENOENT;
    *ret = path_get(&f->path);
    file_unref(f);
    return 0;
}

static bool fd_valid(struct kernfs_inode *n) {
    struct file *f = node_file(n, (int)n->number, NULL);

    file_unref(f);
    return f != NULL;
}

/* How it is open: proc(5), /proc/PID/fd. */
static uint32_t fd_permissions(struct kernfs_inode *n) {
    struct file *f = node_file(n, (int)n->number, NULL);
    uint32_t mode = f ? (f->mode & FILE_READ ? 0500 : 0) | (f->mode & FILE_WRITE ? 0300 : 0) : 0;

    file_unref(f);
    return mode;
}

static const struct kernfs_ops proc_fd_link = {.mode = LINUX_S_IFLNK | 0700,
                                               .magic_link = fd_magic_link,
                                               .permissions = fd_permissions,
                                               .drop = proc_pid_drop,
                                               .owner = proc_pid_owner,
                                               .valid = fd_valid};

static int fdinfo_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    int cloexec = 0;
    struct file *f = node_file(n, (int)n->number, &cloexec);

    (void)t;
    if (!f)
        return -ENOENT;
    text_printf(out, "pos:\t%llu\nflags:\t0%o\nmnt_id:\t%d\nino:\t%llu\n", (unsigned long long)f->pos,
                f->flags | (cloexec ? LINUX_O_CLOEXEC : 0u), f->path.mount ? f->path.mount->id : 0,
                (unsigned long long)f->inode->ino);
    if (f->ops->show_fdinfo) {
        char buf[1024];
        text_append(out, buf, f->ops->show_fdinfo(f, buf, sizeof buf));
    }
    file_unref(f);
    return 0;
}

static const struct kernfs_ops proc_fdinfo_file = {.mode = LINUX_S_IFREG | 0400,
                                                   .show = fdinfo_show,
                                                   .drop = proc_pid_drop,
                                                   .owner = proc_pid_owner,
                                                   .valid = fd_valid};

static int numbered_lookup(struct kernfs_inode *dir, const struct kernfs_ops *kops, const char *name,
                           size_t len, struct inode **ret) {
    int number = len == 1 && name[0] == '0' ? 0 : proc_parse_number(name, len);
    struct file *f = number >= 0 ? node_file(dir, number, NULL) : NULL;

    if (!f)
        return -ENOENT;
    file_unref(f);
    struct pid *pid = pid_ref(dir->object);
    int r = kernfs_new(dir->inode.fs, kops, kernfs_child_ino(dir->inode.ino, name, len), 0, 0, pid, NULL,
                       (uint64_t)number, ret);
    if (r < 0)
        pid_unref(pid);
    return r;
}

static int fd_dir_lookup(struct kernfs_inode *dir, const char *name, size_t len, struct inode **ret) {
    return numbered_lookup(dir, &proc_fd_link, name, len, ret);
}

static int fdinfo_dir_lookup(struct kernfs_inode *dir, const char *name, size_t len, struct inode **ret) {
    return numbered_lookup(dir, &proc_fdinfo_file, name, len, ret);
}

static int list_numbers(struct kernfs_inode *dir, uint64_t from, struct dir_emit *e, unsigned type) {
    struct task *t = proc_task(dir);
    struct fd_table *files = t ? task_get_files(t) : NULL;
    bool stop = false;

    task_unref(t);
    if (!files)
        return 0;
    for (int fd = (int)from; !stop; fd++) {
        struct file *f = NULL;
        fd = fd_table_next(files, fd, &f);
        file_unref(f);
        if (fd < 0)
            break;
        proc_emit_number(e, dir, fd, type, (uint64_t)fd + 1, &stop);
    }
    fd_table_unref(files);
    return 0;
}

static int fd_dir_list(struct kernfs_inode *dir, uint64_t from, struct dir_emit *e) {
    return list_numbers(dir, from, e, LINUX_DT_LNK);
}

static int fdinfo_dir_list(struct kernfs_inode *dir, uint64_t from, struct dir_emit *e) {
    return list_numbers(dir, from, e, LINUX_DT_REG);
}

const struct kernfs_ops proc_fd_dir = {.mode = LINUX_S_IFDIR | 0500,
                                       .lookup = fd_dir_lookup,
                                       .list = fd_dir_list,
                                       .open_check = proc_pid_open_private,
                                       PROC_PID_NODE};
const struct kernfs_ops proc_fdinfo_dir = {.mode = LINUX_S_IFDIR | 0555,
                                           .lookup = fdinfo_dir_lookup,
                                           .list = fdinfo_dir_list,
                                           .open_check = proc_pid_open_private,
                                           PROC_PID_NODE};

/* ---- namespaces ---- */

enum ns_kind {
    NS_CGROUP,
    NS_IPC,
    NS_MNT,
    NS_NET,
    NS_PID,
    NS_PID_CHILDREN,
    NS_TIME,
    NS_TIME_CHILDREN,
    NS_USER,
    NS_UTS,
    NS_KINDS
};
static const char *const g_ns_names[NS_KINDS] = {"cgroup", "ipc",  "mnt",  "net",  "pid",
                                                 "pid",    "time", "time", "user", "uts"};

static uint64_t ns_inode(struct task *t, enum ns_kind kind) {
    struct nsproxy *ns = task_get_nsproxy(t);
    struct creds *c = task_get_creds(t);
    uint64_t inode = 0;

    switch (kind) {
    case NS_USER:
        inode = c->user_ns->inode;
        break;
    case NS_PID:
        inode = t->pid->numbers[t->pid->level].ns->inode;
        break;
    case NS_CGROUP:
        inode = ns ? ns->cgroup->inode : 0;
        break;
    case NS_IPC:
        inode = ns ? ns->ipc->inode : 0;
        break;
    case NS_MNT:
        inode = ns ? ns->mnt->inode : 0;
        break;
    case NS_NET:
        inode = ns ? ns->net->inode : 0;
        break;
    case NS_PID_CHILDREN:
        inode = ns ? ns->pid_for_children->inode : 0;
        break;
    case NS_TIME:
        inode = ns ? ns->time->inode : 0;
        break;
    case NS_TIME_CHILDREN:
        inode = ns ? ns->time_for_children->inode : 0;
        break;
    case NS_UTS:
        inode = ns ? ns->uts->inode : 0;
        break;
    case NS_KINDS:
        break;
    }
    creds_unref(c);
    nsproxy_unref(ns);
    return inode;
}

static int ns_link(struct kernfs_inode *n, struct task *viewer, char **ret) {
    struct task *t = proc_task(n);
    char text[64];

    (void)viewer;
    if (!t)
        return -ESRCH;
    uint64_t inode = ns_inode(t, (enum ns_kind)n->number);
    task_unref(t);
    if (inode == 0)
        return -ENOENT;
    snprintf(text, sizeof text, "%s:[%llu]", g_ns_names[n->number], (unsigned long long)inode);
    *ret = heap_strdup(text);
    return *ret ? 0 : -ENOMEM;
}

static int ns_magic_link(struct kernfs_inode *n, struct task *viewer, struct path *ret) {
    static const uint64_t flags[NS_KINDS] = {
        [NS_CGROUP] = LINUX_CLONE_NEWCGROUP, [NS_IPC] = LINUX_CLONE_NEWIPC,
        [NS_MNT] = LINUX_CLONE_NEWNS,        [NS_NET] = LINUX_CLONE_NEWNET,
        [NS_PID] = LINUX_CLONE_NEWPID,       [NS_PID_CHILDREN] = LINUX_CLONE_NEWPID,
        [NS_TIME] = LINUX_CLONE_NEWTIME,     [NS_TIME_CHILDREN] = LINUX_CLONE_NEWTIME,
        [NS_USER] = LINUX_CLONE_NEWUSER,     [NS_UTS] = LINUX_CLONE_NEWUTS};
    struct task *t = proc_task(n);

    if (!t)
        return -ESRCH;
    int r = viewer && viewer->group != t->group ? proc_may_access(t, task_creds(viewer)) : 0;
    if (r == 0)
        r = nsfs_path(t, flags[n->number], n->number == NS_PID_CHILDREN || n->number == NS_TIME_CHILDREN,
                      g_ns_names[n->number], ret);
    task_unref(t);
    return r;
}

#define NS_ENTRY(kind)                                                                                       \
    static void inherit_##kind(struct kernfs_inode *n, const struct kernfs_inode *dir) {                     \
        proc_pid_inherit(n, dir);                                                                            \
        n->number = kind;                                                                                    \
    }                                                                                                        \
    static const struct kernfs_ops ops_##kind = {.mode = LINUX_S_IFLNK | 0777,                               \
                                                 .link = ns_link,                                            \
                                                 .magic_link = ns_magic_link,                                \
                                                 .inherit = inherit_##kind,                                  \
                                                 .drop = proc_pid_drop,                                      \
                                                 .valid = proc_pid_valid,                                    \
                                                 .owner = proc_pid_owner}
NS_ENTRY(NS_CGROUP);
NS_ENTRY(NS_IPC);
NS_ENTRY(NS_MNT);
NS_ENTRY(NS_NET);
NS_ENTRY(NS_PID);
NS_ENTRY(NS_PID_CHILDREN);
NS_ENTRY(NS_TIME);
NS_ENTRY(NS_TIME_CHILDREN);
NS_ENTRY(NS_USER);
NS_ENTRY(NS_UTS);

static const struct kernfs_entry ns_entries[] = {{"cgroup", &ops_NS_CGROUP},
                                                 {"ipc", &ops_NS_IPC},
                                                 {"mnt", &ops_NS_MNT},
                                                 {"net", &ops_NS_NET},
                                                 {"pid", &ops_NS_PID},
                                                 {"pid_for_children", &ops_NS_PID_CHILDREN},
                                                 {"time", &ops_NS_TIME},
                                                 {"time_for_children", &ops_NS_TIME_CHILDREN},
                                                 {"user", &ops_NS_USER},
                                                 {"uts", &ops_NS_UTS},
                                                 {NULL, NULL}};
const struct kernfs_ops proc_ns_dir = {.mode = LINUX_S_IFDIR | 0511, .entries = ns_entries, PROC_PID_NODE};
