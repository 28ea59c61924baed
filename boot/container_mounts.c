/* SPDX-License-Identifier: Apache-2.0
 * boot/container_mounts.c: the mount tree of a container: the root (a gofer's, maybe under an overlay in
 * memory) and the spec's mounts in order. Source: runtime-spec config.md "Mounts"; OCI.md 5.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/stat.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "boot/kernel_real.h"
#include "sentry/fs/gofer/gofer.h"
#include "sentry/fs/overlay/overlay.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

static const struct {
    const char *name;
    uint32_t set, clear;
} g_flag_options[] = {
    {"ro", MOUNT_READONLY, 0},
    {"rw", 0, MOUNT_READONLY},
    {"nosuid", MOUNT_NOSUID, 0},
    {"suid", 0, MOUNT_NOSUID},
    {"nodev", MOUNT_NODEV, 0},
    {"dev", 0, MOUNT_NODEV},
    {"noexec", MOUNT_NOEXEC, 0},
    {"exec", 0, MOUNT_NOEXEC},
    {"noatime", MOUNT_NOATIME, 0},
    {"atime", 0, MOUNT_NOATIME},
    {"nodiratime", MOUNT_NODIRATIME, 0},
    {"diratime", 0, MOUNT_NODIRATIME},
    {"relatime", MOUNT_RELATIME, 0},
    {"norelatime", 0, MOUNT_RELATIME},
    {"strictatime", 0, MOUNT_RELATIME},
    {"nostrictatime", 0, 0},
    {"nosymfollow", MOUNT_NOSYMFOLLOW, 0},
    /* Said of the host's tree or of nothing here: accepted. */
    {"defaults", 0, 0},
    {"async", 0, 0},
    {"sync", 0, 0},
    {"dirsync", 0, 0},
    {"mand", 0, 0},
    {"nomand", 0, 0},
    {"loud", 0, 0},
    {"silent", 0, 0},
    {"iversion", 0, 0},
    {"noiversion", 0, 0},
    {"lazytime", 0, 0},
    {"nolazytime", 0, 0},
    {"bind", 0, 0},
    {"rbind", 0, 0},
    {"private", 0, 0},
    {"rprivate", 0, 0},
    {"shared", 0, 0},
    {"rshared", 0, 0},
    {"slave", 0, 0},
    {"rslave", 0, 0},
    {"unbindable", 0, 0},
    {"runbindable", 0, 0},
    {"tmpcopyup", 0, 0},
    {"copy", 0, 0},
};

/* Splits mount options into flags and what the file system itself is told ("a,b"); caller frees *ret_data. */
static int split_options(const struct spec_strings *options, uint32_t *ret_flags, char **ret_data) {
    uint32_t flags = MOUNT_RELATIME;
    char *data = NULL;

    for (size_t i = 0; options && i < options->count; i++) {
        const char *option = options->items[i];
        size_t f = 0;
        while (f < ARRAY_SIZE(g_flag_options) && strcmp(g_flag_options[f].name, option) != 0)
            f++;
        if (f < ARRAY_SIZE(g_flag_options)) {
            flags = (flags & ~g_flag_options[f].clear) | g_flag_options[f].set;
            continue;
        }
        char *longer = NULL;
        int n = data ? asprintf(&longer, "%s,%s", data, option) : asprintf(&longer, "%s", option);
        free(data);
        if (n < 0)
            return -ENOMEM;
        data = longer;
    }
    *ret_flags = flags;
    *ret_data = data;
    return 0;
}

static int gofer_filesystem(struct boot_container *c, size_t root, unsigned layer, struct filesystem **ret) {
    struct kernel *k = c->kernel->kernel;
    struct gofer_mount args = {.session = c->gofer, .root = root, .layer = layer};
    struct mount_options o = {.source = "none", .internal = &args, .user_ns = k->root_user_ns};

    return filesystem_create(k, "gofer", &o, ret);
}

static int overlay_filesystem(struct boot_container *c, struct filesystem **ret) {
    struct kernel *k = c->kernel->kernel;
    struct overlay_mount layers = {0};

    int r = gofer_filesystem(c, 0, /* layer= */ 1, &layers.lower);
    if (r == 0)
        r = tmpfs_create(k, /* layer= */ 1, 0755, &layers.upper);
    if (r == 0) {
        struct mount_options o = {.source = "none", .internal = &layers, .user_ns = k->root_user_ns};
        r = filesystem_create(k, "overlay", &o, ret);
    }
    if (layers.upper)
        filesystem_unref(layers.upper);
    if (layers.lower)
        filesystem_unref(layers.lower);
    return r;
}

int boot_mounts_create(struct boot_container *c, const struct boot_container_config *config,
                       struct mnt_ns **ret, struct err **err) {
    struct kernel *k = c->kernel->kernel;
    struct filesystem *root = NULL;

    int r =
        config->root_overlay ? overlay_filesystem(c, &root) : gofer_filesystem(c, 0, /* layer= */ 0, &root);
    if (r == 0)
        r = mnt_ns_new(k, root, MOUNT_RELATIME, c->user_ns, ret);
    if (root)
        filesystem_unref(root);
    return r < 0
               ? err_set(err, -r, "rootfs.mount", "mounting the root file system of container \"%s\"", c->id)
               : 0;
}

/* ---- places ---- */

static int make_file(const struct vfs_view *v, const char *path) {
    struct open_request o = {
        .dirfd = LINUX_AT_FDCWD, .flags = LINUX_O_CREAT | LINUX_O_WRONLY | LINUX_O_CLOEXEC, .mode = 0755};
    struct file *f;
    int r = vfs_open(v, path, &o, &f);

    if (r == 0)
        file_unref(f);
    return r;
}

int boot_make_place(const struct vfs_view *v, const char *path, bool directory) {
    cleanup(freep) char *copy = strdup(path);
    struct path found;

    if (!copy)
        return -ENOMEM;
    for (char *slash = strchr(copy + 1, '/');; slash = strchr(slash + 1, '/')) {
        bool last = !slash || strspn(slash, "/") == strlen(slash);
        if (slash)
            *slash = '\0';
        int r = path_lookup(v, LINUX_AT_FDCWD, copy, LOOKUP_FOLLOW, &found);
        if (r == 0)
            path_put(&found);
        else if (r == -ENOENT)
            r = !last || directory ? vfs_mkdir(v, LINUX_AT_FDCWD, copy, 0755) : make_file(v, copy);
        if (r < 0 && r != -EEXIST)
            return r;
        if (last)
            return 0;
        *slash = '/';
    }
}

/* ---- the spec's mounts ---- */

struct request {
    struct boot_container *c;
    struct mnt_ns *ns;
    const struct vfs_view *view;
    const struct boot_mount *m;
    uint32_t flags;
    const char *data;
};

static int make_filesystem(const struct request *q, struct filesystem **ret) {
    struct kernel *k = q->c->kernel->kernel;
    const char *type = q->m->type ? q->m->type : "none";
    struct mount_options o = {.source = q->m->source ? q->m->source : type,
                              .data = q->data,
                              .creds = q->view->creds,
                              .user_ns = q->c->user_ns,
                              .pid_ns = q->c->container->pid_ns,
                              .ipc_ns = q->c->container->nsproxy->ipc};

    if (strcmp(type, "cgroup") == 0 || strcmp(type, "cgroup2") == 0) { /* version 1 is not built: 2 for it */
        type = "cgroup2";
        o.data = NULL;
        o.internal = q->c->container->cgroup;
    }
    if (q->m->gofer_root >= 0)
        return gofer_filesystem(q->c, (size_t)q->m->gofer_root, /* layer= */ 0, ret);
    int r = filesystem_create(k, type, &o, ret);
    if (r == 0 && strcmp(type, "devpts") == 0 && !q->c->devpts)
        q->c->devpts = filesystem_ref(*ret);
    return r;
}

static bool spec_option(const struct spec_strings *options, const char *name) {
    for (size_t i = 0; options && i < options->count; i++)
        if (strcmp(options->items[i], name) == 0)
            return true;
    return false;
}

/* What an image has at the place of a tmpfs: its contents if asked for, its owner and mode if none are given
 * (as runc). The tmpfs is mounted writable by now. */
static int take_over(const struct request *q, const struct path *covered) {
    struct path root;
    struct kstat st;

    int r = path_lookup(q->view, LINUX_AT_FDCWD, q->m->destination, LOOKUP_FOLLOW, &root);
    if (r < 0)
        return r;
    if (spec_option(q->m->options, "tmpcopyup"))
        r = boot_copy_tree(covered, &root, q->view->creds);
    if (r == 0 && !(q->data && strstr(q->data, "mode=")))
        r = vfs_getattr(covered, &st);
    else
        st.mode = 0;
    if (r == 0 && st.mode) {
        struct setattr s = {.mask = SETATTR_MODE, .mode = st.mode & 07777};
        r = vfs_setattr(&root, &s, q->view->creds);
    }
    if (r == 0 && (q->flags & MOUNT_READONLY))
        r = vfs_remount(q->ns, &root, q->flags);
    path_put(&root);
    return r;
}

static int mount_one(const struct request *q) {
    struct filesystem *fs = NULL;
    struct path at;

    int r = make_filesystem(q, &fs);
    if (r < 0)
        return r;
    bool existed = path_lookup(q->view, LINUX_AT_FDCWD, q->m->destination, LOOKUP_FOLLOW, &at) == 0;
    if (existed)
        path_put(&at);
    r = boot_make_place(q->view, q->m->destination, inode_is_dir(fs->root->inode));
    if (r == 0)
        r = path_lookup(q->view, LINUX_AT_FDCWD, q->m->destination, LOOKUP_FOLLOW, &at);
    if (r < 0) {
        filesystem_unref(fs);
        return r;
    }
    bool takes_over = existed && q->m->gofer_root < 0 && q->m->type && strcmp(q->m->type, "tmpfs") == 0;
    r = vfs_mount_fs(q->ns, fs, &at, takes_over ? q->flags & ~(uint32_t)MOUNT_READONLY : q->flags,
                     q->m->source ? q->m->source : q->m->type);
    filesystem_unref(fs);
    if (r == 0 && takes_over)
        r = take_over(q, &at);
    path_put(&at);
    return r;
}

static int mount_error(struct err **err, int r, size_t i, const struct boot_mount *m) {
    r = err_set(err, -r, r == -ENODEV ? "mount.type" : "mount.failed",
                "mounts[%zu]: mounting %s (type %s) at %s", i, m->source ? m->source : "none",
                m->type ? m->type : "bind", m->destination);
    if (r == -ENODEV)
        err_explain(err, "the sandbox's kernel has no file system of that type",
                    "/proc/filesystems of a container lists them");
    if (r == -EINVAL)
        err_explain(err, "one of its options is unknown to that file system or has a wrong value", NULL);
    return r;
}

static int mount_all(struct boot_container *c, const struct boot_container_config *config, struct mnt_ns *ns,
                     const struct vfs_view *v, struct err **err) {
    for (size_t i = 0; i < config->mount_count; i++) {
        struct request q = {.c = c, .ns = ns, .view = v, .m = &config->mounts[i]};
        cleanup(freep) char *data = NULL;
        int r = split_options(q.m->options, &q.flags, &data);
        q.data = data;
        if (r == 0)
            r = mount_one(&q);
        if (r < 0)
            return mount_error(err, r, i, q.m);
    }
    return 0;
}

static int make_readonly(struct mnt_ns *ns, const struct path *root) {
    return vfs_remount(ns, root, MOUNT_READONLY | MOUNT_RELATIME);
}

int boot_mounts_fill(struct boot_container *c, const struct boot_container_config *config, struct mnt_ns *ns,
                     struct err **err) {
    struct kernel *k = c->kernel->kernel;
    struct creds *creds = boot_builder_creds(c);
    struct path root = mnt_ns_root(ns);
    struct vfs_view view = {.root = root, .cwd = root, .creds = creds};

    int r = creds ? mount_all(c, config, ns, &view, err) : err_set(err, ENOMEM, "out-of-memory", "mounting");
    if (r == 0)
        r = boot_devices_create(c, config, &view, err);
    if (r == 0)
        r = boot_masks_apply(c, config, ns, &view, err);
    if (r == 0 && config->root_readonly) {
        r = make_readonly(ns, &root);
        if (r < 0)
            r = err_set(err, -r, "rootfs.readonly", "making the root of container \"%s\" read-only", c->id);
    }
    if (r == 0 && !c->devpts) {
        struct mount_options o = {
            .source = "devpts", .data = "gid=5,mode=620,ptmxmode=666", .user_ns = c->user_ns};
        r = filesystem_create(k, "devpts", &o, &c->devpts);
        if (r < 0)
            r = err_set(err, -r, "mount.failed", "making a devpts for terminals");
    }
    path_put(&root);
    creds_unref(creds);
    return r;
}
