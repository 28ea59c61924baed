/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/stream.h: one TCP connection that carries a checked stream each way, driven by a seed: sizes of
 * writes and reads, pauses, order of closing.
 */
#pragma once

#include "tests/sim/sim.h"

struct stream_end {
    struct nsock *sock; /* NULL once closed */
    uint64_t key_out, key_in;
    uint64_t to_send, sent, to_recv, received;
    uint32_t max_write, max_read;
    int64_t pause_ns, next_io;
    bool shut, eof;
    int error; /* first error seen, negative */
};

struct stream {
    struct sim *sim;
    struct nsock *listener;
    void (*configure)(struct sim *s, struct nsock *sock); /* optional: options, before connecting */
    struct stream_end end[2];                             /* 0: client */
    struct sim_host *client;
    struct ns_addr addr;
    unsigned attempts;
    int64_t started, finished;
};

void stream_start(struct stream *x, struct sim *s, struct sim_host *client, struct sim_host *server,
                  const char *ip, uint16_t port);
/* Lets both users act. True while anything is left to do. */
bool stream_act(struct stream *x);
/* Time of the next user action; INT64_MAX if both wait for the network. */
int64_t stream_next(const struct stream *x);
/* Runs until both are done; fails the test after `limit_ns` of simulated time. */
void stream_run(struct stream *x, int64_t limit_ns);
void stream_close(struct stream *x);
