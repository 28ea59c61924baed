/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/nsfs/nsfs.c: see nsfs.h. An inode holds the namespace; two look-ups of one namespace make two
 * inodes with one number, which is what programs compare. Source: namespaces(7), ioctl_ns(2).
 */
#include "sentry/fs/nsfs/nsfs.h"

#include <errno.h>
#include <stdio.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/ipc/ipc_ns.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/net_ns.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

enum { NS_GET_USERNS = 0xb701, NS_GET_PARENT, NS_GET_NSTYPE, NS_GET_OWNER_UID };

struct ns_inode {
    struct inode base;
    uint64_t flag;
    struct ns_set set; /* one member */
};
HEAP_TYPE(ns_inode, struct ns_inode, 0);
HEAP_TYPE(ns_file, struct file, 0);

static const struct inode_ops g_ns_inode_ops;

static struct ns_inode *ns_inode_of(struct inode *i) {
    return container_of(i, struct ns_inode, base);
}

const struct ns_set *nsfs_set(struct file *f, uint64_t *ret_flag) {
    if (f->inode->ops != &g_ns_inode_ops)
        return NULL;
    *ret_flag = ns_inode_of(f->inode)->flag;
    return &ns_inode_of(f->inode)->set;
}

static uint64_t number_of(const struct ns_set *s) {
    return s->user     ? s->user->inode
           : s->uts    ? s->uts->inode
           : s->mnt    ? s->mnt->inode
           : s->pid    ? s->pid->inode
           : s->net    ? s->net->inode
           : s->ipc    ? s->ipc->inode
           : s->cgroup ? s->cgroup->inode
                       : s->time->inode;
}

/* ---- the open file ---- */

static struct user_ns *owner_of(const struct ns_set *s) {
    return s->user     ? s->user->parent
           : s->uts    ? s->uts->user_ns
           : s->mnt    ? s->mnt->user_ns
           : s->pid    ? s->pid->user_ns
           : s->net    ? s->net->user_ns
           : s->ipc    ? s->ipc->user_ns
           : s->cgroup ? s->cgroup->user_ns
                       : s->time->user_ns;
}

static int ns_path(struct kernel *k, uint64_t flag, const struct ns_set *set, const char *name,
                   struct path *ret);
static int ns_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
                   struct file **ret);

/* A descriptor for a related namespace; takes what is in `set`. */
static int64_t open_related(struct task *t, uint64_t flag, const char *name, const struct ns_set *set) {
    struct path p;
    struct file *f;
    int r = ns_path(t->kernel, flag, set, name, &p);

    if (r < 0)
        return r;
    r = ns_open(p.dentry->inode, &p, LINUX_O_RDONLY, task_creds(t), &f);
    path_put(&p);
    if (r < 0)
        return r;
    r = fd_install(t, f, 0, /* cloexec= */ true);
    if (r < 0)
        file_unref(f);
    return r;
}

/* What is not below the caller's own is not to be seen: ioctl_ns(2). */
static int64_t get_owner(struct task *t, const struct ns_set *s) {
    struct user_ns *owner = owner_of(s);

    if (!owner || !user_ns_within(owner, task_creds(t)->user_ns))
        return -EPERM;
    return open_related(t, LINUX_CLONE_NEWUSER, "user", &(struct ns_set){.user = user_ns_ref(owner)});
}

static int64_t get_parent(struct task *t, const struct ns_set *s) {
    if (s->user)
        return get_owner(t, s);
    if (!s->pid)
        return -EINVAL;
    struct pid_ns *parent = s->pid->parent;
    if (!parent || !pid_ns_within(parent, task_pid_ns(t)))
        return -EPERM;
    return open_related(t, LINUX_CLONE_NEWPID, "pid", &(struct ns_set){.pid = pid_ns_ref(parent)});
}

static int64_t ns_ioctl(struct file *f, struct task *t, uint32_t cmd, uint64_t arg) {
    const struct ns_inode *n = ns_inode_of(f->inode);

    switch (cmd) {
    case NS_GET_NSTYPE:
        return (int64_t)n->flag;
    case NS_GET_USERNS:
        return get_owner(t, &n->set);
    case NS_GET_PARENT:
        return get_parent(t, &n->set);
    case NS_GET_OWNER_UID: {
        if (!n->set.user)
            return -EINVAL;
        uint32_t uid = from_kuid(task_creds(t)->user_ns, n->set.user->owner);
        return copy_out(t, arg, &uid, sizeof uid);
    }
    }
    return -ENOTTY;
}

static void ns_file_release(struct file *f) {
    file_done(f);
    heap_free(f);
}

static const struct file_ops g_ns_file_ops = {.name = "nsfs", .ioctl = ns_ioctl, .release = ns_file_release};

static int ns_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
                   struct file **ret) {
    (void)inode;
    if ((flags & LINUX_O_ACCMODE) != LINUX_O_RDONLY)
        return -EACCES;
    struct file *f = heap_new(ns_file);
    if (!f)
        return -ENOMEM;
    file_init(f, &g_ns_file_ops, path, flags, FILE_READ | FILE_STREAM, c);
    *ret = f;
    return 0;
}

/* ---- the inode ---- */

static int ns_getattr(struct inode *i, struct kstat *ret) {
    (void)i;
    (void)ret; /* the generic part is all */
    return 0;
}

static void ns_release(struct inode *i) {
    struct ns_inode *n = ns_inode_of(i);

    ns_set_done(&n->set);
    inode_done(i);
    heap_free(n);
}

static const struct inode_ops g_ns_inode_ops = {
    .name = "nsfs", .getattr = ns_getattr, .open = ns_open, .release = ns_release};

/* A path to an inode for it; takes what is in `set`, also on failure. */
static int ns_path(struct kernel *k, uint64_t flag, const struct ns_set *set, const char *name,
                   struct path *ret) {
    struct ns_inode *n = heap_new(ns_inode);
    struct ns_set taken = *set;
    char text[64];

    if (!n) {
        ns_set_done(&taken);
        return -ENOMEM;
    }
    n->flag = flag;
    n->set = taken;
    inode_init(&n->base, &g_ns_inode_ops, anon_filesystem(k), number_of(set), LINUX_S_IFREG | 0444, 0, 0);
    snprintf(text, sizeof text, "%s:[%lu]", name, (unsigned long)number_of(set));
    return anon_path_of(k, &n->base, text, ret);
}

int nsfs_path(struct task *target, uint64_t flag, bool for_children, const char *name, struct path *ret) {
    struct ns_set set;

    int r = ns_set_of_task(target, flag, &set);
    if (r < 0)
        return r;
    if (for_children) {
        struct nsproxy *n = task_get_nsproxy(target);
        bool time = set.time;
        ns_set_done(&set);
        if (!n)
            return -ESRCH;
        if (time)
            set.time = time_ns_ref(n->time_for_children);
        else
            set.pid = pid_ns_ref(n->pid_for_children);
        nsproxy_unref(n);
    }
    return ns_path(target->kernel, flag, &set, name, ret);
}
