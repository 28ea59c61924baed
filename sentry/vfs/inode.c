/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/inode.c: what all inodes and file systems share: life, types by name, device drivers, ownership
 * of new files, permission checks. Source: path_resolution(7) "Permissions", capabilities(7), inode(7),
 * chmod(2).
 */
#include <errno.h>
#include <stdlib.h>
#include <stdatomic.h>
#include <string.h>

#include "base/abi/linux/capability.h"
#include "base/clock.h"
#include "sentry/heap/heap.h"
#include "sentry/vfs/fanotify.h"
#include "sentry/vfs/file_lock.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/vfs_internal.h"
#include "sentry/vfs/mount.h"

/* ---- file systems ---- */

static void filesystem_destroy(struct filesystem *fs);
DEFINE_REF(filesystem, filesystem_destroy);

enum { FS_TYPES_MAX = 64 };
static const struct fs_type *g_fs_types[FS_TYPES_MAX];
static unsigned g_fs_type_count;
static struct device_driver *g_drivers;

void fs_type_register(const struct fs_type *type) {
    ASSERT(g_fs_type_count < FS_TYPES_MAX);
    g_fs_types[g_fs_type_count++] = type;
}

/* "fuse.NAME" is fuse, whose server calls itself NAME. */
const struct fs_type *fs_type_find(const char *name) {
    size_t len = strncmp(name, "fuse.", 5) == 0 ? 4 : strlen(name);

    for (unsigned i = 0; i < g_fs_type_count; i++)
        if (strncmp(g_fs_types[i]->name, name, len) == 0 && !g_fs_types[i]->name[len])
            return g_fs_types[i];
    return NULL;
}

const struct fs_type *fs_type_next(unsigned *position) {
    return *position < g_fs_type_count ? g_fs_types[(*position)++] : NULL;
}

int mount_option_number(const char *text, int base, uint32_t *ret) {
    char *end;

    errno = 0;
    unsigned long n = strtoul(text, &end, base);
    if (errno || *end || end == text || n > UINT32_MAX)
        return -EINVAL;
    *ret = (uint32_t)n;
    return 0;
}

int filesystem_create(struct kernel *k, const char *type_name, const struct mount_options *o,
                      struct filesystem **ret) {
    const struct fs_type *type = fs_type_find(type_name);

    if (!type)
        return -ENODEV;
    return type->mount(k, type, o, ret);
}

static const struct {
    enum lock_rank rename, dir, inode;
} stack_ranks[FS_STACK_MAX + 1] = {
    {RANK_RENAME, RANK_INODE_DIR, RANK_INODE},
    {RANK_STACK1_RENAME, RANK_STACK1_DIR, RANK_STACK1_INODE},
    {RANK_STACK2_RENAME, RANK_STACK2_DIR, RANK_STACK2_INODE},
};

int filesystem_stack_over(struct filesystem *fs, unsigned stack) {
    if (stack >= FS_STACK_MAX)
        return -EINVAL;
    fs->stack = stack + 1;
    mutex_init(&fs->rename_lock, stack_ranks[fs->stack].rename);
    return 0;
}

int filesystem_init(struct filesystem *fs, struct kernel *k, const struct filesystem_ops *ops,
                    const struct fs_type *type, unsigned layer) {
    struct vfs *v = k->vfs;
    uint32_t minor = atomic_fetch_add(&v->last_dev, 1) + 1;

    if (minor > 0xfffff)
        return -EMFILE;
    filesystem_ref_init(fs);
    fs->kernel = k;
    fs->ops = ops;
    fs->type = type;
    fs->layer = layer;
    fs->held = 1;
    fs->dev = (minor & 0xff) | (uint64_t)(minor & ~0xffu) << 12; /* major 0 */
    mutex_init(&fs->rename_lock, RANK_RENAME);
    return 0;
}

/* The last user has gone. Inodes may live on in open files for a moment (their paths keep mounts, so that in
 * fact none do). */
static void filesystem_destroy(struct filesystem *fs) {
    inotify_fs_gone(fs);
    fanotify_fs_gone(fs);
    if (fs->root) {
        dentry_prune_tree(fs->root);
        fs->root = dentry_unref(fs->root);
    }
    filesystem_let_go(fs);
}

void filesystem_hold(struct filesystem *fs) {
    atomic_fetch_add_explicit(&fs->held, 1, memory_order_relaxed);
}

void filesystem_let_go(struct filesystem *fs) {
    uint32_t old = atomic_fetch_sub_explicit(&fs->held, 1, memory_order_acq_rel);

    ASSERT(old > 0);
    if (old == 1)
        fs->ops->release(fs);
}

void filesystem_done(struct filesystem *fs) {
    ASSERT(fs->held == 0);
    ASSERT(!fs->root);
    fs->user_ns = user_ns_unref(fs->user_ns);
    heap_free(fs->subtype);
}

/* ---- inodes ---- */

static void inode_destroy(struct inode *i);
DEFINE_REF(inode, inode_destroy);

void inode_init(struct inode *i, const struct inode_ops *ops, struct filesystem *fs, uint64_t ino,
                uint32_t mode_and_type, kuid_t uid, kgid_t gid) {
    inode_ref_init(i);
    filesystem_hold(fs);
    i->ops = ops;
    i->fs = fs;
    i->ino = ino;
    i->type = mode_and_type & LINUX_S_IFMT;
    mutex_init(&i->dir_lock, fs->layer ? RANK_INODE_LOWER_DIR : stack_ranks[fs->stack].dir);
    mutex_init(&i->lock, fs->layer ? RANK_INODE_LOWER : stack_ranks[fs->stack].inode);
    i->mode = mode_and_type & 07777;
    i->uid = uid;
    i->gid = gid;
    mutex_init(&i->locks_lock, RANK_FILE_LOCKS);
    mutex_init(&i->acl_lock, RANK_LEAF);
    list_init(&i->posix_locks);
    list_init(&i->flocks);
    waitq_init(&i->locks_queue);
    list_init(&i->watches);
    list_init(&i->leases);
}

static void inode_destroy(struct inode *i) {
    ASSERT(list_empty(&i->watches));
    i->ops->release(i);
}

void inode_done(struct inode *i) {
    struct filesystem *fs = i->fs;

    ASSERT(list_empty(&i->posix_locks));
    ASSERT(list_empty(&i->flocks));
    if (i->node)
        i->node->ops->release(i->node);
    i->node = NULL;
    for (int k = 0; k < ACL_KINDS; k++)
        i->acls[k] = posix_acl_unref(i->acls[k]);
    i->fs = NULL;
    filesystem_let_go(fs);
}

int64_t vfs_now(struct kernel *k) {
    return realtime_ns() + k->realtime_offset_ns;
}

void inode_fill_stat(const struct inode *i, struct kstat *ret) {
    *ret = (struct kstat){.ino = i->ino,
                          .nlink = 1,
                          .mode = i->type | i->mode,
                          .uid = i->uid,
                          .gid = i->gid,
                          .blksize = 4096,
                          .dev = i->fs->dev,
                          .rdev = i->rdev,
                          .btime_ns = INT64_MIN};
}

/* ---- permissions ---- */

static bool id_mapped(struct user_ns *ns, kuid_t uid, kgid_t gid) {
    return make_kuid(ns, from_kuid(ns, uid)) == uid && make_kgid(ns, from_kgid(ns, gid)) == gid;
}

bool inode_capable(const struct inode *i, const struct creds *c, int cap) {
    return creds_has_cap_in(c, c->user_ns, cap) && id_mapped(c->user_ns, i->uid, i->gid);
}

bool inode_owner_or_capable(const struct inode *i, const struct creds *c) {
    return c->fsuid == i->uid || inode_capable(i, c, LINUX_CAP_FOWNER);
}

/* Without capabilities. The list is asked only where the mode's group bits, which stand for it, allow
 * anything. */
static bool mode_allows(struct inode *i, const struct creds *c, unsigned want) {
    uint32_t mode = i->mode;

    if (c->fsuid == i->uid)
        return (mode >> 6 & want) == want;
    if (atomic_load_explicit(&i->has_acl, memory_order_relaxed) && mode & 070) {
        struct posix_acl *a = inode_get_acl(i, ACL_ACCESS);
        if (a) {
            int r = posix_acl_permission(a, i, c, want);
            posix_acl_unref(a);
            return r == 0;
        }
    }
    return ((creds_in_group(c, i->gid) ? mode >> 3 : mode) & want) == want;
}

int inode_permission_generic(struct inode *i, const struct creds *c, unsigned mask) {
    unsigned want = mask & (MAY_READ | MAY_WRITE | MAY_EXEC);

    if (mode_allows(i, c, want))
        return 0;
    if (i->type == LINUX_S_IFDIR) {
        if (!(want & MAY_WRITE) && inode_capable(i, c, LINUX_CAP_DAC_READ_SEARCH))
            return 0;
        return inode_capable(i, c, LINUX_CAP_DAC_OVERRIDE) ? 0 : -EACCES;
    }
    if (want == MAY_READ && inode_capable(i, c, LINUX_CAP_DAC_READ_SEARCH))
        return 0;
    if (!(want & MAY_EXEC) || i->mode & 0111)
        return inode_capable(i, c, LINUX_CAP_DAC_OVERRIDE) ? 0 : -EACCES;
    return -EACCES;
}

int inode_permission(struct inode *i, const struct creds *c, unsigned mask) {
    if (mask & MAY_WRITE && i->flags & INODE_IMMUTABLE)
        return -EPERM;
    if (i->ops->permission)
        return i->ops->permission(i, c, mask);
    return inode_permission_generic(i, c, mask);
}

int path_want_write(const struct path *p) {
    if (p->mount->flags & MOUNT_READONLY || p->mount->fs->flags & FS_READONLY)
        return -EROFS;
    return 0;
}

int path_permission(const struct path *p, const struct creds *c, unsigned mask) {
    struct inode *i = p->dentry->inode;
    bool plain = i->type == LINUX_S_IFREG || i->type == LINUX_S_IFDIR || i->type == LINUX_S_IFLNK;

    if (mask & MAY_WRITE && plain && path_want_write(p) < 0)
        return -EROFS;
    if (mask & MAY_EXEC && i->type == LINUX_S_IFREG &&
        (p->mount->flags & MOUNT_NOEXEC || p->mount->fs->flags & FS_NOEXEC))
        return -EACCES;
    return inode_permission(i, c, mask);
}

int inode_dir_may_create(struct inode *dir, const struct creds *c) {
    if (dir->dead_dir)
        return -ENOENT;
    return inode_permission(dir, c, MAY_WRITE | MAY_EXEC);
}

void inode_init_owner(const struct inode *dir, const struct creds *c, uint32_t type, uint32_t *mode,
                      kuid_t *ret_uid, kgid_t *ret_gid) {
    *ret_uid = c->fsuid;
    *ret_gid = c->fsgid;
    if (!(dir->mode & LINUX_S_ISGID))
        return;
    *ret_gid = dir->gid;
    if (type == LINUX_S_IFDIR)
        *mode |= LINUX_S_ISGID;
    else if ((*mode & (LINUX_S_ISGID | LINUX_S_IXGRP)) == (LINUX_S_ISGID | LINUX_S_IXGRP) &&
             !creds_in_group(c, dir->gid) && !inode_capable(dir, c, LINUX_CAP_FSETID))
        *mode &= ~(uint32_t)LINUX_S_ISGID;
}

/* ---- device drivers ---- */

void device_driver_register(struct device_driver *d) {
    d->next = g_drivers;
    g_drivers = d;
}

struct device_driver *device_driver_find(uint32_t type, uint64_t rdev) {
    uint32_t major = (uint32_t)(rdev >> 8 & 0xfff) | (uint32_t)(rdev >> 32 & 0xfffff000);
    uint32_t minor = (uint32_t)(rdev & 0xff) | (uint32_t)(rdev >> 12 & 0xffffff00);

    for (struct device_driver *d = g_drivers; d; d = d->next)
        if (d->type == type && d->major == major && minor >= d->minor_first &&
            minor - d->minor_first < d->minor_count)
            return d;
    return NULL;
}
