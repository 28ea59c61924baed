/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/kernfs/kernfs.h: what proc, sys, dev's directories and the like are made of: files whose bytes
 * are made when they are read.
 *
 * A node's kind is a static struct kernfs_ops; the node itself is an inode with a few words of data that its
 * kind understands (a pid reference, a descriptor number). Inodes are made at look-up and live as long as a
 * dentry or file does: two look-ups of one name may give two inodes with one number, which nobody can tell.
 * Text is made anew for each read at offset 0 and kept for the file's further reads, so a reader sees one
 * consistent text.
 *
 * Owner and lifetime: `object` and `object2` hold references that kops->drop lets go of.
 */
#pragma once

#include "sentry/heap/text.h"
#include "sentry/vfs/vfs.h"

struct kernfs_inode;

/* What tells readers that a file's text has changed: POLLPRI|POLLERR of poll(2). */
struct kernfs_watch {
    struct waitq *queue;
    const _Atomic uint64_t *event; /* counts changes */
    bool seen_by_poll; /* poll(2) itself takes note of a change (mounts); else a read does (cgroup) */
    void *object;      /* reference that keeps both; let go of by drop */
    void (*drop)(void *object);
};

struct kernfs_entry {
    const char *name;
    const struct kernfs_ops *ops;
};

/* Members may be absent; what a kind has decides what it is. t: the calling task (OWN THREAD), NULL for the
   kernel's own reads. May block; no locks held but the directory's for lookup. */
struct kernfs_ops {
    uint32_t mode;                      /* LINUX_S_IFDIR | 0555 ... */
    int gone_errno;                     /* of reads and writes once `valid` says no; 0: the kind\'s own */
    const struct kernfs_entry *entries; /* a directory's fixed names, ended by {NULL} */
    /* Names besides the fixed ones. lookup: new inode, -ENOENT. list: calls emit for each name after position
     * `from` (1, 2, ... the kind's own count); stops when it says so. */
    int (*lookup)(struct kernfs_inode *dir, const char *name, size_t len, struct inode **ret);
    int (*list)(struct kernfs_inode *dir, uint64_t from, struct dir_emit *e);
    int (*show)(struct kernfs_inode *n, struct task *t, struct text *out);
    /* Directories that guests make: a new inode; removal of `target`. Absent: as in create_errno, -EPERM. */
    int (*mkdir)(struct kernfs_inode *dir, const char *name, size_t len, const struct creds *c,
                 struct inode **ret);
    int (*rmdir)(struct kernfs_inode *dir, struct kernfs_inode *target);
    /* Binary or huge files: reads at *offset themselves. */
    ssize_t (*read)(struct kernfs_inode *n, struct task *t, struct uio *to, uint64_t *offset);
    /* What a write(2) brought, copied, NUL-terminated behind len, at most 64 KiB. Bytes taken or -errno. */
    ssize_t (*store)(struct kernfs_inode *n, struct task *t, const char *data, size_t len);
    ssize_t (*write)(struct kernfs_inode *n, struct task *t, struct uio *from, uint64_t *offset);
    int (*link)(struct kernfs_inode *n, struct task *t, char **ret); /* symlink text, heap memory */
    int (*magic_link)(struct kernfs_inode *n, struct task *t, struct path *ret);
    int (*open_check)(struct kernfs_inode *n, const struct creds *c,
                      uint32_t flags);                              /* at open; 0 or -errno */
    int (*watch)(struct kernfs_inode *n, struct kernfs_watch *ret); /* at open; 0 or -errno */
    int (*permission)(struct kernfs_inode *n, const struct creds *c, unsigned mask);
    void (*owner)(struct kernfs_inode *n, kuid_t *uid, kgid_t *gid); /* of the moment; absent: as made */
    uint32_t (*permissions)(struct kernfs_inode *n); /* of the moment, 07777; absent: as in mode */
    uint64_t (*nlink)(struct kernfs_inode *n);
    int (*setattr)(struct kernfs_inode *n, const struct setattr *s); /* mode and owner; absent: -EPERM */
    bool (*valid)(struct kernfs_inode *n); /* still what its name means; absent: yes. Does not block */
    /* A fixed entry's node takes from its directory what it needs (references). */
    void (*inherit)(struct kernfs_inode *n, const struct kernfs_inode *dir);
    void (*drop)(struct kernfs_inode *n); /* lets go of object, object2 */
};

struct kernfs_inode {
    struct inode inode; /* first */
    const struct kernfs_ops *kops;
    void *object, *object2; /* references as the kind says */
    uint64_t number;
    int64_t time_ns; /* of its making */
};

static inline struct kernfs_inode *kernfs_of(struct inode *i) {
    return container_of(i, struct kernfs_inode, inode);
}
/* New node; uid and gid own it. Takes the references in object, object2 when it succeeds. ino 0: a new
 * number. */
int kernfs_new(struct filesystem *fs, const struct kernfs_ops *kops, uint64_t ino, kuid_t uid, kgid_t gid,
               void *object, void *object2, uint64_t number, struct inode **ret) must_check;
/* A child of `dir` of the given kind, with what kops->inherit takes; its inode number is made from the
 * directory's and the name. */
int kernfs_child(struct kernfs_inode *dir, const struct kernfs_ops *kops, const char *name, size_t len,
                 struct inode **ret) must_check;

uint64_t kernfs_child_ino(uint64_t dir_ino, const char *name, size_t len);

/* A whole pseudo file system with a root of kind `root`; `data` (a reference, taken on success) is what its
 * nodes find by kernfs_data(). For fs_type.mount. */
struct kernfs_mount_request {
    const struct fs_type *type;
    const struct kernfs_ops *root;
    uint64_t magic;
    void *data;
    size_t (*show_options)(struct filesystem *fs, char *buf,
                           size_t size); /* as in filesystem_ops; may be NULL */
    int create_errno;                    /* what making a name gives; 0: EPERM */
    void (*drop_data)(void *data);
};
int kernfs_mount(struct kernel *k, const struct kernfs_mount_request *request,
                 struct filesystem **ret) must_check;
void *kernfs_fs_data(const struct filesystem *fs);
static inline void *kernfs_data(const struct kernfs_inode *n) {
    return kernfs_fs_data(n->inode.fs);
}
