/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/mqueue/mqueue_internal.h: what the files of this folder share.
 */
#pragma once

#include "base/abi/linux/ipc.h"
#include "sentry/kernel/ipc/ipc_ns.h"
#include "sentry/kernel/users.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

struct pid;

struct mqueue_fs {
    struct filesystem base;
    struct mutex lock; /* RANK_LEAF */
    struct ipc_ns *ns; /* lock; borrowed; NULL: it has ended */
    _Atomic uint64_t next_ino;
};

/* A name in the root. Its directory's dir_lock. */
struct mqueue_entry {
    struct list node; /* root.entries */
    char name[256];
    size_t name_len;
    struct inode *inode; /* reference */
    uint64_t cookie;
};

enum { NOTIFY_COOKIE = 32, NOTIFY_WOKEN = 1, NOTIFY_REMOVED = 2 }; /* <linux/mqueue.h> */

/* Who wants to hear of the next message to an empty queue: mq_notify(3). */
struct mqueue_notice {
    struct pid *process; /* reference; NULL: nobody */
    struct file *file;   /* borrowed: through which it was asked for */
    struct file *socket; /* reference, of SIGEV_THREAD: the netlink socket at which libc's thread reads */
    int kind, signal;
    uint64_t value;
    unsigned char cookie[NOTIFY_COOKIE]; /* what it reads; the last byte says why */
};

struct mqueue_inode {
    struct inode base;
    int64_t atime_ns, mtime_ns, ctime_ns; /* base.lock */
    uint32_t nlink;                       /* base.lock */
    /* The root: dir_lock. */
    struct list entries; /* of mqueue_entry.node, oldest first */
    uint64_t last_cookie;
    /* A queue. */
    int64_t max_messages, message_size;
    struct user_account *account; /* reference: who pays for it */
    uint64_t charged;             /* bytes, against RLIMIT_MSGQUEUE */
    struct waitq queue;           /* POLLIN and POLLOUT; senders and receivers sleep here too */
    struct mutex lock;            /* RANK_EVENT; the rest */
    struct list messages;         /* of message.node: by priority (message.type), then oldest first */
    uint64_t count, bytes;
    unsigned receivers; /* that sleep: no notification then */
    struct mqueue_notice notice;
};

static inline struct mqueue_inode *mqueue_inode_of(struct inode *i) {
    return container_of(i, struct mqueue_inode, base);
}
static inline struct mqueue_fs *mqueue_fs_of(struct filesystem *fs) {
    return container_of(fs, struct mqueue_fs, base);
}

/* mqueue_queue.c */
void mqueue_init(struct mqueue_inode *q);
void mqueue_done(struct mqueue_inode *q);
int mqueue_file_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
                     struct file **ret) must_check;
