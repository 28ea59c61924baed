/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_mounts.c: /proc/PID/{mounts,mountinfo,mountstats}. Source: proc(5), fstab(5).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/stat.h"
#include "sentry/fs/proc/proc_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/mount.h"

static const struct {
    uint32_t flag;
    const char *text;
} g_flags[] = {{MOUNT_NOSUID, ",nosuid"},          {MOUNT_NODEV, ",nodev"},
               {MOUNT_NOEXEC, ",noexec"},          {MOUNT_NOATIME, ",noatime"},
               {MOUNT_NODIRATIME, ",nodiratime"},  {MOUNT_RELATIME, ",relatime"},
               {MOUNT_NOSYMFOLLOW, ",nosymfollow"}};

static void append_flags(const struct mount *m, bool readonly, struct text *out) {
    uint32_t flags = m->flags;

    text_printf(out, readonly ? "ro" : "rw");
    for (size_t i = 0; i < ARRAY_SIZE(g_flags); i++)
        if (flags & g_flags[i].flag)
            text_printf(out, "%s", g_flags[i].text);
}

static void append_fs_options(const struct mount *m, struct text *out) {
    char options[4096];

    if (m->fs->ops->show_options)
        text_append(out, options, m->fs->ops->show_options(m->fs, options, sizeof options));
}

/* With its subtype: "fuse.sshfs". */
static void append_type(const struct mount *m, const char *before, const char *after, struct text *out) {
    const char *subtype = m->fs->subtype;

    text_printf(out, "%s%s%s%s%s", before, m->fs->type->name, subtype ? "." : "", subtype ? subtype : "",
                after);
}

static const char *source_of(const struct mount *m) {
    return m->source && *m->source ? m->source : "none";
}

static void mounts_line(const struct mount *m, int parent_id, const char *mountpoint, void *arg) {
    struct text *out = arg;

    (void)parent_id;
    text_append_escaped(out, source_of(m));
    text_printf(out, " ");
    text_append_escaped(out, mountpoint);
    append_type(m, " ", " ", out);
    append_flags(m, m->flags & MOUNT_READONLY || m->fs->flags & FS_READONLY, out);
    append_fs_options(m, out);
    text_printf(out, " 0 0\n");
}

static void mountinfo_line(const struct mount *m, int parent_id, const char *mountpoint, void *arg) {
    struct text *out = arg;
    uint64_t dev = m->fs->dev;

    text_printf(out, "%d %d %u:%u ", m->id, parent_id, (unsigned)((dev >> 8) & 0xfff),
                (unsigned)((dev & 0xff) | ((dev >> 12) & 0xfff00)));
    char *shown = mount_root_text(m);
    text_append_escaped(out, shown ? shown : "/");
    heap_free(shown);
    text_printf(out, " ");
    text_append_escaped(out, mountpoint);
    text_printf(out, " ");
    append_flags(m, m->flags & MOUNT_READONLY, out);
    if (m->propagation == PROPAGATE_SHARED)
        text_printf(out, " shared:%d", m->peer_group);
    if (m->master_group > 0)
        text_printf(out, " master:%d", m->master_group);
    if (m->propagation == PROPAGATE_UNBINDABLE)
        text_printf(out, " unbindable");
    append_type(m, " - ", " ", out);
    text_append_escaped(out, source_of(m));
    text_printf(out, m->fs->flags & FS_READONLY ? " ro" : " rw");
    append_fs_options(m, out);
    text_printf(out, "\n");
}

static void mountstats_line(const struct mount *m, int parent_id, const char *mountpoint, void *arg) {
    struct text *out = arg;

    (void)parent_id;
    text_printf(out, "device ");
    text_append_escaped(out, source_of(m));
    text_printf(out, " mounted on ");
    text_append_escaped(out, mountpoint);
    append_type(m, " with fstype ", "\n", out);
}

typedef void (*line_fn)(const struct mount *m, int parent_id, const char *mountpoint, void *arg);

static int show_mounts(struct kernfs_inode *n, struct text *out, line_fn line) {
    struct task *t = proc_task(n);
    struct nsproxy *ns = t ? task_get_nsproxy(t) : NULL;
    struct fs_context *fs = t ? task_get_fs(t) : NULL;
    int r = -EINVAL;

    task_unref(t);
    if (ns && fs) {
        struct path root;
        fs_context_get(fs, &root, NULL);
        r = mnt_ns_for_each(ns->mnt, &root, line, out);
        path_put(&root);
    }
    fs_context_unref(fs);
    nsproxy_unref(ns);
    return r;
}

static int mounts_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    return show_mounts(n, out, mounts_line);
}

static int mountinfo_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    return show_mounts(n, out, mountinfo_line);
}

static int mountstats_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    return show_mounts(n, out, mountstats_line);
}

static void drop_ns(void *object) {
    mnt_ns_unref(object);
}

static int mounts_watch(struct kernfs_inode *n, struct kernfs_watch *ret) {
    struct task *t = proc_task(n);
    struct nsproxy *proxy = t ? task_get_nsproxy(t) : NULL;

    task_unref(t);
    if (!proxy)
        return -EINVAL;
    struct mnt_ns *ns = mnt_ns_ref(proxy->mnt);
    nsproxy_unref(proxy);
    *ret = (struct kernfs_watch){
        .queue = &ns->changed, .event = &ns->event, .seen_by_poll = true, .object = ns, .drop = drop_ns};
    return 0;
}

const struct kernfs_ops proc_mounts = {
    .mode = LINUX_S_IFREG | 0444, .show = mounts_show, .watch = mounts_watch, PROC_PID_NODE};
const struct kernfs_ops proc_mountinfo = {
    .mode = LINUX_S_IFREG | 0444, .show = mountinfo_show, .watch = mounts_watch, PROC_PID_NODE};
const struct kernfs_ops proc_mountstats = {.mode = LINUX_S_IFREG | 0400,
                                           .show = mountstats_show,
                                           .watch = mounts_watch,
                                           .open_check = proc_pid_open_private,
                                           PROC_PID_NODE};
