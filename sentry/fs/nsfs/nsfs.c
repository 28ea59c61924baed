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
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/net_ns.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

enum { NS_GET_NSTYPE = 0xb703 };

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
    const struct simple_ns *simple = s->cgroup ? s->cgroup : s->time;

    return s->user  ? s->user->inode
           : s->uts ? s->uts->inode
           : s->mnt ? s->mnt->inode
           : s->pid ? s->pid->inode
           : s->net ? s->net->inode
           : s->ipc ? s->ipc->inode
                    : simple->inode;
}

/* ---- the open file ---- */

static int64_t ns_ioctl(struct file *f, struct task *t, uint32_t cmd, uint64_t arg) {
    const struct ns_inode *n = ns_inode_of(f->inode);

    (void)t;
    (void)arg;
    return cmd == NS_GET_NSTYPE ? (int64_t)n->flag : -ENOTTY;
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

int nsfs_path(struct task *target, uint64_t flag, bool for_children, const char *name, struct path *ret) {
    struct kernel *k = target->kernel;
    struct ns_set set;
    char text[64];

    int r = ns_set_of_task(target, flag, &set);
    if (r < 0)
        return r;
    if (for_children && set.pid) {
        struct nsproxy *n = task_get_nsproxy(target);
        pid_ns_unref(set.pid);
        set.pid = n ? pid_ns_ref(n->pid_for_children) : NULL;
        nsproxy_unref(n);
        if (!set.pid)
            return -ESRCH;
    }
    struct ns_inode *n = heap_new(ns_inode);
    if (!n) {
        ns_set_done(&set);
        return -ENOMEM;
    }
    n->flag = flag;
    n->set = set;
    inode_init(&n->base, &g_ns_inode_ops, anon_filesystem(k), number_of(&set), LINUX_S_IFREG | 0444, 0, 0);
    snprintf(text, sizeof text, "%s:[%lu]", name, (unsigned long)number_of(&set));
    return anon_path_of(k, &n->base, text, ret);
}
