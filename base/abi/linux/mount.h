/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/mount.h: guest ABI, x86-64: mounts, statfs.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* mount(2) */
#define LINUX_MS_RDONLY      1
#define LINUX_MS_NOSUID      2
#define LINUX_MS_NODEV       4
#define LINUX_MS_NOEXEC      8
#define LINUX_MS_SYNCHRONOUS 16
#define LINUX_MS_REMOUNT     32
#define LINUX_MS_MANDLOCK    64
#define LINUX_MS_DIRSYNC     128
#define LINUX_MS_NOSYMFOLLOW 256
#define LINUX_MS_NOATIME     1024
#define LINUX_MS_NODIRATIME  2048
#define LINUX_MS_BIND        4096
#define LINUX_MS_MOVE        8192
#define LINUX_MS_REC         16384
#define LINUX_MS_VERBOSE     32768
#define LINUX_MS_SILENT      32768
#define LINUX_MS_POSIXACL    0x10000
#define LINUX_MS_UNBINDABLE  0x20000
#define LINUX_MS_PRIVATE     0x40000
#define LINUX_MS_SLAVE       0x80000
#define LINUX_MS_SHARED      0x100000
#define LINUX_MS_RELATIME    0x200000
#define LINUX_MS_I_VERSION   0x800000
#define LINUX_MS_STRICTATIME 0x1000000
#define LINUX_MS_LAZYTIME    0x2000000
#define LINUX_MS_RMT_MASK    0x2800051
#define LINUX_MS_MGC_VAL     0xc0ed0000u
#define LINUX_MS_MGC_MSK     0xffff0000u

/* file system types of statfs(2) */
#define LINUX_AUTOFS_SUPER_MAGIC    0x187
#define LINUX_DEBUGFS_MAGIC         0x64626720
#define LINUX_SECURITYFS_MAGIC      0x73636673
#define LINUX_SELINUX_MAGIC         0xf97cff8cu
#define LINUX_RAMFS_MAGIC           0x858458f6u
#define LINUX_TMPFS_MAGIC           0x1021994
#define LINUX_HUGETLBFS_MAGIC       0x958458f6u
#define LINUX_SQUASHFS_MAGIC        0x73717368
#define LINUX_EXT2_SUPER_MAGIC      0xef53
#define LINUX_EXT3_SUPER_MAGIC      0xef53
#define LINUX_EXT4_SUPER_MAGIC      0xef53
#define LINUX_BTRFS_SUPER_MAGIC     0x9123683eu
#define LINUX_F2FS_SUPER_MAGIC      0xf2f52010u
#define LINUX_ISOFS_SUPER_MAGIC     0x9660
#define LINUX_XFS_SUPER_MAGIC       0x58465342
#define LINUX_OVERLAYFS_SUPER_MAGIC 0x794c7630
#define LINUX_FUSE_SUPER_MAGIC      0x65735546
#define LINUX_MSDOS_SUPER_MAGIC     0x4d44
#define LINUX_EXFAT_SUPER_MAGIC     0x2011bab0
#define LINUX_NFS_SUPER_MAGIC       0x6969
#define LINUX_SMB_SUPER_MAGIC       0x517b
#define LINUX_CIFS_SUPER_MAGIC      0xff534d42u
#define LINUX_SMB2_SUPER_MAGIC      0xfe534d42u
#define LINUX_CGROUP_SUPER_MAGIC    0x27e0eb
#define LINUX_CGROUP2_SUPER_MAGIC   0x63677270
#define LINUX_TRACEFS_MAGIC         0x74726163
#define LINUX_V9FS_MAGIC            0x1021997
#define LINUX_BDEVFS_MAGIC          0x62646576
#define LINUX_BINFMTFS_MAGIC        0x42494e4d
#define LINUX_DEVPTS_SUPER_MAGIC    0x1cd1
#define LINUX_PIPEFS_MAGIC          0x50495045
#define LINUX_PROC_SUPER_MAGIC      0x9fa0
#define LINUX_SOCKFS_MAGIC          0x534f434b
#define LINUX_SYSFS_MAGIC           0x62656572
#define LINUX_ANON_INODE_FS_MAGIC   0x9041934
#define LINUX_NSFS_MAGIC            0x6e736673
#define LINUX_BPF_FS_MAGIC          0xcafe4a11u
#define LINUX_UDF_SUPER_MAGIC       0x15013346
#define LINUX_SECRETMEM_MAGIC       0x5345434d

/* mount_setattr(2), open_tree(2), move_mount(2), fsopen(2), fsmount(2) */
#define LINUX_MOUNT_ATTR_RDONLY       0x1
#define LINUX_MOUNT_ATTR_NOSUID       0x2
#define LINUX_MOUNT_ATTR_NODEV        0x4
#define LINUX_MOUNT_ATTR_NOEXEC       0x8
#define LINUX_MOUNT_ATTR__ATIME       0x70
#define LINUX_MOUNT_ATTR_RELATIME     0x0
#define LINUX_MOUNT_ATTR_NOATIME      0x10
#define LINUX_MOUNT_ATTR_STRICTATIME  0x20
#define LINUX_MOUNT_ATTR_NODIRATIME   0x80
#define LINUX_MOUNT_ATTR_IDMAP        0x100000
#define LINUX_MOUNT_ATTR_NOSYMFOLLOW  0x200000
#define LINUX_OPEN_TREE_CLONE         1
#define LINUX_MOVE_MOUNT_F_SYMLINKS   0x1
#define LINUX_MOVE_MOUNT_F_AUTOMOUNTS 0x2
#define LINUX_MOVE_MOUNT_F_EMPTY_PATH 0x4
#define LINUX_MOVE_MOUNT_T_SYMLINKS   0x10
#define LINUX_MOVE_MOUNT_T_AUTOMOUNTS 0x20
#define LINUX_MOVE_MOUNT_T_EMPTY_PATH 0x40
#define LINUX_MOVE_MOUNT_SET_GROUP    0x100
#define LINUX_MOVE_MOUNT_BENEATH      0x200
#define LINUX_FSOPEN_CLOEXEC          0x1
#define LINUX_FSMOUNT_CLOEXEC         0x1
#define LINUX_FSPICK_CLOEXEC          0x1
#define LINUX_FSPICK_SYMLINK_NOFOLLOW 0x2
#define LINUX_FSPICK_NO_AUTOMOUNT     0x4
#define LINUX_FSPICK_EMPTY_PATH       0x8

/* fsconfig(2) */
#define LINUX_FSCONFIG_SET_FLAG        0
#define LINUX_FSCONFIG_SET_STRING      1
#define LINUX_FSCONFIG_SET_BINARY      2
#define LINUX_FSCONFIG_SET_PATH        3
#define LINUX_FSCONFIG_SET_PATH_EMPTY  4
#define LINUX_FSCONFIG_SET_FD          5
#define LINUX_FSCONFIG_CMD_CREATE      6
#define LINUX_FSCONFIG_CMD_RECONFIGURE 7
#define LINUX_FSCONFIG_CMD_CREATE_EXCL 8

/* statmount(2), listmount(2) */
#define LINUX_STATMOUNT_SB_BASIC       0x1
#define LINUX_STATMOUNT_MNT_BASIC      0x2
#define LINUX_STATMOUNT_PROPAGATE_FROM 0x4
#define LINUX_STATMOUNT_MNT_ROOT       0x8
#define LINUX_STATMOUNT_MNT_POINT      0x10
#define LINUX_STATMOUNT_FS_TYPE        0x20
#define LINUX_STATMOUNT_MNT_NS_ID      0x40
#define LINUX_STATMOUNT_MNT_OPTS       0x80
#define LINUX_STATMOUNT_FS_SUBTYPE     0x100
#define LINUX_STATMOUNT_SB_SOURCE      0x200
#define LINUX_STATMOUNT_OPT_ARRAY      0x400
#define LINUX_STATMOUNT_OPT_SEC_ARRAY  0x800
#define LINUX_STATMOUNT_SUPPORTED_MASK 0x1000
#define LINUX_STATMOUNT_MNT_UIDMAP     0x2000
#define LINUX_STATMOUNT_MNT_GIDMAP     0x4000
#define LINUX_LSMT_ROOT                UINT64_MAX
#define LINUX_LISTMOUNT_REVERSE        1

#define LINUX_MNT_FORCE         1
#define LINUX_MNT_DETACH        2
#define LINUX_MNT_EXPIRE        4
#define LINUX_UMOUNT_NOFOLLOW   8
#define LINUX_OPEN_TREE_CLOEXEC 02000000

/* statfs.flags */
#define LINUX_ST_RDONLY      0x1
#define LINUX_ST_NOSUID      0x2
#define LINUX_ST_NODEV       0x4
#define LINUX_ST_NOEXEC      0x8
#define LINUX_ST_SYNCHRONOUS 0x10
#define LINUX_ST_VALID       0x20
#define LINUX_ST_MANDLOCK    0x40
#define LINUX_ST_NOATIME     0x400
#define LINUX_ST_NODIRATIME  0x800
#define LINUX_ST_RELATIME    0x1000
#define LINUX_ST_NOSYMFOLLOW 0x2000

struct linux_statfs {
    int64_t type, bsize;
    uint64_t blocks, bfree, bavail, files, ffree;
    int32_t fsid[2];
    int64_t namelen, frsize, flags, spare[4];
};
ABI_SIZE(linux_statfs, 120);
ABI_OFFSET(linux_statfs, fsid, 56);
ABI_OFFSET(linux_statfs, flags, 80);

struct linux_mount_attr {
    uint64_t attr_set, attr_clr, propagation, userns_fd;
};
ABI_SIZE(linux_mount_attr, 32);

struct linux_mnt_id_req {
    uint32_t size, spare;
    uint64_t mnt_id, param, mnt_ns_id;
};
ABI_SIZE(linux_mnt_id_req, 32);

/* Members of type uint32_t named *_str are offsets into the text behind the structure. */
struct linux_statmount {
    uint32_t size, mnt_opts_str;
    uint64_t mask;
    uint32_t sb_dev_major, sb_dev_minor;
    uint64_t sb_magic;
    uint32_t sb_flags, fs_type_str;
    uint64_t mnt_id, mnt_parent_id;
    uint32_t mnt_id_old, mnt_parent_id_old;
    uint64_t mnt_attr, mnt_propagation, mnt_peer_group, mnt_master, propagate_from;
    uint32_t mnt_root_str, mnt_point_str;
    uint64_t mnt_ns_id;
    uint32_t fs_subtype_str, sb_source_str, opt_num, opt_array_str, opt_sec_num, opt_sec_array_str;
    uint64_t supported_mask;
    uint32_t mnt_uidmap_num, mnt_uidmap_str, mnt_gidmap_num, mnt_gidmap_str;
    uint64_t spare[43];
};
ABI_SIZE(linux_statmount, 512);
ABI_OFFSET(linux_statmount, mnt_id, 40);
ABI_OFFSET(linux_statmount, mnt_ns_id, 112);
ABI_OFFSET(linux_statmount, supported_mask, 144);
