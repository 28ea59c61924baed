/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_table.c: overlay inodes, found by the inodes that they stand for; their places;
 * lower files of several names.
 */
#include <errno.h>
#include <string.h>

#include "sentry/fs/overlay/overlay_internal.h"
#include "sentry/heap/heap.h"

HEAP_TYPE(overlay_inode, struct overlay_inode, 0);
HEAP_TYPE(overlay_link, struct overlay_link, 0);

int overlay_upper_compare(const struct overlay_inode *a, const struct overlay_inode *b) {
    return (a->upper > b->upper) - (a->upper < b->upper);
}

int overlay_lower_compare(const struct overlay_inode *a, const struct overlay_inode *b) {
    return (a->lower > b->lower) - (a->lower < b->lower);
}

int overlay_link_compare(const struct overlay_link *a, const struct overlay_link *b) {
    return (a->lower_ino > b->lower_ino) - (a->lower_ino < b->lower_ino);
}

RB_GENERATE(overlay_upper_tree, overlay_inode, upper_node, overlay_upper_compare)
RB_GENERATE(overlay_lower_tree, overlay_inode, lower_node, overlay_lower_compare)
RB_GENERATE(overlay_link_tree, overlay_link, node, overlay_link_compare)

static struct overlay_inode *find_upper_locked(struct overlay_fs *o, const struct inode *upper) {
    struct overlay_inode *i = RB_ROOT(&o->by_upper);
    while (i && i->upper != upper)
        i = upper < i->upper ? RB_LEFT(i, upper_node) : RB_RIGHT(i, upper_node);
    return i;
}

static struct overlay_inode *find_lower_locked(struct overlay_fs *o, const struct inode *lower) {
    struct overlay_inode *i = RB_ROOT(&o->by_lower);
    while (i && i->lower != lower)
        i = lower < i->lower ? RB_LEFT(i, lower_node) : RB_RIGHT(i, lower_node);
    return i;
}

static struct overlay_link *find_link_locked(struct overlay_fs *o, uint64_t lower_ino) {
    struct overlay_link key = {.lower_ino = lower_ino};
    return RB_FIND(overlay_link_tree, &o->links, &key);
}

static void unlist_locked(struct overlay_fs *o, struct overlay_inode *i) {
    if (i->in_upper)
        RB_REMOVE(overlay_upper_tree, &o->by_upper, i);
    if (i->in_lower)
        RB_REMOVE(overlay_lower_tree, &o->by_lower, i);
    i->in_upper = i->in_lower = false;
}

static void enlist_locked(struct overlay_fs *o, struct overlay_inode *i) {
    if (i->upper) {
        RB_INSERT(overlay_upper_tree, &o->by_upper, i);
        i->in_upper = true;
    } else {
        RB_INSERT(overlay_lower_tree, &o->by_lower, i);
        i->in_lower = true;
    }
}

/* New reference, or NULL; one that is ending makes room. */
static struct overlay_inode *find_locked(struct overlay_fs *o, const struct overlay_parts *parts) {
    struct overlay_inode *i =
        parts->upper ? find_upper_locked(o, parts->upper) : find_lower_locked(o, parts->lower);
    if (!i)
        return NULL;
    if (inode_tryref(&i->inode))
        return i;
    unlist_locked(o, i);
    return NULL;
}

void oino_copy_mode(struct overlay_inode *i) {
    struct inode *real = oino_real(i);
    i->inode.mode = real->mode;
    i->inode.uid = real->uid;
    i->inode.gid = real->gid;
    i->inode.flags = real->flags;
    inode_copy_acls(&i->inode, real);
}

static struct overlay_inode *inode_make(struct overlay_fs *o, const struct overlay_parts *parts) {
    struct inode *real = parts->upper ? parts->upper : parts->lower;
    struct overlay_inode *i = heap_new(overlay_inode);
    if (!i)
        return NULL;
    uint64_t ino = parts->lower ? overlay_ino_of_lower(o, parts->lower_layer, parts->lower->ino)
                                : overlay_ino_of_upper(o, parts->upper);
    inode_init(&i->inode, &overlay_inode_ops, &o->fs, ino, real->type | real->mode, real->uid, real->gid);
    i->inode.rdev = real->rdev;
    i->inode.flags = real->flags;
    inode_copy_acls(&i->inode, real);
    i->upper = parts->upper;
    i->lower = parts->lower;
    i->lower_path = parts->lower_path;
    i->lower_layer = parts->lower_layer;
    i->more = parts->more;
    i->more_count = parts->more_count;
    mutex_init(&i->copy_lock, o->rank);
    return i;
}

void overlay_parts_drop(struct overlay_parts *p) {
    inode_unref(p->upper);
    inode_unref(p->lower);
    heap_free(p->lower_path);
    for (uint32_t n = 0; n < p->more_count; n++) {
        inode_unref(p->more[n].inode);
        heap_free(p->more[n].path);
    }
    heap_free(p->more);
    *p = (struct overlay_parts){0};
}

bool oino_part(const struct overlay_inode *i, uint32_t n, struct overlay_part *ret) {
    if (!i->lower || n > i->more_count)
        return false;
    *ret = n == 0 ? (struct overlay_part){i->lower, i->lower_path, i->lower_layer} : i->more[n - 1];
    return true;
}

uint64_t overlay_ino_of_lower(const struct overlay_fs *o, uint32_t layer, uint64_t ino) {
    return ino | o->lowers[layer].mark;
}

/* A lower file with a link record may have been copied up by another name. */
static void follow_link(struct overlay_fs *o, struct overlay_parts *parts) {
    if (parts->upper || RB_EMPTY(&o->links) || inode_is_dir(parts->lower))
        return;
    mutex_lock(&o->table_lock);
    struct overlay_link *l =
        find_link_locked(o, overlay_ino_of_lower(o, parts->lower_layer, parts->lower->ino));
    struct inode *upper = l && l->upper ? inode_ref(l->upper) : NULL;
    mutex_unlock(&o->table_lock);
    if (!upper)
        return;
    inode_unref(parts->lower);
    parts->lower = NULL;
    parts->upper = upper;
}

static struct overlay_inode *insert(struct overlay_fs *o, struct overlay_inode *fresh,
                                    const struct overlay_parts *parts) {
    mutex_lock(&o->table_lock);
    struct overlay_inode *i = find_locked(o, parts);
    if (!i) {
        enlist_locked(o, fresh);
        fresh->link = inode_is_dir(&fresh->inode) ? NULL : find_link_locked(o, fresh->inode.ino);
    }
    mutex_unlock(&o->table_lock);
    if (!i)
        return fresh;
    inode_unref(&fresh->inode);
    return i;
}

int overlay_inode_get(struct overlay_fs *o, struct overlay_parts *parts, struct overlay_inode *dir,
                      const char *name, size_t len, struct overlay_inode **ret) {
    follow_link(o, parts);
    mutex_lock(&o->table_lock);
    struct overlay_inode *i = find_locked(o, parts);
    mutex_unlock(&o->table_lock);
    if (i) {
        overlay_parts_drop(parts);
    } else {
        struct overlay_inode *fresh = inode_make(o, parts);
        if (!fresh) {
            overlay_parts_drop(parts);
            return -ENOMEM;
        }
        i = insert(o, fresh, parts);
    }
    if (dir)
        oino_place(i, dir, name, len);
    *ret = i;
    return 0;
}

/* ---- places ---- */

static void drop_place(struct overlay_inode *parent, char *name) {
    heap_free(name);
    if (parent)
        inode_unref(&parent->inode);
}

void oino_place(struct overlay_inode *i, struct overlay_inode *dir, const char *name, size_t len) {
    struct overlay_fs *o = ofs_of(&i->inode);
    mutex_lock(&o->table_lock);
    bool same = i->parent == dir && i->name && strlen(i->name) == len && memcmp(i->name, name, len) == 0;
    mutex_unlock(&o->table_lock);
    if (same)
        return;
    char *copy = heap_strndup(name, len);
    if (!copy) /* a copy-up would then give it the name it had: it must have none instead */
        return oino_unplace(i);
    inode_ref(&dir->inode);
    mutex_lock(&o->table_lock);
    struct overlay_inode *old = i->parent;
    char *old_name = i->name;
    i->parent = dir;
    i->name = copy;
    mutex_unlock(&o->table_lock);
    drop_place(old, old_name);
}

void oino_unplace(struct overlay_inode *i) {
    struct overlay_fs *o = ofs_of(&i->inode);
    mutex_lock(&o->table_lock);
    struct overlay_inode *old = i->parent;
    char *old_name = i->name;
    i->parent = NULL;
    i->name = NULL;
    mutex_unlock(&o->table_lock);
    drop_place(old, old_name);
}

bool oino_nameless(struct overlay_inode *i) {
    struct overlay_fs *o = ofs_of(&i->inode);
    mutex_lock(&o->table_lock);
    bool nameless = !i->parent && !(o->fs.root && o->fs.root->inode == &i->inode);
    mutex_unlock(&o->table_lock);
    return nameless;
}

struct overlay_inode *oino_get_place(struct overlay_inode *i, char *name) {
    struct overlay_fs *o = ofs_of(&i->inode);
    mutex_lock(&o->table_lock);
    struct overlay_inode *parent = i->parent;
    if (parent) {
        inode_ref(&parent->inode);
        memcpy(name, i->name, strlen(i->name) + 1);
    }
    mutex_unlock(&o->table_lock);
    return parent;
}

void oino_publish(struct overlay_inode *i, struct inode *upper) {
    struct overlay_fs *o = ofs_of(&i->inode);
    mutex_lock(&o->table_lock);
    ASSERT(!i->upper);
    if (i->link && !i->link->upper)
        i->link->upper = inode_ref(upper);
    if (i->in_lower && !(i->link && !inode_is_dir(&i->inode))) {
        RB_REMOVE(overlay_lower_tree, &o->by_lower, i);
        i->in_lower = false;
    }
    atomic_store_explicit(&i->upper, upper, memory_order_release);
    RB_INSERT(overlay_upper_tree, &o->by_upper, i);
    i->in_upper = true;
    mutex_unlock(&o->table_lock);
}

/* ---- files of several names ---- */

static int lower_names(struct overlay_inode *i, int64_t *ret) {
    struct kstat st;
    if (!i->lower || inode_is_dir(&i->inode)) {
        *ret = 0;
        return 0;
    }
    inode_fill_stat(i->lower, &st);
    int rc = i->lower->ops->getattr(i->lower, &st);
    *ret = (int64_t)st.nlink;
    return rc;
}

int oino_count_names(struct overlay_inode *i, int change) {
    struct overlay_fs *o = ofs_of(&i->inode);
    struct overlay_link *fresh = NULL;
    int64_t names = 0;
    if (!i->link) {
        int rc = oino_upper(i) ? 0 : lower_names(i, &names);
        if (rc < 0 || names <= 1) /* an upper file, or a lower one of one name: nothing to remember */
            return rc;
        fresh = heap_new(overlay_link);
        if (!fresh)
            return -ENOMEM;
        *fresh = (struct overlay_link){.lower_ino = i->inode.ino, .nlink = names};
    }
    mutex_lock(&o->table_lock);
    if (!i->link) {
        struct overlay_link *there = RB_INSERT(overlay_link_tree, &o->links, fresh);
        i->link = there ? there : fresh;
        fresh = there ? fresh : NULL;
    }
    i->link->nlink += change;
    mutex_unlock(&o->table_lock);
    heap_free(fresh);
    return 0;
}

void overlay_release(struct inode *inode) {
    struct overlay_inode *i = oino_of(inode);
    struct overlay_fs *o = ofs_of(inode);
    mutex_lock(&o->table_lock);
    unlist_locked(o, i);
    struct overlay_inode *parent = i->parent;
    mutex_unlock(&o->table_lock);
    struct overlay_parts parts = {.upper = i->upper,
                                  .lower = i->lower,
                                  .lower_path = i->lower_path,
                                  .more = i->more,
                                  .more_count = i->more_count};
    overlay_parts_drop(&parts);
    heap_free(i->name);
    inode_done(inode);
    heap_free(i);
    if (parent)
        inode_unref(&parent->inode);
}
