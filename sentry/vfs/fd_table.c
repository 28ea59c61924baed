/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/fd_table.c: descriptor tables. Source: dup(2), close(2), close_range(2), getrlimit(2)
 * RLIMIT_NOFILE, clone(2) CLONE_FILES.
 *
 * A slot is free (bit of `used` clear), reserved (bit set, no file) or in use. The table doubles when it is
 * full, up to FD_MAX. Files are let go of after the lock.
 */
#include "sentry/vfs/fd_table.h"

#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/file_lock.h"
#include "sentry/vfs/vfs.h"

enum { FD_FIRST_CAPACITY = 64, FD_MAX = 1 << 20 /* /proc/sys/fs/nr_open */, WORD_BITS = 64 };

HEAP_TYPE(fd_table, struct fd_table, 0);

static void fd_table_destroy(struct fd_table *table);
DEFINE_REF(fd_table, fd_table_destroy);

static bool bit(const uint64_t *map, size_t n) {
    return map[n / WORD_BITS] >> n % WORD_BITS & 1;
}

static void set_bit(uint64_t *map, size_t n, bool on) {
    uint64_t mask = 1ull << n % WORD_BITS;

    map[n / WORD_BITS] = on ? map[n / WORD_BITS] | mask : map[n / WORD_BITS] & ~mask;
}

static int grow_locked(struct fd_table *t, size_t capacity) {
    struct file **files = heap_alloc_array(capacity, sizeof *files);
    uint64_t *used = heap_alloc_bytes(capacity / 8), *cloexec = heap_alloc_bytes(capacity / 8);

    if (!files || !used || !cloexec) {
        heap_free(files);
        heap_free(used);
        heap_free(cloexec);
        return -ENOMEM;
    }
    if (t->capacity > 0) {
        memcpy(files, t->files, t->capacity * sizeof *files);
        memcpy(used, t->used, t->capacity / 8);
        memcpy(cloexec, t->cloexec, t->capacity / 8);
    }
    heap_free(t->files);
    heap_free(t->used);
    heap_free(t->cloexec);
    t->files = files;
    t->used = used;
    t->cloexec = cloexec;
    t->capacity = capacity;
    return 0;
}

static int need_capacity_locked(struct fd_table *t, size_t n) {
    size_t capacity = t->capacity ? t->capacity : FD_FIRST_CAPACITY;

    while (capacity < n)
        capacity *= 2;
    return capacity > t->capacity ? grow_locked(t, capacity) : 0;
}

static struct fd_table *table_alloc(size_t capacity) {
    struct fd_table *t = heap_new(fd_table);

    if (!t)
        return NULL;
    fd_table_ref_init(t);
    mutex_init(&t->lock, RANK_FD_TABLE);
    if (grow_locked(t, capacity) == 0)
        return t;
    fd_table_unref(t);
    return NULL;
}

struct fd_table *fd_table_new(void) {
    return table_alloc(FD_FIRST_CAPACITY);
}

/* fork: only as large as what is open asks for. Reserved slots are not copied. */
struct fd_table *fd_table_copy(struct fd_table *from) {
    struct fd_table *to = table_alloc(FD_FIRST_CAPACITY);

    if (!to)
        return NULL;
    mutex_lock(&from->lock);
    size_t top = from->capacity;
    while (top > 0 && !from->files[top - 1])
        top--;
    int r = need_capacity_locked(to, top);
    for (size_t i = 0; r == 0 && i < top; i++) {
        if (!from->files[i])
            continue;
        to->files[i] = file_ref(from->files[i]);
        set_bit(to->used, i, true);
        set_bit(to->cloexec, i, bit(from->cloexec, i));
        to->count++;
    }
    mutex_unlock(&from->lock);
    if (r < 0) {
        fd_table_unref(to);
        return NULL;
    }
    return to;
}

/* What closing a descriptor means, after it has left the table. t: who closes it, NULL at exit and exec. */
static int close_file(struct fd_table *table, struct file *f, struct task *t) {
    int r = f->ops->flush && !(f->mode & FILE_PATH) ? f->ops->flush(f, t) : 0;

    file_lock_close(table, f);
    file_unref(f);
    return r;
}

static void fd_table_destroy(struct fd_table *table) {
    for (size_t i = 0; i < table->capacity; i++)
        if (table->files[i])
            (void)close_file(table, table->files[i], NULL);
    heap_free(table->files);
    heap_free(table->used);
    heap_free(table->cloexec);
    heap_free(table);
}

/* ---- finding room ---- */

static size_t first_free_locked(const struct fd_table *t, size_t from) {
    for (size_t word = from / WORD_BITS; word < t->capacity / WORD_BITS; word++) {
        uint64_t taken = t->used[word];
        if (word == from / WORD_BITS)
            taken |= (1ull << from % WORD_BITS) - 1;
        if (taken != UINT64_MAX)
            return word * WORD_BITS + (size_t)__builtin_ctzll(~taken);
    }
    return MAX(from, t->capacity);
}

static size_t limit_of(struct task *t) {
    uint64_t limit = task_limit(t, LINUX_RLIMIT_NOFILE);

    return limit < FD_MAX ? (size_t)limit : FD_MAX;
}

static int reserve_locked(struct fd_table *table, size_t min, size_t limit, bool cloexec) {
    size_t from = MAX(min, table->next_free);
    size_t fd = first_free_locked(table, from);

    if (fd >= limit)
        return -EMFILE;
    int r = need_capacity_locked(table, fd + 1);
    if (r < 0)
        return r;
    set_bit(table->used, fd, true);
    set_bit(table->cloexec, fd, cloexec);
    if (min <= table->next_free)
        table->next_free = fd + 1;
    return (int)fd;
}

int fd_reserve(struct task *t, int min, bool cloexec) {
    struct fd_table *table = t->files;
    size_t limit = limit_of(t);

    ASSERT(min >= 0);
    mutex_lock(&table->lock);
    int r = reserve_locked(table, (size_t)min, limit, cloexec);
    mutex_unlock(&table->lock);
    return r;
}

void fd_fill(struct task *t, int fd, struct file *f) {
    struct fd_table *table = t->files;

    mutex_lock(&table->lock);
    ASSERT(bit(table->used, (size_t)fd));
    ASSERT(!table->files[fd]);
    table->files[fd] = f;
    table->count++;
    mutex_unlock(&table->lock);
}

static void free_slot_locked(struct fd_table *table, size_t fd) {
    table->files[fd] = NULL;
    set_bit(table->used, fd, false);
    set_bit(table->cloexec, fd, false);
    if (fd < table->next_free)
        table->next_free = fd;
}

void fd_unreserve(struct task *t, int fd) {
    struct fd_table *table = t->files;

    mutex_lock(&table->lock);
    ASSERT(!table->files[fd]);
    free_slot_locked(table, (size_t)fd);
    mutex_unlock(&table->lock);
}

int fd_install(struct task *t, struct file *f, int min, bool cloexec) {
    struct fd_table *table = t->files;
    size_t limit = limit_of(t);

    ASSERT(min >= 0);
    mutex_lock(&table->lock);
    int fd = reserve_locked(table, (size_t)min, limit, cloexec);
    if (fd >= 0) {
        table->files[fd] = f;
        table->count++;
    }
    mutex_unlock(&table->lock);
    return fd;
}

/* ---- looking up ---- */

struct file *fd_get_any(struct task *t, int fd) {
    struct fd_table *table = t->files;
    struct file *f = NULL;

    if (fd < 0)
        return NULL;
    mutex_lock(&table->lock);
    if ((size_t)fd < table->capacity && table->files[fd])
        f = file_ref(table->files[fd]);
    mutex_unlock(&table->lock);
    return f;
}

struct file *fd_get(struct task *t, int fd) {
    struct file *f = fd_get_any(t, fd);

    return f && f->mode & FILE_PATH ? file_unref(f) : f;
}

int fd_table_next(struct fd_table *table, int fd, struct file **ret) {
    int found = -1;

    mutex_lock(&table->lock);
    for (size_t i = (size_t)MAX(fd, 0); i < table->capacity; i++) {
        if (table->files[i]) {
            *ret = file_ref(table->files[i]);
            found = (int)i;
            break;
        }
    }
    mutex_unlock(&table->lock);
    return found;
}

int fd_get_cloexec(struct task *t, int fd) {
    struct fd_table *table = t->files;
    int r = -EBADF;

    mutex_lock(&table->lock);
    if (fd >= 0 && (size_t)fd < table->capacity && table->files[fd])
        r = bit(table->cloexec, (size_t)fd);
    mutex_unlock(&table->lock);
    return r;
}

int fd_set_cloexec(struct task *t, int fd, bool on) {
    struct fd_table *table = t->files;
    int r = -EBADF;

    mutex_lock(&table->lock);
    if (fd >= 0 && (size_t)fd < table->capacity && table->files[fd]) {
        set_bit(table->cloexec, (size_t)fd, on);
        r = 0;
    }
    mutex_unlock(&table->lock);
    return r;
}

/* ---- closing, replacing ---- */

/* The file that was there, or NULL. */
static struct file *take_locked(struct fd_table *table, size_t fd) {
    struct file *f = fd < table->capacity ? table->files[fd] : NULL;

    if (f) {
        free_slot_locked(table, fd);
        table->count--;
    }
    return f;
}

int fd_close(struct task *t, int fd) {
    struct fd_table *table = t->files;

    if (fd < 0)
        return -EBADF;
    mutex_lock(&table->lock);
    struct file *f = take_locked(table, (size_t)fd);
    mutex_unlock(&table->lock);
    return f ? close_file(table, f, t) : -EBADF;
}

int fd_dup2(struct task *t, int from, int to, bool cloexec) {
    struct fd_table *table = t->files;
    struct file *old = NULL;

    if (to < 0 || (size_t)to >= limit_of(t) || from < 0)
        return -EBADF;
    mutex_lock(&table->lock);
    int r = (size_t)from < table->capacity && table->files[from] ? 0 : -EBADF;
    if (r == 0)
        r = need_capacity_locked(table, (size_t)to + 1);
    if (r == 0 && bit(table->used, (size_t)to) && !table->files[to])
        r = -EBUSY; /* an open in another thread has reserved it: dup(2) */
    if (r == 0) {
        old = take_locked(table, (size_t)to);
        table->files[to] = file_ref(table->files[from]);
        table->count++;
        set_bit(table->used, (size_t)to, true);
        set_bit(table->cloexec, (size_t)to, cloexec);
    }
    mutex_unlock(&table->lock);
    if (old)
        (void)close_file(table, old, NULL);
    return r < 0 ? r : to;
}

static void close_range_in(struct fd_table *table, size_t first, size_t last) {
    for (size_t fd = first; fd <= last; fd++) {
        mutex_lock(&table->lock);
        if (fd >= table->capacity) {
            mutex_unlock(&table->lock);
            return;
        }
        struct file *f = take_locked(table, fd);
        mutex_unlock(&table->lock);
        if (f)
            (void)close_file(table, f, NULL);
    }
}

static int unshare_files(struct task *t) {
    if (atomic_load(&t->files->ref.count) == 1)
        return 0;
    struct fd_table *copy = fd_table_copy(t->files);
    if (!copy)
        return -ENOMEM;
    mutex_lock(&t->lock);
    struct fd_table *old = t->files;
    t->files = copy;
    mutex_unlock(&t->lock);
    fd_table_unref(old);
    return 0;
}

int fd_close_range(struct task *t, unsigned first, unsigned last, unsigned flags) {
    if (flags & ~(unsigned)(LINUX_CLOSE_RANGE_UNSHARE | LINUX_CLOSE_RANGE_CLOEXEC) || first > last)
        return -EINVAL;
    int r = flags & LINUX_CLOSE_RANGE_UNSHARE ? unshare_files(t) : 0;
    if (r < 0)
        return r;
    struct fd_table *table = t->files;
    if (!(flags & LINUX_CLOSE_RANGE_CLOEXEC)) {
        close_range_in(table, first, last);
        return 0;
    }
    mutex_lock(&table->lock);
    for (size_t fd = first; fd <= last && fd < table->capacity; fd++)
        if (table->files[fd])
            set_bit(table->cloexec, fd, true);
    mutex_unlock(&table->lock);
    return 0;
}

void fd_table_close_on_exec(struct task *t) {
    struct fd_table *table = t->files;

    for (size_t fd = 0;; fd++) {
        mutex_lock(&table->lock);
        if (fd >= table->capacity) {
            mutex_unlock(&table->lock);
            return;
        }
        struct file *f = bit(table->cloexec, fd) ? take_locked(table, fd) : NULL;
        mutex_unlock(&table->lock);
        if (f)
            (void)close_file(table, f, NULL);
    }
}
