/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/fuse/fuse_internal.h: a connection between a mounted file system and its server, a guest process
 * that has /dev/fuse open. Source: fuse(4).
 *
 * References: a connection is kept by the open file of /dev/fuse, by its file system and by calls in
 * progress; a request by its queue and by who waits for it. It ends (fuse_abort) when either side goes.
 *
 * Locks: conn.lock (RANK_EVENT) protects queues and requests; table_lock (RANK_HOSTFD_CACHE) the inodes by
 * number; attr_lock (RANK_LEAF) an inode's attributes. A request is waited for with the locks of vfs held:
 * docs/decisions/fuse-waits.md.
 *
 * Nothing that the server says is believed before it is checked: sizes by the bounds that the request states,
 * types, modes and numbers by fuse_inode.c, names by fuse_file.c.
 */
#pragma once

#include <bsd/sys/tree.h>

#include "base/abi/linux/fuse.h"
#include "sentry/fs/fuse/fuse.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

enum {
    FUSE_DATA_MAX = 128 << 10, /* of one read or write */
    FUSE_REPLY_MAX = FUSE_DATA_MAX + 4096,
    FUSE_QUEUE_MAX = 1 << 16, /* requests without an answer: forgets, releases */
};

struct fuse_conn {
    struct ref ref;
    struct user_ns *user_ns; /* reference: whose ids the messages have */
    struct pid_ns *pid_ns;   /* reference */
    struct waitq device;     /* who reads */
    struct waitq started;    /* who waits for the first answer */
    struct mutex lock;       /* RANK_EVENT; the rest */
    struct list pending;     /* of fuse_request: not read yet */
    struct list sent;        /* read, not answered */
    uint64_t next_unique;
    uint32_t unanswered; /* pending ones that want no answer */
    uint32_t max_write;  /* bytes */
    bool init_sent, init_done;
    bool aborted;
    bool mounted;       /* by a file system, once */
    bool unmounted;     /* the file system has gone */
    struct fuse_fs *fs; /* borrowed, NULL when it has gone */
};
DECLARE_REF(fuse_conn);

enum fuse_state { FUSE_PENDING, FUSE_SENT, FUSE_DONE };

struct fuse_request {
    struct ref ref;
    struct fuse_conn *conn; /* reference */
    struct list node;       /* of pending or sent, with a reference; conn->lock, as all below */
    uint8_t *in;            /* heap: the whole message, constant */
    uint32_t in_size;
    bool wants_reply;
    uint32_t out_min, out_max;
    struct waitq done;
    enum fuse_state state;
    bool interrupted; /* the server was told so */
    uint8_t *out;     /* heap: the answer */
    uint32_t out_size;
    int error;
};
DECLARE_REF(fuse_request);

/* One call. Parts of the message behind its header; NULL: none. */
struct fuse_args {
    uint32_t opcode;
    uint64_t nodeid;
    struct {
        const void *data;
        size_t size;
    } in[3];
    uint32_t out_min, out_max; /* bytes of the answer behind its header */
    void *out;                 /* set by fuse_call(): heap, the caller frees; NULL if out_max is 0 */
    uint32_t out_size;
};

/* fuse_conn.c */
int fuse_conn_new(struct task *t, struct fuse_conn **ret) must_check;
void fuse_abort(struct fuse_conn *c, bool unmounted);
/* Asks the server and waits. -ENOTCONN: it has gone; -EINTR: the task ends; -ERESTARTNOINTR: the kernel is
   paused. task_current() is who asks. Locks below RANK_NOBLOCK may be held. */
int fuse_call(struct fuse_conn *c, struct fuse_args *a) must_check;
/* Tells it, and does not wait: FORGET, RELEASE. Any thread. */
void fuse_tell(struct fuse_conn *c, const struct fuse_args *a);
/* Puts the first message into the queue. */
int fuse_start(struct fuse_conn *c) must_check;

/* fuse_device.c */
struct file;
/* The connection of an open /dev/fuse, for the one file system that it may serve: new reference. -EINVAL: the
   file is no such, was opened in another user namespace, or serves one already. */
int fuse_device_connect(struct file *f, struct fuse_fs *fs, struct user_ns *ns,
                        struct fuse_conn **ret) must_check;

struct fuse_inode;
RB_HEAD(fuse_tree, fuse_inode);

struct fuse_fs {
    struct filesystem base; /* first */
    struct fuse_conn *conn; /* reference */
    kuid_t owner;
    kgid_t group;
    uint32_t root_mode, max_read;
    bool default_permissions, allow_other;
    /* What the server has said it has not got. */
    _Atomic bool no_open, no_opendir, no_flush, no_fsync, no_mknod, no_rename2, no_xattr;
    struct mutex table_lock;
    struct fuse_tree by_node;
};

struct memstore;
struct fuse_inode {
    struct inode base; /* first */
    uint64_t node, generation;
    RB_ENTRY(fuse_inode) entry; /* table_lock */
    bool listed;                /* table_lock */
    uint64_t lookups;           /* table_lock: what a forget gives back */
    struct mutex attr_lock;
    struct kstat attr;
    int64_t attr_until, entry_until; /* monotonic ns */
    struct memstore *pages;          /* what mappings show; base.lock. NULL: none was made */
    uint64_t pages_size;
    int64_t pages_mtime;
};

static inline struct fuse_fs *fuse_fs_of(const struct inode *i) {
    return container_of(i->fs, struct fuse_fs, base);
}
static inline struct fuse_inode *fuse_inode_of(struct inode *i) {
    return container_of(i, struct fuse_inode, base);
}
static inline struct fuse_conn *fuse_conn_of(const struct inode *i) {
    return fuse_fs_of(i)->conn;
}

/* fuse_inode.c */
int fuse_node_compare(const struct fuse_inode *a, const struct fuse_inode *b);
RB_PROTOTYPE(fuse_tree, fuse_inode, entry, fuse_node_compare)
int fuse_root_new(struct fuse_fs *fs, struct inode **ret) must_check;
/* The inode that an answer names, whose look-up it counts. New reference. -EIO: nonsense. */
int fuse_inode_get(struct fuse_fs *fs, const struct linux_fuse_entry_out *e, struct inode **ret) must_check;
/* New reference, or NULL. */
struct fuse_inode *fuse_inode_find(struct fuse_fs *fs, uint64_t node);
void fuse_attr_expire(struct inode *i);
int fuse_getattr(struct inode *inode, struct kstat *ret);
int fuse_setattr(struct inode *inode, const struct setattr *s);
int fuse_permission(struct inode *inode, const struct creds *c, unsigned mask);
ssize_t fuse_getxattr(struct inode *i, const char *name, void *buf, size_t size);
int fuse_setxattr(struct inode *i, const char *name, const void *value, size_t size, int flags);
ssize_t fuse_listxattr(struct inode *i, char *buf, size_t size);
int fuse_removexattr(struct inode *i, const char *name);
void fuse_inode_release(struct inode *i);

/* fuse_dir.c */
extern const struct inode_ops fuse_inode_ops;

/* fuse_file.c */
int fuse_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
              struct file **ret);
