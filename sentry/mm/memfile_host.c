/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/memfile_host.c: host calls of the shared memory file. After memfile_host_open() only mmap of the
 * memfd, fallocate (punch), lseek and fstat are made. Source: memfd_create(2), fallocate(2), lseek(2).
 */
#include "sentry/mm/memfile_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/host_fstat.h"

#define LARGEST_SIZE  (1ull << 46)
#define SMALLEST_SIZE (1ull << 30)

static size_t windows_bytes(uint64_t size) {
    return page_up(size / MEMFILE_WINDOW * sizeof(char *));
}

static void release(struct hostref *ref) {
    struct memfile_host *h = ref->host.ptr;

    for (uint64_t i = 0; i < h->size / MEMFILE_WINDOW; i++)
        if (h->windows[i])
            munmap(h->windows[i], MEMFILE_WINDOW);
    munmap((void *)h->windows, windows_bytes(h->size));
    close_fd(h->fd);
    close_fd(h->readonly_fd);
    free(h);
}

static const struct hostref_ops g_memfile_hostref_ops = {.name = "memfile", .release = release};

static int reopen_readonly(int proc_dir, int fd) {
    char path[64];

    snprintf(path, sizeof path, proc_dir >= 0 ? "self/fd/%d" : "/proc/self/fd/%d", fd);
    return openat(proc_dir >= 0 ? proc_dir : AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
}

/* As large as the host lets a sparse file be (RLIMIT_FSIZE may be in the way): nothing is ever grown later.
 */
static int set_size(int fd, uint64_t *ret_size) {
    for (uint64_t size = LARGEST_SIZE; size >= SMALLEST_SIZE; size /= 2) {
        if (ftruncate(fd, (off_t)size) == 0) {
            *ret_size = size;
            return 0;
        }
    }
    return -errno;
}

int memfile_host_open(int proc_dir, struct hostref *ret, struct err **err) {
    struct memfile_host *h = calloc(1, sizeof *h);
    cleanup(closep) int fd = -1;
    cleanup(closep) int readonly_fd = -1;

    if (!h)
        return err_set(err, ENOMEM, "memfile.memory", "shared memory file");
    fd = memfd_create("runsc-memory", MFD_CLOEXEC);
    int result = fd < 0 ? -errno : set_size(fd, &h->size);
    if (result < 0) {
        free(h);
        return err_set(err, -result, "memfile.create", "creating the shared memory file");
    }
    readonly_fd = reopen_readonly(proc_dir, fd);
    if (readonly_fd < 0) {
        result = err_set(err, errno, "memfile.reopen",
                         "opening the shared memory file read-only through /proc/self/fd");
        free(h);
        return result;
    }
    void *windows = mmap(NULL, windows_bytes(h->size), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (windows == MAP_FAILED) {
        free(h);
        return err_set(err, ENOMEM, "memfile.memory", "table of the shared memory file's windows");
    }
    h->windows = windows;
    h->fd = steal_fd(&fd);
    h->readonly_fd = steal_fd(&readonly_fd);
    *ret = (struct hostref){.ops = &g_memfile_hostref_ops, .host.ptr = h};
    return 0;
}

char *memfile_host_map_window(struct memfile_host *h, uint64_t window) {
    void *p = mmap(NULL, MEMFILE_WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, h->fd,
                   (off_t)(window * MEMFILE_WINDOW));

    return p == MAP_FAILED ? NULL : p;
}

int memfile_host_punch(struct memfile_host *h, uint64_t offset, uint64_t len) {
    while (fallocate(h->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

uint64_t memfile_host_seek(struct memfile_host *h, uint64_t offset, uint64_t end, bool data) {
    off_t at = lseek(h->fd, (off_t)offset, data ? SEEK_DATA : SEEK_HOLE);

    return at < 0 || (uint64_t)at > end ? end : (uint64_t)at;
}

uint64_t memfile_host_allocated(struct memfile_host *h) {
    struct stat st;

    return host_fstat(h->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}
