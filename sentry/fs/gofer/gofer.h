/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/gofer/gofer.h: file systems whose files lie on the host, behind a gofer (gofer/protocol.h).
 *
 * A session is one connection to one gofer; each of its roots can be mounted (type "gofer") any number of
 * times by boot. Once a file is open, reads, writes and mappings go to its donated descriptor without a
 * message.
 *
 * What is cached depends on the root (DESIGN 8):
 *   exclusive  everything, until this sandbox changes it
 *   watched    names (absent ones too), attributes and listings, until the host's inotify says that they
 * changed; events are in the queue before the changing process's own call returns, and the queue is read
 * before a cached name is used shared     names are asked for again at each use, attributes at each stat,
 * listings at each opendir
 *
 * Sources: DESIGN 8, inotify(7), gVisor's gofer package comment (lock order).
 */
#pragma once

#include "base/ref.h"

struct gofer_session;
struct kernel;

/* Takes sock. Says HELLO. New reference; file systems keep their own. */
int gofer_session_create(struct kernel *k, int sock, struct gofer_session **ret) must_check;
DECLARE_REF(gofer_session);
/* For POLLHUP: the gofer has ended. Borrowed. */
int gofer_session_fd(const struct gofer_session *s);
/* For POLLIN: events of the host wait. -1: none will. Borrowed. */
int gofer_session_event_fd(const struct gofer_session *s);
/* Reads waiting events; done before cached names are used anyway. May block. */
void gofer_session_drain(struct gofer_session *s);
size_t gofer_session_root_count(const struct gofer_session *s);

/* mount_options.internal for filesystem_create(k, "gofer", ...); copied. */
struct gofer_mount {
    struct gofer_session *session; /* borrowed; the file system takes its own reference */
    size_t root;                   /* position in the gofer's configuration */
    unsigned layer;                /* struct filesystem.layer: 1 below an overlay */
};
