/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/tmpfs/tmpfs_dir.c: directories of tmpfs: entries found by name in a growing hash, listed by
 * cookie from a tree. Source: tmpfs(5), getdents(2), rename(2).
 *
 * A million entries cost a hash step to find and O(log n) to go on listing from any position. Entries:
 * dir_lock, held by vfs over all operations here but readdir, which takes it itself. Everything that can fail
 * is made first; the change itself cannot.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/limits.h"
#include "sentry/fs/tmpfs/tmpfs_internal.h"

HEAP_TYPE(tmpfs_dir, struct tmpfs_dir, 0);
HEAP_TYPE(tmpfs_entry, struct tmpfs_entry, 0);
HEAP_TYPE(tmpfs_dir_file, struct file, 0);

static int tmpfs_entry_compare(const struct tmpfs_entry *a, const struct tmpfs_entry *b) {
    return (a->cookie > b->cookie) - (a->cookie < b->cookie);
}
RB_GENERATE_INTERNAL(tmpfs_entries, tmpfs_entry, node, tmpfs_entry_compare, static __attribute__((unused)))

enum { FIRST_BUCKETS = 16, FIRST_COOKIE = 3 /* 0: ".", 1: "..", then entries */ };

struct tmpfs_dir *tmpfs_dir_new(void) {
    struct tmpfs_dir *d = heap_new(tmpfs_dir);

    if (d)
        d->last_cookie = FIRST_COOKIE - 1;
    return d;
}

static uint32_t hash_name(const char *name, size_t len) {
    uint64_t h = 0xcbf29ce484222325ull ^ len;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)name[i]) * 0x100000001b3ull;
    return (uint32_t)(h ^ h >> 32);
}

static struct tmpfs_entry *find(struct tmpfs_dir *d, const char *name, size_t len) {
    if (!d->buckets)
        return NULL;
    uint32_t hash = hash_name(name, len);
    struct tmpfs_entry *e = d->buckets[hash & (d->bucket_count - 1)];
    while (e && (e->hash != hash || e->name_len != len || memcmp(e->name, name, len) != 0))
        e = e->hash_next;
    return e;
}

/* Room for one more; failing to grow an existing table only makes chains longer. */
static int make_room(struct tmpfs_dir *d) {
    if (d->buckets && d->count < d->bucket_count)
        return 0;
    size_t n = d->buckets ? d->bucket_count * 2 : FIRST_BUCKETS;
    struct tmpfs_entry **buckets = heap_alloc_array(n, sizeof *buckets);
    if (!buckets)
        return d->buckets ? 0 : -ENOMEM;
    struct tmpfs_entry *e;
    RB_FOREACH(e, tmpfs_entries, &d->entries) {
        e->hash_next = buckets[e->hash & (n - 1)];
        buckets[e->hash & (n - 1)] = e;
    }
    heap_free(d->buckets);
    d->buckets = buckets;
    d->bucket_count = n;
    return 0;
}

/* An entry that is not in a directory yet; no inode. */
static struct tmpfs_entry *entry_new(struct tmpfs_dir *d, const char *name, size_t len) {
    if (make_room(d) < 0)
        return NULL;
    struct tmpfs_entry *e = heap_new(tmpfs_entry);
    if (!e)
        return NULL;
    e->name = e->inline_name;
    if (len >= TMPFS_INLINE_NAME && !(e->name = heap_alloc_bytes(len + 1))) {
        heap_free(e);
        return NULL;
    }
    memcpy(e->name, name, len);
    e->name_len = (uint32_t)len;
    e->hash = hash_name(name, len);
    return e;
}

static void entry_free(struct tmpfs_entry *e) {
    if (e->name != e->inline_name)
        heap_free(e->name);
    heap_free(e);
}

/* Takes the reference and the link that the caller has made. */
static void entry_insert(struct tmpfs_dir *d, struct tmpfs_entry *e, struct inode *inode) {
    struct tmpfs_entry **bucket = &d->buckets[e->hash & (d->bucket_count - 1)];

    e->inode = inode;
    e->cookie = ++d->last_cookie;
    e->hash_next = *bucket;
    *bucket = e;
    RB_INSERT(tmpfs_entries, &d->entries, e);
    d->count++;
}

static void entry_remove(struct tmpfs_dir *d, struct tmpfs_entry *e) {
    struct tmpfs_entry **at = &d->buckets[e->hash & (d->bucket_count - 1)];

    while (*at != e)
        at = &(*at)->hash_next;
    *at = e->hash_next;
    RB_REMOVE(tmpfs_entries, &d->entries, e);
    d->count--;
}

void tmpfs_dir_free(struct tmpfs_dir *d) {
    struct tmpfs_entry *e;

    while ((e = RB_ROOT(&d->entries))) {
        RB_REMOVE(tmpfs_entries, &d->entries, e);
        inode_unref(e->inode);
        entry_free(e);
    }
    heap_free(d->buckets);
    heap_free(d);
}

/* ---- inode operations ---- */

static struct tmpfs_dir *dir_of(struct inode *dir) {
    return tmpfs_inode_of(dir)->dir;
}

static int tmpfs_lookup(struct inode *dir, const char *name, size_t len, struct inode **ret) {
    struct tmpfs_entry *e = find(dir_of(dir), name, len);

    if (!e)
        return -ENOENT;
    *ret = inode_ref(e->inode);
    return 0;
}

/* A new inode under a new name: the entry's reference, and one for the caller. */
static int make(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
                const char *target, const struct creds *c, struct inode **ret) {
    struct tmpfs_dir *d = dir_of(dir);
    struct tmpfs_entry *e = entry_new(d, name, len);
    struct tmpfs_inode *i;

    if (!e)
        return -ENOMEM;
    int r = tmpfs_inode_new(tmpfs_of(dir), dir, mode, rdev, c, &i);
    if (r == 0 && target && !(i->target = heap_strdup(target))) {
        inode_unref(&i->base);
        r = -ENOMEM;
    }
    if (r < 0) {
        entry_free(e);
        return r;
    }
    bool is_dir = inode_is_dir(&i->base);
    i->nlink = is_dir ? 2 : 1;
    entry_insert(d, e, inode_ref(&i->base));
    tmpfs_dir_changed(dir, is_dir);
    *ret = &i->base;
    return 0;
}

static int tmpfs_create_file(struct inode *dir, const char *name, size_t len, uint32_t mode,
                             const struct creds *c, struct inode **ret) {
    return make(dir, name, len, LINUX_S_IFREG | mode, 0, NULL, c, ret);
}

static int tmpfs_mkdir(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c,
                       struct inode **ret) {
    return make(dir, name, len, LINUX_S_IFDIR | mode, 0, NULL, c, ret);
}

static int tmpfs_mknod(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
                       const struct creds *c, struct inode **ret) {
    return make(dir, name, len, mode, rdev, NULL, c, ret);
}

static int tmpfs_symlink(struct inode *dir, const char *name, size_t len, const char *target,
                         const struct creds *c, struct inode **ret) {
    return make(dir, name, len, LINUX_S_IFLNK | 0777, 0, target, c, ret);
}

static int tmpfs_tmpfile(struct inode *dir, uint32_t mode, const struct creds *c, struct inode **ret) {
    struct tmpfs_inode *i;
    int r = tmpfs_inode_new(tmpfs_of(dir), dir, LINUX_S_IFREG | mode, 0, c, &i);

    if (r < 0)
        return r;
    i->linkable = true;
    *ret = &i->base;
    return 0;
}

static int tmpfs_link(struct inode *dir, const char *name, size_t len, struct inode *target) {
    struct tmpfs_inode *i = tmpfs_inode_of(target);
    struct tmpfs_entry *e = entry_new(dir_of(dir), name, len);

    if (!e)
        return -ENOMEM;
    mutex_lock(&target->lock);
    int r = i->nlink == 0 && !i->linkable ? -ENOENT : i->nlink == UINT16_MAX * 1024u ? -EMLINK : 0;
    if (r == 0) {
        i->nlink++;
        i->ctime_ns = vfs_now(dir->fs->kernel);
    }
    mutex_unlock(&target->lock);
    if (r < 0) {
        entry_free(e);
        return r;
    }
    entry_insert(dir_of(dir), e, inode_ref(target));
    tmpfs_dir_changed(dir, 0);
    return 0;
}

static int tmpfs_unlink(struct inode *dir, const char *name, size_t len, struct inode *target) {
    struct tmpfs_entry *e = find(dir_of(dir), name, len);

    if (!e || e->inode != target)
        return -ENOENT;
    entry_remove(dir_of(dir), e);
    tmpfs_dir_changed(dir, 0);
    tmpfs_link_change(target, -1);
    inode_unref(e->inode); /* the caller has another */
    entry_free(e);
    return 0;
}

static int tmpfs_rmdir(struct inode *dir, const char *name, size_t len, struct inode *target) {
    struct tmpfs_entry *e = find(dir_of(dir), name, len);

    if (!e || e->inode != target)
        return -ENOENT;
    if (dir_of(target)->count > 0)
        return -ENOTEMPTY;
    entry_remove(dir_of(dir), e);
    tmpfs_dir_changed(dir, -1);
    tmpfs_link_change(target, -2);
    inode_unref(e->inode);
    entry_free(e);
    return 0;
}

/* ---- rename ---- */

static int exchange(struct inode *old_dir, struct tmpfs_entry *old, struct inode *new_dir,
                    struct tmpfs_entry *new) {
    int old_is_dir = inode_is_dir(old->inode), new_is_dir = inode_is_dir(new->inode);
    struct inode *i = old->inode;

    old->inode = new->inode;
    new->inode = i;
    bool same = old_dir == new_dir;
    tmpfs_dir_changed(old_dir, same ? 0 : new_is_dir - old_is_dir);
    tmpfs_dir_changed(new_dir, same ? 0 : old_is_dir - new_is_dir);
    tmpfs_link_change(old->inode, 0);
    tmpfs_link_change(new->inode, 0);
    return 0;
}

static void drop_replaced(struct inode *new_dir, struct tmpfs_entry *e) {
    bool is_dir = inode_is_dir(e->inode);

    entry_remove(dir_of(new_dir), e);
    tmpfs_dir_changed(new_dir, is_dir ? -1 : 0);
    tmpfs_link_change(e->inode, is_dir ? -2 : -1);
    inode_unref(e->inode);
    entry_free(e);
}

static int tmpfs_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *target,
                        struct inode *new_dir, const char *new_name, size_t new_len, struct inode *replaced,
                        uint32_t flags) {
    struct tmpfs_entry *old = find(dir_of(old_dir), old_name, old_len),
                       *there = find(dir_of(new_dir), new_name, new_len);
    struct tmpfs_inode *whiteout = NULL;
    bool is_dir = inode_is_dir(target);

    if (!old || old->inode != target || (there ? there->inode : NULL) != replaced)
        return -ENOENT;
    if (flags & LINUX_RENAME_EXCHANGE)
        return exchange(old_dir, old, new_dir, there);
    if (replaced && inode_is_dir(replaced) && dir_of(replaced)->count > 0)
        return -ENOTEMPTY;
    struct tmpfs_entry *new = entry_new(dir_of(new_dir), new_name, new_len);
    if (!new)
        return -ENOMEM;
    if (flags & LINUX_RENAME_WHITEOUT) {
        int r = tmpfs_inode_new(tmpfs_of(old_dir), NULL, LINUX_S_IFCHR, 0, NULL, &whiteout);
        if (r < 0) {
            entry_free(new);
            return r;
        }
        whiteout->base.uid = target->uid;
        whiteout->base.gid = target->gid;
        whiteout->nlink = 1;
    }
    if (there)
        drop_replaced(new_dir, there);
    entry_insert(dir_of(new_dir), new, target);
    if (whiteout) {
        old->inode = &whiteout->base;
    } else {
        entry_remove(dir_of(old_dir), old);
        entry_free(old);
    }
    tmpfs_dir_changed(old_dir, is_dir && old_dir != new_dir ? -1 : 0);
    tmpfs_dir_changed(new_dir, is_dir && old_dir != new_dir ? 1 : 0);
    tmpfs_link_change(target, 0);
    return 0;
}

/* ---- listing ---- */

static unsigned dt_of(uint32_t type) {
    return type >> 12;
}

static int emit_dots(struct file *f, struct dir_emit *e) {
    if (f->pos == 0) {
        if (e->emit(e, ".", 1, f->inode->ino, LINUX_DT_DIR, 1))
            return 1;
        f->pos = 1;
    }
    if (f->pos == 1) {
        struct dentry *up = dentry_parent(f->path.dentry);
        int stop = e->emit(e, "..", 2, up->inode->ino, LINUX_DT_DIR, 2);
        dentry_unref(up);
        if (stop)
            return 1;
        f->pos = 2;
    }
    return 0;
}

static int tmpfs_readdir(struct file *f, struct dir_emit *e) {
    struct inode *dir = f->inode;
    struct tmpfs_dir *d = dir_of(dir);

    if (emit_dots(f, e))
        return 0;
    mutex_lock(&dir->dir_lock);
    struct tmpfs_entry key = {.cookie = f->pos};
    struct tmpfs_entry *at = RB_NFIND(tmpfs_entries, &d->entries, &key);
    for (; at; at = RB_NEXT(tmpfs_entries, &d->entries, at)) {
        if (e->emit(e, at->name, at->name_len, at->inode->ino, dt_of(at->inode->type), at->cookie + 1))
            break;
        f->pos = at->cookie + 1;
    }
    mutex_unlock(&dir->dir_lock);
    int64_t now = vfs_now(dir->fs->kernel);
    mutex_lock(&dir->lock);
    if (tmpfs_atime_due(f, tmpfs_inode_of(dir), now))
        tmpfs_inode_of(dir)->atime_ns = now;
    mutex_unlock(&dir->lock);
    return 0;
}

static void tmpfs_dir_file_release(struct file *f) {
    file_done(f);
    heap_free(f);
}

static const struct file_ops tmpfs_dir_file_ops = {
    .name = "tmpfs-dir",
    .readdir = tmpfs_readdir,
    .release = tmpfs_dir_file_release,
};

int tmpfs_dir_open(struct inode *i, const struct path *path, uint32_t flags, const struct creds *c,
                   struct file **ret) {
    struct file *f = heap_new(tmpfs_dir_file);

    (void)i;
    if (!f)
        return -ENOMEM;
    file_init(f, &tmpfs_dir_file_ops, path, flags, file_mode_of(flags) | FILE_POS, c);
    *ret = f;
    return 0;
}

const struct inode_ops tmpfs_dir_inode_ops = {
    .name = "tmpfs-dir",
    .lookup = tmpfs_lookup,
    .create = tmpfs_create_file,
    .mkdir = tmpfs_mkdir,
    .mknod = tmpfs_mknod,
    .symlink = tmpfs_symlink,
    .link = tmpfs_link,
    .unlink = tmpfs_unlink,
    .rmdir = tmpfs_rmdir,
    .rename = tmpfs_rename,
    .tmpfile = tmpfs_tmpfile,
    .getattr = tmpfs_getattr,
    .setattr = tmpfs_setattr,
    .open = tmpfs_dir_open,
    .getxattr = tmpfs_getxattr,
    .setxattr = tmpfs_setxattr,
    .listxattr = tmpfs_listxattr,
    .removexattr = tmpfs_removexattr,
    .set_acl = tmpfs_set_acl,
    .set_flags = tmpfs_set_flags,
    .release = tmpfs_release,
};
