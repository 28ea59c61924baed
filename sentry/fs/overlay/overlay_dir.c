/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_dir.c: making, linking and removing names; attributes; the operations table.
 * Rename: overlay_rename.c.
 *
 * What is made is made in the upper layer, after the directory was copied up; a whiteout that stands there
 * goes first, and a new directory in its place is opaque. What is removed and has a lower part of that name
 * leaves a whiteout.
 */
#include <errno.h>
#include <string.h>

#include "sentry/fs/overlay/overlay_internal.h"
#include "sentry/heap/heap.h"

int overlay_make_whiteout(struct overlay_fs *o, struct inode *upper_dir, const char *name, size_t len) {
    struct inode *made;
    int rc = upper_dir->ops->mknod
                 ? upper_dir->ops->mknod(upper_dir, name, len, LINUX_S_IFCHR, 0, o->creds, &made)
                 : -EPERM;
    if (rc == 0)
        inode_unref(made);
    overlay_upper_changed(upper_dir);
    return rc;
}

/* ---- making ---- */

/* The upper directory, locked between making_begin() and making_end(), without a whiteout of the name. */
struct making {
    struct overlay_inode *dir;
    struct inode *upper;
    const char *name;
    size_t len;
    bool had_whiteout;
};

static int remove_whiteout_locked(struct making *m) {
    struct inode *there;
    if (m->upper->dead_dir)
        return -ENOENT;
    int rc = m->upper->ops->lookup(m->upper, m->name, m->len, &there);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    rc = overlay_is_whiteout(there) ? m->upper->ops->unlink(m->upper, m->name, m->len, there) : -EEXIST;
    inode_unref(there);
    m->had_whiteout = rc == 0;
    return rc;
}

static int making_begin(struct making *m, struct inode *dir, const char *name, size_t len) NO_TSA {
    *m = (struct making){.dir = oino_of(dir), .name = name, .len = len};
    int rc = overlay_copy_up(m->dir, OVERLAY_COPY_ALL);
    if (rc < 0)
        return rc;
    m->upper = oino_upper(m->dir);
    mutex_lock(&m->upper->dir_lock);
    rc = remove_whiteout_locked(m);
    if (rc < 0)
        mutex_unlock(&m->upper->dir_lock);
    return rc;
}

/* rc: of what was tried; made: its reference, taken. */
static int making_end(struct making *m, int rc, struct inode *made, struct inode **ret) NO_TSA {
    struct overlay_fs *o = ofs_of(&m->dir->inode);
    struct overlay_inode *i;
    if (rc < 0 && m->had_whiteout)
        (void)!overlay_make_whiteout(o, m->upper, m->name, m->len);
    overlay_upper_changed(m->upper);
    mutex_unlock(&m->upper->dir_lock);
    if (rc < 0)
        return rc;
    struct overlay_parts parts = {.upper = made};
    rc = overlay_inode_get(o, &parts, m->dir, m->name, m->len, &i);
    if (rc == 0)
        *ret = &i->inode;
    return rc;
}

static int dir_create(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c,
                      struct inode **ret) {
    struct making m;
    struct inode *made = NULL;
    int rc = making_begin(&m, dir, name, len);
    if (rc < 0)
        return rc;
    rc = m.upper->ops->create ? m.upper->ops->create(m.upper, name, len, mode, c, &made) : -EPERM;
    return making_end(&m, rc, made, ret);
}

static int dir_mkdir(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c,
                     struct inode **ret) {
    struct making m;
    struct inode *made = NULL;
    int rc = making_begin(&m, dir, name, len);
    if (rc < 0)
        return rc;
    rc = m.upper->ops->mkdir ? m.upper->ops->mkdir(m.upper, name, len, mode, c, &made) : -EPERM;
    if (rc == 0 && m.had_whiteout) {
        rc = overlay_opaque_set(ofs_of(dir), made);
        if (rc < 0) {
            mutex_lock_nested(&made->dir_lock); /* parent before child */
            (void)!m.upper->ops->rmdir(m.upper, name, len, made);
            mutex_unlock(&made->dir_lock);
            inode_unref(made);
        }
    }
    return making_end(&m, rc, made, ret);
}

static int dir_mknod(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
                     const struct creds *c, struct inode **ret) {
    struct making m;
    struct inode *made = NULL;
    if ((mode & LINUX_S_IFMT) == LINUX_S_IFCHR && rdev == 0)
        return -EPERM; /* it would be a whiteout: as Linux */
    int rc = making_begin(&m, dir, name, len);
    if (rc < 0)
        return rc;
    rc = m.upper->ops->mknod ? m.upper->ops->mknod(m.upper, name, len, mode, rdev, c, &made) : -EPERM;
    return making_end(&m, rc, made, ret);
}

static int dir_symlink(struct inode *dir, const char *name, size_t len, const char *target,
                       const struct creds *c, struct inode **ret) {
    struct making m;
    struct inode *made = NULL;
    int rc = making_begin(&m, dir, name, len);
    if (rc < 0)
        return rc;
    rc = m.upper->ops->symlink ? m.upper->ops->symlink(m.upper, name, len, target, c, &made) : -EPERM;
    return making_end(&m, rc, made, ret);
}

static int dir_tmpfile(struct inode *dir, uint32_t mode, const struct creds *c, struct inode **ret) {
    struct overlay_inode *d = oino_of(dir), *i;
    struct inode *made;
    int rc = overlay_copy_up(d, OVERLAY_COPY_ALL);
    if (rc < 0)
        return rc;
    struct inode *upper = oino_upper(d);
    if (!upper->ops->tmpfile)
        return -EOPNOTSUPP;
    mutex_lock(&upper->dir_lock);
    rc = upper->dead_dir ? -ENOENT : upper->ops->tmpfile(upper, mode, c, &made);
    mutex_unlock(&upper->dir_lock);
    if (rc < 0)
        return rc;
    struct overlay_parts parts = {.upper = made};
    rc = overlay_inode_get(ofs_of(dir), &parts, /* dir= */ NULL, "", 0, &i);
    if (rc == 0)
        *ret = &i->inode;
    return rc;
}

static int dir_link(struct inode *dir, const char *name, size_t len, struct inode *target) NO_TSA {
    struct overlay_inode *i = oino_of(target);
    struct making m;
    int rc = overlay_copy_up(i, OVERLAY_COPY_ALL);
    if (rc == 0)
        rc = making_begin(&m, dir, name, len);
    if (rc < 0)
        return rc;
    rc = m.upper->ops->link ? m.upper->ops->link(m.upper, name, len, oino_upper(i)) : -EPERM;
    if (rc < 0 && m.had_whiteout)
        (void)!overlay_make_whiteout(ofs_of(dir), m.upper, name, len);
    overlay_upper_changed(m.upper);
    mutex_unlock(&m.upper->dir_lock);
    return rc < 0 ? rc : oino_count_names(i, 1);
}

/* ---- removing ---- */

/* Takes the upper entry away, if there is one, and leaves a whiteout if need be. copy_lock of `i` is held: no
 * copy-up puts it back. */
static int remove_locked(struct overlay_inode *dir, const char *name, size_t len, struct overlay_inode *i,
                         bool whiteout) {
    struct overlay_fs *o = ofs_of(&dir->inode);
    struct inode *upper = oino_upper(dir), *there;
    mutex_lock(&upper->dir_lock);
    int rc = upper->dead_dir ? -ESTALE : upper->ops->lookup(upper, name, len, &there);
    if (rc == 0) {
        if (there != oino_upper(i)) {
            rc = -ESTALE;
        } else if (inode_is_dir(there)) {
            mutex_lock_nested(&there->dir_lock); /* parent before child */
            rc = upper->ops->rmdir(upper, name, len, there);
            there->dead_dir = there->dead_dir || rc == 0;
            mutex_unlock(&there->dir_lock);
        } else {
            rc = upper->ops->unlink(upper, name, len, there);
        }
        inode_unref(there);
    } else if (rc == -ENOENT) {
        rc = 0;
    }
    if (rc == 0 && whiteout)
        rc = overlay_make_whiteout(o, upper, name, len);
    overlay_upper_changed(upper);
    mutex_unlock(&upper->dir_lock);
    if (rc == 0)
        oino_unplace(i);
    return rc;
}

static int remove_name(struct overlay_inode *dir, const char *name, size_t len, struct overlay_inode *i) {
    int rc = overlay_copy_up(dir, OVERLAY_COPY_ALL);
    if (rc < 0)
        return rc;
    int whiteout = overlay_lower_has(dir, name, len);
    if (whiteout < 0)
        return whiteout;
    if (!inode_is_dir(&i->inode)) {
        rc = oino_count_names(i, -1);
        if (rc < 0)
            return rc;
    }
    mutex_lock(&i->copy_lock);
    rc = remove_locked(dir, name, len, i, whiteout);
    mutex_unlock(&i->copy_lock);
    if (rc < 0 && !inode_is_dir(&i->inode) && oino_count_names(i, 1) < 0)
        return -EIO;
    return rc;
}

static int dir_unlink(struct inode *dir, const char *name, size_t len, struct inode *target) {
    return remove_name(oino_of(dir), name, len, oino_of(target));
}

static int dir_rmdir(struct inode *dir, const char *name, size_t len, struct inode *target) {
    int rc = overlay_dir_empty(oino_of(target));
    return rc < 0 ? rc : remove_name(oino_of(dir), name, len, oino_of(target));
}

static int remove_whiteouts(struct inode *upper, const struct overlay_list *l) {
    int rc = 0;
    mutex_lock(&upper->dir_lock);
    for (uint32_t n = 0; rc == 0 && n < l->upper_count; n++) {
        const struct overlay_entry *e = &l->entries[n];
        struct inode *there;
        rc = upper->ops->lookup(upper, l->names + e->name_offset, e->name_len, &there);
        if (rc == 0) {
            rc = overlay_is_whiteout(there)
                     ? upper->ops->unlink(upper, l->names + e->name_offset, e->name_len, there)
                     : -ESTALE;
            inode_unref(there);
        }
    }
    overlay_upper_changed(upper);
    mutex_unlock(&upper->dir_lock);
    return rc;
}

int overlay_dir_empty(struct overlay_inode *dir) {
    struct overlay_list l;
    int rc = overlay_list_read(dir, &l);
    for (uint32_t n = 0; rc == 0 && n < l.count; n++)
        if (!l.entries[n].whiteout)
            rc = -ENOTEMPTY;
    /* The names that whiteouts hide come back if the removal fails after this: then the directory is made
     * opaque first. */
    if (rc == 0 && l.upper_count && dir->lower)
        rc = overlay_opaque_set(ofs_of(&dir->inode), oino_upper(dir));
    if (rc == 0 && l.upper_count)
        rc = remove_whiteouts(oino_upper(dir), &l);
    overlay_list_done(&l);
    return rc;
}

/* ---- attributes ---- */

static int overlay_getattr(struct inode *inode, struct kstat *ret) {
    struct overlay_inode *i = oino_of(inode);
    struct inode *real = oino_real(i);
    struct kstat st;
    inode_fill_stat(real, &st);
    int rc = real->ops->getattr(real, &st);
    if (rc < 0)
        return rc;
    oino_copy_mode(i);
    st.ino = ret->ino;
    st.dev = ret->dev;
    st.rdev = ret->rdev;
    if (i->link)
        st.nlink = (uint64_t)MAX(i->link->nlink, (int64_t)0);
    else if (!oino_upper(i) && oino_nameless(i))
        st.nlink = 0; /* removed; the lower file is as it was */
    else if (inode_is_dir(inode) && oino_upper(i) && i->lower)
        st.nlink = 1; /* of a merged directory, as Linux: nobody may conclude that it has no subdirectories */
    *ret = st;
    return 0;
}

static int overlay_setattr(struct inode *inode, const struct setattr *s) {
    struct overlay_inode *i = oino_of(inode);
    int rc =
        overlay_copy_up(i, s->mask & SETATTR_SIZE && s->size == 0 ? OVERLAY_COPY_EMPTY : OVERLAY_COPY_ALL);
    if (rc < 0)
        return rc;
    struct inode *upper = oino_upper(i);
    rc = upper->ops->setattr ? upper->ops->setattr(upper, s) : -EPERM;
    oino_copy_mode(i);
    return rc;
}

static int overlay_set_acl(struct inode *inode, enum acl_kind kind, struct posix_acl *acl, uint32_t mode) {
    struct overlay_inode *i = oino_of(inode);
    int rc = overlay_copy_up(i, OVERLAY_COPY_ALL);
    if (rc < 0)
        return rc;
    struct inode *upper = oino_upper(i);
    rc = upper->ops->set_acl ? upper->ops->set_acl(upper, kind, acl, mode) : -EOPNOTSUPP;
    oino_copy_mode(i);
    return rc;
}

static int overlay_set_flags(struct inode *inode, uint32_t flags) {
    struct overlay_inode *i = oino_of(inode);
    int rc = overlay_copy_up(i, OVERLAY_COPY_ALL);
    if (rc < 0)
        return rc;
    struct inode *upper = oino_upper(i);
    rc = upper->ops->set_flags ? upper->ops->set_flags(upper, flags) : -ENOTTY;
    oino_copy_mode(i);
    return rc;
}

static int overlay_readlink(struct inode *inode, struct task *t, char **ret) {
    struct inode *real = oino_real(oino_of(inode));
    return real->ops->readlink ? real->ops->readlink(real, t, ret) : -EINVAL;
}

const struct inode_ops overlay_inode_ops = {
    .name = "overlay",
    .lookup = overlay_lookup,
    .create = dir_create,
    .mkdir = dir_mkdir,
    .mknod = dir_mknod,
    .symlink = dir_symlink,
    .link = dir_link,
    .unlink = dir_unlink,
    .rmdir = dir_rmdir,
    .rename = overlay_rename,
    .tmpfile = dir_tmpfile,
    .readlink = overlay_readlink,
    .getattr = overlay_getattr,
    .setattr = overlay_setattr,
    .open = overlay_open,
    .getxattr = overlay_getxattr,
    .setxattr = overlay_setxattr,
    .listxattr = overlay_listxattr,
    .removexattr = overlay_removexattr,
    .set_acl = overlay_set_acl,
    .set_flags = overlay_set_flags,
    .release = overlay_release,
};
