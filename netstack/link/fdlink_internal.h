/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/fdlink_internal.h: between fdlink.c (packets) and fdlink_host.c (host calls).
 *
 * The port is the host's half: malloc's memory, owned by the link until detach, then by its own thread, which
 * frees it on its way out. `nic` is what tells them apart: set and read with the stack's lock held.
 */
#pragma once

#include <sys/uio.h>

#include "base/hostref.h"
#include "netstack/link/fdlink.h"

/* struct virtio_net_hdr, the legacy 10 bytes that packet sockets and TAP use by default. */
struct vnet_hdr {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
enum { VNET_NEEDS_CSUM = 1, VNET_DATA_VALID = 2 };
enum { VNET_GSO_NONE = 0, VNET_GSO_TCPV4 = 1, VNET_GSO_UDP = 3, VNET_GSO_TCPV6 = 4, VNET_GSO_UDP_L4 = 5 };
enum { VNET_GSO_ECN = 0x80 };

enum {
    FDLINK_BURST = 32,
    FDLINK_ROOM = 1920,   /* of the first block: an ordinary frame; with headroom 2 KiB */
    FDLINK_SPARE = 65536, /* what is longer goes on here */
    FDLINK_COPY = 16384,  /* shorter rests are copied out of the spare, so that they pin no more than they are */
    FDLINK_IOV = 48,
};

/* Where one frame is received: header, first block, spare. */
struct fdlink_slot {
    struct vnet_hdr hdr;
    struct pkt *p, *spare;
    struct iovec iov[3];
    size_t len; /* received, header included */
};

struct fdlink_port;

/* ---- fdlink.c ---- */
/* Fills every slot that has no packets. Locks the stack. False: no memory for a single one. */
bool fdlink_refill(struct netstack *st, struct fdlink_slot *slots, size_t count);
/* Hands the first `count` slots to the interface, if it is still there (*nic, read with the lock held). */
void fdlink_deliver(struct netstack *st, struct nic *const *nic, struct fdlink_slot *slots, size_t count);
void fdlink_empty(struct netstack *st, struct fdlink_slot *slots, size_t count);
/* Notes of a received packet from its header. False: the header makes no sense for a packet of this length. */
bool fdlink_parse(const struct vnet_hdr *h, struct pkt *p);
/* The header for a packet that is sent. */
void fdlink_build(struct pkt *p, struct vnet_hdr *ret);

/* ---- fdlink_host.c ---- */
/* Takes fd. The thread is started by fdlink_port_start(); until then fdlink_port_end() frees it. */
must_check int fdlink_port_new(struct netstack *st, enum fdlink_kind kind, int fd, struct fdlink_port **ret);
must_check int fdlink_port_start(struct fdlink_port *port, struct nic *nic);
/* Locked. The interface goes; the thread ends soon after, and the port with it. */
void fdlink_port_end(struct fdlink_port *port);
/* Locked. One frame. 0, -ENOBUFS, -ENETDOWN, -EMSGSIZE. */
int fdlink_port_send(struct fdlink_port *port, const struct iovec *iov, int count);
