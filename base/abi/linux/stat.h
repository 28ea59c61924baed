/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/stat.h: guest ABI, x86-64: stat(2), statx(2), modes.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* file types and permissions */
#define LINUX_S_IFMT   0170000
#define LINUX_S_IFSOCK 0140000
#define LINUX_S_IFLNK  0120000
#define LINUX_S_IFREG  0100000
#define LINUX_S_IFBLK  060000
#define LINUX_S_IFDIR  040000
#define LINUX_S_IFCHR  020000
#define LINUX_S_IFIFO  010000
#define LINUX_S_IRWXU  0700
#define LINUX_S_IRUSR  0400
#define LINUX_S_IWUSR  0200
#define LINUX_S_IXUSR  0100
#define LINUX_S_IRWXG  070
#define LINUX_S_IRGRP  040
#define LINUX_S_IWGRP  020
#define LINUX_S_IXGRP  010
#define LINUX_S_IRWXO  07
#define LINUX_S_IROTH  04
#define LINUX_S_IWOTH  02
#define LINUX_S_IXOTH  01

/* statx(2) mask */
#define LINUX_STATX_TYPE          0x1
#define LINUX_STATX_MODE          0x2
#define LINUX_STATX_NLINK         0x4
#define LINUX_STATX_UID           0x8
#define LINUX_STATX_GID           0x10
#define LINUX_STATX_ATIME         0x20
#define LINUX_STATX_MTIME         0x40
#define LINUX_STATX_CTIME         0x80
#define LINUX_STATX_INO           0x100
#define LINUX_STATX_SIZE          0x200
#define LINUX_STATX_BLOCKS        0x400
#define LINUX_STATX_BASIC_STATS   0x7ff
#define LINUX_STATX_BTIME         0x800
#define LINUX_STATX_MNT_ID        0x1000
#define LINUX_STATX_DIOALIGN      0x2000
#define LINUX_STATX_MNT_ID_UNIQUE 0x4000
#define LINUX_STATX_SUBVOL        0x8000
#define LINUX_STATX__RESERVED     0x80000000u
#define LINUX_STATX_ALL           0xfff

/* statx(2) attributes */
#define LINUX_STATX_ATTR_COMPRESSED 0x4
#define LINUX_STATX_ATTR_IMMUTABLE  0x10
#define LINUX_STATX_ATTR_APPEND     0x20
#define LINUX_STATX_ATTR_NODUMP     0x40
#define LINUX_STATX_ATTR_ENCRYPTED  0x800
#define LINUX_STATX_ATTR_AUTOMOUNT  0x1000
#define LINUX_STATX_ATTR_MOUNT_ROOT 0x2000
#define LINUX_STATX_ATTR_VERITY     0x100000
#define LINUX_STATX_ATTR_DAX        0x200000

#define LINUX_S_ISUID 04000
#define LINUX_S_ISGID 02000
#define LINUX_S_ISVTX 01000

/* newstat of x86-64 */
struct linux_stat {
    uint64_t dev, ino, nlink;
    uint32_t mode, uid, gid, pad;
    uint64_t rdev;
    int64_t size, blksize, blocks; /* blocks of 512 bytes */
    int64_t atime_sec;
    uint64_t atime_nsec;
    int64_t mtime_sec;
    uint64_t mtime_nsec;
    int64_t ctime_sec;
    uint64_t ctime_nsec;
    int64_t unused[3];
};
ABI_SIZE(linux_stat, 144);
ABI_OFFSET(linux_stat, rdev, 40);
ABI_OFFSET(linux_stat, atime_sec, 72);

struct linux_statx_timestamp {
    int64_t sec;
    uint32_t nsec;
    int32_t reserved;
};
ABI_SIZE(linux_statx_timestamp, 16);

struct linux_statx {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, spare0;
    uint64_t ino, size, blocks, attributes_mask;
    struct linux_statx_timestamp atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t mnt_id;
    uint32_t dio_mem_align, dio_offset_align;
    uint64_t spare3[12];
};
ABI_SIZE(linux_statx, 256);
ABI_OFFSET(linux_statx, atime, 64);
ABI_OFFSET(linux_statx, mnt_id, 144);

/* cachestat(2) */
struct linux_cachestat_range {
    uint64_t off, len;
};
ABI_SIZE(linux_cachestat_range, 16);
struct linux_cachestat {
    uint64_t nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted;
};
ABI_SIZE(linux_cachestat, 40);
