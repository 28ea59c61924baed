/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/memfile.h: the shared memory file: one sparse memfd of the sandbox that backs MAP_SHARED
 * anonymous memory, tmpfs, memfd and SysV shm.
 *
 * Ranges of pages are handed out and given back; memory is used when touched and freed by punching holes. The
 * sentry maps it in windows on demand, so that reads and writes are copies in memory. RANK_MEMFILE. A range
 * given up by a mapping is reused only after every address space that mapped it has reported the unmapping
 * (the platform's contract of as_apply), which the callers in mm guarantee by order.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"

struct kernel;
struct memfile;
struct mappable;
struct uio;

/* Opens the descriptors: before the walls go up (the read-only one comes through /proc/self/fd). */
int memfile_create(struct kernel *k, struct memfile **ret, struct err **err) must_check;
void memfile_destroy(struct memfile *f);
/* Page-aligned run of `len` bytes, contents zero. -ENOMEM: no addresses in the file are left. */
int memfile_alloc(struct memfile *f, uint64_t len, uint64_t *ret_offset) must_check;
void memfile_free(struct memfile *f, uint64_t offset, uint64_t len); /* punches, then may be reused */
void memfile_punch(struct memfile *f, uint64_t offset,
                   uint64_t len);                 /* reads as zero again; still allocated. Any bytes */
int memfile_fd(struct memfile *f, bool writable); /* borrowed; the read-only one is opened O_RDONLY */
/* Where `offset` lies in the sentry; *ret_len: bytes from there to the end of its window. NULL: no addresses.
 */
void *memfile_map(struct memfile *f, uint64_t offset, uint64_t *ret_len);
ssize_t memfile_read(struct memfile *f, void *to, uint64_t offset, size_t size);
ssize_t memfile_write(struct memfile *f, uint64_t offset, const void *from, size_t size);
/* First offset in [offset, end) with data (or a hole); `end` if there is none. */
uint64_t memfile_seek(struct memfile *f, uint64_t offset, uint64_t end, bool data);
uint64_t memfile_allocated(struct memfile *f); /* bytes of host memory used, by st_blocks: cheap estimate */

/* ---- byte stores on it: what a tmpfs file, a memfd or shared anonymous memory is ---- */

/* A growing sequence of bytes with holes, mappable. Extents grow geometrically, so that a large file needs
 * few host mappings. */
struct memstore;
/* The caller's own lock (an inode's) serializes size changes and writes against them; reads and writes may
 * run beside each other. Size 0. */
int memstore_create(struct kernel *k, struct memstore **ret) must_check;
void memstore_unref(struct memstore *s); /* NULL is fine; frees everything once no mapping refers to it */
struct mappable *memstore_mappable(struct memstore *s); /* borrowed */
uint64_t memstore_size(struct memstore *s);
/* Sets the size; shrinking takes pages out of every mapping and drops them, and zeroes the tail of the last
 * one. No RANK_MM or higher lock held. */
int memstore_truncate(struct memstore *s, uint64_t size) must_check;
ssize_t memstore_read(struct memstore *s, struct uio *to, uint64_t offset,
                      uint64_t size); /* short at the end */
ssize_t memstore_write(struct memstore *s, struct uio *from, uint64_t offset,
                       uint64_t size); /* grows size as needed; -EFBIG, -ENOMEM, -EFAULT */
/* Makes [offset, offset+len) read as zero and gives memory back; mappings stay. The size does not change. */
void memstore_punch(struct memstore *s, uint64_t offset, uint64_t len);
/* fallocate(2): reserves addresses, not host memory (a memfd cannot promise it). -EFBIG, -ENOMEM. */
int memstore_allocate(struct memstore *s, uint64_t offset, uint64_t len, bool keep_size) must_check;
int64_t memstore_seek(struct memstore *s, uint64_t offset, bool data); /* SEEK_DATA / SEEK_HOLE; -ENXIO */
uint64_t memstore_blocks(struct memstore *s);                          /* 512-byte blocks in use */
