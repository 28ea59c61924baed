/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/fuse.h: the protocol between the kernel and a file system in user space. Source: fuse(4);
 * sizes and numbers as libfuse 3 has them.
 */
#pragma once

#include <stdint.h>

enum {
    LINUX_FUSE_KERNEL_VERSION = 7,
    LINUX_FUSE_KERNEL_MINOR = 31,
    LINUX_FUSE_MINOR_LEAST = 12, /* below it structures were shorter */
    LINUX_FUSE_ROOT_ID = 1,
    LINUX_FUSE_MIN_READ_BUFFER = 8192,
};

enum linux_fuse_opcode {
    LINUX_FUSE_LOOKUP = 1,
    LINUX_FUSE_FORGET = 2,
    LINUX_FUSE_GETATTR = 3,
    LINUX_FUSE_SETATTR = 4,
    LINUX_FUSE_READLINK = 5,
    LINUX_FUSE_SYMLINK = 6,
    LINUX_FUSE_MKNOD = 8,
    LINUX_FUSE_MKDIR = 9,
    LINUX_FUSE_UNLINK = 10,
    LINUX_FUSE_RMDIR = 11,
    LINUX_FUSE_RENAME = 12,
    LINUX_FUSE_LINK = 13,
    LINUX_FUSE_OPEN = 14,
    LINUX_FUSE_READ = 15,
    LINUX_FUSE_WRITE = 16,
    LINUX_FUSE_STATFS = 17,
    LINUX_FUSE_RELEASE = 18,
    LINUX_FUSE_FSYNC = 20,
    LINUX_FUSE_SETXATTR = 21,
    LINUX_FUSE_GETXATTR = 22,
    LINUX_FUSE_LISTXATTR = 23,
    LINUX_FUSE_REMOVEXATTR = 24,
    LINUX_FUSE_FLUSH = 25,
    LINUX_FUSE_INIT = 26,
    LINUX_FUSE_OPENDIR = 27,
    LINUX_FUSE_READDIR = 28,
    LINUX_FUSE_RELEASEDIR = 29,
    LINUX_FUSE_FSYNCDIR = 30,
    LINUX_FUSE_CREATE = 35,
    LINUX_FUSE_INTERRUPT = 36,
    LINUX_FUSE_FALLOCATE = 43,
    LINUX_FUSE_RENAME2 = 45,
};

enum linux_fuse_notify {
    LINUX_FUSE_NOTIFY_INVAL_INODE = 2,
    LINUX_FUSE_NOTIFY_INVAL_ENTRY = 3,
    LINUX_FUSE_NOTIFY_DELETE = 6,
};

/* setattr_in.valid */
enum {
    LINUX_FATTR_MODE = 1,
    LINUX_FATTR_UID = 2,
    LINUX_FATTR_GID = 4,
    LINUX_FATTR_SIZE = 8,
    LINUX_FATTR_ATIME = 16,
    LINUX_FATTR_MTIME = 32,
    LINUX_FATTR_ATIME_NOW = 128,
    LINUX_FATTR_MTIME_NOW = 256,
    LINUX_FATTR_CTIME = 1024,
};
/* init flags */
enum { LINUX_FUSE_BIG_WRITES = 1 << 5 };
/* open_out.open_flags */
enum { LINUX_FOPEN_DIRECT_IO = 1, LINUX_FOPEN_NONSEEKABLE = 4 };

struct linux_fuse_in_header {
    uint32_t len, opcode;
    uint64_t unique, nodeid;
    uint32_t uid, gid, pid, padding;
};
struct linux_fuse_out_header {
    uint32_t len;
    int32_t error;
    uint64_t unique;
};
struct linux_fuse_attr {
    uint64_t ino, size, blocks, atime, mtime, ctime;
    uint32_t atimensec, mtimensec, ctimensec, mode, nlink, uid, gid, rdev, blksize, flags;
};
struct linux_fuse_entry_out {
    uint64_t nodeid, generation, entry_valid, attr_valid;
    uint32_t entry_valid_nsec, attr_valid_nsec;
    struct linux_fuse_attr attr;
};
struct linux_fuse_attr_out {
    uint64_t attr_valid;
    uint32_t attr_valid_nsec, dummy;
    struct linux_fuse_attr attr;
};
struct linux_fuse_init_in {
    uint32_t major, minor, max_readahead, flags;
};
struct linux_fuse_init_out {
    uint32_t major, minor, max_readahead, flags;
    uint16_t max_background, congestion_threshold;
    uint32_t max_write, time_gran;
    uint16_t max_pages, map_alignment;
    uint32_t flags2, unused[7];
};
struct linux_fuse_getattr_in {
    uint32_t getattr_flags, dummy;
    uint64_t fh;
};
struct linux_fuse_setattr_in {
    uint32_t valid, padding;
    uint64_t fh, size, lock_owner, atime, mtime, ctime;
    uint32_t atimensec, mtimensec, ctimensec, mode, unused4, uid, gid, unused5;
};
struct linux_fuse_mknod_in {
    uint32_t mode, rdev, umask, padding;
};
struct linux_fuse_mkdir_in {
    uint32_t mode, umask;
};
struct linux_fuse_rename_in {
    uint64_t newdir;
};
struct linux_fuse_rename2_in {
    uint64_t newdir;
    uint32_t flags, padding;
};
struct linux_fuse_link_in {
    uint64_t oldnodeid;
};
struct linux_fuse_open_in {
    uint32_t flags, open_flags;
};
struct linux_fuse_create_in {
    uint32_t flags, mode, umask, open_flags;
};
struct linux_fuse_open_out {
    uint64_t fh;
    uint32_t open_flags, padding;
};
struct linux_fuse_create_out {
    struct linux_fuse_entry_out entry;
    struct linux_fuse_open_out open;
};
struct linux_fuse_release_in {
    uint64_t fh;
    uint32_t flags, release_flags;
    uint64_t lock_owner;
};
struct linux_fuse_flush_in {
    uint64_t fh;
    uint32_t unused, padding;
    uint64_t lock_owner;
};
struct linux_fuse_read_in { /* writes too */
    uint64_t fh, offset;
    uint32_t size, read_flags;
    uint64_t lock_owner;
    uint32_t flags, padding;
};
struct linux_fuse_write_out {
    uint32_t size, padding;
};
struct linux_fuse_statfs_out {
    uint64_t blocks, bfree, bavail, files, ffree;
    uint32_t bsize, namelen, frsize, padding, spare[6];
};
struct linux_fuse_fsync_in {
    uint64_t fh;
    uint32_t fsync_flags, padding;
};
struct linux_fuse_setxattr_in {
    uint32_t size, flags;
};
struct linux_fuse_getxattr_io { /* in and out */
    uint32_t size, padding;
};
struct linux_fuse_fallocate_in {
    uint64_t fh, offset, length;
    uint32_t mode, padding;
};
struct linux_fuse_forget_in {
    uint64_t nlookup;
};
struct linux_fuse_interrupt_in {
    uint64_t unique;
};
struct linux_fuse_dirent {
    uint64_t ino, off;
    uint32_t namelen, type;
};
struct linux_fuse_notify_inval_inode_out {
    uint64_t ino;
    int64_t off, len;
};
struct linux_fuse_notify_inval_entry_out {
    uint64_t parent;
    uint32_t namelen, flags;
};
