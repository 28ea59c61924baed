/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/gofer/gofer_listing.c: whole directories, as LISTDIR gives them.
 *
 * A listing serves readdir (an open directory keeps the one it began with), and as long as it is cached it
 * also answers look-ups: a name that is not in it does not exist, and one that is has its attributes there,
 * so that `find` or `ls -l` costs one message a directory. Entries are never moved or freed before the
 * listing is; only their state changes.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/stat.h"
#include "sentry/fs/gofer/gofer_internal.h"
#include "sentry/heap/heap.h"

HEAP_TYPE(gofer_listing, struct gofer_listing, 0);

enum { CACHED_ENTRIES_MAX = 1 << 15, ENTRIES_MAX = 1 << 24 };

static void listing_destroy(struct gofer_listing *l) {
    heap_free(l->entries);
    heap_free(l->names);
    heap_free(l->index);
    heap_free(l);
}

DEFINE_REF(gofer_listing, listing_destroy);

static uint32_t hash_name(const char *name, size_t len) {
    uint32_t h = 2166136261u; /* FNV-1a: a guest that wants collisions slows down its own directory */
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)name[i]) * 16777619u;
    return h;
}

struct gofer_entry *gofer_listing_find(struct gofer_listing *l, const char *name, size_t len) {
    uint32_t at = hash_name(name, len) & l->index_mask;
    for (; l->index[at]; at = (at + 1) & l->index_mask) {
        struct gofer_entry *e = &l->entries[l->index[at] - 1];
        if (e->name_len == len && memcmp(l->names + e->name_offset, name, len) == 0 && e->state != ENTRY_GONE)
            return e;
    }
    return NULL;
}

static int make_index(struct gofer_listing *l) {
    uint32_t size = 8;
    while (size < l->count * 2)
        size *= 2;
    l->index = heap_alloc_bytes(size * sizeof(*l->index));
    if (!l->index)
        return -ENOMEM;
    l->index_mask = size - 1;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct gofer_entry *e = &l->entries[i];
        uint32_t at = hash_name(l->names + e->name_offset, e->name_len) & l->index_mask;
        while (l->index[at])
            at = (at + 1) & l->index_mask;
        l->index[at] = i + 1;
    }
    l->bytes = size * sizeof(*l->index) + l->capacity * sizeof(*l->entries) + l->names_capacity;
    return 0;
}

static void *grow(void *array, size_t bytes) {
    return array ? heap_realloc(array, bytes) : heap_alloc_bytes(bytes);
}

static int reserve(struct gofer_listing *l, size_t name_len) {
    if (l->count == l->capacity) {
        uint32_t capacity = l->capacity ? l->capacity * 2 : 16;
        struct gofer_entry *entries =
            capacity > ENTRIES_MAX ? NULL : grow(l->entries, capacity * sizeof(*entries));
        if (!entries)
            return -ENOMEM;
        l->entries = entries;
        l->capacity = capacity;
    }
    if (l->names_capacity - l->names_size < name_len) {
        size_t capacity = l->names_capacity ? l->names_capacity * 2 : 512;
        char *names = capacity > UINT32_MAX ? NULL : grow(l->names, capacity);
        if (!names)
            return -ENOMEM;
        l->names = names;
        l->names_capacity = capacity;
    }
    return 0;
}

static int add_entry(struct gofer_fs *g, struct gofer_listing *l, const struct gofer_dirent *d) {
    int rc = reserve(l, d->name_size);
    if (rc < 0)
        return rc;
    struct gofer_entry *e = &l->entries[l->count++];
    *e = (struct gofer_entry){.ino = d->has_attr ? gfs_ino(g, &d->attr) : d->ino,
                              .name_offset = (uint32_t)l->names_size,
                              .name_len = d->name_size,
                              .type = d->type,
                              .state = d->has_attr ? ENTRY_FRESH : ENTRY_NAME,
                              .attr = d->attr};
    memcpy(l->names + l->names_size, d + 1, d->name_size);
    l->names_size += d->name_size;
    return 0;
}

static int read_page(struct gofer_inode *dir, uint64_t cookie, struct gofer_page *page) {
    gofer_handle_t handle;
    int tries = 0, rc;
    do {
        rc = gino_handle(dir, &handle);
        if (rc < 0)
            return rc;
        rc = gofer_conn_listdir(gfs_conn(gfs_of(&dir->inode)), handle, cookie, page);
    } while (rc < 0 && gino_retry(dir, handle, rc, &tries));
    return rc;
}

static int read_pages(struct gofer_inode *dir, struct gofer_listing *l, struct gofer_page *page) {
    uint64_t cookie = 0;
    do {
        int rc = read_page(dir, cookie, page);
        if (rc < 0)
            return rc;
        if (!page->end && page->cookie == cookie) /* no progress: a directory without end */
            return -EIO;
        cookie = page->cookie;
        const struct gofer_dirent *d;
        for (size_t at = 0; (d = gofer_dirent_next(page, &at));) {
            rc = add_entry(gfs_of(&dir->inode), l, d);
            if (rc < 0)
                return rc;
        }
    } while (!page->end);
    return make_index(l);
}

static int listing_read(struct gofer_inode *dir, struct gofer_listing **ret) {
    struct gofer_listing *l = heap_new(gofer_listing);
    if (!l)
        return -ENOMEM;
    gofer_listing_ref_init(l);
    list_init(&l->order);
    struct gofer_page page = {.data = heap_alloc_bytes(GOFER_PAYLOAD_MAX), .capacity = GOFER_PAYLOAD_MAX};
    int rc = page.data ? read_pages(dir, l, &page) : -ENOMEM;
    heap_free(page.data);
    if (rc < 0) {
        gofer_listing_unref(l);
        return rc;
    }
    *ret = l;
    return 0;
}

/* ---- the cache ---- */

static bool cacheable(const struct gofer_fs *g, const struct gofer_inode *dir) {
    return gfs_exclusive(g) || (!gfs_shared(g) && dir->watch >= 0);
}

void gofer_listing_drop_locked(struct gofer_inode *dir) {
    struct gofer_fs *g = gfs_of(&dir->inode);
    struct gofer_listing *l = dir->listing;
    atomic_fetch_add(&dir->listing_seq, 1);
    if (!l)
        return;
    dir->listing = NULL;
    l->dir = NULL;
    list_del(&l->order);
    g->listing_bytes -= l->bytes;
    gofer_listing_unref(l); /* frees plain memory, no more */
}

void gofer_listing_drop(struct gofer_inode *dir) {
    struct gofer_fs *g = gfs_of(&dir->inode);
    mutex_lock(&g->tree_lock);
    gofer_listing_drop_locked(dir);
    mutex_unlock(&g->tree_lock);
}

void gofer_listing_remove(struct gofer_inode *dir, const char *name, size_t len) {
    struct gofer_fs *g = gfs_of(&dir->inode);
    mutex_lock(&g->tree_lock);
    struct gofer_entry *e = dir->listing ? gofer_listing_find(dir->listing, name, len) : NULL;
    if (e)
        e->state = ENTRY_GONE;
    else
        gofer_listing_drop_locked(dir);
    mutex_unlock(&g->tree_lock);
}

static void listing_keep(struct gofer_inode *dir, struct gofer_listing *l, uint32_t seq) {
    struct gofer_fs *g = gfs_of(&dir->inode);
    mutex_lock(&g->tree_lock);
    if (atomic_load(&dir->listing_seq) == seq && !dir->listing && cacheable(g, dir) &&
        l->count <= CACHED_ENTRIES_MAX) {
        dir->listing = gofer_listing_ref(l);
        l->dir = dir;
        list_add_tail(&g->listings, &l->order);
        g->listing_bytes += l->bytes;
        while (g->listing_bytes > GFS_LISTING_BYTES) {
            struct gofer_listing *oldest = list_first_entry(&g->listings, struct gofer_listing, order);
            gofer_listing_drop_locked(oldest->dir);
        }
    }
    mutex_unlock(&g->tree_lock);
}

struct gofer_listing *gofer_listing_cached(struct gofer_inode *dir) {
    struct gofer_fs *g = gfs_of(&dir->inode);
    mutex_lock(&g->tree_lock);
    struct gofer_listing *l = dir->listing ? gofer_listing_ref(dir->listing) : NULL;
    mutex_unlock(&g->tree_lock);
    return l;
}

int gofer_listing_get(struct gofer_inode *dir, bool fresh, struct gofer_listing **ret) {
    struct gofer_fs *g = gfs_of(&dir->inode);
    gofer_handle_t handle;
    if (!gfs_exclusive(g))
        gfs_drain_if_due(g);
    struct gofer_listing *l = fresh ? NULL : gofer_listing_cached(dir);
    if (l) {
        *ret = l;
        return 0;
    }
    int rc = gino_handle(dir, &handle); /* and with it the watch, before anything is read */
    if (rc < 0)
        return rc;
    uint32_t seq = atomic_load(&dir->listing_seq);
    rc = listing_read(dir, &l);
    if (rc < 0)
        return rc;
    listing_keep(dir, l, seq);
    *ret = l;
    return 0;
}
