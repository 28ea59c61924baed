/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/landlock.h: structures and numbers of landlock(7), landlock_create_ruleset(2),
 * landlock_add_rule(2), landlock_restrict_self(2).
 */
#pragma once

#include <stdint.h>

struct linux_landlock_ruleset_attr {
    uint64_t handled_access_fs, handled_access_net, scoped;
};
enum { LINUX_LANDLOCK_ATTR_MIN = 8 };

struct linux_landlock_path_beneath {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

struct linux_landlock_net_port {
    uint64_t allowed_access, port;
};

#define LINUX_LANDLOCK_CREATE_VERSION 1
#define LINUX_LANDLOCK_CREATE_ERRATA  2

#define LINUX_LANDLOCK_RULE_PATH_BENEATH 1
#define LINUX_LANDLOCK_RULE_NET_PORT     2

#define LINUX_LANDLOCK_FS_EXECUTE     (1ull << 0)
#define LINUX_LANDLOCK_FS_WRITE_FILE  (1ull << 1)
#define LINUX_LANDLOCK_FS_READ_FILE   (1ull << 2)
#define LINUX_LANDLOCK_FS_READ_DIR    (1ull << 3)
#define LINUX_LANDLOCK_FS_REMOVE_DIR  (1ull << 4)
#define LINUX_LANDLOCK_FS_REMOVE_FILE (1ull << 5)
#define LINUX_LANDLOCK_FS_MAKE_CHAR   (1ull << 6)
#define LINUX_LANDLOCK_FS_MAKE_DIR    (1ull << 7)
#define LINUX_LANDLOCK_FS_MAKE_REG    (1ull << 8)
#define LINUX_LANDLOCK_FS_MAKE_SOCK   (1ull << 9)
#define LINUX_LANDLOCK_FS_MAKE_FIFO   (1ull << 10)
#define LINUX_LANDLOCK_FS_MAKE_BLOCK  (1ull << 11)
#define LINUX_LANDLOCK_FS_MAKE_SYM    (1ull << 12)
#define LINUX_LANDLOCK_FS_REFER       (1ull << 13)
#define LINUX_LANDLOCK_FS_TRUNCATE    (1ull << 14)
#define LINUX_LANDLOCK_FS_IOCTL_DEV   (1ull << 15)
#define LINUX_LANDLOCK_FS_ALL         ((1ull << 16) - 1)

#define LINUX_LANDLOCK_NET_BIND_TCP    (1ull << 0)
#define LINUX_LANDLOCK_NET_CONNECT_TCP (1ull << 1)
#define LINUX_LANDLOCK_NET_ALL         ((1ull << 2) - 1)
