/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/dentry.c: the dentry cache: names of directories, found and not found. Callers: path walk,
 * operations on names, file systems (invalidation).
 *
 * A dentry is found by (parent, name) in a hash whose buckets hold no references: a look-up takes one by
 * dentry_tryref() under the stripe's lock, and the destroyer takes its dentry out under the same lock before
 * it frees. Dentries that nobody uses are kept by the LRU list, which has one reference of each of its
 * members: dentries enter it when they are made, `used` gives them a second round, and beyond DCACHE_LIMIT
 * the coldest unused ones go. A file system with FS_NO_CACHE never enters its own in the LRU, so that they
 * end with their last user.
 *
 * Locks: dentry.lock -> stripe -> lru_lock. Nothing is freed with one of them held: dropping a reference may
 * end an inode, whose file system may block.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/limits.h"
#include "sentry/heap/heap.h"
#include "sentry/vfs/vfs_internal.h"

HEAP_TYPE(dentry, struct dentry, 0);

static void dentry_destroy(struct dentry *d);
DEFINE_REF(dentry, dentry_destroy);

/* Multiply and fold, seeded: a guest that knows no seed finds no collisions at will. */
static uint32_t name_hash(const struct vfs *v, const struct dentry *parent, const char *name, size_t len) {
    const uint64_t k = 0x9e3779b97f4a7c15ull;
    uint64_t h = v->hash_seed ^ (uint64_t)(uintptr_t)parent ^ len * k;

    while (len > 0) {
        uint64_t word = 0;
        size_t n = MIN(len, sizeof word);
        memcpy(&word, name, n);
        __uint128_t product = (__uint128_t)(h ^ word) * (k ^ v->hash_seed << 1);
        h = (uint64_t)product ^ (uint64_t)(product >> 64);
        name += n;
        len -= n;
    }
    return (uint32_t)(h ^ h >> 32);
}

static struct mutex *stripe_of(struct vfs *v, uint32_t hash) {
    return &v->stripes[hash % DCACHE_STRIPES];
}

static void hash_insert_locked(struct vfs *v, struct dentry *d) {
    struct dentry **head = &v->buckets[d->hash % DCACHE_BUCKETS];

    ASSERT(!d->hash_prev);
    d->hash_next = *head;
    if (d->hash_next)
        d->hash_next->hash_prev = &d->hash_next;
    d->hash_prev = head;
    *head = d;
}

static void hash_remove(struct vfs *v, struct dentry *d) {
    struct mutex *stripe = stripe_of(v, d->hash);

    mutex_lock(stripe);
    if (d->hash_prev) {
        *d->hash_prev = d->hash_next;
        if (d->hash_next)
            d->hash_next->hash_prev = d->hash_prev;
        d->hash_prev = NULL;
    }
    mutex_unlock(stripe);
}

/* New reference or NULL. */
static struct dentry *hash_find(struct vfs *v, struct dentry *parent, const char *name, size_t len) {
    uint32_t hash = name_hash(v, parent, name, len);
    struct mutex *stripe = stripe_of(v, hash);

    mutex_lock(stripe);
    struct dentry *d = v->buckets[hash % DCACHE_BUCKETS];
    for (; d; d = d->hash_next)
        if (d->hash == hash && d->parent == parent && d->name_len == len && memcmp(d->name, name, len) == 0 &&
            dentry_tryref(d))
            break;
    mutex_unlock(stripe);
    if (d)
        atomic_store_explicit(&d->used, true, memory_order_relaxed);
    return d;
}

/* ---- LRU ---- */

/* Takes one reference that the LRU held: to be dropped by the caller. NULL: the list is short enough or all
 * are in use. */
static struct dentry *lru_take_cold(struct vfs *v, size_t limit) {
    struct dentry *cold = NULL;

    mutex_lock(&v->lru_lock);
    for (int tries = 0; tries < 64 && !cold && v->lru_count > limit; tries++) {
        struct dentry *d = list_last_entry(&v->lru, struct dentry, lru_node);
        list_del(&d->lru_node);
        bool used = atomic_exchange_explicit(&d->used, false, memory_order_relaxed);
        if (used || atomic_load_explicit(&d->ref.count, memory_order_relaxed) > 1) {
            list_add(&v->lru, &d->lru_node);
            continue;
        }
        v->lru_count--;
        cold = d;
    }
    mutex_unlock(&v->lru_lock);
    return cold;
}

static void lru_enter(struct vfs *v, struct dentry *d) {
    mutex_lock(&v->lru_lock);
    list_add(&v->lru, &d->lru_node);
    v->lru_count++;
    mutex_unlock(&v->lru_lock);
}

/* True if it was on the list: the caller drops that reference. */
static bool lru_leave(struct vfs *v, struct dentry *d) {
    bool was = false;

    mutex_lock(&v->lru_lock);
    if (!list_empty(&d->lru_node)) {
        list_del(&d->lru_node);
        v->lru_count--;
        was = true;
    }
    mutex_unlock(&v->lru_lock);
    return was;
}

static void lru_trim(struct vfs *v) {
    for (int i = 0; i < 4 && v->lru_count > DCACHE_LIMIT; i++)
        dentry_unref(lru_take_cold(v, DCACHE_LIMIT));
}

/* ---- making and ending ---- */

/* inode's reference is taken on success; parent NULL: a root or anonymous. */
static struct dentry *dentry_alloc(struct filesystem *fs, struct dentry *parent, const char *name, size_t len,
                                   struct inode *inode) {
    ASSERT(len <= LINUX_NAME_MAX);
    struct dentry *d = heap_new(dentry);
    if (!d)
        return NULL;
    d->name = d->inline_name;
    if (len >= DENTRY_INLINE_NAME && !(d->name = heap_alloc_bytes(len + 1))) {
        heap_free(d);
        return NULL;
    }
    memcpy(d->name, name, len);
    d->name[len] = '\0';
    d->name_len = (uint32_t)len;
    dentry_ref_init(d);
    mutex_init(&d->lock, RANK_DCACHE);
    list_init(&d->children);
    list_init(&d->child_node);
    list_init(&d->lru_node);
    filesystem_hold(fs);
    d->fs = fs;
    d->inode = inode;
    d->parent = parent ? dentry_ref(parent) : d;
    if (parent) {
        mutex_lock(&parent->lock);
        list_add(&parent->children, &d->child_node);
        mutex_unlock(&parent->lock);
    }
    return d;
}

struct dentry *dentry_new_root(struct filesystem *fs, struct inode *inode) {
    return dentry_alloc(fs, NULL, "/", 1, inode);
}

struct dentry *dentry_new_anon(struct filesystem *fs, const char *name, struct inode *inode) {
    return dentry_alloc(fs, NULL, name, MIN(strlen(name), (size_t)LINUX_NAME_MAX), inode);
}

struct dentry *dentry_new_unlinked(struct dentry *parent, const char *name, struct inode *inode) {
    struct dentry *d = dentry_alloc(parent->fs, parent, name, strlen(name), inode);

    if (d)
        atomic_store(&d->unhashed, true);
    return d;
}

/* A chain of parents, each kept by the next alone, must not recurse: the loop drops the parent's reference by
 * hand. */
static void dentry_destroy(struct dentry *d) {
    while (d) {
        struct dentry *parent = d->parent != d ? d->parent : NULL;
        struct filesystem *fs = d->fs;

        hash_remove(vfs_of(fs), d);
        ASSERT(list_empty(&d->children));
        ASSERT(list_empty(&d->lru_node));
        if (parent) {
            mutex_lock(&parent->lock);
            list_del(&d->child_node);
            mutex_unlock(&parent->lock);
        }
        if (d->name != d->inline_name)
            heap_free(d->name);
        struct inode *inode = d->inode;
        heap_free(d);
        inode_unref(inode);
        filesystem_let_go(fs);
        if (!parent || !ref_put(&parent->ref))
            break;
        ref_registry_remove("dentry", parent);
        d = parent;
    }
}

int dentry_add(struct dentry *parent, const char *name, size_t len, struct inode *inode,
               struct dentry **ret) {
    struct vfs *v = vfs_of(parent->fs);
    struct dentry *d = dentry_alloc(parent->fs, parent, name, len, inode);

    if (!d)
        return -ENOMEM;
    mutex_assert_held(&parent->inode->dir_lock);
    d->hash = name_hash(v, parent, name, len);
    atomic_store(&d->names_seen, atomic_load(&parent->inode->names_changed));
    bool keep = !(parent->fs->flags & FS_NO_CACHE) && (inode || !(parent->fs->flags & FS_NO_NEGATIVE));
    if (keep)
        dentry_ref(d);
    mutex_lock(stripe_of(v, d->hash));
    hash_insert_locked(v, d);
    mutex_unlock(stripe_of(v, d->hash));
    if (keep) {
        lru_enter(v, d);
        lru_trim(v);
    }
    *ret = d;
    return 0;
}

void dentry_drop(struct dentry *d) {
    struct vfs *v = vfs_of(d->fs);

    atomic_store(&d->unhashed, true);
    hash_remove(v, d);
    if (lru_leave(v, d))
        dentry_unref(d);
}

/* ---- look-up ---- */

static int lookup_slow(struct dentry *parent, const char *name, size_t len, struct dentry *old,
                       struct dentry **ret) {
    struct inode *dir = parent->inode, *inode = NULL;

    if (!dir->ops->lookup)
        return -ENOTDIR;
    if (dir->dead_dir)
        return -ENOENT;
    int r = dir->ops->lookup(dir, name, len, &inode);
    if (r < 0 && r != -ENOENT)
        return r;
    if (old && inode == old->inode) {
        inode_unref(inode);
        atomic_store(&old->stale, false);
        atomic_store(&old->names_seen, atomic_load(&dir->names_changed));
        *ret = dentry_ref(old);
        return 0;
    }
    /* Something is mounted on it, or below: the name stays what it was until it is unmounted. */
    if (old && atomic_load(&old->mounts) > 0) {
        inode_unref(inode);
        *ret = dentry_ref(old);
        return 0;
    }
    if (old)
        dentry_drop(old);
    r = dentry_add(parent, name, len, inode, ret);
    if (r < 0)
        inode_unref(inode);
    return r;
}

static bool is_outdated(const struct dentry *parent, const struct dentry *d) {
    return atomic_load_explicit(&d->stale, memory_order_relaxed) ||
           atomic_load_explicit(&d->names_seen, memory_order_relaxed) !=
               atomic_load_explicit(&parent->inode->names_changed, memory_order_relaxed);
}

/* 1: good; 0: look it up again. */
static int dentry_check(const struct dentry *parent, struct dentry *d) {
    if (is_outdated(parent, d))
        return 0;
    return d->fs->ops->revalidate ? d->fs->ops->revalidate(d->fs, d) : 1;
}

int dentry_lookup_locked(struct dentry *parent, const char *name, size_t len, struct dentry **ret) {
    struct dentry *d = hash_find(vfs_of(parent->fs), parent, name, len);
    int r = d ? dentry_check(parent, d) : 0;

    if (r > 0) {
        *ret = d;
        return 0;
    }
    if (r == 0)
        r = lookup_slow(parent, name, len, d, ret);
    dentry_unref(d);
    return r;
}

int dentry_lookup(struct dentry *parent, const char *name, size_t len, struct dentry **ret) {
    if (len > LINUX_NAME_MAX)
        return -ENAMETOOLONG;
    if (!parent->inode || !inode_is_dir(parent->inode))
        return -ENOTDIR;
    struct dentry *d = hash_find(vfs_of(parent->fs), parent, name, len);
    int r = d ? dentry_check(parent, d) : 0;
    if (r > 0) {
        *ret = d;
        return 0;
    }
    dentry_unref(d);
    if (r < 0)
        return r;
    mutex_lock(&parent->inode->dir_lock);
    r = dentry_lookup_locked(parent, name, len, ret);
    mutex_unlock(&parent->inode->dir_lock);
    return r;
}

int dentry_lookup_cached(struct dentry *parent, const char *name, size_t len, struct dentry **ret) {
    struct dentry *d = hash_find(vfs_of(parent->fs), parent, name, len);

    if (d && !is_outdated(parent, d) && !d->fs->ops->revalidate) {
        *ret = d;
        return 0;
    }
    dentry_unref(d);
    return -EAGAIN;
}

/* ---- the tree ---- */

struct dentry *dentry_parent(struct dentry *d) {
    mutex_lock(&d->lock);
    struct dentry *parent = dentry_ref(d->parent);
    mutex_unlock(&d->lock);
    return parent;
}

struct dentry *dentry_parent_and_name(struct dentry *d, char *ret_name, size_t *ret_len) {
    mutex_lock(&d->lock);
    struct dentry *parent = dentry_ref(d->parent);
    memcpy(ret_name, d->name, d->name_len + 1);
    *ret_len = d->name_len;
    mutex_unlock(&d->lock);
    return parent;
}

bool dentry_is_below(struct dentry *d, struct dentry *ancestor) {
    if (d->fs != ancestor->fs)
        return false;
    dentry_ref(d);
    while (d != ancestor) {
        struct dentry *up = dentry_parent(d);
        bool top = up == d;
        dentry_unref(d);
        d = up;
        if (top)
            break;
    }
    bool below = d == ancestor;
    dentry_unref(d);
    return below;
}

/* A child that is still hashed and not stale: new reference, or NULL. */
static struct dentry *first_child(struct dentry *d) {
    struct dentry *c, *found = NULL;

    mutex_lock(&d->lock);
    list_for_each_entry(c, &d->children, child_node) {
        if (!atomic_load(&c->unhashed) && !atomic_load(&c->stale) && dentry_tryref(c)) {
            found = c;
            break;
        }
    }
    mutex_unlock(&d->lock);
    return found;
}

/* Not in use (the caller's and the LRU's references are the only ones): dropped. In use: to be looked up
 * again. */
static void invalidate_one(struct dentry *d) {
    bool in_use = atomic_load(&d->ref.count) > 2 || atomic_load(&d->mounts) > 0;

    atomic_store(&d->stale, true);
    if (!in_use)
        dentry_drop(d);
}

void dentry_invalidate(struct dentry *parent, const char *name, size_t len) {
    struct dentry *d = hash_find(vfs_of(parent->fs), parent, name, len);

    if (!d)
        return;
    invalidate_one(d);
    dentry_unref(d);
}

/* Depth first, leaves before their parents; what has been handled is unhashed or stale, so that each is met
 * once. */
void dentry_invalidate_tree(struct dentry *top) {
    struct dentry *d = dentry_ref(top);

    for (;;) {
        struct dentry *child = first_child(d);
        if (child) {
            dentry_unref(d);
            d = child;
            continue;
        }
        if (d == top)
            break;
        struct dentry *up = dentry_parent(d);
        invalidate_one(d);
        dentry_unref(d);
        d = up;
    }
    dentry_unref(d);
}

/* A child that the LRU still has, or one without a name (removed, replaced) that its own cached children
 * keep. */
static struct dentry *first_child_to_prune(struct dentry *d) {
    struct dentry *c, *found = NULL;

    mutex_lock(&d->lock);
    list_for_each_entry(c, &d->children, child_node) {
        bool keeps = !atomic_load(&c->unhashed);
        if (!keeps) {
            mutex_lock_nested(&c->lock); /* parent before child */
            keeps = !list_empty(&c->children);
            mutex_unlock(&c->lock);
        }
        if (keeps && dentry_tryref(c)) {
            found = c;
            break;
        }
    }
    mutex_unlock(&d->lock);
    return found;
}

/* No path leads into the file system any more: every dentry but the root is kept by the LRU or its children
 * alone. */
void dentry_prune_tree(struct dentry *root) {
    struct dentry *d = dentry_ref(root);

    for (;;) {
        struct dentry *child = first_child_to_prune(d);
        if (child) {
            dentry_unref(d);
            d = child;
            continue;
        }
        if (d == root)
            break;
        struct dentry *up = dentry_parent(d);
        dentry_drop(d);
        dentry_unref(d);
        d = up;
    }
    dentry_unref(d);
}

/* ---- rename ---- */

int dentry_name_prepare(struct dentry_name *n, const char *name, size_t len) {
    *n = (struct dentry_name){.len = len, .from = name};
    if (len < DENTRY_INLINE_NAME)
        return 0;
    n->text = heap_strndup(name, len);
    return n->text ? 0 : -ENOMEM;
}

void dentry_name_done(struct dentry_name *n) {
    heap_free(n->text);
    n->text = NULL;
}

/* d->lock and the locks of both parents held; d is not hashed. Gives the old name's memory back in n->text.
 */
static void set_name_locked(struct dentry *d, struct dentry_name *n) {
    char *old = d->name != d->inline_name ? d->name : NULL;

    if (n->text) {
        d->name = n->text;
    } else {
        memcpy(d->inline_name, n->from, n->len);
        d->inline_name[n->len] = '\0';
        d->name = d->inline_name;
    }
    d->name_len = (uint32_t)n->len;
    n->text = old;
}

static void rehash(struct vfs *v, struct dentry *d) {
    d->hash = name_hash(v, d->parent, d->name, d->name_len);
    mutex_lock(stripe_of(v, d->hash));
    hash_insert_locked(v, d);
    mutex_unlock(stripe_of(v, d->hash));
}

static void set_parent(struct dentry *d, struct dentry *new_parent, struct dentry_name *n) {
    struct dentry *old = d->parent;

    mutex_lock(&old->lock);
    list_del(&d->child_node);
    mutex_unlock(&old->lock);
    mutex_lock(&new_parent->lock);
    list_add(&new_parent->children, &d->child_node);
    mutex_unlock(&new_parent->lock);
    dentry_ref(new_parent);
    atomic_store(&d->names_seen, atomic_load(&new_parent->inode->names_changed));
    mutex_lock(&d->lock);
    d->parent = new_parent;
    set_name_locked(d, n);
    mutex_unlock(&d->lock);
    dentry_unref(old);
}

void dentry_move(struct dentry *d, struct dentry *new_parent, struct dentry_name *n) {
    struct vfs *v = vfs_of(d->fs);

    hash_remove(v, d);
    set_parent(d, new_parent, n);
    rehash(v, d);
}

void dentry_exchange(struct dentry *a, struct dentry *b, struct dentry_name *a_gets,
                     struct dentry_name *b_gets) {
    struct vfs *v = vfs_of(a->fs);
    struct dentry *a_parent = dentry_ref(a->parent);

    hash_remove(v, a);
    hash_remove(v, b);
    set_parent(a, b->parent, a_gets);
    set_parent(b, a_parent, b_gets);
    rehash(v, a);
    rehash(v, b);
    dentry_unref(a_parent);
}

/* ---- once a kernel ---- */

int dcache_create(struct vfs *v) {
    mutex_init(&v->lru_lock, RANK_DCACHE_LRU);
    list_init(&v->lru);
    v->buckets = heap_alloc_array(DCACHE_BUCKETS, sizeof *v->buckets);
    v->stripes = heap_alloc_bytes(DCACHE_STRIPES * sizeof *v->stripes);
    if (!v->buckets || !v->stripes)
        return -ENOMEM;
    for (size_t i = 0; i < DCACHE_STRIPES; i++)
        mutex_init(&v->stripes[i], RANK_DCACHE_HASH);
    return kernel_random(v->kernel, &v->hash_seed, sizeof v->hash_seed);
}

void dcache_destroy(struct vfs *v) {
    heap_free(v->buckets);
    heap_free(v->stripes);
}
