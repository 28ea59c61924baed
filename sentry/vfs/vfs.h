/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/vfs.h: file systems, inodes, dentries, mounts, and the one path walk. Source:
 * path_resolution(7), openat2(2), mount_namespaces(7).
 *
 * Objects and references:
 *   filesystem   one mounted instance of a type. filesystem_ref(): its users (mounts, layers of an overlay);
 * when the last is gone the root and all cached dentries are dropped. Its memory is kept by its inodes and
 * dentries as well (fs->held), and `release` comes when none is left inode        a file; kept by its
 * dentries, open files and watches; embedded FIRST in the file system's own struct dentry       a name in a
 * directory, positive (with an inode) or negative, for life; keeps its parent; kept by paths, children,
 * mounts, and by the bounded LRU cache. A negative dentry whose name comes into being is replaced, not
 * changed mount        a file system's subtree at a place; kept by its namespace, paths in it and child
 * mounts path         (mount, dentry), path.h;  file: file.h
 *
 * Locks: inode.dir_lock (RANK_INODE_DIR) of a directory is held over every operation that looks up, adds or
 * removes a name in it, gofer requests included; a rename takes filesystem.rename_lock and then both
 * directories, ancestor first, else by address. inode.lock (RANK_INODE) protects data, size and attributes.
 * A file system that is a layer below another has the LOWER ranks (filesystem.layer). The dentry cache's
 * locks are inner and never held over an operation: dentry.lock (RANK_DCACHE) protects parent, name and
 * children; the hash has striped locks (RANK_DCACHE_HASH), the LRU one of its own (RANK_DCACHE_LRU).
 *
 * Names are at most NAME_MAX (255) bytes, paths PATH_MAX (4096), symlinks 40 deep.
 */
#pragma once

#include "base/abi/linux/stat.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/ref.h"
#include <sys/types.h>

#include "sentry/kernel/creds.h"
#include "sentry/kernel/waitq.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/posix_acl.h"

struct dentry;
struct filesystem;
struct fs_context;
struct inode;
struct ipc_ns;
struct pid_ns;
struct user_ns;
struct kernel;
struct mnt_ns;
struct task;

/* ---- attributes ---- */
struct kstat {
    uint64_t ino, size, blocks, nlink;
    uint32_t mode; /* type and permissions: LINUX_S_* */
    kuid_t uid;
    kgid_t gid;
    uint32_t blksize;
    uint64_t dev, rdev;                             /* Linux's huge encoding: makedev(3) */
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns; /* since the epoch; btime INT64_MIN: unknown */
    uint64_t attributes, attributes_mask;           /* statx */
};

enum setattr_mask {
    SETATTR_MODE = 1,
    SETATTR_UID = 2,
    SETATTR_GID = 4,
    SETATTR_SIZE = 8,
    SETATTR_ATIME = 16,
    SETATTR_MTIME = 32,
    SETATTR_CTIME = 64,
    SETATTR_ATIME_NOW = 128,
    SETATTR_MTIME_NOW = 256,
    SETATTR_KILL_PRIV = 512 /* clear set-id bits and file caps as write and truncate do */
};
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
    struct pid_ns *pid_ns;  /* of the mounter: what proc shows */
    struct task *view_task; /* the mounting task, for names and descriptors among the options; NULL: boot */
    struct ipc_ns *ipc_ns;  /* what mqueue shows; NULL: that of view_task */
    void *internal; /* boot's own arguments (gofer connection, overlay layers); type specific; NULL from the
                       guest */
};

/* Constant data of the program: a file system in the heap may point at it (docs/kernel.md). */
struct fs_type {
    const char *name;
    bool user_mountable; /* by a guest with CAP_SYS_ADMIN in its user namespace */
    bool needs_device;
    /* Is o->data, one option, right? For fsconfig(2). -ENOENT: no such option, -EINVAL. Optional: none is
       known. */
    int (*check_option)(struct kernel *k, const struct mount_options *o);
    int (*mount)(struct kernel *k, const struct fs_type *type, const struct mount_options *o,
                 struct filesystem **ret); /* new reference with root dentry set */
};
void fs_type_register(
    const struct fs_type *type); /* program start, from constructors; at most FS_TYPES_MAX */
const struct fs_type *fs_type_find(const char *name);
/* The next at *position, which starts at 0; NULL at the end. */
const struct fs_type *fs_type_next(unsigned *position);

struct filesystem_ops {
    int (*statfs)(struct filesystem *fs, struct kstatfs *ret); /* required */
    int (*sync)(struct filesystem *fs);                        /* optional: 0 */
    int (*remount)(struct filesystem *fs,
                   const struct mount_options *o); /* optional: -EINVAL for options, 0 for flags only */
    size_t (*show_options)(struct filesystem *fs, char *buf,
                           size_t size); /* ",mode=755" ... for /proc/mounts; optional */
    /* Is a cached dentry still true? d->inode NULL for a negative one. The parent's dir_lock may or may not
       be held (it is on the path of every look-up: be quick when nothing changed); may block. 1 yes, 0 look
       it up again (the dentry stays if `lookup` gives the same inode), -errno. Optional: always true. */
    int (*revalidate)(struct filesystem *fs, struct dentry *d);
    /* The file of an inode number, for open_by_handle_at(2): new reference; -ESTALE when it has no name any
       more. Optional: the file system's files have no handles that can be opened. */
    int (*find_inode)(struct filesystem *fs, uint64_t ino, struct inode **ret);
    void (*release)(struct filesystem *fs); /* filesystem_done(fs), then frees; no inode is left. Required */
};

struct filesystem {
    struct ref ref;
    struct kernel *kernel;
    const struct filesystem_ops *ops;
    const struct fs_type *type;
    char *subtype;         /* heap, or NULL: as in "fuse.sshfs" */
    uint64_t dev;          /* st_dev: anonymous device number, given by filesystem_init() */
    _Atomic uint32_t held; /* 1 for the users + inodes + dentries: keeps the memory */
    struct dentry
        *root; /* reference; set by the type's mount() with dentry_new_root(); dropped with the last user */
    struct mutex rename_lock; /* RANK_RENAME */
    unsigned layer;           /* 0: on top; 1: below an overlay: inode locks get the LOWER ranks */
    unsigned stack; /* how many guests' overlays deep it is, at most FS_STACK_MAX: the STACK ranks */
    uint32_t flags; /* FS_* */
    uint64_t magic;
    struct user_ns *user_ns; /* reference: of who mounted it; NULL: the kernel's first */
};
DECLARE_REF(filesystem);
enum {
    FS_READONLY = 1,
    FS_NO_CACHE = 2, /* unused dentries are dropped at once */
    FS_NOEXEC = 4,
    FS_NODEV = 8,
    FS_TRUNC_IN_OPEN = 16,
    FS_NO_NEGATIVE = 32
};
int filesystem_init(struct filesystem *fs, struct kernel *k, const struct filesystem_ops *ops,
                    const struct fs_type *type, unsigned layer) must_check;
/* It shows files of others, the deepest of which is of that depth. Before it has inodes. -EINVAL: too deep.
 */
enum { FS_STACK_MAX = 2 };
int filesystem_stack_over(struct filesystem *fs, unsigned stack) must_check;
void filesystem_done(struct filesystem *fs); /* what every release() begins with */
/* Mounts a type by its name for boot or a guest: options checked by the type. New reference. */
int filesystem_create(struct kernel *k, const char *type, const struct mount_options *o,
                      struct filesystem **ret) must_check;

/* ---- file systems for guests (fs_make.c) ---- */

/* Has the task the capabilities that mounting such a file system takes? 0 or -EPERM. */
int fs_type_may_mount(const struct fs_type *type, struct task *t) must_check;
/* Makes one that belongs to the task's user namespace. New reference. */
int filesystem_for_guest(struct task *t, const struct fs_type *type, const struct mount_options *o,
                         struct filesystem **ret) must_check;
/* Options and read-only state (MOUNT_READONLY of o->flags) anew; the capability is the caller's to check. */
int filesystem_reconfigure(struct filesystem *fs, const struct mount_options *o) must_check;
/* May the task change it: CAP_SYS_ADMIN over its user namespace. */
bool filesystem_admin(const struct filesystem *fs, struct task *t);

/* ---- inodes ---- */

/* dir: dir_lock held by the caller, permission, read-only mounts, dead_dir, existence (a look-up found
   nothing, or `target`) and sticky bits checked. Names are not NUL-terminated guests' strings: (name, len),
   no '/', not "." or "..", 1..255 bytes. Every new inode comes back with a reference. Absent members give the
   errno in brackets. All may block. Of new inodes: `mode` is final (umask applied by the caller, type bits
   left out except for mknod); the file system chooses the owner by inode_init_owner(). Times and link counts
   of directory, target and replaced file are the file system's; it sets dead_dir nowhere (vfs does). The
   cached mode, uid and gid of struct inode are changed by the file system alone, under inode.lock, by the end
   of setattr. */
struct inode_ops {
    const char *name;
    int (*lookup)(struct inode *dir, const char *name, size_t len,
                  struct inode **ret); /* -ENOENT; [-ENOTDIR] */
    int (*create)(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c,
                  struct inode **ret); /* regular file [-EPERM] */
    int (*mkdir)(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c,
                 struct inode **ret); /* [-EPERM] */
    int (*mknod)(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
                 const struct creds *c, struct inode **ret);
    int (*symlink)(struct inode *dir, const char *name, size_t len, const char *target, const struct creds *c,
                   struct inode **ret);
    int (*link)(struct inode *dir, const char *name, size_t len, struct inode *target);
    int (*unlink)(struct inode *dir, const char *name, size_t len, struct inode *target);
    int (*rmdir)(struct inode *dir, const char *name, size_t len,
                 struct inode *target); /* -ENOTEMPTY is the implementation's to find */
    /* `replaced` may be NULL. flags: LINUX_RENAME_*. Both dir_locks and rename_lock held. */
    int (*rename)(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *target,
                  struct inode *new_dir, const char *new_name, size_t new_len, struct inode *replaced,
                  uint32_t flags);
    int (*tmpfile)(struct inode *dir, uint32_t mode, const struct creds *c,
                   struct inode **ret); /* O_TMPFILE [-EOPNOTSUPP] */
    /* Target in heap memory (caller frees). [-EINVAL] */
    int (*readlink)(struct inode *inode, struct task *t, char **ret);
    /* Magic links (/proc/PID/fd/N, exe, cwd, root, ns/...): where it really leads, with references. Absent:
     * follow readlink's text. */
    int (*magic_link)(struct inode *inode, struct task *t, struct path *ret);
    /* Fills *ret, which inode_fill_stat() has prefilled with what struct inode knows (ino, dev, rdev, type
       and mode, uid, gid, nlink 1, blksize 4096, rest 0). Required. No lock held by the caller. */
    int (*getattr)(struct inode *inode, struct kstat *ret);
    /* Checks were made; s->mode holds 07777 bits only. Size changes included. ATIME_NOW and MTIME_NOW mean
       the file system's clock; ctime always changes. KILL_PRIV drops S_ISUID, S_ISGID (if group-executable)
       and security.capability. Updates the cached mode, uid, gid. No lock held by the caller. [-EPERM] */
    int (*setattr)(struct inode *inode, const struct setattr *s);
    /* Replaces the generic mode check (proc's ptrace rules, remote permission). mask: MAY_*. [generic] */
    int (*permission)(struct inode *inode, const struct creds *c, unsigned mask);
    /* Makes an open file by file_init() (path, flags, creds as given; allowed already; O_TRUNC is done by vfs
       through setattr unless FS_TRUNC_IN_OPEN). For FIFOs, sockets, devices vfs uses the node's own drivers
       instead. Directories too. mode: file_mode_of(flags) | what the kind of file adds. [-ENXIO] */
    int (*open)(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
                struct file **ret);
    ssize_t (*getxattr)(struct inode *inode, const char *name, void *buf,
                        size_t size); /* size 0: length only [-EOPNOTSUPP] */
    int (*setxattr)(struct inode *inode, const char *name, const void *value, size_t size, int flags);
    ssize_t (*listxattr)(struct inode *inode, char *buf, size_t size);
    int (*removexattr)(struct inode *inode, const char *name);
    /* A list (borrowed; NULL: none any more) and, with an access list, the mode that goes with it. Ends with
       inode_put_acl(). [the file system has none: -EOPNOTSUPP] */
    int (*set_acl)(struct inode *inode, enum acl_kind kind, struct posix_acl *acl, uint32_t mode);
    /* INODE_* flags of chattr(1) and the like; sets inode.flags. -EOPNOTSUPP for those it does not have. [no
       such flags: -ENOTTY] */
    int (*set_flags)(struct inode *inode, uint32_t flags);
    void (*release)(struct inode *inode); /* last reference: free the object. Required */
};

/* Flags of inodes, as FS_IOC_GETFLAGS names them: ioctl_iflags(2). */
enum {
    INODE_SYNC = 0x8,
    INODE_IMMUTABLE = 0x10,
    INODE_APPEND = 0x20,
    INODE_NODUMP = 0x40,
    INODE_NOATIME = 0x80,
};

enum { MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4, MAY_APPEND = 8 };

struct inode {
    struct ref ref;
    const struct inode_ops *ops;
    struct filesystem *fs; /* reference */
    uint64_t ino;
    uint32_t type;         /* LINUX_S_IFMT bits; constant */
    uint64_t rdev;         /* of device nodes; constant */
    struct mutex dir_lock; /* RANK_INODE_DIR: entries, if a directory */
    struct mutex lock;     /* RANK_INODE: data, size, attributes */
    /* What permission checks need: kept true by the file system (under lock when it changes), read without.
     */
    _Atomic uint32_t mode;           /* permissions, 07777 */
    _Atomic uint32_t uid, gid;       /* kernel ids */
    _Atomic uint32_t flags;          /* INODE_*; likewise */
    _Atomic bool has_acl;            /* either list; written with acl_lock */
    struct mutex acl_lock;           /* RANK_LEAF */
    struct posix_acl *acls[2];       /* references, by enum acl_kind; acl_lock */
    struct mutex locks_lock;         /* RANK_FILE_LOCKS */
    struct list posix_locks, flocks; /* of struct file_lock, by start */
    struct waitq locks_queue;
    _Atomic int32_t write_count; /* open writers > 0, denied (running program) < 0 */
    _Atomic int32_t read_count;  /* files open for reading alone, if a regular file */
    struct list leases;          /* of struct lease (lease.c); locks_lock */
    _Atomic uint32_t lease_count;
    struct inode_node *node; /* FIFO's pipe, bound socket: locks_lock */
    struct list watches;     /* inotify marks; locks_lock */
    _Atomic uint32_t watch_count;
    uint8_t rw_hint; /* F_SET_RW_HINT: kept only */
    bool dead_dir;   /* removed directory: no new entries; dir_lock */
    /* Counts changes of its names behind the dentry cache, by an overlay of it; written with dir_lock. */
    _Atomic uint32_t names_changed;
};
DECLARE_REF(inode);

/* What hangs on an inode while something has it open: embedded FIRST. The owner sets and clears inode->node
 * under locks_lock. */
struct inode_node_ops {
    const char *name;
    void (*release)(struct inode_node *node); /* the inode ends with the node still on it */
};
struct inode_node {
    const struct inode_node_ops *ops;
};

/* Owner and mode of a new file in `dir`: fsuid, fsgid or the directory's group (set-group-ID directories,
   which new directories inherit; the bit is dropped from a file that `c` has no right to). *mode is adjusted.
 */
void inode_init_owner(const struct inode *dir, const struct creds *c, uint32_t type, uint32_t *mode,
                      kuid_t *ret_uid, kgid_t *ret_gid);
void inode_fill_stat(const struct inode *i, struct kstat *ret);
/* May `c` act as the owner of the file (FOWNER in a namespace that maps its ids)? inode_capable: the same for
 * any capability. */
bool inode_owner_or_capable(const struct inode *i, const struct creds *c);
bool inode_capable(const struct inode *i, const struct creds *c, int cap);
/* Guest's wall clock: ns since the epoch, for file times. */
int64_t vfs_now(struct kernel *k);
void inode_init(struct inode *i, const struct inode_ops *ops, struct filesystem *fs, uint64_t ino,
                uint32_t mode_and_type, kuid_t uid, kgid_t gid);
void inode_done(struct inode *i); /* what every release() ends with */
static inline bool inode_is_dir(const struct inode *i) {
    return (i->type & 0170000) == 0040000;
}

/* ---- dentries (sentry/vfs/dentry.c) ---- */

enum { DENTRY_INLINE_NAME = 36 };
struct dentry {
    struct ref ref;
    struct filesystem *fs; /* holds it (fs->held) */
    struct inode *inode;   /* reference; NULL: negative. Constant */
    struct mutex lock;     /* RANK_DCACHE; two: parent before child, else by address */
    struct dentry *parent; /* reference; itself for a root or an anonymous one. Changed by rename, with
                              rename_lock, both dir_locks and `lock` */
    char *name;            /* inline_name or a heap string; changed by rename like parent */
    uint32_t name_len;
    uint32_t hash;
    struct list children, child_node;      /* lock of the parent */
    struct dentry *hash_next, **hash_prev; /* the bucket's lock; hash_prev NULL: not hashed */
    struct list lru_node;                  /* RANK_DCACHE_LRU; on the LRU it has one reference from there */
    _Atomic uint32_t mounts;               /* mounts on it, in any namespace */
    _Atomic bool unhashed;                 /* name is gone: "(deleted)" */
    _Atomic bool stale;                    /* look up again before use (dentry_invalidate) */
    _Atomic bool used;                     /* since the LRU last looked */
    _Atomic uint32_t names_seen;           /* the parent's names_changed when it was looked up */
    char inline_name[DENTRY_INLINE_NAME];
};
DECLARE_REF(dentry);
/* For a type's mount(): fs->root = dentry_new_root(...). NULL: no memory (inode then still the caller's). */
struct dentry *dentry_new_root(struct filesystem *fs, struct inode *inode /* taken */) must_check;
/* Cached or looked up child: new reference, maybe negative. Parent's dir_lock is taken inside when the cache
 * has nothing. -errno (-ENOTDIR: no directory). */
int dentry_lookup(struct dentry *parent, const char *name, size_t len, struct dentry **ret) must_check;
/* The same with the parent's dir_lock held. */
int dentry_lookup_locked(struct dentry *parent, const char *name, size_t len, struct dentry **ret) must_check;
/* Below `parent` but never found: O_TMPFILE, memfds. `inode` taken on success. NULL: no memory. */
struct dentry *dentry_new_unlinked(struct dentry *parent, const char *name, struct inode *inode);
/* New reference of the parent (of itself for a root). */
struct dentry *dentry_parent(struct dentry *d);
/* New references; the name as it is now. `ret_name` of at least NAME_MAX + 1 bytes. */
struct dentry *dentry_parent_and_name(struct dentry *d, char *ret_name, size_t *ret_len);
bool dentry_is_below(struct dentry *d, struct dentry *ancestor); /* or the same */
/* Coherence with what others change: drops what is cached for a name or below a directory; what is in use is
   looked up again before its next use. Any thread; locks ranked below RANK_DCACHE may be held, but not
   dir_locks of the same file system. */
void dentry_invalidate(struct dentry *parent, const char *name, size_t len);
void dentry_invalidate_tree(struct dentry *d);
/* Path text of `p` as seen from `root`, in heap memory; "(unreachable)" and " (deleted)" as Linux. */
int path_text(const struct path *p, const struct path *root, char **ret) must_check;

/* ---- the view from which names are resolved ---- */

struct vfs_view {
    struct path root, cwd;     /* borrowed by the caller's references */
    const struct creds *creds; /* borrowed */
    struct task *task;         /* for magic links, descriptors, limits; NULL while boot builds a container */
    uint32_t umask;            /* for what is made, where no default ACL takes its place */
};
/* Takes references of root and cwd; end with vfs_view_done(). */
void vfs_view_of(struct task *t, struct vfs_view *ret);
void vfs_view_done(struct vfs_view *v);

enum lookup_flags {
    LOOKUP_FOLLOW = 1,    /* last component's symlink too */
    LOOKUP_DIRECTORY = 2, /* must be a directory */
    LOOKUP_EMPTY = 4,     /* AT_EMPTY_PATH */
    LOOKUP_NO_XDEV = 8,
    LOOKUP_NO_MAGICLINKS = 16,
    LOOKUP_NO_SYMLINKS = 32,
    LOOKUP_BENEATH = 64,
    LOOKUP_IN_ROOT = 128,
    LOOKUP_CACHED = 256,
    LOOKUP_SCOPED = LOOKUP_BENEATH | LOOKUP_IN_ROOT,
    LOOKUP_NO_MAGIC_LAST = 512, /* the last component's magic link is not followed though FOLLOW is set */
};

/* Resolves `name` from dirfd (needs view->task unless AT_FDCWD or absolute). New references in *ret; the
 * dentry is positive. */
int path_lookup(const struct vfs_view *v, int dirfd, const char *name, unsigned flags,
                struct path *ret) must_check;
/* All but the last component: parent directory and the last name (points into `name`; "." and ".." and "/"
 * are told by type). */
enum last_type { LAST_NORMAL, LAST_DOT, LAST_DOTDOT, LAST_ROOT };
struct last_component {
    const char *name;
    size_t len;
    enum last_type type;
    bool trailing_slash;
};
int path_lookup_parent(const struct vfs_view *v, int dirfd, const char *name, unsigned flags,
                       struct path *ret, struct last_component *ret_last) must_check;

/* ---- operations on paths; used by system calls and by boot ---- */

struct open_request {
    int dirfd;
    uint32_t flags;   /* LINUX_O_* */
    uint32_t mode;    /* for O_CREAT; the view's umask comes off it */
    unsigned resolve; /* LOOKUP_NO_* etc. of openat2 */
};
int vfs_open(const struct vfs_view *v, const char *name, const struct open_request *o,
             struct file **ret) must_check;
/* Opens what a path leads to (exec, magic links, donated); permission is checked. */
int vfs_open_path(const struct vfs_view *v, const struct path *p, uint32_t flags,
                  struct file **ret) must_check;
int vfs_mkdir(const struct vfs_view *v, int dirfd, const char *name, uint32_t mode) must_check;
int vfs_mknod(const struct vfs_view *v, int dirfd, const char *name, uint32_t mode, uint64_t rdev) must_check;
int vfs_symlink(const struct vfs_view *v, const char *target, int dirfd, const char *name) must_check;
int vfs_link(const struct vfs_view *v, int old_dirfd, const char *old_name, int new_dirfd,
             const char *new_name, unsigned flags) must_check;
int vfs_unlink(const struct vfs_view *v, int dirfd, const char *name) must_check;
int vfs_rmdir(const struct vfs_view *v, int dirfd, const char *name) must_check;
int vfs_rename(const struct vfs_view *v, int old_dirfd, const char *old_name, int new_dirfd,
               const char *new_name, uint32_t flags) must_check;
int vfs_getattr(const struct path *p, struct kstat *ret) must_check;
/* With all checks of chmod, chown, utimes, truncate: -EROFS, -EPERM, -EACCES, -ETXTBSY, -EINVAL. */
int vfs_setattr(const struct path *p, const struct setattr *s, const struct creds *c) must_check;
/* truncate(2): the file's own permission is checked first unless `opened` (ftruncate). */
int vfs_truncate(const struct path *p, uint64_t size, bool opened, const struct creds *c) must_check;
int inode_permission(struct inode *i, const struct creds *c, unsigned mask)
    must_check; /* file systems' read-only state is checked by path_permission */
/* The mode bits' own answer, with CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: what inode_permission() uses when
 * the op is absent. */
int inode_permission_generic(struct inode *i, const struct creds *c, unsigned mask) must_check;
/* inode_permission and, for MAY_WRITE, -EROFS of mount and file system; MAY_EXEC of a file on a noexec mount:
 * -EACCES. */
int path_permission(const struct path *p, const struct creds *c, unsigned mask) must_check;
/* Before a change: -EROFS if mount or file system is read-only. */
int path_want_write(const struct path *p) must_check;
/* xattrs with the rules of their namespaces (user., trusted., security., system.). */
ssize_t vfs_getxattr(const struct path *p, const char *name, void *buf, size_t size,
                     const struct creds *c) must_check;
int vfs_setxattr(const struct path *p, const char *name, const void *value, size_t size, int flags,
                 const struct creds *c) must_check;
ssize_t vfs_listxattr(const struct path *p, char *buf, size_t size, const struct creds *c) must_check;
int vfs_removexattr(const struct path *p, const char *name, const struct creds *c) must_check;
int vfs_statfs(const struct path *p, struct kstatfs *ret) must_check;
/* execve: regular, executable, on an exec mount, not open for writing (ETXTBSY; the denial lasts while the
 * file is referenced). */
int vfs_open_exec(const struct vfs_view *v, int dirfd, const char *name, int at_flags,
                  struct file **ret) must_check;
/* For inodes of others' making that have no name (namespaces): the file system that they belong to,
   and a path to one (takes the inode, also on failure). */
struct filesystem *anon_filesystem(struct kernel *k); /* borrowed */
int anon_path_of(struct kernel *k, struct inode *inode, const char *name, struct path *ret) must_check;
/* A path to an inode (taken, also on failure) of the mount's file system, without a name. A directory must be
 * the root: -ESTALE for others, whose entries would be cached twice. */
int path_of_inode(struct mount *m, struct inode *inode, struct path *ret) must_check;
/* Connecting and binding of unix sockets by name: what hangs on the inode (inode.node). */
int vfs_bind_socket(const struct vfs_view *v, const char *name, uint32_t mode, struct path *ret) must_check;

/* Event for inotify (LINUX_IN_*) on the inode and, with its name, on its parent; CREATE: on the parent only.
 * Costs nothing while no one watches. */
void vfs_notify(struct dentry *d, uint32_t mask, uint32_t cookie);

/* ---- /proc/sys/fs ---- */

enum vfs_setting {
    VFS_PROTECTED_FIFOS,
    VFS_PROTECTED_REGULAR,
    VFS_PROTECTED_SYMLINKS,
    VFS_PROTECTED_HARDLINKS,
    VFS_LEASES_ENABLE,
    VFS_LEASE_BREAK_TIME,
    VFS_SETTINGS
};
/* As Debian sets them at first. Any thread. */
int vfs_setting(struct kernel *k, enum vfs_setting which);
/* -EINVAL: out of its range. */
int vfs_set_setting(struct kernel *k, enum vfs_setting which, int value) must_check;

/* ---- device nodes ---- */

struct device_driver {
    const char *name;
    uint32_t type; /* LINUX_S_IFCHR or S_IFBLK */
    uint32_t major, minor_first, minor_count;
    int (*open)(struct inode *node, const struct path *path, uint32_t flags, const struct creds *c,
                struct task *t, struct file **ret);
    struct device_driver *next;
};
void device_driver_register(struct device_driver *d); /* program start */
struct device_driver *device_driver_find(uint32_t type, uint64_t rdev);
