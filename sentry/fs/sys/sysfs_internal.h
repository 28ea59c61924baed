/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/sys/sysfs_internal.h: directories of sysfs with files of their own.
 */
#pragma once

#include "sentry/fs/kernfs/kernfs.h"

extern const struct kernfs_ops sysfs_net_dir; /* /sys/class/net */
