/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/memstore.c: byte stores on the shared memory file (memfile.h): the contents of tmpfs files,
 * memfds, shared anonymous memory, SysV shm.
 *
 * A store is a size and a tree of extents (pages of the store that lie side by side in the shared memory
 * file); what no extent covers reads as zero. Extents are made by writes, mappings and fallocate, and only
 * truncation takes them away. Locks: mappable.lock (RANK_MAPPABLE) protects size and extents.
 *
 * Copies run without the lock, since they may fault in guest memory; an extent that truncation took away
 * meanwhile is `retired` and its range is given back only when no copy is in flight, so that a late copy
 * never reaches another file's bytes.
 */
#include <bsd/sys/tree.h>
#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"

enum { BLOCK = 512 };
#define GROW_MAX (64ull << 20)

struct extent {
    RB_ENTRY(extent) node;
    struct list retired_node;
    uint64_t start, len; /* in the store */
    uint64_t offset;     /* in the shared memory file */
    uint64_t filled; /* bytes from the start that have been written: surely no hole. Reading a hole through a
                        window would give it memory */
};
HEAP_TYPE(memstore_extent, struct extent, 0);

struct memstore {
    struct mappable mappable;
    struct memfile *memfile;
    /* mappable.lock: */
    uint64_t size;
    RB_HEAD(extent_tree, extent) extents;
    uint64_t extent_bytes;
    unsigned in_flight;
    struct list retired; /* of extent.retired_node */
};
HEAP_TYPE(memstore, struct memstore, 0);

static int compare(const struct extent *a, const struct extent *b) {
    return (a->start > b->start) - (a->start < b->start);
}
RB_GENERATE_INTERNAL(extent_tree, extent, node, compare, static __attribute__((unused)))

/* The extent that covers `at`, or the first one behind it, or NULL. */
static struct extent *find_locked(struct memstore *s, uint64_t at) {
    struct extent key = {.start = at}, *next = RB_NFIND(extent_tree, &s->extents, &key);
    struct extent *before = next ? RB_PREV(extent_tree, &s->extents, next) : RB_MAX(extent_tree, &s->extents);

    if (next && next->start == at)
        return next;
    return before && at < before->start + before->len ? before : next;
}

/* Makes [at, at+len) part of an extent: `before` when it goes on there in store and file, or a new one. */
static struct extent *attach_locked(struct memstore *s, uint64_t at, uint64_t len, uint64_t offset) {
    struct extent *next = find_locked(s, at);
    struct extent *before = next ? RB_PREV(extent_tree, &s->extents, next) : RB_MAX(extent_tree, &s->extents);

    s->extent_bytes += len;
    if (before && before->start + before->len == at && before->offset + before->len == offset) {
        before->len += len;
        return before;
    }
    struct extent *e = heap_new(memstore_extent);
    if (!e)
        return NULL;
    list_init(&e->retired_node);
    e->start = at;
    e->len = len;
    e->offset = offset;
    RB_INSERT(extent_tree, &s->extents, e);
    return e;
}

/* The extent that covers page `at`; if there is none, one is made of about `len` bytes (page aligned), larger
 * the larger the store is. */
static int make_locked(struct memstore *s, uint64_t at, uint64_t len, struct extent **ret) {
    struct extent *e = find_locked(s, at);

    if (e && e->start <= at) {
        *ret = e;
        return 0;
    }
    uint64_t grow = MIN(s->extent_bytes, GROW_MAX), room = e ? e->start - at : UINT64_MAX;
    len = MAX(len, grow);
    len = MIN(len, room);
    uint64_t offset;
    int result = memfile_alloc(s->memfile, len, &offset);
    if (result < 0)
        return result;
    e = attach_locked(s, at, len, offset);
    if (!e) {
        s->extent_bytes -= len;
        memfile_free(s->memfile, offset, len);
        return -ENOMEM;
    }
    *ret = e;
    return 0;
}

/* ---- as something that can be mapped ---- */

static struct memstore *of_mappable(struct mappable *m) {
    return container_of(m, struct memstore, mappable);
}

static int store_range(struct mappable *m, uint64_t offset, uint64_t len, bool shared, bool writable,
                       struct host_range *ret) {
    struct memstore *s = of_mappable(m);
    struct extent *e;
    int result = 0;

    mutex_lock(&m->lock);
    uint64_t end = page_up(s->size);
    if (offset >= end) {
        *ret = (struct host_range){.fd = -1, .len = len};
    } else {
        len = MIN(len, end - offset);
        result = make_locked(s, offset, len, &e);
        if (result == 0) {
            uint64_t in = offset - e->start;
            *ret = (struct host_range){.fd = memfile_fd(s->memfile, shared && writable),
                                       .offset = e->offset + in,
                                       .len = MIN(len, e->len - in)};
        }
    }
    mutex_unlock(&m->lock);
    return result;
}

static void store_release(struct mappable *m) {
    struct memstore *s = of_mappable(m);
    struct extent *e;

    ASSERT(s->in_flight == 0);
    while ((e = RB_ROOT(&s->extents))) {
        RB_REMOVE(extent_tree, &s->extents, e);
        memfile_free(s->memfile, e->offset, e->len);
        heap_free(e);
    }
    heap_free(s);
}

static int store_punch(struct mappable *m, uint64_t offset, uint64_t len) {
    memstore_punch(of_mappable(m), offset, len);
    return 0;
}

static const struct mappable_ops g_store_ops = {
    .range = store_range, .punch = store_punch, .release = store_release, .ranges_reused = true};

int memstore_create(struct kernel *k, struct memstore **ret) {
    struct memstore *s = heap_new(memstore);

    if (!s)
        return -ENOMEM;
    mappable_init(&s->mappable, &g_store_ops, k);
    s->memfile = k->memfile;
    RB_INIT(&s->extents);
    list_init(&s->retired);
    *ret = s;
    return 0;
}

void memstore_unref(struct memstore *s) {
    if (s)
        mappable_unref(&s->mappable);
}

struct mappable *memstore_mappable(struct memstore *s) {
    return &s->mappable;
}

uint64_t memstore_size(struct memstore *s) {
    mutex_lock(&s->mappable.lock);
    uint64_t size = s->size;
    mutex_unlock(&s->mappable.lock);
    return size;
}

/* ---- copies ---- */

/* Gives retired ranges back if no copy can still reach them. */
static void free_retired(struct memstore *s) {
    struct list freed;
    struct extent *e, *next;

    list_init(&freed);
    mutex_lock(&s->mappable.lock);
    if (s->in_flight == 0)
        list_splice_tail(&freed, &s->retired);
    mutex_unlock(&s->mappable.lock);
    list_for_each_entry_safe(e, next, &freed, retired_node) {
        list_del(&e->retired_node);
        memfile_free(s->memfile, e->offset, e->len);
        heap_free(e);
    }
}

static void end_copy(struct memstore *s) {
    mutex_lock(&s->mappable.lock);
    bool retired = --s->in_flight == 0 && !list_empty(&s->retired);
    mutex_unlock(&s->mappable.lock);
    if (retired)
        free_retired(s);
}

struct piece {
    bool hole, may_have_holes;
    uint64_t offset; /* in the shared memory file */
    uint64_t len;    /* 0: end of the store */
};

static struct piece next_read_piece(struct memstore *s, uint64_t at, uint64_t len) {
    struct piece p = {0};

    mutex_lock(&s->mappable.lock);
    if (at < s->size) {
        struct extent *e = find_locked(s, at);
        p.len = MIN(len, s->size - at);
        p.hole = !e || e->start > at;
        if (!p.hole) {
            p.offset = e->offset + (at - e->start);
            p.len = MIN(p.len, e->start + e->len - at);
            p.may_have_holes = at - e->start + p.len > e->filled;
        } else if (e) {
            p.len = MIN(p.len, e->start - at);
        }
        s->in_flight++;
    }
    mutex_unlock(&s->mappable.lock);
    return p;
}

/* Guests that read and write one file at a time see each other's bytes as they come, as on Linux: no race of
 * ours. */
#ifdef __SANITIZE_THREAD__
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#define SHARED_BEGIN()                                                                                       \
    (AnnotateIgnoreReadsBegin(__FILE__, __LINE__), AnnotateIgnoreWritesBegin(__FILE__, __LINE__))
#define SHARED_END() (AnnotateIgnoreWritesEnd(__FILE__, __LINE__), AnnotateIgnoreReadsEnd(__FILE__, __LINE__))
#else
#define SHARED_BEGIN() ((void)0)
#define SHARED_END()   ((void)0)
#endif

/* Between the shared memory file and `u`: bytes moved (short at the end of a window), or -errno. */
static ssize_t copy_piece(struct memstore *s, struct uio *u, const struct piece *p, bool write) {
    uint64_t len;
    char *at = memfile_map(s->memfile, p->offset, &len);

    if (!at)
        return -ENOMEM;
    len = MIN(len, p->len);
    SHARED_BEGIN();
    ssize_t n = write ? uio_read(u, at, len) : uio_write(u, at, len);
    SHARED_END();
    return n;
}

/* Cuts a piece of an extent to its first hole or first data. */
static void look_for_holes(struct memstore *s, struct piece *p) {
    uint64_t end = p->offset + p->len, data = memfile_seek(s->memfile, p->offset, end, /* data= */ true);

    p->hole = data > page_down(p->offset) && data > p->offset;
    if (p->hole)
        p->len = data - p->offset;
    else
        p->len = memfile_seek(s->memfile, p->offset, end, /* data= */ false) - p->offset;
}

ssize_t memstore_read(struct memstore *s, struct uio *to, uint64_t offset, uint64_t size) {
    uint64_t done = 0;

    size = MIN(size, to->remaining);
    while (done < size) {
        if (offset + done < offset)
            break;
        struct piece p = next_read_piece(s, offset + done, size - done);
        if (p.len == 0)
            break;
        if (p.may_have_holes)
            look_for_holes(s, &p);
        ssize_t n = p.hole ? uio_zero(to, p.len) : copy_piece(s, to, &p, /* write= */ false);
        end_copy(s);
        if (n <= 0)
            return done > 0 ? (ssize_t)done : n;
        done += (uint64_t)n;
    }
    return (ssize_t)done;
}

static int next_write_piece(struct memstore *s, uint64_t at, uint64_t len, struct piece *ret) {
    uint64_t page = page_down(at);
    struct extent *e;

    mutex_lock(&s->mappable.lock);
    int result = make_locked(s, page, page_up(at + len) - page, &e);
    if (result == 0) {
        *ret = (struct piece){.offset = e->offset + (at - e->start), .len = MIN(len, e->start + e->len - at)};
        s->in_flight++;
    }
    mutex_unlock(&s->mappable.lock);
    return result;
}

static void grow_to(struct memstore *s, uint64_t size) {
    mutex_lock(&s->mappable.lock);
    s->size = MAX(s->size, size);
    mutex_unlock(&s->mappable.lock);
}

/* [at, end) has been written. */
static void note_written(struct memstore *s, uint64_t at, uint64_t end) {
    mutex_lock(&s->mappable.lock);
    s->size = MAX(s->size, end);
    struct extent *e = find_locked(s, at);
    if (e && e->start <= at && at - e->start <= e->filled && end <= e->start + e->len)
        e->filled = MAX(e->filled, end - e->start);
    mutex_unlock(&s->mappable.lock);
}

ssize_t memstore_write(struct memstore *s, struct uio *from, uint64_t offset, uint64_t size) {
    uint64_t done = 0;

    size = MIN(size, from->remaining);
    if (offset > INT64_MAX - PAGE_SIZE)
        return -EFBIG;
    size = MIN(size, INT64_MAX - PAGE_SIZE - offset);
    while (done < size) {
        struct piece p;
        ssize_t n = next_write_piece(s, offset + done, size - done, &p);
        if (n == 0) {
            n = copy_piece(s, from, &p, /* write= */ true);
            if (n > 0)
                note_written(s, offset + done, offset + done + (uint64_t)n);
            end_copy(s);
        }
        if (n <= 0)
            return done > 0 ? (ssize_t)done : n;
        done += (uint64_t)n;
    }
    return (ssize_t)done;
}

/* ---- size and holes ---- */

/* Takes all pages from `from` (page aligned) on out of the tree; they wait in `retired`. Without memory to
 * split an extent it keeps its addresses. */
static void cut_locked(struct memstore *s, uint64_t from) {
    struct extent *e;

    while ((e = RB_MAX(extent_tree, &s->extents)) && e->start + e->len > from) {
        if (e->start >= from) {
            RB_REMOVE(extent_tree, &s->extents, e);
            s->extent_bytes -= e->len;
            list_add_tail(&s->retired, &e->retired_node);
            continue;
        }
        uint64_t keep = from - e->start;
        struct extent *tail = heap_new(memstore_extent);
        if (!tail) { /* keep its addresses, give the memory back */
            memfile_punch(s->memfile, e->offset + keep, e->len - keep);
            e->filled = MIN(e->filled, keep);
            return;
        }
        tail->offset = e->offset + keep;
        tail->len = e->len - keep;
        e->len = keep;
        e->filled = MIN(e->filled, keep);
        s->extent_bytes -= tail->len;
        list_init(&tail->retired_node);
        list_add_tail(&s->retired, &tail->retired_node);
    }
}

int memstore_truncate(struct memstore *s, uint64_t size) {
    if (size > INT64_MAX - PAGE_SIZE)
        return -EFBIG;
    mutex_lock(&s->mappable.lock);
    uint64_t old = s->size;
    s->size = size;
    mutex_unlock(&s->mappable.lock);
    if (size >= old)
        return 0;
    /* From here on no fault maps what lies beyond; then it is taken out of every mapping, and only then given
     * back. */
    mappable_invalidate(&s->mappable, page_up(size), page_up(old) - page_up(size));
    mutex_lock(&s->mappable.lock);
    cut_locked(s, page_up(size));
    mutex_unlock(&s->mappable.lock);
    if (size % PAGE_SIZE != 0)
        memstore_punch(s, size, page_up(size) - size);
    free_retired(s);
    return 0;
}

void memstore_punch(struct memstore *s, uint64_t offset, uint64_t len) {
    uint64_t end = offset + len;

    mutex_lock(&s->mappable.lock);
    for (struct extent *e = find_locked(s, offset); e && e->start < end;
         e = RB_NEXT(extent_tree, &s->extents, e)) {
        uint64_t from = MAX(offset, e->start), extent_end = e->start + e->len, to = MIN(end, extent_end);
        memfile_punch(s->memfile, e->offset + (from - e->start), to - from);
        e->filled = MIN(e->filled, from - e->start);
    }
    mutex_unlock(&s->mappable.lock);
}

int memstore_allocate(struct memstore *s, uint64_t offset, uint64_t len, bool keep_size) {
    int result = 0;

    if (offset > INT64_MAX - PAGE_SIZE || len > INT64_MAX - PAGE_SIZE - offset)
        return -EFBIG;
    mutex_lock(&s->mappable.lock);
    for (uint64_t at = page_down(offset), end = page_up(offset + len); at < end && result == 0;) {
        struct extent *e;
        result = make_locked(s, at, end - at, &e);
        if (result == 0)
            at = e->start + e->len;
    }
    mutex_unlock(&s->mappable.lock);
    if (result == 0 && !keep_size)
        grow_to(s, offset + len);
    return result;
}

/* First offset in [at, size) with data, or with a hole; `size` if there is none. */
static uint64_t seek_locked(struct memstore *s, uint64_t at, bool data) {
    struct extent *e = find_locked(s, at);

    while (at < s->size && e) {
        if (e->start > at) {
            if (!data)
                return at;
            at = e->start;
        }
        uint64_t end = e->offset + e->len,
                 found = memfile_seek(s->memfile, e->offset + (at - e->start), end, data);
        if (found < end)
            return MIN(e->start + (found - e->offset), s->size);
        at = e->start + e->len;
        e = RB_NEXT(extent_tree, &s->extents, e);
    }
    return data ? s->size : MIN(at, s->size);
}

int64_t memstore_seek(struct memstore *s, uint64_t offset, bool data) {
    mutex_lock(&s->mappable.lock);
    uint64_t size = s->size, at = offset < size ? seek_locked(s, offset, data) : size;
    mutex_unlock(&s->mappable.lock);
    if (offset >= size || (data && at >= size))
        return -ENXIO;
    return (int64_t)at;
}

uint64_t memstore_blocks(struct memstore *s) {
    struct extent *e;
    uint64_t bytes = 0;

    mutex_lock(&s->mappable.lock);
    RB_FOREACH(e, extent_tree, &s->extents) {
        uint64_t end = e->offset + e->len, filled = page_up(e->filled);
        bytes += filled; /* known without asking the host, page by page as it would look */
        for (uint64_t at = e->offset + filled; at < end;) {
            uint64_t data = memfile_seek(s->memfile, at, end, /* data= */ true);
            at = memfile_seek(s->memfile, data, end, /* data= */ false);
            bytes += at - data;
        }
    }
    mutex_unlock(&s->mappable.lock);
    return bytes / BLOCK;
}
