/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/sniffer.h: turns what an interface sends and receives into a pcap stream (for --pcap).
 *
 * The sink gets whole records and does what it likes: append to a ring, write to a descriptor. It is called
 * with the stack's lock held and may not block.
 */
#pragma once

#include "netstack/netstack.h"

struct sniffer_sink_ops {
    /* Does: takes `len` bytes of the stream. Caller holds: the stack's lock. May block: no. Required. */
    void (*write)(void *ctx, const void *data, size_t len);
};

struct sniffer {
    const struct sniffer_sink_ops *ops;
    void *ctx;
    struct netstack *st;
    uint32_t snaplen;
};

/* Does: writes the file header and starts to tap `nic`. `s` is the caller's and must outlive the tap. */
void sniffer_start(struct sniffer *s, struct nic *nic);
void sniffer_stop(struct nic *nic);
