/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/fanotify.h: guest ABI, x86-64: fanotify(7).
 */
#pragma once

#include "base/abi/linux/abi.h"

/* events; those below 0x1000 are inotify's bits */
#define LINUX_FAN_OPEN_EXEC      0x1000
#define LINUX_FAN_Q_OVERFLOW     0x4000
#define LINUX_FAN_FS_ERROR       0x8000
#define LINUX_FAN_OPEN_PERM      0x10000
#define LINUX_FAN_ACCESS_PERM    0x20000
#define LINUX_FAN_OPEN_EXEC_PERM 0x40000
#define LINUX_FAN_EVENT_ON_CHILD 0x8000000
#define LINUX_FAN_RENAME         0x10000000
#define LINUX_FAN_ONDIR          0x40000000

/* fanotify_init(2) */
#define LINUX_FAN_CLOEXEC           0x1
#define LINUX_FAN_NONBLOCK          0x2
#define LINUX_FAN_CLASS_CONTENT     0x4
#define LINUX_FAN_CLASS_PRE_CONTENT 0x8
#define LINUX_FAN_UNLIMITED_QUEUE   0x10
#define LINUX_FAN_UNLIMITED_MARKS   0x20
#define LINUX_FAN_ENABLE_AUDIT      0x40
#define LINUX_FAN_REPORT_PIDFD      0x80
#define LINUX_FAN_REPORT_TID        0x100
#define LINUX_FAN_REPORT_FID        0x200
#define LINUX_FAN_REPORT_DIR_FID    0x400
#define LINUX_FAN_REPORT_NAME       0x800
#define LINUX_FAN_REPORT_TARGET_FID 0x1000

/* fanotify_mark(2) */
#define LINUX_FAN_MARK_ADD                 0x1
#define LINUX_FAN_MARK_REMOVE              0x2
#define LINUX_FAN_MARK_DONT_FOLLOW         0x4
#define LINUX_FAN_MARK_ONLYDIR             0x8
#define LINUX_FAN_MARK_MOUNT               0x10
#define LINUX_FAN_MARK_IGNORED_MASK        0x20
#define LINUX_FAN_MARK_IGNORED_SURV_MODIFY 0x40
#define LINUX_FAN_MARK_FLUSH               0x80
#define LINUX_FAN_MARK_FILESYSTEM          0x100
#define LINUX_FAN_MARK_EVICTABLE           0x200
#define LINUX_FAN_MARK_IGNORE              0x400

#define LINUX_FAN_ALLOW 1
#define LINUX_FAN_DENY  2
#define LINUX_FAN_NOFD  (-1)

#define LINUX_FANOTIFY_METADATA_VERSION     3
#define LINUX_FAN_EVENT_INFO_TYPE_FID       1
#define LINUX_FAN_EVENT_INFO_TYPE_DFID_NAME 2
#define LINUX_FAN_EVENT_INFO_TYPE_DFID      3
#define LINUX_FAN_EVENT_INFO_TYPE_PIDFD     4

struct linux_fanotify_event_metadata {
    uint32_t event_len;
    uint8_t vers, reserved;
    uint16_t metadata_len;
    uint64_t mask;
    int32_t fd, pid;
};
ABI_SIZE(linux_fanotify_event_metadata, 24);

struct linux_fanotify_response {
    int32_t fd;
    uint32_t response;
};
ABI_SIZE(linux_fanotify_response, 8);

/* A record behind the metadata: header, file system, handle (12 bytes here); then, by type, a name. */
struct linux_fanotify_fid {
    uint8_t info_type, pad;
    uint16_t len;
    int32_t fsid[2];
    uint32_t handle_bytes;
    int32_t handle_type;
    uint32_t handle[3];
};
ABI_SIZE(linux_fanotify_fid, 32);
