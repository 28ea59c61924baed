/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/file_lock.h: POSIX, open file description and flock locks. Source: fcntl(2), flock(2).
 */
#pragma once

#include "base/compiler.h"

struct fd_table;
struct file;
struct kernel;
struct pid_ns;
struct task;
struct text;

enum lock_kind { LOCK_POSIX, LOCK_OFD, LOCK_FLOCK };
enum lock_type { LOCK_READ, LOCK_WRITE, LOCK_NONE };

struct lock_range {
    enum lock_type type;
    uint64_t start,
        end; /* inclusive; end UINT64_MAX/2 (INT64_MAX): to the end of the file, however it grows */
    int pid; /* lock_test: of the owner as `t` sees it; -1 for OFD */
};

/* Sets, changes or (LOCK_NONE) removes. wait: block until there is no conflict, -EDEADLK when waiting would
 * be for ever (POSIX only). -EAGAIN, -ERESTARTSYS, -ENOLCK. */
int file_lock_set(struct task *t, struct file *f, enum lock_kind kind, const struct lock_range *r,
                  bool wait) must_check;
/* The first lock that conflicts with *r, or type LOCK_NONE. */
void file_lock_test(struct task *t, struct file *f, enum lock_kind kind, struct lock_range *r);
/* A descriptor of `files` for `f` was closed: its POSIX locks on the file go. */
void file_lock_close(struct fd_table *files, struct file *f);
/* /proc/locks, without leases and those who wait: proc_locks(5). Numbers of owners as in `ns`. */
void file_locks_show(struct kernel *k, struct pid_ns *ns, struct text *out);
/* The open file ends: OFD and flock locks go. */
void file_lock_release(struct file *f);
