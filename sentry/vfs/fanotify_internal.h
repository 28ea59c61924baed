/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/fanotify_internal.h: groups, marks, events: what the files of fanotify share.
 */
#pragma once

#include "base/abi/linux/fanotify.h"
#include "sentry/vfs/fanotify.h"
#include "sentry/vfs/vfs_internal.h"

enum fan_mark_type { FAN_INODE, FAN_MOUNT, FAN_FILESYSTEM };
#define FAN_FID_MODE                                                                                         \
    (LINUX_FAN_REPORT_FID | LINUX_FAN_REPORT_DIR_FID | LINUX_FAN_REPORT_NAME | LINUX_FAN_REPORT_TARGET_FID)
#define FAN_NAME_EVENTS                                                                                      \
    (LINUX_IN_CREATE | LINUX_IN_DELETE | LINUX_IN_MOVED_FROM | LINUX_IN_MOVED_TO | LINUX_FAN_RENAME)
#define FAN_PERMISSION_EVENTS (LINUX_FAN_OPEN_PERM | LINUX_FAN_ACCESS_PERM | LINUX_FAN_OPEN_EXEC_PERM)

struct fan_group {
    struct ref ref;
    struct vfs *vfs;
    uint32_t flags, event_flags; /* constant */
    struct waitq queue;          /* readers */
    struct waitq responses;      /* who waits to be allowed */
    struct mutex lock;           /* RANK_EVENT; the rest */
    struct list events, asked;   /* of fan_event.node: to be read; read, and waiting for a response */
    size_t event_count;
    bool overflowed, closed;
    size_t mark_count; /* fan_lock */
};
DECLARE_REF(fan_group);

struct fan_mark {
    struct list node;        /* vfs.fan_marks; fan_lock for all of it */
    struct fan_group *group; /* borrowed: its file's end takes its marks along */
    enum fan_mark_type type;
    struct inode *inode;         /* reference, FAN_INODE */
    const struct mount *mount;   /* FAN_MOUNT: compared only; fanotify_mount_gone() */
    const struct filesystem *fs; /* all: compared only; fanotify_fs_gone() */
    uint64_t mask, ignored;
    bool ignored_survives; /* a change of the file */
};

struct fan_object { /* what a handle is made of */
    uint64_t dev, ino;
};

struct fan_event {
    struct ref ref;
    struct list node; /* group.lock */
    uint64_t mask;
    struct path path;              /* references; to be opened. Empty with FID_MODE */
    struct fan_object object, dir; /* ino 0: none */
    char *name;                    /* heap, or NULL */
    struct pid *pid;               /* reference, or NULL */
    int fd;                        /* asked: by which number the response names it */
    uint32_t response;             /* 0: none yet */
};
DECLARE_REF(fan_event);

/* fanotify_event.c */
struct fan_event *fan_take_event(struct fan_group *g);
void fan_flush(struct fan_group *g);
/* Marks of `g` on what `like` (or any, NULL) marks; with references dropped outside the lock. */
void fan_drop_marks(struct vfs *v, bool (*which)(const struct fan_mark *m, const void *arg), const void *arg);
