/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/uaccess.h: copies between the sentry and guest memory. Every guest value is copied once, then
 * checked.
 *
 * All may block and are called with no lock above RANK_NOBLOCK (might_block()), by the task's OWN THREAD.
 * They return 0 or -EFAULT unless they say otherwise; a partial copy counts as -EFAULT except for the
 * *_partial forms.
 */
#pragma once

#include <sys/types.h>

#include "base/compiler.h"

struct iovec; /* the host's: sentry memory */
struct mm;
struct task;

enum { UIO_PIECES = 64 }; /* in one call: bounds what lies on a stack */

int copy_in(struct task *t, void *to, gva_t from, size_t size) must_check;
int copy_out(struct task *t, gva_t to, const void *from, size_t size) must_check;
/* Bytes copied before the first bad page; may be 0. */
size_t copy_in_partial(struct task *t, void *to, gva_t from, size_t size);
size_t copy_out_partial(struct task *t, gva_t to, const void *from, size_t size);
/* The same for a range that is put together from `count` <= UIO_PIECES pieces, in one go where the platform
 * can. */
size_t copy_in_pieces(struct task *t, const struct iovec *to, size_t count, gva_t from);
size_t copy_out_pieces(struct task *t, gva_t to, const struct iovec *from, size_t count);
/* Copies of the call at hand that are still on their way to guest memory are put in place, and what the guest
 * thread brought along is forgotten: before the task waits, or anybody else may look. */
void uaccess_settle(struct task *t, bool waits);
int zero_out(struct task *t, gva_t to, size_t size) must_check;
/* NUL-terminated string of at most `max` bytes with its NUL, in malloc memory: 0, -EFAULT, -ENAMETOOLONG,
 * -ENOMEM. */
int copy_in_string(struct task *t, gva_t from, size_t max, char **ret) must_check;
/* A path (PATH_MAX 4096); -ENOENT for an empty one unless allow_empty. */
int copy_in_path(struct task *t, gva_t from, bool allow_empty, char **ret) must_check;
/* argv or envp: array of strings in malloc memory, ended by NULL, of at most max_bytes altogether with 8 a
   pointer, each at most MAX_ARG_STRLEN: else -E2BIG. A zero `from` is an empty array. free_strings() frees.
 */
int copy_in_strings(struct task *t, gva_t from, size_t max_bytes, char ***ret) must_check;
void free_strings(char **strings);
/* Other address spaces (ptrace, process_vm_*, /proc/PID/mem); force: ignore protections. Bytes copied or
 * -errno. */
ssize_t mm_read(struct mm *mm, void *to, gva_t from, size_t size, bool force);
ssize_t mm_write(struct mm *mm, gva_t to, const void *from, size_t size, bool force);

/* ---- uio: where the bytes of a read or write come from or go to: guest memory or a kernel buffer ---- */

struct uio_segment {
    uint64_t base; /* gva, or address of a kernel buffer */
    uint64_t len;
};

struct uio {
    struct task *task;   /* guest memory of this task (OWN THREAD); NULL: kernel buffers */
    struct task *reader; /* kernel buffers: in whose name a pseudo file is read or written; NULL: nobody's */
    const struct uio_segment *segments;
    size_t segment_count;
    size_t segment_index;
    uint64_t segment_offset;
    uint64_t remaining;        /* bytes left in all */
    struct uio_segment *owned; /* uio_init_iovec()'s copy: freed by uio_done() */
};

static inline struct task *uio_reader(const struct uio *u) {
    return u->task ? u->task : u->reader;
}
void uio_init_kernel(struct uio *u, struct uio_segment *one, void *buffer, size_t size);
void uio_init_guest(struct uio *u, struct uio_segment *one, struct task *t, gva_t base, uint64_t size);
/* readv and the like: copies in and checks `count` (<= 1024, -EINVAL) segments; the total is cut to
 * MAX_RW_COUNT (0x7ffff000). Frees with uio_done(). */
int uio_init_iovec(struct uio *u, struct task *t, gva_t iov, uint64_t count) must_check;
void uio_done(struct uio *u);
/* Moves bytes and advances; return how many (short at a bad page), or -EFAULT if none could and size > 0. May
 * block. */
ssize_t uio_write(struct uio *to, const void *from, size_t size); /* into the uio: a read(2) */
ssize_t uio_read(struct uio *from, void *to, size_t size);        /* out of the uio: a write(2) */
ssize_t uio_zero(struct uio *to, size_t size);
/* The same with `count` pieces of the kernel's side. */
ssize_t uio_write_pieces(struct uio *to, const struct iovec *from, size_t count);
ssize_t uio_read_pieces(struct uio *from, const struct iovec *to, size_t count);
void uio_revert(struct uio *u, size_t size); /* steps back */
