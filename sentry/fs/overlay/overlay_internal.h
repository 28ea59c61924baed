/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_internal.h: the objects of this folder.
 *
 * An overlay inode stands for a file of the upper layer, of the lower one, or a directory of both. It calls
 * the layers' inode operations itself (no dentries of theirs are cached: the overlay's own suffice), with
 * their directories' locks held as vfs.h asks. What Linux's overlayfs keeps in extended attributes of the
 * upper layer is kept so here: opaque "y"      nothing of the lower directory of that name shows through
 *   redirect PATH   the lower directory is the one at PATH from the lower roots (a renamed directory);
 * without a slash at its head, it is the one of that name beside origin INO      the inode number that the
 * file had before it was copied up
 *
 * Locks, outer first: overlay dir_lock (vfs) - copy_lock (RANK_OVERLAY): one inode's copy-up, never two at
 * once - dir_lock of a layer's directory (RANK_INODE_LOWER_DIR; two for a rename, by address) - the layer's
 * own - table_lock (RANK_HOSTFD_CACHE): inode tables, places, links. The lower layer never changes (if
 * another does change it, files keep being what they are and names may be missed).
 *
 * Layers of an overlay that a guest mounts can be seen and changed beside it. What it does to the upper one
 * is announced to the dentry cache (inode.names_changed); and no operation of the upper layer is called
 * without a look, under its locks, whether the names lead to where they did: -ESTALE.
 */
#pragma once

#include <bsd/sys/tree.h>

#include "sentry/fs/overlay/overlay.h"
#include "sentry/vfs/layer.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

enum { OVERLAY_LOWER_MAX = 500 }; /* as Linux */

#define OVERLAY_INO_UPPER (1ull << 62) /* set in the numbers of files that the lower layer never had */

struct overlay_inode;
struct overlay_link;
RB_HEAD(overlay_upper_tree, overlay_inode);
RB_HEAD(overlay_lower_tree, overlay_inode);
RB_HEAD(overlay_link_tree, overlay_link);

struct overlay_fs {
    struct filesystem fs;         /* first */
    struct overlay_layer *lowers; /* heap; topmost first */
    uint32_t lower_count;
    struct mount *upper; /* reference; NULL: read-only */
    uint64_t upper_mark; /* as overlay_layer.mark */
    enum lock_rank rank; /* of copy_lock and of files' locks */
    bool force_readonly; /* there is nothing to write to */
    bool guest;          /* a guest mounted it */
    bool redirect_dir;   /* directories with a lower part can be renamed */
    bool redirect_follow;
    char *options;       /* heap: for show_options */
    struct creds *creds; /* reference: root's, for what the overlay itself makes */
    char *xattr_prefix; /* "trusted.overlay.", or "user.overlay." where the upper layer has no trusted ones */
    struct mutex table_lock;
    struct overlay_upper_tree by_upper;
    struct overlay_lower_tree by_lower;
    struct overlay_link_tree links;
};

struct overlay_layer {
    struct mount *mount; /* reference */
    uint64_t mark;       /* set in its inode numbers, where the layers are not all of one file system */
};

/* A lower file of several names, once one of them was removed or it was copied up: what the names that are
   still in the lower layer lead to. Lives as long as the file system. */
struct overlay_link {
    RB_ENTRY(overlay_link) node;
    uint64_t lower_ino;  /* as the lower file shows it */
    struct inode *upper; /* reference; NULL: not copied up */
    int64_t nlink;       /* names in all */
};

/* A directory's part in one lower layer. */
struct overlay_part {
    struct inode *inode; /* reference */
    char *path;          /* heap: from the layer's root, "" for the root */
    uint32_t layer;
};

struct overlay_inode {
    struct inode inode;          /* first */
    struct inode *_Atomic upper; /* reference; set once, with copy_lock */
    struct inode *lower;         /* reference; constant. NULL: none, or hidden */
    char *lower_path;            /* of a directory with a lower part: as overlay_part.path; constant */
    uint32_t lower_layer;
    uint32_t more_count;
    struct overlay_part *more; /* heap: a directory's parts below `lower`; constant */
    struct mutex copy_lock;
    /* table_lock: */
    RB_ENTRY(overlay_inode) upper_node, lower_node;
    bool in_upper, in_lower;
    struct overlay_inode *parent; /* reference; NULL: the root, or no name any more */
    char *name;
    struct overlay_link *link;
};

static inline struct overlay_fs *ofs_of(const struct inode *i) {
    return container_of(i->fs, struct overlay_fs, fs);
}
static inline struct overlay_inode *oino_of(const struct inode *i) {
    return container_of((struct inode *)i, struct overlay_inode, inode);
}
static inline struct inode *oino_upper(const struct overlay_inode *i) {
    return atomic_load_explicit(&i->upper, memory_order_acquire);
}
static inline struct inode *oino_real(const struct overlay_inode *i) {
    struct inode *upper = oino_upper(i);
    return upper ? upper : i->lower;
}

/* overlay_fs.c */
extern const struct fs_type overlay_fs_type;

/* overlay_options.c: what a guest asks for. */
struct overlay_request {
    char *lowerdir, *upperdir, *workdir; /* heap; NULL: not given */
    bool userxattr, redirect_dir, redirect_follow;
    char shown[64]; /* further options for /proc/mounts */
};
/* -EINVAL; -ENOENT: an option that is not known. overlay_request_done() in any case. */
int overlay_request_parse(const char *data, struct overlay_request *ret) must_check;
void overlay_request_done(struct overlay_request *r);
/* Resolves the directories, checks them as Linux does, and makes the layers' mounts. */
int overlay_request_open(const struct overlay_request *r, const struct mount_options *options,
                         struct overlay_fs *o) must_check;

/* overlay_table.c */
int overlay_upper_compare(const struct overlay_inode *a, const struct overlay_inode *b);
int overlay_lower_compare(const struct overlay_inode *a, const struct overlay_inode *b);
int overlay_link_compare(const struct overlay_link *a, const struct overlay_link *b);
RB_PROTOTYPE(overlay_upper_tree, overlay_inode, upper_node, overlay_upper_compare)
RB_PROTOTYPE(overlay_lower_tree, overlay_inode, lower_node, overlay_lower_compare)
RB_PROTOTYPE(overlay_link_tree, overlay_link, node, overlay_link_compare)
/* All taken, also on failure. */
struct overlay_parts {
    struct inode *upper, *lower; /* references */
    char *lower_path;
    struct overlay_part *more;
    uint32_t lower_layer, more_count;
};
void overlay_parts_drop(struct overlay_parts *p);
/* One of a directory's lower parts, topmost first; borrowed. False: it has no nth. */
bool oino_part(const struct overlay_inode *i, uint32_t n, struct overlay_part *ret);
/* The number that a lower file shows. */
uint64_t overlay_ino_of_lower(const struct overlay_fs *o, uint32_t layer, uint64_t ino);
/* The inode that stands for these parts, as `name` of `dir` (dir NULL: the root). New reference. */
int overlay_inode_get(struct overlay_fs *o, struct overlay_parts *parts, struct overlay_inode *dir,
                      const char *name, size_t len, struct overlay_inode **ret) must_check;
void oino_place(struct overlay_inode *i, struct overlay_inode *dir, const char *name, size_t len);
/* Its place is (dir, name) no more; has it one? */
void oino_unplace(struct overlay_inode *i);
bool oino_nameless(struct overlay_inode *i); /* and not the root */
/* New reference to the parent and a copy of the name (room for 256); NULL: it has no name. */
struct overlay_inode *oino_get_place(struct overlay_inode *i, char *name);
/* `i` has an upper part now (reference taken). Its upper directory's lock is held. */
void oino_publish(struct overlay_inode *i, struct inode *upper);
/* Counts a name of a lower file more (+1) or less (-1). lower_nlink: what the lower layer says. */
int oino_count_names(struct overlay_inode *i, int change) must_check;
void overlay_release(struct inode *inode);
void oino_copy_mode(struct overlay_inode *i); /* cached mode, owner, flags, ACLs from the real inode */

/* overlay_xattr.c */
bool overlay_flag_get(struct overlay_fs *o, struct inode *upper, const char *which); /* opaque */
int overlay_opaque_set(struct overlay_fs *o, struct inode *upper) must_check;
int overlay_redirect_set(struct overlay_fs *o, struct inode *upper, const char *path) must_check;
/* Heap string, or NULL: none. */
char *overlay_redirect_get(struct overlay_fs *o, struct inode *upper);
void overlay_origin_set(struct overlay_fs *o, struct inode *upper, uint64_t ino);
uint64_t overlay_ino_of_upper(struct overlay_fs *o, struct inode *upper);
int overlay_copy_xattrs(struct overlay_fs *o, struct inode *from, struct inode *to) must_check;
ssize_t overlay_getxattr(struct inode *inode, const char *name, void *buf, size_t size);
int overlay_setxattr(struct inode *inode, const char *name, const void *value, size_t size, int flags);
ssize_t overlay_listxattr(struct inode *inode, char *buf, size_t size);
int overlay_removexattr(struct inode *inode, const char *name);

/* overlay_copy.c */
enum overlay_copy { OVERLAY_COPY_ALL, OVERLAY_COPY_EMPTY /* its content is about to be cut off */ };
/* Sees to it that `i`, and the directories above it, are in the upper layer. */
int overlay_copy_up(struct overlay_inode *i, enum overlay_copy how) must_check;

/* overlay_lookup.c */
bool overlay_is_whiteout(const struct inode *i);
/* Looks in one directory of a layer, with its lock. Whiteouts are found. -ENOENT. */
int overlay_layer_lookup(struct inode *dir, const char *name, size_t len, struct inode **ret) must_check;
int overlay_lookup(struct inode *dir, const char *name, size_t len, struct inode **ret);
/* Whether the lower part of `dir` has the name, which a removal in the upper one would let show through. */
int overlay_lower_has(struct overlay_inode *dir, const char *name, size_t len) must_check;
/* Names in `dir`, a directory of the upper layer, have changed. Its dir_lock is held. */
void overlay_upper_changed(struct inode *dir);
/* In `dir`, whose dir_lock is held: does the name lead to `want` (NULL: to nothing)? -ESTALE; -ENOENT: `dir`
   is gone. */
int overlay_upper_check_locked(struct inode *dir, const char *name, size_t len,
                               const struct inode *want) must_check;

/* overlay_dir.c */
extern const struct inode_ops overlay_inode_ops;
int overlay_make_whiteout(struct overlay_fs *o, struct inode *upper_dir, const char *name,
                          size_t len) must_check;
/* overlay_rename.c */
int overlay_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *target,
                   struct inode *new_dir, const char *new_name, size_t new_len, struct inode *replaced,
                   uint32_t flags);
/* 0 if the merged directory has no entries, else -ENOTEMPTY; whiteouts left in its upper part are removed. */
int overlay_dir_empty(struct overlay_inode *dir) must_check;

/* overlay_list.c */
struct overlay_entry {
    uint64_t ino;
    uint32_t name_offset;
    uint16_t name_len;
    uint8_t type;
    bool whiteout;
};
struct overlay_list {
    struct overlay_entry *entries; /* heap; upper ones first */
    char *names;
    uint32_t count, capacity, upper_count;
    uint32_t *sorted; /* of the layers read so far, while the list is made */
    uint32_t sorted_count;
    size_t names_size, names_capacity;
};
/* Everything in the merged directory, whiteouts included. overlay_list_done() also after failure. */
int overlay_list_read(struct overlay_inode *dir, struct overlay_list *ret) must_check;
void overlay_list_done(struct overlay_list *l);

/* overlay_file.c */
int overlay_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
                 struct file **ret);
