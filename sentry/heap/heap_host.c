/* SPDX-License-Identifier: Apache-2.0
 * sentry/heap/heap_host.c: the host calls of the heap: reserving, committing and giving back memory, image
 * files. Raw calls for files, as ASan's wrappers would complain of poisoned objects inside an image. Source:
 * mmap(2), madvise(2), mincore(2).
 */
#include "sentry/heap/heap_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *heap_host_reserve(uint64_t base, uint64_t size) {
    void *want = (void *)(uintptr_t)base;
    void *p =
        mmap(want, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    if (p != want) { /* a host older than MAP_FIXED_NOREPLACE took it for a hint */
        munmap(p, size);
        errno = EEXIST;
        return NULL;
    }
    return p;
}

int heap_host_commit(void *p, size_t size) {
    return mprotect(p, size, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
}

void heap_host_discard(void *p, size_t size) {
    int result = madvise(p, size, MADV_DONTNEED);

    ASSERT(result == 0);
}

void heap_host_release(void *p, size_t size) {
    int result = munmap(p, size);

    ASSERT(result == 0);
}

int heap_host_write(int fd, const void *p, size_t size, uint64_t offset) {
    while (size > 0) {
        long n = syscall(SYS_pwrite64, fd, p, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p = (const char *)p + n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

int heap_host_read(int fd, void *p, size_t size, uint64_t offset) {
    long n = syscall(SYS_pread64, fd, p, size, offset);

    if (n < 0)
        return -errno;
    return (size_t)n == size ? 0 : -EINVAL;
}

int heap_host_map(int fd, void *p, size_t size, uint64_t offset) {
    void *got = mmap(p, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, (off_t)offset);

    return got == MAP_FAILED ? -errno : 0;
}

bool heap_host_mapped(uint64_t address) {
    unsigned char resident;

    return mincore((void *)(uintptr_t)page_down(address), PAGE_SIZE, &resident) == 0;
}
