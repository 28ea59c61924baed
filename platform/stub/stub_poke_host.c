/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_poke_host.c: writes to guest memory that the guest itself may not write (ptrace POKE,
 * patched call sites).
 *
 * Not through /proc/PID/mem: the sandbox process may open its procfs for reading only, and some hosts forbid
 * forced writes. Instead the helper makes the page writable for the moment of the write; no other batch of
 * this address space runs meanwhile. Other threads of the guest could write there in that moment too: to
 * memory that is theirs to make writable anyway. Shared mappings from read-only descriptors cannot be made
 * writable, and are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "platform/stub/stub.h"

/* "START-END rwxp ..." */
static bool parse_line(const char *line, struct stub_mapping *m) {
    char *end;
    m->start = strtoull(line, &end, 16);
    if (*end != '-')
        return false;
    m->end = strtoull(end + 1, &end, 16);
    if (*end != ' ' || strlen(end) < 5)
        return false;
    m->prot =
        (end[1] == 'r' ? PROT_READ : 0) | (end[2] == 'w' ? PROT_WRITE : 0) | (end[3] == 'x' ? PROT_EXEC : 0);
    m->is_private = end[4] == 'p';
    return true;
}

/* The line of the mapping that holds or follows `addr` in one buffer of text; *used: bytes of whole lines
 * looked at. */
static bool find_in(char *text, gva_t addr, struct stub_mapping *ret, size_t *used) {
    char *line = text;
    for (char *next; (next = strchr(line, '\n')); line = next + 1) {
        *next = 0;
        if (parse_line(line, ret) && ret->end > addr)
            return true;
    }
    *used = (size_t)(line - text);
    return false;
}

int stub_mapping_find(struct stub_space *s, gva_t addr, struct stub_mapping *ret) {
    char path[32], text[8192];
    size_t have = 0, used;
    if (s->platform->proc_fd < 0)
        return -ENOENT;
    if (atomic_load(&s->dead))
        return -ESRCH;
    snprintf(path, sizeof(path), "%d/maps", (int)s->pid);
    cleanup(closep) int fd = openat(s->platform->proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -ESRCH;
    for (;;) { /* lines are shorter than a buffer: a stub's files have no long names */
        ssize_t n = read(fd, text + have, sizeof(text) - 1 - have);
        if (n <= 0)
            return n < 0 && errno == ESRCH ? -ESRCH : -EFAULT;
        have += (size_t)n;
        text[have] = 0;
        if (find_in(text, addr, ret, &used))
            return ret->start <= addr ? 0 : -EFAULT;
        if (used == 0 && have == sizeof(text) - 1)
            return -EFAULT; /* a line that is longer than that */
        memmove(text, text + used, have - used);
        have -= used;
    }
}

static ssize_t write_part(struct stub_space *s, gva_t to, const void *from, size_t size) {
    struct iovec here = {(void *)from, size}, there = {(void *)to, size};
    ssize_t n = process_vm_writev(s->pid, &here, 1, &there, 1, 0);
    return n > 0 ? n : errno == ESRCH ? -ESRCH : -EFAULT;
}

static int64_t protect_locked(struct stub_space *s, gva_t start, gva_t end, int prot) REQUIRES(&s->lock) {
    stub_batch_add(s, DO_CHECK, 0, (struct stub_call){SYS_mprotect, {start, end - start, (uint64_t)prot}});
    return stub_batch_run(s, NULL);
}

static ssize_t force_part(struct stub_space *s, const struct stub_mapping *m, gva_t to, const void *from,
                          size_t size) {
    gva_t start = page_down(to), end = page_up(to + size);
    ssize_t n = -EFAULT;
    mutex_lock(&s->lock);
    int64_t r = protect_locked(s, start, end, m->prot | PROT_READ | PROT_WRITE);
    if (r == 0) {
        n = write_part(s, to, from, size);
        r = protect_locked(s, start, end, m->prot);
    }
    mutex_unlock(&s->lock);
    return r == -ESRCH ? -ESRCH : r ? -EFAULT : n;
}

ssize_t stub_as_poke(struct address_space *as, gva_t to, const void *from, size_t size) {
    struct stub_space *s = stub_space_of(as);
    uint64_t limit = s->platform->base.limits.max_address;
    size_t done = 0;
    might_block();
    if (s->platform->proc_fd < 0)
        return stub_as_copy_out(as, to, from, size); /* what the guest itself may write */
    size = to >= limit ? 0 : MIN(size, limit - to);
    while (done < size) {
        struct stub_mapping m;
        gva_t at = to + done;
        ssize_t n = stub_mapping_find(s, at, &m);
        size_t part = n == 0 ? MIN(size - done, m.end - at) : 0;
        if (n == 0)
            n = m.prot & PROT_WRITE ? write_part(s, at, (const char *)from + done, part)
                                    : force_part(s, &m, at, (const char *)from + done, part);
        if (n <= 0)
            return done ? (ssize_t)done : n;
        done += (size_t)n;
        if ((size_t)n < part)
            break;
    }
    return done ? (ssize_t)done : -EFAULT;
}
