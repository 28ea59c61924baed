/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/vfs.h: file systems, inodes, dentries, mounts, and the one path walk. Source: path_resolution(7), openat2(2), mount_namespaces(7).
 *
 * Objects and references:
 *   filesystem   one mounted instance of a type; kept by its mounts and inodes
 *   inode        a file; kept by its dentries, open files and watches; embedded FIRST in the file system's own struct
 *   dentry       a name in a directory, positive (with an inode) or negative; keeps its parent; kept by paths, children, mounts, and by the bounded LRU cache
 *   mount        a file system's subtree at a place; kept by its namespace, paths in it and child mounts
 *   path         (mount, dentry), path.h;  file: file.h
 *
 * Locks: inode.dir_lock (RANK_INODE_DIR) of a directory is held over every operation that looks up, adds or removes a name in it, gofer requests included; a
 * rename takes filesystem.rename_lock and then both directories, ancestor first, else by address. inode.lock (RANK_INODE) protects data, size and attributes.
 * A file system that is a layer below another has the LOWER ranks (filesystem.layer). The dentry cache's locks are inner and never held over an operation.
 *
 * Names are at most NAME_MAX (255) bytes, paths PATH_MAX (4096), symlinks 40 deep.
 */
#pragma once

#include "base/abi/linux/stat.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/waitq.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/path.h"

struct dentry;
struct filesystem;
struct fs_context;
struct inode;
struct pid_ns;
struct user_ns;
struct kernel;
struct mnt_ns;
struct task;

/* ---- attributes ---- */

struct kstat {
    uint64_t ino, size, blocks, nlink;
    uint32_t mode;     /* type and permissions: LINUX_S_* */
    kuid_t uid;
    kgid_t gid;
    uint32_t blksize;
    uint64_t dev, rdev; /* Linux's huge encoding: makedev(3) */
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns; /* since the epoch; btime INT64_MIN: unknown */
    uint64_t attributes, attributes_mask;           /* statx */
};

enum setattr_mask { SETATTR_MODE = 1, SETATTR_UID = 2, SETATTR_GID = 4, SETATTR_SIZE = 8, SETATTR_ATIME = 16, SETATTR_MTIME = 32, SETATTR_CTIME = 64,
                    SETATTR_ATIME_NOW = 128, SETATTR_MTIME_NOW = 256, SETATTR_KILL_PRIV = 512 /* clear set-id bits and file caps as write and truncate do */ };
struct setattr {
    uint32_t mask, mode;
    kuid_t uid;
    kgid_t gid;
    uint64_t size;
    int64_t atime_ns, mtime_ns;
};

struct kstatfs {
    uint64_t type, bsize, blocks, bfree, bavail, files, ffree, namelen, frsize, flags;
    uint32_t fsid[2];
};

/* ---- file systems ---- */

struct mount_options {
    const char *source, *data; /* data: comma-separated, as mount(2) */
    uint32_t flags;            /* MOUNT_* */
    const struct creds *creds;
    struct user_ns *user_ns;
    struct pid_ns *pid_ns;     /* of the mounter: what proc shows */
    void *internal;            /* boot's own arguments (gofer connection, overlay layers); type specific; NULL from the guest */
};

struct fs_type {
    const char *name;
    bool user_mountable;  /* by a guest with CAP_SYS_ADMIN in its user namespace */
    bool needs_device;
    struct fs_type *next; /* registered list: set-up only */
    int (*mount)(struct kernel *k, struct fs_type *type, const struct mount_options *o, struct filesystem **ret); /* new reference with root dentry set */
};
void fs_type_register(struct fs_type *type); /* program start */
struct fs_type *fs_type_find(const char *name);

struct filesystem_ops {
    int (*statfs)(struct filesystem *fs, struct kstatfs *ret);      /* required */
    int (*sync)(struct filesystem *fs);                             /* optional: 0 */
    int (*remount)(struct filesystem *fs, const struct mount_options *o); /* optional: -EINVAL for options, 0 for flags only */
    size_t (*show_options)(struct filesystem *fs, char *buf, size_t size); /* ",mode=755" ... for /proc/mounts; optional */
    /* Is a cached dentry still true? d->inode NULL for a negative one. parent's dir_lock held. 1 yes, 0 drop it, -errno. Optional: always true. */
    int (*revalidate)(struct filesystem *fs, struct dentry *d);
    /* True if dentries with no user may stay in the cache (false: pseudo file systems whose names come and go). Absent: true. */
    void (*release)(struct filesystem *fs);                         /* frees; no inode is left. Required */
};

struct filesystem {
    struct ref ref;
    struct kernel *kernel;
    const struct filesystem_ops *ops;
    struct fs_type *type;
    uint64_t dev;              /* st_dev: anonymous device number, given by filesystem_init() */
    struct dentry *root;       /* reference */
    struct mutex rename_lock;  /* RANK_RENAME */
    unsigned layer;            /* 0: on top; 1: below an overlay: inode locks get the LOWER ranks */
    uint32_t flags;            /* FS_* */
    uint64_t magic;
};
DECLARE_REF(filesystem);
enum { FS_READONLY = 1, FS_NO_CACHE = 2 /* unused dentries are dropped at once */, FS_NOEXEC = 4 };
int filesystem_init(struct filesystem *fs, struct kernel *k, const struct filesystem_ops *ops, struct fs_type *type, unsigned layer) must_check;

/* ---- inodes ---- */

/* dir: dir_lock held by the caller, permission checked. Names are not NUL-terminated guests' strings: (name, len), no '/', not "." or "..". Every new inode comes back with
   a reference. Absent members give the errno in brackets. All may block. */
struct inode_ops {
    const char *name;
    int (*lookup)(struct inode *dir, const char *name, size_t len, struct inode **ret);      /* -ENOENT; [-ENOTDIR] */
    int (*create)(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c, struct inode **ret); /* regular file [-EPERM] */
    int (*mkdir)(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c, struct inode **ret);  /* [-EPERM] */
    int (*mknod)(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev, const struct creds *c, struct inode **ret);
    int (*symlink)(struct inode *dir, const char *name, size_t len, const char *target, const struct creds *c, struct inode **ret);
    int (*link)(struct inode *dir, const char *name, size_t len, struct inode *target);
    int (*unlink)(struct inode *dir, const char *name, size_t len, struct inode *target);
    int (*rmdir)(struct inode *dir, const char *name, size_t len, struct inode *target);    /* -ENOTEMPTY is the implementation's to find */
    /* `replaced` may be NULL. flags: LINUX_RENAME_*. Both dir_locks and rename_lock held. */
    int (*rename)(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *target, struct inode *new_dir, const char *new_name, size_t new_len,
                  struct inode *replaced, uint32_t flags);
    int (*tmpfile)(struct inode *dir, uint32_t mode, const struct creds *c, struct inode **ret); /* O_TMPFILE [-EOPNOTSUPP] */
    /* Target in heap memory (caller frees). [-EINVAL] */
    int (*readlink)(struct inode *inode, struct task *t, char **ret);
    /* Magic links (/proc/PID/fd/N, exe, cwd, root, ns/...): where it really leads, with references. Absent: follow readlink's text. */
    int (*magic_link)(struct inode *inode, struct task *t, struct path *ret);
    /* Fills *ret whole. Required. No lock held by the caller. */
    int (*getattr)(struct inode *inode, struct kstat *ret);
    /* Checks were made. Size changes included. Updates the cached attributes. [-EPERM] */
    int (*setattr)(struct inode *inode, const struct setattr *s);
    /* Replaces the generic mode check (proc's ptrace rules, remote permission). mask: MAY_*. [generic] */
    int (*permission)(struct inode *inode, const struct creds *c, unsigned mask);
    /* Makes an open file (path, flags, creds as given; allowed already). For FIFOs, sockets, devices vfs uses the node's own drivers instead. [-ENXIO] */
    int (*open)(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c, struct file **ret);
    ssize_t (*getxattr)(struct inode *inode, const char *name, void *buf, size_t size);      /* size 0: length only [-EOPNOTSUPP] */
    int (*setxattr)(struct inode *inode, const char *name, const void *value, size_t size, int flags);
    ssize_t (*listxattr)(struct inode *inode, char *buf, size_t size);
    int (*removexattr)(struct inode *inode, const char *name);
    void (*release)(struct inode *inode); /* last reference: free the object. Required */
};

enum { MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4, MAY_APPEND = 8 };

struct inode {
    struct ref ref;
    const struct inode_ops *ops;
    struct filesystem *fs;      /* reference */
    uint64_t ino;
    uint32_t type;              /* LINUX_S_IFMT bits; constant */
    uint64_t rdev;              /* of device nodes; constant */
    struct mutex dir_lock;      /* RANK_INODE_DIR: entries, if a directory */
    struct mutex lock;          /* RANK_INODE: data, size, attributes */
    /* What permission checks need: kept true by the file system (under lock when it changes), read without. */
    _Atomic uint32_t mode;      /* permissions, 07777 */
    _Atomic uint32_t uid, gid;  /* kernel ids */
    struct mutex locks_lock;    /* RANK_FILE_LOCKS */
    struct list posix_locks, flocks, leases;
    struct waitq locks_queue;
    _Atomic int32_t write_count; /* open writers > 0, denied (running program) < 0 */
    struct inode_node *node;    /* FIFO's pipe, bound socket, ...: what vfs hangs here; locks_lock */
    struct list watches;        /* inotify marks; locks_lock */
    bool dead_dir;              /* removed directory: no new entries; dir_lock */
};
DECLARE_REF(inode);
void inode_init(struct inode *i, const struct inode_ops *ops, struct filesystem *fs, uint64_t ino, uint32_t mode_and_type, kuid_t uid, kgid_t gid);
void inode_done(struct inode *i); /* what every release() ends with */
static inline bool inode_is_dir(const struct inode *i) {
    return (i->type & 0170000) == 0040000;
}

/* ---- dentries (sentry/vfs/dentry.c) ---- */

struct dentry {
    struct ref ref;
    struct filesystem *fs;     /* reference */
    struct dentry *parent;     /* reference; itself for a root. Changed by rename under rename_lock and dcache lock */
    struct inode *inode;       /* reference; NULL: negative. Set once under the parent's dir_lock, cleared when the name goes */
    struct list hash_node, lru_node, child_node, children;
    uint32_t hash, name_len;
    _Atomic uint32_t mounts;   /* mounts on it, in any namespace */
    _Atomic bool unhashed;     /* name is gone: "(deleted)" */
    char *name;                /* heap string; replaced on rename */
};
DECLARE_REF(dentry);
struct dentry *dentry_new_root(struct filesystem *fs, struct inode *inode /* taken */);
/* Cached or looked up child: new reference, maybe negative. Parent's dir_lock is taken inside. -errno. */
int dentry_lookup(struct dentry *parent, const char *name, size_t len, struct dentry **ret) must_check;
/* Drops what is cached below a directory or for a name (coherence with the host). */
void dentry_invalidate(struct dentry *parent, const char *name, size_t len);
void dentry_invalidate_tree(struct dentry *d);
/* Path text of `p` as seen from `root`, in heap memory; "(unreachable)" and " (deleted)" as Linux. */
int path_text(const struct path *p, const struct path *root, char **ret) must_check;

/* ---- the view from which names are resolved ---- */

struct vfs_view {
    struct path root, cwd;       /* borrowed by the caller's references */
    const struct creds *creds;   /* borrowed */
    struct task *task;           /* for magic links, descriptors, limits; NULL while boot builds a container */
};
/* Takes references of root and cwd; end with vfs_view_done(). */
void vfs_view_of(struct task *t, struct vfs_view *ret);
void vfs_view_done(struct vfs_view *v);

enum lookup_flags {
    LOOKUP_FOLLOW = 1,        /* last component's symlink too */
    LOOKUP_DIRECTORY = 2,     /* must be a directory */
    LOOKUP_EMPTY = 4,         /* AT_EMPTY_PATH */
    LOOKUP_NO_XDEV = 8, LOOKUP_NO_MAGICLINKS = 16, LOOKUP_NO_SYMLINKS = 32, LOOKUP_BENEATH = 64, LOOKUP_IN_ROOT = 128, LOOKUP_CACHED = 256,
    LOOKUP_REAL_CREDS = 512,  /* access(2): real ids */
};
#define LINUX_AT_FDCWD_ (-100)

/* Resolves `name` from dirfd (needs view->task unless AT_FDCWD or absolute). New references in *ret; the dentry is positive. */
int path_lookup(const struct vfs_view *v, int dirfd, const char *name, unsigned flags, struct path *ret) must_check;
/* All but the last component: parent directory and the last name (points into `name`; "." and ".." and "/" are told by type). */
enum last_type { LAST_NORMAL, LAST_DOT, LAST_DOTDOT, LAST_ROOT };
struct last_component {
    const char *name;
    size_t len;
    enum last_type type;
    bool trailing_slash;
};
int path_lookup_parent(const struct vfs_view *v, int dirfd, const char *name, unsigned flags, struct path *ret, struct last_component *ret_last) must_check;

/* ---- operations on paths; used by system calls and by boot ---- */

struct open_request {
    int dirfd;
    uint32_t flags;   /* LINUX_O_* */
    uint32_t mode;    /* for O_CREAT, umask applied already */
    unsigned resolve; /* LOOKUP_NO_* etc. of openat2 */
};
int vfs_open(const struct vfs_view *v, const char *name, const struct open_request *o, struct file **ret) must_check;
/* Opens what a path leads to (exec, magic links, donated). */
int vfs_open_path(const struct vfs_view *v, const struct path *p, uint32_t flags, struct file **ret) must_check;
int vfs_mkdir(const struct vfs_view *v, int dirfd, const char *name, uint32_t mode) must_check;
int vfs_mknod(const struct vfs_view *v, int dirfd, const char *name, uint32_t mode, uint64_t rdev) must_check;
int vfs_symlink(const struct vfs_view *v, const char *target, int dirfd, const char *name) must_check;
int vfs_link(const struct vfs_view *v, int old_dirfd, const char *old_name, int new_dirfd, const char *new_name, unsigned flags) must_check;
int vfs_unlink(const struct vfs_view *v, int dirfd, const char *name) must_check;
int vfs_rmdir(const struct vfs_view *v, int dirfd, const char *name) must_check;
int vfs_rename(const struct vfs_view *v, int old_dirfd, const char *old_name, int new_dirfd, const char *new_name, uint32_t flags) must_check;
int vfs_getattr(const struct path *p, struct kstat *ret) must_check;
int vfs_setattr(const struct vfs_view *v, const struct path *p, const struct setattr *s) must_check; /* with all checks of chmod, chown, utimes, truncate */
int inode_permission(struct inode *i, const struct creds *c, unsigned mask) must_check; /* and the mount's read-only state is checked by callers */
/* The mode bits' own answer, with CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: what inode_permission() uses when the op is absent. */
int inode_permission_generic(struct inode *i, const struct creds *c, unsigned mask) must_check;
int vfs_statfs(const struct path *p, struct kstatfs *ret) must_check;
/* execve: regular, executable, on an exec mount, not open for writing (ETXTBSY; the denial lasts while the file is referenced). */
int vfs_open_exec(const struct vfs_view *v, int dirfd, const char *name, int at_flags, struct file **ret) must_check;
/* Connecting and binding of unix sockets by name: what hangs on the inode (inode.node). */
int vfs_bind_socket(const struct vfs_view *v, const char *name, uint32_t mode, struct path *ret) must_check;

/* Event for inotify/fanotify (LINUX_IN_*): on the inode and, with a name, on its parent. */
void vfs_notify(struct dentry *d, uint32_t mask, uint32_t cookie);

/* ---- device nodes ---- */

struct device_driver {
    const char *name;
    uint32_t type;    /* LINUX_S_IFCHR or S_IFBLK */
    uint32_t major, minor_first, minor_count;
    int (*open)(struct inode *node, const struct path *path, uint32_t flags, const struct creds *c, struct task *t, struct file **ret);
    struct device_driver *next;
};
void device_driver_register(struct device_driver *d); /* program start */
struct device_driver *device_driver_find(uint32_t type, uint64_t rdev);
