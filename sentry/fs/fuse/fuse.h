/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/fuse/fuse.h: what the rest of the kernel knows of file systems whose server is a guest.
 */
#pragma once

struct fuse_request;
struct task;

/* At a task's end: gives up what it still wanted to know from a server (docs/decisions/fuse-waits.md). */
void fuse_forget_request(struct task *t);
