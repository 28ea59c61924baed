/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/mqueue/mqueue.h: POSIX message queues: what mq_open(3) and its kind ask of the mqueue file
 * system. Source: mq_overview(7), mq_open(3), mq_notify(3), ipc_namespaces(7).
 *
 * Each IPC namespace has one such file system, made when first used; mounting it shows that one. A queue is
 * an inode of it, an open queue a file.
 */
#pragma once

#include "base/compiler.h"

struct file;
struct ipc_ns;
struct linux_mq_attr;
struct linux_sigevent;
struct message;
struct task;

/* flags: LINUX_O_*; attr: NULL: the namespace's defaults. OWN THREAD. */
int mqueue_open(struct task *t, const char *name, uint32_t flags, uint32_t mode,
                const struct linux_mq_attr *attr, struct file **ret) must_check;
int mqueue_unlink(struct task *t, const char *name) must_check;
bool is_mqueue_file(const struct file *f);
/* Largest message. */
uint64_t mqueue_message_size(struct file *f);
/* Takes m on success. Each waits until `deadline` (host's monotonic ns) unless the file is non-blocking:
 * -EAGAIN, -ETIMEDOUT, -ERESTARTSYS. OWN THREAD. */
int mqueue_send(struct task *t, struct file *f, struct message *m, int64_t deadline) must_check;
int mqueue_receive(struct task *t, struct file *f, int64_t deadline, struct message **ret) must_check;
/* event NULL: no more. -EBUSY, -EINVAL. */
int mqueue_notify(struct task *t, struct file *f, const struct linux_sigevent *event) must_check;
void mqueue_get_attr(struct file *f, struct linux_mq_attr *ret);
/* The namespace ends: what is left of its file system counts no more against it. */
void mqueue_end_ns(struct ipc_ns *ns);
