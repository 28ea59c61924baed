/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_fanotify.c: fanotify_init, fanotify_mark. Source: their man pages.
 */
#include <errno.h>

#include "base/abi/linux/capability.h"
#include "base/abi/linux/fanotify.h"
#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/vfs/fanotify.h"

enum {
    CLASSES = LINUX_FAN_CLASS_CONTENT | LINUX_FAN_CLASS_PRE_CONTENT,
    FIDS =
        LINUX_FAN_REPORT_FID | LINUX_FAN_REPORT_DIR_FID | LINUX_FAN_REPORT_NAME | LINUX_FAN_REPORT_TARGET_FID,
    INIT_FLAGS = LINUX_FAN_CLOEXEC | LINUX_FAN_NONBLOCK | CLASSES | LINUX_FAN_UNLIMITED_QUEUE |
                 LINUX_FAN_UNLIMITED_MARKS | LINUX_FAN_REPORT_TID | FIDS,
    EVENT_FLAGS = LINUX_O_ACCMODE | LINUX_O_APPEND | LINUX_O_NONBLOCK | LINUX_O_DSYNC | LINUX_O_SYNC |
                  LINUX_O_CLOEXEC | LINUX_O_LARGEFILE | LINUX_O_NOATIME,
    MARK_ACTIONS = LINUX_FAN_MARK_ADD | LINUX_FAN_MARK_REMOVE | LINUX_FAN_MARK_FLUSH,
    MARK_FLAGS = MARK_ACTIONS | LINUX_FAN_MARK_DONT_FOLLOW | LINUX_FAN_MARK_ONLYDIR | LINUX_FAN_MARK_MOUNT |
                 LINUX_FAN_MARK_FILESYSTEM | LINUX_FAN_MARK_IGNORED_MASK |
                 LINUX_FAN_MARK_IGNORED_SURV_MODIFY | LINUX_FAN_MARK_EVICTABLE | LINUX_FAN_MARK_IGNORE
};
#define PLAIN_EVENTS                                                                                         \
    (LINUX_IN_ACCESS | LINUX_IN_MODIFY | LINUX_IN_CLOSE_WRITE | LINUX_IN_CLOSE_NOWRITE | LINUX_IN_OPEN |     \
     LINUX_FAN_OPEN_EXEC)
#define PERMISSIONS (LINUX_FAN_OPEN_PERM | LINUX_FAN_ACCESS_PERM | LINUX_FAN_OPEN_EXEC_PERM)
#define FID_EVENTS                                                                                           \
    (LINUX_IN_ATTRIB | LINUX_IN_MOVED_FROM | LINUX_IN_MOVED_TO | LINUX_IN_CREATE | LINUX_IN_DELETE |         \
     LINUX_IN_DELETE_SELF | LINUX_IN_MOVE_SELF)

static bool fids_agree(uint32_t flags) {
    if (flags & LINUX_FAN_REPORT_NAME && !(flags & LINUX_FAN_REPORT_DIR_FID))
        return false;
    if (flags & LINUX_FAN_REPORT_TARGET_FID &&
        (!(flags & LINUX_FAN_REPORT_NAME) || !(flags & LINUX_FAN_REPORT_FID)))
        return false;
    return true;
}

int64_t sys_fanotify_init(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 0), event_flags = arg_u32(a, 1);
    struct file *f;

    if (!task_capable_in(t, t->kernel->root_user_ns, LINUX_CAP_SYS_ADMIN) &&
        (!(flags & FIDS) || flags & (CLASSES | LINUX_FAN_UNLIMITED_QUEUE | LINUX_FAN_UNLIMITED_MARKS)))
        return -EPERM;
    if (flags & ~(uint32_t)INIT_FLAGS || (flags & CLASSES) == CLASSES || (flags & FIDS && flags & CLASSES) ||
        event_flags & ~(uint32_t)EVENT_FLAGS || (event_flags & LINUX_O_ACCMODE) == LINUX_O_ACCMODE ||
        !fids_agree(flags))
        return -EINVAL;
    int r = fanotify_create(t, flags, event_flags, &f);
    if (r < 0)
        return r;
    int fd = fd_install(t, f, 0, flags & LINUX_FAN_CLOEXEC);
    if (fd < 0)
        file_unref(f);
    return fd;
}

static int check_flags(uint32_t flags) {
    uint32_t action = flags & MARK_ACTIONS;

    if (flags & ~(uint32_t)MARK_FLAGS ||
        (flags & LINUX_FAN_MARK_MOUNT && flags & LINUX_FAN_MARK_FILESYSTEM) ||
        (action != LINUX_FAN_MARK_ADD && action != LINUX_FAN_MARK_REMOVE && action != LINUX_FAN_MARK_FLUSH))
        return -EINVAL;
    if (action == LINUX_FAN_MARK_FLUSH &&
        flags & ~(uint32_t)(LINUX_FAN_MARK_FLUSH | LINUX_FAN_MARK_MOUNT | LINUX_FAN_MARK_FILESYSTEM))
        return -EINVAL;
    return 0;
}

static int check_mask(uint32_t group, uint32_t flags, uint64_t mask) {
    const uint64_t known =
        PLAIN_EVENTS | PERMISSIONS | FID_EVENTS | LINUX_FAN_ONDIR | LINUX_FAN_EVENT_ON_CHILD;

    if (mask & ~known || (flags & (LINUX_FAN_MARK_ADD | LINUX_FAN_MARK_REMOVE) && mask == 0))
        return -EINVAL;
    if (mask & PERMISSIONS && !(group & CLASSES))
        return -EINVAL;
    if (mask & FID_EVENTS && (!(group & FIDS) || flags & LINUX_FAN_MARK_MOUNT))
        return -EINVAL;
    return 0;
}

static int64_t change(struct task *t, struct file *f, uint32_t flags, uint64_t mask,
                      const struct syscall_args *a) {
    struct path p;

    if (!file_is_fanotify(f))
        return -EINVAL;
    int r = check_mask(fanotify_group_flags(f), flags, mask);
    if (r < 0 || flags & LINUX_FAN_MARK_FLUSH)
        return r < 0 ? r : fanotify_change(t, f, flags, 0, NULL);
    unsigned lookup = (flags & LINUX_FAN_MARK_DONT_FOLLOW ? 0u : LOOKUP_FOLLOW) |
                      (flags & LINUX_FAN_MARK_ONLYDIR ? LOOKUP_DIRECTORY : 0u);
    if (a->arg[4]) {
        r = lookup_user(t, arg_int(a, 3), a->arg[4], lookup, &p);
    } else {
        struct file *at = fd_get(t, arg_int(a, 3));
        r = at ? 0 : -EBADF;
        if (at)
            p = path_get(&at->path);
        file_unref(at);
    }
    if (r < 0)
        return r;
    r = path_permission(&p, task_creds(t), MAY_READ);
    if (r == 0)
        r = fanotify_change(t, f, flags, mask, &p);
    path_put(&p);
    return r;
}

int64_t sys_fanotify_mark(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 1);
    int r = a->arg[2] >> 32 ? -EINVAL : check_flags(flags);

    if (r < 0)
        return r;
    struct file *f = fd_get(t, arg_int(a, 0));
    if (!f)
        return -EBADF;
    int64_t n = change(t, f, flags, a->arg[2], a);
    file_unref(f);
    return n;
}
