/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/gofer/gofer_dir.c: names: looking up, making, linking, removing, renaming.
 *
 * Called with the directory's dir_lock, under which one name has one change at a time in this sandbox. The
 * host may change names beside us at any moment; then the host's errno is the answer.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/stat.h"
#include "sentry/fs/gofer/gofer_internal.h"
#include "sentry/heap/heap.h"

/* ---- look-up ---- */

static int get_inode(struct gofer_inode *dir, const char *name, size_t len, const struct gofer_node *node,
                     struct inode **ret) {
    struct gofer_inode *i;
    int rc = gfs_inode_get(gfs_of(&dir->inode), dir, name, len, node, &i);
    if (rc == 0)
        *ret = &i->inode;
    return rc;
}

/* A watched root's directories are walked to, which watches them; a file of several names may have changed by
 * another one. */
static bool entry_usable(const struct gofer_fs *g, const struct gofer_entry *e) {
    if (e->state != ENTRY_FRESH || e->attr.nlink > 1 || (e->attr.mode & LINUX_S_IFMT) == LINUX_S_IFLNK)
        return (e->attr.mode & LINUX_S_IFMT) == LINUX_S_IFDIR && gfs_exclusive(g) && e->state == ENTRY_FRESH;
    return true;
}

/* 1: the listing does not know. */
static int lookup_listed(struct gofer_inode *dir, const char *name, size_t len, struct inode **ret) {
    struct gofer_listing *l = gofer_listing_cached(dir);
    int rc = 1;
    if (!l)
        return rc;
    struct gofer_entry *e = gofer_listing_find(l, name, len);
    if (!e) {
        rc = -ENOENT;
    } else if (entry_usable(gfs_of(&dir->inode), e)) {
        struct gofer_node node = {.watch = -1, .attr = e->attr};
        rc = get_inode(dir, name, len, &node, ret);
        e->state = ENTRY_NAME;
    }
    gofer_listing_unref(l);
    return rc;
}

/* The target that came with a link's node, so that following it costs no message. */
static void keep_target(struct gofer_inode *i, const char *target, uint32_t size) {
    mutex_lock(&i->inode.lock);
    if (!i->target)
        i->target = heap_strndup(target, size);
    mutex_unlock(&i->inode.lock);
}

static int lookup_asked(struct gofer_inode *dir, const char *name, size_t len, struct inode **ret) {
    char target[GOFER_TARGET_MAX + 1];
    struct gofer_name gname = {name, len};
    struct gofer_node node;
    struct gofer_walked walked;
    gofer_handle_t handle;
    int tries = 0, rc;
    do {
        rc = gino_handle(dir, &handle);
        if (rc < 0)
            return rc;
        rc = gofer_conn_walk(gfs_conn(gfs_of(&dir->inode)), handle, &gname, 1, &node, target, &walked);
        if (rc == 0 && walked.count == 0)
            rc = walked.error;
    } while (rc < 0 && gino_retry(dir, handle, rc, &tries));
    if (rc == 0)
        rc = get_inode(dir, name, len, &node, ret);
    if (rc == 0 && walked.target_size)
        keep_target(gino_of(*ret), target, walked.target_size);
    return rc == -EMFILE ? -ENFILE : rc;
}

static int dir_lookup(struct inode *inode, const char *name, size_t len, struct inode **ret) {
    struct gofer_inode *dir = gino_of(inode);
    if (!gfs_exclusive(gfs_of(inode))) /* for an overlay above, whose dentries are its own */
        gfs_drain_if_due(gfs_of(inode));
    int rc = lookup_listed(dir, name, len, ret);
    return rc == 1 ? lookup_asked(dir, name, len, ret) : rc;
}

/* ---- making ---- */

/* What is common to all that make a file: owner, mode and the directory's handle. */
struct making {
    struct gofer_inode *dir;
    struct gofer_name name;
    uint32_t mode;
    kuid_t uid;
    kgid_t gid;
    gofer_handle_t handle;
};

static int making_begin(struct making *m, struct inode *dir, const char *name, size_t len, uint32_t type,
                        uint32_t mode, const struct creds *c) {
    *m = (struct making){.dir = gino_of(dir), .name = {name, len}, .mode = mode};
    inode_init_owner(dir, c, type, &m->mode, &m->uid, &m->gid);
    return gino_handle(m->dir, &m->handle);
}

static int making_end(struct making *m, int rc, const struct gofer_node *node, struct inode **ret) {
    gino_attr_changed(m->dir);
    gofer_listing_drop(m->dir);
    if (rc < 0)
        return rc == -EMFILE ? -ENFILE : rc;
    rc = get_inode(m->dir, m->name.data, m->name.size, node, ret);
    if (rc < 0) { /* no memory: what the caller is told was not made must not be there */
        bool is_dir = (node->attr.mode & LINUX_S_IFMT) == LINUX_S_IFDIR;
        (void)!gofer_conn_unlink(gfs_conn(gfs_of(&m->dir->inode)), m->handle, m->name,
                                 is_dir ? GOFER_UNLINK_DIR : 0);
    }
    return rc;
}

/* -EBADF and -EMFILE mean that nothing was done. */
static bool making_retry(struct making *m, int rc, int *tries) {
    return rc < 0 && gino_retry(m->dir, m->handle, rc, tries) && gino_handle(m->dir, &m->handle) == 0;
}

static int dir_create(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c,
                      struct inode **ret) {
    struct making m;
    struct gofer_node node;
    int tries = 0, fd = -1;
    int rc = making_begin(&m, dir, name, len, LINUX_S_IFREG, mode, c);
    if (rc < 0)
        return rc;
    do {
        struct gofer_create args = {
            .parent = m.handle, .mode = m.mode, .uid = m.uid, .gid = m.gid, .access = GOFER_READ_WRITE};
        rc = gofer_conn_create(gfs_conn(gfs_of(dir)), &args, m.name, &node, &fd);
    } while (making_retry(&m, rc, &tries));
    int made = making_end(&m, rc, &node, ret);
    if (rc == 0 && made == 0)
        gino_adopt_fd(gino_of(*ret), fd);
    else if (rc == 0)
        gofer_host_close(fd);
    return made;
}

static int dir_tmpfile(struct inode *dir, uint32_t mode, const struct creds *c, struct inode **ret) {
    struct making m;
    struct gofer_node node;
    struct gofer_inode *i;
    int tries = 0, fd = -1;
    int rc = making_begin(&m, dir, "", 0, LINUX_S_IFREG, mode, c);
    if (rc < 0)
        return rc;
    do {
        struct gofer_create args = {.parent = m.handle,
                                    .mode = m.mode,
                                    .uid = m.uid,
                                    .gid = m.gid,
                                    .access = GOFER_READ_WRITE,
                                    .flags = GOFER_CREATE_TMPFILE};
        rc = gofer_conn_create(gfs_conn(gfs_of(dir)), &args, m.name, &node, &fd);
    } while (making_retry(&m, rc, &tries));
    if (rc < 0)
        return rc;
    rc = gfs_inode_get(gfs_of(dir), /* dir= */ NULL, "", 0, &node, &i);
    if (rc < 0) {
        gofer_host_close(fd);
        return rc;
    }
    gino_adopt_fd(i, fd);
    *ret = &i->inode;
    return 0;
}

static int dir_mkdir(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c,
                     struct inode **ret) {
    struct making m;
    struct gofer_node node;
    int tries = 0;
    int rc = making_begin(&m, dir, name, len, LINUX_S_IFDIR, mode, c);
    if (rc < 0)
        return rc;
    do {
        struct gofer_make args = {.parent = m.handle, .mode = m.mode, .uid = m.uid, .gid = m.gid};
        rc = gofer_conn_mkdir(gfs_conn(gfs_of(dir)), &args, m.name, &node);
    } while (making_retry(&m, rc, &tries));
    return making_end(&m, rc, &node, ret);
}

static int dir_mknod(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
                     const struct creds *c, struct inode **ret) {
    struct making m;
    struct gofer_node node;
    int tries = 0;
    int rc = making_begin(&m, dir, name, len, mode & LINUX_S_IFMT, mode & 07777, c);
    if (rc < 0)
        return rc;
    do {
        struct gofer_make args = {
            .parent = m.handle,
            .mode = (mode & LINUX_S_IFMT) | m.mode,
            .uid = m.uid,
            .gid = m.gid,
            .rdev_major = (uint32_t)(rdev >> 8 & 0xfff) | (uint32_t)(rdev >> 32 & 0xfffff000),
            .rdev_minor = (uint32_t)(rdev & 0xff) | (uint32_t)(rdev >> 12 & 0xffffff00)};
        rc = gofer_conn_mknod(gfs_conn(gfs_of(dir)), &args, m.name, &node);
    } while (making_retry(&m, rc, &tries));
    return making_end(&m, rc, &node, ret);
}

static int dir_symlink(struct inode *dir, const char *name, size_t len, const char *target,
                       const struct creds *c, struct inode **ret) {
    struct making m;
    struct gofer_node node;
    int tries = 0;
    int rc = making_begin(&m, dir, name, len, LINUX_S_IFLNK, 0777, c);
    if (rc < 0)
        return rc;
    do {
        struct gofer_symlink args = {.parent = m.handle, .uid = m.uid, .gid = m.gid};
        rc = gofer_conn_symlink(gfs_conn(gfs_of(dir)), &args, m.name, target, &node);
    } while (making_retry(&m, rc, &tries));
    return making_end(&m, rc, &node, ret);
}

/* ---- linking and removing ---- */

static bool has_place(struct gofer_inode *i) {
    struct gofer_fs *g = gfs_of(&i->inode);
    mutex_lock(&g->tree_lock);
    bool has = i->parent != NULL;
    mutex_unlock(&g->tree_lock);
    return has;
}

static int dir_link(struct inode *inode, const char *name, size_t len, struct inode *target) {
    struct gofer_inode *dir = gino_of(inode), *i = gino_of(target);
    struct gofer_attr attr;
    gofer_handle_t parent, file;
    int tries = 0, rc;
    uint32_t seq;
    do {
        rc = gino_handle(dir, &parent);
        if (rc == 0)
            rc = gino_handle(i, &file);
        if (rc < 0)
            return rc;
        gino_attr_changed(i);
        seq = gino_attr_begin(i);
        rc = gofer_conn_link(gfs_conn(gfs_of(inode)), file, parent, (struct gofer_name){name, len}, &attr);
        /* Which of the two handles was it? Either is made anew if it can be. */
        if (rc == -EBADF)
            (void)gino_handle_gone(i, file);
    } while (rc < 0 && gino_retry(dir, parent, rc, &tries));
    gino_attr_changed(dir);
    gofer_listing_drop(dir);
    if (rc < 0)
        return rc;
    gino_attr_set(i, &attr, seq);
    if (!has_place(i)) /* an O_TMPFILE's first name */
        gino_moved(i, dir, name, len);
    return 0;
}

/* A file that goes on without this name keeps being reached by its handle. One that is neither open nor
 * linked elsewhere may still be some process's O_PATH file or working directory: then what is known of it
 * stays true enough (gofer_attr.c). */
static void keep_reachable(struct gofer_inode *i) {
    gofer_handle_t handle;
    struct gofer_fs *g = gfs_of(&i->inode);
    mutex_lock(&g->tree_lock);
    bool goes_on = i->open_count > 0;
    mutex_unlock(&g->tree_lock);
    mutex_lock(&i->inode.lock);
    goes_on = goes_on || i->attr.nlink > 1;
    mutex_unlock(&i->inode.lock);
    if (goes_on && !inode_is_dir(&i->inode))
        (void)!gino_handle(i, &handle);
}

static int remove_name(struct gofer_inode *dir, const char *name, size_t len, uint32_t flags) {
    gofer_handle_t parent;
    int tries = 0, rc;
    do {
        rc = gino_handle(dir, &parent);
        if (rc < 0)
            return rc;
        rc = gofer_conn_unlink(gfs_conn(gfs_of(&dir->inode)), parent, (struct gofer_name){name, len}, flags);
    } while (rc < 0 && gino_retry(dir, parent, rc, &tries));
    gino_attr_changed(dir);
    if (rc == 0)
        gofer_listing_remove(dir, name, len);
    return rc;
}

/* One name of it less. */
static void name_gone(struct gofer_inode *i, struct gofer_inode *dir, const char *name, size_t len) {
    mutex_lock(&i->inode.lock);
    bool last = inode_is_dir(&i->inode) || i->attr.nlink <= 1;
    if (i->attr.nlink > 0)
        i->attr.nlink = inode_is_dir(&i->inode) ? 0 : i->attr.nlink - 1;
    mutex_unlock(&i->inode.lock);
    gino_attr_changed(i);
    if (last)
        gino_forget(i);
    else
        gino_unplace(i, dir, name, len);
}

static int dir_unlink(struct inode *inode, const char *name, size_t len, struct inode *target) {
    struct gofer_inode *i = gino_of(target);
    keep_reachable(i);
    int rc = remove_name(gino_of(inode), name, len, 0);
    if (rc == 0)
        name_gone(i, gino_of(inode), name, len);
    return rc;
}

static int dir_rmdir(struct inode *inode, const char *name, size_t len, struct inode *target) {
    struct gofer_inode *i = gino_of(target);
    keep_reachable(i);
    int rc = remove_name(gino_of(inode), name, len, GOFER_UNLINK_DIR);
    if (rc == 0)
        name_gone(i, gino_of(inode), name, len);
    return rc;
}

/* ---- rename ---- */

static int send_rename(struct gofer_inode *old_dir, struct gofer_name from, struct gofer_inode *new_dir,
                       struct gofer_name to, uint32_t flags) {
    struct gofer_rename args = {.flags = flags};
    int tries = 0, rc;
    do {
        rc = gino_handle(old_dir, &args.old_parent);
        if (rc == 0)
            rc = gino_handle(new_dir, &args.new_parent);
        if (rc < 0)
            return rc;
        rc = gofer_conn_rename(gfs_conn(gfs_of(&old_dir->inode)), &args, from, to);
        if (rc == -EBADF)
            (void)gino_handle_gone(new_dir, args.new_parent);
    } while (rc < 0 && gino_retry(old_dir, args.old_parent, rc, &tries));
    return rc;
}

static int dir_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *target,
                      struct inode *new_dir, const char *new_name, size_t new_len, struct inode *replaced,
                      uint32_t flags) {
    struct gofer_inode *from = gino_of(old_dir), *to = gino_of(new_dir), *i = gino_of(target);
    /* Also if they are about to be exchanged: a lost name must not leave one without a way to it. */
    if (replaced)
        keep_reachable(gino_of(replaced));
    int rc = send_rename(from, (struct gofer_name){old_name, old_len}, to,
                         (struct gofer_name){new_name, new_len}, flags);
    gino_attr_changed(from);
    gino_attr_changed(to);
    gofer_listing_drop(from);
    gofer_listing_drop(to);
    gino_attr_changed(i); /* ctime; a directory's link count */
    if (rc < 0)
        return rc;
    /* Two names of one file: rename(2) does nothing then, and says 0. */
    if (replaced == target)
        return 0;
    gino_moved(i, to, new_name, new_len);
    if (replaced && flags & LINUX_RENAME_EXCHANGE) {
        gino_attr_changed(gino_of(replaced));
        gino_moved(gino_of(replaced), from, old_name, old_len);
    } else if (replaced) {
        name_gone(gino_of(replaced), to, new_name, new_len);
    }
    return 0;
}

const struct inode_ops gofer_inode_ops = {
    .name = "gofer",
    .lookup = dir_lookup,
    .create = dir_create,
    .mkdir = dir_mkdir,
    .mknod = dir_mknod,
    .symlink = dir_symlink,
    .link = dir_link,
    .unlink = dir_unlink,
    .rmdir = dir_rmdir,
    .rename = dir_rename,
    .tmpfile = dir_tmpfile,
    .readlink = gofer_readlink,
    .getattr = gofer_getattr,
    .setattr = gofer_setattr,
    .open = gofer_open,
    .getxattr = gofer_getxattr,
    .setxattr = gofer_setxattr,
    .listxattr = gofer_listxattr,
    .removexattr = gofer_removexattr,
    .release = gofer_inode_release,
};
