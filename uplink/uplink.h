/* SPDX-License-Identifier: Apache-2.0
 * uplink/uplink.h: a sandbox's way to the network where nobody gave it a network namespace: a process that
 * takes the sandbox's frames and turns them into plain host sockets (docs/network.md).
 *
 * It needs no privilege. Towards the sandbox it is the gateway of a small network of its own: TCP is
 * terminated here, by a second copy of our own stack, and goes on as a host connection; UDP and ICMP echo go
 * on as datagrams. A connection is accepted only once the host's own connect has succeeded, so that refusals
 * and unreachable hosts look as they are. Every host address is checked against the egress policy first.
 *
 * One thread, epoll. Everything that comes out of the link is hostile.
 */
#pragma once

#include "base/compiler.h"
#include "netstack/wire/ipaddr.h"

struct egress;

#define UPLINK_MAX_RESOLVERS 3
#define UPLINK_MAX_PUBLISHED 64
#define UPLINK_MTU           1500

/* The network between the sandbox and the uplink. */
#define UPLINK_GUEST4    "10.0.2.100"
#define UPLINK_GATEWAY4  "10.0.2.2"
#define UPLINK_RESOLVER4 "10.0.2.3"
#define UPLINK_PREFIX4   24
#define UPLINK_GUEST6    "fd00:2::100"
#define UPLINK_GATEWAY6  "fd00:2::2"
#define UPLINK_PREFIX6   64
#define UPLINK_GUEST_MAC "02:00:0a:00:02:64"

/* A host socket, listening (TCP) or bound (UDP), whose connections go to a port of the sandbox. */
struct uplink_published {
    int fd;
    bool udp;
    uint16_t guest_port;
};

struct uplink_config {
    int link_fd;                 /* AF_UNIX SOCK_SEQPACKET, a frame with a virtio-net header a message */
    const struct ipa *resolvers; /* what the guest's resolver address stands for */
    size_t resolver_count;
    const struct uplink_published *published;
    size_t published_count;
    struct egress *egress; /* borrowed; NULL: everything but the host's own loopback may be reached */
};

/* Serves until the sandbox has closed its end: 0, or a negative errno if it could not start. Takes the
 * descriptors. */
int uplink_run(const struct uplink_config *config) must_check;
/* Allows this process the host calls that uplink_run() makes, and no others. */
int uplink_filter(void) must_check;
