/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/users.h: what is counted per user: processes (RLIMIT_NPROC) and queued signals
 * (RLIMIT_SIGPENDING). setrlimit(2).
 */
#pragma once

#include "base/list.h"
#include "base/mutex.h"
#include "sentry/kernel/creds.h"

struct user_account {
    struct list node; /* table.buckets */
    kuid_t uid;
    uint32_t refs;             /* table.lock */
    _Atomic int64_t processes; /* tasks */
    _Atomic int64_t signals;
    _Atomic int64_t files_in_flight; /* sent over unix sockets, not yet received: RLIMIT_NOFILE */
    _Atomic int64_t message_bytes;   /* of POSIX queues: RLIMIT_MSGQUEUE */
};

enum { USER_BUCKETS = 64 };
struct user_table {
    struct mutex lock; /* RANK_LEAF */
    struct list buckets[USER_BUCKETS];
};

struct user_table *user_table_new(void);
void user_table_free(struct user_table *t);
/* New reference; NULL: no memory. */
struct user_account *user_account_get(struct user_table *t, kuid_t uid);
struct user_account *user_account_ref(struct user_table *t, struct user_account *a);
void user_account_put(struct user_table *t, struct user_account *a); /* takes NULL */
