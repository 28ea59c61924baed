/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/gofer/gofer_internal.h: the objects of this folder.
 *
 * An inode is one file of the host, found by (device, inode number), whatever its names. Its handle in the
 * gofer is made when it is first needed: an inode made from a listing has none, only the directory and name
 * where it was seen (parent, name), from which a WALK gets one; that also lets handles be given back when the
 * gofer runs out of descriptors.
 *
 * Locks, outer first:
 *   inode.dir_lock, inode.lock   vfs.h; held over requests
 *   session.events_lock          RANK_GOFER_EVENTS: one reader of the event queue; takes tree_lock
 *   fs.tree_lock                 RANK_HOSTFD_CACHE: inode table, parent and name, watch table, handle order,
 * listings' order session.close_lock           RANK_HOSTFD_CACHE: handles to be closed No request is made
 * with tree_lock or close_lock held, and neither is taken with the other held.
 */
#pragma once

#include <bsd/sys/tree.h>

#include "base/hostref.h"
#include "base/list.h"
#include "base/mutex.h"
#include "gofer/client.h"
#include "sentry/fs/gofer/gofer.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

enum { GFS_CLOSE_BATCH = 64, GFS_PENDING_NAMES = 8, GFS_IDLE_FDS = 512 };
#define GFS_LISTING_BYTES (16ul << 20) /* of all cached listings of a file system */

struct gofer_session {
    struct ref ref;
    struct kernel *kernel;
    struct hostref conn; /* host.ptr: struct gofer_conn */
    struct mutex events_lock;
    struct list filesystems;    /* events_lock; of gofer_fs.session_node */
    _Atomic int64_t drained_at; /* monotonic ns */
    struct mutex close_lock;
    gofer_handle_t closes[GFS_CLOSE_BATCH];
    uint32_t close_count;
};

static inline struct gofer_conn *session_conn(const struct gofer_session *s) {
    return s->conn.host.ptr;
}

struct gofer_inode;
RB_HEAD(gofer_inode_tree, gofer_inode);
RB_HEAD(gofer_watch_tree, gofer_inode);

struct gofer_fs {
    struct filesystem fs;          /* first */
    struct gofer_session *session; /* reference */
    struct list session_node;
    uint32_t root_flags; /* GOFER_ROOT_* */
    gofer_handle_t root_handle;
    uint64_t root_dev;
    struct mutex tree_lock;
    struct gofer_inode_tree inodes;
    struct gofer_watch_tree watches; /* directories by (watch, inode) */
    struct list handle_order;        /* inodes whose handle may be given back, oldest first */
    struct list watched_order; /* directories whose handle, and with it the watch, is given back if nothing
                                  else helps */
    struct list idle_fds;      /* inodes with descriptors that nobody has open, oldest first */
    uint32_t idle_fd_count;
    struct list listings; /* cached ones, oldest first */
    size_t listing_bytes;
    uint64_t handle_count;
};

static inline bool gfs_exclusive(const struct gofer_fs *g) {
    return g->root_flags & GOFER_ROOT_EXCLUSIVE;
}
static inline bool gfs_shared(const struct gofer_fs *g) {
    return g->root_flags & GOFER_ROOT_SHARED;
}

/* A directory as it was read: entries sorted by nothing, an index by name. Plain bytes in the heap. */
struct gofer_entry {
    uint64_t ino;
    uint32_t name_offset; /* in names */
    uint16_t name_len;
    uint8_t type;
    _Atomic uint8_t state; /* enum entry_state */
    struct gofer_attr attr;
};
/* ENTRY_FRESH: attr is true as long as the listing is cached; once an inode was made from it, that knows
 * better. */
enum entry_state { ENTRY_NAME, ENTRY_FRESH, ENTRY_GONE /* removed by this sandbox */ };
struct gofer_listing {
    struct ref ref;
    struct list order;       /* fs.listings; tree_lock */
    struct gofer_inode *dir; /* whose cache holds it; NULL: no longer cached; tree_lock */
    struct gofer_entry *entries;
    char *names;
    uint32_t *index; /* open addressing by hash: position + 1; size is index_mask + 1 */
    uint32_t count, capacity, index_mask;
    size_t names_size, names_capacity, bytes;
};
DECLARE_REF(gofer_listing);

struct gofer_map;

struct gofer_inode {
    struct inode inode;          /* first */
    uint64_t host_dev, host_ino; /* the key; constant */
    struct gofer_time btime;     /* with the key tells a reused inode number */
    bool has_btime;
    /* tree_lock: */
    RB_ENTRY(gofer_inode) node;
    bool in_table;
    struct gofer_inode *parent;    /* reference on its inode; NULL for the root */
    char *name;                    /* in parent: heap string */
    uint32_t place_seq;            /* counts changes of both */
    _Atomic gofer_handle_t handle; /* 0: none yet. Read without lock; set and cleared under tree_lock */
    struct list handle_node;
    RB_ENTRY(gofer_inode) watch_node;
    int watch;                     /* -1: none */
    struct gofer_listing *listing; /* reference; NULL: not cached */
    _Atomic uint32_t listing_seq;  /* counts changes of the directory */
    struct list idle_node;
    /* events_lock: names that changed on the host and whose dentries have not been dropped yet */
    char *pending[GFS_PENDING_NAMES];
    uint32_t pending_count;
    bool pending_all;
    _Atomic bool has_pending;
    /* inode.lock: */
    struct gofer_attr attr;
    _Atomic uint32_t attr_seq; /* counted by every change that makes attr untrue; any thread */
    uint32_t attr_seen;        /* attr_seq when attr was asked for; attr is true while they are equal */
    bool attr_known;
    int64_t
        attr_fresh_ns; /* shared root: when a look-up asked, for the one stat that follows it; 0: none did */
    char *target;      /* of a symbolic link: heap string; constant once set */
    /* Set with inode.lock while pinned, taken away with tree_lock while not: */
    struct hostref fd_read;  /* O_RDONLY */
    struct hostref fd_write; /* O_RDWR, or O_WRONLY where the gofer may not read the file */
    bool write_only;         /* of fd_write */
    /* tree_lock: */
    _Atomic uint32_t open_count; /* pins: open files, mappings, calls under way */
    struct gofer_map *map;       /* not a reference; its count decides whether it still lives */
};

static inline struct gofer_fs *gfs_of(const struct inode *i) {
    return container_of(i->fs, struct gofer_fs, fs);
}
static inline struct gofer_inode *gino_of(const struct inode *i) {
    return container_of((struct inode *)i, struct gofer_inode, inode);
}
static inline struct gofer_conn *gfs_conn(const struct gofer_fs *g) {
    return session_conn(g->session);
}

/* gofer_session.c */
/* The handle is no longer needed. Sent with others, at once if `now`. */
void session_close_handle(struct gofer_session *s, gofer_handle_t handle, bool now);

/* gofer_events.c */
void gfs_drain_if_due(struct gofer_fs *g);
/* Drops the dentries of `dir` (whose dentry is `d`) that events were about. */
void gfs_apply_pending(struct gofer_inode *dir, struct dentry *d);
/* events_lock held: as if an event had been lost. */
void gfs_distrust_all_locked(struct gofer_fs *g);
/* The directory is watched no more: what is cached of it is not to be believed. events_lock and tree_lock
 * held. */
void gfs_unwatch_locked(struct gofer_inode *dir);
void gfs_set_watch(struct gofer_inode *dir, int watch);
/* Would a change of its attributes on the host be an event? */
bool gino_watched(struct gofer_inode *i);
/* Forgets pending names. The inode ends. */
void gfs_drop_pending(struct gofer_inode *dir);

/* gofer_tree.c: inodes and handles */
int gofer_inode_compare(const struct gofer_inode *a, const struct gofer_inode *b);
int gofer_watch_compare(const struct gofer_inode *a, const struct gofer_inode *b);
RB_PROTOTYPE(gofer_inode_tree, gofer_inode, node, gofer_inode_compare)
RB_PROTOTYPE(gofer_watch_tree, gofer_inode, watch_node, gofer_watch_compare)
/* The inode of a file that was seen as `name` in `dir` (dir NULL: the root). node.handle may be 0; it is
   taken, also on failure. attr_seq: see gino_attr_begin(), of no matter for a new inode. New reference. */
int gfs_inode_get(struct gofer_fs *g, struct gofer_inode *dir, const char *name, size_t len,
                  const struct gofer_node *node, struct gofer_inode **ret) must_check;
/* Is the file of `attr` this one? A reused inode number is told by type and time of birth. */
bool gino_same(const struct gofer_inode *i, const struct gofer_attr *attr);
/* A handle for a request: -ENOENT if the file is not to be found any more. */
int gino_handle(struct gofer_inode *i, gofer_handle_t *ret) must_check;
/* The same, but -ESTALE, which no request answers. */
int gino_handle_or_stale(struct gofer_inode *i, gofer_handle_t *ret) must_check;
/* Opens a regular file that has no handle by its place, in one message. -ESTALE: not to be done so, get a
 * handle. */
int gino_open_by_name(struct gofer_inode *i, uint32_t access, int *ret_fd) must_check;
/* After -EBADF: the handle was given back meanwhile. True: ask for another one and try again. */
bool gino_handle_gone(struct gofer_inode *i, gofer_handle_t handle);
/* After -EMFILE, of this process or of the gofer: gives back descriptors and handles that others can do
 * without. True: try again. */
bool gfs_reclaim_handles(struct gofer_fs *g);
/* Whether a request that failed with `rc` should be made again with a new handle. `tries` counts. */
bool gino_retry(struct gofer_inode *i, gofer_handle_t handle, int rc, int *tries);
/* The file is at another place now. */
void gino_moved(struct gofer_inode *i, struct gofer_inode *dir, const char *name, size_t len);
/* It has no name any more (or an unknown one): never found by key again. */
void gino_forget(struct gofer_inode *i);
/* One name of several is gone: if that was the place known, none is. */
void gino_unplace(struct gofer_inode *i, const struct gofer_inode *dir, const char *name, size_t len);
uint64_t gfs_ino(const struct gofer_fs *g, const struct gofer_attr *attr);

/* gofer_attr.c */
/* What a request about to be made will tell of attr is true only if nothing changed meanwhile. */
static inline uint32_t gino_attr_begin(struct gofer_inode *i) {
    return atomic_load_explicit(&i->attr_seq, memory_order_acquire);
}
void gino_attr_set(struct gofer_inode *i, const struct gofer_attr *attr, uint32_t seq);
/* The same for what was asked while a name was looked up. */
void gino_attr_looked(struct gofer_inode *i, const struct gofer_attr *attr, uint32_t seq);
void gino_attr_set_locked(struct gofer_inode *i, const struct gofer_attr *attr, uint32_t seq)
    REQUIRES(&i->inode.lock);
static inline void gino_attr_changed(struct gofer_inode *i) {
    atomic_fetch_add_explicit(&i->attr_seq, 1, memory_order_release);
}
int gofer_getattr(struct inode *inode, struct kstat *ret);
int gofer_setattr(struct inode *inode, const struct setattr *s);
int gofer_readlink(struct inode *inode, struct task *t, char **ret);
ssize_t gofer_getxattr(struct inode *inode, const char *name, void *buf, size_t size);
int gofer_setxattr(struct inode *inode, const char *name, const void *value, size_t size, int flags);
ssize_t gofer_listxattr(struct inode *inode, char *buf, size_t size);
int gofer_removexattr(struct inode *inode, const char *name);

/* gofer_dir.c */
extern const struct inode_ops gofer_inode_ops;
/* gofer_fs.c */
extern const struct fs_type gofer_fs_type;
void gofer_inode_release(struct inode *inode);

/* gofer_listing.c */
/* The directory's entries: cached, or read. New reference. */
int gofer_listing_get(struct gofer_inode *dir, bool fresh, struct gofer_listing **ret) must_check;
/* The cached one if the file system may trust it: new reference or NULL. */
struct gofer_listing *gofer_listing_cached(struct gofer_inode *dir) must_check;
struct gofer_entry *gofer_listing_find(struct gofer_listing *l, const char *name, size_t len);
/* The directory has changed. */
void gofer_listing_drop(struct gofer_inode *dir);
void gofer_listing_drop_locked(struct gofer_inode *dir); /* tree_lock held */
/* `name` was removed by us: a cached listing is true without it. */
void gofer_listing_remove(struct gofer_inode *dir, const char *name, size_t len);

/* gofer_file.c */
int gofer_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
               struct file **ret);
/* Mappings of what lies beyond `size` are taken away. No lock held. */
void gofer_map_truncated(struct gofer_inode *i, uint64_t size);
/* The descriptor that CREATE donated. Taken. */
void gino_adopt_fd(struct gofer_inode *i, int fd);
/* While pinned, the descriptors that there are stay. */
void gino_pin(struct gofer_inode *i);
void gino_unpin(struct gofer_inode *i);
/* The descriptor, opened if need be; `i` is pinned. */
int gino_fd_locked(struct gofer_inode *i, bool write, int *ret_fd) must_check REQUIRES(&i->inode.lock);
/* Pins and returns a descriptor that is there (any; one for writing); -1 and no pin if there is none. */
int gino_pin_fd(struct gofer_inode *i);
int gino_pin_write_fd(struct gofer_inode *i);

/* Closes the descriptors that wait for the next open. True if there were any. */
bool gfs_close_idle(struct gofer_fs *g);

/* gofer_file_host.c */
void gofer_host_close(int fd);
ssize_t gofer_host_pread(int fd, void *buf, size_t size, uint64_t offset);
ssize_t gofer_host_pwrite(int fd, const void *buf, size_t size, uint64_t offset, bool append);
int gofer_host_stat(int fd, struct gofer_attr *ret) must_check;
int64_t gofer_host_seek(int fd, int64_t offset, int whence);
int gofer_host_truncate(int fd, uint64_t size) must_check;
int gofer_host_fallocate(int fd, int mode, uint64_t offset, uint64_t len) must_check;
int gofer_host_fsync(int fd, bool data_only) must_check;
/* Bytes of inotify events, 0 if there are none now. */
ssize_t gofer_host_read_events(int fd, void *buf, size_t size);
struct gofer_event {
    int watch;
    uint32_t mask;
    const char *name; /* "" if none */
};
/* The event at *at, which moves on. False at the end. */
bool gofer_host_next_event(const void *buf, size_t size, size_t *at, struct gofer_event *ret);
