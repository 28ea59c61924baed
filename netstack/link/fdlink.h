/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/fdlink.h: a link on a descriptor of the host: an AF_PACKET socket bound to one interface, or
 * a TAP device. Both speak virtio-net headers, so that super-segments and unfinished checksums pass in both
 * directions.
 *
 * One thread per link, the dispatcher, sleeps in the host until frames come, takes a burst of them in one
 * call, straight into packet blocks, and hands it to the stack. Sending is done by whoever holds the stack.
 * fdlink.c is the part that knows packets, fdlink_host.c the one that makes host calls.
 *
 * Frames are received by recvmmsg(2) and not by a mapped ring: a ring would add a copy of every byte, since
 * packets must lie in allocator memory, and would save only what batching has saved already.
 *
 * Sources: packet(7), PACKET_VNET_HDR; virtio 1.2 section 5.1.6; the kernel's tuntap.rst.
 */
#pragma once

#include "netstack/netstack.h"

enum fdlink_kind { FDLINK_PACKET, FDLINK_TAP };

struct fdlink_config {
    const char *name;
    enum fdlink_kind kind;
    int fd; /* non-blocking, with PACKET_VNET_HDR or IFF_VNET_HDR; taken on every path */
    struct mac mac;
    uint32_t mtu, txqlen;
    uint32_t gso_max; /* 0: the other side takes no super-segments nor unfinished checksums */
    bool quiet;       /* NIC_QUIET */
};

/* Does: makes the interface, down, and starts its dispatcher. Returns: -EEXIST, -EINVAL, -ENOMEM, -EAGAIN (no
 * thread). nic_remove() ends it. Caller holds: nothing of the stack. */
must_check int fdlink_new(struct netns *ns, const struct fdlink_config *config, struct nic **ret);
/* Does: waits until the dispatchers of all removed links, of any stack, have ended: before netstack_free().
 */
void fdlink_drain(void);
