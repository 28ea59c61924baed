/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/gofer/gofer_attr.c: attributes, link targets, extended attributes.
 *
 * Attributes are true until attr_seq moves on. A file that is open is asked by its descriptor (fstat costs no
 * message), others by GETATTR; a shared root's are asked for each time.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/xattr.h"
#include "base/clock.h"
#include "sentry/fs/gofer/gofer_internal.h"
#include "sentry/heap/heap.h"

void gino_attr_set_locked(struct gofer_inode *i, const struct gofer_attr *attr, uint32_t seq) {
    i->attr = *attr;
    i->attr_seen = seq;
    i->attr_known = true;
    i->inode.mode = attr->mode & 07777;
    i->inode.uid = attr->uid;
    i->inode.gid = attr->gid;
}

void gino_attr_set(struct gofer_inode *i, const struct gofer_attr *attr, uint32_t seq) {
    mutex_lock(&i->inode.lock);
    gino_attr_set_locked(i, attr, seq);
    mutex_unlock(&i->inode.lock);
}

/* A stat so soon after the look-up that it belongs to needs no second message. */
#define FRESH_NS 100000

void gino_attr_looked(struct gofer_inode *i, const struct gofer_attr *attr, uint32_t seq) {
    mutex_lock(&i->inode.lock);
    gino_attr_set_locked(i, attr, seq);
    i->attr_fresh_ns = monotonic_ns();
    mutex_unlock(&i->inode.lock);
}

static bool fresh_once_locked(struct gofer_inode *i) {
    int64_t asked = i->attr_fresh_ns;
    i->attr_fresh_ns = 0;
    return asked && monotonic_ns() - asked < FRESH_NS;
}

/* A directory without a watch is not vouched for by one above it. */
static bool attr_trusted_locked(struct gofer_inode *i) {
    struct gofer_fs *g = gfs_of(&i->inode);
    if (!i->attr_known || i->attr_seen != gino_attr_begin(i))
        return false;
    if (gfs_shared(g))
        return fresh_once_locked(i);
    if (gfs_exclusive(g))
        return true;
    /* A file with several names may change by one that lies in no watched directory; an open one by a
     * mapping. */
    if (!inode_is_dir(&i->inode) && (i->attr.nlink != 1 || i->open_count > 0))
        return false;
    return gino_watched(i);
}

static int ask_gofer_locked(struct gofer_inode *i) REQUIRES(&i->inode.lock) {
    struct gofer_conn *conn = gfs_conn(gfs_of(&i->inode));
    struct gofer_attr attr;
    gofer_handle_t handle;
    int tries = 0, rc;
    uint32_t seq = gino_attr_begin(i);
    do {
        rc = gino_handle_or_stale(i, &handle);
        if (rc < 0)
            return rc;
        rc = gofer_conn_getattr(conn, handle, &attr);
    } while (rc < 0 && gino_retry(i, handle, rc, &tries));
    if (rc == 0)
        gino_attr_set_locked(i, &attr, seq);
    return rc;
}

static bool same_time(const struct gofer_time *a, const struct gofer_time *b) {
    return a->sec == b->sec && a->nsec == b->nsec;
}

/* By a descriptor, which costs no message. Owner and group are not taken from there: this process lives in a
 * user namespace of its own, which may know other ids, or none. False if they may have changed: then ctime
 * has, and mtime, which goes with writes, has not. */
static bool by_descriptor_locked(struct gofer_inode *i) REQUIRES(&i->inode.lock) {
    struct gofer_attr attr;
    uint32_t seq = gino_attr_begin(i);
    int fd = i->attr_known ? gino_pin_fd(i) : -1;
    if (fd < 0)
        return false;
    int rc = gofer_host_stat(fd, &attr);
    gino_unpin(i);
    if (rc < 0 || (!gfs_exclusive(gfs_of(&i->inode)) && same_time(&attr.mtime, &i->attr.mtime) &&
                   !same_time(&attr.ctime, &i->attr.ctime)))
        return false;
    attr.uid = i->attr.uid;
    attr.gid = i->attr.gid;
    gino_attr_set_locked(i, &attr, seq);
    return true;
}

static int refresh_locked(struct gofer_inode *i) REQUIRES(&i->inode.lock) {
    if (attr_trusted_locked(i) || by_descriptor_locked(i))
        return 0;
    int rc = ask_gofer_locked(i);
    /* Removed, and not reachable any more: what was known last is all there is. */
    if (rc == -ESTALE)
        rc = i->attr_known ? 0 : -ENOENT;
    return rc;
}

static int64_t time_ns(const struct gofer_time *t) {
    int64_t ns;
    if (__builtin_mul_overflow(t->sec, NSEC_PER_SEC, &ns) ||
        __builtin_add_overflow(ns, (int64_t)t->nsec, &ns))
        return t->sec < 0 ? INT64_MIN + 1 : INT64_MAX;
    return ns;
}

int gofer_getattr(struct inode *inode, struct kstat *ret) {
    struct gofer_inode *i = gino_of(inode);
    struct gofer_fs *g = gfs_of(inode);
    if (!gfs_exclusive(g))
        gfs_drain_if_due(g);
    mutex_lock(&i->inode.lock);
    int rc = refresh_locked(i);
    if (rc == 0) {
        const struct gofer_attr *a = &i->attr;
        ret->mode = a->mode;
        ret->uid = a->uid;
        ret->gid = a->gid;
        ret->size = a->size;
        ret->blocks = a->blocks;
        ret->nlink = a->nlink;
        ret->blksize = a->blksize;
        ret->atime_ns = time_ns(&a->atime);
        ret->mtime_ns = time_ns(&a->mtime);
        ret->ctime_ns = time_ns(&a->ctime);
        ret->btime_ns = a->flags & GOFER_ATTR_BTIME ? time_ns(&a->btime) : INT64_MIN;
        ret->attributes = (a->flags & GOFER_ATTR_IMMUTABLE ? LINUX_STATX_ATTR_IMMUTABLE : 0) |
                          (a->flags & GOFER_ATTR_APPEND ? LINUX_STATX_ATTR_APPEND : 0);
        ret->attributes_mask = LINUX_STATX_ATTR_IMMUTABLE | LINUX_STATX_ATTR_APPEND;
    }
    mutex_unlock(&i->inode.lock);
    return rc;
}

/* ---- setattr ---- */

static struct gofer_time to_time(int64_t ns) {
    int64_t sec = ns / NSEC_PER_SEC, rest = ns % NSEC_PER_SEC;
    if (rest < 0) {
        sec--;
        rest += NSEC_PER_SEC;
    }
    return (struct gofer_time){.sec = sec, .nsec = (uint32_t)rest};
}

static struct gofer_setattr to_request(struct gofer_inode *i, const struct setattr *s) {
    struct gofer_setattr q = {.mode = s->mode & 07777, .uid = s->uid, .gid = s->gid};
    uint32_t mode = s->mask & SETATTR_MODE ? s->mode : i->inode.mode;
    q.mask = (s->mask & SETATTR_MODE ? GOFER_SET_MODE : 0) | (s->mask & SETATTR_UID ? GOFER_SET_UID : 0) |
             (s->mask & SETATTR_GID ? GOFER_SET_GID : 0) | (s->mask & SETATTR_ATIME ? GOFER_SET_ATIME : 0) |
             (s->mask & SETATTR_MTIME ? GOFER_SET_MTIME : 0) |
             (s->mask & SETATTR_ATIME_NOW ? GOFER_SET_ATIME_NOW : 0) |
             (s->mask & SETATTR_MTIME_NOW ? GOFER_SET_MTIME_NOW : 0);
    if (s->mask & SETATTR_KILL_PRIV && i->inode.type == LINUX_S_IFREG) {
        uint32_t kept = mode & ~(uint32_t)LINUX_S_ISUID;
        if (mode & LINUX_S_IXGRP)
            kept &= ~(uint32_t)LINUX_S_ISGID;
        if (kept != mode) {
            q.mask |= GOFER_SET_MODE;
            q.mode = kept & 07777;
        }
    }
    if (q.mask & GOFER_SET_ATIME)
        q.atime = to_time(s->atime_ns);
    if (q.mask & GOFER_SET_MTIME)
        q.mtime = to_time(s->mtime_ns);
    return q;
}

static int send_locked(struct gofer_inode *i, struct gofer_setattr *q) REQUIRES(&i->inode.lock) {
    struct gofer_conn *conn = gfs_conn(gfs_of(&i->inode));
    struct gofer_attr attr;
    int tries = 0, rc;
    gino_attr_changed(i);
    uint32_t seq = gino_attr_begin(i);
    do {
        rc = gino_handle(i, &q->handle);
        if (rc < 0)
            return rc;
        rc = gofer_conn_setattr(conn, q, &attr);
    } while (rc < 0 && gino_retry(i, q->handle, rc, &tries));
    if (rc == 0)
        gino_attr_set_locked(i, &attr, seq);
    return rc;
}

static int setattr_locked(struct gofer_inode *i, const struct setattr *s) REQUIRES(&i->inode.lock) {
    struct gofer_setattr q = to_request(i, s);
    int rc = 0;
    if (s->mask & SETATTR_SIZE) {
        int fd = gino_pin_write_fd(i);
        if (fd >= 0) {
            rc = gofer_host_truncate(fd, s->size);
            gino_unpin(i);
            gino_attr_changed(i);
        } else {
            q.mask |= GOFER_SET_SIZE;
            q.size = s->size;
        }
    }
    return rc < 0 || !q.mask ? rc : send_locked(i, &q);
}

static void drop_file_caps(struct inode *inode) {
    /* Nothing to say if it has none: then it was not an executable with privileges. */
    if (inode->type == LINUX_S_IFREG && inode->mode & 0111)
        (void)!gofer_removexattr(inode, "security.capability");
}

int gofer_setattr(struct inode *inode, const struct setattr *s) {
    struct gofer_inode *i = gino_of(inode);
    if (s->mask & SETATTR_SIZE && s->size > INT64_MAX)
        return -EFBIG;
    mutex_lock(&i->inode.lock);
    int rc = setattr_locked(i, s);
    mutex_unlock(&i->inode.lock);
    if (rc == 0 && s->mask & SETATTR_KILL_PRIV)
        drop_file_caps(inode);
    if (rc == 0 && s->mask & SETATTR_SIZE)
        gofer_map_truncated(i, s->size);
    return rc;
}

/* ---- links ---- */

static int ask_target_locked(struct gofer_inode *i) REQUIRES(&i->inode.lock) {
    char target[GOFER_TARGET_MAX + 1];
    uint32_t size;
    gofer_handle_t handle;
    int tries = 0, rc;
    do {
        rc = gino_handle(i, &handle);
        if (rc < 0)
            return rc;
        rc = gofer_conn_readlink(gfs_conn(gfs_of(&i->inode)), handle, target, &size);
    } while (rc < 0 && gino_retry(i, handle, rc, &tries));
    if (rc < 0)
        return rc;
    i->target = heap_strndup(target, size);
    return i->target ? 0 : -ENOMEM;
}

int gofer_readlink(struct inode *inode, struct task *t, char **ret) {
    struct gofer_inode *i = gino_of(inode);
    (void)t;
    if (inode->type != LINUX_S_IFLNK)
        return -EINVAL;
    mutex_lock(&i->inode.lock);
    int rc = i->target ? 0 : ask_target_locked(i);
    char *copy = rc == 0 ? heap_strdup(i->target) : NULL;
    mutex_unlock(&i->inode.lock);
    if (rc < 0)
        return rc;
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

/* ---- extended attributes ---- */

ssize_t gofer_getxattr(struct inode *inode, const char *name, void *buf, size_t size) {
    struct gofer_inode *i = gino_of(inode);
    gofer_handle_t handle;
    size_t got = 0;
    int tries = 0, rc;
    do {
        rc = gino_handle(i, &handle);
        if (rc < 0)
            return rc;
        rc = gofer_conn_getxattr(gfs_conn(gfs_of(inode)), handle, name, buf, size, &got);
    } while (rc < 0 && gino_retry(i, handle, rc, &tries));
    return rc < 0 ? rc : (ssize_t)got;
}

int gofer_setxattr(struct inode *inode, const char *name, const void *value, size_t size, int flags) {
    struct gofer_inode *i = gino_of(inode);
    gofer_handle_t handle;
    int tries = 0, rc;
    do {
        rc = gino_handle(i, &handle);
        if (rc < 0)
            return rc;
        rc = gofer_conn_setxattr(gfs_conn(gfs_of(inode)), handle, name, value, size, (uint32_t)flags);
    } while (rc < 0 && gino_retry(i, handle, rc, &tries));
    gino_attr_changed(i);
    if (rc == 0 && strcmp(name, "system.posix_acl_access") == 0) { /* changes the mode */
        mutex_lock(&i->inode.lock);
        rc = ask_gofer_locked(i);
        mutex_unlock(&i->inode.lock);
    }
    return rc;
}

ssize_t gofer_listxattr(struct inode *inode, char *buf, size_t size) {
    struct gofer_inode *i = gino_of(inode);
    gofer_handle_t handle;
    size_t got = 0;
    int tries = 0, rc;
    do {
        rc = gino_handle(i, &handle);
        if (rc < 0)
            return rc;
        rc = gofer_conn_listxattr(gfs_conn(gfs_of(inode)), handle, buf, size, &got);
    } while (rc < 0 && gino_retry(i, handle, rc, &tries));
    return rc < 0 ? rc : (ssize_t)got;
}

int gofer_removexattr(struct inode *inode, const char *name) {
    struct gofer_inode *i = gino_of(inode);
    gofer_handle_t handle;
    int tries = 0, rc;
    do {
        rc = gino_handle(i, &handle);
        if (rc < 0)
            return rc;
        rc = gofer_conn_removexattr(gfs_conn(gfs_of(inode)), handle, name);
    } while (rc < 0 && gino_retry(i, handle, rc, &tries));
    gino_attr_changed(i);
    return rc;
}
