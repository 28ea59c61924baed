/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/memfile.c: ranges of the shared memory file (memfile.h): free ranges in a tree by offset, each
 * node with the largest range below it, so that the lowest fitting range is found in logarithmic time; beyond
 * `frontier` everything is free.
 */
#include "sentry/mm/memfile.h"

#include <bsd/sys/tree.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mutex.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/memfile_host.h"

struct free_range {
    RB_ENTRY(free_range) node;
    uint64_t offset, len;
    uint64_t max_len; /* largest in the subtree */
};
HEAP_TYPE(free_range, struct free_range, 0);

struct memfile {
    struct hostref host; /* host.ptr: struct memfile_host */
    struct mutex lock;   /* RANK_MEMFILE; the rest */
    RB_HEAD(free_tree, free_range) free;
    uint64_t frontier;
};
HEAP_TYPE(memfile, struct memfile, 0);

static int compare(const struct free_range *a, const struct free_range *b) {
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static uint64_t max_of(const struct free_range *r) {
    return r ? r->max_len : 0;
}

static void update(struct free_range *r) {
    uint64_t left = max_of(RB_LEFT(r, node)), right = max_of(RB_RIGHT(r, node));
    uint64_t below = MAX(left, right);

    r->max_len = MAX(below, r->len);
}

#undef RB_AUGMENT
#define RB_AUGMENT(r) update(r)
RB_GENERATE_INTERNAL(free_tree, free_range, node, compare, static __attribute__((unused)))
#undef RB_AUGMENT

static struct memfile_host *host(struct memfile *f) {
    return f->host.host.ptr;
}

static void update_upward(struct free_range *r) {
    for (; r; r = RB_PARENT(r, node))
        update(r);
}

/* Takes it out and frees it. RB_REMOVE looks only at the parent when there were not two children. */
static void remove_range(struct memfile *f, struct free_range *r) {
    struct free_range *parent = RB_PARENT(r, node);

    RB_REMOVE(free_tree, &f->free, r);
    update_upward(parent);
    heap_free(r);
}

int memfile_create(struct kernel *k, struct memfile **ret, struct err **err) {
    struct memfile *f = heap_new(memfile);

    if (!f)
        return err_set(err, ENOMEM, "memfile.memory", "shared memory file");
    mutex_init(&f->lock, RANK_MEMFILE);
    RB_INIT(&f->free);
    int result = memfile_host_open(hostref_get_fd(&k->proc_dir), &f->host, err);
    if (result < 0) {
        heap_free(f);
        return result;
    }
    *ret = f;
    return 0;
}

void memfile_destroy(struct memfile *f) {
    struct free_range *r;

    while ((r = RB_ROOT(&f->free)))
        remove_range(f, r);
    hostref_release(&f->host);
    heap_free(f);
}

/* The lowest free range of at least `len` bytes, or NULL. */
static struct free_range *find_fit(struct memfile *f, uint64_t len) {
    struct free_range *r = RB_ROOT(&f->free);

    if (max_of(r) < len)
        return NULL;
    for (;;) {
        if (max_of(RB_LEFT(r, node)) >= len)
            r = RB_LEFT(r, node);
        else if (r->len >= len)
            return r;
        else
            r = RB_RIGHT(r, node);
    }
}

int memfile_alloc(struct memfile *f, uint64_t len, uint64_t *ret_offset) {
    int result = 0;

    ASSERT(len > 0);
    ASSERT(len % PAGE_SIZE == 0);
    mutex_lock(&f->lock);
    struct free_range *r = find_fit(f, len);
    if (r) {
        /* From its end, so that the tree's order does not change. */
        r->len -= len;
        *ret_offset = r->offset + r->len;
        update_upward(r);
        if (r->len == 0)
            remove_range(f, r);
    } else if (len <= host(f)->size - f->frontier) {
        *ret_offset = f->frontier;
        f->frontier += len;
    } else {
        result = -ENOMEM;
    }
    mutex_unlock(&f->lock);
    return result;
}

static void insert_free(struct memfile *f, uint64_t offset, uint64_t len) {
    struct free_range key = {.offset = offset}, *after = RB_NFIND(free_tree, &f->free, &key);
    struct free_range *before = after ? RB_PREV(free_tree, &f->free, after) : RB_MAX(free_tree, &f->free);

    ASSERT(!after || offset + len <= after->offset);
    ASSERT(!before || before->offset + before->len <= offset);
    if (before && before->offset + before->len == offset) {
        offset = before->offset;
        len += before->len;
        remove_range(f, before);
    }
    if (after && after->offset == offset + len) {
        len += after->len;
        remove_range(f, after);
    }
    if (offset + len == f->frontier) {
        f->frontier = offset;
        return;
    }
    struct free_range *r = heap_new(free_range);
    if (!r) {
        log_warning(LOG_MM, "no memory: %llu bytes of addresses of the shared memory file are lost",
                    (unsigned long long)len);
        return;
    }
    r->offset = offset;
    r->len = r->max_len = len;
    RB_INSERT(free_tree, &f->free, r);
    update_upward(r);
}

void memfile_punch(struct memfile *f, uint64_t offset, uint64_t len) {
    int result = len > 0 ? memfile_host_punch(host(f), offset, len) : 0;

    ASSERT(result == 0); /* stale contents would be another file's */
}

void memfile_free(struct memfile *f, uint64_t offset, uint64_t len) {
    if (len == 0)
        return;
    memfile_punch(f, offset, len);
    mutex_lock(&f->lock);
    ASSERT(offset + len <= f->frontier);
    insert_free(f, offset, len);
    mutex_unlock(&f->lock);
}

int memfile_fd(struct memfile *f, bool writable) {
    return writable ? host(f)->fd : host(f)->readonly_fd;
}

void *memfile_map(struct memfile *f, uint64_t offset, uint64_t *ret_len) {
    struct memfile_host *h = host(f);
    uint64_t window = offset / MEMFILE_WINDOW;

    ASSERT(offset < h->size);
    char *p = atomic_load_explicit(&h->windows[window], memory_order_acquire);
    if (!p) {
        mutex_lock(&f->lock);
        p = atomic_load_explicit(&h->windows[window], memory_order_relaxed);
        if (!p) {
            p = memfile_host_map_window(h, window);
            atomic_store_explicit(&h->windows[window], p, memory_order_release);
        }
        mutex_unlock(&f->lock);
        if (!p)
            return NULL;
    }
    *ret_len = MEMFILE_WINDOW - offset % MEMFILE_WINDOW;
    return p + offset % MEMFILE_WINDOW;
}

static ssize_t transfer(struct memfile *f, char *buffer, uint64_t offset, size_t size, bool write) {
    for (size_t done = 0; done < size;) {
        uint64_t len;
        char *p = memfile_map(f, offset + done, &len);
        if (!p)
            return -ENOMEM;
        size_t n = MIN(len, size - done);
        if (write)
            memcpy(p, buffer + done, n);
        else
            memcpy(buffer + done, p, n);
        done += n;
    }
    return (ssize_t)size;
}

ssize_t memfile_read(struct memfile *f, void *to, uint64_t offset, size_t size) {
    return transfer(f, to, offset, size, /* write= */ false);
}

ssize_t memfile_write(struct memfile *f, uint64_t offset, const void *from, size_t size) {
    return transfer(f, (char *)(uintptr_t)from, offset, size, /* write= */ true);
}

uint64_t memfile_seek(struct memfile *f, uint64_t offset, uint64_t end, bool data) {
    return memfile_host_seek(host(f), offset, end, data);
}

uint64_t memfile_allocated(struct memfile *f) {
    return memfile_host_allocated(host(f));
}
