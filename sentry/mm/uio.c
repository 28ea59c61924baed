/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/uio.c: where the bytes of a read or write go: segments of guest memory or of kernel buffers
 * (uaccess.h).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/limits.h"
#include "base/abi/linux/uio.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"

#define MAX_RW_COUNT 0x7ffff000ull

void uio_init_kernel(struct uio *u, struct uio_segment *one, void *buffer, size_t size) {
    *one = (struct uio_segment){.base = (uintptr_t)buffer, .len = size};
    *u = (struct uio){.segments = one, .segment_count = 1, .remaining = size};
}

void uio_init_guest(struct uio *u, struct uio_segment *one, struct task *t, gva_t base, uint64_t size) {
    *one = (struct uio_segment){.base = base, .len = MIN(size, MAX_RW_COUNT)};
    *u = (struct uio){.task = t, .segments = one, .segment_count = 1, .remaining = one->len};
}

/* As Linux: a length that is negative as ssize_t gives EINVAL, an address beyond guest memory EFAULT; what
 * exceeds MAX_RW_COUNT in all is cut. */
static int check_segments(struct task *t, struct uio_segment *s, size_t count, uint64_t *ret_total) {
    gva_t max = kernel_platform(t->kernel)->limits.max_address;
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++) /* all lengths before any address */
        if ((int64_t)s[i].len < 0)
            return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (s[i].len > max || s[i].base > max - s[i].len)
            return -EFAULT;
        s[i].len = MIN(s[i].len, MAX_RW_COUNT - total);
        total += s[i].len;
    }
    *ret_total = total;
    return 0;
}

int uio_init_iovec(struct uio *u, struct task *t, gva_t iov, uint64_t count) {
    _Static_assert(sizeof(struct linux_iovec) == sizeof(struct uio_segment), "one is copied in as the other");

    *u = (struct uio){.task = t};
    if (count > LINUX_UIO_MAXIOV)
        return -EINVAL;
    if (count == 0)
        return 0;
    struct uio_segment *s = heap_alloc_bytes(count * sizeof *s);
    if (!s)
        return -ENOMEM;
    int result = copy_in(t, s, iov, count * sizeof *s);
    if (result == 0)
        result = check_segments(t, s, count, &u->remaining);
    if (result < 0) {
        heap_free(s);
        return result;
    }
    u->segments = u->owned = s;
    u->segment_count = count;
    return 0;
}

void uio_done(struct uio *u) {
    heap_free(u->owned);
    *u = (struct uio){0};
}

enum move { MOVE_INTO_UIO, MOVE_OUT_OF_UIO, MOVE_ZEROS };

static size_t move_piece(struct uio *u, uint64_t base, char *buffer, size_t size, enum move move) {
    if (u->task) {
        if (move == MOVE_INTO_UIO)
            return copy_out_partial(u->task, base, buffer, size);
        if (move == MOVE_OUT_OF_UIO)
            return copy_in_partial(u->task, buffer, base, size);
        return zero_out(u->task, base, size) == 0 ? size : 0;
    }
    void *kernel = (void *)(uintptr_t)base;
    if (move == MOVE_INTO_UIO)
        memcpy(kernel, buffer, size);
    else if (move == MOVE_OUT_OF_UIO)
        memcpy(buffer, kernel, size);
    else
        memset(kernel, 0, size);
    return size;
}

static ssize_t uio_move(struct uio *u, char *buffer, size_t size, enum move move) {
    size_t done = 0;

    size = MIN(size, u->remaining);
    while (done < size) {
        const struct uio_segment *s = &u->segments[u->segment_index];
        uint64_t left = s->len - u->segment_offset;
        if (left == 0) {
            u->segment_index++;
            u->segment_offset = 0;
            continue;
        }
        size_t want = MIN(left, size - done);
        size_t n = move_piece(u, s->base + u->segment_offset, buffer ? buffer + done : NULL, want, move);
        done += n;
        u->segment_offset += n;
        u->remaining -= n;
        if (n < want)
            break;
    }
    return done > 0 || size == 0 ? (ssize_t)done : -EFAULT;
}

ssize_t uio_write(struct uio *to, const void *from, size_t size) {
    return uio_move(to, (char *)(uintptr_t)from, size, MOVE_INTO_UIO);
}

ssize_t uio_read(struct uio *from, void *to, size_t size) {
    return uio_move(from, to, size, MOVE_OUT_OF_UIO);
}

/* One segment of guest memory that takes them all: what is worth one go. */
static bool in_one_segment(const struct uio *u, size_t size) {
    return u->task && u->segment_index < u->segment_count &&
           size <= u->segments[u->segment_index].len - u->segment_offset;
}

static ssize_t move_pieces(struct uio *u, const struct iovec *pieces, size_t count, enum move move) {
    size_t size = 0, done = 0;

    for (size_t i = 0; i < count; i++)
        size += pieces[i].iov_len;
    ASSERT(size <= u->remaining);
    if (in_one_segment(u, size)) {
        gva_t at = u->segments[u->segment_index].base + u->segment_offset;
        done = move == MOVE_INTO_UIO ? copy_out_pieces(u->task, at, pieces, count)
                                     : copy_in_pieces(u->task, pieces, count, at);
        u->segment_offset += done;
        u->remaining -= done;
        return done > 0 || size == 0 ? (ssize_t)done : -EFAULT;
    }
    for (size_t i = 0; i < count; i++) {
        ssize_t n = uio_move(u, pieces[i].iov_base, pieces[i].iov_len, move);
        done += n > 0 ? (size_t)n : 0;
        if (n < (ssize_t)pieces[i].iov_len)
            return done > 0 ? (ssize_t)done : n;
    }
    return (ssize_t)done;
}

ssize_t uio_write_pieces(struct uio *to, const struct iovec *from, size_t count) {
    return move_pieces(to, from, count, MOVE_INTO_UIO);
}

ssize_t uio_read_pieces(struct uio *from, const struct iovec *to, size_t count) {
    return move_pieces(from, to, count, MOVE_OUT_OF_UIO);
}

ssize_t uio_zero(struct uio *to, size_t size) {
    return uio_move(to, NULL, size, MOVE_ZEROS);
}

void uio_revert(struct uio *u, size_t size) {
    u->remaining += size;
    while (size > u->segment_offset) {
        ASSERT(u->segment_index > 0);
        size -= u->segment_offset;
        u->segment_offset = u->segments[--u->segment_index].len;
    }
    u->segment_offset -= size;
}
