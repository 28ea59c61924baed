/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/file.h: open files (open file descriptions) and the operations that each kind of file has.
 * Source: open(2), read(2), poll(2).
 *
 * A struct file is embedded FIRST in the struct of its kind, which its file system or subsystem allocates
 * from the heap and initialises with file_init(); `release` frees it. References: descriptor tables, areas of
 * memory, calls in progress, SCM_RIGHTS messages.
 *
 * Locks: pos_lock (RANK_FILE_POS) serializes read, write, lseek and readdir that use the file's position
 * (only for files with FILE_POS). flags is atomic.
 */
#pragma once

#include <sys/types.h>

#include "base/abi/linux/poll.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "sentry/kernel/waitq.h"
#include "sentry/vfs/path.h"

struct creds;
struct file;
struct file_async;
struct inode;
struct kernel;
struct mappable;
struct mmap_request;
struct pid;
struct task;
struct uio;
struct vma;

#define FILE_APPEND UINT64_MAX /* as *offset of file_ops.write */

/* Called for each entry of a directory; nonzero stops (the entry is then not consumed). */
struct dir_emit {
    int (*emit)(struct dir_emit *e, const char *name, size_t name_len, uint64_t ino,
                unsigned type /* LINUX_DT_* */, uint64_t next_offset);
};

enum file_mode {
    FILE_READ = 1,
    FILE_WRITE = 2,
    FILE_PATH = 4 /* O_PATH */,
    FILE_POS = 8 /* has a position: pread, pwrite, lseek work */,
    FILE_STREAM = 32 /* no pread, no lseek: -ESPIPE; a blocking write goes on until all is written */,
    FILE_BLOCKS = 256 /* read and write block by themselves (sockets, with their time-outs) and give -EAGAIN
                         only when that is the answer */
    ,
    FILE_PREAD = 512 /* the host keeps the position: pread and pwrite work, lseek is the file's own `seek` */,
    /* vfs's own: */
    FILE_DENY_WRITE = 16 /* opened for exec */,
    FILE_COUNTED = 64 /* counts as a writer of inode and mount */,
    FILE_OPENED = 128 /* inotify saw the open */,
    FILE_READ_COUNTED = 1024 /* counts as a reader of the inode */,
    FILE_NO_TRUNCATE = 4096 /* Landlock, of who opened it: ftruncate, and ioctls of a device: -EACCES */,
    FILE_NO_IOCTL = 8192,
};

/* All members optional unless marked; wrappers file_*() give the errno in brackets when absent. All may block
   unless said otherwise. Called with no lock held but, for those with a position, pos_lock. */
struct file_ops {
    const char *name;
    /* Reads at *offset (NULL for FILE_STREAM) into `to`, advances *offset. Bytes, 0 at the end, -EAGAIN when
       nothing is there and the file is non-blocking or `nowait`: blocking is done by file_read() around this,
       by waiting on poll_queue, so an implementation never sleeps for data. [-EINVAL] */
    ssize_t (*read)(struct file *f, struct uio *to, uint64_t *offset);
    /* Likewise. *offset is FILE_APPEND for O_APPEND and RWF_APPEND: the bytes go to the end, found under the
     * inode's lock, and *offset becomes the end after. [-EINVAL] */
    ssize_t (*write)(struct file *f, struct uio *from, uint64_t *offset);
    /* Events that are true now, of `events`, as poll(2) would say. Does not block. [IN|OUT always ready] */
    uint32_t (*ready)(struct file *f, uint32_t events);
    /* Where waiters for a change of ready() queue; constant for the file's life. NULL: always ready. Does not
     * block. [NULL] */
    struct waitq *(*poll_queue)(struct file *f);
    /* lseek: SEEK_END, SEEK_DATA and SEEK_HOLE of a regular file, everything of others. Returns the new
       position, which vfs stores; pos_lock held. [by the inode's size: data up to it, one hole there;
       directories: SEEK_SET and SEEK_CUR] */
    int64_t (*seek)(struct file *f, int64_t offset, int whence);
    /* Emits entries from f->pos on; sets f->pos. pos_lock held. 0 or -errno. [-ENOTDIR] */
    int (*readdir)(struct file *f, struct dir_emit *e);
    /* arg as the guest gave it; `t` for copies. [-ENOTTY] */
    int64_t (*ioctl)(struct file *f, struct task *t, uint32_t cmd, uint64_t arg);
    /* New reference to what an area of this file maps. prot and flags for checks (-EACCES, -ENODEV).
     * [-ENODEV] */
    int (*mmap)(struct file *f, const struct mmap_request *request, struct mappable **ret);
    int (*fsync)(struct file *f, bool data_only); /* [0 for directories and regular files, -EINVAL] */
    int (*fallocate)(struct file *f, int mode, uint64_t offset, uint64_t len); /* [-EOPNOTSUPP] */
    int (*truncate)(struct file *f, uint64_t size);   /* ftruncate [the inode's setattr] */
    int (*set_flags)(struct file *f, uint32_t flags); /* F_SETFL: check; the caller stores [allowed] */
    /* F_ADD_SEALS (arg) and F_GET_SEALS [-EINVAL] */
    int (*seals)(struct file *f, int cmd, uint32_t arg);
    /* A descriptor for this file was closed by `t` (NULL: by its exit, dup2, exec, which wait for nothing):
       flush errors show here. May block. [0] */
    int (*flush)(struct file *f, struct task *t);
    /* Last reference is gone: let go of everything, file_done(), heap_free() the object. May block; no locks
     * held. Required. */
    void (*release)(struct file *f);
    /* Text after "pos/flags/mnt_id" in /proc/PID/fdinfo/N; appends to buf. [nothing] */
    size_t (*show_fdinfo)(struct file *f, char *buf, size_t size);
};

struct file {
    struct ref ref;
    const struct file_ops *ops;
    struct path path;    /* reference to mount and dentry; anonymous files have a dentry without parent on the
                            anon mount */
    struct inode *inode; /* borrowed from path.dentry (for O_PATH and all others) */
    uint32_t mode;       /* enum file_mode; constant */
    _Atomic uint32_t
        flags; /* LINUX_O_*: status flags; O_APPEND, O_NONBLOCK, O_DIRECT, O_NOATIME, O_ASYNC change */
    struct mutex pos_lock; /* RANK_FILE_POS */
    uint64_t pos;
    const struct creds *creds; /* reference: the opener's */
    struct mutex lock;         /* RANK_LEAF; the rest */
    struct file_async *async;  /* reference, or NULL: who hears of it by a signal (file_async.h) */
    struct list epoll_items;   /* of the epoll files that watch this one (epoll.c) */
};
DECLARE_REF(file);

/* FILE_READ and FILE_WRITE of open flags. */
uint32_t file_mode_of(uint32_t flags);

/* Fills `f`; takes new references of path and creds; count 1. */
void file_init(struct file *f, const struct file_ops *ops, const struct path *path, uint32_t flags,
               uint32_t mode, const struct creds *creds);
/* What every release() ends with: drops path, creds, owner. */
void file_done(struct file *f);
/* An anonymous file: makes its path. 0 or -ENOMEM. `type` is the S_IFMT type of the inode: 0 with name
   "anon_inode:[eventfd]"; LINUX_S_IFIFO with name "pipe" and LINUX_S_IFSOCK with "socket", whose number is
   put behind ("pipe:[N]"). */
int file_init_anon(struct file *f, const struct file_ops *ops, const char *name, uint32_t type,
                   uint32_t flags, uint32_t mode, const struct creds *creds);
/* The path alone, for files that share an inode (both ends of a pipe). New references. */
int anon_path(struct kernel *k, const char *name, uint32_t type, const struct creds *creds,
              struct path *ret) must_check;

/* The blocking wrappers that system calls use: they check modes, wait (task_block) while the implementation
   says -EAGAIN and the file is blocking, and give -ERESTARTSYS when interrupted with nothing done. SIGPIPE
   and SIGXFSZ are the system calls' to send (file_write_signals). rw_flags: LINUX_RWF_*, 0 in general. */
ssize_t file_read(struct task *t, struct file *f, struct uio *to, uint32_t rw_flags);
ssize_t file_write(struct task *t, struct file *f, struct uio *from, uint32_t rw_flags);
ssize_t file_pread(struct task *t, struct file *f, struct uio *to, uint64_t offset, uint32_t rw_flags);
ssize_t file_pwrite(struct task *t, struct file *f, struct uio *from, uint64_t offset, uint32_t rw_flags);
/* Waits until one of `events` is ready; -EAGAIN at once if the file is non-blocking (or `nowait`),
 * -ERESTARTSYS, -ETIMEDOUT. For calls that block on a file by other means. */
int file_wait(struct task *t, struct file *f, uint32_t events, int64_t deadline) must_check;
/* Kernel's own reads (loader): whole buffer from `offset`; bytes read or -errno. t may be NULL. */
ssize_t file_read_kernel(struct task *t, struct file *f, void *to, size_t size, uint64_t offset);
int64_t file_seek(struct file *f, int64_t offset, int whence);
/* Where the next read begins, which of a host's file only the host knows; 0 of what has no position. */
uint64_t file_position(struct file *f);
int file_readdir(struct file *f, struct dir_emit *e);
int file_fsync(struct file *f, bool data_only);
uint32_t file_ready(struct file *f, uint32_t events);
struct waitq *file_poll_queue(struct file *f);

static inline bool file_nonblocking(struct file *f) {
    return atomic_load_explicit(&f->flags, memory_order_relaxed) & 04000; /* LINUX_O_NONBLOCK */
}
