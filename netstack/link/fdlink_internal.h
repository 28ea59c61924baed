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
#include "netstack/link/vnet.h"

enum {
    FDLINK_BURST = 32,
    FDLINK_ROOM = 1920,  /* of the first block: an ordinary frame; with headroom 2 KiB */
    FDLINK_SPARES = 2,   /* what is longer goes on in these blocks, of PKT_BLOCK_MAX each */
    FDLINK_COPY = 16384, /* shorter rests are copied out of them, so that they pin no more than they are */
    FDLINK_IOV = 48,
};

/* Where one frame is received: header, first block, spares. */
struct fdlink_slot {
    struct vnet_hdr hdr;
    struct pkt *p, *spare[FDLINK_SPARES];
    struct iovec iov[2 + FDLINK_SPARES];
    size_t len; /* received, header included */
};

struct fdlink_port;

/* ---- fdlink.c ---- */
/* Fills every slot that has no packets. Locks the stack. False: no memory for a single one. */
bool fdlink_refill(struct netstack *st, struct fdlink_slot *slots, size_t count);
/* Hands the first `count` slots to the interface, if it is still there (*nic, read with the lock held). */
void fdlink_deliver(struct netstack *st, struct nic *const *nic, struct fdlink_slot *slots, size_t count);
void fdlink_empty(struct netstack *st, struct fdlink_slot *slots, size_t count);

/* ---- fdlink_host.c ---- */
/* Takes fd. The thread is started by fdlink_port_start(); until then fdlink_port_end() frees it. */
must_check int fdlink_port_new(struct netstack *st, enum fdlink_kind kind, int fd, struct fdlink_port **ret);
must_check int fdlink_port_start(struct fdlink_port *port, struct nic *nic);
/* Locked. The interface goes; the thread ends soon after, and the port with it. */
void fdlink_port_end(struct fdlink_port *port);
/* Locked. One frame. 0, -ENOBUFS, -ENETDOWN, -EMSGSIZE. */
int fdlink_port_send(struct fdlink_port *port, const struct iovec *iov, int count);
