/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/pipe.h: what other subsystems may ask of pipes and other anonymous files. Source: pipe(7).
 */
#pragma once

#include "base/compiler.h"

struct creds;
struct file;
struct inode;
struct path;
struct task;

int pipe_create(struct task *t, uint32_t flags, struct file **ret_read, struct file **ret_write) must_check;
/* Opens a FIFO node: waits for the other end as open(2) says. t: OWN THREAD. */
int fifo_open(struct task *t, struct inode *node, const struct path *path, uint32_t flags, const struct creds *c, struct file **ret) must_check;
