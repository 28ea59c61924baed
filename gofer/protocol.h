/* SPDX-License-Identifier: Apache-2.0
 * gofer/protocol.h: what the sentry and its gofer say to each other. Shared by both sides; neither trusts the
 * other.
 *
 * Transport: AF_UNIX SOCK_SEQPACKET, one message a packet, descriptors by SCM_RIGHTS from the gofer to the
 * sentry only. A *channel* is one such socket and carries one request at a time: request, reply, request, ...
 * Several sentry threads use several channels (GOFER_CHANNEL donates one more), each served by a thread of
 * its own in the gofer, so that no request waits for another and no lock is held across one on either side.
 * Handles belong to the connection: every channel of it may use them.
 *
 * Every message is a header, a fixed struct, and then variable parts in the order given beside the struct:
 *   name    uint16_t size, then the bytes; 1..255 of them, no '/', no NUL, not "." and not "..".
 *   bytes   as many as the fixed struct says, or all that are left.
 * All integers are of the host (both sides are one machine, one binary); structs hold no padding that is not
 * named and named padding is zero. Whoever breaks a rule gets -EPROTO (the gofer answers; the sentry drops
 * the connection).
 *
 * Names: the gofer resolves one name at a time beneath a directory handle and follows nothing: a symbolic
 * link is returned as itself with its target; what it means is the sentry's business, as are permissions,
 * `..` and mounts. Descriptors: only regular files (and, where a root allows them, sockets) are ever donated,
 * never a directory, a device or an O_PATH descriptor. One opened for reading is O_RDONLY, so that no
 * mprotect can make its pages writable.
 */
#pragma once

#include <stdint.h>

#define GOFER_PROTOCOL_VERSION 1

#define GOFER_NAME_MAX     255
#define GOFER_TARGET_MAX   4095 /* of a symbolic link */
#define GOFER_WALK_MAX     64   /* names in one WALK */
#define GOFER_CLOSE_MAX    1024 /* handles in one CLOSE */
#define GOFER_ROOTS_MAX    256
#define GOFER_CHANNELS_MAX 32
#define GOFER_PAYLOAD_MAX  65536 /* one xattr value or list, one page of a directory */
#define GOFER_MESSAGE_MAX  (GOFER_PAYLOAD_MAX + 4096)

enum gofer_type {
    GOFER_HELLO = 1,
    GOFER_CHANNEL,
    GOFER_WALK,
    GOFER_OPEN,
    GOFER_CREATE,
    GOFER_MKDIR,
    GOFER_MKNOD,
    GOFER_SYMLINK,
    GOFER_LINK,
    GOFER_UNLINK,
    GOFER_RENAME,
    GOFER_READLINK,
    GOFER_GETATTR,
    GOFER_SETATTR,
    GOFER_LISTDIR,
    GOFER_GETXATTR,
    GOFER_SETXATTR,
    GOFER_LISTXATTR,
    GOFER_REMOVEXATTR,
    GOFER_STATFS,
    GOFER_FSYNC,
    GOFER_CLOSE,
    GOFER_CONNECT,
    GOFER_BIND,
    GOFER_WATCH,
    GOFER_OPEN_AT,
    GOFER_TYPES,
};

struct gofer_request_header {
    uint32_t size; /* of the whole message */
    uint16_t type; /* enum gofer_type */
    uint16_t version;
    uint32_t seq; /* the reply's */
    uint32_t cpu; /* where the sender runs, + 1; 0: it does not say. The gofer may serve the channel there: a
                   * hand-over to another cpu that sleeps costs ten times as much */
};

/* error is 0 or -4095..-1; a reply with an error is the header alone, without descriptors. */
struct gofer_reply_header {
    uint32_t size;
    uint16_t type;
    uint16_t fd_count;
    uint32_t seq;
    int32_t error;
};

/* An open file object in the gofer, pinned until CLOSE, whatever is renamed or unlinked. 0 is none. */
typedef uint64_t gofer_handle_t;

struct gofer_time {
    int64_t sec;
    uint32_t nsec;
    uint32_t zero;
};

#define GOFER_ATTR_BTIME     1u /* btime is known */
#define GOFER_ATTR_IMMUTABLE 2u /* chattr +i */
#define GOFER_ATTR_APPEND    4u /* chattr +a */

struct gofer_attr {
    uint64_t ino, size, blocks;
    uint32_t mode, nlink, uid, gid;
    uint32_t dev_major, dev_minor, rdev_major, rdev_minor;
    uint32_t blksize, flags;
    struct gofer_time atime, mtime, ctime, btime;
};

/* A file that was walked to or made. watch: the inotify watch of a directory under a watched root, -1 if
 * none. */
struct gofer_node {
    gofer_handle_t handle;
    int32_t watch;
    uint32_t zero;
    struct gofer_attr attr;
};

/* HELLO: the first request of a connection, on its first channel. Donates the inotify descriptor if a root is
 * watched or shared and the host has inotify: the sentry reads events from it directly, so that a change made
 * by another process of the host is in the queue before that process's own call returns. */
struct gofer_hello {
    uint32_t version;
    uint32_t zero;
};
#define GOFER_ROOT_READ_ONLY 1u
#define GOFER_ROOT_EXCLUSIVE 2u  /* no one else writes: cache freely */
#define GOFER_ROOT_WATCHED   4u  /* cache; directories are watched from the moment they have a handle */
#define GOFER_ROOT_SHARED    8u  /* revalidate */
#define GOFER_ROOT_SOCKETS   16u /* CONNECT and BIND are allowed */
#define GOFER_ROOT_FLAGS     31u
struct gofer_root {
    uint32_t id; /* position in the gofer's configuration */
    uint32_t flags;
    struct gofer_node node;
};
struct gofer_hello_reply { /* then root_count x struct gofer_root */
    uint32_t version, root_count, message_max;
    uint32_t handle_max; /* how many handles there may be at once; WALK and the like then give -EMFILE */
};

/* CHANNEL: no body, donates a socket. -EMFILE at GOFER_CHANNELS_MAX. */

/* WALK: from a directory by up to GOFER_WALK_MAX names. Ends early after a file that is no directory. */
#define GOFER_WALK_NO_HANDLE 1u /* one name only: its attributes; the node's handle is 0 */
struct gofer_walk {             /* then `count` names */
    gofer_handle_t handle;
    uint32_t count, flags;
};
struct gofer_walk_reply { /* then `count` struct gofer_node, then target_size bytes */
    uint32_t count;       /* steps that succeeded */
    int32_t error;        /* why the next one did not; 0 if it was not tried */
    uint32_t target_size; /* of the last node if that is a symbolic link, else 0 */
    uint32_t zero;
};

/* OPEN: donates a descriptor of a regular file. */
#define GOFER_READ          0u /* the values of O_ACCMODE */
#define GOFER_WRITE         1u
#define GOFER_READ_WRITE    2u
#define GOFER_OPEN_TRUNCATE 1u
struct gofer_open {
    gofer_handle_t handle;
    uint32_t access, flags;
};
/* OPEN_AT: one step of a walk and OPEN at once, without a handle: donates a descriptor of the regular file
 * that the name leads to. Reply: gofer_attr_reply. */
struct gofer_open_at { /* then a name */
    gofer_handle_t parent;
    uint32_t access, zero;
};
struct gofer_attr_reply {
    struct gofer_attr attr;
};

/* CREATE: a new regular file (never an existing one: -EEXIST), open; donates its descriptor. Owner and mode
 * are as given, whatever the gofer's own ids and the directory's setgid bit. */
#define GOFER_CREATE_TMPFILE 1u /* no name: O_TMPFILE; LINK may name it later */
struct gofer_create {           /* then a name unless TMPFILE */
    gofer_handle_t parent;
    uint32_t mode, uid, gid, access, flags, zero;
};
struct gofer_node_reply {
    struct gofer_node node;
};

/* MKDIR, MKNOD. MKNOD: regular file, FIFO, socket, and character device 0:0 (a whiteout); others are -EPERM.
 */
struct gofer_make { /* then a name */
    gofer_handle_t parent;
    uint32_t mode, uid, gid, rdev_major, rdev_minor, zero;
};
struct gofer_symlink { /* then a name, then the target: all that is left */
    gofer_handle_t parent;
    uint32_t uid, gid;
};
struct gofer_link { /* then a name; the reply is a gofer_attr_reply */
    gofer_handle_t handle, parent;
};
#define GOFER_UNLINK_DIR 1u
struct gofer_unlink { /* then a name; empty reply */
    gofer_handle_t parent;
    uint32_t flags, zero;
};
#define GOFER_RENAME_NOREPLACE 1u /* the values of RENAME_* */
#define GOFER_RENAME_EXCHANGE  2u
#define GOFER_RENAME_WHITEOUT  4u
struct gofer_rename { /* then the old name, then the new one; empty reply */
    gofer_handle_t old_parent, new_parent;
    uint32_t flags, zero;
};
struct gofer_handle_only { /* READLINK (reply: bytes), GETATTR (gofer_attr_reply), STATFS (gofer_statfs_reply)
                            */
    gofer_handle_t handle;
};

#define GOFER_SET_MODE      1u
#define GOFER_SET_UID       2u
#define GOFER_SET_GID       4u
#define GOFER_SET_SIZE      8u
#define GOFER_SET_ATIME     16u
#define GOFER_SET_MTIME     32u
#define GOFER_SET_ATIME_NOW 64u
#define GOFER_SET_MTIME_NOW 128u
#define GOFER_SET_ALL       255u
/* SETATTR: in the order size, owner, mode, times; ends at the first that fails. Reply: gofer_attr_reply. */
struct gofer_setattr {
    gofer_handle_t handle;
    uint32_t mask, mode, uid, gid;
    uint64_t size;
    struct gofer_time atime, mtime;
};

/* LISTDIR: one page of a directory without "." and "..", from `cookie` (0: from the start) on. */
struct gofer_listdir {
    gofer_handle_t handle;
    uint64_t cookie;
    uint32_t size; /* bytes of entries wanted at most, 1024..GOFER_PAYLOAD_MAX */
    uint32_t zero;
};
struct gofer_dirent { /* then the name, then zeros up to entry_size, a multiple of 8 */
    uint64_t cookie;  /* goes on after this entry */
    uint64_t ino;
    uint32_t entry_size;
    uint16_t name_size;
    uint8_t type; /* DT_* */
    uint8_t has_attr;
    struct gofer_attr attr;
};
#define GOFER_LIST_END 1u
struct gofer_listdir_reply { /* then `count` entries */
    uint32_t count, flags;
    uint64_t cookie; /* where the next page starts */
};

/* GETXATTR, LISTXATTR: size 0 asks for the size alone (reply without bytes); -ERANGE as on Linux. Only
 * user.*, security.capability and system.posix_acl_* exist; a list shows no others, names end with NUL. */
struct gofer_getxattr { /* then a name (GETXATTR only), of at most 255 bytes, '/' allowed */
    gofer_handle_t handle;
    uint32_t size, zero;
};
struct gofer_bytes_reply { /* then `size` bytes, or none where only the size was asked for */
    uint32_t size, zero;
};
struct gofer_setxattr { /* then a name, then the value: all that is left; empty reply */
    gofer_handle_t handle;
    uint32_t flags, zero; /* XATTR_CREATE 1, XATTR_REPLACE 2 */
};
struct gofer_removexattr { /* then a name; empty reply */
    gofer_handle_t handle;
};

struct gofer_statfs_reply {
    uint64_t type, block_size, blocks, blocks_free, blocks_available, files, files_free;
    uint64_t fsid, name_max, fragment_size, flags;
};

#define GOFER_SYNC_DATA 1u /* fdatasync */
#define GOFER_SYNC_FS   2u /* syncfs */
struct gofer_fsync {       /* empty reply */
    gofer_handle_t handle;
    uint32_t flags, zero;
};

/* CLOSE: all are closed even if one is unknown (then -EBADF). Empty reply. */
struct gofer_close { /* then `count` gofer_handle_t */
    uint32_t count, zero;
};

/* CONNECT: donates a socket connected to the one at `handle`. BIND: makes a socket file and donates the bound
 * socket; reply gofer_node_reply. type: SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET. */
struct gofer_connect {
    gofer_handle_t handle;
    uint32_t type, zero;
};
struct gofer_bind { /* then a name */
    gofer_handle_t parent;
    uint32_t type, mode, uid, gid;
};

/* WATCH: adds events (IN_*, those of inotify(7) from IN_ACCESS to IN_MOVE_SELF) to the watch of a file; the
 * watch lasts until the last handle of that file that asked for one is closed. -EOPNOTSUPP where HELLO
 * donated no descriptor. */
struct gofer_watch {
    gofer_handle_t handle;
    uint32_t mask, zero;
};
struct gofer_watch_reply {
    int32_t watch;
    uint32_t zero;
};

_Static_assert(sizeof(struct gofer_request_header) == 16, "wire");
_Static_assert(sizeof(struct gofer_reply_header) == 16, "wire");
_Static_assert(sizeof(struct gofer_attr) == 128, "wire");
_Static_assert(sizeof(struct gofer_node) == 144, "wire");
_Static_assert(sizeof(struct gofer_root) == 152, "wire");
_Static_assert(sizeof(struct gofer_walk) == 16 && sizeof(struct gofer_walk_reply) == 16, "wire");
_Static_assert(sizeof(struct gofer_create) == 32 && sizeof(struct gofer_make) == 32, "wire");
_Static_assert(sizeof(struct gofer_setattr) == 64, "wire");
_Static_assert(sizeof(struct gofer_dirent) == 152, "wire");
_Static_assert(sizeof(struct gofer_statfs_reply) == 88, "wire");
_Static_assert(GOFER_ROOTS_MAX * sizeof(struct gofer_root) < GOFER_MESSAGE_MAX - 64, "wire");
