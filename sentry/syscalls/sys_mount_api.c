/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_mount_api.c: mounting by descriptors: open_tree, open_tree_attr, move_mount, fsopen,
 * fsconfig, fsmount, fspick, mount_setattr. Source: their man pages, section 2. Mounts that map ids (IDMAP)
 * are refused as by a file system that does not support them. Asking about mounts: sys_mount_query.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/capability.h"
#include "base/abi/linux/mount.h"
#include "base/cleanup.h"
#include "sentry/fs/nsfs/nsfs.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/syscalls/sys_util.h"
#include "sentry/vfs/fs_config.h"
#include "sentry/vfs/landlock.h"

enum {
    ATTRS = LINUX_MOUNT_ATTR_RDONLY | LINUX_MOUNT_ATTR_NOSUID | LINUX_MOUNT_ATTR_NODEV |
            LINUX_MOUNT_ATTR_NOEXEC | LINUX_MOUNT_ATTR__ATIME | LINUX_MOUNT_ATTR_NODIRATIME |
            LINUX_MOUNT_ATTR_NOSYMFOLLOW,
    TREE_LOOKUP = LINUX_AT_EMPTY_PATH | LINUX_AT_NO_AUTOMOUNT | LINUX_AT_SYMLINK_NOFOLLOW,
    ATTR_SIZE_FIRST = 32,
    KEY_MAX = 256,
    BLOB_MAX = 1 << 20
};

static bool may_mount(struct task *t) {
    return task_capable_in(t, t->nsproxy->mnt->user_ns, LINUX_CAP_SYS_ADMIN);
}

static int64_t install(struct task *t, struct file *f, bool cloexec) {
    int fd = fd_install(t, f, 0, cloexec);

    if (fd < 0)
        file_unref(f);
    return fd;
}

/* Flags without those of access times. */
static uint32_t plain_flags(uint64_t attr) {
    static const struct {
        uint32_t attr, mount;
    } map[] = {
        {LINUX_MOUNT_ATTR_RDONLY, MOUNT_READONLY},       {LINUX_MOUNT_ATTR_NOSUID, MOUNT_NOSUID},
        {LINUX_MOUNT_ATTR_NODEV, MOUNT_NODEV},           {LINUX_MOUNT_ATTR_NOEXEC, MOUNT_NOEXEC},
        {LINUX_MOUNT_ATTR_NODIRATIME, MOUNT_NODIRATIME}, {LINUX_MOUNT_ATTR_NOSYMFOLLOW, MOUNT_NOSYMFOLLOW},
    };
    uint32_t flags = 0;

    for (size_t i = 0; i < ARRAY_SIZE(map); i++)
        if (attr & map[i].attr)
            flags |= map[i].mount;
    return flags;
}

static int atime_flags(uint64_t attr, uint32_t *ret) {
    switch (attr & LINUX_MOUNT_ATTR__ATIME) {
    case LINUX_MOUNT_ATTR_RELATIME:
        *ret = MOUNT_RELATIME;
        return 0;
    case LINUX_MOUNT_ATTR_NOATIME:
        *ret = MOUNT_NOATIME;
        return 0;
    case LINUX_MOUNT_ATTR_STRICTATIME:
        *ret = 0;
        return 0;
    default:
        return -EINVAL;
    }
}

/* ---- mount_setattr ---- */

static int propagation_of(uint64_t ms, struct mount_change *c) {
    static const struct {
        uint32_t ms;
        enum propagation p;
    } map[] = {{LINUX_MS_SHARED, PROPAGATE_SHARED},
               {LINUX_MS_PRIVATE, PROPAGATE_PRIVATE},
               {LINUX_MS_SLAVE, PROPAGATE_SLAVE},
               {LINUX_MS_UNBINDABLE, PROPAGATE_UNBINDABLE}};

    if (ms == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
        if (ms == map[i].ms) {
            c->propagate = true;
            c->propagation = map[i].p;
            return 0;
        }
    }
    return -EINVAL;
}

/* Maps of ids are not built: what is asked for must be right, and then finds no file system that has them. */
static int refuse_idmap(struct task *t, const struct linux_mount_attr *a) {
    uint64_t flag;

    if (a->userns_fd > INT32_MAX)
        return -EINVAL;
    struct file *f = fd_get(t, (int)a->userns_fd);
    if (!f)
        return -EBADF;
    const struct ns_set *set = nsfs_set(f, &flag);
    int r = set && set->user == t->kernel->root_user_ns ? -EPERM : -EINVAL;
    file_unref(f);
    return r;
}

static int change_of(struct task *t, const struct linux_mount_attr *a, struct mount_change *c) {
    uint64_t valid = ATTRS | LINUX_MOUNT_ATTR_IDMAP;
    uint32_t atime = 0;
    int r = propagation_of(a->propagation, c);

    if (r < 0 || (a->attr_set | a->attr_clr) & ~valid)
        return -EINVAL;
    c->set = plain_flags(a->attr_set);
    c->clear = plain_flags(a->attr_clr);
    if (a->attr_clr & LINUX_MOUNT_ATTR__ATIME) {
        if ((a->attr_clr & LINUX_MOUNT_ATTR__ATIME) != LINUX_MOUNT_ATTR__ATIME ||
            atime_flags(a->attr_set, &atime) < 0)
            return -EINVAL;
        c->clear |= MOUNT_RELATIME | MOUNT_NOATIME;
        c->set |= atime;
    } else if (a->attr_set & LINUX_MOUNT_ATTR__ATIME) {
        return -EINVAL;
    }
    if (a->attr_clr & LINUX_MOUNT_ATTR_IDMAP)
        return -EINVAL;
    return a->attr_set & LINUX_MOUNT_ATTR_IDMAP ? refuse_idmap(t, a) : 0;
}

/* 1: nothing is asked for. */
static int copy_in_change(struct task *t, gva_t at, uint64_t size, struct mount_change *c) {
    struct linux_mount_attr attr;

    if (size > PAGE_SIZE)
        return -E2BIG;
    if (size < ATTR_SIZE_FIRST)
        return -EINVAL;
    if (!may_mount(t))
        return -EPERM;
    int r = copy_in_struct(t, &attr, sizeof attr, at, size, ATTR_SIZE_FIRST);
    if (r < 0)
        return r;
    if (!attr.attr_set && !attr.attr_clr && !attr.propagation)
        return 1;
    return change_of(t, &attr, c);
}

int64_t sys_mount_setattr(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 2);
    struct mount_change c = {0};
    struct path p;

    if (flags & ~(uint32_t)(TREE_LOOKUP | LINUX_AT_RECURSIVE))
        return -EINVAL;
    int r = copy_in_change(t, a->arg[3], a->arg[4], &c);
    if (r != 0)
        return r < 0 ? r : 0;
    r = lookup_user(t, arg_int(a, 0), a->arg[1], lookup_flags_of_at(flags & TREE_LOOKUP), &p);
    if (r < 0)
        return r;
    r = vfs_mount_setattr(t->nsproxy->mnt, &p, &c, flags & LINUX_AT_RECURSIVE);
    path_put(&p);
    return r;
}

/* ---- trees ---- */

static int tree_open(struct task *t, const struct syscall_args *a, struct file **ret) {
    uint32_t flags = arg_u32(a, 2);
    bool clone = flags & LINUX_OPEN_TREE_CLONE;
    struct vfs_view v;
    struct path p;

    if (flags &
        ~(uint32_t)(TREE_LOOKUP | LINUX_AT_RECURSIVE | LINUX_OPEN_TREE_CLONE | LINUX_OPEN_TREE_CLOEXEC))
        return -EINVAL;
    if (flags & LINUX_AT_RECURSIVE && !clone)
        return -EINVAL;
    if (clone && !may_mount(t))
        return -EPERM;
    int r = lookup_user(t, arg_int(a, 0), a->arg[1], lookup_flags_of_at(flags & TREE_LOOKUP), &p);
    if (r < 0)
        return r;
    if (clone) {
        r = vfs_tree_clone(t, &p, flags & LINUX_AT_RECURSIVE, ret);
    } else {
        vfs_view_of(t, &v);
        r = vfs_open_path(&v, &p, LINUX_O_PATH, ret);
        vfs_view_done(&v);
    }
    path_put(&p);
    return r;
}

int64_t sys_open_tree(struct task *t, const struct syscall_args *a) {
    struct file *f;
    int r = tree_open(t, a, &f);

    return r < 0 ? r : install(t, f, arg_u32(a, 2) & LINUX_OPEN_TREE_CLOEXEC);
}

int64_t sys_open_tree_attr(struct task *t, const struct syscall_args *a) {
    struct mount_change c = {0};
    struct file *f;
    int change = 1;

    if (!a->arg[3] && a->arg[4])
        return -EINVAL;
    int r = tree_open(t, a, &f);
    if (r == 0 && a->arg[3]) {
        change = copy_in_change(t, a->arg[3], a->arg[4], &c);
        r = change < 0 ? change : 0;
        if (change == 0)
            r = vfs_mount_setattr(t->nsproxy->mnt, &f->path, &c, arg_u32(a, 2) & LINUX_AT_RECURSIVE);
        if (r < 0)
            file_unref(f);
    }
    return r < 0 ? r : install(t, f, arg_u32(a, 2) & LINUX_OPEN_TREE_CLOEXEC);
}

int64_t sys_move_mount(struct task *t, const struct syscall_args *a) {
    const uint32_t known = LINUX_MOVE_MOUNT_F_SYMLINKS | LINUX_MOVE_MOUNT_F_AUTOMOUNTS |
                           LINUX_MOVE_MOUNT_F_EMPTY_PATH | LINUX_MOVE_MOUNT_T_SYMLINKS |
                           LINUX_MOVE_MOUNT_T_AUTOMOUNTS | LINUX_MOVE_MOUNT_T_EMPTY_PATH |
                           LINUX_MOVE_MOUNT_SET_GROUP | LINUX_MOVE_MOUNT_BENEATH;
    uint32_t flags = arg_u32(a, 4);
    struct path from, to;

    if (!may_mount(t) || landlock_check_mount(task_creds(t)) < 0)
        return -EPERM;
    if (flags & ~known || (flags & LINUX_MOVE_MOUNT_BENEATH && flags & LINUX_MOVE_MOUNT_SET_GROUP))
        return -EINVAL;
    int r = lookup_user(t, arg_int(a, 0), a->arg[1],
                        (flags & LINUX_MOVE_MOUNT_F_SYMLINKS ? LOOKUP_FOLLOW : 0u) |
                            (flags & LINUX_MOVE_MOUNT_F_EMPTY_PATH ? LOOKUP_EMPTY : 0u),
                        &from);
    if (r < 0)
        return r;
    r = lookup_user(t, arg_int(a, 2), a->arg[3],
                    (flags & LINUX_MOVE_MOUNT_T_SYMLINKS ? LOOKUP_FOLLOW : 0u) |
                        (flags & LINUX_MOVE_MOUNT_T_EMPTY_PATH ? LOOKUP_EMPTY : 0u),
                    &to);
    if (r == 0) {
        if (flags & LINUX_MOVE_MOUNT_SET_GROUP)
            r = vfs_mount_set_group(t->nsproxy->mnt, &from, &to);
        else
            r = vfs_mount_move(t->nsproxy->mnt, &from, &to, flags & LINUX_MOVE_MOUNT_BENEATH);
        path_put(&to);
    }
    path_put(&from);
    return r;
}

/* ---- file systems ---- */

int64_t sys_fsopen(struct task *t, const struct syscall_args *a) {
    cleanup(freep) char *name = NULL;
    uint32_t flags = arg_u32(a, 1);
    struct file *f;

    if (!may_mount(t))
        return -EPERM;
    if (flags & ~(uint32_t)LINUX_FSOPEN_CLOEXEC)
        return -EINVAL;
    int r = copy_in_string(t, a->arg[0], PAGE_SIZE, &name);
    if (r < 0)
        return r == -ENAMETOOLONG ? -EINVAL : r;
    const struct fs_type *type = fs_type_find(name);
    if (!type)
        return -ENODEV;
    r = fs_config_new(t, type, &f);
    return r < 0 ? r : install(t, f, flags & LINUX_FSOPEN_CLOEXEC);
}

int64_t sys_fspick(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 2);
    struct file *f;
    struct path p;

    if (!may_mount(t))
        return -EPERM;
    if (flags & ~(uint32_t)(LINUX_FSPICK_CLOEXEC | LINUX_FSPICK_SYMLINK_NOFOLLOW | LINUX_FSPICK_NO_AUTOMOUNT |
                            LINUX_FSPICK_EMPTY_PATH))
        return -EINVAL;
    int r = lookup_user(t, arg_int(a, 0), a->arg[1],
                        (flags & LINUX_FSPICK_SYMLINK_NOFOLLOW ? 0u : LOOKUP_FOLLOW) |
                            (flags & LINUX_FSPICK_EMPTY_PATH ? LOOKUP_EMPTY : 0u),
                        &p);
    if (r < 0)
        return r;
    r = p.dentry == p.mount->root ? fs_config_pick(t, p.mount, &f) : -EINVAL;
    path_put(&p);
    return r < 0 ? r : install(t, f, flags & LINUX_FSPICK_CLOEXEC);
}

/* Which arguments a command takes: fsconfig(2). */
static int config_check(uint32_t cmd, bool key, bool value, int aux) {
    switch (cmd) {
    case LINUX_FSCONFIG_SET_FLAG:
        return !key || value || aux ? -EINVAL : 0;
    case LINUX_FSCONFIG_SET_STRING:
        return !key || !value || aux ? -EINVAL : 0;
    case LINUX_FSCONFIG_SET_BINARY:
        return !key || !value || aux <= 0 || aux > BLOB_MAX ? -EINVAL : 0;
    case LINUX_FSCONFIG_SET_PATH:
    case LINUX_FSCONFIG_SET_PATH_EMPTY:
        return !key || !value || (aux != LINUX_AT_FDCWD && aux < 0) ? -EINVAL : 0;
    case LINUX_FSCONFIG_SET_FD:
        return !key || value || aux < 0 ? -EINVAL : 0;
    case LINUX_FSCONFIG_CMD_CREATE:
    case LINUX_FSCONFIG_CMD_CREATE_EXCL:
    case LINUX_FSCONFIG_CMD_RECONFIGURE:
        return key || value || aux ? -EINVAL : 0;
    default:
        return -EOPNOTSUPP;
    }
}

static int set_parameter(struct task *t, struct file *f, uint32_t cmd, const struct syscall_args *a) {
    cleanup(freep) char *key = NULL, *value = NULL;
    int r = copy_in_string(t, a->arg[2], KEY_MAX, &key);

    if (r == 0 && cmd == LINUX_FSCONFIG_SET_STRING)
        r = copy_in_string(t, a->arg[3], KEY_MAX, &value);
    if (r < 0)
        return r == -ENAMETOOLONG ? -EINVAL : r;
    switch (cmd) {
    case LINUX_FSCONFIG_SET_FLAG:
    case LINUX_FSCONFIG_SET_STRING:
        return fs_config_set(t, f, key, value);
    case LINUX_FSCONFIG_SET_FD: {
        char number[16];
        struct file *given = fd_get_any(t, arg_int(a, 4));
        if (!given)
            return -EBADF;
        file_unref(given);
        snprintf(number, sizeof number, "%d", arg_int(a, 4));
        return fs_config_set(t, f, key, number);
    }
    default:
        return fs_config_refuse(f, key);
    }
}

int64_t sys_fsconfig(struct task *t, const struct syscall_args *a) {
    uint32_t cmd = arg_u32(a, 1);
    int r = arg_int(a, 0) < 0 ? -EINVAL : config_check(cmd, a->arg[2], a->arg[3], arg_int(a, 4));

    if (r < 0)
        return r;
    struct file *f = fd_get(t, arg_int(a, 0));
    if (!f)
        return -EBADF;
    if (!file_is_fs_config(f))
        r = -EINVAL;
    else if (cmd == LINUX_FSCONFIG_CMD_CREATE || cmd == LINUX_FSCONFIG_CMD_CREATE_EXCL)
        r = fs_config_create(t, f);
    else if (cmd == LINUX_FSCONFIG_CMD_RECONFIGURE)
        r = fs_config_reconfigure(t, f);
    else
        r = set_parameter(t, f, cmd, a);
    file_unref(f);
    return r;
}

static int mount_config(struct task *t, struct file *config, uint32_t flags, struct file **ret) {
    struct filesystem *fs;
    char *source;
    int r = file_is_fs_config(config) ? fs_config_take(config, &fs, &source) : -EINVAL;

    if (r < 0)
        return r;
    r = vfs_tree_of_fs(t, fs, flags, source ? source : "none", ret);
    filesystem_unref(fs);
    heap_free(source);
    return r;
}

int64_t sys_fsmount(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 1), attrs = arg_u32(a, 2), atime;
    struct file *tree;

    if (!may_mount(t))
        return -EPERM;
    if (flags & ~(uint32_t)LINUX_FSMOUNT_CLOEXEC || attrs & ~(uint32_t)ATTRS ||
        atime_flags(attrs, &atime) < 0)
        return -EINVAL;
    struct file *config = fd_get(t, arg_int(a, 0));
    if (!config)
        return -EBADF;
    int r = mount_config(t, config, plain_flags(attrs) | atime, &tree);
    file_unref(config);
    return r < 0 ? r : install(t, tree, flags & LINUX_FSMOUNT_CLOEXEC);
}
