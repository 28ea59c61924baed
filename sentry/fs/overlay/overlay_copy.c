/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_copy.c: copy-up: a file of the lower layer gets its like in the upper one,
 * content, attributes and all.
 *
 * Directories above come first, from the top; each inode is copied with its own copy_lock alone. A regular
 * file is filled without a name and linked when it is whole; the others are made by name. In both cases the
 * upper directory's lock is held from there until the overlay inode knows its upper part, so that no look-up
 * finds one without the other.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/fs/overlay/overlay_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/mm/uaccess.h"

enum { COPY_CHUNK = 1 << 17 };

/* ---- content ---- */

static bool all_zero(const char *data, size_t size) {
    return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

static ssize_t move(struct file *f, bool write, char *data, size_t size, uint64_t offset) {
    struct uio_segment seg;
    struct uio u;
    uio_init_kernel(&u, &seg, data, size);
    return write ? f->ops->write(f, &u, &offset) : f->ops->read(f, &u, &offset);
}

static int write_all(struct file *to, char *data, size_t size, uint64_t offset) {
    for (size_t done = 0; done < size;) {
        ssize_t n = move(to, /* write= */ true, data + done, size - done, offset + done);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        done += (size_t)n;
    }
    return 0;
}

/* The next offset with data, where the lower file can tell; holes stay holes. */
static uint64_t next_data(struct file *from, uint64_t offset) {
    int64_t at = from->ops->seek ? from->ops->seek(from, (int64_t)offset, LINUX_SEEK_DATA) : -EINVAL;
    if (at == -ENXIO)
        return UINT64_MAX;
    return at > (int64_t)offset ? (uint64_t)at : offset;
}

static int copy_bytes(struct file *from, struct file *to) {
    char *data = heap_alloc_bytes(COPY_CHUNK);
    int rc = data ? 0 : -ENOMEM;
    uint64_t offset = 0;
    while (rc == 0 && (offset = next_data(from, offset)) != UINT64_MAX) {
        ssize_t n = move(from, /* write= */ false, data, COPY_CHUNK, offset);
        if (n <= 0) {
            rc = (int)n;
            break;
        }
        if (!all_zero(data, (size_t)n))
            rc = write_all(to, data, (size_t)n, offset);
        offset += (uint64_t)n;
    }
    heap_free(data);
    return rc;
}

static int copy_content(struct overlay_fs *o, struct mount *from_layer, struct inode *lower,
                        struct inode *upper) {
    struct file *from, *to;
    int rc = vfs_layer_open(from_layer, lower, LINUX_O_RDONLY, o->creds, &from);
    if (rc < 0)
        return rc;
    rc = vfs_layer_open(o->upper, upper, LINUX_O_WRONLY, o->creds, &to);
    if (rc == 0) {
        rc = copy_bytes(from, to);
        file_unref(to);
    }
    file_unref(from);
    return rc;
}

static int copy_acls(struct inode *from, struct inode *to) {
    int rc = 0;
    for (int k = 0; rc == 0 && k < ACL_KINDS; k++) {
        struct posix_acl *acl = inode_get_acl(from, (enum acl_kind)k);
        if (acl && to->ops->set_acl)
            rc = to->ops->set_acl(to, (enum acl_kind)k, acl, from->mode);
        posix_acl_unref(acl);
    }
    return rc;
}

/* ---- attributes ---- */

static int copy_attributes(struct overlay_inode *i, struct inode *upper, enum overlay_copy how) {
    struct overlay_fs *o = ofs_of(&i->inode);
    struct kstat st;
    inode_fill_stat(i->lower, &st);
    int rc = i->lower->ops->getattr(i->lower, &st);
    if (rc < 0)
        return rc;
    bool link = i->inode.type == LINUX_S_IFLNK;
    struct setattr s = {.mask = SETATTR_UID | SETATTR_GID | SETATTR_ATIME | SETATTR_MTIME |
                                (link ? 0 : SETATTR_MODE),
                        .mode = st.mode & 07777,
                        .uid = st.uid,
                        .gid = st.gid,
                        .atime_ns = st.atime_ns,
                        .mtime_ns = st.mtime_ns};
    if (i->inode.type == LINUX_S_IFREG && how == OVERLAY_COPY_ALL) { /* its end may be a hole */
        s.mask |= SETATTR_SIZE;
        s.size = st.size;
    }
    rc = overlay_copy_xattrs(o, i->lower, upper);
    if (rc == 0)
        rc = copy_acls(i->lower, upper);
    if (rc == 0)
        rc = upper->ops->setattr(upper, &s);
    if (rc == 0)
        overlay_origin_set(o, upper, i->inode.ino);
    return rc;
}

/* ---- one inode ---- */

/* The upper directory and its times, which a copy-up leaves as they were. */
struct copy_place {
    struct overlay_inode *parent; /* reference; NULL: the file has no name any more */
    struct inode *dir;            /* upper */
    char name[256];
    struct kstat times;
};

static int place_get(struct overlay_inode *i, struct copy_place *p) {
    struct overlay_fs *o = ofs_of(&i->inode);
    p->parent = oino_get_place(i, p->name);
    p->dir = p->parent ? oino_upper(p->parent) : o->upper->root->inode;
    ASSERT(p->dir);
    inode_fill_stat(p->dir, &p->times);
    int rc = p->dir->ops->getattr(p->dir, &p->times);
    if (rc < 0 && p->parent)
        inode_unref(&p->parent->inode);
    return rc;
}

static void place_put(struct copy_place *p) {
    const struct setattr s = {
        .mask = SETATTR_ATIME | SETATTR_MTIME, .atime_ns = p->times.atime_ns, .mtime_ns = p->times.mtime_ns};
    (void)!p->dir->ops->setattr(p->dir, &s);
    if (p->parent)
        inode_unref(&p->parent->inode);
}

static int copy_regular(struct overlay_inode *i, struct copy_place *p, enum overlay_copy how) {
    struct overlay_fs *o = ofs_of(&i->inode);
    struct inode *upper;
    if (!p->dir->ops->tmpfile)
        return -EOPNOTSUPP;
    mutex_lock(&p->dir->dir_lock);
    int rc = p->dir->dead_dir ? -ENOENT : p->dir->ops->tmpfile(p->dir, 0600, o->creds, &upper);
    mutex_unlock(&p->dir->dir_lock);
    if (rc < 0)
        return rc;
    if (how == OVERLAY_COPY_ALL)
        rc = copy_content(o, o->lowers[i->lower_layer].mount, i->lower, upper);
    if (rc == 0)
        rc = copy_attributes(i, upper, how);
    if (rc == 0) {
        mutex_lock(&p->dir->dir_lock);
        if (p->parent) {
            rc = overlay_upper_check_locked(p->dir, p->name, strlen(p->name), NULL);
            if (rc == 0)
                rc = p->dir->ops->link(p->dir, p->name, strlen(p->name), upper);
            overlay_upper_changed(p->dir);
        }
        if (rc == 0)
            oino_publish(i, upper);
        mutex_unlock(&p->dir->dir_lock);
    }
    if (rc < 0)
        inode_unref(upper);
    return rc;
}

static int make_other_locked(struct overlay_inode *i, struct copy_place *p, const char *target,
                             struct inode **ret) {
    struct overlay_fs *o = ofs_of(&i->inode);
    const struct inode_ops *ops = p->dir->ops;
    size_t len = strlen(p->name);
    switch (i->inode.type) {
    case LINUX_S_IFDIR:
        return ops->mkdir ? ops->mkdir(p->dir, p->name, len, 0700, o->creds, ret) : -EPERM;
    case LINUX_S_IFLNK:
        return ops->symlink ? ops->symlink(p->dir, p->name, len, target, o->creds, ret) : -EPERM;
    default:
        return ops->mknod
                   ? ops->mknod(p->dir, p->name, len, i->inode.type | 0600, i->inode.rdev, o->creds, ret)
                   : -EPERM;
    }
}

static int copy_other_locked(struct overlay_inode *i, struct copy_place *p, const char *target) {
    struct inode *upper;
    int rc = overlay_upper_check_locked(p->dir, p->name, strlen(p->name), NULL);
    if (rc == 0)
        rc = make_other_locked(i, p, target, &upper);
    if (rc < 0)
        return rc;
    overlay_upper_changed(p->dir);
    rc = copy_attributes(i, upper, OVERLAY_COPY_ALL);
    if (rc == 0) {
        oino_publish(i, upper);
        return 0;
    }
    size_t len = strlen(p->name);
    if (inode_is_dir(upper)) {
        mutex_lock_nested(&upper->dir_lock); /* parent before child */
        (void)!p->dir->ops->rmdir(p->dir, p->name, len, upper);
        mutex_unlock(&upper->dir_lock);
    } else {
        (void)!p->dir->ops->unlink(p->dir, p->name, len, upper);
    }
    inode_unref(upper);
    return rc;
}

static int copy_other(struct overlay_inode *i, struct copy_place *p) {
    char *target = NULL;
    if (!p->parent) /* removed: nothing of it can be opened again */
        return -ENOENT;
    if (i->inode.type == LINUX_S_IFLNK) {
        int rc = i->lower->ops->readlink(i->lower, NULL, &target);
        if (rc < 0)
            return rc;
    }
    mutex_lock(&p->dir->dir_lock);
    int rc = copy_other_locked(i, p, target);
    mutex_unlock(&p->dir->dir_lock);
    heap_free(target);
    return rc;
}

static int copy_one_locked(struct overlay_inode *i, enum overlay_copy how) REQUIRES(&i->copy_lock) {
    struct copy_place p;
    if (oino_upper(i))
        return 0;
    if (ofs_of(&i->inode)->fs.flags & FS_READONLY)
        return -EROFS;
    int rc = oino_count_names(i, 0); /* its other names shall lead to the copy */
    if (rc < 0)
        return rc;
    rc = place_get(i, &p);
    if (rc < 0)
        return rc;
    rc = i->inode.type == LINUX_S_IFREG ? copy_regular(i, &p, how) : copy_other(i, &p);
    place_put(&p);
    return rc;
}

/* The topmost of `i` and the directories above it that is not in the upper layer: new reference; NULL: all
 * are. */
static struct overlay_inode *topmost(struct overlay_inode *i) {
    struct overlay_fs *o = ofs_of(&i->inode);
    mutex_lock(&o->table_lock);
    while (!oino_upper(i) && i->parent && !oino_upper(i->parent))
        i = i->parent;
    struct overlay_inode *found = oino_upper(i) ? NULL : i;
    if (found)
        inode_ref(&found->inode);
    mutex_unlock(&o->table_lock);
    return found;
}

int overlay_copy_up(struct overlay_inode *i, enum overlay_copy how) {
    int rc = 0;
    while (rc == 0 && !oino_upper(i)) {
        struct overlay_inode *next = topmost(i);
        if (!next)
            break;
        mutex_lock(&next->copy_lock);
        rc = copy_one_locked(next, next == i ? how : OVERLAY_COPY_ALL);
        mutex_unlock(&next->copy_lock);
        inode_unref(&next->inode);
    }
    return rc;
}
