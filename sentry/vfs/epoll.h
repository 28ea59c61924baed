/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/epoll.h: epoll instances. Source: epoll(7), epoll_ctl(2), epoll_wait(2).
 */
#pragma once

#include "base/abi/linux/poll.h"
#include "base/compiler.h"

struct file;
struct task;

int epoll_create(struct task *t, struct file **ret) must_check;
size_t epoll_item_count(struct file *ep); /* how many events there may be at once */
bool file_is_epoll(const struct file *f);
/* op: LINUX_EPOLL_CTL_*. fd is the descriptor that `target` was found at: interest is per (descriptor, open
 * file). */
int epoll_control(struct file *ep, int op, int fd, struct file *target,
                  const struct linux_epoll_event *event) must_check;
/* Collects at most `max` events, waiting until `deadline` for the first. Number, or -ERESTARTSYS... (made
 * -EINTR by the callers). OWN THREAD. */
int epoll_collect(struct task *t, struct file *ep, struct linux_epoll_event *ret, int max,
                  int64_t deadline) must_check;
/* The last reference of `f` is going: takes it out of every epoll file. No locks held. */
void epoll_file_gone(struct file *f);
