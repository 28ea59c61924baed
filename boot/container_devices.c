/* SPDX-License-Identifier: Apache-2.0
 * boot/container_devices.c: what runtimes put into /dev, and paths that are masked or read-only. Source:
 * runtime-spec config-linux.md "Default Devices", "Default filesystems and symbolic links", "Masked Paths",
 * "Readonly Paths".
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/stat.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "boot/kernel_real.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

static const struct {
    const char *path;
    uint32_t major, minor;
} g_default_devices[] = {{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
                         {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}};
static const struct {
    const char *path, *target;
} g_default_links[] = {{"/dev/fd", "/proc/self/fd"},
                       {"/dev/stdin", "/proc/self/fd/0"},
                       {"/dev/stdout", "/proc/self/fd/1"},
                       {"/dev/stderr", "/proc/self/fd/2"},
                       {"/dev/ptmx", "pts/ptmx"}};

static uint64_t device_number(uint64_t major, uint64_t minor) {
    return (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xffull) << 12 | (major & ~0xfffull) << 32;
}

/* Is /dev the sandbox's own (tmpfs or the overlay's upper layer)? Never does a device node go to the host's
 * directory. */
static bool dev_is_ours(const struct boot_container_config *config) {
    if (config->root_overlay)
        return true;
    for (size_t i = 0; i < config->mount_count; i++)
        if (strcmp(config->mounts[i].destination, "/dev") == 0)
            return config->mounts[i].gofer_root < 0;
    return false;
}

static int make_node(const struct vfs_view *v, const char *path, uint32_t mode, uint64_t rdev, uint32_t uid,
                     uint32_t gid) {
    cleanup(freep) char *directory = strdup(path);
    struct path p;
    int r = directory ? 0 : -ENOMEM;

    if (r == 0) {
        *strrchr(directory, '/') = '\0';
        r = *directory ? boot_make_place(v, directory, /* directory= */ true) : 0;
    }
    if (r == 0)
        r = vfs_mknod(v, LINUX_AT_FDCWD, path, mode, rdev);
    if (r == -EEXIST)
        return 0;
    if (r < 0 || (uid == 0 && gid == 0))
        return r;
    r = path_lookup(v, LINUX_AT_FDCWD, path, 0, &p);
    if (r == 0) {
        struct setattr s = {.mask = SETATTR_UID | SETATTR_GID, .uid = uid, .gid = gid};
        r = vfs_setattr(&p, &s, v->creds);
        path_put(&p);
    }
    return r;
}

static int make_spec_device(const struct vfs_view *v, const struct spec_device *d) {
    uint32_t type = strcmp(d->type, "b") == 0   ? LINUX_S_IFBLK
                    : strcmp(d->type, "p") == 0 ? LINUX_S_IFIFO
                                                : LINUX_S_IFCHR;
    uint32_t mode = d->file_mode.set ? (uint32_t)d->file_mode.value & 07777 : 0666;

    return make_node(v, d->path, type | mode,
                     type == LINUX_S_IFIFO ? 0 : device_number((uint64_t)d->major, (uint64_t)d->minor),
                     d->uid.set ? (uint32_t)d->uid.value : 0, d->gid.set ? (uint32_t)d->gid.value : 0);
}

int boot_devices_create(struct boot_container *c, const struct boot_container_config *config,
                        const struct vfs_view *v, struct err **err) {
    if (!dev_is_ours(config))
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(g_default_devices); i++) {
        const char *path = g_default_devices[i].path;
        int r = make_node(v, path, LINUX_S_IFCHR | 0666,
                          device_number(g_default_devices[i].major, g_default_devices[i].minor), 0, 0);
        if (r < 0)
            return err_set(err, -r, "device.create", "making %s", path);
    }
    for (size_t i = 0; i < ARRAY_SIZE(g_default_links); i++) {
        int r = vfs_symlink(v, g_default_links[i].target, LINUX_AT_FDCWD, g_default_links[i].path);
        if (r < 0 && r != -EEXIST)
            return err_set(err, -r, "device.create", "making %s", g_default_links[i].path);
    }
    for (size_t i = 0; i < c->spec->linux_.devices.count; i++) {
        const struct spec_device *d = &c->spec->linux_.devices.items[i];
        int r = make_spec_device(v, d);
        if (r < 0)
            return err_set(err, -r, "device.create", "linux.devices[%zu]: making %s", i, d->path);
    }
    return 0;
}

/* ---- masked and read-only paths ---- */

static int mask_directory(struct kernel *k, struct mnt_ns *ns, const struct path *at) {
    struct filesystem *fs;
    int r = tmpfs_create(k, /* layer= */ 0, 0755, &fs);

    if (r < 0)
        return r;
    r = vfs_mount_fs(ns, fs, at, MOUNT_READONLY | MOUNT_RELATIME, "tmpfs");
    filesystem_unref(fs);
    return r;
}

static int mask(struct kernel *k, struct mnt_ns *ns, const struct vfs_view *v, const char *name) {
    struct path at, null;
    int r = path_lookup(v, LINUX_AT_FDCWD, name, LOOKUP_FOLLOW, &at);

    if (r < 0)
        return r == -ENOENT || r == -ENOTDIR ? 0 : r;
    if (inode_is_dir(at.dentry->inode)) {
        r = mask_directory(k, ns, &at);
    } else {
        r = path_lookup(v, LINUX_AT_FDCWD, "/dev/null", LOOKUP_FOLLOW, &null);
        if (r == 0) {
            r = vfs_mount_bind(ns, &null, &at, /* recursive= */ false);
            path_put(&null);
        }
    }
    path_put(&at);
    return r;
}

static int protect(struct mnt_ns *ns, const struct vfs_view *v, const char *name) {
    struct path at;
    int r = path_lookup(v, LINUX_AT_FDCWD, name, LOOKUP_FOLLOW, &at);

    if (r < 0)
        return r == -ENOENT || r == -ENOTDIR ? 0 : r;
    r = vfs_mount_bind(ns, &at, &at, /* recursive= */ true);
    path_put(&at);
    if (r == 0)
        r = path_lookup(v, LINUX_AT_FDCWD, name, LOOKUP_FOLLOW, &at);
    if (r < 0)
        return r;
    r = vfs_remount(ns, &at, MOUNT_READONLY | MOUNT_RELATIME);
    path_put(&at);
    return r;
}

int boot_masks_apply(struct boot_container *c, const struct boot_container_config *config, struct mnt_ns *ns,
                     const struct vfs_view *v, struct err **err) {
    const struct spec_strings *masked = &c->spec->linux_.masked_paths,
                              *readonly = &c->spec->linux_.readonly_paths;

    (void)config;
    for (size_t i = 0; i < masked->count; i++) {
        int r = mask(c->kernel->kernel, ns, v, masked->items[i]);
        if (r < 0)
            return err_set(err, -r, "mount.mask", "linux.maskedPaths[%zu]: masking %s", i, masked->items[i]);
    }
    for (size_t i = 0; i < readonly->count; i++) {
        int r = protect(ns, v, readonly->items[i]);
        if (r < 0)
            return err_set(err, -r, "mount.readonly", "linux.readonlyPaths[%zu]: making %s read-only", i,
                           readonly->items[i]);
    }
    return 0;
}
