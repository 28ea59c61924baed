/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/vfs_internal.h: the state of the VFS of a kernel (kernel.vfs), and what the files of this folder
 * share.
 */
#pragma once

#include "sentry/kernel/kernel.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

enum {
    DCACHE_BUCKETS = 1 << 14,
    DCACHE_STRIPES = 1 << 8, /* locks: bucket n has lock n % STRIPES */
    DCACHE_LIMIT = 32768,    /* dentries that nobody uses: beyond it the coldest go */
    MOUNT_BUCKETS = 1 << 10,
};

enum anon_fs { ANON_INODES, ANON_PIPES, ANON_SOCKETS, ANON_FS_COUNT };

struct vfs {
    struct kernel *kernel;
    /* Dentry cache. */
    uint64_t hash_seed;
    struct dentry **buckets; /* chains; the stripe's lock */
    struct mutex *stripes;   /* RANK_DCACHE_HASH */
    struct mutex lru_lock;   /* RANK_DCACHE_LRU */
    struct list lru;         /* coldest last */
    _Atomic size_t lru_count;
    /* Mounts. */
    struct mutex mounts_lock; /* RANK_MOUNTS */
    struct list *mount_hash;  /* of mount.hash_node by (parent, mountpoint) */
    struct list grouped;      /* mounts with a peer or master group */
    int last_mount_id, last_group;
    uint64_t last_ns_event;
    _Atomic uint32_t last_dev;         /* minor of anonymous device numbers */
    struct mount *anon[ANON_FS_COUNT]; /* references */
    struct mount *memfds;              /* reference; NULL until the first memfd. mounts_lock */
    _Atomic uint32_t watches;          /* inotify marks in all: events cost nothing when 0 */
    struct mutex marks_lock;           /* RANK_LEAF */
    struct list marks;                 /* all of them */
    struct list fan_marks;             /* of struct fan_mark (fanotify.h) */
    struct mutex fan_lock;             /* RANK_LEAF */
    _Atomic uint32_t fan_mark_count;   /* of that list */
    struct mutex epoll_graph;          /* RANK_EPOLL_GRAPH: who watches whom, for loop checks */
    struct mutex lock_graph;           /* RANK_FILE_LOCK_GRAPH: waiting POSIX lock owners */
    struct list blocked_locks;         /* of file_lock.c's waiters */
    struct list all_locks;             /* of file_lock.listed; also the inode's locks_lock */
    _Atomic uint32_t next_cookie;      /* inotify rename cookies */
    _Atomic int settings[VFS_SETTINGS];
};

/* settings.c: their first values. */
void vfs_settings_init(struct vfs *v);

static inline struct vfs *vfs_of(const struct filesystem *fs) {
    return fs->kernel->vfs;
}

/* dentry.c */
int dcache_create(struct vfs *v);
void dcache_destroy(struct vfs *v);
/* A new child, hashed unless the file system caches nothing; parent's dir_lock held. `inode` reference taken
 * on success; NULL: negative. */
int dentry_add(struct dentry *parent, const char *name, size_t len, struct inode *inode,
               struct dentry **ret) must_check;
/* -EAGAIN unless the cache has it for sure. */
int dentry_lookup_cached(struct dentry *parent, const char *name, size_t len, struct dentry **ret) must_check;
/* Unlinked: never found again. */
void dentry_drop(struct dentry *d);
/* The name changes (rename); rename_lock and both dir_locks held. Cannot fail once prepared. */
struct dentry_name {
    char *text; /* heap, or NULL: fits in the dentry */
    size_t len;
    const char *from;
};
int dentry_name_prepare(struct dentry_name *n, const char *name, size_t len) must_check;
void dentry_name_done(struct dentry_name *n);
void dentry_move(struct dentry *d, struct dentry *new_parent, struct dentry_name *n);
void dentry_exchange(struct dentry *a, struct dentry *b, struct dentry_name *a_gets,
                     struct dentry_name *b_gets);
struct dentry *dentry_new_anon(struct filesystem *fs, const char *name,
                               struct inode *inode /* taken on success */);
/* Drops all cached dentries of a file system that has no users any more. */
void dentry_prune_tree(struct dentry *root);

/* inode.c */
void filesystem_hold(struct filesystem *fs);
void filesystem_let_go(struct filesystem *fs);
int inode_dir_may_create(struct inode *dir, const struct creds *c) must_check;

/* mount.c */
struct mount *mount_new(struct vfs *v, struct filesystem *fs, struct dentry *root, uint32_t flags,
                        const char *source);
/* mounts_lock held: the mount on (m, d), borrowed, or NULL. */
struct mount *mount_on_locked(struct vfs *v, struct mount *m, struct dentry *d);
void mount_attach_locked(struct vfs *v, struct mount *m, struct mount *parent, struct dentry *at,
                         struct mnt_ns *ns);
/* Takes `m` (not its children) out of its parent and namespace; references go to `gone` (list of child_node),
 * to be dropped by mounts_put(). */
void mount_detach_locked(struct vfs *v, struct mount *m, struct list *gone);
void mount_detach_tree_locked(struct vfs *v, struct mount *m, struct list *gone);
void mounts_put(struct list *gone);
/* Next of `m`'s tree in depth-first order below `top`, NULL at the end. */
struct mount *mount_next_locked(struct mount *m, struct mount *top);
int mount_copy_tree_locked(struct vfs *v, struct mount *from, struct dentry *root, bool recursive,
                           unsigned how, struct mount **ret, struct list *gone) must_check;
enum { COPY_AS_SLAVE = 1, COPY_LOCK = 2, COPY_SKIP_UNBINDABLE = 4 };
/* Is `m` of the namespace, or of a detached tree of the same owner? */
bool mount_is_ours_locked(const struct mount *m, const struct mnt_ns *ns);
/* A bind must not show what locked mounts hide, nor what is no task of `ns`'s to show. */
bool mount_may_bind_locked(const struct mnt_ns *ns, const struct path *from, bool recursive);
/* What a bind of `from` shows, attached nowhere: new reference. */
int mount_bind_tree(struct mnt_ns *ns, const struct path *from, bool recursive,
                    struct mount **ret) must_check;
/* A namespace without mounts. NULL: no memory. */
struct mnt_ns *mnt_ns_alloc(struct kernel *k, struct user_ns *user_ns);
/* Attaches a detached tree and copies it to the peers of where it goes. */
int mount_attach_tree_locked(struct vfs *v, struct mount *tree, struct mount *parent, struct dentry *at,
                             struct mnt_ns *ns, struct list *gone) must_check;
void mount_set_ns_locked(struct mount *tree, struct mnt_ns *ns);
size_t mount_tree_size_locked(struct mount *tree);
void mnt_ns_changed_locked(struct vfs *v, struct mnt_ns *ns);

/* anon_fs.c */
int anon_fs_create(struct vfs *v, enum anon_fs which, struct filesystem **ret) must_check;

/* mount_propagation.c */
void mount_group_join_locked(struct vfs *v, struct mount *m, struct mount *from, unsigned how);
void mount_group_leave_locked(struct vfs *v, struct mount *m);
void mount_set_propagation_locked(struct vfs *v, struct mount *m, enum propagation p);
int mount_propagate_attach_locked(struct vfs *v, struct mount *tree, struct mount *parent, struct dentry *at,
                                  struct list *gone) must_check;
void mount_propagate_detach_locked(struct vfs *v, struct mount *m, struct list *gone);

/* vfs's own bit of file.mode: fanotify's view of the file, which makes no events. */
enum { FILE_SILENT = 2048 };
/* vfs_open.c: as vfs_open_path(), for such a file. */
int vfs_open_silent(const struct vfs_view *v, const struct path *p, uint32_t flags,
                    struct file **ret) must_check;
/* vfs_open.c: one more writer; -ETXTBSY. */
int inode_get_write(struct inode *i) must_check;

/* vfs_names.c */
int name_may_delete(struct inode *dir, const struct dentry *victim, bool want_directory,
                    const struct creds *c) must_check;
void names_notify_removed(struct dentry *d);

/* inotify.c. An event of a path, for inotify and fanotify. */
void vfs_notify_path(const struct path *p, uint32_t mask);
void vfs_notify_parent(struct dentry *d, uint32_t mask, uint32_t cookie);
void vfs_notify_self(struct dentry *d, uint32_t mask);
void vfs_notify_rename(struct inode *from_dir, const char *from, size_t from_len, struct inode *to_dir,
                       const char *to, size_t to_len, struct dentry *moved, uint32_t cookie);
void inode_drop_watches(struct inode *i);

/* path_walk.c: the walk with its state, for open(2), which may go on through a last symlink. */
enum { WALK_STACK = 40 };
struct walk {
    const struct vfs_view *view;
    unsigned flags;
    struct path root; /* reference: where ".." and absolute links end */
    struct path at;   /* reference: where it is now */
    bool
        at_magic; /* `at` was reached by a magic link, or is the start of an empty name: it may be anything */
    struct last_component last;
    unsigned links;      /* followed so far */
    unsigned depth;      /* of `stack` in use */
    const char *rest;    /* still to walk in the current text */
    bool want_directory; /* a trailing slash of an outer text */
    struct {
        char *text;       /* the link's target, heap; NULL for the first */
        const char *rest; /* to go on with in the text below */
    } stack[WALK_STACK + 1];
};
int walk_start(struct walk *w, const struct vfs_view *v, int dirfd, const char *name,
               unsigned flags) must_check;
/* On to the directory of the last component: w->at and w->last. */
int walk_to_parent(struct walk *w) must_check;
/* The last component. 0: w->at is it; 1: it was a symlink that is to be followed: walk_to_parent() again.
 * follow: LOOKUP_FOLLOW in flags or a trailing slash. */
int walk_last(struct walk *w, bool follow) must_check;
/* The same for a dentry (reference taken) that the caller has looked up in w->at. */
int walk_into(struct walk *w, struct dentry *d, bool follow) must_check;
void walk_done(struct walk *w);
