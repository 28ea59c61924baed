/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/kernfs/kernfs_internal.h: between kernfs.c and kernfs_file.c.
 */
#pragma once

#include "sentry/fs/kernfs/kernfs.h"

int kernfs_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
                struct file **ret);
