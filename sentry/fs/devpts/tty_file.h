/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/devpts/tty_file.h: what devpts.c needs of tty_file.c.
 */
#pragma once

#include "sentry/fs/devpts/tty_internal.h"

/* The master's only file; new reference. The tty's master_open is set by the caller. */
int tty_open_master(struct tty *tty, const struct path *path, uint32_t flags, const struct creds *c,
                    struct file **ret) must_check;
