/* SPDX-License-Identifier: Apache-2.0
 * gofer/client_internal.h: one request and its reply, as the functions of client.h make them.
 *
 *   struct exchange x;
 *   int rc = exchange_begin(&x, conn, GOFER_GETATTR);     a channel is ours
 *   rc = exchange_put(&x, &req, sizeof(req));              errors stick until exchange_call()
 *   rc = exchange_call(&x, want);                          sends, receives, checks the header and the
 * descriptor
 *   ... read x.reply with gofer_get(); a reply that does not parse: exchange_breach(&x) ...
 *   exchange_end(&x);                                      gives the channel back, closes x.fd if it is still
 * there
 */
#pragma once

#include "base/mutex.h"
#include "gofer/client.h"
#include "gofer/codec.h"

struct client_channel {
    int sock;
    uint32_t seq;
    uint8_t *request, *reply;    /* GOFER_MESSAGE_MAX each */
    struct client_channel *next; /* in the free stack */
};

struct gofer_conn {
    int inotify_fd;
    uint32_t root_count, handle_max;
    struct gofer_root *roots;
    struct client_channel *first; /* the connection's life is this one's */
    _Atomic bool broken;

    struct mutex lock; /* RANK_GOFER_CONN: what follows; never held over a message */
    struct client_channel *free;
    uint32_t channels; /* made or being made */
    uint32_t users;    /* threads that have or want one */
    uint32_t waiters;
    bool at_limit;         /* the gofer gave no further channel */
    _Atomic uint32_t wake; /* counts channels given back while somebody waited: a futex */
};

struct exchange {
    struct gofer_conn *conn;
    struct client_channel *ch;
    struct gofer_writer request;
    struct gofer_reader reply;
    uint16_t type;
    int error; /* of building the request */
    int fd;    /* donated; -1: none */
};

enum donation { DONATES_NOTHING, DONATES_FD, DONATES_FD_MAYBE };

int exchange_begin(struct exchange *x, struct gofer_conn *conn, enum gofer_type type) must_check;
void exchange_put(struct exchange *x, const void *data, size_t size);
/* Checks the name (-EINVAL, -ENAMETOOLONG). */
void exchange_put_name(struct exchange *x, struct gofer_name name);
void exchange_put_string(struct exchange *x, const char *string);
int exchange_call(struct exchange *x, enum donation donation) must_check;
/* The peer broke the protocol: the connection is broken; returns -EIO. */
int exchange_breach(struct exchange *x) must_check;
void exchange_end(struct exchange *x);
/* Hands over the descriptor. */
int exchange_take_fd(struct exchange *x);

/* client_host.c: what a donated descriptor is. */
bool donated_file_valid(int fd, uint32_t access);
bool donated_socket_valid(int fd, uint32_t type);
