/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/lease.h: leases: a file's holder is told, and waited for, before somebody else opens it. Source:
 * fcntl(2), "Leases".
 *
 * Lock: inode.locks_lock. Who waits for a lease to be given up waits on inode.locks_queue.
 */
#pragma once

#include "base/compiler.h"

struct file;
struct inode;
struct task;

/* F_SETLEASE: type LINUX_F_RDLCK, F_WRLCK, F_UNLCK. -EAGAIN (others have it open, or none to give up),
 * -EACCES, -EINVAL, -ENOMEM. */
int lease_set(struct task *t, struct file *f, int fd, int type) must_check;
/* F_GETLEASE: what it is, or is to become. */
int lease_get(struct file *f);
void lease_file_gone(struct file *f);
/* Before an open or a change of size: leases that conflict with it are broken, after a wait. -EAGAIN
 * (nonblock), -ERESTARTSYS. t NULL: does not wait. */
int lease_break(struct task *t, struct inode *i, bool write, bool nonblock) must_check;
