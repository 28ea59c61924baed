/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/aio.h: asynchronous input and output of old (io_submit and its kind). Source: aio(7) is
 * libc's own; io_setup(2), io_submit(2), io_getevents(2), io_cancel(2), io_destroy(2).
 *
 * A context is named by an address: a page is mapped there, as on Linux, but it holds no ring that libraries
 * could read by themselves (its magic is zero, so they ask). It belongs to the address space and ends with
 * it.
 *
 * Reads, writes and syncs are done while they are submitted, as Linux does where data is in the page cache;
 * their results wait in the context. A poll waits for its file: when the file's queue calls, the poll is
 * marked, and whoever collects asks the file.
 */
#pragma once

#include "base/compiler.h"
#include "base/list.h"
#include "base/mutex.h"

struct aio_context;
struct aio_table;
struct file;
struct task;

enum { AIO_MAX_REQUESTS = 65536 }; /* of all contexts of an address space: /proc/sys/fs/aio-max-nr */

struct aio_event {
    uint64_t data, object;
    int64_t result, result2;
};

/* Each: OWN THREAD of t, for contexts of its address space. */
/* -EAGAIN (too many), -ENOMEM. *ret: the context's name. */
int aio_setup(struct task *t, unsigned requests, uint64_t *ret) must_check;
int aio_destroy(struct task *t, uint64_t id) must_check; /* -EINVAL. May block */
/* New reference, or NULL. */
struct aio_context *aio_get(struct task *t, uint64_t id);
void aio_put(struct aio_context *c);
/* Room for one more request: until its aio_complete(). -EAGAIN. */
int aio_reserve(struct aio_context *c) must_check;
void aio_unreserve(struct aio_context *c);
/* The request is done; the event waits to be collected, and tells `notify` (an eventfd, or NULL). */
void aio_complete(struct aio_context *c, const struct aio_event *event, struct file *notify);
struct aio_poll_request {
    struct file *file, *notify; /* references: taken on success; notify may be NULL */
    uint32_t events;            /* LINUX_POLL* */
    uint64_t data, object;
};
int aio_poll_start(struct aio_context *c, const struct aio_poll_request *r) must_check; /* -ENOMEM */
/* The poll that was submitted as `object` ends: its event has no events. -EINPROGRESS, or -EINVAL: there is
 * none. */
int aio_cancel(struct aio_context *c, uint64_t object) must_check;
/* At most max events, once at least min are there or `deadline` has come: how many, -ERESTARTSYS if none. May
 * block. */
int aio_collect(struct task *t, struct aio_context *c, struct aio_event *ret, unsigned min, unsigned max,
                int64_t deadline) must_check;

/* An address space ends. Takes NULL. */
void aio_table_free(struct aio_table *table);
