/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/settings.c: what /proc/sys/fs lets be set. Source: proc(5), "/proc/sys/fs".
 */
#include <errno.h>

#include "sentry/vfs/vfs_internal.h"

static const struct {
    int first, max;
} g_settings[VFS_SETTINGS] = {
    [VFS_PROTECTED_FIFOS] = {1, 2},    [VFS_PROTECTED_REGULAR] = {2, 2},
    [VFS_PROTECTED_SYMLINKS] = {1, 1}, [VFS_PROTECTED_HARDLINKS] = {1, 1},
    [VFS_LEASES_ENABLE] = {1, 1},      [VFS_LEASE_BREAK_TIME] = {45, INT32_MAX},
};

void vfs_settings_init(struct vfs *v) {
    for (int i = 0; i < VFS_SETTINGS; i++)
        v->settings[i] = g_settings[i].first;
}

int vfs_setting(struct kernel *k, enum vfs_setting which) {
    return atomic_load_explicit(&k->vfs->settings[which], memory_order_relaxed);
}

int vfs_set_setting(struct kernel *k, enum vfs_setting which, int value) {
    if (value < 0 || value > g_settings[which].max)
        return -EINVAL;
    atomic_store(&k->vfs->settings[which], value);
    return 0;
}
