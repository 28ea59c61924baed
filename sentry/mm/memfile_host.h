/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/memfile_host.h: the host's side of the shared memory file: descriptors and windows, behind a
 * hostref.
 */
#pragma once

#include "base/err.h"
#include "base/hostref.h"

#define MEMFILE_WINDOW (1ull << 30)

struct memfile_host {
    int fd, readonly_fd;
    uint64_t size; /* of the memfd */
    _Atomic(char *)
        *windows; /* size / MEMFILE_WINDOW entries; NULL: not mapped yet. Set under memfile.lock */
};

/* proc_dir: descriptor of a procfs, or -1: /proc. */
int memfile_host_open(int proc_dir, struct hostref *ret, struct err **err) must_check;
char *memfile_host_map_window(struct memfile_host *h, uint64_t window);
int memfile_host_punch(struct memfile_host *h, uint64_t offset, uint64_t len);
uint64_t memfile_host_seek(struct memfile_host *h, uint64_t offset, uint64_t end, bool data);
uint64_t memfile_host_allocated(struct memfile_host *h);
