/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/fuse/fuse_inode.c: inodes by the server's numbers, their attributes and extended attributes.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "sentry/fs/fuse/fuse_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/current.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/memfile.h"

HEAP_TYPE(fuse_inode, struct fuse_inode, 0);

enum { NS = 1000000000, XATTR_MAX = 65536 };

int fuse_node_compare(const struct fuse_inode *a, const struct fuse_inode *b) {
    return (a->node > b->node) - (a->node < b->node);
}
RB_GENERATE(fuse_tree, fuse_inode, entry, fuse_node_compare)

/* ---- what the server says ---- */

static int64_t time_of(uint64_t sec, uint32_t nsec) {
    int64_t most = INT64_MAX / NS - 1, s = (int64_t)sec;

    s = s > most ? most : s < -most ? -most : s;
    return s * NS + MIN(nsec, NS - 1u);
}

/* Until when: "valid" counts from now. */
static int64_t until(uint64_t sec, uint32_t nsec) {
    const uint64_t year = 366 * 86400;

    return monotonic_ns() + (int64_t)MIN(sec, year) * NS + MIN(nsec, NS - 1u);
}

/* Linux's 32-bit encoding of a device number: mknod(2). */
static uint64_t device_of(uint32_t rdev) {
    uint64_t major = (rdev & 0xfff00) >> 8, minor = (rdev & 0xff) | ((rdev >> 12) & 0xfff00);

    return (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xffull) << 12;
}

static kuid_t uid_of(struct fuse_fs *fs, uint32_t uid) {
    kuid_t k = make_kuid(fs->conn->user_ns, uid);

    return k == INVALID_ID ? OVERFLOW_ID : k;
}

static kgid_t gid_of(struct fuse_fs *fs, uint32_t gid) {
    kgid_t k = make_kgid(fs->conn->user_ns, gid);

    return k == INVALID_ID ? OVERFLOW_ID : k;
}

static int check_attr(const struct linux_fuse_attr *a) {
    switch (a->mode & LINUX_S_IFMT) {
    case LINUX_S_IFREG:
    case LINUX_S_IFDIR:
    case LINUX_S_IFLNK:
    case LINUX_S_IFCHR:
    case LINUX_S_IFBLK:
    case LINUX_S_IFIFO:
    case LINUX_S_IFSOCK:
        return a->size <= INT64_MAX ? 0 : -EIO;
    default:
        return -EIO;
    }
}

/* -EIO: it would be another kind of file. */
static int set_attr(struct fuse_inode *i, const struct linux_fuse_attr *a, int64_t valid_until) {
    struct fuse_fs *fs = fuse_fs_of(&i->base);

    if (check_attr(a) < 0 || (a->mode & LINUX_S_IFMT) != i->base.type)
        return -EIO;
    mutex_lock(&i->attr_lock);
    i->attr.size = a->size;
    i->attr.blocks = a->blocks;
    i->attr.nlink = a->nlink;
    i->attr.blksize = a->blksize && a->blksize <= 1 << 20 ? a->blksize : 4096;
    i->attr.atime_ns = time_of(a->atime, a->atimensec);
    i->attr.mtime_ns = time_of(a->mtime, a->mtimensec);
    i->attr.ctime_ns = time_of(a->ctime, a->ctimensec);
    i->attr.ino = a->ino;
    i->attr_until = valid_until;
    i->base.mode = a->mode & 07777;
    i->base.uid = uid_of(fs, a->uid);
    i->base.gid = gid_of(fs, a->gid);
    mutex_unlock(&i->attr_lock);
    return 0;
}

void fuse_attr_expire(struct inode *inode) {
    struct fuse_inode *i = fuse_inode_of(inode);

    mutex_lock(&i->attr_lock);
    i->attr_until = 0;
    mutex_unlock(&i->attr_lock);
}

/* ---- by number ---- */

static struct fuse_inode *inode_make(struct fuse_fs *fs, uint64_t node, const struct linux_fuse_attr *a) {
    struct fuse_inode *i = heap_new(fuse_inode);

    if (!i)
        return NULL;
    inode_init(&i->base, &fuse_inode_ops, &fs->base, a->ino, a->mode, uid_of(fs, a->uid), gid_of(fs, a->gid));
    i->base.rdev = device_of(a->rdev);
    i->node = node;
    mutex_init(&i->attr_lock, RANK_LEAF);
    return i;
}

int fuse_root_new(struct fuse_fs *fs, struct inode **ret) {
    const struct linux_fuse_attr a = {.ino = LINUX_FUSE_ROOT_ID, .mode = fs->root_mode, .nlink = 1};
    struct fuse_inode *i = inode_make(fs, LINUX_FUSE_ROOT_ID, &a);

    if (!i)
        return -ENOMEM;
    i->base.uid = fs->owner;
    i->base.gid = fs->group;
    i->listed = true;
    mutex_lock(&fs->table_lock);
    RB_INSERT(fuse_tree, &fs->by_node, i);
    mutex_unlock(&fs->table_lock);
    *ret = &i->base;
    return 0;
}

static struct fuse_inode *find_locked(struct fuse_fs *fs, uint64_t node) {
    struct fuse_inode *i = RB_ROOT(&fs->by_node);

    while (i && i->node != node)
        i = node < i->node ? RB_LEFT(i, entry) : RB_RIGHT(i, entry);
    return i;
}

static void unlist_locked(struct fuse_fs *fs, struct fuse_inode *i) {
    if (i->listed)
        RB_REMOVE(fuse_tree, &fs->by_node, i);
    i->listed = false;
}

struct fuse_inode *fuse_inode_find(struct fuse_fs *fs, uint64_t node) {
    mutex_lock(&fs->table_lock);
    struct fuse_inode *i = find_locked(fs, node);
    if (i && !inode_tryref(&i->base))
        i = NULL;
    mutex_unlock(&fs->table_lock);
    return i;
}

/* The one there is, if it is of the same kind and generation; else `fresh` takes its number. */
static struct fuse_inode *find_or_insert(struct fuse_fs *fs, struct fuse_inode *fresh) {
    mutex_lock(&fs->table_lock);
    struct fuse_inode *i = find_locked(fs, fresh->node);
    if (i &&
        (i->base.type != fresh->base.type || i->generation != fresh->generation || !inode_tryref(&i->base))) {
        unlist_locked(fs, i);
        i = NULL;
    }
    if (!i) {
        RB_INSERT(fuse_tree, &fs->by_node, fresh);
        fresh->listed = true;
    }
    struct fuse_inode *one = i ? i : fresh;
    one->lookups++;
    mutex_unlock(&fs->table_lock);
    return one;
}

int fuse_inode_get(struct fuse_fs *fs, const struct linux_fuse_entry_out *e, struct inode **ret) {
    if (e->nodeid <= LINUX_FUSE_ROOT_ID || check_attr(&e->attr) < 0)
        return -EIO;
    struct fuse_inode *fresh = inode_make(fs, e->nodeid, &e->attr);
    if (!fresh)
        return -ENOMEM;
    fresh->generation = e->generation;
    struct fuse_inode *i = find_or_insert(fs, fresh);
    if (i != fresh)
        inode_unref(&fresh->base);
    int rc = set_attr(i, &e->attr, until(e->attr_valid, e->attr_valid_nsec));
    if (rc < 0) {
        inode_unref(&i->base);
        return rc;
    }
    mutex_lock(&i->attr_lock);
    i->entry_until = until(e->entry_valid, e->entry_valid_nsec);
    mutex_unlock(&i->attr_lock);
    *ret = &i->base;
    return 0;
}

void fuse_inode_release(struct inode *inode) {
    struct fuse_inode *i = fuse_inode_of(inode);
    struct fuse_fs *fs = fuse_fs_of(inode);

    mutex_lock(&fs->table_lock);
    unlist_locked(fs, i);
    mutex_unlock(&fs->table_lock);
    if (i->lookups) {
        const struct linux_fuse_forget_in in = {.nlookup = i->lookups};
        const struct fuse_args a = {.opcode = LINUX_FUSE_FORGET, .nodeid = i->node, .in = {{&in, sizeof in}}};
        fuse_tell(fs->conn, &a);
    }
    memstore_unref(i->pages);
    inode_done(inode);
    heap_free(i);
}

/* ---- attributes ---- */

/* May who asks use the file system at all? fuse(8), "allow_other". */
static bool allowed(struct fuse_fs *fs, const struct creds *c) {
    return fs->allow_other || (c->uid == fs->owner && c->euid == fs->owner && c->suid == fs->owner &&
                               c->gid == fs->group && c->egid == fs->group && c->sgid == fs->group);
}

static int refresh(struct fuse_inode *i) {
    mutex_lock(&i->attr_lock);
    bool fresh = i->attr_until > monotonic_ns();
    mutex_unlock(&i->attr_lock);
    if (fresh)
        return 0;
    const struct linux_fuse_getattr_in in = {0};
    struct linux_fuse_attr_out o;
    struct fuse_args a = {.opcode = LINUX_FUSE_GETATTR,
                          .nodeid = i->node,
                          .in = {{&in, sizeof in}},
                          .out_min = sizeof o,
                          .out_max = sizeof o};
    int rc = fuse_call(fuse_conn_of(&i->base), &a);
    if (rc < 0)
        return rc;
    memcpy(&o, a.out, sizeof o);
    heap_free(a.out);
    return set_attr(i, &o.attr, until(o.attr_valid, o.attr_valid_nsec));
}

int fuse_getattr(struct inode *inode, struct kstat *ret) {
    struct fuse_inode *i = fuse_inode_of(inode);
    struct task *t = task_current();

    if (t && !allowed(fuse_fs_of(inode), task_creds(t)))
        return -EACCES;
    int rc = refresh(i);
    if (rc < 0)
        return rc;
    mutex_lock(&i->attr_lock);
    ret->ino = i->attr.ino;
    ret->mode = inode->type | inode->mode;
    ret->uid = inode->uid;
    ret->gid = inode->gid;
    ret->size = i->attr.size;
    ret->blocks = i->attr.blocks;
    ret->nlink = i->attr.nlink;
    ret->blksize = i->attr.blksize;
    ret->atime_ns = i->attr.atime_ns;
    ret->mtime_ns = i->attr.mtime_ns;
    ret->ctime_ns = i->attr.ctime_ns;
    ret->btime_ns = INT64_MIN;
    mutex_unlock(&i->attr_lock);
    return 0;
}

int fuse_permission(struct inode *inode, const struct creds *c, unsigned mask) {
    struct fuse_fs *fs = fuse_fs_of(inode);

    if (!allowed(fs, c))
        return -EACCES;
    bool execute = mask & MAY_EXEC && inode->type == LINUX_S_IFREG;
    if (!fs->default_permissions && !execute)
        return 0; /* the server's to say */
    int rc = refresh(fuse_inode_of(inode));
    if (rc < 0)
        return rc;
    if (fs->default_permissions)
        return inode_permission_generic(inode, c, mask);
    return inode->mode & 0111 ? 0 : -EACCES;
}

static void split_time(int64_t ns, uint64_t *sec, uint32_t *nsec) {
    int64_t s = ns / NS, rest = ns % NS;

    *sec = (uint64_t)(rest < 0 ? s - 1 : s);
    *nsec = (uint32_t)(rest < 0 ? rest + NS : rest);
}

static void fill_setattr(struct fuse_inode *i, const struct setattr *s, struct linux_fuse_setattr_in *in) {
    static const struct {
        uint32_t mask, valid;
    } map[] = {{SETATTR_MODE, LINUX_FATTR_MODE},
               {SETATTR_UID, LINUX_FATTR_UID},
               {SETATTR_GID, LINUX_FATTR_GID},
               {SETATTR_SIZE, LINUX_FATTR_SIZE},
               {SETATTR_ATIME, LINUX_FATTR_ATIME},
               {SETATTR_MTIME, LINUX_FATTR_MTIME},
               {SETATTR_ATIME_NOW, LINUX_FATTR_ATIME | LINUX_FATTR_ATIME_NOW},
               {SETATTR_MTIME_NOW, LINUX_FATTR_MTIME | LINUX_FATTR_MTIME_NOW}};
    struct fuse_conn *c = fuse_conn_of(&i->base);
    uint32_t mode = s->mask & SETATTR_MODE ? s->mode : i->base.mode;

    *in = (struct linux_fuse_setattr_in){.size = s->size};
    for (size_t n = 0; n < ARRAY_SIZE(map); n++)
        if (s->mask & map[n].mask)
            in->valid |= map[n].valid;
    if (s->mask & SETATTR_KILL_PRIV && i->base.type == LINUX_S_IFREG && mode & 06000) {
        mode &= ~(uint32_t)(mode & LINUX_S_IXGRP ? 06000 : LINUX_S_ISUID);
        in->valid |= LINUX_FATTR_MODE;
    }
    in->mode = i->base.type | mode;
    in->uid = from_kuid(c->user_ns, s->uid);
    in->gid = from_kgid(c->user_ns, s->gid);
    split_time(s->mask & SETATTR_ATIME_NOW ? vfs_now(i->base.fs->kernel) : s->atime_ns, &in->atime,
               &in->atimensec);
    split_time(s->mask & SETATTR_MTIME_NOW ? vfs_now(i->base.fs->kernel) : s->mtime_ns, &in->mtime,
               &in->mtimensec);
}

int fuse_setattr(struct inode *inode, const struct setattr *s) {
    struct fuse_inode *i = fuse_inode_of(inode);
    struct linux_fuse_setattr_in in;
    struct linux_fuse_attr_out o;

    fill_setattr(i, s, &in);
    if (!in.valid)
        return 0;
    struct fuse_args a = {.opcode = LINUX_FUSE_SETATTR,
                          .nodeid = i->node,
                          .in = {{&in, sizeof in}},
                          .out_min = sizeof o,
                          .out_max = sizeof o};
    int rc = fuse_call(fuse_conn_of(inode), &a);
    if (rc < 0)
        return rc;
    memcpy(&o, a.out, sizeof o);
    heap_free(a.out);
    return set_attr(i, &o.attr, until(o.attr_valid, o.attr_valid_nsec));
}

/* ---- extended attributes ---- */

static int xattr_error(struct fuse_fs *fs, int rc) {
    if (rc == -ENOSYS) {
        fs->no_xattr = true;
        return -EOPNOTSUPP;
    }
    return rc;
}

/* One that gives bytes, or with size 0 how many there are. */
static ssize_t xattr_bytes(struct inode *i, uint32_t opcode, const char *name, void *buf, size_t size) {
    struct fuse_fs *fs = fuse_fs_of(i);
    struct linux_fuse_getxattr_io io = {.size = (uint32_t)MIN(size, (size_t)XATTR_MAX)};

    if (fs->no_xattr)
        return -EOPNOTSUPP;
    struct fuse_args a = {.opcode = opcode,
                          .nodeid = fuse_inode_of(i)->node,
                          .in = {{&io, sizeof io}, {name, name ? strlen(name) + 1 : 0}},
                          .out_min = size ? 0 : sizeof io,
                          .out_max = size ? io.size : sizeof io};
    int rc = xattr_error(fs, fuse_call(fs->conn, &a));
    if (rc < 0)
        return rc;
    ssize_t n = (ssize_t)a.out_size;
    if (size) {
        memcpy(buf, a.out ? a.out : "", a.out_size);
    } else {
        memcpy(&io, a.out, sizeof io);
        n = (ssize_t)MIN(io.size, (uint32_t)XATTR_MAX);
    }
    heap_free(a.out);
    return n;
}

ssize_t fuse_getxattr(struct inode *i, const char *name, void *buf, size_t size) {
    return xattr_bytes(i, LINUX_FUSE_GETXATTR, name, buf, size);
}

/* A list is names that each end in a zero byte: else it could not be walked. */
ssize_t fuse_listxattr(struct inode *i, char *buf, size_t size) {
    ssize_t n = xattr_bytes(i, LINUX_FUSE_LISTXATTR, NULL, buf, size);

    if (n == -EOPNOTSUPP)
        return 0;
    return n > 0 && size && buf[n - 1] ? -EIO : n;
}

int fuse_setxattr(struct inode *i, const char *name, const void *value, size_t size, int flags) {
    struct fuse_fs *fs = fuse_fs_of(i);
    const struct linux_fuse_setxattr_in in = {.size = (uint32_t)size, .flags = (uint32_t)flags};
    struct fuse_args a = {.opcode = LINUX_FUSE_SETXATTR,
                          .nodeid = fuse_inode_of(i)->node,
                          .in = {{&in, sizeof in}, {name, strlen(name) + 1}, {value, size}}};

    if (fs->no_xattr)
        return -EOPNOTSUPP;
    return xattr_error(fs, fuse_call(fs->conn, &a));
}

int fuse_removexattr(struct inode *i, const char *name) {
    struct fuse_fs *fs = fuse_fs_of(i);
    struct fuse_args a = {
        .opcode = LINUX_FUSE_REMOVEXATTR, .nodeid = fuse_inode_of(i)->node, .in = {{name, strlen(name) + 1}}};

    if (fs->no_xattr)
        return -EOPNOTSUPP;
    return xattr_error(fs, fuse_call(fs->conn, &a));
}
