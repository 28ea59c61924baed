/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/fuse/fuse_fs.c: the file system object and its options. Source: fuse(4), fuse(8).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sentry/fs/fuse/fuse_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/mount.h"

HEAP_TYPE(fuse_fs, struct fuse_fs, 0);

#define FUSE_MAGIC 0x65735546

static struct fuse_fs *fuse_of(struct filesystem *fs) {
    return container_of(fs, struct fuse_fs, base);
}

static int fs_statfs(struct filesystem *fs, struct kstatfs *ret) {
    struct linux_fuse_statfs_out o;
    struct fuse_args a = {
        .opcode = LINUX_FUSE_STATFS, .nodeid = LINUX_FUSE_ROOT_ID, .out_min = sizeof o, .out_max = sizeof o};

    *ret = (struct kstatfs){.type = FUSE_MAGIC, .bsize = 512, .frsize = 512};
    int rc = fuse_call(fuse_of(fs)->conn, &a);
    if (rc < 0)
        return rc == -ENOSYS ? 0 : rc;
    memcpy(&o, a.out, sizeof o);
    heap_free(a.out);
    *ret = (struct kstatfs){.type = FUSE_MAGIC,
                            .bsize = o.bsize,
                            .blocks = o.blocks,
                            .bfree = o.bfree,
                            .bavail = o.bavail,
                            .files = o.files,
                            .ffree = o.ffree,
                            .namelen = o.namelen,
                            .frsize = o.frsize ? o.frsize : o.bsize};
    return 0;
}

static int fs_remount(struct filesystem *fs, const struct mount_options *o) {
    (void)fs, (void)o; /* the flags alone can change */
    return 0;
}

static void fs_give_up(struct filesystem *fs) {
    fuse_abort(fuse_of(fs)->conn, /* unmounted= */ false);
}

static size_t fs_show_options(struct filesystem *fs, char *buf, size_t size) {
    struct fuse_fs *f = fuse_of(fs);
    struct user_ns *ns = fs->kernel->root_user_ns;
    int n =
        snprintf(buf, size, ",user_id=%u,group_id=%u%s%s", from_kuid(ns, f->owner), from_kgid(ns, f->group),
                 f->default_permissions ? ",default_permissions" : "", f->allow_other ? ",allow_other" : "");

    return MIN((size_t)n, size - 1);
}

/* Negative names are asked for every time (FS_NO_NEGATIVE); the others for as long as the server said. */
static int fs_revalidate(struct filesystem *fs, struct dentry *d) {
    (void)fs;
    if (!d->inode)
        return 0;
    struct fuse_inode *i = fuse_inode_of(d->inode);
    mutex_lock(&i->attr_lock);
    bool valid = i->entry_until > monotonic_ns();
    mutex_unlock(&i->attr_lock);
    return valid;
}

static void fs_release(struct filesystem *fs) {
    struct fuse_fs *f = fuse_of(fs);

    if (f->conn)
        fuse_abort(f->conn, /* unmounted= */ true);
    filesystem_done(fs);
    ASSERT(RB_EMPTY(&f->by_node));
    fuse_conn_unref(f->conn);
    heap_free(f);
}

static const struct filesystem_ops fuse_ops = {
    .statfs = fs_statfs,
    .give_up = fs_give_up,
    .remount = fs_remount,
    .show_options = fs_show_options,
    .revalidate = fs_revalidate,
    .release = fs_release,
};

/* ---- options ---- */

enum { HAS_FD = 1, HAS_MODE = 2, HAS_USER = 4, HAS_GROUP = 8, HAS_ALL = 15 };

struct options {
    unsigned has;
    uint32_t fd, mode, user, group, max_read;
    bool default_permissions, allow_other;
};

static int parse_one(struct options *o, const char *key, const char *value) {
    const struct {
        const char *key;
        unsigned has;
        int base;
        uint32_t *to;
    } numbers[] = {{"fd", HAS_FD, 10, &o->fd},
                   {"rootmode", HAS_MODE, 8, &o->mode},
                   {"user_id", HAS_USER, 10, &o->user},
                   {"group_id", HAS_GROUP, 10, &o->group},
                   {"max_read", 0, 10, &o->max_read}};

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (strcmp(key, numbers[i].key) == 0) {
            o->has |= numbers[i].has;
            return value ? mount_option_number(value, numbers[i].base, numbers[i].to) : -EINVAL;
        }
    }
    if (strcmp(key, "subtype") == 0 || strcmp(key, "source") == 0)
        return value ? 0 : -EINVAL;
    if (strcmp(key, "default_permissions") == 0)
        o->default_permissions = true;
    else if (strcmp(key, "allow_other") == 0)
        o->allow_other = true;
    else
        return -ENOENT;
    return value ? -EINVAL : 0;
}

static int parse_options(const char *data, struct options *o) {
    char *copy = data ? heap_strdup(data) : NULL, *at = copy, *item;
    int rc = data && !copy ? -ENOMEM : 0;

    while (rc == 0 && at && (item = strsep(&at, ","))) {
        char *value = strchr(item, '=');
        if (value)
            *value++ = '\0';
        if (*item)
            rc = parse_one(o, item, value);
    }
    heap_free(copy);
    return rc;
}

static int fuse_check_option(struct kernel *k, const struct mount_options *m) {
    struct options o = {0};

    (void)k;
    return parse_options(m->data, &o);
}

/* ---- mounting ---- */

static int connect_device(struct fuse_fs *fs, const struct options *o, const struct mount_options *m) {
    struct file *f = o->fd <= INT32_MAX ? fd_get(m->view_task, (int)o->fd) : NULL;

    if (!f)
        return -EINVAL;
    int rc = fuse_device_connect(f, fs, m->user_ns, &fs->conn);
    file_unref(f);
    return rc;
}

static int fill(struct fuse_fs *fs, const struct options *o, const struct mount_options *m) {
    struct inode *root;

    fs->owner = make_kuid(m->user_ns, o->user);
    fs->group = make_kgid(m->user_ns, o->group);
    if (fs->owner == INVALID_ID || fs->group == INVALID_ID || (o->mode & LINUX_S_IFMT) != LINUX_S_IFDIR)
        return -EINVAL;
    fs->root_mode = o->mode;
    fs->max_read = MIN(MAX(o->max_read ? o->max_read : UINT32_MAX, 4096u), (uint32_t)FUSE_DATA_MAX);
    fs->default_permissions = o->default_permissions;
    fs->allow_other = o->allow_other;
    int rc = connect_device(fs, o, m);
    if (rc == 0)
        rc = fuse_root_new(fs, &root);
    if (rc < 0)
        return rc;
    fs->base.root = dentry_new_root(&fs->base, root);
    if (fs->base.root)
        return fuse_start(fs->conn);
    inode_unref(root);
    return -ENOMEM;
}

static int fuse_mount(struct kernel *k, const struct fs_type *type, const struct mount_options *m,
                      struct filesystem **ret) {
    struct options o = {0};
    int rc = parse_options(m->data, &o);

    if (rc < 0)
        return rc == -ENOENT ? -EINVAL : rc;
    if (o.has != HAS_ALL || !m->view_task)
        return -EINVAL;
    struct fuse_fs *fs = heap_new(fuse_fs);
    if (!fs)
        return -ENOMEM;
    rc = filesystem_init(&fs->base, k, &fuse_ops, type, /* layer= */ 0);
    if (rc < 0) {
        heap_free(fs);
        return rc;
    }
    fs->base.magic = FUSE_MAGIC;
    fs->base.flags = FS_NO_NEGATIVE;
    mutex_init(&fs->table_lock, RANK_HOSTFD_CACHE);
    RB_INIT(&fs->by_node);
    rc = fill(fs, &o, m);
    if (rc < 0) {
        filesystem_unref(&fs->base);
        return rc;
    }
    *ret = &fs->base;
    return 0;
}

static const struct fs_type g_fuse_type = {
    .name = "fuse", .user_mountable = true, .check_option = fuse_check_option, .mount = fuse_mount};

__attribute__((constructor)) static void register_type(void) {
    fs_type_register(&g_fuse_type);
}
