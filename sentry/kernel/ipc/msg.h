/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ipc/msg.h: System V message queues. Source: msgget(2), msgop(2), msgctl(2).
 */
#pragma once

#include "base/compiler.h"
#include "sentry/kernel/ipc/ipc_ns.h"
#include "base/list.h"

/* A message, in the heap; its bytes in heap memory of their own. */
struct message {
    struct list node;
    int64_t type;
    uint64_t size;
    char *bytes;
};
/* For `size` bytes. NULL: no memory. */
struct message *message_new(uint64_t size);
void message_free(struct message *m); /* takes NULL */

/* Each: OWN THREAD of t; the errors and their order are those of the man page. */
int64_t msg_get(struct task *t, int32_t key, int flags);
/* Takes m on success. May block. -ERESTARTNOHAND when interrupted. */
int msg_send(struct task *t, int id, struct message *m, int flags) must_check;
/* A message, the caller's to free: a copy with MSG_COPY. May block. */
int msg_receive(struct task *t, int id, uint64_t max_size, int64_t type, int flags,
                struct message **ret) must_check;
int msg_set(struct task *t, int id, const struct linux_msqid_ds *ds) must_check;
