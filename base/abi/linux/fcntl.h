/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/fcntl.h: guest ABI, x86-64: open, fcntl, *at, lseek, rename, locks, seals, read/write flags.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* open(2) flags */
#define LINUX_O_ACCMODE   03
#define LINUX_O_RDONLY    00
#define LINUX_O_WRONLY    01
#define LINUX_O_RDWR      02
#define LINUX_O_CREAT     0100
#define LINUX_O_EXCL      0200
#define LINUX_O_NOCTTY    0400
#define LINUX_O_TRUNC     01000
#define LINUX_O_APPEND    02000
#define LINUX_O_NONBLOCK  04000
#define LINUX_O_DSYNC     010000
#define LINUX_O_ASYNC     020000
#define LINUX_O_DIRECT    040000
#define LINUX_O_LARGEFILE 0100000
#define LINUX_O_DIRECTORY 0200000
#define LINUX_O_NOFOLLOW  0400000
#define LINUX_O_NOATIME   01000000
#define LINUX_O_CLOEXEC   02000000
#define LINUX_O_SYNC      04010000
#define LINUX_O_PATH      010000000
#define LINUX_O_TMPFILE   020200000

/* fcntl(2) commands */
#define LINUX_F_DUPFD             0
#define LINUX_F_GETFD             1
#define LINUX_F_SETFD             2
#define LINUX_F_GETFL             3
#define LINUX_F_SETFL             4
#define LINUX_F_GETLK             5
#define LINUX_F_SETLK             6
#define LINUX_F_SETLKW            7
#define LINUX_F_SETOWN            8
#define LINUX_F_GETOWN            9
#define LINUX_F_SETSIG            10
#define LINUX_F_GETSIG            11
#define LINUX_F_SETOWN_EX         15
#define LINUX_F_GETOWN_EX         16
#define LINUX_F_GETOWNER_UIDS     17
#define LINUX_F_OFD_GETLK         36
#define LINUX_F_OFD_SETLK         37
#define LINUX_F_OFD_SETLKW        38
#define LINUX_F_OWNER_TID         0
#define LINUX_F_OWNER_PID         1
#define LINUX_F_OWNER_PGRP        2
#define LINUX_F_RDLCK             0
#define LINUX_F_WRLCK             1
#define LINUX_F_UNLCK             2
#define LINUX_F_EXLCK             4
#define LINUX_F_SHLCK             8
#define LINUX_F_SETLEASE          1024
#define LINUX_F_GETLEASE          1025
#define LINUX_F_DUPFD_QUERY       1027
#define LINUX_F_CREATED_QUERY     1028
#define LINUX_F_CANCELLK          1029
#define LINUX_F_DUPFD_CLOEXEC     1030
#define LINUX_F_NOTIFY            1026
#define LINUX_F_SETPIPE_SZ        1031
#define LINUX_F_GETPIPE_SZ        1032
#define LINUX_F_ADD_SEALS         1033
#define LINUX_F_GET_SEALS         1034
#define LINUX_F_SEAL_SEAL         0x1
#define LINUX_F_SEAL_SHRINK       0x2
#define LINUX_F_SEAL_GROW         0x4
#define LINUX_F_SEAL_WRITE        0x8
#define LINUX_F_SEAL_FUTURE_WRITE 0x10
#define LINUX_F_GET_RW_HINT       1035
#define LINUX_F_SET_RW_HINT       1036
#define LINUX_F_GET_FILE_RW_HINT  1037
#define LINUX_F_SET_FILE_RW_HINT  1038
#define LINUX_FD_CLOEXEC          1

/* flock(2), F_NOTIFY */
#define LINUX_LOCK_SH      1
#define LINUX_LOCK_EX      2
#define LINUX_LOCK_NB      4
#define LINUX_LOCK_UN      8
#define LINUX_LOCK_MAND    32
#define LINUX_LOCK_READ    64
#define LINUX_LOCK_WRITE   128
#define LINUX_LOCK_RW      192
#define LINUX_DN_ACCESS    0x1
#define LINUX_DN_MODIFY    0x2
#define LINUX_DN_CREATE    0x4
#define LINUX_DN_DELETE    0x8
#define LINUX_DN_RENAME    0x10
#define LINUX_DN_ATTRIB    0x20
#define LINUX_DN_MULTISHOT 0x80000000u

/* directory descriptor and flags of the *at calls */
#define LINUX_AT_FDCWD              (-100)
#define LINUX_AT_SYMLINK_NOFOLLOW   0x100
#define LINUX_AT_EACCESS            0x200
#define LINUX_AT_REMOVEDIR          0x200
#define LINUX_AT_SYMLINK_FOLLOW     0x400
#define LINUX_AT_NO_AUTOMOUNT       0x800
#define LINUX_AT_EMPTY_PATH         0x1000
#define LINUX_AT_STATX_SYNC_TYPE    0x6000
#define LINUX_AT_STATX_SYNC_AS_STAT 0x0
#define LINUX_AT_STATX_FORCE_SYNC   0x2000
#define LINUX_AT_STATX_DONT_SYNC    0x4000
#define LINUX_AT_RECURSIVE          0x8000

/* lseek(2) */
#define LINUX_SEEK_SET  0
#define LINUX_SEEK_CUR  1
#define LINUX_SEEK_END  2
#define LINUX_SEEK_DATA 3
#define LINUX_SEEK_HOLE 4
#define LINUX_SEEK_MAX  4

/* renameat2(2) */
#define LINUX_RENAME_NOREPLACE 0x1
#define LINUX_RENAME_EXCHANGE  0x2
#define LINUX_RENAME_WHITEOUT  0x4

/* openat2(2) */
#define LINUX_RESOLVE_NO_XDEV       0x1
#define LINUX_RESOLVE_NO_MAGICLINKS 0x2
#define LINUX_RESOLVE_NO_SYMLINKS   0x4
#define LINUX_RESOLVE_BENEATH       0x8
#define LINUX_RESOLVE_IN_ROOT       0x10
#define LINUX_RESOLVE_CACHED        0x20

/* fallocate(2), posix_fadvise(2), sync_file_range(2) */
#define LINUX_FALLOC_FL_KEEP_SIZE            0x1
#define LINUX_FALLOC_FL_PUNCH_HOLE           0x2
#define LINUX_FALLOC_FL_NO_HIDE_STALE        0x4
#define LINUX_FALLOC_FL_COLLAPSE_RANGE       0x8
#define LINUX_FALLOC_FL_ZERO_RANGE           0x10
#define LINUX_FALLOC_FL_INSERT_RANGE         0x20
#define LINUX_FALLOC_FL_UNSHARE_RANGE        0x40
#define LINUX_POSIX_FADV_NORMAL              0
#define LINUX_POSIX_FADV_RANDOM              1
#define LINUX_POSIX_FADV_SEQUENTIAL          2
#define LINUX_POSIX_FADV_WILLNEED            3
#define LINUX_POSIX_FADV_DONTNEED            4
#define LINUX_POSIX_FADV_NOREUSE             5
#define LINUX_SYNC_FILE_RANGE_WAIT_BEFORE    1
#define LINUX_SYNC_FILE_RANGE_WRITE          2
#define LINUX_SYNC_FILE_RANGE_WAIT_AFTER     4
#define LINUX_SYNC_FILE_RANGE_WRITE_AND_WAIT 0x7

/* preadv2(2) and pwritev2(2) */
#define LINUX_RWF_HIPRI     0x1
#define LINUX_RWF_DSYNC     0x2
#define LINUX_RWF_SYNC      0x4
#define LINUX_RWF_NOWAIT    0x8
#define LINUX_RWF_APPEND    0x10
#define LINUX_RWF_NOAPPEND  0x20
#define LINUX_RWF_ATOMIC    0x40
#define LINUX_RWF_DONTCACHE 0x80
#define LINUX_RWF_NOSIGNAL  0x100

/* memfd_create(2) */
#define LINUX_MFD_CLOEXEC       0x1
#define LINUX_MFD_ALLOW_SEALING 0x2

/* close_range(2) */
#define LINUX_CLOSE_RANGE_UNSHARE 0x2
#define LINUX_CLOSE_RANGE_CLOEXEC 0x4

struct linux_flock {
    int16_t type, whence;
    int64_t start, len;
    int32_t pid;
};
ABI_SIZE(linux_flock, 32);
ABI_OFFSET(linux_flock, start, 8);
ABI_OFFSET(linux_flock, pid, 24);

struct linux_f_owner_ex {
    int32_t type, pid;
};
ABI_SIZE(linux_f_owner_ex, 8);

struct linux_open_how {
    uint64_t flags, mode, resolve;
};
ABI_SIZE(linux_open_how, 24);

/* name_to_handle_at(2) */
#define LINUX_AT_HANDLE_FID           0x200
#define LINUX_AT_HANDLE_MNT_ID_UNIQUE 0x1
#define LINUX_MAX_HANDLE_SZ           128

/* handle_bytes of the opaque part follow. */
struct linux_file_handle {
    uint32_t handle_bytes;
    int32_t handle_type;
};
ABI_SIZE(linux_file_handle, 8);
