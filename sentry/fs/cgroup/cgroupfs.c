/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/cgroup/cgroupfs.c: directories of the cgroup2 file system, and mounting it. The files:
 * cgroupfs_core.c, cgroupfs_controllers.c.
 */
#include "sentry/fs/cgroup/cgroupfs.h"

#include <errno.h>
#include <string.h>

#include "base/abi/linux/mount.h"
#include "base/abi/linux/stat.h"
#include "sentry/fs/cgroup/cgroupfs_internal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/file.h"

static const struct kernfs_ops cgroupfs_dir;

static struct cgroup *dir_group(const struct kernfs_inode *n) {
    return n->object ? n->object : kernfs_data(n); /* the mount's root has none of its own */
}

bool cgroupfs_valid(struct kernfs_inode *n) {
    return !group_of(n)->dead;
}

void cgroupfs_drop(struct kernfs_inode *n) {
    cgroup_unref(n->object);
}

void cgroupfs_file_owner(struct kernfs_inode *n, kuid_t *uid, kgid_t *gid) {
    *uid = group_of(n)->files_uid;
    *gid = group_of(n)->files_gid;
}

static int set_owner(struct cgroup *c, const struct setattr *s, kuid_t *uid, kgid_t *gid) {
    const uint32_t known = SETATTR_UID | SETATTR_GID | SETATTR_MODE | SETATTR_SIZE | SETATTR_MTIME |
                           SETATTR_MTIME_NOW | SETATTR_CTIME | SETATTR_KILL_PRIV;

    if (s->mask & ~known)
        return -EPERM;
    mutex_lock(&c->kernel->taskset_lock);
    if (s->mask & SETATTR_UID)
        *uid = s->uid;
    if (s->mask & SETATTR_GID)
        *gid = s->gid;
    mutex_unlock(&c->kernel->taskset_lock);
    return 0;
}

int cgroupfs_file_setattr(struct kernfs_inode *n, const struct setattr *s) {
    struct cgroup *c = group_of(n);

    return set_owner(c, s, &c->files_uid, &c->files_gid);
}

/* ---- directories ---- */

static int new_node(struct kernfs_inode *dir, const struct kernfs_ops *ops, uint64_t ino, struct cgroup *c,
                    struct inode **ret) {
    int r = kernfs_new(dir->inode.fs, ops, ino, c->uid, c->gid, cgroup_ref(c), NULL, 0, ret);

    if (r < 0)
        cgroup_unref(c);
    return r;
}

static const struct kernfs_ops *find_file(const struct cgroup_file *files, const struct cgroup *c,
                                          const char *name, size_t len) {
    unsigned have = cgroup_controllers(c);

    for (; files->name; files++)
        if ((!files->controller || files->controller & have) && strlen(files->name) == len &&
            memcmp(files->name, name, len) == 0)
            return files->ops;
    return NULL;
}

static int dir_lookup(struct kernfs_inode *dir, const char *name, size_t len, struct inode **ret) {
    struct cgroup *c = dir_group(dir);
    const struct kernfs_ops *ops = find_file(cgroupfs_core_files, c, name, len);

    if (!ops)
        ops = find_file(cgroupfs_controller_files, c, name, len);
    if (ops)
        return new_node(dir, ops, kernfs_child_ino(c->inode, name, len), c, ret);
    struct cgroup *child = cgroup_child(c, name, len);
    if (!child)
        return -ENOENT;
    int r = new_node(dir, &cgroupfs_dir, child->inode, child, ret);
    cgroup_unref(child);
    return r;
}

/* Positions: the core files, those of controllers, then children. */
static bool list_files(const struct cgroup_file *files, struct cgroup *c, uint64_t from, uint64_t *at,
                       struct dir_emit *e) {
    unsigned have = cgroup_controllers(c);

    for (; files->name; files++, ++*at) {
        size_t len = strlen(files->name);
        if (*at < from || (files->controller && !(files->controller & have)))
            continue;
        if (e->emit(e, files->name, len, kernfs_child_ino(c->inode, files->name, len), LINUX_S_IFREG >> 12,
                    *at + 1))
            return false;
    }
    return true;
}

static int dir_list(struct kernfs_inode *dir, uint64_t from, struct dir_emit *e) {
    struct cgroup *c = dir_group(dir), *child;
    uint64_t at = 0;

    if (!list_files(cgroupfs_core_files, c, from, &at, e) ||
        !list_files(cgroupfs_controller_files, c, from, &at, e))
        return 0;
    for (uint64_t n = from > at ? from - at + 1 : 1; (child = cgroup_child_at(c, n)); n++) {
        int stop = e->emit(e, child->name, strlen(child->name), child->inode, LINUX_S_IFDIR >> 12, at + n);
        cgroup_unref(child);
        if (stop)
            break;
    }
    return 0;
}

static int dir_mkdir(struct kernfs_inode *dir, const char *name, size_t len, const struct creds *creds,
                     struct inode **ret) {
    struct cgroup *made;

    if (memchr(name, '\n', len))
        return -EINVAL;
    int r = cgroup_make(dir_group(dir), name, len, creds, &made);
    if (r < 0)
        return r;
    r = new_node(dir, &cgroupfs_dir, made->inode, made, ret);
    if (r < 0)
        (void)!cgroup_rmdir(made);
    cgroup_unref(made);
    return r;
}

static int dir_rmdir(struct kernfs_inode *dir, struct kernfs_inode *target) {
    (void)dir;
    return inode_is_dir(&target->inode) ? cgroup_rmdir(dir_group(target)) : -ENOTDIR;
}

static bool dir_valid(struct kernfs_inode *n) {
    return !dir_group(n)->dead;
}

static void dir_owner(struct kernfs_inode *n, kuid_t *uid, kgid_t *gid) {
    *uid = dir_group(n)->uid;
    *gid = dir_group(n)->gid;
}

static uint32_t dir_permissions(struct kernfs_inode *n) {
    return dir_group(n)->mode;
}

static int dir_setattr(struct kernfs_inode *n, const struct setattr *s) {
    struct cgroup *c = dir_group(n);

    if (s->mask & SETATTR_MODE)
        c->mode = s->mode & 07777;
    return set_owner(c, s, &c->uid, &c->gid);
}

static const struct kernfs_ops cgroupfs_dir = {
    .mode = LINUX_S_IFDIR | 0755,
    .lookup = dir_lookup,
    .list = dir_list,
    .mkdir = dir_mkdir,
    .rmdir = dir_rmdir,
    .valid = dir_valid,
    .owner = dir_owner,
    .permissions = dir_permissions,
    .setattr = dir_setattr,
    .drop = cgroupfs_drop,
};

struct cgroup *cgroupfs_group_of(struct file *f) {
    if (f->inode->fs->magic != LINUX_CGROUP2_SUPER_MAGIC || !inode_is_dir(f->inode))
        return NULL;
    return dir_group(kernfs_of(f->inode));
}

/* ---- mounting ---- */

static void drop_root(void *data) {
    cgroup_unref(data);
}

static size_t show_options(struct filesystem *fs, char *buf, size_t size) {
    static const char text[] = ",nsdelegate,memory_recursiveprot";
    size_t len = MIN(size, sizeof text - 1);

    (void)fs;
    memcpy(buf, text, len);
    return len;
}

static int check_option(struct kernel *k, const struct mount_options *o) {
    static const char *const known[] = {"nsdelegate",
                                        "favordynmods",
                                        "memory_localevents",
                                        "memory_recursiveprot",
                                        "memory_hugetlb_accounting",
                                        "pids_localevents"};

    (void)k;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (strcmp(o->data, known[i]) == 0)
            return 0;
    return -ENOENT;
}

/* boot gives the container's group in `internal`; a guest gets what its namespace shows. */
static int cgroupfs_mount(struct kernel *k, const struct fs_type *type, const struct mount_options *o,
                          struct filesystem **ret) {
    struct cgroup *root = o->internal    ? cgroup_ref(o->internal)
                          : o->view_task ? cgroup_ref(o->view_task->nsproxy->cgroup->root)
                                         : cgroup_ref(k->root_cgroup);
    struct kernfs_mount_request request = {.type = type,
                                           .root = &cgroupfs_dir,
                                           .magic = LINUX_CGROUP2_SUPER_MAGIC,
                                           .data = root,
                                           .drop_data = drop_root,
                                           .show_options = show_options,
                                           .create_errno = EACCES};
    int r = kernfs_mount(k, &request, ret);

    if (r < 0)
        cgroup_unref(root);
    return r;
}

static struct fs_type g_cgroup2_type = {
    .name = "cgroup2", .user_mountable = true, .check_option = check_option, .mount = cgroupfs_mount};

__attribute__((constructor)) static void cgroupfs_register(void) {
    fs_type_register(&g_cgroup2_type);
}
