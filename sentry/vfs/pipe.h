/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/pipe.h: pipes and FIFOs, and moving bytes between them and other files. Source: pipe(7),
 * fifo(7), splice(2), tee(2), fcntl(2) F_SETPIPE_SZ.
 */
#pragma once

#include <sys/types.h>

#include "base/compiler.h"

struct creds;
struct file;
struct inode;
struct path;
struct task;
struct uio;

/* flags: LINUX_O_NONBLOCK, O_DIRECT (packets). */
int pipe_create(struct task *t, uint32_t flags, struct file **ret_read, struct file **ret_write) must_check;
/* Opens a FIFO node: waits for the other end as open(2) says, unless t is NULL. t: OWN THREAD. */
int fifo_open(struct task *t, struct inode *node, const struct path *path, uint32_t flags,
              const struct creds *c, struct file **ret) must_check;
bool file_is_pipe(const struct file *f);
int64_t pipe_get_size(struct file *f); /* -EBADF: not a pipe */
int64_t pipe_set_size(struct task *t, struct file *f,
                      uint64_t size); /* the new size; -EBUSY, -EPERM, -EINVAL, -ENOMEM */

/* Each moves at most `len` bytes and returns how many, 0 at the end, or -errno. OWN THREAD; wait unless
 * nonblock (or the pipe's O_NONBLOCK). */
enum { SPLICE_NONBLOCK = 1 };
ssize_t pipe_from_file(struct task *t, struct file *pipe, struct file *in,
                       uint64_t *offset /* NULL: its position */, size_t len, unsigned flags);
ssize_t pipe_to_file(struct task *t, struct file *pipe, struct file *out, uint64_t *offset, size_t len,
                     unsigned flags);
ssize_t pipe_to_pipe(struct task *t, struct file *from, struct file *to, size_t len, unsigned flags);
ssize_t pipe_tee(struct task *t, struct file *from, struct file *to, size_t len, unsigned flags);
