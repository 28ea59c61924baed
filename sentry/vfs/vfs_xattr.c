/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/vfs_xattr.c: extended attributes: which namespaces there are, and who may touch them. Source:
 * xattr(7), capabilities(7). Sizes and names are checked by the system calls (name 1..255 bytes, value at
 * most XATTR_SIZE_MAX).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/capability.h"
#include "base/abi/linux/xattr.h"
#include "sentry/heap/heap.h"
#include "sentry/vfs/vfs_internal.h"

static bool has_prefix(const char *name, const char *prefix) {
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool admin_over(const struct inode *i, const struct creds *c) {
    return creds_has_cap_in(c, i->fs->kernel->root_user_ns, LINUX_CAP_SYS_ADMIN);
}

/* user.*: regular files and directories only; in sticky directories, the owner's alone to write. */
static int user_check(struct inode *i, const struct creds *c, bool write) {
    if (i->type != LINUX_S_IFREG && i->type != LINUX_S_IFDIR)
        return write ? -EPERM : -ENODATA;
    if (write && i->type == LINUX_S_IFDIR && i->mode & LINUX_S_ISVTX && !inode_owner_or_capable(i, c))
        return -EPERM;
    return inode_permission(i, c, write ? MAY_WRITE : MAY_READ);
}

/* A namespace alone is no name. */
static bool lacks_suffix(const char *name) {
    return strcmp(name, LINUX_XATTR_USER_PREFIX) == 0 || strcmp(name, LINUX_XATTR_TRUSTED_PREFIX) == 0 ||
           strcmp(name, LINUX_XATTR_SECURITY_PREFIX) == 0;
}

static int xattr_check(struct inode *i, const char *name, const struct creds *c, bool write) {
    if (lacks_suffix(name))
        return -EINVAL;
    if (write && i->flags & (INODE_IMMUTABLE | INODE_APPEND))
        return -EPERM;
    if (has_prefix(name, LINUX_XATTR_TRUSTED_PREFIX)) {
        if (!admin_over(i, c))
            return write ? -EPERM : -ENODATA;
        return 0;
    }
    if (has_prefix(name, LINUX_XATTR_SECURITY_PREFIX)) {
        if (!write)
            return 0;
        if (strcmp(name, "security.capability") == 0)
            return inode_capable(i, c, LINUX_CAP_SETFCAP) ? 0 : -EPERM;
        return admin_over(i, c) ? 0 : -EPERM;
    }
    if (has_prefix(name, LINUX_XATTR_USER_PREFIX))
        return user_check(i, c, write);
    return -EOPNOTSUPP;
}

ssize_t vfs_getxattr(const struct path *p, const char *name, void *buf, size_t size, const struct creds *c) {
    struct inode *i = p->dentry->inode;
    enum acl_kind kind;

    if (acl_kind_of_xattr(name, &kind))
        return vfs_get_acl(p, kind, buf, size, c);
    int r = xattr_check(i, name, c, false);

    if (r < 0)
        return r;
    return i->ops->getxattr ? i->ops->getxattr(i, name, buf, size) : -EOPNOTSUPP;
}

int vfs_setxattr(const struct path *p, const char *name, const void *value, size_t size, int flags,
                 const struct creds *c) {
    struct inode *i = p->dentry->inode;
    enum acl_kind kind;
    int r = path_want_write(p);

    if (r == 0 && acl_kind_of_xattr(name, &kind))
        return vfs_set_acl(p, kind, value, size, c);
    if (r == 0)
        r = xattr_check(i, name, c, true);
    if (r < 0)
        return r;
    if (!i->ops->setxattr)
        return -EOPNOTSUPP;
    r = i->ops->setxattr(i, name, value, size, flags);
    if (r == 0)
        vfs_notify_path(p, LINUX_IN_ATTRIB);
    return r;
}

int vfs_removexattr(const struct path *p, const char *name, const struct creds *c) {
    struct inode *i = p->dentry->inode;
    enum acl_kind kind;
    int r = path_want_write(p);

    if (r == 0 && acl_kind_of_xattr(name, &kind))
        return vfs_set_acl(p, kind, NULL, 0, c);
    if (r == 0)
        r = xattr_check(i, name, c, true);
    if (r < 0)
        return r;
    if (!i->ops->removexattr)
        return -EOPNOTSUPP;
    r = i->ops->removexattr(i, name);
    if (r == 0)
        vfs_notify_path(p, LINUX_IN_ATTRIB);
    return r;
}

/* Drops what `c` may not see from a list of names; the new length. */
static size_t filter_names(const struct inode *i, char *list, size_t len, const struct creds *c) {
    bool admin = admin_over(i, c);
    size_t to = 0;

    for (size_t at = 0; at < len;) {
        size_t n = strnlen(list + at, len - at) + 1;
        if (admin || !has_prefix(list + at, LINUX_XATTR_TRUSTED_PREFIX)) {
            memmove(list + to, list + at, MIN(n, len - at));
            to += n;
        }
        at += n;
    }
    return to;
}

/* The file system's names, filtered, in heap memory with room for those of the ACLs. The length. */
static ssize_t list_names(struct inode *i, const struct creds *c, char **ret) {
    const size_t more = strlen(acl_xattr_name(ACL_ACCESS)) + strlen(acl_xattr_name(ACL_DEFAULT)) + 2;
    ssize_t all = i->ops->listxattr ? i->ops->listxattr(i, NULL, 0) : 0;

    if (all < 0)
        return all;
    char *list = heap_alloc_bytes((size_t)all + more);
    if (!list)
        return -ENOMEM;
    if (all > 0)
        all = i->ops->listxattr(i, list, (size_t)all);
    if (all < 0) {
        heap_free(list);
        return all;
    }
    *ret = list;
    return (ssize_t)filter_names(i, list, (size_t)all, c);
}

ssize_t vfs_listxattr(const struct path *p, char *buf, size_t size, const struct creds *c) {
    struct inode *i = p->dentry->inode;
    char *list = NULL;
    ssize_t all = list_names(i, c, &list);

    for (int k = 0; all >= 0 && k < ACL_KINDS; k++) {
        struct posix_acl *a = inode_get_acl(i, (enum acl_kind)k);
        if (a) {
            size_t len = strlen(acl_xattr_name((enum acl_kind)k)) + 1;
            memcpy(list + all, acl_xattr_name((enum acl_kind)k), len);
            all += (ssize_t)len;
        }
        posix_acl_unref(a);
    }
    if (all > 0 && size > 0) {
        if ((size_t)all > size)
            all = -ERANGE;
        else
            memcpy(buf, list, (size_t)all);
    }
    heap_free(list);
    return all;
}
