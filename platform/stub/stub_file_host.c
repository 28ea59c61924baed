/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_file_host.c: memory files cut into equal units, one or more for each address space, that
 * grow as needed. Units keep their place for good, so pointers into them are stable; a unit given back loses
 * its memory at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "platform/stub/stub.h"

int stub_file_init(struct stub_file *f, const char *name, uint32_t unit) {
    memset(f, 0, sizeof(*f));
    mutex_init(&f->lock, RANK_LEAF);
    f->unit = unit;
    f->fd = memfd_create(name, MFD_CLOEXEC);
    return f->fd < 0 ? -errno : 0;
}

void stub_file_done(struct stub_file *f) {
    for (uint32_t i = 0; i < f->chunk_count; i++)
        munmap(f->chunks[i], (size_t)f->unit * STUB_FILE_CHUNK);
    free(f->chunks);
    free(f->free);
    f->fd = close_fd(f->fd);
    f->chunks = NULL;
    f->free = NULL;
    f->chunk_count = 0;
}

static void *unit_at(struct stub_file *f, uint32_t index) {
    return f->chunks[index / STUB_FILE_CHUNK] + (size_t)(index % STUB_FILE_CHUNK) * f->unit;
}

static int grow_locked(struct stub_file *f) {
    size_t chunk = (size_t)f->unit * STUB_FILE_CHUNK;
    char **chunks = reallocarray(f->chunks, f->chunk_count + 1, sizeof(*chunks));
    if (!chunks)
        return -ENOMEM;
    f->chunks = chunks;
    uint32_t *more = reallocarray(f->free, f->made + STUB_FILE_CHUNK, sizeof(*more));
    if (!more)
        return -ENOMEM;
    f->free = more;
    off_t old = (off_t)chunk * f->chunk_count;
    if (ftruncate(f->fd, old + (off_t)chunk))
        return -errno;
    void *map = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, f->fd, old);
    if (map == MAP_FAILED)
        return -errno;
    f->chunks[f->chunk_count++] = map;
    for (uint32_t i = STUB_FILE_CHUNK; i > 0; i--) /* the lowest is given out first */
        f->free[f->free_count++] = f->made + i - 1;
    f->made += STUB_FILE_CHUNK;
    return 0;
}

int stub_file_get(struct stub_file *f, uint32_t *ret_index, void **ret_unit) {
    mutex_lock(&f->lock);
    int r = f->free_count ? 0 : grow_locked(f);
    if (r == 0) {
        *ret_index = f->free[--f->free_count];
        *ret_unit = unit_at(f, *ret_index);
    }
    mutex_unlock(&f->lock);
    return r;
}

void stub_file_put_clean(struct stub_file *f, uint32_t index) {
    mutex_lock(&f->lock);
    ASSERT(f->free_count < f->made);
    f->free[f->free_count++] = index;
    mutex_unlock(&f->lock);
}

void stub_file_put(struct stub_file *f, uint32_t index) {
    off_t at = (off_t)index * f->unit;
    bool punched = fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, f->unit) == 0;
    if (!punched) {
        mutex_lock(&f->lock); /* the table of chunks may move */
        memset(unit_at(f, index), 0, f->unit);
        mutex_unlock(&f->lock);
    }
    stub_file_put_clean(f, index);
}

void stub_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns) {
    struct timespec t = {timeout_ns / NSEC_PER_SEC, timeout_ns % NSEC_PER_SEC};
    syscall(SYS_futex, word, FUTEX_WAIT, value, timeout_ns < 0 ? NULL : &t, NULL, 0);
}

void stub_futex_wake(_Atomic uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}
