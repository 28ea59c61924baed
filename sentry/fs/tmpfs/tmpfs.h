/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/tmpfs/tmpfs.h: files in memory: what others than mount(2) ask of tmpfs. Source: tmpfs(5),
 * memfd_create(2).
 */
#pragma once

#include "base/compiler.h"

struct creds;
struct file;
struct filesystem;
struct kernel;
struct task;

/* For boot: a file system without limits, to be the upper layer of an overlay (layer 1) or a root. */
int tmpfs_create(struct kernel *k, unsigned layer, uint32_t mode, struct filesystem **ret) must_check;
/* A file without a name that can be sealed. flags: LINUX_MFD_ALLOW_SEALING; name: shown as "memfd:NAME". */
int tmpfs_memfd_create(struct task *t, const char *name, uint32_t flags, struct file **ret) must_check;
