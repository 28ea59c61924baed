/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/tmpfs/tmpfs_internal.h: what the files of tmpfs share.
 */
#pragma once

#include <bsd/sys/tree.h>

#include "base/abi/linux/dirent.h"
#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/vfs.h"

struct tmpfs_inode;

struct tmpfs {
    struct filesystem base;
    uint32_t mode; /* of the root, as mounted: for show_options */
    kuid_t uid;
    kgid_t gid;
    _Atomic uint64_t max_bytes;  /* 0: no limit */
    _Atomic uint64_t max_inodes; /* 0: no limit */
    _Atomic uint64_t used_bytes;
    _Atomic uint64_t used_inodes;
    _Atomic uint64_t next_ino;
    struct mutex by_ino_lock;                  /* RANK_LEAF */
    RB_HEAD(tmpfs_by_ino, tmpfs_inode) by_ino; /* every inode, without a reference */
};

enum { TMPFS_INLINE_NAME = 32, TMPFS_XATTR_MAX = 1 << 20 /* bytes of names and values per inode */ };

struct tmpfs_entry {
    RB_ENTRY(tmpfs_entry) node; /* by cookie */
    struct tmpfs_entry *hash_next;
    struct inode *inode; /* reference, and one link */
    uint64_t cookie;     /* position in getdents(2): never used again in the directory's life */
    uint32_t hash, name_len;
    char *name; /* inline_name or heap */
    char inline_name[TMPFS_INLINE_NAME];
};

/* A directory's entries: dir_lock. */
struct tmpfs_dir {
    RB_HEAD(tmpfs_entries, tmpfs_entry) entries;
    struct tmpfs_entry **buckets; /* power of two, grows; NULL while empty */
    size_t bucket_count;
    _Atomic size_t count; /* changed with dir_lock; read by getattr without */
    uint64_t last_cookie;
};

struct tmpfs_xattr {
    struct list node;
    char *name;
    size_t size;
    void *value; /* heap bytes; NULL when empty */
};

struct tmpfs_inode {
    struct inode base;
    RB_ENTRY(tmpfs_inode) by_ino;
    struct tmpfs_dir *dir; /* directories only */
    char *target;          /* symlinks only */
    /* base.lock: */
    struct memstore *store; /* regular files, made with the first byte */
    uint64_t charged;       /* bytes of the file system's limit that this file takes */
    bool sparse;            /* may have holes below its size */
    bool linkable;          /* O_TMPFILE: may get a name though it has no link */
    uint32_t nlink, seals;
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
    struct list xattrs; /* of tmpfs_xattr */
    size_t xattr_bytes;
};

static inline struct tmpfs *tmpfs_of(const struct inode *i) {
    return container_of(i->fs, struct tmpfs, base);
}
static inline struct tmpfs_inode *tmpfs_inode_of(struct inode *i) {
    return container_of(i, struct tmpfs_inode, base);
}

extern const struct inode_ops tmpfs_dir_inode_ops, tmpfs_file_inode_ops, tmpfs_link_inode_ops,
    tmpfs_node_inode_ops;

/* tmpfs_inode.c. A new inode without a link; owner from `dir` (NULL: as given in uid, gid). -ENOSPC, -ENOMEM.
 */
int tmpfs_inode_new(struct tmpfs *fs, const struct inode *dir, uint32_t mode_and_type, uint64_t rdev,
                    const struct creds *c, struct tmpfs_inode **ret) must_check;
int tmpfs_find_inode(struct filesystem *fs, uint64_t ino, struct inode **ret) must_check;
int tmpfs_getattr(struct inode *i, struct kstat *ret);
int tmpfs_setattr(struct inode *i, const struct setattr *s);
int tmpfs_set_acl(struct inode *i, enum acl_kind kind, struct posix_acl *acl, uint32_t mode);
int tmpfs_set_flags(struct inode *i, uint32_t flags);
void tmpfs_release(struct inode *i);
/* ctime and mtime of a directory whose entries changed; subdirs: change of the link count. */
void tmpfs_dir_changed(struct inode *dir, int subdirs);
/* Links come and go: ctime changes too. */
void tmpfs_link_change(struct inode *i, int by);
bool tmpfs_charge(struct tmpfs *fs, uint64_t bytes);
void tmpfs_uncharge(struct tmpfs *fs, uint64_t bytes);

/* tmpfs_dir.c */
struct tmpfs_dir *tmpfs_dir_new(void);
void tmpfs_dir_free(struct tmpfs_dir *d); /* drops what the entries hold */
int tmpfs_dir_open(struct inode *i, const struct path *path, uint32_t flags, const struct creds *c,
                   struct file **ret);

/* tmpfs_file.c */
int tmpfs_file_open(struct inode *i, const struct path *path, uint32_t flags, const struct creds *c,
                    struct file **ret);
int tmpfs_file_set_size_locked(struct tmpfs_inode *i, uint64_t size) must_check;
/* Is a new access time due (relatime and the like)? */
bool tmpfs_atime_due(struct file *f, const struct tmpfs_inode *i, int64_t now);

/* tmpfs_xattr.c */
ssize_t tmpfs_getxattr(struct inode *i, const char *name, void *buf, size_t size);
int tmpfs_setxattr(struct inode *i, const char *name, const void *value, size_t size, int flags);
ssize_t tmpfs_listxattr(struct inode *i, char *buf, size_t size);
int tmpfs_removexattr(struct inode *i, const char *name);
void tmpfs_xattrs_free(struct tmpfs_inode *i);
void tmpfs_xattr_drop_locked(struct tmpfs_inode *i, const char *name);
