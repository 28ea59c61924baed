/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_rare.c: calls that hardly anyone makes: ustat(2), sysfs(2), vhangup(2), modify_ldt(2),
 * process_mrelease(2).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/capability.h"
#include "base/cleanup.h"
#include "sentry/fs/devpts/tty.h"
#include "sentry/fs/pidfd/pidfd.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/session.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

/* ---- ustat ---- */

struct linux_ustat {
    int32_t free_blocks;
    uint64_t free_inodes;
    char name[6], pack[6];
};

struct search {
    uint64_t dev;
    struct filesystem *found; /* reference */
};

static void look_at(const struct mount *m, int parent_id, const char *mountpoint, void *arg) {
    struct search *s = arg;

    (void)parent_id;
    (void)mountpoint;
    if (!s->found && m->fs->dev == s->dev)
        s->found = filesystem_ref(m->fs);
}

int64_t sys_ustat(struct task *t, const struct syscall_args *a) {
    struct search s = {.dev = (uint32_t)a->arg[0]};
    struct path root = mnt_ns_root(t->nsproxy->mnt);
    struct kstatfs k = {0};

    int r = mnt_ns_for_each(t->nsproxy->mnt, &root, look_at, &s);
    path_put(&root);
    if (r == 0)
        r = s.found ? s.found->ops->statfs(s.found, &k) : -EINVAL;
    filesystem_unref(s.found);
    if (r < 0)
        return r;
    struct linux_ustat u = {.free_blocks = (int32_t)k.bfree, .free_inodes = k.ffree};
    return copy_out(t, a->arg[1], &u, sizeof u);
}

/* ---- sysfs: names of file system types by number ---- */

static int64_t type_index(struct task *t, gva_t at) {
    cleanup(freep) char *name = NULL;
    const struct fs_type *type;
    unsigned position = 0;
    int r = copy_in_path(t, at, /* allow_empty= */ true, &name);

    for (int i = 0; r == 0 && (type = fs_type_next(&position)); i++)
        if (strcmp(type->name, name) == 0)
            return i;
    return r < 0 ? r : -EINVAL;
}

static int64_t type_name(struct task *t, unsigned index, gva_t to) {
    const struct fs_type *type;
    unsigned position = 0;

    for (unsigned i = 0; (type = fs_type_next(&position)); i++)
        if (i == index)
            return copy_out(t, to, type->name, strlen(type->name) + 1);
    return -EINVAL;
}

static int64_t type_count(void) {
    unsigned position = 0;
    int64_t n = 0;

    while (fs_type_next(&position))
        n++;
    return n;
}

int64_t sys_sysfs(struct task *t, const struct syscall_args *a) {
    switch ((int)a->arg[0]) {
    case 1:
        return type_index(t, a->arg[1]);
    case 2:
        return type_name(t, (unsigned)a->arg[1], a->arg[2]);
    case 3:
        return type_count();
    }
    return -EINVAL;
}

/* ---- vhangup ---- */

int64_t sys_vhangup(struct task *t, const struct syscall_args *a) {
    (void)a;
    if (!task_capable(t, LINUX_CAP_SYS_TTY_CONFIG))
        return -EPERM;
    struct tty *tty = task_get_tty(t);
    if (tty)
        tty_hangup(tty);
    tty_unref(tty);
    return 0;
}

/* ---- modify_ldt ---- */

enum {
    LDT_READ = 0,
    LDT_WRITE_OLD = 1,
    LDT_READ_DEFAULT = 2,
    LDT_WRITE = 0x11,
    LDT_ENTRY_SIZE = 16,
    LDT_DEFAULT_SIZE = 128
};

/* There are no entries and none can be made: 32-bit code does not run here. EINVAL is what Linux gives where
 * 16-bit segments are compiled out. The result is an int that the kernel does not widen. */
int64_t sys_modify_ldt(struct task *t, const struct syscall_args *a) {
    uint64_t size = a->arg[2];
    int64_t r = -ENOSYS;

    switch ((int)a->arg[0]) {
    case LDT_READ:
        r = 0;
        break;
    case LDT_READ_DEFAULT:
        size = MIN(size, (uint64_t)LDT_DEFAULT_SIZE);
        r = zero_out(t, a->arg[1], size) < 0 ? -EFAULT : (int64_t)size;
        break;
    case LDT_WRITE_OLD:
    case LDT_WRITE:
        r = -EINVAL;
        break;
    }
    return (uint32_t)r;
}

/* ---- process_mrelease ---- */

/* A dying process lets go of its memory by itself, and soon: there is nothing to hasten. */
int64_t sys_process_mrelease(struct task *t, const struct syscall_args *a) {
    struct task *target;

    if (a->arg[1])
        return -EINVAL;
    int r = pidfd_task(t, (int)a->arg[0], &target);
    if (r < 0)
        return r;
    mutex_lock(&target->group->signal_lock);
    bool dying = target->group->exiting;
    mutex_unlock(&target->group->signal_lock);
    task_unref(target);
    return dying ? 0 : -EINVAL;
}
