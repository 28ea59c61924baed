/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/path_walk.c: from names to paths: the only place that resolves them. Source: path_resolution(7),
 * openat2(2), symlink(7), proc(5) (magic links).
 *
 * The walk goes component by component with references to where it is, and never holds a lock between two of
 * them. The texts of symlinks that are being followed lie on a stack, so that depth costs no recursion; 40
 * links in all are followed. The walk stops before the last component (walk_to_parent), which callers resolve
 * (walk_last) or create. The rules of RESOLVE_*:
 *   NO_XDEV       no mount point is crossed, up, down, or by a link
 *   NO_MAGICLINKS, NO_SYMLINKS
 *   BENEATH       never above the start: "..", absolute names and links, magic links give -EXDEV
 *   IN_ROOT       the start is the root
 *   CACHED        only what the dentry cache has; else -EAGAIN
 * A rename that moves a directory out of the scope while the walk is in it is found after each "..": -EAGAIN,
 * as Linux.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/limits.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/vfs_internal.h"

static void set_at(struct walk *w, struct path p) {
    path_put(&w->at);
    w->at = p;
}

static int base_of(const struct vfs_view *v, int dirfd, bool must_be_directory, struct path *ret) {
    if (dirfd == LINUX_AT_FDCWD) {
        *ret = path_get(&v->cwd);
        return 0;
    }
    struct file *f = v->task ? fd_get_any(v->task, dirfd) : NULL;
    if (!f)
        return -EBADF;
    int r = must_be_directory && !inode_is_dir(f->inode) ? -ENOTDIR : 0;
    if (r == 0)
        *ret = path_get(&f->path);
    file_unref(f);
    return r;
}

int walk_start(struct walk *w, const struct vfs_view *v, int dirfd, const char *name, unsigned flags) {
    bool absolute = name[0] == '/';
    int r = 0;

    memset(w, 0, sizeof *w);
    w->view = v;
    w->flags = flags;
    w->rest = name;
    if (!*name && !(flags & LOOKUP_EMPTY))
        return -ENOENT;
    if (absolute && flags & LOOKUP_BENEATH)
        return -EXDEV;
    if (absolute && !(flags & LOOKUP_IN_ROOT))
        w->at = path_get(&v->root);
    else
        r = base_of(v, dirfd, *name != '\0', &w->at);
    if (r < 0)
        return r;
    w->root = path_get(flags & LOOKUP_SCOPED ? &w->at : &v->root);
    w->at_magic = !*name;
    return 0;
}

void walk_done(struct walk *w) {
    for (; w->depth > 0; w->depth--)
        heap_free(w->stack[w->depth].text);
    path_put(&w->at);
    path_put(&w->root);
}

static const char *skip_slashes(const char *s) {
    while (*s == '/')
        s++;
    return s;
}

static bool texts_pending(const struct walk *w) {
    for (unsigned i = 1; i <= w->depth; i++)
        if (*skip_slashes(w->stack[i].rest))
            return true;
    return false;
}

static void pop_text(struct walk *w) {
    heap_free(w->stack[w->depth].text);
    w->rest = w->stack[w->depth].rest;
    w->depth--;
}

/* Goes on with a link's target; the current text is forgotten if nothing is left of it. Takes `text`. */
static void push_text(struct walk *w, char *text) {
    if (!*skip_slashes(w->rest)) {
        w->want_directory |= *w->rest == '/';
        if (w->depth > 0)
            pop_text(w);
    }
    ASSERT(w->depth < WALK_STACK);
    w->depth++;
    w->stack[w->depth].text = text;
    w->stack[w->depth].rest = w->rest;
    w->rest = text;
}

/* ---- links ---- */

/* /proc/sys/fs/protected_symlinks: proc(5). */
static int may_follow(const struct walk *w, const struct inode *link) {
    const struct inode *dir = w->at.dentry->inode;

    if (!vfs_setting(link->fs->kernel, VFS_PROTECTED_SYMLINKS) || link->uid == w->view->creds->fsuid ||
        (dir->mode & (LINUX_S_ISVTX | LINUX_S_IWOTH)) != (LINUX_S_ISVTX | LINUX_S_IWOTH) ||
        dir->uid == link->uid)
        return 0;
    return -EACCES;
}

static int follow_text(struct walk *w, struct inode *link) {
    char *text;

    if (!link->ops->readlink)
        return -EINVAL;
    int r = link->ops->readlink(link, w->view->task, &text);
    if (r < 0)
        return r;
    if (!*text)
        r = -ENOENT;
    else if (*text == '/' && w->flags & LOOKUP_BENEATH)
        r = -EXDEV;
    else if (*text == '/' && w->flags & LOOKUP_NO_XDEV && w->root.mount != w->at.mount)
        r = -EXDEV;
    if (r < 0) {
        heap_free(text);
        return r;
    }
    if (*text == '/')
        set_at(w, path_get(&w->root));
    push_text(w, text);
    return 1;
}

static int follow_magic(struct walk *w, struct inode *link) {
    struct path target;

    if (w->flags & LOOKUP_NO_MAGICLINKS)
        return -ELOOP;
    if (w->flags & LOOKUP_SCOPED)
        return -EXDEV;
    int r = link->ops->magic_link(link, w->view->task, &target);
    if (r == -ENOSYS) /* this one of the file system's links is not magic */
        return follow_text(w, link);
    if (r < 0)
        return r;
    if (w->flags & LOOKUP_NO_XDEV && target.mount != w->at.mount) {
        path_put(&target);
        return -EXDEV;
    }
    set_at(w, target);
    w->at_magic = true;
    return 0;
}

static int follow_link(struct walk *w, const struct path *link_path) {
    struct inode *link = link_path->dentry->inode;
    bool magic = link->ops->magic_link != NULL;

    if (w->flags & LOOKUP_NO_SYMLINKS || link_path->mount->flags & MOUNT_NOSYMFOLLOW)
        return -ELOOP;
    if (++w->links > LINUX_SYMLOOP_MAX)
        return -ELOOP;
    int r = magic ? 0 : may_follow(w, link);
    if (r < 0)
        return r;
    return magic ? follow_magic(w, link) : follow_text(w, link);
}

/* ---- steps ---- */

int walk_into(struct walk *w, struct dentry *d, bool follow) {
    struct path next = {mount_ref(w->at.mount), d};

    if (path_cross_mounts(&next) && w->flags & LOOKUP_NO_XDEV) {
        path_put(&next);
        return -EXDEV;
    }
    w->at_magic = false;
    if (follow && next.dentry->inode->type == LINUX_S_IFLNK) {
        int r = follow_link(w, &next);
        path_put(&next);
        return r;
    }
    set_at(w, next);
    return 0;
}

static bool below_root(const struct path *p, const struct path *root) {
    struct path q = path_get(p);
    bool below = false;

    for (;;) {
        if (q.mount == root->mount && dentry_is_below(q.dentry, root->dentry)) {
            below = true;
            break;
        }
        if (!path_cross_up(&q))
            break;
    }
    path_put(&q);
    return below;
}

static int step_up(struct walk *w) {
    for (;;) {
        if (path_equal(&w->at, &w->root)) {
            if (w->flags & LOOKUP_BENEATH)
                return -EXDEV;
            break;
        }
        if (w->at.dentry != w->at.mount->root) {
            struct dentry *parent = dentry_parent(w->at.dentry);
            bool inside =
                w->at.mount->root == w->at.mount->fs->root || dentry_is_below(parent, w->at.mount->root);
            dentry_unref(w->at.dentry);
            w->at.dentry = parent;
            if (!inside) /* a bind mount whose directory was moved out of it */
                return -ENOENT;
            break;
        }
        if (!path_cross_up(&w->at))
            break;
        if (w->flags & LOOKUP_NO_XDEV)
            return -EXDEV;
    }
    if (path_cross_mounts(&w->at) && w->flags & LOOKUP_NO_XDEV)
        return -EXDEV;
    if (w->flags & LOOKUP_SCOPED && !below_root(&w->at, &w->root))
        return -EAGAIN;
    return 0;
}

static int lookup_child(struct walk *w, const char *name, size_t len, struct dentry **ret) {
    if (w->flags & LOOKUP_CACHED)
        return dentry_lookup_cached(w->at.dentry, name, len, ret);
    return dentry_lookup(w->at.dentry, name, len, ret);
}

static int step(struct walk *w, const struct last_component *c, bool follow) {
    struct dentry *d;

    if (c->type == LAST_DOT || c->type == LAST_ROOT)
        return 0;
    if (c->type == LAST_DOTDOT)
        return step_up(w);
    int r = lookup_child(w, c->name, c->len, &d);
    if (r < 0)
        return r;
    if (!d->inode) {
        dentry_unref(d);
        return -ENOENT;
    }
    return walk_into(w, d, follow);
}

static struct last_component component_at(const char *name) {
    struct last_component c = {.name = name, .len = (size_t)(strchrnul(name, '/') - name)};

    if (c.len == 1 && name[0] == '.')
        c.type = LAST_DOT;
    else if (c.len == 2 && name[0] == '.' && name[1] == '.')
        c.type = LAST_DOTDOT;
    c.trailing_slash = name[c.len] == '/';
    return c;
}

int walk_to_parent(struct walk *w) {
    for (;;) {
        w->rest = skip_slashes(w->rest);
        if (!*w->rest) {
            if (w->depth > 0 && texts_pending(w)) {
                pop_text(w);
                continue;
            }
            w->last = (struct last_component){
                .name = w->rest, .type = LAST_ROOT, .trailing_slash = w->want_directory};
            return 0;
        }
        if (!inode_is_dir(w->at.dentry->inode))
            return -ENOTDIR;
        int r = inode_permission(w->at.dentry->inode, w->view->creds, MAY_EXEC);
        if (r < 0)
            return r;
        struct last_component c = component_at(w->rest);
        if (c.len > LINUX_NAME_MAX)
            return -ENAMETOOLONG;
        w->rest += c.len;
        if (!*skip_slashes(w->rest) && !texts_pending(w)) {
            c.trailing_slash |= w->want_directory;
            w->last = c;
            return 0;
        }
        r = step(w, &c, /* follow= */ true);
        if (r < 0)
            return r;
    }
}

int walk_last(struct walk *w, bool follow) {
    return step(w, &w->last, follow || w->last.trailing_slash);
}

int path_lookup(const struct vfs_view *v, int dirfd, const char *name, unsigned flags, struct path *ret) {
    struct walk w;
    int r = walk_start(&w, v, dirfd, name, flags);

    while (r >= 0) {
        r = walk_to_parent(&w);
        if (r < 0)
            break;
        r = walk_last(&w, flags & LOOKUP_FOLLOW);
        if (r <= 0)
            break;
    }
    if (r == 0 && (w.last.trailing_slash || flags & LOOKUP_DIRECTORY) && !inode_is_dir(w.at.dentry->inode))
        r = -ENOTDIR;
    if (r == 0)
        *ret = path_get(&w.at);
    walk_done(&w);
    return r;
}

int path_lookup_parent(const struct vfs_view *v, int dirfd, const char *name, unsigned flags,
                       struct path *ret, struct last_component *ret_last) {
    struct walk w;
    int r = walk_start(&w, v, dirfd, name, flags & ~(unsigned)LOOKUP_EMPTY);

    if (r == 0)
        r = walk_to_parent(&w);
    if (r == 0) {
        *ret = path_get(&w.at);
        *ret_last = w.last;
    }
    walk_done(&w);
    return r;
}
