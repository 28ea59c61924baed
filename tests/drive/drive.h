/* SPDX-License-Identifier: Apache-2.0
 * tests/drive/drive.h: the parts of sentry_drive.
 */
#pragma once

#include "sentry/vfs/vfs.h"

/* Copies a host file or tree into the guest's tree at the same path, parents included. False: printed why. */
bool drive_copy(const struct vfs_view *v, const char *path);
bool drive_mkdirs(const struct vfs_view *v, const char *path);
/* The driver's own descriptor as a file of the guest: plain read and write. */
int drive_host_file(int fd, const struct creds *c, struct file **ret);
