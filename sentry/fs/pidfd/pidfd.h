/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/pidfd/pidfd.h: descriptors for processes. Source: pidfd_open(2), pidfd_send_signal(2), waitid(2)
 * (P_PIDFD).
 */
#pragma once

#include "base/compiler.h"

struct file;
struct pid;
struct task;

/* Takes a new reference to pid. flags: LINUX_O_NONBLOCK, LINUX_O_EXCL (PIDFD_THREAD). New reference in *ret,
 * or -ENOMEM. */
int pidfd_new(struct task *t, struct pid *pid, uint32_t flags, struct file **ret) must_check;
/* The pid that the file stands for: borrowed while the file is referenced; NULL: not a pidfd. */
struct pid *pidfd_pid(struct file *f);
/* Does it stand for a thread (PIDFD_THREAD)? */
bool pidfd_is_thread(struct file *f);
/* The process behind descriptor `fd`: new reference to its leader, or to the thread. -EBADF, -ESRCH. */
int pidfd_task(struct task *t, int fd, struct task **ret) must_check;
