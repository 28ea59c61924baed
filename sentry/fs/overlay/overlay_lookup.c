/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_lookup.c: what a name in a merged directory leads to.
 */
#include <errno.h>
#include <string.h>

#include "sentry/fs/overlay/overlay_internal.h"
#include "sentry/heap/heap.h"

bool overlay_is_whiteout(const struct inode *i) {
    return i->type == LINUX_S_IFCHR && i->rdev == 0;
}

int overlay_layer_lookup(struct inode *dir, const char *name, size_t len, struct inode **ret) {
    mutex_lock(&dir->dir_lock);
    int rc = dir->ops->lookup ? dir->ops->lookup(dir, name, len, ret) : -ENOTDIR;
    mutex_unlock(&dir->dir_lock);
    return rc;
}

/* Present and no whiteout: new reference; -ENOENT. */
static int lower_lookup(struct inode *dir, const char *name, size_t len, struct inode **ret) {
    int rc = overlay_layer_lookup(dir, name, len, ret);
    if (rc == 0 && overlay_is_whiteout(*ret)) {
        inode_unref(*ret);
        return -ENOENT;
    }
    return rc;
}

int overlay_lower_has(struct overlay_inode *dir, const char *name, size_t len) {
    struct inode *found;
    if (!dir->lower)
        return 0;
    int rc = lower_lookup(dir->lower, name, len, &found);
    if (rc == 0)
        inode_unref(found);
    return rc == 0 ? 1 : rc == -ENOENT ? 0 : rc;
}

/* The lower directory at `path`, "a/b/c" from the lower root; -ENOENT if it is none any more. */
static int walk_lower(struct overlay_fs *o, const char *path, struct inode **ret) {
    struct inode *at = inode_ref(o->lower->root->inode);
    int rc = 0;
    for (const char *p = path; rc == 0 && *p;) {
        struct inode *next;
        size_t len = strcspn(p, "/");
        rc = lower_lookup(at, p, len, &next);
        inode_unref(at);
        at = rc == 0 ? next : NULL;
        if (at && !inode_is_dir(at)) {
            inode_unref(at);
            rc = -ENOENT;
        }
        p += len + (p[len] == '/');
    }
    if (rc == 0)
        *ret = at;
    return rc;
}

static char *join(const char *dir, const char *name, size_t len) {
    size_t dir_len = strlen(dir);
    char *path = heap_alloc_bytes(dir_len + len + 2);
    if (!path)
        return NULL;
    memcpy(path, dir, dir_len);
    if (dir_len)
        path[dir_len++] = '/';
    memcpy(path + dir_len, name, len);
    return path;
}

/* The lower part of what is `name` in `dir`; *ret_path is its place in the lower layer. -ENOENT: none.
 * `upper` may be NULL. */
static int find_lower(struct overlay_inode *dir, const char *name, size_t len, struct inode *upper,
                      struct inode **ret, char **ret_path) {
    struct overlay_fs *o = ofs_of(&dir->inode);
    int rc;
    if (upper && (!inode_is_dir(upper) || overlay_flag_get(o, upper, "opaque")))
        return -ENOENT;
    *ret_path = upper ? overlay_redirect_get(o, upper) : NULL;
    if (*ret_path) {
        rc = walk_lower(o, *ret_path, ret);
    } else {
        if (!dir->lower)
            return -ENOENT;
        rc = lower_lookup(dir->lower, name, len, ret);
        if (rc == 0 && upper &&
            !inode_is_dir(*ret)) { /* an upper directory over a lower file: nothing to merge */
            inode_unref(*ret);
            return -ENOENT;
        }
        if (rc == 0 && inode_is_dir(*ret)) {
            *ret_path = join(dir->lower_path, name, len);
            if (!*ret_path) {
                inode_unref(*ret);
                return -ENOMEM;
            }
        }
    }
    if (rc < 0) {
        heap_free(*ret_path);
        *ret_path = NULL;
    }
    return rc;
}

int overlay_lookup(struct inode *inode, const char *name, size_t len, struct inode **ret) {
    struct overlay_inode *dir = oino_of(inode), *found;
    struct inode *upper_dir = oino_upper(dir);
    struct overlay_parts parts = {0};
    char *path = NULL;
    int rc = upper_dir ? overlay_layer_lookup(upper_dir, name, len, &parts.upper) : -ENOENT;
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if (rc == 0 && overlay_is_whiteout(parts.upper)) {
        inode_unref(parts.upper);
        return -ENOENT;
    }
    rc = find_lower(dir, name, len, parts.upper, &parts.lower, &path);
    if (rc < 0 && (rc != -ENOENT || !parts.upper)) {
        if (parts.upper)
            inode_unref(parts.upper);
        return rc;
    }
    parts.lower_path = path;
    rc = overlay_inode_get(ofs_of(inode), &parts, dir, name, len, &found);
    heap_free(path);
    if (rc == 0)
        *ret = &found->inode;
    return rc;
}
