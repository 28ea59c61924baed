/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/fs_context.c: root, working directory and umask of tasks; the view that a path walk starts from.
 * Source: chdir(2), chroot(2), umask(2), clone(2).
 */
#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/vfs.h"

HEAP_TYPE(fs_context, struct fs_context, 0);

static void fs_context_destroy(struct fs_context *fs) {
    path_put(&fs->root);
    path_put(&fs->cwd);
    heap_free(fs);
}
DEFINE_REF(fs_context, fs_context_destroy);

struct fs_context *fs_context_new(const struct path *root, const struct path *cwd, uint32_t umask) {
    struct fs_context *fs = heap_new(fs_context);

    if (!fs)
        return NULL;
    fs_context_ref_init(fs);
    mutex_init(&fs->lock, RANK_FS_CONTEXT);
    fs->root = path_get(root);
    fs->cwd = path_get(cwd);
    fs->umask = umask;
    return fs;
}

struct fs_context *fs_context_copy(struct fs_context *from) {
    struct path root, cwd;

    fs_context_get(from, &root, &cwd);
    struct fs_context *fs = fs_context_new(&root, &cwd, fs_context_umask(from));
    path_put(&root);
    path_put(&cwd);
    return fs;
}

void fs_context_get(struct fs_context *fs, struct path *ret_root, struct path *ret_cwd) {
    mutex_lock(&fs->lock);
    if (ret_root)
        *ret_root = path_get(&fs->root);
    if (ret_cwd)
        *ret_cwd = path_get(&fs->cwd);
    mutex_unlock(&fs->lock);
}

static void replace(struct fs_context *fs, struct path *which, const struct path *p) {
    struct path new = path_get(p);

    mutex_lock(&fs->lock);
    struct path old = *which;
    *which = new;
    mutex_unlock(&fs->lock);
    path_put(&old);
}

void fs_context_set_root(struct fs_context *fs, const struct path *root) {
    replace(fs, &fs->root, root);
}

void fs_context_set_cwd(struct fs_context *fs, const struct path *cwd) {
    replace(fs, &fs->cwd, cwd);
}

void fs_context_move(struct fs_context *fs, const struct path *from, const struct path *to) {
    mutex_lock(&fs->lock);
    bool root = path_equal(&fs->root, from), cwd = path_equal(&fs->cwd, from);
    mutex_unlock(&fs->lock);
    if (root)
        fs_context_set_root(fs, to);
    if (cwd)
        fs_context_set_cwd(fs, to);
}

uint32_t fs_context_umask(struct fs_context *fs) {
    mutex_lock(&fs->lock);
    uint32_t mask = fs->umask;
    mutex_unlock(&fs->lock);
    return mask;
}

uint32_t fs_context_set_umask(struct fs_context *fs, uint32_t mask) {
    mutex_lock(&fs->lock);
    uint32_t old = fs->umask;
    fs->umask = mask & 0777;
    mutex_unlock(&fs->lock);
    return old;
}

void vfs_view_of(struct task *t, struct vfs_view *ret) {
    *ret = (struct vfs_view){.creds = task_creds(t), .task = t, .umask = fs_context_umask(t->fs)};
    fs_context_get(t->fs, &ret->root, &ret->cwd);
}

void vfs_view_done(struct vfs_view *v) {
    path_put(&v->root);
    path_put(&v->cwd);
}
