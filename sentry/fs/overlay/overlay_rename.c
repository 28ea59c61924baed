/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_rename.c: rename in the upper layer, after everything concerned was copied up.
 *
 * A directory with a lower part takes it along: its upper part gets a redirect to where the lower one lies.
 * An overlay that a guest mounted has that with redirect_dir=on only, and gives EXDEV otherwise. A directory
 * without one that goes to where a lower directory would show through becomes opaque.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/limits.h"
#include "sentry/fs/overlay/overlay_internal.h"

/* One end of a rename. */
struct end {
    struct overlay_inode *dir;
    struct inode *upper; /* of dir */
    const char *name;
    size_t len;
    struct overlay_inode *inode; /* what is there; NULL: nothing */
    int lower_has;               /* the lower part of dir has the name */
};

static int prepare(struct end *e) {
    int rc = overlay_copy_up(e->dir, OVERLAY_COPY_ALL);
    if (rc < 0)
        return rc;
    e->upper = oino_upper(e->dir);
    e->lower_has = overlay_lower_has(e->dir, e->name, e->len);
    return e->lower_has < 0 ? e->lower_has : 0;
}

/* What makes a directory the same one at its new place. */
static int fix_directory(struct overlay_inode *i, const struct end *to) {
    struct overlay_fs *o = ofs_of(&i->inode);
    if (!inode_is_dir(&i->inode))
        return 0;
    if (!i->lower)
        return to->lower_has ? overlay_opaque_set(o, oino_upper(i)) : 0;
    if (!o->redirect_dir || strlen(i->lower_path) + 1 >= LINUX_PATH_MAX)
        return -EXDEV;
    return overlay_redirect_set(o, oino_upper(i), i->lower_path);
}

/* Ancestor first, else by address; one directory may be both. */
static void lock_uppers(struct inode *a, struct inode *b, bool a_first) NO_TSA {
    mutex_lock(a_first ? &a->dir_lock : &b->dir_lock);
    if (a != b)
        mutex_lock_nested(a_first ? &b->dir_lock : &a->dir_lock);
}

static void unlock_uppers(struct inode *a, struct inode *b) NO_TSA {
    mutex_unlock(&a->dir_lock);
    if (a != b)
        mutex_unlock(&b->dir_lock);
}

/* No directory may come to lie below itself. What the overlay's names say need not be so in an upper layer
   that others change too: so walk from the end's directory up to the root by those names, and see that each
   leads to the upper part that it had. The layer's rename_lock keeps it so. `moved` must not be met;
   *ret_below: `other` was. */
static int check_ancestry(struct overlay_fs *o, const struct end *e, const struct inode *moved,
                          const struct inode *other, bool *ret_below) {
    char name[256];
    struct overlay_inode *at = e->dir;
    int rc = 0;
    inode_ref(&at->inode);
    while (rc == 0 && oino_upper(at) != o->upper->root->inode) {
        struct overlay_inode *parent = oino_get_place(at, name);
        struct inode *upper = oino_upper(at);
        if (!parent || upper == moved) {
            rc = -ESTALE;
        } else {
            struct inode *dir = oino_upper(parent);
            mutex_lock(&dir->dir_lock);
            rc = overlay_upper_check_locked(dir, name, strlen(name), upper);
            mutex_unlock(&dir->dir_lock);
            *ret_below = *ret_below || dir == other;
        }
        inode_unref(&at->inode);
        at = parent;
    }
    if (at)
        inode_unref(&at->inode);
    return rc;
}

/* The upper entry at `to`, if there is one: whiteouts go. New reference, or NULL. */
static int clear_target_locked(const struct end *to, bool *ret_whiteout, struct inode **ret) {
    struct inode *there;
    *ret = NULL;
    *ret_whiteout = false;
    int rc = to->upper->ops->lookup(to->upper, to->name, to->len, &there);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    if (!overlay_is_whiteout(there)) {
        *ret = there;
        return to->inode && there == oino_upper(to->inode) ? 0 : -ESTALE;
    }
    rc = to->upper->ops->unlink(to->upper, to->name, to->len, there);
    inode_unref(there);
    *ret_whiteout = rc == 0;
    return rc;
}

static int rename_in_upper(const struct end *from, const struct end *to, struct inode *replaced,
                           uint32_t flags) NO_TSA {
    bool kills_dir = replaced && !flags && inode_is_dir(replaced);
    if (kills_dir)
        mutex_lock_nested(&replaced->dir_lock); /* below both */
    int rc = from->upper->ops->rename(from->upper, from->name, from->len, oino_upper(from->inode), to->upper,
                                      to->name, to->len, replaced, flags);
    if (kills_dir) {
        replaced->dead_dir = replaced->dead_dir || rc == 0;
        mutex_unlock(&replaced->dir_lock);
    }
    return rc;
}

static int rename_locked(const struct end *from, const struct end *to, uint32_t flags) {
    struct overlay_fs *o = ofs_of(&from->dir->inode);
    struct inode *replaced;
    bool whiteout;
    if (!from->upper->ops->rename)
        return -EPERM;
    int rc = overlay_upper_check_locked(from->upper, from->name, from->len, oino_upper(from->inode));
    if (rc == 0 && to->upper->dead_dir)
        rc = -ENOENT;
    if (rc < 0)
        return rc;
    rc = clear_target_locked(to, &whiteout, &replaced);
    if (rc == 0)
        rc = rename_in_upper(from, to, replaced, flags & LINUX_RENAME_EXCHANGE);
    inode_unref(replaced);
    overlay_upper_changed(from->upper);
    overlay_upper_changed(to->upper);
    if (rc == 0 && from->lower_has && !(flags & LINUX_RENAME_EXCHANGE))
        rc = overlay_make_whiteout(o, from->upper, from->name, from->len);
    else if (rc < 0 && whiteout)
        (void)!overlay_make_whiteout(o, to->upper, to->name, to->len);
    return rc;
}

/* Both ends' files are in the upper layer, and what is to be replaced is gone from it or ready to be
 * replaced. */
static int prepare_files(struct end *from, struct end *to, bool exchange) {
    int rc = overlay_copy_up(from->inode, OVERLAY_COPY_ALL);
    if (rc == 0)
        rc = fix_directory(from->inode, to);
    if (rc < 0 || !to->inode)
        return rc;
    if (exchange) {
        rc = overlay_copy_up(to->inode, OVERLAY_COPY_ALL);
        return rc < 0 ? rc : fix_directory(to->inode, from);
    }
    if (inode_is_dir(&to->inode->inode))
        return overlay_dir_empty(to->inode);
    return oino_count_names(to->inode, -1);
}

static int rename_upper(const struct end *from, const struct end *to, uint32_t flags, bool from_first) {
    lock_uppers(from->upper, to->upper, from_first);
    int rc = rename_locked(from, to, flags);
    unlock_uppers(from->upper, to->upper);
    return rc;
}

/* Others may change the upper layer of a guest's overlay: as its own file system's renames. */
static int rename_guarded(struct overlay_fs *o, const struct end *from, const struct end *to,
                          uint32_t flags) {
    const struct inode *to_upper = flags & LINUX_RENAME_EXCHANGE ? oino_upper(to->inode) : NULL;
    bool to_below = false, from_below = false;
    mutex_lock(&o->upper->fs->rename_lock);
    int rc = check_ancestry(o, to, oino_upper(from->inode), from->upper, &to_below);
    if (rc == 0)
        rc = check_ancestry(o, from, to_upper, to->upper, &from_below);
    if (rc == 0)
        rc = rename_upper(from, to, flags, to_below || (!from_below && from->upper < to->upper));
    mutex_unlock(&o->upper->fs->rename_lock);
    return rc;
}

static int rename_real(const struct end *from, const struct end *to, uint32_t flags) {
    struct overlay_fs *o = ofs_of(&from->dir->inode);
    if (o->guest && from->upper != to->upper)
        return rename_guarded(o, from, to, flags);
    return rename_upper(from, to, flags, from->upper < to->upper);
}

/* Replaces what is there: a copy-up of it must not put it back. */
static int rename_over(const struct end *from, const struct end *to) {
    mutex_lock(&to->inode->copy_lock);
    int rc = rename_real(from, to, 0);
    if (rc == 0)
        oino_unplace(to->inode);
    mutex_unlock(&to->inode->copy_lock);
    return rc;
}

int overlay_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *target,
                   struct inode *new_dir, const char *new_name, size_t new_len, struct inode *replaced,
                   uint32_t flags) {
    struct end from = {.dir = oino_of(old_dir), .name = old_name, .len = old_len, .inode = oino_of(target)};
    struct end to = {.dir = oino_of(new_dir),
                     .name = new_name,
                     .len = new_len,
                     .inode = replaced ? oino_of(replaced) : NULL};
    bool exchange = flags & LINUX_RENAME_EXCHANGE;
    if (flags & LINUX_RENAME_WHITEOUT)
        return -EINVAL; /* as Linux: whiteouts are the overlay's own business */
    int rc = prepare(&from);
    if (rc == 0)
        rc = prepare(&to);
    if (rc == 0)
        rc = prepare_files(&from, &to, exchange);
    if (rc < 0)
        return rc;
    rc = to.inode && !exchange ? rename_over(&from, &to) : rename_real(&from, &to, flags);
    if (rc < 0)
        return rc;
    oino_place(from.inode, to.dir, new_name, new_len);
    if (exchange && to.inode)
        oino_place(to.inode, from.dir, old_name, old_len);
    return 0;
}
