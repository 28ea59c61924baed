/* SPDX-License-Identifier: Apache-2.0
 * boot/kernel_real.h: the kernel seam (kernel_seam.h) on sentry/: what its files share.
 *
 * kernel_real.c: the kernel, containers, signals; container_mounts.c: the mount tree of a container;
 * container_devices.c: what lies in /dev, masked and read-only paths; container_process_spec.c: from an OCI
 * process to the kernel's. Objects here are malloc's: they are the host side of a container and hold
 * references to kernel objects.
 */
#pragma once

#include "base/list.h"
#include "base/mutex.h"
#include "boot/kernel_seam.h"
#include "boot/network_setup.h"

struct container;
struct creds;
struct file;
struct filesystem;
struct gofer_session;
struct kernel;
struct mnt_ns;
struct path;
struct process_spec;
struct task;
struct tty;
struct user_ns;
struct vfs_view;

struct boot_kernel {
    struct boot_kernel_config config;
    struct kernel *kernel;
    struct network_parts network; /* set before the first process runs */
    struct mutex lock;            /* RANK_CONTROL; nothing is called with it held */
    struct list containers;       /* of boot_container.node */
};

/* One process that boot started. */
struct boot_process_entry {
    struct list node;
    struct boot_container *container;
    struct task *task;    /* reference */
    struct tty *terminal; /* reference or NULL */
    boot_pid_t pid;
    bool is_init;
};

struct boot_container {
    struct list node;
    struct boot_kernel *kernel;
    struct container *container;
    const struct spec *spec; /* borrowed */
    char *id;
    struct gofer_session *gofer;       /* reference or NULL */
    struct user_ns *user_ns;           /* reference: the container's, or the sandbox's first */
    struct filesystem *devpts;         /* reference: the instance at /dev/pts, or one without a place */
    struct mutex lock;                 /* RANK_CONTROL + 1; the list */
    struct list processes;             /* of boot_process_entry.node */
    struct linux_sock_filter *seccomp; /* malloc'd; NULL: no profile */
    size_t seccomp_count;
    bool seccomp_log;
    bool gofer_lost;
};

/* container_mounts.c: makes root and mounts; the namespace's reference in *ret. */
int boot_mounts_create(struct boot_container *c, const struct boot_container_config *config,
                       struct mnt_ns **ret, struct err **err) must_check;
/* After the container's pid namespace exists: proc and all that the spec mounts, then devices, masks. */
int boot_mounts_fill(struct boot_container *c, const struct boot_container_config *config, struct mnt_ns *ns,
                     struct err **err) must_check;
/* container_devices.c */
int boot_devices_create(struct boot_container *c, const struct boot_container_config *config,
                        const struct vfs_view *v, struct err **err) must_check;
int boot_masks_apply(struct boot_container *c, const struct boot_container_config *config, struct mnt_ns *ns,
                     const struct vfs_view *v, struct err **err) must_check;
/* Makes directories on the way to `path` and, as its last component, a directory or an empty file, unless
 * they are there. */
int boot_make_place(const struct vfs_view *v, const char *path, bool directory) must_check;

/* container_files.c */
/* A regular file's first `max` bytes as a string, which the caller frees. */
int boot_read_file(const struct vfs_view *v, const char *path, size_t max, char **ret) must_check;
/* All that lies in the directory `from`, with owners, modes and times, into the directory `to`. */
int boot_copy_tree(const struct path *from, const struct path *to, const struct creds *creds) must_check;
/* "HOME=..." for a process whose environment has none; *ret stays NULL if it has. Caller frees. */
int boot_default_home(const struct vfs_view *v, uint32_t uid, char *const env[], char **ret) must_check;
/* container_sysctl.c: linux.sysctl, once init exists, in whose namespaces they are set. */
int boot_sysctls_apply(struct boot_container *c, struct err **err) must_check;
/* Root of the sandbox's, whose files belong to the container's root. NULL: no memory. */
struct creds *boot_builder_creds(struct boot_container *c);

/* container_process_spec.c: a process made and stopped; its entry is in c's list. Takes the descriptors of p
 * in every case. */
int boot_process_make(struct boot_container *c, const struct boot_process *p, bool is_init,
                      struct boot_process_entry **ret, struct err **err) must_check;
