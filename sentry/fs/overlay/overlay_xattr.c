/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_xattr.c: extended attributes: the overlay's own in the upper layer, and everybody
 * else's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/limits.h"
#include "base/abi/linux/xattr.h"
#include "sentry/fs/overlay/overlay_internal.h"
#include "sentry/heap/heap.h"

enum { XATTR_NAME_ROOM = 64, XATTR_LIST_MAX = 65536, XATTR_VALUE_MAX = 65536 };

struct own_name {
    char text[XATTR_NAME_ROOM];
};

static struct own_name own(struct overlay_fs *o, const char *which) {
    struct own_name n;
    snprintf(n.text, sizeof(n.text), "%s%s", o->xattr_prefix, which);
    return n;
}

static ssize_t own_get(struct overlay_fs *o, struct inode *upper, const char *which, void *buf, size_t size) {
    return upper->ops->getxattr ? upper->ops->getxattr(upper, own(o, which).text, buf, size) : -EOPNOTSUPP;
}

static int own_set(struct overlay_fs *o, struct inode *upper, const char *which, const void *value,
                   size_t size) {
    return upper->ops->setxattr ? upper->ops->setxattr(upper, own(o, which).text, value, size, 0)
                                : -EOPNOTSUPP;
}

bool overlay_flag_get(struct overlay_fs *o, struct inode *upper, const char *which) {
    char value = 0;
    return own_get(o, upper, which, &value, 1) == 1 && value == 'y';
}

int overlay_opaque_set(struct overlay_fs *o, struct inode *upper) {
    return own_set(o, upper, "opaque", "y", 1);
}

int overlay_redirect_set(struct overlay_fs *o, struct inode *upper, const char *path) {
    char *absolute = heap_alloc_bytes(strlen(path) + 2);
    if (!absolute)
        return -ENOMEM;
    absolute[0] = '/';
    memcpy(absolute + 1, path, strlen(path) + 1);
    int rc = own_set(o, upper, "redirect", absolute, strlen(absolute));
    heap_free(absolute);
    return rc;
}

char *overlay_redirect_get(struct overlay_fs *o, struct inode *upper) {
    ssize_t size = own_get(o, upper, "redirect", NULL, 0);
    if (size <= 0 || size >= LINUX_PATH_MAX)
        return NULL;
    char *path = heap_alloc_bytes((size_t)size + 1);
    if (path && own_get(o, upper, "redirect", path, (size_t)size) != size) {
        heap_free(path);
        path = NULL;
    }
    return path;
}

void overlay_origin_set(struct overlay_fs *o, struct inode *upper, uint64_t ino) {
    /* Without it the number changes when the inode is made anew: as on Linux without xino. */
    (void)!own_set(o, upper, "origin", &ino, sizeof(ino));
}

uint64_t overlay_ino_of_upper(struct overlay_fs *o, struct inode *upper) {
    uint64_t ino;
    if (own_get(o, upper, "origin", &ino, sizeof(ino)) == sizeof(ino))
        return ino;
    return upper->ino | o->upper_mark;
}

static bool is_own(const struct overlay_fs *o, const char *name) {
    return strncmp(name, o->xattr_prefix, strlen(o->xattr_prefix)) == 0;
}

/* What the guest calls NAME of the overlay's own names is kept as "overlay.NAME" beneath them, so that an
   overlay can be made of this one's files: as Linux. */
enum { ESCAPED_ROOM = LINUX_XATTR_NAME_MAX + 16 };
static const char *escape(const struct overlay_fs *o, const char *name, char *room) {
    size_t n = strlen(o->xattr_prefix);
    if (!is_own(o, name))
        return name;
    snprintf(room, ESCAPED_ROOM, "%soverlay.%s", o->xattr_prefix, name + n);
    return strlen(room) > LINUX_XATTR_NAME_MAX ? NULL : room;
}

/* A layer's name as the guest sees it, in place; false: it does not. */
static bool unescape(const struct overlay_fs *o, char *name) {
    size_t n = strlen(o->xattr_prefix), more = strlen("overlay.");
    if (!is_own(o, name))
        return true;
    if (strncmp(name + n, "overlay.", more) != 0)
        return false;
    memmove(name + n, name + n + more, strlen(name + n + more) + 1);
    return true;
}

static int copy_one(struct inode *from, struct inode *to, const char *name, char *value) {
    ssize_t size = from->ops->getxattr(from, name, value, XATTR_VALUE_MAX);
    if (size < 0) /* gone meanwhile, or not to be read */
        return size == -ENOMEM || size == -EIO ? (int)size : 0;
    int rc = to->ops->setxattr(to, name, value, (size_t)size, 0);
    return rc == -EOPNOTSUPP ? 0 : rc; /* a layer without that namespace */
}

int overlay_copy_xattrs(struct overlay_fs *o, struct inode *from, struct inode *to) {
    if (!from->ops->listxattr || !from->ops->getxattr || !to->ops->setxattr)
        return 0;
    ssize_t size = from->ops->listxattr(from, NULL, 0);
    if (size <= 0)
        return size == 0 || size == -EOPNOTSUPP ? 0 : (int)size;
    char *list = heap_alloc_bytes(XATTR_LIST_MAX + XATTR_VALUE_MAX);
    if (!list)
        return -ENOMEM;
    size = from->ops->listxattr(from, list, XATTR_LIST_MAX);
    int rc = size < 0 ? (int)size : 0;
    for (ssize_t at = 0; rc == 0 && at < size; at += (ssize_t)strlen(list + at) + 1) {
        if (!is_own(o, list + at) || strncmp(list + at + strlen(o->xattr_prefix), "overlay.", 8) == 0)
            rc = copy_one(from, to, list + at, list + XATTR_LIST_MAX);
    }
    heap_free(list);
    return rc;
}

/* ---- the guest's ---- */

ssize_t overlay_getxattr(struct inode *inode, const char *name, void *buf, size_t size) {
    struct inode *real = oino_real(oino_of(inode));
    char room[ESCAPED_ROOM];
    name = escape(ofs_of(inode), name, room);
    if (!name)
        return -EOPNOTSUPP;
    return real->ops->getxattr ? real->ops->getxattr(real, name, buf, size) : -EOPNOTSUPP;
}

int overlay_setxattr(struct inode *inode, const char *name, const void *value, size_t size, int flags) {
    struct overlay_inode *i = oino_of(inode);
    char room[ESCAPED_ROOM];
    name = escape(ofs_of(inode), name, room);
    if (!name)
        return -EOPNOTSUPP;
    int rc = overlay_copy_up(i, OVERLAY_COPY_ALL);
    if (rc < 0)
        return rc;
    struct inode *upper = oino_upper(i);
    if (!upper->ops->setxattr)
        return -EOPNOTSUPP;
    rc = upper->ops->setxattr(upper, name, value, size, flags);
    oino_copy_mode(i); /* an ACL changes it */
    return rc;
}

int overlay_removexattr(struct inode *inode, const char *name) {
    struct overlay_inode *i = oino_of(inode);
    char room[ESCAPED_ROOM];
    ssize_t there = overlay_getxattr(inode, name, NULL, 0);
    if (there < 0)
        return (int)there; /* no copy for nothing */
    name = escape(ofs_of(inode), name, room);
    int rc = overlay_copy_up(i, OVERLAY_COPY_ALL);
    if (rc < 0)
        return rc;
    struct inode *upper = oino_upper(i);
    return upper->ops->removexattr ? upper->ops->removexattr(upper, name) : -EOPNOTSUPP;
}

ssize_t overlay_listxattr(struct inode *inode, char *buf, size_t size) {
    struct overlay_fs *o = ofs_of(inode);
    struct inode *real = oino_real(oino_of(inode));
    if (!real->ops->listxattr)
        return 0;
    char *list = heap_alloc_bytes(XATTR_LIST_MAX);
    if (!list)
        return -ENOMEM;
    ssize_t all = real->ops->listxattr(real, list, XATTR_LIST_MAX);
    size_t kept = 0;
    for (ssize_t at = 0; at < all;) {
        size_t n = strlen(list + at) + 1;
        if (unescape(o, list + at)) {
            size_t shown = strlen(list + at) + 1;
            memmove(list + kept, list + at, shown);
            kept += shown;
        }
        at += (ssize_t)n;
    }
    ssize_t rc = all < 0 ? all : (ssize_t)kept;
    if (all >= 0 && size) {
        if (kept > size)
            rc = -ERANGE;
        else
            memcpy(buf, list, kept);
    }
    heap_free(list);
    return rc;
}
