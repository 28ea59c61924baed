/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/unix/unix_internal.h: AF_UNIX sockets. Source: unix(7).
 *
 * A struct unix_sock is one end: what its file, its peer, its name and the accept queue it waits in refer to,
 * so it outlives its file. unix_socket is the open file. Data lies in the RECEIVER's queue as messages; a
 * stream joins and splits them.
 *
 * References: file -> sock; sock.peer -> peer (both ways while connected; a closing end clears its own and
 * marks itself dead); a name's table entry or inode borrows the sock and takes it by unix_sock_tryref(); a
 * listening sock holds those that wait to be accepted. Locks: sock.lock (RANK_SOCKET); two by address order,
 * through lock_two() only; a listener before the socks in its accept queue. The table of abstract names has
 * its own lock inside.
 *
 * Files in flight (SCM_RIGHTS, sent and not yet received) that only refer to each other in a ring are found
 * and freed by unix_gc.c. How many a user may have in flight: RLIMIT_NOFILE of whoever sends more
 * (ETOOMANYREFS).
 */
#pragma once

#include "sentry/socket/socket.h"
#include "sentry/vfs/vfs.h"

enum unix_state { UNIX_IDLE, UNIX_LISTENING, UNIX_CONNECTED };
enum { UNIX_SHUT_READ = 1, UNIX_SHUT_WRITE = 2, UNIX_DGRAM_QUEUE_MAX = 11, UNIX_CHUNK = 32768 };

struct unix_name {
    struct ref ref;
    uint32_t len; /* of sockaddr_un, family included */
    struct linux_sockaddr_un address;
    struct path path; /* reference, of a bound node; empty: abstract */
};
DECLARE_REF(unix_name);

struct unix_message {
    struct list node;
    struct socket_control control; /* goes with the first byte */
    struct unix_name *from;        /* reference or NULL */
    size_t size, offset;           /* bytes in data; taken already */
    unsigned char data[];
};

struct unix_credentials {
    struct pid *pid; /* reference; NULL: none */
    kuid_t uid;
    kgid_t gid;
    kgid_t *groups; /* heap array */
    size_t group_count;
};

struct unix_sock {
    struct ref ref;
    struct list all_node;   /* of those with a file: unix_names.lock */
    uint64_t inode;         /* of that file */
    int type;               /* LINUX_SOCK_STREAM, DGRAM, SEQPACKET */
    struct inode_node node; /* what a bound inode points at */
    struct mutex lock;      /* RANK_SOCKET; the rest */
    enum unix_state state;
    bool dead;              /* its file is closed */
    bool reset;             /* the peer went with unread data: ECONNRESET once */
    unsigned shutdown;      /* of this end: UNIX_SHUT_* */
    struct unix_sock *peer; /* reference */
    struct unix_name *name; /* reference */
    struct list messages;   /* of unix_message: to be received here */
    size_t queued_bytes, queued_messages;
    size_t send_limit; /* bytes that the peer's queue may hold of ours: SO_SNDBUF */
    struct list
        connectors; /* datagrams: socks connected to this one; nodes: connector_node, under this lock */
    struct list connector_node;
    struct list accept_queue; /* listening: socks of accept_node, each with a reference */
    struct list accept_node;
    size_t accept_count, backlog;
    struct unix_credentials own; /* taken at listen, connect or pair: what the peer's SO_PEERCRED shows */
    struct unix_credentials peer_credentials;
    struct waitq queue;       /* poll: readers, writers, accepters */
    struct waitq space_queue; /* senders and connecters that wait for room here */

    /* unix_flight.lock */
    unsigned flight_count;    /* references to its file that messages in queues hold */
    struct file *flight_file; /* borrowed, while there are any */
    struct list flight_node;  /* ... in unix_flight.socks */
    bool suspect;             /* nothing but messages holds it; during a search */
    unsigned outside;         /* of those, by messages of queues that are not suspect */
};
DECLARE_REF(unix_sock);

/* The unix sockets in flight, of all the kernel. */
struct unix_flight {
    struct mutex lock; /* RANK_UNIX_FLIGHT */
    struct list socks; /* of unix_sock.flight_node */
    bool searching;    /* a thread looks for rings ... */
    bool again;        /* ... and is to look once more */
};

struct unix_socket {
    struct socket socket;   /* first */
    struct unix_sock *sock; /* reference */
    int peek_offset;        /* SO_PEEK_OFF; -1: off */
};

static inline struct unix_socket *unix_of(struct socket *s) {
    return container_of(s, struct unix_socket, socket);
}

/* ---- unix_sock.c: objects ---- */
struct unix_sock *unix_sock_new(int type);
int unix_socket_new(struct task *t, struct unix_sock *sock /* reference taken on success */, int protocol,
                    uint32_t flags, struct file **ret);
void unix_lock_two(struct unix_sock *a, struct unix_sock *b) NO_TSA;
void unix_unlock_two(struct unix_sock *a, struct unix_sock *b) NO_TSA;
void unix_message_free(struct unix_message *m);
void unix_credentials_take(struct unix_credentials *c, struct task *t); /* replaces */
void unix_credentials_copy(struct unix_credentials *to, const struct unix_credentials *from);
void unix_credentials_done(struct unix_credentials *c);
struct unix_sock *unix_sock_of_file(struct file *f); /* borrowed; NULL: f is no unix socket */
/* Peer of a sock: new reference or NULL. */
struct unix_sock *unix_peer(struct unix_sock *s);

/* ---- unix_gc.c: files in flight ---- */
void unix_flight_init(struct unix_flight *f);
/* The files of c go into a message: they count for the task's user. -ETOOMANYREFS, -ENOMEM. No sock's lock
 * may be held, here and in the next three. */
int unix_flight_begin(struct task *t, struct socket_control *c) must_check;
void unix_flight_end(struct socket_control *c); /* they were taken out of it, or are dropped */
/* Behind a look at a message (MSG_PEEK), before its files are given to anybody: no search is half done. */
void unix_flight_looked(const struct socket_control *c);
/* Frees what is in flight and out of everybody's reach. May block (files). */
void unix_flight_collect(void);

/* ---- unix_name.c: names ---- */
struct unix_flight *unix_flight_of(struct kernel *k); /* NULL: no memory */
/* The list of socks that have a file. */
void unix_list_add(struct kernel *k, struct unix_sock *s);
void unix_list_remove(struct unix_sock *s);
/* Takes over the reference `after` (NULL: from the start); new reference, or NULL at the end. */
struct unix_sock *unix_list_next(struct kernel *k, struct unix_sock *after);
/* Checks and completes an address; *ret_path points into it (paths) or is NULL (abstract, unnamed). -EINVAL.
 */
int unix_address_check(const struct socket_address *a, bool *ret_unnamed, bool *ret_abstract);
int unix_bind_name(struct unix_sock *s, struct task *t, const struct socket_address *a);
/* Who is bound there: new reference, of the wanted type (-EPROTOTYPE). -ECONNREFUSED, -ENOENT, -EACCES ... */
int unix_find(struct task *t, const struct socket_address *a, int type, struct unix_sock **ret);
void unix_unbind(struct unix_sock *s); /* at close */
void unix_name_fill(const struct unix_name *name, struct socket_address *ret);

/* ---- unix_connect.c ---- */
int unix_op_bind(struct socket *s, struct task *t, const struct socket_address *a);
int unix_op_connect(struct socket *s, struct task *t, const struct socket_address *a);
int unix_op_listen(struct socket *s, int backlog);
int unix_op_accept(struct socket *s, struct task *t, uint32_t flags, struct socket_address *ret_peer,
                   struct file **ret);
int unix_op_get_name(struct socket *s, bool peer, struct socket_address *ret);
int unix_op_shutdown(struct socket *s, int how);
void unix_sock_close(struct unix_sock *s);
int unix_pair(struct task *t, int type, int protocol, uint32_t flags, struct file *ret[2]);

/* ---- unix_io.c ---- */
ssize_t unix_op_send(struct socket *s, struct task *t, struct socket_message *m);
ssize_t unix_op_recv(struct socket *s, struct task *t, struct socket_message *m);
uint32_t unix_file_ready(struct file *f, uint32_t events);
size_t unix_bytes_queued(struct unix_sock *s, bool first_only);
