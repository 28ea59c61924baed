/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/socket.h: what every socket family implements, and what the socket calls need. Source:
 * socket(2), socket(7), sendmsg(2), cmsg(3).
 *
 * An open socket is a struct socket: a file first, with the family's ops. What peers share (queues, names) is
 * the family's own object behind it. System calls decode addresses, vectors and control messages; families
 * see kernel memory only, but for the payload's uio. Locks: socket.lock (RANK_LEAF) protects the generic
 * options; families have their own (RANK_SOCKET).
 */
#pragma once

#include "base/abi/linux/socket.h"
#include "base/clock.h"
#include "netstack/netstack.h"
#include "sentry/kernel/creds.h"
#include "sentry/vfs/file.h"

struct control_out;
struct socket;
struct task;
struct uio;

struct socket_address {
    uint32_t len; /* bytes of `storage` that count; 0: none */
    struct linux_sockaddr_storage storage;
};

/* Control data on its way: files and the sender's identity. */
struct socket_control {
    struct file **files; /* heap array of references; NULL: none */
    size_t file_count;
    struct user_account *payer; /* reference: for whom they count as in flight; NULL: they are not */
    bool has_creds;
    struct pid *pid; /* reference: the sender's process */
    kuid_t uid;
    kgid_t gid;
};
void socket_control_done(struct socket_control *c); /* drops everything; may block (files) */

struct socket_message {
    struct socket_address *address; /* send: destination or NULL. recv: filled (len 0: none) if not NULL */
    struct uio *data;
    struct socket_control *control; /* send: what goes along, taken when all or the first part is sent. recv:
                                       filled; never NULL */
    uint32_t flags;                 /* LINUX_MSG_* of the call */
    struct ns_cmsg net;             /* ancillary data of the internet families, both ways */
    uint32_t ret_flags;             /* recv: MSG_TRUNC, MSG_EOR, ... */
    int64_t deadline;               /* of SO_SNDTIMEO, SO_RCVTIMEO */
};

/* All may block. t: OWN THREAD. Absent members give the errno in brackets. send and recv block by themselves
 * unless MSG_DONTWAIT or O_NONBLOCK. */
struct socket_ops {
    int (*bind)(struct socket *s, struct task *t, const struct socket_address *a);    /* [-EOPNOTSUPP] */
    int (*connect)(struct socket *s, struct task *t, const struct socket_address *a); /* [-EOPNOTSUPP] */
    int (*listen)(struct socket *s, int backlog);                                     /* [-EOPNOTSUPP] */
    /* A new file (reference), flags O_NONBLOCK|O_CLOEXEC as asked; ret_peer may be NULL. */
    int (*accept)(struct socket *s, struct task *t, uint32_t flags, struct socket_address *ret_peer,
                  struct file **ret);                                         /* [-EOPNOTSUPP] */
    int (*get_name)(struct socket *s, bool peer, struct socket_address *ret); /* [-EOPNOTSUPP] */
    int (*shutdown)(struct socket *s, int how);                               /* [-EOPNOTSUPP] */
    ssize_t (*send)(
        struct socket *s, struct task *t,
        struct socket_message *m); /* bytes or -errno; -EPIPE: caller sends SIGPIPE [-EOPNOTSUPP] */
    ssize_t (*recv)(
        struct socket *s, struct task *t,
        struct socket_message *m); /* bytes copied (with MSG_TRUNC: bytes there were) [-EOPNOTSUPP] */
    /* Options that socket_{set,get}_option() do not know. value: copied in. get: fills at most *len bytes,
     * sets *len. [-ENOPROTOOPT] */
    int (*set_option)(struct socket *s, struct task *t, int level, int name, const void *value, uint32_t len);
    int (*get_option)(struct socket *s, struct task *t, int level, int name, void *value, uint32_t *len);
    /* Options whose values are larger than others': copied by the family itself. 1: not one of them. get: the
     * length at `len_at` is read and written. Optional (absent: 1). */
    int (*set_large_option)(struct socket *s, struct task *t, int level, int name, gva_t value, uint32_t len);
    int (*get_large_option)(struct socket *s, struct task *t, int level, int name, gva_t value, gva_t len_at);
    bool options_first; /* the family sees every option before the generic part, and gives 1 for those that
                           are not its own */
    /* One control message of a send: absent: SCM_RIGHTS and SCM_CREDENTIALS as for AF_UNIX. */
    int (*control_in)(struct socket *s, struct task *t, struct socket_message *m,
                      const struct linux_cmsghdr *h, const void *data, size_t size);
    /* Control messages of a receive, by control_put(). [none but those of m->control] */
    int (*control_out)(struct socket *s, struct task *t, struct socket_message *m, struct control_out *o);
    int64_t (*ioctl)(struct socket *s, struct task *t, uint32_t cmd, uint64_t arg); /* [-ENOTTY] */
};

struct socket {
    struct file file; /* first */
    const struct socket_ops *ops;
    int family, type, protocol;
    struct mutex lock;                           /* RANK_LEAF; the options */
    int64_t receive_timeout_ns, send_timeout_ns; /* 0: none */
    uint32_t send_buffer, receive_buffer;        /* bytes, as SO_SNDBUF shows them */
    uint32_t priority, mark;
    int linger_on, linger_seconds;
    bool reuse_address, reuse_port, keep_alive, broadcast, pass_credentials, timestamp, oob_inline,
        dont_route, no_check;
    int receive_low_water;
    _Atomic int error; /* SO_ERROR: positive errno, taken by the read */
};

struct socket_family {
    int family;
    int (*create)(struct task *t, int type, int protocol, uint32_t flags,
                  struct file **ret); /* type without SOCK_* flags */
    int (*create_pair)(struct task *t, int type, int protocol, uint32_t flags,
                       struct file *ret[2]); /* NULL: -EOPNOTSUPP */
    struct socket_family *next;
};
void socket_family_register(struct socket_family *family); /* program start */
struct socket_family *socket_family_find(int family);

/* Fills the generic part with defaults and makes the anonymous file "socket:[N]". file ops: the family's, of
 * which ioctl may call socket_ioctl(). */
int socket_init(struct socket *s, const struct file_ops *file_ops, const struct socket_ops *ops,
                struct task *t, int family, int type, int protocol, uint32_t flags) must_check;
/* The file as a socket: -ENOTSOCK if it is none. Borrows. */
int socket_of(struct file *f, struct socket **ret) must_check;
/* Marks files that are sockets: socket file ops tables register themselves here at program start. */
void socket_file_ops_register(const struct file_ops *ops);

/* SOL_SOCKET options that are the same for all; others go to the family. */
int socket_set_option(struct socket *s, struct task *t, int level, int name, const void *value,
                      uint32_t len) must_check;
int socket_get_option(struct socket *s, struct task *t, int level, int name, void *value,
                      uint32_t *len) must_check;
int64_t socket_ioctl(struct socket *s, struct task *t, uint32_t cmd, uint64_t arg);

/* read(2) and write(2) on sockets, for families' file ops: recv and send without flags. */
ssize_t socket_file_read(struct file *f, struct uio *to, uint64_t *offset);
ssize_t socket_file_write(struct file *f, struct uio *from, uint64_t *offset);

static inline int64_t socket_deadline(int64_t timeout_ns) {
    return timeout_ns > 0 ? clock_add(monotonic_ns(), timeout_ns) : CLOCK_NEVER;
}

/* ---- control.c: guest form of control messages ---- */

enum { SOCKET_CONTROL_MAX = 81920 }; /* net.core.optmem_max's order: longer is -ENOBUFS */
/* Copies in and checks msg_control, into m->control (zero before) and what the family keeps in m. */
int socket_control_copy_in(struct task *t, struct socket *s, struct socket_message *m, gva_t control,
                           uint64_t len) must_check;
/* Writes what arrived at `control` (room for `len` bytes): descriptors are installed. Takes the files.
 * Returns bytes used and sets MSG_CTRUNC in m->ret_flags where it did not fit. */
int64_t socket_control_copy_out(struct task *t, struct socket *s, struct socket_message *m, gva_t control,
                                uint64_t len, bool cloexec) must_check;
/* Where control messages go in guest memory. */
struct control_out {
    struct task *t;
    gva_t at;
    uint64_t left, used;
    uint32_t *flags;
};
/* One message: 0 (with MSG_CTRUNC in *flags if it did not fit whole) or -EFAULT. */
int control_put(struct control_out *o, int level, int type, const void *data, uint64_t size) must_check;
