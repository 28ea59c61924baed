/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/uaccess.c: copies in and out of guest memory (uaccess.h), over the platform's as_copy_in and
 * as_copy_out.
 *
 * A copy that stops short asks mm_fault() whether the page can be had (a stack that grows, a file that has
 * grown) and goes on, else it ends there. What the platform cannot copy although mm_fault() finds nothing
 * wrong (a guest that unmapped its own memory behind the sentry's back) ends after MAX_RETRIES.
 */
#include "sentry/mm/uaccess.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/limits.h"
#include "base/abi/linux/mman.h"
#include "base/mutex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

enum { MAX_RETRIES = 3, ZERO_CHUNK = 4096, STRING_CHUNK = 512, MAX_ARG_STRLEN = 32 * 4096 };

enum direction { COPY_IN, COPY_OUT };

/* Does [addr, addr + size) lie below the top of guest memory? As Linux's access_ok(). */
static bool range_ok(const struct mm *mm, gva_t addr, size_t size) {
    gva_t max = kernel_platform(mm->kernel)->limits.max_address;

    return size <= max && addr <= max - size;
}

static ssize_t copy_once(struct mm *mm, char *buffer, gva_t addr, size_t size, enum direction direction) {
    const struct platform_ops *ops = kernel_platform(mm->kernel)->ops;

    if (direction == COPY_IN)
        return ops->as_copy_in(mm_as(mm), buffer, addr, size);
    return ops->as_copy_out(mm_as(mm), addr, buffer, size);
}

/* What the platform can copy without a host call. */
static size_t copy_along(struct task *t, struct mm *mm, char *buffer, gva_t addr, size_t size,
                         enum direction direction) {
    const struct platform_ops *ops = kernel_platform(mm->kernel)->ops;
    struct context *c = t && mm == t->mm && ops->context_take ? task_context(t) : NULL;

    if (!c)
        return 0;
    if (direction == COPY_IN)
        return ops->context_take(c, buffer, addr, size);
    return ops->context_give(c, addr, buffer, size);
}

void uaccess_settle(struct task *t, bool waits) {
    const struct platform_ops *ops = kernel_platform(t->kernel)->ops;

    if (ops->context_settle && t->mm && task_context(t))
        ops->context_settle(task_context(t), waits);
}

/* Bytes copied before the first page that cannot be had. */
static size_t copy_some(struct task *t, struct mm *mm, char *buffer, gva_t addr, size_t size,
                        enum direction direction) {
    uint32_t access = direction == COPY_IN ? LINUX_PROT_READ : LINUX_PROT_WRITE;
    int retries = 0;

    might_block();
    if (!mm || !range_ok(mm, addr, size))
        return 0;
    size_t done = copy_along(t, mm, buffer, addr, size, direction);
    while (done < size) {
        ssize_t n = copy_once(mm, buffer + done, addr + done, size - done, direction);
        int signo, code;
        if (n > 0) {
            done += (size_t)n;
            retries = 0;
            continue;
        }
        if (n != -EFAULT || retries++ == MAX_RETRIES ||
            mm_fault(t, mm, addr + done, access, &signo, &code) < 0)
            break;
    }
    return done;
}

int copy_in(struct task *t, void *to, gva_t from, size_t size) {
    return copy_in_partial(t, to, from, size) == size ? 0 : -EFAULT;
}

int copy_out(struct task *t, gva_t to, const void *from, size_t size) {
    return copy_out_partial(t, to, from, size) == size ? 0 : -EFAULT;
}

size_t copy_in_partial(struct task *t, void *to, gva_t from, size_t size) {
    return copy_some(t, t->mm, to, from, size, COPY_IN);
}

size_t copy_out_partial(struct task *t, gva_t to, const void *from, size_t size) {
    return copy_some(t, t->mm, (char *)(uintptr_t)from, to, size, COPY_OUT);
}

static ssize_t pieces_once(struct task *t, const struct iovec *pieces, size_t count, gva_t addr,
                           enum direction direction) {
    const struct platform_ops *ops = kernel_platform(t->kernel)->ops;

    if (!ops->as_gather)
        return 0;
    uaccess_settle(t, /* waits= */ false); /* what is on its way to the same bytes was there first */
    if (direction == COPY_IN)
        return ops->as_gather(mm_as(t->mm), pieces, count, addr);
    return ops->as_scatter(mm_as(t->mm), addr, pieces, count);
}

/* In one go; what did not succeed that way, piece by piece, which knows about pages that can be had. So does
 * little, which the guest thread may carry itself. */
static size_t copy_pieces(struct task *t, const struct iovec *pieces, size_t count, gva_t addr,
                          enum direction direction) {
    size_t size = 0, done = 0, start = 0;

    for (size_t i = 0; i < count; i++)
        size += pieces[i].iov_len;
    might_block();
    if (!t->mm || !range_ok(t->mm, addr, size))
        return 0;
    ssize_t n = count > 1 && size > PAGE_SIZE ? pieces_once(t, pieces, count, addr, direction) : 0;
    done = n > 0 ? (size_t)n : 0;
    for (size_t i = 0; i < count && done < size; start += pieces[i++].iov_len) {
        size_t end = start + pieces[i].iov_len;
        if (done >= end)
            continue;
        done += copy_some(t, t->mm, (char *)pieces[i].iov_base + (done - start), addr + done, end - done,
                          direction);
        if (done < end)
            break;
    }
    return done;
}

size_t copy_in_pieces(struct task *t, const struct iovec *to, size_t count, gva_t from) {
    return copy_pieces(t, to, count, from, COPY_IN);
}

size_t copy_out_pieces(struct task *t, gva_t to, const struct iovec *from, size_t count) {
    return copy_pieces(t, from, count, to, COPY_OUT);
}

int zero_out(struct task *t, gva_t to, size_t size) {
    static const char zeros[ZERO_CHUNK];

    while (size > 0) {
        size_t n = MIN(size, sizeof zeros);
        if (copy_out(t, to, zeros, n) < 0)
            return -EFAULT;
        to += n;
        size -= n;
    }
    return 0;
}

ssize_t mm_read(struct mm *mm, void *to, gva_t from, size_t size, bool force) {
    const struct platform_ops *ops = kernel_platform(mm->kernel)->ops;

    might_block();
    if (!range_ok(mm, from, size))
        return -EFAULT;
    if (force)
        return ops->as_peek(mm_as(mm), to, from, size);
    size_t n = copy_some(NULL, mm, to, from, size, COPY_IN);
    return n > 0 || size == 0 ? (ssize_t)n : -EFAULT;
}

ssize_t mm_write(struct mm *mm, gva_t to, const void *from, size_t size, bool force) {
    const struct platform_ops *ops = kernel_platform(mm->kernel)->ops;

    might_block();
    if (!range_ok(mm, to, size))
        return -EFAULT;
    if (force)
        return ops->as_poke(mm_as(mm), to, from, size);
    size_t n = copy_some(NULL, mm, (char *)(uintptr_t)from, to, size, COPY_OUT);
    return n > 0 || size == 0 ? (ssize_t)n : -EFAULT;
}

/* ---- strings ---- */

/* Reads strings through one page's worth of bytes, so that strings that lie side by side, as those of argv
 * do, cost one copy a page. */
struct string_reader {
    struct task *task;
    gva_t start; /* of what is in `bytes` */
    size_t valid;
    char bytes[PAGE_SIZE];
};

/* Makes bytes from `addr` on available: how many, at least 1 and not beyond its page, or 0 on a bad page. */
static size_t reader_fill(struct string_reader *r, gva_t addr, size_t chunk) {
    if (addr >= r->start && addr < r->start + r->valid)
        return r->start + r->valid - addr;
    size_t want = MIN(chunk, PAGE_SIZE - addr % PAGE_SIZE);
    struct mm *mm = r->task->mm;
    r->valid = mm && range_ok(mm, addr, want) ? copy_along(r->task, mm, r->bytes, addr, want, COPY_IN) : 0;
    if (r->valid == 0)
        r->valid = copy_in_partial(r->task, r->bytes, addr, want);
    r->start = addr;
    return r->valid;
}

/* The string at `addr` with its NUL, at most `max` bytes, in malloc memory. Its length with NUL, or -errno.
 */
static ssize_t reader_string(struct string_reader *r, gva_t addr, size_t max, char **ret) {
    char *text = NULL;
    size_t length = 0, chunk = STRING_CHUNK;

    for (;;) {
        size_t n = reader_fill(r, addr + length, chunk);
        int result = n == 0 ? -EFAULT : 0;
        n = MIN(n, max - length);
        if (result == 0 && n == 0)
            result = -ENAMETOOLONG;
        char *bigger = result == 0 ? realloc(text, length + n) : NULL;
        if (!bigger) {
            free(text);
            return result < 0 ? result : -ENOMEM;
        }
        text = bigger;
        const char *from = r->bytes + (addr + length - r->start);
        const char *end = memchr(from, '\0', n);
        n = end ? (size_t)(end - from) + 1 : n;
        memcpy(text + length, from, n);
        length += n;
        if (end)
            break;
        chunk = PAGE_SIZE;
    }
    *ret = text;
    return (ssize_t)length;
}

int copy_in_string(struct task *t, gva_t from, size_t max, char **ret) {
    struct string_reader r;

    r.task = t;
    r.start = r.valid = 0;
    ssize_t n = reader_string(&r, from, max, ret);
    return n < 0 ? (int)n : 0;
}

int copy_in_path(struct task *t, gva_t from, bool allow_empty, char **ret) {
    char *path;
    int result = copy_in_string(t, from, LINUX_PATH_MAX, &path);

    if (result < 0)
        return result;
    if (path[0] == '\0' && !allow_empty) {
        free(path);
        return -ENOENT;
    }
    *ret = path;
    return 0;
}

/* ---- argv and envp ---- */

struct string_list {
    char **strings; /* malloc'd, ended by NULL once complete */
    size_t count, capacity;
};

static int list_push(struct string_list *l, char *s) {
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 32;
        char **bigger = realloc(l->strings, capacity * sizeof *bigger);
        if (!bigger)
            return -ENOMEM;
        l->strings = bigger;
        l->capacity = capacity;
    }
    l->strings[l->count++] = s;
    return 0;
}

void free_strings(char **strings) {
    for (size_t i = 0; strings && strings[i]; i++)
        free(strings[i]);
    free(strings);
}

/* One string of the array: pushes it; counts its bytes and its pointer's against *left. */
static int read_one(struct string_reader *r, struct string_list *l, gva_t addr, size_t *left) {
    char *s;
    size_t max = MIN(*left, (size_t)MAX_ARG_STRLEN);
    ssize_t n = reader_string(r, addr, max, &s);

    if (n < 0)
        return n == -ENAMETOOLONG ? -E2BIG : (int)n;
    *left -= (size_t)n;
    int result = list_push(l, s);
    if (result < 0)
        free(s);
    return result;
}

static int read_all(struct string_reader *r, struct string_list *l, gva_t array, size_t left) {
    uint64_t pointer[64];

    for (;;) {
        size_t want = MIN(sizeof pointer, PAGE_SIZE - array % PAGE_SIZE) & ~7ul;
        if (want == 0)
            want = 8; /* one that straddles pages */
        if (copy_in(r->task, pointer, array, want) < 0)
            return -EFAULT;
        for (size_t i = 0; i < want / 8; i++) {
            if (pointer[i] == 0)
                return 0;
            if (left < sizeof(uint64_t))
                return -E2BIG;
            left -= sizeof(uint64_t);
            int result = read_one(r, l, pointer[i], &left);
            if (result < 0)
                return result;
        }
        array += want;
    }
}

int copy_in_strings(struct task *t, gva_t from, size_t max_bytes, char ***ret) {
    struct string_reader *r = malloc(sizeof *r);
    struct string_list l = {0};

    if (!r)
        return -ENOMEM;
    r->task = t;
    r->start = r->valid = 0;
    int result = from ? read_all(r, &l, from, max_bytes) : 0;
    free(r);
    int end = list_push(&l, NULL);
    if (end < 0) {
        while (l.count > 0)
            free(l.strings[--l.count]);
        free(l.strings);
        return end;
    }
    if (result < 0) {
        free_strings(l.strings);
        return result;
    }
    *ret = l.strings;
    return 0;
}
