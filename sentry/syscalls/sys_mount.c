/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_mount.c: mount, umount2, pivot_root. Source: mount(2), umount2(2), pivot_root(2).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/capability.h"
#include "base/abi/linux/mount.h"
#include "base/cleanup.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/vfs/landlock.h"

enum { PROPAGATION_BITS = LINUX_MS_SHARED | LINUX_MS_PRIVATE | LINUX_MS_SLAVE | LINUX_MS_UNBINDABLE };

static bool may_mount(struct task *t) {
    return landlock_check_mount(task_creds(t)) == 0 &&
           task_capable_in(t, t->nsproxy->mnt->user_ns, LINUX_CAP_SYS_ADMIN);
}

static uint32_t mount_flags(uint64_t ms) {
    static const struct {
        uint32_t ms, mount;
    } map[] = {
        {LINUX_MS_RDONLY, MOUNT_READONLY},       {LINUX_MS_NOSUID, MOUNT_NOSUID},
        {LINUX_MS_NODEV, MOUNT_NODEV},           {LINUX_MS_NOEXEC, MOUNT_NOEXEC},
        {LINUX_MS_NODIRATIME, MOUNT_NODIRATIME}, {LINUX_MS_NOSYMFOLLOW, MOUNT_NOSYMFOLLOW},
    };
    uint32_t flags = ms & LINUX_MS_STRICTATIME ? 0 : ms & LINUX_MS_NOATIME ? MOUNT_NOATIME : MOUNT_RELATIME;

    for (size_t i = 0; i < ARRAY_SIZE(map); i++)
        if (ms & map[i].ms)
            flags |= map[i].mount;
    return flags;
}

/* A request with its strings copied in; any may be NULL. */
struct mount_args {
    char *source, *type, *data;
    uint64_t flags;
    struct path at; /* reference */
};

static int change_propagation(struct task *t, const struct mount_args *m) {
    static const struct {
        uint32_t ms;
        enum propagation p;
    } map[] = {{LINUX_MS_SHARED, PROPAGATE_SHARED},
               {LINUX_MS_PRIVATE, PROPAGATE_PRIVATE},
               {LINUX_MS_SLAVE, PROPAGATE_SLAVE},
               {LINUX_MS_UNBINDABLE, PROPAGATE_UNBINDABLE}};
    uint64_t kind = m->flags & ~(uint64_t)(LINUX_MS_REC | LINUX_MS_SILENT);

    for (size_t i = 0; i < ARRAY_SIZE(map); i++)
        if (kind == map[i].ms)
            return vfs_set_propagation(t->nsproxy->mnt, &m->at, map[i].p, m->flags & LINUX_MS_REC);
    return -EINVAL;
}

static int bind_or_move(struct task *t, const struct mount_args *m) {
    struct vfs_view v;
    struct path from;

    if (!m->source || !*m->source)
        return -EINVAL;
    vfs_view_of(t, &v);
    int r = path_lookup(&v, LINUX_AT_FDCWD, m->source, LOOKUP_FOLLOW, &from);
    vfs_view_done(&v);
    if (r < 0)
        return r;
    if (m->flags & LINUX_MS_BIND)
        r = vfs_mount_bind(t->nsproxy->mnt, &from, &m->at, m->flags & LINUX_MS_REC);
    else
        r = vfs_mount_move(t->nsproxy->mnt, &from, &m->at, /* beneath= */ false);
    path_put(&from);
    return r;
}

static struct mount_options options_of(struct task *t, const struct mount_args *m) {
    return (struct mount_options){.pid_ns = task_pid_ns(t),
                                  .source = m->source ? m->source : "none",
                                  .view_task = t,
                                  .data = m->data,
                                  .flags = mount_flags(m->flags),
                                  .creds = task_creds(t),
                                  .user_ns = task_creds(t)->user_ns};
}

static int mount_new_fs(struct task *t, const struct mount_args *m) {
    struct mount_options o = options_of(t, m);
    struct filesystem *fs;

    if (!m->type)
        return -EINVAL;
    const struct fs_type *type = fs_type_find(m->type);
    if (!type)
        return -ENODEV;
    const char *subtype = strlen(m->type) > strlen(type->name) ? m->type + strlen(type->name) + 1 : NULL;
    if (subtype && !*subtype)
        return -EINVAL;
    int r = fs_type_may_mount(type, t);
    if (r == 0)
        r = filesystem_for_guest(t, type, &o, &fs);
    if (r < 0)
        return r;
    fs->subtype = subtype ? heap_strdup(subtype) : NULL;
    r = vfs_mount_fs(t->nsproxy->mnt, fs, &m->at, o.flags, o.source);
    filesystem_unref(fs);
    return r;
}

/* A remount that names no access time rule keeps the one there is: mount(2), "MS_REMOUNT". */
static uint32_t remount_flags(const struct mount_args *m) {
    const uint32_t atime = MOUNT_NOATIME | MOUNT_NODIRATIME | MOUNT_RELATIME;
    uint32_t flags = mount_flags(m->flags);

    if (m->flags & (LINUX_MS_NOATIME | LINUX_MS_NODIRATIME | LINUX_MS_RELATIME | LINUX_MS_STRICTATIME))
        return flags;
    return (flags & ~atime) | (m->at.mount->flags & atime);
}

static int remount(struct task *t, const struct mount_args *m) {
    struct mount_options o = options_of(t, m);

    o.flags = remount_flags(m);
    if (m->at.mount->ns != t->nsproxy->mnt || m->at.dentry != m->at.mount->root)
        return -EINVAL;
    if (m->flags & LINUX_MS_BIND)
        return vfs_remount(t->nsproxy->mnt, &m->at, o.flags);
    if (!filesystem_admin(m->at.mount->fs, t))
        return -EPERM;
    return vfs_remount_fs(t->nsproxy->mnt, &m->at, o.flags, &o);
}

static int mount_checked(struct task *t, const struct mount_args *m) {
    if (!may_mount(t))
        return -EPERM;
    if (m->flags & LINUX_MS_REMOUNT)
        return remount(t, m);
    if (m->flags & LINUX_MS_BIND)
        return bind_or_move(t, m);
    if (m->flags & PROPAGATION_BITS)
        return change_propagation(t, m);
    if (m->flags & LINUX_MS_MOVE)
        return bind_or_move(t, m);
    return mount_new_fs(t, m);
}

/* Options are a string of at most a page; a page that ends early is fine. */
static int copy_in_options(struct task *t, gva_t from, char **ret) {
    if (!from)
        return 0;
    char *data = heap_alloc_bytes(PAGE_SIZE);
    if (!data)
        return -ENOMEM;
    size_t n = copy_in_partial(t, data, from, PAGE_SIZE);
    if (n == 0) {
        heap_free(data);
        return -EFAULT;
    }
    data[MIN(n, PAGE_SIZE - 1)] = '\0';
    *ret = data;
    return 0;
}

int64_t sys_mount(struct task *t, const struct syscall_args *a) {
    cleanup(freep) char *type = NULL, *source = NULL;
    struct mount_args m = {.flags = a->arg[3]};
    int r = a->arg[2] ? copy_in_string(t, a->arg[2], PAGE_SIZE, &type) : 0;

    if (r == 0 && a->arg[0])
        r = copy_in_string(t, a->arg[0], LINUX_PATH_MAX, &source);
    if (r == 0)
        r = copy_in_options(t, a->arg[4], &m.data);
    if (r < 0)
        return r == -ENAMETOOLONG ? -EINVAL : r;
    m.type = type;
    m.source = source;
    if ((m.flags & LINUX_MS_MGC_MSK) == LINUX_MS_MGC_VAL)
        m.flags &= ~(uint64_t)LINUX_MS_MGC_MSK;
    r = lookup_user(t, LINUX_AT_FDCWD, a->arg[1], LOOKUP_FOLLOW, &m.at);
    if (r == 0) {
        r = mount_checked(t, &m);
        path_put(&m.at);
    }
    heap_free(m.data);
    return r;
}

int64_t sys_umount2(struct task *t, const struct syscall_args *a) {
    int flags = arg_int(a, 1);
    struct path p;

    if (flags & ~(LINUX_MNT_FORCE | LINUX_MNT_DETACH | LINUX_MNT_EXPIRE | LINUX_UMOUNT_NOFOLLOW))
        return -EINVAL;
    int r = lookup_user(t, LINUX_AT_FDCWD, a->arg[0], flags & LINUX_UMOUNT_NOFOLLOW ? 0 : LOOKUP_FOLLOW, &p);
    if (r < 0)
        return r;
    (void)path_cross_mounts(&p); /* "." and "/" too mean the topmost: pivot_root(2), NOTES */
    if (!may_mount(t)) {
        path_put(&p);
        return -EPERM;
    }
    r = vfs_umount(t->nsproxy->mnt, &p, flags & ~LINUX_UMOUNT_NOFOLLOW);
    path_put(&p);
    return r;
}

/* Every task whose root or working directory is the old root gets the new one. */
static void move_tasks(struct task *t, const struct path *from, const struct path *to) {
    struct pid_ns *ns = t->kernel->root_pid_ns;
    struct task *leader, *thread;

    for (int pid = 1; (leader = task_next_process(ns, pid, &pid)); pid++) {
        for (int tid = 1; (thread = task_next_thread(leader->group, ns, tid, &tid)); tid++) {
            struct fs_context *fs = task_get_fs(thread);
            if (fs)
                fs_context_move(fs, from, to);
            fs_context_unref(fs);
            task_unref(thread);
        }
        task_unref(leader);
    }
    fs_context_move(t->fs, from, to);
}

int64_t sys_pivot_root(struct task *t, const struct syscall_args *a) {
    struct path new, put_old;
    struct vfs_view v;

    if (!may_mount(t))
        return -EPERM;
    int r = lookup_user(t, LINUX_AT_FDCWD, a->arg[0], LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &new);
    if (r < 0)
        return r;
    r = lookup_user(t, LINUX_AT_FDCWD, a->arg[1], LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &put_old);
    if (r == 0) {
        vfs_view_of(t, &v);
        r = vfs_pivot_root(&v, t->nsproxy->mnt, &new, &put_old);
        if (r == 0)
            move_tasks(t, &v.root, &new);
        vfs_view_done(&v);
        path_put(&put_old);
    }
    path_put(&new);
    return r;
}
