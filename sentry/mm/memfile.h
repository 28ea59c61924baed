/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/memfile.h: the shared memory file: one sparse memfd of the sandbox that backs MAP_SHARED anonymous memory, tmpfs, memfd and SysV shm.
 *
 * Ranges of pages are handed out and given back; memory is used when touched and freed by punching holes. The sentry maps the whole in large windows on
 * demand. RANK_MEMFILE. A range given up by a mapping is reused only after every address space that mapped it has reported the unmapping (the platform's
 * contract of as_apply), which the callers in mm guarantee by order.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"

struct kernel;
struct memfile;
struct mappable;
struct uio;

int memfile_create(struct kernel *k, struct memfile **ret, struct err **err) must_check;
void memfile_destroy(struct memfile *f);
/* Page-aligned run of `len` bytes, contents zero. -ENOMEM. */
int memfile_alloc(struct memfile *f, uint64_t len, uint64_t *ret_offset) must_check;
void memfile_free(struct memfile *f, uint64_t offset, uint64_t len);  /* punches, then may be reused */
void memfile_punch(struct memfile *f, uint64_t offset, uint64_t len); /* reads as zero again; still allocated */
int memfile_fd(struct memfile *f, bool writable); /* borrowed; the read-only one is opened O_RDONLY */
ssize_t memfile_read(struct memfile *f, void *to, uint64_t offset, size_t size);
ssize_t memfile_write(struct memfile *f, uint64_t offset, const void *from, size_t size);
uint64_t memfile_allocated(struct memfile *f); /* bytes of host memory used, by st_blocks: cheap estimate */

/* ---- byte stores on it: what a tmpfs file, a memfd or shared anonymous memory is ---- */

/* A growing sequence of bytes with holes, mappable. Extents grow geometrically, so that a large file needs few host mappings. */
struct memstore;
/* owner_locked: the caller's own lock (an inode's) serializes size changes; reads and writes may run beside each other. */
int memstore_create(struct kernel *k, struct memstore **ret) must_check;
void memstore_unref(struct memstore *s); /* frees everything once no mapping refers to it */
struct mappable *memstore_mappable(struct memstore *s); /* borrowed */
uint64_t memstore_size(const struct memstore *s);
/* Sets the size; shrinking drops pages, zeroes the tail of the last one and invalidates mappings. */
int memstore_truncate(struct memstore *s, uint64_t size) must_check;
ssize_t memstore_read(struct memstore *s, struct uio *to, uint64_t offset, uint64_t size);    /* short at the end */
ssize_t memstore_write(struct memstore *s, struct uio *from, uint64_t offset, uint64_t size); /* grows size as needed; -EFBIG, -ENOSPC, -ENOMEM */
int memstore_punch(struct memstore *s, uint64_t offset, uint64_t len);
int memstore_allocate(struct memstore *s, uint64_t offset, uint64_t len, bool keep_size);
int64_t memstore_seek(struct memstore *s, uint64_t offset, bool data); /* SEEK_DATA / SEEK_HOLE; -ENXIO */
uint64_t memstore_blocks(struct memstore *s);                          /* 512-byte blocks in use */
