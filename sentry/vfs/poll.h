/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/poll.h: waiting for several files at once: the core of poll and select. Source: poll(2),
 * select(2).
 */
#pragma once

#include "sentry/kernel/waitq.h"

struct file;
struct task;

struct poll_item {
    struct file *file; /* reference of the caller's, or NULL: not looked at */
    uint32_t events;   /* asked for */
    uint32_t revents;  /* out: true now, of events and LINUX_POLLERR|POLLHUP */
    struct waiter waiter;
};

/* Number of items with events, 0 at the deadline (0: do not wait), or -ERESTARTSYS. OWN THREAD. */
int poll_wait(struct task *t, struct poll_item *items, size_t count, int64_t deadline) must_check;
