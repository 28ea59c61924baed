/* SPDX-License-Identifier: Apache-2.0
 * boot/control_channel.h: JSON lines with descriptors over a unix stream socket: framing and bounds, for both
 * ends.
 *
 * A message is one JSON object on one line; "fds": N says that it takes N descriptors, which travel with it
 * (SCM_RIGHTS). The peer may be hostile: a line longer than CONTROL_MAX_LINE, nesting beyond SPEC_MAX_DEPTH,
 * more than CONTROL_MAX_FDS descriptors, or text that is no JSON object ends the connection with an error,
 * never more. Not locked: one thread uses a channel.
 */
#pragma once

#include <jansson.h>

#include "base/compiler.h"
#include "base/err.h"

#define CONTROL_MAX_LINE (24u << 20) /* a spec of SPEC_MAX_BYTES, escaped */
#define CONTROL_MAX_FDS  64
#define CONTROL_VERSION  1

struct control_channel {
    int fd;   /* owned */
    char *in; /* bytes received, not yet a message */
    size_t in_size, in_capacity, in_scanned;
    char *out; /* bytes not yet sent (non-blocking use only) */
    size_t out_size, out_sent;
    int fds[CONTROL_MAX_FDS]; /* received, not yet taken by a message */
    size_t fd_count;
    bool ended; /* the peer has closed its end */
};

/* Takes over fd. */
void control_channel_init(struct control_channel *c, int fd);
void control_channel_done(struct control_channel *c);

/* Blocking: sends all of it. The descriptors are borrowed; "fds" is added to the message. */
int control_send(struct control_channel *c, json_t *message, const int *fds, size_t fd_count,
                 struct err **err) must_check;
/* Blocking: the next message; new reference. -ECONNRESET with an error if the peer closes first. */
int control_receive(struct control_channel *c, json_t **ret, struct err **err) must_check;

/* Non-blocking: queue, then flush as far as the socket takes it (1: all sent, 0: more to send, < 0: peer
 * gone). */
int control_queue(struct control_channel *c, const json_t *message) must_check;
int control_flush(struct control_channel *c) must_check;
/* Non-blocking: reads what is there. 0, or -errno when the connection is to be dropped (-EMSGSIZE, -ENOBUFS,
 * ...). Sets c->ended at EOF. */
int control_read(struct control_channel *c) must_check;
/* The next complete line as JSON: 1 and a new reference, 0 none yet, -EBADMSG on garbage. */
int control_next(struct control_channel *c, json_t **ret) must_check;
/* Moves the first `count` descriptors out; -EBADMSG if there are fewer. */
int control_take_fds(struct control_channel *c, int *fds, size_t count) must_check;

/* {"errno":..,"code":..,"message":..,"cause":..,"remedy":..,"context":..} */
json_t *control_error_to_json(const struct err *e);
/* Sets *err from such an object (garbage: an error that says so); returns its negative errno. */
int control_error_from_json(const json_t *o, struct err **err);

/* Client: connects to the socket `name` in directory `dir_fd` (any path length); the channel on success. */
int control_connect(int dir_fd, const char *name, struct control_channel *ret, struct err **err) must_check;
/* Sends a request and waits for its answer; "ok" false becomes *err. *ret_answer (optional): new reference.
 */
int control_call(struct control_channel *c, json_t *request, const int *fds, size_t fd_count,
                 json_t **ret_answer, struct err **err) must_check;
