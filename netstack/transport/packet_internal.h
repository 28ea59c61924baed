/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/packet_internal.h: what packet.c and packet_ring.c share.
 */
#pragma once

#include "netstack/stack/nsock.h"

/* PACKET_VERSION's values. */
enum packet_version { PACKET_V1, PACKET_V2, PACKET_V3 };

/* A ring in memory that the guest shares and may change at any time. Nothing is read from it but the status
 * of a frame or block, once, and of a frame to send its length and bytes, copied before they are looked at.
 */
struct packet_ring {
    struct hostref memory; /* host.ptr: frames_per_block * blocks frames; empty: no ring */
    uint32_t block_size, block_count, frame_size, frame_count, frames_per_block;
    uint32_t head; /* version 3 receiving: block; else: frame */
    /* Version 3, receiving. */
    uint32_t priv_size, timeout_ms;
    uint32_t fill, packets; /* bytes of the open block in use, packets in it; fill 0: no block is open */
    uint32_t last;          /* offset of the last packet in it */
    uint64_t next_seq;
    bool frozen; /* the next block is still the reader's */
};

struct packet_sock {
    struct nsock base;      /* first */
    uint16_t ethertype;     /* 0: receives nothing yet */
    uint32_t ifindex;       /* 0: all */
    uint32_t seen, dropped; /* PACKET_STATISTICS */
    uint32_t freezes;       /* of a ring of version 3 */
    struct list promisc;    /* promisc_ref.link */
    uint8_t version;        /* enum packet_version */
    bool auxdata, origdev, loss, ignore_outgoing;
    int reserve, copy_threshold, timestamp;
    struct packet_ring rx, tx;
    struct ntimer retire; /* closes the open block of a version 3 ring in time */
};

static inline struct packet_sock *packet_of(struct nsock *s) {
    return container_of(s, struct packet_sock, base);
}

static inline bool packet_has_ring(const struct packet_ring *r) {
    return r->memory.ops != NULL;
}

/* Bits of a frame's status word and of struct tpacket_auxdata (packet(7)). */
enum {
    TP_KERNEL = 0,
    TP_USER = 1 << 0,
    TP_LOSING = 1 << 2,
    TP_CSUM_NOT_READY = 1 << 3,
    TP_BLOCK_TIMEOUT = 1 << 5,
    TP_CSUM_VALID = 1 << 7,
    TP_TS_SOFTWARE = 1 << 29,
    TP_SEND_REQUEST = 1 << 0,
    TP_WRONG_FORMAT = 1 << 2,
};

/* ---- packet.c ---- */
/* The sender's address as recvfrom(2) and rings tell it. */
void packet_name(const struct nsock *s, const struct pkt *p, struct ns_addr *ret);
/* Checksum bits of a received or looped packet. */
uint32_t packet_status(const struct pkt *p);
/* Sends one frame, or the payload of one (SOCK_DGRAM). Takes p. 0 or -errno. */
int packet_send_pkt(struct packet_sock *k, const struct ns_msg *m, struct pkt *p);
/* The interface that m or the binding names, up: 0, -ENXIO, -ENETDOWN. */
int packet_out_nic(struct packet_sock *k, const struct ns_msg *m, struct nic **ret);

/* ---- packet_ring.c ---- */
/* PACKET_HDRLEN: a frame's header in this version; -EINVAL. */
int packet_header_len(int version);
/* Puts `p` into the receive ring. False: no room. p stays the caller's. `wire_len`: before the filter cut. */
bool packet_ring_put(struct packet_sock *k, const struct pkt *p, uint32_t wire_len);
bool packet_ring_readable(const struct packet_sock *k);
/* Sends what the guest has marked in the send ring; bytes sent or -errno. */
ssize_t packet_ring_send(struct packet_sock *k, const struct ns_msg *m);
/* A timer of a new socket; and the end. */
void packet_ring_init(struct packet_sock *k);
void packet_ring_end(struct packet_sock *k);
