/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/mount.h: mounts and mount namespaces. Source: mount(2), mount_namespaces(7), umount2(2),
 * pivot_root(2).
 *
 * One lock for all mount trees of the kernel (RANK_MOUNTS, in struct vfs): changes are rare; crossing a mount
 * point takes it for a look-up only when dentry.mounts is not zero. A mount is kept by its namespace (or its
 * parent mount) and by paths.
 */
#pragma once

#include "base/list.h"
#include "base/ref.h"
#include "sentry/kernel/waitq.h"
#include "sentry/vfs/path.h"

struct file;
struct filesystem;
struct kernel;
struct mnt_ns;
struct mount_options;
struct task;
struct user_ns;
struct vfs_view;

enum mount_flags {
    MOUNT_READONLY = 1,
    MOUNT_NOSUID = 2,
    MOUNT_NODEV = 4,
    MOUNT_NOEXEC = 8,
    MOUNT_NOATIME = 16,
    MOUNT_NODIRATIME = 32,
    MOUNT_RELATIME = 64,
    MOUNT_NOSYMFOLLOW = 256,
    MOUNT_USER_FLAGS = 0x1ff,
    MOUNT_LOCKED = 512 /* came from a more privileged namespace: may not be unmounted alone */,
    MOUNT_INTERNAL = 1024,
    MOUNT_LOCK_FLAGS = 2048 /* and its read-only, nosuid, ... flags may not be cleared */,
    MOUNT_EXPIRY_MARK = 4096, /* umount2(MNT_EXPIRE) was here ... */
    MOUNT_EXPIRY_FRESH = 8192 /* ... and nobody crossed since: the next crossing may be its second call's */,
};
enum propagation { PROPAGATE_PRIVATE, PROPAGATE_SHARED, PROPAGATE_SLAVE, PROPAGATE_UNBINDABLE };

struct mount {
    struct ref ref;
    struct filesystem *fs; /* reference */
    struct dentry *root;   /* reference: what of the file system is shown */
    int id;
    char *source;             /* as given, for mountinfo */
    _Atomic uint32_t flags;   /* enum mount_flags; changed with RANK_MOUNTS */
    _Atomic uint32_t writers; /* files open for writing: remount read-only is busy */
    /* RANK_MOUNTS: */
    struct mnt_ns *ns;         /* NULL: detached */
    struct mount *parent;      /* reference; NULL: root of its namespace or detached */
    struct dentry *mountpoint; /* reference: in parent's tree */
    struct list children, child_node, ns_node,
        hash_node;                /* a mount in its parent's children is kept by a reference from there */
    enum propagation propagation; /* SHARED: has peers; a slave that is shared too has both groups */
    int peer_group, master_group; /* 0: none; ids as in mountinfo */
    struct list peer_node;        /* all mounts with a group: vfs.grouped */
    int copied_from;              /* id of the mount that it was copied from (mnt_ns_translate) */
    struct mount *copy;           /* scratch of tree copies, valid while RANK_MOUNTS is held */
    struct path put;              /* scratch of mounts_put(): references that wait to be dropped */
};
DECLARE_REF(mount);

struct mnt_ns {
    struct ref ref;
    struct kernel *kernel;
    struct user_ns *user_ns; /* reference */
    uint64_t inode;
    _Atomic uint64_t event; /* counts changes, for poll on /proc/PID/mounts; changed with RANK_MOUNTS */
    struct mount *root;     /* reference */
    struct list mounts;     /* RANK_MOUNTS; by id */
    size_t count;           /* at most MOUNTS_MAX: -ENOSPC */
    struct waitq changed;   /* LINUX_POLLPRI|POLLERR of /proc/PID/mounts */
    bool anonymous;         /* a detached tree's: no task is in it. Constant */
};
enum { MOUNTS_MAX = 100000 };
DECLARE_REF(mnt_ns);

/* A namespace whose root is a new mount of `fs`, which keeps a reference of its own. */
int mnt_ns_new(struct kernel *k, struct filesystem *fs, uint32_t flags, struct user_ns *user_ns,
               struct mnt_ns **ret) must_check;
/* CLONE_NEWNS; *fs_context paths of the caller are moved to the copies by the kernel helper through
 * mnt_ns_translate(). */
int mnt_ns_copy(struct mnt_ns *from, struct user_ns *user_ns, struct mnt_ns **ret) must_check;
/* The copy of `p` in a namespace just copied from p's. New references. */
int mnt_ns_translate(struct mnt_ns *copy, const struct path *p, struct path *ret) must_check;
struct path mnt_ns_root(struct mnt_ns *ns); /* new references; topmost mount on the root */

/* Mounts `fs` on `at`; the mount keeps a reference of its own. */
int vfs_mount_fs(struct mnt_ns *ns, struct filesystem *fs, const struct path *at, uint32_t flags,
                 const char *source) must_check;
int vfs_mount_bind(struct mnt_ns *ns, const struct path *from, const struct path *at,
                   bool recursive) must_check;
/* `from` is a mount of the namespace, or the top of a detached tree. beneath: below the topmost mount on
 * `at`, which must be the root of that mount. */
int vfs_mount_move(struct mnt_ns *ns, const struct path *from, const struct path *at,
                   bool beneath) must_check;
int vfs_umount(struct mnt_ns *ns, const struct path *at, int flags /* LINUX_MNT_* */) must_check;
/* Flags of one mount (MS_REMOUNT|MS_BIND); vfs_remount_fs: of the file system too, with its options. */
int vfs_remount(struct mnt_ns *ns, const struct path *at, uint32_t flags) must_check;
int vfs_remount_fs(struct mnt_ns *ns, const struct path *at, uint32_t flags,
                   const struct mount_options *o) must_check;
/* Moves the root of ns to new_root and the old one to put_old. Tasks whose root or cwd was the old root are
 * moved by the system call. */
int vfs_pivot_root(const struct vfs_view *v, struct mnt_ns *ns, const struct path *new_root,
                   const struct path *put_old) must_check;
int vfs_set_propagation(struct mnt_ns *ns, const struct path *at, enum propagation p,
                        bool recursive) must_check;
/* `to` joins the peer group, and gets the master, of `from`: MOVE_MOUNT_SET_GROUP. */
int vfs_mount_set_group(struct mnt_ns *ns, const struct path *from, const struct path *to) must_check;

/* Detached trees (mount_tree.c). The file is an O_PATH file of the tree's root and keeps the tree, in a
 * namespace of its own, until it is closed or vfs_mount_move() puts the tree somewhere. */
int vfs_tree_clone(struct task *t, const struct path *from, bool recursive, struct file **ret) must_check;
int vfs_tree_of_fs(struct task *t, struct filesystem *fs, uint32_t flags, const char *source,
                   struct file **ret) must_check;

/* What mount_setattr(2) changes: flags of MOUNT_USER_FLAGS to clear, then to set. */
struct mount_change {
    uint32_t clear, set;
    bool propagate; /* set `propagation` too */
    enum propagation propagation;
};
/* All or nothing: -EINVAL (not a mount's root, not of this namespace nor a detached tree's), -EPERM (locked
 * flags), -EBUSY (writers). */
int vfs_mount_setattr(struct mnt_ns *ns, const struct path *at, const struct mount_change *c,
                      bool recursive) must_check;

/* The number by which statmount(2) knows a mount: never used again. */
#define MOUNT_UNIQUE_BASE (1ull << 31)
static inline uint64_t mount_unique_id(const struct mount *m) {
    return MOUNT_UNIQUE_BASE + (uint64_t)m->id;
}

/* The mount on `p`, topmost first: crosses while something is mounted there. Takes and gives references in
 * *p. True if it moved. */
bool path_cross_mounts(struct path *p);
/* From a mount's root to its mount point, once; false at the namespace's root. References as above. */
bool path_cross_up(struct path *p);
/* Calls fn for each mount visible from `root`, by id, with its mount point's text: /proc/PID/mounts,
   mountinfo. A snapshot; no lock is held in fn, `m` is kept while it runs, and parent_id is that of its
   parent (its own for the root). 0 or -ENOMEM. */
int mnt_ns_for_each(struct mnt_ns *ns, const struct path *root,
                    void (*fn)(const struct mount *m, int parent_id, const char *mountpoint, void *arg),
                    void *arg) must_check;
/* Where in its file system the mount's root lies: heap text, NULL: no memory. May block for locks alone. */
char *mount_root_text(const struct mount *m) must_check;
/* New reference to the mount of that unique id in `ns`, or NULL; what it hangs on: its own id for a root. */
struct mount *mnt_ns_find(struct mnt_ns *ns, uint64_t unique_id, int *ret_parent_id);

/* Once a kernel: dentry cache, mount lock, anonymous mount. */
int vfs_create(struct kernel *k) must_check;
void vfs_destroy(struct kernel *k);
/* The mount on which memfds live: a tmpfs that no name leads to, made at the first call. New reference. */
int vfs_internal_tmpfs(struct kernel *k, struct mount **ret) must_check;

/* The number that an option holds: all of `text`, at most 32 bits. -EINVAL. */
int mount_option_number(const char *text, int base, uint32_t *ret) must_check;
