/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/fd_table.h: descriptor tables, and cwd/root/umask. Source: open(2), dup(2), close_range(2),
 * fcntl(2).
 *
 * fd_table.lock (RANK_FD_TABLE) protects the array; looking a descriptor up takes it for a moment (or, when
 * the table has one user, not at all). The table grows to RLIMIT_NOFILE. No lock is held when a file is
 * released.
 */
#pragma once

#include "base/mutex.h"
#include "base/ref.h"
#include "sentry/vfs/path.h"

struct file;
struct task;

struct fd_table {
    struct ref ref;
    struct mutex lock;   /* RANK_FD_TABLE */
    struct file **files; /* heap array, NULL: free */
    uint64_t *cloexec;   /* bitmap */
    uint64_t *used;      /* bitmap */
    size_t capacity;
    size_t next_free; /* no free descriptor below it */
    size_t count;
};
DECLARE_REF(
    fd_table); /* the last unref (exit, exec) closes all, with POSIX lock and flush rules; may block */

struct fd_table *fd_table_new(void);
struct fd_table *fd_table_copy(struct fd_table *from); /* fork; NULL: no memory */
/* Lowest free descriptor >= min and < limit; the file's reference is taken over on success. -EMFILE, -ENOMEM.
 */
int fd_install(struct task *t, struct file *f, int min, bool cloexec) must_check;
/* Reserve first, fill later (calls that copy the number out before they commit): fd_reserve, then fd_fill or
 * fd_unreserve. */
int fd_reserve(struct task *t, int min, bool cloexec) must_check;
void fd_fill(struct task *t, int fd, struct file *f);
void fd_unreserve(struct task *t, int fd);
/* New reference, or NULL (EBADF). fd_get: not O_PATH files; fd_get_any: those too. */
struct file *fd_get(struct task *t, int fd);
struct file *fd_get_any(struct task *t, int fd);
int fd_close(struct task *t, int fd);
int fd_dup2(struct task *t, int from, int to, bool cloexec) must_check;
int fd_set_cloexec(struct task *t, int fd, bool on);
int fd_get_cloexec(struct task *t, int fd);
void fd_table_close_on_exec(struct task *t);
int fd_close_range(struct task *t, unsigned first, unsigned last, unsigned flags);
/* For /proc/PID/fd: next used descriptor >= fd with a new reference in *ret; -1 at the end. */
int fd_table_next(struct fd_table *table, int fd, struct file **ret);

struct fs_context {
    struct ref ref;
    struct mutex lock; /* RANK_FS_CONTEXT */
    struct path root, cwd;
    uint32_t umask;
};
DECLARE_REF(fs_context);
struct fs_context *fs_context_new(const struct path *root, const struct path *cwd, uint32_t umask);
struct fs_context *fs_context_copy(struct fs_context *from);
/* New references of both; either may be NULL. */
void fs_context_get(struct fs_context *fs, struct path *ret_root, struct path *ret_cwd);
void fs_context_set_root(struct fs_context *fs, const struct path *root);
void fs_context_set_cwd(struct fs_context *fs, const struct path *cwd);
/* Root or cwd that is `from` becomes `to` (pivot_root). */
void fs_context_move(struct fs_context *fs, const struct path *from, const struct path *to);
uint32_t fs_context_umask(struct fs_context *fs);
uint32_t fs_context_set_umask(struct fs_context *fs, uint32_t mask); /* the old one */
