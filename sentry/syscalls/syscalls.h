/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/syscalls.h: what every system call handler is, and the table made from syscalls.def.
 *
 * A handler decodes (copies in and checks everything, each guest value once), acts (one core function that
 * knows nothing of guest pointers), encodes (copies out). It takes no locks of its own. Files:
 * sys_<family>.c. A call that is not there returns -ENOSYS (or the errno that Linux gives when the feature is
 * compiled out, by its row) and is counted.
 */
#pragma once

#include "base/compiler.h"

struct task;

struct syscall_args {
    uint64_t arg[6];
};

typedef int64_t (*syscall_fn)(struct task *t, const struct syscall_args *a);

enum syscall_level { SYSCALL_NONE, SYSCALL_PARTIAL, SYSCALL_FULL };

struct syscall_entry {
    const char *name;
    syscall_fn fn; /* NULL: not there */
    uint8_t level;
    int16_t absent_errno; /* when fn is NULL: positive errno */
    const char *note;     /* what is missing, for docs/compatibility.md */
    const char *format;   /* one letter per argument, see syscalls.def */
};

extern const struct syscall_entry g_syscalls[];
extern const unsigned g_syscall_count;

/* Runs one call: dispatch, --strace, counting. Returns the handler's result (internal codes included). */
int64_t syscall_dispatch(struct task *t, uint64_t number, const struct syscall_args *a);
/* Calls that were not there, most frequent first: name or number, count; one line each. */
struct syscall_count {
    unsigned number;
    uint64_t count;
};
size_t syscall_missing(struct syscall_count *ret, size_t max);
/* Writes a line per call to `fd` (borrowed), -1: off. */
void syscall_strace_enable(int fd);
extern int g_strace_fd;
void syscall_strace(struct task *t, uint64_t number, const struct syscall_args *a,
                    int64_t result);             /* strace.c */
void strace_write(const char *line, size_t len); /* strace_host.c */

#define SYS_NONE(nr, name, err, note, format)
#define SYS_PARTIAL(nr, name, note, format) int64_t sys_##name(struct task *t, const struct syscall_args *a);
#define SYS_FULL(nr, name, note, format)    int64_t sys_##name(struct task *t, const struct syscall_args *a);
#include "sentry/syscalls/syscalls.def"
#undef SYS_NONE
#undef SYS_PARTIAL
#undef SYS_FULL
