/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/net_input/fuzz_net.h: a stack for fuzzers: one interface, listening and datagram sockets of
 * every kind.
 */
#pragma once

#include "tests/sim/sim.h"

struct fuzz_net {
    struct sim s;
    struct sim_host *h;
    struct nic *nic;
    struct nsock *socks[8];
    int sock_count;
};

void fuzz_net_start(struct fuzz_net *f);
/* Hands a frame in; `ip_sums`: first makes checksums good, so that the input gets past them. */
void fuzz_net_frame(struct fuzz_net *f, const uint8_t *data, size_t len, bool ip_sums);
/* Throws away what the stack sends; lets `ns` pass. */
void fuzz_net_pass(struct fuzz_net *f, int64_t ns);
void fuzz_net_end(struct fuzz_net *f);
