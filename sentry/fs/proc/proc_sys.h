/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_sys.h: how the files of /proc/sys are written down: constants that nothing here
 * enforces are read-only, as in a container whose /proc/sys is mounted read-only.
 */
#pragma once

#include "base/abi/linux/stat.h"
#include "sentry/fs/proc/proc_internal.h"

#define CONSTANT(name, value)                                                                                \
    static int name##_show(struct kernfs_inode *n, struct task *t, struct text *out) {                       \
        (void)n, (void)t;                                                                                    \
        text_printf(out, "%s\n", value);                                                                     \
        return 0;                                                                                            \
    }                                                                                                        \
    static const struct kernfs_ops name = {.mode = LINUX_S_IFREG | 0444, .show = name##_show}
#define DIRECTORY(name, ...)                                                                                 \
    static const struct kernfs_entry name##_entries[] = {__VA_ARGS__, {NULL, NULL}};                         \
    static const struct kernfs_ops name = {.mode = LINUX_S_IFDIR | 0555, .entries = name##_entries}

extern const struct kernfs_ops proc_sys_fs_dir;
