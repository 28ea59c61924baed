/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_sys_fs.c: /proc/sys/fs. Source: proc(5).
 */
#include "sentry/fs/proc/proc_sys.h"
#include "sentry/kernel/kernel.h"

CONSTANT(aio_max_nr, "65536");
CONSTANT(aio_nr, "0");
CONSTANT(dentry_state, "32768\t16384\t45\t0\t0\t0");
CONSTANT(inode_nr, "32768\t16384");
CONSTANT(inode_state, "32768\t16384\t0\t0\t0\t0\t0");
CONSTANT(file_max, "9223372036854775807");
CONSTANT(file_nr, "1024\t0\t9223372036854775807");
CONSTANT(nr_open, "1048576");
CONSTANT(mount_max, "100000");
CONSTANT(overflow_id, "65534");
CONSTANT(dir_notify_enable, "1");
CONSTANT(suid_dumpable, "0");
CONSTANT(pipe_max_size, "1048576");
CONSTANT(pipe_user_pages_hard, "0");
CONSTANT(pipe_user_pages_soft, "16384");
CONSTANT(epoll_watches, "3487743");
CONSTANT(inotify_watches, "193532");
CONSTANT(inotify_instances, "128");
CONSTANT(inotify_events, "16384");
CONSTANT(fanotify_marks, "193532");
CONSTANT(fanotify_groups, "128");
CONSTANT(fanotify_events, "16384");

#define SETTING(name, which)                                                                                 \
    static int name##_show(struct kernfs_inode *n, struct task *t, struct text *out) {                       \
        (void)t;                                                                                             \
        text_printf(out, "%d\n", vfs_setting(n->inode.fs->kernel, which));                                   \
        return 0;                                                                                            \
    }                                                                                                        \
    static ssize_t name##_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {      \
        int64_t value;                                                                                       \
        (void)t;                                                                                             \
        int r = proc_parse_store(data, len, INT32_MIN, INT32_MAX, &value);                                   \
        if (r == 0)                                                                                          \
            r = vfs_set_setting(n->inode.fs->kernel, which, (int)value);                                     \
        return r < 0 ? r : (ssize_t)len;                                                                     \
    }                                                                                                        \
    static const struct kernfs_ops name = {                                                                  \
        .mode = LINUX_S_IFREG | 0644, .show = name##_show, .store = name##_store}

SETTING(protected_fifos, VFS_PROTECTED_FIFOS);
SETTING(protected_regular, VFS_PROTECTED_REGULAR);
SETTING(protected_symlinks, VFS_PROTECTED_SYMLINKS);
SETTING(protected_hardlinks, VFS_PROTECTED_HARDLINKS);
SETTING(leases_enable, VFS_LEASES_ENABLE);
SETTING(lease_break_time, VFS_LEASE_BREAK_TIME);

DIRECTORY(epoll_dir, {"max_user_watches", &epoll_watches});
DIRECTORY(inotify_dir, {"max_queued_events", &inotify_events}, {"max_user_instances", &inotify_instances},
          {"max_user_watches", &inotify_watches});
DIRECTORY(fanotify_dir, {"max_queued_events", &fanotify_events}, {"max_user_groups", &fanotify_groups},
          {"max_user_marks", &fanotify_marks});

DIRECTORY(mqueue_dir, {"msg_default", &proc_sys_mq_msg_default}, {"msg_max", &proc_sys_mq_msg_max},
          {"msgsize_default", &proc_sys_mq_msgsize_default}, {"msgsize_max", &proc_sys_mq_msgsize_max},
          {"queues_max", &proc_sys_mq_queues_max});

static const struct kernfs_entry fs_entries[] = {
    {"aio-max-nr", &aio_max_nr},
    {"aio-nr", &aio_nr},
    {"dentry-state", &dentry_state},
    {"dir-notify-enable", &dir_notify_enable},
    {"epoll", &epoll_dir},
    {"fanotify", &fanotify_dir},
    {"file-max", &file_max},
    {"file-nr", &file_nr},
    {"inode-nr", &inode_nr},
    {"inode-state", &inode_state},
    {"inotify", &inotify_dir},
    {"lease-break-time", &lease_break_time},
    {"leases-enable", &leases_enable},
    {"mount-max", &mount_max},
    {"mqueue", &mqueue_dir},
    {"nr_open", &nr_open},
    {"overflowgid", &overflow_id},
    {"overflowuid", &overflow_id},
    {"pipe-max-size", &pipe_max_size},
    {"pipe-user-pages-hard", &pipe_user_pages_hard},
    {"pipe-user-pages-soft", &pipe_user_pages_soft},
    {"protected_fifos", &protected_fifos},
    {"protected_hardlinks", &protected_hardlinks},
    {"protected_regular", &protected_regular},
    {"protected_symlinks", &protected_symlinks},
    {"suid_dumpable", &suid_dumpable},
    {NULL, NULL},
};
const struct kernfs_ops proc_sys_fs_dir = {.mode = LINUX_S_IFDIR | 0555, .entries = fs_entries};
