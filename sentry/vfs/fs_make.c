/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/fs_make.c: file systems that a guest makes or changes: whose they are, and who may. Source:
 * mount(2), user_namespaces(7) "Capabilities", mount_namespaces(7).
 */
#include <errno.h>

#include "base/abi/linux/capability.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs_internal.h"

int fs_type_may_mount(const struct fs_type *type, struct task *t) {
    struct user_ns *ns = type->user_mountable ? task_creds(t)->user_ns : t->kernel->root_user_ns;

    return task_capable_in(t, ns, LINUX_CAP_SYS_ADMIN) ? 0 : -EPERM;
}

int filesystem_for_guest(struct task *t, const struct fs_type *type, const struct mount_options *o,
                         struct filesystem **ret) {
    struct user_ns *owner = task_creds(t)->user_ns;
    struct filesystem *fs;
    int r = type->mount(t->kernel, type, o, &fs);

    if (r < 0)
        return r;
    if (owner != t->kernel->root_user_ns && !fs->user_ns) {
        fs->flags |= FS_NODEV;
        fs->user_ns = user_ns_ref(owner);
    }
    if (o->flags & MOUNT_READONLY)
        fs->flags |= FS_READONLY;
    *ret = fs;
    return 0;
}

int filesystem_reconfigure(struct filesystem *fs, const struct mount_options *o) {
    if (!fs->ops->remount)
        return o->data && *o->data ? -EINVAL : 0;
    int r = fs->ops->remount(fs, o);
    if (r < 0)
        return r;
    fs->flags = (fs->flags & ~(uint32_t)FS_READONLY) | (o->flags & MOUNT_READONLY ? FS_READONLY : 0u);
    return 0;
}

bool filesystem_admin(const struct filesystem *fs, struct task *t) {
    return task_capable_in(t, fs->user_ns ? fs->user_ns : t->kernel->root_user_ns, LINUX_CAP_SYS_ADMIN);
}
