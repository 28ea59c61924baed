/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fs_gofer/fs_fixture.h:
 * A kernel object with a heap and a VFS, and no tasks: enough for file systems.
 */
#pragma once

#include "sentry/kernel/kernel.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

struct fs_fixture {
    struct kernel *k;
    struct creds *creds; /* root */
    struct mnt_ns *ns;
    struct vfs_view view;
};

void fs_fixture_kernel(struct fs_fixture *f);
/* Mounts `fs` (reference taken) as the root. */
void fs_fixture_mount(struct fs_fixture *f, struct filesystem *fs);
void fs_fixture_end(struct fs_fixture *f);

/* By path, as system calls would. -errno. */
int fs_open(struct fs_fixture *f, const char *path, uint32_t flags, uint32_t mode, struct file **ret);
int fs_write_file(struct fs_fixture *f, const char *path, const char *content); /* O_CREAT | O_TRUNC */
/* Content as a string in `buf`. */
int fs_read_file(struct fs_fixture *f, const char *path, char *buf, size_t size);
int fs_stat(struct fs_fixture *f, const char *path, struct kstat *ret);
ssize_t fs_pwrite(struct file *file, const void *data, size_t size, uint64_t offset);
ssize_t fs_pread(struct file *file, void *data, size_t size, uint64_t offset);
/* Names of a directory, sorted, with a space behind each, without "." and "..". -errno. */
int fs_list(struct fs_fixture *f, const char *path, char *buf, size_t size);
int fs_readlink(struct fs_fixture *f, const char *path, char *buf, size_t size);
