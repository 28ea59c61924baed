/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/host/host_internal.h: between the files of this folder.
 *
 * One thread a kernel (the poller) waits in epoll for all host descriptors and wakes their wait queues; it is
 * started with the first of them. Registration is edge-triggered: a task queues itself, looks (poll(2) with
 * no time-out), and only then sleeps, so no edge is missed; a descriptor that nobody waits for costs one
 * wake-up when its state changes, none while it does not.
 */
#pragma once

#include "sentry/fs/host/host.h"
#include "sentry/kernel/waitq.h"

/* What the poller calls on an event: LINUX_POLL* bits. Runs on the poller's thread, no locks held; must not
 * block. */
struct host_watch {
    void (*ready)(struct host_watch *w, uint32_t events);
    int fd;        /* borrowed until host_unwatch() */
    uint32_t slot; /* the poller's */
    bool watched;  /* false: the descriptor cannot be waited for (a regular file): always ready */
};

/* 0, or -errno; a descriptor that epoll refuses (EPERM) is no error. */
int host_watch(struct kernel *k, struct host_watch *w) must_check;
/* When this returns, ready() does not run and will not. May block for a moment. */
void host_unwatch(struct kernel *k, struct host_watch *w);
