/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/vfs/vfs_fixture.h: a kernel without containers, with a tmpfs as its root and tasks that run on
 * the test's own threads over platform/fake: their system calls are the real handlers, with arguments in
 * guest memory.
 */
#pragma once

#include <stdio.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/mman.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"
#include "tests/support/test.h"

struct fixture {
    struct kernel *k;
    struct mnt_ns *ns;
    struct task *t;    /* root with all capabilities */
    gva_t scratch, at; /* guest memory for arguments */
};

enum { SCRATCH_SIZE = 4 << 20 };

void fixture_init(struct fixture *f);
void fixture_done(struct fixture *f);
/* Another process (own descriptors and cwd) or thread (shared) of the same guest memory. */
struct task *fixture_task(struct fixture *f, bool thread);
void fixture_task_done(struct task *t);
/* Other ids and no capabilities. */
void fixture_become(struct task *t, uint32_t uid, uint32_t gid);

/* Copies into guest memory: a new place each time. */
gva_t put(struct fixture *f, const void *data, size_t size);
gva_t put_str(struct fixture *f, const char *s);
gva_t room(struct fixture *f, size_t size);
void get(struct fixture *f, void *to, gva_t from, size_t size);

int64_t call_args(struct task *t, syscall_fn fn, struct syscall_args a);
#define CALL_ON(t, name, ...) call_args((t), sys_##name, (struct syscall_args){{__VA_ARGS__}})
#define CALL(name, ...)       CALL_ON(f.t, name, __VA_ARGS__)
#define S(text)               put_str(&f, text)
#define AT                    LINUX_AT_FDCWD

/* Short forms. */
int64_t do_open(struct fixture *f, const char *name, uint32_t flags, uint32_t mode);
int64_t write_str(struct fixture *f, int64_t fd, const char *text);
/* Reads at most 4095 bytes into a static buffer. */
const char *read_str(struct fixture *f, int64_t fd, size_t max);
void write_file(struct fixture *f, const char *name, const char *text);
const char *read_file(struct fixture *f, const char *name);
int64_t stat_of(struct fixture *f, const char *name, struct linux_stat *ret);

/* A test with a fixture `f`. */
#define WITH_FIXTURE(name)                                                                                   \
    static void run_##name(struct fixture *fp);                                                              \
    TEST(name) {                                                                                             \
        struct fixture fx;                                                                                   \
        fixture_init(&fx);                                                                                   \
        run_##name(&fx);                                                                                     \
        fixture_done(&fx);                                                                                   \
    }                                                                                                        \
    static void run_##name(struct fixture *fp)
