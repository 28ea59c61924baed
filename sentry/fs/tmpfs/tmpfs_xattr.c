/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/tmpfs/tmpfs_xattr.c: extended attributes of tmpfs inodes: a list under base.lock. Who may is
 * vfs_xattr.c's to say. Source: xattr(7).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/xattr.h"
#include "sentry/fs/tmpfs/tmpfs_internal.h"

HEAP_TYPE(tmpfs_xattr, struct tmpfs_xattr, 0);

static struct tmpfs_xattr *find_locked(struct tmpfs_inode *i, const char *name) {
    struct tmpfs_xattr *x;

    list_for_each_entry(x, &i->xattrs, node) if (strcmp(x->name, name) == 0) return x;
    return NULL;
}

static void xattr_free(struct tmpfs_xattr *x) {
    if (!x)
        return;
    heap_free(x->name);
    heap_free(x->value);
    heap_free(x);
}

static void unlink_locked(struct tmpfs_inode *i, struct tmpfs_xattr *x) {
    list_del(&x->node);
    i->xattr_bytes -= strlen(x->name) + x->size;
}

void tmpfs_xattrs_free(struct tmpfs_inode *i) {
    while (!list_empty(&i->xattrs)) {
        struct tmpfs_xattr *x = list_first_entry(&i->xattrs, struct tmpfs_xattr, node);
        unlink_locked(i, x);
        xattr_free(x);
    }
}

void tmpfs_xattr_drop_locked(struct tmpfs_inode *i, const char *name) {
    struct tmpfs_xattr *x = find_locked(i, name);

    if (x) {
        unlink_locked(i, x);
        xattr_free(x);
    }
}

ssize_t tmpfs_getxattr(struct inode *base, const char *name, void *buf, size_t size) {
    struct tmpfs_inode *i = tmpfs_inode_of(base);
    ssize_t r = -ENODATA;

    mutex_lock(&base->lock);
    struct tmpfs_xattr *x = find_locked(i, name);
    if (x) {
        r = (ssize_t)x->size;
        if (size > 0 && size < x->size)
            r = -ERANGE;
        else if (size > 0 && x->size > 0)
            memcpy(buf, x->value, x->size);
    }
    mutex_unlock(&base->lock);
    return r;
}

static struct tmpfs_xattr *xattr_new(const char *name, const void *value, size_t size) {
    struct tmpfs_xattr *x = heap_new(tmpfs_xattr);

    if (!x)
        return NULL;
    list_init(&x->node);
    x->name = heap_strdup(name);
    x->size = size;
    if (size > 0 && (x->value = heap_alloc_bytes(size)))
        memcpy(x->value, value, size);
    if (x->name && (x->value || size == 0))
        return x;
    xattr_free(x);
    return NULL;
}

int tmpfs_setxattr(struct inode *base, const char *name, const void *value, size_t size, int flags) {
    struct tmpfs_inode *i = tmpfs_inode_of(base);
    struct tmpfs_xattr *x = xattr_new(name, value, size);
    int r = 0;

    if (!x)
        return -ENOMEM;
    mutex_lock(&base->lock);
    struct tmpfs_xattr *old = find_locked(i, name);
    size_t less = old ? strlen(old->name) + old->size : 0;
    if (old && flags & LINUX_XATTR_CREATE)
        r = -EEXIST;
    else if (!old && flags & LINUX_XATTR_REPLACE)
        r = -ENODATA;
    else if (i->xattr_bytes - less + strlen(name) + size > TMPFS_XATTR_MAX)
        r = -ENOSPC;
    if (r == 0) {
        if (old)
            unlink_locked(i, old);
        list_add_tail(&i->xattrs, &x->node);
        i->xattr_bytes += strlen(name) + size;
        i->ctime_ns = vfs_now(base->fs->kernel);
        x = old;
    }
    mutex_unlock(&base->lock);
    xattr_free(x);
    return r;
}

ssize_t tmpfs_listxattr(struct inode *base, char *buf, size_t size) {
    struct tmpfs_inode *i = tmpfs_inode_of(base);
    struct tmpfs_xattr *x;
    size_t len = 0;

    mutex_lock(&base->lock);
    list_for_each_entry(x, &i->xattrs, node) {
        size_t n = strlen(x->name) + 1;
        if (size > 0 && len + n <= size)
            memcpy(buf + len, x->name, n);
        len += n;
    }
    mutex_unlock(&base->lock);
    return size > 0 && len > size ? -ERANGE : (ssize_t)len;
}

int tmpfs_removexattr(struct inode *base, const char *name) {
    struct tmpfs_inode *i = tmpfs_inode_of(base);

    mutex_lock(&base->lock);
    struct tmpfs_xattr *x = find_locked(i, name);
    if (x) {
        unlink_locked(i, x);
        i->ctime_ns = vfs_now(base->fs->kernel);
    }
    mutex_unlock(&base->lock);
    if (!x)
        return -ENODATA;
    xattr_free(x);
    return 0;
}
