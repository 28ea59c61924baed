/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_lookup.c: what a name in a merged directory leads to.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/limits.h"
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
    struct overlay_part part;
    struct inode *found;
    int rc = -ENOENT;
    for (uint32_t n = 0; rc == -ENOENT && oino_part(dir, n, &part); n++) {
        rc = overlay_layer_lookup(part.inode, name, len, &found);
        if (rc == 0) {
            int there = !overlay_is_whiteout(found);
            inode_unref(found);
            return there;
        }
    }
    return rc == -ENOENT ? 0 : rc;
}

void overlay_upper_changed(struct inode *dir) {
    mutex_assert_held(&dir->dir_lock);
    atomic_fetch_add(&dir->names_changed, 1);
}

int overlay_upper_check_locked(struct inode *dir, const char *name, size_t len, const struct inode *want) {
    struct inode *there = NULL;
    if (dir->dead_dir)
        return -ENOENT;
    int rc = dir->ops->lookup(dir, name, len, &there);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    inode_unref(there);
    return there == want ? 0 : -ESTALE;
}

/* The directory at `path`, "a/b/c" from the root of a lower layer; -ENOENT if it is none any more. */
static int walk_lower(struct overlay_fs *o, uint32_t layer, const char *path, struct inode **ret) {
    struct inode *at = inode_ref(o->lowers[layer].mount->root->inode);
    int rc = 0;
    for (const char *p = path; rc == 0 && *p;) {
        struct inode *next;
        size_t len = strcspn(p, "/");
        rc = len == 0 || len > LINUX_NAME_MAX ? -ENOENT : lower_lookup(at, p, len, &next);
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

/* ---- what lies below: one layer after the other ---- */

struct search {
    struct overlay_fs *o;
    struct overlay_parts *parts;
    const char *name; /* in the directory's own part of a layer */
    size_t len;
    char *redirect; /* heap: from the roots, or a name; NULL: none was met */
    bool done;      /* nothing below counts */
};

static int add_part(struct overlay_parts *p, struct inode *inode, char *path, uint32_t layer) {
    if (!p->lower) {
        p->lower = inode;
        p->lower_path = path;
        p->lower_layer = layer;
        return 0;
    }
    size_t size = (p->more_count + 1) * sizeof(*p->more);
    struct overlay_part *more = p->more ? heap_realloc(p->more, size) : heap_alloc_bytes(size);
    if (!more)
        return -ENOMEM;
    p->more = more;
    p->more[p->more_count++] = (struct overlay_part){inode, path, layer};
    return 0;
}

/* What the directory says about those below it. */
static void read_marks(struct search *s, struct inode *dir, uint32_t layer) {
    if (layer + 1 == s->o->lower_count)
        return;
    s->done = overlay_flag_get(s->o, dir, "opaque");
    char *redirect = s->o->redirect_follow && !s->done ? overlay_redirect_get(s->o, dir) : NULL;
    if (redirect) {
        heap_free(s->redirect);
        s->redirect = redirect;
    }
}

/* `found` is there in a layer, at `path`: both taken. */
static int take_found(struct search *s, struct inode *found, char *path, uint32_t layer) {
    struct overlay_parts *p = s->parts;
    bool dir = inode_is_dir(found), first = !p->upper && !p->lower;
    int rc = 0;
    s->done = !dir;
    if (dir)
        read_marks(s, found, layer);
    if (dir || (first && !overlay_is_whiteout(found)))
        rc = path || !dir ? add_part(p, found, path, layer) : -ENOMEM;
    else
        rc = 1; /* a file under a directory, or a whiteout */
    if (rc != 0) {
        inode_unref(found);
        heap_free(path);
    }
    return MIN(rc, 0);
}

static int search_from_roots(struct search *s, uint32_t layer) {
    int rc = 0;
    for (; rc == 0 && !s->done && s->redirect && s->redirect[0] == '/' && layer < s->o->lower_count;
         layer++) {
        struct inode *found;
        char *path = heap_strdup(s->redirect + 1);
        if (!path)
            return -ENOMEM;
        rc = walk_lower(s->o, layer, path, &found);
        if (rc == 0)
            rc = take_found(s, found, path, layer);
        else
            heap_free(path);
        rc = rc == -ENOENT ? 0 : rc;
    }
    return rc;
}

/* The parts of what is `name` in `dir` below parts->upper, if there is that. */
static int search_lowers(struct overlay_inode *dir, struct search *s) {
    struct overlay_part part;
    uint32_t layer = 0;
    int rc = 0;
    for (uint32_t n = 0; rc == 0 && !s->done && oino_part(dir, n, &part); n++) {
        struct inode *found;
        if (s->redirect && s->redirect[0] == '/')
            break;
        const char *name = s->redirect ? s->redirect : s->name;
        size_t len = s->redirect ? strlen(s->redirect) : s->len;
        if (len > LINUX_NAME_MAX || memchr(name, '/', len))
            return -EIO;
        rc = overlay_layer_lookup(part.inode, name, len, &found);
        if (rc == 0)
            rc = take_found(s, found, inode_is_dir(found) ? join(part.path, name, len) : NULL, part.layer);
        rc = rc == -ENOENT ? 0 : rc;
        layer = part.layer + 1;
    }
    return rc < 0 ? rc : search_from_roots(s, layer);
}

static int find_lower(struct overlay_inode *dir, const char *name, size_t len, struct overlay_parts *parts) {
    struct search s = {.o = ofs_of(&dir->inode), .parts = parts, .name = name, .len = len};
    if (parts->upper && (!inode_is_dir(parts->upper) || overlay_flag_get(s.o, parts->upper, "opaque")))
        return 0;
    if (parts->upper && s.o->redirect_follow)
        s.redirect = overlay_redirect_get(s.o, parts->upper);
    int rc = search_lowers(dir, &s);
    heap_free(s.redirect);
    return rc;
}

int overlay_lookup(struct inode *inode, const char *name, size_t len, struct inode **ret) {
    struct overlay_inode *dir = oino_of(inode), *found;
    struct inode *upper_dir = oino_upper(dir);
    struct overlay_parts parts = {0};
    int rc = upper_dir ? overlay_layer_lookup(upper_dir, name, len, &parts.upper) : -ENOENT;
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if (rc == 0 && overlay_is_whiteout(parts.upper)) {
        inode_unref(parts.upper);
        return -ENOENT;
    }
    rc = find_lower(dir, name, len, &parts);
    if (rc == 0 && !parts.upper && !parts.lower)
        rc = -ENOENT;
    if (rc < 0) {
        overlay_parts_drop(&parts);
        return rc;
    }
    rc = overlay_inode_get(ofs_of(inode), &parts, dir, name, len, &found);
    if (rc == 0)
        *ret = &found->inode;
    return rc;
}
