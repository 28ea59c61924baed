/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_landlock.c: landlock_create_ruleset(2), landlock_add_rule(2),
 * landlock_restrict_self(2), with Linux's order of checks.
 */
#include <errno.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/syscalls/sys_util.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/landlock.h"
#include "sentry/vfs/mount.h"

enum { PORT_MAX = 65535 };

int64_t sys_landlock_create_ruleset(struct task *t, const struct syscall_args *a) {
    struct linux_landlock_ruleset_attr attr;
    uint32_t flags = arg_u32(a, 2);
    struct file *f;

    if (flags) {
        if (a->arg[0] || a->arg[1])
            return -EINVAL;
        return flags == LINUX_LANDLOCK_CREATE_VERSION ? LANDLOCK_ABI : -EINVAL;
    }
    int r = copy_in_struct(t, &attr, sizeof attr, a->arg[0], a->arg[1], LINUX_LANDLOCK_ATTR_MIN);
    if (r < 0)
        return r;
    if (attr.scoped) /* as a kernel whose structure ends before it */
        return -E2BIG;
    if (attr.handled_access_fs & ~LINUX_LANDLOCK_FS_ALL || attr.handled_access_net & ~LINUX_LANDLOCK_NET_ALL)
        return -EINVAL;
    if (!attr.handled_access_fs && !attr.handled_access_net)
        return -ENOMSG;
    r = landlock_ruleset_new(t, attr.handled_access_fs, attr.handled_access_net, &f);
    if (r < 0)
        return r;
    int fd = fd_install(t, f, 0, /* cloexec= */ true);
    if (fd < 0)
        file_unref(f);
    return fd;
}

static int get_ruleset(struct task *t, int fd, struct file **ret) {
    struct file *f = fd_get(t, fd);

    if (!f)
        return -EBADF;
    if (!file_is_landlock_ruleset(f)) {
        file_unref(f);
        return -EBADFD;
    }
    *ret = f;
    return 0;
}

static int add_path_rule(struct task *t, struct file *ruleset, gva_t at) {
    struct linux_landlock_path_beneath rule;

    if (copy_in(t, &rule, at, sizeof rule) < 0)
        return -EFAULT;
    if (!rule.allowed_access)
        return -ENOMSG;
    if (landlock_rule_unhandled(ruleset, /* port= */ false, rule.allowed_access))
        return -EINVAL;
    struct file *f = fd_get_any(t, rule.parent_fd);
    if (!f)
        return -EBADF;
    int r = f->path.mount->flags & MOUNT_INTERNAL ? -EBADFD
                                                  : landlock_add_path(ruleset, &f->path, rule.allowed_access);
    file_unref(f);
    return r;
}

static int add_port_rule(struct task *t, struct file *ruleset, gva_t at) {
    struct linux_landlock_net_port rule;

    if (copy_in(t, &rule, at, sizeof rule) < 0)
        return -EFAULT;
    if (!rule.allowed_access)
        return -ENOMSG;
    if (landlock_rule_unhandled(ruleset, /* port= */ true, rule.allowed_access) || rule.port > PORT_MAX)
        return -EINVAL;
    return landlock_add_port(ruleset, rule.port, rule.allowed_access);
}

int64_t sys_landlock_add_rule(struct task *t, const struct syscall_args *a) {
    struct file *ruleset;

    if (arg_u32(a, 3))
        return -EINVAL;
    int r = get_ruleset(t, arg_int(a, 0), &ruleset);
    if (r < 0)
        return r;
    switch (arg_u32(a, 1)) {
    case LINUX_LANDLOCK_RULE_PATH_BENEATH:
        r = add_path_rule(t, ruleset, a->arg[2]);
        break;
    case LINUX_LANDLOCK_RULE_NET_PORT:
        r = add_port_rule(t, ruleset, a->arg[2]);
        break;
    default:
        r = -EINVAL;
    }
    file_unref(ruleset);
    return r;
}

int64_t sys_landlock_restrict_self(struct task *t, const struct syscall_args *a) {
    struct file *ruleset;

    if (!atomic_load(&t->no_new_privs) && !task_capable(t, LINUX_CAP_SYS_ADMIN))
        return -EPERM;
    if (arg_u32(a, 1))
        return -EINVAL;
    int r = get_ruleset(t, arg_int(a, 0), &ruleset);
    if (r < 0)
        return r;
    r = landlock_restrict(t, ruleset);
    file_unref(ruleset);
    return r;
}
