/* SPDX-License-Identifier: Apache-2.0
 * platform/fake/fake_space_host.c: the fake platform's address spaces: sorted ranges, each with host memory
 * behind it. Accesses go through the host (process_vm_* on ourselves), so that a page behind a file's end is
 * an error and not a SIGBUS of the test.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "platform/fake/fake_internal.h"
#include "platform/platform_atomic.h"

static int new_space(struct fake_platform *p, struct fake_space **ret) {
    int error = fake_take_failure(p);
    if (error)
        return error;
    struct fake_space *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->platform = p;
    s->refs = 1;
    mutex_init(&s->lock, RANK_AS);
    list_init(&s->guests);
    atomic_fetch_add(&p->live, 1);
    *ret = s;
    return 0;
}

int fake_as_create(struct platform *p, struct address_space **ret_as) {
    return new_space((struct fake_platform *)p, (struct fake_space **)ret_as);
}

static int insert_locked(struct fake_space *s, size_t at, struct fake_range r) {
    if (s->count == s->capacity) {
        size_t more = s->capacity ? s->capacity * 2 : 16;
        struct fake_range *ranges = reallocarray(s->ranges, more, sizeof(*ranges));
        if (!ranges)
            return -ENOMEM;
        s->ranges = ranges;
        s->capacity = more;
    }
    memmove(&s->ranges[at + 1], &s->ranges[at], (s->count - at) * sizeof(r));
    s->ranges[at] = r;
    s->count++;
    return 0;
}

/* First range that ends above `addr`. */
static size_t find_locked(const struct fake_space *s, uint64_t addr) {
    size_t i = 0;
    while (i < s->count && s->ranges[i].end <= addr)
        i++;
    return i;
}

static int split_locked(struct fake_space *s, uint64_t addr) {
    size_t i = find_locked(s, addr);
    if (i == s->count || s->ranges[i].start >= addr)
        return 0;
    struct fake_range upper = s->ranges[i];
    upper.memory += addr - upper.start;
    upper.start = addr;
    s->ranges[i].end = addr;
    return insert_locked(s, i + 1, upper);
}

/* Afterwards every range lies either inside or outside [start, end). */
static int cut_locked(struct fake_space *s, uint64_t start, uint64_t end) {
    int r = split_locked(s, start);
    return r ? r : split_locked(s, end);
}

static int unmap_locked(struct fake_space *s, uint64_t start, uint64_t end) {
    int r = cut_locked(s, start, end);
    if (r)
        return r;
    size_t first = find_locked(s, start), last = first;
    if (first == s->count)
        return 0;
    for (; last < s->count && s->ranges[last].start < end; last++)
        munmap(s->ranges[last].memory, s->ranges[last].end - s->ranges[last].start);
    memmove(&s->ranges[first], &s->ranges[last], (s->count - last) * sizeof(*s->ranges));
    s->count -= last - first;
    return 0;
}

static int map_locked(struct fake_space *s, const struct as_op *op) {
    bool shared = op->flags & AS_SHARED, file = op->kind == AS_MAP_FILE;
    if (!file && shared)
        return -EINVAL;
    /* what the guest may not write must stay mappable: memory of a read-only descriptor is mapped read-only
     */
    int prot = PROT_READ | (shared && !(op->prot & PROT_WRITE) ? 0 : PROT_WRITE);
    void *memory = mmap(NULL, op->len, prot,
                        MAP_NORESERVE | (shared ? MAP_SHARED : MAP_PRIVATE) | (file ? 0 : MAP_ANONYMOUS),
                        file ? op->fd : -1, file ? (off_t)op->offset : 0);
    if (memory == MAP_FAILED)
        return -errno;
    int r = unmap_locked(s, op->addr, op->addr + op->len);
    if (r == 0)
        r = insert_locked(
            s, find_locked(s, op->addr),
            (struct fake_range){op->addr, op->addr + op->len, memory, op->prot, shared, false, false});
    if (r)
        munmap(memory, op->len);
    return r;
}

static bool all_mapped_locked(const struct fake_space *s, uint64_t start, uint64_t end) {
    for (size_t i = find_locked(s, start); start < end; i++) {
        if (i == s->count || s->ranges[i].start > start)
            return false;
        start = s->ranges[i].end;
    }
    return true;
}

static int protect_locked(struct fake_space *s, const struct as_op *op) {
    if (!all_mapped_locked(s, op->addr, op->addr + op->len))
        return -ENOMEM;
    int r = cut_locked(s, op->addr, op->addr + op->len);
    for (size_t i = find_locked(s, op->addr);
         r == 0 && i < s->count && s->ranges[i].start < op->addr + op->len; i++) {
        struct fake_range *range = &s->ranges[i];
        if (range->shared && op->prot & PROT_WRITE &&
            mprotect(range->memory, range->end - range->start, PROT_READ | PROT_WRITE))
            return -errno;
        range->prot = op->prot;
    }
    return r;
}

static int advise_locked(struct fake_space *s, const struct as_op *op) {
    uint64_t end = op->addr + op->len;
    if (!all_mapped_locked(s, op->addr, end))
        return -ENOMEM;
    int r = cut_locked(s, op->addr, end);
    for (size_t i = find_locked(s, op->addr); r == 0 && i < s->count && s->ranges[i].start < end; i++) {
        struct fake_range *range = &s->ranges[i];
        if (op->advice == MADV_DONTFORK || op->advice == MADV_DOFORK)
            range->dont_fork = op->advice == MADV_DONTFORK;
        else if (op->advice == MADV_WIPEONFORK || op->advice == MADV_KEEPONFORK)
            range->wipe_on_fork = op->advice == MADV_WIPEONFORK;
        else if (madvise(range->memory, range->end - range->start, op->advice))
            r = -errno;
    }
    return r;
}

static int remap_locked(struct fake_space *s, const struct as_op *op) {
    uint64_t old_end = op->addr + op->old_len;
    if (op->old_len == 0 || !all_mapped_locked(s, op->addr, old_end))
        return op->old_len ? -EFAULT : -EINVAL;
    int r = cut_locked(s, op->addr, old_end);
    if (r)
        return r;
    size_t i = find_locked(s, op->addr);
    struct fake_range range = s->ranges[i];
    if (range.end != old_end)
        return -EFAULT; /* spans several, as on the host */
    char *memory = mremap(range.memory, op->old_len, op->len, MREMAP_MAYMOVE);
    if (memory == MAP_FAILED)
        return -errno;
    memmove(&s->ranges[i], &s->ranges[i + 1], (s->count - i - 1) * sizeof(range));
    s->count--;
    r = unmap_locked(s, op->new_addr, op->new_addr + op->len);
    range.memory = memory;
    range.start = op->new_addr;
    range.end = op->new_addr + op->len;
    if (r == 0)
        r = insert_locked(s, find_locked(s, range.start), range);
    if (r == 0 && op->flags & AS_DONTUNMAP)
        r = map_locked(s, &(struct as_op){
                              .kind = AS_MAP_ANON, .addr = op->addr, .len = op->old_len, .prot = range.prot});
    return r;
}

static int apply_one_locked(struct fake_space *s, const struct as_op *op) {
    switch (op->kind) {
    case AS_MAP_ANON:
    case AS_MAP_FILE:
        return map_locked(s, op);
    case AS_UNMAP:
        return unmap_locked(s, op->addr, op->addr + op->len);
    case AS_PROTECT:
        return protect_locked(s, op);
    case AS_REMAP:
        return remap_locked(s, op);
    case AS_ADVISE:
        return advise_locked(s, op);
    case AS_LOCK:
        return all_mapped_locked(s, op->addr, op->addr + op->len) ? 0 : -ENOMEM;
    }
    return -EINVAL;
}

int fake_as_apply(struct address_space *as, const struct as_op *ops, size_t count, size_t *ret_done) {
    struct fake_space *s = fake_space_of(as);
    size_t done = 0;
    might_block();
    int r = atomic_load(&s->dead) ? -ESRCH : fake_take_failure(s->platform);
    mutex_lock(&s->lock);
    while (r == 0 && done < count) {
        r = ops[done].len == 0 || ops[done].addr % PAGE_SIZE || ops[done].len % PAGE_SIZE
                ? -EINVAL
                : apply_one_locked(s, &ops[done]);
        done += r == 0;
    }
    mutex_unlock(&s->lock);
    if (ret_done)
        *ret_done = done;
    return r;
}

/* A copy by the host, which says where it faults. */
static ssize_t copy_self(void *to, const void *from, size_t size) {
    struct iovec here = {to, size}, there = {(void *)from, size};
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0);
}

static int fork_range_locked(struct fake_space *child, const struct fake_range *range) {
    size_t len = range->end - range->start;
    struct fake_range copy = *range;
    if (range->dont_fork)
        return 0;
    /* old size 0: another mapping of the same shared pages */
    copy.memory = range->shared ? mremap(range->memory, 0, len, MREMAP_MAYMOVE)
                                : mmap(NULL, len, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (copy.memory == MAP_FAILED)
        return -errno;
    for (size_t at = 0; !range->shared && !range->wipe_on_fork && at < len; at += PAGE_SIZE) {
        unsigned char there;
        if (mincore(range->memory + at, PAGE_SIZE, &there) == 0 && there & 1)
            (void)copy_self(copy.memory + at, range->memory + at, PAGE_SIZE);
    }
    return insert_locked(child, child->count, copy);
}

int fake_as_fork(struct address_space *as, struct address_space **ret_as) {
    struct fake_space *s = fake_space_of(as), *child;
    might_block();
    if (atomic_load(&s->dead))
        return -ESRCH;
    int r = new_space(s->platform, &child);
    if (r)
        return r;
    mutex_lock(&s->lock);
    for (size_t i = 0; r == 0 && i < s->count; i++)
        r = fork_range_locked(child, &s->ranges[i]);
    mutex_unlock(&s->lock);
    if (r) {
        fake_as_unref((struct address_space *)child);
        return r;
    }
    *ret_as = (struct address_space *)child;
    return 0;
}

/* Runs fn over the pieces of [at, at+size) as far as they are mapped with `prot`. */
static size_t access_locked(struct fake_space *s, gva_t at, char *buffer, size_t size, int prot, bool store) {
    size_t done = 0;
    for (size_t i = find_locked(s, at); done < size && i < s->count; i++) {
        struct fake_range *r = &s->ranges[i];
        if (r->start > at + done || (r->prot & prot) != prot)
            break;
        size_t part = MIN(size - done, r->end - (at + done));
        char *memory = r->memory + (at + done - r->start);
        ssize_t n = store ? copy_self(memory, buffer + done, part) : copy_self(buffer + done, memory, part);
        done += n > 0 ? (size_t)n : 0;
        if (n != (ssize_t)part)
            break;
    }
    return done;
}

size_t fake_access(struct fake_space *s, gva_t at, void *buffer, size_t size, int prot, gva_t *ret_fault) {
    mutex_lock(&s->lock);
    size_t n = access_locked(s, at, buffer, size, prot, prot & PROT_WRITE);
    mutex_unlock(&s->lock);
    *ret_fault = at + n;
    return n;
}

static ssize_t copy_result(struct fake_space *s, size_t n, size_t size) {
    return atomic_load(&s->dead) ? -ESRCH : n || size == 0 ? (ssize_t)n : -EFAULT;
}

ssize_t fake_as_copy_in(struct address_space *as, void *to, gva_t from, size_t size) {
    gva_t fault;
    might_block();
    return copy_result(fake_space_of(as), fake_access(fake_space_of(as), from, to, size, PROT_READ, &fault),
                       size);
}

ssize_t fake_as_copy_out(struct address_space *as, gva_t to, const void *from, size_t size) {
    gva_t fault;
    might_block();
    return copy_result(fake_space_of(as),
                       fake_access(fake_space_of(as), to, (void *)from, size, PROT_WRITE, &fault), size);
}

ssize_t fake_as_peek(struct address_space *as, void *to, gva_t from, size_t size) {
    struct fake_space *s = fake_space_of(as);
    might_block();
    mutex_lock(&s->lock);
    size_t n = access_locked(s, from, to, size, 0, false);
    mutex_unlock(&s->lock);
    return copy_result(s, n, size);
}

ssize_t fake_as_poke(struct address_space *as, gva_t to, const void *from, size_t size) {
    struct fake_space *s = fake_space_of(as);
    might_block();
    mutex_lock(&s->lock);
    size_t n = access_locked(s, to, (char *)from, size, 0, true);
    mutex_unlock(&s->lock);
    return copy_result(s, n, size);
}

/* Atomic among guests of this platform: all their accesses take the space's lock. */
int fake_atomic(struct fake_space *s, enum as_atomic_op op, gva_t at, uint32_t operand, uint32_t expected,
                uint32_t *ret_old) {
    uint32_t old, new;
    if (at % 4)
        return -EFAULT;
    mutex_lock(&s->lock);
    bool ok = access_locked(s, at, (char *)&old, 4, PROT_READ | PROT_WRITE, false) == 4;
    if (ok) {
        new = platform_atomic_result(op, old, operand, expected);
        ok = access_locked(s, at, (char *)&new, 4, PROT_READ | PROT_WRITE, true) == 4;
    }
    mutex_unlock(&s->lock);
    if (!ok)
        return -EFAULT;
    *ret_old = old;
    return 0;
}

int fake_as_usage(struct address_space *as, struct as_usage *ret) {
    struct fake_space *s = fake_space_of(as);
    *ret = (struct as_usage){0};
    mutex_lock(&s->lock);
    for (size_t i = 0; i < s->count; i++)
        for (char *p = s->ranges[i].memory; p < s->ranges[i].memory + (s->ranges[i].end - s->ranges[i].start);
             p += PAGE_SIZE) {
            unsigned char there;
            if (mincore(p, PAGE_SIZE, &there) == 0 && there & 1)
                ret->rss_bytes += PAGE_SIZE;
        }
    mutex_unlock(&s->lock);
    return atomic_load(&s->dead) ? -ESRCH : 0;
}

void fake_as_kill(struct address_space *as) {
    struct fake_space *s = fake_space_of(as);
    struct fake_guest *g;
    atomic_store(&s->dead, true);
    mutex_lock(&s->lock);
    list_for_each_entry(g, &s->guests, link) /* who spins looks up */
        fake_context_interrupt((struct context *)g);
    mutex_unlock(&s->lock);
}

void fake_as_unref(struct address_space *as) {
    struct fake_space *s = fake_space_of(as);
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    for (size_t i = 0; i < s->count; i++)
        munmap(s->ranges[i].memory, s->ranges[i].end - s->ranges[i].start);
    atomic_fetch_sub(&s->platform->live, 1);
    free(s->ranges);
    free(s);
}
