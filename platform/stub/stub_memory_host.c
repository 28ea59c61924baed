/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_memory_host.c: copies between the sentry and guest memory, and what a stub uses.
 * process_vm_* honours the guest's protections; reads of /proc/PID/mem do not, as ptrace's PEEK.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "platform/stub/stub.h"

/* Cuts [at, at+size) off at the end of what is the guest's; 0: nothing left. */
static size_t guest_part(const struct stub_space *s, gva_t at, size_t size) {
    uint64_t end = s->platform->base.limits.max_address;
    return at >= end ? 0 : MIN(size, end - at);
}

static ssize_t vm_error(const struct stub_space *s) {
    if (errno == ESRCH || atomic_load(&s->dead))
        return -ESRCH;
    return errno == ENOMEM ? -ENOMEM : -EFAULT;
}

typedef ssize_t copy_call(pid_t pid, const struct iovec *here, unsigned long here_count,
                          const struct iovec *there, unsigned long there_count, unsigned long flags);

/* `size` is what the pieces add up to. */
static ssize_t copy_pieces(struct address_space *as, copy_call *call, const struct iovec *pieces,
                           size_t count, gva_t at, size_t size) {
    struct stub_space *s = stub_space_of(as);
    struct iovec there = {(void *)at, size};
    might_block();
    if (size == 0)
        return 0;
    if (guest_part(s, at, size) < size)
        return -EFAULT;
    if (atomic_load(&s->dead)) /* the pid may be another's */
        return -ESRCH;
    ssize_t n = call(s->pid, pieces, count, &there, 1, 0);
    return n > 0 ? n : vm_error(s);
}

static size_t sum_of(const struct iovec *pieces, size_t count) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += pieces[i].iov_len;
    return size;
}

ssize_t stub_as_copy_in(struct address_space *as, void *to, gva_t from, size_t size) {
    size_t part = guest_part(stub_space_of(as), from, size);
    struct iovec here = {to, part ? part : size};
    return copy_pieces(as, process_vm_readv, &here, 1, from, here.iov_len);
}

ssize_t stub_as_copy_out(struct address_space *as, gva_t to, const void *from, size_t size) {
    size_t part = guest_part(stub_space_of(as), to, size);
    struct iovec here = {(void *)from, part ? part : size};
    return copy_pieces(as, process_vm_writev, &here, 1, to, here.iov_len);
}

ssize_t stub_as_gather(struct address_space *as, const struct iovec *to, size_t count, gva_t from) {
    return copy_pieces(as, process_vm_readv, to, count, from, sum_of(to, count));
}

ssize_t stub_as_scatter(struct address_space *as, gva_t to, const struct iovec *from, size_t count) {
    return copy_pieces(as, process_vm_writev, from, count, to, sum_of(from, count));
}

static int open_proc(const struct stub_space *s, const char *name, int flags) {
    char path[64];
    if (s->platform->proc_fd < 0)
        return -ENOENT;
    if (atomic_load(&s->dead))
        return -ESRCH;
    snprintf(path, sizeof(path), "%d/%s", (int)s->pid, name);
    int fd = openat(s->platform->proc_fd, path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* The descriptor refers to the memory itself, not to the pid: it stays right when the stub is gone (reads
 * then give 0). */
static int mem_fd(struct stub_space *s) {
    int fd = atomic_load(&s->mem_fd), none = -1;
    if (fd >= 0)
        return fd;
    fd = open_proc(s, "mem", O_RDONLY);
    if (fd >= 0 && !atomic_compare_exchange_strong(&s->mem_fd, &none, fd)) {
        close(fd);
        return none;
    }
    return fd;
}

ssize_t stub_as_peek(struct address_space *as, void *to, gva_t from, size_t size) {
    struct stub_space *s = stub_space_of(as);
    size_t part = guest_part(s, from, size);
    might_block();
    if (size == 0)
        return 0;
    if (part == 0)
        return -EFAULT;
    int fd = mem_fd(s);
    if (fd == -ESRCH)
        return fd;
    if (fd < 0)
        return stub_as_copy_in(as, to, from, size); /* no procfs: what the guest itself may read */
    ssize_t n = pread(fd, to, part, (off_t)from);
    return n > 0 ? n : n == 0 ? -ESRCH : vm_error(s);
}

static uint64_t kilobytes(const char *text, const char *key) {
    const char *at = strstr(text, key);
    return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

int stub_as_usage(struct address_space *as, struct as_usage *ret) {
    struct stub_space *s = stub_space_of(as);
    char text[4096];
    might_block();
    cleanup(closep) int fd = open_proc(s, "status", O_RDONLY);
    if (fd == -ENOENT && s->platform->proc_fd < 0) {
        *ret = (struct as_usage){0};
        return 0;
    }
    if (fd < 0)
        return -ESRCH;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return -ESRCH;
    text[n] = 0;
    ret->rss_bytes = kilobytes(text, "VmRSS:");
    ret->anon_bytes = kilobytes(text, "RssAnon:") + kilobytes(text, "RssShmem:");
    ret->page_table_bytes = kilobytes(text, "VmPTE:");
    return 0;
}

int stub_as_share(struct address_space *as, uint64_t *ret_bytes) {
    struct stub_space *s = stub_space_of(as);
    char text[4096];
    might_block();
    cleanup(closep) int fd = open_proc(s, "smaps_rollup", O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return fd == -ESRCH ? fd : -ENOENT;
    text[n] = 0;
    *ret_bytes = kilobytes(text, "Pss_Anon:") + kilobytes(text, "Pss_Shmem:");
    return 0;
}

/* Bits of an entry of /proc/PID/pagemap: proc_pid_pagemap(5). */
static uint8_t page_kind(uint64_t entry) {
    return (entry >> 63 & 1 ? PAGE_IS_PRESENT : 0) | (entry >> 62 & 1 ? PAGE_IS_SWAPPED : 0) |
           (entry >> 61 & 1 ? PAGE_IS_SHARED : 0);
}

int stub_as_pages(struct address_space *as, gva_t addr, size_t count, uint8_t *ret) {
    struct stub_space *s = stub_space_of(as);
    uint64_t entries[512];

    might_block();
    cleanup(closep) int fd = open_proc(s, "pagemap", O_RDONLY);
    if (fd < 0)
        return fd == -ESRCH ? fd : -ENOENT;
    for (size_t done = 0; done < count;) {
        size_t part = MIN(count - done, ARRAY_SIZE(entries));
        off_t at = (off_t)((addr / PAGE_SIZE + done) * sizeof(entries[0]));
        ssize_t n = pread(fd, entries, part * sizeof(entries[0]), at);
        if (n <= 0)
            return -ESRCH;
        for (size_t i = 0; i < (size_t)n / sizeof(entries[0]); i++)
            ret[done++] = page_kind(entries[i]);
    }
    return 0;
}
