/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/mount_tree.c: mount trees that are attached nowhere, as open_tree(2) and fsmount(2) give them.
 *
 * Such a tree lies in a mount namespace of its own, in which no task is; the open file keeps that. Moving the
 * tree away (vfs_mount_move) leaves the namespace empty. Closing the file before that takes the tree apart.
 */
#include <errno.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs_internal.h"

struct tree_file {
    struct file base;
    struct mnt_ns *ns; /* reference: the tree's */
};
HEAP_TYPE(tree_file, struct tree_file, 0);

static void tree_file_release(struct file *f) {
    struct tree_file *t = container_of(f, struct tree_file, base);
    struct mnt_ns *ns = t->ns;

    file_done(f);
    heap_free(t);
    mnt_ns_unref(ns);
}

static const struct file_ops tree_file_ops = {
    .name = "path",
    .release = tree_file_release,
};

/* Takes the reference of `tree`, on failure too. */
static int tree_file_new(struct task *t, struct mount *tree, struct file **ret) {
    struct vfs *v = t->kernel->vfs;
    struct tree_file *f = heap_new(tree_file);
    struct mnt_ns *ns = f ? mnt_ns_alloc(t->kernel, t->nsproxy->mnt->user_ns) : NULL;
    struct list gone = LIST_INIT(gone);

    mutex_lock(&v->mounts_lock);
    if (ns) {
        ns->anonymous = true;
        ns->root = tree;
        mount_set_ns_locked(tree, ns);
    } else {
        mount_detach_tree_locked(v, tree, &gone);
    }
    mutex_unlock(&v->mounts_lock);
    mounts_put(&gone);
    if (!ns) {
        heap_free(f);
        return -ENOMEM;
    }
    struct path p = {tree, tree->root};
    file_init(&f->base, &tree_file_ops, &p, LINUX_O_PATH, FILE_PATH, task_creds(t));
    f->ns = ns;
    *ret = &f->base;
    return 0;
}

int vfs_tree_clone(struct task *t, const struct path *from, bool recursive, struct file **ret) {
    struct mount *tree;
    int r = mount_bind_tree(t->nsproxy->mnt, from, recursive, &tree);

    return r < 0 ? r : tree_file_new(t, tree, ret);
}

int vfs_tree_of_fs(struct task *t, struct filesystem *fs, uint32_t flags, const char *source,
                   struct file **ret) {
    struct mount *tree = mount_new(t->kernel->vfs, fs, fs->root, flags, source);

    return tree ? tree_file_new(t, tree, ret) : -ENOMEM;
}
